//! Picking elements by position, and writing them.

use taper::{DType, Result, ScatterReduce, Tensor};

use super::{Operator, moves, op};
use crate::call::{Call, Out, one};
use crate::host::Host;
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("Col2Im", 18, col_to_im),
    moves("Compress", 9, compress),
    moves("Gather", 1, gather),
    moves("GatherElements", 11, gather_elements),
    moves("GatherND", 11, gather_nd),
    op("NonZero", 9, |c| one(nonzero(&c.tensor(0)?)?.t()?.contiguous()?)),
    op("OneHot", 9, one_hot),
    moves("Scatter", 9, scatter_elements),
    moves("ScatterElements", 11, scatter_elements),
    moves("ScatterND", 11, scatter_nd),
    moves("TensorScatter", 24, tensor_scatter),
    moves("Unique", 11, unique),
];

/// Input `i` as positions in a dimension of `n`, counted from the front.
fn positions(c: &Call<'_>, i: usize, n: usize) -> Result<Tensor> {
    let array = c.array(i)?;
    if let Some(host) = array.known() {
        let n = n as i64;
        let at: Vec<i64> = host.to_ints()?.into_iter().map(|v| if v < 0 { v + n } else { v }).collect();
        if let Some(v) = at.iter().find(|v| !(0..n).contains(v)) {
            return Err(c.error(format!("an index of {v} is out of range for {n} elements")));
        }
        return Tensor::from_slice(&at, &host.shape, c.device);
    }
    wrapped(&array.tensor(c.device)?, n)
}

fn wrapped(at: &Tensor, n: usize) -> Result<Tensor> {
    let at = at.to_dtype(DType::I64)?;
    at.add(n as i64)?.where_(&at.lt(0)?, &at)
}

fn gather(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", 0)?, x.rank())?;
    let at = positions(c, 1, x.shape()[dim])?;
    let shape = [&x.shape()[..dim], at.shape(), &x.shape()[dim + 1..]].concat();
    one(x.index_select(dim as isize, &at.reshape([at.numel()])?)?.reshape(shape)?)
}

fn gather_elements(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", 0)?, x.rank())?;
    one(x.gather(dim as isize, &positions(c, 1, x.shape()[dim])?)?)
}

/// Indices of `k` numbers each, along the dimensions from `batch` on, as positions in those dimensions flattened.
fn flat(c: &Call<'_>, at: &Tensor, shape: &[usize], batch: usize) -> Result<(Tensor, usize)> {
    let k = at.shape().last().copied().ok_or_else(|| c.error("indices without dimensions"))?;
    let sizes = shape.get(batch..batch + k).ok_or_else(|| c.error(format!("indices of {k} numbers into {shape:?}")))?;
    let mut lead: Vec<usize> = at.shape().to_vec();
    lead.pop();
    let mut flat = Tensor::zeros(&lead, (DType::I64, c.device))?;
    for (i, &n) in sizes.iter().enumerate() {
        let part = wrapped(&at.select(-1, i as isize)?, n)?;
        flat = flat.mul(n as i64)?.add(part)?;
    }
    Ok((flat, k))
}

fn gather_nd(c: &Call<'_>) -> Out {
    let (x, at) = (c.tensor(0)?, c.tensor(1)?);
    let batch = c.sizes(&[c.int("batch_dims", 0)?])?[0];
    if batch >= at.rank() || at.shape().get(..batch) != x.shape().get(..batch) {
        return Err(c.error(format!("{batch} batch dimensions of {:?} and {:?}", x.shape(), at.shape())));
    }
    let (flat, k) = flat(c, &at, x.shape(), batch)?;
    let (s, rest) = (x.shape(), &x.shape()[batch + k..]);
    let shape = [flat.shape(), rest].concat();
    let batches: usize = s[..batch].iter().product();
    let inner: usize = s[batch..batch + k].iter().product();
    // Batches one behind the other.
    let first = Tensor::arange(0, batches, 1, (DType::I64, c.device))?.mul(inner as i64)?.unsqueeze(1)?;
    let per_batch = flat.numel().checked_div(batches).unwrap_or(0);
    let at = flat.reshape([batches, per_batch])?.add(first)?.reshape([flat.numel()])?;
    let rows = x.reshape([batches * inner, rest.iter().product()])?;
    one(rows.index_select(0, &at)?.reshape(shape)?)
}

fn reduction(c: &Call<'_>) -> Result<Option<ScatterReduce>> {
    Ok(Some(match c.text("reduction", "none")? {
        "none" => return Ok(None),
        "add" => ScatterReduce::Sum,
        "mul" => ScatterReduce::Product,
        "max" => ScatterReduce::Max,
        "min" => ScatterReduce::Min,
        other => return Err(c.error(format!("no reduction '{other}'"))),
    }))
}

fn write(x: &Tensor, dim: usize, at: &Tensor, updates: &Tensor, how: Option<ScatterReduce>) -> Result<Tensor> {
    match how {
        None => x.scatter(dim as isize, at, updates),
        Some(how) => x.scatter_reduce(dim as isize, at, updates, how, true),
    }
}

fn scatter_elements(c: &Call<'_>) -> Out {
    let (x, updates) = (c.tensor(0)?, c.tensor(2)?);
    let dim = c.dim(c.int("axis", 0)?, x.rank())?;
    let at = positions(c, 1, x.shape()[dim])?;
    one(write(&x, dim, &at, &updates, reduction(c)?)?)
}

fn scatter_nd(c: &Call<'_>) -> Out {
    let (x, at, updates) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
    let (flat, k) = flat(c, &at, x.shape(), 0)?;
    let rest: usize = x.shape()[k..].iter().product();
    let rows = x.reshape([x.shape()[..k].iter().product(), rest])?;
    let count = flat.numel();
    let at = flat.reshape([count, 1])?.broadcast_to([count, rest])?;
    one(write(&rows, 0, &at, &updates.reshape([count, rest])?, reduction(c)?)?.reshape(x.shape())?)
}

/// Writes a run of positions of `axis`, that starts elsewhere in each batch.
fn tensor_scatter(c: &Call<'_>) -> Out {
    let (cache, update) = (c.tensor(0)?, c.tensor(1)?);
    let axis = c.dim(c.int("axis", -2)?, cache.rank())?;
    let (most, n) = (cache.shape()[axis], update.shape().get(axis).copied().unwrap_or(0));
    let along = |d: usize, n: usize| (0..cache.rank()).map(|i| if i == d { n } else { 1 }).collect::<Vec<usize>>();
    let mut at = Tensor::arange(0, n, 1, (DType::I64, c.device))?.reshape(along(axis, n))?;
    if let Some(start) = c.maybe(2)? {
        at = at.add(start.to_dtype(DType::I64)?.reshape(along(0, start.numel()))?)?;
    }
    at = match c.text("mode", "linear")? {
        "linear" => at,
        "circular" => at.remainder(most as i64)?,
        other => return Err(c.error(format!("mode '{other}' is neither linear nor circular"))),
    };
    one(cache.scatter(axis as isize, &at.broadcast_to(update.shape())?, &update)?)
}

/// Where a tensor is not zero.
fn nonzero(x: &Tensor) -> Result<Tensor> {
    if x.rank() == 0 { x.reshape([1])?.nonzero()?.narrow(1, 0, 0) } else { x.nonzero() }
}

fn compress(c: &Call<'_>) -> Out {
    let mut x = c.tensor(0)?;
    let dim = match c.maybe_int("axis")? {
        Some(axis) => c.dim(axis, x.rank())?,
        None => {
            x = x.reshape([x.numel()])?;
            0
        }
    };
    let keep = c.host(1)?.to_ints()?;
    let at: Vec<i64> = keep.iter().enumerate().filter(|(_, k)| **k != 0).map(|(i, _)| i as i64).collect();
    one(x.index_select(dim as isize, &Tensor::from_slice(&at, [at.len()], c.device)?)?)
}

fn one_hot(c: &Call<'_>) -> Out {
    let (at, values) = (c.tensor(0)?, c.tensor(2)?);
    let depth = c.sizes(&[c.number(1)? as i64])?[0];
    let dim = c.dim(c.int("axis", -1)?, at.rank() + 1)?;
    let at = wrapped(&at, depth)?.unsqueeze(dim as isize)?;
    let shape: Vec<usize> = (0..at.rank()).map(|d| if d == dim { depth } else { 1 }).collect();
    let hot = at.eq(Tensor::arange(0, depth, 1, (DType::I64, c.device))?.reshape(shape)?)?;
    let values = values.reshape([2])?;
    one(values.select(0, 1)?.where_(&hot, values.select(0, 0)?)?)
}

fn unique(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.maybe_int("axis")?.map(|a| c.dim(a, x.rank())).transpose()?;
    let found = x.unique(dim.map(|d| d as isize))?;
    let inverse = found.inverse.reshape([found.inverse.numel()])?;
    let n = found.counts.numel();
    // The first place of each value.
    let places = Tensor::arange(0, inverse.numel(), 1, (DType::I64, c.device))?;
    let none = Tensor::full([n], inverse.numel(), (DType::I64, c.device))?;
    let first = none.scatter_reduce(0, &inverse, &places, ScatterReduce::Min, true)?;
    let along = dim.unwrap_or(0) as isize;
    let outputs = if c.flag("sorted", true)? {
        [found.values, first, inverse, found.counts]
    } else {
        let order = first.argsort(0, false)?;
        let rank = order.argsort(0, false)?;
        [
            found.values.index_select(along, &order)?,
            first.index_select(0, &order)?,
            rank.index_select(0, &inverse)?,
            found.counts.index_select(0, &order)?,
        ]
    };
    Ok(outputs.into_iter().map(Value::from).collect())
}

/// Columns of windows added back into an image of any number of dimensions.
fn col_to_im(c: &Call<'_>) -> Out {
    let (x, image, kernel) = (c.tensor(0)?, c.steps(&c.ints(1)?)?, c.steps(&c.ints(2)?)?);
    let rank = image.len();
    let list = |name: &str, default: usize, n: usize| match c.list(name)? {
        Some(list) if list.len() == n => c.steps(list),
        Some(list) => Err(c.error(format!("{} {name} for {rank} dimensions", list.len()))),
        None => Ok(vec![default; n]),
    };
    let (dilations, strides, pads) = (list("dilations", 1, rank)?, list("strides", 1, rank)?, list("pads", 0, 2 * rank)?);
    let &[n, rows, columns] = x.shape() else { return Err(c.error(format!("{:?} should have 3 dimensions", x.shape()))) };
    let product = |list: &[usize]| list.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let taps = product(&kernel).filter(|&t| t > 0 && rows % t == 0 && rows > 0);
    let (Some(taps), false) = (taps, kernel.len() != rank || strides.contains(&0)) else {
        return Err(c.error(format!("windows of {kernel:?} in images of {image:?} from {:?}", x.shape())));
    };
    let padded: Vec<usize> = (0..rank).map(|d| image[d] + pads[d] + pads[rank + d]).collect();
    let reach = |d: usize| dilations[d] * (kernel[d] - 1) + 1;
    let count: Vec<usize> = (0..rank).map(|d| (padded[d] + strides[d]).saturating_sub(reach(d)) / strides[d]).collect();
    // What follows is as large as the columns, not larger.
    if product(&count) != Some(columns) {
        return Err(c.error(format!("{columns} columns for {count:?} windows")));
    }
    // Position of each window element: over all dimensions the sum of its own place and its window's.
    let mut at = vec![0i64];
    let mut windows = vec![0i64];
    for d in 0..rank {
        let size = padded[d] as i64;
        let stretch = |v: &[i64], n: usize, step: usize| -> Vec<i64> {
            v.iter().flat_map(|&base| (0..n).map(move |i| base.wrapping_mul(size).wrapping_add((i * step) as i64))).collect()
        };
        at = stretch(&at, kernel[d], dilations[d]);
        windows = stretch(&windows, count[d], strides[d]);
    }
    let channels = rows / taps;
    let places: Vec<i64> = at.iter().flat_map(|&a| windows.iter().map(move |&w| a.wrapping_add(w))).collect();
    let places = Host::ints(places).tensor(c.device)?;
    let area = product(&padded).ok_or_else(|| c.error(format!("an image of {padded:?}")))?;
    let zeros = Tensor::zeros([n, channels, area], (x.dtype(), c.device))?;
    let mut sums =
        zeros.index_add(2, &places, &x.reshape([n, channels, taps * columns])?)?.reshape([&[n, channels], &padded[..]].concat())?;
    for d in 0..rank {
        sums = sums.narrow(2 + d as isize, pads[d], image[d])?;
    }
    one(sums)
}
