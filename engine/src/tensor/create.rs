//! Tensors from data, and filled tensors.

use std::borrow::Cow;
use std::panic::Location;
use std::sync::Arc;

use super::Tensor;
use crate::device::Device;
use crate::dtype::{DType, Element, Scalar};
use crate::error::{Error, Result};
use crate::graph::node::{Node, State, Storage};
use crate::ops::{self, Spec};
use crate::runtime::Place;
use crate::shape::{Shape, checked_numel};

/// Where a new tensor lives and what it holds: `&device`, or `(DType::I64, &device)`.
#[derive(Debug, Clone)]
pub struct TensorOptions {
    /// `None`: the default of the function (f32, or what the data says).
    pub dtype: Option<DType>,
    pub device: Device,
}

impl From<&Device> for TensorOptions {
    fn from(device: &Device) -> Self {
        TensorOptions { dtype: None, device: device.clone() }
    }
}

impl From<Device> for TensorOptions {
    fn from(device: Device) -> Self {
        TensorOptions { dtype: None, device }
    }
}

impl From<(DType, &Device)> for TensorOptions {
    fn from((dtype, device): (DType, &Device)) -> Self {
        TensorOptions { dtype: Some(dtype), device: device.clone() }
    }
}

impl From<(DType, Device)> for TensorOptions {
    fn from((dtype, device): (DType, Device)) -> Self {
        TensorOptions { dtype: Some(dtype), device }
    }
}

impl From<&TensorOptions> for TensorOptions {
    fn from(options: &TensorOptions) -> Self {
        options.clone()
    }
}

/// Data a tensor can be made from: numbers, arrays of numbers nested to any depth that compiles, slices, vectors.
pub trait IntoTensorData {
    type Item: Element;
    /// The shape, and whether the nesting is regular.
    fn shape(&self, op: &'static str) -> Result<Shape>;
    fn collect(&self, into: &mut Vec<Self::Item>);
}

macro_rules! scalars {
    ($($t:ty),*) => {$(
        impl IntoTensorData for $t {
            type Item = $t;
            fn shape(&self, _: &'static str) -> Result<Shape> {
                Ok(Shape::new())
            }
            fn collect(&self, into: &mut Vec<$t>) {
                into.push(*self);
            }
        }
    )*};
}
scalars!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool, half::f16, half::bf16);

impl<D: IntoTensorData> IntoTensorData for [D] {
    type Item = D::Item;
    fn shape(&self, op: &'static str) -> Result<Shape> {
        let mut shape = Shape::from_slice(&[self.len()]);
        let Some(first) = self.first() else { return Ok(shape) };
        let inner = first.shape(op)?;
        for (i, row) in self.iter().enumerate() {
            let other = row.shape(op)?;
            if other != inner {
                return Err(Error::argument(op, format!("row 0 has shape {inner:?} and row {i} has {other:?}: rows must be alike")));
            }
        }
        shape.extend(inner);
        Ok(shape)
    }
    fn collect(&self, into: &mut Vec<D::Item>) {
        self.iter().for_each(|d| d.collect(into));
    }
}

macro_rules! as_slices {
    ($($list:ty $(, $n:ident)?;)*) => {$(
        impl<D: IntoTensorData $(, const $n: usize)?> IntoTensorData for $list {
            type Item = D::Item;
            fn shape(&self, op: &'static str) -> Result<Shape> {
                self[..].shape(op)
            }
            fn collect(&self, into: &mut Vec<D::Item>) {
                self[..].collect(into);
            }
        }
    )*};
}
as_slices! { [D; N], N; Vec<D>; }

impl<D: IntoTensorData + ?Sized> IntoTensorData for &D {
    type Item = D::Item;
    fn shape(&self, op: &'static str) -> Result<Shape> {
        (**self).shape(op)
    }
    fn collect(&self, into: &mut Vec<D::Item>) {
        (**self).collect(into);
    }
}

/// A vector for `n` elements, or an error when memory is short: sizes come from users.
pub(crate) fn reserve<T>(op: &'static str, n: usize) -> Result<Vec<T>> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Error::OutOfMemory {
        device: "cpu".into(),
        message: format!("{op}: no memory for {n} elements of {} bytes", size_of::<T>()),
    })?;
    Ok(v)
}

/// Host bytes of `values` as `dtype`; borrowed where nothing is to be converted.
fn bytes_as<'a, T: Element>(op: &'static str, values: &'a [T], dtype: DType) -> Result<Cow<'a, [u8]>> {
    fn convert<T: Element, U: Element>(op: &'static str, values: &[T]) -> Result<Cow<'static, [u8]>> {
        let mut out = reserve(op, values.len() * size_of::<U>())?;
        values.iter().for_each(|v| out.extend_from_slice(U::as_bytes(&[U::from_scalar(v.to_scalar())])));
        Ok(Cow::Owned(out))
    }
    if dtype == T::DTYPE {
        return Ok(Cow::Borrowed(T::as_bytes(values)));
    }
    match dtype {
        DType::Bool => convert::<T, bool>(op, values),
        DType::U8 => convert::<T, u8>(op, values),
        DType::I8 => convert::<T, i8>(op, values),
        DType::U16 => convert::<T, u16>(op, values),
        DType::I16 => convert::<T, i16>(op, values),
        DType::U32 => convert::<T, u32>(op, values),
        DType::I32 => convert::<T, i32>(op, values),
        DType::U64 => convert::<T, u64>(op, values),
        DType::I64 => convert::<T, i64>(op, values),
        DType::F16 => convert::<T, half::f16>(op, values),
        DType::BF16 => convert::<T, half::bf16>(op, values),
        DType::F32 => convert::<T, f32>(op, values),
        DType::F64 => convert::<T, f64>(op, values),
    }
}

/// Smallest and largest of integers in native byte order; `None` for other types and for no elements.
fn range_of(bytes: &[u8], dtype: DType) -> Option<(i64, i64)> {
    macro_rules! range {
        ($t:ty) => {{
            let mut values = bytes.chunks_exact(size_of::<$t>()).map(|c| <$t>::from_ne_bytes(c.try_into().unwrap_or_default()));
            let first = values.next()?;
            let (low, high) = values.fold((first, first), |(low, high), v| (low.min(v), high.max(v)));
            Some((low.try_into().unwrap_or(i64::MAX), high.try_into().unwrap_or(i64::MAX)))
        }};
    }
    match dtype {
        DType::U8 => range!(u8),
        DType::I8 => range!(i8),
        DType::U16 => range!(u16),
        DType::I16 => range!(i16),
        DType::U32 => range!(u32),
        DType::I32 => range!(i32),
        DType::U64 => range!(u64),
        DType::I64 => range!(i64),
        DType::Bool | DType::F16 | DType::BF16 | DType::F32 | DType::F64 => None,
    }
}

/// The type a device keeps integers in: a GPU has 32 bits for 64.
pub(super) fn stored(dtype: DType, device: &Device) -> DType {
    match dtype {
        DType::I64 if !device.is_cpu() => DType::I32,
        DType::U64 if !device.is_cpu() => DType::U32,
        other => other,
    }
}

/// Refuses 64-bit integers that do not fit the bits the device has for them.
pub(super) fn check_wide(op: &'static str, dtype: DType, values: &[Scalar], device: &Device) -> Result<()> {
    let kept = stored(dtype, device);
    let Some((low, high)) = kept.int_range().filter(|_| kept != dtype) else { return Ok(()) };
    match values.iter().find(|v| !(low..=high).contains(&v.as_i128())) {
        Some(v) => Err(Error::dtype(op, format!("{v} does not fit the 32 bits that {device} has for {dtype}"))),
        None => Ok(()),
    }
}

impl Tensor {
    /// A tensor holding `data`: a number, nested arrays, slices or vectors.
    ///
    /// Floats become f32 and integers i64 unless the options say otherwise; `bool`, `f16` and `bf16` stay.
    /// Like `torch.tensor`.
    ///
    /// # Errors
    /// Rows of different shapes; a dtype the device does not have; no memory.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], &Device::cpu())?;
    /// assert_eq!((x.shape(), x.dtype()), (&[2, 3][..], DType::F32));
    /// assert_eq!(Tensor::new([1, 2], &Device::cpu())?.dtype(), DType::I64);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn new<D: IntoTensorData>(data: D, options: impl Into<TensorOptions>) -> Result<Tensor> {
        const OP: &str = "tensor";
        let options = options.into();
        let shape = data.shape(OP)?;
        let mut values = reserve(OP, checked_numel(OP, &shape)?)?;
        data.collect(&mut values);
        let own = D::Item::DTYPE;
        let default = match own {
            DType::F64 => DType::F32,
            d if d.is_int() => DType::I64,
            d => d,
        };
        Tensor::from_values(OP, &values, &shape, options.dtype.unwrap_or(default), &options.device)
    }

    /// A tensor of exactly `T`'s type from elements in row-major order.
    ///
    /// # Errors
    /// Another number of elements than the shape has; a dtype the device does not have; no memory.
    #[track_caller]
    pub fn from_vec<T: Element>(values: Vec<T>, shape: impl AsRef<[usize]>, device: &Device) -> Result<Tensor> {
        Tensor::from_slice(&values, shape, device)
    }

    /// As [`from_vec`](Self::from_vec), from a slice.
    ///
    /// # Errors
    /// As [`from_vec`](Self::from_vec).
    #[track_caller]
    pub fn from_slice<T: Element>(values: &[T], shape: impl AsRef<[usize]>, device: &Device) -> Result<Tensor> {
        Tensor::from_values("from_slice", values, shape.as_ref(), T::DTYPE, device)
    }

    #[track_caller]
    fn from_values<T: Element>(op: &'static str, values: &[T], shape: &[usize], dtype: DType, device: &Device) -> Result<Tensor> {
        let n = checked_numel(op, shape)?;
        if n != values.len() {
            return Err(Error::argument(op, format!("a shape of {shape:?} has {n} elements, but {} were given", values.len())));
        }
        let bytes = bytes_as(op, values, dtype)?;
        Tensor::upload(op, &bytes, Spec::new(dtype, shape), device, range_of(&bytes, dtype))
    }

    /// A tensor of `shape` from its elements' bytes, in native order and row-major.
    ///
    /// # Errors
    /// Another number of bytes than the shape takes; a `bool` that is neither 0 nor 1; a dtype the device does not
    /// have; no memory.
    #[track_caller]
    pub fn from_bytes(bytes: &[u8], dtype: DType, shape: impl AsRef<[usize]>, device: &Device) -> Result<Tensor> {
        const OP: &str = "from_bytes";
        if dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
            return Err(Error::argument(OP, "a bool must be 0 or 1"));
        }
        Tensor::upload(OP, bytes, Spec::new(dtype, shape.as_ref()), device, range_of(bytes, dtype))
    }

    /// A tensor over host bytes of its elements in native order.
    #[track_caller]
    pub(crate) fn upload(op: &'static str, bytes: &[u8], spec: Spec, device: &Device, range: Option<(i64, i64)>) -> Result<Tensor> {
        let runtime = device.runtime();
        runtime.check_dtype(op, spec.dtype)?;
        let n = checked_numel(op, &spec.shape)?;
        if bytes.len() != n * spec.dtype.size() {
            let message = format!("{} bytes for {n} elements of {} ({} bytes each)", bytes.len(), spec.dtype, spec.dtype.size());
            return Err(Error::argument(op, message));
        }
        let buffer = device.pool().take(device, runtime.stored_bytes(spec.dtype, n))?;
        runtime.upload(Place { buffer: buffer.id, offset: 0 }, spec.dtype, bytes)?;
        let state = State::Ready(Storage { buffer, offset: 0 });
        Ok(Tensor::from_node(Node::new(spec, device.clone(), None, state, range, Location::caller())))
    }

    // ---- filled ---------------------------------------------------------------------------------

    /// A tensor of `shape` with `value` in every element; f32 unless the options say otherwise (`bool` and integer
    /// values make tensors of their kind, as in PyTorch).
    ///
    /// # Errors
    /// A shape with more elements than can be addressed; a dtype the device does not have.
    #[track_caller]
    pub fn full(shape: impl AsRef<[usize]>, value: impl Into<Scalar>, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let (options, value) = (options.into(), value.into());
        Tensor::filled("full", shape.as_ref(), value, options.dtype.unwrap_or(value.default_dtype()), &options.device)
    }

    #[track_caller]
    fn filled(op: &'static str, shape: &[usize], value: Scalar, dtype: DType, device: &Device) -> Result<Tensor> {
        checked_numel(op, shape)?;
        check_wide(op, dtype, &[value], device)?;
        Tensor::source(ops::Full { value, spec: Spec::new(dtype, shape) }, device)
    }

    /// The result of an operator without inputs.
    #[track_caller]
    pub(crate) fn source(op: impl ops::Op, device: &Device) -> Result<Tensor> {
        Tensor::compute(Arc::new(op), &[], device)
    }

    /// Zeros, f32 by default. Allocated on the device, without a host copy.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn zeros(shape: impl AsRef<[usize]>, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = options.into();
        Tensor::filled("zeros", shape.as_ref(), Scalar::Int(0), options.dtype.unwrap_or(DType::F32), &options.device)
    }

    /// Ones, f32 by default.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn ones(shape: impl AsRef<[usize]>, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = options.into();
        Tensor::filled("ones", shape.as_ref(), Scalar::Int(1), options.dtype.unwrap_or(DType::F32), &options.device)
    }

    /// A tensor whose contents do not matter yet. Taper gives zeros: reading it is never undefined.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn empty(shape: impl AsRef<[usize]>, options: impl Into<TensorOptions>) -> Result<Tensor> {
        Tensor::zeros(shape, options)
    }

    /// The numbers from `start` to `end` (exclusive) in steps of `step`, as `torch.arange`: i64 when all three are
    /// integers, else f32.
    ///
    /// # Errors
    /// A step of zero, a step away from `end`, a bound that is not finite; integers that do not fit the device's 32 bits.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// assert_eq!(Tensor::arange(0, 10, 4, &Device::cpu())?.to_vec::<i64>()?, [0, 4, 8]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn arange(
        start: impl Into<Scalar>,
        end: impl Into<Scalar>,
        step: impl Into<Scalar>,
        options: impl Into<TensorOptions>,
    ) -> Result<Tensor> {
        const OP: &str = "arange";
        let (start, end, step, options) = (start.into(), end.into(), step.into(), options.into());
        let integers = ![start, end, step].iter().any(|s| matches!(s, Scalar::Float(_)));
        let dtype = options.dtype.unwrap_or(if integers { DType::I64 } else { DType::F32 });
        let (a, b, s) = (start.as_f64(), end.as_f64(), step.as_f64());
        if !a.is_finite() || !b.is_finite() || !s.is_finite() || s == 0.0 || (b - a) * s < 0.0 {
            return Err(Error::argument(OP, format!("from {a} to {b} in steps of {s}: needs finite bounds and a step towards the end")));
        }
        let count = if integers {
            let (a, b, s) = (start.as_i64() as i128, end.as_i64() as i128, step.as_i64() as i128);
            ((b - a).abs() + s.abs() - 1) / s.abs()
        } else {
            ((b - a) / s).ceil() as i128
        };
        let n = usize::try_from(count).ok().filter(|&n| checked_numel(OP, &[n]).is_ok());
        let n = n.ok_or_else(|| Error::argument(OP, format!("{count} elements are more than can be addressed")))?;
        if dtype == DType::Bool {
            return Err(Error::dtype(OP, "a sequence of bool does not exist"));
        }
        if integers && n > 0 {
            let last = Scalar::from_i128(start.as_i128() + (n as i128 - 1) * step.as_i128());
            check_wide(OP, dtype, &[start, last], &options.device)?;
        }
        // Steps with a fraction add up before they are rounded to integers.
        let steps = if dtype.is_int() && !integers { wide_float(&options.device) } else { dtype };
        Tensor::source(ops::Arange { start, step, spec: Spec::new(steps, &[n]) }, &options.device)?.to_dtype(dtype)
    }

    /// `steps` numbers from `start` to `end`, both included, as `torch.linspace`.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn linspace(start: impl Into<Scalar>, end: impl Into<Scalar>, steps: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let (start, end, options) = (start.into().as_f64(), end.into().as_f64(), options.into());
        checked_numel("linspace", &[steps])?;
        let dtype = options.dtype.unwrap_or(DType::F32);
        let computed = if dtype.is_float() { dtype } else { wide_float(&options.device) };
        let op = ops::Linspace { spec: Spec::new(computed, &[steps]), start, end };
        Tensor::source(op, &options.device)?.to_dtype(dtype)
    }

    /// `steps` numbers from `base^start` to `base^end`, their logarithms evenly spaced, as `torch.logspace`.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn logspace(
        start: impl Into<Scalar>,
        end: impl Into<Scalar>,
        steps: usize,
        base: f64,
        options: impl Into<TensorOptions>,
    ) -> Result<Tensor> {
        let options = options.into();
        let wide = wide_float(&options.device);
        let exponents = Tensor::linspace(start, end, steps, (wide, &options.device))?;
        Tensor::full([], base, (wide, &options.device))?.pow(&exponents)?.to_dtype(options.dtype.unwrap_or(DType::F32))
    }

    /// The identity matrix, `[n, n]`.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn eye(n: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
        Tensor::eye_rect(n, n, options)
    }

    /// `[rows, cols]` with ones on the diagonal, as `torch.eye(rows, cols)`.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn eye_rect(rows: usize, cols: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = options.into();
        checked_numel("eye", &[rows, cols])?;
        let line = |n: usize| Tensor::arange(0, n, 1, (DType::I32, &options.device));
        line(rows)?.unsqueeze(1)?.eq(&line(cols)?)?.to_dtype(options.dtype.unwrap_or(DType::F32))
    }

    // ---- like another ---------------------------------------------------------------------------

    /// This tensor's dtype and device, for a new one.
    pub fn options(&self) -> TensorOptions {
        TensorOptions { dtype: Some(self.dtype()), device: self.device().clone() }
    }

    /// Zeros of this tensor's shape, dtype and device.
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn zeros_like(&self) -> Result<Tensor> {
        self.full_like(0)
    }

    /// Ones of this tensor's shape, dtype and device.
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn ones_like(&self) -> Result<Tensor> {
        self.full_like(1)
    }

    /// `value` in this tensor's shape, dtype and device.
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn full_like(&self, value: impl Into<Scalar>) -> Result<Tensor> {
        self.value()?;
        Tensor::filled("full_like", self.shape(), value.into(), self.dtype(), self.device())
    }

    /// A tensor of this shape, dtype and device whose contents do not matter yet.
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn empty_like(&self) -> Result<Tensor> {
        self.zeros_like()
    }

    /// Zeros of another shape in this tensor's dtype and device.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn new_zeros(&self, shape: impl AsRef<[usize]>) -> Result<Tensor> {
        self.new_full(shape, 0)
    }

    /// Ones of another shape in this tensor's dtype and device.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn new_ones(&self, shape: impl AsRef<[usize]>) -> Result<Tensor> {
        self.new_full(shape, 1)
    }

    /// `value` in another shape, in this tensor's dtype and device.
    ///
    /// # Errors
    /// As [`full`](Self::full).
    #[track_caller]
    pub fn new_full(&self, shape: impl AsRef<[usize]>, value: impl Into<Scalar>) -> Result<Tensor> {
        self.value()?;
        Tensor::filled("new_full", shape.as_ref(), value.into(), self.dtype(), self.device())
    }
}

/// The most precise float of a device.
fn wide_float(device: &Device) -> DType {
    if device.is_cpu() { DType::F64 } else { DType::F32 }
}

#[cfg(test)]
mod tests;
