//! Eigenvalues and eigenvectors of symmetric matrices.

use smallvec::smallvec;

use super::tridiagonal::{diagonalize, reduce};
use super::{Mat, Routine, part, sizes, square};
use crate::autograd;
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// A row is the eigenvalues, ascending, then the matrix whose columns are the eigenvectors.
#[derive(Debug)]
pub(crate) struct Eigh {
    /// Which triangle is read.
    pub upper: bool,
    /// Somebody sees the eigenvectors. Otherwise the gradient is that of the eigenvalues alone, which equal ones do not harm.
    pub vectors: bool,
}

impl Routine for Eigh {
    fn name(&self) -> &'static str {
        "linalg.eigh"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.name(), sizes[0])?;
        Ok(n + n * n)
    }

    fn flags(&self) -> u64 {
        self.upper as u64 | (self.vectors as u64) << 1
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let given = inputs.swap_remove(0);
        let n = given.rows;
        let from_triangle = |i: usize, j: usize| if (i <= j) == self.upper { given[(i, j)] } else { given[(j, i)] };
        let a = Mat::from_fn(n, n, from_triangle);
        let Some((values, vectors)) = symmetric(a, self.upper) else { return unfinished(row) };
        row[..n].copy_from_slice(&values);
        vectors.write(&mut row[n..]);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: !self.vectors as u32, output: true }
    }

    /// dA = V [diag(dL) + skew(Vᵀ dV) / (Lⱼ - Lᵢ)] Vᵀ with `skew(X) = (X - Xᵀ) / 2`; equal eigenvalues pass nothing to each
    /// other's vectors.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, _) = sizes(&ctx.spec(0).shape);
            let rows = ctx.output()?;
            let (l, mut v) = (part(rows, 0, &[n])?, part(rows, n, &[n, n])?);
            let dl = part(dy, 0, &[n])?;
            if !self.vectors {
                // The gradient's own gradient is one of the vectors.
                if autograd::is_enabled() {
                    v = ctx.input(0)?.eigh(self.upper)?.1;
                }
                let da = v.mul(&dl.unsqueeze(-2)?)?.matmul(&v.mt()?)?;
                return Ok(smallvec![Some(da)]);
            }
            let inner = v.mt()?.matmul(&part(dy, n, &[n, n])?)?;
            let inner = inner.sub(&inner.mt()?)?.mul(0.5)?;
            let gaps = l.unsqueeze(-2)?.sub(&l.unsqueeze(-1)?)?;
            let same = autograd::no_grad(|| gaps.eq(0))?;
            let inner = inner.div(&gaps.masked_fill(&same, 1.0)?)?.masked_fill(&same, 0.0)?;
            let inner = inner.add(&dl.diag_embed(0, -2, -1)?)?;
            Ok(smallvec![Some(v.matmul(&inner)?.matmul(&v.mt()?)?)])
        })())
    }
}

/// Eigenvalues, ascending, and eigenvectors of a symmetric matrix.
pub(super) fn symmetric(a: Mat, upper: bool) -> Option<(Vec<f64>, Mat)> {
    let n = a.rows;
    if !a.all_finite() {
        return None;
    }
    let t = reduce(a, upper);
    let (mut d, mut e, mut z) = (t.diagonal.clone(), t.beside.clone(), Mat::eye(n, n));
    let done = diagonalize(&mut d, &mut e, &mut z);
    t.apply(&mut z);
    done.then_some((d, z))
}

/// What infinities, NaN, and matrices on which the algorithm does not end come to: an error here would fail whatever else is
/// computed along.
pub(super) fn unfinished(row: &mut [f64]) {
    row.fill(f64::NAN);
}
