//! Shapes: asked for, changed, taken apart and put together. Nothing here computes new values.

use taper::{DType, Result, Scalar, Tensor};

use super::{Operator, moves, op};
use crate::call::{Call, Out, one};
use crate::host::{Host, broadcast};
use crate::run::sizes;
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    moves("CenterCropPad", 18, center_crop_pad),
    moves("Concat", 1, concat),
    moves("DepthToSpace", 1, depth_to_space),
    moves("Expand", 8, expand),
    moves("Flatten", 1, flatten),
    moves("Identity", 1, |c| one(c.value(0)?.clone())),
    moves("Pad", 1, pad),
    moves("Reshape", 1, reshape),
    moves("ReverseSequence", 10, reverse_sequence),
    op("Shape", 1, shape),
    op("Size", 1, |c| one(Host::int(c.array(0)?.shape().iter().product::<usize>() as i64))),
    moves("Slice", 1, slice),
    moves("SpaceToDepth", 1, space_to_depth),
    moves("Split", 1, split),
    moves("Squeeze", 1, squeeze),
    moves("Tile", 1, tile),
    moves("Transpose", 1, transpose),
    moves("Trilu", 14, trilu),
    moves("Unsqueeze", 1, unsqueeze),
];

fn shape(c: &Call<'_>) -> Out {
    let shape = c.array(0)?.shape();
    let n = shape.len() as i64;
    let place = |v: i64| (if v < 0 { v + n } else { v }).clamp(0, n) as usize;
    let (start, end) = (place(c.int("start", 0)?), place(c.int("end", n)?));
    one(sizes(if start < end { &shape[start..end] } else { &[] }))
}

/// The shape `to` means for elements of a shape: 0 is the old size (unless `allowzero`), one -1 what is left over.
pub(crate) fn reshaped(c: &Call<'_>, from: &[usize], to: &[i64]) -> Result<Vec<usize>> {
    let keep = !c.flag("allowzero", false)?;
    let wrong = || c.error(format!("{from:?} cannot become {to:?}"));
    let mut shape = Vec::with_capacity(to.len());
    let mut open = None;
    for (d, &n) in to.iter().enumerate() {
        shape.push(match n {
            0 if keep => *from.get(d).ok_or_else(wrong)?,
            -1 if open.is_none() => {
                open = Some(d);
                1
            }
            n => usize::try_from(n).map_err(|_| wrong())?,
        });
    }
    let count = |s: &[usize]| s.iter().try_fold(1usize, |a, &b| a.checked_mul(b));
    let (have, want) = (count(from).ok_or_else(wrong)?, count(&shape).ok_or_else(wrong)?);
    if let Some(d) = open {
        shape[d] = have.checked_div(want).unwrap_or(0);
    }
    if count(&shape) != Some(have) { Err(wrong()) } else { Ok(shape) }
}

fn reshape(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let to = if c.opset() < 5 { c.list("shape")?.unwrap_or_default().to_vec() } else { c.ints(1)? };
    one(x.reshape(reshaped(c, x.shape(), &to)?)?)
}

fn flatten(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let axis = c.int("axis", 1)?;
    let at = if axis == x.rank() as i64 { x.rank() } else { c.dim(axis, x.rank())? };
    one(x.reshape([x.shape()[..at].iter().product::<usize>(), x.shape()[at..].iter().product()])?)
}

/// The shape with a size of 1 at these places of the result.
pub(crate) fn unsqueezed(c: &Call<'_>, shape: &[usize], axes: &[i64]) -> Result<Vec<usize>> {
    let rank = shape.len() + axes.len();
    let mut at = c.dims(axes, rank)?;
    at.sort_unstable();
    if at.windows(2).any(|w| w[0] == w[1]) {
        return Err(c.error(format!("axes {axes:?} name a dimension twice")));
    }
    let mut old = shape.iter().copied();
    // As many old sizes as there are places without a new one.
    Ok((0..rank).map(|d| if at.contains(&d) { 1 } else { old.next().unwrap_or(1) }).collect())
}

fn unsqueeze(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let axes = c.axes(1)?.ok_or_else(|| c.error("axes are missing"))?;
    one(x.reshape(unsqueezed(c, x.shape(), &axes)?)?)
}

fn squeeze(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dims = match c.axes(1)? {
        Some(axes) => c.dims(&axes, x.rank())?,
        None => (0..x.rank()).filter(|&d| x.shape()[d] == 1).collect(),
    };
    if let Some(d) = dims.iter().find(|&&d| x.shape()[d] != 1) {
        return Err(c.error(format!("dimension {d} of {:?} is not 1", x.shape())));
    }
    one(x.reshape((0..x.rank()).filter(|d| !dims.contains(d)).map(|d| x.shape()[d]).collect::<Vec<usize>>())?)
}

fn transpose(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    one(match c.list("perm")? {
        Some(perm) => x.permute(c.dims(perm, x.rank())?)?,
        None => x.permute((0..x.rank()).rev().collect::<Vec<usize>>())?,
    })
}

fn expand(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let to = c.sizes(&c.ints(1)?)?;
    let shape = broadcast(x.shape(), &to).ok_or_else(|| c.error(format!("{:?} does not broadcast with {to:?}", x.shape())))?;
    one(x.broadcast_to(shape)?)
}

fn concat(c: &Call<'_>) -> Out {
    let all = c.tensors()?;
    let rank = all.first().map_or(0, Tensor::rank);
    let dim = c.dim(c.int("axis", 1)?, rank)?;
    one(Tensor::cat(&all, dim as isize)?)
}

fn split(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", 0)?, x.rank())?;
    let n = x.shape()[dim];
    let given = match c.maybe_ints(1)? {
        None => c.list("split")?.map(<[i64]>::to_vec),
        some => some,
    };
    let parts = match given {
        Some(list) => c.sizes(&list)?,
        None => {
            let count = c.node.outputs.len().max(1);
            if c.int("num_outputs", count as i64)? != count as i64 {
                return Err(c.error(format!("attribute 'num_outputs' does not say that there are {count}")));
            }
            let each = n.div_ceil(count);
            (0..count).map(|i| each.min(n.saturating_sub(i * each))).collect()
        }
    };
    if parts.iter().sum::<usize>() != n {
        return Err(c.error(format!("parts of {parts:?} do not make up {n}")));
    }
    Ok(x.split_sizes(&parts, dim as isize)?.into_iter().map(Value::from).collect())
}

/// What a slice means for a shape: dimension, start, end and step, the first two clamped.
pub(crate) fn slices(c: &Call<'_>, shape: &[usize]) -> Result<Vec<(usize, i64, i64, i64)>> {
    let attributes = c.opset() < 10;
    let list = |name: &str| c.list(name).map(|l| l.map(<[i64]>::to_vec));
    let (starts, ends) = match attributes {
        true => (list("starts")?.unwrap_or_default(), list("ends")?.unwrap_or_default()),
        false => (c.ints(1)?, c.ints(2)?),
    };
    let axes = if attributes { list("axes")? } else { c.maybe_ints(3)? };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = if attributes { None } else { c.maybe_ints(4)? }.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
        return Err(c.error(format!("{} starts, {} ends, {} axes and {} steps", starts.len(), ends.len(), axes.len(), steps.len())));
    }
    let dims = c.dims(&axes, shape.len())?;
    let mut out = Vec::with_capacity(dims.len());
    for (i, d) in dims.into_iter().enumerate() {
        // A longer step than any tensor takes one element, as this one does.
        let (n, step) = (shape[d] as i64, steps[i].clamp(-(1 << 48), 1 << 48));
        let from_front = |v: i64| if v < 0 { v.saturating_add(n) } else { v };
        let (start, end) = (from_front(starts[i]), from_front(ends[i]));
        out.push(match step {
            0 => return Err(c.error("a step of 0")),
            1.. => (d, start.clamp(0, n), end.clamp(0, n), step),
            _ => (d, start.clamp(0, (n - 1).max(0)), if n == 0 { 0 } else { end.clamp(-1, n - 1) }, step),
        });
    }
    Ok(out)
}

fn slice(c: &Call<'_>) -> Out {
    let mut x = c.tensor(0)?;
    for (d, start, end, step) in slices(c, x.shape())? {
        let dim = d as isize;
        x = if step > 0 {
            x.slice(dim, start as isize, end.max(start) as isize, step as isize)?
        } else if start <= end {
            x.narrow(dim, 0, 0)?
        } else {
            // The same elements from the front, turned round.
            let count = (start - end - 1) / -step;
            let lowest = start + step * count;
            x.slice(dim, lowest as isize, start as isize + 1, -step as isize)?.flip(dim)?
        };
    }
    one(x)
}

fn tile(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let times = if c.opset() < 6 {
        let mut times = vec![1; x.rank()];
        times[c.dim(c.integer(2)?, x.rank())?] = c.sizes(&[c.integer(1)?])?[0];
        times
    } else {
        c.sizes(&c.ints(1)?)?
    };
    if times.len() != x.rank() {
        return Err(c.error(format!("{} repeats for {} dimensions", times.len(), x.rank())));
    }
    one(if x.rank() == 0 { x } else { x.repeat(times)? })
}

fn pad(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let list = |name: &str| c.list(name).map(|l| l.map(<[i64]>::to_vec));
    let pads = if c.opset() < 11 { list("pads")?.or(list("paddings")?).unwrap_or_default() } else { c.ints(1)? };
    let value = match (c.opset() < 11, c.has(2)) {
        (true, _) => Scalar::Float(c.float("value", 0.0)?),
        (false, true) => c.host(2)?.scalar(0).ok_or_else(|| c.error("an empty padding value"))?,
        (false, false) => Scalar::Int(0),
    };
    let dims = match if c.opset() < 18 { None } else { c.maybe_ints(3)? } {
        Some(axes) => c.dims(&axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if pads.len() != 2 * dims.len() {
        return Err(c.error(format!("{} amounts for {} dimensions", pads.len(), dims.len())));
    }
    // Pairs for each dimension, the last one first.
    let mut amounts = vec![0isize; 2 * x.rank()];
    for (i, &d) in dims.iter().enumerate() {
        amounts[2 * (x.rank() - 1 - d)] = pads[i] as isize;
        amounts[2 * (x.rank() - 1 - d) + 1] = pads[dims.len() + i] as isize;
    }
    let mode = match c.text("mode", "constant")? {
        "edge" => "replicate",
        "wrap" => "circular",
        other => other,
    };
    let value = match (x.dtype(), value) {
        (DType::Bool, v) => Scalar::Bool(v.as_bool()),
        (d, v) if d.is_int() => Scalar::Int(v.as_i64()),
        (_, v) => v,
    };
    one(x.pad(amounts, mode, value)?)
}

fn center_crop_pad(c: &Call<'_>) -> Out {
    let mut x = c.tensor(0)?;
    let to = c.sizes(&c.ints(1)?)?;
    let dims = match c.list("axes")? {
        Some(axes) => c.dims(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    if dims.len() != to.len() {
        return Err(c.error(format!("{} sizes for {} dimensions", to.len(), dims.len())));
    }
    for (d, n) in dims.into_iter().zip(to) {
        let have = x.shape()[d];
        if n < have {
            x = x.narrow(d as isize, (have - n) / 2, n)?;
        } else if n > have {
            let before = (n - have) / 2;
            let mut amounts = vec![0isize; 2 * (x.rank() - d)];
            let at = amounts.len() - 2;
            amounts[at] = before as isize;
            amounts[at + 1] = (n - have - before) as isize;
            x = x.pad(amounts, "constant", 0)?;
        }
    }
    one(x)
}

/// Batch, channels, height, width, and the size of a block.
fn blocks(c: &Call<'_>, x: &Tensor) -> Result<([usize; 4], usize)> {
    let b = c.sizes(&[c.int("blocksize", 0)?])?[0];
    match *x.shape() {
        [n, ch, h, w] if b > 0 && b <= 1 << 16 => Ok(([n, ch, h, w], b)),
        _ => Err(c.error(format!("blocks of {b} of {:?}: expected 4 dimensions", x.shape()))),
    }
}

fn depth_to_space(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let ([n, ch, h, w], b) = blocks(c, &x)?;
    let y = match c.text("mode", "DCR")? {
        "DCR" => x.reshape([n, b, b, ch / (b * b), h, w])?.permute([0, 3, 4, 1, 5, 2])?,
        "CRD" => x.reshape([n, ch / (b * b), b, b, h, w])?.permute([0, 1, 4, 2, 5, 3])?,
        other => return Err(c.error(format!("mode '{other}' is neither DCR nor CRD"))),
    };
    one(y.reshape([n, ch / (b * b), h * b, w * b])?)
}

fn space_to_depth(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let ([n, ch, h, w], b) = blocks(c, &x)?;
    let blocks = x.reshape([n, ch, h / b, b, w / b, b])?;
    let y = match c.text("mode", "DCR")? {
        "DCR" => blocks.permute([0, 3, 5, 1, 2, 4])?,
        "CRD" => blocks.permute([0, 1, 3, 5, 2, 4])?,
        other => return Err(c.error(format!("mode '{other}' is neither DCR nor CRD"))),
    };
    one(y.reshape([n, ch * b * b, h / b, w / b])?)
}

fn reverse_sequence(c: &Call<'_>) -> Out {
    let (x, lengths) = (c.tensor(0)?, c.tensor(1)?.to_dtype(DType::I64)?);
    let (batch, time) = (c.dim(c.int("batch_axis", 1)?, x.rank())?, c.dim(c.int("time_axis", 0)?, x.rank())?);
    // Shapes that are 1 but for their own dimension.
    let along = |d: usize, n: usize| (0..x.rank()).map(|i| if i == d { n } else { 1 }).collect::<Vec<usize>>();
    let t = Tensor::arange(0, x.shape()[time], 1, (DType::I64, x.device()))?.reshape(along(time, x.shape()[time]))?;
    let n = lengths.reshape(along(batch, x.shape()[batch]))?;
    let turned = n.sub(1)?.sub(&t)?;
    let at = turned.where_(&t.lt(&n)?, &t)?;
    one(x.gather(time as isize, &at.broadcast_to(x.shape())?)?)
}

fn trilu(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let k = if c.has(1) { c.integer(1)? } else { 0 };
    let k = k.clamp(-(1 << 30), 1 << 30) as isize;
    one(if c.flag("upper", true)? { x.triu(k)? } else { x.tril(k)? })
}
