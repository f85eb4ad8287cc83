//! Loss functions: how far a prediction is from its target, as a tensor one can differentiate.
//!
//! Predictions and targets have the same shape; another one is an error (PyTorch broadcasts, with a warning).

mod beyond;
mod classes;
mod contrastive;
mod ctc;
mod elementwise;
mod likelihood;
mod linear;
mod margin;
mod pairs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trap_tests;

use std::str::FromStr;

pub use classes::{CrossEntropy, cross_entropy, cross_entropy_with, nll_loss};
pub use elementwise::{binary_cross_entropy, binary_cross_entropy_with_logits, huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss};

pub use beyond::{
    UncertaintyWeighting, dice_loss, distillation_loss, focal_loss, gradient_penalty, log_cosh_loss, quantile_loss, sigmoid_focal_loss,
};
pub use contrastive::{Mining, contrastive_loss, info_nce_loss, mined_triplet_loss, supervised_contrastive_loss};
pub use ctc::{Ctc, ctc_loss};
pub use likelihood::{Poisson, gaussian_nll_loss, poisson_nll_loss};
pub use linear::linear_cross_entropy;
pub use margin::{
    hinge_embedding_loss, margin_ranking_loss, multi_margin_loss, multilabel_margin_loss, multilabel_soft_margin_loss, soft_margin_loss,
};
pub use pairs::{Triplet, cosine_embedding_loss, triplet_margin_loss, triplet_margin_with_distance_loss};

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::accumulated;
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

/// Only [`kl_div`] knows a mean over the batch; an error before anything is computed.
fn expect_reduction(op: &'static str, reduction: Reduction) -> Result<()> {
    if reduction == Reduction::BatchMean { Err(Error::argument(op, "batchmean is for kl_div")) } else { Ok(()) }
}

/// What losses are computed in: `f32` for integers, `f16` and `bf16`.
#[track_caller]
fn wide(t: &Tensor) -> Result<Tensor> {
    t.to_dtype(if t.dtype().is_float() { accumulated(t.dtype()) } else { DType::F32 })
}

/// The losses reduced, and rounded once to the type the operands have together.
#[track_caller]
fn finished(op: &'static str, losses: Tensor, reduction: Reduction, operands: &[&Tensor]) -> Result<Tensor> {
    let types = operands.iter().map(|t| t.dtype()).filter(|d| d.is_float());
    let dtype = types.reduce(|a, b| a.promote(b).unwrap_or(a)).unwrap_or(DType::F32);
    settled(&reduced(op, losses, reduction)?, dtype)
}

/// A loss in the type of its operands; in mixed precision it stays in f32, as PyTorch's losses do.
#[track_caller]
fn settled(loss: &Tensor, dtype: DType) -> Result<Tensor> {
    let mixed = crate::amp::autocast_dtype().is_some() && matches!(dtype, DType::F16 | DType::BF16);
    loss.to_dtype(if mixed { DType::F32 } else { dtype })
}
