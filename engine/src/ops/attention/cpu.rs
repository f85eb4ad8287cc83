//! Attention on the CPU: matrix products on tiles of scores that stay in the cache, shared out over heads
//! and blocks of rows.

use super::{Scores, Sizes};
use crate::error::{Error, Result};
use crate::ops::{Float, Matrix, gemm, scratch};
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// Rows of the result one job makes, and how many of the other side it takes at a time.
const ROWS: usize = 64;
const COLS: usize = 256;
/// Scores below which one thread is enough.
const SMALL: usize = 1 << 13;

/// One operand, head by head.
#[derive(Clone, Copy)]
struct Heads<'a, T> {
    data: &'a [T],
    at: usize,
    strides: [isize; 4],
}

impl<'a, T: Float> Heads<'a, T> {
    /// `[B, H, L, D]`, or `[B, H, L]` with a last stride of 0.
    fn new(x: &CpuIn<'a>) -> Heads<'a, T> {
        let mut strides = [0; 4];
        strides.iter_mut().zip(&x.layout.strides).for_each(|(s, &v)| *s = v);
        Heads { data: x.data(), at: x.layout.offset, strides }
    }

    fn start(&self, b: usize, h: usize, row: usize) -> usize {
        (self.at as isize + b as isize * self.strides[0] + h as isize * self.strides[1] + row as isize * self.strides[2]) as usize
    }

    /// The matrix of head `h` from row `row` on.
    fn matrix(&self, b: usize, h: usize, row: usize) -> Matrix<'a, T> {
        Matrix { data: self.data, at: self.start(b, h, row), row: self.strides[2], col: self.strides[3] }
    }

    fn get(&self, b: usize, h: usize, row: usize, col: usize) -> T {
        self.data[(self.start(b, h, row) as isize + col as isize * self.strides[3]) as usize]
    }
}

struct Inputs<'a, T> {
    z: Sizes,
    q: Heads<'a, T>,
    k: Heads<'a, T>,
    v: Heads<'a, T>,
    mask: Option<Heads<'a, T>>,
    causal: bool,
    scale: T,
}

impl<'a, T: Float> Inputs<'a, T> {
    fn new(scores: &Scores, x: &[CpuIn<'a>], mask: usize) -> Result<Self> {
        let z = Sizes::new(x[0].shape(), x[1].shape(), x[2].shape()).ok_or_else(|| Error::argument("attention", "shapes do not fit"))?;
        let mask = x.get(mask).map(Heads::new);
        Ok(Inputs {
            z,
            q: Heads::new(&x[0]),
            k: Heads::new(&x[1]),
            v: Heads::new(&x[2]),
            mask,
            causal: scores.causal,
            scale: T::constant(scores.scale),
        })
    }

    /// Keys that any of the queries up to `row` sees.
    fn seen(&self, row: usize) -> usize {
        if self.causal { self.z.s.min(row + 1) } else { self.z.s }
    }

    /// Scores of `rows` queries from `row` on with `cols` keys from `col` on; what is hidden is minus infinity.
    fn scores(&self, b: usize, h: usize, row: usize, rows: usize, col: usize, cols: usize, out: &mut [T]) {
        let group = h / (self.z.h / self.z.g);
        gemm(rows, cols, self.z.d, self.q.matrix(b, h, row), self.k.matrix(b, group, col).t(), out, cols, false, false);
        for (i, line) in out.chunks_mut(cols).take(rows).enumerate() {
            line.iter_mut().for_each(|s| *s = *s * self.scale);
            if let Some(mask) = &self.mask {
                line.iter_mut().enumerate().for_each(|(j, s)| *s += mask.get(b, h, row + i, col + j));
            }
            if self.causal && col + cols > row + i + 1 {
                line[(row + i + 1).saturating_sub(col).min(cols)..].fill(T::NEG_INFINITY);
            }
        }
    }
}

/// Runs `f(job)` for all jobs, on all cores if `parallel`.
fn run<J: Send>(jobs: Vec<J>, parallel: bool, f: impl Fn(J) -> Result<()> + Sync + Send) -> Result<()> {
    #[cfg(not(target_arch = "wasm32"))]
    if parallel {
        use rayon::prelude::*;
        return jobs.into_par_iter().try_for_each(f);
    }
    let _ = parallel;
    jobs.into_iter().try_for_each(f)
}

/// Takes the next `n` elements of what is left.
fn take<'a, T>(rest: &mut &'a mut [T], n: usize) -> &'a mut [T] {
    let (head, tail) = std::mem::take(rest).split_at_mut(n);
    *rest = tail;
    head
}

/// Combines a row in 16 lanes, which become vector registers, then the lanes in order.
fn lanes<T: Float>(row: &[T], start: T, f: impl Fn(T, T) -> T) -> T {
    let mut all = [start; 16];
    let chunks = row.chunks_exact(16);
    let rest = chunks.remainder();
    for chunk in chunks {
        all.iter_mut().zip(chunk).for_each(|(a, &v)| *a = f(*a, v));
    }
    rest.iter().chain(&all[1..]).fold(all[0], |a, &v| f(a, v))
}

pub(super) fn forward<T: Float>(scores: &Scores, x: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
    let a = Inputs::<T>::new(scores, x, 3)?;
    let z = a.z;
    let (mut y, mut sums) = out.data::<T>().split_at_mut(z.b * z.h * z.l * z.e);
    let mut jobs = Vec::new();
    for head in 0..z.b * z.h {
        for row in (0..z.l).step_by(ROWS) {
            let rows = ROWS.min(z.l - row);
            jobs.push((head / z.h, head % z.h, row, take(&mut y, rows * z.e), take(&mut sums, rows)));
        }
    }
    run(jobs, z.b * z.h * z.l * z.s > SMALL, |(b, h, row, y, sums)| {
        let rows = sums.len();
        let group = h / (z.h / z.g);
        let mut tile = scratch("attention", rows * COLS.min(z.s), T::ZERO)?;
        let mut most = [T::NEG_INFINITY; ROWS];
        sums.fill(T::ZERO);
        y.fill(T::ZERO);
        let end = a.seen(row + rows - 1);
        for col in (0..end).step_by(COLS) {
            let cols = COLS.min(end - col);
            let tile = &mut tile[..rows * cols];
            a.scores(b, h, row, rows, col, cols, tile);
            for (i, line) in tile.chunks_mut(cols).enumerate() {
                let max = lanes(line, most[i], |m, s| if s > m { s } else { m });
                if max == T::NEG_INFINITY {
                    // Nothing seen so far, unless it is not a number.
                    line.iter_mut().for_each(|s| *s = s.exp());
                } else {
                    let down = (most[i] - max).exp();
                    most[i] = max;
                    sums[i] = sums[i] * down;
                    y[i * z.e..][..z.e].iter_mut().for_each(|v| *v = *v * down);
                    line.iter_mut().for_each(|s| *s = (*s - max).exp());
                }
                sums[i] += lanes(line, T::ZERO, |t, s| t + s);
            }
            gemm(rows, z.e, cols, Matrix::rows(tile, cols), a.v.matrix(b, group, col), y, z.e, true, false);
        }
        for i in 0..rows {
            if sums[i] == T::ZERO {
                continue;
            }
            let by = T::ONE / sums[i];
            y[i * z.e..][..z.e].iter_mut().for_each(|v| *v = *v * by);
            sums[i] = most[i] + sums[i].log();
        }
        Ok(())
    })
}

/// The probabilities and the gradient of the scores, for a tile.
struct Backward<'a, T> {
    a: Inputs<'a, T>,
    dy: Heads<'a, T>,
    sums: Heads<'a, T>,
    delta: Heads<'a, T>,
}

impl<'a, T: Float> Backward<'a, T> {
    fn new(scores: &Scores, x: &[CpuIn<'a>]) -> Result<Self> {
        Ok(Backward { a: Inputs::new(scores, x, 6)?, dy: Heads::new(&x[3]), sums: Heads::new(&x[4]), delta: Heads::new(&x[5]) })
    }

    /// `p = softmax(scores)`, `ds = p (dy v^T - delta) scale`.
    fn tile(&self, b: usize, h: usize, row: usize, rows: usize, col: usize, cols: usize, p: &mut [T], ds: &mut [T]) {
        let z = self.a.z;
        let group = h / (z.h / z.g);
        self.a.scores(b, h, row, rows, col, cols, p);
        gemm(rows, cols, z.e, self.dy.matrix(b, h, row), self.a.v.matrix(b, group, col).t(), ds, cols, false, false);
        for (i, (p, ds)) in p.chunks_mut(cols).zip(ds.chunks_mut(cols)).take(rows).enumerate() {
            let sum = self.sums.get(b, h, row + i, 0);
            p.iter_mut().for_each(|p| *p = (*p - sum).exp());
            let delta = self.delta.get(b, h, row + i, 0);
            ds.iter_mut().zip(p).for_each(|(d, p)| *d = *p * (*d - delta) * self.a.scale);
        }
    }
}

pub(super) fn query_grad<T: Float>(scores: &Scores, x: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
    let w = Backward::<T>::new(scores, x)?;
    let z = w.a.z;
    let mut rest = out.data::<T>();
    let mut jobs = Vec::new();
    for head in 0..z.b * z.h {
        for row in (0..z.l).step_by(ROWS) {
            let rows = ROWS.min(z.l - row);
            jobs.push((head / z.h, head % z.h, row, rows, take(&mut rest, rows * z.d)));
        }
    }
    run(jobs, z.b * z.h * z.l * z.s > SMALL, |(b, h, row, rows, dq)| {
        let group = h / (z.h / z.g);
        let wide = COLS.min(z.s);
        let mut p = scratch("attention", rows * wide, T::ZERO)?;
        let mut ds = scratch("attention", rows * wide, T::ZERO)?;
        dq.fill(T::ZERO);
        let end = w.a.seen(row + rows - 1);
        for col in (0..end).step_by(COLS) {
            let cols = COLS.min(end - col);
            w.tile(b, h, row, rows, col, cols, &mut p[..rows * cols], &mut ds[..rows * cols]);
            gemm(rows, z.d, cols, Matrix::rows(&ds[..rows * cols], cols), w.a.k.matrix(b, group, col), dq, z.d, true, false);
        }
        Ok(())
    })
}

pub(super) fn key_grad<T: Float>(scores: &Scores, x: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
    let w = Backward::<T>::new(scores, x)?;
    let z = w.a.z;
    let (mut dk, mut dv) = out.data::<T>().split_at_mut(z.b * z.g * z.s * z.d);
    let mut jobs = Vec::new();
    for head in 0..z.b * z.g {
        for col in (0..z.s).step_by(ROWS) {
            let cols = ROWS.min(z.s - col);
            jobs.push((head / z.g, head % z.g, col, cols, take(&mut dk, cols * z.d), take(&mut dv, cols * z.e)));
        }
    }
    run(jobs, z.b * z.h * z.l * z.s > SMALL, |(b, group, col, cols, dk, dv)| {
        let tall = COLS.min(z.l);
        let mut p = scratch("attention", tall * cols, T::ZERO)?;
        let mut ds = scratch("attention", tall * cols, T::ZERO)?;
        dk.fill(T::ZERO);
        dv.fill(T::ZERO);
        let share = z.h / z.g;
        for h in group * share..(group + 1) * share {
            // Earlier queries do not see these keys.
            let first = if w.a.causal { col } else { 0 };
            for row in (first..z.l).step_by(COLS) {
                let rows = COLS.min(z.l - row);
                let (p, ds) = (&mut p[..rows * cols], &mut ds[..rows * cols]);
                w.tile(b, h, row, rows, col, cols, p, ds);
                gemm(cols, z.e, rows, Matrix::rows(p, cols).t(), w.dy.matrix(b, h, row), dv, z.e, true, false);
                gemm(cols, z.d, rows, Matrix::rows(ds, cols).t(), w.a.q.matrix(b, h, row), dk, z.d, true, false);
            }
        }
        Ok(())
    })
}
