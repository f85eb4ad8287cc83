//! Negative log-likelihoods of distributions whose parameters a network predicts.

use smallvec::smallvec;

use super::{Reduction, expect_reduction, finished, same_shape, wide};
use crate::autograd;
use crate::error::{Error, Result};
use crate::ops::Expect;
use crate::tensor::Tensor;

/// `(log var + (input - target)^2 / var) / 2`: of a normal distribution with mean `input` and variance `var`, which counts as
/// `eps` at least (its gradient is passed on as if it were not). `full` adds the constant `log(2 pi) / 2`.
///
/// `var` has the input's shape, perhaps with sizes of 1 that repeat, or that without the last dimension; `target` broadcasts to the input.
/// Like `torch.nn.functional.gaussian_nll_loss`, but nothing waits for the look at the variances.
///
/// # Errors
/// Shapes that do not fit; an `eps` that is not positive; integers. The next read reports a negative variance.
#[track_caller]
pub fn gaussian_nll_loss(input: &Tensor, target: &Tensor, var: &Tensor, full: bool, eps: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "gaussian_nll_loss";
    expect_reduction(op, reduction)?;
    if eps <= 0.0 || eps.is_nan() {
        return Err(Error::argument(op, format!("eps should be positive, but is {eps}")));
    }
    let shape = input.shape();
    let outer = &shape[..shape.len().saturating_sub(1)];
    let repeats = var.rank() == shape.len() && var.shape().iter().zip(shape).all(|(&v, &x)| v == x || v == 1);
    let var = if repeats {
        var.clone()
    } else if var.shape() == outer {
        var.unsqueeze(-1)?
    } else {
        return Err(Error::argument(op, format!("a variance of {:?} does not fit an input of {shape:?}", var.shape())));
    };
    let unfit = |_| Error::argument(op, format!("a target of {:?} does not fit an input of {shape:?}", target.shape()));
    let t = wide(target)?.expand(shape).map_err(unfit)?;
    let (x, wide_var) = (wide(input)?, wide(&var)?);
    let v = autograd::no_grad(|| -> Result<Tensor> {
        let v = wide_var.clamp(eps, None)?;
        v.add(&Tensor::apply(Expect::Variances, &[&wide_var])?.to_dtype(v.dtype())?)
    })?;
    autograd::record_with(&v, op, &[&wide_var], |dy, _| Ok(smallvec![Some(dy.clone())]));
    let mut losses = v.log()?.add(&x.sub(&t)?.square()?.div(&v)?)?.mul(0.5)?;
    if full {
        losses = losses.add(0.5 * (2.0 * std::f64::consts::PI).ln())?;
    }
    finished(op, losses, reduction, &[input, target, &var])
}

/// Options of [`poisson_nll_loss`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Poisson {
    /// The input is the logarithm of the rate.
    pub log_input: bool,
    /// Adds Stirling's approximation of `log(target!)` where the target is above 1.
    pub full: bool,
    /// Added to a rate before its logarithm is taken.
    pub eps: f64,
    pub reduction: Reduction,
}

impl Default for Poisson {
    fn default() -> Poisson {
        Poisson { log_input: true, full: false, eps: 1e-8, reduction: Reduction::Mean }
    }
}

/// `exp(input) - target input` (or, of rates, `input - target log(input + eps)`): of counts from a Poisson distribution. Like
/// `torch.nn.functional.poisson_nll_loss`.
///
/// # Errors
/// Shapes that differ.
#[track_caller]
pub fn poisson_nll_loss(input: &Tensor, target: &Tensor, options: Poisson) -> Result<Tensor> {
    let op = "poisson_nll_loss";
    expect_reduction(op, options.reduction)?;
    same_shape(op, "target", target, input)?;
    let (x, t) = (wide(input)?, wide(target)?);
    let mut losses = if options.log_input { x.exp()?.sub(&t.mul(&x)?)? } else { x.sub(&t.mul(&x.add(options.eps)?.log()?)?)? };
    if options.full {
        let few = t.le(1)?;
        let log = t.log()?;
        let stirling = t.mul(&log)?.sub(&t)?.add(&t.mul(2.0 * std::f64::consts::PI)?.log()?.mul(0.5)?)?;
        losses = losses.add(&stirling.masked_fill(&few, 0.0)?)?;
    }
    finished(op, losses, options.reduction, &[input, target])
}
