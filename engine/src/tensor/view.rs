//! Views: other shapes over the same elements, nothing copied.
//!
//! A view is a [`Layout`] over the elements of its tensor, composed with the layout that one already has. The
//! layout says everything: how values are read, how a write goes through to the base, and what the gradient is.

use std::sync::Arc;

use smallvec::smallvec;

use super::dims::{Dims, Sizes, resolve};
use super::{Tensor, Value};
use crate::autograd::{self, Edge};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{self, Spec};
use crate::shape::{Layout, Shape, checked_numel, dim_index, numel};

/// How views are made, and written through.
impl Tensor {
    /// The view that `rel`, a layout over this tensor's elements in row-major order, describes.
    #[track_caller]
    pub(crate) fn view_through(&self, name: &'static str, rel: Layout) -> Result<Tensor> {
        let (over, shape) = (rel.clone(), Shape::from(self.shape()));
        self.view_with(name, rel, move |dy| gradient(dy, &over, &shape))
    }

    /// A view with a gradient of its own.
    #[track_caller]
    pub(crate) fn view_with(
        &self,
        name: &'static str,
        rel: Layout,
        backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        let value = self.read_through(&rel)?;
        let spec = Spec { dtype: self.dtype(), shape: rel.shape.clone() };
        // A view of a view is a view of the same base, unless its elements lie too irregularly in there.
        let view = match &self.0.view {
            // What was cut off from its base's gradient stays the base of its own views.
            Some((base, own)) if !self.0.detached => rel.compose(own).map(|over| (base.clone(), over)),
            _ => None,
        };
        let view = view.unwrap_or_else(|| (self.clone(), rel));
        let out = Tensor::from_parts(Ok(value), spec, self.device().clone(), Edge::None, Some(view));
        autograd::record_with(&out, name, &[self], move |dy, _| Ok(smallvec![Some(backward(dy)?)]));
        Ok(out)
    }

    /// The value and gradient edge a view of this tensor has now that this tensor was written to.
    pub(crate) fn view_parts(&self, rel: &Layout) -> (Result<Value>, Edge) {
        match autograd::enable_grad(|| self.view_through("view", rel.clone())) {
            Ok(view) => (view.value(), view.edge()),
            Err(e) => (Err(e), Edge::None),
        }
    }

    /// This tensor with the elements at `region`, a layout over its elements in row-major order, replaced by `value`.
    #[track_caller]
    pub(crate) fn assign_region(&self, region: &Layout, value: &Tensor) -> Result<Tensor> {
        let value = value.to_dtype(self.dtype())?.broadcast_to(&region.shape)?;
        if region.numel() == 0 {
            // Nothing changes, but the result depends on both.
            let (out, shape) = (Tensor::from_value(self.value()?, Edge::None), region.shape.clone());
            autograd::record_with(&out, "assign", &[self, &value], move |dy, _| {
                Ok(smallvec![Some(dy.clone()), Some(Tensor::zeros(&shape, (dy.dtype(), dy.device()))?)])
            });
            return Ok(out);
        }
        Tensor::apply(ops::Assign { region: region.clone() }, &[self, &value])
    }

    /// The value as it is now with its edge, safe from later writes in place: what gradients capture.
    pub(crate) fn snapshot(&self) -> Result<Tensor> {
        Ok(Tensor::from_value(self.value()?, self.edge()))
    }

    fn read_through(&self, rel: &Layout) -> Result<Value> {
        let value = self.value()?;
        if let Some(layout) = rel.compose(&value.layout) {
            return Ok(Value { node: value.node, layout });
        }
        let copy = Tensor::compute(Arc::new(ops::Contiguous), &[self], self.device())?.value()?;
        Ok(Value { node: copy.node, layout: rel.clone() })
    }

    /// Where the elements lie in the base this is a view of, as far as anybody can tell from outside.
    fn own_layout(&self) -> Layout {
        self.0.view.as_ref().map_or_else(|| Layout::contiguous(self.shape()), |(_, own)| own.clone())
    }

    pub(super) fn own_rel(&self) -> Layout {
        Layout::contiguous(self.shape())
    }
}

/// The gradient of any view: each element of `dy` goes back to the place `rel` read it from.
fn gradient(dy: &Tensor, rel: &Layout, shape: &[usize]) -> Result<Tensor> {
    // Broadcast elements: their gradients add up.
    let repeated: Shape = (0..rel.shape.len()).filter(|&d| rel.strides[d] == 0 && rel.shape[d] > 1).collect();
    let mut rel = rel.clone();
    repeated.iter().for_each(|&d| rel.shape[d] = 1);
    let dy = &if repeated.is_empty() { dy.clone() } else { dy.sum_keepdim(&repeated)? };
    let total = numel(shape);
    if rel.overlaps() {
        let zeros = Tensor::zeros([total], (dy.dtype(), dy.device()))?;
        return zeros.index_add(0, &positions(&rel, dy)?, &dy.flatten(0, -1)?)?.reshape(shape);
    }
    if rel.numel() < total {
        return Tensor::zeros(shape, (dy.dtype(), dy.device()))?.assign_region(&rel, dy);
    }
    // All elements, in another order: from the outermost stride to the innermost, forwards, they are as they were.
    let mut order: Shape = (0..rel.shape.len()).collect();
    order.sort_by_key(|&d| std::cmp::Reverse(rel.strides[d].unsigned_abs()));
    let backwards: Shape = (0..rel.shape.len()).filter(|&d| rel.strides[d] < 0).collect();
    let dy = if backwards.is_empty() { dy.clone() } else { dy.flip(&backwards)? };
    dy.permute(&order)?.reshape(shape)
}

/// The row-major position of each element `rel` reads, flattened.
fn positions(rel: &Layout, like: &Tensor) -> Result<Tensor> {
    let mut at = Tensor::full([1], rel.offset, (DType::I64, like.device()))?;
    for (&size, &stride) in rel.shape.iter().zip(&rel.strides) {
        let steps = Tensor::arange(0, size, 1, (DType::I64, like.device()))?.mul(stride as i64)?;
        at = at.unsqueeze(-1)?.add(&steps)?.flatten(0, -1)?;
    }
    Ok(at)
}

/// Shapes.
impl Tensor {
    /// The same elements in another shape; one size may be -1. A view where the elements' order allows it,
    /// otherwise a copy.
    ///
    /// # Errors
    /// Another number of elements.
    #[track_caller]
    pub fn reshape(&self, shape: impl Sizes) -> Result<Tensor> {
        let shape = self.wanted_shape("reshape", &shape)?;
        if self.own_layout().reshape(&shape).is_some() {
            return self.view_through("reshape", Layout::contiguous(&shape));
        }
        self.copied()?.view_through("reshape", Layout::contiguous(&shape))
    }

    /// As [`reshape`](Self::reshape), but never a copy: writing to the result in place writes to this tensor.
    ///
    /// # Errors
    /// Another number of elements, or elements that do not lie in that order.
    #[track_caller]
    pub fn view(&self, shape: impl Sizes) -> Result<Tensor> {
        let shape = self.wanted_shape("view", &shape)?;
        match self.own_layout().reshape(&shape) {
            Some(_) => self.view_through("view", Layout::contiguous(&shape)),
            None => {
                Err(Error::argument("view", format!("{:?} cannot be seen as {:?} without a copy; use reshape", self.shape(), &shape[..])))
            }
        }
    }

    fn wanted_shape(&self, op: &'static str, shape: &impl Sizes) -> Result<Shape> {
        let written = shape.written();
        let unfit = |why: &str| Error::argument(op, format!("{:?} does not fit {:?}: {why}", self.shape(), &written[..]));
        let mut open = None;
        let mut sizes = Shape::new();
        for (i, &s) in written.iter().enumerate() {
            if s == -1 && open.replace(i).is_some() {
                return Err(unfit("only one size can be -1"));
            }
            sizes.push(if s == -1 { 1 } else { usize::try_from(s).map_err(|_| unfit("a size is negative"))? });
        }
        let (known, total) = (checked_numel(op, &sizes)?, self.numel());
        match open {
            Some(_) if known == 0 => return Err(unfit("any size would do for -1")),
            Some(_) if total % known != 0 => return Err(unfit(&format!("{total} elements do not divide by {known}"))),
            Some(i) => sizes[i] = total / known,
            None if known != total => return Err(unfit(&format!("{total} elements, not {known}"))),
            None => {}
        }
        Ok(sizes)
    }

    /// Dimensions `start` to `end` (inclusive) as one.
    ///
    /// # Errors
    /// A dimension out of range, or `start` behind `end`.
    #[track_caller]
    pub fn flatten(&self, start: isize, end: isize) -> Result<Tensor> {
        let (a, b) = (dim_index("flatten", start, self.rank())?, dim_index("flatten", end, self.rank())?);
        if a > b {
            return Err(Error::argument("flatten", format!("dimension {start} comes after {end}")));
        }
        let old = self.shape();
        if old.is_empty() {
            return self.reshape([1usize]);
        }
        let mut shape = Shape::from(&old[..a]);
        shape.push(numel(&old[a..=b]));
        shape.extend_from_slice(&old[b + 1..]);
        self.reshape(&shape)
    }

    /// Dimension `dim` as several; one size may be -1.
    ///
    /// # Errors
    /// `dim` out of range, or sizes whose product is another.
    #[track_caller]
    pub fn unflatten(&self, dim: isize, sizes: impl Sizes) -> Result<Tensor> {
        let d = self.dim("unflatten", dim)?;
        let old = self.shape();
        let mut written = sizes.written();
        if let Some(open) = written.iter().position(|&s| s == -1) {
            let known: isize = written.iter().filter(|&&s| s != -1).fold(1, |p, &s| p.saturating_mul(s));
            if known > 0 && old[d] % known as usize == 0 {
                written[open] = old[d] as isize / known;
            }
        }
        let product = written.iter().try_fold(1isize, |p, &s| p.checked_mul(s));
        if product != Some(old[d] as isize) || written.iter().any(|&s| s < 0) {
            return Err(Error::argument("unflatten", format!("dimension {dim} of {old:?} does not split into {:?}", &sizes.written()[..])));
        }
        let mut shape = Shape::from(&old[..d]);
        shape.extend(written.iter().map(|&s| s as usize));
        shape.extend_from_slice(&old[d + 1..]);
        self.reshape(&shape)
    }

    /// The dimensions in another order.
    ///
    /// # Errors
    /// `dims` does not name every dimension once.
    #[track_caller]
    pub fn permute(&self, dims: impl Dims) -> Result<Tensor> {
        let order = resolve("permute", &dims, self.rank())?;
        if order.len() != self.rank() {
            return Err(Error::argument(
                "permute",
                format!("{} dimensions are named, {:?} has {}", order.len(), self.shape(), self.rank()),
            ));
        }
        self.view_through("permute", self.own_rel().permute(&order))
    }

    /// Dimensions `a` and `b` exchanged.
    ///
    /// # Errors
    /// A dimension out of range.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Result<Tensor> {
        let (a, b) = (dim_index("transpose", a, self.rank())?, dim_index("transpose", b, self.rank())?);
        let mut order: Shape = (0..self.rank()).collect();
        if self.rank() > 0 {
            order.swap(a, b);
        }
        self.view_through("transpose", self.own_rel().permute(&order))
    }

    /// The transpose of a matrix; vectors and scalars stay as they are.
    ///
    /// # Errors
    /// More than two dimensions; [`mt`](Self::mt) transposes stacks of matrices.
    #[track_caller]
    pub fn t(&self) -> Result<Tensor> {
        match self.rank() {
            0 | 1 => Ok(self.clone()),
            2 => self.transpose(0, 1),
            _ => Err(Error::argument("t", format!("{:?} is not a matrix", self.shape()))),
        }
    }

    /// The last two dimensions exchanged: PyTorch's `mT`.
    ///
    /// # Errors
    /// Fewer than two dimensions.
    #[track_caller]
    pub fn mt(&self) -> Result<Tensor> {
        if self.rank() < 2 {
            return Err(Error::argument("mt", format!("{:?} is not a matrix", self.shape())));
        }
        self.transpose(-2, -1)
    }

    /// Dimensions `source` moved to the places `destination`, the others keeping their order.
    ///
    /// # Errors
    /// Dimensions out of range, named twice, or not equally many.
    #[track_caller]
    pub fn movedim(&self, source: impl Dims, destination: impl Dims) -> Result<Tensor> {
        let (from, to) = (resolve("movedim", &source, self.rank())?, resolve("movedim", &destination, self.rank())?);
        if from.len() != to.len() {
            return Err(Error::argument("movedim", format!("{} dimensions cannot move to {} places", from.len(), to.len())));
        }
        let mut others = (0..self.rank()).filter(|d| !from.contains(d));
        let at = |place: usize| to.iter().position(|&t| t == place).map(|i| from[i]);
        let order: Shape = (0..self.rank()).filter_map(|place| at(place).or_else(|| others.next())).collect();
        self.view_through("movedim", self.own_rel().permute(&order))
    }

    /// Broadcast to a larger shape: dimensions of size 1 repeat, new ones appear in front, -1 keeps a size.
    ///
    /// # Errors
    /// A shape this one does not broadcast to.
    #[track_caller]
    pub fn expand(&self, shape: impl Sizes) -> Result<Tensor> {
        let (written, own) = (shape.written(), self.shape());
        let unfit = || Error::argument("expand", format!("{own:?} does not broadcast to {:?}", &written[..]));
        let lead = written.len().checked_sub(own.len()).ok_or_else(unfit)?;
        let mut sizes = Shape::new();
        for (i, &s) in written.iter().enumerate() {
            let size = if s == -1 && i >= lead { own[i - lead] } else { usize::try_from(s).map_err(|_| unfit())? };
            if i >= lead && own[i - lead] != 1 && own[i - lead] != size {
                return Err(unfit());
            }
            sizes.push(size);
        }
        checked_numel("expand", &sizes)?;
        if sizes[..] == *own {
            return Ok(self.clone());
        }
        self.view_through("expand", self.own_rel().expand(&sizes))
    }

    /// [`expand`](Self::expand) under its other name.
    ///
    /// # Errors
    /// A shape this one does not broadcast to.
    #[track_caller]
    pub fn broadcast_to(&self, shape: impl Sizes) -> Result<Tensor> {
        self.expand(shape)
    }

    /// Without those of `dims` that have size 1; `..` or `None` is all that have.
    ///
    /// # Errors
    /// A dimension out of range.
    #[track_caller]
    pub fn squeeze(&self, dims: impl Dims) -> Result<Tensor> {
        let dims = resolve("squeeze", &dims, self.rank())?;
        let shape: Shape = (0..self.rank()).filter(|d| !(dims.contains(d) && self.shape()[*d] == 1)).map(|d| self.shape()[d]).collect();
        self.view_through("squeeze", Layout::contiguous(&shape))
    }

    /// With a new dimension of size 1 at `dim`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn unsqueeze(&self, dim: isize) -> Result<Tensor> {
        let d = dim_index("unsqueeze", dim, self.rank() + 1)?;
        let mut shape = Shape::from(self.shape());
        shape.insert(d, 1);
        self.view_through("unsqueeze", Layout::contiguous(&shape))
    }

    /// The same elements in storage of their own where they are not in row-major order; otherwise this tensor.
    ///
    /// # Errors
    /// An error this tensor carries.
    #[track_caller]
    pub fn contiguous(&self) -> Result<Tensor> {
        if self.value()?.layout.is_contiguous() { Ok(self.clone()) } else { self.copied() }
    }

    #[track_caller]
    pub(crate) fn copied(&self) -> Result<Tensor> {
        Tensor::apply(ops::Contiguous, &[self])
    }

    /// Whether the elements lie one after the other in row-major order.
    pub fn is_contiguous(&self) -> bool {
        self.value().is_ok_and(|v| v.layout.is_contiguous())
    }

    /// A dimension of a tensor that has some.
    pub(crate) fn dim(&self, op: &'static str, dim: isize) -> Result<usize> {
        match self.rank() {
            0 => Err(Error::index(op, format!("dimension {dim} of a scalar, which has none"))),
            rank => dim_index(op, dim, rank),
        }
    }
}

#[cfg(test)]
mod tests;
