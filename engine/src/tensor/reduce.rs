//! Reductions: sums, extrema and their positions, statistics, norms.
//!
//! `dims` may be one dimension, several, or `..` for all; negative ones count from the end. The plain form
//! removes the reduced dimensions, the `_keepdim` form leaves them with size 1.

use smallvec::{SmallVec, smallvec};

use super::Tensor;
use super::dims::{Dims, resolve_reduced};
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{self, Combine};
use crate::shape::{Shape, dim_index, numel};

/// Sums, products, extrema.
impl Tensor {
    /// The sum along `dims`. Integers and bools add up as `i64`; 16-bit floats in `f32`, rounded once.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu())?;
    /// assert_eq!(x.sum(0)?.to_vec::<f32>()?, [4.0, 6.0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn sum(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Sum, &dims, false)
    }

    /// [`sum`](Self::sum) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn sum_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Sum, &dims, true)
    }

    /// The sum of all elements.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn sum_all(&self) -> Result<Tensor> {
        self.sum(..)
    }

    /// The product along `dims`, in the types of [`sum`](Self::sum). Its gradient is exact around zeros.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn prod(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Prod, &dims, false)
    }

    /// [`prod`](Self::prod) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn prod_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Prod, &dims, true)
    }

    /// The product of all elements.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn prod_all(&self) -> Result<Tensor> {
        self.prod(..)
    }

    /// The largest element along `dims`; NaN where there is one. The gradient is shared evenly among equals.
    ///
    /// # Errors
    /// A dimension out of range, named twice, or empty.
    #[track_caller]
    pub fn amax(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Max, &dims, false)
    }

    /// [`amax`](Self::amax) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range, named twice, or empty.
    #[track_caller]
    pub fn amax_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Max, &dims, true)
    }

    /// The largest of all elements.
    ///
    /// # Errors
    /// No elements.
    #[track_caller]
    pub fn max_all(&self) -> Result<Tensor> {
        self.amax(..)
    }

    /// The smallest element along `dims`; NaN where there is one. The gradient is shared evenly among equals.
    ///
    /// # Errors
    /// A dimension out of range, named twice, or empty.
    #[track_caller]
    pub fn amin(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Min, &dims, false)
    }

    /// [`amin`](Self::amin) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range, named twice, or empty.
    #[track_caller]
    pub fn amin_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.reduce(Combine::Min, &dims, true)
    }

    /// The smallest of all elements.
    ///
    /// # Errors
    /// No elements.
    #[track_caller]
    pub fn min_all(&self) -> Result<Tensor> {
        self.amin(..)
    }

    /// The largest element along `dim` and its (first) position; the gradient goes there.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn max(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.extreme(Combine::Max, Combine::ArgMax, dim)
    }

    /// The smallest element along `dim` and its (first) position; the gradient goes there.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn min(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.extreme(Combine::Min, Combine::ArgMin, dim)
    }

    /// The (first) position of the largest element along `dim`, as `i64`; `None`: of the flattened tensor.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn argmax(&self, dim: Option<isize>, keepdim: bool) -> Result<Tensor> {
        self.reduce(Combine::ArgMax, &dim, keepdim)
    }

    /// The (first) position of the smallest element along `dim`, as `i64`; `None`: of the flattened tensor.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn argmin(&self, dim: Option<isize>, keepdim: bool) -> Result<Tensor> {
        self.reduce(Combine::ArgMin, &dim, keepdim)
    }

    /// Whether any element along `dims` is not zero.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn any(&self, dims: impl Dims) -> Result<Tensor> {
        self.truth(self.count(&dims, false)?.ne(0))
    }

    /// [`any`](Self::any) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn any_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.truth(self.count(&dims, true)?.ne(0))
    }

    /// Whether no element along `dims` is zero.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn all(&self, dims: impl Dims) -> Result<Tensor> {
        self.truth(self.eq(0)?.count(&dims, false)?.eq(0))
    }

    /// [`all`](Self::all) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn all_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.truth(self.eq(0)?.count(&dims, true)?.eq(0))
    }

    /// How many elements along `dims` are not zero, as `i64`.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn count_nonzero(&self, dims: impl Dims) -> Result<Tensor> {
        self.count(&dims, false)
    }

    #[track_caller]
    fn count(&self, dims: &impl Dims, keepdim: bool) -> Result<Tensor> {
        self.ne(0)?.reduce(Combine::Sum, dims, keepdim)
    }

    /// PyTorch answers questions about bytes in bytes.
    #[track_caller]
    fn truth(&self, answer: Result<Tensor>) -> Result<Tensor> {
        if self.dtype() == DType::U8 { answer?.to_dtype(DType::U8) } else { answer }
    }

    #[track_caller]
    fn reduce(&self, combine: Combine, dims: &impl Dims, keepdim: bool) -> Result<Tensor> {
        let op = ops::Reduce { dims: SmallVec::new(), combine };
        let dims = resolve_reduced(ops::Op::name(&op), dims, self.rank())?;
        let x = match combine {
            Combine::ArgMax | Combine::ArgMin if self.dtype() == DType::Bool => {
                return Err(Error::dtype(ops::Op::name(&op), "bools have no order; convert them to integers first"));
            }
            Combine::Sum | Combine::Prod if !self.dtype().is_float() => self.to_dtype(DType::I64)?,
            _ if self.dtype() == DType::Bool => self.to_dtype(DType::I32)?,
            _ => self.clone(),
        };
        let x = if self.rank() == 0 { x.reshape([1usize])? } else { x };
        let dims = if self.rank() == 0 { smallvec![0] } else { dims };
        let mut out = Tensor::apply(ops::Reduce { dims: dims.clone(), combine }, &[&x])?;
        if self.dtype() == DType::Bool && matches!(combine, Combine::Max | Combine::Min) {
            out = out.to_dtype(DType::Bool)?;
        }
        if self.rank() == 0 {
            out.reshape([0usize; 0])
        } else if keepdim {
            Ok(out)
        } else {
            out.squeeze(&dims)
        }
    }

    #[track_caller]
    fn extreme(&self, value: Combine, position: Combine, dim: isize) -> Result<(Tensor, Tensor)> {
        let name = if value == Combine::Max { "max" } else { "min" };
        let d = dim_index(name, dim, self.rank())?;
        let ordered = if self.dtype() == DType::Bool { self.to_dtype(DType::I32)? } else { self.clone() };
        let at = ordered.reduce(position, &dim, true)?;
        let out = autograd::no_grad(|| self.reduce(value, &dim, true))?;
        let (picked, shape) = (at.snapshot()?, Shape::from(self.shape()));
        autograd::record_with(&out, name, &[self], move |dy, _| {
            let Some(&size) = shape.get(d) else { return Ok(smallvec![Some(dy.clone())]) };
            // Along the dimension: dy at the position, 0 elsewhere.
            let mut line = Shape::from_elem(1, shape.len());
            line[d] = size;
            let elsewhere = Tensor::arange(0, size, 1, (DType::I64, dy.device()))?.reshape(&line)?.ne(&picked)?;
            Ok(smallvec![Some(dy.expand(&shape)?.masked_fill(&elsewhere, 0)?)])
        });
        Ok((out.squeeze(dim)?, at.squeeze(dim)?))
    }
}

/// Statistics.
impl Tensor {
    /// The mean along `dims`; NaN of nothing.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn mean(&self, dims: impl Dims) -> Result<Tensor> {
        let reduced = resolve_reduced("mean", &dims, self.rank())?;
        self.mean_keepdim(dims)?.squeeze(&reduced)
    }

    /// [`mean`](Self::mean) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn mean_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.expect_float("mean")?;
        let reduced = resolve_reduced("mean", &dims, self.rank())?;
        let n = self.count_along(&reduced);
        self.widened(|x| x.sum_keepdim(&reduced)?.div(n as f64))
    }

    /// The mean of all elements.
    ///
    /// # Errors
    /// Integers.
    #[track_caller]
    pub fn mean_all(&self) -> Result<Tensor> {
        self.mean(..)
    }

    /// The variance along `dims`: squared distances from the mean, divided by `n - correction` (1 for a sample, 0 for a
    /// population). In two passes, so that it is exact for data far from zero.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn var(&self, dims: impl Dims, correction: f64) -> Result<Tensor> {
        let reduced = resolve_reduced("var", &dims, self.rank())?;
        self.var_keepdim(dims, correction)?.squeeze(&reduced)
    }

    /// [`var`](Self::var) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn var_keepdim(&self, dims: impl Dims, correction: f64) -> Result<Tensor> {
        self.expect_float("var")?;
        let reduced = resolve_reduced("var", &dims, self.rank())?;
        let over = (self.count_along(&reduced) as f64 - correction).max(0.0);
        self.widened(|x| {
            let out = autograd::no_grad(|| x.sub(&x.mean_keepdim(&reduced)?)?.square()?.sum_keepdim(&reduced)?.div(over))?;
            let (saved, dims) = (autograd::Kept::new(x)?, reduced.clone());
            autograd::record_with(&out, "var", &[x], move |dy, _| {
                let saved = saved.get()?;
                let apart = saved.sub(&saved.mean_keepdim(&dims)?)?;
                Ok(smallvec![Some(apart.mul(&dy.mul(2.0 / over)?)?)])
            });
            Ok(out)
        })
    }

    /// The standard deviation: the square root of [`var`](Self::var), whose gradient is 0 where it is 0.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn std(&self, dims: impl Dims, correction: f64) -> Result<Tensor> {
        let reduced = resolve_reduced("std", &dims, self.rank())?;
        self.std_keepdim(dims, correction)?.squeeze(&reduced)
    }

    /// [`std`](Self::std) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn std_keepdim(&self, dims: impl Dims, correction: f64) -> Result<Tensor> {
        self.expect_float("std")?;
        self.widened(|x| x.var_keepdim(dims, correction)?.root(2.0))
    }

    /// Variance and mean along `dims`.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn var_mean(&self, dims: impl Dims, correction: f64) -> Result<(Tensor, Tensor)> {
        let reduced = resolve_reduced("var_mean", &dims, self.rank())?;
        Ok((self.var(&reduced, correction)?, self.mean(&reduced)?))
    }

    /// Standard deviation and mean along `dims`.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn std_mean(&self, dims: impl Dims, correction: f64) -> Result<(Tensor, Tensor)> {
        let reduced = resolve_reduced("std_mean", &dims, self.rank())?;
        Ok((self.std(&reduced, correction)?, self.mean(&reduced)?))
    }

    /// The `p`-norm along `dims`: `sum(|x|^p)^(1/p)`; the largest and the smallest magnitude for `p` = ±infinity, the
    /// number of non-zeros for 0. The gradient is 0 where the norm is 0.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn norm(&self, p: f64, dims: impl Dims, keepdim: bool) -> Result<Tensor> {
        self.expect_float("norm")?;
        let reduced = resolve_reduced("norm", &dims, self.rank())?;
        let out = self.widened(|x| match p {
            _ if p == 0.0 => {
                let out = x.ne(0)?.to_dtype(x.dtype())?.sum_keepdim(&reduced)?;
                autograd::record_with(&out, "norm", &[x], |_, _| Ok(smallvec![None]));
                Ok(out)
            }
            _ if p == 1.0 => x.abs()?.sum_keepdim(&reduced),
            _ if p == 2.0 => x.square()?.sum_keepdim(&reduced)?.root(2.0),
            f64::INFINITY => x.abs()?.amax_keepdim(&reduced),
            f64::NEG_INFINITY => x.abs()?.amin_keepdim(&reduced),
            // The slope of |x|^p at 0 is infinite below 1: zeros take no part.
            _ if p < 1.0 && p > 0.0 => {
                let zero = x.eq(0)?;
                x.abs()?.masked_fill(&zero, 1)?.pow(p)?.masked_fill(&zero, 0)?.sum_keepdim(&reduced)?.root(p)
            }
            _ => x.abs()?.pow(p)?.sum_keepdim(&reduced)?.root(p),
        })?;
        if keepdim { Ok(out) } else { out.squeeze(&reduced) }
    }

    /// The `p`-th root, with gradient 0 at 0.
    #[track_caller]
    fn root(&self, p: f64) -> Result<Tensor> {
        let value = move |s: &Tensor| if p == 2.0 { s.sqrt() } else { s.pow(1.0 / p) };
        let out = autograd::no_grad(|| value(self))?;
        let (saved, root) = (self.snapshot()?, Tensor::from_value(out.value()?, autograd::Edge::None));
        // d s^(1/p) = s^(1/p) / (p s)
        autograd::record_with(&out, "root", &[self], move |dy, _| {
            let root = if autograd::is_enabled() { saved.root(p)? } else { root.clone() };
            let slope = root.div(&saved.mul(p)?)?.masked_fill(&saved.eq(0)?, 0)?;
            Ok(smallvec![Some(dy.mul(&slope)?)])
        });
        Ok(out)
    }

    fn count_along(&self, dims: &[usize]) -> usize {
        let sizes: Shape = dims.iter().filter_map(|&d| self.shape().get(d).copied()).collect();
        numel(&sizes)
    }

    pub(super) fn expect_float(&self, op: &'static str) -> Result<()> {
        if self.dtype().is_float() {
            return Ok(());
        }
        Err(Error::dtype(op, format!("expected floating point numbers, got {}; convert with to_dtype", self.dtype())))
    }

    /// `f` computed in `f32` for 16-bit floats and rounded once, as PyTorch's kernels do inside.
    #[track_caller]
    pub(super) fn widened(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        match self.dtype() {
            // In mixed precision the result keeps what was computed.
            DType::F16 | DType::BF16 if crate::amp::autocast_dtype().is_some() => f(&self.to_dtype(DType::F32)?),
            DType::F16 | DType::BF16 => f(&self.to_dtype(DType::F32)?)?.to_dtype(self.dtype()),
            _ => f(self),
        }
    }
}

#[cfg(test)]
mod tests;
