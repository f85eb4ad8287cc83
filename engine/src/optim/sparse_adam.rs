//! Adam for gradients of few rows.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State, expect};
use super::settings::settings;
use super::{require, unit};
use crate::error::Result;
use crate::tensor::Tensor;

/// Adam that leaves alone, states included, the rows of a parameter whose gradient is zero: for embeddings, of which a
/// batch touches few rows.
///
/// Gradients are dense here; a row (everything at one index of the first dimension) counts as absent from the sparse
/// gradient when all of it is zero. An embedding row that was used but whose gradient is exactly zero is therefore
/// skipped, where PyTorch would let its momentum run on.
pub type SparseAdam = Optim<SparseAdamRule>;

settings! {
    /// Hyperparameters of [`SparseAdam`], and their builder. PyTorch's learning rate is 1e-3.
    SparseAdamRule for SparseAdam {
        eps: f64 = 1e-8;
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The decay rates of the two averages.
        betas: first second: f64 = (0.9, 0.999)];
    }
}

impl Rule for SparseAdamRule {
    const NAME: &'static str = "SparseAdam";
    const EACH: bool = true;

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr > 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps > 0.0)?;
        unit(Self::NAME, "beta 1", self.betas.0)?;
        unit(Self::NAME, "beta 2", self.betas.1)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("exp_avg"), State::zero("exp_avg_sq")]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m, v] = expect(Self::NAME, states)?;
        let ((b1, b2), t) = (self.betas, run.step as f64);
        let g = if self.maximize { grad.neg()? } else { grad.clone() };
        let inner: Vec<isize> = (1..g.rank() as isize).collect();
        let touched = g.ne(0.0)?;
        let touched = if inner.is_empty() { touched } else { touched.any_keepdim(&inner[..])? };
        let new_m = &*m + (&g - &*m) * (1.0 - b1);
        let new_v = &*v + (g.square()? - &*v) * (1.0 - b2);
        *m = new_m.where_(&touched, &*m)?;
        *v = new_v.where_(&touched, &*v)?;
        let rate = self.lr * (1.0 - b2.powf(t)).sqrt() / (1.0 - b1.powf(t));
        p.sub(&*m / (v.sqrt()? + self.eps) * rate)?.where_(&touched, p)
    }
}
