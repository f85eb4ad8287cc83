//! Max pooling: where the maximum of each window lies, the values there, and the gradient.

use smallvec::smallvec;

use super::gather::{Gather, Pick};
use super::pool::{Windows, image, launch};
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::ops::{Float, Grads, Kind, Op, SPATIAL, Saves, Spec, for_chunks, lower, volume};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::shape::checked_numel;
use crate::tensor::Tensor;

/// Where the maximum of each window lies: an index into the plane (or volume) of the image. The first one; a NaN wins.
#[derive(Debug)]
pub(crate) struct MaxPoolIndices(pub Windows);

impl Op for MaxPoolIndices {
    fn name(&self) -> &'static str {
        ["max_pool1d_indices", "max_pool2d_indices", "max_pool3d_indices"][self.0.rank.clamp(1, SPATIAL) - 1]
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        image("max_pool", s, self.0.rank)?;
        let x = &s[0].shape;
        let shape = lower(x[0], x[1], self.0.rank, self.0.out);
        checked_numel("max_pool", &shape)?;
        if volume(x).contains(&0) && !self.0.out.contains(&0) {
            return Err(Error::argument("max_pool", format!("the planes of {x:?} are empty")));
        }
        Ok(Spec { dtype: DType::I64, shape })
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

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let size = volume(&inputs[0].layout.shape);
        if !self.0.suits(adapter, size, |d| self.0.reach(d, size[d])) {
            return None;
        }
        let mut params = self.0.params(output.layout.numel(), size);
        params.extend(self.0.dilation.map(|v| v as u32));
        launch("pool_max", vec![("ADAPTIVE", self.0.adaptive as u32)], &["x"], params)
    }
}

impl MaxPoolIndices {
    fn indices<T: Float>(&self, x: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
        let size @ [d, h, w] = volume(x.shape());
        let [dz, dy, dx] = self.0.dilation;
        let data = x.data::<T>();
        for_chunks(out.data::<i64>(), self.0.count(), data.len() > 1 << 14, |i, out| {
            let plane = &data[i * d * h * w..][..d * h * w];
            self.0.each(size, |i, _, [zs, ys, xs]| {
                let mut at = (zs.start * h + ys.start) * w + xs.start;
                let mut most = plane[at];
                for z in zs.step_by(dz) {
                    for y in ys.clone().step_by(dy) {
                        for x in xs.clone().step_by(dx) {
                            let here = (z * h + y) * w + x;
                            let v = plane[here];
                            // A NaN differs from itself, and stays.
                            #[allow(clippy::eq_op)]
                            if v > most || v != v {
                                (most, at) = (v, here);
                            }
                        }
                    }
                }
                out[i] = at as i64;
            });
            Ok(())
        })
    }
}

/// The values of `x` `[N, C, size]` at the indices `[N, C, windows]` that [`MaxPoolIndices`] found: a [`Gather`] whose
/// gradient knows in which windows an element lies.
#[derive(Debug)]
pub(crate) struct MaxPoolValues {
    pub windows: Windows,
    pub size: [usize; SPATIAL],
}

/// The gradient of [`MaxPoolValues`] from `dy` `[N, C, windows]` and the indices: each element of the image collects from the
/// windows that chose it, in their order. The two are each other's gradients: both are linear.
#[derive(Debug)]
pub(crate) struct MaxPoolGrad {
    pub windows: Windows,
    pub size: [usize; SPATIAL],
}

const GATHER: Gather = Gather { dim: 2, pick: Pick::Element };

impl Op for MaxPoolValues {
    fn name(&self) -> &'static str {
        "max_pool_values"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        GATHER.infer(s)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        GATHER.attrs(key);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 0b10, output: false }
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let dx = Tensor::apply(MaxPoolGrad { windows: self.windows, size: self.size }, &[dy, ctx.input(1)?])?;
        Ok(smallvec![Some(dx.to_dtype(ctx.spec(0).dtype)?), None])
    }
}

impl Compute for MaxPoolValues {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        GATHER.cpu(inputs, out)
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        GATHER.gpu(inputs, output, adapter)
    }

    fn epilogue(&self) -> bool {
        GATHER.epilogue()
    }

    fn raw(&self) -> bool {
        GATHER.raw()
    }
}

impl Op for MaxPoolGrad {
    fn name(&self) -> &'static str {
        "max_pool_grad"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let [dy, at] = s else { return Err(Error::argument(self.name(), "takes two tensors")) };
        if dy.shape != at.shape || dy.shape.len() != 3 || !matches!(dy.dtype, DType::F32 | DType::F64) {
            return Err(Error::argument(self.name(), format!("{:?} {} does not fit indices {:?}", dy.shape, dy.dtype, at.shape)));
        }
        Ok(Spec::new(dy.dtype, &[dy.shape[0], dy.shape[1], self.size.iter().product()]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.windows.key(key);
        key.extend(self.size.map(|v| v as u64));
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 0b10, output: false }
    }

    fn backward(&self, ctx: &Ctx<'_>, g: &Tensor) -> Result<Grads> {
        let dy = Tensor::apply(MaxPoolValues { windows: self.windows, size: self.size }, &[g, ctx.input(1)?])?;
        Ok(smallvec![Some(dy.to_dtype(ctx.spec(0).dtype)?), None])
    }
}

impl Compute for MaxPoolGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => self.collect::<f64>(inputs, out),
            _ => self.collect::<f32>(inputs, out),
        }
    }

    fn gpu(&self, _: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        if !self.windows.suits(adapter, self.size, |d| self.windows.holders(d, self.size[d])) {
            return None;
        }
        let mut params = self.windows.params(output.layout.numel(), self.size);
        params.extend(self.windows.dilation.map(|v| v as u32));
        launch("pool_max_grad", vec![("ADAPTIVE", self.windows.adaptive as u32)], &["dy", "index"], params)
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl MaxPoolGrad {
    fn collect<T: Float>(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let (windows, plane) = (self.windows.count(), self.size.iter().product());
        let (dy, at) = (inputs[0].data::<T>(), inputs[1].data::<i64>());
        let big = dy.len() > 1 << 14;
        for_chunks(out.data::<T>(), plane, big, |i, dx| {
            dx.fill(T::ZERO);
            let of = i * windows..(i + 1) * windows;
            for (&g, &at) in dy[of.clone()].iter().zip(&at[of]) {
                let dx = dx.get_mut(at as usize);
                *dx.ok_or_else(|| Error::index("max_pool_grad", format!("index {at} lies outside a plane of {plane}")))? += g;
            }
            Ok(())
        })
    }
}
