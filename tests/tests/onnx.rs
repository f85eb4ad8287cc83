//! ONNX models through the importer: cases recorded from onnxruntime, on every device present; and, where it lies
//! beside the checkout (`../shared/conformance`, or the folder that `TAPER_SUITE` names), ONNX's own open set, of which no rate
//! may be lower than recorded, nor than what is promised.

use std::env;
use std::path::{Path, PathBuf};

use taper::Device;
use taper_tests::conformance::Selection;
use taper_tests::conformance::rates::Rates;
use taper_tests::conformance::report::Report;
use taper_tests::conformance::suite::find_with;
use taper_tests::{flag, gpus, onnx};

/// Recorded by tests/onnx/record.py.
fn recorded_cases_pass_on(device: &Device) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/data");
    let report = onnx::run(&data, device, None).unwrap();
    let counts = report.all();
    assert!(counts.failed == 0 && counts.skipped == 0 && counts.passed >= 57, "on {device}:\n{report}");
}

#[test]
fn operators_are_those_of_onnxruntime_on_the_cpu() {
    recorded_cases_pass_on(&Device::cpu());
}

#[test]
fn operators_are_those_of_onnxruntime_on_every_gpu() {
    gpus().iter().for_each(recorded_cases_pass_on);
}

/// The whole open set, if this machine has it.
fn open_set() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    let named = env::var_os("TAPER_SUITE").map(PathBuf::from);
    let found = named.or_else(|| beside.is_dir().then_some(beside));
    if found.is_none() {
        println!("onnx: no open set beside the checkout, so only what was recorded from onnxruntime runs");
    }
    found
}

/// The share that passes of some totals, in percent.
fn share(report: &Report, totals: &[&str]) -> f64 {
    let counts = totals.iter().map(|key| report.totals.get(*key).copied().unwrap_or_default());
    let (passed, all) = counts.fold((0, 0), |(p, n), c| (p + c.passed, n + c.passed + c.failed));
    100.0 * passed as f64 / all.max(1) as f64
}

/// `promised` is the share of ordinary cases that has to pass.
fn keeps_its_rates(key: &str, device: &Device, promised: f64) {
    let Some(suite) = open_set() else { return };
    let report = onnx::run(&suite, device, None).unwrap();
    println!("onnx on {device}: {}\n{}", suite.display(), report.summary());
    for (totals, promised) in [(&["plain", "expanded", "model"][..], promised), (&["plain", "expanded", "model", "flagged"], 85.0)] {
        assert!(share(&report, totals) >= promised, "on {device} {:.2} % pass, not {promised} %:\n{report}", share(&report, totals));
    }
    let fallen = Rates::read("onnx").unwrap().fallen(key, &report, &Selection::default());
    assert!(fallen.is_empty(), "{}\n{report}", fallen.join("\n"));
}

#[test]
fn the_open_set_keeps_its_rates_on_the_cpu() {
    keeps_its_rates("cpu", &Device::cpu(), 97.0);
}

#[test]
fn the_open_set_keeps_its_rates_on_the_gpu() {
    let Some(lavapipe) = Device::gpus().iter().position(|a| a.name.contains("llvmpipe")) else {
        assert!(!flag("TAPER_REQUIRE_GPU"), "TAPER_REQUIRE_GPU=1, but there is no lavapipe");
        println!("onnx: no lavapipe, so the open set ran on no GPU");
        return;
    };
    keeps_its_rates("gpu", &Device::gpu(lavapipe).unwrap(), 95.0);
}

/// Bytes of models changed at random: each yields a model or an error, and so does each run of one. With `TAPER_FULL=1` those of the
/// open set too, but for the ones with loops, which a change may let run for ever.
#[test]
fn no_change_to_a_model_makes_it_panic() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("onnx/data/node");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(data).unwrap().map(|e| e.unwrap().path()).collect();
    if let (true, Some(suite)) = (flag("TAPER_FULL"), open_set()) {
        let nodes = find_with(&suite, "index.json", "onnx-").unwrap().join("node");
        let all = std::fs::read_dir(nodes).unwrap().map(|e| e.unwrap().path());
        folders.extend(all.filter(|f| !f.to_string_lossy().contains("loop")));
    }
    folders.sort();
    let mut state = 1u64;
    let mut next = |n: usize| {
        // Knuth's linear congruential generator; its upper bits.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % n
    };
    let (mut loaded, mut refused) = (0, 0);
    for folder in &folders {
        let whole = std::fs::read(folder.join("model.onnx")).unwrap();
        for _ in 0..60 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next(4) {
                let at = next(bytes.len());
                match next(8) {
                    0 => drop(bytes.remove(at)),
                    1 => bytes.insert(at, next(256) as u8),
                    2..5 => bytes[at] = next(256) as u8,
                    _ => bytes[at] ^= 1 << next(8),
                }
            }
            let ran = std::panic::catch_unwind(|| onnx::run_changed(&bytes, folder));
            match ran {
                Ok(Ok(())) => loaded += 1,
                Ok(Err(_)) => refused += 1,
                Err(_) => panic!("{}: this panics: {bytes:?}", folder.display()),
            }
        }
    }
    assert!(loaded > 50 && refused > 50, "{loaded} models ran, {refused} were refused");
}
