//! `A = P L D Lᵀ Pᵀ` of symmetric matrices, `D` with blocks of one and two: Bunch and Kaufman's pivoting.

use super::mat::{axpy, dot};
use super::{Mat, Routine, square};
use crate::error::{Error, Result};

/// A row is `L` and `D` in one lower triangle, LAPACK's pivots (from 1; negative where two rows make a block), and `info`.
#[derive(Debug)]
pub(crate) struct LdlFactor;

impl Routine for LdlFactor {
    fn name(&self) -> &'static str {
        "linalg.ldl_factor"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.name(), sizes[0])?;
        Ok(n * n + n + 1)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut a = inputs.swap_remove(0);
        let n = a.rows;
        let (pivots, info) = factor(&mut a);
        Mat::from_fn(n, n, |i, j| if i >= j { a[(i, j)] } else { 0.0 }).write(row);
        row[n * n..].iter_mut().zip(&pivots).for_each(|(to, &p)| *to = p as f64);
        row[n * n + n] = info as f64;
    }
}

/// The largest magnitude in `x` and where it is.
fn largest(x: impl Iterator<Item = f64>) -> (usize, f64) {
    x.map(f64::abs).enumerate().fold((0, 0.0), |best, (i, v)| if v > best.1 { (i, v) } else { best })
}

/// Works on the lower triangle. Rows to the left of a pivot are not exchanged; [`solve`] exchanges as it goes.
fn factor(a: &mut Mat) -> (Vec<isize>, usize) {
    let n = a.rows;
    let bound = (1.0 + 17f64.sqrt()) / 8.0;
    let (mut pivots, mut info) = (vec![0; n], 0);
    let mut k = 0;
    while k < n {
        let own = a[(k, k)].abs();
        let (at, column) = largest(a.col(k)[k + 1..].iter().copied());
        let far = k + 1 + at;
        let (mut step, mut pivot) = (1, k);
        if own.max(column) == 0.0 || own.is_nan() {
            if info == 0 {
                info = k + 1;
            }
            pivots[k] = k as isize + 1;
            k += 1;
            continue;
        }
        if own < bound * column {
            let beside = largest((k..far).map(|j| a[(far, j)])).1;
            let beside = beside.max(largest(a.col(far)[far + 1..].iter().copied()).1);
            if own < bound * column * (column / beside) {
                pivot = far;
                if a[(far, far)].abs() < bound * beside {
                    step = 2;
                }
            }
        }
        let with = k + step - 1;
        if pivot != with {
            for i in pivot + 1..n {
                let x = a[(i, with)];
                a[(i, with)] = a[(i, pivot)];
                a[(i, pivot)] = x;
            }
            for j in with + 1..pivot {
                let x = a[(j, with)];
                a[(j, with)] = a[(pivot, j)];
                a[(pivot, j)] = x;
            }
            let x = a[(with, with)];
            a[(with, with)] = a[(pivot, pivot)];
            a[(pivot, pivot)] = x;
            if step == 2 {
                let x = a[(with, k)];
                a[(with, k)] = a[(pivot, k)];
                a[(pivot, k)] = x;
            }
        }
        if step == 1 {
            let by = 1.0 / a[(k, k)];
            for j in k + 1..n {
                let x = a[(j, k)] * by;
                let (l, c) = a.two_cols(k, j);
                axpy(&mut c[j..], -x, &l[j..]);
            }
            a.col_mut(k)[k + 1..].iter_mut().for_each(|v| *v *= by);
            pivots[k] = pivot as isize + 1;
        } else {
            let d21 = a[(k + 1, k)];
            let (d11, d22) = (a[(k + 1, k + 1)] / d21, a[(k, k)] / d21);
            let by = 1.0 / (d11 * d22 - 1.0) / d21;
            for j in k + 2..n {
                let x = by * (d11 * a[(j, k)] - a[(j, k + 1)]);
                let y = by * (d22 * a[(j, k + 1)] - a[(j, k)]);
                for i in j..n {
                    a[(i, j)] -= a[(i, k)] * x + a[(i, k + 1)] * y;
                }
                (a[(j, k)], a[(j, k + 1)]) = (x, y);
            }
            (pivots[k], pivots[k + 1]) = (-(pivot as isize) - 1, -(pivot as isize) - 1);
        }
        k += step;
    }
    (pivots, info)
}

/// Inputs `LD`, the pivots as a column, and `B`. A row is `X`; NaN where a pivot is none of
/// the rows.
#[derive(Debug)]
pub(crate) struct LdlSolve;

impl Routine for LdlSolve {
    fn name(&self) -> &'static str {
        "linalg.ldl_solve"
    }

    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize> {
        let n = square(self.name(), sizes[0])?;
        let (rows, cols) = sizes[2];
        if rows != n || sizes[1] != (n, 1) {
            let told = format!("A X = B: LD is {n} by {n}, B is {rows} by {cols}, and there are {} pivots", sizes[1].0);
            return Err(Error::argument(self.name(), told));
        }
        Ok(n * cols)
    }

    fn run(&self, mut inputs: Vec<Mat>, row: &mut [f64]) {
        let mut b = inputs.swap_remove(2);
        let (ld, n) = (&inputs[0], inputs[0].rows);
        let pivots: Vec<isize> = inputs[1].col(0).iter().map(|&p| p as isize).collect();
        if pivots.iter().any(|p| p.unsigned_abs() == 0 || p.unsigned_abs() > n) {
            row.fill(f64::NAN);
            return;
        }
        solve(ld, &pivots, &mut b);
        b.write(row);
    }
}

fn solve(ld: &Mat, pivots: &[isize], b: &mut Mat) {
    let n = ld.rows;
    let other = |k: usize| pivots[k].unsigned_abs() - 1;
    // A block of two ends where a negative pivot has a right neighbour; damaged pivots never lead outside.
    let pair = |k: usize| pivots[k] < 0 && k + 1 < n;
    let mut k = 0;
    while k < n {
        let at = if pair(k) { k + 1 } else { k };
        b.swap_rows(at, other(k));
        for j in 0..b.cols {
            let x = b.col_mut(j);
            if at == k {
                let v = x[k];
                axpy(&mut x[k + 1..], -v, &ld.col(k)[k + 1..]);
                x[k] /= ld[(k, k)];
                continue;
            }
            let (v, w) = (x[k], x[k + 1]);
            axpy(&mut x[k + 2..], -v, &ld.col(k)[k + 2..]);
            axpy(&mut x[k + 2..], -w, &ld.col(k + 1)[k + 2..]);
            let d = ld[(k + 1, k)];
            let (d11, d22) = (ld[(k, k)] / d, ld[(k + 1, k + 1)] / d);
            let (v, w, by) = (v / d, w / d, d11 * d22 - 1.0);
            (x[k], x[k + 1]) = ((d22 * v - w) / by, (d11 * w - v) / by);
        }
        k = at + 1;
    }
    let mut end = n;
    while end > 0 {
        let k = end - 1;
        let first = if pivots[k] < 0 && k > 0 { k - 1 } else { k };
        for j in 0..b.cols {
            let x = b.col_mut(j);
            for i in first..=k {
                x[i] -= dot(&ld.col(i)[end..], &x[end..]);
            }
        }
        b.swap_rows(k, other(k));
        end = first;
    }
}
