//! Sampling images at points of a grid, and grids of affine maps.
//!
//! Composed of gathers: coordinates and weights are elementwise, so they fuse, and the gradients of image and grid
//! follow from the parts.

use smallvec::smallvec;

use super::super::Tensor;
use crate::autograd::{no_grad, record_with};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::checked_numel;

/// How an element between others is made of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridMode {
    /// Bilinear, or trilinear for volumes.
    Bilinear,
    Nearest,
    /// Cubic convolution along each axis.
    Bicubic,
}

/// What lies outside the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridPadding {
    Zeros,
    /// The nearest element of the border.
    Border,
    /// The image mirrored at its border.
    Reflection,
}

impl std::str::FromStr for GridMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<GridMode> {
        match name {
            "bilinear" => Ok(GridMode::Bilinear),
            "nearest" => Ok(GridMode::Nearest),
            "bicubic" => Ok(GridMode::Bicubic),
            other => Err(Error::argument("grid_sample", format!("mode '{other}' is none of bilinear, nearest, bicubic"))),
        }
    }
}

impl std::str::FromStr for GridPadding {
    type Err = Error;

    fn from_str(name: &str) -> Result<GridPadding> {
        match name {
            "zeros" => Ok(GridPadding::Zeros),
            "border" => Ok(GridPadding::Border),
            "reflection" => Ok(GridPadding::Reflection),
            other => Err(Error::argument("grid_sample", format!("padding mode '{other}' is none of zeros, border, reflection"))),
        }
    }
}

impl Tensor {
    /// The image `[N, C, H, W]` (or volume `[N, C, D, H, W]`) at the points of `grid` `[N, .., 2]` (or `[N, .., 3]`), whose
    /// last dimension holds `x, y(, z)` from -1 to 1. Result `[N, C, ..]`. As `torch.nn.functional.grid_sample`.
    ///
    /// # Errors
    /// Ranks, batch sizes or types that differ; a last dimension of another size; an empty image.
    #[track_caller]
    pub fn grid_sample(&self, grid: &Tensor, mode: GridMode, padding: GridPadding, align_corners: bool) -> Result<Tensor> {
        let op = "grid_sample";
        let wrong = |why: String| Err(Error::argument(op, why));
        let (xs, gs) = (self.shape(), grid.shape());
        let spatial = match xs.len() {
            4 => 2,
            5 => 3,
            n => return wrong(format!("the input {xs:?} should have 4 or 5 dimensions, not {n}")),
        };
        if gs.len() != xs.len() || gs[0] != xs[0] || gs[gs.len() - 1] != spatial {
            return wrong(format!("the grid {gs:?} does not fit the input {xs:?}"));
        }
        if xs[2..].contains(&0) {
            return wrong(format!("the planes of the input {xs:?} are empty"));
        }
        if self.dtype() != grid.dtype() || !self.dtype().is_float() {
            return Err(Error::dtype(op, format!("needs floats of one type, not {} and {}", self.dtype(), grid.dtype())));
        }
        if self.dtype().size() < 4 {
            // Coordinates in 16 bits would not even name the elements of an image.
            let (x, grid) = (self.to_dtype(DType::F32)?, grid.to_dtype(DType::F32)?);
            return x.grid_sample(&grid, mode, padding, align_corners)?.to_dtype(self.dtype());
        }
        let (n, c) = (xs[0], xs[1]);
        let points: usize = gs[1..gs.len() - 1].iter().product();
        let mut shape = vec![n, c];
        shape.extend_from_slice(&gs[1..gs.len() - 1]);
        let flat = self.reshape([n, c, xs[2..].iter().product()])?;
        let grid = grid.reshape([n, points, spatial])?;
        let image = Image { flat: &flat, n, c, points, padding, align: align_corners };
        // x, y, z of the grid are the last dimension, the one before, ..
        let axes: Vec<Axis> = (0..spatial)
            .map(|d| (xs[xs.len() - 1 - d], d))
            .map(|(size, d)| -> Result<Axis> {
                let at = grid.select(2, d as isize)?.add(1.0)?;
                let at = if align_corners { at.mul((size as f64 - 1.0) / 2.0)? } else { at.mul(size as f64 / 2.0)?.sub(0.5)? };
                Ok(Axis { size, at })
            })
            .collect::<Result<_>>()?;
        let y = match mode {
            GridMode::Bilinear => image.linear(&axes)?,
            GridMode::Nearest => image.nearest(&axes)?,
            GridMode::Bicubic => image.cubic(&axes)?,
        };
        y.reshape(shape)
    }

    /// The grid [`grid_sample`](Self::grid_sample) takes for affine maps `self` `[N, 2, 3]` (or `[N, 3, 4]`) and an output of `size`
    /// `[N, C, H, W]` (or `[N, C, D, H, W]`). As `torch.nn.functional.affine_grid`.
    ///
    /// # Errors
    /// Shapes that do not fit, sizes of 0, integers.
    #[track_caller]
    pub fn affine_grid(&self, size: &[usize], align_corners: bool) -> Result<Tensor> {
        let spatial = size.len().saturating_sub(2);
        let fits = matches!(spatial, 2 | 3) && self.shape() == [size[0], spatial, spatial + 1] && !size.contains(&0);
        if !fits {
            return Err(Error::argument("affine_grid", format!("maps of {:?} do not fit a size of {size:?}", self.shape())));
        }
        if !self.dtype().is_float() {
            return Err(Error::dtype("affine_grid", format!("needs floats, not {}", self.dtype())));
        }
        let like = (self.dtype(), self.device());
        let shape = &size[2..];
        checked_numel("affine_grid", &[shape, &[size[0], spatial + 1]].concat())?;
        let mut columns = Vec::new();
        for d in (0..spatial).rev() {
            let n = shape[d];
            let steps = if n > 1 { Tensor::linspace(-1.0, 1.0, n, like)? } else { Tensor::zeros([n], like)? };
            let steps = if align_corners { steps } else { steps.mul((n as f64 - 1.0) / n as f64)? };
            let mut apart = vec![1; spatial];
            apart[d] = n;
            columns.push(steps.reshape(apart)?.expand(shape)?);
        }
        columns.push(Tensor::ones(shape, like)?);
        let points: usize = shape.iter().product();
        let base = Tensor::stack(&columns, -1)?.reshape([1, points, spatial + 1])?.expand([size[0], points, spatial + 1])?;
        let mut out = vec![size[0]];
        out.extend_from_slice(shape);
        out.push(spatial);
        base.bmm(&self.transpose(1, 2)?)?.reshape(out)
    }
}

/// One coordinate of all points, in elements.
struct Axis {
    size: usize,
    at: Tensor,
}

struct Image<'a> {
    /// `[N, C, elements]`.
    flat: &'a Tensor,
    n: usize,
    c: usize,
    points: usize,
    padding: GridPadding,
    align: bool,
}

impl Image<'_> {
    /// Coordinates moved into the image as the padding mode says, with its gradient: none at a border, the other sign
    /// where the image is mirrored.
    fn padded(&self, at: &Tensor, size: usize) -> Result<Tensor> {
        if self.padding == GridPadding::Zeros {
            return Ok(at.clone());
        }
        let (inside, slope) = no_grad(|| -> Result<(Tensor, Tensor)> {
            let x = at.detach()?;
            let (x, sign) = match self.padding {
                GridPadding::Reflection => self.reflected(&x, size)?,
                _ => (x.clone(), x.ones_like()?),
            };
            let last = size as f64 - 1.0;
            let within = x.gt(0.0)?.logical_and(&x.lt(last)?)?.to_dtype(x.dtype())?;
            Ok((x.clamp(0.0, last)?, sign.mul(&within)?))
        })?;
        record_with(&inside, "grid_sample", &[at], move |dy, _| Ok(smallvec![Some(dy.mul(&slope)?)]));
        Ok(inside)
    }

    /// Coordinates mirrored at the image's borders, and the sign of the slope there.
    fn reflected(&self, x: &Tensor, size: usize) -> Result<(Tensor, Tensor)> {
        let (low, span) = if self.align { (0.0, size as f64 - 1.0) } else { (-0.5, size as f64) };
        if span == 0.0 {
            return Ok((x.zeros_like()?, x.zeros_like()?));
        }
        let from = x.sub(low)?;
        let back = from.lt(0.0)?;
        let from = from.abs()?;
        let flips = from.div(span)?.floor()?;
        let extra = from.sub(&flips.mul(span)?)?;
        // Odd numbers of flips run backwards.
        let odd = flips.sub(&flips.mul(0.5)?.floor()?.mul(2.0)?)?.gt(0.5)?;
        let x = extra.neg()?.add(span)?.where_(&odd, &extra)?.add(low)?;
        let sign = |mirrored: &Tensor| -> Result<Tensor> { mirrored.to_dtype(from.dtype())?.mul(-2.0)?.add(1.0) };
        Ok((x, sign(&odd)?.mul(&sign(&back)?)?))
    }

    /// The elements at whole coordinates `[N, points]`, one for each axis: `[N, C, points]`. Outside the image there are zeros.
    fn element(&self, axes: &[Axis], at: &[&Tensor]) -> Result<Tensor> {
        let (index, outside) = no_grad(|| -> Result<(Option<Tensor>, Option<Tensor>)> {
            let (mut index, mut outside): (Option<Tensor>, Option<Tensor>) = (None, None);
            for (axis, at) in axes.iter().zip(at).rev() {
                let last = axis.size as f64 - 1.0;
                let at = at.detach()?;
                // Not a number is nowhere.
                let here = at.ge(0.0)?.logical_and(&at.le(last)?)?.logical_not()?;
                outside = Some(match outside {
                    Some(o) => o.logical_or(&here)?,
                    None => here,
                });
                let step = at.clamp(0.0, last)?.to_dtype(DType::I64)?.clamp(0, axis.size as i64 - 1)?;
                index = Some(match index {
                    Some(slower) => slower.mul(axis.size as i64)?.add(&step)?,
                    None => step,
                });
            }
            Ok((index, outside))
        })?;
        let wide = |t: Option<Tensor>| -> Result<Tensor> {
            let t = t.ok_or_else(|| Error::argument("grid_sample", "no coordinates"))?;
            t.unsqueeze(1)?.expand([self.n, self.c, self.points])
        };
        self.flat.gather(2, &wide(index)?)?.masked_fill(&wide(outside)?, 0.0)
    }

    fn nearest(&self, axes: &[Axis]) -> Result<Tensor> {
        let at = axes.iter().map(|a| self.padded(&a.at.detach()?, a.size)?.round()).collect::<Result<Vec<_>>>()?;
        self.element(axes, &at.iter().collect::<Vec<_>>())
    }

    fn linear(&self, axes: &[Axis]) -> Result<Tensor> {
        // For each axis the two neighbours and their weights.
        let mut sides = Vec::new();
        for axis in axes {
            let at = self.padded(&axis.at, axis.size)?;
            let low = no_grad(|| at.detach()?.floor())?;
            let high = no_grad(|| low.add(1.0))?;
            let (right, left) = (at.sub(&low)?, high.sub(&at)?);
            sides.push([(low, left), (high, right)]);
        }
        let mut sum: Option<Tensor> = None;
        for corner in 0..1usize << axes.len() {
            let side = |d: usize| &sides[d][corner >> d & 1];
            let at: Vec<&Tensor> = (0..axes.len()).map(|d| &side(d).0).collect();
            let mut weight = side(0).1.clone();
            for d in 1..axes.len() {
                weight = weight.mul(&side(d).1)?;
            }
            // Past the border the weight is zero, and what is gathered there does not matter.
            let part = self.element(axes, &at)?.mul(&weight.unsqueeze(1)?)?;
            sum = Some(match sum {
                Some(sum) => sum.add(&part)?,
                None => part,
            });
        }
        sum.ok_or_else(|| Error::argument("grid_sample", "no coordinates"))
    }

    fn cubic(&self, axes: &[Axis]) -> Result<Tensor> {
        let mut taps = Vec::new();
        for axis in axes {
            let low = no_grad(|| axis.at.detach()?.floor())?;
            let t = axis.at.sub(&low)?;
            let mut four = Vec::new();
            for k in 0..4 {
                let at = no_grad(|| self.padded(&low.add(k as f64 - 1.0)?, axis.size))?;
                // Distances are 1 + t, t, 1 - t, 2 - t.
                let x = if k < 2 { t.add(1.0 - k as f64)? } else { t.neg()?.add(k as f64 - 1.0)? };
                four.push((at, cubic(&x, k == 1 || k == 2)?));
            }
            taps.push(four);
        }
        self.cubes(axes, &taps, &mut Vec::new())
    }

    /// The weighted sum over the taps of the last axis that is not in `at` yet, the slowest first.
    fn cubes(&self, axes: &[Axis], taps: &[Vec<(Tensor, Tensor)>], at: &mut Vec<Tensor>) -> Result<Tensor> {
        let Some((taps, rest)) = taps.split_last() else {
            let fastest_first: Vec<&Tensor> = at.iter().rev().collect();
            return self.element(axes, &fastest_first);
        };
        let mut sum: Option<Tensor> = None;
        for (place, weight) in taps {
            at.push(place.clone());
            let part = self.cubes(axes, rest, at)?.mul(&weight.unsqueeze(1)?)?;
            at.pop();
            sum = Some(match sum {
                Some(sum) => sum.add(&part)?,
                None => part,
            });
        }
        sum.ok_or_else(|| Error::argument("grid_sample", "no coordinates"))
    }
}

/// Keys' cubic convolution kernel at distances within one (`near`) or from one to two.
fn cubic(x: &Tensor, near: bool) -> Result<Tensor> {
    let a = -0.75;
    if near {
        return x.mul(a + 2.0)?.sub(a + 3.0)?.mul(x)?.mul(x)?.add(1.0);
    }
    x.mul(a)?.sub(5.0 * a)?.mul(x)?.add(8.0 * a)?.mul(x)?.sub(4.0 * a)
}
