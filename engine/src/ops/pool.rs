//! Pooling over one to three spatial dimensions of `[N, C, ..]`: its windows, and means. Maxima: max_pool.rs.

use std::ops::Range;

use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::ops::{Float, Grads, Kind, Op, SPATIAL, Spec, accumulated, for_chunks, lift3, lower, spatial_rank, spread, volume};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::shape::checked_numel;
use crate::tensor::Tensor;

/// The windows of a pooling; `[z, y, x]` each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    /// How many spatial dimensions there are.
    pub rank: usize,
    pub kernel: [usize; SPATIAL],
    pub stride: [usize; SPATIAL],
    pub padding: [usize; SPATIAL],
    pub dilation: [usize; SPATIAL],
    /// How many windows.
    pub out: [usize; SPATIAL],
    /// Windows share the image evenly, and the numbers above but `out` mean nothing.
    pub adaptive: bool,
}

impl Windows {
    /// `out` windows that share the image evenly, one number for each dimension.
    pub fn adaptive(out: &[usize]) -> Windows {
        let one = [1; SPATIAL];
        let (rank, out) = (out.len(), lift3(out, 1));
        Windows { rank, kernel: one, stride: one, padding: [0; SPATIAL], dilation: one, out, adaptive: true }
    }

    /// Windows over an image of `size`, with PyTorch's rules for what fits. All have one number for each dimension.
    pub fn fit(
        op: &'static str,
        size: &[usize],
        kernel: &[usize],
        stride: &[usize],
        padding: &[usize],
        dilation: &[usize],
        ceil: bool,
    ) -> Result<Windows> {
        if [kernel, stride, dilation].concat().contains(&0) {
            let message = format!("kernel size, stride and dilation must be at least 1, they are {kernel:?}, {stride:?} and {dilation:?}");
            return Err(Error::argument(op, message));
        }
        let mut out = Vec::new();
        for d in 0..size.len() {
            let reach = (kernel[d] - 1).checked_mul(dilation[d]).and_then(|r| r.checked_add(1));
            let reach = reach.filter(|r| *r <= isize::MAX as usize / 4 && stride[d] <= isize::MAX as usize / 4);
            let reach = reach.ok_or_else(|| Error::argument(op, "the window is too large"))?;
            if padding[d] > reach / 2 {
                let (p, k) = (padding[d], reach);
                return Err(Error::argument(op, format!("padding {p} is more than half of the window's {k}")));
            }
            let room = (size[d] + 2 * padding[d]) as isize - reach as isize + if ceil { stride[d] as isize - 1 } else { 0 };
            let mut count = room.div_euclid(stride[d] as isize) + 1;
            // The last window starts inside the image or its left padding.
            if ceil && (count - 1) * stride[d] as isize >= (size[d] + padding[d]) as isize {
                count -= 1;
            }
            let Some(count) = usize::try_from(count).ok().filter(|n| *n > 0) else {
                return Err(Error::argument(
                    op,
                    format!("a window of {reach} does not fit the size {} with padding {}", size[d], padding[d]),
                ));
            };
            out.push(count);
        }
        let [kernel, stride, dilation] = [kernel, stride, dilation].map(|v| lift3(v, 1));
        let (padding, out) = (lift3(padding, 0), lift3(&out, 1));
        Ok(Windows { rank: size.len(), kernel, stride, padding, dilation, out, adaptive: false })
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

    /// Calls `f` with every window's number and its elements along each dimension.
    pub(super) fn each(&self, size: [usize; SPATIAL], mut f: impl FnMut(usize, [usize; SPATIAL], [Range<usize>; SPATIAL])) {
        let [oz, oy, ox] = self.out;
        let mut i = 0;
        for z in 0..oz {
            let zs = self.range(0, z, size[0]);
            for y in 0..oy {
                let ys = self.range(1, y, size[1]);
                for x in 0..ox {
                    f(i, [z, y, x], [zs.clone(), ys.clone(), self.range(2, x, size[2])]);
                    i += 1;
                }
            }
        }
    }

    /// A kernel computes it: its 32-bit arithmetic is exact for an image of `size`, and an invocation that takes `each` elements
    /// along each dimension does not go round too often.
    pub(super) fn suits(&self, adapter: &Adapter, size: [usize; SPATIAL], each: impl Fn(usize) -> usize) -> bool {
        let exact = match self.adaptive {
            true => (0..SPATIAL).all(|d| (self.out[d] + 1).saturating_mul(size[d] + 1) < u32::MAX as usize),
            false => [self.kernel, self.stride, self.padding, self.dilation].as_flattened().iter().all(|&v| v <= 1 << 29),
        };
        exact && adapter.allows_rounds((0..SPATIAL).rev().fold(0, |inner: usize, d| each(d).saturating_mul(inner.saturating_add(1))))
    }

    /// At most so many elements along dimension `d` lie in a window.
    pub(super) fn reach(&self, d: usize, size: usize) -> usize {
        if self.adaptive { size / self.out[d].max(1) + 2 } else { self.kernel[d].min(size) }
    }

    /// At most so many windows along dimension `d` hold an element.
    pub(super) fn holders(&self, d: usize, size: usize) -> usize {
        let reach = (self.kernel[d] - 1) * self.dilation[d] + 1;
        if self.adaptive { self.out[d] / size.max(1) + 2 } else { (reach / self.stride[d] + 1).min(self.out[d]) }
    }

    pub(super) fn count(&self) -> usize {
        self.out.iter().product()
    }

    pub(super) fn key(&self, key: &mut Vec<u64>) {
        key.extend([self.kernel, self.stride, self.padding, self.dilation, self.out].as_flattened().iter().map(|&v| v as u64));
        key.push(self.adaptive as u64);
    }

    /// The part of the kernels' `Params` that is the same in all of them.
    pub(super) fn params(&self, count: usize, size: [usize; SPATIAL]) -> Vec<u32> {
        let mut params = vec![count as u32];
        params.extend([size, self.out, self.kernel, self.stride, self.padding].as_flattened().iter().map(|&v| v as u32));
        params
    }
}

/// One float tensor with the windows' number of spatial dimensions.
pub(super) fn image(op: &'static str, s: &[Spec], rank: usize) -> Result<DType> {
    let [x] = s else { return Err(Error::argument(op, "takes one tensor")) };
    if spatial_rank(x) != rank {
        return Err(Error::argument(op, format!("{:?} should have {} dimensions", x.shape, rank + 2)));
    }
    if !x.dtype.is_float() {
        return Err(Error::dtype(op, format!("needs floats, not {}", x.dtype)));
    }
    Ok(x.dtype)
}

pub(super) fn launch(shader: &'static str, consts: Vec<(&'static str, u32)>, reads: &[&'static str], params: Vec<u32>) -> Option<Launches> {
    let [gx, gy] = spread((params[0] as usize).div_ceil(64));
    let launch = Launch {
        shader,
        consts,
        reads: reads.iter().enumerate().map(|(i, name)| Read::input(name, i)).collect(),
        write: Write::Output,
        params,
        patches: vec![],
        groups: [gx as u32, gy as u32, 1],
    };
    Some(Launches { launches: vec![launch], scratch: vec![] })
}

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
pub(crate) struct AvgPool(pub Average);

/// Its gradient, for an image of `size`. The two are each other's gradients: both are linear.
#[derive(Debug)]
pub(crate) struct AvgPoolGrad {
    pub average: Average,
    pub size: [usize; SPATIAL],
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

    fn divisor(&self, o: [usize; SPATIAL], size: [usize; SPATIAL]) -> f64 {
        self.divisor.unwrap_or_else(|| (0..SPATIAL).map(|d| self.counted(d, o[d], size[d])).fold(1, usize::saturating_mul)) as f64
    }

    /// A kernel takes the divisor as a word.
    fn divisor_fits(&self) -> bool {
        self.divisor.is_none_or(|d| u32::try_from(d).is_ok())
    }

    fn consts(&self) -> Vec<(&'static str, u32)> {
        vec![("ADAPTIVE", self.windows.adaptive as u32), ("INCLUDE_PAD", self.include_pad as u32)]
    }

    fn params(&self, count: usize, size: [usize; SPATIAL]) -> Vec<u32> {
        let mut params = self.windows.params(count, size);
        params.push(self.divisor.unwrap_or(0) as u32);
        params
    }
}

impl Op for AvgPool {
    fn name(&self) -> &'static str {
        ["avg_pool1d", "avg_pool2d", "avg_pool3d"][self.0.windows.rank.clamp(1, SPATIAL) - 1]
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let w = &self.0.windows;
        let dtype = image("avg_pool", s, w.rank)?;
        let shape = lower(s[0].shape[0], s[0].shape[1], w.rank, w.out);
        checked_numel("avg_pool", &shape)?;
        Ok(Spec { dtype: accumulated(dtype), shape })
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
        let dx = Tensor::apply(AvgPoolGrad { average: self.0, size: volume(&x.shape) }, &[dy])?;
        Ok(smallvec::smallvec![Some(dx.to_dtype(x.dtype)?)])
    }
}

impl Op for AvgPoolGrad {
    fn name(&self) -> &'static str {
        ["avg_pool1d_grad", "avg_pool2d_grad", "avg_pool3d_grad"][self.average.windows.rank.clamp(1, SPATIAL) - 1]
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let rank = self.average.windows.rank;
        let dtype = image("avg_pool_grad", s, rank)?;
        Ok(Spec { dtype: accumulated(dtype), shape: lower(s[0].shape[0], s[0].shape[1], rank, self.size) })
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
        let dy = Tensor::apply(AvgPool(self.average), &[g])?;
        Ok(smallvec::smallvec![Some(dy.to_dtype(ctx.spec(0).dtype)?)])
    }
}

impl Compute for AvgPool {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => mean::<f64>(&self.0, &inputs[0], out),
            _ => mean::<f32>(&self.0, &inputs[0], out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let (size, windows) = (volume(&inputs[0].layout.shape), &self.0.windows);
        if !windows.suits(adapter, size, |d| windows.reach(d, size[d])) || !self.0.divisor_fits() {
            return None;
        }
        launch("pool_avg", self.0.consts(), &["x"], self.0.params(output.layout.numel(), size))
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Compute for AvgPoolGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => mean_grad::<f64>(&self.average, self.size, &inputs[0], out),
            _ => mean_grad::<f32>(&self.average, self.size, &inputs[0], out),
        }
    }

    fn gpu(&self, _: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let (size, windows) = (self.size, &self.average.windows);
        if !windows.suits(adapter, size, |d| windows.holders(d, size[d])) || !self.average.divisor_fits() {
            return None;
        }
        launch("pool_avg_grad", self.average.consts(), &["dy"], self.average.params(output.layout.numel(), self.size))
    }

    fn epilogue(&self) -> bool {
        true
    }
}

fn mean<T: Float>(a: &Average, x: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let size @ [d, h, w] = volume(x.shape());
    let data = x.data::<T>();
    for_chunks(out.data::<T>(), a.windows.count(), data.len() > 1 << 14, |i, out| {
        let plane = &data[i * d * h * w..][..d * h * w];
        a.windows.each(size, |i, o, [zs, ys, xs]| {
            let mut sum = T::ZERO;
            for z in zs {
                for y in ys.clone() {
                    plane[(z * h + y) * w..][xs.clone()].iter().for_each(|v| sum += *v);
                }
            }
            out[i] = sum / T::constant(a.divisor(o, size));
        });
        Ok(())
    })
}

fn mean_grad<T: Float>(a: &Average, size: [usize; SPATIAL], dy: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let [d, h, w] = size;
    let windows = a.windows.count();
    let data = dy.data::<T>();
    let big = out.shape.iter().product::<usize>() > 1 << 14;
    for_chunks(out.data::<T>(), d * h * w, big, |i, dx| {
        dx.fill(T::ZERO);
        let dy = &data[i * windows..][..windows];
        a.windows.each(size, |i, o, [zs, ys, xs]| {
            let g = dy[i] / T::constant(a.divisor(o, size));
            for z in zs {
                for y in ys.clone() {
                    dx[(z * h + y) * w..][xs.clone()].iter_mut().for_each(|v| *v += g);
                }
            }
        });
        Ok(())
    })
}
