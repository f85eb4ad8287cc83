//! The end of a process that has work under way.

use std::process::Command;

use taper::Tensor;
use taper_tests::for_each_device;

/// Set in the processes that are to end early.
const CHILD: &str = "TAPER_TEST_ENDS_EARLY";

#[test]
fn a_process_ends_with_work_under_way() {
    if std::env::var_os(CHILD).is_some() {
        for_each_device(|d| {
            let mut x = Tensor::ones([64, 64], d)?;
            // New kernels, so that drivers which compile late do so now; nobody waits for the last one.
            for step in 0..2 {
                x = x.matmul(&x)?.mul(0.5_f64.powi(step))?.sin()?;
                x.realize()?;
            }
            x.add(&x.exp()?)?.sum(-1)?.realize()?;
            Ok(())
        });
        return;
    }
    let this = std::env::current_exe().expect("a running test has a path");
    for _ in 0..2 {
        let mut child = Command::new(&this);
        child.args(["--exact", "a_process_ends_with_work_under_way"]).env(CHILD, "1").env("MESA_SHADER_CACHE_DISABLE", "true");
        let output = child.output().expect("the test can start itself");
        assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "the child ran no test: {said}");
    }
}
