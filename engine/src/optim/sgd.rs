//! Stochastic gradient descent.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, directed};
use super::settings::settings;
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

settings! {
    /// Hyperparameters of [`Sgd`], and their builder.
    SgdRule for Sgd {
        momentum: f64 = 0.0;
        dampening: f64 = 0.0;
        /// Adds `weight_decay * p` to the gradient.
        weight_decay: f64 = 0.0;
        nesterov: bool = false;
        /// Climbs instead of descending.
        maximize: bool = false;
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

    fn states(&self, _: &[usize]) -> Vec<State> {
        if self.momentum != 0.0 { vec![State::zero("momentum_buffer")] } else { Vec::new() }
    }

    fn counts_steps(&self) -> bool {
        false
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let mut g = directed(p, grad, self.maximize, self.weight_decay)?;
        if let [momentum] = states {
            let share = if run.step == 1 { 1.0 } else { 1.0 - self.dampening };
            *momentum = &*momentum * self.momentum + if self.dampening != 0.0 { &g * share } else { g.clone() };
            g = if self.nesterov { g + &*momentum * self.momentum } else { momentum.clone() };
        }
        p.sub(g * self.lr)
    }
}
