//! LAMB.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State, blend, expect};
use super::settings::settings;
use super::{require, unit};
use crate::error::Result;
use crate::tensor::Tensor;

/// LAMB: Adam's step, scaled for each parameter by the ratio of the parameter's norm to the step's
/// ([You et al.](https://arxiv.org/abs/1904.00962)). For large batches.
///
/// ```text
/// r = m̂ / (sqrt(v̂) + eps) + λ p          p = p - lr |p| / |r| r          (a ratio of 1 where a norm is 0)
/// ```
pub type Lamb = Optim<LambRule>;

settings! {
    /// Hyperparameters of [`Lamb`], and their builder.
    LambRule for Lamb {
        eps: f64 = 1e-6;
        weight_decay: f64 = 0.0;
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The decay rates of the two averages.
        betas: first second: f64 = (0.9, 0.999)];
    }
}

impl Rule for LambRule {
    const NAME: &'static str = "Lamb";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        unit(Self::NAME, "beta 1", self.betas.0)?;
        unit(Self::NAME, "beta 2", self.betas.1)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("exp_avg"), State::zero("exp_avg_sq")]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m, v] = expect(Self::NAME, states)?;
        let ((b1, b2), t) = (self.betas, run.step as f64);
        let g = if self.maximize { grad.neg()? } else { grad.clone() };
        *m = blend(m, &g, b1);
        *v = &*v * b2 + g.square()? * (1.0 - b2);
        let denominator = v.sqrt()? * (1.0 / (1.0 - b2.powf(t)).sqrt()) + self.eps;
        let mut r = &*m / denominator * (1.0 / (1.0 - b1.powf(t)));
        if self.weight_decay != 0.0 {
            r = r + p * self.weight_decay;
        }
        let (own, step) = (run.norms(p)?, run.norms(&r)?);
        let ratio = own.div(&step)?.where_(&own.gt(0.0)?.logical_and(&step.gt(0.0)?)?, 1.0)?;
        run.rows(p)?.sub(run.rows(&r)? * ratio * self.lr)?.reshape([-1])
    }
}
