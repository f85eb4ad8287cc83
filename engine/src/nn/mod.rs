//! Modules: layers with parameters, and structs made of them.
//!
//! A module is any struct whose fields are parameters, buffers and other modules. `#[derive(Module)]` finds
//! them; the forward pass is an ordinary method.
//!
//! ```
//! use taper::nn::{Linear, Module};
//! use taper::prelude::*;
//!
//! #[derive(Module)]
//! struct Mlp {
//!     fc1: Linear,
//!     fc2: Linear,
//! }
//!
//! impl Mlp {
//!     fn forward(&self, x: &Tensor) -> Result<Tensor> {
//!         self.fc2.forward(&self.fc1.forward(x)?.relu()?)
//!     }
//! }
//!
//! # fn main() -> Result<()> {
//! let device = Device::cpu();
//! let model = Mlp { fc1: Linear::new(4, 8, &device)?, fc2: Linear::new(8, 2, &device)? };
//! assert_eq!(model.num_parameters(), 4 * 8 + 8 + 8 * 2 + 2);
//! assert!(model.state_dict().contains_key("fc1.weight"));
//! # Ok(()) }
//! ```

mod activation;
mod attention;
mod conv;
#[doc(hidden)]
pub mod derive;
mod dropout;
mod embedding;
pub mod init;
mod linear;
mod loss;
mod module;
mod norm;
mod param;
mod pool;
mod sequential;
mod sizes;
#[cfg(test)]
mod tests;

pub use activation::{ELU, GELU, Identity, LeakyReLU, LogSoftmax, ReLU, SiLU, Sigmoid, Softmax, Tanh};
pub use attention::{MultiheadAttention, MultiheadAttentionBuilder};
pub use conv::{Conv, Conv1d, Conv2d, ConvBuilder, ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTransposeBuilder};
pub use dropout::{Dropout, dropout};
pub use embedding::Embedding;
pub use linear::{Flatten, Linear};
pub use loss::{CrossEntropyLoss, MSELoss};
pub use module::{Field, Layer, LoadReport, Member, MemberMut, Module, StateDict};
pub use norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNormBuilder, GroupNorm, LayerNorm, RMSNorm};
pub use param::{Buffer, Param, Training};
pub use pool::{AdaptiveAvgPool2d, AvgPool2d, MaxPool2d};
pub use sequential::Sequential;
pub use sizes::Sizes;
// The derive macro, under the trait's name.
pub use taper_macros::Module;
