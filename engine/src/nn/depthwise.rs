//! A convolution of each channel by itself.

use super::Conv2d;
use super::conv::ConvBuilder;
use super::copy::Copies;
use super::module::{Layer, Member, MemberMut, Module};
use super::sequential::layers;
use super::sizes::Sizes;
use crate::error::Result;
use crate::tensor::{Tensor, TensorOptions};

/// A [`Conv2d`] with as many groups as channels: each channel has filters of its own. With a convolution of 1x1 behind it, a
/// separable convolution. Names are those of `Conv2d`.
///
/// ```
/// use taper::nn::{DepthwiseConv2d, Module};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let layer = DepthwiseConv2d::build(DepthwiseConv2d::builder(8, 1, 3).padding(1), &Device::cpu())?;
/// assert_eq!(layer.forward(&Tensor::ones([1, 8, 5, 5], &Device::cpu())?)?.shape(), [1, 8, 5, 5]);
/// assert_eq!(layer.num_parameters(), 8 * 9 + 8);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct DepthwiseConv2d(Conv2d);

impl DepthwiseConv2d {
    /// One filter a channel, stride 1, no padding, with bias.
    ///
    /// # Errors
    /// As [`ConvBuilder::build`].
    pub fn new(channels: usize, kernel: impl Sizes<2>, options: impl Into<TensorOptions>) -> Result<DepthwiseConv2d> {
        DepthwiseConv2d::build(DepthwiseConv2d::builder(channels, 1, kernel), options)
    }

    /// Stride, padding and so on for `multiplier` filters a channel.
    pub fn builder(channels: usize, multiplier: usize, kernel: impl Sizes<2>) -> ConvBuilder<2> {
        Conv2d::builder(channels, channels.saturating_mul(multiplier), kernel).groups(channels)
    }

    /// # Errors
    /// As [`ConvBuilder::build`].
    pub fn build(builder: ConvBuilder<2>, options: impl Into<TensorOptions>) -> Result<DepthwiseConv2d> {
        builder.build(options).map(DepthwiseConv2d)
    }

    /// # Errors
    /// The input's channels or size do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0.forward(x)
    }
}

impl Module for DepthwiseConv2d {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.0.members(visit);
    }
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.0.members_mut(visit);
    }
    fn copied(&self, copies: &mut Copies) -> Result<DepthwiseConv2d> {
        self.0.copied(copies).map(DepthwiseConv2d)
    }
}

layers!(DepthwiseConv2d);
