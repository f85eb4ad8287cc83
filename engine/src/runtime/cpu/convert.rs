//! Between storage types and registers: loads, stores, and rounding to a register's element type.

use bytemuck::{Pod, cast_slice, cast_slice_mut};
use half::f16;
use half::slice::HalfFloatSliceExt;

use super::memory::Raw;
use super::tile::Reg;
use super::walk::Walk;
use crate::dtype::DType;

/// The elements an access touches: those at positions `pos .. pos + n` of a walk that starts at element `base`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub base: isize,
    pub walk: &'a Walk,
    pub pos: usize,
    pub n: usize,
}

impl Span<'_> {
    #[inline(always)]
    fn read<S: Pod, R: Copy>(&self, from: Raw<'_>, to: &mut [R], f: impl Fn(S) -> R + Copy) {
        if let Some((sizes, strides)) = self.walk.turned()
            && (self.pos, self.n) == (0, sizes[0] * sizes[1])
        {
            return from.read_turned(self.base, sizes, strides, &mut to[..self.n], f);
        }
        self.walk.runs(self.pos, self.n, |offset, stride, range| from.read(self.base + offset, stride, &mut to[range], f));
    }

    /// Elements that registers hold as memory does.
    #[inline(always)]
    fn read_same<S: Pod>(&self, from: Raw<'_>, to: &mut [S]) {
        if self.walk.turned().is_some() {
            return self.read(from, to, |x: S| x);
        }
        self.walk.runs(self.pos, self.n, |offset, stride, range| from.read_same(self.base + offset, stride, &mut to[range]));
    }

    #[inline(always)]
    fn write_same<S: Pod>(&self, to: Raw<'_>, from: &[S]) {
        self.walk.runs(self.pos, self.n, |offset, stride, range| to.write_same(self.base + offset, stride, &from[range]));
    }

    #[inline(always)]
    fn write<S: Pod, R: Copy>(&self, to: Raw<'_>, from: &[R], f: impl Fn(R) -> S + Copy) {
        self.walk.runs(self.pos, self.n, |offset, stride, range| to.write(self.base + offset, stride, &from[range], f));
    }
}

/// Fills the register with the `n` elements of the span. `halves` is scratch space.
pub(super) fn load(from: Raw<'_>, dtype: DType, span: Span<'_>, to: &mut Reg, halves: &mut Vec<f16>) {
    to.resize(span.n);
    match (dtype, to) {
        (DType::F32, Reg::F32(v)) => span.read_same(from, v),
        (DType::F16, Reg::F32(v)) => {
            // All runs first, so that the conversion (vectorised over slices) sees one slice a tile.
            halves.resize(span.n, f16::ZERO);
            span.read(from, halves, |x: f16| x);
            halves.convert_to_f32_slice(v);
        }
        (DType::BF16, Reg::F32(v)) => span.read(from, v, widen_bf16),
        (DType::F64, Reg::F64(v)) => span.read_same(from, v),
        (DType::I8, Reg::Int(v)) => span.read(from, v, |x: i8| x as i64),
        (DType::I16, Reg::Int(v)) => span.read(from, v, |x: i16| x as i64),
        (DType::I32, Reg::Int(v)) => span.read(from, v, |x: i32| x as i64),
        (DType::I64, Reg::Int(v)) => span.read(from, v, |x: i64| x),
        (DType::U8, Reg::UInt(v)) => span.read(from, v, |x: u8| x as u64),
        (DType::U16, Reg::UInt(v)) => span.read(from, v, |x: u16| x as u64),
        (DType::U32, Reg::UInt(v)) => span.read(from, v, |x: u32| x as u64),
        (DType::U64, Reg::UInt(v)) => span.read(from, v, |x: u64| x),
        (DType::Bool, Reg::Bool(v)) => span.read(from, v, |x: u8| x != 0),
        (dtype, to) => unreachable!("{dtype} in a {:?} register", to.class()),
    }
}

/// Writes the register's first `n` elements, which are rounded to `dtype` already.
pub(super) fn store(from: &Reg, to: Raw<'_>, dtype: DType, span: Span<'_>, halves: &mut Vec<f16>) {
    match (dtype, from) {
        (DType::F32, Reg::F32(v)) => span.write_same(to, v),
        (DType::F16, Reg::F32(v)) => {
            halves.resize(span.n, f16::ZERO);
            halves.convert_from_f32_slice(&v[..span.n]);
            span.write(to, halves, |x| x);
        }
        (DType::BF16, Reg::F32(v)) => span.write(to, v, narrow_bf16),
        (DType::F64, Reg::F64(v)) => span.write_same(to, v),
        (DType::I8, Reg::Int(v)) => span.write(to, v, |x| x as i8),
        (DType::I16, Reg::Int(v)) => span.write(to, v, |x| x as i16),
        (DType::I32, Reg::Int(v)) => span.write(to, v, |x| x as i32),
        (DType::I64, Reg::Int(v)) => span.write(to, v, |x| x),
        (DType::U8, Reg::UInt(v)) => span.write(to, v, |x| x as u8),
        (DType::U16, Reg::UInt(v)) => span.write(to, v, |x| x as u16),
        (DType::U32, Reg::UInt(v)) => span.write(to, v, |x| x as u32),
        (DType::U64, Reg::UInt(v)) => span.write(to, v, |x| x),
        (DType::Bool, Reg::Bool(v)) => span.write(to, v, |x| x as u8),
        (dtype, from) => unreachable!("{dtype} from a {:?} register", from.class()),
    }
}

/// The positions themselves, as integers.
pub(super) fn positions(span: Span<'_>, to: &mut Reg) {
    to.resize(span.n);
    span.walk.runs(span.pos, span.n, |offset, stride, range| {
        let start = span.base + offset;
        match &mut *to {
            Reg::Int(v) => v[range].iter_mut().enumerate().for_each(|(i, t)| *t = (start + i as isize * stride) as i64),
            Reg::UInt(v) => v[range].iter_mut().enumerate().for_each(|(i, t)| *t = (start + i as isize * stride) as u64),
            other => unreachable!("positions in a {:?} register", other.class()),
        }
    });
}

/// Rounds to the element type: low-precision floats to the nearest, narrow integers wrap.
pub(super) fn round(reg: &mut Reg, dtype: DType, halves: &mut Vec<f16>) {
    #[inline(always)]
    fn map<T: Copy>(v: &mut [T], f: impl Fn(T) -> T) {
        v.iter_mut().for_each(|x| *x = f(*x));
    }
    match (dtype, reg) {
        (DType::F16, Reg::F32(v)) => {
            halves.resize(v.len(), f16::ZERO);
            halves.convert_from_f32_slice(v);
            halves.convert_to_f32_slice(v);
        }
        (DType::BF16, Reg::F32(v)) => map(v, |x| widen_bf16(narrow_bf16(x))),
        (DType::I8, Reg::Int(v)) => map(v, |x| x as i8 as i64),
        (DType::I16, Reg::Int(v)) => map(v, |x| x as i16 as i64),
        (DType::I32, Reg::Int(v)) => map(v, |x| x as i32 as i64),
        (DType::U8, Reg::UInt(v)) => map(v, |x| x as u8 as u64),
        (DType::U16, Reg::UInt(v)) => map(v, |x| x as u16 as u64),
        (DType::U32, Reg::UInt(v)) => map(v, |x| x as u32 as u64),
        _ => {}
    }
}

/// f16 or bf16 elements as `f32`.
pub(super) fn widen(dtype: DType, from: &[u8], to: &mut [f32]) {
    match dtype {
        DType::F16 => cast_slice::<u8, f16>(from).convert_to_f32_slice(to),
        _ => cast_slice::<u8, u16>(from).iter().zip(to).for_each(|(&x, t)| *t = widen_bf16(x)),
    }
}

/// `f32` elements as f16 or bf16.
pub(super) fn narrow(dtype: DType, from: &[f32], to: &mut [u8]) {
    match dtype {
        DType::F16 => cast_slice_mut::<u8, f16>(to).convert_from_f32_slice(from),
        _ => cast_slice_mut::<u8, u16>(to).iter_mut().zip(from).for_each(|(t, &x)| *t = narrow_bf16(x)),
    }
}

#[inline(always)]
fn widen_bf16(x: u16) -> f32 {
    f32::from_bits((x as u32) << 16)
}

/// To the nearest, ties to even; without branches, so that it vectorises.
#[inline(always)]
fn narrow_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16;
    // Rounding could carry a NaN's payload into the exponent: it keeps its upper bits and is made quiet.
    let quiet = (bits >> 16) | 0x40;
    (if x.is_nan() { quiet } else { rounded }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    #[test]
    fn bf16_rounds_as_half_does() {
        let special = [0.0, -0.0, 1.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, f32::MAX, f32::INFINITY, f32::MIN_POSITIVE, 1e-40];
        let random = (0..10_000u32).map(|i| f32::from_bits(i.wrapping_mul(2_654_435_761)));
        for x in special.into_iter().chain(random) {
            let (got, want) = (bf16::from_bits(narrow_bf16(x)), bf16::from_f32(x));
            assert!(got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan()), "{x}");
        }
    }

    #[test]
    fn registers_round_to_their_element_type() {
        let mut halves = Vec::new();
        let mut f = Reg::F32(vec![1.0, 2049.0, 65520.0, 1e-9]);
        round(&mut f, DType::F16, &mut halves);
        assert!(matches!(&f, Reg::F32(v) if v == &[1.0, 2048.0, f32::INFINITY, 0.0]));
        let mut i = Reg::Int(vec![127, 128, -129, 300]);
        round(&mut i, DType::I8, &mut halves);
        assert!(matches!(&i, Reg::Int(v) if v == &[127, -128, 127, 44]));
        let mut u = Reg::UInt(vec![255, 256, u64::MAX]);
        round(&mut u, DType::U8, &mut halves);
        assert!(matches!(&u, Reg::UInt(v) if v == &[255, 0, 255]));
    }
}
