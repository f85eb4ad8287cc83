//! Pooling over the two last of four dimensions: where maxima lie, and means. One dimension is a height of 1.

use std::ops::Range;

use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::ops::{Float, Grads, Kind, Op, Spec, accumulated, for_chunks, spread};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::tensor::Tensor;

/// The windows of a pooling; `[y, x]` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    pub dilation: [usize; 2],
    /// How many windows.
    pub out: [usize; 2],
    /// Windows share the image evenly, and the numbers above but `out` mean nothing.
    pub adaptive: bool,
}

impl Windows {
    /// `out` windows that share the image evenly.
    pub fn adaptive(out: [usize; 2]) -> Windows {
        Windows { kernel: [1; 2], stride: [1; 2], padding: [0; 2], dilation: [1; 2], out, adaptive: true }
    }

    /// Windows over an image of `size`, with PyTorch's rules for what fits.
    pub fn fit(
        op: &'static str,
        size: [usize; 2],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        dilation: [usize; 2],
        ceil: bool,
    ) -> Result<Windows> {
        if [kernel, stride, dilation].as_flattened().contains(&0) {
            let message = format!("kernel size, stride and dilation must be at least 1, they are {kernel:?}, {stride:?} and {dilation:?}");
            return Err(Error::argument(op, message));
        }
        let mut out = [0; 2];
        for d in 0..2 {
            let reach = (kernel[d] - 1).checked_mul(dilation[d]).and_then(|r| r.checked_add(1));
            let reach = reach.ok_or_else(|| Error::argument(op, "the window is too large"))?;
            if padding[d] > reach / 2 {
                let (p, k) = (padding[d], reach);
                return Err(Error::argument(op, format!("padding {p} is more than half of the window's {k}")));
            }
            let padded = size[d] + 2 * padding[d];
            let Some(room) = padded.checked_sub(reach) else {
                return Err(Error::argument(
                    op,
                    format!("a window of {reach} does not fit the size {} with padding {}", size[d], padding[d]),
                ));
            };
            out[d] = if ceil { room.div_ceil(stride[d]) } else { room / stride[d] } + 1;
            // The last window starts inside the image or its left padding.
            if ceil && (out[d] - 1) * stride[d] >= size[d] + padding[d] {
                out[d] -= 1;
            }
        }
        Ok(Windows { kernel, stride, padding, dilation, out, adaptive: false })
    }

    /// Elements of the image in window `o` along dimension `d`: first, one past the last.
    fn range(&self, d: usize, o: usize, size: usize) -> Range<usize> {
        if self.adaptive {
            return o * size / self.out[d]..((o + 1) * size).div_ceil(self.out[d]);
        }
        let at = o * self.stride[d];
        let (pad, step) = (self.padding[d], self.dilation[d]);
        let first = if at >= pad { at - pad } else { (step - (pad - at) % step) % step };
        let end = (at + (self.kernel[d] - 1) * step + 1).min(size + pad).saturating_sub(pad);
        // Dilation may step over a tiny image: then the last element stands for the window.
        first.min(size.saturating_sub(1))..end
    }

    fn key(&self, key: &mut Vec<u64>) {
        key.extend([self.kernel, self.stride, self.padding, self.dilation, self.out].as_flattened().iter().map(|&v| v as u64));
        key.push(self.adaptive as u64);
    }

    /// The part of the kernels' `Params` that is the same in all of them.
    fn params(&self, count: usize, size: [usize; 2]) -> Vec<u32> {
        let mut params = vec![count as u32, size[0] as u32, size[1] as u32];
        params.extend([self.out, self.kernel, self.stride, self.padding].as_flattened().iter().map(|&v| v as u32));
        params
    }
}

fn image(op: &'static str, s: &[Spec]) -> Result<DType> {
    let [x] = s else { return Err(Error::argument(op, "takes one tensor")) };
    if x.shape.len() != 4 {
        return Err(Error::argument(op, format!("{:?} should have four dimensions", x.shape)));
    }
    if !x.dtype.is_float() {
        return Err(Error::dtype(op, format!("needs floats, not {}", x.dtype)));
    }
    Ok(x.dtype)
}

fn size(shape: &[usize]) -> [usize; 2] {
    [shape[2], shape[3]]
}

fn launch(shader: &'static str, consts: Vec<(&'static str, u32)>, read: &'static str, params: Vec<u32>) -> Option<Launches> {
    let [gx, gy] = spread((params[0] as usize).div_ceil(64));
    let launch = Launch {
        shader,
        consts,
        reads: vec![Read::input(read, 0)],
        write: Write::Output,
        params,
        patches: vec![],
        groups: [gx as u32, gy as u32, 1],
    };
    Some(Launches { launches: vec![launch], scratch: vec![] })
}

// ---- maximum ----------------------------------------------------------------------------------

/// Where the maximum of each window lies: an index into the plane of the image. The first one; a NaN wins.
#[derive(Debug)]
pub(crate) struct MaxPoolIndices(pub Windows);

impl Op for MaxPoolIndices {
    fn name(&self) -> &'static str {
        "max_pool2d_indices"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        image("max_pool2d", s)?;
        let x = &s[0].shape;
        if x[2] * x[3] == 0 && self.0.out[0] * self.0.out[1] > 0 {
            return Err(Error::argument("max_pool2d", format!("the planes of {x:?} are empty")));
        }
        Ok(Spec::new(DType::I64, &[x[0], x[1], self.0.out[0], self.0.out[1]]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.0.key(key);
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Compute for MaxPoolIndices {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match inputs[0].dtype {
            DType::F64 => self.indices::<f64>(&inputs[0], out),
            _ => self.indices::<f32>(&inputs[0], out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        let mut params = self.0.params(output.layout.numel(), size(&inputs[0].layout.shape));
        params.extend(self.0.dilation.map(|v| v as u32));
        launch("pool_max", vec![("ADAPTIVE", self.0.adaptive as u32)], "x", params)
    }
}

impl MaxPoolIndices {
    fn indices<T: Float>(&self, x: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
        let [h, w] = size(x.shape());
        let [oh, ow] = self.0.out;
        let [dy, dx] = self.0.dilation;
        let data = x.data::<T>();
        for_chunks(out.data::<i64>(), oh * ow, data.len() > 1 << 14, |i, out| {
            let plane = &data[i * h * w..][..h * w];
            for (oy, row) in out.chunks_mut(ow).enumerate() {
                let ys = self.0.range(0, oy, h);
                for (ox, best) in row.iter_mut().enumerate() {
                    let xs = self.0.range(1, ox, w);
                    let mut at = ys.start * w + xs.start;
                    let mut most = plane[at];
                    for y in ys.clone().step_by(dy) {
                        for x in xs.clone().step_by(dx) {
                            let v = plane[y * w + x];
                            // A NaN differs from itself, and stays.
                            #[allow(clippy::eq_op)]
                            if v > most || v != v {
                                (most, at) = (v, y * w + x);
                            }
                        }
                    }
                    *best = at as i64;
                }
            }
            Ok(())
        })
    }
}

// ---- mean -------------------------------------------------------------------------------------

/// How a window's mean is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Average {
    pub windows: Windows,
    /// Padding counts as zeros.
    pub include_pad: bool,
    /// What to divide by instead of the number of elements.
    pub divisor: Option<usize>,
}

/// The mean of each window.
#[derive(Debug)]
pub(crate) struct AvgPool2d(pub Average);

/// Its gradient, for an image of `size`. The two are each other's gradients: both are linear.
#[derive(Debug)]
pub(crate) struct AvgPool2dGrad {
    pub average: Average,
    pub size: [usize; 2],
}

impl Average {
    fn key(&self, key: &mut Vec<u64>) {
        self.windows.key(key);
        key.extend([self.include_pad as u64, self.divisor.map_or(0, |d| d as u64)]);
    }

    /// How many elements of window `o` along dimension `d` count.
    fn counted(&self, d: usize, o: usize, size: usize) -> usize {
        let w = &self.windows;
        if self.include_pad && !w.adaptive {
            let start = o * w.stride[d];
            return (start + w.kernel[d]).min(size + 2 * w.padding[d]) - start;
        }
        w.range(d, o, size).len()
    }

    fn divisor(&self, oy: usize, ox: usize, size: [usize; 2]) -> f64 {
        self.divisor.unwrap_or_else(|| self.counted(0, oy, size[0]) * self.counted(1, ox, size[1])) as f64
    }

    fn consts(&self) -> Vec<(&'static str, u32)> {
        vec![("ADAPTIVE", self.windows.adaptive as u32), ("INCLUDE_PAD", self.include_pad as u32)]
    }

    fn params(&self, count: usize, size: [usize; 2]) -> Vec<u32> {
        let mut params = self.windows.params(count, size);
        params.push(self.divisor.unwrap_or(0) as u32);
        params
    }
}

impl Op for AvgPool2d {
    fn name(&self) -> &'static str {
        "avg_pool2d"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let dtype = image("avg_pool2d", s)?;
        let [oh, ow] = self.0.windows.out;
        Ok(Spec::new(accumulated(dtype), &[s[0].shape[0], s[0].shape[1], oh, ow]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.0.key(key);
    }

    fn saves(&self) -> crate::ops::Saves {
        crate::ops::Saves::NOTHING
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let x = ctx.spec(0);
        let dx = Tensor::apply(AvgPool2dGrad { average: self.0, size: size(&x.shape) }, &[dy])?;
        Ok(smallvec::smallvec![Some(dx.to_dtype(x.dtype)?)])
    }
}

impl Op for AvgPool2dGrad {
    fn name(&self) -> &'static str {
        "avg_pool2d_grad"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let dtype = image("avg_pool2d_grad", s)?;
        Ok(Spec::new(accumulated(dtype), &[s[0].shape[0], s[0].shape[1], self.size[0], self.size[1]]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.average.key(key);
        key.extend(self.size.map(|v| v as u64));
    }

    fn saves(&self) -> crate::ops::Saves {
        crate::ops::Saves::NOTHING
    }

    fn backward(&self, ctx: &Ctx<'_>, g: &Tensor) -> Result<Grads> {
        let dy = Tensor::apply(AvgPool2d(self.average), &[g])?;
        Ok(smallvec::smallvec![Some(dy.to_dtype(ctx.spec(0).dtype)?)])
    }
}

impl Compute for AvgPool2d {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => mean::<f64>(&self.0, &inputs[0], out),
            _ => mean::<f32>(&self.0, &inputs[0], out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        launch("pool_avg", self.0.consts(), "x", self.0.params(output.layout.numel(), size(&inputs[0].layout.shape)))
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Compute for AvgPool2dGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => mean_grad::<f64>(&self.average, self.size, &inputs[0], out),
            _ => mean_grad::<f32>(&self.average, self.size, &inputs[0], out),
        }
    }

    fn gpu(&self, _: &[GpuOperand<'_>], output: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        launch("pool_avg_grad", self.average.consts(), "dy", self.average.params(output.layout.numel(), self.size))
    }

    fn epilogue(&self) -> bool {
        true
    }
}

fn mean<T: Float>(a: &Average, x: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let [h, w] = size(x.shape());
    let [oh, ow] = a.windows.out;
    let data = x.data::<T>();
    for_chunks(out.data::<T>(), oh * ow, data.len() > 1 << 14, |i, out| {
        let plane = &data[i * h * w..][..h * w];
        for (oy, row) in out.chunks_mut(ow).enumerate() {
            let ys = a.windows.range(0, oy, h);
            for (ox, y) in row.iter_mut().enumerate() {
                let xs = a.windows.range(1, ox, w);
                let mut sum = T::ZERO;
                for y in ys.clone() {
                    plane[y * w..][xs.clone()].iter().for_each(|v| sum += *v);
                }
                *y = sum / T::constant(a.divisor(oy, ox, [h, w]));
            }
        }
        Ok(())
    })
}

fn mean_grad<T: Float>(a: &Average, size: [usize; 2], dy: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let [h, w] = size;
    let [oh, ow] = a.windows.out;
    let data = dy.data::<T>();
    let big = out.shape.iter().product::<usize>() > 1 << 14;
    for_chunks(out.data::<T>(), h * w, big, |i, dx| {
        dx.fill(T::ZERO);
        for oy in 0..oh {
            for ox in 0..ow {
                let g = data[(i * oh + oy) * ow + ox] / T::constant(a.divisor(oy, ox, size));
                let xs = a.windows.range(1, ox, w);
                for y in a.windows.range(0, oy, h) {
                    dx[y * w..][xs.clone()].iter_mut().for_each(|v| *v += g);
                }
            }
        }
        Ok(())
    })
}
