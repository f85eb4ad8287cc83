//! Modules that learn the size of their input from the first one they see.

use std::sync::{Arc, OnceLock};

use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::Linear;
use super::copy::Copies;
use super::module::{Layer, Member, MemberMut, Module, StateDict};

/// A module that is made at the first forward pass, or when a state dict is loaded: PyTorch's `LazyConv2d`,
/// `LazyLinear` and their like.
///
/// Until then it has no parameters: run an input through it before building an optimizer. It is made on the input's
/// device.
///
/// ```
/// use taper::nn::{LazyLinear, Linear, Module};
/// # use taper::prelude::*;
/// # fn main() -> taper::Result<()> {
/// let layer: LazyLinear = Linear::lazy(2, &Device::cpu());
/// assert_eq!(layer.parameters().len(), 0);
/// layer.forward(&Tensor::ones([4, 3], &Device::cpu())?)?;
/// assert_eq!(layer.parameters()[0].shape(), [2, 3]);
/// # Ok(()) }
/// ```
pub struct Lazy<M> {
    made: OnceLock<M>,
    plan: Arc<dyn Plan<M>>,
}

/// How a lazy module is made.
pub(super) trait Plan<M>: Send + Sync {
    /// The size that was missing, from an input.
    fn of_input(&self, input: &[usize]) -> Option<usize>;
    /// The same from the shape of the recorded `weight`.
    fn of_weight(&self, weight: &[usize]) -> Option<usize>;
    fn make(&self, size: usize, device: &Device) -> Result<M>;
    /// Where to make it when there is no input yet.
    fn device(&self) -> &Device;
}

impl<M: Module> Lazy<M> {
    pub(super) fn new(plan: impl Plan<M> + 'static) -> Lazy<M> {
        Lazy { made: OnceLock::new(), plan: Arc::new(plan) }
    }

    /// The module, if it was made.
    pub fn get(&self) -> Option<&M> {
        self.made.get()
    }

    /// The module, made for inputs like this one if it was not yet.
    ///
    /// # Errors
    /// The input has too few dimensions; whatever making the module reports.
    pub fn for_input(&self, x: &Tensor) -> Result<&M> {
        let unfit = || Error::argument("Lazy", format!("an input of {:?} does not say how large the module should be", x.shape()));
        match self.made.get() {
            Some(made) => Ok(made),
            None => self.make(self.plan.of_input(x.shape()).ok_or_else(unfit)?, x.device()),
        }
    }

    fn make(&self, size: usize, device: &Device) -> Result<&M> {
        let made = self.plan.make(size, device)?;
        // Two threads may both come here: one module stays.
        Ok(self.made.get_or_init(|| made))
    }
}

impl<M: Module> Module for Lazy<M> {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        if let Some(made) = self.made.get() {
            made.members(visit);
        }
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        if let Some(made) = self.made.get_mut() {
            made.members_mut(visit);
        }
    }

    fn copied(&self, copies: &mut Copies) -> Result<Lazy<M>> {
        let made = match self.made.get() {
            Some(made) => OnceLock::from(made.copied(copies)?),
            None => OnceLock::new(),
        };
        Ok(Lazy { made, plan: self.plan.clone() })
    }

    fn expect_state(&self, path: &str, state: &StateDict) -> Result<()> {
        let name = if path.is_empty() { "weight".to_string() } else { format!("{path}.weight") };
        if let (None, Some(weight)) = (self.made.get(), state.get(&name)) {
            let unfit = || Error::argument("load_state_dict", format!("{name} is {:?}, which no such module has", weight.shape()));
            self.make(self.plan.of_weight(weight.shape()).ok_or_else(unfit)?, self.plan.device())?;
        }
        Ok(())
    }
}

impl<M: Layer> Lazy<M> {
    /// # Errors
    /// Whatever the module reports; an input that cannot say how large the module should be.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.for_input(x)?.forward(x)
    }
}

impl<M: Layer + 'static> Layer for Lazy<M> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Lazy::forward(self, x)
    }
}

/// [`Linear`] for inputs of any size.
pub type LazyLinear = Lazy<Linear>;

impl Linear {
    /// A linear layer whose `in_features` are the last dimension of the first input it sees.
    pub fn lazy(out_features: usize, options: impl Into<TensorOptions>) -> LazyLinear {
        Lazy::new(LinearPlan { out_features, bias: true, options: options.into() })
    }

    /// [`lazy`](Self::lazy) without bias.
    pub fn lazy_no_bias(out_features: usize, options: impl Into<TensorOptions>) -> LazyLinear {
        Lazy::new(LinearPlan { out_features, bias: false, options: options.into() })
    }
}

struct LinearPlan {
    out_features: usize,
    bias: bool,
    options: TensorOptions,
}

impl Plan<Linear> for LinearPlan {
    fn of_input(&self, input: &[usize]) -> Option<usize> {
        input.last().copied()
    }

    fn of_weight(&self, weight: &[usize]) -> Option<usize> {
        weight.get(1).copied()
    }

    fn make(&self, size: usize, device: &Device) -> Result<Linear> {
        let options = TensorOptions { dtype: self.options.dtype, device: device.clone() };
        if self.bias { Linear::new(size, self.out_features, options) } else { Linear::no_bias(size, self.out_features, options) }
    }

    fn device(&self) -> &Device {
        &self.options.device
    }
}

impl<M: std::fmt::Debug> std::fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.made.get() {
            Some(made) => made.fmt(f),
            None => f.write_str("Lazy"),
        }
    }
}
