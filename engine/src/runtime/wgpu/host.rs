//! Operators without a GPU kernel: their inputs come down, the CPU computes, the result goes up.

use super::compute::operator;
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::graph::kernel::{ComputeKernel, ValueId};
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::runtime::cpu::on_pool;
use crate::shape::Layout;

#[derive(Debug)]
pub(super) struct HostOp {
    pub kernel: ComputeKernel,
    /// Where the result goes when only the epilogue wants it: scratch.
    pub to_scratch: bool,
}

/// What a host operator reads: elements `first..first + numel` of a value.
pub(super) struct Wanted {
    pub value: ValueId,
    pub dtype: DType,
    pub first: usize,
    pub numel: usize,
}

impl HostOp {
    pub fn wanted(&self) -> Result<Vec<Wanted>> {
        let strided = operator(&self.kernel)?.strided();
        let want = |(i, o): (usize, &crate::graph::kernel::Operand)| {
            let (first, numel) =
                if strided >> i & 1 == 1 { (0, o.layout.span().map_or(0, |s| s.1 + 1)) } else { (o.layout.offset, o.layout.numel()) };
            Wanted { value: o.value, dtype: o.dtype, first, numel }
        };
        Ok(self.kernel.inputs.iter().enumerate().map(want).collect())
    }

    /// Computes from the inputs' bytes, as downloaded; the result's bytes.
    pub fn run(&self, inputs: Vec<Vec<u8>>, scalars: &[Scalar]) -> Result<Vec<u8>> {
        let (op, out) = (operator(&self.kernel)?, &self.kernel.output);
        let widen = |d: DType| if !op.raw() && matches!(d, DType::F16 | DType::BF16) { DType::F32 } else { d };
        let inputs: Vec<(DType, Vec<u64>, usize, Layout)> = inputs
            .into_iter()
            .zip(&self.kernel.inputs)
            .enumerate()
            .map(|(i, (bytes, o))| {
                let bytes = if widen(o.dtype) == o.dtype { bytes } else { floats(o.dtype, &bytes) };
                let layout = if op.strided() >> i & 1 == 1 { o.layout.clone() } else { Layout::contiguous(&o.layout.shape) };
                (widen(o.dtype), aligned(&bytes), bytes.len(), layout)
            })
            .collect();
        let views: Vec<CpuIn> = inputs
            .iter()
            .map(|(dtype, words, len, layout)| CpuIn { bytes: &bytemuck::cast_slice(words)[..*len], dtype: *dtype, layout })
            .collect();
        let (dtype, numel) = (widen(out.dtype), out.layout.numel());
        let len = numel * dtype.size();
        let mut words = vec![0u64; len.div_ceil(8)];
        let bytes = &mut bytemuck::cast_slice_mut(&mut words)[..len];
        on_pool(|| op.cpu(&views, &mut CpuOut { bytes, dtype, shape: &out.layout.shape, scalars }))?;
        let bytes = &bytemuck::cast_slice(&words)[..len];
        Ok(if dtype == out.dtype { bytes.to_vec() } else { narrowed(out.dtype, bytes) })
    }
}

/// Host memory that is aligned for every element type.
fn aligned(bytes: &[u8]) -> Vec<u64> {
    let mut words = vec![0u64; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}

fn floats(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let wide = |b: &[u8]| {
        let bits: u16 = bytemuck::pod_read_unaligned(b);
        if dtype == DType::F16 { half::f16::from_bits(bits).to_f32() } else { half::bf16::from_bits(bits).to_f32() }
    };
    bytes.chunks_exact(2).flat_map(|b| wide(b).to_ne_bytes()).collect()
}

fn narrowed(dtype: DType, bytes: &[u8]) -> Vec<u8> {
    let narrow = |b: &[u8]| {
        let v: f32 = bytemuck::pod_read_unaligned(b);
        if dtype == DType::F16 { half::f16::from_f32(v).to_bits() } else { half::bf16::from_f32(v).to_bits() }
    };
    bytes.chunks_exact(4).flat_map(|b| narrow(b).to_ne_bytes()).collect()
}
