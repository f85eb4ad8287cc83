//! Reductions, scans, and what orders elements.

use taper::{DType, Result, Scalar, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("ArgMax", 1, |c| arg(c, true)),
    op("ArgMin", 1, |c| arg(c, false)),
    op("CumProd", 1, |c| scan(c, Scan { identity: 1, step: |x, d| x.cumprod(d) })),
    op("CumSum", 11, |c| scan(c, Scan { identity: 0, step: |x, d| x.cumsum(d) })),
    op("Hardmax", 1, hardmax),
    op("LogSoftmax", 1, |c| softmax(c, |x, d| x.log_softmax(d))),
    op("ReduceL1", 1, |c| reduce(c, |r, x| r.sum(&x.abs()?))),
    op("ReduceL2", 1, |c| reduce(c, |r, x| r.sum(&x.square()?)?.sqrt())),
    op("ReduceLogSum", 1, |c| reduce(c, |r, x| r.sum(x)?.log())),
    op("ReduceLogSumExp", 1, |c| reduce(c, log_sum_exp)),
    op("ReduceMax", 1, |c| reduce(c, |r, x| r.extreme(x, true))),
    op("ReduceMean", 1, |c| reduce(c, mean)),
    op("ReduceMin", 1, |c| reduce(c, |r, x| r.extreme(x, false))),
    op("ReduceProd", 1, |c| reduce(c, |r, x| if r.dims.is_empty() { Ok(x.clone()) } else { x.prod_keepdim(&r.dims) })),
    op("ReduceSum", 1, |c| reduce(c, |r, x| r.sum(x))),
    op("ReduceSumSquare", 1, |c| reduce(c, |r, x| r.sum(&x.square()?))),
    op("Softmax", 1, |c| softmax(c, |x, d| x.softmax(d))),
    op("TopK", 1, top_k),
];

/// The dimensions to reduce, none where nothing is.
struct Reduced {
    dims: Vec<usize>,
}

impl Reduced {
    fn sum(&self, x: &Tensor) -> Result<Tensor> {
        if self.dims.is_empty() { Ok(x.clone()) } else { x.sum_keepdim(&self.dims) }
    }

    fn extreme(&self, x: &Tensor, largest: bool) -> Result<Tensor> {
        if self.dims.is_empty() {
            return Ok(x.clone());
        }
        if self.dims.iter().any(|&d| x.shape()[d] == 0) {
            let shape: Vec<usize> = (0..x.rank()).map(|d| if self.dims.contains(&d) { 1 } else { x.shape()[d] }).collect();
            let least = match x.dtype().int_range() {
                None => Scalar::Float(if largest { f64::NEG_INFINITY } else { f64::INFINITY }),
                Some((low, high)) => Scalar::Int((if largest { low } else { high }).clamp(i64::MIN.into(), i64::MAX.into()) as i64),
            };
            return Tensor::full(shape, least, (x.dtype(), x.device()));
        }
        match (x.dtype(), largest) {
            (DType::Bool, true) => x.any_keepdim(&self.dims),
            (DType::Bool, false) => x.all_keepdim(&self.dims),
            (_, true) => x.amax_keepdim(&self.dims),
            (_, false) => x.amin_keepdim(&self.dims),
        }
    }
}

/// Reduces along `axes`, and gives back the input's type.
fn reduce(c: &Call<'_>, f: impl Fn(&Reduced, &Tensor) -> Result<Tensor>) -> Out {
    let x = c.tensor(0)?;
    let mut dims = c.dims(&c.axes(1)?.unwrap_or_default(), x.rank())?;
    dims.sort_unstable();
    dims.dedup();
    if dims.is_empty() && !c.flag("noop_with_empty_axes", false)? {
        dims = (0..x.rank()).collect();
    }
    let y = f(&Reduced { dims: dims.clone() }, &x)?.to_dtype(x.dtype())?;
    one(if c.flag("keepdims", true)? || dims.is_empty() { y } else { y.squeeze(&dims)? })
}

fn mean(r: &Reduced, x: &Tensor) -> Result<Tensor> {
    if r.dims.is_empty() {
        return Ok(x.clone());
    }
    let x = if x.dtype().is_float() { x.clone() } else { x.to_dtype(DType::F32)? };
    x.mean_keepdim(&r.dims)
}

fn log_sum_exp(r: &Reduced, x: &Tensor) -> Result<Tensor> {
    if r.dims.is_empty() {
        return Ok(x.clone());
    }
    let x = if x.dtype().is_float() { x.clone() } else { x.to_dtype(DType::F32)? };
    if x.numel() == 0 { r.sum(&x.exp()?)?.log() } else { x.logsumexp_keepdim(&r.dims) }
}

fn arg(c: &Call<'_>, largest: bool) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", 0)?, x.rank())?;
    let find = |x: &Tensor| if largest { x.argmax(Some(dim as isize), true) } else { x.argmin(Some(dim as isize), true) };
    let at = if c.flag("select_last_index", false)? {
        let last = x.shape()[dim] as i64 - 1;
        find(&x.flip(dim)?)?.mul(-1)?.add(last)?
    } else {
        find(&x)?
    };
    one(if c.flag("keepdims", true)? { at } else { at.squeeze(dim)? })
}

struct Scan {
    identity: i64,
    step: fn(&Tensor, isize) -> Result<Tensor>,
}

fn scan(c: &Call<'_>, how: Scan) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.integer(1)?, x.rank())?;
    let reverse = c.flag("reverse", false)?;
    let mut y = if reverse { x.flip(dim)? } else { x.clone() };
    if c.flag("exclusive", false)? && y.shape()[dim] > 0 {
        let mut shape = y.shape().to_vec();
        shape[dim] = 1;
        let first = Tensor::full(&shape, how.identity, (y.dtype(), y.device()))?;
        y = Tensor::cat(&[first, y.narrow(dim as isize, 0, y.shape()[dim] - 1)?], dim as isize)?;
    }
    let y = (how.step)(&y, dim as isize)?.to_dtype(x.dtype())?;
    one(if reverse { y.flip(dim)? } else { y })
}

/// Along one dimension; before version 13 along all from `axis` on.
fn along(c: &Call<'_>, x: &Tensor, f: impl Fn(&Tensor, isize) -> Result<Tensor>) -> Result<Tensor> {
    if c.opset() >= 13 {
        return f(x, c.dim(c.int("axis", -1)?, x.rank().max(1))? as isize);
    }
    let axis = c.int("axis", 1)?;
    let at = if axis == x.rank() as i64 { x.rank() } else { c.dim(axis, x.rank())? };
    let rows: usize = x.shape()[..at].iter().product();
    let columns: usize = x.shape()[at..].iter().product();
    f(&x.reshape([rows, columns])?, 1)?.reshape(x.shape())
}

fn softmax(c: &Call<'_>, f: impl Fn(&Tensor, isize) -> Result<Tensor>) -> Out {
    one(along(c, &c.tensor(0)?, f)?)
}

/// One where the first maximum is, zero elsewhere.
fn hardmax(c: &Call<'_>) -> Out {
    one(along(c, &c.tensor(0)?, |x, dim| {
        let at = x.argmax(Some(dim), true)?;
        x.zeros_like()?.scatter_value(dim, &at, 1.0)
    })?)
}

fn top_k(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let k = if c.opset() < 10 { c.int("k", 0)? } else { c.integer(1)? };
    let dim = c.dim(c.int("axis", -1)?, x.rank())?;
    let k = c.sizes(&[k])?[0];
    if k > x.shape()[dim] {
        return Err(c.error(format!("the largest {k} of {} elements", x.shape()[dim])));
    }
    // A sort that keeps the order of equals: of those the first count, as the specification wants.
    let (values, indices) = x.sort(dim as isize, c.flag("largest", true)?)?;
    Ok(vec![Value::from(values.narrow(dim as isize, 0, k)?), indices.narrow(dim as isize, 0, k)?.into()])
}
