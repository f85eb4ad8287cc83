//! Random programs: fused against op by op, device against device, threads against one thread.
//!
//! `TAPER_FULL=1` runs twenty times as many; `TAPER_FUZZ_SEED=n` runs program `n` alone and prints it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use taper::Device;
use taper_tests::program::{ALL, Mode, Outcome, PORTABLE, Program, Traits, disagreement};
use taper_tests::{amount, devices, flag, gpus};

const LENGTH: usize = 28;

/// What every device can do.
const COMMON: Traits = Traits { types: PORTABLE, random: true, odd: false };
/// What the CPU can do beside that.
const WIDE: Traits = Traits { types: ALL, random: true, odd: true };
/// What several programs can do at once.
const SHARED: Traits = Traits { types: PORTABLE, random: false, odd: false };

fn mode(device: &Device, eager: bool, salt: u64) -> Mode {
    Mode { device: device.clone(), eager, salt, keep: false }
}

/// A run, or the panic it ended in as text.
fn attempt(p: &Program, mode: &Mode) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| p.run(mode))).map_err(|e| {
        let text = e.downcast_ref::<String>().cloned().or_else(|| e.downcast_ref::<&str>().map(|s| s.to_string()));
        format!("panicked in {} mode: {}", if mode.eager { "eager" } else { "fused" }, text.unwrap_or_default())
    })
}

type Check<'a> = dyn Fn(&Program) -> Result<(), String> + 'a;

/// Runs `count` programs through a check; the first that fails is shrunk and printed.
#[track_caller]
fn hunt(name: &str, count: usize, traits: Traits, check: &Check) {
    let only: Option<u64> = std::env::var("TAPER_FUZZ_SEED").ok().map(|s| s.parse().expect("TAPER_FUZZ_SEED is a program's number"));
    let limit = if flag("TAPER_FULL") { Duration::from_secs(3600) } else { Duration::from_secs(100) };
    let start = Instant::now();
    let seeds = only.map_or(1..count as u64 + 1, |s| s..s + 1);
    let mut ran = 0;
    for seed in seeds {
        let program = Program::new(seed, LENGTH, traits);
        if let Err(why) = check(&program) {
            let small = program.shrink(|p| check(p).is_err());
            let small_why = check(&small).err().unwrap_or_else(|| "(did not happen again)".into());
            let text = attempt(&small, &mode(&Device::cpu(), true, 1)).map(|o| o.text.join("\n")).unwrap_or_else(|e| e);
            panic!("{name}, TAPER_FUZZ_SEED={seed}:\n{text}\n{small_why}\n(before shrinking: {why})");
        }
        ran += 1;
        if start.elapsed() > limit {
            eprintln!("{name}: stopped after {ran} of {count} programs, {} s", limit.as_secs());
            return;
        }
    }
    eprintln!("{name}: {ran} programs in {:.1} s", start.elapsed().as_secs_f64());
}

fn agree(a: Outcome, b: Outcome, what: &str, slack: f64) -> Result<(), String> {
    disagreement(&a, &b, slack).map_or(Ok(()), |why| Err(format!("{what}: {why}")))
}

/// Fused and eager agree, also when the plan runs again with other values.
fn fused_is_eager(device: &Device, replay: bool) -> impl Fn(&Program) -> Result<(), String> {
    let device = device.clone();
    move |p| {
        for salt in 1..=if replay { 2 } else { 1 } {
            let fused = attempt(p, &mode(&device, false, salt))?;
            let eager = attempt(p, &mode(&device, true, salt))?;
            agree(fused, eager.clone(), &format!("{device}: fused against eager, values {salt}"), 1.0)?;
            if replay {
                let kept = attempt(p, &Mode { keep: true, ..mode(&device, false, salt) })?;
                agree(kept, eager, &format!("{device}: fused with all handles kept against eager, values {salt}"), 1.0)?;
            }
        }
        Ok(())
    }
}

#[test]
fn fused_plans_compute_what_single_operations_do_on_the_cpu() {
    hunt("cpu", amount(3000), COMMON, &fused_is_eager(&Device::cpu(), true));
}

#[test]
fn fused_plans_compute_what_single_operations_do_in_every_type() {
    hunt("cpu, all types", amount(2000), WIDE, &fused_is_eager(&Device::cpu(), true));
}

#[test]
fn fused_plans_compute_what_single_operations_do_on_gpu() {
    for device in gpus() {
        hunt(&device.name(), amount(250), COMMON, &fused_is_eager(&device, false));
    }
}

#[test]
fn gpu_and_cpu_agree() {
    for device in gpus() {
        let check = |p: &Program| {
            let cpu = attempt(p, &mode(&Device::cpu(), false, 1))?;
            let gpu = attempt(p, &mode(&device, false, 1))?;
            agree(gpu, cpu, &format!("{device} against cpu"), 8.0)
        };
        hunt(&format!("{device} and cpu"), amount(250), COMMON, &check);
    }
}

/// The same program gives the same bits when it runs again, alone or beside others.
#[test]
fn threads_do_not_disturb_each_other() {
    for device in devices() {
        let rounds = amount(if device.is_cpu() { 150 } else { 15 });
        for round in 0..rounds as u64 {
            let programs: Vec<Program> = (0..4).map(|i| Program::new(1_000_000 + round * 4 + i, LENGTH, SHARED)).collect();
            let alone: Vec<_> = programs.iter().map(|p| attempt(p, &mode(&device, false, 1))).collect();
            let together: Vec<_> = std::thread::scope(|s| {
                let handles: Vec<_> = programs.iter().map(|p| s.spawn(|| attempt(p, &mode(&device, false, 1)))).collect();
                handles.into_iter().map(|h| h.join().unwrap_or_else(|_| Err("the thread panicked".into()))).collect()
            });
            for (p, (a, b)) in programs.iter().zip(alone.into_iter().zip(together)) {
                // Another thread's flush may cut a plan in two, so sums may associate differently.
                let verdict = a.and_then(|a| b.and_then(|b| agree(a, b, "alone against together", 1.0)));
                if let Err(why) = verdict {
                    let text = attempt(p, &mode(&Device::cpu(), true, 1)).map(|o| o.text.join("\n")).unwrap_or_else(|e| e);
                    panic!("{device}, program {}:\n{text}\n{why}", p.seed);
                }
            }
        }
    }
}
