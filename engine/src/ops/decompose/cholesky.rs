//! `A = L Lᵀ` of symmetric positive definite matrices.

use smallvec::smallvec;

use super::mat::dot;
use super::{Mat, Routine, part, sizes, square};
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// A row is `L`, then `info`: 0, or the order of the first leading minor that is not positive definite. Reads the lower triangle.
#[derive(Debug)]
pub(crate) struct Cholesky;

impl Routine for Cholesky {
    fn name(&self) -> &'static str {
        "linalg.cholesky"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.name(), sizes[0])?;
        Ok(n * n + 1)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let a = inputs.swap_remove(0);
        let n = a.rows;
        // Lᵀ, whose columns are the rows of L: inner products walk through memory.
        let mut lt = Mat::zeros(n, n);
        let mut info = 0;
        'rows: for i in 0..n {
            for j in 0..=i {
                let rest = a[(i, j)] - dot(&lt.col(i)[..j], &lt.col(j)[..j]);
                if j < i {
                    lt[(j, i)] = rest / lt[(j, j)];
                } else if rest > 0.0 && rest.is_finite() {
                    lt[(i, i)] = rest.sqrt();
                } else {
                    info = i + 1;
                    break 'rows;
                }
            }
        }
        lt.t().write(row);
        row[n * n] = info as f64;
    }

    fn saves(&self) -> Saves {
        Saves::OUTPUT
    }

    /// dA = L⁻ᵀ φ(Lᵀ dL) L⁻¹, made symmetric, where φ takes the lower triangle and halves the diagonal.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, _) = sizes(&ctx.spec(0).shape);
            let l = part(ctx.output()?, 0, &[n, n])?;
            let dl = part(dy, 0, &[n, n])?.tril(0)?;
            let phi = l.mt()?.matmul(&dl)?.tril(0)?;
            // The lower triangle and its mirror image: half of what is symmetric.
            let both = phi.add(&phi.tril(-1)?.mt()?)?.mul(0.5)?;
            let left = l.mt()?.solve_triangular(&both, true, true, false)?;
            Ok(smallvec![Some(l.solve_triangular(&left, false, false, false)?)])
        })())
    }
}
