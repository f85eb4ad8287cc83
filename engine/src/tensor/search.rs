//! Searching sorted rows, membership, counting into bins, and drawing from weights.

use super::Tensor;
use crate::autograd;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops;
use crate::shape::{Shape, broadcast, checked_numel};

/// Searching.
impl Tensor {
    /// For each value, where it would have to be put into its row of this tensor (sorted along the last dimension) to
    /// keep it sorted: before equal elements, or with `right` behind them. One row serves values of any shape; else values
    /// have the rows' shape but for the last dimension. `sorter` holds the positions that sort each row. `i64`. Like
    /// `torch.searchsorted`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let row = Tensor::new([1.0, 3.0, 5.0], &Device::cpu())?;
    /// let values = Tensor::new([3.0, 9.0], &Device::cpu())?;
    /// assert_eq!(row.searchsorted(&values, false, None)?.to_vec::<i64>()?, [1, 3]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Shapes that do not fit; types without a common one; a sorter of another shape or type than positions have.
    #[track_caller]
    pub fn searchsorted(&self, values: &Tensor, right: bool, sorter: Option<&Tensor>) -> Result<Tensor> {
        const OP: &str = "searchsorted";
        if self.rank() == 0 {
            return Err(Error::argument(OP, "the sorted tensor needs at least one dimension"));
        }
        let mut rows = self.clone();
        if let Some(sorter) = sorter {
            if sorter.shape() != self.shape() || sorter.dtype() != DType::I64 {
                let message =
                    format!("a sorter of {:?} {} for {:?}: it takes i64 in the same shape", sorter.shape(), sorter.dtype(), self.shape());
                return Err(Error::argument(OP, message));
            }
            rows = self.gather(-1, sorter)?;
        }
        // A value without dimensions gives way to the rows' type within its category, as in arithmetic.
        let category = |d: DType| d.is_float() as u8 * 2 + d.is_int() as u8;
        let dtype = if values.rank() == 0 && category(values.dtype()) <= category(self.dtype()) {
            self.dtype()
        } else {
            self.dtype().promote_for(values.dtype(), OP)?
        };
        let (rows, values) = (rows.to_dtype(dtype)?.comparable()?, values.to_dtype(dtype)?.comparable()?);
        Tensor::apply(ops::Search { right }, &[&rows, &values])
    }

    /// The bucket each element falls into, between ascending `boundaries`: bucket `i` ends with boundary `i`, itself
    /// included, or with `right` excluded. `i64`. Like `torch.bucketize`.
    ///
    /// # Errors
    /// Boundaries that are not one-dimensional; types without a common one.
    #[track_caller]
    pub fn bucketize(&self, boundaries: &Tensor, right: bool) -> Result<Tensor> {
        if boundaries.rank() != 1 {
            return Err(Error::argument("bucketize", format!("boundaries have one dimension, not {:?}", boundaries.shape())));
        }
        boundaries.searchsorted(self, right, None)
    }

    /// Whether each element occurs in `others`; with `invert`, whether it does not. Like `torch.isin`.
    ///
    /// # Errors
    /// Types without a common one.
    #[track_caller]
    pub fn isin(&self, others: &Tensor, invert: bool) -> Result<Tensor> {
        let dtype = self.dtype().promote_for(others.dtype(), "isin")?;
        let (x, all) = (self.detach()?.to_dtype(dtype)?.comparable()?, others.detach()?.to_dtype(dtype)?.comparable()?);
        let n = all.numel();
        if n == 0 {
            return Tensor::full(self.shape(), invert, (DType::Bool, self.device()));
        }
        let sorted = all.flatten(0, -1)?.sort(0, false)?.0;
        // The element at the place where it would have to be.
        let at = sorted.searchsorted(&x, false, None)?.clamp_numbers(None, Some((n - 1).into()))?;
        let there = sorted.take(&at)?;
        if invert { there.ne(&x) } else { there.eq(&x) }
    }
}

/// Counting.
impl Tensor {
    /// How often each of 0, 1, .. occurs among non-negative integers, at least `minlength` counts; or the sum of the
    /// weights where it does. Counts are `i64`, sums `f32` of `f32`, else `f64`. The number of counts depends on the
    /// values, which are read back. Like `torch.bincount`.
    ///
    /// # Errors
    /// Anything but a vector of non-negative integers, weights of another shape.
    #[track_caller]
    pub fn bincount(&self, weights: Option<&Tensor>, minlength: usize) -> Result<Tensor> {
        const OP: &str = "bincount";
        if self.rank() != 1 || !self.dtype().is_int() {
            return Err(Error::argument(OP, format!("expected a vector of integers, got {:?} {}", self.shape(), self.dtype())));
        }
        if let Some(w) = weights
            && w.shape() != self.shape()
        {
            return Err(Error::argument(OP, format!("weights {:?} for {:?}", w.shape(), self.shape())));
        }
        let index = self.to_dtype(DType::I64)?;
        let ends = match index.numel() {
            0 => vec![0, -1],
            _ => Tensor::stack(&[index.min_all()?, index.max_all()?], 0)?.to_vec::<i64>()?,
        };
        let (low, high) = (ends[0], ends[1]);
        if low < 0 {
            return Err(Error::argument(OP, format!("expected no negative numbers, got {low}")));
        }
        let bins = usize::try_from(high.saturating_add(1)).unwrap_or(usize::MAX).max(minlength);
        let counted = match weights {
            None => Tensor::ones([index.numel()], (DType::I64, self.device()))?,
            Some(w) if w.dtype() == DType::F32 => w.detach()?,
            Some(w) => w.detach()?.to_dtype(DType::F64)?,
        };
        Tensor::zeros([bins], (counted.dtype(), self.device()))?.index_add(0, &index, &counted)
    }

    /// How many elements fall into each of `bins` equal bins from `min` to `max`, which belongs to the last bin; where the two are
    /// equal, the smallest and the largest element take their place. In this tensor's type. Like `torch.histc`.
    ///
    /// # Errors
    /// Integers, no bins, bounds in the wrong order or not finite.
    #[track_caller]
    pub fn histc(&self, bins: usize, min: f64, max: f64) -> Result<Tensor> {
        const OP: &str = "histc";
        self.expect_float(OP)?;
        if bins == 0 || !(min <= max) || !min.is_finite() || !max.is_finite() {
            return Err(Error::argument(OP, format!("{bins} bins from {min} to {max}")));
        }
        checked_numel(OP, &[bins])?;
        let x = self.detach()?.flatten(0, -1)?;
        x.widened(|x| {
            let ends = |v: f64| Tensor::full([0usize; 0], v, (x.dtype(), x.device()));
            let (mut low, mut high) = (ends(min)?, ends(max)?);
            if min == max && x.numel() > 0 {
                (low, high) = (x.min_all()?, x.max_all()?);
            }
            let same = low.eq(&high)?;
            (low, high) = (low.sub(1)?.where_(&same, &low)?, high.add(1)?.where_(&same, &high)?);
            let outside = x.lt(&low)?.logical_or(&x.gt(&high)?)?.logical_or(&x.isnan()?)?;
            let place = x.sub(&low)?.mul(bins as f64)?.div(&high.sub(&low)?)?.masked_fill(&outside, 0)?;
            let last = Some((bins - 1).into());
            let index = place.to_dtype(DType::I64)?.clamp_numbers(None, last)?.masked_fill(&outside, bins)?;
            counts(&index, &x.ones_like()?, bins)
        })
    }

    /// The weight (1, or what `weight` says) of the elements between each two neighbours of ascending `edges`, of which the last belongs
    /// to the last bin; with `density`, divided by the whole weight and the width of each bin. Like the first result of
    /// `torch.histogram`.
    ///
    /// # Errors
    /// Integers, types that differ, edges that are no vector, weights of another shape.
    #[track_caller]
    pub fn histogram(&self, edges: &Tensor, weight: Option<&Tensor>, density: bool) -> Result<Tensor> {
        self.flatten(0, -1)?.unsqueeze(1)?.histogramdd(
            std::slice::from_ref(edges),
            weight.map(|w| w.flatten(0, -1)).transpose()?.as_ref(),
            density,
        )
    }

    /// [`histogram`](Self::histogram) of points: the last dimension holds their coordinates, each with edges of its own. The
    /// result has one dimension a coordinate. Like the first result of `torch.histogramdd`.
    ///
    /// # Errors
    /// As for [`histogram`](Self::histogram); another number of edges than coordinates.
    #[track_caller]
    pub fn histogramdd(&self, edges: &[Tensor], weight: Option<&Tensor>, density: bool) -> Result<Tensor> {
        const OP: &str = "histogramdd";
        self.expect_float(OP)?;
        let &[.., n] = self.shape() else { return Err(Error::argument(OP, "points need at least one dimension")) };
        if edges.len() != n || n == 0 {
            return Err(Error::argument(OP, format!("{} rows of edges for points of {n} coordinates", edges.len())));
        }
        let points = self.detach()?.reshape([(self.numel() / n) as isize, n as isize])?;
        let count = points.shape()[0];
        if let Some(w) = weight
            && (w.numel() != count || w.dtype() != self.dtype())
        {
            return Err(Error::argument(OP, format!("weights {:?} {} for {count} points of {}", w.shape(), w.dtype(), self.dtype())));
        }
        let mut index = Tensor::zeros([count], (DType::I64, self.device()))?;
        let mut outside = Tensor::zeros([count], (DType::Bool, self.device()))?;
        let mut shape = Shape::new();
        for (d, edges) in edges.iter().enumerate() {
            if edges.rank() != 1 || edges.numel() < 2 || edges.dtype() != self.dtype() {
                let message = format!("edges {:?} {}: expected a vector of at least 2 in {}", edges.shape(), edges.dtype(), self.dtype());
                return Err(Error::argument(OP, message));
            }
            let (bins, x) = (edges.numel() - 1, points.select(1, d as isize)?.contiguous()?);
            let (first, last) = (edges.select(0, 0)?, edges.select(0, -1)?);
            let out = x.lt(&first)?.logical_or(&x.gt(&last)?)?.logical_or(&x.isnan()?)?;
            outside = outside.logical_or(&out)?;
            let at = edges.searchsorted(&x, true, None)?.sub(1)?.clamp_numbers(Some(0.into()), Some((bins - 1).into()))?;
            index = index.mul(bins as i64)?.add(&at)?;
            shape.push(bins);
        }
        let total = checked_numel(OP, &shape)?;
        let one = Tensor::ones([count], (self.dtype(), self.device()))?;
        let weight = weight.map_or(Ok(one), |w| w.detach()?.flatten(0, -1))?;
        let mut hist = counts(&index.masked_fill(&outside, total)?, &weight, total)?.reshape(&shape)?;
        if density {
            hist = hist.div(&hist.sum_all()?)?;
            for (d, edges) in edges.iter().enumerate() {
                let mut line = Shape::from_elem(1, n);
                line[d] = shape[d];
                hist = hist.div(&edges.diff(1, 0, None, None)?.reshape(&line)?)?;
            }
        }
        Ok(hist)
    }

    /// The edges of `bins` equal bins over a range, or over what the elements span: what [`histogram`](Self::histogram) takes. The span is
    /// read back.
    ///
    /// # Errors
    /// Integers; no bins; a range in the wrong order.
    pub fn bin_edges(&self, bins: usize, range: Option<(f64, f64)>) -> Result<Tensor> {
        const OP: &str = "histogram";
        self.expect_float(OP)?;
        if bins == 0 {
            return Err(Error::argument(OP, "needs at least one bin"));
        }
        checked_numel(OP, &[bins])?;
        let (mut low, mut high) = match range {
            Some(range) => range,
            None if self.numel() == 0 => (0.0, 1.0),
            None => (self.min_all()?.item::<f64>()?, self.max_all()?.item::<f64>()?),
        };
        if !(low <= high) || !low.is_finite() || !high.is_finite() {
            return Err(Error::argument(OP, format!("a range from {low} to {high}")));
        }
        if low == high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        Tensor::linspace(low, high, bins + 1, (self.dtype(), self.device()))
    }
}

/// Weights added up by index; index `bins` is left out.
fn counts(index: &Tensor, weight: &Tensor, bins: usize) -> Result<Tensor> {
    Tensor::zeros([bins + 1], (weight.dtype(), weight.device()))?.index_add(0, index, weight)?.narrow(0, 0, bins)?.contiguous()
}

/// Drawing.
impl Tensor {
    /// `count` positions (`i64`) drawn from each row with the probabilities its elements are in proportion to, with or without
    /// replacement. Like `torch.multinomial`.
    ///
    /// # Errors
    /// Integers; more than two dimensions; no draws, or more than there are positions without replacement. A row with an
    /// element that is negative or not finite, or with too few that are positive, is reported when the result is read: as an index
    /// out of range.
    #[track_caller]
    pub fn multinomial(&self, count: usize, replacement: bool) -> Result<Tensor> {
        const OP: &str = "multinomial";
        self.expect_float(OP)?;
        let n = match self.shape() {
            [n] | [_, n] => *n,
            other => return Err(Error::argument(OP, format!("expected a row or rows, got {other:?}"))),
        };
        if n == 0 || count == 0 || !replacement && count > n {
            return Err(Error::argument(OP, format!("{count} draws from {n} positions")));
        }
        autograd::no_grad(|| {
            let dtype = if self.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
            let p = self.to_dtype(dtype)?;
            let wrong = p.lt(0)?.logical_or(&p.isfinite()?.logical_not()?)?;
            let positive = p.gt(0)?.sum_keepdim(-1)?;
            let enough = if replacement { 1 } else { count as i64 };
            let refused = wrong.any_keepdim(-1)?.logical_or(&positive.lt(enough)?)?;
            let drawn = if replacement {
                let upto = p.cumsum(-1)?;
                let mut shape = Shape::from(self.shape());
                shape[self.rank() - 1] = count;
                let at = Tensor::rand(&shape, (dtype, self.device()))?.mul(&upto.narrow(-1, n - 1, 1)?)?;
                upto.searchsorted(&at, true, None)?.clamp_numbers(None, Some((n - 1).into()))?
            } else {
                // The largest of p / exponential are a draw without replacement.
                let noise = p.zeros_like()?;
                noise.exponential_(1.0)?;
                p.div(&noise.clamp_numbers(Some(Scalar::Float(1e-30)), None)?)?.topk(count, -1, true)?.1
            };
            let shape = broadcast(OP, drawn.shape(), refused.shape())?;
            let checked = drawn.masked_fill(&refused.expand(&shape)?, n)?;
            Tensor::arange(0, n, 1, (DType::I64, self.device()))?.take_unchecked(&checked)
        })
    }

    /// [`take`](Self::take) of positions that do not count from the end.
    fn take_unchecked(&self, index: &Tensor) -> Result<Tensor> {
        self.index_select(0, &index.flatten(0, -1)?)?.reshape(index.shape())
    }
}

#[cfg(test)]
mod tests;
