//! Views of parts: slices, windows, diagonals, pieces.

use super::Tensor;
use super::dims::{Dims, resolve};
use crate::error::{Error, Result};
use crate::shape::{Layout, Shape, Strides, checked_numel, contiguous_strides, dim_index};

impl Tensor {
    /// Every `step`-th element from `start` to before `end` along `dim`. Negative positions count from the end;
    /// positions past an end are clamped to it.
    ///
    /// # Errors
    /// `dim` out of range, or a step that is not positive.
    #[track_caller]
    pub fn slice(&self, dim: isize, start: isize, end: isize, step: isize) -> Result<Tensor> {
        let d = self.dim("slice", dim)?;
        if step < 1 {
            return Err(Error::argument("slice", format!("a step of {step}: it has to be positive; flip reverses a dimension")));
        }
        let size = self.shape()[d] as isize;
        let clamp = |at: isize| (if at < 0 { at.saturating_add(size) } else { at }).clamp(0, size);
        let (start, end) = (clamp(start), clamp(end));
        let len = if end > start { (end - start - 1) / step + 1 } else { 0 };
        // One element needs no step, and a huge one must not overflow.
        let step = if len > 1 { step } else { 1 };
        self.view_through("slice", self.own_rel().slice(d, start as usize, len as usize, step))
    }

    /// `len` elements from `start` on along `dim`.
    ///
    /// # Errors
    /// `dim` or the range out of range.
    #[track_caller]
    pub fn narrow(&self, dim: isize, start: usize, len: usize) -> Result<Tensor> {
        let d = self.dim("narrow", dim)?;
        if start.checked_add(len).is_none_or(|end| end > self.shape()[d]) {
            let size = self.shape()[d];
            return Err(Error::index("narrow", format!("{len} elements from {start} on reach past dimension {dim} of size {size}")));
        }
        self.view_through("narrow", self.own_rel().slice(d, start, len, 1))
    }

    /// Element `index` of dimension `dim`, which disappears. A negative index counts from the end.
    ///
    /// # Errors
    /// `dim` or `index` out of range.
    #[track_caller]
    pub fn select(&self, dim: isize, index: isize) -> Result<Tensor> {
        let d = self.dim("select", dim)?;
        let size = self.shape()[d] as isize;
        if !(-size..size).contains(&index) {
            return Err(Error::index("select", format!("index {index} is out of range for dimension {dim} of size {size}")));
        }
        let mut rel = self.own_rel().slice(d, index.rem_euclid(size) as usize, 1, 1);
        rel.shape.remove(d);
        rel.strides.remove(d);
        self.view_through("select", rel)
    }

    /// The elements in reverse order along `dims`.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn flip(&self, dims: impl Dims) -> Result<Tensor> {
        let mut rel = self.own_rel();
        for d in resolve("flip", &dims, self.rank())? {
            if let Some(&size) = self.shape().get(d) {
                rel = rel.slice(d, size.saturating_sub(1), size, -1);
            }
        }
        self.view_through("flip", rel)
    }

    /// Windows of `size` elements every `step` along `dim`: the dimension counts windows, a new last one their elements.
    ///
    /// # Errors
    /// `dim` out of range, a window larger than the dimension, or a step of 0.
    #[track_caller]
    pub fn unfold(&self, dim: isize, size: usize, step: usize) -> Result<Tensor> {
        if self.rank() == 0 {
            // One window: the element, or nothing.
            return self.reshape([1usize])?.unfold(dim, size, step)?.select(0, 0);
        }
        let d = self.dim("unfold", dim)?;
        let mut rel = self.own_rel();
        let windows = match self.shape()[d].checked_sub(size) {
            Some(rest) if step > 0 => rest / step + 1,
            Some(_) => return Err(Error::argument("unfold", "a step of 0: it has to be positive")),
            None => {
                return Err(Error::argument("unfold", format!("windows of {size} do not fit dimension {dim} of size {}", rel.shape[d])));
            }
        };
        let stride = rel.strides[d];
        rel.shape[d] = windows;
        rel.strides[d] = if windows > 1 { stride * step as isize } else { 0 };
        rel.shape.push(size);
        rel.strides.push(stride);
        self.view_through("unfold", rel)
    }

    /// Any regular choice of elements: element `i` is number `offset + sum(i[d] * stride[d])` of this tensor's
    /// elements in row-major order.
    ///
    /// # Errors
    /// Sizes and strides of different lengths, or elements outside the tensor.
    #[track_caller]
    pub fn as_strided(&self, size: &[usize], stride: &[isize], offset: usize) -> Result<Tensor> {
        if size.len() != stride.len() {
            return Err(Error::argument("as_strided", format!("{} sizes and {} strides", size.len(), stride.len())));
        }
        let reach =
            |sign: i128| size.iter().zip(stride).map(|(&n, &s)| (n as i128 - 1) * (s as i128 * sign).max(0)).fold(0, i128::saturating_add);
        let (low, high) = (offset as i128 - reach(-1), offset as i128 + reach(1));
        let total = self.numel();
        if checked_numel("as_strided", size)? > 0 && (low < 0 || high >= total as i128) {
            return Err(Error::index("as_strided", format!("elements {low} to {high} of a tensor that has {total}")));
        }
        self.view_through("as_strided", Layout { shape: size.into(), strides: stride.into(), offset })
    }

    /// The diagonal of dimensions `a` and `b`, `offset` above the main one, as a new last dimension.
    ///
    /// # Errors
    /// Dimensions out of range or equal.
    #[track_caller]
    pub fn diagonal(&self, offset: isize, a: isize, b: isize) -> Result<Tensor> {
        let rel = diagonal_of("diagonal", self.shape(), offset, a, b)?;
        self.view_through("diagonal", rel)
    }

    /// Pieces of `size` along `dim`; the last one may be smaller.
    ///
    /// # Errors
    /// `dim` out of range, or a size of 0 for a dimension that has elements.
    #[track_caller]
    pub fn split(&self, size: usize, dim: isize) -> Result<Vec<Tensor>> {
        let total = self.shape()[self.dim("split", dim)?];
        if size == 0 && total > 0 {
            return Err(Error::argument("split", "pieces of size 0"));
        }
        let count = if total == 0 { 1 } else { total.div_ceil(size) };
        (0..count).map(|i| self.narrow(dim, i * size, size.min(total - i * size))).collect()
    }

    /// Pieces of the given sizes along `dim`.
    ///
    /// # Errors
    /// `dim` out of range, or sizes that do not add up to its size.
    #[track_caller]
    pub fn split_sizes(&self, sizes: &[usize], dim: isize) -> Result<Vec<Tensor>> {
        let total = self.shape()[self.dim("split", dim)?];
        if sizes.iter().try_fold(0usize, |n, &s| n.checked_add(s)) != Some(total) {
            return Err(Error::argument("split", format!("sizes {sizes:?} do not add up to dimension {dim} of size {total}")));
        }
        let starts = sizes.iter().scan(0, |at, &s| Some(std::mem::replace(at, *at + s)));
        starts.zip(sizes).map(|(start, &size)| self.narrow(dim, start, size)).collect()
    }

    /// At most `count` pieces of equal size along `dim`; the last one may be smaller.
    ///
    /// # Errors
    /// `dim` out of range, or a count of 0.
    #[track_caller]
    pub fn chunk(&self, count: usize, dim: isize) -> Result<Vec<Tensor>> {
        let total = self.shape()[self.dim("chunk", dim)?];
        if count == 0 {
            return Err(Error::argument("chunk", "0 pieces"));
        }
        if total == 0 {
            return (0..count).map(|_| self.narrow(dim, 0, 0)).collect();
        }
        self.split(total.div_ceil(count), dim)
    }

    /// The elements of dimension `dim`, which disappears.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn unbind(&self, dim: isize) -> Result<Vec<Tensor>> {
        let size = self.shape()[self.dim("unbind", dim)?];
        (0..size).map(|i| self.select(dim, i as isize)).collect()
    }
}

/// Where the diagonal of dimensions `a` and `b` lies in a contiguous tensor of `shape`.
pub(super) fn diagonal_of(op: &'static str, shape: &[usize], offset: isize, a: isize, b: isize) -> Result<Layout> {
    let rank = shape.len();
    if rank < 2 {
        return Err(Error::argument(op, format!("{shape:?} has no two dimensions")));
    }
    let (a, b) = (dim_index(op, a, rank)?, dim_index(op, b, rank)?);
    if a == b {
        return Err(Error::argument(op, "the two dimensions of a diagonal have to differ"));
    }
    let strides = contiguous_strides(shape);
    let (down, right) = (offset.min(0).unsigned_abs(), offset.max(0) as usize);
    let len = shape[a].saturating_sub(down).min(shape[b].saturating_sub(right));
    let mut out = Layout { shape: Shape::new(), strides: Strides::new(), offset: 0 };
    if len > 0 {
        out.offset = down * strides[a] as usize + right * strides[b] as usize;
    }
    for d in (0..rank).filter(|&d| d != a && d != b) {
        out.shape.push(shape[d]);
        out.strides.push(strides[d]);
    }
    out.shape.push(len);
    out.strides.push(strides[a] + strides[b]);
    Ok(out)
}
