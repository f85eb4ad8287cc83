//! From pending operations to executed plans.
//!
//! `flush` gathers what is pending, [`plan`] finds or makes the plan for a graph of that structure,
//! [`schedule`] groups nodes into kernels, [`fuse`] writes each kernel's program, [`memory`] decides which
//! buffer holds which value, and the device's runtime executes.

mod describe;
mod dot;
mod flush;
mod fuse;
pub(crate) mod kernel;
mod memory;
pub(crate) mod node;
mod plan;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::{LazyLock, Weak};

use parking_lot::Mutex;

use crate::device::{Device, Stats};
use crate::error::Result;
use node::{Held, Node};
use plan::PlanCache;

pub(crate) use flush::gather as flush_gather;

/// The pending work and the plans of one device.
#[derive(Debug)]
pub(crate) struct Graph {
    /// Every node that was made and not computed, oldest first; dropped ones linger as empty references.
    pending: Mutex<Vec<Weak<Node>>>,
    /// Held while a flush plans and executes.
    plans: Mutex<PlanCache>,
    stats: Mutex<Stats>,
}

/// Operations after which a flush happens by itself: enough for a training step of a large model, and a
/// bound on the memory that pending work can pin.
const FLUSH_AFTER: usize = 1 << 14;

/// `TAPER_EAGER=1`: every operation is its own plan. The debugger, and the oracle of the tests.
static EAGER: LazyLock<bool> = LazyLock::new(|| std::env::var("TAPER_EAGER").is_ok_and(|v| v == "1"));

std::thread_local! {
    static EAGER_HERE: std::cell::Cell<Option<bool>> = const { std::cell::Cell::new(None) };
}

/// Runs `f` with every operation as its own plan (`true`) or with fused plans (`false`) on this thread,
/// whatever `TAPER_EAGER` says.
pub fn with_eager<T>(eager: bool, f: impl FnOnce() -> T) -> T {
    struct Restore(Option<bool>);
    impl Drop for Restore {
        fn drop(&mut self) {
            EAGER_HERE.set(self.0);
        }
    }
    let _restore = Restore(EAGER_HERE.replace(Some(eager)));
    f()
}

impl Graph {
    pub fn new() -> Graph {
        Graph { pending: Mutex::default(), plans: Mutex::default(), stats: Mutex::default() }
    }

    pub fn stats(&self) -> Stats {
        *self.stats.lock()
    }

    /// Registers pending work. What fails when it is computed is reported to whoever reads it, unless every operation is
    /// computed at once: then it is this operation's error.
    pub fn enqueue(&self, device: &Device, node: &Held) -> Result<()> {
        let full = {
            let mut pending = self.pending.lock();
            pending.push(std::sync::Arc::downgrade(node.arc()));
            pending.len() % FLUSH_AFTER == 0
        };
        if EAGER_HERE.get().unwrap_or(*EAGER) {
            return self.compute(node.arc());
        }
        if full {
            let _ = self.flush(device);
        }
        Ok(())
    }
}
