//! Pooling over windows of images, in one to three dimensions.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

use super::module::Layer;
use super::sequential::layers;
use super::{Buffer, Sizes};

pub type MaxPool1d = MaxPool<1>;
pub type MaxPool2d = MaxPool<2>;
pub type MaxPool3d = MaxPool<3>;
pub type MaxUnpool1d = MaxUnpool<1>;
pub type MaxUnpool2d = MaxUnpool<2>;
pub type MaxUnpool3d = MaxUnpool<3>;
pub type AvgPool1d = AvgPool<1>;
pub type AvgPool2d = AvgPool<2>;
pub type AvgPool3d = AvgPool<3>;
pub type LPPool1d = LPPool<1>;
pub type LPPool2d = LPPool<2>;
pub type LPPool3d = LPPool<3>;
pub type AdaptiveAvgPool1d = AdaptiveAvgPool<1>;
pub type AdaptiveAvgPool2d = AdaptiveAvgPool<2>;
pub type AdaptiveAvgPool3d = AdaptiveAvgPool<3>;
pub type AdaptiveMaxPool1d = AdaptiveMaxPool<1>;
pub type AdaptiveMaxPool2d = AdaptiveMaxPool<2>;
pub type AdaptiveMaxPool3d = AdaptiveMaxPool<3>;
pub type FractionalMaxPool2d = FractionalMaxPool<2>;
pub type FractionalMaxPool3d = FractionalMaxPool<3>;

/// The maximum of each window.
#[derive(Module, Debug, Clone)]
pub struct MaxPool<const D: usize> {
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
    dilation: [usize; D],
    ceil_mode: bool,
}

impl<const D: usize> MaxPool<D> {
    /// Windows of `kernel` side by side.
    pub fn new(kernel: impl Sizes<D>) -> Self {
        let kernel = kernel.sizes();
        MaxPool { kernel, stride: kernel, padding: [0; D], dilation: [1; D], ceil_mode: false }
    }

    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.stride = stride.sizes();
        self
    }

    /// Negative infinity is added on both sides, at most half a window of it.
    pub fn padding(mut self, padding: impl Sizes<D>) -> Self {
        self.padding = padding.sizes();
        self
    }

    pub fn dilation(mut self, dilation: impl Sizes<D>) -> Self {
        self.dilation = dilation.sizes();
        self
    }

    /// The last window may reach past the border.
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.ceil_mode = on;
        self
    }

    /// # Errors
    /// The windows do not fit the input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward_with_indices(x)?.0)
    }

    /// The maxima, and where each lies in its plane (`i64`): what [`MaxUnpool`] takes.
    ///
    /// # Errors
    /// The windows do not fit the input.
    pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        x.max_pool([self.kernel, self.stride, self.padding, self.dilation], self.ceil_mode)
    }
}

/// Puts maxima back where [`MaxPool::forward_with_indices`] found them; zeros elsewhere.
#[derive(Module, Debug, Clone)]
pub struct MaxUnpool<const D: usize> {
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
}

impl<const D: usize> MaxUnpool<D> {
    /// For windows of `kernel` side by side.
    pub fn new(kernel: impl Sizes<D>) -> Self {
        let kernel = kernel.sizes();
        MaxUnpool { kernel, stride: kernel, padding: [0; D] }
    }

    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.stride = stride.sizes();
        self
    }

    pub fn padding(mut self, padding: impl Sizes<D>) -> Self {
        self.padding = padding.sizes();
        self
    }

    /// `output`: the last sizes of the result, where the smallest that fits is not meant.
    ///
    /// # Errors
    /// Indices of another shape or type or out of range; a size the windows could not have.
    pub fn forward(&self, x: &Tensor, indices: &Tensor, output: Option<&[usize]>) -> Result<Tensor> {
        x.max_unpool(indices, self.kernel, self.stride, self.padding, output)
    }
}

/// The mean of each window.
#[derive(Module, Debug, Clone)]
pub struct AvgPool<const D: usize> {
    kernel: [usize; D],
    stride: [usize; D],
    padding: [usize; D],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Option<usize>,
}

impl<const D: usize> AvgPool<D> {
    /// Windows of `kernel` side by side.
    pub fn new(kernel: impl Sizes<D>) -> Self {
        let kernel = kernel.sizes();
        AvgPool { kernel, stride: kernel, padding: [0; D], ceil_mode: false, count_include_pad: true, divisor: None }
    }

    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.stride = stride.sizes();
        self
    }

    /// Zeros are added on both sides, at most half a window of them.
    pub fn padding(mut self, padding: impl Sizes<D>) -> Self {
        self.padding = padding.sizes();
        self
    }

    /// The last window may reach past the border.
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.ceil_mode = on;
        self
    }

    /// Whether padding counts as elements of the mean.
    pub fn count_include_pad(mut self, on: bool) -> Self {
        self.count_include_pad = on;
        self
    }

    /// Divides the sum by this instead of the window's size.
    pub fn divisor_override(mut self, divisor: usize) -> Self {
        self.divisor = Some(divisor);
        self
    }

    /// # Errors
    /// The windows do not fit the input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.avg_pool([self.kernel, self.stride, self.padding], self.ceil_mode, self.count_include_pad, self.divisor)
    }
}

/// The `p`-norm of each window.
#[derive(Module, Debug, Clone)]
pub struct LPPool<const D: usize> {
    p: f64,
    kernel: [usize; D],
    stride: [usize; D],
    ceil_mode: bool,
}

impl<const D: usize> LPPool<D> {
    /// Windows of `kernel` side by side.
    pub fn new(p: f64, kernel: impl Sizes<D>) -> Self {
        let kernel = kernel.sizes();
        LPPool { p, kernel, stride: kernel, ceil_mode: false }
    }

    pub fn stride(mut self, stride: impl Sizes<D>) -> Self {
        self.stride = stride.sizes();
        self
    }

    /// The last window may reach past the border.
    pub fn ceil_mode(mut self, on: bool) -> Self {
        self.ceil_mode = on;
        self
    }

    /// # Errors
    /// The windows do not fit the input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.lp_pool(self.p, self.kernel, self.stride, self.ceil_mode)
    }
}

/// The output sizes, those that were left out from the input.
fn kept<const D: usize>(output: [Option<usize>; D], x: &Tensor) -> [usize; D] {
    let lead = x.rank().saturating_sub(D);
    std::array::from_fn(|d| output[d].unwrap_or_else(|| x.shape().get(lead + d).copied().unwrap_or(1)))
}

/// Means of as many windows as it takes to get an output of a given size.
#[derive(Module, Debug, Clone)]
pub struct AdaptiveAvgPool<const D: usize> {
    output: [Option<usize>; D],
}

impl<const D: usize> AdaptiveAvgPool<D> {
    pub fn new(output: impl Sizes<D>) -> Self {
        AdaptiveAvgPool { output: output.sizes().map(Some) }
    }

    /// The sizes of the output; `None` keeps the input's.
    pub fn keeping(output: [Option<usize>; D]) -> Self {
        AdaptiveAvgPool { output }
    }

    /// # Errors
    /// The input has too few or too many dimensions, or is empty.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.adaptive_avg_pool(kept(self.output, x))
    }
}

/// Maxima of as many windows as it takes to get an output of a given size.
#[derive(Module, Debug, Clone)]
pub struct AdaptiveMaxPool<const D: usize> {
    output: [Option<usize>; D],
}

impl<const D: usize> AdaptiveMaxPool<D> {
    pub fn new(output: impl Sizes<D>) -> Self {
        AdaptiveMaxPool { output: output.sizes().map(Some) }
    }

    /// The sizes of the output; `None` keeps the input's.
    pub fn keeping(output: [Option<usize>; D]) -> Self {
        AdaptiveMaxPool { output }
    }

    /// # Errors
    /// The input has too few or too many dimensions, or is empty.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(self.forward_with_indices(x)?.0)
    }

    /// The maxima, and where each lies in its plane (`i64`).
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_with_indices(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        x.adaptive_max_pool(kept(self.output, x))
    }
}

/// Maxima of windows that are placed at random, anew for every input (Graham, 2014). Evaluation is random too.
#[derive(Module, Debug, Clone)]
pub struct FractionalMaxPool<const D: usize> {
    kernel: [usize; D],
    output: FractionalOutput<D>,
    #[module(rename = "_random_samples")]
    samples: Option<Buffer>,
}

#[derive(Debug, Clone, Copy)]
enum FractionalOutput<const D: usize> {
    Size([usize; D]),
    Ratio([f64; D]),
}

impl<const D: usize> FractionalMaxPool<D> {
    /// Windows of `kernel`, as many as `output` says.
    pub fn new(kernel: impl Sizes<D>, output: impl Sizes<D>) -> Self {
        FractionalMaxPool { kernel: kernel.sizes(), output: FractionalOutput::Size(output.sizes()), samples: None }
    }

    /// Windows of `kernel`, for outputs of `ratio` of the input's size.
    ///
    /// # Errors
    /// A ratio that is not between 0 and 1.
    pub fn with_ratio(kernel: impl Sizes<D>, ratio: [f64; D]) -> Result<Self> {
        if !ratio.iter().all(|r| *r > 0.0 && *r < 1.0) {
            return Err(Error::argument("FractionalMaxPool", format!("the ratio must be between 0 and 1, not {ratio:?}")));
        }
        Ok(FractionalMaxPool { kernel: kernel.sizes(), output: FractionalOutput::Ratio(ratio), samples: None })
    }

    /// Places the windows by these samples `[N, C, D]` every time.
    pub fn samples(mut self, samples: &Tensor) -> Self {
        self.samples = Some(Buffer::new(samples.clone()));
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
        let input = kept([None; D], x);
        let output = match self.output {
            FractionalOutput::Size(size) => size,
            FractionalOutput::Ratio(ratio) => std::array::from_fn(|d| (input[d] as f64 * ratio[d]) as usize),
        };
        x.fractional_max_pool(self.kernel, output, self.samples.as_deref())
    }
}

layers!(
    MaxPool<const D>,
    AvgPool<const D>,
    LPPool<const D>,
    AdaptiveAvgPool<const D>,
    AdaptiveMaxPool<const D>,
    FractionalMaxPool<const D>
);
