//! Reading and writing at indices: gather, scatter, rows, masks, embeddings.
//!
//! Indices count from 0 here, as in PyTorch's functions of these names; [`i`](Tensor::i) takes negative ones too.

use smallvec::smallvec;

use super::Tensor;
use super::index::wrapped;
use crate::autograd;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::kernel::Compute;
use crate::ops::{self, How, Op, Pick};
use crate::shape::{Layout, Shape, broadcast};

/// Elements.
impl Tensor {
    /// `y[.., j, ..] = x[.., index[.., j, ..], ..]` along `dim`. In the other dimensions the index may be smaller.
    ///
    /// # Errors
    /// Ranks that differ, an index larger than the tensor beside `dim`, an index out of range, indices that are no integers.
    #[track_caller]
    pub fn gather(&self, dim: isize, index: &Tensor) -> Result<Tensor> {
        if self.rank() == 0 && index.rank() <= 1 {
            return self.reshape([1usize])?.gather(dim, &index.flatten(0, -1)?)?.reshape(index.shape());
        }
        let d = self.dim("gather", dim)?;
        if index.numel() == 0 {
            return self.flatten(0, -1)?.narrow(0, 0, 0)?.reshape(index.shape());
        }
        let op = ops::Gather { dim: d, pick: Pick::Element };
        let index = index.as_indices(op.name(), d, self.shape()[d])?;
        self.cut_to("gather", d, index.shape())?.indexed(op, &[&index])
    }

    /// `y = x`, then `y[.., index[.., j, ..], ..] = src[.., j, ..]` along `dim`; of equal indices the last one stays.
    ///
    /// # Errors
    /// Ranks or types that differ, an index larger than `src`, or than the tensor beside `dim`, an index out of range.
    #[track_caller]
    pub fn scatter(&self, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.scatter_with(How::Put, dim, index, src)
    }

    /// [`scatter`](Self::scatter) of one number.
    ///
    /// # Errors
    /// As for [`scatter`](Self::scatter).
    #[track_caller]
    pub fn scatter_value(&self, dim: isize, index: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        let src = Tensor::full([0usize; 0], value, (self.dtype(), self.device()))?.expand(index.shape())?;
        self.scatter_with(How::Put, dim, index, &src)
    }

    /// `y = x`, then `y[.., index[.., j, ..], ..] += src[.., j, ..]` along `dim`, in the order of `j`: the same bits
    /// every time.
    ///
    /// # Errors
    /// As for [`scatter`](Self::scatter).
    #[track_caller]
    pub fn scatter_add(&self, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.scatter_with(How::Add, dim, index, src)
    }

    #[track_caller]
    pub(super) fn scatter_with(&self, how: How, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        if self.rank() == 0 && index.rank() <= 1 && src.rank() <= 1 {
            let (index, src) = (index.flatten(0, -1)?, src.flatten(0, -1)?);
            return self.reshape([1usize])?.scatter_with(how, dim, &index, &src)?.reshape([0usize; 0]);
        }
        let d = self.dim("scatter", dim)?;
        let op = ops::Scatter { dim: d, pick: Pick::Element, how };
        let name = op.name();
        if self.dtype() != src.dtype() {
            return Err(Error::dtype(name, format!("the source is {}, the tensor {}", src.dtype(), self.dtype())));
        }
        let index = index.as_indices(name, d, self.shape()[d])?;
        if index.numel() == 0 {
            return self.copied();
        }
        let src = src.cut_to(name, usize::MAX, index.shape())?;
        // Only the part the index can reach changes.
        let part = self.cut_to(name, d, index.shape())?;
        let out = part.scattered(op, &index, &src)?;
        if part.shape() == self.shape() {
            return Ok(out);
        }
        let reached = part.shape().iter().enumerate().fold(Layout::contiguous(self.shape()), |l, (d, &len)| l.slice(d, 0, len, 1));
        self.assign_region(&reached, &out)
    }

    /// The elements at positions `index` of the flattened tensor, in the shape of `index`. Negative positions count from
    /// the end.
    ///
    /// # Errors
    /// A position out of range, indices that are no integers.
    #[track_caller]
    pub fn take(&self, index: &Tensor) -> Result<Tensor> {
        let at = wrapped("take", index, 0, self.numel())?.flatten(0, -1)?;
        self.flatten(0, -1)?.index_select(0, &at)?.reshape(index.shape())
    }

    /// [`gather`](Self::gather) with tensor and index broadcast to each other beside `dim`; `None`: both flattened.
    ///
    /// # Errors
    /// Ranks that differ, sizes that do not broadcast, an index out of range.
    #[track_caller]
    pub fn take_along_dim(&self, index: &Tensor, dim: Option<isize>) -> Result<Tensor> {
        let Some(dim) = dim else { return self.flatten(0, -1)?.take_along_dim(&index.flatten(0, -1)?, Some(0)) };
        let d = self.dim("take_along_dim", dim)?;
        let index = &wrapped("take_along_dim", index, d, self.shape().get(d).copied().unwrap_or(1))?;
        if index.rank() != self.rank() {
            return Err(Error::argument("take_along_dim", format!("an index of {:?} for {:?}: ranks differ", index.shape(), self.shape())));
        }
        let (mut x, mut at) = (Shape::from(self.shape()), Shape::from(index.shape()));
        (x[d], at[d]) = (1, 1);
        x = broadcast("take_along_dim", &x, &at)?;
        at = x.clone();
        (x[d], at[d]) = (self.shape()[d], index.shape()[d]);
        self.expand(&x)?.gather(dim, &index.expand(&at)?)
    }

    /// This tensor from its first element on, in the sizes of `shape` except along `dim`.
    fn cut_to(&self, op: &'static str, dim: usize, shape: &[usize]) -> Result<Tensor> {
        let fits = self.rank() == shape.len() && (0..shape.len()).all(|d| d == dim || shape[d] <= self.shape()[d]);
        if !fits {
            return Err(Error::argument(op, format!("an index of {shape:?} does not fit {:?}", self.shape())));
        }
        (0..shape.len())
            .filter(|&d| d != dim && shape[d] < self.shape()[d])
            .try_fold(self.clone(), |t, d| t.narrow(d as isize, 0, shape[d]))
    }

    /// Applies an indexing operator, which widens 16-bit floats, and narrows its result again.
    #[track_caller]
    fn indexed(&self, op: impl Compute, others: &[&Tensor]) -> Result<Tensor> {
        let mut inputs = vec![self];
        inputs.extend(others);
        Tensor::apply(op, &inputs)?.to_dtype(self.dtype())
    }

    /// The same for scattering. Bools and small integers add up in larger ones (a GPU has no smaller); these wrap at the
    /// end, and bools are true where any was.
    #[track_caller]
    fn scattered(&self, op: ops::Scatter, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        if op.how != How::Put && self.dtype().size() < 4 && !self.dtype().is_float() {
            let wide = self.to_dtype(DType::I32)?.indexed(op, &[index, &src.to_dtype(DType::I32)?])?;
            return wide.to_dtype(self.dtype());
        }
        self.indexed(op, &[index, src])
    }

    /// As indices into a dimension: integers the kernels read, and none out of range as far as that is known already.
    pub(super) fn as_indices(&self, op: &'static str, dim: usize, size: usize) -> Result<Tensor> {
        if !self.dtype().is_int() {
            return Err(Error::dtype(op, format!("indices have to be integers, not {}", self.dtype())));
        }
        if let Some((low, high)) = self.known_range(true)
            && (low < 0 || high >= size as i64)
        {
            let wrong = if low < 0 { low } else { high };
            return Err(Error::index(op, format!("index {wrong} is out of range for dimension {dim} of size {size}")));
        }
        if matches!(self.dtype(), DType::I64 | DType::I32) { Ok(self.clone()) } else { self.to_dtype(DType::I64) }
    }

    /// A scalar as a vector of one element; everything else as it is.
    pub(super) fn at_least_1d(&self) -> Result<Tensor> {
        if self.rank() == 0 { self.reshape([1usize]) } else { Ok(self.clone()) }
    }

    /// Bounds of uploaded integers; `exact`: only where the whole upload is used, so that both bounds occur.
    pub(super) fn known_range(&self, exact: bool) -> Option<(i64, i64)> {
        let value = self.value().ok()?;
        let whole = !exact || value.layout.is_whole(crate::shape::numel(&value.node.spec.shape));
        if whole && self.numel() > 0 { value.node.range } else { None }
    }
}

/// Slices.
impl Tensor {
    /// The slices of `dim` that the one-dimensional `index` names, in its order.
    ///
    /// # Errors
    /// `dim` or an index out of range, indices that are no integers or not one-dimensional.
    #[track_caller]
    pub fn index_select(&self, dim: isize, index: &Tensor) -> Result<Tensor> {
        if self.rank() == 0 && index.numel() == 1 {
            return self.reshape([1usize])?.index_select(dim, index)?.reshape([0usize; 0]);
        }
        let d = self.dim("index_select", dim)?;
        let index = index.at_least_1d()?.as_indices("index_select", d, self.shape()[d])?;
        self.indexed(ops::Gather { dim: d, pick: Pick::Slice }, &[&index])
    }

    /// This tensor with the slices of `src` added to those of `dim` that `index` names, in its order: the same bits
    /// every time.
    ///
    /// # Errors
    /// `dim` or an index out of range, shapes or types that do not fit.
    #[track_caller]
    pub fn index_add(&self, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.index_put_along(How::Add, dim, index, src)
    }

    /// This tensor with those slices of `dim` that `index` names replaced by the ones of `src`; of equal indices the last one
    /// stays.
    ///
    /// # Errors
    /// `dim` or an index out of range, shapes or types that do not fit.
    #[track_caller]
    pub fn index_copy(&self, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        self.index_put_along(How::Put, dim, index, src)
    }

    /// This tensor with those slices of `dim` that `index` names filled with one number.
    ///
    /// # Errors
    /// `dim` or an index out of range.
    #[track_caller]
    pub fn index_fill(&self, dim: isize, index: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        if self.rank() == 0 {
            return self.reshape([1usize])?.index_fill(dim, index, value)?.reshape([0usize; 0]);
        }
        let d = self.dim("index_fill", dim)?;
        let mut shape = Shape::from(self.shape());
        shape[d] = index.numel();
        let src = Tensor::full([0usize; 0], value, (self.dtype(), self.device()))?.expand(&shape)?;
        self.index_copy(dim, &index.flatten(0, -1)?, &src)
    }

    #[track_caller]
    pub(super) fn index_put_along(&self, how: How, dim: isize, index: &Tensor, src: &Tensor) -> Result<Tensor> {
        if self.rank() == 0 {
            return self.reshape([1usize])?.index_put_along(how, dim, index, &src.at_least_1d()?)?.reshape([0usize; 0]);
        }
        let op = ops::Scatter { dim: self.dim("index_add", dim)?, pick: Pick::Slice, how };
        let (name, d) = (op.name(), op.dim);
        let index = index.at_least_1d()?.as_indices(name, d, self.shape()[d])?;
        if index.numel() == 0 && src.numel() == 0 {
            return self.copied();
        }
        self.scattered(op, &index, src)
    }

    /// Rows of `self` (`[entries, features]`) for each of `index`: `[..index, features]`. The row `padding` gets no
    /// gradient.
    ///
    /// # Errors
    /// `self` is no matrix, an index or `padding` out of range, indices that are no integers.
    #[track_caller]
    pub fn embedding(&self, index: &Tensor, padding: Option<isize>) -> Result<Tensor> {
        let &[entries, features] = self.shape() else {
            return Err(Error::argument("embedding", format!("the weight has to be a matrix, not {:?}", self.shape())));
        };
        let mut shape = Shape::from(index.shape());
        shape.push(features);
        let flat = index.flatten(0, -1)?.as_indices("embedding", 0, entries)?;
        let Some(padding) = padding else { return self.index_select(0, &flat)?.reshape(&shape) };
        let size = entries as isize;
        if !(-size..size).contains(&padding) {
            return Err(Error::index("embedding", format!("padding index {padding} is out of range for {entries} entries")));
        }
        let out = autograd::no_grad(|| self.index_select(0, &flat))?;
        let (weight, padding) = (Shape::from(self.shape()), padding.rem_euclid(size) as i64);
        autograd::record_with(&out, "embedding", &[self], move |dy, _| {
            let dy = dy.masked_fill(&flat.eq(padding)?.unsqueeze(1)?, 0)?;
            Ok(smallvec![Some(Tensor::zeros(&weight, (dy.dtype(), dy.device()))?.index_add(0, &flat, &dy)?)])
        });
        out.reshape(&shape)
    }

    /// For each index a row of zeros with a one at its place, as `i64`. An index outside `0..classes` has no one.
    ///
    /// # Errors
    /// Indices that are no integers.
    #[track_caller]
    pub fn one_hot(&self, classes: usize) -> Result<Tensor> {
        let index = self.as_indices("one_hot", 0, classes)?;
        let places = Tensor::arange(0, classes, 1, (index.dtype(), self.device()))?;
        index.unsqueeze(-1)?.eq(&places)?.to_dtype(DType::I64)
    }
}

/// What depends on values. The shape of the result is only known when the values are: these compute what is
/// pending and read it back. In a browser only the `_async` forms can.
impl Tensor {
    /// The positions of the elements that are not zero, in row-major order: `[count, rank]`, `i64`.
    ///
    /// # Errors
    /// The values cannot be computed, or waiting is impossible here.
    #[track_caller]
    pub fn nonzero(&self) -> Result<Tensor> {
        let set = self.ne(0)?.to_vec::<bool>()?;
        self.positions_of(&set)
    }

    /// [`nonzero`](Self::nonzero), waiting without blocking.
    ///
    /// # Errors
    /// The values cannot be computed.
    pub async fn nonzero_async(&self) -> Result<Tensor> {
        let set = self.ne(0)?.to_vec_async::<bool>().await?;
        self.positions_of(&set)
    }

    /// The elements where `mask` (broadcast, as this tensor is) is true, one after the other.
    ///
    /// # Errors
    /// A mask that is not bool or does not broadcast; waiting is impossible here.
    #[track_caller]
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        let (x, mask) = self.with_mask(mask)?;
        let set = mask.to_vec::<bool>()?;
        x.picked(&set)
    }

    /// [`masked_select`](Self::masked_select), waiting without blocking.
    ///
    /// # Errors
    /// A mask that is not bool or does not broadcast.
    pub async fn masked_select_async(&self, mask: &Tensor) -> Result<Tensor> {
        let (x, mask) = self.with_mask(mask)?;
        let set = mask.to_vec_async::<bool>().await?;
        x.picked(&set)
    }

    fn with_mask(&self, mask: &Tensor) -> Result<(Tensor, Tensor)> {
        if mask.dtype() != DType::Bool {
            return Err(Error::dtype("masked_select", format!("a mask has to be bool, not {}", mask.dtype())));
        }
        let shape = broadcast("masked_select", self.shape(), mask.shape())?;
        Ok((self.expand(&shape)?, mask.expand(&shape)?))
    }

    fn picked(&self, set: &[bool]) -> Result<Tensor> {
        let at: Vec<i64> = set.iter().enumerate().filter(|(_, b)| **b).map(|(i, _)| i as i64).collect();
        let count = at.len();
        self.take(&Tensor::from_vec(at, [count], self.device())?)
    }

    fn positions_of(&self, set: &[bool]) -> Result<Tensor> {
        let mut at = Vec::new();
        for i in set.iter().enumerate().filter(|(_, b)| **b).map(|(i, _)| i) {
            let mut rest = i;
            let first = at.len();
            for &size in self.shape().iter().rev() {
                at.push((rest % size) as i64);
                rest /= size;
            }
            at[first..].reverse();
        }
        let count = set.iter().filter(|b| **b).count();
        Tensor::from_vec(at, [count, self.rank()], self.device())
    }
}
