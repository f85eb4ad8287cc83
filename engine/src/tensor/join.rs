//! Tensors from several others, and larger ones from one: cat, stack, pad, repeat, and triangles.

use std::borrow::Borrow;
use std::sync::Arc;

use super::Tensor;
use super::dims::{Dims, Sizes, resolve};
use super::part::diagonal_of;
use crate::autograd;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops::{self, Spec};
use crate::shape::{Layout, Shape, checked_numel, dim_index};

/// Joining.
impl Tensor {
    /// The tensors one after the other along `dim`; types promote.
    ///
    /// # Errors
    /// No tensor at all, or shapes that differ in another dimension than `dim`.
    #[track_caller]
    pub fn cat<T: Borrow<Tensor>>(tensors: &[T], dim: isize) -> Result<Tensor> {
        let first = tensors.first().ok_or_else(|| Error::argument("cat", "needs at least one tensor"))?.borrow();
        let device = first.device().clone();
        let mut dtype = first.dtype();
        for t in tensors {
            dtype = dtype.promote_for(t.borrow().dtype(), "cat")?;
        }
        // Tensors of shape [0] fit everywhere, as in PyTorch.
        let joins = |t: &Tensor| t.shape() != [0];
        let parts = tensors.iter().map(Borrow::borrow).filter(|t| joins(t)).map(|t| t.to_dtype(dtype)).collect::<Result<Vec<Tensor>>>()?;
        let Some(model) = parts.first() else { return first.to_dtype(dtype) };
        let d = model.dim("cat", dim)?;
        let mut shape = Shape::from(model.shape());
        shape[d] = 0;
        for (i, t) in parts.iter().enumerate() {
            let (a, b) = (model.shape(), t.shape());
            if a.len() != b.len() || (0..a.len()).any(|k| k != d && a[k] != b[k]) {
                return Err(Error::argument(
                    "cat",
                    format!("tensor {i} of {b:?} does not join {a:?} along dimension {dim}: other sizes differ"),
                ));
            }
            shape[d] = shape[d].checked_add(b[d]).ok_or_else(|| Error::argument("cat", "the result is too large"))?;
        }
        if parts.len() == 1 {
            return parts[0].copied();
        }
        let total = checked_numel("cat", &shape)?;
        let whole = Layout::contiguous(&shape);
        let starts: Vec<usize> = parts.iter().scan(0, |at, t| Some(std::mem::replace(at, *at + t.shape()[d]))).collect();
        let out = autograd::no_grad(|| {
            if total == 0 {
                return Tensor::zeros(&shape, (dtype, &device));
            }
            let empty = Tensor::compute(Arc::new(ops::Uninit { spec: Spec::new(dtype, &shape) }), &[], &device)?;
            parts.iter().zip(&starts).try_fold(empty, |out, (t, &start)| out.assign_region(&whole.slice(d, start, t.shape()[d], 1), t))
        })?;
        let pieces: Vec<(usize, usize)> = starts.iter().zip(&parts).map(|(&start, t)| (start, t.shape()[d])).collect();
        let inputs: Vec<&Tensor> = parts.iter().collect();
        autograd::record_with(&out, "cat", &inputs, move |dy, needs| {
            let piece = |(&(start, len), &needed): (&(usize, usize), &bool)| needed.then(|| dy.narrow(d as isize, start, len)).transpose();
            pieces.iter().zip(needs).map(piece).collect()
        });
        Ok(out)
    }

    /// Tensors of one shape as the elements of a new dimension `dim`.
    ///
    /// # Errors
    /// No tensor at all, or different shapes.
    #[track_caller]
    pub fn stack<T: Borrow<Tensor>>(tensors: &[T], dim: isize) -> Result<Tensor> {
        let first = tensors.first().ok_or_else(|| Error::argument("stack", "needs at least one tensor"))?.borrow();
        let d = dim_index("stack", dim, first.rank() + 1)? as isize;
        for (i, t) in tensors.iter().enumerate() {
            if t.borrow().shape() != first.shape() {
                return Err(Error::argument("stack", format!("tensor {i} is {:?}, the first one {:?}", t.borrow().shape(), first.shape())));
            }
        }
        let rows = tensors.iter().map(|t| t.borrow().unsqueeze(d)).collect::<Result<Vec<Tensor>>>()?;
        Tensor::cat(&rows, d)
    }

    /// A zero tensor with `self` as the diagonal (`offset` above the main one) of dimensions `a` and `b` of the result.
    ///
    /// # Errors
    /// Dimensions out of range or equal, or a scalar.
    #[track_caller]
    pub fn diag_embed(&self, offset: isize, a: isize, b: isize) -> Result<Tensor> {
        let last = self.shape()[self.dim("diag_embed", -1)?];
        let (d1, d2) = (dim_index("diag_embed", a, self.rank() + 1)?, dim_index("diag_embed", b, self.rank() + 1)?);
        let side =
            last.checked_add(offset.unsigned_abs()).ok_or_else(|| Error::argument("diag_embed", format!("an offset of {offset}")))?;
        let mut others = self.shape()[..self.rank() - 1].iter();
        let shape: Shape = (0..=self.rank()).filter_map(|d| if d == d1 || d == d2 { Some(side) } else { others.next().copied() }).collect();
        let zeros = Tensor::zeros(&shape, (self.dtype(), self.device()))?;
        zeros.assign_region(&diagonal_of("diag_embed", &shape, offset, a, b)?, self)
    }
}

/// Growing.
impl Tensor {
    /// Elements added before and after each dimension: `[left, right]` of the last dimension first, then of the one
    /// before it, as in PyTorch; negative amounts crop. Modes: `constant` (filled with `value`), `reflect`, `replicate`,
    /// `circular`.
    ///
    /// # Errors
    /// An odd number of amounts, more than there are dimensions, or more padding than a mode can give.
    #[track_caller]
    pub fn pad(&self, amounts: impl Sizes, mode: &str, value: impl Into<Scalar>) -> Result<Tensor> {
        let written = amounts.written();
        let unfit = |why: String| Error::argument("pad", format!("amounts {:?} for {:?}: {why}", &written[..], self.shape()));
        if written.len() % 2 != 0 || written.len() > 2 * self.rank() {
            return Err(unfit("expected a pair for each of some last dimensions".into()));
        }
        let pairs = written.chunks_exact(2).enumerate().map(|(i, p)| (self.rank() - 1 - i, p[0], p[1]));
        if mode == "constant" {
            return self.pad_constant(pairs, value.into(), unfit);
        }
        let mut out = self.snapshot()?;
        for (d, left, right) in pairs.filter(|&(_, l, r)| l != 0 || r != 0) {
            let size = self.shape()[d];
            let most = match mode {
                "reflect" => size.saturating_sub(1),
                "replicate" if size > 0 => usize::MAX,
                "replicate" => 0,
                "circular" => size,
                _ => return Err(Error::argument("pad", format!("mode '{mode}' is none of constant, reflect, replicate, circular"))),
            };
            let (more, fewer) = ([left.max(0) as usize, right.max(0) as usize], [left.min(0).unsigned_abs(), right.min(0).unsigned_abs()]);
            if mode == "circular" && fewer != [0, 0] {
                // What is cropped is not what comes round.
                let rest = size.checked_sub(fewer[0]).and_then(|n| n.checked_sub(fewer[1]));
                let rest = rest.filter(|&n| more.iter().all(|&m| m <= n));
                let rest = rest.ok_or_else(|| unfit(format!("dimension {d} would be too small to come round")))?;
                out = out.narrow(d as isize, fewer[0], rest)?.pad_from_itself(d as isize, rest, more[0], more[1], mode)?;
                continue;
            }
            if more.iter().any(|&n| n > most) {
                return Err(unfit(format!("{mode} takes at most {most} for dimension {d}")));
            }
            out = out.pad_from_itself(d as isize, size, more[0], more[1], mode)?;
            let kept = out.shape()[d].checked_sub(fewer[0]).and_then(|n| n.checked_sub(fewer[1]));
            let kept = kept.ok_or_else(|| unfit(format!("dimension {d} would get a negative size")))?;
            out = out.narrow(d as isize, fewer[0], kept)?;
        }
        Ok(out)
    }

    fn pad_constant(
        &self,
        pairs: impl Iterator<Item = (usize, isize, isize)>,
        value: Scalar,
        unfit: impl Fn(String) -> Error,
    ) -> Result<Tensor> {
        let mut shape = Shape::from(self.shape());
        let mut kept = self.clone();
        let mut starts = Shape::from_elem(0, self.rank());
        for (d, left, right) in pairs {
            let size = self.shape()[d];
            let total = (size as isize).checked_add(left).and_then(|n| n.checked_add(right));
            shape[d] =
                total.and_then(|n| usize::try_from(n).ok()).ok_or_else(|| unfit(format!("dimension {d} would get a negative size")))?;
            let (from, to) = (left.min(0).unsigned_abs(), size as isize + right.min(0));
            kept = kept.slice(d as isize, from as isize, to.max(from as isize), 1)?;
            starts[d] = left.max(0) as usize;
        }
        checked_numel("pad", &shape)?;
        let filled = Tensor::full(&shape, value, (self.dtype(), self.device()))?;
        let mut region = Layout::contiguous(&shape);
        for d in 0..self.rank() {
            // Cropping more than there is leaves nothing to put in.
            let len = kept.shape()[d].min(shape[d].saturating_sub(starts[d]));
            kept = kept.narrow(d as isize, 0, len)?;
            region = region.slice(d, starts[d], len, 1);
        }
        filled.assign_region(&region, &kept)
    }

    fn pad_from_itself(&self, d: isize, size: usize, left: usize, right: usize, mode: &str) -> Result<Tensor> {
        let edge = |at: usize, n: usize| {
            let mut shape = Shape::from(self.shape());
            shape[d as usize] = n;
            self.narrow(d, at, 1)?.expand(&shape)
        };
        let (before, after) = match mode {
            "reflect" => (self.narrow(d, 1, left)?.flip(d)?, self.narrow(d, size - 1 - right, right)?.flip(d)?),
            "circular" => (self.narrow(d, size - left, left)?, self.narrow(d, 0, right)?),
            _ => (edge(0, left)?, edge(size.saturating_sub(1), right)?),
        };
        Tensor::cat(&[&before, self, &after], d)
    }

    /// The elements moved on by `shifts` along `dims`, those at the end coming back at the start. With no dimension
    /// named, over the flattened tensor.
    ///
    /// # Errors
    /// Dimensions out of range, or another number of shifts.
    #[track_caller]
    pub fn roll(&self, shifts: impl Dims, dims: impl Dims) -> Result<Tensor> {
        let shifts = shifts.written().unwrap_or_default();
        if shifts.is_empty() {
            return Err(Error::argument("roll", "needs a shift"));
        }
        if self.rank() == 0 && dims.written().is_some_and(|d| !d.is_empty()) {
            return Err(Error::argument("roll", "dimensions of a tensor that has none"));
        }
        if dims.written().is_some_and(|d| d.is_empty()) && shifts.len() == 1 {
            return self.flatten(0, -1)?.roll(shifts, 0isize)?.reshape(self.shape());
        }
        let dims = resolve("roll", &dims, self.rank())?;
        if dims.len() != shifts.len() {
            return Err(Error::argument("roll", format!("{} shifts for {} dimensions", shifts.len(), dims.len())));
        }
        let mut out = self.snapshot()?;
        for (&d, &shift) in dims.iter().zip(&shifts) {
            let size = self.shape().get(d).copied().unwrap_or(0);
            if size > 0 && shift.rem_euclid(size as isize) != 0 {
                let by = shift.rem_euclid(size as isize) as usize;
                let d = d as isize;
                out = Tensor::cat(&[out.narrow(d, size - by, by)?, out.narrow(d, 0, size - by)?], d)?;
            }
        }
        Ok(out)
    }

    /// The tensor repeated along each dimension; more numbers than dimensions add new ones in front.
    ///
    /// # Errors
    /// Fewer numbers than dimensions, or negative ones.
    #[track_caller]
    pub fn repeat(&self, times: impl Sizes) -> Result<Tensor> {
        let times = times.written();
        let unfit = || Error::argument("repeat", format!("{:?} cannot repeat {:?}", &times[..], self.shape()));
        let lead = times.len().checked_sub(self.rank()).ok_or_else(unfit)?;
        let (mut apart, mut wide, mut joined) = (Shape::new(), Shape::new(), Shape::new());
        for (i, &n) in times.iter().enumerate() {
            let (n, size) = (usize::try_from(n).map_err(|_| unfit())?, if i < lead { 1 } else { self.shape()[i - lead] });
            apart.extend_from_slice(&[1, size]);
            wide.extend_from_slice(&[n, size]);
            joined.push(n.checked_mul(size).ok_or_else(unfit)?);
        }
        checked_numel("repeat", &joined)?;
        self.reshape(&apart)?.expand(&wide)?.copied()?.reshape(&joined)
    }

    /// Each element of dimension `dim` `times` times in a row.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn repeat_interleave(&self, times: usize, dim: isize) -> Result<Tensor> {
        let d = self.dim("repeat_interleave", dim)?;
        let mut wide = Shape::from(self.shape());
        wide.insert(d + 1, times);
        checked_numel("repeat_interleave", &wide)?;
        self.unsqueeze(d as isize + 1)?.expand(&wide)?.copied()?.flatten(d as isize, d as isize + 1)
    }

    /// The lower triangle of the last two dimensions, up to diagonal number `diagonal`; zeros elsewhere.
    ///
    /// # Errors
    /// Fewer than two dimensions.
    #[track_caller]
    pub fn tril(&self, diagonal: isize) -> Result<Tensor> {
        let right = self.right_of_diagonal("tril", diagonal)?;
        self.masked_fill(&right.gt(0)?, 0)
    }

    /// The upper triangle of the last two dimensions, from diagonal number `diagonal` on; zeros elsewhere.
    ///
    /// # Errors
    /// Fewer than two dimensions.
    #[track_caller]
    pub fn triu(&self, diagonal: isize) -> Result<Tensor> {
        let right = self.right_of_diagonal("triu", diagonal)?;
        self.masked_fill(&right.lt(0)?, 0)
    }

    /// How far each element of a matrix of this shape lies right of the diagonal.
    fn right_of_diagonal(&self, op: &'static str, diagonal: isize) -> Result<Tensor> {
        let &[.., rows, cols] = self.shape() else {
            return Err(Error::argument(op, format!("{:?} is not a matrix", self.shape())));
        };
        let steps = |n: usize| Tensor::arange(0, n, 1, (DType::I64, self.device()));
        // Further out than any element is all the same.
        let diagonal = diagonal.clamp(-(rows as isize) - 1, cols as isize + 1) as i64;
        steps(cols)?.unsqueeze(0)?.sub(&steps(rows)?.unsqueeze(1)?)?.sub(diagonal)
    }
}

#[cfg(test)]
mod tests;
