//! What the commands have in common.

pub mod convert;
pub mod inspect;
pub mod verify;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use taper::nn::StateDict;
use taper::{Device, Error};
use taper_files::parity;
use taper_native::Weights;

/// Why a command ends without its result.
pub enum Failure {
    /// The command line asks for what there is not: status 2, as for what clap refuses.
    Usage(String),
    /// A file is not as it should be: status 1.
    File(Error),
}

impl From<Error> for Failure {
    fn from(e: Error) -> Failure {
        Failure::File(e)
    }
}

impl Failure {
    /// One line on the error stream, and the status.
    pub fn report(self) -> ExitCode {
        let (text, code) = match self {
            Failure::Usage(text) => (text, 2),
            Failure::File(e) => (e.to_string(), 1),
        };
        // A name in a file may have anything in it. Nobody is told if nobody listens.
        drop(writeln!(std::io::stderr(), "taper: {}", plain(&text)));
        ExitCode::from(code)
    }
}

/// Text without line breaks and terminal sequences.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Prints a result; that the reader went away is no failure.
pub fn print(text: &str) -> ExitCode {
    drop(std::io::stdout().write_all(text.as_bytes()));
    ExitCode::SUCCESS
}

/// `1.40 MB`, in powers of ten.
pub fn bytes(n: u64) -> String {
    indicatif::DecimalBytes(n).to_string()
}

/// Files smaller than this are read before a bar could be drawn.
const LARGE: u64 = 64 << 20;

/// A bar over that many bytes, if they take a while.
pub fn bar(what: &'static str, total: u64) -> ProgressBar {
    if total < LARGE {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total).with_message(what);
    let style = ProgressStyle::with_template("{msg:9} {wide_bar} {decimal_bytes:>9} of {decimal_total_bytes}  {eta}");
    // The template is written above; should it ever be wrong, the usual bar is drawn.
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// All tensors of a file, on the CPU.
pub fn load(weights: &Weights) -> Result<StateDict, Failure> {
    let bar = bar("reading", weights.entries().map(|e| e.bytes).sum());
    let tensors = weights.tensors_with(&Device::cpu(), &mut |done| bar.set_position(done))?;
    bar.finish_and_clear();
    Ok(tensors)
}

/// Status 1 if they differ.
pub fn compare(expected: &Path, got: &Path, rtol: f64, atol: f64) -> Result<ExitCode, Failure> {
    if !(rtol >= 0.0 && atol >= 0.0) {
        return Err(Failure::Usage(format!("tolerances of {rtol} and {atol}: they have to be 0 or more")));
    }
    let (expected, got) = (load(&Weights::open(expected)?)?, load(&Weights::open(got)?)?);
    let report = parity::compare(&expected, &got, rtol, atol)?;
    print(&format!("{report}\n"));
    Ok(ExitCode::from(u8::from(!report.is_within())))
}

/// One report per device; an adapter that cannot be used is named with the reason.
pub fn devices() -> ExitCode {
    let mut out = format!("{}\n", Device::cpu().report());
    for (index, adapter) in Device::gpus().iter().enumerate() {
        out += &match Device::gpu(index) {
            Ok(device) => format!("\n{}\n", device.report()),
            Err(e) => format!("\ndevice     gpu:{index}\nadapter    {}\nrefused    {e}\n", adapter.name),
        };
    }
    print(&format!("{out}\nbest       {}\n", Device::best()))
}
