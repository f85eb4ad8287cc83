//! Convolutions and pooling, over one to three dimensions.

use taper::{DType, Result, Scalar, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::host::{Data, Host};
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("AveragePool", 1, average_pool),
    op("CausalConvWithState", 1, causal_conv),
    op("Conv", 1, |c| one(convolve(c, &c.tensor(0)?, &c.tensor(1)?, c.maybe(2)?.as_ref())?)),
    op("ConvTranspose", 1, conv_transpose),
    op("DeformConv", 19, deform_conv),
    op("GlobalAveragePool", 1, |c| global(c, |x, dims| x.mean_keepdim(dims))),
    op("GlobalLpPool", 1, |c| {
        let p = c.int("p", 2)? as f64;
        global(c, |x, dims| x.abs()?.pow(p)?.sum_keepdim(dims)?.pow(1.0 / p))
    }),
    op("GlobalMaxPool", 1, |c| global(c, |x, dims| x.amax_keepdim(dims))),
    op("LpPool", 1, lp_pool),
    op("MaxPool", 1, max_pool),
    op("MaxUnpool", 9, max_unpool),
];

/// How windows lie in an image.
pub(super) struct Windows {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Before and after each dimension.
    pub pads: Vec<(usize, usize)>,
    /// How far past the padding the last window reaches (`ceil_mode`).
    pub over: Vec<usize>,
    /// Windows along each dimension.
    pub count: Vec<usize>,
}

impl Windows {
    /// As the attributes say, for an image of these spatial sizes.
    pub fn new(c: &Call<'_>, size: &[usize], kernel: Option<&[usize]>) -> Result<Windows> {
        let rank = size.len();
        let list = |name: &str, n: usize, default: usize| match c.list(name)? {
            None => Ok(vec![default; n]),
            Some(list) if list.len() == n => c.steps(list),
            Some(list) => Err(c.error(format!("attribute '{name}' {list:?} for {rank} spatial dimensions"))),
        };
        let kernel = match kernel {
            Some(kernel) => kernel.to_vec(),
            None => c.steps(c.list("kernel_shape")?.ok_or_else(|| c.error("attribute 'kernel_shape' is missing"))?)?,
        };
        let (strides, dilations) = (list("strides", rank, 1)?, list("dilations", rank, 1)?);
        if kernel.len() != rank || [&kernel, &strides, &dilations].iter().any(|l| l.contains(&0)) {
            return Err(c.error(format!("windows of {kernel:?}, strides {strides:?}, dilations {dilations:?} in {size:?}")));
        }
        let (auto, ceil) = (c.text("auto_pad", "NOTSET")?, c.flag("ceil_mode", false)?);
        let given = list("pads", 2 * rank, 0)?;
        let (mut pads, mut over, mut count) = (vec![], vec![], vec![]);
        for d in 0..rank {
            let (n, step) = (size[d], strides[d]);
            let reach = dilations[d].saturating_mul(kernel[d] - 1).saturating_add(1);
            let pad = match auto {
                "SAME_UPPER" | "SAME_LOWER" => {
                    let total = (n.div_ceil(step).saturating_sub(1) * step + reach).saturating_sub(n);
                    if auto == "SAME_UPPER" { (total / 2, total - total / 2) } else { (total - total / 2, total / 2) }
                }
                "VALID" => (0, 0),
                _ => (given[d], given[rank + d]),
            };
            let padded = n.saturating_add(pad.0).saturating_add(pad.1);
            let Some(room) = padded.checked_sub(reach) else {
                return Err(c.error(format!("a window of {reach} in a padded image of {padded}")));
            };
            let mut windows = room / step + 1;
            // One more where it still begins in the image or the padding before it.
            if ceil && room % step != 0 && windows * step < n + pad.0 {
                windows += 1;
            }
            over.push(((windows - 1) * step + reach).saturating_sub(padded));
            pads.push(pad);
            count.push(windows);
        }
        Ok(Windows { kernel, strides, dilations, pads, over, count })
    }

    /// Padding that is the same before and after, as the fast kernels take it.
    fn even(&self) -> Option<Vec<usize>> {
        let even = self.pads.iter().zip(&self.over).all(|(p, &over)| p.0 == p.1 && over == 0);
        even.then(|| self.pads.iter().map(|p| p.0).collect())
    }

    /// The image with its padding, and what the last windows reach past it.
    fn padded(&self, x: &Tensor, value: Scalar) -> Result<Tensor> {
        let amounts: Vec<isize> =
            self.pads.iter().zip(&self.over).rev().flat_map(|(p, &over)| [p.0 as isize, (p.1 + over) as isize]).collect();
        if amounts.iter().all(|&a| a == 0) { Ok(x.clone()) } else { x.pad(amounts, "constant", value) }
    }

    /// The elements of the windows of a padded image, in dimensions behind those of the windows.
    fn of(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for d in 0..self.kernel.len() {
            let reach = self.dilations[d] * (self.kernel[d] - 1) + 1;
            x = x.unfold(2 + d as isize, reach, self.strides[d])?.slice(-1, 0, isize::MAX, self.dilations[d] as isize)?;
        }
        Ok(x)
    }
}

/// The spatial sizes of an image.
fn spatial<'t>(c: &Call<'_>, x: &'t Tensor) -> Result<&'t [usize]> {
    match x.shape() {
        [_, _, spatial @ ..] if !spatial.is_empty() => Ok(spatial),
        other => Err(c.error(format!("the input {other:?} has no spatial dimensions"))),
    }
}

fn array<const N: usize>(c: &Call<'_>, list: &[usize]) -> Result<[usize; N]> {
    list.try_into().map_err(|_| c.error(format!("{list:?} should be {N} numbers")))
}

fn too_many(c: &Call<'_>, rank: usize) -> taper::Error {
    taper::Error::unsupported("onnx", format!("{} over {rank} dimensions", c.node.op))
}

pub(super) fn convolve(c: &Call<'_>, x: &Tensor, w: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let size = spatial(c, x)?;
    let kernel = w.shape().get(2..).unwrap_or_default();
    let windows = Windows::new(c, size, Some(kernel))?;
    let groups = c.sizes(&[c.int("group", 1)?])?[0];
    let (x, pad) = match windows.even() {
        Some(pad) => (x.clone(), pad),
        None => (windows.padded(x, Scalar::Int(0))?, vec![0; kernel.len()]),
    };
    let (s, d) = (&windows.strides, &windows.dilations);
    match kernel.len() {
        1 => x.conv1d(w, bias, s[0], pad[0], d[0], groups),
        2 => x.conv2d(w, bias, array::<2>(c, s)?, array::<2>(c, &pad)?, array::<2>(c, d)?, groups),
        3 => x.conv3d(w, bias, array::<3>(c, s)?, array::<3>(c, &pad)?, array::<3>(c, d)?, groups),
        n => Err(too_many(c, n)),
    }
}

fn conv_transpose(c: &Call<'_>) -> Out {
    let (x, w) = (c.tensor(0)?, c.tensor(1)?);
    let size = spatial(c, &x)?;
    let rank = size.len();
    let kernel = w.shape().get(2..).unwrap_or_default();
    let list = |name: &str, n: usize, default: usize| match c.list(name)? {
        None => Ok(vec![default; n]),
        Some(list) if list.len() >= n => c.steps(&list[..n]),
        Some(list) => Err(c.error(format!("attribute '{name}' {list:?} for {rank} spatial dimensions"))),
    };
    let (s, d, extra, pads) =
        (list("strides", rank, 1)?, list("dilations", rank, 1)?, list("output_padding", rank, 0)?, list("pads", 2 * rank, 0)?);
    let groups = c.sizes(&[c.int("group", 1)?])?[0];
    if kernel.len() != rank || kernel.contains(&0) {
        return Err(c.error(format!("the weight {:?} for the input {:?}", w.shape(), x.shape())));
    }
    let full = match rank {
        1 => x.conv_transpose1d(&w, None, s[0], 0, 0, groups, d[0])?,
        2 => x.conv_transpose2d(&w, None, array::<2>(c, &s)?, 0usize, 0usize, groups, array::<2>(c, &d)?)?,
        3 => x.conv_transpose3d(&w, None, array::<3>(c, &s)?, 0usize, 0usize, groups, array::<3>(c, &d)?)?,
        n => return Err(too_many(c, n)),
    };
    let auto = c.text("auto_pad", "NOTSET")?;
    let wanted = match c.list("output_shape")? {
        Some(list) => Some(c.steps(&list[list.len().saturating_sub(rank)..])?),
        None if auto.starts_with("SAME") => Some((0..rank).map(|i| size[i] * s[i]).collect()),
        None => None,
    };
    // What is cut off before and after; negative amounts are zeros that no window reached.
    let mut amounts = vec![0isize; 2 * rank];
    for i in 0..rank {
        let have = (s[i] * (size[i].saturating_sub(1)) + d[i] * (kernel[i] - 1) + 1) as isize;
        let (before, after) = match &wanted {
            Some(wanted) => {
                let total = have + extra[i] as isize - wanted.get(i).copied().unwrap_or(0) as isize;
                let half = total / 2;
                match auto {
                    // What is missing is added behind.
                    _ if total < 0 => (0, total),
                    "SAME_UPPER" => (half, total - half),
                    _ => (total - half, half),
                }
            }
            None if auto == "VALID" => (0, 0),
            None => (pads[i] as isize, pads[rank + i] as isize),
        };
        amounts[2 * (rank - 1 - i)] = -before;
        amounts[2 * (rank - 1 - i) + 1] = extra[i] as isize - after;
    }
    let mut y = if amounts.iter().all(|&a| a == 0) { full } else { full.pad(amounts, "constant", 0)? };
    if let Some(bias) = c.maybe(2)? {
        y = y.add(bias.reshape([&[bias.numel()][..], &vec![1; rank]].concat())?)?;
    }
    one(y)
}

/// The number of elements each window sees, over all windows: per dimension, multiplied.
fn seen(c: &Call<'_>, windows: &Windows, size: &[usize], with_pads: bool, dtype: DType) -> Result<Option<Tensor>> {
    let mut counts = vec![1.0];
    for d in 0..size.len() {
        let (before, after) = windows.pads[d];
        let (low, high) = if with_pads { (0, before + size[d] + after) } else { (before, before + size[d]) };
        let along = (0..windows.count[d]).map(|w| {
            let places = (0..windows.kernel[d]).map(|k| w * windows.strides[d] + k * windows.dilations[d]);
            places.filter(|p| (low..high).contains(p)).count() as f64
        });
        let along: Vec<f64> = along.collect();
        counts = counts.iter().flat_map(|&n| along.iter().map(move |&a| n * a)).collect();
    }
    let all = windows.kernel.iter().product::<usize>() as f64;
    if counts.iter().all(|&n| n == all) {
        return Ok(None);
    }
    Ok(Some(Host::of(dtype, windows.count.clone(), Data::Floats(counts)).tensor(c.device)?))
}

/// Means over windows, whose padding counts as zeros.
fn means(c: &Call<'_>, x: &Tensor, windows: &Windows) -> Result<Tensor> {
    let padded = windows.padded(x, Scalar::Int(0))?;
    let (k, s) = (&windows.kernel, &windows.strides);
    let rank = k.len();
    match rank {
        _ if windows.dilations.iter().any(|&d| d != 1) => windows.of(&padded)?.mean((2 + rank..2 + 2 * rank).collect::<Vec<usize>>()),
        1 => padded.avg_pool1d(k[0], s[0], 0, false, true),
        2 => padded.avg_pool2d(array::<2>(c, k)?, array::<2>(c, s)?, 0usize, false, true, None),
        3 => padded.avg_pool3d(array::<3>(c, k)?, array::<3>(c, s)?, 0usize, false, true, None),
        n => Err(too_many(c, n)),
    }
}

fn average_pool(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let size = spatial(c, &x)?;
    let windows = Windows::new(c, size, None)?;
    let means = means(c, &x, &windows)?;
    let all = windows.kernel.iter().product::<usize>();
    let with_pads = c.flag("count_include_pad", false)?;
    one(match seen(c, &windows, size, with_pads, Call::wide(x.dtype()))? {
        None => means,
        Some(counts) => means.mul(all)?.div(counts.to_dtype(x.dtype())?)?,
    })
}

fn lp_pool(c: &Call<'_>) -> Out {
    let (x, p) = (c.tensor(0)?, c.int("p", 2)? as f64);
    let windows = Windows::new(c, spatial(c, &x)?, None)?;
    let sums = means(c, &x.abs()?.pow(p)?, &windows)?.mul(windows.kernel.iter().product::<usize>())?;
    one(sums.pow(1.0 / p)?.to_dtype(x.dtype())?)
}

fn max_pool(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let size = spatial(c, &x)?;
    let windows = Windows::new(c, size, None)?;
    let rank = size.len();
    let least = match x.dtype().int_range() {
        None => Scalar::Float(f64::NEG_INFINITY),
        Some((low, _)) => Scalar::Int(low as i64),
    };
    // The kernels pad by at most half a window.
    let native = windows.even().filter(|pad| pad.iter().zip(&windows.kernel).all(|(&p, &k)| 2 * p <= k));
    let offset: Vec<usize> = if native.is_some() { vec![0; rank] } else { windows.pads.iter().map(|p| p.0).collect() };
    let (image, pad) = match native {
        Some(pad) => (x.clone(), pad),
        None => (windows.padded(&x, least)?, vec![0; rank]),
    };
    let (k, s, d) = (&windows.kernel, &windows.strides, &windows.dilations);
    let (y, at) = match rank {
        1 => image.max_pool1d_with_indices(k[0], s[0], pad[0], d[0], false)?,
        2 => image.max_pool2d_with_indices(array::<2>(c, k)?, array::<2>(c, s)?, array::<2>(c, &pad)?, array::<2>(c, d)?, false)?,
        3 => image.max_pool3d_with_indices(array::<3>(c, k)?, array::<3>(c, s)?, array::<3>(c, &pad)?, array::<3>(c, d)?, false)?,
        n => return Err(too_many(c, n)),
    };
    if !c.wants(1) {
        return one(y);
    }
    // Positions in the padded plane become positions in the whole tensor, row by row or column by column.
    let column_major = c.flag("storage_order", false)?;
    let mut place = at.zeros_like()?;
    let (mut rest, mut unit) = (at, 1usize);
    for i in (0..rank).rev() {
        let wide = image.shape()[2 + i] as i64;
        let here = rest.remainder(wide)?.sub(offset[i] as i64)?;
        rest = rest.floor_divide(wide)?;
        let unit_here = if column_major { size[..i].iter().product::<usize>() } else { unit };
        place = place.add(here.mul(unit_here as i64)?)?;
        unit *= size[i];
    }
    let planes: usize = x.shape()[..2].iter().product();
    let first = Tensor::arange(0, planes, 1, (DType::I64, c.device))?.mul(unit as i64)?;
    let first = first.reshape([&x.shape()[..2], &vec![1; rank]].concat())?;
    Ok(vec![Value::from(y), place.add(first)?.into()])
}

fn max_unpool(c: &Call<'_>) -> Out {
    let (x, at) = (c.tensor(0)?, c.tensor(1)?);
    let size = spatial(c, &x)?;
    let kernel = c.steps(c.list("kernel_shape")?.ok_or_else(|| c.error("attribute 'kernel_shape' is missing"))?)?;
    let list = |name: &str, n: usize, default: usize| c.list(name)?.map_or(Ok(vec![default; n]), |l| c.steps(l));
    let (s, pads) = (list("strides", size.len(), 1)?, list("pads", 2 * size.len(), 0)?);
    if kernel.len() != size.len() || s.len() != size.len() || pads.len() != 2 * size.len() {
        return Err(c.error(format!("windows of {kernel:?} in {:?}", x.shape())));
    }
    let made: Vec<usize> =
        (0..size.len()).map(|d| ((size[d].max(1) - 1) * s[d] + kernel[d]).saturating_sub(pads[d] + pads[size.len() + d])).collect();
    // Positions count in the tensor that the windows make; where a larger one is wanted, it lies at its start.
    let made = [&x.shape()[..2], &made[..]].concat();
    let area = made.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).ok_or_else(|| c.error(format!("an output of {made:?}")))?;
    let zeros = Tensor::zeros([area], (x.dtype(), c.device))?;
    let y = zeros.scatter(0, &at.to_dtype(DType::I64)?.reshape([at.numel()])?, &x.reshape([x.numel()])?)?.reshape(&made)?;
    let Some(wanted) = c.maybe_ints(2)? else { return one(y) };
    let wanted = c.sizes(&wanted)?;
    if wanted.len() != made.len() {
        return Err(c.error(format!("an output of {wanted:?} of {made:?}")));
    }
    let amounts: Vec<isize> = wanted.iter().zip(&made).rev().flat_map(|(&w, &m)| [0, w as isize - m as isize]).collect();
    one(y.pad(amounts, "constant", 0)?)
}

fn global(c: &Call<'_>, f: impl Fn(&Tensor, &[usize]) -> Result<Tensor>) -> Out {
    let x = c.tensor(0)?;
    one(f(&x, &(2..x.rank()).collect::<Vec<usize>>())?)
}

/// A depthwise convolution over time that sees the past, and what of it the next call needs.
fn causal_conv(c: &Call<'_>) -> Out {
    let (x, w) = (c.tensor(0)?, c.tensor(1)?);
    let (&[n, channels, _], &[_, _, k]) = (x.shape(), w.shape()) else {
        return Err(c.error(format!("the input {:?} and the weight {:?} should have 3 dimensions", x.shape(), w.shape())));
    };
    let past = match c.maybe(3)? {
        Some(past) => past,
        None => Tensor::zeros([n, channels, k.saturating_sub(1)], (x.dtype(), c.device))?,
    };
    let seen = Tensor::cat(&[past, x.clone()], 2)?;
    let y = seen.conv1d(&w, c.maybe(2)?.as_ref(), 1, 0, 1, channels)?;
    let y = match c.text("activation", "none")? {
        "none" => y,
        "silu" | "swish" => y.silu()?,
        other => return Err(c.error(format!("no activation '{other}'"))),
    };
    let keep = k.saturating_sub(1);
    Ok(vec![Value::from(y), seen.narrow(2, seen.shape()[2] - keep, keep)?.into()])
}

/// A convolution whose elements are read where offsets move them, weighted by a mask.
fn deform_conv(c: &Call<'_>) -> Out {
    let (x, w, offset) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
    let (&[n, _, h, width], &[out, per_group, kh, kw]) = (x.shape(), w.shape()) else {
        return Err(c.error(format!("{:?} by {:?}: expected 4 dimensions", x.shape(), w.shape())));
    };
    let windows = Windows::new(c, &[h, width], Some(&[kh, kw]))?;
    let [oh, ow] = array::<2>(c, &windows.count)?;
    let (groups, moved) = (c.sizes(&[c.int("group", 1)?])?[0].max(1), c.sizes(&[c.int("offset_group", 1)?])?[0].max(1));
    let taps = kh * kw;
    let line = |n: usize| Tensor::arange(0, n, 1, (Call::wide(x.dtype()), c.device));
    // Where each tap of each window lies, [taps, oh, ow].
    let along = |d: usize, k: usize, o: usize| -> Result<Tensor> {
        let tap = line(k)?.mul(windows.dilations[d])?.unsqueeze(1)?;
        tap.add(line(o)?.mul(windows.strides[d])?)?.sub(windows.pads[d].0)
    };
    let y = along(0, kh, oh)?.reshape([kh, 1, oh, 1])?.broadcast_to([kh, kw, oh, ow])?.reshape([taps, oh, ow])?;
    let x_ = along(1, kw, ow)?.reshape([1, kw, 1, ow])?.broadcast_to([kh, kw, oh, ow])?.reshape([taps, oh, ow])?;
    let offset = offset.reshape([n, moved, taps, 2, oh, ow])?;
    let mask = c.maybe(4)?.map(|m| m.reshape([n, moved, taps, oh, ow])).transpose()?;
    let mut columns = Vec::with_capacity(moved);
    for (g, part) in x.chunk(moved, 1)?.into_iter().enumerate() {
        let shift = offset.select(1, g as isize)?;
        let place = |base: &Tensor, i: isize| base.add(shift.select(2, i)?);
        let seen = bilinear(&part, &place(&y, 0)?, &place(&x_, 1)?)?;
        columns.push(match &mask {
            Some(m) => seen.mul(m.select(1, g as isize)?.unsqueeze(1)?)?,
            None => seen,
        });
    }
    let columns = Tensor::cat(&columns, 1)?.reshape([n, groups, per_group * taps, oh * ow])?;
    let y = w.reshape([groups, out / groups, per_group * taps])?.matmul(&columns)?.reshape([n, out, oh, ow])?;
    one(match c.maybe(3)? {
        Some(bias) => y.add(bias.reshape([out, 1, 1])?)?,
        None => y,
    })
}

/// Images `[n, channels, h, w]` at points `[n, ..]`, between their four neighbours; zero outside.
fn bilinear(image: &Tensor, y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let s = image.shape();
    let (n, channels, h, w) = (s[0], s[1], s[2], s[3]);
    let flat = image.reshape([n, channels, h * w])?;
    let points = y.numel() / n.max(1);
    let (y0, x0) = (y.floor()?, x.floor()?);
    let (fy, fx) = (y.sub(&y0)?, x.sub(&x0)?);
    let mut sum: Option<Tensor> = None;
    for (dy, dx) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let share = |f: &Tensor, far: i32| if far == 1 { Ok(f.clone()) } else { f.neg()?.add(1) };
        let (py, px) = (y0.add(dy)?, x0.add(dx)?);
        let inside = |p: &Tensor, n: usize| p.ge(0)?.logical_and(p.lt(n)?);
        let inside = inside(&py, h)?.logical_and(inside(&px, w)?)?;
        let at = py.clamp(0.0, h.saturating_sub(1) as f64)?.mul(w)?.add(px.clamp(0.0, w.saturating_sub(1) as f64)?)?;
        let at = at.to_dtype(DType::I64)?.reshape([n, 1, points])?.broadcast_to([n, channels, points])?;
        let weight = share(&fy, dy)?.mul(share(&fx, dx)?)?.masked_fill(&inside.logical_not()?, 0)?;
        let part = flat.gather(2, &at)?.mul(weight.reshape([n, 1, points])?.to_dtype(image.dtype())?)?;
        sum = Some(match sum {
            Some(sum) => sum.add(part)?,
            None => part,
        });
    }
    let shape = [&[n, channels], &y.shape()[1..]].concat();
    sum.map_or_else(|| Tensor::zeros(&shape, (image.dtype(), image.device())), |sum| sum.reshape(&shape))
}
