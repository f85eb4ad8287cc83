//! What Taper needs an operating system for: files and threads.

mod file;
mod loader;
mod weights;

pub use file::{load_checkpoint, load_safetensors, save, save_checkpoint, save_safetensors};
pub use loader::{Loader, Prefetched};
pub use weights::Weights;
