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
    pub epilogue: Option<Plan>,
}

/// An operand's elements: from the place of its value to the last one its layout reads.
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
        ComputePlan { kernel: kernel.clone(), epilogue }
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

    pub fn run<'a>(&'a self, memory: &Memory, raw: &dyn Fn(ValueId) -> Result<Raw<'a>>, scalars: &[Scalar], epilogue_scalars: &[Scalar]) -> Result<()> {
        let k = &self.kernel;
        let compute = self.compute()?;
        let shape = &k.output.layout.shape;
        let bytes = numel(shape) * k.output.dtype.size();
        let held = if k.store_output { None } else { Some(memory.take(bytes)?) };
        let out = match &held {
            Some(held) => held.raw(0)?,
            None => raw(k.output.value)?,
        };
        // Low-precision operands are widened; an input that shares memory with the result moves away.
        let widened = |dtype| is_half(dtype) && !compute.raw();
        let mut copies: SmallVec<[Option<Allocation>; 4]> = SmallVec::new();
        for input in &k.inputs {
            let (from, n) = (raw(input.value)?, extent(input));
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
            for (input, copy) in k.inputs.iter().zip(&copies) {
                let from = copy.as_ref().map_or_else(|| raw(input.value), |c| c.raw(0))?;
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
            run_epilogue(epilogue, raw, out, epilogue_scalars)?;
        }
        if let Some(held) = held {
            memory.give_back(held);
        }
        Ok(())
    }
}

/// Shortens the lifetime of the values' memory to that of the result, which may be a temporary.
fn run_epilogue<'t, 'a: 't>(plan: &'t Plan, raw: &dyn Fn(ValueId) -> Result<Raw<'a>>, result: Raw<'t>, scalars: &'t [Scalar]) -> Result<()> {
    fused::run(plan, &|v| if v == RESULT { Ok(result) } else { raw(v).map(|r| -> Raw<'t> { r }) }, scalars)
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
