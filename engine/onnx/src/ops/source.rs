//! Values from nothing: constants, ranges, random numbers.

use taper::{DType, Error, Result, Tensor, TensorOptions};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::element::Elem;
use crate::graph::Attribute;
use crate::host::{Data, Host};
use crate::value::{Array, Value};

pub(super) static TABLE: &[Operator] = &[
    op("Bernoulli", 15, bernoulli),
    op("Constant", 1, constant),
    op("ConstantOfShape", 9, constant_of_shape),
    op("EyeLike", 9, eye_like),
    op("Multinomial", 7, multinomial),
    op("RandomNormal", 1, |c| random(c, shape_attribute(c)?, DType::F32, false)),
    op("RandomNormalLike", 1, |c| random(c, c.array(0)?.shape().to_vec(), c.array(0)?.dtype(), false)),
    op("RandomUniform", 1, |c| random(c, shape_attribute(c)?, DType::F32, true)),
    op("RandomUniformLike", 1, |c| random(c, c.array(0)?.shape().to_vec(), c.array(0)?.dtype(), true)),
    op("Range", 11, range),
];

fn constant(c: &Call<'_>) -> Out {
    let list = |dtype, shape, data| one(Host::of(dtype, shape, data));
    let name = c.node.attributes.keys().next().ok_or_else(|| c.error("a constant without a value"))?;
    match c.attribute(name) {
        Some(Attribute::Tensor(array)) => one(array.clone()),
        Some(Attribute::Int(v)) => list(DType::I64, vec![], Data::Ints(vec![*v])),
        Some(Attribute::Float(v)) => list(DType::F32, vec![], Data::Floats(vec![*v])),
        Some(Attribute::Ints(v)) => list(DType::I64, vec![v.len()], Data::Ints(v.clone())),
        Some(Attribute::Floats(v)) => list(DType::F32, vec![v.len()], Data::Floats(v.clone())),
        Some(Attribute::Text(_) | Attribute::Texts(_)) => Err(Error::unsupported("onnx", "constants that are strings")),
        _ => Err(c.error(format!("attribute '{name}' is no constant"))),
    }
}

fn constant_of_shape(c: &Call<'_>) -> Out {
    let shape = c.sizes(&c.ints(0)?)?;
    let n = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| c.error(format!("{shape:?} is too large")))?;
    let zero = Array::from(Host::of(DType::F32, vec![1], Data::Floats(vec![0.0])));
    let value = match c.attribute("value") {
        None => zero,
        Some(Attribute::Tensor(value)) => value.clone(),
        Some(_) => return Err(c.error("attribute 'value' should be a tensor")),
    };
    let fill = value.host()?;
    let scalar = fill.scalar(0).ok_or_else(|| c.error("attribute 'value' is empty"))?;
    if Host::is_small(fill.dtype, n)
        && let Some(small) = fill.pick(shape.clone(), (0..n).map(|_| 0))
    {
        return one(Array::from(small).marked(value.elem()));
    }
    one(Array::from(Tensor::full(shape, scalar, (fill.dtype, c.device))?).marked(value.elem()))
}

fn eye_like(c: &Call<'_>) -> Out {
    let like = c.array(0)?;
    let &[rows, columns] = like.shape() else { return Err(c.error(format!("{:?} is no matrix", like.shape()))) };
    let dtype = c.elem("dtype")?.map_or(like.dtype(), Elem::storage);
    let line = |n: usize| Tensor::arange(0, n, 1, (DType::I64, c.device));
    let diagonal = line(rows)?.add(c.int("k", 0)?)?.unsqueeze(1)?.eq(line(columns)?)?;
    one(diagonal.to_dtype(dtype)?)
}

/// Numbers from `start` on, before `limit`.
fn range(c: &Call<'_>) -> Out {
    let dtype = c.array(0)?.dtype();
    let (start, limit, delta) = (c.number(0)?, c.number(1)?, c.number(2)?);
    let n = ((limit - start) / delta).ceil().max(0.0);
    if !(n < (1u64 << 40) as f64) {
        return Err(c.error(format!("from {start} to {limit} in steps of {delta}")));
    }
    let wide = if dtype.is_float() { Call::wide(dtype) } else { DType::I64 };
    let steps = Tensor::arange(0, n as i64, 1, (wide, c.device))?;
    one(if dtype.is_float() {
        steps.mul(delta)?.add(start)?.to_dtype(dtype)?
    } else {
        steps.mul(c.integer(2)?)?.add(c.integer(0)?)?.to_dtype(dtype)?
    })
}

fn shape_attribute(c: &Call<'_>) -> Result<Vec<usize>> {
    c.sizes(c.list("shape")?.ok_or_else(|| c.error("attribute 'shape' is missing"))?)
}

/// The type that is asked for.
fn dtype(c: &Call<'_>, default: DType) -> Result<DType> {
    Ok(c.elem("dtype")?.map_or(default, Elem::storage))
}

fn random(c: &Call<'_>, shape: Vec<usize>, default: DType, uniform: bool) -> Out {
    let dtype = dtype(c, default)?;
    let options = TensorOptions::from((Call::wide(dtype), c.device));
    let values = if uniform {
        let (low, high) = (c.float("low", 0.0)?, c.float("high", 1.0)?);
        Tensor::rand(shape, options)?.mul(high - low)?.add(low)?
    } else {
        Tensor::randn(shape, options)?.mul(c.float("scale", 1.0)?)?.add(c.float("mean", 0.0)?)?
    };
    one(values.to_dtype(dtype)?)
}

fn bernoulli(c: &Call<'_>) -> Out {
    let p = c.tensor(0)?;
    one(p.bernoulli()?.to_dtype(dtype(c, p.dtype())?)?)
}

fn multinomial(c: &Call<'_>) -> Out {
    let count = c.sizes(&[c.int("sample_size", 1)?])?[0];
    let drawn = c.tensor(0)?.to_dtype(DType::F32)?.softmax(-1)?.multinomial(count, true)?;
    Ok(vec![Value::from(drawn.to_dtype(dtype(c, DType::I32)?)?)])
}
