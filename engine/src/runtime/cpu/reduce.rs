//! Reductions over registers.
//!
//! Precision: `f32` sums run in [`LANES`] independent lanes over at most a tile, then in `f64`; so the error of
//! a long sum stays near that of pairwise summation. The order is fixed by sizes alone, never by threads.

use super::tile::{Reg, TILE};
use super::wide::widened;
use crate::ops::{Class, Combine};

/// Independent accumulators of a slice: enough to hide the latency of an addition in eight 128-bit registers.
const LANES: usize = 32;
/// Columns that are summed in `f32` before a lane's partial sum moves on to `f64`.
const HELD: usize = 32;

/// An element type that can be ordered.
trait Num: Copy + PartialOrd {
    const LOW: Self;
    const HIGH: Self;
    #[inline(always)]
    fn nan(self) -> bool {
        false
    }
}
macro_rules! num {
    ($($t:ty, $low:expr, $high:expr, $nan:expr;)*) => {$(
        impl Num for $t {
            const LOW: $t = $low;
            const HIGH: $t = $high;
            #[inline(always)]
            fn nan(self) -> bool { $nan(self) }
        }
    )*};
}
num! {
    f32, f32::NEG_INFINITY, f32::INFINITY, |x: f32| x.is_nan();
    f64, f64::NEG_INFINITY, f64::INFINITY, |x: f64| x.is_nan();
    i64, i64::MIN, i64::MAX, |_| false;
    u64, u64::MIN, u64::MAX, |_| false;
    bool, false, true, |_| false;
}

/// The larger; a NaN wins and stays.
#[inline(always)]
fn max<T: Num>(m: T, x: T) -> T {
    if (x > m) | x.nan() { x } else { m }
}

#[inline(always)]
fn min<T: Num>(m: T, x: T) -> T {
    if (x < m) | x.nan() { x } else { m }
}

/// Whether `x`, met after `m`, takes its place as the extreme: ties and later NaNs do not.
#[inline(always)]
fn beats_max<T: Num>(m: T, x: T) -> bool {
    (x > m) | (x.nan() & !m.nan())
}

#[inline(always)]
fn beats_min<T: Num>(m: T, x: T) -> bool {
    (x < m) | (x.nan() & !m.nan())
}

/// Folds a slice in `LANES` lanes, without merging them.
#[inline(always)]
fn lanes<T: Copy, A: Copy>(xs: &[T], init: A, f: impl Fn(A, T) -> A) -> [A; LANES] {
    let mut acc = [init; LANES];
    let (blocks, rest) = xs.as_chunks::<LANES>();
    for block in blocks {
        for l in 0..LANES {
            acc[l] = f(acc[l], block[l]);
        }
    }
    acc.iter_mut().zip(rest).for_each(|(a, &x)| *a = f(*a, x));
    acc
}

/// Merges lanes pairwise.
#[inline(always)]
fn merge<A: Copy>(mut acc: [A; LANES], f: impl Fn(A, A) -> A) -> A {
    let mut half = LANES / 2;
    while half > 0 {
        for l in 0..half {
            acc[l] = f(acc[l], acc[l + half]);
        }
        half /= 2;
    }
    acc[0]
}

#[inline(always)]
fn fold<T: Copy>(xs: &[T], init: T, f: impl Fn(T, T) -> T) -> T {
    if xs.len() < LANES { xs.iter().fold(init, |a, &x| f(a, x)) } else { merge(lanes(xs, init, &f), f) }
}

widened! {
    fn sum_f32(xs: &[f32]) -> f64 {
        if xs.len() < LANES {
            return xs.iter().map(|&x| x as f64).sum();
        }
        let mut sum = 0.0;
        for tile in xs.chunks(TILE) {
            sum += merge(lanes(tile, 0f32, |a, x| a + x).map(|x| x as f64), |a, b| a + b);
        }
        sum
    }
}

widened! {
    /// The largest of `start` and `xs`.
    fn largest<T: Num>(xs: &[T], start: T) -> T {
        fold(xs, start, max)
    }
}

widened! {
    fn smallest<T: Num>(xs: &[T], start: T) -> T {
        fold(xs, start, min)
    }
}

widened! {
    /// Adds columns of `acc.len()` elements to `acc`.
    fn add_columns(acc: &mut [f32], xs: &[f32]) {
        columns(acc, xs, |a, x| a + x)
    }
}

fn sum_f64(xs: &[f64]) -> f64 {
    xs.chunks(TILE).map(|tile| fold(tile, 0.0, |a, x| a + x)).sum()
}

fn prod_f32(xs: &[f32]) -> f64 {
    xs.iter().fold(1.0, |a, &x| a * x as f64)
}

fn index_of<T: Num>(xs: &[T], best: T) -> i64 {
    xs.iter().position(|&x| x == best || (x.nan() && best.nan())).unwrap_or(0) as i64
}

/// Reduces each of the register's rows of `cols` elements to one element of `out`.
pub(super) fn rows(combine: Combine, x: &Reg, cols: usize, out: &mut Reg) {
    #[inline(always)]
    fn each<T, O>(x: &[T], cols: usize, out: &mut [O], f: impl Fn(&[T]) -> O) {
        out.iter_mut().enumerate().for_each(|(r, o)| *o = f(&x[r * cols..][..cols]));
    }
    /// Max, min and their indices, for every class.
    fn order<T: Num>(combine: Combine, x: &[T], cols: usize, out: Extreme<'_, T>) {
        let best = |row: &[T]| match combine {
            Combine::Max | Combine::ArgMax => largest(row, T::LOW),
            _ => smallest(row, T::HIGH),
        };
        match out {
            Extreme::Value(out) => each(x, cols, out, best),
            Extreme::Index(out) => each(x, cols, out, |row| index_of(row, best(row))),
        }
    }
    use Combine::*;
    use Extreme::*;
    match (combine, x, out) {
        (Sum, Reg::F32(x), Reg::F32(o)) => each(x, cols, o, |row| sum_f32(row) as f32),
        (Sum, Reg::F64(x), Reg::F64(o)) => each(x, cols, o, sum_f64),
        (Sum, Reg::Int(x), Reg::Int(o)) => each(x, cols, o, |row| fold(row, 0, i64::wrapping_add)),
        (Sum, Reg::UInt(x), Reg::UInt(o)) => each(x, cols, o, |row| fold(row, 0, u64::wrapping_add)),
        (Prod, Reg::F32(x), Reg::F32(o)) => each(x, cols, o, |row| prod_f32(row) as f32),
        (Prod, Reg::F64(x), Reg::F64(o)) => each(x, cols, o, |row| fold(row, 1.0, |a, x| a * x)),
        (Prod, Reg::Int(x), Reg::Int(o)) => each(x, cols, o, |row| fold(row, 1, i64::wrapping_mul)),
        (Prod, Reg::UInt(x), Reg::UInt(o)) => each(x, cols, o, |row| fold(row, 1, u64::wrapping_mul)),
        (Max | Min, Reg::F32(x), Reg::F32(o)) => order(combine, x, cols, Value(o)),
        (Max | Min, Reg::F64(x), Reg::F64(o)) => order(combine, x, cols, Value(o)),
        (Max | Min, Reg::Int(x), Reg::Int(o)) => order(combine, x, cols, Value(o)),
        (Max | Min, Reg::UInt(x), Reg::UInt(o)) => order(combine, x, cols, Value(o)),
        (Max | Min, Reg::Bool(x), Reg::Bool(o)) => order(combine, x, cols, Value(o)),
        (ArgMax | ArgMin, Reg::F32(x), Reg::Int(o)) => order(combine, x, cols, Index(o)),
        (ArgMax | ArgMin, Reg::F64(x), Reg::Int(o)) => order(combine, x, cols, Index(o)),
        (ArgMax | ArgMin, Reg::Int(x), Reg::Int(o)) => order(combine, x, cols, Index(o)),
        (ArgMax | ArgMin, Reg::UInt(x), Reg::Int(o)) => order(combine, x, cols, Index(o)),
        (ArgMax | ArgMin, Reg::Bool(x), Reg::Int(o)) => order(combine, x, cols, Index(o)),
        (c, x, o) => unreachable!("{c:?} of a {:?} register into {:?}", x.class(), o.class()),
    }
}

enum Extreme<'a, T> {
    Value(&'a mut [T]),
    Index(&'a mut [i64]),
}

/// A reduction in progress over tiles of columns, for a strip of `lanes` rows.
///
/// Tiles hold whole columns of the strip: element `column * lanes + lane`.
#[derive(Debug)]
pub(super) struct Acc {
    combine: Combine,
    lanes: usize,
    /// The accumulators; `f64` for sums and products of `f32`.
    total: Reg,
    /// ArgMax, ArgMin: the column of the extreme so far.
    at: Vec<i64>,
    /// `f32` sums of several lanes: partial sums of the last `held` columns.
    part: Vec<f32>,
    held: usize,
}

impl Acc {
    /// The identity; an arg-reduction over nothing better than the identity answers `first`.
    pub fn new(combine: Combine, class: Class, lanes: usize, first: usize) -> Acc {
        use Combine::*;
        let wide = if class == Class::F32 && matches!(combine, Sum | Prod) { Class::F64 } else { class };
        let mut total = Reg::new(wide, lanes);
        match combine {
            Sum => {}
            Prod => total.fill(crate::dtype::Scalar::Int(1)),
            Max | ArgMax => extremes(&mut total, true),
            Min | ArgMin => extremes(&mut total, false),
        }
        let at = if matches!(combine, ArgMax | ArgMin) { vec![first as i64; lanes] } else { Vec::new() };
        let part = if combine == Sum && class == Class::F32 && lanes > 1 { vec![0.0; lanes] } else { Vec::new() };
        Acc { combine, lanes, total, at, part, held: 0 }
    }

    /// Takes in a tile of `n` elements whose first column is `column`.
    pub fn add(&mut self, x: &Reg, n: usize, column: usize) {
        use Combine::*;
        let Acc { lanes, total, at, part, held, .. } = self;
        let one = *lanes == 1;
        match (self.combine, total, x) {
            (Sum, Reg::F64(t), Reg::F32(x)) if one => t[0] += sum_f32(&x[..n]),
            (Sum, Reg::F64(t), Reg::F64(x)) if one => t[0] += sum_f64(&x[..n]),
            (Prod, Reg::F64(t), Reg::F32(x)) if one => t[0] *= prod_f32(&x[..n]),
            (Sum, Reg::F64(t), Reg::F32(x)) => {
                for some in x[..n].chunks(HELD * *lanes) {
                    add_columns(part, some);
                    *held += some.len() / *lanes;
                    if *held >= HELD {
                        t.iter_mut().zip(part.iter_mut()).for_each(|(t, p)| *t += std::mem::take(p) as f64);
                        *held = 0;
                    }
                }
            }
            (Prod, Reg::F64(t), Reg::F32(x)) => columns(t, &x[..n], |a, x| a * x as f64),
            (Sum, Reg::F64(t), Reg::F64(x)) => columns(t, &x[..n], |a, x| a + x),
            (Prod, Reg::F64(t), Reg::F64(x)) => columns(t, &x[..n], |a, x| a * x),
            (Sum, Reg::Int(t), Reg::Int(x)) => columns(t, &x[..n], i64::wrapping_add),
            (Prod, Reg::Int(t), Reg::Int(x)) => columns(t, &x[..n], i64::wrapping_mul),
            (Sum, Reg::UInt(t), Reg::UInt(x)) => columns(t, &x[..n], u64::wrapping_add),
            (Prod, Reg::UInt(t), Reg::UInt(x)) => columns(t, &x[..n], u64::wrapping_mul),
            (c, Reg::F32(t), Reg::F32(x)) => order(c, t, at, &x[..n], column),
            (c, Reg::F64(t), Reg::F64(x)) => order(c, t, at, &x[..n], column),
            (c, Reg::Int(t), Reg::Int(x)) => order(c, t, at, &x[..n], column),
            (c, Reg::UInt(t), Reg::UInt(x)) => order(c, t, at, &x[..n], column),
            (c, Reg::Bool(t), Reg::Bool(x)) => order(c, t, at, &x[..n], column),
            (c, t, x) => unreachable!("{c:?} of a {:?} register into {:?}", x.class(), t.class()),
        }
    }

    /// Moves partial sums to `f64`.
    fn settle(&mut self) {
        if let Reg::F64(t) = &mut self.total {
            t.iter_mut().zip(&mut self.part).for_each(|(t, p)| *t += std::mem::take(p) as f64);
            self.held = 0;
        }
    }

    /// Takes in what was found in later columns.
    pub fn merge(&mut self, mut later: Acc) {
        use Combine::*;
        self.settle();
        later.settle();
        match (self.combine, &mut self.total, &later.total) {
            (Sum, Reg::F64(t), Reg::F64(x)) => columns(t, x, |a, x| a + x),
            (Prod, Reg::F64(t), Reg::F64(x)) => columns(t, x, |a, x| a * x),
            (Sum | Prod, Reg::Int(..) | Reg::UInt(..), x) => self.add(x, self.lanes, 0),
            (c, Reg::F32(t), Reg::F32(x)) => take(c, t, &mut self.at, x, &later.at),
            (c, Reg::F64(t), Reg::F64(x)) => take(c, t, &mut self.at, x, &later.at),
            (c, Reg::Int(t), Reg::Int(x)) => take(c, t, &mut self.at, x, &later.at),
            (c, Reg::UInt(t), Reg::UInt(x)) => take(c, t, &mut self.at, x, &later.at),
            (c, Reg::Bool(t), Reg::Bool(x)) => take(c, t, &mut self.at, x, &later.at),
            (c, ..) => unreachable!("{c:?} of two classes"),
        }
    }

    /// One result a lane.
    pub fn finish(mut self, out: &mut Reg) {
        self.settle();
        match (self.combine, self.total, out) {
            (Combine::ArgMax | Combine::ArgMin, _, Reg::Int(o)) => *o = self.at,
            (_, Reg::F64(t), Reg::F32(o)) => *o = t.iter().map(|&x| x as f32).collect(),
            (_, total, out) => *out = total,
        }
    }
}

/// `acc[lane] = f(acc[lane], x)` for each element of each column.
#[inline(always)]
fn columns<A: Copy, T: Copy>(acc: &mut [A], x: &[T], f: impl Fn(A, T) -> A) {
    for column in x.chunks_exact(acc.len()) {
        acc.iter_mut().zip(column).for_each(|(a, &x)| *a = f(*a, x));
    }
}

fn order<T: Num>(combine: Combine, best: &mut [T], at: &mut [i64], x: &[T], first: usize) {
    match (combine, &mut *best) {
        (Combine::Max, [m]) => *m = largest(x, *m),
        (Combine::Min, [m]) => *m = smallest(x, *m),
        (Combine::Max, m) => columns(m, x, max),
        (Combine::Min, m) => columns(m, x, min),
        (c, [m]) => {
            // Values first, which vectorises; then where, only if this tile holds the new extreme.
            let b = if c == Combine::ArgMax { largest(x, T::LOW) } else { smallest(x, T::HIGH) };
            if if c == Combine::ArgMax { beats_max(*m, b) } else { beats_min(*m, b) } {
                *m = b;
                at[0] = first as i64 + index_of(x, b);
            }
        }
        (c, m) => {
            for (k, column) in x.chunks_exact(m.len()).enumerate() {
                place(c, m, at, column, |_| (first + k) as i64);
            }
        }
    }
}

fn take<T: Num>(combine: Combine, best: &mut [T], at: &mut [i64], x: &[T], x_at: &[i64]) {
    match combine {
        Combine::Max => columns(best, x, max),
        Combine::Min => columns(best, x, min),
        c => place(c, best, at, x, |lane| x_at[lane]),
    }
}

/// Replaces the extremes that one later element a lane beats.
#[inline(always)]
fn place<T: Num>(combine: Combine, best: &mut [T], at: &mut [i64], x: &[T], index: impl Fn(usize) -> i64) {
    let put = |beats: fn(T, T) -> bool, best: &mut [T], at: &mut [i64]| {
        for (lane, ((m, at), &x)) in best.iter_mut().zip(at).zip(x).enumerate() {
            if beats(*m, x) {
                (*m, *at) = (x, index(lane));
            }
        }
    };
    if combine == Combine::ArgMax { put(beats_max, best, at) } else { put(beats_min, best, at) }
}

/// Fills with the lowest or the highest value of the class.
fn extremes(reg: &mut Reg, low: bool) {
    fn fill<T: Num>(v: &mut [T], low: bool) {
        v.fill(if low { T::LOW } else { T::HIGH });
    }
    match reg {
        Reg::F32(v) => fill(v, low),
        Reg::F64(v) => fill(v, low),
        Reg::Int(v) => fill(v, low),
        Reg::UInt(v) => fill(v, low),
        Reg::Bool(v) => fill(v, low),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn f(v: &[f32]) -> Reg {
        Reg::F32(v.to_vec())
    }

    /// Block, one lane and several lanes, in one tile or two.
    fn all_ways(combine: Combine, x: &[f32]) -> Vec<f64> {
        let class = if matches!(combine, Combine::ArgMax | Combine::ArgMin) { Class::Int } else { Class::F32 };
        let value = |r: &Reg| match r {
            Reg::F32(v) => v[0] as f64,
            Reg::Int(v) => v[0] as f64,
            _ => unreachable!(),
        };
        let mut out = Reg::new(class, 1);
        rows(combine, &f(x), x.len(), &mut out);
        let mut results = vec![value(&out)];
        for lanes in [1, 3] {
            for cut in [0, x.len() / 2] {
                let spread: Vec<f32> = x.iter().flat_map(|&v| vec![v; lanes]).collect();
                let (head, tail) = spread.split_at(cut * lanes);
                let mut one = Acc::new(combine, Class::F32, lanes, 0);
                one.add(&f(head), head.len(), 0);
                let mut two = Acc::new(combine, Class::F32, lanes, cut);
                two.add(&f(tail), tail.len(), cut);
                one.merge(two);
                let mut out = Reg::new(class, lanes);
                one.finish(&mut out);
                results.push(value(&out));
            }
        }
        results
    }

    fn agree(combine: Combine, x: &[f32], want: f64) {
        for got in all_ways(combine, x) {
            assert!(got == want || (got.is_nan() && want.is_nan()), "{combine:?}: {got} for {want}");
        }
    }

    #[test]
    fn every_way_of_reducing_agrees() {
        let x: Vec<f32> = (0..100).map(|i| ((i * 37) % 41) as f32 - 20.0).collect();
        agree(Combine::Sum, &x, x.iter().map(|&v| v as f64).sum());
        agree(Combine::Max, &x, 20.0);
        agree(Combine::Min, &x, -20.0);
        agree(Combine::ArgMax, &x, x.iter().position(|&v| v == 20.0).unwrap() as f64);
        agree(Combine::ArgMin, &x, 0.0);
        agree(Combine::Prod, &[2.0, -3.0, 0.5, 4.0], -12.0);
    }

    #[test]
    fn nan_wins_and_ties_go_to_the_first() {
        let mut x = vec![1.0f32; 70];
        agree(Combine::ArgMax, &x, 0.0);
        x[40] = f32::NAN;
        x[60] = f32::NAN;
        for c in [Combine::Max, Combine::Min] {
            agree(c, &x, f64::NAN);
        }
        for c in [Combine::ArgMax, Combine::ArgMin] {
            agree(c, &x, 40.0);
        }
        agree(Combine::ArgMax, &[f32::NEG_INFINITY; 5], 0.0);
        agree(Combine::ArgMin, &[f32::INFINITY; 5], 0.0);
        agree(Combine::ArgMax, &[-0.0, 0.0, -0.0], 0.0);
    }

    #[test]
    fn nothing_reduces_to_the_identity() {
        for (combine, want) in [(Combine::Sum, 0.0), (Combine::Prod, 1.0)] {
            agree(combine, &[], want);
        }
    }

    #[test]
    fn long_sums_stay_precise() {
        let x = vec![0.1f32; TILE];
        let mut acc = Acc::new(Combine::Sum, Class::F32, 1, 0);
        let mut strip = Acc::new(Combine::Sum, Class::F32, 2, 0);
        for i in 0..1000 {
            acc.add(&f(&x), TILE, i * TILE);
            strip.add(&f(&x), TILE, i * TILE / 2);
        }
        let want = 0.1f32 as f64 * (TILE * 1000) as f64;
        for (acc, want) in [(acc, want), (strip, want / 2.0)] {
            let mut out = Reg::new(Class::F32, 1);
            acc.finish(&mut out);
            let Reg::F32(v) = out else { unreachable!() };
            assert!((v[0] as f64 - want).abs() / want < 5e-7);
        }
    }
}
