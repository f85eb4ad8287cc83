//! Schedules that set the rate and the momentum, whatever the optimizer was made with.

use std::f64::consts::PI;

use super::schedule::{Argument, At, PerGroup, Schedule, need, schedule};
use crate::error::{Error, Result};

schedule! {
    /// Up from `base_lr` to `max_lr` and back, again and again ([Smith](https://arxiv.org/abs/1506.01186)); the momentum goes
    /// the other way.
    CyclicLR(base_lr: PerGroup = "base_lr", max_lr: PerGroup = "max_lr") {
        /// Steps up; 2000 by default.
        step_size_up: f64 = 2000.0;
        /// Steps down; as many as up by default.
        step_size_down: Option<f64> = None;
        /// `triangular`, `triangular2` (half the height each time) or `exp_range` (times `gamma` each step).
        mode: String = "triangular".to_string();
        gamma: f64 = 1.0;
        cycle_momentum: bool = true;
        base_momentum: PerGroup = 0.8.argument();
        max_momentum: PerGroup = 0.9.argument();
    }
}

impl CyclicLR {
    /// How far up, between 0 and 1.
    fn height(&self, t: f64) -> f64 {
        let down = self.step_size_down.unwrap_or(self.step_size_up);
        let total = self.step_size_up + down;
        let ratio = self.step_size_up / total;
        let cycle = (1.0 + t / total).floor();
        let x = 1.0 + t / total - cycle;
        let scale = if x <= ratio { x / ratio } else { (x - 1.0) / (ratio - 1.0) };
        scale
            * match self.mode.as_str() {
                "triangular2" => 1.0 / 2f64.powf(cycle - 1.0),
                "exp_range" => self.gamma.powf(t),
                _ => 1.0,
            }
    }
}

impl Schedule for CyclicLR {
    fn name(&self) -> &'static str {
        "CyclicLR"
    }
    fn check(&self, groups: usize) -> Result<()> {
        let lists = [
            ("base_lr", &self.base_lr),
            ("max_lr", &self.max_lr),
            ("base_momentum", &self.base_momentum),
            ("max_momentum", &self.max_momentum),
        ];
        lists.iter().try_for_each(|(name, list)| list.check("CyclicLR", name, groups))?;
        need("CyclicLR", "step_size_up", self.step_size_up, self.step_size_up > 0.0)?;
        need("CyclicLR", "step_size_down", self.step_size_down.unwrap_or(1.0), self.step_size_down.is_none_or(|n| n > 0.0))?;
        match self.mode.as_str() {
            "triangular" | "triangular2" | "exp_range" => Ok(()),
            other => Err(Error::argument("CyclicLR", format!("mode is '{other}', expected triangular, triangular2 or exp_range"))),
        }
    }
    fn lr(&self, at: At) -> Result<f64> {
        let (low, high) = (self.base_lr.get(at.group), self.max_lr.get(at.group));
        Ok(low + (high - low) * self.height(at.epoch))
    }
    fn momentum(&self, group: usize, epoch: f64) -> Option<f64> {
        let (low, high) = (self.base_momentum.get(group), self.max_momentum.get(group));
        self.cycle_momentum.then(|| high - (high - low) * self.height(epoch))
    }
}

schedule! {
    /// Once up to `max_lr` and down to almost nothing ([Smith and Topin](https://arxiv.org/abs/1708.07120)); the momentum goes the
    /// other way. The length is `total_steps`, or `epochs` times `steps_per_epoch`.
    OneCycleLR(max_lr: PerGroup = "max_lr") {
        total_steps: Option<usize> = None;
        epochs: Option<usize> = None;
        steps_per_epoch: Option<usize> = None;
        /// The share of steps that go up.
        pct_start: f64 = 0.3;
        /// `cos` or `linear`.
        anneal_strategy: String = "cos".to_string();
        cycle_momentum: bool = true;
        base_momentum: PerGroup = 0.85.argument();
        max_momentum: PerGroup = 0.95.argument();
        /// The first rate is `max_lr` divided by this.
        div_factor: f64 = 25.0;
        /// The last rate is the first divided by this.
        final_div_factor: f64 = 1e4;
        /// Down as fast as up, and from there to the end.
        three_phase: bool = false;
    }
}

/// Ends of the cycle: which rate or momentum a phase starts from or leads to.
#[derive(Clone, Copy)]
enum End {
    First,
    Peak,
    Last,
}

impl OneCycleLR {
    fn total(&self) -> Option<usize> {
        self.total_steps.or_else(|| self.epochs?.checked_mul(self.steps_per_epoch?))
    }

    /// The phase at step `t`: where it leads from and to, and how much of the way is done.
    fn phase(&self, t: f64) -> (End, End, f64) {
        let total = self.total().unwrap_or(0) as f64;
        let up = self.pct_start * total;
        let phases: &[(f64, End, End)] = if self.three_phase {
            &[(up - 1.0, End::First, End::Peak), (2.0 * up - 2.0, End::Peak, End::First), (total - 1.0, End::First, End::Last)]
        } else {
            &[(up - 1.0, End::First, End::Peak), (total - 1.0, End::Peak, End::Last)]
        };
        let mut start = 0.0;
        for (i, &(end, from, to)) in phases.iter().enumerate() {
            if t <= end || i + 1 == phases.len() {
                return (from, to, (t - start) / (end - start));
            }
            start = end;
        }
        (End::First, End::First, 0.0)
    }

    fn between(&self, from: f64, to: f64, share: f64) -> f64 {
        if self.anneal_strategy == "cos" { to + (from - to) / 2.0 * (1.0 + (PI * share).cos()) } else { (to - from) * share + from }
    }
}

impl Schedule for OneCycleLR {
    fn name(&self) -> &'static str {
        "OneCycleLR"
    }
    fn check(&self, groups: usize) -> Result<()> {
        let lists = [("max_lr", &self.max_lr), ("base_momentum", &self.base_momentum), ("max_momentum", &self.max_momentum)];
        lists.iter().try_for_each(|(name, list)| list.check("OneCycleLR", name, groups))?;
        need("OneCycleLR", "pct_start", self.pct_start, (0.0..=1.0).contains(&self.pct_start))?;
        match self.total() {
            None => return Err(Error::argument("OneCycleLR", "needs total_steps, or both epochs and steps_per_epoch")),
            Some(n) => need("OneCycleLR", "the number of steps", n as f64, n > 0)?,
        }
        match self.anneal_strategy.as_str() {
            "cos" | "linear" => Ok(()),
            other => Err(Error::argument("OneCycleLR", format!("anneal_strategy is '{other}', expected cos or linear"))),
        }
    }
    fn lr(&self, at: At) -> Result<f64> {
        let total = self.total().unwrap_or(0);
        if at.epoch > total as f64 {
            return Err(Error::argument("OneCycleLR", format!("step {}, but the schedule has {total} steps", at.epoch)));
        }
        let peak = self.max_lr.get(at.group);
        let first = peak / self.div_factor;
        let rate = |end: End| match end {
            End::First => first,
            End::Peak => peak,
            End::Last => first / self.final_div_factor,
        };
        let (from, to, share) = self.phase(at.epoch);
        Ok(self.between(rate(from), rate(to), share))
    }
    fn momentum(&self, group: usize, epoch: f64) -> Option<f64> {
        let (low, high) = (self.base_momentum.get(group), self.max_momentum.get(group));
        let momentum = |end: End| if matches!(end, End::Peak) { low } else { high };
        let (from, to, share) = self.phase(epoch);
        self.cycle_momentum.then(|| self.between(momentum(from), momentum(to), share))
    }
}
