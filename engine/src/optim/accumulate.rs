//! Several backward passes to a step.

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Says when to step where several small batches stand for a large one, and by what to divide each loss. The last group of an epoch
/// may be smaller: it is stepped too, and divided by what it has.
///
/// The sum of the gradients is that of the large batch where a loss is a mean and the small batches are of one size.
///
/// ```
/// use taper::optim::GradientAccumulation;
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let mut groups = GradientAccumulation::new(2, 5)?;
/// let steps: Vec<bool> = (0..5).map(|_| groups.advance()).collect();
/// assert_eq!(steps, [false, true, false, true, true]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GradientAccumulation {
    every: usize,
    batches: usize,
    done: usize,
}

impl GradientAccumulation {
    /// A step for `every` batches, of which an epoch has `batches`.
    ///
    /// # Errors
    /// One of them is 0.
    pub fn new(every: usize, batches: usize) -> Result<GradientAccumulation> {
        if every == 0 || batches == 0 {
            let why = format!("needs at least one batch a step and one an epoch, not {every} and {batches}");
            return Err(Error::argument("GradientAccumulation", why));
        }
        Ok(GradientAccumulation { every, batches, done: 0 })
    }

    /// How many batches the step has that the next one belongs to.
    pub fn group(&self) -> usize {
        let begun = self.done - self.done % self.every;
        self.every.min(self.batches - begun)
    }

    /// The loss of the next batch as its share of the step's: what `backward` is called on.
    ///
    /// # Errors
    /// A loss that carries one.
    pub fn scale(&self, loss: &Tensor) -> Result<Tensor> {
        loss.div(self.group() as f64)
    }

    /// After the backward pass of a batch: whether to step now, and to zero gradients. After the last batch an epoch begins anew.
    pub fn advance(&mut self) -> bool {
        self.done += 1;
        let last = self.done == self.batches;
        let step = last || self.done % self.every == 0;
        if last {
            self.done = 0;
        }
        step
    }
}
