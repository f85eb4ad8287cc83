//! `cargo xtask test`: every check that a change has to pass.
//!
//! All steps run, whatever fails before them. The last line printed is `N passed, N failed, N skipped`: the
//! tests as nextest and rustdoc counted them, plus one for each step that is not a test run.

use std::{
    env,
    process::{Command, ExitCode},
    time::{Duration, Instant},
};

use crate::{
    command::{Captured, cargo, run as run_command, run_captured},
    setup::{self, Gpus, Wasm},
    summary::{self, Counts},
};

#[derive(clap::Args, Debug)]
pub struct Options {
    /// Let the random-program fuzzers run longer, and all of PyTorch's open set run on the GPU (sets TAPER_FULL=1)
    #[arg(long)]
    full: bool,
}

pub fn run(options: &Options) -> ExitCode {
    let mut report = Report::default();

    println!("== set-up");
    let gpus = Gpus::find();
    let gpu_required = env::var_os("TAPER_REQUIRE_GPU").is_some_and(|value| value == "1");
    report.step("GPU driver: Vulkan", || match &gpus.vulkan {
        Ok(drivers) => Outcome::passed(drivers.clone()),
        Err(reason) if gpu_required => Outcome::failed(format!("TAPER_REQUIRE_GPU=1, but {reason}")),
        Err(reason) => Outcome::skipped(reason.clone()),
    });
    report.step("GPU driver: SwiftShader", || match &gpus.swiftshader {
        Ok(how) => Outcome::passed(how.clone()),
        Err(reason) => Outcome::skipped(reason.clone()),
    });
    if gpu_required && gpus.vulkan.is_err() {
        // Nothing that follows can make this run a good one; say so now rather than after the builds.
        return report.close();
    }
    let (components, nextest, wasm) = (setup::components(), setup::nextest(), Wasm::find());

    let environment = |mut command: Command| {
        command.envs(gpus.environment.iter().map(|(name, value)| (name, value)));
        if options.full {
            command.env("TAPER_FULL", "1");
        }
        command
    };
    let check = |ready: &Result<(), String>, args: &str| {
        ready.clone().and_then(|()| run_command(environment(cargo(args)))).map_or_else(Outcome::failed, |()| Outcome::passed(String::new()))
    };

    report.step("format", || check(&components, "fmt --all --check"));
    report.step("lints", || check(&components, "clippy --workspace --all-targets -- -D warnings"));
    report.step("tests", || match nextest {
        Ok(()) => {
            let profile = if options.full { "full" } else { "default" };
            let command = cargo(&format!("nextest run --workspace --profile {profile}"));
            Outcome::counted(environment(command), |printed| summary::nextest(&printed.stderr))
        }
        Err(reason) => Outcome::failed(reason),
    });
    report.step("doctests", || {
        let command = cargo("test --doc --workspace --no-fail-fast");
        Outcome::counted(environment(command), |printed| summary::doctests(&printed.stdout))
    });
    // What the README tells people to start: in release, as they will build it.
    report.step("examples", || check(&Ok(()), "build --release --package taper-examples --lib --examples"));
    report.step("wasm32", || {
        let packages = "build --package taper --package taper-files --package taper-onnx --package taper-web";
        match wasm.and_then(|wasm| run_command(environment(wasm.cargo(packages)))) {
            Ok(()) => Outcome::passed(String::new()),
            Err(reason) => Outcome::failed(reason),
        }
    });
    report.close()
}

/// How a step went.
struct Outcome {
    counts: Counts,
    /// What the table says beside it: the reason, where it failed or was skipped.
    note: String,
}

impl Outcome {
    fn passed(note: String) -> Self {
        Outcome { counts: Counts { passed: 1, ..Counts::default() }, note }
    }

    fn failed(note: String) -> Self {
        Outcome { counts: Counts { failed: 1, ..Counts::default() }, note }
    }

    fn skipped(note: String) -> Self {
        Outcome { counts: Counts { skipped: 1, ..Counts::default() }, note }
    }

    /// A test run: its own counts, and one more failure if it ended badly without naming one (a test that
    /// does not compile) or if its counts cannot be read.
    fn counted(command: Command, read: impl FnOnce(&Captured) -> Result<Counts, String>) -> Self {
        let printed = match run_captured(command) {
            Ok(printed) => printed,
            Err(reason) => return Outcome::failed(reason),
        };
        match (read(&printed), printed.ended) {
            (Ok(counts), Err(reason)) if counts.failed == 0 => Outcome { counts: Counts { failed: 1, ..counts }, note: reason },
            (Ok(counts), _) => Outcome { counts, note: counts.to_string() },
            (Err(unread), ended) => Outcome::failed(ended.err().map_or(unread.clone(), |reason| format!("{reason}; {unread}"))),
        }
    }

    fn word(&self) -> &'static str {
        match self.counts {
            Counts { failed: 1.., .. } => "FAILED",
            Counts { passed: 0, skipped: 1.., .. } => "skipped",
            Counts { passed: 0, .. } => "empty",
            _ => "ok",
        }
    }
}

/// The steps so far.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    counts: Counts,
}

impl Report {
    fn step(&mut self, name: &str, body: impl FnOnce() -> Outcome) {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = body();
        let line = format!("{:<8} {name:<24} {:>8}  {}", outcome.word(), seconds(start.elapsed()), outcome.note);
        println!("{}", line.trim_end());
        self.lines.push(line);
        self.counts += outcome.counts;
    }

    fn close(self) -> ExitCode {
        println!("\n== summary");
        for line in &self.lines {
            println!("{}", line.trim_end());
        }
        println!("{}", self.counts);
        if self.counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(_: &Captured) -> Result<Counts, String> {
        Ok(Counts { passed: 3, failed: 0, skipped: 1 })
    }

    #[test]
    fn a_run_that_ends_badly_without_a_failed_test_is_a_failure() {
        let outcome = Outcome::counted(cargo("no-such-subcommand"), good);
        assert_eq!(outcome.counts, Counts { passed: 3, failed: 1, skipped: 1 });
        assert_eq!(outcome.word(), "FAILED");
    }

    #[test]
    fn a_run_whose_summary_cannot_be_read_is_a_failure() {
        let outcome = Outcome::counted(cargo("--version"), |printed| summary::nextest(&printed.stderr));
        assert_eq!(outcome.counts, Counts { passed: 0, failed: 1, skipped: 0 });
    }

    #[test]
    fn a_good_run_counts_its_tests_only() {
        assert_eq!(Outcome::counted(cargo("--version"), good).counts, Counts { passed: 3, failed: 0, skipped: 1 });
    }
}
