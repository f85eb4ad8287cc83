//! Device memory: pooled buffers in size classes, counted against a byte budget.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{BufferId, Runtime};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::graph::node::Buffer;

/// Bytes of device memory, like `torch.cuda.memory_allocated`, `memory_reserved`, `max_memory_allocated`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// In tensors and in running plans.
    pub allocated: usize,
    /// Taken from the system: allocated plus pooled for reuse.
    pub reserved: usize,
    /// The most that was allocated at once.
    pub peak: usize,
    /// Working memory of kernels on a GPU, shared by all plans; not part of the other figures.
    pub scratch: usize,
}

#[derive(Debug)]
pub(crate) struct Pool {
    runtime: Arc<dyn Runtime>,
    state: Mutex<PoolState>,
}

#[derive(Debug, Default)]
struct PoolState {
    /// Unused buffers by size class.
    free: BTreeMap<usize, Vec<BufferId>>,
    stats: MemoryStats,
    budget: Option<usize>,
}

/// Sizes grow by an eighth at most: little waste, and a few classes serve all shapes of a model.
fn size_class(bytes: usize) -> usize {
    let bytes = bytes.max(256);
    let step = (bytes.next_power_of_two() / 16).max(256);
    bytes.div_ceil(step).saturating_mul(step)
}

impl Pool {
    pub fn new(runtime: Arc<dyn Runtime>) -> Pool {
        Pool { runtime, state: Mutex::default() }
    }

    /// A buffer of at least `bytes`; its contents are arbitrary.
    pub fn take(&self, device: &Device, bytes: usize) -> Result<Arc<Buffer>> {
        let class = size_class(bytes);
        let mut state = self.state.lock();
        let id = match state.free.get_mut(&class).and_then(Vec::pop) {
            Some(id) => id,
            None => {
                self.make_room(&mut state, class)?;
                let id = match self.runtime.alloc(class) {
                    // The system is short: give back what is pooled and try once more.
                    Err(Error::OutOfMemory { .. }) if self.release(&mut state) > 0 => self.runtime.alloc(class)?,
                    other => other?,
                };
                state.stats.reserved += class;
                id
            }
        };
        state.stats.allocated += class;
        state.stats.peak = state.stats.peak.max(state.stats.allocated);
        Ok(Arc::new(Buffer { id, bytes: class, device: device.clone() }))
    }

    fn make_room(&self, state: &mut PoolState, bytes: usize) -> Result<()> {
        let Some(budget) = state.budget else { return Ok(()) };
        if state.stats.reserved.saturating_add(bytes) > budget {
            self.release(state);
        }
        if state.stats.reserved.saturating_add(bytes) <= budget {
            return Ok(());
        }
        let mib = |b: usize| format!("{:.1} MiB", b as f64 / (1 << 20) as f64);
        let MemoryStats { allocated, peak, .. } = state.stats;
        let message =
            format!("{} more does not fit the budget of {} ({} in use, peak {})", mib(bytes), mib(budget), mib(allocated), mib(peak));
        Err(Error::OutOfMemory { device: self.runtime.name(), message })
    }

    /// Frees every pooled buffer; how many there were.
    fn release(&self, state: &mut PoolState) -> usize {
        let mut count = 0;
        for (class, ids) in std::mem::take(&mut state.free) {
            for id in ids {
                self.runtime.free(id);
                state.stats.reserved -= class;
                count += 1;
            }
        }
        count
    }

    pub fn give_back(&self, id: BufferId, class: usize) {
        let mut state = self.state.lock();
        state.stats.allocated -= class;
        state.free.entry(class).or_default().push(id);
    }

    pub fn empty_cache(&self) {
        self.release(&mut self.state.lock());
    }

    pub fn set_budget(&self, budget: Option<usize>) {
        self.state.lock().budget = budget;
    }

    pub fn stats(&self) -> MemoryStats {
        self.state.lock().stats
    }

    /// Starts a new measurement of the peak.
    pub fn reset_peak(&self) {
        let mut state = self.state.lock();
        state.stats.peak = state.stats.allocated;
    }
}
