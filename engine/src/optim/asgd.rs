//! Averaged stochastic gradient descent.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, directed, expect};
use super::settings::settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// Averaged stochastic gradient descent: the state `ax` is the average of the parameters since step `t0`
/// ([Polyak and Juditsky](https://dl.acm.org/citation.cfm?id=131098)).
///
/// ```text
/// p = p (1 - λ η) - η g      ax = ax + μ (p - ax)      η = lr / (1 + λ lr t)^α      μ = 1 / max(1, t - t0)
/// ```
pub type ASGD = Optim<ASGDRule>;

settings! {
    /// Hyperparameters of [`ASGD`], and their builder. PyTorch's learning rate is 1e-2.
    ASGDRule for ASGD {
        /// λ: the decay of the parameters and of the rate.
        lambd: f64 = 1e-4;
        /// α: the power of the rate's decay.
        alpha: f64 = 0.75;
        /// When averaging begins.
        t0: f64 = 1e6;
        weight_decay: f64 = 0.0;
        /// Climbs instead of descending.
        maximize: bool = false;
    }
}

impl Rule for ASGDRule {
    const NAME: &'static str = "ASGD";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "lambd", self.lambd, self.lambd >= 0.0)?;
        require(Self::NAME, "alpha", self.alpha, self.alpha >= 0.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("ax")]
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("eta", self.lr), ("mu", 1.0)]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [average] = expect(Self::NAME, states)?;
        let [eta, mu] = run.scalars else { return Err(crate::Error::argument(Self::NAME, "the rates are missing")) };
        let g = directed(p, grad, self.maximize, self.weight_decay)?;
        let p = p * (1.0 - self.lambd * *eta) - g * *eta;
        *average = if *mu == 1.0 { p.clone() } else { &*average + (&p - &*average) * *mu };
        let t = run.step as f64;
        *eta = self.lr / (1.0 + self.lambd * self.lr * t).powf(self.alpha);
        *mu = 1.0 / (t - self.t0).max(1.0);
        Ok(p)
    }
}
