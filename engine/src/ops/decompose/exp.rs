//! The exponential of a matrix.

use smallvec::smallvec;

use super::lu::factor;
use super::solve::with_factors;
use super::{Mat, Routine, part, sizes, square};
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::Tensor;

/// A row is `exp(A)`: scaled by a power of two, a Padé approximant of degree 13, squared back (Higham 2005).
#[derive(Debug)]
pub(crate) struct MatrixExp;

/// Coefficients of the approximant's numerator; the denominator has alternating signs.
const PADE: [f64; 14] = [
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
];

impl Routine for MatrixExp {
    fn name(&self) -> &'static str {
        "linalg.matrix_exp"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        square(self.name(), sizes[0]).map(|n| n * n)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let a = inputs.swap_remove(0);
        let n = a.rows;
        if !a.all_finite() {
            row.fill(f64::NAN);
            return;
        }
        let halvings = (a.norm_one() / 5.37).log2().ceil().clamp(0.0, 1100.0) as i32;
        let scale = 0.5f64.powi(halvings);
        let a = a.zip(&a, |v, _| v * scale);
        let a2 = a.mul(&a);
        let a4 = a2.mul(&a2);
        let a6 = a2.mul(&a4);
        // b₀ I + b₂ A² + b₄ A⁴ + b₆ A⁶ + A⁶ (b₈ A² + b₁₀ A⁴ + b₁₂ A⁶), and the same for odd ones.
        let series = |b: [f64; 7]| {
            let low =
                Mat::from_fn(n, n, |i, j| b[1] * a2[(i, j)] + b[2] * a4[(i, j)] + b[3] * a6[(i, j)] + if i == j { b[0] } else { 0.0 });
            let high = Mat::from_fn(n, n, |i, j| b[4] * a2[(i, j)] + b[5] * a4[(i, j)] + b[6] * a6[(i, j)]);
            low.zip(&a6.mul(&high), |x, y| x + y)
        };
        let v = series(std::array::from_fn(|i| PADE[2 * i]));
        let u = a.mul(&series(std::array::from_fn(|i| PADE[2 * i + 1])));
        let mut denominator = v.zip(&u, |v, u| v - u);
        let mut e = v.zip(&u, |v, u| v + u);
        let (pivots, _) = factor(&mut denominator);
        with_factors(&denominator, &pivots, &mut e);
        for _ in 0..halvings {
            e = e.mul(&e);
        }
        e.write(row);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 1, output: false }
    }

    /// exp([Aᵀ dY; 0 Aᵀ]) = [exp(Aᵀ) dA; 0 exp(Aᵀ)]
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, _) = sizes(&ctx.spec(0).shape);
            let (at, dy) = (ctx.input(0)?.mt()?, part(dy, 0, &[n, n])?);
            let top = Tensor::cat(&[at.clone(), dy], -1)?;
            let bottom = Tensor::cat(&[at.zeros_like()?, at], -1)?;
            let both = Tensor::cat(&[top, bottom], -2)?.matrix_exp()?;
            Ok(smallvec![Some(both.narrow(-2, 0, n)?.narrow(-1, n, n)?)])
        })())
    }
}
