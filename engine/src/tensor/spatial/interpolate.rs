//! Interpolation: a sparse linear map along each axis, one after the other.
//!
//! Every mode is separable, so an axis is all there is to say: which elements of the input an output element
//! takes, and with which weights. The gradient is the transposed map, which is as sparse.

use std::sync::{Arc, OnceLock};

use smallvec::{SmallVec, smallvec};

use super::super::{Tensor, reserve};
use crate::autograd::{no_grad, record_with};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops;
use crate::shape::checked_numel;

/// How an element between others is made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterpolationMode {
    /// The element left of the position (PyTorch's `nearest`, which follows OpenCV's rounding).
    Nearest,
    /// The nearest element (PyTorch's `nearest-exact`).
    NearestExact,
    /// One spatial dimension.
    Linear,
    /// Two spatial dimensions.
    Bilinear,
    /// Cubic convolution over two spatial dimensions.
    Bicubic,
    /// Three spatial dimensions.
    Trilinear,
    /// Means over as many elements as become one: adaptive average pooling.
    Area,
}

impl std::str::FromStr for InterpolationMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<InterpolationMode> {
        Ok(match name {
            "nearest" => InterpolationMode::Nearest,
            "nearest-exact" => InterpolationMode::NearestExact,
            "linear" => InterpolationMode::Linear,
            "bilinear" => InterpolationMode::Bilinear,
            "bicubic" => InterpolationMode::Bicubic,
            "trilinear" => InterpolationMode::Trilinear,
            "area" => InterpolationMode::Area,
            other => return Err(Error::argument("interpolate", format!("there is no mode '{other}'"))),
        })
    }
}

/// The arguments of [`Tensor::interpolate`], with PyTorch's defaults.
#[derive(Debug, Clone)]
pub struct Interpolation {
    mode: InterpolationMode,
    size: Option<Vec<usize>>,
    scale: Option<Vec<f64>>,
    align_corners: Option<bool>,
    recompute_scale_factor: bool,
    antialias: bool,
}

impl Interpolation {
    /// To these sizes, one for all spatial dimensions or one for each.
    pub fn to_size(mode: InterpolationMode, size: &[usize]) -> Interpolation {
        Interpolation { mode, size: Some(size.to_vec()), scale: None, align_corners: None, recompute_scale_factor: false, antialias: false }
    }

    /// By these factors, one for all spatial dimensions or one for each.
    pub fn by_scale(mode: InterpolationMode, scale: &[f64]) -> Interpolation {
        Interpolation { size: None, scale: Some(scale.to_vec()), ..Interpolation::to_size(mode, &[]) }
    }

    /// The centres of the corner elements stay where they are (`true`), or the corners of the image do. For linear and
    /// cubic modes.
    pub fn align_corners(mut self, on: Option<bool>) -> Interpolation {
        self.align_corners = on;
        self
    }

    /// Positions follow from the rounded sizes instead of the factors that were given.
    pub fn recompute_scale_factor(mut self, on: bool) -> Interpolation {
        self.recompute_scale_factor = on;
        self
    }

    /// Widens the filter when shrinking. For `Bilinear` and `Bicubic`.
    pub fn antialias(mut self, on: bool) -> Interpolation {
        self.antialias = on;
        self
    }

    /// Output size and given factor of each of the spatial dimensions of sizes `input`.
    fn resolve(&self, input: &[usize]) -> Result<Vec<(usize, Option<f64>)>> {
        let wrong = |why: String| Err(Error::argument("interpolate", why));
        let one_each = |given: usize| given == 1 || given == input.len();
        match (&self.size, &self.scale) {
            (Some(size), _) => {
                if self.recompute_scale_factor {
                    return wrong("recompute_scale_factor needs a scale factor, not a size".into());
                }
                if !one_each(size.len()) {
                    return wrong(format!("{} sizes for {} spatial dimensions", size.len(), input.len()));
                }
                Ok((0..input.len()).map(|d| (size[if size.len() == 1 { 0 } else { d }], None)).collect())
            }
            (None, Some(scale)) => {
                if !one_each(scale.len()) {
                    return wrong(format!("{} scale factors for {} spatial dimensions", scale.len(), input.len()));
                }
                let mut out = Vec::new();
                for (d, &n) in input.iter().enumerate() {
                    let factor = scale[if scale.len() == 1 { 0 } else { d }];
                    let size = (n as f64 * factor).floor();
                    if !(size >= 0.0 && size < isize::MAX as f64 / 2.0) {
                        return wrong(format!("a scale factor of {factor}"));
                    }
                    out.push((size as usize, (!self.recompute_scale_factor).then_some(factor)));
                }
                Ok(out)
            }
            (None, None) => wrong("either a size or a scale factor is needed".into()),
        }
    }
}

impl Tensor {
    /// The spatial dimensions (all but the first two) in other sizes. As `torch.nn.functional.interpolate`.
    ///
    /// Floats; the nearest modes take any type, and linear and cubic ones bytes (rounded).
    ///
    /// # Errors
    /// A mode that does not fit the number of dimensions, an empty input or output, sizes of another number,
    /// `align_corners` or `antialias` for a mode without it.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::{Interpolation, InterpolationMode}; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[[0.0, 4.0]]], &Device::cpu())?;
    /// let y = x.interpolate(&Interpolation::to_size(InterpolationMode::Linear, &[4]))?;
    /// assert_eq!(y.to_vec::<f32>()?, [0.0, 1.0, 3.0, 4.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn interpolate(&self, how: &Interpolation) -> Result<Tensor> {
        use InterpolationMode::*;
        let wrong = |why: String| Err(Error::argument("interpolate", why));
        let (shape, mode) = (self.shape(), how.mode);
        let spatial = shape.len().checked_sub(2).filter(|r| (1..=3).contains(r));
        let Some(spatial) = spatial else { return wrong(format!("{shape:?} should have 3, 4 or 5 dimensions")) };
        let fits = match mode {
            Linear => spatial == 1,
            Bilinear | Bicubic => spatial == 2,
            Trilinear => spatial == 3,
            Nearest | NearestExact | Area => true,
        };
        if !fits {
            return wrong(format!("mode {mode:?} does not fit the {spatial} spatial dimensions of {shape:?}"));
        }
        if how.align_corners.is_some() && matches!(mode, Nearest | NearestExact | Area) {
            return wrong(format!("align_corners has no meaning for mode {mode:?}"));
        }
        if how.antialias && !matches!(mode, Bilinear | Bicubic) {
            return wrong(format!("antialias has no meaning for mode {mode:?}"));
        }
        let sizes = how.resolve(&shape[2..])?;
        if shape[2..].contains(&0) || shape[1] == 0 || sizes.iter().any(|s| s.0 == 0) {
            return wrong(format!(
                "{shape:?} cannot become {:?}: all sizes have to be positive",
                sizes.iter().map(|s| s.0).collect::<Vec<_>>()
            ));
        }
        let size = |d: usize| sizes[d].0;
        let mut output = shape[..2].to_vec();
        output.extend(sizes.iter().map(|s| s.0));
        checked_numel("interpolate", &output)?;
        if mode == Area {
            return match spatial {
                1 => self.adaptive_avg_pool1d(size(0)),
                2 => self.adaptive_avg_pool2d([size(0), size(1)]),
                _ => self.adaptive_avg_pool3d([size(0), size(1), size(2)]),
            };
        }
        let axis = |d: usize| Axis {
            input: shape[2 + d],
            output: size(d),
            scale: sizes[d].1,
            align: how.align_corners.unwrap_or(false),
            // What the positions are computed in.
            double: self.dtype() == DType::F64,
        };
        if !self.dtype().is_float() {
            return match mode {
                Nearest | NearestExact => (0..spatial).try_fold(self.clone(), |x, d| {
                    // One element each.
                    let at = axis(d).rows(mode, false)?.items.iter().map(|item| item.0 as i64).collect();
                    x.index_select(2 + d as isize, &Tensor::from_vec(at, [size(d)], self.device())?)
                }),
                _ if self.dtype() == DType::U8 => {
                    self.to_dtype(DType::F32)?.interpolate(how)?.clamp(0.0, 255.0)?.add(0.5)?.floor()?.to_dtype(DType::U8)
                }
                _ => Err(Error::dtype("interpolate", format!("mode {mode:?} needs floats, not {}", self.dtype()))),
            };
        }
        // From the last dimension on, which PyTorch's sums begin with too.
        let y = (0..spatial).rev().try_fold(self.clone(), |x, d| {
            let (axis, dtype) = (axis(d), ops::accumulated(x.dtype()));
            let make = || Map::new(axis.rows(mode, how.antialias)?, axis.input, dtype, self.device());
            // Small tables are kept for the next call.
            let map = if axis.input.max(axis.output) <= 1 << 14 {
                self.device().constant(format!("interpolate {axis:?} {mode:?} {} {dtype}", how.antialias), make)?
            } else {
                Arc::new(make()?)
            };
            x.resample(2 + d, &map, false)
        })?;
        y.to_dtype(self.dtype())
    }

    /// Applies a map along one dimension, or its transpose. Sums in the accumulator type, which is the result's.
    #[track_caller]
    fn resample(&self, dim: usize, map: &Arc<Map>, transposed: bool) -> Result<Tensor> {
        let table = if transposed { map.transposed()? } else { &map.forward };
        let y = no_grad(|| Tensor::apply(ops::Resample { dim }, &[self, &table.first, &table.col, &table.weight]))?;
        let (map, dtype) = (map.clone(), self.dtype());
        record_with(&y, "interpolate", &[self], move |dy, _| Ok(smallvec![Some(dy.resample(dim, &map, !transposed)?.to_dtype(dtype)?)]));
        Ok(y)
    }
}

/// A sparse map on a device, and its transpose once a gradient asks for it.
struct Map {
    rows: Rows,
    /// Elements of the input along the dimension.
    size: usize,
    forward: Table,
    transposed: OnceLock<Table>,
}

/// Rows of a sparse matrix, one after the other.
struct Table {
    first: Tensor,
    col: Tensor,
    weight: Tensor,
}

/// The columns and weights that are not zero, row after row, and where each row ends.
struct Rows {
    items: Vec<(usize, f64)>,
    ends: Vec<usize>,
}

impl Rows {
    /// Room for `rows` rows of `each` items: sizes come from users.
    fn with_capacity(rows: usize, each: usize) -> Result<Rows> {
        Ok(Rows { items: reserve("interpolate", rows.saturating_mul(each))?, ends: reserve("interpolate", rows)? })
    }

    fn push(&mut self, row: &[(usize, f64)]) {
        self.items.extend_from_slice(row);
        self.ends.push(self.items.len());
    }

    /// Each row's items.
    fn iter(&self) -> impl Iterator<Item = &[(usize, f64)]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(move |(start, &end)| &self.items[start..end])
    }

    /// The transposed map, of `size` rows.
    fn transposed(&self, size: usize) -> Result<Rows> {
        let mut out = Rows::with_capacity(size, self.items.len() / size.max(1) + 1)?;
        let mut next = vec![0; size];
        self.items.iter().for_each(|item| next[item.0] += 1);
        let mut end = 0;
        for start in &mut next {
            let count = std::mem::replace(start, end);
            end += count;
            out.ends.push(end);
        }
        out.items.resize(end, (0, 0.0));
        for (j, row) in self.iter().enumerate() {
            for &(i, w) in row {
                out.items[next[i]] = (j, w);
                next[i] += 1;
            }
        }
        Ok(out)
    }
}

impl Map {
    fn new(rows: Rows, size: usize, dtype: DType, device: &Device) -> Result<Map> {
        let forward = Table::new(&rows, dtype, device)?;
        Ok(Map { rows, size, forward, transposed: OnceLock::new() })
    }

    fn transposed(&self) -> Result<&Table> {
        if let Some(made) = self.transposed.get() {
            return Ok(made);
        }
        let weight = &self.forward.weight;
        let made = Table::new(&self.rows.transposed(self.size)?, weight.dtype(), weight.device())?;
        Ok(self.transposed.get_or_init(|| made))
    }
}

impl Table {
    fn new(rows: &Rows, dtype: DType, device: &Device) -> Result<Table> {
        let (n, count) = (rows.items.len(), rows.ends.len() + 1);
        let word = |v: usize| i32::try_from(v).map_err(|_| Error::argument("interpolate", format!("a map of {n} weights is too large")));
        let (mut first, mut col) = (reserve("interpolate", count)?, reserve("interpolate", n)?);
        first.push(0i32);
        for &end in &rows.ends {
            first.push(word(end)?);
        }
        for item in &rows.items {
            col.push(word(item.0)?);
        }
        let weights = rows.items.iter().map(|item| item.1);
        let weight = match dtype {
            DType::F64 => Tensor::from_vec(weights.collect(), [n], device)?,
            _ => Tensor::from_vec(weights.map(|w| w as f32).collect(), [n], device)?,
        };
        Ok(Table { first: Tensor::from_vec(first, [count], device)?, col: Tensor::from_vec(col, [n], device)?, weight })
    }
}

/// One dimension that changes its size.
#[derive(Debug)]
struct Axis {
    input: usize,
    output: usize,
    /// The factor that was given.
    scale: Option<f64>,
    align: bool,
    double: bool,
}

impl Axis {
    /// A number as it is computed with: PyTorch's positions are `f32` unless the input is `f64`.
    fn real(&self, v: f64) -> f64 {
        if self.double { v } else { v as f32 as f64 }
    }

    /// Elements of the input to a step of the output.
    fn step(&self) -> f64 {
        if self.align {
            return if self.output > 1 { self.real((self.input - 1) as f64 / (self.output - 1) as f64) } else { 0.0 };
        }
        match self.scale.filter(|s| *s > 0.0) {
            Some(scale) => self.real(1.0 / scale),
            None => self.real(self.input as f64 / self.output as f64),
        }
    }

    /// Where output element `j` lies in the input.
    fn position(&self, j: usize, step: f64, cubic: bool) -> f64 {
        if self.align {
            return self.real(step * j as f64);
        }
        let at = self.real(self.real(step * (j as f64 + 0.5)) - 0.5);
        if cubic { at } else { at.max(0.0) }
    }

    /// The elements each output element takes, and their weights.
    fn rows(&self, mode: InterpolationMode, antialias: bool) -> Result<Rows> {
        let step = self.step();
        let each = match mode {
            InterpolationMode::Nearest | InterpolationMode::NearestExact => 1,
            _ if antialias => ((4.0 * step.max(1.0)) as usize).saturating_add(2).min(self.input),
            InterpolationMode::Bicubic => 4,
            _ => 2,
        };
        let mut rows = Rows::with_capacity(self.output, each)?;
        (0..self.output).for_each(|j| rows.push(&self.row(mode, antialias, j, step)));
        Ok(rows)
    }

    /// The elements output element `j` takes, and their weights.
    fn row(&self, mode: InterpolationMode, antialias: bool, j: usize, step: f64) -> SmallVec<[(usize, f64); 4]> {
        match mode {
            InterpolationMode::Nearest => smallvec![(self.clamped(self.real(j as f64 * step).floor()), 1.0)],
            InterpolationMode::NearestExact => smallvec![(self.clamped(self.real((j as f64 + 0.5) * step).floor()), 1.0)],
            InterpolationMode::Bicubic if antialias => self.filtered(j, step, 2.0, &|x| cubic(x, -0.5)),
            _ if antialias => self.filtered(j, step, 1.0, &|x| (1.0 - x).max(0.0)),
            InterpolationMode::Bicubic => {
                let at = self.position(j, step, true);
                let left = at.floor().min((self.input - 1) as f64);
                let t = self.real(at - left).clamp(0.0, 1.0);
                (0..4).map(|k| (self.clamped(left + k as f64 - 1.0), cubic((t + 1.0 - k as f64).abs(), -0.75))).collect()
            }
            _ if self.input == self.output => smallvec![(j, 1.0)],
            _ => {
                let at = self.position(j, step, false);
                let left = (at.floor() as usize).min(self.input - 1);
                let t = self.real(at - left as f64).clamp(0.0, 1.0);
                smallvec![(left, self.real(1.0 - t)), ((left + 1).min(self.input - 1), t)]
            }
        }
    }

    fn clamped(&self, at: f64) -> usize {
        (at.max(0.0) as usize).min(self.input - 1)
    }

    /// A filter of `reach` elements to each side, widened by the step when shrinking.
    fn filtered(&self, j: usize, step: f64, reach: f64, filter: &dyn Fn(f64) -> f64) -> SmallVec<[(usize, f64); 4]> {
        let wide = step.max(1.0);
        let center = self.real(step * (j as f64 + 0.5));
        let low = ((center - reach * wide + 0.5) as isize).max(0) as usize;
        let high = ((center + reach * wide + 0.5) as isize).clamp(0, self.input as isize) as usize;
        let weights: Vec<f64> = (low..high).map(|i| filter(((i as f64 - center + 0.5) / wide).abs())).collect();
        let total: f64 = weights.iter().sum();
        let share = if total == 0.0 { 1.0 } else { 1.0 / total };
        (low..high).zip(weights).map(|(i, w)| (i, w * share)).collect()
    }
}

/// Keys' cubic convolution kernel at distance `x >= 0`.
fn cubic(x: f64, a: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
