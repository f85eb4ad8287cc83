//! `cargo xtask onnx`: the test cases of ONNX against the importer.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use regex::Regex;
use taper::Device;
use taper_tests::onnx;

/// Run ONNX's own test cases.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask onnx")]
struct Options {
    /// A suite: a folder with an index.json, or an archive of one, or a folder that holds either
    #[arg(long)]
    suite: PathBuf,
    /// cpu, gpu, gpu:1, or part of an adapter's name as in gpu:swiftshader
    #[arg(long, default_value = "cpu")]
    device: Device,
    /// Only names that match this regular expression
    #[arg(long)]
    only: Option<Regex>,
    /// Write the counts there
    #[arg(long)]
    json: Option<PathBuf>,
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
    let report = match onnx::run(&options.suite, &options.device, options.only.as_ref()) {
        Ok(report) if report.totals.is_empty() => return failed(format!("no case of {} is of that name", options.suite.display())),
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
