//! ONNX models on Taper: bytes in, tensor code out.
//!
//! [`Model::from_bytes`] reads and checks a model; [`Model::run`] interprets its nodes with Taper's tensor operations. As
//! these compute nothing until a value is read, a run is one fused plan like that of a program written by hand: gradients
//! flow through it, and its initialisers can be trained (give them as inputs). Sizes that a model computes with are known on
//! the host, so dynamic dimensions cost no waiting.
//!
//! Operators of the opsets 7 to 28, and what models meet of `com.microsoft`; control flow, sequences and optionals; functions
//! of the model. Types that Taper lacks are held in wider ones ([`Elem`]); strings and complex numbers are refused.
//!
//! ```no_run
//! # use taper::prelude::*; use taper_onnx::Model;
//! # fn main() -> taper::Result<()> { let bytes = vec![];
//! let device = Device::cpu();
//! let model = Model::from_bytes(&bytes, &|path, _, _| Err(Error::unsupported("onnx", format!("no {path}"))))?;
//! let x = Tensor::zeros([1, 3, 224, 224], &device)?;
//! let outputs = model.run(&[("input", (&x).into())], &device)?;
//! println!("{:?}", outputs[0].1.tensor(&device)?.shape());
//! # Ok(()) }
//! ```

mod call;
mod decode;
mod element;
mod fold;
mod graph;
mod host;
mod limits;
mod model;
mod ops;
mod proto;
mod run;
#[cfg(test)]
mod tests;
mod value;

/// Sizes above are refused: sums of those below fit, also where addresses have 32 bits.
const LARGE: usize = if usize::BITS == 64 { usize::MAX >> 24 } else { usize::MAX >> 2 };

pub use decode::External;
pub use element::{Elem, Narrow};
pub use graph::{Port, Size};
pub use model::{Model, Stored, operators};
pub use value::{Array, Value};
