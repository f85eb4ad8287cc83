//! Applying schedules to an optimizer.

use serde_json::{Value, json};

use super::schedule::{At, Schedule};
use crate::error::{Error, Result};
use crate::optim::{Optimizer, Setting};

/// Moves the learning rates of an optimizer along a schedule: one [`step`](Self::step) after each of the optimizer's, or after
/// each epoch.
#[derive(Debug)]
pub struct Scheduler {
    tracks: Vec<Track>,
    how: How,
    /// The rates the optimizer was made with.
    base: Vec<f64>,
    last: Vec<f64>,
    epoch: f64,
}

/// A schedule and how far it is.
#[derive(Debug)]
struct Track {
    schedule: Box<dyn Schedule>,
    epoch: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum How {
    /// All schedules in every step: they multiply.
    Together,
    /// The next one from each of these steps on.
    InTurn(Vec<usize>),
}

const OP: &str = "lr_scheduler";

impl Scheduler {
    /// A scheduler with one schedule. Sets the optimizer's first rates.
    ///
    /// # Errors
    /// Arguments of the schedule that are out of range or do not fit the number of parameter groups; a schedule of the
    /// momentum for an optimizer without one.
    pub fn new(optimizer: &mut dyn Optimizer, schedule: impl Schedule + 'static) -> Result<Scheduler> {
        Scheduler::chained(optimizer, vec![Box::new(schedule)])
    }

    /// PyTorch's `ChainedScheduler`: every schedule takes each step, on the rate the one before it leaves.
    ///
    /// # Errors
    /// As [`new`](Self::new); no schedules.
    pub fn chained(optimizer: &mut dyn Optimizer, schedules: Vec<Box<dyn Schedule>>) -> Result<Scheduler> {
        Scheduler::start(optimizer, schedules, How::Together)
    }

    /// PyTorch's `SequentialLR`: each schedule from its milestone on, where it begins anew from the first rate.
    ///
    /// # Errors
    /// As [`new`](Self::new); not one milestone fewer than schedules; milestones that do not grow.
    pub fn sequential(optimizer: &mut dyn Optimizer, schedules: Vec<Box<dyn Schedule>>, milestones: Vec<usize>) -> Result<Scheduler> {
        if schedules.len() != milestones.len() + 1 {
            let why = format!("{} schedules need one milestone fewer, there are {}", schedules.len(), milestones.len());
            return Err(Error::argument(OP, why));
        }
        if !milestones.is_sorted() {
            return Err(Error::argument(OP, format!("the milestones {milestones:?} do not grow")));
        }
        Scheduler::start(optimizer, schedules, How::InTurn(milestones))
    }

    fn start(optimizer: &mut dyn Optimizer, schedules: Vec<Box<dyn Schedule>>, how: How) -> Result<Scheduler> {
        if schedules.is_empty() {
            return Err(Error::argument(OP, "there are no schedules"));
        }
        let base = optimizer.lrs();
        for schedule in &schedules {
            schedule.check(base.len())?;
            if schedule.momentum(0, 0.0).is_some() {
                momentum_of(optimizer, 0, schedule.name())?;
            }
        }
        let tracks = schedules.into_iter().map(|schedule| Track { schedule, epoch: -1.0 }).collect();
        let mut scheduler = Scheduler { tracks, how, last: base.clone(), base, epoch: 0.0 };
        let first = if scheduler.how == How::Together { scheduler.tracks.len() } else { 1 };
        let mut lrs = scheduler.base.clone();
        for t in 0..first {
            scheduler.advance(t, None, &mut lrs, optimizer)?;
        }
        scheduler.finish(lrs, optimizer)?;
        Ok(scheduler)
    }

    /// The next rates.
    ///
    /// # Errors
    /// The schedule has ended (`OneCycleLR`); the optimizer has other parameter groups than at first. Nothing is changed then.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<()> {
        let mut lrs = optimizer.lrs();
        if lrs.len() != self.base.len() {
            let (now, then) = (lrs.len(), self.base.len());
            return Err(Error::argument(OP, format!("the optimizer has {now} parameter groups, {then} when the scheduler was made")));
        }
        let epoch = self.epoch + 1.0;
        match &self.how {
            How::Together => {
                for t in 0..self.tracks.len() {
                    self.advance(t, None, &mut lrs, optimizer)?;
                }
            }
            How::InTurn(milestones) => {
                let active = milestones.iter().filter(|&&m| m as f64 <= epoch).count();
                let begins = active > 0 && milestones[active - 1] as f64 == epoch;
                self.advance(active, begins.then_some(0.0), &mut lrs, optimizer)?;
            }
        }
        self.epoch = epoch;
        self.finish(lrs, optimizer)
    }

    /// The rates of a given moment, which may lie between two steps: PyTorch's `scheduler.step(epoch)`.
    ///
    /// # Errors
    /// A negative moment; several schedules in turn; otherwise as [`step`](Self::step).
    pub fn step_to(&mut self, epoch: f64, optimizer: &mut dyn Optimizer) -> Result<()> {
        if self.how != How::Together || epoch.is_nan() || epoch < 0.0 {
            return Err(Error::argument(OP, format!("cannot go to {epoch}: only to moments from 0 on, and not with schedules in turn")));
        }
        let mut lrs = optimizer.lrs();
        for t in 0..self.tracks.len() {
            self.advance(t, Some(epoch), &mut lrs, optimizer)?;
        }
        // As PyTorch: the next whole step follows the whole part.
        self.tracks.iter_mut().for_each(|t| t.epoch = epoch.floor());
        self.epoch = epoch.floor();
        self.finish(lrs, optimizer)
    }

    /// The rates of the last step.
    pub fn last_lr(&self) -> &[f64] {
        &self.last
    }

    /// How many steps were taken.
    pub fn last_epoch(&self) -> f64 {
        self.epoch
    }

    /// What continues the schedule; functions are not in it.
    pub fn state_dict(&self) -> Value {
        let lrs = |v: &[f64]| v.iter().map(f64::to_json).collect::<Vec<_>>();
        let tracks: Vec<Value> = self.tracks.iter().map(|t| json!({ "name": t.schedule.name(), "last_epoch": t.epoch })).collect();
        json!({ "last_epoch": self.epoch, "base_lrs": lrs(&self.base), "_last_lr": lrs(&self.last), "schedulers": tracks })
    }

    /// Continues from a state. The optimizer's rates are in its own state.
    ///
    /// # Errors
    /// Other schedules; a state that is not one. Nothing is changed then.
    pub fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        let wrong = |what: &str| Error::argument(OP, format!("the state {what}"));
        let list = |key: &str| -> Result<Vec<f64>> {
            let list = state[key].as_array().and_then(|l| l.iter().map(f64::from_json).collect::<Option<Vec<f64>>>());
            list.filter(|l| l.len() == self.base.len()).ok_or_else(|| wrong(&format!("has no {key} for {} groups", self.base.len())))
        };
        let (base, last) = (list("base_lrs")?, list("_last_lr")?);
        let epoch = state["last_epoch"].as_f64().ok_or_else(|| wrong("has no last_epoch"))?;
        let tracks = state["schedulers"].as_array().filter(|t| t.len() == self.tracks.len());
        let tracks = tracks.ok_or_else(|| wrong(&format!("does not have {} schedules", self.tracks.len())))?;
        let mut epochs = Vec::new();
        for (saved, track) in tracks.iter().zip(&self.tracks) {
            if saved["name"] != track.schedule.name() {
                return Err(wrong(&format!("is of {}, not of {}", saved["name"], track.schedule.name())));
            }
            epochs.push(saved["last_epoch"].as_f64().ok_or_else(|| wrong("has no last_epoch"))?);
        }
        self.tracks.iter_mut().zip(epochs).for_each(|(t, e)| t.epoch = e);
        (self.base, self.last, self.epoch) = (base, last, epoch);
        Ok(())
    }

    /// One schedule's step from `lrs`, or its rates at a given moment.
    fn advance(&mut self, track: usize, to: Option<f64>, lrs: &mut [f64], optimizer: &mut dyn Optimizer) -> Result<()> {
        let Track { schedule, epoch } = &mut self.tracks[track];
        let now = to.unwrap_or(*epoch + 1.0);
        let mut new = Vec::with_capacity(lrs.len());
        for (group, (&lr, &base)) in lrs.iter().zip(&self.base).enumerate() {
            let at = At { group, epoch: now, lr, base };
            new.push(if to.is_some() { schedule.closed(at)? } else { schedule.lr(at)? });
        }
        for group in 0..lrs.len() {
            if let Some(momentum) = schedule.momentum(group, now) {
                set_momentum(optimizer, group, momentum, schedule.name())?;
            }
        }
        lrs.copy_from_slice(&new);
        *epoch = now;
        Ok(())
    }

    fn finish(&mut self, lrs: Vec<f64>, optimizer: &mut dyn Optimizer) -> Result<()> {
        for (group, &lr) in lrs.iter().enumerate() {
            optimizer.set_group_lr(group, lr)?;
        }
        self.last = lrs;
        Ok(())
    }
}

/// The momentum of a group, or its betas.
fn momentum_of(optimizer: &dyn Optimizer, group: usize, op: &'static str) -> Result<(&'static str, Value)> {
    let options = optimizer.options(group)?;
    let found = ["betas", "momentum"].into_iter().find_map(|name| Some((name, options.get(name)?.clone())));
    found.ok_or_else(|| Error::argument(op, "moves the momentum, but the optimizer has none; switch cycle_momentum off"))
}

fn set_momentum(optimizer: &mut dyn Optimizer, group: usize, momentum: f64, op: &'static str) -> Result<()> {
    let (name, mut value) = momentum_of(optimizer, group, op)?;
    match &mut value {
        Value::Array(betas) if !betas.is_empty() => betas[0] = momentum.into(),
        one => *one = momentum.into(),
    }
    optimizer.set_option(group, name, value)
}
