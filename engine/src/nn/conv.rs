//! Convolutions in one to three dimensions, and their transposes.

use crate::Module;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::lazy::{Lazy, Plan};
use super::module::Layer;
use super::sequential::layers;
use super::{Param, Sizes, init};

pub type Conv1d = Conv<1>;
pub type Conv2d = Conv<2>;
pub type Conv3d = Conv<3>;
pub type ConvTranspose1d = ConvTranspose<1>;
pub type ConvTranspose2d = ConvTranspose<2>;
pub type ConvTranspose3d = ConvTranspose<3>;
pub type LazyConv1d = Lazy<Conv<1>>;
pub type LazyConv2d = Lazy<Conv<2>>;
pub type LazyConv3d = Lazy<Conv<3>>;
pub type LazyConvTranspose1d = Lazy<ConvTranspose<1>>;
pub type LazyConvTranspose2d = Lazy<ConvTranspose<2>>;
pub type LazyConvTranspose3d = Lazy<ConvTranspose<3>>;

/// What lies around the input of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PaddingMode {
    #[default]
    Zeros,
    /// The input mirrored at its border, without the border itself.
    Reflect,
    /// The nearest element.
    Replicate,
    /// The other side of the input.
    Circular,
}

impl std::str::FromStr for PaddingMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<PaddingMode> {
        Ok(match name {
            "zeros" => PaddingMode::Zeros,
            "reflect" => PaddingMode::Reflect,
            "replicate" => PaddingMode::Replicate,
            "circular" => PaddingMode::Circular,
            other => {
                let why = format!("padding mode '{other}' is none of zeros, reflect, replicate, circular");
                return Err(Error::argument("Conv", why));
            }
        })
    }
}

/// Correlates the input with learned kernels.
///
/// Shapes: input `[N, in, ..]` (or without `N`), output `[N, out, ..]`; `weight` `[out, in / groups, ..kernel]`, `bias`
/// `[out]`. Both start uniform within `1 / sqrt(in / groups * kernel elements)`.
#[derive(Module, Debug)]
pub struct Conv<const D: usize> {
    pub weight: Param,
    pub bias: Option<Param>,
    stride: [usize; D],
    padding: [usize; D],
    /// More padding at the end of each dimension: an even kernel's `same` padding is lopsided.
    extra: [usize; D],
    mode: PaddingMode,
    dilation: [usize; D],
    groups: usize,
}

/// Builds a [`Conv`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct ConvBuilder<const D: usize> {
    channels: [usize; 2],
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
    same: bool,
    mode: PaddingMode,
    dilation: [usize; D],
    groups: usize,
    bias: bool,
}

impl<const D: usize> Conv<D> {
    /// Stride 1, no padding, with bias.
    ///
    /// # Errors
    /// As [`ConvBuilder::build`].
    pub fn new(inputs: usize, outputs: usize, kernel: impl Sizes<D>, options: impl Into<TensorOptions>) -> Result<Self> {
        Self::builder(inputs, outputs, kernel).build(options)
    }

    pub fn builder(inputs: usize, outputs: usize, kernel: impl Sizes<D>) -> ConvBuilder<D> {
        let one = [1; D];
        ConvBuilder {
            channels: [inputs, outputs],
            kernel: kernel.sizes(),
            stride: one,
            padding: [0; D],
            same: false,
            mode: PaddingMode::Zeros,
            dilation: one,
            groups: 1,
            bias: true,
        }
    }
}

impl<const D: usize> Conv<D> {
    /// A builder for [`ConvBuilder::build_lazy`]: the input channels are those of the first input.
    pub fn lazy(outputs: usize, kernel: impl Sizes<D>) -> ConvBuilder<D> {
        Self::builder(0, outputs, kernel)
    }

    /// The input with all padding that zeros on both sides alone cannot be, and those zeros.
    fn padded(&self, x: &Tensor) -> Result<(Tensor, [usize; D])> {
        let (mode, around) = match self.mode {
            PaddingMode::Zeros => ("constant", [0; D]),
            PaddingMode::Reflect => ("reflect", self.padding),
            PaddingMode::Replicate => ("replicate", self.padding),
            PaddingMode::Circular => ("circular", self.padding),
        };
        let zeros = if self.mode == PaddingMode::Zeros { self.padding } else { [0; D] };
        if around == [0; D] && self.extra == [0; D] {
            return Ok((x.clone(), zeros));
        }
        // Last dimension first, before and after.
        let amounts: Vec<usize> = (0..D).rev().flat_map(|d| [around[d], around[d] + self.extra[d]]).collect();
        Ok((x.pad(&amounts, mode, 0.0)?, zeros))
    }

    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let op = ["conv1d", "conv2d", "conv3d"].get(D.wrapping_sub(1)).copied().unwrap_or("conv");
        if x.rank() != D + 1 && x.rank() != D + 2 {
            return Err(Error::argument(op, format!("the input {:?} should have {} or {} dimensions", x.shape(), D + 1, D + 2)));
        }
        let (x, padding) = self.padded(x)?;
        x.convolve(op, &self.weight, self.bias.as_deref(), self.stride, padding, self.dilation, self.groups)
    }
}

/// A convolution whose input channels are not known yet.
struct LazyPlan<B> {
    builder: B,
    options: TensorOptions,
}

/// The channels of `[N, C, ..]` or `[C, ..]` with `spatial` dimensions.
fn channels(input: &[usize], spatial: usize) -> Option<usize> {
    match input.len().checked_sub(spatial) {
        Some(lead @ (1 | 2)) => input.get(lead - 1).copied(),
        _ => None,
    }
}

impl<const D: usize> Plan<Conv<D>> for LazyPlan<ConvBuilder<D>> {
    fn of_input(&self, input: &[usize]) -> Option<usize> {
        channels(input, D)
    }

    fn of_weight(&self, weight: &[usize]) -> Option<usize> {
        weight.get(1).map(|c| c * self.builder.groups)
    }

    fn make(&self, size: usize, device: &Device) -> Result<Conv<D>> {
        let mut builder = self.builder.clone();
        builder.channels[0] = size;
        builder.build(TensorOptions { dtype: self.options.dtype, device: device.clone() })
    }

    fn device(&self) -> &Device {
        &self.options.device
    }
}

impl<const D: usize> Plan<ConvTranspose<D>> for LazyPlan<ConvTransposeBuilder<D>> {
    fn of_input(&self, input: &[usize]) -> Option<usize> {
        channels(input, D)
    }

    fn of_weight(&self, weight: &[usize]) -> Option<usize> {
        weight.first().copied()
    }

    fn make(&self, size: usize, device: &Device) -> Result<ConvTranspose<D>> {
        let mut builder = self.builder.clone();
        builder.conv.channels[0] = size;
        builder.build(TensorOptions { dtype: self.options.dtype, device: device.clone() })
    }

    fn device(&self) -> &Device {
        &self.options.device
    }
}

impl<const D: usize> ConvBuilder<D> {
    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.stride = stride.sizes();
        self
    }

    /// Added on both sides.
    pub fn padding(mut self, padding: impl Sizes<D>) -> Self {
        (self.padding, self.same) = (padding.sizes(), false);
        self
    }

    /// What the padding is made of; zeros unless set.
    pub fn padding_mode(mut self, mode: PaddingMode) -> Self {
        self.mode = mode;
        self
    }

    /// As much padding as keeps the size; `padding="same"`. Needs stride 1.
    pub fn padding_same(mut self) -> Self {
        self.same = true;
        self
    }

    /// The distance between kernel elements.
    pub fn dilation(mut self, dilation: impl Sizes<D>) -> Self {
        self.dilation = dilation.sizes();
        self
    }

    /// Channels are divided into this many groups that do not see each other.
    pub fn groups(mut self, groups: usize) -> Self {
        self.groups = groups;
        self
    }

    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// # Errors
    /// Channels that `groups` does not divide; a kernel, stride or dilation of 0; padding that keeps the size with a stride;
    /// the device lacks the type or memory.
    pub fn build(self, options: impl Into<TensorOptions>) -> Result<Conv<D>> {
        let ConvBuilder { channels: [inputs, outputs], kernel, stride, mut padding, same, mode, dilation, groups, bias } = self;
        check("Conv", [inputs, outputs], groups, &[kernel, stride, dilation])?;
        let mut extra = [0; D];
        if same {
            if stride != [1; D] {
                return Err(Error::argument("Conv", format!("padding that keeps the size needs stride 1, not {stride:?}")));
            }
            for d in 0..D {
                let total = dilation[d].saturating_mul(kernel[d] - 1);
                (padding[d], extra[d]) = (total / 2, total % 2);
            }
        }
        let options = options.into();
        let shape = [&[outputs, inputs / groups], &kernel[..]].concat();
        let weight = init::weight(&shape, &options)?;
        let bias = if bias { Some(init::bias(outputs, &shape, &options)?) } else { None };
        Ok(Conv { weight, bias, stride, padding, extra, mode, dilation, groups })
    }

    /// A layer whose input channels are those of the first input it sees.
    pub fn build_lazy(self, options: impl Into<TensorOptions>) -> Lazy<Conv<D>> {
        Lazy::new(LazyPlan { builder: self, options: options.into() })
    }
}

/// The gradient of a convolution as a layer: enlarges its input.
///
/// Shapes: input `[N, in, ..]` (or without `N`), output `[N, out, ..]`; `weight` `[in, out / groups, ..kernel]`, `bias` `[out]`.
#[derive(Module, Debug)]
pub struct ConvTranspose<const D: usize> {
    pub weight: Param,
    pub bias: Option<Param>,
    stride: [usize; D],
    padding: [usize; D],
    output_padding: [usize; D],
    dilation: [usize; D],
    groups: usize,
}

/// Builds a [`ConvTranspose`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct ConvTransposeBuilder<const D: usize> {
    conv: ConvBuilder<D>,
    output_padding: [usize; D],
}

impl<const D: usize> ConvTranspose<D> {
    /// Stride 1, no padding, with bias.
    ///
    /// # Errors
    /// As [`ConvTransposeBuilder::build`].
    pub fn new(inputs: usize, outputs: usize, kernel: impl Sizes<D>, options: impl Into<TensorOptions>) -> Result<Self> {
        Self::builder(inputs, outputs, kernel).build(options)
    }

    pub fn builder(inputs: usize, outputs: usize, kernel: impl Sizes<D>) -> ConvTransposeBuilder<D> {
        ConvTransposeBuilder { conv: Conv::builder(inputs, outputs, kernel), output_padding: [0; D] }
    }
}

impl<const D: usize> ConvTranspose<D> {
    /// A builder for [`ConvTransposeBuilder::build_lazy`]: the input channels are those of the first input.
    pub fn lazy(outputs: usize, kernel: impl Sizes<D>) -> ConvTransposeBuilder<D> {
        Self::builder(0, outputs, kernel)
    }

    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.transposed(x, self.output_padding)
    }

    /// An output of a given size, where the stride leaves it open; it takes the place of the output padding.
    ///
    /// # Errors
    /// The input's channels or size do not fit; a size that the layer cannot have.
    pub fn forward_to(&self, x: &Tensor, output: impl Sizes<D>) -> Result<Tensor> {
        let (output, op) = (output.sizes(), "ConvTranspose");
        let shape = x.shape();
        let Some(input) = shape.len().checked_sub(D).filter(|lead| matches!(lead, 1 | 2)).map(|lead| &shape[lead..]) else {
            return Err(Error::argument(op, format!("the input {shape:?} should have {} or {} dimensions", D + 1, D + 2)));
        };
        let kernel = self.weight.shape();
        let mut extra = [0; D];
        for d in 0..D {
            let reach = self.dilation[d].saturating_mul(kernel[2 + d].saturating_sub(1)).saturating_add(1);
            let grown = input[d].saturating_sub(1).saturating_mul(self.stride[d]).saturating_add(reach);
            let least = grown.saturating_sub(self.padding[d].saturating_mul(2));
            match output[d].checked_sub(least).filter(|e| *e < self.stride[d]) {
                Some(e) => extra[d] = e,
                None => {
                    let most = least.saturating_add(self.stride[d] - 1);
                    return Err(Error::argument(op, format!("an output of {output:?} where dimension {d} can be from {least} to {most}")));
                }
            }
        }
        self.transposed(x, extra)
    }

    fn transposed(&self, x: &Tensor, extra: [usize; D]) -> Result<Tensor> {
        let op = ["conv_transpose1d", "conv_transpose2d", "conv_transpose3d"].get(D.wrapping_sub(1)).copied().unwrap_or("conv");
        let sizes = [self.stride, self.padding, extra, self.dilation];
        x.convolve_transposed(op, &self.weight, self.bias.as_deref(), sizes, self.groups)
    }
}

impl<const D: usize> ConvTransposeBuilder<D> {
    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.conv.stride = stride.sizes();
        self
    }

    /// Takes `dilation * (kernel - 1) - padding` zeros on both sides.
    pub fn padding(mut self, padding: impl Sizes<D>) -> Self {
        self.conv.padding = padding.sizes();
        self
    }

    /// Makes one side of the output larger, where the stride leaves its size open.
    pub fn output_padding(mut self, padding: impl Sizes<D>) -> Self {
        self.output_padding = padding.sizes();
        self
    }

    pub fn dilation(mut self, dilation: impl Sizes<D>) -> Self {
        self.conv.dilation = dilation.sizes();
        self
    }

    pub fn groups(mut self, groups: usize) -> Self {
        self.conv.groups = groups;
        self
    }

    pub fn bias(mut self, bias: bool) -> Self {
        self.conv.bias = bias;
        self
    }

    /// # Errors
    /// As [`ConvBuilder::build`].
    pub fn build(self, options: impl Into<TensorOptions>) -> Result<ConvTranspose<D>> {
        let ConvBuilder { channels: [inputs, outputs], kernel, stride, padding, dilation, groups, bias, .. } = self.conv;
        check("ConvTranspose", [inputs, outputs], groups, &[kernel, stride, dilation])?;
        let options = options.into();
        let shape = [&[inputs, outputs / groups], &kernel[..]].concat();
        let weight = init::weight(&shape, &options)?;
        let bias = if bias { Some(init::bias(outputs, &shape, &options)?) } else { None };
        Ok(ConvTranspose { weight, bias, stride, padding, output_padding: self.output_padding, dilation, groups })
    }

    /// A layer whose input channels are those of the first input it sees.
    pub fn build_lazy(self, options: impl Into<TensorOptions>) -> Lazy<ConvTranspose<D>> {
        Lazy::new(LazyPlan { builder: self, options: options.into() })
    }
}

fn check<const D: usize>(op: &'static str, channels: [usize; 2], groups: usize, positive: &[[usize; D]; 3]) -> Result<()> {
    if groups == 0 || channels.iter().any(|c| c % groups != 0) {
        let [inputs, outputs] = channels;
        return Err(Error::argument(op, format!("{groups} groups do not divide {inputs} input and {outputs} output channels")));
    }
    for (sizes, what) in positive.iter().zip(["kernel", "stride", "dilation"]) {
        if sizes.contains(&0) {
            return Err(Error::argument(op, format!("{what} must be positive, not {sizes:?}")));
        }
    }
    Ok(())
}

layers!(Conv<const D>, ConvTranspose<const D>);
