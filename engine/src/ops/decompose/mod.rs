//! Decompositions of matrices, and what is solved with them.
//!
//! They run on the host, also where the tensors live on a GPU: their algorithms are long chains of short, dependent
//! steps, for which a GPU has no sensible form. A plan then has a host segment, with a download before and an upload
//! behind it. Whatever the tensors' type, the arithmetic is done in `f64`. Matrices of a batch are spread over the cores.
//!
//! An operator has one result; a decomposition has several. So each one gives *rows*: for every matrix of the batch the
//! elements of all its parts, one after the other, of which `tensor/linalg/` hands out views. A gradient of any part is
//! a gradient of the row, and each decomposition has one rule, in tensor code, that sees all of them.
//!
//! Where a result is not unique (signs of eigenvectors and singular vectors) reflections, rotations, shifts and the order
//! of the steps are those of LAPACK's unblocked routines, so that models tuned elsewhere find what they expect.
//!
//! That is why these are not calls of the `faer` crate: its singular vectors and eigenvectors have other signs (in each of
//! the five matrices of PyTorch's recorded cases that were tried with 0.24), so those routines would stay, and with them all that the
//! others here share. It also asks for 17 more crates and 80 seconds of a core to compile in release.

mod cholesky;
mod eig;
mod eigh;
mod exp;
mod ldl;
mod lu;
mod mat;
mod polar;
mod qr;
mod schur;
mod solve;
mod svd;
mod svd2;
mod tridiagonal;

use std::fmt::Debug;

use bytemuck::Pod;

use super::op::{Grads, Kind, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::shape::numel;
use crate::tensor::Tensor;

pub(crate) use cholesky::Cholesky;
pub(crate) use eig::Eig;
pub(crate) use eigh::Eigh;
pub(crate) use exp::MatrixExp;
pub(crate) use ldl::{LdlFactor, LdlSolve};
pub(crate) use lu::{Determinant, Lu, Permutation};
use mat::Mat;
pub(crate) use polar::{Polar, SquareRoot};
pub(crate) use qr::{Geqrf, Qr};
pub(crate) use solve::{Solve, SolveTriangular};
pub(crate) use svd::Svd;

/// An algorithm on matrices.
pub(crate) trait Routine: Debug + Send + Sync + Sized + 'static {
    fn name(&self) -> &'static str;

    /// The number of elements one matrix (or one tuple of them) yields.
    fn row(&self, sizes: &[(usize, usize)]) -> Result<usize>;

    /// Reads one matrix of each input, writes its row. It cannot fail: that would fail whatever else the plan computes. What is
    /// wrong with a matrix is told by a part of the row, or is NaN.
    fn run(&self, inputs: Vec<Mat>, row: &mut [f64]);

    /// What makes two of them differ.
    fn flags(&self) -> u64 {
        0
    }

    fn saves(&self) -> Saves {
        Saves::OUTPUT
    }

    /// `None`: not differentiable.
    fn backward(&self, _ctx: &Ctx<'_>, _dy: &Tensor) -> Option<Result<Grads>> {
        None
    }
}

/// A [`Routine`] applied to the last two dimensions of tensors with the same leading ones.
#[derive(Debug)]
pub(crate) struct Batched<R>(pub R);

impl<R: Routine> Batched<R> {
    fn sizes<'a>(&self, shapes: impl Iterator<Item = &'a [usize]>) -> Result<Vec<(usize, usize)>> {
        shapes
            .map(|s| match s {
                [.., rows, cols] => Ok((*rows, *cols)),
                _ => Err(Error::argument(self.0.name(), format!("takes matrices, not a tensor of shape {s:?}"))),
            })
            .collect()
    }

    fn each<T: Number>(&self, inputs: &[CpuIn<'_>], out: &mut [T], row: usize) -> Result<()> {
        let sizes = self.sizes(inputs.iter().map(CpuIn::shape))?;
        let one = |(b, to): (usize, &mut [T])| {
            let read = |(x, &(rows, cols)): (&CpuIn<'_>, &(usize, usize))| {
                let data = &x.data::<T>()[b * rows * cols..][..rows * cols];
                Mat::from_fn(rows, cols, |i, j| data[i * cols + j].wide())
            };
            let mut results = vec![0.0; row];
            self.0.run(inputs.iter().zip(&sizes).map(read).collect(), &mut results);
            to.iter_mut().zip(results).for_each(|(to, v)| *to = T::from_wide(v));
        };
        #[cfg(not(target_arch = "wasm32"))]
        if out.len() > 256 {
            use rayon::prelude::*;
            out.par_chunks_mut(row).enumerate().for_each(one);
            return Ok(());
        }
        out.chunks_mut(row).enumerate().for_each(one);
        Ok(())
    }
}

trait Number: Pod + Send + Sync {
    fn wide(self) -> f64;
    fn from_wide(v: f64) -> Self;
}

impl Number for f32 {
    fn wide(self) -> f64 {
        self as f64
    }
    fn from_wide(v: f64) -> f32 {
        v as f32
    }
}

impl Number for f64 {
    fn wide(self) -> f64 {
        self
    }
    fn from_wide(v: f64) -> f64 {
        v
    }
}

impl<R: Routine> Op for Batched<R> {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let (name, first) = (self.0.name(), &inputs[0]);
        for x in inputs {
            if !matches!(x.dtype, DType::F32 | DType::F64) {
                return Err(Error::dtype(name, format!("takes f32 or f64, not {}", x.dtype)));
            }
            if x.dtype != first.dtype {
                return Err(Error::dtype(name, format!("takes operands of one type, not {} and {}", first.dtype, x.dtype)));
            }
        }
        let sizes = self.sizes(inputs.iter().map(|s| &s.shape[..]))?;
        let batch = &first.shape[..first.shape.len() - 2];
        if let Some(x) = inputs.iter().find(|x| x.shape[..x.shape.len() - 2] != *batch) {
            return Err(Error::argument(name, format!("{:?} and {:?}: the leading dimensions differ", &first.shape[..], &x.shape[..])));
        }
        let row = self.0.row(&sizes)?;
        Ok(Spec { dtype: first.dtype, shape: batch.iter().copied().chain([row]).collect() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.0.flags());
    }

    fn saves(&self) -> Saves {
        self.0.saves()
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        self.0.backward(ctx, dy).unwrap_or_else(|| Err(Error::autograd(self.0.name(), "this operator has no gradient")))
    }
}

impl<R: Routine> Compute for Batched<R> {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let row = out.shape.last().copied().unwrap_or(0);
        if row == 0 || numel(out.shape) == 0 {
            return Ok(());
        }
        match out.dtype {
            DType::F64 => self.each::<f64>(inputs, out.data(), row),
            _ => self.each::<f32>(inputs, out.data(), row),
        }
    }

    /// None: see the module's documentation.
    fn gpu(&self, _: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        None
    }
}

/// The matrix at `at..` in each row of `rows`; what is read from it is a view.
pub(crate) fn part(rows: &Tensor, at: usize, shape: &[usize]) -> Result<Tensor> {
    let batch = &rows.shape()[..rows.rank() - 1];
    let whole: Vec<usize> = batch.iter().chain(shape).copied().collect();
    rows.narrow(-1, at, numel(shape))?.reshape(&whole[..])
}

/// Sizes of one square matrix.
fn square(op: &'static str, (rows, cols): (usize, usize)) -> Result<usize> {
    let told = || Error::argument(op, format!("takes batches of square matrices, but these are {rows} by {cols}"));
    (rows == cols).then_some(rows).ok_or_else(told)
}

/// The sizes of the matrices of a tensor.
fn sizes(shape: &[usize]) -> (usize, usize) {
    let r = shape.len();
    (shape[r - 2], shape[r - 1])
}
