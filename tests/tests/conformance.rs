//! PyTorch's recorded cases. Where the whole open set lies beside the checkout (`../shared/conformance`, or the folder that
//! `TAPER_SUITE` names) it runs on the CPU and on lavapipe, and no rate may be lower than recorded. Everywhere the committed
//! excerpt runs, on the CPU and on every GPU present, and all of it passes.

use std::env;
use std::path::{Path, PathBuf};

use taper::Device;
use taper_tests::conformance::rates::Rates;
use taper_tests::conformance::{self, Selection, table};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn passes_on(device: &Device) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/data");
    let report = conformance::run(&data, device, &Selection::default()).unwrap();
    let counts = report.all();
    println!("conformance on {device}: the committed excerpt, {} cases", counts.passed + counts.failed);
    assert_eq!(counts.failed, 0, "on {device}:\n{report}");
    assert!(counts.passed > 100, "on {device} almost nothing ran:\n{report}");
}

#[test]
fn recorded_cases_pass_on_the_cpu() {
    passes_on(&Device::cpu());
}

#[test]
fn recorded_cases_pass_on_every_gpu() {
    let gpus = Device::gpus();
    assert!(!gpus.is_empty() || env::var_os("TAPER_REQUIRE_GPU").is_none_or(|v| v != "1"), "TAPER_REQUIRE_GPU=1, but there is no GPU");
    for (i, adapter) in gpus.iter().enumerate() {
        match Device::gpu(i) {
            Ok(device) => passes_on(&device),
            Err(why) => panic!("{}: {why}", adapter.name),
        }
    }
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

/// Runs a part of the open set, and compares with what was recorded of it. `key` names the device in the records.
fn keeps_its_rates(key: &str, device: &Device, column: usize, selection: &Selection) {
    let Some(suite) = open_set() else { return };
    let start = std::time::Instant::now();
    let report = conformance::run(&suite, device, selection).unwrap();
    let what =
        if selection.tiers.is_empty() { "everything".into() } else { format!("tiers {} and all other kinds", selection.tiers.join(", ")) };
    println!("conformance on {device}: {what} of {}, {:.0} s\n{}", suite.display(), start.elapsed().as_secs_f64(), report.summary());
    assert!(report.all().passed > 1000, "on {device} almost nothing ran:\n{report}");
    let rates = Rates::read().unwrap();
    if !rates.knows(key) {
        println!("conformance: nothing is recorded of the {key} to compare this with");
        return;
    }
    let fallen = rates.fallen(key, &report);
    assert!(fallen.is_empty(), "{}\n{report}", fallen.join("\n"));
    let outdated = table::outdated(&report, column).unwrap();
    let how = "docs/operators.md is out of date; tests/src/bin/conformance.rs tells how it is made again";
    assert!(outdated.is_empty(), "{how}:\n{}", outdated.join("\n"));
}

#[test]
fn the_open_set_keeps_its_rates_on_the_cpu() {
    keeps_its_rates("cpu", &Device::cpu(), table::CPU, &Selection::default());
}

/// Tiers A and X: what a deep-learning framework needs, and work in place. `cargo xtask test --full` runs all of them.
#[test]
fn the_open_set_keeps_its_rates_on_the_gpu() {
    let Some(lavapipe) = Device::gpus().iter().position(|a| a.name.contains("llvmpipe")) else {
        assert!(env::var_os("TAPER_REQUIRE_GPU").is_none_or(|v| v != "1"), "TAPER_REQUIRE_GPU=1, but there is no lavapipe");
        println!("conformance: no lavapipe, so the open set ran on no GPU");
        return;
    };
    let all = env::var_os("TAPER_FULL").is_some_and(|v| v == "1");
    let tiers = if all { vec![] } else { ["A", "X"].map(str::to_string).to_vec() };
    keeps_its_rates("gpu", &Device::gpu(lavapipe).unwrap(), table::GPU, &Selection { tiers, ..Selection::default() });
}
