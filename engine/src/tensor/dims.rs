//! How dimensions and shapes are written: `1`, `-1`, `[0, 2]`, `..`, `[8, -1]`.

use std::ops::RangeFull;

use smallvec::SmallVec;

use crate::error::{Error, Result};
use crate::shape::dim_index;

/// Numbers as a caller wrote them, possibly negative.
pub type Signed = SmallVec<[isize; 6]>;

/// One or several dimensions. Negative ones count from the end; `..` and `None` are all of them.
pub trait Dims {
    /// The dimensions as they were written; `None` for all.
    fn written(&self) -> Option<Signed>;
}

/// A shape. A size of -1 is worked out from the others (`reshape`), or stays as it is (`expand`).
pub trait Sizes {
    /// The sizes as they were written.
    fn written(&self) -> Signed;
}

impl Dims for RangeFull {
    fn written(&self) -> Option<Signed> {
        None
    }
}

impl Dims for Option<isize> {
    fn written(&self) -> Option<Signed> {
        self.map(|d| Signed::from_elem(d, 1))
    }
}

macro_rules! lists {
    ($($list:ty $(, $n:ident)?;)*) => {$(
        impl$(<const $n: usize>)? Dims for $list {
            fn written(&self) -> Option<Signed> {
                Some(signed(&self[..]))
            }
        }
        impl$(<const $n: usize>)? Sizes for $list {
            fn written(&self) -> Signed {
                signed(&self[..])
            }
        }
    )*};
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Dims for $number {
            fn written(&self) -> Option<Signed> {
                Some(signed(&[*self]))
            }
        }
        lists! {
            [$number; N], N;
            &[$number; N], N;
            &[$number];
            Vec<$number>;
            &Vec<$number>;
            SmallVec<[$number; 6]>;
            &SmallVec<[$number; 6]>;
        }
    )*};
}

numbers!(isize, i32, usize);

fn signed<T: Copy + TryInto<isize>>(list: &[T]) -> Signed {
    // What does not fit is out of range wherever it is used.
    list.iter().map(|&v| v.try_into().unwrap_or(isize::MAX)).collect()
}

/// The dimensions meant, in the order they were written.
pub(crate) fn resolve(op: &'static str, dims: &impl Dims, rank: usize) -> Result<SmallVec<[usize; 6]>> {
    let Some(written) = dims.written() else { return Ok((0..rank).collect()) };
    let mut out: SmallVec<[usize; 6]> = SmallVec::new();
    for &d in &written {
        let dim = dim_index(op, d, rank)?;
        if out.contains(&dim) {
            return Err(Error::argument(op, format!("dimension {d} is named twice in {:?}", &written[..])));
        }
        out.push(dim);
    }
    Ok(out)
}

/// The dimensions meant, in ascending order; an empty list is all of them, as in PyTorch's reductions.
pub(crate) fn resolve_reduced(op: &'static str, dims: &impl Dims, rank: usize) -> Result<SmallVec<[usize; 6]>> {
    // PyTorch keeps the reduced dimensions in one word.
    if rank > 64 {
        return Err(Error::argument(op, format!("reduces at most 64 dimensions, not {rank}")));
    }
    let mut out = resolve(op, dims, rank)?;
    if out.is_empty() {
        return Ok((0..rank).collect());
    }
    out.sort_unstable();
    Ok(out)
}
