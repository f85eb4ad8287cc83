//! How element types lie in GPU memory, and the way there and back.

use half::{bf16, f16};

use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops::Class;

/// What is stored for an element type. `f32`, `i32` and `u32` are themselves, narrow integers are widened,
/// 64-bit integers narrowed; 16-bit floats are packed two to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Repr {
    F32,
    I32,
    U32,
    F16,
    BF16,
}

impl Repr {
    pub fn of(dtype: DType) -> Repr {
        match dtype {
            DType::F16 => Repr::F16,
            DType::BF16 => Repr::BF16,
            _ => match dtype.class() {
                Class::F32 | Class::F64 => Repr::F32,
                Class::Int => Repr::I32,
                Class::UInt | Class::Bool => Repr::U32,
            },
        }
    }

    pub fn packed(self) -> bool {
        matches!(self, Repr::F16 | Repr::BF16)
    }

    /// The WGSL type of one element as kernels see it.
    pub fn scalar(self) -> &'static str {
        match self {
            Repr::I32 => "i32",
            Repr::U32 => "u32",
            Repr::F32 | Repr::F16 | Repr::BF16 => "f32",
        }
    }

    /// The WGSL type that is in memory.
    pub fn word(self) -> &'static str {
        if self.packed() { "u32" } else { self.scalar() }
    }
}

/// Buffers and values are padded to this: the alignment of bindings, and room for vector access past the end.
pub(super) const ALIGN: usize = 256;

/// Bytes of `numel` stored elements without padding, in whole words.
pub(super) fn word_bytes(dtype: DType, numel: usize) -> usize {
    if Repr::of(dtype).packed() { numel.div_ceil(2) * 4 } else { numel * 4 }
}

/// Bytes of a value with its padding; an empty value still has a place.
pub(super) fn stored_bytes(dtype: DType, numel: usize) -> usize {
    word_bytes(dtype, numel).max(1).next_multiple_of(ALIGN)
}

pub(super) fn check_dtype(op: &'static str, dtype: DType) -> Result<()> {
    match dtype {
        DType::F64 => Err(Error::dtype(op, "f64 does not exist on a GPU; convert with to_dtype(F32)")),
        _ => Ok(()),
    }
}

/// Host elements as they are stored. 64-bit integers must fit into 32 bits.
pub(super) fn encode(dtype: DType, bytes: &[u8]) -> Result<Vec<u8>> {
    fn widen<T: bytemuck::AnyBitPattern, U: bytemuck::NoUninit>(bytes: &[u8], f: impl Fn(T) -> U) -> Vec<u8> {
        let (from, to) = (size_of::<T>(), size_of::<U>());
        let mut out = vec![0; bytes.len() / from * to];
        for (o, b) in out.chunks_exact_mut(to).zip(bytes.chunks_exact(from)) {
            o.copy_from_slice(bytemuck::bytes_of(&f(bytemuck::pod_read_unaligned(b))));
        }
        out
    }
    fn narrow<T: bytemuck::AnyBitPattern + std::fmt::Display, U: bytemuck::NoUninit>(
        dtype: DType,
        bytes: &[u8],
        f: impl Fn(T) -> Option<U>,
    ) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(bytes.len() / 2);
        for (at, b) in bytes.chunks_exact(8).enumerate() {
            let v: T = bytemuck::pod_read_unaligned(b);
            let n = f(v).ok_or_else(|| {
                Error::dtype("upload", format!("{v} at position {at} does not fit into the 32 bits that {dtype} has on a GPU"))
            })?;
            out.extend_from_slice(bytemuck::bytes_of(&n));
        }
        Ok(out)
    }
    Ok(match dtype {
        DType::F32 | DType::I32 | DType::U32 => bytes.to_vec(),
        DType::F16 | DType::BF16 => {
            let mut out = bytes.to_vec();
            out.resize(bytes.len().next_multiple_of(4), 0);
            out
        }
        DType::Bool => widen(bytes, |v: u8| (v != 0) as u32),
        DType::U8 => widen(bytes, |v: u8| v as u32),
        DType::I8 => widen(bytes, |v: i8| v as i32),
        DType::U16 => widen(bytes, |v: u16| v as u32),
        DType::I16 => widen(bytes, |v: i16| v as i32),
        DType::I64 => narrow(dtype, bytes, |v: i64| i32::try_from(v).ok())?,
        DType::U64 => narrow(dtype, bytes, |v: u64| u32::try_from(v).ok())?,
        DType::F64 => return Err(check_dtype("upload", dtype).expect_err("f64 is refused")),
    })
}

/// Stored words as host elements. For packed types `words` starts with the word that holds element `first`.
pub(super) fn decode(dtype: DType, words: &[u8], first: usize, numel: usize) -> Vec<u8> {
    fn each<U: bytemuck::NoUninit>(words: &[u8], numel: usize, f: impl Fn(u32) -> U) -> Vec<u8> {
        let mut out = Vec::with_capacity(numel * size_of::<U>());
        for w in words.chunks_exact(4).take(numel) {
            out.extend_from_slice(bytemuck::bytes_of(&f(bytemuck::pod_read_unaligned(w))));
        }
        out
    }
    match dtype {
        DType::F32 | DType::I32 | DType::U32 => words[..numel * 4].to_vec(),
        DType::F16 | DType::BF16 => words[(first % 2) * 2..][..numel * 2].to_vec(),
        DType::Bool => each(words, numel, |w| (w != 0) as u8),
        DType::U8 => each(words, numel, |w| w as u8),
        DType::I8 => each(words, numel, |w| w as i8),
        DType::U16 => each(words, numel, |w| w as u16),
        DType::I16 => each(words, numel, |w| w as i16),
        DType::I64 => each(words, numel, |w| w as i32 as i64),
        DType::U64 => each(words, numel, |w| w as u64),
        DType::F64 => vec![0; numel * 8],
    }
}

/// A run-time scalar as the word kernels read: `f32`, `i32` or `u32` by class, rounded to its type.
pub(super) fn scalar_word(value: Scalar, dtype: DType) -> u32 {
    match dtype {
        DType::F16 => f16::from_f64(value.as_f64()).to_f32().to_bits(),
        DType::BF16 => bf16::from_f64(value.as_f64()).to_f32().to_bits(),
        DType::Bool => value.as_bool() as u32,
        _ => match dtype.class() {
            Class::F32 | Class::F64 => (value.as_f64() as f32).to_bits(),
            _ => match value {
                Scalar::UInt(u) => u as u32,
                v => v.as_i64() as u32,
            },
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::Element;

    #[test]
    fn every_type_comes_back() {
        fn round<T: Element>(values: &[T]) {
            let bytes = T::write_bytes(values);
            let stored = encode(T::DTYPE, &bytes).unwrap();
            assert_eq!(stored.len(), word_bytes(T::DTYPE, values.len()));
            assert_eq!(decode(T::DTYPE, &stored, 0, values.len()), bytes, "{}", T::DTYPE);
        }
        round(&[true, false, true]);
        round(&[-128i8, 127]);
        round(&[0u8, 255]);
        round(&[i16::MIN, 7]);
        round(&[u16::MAX]);
        round(&[i32::MIN, -1]);
        round(&[u32::MAX]);
        round(&[-5i64, i32::MAX as i64]);
        round(&[5u64]);
        round(&[1.5f32, f32::NAN]);
        round(&[half::f16::from_f32(1.5); 3]);
        round(&[half::bf16::from_f32(-2.0); 2]);
    }

    #[test]
    fn a_large_integer_is_named() {
        let e = encode(DType::I64, &i64::write_bytes(&[1, 1 << 40])).unwrap_err();
        assert!(e.to_string().contains("1099511627776 at position 1"), "{e}");
    }
}
