//! Schedules along a cosine, and towards one rate.

use std::f64::consts::PI;

use super::schedule::{At, PerGroup, Schedule, need, schedule};
use crate::error::{Error, Result};

/// From 1 at 0 to 0 at 1.
fn half_wave(x: f64) -> f64 {
    (1.0 + (PI * x).cos()) / 2.0
}

schedule! {
    /// Down to `eta_min` (0) along half a cosine of `t_max` steps, and up again
    /// ([Loshchilov and Hutter](https://arxiv.org/abs/1608.03983)).
    CosineAnnealingLR(t_max: f64 = "t_max") {
        eta_min: f64 = 0.0;
    }
}

impl Schedule for CosineAnnealingLR {
    fn name(&self) -> &'static str {
        "CosineAnnealingLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        need("CosineAnnealingLR", "T_max", self.t_max, self.t_max > 0.0)
    }
    fn lr(&self, at: At) -> Result<f64> {
        let (t, min) = (at.epoch, self.eta_min);
        Ok(if t == 0.0 {
            at.lr
        } else if (t - 1.0 - self.t_max) % (2.0 * self.t_max) == 0.0 {
            at.lr + (at.base - min) * (1.0 - (PI / self.t_max).cos()) / 2.0
        } else {
            half_wave(t / self.t_max) / half_wave((t - 1.0) / self.t_max) * (at.lr - min) + min
        })
    }
    fn closed(&self, at: At) -> Result<f64> {
        Ok(self.eta_min + (at.base - self.eta_min) * half_wave(at.epoch / self.t_max))
    }
}

schedule! {
    /// Down to `eta_min` (0) along half a cosine of `t_0` steps, then again from the start, each time over `t_mult` (1) times
    /// as many steps. Steps may be fractions: see [`Scheduler::step_to`](super::Scheduler::step_to).
    CosineAnnealingWarmRestarts(t_0: usize = "t_0") {
        t_mult: usize = 1;
        eta_min: f64 = 0.0;
    }
}

impl Schedule for CosineAnnealingWarmRestarts {
    fn name(&self) -> &'static str {
        "CosineAnnealingWarmRestarts"
    }
    fn check(&self, _: usize) -> Result<()> {
        need(self.name(), "T_0", self.t_0 as f64, self.t_0 > 0)?;
        need(self.name(), "T_mult", self.t_mult as f64, self.t_mult > 0)
    }
    fn lr(&self, at: At) -> Result<f64> {
        let (mut t, mut period) = (at.epoch, self.t_0 as f64);
        if self.t_mult == 1 {
            t %= period;
        }
        while t >= period {
            t -= period;
            period *= self.t_mult as f64;
        }
        Ok(self.eta_min + (at.base - self.eta_min) * half_wave(t / period))
    }
}

schedule! {
    /// From the rate there is to `swa_lr` in `anneal_epochs` (10) steps, then constant: for stochastic weight averaging.
    SWALR(swa_lr: PerGroup = "swa_lr") {
        anneal_epochs: usize = 10;
        /// `cos` or `linear`.
        anneal_strategy: String = "cos".to_string();
    }
}

impl SWALR {
    fn share(&self, t: f64) -> f64 {
        let t = (t / self.anneal_epochs.max(1) as f64).clamp(0.0, 1.0);
        if self.anneal_strategy == "cos" { 1.0 - half_wave(t) } else { t }
    }
}

impl Schedule for SWALR {
    fn name(&self) -> &'static str {
        "SWALR"
    }
    fn check(&self, groups: usize) -> Result<()> {
        self.swa_lr.check("SWALR", "swa_lr", groups)?;
        match self.anneal_strategy.as_str() {
            "cos" | "linear" => Ok(()),
            other => Err(Error::argument("SWALR", format!("anneal_strategy is '{other}', expected cos or linear"))),
        }
    }
    fn lr(&self, at: At) -> Result<f64> {
        let target = self.swa_lr.get(at.group);
        let step = if self.anneal_epochs == 0 { at.epoch.max(1.0) } else { at.epoch };
        let (before, now) = (self.share(step - 1.0), self.share(step));
        // Where the rate would be without the annealing so far.
        let start = if before == 1.0 { target } else { (at.lr - before * target) / (1.0 - before) };
        Ok(target * now + start * (1.0 - now))
    }
}

schedule! {
    /// Up in `warmup` equal steps, then down to `eta_min` (0) along half a cosine that ends at step `total`, and constant from
    /// there.
    WarmupCosine(warmup: usize = "warmup", total: usize = "total") {
        eta_min: f64 = 0.0;
    }
}

impl Schedule for WarmupCosine {
    fn name(&self) -> &'static str {
        "WarmupCosine"
    }
    fn check(&self, _: usize) -> Result<()> {
        need("WarmupCosine", "warmup", self.warmup as f64, self.warmup <= self.total)
    }
    fn lr(&self, at: At) -> Result<f64> {
        let (warmup, total) = (self.warmup as f64, self.total as f64);
        if at.epoch < warmup {
            return Ok(at.base * (at.epoch + 1.0) / warmup);
        }
        let progress = ((at.epoch - warmup) / (total - warmup).max(1.0)).min(1.0);
        Ok(self.eta_min + (at.base - self.eta_min) * half_wave(progress))
    }
}
