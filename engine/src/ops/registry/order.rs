//! Scans, sorting, and what rests on order.

use super::convert::Over;
use super::{Value, rows};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::{Operand, QuantileMode, Tensor};

/// The input in the type that was asked for.
fn cast(input: Tensor, dtype: Option<DType>) -> Result<Tensor> {
    dtype.map_or(Ok(input.clone()), |d| input.to_dtype(d))
}

/// A scan adds up in the type that was asked for, or in the method's own.
fn scan_in(input: Tensor, dtype: Option<DType>, scan: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    let out = scan(&cast(input, dtype)?)?;
    cast(out, dtype)
}

fn squeezed(pair: (Tensor, Tensor), dim: isize, keepdim: bool) -> Result<(Tensor, Tensor)> {
    if keepdim { Ok(pair) } else { Ok((pair.0.squeeze(dim)?, pair.1.squeeze(dim)?)) }
}

fn spacing(x: Option<Tensor>, dx: f64) -> Operand {
    x.map_or(dx.into(), Operand::Tensor)
}

/// A quantile's `q`: a number is a tensor without dimensions.
fn fractions(q: Value, input: &Tensor) -> Result<Tensor> {
    let number = match q {
        Value::Tensor(t) => return Ok(t),
        Value::Float(f) => f,
        Value::Int(i) => i as f64,
        other => return Err(Error::argument("quantile", format!("q must be a number or a tensor, got {other:?}"))),
    };
    if !(0.0..=1.0).contains(&number) {
        return Err(Error::argument("quantile", format!("q must lie between 0 and 1, not at {number}")));
    }
    Tensor::full([], Scalar::Float(number), (input.dtype(), input.device()))
}

rows! {
    "cumsum"(input: Tensor, dim: isize, dtype: Option<DType>) scan_in(input, dtype, |x| x.cumsum(dim));
    "cumprod"(input: Tensor, dim: isize, dtype: Option<DType>) scan_in(input, dtype, |x| x.cumprod(dim));
    "logcumsumexp"(input: Tensor, dim: isize) input.logcumsumexp(dim);
    "cummax"(input: Tensor, dim: isize) input.cummax(dim);
    "cummin"(input: Tensor, dim: isize) input.cummin(dim);
    "diff"(input: Tensor, n: usize = 1, dim: isize = -1, prepend: Option<Tensor>, append: Option<Tensor>)
        input.diff(n, dim, prepend.as_ref(), append.as_ref());
    "trapezoid"(y: Tensor, x: Option<Tensor>, dx: f64 = 1.0, dim: isize = -1) y.trapezoid(spacing(x, dx), dim);
    "trapz"(y: Tensor, x: Option<Tensor>, dx: f64 = 1.0, dim: isize = -1) y.trapezoid(spacing(x, dx), dim);
    "cumulative_trapezoid"(y: Tensor, x: Option<Tensor>, dx: f64 = 1.0, dim: isize = -1) y.cumulative_trapezoid(spacing(x, dx), dim);

    "sort"(input: Tensor, dim: isize = -1, descending: bool = false, stable: Option<bool>) {
        // Always stable.
        let _ = stable;
        input.sort(dim, descending)
    };
    "argsort"(input: Tensor, dim: isize = -1, descending: bool = false, stable: Option<bool>) {
        let _ = stable;
        input.argsort(dim, descending)
    };
    "msort"(input: Tensor) input.msort();
    "topk"(input: Tensor, k: usize, dim: isize = -1, largest: bool = true, sorted: bool = true) {
        let _ = sorted;
        input.topk(k, dim, largest)
    };
    "kthvalue"(input: Tensor, k: usize, dim: isize = -1, keepdim: bool = false) squeezed(input.kthvalue_keepdim(k, dim)?, dim, keepdim);
    "median"(input: Tensor) input.median_all();
    "median"(input: Tensor, dim: isize, keepdim: bool = false) squeezed(input.median_keepdim(dim)?, dim, keepdim);
    "nanmedian"(input: Tensor) input.nanmedian_all();
    "nanmedian"(input: Tensor, dim: isize, keepdim: bool = false) squeezed(input.nanmedian_keepdim(dim)?, dim, keepdim);
    "mode"(input: Tensor, dim: isize = -1, keepdim: bool = false) squeezed(input.mode_keepdim(dim)?, dim, keepdim);
    "quantile"(input: Tensor, q: Value, dim: Option<isize>, keepdim: bool = false, interpolation: String = "linear".into()) {
        let q = fractions(q, &input)?;
        input.quantile(&q, dim, keepdim, interpolation.parse::<QuantileMode>()?)
    };
    "nanquantile"(input: Tensor, q: Value, dim: Option<isize>, keepdim: bool = false, interpolation: String = "linear".into()) {
        let q = fractions(q, &input)?;
        input.nanquantile(&q, dim, keepdim, interpolation.parse::<QuantileMode>()?)
    };
    "nansum"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>) {
        let input = cast(input, dtype)?;
        if keepdim { input.nansum_keepdim(dim) } else { input.nansum(dim) }
    };
    "nanmean"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>) {
        let input = cast(input, dtype)?;
        if keepdim { input.nanmean_keepdim(dim) } else { input.nanmean(dim) }
    };
    "aminmax"(input: Tensor, dim: Option<isize>, keepdim: bool = false) input.aminmax(dim, keepdim);
}
