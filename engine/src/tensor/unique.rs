//! Distinct elements and rows. How many there are depends on the values: these read back.

use super::Tensor;
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// What is distinct: the elements (or slices), for each element of the input which of them it is, and how often each occurs.
#[derive(Debug, Clone)]
pub struct Unique {
    /// In the input's type.
    pub values: Tensor,
    /// `i64`, in the input's shape, or one for each slice.
    pub inverse: Tensor,
    /// `i64`, one for each value.
    pub counts: Tensor,
}

impl Tensor {
    /// The distinct elements in ascending order, or (`dim`) the distinct slices along a dimension, which are compared element by
    /// element. NaNs differ from each other. Slices are compared on the host. Like `torch.unique`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let found = Tensor::new([3i64, 1, 3], &Device::cpu())?.unique(None)?;
    /// assert_eq!(found.values.to_vec::<i64>()?, [1, 3]);
    /// assert_eq!(found.inverse.to_vec::<i64>()?, [1, 0, 1]);
    /// assert_eq!(found.counts.to_vec::<i64>()?, [1, 2]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `dim` out of range; slices without elements; waiting is impossible here.
    #[track_caller]
    pub fn unique(&self, dim: Option<isize>) -> Result<Unique> {
        autograd::no_grad(|| match dim {
            None => {
                let flat = self.flatten(0, -1)?;
                let (sorted, order) = flat.sort(0, false)?;
                let runs = sorted.runs()?;
                let inverse = runs.inverse.zeros_like()?.index_copy(0, &order, &runs.inverse)?;
                Ok(Unique { inverse: inverse.reshape(self.shape())?, ..runs })
            }
            Some(dim) => self.distinct_slices(dim, true),
        })
    }

    /// The elements (or slices) without those that equal the one before. Like `torch.unique_consecutive`.
    ///
    /// # Errors
    /// As for [`unique`](Self::unique).
    #[track_caller]
    pub fn unique_consecutive(&self, dim: Option<isize>) -> Result<Unique> {
        autograd::no_grad(|| match dim {
            None => {
                let runs = self.flatten(0, -1)?.runs()?;
                Ok(Unique { inverse: runs.inverse.reshape(self.shape())?, ..runs })
            }
            Some(dim) => self.distinct_slices(dim, false),
        })
    }

    /// Runs of equal elements of a vector.
    fn runs(&self) -> Result<Unique> {
        let n = self.numel();
        let none = || Tensor::zeros([0], (DType::I64, self.device()));
        if n == 0 {
            return Ok(Unique { values: self.snapshot()?, inverse: none()?, counts: none()? });
        }
        let begins = self.narrow(0, 1, n - 1)?.ne(&self.narrow(0, 0, n - 1)?)?.to_dtype(DType::I64)?.pad([1isize, 0], "constant", 1)?;
        let at = begins.nonzero()?.flatten(0, -1)?;
        let end = Tensor::full([1], n as i64, (DType::I64, self.device()))?;
        Ok(Unique { values: self.index_select(0, &at)?, inverse: begins.cumsum(0)?.sub(1)?, counts: at.diff(1, 0, None, Some(&end))? })
    }

    fn distinct_slices(&self, dim: isize, sort: bool) -> Result<Unique> {
        let d = self.dim("unique", dim)?;
        let count = self.shape()[d];
        if self.numel() == 0 && count > 0 {
            return Err(Error::argument("unique", format!("slices of {:?} along dimension {dim} have no elements", self.shape())));
        }
        let slices = self.movedim(d as isize, 0)?.detach()?.contiguous()?;
        let width = self.numel().checked_div(count).unwrap_or(0);
        let (keys, floats) = (slices.order_keys()?, self.dtype().is_float());
        let row = |i: usize| &keys[i * width..(i + 1) * width];
        let mut order: Vec<usize> = (0..count).collect();
        if sort {
            order.sort_by(|&a, &b| row(a).cmp(row(b)));
        }
        let same = |a: usize, b: usize| row(a) == row(b) && !(floats && row(a).contains(&u64::MAX));
        let (mut first, mut counts, mut inverse) = (Vec::<i64>::new(), Vec::<i64>::new(), vec![0i64; count]);
        for (k, &i) in order.iter().enumerate() {
            match counts.last_mut() {
                Some(n) if same(order[k - 1], i) => *n += 1,
                _ => {
                    first.push(i as i64);
                    counts.push(1);
                }
            }
            inverse[i] = counts.len() as i64 - 1;
        }
        let vector = |v: Vec<i64>| {
            let n: Shape = [v.len()].as_slice().into();
            Tensor::from_vec(v, n, self.device())
        };
        Ok(Unique { values: self.index_select(d as isize, &vector(first)?)?, inverse: vector(inverse)?, counts: vector(counts)? })
    }

    /// Numbers that compare as the elements do, on the host; a NaN is the largest.
    fn order_keys(&self) -> Result<Vec<u64>> {
        let up = |bits: u64, nan: bool| match (nan, bits >> 63) {
            (true, _) => u64::MAX,
            (_, 1) => !bits,
            _ => bits | 1 << 63,
        };
        let float = |v: f64| up(if v == 0.0 { 0 } else { v.to_bits() }, v.is_nan());
        Ok(match self.dtype() {
            DType::F64 => self.to_vec::<f64>()?.into_iter().map(float).collect(),
            d if d.is_float() => self.to_dtype(DType::F32)?.to_vec::<f32>()?.into_iter().map(|v| float(v as f64)).collect(),
            DType::U64 => self.to_vec::<u64>()?,
            _ => self.to_dtype(DType::I64)?.to_vec::<i64>()?.into_iter().map(|v| (v as u64) ^ 1 << 63).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
