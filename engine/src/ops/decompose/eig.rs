//! Eigenvalues and eigenvectors of general matrices, which may be complex.

use rustfft::num_complex::Complex;
use smallvec::smallvec;

use super::eigh::unfinished;
use super::mat::{norm, rotation};
use super::schur::{Schur, schur};
use super::{Mat, Routine, part, sizes, square};
use crate::autograd;
use crate::autograd::Ctx;
use crate::error::Result;
use crate::ops::{Grads, Saves};
use crate::tensor::{ComplexTensor, Tensor};

/// A row is the eigenvalues and then, if they are wanted, the matrix whose columns are the eigenvectors: pairs of floats. Vectors have
/// length 1, and their largest element is real.
#[derive(Debug)]
pub(crate) struct Eig {
    pub vectors: bool,
}

impl Routine for Eig {
    fn name(&self) -> &'static str {
        "linalg.eig"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.name(), sizes[0])?;
        Ok(2 * n + if self.vectors { 2 * n * n } else { 0 })
    }

    fn flags(&self) -> u64 {
        self.vectors as u64
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let a = inputs.swap_remove(0);
        let n = a.rows;
        if !a.all_finite() {
            return unfinished(row);
        }
        // Squares and products of what is very large or very small would leave the range of numbers.
        let largest = (0..n).flat_map(|j| a.col(j)).fold(0.0f64, |m, v| m.max(v.abs()));
        let unit = if largest == 0.0 || (1e-100..1e100).contains(&largest) { 1.0 } else { largest };
        let mut a = a.zip(&a, |v, _| v / unit);
        let scales = balance(&mut a);
        let Some(form) = schur(a) else { return unfinished(row) };
        let values = eigenvalues(&form.t);
        let (first, rest) = row.split_at_mut(2 * n);
        first.chunks_exact_mut(2).zip(&values).for_each(|(to, z)| to.copy_from_slice(&[z.re * unit, z.im * unit]));
        if !self.vectors {
            return;
        }
        for j in (0..n).filter(|&j| values[j].im >= 0.0) {
            let v = vector(&form, &scales, j, values[j]);
            let mut write = |j: usize, v: &dyn Fn(usize) -> Complex<f64>| {
                (0..n).for_each(|i| rest[2 * (i * n + j)..][..2].copy_from_slice(&[v(i).re, v(i).im]));
            };
            write(j, &|i| v[i]);
            if values[j].im > 0.0 {
                write(j + 1, &|i| v[i].conj());
            }
        }
    }

    fn saves(&self) -> Saves {
        Saves { inputs: !self.vectors as u32, output: self.vectors }
    }

    /// dA = V⁻ᴴ [diag(dL) + (Vᴴ dV - Vᴴ V diag(Re diag(Vᴴ dV))) / conj(Lⱼ - Lᵢ)] Vᴴ, of which the real part is that of a real
    /// matrix; equal eigenvalues pass nothing to each other's vectors.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Option<Result<Grads>> {
        Some((|| {
            let (n, _) = sizes(&ctx.spec(0).shape);
            let values = |t: &Tensor| part(t, 0, &[n, 2])?.view_as_complex();
            let vectors = |t: &Tensor| part(t, 2 * n, &[n, n, 2])?.view_as_complex();
            let dl = values(dy)?;
            let mut inner = diagonal(&dl)?;
            let vh;
            if self.vectors {
                let rows = ctx.output()?;
                let (l, v) = (values(rows)?, vectors(rows)?);
                vh = v.mh()?;
                let turned = vh.matmul(&vectors(dy)?)?;
                let own = turned.real()?.diagonal(0, -2, -1)?.unsqueeze(-2)?;
                let turned = turned.sub(&vh.matmul(&v.scale(&own)?)?)?;
                let gaps = l.unsqueeze(-2)?.sub(&l.unsqueeze(-1)?)?.conj()?;
                let same = autograd::no_grad(|| gaps.real()?.eq(0)?.logical_and(&gaps.imag()?.eq(0)?))?;
                let gaps = ComplexTensor::new(&gaps.real()?.masked_fill(&same, 1)?, &gaps.imag()?)?;
                let others = turned.div(&gaps)?;
                let others = ComplexTensor::new(&others.real()?.masked_fill(&same, 0)?, &others.imag()?.masked_fill(&same, 0)?)?;
                inner = inner.add(&others)?;
            } else {
                let again = || ctx.input(0)?.eig()?.1.mh();
                vh = if autograd::is_enabled() { again()? } else { autograd::no_grad(again)? };
            }
            Ok(smallvec![Some(vh.solve(&inner.matmul(&vh)?)?.real()?)])
        })())
    }
}

/// The matrices with these diagonals.
fn diagonal(z: &ComplexTensor) -> Result<ComplexTensor> {
    ComplexTensor::new(&z.real()?.diag_embed(0, -2, -1)?, &z.imag()?.diag_embed(0, -2, -1)?)
}

/// Rows and columns scaled by powers of two, which cancel, until they have about the same length: small eigenvalues keep their
/// digits. Returns what each column was multiplied by.
fn balance(a: &mut Mat) -> Vec<f64> {
    let n = a.rows;
    let mut scales = vec![1.0; n];
    let mut changed = true;
    while changed {
        changed = false;
        for i in 0..n {
            let row: Vec<f64> = (0..n).map(|j| a[(i, j)]).collect();
            let (c, r) = (norm(a.col(i)), norm(&row));
            if c == 0.0 || r == 0.0 {
                continue;
            }
            let (mut f, mut scaled) = (1.0, c);
            while scaled < r / 2.0 && f < 1e150 {
                (f, scaled) = (f * 2.0, scaled * 4.0);
            }
            while scaled >= r * 2.0 && f > 1e-150 {
                (f, scaled) = (f / 2.0, scaled / 4.0);
            }
            if c * f + r / f >= 0.95 * (c + r) || !(1e-150..1e150).contains(&(scales[i] * f)) {
                continue;
            }
            changed = true;
            scales[i] *= f;
            (0..n).for_each(|j| a[(i, j)] /= f);
            a.col_mut(i).iter_mut().for_each(|v| *v *= f);
        }
    }
    scales
}

/// Of the blocks on the diagonal; a pair has the one with positive imaginary part first.
fn eigenvalues(t: &Mat) -> Vec<Complex<f64>> {
    let n = t.rows;
    let mut values: Vec<_> = (0..n).map(|i| Complex::new(t[(i, i)], 0.0)).collect();
    for i in 0..n.saturating_sub(1) {
        let size = t[(i, i + 1)].abs().sqrt() * t[(i + 1, i)].abs().sqrt();
        if t[(i + 1, i)] != 0.0 {
            (values[i].im, values[i + 1].im) = (size, -size);
        }
    }
    values
}

/// The vector of the eigenvalue of the block that starts at `j`: `T x = lambda x` from the block upwards, then `Q x`.
fn vector(Schur { t, q }: &Schur, scales: &[f64], j: usize, lambda: Complex<f64>) -> Vec<Complex<f64>> {
    let n = t.rows;
    let mut x = vec![Complex::new(0.0, 0.0); n];
    let size = if lambda.im == 0.0 { 1 } else { 2 };
    if size == 1 {
        x[j].re = 1.0;
    } else if t[(j, j + 1)].abs() >= t[(j + 1, j)].abs() {
        (x[j].re, x[j + 1].im) = (1.0, lambda.im / t[(j, j + 1)]);
    } else {
        (x[j].re, x[j + 1].im) = (-lambda.im / t[(j + 1, j)], 1.0);
    }
    // What is subtracted from the diagonal may leave nothing there: then something small takes its place.
    let small = (f64::EPSILON * t.norm_one()).max(1e-150);
    let nonzero = |z: Complex<f64>| if z.norm() < small { Complex::new(small, 0.0) } else { z };
    let mut above = j;
    while above > 0 {
        let i = above - 1;
        let rest = |row: usize, x: &[Complex<f64>]| -(above..j + size).map(|k| x[k] * t[(row, k)]).sum::<Complex<f64>>();
        if i > 0 && t[(i, i - 1)] != 0.0 {
            let h = i - 1;
            let (p, r) = (rest(h, &x), rest(i, &x));
            let (a, d) = (Complex::from(t[(h, h)]) - lambda, Complex::from(t[(i, i)]) - lambda);
            let (b, c) = (t[(h, i)], t[(i, h)]);
            let det = nonzero(a * d - b * c);
            (x[h], x[i]) = ((p * d - r * b) / det, (r * a - p * c) / det);
            above = h;
        } else {
            x[i] = rest(i, &x) / nonzero(Complex::from(t[(i, i)]) - lambda);
            above = i;
        }
        let largest = x.iter().fold(0.0f64, |m, z| m.max(z.norm()));
        if largest > 1e100 {
            x.iter_mut().for_each(|z| *z /= largest);
        }
    }
    let mut v: Vec<Complex<f64>> = (0..n).map(|i| (0..j + size).map(|k| x[k] * q[(i, k)]).sum::<Complex<f64>>() * scales[i]).collect();
    let length = norm(&v.iter().flat_map(|z| [z.re, z.im]).collect::<Vec<_>>());
    v.iter_mut().for_each(|z| *z /= length);
    if size == 2 {
        let largest = (0..n).fold(0, |m, i| if v[i].norm_sqr() > v[m].norm_sqr() { i } else { m });
        let (c, s, _) = rotation(v[largest].re, v[largest].im);
        v.iter_mut().for_each(|z| *z *= Complex::new(c, -s));
        v[largest].im = 0.0;
    }
    v
}
