//! Learning rates that change while training.
//!
//! A [`Schedule`] is a formula; a [`Scheduler`] applies one, or several in turn or together, to an optimizer. Rates are
//! run-time parameters of the plan: changing them costs nothing.
//!
//! ```
//! use taper::optim::lr_scheduler::{CosineAnnealingLR, LinearLR, Scheduler};
//! use taper::optim::{Optimizer, Sgd};
//! # use taper::prelude::*;
//! # fn main() -> Result<()> {
//! let weight = Tensor::ones([2, 2], &Device::cpu())?;
//! weight.requires_grad_(true)?;
//! let mut optimizer = Sgd::new([weight], 0.1)?;
//! let (warmup, decay) = (LinearLR::new().start_factor(0.1).total_iters(5), CosineAnnealingLR::new(95.0));
//! let mut scheduler = Scheduler::sequential(&mut optimizer, vec![Box::new(warmup), Box::new(decay)], vec![5])?;
//! assert!((optimizer.lr() - 0.01).abs() < 1e-12);
//! for _ in 0..5 {
//!     optimizer.step()?;
//!     scheduler.step(&mut optimizer)?;
//! }
//! assert!((optimizer.lr() - 0.1).abs() < 1e-12);
//! # Ok(()) }
//! ```

mod annealing;
mod cycles;
mod decay;
mod plateau;
mod schedule;
mod scheduler;
#[cfg(test)]
mod tests;

pub use annealing::{CosineAnnealingLR, CosineAnnealingWarmRestarts, SWALR, WarmupCosine};
pub use cycles::{CyclicLR, OneCycleLR};
pub use decay::{ConstantLR, ExponentialLR, LambdaLR, LinearLR, MultiStepLR, MultiplicativeLR, PolynomialLR, StepLR};
pub use plateau::{Plateau, ReduceLROnPlateau};
pub use schedule::{Argument, At, PerGroup, Schedule, build};
pub use scheduler::Scheduler;
