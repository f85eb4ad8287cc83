//! NAdam.

use super::optimizer::Optim;
use super::rule::{Rule, Run, State, blend, directed, expect};
use super::settings::settings;
use super::{require, unit};
use crate::error::Result;
use crate::tensor::Tensor;

/// NAdam: [`Adam`](super::Adam) with Nesterov's momentum, whose rate warms up
/// ([Dozat](https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ)).
///
/// ```text
/// μₜ = β1 (1 - 0.96^(t ψ) / 2)      Πₜ = Πₜ₋₁ μₜ
/// p = p - lr (1 - μₜ) / (1 - Πₜ) * g / d - lr μₜ₊₁ / (1 - Πₜ μₜ₊₁) * m / d,      d = sqrt(v / (1 - β2ᵗ)) + eps
/// ```
pub type NAdam = Optim<NAdamRule>;

settings! {
    /// Hyperparameters of [`NAdam`], and their builder. PyTorch's learning rate is 2e-3.
    NAdamRule for NAdam {
        eps: f64 = 1e-8;
        weight_decay: f64 = 0.0;
        /// ψ: how fast the momentum warms up.
        momentum_decay: f64 = 4e-3;
        /// Shrinks the parameter by `lr * weight_decay` instead of adding to the gradient.
        decoupled_weight_decay: bool = false;
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The decay rates of the two averages.
        betas: first second: f64 = (0.9, 0.999)];
    }
}

impl Rule for NAdamRule {
    const NAME: &'static str = "NAdam";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        unit(Self::NAME, "beta 1", self.betas.0)?;
        unit(Self::NAME, "beta 2", self.betas.1)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)?;
        require(Self::NAME, "momentum_decay", self.momentum_decay, self.momentum_decay >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("exp_avg"), State::zero("exp_avg_sq")]
    }

    fn scalars(&self) -> Vec<(&'static str, f64)> {
        vec![("mu_product", 1.0)]
    }

    fn update(&self, run: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [m, v] = expect(Self::NAME, states)?;
        let ((b1, b2), lr, step) = (self.betas, self.lr, run.step as f64);
        let (decay, p) = match (self.weight_decay, self.decoupled_weight_decay) {
            (decay, true) if decay != 0.0 => (0.0, p.mul(1.0 - lr * decay)?),
            (decay, _) => (decay, p.clone()),
        };
        let g = directed(&p, grad, self.maximize, decay)?;
        let mu = |t: f64| b1 * (1.0 - 0.5 * 0.96f64.powf(t * self.momentum_decay));
        let (now, next) = (mu(step), mu(step + 1.0));
        run.scalars[0] *= now;
        let product = run.scalars[0];
        *m = blend(m, &g, b1);
        *v = &*v * b2 + g.square()? * (1.0 - b2);
        let d = (&*v * (1.0 / (1.0 - b2.powf(step)))).sqrt()? + self.eps;
        let step = g / &d * (lr * (1.0 - now) / (1.0 - product)) + &*m / &d * (lr * next / (1.0 - product * next));
        p.sub(step)
    }
}
