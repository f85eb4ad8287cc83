//! `cargo xtask conformance`: PyTorch's recorded cases against the engine.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use regex::Regex;
use taper::Device;
use taper_tests::conformance::suite::Suite;
use taper_tests::conformance::{self, Selection};

/// Run PyTorch's recorded cases against the engine.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask conformance")]
struct Options {
    /// A suite: a folder with a manifest.json, or an archive of one, or a folder that holds either
    #[arg(long)]
    suite: PathBuf,
    /// cpu, gpu, gpu:1, or part of an adapter's name as in gpu:swiftshader
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Of op, module, optimizer, lr_scheduler, dtype, train, errors
    #[arg(long, value_delimiter = ',')]
    kind: Vec<String>,
    /// Of A, B, C, X
    #[arg(long, value_delimiter = ',')]
    tier: Vec<String>,
    /// Only names that match this regular expression
    #[arg(long)]
    only: Option<Regex>,
    /// Write the counts there
    #[arg(long)]
    json: Option<PathBuf>,
    /// Run nothing: write an excerpt of the suite there, with a case of every operator the engine has
    #[arg(long)]
    excerpt: Option<PathBuf>,
    /// Print every failing case, not only each name's worst
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // A panic is one case's failure and is reported as such.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(to) = options.excerpt {
        let written = Suite::open(&options.suite).and_then(|suite| conformance::excerpt::write(&suite, &to));
        return match written {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::from(2)
            }
        };
    }
    let selection = Selection { kinds: options.kind, tiers: options.tier, only: options.only };
    let report = match conformance::run(&options.suite, &options.device, &selection) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    if options.all {
        for name in report.names.values() {
            for (sample, what) in &name.failures {
                println!("{} {sample}: {what}", name.name);
            }
        }
    }
    if let Some(path) = options.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        if let Err(e) = std::fs::write(&path, text) {
            eprintln!("{}: {e}", path.display());
            return ExitCode::from(2);
        }
    }
    println!("{report}");
    ExitCode::from((report.all().failed > 0) as u8)
}
