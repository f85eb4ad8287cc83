//! Command lines: a wrong one is one clear line and exit code 2.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser};
use taper::Device;

/// The options of every example.
#[derive(Args, Debug, Clone)]
pub struct CommonArgs {
    /// Where to compute: cpu, gpu, gpu:INDEX, gpu:NAME, best
    #[arg(long, default_value = "best", value_parser = device)]
    pub device: Device,
    /// Makes weights, batches and dropout repeatable
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Write one JSON object per training step to this file
    #[arg(long, value_name = "FILE")]
    pub log_steps: Option<PathBuf>,
    /// Where to write files
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// The command line, or the end of the program: help on standard output, or the error in one line and exit code 2.
pub fn parse<A: Parser>() -> A {
    A::try_parse().unwrap_or_else(|e| match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => e.exit(),
        _ => {
            let text = e.to_string();
            eprintln!("{}", text.lines().next().unwrap_or("error: wrong command line"));
            std::process::exit(2)
        }
    })
}

/// Runs a program; an error is one line and exit code 1.
pub fn run(program: impl FnOnce() -> taper::Result<()>) -> ExitCode {
    match program() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::FAILURE
        }
    }
}

/// An error of the operating system as one of Taper's.
pub fn fail(path: impl AsRef<std::path::Path>) -> impl FnOnce(std::io::Error) -> taper::Error {
    move |e| taper::Error::Io { path: path.as_ref().display().to_string(), message: e.to_string() }
}

/// A count of at least one.
pub fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("must be at least 1".into()),
        Ok(n) => Ok(n),
        Err(e) => Err(e.to_string()),
    }
}

fn device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|e: taper::Error| e.to_string())
}
