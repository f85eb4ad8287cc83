//! Shapes, and layouts: how a view reads the elements of another tensor.

use smallvec::SmallVec;

use crate::error::{Error, Result};

/// Sizes of the dimensions, outermost first. `[]` is a scalar: one element.
pub type Shape = SmallVec<[usize; 6]>;
pub type Strides = SmallVec<[isize; 6]>;

/// The number of elements, or an error when it does not fit (a shape given by the user).
pub(crate) fn checked_numel(op: &'static str, shape: &[usize]) -> Result<usize> {
    let overflow = || Error::argument(op, format!("a shape of {shape:?} has more elements than can be addressed"));
    // Sizes of 0 count as 1: strides, and products of some of the sizes, have to fit in an empty tensor as well.
    let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d.max(1))).ok_or_else(overflow)?;
    // Byte counts and signed strides must fit too.
    if n > isize::MAX as usize / 16 {
        return Err(overflow());
    }
    Ok(if shape.contains(&0) { 0 } else { n })
}

pub(crate) fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

pub(crate) fn contiguous_strides(shape: &[usize]) -> Strides {
    let mut strides: Strides = SmallVec::from_elem(0, shape.len());
    let mut next = 1isize;
    for (s, &d) in strides.iter_mut().zip(shape).rev() {
        *s = next;
        next *= d.max(1) as isize;
    }
    strides
}

/// The shape two operands broadcast to, aligned from the right.
pub(crate) fn broadcast(op: &'static str, a: &[usize], b: &[usize]) -> Result<Shape> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], i: usize| if i + s.len() >= rank { s[i + s.len() - rank] } else { 1 };
    (0..rank)
        .map(|i| match (at(a, i), at(b, i)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            (x, y) => Err(Error::argument(
                op,
                format!("shapes {a:?} and {b:?} do not broadcast: sizes {x} and {y} in dimension {i} of the result"),
            )),
        })
        .collect()
}

/// A dimension given by the user: negative counts from the end.
pub(crate) fn dim_index(op: &'static str, dim: isize, rank: usize) -> Result<usize> {
    // A scalar accepts 0 and -1, as in PyTorch.
    let n = rank.max(1) as isize;
    if (-n..n).contains(&dim) {
        Ok(if dim < 0 { dim + n } else { dim } as usize)
    } else {
        Err(Error::index(op, format!("dimension {dim} is out of range for {rank} dimensions (expected {} to {})", -n, n - 1)))
    }
}

/// Where the elements of a view lie in the row-major storage of its node: element `i` at
/// `offset + sum(i[d] * strides[d])`. Strides may be 0 (expand) or negative (flip).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layout {
    pub shape: Shape,
    pub strides: Strides,
    pub offset: usize,
}

impl Layout {
    pub fn contiguous(shape: &[usize]) -> Layout {
        Layout { shape: shape.into(), strides: contiguous_strides(shape), offset: 0 }
    }

    pub fn numel(&self) -> usize {
        numel(&self.shape)
    }

    /// Elements lie one after the other in row-major order, from `offset` on.
    pub fn is_contiguous(&self) -> bool {
        let mut next = 1isize;
        for (&d, &s) in self.shape.iter().zip(&self.strides).rev() {
            if d != 1 && s != next {
                return self.numel() == 0;
            }
            next *= d as isize;
        }
        true
    }

    /// The whole of a contiguous storage of `storage` elements, in order.
    pub fn is_whole(&self, storage: usize) -> bool {
        self.offset == 0 && self.numel() == storage && self.is_contiguous()
    }

    /// First and last storage element that is read, `None` when there is none.
    pub fn span(&self) -> Option<(usize, usize)> {
        if self.numel() == 0 {
            return None;
        }
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&d, &s) in self.shape.iter().zip(&self.strides) {
            let reach = (d as isize - 1) * s;
            if reach < 0 { low += reach } else { high += reach }
        }
        Some((low as usize, high as usize))
    }

    pub fn permute(&self, dims: &[usize]) -> Layout {
        Layout {
            shape: dims.iter().map(|&d| self.shape[d]).collect(),
            strides: dims.iter().map(|&d| self.strides[d]).collect(),
            offset: self.offset,
        }
    }

    /// Broadcast to `shape`, which is known to be compatible.
    pub fn expand(&self, shape: &[usize]) -> Layout {
        let lead = shape.len() - self.shape.len();
        let strides = (0..shape.len())
            .map(|i| if i < lead || (self.shape[i - lead] == 1 && shape[i] != 1) { 0 } else { self.strides[i - lead] })
            .collect();
        Layout { shape: shape.into(), strides, offset: self.offset }
    }

    /// The elements `start, start + step, ..` (`len` of them) of dimension `dim`; `step` may be negative.
    pub fn slice(&self, dim: usize, start: usize, len: usize, step: isize) -> Layout {
        let mut out = self.clone();
        if len > 0 {
            out.offset = (self.offset as isize + start as isize * self.strides[dim]) as usize;
        }
        out.shape[dim] = len;
        out.strides[dim] *= step;
        out
    }

    /// The same elements in another shape, where strides allow it without a copy.
    pub fn reshape(&self, shape: &[usize]) -> Option<Layout> {
        if numel(shape) == 0 || self.is_contiguous() {
            return Some(Layout { shape: shape.into(), strides: contiguous_strides(shape), offset: self.offset });
        }
        // Old dimensions merge into runs that are contiguous among themselves; each new dimension must
        // divide out of one run.
        let old: Vec<(usize, isize)> = self.shape.iter().zip(&self.strides).filter(|(d, _)| **d != 1).map(|(&d, &s)| (d, s)).collect();
        let mut strides: Strides = SmallVec::from_elem(0, shape.len());
        let (mut i, mut j) = (old.len(), shape.len());
        while i > 0 {
            let (mut size, stride) = old[i - 1];
            i -= 1;
            while i > 0 && old[i - 1].1 == stride * size as isize {
                size *= old[i - 1].0;
                i -= 1;
            }
            let mut taken = 1;
            while taken < size {
                if j == 0 {
                    return None;
                }
                j -= 1;
                strides[j] = stride * taken as isize;
                taken *= shape[j];
            }
            if taken != size {
                return None;
            }
        }
        for (s, &d) in strides.iter_mut().zip(shape).take(j) {
            debug_assert_eq!(d, 1);
            *s = 0;
        }
        Some(Layout { shape: shape.into(), strides, offset: self.offset })
    }

    /// Neighbouring dimensions whose strides make one longer dimension of them, merged; those of size 1 are gone.
    fn merged(&self) -> Layout {
        let mut out = Layout { shape: Shape::new(), strides: Strides::new(), offset: self.offset };
        for (&d, &s) in self.shape.iter().zip(&self.strides).filter(|(d, _)| **d != 1) {
            match (out.shape.last_mut(), out.strides.last_mut()) {
                (Some(size), Some(stride)) if *stride == s * d as isize => {
                    *size *= d;
                    *stride = s;
                }
                _ => {
                    out.shape.push(d);
                    out.strides.push(s);
                }
            }
        }
        out
    }

    /// Some element may be met twice. Exact for what views make; a layout that interleaves dimensions counts too.
    pub fn overlaps(&self) -> bool {
        let mut dims: SmallVec<[(usize, usize); 6]> =
            self.shape.iter().zip(&self.strides).filter(|(d, _)| **d > 1).map(|(&d, &s)| (s.unsigned_abs(), d)).collect();
        dims.sort_unstable();
        let mut reach = 0;
        self.numel() > 0
            && dims.iter().any(|&(stride, size)| {
                let meets = stride <= reach;
                reach += stride * (size - 1);
                meets
            })
    }

    /// `self` reads a contiguous tensor of `inner.shape`; the result reads `inner`'s storage directly.
    /// `None` when a step of `self` carries from one dimension of `inner` into the next.
    pub fn compose(&self, inner: &Layout) -> Option<Layout> {
        if self.numel() == 0 {
            return Some(Layout { shape: self.shape.clone(), strides: SmallVec::from_elem(0, self.shape.len()), offset: 0 });
        }
        if inner.is_contiguous() {
            return Some(Layout { offset: self.offset + inner.offset, ..self.clone() });
        }
        let inner = &inner.merged();
        let digits = contiguous_strides(&inner.shape);
        // Mixed-radix digits of a distance; a negative one is the mirror of its absolute value.
        let split = |n: isize| -> Strides {
            let mut rest = n.abs();
            digits
                .iter()
                .zip(&inner.shape)
                .map(|(&d, &size)| {
                    if size == 1 {
                        return 0;
                    }
                    let q = rest / d;
                    rest %= d;
                    q * n.signum()
                })
                .collect()
        };
        let start = split(self.offset as isize);
        let mut low = start.clone();
        let mut high = start.clone();
        let mut strides: Strides = SmallVec::from_elem(0, self.shape.len());
        for (k, (&size, &stride)) in self.shape.iter().zip(&self.strides).enumerate() {
            if size == 1 || stride == 0 {
                continue;
            }
            let step = split(stride);
            for d in 0..inner.shape.len() {
                let reach = (size as isize - 1) * step[d];
                if reach < 0 {
                    low[d] += reach
                } else {
                    high[d] += reach
                }
                strides[k] += step[d] * inner.strides[d];
            }
        }
        let fits = (0..inner.shape.len()).all(|d| low[d] >= 0 && high[d] < inner.shape[d] as isize);
        let offset = inner.offset as isize + start.iter().zip(&inner.strides).map(|(a, b)| a * b).sum::<isize>();
        fits.then(|| Layout { shape: self.shape.clone(), strides, offset: offset as usize })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every address a layout reads, in row-major order.
    fn addresses(l: &Layout) -> Vec<isize> {
        let place = contiguous_strides(&l.shape);
        (0..l.numel() as isize)
            .map(|i| {
                let index = |d: usize| i / place[d] % l.shape[d] as isize;
                l.offset as isize + (0..l.shape.len()).map(|d| index(d) * l.strides[d]).sum::<isize>()
            })
            .collect()
    }

    fn some_layouts() -> Vec<Layout> {
        let base = Layout::contiguous(&[4, 3, 2]);
        vec![
            base.clone(),
            base.permute(&[2, 0, 1]),
            base.permute(&[1, 0, 2]),
            base.slice(0, 1, 2, 1),
            base.slice(0, 3, 4, -1),
            base.slice(1, 0, 2, 2).permute(&[2, 1, 0]),
            Layout::contiguous(&[4, 1, 2]).expand(&[4, 3, 2]),
            Layout::contiguous(&[1]).expand(&[2, 3, 4]),
            base.slice(2, 1, 1, 1),
        ]
    }

    #[test]
    fn a_composed_layout_reads_what_two_reads_would() {
        let mut composed = 0;
        for inner in some_layouts() {
            let n = inner.numel();
            let outers = [
                Layout::contiguous(&inner.shape),
                Layout::contiguous(&[n]),
                Layout::contiguous(&inner.shape).permute(&[2, 1, 0]),
                Layout::contiguous(&inner.shape).slice(1, 0, 1, 1),
                Layout::contiguous(&inner.shape).slice(0, inner.shape[0] - 1, inner.shape[0], -1),
                Layout { shape: [2, n / 2].as_slice().into(), strides: [(n / 2) as isize, 1].as_slice().into(), offset: 0 },
            ];
            for outer in outers {
                let Some(both) = outer.compose(&inner) else { continue };
                composed += 1;
                let through = addresses(&inner);
                let expected: Vec<isize> = addresses(&outer).iter().map(|&i| through[i as usize]).collect();
                assert_eq!(addresses(&both), expected, "{outer:?} over {inner:?}");
            }
        }
        assert!(composed > 40, "only {composed} pairs composed");
    }

    #[test]
    fn a_reshaped_layout_reads_the_same_elements_in_the_same_order() {
        let mut reshaped = 0;
        for l in some_layouts() {
            let n = l.numel();
            for shape in [vec![n], vec![1, n, 1], vec![2, n / 2], vec![n / 2, 2], vec![2, 1, n / 4, 2]] {
                if shape.iter().product::<usize>() != n {
                    continue;
                }
                if let Some(r) = l.reshape(&shape) {
                    reshaped += 1;
                    assert_eq!(addresses(&r), addresses(&l), "{l:?} as {shape:?}");
                }
            }
        }
        assert!(reshaped > 15, "only {reshaped} layouts were reshaped");
    }

    #[test]
    fn absurd_shapes_are_errors() {
        assert!(checked_numel("zeros", &[usize::MAX, 2]).is_err());
        assert!(checked_numel("zeros", &[1 << 40, 1 << 40]).is_err());
        assert!(checked_numel("zeros", &[usize::MAX, 0, usize::MAX]).is_err());
        assert_eq!(checked_numel("zeros", &[1 << 40, 0, 3]), Ok(0));
    }
}
