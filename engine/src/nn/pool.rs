//! Pooling over windows of images.

use crate::Module;
use crate::error::Result;
use crate::tensor::Tensor;

use super::Sizes;
use super::module::Layer;
use super::sequential::layers;

/// The maximum of each window.
#[derive(Module, Debug, Clone)]
pub struct MaxPool2d {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    dilation: [usize; 2],
    ceil_mode: bool,
}

impl MaxPool2d {
    /// Windows of `kernel` side by side.
    pub fn new(kernel: impl Sizes<2>) -> MaxPool2d {
        let kernel = kernel.sizes();
        MaxPool2d { kernel, stride: kernel, padding: [0; 2], dilation: [1; 2], ceil_mode: false }
    }

    pub fn stride(mut self, stride: impl Sizes<2>) -> MaxPool2d {
        self.stride = stride.sizes();
        self
    }

    /// Negative infinity is added on both sides, at most half a window of it.
    pub fn padding(mut self, padding: impl Sizes<2>) -> MaxPool2d {
        self.padding = padding.sizes();
        self
    }

    pub fn dilation(mut self, dilation: impl Sizes<2>) -> MaxPool2d {
        self.dilation = dilation.sizes();
        self
    }

    /// The last window may reach past the border.
    pub fn ceil_mode(mut self, on: bool) -> MaxPool2d {
        self.ceil_mode = on;
        self
    }

    /// # Errors
    /// The windows do not fit the input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward_with_indices(x)?.0)
    }

    /// The maxima, and where each lies in its plane (`i64`).
    ///
    /// # Errors
    /// The windows do not fit the input.
    pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        x.max_pool2d_with_indices(self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)
    }
}

/// The mean of each window.
#[derive(Module, Debug, Clone)]
pub struct AvgPool2d {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Option<usize>,
}

impl AvgPool2d {
    /// Windows of `kernel` side by side.
    pub fn new(kernel: impl Sizes<2>) -> AvgPool2d {
        let kernel = kernel.sizes();
        AvgPool2d { kernel, stride: kernel, padding: [0; 2], ceil_mode: false, count_include_pad: true, divisor: None }
    }

    pub fn stride(mut self, stride: impl Sizes<2>) -> AvgPool2d {
        self.stride = stride.sizes();
        self
    }

    /// Zeros are added on both sides, at most half a window of them.
    pub fn padding(mut self, padding: impl Sizes<2>) -> AvgPool2d {
        self.padding = padding.sizes();
        self
    }

    /// The last window may reach past the border.
    pub fn ceil_mode(mut self, on: bool) -> AvgPool2d {
        self.ceil_mode = on;
        self
    }

    /// Whether padding counts as elements of the mean.
    pub fn count_include_pad(mut self, on: bool) -> AvgPool2d {
        self.count_include_pad = on;
        self
    }

    /// Divides the sum by this instead of the window's size.
    pub fn divisor_override(mut self, divisor: usize) -> AvgPool2d {
        self.divisor = Some(divisor);
        self
    }

    /// # Errors
    /// The windows do not fit the input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.avg_pool2d(self.kernel, self.stride, self.padding, self.ceil_mode, self.count_include_pad, self.divisor)
    }
}

/// Means of as many windows as it takes to get an output of a given size.
#[derive(Module, Debug, Clone)]
pub struct AdaptiveAvgPool2d {
    output: [Option<usize>; 2],
}

impl AdaptiveAvgPool2d {
    pub fn new(output: impl Sizes<2>) -> AdaptiveAvgPool2d {
        AdaptiveAvgPool2d { output: output.sizes().map(Some) }
    }

    /// Height and width of the output; `None` keeps the input's.
    pub fn keeping(output: [Option<usize>; 2]) -> AdaptiveAvgPool2d {
        AdaptiveAvgPool2d { output }
    }

    /// # Errors
    /// The input has fewer than three dimensions.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [height, width] = self.output;
        x.adaptive_avg_pool2d([height.unwrap_or(x.size(-2)?), width.unwrap_or(x.size(-1)?)])
    }
}

layers!(MaxPool2d, AvgPool2d, AdaptiveAvgPool2d);
