//! `A = U diag(S) Vᵀ`.

use smallvec::smallvec;

use super::eigh::unfinished;
use super::mat::{reflector, rotation};
use super::{Mat, Routine, part, qr, sizes, svd2};
use crate::autograd;
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// A row is `U`, the singular values, descending, and `Vᵀ`: `[m, k]`, `[k]`, `[k, n]` with `k = min(m, n)`, or `U` and `Vᵀ` square
/// if `full`.
#[derive(Debug)]
pub(crate) struct Svd {
    pub full: bool,
    /// Somebody sees the singular vectors. Otherwise the gradient is that of the values alone, which equal ones do not harm.
    pub vectors: bool,
}

impl Routine for Svd {
    fn name(&self) -> &'static str {
        "linalg.svd"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let (m, n) = sizes[0];
        let k = m.min(n);
        Ok(if self.full { m * m + k + n * n } else { m * k + k + k * n })
    }

    fn flags(&self) -> u64 {
        self.full as u64 | (self.vectors as u64) << 1
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let a = inputs.swap_remove(0);
        let (m, n) = (a.rows, a.cols);
        let Some((u, s, v)) = decompose(a, self.full) else { return unfinished(row) };
        let (at, k) = (m * u.cols, m.min(n));
        u.write(&mut row[..at]);
        row[at..at + k].copy_from_slice(&s);
        v.t().write(&mut row[at + k..]);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: !self.vectors as u32, output: true }
    }

    /// With `E_ij = S_j² - S_i²` and `skew(X) = X - Xᵀ`:
    /// dA = U [(skew(Uᵀ dU) / E) S + S (skew(Vᵀ dV) / E) + diag(dS)] Vᵀ, and what of dU S⁻¹ Vᵀ and U S⁻¹ dVᵀ lies outside of
    /// the spaces `U` and `V` span. Equal singular values pass nothing to each other's vectors.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (m, n) = sizes(&ctx.spec(0).shape);
            let k = m.min(n);
            let (uc, vr) = if self.full { (m, n) } else { (k, k) };
            let rows = ctx.output()?;
            let parts = |t: &Tensor| -> Result<(Tensor, Tensor, Tensor)> {
                // Of full matrices the columns that span the complement are arbitrary and take no part.
                let u = part(t, 0, &[m, uc])?.narrow(-1, 0, k)?;
                let vh = part(t, m * uc + k, &[vr, n])?.narrow(-2, 0, k)?;
                Ok((u, part(t, m * uc, &[k])?, vh))
            };
            let ((u, s, vh), (du, ds, dvh)) = (parts(rows)?, parts(dy)?);
            let mut inner = ds.diag_embed(0, -2, -1)?;
            if !self.vectors {
                // The gradient's own gradient is one of the vectors.
                let again = if autograd::is_enabled() { Some(ctx.input(0)?.svd(false)?) } else { None };
                let (u, vh) = again.map_or((u, vh), |(u, _, vh)| (u, vh));
                let da = u.mul(&ds.unsqueeze(-2)?)?.matmul(&vh)?;
                return Ok(smallvec![Some(da)]);
            }
            let (column, across) = (s.unsqueeze(-1)?, s.unsqueeze(-2)?);
            let gaps = across.sub(&column)?.mul(&across.add(&column)?)?;
            let same = autograd::no_grad(|| gaps.eq(0))?;
            let skew = |x: Tensor| -> Result<Tensor> { x.sub(&x.mt()?)?.div(&gaps.masked_fill(&same, 1.0)?)?.masked_fill(&same, 0.0) };
            inner = inner.add(&skew(u.mt()?.matmul(&du)?)?.mul(&across)?)?;
            inner = inner.add(&skew(vh.matmul(&dvh.mt()?)?)?.mul(&column)?)?;
            let mut da = u.matmul(&inner)?.matmul(&vh)?;
            if m > k {
                let outside = du.sub(&u.matmul(&u.mt()?.matmul(&du)?)?)?;
                da = da.add(&outside.div(&across)?.matmul(&vh)?)?;
            }
            if n > k {
                let outside = dvh.sub(&dvh.matmul(&vh.mt()?)?.matmul(&vh)?)?;
                da = da.add(&u.matmul(&outside.div(&column)?)?)?;
            }
            Ok(smallvec![Some(da)])
        })())
    }
}

/// `U`, the singular values and `V`; with all columns if `full`.
pub(super) fn decompose(a: Mat, full: bool) -> Option<(Mat, Vec<f64>, Mat)> {
    let (m, n) = (a.rows, a.cols);
    let k = m.min(n);
    let cols = |size: usize| if full { size } else { k };
    if k == 0 {
        return Some((Mat::eye(m, cols(m)), Vec::new(), Mat::eye(n, cols(n))));
    }
    if !a.all_finite() {
        return None;
    }
    // A matrix much longer than wide is made square first.
    if m.max(n) < 3 * k {
        return bidiagonal(a, cols(m), cols(n));
    }
    let mut long = if m >= n { a } else { a.t() };
    let tau = qr::factor(&mut long);
    let r = Mat::from_fn(k, k, |i, j| if i <= j { long[(i, j)] } else { 0.0 });
    let (inner, s, other) = bidiagonal(if m >= n { r } else { r.t() }, k, k)?;
    let (inner, other) = if m >= n { (inner, other) } else { (other, inner) };
    let mut q = bordered(&inner, long.rows, cols(long.rows));
    qr::apply(&long, &tau, &mut q);
    Some(if m >= n { (q, s, other) } else { (other, s, q) })
}

/// `[x 0; 0 I]`
fn bordered(x: &Mat, rows: usize, cols: usize) -> Mat {
    let inside = |i: usize, j: usize| i < x.rows && j < x.cols;
    Mat::from_fn(rows, cols, |i, j| if inside(i, j) { x[(i, j)] } else { (i == j) as u8 as f64 })
}

/// Through a bidiagonal matrix, upper where `a` is not wide, lower where it is.
fn bidiagonal(mut a: Mat, ucols: usize, vcols: usize) -> Option<(Mat, Vec<f64>, Mat)> {
    let (m, n) = (a.rows, a.cols);
    let k = m.min(n);
    let lower = m < n;
    let (mut d, mut e) = (vec![0.0; k], vec![0.0; k - 1]);
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for i in 0..k {
        for of_rows in [lower, !lower] {
            // The first of the two meets the diagonal, the second the element beside it.
            let step = (of_rows != lower) as usize;
            let to = if step == 0 { &mut d } else { &mut e };
            if i + step >= k {
                continue;
            }
            if of_rows {
                let mut tail: Vec<f64> = (i + step + 1..n).map(|j| a[(i, j)]).collect();
                let (beta, tau) = reflector(a[(i, i + step)], &mut tail);
                a.reflect_right(i + 1, i + step, &tail, tau);
                to[i] = beta;
                right.push((i + step, tail, tau));
            } else {
                let mut tail = a.col(i)[i + step + 1..].to_vec();
                let (beta, tau) = reflector(a[(i + step, i)], &mut tail);
                a.reflect_left(i + step, i + 1, &tail, tau);
                to[i] = beta;
                left.push((i + step, tail, tau));
            }
        }
    }
    let (mut u, mut v) = (Mat::eye(k, k), Mat::eye(k, k));
    let mut turns = Vec::new();
    if lower {
        for i in 0..k - 1 {
            let (c, s, r) = rotation(d[i], e[i]);
            (d[i], e[i], d[i + 1]) = (r, s * d[i + 1], c * d[i + 1]);
            turns.push((c, s));
        }
    }
    if !svd2::diagonalize(&mut d, &mut e, &mut u, &mut v) {
        return None;
    }
    for (i, &(c, s)) in turns.iter().enumerate().rev() {
        for j in 0..k {
            let (x, y) = (u[(i, j)], u[(i + 1, j)]);
            (u[(i, j)], u[(i + 1, j)]) = (c * x - s * y, c * y + s * x);
        }
    }
    let (mut u, mut v) = (bordered(&u, m, ucols), bordered(&v, n, vcols));
    left.iter().rev().for_each(|(at, tail, tau)| u.reflect_left(*at, 0, tail, *tau));
    right.iter().rev().for_each(|(at, tail, tau)| v.reflect_left(*at, 0, tail, *tau));
    Some((u, d, v))
}
