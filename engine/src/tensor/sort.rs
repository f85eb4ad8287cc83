//! Order: sorting, the k largest, medians, modes, quantiles. A NaN lies above everything.

use smallvec::smallvec;

use super::Tensor;
use super::dims::{Dims, resolve_reduced};
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{self, Carry};
use crate::shape::Shape;

/// Sorting.
impl Tensor {
    /// The elements along `dim` in ascending order (or descending), and the position (`i64`) each came from. Stable:
    /// equal elements keep their order. Like `torch.sort`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let (values, at) = Tensor::new([3.0, 1.0, 2.0], &Device::cpu())?.sort(-1, false)?;
    /// assert_eq!(values.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
    /// assert_eq!(at.to_vec::<i64>()?, [1, 2, 0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn sort(&self, dim: isize, descending: bool) -> Result<(Tensor, Tensor)> {
        let (x, d) = self.with_dimension("sort", dim)?;
        let at = x.argsort(dim, descending)?;
        let values = autograd::no_grad(|| x.gather(dim, &at))?;
        let order = at.snapshot()?;
        autograd::record_with(&values, "sort", &[&x], move |dy, _| {
            // Each gradient goes back to where its element was: read at the inverse permutation.
            Ok(smallvec![Some(dy.gather(d as isize, &order.argsort(d as isize, false)?)?)])
        });
        Ok((values.reshape(self.shape())?, at.reshape(self.shape())?))
    }

    /// The positions (`i64`) along `dim` that put the elements in ascending order (or descending). Stable. Like
    /// `torch.argsort`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn argsort(&self, dim: isize, descending: bool) -> Result<Tensor> {
        let (x, d) = self.with_dimension("argsort", dim)?;
        Tensor::apply(ops::Sort { dim: d, descending }, &[&x.comparable()?])?.reshape(self.shape())
    }

    /// The elements along the first dimension in ascending order. Like `torch.msort`.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn msort(&self) -> Result<Tensor> {
        Ok(self.sort(0, false)?.0)
    }

    /// The `k` largest elements along `dim` (or smallest), in order, and their positions (`i64`). Like `torch.topk`.
    ///
    /// # Errors
    /// `dim` out of range, or `k` larger than it.
    #[track_caller]
    pub fn topk(&self, k: usize, dim: isize, largest: bool) -> Result<(Tensor, Tensor)> {
        let (x, d) = self.with_dimension("topk", dim)?;
        let size = x.shape()[d];
        if k > size {
            return Err(Error::argument("topk", format!("{k} elements of dimension {dim}, which has {size}")));
        }
        let at = x.argsort(dim, largest)?.narrow(d as isize, 0, k)?.contiguous()?;
        let values = x.gather(dim, &at)?;
        if self.rank() == 0 && k == 1 { Ok((values.reshape([0usize; 0])?, at.reshape([0usize; 0])?)) } else { Ok((values, at)) }
    }

    /// The `k`-th smallest element along `dim`, counted from 1, and its position (`i64`); the dimension stays, with size
    /// 1. Like `torch.kthvalue` with `keepdim`.
    ///
    /// # Errors
    /// `dim` out of range, or no `k`-th element.
    #[track_caller]
    pub fn kthvalue_keepdim(&self, k: usize, dim: isize) -> Result<(Tensor, Tensor)> {
        let (x, d) = self.with_dimension("kthvalue", dim)?;
        let size = x.shape()[d];
        if k == 0 || k > size {
            return Err(Error::argument("kthvalue", format!("element {k} of dimension {dim}, which has {size}")));
        }
        let at = x.argsort(dim, false)?.narrow(d as isize, k - 1, 1)?.contiguous()?;
        self.at_places(&x, dim, &at)
    }

    /// [`kthvalue_keepdim`](Self::kthvalue_keepdim) without the dimension.
    ///
    /// # Errors
    /// `dim` out of range, or no `k`-th element.
    #[track_caller]
    pub fn kthvalue(&self, k: usize, dim: isize) -> Result<(Tensor, Tensor)> {
        squeezed(self.kthvalue_keepdim(k, dim)?, dim)
    }

    /// What lies at positions of `x`, this tensor with at least one dimension.
    fn at_places(&self, x: &Tensor, dim: isize, at: &Tensor) -> Result<(Tensor, Tensor)> {
        let values = x.gather(dim, at)?;
        if self.rank() == 0 { Ok((values.reshape([0usize; 0])?, at.reshape([0usize; 0])?)) } else { Ok((values, at.clone())) }
    }
}

fn squeezed((values, at): (Tensor, Tensor), dim: isize) -> Result<(Tensor, Tensor)> {
    Ok((values.squeeze(dim)?, at.squeeze(dim)?))
}

/// Middles.
impl Tensor {
    /// The lower median along `dim` and its position (`i64`); the dimension stays, with size 1. NaN where there is one.
    /// Like `torch.median` with `keepdim`.
    ///
    /// # Errors
    /// `dim` out of range or empty; bools.
    #[track_caller]
    pub fn median_keepdim(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.middle("median", dim, false)
    }

    /// [`median_keepdim`](Self::median_keepdim) without the dimension.
    ///
    /// # Errors
    /// `dim` out of range or empty; bools.
    #[track_caller]
    pub fn median(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        squeezed(self.median_keepdim(dim)?, dim)
    }

    /// The lower median along `dim` of what is not NaN, and its position; the dimension stays, with size 1. Like
    /// `torch.nanmedian` with `keepdim`.
    ///
    /// # Errors
    /// `dim` out of range or empty; bools.
    #[track_caller]
    pub fn nanmedian_keepdim(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        self.middle("nanmedian", dim, true)
    }

    /// [`nanmedian_keepdim`](Self::nanmedian_keepdim) without the dimension.
    ///
    /// # Errors
    /// `dim` out of range or empty; bools.
    #[track_caller]
    pub fn nanmedian(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        squeezed(self.nanmedian_keepdim(dim)?, dim)
    }

    /// The lower median of all elements; NaN of nothing. The gradient is shared evenly among equals. Like
    /// `torch.median` without `dim`.
    ///
    /// # Errors
    /// Bools.
    #[track_caller]
    pub fn median_all(&self) -> Result<Tensor> {
        self.middle_of_all("median", false)
    }

    /// The lower median of all elements that are not NaN. Like `torch.nanmedian` without `dim`.
    ///
    /// # Errors
    /// Bools.
    #[track_caller]
    pub fn nanmedian_all(&self) -> Result<Tensor> {
        self.middle_of_all("nanmedian", true)
    }

    #[track_caller]
    fn middle_of_all(&self, op: &'static str, skip: bool) -> Result<Tensor> {
        let out = autograd::no_grad(|| {
            if self.numel() == 0 {
                // PyTorch's bits of "no number": NaN, and the smallest integer.
                let nothing = if self.dtype().is_float() { f64::NAN.into() } else { crate::dtype::Scalar::Int(i64::MIN) };
                return Tensor::full([0usize; 0], nothing, (self.dtype(), self.device()));
            }
            self.flatten(0, -1)?.middle(op, 0, skip)?.0.reshape([0usize; 0])
        })?;
        let (x, y) = (self.snapshot()?, Tensor::from_value(out.value()?, autograd::Edge::None));
        autograd::record_with(&out, op, &[self], move |dy, _| {
            let nan = x.isnan()?.logical_and(&y.isnan()?)?;
            let same = x.eq(&y)?.logical_or(&nan)?.to_dtype(dy.dtype())?;
            Ok(smallvec![Some(same.mul(&dy.div(&same.sum_all()?)?)?)])
        });
        Ok(out)
    }

    #[track_caller]
    fn middle(&self, op: &'static str, dim: isize, skip: bool) -> Result<(Tensor, Tensor)> {
        if self.dtype() == DType::Bool {
            return Err(Error::dtype(op, "bools have no middle; convert them to integers first"));
        }
        let (x, d) = self.with_dimension(op, dim)?;
        let (size, d) = (x.shape()[d], d as isize);
        if size == 0 {
            return Err(Error::argument(op, format!("dimension {dim} of {:?} is empty", self.shape())));
        }
        let order = x.argsort(d, false)?;
        let lower = (size as i64 - 1) / 2;
        let at = if x.dtype().is_float() {
            let valid = x.isnan()?.logical_not()?.sum_keepdim(d)?;
            let rank = if skip {
                valid.sub(1)?.floor_divide(2)?.clamp_numbers(Some(0.into()), None)?
            } else {
                // The first NaN comes behind all valid elements.
                valid.where_(&valid.lt(size as i64)?, lower)?
            };
            order.gather(d, &rank)?
        } else {
            order.narrow(d, lower as usize, 1)?.contiguous()?
        };
        self.at_places(&x, d, &at)
    }

    /// The most frequent element along `dim` (of equally frequent ones the smallest), and the last position (`i64`) it has;
    /// the dimension stays, with size 1. Like `torch.mode` with `keepdim`.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn mode_keepdim(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        let (x, d) = self.with_dimension("mode", dim)?;
        let (size, d) = (x.shape()[d], d as isize);
        if size == 0 {
            return Err(Error::argument("mode", format!("dimension {dim} of {:?} is empty", self.shape())));
        }
        let at = autograd::no_grad(|| {
            let (sorted, order) = x.comparable()?.sort(d, false)?;
            // Where runs of equal elements begin, and how far each place is into its run: longest, and first of those.
            let begins = sorted.narrow(d, 1, size - 1)?.ne(&sorted.narrow(d, 0, size - 1)?)?.to_dtype(DType::I32)?;
            let mut one_before = vec![0isize; 2 * (x.rank() - d as usize)];
            let last = one_before.len() - 2;
            one_before[last] = 1;
            let begin = begins.pad(one_before, "constant", 1)?.scanned(Carry::ArgMax, d)?;
            let mut line = Shape::from_elem(1, x.rank());
            line[d as usize] = size;
            let places = Tensor::arange(0, size, 1, (DType::I64, x.device()))?.reshape(&line)?;
            let longest = places.sub(&begin)?.argmax(Some(d), true)?;
            order.gather(d, &longest)
        })?;
        self.at_places(&x, d, &at)
    }

    /// [`mode_keepdim`](Self::mode_keepdim) without the dimension.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn mode(&self, dim: isize) -> Result<(Tensor, Tensor)> {
        squeezed(self.mode_keepdim(dim)?, dim)
    }
}

/// Where a quantile lies that falls between two elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QuantileMode {
    /// In proportion.
    #[default]
    Linear,
    /// At the lower one.
    Lower,
    /// At the higher one.
    Higher,
    /// At the nearer one; halfway at the one with an even rank.
    Nearest,
    /// In the middle.
    Midpoint,
}

impl std::str::FromStr for QuantileMode {
    type Err = Error;

    fn from_str(s: &str) -> Result<QuantileMode> {
        Ok(match s {
            "linear" => QuantileMode::Linear,
            "lower" => QuantileMode::Lower,
            "higher" => QuantileMode::Higher,
            "nearest" => QuantileMode::Nearest,
            "midpoint" => QuantileMode::Midpoint,
            _ => {
                let message = format!("interpolation '{s}' is none of linear, lower, higher, nearest, midpoint");
                return Err(Error::argument("quantile", message));
            }
        })
    }
}

/// Quantiles.
impl Tensor {
    /// The `q`-th quantiles along `dim` (`None`: of all elements), `q` a scalar or a vector of numbers in `[0, 1]`; its
    /// dimension comes first in the result. NaN where there is one. `f32` and `f64`, both of one type. Like
    /// `torch.quantile`.
    ///
    /// # Errors
    /// `dim` out of range, no elements, other types, a `q` of more dimensions. A `q` outside `[0, 1]` is reported when the result is
    /// read: as an index out of range.
    #[track_caller]
    pub fn quantile(&self, q: &Tensor, dim: Option<isize>, keepdim: bool, interpolation: QuantileMode) -> Result<Tensor> {
        self.quantiles("quantile", q, dim, keepdim, interpolation)
    }

    /// [`quantile`](Self::quantile) of what is not NaN. Like `torch.nanquantile`.
    ///
    /// # Errors
    /// As for [`quantile`](Self::quantile).
    #[track_caller]
    pub fn nanquantile(&self, q: &Tensor, dim: Option<isize>, keepdim: bool, interpolation: QuantileMode) -> Result<Tensor> {
        self.quantiles("nanquantile", q, dim, keepdim, interpolation)
    }

    #[track_caller]
    fn quantiles(&self, op: &'static str, q: &Tensor, dim: Option<isize>, keepdim: bool, how: QuantileMode) -> Result<Tensor> {
        if !matches!(self.dtype(), DType::F32 | DType::F64) || q.dtype() != self.dtype() {
            return Err(Error::dtype(op, format!("expected f32 or f64 for both, got {} and q {}", self.dtype(), q.dtype())));
        }
        if q.rank() > 1 {
            return Err(Error::argument(op, format!("q must be a number or a vector, not {:?}", q.shape())));
        }
        if self.numel() == 0 {
            return Err(Error::argument(op, format!("{:?} has no elements", self.shape())));
        }
        let rows = match dim {
            None => self.flatten(0, -1)?,
            Some(d) => self.with_dimension(op, d)?.0.movedim(d, -1)?,
        };
        let (sorted, _) = rows.sort(-1, false)?;
        let size = rows.size(-1)?;
        let at = q.at_least_1d()?;
        let valid = sorted.isnan()?.logical_not()?.sum_keepdim(-1)?;
        // Ranks, fractions included: [.., q].
        let ranks = if op == "nanquantile" {
            at.mul(&valid.sub(1)?.clamp_numbers(Some(0.into()), None)?.to_dtype(self.dtype())?)?
        } else {
            let mut shape = Shape::from(rows.shape());
            shape[rows.rank() - 1] = at.numel();
            at.mul((size - 1) as f64)?.expand(&shape)?.masked_fill(&valid.lt(size as i64)?, (size - 1) as f64)?
        };
        let ranks = match how {
            QuantileMode::Lower => ranks.floor()?,
            QuantileMode::Higher => ranks.ceil()?,
            QuantileMode::Nearest => ranks.round()?,
            _ => ranks,
        };
        let below = ranks.floor()?;
        let wrong = at.ge(0)?.logical_and(&at.le(1)?)?.logical_not()?.expand(ranks.shape())?;
        let read = |at: &Tensor| sorted.gather(-1, &at.detach()?.to_dtype(DType::I64)?.masked_fill(&wrong, size)?);
        let mut out = read(&below)?;
        if matches!(how, QuantileMode::Linear | QuantileMode::Midpoint) {
            let above = read(&ranks.ceil()?)?;
            let weight = if how == QuantileMode::Midpoint { ranks.full_like(0.5)? } else { ranks.sub(&below)? };
            out = out.lerp(&above, &weight)?;
        }
        // [.., q] to [q, ..], with the reduced dimension back if it stays.
        let out = out.movedim(-1, 0)?;
        let out = match (keepdim, dim) {
            (false, _) => out,
            (true, None) => {
                let mut shape = Shape::from_elem(1, self.rank() + 1);
                shape[0] = at.numel();
                out.reshape(&shape)?
            }
            (true, Some(_)) if self.rank() == 0 => out,
            (true, Some(d)) => out.unsqueeze(if d < 0 { d } else { d + 1 })?,
        };
        if q.rank() == 0 { out.squeeze(0) } else { Ok(out) }
    }
}

/// What reductions leave out: NaN.
impl Tensor {
    /// The sum along `dims` of what is not NaN, in the types of [`sum`](Self::sum); the dimensions stay, with size 1. Like
    /// `torch.nansum` with `keepdim`.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn nansum_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        if self.dtype().is_float() { self.masked_fill(&self.isnan()?, 0)?.sum_keepdim(dims) } else { self.sum_keepdim(dims) }
    }

    /// [`nansum_keepdim`](Self::nansum_keepdim) without the dimensions.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn nansum(&self, dims: impl Dims) -> Result<Tensor> {
        let reduced = resolve_reduced("nansum", &dims, self.rank())?;
        self.nansum_keepdim(dims)?.squeeze(&reduced)
    }

    /// The mean along `dims` of what is not NaN; the dimensions stay, with size 1. Like `torch.nanmean` with `keepdim`.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn nanmean_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        self.expect_float("nanmean")?;
        let reduced = resolve_reduced("nanmean", &dims, self.rank())?;
        let count = self.isnan()?.logical_not()?.sum_keepdim(&reduced)?;
        self.widened(|x| x.nansum_keepdim(&reduced)?.div(&count))
    }

    /// [`nanmean_keepdim`](Self::nanmean_keepdim) without the dimensions.
    ///
    /// # Errors
    /// A dimension out of range or named twice; integers.
    #[track_caller]
    pub fn nanmean(&self, dims: impl Dims) -> Result<Tensor> {
        let reduced = resolve_reduced("nanmean", &dims, self.rank())?;
        self.nanmean_keepdim(dims)?.squeeze(&reduced)
    }

    /// The smallest and the largest element along `dim` (`None`: of all); of equal ones the gradient is shared evenly.
    /// Like `torch.aminmax`.
    ///
    /// # Errors
    /// `dim` out of range or empty.
    #[track_caller]
    pub fn aminmax(&self, dim: Option<isize>, keepdim: bool) -> Result<(Tensor, Tensor)> {
        if keepdim { Ok((self.amin_keepdim(dim)?, self.amax_keepdim(dim)?)) } else { Ok((self.amin(dim)?, self.amax(dim)?)) }
    }
}

#[cfg(test)]
mod tests;
