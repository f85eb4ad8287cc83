//! Making arguments out of recorded values.

use std::collections::HashMap;

use half::{bf16, f16};
use serde_json::Value as Json;
use taper::ops::registry::Value;
use taper::{ComplexTensor, DType, Device, Element, Tensor};

use super::outcome::{Outcome, Step};
use super::suite::{File, Stored, dtype};

/// Makes the arguments of one case; a tensor that occurs twice is one tensor.
pub struct Maker<'a> {
    file: &'a File,
    pub device: &'a Device,
    made: HashMap<String, Tensor>,
}

impl<'a> Maker<'a> {
    pub fn new(file: &'a File, device: &'a Device) -> Self {
        Maker { file, device, made: HashMap::new() }
    }

    /// The tensor of a key as it was made for this case.
    pub fn made(&self, key: &str) -> Option<&Tensor> {
        self.made.get(key)
    }

    pub fn stored(&self, key: &str) -> Step<&'a Stored> {
        self.file.tensor(key).ok_or_else(|| Outcome::failed(format!("the suite has no tensor {key}")))
    }

    /// A plain tensor: a parameter, a cotangent.
    pub fn tensor(&self, key: &str) -> Step<Tensor> {
        upload(self.stored(key)?, self.device)
    }

    /// A tensor, or nothing where the suite says `null`.
    pub fn optional(&self, key: &Json) -> Step<Option<Tensor>> {
        key.as_str().map(|k| self.tensor(k)).transpose()
    }

    pub fn list(&mut self, values: &Json) -> Step<Vec<Value>> {
        values.as_array().map(Vec::as_slice).unwrap_or_default().iter().map(|v| self.value(v)).collect()
    }

    /// Keyword arguments, less those that say where and how to store.
    pub fn kwargs<'k>(&mut self, values: &'k Json) -> Step<Vec<(&'k str, Value)>> {
        let hints = ["memory_format", "layout", "generator", "pin_memory", "requires_grad"];
        // A layout that is not the usual one is an argument to be refused.
        let hint = |k: &str, v: &Json| hints.contains(&k) && (k != "layout" || v.is_null() || v["layout"] == "strided");
        let named = values.as_object().into_iter().flatten().filter(|(k, v)| !hint(k, v));
        named.map(|(k, v)| Ok((if k == "self" { "input" } else { k.as_str() }, self.value(v)?))).collect()
    }

    pub fn value(&mut self, v: &Json) -> Step<Value> {
        Ok(match v {
            Json::Null => Value::None,
            Json::Bool(b) => Value::Bool(*b),
            Json::Number(n) => match n.as_i64() {
                Some(i) => Value::Int(i),
                None => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
            },
            // The recording ran on the CPU; here "cpu" is the device under test.
            Json::String(s) if s == "cpu" => Value::Device(self.device.clone()),
            Json::String(s) => Value::Str(s.clone()),
            Json::Array(_) => Value::List(self.list(v)?),
            Json::Object(o) => {
                if let Some(key) = o.get("tensor").and_then(Json::as_str) {
                    let t = self.argument(key, v)?;
                    return Ok(if v.get("complex").is_some() { Value::Complex(t.view_as_complex()?) } else { Value::Tensor(t) });
                }
                if let Some(name) = o.get("module").or(o.get("function")).and_then(Json::as_str) {
                    return self.named(name, o);
                }
                let (kind, inner) = o.iter().find(|(k, _)| *k != "names").ok_or_else(|| Outcome::failed("an empty value"))?;
                match kind.as_str() {
                    "tuple" => Value::List(self.list(inner)?),
                    "float" => Value::Float(match inner.as_str() {
                        Some("inf") => f64::INFINITY,
                        Some("-inf") => f64::NEG_INFINITY,
                        _ => f64::NAN,
                    }),
                    "dtype" => {
                        let name = inner.as_str().unwrap_or_default();
                        Value::DType(self.allowed(dtype(name).ok_or_else(|| Outcome::failed(format!("there is no type {name}")))?)?)
                    }
                    "device" => Value::Device(self.device.clone()),
                    "memory_format" | "layout" => Value::None,
                    "slice" => {
                        let part = |i: usize| inner.get(i).and_then(Json::as_i64);
                        Value::Slice(part(0), part(1), part(2))
                    }
                    "ellipsis" => Value::Ellipsis,
                    "complex" => {
                        let part = |i: usize| inner.get(i).and_then(Json::as_f64).unwrap_or(f64::NAN);
                        let part = |i: usize| Tensor::full([], part(i), (DType::F32, self.device));
                        Value::Complex(ComplexTensor::new(&part(0)?, &part(1)?)?)
                    }
                    other => return Err(Outcome::failed(format!("the engine has no values of kind '{other}'"))),
                }
            }
        })
    }

    /// A module or a function as an argument: its name, or for a module with arguments `[name, args, [[key, value], ..]]`.
    fn named(&mut self, name: &str, o: &serde_json::Map<String, Json>) -> Step<Value> {
        let args = o.get("args").map(|args| self.list(args)).transpose()?.unwrap_or_default();
        let mut kwargs = Vec::new();
        for (key, v) in o.get("kwargs").and_then(Json::as_object).into_iter().flatten() {
            kwargs.push(Value::List(vec![Value::Str(key.clone()), self.value(v)?]));
        }
        let name = Value::Str(name.into());
        Ok(if args.is_empty() && kwargs.is_empty() { name } else { Value::List(vec![name, Value::List(args), Value::List(kwargs)]) })
    }

    fn argument(&mut self, key: &str, v: &Json) -> Step<Tensor> {
        if let Some(t) = self.made.get(key) {
            return Ok(t.clone());
        }
        let stored = self.stored(key)?;
        let stride: Option<Vec<usize>> = v.get("stride").and_then(|s| serde_json::from_value(s.clone()).ok());
        let t = match stride {
            Some(stride) => strided(stored, &stride, self.device)?,
            None => upload(stored, self.device)?,
        };
        if v.get("requires_grad").and_then(Json::as_bool) == Some(true) {
            t.requires_grad_(true)?;
        }
        self.made.insert(key.to_string(), t.clone());
        Ok(t)
    }

    fn allowed(&self, dtype: DType) -> Step<DType> {
        allowed(dtype, self.device)
    }
}

/// Refuses what the device cannot have by the documented policy.
pub fn allowed(dtype: DType, device: &Device) -> Step<DType> {
    if dtype == DType::F64 && !device.is_cpu() {
        return Err(Outcome::Skipped("no f64 on a GPU".into()));
    }
    Ok(dtype)
}

/// Runs `$body` with `$t` the Rust type of an element type.
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
                type $t = f16;
                $body
            }
            DType::BF16 => {
                type $t = bf16;
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

/// A stored tensor on a device.
pub fn upload(stored: &Stored, device: &Device) -> Step<Tensor> {
    let dtype = stored.dtype.ok_or_else(|| Outcome::failed("the engine has no such element type"))?;
    if dtype == DType::I64 && !device.is_cpu() && ints(stored).into_iter().any(|v| i32::try_from(v).is_err()) {
        return Err(Outcome::Skipped("no integers past 32 bits on a GPU".into()));
    }
    Ok(with_element!(allowed(dtype, device)?, T => Tensor::from_vec(T::read_bytes(&stored.bytes), &stored.shape, device))?)
}

/// The elements of a tensor, read back.
pub fn download(t: &Tensor) -> taper::Result<Stored> {
    let bytes = with_element!(t.dtype(), T => T::write_bytes(&t.to_vec::<T>()?));
    Ok(Stored { dtype: Some(t.dtype()), shape: t.shape().to_vec(), bytes })
}

/// The elements as `f64`, exact but for integers past 2^53.
pub fn floats(stored: &Stored) -> Vec<f64> {
    let Some(dtype) = stored.dtype else { return Vec::new() };
    with_element!(dtype, T => T::read_bytes(&stored.bytes).into_iter().map(|v| v.to_scalar().as_f64()).collect())
}

/// The elements as integers.
pub fn ints(stored: &Stored) -> Vec<i64> {
    let Some(dtype) = stored.dtype else { return Vec::new() };
    with_element!(dtype, T => T::read_bytes(&stored.bytes).into_iter().map(|v| v.to_scalar().as_i64()).collect())
}

/// A tensor that lies in memory with these strides, as the recorded one did.
fn strided(stored: &Stored, stride: &[usize], device: &Device) -> Step<Tensor> {
    let (shape, dtype) = (&stored.shape, stored.dtype.ok_or_else(|| Outcome::failed("the engine has no such element type"))?);
    if shape.len() != stride.len() || shape.contains(&0) {
        return upload(stored, device);
    }
    let span = 1 + shape.iter().zip(stride).map(|(n, s)| (n - 1) * s).sum::<usize>();
    let size = dtype.size();
    let mut bytes = vec![0; span * size];
    for (i, element) in stored.bytes.chunks_exact(size).enumerate() {
        let mut rest = i;
        let mut at = 0;
        for (n, s) in shape.iter().zip(stride).rev() {
            at += rest % n * s;
            rest /= n;
        }
        bytes[at * size..][..size].copy_from_slice(element);
    }
    let memory = upload(&Stored { dtype: Some(dtype), shape: vec![span], bytes }, device)?;
    let stride: Vec<isize> = stride.iter().map(|&s| s as isize).collect();
    Ok(memory.as_strided(shape, &stride, 0)?.detach()?)
}
