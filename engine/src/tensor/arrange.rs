//! Arranging: more dimensions, stacks along named ones, uneven pieces, rotations, grids, triangles' indices.

use std::borrow::Borrow;

use super::dims::Sizes;
use super::{Tensor, TensorOptions, reserve};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Layout, Shape, broadcast, checked_numel, contiguous_strides};

/// Dimensions.
impl Tensor {
    /// With at least one dimension. Like `torch.atleast_1d`.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn atleast_1d(&self) -> Result<Tensor> {
        self.at_least_1d()
    }

    /// With at least two dimensions: a vector becomes a row. Like `torch.atleast_2d`.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn atleast_2d(&self) -> Result<Tensor> {
        match *self.shape() {
            [] => self.reshape([1usize, 1]),
            [n] => self.reshape([1, n]),
            _ => Ok(self.clone()),
        }
    }

    /// With at least three dimensions: a vector becomes `[1, n, 1]`, a matrix `[m, n, 1]`. Like `torch.atleast_3d`.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn atleast_3d(&self) -> Result<Tensor> {
        match *self.shape() {
            [] => self.reshape([1usize, 1, 1]),
            [n] => self.reshape([1, n, 1]),
            [m, n] => self.reshape([m, n, 1]),
            _ => Ok(self.clone()),
        }
    }

    /// The sum over what was broadcast from `shape`: the shape itself comes out. Like `torch.Tensor.sum_to_size`.
    ///
    /// # Errors
    /// A shape that does not broadcast to this one.
    #[track_caller]
    pub fn sum_to_size(&self, shape: impl Sizes) -> Result<Tensor> {
        let written = shape.written();
        let unfit = || Error::argument("sum_to_size", format!("{:?} does not broadcast to {:?}", &written[..], self.shape()));
        let sizes: Shape = written.iter().map(|&s| usize::try_from(s)).collect::<std::result::Result<_, _>>().map_err(|_| unfit())?;
        let lead = self.rank().checked_sub(sizes.len()).ok_or_else(unfit)?;
        let own = &self.shape()[lead..];
        if sizes.iter().zip(own).any(|(&s, &n)| s != 1 && s != n) {
            return Err(unfit());
        }
        let summed: Shape = (0..self.rank()).filter(|&d| d < lead || sizes[d - lead] == 1 && own[d - lead] != 1).collect();
        if summed.is_empty() {
            return Ok(self.clone());
        }
        // In this tensor's type, as in PyTorch.
        self.sum_keepdim(&summed)?.to_dtype(self.dtype())?.reshape(&sizes)
    }

    /// Tensors expanded to the shape they broadcast to. Like `torch.broadcast_tensors`.
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    #[track_caller]
    pub fn broadcast_tensors<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Vec<Tensor>> {
        let mut shape = Shape::new();
        for t in tensors {
            shape = broadcast("broadcast_tensors", &shape, t.borrow().shape())?;
        }
        tensors.iter().map(|t| t.borrow().expand(&shape)).collect()
    }
}

/// Stacks.
impl Tensor {
    /// Joined along dimension 1, vectors along 0. Like `torch.hstack`.
    ///
    /// # Errors
    /// No tensor at all, or shapes that differ in another dimension.
    #[track_caller]
    pub fn hstack<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
        let parts = each("hstack", tensors, Tensor::atleast_1d)?;
        Tensor::cat(&parts, (parts[0].rank() > 1) as isize)
    }

    /// Joined along dimension 0, vectors being rows. Like `torch.vstack`.
    ///
    /// # Errors
    /// No tensor at all, or shapes that differ in another dimension.
    #[track_caller]
    pub fn vstack<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
        Tensor::cat(&each("vstack", tensors, Tensor::atleast_2d)?, 0)
    }

    /// Joined along dimension 2, after [`atleast_3d`](Self::atleast_3d). Like `torch.dstack`.
    ///
    /// # Errors
    /// No tensor at all, or shapes that differ in another dimension.
    #[track_caller]
    pub fn dstack<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
        Tensor::cat(&each("dstack", tensors, Tensor::atleast_3d)?, 2)
    }

    /// Joined along dimension 1, vectors being columns. Like `torch.column_stack`.
    ///
    /// # Errors
    /// No tensor at all, or shapes that differ in another dimension.
    #[track_caller]
    pub fn column_stack<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
        let column = |t: &Tensor| if t.rank() < 2 { t.reshape([t.numel(), 1]) } else { Ok(t.clone()) };
        Tensor::cat(&each("column_stack", tensors, column)?, 1)
    }

    /// Matrices along the diagonal of a larger one, zeros elsewhere; vectors are rows. Types promote. Like `torch.block_diag`.
    ///
    /// # Errors
    /// A tensor of more than two dimensions.
    #[track_caller]
    pub fn block_diag<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
        let blocks = each("block_diag", tensors, Tensor::atleast_2d)?;
        let mut dtype = blocks[0].dtype();
        let (mut rows, mut cols) = (0usize, 0usize);
        for b in &blocks {
            if b.rank() > 2 {
                return Err(Error::argument("block_diag", format!("{:?} has more than two dimensions", b.shape())));
            }
            dtype = dtype.promote_for(b.dtype(), "block_diag")?;
            rows = rows.saturating_add(b.shape()[0]);
            cols = cols.saturating_add(b.shape()[1]);
        }
        checked_numel("block_diag", &[rows, cols])?;
        let (mut out, mut r, mut c) = (Tensor::zeros([rows, cols], (dtype, blocks[0].device()))?, 0, 0);
        for b in &blocks {
            let &[h, w] = b.shape() else { continue };
            out = out.assign_region(&Layout::contiguous(&[rows, cols]).slice(0, r, h, 1).slice(1, c, w, 1), b)?;
            (r, c) = (r + h, c + w);
        }
        Ok(out)
    }
}

fn each<T: Borrow<Tensor>>(op: &'static str, tensors: &[T], f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    if tensors.is_empty() {
        return Err(Error::argument(op, "needs at least one tensor"));
    }
    tensors.iter().map(|t| f(t.borrow())).collect()
}

/// Pieces.
impl Tensor {
    /// `sections` pieces along `dim`, the first ones larger by one where it does not divide. Like `torch.tensor_split`.
    ///
    /// # Errors
    /// `dim` out of range, or no sections.
    #[track_caller]
    pub fn tensor_split(&self, sections: usize, dim: isize) -> Result<Vec<Tensor>> {
        let size = self.shape()[self.dim("tensor_split", dim)?];
        if sections == 0 {
            return Err(Error::argument("tensor_split", "needs at least one section"));
        }
        let (least, more) = (size / sections, size % sections);
        let at = |i: usize| i * least + i.min(more);
        (0..sections).map(|i| self.narrow(dim, at(i), at(i + 1) - at(i))).collect()
    }

    /// The pieces between `indices` along `dim`, as Python's slices would give them. Like `torch.tensor_split`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn tensor_split_at(&self, indices: &[isize], dim: isize) -> Result<Vec<Tensor>> {
        let starts = std::iter::once(0).chain(indices.iter().copied());
        let ends = indices.iter().copied().chain(std::iter::once(isize::MAX));
        starts.zip(ends).map(|(start, end)| self.slice(dim, start, end, 1)).collect()
    }

    /// Rotated by `k` quarter turns in the plane of two dimensions, from the first towards the second. Like `torch.rot90`.
    ///
    /// # Errors
    /// Dimensions out of range or equal.
    #[track_caller]
    pub fn rot90(&self, k: isize, a: isize, b: isize) -> Result<Tensor> {
        let (da, db) = (self.dim("rot90", a)?, self.dim("rot90", b)?);
        if da == db {
            return Err(Error::argument("rot90", format!("the dimensions have to differ, both are {da}")));
        }
        let (a, b) = (da as isize, db as isize);
        match k.rem_euclid(4) {
            1 => self.flip(b)?.transpose(a, b),
            2 => self.flip([a, b]),
            3 => self.flip(a)?.transpose(a, b),
            _ => self.clone_data(),
        }
    }

    /// A new dimension's worth of a diagonal, or the diagonal: of a vector the matrix that has it on diagonal number `offset`, of
    /// a matrix a copy of that diagonal. Like `torch.diag`.
    ///
    /// # Errors
    /// No vector and no matrix.
    #[track_caller]
    pub fn diag(&self, offset: isize) -> Result<Tensor> {
        match self.rank() {
            1 => self.diag_embed(offset, 0, 1),
            2 => self.diagonal(offset, 0, 1)?.clone_data(),
            _ => Err(Error::argument("diag", format!("{:?} is neither a vector nor a matrix", self.shape()))),
        }
    }

    /// All elements on diagonal number `offset` of a matrix. Like `torch.diagflat`.
    ///
    /// # Errors
    /// A matrix that would be too large.
    #[track_caller]
    pub fn diagflat(&self, offset: isize) -> Result<Tensor> {
        self.flatten(0, -1)?.diag(offset)
    }

    /// The sum of a matrix's diagonal, in the types of [`sum`](Self::sum). Like `torch.trace`.
    ///
    /// # Errors
    /// No matrix.
    #[track_caller]
    pub fn trace(&self) -> Result<Tensor> {
        if self.rank() != 2 {
            return Err(Error::argument("trace", format!("{:?} is not a matrix", self.shape())));
        }
        self.diagonal(0, 0, 1)?.sum_all()
    }

    /// Slice `i` of dimension `dim` as often as `repeats` says, which has one non-negative integer a slice or one for all. How many
    /// that makes is read back. Like `torch.repeat_interleave`.
    ///
    /// # Errors
    /// `dim` out of range; another number of repeats; negative ones; repeats that are no `i64` or `i32`.
    #[track_caller]
    pub fn repeat_interleave_each(&self, repeats: &Tensor, dim: isize) -> Result<Tensor> {
        const OP: &str = "repeat_interleave";
        let size = self.shape()[self.dim(OP, dim)?];
        if !matches!(repeats.dtype(), DType::I64 | DType::I32) || repeats.rank() > 1 {
            let message = format!("repeats are a vector of i64 or i32, not {:?} {}", repeats.shape(), repeats.dtype());
            return Err(Error::argument(OP, message));
        }
        if repeats.numel() != size && repeats.numel() != 1 {
            return Err(Error::argument(OP, format!("{} repeats for {size} slices", repeats.numel())));
        }
        let repeats = repeats.flatten(0, -1)?.expand([size])?.to_dtype(DType::I64)?.to_vec::<i64>()?;
        if let Some(wrong) = repeats.iter().find(|&&n| n < 0) {
            return Err(Error::argument(OP, format!("repeats cannot be negative, one is {wrong}")));
        }
        let total = repeats.iter().fold(0i64, |a, &n| a.saturating_add(n));
        let count = checked_numel(OP, &[usize::try_from(total).unwrap_or(usize::MAX)])?;
        let mut index = reserve::<i64>(OP, count)?;
        index.extend(repeats.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i as i64, n as usize)));
        self.index_select(dim, &Tensor::from_vec(index, [count], self.device())?)
    }
}

/// Which of the first two dimensions of a grid counts which input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Indexing {
    /// Matrix order: dimension `i` belongs to input `i`.
    #[default]
    Ij,
    /// Image order: the first two are exchanged.
    Xy,
}

/// Grids.
impl Tensor {
    /// Vectors (or scalars) spread over the grid of all their combinations, one tensor each. Like `torch.meshgrid`.
    ///
    /// # Errors
    /// No tensor at all, more than one dimension, types that differ.
    #[track_caller]
    pub fn meshgrid<T: Borrow<Tensor>>(tensors: &[T], indexing: Indexing) -> Result<Vec<Tensor>> {
        const OP: &str = "meshgrid";
        let vectors = each(OP, tensors, |t| match t.rank() {
            0 | 1 => t.at_least_1d(),
            _ => Err(Error::argument(OP, format!("{:?} has more than one dimension", t.shape()))),
        })?;
        if let Some(other) = vectors.iter().find(|t| t.dtype() != vectors[0].dtype()) {
            return Err(Error::dtype(OP, format!("types differ: {} and {}", vectors[0].dtype(), other.dtype())));
        }
        let shape: Shape = vectors.iter().map(Tensor::numel).collect();
        checked_numel(OP, &shape)?;
        let spread = |(d, t): (usize, &Tensor)| {
            let mut line = Shape::from_elem(1, shape.len());
            line[d] = shape[d];
            let grid = t.reshape(&line)?.expand(&shape)?;
            if indexing == Indexing::Xy && shape.len() > 1 { grid.transpose(0, 1) } else { Ok(grid) }
        };
        vectors.iter().enumerate().map(spread).collect()
    }

    /// Every combination of one element of each vector, a row each; of one vector the vector. Like `torch.cartesian_prod`.
    ///
    /// # Errors
    /// No tensor at all, or one that is no vector.
    #[track_caller]
    pub fn cartesian_prod<T: Borrow<Tensor>>(tensors: &[T]) -> Result<Tensor> {
        if let Some(t) = tensors.iter().find(|t| (*t).borrow().rank() != 1) {
            return Err(Error::argument("cartesian_prod", format!("{:?} is not a vector", t.borrow().shape())));
        }
        if let [one] = tensors {
            return Ok(one.borrow().clone());
        }
        let columns = Tensor::meshgrid(tensors, Indexing::Ij)?.iter().map(|t| t.flatten(0, -1)).collect::<Result<Vec<_>>>()?;
        Tensor::stack(&columns, 1)
    }

    /// Every choice of `r` elements of a vector in their order, a row each; with `replacement` an element can be chosen again. Like
    /// `torch.combinations`.
    ///
    /// # Errors
    /// No vector, or nothing to choose.
    #[track_caller]
    pub fn combinations(&self, r: usize, replacement: bool) -> Result<Tensor> {
        const OP: &str = "combinations";
        let &[n] = self.shape() else {
            return Err(Error::argument(OP, format!("{:?} is not a vector", self.shape())));
        };
        if r == 0 {
            return Tensor::zeros([0], (self.dtype(), self.device()));
        }
        if n == 0 || !replacement && r > n {
            return Tensor::zeros([0, r], (self.dtype(), self.device()));
        }
        // How many rows there are: refused before they are listed.
        let of = if replacement { n as u128 + r as u128 - 1 } else { n as u128 };
        let chosen = (r as u128).min(of - r as u128);
        let total = (0..chosen).try_fold(1u128, |t, k| t.checked_mul(of - k).map(|t| t / (k + 1)));
        let total = total.and_then(|t| usize::try_from(t).ok()).unwrap_or(usize::MAX);
        let mut index = reserve::<i64>(OP, checked_numel(OP, &[total, r])?)?;
        let mut row = reserve::<usize>(OP, r)?;
        row.extend((0..r).map(|i| if replacement { 0 } else { i }));
        let limit = |i: usize| if replacement { n } else { n + i + 1 - r };
        loop {
            index.extend(row.iter().map(|&v| v as i64));
            // The last place that can go on does, and those behind it start over.
            let Some(i) = (0..r).rev().find(|&i| row[i] + 1 < limit(i)) else { break };
            let next = row[i] + 1;
            (i..r).for_each(|j| row[j] = if replacement { next } else { next + j - i });
        }
        let count = index.len();
        self.index_select(0, &Tensor::from_vec(index, [count], self.device())?)?.reshape([count / r, r])
    }

    /// Row and column (`[2, count]`, `i64` unless another integer type is asked for) of each element of the lower triangle of a matrix, up
    /// to diagonal number `offset`, row by row. Like `torch.tril_indices`.
    ///
    /// # Errors
    /// A type that is no integer; a matrix that is too large.
    pub fn tril_indices(rows: usize, cols: usize, offset: isize, options: impl Into<TensorOptions>) -> Result<Tensor> {
        triangle("tril_indices", rows, cols, options.into(), |r| 0..(r as isize).saturating_add(offset).saturating_add(1))
    }

    /// Row and column of each element of the upper triangle, from diagonal number `offset` on. Like `torch.triu_indices`.
    ///
    /// # Errors
    /// As for [`tril_indices`](Self::tril_indices).
    pub fn triu_indices(rows: usize, cols: usize, offset: isize, options: impl Into<TensorOptions>) -> Result<Tensor> {
        triangle("triu_indices", rows, cols, options.into(), |r| (r as isize).saturating_add(offset)..isize::MAX)
    }
}

/// The positions of a matrix whose column lies in its row's range.
fn triangle(
    op: &'static str,
    rows: usize,
    cols: usize,
    options: TensorOptions,
    range: impl Fn(usize) -> std::ops::Range<isize>,
) -> Result<Tensor> {
    let dtype = options.dtype.unwrap_or(DType::I64);
    if !dtype.is_int() {
        return Err(Error::dtype(op, format!("indices are integers, not {dtype}")));
    }
    checked_numel(op, &[2, rows, cols])?;
    let columns = |r: usize| {
        let within = |c: isize| c.clamp(0, cols as isize) as i64;
        let range = range(r);
        within(range.start)..within(range.end)
    };
    let count: usize = (0..rows).map(|r| columns(r).count()).sum();
    let mut index = reserve::<i64>(op, 2 * count)?;
    index.extend((0..rows).flat_map(|r| columns(r).map(move |_| r as i64)));
    index.extend((0..rows).flat_map(columns));
    Tensor::from_vec(index, [2, count], &options.device)?.to_dtype(dtype)
}

/// Positions.
impl Tensor {
    /// Row-major positions in a tensor of `shape` as coordinates (`i64`), one tensor a dimension. Like `torch.unravel_index`.
    ///
    /// # Errors
    /// Positions that are no integers.
    #[track_caller]
    pub fn unravel_index(&self, shape: &[usize]) -> Result<Vec<Tensor>> {
        if !self.dtype().is_int() {
            return Err(Error::dtype("unravel_index", format!("positions are integers, not {}", self.dtype())));
        }
        checked_numel("unravel_index", shape)?;
        let (at, strides) = (self.to_dtype(DType::I64)?, contiguous_strides(shape));
        let coordinate = |d: usize| at.floor_divide(strides[d].max(1) as i64)?.remainder(shape[d].max(1) as i64);
        (0..shape.len()).map(coordinate).collect()
    }

    /// The first `count` positions of elements that are not zero, as [`nonzero`](Self::nonzero) gives them; where there are fewer,
    /// `fill` takes their place. Like `torch.nonzero_static`.
    ///
    /// # Errors
    /// As for [`nonzero`](Self::nonzero).
    #[track_caller]
    pub fn nonzero_static(&self, count: usize, fill: i64) -> Result<Tensor> {
        let at = self.nonzero()?;
        let found = at.shape()[0].min(count);
        let missing =
            isize::try_from(count - found).map_err(|_| Error::argument("nonzero_static", format!("{count} positions are too many")))?;
        at.narrow(0, 0, found)?.pad([0isize, 0, 0, missing], "constant", fill)
    }
}

#[cfg(test)]
mod tests;
