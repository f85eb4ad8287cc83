//! Small integers, flags and factors that decide shapes, computed on the host.
//!
//! What a graph computes from shapes and constants is known before anything ran on a device. These values are kept here, and
//! the operators that exporters build shapes from are evaluated here, so that a model with dynamic dimensions never waits for
//! a device, and does not make its queue longer either.

use taper::{DType, Device, Element, Error, Result, Scalar, Tensor};

/// How many numbers are worth computing here.
pub(crate) const INTS: usize = 1024;
/// How many floats: factors and limits, not weights.
pub(crate) const FLOATS: usize = 16;

/// Numbers on the host, in row-major order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Host {
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub data: Data,
}

/// Integers (and bools, as 0 and 1) or floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Ints(Vec<i64>),
    Floats(Vec<f64>),
}

macro_rules! with_element {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            DType::Bool => {
                type $t = bool;
                $body
            }
            DType::U8 => {
                type $t = u8;
                $body
            }
            DType::I8 => {
                type $t = i8;
                $body
            }
            DType::U16 => {
                type $t = u16;
                $body
            }
            DType::I16 => {
                type $t = i16;
                $body
            }
            DType::U32 => {
                type $t = u32;
                $body
            }
            DType::I32 => {
                type $t = i32;
                $body
            }
            DType::U64 => {
                type $t = u64;
                $body
            }
            DType::I64 => {
                type $t = i64;
                $body
            }
            DType::F16 => {
                type $t = half::f16;
                $body
            }
            DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            DType::F32 => {
                type $t = f32;
                $body
            }
            DType::F64 => {
                type $t = f64;
                $body
            }
        }
    };
}
pub(crate) use with_element;

impl Host {
    pub fn ints(values: Vec<i64>) -> Host {
        Host { dtype: DType::I64, shape: vec![values.len()], data: Data::Ints(values) }
    }

    pub fn int(value: i64) -> Host {
        Host { dtype: DType::I64, shape: Vec::new(), data: Data::Ints(vec![value]) }
    }

    /// Numbers of any type, rounded to it.
    pub fn of(dtype: DType, shape: Vec<usize>, data: Data) -> Host {
        let data = match data {
            Data::Floats(f) if dtype.is_float() => Data::Floats(f.into_iter().map(|v| rounded(dtype, v)).collect()),
            Data::Floats(f) if dtype == DType::Bool => Data::Ints(f.into_iter().map(|v| (v != 0.0) as i64).collect()),
            Data::Floats(f) => Data::Ints(f.into_iter().map(|v| wrapped(dtype, v as i64)).collect()),
            Data::Ints(i) if dtype.is_float() => Data::Floats(i.into_iter().map(|v| rounded(dtype, v as f64)).collect()),
            Data::Ints(i) => Data::Ints(i.into_iter().map(|v| wrapped(dtype, v)).collect()),
        };
        Host { dtype, shape, data }
    }

    /// Whether this many numbers of a type are kept here.
    pub fn is_small(dtype: DType, n: usize) -> bool {
        n <= if dtype.is_float() { FLOATS } else { INTS }
    }

    pub fn read(t: &Tensor) -> Result<Host> {
        let scalars: Vec<Scalar> = with_element!(t.dtype(), T => t.to_vec::<T>()?.into_iter().map(T::to_scalar).collect());
        Ok(Host::from_scalars(t.dtype(), t.shape().to_vec(), &scalars))
    }

    pub fn from_scalars(dtype: DType, shape: Vec<usize>, scalars: &[Scalar]) -> Host {
        let data = if dtype.is_float() {
            Data::Floats(scalars.iter().map(|s| s.as_f64()).collect())
        } else {
            Data::Ints(scalars.iter().map(|s| s.as_i64()).collect())
        };
        Host { dtype, shape, data }
    }

    pub fn tensor(&self, device: &Device) -> Result<Tensor> {
        let scalars: Vec<Scalar> = (0..self.len()).filter_map(|i| self.scalar(i)).collect();
        with_element!(self.dtype, T => {
            let values: Vec<T> = scalars.iter().map(|&s| T::from_scalar(s)).collect();
            Tensor::from_slice(&values, &self.shape, device)
        })
    }

    pub fn len(&self) -> usize {
        match &self.data {
            Data::Ints(v) => v.len(),
            Data::Floats(v) => v.len(),
        }
    }

    pub fn scalar(&self, i: usize) -> Option<Scalar> {
        match &self.data {
            Data::Ints(v) if self.dtype == DType::Bool => v.get(i).map(|&v| Scalar::Bool(v != 0)),
            Data::Ints(v) if self.dtype == DType::U64 => v.get(i).map(|&v| Scalar::UInt(v as u64)),
            Data::Ints(v) => v.get(i).map(|&v| Scalar::Int(v)),
            Data::Floats(v) => v.get(i).map(|&v| Scalar::Float(v)),
        }
    }

    pub fn to_ints(&self) -> Result<Vec<i64>> {
        match &self.data {
            Data::Ints(v) => Ok(v.clone()),
            Data::Floats(_) => Err(Error::dtype("onnx", format!("expected integers, found {}", self.dtype))),
        }
    }

    pub fn to_floats(&self) -> Vec<f64> {
        match &self.data {
            Data::Ints(v) if self.dtype == DType::U64 => v.iter().map(|&v| v as u64 as f64).collect(),
            Data::Ints(v) => v.iter().map(|&v| v as f64).collect(),
            Data::Floats(v) => v.clone(),
        }
    }

    /// The elements at these positions, in another shape.
    pub fn pick(&self, shape: Vec<usize>, at: impl Iterator<Item = usize>) -> Option<Host> {
        let data = match &self.data {
            Data::Ints(v) => Data::Ints(at.map(|i| v.get(i).copied()).collect::<Option<_>>()?),
            Data::Floats(v) => Data::Floats(at.map(|i| v.get(i).copied()).collect::<Option<_>>()?),
        };
        Some(Host { dtype: self.dtype, shape, data })
    }

    /// The same elements in another shape of as many.
    pub fn reshaped(&self, shape: Vec<usize>) -> Option<Host> {
        (shape.iter().product::<usize>() == self.len()).then(|| Host { shape, ..self.clone() })
    }

    /// Repeated to a shape it broadcasts to.
    pub fn broadcast(&self, shape: &[usize]) -> Option<Host> {
        let lead = shape.len().checked_sub(self.shape.len())?;
        let fits = self.shape.iter().zip(&shape[lead..]).all(|(&a, &b)| a == b || a == 1);
        let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| fits && n <= INTS)?;
        let at = (0..n).map(|flat| {
            let (mut rest, mut at, mut stride) = (flat, 0, 1);
            for d in (0..shape.len()).rev() {
                let i = rest % shape[d];
                rest /= shape[d];
                if d >= lead {
                    let own = self.shape[d - lead];
                    at += if own == 1 { 0 } else { i * stride };
                    stride *= own;
                }
            }
            at
        });
        self.pick(shape.to_vec(), at)
    }
}

/// The shape two shapes broadcast to.
pub(crate) fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let at = |s: &[usize], d: usize| (d + s.len()).checked_sub(rank).map_or(1, |d| s[d]);
    (0..rank)
        .map(|d| match (at(a, d), at(b, d)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

fn rounded(dtype: DType, v: f64) -> f64 {
    match dtype {
        DType::F16 => half::f16::from_f64(v).to_f64(),
        DType::BF16 => half::bf16::from_f64(v).to_f64(),
        DType::F32 => f64::from(v as f32),
        _ => v,
    }
}

fn wrapped(dtype: DType, v: i64) -> i64 {
    match dtype {
        DType::Bool => (v != 0) as i64,
        DType::U8 => v as u8 as i64,
        DType::I8 => v as i8 as i64,
        DType::U16 => v as u16 as i64,
        DType::I16 => v as i16 as i64,
        DType::U32 => v as u32 as i64,
        DType::I32 => v as i32 as i64,
        _ => v,
    }
}
