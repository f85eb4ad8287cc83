//! Losses over classes: cross-entropy and the negative log-likelihood.

use smallvec::smallvec;

use super::{Reduction, reduced, same_shape};
use crate::autograd::{self, Kept};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::accumulated;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Options of [`cross_entropy_with`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossEntropy {
    /// Targets of this class do not count; it need not be a class.
    pub ignore_index: i64,
    /// How much of the target is spread evenly over all classes, 0 to 1.
    pub label_smoothing: f64,
    pub reduction: Reduction,
}

impl Default for CrossEntropy {
    fn default() -> CrossEntropy {
        CrossEntropy { ignore_index: -100, label_smoothing: 0.0, reduction: Reduction::Mean }
    }
}

/// The mean of `-log softmax(logits)[target]`.
///
/// Logits `[N, C]`, or `[N, C, d..]`, or `[C]`; the target is integer classes `[N]`, `[N, d..]`, `[]`, or
/// probabilities of the logits' shape. Stable for any finite logits; nothing is read back from the device.
///
/// # Errors
/// Shapes that do not fit; a target outside the classes (as far as the target's values are known: uploaded data).
///
/// ```
/// # use taper::prelude::*; use taper::loss; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let logits = Tensor::new([[0.0, 0.0], [9.0, 9.0]], &cpu)?;
/// let loss = loss::cross_entropy(&logits, &Tensor::new([0, 1], &cpu)?)?;
/// assert!((loss.item::<f32>()? - 2f32.ln()).abs() < 1e-6);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    cross_entropy_with(logits, target, None, CrossEntropy::default())
}

/// [`cross_entropy`] with all options; `weight` `[C]` weighs the classes.
///
/// # Errors
/// As [`cross_entropy`].
#[track_caller]
pub fn cross_entropy_with(logits: &Tensor, target: &Tensor, weight: Option<&Tensor>, options: CrossEntropy) -> Result<Tensor> {
    let op = "cross_entropy";
    if !(0.0..=1.0).contains(&options.label_smoothing) {
        return Err(Error::argument(op, format!("label smoothing must lie between 0 and 1, but is {}", options.label_smoothing)));
    }
    if !logits.dtype().is_float() {
        return Err(Error::dtype(op, format!("needs floats, not {}", logits.dtype())));
    }
    if target.dtype().is_float() && options.ignore_index >= 0 {
        return Err(Error::argument(op, "ignore_index is for classes, the target holds probabilities"));
    }
    let logits = &crate::amp::full(logits)?;
    // In f32 for f16 and bf16, rounded once at the end.
    let loss = if target.dtype().is_float() {
        probabilities(&logits.to_dtype(accumulated(logits.dtype()))?, target, weight, options)?
    } else {
        indices(Rows::new(op, logits, target, weight, options.ignore_index)?, logits, options)?
    };
    loss.to_dtype(logits.dtype())
}

/// `-input[target]` for log-probabilities `input`: what [`cross_entropy`] is after its softmax. Shapes as there; `weight`
/// `[C]` weighs the classes, targets of class `ignore_index` do not count.
///
/// # Errors
/// As [`cross_entropy`].
#[track_caller]
pub fn nll_loss(input: &Tensor, target: &Tensor, weight: Option<&Tensor>, ignore_index: i64, reduction: Reduction) -> Result<Tensor> {
    let op = "nll_loss";
    if !input.dtype().is_float() {
        return Err(Error::dtype(op, format!("needs floats, not {}", input.dtype())));
    }
    let input = &crate::amp::full(input)?;
    let rows = Rows::new(op, input, target, weight, ignore_index)?;
    let losses = rows.pick(&input.to_dtype(rows.dtype)?)?.neg()?;
    let losses = match rows.weights()? {
        Some(w) => losses.mul(&w)?,
        None => losses,
    };
    rows.reduced(losses, reduction)?.to_dtype(input.dtype())
}

/// Integer targets beside their logits: one row is the classes of one target. Masks are made where they are used,
/// so that they fuse and none of them is kept for the gradient.
struct Rows {
    op: &'static str,
    /// Which dimension the classes are.
    dim: isize,
    classes: usize,
    target: Tensor,
    /// `[C, 1..]`: the classes' numbers, as they broadcast with the logits.
    column: Shape,
    /// Targets of this class do not count; `None` if there are none of them.
    ignore: Option<i64>,
    /// `[C, 1..]`
    weight: Option<Tensor>,
    dtype: DType,
    count: usize,
}

impl Rows {
    fn new(op: &'static str, logits: &Tensor, target: &Tensor, weight: Option<&Tensor>, ignore: i64) -> Result<Rows> {
        let shape = logits.shape();
        let dim = if shape.len() == 1 { 0 } else { 1 };
        let wanted: Shape = shape.iter().enumerate().filter(|(d, _)| *d != dim).map(|(_, &s)| s).collect();
        if shape.is_empty() || target.shape() != &wanted[..] {
            return Err(Error::argument(op, format!("targets of {:?} do not fit logits of {shape:?}", target.shape())));
        }
        if !target.dtype().is_int() {
            return Err(Error::dtype(op, format!("target classes should be integers, not {}", target.dtype())));
        }
        let classes = shape[dim];
        let seen = target.value()?.node.range;
        check(op, target, seen, classes, Some(ignore))?;
        let mut column: Shape = Shape::from_elem(1, shape.len() - dim);
        column[0] = classes;
        let dtype = accumulated(logits.dtype());
        let weight = match weight {
            Some(w) if w.shape() != [classes] => {
                return Err(Error::argument(op, format!("a weight of {:?} does not fit {classes} classes", w.shape())));
            }
            Some(w) if w.dtype() != logits.dtype() => {
                return Err(Error::dtype(op, format!("the classes' weights are {}, the input {}", w.dtype(), logits.dtype())));
            }
            Some(w) => Some(w.detach()?.to_dtype(dtype)?.reshape(&column[..])?),
            None => None,
        };
        // Uploaded targets that never hold the ignored class need no mask.
        let ignore = seen.is_none_or(|(low, high)| (low..=high).contains(&ignore)).then_some(ignore);
        Ok(Rows {
            op,
            dim: dim as isize,
            classes,
            target: target.snapshot()?,
            column,
            ignore,
            weight,
            dtype,
            count: wanted.iter().product(),
        })
    }

    /// `[.., C, ..]`: not this row's class.
    fn miss(&self) -> Result<Tensor> {
        let index = Tensor::arange(0, self.classes, 1, (DType::I64, self.target.device()))?.reshape(&self.column[..])?;
        self.target.to_dtype(DType::I64)?.unsqueeze(self.dim)?.ne(&index)
    }

    /// Of the target's shape: does not count.
    fn ignored(&self) -> Result<Option<Tensor>> {
        self.ignore.map(|i| self.target.eq(i)).transpose()
    }

    /// Each row's value at its class; 0 where the row does not count.
    fn pick(&self, values: &Tensor) -> Result<Tensor> {
        let picked = values.masked_fill(&self.miss()?, 0.0)?.sum(self.dim)?;
        match &self.ignored()? {
            Some(ignored) => picked.masked_fill(ignored, 0.0),
            None => Ok(picked),
        }
    }

    /// Each row's weight; `None`: all are 1.
    fn weights(&self) -> Result<Option<Tensor>> {
        if let Some(w) = &self.weight {
            let mut shape = Shape::from(self.target.shape());
            shape.insert(self.dim as usize, self.classes);
            return Ok(Some(self.pick(&w.expand(&shape[..])?)?));
        }
        self.ignored()?.map(|i| i.logical_not()?.to_dtype(self.dtype)).transpose()
    }

    /// What a mean divides by: the sum of the weights of the rows that count.
    fn total(&self) -> Result<Option<Tensor>> {
        self.weights()?.map(|w| w.sum_all()).transpose()
    }

    fn reduced(&self, losses: Tensor, reduction: Reduction) -> Result<Tensor> {
        if reduction != Reduction::Mean {
            return reduced(self.op, losses, reduction);
        }
        match self.total()? {
            Some(total) => losses.sum_all()?.div(&total),
            None => losses.sum_all()?.div(self.count as f64),
        }
    }
}

/// Uploaded targets whose values are known to leave the classes: which one does is looked up only then.
pub(super) fn check(op: &'static str, target: &Tensor, seen: Option<(i64, i64)>, classes: usize, ignore: Option<i64>) -> Result<()> {
    let inside = |t: i64| Some(t) == ignore || usize::try_from(t).is_ok_and(|t| t < classes);
    let Some((low, high)) = seen else { return Ok(()) };
    if inside(low) && inside(high) || target.numel() == 0 {
        return Ok(());
    }
    // The range is of the whole upload; this tensor may be the sound part of it. Where one cannot wait for the values
    // (a browser), the range decides.
    let outside = match target.to_dtype(DType::I64)?.to_vec::<i64>() {
        Ok(values) => values.into_iter().enumerate().find(|(_, t)| !inside(*t)),
        Err(Error::Unsupported { .. }) => Some((0, if inside(high) { low } else { high })),
        Err(e) => return Err(e),
    };
    match outside {
        Some((at, t)) => Err(Error::index(op, format!("target {t} at position {at} is outside the {classes} classes"))),
        None => Ok(()),
    }
}

/// Cross-entropy with integer targets. One row kernel computes it, and one its gradient, which keeps the logits and the
/// target alone: with `s` the label smoothing, `w` the row's weight and `W` the sum of all classes' weights,
/// `dx = dy ((1 - s) w (p - onehot) + s / C (W p - weight))`, where `p` is the softmax.
#[track_caller]
fn indices(rows: Rows, logits: &Tensor, options: CrossEntropy) -> Result<Tensor> {
    let CrossEntropy { label_smoothing: smooth, reduction, .. } = options;
    let (dim, dtype) = (rows.dim, rows.dtype);
    let each = smooth / rows.classes.max(1) as f64;
    let (loss, total) = autograd::no_grad(|| -> Result<_> {
        let x = logits.to_dtype(dtype)?;
        let z = x.sub(&x.amax_keepdim(dim)?)?;
        let log_p = z.sub(&z.exp()?.sum_keepdim(dim)?.log()?)?;
        let mut losses = rows.pick(&log_p)?.mul(smooth - 1.0)?;
        if rows.weight.is_some()
            && let Some(w) = rows.weights()?
        {
            losses = losses.mul(&w)?;
        }
        if smooth > 0.0 {
            let all = match &rows.weight {
                Some(w) => log_p.mul(w)?,
                None => log_p,
            };
            let spread = all.sum(dim)?.mul(-each)?;
            losses = losses.add(&match rows.ignored()? {
                Some(ignored) => spread.masked_fill(&ignored, 0.0)?,
                None => spread,
            })?;
        }
        let total = if reduction == Reduction::Mean { rows.total()? } else { None };
        let loss = match (&total, reduction) {
            (Some(total), _) => losses.sum_all()?.div(total)?,
            (None, Reduction::Mean) => losses.sum_all()?.div(rows.count as f64)?,
            (None, reduction) => reduced(rows.op, losses, reduction)?,
        };
        Ok((loss, total))
    })?;

    let logits_now = Kept::new(logits)?;
    autograd::record_with(&loss, "cross_entropy", &[logits], move |dy, _| {
        // The gradient of each row's loss.
        let dy = match (&total, reduction) {
            (Some(total), _) => dy.div(total)?,
            (None, Reduction::Mean) => dy.div(rows.count as f64)?,
            (None, Reduction::None) => dy.unsqueeze(dim)?,
            _ => dy.clone(),
        };
        let logits_now = logits_now.get()?;
        let p = logits_now.to_dtype(dtype)?.softmax(dim)?;
        let hit = rows.miss()?.logical_not()?.to_dtype(dtype)?;
        let mut dx = p.sub(&hit)?.mul(1.0 - smooth)?;
        if rows.weight.is_some()
            && let Some(w) = rows.weights()?
        {
            dx = dx.mul(&w.unsqueeze(dim)?)?;
        }
        if smooth > 0.0 {
            dx = dx.add(&match &rows.weight {
                Some(w) => p.mul(&w.sum_all()?)?.sub(w)?.mul(each)?,
                None => p.mul(smooth)?.sub(each)?,
            })?;
        }
        if let Some(ignored) = rows.ignored()? {
            dx = dx.masked_fill(&ignored.unsqueeze(dim)?, 0.0)?;
        }
        Ok(smallvec![Some(dx.mul(&dy)?.to_dtype(logits_now.dtype())?)])
    });
    Ok(loss)
}

/// Cross-entropy with probabilities: `-sum_c weight_c t_c log_softmax(x)_c`, whose mean is over the rows.
#[track_caller]
fn probabilities(logits: &Tensor, target: &Tensor, weight: Option<&Tensor>, options: CrossEntropy) -> Result<Tensor> {
    let op = "cross_entropy";
    same_shape(op, "target", target, logits)?;
    if logits.rank() == 0 {
        return Err(Error::argument(op, "logits need at least one dimension"));
    }
    let dim = if logits.rank() == 1 { 0 } else { 1 };
    let classes = logits.shape()[dim as usize];
    let mut t = target.to_dtype(logits.dtype())?;
    if options.label_smoothing > 0.0 {
        t = t.mul(1.0 - options.label_smoothing)?.add(options.label_smoothing / classes.max(1) as f64)?;
    }
    let mut terms = logits.log_softmax(dim)?.mul(&t)?;
    if let Some(w) = weight {
        if w.shape() != [classes] {
            return Err(Error::argument(op, format!("a weight of {:?} does not fit {classes} classes", w.shape())));
        }
        let mut column: Shape = Shape::from_elem(1, logits.rank() - dim as usize);
        column[0] = classes;
        terms = terms.mul(&w.to_dtype(logits.dtype())?.reshape(&column[..])?)?;
    }
    let losses = terms.sum(dim)?.neg()?;
    reduced(op, losses, options.reduction)
}
