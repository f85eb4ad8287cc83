//! `cargo xtask`: the chores of this repository, one module each.

mod bench;
mod command;
mod conformance;
mod onnx;
mod setup;
mod summary;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The chores of this repository.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand, Debug)]
enum Chore {
    /// Install what is missing, then run every check: format, lints, tests on the CPU and on every GPU
    /// present, doctests, the examples, and the wasm32 build
    Test(test::Options),
    /// Run PyTorch's recorded cases
    Conformance(conformance::Options),
    /// Run ONNX's own test cases
    Onnx(onnx::Options),
    /// Time Taper, beside its limits and other libraries
    Bench(bench::Options),
}

fn main() -> ExitCode {
    match Cli::parse().chore {
        Chore::Test(options) => test::run(&options),
        Chore::Conformance(options) => conformance::run(&options),
        Chore::Onnx(options) => onnx::run(&options),
        Chore::Bench(options) => bench::run(&options),
    }
}
