//! Dense matrices on the host: `f64`, column by column, so that reflections and rotations walk through memory in order.

use std::ops::{Index, IndexMut};

/// A matrix in host memory.
#[derive(Debug, Clone)]
pub(crate) struct Mat {
    pub rows: usize,
    pub cols: usize,
    data: Vec<f64>,
}

impl Index<(usize, usize)> for Mat {
    type Output = f64;
    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.data[j * self.rows + i]
    }
}

impl IndexMut<(usize, usize)> for Mat {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.data[j * self.rows + i]
    }
}

impl Mat {
    pub fn zeros(rows: usize, cols: usize) -> Mat {
        Mat { rows, cols, data: vec![0.0; rows * cols] }
    }

    /// Ones on the diagonal.
    pub fn eye(rows: usize, cols: usize) -> Mat {
        let mut m = Mat::zeros(rows, cols);
        (0..rows.min(cols)).for_each(|i| m[(i, i)] = 1.0);
        m
    }

    pub fn from_fn(rows: usize, cols: usize, f: impl Fn(usize, usize) -> f64) -> Mat {
        let mut m = Mat::zeros(rows, cols);
        for j in 0..cols {
            for i in 0..rows {
                m[(i, j)] = f(i, j);
            }
        }
        m
    }

    pub fn t(&self) -> Mat {
        Mat::from_fn(self.cols, self.rows, |i, j| self[(j, i)])
    }

    pub fn col(&self, j: usize) -> &[f64] {
        &self.data[j * self.rows..][..self.rows]
    }

    pub fn col_mut(&mut self, j: usize) -> &mut [f64] {
        &mut self.data[j * self.rows..][..self.rows]
    }

    /// Columns `a < b`, both to be written.
    pub fn two_cols(&mut self, a: usize, b: usize) -> (&mut [f64], &mut [f64]) {
        let (left, right) = self.data.split_at_mut(b * self.rows);
        (&mut left[a * self.rows..][..self.rows], &mut right[..self.rows])
    }

    pub fn swap_cols(&mut self, a: usize, b: usize) {
        if a != b {
            let (x, y) = self.two_cols(a.min(b), a.max(b));
            x.swap_with_slice(y);
        }
    }

    pub fn swap_rows(&mut self, a: usize, b: usize) {
        if a != b {
            (0..self.cols).for_each(|j| self.data.swap(j * self.rows + a, j * self.rows + b));
        }
    }

    /// Row by row into `out`.
    pub fn write(&self, out: &mut [f64]) {
        for (i, row) in out.chunks_exact_mut(self.cols.max(1)).take(self.rows).enumerate() {
            row.iter_mut().enumerate().for_each(|(j, v)| *v = self[(i, j)]);
        }
    }

    pub fn mul(&self, other: &Mat) -> Mat {
        let mut out = Mat::zeros(self.rows, other.cols);
        for j in 0..other.cols {
            let to = &mut out.data[j * self.rows..][..self.rows];
            for (k, &by) in other.col(j).iter().enumerate() {
                axpy(to, by, self.col(k));
            }
        }
        out
    }

    /// `f(self, other)`, element by element.
    pub fn zip(&self, other: &Mat, f: impl Fn(f64, f64) -> f64) -> Mat {
        Mat { data: self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect(), ..*self }
    }

    /// The largest sum of a column's magnitudes.
    pub fn norm_one(&self) -> f64 {
        (0..self.cols).map(|j| self.col(j).iter().map(|v| v.abs()).sum::<f64>()).fold(0.0, f64::max)
    }

    pub fn all_finite(&self) -> bool {
        self.data.iter().all(|v| v.is_finite())
    }

    /// Columns `j` and `j + 1`, as two coordinates, turned: `(c x + s y, c y - s x)`.
    pub fn rotate_cols(&mut self, j: usize, c: f64, s: f64) {
        let (x, y) = self.two_cols(j, j + 1);
        turn(x, y, c, s);
    }

    /// `(I - tau v vᵀ) self[at.., from..]`, where `v` starts with an implicit 1.
    pub fn reflect_left(&mut self, at: usize, from: usize, tail: &[f64], tau: f64) {
        if tau == 0.0 {
            return;
        }
        for j in from..self.cols {
            let (first, rest) = match self.col_mut(j)[at..].split_first_mut() {
                Some((first, rest)) => (first, &mut rest[..tail.len()]),
                None => return,
            };
            let w = tau * (*first + dot(tail, rest));
            *first -= w;
            axpy(rest, -w, tail);
        }
    }

    /// `self[from.., at..] (I - tau v vᵀ)`, where `v` starts with an implicit 1.
    pub fn reflect_right(&mut self, from: usize, at: usize, tail: &[f64], tau: f64) {
        if tau == 0.0 {
            return;
        }
        let mut w = self.col(at)[from..].to_vec();
        for (j, &v) in tail.iter().enumerate() {
            axpy(&mut w, v, &self.col(at + 1 + j)[from..]);
        }
        axpy(&mut self.col_mut(at)[from..], -tau, &w);
        for (j, &v) in tail.iter().enumerate() {
            axpy(&mut self.col_mut(at + 1 + j)[from..], -tau * v, &w);
        }
    }
}

/// `(x, y)` to `(c x + s y, c y - s x)`, element by element.
pub(super) fn turn(x: &mut [f64], y: &mut [f64], c: f64, s: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
    }
}

/// Eight sums side by side, which the compiler keeps in vector registers.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (&a[..a.len().min(b.len())], &b[..a.len().min(b.len())]);
    let tail = a.len() / 8 * 8;
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        (0..8).for_each(|i| sums[i] += a[i] * b[i]);
    }
    sums.iter().sum::<f64>() + a[tail..].iter().zip(&b[tail..]).map(|(a, b)| a * b).sum::<f64>()
}

/// `y += a x`.
pub(super) fn axpy(y: &mut [f64], a: f64, x: &[f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// The euclidean norm, of numbers of any magnitude.
pub(super) fn norm(x: &[f64]) -> f64 {
    let scale = x.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    // Only what could overflow or vanish is scaled.
    if scale == 0.0 || (1e-140..1e140).contains(&scale) {
        return dot(x, x).sqrt();
    }
    scale * x.iter().map(|v| (v / scale) * (v / scale)).sum::<f64>().sqrt()
}

/// The reflection `I - tau v vᵀ` that takes `[alpha, x]` to `[beta, 0]`: `x` becomes the rest of `v`, whose first element is 1.
/// `beta` has the sign that `alpha` has not, so that nothing cancels. Returns `(beta, tau)`.
pub(super) fn reflector(alpha: f64, x: &mut [f64]) -> (f64, f64) {
    let length = norm(x);
    if length == 0.0 {
        return (alpha, 0.0);
    }
    let beta = -alpha.hypot(length).copysign(alpha);
    x.iter_mut().for_each(|v| *v /= alpha - beta);
    (beta, (beta - alpha) / beta)
}

/// `(c, s, r)` with `c f + s g = r` and `c g - s f = 0`.
pub(super) fn rotation(f: f64, g: f64) -> (f64, f64, f64) {
    if g == 0.0 {
        return (1.0, 0.0, f);
    }
    if f == 0.0 {
        return (0.0, 1.0, g);
    }
    // Positive, unless `f` is the larger one and negative.
    let r = f.hypot(g);
    let r = if f < 0.0 && f.abs() > g.abs() { -r } else { r };
    (f / r, g / r, r)
}
