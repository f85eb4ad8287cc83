//! The excerpt of PyTorch's recorded cases that is committed: every case passes, on the CPU and on every GPU present.
//! `cargo xtask conformance --suite ../shared/conformance` runs all of them.

use std::path::Path;

use taper::Device;
use taper_tests::conformance::{self, Selection};

fn passes_on(device: &Device) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/data");
    let report = conformance::run(&data, device, &Selection::default()).unwrap();
    let counts = report.all();
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
    assert!(!gpus.is_empty() || std::env::var_os("TAPER_REQUIRE_GPU").is_none_or(|v| v != "1"), "TAPER_REQUIRE_GPU=1, but there is no GPU");
    for (i, adapter) in gpus.iter().enumerate() {
        match Device::gpu(i) {
            Ok(device) => passes_on(&device),
            Err(why) => panic!("{}: {why}", adapter.name),
        }
    }
}
