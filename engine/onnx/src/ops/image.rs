//! Sampling images along grids and regions, and choosing boxes.

use taper::{DType, GridMode, GridPadding, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::host::{Data, Host};

pub(super) static TABLE: &[Operator] = &[
    op("AffineGrid", 20, |c| {
        let size = c.sizes(&c.ints(1)?)?;
        one(c.tensor(0)?.affine_grid(&size, c.flag("align_corners", false)?)?)
    }),
    op("GridSample", 16, grid_sample),
    op("MaxRoiPool", 1, max_roi_pool),
    op("NonMaxSuppression", 10, suppress),
    op("RoiAlign", 10, roi_align),
];

fn grid_sample(c: &Call<'_>) -> Out {
    let mode = match c.text("mode", "linear")? {
        "linear" | "bilinear" => GridMode::Bilinear,
        "nearest" => GridMode::Nearest,
        "cubic" | "bicubic" => GridMode::Bicubic,
        other => return Err(c.error(format!("no mode '{other}'"))),
    };
    let padding = match c.text("padding_mode", "zeros")? {
        "zeros" => GridPadding::Zeros,
        "border" => GridPadding::Border,
        "reflection" => GridPadding::Reflection,
        other => return Err(c.error(format!("no padding mode '{other}'"))),
    };
    one(c.tensor(0)?.grid_sample(&c.tensor(1)?, mode, padding, c.flag("align_corners", false)?)?)
}

/// A box by its corners: low and high, along y and x.
#[derive(Clone, Copy)]
struct Corners([(f64, f64); 2]);

impl Corners {
    fn of(b: &[f64], centred: bool) -> Corners {
        let &[a, b, c, d] = b else { return Corners([(0.0, 0.0); 2]) };
        if centred {
            return Corners([(b - d / 2.0, b + d / 2.0), (a - c / 2.0, a + c / 2.0)]);
        }
        Corners([(a.min(c), a.max(c)), (b.min(d), b.max(d))])
    }

    fn area(&self) -> f64 {
        self.0.iter().map(|(low, high)| high - low).product()
    }

    /// The share of two boxes' area that both cover, if they have one.
    fn overlap(&self, other: &Corners) -> f64 {
        let common: Vec<f64> = self.0.iter().zip(&other.0).map(|(a, b)| a.1.min(b.1) - a.0.max(b.0)).collect();
        if common.iter().any(|&side| side <= 0.0) || self.area() <= 0.0 || other.area() <= 0.0 {
            return 0.0;
        }
        let common: f64 = common.iter().product();
        common / (self.area() + other.area() - common)
    }
}

/// The best boxes of each class that do not cover each other: on the host, as each choice depends on those before it.
fn suppress(c: &Call<'_>) -> Out {
    let (boxes, scores) = (c.host(0)?, c.host(1)?);
    let (&[batches, n, 4], &[_, classes, m]) = (&boxes.shape[..], &scores.shape[..]) else {
        return Err(c.error(format!("boxes of {:?} with scores of {:?}", boxes.shape, scores.shape)));
    };
    if m != n || scores.shape[0] != batches {
        return Err(c.error(format!("boxes of {:?} with scores of {:?}", boxes.shape, scores.shape)));
    }
    let most = if c.has(2) { c.integer(2)?.max(0) as usize } else { 0 };
    let limit = if c.has(3) { c.number(3)? } else { 0.0 };
    let least = if c.has(4) { Some(c.number(4)?) } else { None };
    let centred = c.flag("center_point_box", false)?;
    let (boxes, scores) = (boxes.to_floats(), scores.to_floats());
    let mut chosen = Vec::new();
    for batch in 0..batches {
        let corners: Vec<Corners> = boxes[batch * n * 4..(batch + 1) * n * 4].chunks(4).map(|b| Corners::of(b, centred)).collect();
        for class in 0..classes {
            let own = &scores[(batch * classes + class) * n..][..n];
            let mut order: Vec<usize> = (0..n).filter(|&i| least.is_none_or(|l| own[i] > l)).collect();
            order.sort_by(|&a, &b| own[b].total_cmp(&own[a]));
            let mut kept: Vec<usize> = Vec::new();
            for i in order {
                if kept.len() >= most {
                    break;
                }
                if kept.iter().all(|&k| corners[i].overlap(&corners[k]) <= limit) {
                    kept.push(i);
                }
            }
            chosen.extend(kept.into_iter().flat_map(|i| [batch as i64, class as i64, i as i64]));
        }
    }
    one(Host { dtype: DType::I64, shape: vec![chosen.len() / 3, 3], data: Data::Ints(chosen) })
}

/// Places and weights of the four neighbours of a point; none outside of the image.
fn neighbours(y: f64, x: f64, h: usize, w: usize, places: &mut Vec<i64>, weights: &mut Vec<f64>) {
    if y < -1.0 || y > h as f64 || x < -1.0 || x > w as f64 {
        places.extend([0; 4]);
        weights.extend([0.0; 4]);
        return;
    }
    let split = |v: f64, n: usize| {
        let v = v.max(0.0);
        let low = v as usize;
        if low + 1 >= n { (n - 1, n - 1, 0.0) } else { (low, low + 1, v - low as f64) }
    };
    let ((y0, y1, fy), (x0, x1, fx)) = (split(y, h), split(x, w));
    places.extend([y0 * w + x0, y0 * w + x1, y1 * w + x0, y1 * w + x1].map(|p| p as i64));
    weights.extend([(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx]);
}

/// Each region in a grid of cells, each cell the mean or the maximum of points in it.
fn roi_align(c: &Call<'_>) -> Out {
    let (x, rois, batch) = (c.tensor(0)?, c.host(1)?.to_floats(), c.ints(2)?);
    let &[n, channels, h, w] = x.shape() else { return Err(c.error(format!("{:?} is no batch of images", x.shape()))) };
    let out = c.sizes(&[c.int("output_height", 1)?, c.int("output_width", 1)?])?;
    let ratio = c.int("sampling_ratio", 0)?;
    let scale = c.float("spatial_scale", 1.0)?;
    let default = if c.opset() < 16 { "output_half_pixel" } else { "half_pixel" };
    let half_pixel = c.text("coordinate_transformation_mode", default)? == "half_pixel";
    let offset = if half_pixel { 0.5 } else { 0.0 };
    let max = c.text("mode", "avg")? == "max";
    if h == 0 || w == 0 || rois.len() != 4 * batch.len() {
        return Err(c.error(format!("{} numbers of regions in {:?} for {} batch indices", rois.len(), x.shape(), batch.len())));
    }
    let mut cells = Vec::with_capacity(batch.len());
    for (roi, &b) in rois.chunks(4).zip(&batch) {
        let b = usize::try_from(b).ok().filter(|&b| b < n).ok_or_else(|| c.error(format!("batch index {b} of {n}")))?;
        let at = |i: usize| roi[i] * scale - offset;
        let side = |low: f64, high: f64| if half_pixel { high - low } else { (high - low).max(1.0) };
        let size = [side(at(1), at(3)), side(at(0), at(2))];
        let bin = [size[0] / out[0] as f64, size[1] / out[1] as f64];
        let grid = bin.map(|b| if ratio > 0 { ratio as usize } else { b.ceil().max(0.0) as usize });
        let points = grid[0].saturating_mul(grid[1]);
        if points.max(1).saturating_mul(out[0]).saturating_mul(out[1]) > 1 << 26 {
            return Err(c.error(format!("{points} points in each cell of a region")));
        }
        let (mut places, mut weights) = (Vec::new(), Vec::new());
        for ph in 0..out[0] {
            for pw in 0..out[1] {
                for iy in 0..grid[0] {
                    for ix in 0..grid[1] {
                        let y = at(1) + ph as f64 * bin[0] + (iy as f64 + 0.5) * bin[0] / grid[0] as f64;
                        let x = at(0) + pw as f64 * bin[1] + (ix as f64 + 0.5) * bin[1] / grid[1] as f64;
                        neighbours(y, x, h, w, &mut places, &mut weights);
                    }
                }
            }
        }
        let image = x.select(0, b as isize)?.reshape([channels, h * w])?;
        let seen = image.index_select(1, &Tensor::from_slice(&places, [places.len()], c.device)?)?;
        let weights = Host::of(x.dtype(), vec![weights.len()], Data::Floats(weights)).tensor(c.device)?;
        let seen = seen.mul(weights)?.reshape([channels, out[0], out[1], points * 4])?;
        cells.push(if points == 0 {
            Tensor::zeros([channels, out[0], out[1]], (x.dtype(), c.device))?
        } else if max {
            seen.amax(-1)?
        } else {
            seen.sum(-1)?.div(points)?
        });
    }
    one(if cells.is_empty() { Tensor::zeros([0, channels, out[0], out[1]], (x.dtype(), c.device))? } else { Tensor::stack(&cells, 0)? })
}

/// Each region in a grid of cells, each cell the maximum of its elements, or 0 where it has none.
fn max_roi_pool(c: &Call<'_>) -> Out {
    let (x, rois, scale) = (c.tensor(0)?, c.host(1)?, c.float("spatial_scale", 1.0)?);
    let out = c.steps(c.list("pooled_shape")?.ok_or_else(|| c.error("attribute 'pooled_shape' is missing"))?)?;
    let (&[n, channels, h, w], &[oh, ow], &[regions, 5]) = (x.shape(), &out[..], &rois.shape[..]) else {
        return Err(c.error(format!("regions {:?} of {:?} as {out:?}", rois.shape, x.shape())));
    };
    if oh.saturating_mul(ow).saturating_mul(regions) > 1 << 20 {
        return Err(c.error(format!("{regions} regions of {oh} times {ow} cells")));
    }
    let mut cells = Vec::with_capacity(regions * oh * ow);
    for roi in rois.to_floats().chunks(5) {
        let batch = roi[0] as usize;
        if batch >= n {
            return Err(c.error(format!("batch index {batch} of {n}")));
        }
        let at = |i: usize| (roi[i] * scale).round();
        // First and last element of a cell, along a dimension of `size`.
        let span = |low: f64, high: f64, cell: usize, cells: usize, size: usize| {
            let step = (high - low + 1.0).max(1.0) / cells as f64;
            let place = |v: f64| (v + low).clamp(0.0, size as f64) as usize;
            (place((cell as f64 * step).floor()), place(((cell + 1) as f64 * step).ceil()))
        };
        let image = x.select(0, batch as isize)?;
        for cell in 0..oh * ow {
            let (top, bottom) = span(at(2), at(4), cell / ow, oh, h);
            let (left, right) = span(at(1), at(3), cell % ow, ow, w);
            cells.push(if bottom > top && right > left {
                image.narrow(1, top, bottom - top)?.narrow(2, left, right - left)?.amax([1, 2])?
            } else {
                Tensor::zeros([channels], (x.dtype(), c.device))?
            });
        }
    }
    if cells.is_empty() {
        return one(Tensor::zeros([regions, channels, oh, ow], (x.dtype(), c.device))?);
    }
    one(Tensor::stack(&cells, 0)?.reshape([regions, oh, ow, channels])?.permute([0, 3, 1, 2])?.contiguous()?)
}
