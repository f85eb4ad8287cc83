//! Decompositions of matrices and what is computed with them: PyTorch's `torch.linalg`.
//!
//! Matrices are the last two dimensions, leading ones are a batch. Types are `f32` and `f64`. The decompositions themselves
//! run on the host (see `ops/decompose`); everything around them is tensor code, gradients included.

mod build;
mod factor;
mod norm;
mod pseudo;
mod reflect;
mod solve;
mod spectral;
#[cfg(test)]
mod tests;

pub use norm::MatrixNorm;
pub use solve::LeastSquares;

use super::Tensor;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Batched, Routine, part};
use crate::shape::{Shape, broadcast};

/// Machine precision of a type, for default tolerances.
fn epsilon(dtype: DType) -> f64 {
    if dtype == DType::F64 { f64::EPSILON } else { f32::EPSILON as f64 }
}

/// The leading dimensions, and the sizes of the matrices.
fn split<'a>(op: &'static str, t: &'a Tensor) -> Result<(&'a [usize], usize, usize)> {
    match t.shape() {
        [batch @ .., rows, cols] => Ok((batch, *rows, *cols)),
        shape => Err(Error::argument(op, format!("takes matrices, not a tensor of shape {shape:?}"))),
    }
}

/// [`split`] for square matrices.
fn square<'a>(op: &'static str, t: &'a Tensor) -> Result<(&'a [usize], usize)> {
    let (batch, rows, cols) = split(op, t)?;
    if rows != cols {
        return Err(Error::argument(op, format!("takes batches of square matrices, but these are {rows} by {cols}")));
    }
    Ok((batch, rows))
}

/// Both with the leading dimensions they broadcast to.
fn together(op: &'static str, a: &Tensor, b: &Tensor) -> Result<(Tensor, Tensor)> {
    let ((ba, m, n), (bb, k, l)) = (split(op, a)?, split(op, b)?);
    let batch = broadcast(op, ba, bb)?;
    let with = |rows, cols| -> Shape { batch.iter().copied().chain([rows, cols]).collect() };
    Ok((a.expand(&with(m, n)[..])?, b.expand(&with(k, l)[..])?))
}

impl Tensor {
    /// The rows of a routine: see `ops/decompose`.
    #[track_caller]
    fn rows<R: Routine>(routine: R, inputs: &[&Tensor]) -> Result<Tensor> {
        Tensor::apply(Batched(routine), inputs)
    }

    /// Element `at` of each row.
    fn scalar_part(&self, at: usize) -> Result<Tensor> {
        part(self, at, &[])
    }

    /// Refuses matrices of which `info` is not 0: reads it, so that everything pending is computed.
    fn expect_zero_info(self, op: &'static str, what: &str) -> Result<Tensor> {
        let all = self.to_vec::<i32>()?;
        match all.iter().position(|&i| i != 0) {
            None => Ok(self),
            Some(at) => Err(Error::argument(op, format!("matrix {at}: {what} {}", all[at]))),
        }
    }

    /// Integers at `at..` of each row, which are exact in floats.
    fn int_part(&self, at: usize, shape: &[usize]) -> Result<Tensor> {
        part(self, at, shape)?.detach()?.to_dtype(DType::I32)
    }
}
