//! `cargo xtask bench`: the work is done by the binary of the bench package, in the release profile; this builds it, and the
//! peers if they are wanted.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::command::{cargo, root, run as run_command};

#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Options {
    /// Build and run the other libraries of tests/peers too
    #[arg(long)]
    peers: bool,
    /// Of candle, burn-flex, burn-wgpu; all by default. burn takes half an hour to build
    #[arg(long, value_delimiter = ',', default_value = "candle,burn-flex,burn-wgpu")]
    which: Vec<String>,
    /// A Python that has torch, to run PyTorch as well
    #[arg(long)]
    python: Option<PathBuf>,
    /// Options of the benchmark: --device, --only, --seconds, --json, and more (--help lists them)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    forwarded: Vec<String>,
}

pub fn run(options: &Options) -> ExitCode {
    let peers = match peers(options) {
        Ok(peers) => peers,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let mut command = cargo("run --quiet --release --package taper-bench --");
    command.args(&options.forwarded);
    for peer in peers {
        command.args(["--peer".to_owned(), peer]);
    }
    match command.status() {
        Ok(status) => ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(101)),
        Err(e) => {
            eprintln!("cargo: {e}");
            ExitCode::from(2)
        }
    }
}

/// Builds the peers; each as the benchmark wants it, `NAME=COMMAND`.
fn peers(options: &Options) -> Result<Vec<String>, String> {
    let folder = root().join("tests").join("peers");
    let mut peers = Vec::new();
    for name in options.which.iter().filter(|_| options.peers) {
        let (package, arguments) = match name.as_str() {
            "candle" => ("candle-peer", ""),
            "burn-flex" => ("burn-peer", " flex"),
            "burn-wgpu" => ("burn-peer", " wgpu"),
            other => return Err(format!("no peer is called {other}")),
        };
        let mut build = cargo("build --release");
        build.current_dir(&folder).args(["--package", package]);
        run_command(build)?;
        peers.push(format!("{name}={}{arguments}", folder.join("target").join("release").join(package).display()));
    }
    if let Some(python) = &options.python {
        peers.push(format!("torch={} {}", python.display(), folder.join("torch_peer.py").display()));
    }
    Ok(peers)
}
