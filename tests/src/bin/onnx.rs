//! `cargo xtask onnx`: the test cases of ONNX against the importer.
//!
//! Whoever changed what passes records it anew, from the root of the repository:
//!
//! ```text
//! cargo xtask onnx --suite ../shared/conformance --device cpu --json target/cpu.json
//! cargo xtask onnx --suite ../shared/conformance --device gpu --json target/gpu.json
//! cargo xtask onnx --record target/cpu.json,target/gpu.json
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use regex::Regex;
use taper::Device;
use taper_tests::conformance::rates::{self, Rates};
use taper_tests::conformance::table::Recorded;
use taper_tests::onnx;

/// Run ONNX's own test cases.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask onnx")]
struct Options {
    /// A suite: a folder with an index.json, or an archive of one, or a folder that holds either
    #[arg(long, required_unless_present = "record")]
    suite: Option<PathBuf>,
    /// cpu, gpu, gpu:1, or part of an adapter's name as in gpu:swiftshader
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Only names that match this regular expression
    #[arg(long)]
    only: Option<Regex>,
    /// Write the counts there
    #[arg(long)]
    json: Option<PathBuf>,
    /// Run nothing: write tests/onnx/rates.toml from what --json wrote for the CPU and, if it ran there, for lavapipe
    #[arg(long, value_delimiter = ',', value_name = "CPU,GPU", exclusive = true)]
    record: Option<Vec<PathBuf>>,
    /// Print every failing case, not only each operator's worst
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    // A panic is one case's failure and is reported as such.
    std::panic::set_hook(Box::new(|_| {}));
    let failed = |why: String| {
        eprintln!("{why}");
        ExitCode::from(2)
    };
    if let Some(reports) = options.record {
        return record(&reports).map_or_else(failed, |()| ExitCode::SUCCESS);
    }
    let suite = options.suite.unwrap_or_default();
    let report = match onnx::run(&suite, &options.device, options.only.as_ref()) {
        Ok(report) if report.totals.is_empty() => return failed(format!("no case of {} is of that name", suite.display())),
        Ok(report) => report,
        Err(why) => return failed(why),
    };
    if options.all {
        report.print_failures();
    }
    println!("{report}");
    if let Some(path) = &options.json
        && let Err(why) = report.write(path)
    {
        return failed(why);
    }
    ExitCode::from((report.all().failed > 0) as u8)
}

/// Writes what is committed about the rates of a run on the CPU and one on lavapipe.
fn record(reports: &[PathBuf]) -> Result<(), String> {
    let read = reports.iter().map(|path| Recorded::read(path)).collect::<Result<Vec<_>, _>>()?;
    let text = Rates::of(["cpu", "gpu"].into_iter().zip(read.iter().map(|r| &r.totals))).to_text("onnx");
    let path = rates::file("onnx");
    std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))
}
