//! `cargo xtask conformance`: PyTorch's recorded cases against the engine.
//!
//! Whoever changed what passes records it anew, from the root of the repository:
//!
//! ```text
//! cargo xtask conformance --suite ../shared/conformance --device cpu --json target/cpu.json
//! cargo xtask conformance --suite ../shared/conformance --device gpu --json target/gpu.json
//! cargo xtask conformance --record target/cpu.json,target/gpu.json
//! rm -r tests/conformance/data
//! cargo xtask conformance --suite ../shared/conformance --excerpt tests/conformance/data
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;
use regex::Regex;
use taper::Device;
use taper_tests::conformance::rates::{self, Rates};
use taper_tests::conformance::suite::Suite;
use taper_tests::conformance::table::{self, Recorded};
use taper_tests::conformance::{self, KINDS, Selection, TIERS};

/// Run PyTorch's recorded cases against the engine.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask conformance")]
struct Options {
    /// A suite: a folder with a manifest.json, or an archive of one, or a folder that holds either
    #[arg(long, required_unless_present = "record")]
    suite: Option<PathBuf>,
    /// cpu, gpu, gpu:1, or part of an adapter's name as in gpu:swiftshader
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// What to run; everything unless given
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(KINDS))]
    kind: Vec<String>,
    /// Of operators; all unless given
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(TIERS))]
    tier: Vec<String>,
    /// Only names that match this regular expression
    #[arg(long)]
    only: Option<Regex>,
    /// Write the counts there
    #[arg(long)]
    json: Option<PathBuf>,
    /// Run nothing: write docs/operators.md and tests/conformance/rates.toml from what --json wrote for the CPU and, if it ran there,
    /// for lavapipe
    #[arg(long, value_delimiter = ',', value_name = "CPU,GPU", exclusive = true)]
    record: Option<Vec<PathBuf>>,
    /// Write an excerpt of the suite there: a case of every name that passes on the CPU and on every GPU present
    #[arg(long, conflicts_with_all = ["device", "kind", "tier", "only", "json", "all"])]
    excerpt: Option<PathBuf>,
    /// Print every failing case, not only each name's worst
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // A panic is one case's failure and is reported as such.
    std::panic::set_hook(Box::new(|_| {}));
    let done = |outcome: Result<(), String>| match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    };
    if let Some(reports) = options.record {
        return done(record(&reports));
    }
    let suite = options.suite.unwrap_or_default();
    if let Some(to) = options.excerpt {
        return done(Suite::open(&suite).and_then(|suite| conformance::excerpt::write(&suite, &to)).map(|said| println!("{said}")));
    }
    let selection = Selection { kinds: options.kind, tiers: options.tier, only: options.only };
    let report = match conformance::run(&suite, &options.device, &selection) {
        Ok(report) => report,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    if report.totals.is_empty() {
        eprintln!("no case of {} is of that kind, tier and name", suite.display());
        return ExitCode::from(2);
    }
    if options.all {
        report.print_failures();
    }
    println!("{report}");
    if let Some(path) = options.json
        && let Err(why) = report.write(&path)
    {
        eprintln!("{why}");
        return ExitCode::from(2);
    }
    ExitCode::from((report.all().failed > 0) as u8)
}

/// Writes what is committed about the rates of a run on the CPU and one on lavapipe.
fn record(reports: &[PathBuf]) -> Result<(), String> {
    let [cpu, gpu @ ..] = reports else { return Err("--record takes the reports of the CPU and of lavapipe".into()) };
    let cpu = Recorded::read(cpu)?;
    let gpu = gpu.first().map(|path| Recorded::read(path)).transpose()?;
    let put = |path: PathBuf, text: String| {
        let dir = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        dir.and_then(|()| std::fs::write(&path, text)).map_err(|e| format!("{}: {e}", path.display()))
    };
    let all = [("cpu", &cpu.totals)].into_iter().chain(gpu.as_ref().map(|g| ("gpu", &g.totals)));
    put(rates::file("conformance"), Rates::of(all).to_text("conformance"))?;
    put(table::file(), table::write(&cpu, gpu.as_ref()))
}
