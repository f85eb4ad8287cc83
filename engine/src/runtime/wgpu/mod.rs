//! The GPU runtime: Vulkan, Metal, DX12, GL and WebGPU, through wgpu.
//!
//! Making a kernel's text needs no device: [`fused`], [`rows`] and [`compute`] turn kernels into [`shader`]s, pure
//! functions of the kernel and the adapter's class. [`pipeline`] compiles texts, [`program`] and [`execute`] run them:
//! one pass and one submission a plan.

mod access;
mod bind;
mod compute;
mod device;
mod emit;
mod execute;
#[cfg(not(target_arch = "wasm32"))]
mod exit;
mod fault;
mod fused;
mod host;
mod pipeline;
#[cfg(test)]
mod portability;
mod program;
mod repr;
mod rows;
mod shader;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ::wgpu;
use futures_channel::oneshot;
use parking_lot::{Mutex, RwLock};

use super::{Adapter, BufferId, Counters, Place, Program, ReadFuture, Runtime};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::kernel::{Kernel, ValueId};
use device::Core;
use pipeline::Pipelines;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use device::adapters;

/// A device opened through wgpu.
#[derive(Debug)]
pub(crate) struct Gpu {
    core: Arc<Core>,
    adapter: Adapter,
    buffers: RwLock<HashMap<BufferId, wgpu::Buffer>>,
    next_buffer: AtomicU64,
    pipelines: Pipelines,
    /// Scratch buffers by index, with their sizes: shared by all programs, since a queue runs one after the other.
    scratch: Mutex<Vec<(BufferId, usize)>>,
    /// The buffer that keeps the first fault, and whether a kernel ran since the last read that may have written it.
    faults: BufferId,
    may_have_fault: AtomicBool,
    /// Submissions in flight. Whoever encodes holds it.
    flight: Mutex<VecDeque<wgpu::SubmissionIndex>>,
    dispatches: AtomicU64,
    submits: AtomicU64,
    /// How many pipelines there were when last waited for: a software driver compiles a kernel when it first runs.
    #[cfg(not(target_arch = "wasm32"))]
    seen_running: AtomicU64,
}

/// Submissions that may be in flight before the host waits: enough to overlap, few enough to bound memory.
const IN_FLIGHT: usize = 3;

impl Gpu {
    /// Opens adapter `index` of [`adapters`].
    #[cfg(not(target_arch = "wasm32"))]
    pub fn open(index: usize) -> Result<Gpu> {
        let (core, adapter) = Core::open(index)?;
        Gpu::new(core, adapter)
    }

    /// Opens an adapter and gives it the kernels of hardware, whatever it is.
    #[cfg(test)]
    pub fn open_as_hardware(index: usize) -> Result<Gpu> {
        let mut gpu = Gpu::open(index)?;
        gpu.adapter.software = false;
        Ok(gpu)
    }

    /// Opens the adapter a browser offers.
    #[cfg(target_arch = "wasm32")]
    pub async fn open_web() -> Result<Gpu> {
        let (core, adapter) = Core::open_web().await?;
        Gpu::new(core, adapter)
    }

    fn new(core: Core, adapter: Adapter) -> Result<Gpu> {
        let mut gpu = Gpu {
            core: Arc::new(core),
            adapter,
            buffers: RwLock::default(),
            next_buffer: AtomicU64::new(1),
            pipelines: Pipelines::default(),
            scratch: Mutex::default(),
            faults: 0,
            may_have_fault: AtomicBool::new(false),
            flight: Mutex::default(),
            dispatches: AtomicU64::new(0),
            submits: AtomicU64::new(0),
            #[cfg(not(target_arch = "wasm32"))]
            seen_running: AtomicU64::new(0),
        };
        #[cfg(not(target_arch = "wasm32"))]
        exit::wait_for(Arc::downgrade(&gpu.core));
        // New buffers hold zeros: no fault.
        gpu.faults = gpu.alloc(fault::BYTES)?;
        Ok(gpu)
    }

    fn buffer(&self, id: BufferId) -> Result<wgpu::Buffer> {
        let buffers = self.buffers.read();
        buffers.get(&id).cloned().ok_or_else(|| Error::device("gpu", format!("buffer {id} does not exist on {}", self.core.name)))
    }

    /// Hands commands to the queue; waits when too many are under way.
    fn submit(&self, flight: &mut VecDeque<wgpu::SubmissionIndex>, commands: wgpu::CommandBuffer) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        let _running = exit::running();
        let submission = self.core.queue.submit([commands]);
        self.submits.fetch_add(1, Ordering::Relaxed);
        #[cfg(not(target_arch = "wasm32"))]
        {
            let made = self.pipelines.created.load(Ordering::Relaxed);
            if self.core.software && self.seen_running.swap(made, Ordering::Relaxed) != made {
                self.core.wait(Some(submission.clone()))?;
                exit::register();
            }
        }
        flight.push_back(submission);
        if flight.len() > IN_FLIGHT {
            let oldest = flight.pop_front();
            if cfg!(not(target_arch = "wasm32")) {
                self.core.wait(oldest)?;
            }
        }
        Ok(())
    }
}

impl Runtime for Gpu {
    fn name(&self) -> String {
        self.core.name.clone()
    }

    fn adapter(&self) -> &Adapter {
        &self.adapter
    }

    fn check_dtype(&self, op: &'static str, dtype: DType) -> Result<()> {
        repr::check_dtype(op, dtype)
    }

    fn element_bits(&self, dtype: DType) -> usize {
        repr::word_bytes(dtype, 2) * 4
    }

    fn stored_bytes(&self, dtype: DType, numel: usize) -> usize {
        repr::stored_bytes(dtype, numel)
    }

    fn alloc(&self, bytes: usize) -> Result<BufferId> {
        self.core.check()?;
        let size = bytes.max(1).next_multiple_of(repr::ALIGN);
        let limit = self.adapter.limits.buffer_bytes;
        let short = |message: String| Err(Error::OutOfMemory { device: self.core.name.clone(), message });
        if size as u64 > limit {
            return short(format!("one tensor of {} MiB; a buffer holds at most {} MiB", size >> 20, limit >> 20));
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let descriptor = wgpu::BufferDescriptor { label: None, size: size as u64, usage, mapped_at_creation: false };
        let (buffer, error) = self.core.caught(|| self.core.device.create_buffer(&descriptor));
        if let Some(e) = error {
            return short(format!("{} MiB more: {e}", size >> 20));
        }
        let id = self.next_buffer.fetch_add(1, Ordering::Relaxed);
        self.buffers.write().insert(id, buffer);
        Ok(id)
    }

    fn free(&self, buffer: BufferId) {
        if let Some(b) = self.buffers.write().remove(&buffer) {
            // What is in flight keeps the memory until it is done; cached bind groups do not.
            b.destroy();
        }
    }

    fn upload(&self, to: Place, dtype: DType, bytes: &[u8]) -> Result<()> {
        self.core.check()?;
        let data = repr::encode(dtype, bytes)?;
        if !data.is_empty() {
            self.core.queue.write_buffer(&self.buffer(to.buffer)?, to.offset as u64, &data);
        }
        self.core.check_work("upload")
    }

    fn download(&self, from: Place, dtype: DType, first: usize, numel: usize) -> ReadFuture {
        match self.begin_download(from, dtype, first, numel) {
            Ok(read) => read,
            Err(e) => Box::pin(std::future::ready(Err(e))),
        }
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, read: ReadFuture) -> Result<Vec<u8>> {
        pollster::block_on(read)
    }

    #[cfg(target_arch = "wasm32")]
    fn wait(&self, _read: ReadFuture) -> Result<Vec<u8>> {
        Err(Error::unsupported("read", "a browser cannot wait; use the method that ends in _async"))
    }

    fn compile(&self, kernels: &[Kernel], alias: &dyn Fn(ValueId) -> ValueId) -> Result<Box<dyn Program>> {
        self.core.check()?;
        Ok(Box::new(self.prepare(kernels, alias)?))
    }

    fn execute(&self, program: &dyn Program, places: &[Place], scalars: &dyn Fn(usize, usize) -> Scalar) -> Result<()> {
        self.core.check()?;
        let program = program.as_any().downcast_ref().ok_or_else(|| Error::device("gpu", "a plan of another runtime"))?;
        self.run(program, places, scalars)
    }

    fn synchronize(&self) -> Result<()> {
        self.core.check()?;
        if cfg!(target_arch = "wasm32") {
            return Err(Error::unsupported("synchronize", "a browser cannot wait"));
        }
        self.flight.lock().clear();
        self.core.wait(None)?;
        self.core.check_work("synchronize")
    }

    fn counters(&self) -> Counters {
        Counters {
            dispatches: self.dispatches.load(Ordering::Relaxed),
            submits: self.submits.load(Ordering::Relaxed),
            pipelines_created: self.pipelines.created.load(Ordering::Relaxed),
            scratch_bytes: self.scratch.lock().iter().map(|s| s.1).sum(),
        }
    }

    fn lose(&self, why: &str) {
        self.core.lose(why);
    }
}

impl Gpu {
    /// Copies the words that hold the elements to memory the host can map, and asks for it.
    fn begin_download(&self, from: Place, dtype: DType, first: usize, numel: usize) -> Result<ReadFuture> {
        self.core.check()?;
        if numel == 0 {
            return Ok(Box::pin(std::future::ready(Ok(Vec::new()))));
        }
        let source = self.buffer(from.buffer)?;
        let packed = repr::Repr::of(dtype).packed();
        let lead = if packed { first % 2 } else { 0 };
        let start = from.offset + repr::word_bytes(dtype, first - lead);
        let size = repr::word_bytes(dtype, lead + numel) as u64;
        let faults = self.may_have_fault.swap(false, Ordering::AcqRel).then(|| self.buffer(self.faults)).transpose()?;
        let descriptor = wgpu::BufferDescriptor {
            label: Some("download"),
            size: size + if faults.is_some() { fault::BYTES as u64 } else { 0 },
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let (staging, error) = self.core.caught(|| self.core.device.create_buffer(&descriptor));
        if let Some(e) = error {
            return Err(Error::OutOfMemory { device: self.core.name.clone(), message: format!("{} MiB to read back: {e}", size >> 20) });
        }
        let mut encoder = self.core.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(&source, start as u64, &staging, 0, size);
        if let Some(f) = &faults {
            encoder.copy_buffer_to_buffer(f, 0, &staging, size, fault::BYTES as u64);
        }
        self.submit(&mut self.flight.lock(), encoder.finish())?;
        let (send, receive) = oneshot::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |outcome| {
            // Nobody may be waiting any more.
            let _ = send.send(outcome);
        });
        let core = self.core.clone();
        Ok(Box::pin(async move {
            // Natively nobody else drives the device: wait here. In a browser the event loop does.
            #[cfg(not(target_arch = "wasm32"))]
            core.wait(None)?;
            let mapped = receive.await;
            core.check_work("read")?;
            match mapped {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return Err(Error::device("read", format!("{}: {e}", core.name))),
                Err(_) => return Err(Error::device("read", format!("{}: the read was dropped", core.name))),
            }
            let view = staging.get_mapped_range(..).map_err(|e| Error::device("read", format!("{}: {e}", core.name)))?;
            let out = repr::decode(dtype, &view, lead, numel);
            let fault = faults.as_ref().and_then(|_| fault::error(&view[size as usize..]));
            drop(view);
            staging.destroy();
            match (fault, faults) {
                (Some(e), Some(f)) => {
                    core.queue.write_buffer(&f, 0, &[0; fault::BYTES]);
                    Err(e)
                }
                _ => Ok(out),
            }
        }))
    }
}
