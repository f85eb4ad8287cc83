//! Loss functions: how far a prediction is from its target, as a tensor one can differentiate.
//!
//! Predictions and targets have the same shape; another one is an error (PyTorch broadcasts, with a warning).

mod classes;
mod elementwise;
#[cfg(test)]
mod tests;

use std::str::FromStr;

pub use classes::{CrossEntropy, cross_entropy, cross_entropy_with, nll_loss};
pub use elementwise::{binary_cross_entropy, binary_cross_entropy_with_logits, huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss};

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What becomes of the losses of the single elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reduction {
    /// They are returned as they are.
    None,
    /// Their mean; weighted losses divide by the sum of the weights.
    #[default]
    Mean,
    /// Their sum.
    Sum,
    /// Their sum divided by the size of the first dimension ([`kl_div`] only).
    BatchMean,
}

/// PyTorch's names: `none`, `mean`, `sum`, `batchmean`.
impl FromStr for Reduction {
    type Err = Error;

    fn from_str(s: &str) -> Result<Reduction> {
        Ok(match s {
            "none" => Reduction::None,
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            "batchmean" => Reduction::BatchMean,
            _ => return Err(Error::argument("reduction", format!("'{s}' is none of none, mean, sum, batchmean"))),
        })
    }
}

#[track_caller]
fn reduced(op: &'static str, losses: Tensor, reduction: Reduction) -> Result<Tensor> {
    match reduction {
        Reduction::None => Ok(losses),
        Reduction::Mean => losses.mean_all(),
        Reduction::Sum => losses.sum_all(),
        Reduction::BatchMean => Err(Error::argument(op, "batchmean is for kl_div")),
    }
}

fn same_shape(op: &'static str, what: &str, t: &Tensor, input: &Tensor) -> Result<()> {
    if t.shape() == input.shape() {
        return Ok(());
    }
    Err(Error::argument(op, format!("the {what} is {:?}, the input {:?}", t.shape(), input.shape())))
}
