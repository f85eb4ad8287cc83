//! Square roots of symmetric matrices, and `A = U H`.

use smallvec::smallvec;

use super::eigh::{symmetric, unfinished};
use super::{Mat, Routine, part, sizes, square, svd};
use crate::autograd;
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// `X` with `H X + X H = G` made symmetric: the gradient of `H²`, given that of `H`.
fn through_root(h: &Tensor, g: &Tensor) -> Result<Tensor> {
    let (l, v) = h.eigh(false)?;
    let inner = v.mt()?.matmul(&g.add(&g.mt()?)?.mul(0.5)?)?.matmul(&v)?;
    let sums = l.unsqueeze(-1)?.add(&l.unsqueeze(-2)?)?;
    // Between two zeros there is nothing to divide by.
    let none = autograd::no_grad(|| sums.eq(0))?;
    let inner = inner.div(&sums.masked_fill(&none, 1.0)?)?.masked_fill(&none, 0.0)?;
    v.matmul(&inner)?.matmul(&v.mt()?)
}

/// A row is `H` with `H² = A`.
#[derive(Debug)]
pub(crate) struct SquareRoot {
    /// Which triangle is read.
    pub upper: bool,
}

impl Routine for SquareRoot {
    fn name(&self) -> &'static str {
        "linalg.matrix_sqrth"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        square(self.name(), sizes[0]).map(|n| n * n)
    }

    fn flags(&self) -> u64 {
        self.upper as u64
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let given = inputs.swap_remove(0);
        let n = given.rows;
        let a = Mat::from_fn(n, n, |i, j| if (i <= j) == self.upper { given[(i, j)] } else { given[(j, i)] });
        let Some((l, v)) = symmetric(a, self.upper) else { return unfinished(row) };
        let scaled = Mat::from_fn(n, n, |i, j| v[(i, j)] * l[j].max(0.0).sqrt());
        scaled.mul(&v.t()).write(row);
    }

    fn saves(&self) -> Saves {
        Saves::OUTPUT
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, _) = sizes(&ctx.spec(0).shape);
            let (h, dh) = (part(ctx.output()?, 0, &[n, n])?, part(dy, 0, &[n, n])?);
            Ok(smallvec![Some(through_root(&h, &dh)?)])
        })())
    }
}

/// A row is `U`, then `H`.
#[derive(Debug)]
pub(crate) struct Polar;

impl Routine for Polar {
    fn name(&self) -> &'static str {
        "linalg.polar"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let (m, n) = sizes[0];
        Ok(m * n + n * n)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let a = inputs.swap_remove(0);
        let (m, n) = (a.rows, a.cols);
        let Some((u, s, v)) = svd::decompose(a, false) else { return unfinished(row) };
        let scaled = Mat::from_fn(n, s.len(), |i, j| v[(i, j)] * s[j]);
        u.mul(&v.t()).write(&mut row[..m * n]);
        scaled.mul(&v.t()).write(&mut row[m * n..]);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 1, output: true }
    }

    /// `U = A H⁻¹` and `H² = AᵀA`: dA = dU H⁻¹ + 2 A X, where `X` is the gradient of `H²` for dH - Uᵀ dU H⁻¹.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (m, n) = sizes(&ctx.spec(0).shape);
            let parts = |t: &Tensor| -> Result<(Tensor, Tensor)> { Ok((part(t, 0, &[m, n])?, part(t, m * n, &[n, n])?)) };
            let ((u, h), (du, dh)) = (parts(ctx.output()?)?, parts(dy)?);
            // H is symmetric: dU H⁻¹ = (H⁻¹ dUᵀ)ᵀ
            let own = h.solve_matrices(&du.mt()?)?.0.mt()?;
            let x = through_root(&h, &dh.sub(&u.mt()?.matmul(&own)?)?)?;
            Ok(smallvec![Some(own.add(&ctx.input(0)?.matmul(&x)?.mul(2.0)?)?)])
        })())
    }
}
