//! Mixed precision: scopes in which operators choose their precision, and a scaler that keeps f16 gradients from vanishing.
//!
//! Parameters stay in f32 (they are the *master weights*): inside [`autocast`] each operator casts what it reads, and
//! the casts fuse into its kernel.
//!
//! ```
//! use taper::amp::{GradScaler, autocast};
//! use taper::nn::{Linear, Module};
//! use taper::optim::{Optimizer, Sgd};
//! # use taper::prelude::*;
//! # fn main() -> Result<()> {
//! # let device = Device::cpu();
//! let model = Linear::new(4, 2, &device)?;
//! let mut optimizer = Sgd::new(model.parameters(), 0.1)?;
//! let mut scaler = GradScaler::new();
//! let x = Tensor::ones([8, 4], &device)?;
//! for _ in 0..3 {
//!     optimizer.zero_grad(true)?;
//!     let loss = autocast(DType::F16, || {
//!         let y = model.forward(&x)?;
//!         assert_eq!(y.dtype(), DType::F16);
//!         y.to_dtype(DType::F32)?.square()?.mean_all()
//!     })?;
//!     scaler.scale(&loss)?.backward()?;
//!     scaler.step(&mut optimizer)?;
//!     scaler.update()?;
//! }
//! # Ok(()) }
//! ```

mod autocast;
mod scaler;
#[cfg(test)]
mod tests;

pub use autocast::{Autocast, autocast, autocast_dtype};
pub(crate) use autocast::{cast_inputs, full, lowered, suspend};
pub use scaler::GradScaler;
