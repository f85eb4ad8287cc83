//! Timing that other programs can alternate with.
//!
//! Not criterion or divan: those own the loop, and here Taper and its peers take turns within one measurement, so that
//! a slow second of the machine meets all of them alike.

use std::time::{Duration, Instant};

use taper::{Device, Result};

use crate::case::Case;

/// Samples shorter than this are made of several repetitions: the clock and the loop should not show.
const SAMPLE: Duration = Duration::from_micros(200);
/// Repetitions are warm when they have taken this long together, and there were three.
const WARM: Duration = Duration::from_millis(200);

/// Times of one repetition each, in seconds.
#[derive(Debug, Clone, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    /// The value that a share `q` of the samples lies below.
    pub fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (q * sorted.len().saturating_sub(1) as f64).round() as usize;
        sorted.get(at).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}

/// A workload that is warm and knows how often to repeat.
pub struct Runner<'a> {
    case: &'a Case,
    device: &'a Device,
    repeat: usize,
}

impl<'a> Runner<'a> {
    pub fn new(case: &'a Case, device: &'a Device) -> Result<Runner<'a>> {
        let mut runner = Runner { case, device, repeat: 1 };
        let start = Instant::now();
        let (mut count, mut last) = (0, 0.0);
        while count < 3 || (start.elapsed() < WARM && count < 10_000) {
            last = runner.sample()?;
            count += 1;
        }
        runner.repeat = (SAMPLE.as_secs_f64() / last.max(1e-9)).ceil().clamp(1.0, 1e5) as usize;
        Ok(runner)
    }

    /// Seconds of one repetition.
    fn sample(&self) -> Result<f64> {
        let start = Instant::now();
        for _ in 0..self.repeat {
            let result = (self.case.run)()?;
            self.device.synchronize()?;
            drop(result);
        }
        Ok(start.elapsed().as_secs_f64() / self.repeat as f64)
    }

    /// Repetitions of one sample.
    pub fn repeat(&self) -> usize {
        self.repeat
    }

    /// Samples for `time`, three at least.
    pub fn measure(&self, time: Duration, into: &mut Samples) -> Result<()> {
        let start = Instant::now();
        let mut count = 0;
        while count < 3 || start.elapsed() < time {
            into.0.push(self.sample()?);
            count += 1;
        }
        Ok(())
    }
}

/// Seconds of processor time that this process has used, all threads together; in steps of a hundredth, and on Linux alone.
pub fn processor_time() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name may contain anything; after it, user and system time are fields 12 and 13.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_samples() {
        let samples = Samples(vec![3.0, 1.0, 2.0, 5.0, 4.0]);
        assert_eq!((samples.quantile(0.0), samples.median(), samples.quantile(1.0)), (1.0, 3.0, 5.0));
        assert!(Samples::default().median().is_nan());
    }
}
