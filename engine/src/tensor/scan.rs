//! Running sums, products and extrema along a dimension, differences, and the trapezoidal rule.

use super::Operand;
use super::Tensor;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Carry, Scan};
use crate::shape::{Shape, dim_index};

/// Scans.
impl Tensor {
    /// The sum along `dim` of all elements up to each, itself included. Integers and bools add up as `i64`; 16-bit
    /// floats in `f32`, rounded once. Like `torch.cumsum`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([1.0, 2.0, 3.0], &Device::cpu())?;
    /// assert_eq!(x.cumsum(0)?.to_vec::<f32>()?, [1.0, 3.0, 6.0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn cumsum(&self, dim: isize) -> Result<Tensor> {
        let wide = if self.dtype().is_float() { self.clone() } else { self.to_dtype(DType::I64)? };
        wide.scanned(Carry::Sum, dim)
    }

    /// [`cumsum`](Self::cumsum) in place.
    ///
    /// # Errors
    /// As for [`cumsum`](Self::cumsum); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn cumsum_(&self, dim: isize) -> Result<&Self> {
        self.overwrite("cumsum_", self.scanned(Carry::Sum, dim))
    }

    /// The product along `dim` of all elements up to each, in the types of [`cumsum`](Self::cumsum). Its gradient is
    /// exact around zeros. Like `torch.cumprod`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn cumprod(&self, dim: isize) -> Result<Tensor> {
        let wide = if self.dtype().is_float() { self.clone() } else { self.to_dtype(DType::I64)? };
        wide.scanned(Carry::Product, dim)
    }

    /// [`cumprod`](Self::cumprod) in place.
    ///
    /// # Errors
    /// As for [`cumprod`](Self::cumprod); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn cumprod_(&self, dim: isize) -> Result<&Self> {
        self.overwrite("cumprod_", self.scanned(Carry::Product, dim))
    }

    /// The logarithm of the sum along `dim` of the exponentials of all elements up to each, without overflow. Floats
    /// only. Like `torch.logcumsumexp`.
    ///
    /// # Errors
    /// `dim` out of range; integers.
    #[track_caller]
    pub fn logcumsumexp(&self, dim: isize) -> Result<Tensor> {
        self.expect_float("logcumsumexp")?;
        self.scanned(Carry::LogSumExp, dim)
    }

    /// The largest element along `dim` up to each, and its position (of equal ones the last); a NaN is larger than
    /// everything. Positions are `i64`. Like `torch.cummax`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn cummax(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.running(Carry::ArgMax, dim)
    }

    /// The smallest element along `dim` up to each, and its position (of equal ones the last); a NaN is smaller than
    /// everything. Positions are `i64`. Like `torch.cummin`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn cummin(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.running(Carry::ArgMin, dim)
    }

    #[track_caller]
    fn running(&self, carry: Carry, dim: isize) -> Result<(Tensor, Tensor)> {
        let (x, _) = self.with_dimension(carry.name(), dim)?;
        let at = x.comparable()?.scanned(carry, dim)?;
        Ok((x.gather(dim, &at)?.reshape(self.shape())?, at.reshape(self.shape())?))
    }

    /// Integers narrower than 32 bits and 16-bit floats are scanned in 32 bits.
    #[track_caller]
    pub(super) fn scanned(&self, carry: Carry, dim: isize) -> Result<Tensor> {
        let (x, d) = self.with_dimension(carry.name(), dim)?;
        let wide = match x.dtype() {
            DType::F16 | DType::BF16 => x.to_dtype(DType::F32)?,
            _ => x.comparable()?,
        };
        let out = Tensor::apply(Scan { dim: d, carry, reverse: false }, &[&wide])?;
        let out = if matches!(carry, Carry::ArgMax | Carry::ArgMin) { out } else { out.to_dtype(self.dtype())? };
        if self.rank() == 0 { out.reshape([0usize; 0]) } else { Ok(out) }
    }

    /// In a type whose elements kernels compare: at least 32 bits where they are no floats.
    pub(super) fn comparable(&self) -> Result<Tensor> {
        if self.dtype().size() < 4 && !self.dtype().is_float() { self.to_dtype(DType::I32) } else { Ok(self.clone()) }
    }

    /// The tensor with at least one dimension, and which one `dim` is: a scalar has one element along dimension 0.
    pub(super) fn with_dimension(&self, op: &'static str, dim: isize) -> Result<(Tensor, usize)> {
        let d = dim_index(op, dim, self.rank())?;
        Ok((self.at_least_1d()?, d))
    }
}

/// Differences and areas.
impl Tensor {
    /// The differences of neighbours along `dim`, `n` times over, after joining `prepend` and `append` to the ends. Of
    /// bools whether they differ. Like `torch.diff`.
    ///
    /// # Errors
    /// A scalar, `dim` out of range, or tensors that do not join.
    #[track_caller]
    pub fn diff(&self, n: usize, dim: isize, prepend: Option<&Tensor>, append: Option<&Tensor>) -> Result<Tensor> {
        let d = self.dim("diff", dim)?;
        let parts: Vec<&Tensor> = [prepend, Some(self), append].into_iter().flatten().collect();
        if let Some(other) = parts.iter().find(|t| t.rank() != self.rank()) {
            let message = format!("{:?} does not join {:?}: ranks differ", other.shape(), self.shape());
            return Err(Error::argument("diff", message));
        }
        if n == 0 {
            return self.snapshot();
        }
        let mut out = if parts.len() == 1 { self.clone() } else { Tensor::cat(&parts, dim)? };
        let d = d as isize;
        for _ in 0..n {
            let size = out.size(d)?;
            if size <= 1 {
                return out.narrow(d, 0, 0)?.snapshot();
            }
            let (before, after) = (out.narrow(d, 0, size - 1)?, out.narrow(d, 1, size - 1)?);
            out = if out.dtype() == DType::Bool { after.logical_xor(&before)? } else { after.sub(&before)? };
        }
        Ok(out)
    }

    /// The area under the values along `dim`: the sum of the means of neighbours times their distance, which is `dx`,
    /// a number or a tensor of the places (along `dim` one-dimensional, or in the shape of the values). Like
    /// `torch.trapezoid`.
    ///
    /// # Errors
    /// `dim` out of range; places that do not broadcast.
    #[track_caller]
    pub fn trapezoid(&self, dx: impl Into<Operand>, dim: isize) -> Result<Tensor> {
        self.trapezoids("trapezoid", dx.into(), dim)?.sum(dim)
    }

    /// The area up to each value but the first. Like `torch.cumulative_trapezoid`.
    ///
    /// # Errors
    /// As for [`trapezoid`](Self::trapezoid).
    #[track_caller]
    pub fn cumulative_trapezoid(&self, dx: impl Into<Operand>, dim: isize) -> Result<Tensor> {
        self.trapezoids("cumulative_trapezoid", dx.into(), dim)?.cumsum(dim)
    }

    /// The area between each two neighbours; the reduced dimension is `dim` counted from the end.
    fn trapezoids(&self, op: &'static str, dx: Operand, dim: isize) -> Result<Tensor> {
        let d = self.dim(op, dim)?;
        let between = |t: &Tensor, dim: usize, from: usize| {
            let n = t.shape()[dim];
            t.narrow(dim as isize, from.min(n), n.saturating_sub(1))
        };
        let sums = between(self, d, 1)?.add(&between(self, d, 0)?)?;
        match dx {
            Operand::Scalar(s) => sums.mul(s.as_f64() / 2.0),
            Operand::Tensor(x) => {
                if x.rank() == 0 {
                    return sums.mul(&x)?.div(2);
                }
                // One place a value: along dim alone, or for every line of values.
                let (x, at) = if x.rank() == 1 {
                    let mut line = Shape::from_elem(1, self.rank());
                    line[d] = x.numel();
                    (x.reshape(&line)?, d)
                } else {
                    let at = (d + x.rank()).checked_sub(self.rank());
                    (x.clone(), at.ok_or_else(|| Error::argument(op, format!("places {:?} for {:?}", x.shape(), self.shape())))?)
                };
                if x.shape()[at] != self.shape()[d] {
                    let message = format!("{} places for {} values along dimension {dim}", x.shape()[at], self.shape()[d]);
                    return Err(Error::argument(op, message));
                }
                sums.mul(&between(&x, at, 1)?.sub(&between(&x, at, 0)?)?)?.div(2)
            }
        }
    }
}

#[cfg(test)]
mod tests;
