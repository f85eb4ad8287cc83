//! Hooks on gradients.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::error::Result;
use crate::tensor::Tensor;

type Hook = Arc<dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync>;
type List = Mutex<Vec<(u64, Hook)>>;

/// The hooks of one tensor's gradient, in order of registration.
#[derive(Default, Clone)]
pub struct Hooks(Arc<List>);

static NEXT: AtomicU64 = AtomicU64::new(0);

impl Hooks {
    pub(crate) fn add(&self, hook: Hook) -> HookHandle {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0.lock().push((id, hook));
        HookHandle { id, list: Arc::downgrade(&self.0) }
    }

    /// The gradient after every hook has seen it and possibly replaced it.
    pub(crate) fn run(&self, mut grad: Tensor) -> Result<Tensor> {
        // Copied out: a hook may register or remove hooks.
        let hooks: Vec<Hook> = self.0.lock().iter().map(|(_, h)| h.clone()).collect();
        for hook in hooks {
            if let Some(new) = hook(&grad)? {
                grad = new;
            }
        }
        Ok(grad)
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hooks({})", self.0.lock().len())
    }
}

/// Removes a hook. Dropping the handle leaves the hook in place.
#[derive(Debug, Clone)]
pub struct HookHandle {
    id: u64,
    list: Weak<List>,
}

impl HookHandle {
    /// A number no other hook has.
    pub(crate) fn next() -> u64 {
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    pub fn remove(&self) {
        if let Some(list) = self.list.upgrade() {
            list.lock().retain(|(id, _)| *id != self.id);
        }
    }
}
