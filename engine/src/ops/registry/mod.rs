//! Operators by name: what test suites, model files and scripts call.
//!
//! A name is PyTorch's public path without `torch.` (`add`, `linalg.norm`, `nn.functional.conv2d`); a method
//! `torch.Tensor.f` is `f`, and one that works in place ends in `_`. One name may have several signatures, tried in
//! order as PyTorch does (`max(input)`, `max(input, dim, keepdim)`, `max(input, other)`). A row is the signature,
//! with Python's names and defaults, and one expression over [`Tensor`](crate::Tensor) methods: what an operator
//! means is written there and nowhere here.
//!
//! ```
//! use taper::ops::registry::{self, Value};
//! # use taper::prelude::*;
//! # fn main() -> Result<()> {
//! let device = Device::cpu();
//! let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &device)?;
//! let sum = registry::call("sum", &[x.into()], &[("dim", Value::Int(0))], &device)?;
//! assert_eq!(sum.tensor()?.to_vec::<f32>()?, [4.0, 6.0]);
//! # Ok(()) }
//! ```

mod arrange;
mod combine;
mod complex;
mod convert;
mod create;
mod decompose;
mod index;
mod inplace;
mod linalg;
mod losses;
mod masked;
mod math;
mod natives;
mod network;
mod nn;
mod order;
mod products;
mod reduce;
mod spatial;
mod special;
mod training;
mod unary;
mod view;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use convert::Value;
use convert::{FromValue, IntoValue};

use crate::device::Device;
use crate::error::{Error, Result};

/// One signature of an operator.
#[derive(Debug)]
pub struct Operator {
    pub name: &'static str,
    pub params: &'static [Param],
    /// What it calls, as it is written in its table.
    pub body: &'static str,
    prepare: fn(&mut Given<'_>) -> Result<Ready>,
}

/// A parameter, by Python's name.
#[derive(Debug)]
pub struct Param {
    pub name: &'static str,
    pub required: bool,
    /// Takes all positional arguments that are left, unless they are one list.
    variadic: bool,
}

/// A call whose arguments fit: what is left is to run it.
pub type Ready = Box<dyn FnOnce() -> Result<Value>>;

/// The signatures of an operator, in the order they are tried; none if there is no operator of that name.
pub fn overloads(name: &str) -> &'static [&'static Operator] {
    static BY_NAME: LazyLock<HashMap<&'static str, Vec<&'static Operator>>> = LazyLock::new(|| {
        let mut map: HashMap<_, Vec<_>> = HashMap::new();
        operators().for_each(|op| map.entry(op.name).or_default().push(op));
        map
    });
    BY_NAME.get(name).map_or(&[], Vec::as_slice)
}

/// Whether there is an operator of that name.
pub fn exists(name: &str) -> bool {
    !overloads(name).is_empty() || inplace::of(name).is_some() || arrange::copied(name).is_some()
}

/// Every signature of every operator.
pub fn operators() -> impl Iterator<Item = &'static Operator> {
    [
        create::ROWS,
        unary::ROWS,
        math::ROWS,
        reduce::ROWS,
        view::ROWS,
        index::ROWS,
        linalg::ROWS,
        nn::ROWS,
        inplace::ROWS,
        products::ROWS,
        losses::ROWS,
        network::ROWS,
        special::ROWS,
        spatial::ROWS,
        decompose::ROWS,
        natives::ROWS,
        order::ROWS,
        arrange::ROWS,
        combine::ROWS,
        masked::ROWS,
        training::ROWS,
        complex::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// Finds the signature that takes these arguments. New tensors will be on `device` unless an argument says otherwise.
///
/// # Errors
/// No such operator; arguments no signature takes (the message is about the last one that takes as many).
pub fn prepare(name: &str, args: &[Value], kwargs: &[(&str, Value)], device: &Device) -> Result<Ready> {
    let mut why = None;
    if let (Some((kwargs, on)), Some(op)) = (inplace::flag(name, kwargs), overloads(name).first()) {
        let ready = prepare(name, args, &kwargs, device)?;
        let Some(Value::Tensor(input)) = args.first().filter(|_| on).cloned() else { return Ok(ready) };
        return Ok(Box::new(move || input.overwrite(op.name, ready()?.tensor().cloned()).cloned().map(Value::Tensor)));
    }
    if let (true, Some(base), Some(Value::Tensor(input))) = (overloads(name).is_empty(), inplace::of(name), args.first()) {
        let (input, ready) = (input.clone(), prepare(base, args, kwargs, device)?);
        return Ok(Box::new(move || {
            let new = ready()?;
            input.overwrite(base, new.tensor().cloned()).cloned().map(Value::Tensor)
        }));
    }
    if let (true, Some(base)) = (overloads(name).is_empty(), arrange::copied(name)) {
        let ready = prepare(base, args, kwargs, device)?;
        return Ok(Box::new(move || arrange::copies(ready()?)));
    }
    for op in overloads(name) {
        match op.bind(args, kwargs, device) {
            Ok(mut given) => match (op.prepare)(&mut given) {
                Ok(ready) => return Ok(ready),
                Err(e) => why = Some(e),
            },
            Err(e) => why = why.or(Some(e)),
        }
    }
    Err(why.unwrap_or_else(|| Error::unsupported("registry", format!("there is no operator '{name}'"))))
}

/// Calls an operator by name.
///
/// # Errors
/// As [`prepare`], and whatever the operator reports.
pub fn call(name: &str, args: &[Value], kwargs: &[(&str, Value)], device: &Device) -> Result<Value> {
    prepare(name, args, kwargs, device)?()
}

impl Operator {
    /// Arguments in the order of the parameters.
    fn bind<'a>(&'static self, args: &[Value], kwargs: &[(&str, Value)], device: &'a Device) -> Result<Given<'a>> {
        let wrong = |why: String| Error::argument(self.name, why);
        let mut values: Vec<Option<Value>> = vec![None; self.params.len()];
        let mut args = args.iter().peekable();
        for (slot, param) in values.iter_mut().zip(self.params) {
            let is_list = |v: &&Value| matches!(v, Value::List(_));
            *slot = if param.variadic && !(args.len() == 1 && args.peek().is_some_and(is_list)) && args.len() > 0 {
                Some(Value::List(args.by_ref().cloned().collect()))
            } else {
                args.next().cloned()
            };
        }
        if args.len() > 0 {
            return Err(wrong(format!("takes {} arguments, got {}", self.params.len(), self.params.len() + args.len())));
        }
        for (name, value) in kwargs {
            let position = self.params.iter().position(|p| p.name == *name);
            let slot = position.and_then(|i| values.get_mut(i)).ok_or_else(|| wrong(format!("has no parameter '{name}'")))?;
            if slot.replace(value.clone()).is_some() {
                return Err(wrong(format!("'{name}' was given twice")));
            }
        }
        if let Some((p, _)) = self.params.iter().zip(&values).find(|(p, v)| p.required && v.is_none()) {
            return Err(wrong(format!("argument '{}' is missing", p.name)));
        }
        Ok(Given { op: self.name, device, values: values.into_iter() })
    }
}

/// The arguments of one call, taken one after the other.
struct Given<'a> {
    op: &'static str,
    device: &'a Device,
    values: std::vec::IntoIter<Option<Value>>,
}

impl Given<'_> {
    fn take<T: FromValue>(&mut self, name: &str, default: impl FnOnce() -> Option<T>) -> Result<T> {
        let value = self.values.next().flatten();
        if value.is_none()
            && let Some(default) = default()
        {
            return Ok(default);
        }
        let got = value.as_ref().map_or("nothing".to_string(), |v| v.kind().to_string());
        T::from_value(value.unwrap_or(Value::None), self.device)
            .ok_or_else(|| Error::argument(self.op, format!("argument '{name}' must be {}, got {got}", T::WHAT)))
    }
}

/// A parameter's name without the mark of names that Rust keeps for itself.
const fn plain(name: &'static str) -> &'static str {
    match name.as_bytes() {
        [b'r', b'#', ..] => name.split_at(2).1,
        _ => name,
    }
}

/// One row: a name, a signature with Python's names and defaults, and a `Result` of anything that is a [`Value`].
macro_rules! row {
    ($name:expr, ( $($param:ident : $type:ty $(= $default:expr)?),* $(,)? ), $body:expr) => {
        super::Operator {
            name: $name,
            params: &[$(
                super::Param {
                    name: super::plain(stringify!($param)),
                    required: super::row!(@required $($default)?) && !<$type as super::FromValue>::OPTIONAL,
                    variadic: <$type as super::FromValue>::VARIADIC,
                }
            ),*],
            body: stringify!($body),
            prepare: |_given| {
                $(let $param: $type = _given.take(stringify!($param), || super::row!(@default $($default)?))?;)*
                Ok(Box::new(move || Ok(super::IntoValue::into_value((move || -> crate::error::Result<_> { $body })()?))))
            },
        }
    };
    (@required) => { true };
    (@required $default:expr) => { false };
    (@default) => { None };
    (@default $default:expr) => { Some($default) };
}

/// A table of rows: `"name"(parameter: type = default, ..) expression;`.
macro_rules! rows {
    ($($name:literal $params:tt $body:expr;)*) => {
        pub(super) static ROWS: &[super::Operator] = &[$(super::row!($name, $params, $body)),*];
    };
}
use {row, rows};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tensor;

    #[test]
    fn signatures_are_chosen_by_what_is_given() -> Result<()> {
        let device = Device::cpu();
        let x = Value::from(Tensor::new([[1.0, 5.0], [3.0, 4.0]], &device)?);
        let all = call("max", std::slice::from_ref(&x), &[], &device)?;
        assert_eq!(all.tensor()?.item::<f32>()?, 5.0);
        let Value::List(rows) = call("max", &[x.clone(), Value::Int(1)], &[], &device)? else { panic!("two results") };
        assert_eq!(rows[1].tensor()?.to_vec::<i64>()?, [1, 1]);
        let pairs = call("max", &[x.clone(), x.clone()], &[], &device)?;
        assert_eq!(pairs.tensor()?.shape(), [2, 2]);
        Ok(())
    }

    #[test]
    fn activations_take_their_inputs_place() -> Result<()> {
        let device = Device::cpu();
        let x = Tensor::new([-1.0, 2.0], &device)?;
        let relu = |on: bool| call("nn.functional.relu", &[(&x).into()], &[("inplace", on.into())], &device);
        assert_eq!(relu(false)?.tensor()?.to_vec::<f32>()?, [0.0, 2.0]);
        assert_eq!(x.to_vec::<f32>()?, [-1.0, 2.0]);
        relu(true)?;
        assert_eq!(x.to_vec::<f32>()?, [0.0, 2.0]);
        assert!(call("nn.functional.softsign", &[(&x).into()], &[("inplace", true.into())], &device).is_err());
        Ok(())
    }

    #[test]
    fn what_no_signature_takes_is_named() {
        let device = Device::cpu();
        let told = |name: &str, args: &[Value]| call(name, args, &[], &device).unwrap_err().to_string();
        assert!(told("no_such_thing", &[]).contains("no_such_thing"));
        assert!(told("softmax", &[Value::Int(1), Value::Int(0)]).contains("'input' must be a tensor"));
    }

    /// Two keys alike, of which a mask leaves one: the sum of exponentials is halved.
    #[test]
    fn a_bool_mask_counts_in_the_sums_of_attention() -> Result<()> {
        let device = Device::cpu();
        let x = Tensor::zeros([1, 1, 1, 2], &device)?;
        let keys = Tensor::zeros([1, 1, 2, 2], &device)?;
        let mask = Tensor::from_vec(vec![true, false], [1, 2], &device)?;
        let sums = |mask: Value| -> Result<f32> {
            let args = [Value::from(&x), Value::from(&keys), Value::from(&keys)];
            let out = call("_scaled_dot_product_flash_attention_for_cpu", &args, &[("attn_mask", mask)], &device)?;
            let Value::List(out) = out else { panic!("two results") };
            out[1].tensor()?.item()
        };
        assert_eq!(sums(Value::None)?, 2f32.ln());
        assert_eq!(sums(Value::from(mask))?, 0.0);
        Ok(())
    }

    #[test]
    fn arguments_that_no_tensor_has_room_for() -> Result<()> {
        let device = Device::cpu();
        let wide = call("eye", &[Value::Int(1), Value::Int(1 << 20)], &[], &device)?;
        assert_eq!(wide.tensor()?.shape(), [1, 1 << 20]);
        let offsets = Value::from(Tensor::new([i64::MIN, i64::MAX], &device)?);
        let (one, data) = (Value::from(Tensor::new([1i64], &device)?), Value::from(Tensor::new([1.0, 2.0], &device)?));
        let segments = |data: Value, named: (&str, Value)| call("segment_reduce", &[data, Value::Str("sum".into())], &[named], &device);
        assert!(segments(data, ("offsets", offsets)).is_err());
        assert!(segments(Value::from(Tensor::new(1.0, &device)?), ("lengths", one)).is_err());
        Ok(())
    }

    #[test]
    fn parameters_without_a_default_come_first() {
        // ATen's own operators take parameters that may be None before others that must be given.
        for op in operators().filter(|op| !natives::ROWS.iter().any(|n| n.name == op.name)) {
            let first_optional = op.params.iter().position(|p| !p.required).unwrap_or(op.params.len());
            assert!(op.params[first_optional..].iter().all(|p| !p.required), "{}", op.name);
        }
    }
}
