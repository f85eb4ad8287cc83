//! Losses that compare element by element.

use smallvec::smallvec;

use super::{Reduction, reduced, same_shape, wide};
use crate::autograd::{self, Kept};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::Expect;
use crate::tensor::Tensor;

/// The squared difference.
///
/// # Errors
/// Shapes that differ.
///
/// ```
/// # use taper::prelude::*; use taper::loss::{self, Reduction}; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let y = Tensor::new([1.0, 3.0], &cpu)?;
/// let loss = loss::mse_loss(&y, &Tensor::new([0.0, 1.0], &cpu)?, Reduction::Mean)?;
/// assert_eq!(loss.item::<f32>()?, 2.5);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn mse_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    same_shape("mse_loss", "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    reduced("mse_loss", input.sub(target)?.square()?, reduction)
}

/// The absolute difference.
///
/// # Errors
/// Shapes that differ.
#[track_caller]
pub fn l1_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    same_shape("l1_loss", "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    reduced("l1_loss", input.sub(target)?.abs()?, reduction)
}

/// `d^2 / (2 beta)` for differences `|d| < beta`, else `|d| - beta / 2`; with `beta` 0 the absolute difference.
///
/// # Errors
/// Shapes that differ; a negative `beta`.
#[track_caller]
pub fn smooth_l1_loss(input: &Tensor, target: &Tensor, beta: f64, reduction: Reduction) -> Result<Tensor> {
    same_shape("smooth_l1_loss", "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    if beta < 0.0 || beta.is_nan() {
        return Err(Error::argument("smooth_l1_loss", format!("beta must not be negative, but is {beta}")));
    }
    if beta == 0.0 {
        return l1_loss(input, target, reduction);
    }
    let d = input.sub(target)?.abs()?;
    let losses = d.square()?.mul(0.5 / beta)?.where_(&d.lt(beta)?, &d.sub(0.5 * beta)?)?;
    reduced("smooth_l1_loss", losses, reduction)
}

/// `d^2 / 2` for differences `|d| < delta`, else `delta (|d| - delta / 2)`.
///
/// # Errors
/// Shapes that differ; a `delta` that is not positive.
#[track_caller]
pub fn huber_loss(input: &Tensor, target: &Tensor, delta: f64, reduction: Reduction) -> Result<Tensor> {
    same_shape("huber_loss", "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    if delta <= 0.0 || delta.is_nan() {
        return Err(Error::argument("huber_loss", format!("delta must be positive, but is {delta}")));
    }
    let d = input.sub(target)?.abs()?;
    let losses = d.square()?.mul(0.5)?.where_(&d.lt(delta)?, &d.sub(0.5 * delta)?.mul(delta)?)?;
    reduced("huber_loss", losses, reduction)
}

/// `-(t log x + (1 - t) log (1 - x))` of probabilities `x`, with logarithms no less than -100; `weight` broadcasts.
/// [`binary_cross_entropy_with_logits`] is the stable way from scores.
///
/// In mixed precision it computes in f32, where PyTorch refuses; in f16 a probability next to 1 is 1.
///
/// # Errors
/// Shapes that differ; integers. The next read reports values outside 0 to 1.
#[track_caller]
pub fn binary_cross_entropy(input: &Tensor, target: &Tensor, weight: Option<&Tensor>, reduction: Reduction) -> Result<Tensor> {
    let op = "binary_cross_entropy";
    floats(op, input, target)?;
    same_shape(op, "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    let logs = |x: &Tensor| -> Result<(Tensor, Tensor)> { Ok((x.log()?.clamp(-100.0, None)?, x.neg()?.log1p()?.clamp(-100.0, None)?)) };
    let losses = autograd::no_grad(|| -> Result<Tensor> {
        let (yes, no) = logs(input)?;
        // no + t (yes - no)
        let losses = yes.sub(&no)?.mul(target)?.add(&no)?.neg()?;
        // Zero, or an error at the next read.
        losses.add(&Tensor::apply(Expect::Probabilities, &[&wide(input)?])?.to_dtype(losses.dtype())?)
    })?;
    let (x, t) = (Kept::new(input)?, Kept::new(target)?);
    autograd::record_with(&losses, op, &[input, target], move |dy, needs| {
        let (x, t) = (x.get()?, t.get()?);
        let dx = || -> Result<Tensor> {
            let slope = x.mul(&x.neg()?.add(1.0)?)?.clamp(1e-12, None)?;
            dy.mul(&x.sub(&t)?.div(&slope)?)
        };
        let dt = || -> Result<Tensor> {
            let (yes, no) = logs(&x)?;
            dy.mul(&no.sub(&yes)?)
        };
        Ok(smallvec![needs[0].then(dx).transpose()?, needs[1].then(dt).transpose()?])
    });
    weighted(op, losses, weight, reduction)
}

/// [`binary_cross_entropy`] of `sigmoid(input)`, stable for any input. `weight` broadcasts over the losses,
/// `pos_weight` over the classes: it multiplies the positive part.
///
/// # Errors
/// Shapes that differ; integers.
///
/// ```
/// # use taper::prelude::*; use taper::loss::{self, Reduction}; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let (x, t) = (Tensor::new([0.0, 200.0], &cpu)?, Tensor::new([1.0, 0.0], &cpu)?);
/// let losses = loss::binary_cross_entropy_with_logits(&x, &t, None, None, Reduction::None)?.to_vec::<f32>()?;
/// assert!((losses[0] - 0.5f32.ln().abs()).abs() < 1e-6 && losses[1] == 200.0);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn binary_cross_entropy_with_logits(
    input: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    pos_weight: Option<&Tensor>,
    reduction: Reduction,
) -> Result<Tensor> {
    let op = "binary_cross_entropy_with_logits";
    floats(op, input, target)?;
    same_shape(op, "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    let positive = pos_weight.map(|w| w.expand(input.shape())).transpose()?;
    // softplus(-x), exact for any x
    let tail = |x: &Tensor| -> Result<Tensor> { x.abs()?.neg()?.exp()?.log1p()?.add(&x.neg()?.relu()?) };
    // How much the tail weighs: 1 + (p - 1) t
    let share = |t: &Tensor, p: Option<&Tensor>| p.map(|p| p.sub(1.0)?.mul(t)?.add(1.0)).transpose();
    let losses = autograd::no_grad(|| -> Result<Tensor> {
        let mut second = tail(input)?;
        if let Some(share) = share(target, positive.as_ref())? {
            second = second.mul(&share)?;
        }
        target.neg()?.add(1.0)?.mul(input)?.add(&second)
    })?;
    let mut inputs = vec![input, target];
    inputs.extend(&positive);
    let (x, t, p) = (Kept::new(input)?, Kept::new(target)?, positive.as_ref().map(Tensor::snapshot).transpose()?);
    autograd::record_with(&losses, op, &inputs, move |dy, needs| {
        let (x, t) = (x.get()?, t.get()?);
        let dx = || -> Result<Tensor> {
            let mut slope = x.neg()?.sigmoid()?;
            if let Some(share) = share(&t, p.as_ref())? {
                slope = slope.mul(&share)?;
            }
            dy.mul(&t.neg()?.add(1.0)?.sub(&slope)?)
        };
        let dt = || -> Result<Tensor> {
            let more = p.as_ref().map(|p| p.sub(1.0)?.mul(&tail(&x)?)).transpose()?;
            dy.mul(&more.map_or_else(|| x.neg(), |m| m.sub(&x))?)
        };
        let mut grads = smallvec![needs[0].then(dx).transpose()?, needs[1].then(dt).transpose()?];
        if p.is_some() {
            grads.push(needs[2].then(|| dy.mul(&t.mul(&tail(&x)?)?)).transpose()?);
        }
        Ok(grads)
    });
    weighted(op, losses, weight, reduction)
}

/// Kullback-Leibler divergence of a target distribution from a predicted one: `t (log t - x)`, where `input` is the logarithm
/// of the prediction and, with `log_target`, `target` one too. [`Reduction::BatchMean`] is the divergence's definition.
///
/// # Errors
/// Shapes that differ; integers.
#[track_caller]
pub fn kl_div(input: &Tensor, target: &Tensor, reduction: Reduction, log_target: bool) -> Result<Tensor> {
    let op = "kl_div";
    floats(op, input, target)?;
    same_shape(op, "target", target, input)?;
    let (input, target) = (&crate::amp::full(input)?, &crate::amp::full(target)?);
    let losses = if log_target {
        target.exp()?.mul(&target.sub(input)?)?
    } else {
        // t log t is 0 where t is 0; the logarithm there would make its gradient infinite.
        let zero = target.eq(0.0)?;
        let log = target.masked_fill(&zero, 1.0)?.log()?;
        target.mul(&log)?.sub(&target.mul(input)?)?
    };
    if reduction == Reduction::BatchMean {
        let n = input.shape().first().copied().unwrap_or(1);
        return losses.sum_all()?.div(n as f64);
    }
    reduced(op, losses, reduction)
}

#[track_caller]
fn weighted(op: &'static str, losses: Tensor, weight: Option<&Tensor>, reduction: Reduction) -> Result<Tensor> {
    let losses = match weight {
        Some(w) => losses.mul(&w.expand(losses.shape())?)?,
        None => losses,
    };
    reduced(op, losses, reduction)
}

fn floats(op: &'static str, input: &Tensor, target: &Tensor) -> Result<()> {
    let float = |d: DType| d.is_float();
    if float(input.dtype()) && float(target.dtype()) {
        return Ok(());
    }
    Err(Error::dtype(op, format!("needs floats, not {} and {}", input.dtype(), target.dtype())))
}
