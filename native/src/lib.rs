//! What Taper needs an operating system for: files and threads.

mod file;
mod loader;

pub use file::{load_safetensors, save_safetensors};
pub use loader::{Loader, Prefetched};
