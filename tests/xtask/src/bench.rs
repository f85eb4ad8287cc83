//! `cargo xtask bench`: the work is done by the binary of the bench package, in the release profile.

use std::process::ExitCode;

use crate::command::{cargo, pass_to};

#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// Options of the benchmark: --device, --only, --peers, --json, and more (--help lists them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    forwarded: Vec<String>,
}

pub fn run(options: &Options) -> ExitCode {
    pass_to(cargo("run --quiet --release --package taper-bench --"), &options.forwarded)
}
