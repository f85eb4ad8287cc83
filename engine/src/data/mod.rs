//! Data sets, and loaders that cut them into batches.
//!
//! ```
//! use taper::data::{DataLoader, TensorDataset};
//! # use taper::prelude::*;
//! # fn main() -> Result<()> {
//! # let device = Device::cpu();
//! let images = Tensor::rand([100, 64], &device)?;
//! let labels = Tensor::zeros([100], (DType::I64, &device))?;
//! let data = TensorDataset::new([images, labels])?;
//! let loader = DataLoader::builder(data).batch_size(32).shuffle(true).seed(7).build()?;
//! for batch in loader.epoch() {
//!     let [x, y] = batch?;
//!     assert_eq!(x.shape()[0], y.shape()[0]);
//! }
//! # Ok(()) }
//! ```

mod collate;
mod dataset;
mod loader;

pub use collate::{Batch, Collate};
pub use dataset::{Dataset, TensorDataset};
pub use loader::{DataLoader, DataLoaderBuilder, Epoch};
