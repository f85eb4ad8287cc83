//! Devices: where tensors live and plans run.

use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::graph::node::Held;
use crate::runtime::pool::{MemoryStats, Pool};
use crate::runtime::{Adapter, Counters, Runtime, cpu::Cpu};

/// A device: the CPU, or a GPU through wgpu. A cheap handle; equal handles are the same device.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

struct Inner {
    id: u64,
    runtime: Arc<dyn Runtime>,
    pool: Pool,
    graph: Graph,
    constants: Mutex<VecDeque<(String, Arc<dyn Any + Send + Sync>)>>,
}

/// How many constants a device keeps, the ones used last.
const CONSTANTS: usize = 32;

static NEXT: AtomicU64 = AtomicU64::new(0);
static CPU: LazyLock<Device> = LazyLock::new(|| Device::from_runtime(Arc::new(Cpu::new())));
/// GPUs opened so far, by adapter index.
#[cfg(feature = "gpu")]
static GPUS: Mutex<Vec<(usize, Device)>> = Mutex::new(Vec::new());

/// What a device has done and holds: counters since it was made, bytes now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Kernels launched (on the CPU: executed).
    pub dispatches: u64,
    /// Command buffers submitted.
    pub submits: u64,
    pub pipelines_created: u64,
    /// Plans executed, and how many of them had to be scheduled or only bound to new sizes first.
    pub plans_run: u64,
    pub plans_scheduled: u64,
    pub plans_bound: u64,
    /// Microseconds of host time spent in flushes.
    pub host_us: u64,
}

impl Device {
    pub(crate) fn from_runtime(runtime: Arc<dyn Runtime>) -> Device {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Device(Arc::new(Inner { id, pool: Pool::new(runtime.clone()), runtime, graph: Graph::new(), constants: Mutex::default() }))
    }

    /// A constant that operators need again and again: small tables that would be uploaded at each call. `key` says all
    /// that it depends on.
    pub(crate) fn constant<T: Any + Send + Sync>(&self, key: String, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let found = {
            let mut all = self.0.constants.lock();
            let at = all.iter().position(|(k, _)| *k == key);
            let found = at.and_then(|at| all.remove(at));
            found.inspect(|(_, value)| all.push_front((key.clone(), value.clone()))).map(|(_, value)| value)
        };
        if let Some(Ok(known)) = found.map(Arc::downcast::<T>) {
            return Ok(known);
        }
        // Without the lock: making it may use the device. Two threads may both make it.
        let made = Arc::new(make()?);
        let mut all = self.0.constants.lock();
        all.push_front((key, made.clone()));
        all.truncate(CONSTANTS);
        Ok(made)
    }

    /// The CPU.
    pub fn cpu() -> Device {
        CPU.clone()
    }

    /// GPU number `index` of [`Device::gpus`], hardware adapters first.
    ///
    /// # Errors
    /// No such adapter, or it cannot run compute shaders.
    #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
    pub fn gpu(index: usize) -> Result<Device> {
        let mut opened = GPUS.lock();
        if let Some((_, d)) = opened.iter().find(|(i, _)| *i == index) {
            return Ok(d.clone());
        }
        let device = Device::from_runtime(Arc::new(crate::runtime::wgpu::Gpu::open(index)?));
        opened.push((index, device.clone()));
        Ok(device)
    }

    #[cfg(not(all(feature = "gpu", not(target_arch = "wasm32"))))]
    pub fn gpu(_index: usize) -> Result<Device> {
        Err(Error::device("device", "this build has no GPU that can be opened without waiting"))
    }

    /// The adapters [`Device::gpu`] can open, in its order: hardware before software, one entry an adapter.
    pub fn gpus() -> Vec<Adapter> {
        #[cfg(all(feature = "gpu", not(target_arch = "wasm32")))]
        return crate::runtime::wgpu::adapters();
        #[cfg(not(all(feature = "gpu", not(target_arch = "wasm32"))))]
        Vec::new()
    }

    /// The fastest device present: a hardware GPU, else the CPU (software GPUs are 4 to 20 times slower than it).
    pub fn best() -> Device {
        let hardware = Device::gpus().iter().position(|a| !a.software);
        hardware.and_then(|i| Device::gpu(i).ok()).unwrap_or_else(Device::cpu)
    }

    /// The device's name as it is parsed: `cpu`, `gpu:0`.
    pub fn name(&self) -> String {
        self.0.runtime.name()
    }

    pub fn is_cpu(&self) -> bool {
        *self == Device::cpu()
    }

    /// What the device is: adapter, backend, driver, features, limits.
    pub fn adapter(&self) -> &Adapter {
        self.0.runtime.adapter()
    }

    /// The start-up report: one line an item.
    pub fn report(&self) -> String {
        let a = self.adapter();
        let subgroups = a.subgroups.map_or("none".to_string(), |(lo, hi)| format!("{lo} to {hi}"));
        format!(
            "device     {}\nadapter    {}{}\nbackend    {}\ndriver     {}\nf16        {}\nsubgroups  {}\nlimits     buffer {} MiB, binding {} MiB, {} storage buffers, {} B workgroup memory, {} invocations\nfeatures   {}",
            self.name(),
            a.name,
            if a.software { " (software)" } else { "" },
            a.backend,
            a.driver,
            if a.shader_f16 { "native" } else { "packed" },
            subgroups,
            a.limits.buffer_bytes >> 20,
            a.limits.binding_bytes >> 20,
            a.limits.storage_buffers,
            a.limits.workgroup_bytes,
            a.limits.invocations,
            if a.features.is_empty() { "none".to_string() } else { a.features.join(", ") },
        )
    }

    pub(crate) fn runtime(&self) -> &dyn Runtime {
        &*self.0.runtime
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.0.graph
    }

    /// Registers pending work; computes it when a deterministic amount has gathered, or at once with `TAPER_EAGER=1`.
    pub(crate) fn enqueue(&self, node: &Held) -> Result<()> {
        self.0.graph.enqueue(self, node)
    }

    /// Computes everything pending on this device. On a GPU it returns when the work is submitted.
    ///
    /// # Errors
    /// Out of memory (nothing was computed, everything is still pending); a lost device; a fault in a kernel.
    pub fn flush(&self) -> Result<()> {
        self.0.graph.flush(self)
    }

    /// Computes everything pending and waits until the device is idle.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub fn synchronize(&self) -> Result<()> {
        self.flush()?;
        self.0.runtime.synchronize()
    }

    /// Counters since the device was made.
    pub fn stats(&self) -> Stats {
        let Counters { dispatches, submits, pipelines_created, .. } = self.0.runtime.counters();
        Stats { dispatches, submits, pipelines_created, ..self.0.graph.stats() }
    }

    /// Bytes allocated, reserved, and at the peak; like `torch.cuda.memory_allocated` and friends.
    pub fn memory(&self) -> MemoryStats {
        MemoryStats { scratch: self.0.runtime.counters().scratch_bytes, ..self.0.pool.stats() }
    }

    /// Starts a new measurement of the peak, as `torch.cuda.reset_peak_memory_stats`.
    pub fn reset_peak_memory(&self) {
        self.0.pool.reset_peak();
    }

    /// Returns unused reserved buffers to the system.
    pub fn empty_cache(&self) {
        self.0.pool.empty_cache();
    }

    /// Makes the device behave as if it had been unplugged: its values are gone, every later use is an error.
    #[doc(hidden)]
    pub fn simulate_loss(&self) {
        self.0.runtime.lose("simulated");
    }

    /// Limits the bytes this device may reserve; `None` lifts the limit. More than that is [`Error::OutOfMemory`].
    pub fn set_memory_budget(&self, bytes: Option<usize>) {
        self.0.pool.set_budget(bytes);
    }
}

impl PartialEq for Device {
    fn eq(&self, other: &Device) -> bool {
        self.0.id == other.0.id
    }
}
impl Eq for Device {}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// `cpu`, `gpu`, `gpu:1`, `gpu:swiftshader` (part of an adapter's name, any case), `best`.
impl FromStr for Device {
    type Err = Error;

    fn from_str(s: &str) -> Result<Device> {
        let unknown = |why: String| Error::device("device", why);
        match s.split_once(':') {
            None => match s {
                "cpu" => Ok(Device::cpu()),
                "best" | "auto" => Ok(Device::best()),
                "gpu" => Device::gpu(0),
                _ => Err(unknown(format!("'{s}' is none of cpu, gpu, gpu:INDEX, gpu:NAME, best"))),
            },
            Some(("gpu", which)) => {
                if let Ok(i) = which.parse() {
                    return Device::gpu(i);
                }
                let (all, wanted) = (Device::gpus(), which.to_lowercase());
                let found = all.iter().position(|a| {
                    !wanted.is_empty() && [&a.name, &a.driver, &a.backend].iter().any(|n| n.to_lowercase().contains(&wanted))
                });
                let names = || all.iter().map(|a| a.name.as_str()).collect::<Vec<_>>().join(", ");
                Device::gpu(found.ok_or_else(|| {
                    unknown(format!("no adapter is called '{which}'; present: {}", if all.is_empty() { "none".into() } else { names() }))
                })?)
            }
            Some(_) => Err(unknown(format!("'{s}' is none of cpu, gpu, gpu:INDEX, gpu:NAME, best"))),
        }
    }
}
