//! A sparse linear map along one dimension: what interpolation is made of.

use super::gather::{around, for_rows, groups};
use super::op::{Kind, Op, Spec};
use super::{Float, accumulated};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// `y[.., j, ..] = sum(weight[k] * x[.., col[k], ..])` along `dim`, for `k` from `first[j]` to before `first[j + 1]`.
///
/// Inputs: `x` of floats, `first` `[rows + 1]` and `col` of `i32`, `weight` in the type sums are kept in, which is that of the
/// result. The caller knows the transposed map and records the gradient with it.
#[derive(Debug)]
pub(crate) struct Resample {
    pub dim: usize,
}

impl Op for Resample {
    fn name(&self) -> &'static str {
        "resample"
    }

    fn infer(&self, s: &[Spec]) -> Result<Spec> {
        let [x, first, col, weight] = s else { return Err(Error::argument("resample", "takes four tensors")) };
        let dtype = accumulated(x.dtype);
        let rows = first.shape.first().and_then(|n| n.checked_sub(1));
        let tables = first.dtype == DType::I32 && col.dtype == DType::I32 && weight.dtype == dtype && col.shape == weight.shape;
        let Some(rows) = rows.filter(|_| tables && self.dim < x.shape.len()) else {
            return Err(Error::argument("resample", format!("the map does not fit {:?}", x.shape)));
        };
        let mut shape = x.shape.clone();
        shape[self.dim] = rows;
        crate::shape::checked_numel("resample", &shape)?;
        Ok(Spec { dtype, shape })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.dim as u64);
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Compute for Resample {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => self.sums::<f64>(inputs, out),
            _ => self.sums::<f32>(inputs, out),
        }
        Ok(())
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let (_, rows, inner) = around(&output.layout.shape, self.dim);
        let (count, size) = (output.layout.numel(), inputs[0].layout.shape[self.dim]);
        // No row of an interpolation is much longer than the others.
        if !adapter.allows_rounds(2 * inputs[2].layout.numel() / rows.max(1)) {
            return None;
        }
        let launch = Launch {
            shader: "resample",
            consts: vec![],
            reads: vec![Read::input("x", 0), Read::input("first", 1), Read::input("col", 2), Read::input("weight", 3)],
            write: Write::Output,
            params: vec![count as u32, rows as u32, size as u32, inner as u32],
            patches: vec![],
            groups: groups(count, 64),
        };
        Some(Launches { launches: vec![launch], scratch: vec![] })
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Resample {
    fn sums<T: Float>(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) {
        let (_, rows, inner) = around(out.shape, self.dim);
        let (x, size) = (inputs[0].data::<T>(), inputs[0].shape()[self.dim]);
        let (first, col, weight) = (inputs[1].data::<i32>(), inputs[2].data::<i32>(), inputs[3].data::<T>());
        for_rows(out.data::<T>(), inner, |row, y| {
            let (outer, row) = (row / rows, row % rows);
            y.fill(T::ZERO);
            for k in first[row] as usize..first[row + 1] as usize {
                let from = &x[(outer * size + col[k] as usize) * inner..][..inner];
                y.iter_mut().zip(from).for_each(|(y, x)| *y += weight[k] * *x);
            }
        });
    }
}
