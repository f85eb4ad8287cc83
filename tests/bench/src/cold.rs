//! Cold starts and peak memory: measured from outside, on processes that start with nothing.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use taper::{Device, Error, Tensor};

use crate::timer::Samples;
use crate::workloads::{Gpt, Trainer};

/// What a child process does; each prints a line when it is done with a part of it.
pub const STARTS: &[(&str, &str)] = &[("first-result", "cold_first_result"), ("first-steps", "cold_lenet_first_step")];

/// The child's side.
pub fn child(what: &str, device: &Device) -> taper::Result<()> {
    match what {
        "first-result" => {
            let x = Tensor::ones([256, 256], device)?;
            println!("done {}", x.matmul(&x)?.sum_all()?.item::<f32>()?);
        }
        "first-steps" => {
            let trainer = Trainer::lenet(device)?;
            for _ in 0..2 {
                println!("done {}", trainer.step()?.item::<f32>()?);
            }
        }
        "memory" => {
            let x = Tensor::zeros([8, 128], (taper::DType::I64, device))?;
            let gpt = Gpt::new(device)?;
            gpt.forward(&x)?.sum_all()?.backward()?;
            device.synchronize()?;
            println!("done {}", device.memory().peak);
        }
        other => return Err(Error::argument("child", format!("unknown: {other}"))),
    }
    // Before the process ends, and on Linux alone.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    println!("rss {}", peak.unwrap_or(0));
    Ok(())
}

/// What a child said: seconds since it was started at each `done`, and the most memory it held, in bytes.
#[derive(Debug, Default)]
pub struct Start {
    pub done: Vec<f64>,
    pub rss: u64,
}

/// Starts this program anew, without the driver's shader cache.
fn start(what: &str, device: &str) -> Result<Start, String> {
    let failed = |e: std::io::Error| format!("{what}: {e}");
    let begin = Instant::now();
    let mut child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["--device", device, "--child", what])
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let mut start = Start::default();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let line = line.map_err(failed)?;
            match line.split_once(' ') {
                Some(("done", _)) => start.done.push(begin.elapsed().as_secs_f64()),
                Some(("rss", kib)) => start.rss = kib.parse::<u64>().unwrap_or(0) << 10,
                _ => {}
            }
        }
    }
    let ended = child.wait().map_err(failed)?;
    if ended.success() { Ok(start) } else { Err(format!("{what}: the process ended with {ended}")) }
}

/// Seconds to the first and to the last `done` of some starts, and the peak of memory.
///
/// # Errors
/// A process that ends badly.
pub fn measure(what: &str, device: &str, times: usize) -> Result<(Samples, Samples, u64), String> {
    let (mut first, mut last, mut rss) = (Samples::default(), Samples::default(), 0);
    for _ in 0..times {
        let one = start(what, device)?;
        first.0.extend(one.done.first());
        last.0.extend(one.done.last());
        rss = rss.max(one.rss);
    }
    Ok((first, last, rss))
}
