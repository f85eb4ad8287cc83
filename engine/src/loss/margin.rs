//! Margin losses over classes and labels: what is right has to lead by a margin.

use super::classes::check;
use super::{Reduction, expect_reduction, finished, reduced, same_shape, wide};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// `mean over the wrong classes j of max(0, margin - x[y] + x[j])^p`, for each row of scores `[N, C]` (or `[C]`) and its class
/// `y` in `target` `[N]` (or `[]`); `p` is 1 or 2, `weight` `[C]` weighs the classes. Like `torch.nn.functional.multi_margin_loss`.
///
/// # Errors
/// Another `p`; shapes that do not fit; no classes; a target outside the classes; integer scores.
#[track_caller]
pub fn multi_margin_loss(
    input: &Tensor,
    target: &Tensor,
    p: i64,
    margin: f64,
    weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    let op = "multi_margin_loss";
    expect_reduction(op, reduction)?;
    let (rows, classes) = rows(op, input)?;
    if p != 1 && p != 2 {
        return Err(Error::argument(op, format!("p should be 1 or 2, not {p}")));
    }
    if target.rank() > 1 || target.numel() != rows {
        return Err(Error::argument(op, format!("targets of {:?} do not fit scores of {:?}", target.shape(), input.shape())));
    }
    if !target.dtype().is_int() {
        return Err(Error::dtype(op, format!("target classes should be integers, not {}", target.dtype())));
    }
    check(op, target, target.value()?.node.range, classes, None)?;
    let column = target.to_dtype(DType::I64)?.reshape([rows, 1])?;
    let x = wide(input)?.reshape([rows, classes])?;
    let numbers = Tensor::arange(0, classes, 1, (DType::I64, input.device()))?;
    let right = column.eq(&numbers)?;
    let mut terms = x.sub(&x.gather(1, &column)?)?.add(margin)?.relu()?;
    if p == 2 {
        terms = terms.square()?;
    }
    if let Some(w) = weight {
        if w.shape() != [classes] {
            return Err(Error::argument(op, format!("a weight of {:?} does not fit {classes} classes", w.shape())));
        }
        terms = terms.mul(&wide(w)?.reshape([1, classes])?.expand([rows, classes])?.gather(1, &column)?)?;
    }
    let losses = terms.masked_fill(&right, 0.0)?.sum(1)?.div(classes as f64)?.reshape(target.shape())?;
    let losses =
        if input.rank() < 2 && reduction == Reduction::None && target.rank() == 0 { losses.reshape(&[] as &[usize])? } else { losses };
    finished(op, losses, reduction, &[input])
}

/// `sum over labels y and other classes j of max(0, 1 - (x[y] - x[j])) / C`, for each row of scores `[N, C]` (or `[C]`) and its
/// labels: the classes in the row of `target` (of the same shape) before the first -1. Like
/// `torch.nn.functional.multilabel_margin_loss`.
///
/// # Errors
/// Shapes that differ; no classes; a label outside the classes; integer scores.
#[track_caller]
pub fn multilabel_margin_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let op = "multilabel_margin_loss";
    expect_reduction(op, reduction)?;
    let (n, classes) = rows(op, input)?;
    if target.shape() != input.shape() && !(target.numel() == classes && input.numel() == classes && input.rank().max(target.rank()) <= 1) {
        return Err(Error::argument(op, format!("the target is {:?}, the input {:?}", target.shape(), input.shape())));
    }
    if !target.dtype().is_int() {
        return Err(Error::dtype(op, format!("labels should be integers, not {}", target.dtype())));
    }
    check(op, target, target.value()?.node.range, classes, Some(-1))?;
    let x = wide(input)?.reshape([n, classes])?;
    let target = target.to_dtype(DType::I64)?.reshape([n, classes])?;
    let numbers = Tensor::arange(0, classes, 1, (DType::I64, input.device()))?;
    // A row's labels end before its first -1.
    let end = target.lt(0)?;
    let first = end.to_dtype(DType::I32)?.argmax(Some(1), true)?.masked_fill(&end.any_keepdim(1)?.logical_not()?, classes as i64)?;
    let valid = numbers.lt(&first)?;
    let label = target.masked_fill(&valid.logical_not()?, 0)?;
    let is_label = label.unsqueeze(2)?.eq(&numbers)?.logical_and(valid.unsqueeze(2)?)?.any(1)?;
    // [N, label, class]
    let terms = x.unsqueeze(1)?.sub(&x.gather(1, &label)?.unsqueeze(2)?)?.add(1.0)?.relu()?;
    let skip = valid.logical_not()?.unsqueeze(2)?.logical_or(is_label.unsqueeze(1)?)?;
    let losses = terms.masked_fill(&skip, 0.0)?.sum([1, 2])?.div(classes as f64)?;
    let losses = if input.rank() < 2 { losses.reshape(&[] as &[usize])? } else { losses };
    finished(op, losses, reduction, &[input])
}

/// The mean over classes (the last dimension) of the binary cross-entropy of `sigmoid(input)`, stable for any input; `target` has
/// the input's shape, `weight` broadcasts. Like `torch.nn.functional.multilabel_soft_margin_loss`.
///
/// # Errors
/// Shapes that differ; scalars.
#[track_caller]
pub fn multilabel_soft_margin_loss(input: &Tensor, target: &Tensor, weight: Option<&Tensor>, reduction: Reduction) -> Result<Tensor> {
    let op = "multilabel_soft_margin_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, input)?;
    if input.rank() == 0 {
        return Err(Error::argument(op, "the input needs a dimension of classes"));
    }
    let (x, t) = (wide(input)?, wide(target)?);
    let mut terms = t.mul(&x.log_sigmoid()?)?.add(&t.neg()?.add(1.0)?.mul(&x.neg()?.log_sigmoid()?)?)?.neg()?;
    if let Some(w) = weight {
        terms = terms.mul(&wide(w)?.expand(input.shape())?)?;
    }
    finished(op, terms.mean(-1)?, reduction, &[input, target])
}

/// `log(1 + exp(-target input))`, stable for any input; targets are 1 or -1. Like `torch.nn.functional.soft_margin_loss`.
///
/// # Errors
/// Shapes that differ.
#[track_caller]
pub fn soft_margin_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let op = "soft_margin_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, input)?;
    let losses = wide(target)?.mul(&wide(input)?)?.log_sigmoid()?.neg()?;
    finished(op, losses, reduction, &[input, target])
}

/// `max(0, -target (input1 - input2) + margin)`: with target 1 the first input should rank higher, with -1 the second. Like
/// `torch.nn.functional.margin_ranking_loss`.
///
/// # Errors
/// Shapes that differ.
#[track_caller]
pub fn margin_ranking_loss(input1: &Tensor, input2: &Tensor, target: &Tensor, margin: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "margin_ranking_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "second input", input2, input1)?;
    same_shape(op, "target", target, input1)?;
    let [input1, input2, target] = [crate::amp::full(input1)?, crate::amp::full(input2)?, crate::amp::full(target)?];
    let losses = target.neg()?.mul(&input1.sub(&input2)?)?.add(margin)?.clamp(0.0, None)?;
    reduced(op, losses, reduction)
}

/// The input where the target is 1, and `max(0, margin - input)` where it is -1. Like
/// `torch.nn.functional.hinge_embedding_loss`, also in that other targets get the sum of both.
///
/// # Errors
/// Shapes that differ.
#[track_caller]
pub fn hinge_embedding_loss(input: &Tensor, target: &Tensor, margin: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "hinge_embedding_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, input)?;
    let input = crate::amp::full(input)?;
    let away = input.neg()?.add(margin)?.clamp(0.0, None)?.masked_fill(&target.eq(1)?, 0)?;
    let near = input.masked_fill(&target.eq(-1)?, 0)?;
    reduced(op, away.add(&near)?, reduction)
}

/// Rows and classes of scores `[N, C]`, `[C]` or `[]`.
fn rows(op: &'static str, input: &Tensor) -> Result<(usize, usize)> {
    if !input.dtype().is_float() {
        return Err(Error::dtype(op, format!("needs floats, not {}", input.dtype())));
    }
    match *input.shape() {
        [] => Ok((1, 1)),
        [c] if c > 0 => Ok((1, c)),
        [n, c] if c > 0 => Ok((n, c)),
        ref shape => Err(Error::argument(op, format!("expects scores [N, C] or [C] with at least one class, not {shape:?}"))),
    }
}
