//! Scans along one dimension: running sums, products, extrema, and linear recurrences.

use bytemuck::Pod;
use smallvec::smallvec;

use super::gather::{around, groups};
use super::matmul::{for_chunks, scratch};
use super::op::{Grads, Kind, Op, Saves, Spec};
use super::sort::order_of;
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::tensor::Tensor;

/// What is carried along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carry {
    Sum,
    Product,
    /// The logarithm of the sum of exponentials.
    LogSumExp,
    /// `y_j = a_j * y_(j-1) + x_j`, of inputs `a` and `x`; the first `a` means nothing.
    Recurrence,
    /// The position of the largest element so far, as `i64`; of equal ones the last, and a NaN wins.
    ArgMax,
    /// The position of the smallest.
    ArgMin,
}

impl Carry {
    pub fn name(self) -> &'static str {
        match self {
            Carry::Sum => "cumsum",
            Carry::Product => "cumprod",
            Carry::LogSumExp => "logcumsumexp",
            Carry::Recurrence => "recurrence",
            Carry::ArgMax => "cummax",
            Carry::ArgMin => "cummin",
        }
    }
}

/// Along `dim`, each element of the result combines those of the input up to it; with `reverse` those from it on.
/// Numbers of 32 bits and more: callers widen.
#[derive(Debug, Clone)]
pub(crate) struct Scan {
    pub dim: usize,
    pub carry: Carry,
    pub reverse: bool,
}

impl Op for Scan {
    fn name(&self) -> &'static str {
        self.carry.name()
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let x = &inputs[0];
        if x.dtype.size() < 4 {
            return Err(Error::dtype(self.name(), format!("{} does not scan; convert it first", x.dtype)));
        }
        match self.carry {
            Carry::LogSumExp | Carry::Recurrence if !x.dtype.is_float() => {
                Err(Error::dtype(self.name(), format!("expected floating point numbers, got {}", x.dtype)))
            }
            Carry::Recurrence if x != &inputs[1] => Err(Error::argument(self.name(), "the two inputs differ in shape or type")),
            Carry::ArgMax | Carry::ArgMin => Ok(Spec { dtype: DType::I64, shape: x.shape.clone() }),
            _ => Ok(x.clone()),
        }
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.extend([self.dim as u64, self.carry as u64, self.reverse as u64]);
    }

    fn saves(&self) -> Saves {
        match self.carry {
            Carry::Product => Saves::INPUTS,
            Carry::LogSumExp => Saves { inputs: 1, output: true },
            Carry::Recurrence => Saves { inputs: 1, output: true },
            _ => Saves::NOTHING,
        }
    }

    /// Seen forwards (the other direction is its mirror image), with S a recurrence that runs backwards:
    ///
    /// sum:           dx = the sum of dy from there on
    /// product:       dx_k = y_(k-1) * S_k,        S_k = dy_k + x_(k+1) * S_(k+1): exact around zeros
    /// log of sums:   dx_k = exp(x_k - y_k) * S_k, S_k = dy_k + exp(y_k - y_(k+1)) * S_(k+1): no exponent is above 0
    /// recurrence:    dx = S,  da_k = S_k * y_(k-1), S_k = dy_k + a_(k+1) * S_(k+1)
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let (dim, reverse) = (self.dim, self.reverse);
        let back = |a: &Tensor| Tensor::apply(Scan { dim, carry: Carry::Recurrence, reverse: !reverse }, &[a, dy]);
        let next = |t: &Tensor, fill: i32| neighbours(t, dim, !reverse, fill);
        let before = |t: &Tensor, fill: i32| neighbours(t, dim, reverse, fill);
        Ok(match self.carry {
            Carry::Sum => smallvec![Some(Tensor::apply(Scan { dim, carry: Carry::Sum, reverse: !reverse }, &[dy])?)],
            Carry::Product => {
                let x = ctx.input(0)?;
                let y = Tensor::apply(self.clone(), &[x])?;
                smallvec![Some(before(&y, 1)?.mul(&back(&next(x, 0)?)?)?)]
            }
            Carry::LogSumExp => {
                let (x, y) = (ctx.input(0)?, ctx.output()?);
                let after = next(y, 0)?;
                // Infinities are as far from themselves as anything else is: not at all.
                let decay = y.sub(&after)?.masked_fill(&y.eq(&after)?, 0)?.clamp_numbers(None, Some(0.into()))?.exp()?;
                let share = x.sub(y)?.masked_fill(&x.eq(y)?, 0)?.exp()?.masked_fill(&x.eq(f64::NEG_INFINITY)?, 0)?;
                smallvec![Some(share.mul(&back(&decay)?)?)]
            }
            Carry::Recurrence => {
                let dx = back(&next(ctx.input(0)?, 0)?)?;
                smallvec![Some(dx.mul(&before(ctx.output()?, 0)?)?), Some(dx)]
            }
            Carry::ArgMax | Carry::ArgMin => smallvec![None],
        })
    }

    fn differentiable(&self) -> bool {
        !matches!(self.carry, Carry::ArgMax | Carry::ArgMin)
    }
}

/// For each element the one before it along `dim` (with `after` the one after it), `fill` where there is none.
fn neighbours(t: &Tensor, dim: usize, after: bool, fill: i32) -> Result<Tensor> {
    let n = t.shape()[dim];
    if n == 0 {
        return Ok(t.clone());
    }
    let mut amounts = vec![0isize; 2 * (t.rank() - dim)];
    let last = amounts.len() - 2;
    amounts[last + after as usize] = 1;
    t.narrow(dim as isize, after as usize, n - 1)?.pad(amounts, "constant", fill)
}

impl Compute for Scan {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match inputs[0].dtype {
            DType::F32 => self.floats::<f32>(inputs, out, |v| v as f32),
            DType::F64 => self.floats::<f64>(inputs, out, |v| v),
            DType::I32 => self.ints::<i32>(inputs, out, i32::wrapping_add, i32::wrapping_mul),
            DType::U32 => self.ints::<u32>(inputs, out, u32::wrapping_add, u32::wrapping_mul),
            DType::U64 => self.ints::<u64>(inputs, out, u64::wrapping_add, u64::wrapping_mul),
            _ => self.ints::<i64>(inputs, out, i64::wrapping_add, i64::wrapping_mul),
        }
    }

    /// Long rows that are too few to fill a GPU get a workgroup each, all others an invocation. So do the longest, for
    /// which one invocation might have to go round too often: see [`Adapter::allows_rounds`].
    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let (outer, n, inner) = around(&output.layout.shape, self.dim);
        let rows = outer * inner;
        let team = n >= 64 && (n >= 65_000 || rows < if adapter.software { 16 } else { 4096 });
        // 256 elements at a time: 15 rounds.
        if !adapter.allows_rounds(if team { 16 * n.div_ceil(256) } else { n }) {
            return None;
        }
        let what = match self.carry {
            Carry::Sum => 0,
            Carry::Product => 1,
            Carry::LogSumExp => 2,
            Carry::Recurrence => 3,
            Carry::ArgMax => 4,
            Carry::ArgMin => 5,
        };
        let launch = Launch {
            shader: "scan",
            consts: vec![("WHAT", what), ("REVERSE", self.reverse as u32), ("TEAM", team as u32), ("ORDER", order_of(inputs[0].dtype))],
            // Only the recurrence has a second input; the others name the first one twice.
            reads: vec![Read::input("x", inputs.len() - 1), Read::input("a", 0)],
            write: Write::Output,
            params: [rows, n, inner].map(|v| v as u32).to_vec(),
            patches: vec![],
            groups: groups(rows, if team { 1 } else { 64 }),
        };
        Some(Launches { launches: vec![launch], scratch: vec![] })
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Scan {
    /// Walks along all rows of a slice together: `step(state, element of the storage, position, first)` gives the next
    /// state and the result.
    fn walk<O: Pod + Send, S: Copy + Sync>(
        &self,
        out: &mut CpuOut<'_>,
        start: S,
        step: impl Fn(S, usize, usize, bool) -> (S, O) + Sync + Send,
    ) -> Result<()> {
        let (_, n, inner) = around(out.shape, self.dim);
        let y = out.data::<O>();
        let parallel = y.len() > 1 << 14;
        for_chunks(y, n * inner, parallel, |o, y| {
            let mut states = scratch("scan", inner, start)?;
            for k in 0..n {
                let j = if self.reverse { n - 1 - k } else { k };
                for (c, (state, y)) in states.iter_mut().zip(&mut y[j * inner..(j + 1) * inner]).enumerate() {
                    (*state, *y) = step(*state, (o * n + j) * inner + c, j, k == 0);
                }
            }
            Ok(())
        })
    }

    /// Sums and products are carried in f64.
    fn floats<T: super::Float>(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>, narrow: impl Fn(f64) -> T + Sync + Send) -> Result<()> {
        let x = inputs[0].data::<T>();
        let at = |i: usize| -> f64 { x[i].into() };
        match self.carry {
            Carry::Sum => self.walk(out, 0.0, |s, i, _, _| (s + at(i), narrow(s + at(i)))),
            Carry::Product => self.walk(out, 1.0, |s, i, _, _| (s * at(i), narrow(s * at(i)))),
            Carry::Recurrence => {
                let b = inputs[1].data::<T>();
                self.walk(out, 0.0, |s: f64, i, _, first| {
                    let next = b[i].into() + if first { 0.0 } else { at(i) * s };
                    (next, narrow(next))
                })
            }
            Carry::LogSumExp => self.walk(out, (f64::NEG_INFINITY, 0.0f64), |(most, sum), i, _, _| {
                let v = at(i);
                // A NaN stays: it is neither equal nor larger, and its distance is NaN.
                let top = if v > most || v.is_nan() { v } else { most };
                let from = |x: f64| if x == top { 1.0 } else { (x - top).exp() };
                let sum = if sum == 0.0 { from(v) } else { sum * from(most) + from(v) };
                ((top, sum), narrow(top + sum.ln()))
            }),
            Carry::ArgMax | Carry::ArgMin => {
                let down = self.carry == Carry::ArgMin;
                let wins = |v: f64, best: f64| v.is_nan() || if down { v <= best } else { v >= best };
                self.walk(out, (0.0, 0i64), |(best, place), i, j, first| {
                    let v = at(i);
                    let s = if first || wins(v, best) { (v, j as i64) } else { (best, place) };
                    (s, s.1)
                })
            }
        }
    }

    fn ints<T: Pod + Ord + Sync + Send + From<bool>>(
        &self,
        inputs: &[CpuIn<'_>],
        out: &mut CpuOut<'_>,
        add: fn(T, T) -> T,
        mul: fn(T, T) -> T,
    ) -> Result<()> {
        let x = inputs[0].data::<T>();
        match self.carry {
            Carry::ArgMax | Carry::ArgMin => {
                let down = self.carry == Carry::ArgMin;
                self.walk(out, (T::from(false), 0i64), |(best, place), i, j, first| {
                    let v = x[i];
                    let wins = first || if down { v <= best } else { v >= best };
                    let s = if wins { (v, j as i64) } else { (best, place) };
                    (s, s.1)
                })
            }
            Carry::Product => self.walk(out, T::from(true), |s, i, _, _| (mul(s, x[i]), mul(s, x[i]))),
            _ => self.walk(out, T::from(false), |s, i, _, _| (add(s, x[i]), add(s, x[i]))),
        }
    }
}
