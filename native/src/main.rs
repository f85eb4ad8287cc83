//! The `taper` command.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use taper::Device;

/// Train and run neural networks on any GPU.
#[derive(Parser)]
#[command(name = "taper", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Report every device: adapter, backend, driver, features, limits
    Devices,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Devices => devices(),
    }
}

/// One report per device; an adapter that cannot be used is named with the reason.
fn devices() -> ExitCode {
    println!("{}", Device::cpu().report());
    for (index, adapter) in Device::gpus().iter().enumerate() {
        println!();
        match Device::gpu(index) {
            Ok(device) => println!("{}", device.report()),
            Err(e) => println!("device     gpu:{index}\nadapter    {}\nrefused    {e}", adapter.name),
        }
    }
    println!("\nbest       {}", Device::best());
    ExitCode::SUCCESS
}
