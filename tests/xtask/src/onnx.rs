//! `cargo xtask onnx`: the test cases of ONNX against the importer. The work is done by the binary of that
//! name in the test crate, so that this one stays free of the engine.

use std::process::ExitCode;

use crate::command::{cargo, pass_to};

#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// Options of the harness: --suite DIR, and more (--help lists them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    forwarded: Vec<String>,
}

pub fn run(options: &Options) -> ExitCode {
    pass_to(cargo("run --quiet --package taper-tests --bin onnx --"), &options.forwarded)
}
