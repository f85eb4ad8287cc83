//! Walking a strided array in row-major order, run by run.

use std::ops::Range;

use smallvec::SmallVec;

use crate::shape::Strides;

/// Sizes and strides of the dimensions an access walks over, merged where its strides allow: a
/// contiguous array is one dimension of stride 1, a splat one of stride 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Walk {
    dims: SmallVec<[usize; 6]>,
    strides: Strides,
}

impl Walk {
    /// From (size, stride) pairs, outermost first.
    pub fn new(dims: impl Iterator<Item = (usize, isize)>) -> Walk {
        let mut walk = Walk::default();
        for (d, s) in dims.filter(|&(d, _)| d != 1) {
            match walk.strides.last_mut() {
                Some(outer) if *outer == s * d as isize => {
                    *outer = s;
                    *walk.dims.last_mut().expect("as many sizes as strides") *= d;
                }
                _ => {
                    walk.dims.push(d);
                    walk.strides.push(s);
                }
            }
        }
        walk
    }

    /// Two dimensions of which the outer one is contiguous and the inner one is not: (sizes, strides).
    pub fn turned(&self) -> Option<([usize; 2], [isize; 2])> {
        match (&self.dims[..], &self.strides[..]) {
            (&[rows, cols], &[row, col]) if row.abs() == 1 && col.abs() > 1 => Some(([rows, cols], [row, col])),
            _ => None,
        }
    }

    /// Calls `run(offset, stride, range)` for the elements at positions `pos .. pos + n`, cut into runs of one
    /// stride: elements `range` of these `n` lie at `offset`, `offset + stride`, ...
    #[inline(always)]
    pub fn runs(&self, pos: usize, n: usize, mut run: impl FnMut(isize, isize, Range<usize>)) {
        if n == 0 {
            return;
        }
        let Some(last) = self.dims.len().checked_sub(1) else { return run(0, 0, 0..n) };
        let stride = self.strides[last];
        if last == 0 {
            return run(pos as isize * stride, stride, 0..n);
        }
        // The coordinates of the first element; from there on only additions.
        let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, last + 1);
        let (mut rest, mut offset) = (pos, 0);
        for d in (0..=last).rev() {
            index[d] = rest % self.dims[d];
            rest /= self.dims[d];
            offset += index[d] as isize * self.strides[d];
        }
        let (mut at, mut column) = (0, index[last]);
        while at < n {
            let len = (self.dims[last] - column).min(n - at);
            run(offset, stride, at..at + len);
            at += len;
            if at == n {
                return;
            }
            offset -= column as isize * stride;
            column = 0;
            for d in (0..last).rev() {
                index[d] += 1;
                offset += self.strides[d];
                if index[d] < self.dims[d] {
                    break;
                }
                offset -= self.dims[d] as isize * self.strides[d];
                index[d] = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(dims: &[(usize, isize)], pos: usize, n: usize) -> Vec<isize> {
        let mut out = vec![0; n];
        Walk::new(dims.iter().copied()).runs(pos, n, |offset, stride, range| {
            let start = range.start;
            range.for_each(|i| out[i] = offset + (i - start) as isize * stride);
        });
        out
    }

    #[test]
    fn merges_what_is_contiguous() {
        assert_eq!(Walk::new([(2, 12), (3, 4), (4, 1)].into_iter()).dims[..], [24]);
        assert_eq!(Walk::new([(2, 0), (3, 0)].into_iter()).strides[..], [0]);
        assert_eq!(Walk::new([(1, 7), (3, 1), (1, 9)].into_iter()).dims[..], [3]);
        assert_eq!(Walk::new([(2, 0), (3, 1)].into_iter()).dims[..], [2, 3]);
    }

    #[test]
    fn visits_row_major_positions_from_anywhere() {
        let dims = [(3, 100), (1, 5), (2, -7), (4, 10), (3, 3)];
        let mut all = Vec::new();
        for a in 0..3 {
            for b in 0..2 {
                for c in 0..4 {
                    for d in 0..3 {
                        all.push(a * 100 - b * 7 + c * 10 + d * 3);
                    }
                }
            }
        }
        for pos in 0..all.len() {
            for n in [0, 1, 2, 5, all.len() - pos] {
                let n = n.min(all.len() - pos);
                assert_eq!(offsets(&dims, pos, n), all[pos..pos + n]);
            }
        }
    }

    #[test]
    fn a_scalar_splats() {
        assert_eq!(offsets(&[], 0, 3), [0, 0, 0]);
        assert_eq!(offsets(&[(5, 0), (2, 0)], 3, 3), [0, 0, 0]);
    }
}
