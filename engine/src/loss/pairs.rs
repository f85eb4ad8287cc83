//! Losses over pairs and triplets of embeddings.

use super::{Reduction, expect_reduction, finished, same_shape, wide};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// `1 - cos(a, b)` where the target is 1 and `max(0, cos(a, b) - margin)` where it is -1, for the rows of `a` and `b`
/// (`[N, D]` with targets `[N]`, or `[D]` with a target `[]`). Like `torch.nn.functional.cosine_embedding_loss`.
///
/// # Errors
/// Shapes that do not fit.
#[track_caller]
pub fn cosine_embedding_loss(a: &Tensor, b: &Tensor, target: &Tensor, margin: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "cosine_embedding_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "second input", b, a)?;
    if !(1..=2).contains(&a.rank()) || target.shape() != &a.shape()[..a.rank() - 1] {
        return Err(Error::argument(op, format!("targets of {:?} do not fit inputs of {:?}", target.shape(), a.shape())));
    }
    let (x, y) = (wide(a)?, wide(b)?);
    // Keeps the angle of a zero vector defined, as in PyTorch.
    let square = |t: &Tensor| t.square()?.sum(-1)?.add(1e-12);
    let cos = x.mul(&y)?.sum(-1)?.div(&square(&x)?.mul(&square(&y)?)?.sqrt()?)?;
    let near = cos.neg()?.add(1.0)?.masked_fill(&target.ne(1)?, 0.0)?;
    let away = cos.sub(margin)?.clamp(0.0, None)?.masked_fill(&target.ne(-1)?, 0.0)?;
    finished(op, near.add(&away)?, reduction, &[a, b])
}

/// Options of [`triplet_margin_loss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Triplet {
    /// How much nearer the positive has to be.
    pub margin: f64,
    /// The order of the distance's norm.
    pub p: f64,
    /// Added to every difference, so that the distance of equal vectors has a gradient.
    pub eps: f64,
    /// Takes the negative's distance to the positive where that is smaller than to the anchor.
    pub swap: bool,
    pub reduction: Reduction,
}

impl Default for Triplet {
    fn default() -> Triplet {
        Triplet { margin: 1.0, p: 2.0, eps: 1e-6, swap: false, reduction: Reduction::Mean }
    }
}

/// `max(0, d(anchor, positive) - d(anchor, negative) + margin)` with the p-norm of differences along the last dimension. Like
/// `torch.nn.functional.triplet_margin_loss`.
///
/// # Errors
/// Shapes that differ; a margin that is not positive.
#[track_caller]
pub fn triplet_margin_loss(anchor: &Tensor, positive: &Tensor, negative: &Tensor, options: Triplet) -> Result<Tensor> {
    let distance = |a: &Tensor, b: &Tensor| a.pairwise_distance(b, options.p, options.eps, false);
    triplet("triplet_margin_loss", [anchor, positive, negative], distance, options)
}

/// [`triplet_margin_loss`] with any distance; `p` and `eps` of the options do not matter. Like
/// `torch.nn.functional.triplet_margin_with_distance_loss`.
///
/// # Errors
/// Shapes that differ; a margin that is not positive; whatever `distance` reports.
#[track_caller]
pub fn triplet_margin_with_distance_loss(
    anchor: &Tensor,
    positive: &Tensor,
    negative: &Tensor,
    distance: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    options: Triplet,
) -> Result<Tensor> {
    triplet("triplet_margin_with_distance_loss", [anchor, positive, negative], distance, options)
}

#[track_caller]
fn triplet(
    op: &'static str,
    [anchor, positive, negative]: [&Tensor; 3],
    distance: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    options: Triplet,
) -> Result<Tensor> {
    let Triplet { margin, swap, reduction, .. } = options;
    expect_reduction(op, reduction)?;
    if margin <= 0.0 || margin.is_nan() {
        return Err(Error::argument(op, format!("the margin should be positive, but is {margin}")));
    }
    same_shape(op, "positive", positive, anchor)?;
    same_shape(op, "negative", negative, anchor)?;
    let [a, p, n] = [wide(anchor)?, wide(positive)?, wide(negative)?];
    let mut away = distance(&a, &n)?;
    if swap {
        away = away.minimum(&distance(&p, &n)?)?;
    }
    let losses = distance(&a, &p)?.sub(&away)?.add(margin)?.clamp(0.0, None)?;
    finished(op, losses, reduction, &[anchor, positive, negative])
}
