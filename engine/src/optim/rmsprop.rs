//! RMSprop.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, blend, directed};
use super::settings::settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// RMSprop: steps divided by the root of a running average of squared gradients, with momentum on request
/// ([Graves](https://arxiv.org/abs/1308.0850) for the centered form).
///
/// ```text
/// v = α v + (1 - α) g²      a = α a + (1 - α) g (centered, else 0)      d = sqrt(v - a²) + eps
/// b = momentum * b + g / d                                              p = p - lr b
/// ```
pub type RMSprop = Optim<RMSpropRule>;

settings! {
    /// Hyperparameters of [`RMSprop`], and their builder. PyTorch's learning rate is 1e-2.
    RMSpropRule for RMSprop {
        /// The decay rate of the averages.
        alpha: f64 = 0.99;
        eps: f64 = 1e-8;
        weight_decay: f64 = 0.0;
        momentum: f64 = 0.0;
        /// Divides by the standard deviation instead of the root mean square.
        centered: bool = false;
        /// Climbs instead of descending.
        maximize: bool = false;
    }
}

impl Rule for RMSpropRule {
    const NAME: &'static str = "RMSprop";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "eps", self.eps, self.eps >= 0.0)?;
        require(Self::NAME, "momentum", self.momentum, self.momentum >= 0.0)?;
        require(Self::NAME, "weight_decay", self.weight_decay, self.weight_decay >= 0.0)?;
        require(Self::NAME, "alpha", self.alpha, self.alpha >= 0.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        let mut states = vec![State::zero("square_avg")];
        if self.momentum > 0.0 {
            states.push(State::zero("momentum_buffer"));
        }
        if self.centered {
            states.push(State::zero("grad_avg"));
        }
        states
    }

    fn update(&self, _: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let g = directed(p, grad, self.maximize, self.weight_decay)?;
        let mut states = states.iter_mut();
        let mut next = || states.next().ok_or_else(|| crate::Error::argument(Self::NAME, "the states are missing"));
        let square = next()?;
        *square = &*square * self.alpha + g.square()? * (1.0 - self.alpha);
        let momentum = if self.momentum > 0.0 { Some(next()?) } else { None };
        let variance = if self.centered {
            let mean = next()?;
            *mean = blend(mean, &g, self.alpha);
            &*square - mean.square()?
        } else {
            square.clone()
        };
        let mut step = g / (variance.sqrt()? + self.eps);
        if let Some(buffer) = momentum {
            *buffer = &*buffer * self.momentum + step;
            step = buffer.clone();
        }
        p.sub(step * self.lr)
    }
}
