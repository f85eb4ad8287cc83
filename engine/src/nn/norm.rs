//! Normalisation: over the batch, over the last dimensions, over groups of channels.

use crate::Module;
use crate::autograd::no_grad;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Buffer, Param, Training, init};

/// For `[N, C]` and `[N, C, L]`.
pub type BatchNorm1d = BatchNorm<1>;
/// For `[N, C, H, W]`.
pub type BatchNorm2d = BatchNorm<2>;
/// For `[N, C, D, H, W]`.
pub type BatchNorm3d = BatchNorm<3>;

/// Makes every channel's mean 0 and variance 1 over the batch, then scales and shifts it.
///
/// In evaluation (and for that, tracked while training) the running statistics take the batch's place. They are
/// tensors on the device, updated in the same plan as the step.
#[derive(Module, Debug)]
pub struct BatchNorm<const D: usize> {
    pub weight: Option<Param>,
    pub bias: Option<Param>,
    pub running_mean: Option<Buffer>,
    pub running_var: Option<Buffer>,
    pub num_batches_tracked: Option<Buffer>,
    training: Training,
    channels: usize,
    eps: f64,
    momentum: Option<f64>,
}

/// Builds a [`BatchNorm`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct BatchNormBuilder<const D: usize> {
    channels: usize,
    eps: f64,
    momentum: Option<f64>,
    affine: bool,
    bias: bool,
    track: bool,
}

impl<const D: usize> BatchNorm<D> {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(channels: usize, options: impl Into<TensorOptions>) -> Result<Self> {
        Self::builder(channels).build(options)
    }

    pub fn builder(channels: usize) -> BatchNormBuilder<D> {
        BatchNormBuilder { channels, eps: 1e-5, momentum: Some(0.1), affine: true, bias: true, track: true }
    }

    /// # Errors
    /// The input's rank or channels do not fit; one value per channel while training.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let ranks = if D == 1 { 2..=3 } else { D + 2..=D + 2 };
        if !ranks.contains(&x.rank()) || x.shape().get(1) != Some(&self.channels) {
            let wanted = ["[N, C] or [N, C, L]", "[N, C, H, W]", "[N, C, D, H, W]"].get(D.wrapping_sub(1)).unwrap_or(&"[N, C, ..]");
            return Err(Error::argument(
                "batch_norm",
                format!("expects {wanted} with C = {}, the input is {:?}", self.channels, x.shape()),
            ));
        }
        let training = self.training.get();
        if let Some(count) = self.num_batches_tracked.as_ref().filter(|_| training) {
            no_grad(|| count.set(&count.add(1)?))?;
        }
        let mut running = self.running_mean.as_deref().zip(self.running_var.as_deref());
        if let (Some((mean, var)), None, true) = (running, self.momentum, training) {
            self.average(x, mean, var)?;
            running = None;
        }
        let (w, b) = (self.weight.as_deref(), self.bias.as_deref());
        x.batch_norm(running, w, b, training || running.is_none(), self.momentum.unwrap_or(0.0), self.eps)
    }

    /// Running statistics that are the plain average of all batches: the share of this one is `1 / count`.
    fn average(&self, x: &Tensor, mean: &Tensor, var: &Tensor) -> Result<()> {
        let Some(count) = &self.num_batches_tracked else { return Ok(()) };
        let dims: Vec<isize> = (0..x.rank() as isize).filter(|&d| d != 1).collect();
        no_grad(|| {
            let share = count.to_dtype(mean.dtype())?.reciprocal()?;
            let x = x.to_dtype(mean.dtype())?;
            for (old, new) in [(mean, x.mean(&dims)?), (var, x.var(&dims, 1.0)?)] {
                old.replace(&old.add(&new.sub(old)?.mul(&share)?)?)?;
            }
            Ok(())
        })
    }
}

impl<const D: usize> BatchNormBuilder<D> {
    pub fn eps(mut self, eps: f64) -> Self {
        self.eps = eps;
        self
    }

    /// The share of each batch in the running statistics; `None`: their plain average.
    pub fn momentum(mut self, momentum: impl Into<Option<f64>>) -> Self {
        self.momentum = momentum.into();
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

    /// Without running statistics (`false`), evaluation uses the batch's own.
    pub fn track_running_stats(mut self, track: bool) -> Self {
        self.track = track;
        self
    }

    /// # Errors
    /// The device lacks the type or the memory.
    pub fn build(self, options: impl Into<TensorOptions>) -> Result<BatchNorm<D>> {
        let (options, shape) = (options.into(), [self.channels]);
        let param = |value, wanted: bool| if wanted { init::constant(&shape, value, &options).map(Some) } else { Ok(None) };
        let buffer = |value: f64| -> Result<Option<Buffer>> {
            if self.track { Ok(Some(Buffer::new(Tensor::full(shape, value, options.clone())?))) } else { Ok(None) }
        };
        let count = || Ok(Buffer::new(Tensor::zeros([], (DType::I64, &options.device))?));
        Ok(BatchNorm {
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

/// Makes mean 0 and variance 1 over the last dimensions, then scales and shifts each element.
#[derive(Module, Debug)]
pub struct LayerNorm {
    pub weight: Option<Param>,
    pub bias: Option<Param>,
    normalized: Vec<usize>,
    eps: f64,
}

impl LayerNorm {
    /// Over the last dimensions, whose sizes are `normalized`; eps 1e-5.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(normalized: impl AsRef<[usize]>, options: impl Into<TensorOptions>) -> Result<LayerNorm> {
        let (shape, options) = (normalized.as_ref(), options.into());
        let weight = Some(init::constant(shape, 1.0, &options)?);
        Ok(LayerNorm { weight, bias: Some(init::constant(shape, 0.0, &options)?), normalized: shape.to_vec(), eps: 1e-5 })
    }

    /// The same without a learned scale and shift.
    pub fn plain(mut self) -> LayerNorm {
        (self.weight, self.bias) = (None, None);
        self
    }

    /// The same without a learned shift.
    pub fn no_bias(mut self) -> LayerNorm {
        self.bias = None;
        self
    }

    pub fn eps(mut self, eps: f64) -> LayerNorm {
        self.eps = eps;
        self
    }

    /// # Errors
    /// The input's last dimensions are others.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.layer_norm(&self.normalized, self.weight.as_deref(), self.bias.as_deref(), self.eps)
    }
}

/// Divides by the root of the mean square over the last dimensions, then scales each element.
#[derive(Module, Debug)]
pub struct RMSNorm {
    pub weight: Option<Param>,
    normalized: Vec<usize>,
    eps: Option<f64>,
}

impl RMSNorm {
    /// Over the last dimensions, whose sizes are `normalized`; eps is the type's machine epsilon.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(normalized: impl AsRef<[usize]>, options: impl Into<TensorOptions>) -> Result<RMSNorm> {
        let shape = normalized.as_ref();
        Ok(RMSNorm { weight: Some(init::constant(shape, 1.0, &options.into())?), normalized: shape.to_vec(), eps: None })
    }

    /// The same without a learned scale.
    pub fn plain(mut self) -> RMSNorm {
        self.weight = None;
        self
    }

    pub fn eps(mut self, eps: f64) -> RMSNorm {
        self.eps = Some(eps);
        self
    }

    /// # Errors
    /// The input's last dimensions are others.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.rms_norm(&self.normalized, self.weight.as_deref(), self.eps)
    }
}

/// Makes mean 0 and variance 1 over each group of channels of each example, then scales and shifts each channel.
#[derive(Module, Debug)]
pub struct GroupNorm {
    pub weight: Option<Param>,
    pub bias: Option<Param>,
    groups: usize,
    channels: usize,
    eps: f64,
}

impl GroupNorm {
    /// # Errors
    /// The groups do not divide the channels; the device lacks the type or the memory.
    pub fn new(groups: usize, channels: usize, options: impl Into<TensorOptions>) -> Result<GroupNorm> {
        if groups == 0 || channels % groups != 0 {
            return Err(Error::argument("GroupNorm", format!("{groups} groups do not divide {channels} channels")));
        }
        let options = options.into();
        let weight = Some(init::constant(&[channels], 1.0, &options)?);
        Ok(GroupNorm { weight, bias: Some(init::constant(&[channels], 0.0, &options)?), groups, channels, eps: 1e-5 })
    }

    /// The same without a learned scale and shift.
    pub fn plain(mut self) -> GroupNorm {
        (self.weight, self.bias) = (None, None);
        self
    }

    /// The same without a learned shift.
    pub fn no_bias(mut self) -> GroupNorm {
        self.bias = None;
        self
    }

    pub fn eps(mut self, eps: f64) -> GroupNorm {
        self.eps = eps;
        self
    }

    /// Shapes: input and output `[N, C, ..]`.
    ///
    /// # Errors
    /// The input has other channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.shape().get(1) != Some(&self.channels) {
            return Err(Error::argument("group_norm", format!("expects {} channels, the input is {:?}", self.channels, x.shape())));
        }
        x.group_norm(self.groups, self.weight.as_deref(), self.bias.as_deref(), self.eps)
    }
}

layers!(BatchNorm<const D>, LayerNorm, RMSNorm, GroupNorm);
