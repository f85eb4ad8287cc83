//! Lion.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State, blend, expect};
use super::settings::settings;
use super::{require, unit};
use crate::error::Result;
use crate::tensor::Tensor;

/// Lion: steps of one size, in the direction of the sign of a blend of momentum and gradient
/// ([Chen et al.](https://arxiv.org/abs/2302.06675)). Its learning rate is about a tenth of Adam's.
///
/// ```text
/// p = p (1 - lr λ) - lr sign(β1 m + (1 - β1) g)          m = β2 m + (1 - β2) g
/// ```
pub type Lion = Optim<LionRule>;

settings! {
    /// Hyperparameters of [`Lion`], and their builder. The paper's learning rate is 1e-4.
    LionRule for Lion {
        /// λ, decoupled.
        weight_decay: f64 = 0.0;
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The shares of the momentum in the step and in its own update.
        betas: first second: f64 = (0.9, 0.99)];
    }
}

impl Rule for LionRule {
    const NAME: &'static str = "Lion";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        unit(Self::NAME, "beta 1", self.betas.0)?;
        unit(Self::NAME, "beta 2", self.betas.1)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("exp_avg")]
    }

    fn counts_steps(&self) -> bool {
        false
    }

    fn update(&self, _: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m] = expect(Self::NAME, states)?;
        let g = if self.maximize { grad.neg()? } else { grad.clone() };
        let direction = blend(m, &g, self.betas.0).sign()?;
        *m = blend(m, &g, self.betas.1);
        (p * (1.0 - self.lr * self.weight_decay)).sub(direction * self.lr)
    }
}
