//! `cargo xtask conformance`: PyTorch's recorded cases against the engine. The work is done by the binary of that
//! name in the test crate, so that this one stays free of the engine.

use std::process::ExitCode;

use crate::command::cargo;

#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// Options of the harness: --suite DIR, and more (--help lists them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    forwarded: Vec<String>,
}

pub fn run(options: &Options) -> ExitCode {
    let mut command = cargo("run --quiet --package taper-tests --bin conformance --");
    match command.args(&options.forwarded).status() {
        Ok(status) => ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(101)),
        Err(e) => {
            eprintln!("cargo: {e}");
            ExitCode::from(2)
        }
    }
}
