//! A rate that follows the progress of training.

use serde_json::{Value, json};

use super::schedule::{Argument, PerGroup, need, schedule};
use crate::error::{Error, Result};
use crate::optim::{Optimizer, Setting};

schedule! {
    /// The arguments of [`ReduceLROnPlateau`].
    Plateau() {
        /// `min`: a metric that should fall; `max`: one that should rise.
        mode: String = "min".to_string();
        factor: f64 = 0.1;
        /// Steps without progress that are waited out.
        patience: usize = 10;
        /// What counts as progress.
        threshold: f64 = 1e-4;
        /// `rel`: the threshold is a share of the best metric; `abs`: a number.
        threshold_mode: String = "rel".to_string();
        /// Steps after a reduction that do not count.
        cooldown: usize = 0;
        min_lr: PerGroup = 0.0.argument();
        /// Smaller reductions are left out.
        eps: f64 = 1e-8;
    }
}

/// Multiplies the rate by `factor` when a metric has not become better for more than `patience` steps, as PyTorch's
/// class of this name.
///
/// ```
/// use taper::optim::lr_scheduler::ReduceLROnPlateau;
/// use taper::optim::{Optimizer, Sgd};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let weight = Tensor::ones([2, 2], &Device::cpu())?;
/// # weight.requires_grad_(true)?;
/// let mut optimizer = Sgd::new([weight], 0.1)?;
/// let mut scheduler = ReduceLROnPlateau::new(&optimizer, |p| p.patience(1).factor(0.5))?;
/// for loss in [1.0, 1.0, 1.0] {
///     scheduler.step(loss, &mut optimizer)?;
/// }
/// assert_eq!(optimizer.lr(), 0.05);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ReduceLROnPlateau {
    arguments: Plateau,
    best: f64,
    bad: usize,
    cooling: usize,
    epoch: u64,
}

const OP: &str = "ReduceLROnPlateau";

impl ReduceLROnPlateau {
    /// `set` changes PyTorch's default arguments.
    ///
    /// # Errors
    /// A factor of 1 or more; an unknown mode; a `min_lr` that does not fit the number of parameter groups.
    pub fn new(optimizer: &dyn Optimizer, set: impl FnOnce(Plateau) -> Plateau) -> Result<ReduceLROnPlateau> {
        let arguments = set(Plateau::new());
        need(OP, "factor", arguments.factor, arguments.factor < 1.0)?;
        let one_of = |name: &str, value: &str, known: [&str; 2]| match known.contains(&value) {
            true => Ok(()),
            false => Err(Error::argument(OP, format!("{name} is '{value}', expected {} or {}", known[0], known[1]))),
        };
        one_of("mode", &arguments.mode, ["min", "max"])?;
        one_of("threshold_mode", &arguments.threshold_mode, ["rel", "abs"])?;
        arguments.min_lr.check(OP, "min_lr", optimizer.lrs().len())?;
        let best = if arguments.mode == "min" { f64::INFINITY } else { f64::NEG_INFINITY };
        Ok(ReduceLROnPlateau { arguments, best, bad: 0, cooling: 0, epoch: 0 })
    }

    /// From arguments by PyTorch's names.
    ///
    /// # Errors
    /// As [`new`](Self::new); an argument that does not exist or has another type.
    pub fn from_options(optimizer: &dyn Optimizer, options: &crate::optim::Options) -> Result<ReduceLROnPlateau> {
        let arguments = Plateau::from_options(options)?;
        ReduceLROnPlateau::new(optimizer, |_| arguments)
    }

    /// Takes note of a metric and lowers the rates if it is time to.
    ///
    /// # Errors
    /// The optimizer refuses a rate.
    pub fn step(&mut self, metric: f64, optimizer: &mut dyn Optimizer) -> Result<()> {
        self.epoch += 1;
        let a = &self.arguments;
        let (min, relative) = (a.mode == "min", a.threshold_mode == "rel");
        let better = match (min, relative) {
            (true, true) => metric < self.best * (1.0 - a.threshold),
            (true, false) => metric < self.best - a.threshold,
            (false, true) => metric > self.best * (1.0 + a.threshold),
            (false, false) => metric > self.best + a.threshold,
        };
        if better {
            (self.best, self.bad) = (metric, 0);
        } else {
            self.bad += 1;
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > a.patience {
            for (group, lr) in optimizer.lrs().into_iter().enumerate() {
                let lower = (lr * a.factor).max(a.min_lr.get(group));
                if lr - lower > a.eps {
                    optimizer.set_group_lr(group, lower)?;
                }
            }
            (self.cooling, self.bad) = (a.cooldown, 0);
        }
        Ok(())
    }

    pub fn state_dict(&self) -> Value {
        json!({ "best": self.best.to_json(), "num_bad_epochs": self.bad, "cooldown_counter": self.cooling, "last_epoch": self.epoch })
    }

    /// # Errors
    /// A state that is not one; nothing is changed then.
    pub fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        let missing = |key: &str| Error::argument(OP, format!("the state has no {key}"));
        let count = |key: &str| state[key].as_u64().ok_or_else(|| missing(key));
        let best = f64::from_json(&state["best"]).ok_or_else(|| missing("best"))?;
        let (bad, cooling, epoch) = (count("num_bad_epochs")?, count("cooldown_counter")?, count("last_epoch")?);
        (self.best, self.bad, self.cooling, self.epoch) = (best, bad as usize, cooling as usize, epoch);
        Ok(())
    }
}
