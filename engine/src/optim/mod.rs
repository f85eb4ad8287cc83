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

mod accumulate;
mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod asgd;
mod build;
mod clip;
mod ema;
#[cfg(test)]
mod family_tests;
mod lamb;
mod lars;
mod lbfgs;
mod lion;
mod lookahead;
pub mod lr_scheduler;
mod muon;
mod nadam;
mod optimizer;
mod radam;
mod rmsprop;
mod rprop;
mod rule;
mod segments;
mod settings;
mod sgd;
mod slab;
mod sparse_adam;
mod state;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod trap_tests;
mod wolfe;

pub use accumulate::GradientAccumulation;
pub use adadelta::{Adadelta, AdadeltaRule};
pub use adafactor::{Adafactor, AdafactorRule};
pub use adagrad::{Adagrad, AdagradRule};
pub use adam::{Adam, AdamRule, AdamW};
pub use adamax::{Adamax, AdamaxRule};
pub use asgd::{ASGD, ASGDRule};
pub use build::{BoxedOptimizer, OPTIMIZERS, build};
pub(crate) use clip::unscale_gradients;
pub use clip::{AdaptiveClip, clip_grad_norm_, clip_grad_value_, grad_norm};
pub use ema::Ema;
pub use lamb::{Lamb, LambRule};
pub use lars::{Lars, LarsRule};
pub use lbfgs::{Lbfgs, LbfgsRule};
pub use lion::{Lion, LionRule};
pub use lookahead::{Lookahead, Sam};
pub use muon::{Muon, MuonRule};
pub use nadam::{NAdam, NAdamRule};
pub use optimizer::{Optim, Optimizer};
pub use radam::{RAdam, RAdamRule};
pub use rmsprop::{RMSprop, RMSpropRule};
pub use rprop::{Rprop, RpropRule};
pub use rule::{Rule, Run, State};
pub use settings::{Options, Setting, Settings};
pub use sgd::{Sgd, SgdRule};
pub use sparse_adam::{SparseAdam, SparseAdamRule};
pub use state::{GroupState, OptimizerState};

/// PyTorch's spelling of [`Sgd`].
pub type SGD = Sgd;
/// PyTorch's spelling of [`Lbfgs`].
pub type LBFGS = Lbfgs;

use crate::error::{Error, Result};

/// Refuses a hyperparameter that is out of its range, or not a number.
pub(crate) fn require(op: &'static str, name: &str, value: f64, fits: bool) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::argument(op, format!("{name} = {value} is out of range"))) }
}

/// Refuses a decay rate outside `[0, 1)`.
fn unit(op: &'static str, name: &str, value: f64) -> Result<()> {
    require(op, name, value, (0.0..1.0).contains(&value))
}
