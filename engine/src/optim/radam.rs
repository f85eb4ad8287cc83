//! RAdam.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State, blend, directed, expect};
use super::settings::settings;
use super::{require, unit};
use crate::error::Result;
use crate::tensor::Tensor;

/// RAdam: [`Adam`](super::Adam) that trusts its average of squares only once enough gradients are in it
/// ([Liu et al.](https://arxiv.org/abs/1908.03265)).
pub type RAdam = Optim<RAdamRule>;

settings! {
    /// Hyperparameters of [`RAdam`], and their builder. PyTorch's learning rate is 1e-3.
    RAdamRule for RAdam {
        eps: f64 = 1e-8;
        weight_decay: f64 = 0.0;
        /// Shrinks the parameter by `lr * weight_decay` instead of adding to the gradient.
        decoupled_weight_decay: bool = false;
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The decay rates of the two averages.
        betas: first second: f64 = (0.9, 0.999)];
    }
}

impl Rule for RAdamRule {
    const NAME: &'static str = "RAdam";

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
        let ((b1, b2), lr, t) = (self.betas, self.lr, run.step as f64);
        let (decay, p) = match (self.weight_decay, self.decoupled_weight_decay) {
            (decay, true) if decay != 0.0 => (0.0, p.mul(1.0 - lr * decay)?),
            (decay, _) => (decay, p.clone()),
        };
        let g = directed(&p, grad, self.maximize, decay)?;
        *m = blend(m, &g, b1);
        *v = &*v * b2 + g.square()? * (1.0 - b2);
        let (c1, c2) = (1.0 - b1.powf(t), 1.0 - b2.powf(t));
        // How many gradients the average of squares stands for, in the limit and now.
        let limit = 2.0 / (1.0 - b2) - 1.0;
        let rho = limit - 2.0 * t * b2.powf(t) / c2;
        if rho <= 5.0 {
            return p.sub(&*m * (lr / c1));
        }
        let rectified = ((rho - 4.0) * (rho - 2.0) * limit / ((limit - 4.0) * (limit - 2.0) * rho)).sqrt();
        p.sub(&*m / (v.sqrt()? + self.eps) * (lr / c1 * c2.sqrt() * rectified))
    }
}
