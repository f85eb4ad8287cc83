//! PyTorch's recorded cases. Where the whole open set lies beside the checkout (`../shared/conformance`, or the folder that
//! `TAPER_SUITE` names) it runs on the CPU and on lavapipe: no rate may be lower than recorded, nor than what is promised of
//! the operators that matter. Everywhere the committed excerpt runs, on the CPU and on every GPU present, and all of it passes.

use std::env;
use std::path::{Path, PathBuf};

use taper::Device;
use taper_tests::conformance::rates::Rates;
use taper_tests::conformance::report::Report;
use taper_tests::conformance::table::{self, Column};
use taper_tests::conformance::{self, Selection};
use taper_tests::{flag, gpus};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn passes_on(device: &Device) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/data");
    let report = conformance::run(&data, device, &Selection::default()).unwrap();
    let counts = report.all();
    println!("conformance on {device}: the committed excerpt, {} cases", counts.passed + counts.failed);
    assert_eq!(counts.failed, 0, "on {device}:\n{report}");
    // Every kind of case is there, and what a GPU has no type for is the exception.
    for kind in conformance::KINDS {
        assert!(report.names.values().any(|n| n.kind == kind && n.counts.passed > 0), "on {device} no {kind} passed:\n{report}");
    }
    let skipped = if device.is_cpu() { 0 } else { counts.passed / 2 };
    assert!(counts.passed > 1000 && counts.skipped <= skipped, "on {device} too little ran:\n{report}");
}

#[test]
fn recorded_cases_pass_on_the_cpu() {
    passes_on(&Device::cpu());
}

#[test]
fn recorded_cases_pass_on_every_gpu() {
    gpus().iter().for_each(passes_on);
}

/// The whole open set, if this machine has it.
fn open_set() -> Option<PathBuf> {
    let beside = root().join("../shared/conformance");
    let named = env::var_os("TAPER_SUITE").map(PathBuf::from);
    let found = named.or_else(|| beside.is_dir().then_some(beside));
    if found.is_none() {
        println!("conformance: no open set beside the checkout, so only the committed excerpt runs");
    }
    found
}

/// The share of tiers A and X that passes, in percent.
fn essential(report: &Report) -> f64 {
    let counts = ["op/A", "op/X"].map(|key| report.totals.get(key).copied().unwrap_or_default());
    let (passed, failed) = counts.iter().fold((0, 0), |(p, f), c| (p + c.passed, f + c.failed));
    100.0 * passed as f64 / (passed + failed).max(1) as f64
}

/// Runs a part of the open set. `key` names the device in the records, `promised` is the share of tiers A and X that has to pass.
fn keeps_its_rates(key: &str, device: &Device, column: Column, selection: &Selection, promised: f64) {
    let Some(suite) = open_set() else { return };
    let start = std::time::Instant::now();
    let report = conformance::run(&suite, device, selection).unwrap();
    let what =
        if selection.tiers.is_empty() { "everything".into() } else { format!("tiers {} and all other kinds", selection.tiers.join(", ")) };
    println!("conformance on {device}: {what} of {}, {:.0} s\n{}", suite.display(), start.elapsed().as_secs_f64(), report.summary());
    assert!(essential(&report) >= promised, "on {device} {:.2} % of tiers A and X pass, not {promised} %:\n{report}", essential(&report));
    let rates = Rates::read("conformance").unwrap();
    if !rates.knows(key) {
        println!("conformance: nothing is recorded of the {key} to compare this with");
        return;
    }
    let fallen = rates.fallen(key, &report, selection);
    assert!(fallen.is_empty(), "{}\n{report}", fallen.join("\n"));
    let outdated = table::outdated(&report, column).unwrap();
    let how = "docs/operators.md is out of date; tests/src/bin/conformance.rs tells how it is made again";
    assert!(outdated.is_empty(), "{how}:\n{}", outdated.join("\n"));
}

#[test]
fn the_open_set_keeps_its_rates_on_the_cpu() {
    keeps_its_rates("cpu", &Device::cpu(), Column::Cpu, &Selection::default(), 99.0);
}

/// Tiers A and X: what a deep-learning framework needs, and work in place. `cargo xtask test --full` runs all of them.
#[test]
fn the_open_set_keeps_its_rates_on_the_gpu() {
    let Some(lavapipe) = Device::gpus().iter().position(|a| a.name.contains("llvmpipe")) else {
        assert!(!flag("TAPER_REQUIRE_GPU"), "TAPER_REQUIRE_GPU=1, but there is no lavapipe");
        println!("conformance: no lavapipe, so the open set ran on no GPU");
        return;
    };
    let tiers = if flag("TAPER_FULL") { vec![] } else { ["A", "X"].map(str::to_string).to_vec() };
    keeps_its_rates("gpu", &Device::gpu(lavapipe).unwrap(), Column::Gpu, &Selection { tiers, ..Selection::default() }, 98.0);
}
