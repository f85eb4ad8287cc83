//! Layers that move elements between channels and space, or resample space.

use crate::Module;
use crate::error::Result;
use crate::tensor::{Interpolation, InterpolationMode, Tensor};

use super::Sizes;
use super::module::Layer;
use super::sequential::layers;

/// The spatial dimensions in other sizes; see [`Tensor::interpolate`].
#[derive(Module, Debug, Clone)]
pub struct Upsample {
    how: Interpolation,
}

impl Upsample {
    pub fn new(how: Interpolation) -> Upsample {
        Upsample { how }
    }

    /// PyTorch's `UpsamplingNearest2d`, by these factors.
    pub fn nearest2d(scale: [f64; 2]) -> Upsample {
        Upsample { how: Interpolation::by_scale(InterpolationMode::Nearest, &scale) }
    }

    /// PyTorch's `UpsamplingBilinear2d`, by these factors: corners stay where they are.
    pub fn bilinear2d(scale: [f64; 2]) -> Upsample {
        Upsample { how: Interpolation::by_scale(InterpolationMode::Bilinear, &scale).align_corners(Some(true)) }
    }

    /// # Errors
    /// The mode does not fit the input's number of dimensions.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.interpolate(&self.how)
    }
}

/// Channels become space: `[.., C * r^2, H, W]` to `[.., C, H * r, W * r]`.
#[derive(Module, Debug, Clone)]
pub struct PixelShuffle {
    factor: usize,
}

impl PixelShuffle {
    pub fn new(factor: usize) -> PixelShuffle {
        PixelShuffle { factor }
    }

    /// # Errors
    /// Channels that `r^2` does not divide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.pixel_shuffle(self.factor)
    }
}

/// Space becomes channels: `[.., C, H * r, W * r]` to `[.., C * r^2, H, W]`.
#[derive(Module, Debug, Clone)]
pub struct PixelUnshuffle {
    factor: usize,
}

impl PixelUnshuffle {
    pub fn new(factor: usize) -> PixelUnshuffle {
        PixelUnshuffle { factor }
    }

    /// # Errors
    /// Height or width that `r` does not divide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.pixel_unshuffle(self.factor)
    }
}

/// Channels of groups dealt out in turn.
#[derive(Module, Debug, Clone)]
pub struct ChannelShuffle {
    groups: usize,
}

impl ChannelShuffle {
    pub fn new(groups: usize) -> ChannelShuffle {
        ChannelShuffle { groups }
    }

    /// # Errors
    /// Channels that the groups do not divide.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.channel_shuffle(self.groups)
    }
}

/// Windows of an image as columns; see [`Tensor::im2col`].
#[derive(Module, Debug, Clone)]
pub struct Unfold {
    kernel: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    stride: [usize; 2],
}

impl Unfold {
    pub fn new(kernel: impl Sizes<2>) -> Unfold {
        Unfold { kernel: kernel.sizes(), dilation: [1; 2], padding: [0; 2], stride: [1; 2] }
    }

    pub fn dilation(mut self, dilation: impl Sizes<2>) -> Unfold {
        self.dilation = dilation.sizes();
        self
    }

    pub fn padding(mut self, padding: impl Sizes<2>) -> Unfold {
        self.padding = padding.sizes();
        self
    }

    pub fn stride(mut self, stride: impl Sizes<2>) -> Unfold {
        self.stride = stride.sizes();
        self
    }

    /// # Errors
    /// The windows do not fit the input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.im2col(self.kernel, self.dilation, self.padding, self.stride)
    }
}

/// Columns added back into an image; see [`Tensor::fold`].
#[derive(Module, Debug, Clone)]
pub struct Fold {
    output: [usize; 2],
    windows: Unfold,
}

impl Fold {
    /// Images of size `output` from the columns that `windows` makes of them.
    pub fn new(output: impl Sizes<2>, windows: Unfold) -> Fold {
        Fold { output: output.sizes(), windows }
    }

    /// # Errors
    /// The columns do not fit.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let w = &self.windows;
        x.fold(self.output, w.kernel, w.dilation, w.padding, w.stride)
    }
}

/// One dimension as several.
#[derive(Module, Debug, Clone)]
pub struct Unflatten {
    dim: isize,
    sizes: Vec<isize>,
}

impl Unflatten {
    /// `sizes` of dimension `dim`; one of them may be -1.
    pub fn new(dim: isize, sizes: &[isize]) -> Unflatten {
        Unflatten { dim, sizes: sizes.to_vec() }
    }

    /// # Errors
    /// The sizes do not fit the dimension.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.unflatten(self.dim, &self.sizes)
    }
}

/// Divides by a power of the mean square of neighbouring channels; see [`Tensor::local_response_norm`].
#[derive(Module, Debug, Clone)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LocalResponseNorm {
    /// Over `size` channels, with PyTorch's `alpha` of 1e-4, `beta` of 0.75 and `k` of 1.
    pub fn new(size: usize) -> LocalResponseNorm {
        LocalResponseNorm { size, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }

    pub fn alpha(mut self, alpha: f64) -> LocalResponseNorm {
        self.alpha = alpha;
        self
    }

    pub fn beta(mut self, beta: f64) -> LocalResponseNorm {
        self.beta = beta;
        self
    }

    pub fn k(mut self, k: f64) -> LocalResponseNorm {
        self.k = k;
        self
    }

    /// # Errors
    /// The input has fewer than three dimensions.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.local_response_norm(self.size, self.alpha, self.beta, self.k)
    }
}

layers!(Upsample, PixelShuffle, PixelUnshuffle, ChannelShuffle, Unfold, Fold, Unflatten, LocalResponseNorm);
