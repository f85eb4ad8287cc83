//! `cargo xtask bench`: how fast Taper is, how fast it could be, and how fast others are.

mod case;
mod cold;
mod limits;
mod memory;
mod peer;
mod report;
mod timer;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use regex::Regex;
use taper::Device;

use crate::limits::Limits;
use crate::report::{Report, Row};
use crate::timer::{Runner, Samples, processor_time};

/// Time Taper's workloads, beside their limits and other libraries.
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask bench")]
struct Options {
    /// cpu, gpu, gpu:1, or part of an adapter's name as in gpu:swiftshader
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Only workloads that match this regular expression
    #[arg(long)]
    only: Option<Regex>,
    /// Seconds to measure each workload
    #[arg(long, default_value = "1", value_parser = seconds)]
    seconds: f64,
    /// Build the libraries of tests/peers, and take turns with them
    #[arg(long)]
    peers: bool,
    /// A Python that has torch, to take turns with PyTorch too
    #[arg(long)]
    python: Option<PathBuf>,
    /// Write all figures there
    #[arg(long)]
    json: Option<PathBuf>,
    /// Replace this device's table in that Markdown file; of all workloads, as what is not measured would be lost
    #[arg(long, conflicts_with = "only")]
    markdown: Option<PathBuf>,
    /// Time even what gives wrong results
    #[arg(long)]
    unchecked: bool,
    /// Print the workloads' names and end
    #[arg(long)]
    list: bool,
    /// What a process that measures a cold start does
    #[arg(long, hide = true)]
    child: Option<String>,
}

/// Times that Taper and its peers take turns in one workload.
const ROUNDS: u32 = 3;
/// Processes started for each kind of cold start.
const STARTS: usize = 5;
/// What is measured of memory alone.
const MEMORY: &str = "memory_gpt_step";

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all results were right.
fn run(options: &Options) -> Result<bool, String> {
    let device: Device = options.device.parse().map_err(|e: taper::Error| e.to_string())?;
    if let Some(what) = &options.child {
        return cold::child(what, &device).map(|()| true).map_err(|e| e.to_string());
    }
    let wanted = |name: &str| options.only.as_ref().is_none_or(|only| only.is_match(name));
    let names = workloads::all().into_iter().map(|w| w.name).chain(cold::STARTS.iter().map(|(_, name)| *name)).chain([MEMORY]);
    if options.list {
        names.filter(|name| wanted(name)).for_each(|name| println!("{name}"));
        return Ok(true);
    }
    if let Some(file) = &options.markdown {
        report::place(&std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?, &options.device)
            .map_err(|e| format!("{}: {e}", file.display()))?;
    }
    let mut peers = peer::start(options.peers, options.python.as_deref())?;
    let limits = Limits::measure();
    let adapter = device.adapter().name.clone();
    // A device of its own has limits of its own, which are not measured here.
    let own_limits = !device.is_cpu() && !device.adapter().software;
    println!("{}: {adapter}; {:.0} GFLOP/s, {:.1} GB/s", options.device, limits.flops / 1e9, limits.bandwidth / 1e9);

    let mut report = Report { device: options.device.clone(), adapter, limits, rows: Vec::new(), notes: Vec::new() };
    let mut right = true;
    for workload in workloads::all().iter().filter(|w| wanted(w.name)) {
        let named = |e: taper::Error| format!("{}: {e}", workload.name);
        let case = (workload.make)(&device).map_err(named)?;
        let checked = (case.check)().map_err(named)?;
        let good = checked.error <= checked.tolerance;
        if !good {
            right = false;
            println!(
                "{}: differs from its reference by {:.1e}, which is more than {:.0e}",
                workload.name, checked.error, checked.tolerance
            );
            if !options.unchecked {
                continue;
            }
        }
        let case = case::Case { run: case.run, check: Box::new(|| unreachable!("checked already")) };
        let runner = Runner::new(&case, &device).map_err(named)?;
        let mut taper = Samples::default();
        let mut others: Vec<(String, Samples)> = peers.iter().map(|p| (p.name.clone(), Samples::default())).collect();
        let turn = options.seconds / f64::from(ROUNDS);
        let before = processor_time();
        for _ in 0..ROUNDS {
            runner.measure(Duration::from_secs_f64(turn), &mut taper).map_err(named)?;
            for (peer, (_, samples)) in peers.iter_mut().zip(&mut others) {
                peer.measure(workload.name, turn, samples)?;
            }
        }
        let repetitions = (taper.0.len() * runner.repeat()) as f64;
        let processor = before.zip(processor_time()).map(|(before, after)| (after - before) / repetitions);
        let floor = if own_limits { 0.0 } else { limits.floor(workload.flop, workload.bytes) };
        let row = Row { name: workload.name.to_owned(), taper, processor, floor, error: Some(checked.error), peers: others };
        print_row(&row);
        report.rows.push(row);
        device.empty_cache();
    }
    for &(what, name) in cold::STARTS.iter().filter(|(_, name)| wanted(name)) {
        let (first, last, rss) = cold::measure(what, &options.device, STARTS)?;
        let mut rows = vec![(name.to_owned(), first)];
        if what == "first-steps" {
            rows.push(("cold_lenet_second_step".to_owned(), last));
        }
        for (name, taper) in rows {
            let row = Row { name, taper, processor: None, floor: 0.0, error: None, peers: Vec::new() };
            print_row(&row);
            report.rows.push(row);
        }
        report.notes.push(format!("Peak memory of the process of `{name}`: {:.0} MiB.", rss as f64 / f64::from(1 << 20)));
    }
    if wanted(MEMORY) {
        let (_, _, rss) = cold::measure("memory", &options.device, 1)?;
        report
            .notes
            .push(format!("Peak memory of a process that takes a GPT's gradients once: {:.0} MiB.", rss as f64 / f64::from(1 << 20)));
    }
    let measured: [(&str, fn(&Device) -> Result<Vec<String>, taper::Error>); 2] =
        [("memory_transformer_blocks", memory::activations), ("packed_lstm_step", memory::padding)];
    for (name, measure) in measured.into_iter().filter(|(name, _)| wanted(name)) {
        report.notes.extend(measure(&device).map_err(|e| format!("{name}: {e}"))?);
        device.empty_cache();
    }
    report.notes.iter().for_each(|note| println!("{note}"));
    if right && report.rows.is_empty() && report.notes.is_empty() {
        return Err("no workload has such a name; --list names them".into());
    }

    let write = |path: &PathBuf, text: String| std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()));
    if let Some(path) = &options.json {
        write(path, format!("{:#}\n", report.json()))?;
    }
    if let Some(path) = &options.markdown {
        report.write_into(path)?;
    }
    Ok(right)
}

/// A time that somebody would wait for.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(s) if (0.0..=3600.0).contains(&s) => Ok(s),
        Ok(_) => Err("must be from 0 to 3600".into()),
        Err(e) => Err(e.to_string()),
    }
}

fn print_row(row: &Row) {
    let ms = |s: f64| format!("{:10.4}", s * 1e3);
    print!("{:34}{} ms  ({} ..{})", row.name, ms(row.taper.median()), ms(row.taper.quantile(0.1)), ms(row.taper.quantile(0.9)));
    if let Some(seconds) = row.processor {
        print!("  {:8.3} ms of processor", seconds * 1e3);
    }
    if row.floor > 0.0 {
        print!("  {:4.0} % of the floor", 100.0 * row.floor / row.taper.median());
    }
    for (name, samples) in row.peers.iter().filter(|(_, s)| !s.0.is_empty()) {
        print!("  {name}{} ({:.2})", ms(samples.median()), row.taper.median() / samples.median());
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_make_no_sense_are_refused() {
        let parse = |args: &str| Options::try_parse_from(["bench"].into_iter().chain(args.split_whitespace()));
        assert_eq!(parse("--device gpu --peers --seconds 0.5").map(|o| (o.peers, o.seconds)).ok(), Some((true, 0.5)));
        for wrong in ["--seconds=-1", "--seconds nan", "--seconds inf", "--only x --markdown f", "--which candle"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
