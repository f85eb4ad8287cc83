//! The fully connected layer, and what flattens images for it.

use crate::error::Result;
use crate::tensor::{Tensor, TensorOptions};
use crate::{Module, nn};

use super::module::Layer;
use super::{Param, init};

/// Applies `y = x Wᵀ + b` to the last dimension.
///
/// Shapes: input `[.., in_features]`, output `[.., out_features]`; `weight` `[out, in]`, `bias` `[out]`. Both
/// start uniform within `1 / sqrt(in_features)`.
#[derive(Module, Debug)]
pub struct Linear {
    pub weight: Param,
    pub bias: Option<Param>,
}

impl Linear {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(in_features: usize, out_features: usize, options: impl Into<TensorOptions>) -> Result<Linear> {
        let options = options.into();
        let shape = [out_features, in_features];
        let weight = init::weight(&shape, &options)?;
        Ok(Linear { weight, bias: Some(init::bias(out_features, &shape, &options)?) })
    }

    /// A linear layer without bias.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn no_bias(in_features: usize, out_features: usize, options: impl Into<TensorOptions>) -> Result<Linear> {
        Ok(Linear { weight: init::weight(&[out_features, in_features], &options.into())?, bias: None })
    }

    /// # Errors
    /// The last dimension is not `in_features`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.linear(&self.weight, self.bias.as_deref())
    }
}

/// Makes one dimension of dimensions `start` to `end`; by default of all but the first.
#[derive(Module, Debug, Clone)]
pub struct Flatten {
    start: isize,
    end: isize,
}

impl Flatten {
    pub fn new() -> Flatten {
        Flatten { start: 1, end: -1 }
    }

    /// From dimension `start` to `end`, both included; negative counts from the end.
    pub fn dims(start: isize, end: isize) -> Flatten {
        Flatten { start, end }
    }

    /// # Errors
    /// The dimensions are out of range.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.flatten(self.start, self.end)
    }
}

impl Default for Flatten {
    fn default() -> Flatten {
        Flatten::new()
    }
}

nn::sequential::layers!(Linear, Flatten);
