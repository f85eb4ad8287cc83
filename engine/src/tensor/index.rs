//! Indexing as it is written in Python: `x[1, ..., 2:5, None, idx]` is `x.i((1, Ellipsis, 2..5, NewAxis, &idx))`.
//!
//! Positions and slices make views, which can be written through. Tensors of integers, and bool masks, pick
//! elements: they copy, and so does what is written with them.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use smallvec::SmallVec;

use super::Tensor;
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::How;
use crate::shape::{Layout, Shape, broadcast, numel};

/// One part of an index; most are written as what they are: `1`, `2..5`, `..`, `&idx`.
#[derive(Debug, Clone)]
pub enum IndexArg {
    /// One position; the dimension disappears. Negative counts from the end.
    At(isize),
    /// A range of positions.
    Slice(Slice),
    /// As many whole dimensions as are left over.
    Ellipsis,
    /// A new dimension of size 1: Python's `None`.
    NewAxis,
    /// Integers: those positions; bools: where they are true (as many dimensions as the mask has).
    Tensor(Tensor),
}

/// Python's `start:end:step`, clamped to the dimension; negative positions count from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub start: Option<isize>,
    pub end: Option<isize>,
    pub step: isize,
}

/// What [`Tensor::i`] takes: one [`IndexArg`], or a tuple, array or vector of them.
pub trait IntoIndex {
    /// The parts in order.
    fn into_args(self) -> Vec<IndexArg>;
}

impl From<Slice> for IndexArg {
    fn from(s: Slice) -> IndexArg {
        IndexArg::Slice(s)
    }
}
impl From<RangeFull> for IndexArg {
    fn from(_: RangeFull) -> IndexArg {
        IndexArg::Slice(Slice { start: None, end: None, step: 1 })
    }
}
impl From<Tensor> for IndexArg {
    fn from(t: Tensor) -> IndexArg {
        IndexArg::Tensor(t)
    }
}
impl From<&Tensor> for IndexArg {
    fn from(t: &Tensor) -> IndexArg {
        IndexArg::Tensor(t.clone())
    }
}

macro_rules! index_from {
    ($($number:ty),*) => {$(
        impl From<$number> for IndexArg {
            fn from(at: $number) -> IndexArg { IndexArg::At(position(at)) }
        }
        index_from!($number: Range<$number>, |r| (Some(position(r.start)), Some(position(r.end))));
        index_from!($number: RangeFrom<$number>, |r| (Some(position(r.start)), None));
        index_from!($number: RangeTo<$number>, |r| (None, Some(position(r.end))));
        index_from!($number: RangeInclusive<$number>, |r| (Some(position(*r.start())), behind(position(*r.end()))));
        index_from!($number: RangeToInclusive<$number>, |r| (None, behind(position(r.end))));
        index_one!($number, Range<$number>, RangeFrom<$number>, RangeTo<$number>, RangeInclusive<$number>, RangeToInclusive<$number>);
    )*};
    ($number:ty: $range:ty, |$r:ident| $ends:expr) => {
        impl From<$range> for IndexArg {
            fn from($r: $range) -> IndexArg {
                let (start, end) = $ends;
                IndexArg::Slice(Slice { start, end, step: 1 })
            }
        }
    };
}

macro_rules! index_one {
    ($($t:ty),*) => {$(
        impl IntoIndex for $t {
            fn into_args(self) -> Vec<IndexArg> { vec![self.into()] }
        }
    )*};
}

macro_rules! index_tuple {
    ($($name:ident)*) => {
        impl<$($name: Into<IndexArg>),*> IntoIndex for ($($name,)*) {
            #[allow(non_snake_case)]
            fn into_args(self) -> Vec<IndexArg> {
                let ($($name,)*) = self;
                vec![$($name.into()),*]
            }
        }
    };
}

index_from!(isize, i32, usize);
index_one!(IndexArg, Slice, RangeFull, Tensor, &Tensor);
index_tuple!(A);
index_tuple!(A B);
index_tuple!(A B C);
index_tuple!(A B C D);
index_tuple!(A B C D E);
index_tuple!(A B C D E F);

impl<T: Into<IndexArg>> IntoIndex for Vec<T> {
    fn into_args(self) -> Vec<IndexArg> {
        self.into_iter().map(Into::into).collect()
    }
}
impl<T: Into<IndexArg>, const N: usize> IntoIndex for [T; N] {
    fn into_args(self) -> Vec<IndexArg> {
        self.into_iter().map(Into::into).collect()
    }
}

/// A position that does not fit is out of range or clamped wherever it is used.
fn position<T: TryInto<isize>>(at: T) -> isize {
    at.try_into().unwrap_or(isize::MAX)
}

/// The open end behind an inclusive one; behind -1 there is no end.
fn behind(at: isize) -> Option<isize> {
    if at == -1 { None } else { Some(at.saturating_add(1)) }
}

/// An index taken apart: first a view, then tensors that pick along some of its dimensions.
struct Parsed {
    /// Over the indexed tensor's elements in row-major order.
    view: Layout,
    /// For each dimension of the view the integers that pick along it.
    picks: Vec<Option<Tensor>>,
}

impl Parsed {
    fn picks_any(&self) -> bool {
        self.picks.iter().any(Option::is_some)
    }
}

impl Tensor {
    /// The elements an index names: Python's `x[...]`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::cpu())?;
    /// assert_eq!(x.i((-1, 1..))?.to_vec::<f32>()?, [5.0, 6.0]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Too many parts, a position out of range, tensors that do not broadcast to each other.
    #[track_caller]
    pub fn i(&self, index: impl IntoIndex) -> Result<Tensor> {
        let parsed = self.parse(index.into_args())?;
        let view = self.view_through("index", parsed.view.clone())?;
        if !parsed.picks_any() {
            return Ok(view);
        }
        let plan = Picking::new(&view, &parsed.picks)?;
        plan.spread(&plan.gathered(&view)?.index_select(plan.at, &plan.index)?)
    }

    /// This tensor with the elements an index names replaced by `value` (broadcast, converted): Python's `x[...] = value`
    /// into a copy.
    ///
    /// # Errors
    /// As for [`i`](Self::i); a value that does not broadcast.
    #[track_caller]
    pub fn slice_assign(&self, index: impl IntoIndex, value: &Tensor) -> Result<Tensor> {
        self.index_put(index, value, false)
    }

    /// As [`slice_assign`](Self::slice_assign); with `accumulate` the value is added, once for each time an element is named.
    ///
    /// # Errors
    /// As for [`i`](Self::i); a value that does not broadcast.
    #[track_caller]
    pub fn index_put(&self, index: impl IntoIndex, value: &Tensor, accumulate: bool) -> Result<Tensor> {
        let parsed = self.parse(index.into_args())?;
        if !parsed.picks_any() {
            if !accumulate {
                return self.assign_region(&parsed.view, value);
            }
            let old = self.view_through("index", parsed.view.clone())?;
            return self.assign_region(&parsed.view, &old.add(value)?);
        }
        let view = self.view_through("index", parsed.view.clone())?;
        let plan = Picking::new(&view, &parsed.picks)?;
        let value = value.to_dtype(self.dtype())?.expand(&plan.shape)?;
        let new = plan.gathered(&view)?.index_put_along(
            if accumulate { How::Add } else { How::Put },
            plan.at,
            &plan.index,
            &plan.unspread(&value)?,
        )?;
        self.assign_region(&parsed.view, &plan.ungathered(&new)?)
    }

    /// Replaces the elements an index names by `value` (broadcast, converted) in place: Python's `x[...] = value`.
    ///
    /// # Errors
    /// As for [`i`](Self::i); a value that does not broadcast; a leaf that requires a gradient.
    #[track_caller]
    pub fn set(&self, index: impl IntoIndex, value: &Tensor) -> Result<&Tensor> {
        autograd::check_inplace(self, "set")?;
        self.replace(&self.slice_assign(index, value)?)?;
        Ok(self)
    }

    fn parse(&self, args: Vec<IndexArg>) -> Result<Parsed> {
        let takes = |a: &IndexArg| match a {
            IndexArg::Ellipsis | IndexArg::NewAxis => 0,
            IndexArg::Tensor(t) if t.dtype() == DType::Bool => t.rank(),
            _ => 1,
        };
        let used: usize = args.iter().map(takes).sum();
        let ellipses = args.iter().filter(|a| matches!(a, IndexArg::Ellipsis)).count();
        if used > self.rank() || ellipses > 1 {
            let what = if ellipses > 1 { "has more than one ellipsis".into() } else { format!("names {used} dimensions") };
            return Err(Error::index("index", format!("the index {what}, the tensor is {:?}", self.shape())));
        }
        let left = self.rank() - used;
        let whole = || IndexArg::from(..);
        let (mut full, mut dim) = (Vec::new(), 0);
        for arg in args {
            let takes = if matches!(arg, IndexArg::Ellipsis) { left } else { takes(&arg) };
            match arg {
                IndexArg::Ellipsis => full.extend((0..left).map(|_| whole())),
                IndexArg::Tensor(mask) if mask.dtype() == DType::Bool => full.extend(places(&mask, dim, &self.shape()[dim..dim + takes])?),
                other => full.push(other),
            }
            dim += takes;
        }
        if ellipses == 0 {
            full.extend((0..left).map(|_| whole()));
        }
        // `at` is the next dimension of the view so far.
        let (mut view, mut picks, mut at, mut dim) = (Layout::contiguous(self.shape()), Vec::new(), 0, 0);
        for arg in full {
            let size = view.shape.get(at).copied().unwrap_or(1) as isize;
            match arg {
                IndexArg::NewAxis => {
                    view.shape.insert(at, 1);
                    view.strides.insert(at, 0);
                    (at, dim) = (at + 1, dim - 1);
                    picks.push(None);
                }
                IndexArg::At(i) => {
                    if !(-size..size).contains(&i) {
                        return Err(Error::index("index", format!("index {i} is out of range for dimension {dim} of size {size}")));
                    }
                    view = view.slice(at, i.rem_euclid(size) as usize, 1, 1);
                    view.shape.remove(at);
                    view.strides.remove(at);
                }
                IndexArg::Slice(s) => {
                    if s.step < 1 {
                        return Err(Error::index(
                            "index",
                            format!("a step of {}: it has to be positive; flip reverses a dimension", s.step),
                        ));
                    }
                    let clamp = |i: isize| (if i < 0 { i.saturating_add(size) } else { i }).clamp(0, size);
                    let (start, end) = (clamp(s.start.unwrap_or(0)), clamp(s.end.unwrap_or(isize::MAX)));
                    let len = if end > start { (end - start - 1) / s.step + 1 } else { 0 };
                    view = view.slice(at, start as usize, len as usize, if len > 1 { s.step } else { 1 });
                    at += 1;
                    picks.push(None);
                }
                IndexArg::Tensor(t) => {
                    picks.push(Some(wrapped("index", &t, dim as usize, size as usize)?));
                    at += 1;
                }
                IndexArg::Ellipsis => {}
            }
            dim += 1;
        }
        Ok(Parsed { view, picks })
    }
}

/// A mask over dimensions of sizes `shape` as the positions where it is true, one tensor a dimension.
fn places(mask: &Tensor, dim: usize, shape: &[usize]) -> Result<Vec<IndexArg>> {
    if mask.shape() != shape {
        let message = format!("a mask of {:?} does not fit the sizes {shape:?} from dimension {dim} on", mask.shape());
        return Err(Error::index("index", message));
    }
    let at = mask.nonzero()?;
    (0..mask.rank() as isize).map(|d| Ok(IndexArg::Tensor(at.select(1, d)?))).collect()
}

/// Negative indices count from the end.
pub(super) fn wrapped(op: &'static str, index: &Tensor, dim: usize, size: usize) -> Result<Tensor> {
    if !index.dtype().is_int() {
        return Err(Error::dtype(op, format!("indices have to be integers or bools, not {}", index.dtype())));
    }
    let outside = |i: i64| Error::index(op, format!("index {i} is out of range for dimension {dim} of size {size}"));
    if let Some((low, high)) = index.known_range(true) {
        let n = size as i64;
        if high >= n || low < -n {
            return Err(outside(if high >= n { high } else { low }));
        }
    }
    let index = if index.dtype() == DType::I32 { index.clone() } else { index.to_dtype(DType::I64)? };
    match index.known_range(false) {
        Some((low, _)) if low >= 0 => Ok(index),
        _ => index.add(size as i64)?.where_(&index.lt(0)?, &index),
    }
}

/// Several dimensions picked from together, as one dimension picked from with one index.
struct Picking {
    /// The picked dimensions of the view, and the order that brings them together at `at`.
    order: SmallVec<[usize; 6]>,
    picked: usize,
    at: isize,
    /// The view's shape in that order.
    apart: Shape,
    /// Into the picked dimensions as one; flat.
    index: Tensor,
    /// The shape of what is picked, and of the whole result.
    index_shape: Shape,
    shape: Shape,
}

impl Picking {
    fn new(view: &Tensor, picks: &[Option<Tensor>]) -> Result<Picking> {
        let dims: SmallVec<[usize; 6]> = (0..picks.len()).filter(|&d| picks[d].is_some()).collect();
        let others = (0..picks.len()).filter(|d| !dims.contains(d));
        // Neighbours stay where they are; dimensions apart come first, as in PyTorch.
        let together = dims.windows(2).all(|w| w[1] == w[0] + 1);
        let at = if together { dims[0] } else { 0 };
        let mut order: SmallVec<[usize; 6]> = others.collect();
        order.insert_many(at, dims.iter().copied());
        let mut index_shape = Shape::new();
        for t in picks.iter().flatten() {
            index_shape = broadcast("index", &index_shape, t.shape())?;
        }
        let mut index: Option<Tensor> = None;
        for &d in &dims {
            let (Some(pick), size) = (&picks[d], view.shape()[d]) else { continue };
            let pick = pick.expand(&index_shape)?;
            index = Some(match index {
                None => pick,
                Some(so_far) => {
                    // Out of range in one dimension must stay out of range in all of them together.
                    let wrong = pick.lt(0)?.logical_or(&pick.ge(size as i64)?)?;
                    let wrong = wrong.logical_or(&so_far.lt(0)?)?;
                    so_far.mul(size as i64)?.add(&pick)?.masked_fill(&wrong, -1)?
                }
            });
        }
        let index = index.ok_or_else(|| Error::index("index", "no tensor to pick with"))?.flatten(0, -1)?;
        let apart: Shape = order.iter().map(|&d| view.shape()[d]).collect();
        let mut shape = Shape::from(&apart[..at]);
        shape.extend_from_slice(&index_shape);
        shape.extend_from_slice(&apart[at + dims.len()..]);
        Ok(Picking { order, picked: dims.len(), at: at as isize, apart, index, index_shape, shape })
    }

    /// The view with the picked dimensions as one.
    fn gathered(&self, view: &Tensor) -> Result<Tensor> {
        let at = self.at as usize;
        let mut shape = Shape::from(&self.apart[..at]);
        shape.push(numel(&self.apart[at..at + self.picked]));
        shape.extend_from_slice(&self.apart[at + self.picked..]);
        view.permute(&self.order)?.reshape(&shape)
    }

    fn ungathered(&self, t: &Tensor) -> Result<Tensor> {
        let mut back = self.order.clone();
        for (to, &from) in self.order.iter().enumerate() {
            back[from] = to;
        }
        t.reshape(&self.apart)?.permute(&back)
    }

    /// What was picked, in the shape of the indices.
    fn spread(&self, t: &Tensor) -> Result<Tensor> {
        t.reshape(&self.shape)
    }

    fn unspread(&self, t: &Tensor) -> Result<Tensor> {
        let at = self.at as usize;
        let mut shape = Shape::from(&self.apart[..at]);
        shape.push(numel(&self.index_shape));
        shape.extend_from_slice(&self.apart[at + self.picked..]);
        t.reshape(&shape)
    }
}

#[cfg(test)]
mod tests;
