//! Convolution over one to three dimensions and its two gradients; each one's gradient is made of the others.

mod cpu;
mod gpu;

use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::ops::{Grads, Kind, Op, SPATIAL, Spec, accumulated, lower, spatial_rank, volume};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::tensor::Tensor;

/// How a kernel moves over an image; `[z, y, x]` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    pub stride: [usize; SPATIAL],
    pub padding: [usize; SPATIAL],
    pub dilation: [usize; SPATIAL],
    pub groups: usize,
}

impl Geometry {
    /// Size of the output along dimension `d` for an input and a kernel size; `None` if the kernel does not fit.
    pub fn output(&self, d: usize, input: usize, kernel: usize) -> Option<usize> {
        let reach = self.dilation[d].checked_mul(kernel.checked_sub(1)?)?.checked_add(1)?;
        let padded = input.checked_add(self.padding[d].checked_mul(2)?)?;
        Some(padded.checked_sub(reach)? / self.stride[d] + 1)
    }

    fn key(&self, key: &mut Vec<u64>) {
        key.extend([self.stride, self.padding, self.dilation].as_flattened().iter().map(|&v| v as u64));
        key.push(self.groups as u64);
    }
}

/// `y = conv(x [N, C, ..], w [O, C/groups, ..kernel])`.
#[derive(Debug)]
pub(crate) struct Conv(pub Geometry);

/// The gradient of the input, from `dy` and `w`: also the transposed convolution. `size`: that of the result.
#[derive(Debug)]
pub(crate) struct ConvInputGrad {
    pub geometry: Geometry,
    pub size: [usize; SPATIAL],
}

/// The gradient of the weight, from `x` and `dy`. `kernel`: size of the result.
#[derive(Debug)]
pub(crate) struct ConvWeightGrad {
    pub geometry: Geometry,
    pub kernel: [usize; SPATIAL],
}

/// Both operands have as many spatial dimensions, one to three, and one float type.
fn operands<'a>(op: &'static str, x: &'a [Spec]) -> Result<(&'a Spec, &'a Spec, DType)> {
    let [a, b] = x else { return Err(Error::argument(op, "takes two tensors")) };
    if spatial_rank(a) == 0 || a.shape.len() != b.shape.len() {
        return Err(Error::argument(op, format!("{:?} and {:?} should both have three, four or five dimensions", a.shape, b.shape)));
    }
    if a.dtype != b.dtype || !a.dtype.is_float() {
        return Err(Error::dtype(op, format!("needs floats of one type, not {} and {}", a.dtype, b.dtype)));
    }
    Ok((a, b, accumulated(a.dtype)))
}

impl Op for Conv {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let op = s.first().map_or("conv", |x| ["conv", "conv1d", "conv2d", "conv3d"][spatial_rank(x)]);
        let (x, w, dtype) = operands(op, s)?;
        let g = &self.0;
        let (xs, ws) = (&x.shape, &w.shape);
        if g.groups == 0 || g.stride.contains(&0) || g.dilation.contains(&0) {
            let message =
                format!("stride, dilation and groups must be at least 1, they are {:?}, {:?} and {}", g.stride, g.dilation, g.groups);
            return Err(Error::argument(op, message));
        }
        let takes = ws[1].saturating_mul(g.groups);
        if xs[1] != takes {
            let groups = if g.groups == 1 { String::new() } else { format!(" in {} groups", g.groups) };
            return Err(Error::argument(
                op,
                format!("weight {ws:?} takes {takes} input channels{groups}, but the input {xs:?} has {}", xs[1]),
            ));
        }
        if ws[0] % g.groups != 0 {
            return Err(Error::argument(op, format!("weight {ws:?} gives {} channels, which {} groups do not divide", ws[0], g.groups)));
        }
        let (size, kernel) = (volume(xs), volume(ws));
        let out = |d: usize| {
            g.output(d, size[d], kernel[d]).ok_or_else(|| {
                Error::argument(
                    op,
                    format!("weight {ws:?} with dilation {:?} does not fit the input {xs:?} with padding {:?}", g.dilation, g.padding),
                )
            })
        };
        let shape = lower(xs[0], ws[0], spatial_rank(x), [out(0)?, out(1)?, out(2)?]);
        crate::shape::checked_numel(op, &shape)?;
        Ok(Spec { dtype, shape })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.0.key(key);
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let (x, w) = (ctx.input(0)?, ctx.input(1)?);
        let dy = dy.to_dtype(x.dtype())?;
        let (xs, ws) = (x.shape(), w.shape());
        let geometry = self.0;
        Ok(smallvec::smallvec![
            wanted(ctx, 0, || Tensor::apply(ConvInputGrad { geometry, size: volume(xs) }, &[&dy, w]))?,
            wanted(ctx, 1, || Tensor::apply(ConvWeightGrad { geometry, kernel: volume(ws) }, &[x, &dy]))?,
        ])
    }
}

/// The gradient of input `i` in its own type, if anybody wants it.
fn wanted(ctx: &Ctx<'_>, i: usize, grad: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
    if ctx.needs(i) { Ok(Some(grad()?.to_dtype(ctx.spec(i).dtype)?)) } else { Ok(None) }
}

/// The first elements along each spatial dimension, so that the shape is `shape`.
fn cut(y: Tensor, shape: &[usize]) -> Result<Tensor> {
    (2..shape.len()).filter(|&d| y.shape()[d] != shape[d]).try_fold(y.clone(), |y, d| y.narrow(d as isize, 0, shape[d]))
}

impl Op for ConvInputGrad {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let (dy, w, dtype) = operands("conv_input_grad", s)?;
        let (ds, ws) = (&dy.shape, &w.shape);
        let g = &self.geometry;
        if g.groups == 0 || ds[1] != ws[0] || ws[0] % g.groups != 0 {
            return Err(Error::argument("conv_input_grad", format!("{ds:?} does not fit the weight {ws:?} in {} groups", g.groups)));
        }
        let shape = lower(ds[0], ws[1].saturating_mul(g.groups), spatial_rank(dy), self.size);
        crate::shape::checked_numel("conv_input_grad", &shape)?;
        Ok(Spec { dtype, shape })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.geometry.key(key);
        key.extend(self.size.map(|v| v as u64));
    }

    fn backward(&self, ctx: &Ctx<'_>, g: &Tensor) -> Result<Grads> {
        let (dy, w) = (ctx.input(0)?, ctx.input(1)?);
        let g = g.to_dtype(dy.dtype())?;
        let (ds, ws) = (dy.shape(), w.shape());
        let geometry = self.geometry;
        Ok(smallvec::smallvec![
            wanted(ctx, 0, || {
                // A transposed convolution may have left out positions that a convolution of its result makes.
                cut(Tensor::apply(Conv(geometry), &[&g, w])?, ds)
            })?,
            wanted(ctx, 1, || Tensor::apply(ConvWeightGrad { geometry, kernel: volume(ws) }, &[&g, dy]))?,
        ])
    }
}

impl Op for ConvWeightGrad {
    fn name(&self) -> &'static str {
        "conv_weight_grad"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let (x, dy, dtype) = operands("conv_weight_grad", s)?;
        let groups = self.geometry.groups;
        if groups == 0 || x.shape[0] != dy.shape[0] || x.shape[1] % groups != 0 || dy.shape[1] % groups != 0 {
            return Err(Error::argument("conv_weight_grad", format!("{:?} does not fit {:?} in {groups} groups", x.shape, dy.shape)));
        }
        Ok(Spec { dtype, shape: lower(dy.shape[1], x.shape[1] / groups, spatial_rank(x), self.kernel) })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.geometry.key(key);
        key.extend(self.kernel.map(|v| v as u64));
    }

    fn backward(&self, ctx: &Ctx<'_>, g: &Tensor) -> Result<Grads> {
        let (x, dy) = (ctx.input(0)?, ctx.input(1)?);
        let g = g.to_dtype(x.dtype())?;
        let (xs, ds) = (x.shape(), dy.shape());
        let geometry = self.geometry;
        Ok(smallvec::smallvec![
            wanted(ctx, 0, || Tensor::apply(ConvInputGrad { geometry, size: volume(xs) }, &[dy, &g]))?,
            wanted(ctx, 1, || { cut(Tensor::apply(Conv(geometry), &[x, &g])?, ds) })?,
        ])
    }
}

impl Compute for Conv {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => cpu::forward::<f64>(&self.0, &inputs[0], &inputs[1], out),
            _ => cpu::forward::<f32>(&self.0, &inputs[0], &inputs[1], out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        gpu::forward(&self.0, &inputs[0].layout.shape, &inputs[1].layout.shape, &output.layout.shape, adapter)
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Compute for ConvInputGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => cpu::input_grad::<f64>(&self.geometry, &inputs[0], &inputs[1], out),
            _ => cpu::input_grad::<f32>(&self.geometry, &inputs[0], &inputs[1], out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        gpu::input_grad(&self.geometry, &inputs[0].layout.shape, &inputs[1].layout.shape, &output.layout.shape, adapter)
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Compute for ConvWeightGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => cpu::weight_grad::<f64>(&self.geometry, &inputs[0], &inputs[1], out),
            _ => cpu::weight_grad::<f32>(&self.geometry, &inputs[0], &inputs[1], out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        gpu::weight_grad(&self.geometry, &inputs[0].layout.shape, &inputs[1].layout.shape, &output.layout.shape, adapter)
    }

    fn epilogue(&self) -> bool {
        true
    }
}
