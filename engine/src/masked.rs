//! Reductions and normalisations that leave out what a mask does not name: PyTorch's `torch.masked`.
//!
//! A mask is bool, broadcasts with the input, and is true where an element counts; `None` counts all. Dimensions are written as
//! for the plain reductions. Where nothing counts, the result is what the reduction of nothing gives: 0, 1, an infinity, or NaN.

use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::{Dims, Operand, Tensor};

const LOW: f64 = f64::NEG_INFINITY;
const HIGH: f64 = f64::INFINITY;

/// The input with `fill` where the mask is false.
fn filled(op: &'static str, x: &Tensor, mask: Option<&Tensor>, fill: impl Into<Operand>) -> Result<Tensor> {
    let Some(mask) = mask else { return Ok(x.clone()) };
    if mask.dtype() != DType::Bool {
        return Err(Error::dtype(op, format!("a mask has to be bool, not {}", mask.dtype())));
    }
    x.masked_fill(&mask.logical_not()?, fill)
}

/// The smallest or the largest number of a type.
fn end(x: &Tensor, low: bool) -> Scalar {
    match x.dtype().int_range() {
        None => Scalar::Float(if low { LOW } else { HIGH }),
        // On a GPU integers have 32 bits.
        Some((least, most)) if x.device().is_cpu() => Scalar::from_i128(if low { least } else { most }),
        Some((least, most)) => Scalar::from_i128(if low { least.max(i32::MIN as i128) } else { most.min(i32::MAX as i128) }),
    }
}

fn kept(x: &Tensor, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
    if keepdim { Ok(x.clone()) } else { squeeze(x, dims) }
}

/// Without reduced dimensions; an empty list is all of them.
fn squeeze(x: &Tensor, dims: impl Dims) -> Result<Tensor> {
    match dims.written() {
        Some(written) if !written.is_empty() => x.squeeze(written),
        _ => x.reshape([0usize; 0]),
    }
}

macro_rules! filling {
    ($($(#[$doc:meta])* $name:ident($keepdim:ident, $fill:expr);)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// As for the plain reduction; a mask that is not bool or does not broadcast.
        #[track_caller]
        pub fn $name(x: &Tensor, dims: impl Dims, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
            let out = filled(stringify!($name), x, mask, $fill(x))?.$keepdim(signed(&dims))?;
            kept(&out, signed(&dims), keepdim)
        }
    )*};
}

/// Dimensions as a list, `None` as the empty one, which is all of them too.
fn signed(dims: &impl Dims) -> Vec<isize> {
    dims.written().map(|d| d.to_vec()).unwrap_or_default()
}

filling! {
    /// The sum of what counts.
    sum(sum_keepdim, |_: &Tensor| 0);
    /// The product of what counts.
    prod(prod_keepdim, |_: &Tensor| 1);
    /// The largest of what counts.
    amax(amax_keepdim, |x: &Tensor| end(x, true));
    /// The smallest of what counts.
    amin(amin_keepdim, |x: &Tensor| end(x, false));
    /// The logarithm of the sum of exponentials of what counts.
    logsumexp(logsumexp_keepdim, |_: &Tensor| LOW);
}

/// The position of the largest element that counts; `None`: in the flattened input.
///
/// # Errors
/// As for [`Tensor::argmax`]; a mask that is not bool or does not broadcast.
pub fn argmax(x: &Tensor, dim: Option<isize>, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("argmax", x, mask, end(x, true))?.argmax(dim, keepdim)
}

/// The position of the smallest element that counts; `None`: in the flattened input.
///
/// # Errors
/// As for [`Tensor::argmin`]; a mask that is not bool or does not broadcast.
pub fn argmin(x: &Tensor, dim: Option<isize>, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("argmin", x, mask, end(x, false))?.argmin(dim, keepdim)
}

/// How many elements count, in the input's type.
fn count(x: &Tensor, dims: &[isize], mask: Option<&Tensor>) -> Result<Tensor> {
    filled("count", &x.detach()?.ones_like()?, mask, 0)?.sum_keepdim(dims)
}

/// The mean of what counts.
///
/// # Errors
/// As for [`Tensor::mean`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn mean(x: &Tensor, dims: impl Dims, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    let dims = signed(&dims);
    if !x.dtype().is_float() {
        return Err(Error::dtype("mean", format!("expected floating point numbers, got {}", x.dtype())));
    }
    let out = filled("mean", x, mask, 0)?.sum_keepdim(&dims)?.div(&count(x, &dims, mask)?)?;
    kept(&out, dims, keepdim)
}

/// The lower median of what counts; NaN where nothing does.
///
/// # Errors
/// As for [`Tensor::median`]; integers; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn median(x: &Tensor, dim: isize, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    if !x.dtype().is_float() {
        return Err(Error::dtype("median", format!("expected floating point numbers, got {}", x.dtype())));
    }
    let out = match mask {
        None => x.median_keepdim(dim)?.0,
        Some(_) => filled("median", x, mask, f64::NAN)?.nanmedian_keepdim(dim)?.0,
    };
    if keepdim { Ok(out) } else { out.squeeze(dim) }
}

/// The variance of what counts, `correction` less than their number dividing.
///
/// # Errors
/// As for [`Tensor::var`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn var(x: &Tensor, dims: impl Dims, correction: f64, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    let dims = signed(&dims);
    let n = count(x, &dims, mask)?;
    let apart = x.sub(&mean(x, dims.clone(), true, mask)?)?;
    let over = n.sub(correction)?.clamp_numbers(Some(Scalar::Float(0.0)), None)?;
    let out = filled("var", &apart.square()?, mask, 0)?.sum_keepdim(&dims)?.div(&over)?;
    kept(&out, dims, keepdim)
}

/// The standard deviation of what counts.
///
/// # Errors
/// As for [`var`].
#[track_caller]
pub fn std(x: &Tensor, dims: impl Dims, correction: f64, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    var(x, dims, correction, keepdim, mask)?.sqrt()
}

/// The `p`-norm of what counts.
///
/// # Errors
/// As for [`Tensor::norm`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn norm(x: &Tensor, p: f64, dims: impl Dims, keepdim: bool, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("norm", x, mask, if p == LOW { HIGH } else { 0.0 })?.norm(p, signed(&dims), keepdim)
}

/// What counts divided by its `p`-norm along `dim`, which is at least `eps`; 0 elsewhere.
///
/// # Errors
/// As for [`norm`].
#[track_caller]
pub fn normalize(x: &Tensor, p: f64, dim: isize, eps: f64, mask: Option<&Tensor>) -> Result<Tensor> {
    let by = norm(x, p, dim, true, mask)?;
    filled("normalize", x, mask, 0)?.div(&by.maximum(by.detach()?.full_like(eps)?)?)
}

/// Softmax over what counts; 0 elsewhere, NaN where nothing counts.
///
/// # Errors
/// As for [`Tensor::softmax`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn softmax(x: &Tensor, dim: isize, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("softmax", x, mask, LOW)?.softmax(dim)
}

/// The logarithm of [`softmax`].
///
/// # Errors
/// As for [`softmax`].
#[track_caller]
pub fn log_softmax(x: &Tensor, dim: isize, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("log_softmax", x, mask, LOW)?.log_softmax(dim)
}

/// [`softmax`] of the negated input.
///
/// # Errors
/// As for [`softmax`].
#[track_caller]
pub fn softmin(x: &Tensor, dim: isize, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("softmin", x, mask, HIGH)?.neg()?.softmax(dim)
}

/// The running sum of what counts.
///
/// # Errors
/// As for [`Tensor::cumsum`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn cumsum(x: &Tensor, dim: isize, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("cumsum", x, mask, 0)?.cumsum(dim)
}

/// The running product of what counts.
///
/// # Errors
/// As for [`Tensor::cumprod`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn cumprod(x: &Tensor, dim: isize, mask: Option<&Tensor>) -> Result<Tensor> {
    filled("cumprod", x, mask, 1)?.cumprod(dim)
}

/// The logarithm of the sum of two exponentials, of which either may not count.
///
/// # Errors
/// As for [`Tensor::logaddexp`]; a mask that is not bool or does not broadcast.
#[track_caller]
pub fn logaddexp(x: &Tensor, y: &Tensor, x_mask: Option<&Tensor>, y_mask: Option<&Tensor>) -> Result<Tensor> {
    filled("logaddexp", x, x_mask, LOW)?.logaddexp(filled("logaddexp", y, y_mask, LOW)?)
}
