//! Convolutions, over one to three dimensions.

use super::super::Tensor;
use super::biased;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::nn::Sizes;
use crate::ops::{Conv, ConvInputGrad, Geometry, lift3};

/// `f` on a batch for an input with or without its batch dimension.
#[track_caller]
pub(in crate::tensor) fn batched(
    op: &'static str,
    x: &Tensor,
    spatial: usize,
    f: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    match x.rank().checked_sub(spatial) {
        Some(2) => f(x),
        Some(1) => f(&x.unsqueeze(0)?)?.squeeze(0),
        _ => Err(Error::argument(op, format!("the input {:?} should have {} or {} dimensions", x.shape(), spatial + 1, spatial + 2))),
    }
}

/// Where integers are exact as floats: they have no kernels of their own.
pub(in crate::tensor) fn floats_for(x: &Tensor) -> Option<DType> {
    x.dtype().is_int().then_some(if x.device().is_cpu() { DType::F64 } else { DType::F32 })
}

#[track_caller]
fn check(op: &'static str, x: &Tensor, w: &Tensor, bias: Option<&Tensor>, spatial: usize) -> Result<()> {
    if let Some(bias) = bias.filter(|b| b.dtype() != x.dtype()) {
        return Err(Error::dtype(op, format!("the input is {}, the bias {}; convert one of them", x.dtype(), bias.dtype())));
    }
    if w.rank() != spatial + 2 {
        return Err(Error::argument(op, format!("the weight {:?} should have {} dimensions", w.shape(), spatial + 2)));
    }
    if x.dtype() != w.dtype() {
        return Err(Error::dtype(op, format!("the input is {}, the weight {}; convert one of them", x.dtype(), w.dtype())));
    }
    Ok(())
}

/// A bias of as many elements as there are channels, one to a plane.
fn channels(count: usize, spatial: usize) -> impl Fn(&Tensor) -> Result<Tensor> {
    move |b| match b.shape() {
        [n] if *n == count => {
            let mut shape = vec![1; spatial + 1];
            shape[0] = count;
            b.reshape(shape)
        }
        other => Err(Error::argument("conv", format!("a bias of {other:?} does not fit {count} channels"))),
    }
}

fn geometry<const D: usize>(stride: [usize; D], padding: [usize; D], dilation: [usize; D], groups: usize) -> Geometry {
    Geometry { stride: lift3(&stride, 1), padding: lift3(&padding, 0), dilation: lift3(&dilation, 1), groups }
}

/// Convolutions.
impl Tensor {
    /// Correlates images with kernels.
    ///
    /// Input `[N, C, H, W]` or `[C, H, W]`, `weight` `[O, C / groups, KH, KW]`, `bias` `[O]`; the result is
    /// `[N, O, OH, OW]` with `OH = (H + 2 * padding - dilation * (KH - 1) - 1) / stride + 1`. Sizes are one number or
    /// `[y, x]`. As `torch.nn.functional.conv2d`.
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
        self.convolve("conv2d", weight, bias, stride.sizes(), padding.sizes(), dilation.sizes(), groups)
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
        self.convolve("conv1d", weight, bias, [stride], [padding], [dilation], groups)
    }

    /// Correlates volumes with kernels: input `[N, C, D, H, W]` or `[C, D, H, W]`, `weight` `[O, C / groups, KD, KH, KW]`,
    /// `bias` `[O]`. See [`conv2d`](Self::conv2d).
    ///
    /// # Errors
    /// As [`conv2d`](Self::conv2d).
    #[track_caller]
    pub fn conv3d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: impl Sizes<3>,
        padding: impl Sizes<3>,
        dilation: impl Sizes<3>,
        groups: usize,
    ) -> Result<Tensor> {
        self.convolve("conv3d", weight, bias, stride.sizes(), padding.sizes(), dilation.sizes(), groups)
    }

    #[track_caller]
    pub(crate) fn convolve<const D: usize>(
        &self,
        op: &'static str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: [usize; D],
        padding: [usize; D],
        dilation: [usize; D],
        groups: usize,
    ) -> Result<Tensor> {
        if let Some((x, weight, bias)) = crate::amp::lowered(self, weight, bias)? {
            return x.convolve(op, &weight, bias.as_ref(), stride, padding, dilation, groups);
        }
        check(op, self, weight, bias, D)?;
        if let Some(float) = floats_for(self) {
            let bias = bias.map(|b| b.to_dtype(float)).transpose()?;
            let (x, w) = (self.to_dtype(float)?, weight.to_dtype(float)?);
            return x.convolve(op, &w, bias.as_ref(), stride, padding, dilation, groups)?.to_dtype(self.dtype());
        }
        let geometry = geometry(stride, padding, dilation, groups);
        batched(op, self, D, |x| {
            let y = Tensor::apply(Conv(geometry), &[x, weight])?;
            biased(op, y, bias, channels(weight.shape()[0], D), self)
        })
    }

    /// The gradient of [`conv2d`](Self::conv2d) with respect to its input, as an operation of its own: enlarges images.
    ///
    /// Input `[N, C, H, W]` or `[C, H, W]`, `weight` `[C, O / groups, KH, KW]`, `bias` `[O]`; the result is
    /// `[N, O, OH, OW]` with `OH = (H - 1) * stride - 2 * padding + dilation * (KH - 1) + output_padding + 1`. As
    /// `torch.nn.functional.conv_transpose2d`.
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
        let sizes = [stride.sizes(), padding.sizes(), output_padding.sizes(), dilation.sizes()];
        self.convolve_transposed("conv_transpose2d", weight, bias, sizes, groups)
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
        self.convolve_transposed("conv_transpose1d", weight, bias, [[stride], [padding], [output_padding], [dilation]], groups)
    }

    /// [`conv_transpose2d`](Self::conv_transpose2d) over three dimensions: input `[N, C, D, H, W]` or `[C, D, H, W]`,
    /// `weight` `[C, O / groups, KD, KH, KW]`, `bias` `[O]`.
    ///
    /// # Errors
    /// As [`conv_transpose2d`](Self::conv_transpose2d).
    #[track_caller]
    pub fn conv_transpose3d(
        &self,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: impl Sizes<3>,
        padding: impl Sizes<3>,
        output_padding: impl Sizes<3>,
        groups: usize,
        dilation: impl Sizes<3>,
    ) -> Result<Tensor> {
        let sizes = [stride.sizes(), padding.sizes(), output_padding.sizes(), dilation.sizes()];
        self.convolve_transposed("conv_transpose3d", weight, bias, sizes, groups)
    }

    /// `sizes`: stride, padding, output padding, dilation.
    #[track_caller]
    pub(crate) fn convolve_transposed<const D: usize>(
        &self,
        op: &'static str,
        weight: &Tensor,
        bias: Option<&Tensor>,
        sizes: [[usize; D]; 4],
        groups: usize,
    ) -> Result<Tensor> {
        if let Some((x, weight, bias)) = crate::amp::lowered(self, weight, bias)? {
            return x.convolve_transposed(op, &weight, bias.as_ref(), sizes, groups);
        }
        check(op, self, weight, bias, D)?;
        if let Some(float) = floats_for(self) {
            let bias = bias.map(|b| b.to_dtype(float)).transpose()?;
            let (x, w) = (self.to_dtype(float)?, weight.to_dtype(float)?);
            return x.convolve_transposed(op, &w, bias.as_ref(), sizes, groups)?.to_dtype(self.dtype());
        }
        let [stride, padding, extra, dilation] = sizes;
        batched(op, self, D, |x| {
            let (xs, ws) = (x.shape(), weight.shape());
            if groups == 0 || stride.contains(&0) || dilation.contains(&0) {
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
            let mut size = [0; D];
            for d in 0..D {
                let (s, p, dil) = (stride[d], padding[d], dilation[d]);
                if extra[d] >= s.max(dil) {
                    return Err(Error::argument(
                        op,
                        format!("output padding {} must be smaller than stride {s} or dilation {dil}", extra[d]),
                    ));
                }
                let grown = xs[2 + d].saturating_sub(1).checked_mul(s);
                let full = grown.and_then(|n| dil.checked_mul(ws[2 + d].saturating_sub(1))?.checked_add(n)?.checked_add(extra[d] + 1));
                let rest = full.zip(p.checked_mul(2)).and_then(|(full, cut)| full.checked_sub(cut));
                size[d] = rest
                    .filter(|n| *n > 0 && xs[2 + d] > 0 && ws[2 + d] > 0)
                    .ok_or_else(|| Error::argument(op, format!("input {xs:?}, weight {ws:?} and padding {padding:?} leave no output")))?;
            }
            let geometry = geometry(stride, padding, dilation, groups);
            let y = Tensor::apply(ConvInputGrad { geometry, size: lift3(&size, 1) }, &[x, weight])?;
            biased(op, y, bias, channels(weight.shape()[1].saturating_mul(groups), D), self)
        })
    }
}
