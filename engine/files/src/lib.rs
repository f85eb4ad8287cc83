//! Other people's model files, as bytes: PyTorch's `.pt`, llama.cpp's GGUF, safetensors in parts, NumPy's `.npy` and `.npz`.
//!
//! A reader takes a file's bytes and a device and gives tensors; a writer gives bytes. Paths and memory maps are
//! `taper_native`'s business, so all of this runs in a browser too. Nothing in a file is trusted: whatever the bytes are, a
//! reader gives tensors or one error, and takes no more memory than four times the file and 64 MiB (GGUF's quantised tensors
//! are larger: what their shapes say, which the file's size bounds too).
//!
//! ```
//! use taper::prelude::*;
//!
//! # fn main() -> taper::Result<()> {
//! let device = Device::cpu();
//! let weights = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &device)?;
//! let file = taper_files::npy::write(&weights)?;
//! assert_eq!(taper_files::npy::read(&file, &device)?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
//! # Ok(()) }
//! ```

mod archive;
mod budget;
mod element;
mod entry;
pub mod gguf;
pub mod layout;
mod model;
pub mod npy;
pub mod npz;
pub mod parity;
pub mod pt;
pub mod rename;
pub mod shards;

pub use entry::Entry;
pub use model::{Format, ModelFile};
