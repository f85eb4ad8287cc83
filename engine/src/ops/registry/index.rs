//! Picking elements by position, and writing them.

use super::convert::{FromValue, Value};
use super::rows;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::{IndexArg, Slice, Tensor};

rows! {
    "gather"(input: Tensor, dim: isize, index: Tensor) input.gather(dim, &index);
    "take_along_dim"(input: Tensor, indices: Tensor, dim: Option<isize> = None) input.take_along_dim(&indices, dim);
    "scatter"(input: Tensor, dim: isize, index: Tensor, src: Tensor) input.scatter(dim, &index, &src);
    "scatter"(input: Tensor, dim: isize, index: Tensor, value: Scalar) input.scatter_value(dim, &index, value);
    "scatter_add"(input: Tensor, dim: isize, index: Tensor, src: Tensor) input.scatter_add(dim, &index, &src);
    "take"(input: Tensor, index: Tensor) input.take(&index);
    "index_select"(input: Tensor, dim: isize, index: Tensor) input.index_select(dim, &index);
    "index_add"(input: Tensor, dim: isize, index: Tensor, source: Tensor, alpha: Scalar = Scalar::Int(1)) {
        let source = if alpha == Scalar::Int(1) { source } else { source.mul(alpha)? };
        input.index_add(dim, &index, &source)
    };
    "index_copy"(input: Tensor, dim: isize, index: Tensor, source: Tensor) input.index_copy(dim, &index, &source);
    "index_fill"(input: Tensor, dim: isize, index: Tensor, value: Tensor) {
        if value.rank() > 0 {
            return Err(Error::argument("index_fill", format!("the value must be a number or have no dimensions, not shape {:?}", value.shape())));
        }
        // Through a mask: an index that occurs twice fills, and counts in the gradient, once.
        let filled = Tensor::zeros(input.shape(), (DType::Bool, input.device()))?.index_fill(dim, &index, true)?;
        value.to_dtype(input.dtype())?.where_(&filled, &input)
    };
    "index_fill"(input: Tensor, dim: isize, index: Tensor, value: Scalar) input.index_fill(dim, &index, value);
    "nonzero"(input: Tensor, as_tuple: bool = false) {
        let positions = input.nonzero()?;
        if as_tuple { positions.unbind(1).map(|all| Value::List(all.into_iter().map(Value::Tensor).collect())) } else { Ok(Value::Tensor(positions)) }
    };
    "argwhere"(input: Tensor) input.nonzero();
    "masked_select"(input: Tensor, mask: Tensor) input.masked_select(&mask);
    "__getitem__"(input: Tensor, index: Value) input.i(index_parts(index, &input)?);
    "__setitem__"(input: Tensor, index: Value, value: Value) {
        let value = match value {
            Value::Tensor(t) => t,
            v => Tensor::full([], scalar(v)?, (input.dtype(), input.device()))?,
        };
        input.set(index_parts(index, &input)?, &value).cloned()
    };
    "index_put"(input: Tensor, indices: Vec<Option<Tensor>>, values: Tensor, accumulate: bool = false)
        input.index_put(put_parts(indices), &values, accumulate);
    "nn.functional.one_hot"(input: Tensor, num_classes: isize = -1) {
        // The largest index says how many there are.
        let classes = match num_classes {
            -1 => input.max_all()?.item::<i64>()?.saturating_add(1) as isize,
            n => n,
        };
        let unfit = |_| Error::argument("one_hot", format!("the number of classes must be -1 or not negative, not {num_classes}"));
        input.one_hot(usize::try_from(classes).map_err(unfit)?)
    };
    "nn.functional.embedding"(input: Tensor, weight: Tensor, padding_idx: Option<isize>) weight.embedding(&input, padding_idx);
}

fn scalar(v: Value) -> Result<Scalar> {
    match v {
        Value::Bool(b) => Ok(Scalar::Bool(b)),
        Value::Int(i) => Ok(Scalar::Int(i)),
        Value::Float(f) => Ok(Scalar::Float(f)),
        other => Err(Error::argument("__setitem__", format!("the value must be a tensor or a number, got {other:?}"))),
    }
}

/// What stands between the brackets: one part, or a list of parts. A list among the parts is an index of integers or a mask.
fn index_parts(index: Value, input: &Tensor) -> Result<Vec<IndexArg>> {
    let parts = match index {
        Value::List(parts) => parts,
        one => vec![one],
    };
    let small = |i: Option<i64>| i.map(|i| isize::try_from(i).unwrap_or(if i < 0 { isize::MIN } else { isize::MAX }));
    let parts = parts.into_iter().map(|part| {
        Ok(match part {
            Value::Int(i) => IndexArg::At(isize::try_from(i).unwrap_or(isize::MAX)),
            Value::None => IndexArg::NewAxis,
            Value::Ellipsis => IndexArg::Ellipsis,
            Value::Tensor(t) => IndexArg::Tensor(t),
            Value::List(list) => IndexArg::Tensor(written(list, input)?),
            Value::Slice(start, end, step) => {
                IndexArg::Slice(Slice { start: small(start), end: small(end), step: small(step).unwrap_or(1) })
            }
            other => return Err(Error::argument("index", format!("an index cannot be {other:?}"))),
        })
    });
    parts.collect()
}

/// `None` takes a whole dimension.
fn put_parts(indices: Vec<Option<Tensor>>) -> Vec<IndexArg> {
    indices.into_iter().map(|t| t.map_or(IndexArg::from(..), IndexArg::Tensor)).collect()
}

/// The tensor of a list of positions or of a mask.
fn written(list: Vec<Value>, input: &Tensor) -> Result<Tensor> {
    let (shape, device) = ([list.len()], input.device());
    if let Some(mask) = Vec::<bool>::from_value(Value::List(list.clone()), device) {
        return Tensor::from_vec(mask, shape, device);
    }
    match Vec::<i64>::from_value(Value::List(list), device) {
        Some(positions) => Tensor::from_vec(positions, shape, device),
        None => Err(Error::argument("index", "a list in an index holds integers or bools")),
    }
}
