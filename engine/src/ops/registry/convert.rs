//! What goes into an operator by name and what comes out of it.

use crate::device::Device;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::{ComplexTensor, Dims, Operand, Signed, Tensor};

/// An argument or a result.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    DType(DType),
    Device(Device),
    Tensor(Tensor),
    /// A tensor of complex numbers, or one complex number.
    Complex(ComplexTensor),
    /// A list or a tuple.
    List(Vec<Value>),
    /// `start:stop:step`, of an index.
    Slice(Option<i64>, Option<i64>, Option<i64>),
    /// `...`, of an index.
    Ellipsis,
}

impl Value {
    /// The tensor this is; of complex numbers the pairs.
    ///
    /// # Errors
    /// It is something else.
    pub fn tensor(&self) -> Result<&Tensor> {
        match self {
            Value::Tensor(t) => Ok(t),
            Value::Complex(z) => Ok(z.view_as_real()),
            other => Err(Error::argument("registry", format!("expected a tensor, got {}", other.kind()))),
        }
    }

    /// In words, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "a bool",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Str(_) => "a string",
            Value::DType(_) => "a dtype",
            Value::Device(_) => "a device",
            Value::Tensor(_) => "a tensor",
            Value::Complex(_) => "a complex tensor",
            Value::List(_) => "a list",
            Value::Slice(..) => "a slice",
            Value::Ellipsis => "an ellipsis",
        }
    }
}

macro_rules! value_from {
    ($($from:ty, $variant:ident as $as:ty;)*) => {$(
        impl From<$from> for Value {
            fn from(v: $from) -> Value { Value::$variant(v as $as) }
        }
    )*};
}

value_from! {
    bool, Bool as bool;
    i32, Int as i64;
    i64, Int as i64;
    usize, Int as i64;
    f64, Float as f64;
    String, Str as String;
    Tensor, Tensor as Tensor;
    ComplexTensor, Complex as ComplexTensor;
    DType, DType as DType;
}

impl From<&Tensor> for Value {
    fn from(t: &Tensor) -> Value {
        Value::Tensor(t.clone())
    }
}

impl From<Scalar> for Value {
    fn from(s: Scalar) -> Value {
        match s {
            Scalar::Bool(b) => Value::Bool(b),
            Scalar::Int(i) => Value::Int(i),
            Scalar::UInt(u) => i64::try_from(u).map_or(Value::Float(u as f64), Value::Int),
            Scalar::Float(f) => Value::Float(f),
        }
    }
}

/// What an operator's result can be.
pub(super) trait IntoValue {
    fn into_value(self) -> Value;
}

impl<T: Into<Value>> IntoValue for T {
    fn into_value(self) -> Value {
        self.into()
    }
}

impl<T: IntoValue> IntoValue for Vec<T> {
    fn into_value(self) -> Value {
        Value::List(self.into_iter().map(T::into_value).collect())
    }
}

impl<A: IntoValue, B: IntoValue> IntoValue for (A, B) {
    fn into_value(self) -> Value {
        Value::List(vec![self.0.into_value(), self.1.into_value()])
    }
}

/// What a parameter can be. `None` refuses the value, and another signature is tried.
pub(super) trait FromValue: Sized {
    /// The words after "must be".
    const WHAT: &'static str;
    /// May be left out without a default.
    const OPTIONAL: bool = false;
    const VARIADIC: bool = false;
    /// An empty list means that it was left out, as in PyTorch's `stride=()`.
    const EMPTY_IS_NONE: bool = false;
    fn from_value(v: Value, device: &Device) -> Option<Self>;
}

macro_rules! from_value {
    ($($type:ty, $what:literal, $pattern:pat => $value:expr;)*) => {$(
        impl FromValue for $type {
            const WHAT: &'static str = $what;
            fn from_value(v: Value, _: &Device) -> Option<Self> {
                match v {
                    $pattern => $value,
                    _ => None,
                }
            }
        }
    )*};
}

from_value! {
    Tensor, "a tensor", Value::Tensor(t) => Some(t);
    bool, "a bool", Value::Bool(b) => Some(b);
    isize, "an integer", Value::Int(i) => isize::try_from(i).ok();
    i64, "an integer", Value::Int(i) => Some(i);
    usize, "a non-negative integer", Value::Int(i) => usize::try_from(i).ok();
    String, "a string", Value::Str(s) => Some(s);
    DType, "a dtype", Value::DType(d) => Some(d);
}

impl FromValue for Value {
    const WHAT: &'static str = "anything";
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        Some(v)
    }
}

impl FromValue for f64 {
    const WHAT: &'static str = "a number";
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        match v {
            Value::Int(i) => Some(i as f64),
            Value::Float(f) => Some(f),
            _ => None,
        }
    }
}

/// The order of a norm: a number, or Frobenius' name for 2.
pub(super) struct Order(pub f64);

impl FromValue for Order {
    const WHAT: &'static str = "a number or 'fro'";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::Str(s) if s == "fro" => Some(Order(2.0)),
            Value::Str(s) => s.parse().ok().map(Order),
            v => f64::from_value(v, device).map(Order),
        }
    }
}

impl FromValue for Scalar {
    const WHAT: &'static str = "a number";
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        match v {
            Value::Bool(b) => Some(Scalar::Bool(b)),
            Value::Int(i) => Some(Scalar::Int(i)),
            Value::Float(f) => Some(Scalar::Float(f)),
            _ => None,
        }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const WHAT: &'static str = T::WHAT;
    const OPTIONAL: bool = true;
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::None => Some(None),
            Value::List(list) if T::EMPTY_IS_NONE && list.is_empty() => Some(None),
            v => T::from_value(v, device).map(Some),
        }
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    const WHAT: &'static str = "a list";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::List(list) => list.into_iter().map(|v| T::from_value(v, device)).collect(),
            _ => None,
        }
    }
}

/// One integer for each of `N` dimensions, or one for all of them.
impl<const N: usize> FromValue for [usize; N] {
    const WHAT: &'static str = "a non-negative integer, or one for each dimension";
    const EMPTY_IS_NONE: bool = true;
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match &v {
            Value::List(list) if list.len() == 1 => Some([usize::from_value(list[0].clone(), device)?; N]),
            Value::List(_) => Vec::<usize>::from_value(v, device)?.try_into().ok(),
            _ => Some([usize::from_value(v, device)?; N]),
        }
    }
}

/// Sizes of a result, of which `None` keeps the input's.
pub(super) struct Kept<const N: usize>([Option<usize>; N]);

impl<const N: usize> Kept<N> {
    /// The sizes, those that were left out from the last dimensions of `input`.
    pub fn sizes(&self, input: &Tensor) -> [usize; N] {
        let lead = input.rank().saturating_sub(N);
        std::array::from_fn(|i| self.0[i].unwrap_or_else(|| input.shape().get(lead + i).copied().unwrap_or(1)))
    }
}

impl<const N: usize> FromValue for Kept<N> {
    const WHAT: &'static str = "a non-negative integer or None, or one for each dimension";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match &v {
            Value::List(list) if list.len() == 1 => Option::from_value(list[0].clone(), device).map(|n| Kept([n; N])),
            Value::List(_) => Vec::from_value(v, device)?.try_into().ok().map(Kept),
            _ => Option::from_value(v, device).map(|n| Kept([n; N])),
        }
    }
}

/// All positional arguments that are left, or one list.
pub(super) struct Variadic<T>(pub Vec<T>);

impl<T: FromValue> FromValue for Variadic<T> {
    const WHAT: &'static str = Vec::<T>::WHAT;
    const VARIADIC: bool = true;
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        Vec::from_value(v, device).map(Variadic)
    }
}

/// One integer or several.
pub(super) struct Ints(pub Vec<isize>);

impl FromValue for Ints {
    const WHAT: &'static str = "an integer or a list of integers";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::Int(_) => Some(Ints(vec![isize::from_value(v, device)?])),
            v => Vec::from_value(v, device).map(Ints),
        }
    }
}

/// Where a new tensor goes: the device that was named, or the one the call is about.
pub(super) struct On(pub Device);

impl FromValue for On {
    const WHAT: &'static str = "a device";
    const OPTIONAL: bool = true;
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::None => Some(On(device.clone())),
            Value::Device(d) => Some(On(d)),
            Value::Str(s) => s.parse().ok().map(On),
            _ => None,
        }
    }
}

impl FromValue for Operand {
    const WHAT: &'static str = "a tensor or a number";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::Tensor(t) => Some(Operand::Tensor(t)),
            v => Scalar::from_value(v, device).map(Operand::Scalar),
        }
    }
}

/// No dimension, one or several: what a reduction is over.
#[derive(Clone)]
pub(super) struct Over(pub Option<Vec<isize>>);

impl Dims for Over {
    fn written(&self) -> Option<Signed> {
        self.0.as_ref().map(|dims| dims.iter().copied().collect())
    }
}

impl FromValue for Over {
    const WHAT: &'static str = "a dimension or several";
    const OPTIONAL: bool = true;
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::None => Some(Over(None)),
            v => Ints::from_value(v, device).map(|Ints(dims)| Over(Some(dims))),
        }
    }
}
