//! Taper: train and run neural networks on any GPU, from Rust and in the browser.
//!
//! You write eager code; Taper runs a fused plan. A tensor operation checks its arguments and returns at
//! once; values are computed when one is read, at an optimizer step, or at [`Device::flush`], everything
//! pending together.
//!
//! ```
//! use taper::prelude::*;
//!
//! # fn main() -> taper::Result<()> {
//! let device = Device::cpu();
//! let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &device)?;
//! let w = Tensor::new([[0.5], [-0.5]], &device)?;
//! w.requires_grad_(true)?;
//! x.matmul(&w)?.relu()?.sum_all()?.backward()?;
//! assert_eq!(w.grad().unwrap().shape(), [2, 1]);
//! # Ok(()) }
//! ```

// The derive macros write `::taper`, here as elsewhere.
extern crate self as taper;

pub mod amp;
pub mod autograd;
pub mod data;
mod device;
mod dtype;
mod error;
mod graph;
pub mod io;
pub mod loss;
pub mod masked;
pub mod nn;
pub mod ops;
pub mod optim;
mod runtime;
mod shape;
pub mod signal;
mod tensor;
#[cfg(test)]
mod testing;

pub use autograd::{enable_grad, no_grad};
pub use device::{Device, Stats};
pub use dtype::{DType, Element, Scalar};
pub use error::{Error, Result};
pub use graph::with_eager;
pub use runtime::pool::MemoryStats;
pub use runtime::{Adapter, Limits};
pub use shape::Shape;
pub use taper_macros::Module;
pub use tensor::{
    BagMode, ComplexTensor, Dims, EmbeddingBag, FftNorm, FrameWindow, GridMode, GridPadding, IndexArg, Indexing, Interpolation,
    InterpolationMode, IntoIndex, IntoTensorData, LeastSquares, MatrixNorm, Operand, QuantileMode, ScatterReduce, Signed, Sizes, Slice,
    Spacing, Stft, Tensor, TensorOptions, Unique, manual_seed, rng_state, set_rng_state,
};

/// What a program usually needs: `use taper::prelude::*;`.
pub mod prelude {
    pub use crate::nn::Module;
    pub use crate::{DType, Device, Element, Error, Result, Tensor, no_grad};
}

/// The examples of these pages compile and run.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../README.md")]
    struct Readme;
    #[doc = include_str!("../../docs/from-pytorch.md")]
    struct FromPyTorch;
}
