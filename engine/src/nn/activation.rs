//! Activations as layers, for [`Sequential`](super::Sequential); elsewhere the tensor methods are shorter.

use crate::Module;
use crate::error::Result;
use crate::tensor::Tensor;

use super::module::Layer;
use super::sequential::layers;

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

/// `x` where positive, `slope * x` elsewhere.
#[derive(Module, Debug, Clone, Copy)]
pub struct LeakyReLU {
    negative_slope: f64,
}

impl LeakyReLU {
    pub fn new(negative_slope: f64) -> LeakyReLU {
        LeakyReLU { negative_slope }
    }

    /// # Errors
    /// The input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.leaky_relu(self.negative_slope)
    }
}

impl Default for LeakyReLU {
    fn default() -> LeakyReLU {
        LeakyReLU::new(0.01)
    }
}

/// `x` where positive, `alpha * (exp(x) - 1)` elsewhere.
#[derive(Module, Debug, Clone, Copy)]
pub struct ELU {
    alpha: f64,
}

impl ELU {
    pub fn new(alpha: f64) -> ELU {
        ELU { alpha }
    }

    /// # Errors
    /// The input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.elu(self.alpha)
    }
}

impl Default for ELU {
    fn default() -> ELU {
        ELU::new(1.0)
    }
}

/// `exp(x) / sum(exp(x))` along a dimension.
#[derive(Module, Debug, Clone, Copy)]
pub struct Softmax {
    dim: isize,
}

impl Softmax {
    pub fn new(dim: isize) -> Softmax {
        Softmax { dim }
    }

    /// # Errors
    /// The dimension is out of range; the input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.softmax(self.dim)
    }
}

/// The logarithm of [`Softmax`], computed stably.
#[derive(Module, Debug, Clone, Copy)]
pub struct LogSoftmax {
    dim: isize,
}

impl LogSoftmax {
    pub fn new(dim: isize) -> LogSoftmax {
        LogSoftmax { dim }
    }

    /// # Errors
    /// The dimension is out of range; the input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.log_softmax(self.dim)
    }
}

layers!(GELU, LeakyReLU, ELU, Softmax, LogSoftmax);
