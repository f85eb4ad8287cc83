//! Runs hand-written operators, and the elementwise programs that follow them.

use bytemuck::cast_slice_mut;
use smallvec::SmallVec;

use super::memory::{Allocation, CpuIn, CpuOut, Memory, Raw};
use super::plan::Plan;
use super::{convert, fused, par};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::kernel::{Access, Compute, ComputeKernel, Instr, Operand, ScalarRef, ValueId};
use crate::ops::Kind;
use crate::shape::{contiguous_strides, numel};

/// Stands for the operator's result in the program that follows it.
const RESULT: ValueId = ValueId::MAX;

/// A hand-written operator made ready.
#[derive(Debug)]
pub(super) struct ComputePlan {
    kernel: ComputeKernel,
    /// Where each input starts within its value, in bytes.
    starts: SmallVec<[usize; 4]>,
    pub epilogue: Option<Plan>,
}

/// An operand's elements: from its first byte to the last element its layout reads.
fn extent(operand: &Operand) -> usize {
    operand.layout.span().map_or(0, |(_, last)| last + 1)
}

fn is_half(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::BF16)
}

impl ComputePlan {
    pub fn new(kernel: &ComputeKernel, alias: &dyn Fn(ValueId) -> ValueId) -> ComputePlan {
        let epilogue = kernel.epilogue.as_ref().map(|program| {
            // The result is one more input: contiguous, in the order of the program's space.
            let mut program = program.clone();
            let strides = contiguous_strides(&program.dims);
            let result = program.inputs.len();
            program.inputs.push(Access { value: RESULT, dtype: kernel.output.dtype, strides, offset: 0 });
            for instr in &mut program.instrs {
                if matches!(instr, Instr::Acc) {
                    *instr = Instr::Load(result);
                }
            }
            Plan::new(&program, &|v| if v == RESULT { v } else { alias(v) })
        });
        let mut kernel = kernel.clone();
        let strided = match kernel.op.kind() {
            Kind::Compute(compute) => compute.strided(),
            _ => 0,
        };
        // Contiguous operands may start anywhere in their value; the operator sees offset 0.
        let starts = kernel.inputs.iter_mut().enumerate().map(|(slot, input)| {
            let start = if strided >> slot & 1 == 1 { 0 } else { std::mem::take(&mut input.layout.offset) };
            start * input.dtype.size()
        });
        let starts = starts.collect();
        ComputePlan { kernel, starts, epilogue }
    }

    fn compute(&self) -> Result<&dyn Compute> {
        match self.kernel.op.kind() {
            Kind::Compute(compute) => Ok(compute),
            _ => Err(Error::unsupported(self.kernel.op.name(), "this operator has no kernel of its own")),
        }
    }

    /// The operator's own run-time scalars.
    pub fn scalars(&self) -> &[ScalarRef] {
        &self.kernel.scalars
    }

    /// Bytes of the result when it is not stored itself, for the planner's accounts.
    pub fn scratch_bytes(&self) -> usize {
        let k = &self.kernel;
        let widened = k.inputs.iter().filter(|i| is_half(i.dtype)).map(|i| extent(i) * 4).sum::<usize>();
        widened + if k.store_output { 0 } else { k.output.layout.numel() * k.output.dtype.size() }
    }

    /// May be worth several threads. A product of three 32 x 32 matrices, say, is not.
    pub fn is_large(&self) -> bool {
        let operands = self.kernel.inputs.iter().chain([&self.kernel.output]);
        operands.map(|o| o.layout.numel()).sum::<usize>() > 4096
    }

    /// The values it touches.
    pub fn values(&self) -> impl Iterator<Item = ValueId> {
        let k = &self.kernel;
        let stored = k.store_output.then_some(k.output.value);
        k.inputs.iter().map(|i| i.value).chain(stored)
    }

    pub fn describe(&self) -> String {
        let k = &self.kernel;
        let shapes: Vec<String> = k.inputs.iter().map(|i| format!("{:?}", &i.layout.shape[..])).collect();
        let then = self.epilogue.as_ref().map(|e| format!(", then {}", e.describe())).unwrap_or_default();
        format!("{} {} -> {:?}{then}", k.op.name(), shapes.join(" x "), &k.output.layout.shape[..])
    }

    pub fn run<'r>(
        &self,
        memory: &Memory,
        raw: &dyn Fn(ValueId) -> Result<Raw<'r>>,
        scalars: &[Scalar],
        epilogue_scalars: &[Scalar],
    ) -> Result<()> {
        let k = &self.kernel;
        let compute = self.compute()?;
        let shape = &k.output.layout.shape;
        let bytes = numel(shape) * k.output.dtype.size();
        let held = if k.store_output { None } else { Some(memory.take(bytes)?) };
        let out = match &held {
            Some(held) => held.raw(0)?,
            None => raw(k.output.value)?,
        };
        let sources = k.inputs.iter().zip(&self.starts).map(|(input, &start)| raw(input.value)?.skip(start));
        let sources = sources.collect::<Result<SmallVec<[Raw<'_>; 4]>>>()?;
        // Low-precision operands are widened; an input that shares memory with the result moves away.
        let widened = |dtype| is_half(dtype) && !compute.raw();
        let mut copies: SmallVec<[Option<Allocation>; 4]> = SmallVec::new();
        for (input, &from) in k.inputs.iter().zip(&sources) {
            let n = extent(input);
            let (wide, size) = (widened(input.dtype), n * input.dtype.size());
            if !wide && !from.overlaps(size, out, bytes) {
                copies.push(None);
                continue;
            }
            let copy = memory.take(if wide { n * 4 } else { size })?;
            if wide {
                widen(input.dtype, from, n, copy.raw(0)?)?;
            } else {
                copy.raw(0)?.copy_from(from, size)?;
            }
            copies.push(Some(copy));
        }
        let wide_out = if widened(k.output.dtype) { Some(memory.take(numel(shape) * 4)?) } else { None };
        {
            let computed = |dtype| if widened(dtype) { DType::F32 } else { dtype };
            let mut reads: SmallVec<[(Raw<'_>, usize); 4]> = SmallVec::new();
            for ((input, &source), copy) in k.inputs.iter().zip(&sources).zip(&copies) {
                let from = copy.as_ref().map_or(Ok(source), |c| c.raw(0))?;
                reads.push((from, extent(input) * computed(input.dtype).size()));
            }
            let target = wide_out.as_ref().map_or(Ok(out), |wide| wide.raw(0))?;
            let dtype = computed(k.output.dtype);
            let (slices, out) = Raw::operands(&reads, (target, numel(shape) * dtype.size()))?;
            let inputs = k.inputs.iter().zip(slices).map(|(i, bytes)| CpuIn { bytes, dtype: computed(i.dtype), layout: &i.layout });
            let inputs: SmallVec<[CpuIn<'_>; 4]> = inputs.collect();
            compute.cpu(&inputs, &mut CpuOut { bytes: out, dtype, shape, scalars })?;
        }
        if let Some(wide) = wide_out {
            narrow_all(k.output.dtype, wide.raw(0)?, numel(shape), out)?;
            memory.give_back(wide);
        }
        copies.into_iter().flatten().for_each(|t| memory.give_back(t));
        if let Some(epilogue) = &self.epilogue {
            fused::run(epilogue, &|v| if v == RESULT { Ok(out) } else { raw(v) }, epilogue_scalars)?;
        }
        if let Some(held) = held {
            memory.give_back(held);
        }
        Ok(())
    }
}

/// Elements converted at a time.
const PIECE: usize = 16 << 10;

fn widen(dtype: DType, from: Raw<'_>, n: usize, to: Raw<'_>) -> Result<()> {
    let (from, to) = Raw::operands(&[(from, n * 2)], (to, n * 4))?;
    let to = Pieces::new(cast_slice_mut::<u8, f32>(to), PIECE);
    par::each(n.div_ceil(PIECE), n >= par::WORTH, |p| {
        to.with(p, |to| convert::widen(dtype, &from[0][p * PIECE * 2..][..to.len() * 2], to));
    });
    Ok(())
}

fn narrow_all(dtype: DType, from: Raw<'_>, n: usize, to: Raw<'_>) -> Result<()> {
    let (from, to) = Raw::operands(&[(from, n * 4)], (to, n * 2))?;
    let from = bytemuck::cast_slice::<u8, f32>(from[0]);
    let to = Pieces::new(to, PIECE * 2);
    par::each(n.div_ceil(PIECE), n >= par::WORTH, |p| {
        to.with(p, |to| convert::narrow(dtype, &from[p * PIECE..][..to.len() / 2], to));
    });
    Ok(())
}

/// A slice in pieces that threads take one each.
struct Pieces<'a, T>(Vec<parking_lot::Mutex<&'a mut [T]>>);

impl<'a, T> Pieces<'a, T> {
    fn new(slice: &'a mut [T], size: usize) -> Pieces<'a, T> {
        Pieces(slice.chunks_mut(size).map(parking_lot::Mutex::new).collect())
    }

    fn with(&self, piece: usize, f: impl FnOnce(&mut [T])) {
        f(&mut self.0[piece].lock());
    }
}
