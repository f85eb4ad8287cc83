//! Reductions by index, parts that are replaced, searching, counting, what is distinct.

use super::{Value, rows};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::{IndexArg, Operand, ScatterReduce, Tensor, Unique};

/// What was asked for of the distinct elements.
fn found(u: Unique, inverse: bool, counts: bool) -> Value {
    let mut out = vec![Value::Tensor(u.values)];
    out.extend(inverse.then_some(Value::Tensor(u.inverse)));
    out.extend(counts.then_some(Value::Tensor(u.counts)));
    if out.len() == 1 { out.remove(0) } else { Value::List(out) }
}

fn positions(at: Tensor, out_int32: bool) -> Result<Tensor> {
    if out_int32 { at.to_dtype(DType::I32) } else { Ok(at) }
}

/// `right`, or the side by name; both only where they agree.
fn right_side(right: bool, side: Option<String>) -> Result<bool> {
    match side.as_deref() {
        None => Ok(right),
        Some("right") => Ok(true),
        Some("left") if !right => Ok(false),
        Some(other) => Err(Error::argument("searchsorted", format!("side '{other}' is neither left nor right, or does not go with right"))),
    }
}

/// A number beside a tensor: in its type as far as that holds it.
fn beside(v: Operand, other: &Tensor) -> Result<Tensor> {
    match v {
        Operand::Tensor(t) => Ok(t),
        Operand::Scalar(s) => Tensor::full([], s, (s.promote_with(other.dtype()), other.device())),
    }
}

/// A number of bins, or their edges.
fn edges(bins: Value, x: &Tensor, range: Option<(f64, f64)>) -> Result<Tensor> {
    match bins {
        Value::Tensor(t) => Ok(t),
        Value::Int(n) => x.bin_edges(usize::try_from(n).unwrap_or(0), range),
        other => Err(Error::argument("histogram", format!("bins are a number or edges, not {}", other.kind()))),
    }
}

fn histogramdd(input: &Tensor, bins: Value, range: Option<Vec<f64>>, weight: Option<Tensor>, density: bool) -> Result<Value> {
    const OP: &str = "histogramdd";
    let n = input.size(-1)?;
    let bins = match bins {
        Value::List(list) => list,
        one => vec![one; n],
    };
    let unfit = |what: &str| Error::argument(OP, format!("{what} for points of {n} coordinates"));
    if bins.len() != n || input.rank() == 0 {
        return Err(unfit("another number of bins"));
    }
    if range.as_ref().is_some_and(|r| r.len() != 2 * n) {
        return Err(unfit("another number of ranges"));
    }
    let edge = |(d, bins): (usize, Value)| {
        let range = range.as_ref().map(|r| (r[2 * d], r[2 * d + 1]));
        edges(bins, &input.select(-1, d as isize)?, range)
    };
    let edges = bins.into_iter().enumerate().map(edge).collect::<Result<Vec<_>>>()?;
    let hist = input.histogramdd(&edges, weight.as_ref(), density)?;
    Ok(Value::List(vec![hist.into(), Value::List(edges.into_iter().map(Value::Tensor).collect())]))
}

/// Indices into each dimension, clamped to it.
fn clamped(input: &Tensor, indices: Vec<Option<Tensor>>) -> Result<Vec<IndexArg>> {
    let part = |(d, index): (usize, Option<Tensor>)| {
        let Some(index) = index else { return Ok(IndexArg::from(..)) };
        let size = input.size(d as isize)? as i64;
        index.clamp_numbers(Some(Scalar::Int(-size)), Some(Scalar::Int(size - 1))).map(IndexArg::Tensor)
    };
    indices.into_iter().enumerate().map(part).collect()
}

/// Reductions of segments that follow each other along `axis`: their lengths, or where they begin and end.
fn segment_reduce(
    data: &Tensor,
    reduce: &str,
    lengths: Option<Tensor>,
    offsets: Option<Tensor>,
    axis: isize,
    checked: bool,
    initial: Option<f64>,
) -> Result<Tensor> {
    const OP: &str = "segment_reduce";
    let lengths: Vec<i64> = match (lengths, offsets) {
        (Some(l), _) if l.rank() == 1 => l.to_dtype(DType::I64)?.to_vec()?,
        (None, Some(o)) if o.rank() == 1 => {
            o.to_dtype(DType::I64)?.to_vec::<i64>()?.windows(2).map(|w| w[1].saturating_sub(w[0])).collect()
        }
        _ => return Err(Error::argument(OP, "needs a vector of lengths or of offsets")),
    };
    if data.rank() == 0 {
        return Err(Error::argument(OP, "a scalar has no segments"));
    }
    let size = data.size(axis)?;
    let total = lengths.iter().try_fold(0usize, |n, &l| usize::try_from(l).ok().and_then(|l| n.checked_add(l)));
    if total.is_none_or(|t| t > size || checked && t != size) {
        return Err(Error::argument(OP, format!("segments of {lengths:?} in dimension {axis} of size {size}")));
    }
    let (how, neutral) = match reduce {
        "sum" => (ScatterReduce::Sum, 0.0),
        "mean" => (ScatterReduce::Sum, 0.0),
        "prod" => (ScatterReduce::Product, 1.0),
        "max" => (ScatterReduce::Max, f64::NEG_INFINITY),
        "min" => (ScatterReduce::Min, f64::INFINITY),
        other => return Err(Error::argument(OP, format!("'{other}' is none of sum, mean, prod, max, min"))),
    };
    let index: Vec<i64> = lengths.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i as i64, n as usize)).collect();
    let used = index.len();
    let index = Tensor::from_vec(index, [used], data.device())?;
    let mut shape = data.shape().to_vec();
    let d = if axis < 0 { axis + data.rank() as isize } else { axis } as usize;
    shape[d] = lengths.len();
    let start = Tensor::full(&shape, initial.unwrap_or(neutral), (data.dtype(), data.device()))?;
    let out = start.index_reduce(axis, &index, &data.narrow(axis, 0, used)?, how, true)?;
    if reduce != "mean" {
        return Ok(out);
    }
    let mut line = vec![1usize; shape.len()];
    line[d] = lengths.len();
    let count = lengths.len();
    out.div(&Tensor::from_vec(lengths, [count], data.device())?.reshape(&line)?.to_dtype(data.dtype())?)
}

rows! {
    "scatter_reduce"(input: Tensor, dim: isize, index: Tensor, src: Tensor, reduce: String, include_self: bool = true)
        input.scatter_reduce(dim, &index, &src, reduce.parse::<ScatterReduce>()?, include_self);
    "index_reduce"(input: Tensor, dim: isize, index: Tensor, source: Tensor, reduce: String, include_self: bool = true)
        input.index_reduce(dim, &index, &source, reduce.parse::<ScatterReduce>()?, include_self);
    "put"(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = false) input.put(&index, &source, accumulate);
    "masked_scatter"(input: Tensor, mask: Tensor, source: Tensor) input.masked_scatter(&mask, &source);
    "select_scatter"(input: Tensor, src: Tensor, dim: isize, index: isize) input.select_scatter(&src, dim, index);
    "slice_scatter"(input: Tensor, src: Tensor, dim: isize = 0, start: Option<isize>, end: Option<isize>, step: isize = 1)
        input.slice_scatter(&src, dim, start.unwrap_or(0), end.unwrap_or(isize::MAX), step);
    "diagonal_scatter"(input: Tensor, src: Tensor, offset: isize = 0, dim1: isize = 0, dim2: isize = 1)
        input.diagonal_scatter(&src, offset, dim1, dim2);
    "as_strided_scatter"(input: Tensor, src: Tensor, size: Vec<usize>, stride: Vec<isize>, storage_offset: Option<usize>)
        input.as_strided_scatter(&src, &size, &stride, storage_offset.unwrap_or(0));
    "fill"(input: Tensor, value: Operand) {
        // Through a mask, so that the result has a gradient: none for the input, all of it for a tensor.
        let all = Tensor::full([], true, input.device())?;
        input.masked_fill(&all, value)
    };
    "repeat_interleave"(input: Tensor, repeats: usize, dim: Option<isize>, output_size: Option<usize>) {
        let _ = output_size;
        match dim {
            Some(dim) => input.atleast_1d()?.repeat_interleave(repeats, dim),
            None => input.flatten(0, -1)?.repeat_interleave(repeats, 0),
        }
    };
    "repeat_interleave"(input: Tensor, repeats: Tensor, dim: Option<isize>, output_size: Option<usize>) {
        let out = match dim {
            Some(dim) => input.atleast_1d()?.repeat_interleave_each(&repeats, dim)?,
            None => input.flatten(0, -1)?.repeat_interleave_each(&repeats, 0)?,
        };
        match output_size {
            Some(n) if out.size(dim.unwrap_or(0))? != n => Err(Error::argument("repeat_interleave", format!("an output size of {n} for {:?}", out.shape()))),
            _ => Ok(out),
        }
    };
    "repeat_interleave"(repeats: Tensor, output_size: Option<usize>) {
        let _ = output_size;
        Tensor::arange(0, repeats.numel(), 1, (DType::I64, repeats.device()))?.repeat_interleave_each(&repeats, 0)
    };
    "_unsafe_masked_index"(input: Tensor, mask: Tensor, indices: Vec<Option<Tensor>>, fill: Scalar) {
        let at = clamped(&input, indices)?;
        input.i(at)?.masked_fill(&mask.logical_not()?, fill)
    };
    "_unsafe_masked_index_put_accumulate"(input: Tensor, mask: Tensor, indices: Vec<Option<Tensor>>, values: Tensor) {
        let at = clamped(&input, indices)?;
        input.index_put(at, &values.masked_fill(&mask.logical_not()?, 0)?, true)
    };
    "_segment_reduce"(data: Tensor, reduce: String, lengths: Option<Tensor>, indices: Option<Tensor>, offsets: Option<Tensor>, axis: isize = 0,
        r#unsafe: bool = false, initial: Option<f64>) {
        let _ = indices;
        segment_reduce(&data, &reduce, lengths, offsets, axis, !r#unsafe, initial)
    };
    "nonzero_static"(input: Tensor, size: usize, fill_value: i64 = -1) input.nonzero_static(size, fill_value);

    "searchsorted"(sorted_sequence: Tensor, input: Operand, out_int32: bool = false, right: bool = false, side: Option<String>, sorter: Option<Tensor>)
        positions(sorted_sequence.searchsorted(&beside(input, &sorted_sequence)?, right_side(right, side)?, sorter.as_ref())?, out_int32);
    "bucketize"(input: Operand, boundaries: Tensor, out_int32: bool = false, right: bool = false)
        positions(beside(input, &boundaries)?.bucketize(&boundaries, right)?, out_int32);
    "isin"(elements: Operand, test_elements: Operand, assume_unique: bool = false, invert: bool = false) {
        let _ = assume_unique;
        match (elements, test_elements) {
            (Operand::Tensor(x), other) => x.isin(&beside(other, &x)?, invert),
            (x, Operand::Tensor(other)) => beside(x, &other)?.isin(&other, invert),
            _ => Err(Error::argument("isin", "needs at least one tensor")),
        }
    };
    "bincount"(input: Tensor, weights: Option<Tensor>, minlength: usize = 0) input.bincount(weights.as_ref(), minlength);
    "histc"(input: Tensor, bins: usize = 100, min: f64 = 0.0, max: f64 = 0.0) input.histc(bins, min, max);
    "histogram"(input: Tensor, bins: Value, range: Option<Vec<f64>>, weight: Option<Tensor>, density: bool = false) {
        let range = match range.as_deref() {
            None => None,
            Some(&[low, high]) => Some((low, high)),
            Some(other) => return Err(Error::argument("histogram", format!("a range has two ends, not {}", other.len()))),
        };
        let edges = edges(bins, &input, range)?;
        Ok((input.histogram(&edges, weight.as_ref(), density)?, edges))
    };
    "histogramdd"(input: Tensor, bins: Value, range: Option<Vec<f64>>, weight: Option<Tensor>, density: bool = false)
        histogramdd(&input, bins, range, weight, density);
    "multinomial"(input: Tensor, num_samples: usize, replacement: bool = false) input.multinomial(num_samples, replacement);
    "unique"(input: Tensor, sorted: bool = true, return_inverse: bool = false, return_counts: bool = false, dim: Option<isize>) {
        let _ = sorted;
        Ok(found(input.unique(dim)?, return_inverse, return_counts))
    };
    "unique_consecutive"(input: Tensor, return_inverse: bool = false, return_counts: bool = false, dim: Option<isize>)
        Ok(found(input.unique_consecutive(dim)?, return_inverse, return_counts));
}
