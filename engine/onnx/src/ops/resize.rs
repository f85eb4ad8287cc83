//! `Resize` and `Upsample`: one axis after the other, each output element a weighted sum of a few input elements.

use taper::{DType, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::host::{Data, Host};

pub(super) static TABLE: &[Operator] = &[op("Resize", 10, resize), op("Upsample", 7, upsample)];

/// How one axis is sampled.
struct Axis<'a> {
    how: &'a How<'a>,
    size: usize,
    out: usize,
    scale: f64,
    /// The part of the image that `tf_crop_and_resize` takes.
    roi: (f64, f64),
}

struct How<'a> {
    mode: &'a str,
    coordinates: &'a str,
    nearest: &'a str,
    cubic: f64,
    exclude_outside: bool,
    antialias: bool,
}

/// For each output element the input elements it is made of, and their weights.
struct Taps {
    count: usize,
    places: Vec<i64>,
    weights: Vec<f64>,
    /// Output elements that lie outside of the image.
    outside: Vec<bool>,
}

impl Axis<'_> {
    /// Where an output element lies in the input.
    fn position(&self, i: usize) -> f64 {
        let (n, i, scale) = (self.size as f64, i as f64, self.scale);
        let wanted = scale * n;
        match self.how.coordinates {
            "align_corners" if wanted == 1.0 => 0.0,
            "align_corners" => i * (n - 1.0) / (wanted - 1.0),
            "asymmetric" => i / scale,
            "tf_crop_and_resize" => {
                let (start, end) = self.roi;
                let step = if wanted == 1.0 { (end - start) * (n - 1.0) / 2.0 } else { i * (end - start) * (n - 1.0) / (wanted - 1.0) };
                step + start * (n - 1.0)
            }
            "pytorch_half_pixel" if wanted == 1.0 => -0.5,
            "half_pixel_symmetric" => {
                let adjustment = self.out as f64 / wanted;
                n / 2.0 * (1.0 - adjustment) + (i + 0.5) / scale - 0.5
            }
            _ => (i + 0.5) / scale - 0.5,
        }
    }

    fn nearest(&self, x: f64) -> f64 {
        match self.how.nearest {
            "round_prefer_ceil" => (x + 0.5).floor(),
            "floor" => x.floor(),
            "ceil" => x.ceil(),
            _ => (x - 0.5).ceil(),
        }
    }

    /// The weight of an element at a distance, in units of the filter.
    fn weight(&self, distance: f64) -> f64 {
        let x = distance.abs();
        match self.how.mode {
            "cubic" => {
                let a = self.how.cubic;
                if x <= 1.0 {
                    ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
                } else if x < 2.0 {
                    ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
                } else {
                    0.0
                }
            }
            _ => (1.0 - x).max(0.0),
        }
    }

    fn taps(&self) -> Taps {
        let last = self.size as i64 - 1;
        let mut taps = Taps { count: 1, places: Vec::new(), weights: Vec::new(), outside: Vec::new() };
        let narrow = if self.how.antialias { self.scale.min(1.0) } else { 1.0 };
        // The filter reaches this far to either side, stretched where the image shrinks.
        let reach = if self.how.mode == "cubic" { 2.0 } else { 1.0 } / narrow;
        let before = (-reach).floor() as i64 + 1;
        if self.how.mode != "nearest" {
            taps.count = (2 - 2 * before) as usize;
        }
        for i in 0..self.out {
            let x = self.position(i);
            taps.outside.push(x < 0.0 || x > last as f64);
            if self.how.mode == "nearest" {
                taps.places.push((self.nearest(x) as i64).clamp(0, last));
                taps.weights.push(1.0);
                continue;
            }
            let (low, ratio) = (x.floor(), x - x.floor());
            let places = (0..taps.count as i64).map(|k| low as i64 + before + k);
            let mut weights: Vec<f64> = places
                .clone()
                .zip(before..)
                .map(|(at, k)| {
                    let inside = (0..=last).contains(&at) || !self.how.exclude_outside;
                    if inside { self.weight((k as f64 - ratio) * narrow) } else { 0.0 }
                })
                .collect();
            if self.how.antialias || self.how.exclude_outside {
                let sum: f64 = weights.iter().sum();
                weights.iter_mut().for_each(|w| *w /= sum);
            }
            taps.places.extend(places.map(|at| at.clamp(0, last)));
            taps.weights.extend(weights);
        }
        taps
    }

    fn apply(&self, x: &Tensor, dim: usize, extrapolation: f64) -> Result<Tensor> {
        if self.out == 0 {
            return x.narrow(dim as isize, 0, 0);
        }
        let taps = self.taps();
        let n = taps.count;
        let along = |len: usize| (0..x.rank()).map(|d| if d == dim { len } else { 1 }).collect::<Vec<usize>>();
        let mut sum: Option<Tensor> = None;
        for k in 0..n {
            let places: Vec<i64> = taps.places.iter().skip(k).step_by(n).copied().collect();
            let weights: Vec<f64> = taps.weights.iter().skip(k).step_by(n).copied().collect();
            if weights.iter().all(|&w| w == 0.0) && n > 1 && !weights.is_empty() {
                continue;
            }
            let mut part = x.index_select(dim as isize, &Tensor::from_slice(&places, [places.len()], x.device())?)?;
            if self.how.mode != "nearest" {
                part = part.mul(Host::of(x.dtype(), along(weights.len()), Data::Floats(weights)).tensor(x.device())?)?;
            }
            sum = Some(match sum {
                Some(sum) => sum.add(part)?,
                None => part,
            });
        }
        let y = match sum {
            Some(sum) => sum,
            None => x.narrow(dim as isize, 0, 0)?,
        };
        if self.how.coordinates != "tf_crop_and_resize" || !taps.outside.contains(&true) {
            return Ok(y);
        }
        let outside = Tensor::from_slice(&taps.outside, along(taps.outside.len()), x.device())?;
        y.masked_fill(&outside, if x.dtype().is_float() { extrapolation } else { extrapolation.trunc() })
    }
}

fn resize(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let old = c.opset() < 11;
    let given = |i: usize| -> Result<Option<Vec<f64>>> {
        // An empty list is none.
        Ok(if c.has(i) && c.array(i)?.shape() != [0] { Some(c.floats(i)?) } else { None })
    };
    let (scales, sizes, roi) = if old { (given(1)?, None, None) } else { (given(2)?, given(3)?, given(1)?) };
    let dims = match c.list("axes")? {
        Some(axes) => c.dims(axes, x.rank())?,
        None => (0..x.rank()).collect(),
    };
    let how = How {
        mode: c.text("mode", "nearest")?,
        coordinates: if old { "asymmetric" } else { c.text("coordinate_transformation_mode", "half_pixel")? },
        nearest: if old { "floor" } else { c.text("nearest_mode", "round_prefer_floor")? },
        cubic: c.float("cubic_coeff_a", -0.75)?,
        exclude_outside: c.flag("exclude_outside", false)?,
        antialias: c.flag("antialias", false)?,
    };
    let n = dims.len();
    if scales.as_ref().or(sizes.as_ref()).is_none_or(|l| l.len() != n) || roi.as_ref().is_some_and(|r| r.len() != 2 * n) {
        return Err(c.error(format!("{n} dimensions need as many scales or sizes, and twice as many numbers of a region")));
    }
    let mut axes = Vec::with_capacity(n);
    for (i, &d) in dims.iter().enumerate() {
        let size = x.shape()[d];
        let (out, scale) = match (&sizes, &scales) {
            (Some(sizes), _) => (sizes[i], sizes[i] / size as f64),
            (None, Some(scales)) => ((size as f64 * scales[i]).floor(), scales[i]),
            (None, None) => (size as f64, 1.0),
        };
        axes.push((d, size, out, scale));
    }
    let policy = c.text("keep_aspect_ratio_policy", "stretch")?;
    if sizes.is_some() && policy != "stretch" {
        let all = axes.iter().map(|a| a.3);
        let scale = if policy == "not_larger" { all.fold(f64::INFINITY, f64::min) } else { all.fold(0.0, f64::max) };
        for (_, size, out, own) in &mut axes {
            (*out, *own) = ((*size as f64 * scale + 0.5).floor(), scale);
        }
    }
    let region = |i: usize| roi.as_ref().map_or((0.0, 1.0), |r| (r[i], r[n + i]));
    let extrapolation = c.float("extrapolation_value", 0.0)?;
    sample(c, &x, &how, axes.into_iter().enumerate().map(|(i, a)| (a, region(i))), extrapolation)
}

fn upsample(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let scales = if c.has(1) { c.floats(1)? } else { c.float_list("scales")?.unwrap_or_default().to_vec() };
    if scales.len() != x.rank() {
        return Err(c.error(format!("{} scales for {} dimensions", scales.len(), x.rank())));
    }
    let mode = c.text("mode", "nearest")?;
    let how = How { mode, coordinates: "asymmetric", nearest: "floor", cubic: -0.75, exclude_outside: false, antialias: false };
    let axes = scales.iter().enumerate().map(|(d, &s)| ((d, x.shape()[d], (x.shape()[d] as f64 * s).floor(), s), (0.0, 1.0)));
    sample(c, &x, &how, axes, 0.0)
}

/// A dimension, its size, its new size, the factor; and the region.
type Sampled = ((usize, usize, f64, f64), (f64, f64));

fn sample(c: &Call<'_>, x: &Tensor, how: &How<'_>, axes: impl Iterator<Item = Sampled>, extrapolation: f64) -> Out {
    if !matches!(how.mode, "nearest" | "linear" | "cubic") {
        return Err(c.error(format!("no mode '{}'", how.mode)));
    }
    let own = x.dtype();
    let mut y = if how.mode == "nearest" { x.clone() } else { x.to_dtype(if own == DType::F64 { own } else { DType::F32 })? };
    for ((dim, size, out, scale), roi) in axes {
        // The filter of a smaller image is as wide as the larger one.
        if !(out >= 0.0 && out.max(size as f64) < (1u64 << 24) as f64 && scale > 0.0) || size == 0 && out > 0.0 {
            return Err(c.error(format!("{size} elements as {out}")));
        }
        let out = out as usize;
        if out != size || scale != 1.0 || how.coordinates == "tf_crop_and_resize" && roi != (0.0, 1.0) {
            y = Axis { how, size, out, scale, roi }.apply(&y, dim, extrapolation)?;
        }
    }
    let rounded = if how.mode != "nearest" && !own.is_float() { y.round()? } else { y };
    one(rounded.to_dtype(own)?)
}
