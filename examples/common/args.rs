//! Command lines: a wrong one is one clear line and exit code 2.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

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
}

/// The option of examples that write files beside the step log.
#[derive(Args, Debug, Clone)]
pub struct OutputArgs {
    /// Where to write files
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
}

impl OutputArgs {
    /// The folder, which is there from now on.
    pub fn folder(&self) -> taper::Result<&Path> {
        std::fs::create_dir_all(&self.out).map_err(fail(&self.out))?;
        Ok(&self.out)
    }
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

/// A number of at least zero.
pub fn amount<T: FromStr<Err: Display> + PartialOrd + Default + Into<f64> + Copy>(text: &str) -> Result<T, String> {
    match text.parse::<T>() {
        Ok(n) if n >= T::default() && n.into().is_finite() => Ok(n),
        Ok(_) => Err("must be a number of at least 0".into()),
        Err(e) => Err(e.to_string()),
    }
}

fn device(text: &str) -> Result<Device, String> {
    text.parse().map_err(|e: taper::Error| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_numbers_from_zero() {
        assert_eq!((amount::<f32>("0"), amount::<f64>("0.15")), (Ok(0.0), Ok(0.15)));
        for wrong in ["-1", "nan", "inf", "much", ""] {
            assert!(amount::<f64>(wrong).is_err(), "{wrong}");
        }
        assert!(positive("0").is_err() && positive("-3").is_err() && positive("2") == Ok(2));
    }
}
