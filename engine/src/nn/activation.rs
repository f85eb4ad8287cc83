//! Activations as layers, for [`Sequential`](super::Sequential); elsewhere the tensor methods are shorter.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Param, Training, init};

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident: $x:ident => $y:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Module, Debug, Clone, Copy, Default)]
        pub struct $name;

        impl $name {
            /// # Errors
            /// The element type does not fit.
            pub fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                $y
            }
        }
        layers!($name);
    )*};
}

activations! {
    /// `max(x, 0)`
    ReLU: x => x.relu();
    /// `x / (1 + exp(-x))`
    SiLU: x => x.silu();
    /// The hyperbolic tangent.
    Tanh: x => x.tanh();
    /// `1 / (1 + exp(-x))`
    Sigmoid: x => x.sigmoid();
    /// `x` as it is.
    Identity: x => Ok(x.clone());
    /// `min(max(x, 0), 6)`
    ReLU6: x => x.relu6();
    /// [`ELU`] with the scale and alpha that keep mean 0 and variance 1.
    SELU: x => x.selu();
    /// `x tanh(softplus(x))`
    Mish: x => x.mish();
    /// `relu6(x + 3) / 6`
    Hardsigmoid: x => x.hardsigmoid();
    /// `x relu6(x + 3) / 6`
    Hardswish: x => x.hardswish();
    /// The logarithm of [`Sigmoid`], computed stably.
    LogSigmoid: x => x.log_sigmoid();
    /// `x / (1 + |x|)`
    Softsign: x => x.softsign();
    /// `x - tanh(x)`
    Tanhshrink: x => x.tanhshrink();
    /// [`Softmax`] over the channels of images `[N, C, H, W]` or `[C, H, W]`.
    Softmax2d: x => match x.rank() {
        3 | 4 => x.softmax(-3),
        _ => Err(Error::argument("Softmax2d", format!("expects [N, C, H, W] or [C, H, W], not {:?}", x.shape()))),
    };
}

/// `x Φ(x)`, exactly or by its tanh approximation.
#[derive(Module, Debug, Clone, Copy, Default)]
pub struct GELU {
    tanh: bool,
}

impl GELU {
    pub fn new() -> GELU {
        GELU { tanh: false }
    }

    /// `approximate = "tanh"`.
    pub fn tanh() -> GELU {
        GELU { tanh: true }
    }

    /// # Errors
    /// The input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.gelu(if self.tanh { "tanh" } else { "none" })
    }
}

macro_rules! with_numbers {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty = $default:expr),+ } $x:ident => $y:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Module, Debug, Clone, Copy)]
        pub struct $name {
            $($field: $type,)+
        }

        impl $name {
            pub fn new($($field: $type),+) -> $name {
                $name { $($field),+ }
            }

            /// # Errors
            /// The element type or the numbers do not fit.
            pub fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $name { $($field),+ } = *self;
                $y
            }
        }

        /// PyTorch's defaults.
        impl Default for $name {
            fn default() -> $name {
                $name::new($($default),+)
            }
        }
        layers!($name);
    )*};
}

with_numbers! {
    /// `x` where positive, `negative_slope x` elsewhere.
    LeakyReLU { negative_slope: f64 = 0.01 } x => x.leaky_relu(negative_slope);
    /// `x` where positive, `alpha (exp(x) - 1)` elsewhere.
    ELU { alpha: f64 = 1.0 } x => x.elu(alpha);
    /// `x` where positive, `alpha (exp(x / alpha) - 1)` elsewhere.
    CELU { alpha: f64 = 1.0 } x => x.celu(alpha);
    /// `x` where `|x| > lambd`, 0 elsewhere.
    Hardshrink { lambd: f64 = 0.5 } x => x.hardshrink(lambd);
    /// `x` moved towards 0 by `lambd`.
    Softshrink { lambd: f64 = 0.5 } x => x.softshrink(lambd);
    /// `x` between `min_val` and `max_val`.
    Hardtanh { min_val: f64 = -1.0, max_val: f64 = 1.0 } x => x.hardtanh(min_val, max_val);
    /// `log(1 + exp(beta x)) / beta`, and `x` itself where `beta x > threshold`.
    Softplus { beta: f64 = 1.0, threshold: f64 = 20.0 } x => x.softplus(beta, threshold);
    /// `a sigmoid(b)` for the two halves of dimension `dim`.
    GLU { dim: isize = -1 } x => x.glu(dim);
}

/// `x` where it is above `threshold`, `value` elsewhere.
#[derive(Module, Debug, Clone, Copy)]
pub struct Threshold {
    threshold: f64,
    value: f64,
}

impl Threshold {
    pub fn new(threshold: f64, value: f64) -> Threshold {
        Threshold { threshold, value }
    }

    /// # Errors
    /// A `bool` input.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.threshold(self.threshold, self.value)
    }
}

macro_rules! along_a_dimension {
    ($($(#[$doc:meta])* $name:ident $method:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// `default()` chooses the dimension by the input's rank as PyTorch does without one: 0 for ranks 0, 1 and 3, else 1.
        #[derive(Module, Debug, Clone, Copy, Default)]
        pub struct $name {
            dim: Option<isize>,
        }

        impl $name {
            pub fn new(dim: isize) -> $name {
                $name { dim: Some(dim) }
            }

            /// # Errors
            /// The dimension is out of range; the input is not floating point.
            pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
                let implied = if matches!(x.rank(), 0 | 1 | 3) { 0 } else { 1 };
                x.$method(self.dim.unwrap_or(implied))
            }
        }
        layers!($name);
    )*};
}

along_a_dimension! {
    /// `exp(x) / sum(exp(x))` along a dimension.
    Softmax softmax;
    /// The logarithm of [`Softmax`], computed stably.
    LogSoftmax log_softmax;
    /// [`Softmax`] of `-x`.
    Softmin softmin;
}

/// `x` where positive, a learned multiple of `x` elsewhere: one for all, or one for each channel (dimension 1).
#[derive(Module, Debug)]
pub struct PReLU {
    pub weight: Param,
}

impl PReLU {
    /// One slope, 0.25 at first.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(options: impl Into<TensorOptions>) -> Result<PReLU> {
        PReLU::with(1, 0.25, options)
    }

    /// `slopes` of them, `init` at first.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn with(slopes: usize, init: f64, options: impl Into<TensorOptions>) -> Result<PReLU> {
        Ok(PReLU { weight: init::constant(&[slopes], init, &options.into())? })
    }

    /// # Errors
    /// The input has another number of channels than there are slopes.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.prelu(&self.weight)
    }
}

/// `x` where positive, elsewhere `x` times a number drawn between `lower` and `upper` while training, their mean in evaluation.
#[derive(Module, Debug, Clone)]
pub struct RReLU {
    lower: f64,
    upper: f64,
    training: Training,
}

impl RReLU {
    /// # Errors
    /// `lower` is above `upper`.
    pub fn new(lower: f64, upper: f64) -> Result<RReLU> {
        if lower <= upper {
            return Ok(RReLU { lower, upper, training: Training::default() });
        }
        Err(Error::argument("RReLU", format!("the slopes lie between {lower} and {upper}, which is less")))
    }

    /// # Errors
    /// The input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.rrelu(self.lower, self.upper, self.training.get())
    }
}

/// PyTorch's defaults: slopes between 1/8 and 1/3.
impl Default for RReLU {
    fn default() -> RReLU {
        RReLU { lower: 1.0 / 8.0, upper: 1.0 / 3.0, training: Training::default() }
    }
}

layers!(GELU, Threshold, PReLU, RReLU);
