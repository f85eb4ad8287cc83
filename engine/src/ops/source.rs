//! Values that are made from nothing: constants and sequences.

use smallvec::{SmallVec, smallvec};

use super::elementwise::{Lane, computed_in, map1, map3};
use super::op::{Class, Kind, Map, Op, Spec};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::runtime::cpu::tile::Reg;

/// One number everywhere.
#[derive(Debug, Clone)]
pub(crate) struct Full {
    pub spec: Spec,
    pub value: Scalar,
}

impl Op for Full {
    fn name(&self) -> &'static str {
        "full"
    }
    fn infer(&self, _inputs: &[Spec]) -> Result<Spec> {
        Ok(self.spec.clone())
    }
    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }
    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        smallvec![(self.value, computed_in(self.spec.dtype))]
    }
    fn differentiable(&self) -> bool {
        false
    }
}

impl Map for Full {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        match out {
            Reg::F32(_) => map1(args, n, out, |x: f32| x),
            Reg::F64(_) => map1(args, n, out, |x: f64| x),
            Reg::Int(_) => map1(args, n, out, |x: i64| x),
            Reg::UInt(_) => map1(args, n, out, |x: u64| x),
            Reg::Bool(_) => map1(args, n, out, |x: bool| x),
        }
    }
    fn wgsl(&self, args: &[String], _inputs: &[DType], _out: DType) -> String {
        args[0].clone()
    }
    fn cost(&self) -> u32 {
        0
    }
}

/// `start + i * step`.
#[derive(Debug, Clone)]
pub(crate) struct Arange {
    pub spec: Spec,
    pub start: Scalar,
    pub step: Scalar,
}

impl Op for Arange {
    fn name(&self) -> &'static str {
        "arange"
    }
    fn infer(&self, _inputs: &[Spec]) -> Result<Spec> {
        Ok(self.spec.clone())
    }
    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }
    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        let dtype = computed_in(self.spec.dtype);
        smallvec![(self.start, dtype), (self.step, dtype)]
    }
    fn differentiable(&self) -> bool {
        false
    }
}

impl Map for Arange {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        match out {
            Reg::F32(_) => positions(args[0], n, out, args, |i, a: f32, s: f32| (a as f64 + i as f64 * s as f64) as f32),
            Reg::F64(_) => positions(args[0], n, out, args, |i, a: f64, s: f64| a + i as f64 * s),
            Reg::Int(_) => positions(args[0], n, out, args, |i, a: i64, s: i64| a.wrapping_add((i as i64).wrapping_mul(s))),
            Reg::UInt(_) => positions(args[0], n, out, args, |i, a: u64, s: u64| a.wrapping_add(i.wrapping_mul(s))),
            Reg::Bool(_) => positions(args[0], n, out, args, |i, a: bool, s: bool| a | (s & (i > 0))),
        }
    }
    fn wgsl(&self, args: &[String], _inputs: &[DType], out: DType) -> String {
        let [i, start, step] = args else { return String::new() };
        match out.class() {
            Class::Int => format!("{start} + bitcast<VI>({i}) * {step}"),
            Class::UInt => format!("{start} + {i} * {step}"),
            Class::Bool => format!("{start} | ({step} & ({i} > VU(0u)))"),
            Class::F32 | Class::F64 => format!("{start} + V({i}) * {step}"),
        }
    }
    fn positional(&self) -> bool {
        true
    }
}

/// `steps` values from `start` to `end`, counted from the nearer end so that both are met exactly. Floats only.
#[derive(Debug, Clone)]
pub(crate) struct Linspace {
    pub spec: Spec,
    pub start: f64,
    pub end: f64,
}

impl Linspace {
    fn steps(&self) -> usize {
        self.spec.shape.first().copied().unwrap_or(1)
    }
}

impl Op for Linspace {
    fn name(&self) -> &'static str {
        "linspace"
    }
    fn infer(&self, _inputs: &[Spec]) -> Result<Spec> {
        Ok(self.spec.clone())
    }
    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }
    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        let dtype = computed_in(self.spec.dtype);
        let last = self.steps().saturating_sub(1);
        let step = if last == 0 { 0.0 } else { (self.end - self.start) / last as f64 };
        // With one step, the start.
        let end = if last == 0 { self.start } else { self.end };
        smallvec![(self.start.into(), dtype), (end.into(), dtype), (step.into(), dtype), (last.into(), DType::U32)]
    }
    fn differentiable(&self) -> bool {
        false
    }
}

impl Map for Linspace {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        let [i, start, end, step, last] = args else { return };
        let (i, last) = (u64::of(i), u64::of(last));
        macro_rules! fill {
            ($t:ty) => {{
                let (start, end, step) = (<$t>::of(start), <$t>::of(end), <$t>::of(step));
                for (k, o) in <$t>::of_mut(out).iter_mut().take(n).enumerate() {
                    *o = if 2 * i[k] <= last[k] { start[k] + step[k] * i[k] as $t } else { end[k] - step[k] * (last[k] - i[k]) as $t };
                }
            }};
        }
        match out {
            Reg::F64(_) => fill!(f64),
            _ => fill!(f32),
        }
    }
    fn wgsl(&self, args: &[String], _inputs: &[DType], _out: DType) -> String {
        let [i, start, end, step, last] = args else { return String::new() };
        format!("select({end} - {step} * V({last} - {i}), {start} + {step} * V({i}), {i} + {i} <= {last})")
    }
    fn positional(&self) -> bool {
        true
    }
}

/// A function of the position, whichever integer register it comes in, and two more operands.
fn positions<A: Lane, B: Lane, R: Lane>(position: &Reg, n: usize, out: &mut Reg, args: &[&Reg], f: impl Fn(u64, A, B) -> R) {
    match position {
        Reg::Int(_) => map3(args, n, out, |i: i64, a: A, b: B| f(i as u64, a, b)),
        _ => map3(args, n, out, f),
    }
}
