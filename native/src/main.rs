//! The `taper` command.

mod cli;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use cli::convert::Stored;

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
    /// Show what a model file holds: tensors, types, sizes, metadata
    Inspect {
        /// .safetensors, .pt, .npz, .npy, .gguf, an index (.safetensors.index.json), or a folder with one
        file: PathBuf,
    },
    /// Write a model in another format, which the new file's name tells: .safetensors, .pt, .npz, .npy, .gguf
    Convert {
        from: PathBuf,
        to: PathBuf,
        /// What floating-point tensors become: f16, bf16, f32, f64; for GGUF also q8_0, q4_0, q4_1, q5_0, q5_1, which
        /// matrices of whole blocks become, everything else f32
        #[arg(long)]
        dtype: Option<Stored>,
    },
    /// Check a model file: bounds, overlaps, and the checksums that its format has
    Verify { file: PathBuf },
    /// Compare the tensors of two files by name: a model's layers, run here and elsewhere
    Compare {
        expected: PathBuf,
        got: PathBuf,
        #[arg(long, default_value_t = 1e-5)]
        rtol: f64,
        #[arg(long, default_value_t = 1e-8)]
        atol: f64,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Devices => Ok(cli::devices()),
        Command::Inspect { file } => cli::inspect::run(&file),
        Command::Convert { from, to, dtype } => cli::convert::run(&from, &to, dtype),
        Command::Verify { file } => cli::verify::run(&file),
        Command::Compare { expected, got, rtol, atol } => cli::compare(&expected, &got, rtol, atol),
    };
    done.unwrap_or_else(|failure| failure.report())
}
