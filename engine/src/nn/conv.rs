//! Convolutions in one and two dimensions, and their transposes.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Param, Sizes, init};

pub type Conv1d = Conv<1>;
pub type Conv2d = Conv<2>;
pub type ConvTranspose1d = ConvTranspose<1>;
pub type ConvTranspose2d = ConvTranspose<2>;

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
    /// Zeros added at the end of each dimension before anything else: an even kernel's `same` padding is lopsided.
    extra: [usize; D],
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
            dilation: one,
            groups: 1,
            bias: true,
        }
    }
}

impl<const D: usize> Conv<D> {
    fn padded(&self, x: &Tensor) -> Result<Tensor> {
        if self.extra == [0; D] {
            return Ok(x.clone());
        }
        // Last dimension first, before and after.
        let amounts: Vec<usize> = self.extra.iter().rev().flat_map(|&after| [0, after]).collect();
        x.pad(&amounts, "constant", 0.0)
    }
}

impl Conv<1> {
    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.padded(x)?.conv1d(&self.weight, self.bias.as_deref(), self.stride[0], self.padding[0], self.dilation[0], self.groups)
    }
}

impl Conv<2> {
    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.padded(x)?.conv2d(&self.weight, self.bias.as_deref(), self.stride, self.padding, self.dilation, self.groups)
    }
}

impl<const D: usize> ConvBuilder<D> {
    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.stride = stride.sizes();
        self
    }

    /// Zeros added on both sides.
    pub fn padding(mut self, padding: impl Sizes<D>) -> Self {
        (self.padding, self.same) = (padding.sizes(), false);
        self
    }

    /// As many zeros as keep the size; `padding="same"`. Needs stride 1.
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
        let ConvBuilder { channels: [inputs, outputs], kernel, stride, mut padding, same, dilation, groups, bias } = self;
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
        Ok(Conv { weight, bias, stride, padding, extra, dilation, groups })
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

impl ConvTranspose<1> {
    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [s, p, o, d] = [self.stride[0], self.padding[0], self.output_padding[0], self.dilation[0]];
        x.conv_transpose1d(&self.weight, self.bias.as_deref(), s, p, o, self.groups, d)
    }
}

impl ConvTranspose<2> {
    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [s, p, o, d] = [self.stride, self.padding, self.output_padding, self.dilation];
        x.conv_transpose2d(&self.weight, self.bias.as_deref(), s, p, o, self.groups, d)
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

layers!(Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d);
