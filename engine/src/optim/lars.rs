//! LARS.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, expect};
use super::settings::settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// LARS: momentum, with a learning rate for each parameter in proportion to the ratio of its norm to its gradient's
/// ([You et al.](https://arxiv.org/abs/1708.03888)). For large batches.
///
/// ```text
/// l = trust_coefficient |p| / (|g| + λ |p| + eps)   (1 where a norm is 0)
/// b = momentum * b + l (g + λ p)          p = p - lr b
/// ```
pub type Lars = Optim<LarsRule>;

settings! {
    /// Hyperparameters of [`Lars`], and their builder.
    LarsRule for Lars {
        momentum: f64 = 0.9;
        weight_decay: f64 = 0.0;
        trust_coefficient: f64 = 1e-3;
        eps: f64 = 1e-8;
        nesterov: bool = false;
        /// Climbs instead of descending.
        maximize: bool = false;
    }
}

impl Rule for LarsRule {
    const NAME: &'static str = "Lars";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "momentum", self.momentum, self.momentum >= 0.0)?;
        require(Self::NAME, "trust_coefficient", self.trust_coefficient, self.trust_coefficient >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("momentum_buffer")]
    }

    fn counts_steps(&self) -> bool {
        false
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [buffer] = expect(Self::NAME, states)?;
        let g = if self.maximize { grad.neg()? } else { grad.clone() };
        let (own, slope) = (run.norms(p)?, run.norms(&g)?);
        let rate = &own * self.trust_coefficient / (&slope + &own * self.weight_decay + self.eps);
        let rate = rate.where_(&own.gt(0.0)?.logical_and(&slope.gt(0.0)?)?, 1.0)?;
        let g = (run.rows(&(g + p * self.weight_decay))? * rate).reshape([-1])?;
        *buffer = &*buffer * self.momentum + &g;
        let step = if self.nesterov { g + &*buffer * self.momentum } else { buffer.clone() };
        p.sub(step * self.lr)
    }
}
