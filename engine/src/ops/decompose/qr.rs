//! `A = Q R` by reflections.

use smallvec::smallvec;

use super::mat::reflector;
use super::{Mat, Routine, part, sizes};
use crate::autograd::Ctx;
use crate::error::{Error, Result};
use crate::ops::Grads;
use crate::tensor::Tensor;

/// Replaces `a` by `R` and, below its diagonal, the reflections' vectors; returns their factors.
pub(super) fn factor(a: &mut Mat) -> Vec<f64> {
    (0..a.rows.min(a.cols))
        .map(|i| {
            let alpha = a[(i, i)];
            let (beta, tau) = reflector(alpha, &mut a.col_mut(i)[i + 1..]);
            let tail = a.col(i)[i + 1..].to_vec();
            a.reflect_left(i, i + 1, &tail, tau);
            a[(i, i)] = beta;
            tau
        })
        .collect()
}

/// `Q c` for the reflections that [`factor`] left in `a`.
pub(super) fn apply(a: &Mat, tau: &[f64], c: &mut Mat) {
    for (i, &tau) in tau.iter().enumerate().rev() {
        c.reflect_left(i, 0, &a.col(i)[i + 1..], tau);
    }
}

/// A row is what LAPACK's `geqrf` leaves: `R` with the reflections below it, and their factors.
#[derive(Debug)]
pub(crate) struct Geqrf;

impl Routine for Geqrf {
    fn name(&self) -> &'static str {
        "geqrf"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let (m, n) = sizes[0];
        Ok(m * n + m.min(n))
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut a = inputs.swap_remove(0);
        let tau = factor(&mut a);
        a.write(row);
        row[a.rows * a.cols..].copy_from_slice(&tau);
    }
}

/// A row is `Q`, then `R`: `[m, k]` and `[k, n]` with `k = min(m, n)`, or `k = m` if `complete`.
#[derive(Debug)]
pub(crate) struct Qr {
    pub complete: bool,
}

impl Qr {
    fn inner(&self, m: usize, n: usize) -> usize {
        if self.complete { m } else { m.min(n) }
    }
}

impl Routine for Qr {
    fn name(&self) -> &'static str {
        "linalg.qr"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let (m, n) = sizes[0];
        let k = self.inner(m, n);
        Ok(m * k + k * n)
    }

    fn flags(&self) -> u64 {
        self.complete as u64
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut a = inputs.swap_remove(0);
        let (m, n) = (a.rows, a.cols);
        let k = self.inner(m, n);
        let tau = factor(&mut a);
        let mut q = Mat::eye(m, k);
        apply(&a, &tau, &mut q);
        q.write(&mut row[..m * k]);
        Mat::from_fn(k, n, |i, j| if i <= j { a[(i, j)] } else { 0.0 }).write(&mut row[m * k..]);
    }

    /// Tall or square: dA = [dQ + Q sym(triu(dR Rᵀ - Qᵀ dQ))] R⁻ᵀ, where `sym` mirrors the upper triangle.
    /// Wide: `R = [R₁ R₂]`; what comes into `R₂ = Qᵀ A₂` is a gradient of `Q` and of `A₂`.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (m, n) = sizes(&ctx.spec(0).shape);
            let k = self.inner(m, n);
            if self.complete && m > n {
                return Err(Error::autograd(self.name(), "mode 'complete' has a gradient only for matrices that are not tall"));
            }
            let rows = ctx.output()?;
            let (q, r) = (part(rows, 0, &[m, k])?, part(rows, m * k, &[k, n])?);
            let (dq, dr) = (part(dy, 0, &[m, k])?, part(dy, m * k, &[k, n])?);
            // Tensors of the upper triangle and its mirror image below.
            let mirrored = |t: Tensor| t.triu(0)?.add(&t.triu(1)?.mt()?);
            if m >= n {
                let inner = mirrored(dr.matmul(&r.mt()?)?.sub(&q.mt()?.matmul(&dq)?)?)?;
                let sum = dq.add(&q.matmul(&inner)?)?;
                return Ok(smallvec![Some(r.mt()?.solve_triangular(&sum, false, false, false)?)]);
            }
            let (r1, r2) = (r.narrow(-1, 0, m)?, r.narrow(-1, m, n - m)?);
            let (dr1, dr2) = (dr.narrow(-1, 0, m)?, dr.narrow(-1, m, n - m)?);
            // A₂ = Q R₂
            let dq = dq.add(&q.matmul(&r2)?.matmul(&dr2.mt()?)?)?;
            let inner = mirrored(dr1.matmul(&r1.mt()?)?.sub(&q.mt()?.matmul(&dq)?)?)?;
            let sum = dq.add(&q.matmul(&inner)?)?;
            let da1 = r1.mt()?.solve_triangular(&sum, false, false, false)?;
            Ok(smallvec![Some(Tensor::cat(&[da1, q.matmul(&dr2)?], -1)?)])
        })())
    }
}
