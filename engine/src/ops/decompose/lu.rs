//! `A = P L U` with row exchanges, and determinants.

use smallvec::smallvec;

use super::mat::axpy;
use super::{Mat, Routine, part, sizes, square};
use crate::autograd;
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// Replaces `a` by `L` (its unit diagonal implied) and `U`. Returns which row each step exchanged its own with, and the first
/// step (from 1) whose pivot was 0.
pub(super) fn factor(a: &mut Mat) -> (Vec<usize>, usize) {
    let (m, n) = (a.rows, a.cols);
    let (mut pivots, mut info) = (Vec::with_capacity(m.min(n)), 0);
    for k in 0..m.min(n) {
        let column = &a.col(k)[k..];
        // The first of the largest. A NaN is larger than nothing and stays where it is.
        let mut best = 0;
        for (i, v) in column.iter().enumerate() {
            if v.abs() > column[best].abs() {
                best = i;
            }
        }
        pivots.push(k + best);
        a.swap_rows(k, k + best);
        let pivot = a[(k, k)];
        if pivot == 0.0 {
            if info == 0 {
                info = k + 1;
            }
            continue;
        }
        a.col_mut(k)[k + 1..].iter_mut().for_each(|v| *v /= pivot);
        for j in k + 1..n {
            let by = a[(k, j)];
            if by != 0.0 {
                let (l, c) = a.two_cols(k, j);
                axpy(&mut c[k + 1..], -by, &l[k + 1..]);
            }
        }
    }
    (pivots, info)
}

/// A row is `LU`, the pivots (from 1, as LAPACK counts), and `info`: 0, or the first pivot that is 0.
#[derive(Debug)]
pub(crate) struct Lu;

impl Routine for Lu {
    fn name(&self) -> &'static str {
        "linalg.lu_factor"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let (m, n) = sizes[0];
        Ok(m * n + m.min(n) + 1)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut a = inputs.swap_remove(0);
        let (pivots, info) = factor(&mut a);
        let at = a.rows * a.cols;
        a.write(row);
        row[at..].iter_mut().zip(&pivots).for_each(|(to, &p)| *to = (p + 1) as f64);
        row[at + pivots.len()] = info as f64;
    }

    /// With `L₁`, `U₁` the square parts and `Ā` what `P` was taken off:
    /// dĀ₁ = L₁⁻ᵀ [tril(L₁ᵀ dL₁, -1) + triu(dU₁ U₁ᵀ)] U₁⁻ᵀ; what lies below or beside them is brought into these first.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (m, n) = sizes(&ctx.spec(0).shape);
            let k = m.min(n);
            let (rows, dlu) = (ctx.output()?, part(dy, 0, &[m, n])?);
            let (lu, pivots) = (part(rows, 0, &[m, n])?, part(rows, m * n, &[k])?);
            let p = autograd::no_grad(|| pivots.permutation(m))?;
            let (l1, u1) = (lu.narrow(-2, 0, k)?.narrow(-1, 0, k)?.tril(-1)?, lu.narrow(-2, 0, k)?.narrow(-1, 0, k)?.triu(0)?);
            let top = dlu.narrow(-2, 0, k)?.narrow(-1, 0, k)?;
            let mut lower = l1.mt()?.matmul(&top.tril(-1)?)?.add(&top.tril(-1)?)?.tril(-1)?;
            let mut upper = top.triu(0)?.matmul(&u1.mt()?)?.triu(0)?;
            // Rows below the square: L₂ = A₂ U⁻¹. Columns beside it: U₂ = L⁻¹ A₂.
            let mut rest = None;
            if m > n {
                let (l2, dl2) = (lu.narrow(-2, n, m - n)?, dlu.narrow(-2, n, m - n)?);
                upper = upper.sub(&l2.mt()?.matmul(&dl2)?.triu(0)?)?;
                rest = Some((-2, dl2.mt()?));
            } else if n > m {
                let (u2, du2) = (lu.narrow(-1, m, n - m)?, dlu.narrow(-1, m, n - m)?);
                lower = lower.sub(&du2.matmul(&u2.mt()?)?.tril(-1)?)?;
                rest = Some((-1, du2));
            }
            let inner = l1.mt()?.solve_triangular(&lower.add(&upper)?, true, true, true)?;
            let mut da = u1.mt()?.solve_triangular(&inner, false, false, false)?;
            match rest {
                Some((-2, dl2t)) => {
                    let below = u1.solve_triangular(&dl2t, true, true, false)?.mt()?;
                    da = Tensor::cat(&[da, below], -2)?;
                }
                Some((_, du2)) => da = Tensor::cat(&[da, l1.mt()?.solve_triangular(&du2, true, true, true)?], -1)?,
                None => {}
            }
            Ok(smallvec![Some(p.matmul(&da)?)])
        })())
    }
}

/// A row is the determinant, its sign, and the logarithm of its magnitude.
#[derive(Debug)]
pub(crate) struct Determinant;

impl Routine for Determinant {
    fn name(&self) -> &'static str {
        "linalg.det"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        square(self.name(), sizes[0]).map(|_| 3)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut a = inputs.swap_remove(0);
        let (pivots, _) = factor(&mut a);
        let odd = pivots.iter().enumerate().filter(|(i, p)| i != *p).count() % 2 == 1;
        let (mut det, mut sign, mut log) = (1.0, 1.0, 0.0);
        for i in 0..a.rows {
            let u: f64 = a[(i, i)];
            det *= u;
            sign *= if u == 0.0 { 0.0 } else { u.signum() };
            log += u.abs().ln();
        }
        let turn = if odd { -1.0 } else { 1.0 };
        row.copy_from_slice(&[det * turn, sign * turn, log]);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 1, output: true }
    }

    /// d det = det A⁻ᵀ, d log|det| = A⁻ᵀ. Where `A` is singular its determinant still has a gradient, the cofactors: from
    /// the singular values, `det(U V) U diag(products of the others) Vᵀ`.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (a, rows) = (ctx.input(0)?, ctx.output()?);
            let scalar = |t: &Tensor, at| t.narrow(-1, at, 1)?.unsqueeze(-1);
            let (ddet, dlog) = (scalar(dy, 0)?, scalar(dy, 2)?);
            let det = scalar(rows, 0)?;
            let singular = autograd::no_grad(|| det.eq(0))?;
            let regular = || -> Result<Tensor> {
                // A stand-in keeps the inverse of a singular matrix out of the way.
                let eye = Tensor::eye(a.size(-1)?, (a.dtype(), a.device()))?;
                let some = eye.where_(&singular, a)?;
                let inverse = some.solve_matrices(&eye.expand(a.shape())?)?.0.mt()?;
                inverse.mul(&ddet.mul(&det)?.add(&dlog)?)
            };
            let cofactors = || -> Result<Tensor> {
                let (u, s, vh) = autograd::no_grad(|| a.svd(false))?;
                let turn = u.matmul(&vh)?.det()?.unsqueeze(-1)?.unsqueeze(-1)?;
                let n = a.size(-1)?;
                // Row i: all singular values with 1 in place of the i-th.
                let eye = Tensor::eye(n, (crate::DType::Bool, a.device()))?;
                let wide: Vec<usize> = s.shape().iter().copied().chain([n]).collect();
                let others = s.unsqueeze(-2)?.expand(&wide[..])?.masked_fill(&eye, 1.0)?.prod(-1)?;
                let cof = u.mul(&others.unsqueeze(-2)?)?.matmul(&vh)?.mul(&turn)?;
                // The logarithm's gradient is infinite there, as the inverse is.
                let infinite = dlog.div(&det.abs()?)?;
                cof.mul(&ddet.add(&infinite.masked_fill(&dlog.eq(0)?, 0.0)?)?)
            };
            let da = cofactors()?.where_(&singular, &regular()?)?;
            Ok(smallvec![Some(da)])
        })())
    }
}

/// Input the pivots of a factorization as a column. A row is the matrix `P` of its exchanges, of `rows` rows;
/// NaN where a pivot is none of them.
#[derive(Debug)]
pub(crate) struct Permutation {
    pub rows: usize,
}

impl Routine for Permutation {
    fn name(&self) -> &'static str {
        "lu_unpack"
    }

    fn row(&self, _: &[(usize, usize)]) -> Result<usize> {
        Ok(self.rows * self.rows)
    }

    fn flags(&self) -> u64 {
        self.rows as u64
    }

    fn run(&self, inputs: Vec<Mat>, row: &mut [f64]) {
        let mut p = Mat::eye(self.rows, self.rows);
        for (i, &pivot) in inputs[0].col(0).iter().enumerate() {
            let at = (pivot as usize).wrapping_sub(1);
            if i >= self.rows || at >= self.rows {
                row.fill(f64::NAN);
                return;
            }
            p.swap_cols(i, at);
        }
        p.write(row);
    }
}
