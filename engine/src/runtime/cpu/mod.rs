//! The CPU runtime: the reference, and a good device of its own.
//!
//! Fused programs run tile by tile through registers that stay in the first-level cache (`plan.rs` says how
//! a program is cut up, `fused.rs` runs it); hand-written operators run as they are (`compute.rs`). Everything is
//! done when `execute` returns.

pub(crate) mod memory;
pub(crate) mod tile;

mod compute;
mod convert;
mod fused;
mod par;
mod plan;
mod reduce;
#[cfg(test)]
mod tests;
mod walk;
pub(crate) mod wide;

use std::any::Any;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use smallvec::SmallVec;

use self::compute::ComputePlan;
pub(crate) use self::par::on_pool;

use self::memory::{ALIGN, Allocation, Memory, Raw};
use self::plan::Plan;
use super::{Adapter, BufferId, Counters, Limits, Place, Program, ReadFuture, Runtime};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::kernel::{Kernel, ScalarRef, ValueId};

/// The CPU as a device.
#[derive(Debug)]
pub struct Cpu {
    adapter: Adapter,
    memory: Memory,
    dispatches: AtomicU64,
    submits: AtomicU64,
}

#[derive(Debug)]
enum Job {
    Fused(Box<Plan>),
    Compute(Box<ComputePlan>),
    Copy { from: ValueId, to: ValueId, at: usize, bytes: usize },
}

#[derive(Debug)]
struct CpuProgram {
    jobs: Vec<Job>,
    /// The values that need memory.
    values: Vec<ValueId>,
    /// Worth several threads.
    large: bool,
}

impl Program for CpuProgram {
    fn as_any(&self) -> &dyn Any {
        self
    }

    /// Copies are none, as on GPUs.
    fn dispatches(&self) -> usize {
        self.jobs.iter().filter(|job| !matches!(job, Job::Copy { .. })).count()
    }

    fn scratch_bytes(&self) -> usize {
        let scratch = self.jobs.iter().map(|job| if let Job::Compute(c) = job { c.scratch_bytes() } else { 0 });
        scratch.max().unwrap_or(0)
    }

    fn describe(&self) -> Vec<String> {
        let line = |job: &Job| match job {
            Job::Fused(plan) => plan.describe(),
            Job::Compute(c) => c.describe(),
            Job::Copy { bytes, .. } => format!("copy {bytes} bytes"),
        };
        self.jobs.iter().map(line).collect()
    }
}

impl Job {
    fn scalars(&self) -> &[ScalarRef] {
        match self {
            Job::Fused(plan) => &plan.fused.scalars,
            Job::Compute(c) => c.scalars(),
            Job::Copy { .. } => &[],
        }
    }

    fn epilogue_scalars(&self) -> &[ScalarRef] {
        match self {
            Job::Compute(c) => c.epilogue.as_ref().map_or(&[], |plan| &plan.fused.scalars),
            _ => &[],
        }
    }

    fn is_large(&self) -> bool {
        match self {
            Job::Fused(plan) => plan.fused.rows() * plan.fused.cols() >= par::WORTH,
            Job::Compute(c) => c.is_large(),
            Job::Copy { .. } => false,
        }
    }

    fn values(&self, out: &mut Vec<ValueId>) {
        let fused = |plan: &Plan, out: &mut Vec<ValueId>| {
            out.extend(plan.fused.inputs.iter().map(|a| a.value));
            out.extend(plan.fused.stores.iter().map(|s| s.to.value));
        };
        match self {
            Job::Fused(plan) => fused(plan, out),
            Job::Compute(c) => {
                out.extend(c.values());
                c.epilogue.iter().for_each(|plan| fused(plan, out));
            }
            Job::Copy { from, to, .. } => out.extend([*from, *to]),
        }
    }
}

impl Cpu {
    pub fn new() -> Cpu {
        let limits = Limits {
            buffer_bytes: isize::MAX as u64,
            binding_bytes: isize::MAX as u64,
            // No binding limit; but a kernel with more streams than this defeats the hardware's prefetcher.
            storage_buffers: 32,
            ..Limits::default()
        };
        let adapter = Adapter {
            name: cpu_name().unwrap_or_else(|| "CPU".into()),
            backend: "cpu".into(),
            driver: String::new(),
            software: false,
            shader_f16: false,
            subgroups: None,
            features: Vec::new(),
            limits,
        };
        Cpu { adapter, memory: Memory::default(), dispatches: AtomicU64::new(0), submits: AtomicU64::new(0) }
    }
}

impl Default for Cpu {
    fn default() -> Cpu {
        Cpu::new()
    }
}

fn cpu_name() -> Option<String> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|l| l.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

impl Runtime for Cpu {
    fn name(&self) -> String {
        "cpu".into()
    }

    fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    fn check_dtype(&self, _op: &'static str, _dtype: DType) -> Result<()> {
        Ok(())
    }

    fn stored_bytes(&self, dtype: DType, numel: usize) -> usize {
        (numel * dtype.size()).next_multiple_of(ALIGN)
    }

    fn alloc(&self, bytes: usize) -> Result<BufferId> {
        self.memory.alloc(bytes)
    }

    fn free(&self, buffer: BufferId) {
        self.memory.free(buffer);
    }

    fn upload(&self, to: Place, _dtype: DType, bytes: &[u8]) -> Result<()> {
        self.memory.get(to)?.raw(to.offset)?.upload(bytes)
    }

    fn download(&self, from: Place, dtype: DType, first: usize, numel: usize) -> ReadFuture {
        let read = || self.memory.get(from)?.raw(from.offset)?.download(first * dtype.size(), numel * dtype.size());
        Box::pin(ready(read()))
    }

    fn wait(&self, mut read: ReadFuture) -> Result<Vec<u8>> {
        // Reads of this runtime are ready at once, in browsers too.
        match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result,
            #[cfg(not(target_arch = "wasm32"))]
            Poll::Pending => pollster::block_on(read),
            #[cfg(target_arch = "wasm32")]
            Poll::Pending => Err(Error::unsupported("wait", "a browser cannot wait; use the async form")),
        }
    }

    fn compile(&self, kernels: &[Kernel], alias: &dyn Fn(ValueId) -> ValueId) -> Result<Box<dyn Program>> {
        let job = |kernel: &Kernel| match kernel {
            Kernel::Fused(fused) => Job::Fused(Box::new(Plan::new(fused, alias))),
            Kernel::Compute(compute) => Job::Compute(Box::new(ComputePlan::new(compute, alias))),
            Kernel::Copy { from, to, at, numel, dtype } => {
                Job::Copy { from: *from, to: *to, at: at * dtype.size(), bytes: numel * dtype.size() }
            }
        };
        let jobs: Vec<Job> = kernels.iter().map(job).collect();
        let mut values = Vec::new();
        jobs.iter().for_each(|job| job.values(&mut values));
        values.sort_unstable();
        values.dedup();
        values.retain(|&v| v != ValueId::MAX);
        let large = jobs.iter().any(Job::is_large);
        Ok(Box::new(CpuProgram { jobs, values, large }))
    }

    fn execute(&self, program: &dyn Program, places: &[Place], scalars: &dyn Fn(usize, usize) -> Scalar) -> Result<()> {
        let foreign = || Error::device("cpu", "the program was compiled for another runtime");
        let program = program.as_any().downcast_ref::<CpuProgram>().ok_or_else(foreign)?;
        // Ownership of all buffers for the time of the execution.
        let mut buffers: Vec<Option<(Arc<Allocation>, usize)>> = vec![None; places.len()];
        for &v in &program.values {
            let place = *places.get(v).ok_or_else(|| Error::device("cpu", format!("value {v} has no place")))?;
            buffers[v] = Some((self.memory.get(place)?, place.offset));
        }
        let raw_at = |v: ValueId, at: usize| -> Result<Raw<'_>> {
            let (buffer, offset) =
                buffers.get(v).and_then(Option::as_ref).ok_or_else(|| Error::device("cpu", format!("value {v} has no place")))?;
            buffer.raw(offset + at)
        };
        let raw = |v: ValueId| raw_at(v, 0);
        // Before any thread starts: where scalars come from may not be shared with others.
        let values = |refs: &[ScalarRef]| -> SmallVec<[Scalar; 8]> { refs.iter().map(|s| scalars(s.node, s.index)).collect() };
        let scalars: Vec<_> = program.jobs.iter().map(|job| (values(job.scalars()), values(job.epilogue_scalars()))).collect();
        let run = || {
            program.jobs.iter().zip(&scalars).try_for_each(|(job, (scalars, then))| match job {
                Job::Fused(plan) => fused::run(plan, &raw, scalars),
                Job::Compute(c) => c.run(&self.memory, &raw, scalars, then),
                Job::Copy { from, to, at, bytes } => raw_at(*to, *at)?.copy_from(raw(*from)?, *bytes),
            })
        };
        if program.large {
            par::on_pool(run)?
        } else {
            run()?
        }
        self.dispatches.fetch_add(program.dispatches() as u64, Ordering::Relaxed);
        self.submits.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn synchronize(&self) -> Result<()> {
        Ok(())
    }

    fn counters(&self) -> Counters {
        Counters {
            dispatches: self.dispatches.load(Ordering::Relaxed),
            submits: self.submits.load(Ordering::Relaxed),
            pipelines_created: 0,
            scratch_bytes: 0,
        }
    }
}
