//! Writing many elements into one place: reductions by index; and writing parts: masks, diagonals, slices.

use smallvec::smallvec;

use super::Tensor;
use super::index::wrapped;
use super::part::diagonal_of;
use crate::autograd;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops::How;
use crate::shape::Layout;

/// How elements that meet at one index combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScatterReduce {
    Sum,
    Product,
    Mean,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl std::str::FromStr for ScatterReduce {
    type Err = Error;

    fn from_str(s: &str) -> Result<ScatterReduce> {
        Ok(match s {
            "sum" => ScatterReduce::Sum,
            "prod" => ScatterReduce::Product,
            "mean" => ScatterReduce::Mean,
            "amax" => ScatterReduce::Max,
            "amin" => ScatterReduce::Min,
            _ => return Err(Error::argument("scatter_reduce", format!("'{s}' is none of sum, prod, mean, amax, amin"))),
        })
    }
}

/// Where the elements of a source go: each to its own index, or whole slices.
#[derive(Clone)]
struct Places {
    dim: isize,
    index: Tensor,
    slices: bool,
}

impl Places {
    fn write(&self, how: How, base: &Tensor, src: &Tensor) -> Result<Tensor> {
        if self.slices { base.index_put_along(how, self.dim, &self.index, src) } else { base.scatter_with(how, self.dim, &self.index, src) }
    }

    fn fill(&self, base: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        if self.slices { base.index_fill(self.dim, &self.index, value) } else { base.scatter_value(self.dim, &self.index, value) }
    }

    /// What lies where the elements of `src` go to, in its shape.
    fn read(&self, from: &Tensor, src: &[usize]) -> Result<Tensor> {
        if self.slices && from.rank() > 0 {
            return from.index_select(self.dim, &self.index);
        }
        if self.slices { from.expand(src) } else { from.gather(self.dim, &self.index) }
    }

    /// The part of a source that the index names, which may be larger for single elements.
    fn part(&self, src: &Tensor) -> Result<Tensor> {
        if self.slices || src.shape() == self.index.shape() || src.rank() != self.index.rank() {
            return Ok(src.clone());
        }
        let fits = (0..src.rank()).all(|d| self.index.shape()[d] <= src.shape()[d]);
        if !fits {
            return Err(Error::argument(
                "scatter_reduce",
                format!("an index of {:?} does not fit a source of {:?}", self.index.shape(), src.shape()),
            ));
        }
        (0..src.rank()).try_fold(src.clone(), |t, d| t.narrow(d as isize, 0, self.index.shape()[d]))
    }
}

/// Reductions by index.
impl Tensor {
    /// `y = x`, then `y[.., index[.., j, ..], ..]` combined with `src[.., j, ..]` along `dim` for each `j`; without `include_self`
    /// what lay there before does not count. In the order of `j`: the same bits every time. Like `torch.scatter_reduce`.
    ///
    /// # Errors
    /// As for [`scatter`](Self::scatter).
    #[track_caller]
    pub fn scatter_reduce(&self, dim: isize, index: &Tensor, src: &Tensor, reduce: ScatterReduce, include_self: bool) -> Result<Tensor> {
        self.reduced_at(Places { dim, index: index.clone(), slices: false }, src, reduce, include_self)
    }

    /// [`scatter_reduce`](Self::scatter_reduce) of whole slices: those of `dim` that the one-dimensional `index` names combine with
    /// those of `src`. Like `torch.index_reduce`.
    ///
    /// # Errors
    /// As for [`index_add`](Self::index_add).
    #[track_caller]
    pub fn index_reduce(&self, dim: isize, index: &Tensor, src: &Tensor, reduce: ScatterReduce, include_self: bool) -> Result<Tensor> {
        self.reduced_at(Places { dim, index: index.clone(), slices: true }, src, reduce, include_self)
    }

    #[track_caller]
    fn reduced_at(&self, places: Places, src: &Tensor, reduce: ScatterReduce, include_self: bool) -> Result<Tensor> {
        if self.dtype() != src.dtype() {
            return Err(Error::dtype("scatter_reduce", format!("the source is {}, the tensor {}", src.dtype(), self.dtype())));
        }
        if places.index.numel() == 0 {
            return self.copied();
        }
        let src = &places.part(src)?;
        if matches!(self.dtype(), DType::F16 | DType::BF16) {
            let wide = self.to_dtype(DType::F32)?.reduced_at(places, &src.to_dtype(DType::F32)?, reduce, include_self)?;
            return wide.to_dtype(self.dtype());
        }
        // What replaces an element that does not count.
        let nothing = match (reduce, self.dtype().int_range()) {
            (ScatterReduce::Sum | ScatterReduce::Mean, _) => Scalar::Int(0),
            (ScatterReduce::Product, _) => Scalar::Int(1),
            (ScatterReduce::Max, None) => Scalar::Float(f64::NEG_INFINITY),
            (ScatterReduce::Min, None) => Scalar::Float(f64::INFINITY),
            // On a GPU integers have 32 bits.
            (ScatterReduce::Max, Some((low, _))) => Scalar::from_i128(if self.device().is_cpu() { low } else { low.max(i32::MIN as i128) }),
            (ScatterReduce::Min, Some((_, high))) => {
                Scalar::from_i128(if self.device().is_cpu() { high } else { high.min(i32::MAX as i128) })
            }
        };
        let base = if include_self { self.clone() } else { places.fill(self, nothing)? };
        match reduce {
            ScatterReduce::Sum => places.write(How::Add, &base, src),
            ScatterReduce::Mean => {
                let sum = places.write(How::Add, &base, src)?;
                let dtype = if self.dtype().is_float() { self.dtype() } else { DType::I64 };
                let ones = |shape: &[usize]| Tensor::ones(shape, (dtype, self.device()));
                let own = if include_self { ones(self.shape())? } else { places.fill(&ones(self.shape())?, 0)? };
                let count = places.write(How::Add, &own, &ones(src.shape())?)?.clamp_numbers(Some(1.into()), None)?;
                if self.dtype().is_float() { sum.div(&count) } else { sum.floor_divide(&count)?.to_dtype(self.dtype()) }
            }
            ScatterReduce::Product | ScatterReduce::Max | ScatterReduce::Min => {
                let how = match reduce {
                    ScatterReduce::Product => How::Multiply,
                    ScatterReduce::Max => How::Max,
                    _ => How::Min,
                };
                let out = autograd::no_grad(|| places.write(how, &base, src))?;
                let (own, added) = (base.snapshot()?, src.snapshot()?);
                let result = Tensor::from_value(out.value()?, autograd::Edge::None);
                autograd::record_with(&out, "scatter_reduce", &[&base, src], move |dy, _| {
                    let (da, db) = if how == How::Multiply {
                        product_gradients(&places, &own, &added, dy)?
                    } else {
                        extreme_gradients(&places, &own, &added, &result, dy)?
                    };
                    Ok(smallvec![Some(da), Some(db)])
                });
                Ok(out)
            }
        }
    }
}

/// The extreme's gradient is shared evenly among the elements that equal it.
fn extreme_gradients(places: &Places, own: &Tensor, src: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    let own_is = own.eq(y)?.to_dtype(dy.dtype())?;
    let src_is = src.eq(&places.read(y, src.shape())?)?.to_dtype(dy.dtype())?;
    let share = dy.div(&places.write(How::Add, &own_is, &src_is)?)?;
    Ok((own_is.mul(&share)?, src_is.mul(&places.read(&share, src.shape())?)?))
}

/// A factor's gradient is the product of the others: the product divided by it; a single zero has the product of the rest, and beside
/// it all others have 0.
fn product_gradients(places: &Places, own: &Tensor, src: &Tensor, dy: &Tensor) -> Result<(Tensor, Tensor)> {
    let zeros = |t: &Tensor| t.eq(0)?.to_dtype(t.dtype());
    let (own_zero, src_zero) = (own.eq(0)?, src.eq(0)?);
    // How many zeros meet, and the product of everything else.
    let count = places.write(How::Add, &zeros(own)?, &zeros(src)?)?;
    let factors = src.masked_fill(&src_zero, 1)?;
    let rest = own.masked_fill(&own_zero, 1)?.reduced_at(places.clone(), &factors, ScatterReduce::Product, true)?;
    let alone = dy.mul(&rest.masked_fill(&count.ne(1)?, 0)?)?;
    let beside = dy.mul(&rest.masked_fill(&count.ne(0)?, 0)?)?;
    let part = |alone: &Tensor, beside: &Tensor, x: &Tensor, zero: &Tensor| alone.where_(zero, &beside.div(&x.masked_fill(zero, 1)?)?);
    let read = |t: &Tensor| places.read(t, src.shape());
    Ok((part(&alone, &beside, own, &own_zero)?, part(&read(&alone)?, &read(&beside)?, src, &src_zero)?))
}

/// Parts.
impl Tensor {
    /// The elements at positions `index` of the flattened tensor replaced by those of `src`, or with `accumulate` added to. Negative
    /// positions count from the end. Like `torch.put`.
    ///
    /// # Errors
    /// Types that differ, another number of elements than positions, a position out of range.
    #[track_caller]
    pub fn put(&self, index: &Tensor, src: &Tensor, accumulate: bool) -> Result<Tensor> {
        if self.dtype() != src.dtype() {
            return Err(Error::dtype("put", format!("the source is {}, the tensor {}", src.dtype(), self.dtype())));
        }
        if index.numel() != src.numel() {
            return Err(Error::argument("put", format!("{} positions for {} elements", index.numel(), src.numel())));
        }
        let at = wrapped("put", index, 0, self.numel())?.flatten(0, -1)?;
        let how = if accumulate { How::Add } else { How::Put };
        self.flatten(0, -1)?.index_put_along(how, 0, &at, &src.flatten(0, -1)?)?.reshape(self.shape())
    }

    /// The elements where `mask` (broadcast) is true replaced by the first ones of `src`, in row-major order. Like
    /// `torch.masked_scatter`.
    ///
    /// # Errors
    /// A mask that is not bool or does not broadcast, types that differ; too few elements in `src`, which is reported when the result is
    /// read.
    #[track_caller]
    pub fn masked_scatter(&self, mask: &Tensor, src: &Tensor) -> Result<Tensor> {
        const OP: &str = "masked_scatter";
        if mask.dtype() != DType::Bool {
            return Err(Error::dtype(OP, format!("a mask has to be bool, not {}", mask.dtype())));
        }
        if self.dtype() != src.dtype() {
            return Err(Error::dtype(OP, format!("the source is {}, the tensor {}", src.dtype(), self.dtype())));
        }
        let shape = crate::shape::broadcast(OP, self.shape(), mask.shape())?;
        let (x, mask) = (self.expand(&shape)?, mask.expand(&shape)?.contiguous()?);
        if x.numel() == 0 {
            return x.copied();
        }
        // Element k of src goes to the k-th place. One element more, which nobody reads, serves an empty src.
        let flat = mask.flatten(0, -1)?;
        let at = flat.cumsum(0)?.sub(1)?;
        let source = src.flatten(0, -1)?;
        let (source, at) = if source.numel() == 0 {
            (source.pad([0isize, 1], "constant", 0)?, Tensor::zeros([flat.numel()], (DType::I64, self.device()))?.masked_fill(&flat, 1)?)
        } else {
            (source, at.masked_fill(&flat.logical_not()?, 0)?)
        };
        source.index_select(0, &at)?.reshape(&shape)?.where_(&mask, &x)
    }

    /// This tensor with element `index` of dimension `dim` replaced by `src`. Like `torch.select_scatter`.
    ///
    /// # Errors
    /// `dim` or `index` out of range; another shape than [`select`](Self::select) gives.
    #[track_caller]
    pub fn select_scatter(&self, src: &Tensor, dim: isize, index: isize) -> Result<Tensor> {
        let d = self.dim("select_scatter", dim)?;
        let size = self.shape()[d] as isize;
        if !(-size..size).contains(&index) {
            return Err(Error::index("select_scatter", format!("index {index} is out of range for dimension {dim} of size {size}")));
        }
        let mut region = Layout::contiguous(self.shape()).slice(d, index.rem_euclid(size) as usize, 1, 1);
        region.shape.remove(d);
        region.strides.remove(d);
        self.with_part("select_scatter", region, src)
    }

    /// This tensor with every `step`-th element from `start` to before `end` of dimension `dim` replaced by `src`. Like
    /// `torch.slice_scatter`.
    ///
    /// # Errors
    /// As for [`slice`](Self::slice); another shape than it gives.
    #[track_caller]
    pub fn slice_scatter(&self, src: &Tensor, dim: isize, start: isize, end: isize, step: isize) -> Result<Tensor> {
        let d = self.dim("slice_scatter", dim)?;
        let part = self.slice(dim, start, end, step)?;
        let size = self.shape()[d] as isize;
        let from = (if start < 0 { start.saturating_add(size) } else { start }).clamp(0, size) as usize;
        let step = if part.shape()[d] > 1 { step } else { 1 };
        self.with_part("slice_scatter", Layout::contiguous(self.shape()).slice(d, from, part.shape()[d], step), src)
    }

    /// This tensor with a diagonal of dimensions `a` and `b` replaced by `src`. Like `torch.diagonal_scatter`.
    ///
    /// # Errors
    /// As for [`diagonal`](Self::diagonal); another shape than it gives.
    #[track_caller]
    pub fn diagonal_scatter(&self, src: &Tensor, offset: isize, a: isize, b: isize) -> Result<Tensor> {
        self.with_part("diagonal_scatter", diagonal_of("diagonal_scatter", self.shape(), offset, a, b)?, src)
    }

    /// This tensor with what [`as_strided`](Self::as_strided) reads replaced by `src`. Like `torch.as_strided_scatter`, but for its
    /// gradient: here what was replaced gets none, and everything else does.
    ///
    /// # Errors
    /// As for [`as_strided`](Self::as_strided); another shape than it gives; elements that are met twice.
    #[track_caller]
    pub fn as_strided_scatter(&self, src: &Tensor, size: &[usize], stride: &[isize], offset: usize) -> Result<Tensor> {
        self.as_strided(size, stride, offset)?;
        let region = Layout { shape: size.into(), strides: stride.into(), offset };
        if region.overlaps() {
            return Err(Error::argument("as_strided_scatter", "an element would be written twice"));
        }
        self.with_part("as_strided_scatter", region, src)
    }

    fn with_part(&self, op: &'static str, region: Layout, src: &Tensor) -> Result<Tensor> {
        if src.shape() != &region.shape[..] {
            return Err(Error::argument(op, format!("a source of {:?} for a part of {:?}", src.shape(), &region.shape[..])));
        }
        self.assign_region(&region, src)
    }
}

#[cfg(test)]
mod tests;
