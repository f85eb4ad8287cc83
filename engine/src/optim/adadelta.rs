//! Adadelta.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, directed, expect};
use super::settings::settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// Adadelta: steps in the units of the parameter, from running averages of squared gradients and of squared steps
/// ([Zeiler](https://arxiv.org/abs/1212.5701)).
///
/// ```text
/// v = ρ v + (1 - ρ) g²     d = sqrt(u + eps) / sqrt(v + eps) * g     u = ρ u + (1 - ρ) d²     p = p - lr d
/// ```
pub type Adadelta = Optim<AdadeltaRule>;

settings! {
    /// Hyperparameters of [`Adadelta`], and their builder. PyTorch's learning rate is 1.
    AdadeltaRule for Adadelta {
        /// The decay rate of both averages.
        rho: f64 = 0.9;
        eps: f64 = 1e-6;
        weight_decay: f64 = 0.0;
        /// Climbs instead of descending.
        maximize: bool = false;
    }
}

impl Rule for AdadeltaRule {
    const NAME: &'static str = "Adadelta";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "rho", self.rho, (0.0..=1.0).contains(&self.rho))?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("square_avg"), State::zero("acc_delta")]
    }

    fn update(&self, _: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [square, steps] = expect(Self::NAME, states)?;
        let g = directed(p, grad, self.maximize, self.weight_decay)?;
        *square = &*square * self.rho + g.square()? * (1.0 - self.rho);
        let delta = (&*steps + self.eps).sqrt()? / (&*square + self.eps).sqrt()? * g;
        *steps = &*steps * self.rho + delta.square()? * (1.0 - self.rho);
        p.sub(delta * self.lr)
    }
}
