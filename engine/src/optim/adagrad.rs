//! Adagrad.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, directed, expect};
use super::settings::settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// Adagrad: steps divided by the root of the sum of all squared gradients so far
/// ([Duchi et al.](https://jmlr.org/papers/v12/duchi11a.html)).
///
/// ```text
/// s = s + g²          p = p - lr / (1 + (t - 1) lr_decay) * g / (sqrt(s) + eps)
/// ```
pub type Adagrad = Optim<AdagradRule>;

settings! {
    /// Hyperparameters of [`Adagrad`], and their builder.
    AdagradRule for Adagrad {
        lr_decay: f64 = 0.0;
        weight_decay: f64 = 0.0;
        /// What the sum starts with.
        initial_accumulator_value: f64 = 0.0;
        eps: f64 = 1e-10;
        /// Climbs instead of descending.
        maximize: bool = false;
    }
}

impl Rule for AdagradRule {
    const NAME: &'static str = "Adagrad";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "lr_decay", self.lr_decay, self.lr_decay >= 0.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)?;
        require(Self::NAME, "initial_accumulator_value", self.initial_accumulator_value, self.initial_accumulator_value >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::filled("sum", self.initial_accumulator_value)]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [sum] = expect(Self::NAME, states)?;
        let g = directed(p, grad, self.maximize, self.weight_decay)?;
        *sum = &*sum + g.square()?;
        let lr = self.lr / (1.0 + (run.step as f64 - 1.0) * self.lr_decay);
        p.sub(g / (sum.sqrt()? + self.eps) * lr)
    }
}
