//! Schedules that multiply the rate by something.

use std::fmt;
use std::sync::Arc;

use super::schedule::{At, Schedule, need, schedule};
use crate::error::{Error, Result};

schedule! {
    /// The rate times `gamma` (0.1) every `step_size` steps.
    StepLR(step_size: usize = "step_size") {
        gamma: f64 = 0.1;
    }
}

impl Schedule for StepLR {
    fn name(&self) -> &'static str {
        "StepLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        need("StepLR", "step_size", self.step_size as f64, self.step_size > 0)
    }
    fn lr(&self, at: At) -> Result<f64> {
        Ok(if at.epoch == 0.0 || at.epoch % self.step_size as f64 != 0.0 { at.lr } else { at.lr * self.gamma })
    }
    fn closed(&self, at: At) -> Result<f64> {
        Ok(at.base * self.gamma.powf((at.epoch / self.step_size as f64).floor()))
    }
}

schedule! {
    /// The rate times `gamma` (0.1) at each milestone; twice for one that is listed twice.
    MultiStepLR(milestones: Vec<usize> = "milestones") {
        gamma: f64 = 0.1;
    }
}

impl Schedule for MultiStepLR {
    fn name(&self) -> &'static str {
        "MultiStepLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        Ok(())
    }
    fn lr(&self, at: At) -> Result<f64> {
        let here = self.milestones.iter().filter(|&&m| m as f64 == at.epoch).count();
        Ok(at.lr * self.gamma.powi(here as i32))
    }
    fn closed(&self, at: At) -> Result<f64> {
        let passed = self.milestones.iter().filter(|&&m| m as f64 <= at.epoch).count();
        Ok(at.base * self.gamma.powi(passed as i32))
    }
}

schedule! {
    /// The rate times `factor` (1/3) for the first `total_iters` (5) steps.
    ConstantLR() {
        factor: f64 = 1.0 / 3.0;
        total_iters: usize = 5;
    }
}

impl Schedule for ConstantLR {
    fn name(&self) -> &'static str {
        "ConstantLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        need("ConstantLR", "factor", self.factor, (0.0..=1.0).contains(&self.factor))
    }
    fn lr(&self, at: At) -> Result<f64> {
        Ok(if at.epoch == 0.0 {
            at.lr * self.factor
        } else if at.epoch == self.total_iters as f64 {
            at.lr * (1.0 / self.factor)
        } else {
            at.lr
        })
    }
    fn closed(&self, at: At) -> Result<f64> {
        Ok(if at.epoch >= self.total_iters as f64 { at.base } else { at.base * self.factor })
    }
}

schedule! {
    /// From `start_factor` (1/3) of the rate to `end_factor` (1) in `total_iters` (5) equal steps: a warm-up.
    LinearLR() {
        start_factor: f64 = 1.0 / 3.0;
        end_factor: f64 = 1.0;
        total_iters: usize = 5;
    }
}

impl Schedule for LinearLR {
    fn name(&self) -> &'static str {
        "LinearLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        let (start, end) = (self.start_factor, self.end_factor);
        need("LinearLR", "start_factor", start, start > 0.0 && start <= 1.0)?;
        need("LinearLR", "end_factor", end, (0.0..=1.0).contains(&end))
    }
    fn lr(&self, at: At) -> Result<f64> {
        let (start, rise, total) = (self.start_factor, self.end_factor - self.start_factor, self.total_iters as f64);
        Ok(if at.epoch == 0.0 {
            at.lr * start
        } else if at.epoch > total {
            at.lr
        } else {
            at.lr * (1.0 + rise / (total * start + (at.epoch - 1.0) * rise))
        })
    }
    fn closed(&self, at: At) -> Result<f64> {
        let share = if self.total_iters == 0 { 1.0 } else { at.epoch.min(self.total_iters as f64) / self.total_iters as f64 };
        Ok(at.base * (self.start_factor + (self.end_factor - self.start_factor) * share))
    }
}

schedule! {
    /// The rate times `gamma` every step.
    ExponentialLR(gamma: f64 = "gamma") {}
}

impl Schedule for ExponentialLR {
    fn name(&self) -> &'static str {
        "ExponentialLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        need("ExponentialLR", "gamma", self.gamma, !self.gamma.is_nan())
    }
    fn lr(&self, at: At) -> Result<f64> {
        Ok(if at.epoch == 0.0 { at.lr } else { at.lr * self.gamma })
    }
    fn closed(&self, at: At) -> Result<f64> {
        Ok(at.base * self.gamma.powf(at.epoch))
    }
}

schedule! {
    /// To zero in `total_iters` (5) steps, as `(1 - t / total_iters)` to the `power` (1).
    PolynomialLR() {
        total_iters: usize = 5;
        power: f64 = 1.0;
    }
}

impl Schedule for PolynomialLR {
    fn name(&self) -> &'static str {
        "PolynomialLR"
    }
    fn check(&self, _: usize) -> Result<()> {
        need("PolynomialLR", "power", self.power, !self.power.is_nan())
    }
    fn lr(&self, at: At) -> Result<f64> {
        let total = self.total_iters as f64;
        if at.epoch == 0.0 || at.epoch > total {
            return Ok(at.lr);
        }
        Ok(at.lr * ((1.0 - at.epoch / total) / (1.0 - (at.epoch - 1.0) / total)).powf(self.power))
    }
    fn closed(&self, at: At) -> Result<f64> {
        let left = if self.total_iters == 0 { 0.0 } else { 1.0 - at.epoch.min(self.total_iters as f64) / self.total_iters as f64 };
        Ok(at.base * left.powf(self.power))
    }
}

/// From the step to a factor.
type Factor = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// The first rate times a function of the step: one function for all parameter groups, or one for each.
#[derive(Clone)]
pub struct LambdaLR(Vec<Factor>);

impl LambdaLR {
    pub fn new(f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> LambdaLR {
        LambdaLR(vec![Arc::new(f)])
    }

    /// A function for each parameter group.
    pub fn per_group(functions: Vec<Factor>) -> LambdaLR {
        LambdaLR(functions)
    }
}

/// The rate times a function of the step, step after step.
#[derive(Clone)]
pub struct MultiplicativeLR(Vec<Factor>);

impl MultiplicativeLR {
    pub fn new(f: impl Fn(f64) -> f64 + Send + Sync + 'static) -> MultiplicativeLR {
        MultiplicativeLR(vec![Arc::new(f)])
    }

    /// A function for each parameter group.
    pub fn per_group(functions: Vec<Factor>) -> MultiplicativeLR {
        MultiplicativeLR(functions)
    }
}

fn functions_fit(op: &'static str, functions: &[Factor], groups: usize) -> Result<()> {
    if functions.len() == 1 || functions.len() == groups {
        return Ok(());
    }
    Err(Error::argument(op, format!("{} functions for {groups} parameter groups", functions.len())))
}

fn factor(functions: &[Factor], at: At) -> f64 {
    functions.get(at.group).or(functions.first()).map_or(1.0, |f| f(at.epoch))
}

impl Schedule for LambdaLR {
    fn name(&self) -> &'static str {
        "LambdaLR"
    }
    fn check(&self, groups: usize) -> Result<()> {
        functions_fit("LambdaLR", &self.0, groups)
    }
    fn lr(&self, at: At) -> Result<f64> {
        Ok(at.base * factor(&self.0, at))
    }
}

impl Schedule for MultiplicativeLR {
    fn name(&self) -> &'static str {
        "MultiplicativeLR"
    }
    fn check(&self, groups: usize) -> Result<()> {
        functions_fit("MultiplicativeLR", &self.0, groups)
    }
    fn lr(&self, at: At) -> Result<f64> {
        Ok(if at.epoch == 0.0 { at.lr } else { at.lr * factor(&self.0, at) })
    }
}

impl fmt::Debug for LambdaLR {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LambdaLR({} functions)", self.0.len())
    }
}

impl fmt::Debug for MultiplicativeLR {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MultiplicativeLR({} functions)", self.0.len())
    }
}
