//! Element types, and what they promote to.

use half::{bf16, f16};

use crate::error::{Error, Result};

/// The type of a tensor's elements.
///
/// On a GPU: `f32`, `i32`, `u32` as they are; `f16` and `bf16` packed two to a word and computed in
/// `f32`; `i8`, `u8`, `i16`, `u16` and `bool` widened to 32 bits; `i64` and `u64` stored in 32 bits, out-of-range
/// uploads being an error; `f64` is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    BF16,
    F32,
    F64,
}

use DType::*;

impl DType {
    pub const ALL: [DType; 13] = [Bool, U8, I8, U16, I16, U32, I32, U64, I64, F16, BF16, F32, F64];

    /// Bytes of one element in host memory and in files.
    pub const fn size(self) -> usize {
        match self {
            Bool | U8 | I8 => 1,
            U16 | I16 | F16 | BF16 => 2,
            U32 | I32 | F32 => 4,
            U64 | I64 | F64 => 8,
        }
    }

    pub const fn is_float(self) -> bool {
        matches!(self, F16 | BF16 | F32 | F64)
    }

    /// Signed or unsigned integers, `bool` not included.
    pub const fn is_int(self) -> bool {
        !self.is_float() && !matches!(self, Bool)
    }

    pub const fn is_signed(self) -> bool {
        self.is_float() || matches!(self, I8 | I16 | I32 | I64)
    }

    /// The short name: `f32`, `i64`, `bool`.
    pub const fn name(self) -> &'static str {
        match self {
            Bool => "bool",
            U8 => "u8",
            I8 => "i8",
            U16 => "u16",
            I16 => "i16",
            U32 => "u32",
            I32 => "i32",
            U64 => "u64",
            I64 => "i64",
            F16 => "f16",
            BF16 => "bf16",
            F32 => "f32",
            F64 => "f64",
        }
    }

    /// The smallest and the largest value of an integer type, as far as `i128` reaches (all of them).
    pub const fn int_range(self) -> Option<(i128, i128)> {
        Some(match self {
            Bool => (0, 1),
            U8 => (0, u8::MAX as i128),
            I8 => (i8::MIN as i128, i8::MAX as i128),
            U16 => (0, u16::MAX as i128),
            I16 => (i16::MIN as i128, i16::MAX as i128),
            U32 => (0, u32::MAX as i128),
            I32 => (i32::MIN as i128, i32::MAX as i128),
            U64 => (0, u64::MAX as i128),
            I64 => (i64::MIN as i128, i64::MAX as i128),
            F16 | BF16 | F32 | F64 => return None,
        })
    }

    /// The type two operands of these types compute in, PyTorch's `promote_types`. `None` for the
    /// pairs PyTorch refuses (`u16`, `u32`, `u64` with another integer type).
    pub fn promote(self, other: DType) -> Option<DType> {
        if self == other {
            return Some(self);
        }
        let (a, b) = if self < other { (self, other) } else { (other, self) };
        Some(match (a, b) {
            (Bool, b) => b,
            (F16, BF16) => F32,
            (_, b) if b.is_float() => b,
            (U8, I8) => I16,
            (U8, I16 | I32 | I64) | (I8, I16 | I32 | I64) | (I16, I32 | I64) | (I32, I64) => b,
            _ => return None,
        })
    }

    /// [`promote`](Self::promote) with the error an operator reports.
    pub(crate) fn promote_for(self, other: DType, op: &'static str) -> Result<DType> {
        self.promote(other).ok_or_else(|| Error::dtype(op, format!("no common type for {self} and {other}; convert one of them")))
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for DType {
    type Err = Error;

    fn from_str(s: &str) -> Result<DType> {
        DType::ALL
            .into_iter()
            .find(|d| d.name() == s)
            .ok_or_else(|| Error::dtype("dtype", format!("'{s}' is none of {}", DType::ALL.map(|d| d.name()).join(", "))))
    }
}

/// A Rust type that can be an element of a tensor.
pub trait Element: Copy + Send + Sync + Default + PartialEq + std::fmt::Debug + 'static {
    const DTYPE: DType;
    /// The nearest value of this type: floats round, integers truncate toward zero and wrap.
    fn from_scalar(s: Scalar) -> Self;
    fn to_scalar(self) -> Scalar;
    /// The elements as bytes in native order.
    fn as_bytes(values: &[Self]) -> &[u8];
    /// A copy of the elements' bytes.
    fn write_bytes(values: &[Self]) -> Vec<u8> {
        Self::as_bytes(values).to_vec()
    }
    /// Reads elements from bytes in native order; `bytes.len()` is a multiple of the size.
    fn read_bytes(bytes: &[u8]) -> Vec<Self>;
}

/// One number of any type: the operand of `x + 1.0`, what `full` fills with. It is a run-time
/// parameter of a plan and never part of its key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    UInt(u64),
    Float(f64),
}

impl Scalar {
    pub fn as_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => b as u8 as f64,
            Scalar::Int(i) => i as f64,
            Scalar::UInt(u) => u as f64,
            Scalar::Float(f) => f,
        }
    }

    /// As an integer that holds them all: floats truncate toward zero and saturate.
    pub(crate) fn as_i128(self) -> i128 {
        match self {
            Scalar::Bool(b) => b as i128,
            Scalar::Int(i) => i as i128,
            Scalar::UInt(u) => u as i128,
            Scalar::Float(f) => f as i128,
        }
    }

    /// An integer of 64 bits, signed if it can be.
    pub(crate) fn from_i128(v: i128) -> Scalar {
        i64::try_from(v).map_or(Scalar::UInt(v as u64), Scalar::Int)
    }

    /// As an integer: floats truncate toward zero and saturate.
    pub fn as_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => b as i64,
            Scalar::Int(i) => i,
            Scalar::UInt(u) => u as i64,
            Scalar::Float(f) => f as i64,
        }
    }

    pub fn as_bool(self) -> bool {
        match self {
            Scalar::Bool(b) => b,
            Scalar::Int(i) => i != 0,
            Scalar::UInt(u) => u != 0,
            Scalar::Float(f) => f != 0.0,
        }
    }

    /// The dtype a tensor made from this scalar alone has: `bool`, `i64` or `f32`.
    pub fn default_dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => Bool,
            Scalar::Int(_) => I64,
            Scalar::UInt(_) => U64,
            Scalar::Float(_) => F32,
        }
    }

    /// What `tensor op scalar` computes in: the scalar only raises the category (bool < int < float).
    pub fn promote_with(self, tensor: DType) -> DType {
        match self {
            Scalar::Float(_) if !tensor.is_float() => F32,
            Scalar::Int(_) | Scalar::UInt(_) if tensor == Bool => I64,
            _ => tensor,
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Bool(b) => b.fmt(f),
            Scalar::Int(i) => i.fmt(f),
            Scalar::UInt(u) => u.fmt(f),
            Scalar::Float(x) => x.fmt(f),
        }
    }
}

macro_rules! element_int {
    ($($t:ty, $d:ident, $variant:ident as $wide:ty;)*) => {$(
        impl Element for $t {
            const DTYPE: DType = $d;
            fn from_scalar(s: Scalar) -> Self {
                match s {
                    Scalar::Bool(b) => b as $t,
                    Scalar::Int(i) => i as $t,
                    Scalar::UInt(u) => u as $t,
                    Scalar::Float(f) => f as i64 as $t,
                }
            }
            fn to_scalar(self) -> Scalar { Scalar::$variant(self as $wide) }
            fn as_bytes(v: &[Self]) -> &[u8] { bytemuck::cast_slice(v) }
            fn read_bytes(b: &[u8]) -> Vec<Self> { bytemuck::allocation::pod_collect_to_vec(b) }
        }
        impl From<$t> for Scalar {
            fn from(v: $t) -> Scalar { Scalar::$variant(v as $wide) }
        }
    )*};
}

element_int! {
    u8, U8, Int as i64;
    i8, I8, Int as i64;
    u16, U16, Int as i64;
    i16, I16, Int as i64;
    u32, U32, Int as i64;
    i32, I32, Int as i64;
    u64, U64, UInt as u64;
    i64, I64, Int as i64;
}

macro_rules! element_float {
    ($($t:ty, $d:ident, $from:expr, $to:expr;)*) => {$(
        impl Element for $t {
            const DTYPE: DType = $d;
            fn from_scalar(s: Scalar) -> Self { $from(s.as_f64()) }
            fn to_scalar(self) -> Scalar { Scalar::Float($to(self)) }
            fn as_bytes(v: &[Self]) -> &[u8] { bytemuck::cast_slice(v) }
            fn read_bytes(b: &[u8]) -> Vec<Self> { bytemuck::allocation::pod_collect_to_vec(b) }
        }
        impl From<$t> for Scalar {
            fn from(v: $t) -> Scalar { Scalar::Float($to(v)) }
        }
    )*};
}

element_float! {
    f16, F16, f16::from_f64, f16::to_f64;
    bf16, BF16, bf16::from_f64, bf16::to_f64;
    f32, F32, |v| v as f32, |v| v as f64;
    f64, F64, |v| v, |v| v;
}

impl Element for bool {
    const DTYPE: DType = Bool;
    fn from_scalar(s: Scalar) -> Self {
        s.as_bool()
    }
    fn to_scalar(self) -> Scalar {
        Scalar::Bool(self)
    }
    fn as_bytes(v: &[Self]) -> &[u8] {
        bytemuck::cast_slice(v)
    }
    fn read_bytes(b: &[u8]) -> Vec<Self> {
        b.iter().map(|&b| b != 0).collect()
    }
}

impl From<bool> for Scalar {
    fn from(v: bool) -> Scalar {
        Scalar::Bool(v)
    }
}

impl From<usize> for Scalar {
    fn from(v: usize) -> Scalar {
        Scalar::Int(v as i64)
    }
}
