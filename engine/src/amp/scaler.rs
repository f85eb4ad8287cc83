//! Loss scaling: f16 gradients that would vanish are kept in range.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::autograd::no_grad;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::optim::{Optimizer, require, unscale_gradients};
use crate::tensor::Tensor;

const OP: &str = "GradScaler";

/// Multiplies the loss before the backward pass and divides the gradients before the step, by a factor that halves when gradients
/// overflow (that step is skipped) and doubles when they have not for a while. As `torch.amp.GradScaler`.
///
/// Whether gradients overflowed is read back once a step, as the step is skipped on the host.
#[derive(Debug, Clone)]
pub struct GradScaler {
    scale: f64,
    growth_factor: f64,
    backoff_factor: f64,
    growth_interval: u64,
    /// Steps without overflow since the factor last changed.
    good: u64,
    enabled: bool,
    /// By optimizer, since the last update.
    rounds: HashMap<u64, Round>,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    overflow: bool,
    stepped: bool,
}

impl Default for GradScaler {
    fn default() -> GradScaler {
        GradScaler::new()
    }
}

impl GradScaler {
    /// PyTorch's defaults: a factor of 65536, doubled after 2000 good steps.
    pub fn new() -> GradScaler {
        GradScaler {
            scale: 65536.0,
            growth_factor: 2.0,
            backoff_factor: 0.5,
            growth_interval: 2000,
            good: 0,
            enabled: true,
            rounds: HashMap::new(),
        }
    }

    pub fn init_scale(mut self, scale: f64) -> GradScaler {
        self.scale = scale;
        self
    }

    pub fn growth_factor(mut self, factor: f64) -> GradScaler {
        self.growth_factor = factor;
        self
    }

    pub fn backoff_factor(mut self, factor: f64) -> GradScaler {
        self.backoff_factor = factor;
        self
    }

    pub fn growth_interval(mut self, steps: u64) -> GradScaler {
        self.growth_interval = steps;
        self
    }

    /// Off, every method does nothing but step: for programs that train with and without.
    pub fn enabled(mut self, on: bool) -> GradScaler {
        self.enabled = on;
        self
    }

    /// The factor now.
    pub fn get_scale(&self) -> f64 {
        if self.enabled { self.scale } else { 1.0 }
    }

    /// The loss times the factor: what `backward` is called on.
    ///
    /// # Errors
    /// A loss that carries one; factors that cannot work.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor> {
        if !self.enabled {
            return Ok(loss.clone());
        }
        self.check()?;
        loss.mul(self.scale)
    }

    /// A factor of 0 or of infinity would make every gradient an overflow, and every step one that is skipped.
    fn check(&self) -> Result<()> {
        require(OP, "the scale", self.scale, self.scale > 0.0 && self.scale.is_finite())?;
        require(OP, "growth_factor", self.growth_factor, self.growth_factor > 1.0 && self.growth_factor.is_finite())?;
        require(OP, "backoff_factor", self.backoff_factor, self.backoff_factor > 0.0 && self.backoff_factor < 1.0)?;
        require(OP, "growth_interval", self.growth_interval as f64, self.growth_interval > 0)
    }

    /// Divides the gradients of an optimizer's parameters by the factor, so that they can be clipped.
    ///
    /// # Errors
    /// A second time before [`update`](Self::update); gradients in f16, which have lost what scaling was to save; factors that
    /// cannot work.
    pub fn unscale_(&mut self, optimizer: &dyn Optimizer) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        self.check()?;
        let (key, params) = identify(optimizer)?;
        if self.rounds.contains_key(&key) {
            return Err(Error::argument(OP, "the gradients of this optimizer were unscaled before, without update() since"));
        }
        if let Some(p) = params.iter().find(|p| p.grad().is_some_and(|g| g.dtype() == DType::F16)) {
            let why = format!("the gradient of a parameter of shape {:?} is f16; keep parameters in f32 and use autocast", p.shape());
            return Err(Error::dtype(OP, why));
        }
        let overflow = no_grad(|| unscale_gradients(&params, 1.0 / self.scale))?;
        self.rounds.insert(key, Round { overflow, stepped: false });
        Ok(())
    }

    /// Unscales if that was not done, and steps unless gradients overflowed; returns whether it stepped.
    ///
    /// # Errors
    /// A second time before [`update`](Self::update); as [`unscale_`](Self::unscale_) and the optimizer's step.
    pub fn step(&mut self, optimizer: &mut dyn Optimizer) -> Result<bool> {
        if !self.enabled {
            return optimizer.step().map(|()| true);
        }
        let (key, _) = identify(optimizer)?;
        if !self.rounds.contains_key(&key) {
            self.unscale_(optimizer)?;
        }
        let round = self.rounds.get_mut(&key).ok_or_else(|| Error::argument(OP, "the gradients were not unscaled"))?;
        if round.stepped {
            return Err(Error::argument(OP, "this optimizer stepped before, without update() since"));
        }
        round.stepped = true;
        if round.overflow {
            return Ok(false);
        }
        optimizer.step().map(|()| true)
    }

    /// Adapts the factor to what happened since the last update.
    ///
    /// # Errors
    /// No optimizer stepped.
    pub fn update(&mut self) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        if self.rounds.is_empty() {
            return Err(Error::argument(OP, "update() without a step() before"));
        }
        if self.rounds.drain().any(|(_, r)| r.overflow) {
            self.scale *= self.backoff_factor;
            self.good = 0;
            return Ok(());
        }
        self.good += 1;
        if self.good >= self.growth_interval {
            let grown = self.scale * self.growth_factor;
            // A factor beyond f32 would turn every loss into infinity.
            if grown <= f64::from(f32::MAX) {
                self.scale = grown;
            }
            self.good = 0;
        }
        Ok(())
    }

    pub fn state_dict(&self) -> Value {
        json!({
            "scale": self.scale, "growth_factor": self.growth_factor, "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval, "_growth_tracker": self.good,
        })
    }

    /// # Errors
    /// A state that is not one; nothing is changed then.
    pub fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        let missing = |key: &str| Error::argument(OP, format!("the state has no {key}"));
        let number = |key: &str| state[key].as_f64().ok_or_else(|| missing(key));
        let count = |key: &str| state[key].as_u64().ok_or_else(|| missing(key));
        let (scale, growth, backoff) = (number("scale")?, number("growth_factor")?, number("backoff_factor")?);
        let (interval, good) = (count("growth_interval")?, count("_growth_tracker")?);
        (self.scale, self.growth_factor, self.backoff_factor) = (scale, growth, backoff);
        (self.growth_interval, self.good) = (interval, good);
        self.rounds.clear();
        Ok(())
    }
}

/// What tells optimizers apart: no two have the same first parameter.
fn identify(optimizer: &dyn Optimizer) -> Result<(u64, Vec<Tensor>)> {
    let params = optimizer.params();
    let first = params.first().ok_or_else(|| Error::argument(OP, "the optimizer has no parameters"))?;
    Ok((first.0.id, params))
}
