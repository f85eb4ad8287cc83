//! Convolutions, over one dimension and two.

use super::super::Tensor;
use super::biased;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::nn::Sizes;
use crate::ops::{Conv2d, Conv2dInputGrad, Geometry};

/// `f` on four dimensions for an input with or without its batch dimension.
#[track_caller]
pub(super) fn batched(op: &'static str, x: &Tensor, spatial: usize, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    match x.rank().checked_sub(spatial) {
        Some(2) => f(x),
        Some(1) => f(&x.unsqueeze(0)?)?.squeeze(0),
        _ => Err(Error::argument(op, format!("the input {:?} should have {} or {} dimensions", x.shape(), spatial + 1, spatial + 2))),
    }
}

/// Where integers are exact as floats: they have no kernels of their own.
pub(super) fn floats_for(x: &Tensor) -> Option<DType> {
    x.dtype().is_int().then_some(if x.device().is_cpu() { DType::F64 } else { DType::F32 })
}

#[track_caller]
fn check(op: &'static str, x: &Tensor, w: &Tensor, spatial: usize) -> Result<()> {
    if w.rank() != spatial + 2 {
        return Err(Error::argument(op, format!("the weight {:?} should have {} dimensions", w.shape(), spatial + 2)));
    }
    if x.dtype() != w.dtype() {
        return Err(Error::dtype(op, format!("the input is {}, the weight {}; convert one of them", x.dtype(), w.dtype())));
    }
    Ok(())
}

/// A bias of as many elements as there are channels, one to a plane.
fn channels(count: usize) -> impl Fn(&Tensor) -> Result<Tensor> {
    move |b| match b.shape() {
        [n] if *n == count => b.reshape([count, 1, 1]),
        other => Err(Error::argument("conv", format!("a bias of {other:?} does not fit {count} channels"))),
    }
}

/// Convolutions.
impl Tensor {
    /// Correlates images with kernels.
    ///
    /// Input `[N, C, H, W]` or `[C, H, W]`, `weight` `[O, C / groups, KH, KW]`, `bias` `[O]`; the result is
    /// `[N, O, OH, OW]` with `OH = (H + 2 * padding - dilation * (KH - 1) - 1) / stride + 1`. Sizes are one number or
    /// `[y, x]`.
    ///
    /// # Errors
    /// Channels that do not fit, a kernel larger than the padded image, two element types or none that is float.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let cpu = Device::cpu();
    /// let x = Tensor::ones([1, 1, 3, 3], &cpu)?;
    /// let w = Tensor::ones([1, 1, 3, 3], &cpu)?;
    /// let y = x.conv2d(&w, None, 1, 1, 1, 1)?;
    /// assert_eq!(y.to_vec::<f32>()?, [4.0, 6.0, 4.0, 6.0, 9.0, 6.0, 4.0, 6.0, 4.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn conv2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: impl Sizes<2>,
        padding: impl Sizes<2>,
        dilation: impl Sizes<2>,
        groups: usize,
    ) -> Result<Tensor> {
        check("conv2d", self, weight, 2)?;
        if let Some(float) = floats_for(self) {
            let bias = bias.map(|b| b.to_dtype(float)).transpose()?;
            let (x, w) = (self.to_dtype(float)?, weight.to_dtype(float)?);
            return x.conv2d(&w, bias.as_ref(), stride, padding, dilation, groups)?.to_dtype(self.dtype());
        }
        let geometry = Geometry { stride: stride.sizes(), padding: padding.sizes(), dilation: dilation.sizes(), groups };
        batched("conv2d", self, 2, |x| {
            let y = Tensor::apply(Conv2d(geometry), &[x, weight])?;
            biased("conv2d", y, bias, channels(weight.shape()[0]), self)
        })
    }

    /// Correlates sequences with kernels: input `[N, C, L]` or `[C, L]`, `weight` `[O, C / groups, K]`, `bias` `[O]`.
    /// See [`conv2d`](Self::conv2d).
    ///
    /// # Errors
    /// As [`conv2d`](Self::conv2d).
    #[track_caller]
    pub fn conv1d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
        dilation: usize,
        groups: usize,
    ) -> Result<Tensor> {
        check("conv1d", self, weight, 1)?;
        batched("conv1d", self, 1, |x| {
            x.unsqueeze(2)?.conv2d(&weight.unsqueeze(2)?, bias, [1, stride], [0, padding], [1, dilation], groups)?.squeeze(2)
        })
    }

    /// The gradient of [`conv2d`](Self::conv2d) with respect to its input, as an operation of its own: enlarges images.
    ///
    /// Input `[N, C, H, W]` or `[C, H, W]`, `weight` `[C, O / groups, KH, KW]`, `bias` `[O]`; the result is
    /// `[N, O, OH, OW]` with `OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1`.
    ///
    /// # Errors
    /// As [`conv2d`](Self::conv2d); an output padding that neither stride nor dilation exceeds; no output at all.
    #[track_caller]
    pub fn conv_transpose2d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: impl Sizes<2>,
        padding: impl Sizes<2>,
        output_padding: impl Sizes<2>,
        groups: usize,
        dilation: impl Sizes<2>,
    ) -> Result<Tensor> {
        let op = "conv_transpose2d";
        check(op, self, weight, 2)?;
        if let Some(float) = floats_for(self) {
            let bias = bias.map(|b| b.to_dtype(float)).transpose()?;
            let (x, w) = (self.to_dtype(float)?, weight.to_dtype(float)?);
            return x.conv_transpose2d(&w, bias.as_ref(), stride, padding, output_padding, groups, dilation)?.to_dtype(self.dtype());
        }
        let geometry = Geometry { stride: stride.sizes(), padding: padding.sizes(), dilation: dilation.sizes(), groups };
        let extra = output_padding.sizes();
        batched(op, self, 2, |x| {
            let (xs, ws) = (x.shape(), weight.shape());
            if groups == 0 || geometry.stride.contains(&0) || geometry.dilation.contains(&0) {
                let Geometry { stride, dilation, .. } = geometry;
                return Err(Error::argument(
                    op,
                    format!("stride, dilation and groups must be at least 1, they are {stride:?}, {dilation:?} and {groups}"),
                ));
            }
            if xs[1] != ws[0] {
                return Err(Error::argument(
                    op,
                    format!("weight {ws:?} takes {} input channels, but the input {xs:?} has {}", ws[0], xs[1]),
                ));
            }
            let mut size = [0; 2];
            for d in 0..2 {
                let (s, p, dil) = (geometry.stride[d], geometry.padding[d], geometry.dilation[d]);
                if extra[d] >= s.max(dil) {
                    return Err(Error::argument(
                        op,
                        format!("output padding {} must be smaller than stride {s} or dilation {dil}", extra[d]),
                    ));
                }
                let full = xs[2 + d].saturating_sub(1) * s + dil * ws[2 + d].saturating_sub(1) + extra[d] + 1;
                size[d] = full.checked_sub(2 * p).filter(|n| *n > 0 && xs[2 + d] > 0 && ws[2 + d] > 0).ok_or_else(|| {
                    Error::argument(op, format!("input {xs:?}, weight {ws:?} and padding {:?} leave no output", geometry.padding))
                })?;
            }
            let y = Tensor::apply(Conv2dInputGrad { geometry, size }, &[x, weight])?;
            biased(op, y, bias, channels(weight.shape()[1] * groups), self)
        })
    }

    /// [`conv_transpose2d`](Self::conv_transpose2d) over one dimension: input `[N, C, L]` or `[C, L]`, `weight`
    /// `[C, O / groups, K]`, `bias` `[O]`.
    ///
    /// # Errors
    /// As [`conv_transpose2d`](Self::conv_transpose2d).
    #[track_caller]
    pub fn conv_transpose1d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
        output_padding: usize,
        groups: usize,
        dilation: usize,
    ) -> Result<Tensor> {
        check("conv_transpose1d", self, weight, 1)?;
        batched("conv_transpose1d", self, 1, |x| {
            let (x, w) = (x.unsqueeze(2)?, weight.unsqueeze(2)?);
            x.conv_transpose2d(&w, bias, [1, stride], [0, padding], [0, output_padding], groups, [1, dilation])?.squeeze(2)
        })
    }
}
