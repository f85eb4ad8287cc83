//! Contrastive losses: embeddings of what belongs together should be near each other.
//!
//! In mixed precision they compute in f32 throughout: distances are small differences of large products.

use super::{Reduction, expect_reduction, finished, wide};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::loss::{CrossEntropy, cross_entropy_with};
use crate::tensor::Tensor;

/// InfoNCE: row `i` of `queries` `[N, D]` belongs to row `i` of `keys`, and to no other. The mean cross-entropy of the cosines divided by
/// `temperature`, over the keys; `symmetric` adds the direction from keys to queries and halves (CLIP).
///
/// # Errors
/// Shapes that differ or are no matrices; a temperature that is not positive.
#[track_caller]
pub fn info_nce_loss(queries: &Tensor, keys: &Tensor, temperature: f64, symmetric: bool) -> Result<Tensor> {
    let op = "info_nce_loss";
    matrices(op, queries, temperature)?;
    let (queries, keys, _plain) = (&crate::amp::full(queries)?, &crate::amp::full(keys)?, crate::amp::suspend());
    super::same_shape(op, "keys", keys, queries)?;
    let scores = unit(queries)?.matmul(&unit(keys)?.t()?)?.div(temperature)?;
    let own = Tensor::arange(0, queries.shape()[0], 1, (DType::I64, queries.device()))?;
    let one = |s: &Tensor| cross_entropy_with(s, &own, None, CrossEntropy::default());
    let loss = if symmetric { one(&scores)?.add(&one(&scores.t()?)?)?.mul(0.5)? } else { one(&scores)? };
    loss.to_dtype(queries.dtype())
}

/// Supervised contrastive loss: every other row of the same label is a positive, all other rows are what it competes with (Khosla et
/// al., the variant with the sum outside the logarithm). Rows without another of their label do not count.
///
/// # Errors
/// Features that are no matrix `[N, D]`, labels that are not `[N]` integers; a temperature that is not positive.
#[track_caller]
pub fn supervised_contrastive_loss(features: &Tensor, labels: &Tensor, temperature: f64) -> Result<Tensor> {
    let op = "supervised_contrastive_loss";
    matrices(op, features, temperature)?;
    let (features, _plain) = (&crate::amp::full(features)?, crate::amp::suspend());
    let n = features.shape()[0];
    check_labels(op, labels, n)?;
    let x = unit(features)?;
    let itself = Tensor::eye(n, (DType::Bool, features.device()))?;
    let scores = x.matmul(&x.t()?)?.div(temperature)?.masked_fill(&itself, f64::NEG_INFINITY)?;
    let log_p = scores.sub(&scores.logsumexp_keepdim(1)?)?;
    let same = labels.unsqueeze(1)?.eq(&labels.unsqueeze(0)?)?.logical_and(itself.logical_not()?)?;
    let count = same.to_dtype(log_p.dtype())?.sum(1)?;
    let alone = count.eq(0)?;
    let losses = log_p.masked_fill(&same.logical_not()?, 0.0)?.sum(1)?.neg()?.div(&count.masked_fill(&alone, 1.0)?)?;
    let counted = alone.logical_not()?.to_dtype(losses.dtype())?.sum_all()?.clamp(1.0, None)?;
    losses.masked_fill(&alone, 0.0)?.sum_all()?.div(&counted)?.to_dtype(features.dtype())
}

/// Which triplets of a batch count in [`mined_triplet_loss`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mining {
    /// For each anchor the farthest positive and the nearest negative.
    Hard,
    /// For each anchor and positive the nearest negative that is farther than the positive, or else the farthest negative.
    SemiHard,
    /// All triplets whose loss is not 0.
    All,
}

/// `max(0, d(anchor, positive) - d(anchor, negative) + margin)` over triplets of the rows of `features` `[N, D]` with their labels `[N]`,
/// chosen by distance (Euclidean). The mean is over the anchors or triplets there are; a batch without any gives 0.
///
/// # Errors
/// Features that are no matrix, labels that are not `[N]` integers; a margin that is not positive.
#[track_caller]
pub fn mined_triplet_loss(features: &Tensor, labels: &Tensor, margin: f64, mining: Mining) -> Result<Tensor> {
    let op = "mined_triplet_loss";
    matrices(op, features, margin)?;
    let (features, _plain) = (&crate::amp::full(features)?, crate::amp::suspend());
    let n = features.shape()[0];
    check_labels(op, labels, n)?;
    let x = wide(features)?;
    let squares = x.square()?.sum_keepdim(1)?;
    let d2 = squares.add(&squares.t()?)?.sub(&x.matmul(&x.t()?)?.mul(2.0)?)?.clamp(0.0, None)?;
    // The root's slope at 0 is infinite: equal rows are 0 apart, without a slope.
    let equal = d2.le(1e-12)?;
    let d = d2.masked_fill(&equal, 1.0)?.sqrt()?.masked_fill(&equal, 0.0)?;
    let itself = Tensor::eye(n, (DType::Bool, features.device()))?;
    let same = labels.unsqueeze(1)?.eq(&labels.unsqueeze(0)?)?;
    let (positive, negative) = (same.logical_and(itself.logical_not()?)?, same.logical_not()?);
    let not = |t: &Tensor| t.logical_not();
    let mean = |losses: Tensor, counts: Tensor| -> Result<Tensor> {
        let n = counts.to_dtype(losses.dtype())?.sum_all()?.clamp(1.0, None)?;
        losses.masked_fill(&not(&counts)?, 0.0)?.sum_all()?.div(&n)?.to_dtype(features.dtype())
    };
    match mining {
        Mining::Hard => {
            let far = d.masked_fill(&not(&positive)?, 0.0)?.amax(1)?;
            let near = d.masked_fill(&not(&negative)?, f64::INFINITY)?.amin(1)?;
            let counts = positive.any(1)?.logical_and(negative.any(1)?)?;
            let near = near.masked_fill(&not(&counts)?, 0.0)?;
            mean(far.sub(&near)?.add(margin)?.relu()?, counts)
        }
        Mining::SemiHard => {
            // [anchor, positive, negative]
            let (ap, an) = (d.unsqueeze(2)?, d.unsqueeze(1)?);
            let farther = an.gt(&ap)?.logical_and(negative.unsqueeze(1)?)?;
            let next = an.expand([n, n, n])?.masked_fill(&not(&farther)?, f64::INFINITY)?.amin(2)?;
            let farthest = d.masked_fill(&not(&negative)?, 0.0)?.amax_keepdim(1)?;
            let chosen = next.masked_fill(&not(&farther.any(2)?)?, 0.0)?.where_(&farther.any(2)?, &farthest.expand([n, n])?)?;
            let counts = positive.logical_and(negative.any_keepdim(1)?)?;
            mean(d.sub(&chosen)?.add(margin)?.relu()?, counts)
        }
        Mining::All => {
            let losses = d.unsqueeze(2)?.sub(&d.unsqueeze(1)?)?.add(margin)?.relu()?;
            let counts = positive.unsqueeze(2)?.logical_and(negative.unsqueeze(1)?)?.logical_and(losses.gt(0.0)?)?;
            mean(losses, counts)
        }
    }
}

/// `(1 - y) d^2 / 2 + y max(0, margin - d)^2 / 2` of the distances `d` between the rows of `a` and `b` `[N, D]`, where `y` `[N]` is 0 for
/// pairs that belong together and 1 for others (Hadsell et al.).
///
/// # Errors
/// Shapes that do not fit.
#[track_caller]
pub fn contrastive_loss(a: &Tensor, b: &Tensor, y: &Tensor, margin: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "contrastive_loss";
    expect_reduction(op, reduction)?;
    super::same_shape(op, "second input", b, a)?;
    if a.rank() != 2 || y.shape() != &a.shape()[..1] {
        return Err(Error::argument(op, format!("expects [N, D] and [N], not {:?} and {:?}", a.shape(), y.shape())));
    }
    let d = wide(a)?.pairwise_distance(&wide(b)?, 2.0, 1e-6, false)?;
    let y = wide(y)?;
    let near = y.neg()?.add(1.0)?.mul(&d.square()?)?;
    let away = y.mul(&d.neg()?.add(margin)?.relu()?.square()?)?;
    finished(op, near.add(&away)?.mul(0.5)?, reduction, &[a, b])
}

fn matrices(op: &'static str, x: &Tensor, positive: f64) -> Result<()> {
    if x.rank() != 2 || !x.dtype().is_float() || positive <= 0.0 || positive.is_nan() {
        let why = format!("needs floats [N, D] and a positive number, not {} {:?} and {positive}", x.dtype(), x.shape());
        return Err(Error::argument(op, why));
    }
    Ok(())
}

fn check_labels(op: &'static str, labels: &Tensor, n: usize) -> Result<()> {
    if labels.shape() != [n] || !labels.dtype().is_int() {
        return Err(Error::argument(op, format!("labels should be [{n}] integers, not {:?} {}", labels.shape(), labels.dtype())));
    }
    Ok(())
}

/// Rows of length 1.
#[track_caller]
fn unit(x: &Tensor) -> Result<Tensor> {
    let x = wide(x)?;
    x.div(&x.norm(2.0, 1, true)?.clamp(1e-12, None)?)
}
