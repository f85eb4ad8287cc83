//! Normalisation of each channel of each example.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Buffer, Param, Training, init};

/// For `[N, C, L]` and `[C, L]`.
pub type InstanceNorm1d = InstanceNorm<1>;
/// For `[N, C, H, W]` and `[C, H, W]`.
pub type InstanceNorm2d = InstanceNorm<2>;
/// For `[N, C, D, H, W]` and `[C, D, H, W]`.
pub type InstanceNorm3d = InstanceNorm<3>;

/// Makes the mean 0 and the variance 1 of each channel of each example; on demand scales and shifts each channel, and keeps running
/// statistics that take over in evaluation.
#[derive(Module, Debug)]
pub struct InstanceNorm<const D: usize> {
    pub weight: Option<Param>,
    pub bias: Option<Param>,
    pub running_mean: Option<Buffer>,
    pub running_var: Option<Buffer>,
    pub num_batches_tracked: Option<Buffer>,
    training: Training,
    channels: usize,
    eps: f64,
    momentum: f64,
}

/// Builds an [`InstanceNorm`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct InstanceNormBuilder<const D: usize> {
    channels: usize,
    eps: f64,
    momentum: f64,
    affine: bool,
    bias: bool,
    track: bool,
}

impl<const D: usize> InstanceNorm<D> {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(channels: usize, options: impl Into<TensorOptions>) -> Result<Self> {
        Self::builder(channels).build(options)
    }

    pub fn builder(channels: usize) -> InstanceNormBuilder<D> {
        InstanceNormBuilder { channels, eps: 1e-5, momentum: 0.1, affine: false, bias: true, track: false }
    }

    /// # Errors
    /// The input's rank does not fit, or its channels where there are parameters or statistics; one value a channel.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let single = x.rank() == D + 1;
        if !single && x.rank() != D + 2 {
            return Err(Error::argument(
                "InstanceNorm",
                format!("expects {} or {} dimensions, the input is {:?}", D + 1, D + 2, x.shape()),
            ));
        }
        let x = if single { x.unsqueeze(0)? } else { x.clone() };
        let running = self.running_mean.as_deref().zip(self.running_var.as_deref());
        if (self.weight.is_some() || running.is_some()) && x.shape()[1] != self.channels {
            return Err(Error::argument("InstanceNorm", format!("expects {} channels, the input is {:?}", self.channels, x.shape())));
        }
        let own = self.training.get() || running.is_none();
        let y = x.instance_norm(running, self.weight.as_deref(), self.bias.as_deref(), own, self.momentum, self.eps)?;
        if single { y.squeeze(0) } else { Ok(y) }
    }
}

impl<const D: usize> InstanceNormBuilder<D> {
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The share of each batch in the running statistics.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// With a learned scale and shift.
    pub fn affine(mut self, affine: bool) -> Self {
        self.affine = affine;
        self
    }

    /// With a learned shift, if [`affine`](Self::affine).
    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// With running statistics for evaluation.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.track = track;
        self
    }

    /// # Errors
    /// The device lacks the type or the memory.
    pub fn build(self, options: impl Into<TensorOptions>) -> Result<InstanceNorm<D>> {
        let (options, shape) = (options.into(), [self.channels]);
        let param = |value, wanted: bool| if wanted { init::constant(&shape, value, &options).map(Some) } else { Ok(None) };
        let buffer = |value: f64| -> Result<Option<Buffer>> {
            if self.track { Ok(Some(Buffer::new(Tensor::full(shape, value, options.clone())?))) } else { Ok(None) }
        };
        let count = || Ok(Buffer::new(Tensor::zeros([], (DType::I64, &options.device))?));
        Ok(InstanceNorm {
            weight: param(1.0, self.affine)?,
            bias: param(0.0, self.affine && self.bias)?,
            running_mean: buffer(0.0)?,
            running_var: buffer(1.0)?,
            num_batches_tracked: self.track.then(count).transpose()?,
            training: Training::default(),
            channels: self.channels,
            eps: self.eps,
            momentum: self.momentum,
        })
    }
}

layers!(InstanceNorm<const D>);
