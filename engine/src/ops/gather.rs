//! Reading at indices: element by element (`gather`), or whole slices (`index_select`, embeddings).
//!
//! Indices are checked: in the CPU's kernel, and before anything runs where the range of uploaded indices
//! is known. On a GPU they are clamped.

use std::borrow::Cow;

use bytemuck::Pod;
use half::{bf16, f16};
use smallvec::smallvec;

use super::op::{Grads, Kind, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::shape::numel;
use crate::tensor::Tensor;

/// What one index picks along the dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pick {
    /// One element: there are as many indices as elements.
    Element,
    /// A slice across all other dimensions: the indices are one-dimensional.
    Slice,
}

/// Along `dim`: `y[.., j, ..] = x[.., index[.., j, ..], ..]` for elements (in the other dimensions the index has
/// the sizes of `x`), `y[.., j, ..] = x[.., index[j], ..]` for slices.
#[derive(Debug, Clone)]
pub(crate) struct Gather {
    pub dim: usize,
    pub pick: Pick,
}

impl Op for Gather {
    fn name(&self) -> &'static str {
        match self.pick {
            Pick::Element => "gather",
            Pick::Slice => "index_select",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let (x, index) = (&inputs[0], &inputs[1]);
        expect_indices(self.name(), index)?;
        let mut shape = x.shape.clone();
        match self.pick {
            Pick::Element => {
                expect_beside(self.name(), self.dim, &x.shape, "index", &index.shape)?;
                shape[self.dim] = index.shape[self.dim];
            }
            Pick::Slice if index.shape.len() == 1 => shape[self.dim] = index.shape[0],
            Pick::Slice => {
                return Err(Error::argument(self.name(), format!("the index has to be one-dimensional, not {:?}", &index.shape[..])));
            }
        }
        if x.shape[self.dim] == 0 && numel(&shape) > 0 {
            return Err(Error::index(self.name(), format!("nothing to pick: dimension {} of {:?} is empty", self.dim, &x.shape[..])));
        }
        Ok(Spec { dtype: computed(x.dtype), shape })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.dim as u64);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 0b10, output: false }
    }

    /// dx = dy added at the places it was read from.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let (x, index, dim) = (ctx.spec(0), ctx.input(1)?, self.dim as isize);
        let zeros = Tensor::zeros(&x.shape, (dy.dtype(), dy.device()))?;
        let dx = match self.pick {
            Pick::Element => zeros.scatter_add(dim, index, dy)?,
            Pick::Slice => zeros.index_add(dim, index, dy)?,
        };
        Ok(smallvec![Some(dx.to_dtype(x.dtype)?), None])
    }
}

impl Compute for Gather {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let size = inputs[0].shape()[self.dim];
        let index = checked_indices(self.name(), &inputs[1], self.dim, size)?;
        match inputs[0].dtype {
            DType::F16 => self.read(&inputs[0], &index, out, f16::to_f32),
            DType::BF16 => self.read(&inputs[0], &index, out, bf16::to_f32),
            d => match d.size() {
                1 => self.read(&inputs[0], &index, out, |v: u8| v),
                2 => self.read(&inputs[0], &index, out, |v: u16| v),
                4 => self.read(&inputs[0], &index, out, |v: u32| v),
                _ => self.read(&inputs[0], &index, out, |v: u64| v),
            },
        }
        Ok(())
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        let (_, n, inner) = around(&output.layout.shape, self.dim);
        let count = output.layout.numel();
        let size = inputs[0].layout.shape[self.dim];
        let launch = Launch {
            shader: "gather",
            consts: vec![("SLICES", (self.pick == Pick::Slice) as u32)],
            reads: vec![Read::input("x", 0), Read::input("index", 1)],
            write: Write::Output,
            params: vec![count as u32, n as u32, inner as u32, size as u32],
            patches: vec![],
            groups: groups(count, GROUP),
        };
        Some(Launches { launches: vec![launch], scratch: vec![] })
    }

    fn epilogue(&self) -> bool {
        true
    }

    fn raw(&self) -> bool {
        true
    }
}

impl Gather {
    fn read<T: Pod + Sync, O: Pod + Send>(&self, x: &CpuIn<'_>, index: &[i64], out: &mut CpuOut<'_>, convert: impl Fn(T) -> O + Sync) {
        let (_, n, inner) = around(out.shape, self.dim);
        let (x, size) = (x.data::<T>(), x.shape()[self.dim]);
        for_rows(out.data::<O>(), inner, |row, y| {
            let first = row / n * size;
            match self.pick {
                Pick::Slice => {
                    let at = (first + index[row % n] as usize) * inner;
                    for (y, &x) in y.iter_mut().zip(&x[at..at + inner]) {
                        *y = convert(x);
                    }
                }
                Pick::Element => {
                    for (c, (y, &j)) in y.iter_mut().zip(&index[row * inner..]).enumerate() {
                        *y = convert(x[(first + j as usize) * inner + c]);
                    }
                }
            }
        });
    }
}

// ---- shared with scatter ----------------------------------------------------------------------

/// Invocations of a workgroup in gather.wgsl and scatter.wgsl.
pub(super) const GROUP: usize = 64;

/// Workgroups for `count` invocations, over two dimensions where one is not enough.
pub(crate) fn groups(count: usize, size: usize) -> [u32; 3] {
    let groups = count.div_ceil(size);
    let x = groups.clamp(1, 65535);
    [x as u32, groups.div_ceil(x) as u32, 1]
}

/// What indexing kernels compute in: 16-bit floats widen, and the caller casts back.
pub(super) fn computed(dtype: DType) -> DType {
    if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype }
}

/// A shape seen from `dim`: how many slices lie before it, its size, how many elements lie behind it.
pub(super) fn around(shape: &[usize], dim: usize) -> (usize, usize, usize) {
    (numel(&shape[..dim]), shape[dim], numel(&shape[dim + 1..]))
}

pub(super) fn expect_indices(op: &'static str, index: &Spec) -> Result<()> {
    let ok = matches!(index.dtype, DType::I64 | DType::I32);
    ok.then_some(()).ok_or_else(|| Error::dtype(op, format!("indices are i64 or i32, not {}", index.dtype)))
}

/// `other` has the sizes of `shape` in all dimensions but `dim`.
pub(super) fn expect_beside(op: &'static str, dim: usize, shape: &[usize], what: &str, other: &[usize]) -> Result<()> {
    let fits = shape.len() == other.len() && (0..shape.len()).all(|d| d == dim || shape[d] == other[d]);
    let message = || format!("{what} {other:?} does not fit {shape:?}: sizes may only differ in dimension {dim}");
    fits.then_some(()).ok_or_else(|| Error::argument(op, message()))
}

/// The indices as `i64`, all of them within `0..size`.
pub(super) fn checked_indices<'a>(op: &'static str, index: &CpuIn<'a>, dim: usize, size: usize) -> Result<Cow<'a, [i64]>> {
    let index: Cow<'a, [i64]> = match index.dtype {
        DType::I32 => index.data::<i32>().iter().map(|&i| i as i64).collect(),
        _ => Cow::Borrowed(index.data::<i64>()),
    };
    match index.iter().position(|&i| i < 0 || i >= size as i64) {
        None => Ok(index),
        Some(at) => {
            Err(Error::index(op, format!("index {} at position {at} is out of range for dimension {dim} of size {size}", index[at])))
        }
    }
}

/// Runs `f(row, elements)` for each row of `len` elements, in parallel where that pays.
pub(super) fn for_rows<T: Send>(data: &mut [T], len: usize, f: impl Fn(usize, &mut [T]) + Sync + Send) {
    if data.is_empty() || len == 0 {
        return;
    }
    let rows = (16384 / len).max(1);
    let block = |(b, block): (usize, &mut [T])| block.chunks_mut(len).enumerate().for_each(|(r, row)| f(b * rows + r, row));
    #[cfg(not(target_arch = "wasm32"))]
    if data.len() > 2 * rows * len {
        use rayon::prelude::*;
        data.par_chunks_mut(rows * len).enumerate().for_each(block);
        return;
    }
    data.chunks_mut(rows * len).enumerate().for_each(block);
}
