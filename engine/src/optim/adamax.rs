//! Adamax.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State, blend, directed, expect};
use super::settings::settings;
use super::{require, unit};
use crate::error::Result;
use crate::tensor::Tensor;

/// Adamax: [`Adam`](super::Adam) with the largest decayed gradient in place of the average of squares.
///
/// ```text
/// m = β1 m + (1 - β1) g      u = max(β2 u, |g| + eps)      p = p - lr / (1 - β1ᵗ) * m / u
/// ```
pub type Adamax = Optim<AdamaxRule>;

settings! {
    /// Hyperparameters of [`Adamax`], and their builder. PyTorch's learning rate is 2e-3.
    AdamaxRule for Adamax {
        eps: f64 = 1e-8;
        weight_decay: f64 = 0.0;
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The decay rates of the average and of the maximum.
        betas: first second: f64 = (0.9, 0.999)];
    }
}

impl Rule for AdamaxRule {
    const NAME: &'static str = "Adamax";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        unit(Self::NAME, "beta 1", self.betas.0)?;
        unit(Self::NAME, "beta 2", self.betas.1)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("exp_avg"), State::zero("exp_inf")]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m, largest] = expect(Self::NAME, states)?;
        let (b1, b2) = self.betas;
        let g = directed(p, grad, self.maximize, self.weight_decay)?;
        *m = blend(m, &g, b1);
        *largest = (&*largest * b2).maximum(g.abs()? + self.eps)?;
        p.sub(&*m / &*largest * (self.lr / (1.0 - b1.powf(run.step as f64))))
    }
}
