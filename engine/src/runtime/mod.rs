//! Runtimes: what executes plans. A device is one runtime, its memory and its plans.

pub mod cpu;
pub mod pool;
#[cfg(feature = "gpu")]
// A page has to wait for its adapter, which nothing here does yet.
#[cfg_attr(target_arch = "wasm32", allow(dead_code))]
pub mod wgpu;

use std::any::Any;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::graph::kernel::{Kernel, ValueId};

/// Identifies a buffer within its runtime.
pub(crate) type BufferId = u64;

/// A plan's kernels made ready for one runtime: pipelines, parameters, dispatch sizes.
pub(crate) trait Program: Any + Send + Sync + Debug {
    fn as_any(&self) -> &dyn Any;
    /// Dispatches (or, on the CPU, kernels) one execution takes.
    fn dispatches(&self) -> usize;
    /// Bytes of scratch the program needs beside its values.
    fn scratch_bytes(&self) -> usize {
        0
    }
    /// One line a kernel, for `TAPER_TRACE=1`.
    fn describe(&self) -> Vec<String>;
}

/// Where each value of a plan lies during one execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub buffer: BufferId,
    /// In bytes, as the device stores them.
    pub offset: usize,
}

pub(crate) type ReadFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send>>;

/// One executing device.
pub(crate) trait Runtime: Send + Sync + Debug {
    /// For messages: `cpu`, `gpu:0 (llvmpipe)`.
    fn name(&self) -> String;
    fn adapter(&self) -> &Adapter;
    /// Whether values of this type exist here; the error says why not.
    fn check_dtype(&self, op: &'static str, dtype: DType) -> Result<()>;
    /// Bits one element takes here.
    fn element_bits(&self, dtype: DType) -> usize {
        dtype.size() * 8
    }
    /// Bytes one value of `numel` elements takes here, padded to what kernels may touch.
    fn stored_bytes(&self, dtype: DType, numel: usize) -> usize;

    /// A fresh buffer; contents are arbitrary.
    fn alloc(&self, bytes: usize) -> Result<BufferId>;
    fn free(&self, buffer: BufferId);
    /// Writes host elements (native byte order, `dtype.size()` each) in the device's own representation.
    fn upload(&self, to: Place, dtype: DType, bytes: &[u8]) -> Result<()>;
    /// Reads `numel` elements, starting at element `first` of the value at `from`, as host elements.
    fn download(&self, from: Place, dtype: DType, first: usize, numel: usize) -> ReadFuture;
    /// Waits for a download; an `Err` where waiting is impossible (a browser).
    fn wait(&self, read: ReadFuture) -> Result<Vec<u8>>;

    /// Makes kernels ready: all pipelines of the plan are requested together.
    /// `alias` gives for a value the value whose buffer it takes over in place.
    fn compile(&self, kernels: &[Kernel], alias: &dyn Fn(ValueId) -> ValueId) -> Result<Box<dyn Program>>;
    /// Executes: `places` by value id, `scalars` in the order of the plan.
    fn execute(&self, program: &dyn Program, places: &[Place], scalars: &dyn Fn(usize, usize) -> Scalar) -> Result<()>;
    /// Waits until everything submitted has finished.
    fn synchronize(&self) -> Result<()>;
    /// Counters of the runtime itself.
    fn counters(&self) -> Counters;
    /// Simulates or reports loss: values are gone and every later call is an error.
    fn lose(&self, _why: &str) {}
}

/// Counts since the device was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    pub dispatches: u64,
    pub submits: u64,
    pub pipelines_created: u64,
    /// Working memory that kernels hold at present.
    pub scratch_bytes: usize,
}

/// What is known about the hardware: kernels are chosen by it.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub name: String,
    pub backend: String,
    pub driver: String,
    /// Runs on the CPU: barriers are dear, registers are cheap.
    pub software: bool,
    pub shader_f16: bool,
    /// Smallest and largest subgroup, when subgroups can be used.
    pub subgroups: Option<(u32, u32)>,
    pub features: Vec<String>,
    pub limits: Limits,
}

impl Adapter {
    /// Whether one invocation of a kernel may go round its loops so often, inner ones counted with outer ones. llvmpipe ends
    /// them all after 65,535 rounds, without a word. An operator that needs more is computed on the host, which is faster than a
    /// software adapter anyway.
    pub(crate) fn allows_rounds(&self, rounds: usize) -> bool {
        !self.software || rounds < 65_000
    }
}

/// The limits that matter for compute; the default is what WebGPU guarantees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub buffer_bytes: u64,
    pub binding_bytes: u64,
    pub storage_buffers: u32,
    pub workgroup_bytes: u32,
    pub invocations: u32,
    pub groups_per_dimension: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            buffer_bytes: 256 << 20,
            binding_bytes: 128 << 20,
            storage_buffers: 8,
            workgroup_bytes: 16 << 10,
            invocations: 256,
            groups_per_dimension: 65535,
        }
    }
}
