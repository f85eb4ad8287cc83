//! Rprop.

use super::optimizer::Optim;
use super::require;
use super::rule::{Rule, Run, State, directed, expect};
use super::settings::settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// Rprop: a step size for each number, which grows while the gradient keeps its sign and shrinks when it turns. For full
/// batches.
pub type Rprop = Optim<RpropRule>;

settings! {
    /// Hyperparameters of [`Rprop`], and their builder. The learning rate is the first step size; PyTorch's is 1e-2.
    RpropRule for Rprop {
        /// Climbs instead of descending.
        maximize: bool = false;
        [/// The factors by which a step shrinks and grows.
        etas: minus plus: f64 = (0.5, 1.2)];
        [/// The smallest and the largest step.
        step_sizes: min max: f64 = (1e-6, 50.0)];
    }
}

impl Rule for RpropRule {
    const NAME: &'static str = "Rprop";

    fn check(&self) -> Result<()> {
        require(Self::NAME, "lr", self.lr, self.lr >= 0.0)?;
        require(Self::NAME, "the shrinking eta", self.etas.0, 0.0 < self.etas.0 && self.etas.0 < 1.0)?;
        require(Self::NAME, "the growing eta", self.etas.1, self.etas.1 > 1.0)
    }

    fn states(&self, _: &[usize]) -> Vec<State> {
        vec![State::zero("prev"), State::filled("step_size", self.lr)]
    }

    fn update(&self, _: &mut Run<'_>, p: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
        let [before, size] = expect(Self::NAME, states)?;
        let ((minus, plus), (min, max)) = (self.etas, self.step_sizes);
        let g = directed(p, grad, self.maximize, 0.0)?;
        let product = &g * &*before;
        let turned = product.lt(0.0)?;
        let factor = product.ones_like()?.where_(&turned.logical_not()?, minus)?;
        let factor = factor.where_(&product.gt(0.0)?.logical_not()?, plus)?;
        *size = (&*size * factor).clamp(Some(min), Some(max))?;
        // Where the gradient turned, this step is left out.
        *before = g.masked_fill(&turned, 0.0)?;
        p.sub(before.sign()? * &*size)
    }
}
