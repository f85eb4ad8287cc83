//! Optimizers: what a step does with gradients.
//!
//! Each algorithm is a [`Rule`]: a few lines of tensor code over *slabs*. An optimizer moves all parameters of
//! a group into one slab tensor, and keeps its states in slabs of the same layout, so that the rule is one
//! kernel whatever the number of parameters.
//!
//! ```
//! use taper::nn::{Linear, Module};
//! use taper::optim::{Adam, Optimizer};
//! # use taper::prelude::*;
//! # fn main() -> Result<()> {
//! # let device = Device::cpu();
//! let model = Linear::new(2, 1, &device)?;
//! let mut optimizer = Adam::builder(1e-2).weight_decay(1e-4).build(model.parameters())?;
//! for _ in 0..10 {
//!     let loss = model.forward(&Tensor::ones([4, 2], &device)?)?.square()?.mean_all()?;
//!     optimizer.zero_grad(true)?;
//!     loss.backward()?;
//!     optimizer.step()?;
//! }
//! # Ok(()) }
//! ```

mod adam;
mod optimizer;
mod sgd;
mod slab;
mod state;
#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamRule, AdamW};
pub use optimizer::{Optim, Optimizer, Rule};
pub use sgd::{Sgd, SgdRule};
pub use state::{GroupState, OptimizerState};

/// PyTorch's spelling of [`Sgd`].
pub type SGD = Sgd;

use crate::error::{Error, Result};

/// Refuses a hyperparameter that is out of its range, or not a number.
fn require(op: &'static str, name: &str, value: f64, fits: bool) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::argument(op, format!("{name} = {value} is out of range"))) }
}
