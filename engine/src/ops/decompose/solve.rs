//! `A X = B`: for general matrices, and for triangular ones.

use smallvec::smallvec;

use super::lu::factor;
use super::mat::{axpy, dot};
use super::{Mat, Routine, part, sizes, square};
use crate::autograd::Ctx;
use crate::error::{Error, Result};
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// Solves with a triangle of `t`, in place of `b`. The other triangle, and a unit diagonal, are not looked at.
pub(super) fn triangular(t: &Mat, b: &mut Mat, upper: bool, unit: bool, transposed: bool) {
    let n = t.rows;
    for j in 0..b.cols {
        let x = b.col_mut(j);
        if upper != transposed {
            // The last unknown first.
            for k in (0..n).rev() {
                if transposed {
                    x[k] -= dot(&t.col(k)[k + 1..], &x[k + 1..]);
                }
                if !unit {
                    x[k] /= t[(k, k)];
                }
                if !transposed {
                    let v = x[k];
                    axpy(&mut x[..k], -v, &t.col(k)[..k]);
                }
            }
        } else {
            for k in 0..n {
                if transposed {
                    x[k] -= dot(&t.col(k)[..k], &x[..k]);
                }
                if !unit {
                    x[k] /= t[(k, k)];
                }
                if !transposed {
                    let v = x[k];
                    axpy(&mut x[k + 1..], -v, &t.col(k)[k + 1..]);
                }
            }
        }
    }
}

/// Solves with the factors of [`factor`], in place of `b`.
pub(super) fn with_factors(lu: &Mat, pivots: &[usize], b: &mut Mat) {
    pivots.iter().enumerate().for_each(|(i, &p)| b.swap_rows(i, p));
    triangular(lu, b, false, true, false);
    triangular(lu, b, true, false, false);
}

/// Inputs `A` and `B`. A row is `X`, then `info`: 0, or the first pivot that is 0.
#[derive(Debug)]
pub(crate) struct Solve {
    /// Whom errors name.
    pub op: &'static str,
}

impl Routine for Solve {
    fn name(&self) -> &'static str {
        self.op
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.op, sizes[0])?;
        let (rows, cols) = sizes[1];
        if rows != n {
            return Err(Error::argument(self.op, format!("A X = B: A is {n} by {n}, B is {rows} by {cols}")));
        }
        Ok(n * cols + 1)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let (mut b, mut a) = (inputs.swap_remove(1), inputs.swap_remove(0));
        let (pivots, info) = factor(&mut a);
        with_factors(&a, &pivots, &mut b);
        b.write(row);
        row[b.rows * b.cols] = info as f64;
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 1, output: true }
    }

    /// dB = A⁻ᵀ dX, dA = -dB Xᵀ
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, k) = sizes(&ctx.spec(1).shape);
            let (x, dx) = (part(ctx.output()?, 0, &[n, k])?, part(dy, 0, &[n, k])?);
            let db = ctx.input(0)?.mt()?.solve_matrices(&dx)?.0;
            let da = ctx.needs(0).then(|| db.matmul(&x.mt()?)?.neg()).transpose()?;
            Ok(smallvec![da, Some(db)])
        })())
    }
}

/// Inputs a triangular `A` and `B`. A row is `X`.
#[derive(Debug)]
pub(crate) struct SolveTriangular {
    pub upper: bool,
    /// The diagonal is taken for ones.
    pub unit: bool,
}

impl Routine for SolveTriangular {
    fn name(&self) -> &'static str {
        "linalg.solve_triangular"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.name(), sizes[0])?;
        let (rows, cols) = sizes[1];
        if rows != n {
            return Err(Error::argument(self.name(), format!("A X = B: A is {n} by {n}, B is {rows} by {cols}")));
        }
        Ok(n * cols)
    }

    fn flags(&self) -> u64 {
        self.upper as u64 | (self.unit as u64) << 1
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut b = inputs.swap_remove(1);
        triangular(&inputs[0], &mut b, self.upper, self.unit, false);
        b.write(row);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 1, output: true }
    }

    /// dB = A⁻ᵀ dX, dA = the triangle of -dB Xᵀ
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, k) = sizes(&ctx.spec(1).shape);
            let (x, dx) = (part(ctx.output()?, 0, &[n, k])?, part(dy, 0, &[n, k])?);
            let db = ctx.input(0)?.mt()?.solve_triangular(&dx, !self.upper, true, self.unit)?;
            let inside = self.unit as isize;
            let triangle = |t: Tensor| if self.upper { t.triu(inside) } else { t.tril(-inside) };
            let da = ctx.needs(0).then(|| triangle(db.matmul(&x.mt()?)?.neg()?)).transpose()?;
            Ok(smallvec![da, Some(db)])
        })())
    }
}
