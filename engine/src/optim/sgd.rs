//! Stochastic gradient descent.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::optimizer::{Optim, Rule};
use super::require;
use super::state::{flag, number};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Stochastic gradient descent with momentum, Nesterov's or the heavy ball's.
///
/// ```text
/// g = grad + weight_decay * p
/// b = momentum * b + (1 - dampening) * g      (b = g in the first step)
/// p = p - lr * (nesterov ? g + momentum * b : b)
/// ```
pub type Sgd = Optim<SgdRule>;

/// Hyperparameters of [`Sgd`], and their builder.
#[derive(Debug, Clone, PartialEq)]
pub struct SgdRule {
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
}

impl Optim<SgdRule> {
    /// Plain descent.
    ///
    /// # Errors
    /// As [`Optim::with_groups`].
    pub fn new<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, lr: f64) -> Result<Sgd> {
        Sgd::builder(lr).build(params)
    }

    pub fn builder(lr: f64) -> SgdRule {
        SgdRule { lr, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false }
    }
}

impl SgdRule {
    pub fn momentum(mut self, momentum: f64) -> SgdRule {
        self.momentum = momentum;
        self
    }

    pub fn dampening(mut self, dampening: f64) -> SgdRule {
        self.dampening = dampening;
        self
    }

    /// Adds `weight_decay * p` to the gradient.
    pub fn weight_decay(mut self, weight_decay: f64) -> SgdRule {
        self.weight_decay = weight_decay;
        self
    }

    pub fn nesterov(mut self, on: bool) -> SgdRule {
        self.nesterov = on;
        self
    }

    /// Climbs instead of descending.
    pub fn maximize(mut self, on: bool) -> SgdRule {
        self.maximize = on;
        self
    }

    /// # Errors
    /// As [`Optim::with_groups`].
    pub fn build<P: Into<Tensor>>(self, params: impl IntoIterator<Item = P>) -> Result<Sgd> {
        Optim::with_groups([(params, self)])
    }
}

impl Rule for SgdRule {
    const NAME: &'static str = "SGD";

    fn check(&self) -> Result<()> {
        require("SGD", "lr", self.lr, self.lr >= 0.0)?;
        require("SGD", "momentum", self.momentum, self.momentum >= 0.0)?;
        require("SGD", "weight_decay", self.weight_decay, self.weight_decay >= 0.0)?;
        if self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0) {
            let (m, d) = (self.momentum, self.dampening);
            return Err(Error::argument("SGD", format!("Nesterov needs a momentum and no dampening, not {m} and {d}")));
        }
        Ok(())
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn set_lr(&mut self, lr: f64) {
        self.lr = lr;
    }

    fn states(&self) -> Vec<&'static str> {
        if self.momentum != 0.0 { vec!["momentum_buffer"] } else { Vec::new() }
    }

    fn counts_steps(&self) -> bool {
        false
    }

    fn update(&self, step: u64, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let mut g = if self.maximize { grad.neg()? } else { grad.clone() };
        if self.weight_decay != 0.0 {
            g = g + p * self.weight_decay;
        }
        if let [momentum] = states {
            let share = if step == 1 { 1.0 } else { 1.0 - self.dampening };
            *momentum = &*momentum * self.momentum + if self.dampening != 0.0 { &g * share } else { g.clone() };
            g = if self.nesterov { g + &*momentum * self.momentum } else { momentum.clone() };
        }
        p.sub(g * self.lr)
    }

    fn options(&self) -> BTreeMap<String, Value> {
        let SgdRule { lr, momentum, dampening, weight_decay, nesterov, maximize } = self;
        let json = json!({ "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov, "maximize": maximize });
        json.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    fn with_options(&self, o: &BTreeMap<String, Value>) -> Result<SgdRule> {
        Ok(SgdRule {
            lr: number(o, "lr")?,
            momentum: number(o, "momentum")?,
            dampening: number(o, "dampening")?,
            weight_decay: number(o, "weight_decay")?,
            nesterov: flag(o, "nesterov")?,
            maximize: flag(o, "maximize")?,
        })
    }
}
