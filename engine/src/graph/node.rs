//! Nodes: values that are computed, or will be.

use std::mem;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::device::Device;
use crate::error::Error;
use crate::ops::{OpRef, Spec};
use crate::runtime::BufferId;
use crate::shape::Layout;

/// One value: contiguous storage of `spec`, made by `op` or uploaded. Immutable: in-place methods put a
/// new node into the tensor's slot.
#[derive(Debug)]
pub(crate) struct Node {
    /// Grows in order of creation, so inputs always have smaller ids: sorting by id is a topological order.
    pub id: u64,
    pub spec: Spec,
    pub device: Device,
    /// `None` for uploaded data.
    pub op: Option<OpRef>,
    pub state: Mutex<State>,
    /// Smallest and largest value of uploaded integers: lets index checks happen before anything runs.
    pub range: Option<(i64, i64)>,
    pub at: &'static Location<'static>,
    /// Who will want the value later: tensor handles, gradients that saved it, pending work of other
    /// devices. A node without holders is a temporary that fusion may dissolve.
    holders: AtomicUsize,
}

#[derive(Debug)]
pub(crate) enum State {
    /// Not computed; the inputs it will be computed from.
    Pending(SmallVec<[Input; 3]>),
    /// Lies in a buffer (work on it may still be in flight on the device's queue).
    Ready(Storage),
    Failed(Error),
}

/// What a pending node reads: another node through a layout.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub node: Arc<Node>,
    pub layout: Layout,
    /// Keeps a value of another device alive until the transfer has run.
    pub held: Option<Held>,
}

/// A place in a buffer; the buffer returns to the pool when the last storage in it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    pub buffer: Arc<Buffer>,
    /// In bytes, a multiple of 256.
    pub offset: usize,
}

/// A buffer of a device's pool.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub id: BufferId,
    /// As reserved, at least what was asked for.
    pub bytes: usize,
    pub device: Device,
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.device.pool().give_back(self.id, self.bytes);
    }
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

pub(crate) fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}

impl Node {
    pub fn new(
        spec: Spec,
        device: Device,
        op: Option<OpRef>,
        state: State,
        range: Option<(i64, i64)>,
        at: &'static Location<'static>,
    ) -> Held {
        let node = Node { id: next_id(), spec, device, op, state: Mutex::new(state), range, at, holders: AtomicUsize::new(0) };
        Held::new(Arc::new(node))
    }

    pub fn is_held(&self) -> bool {
        self.holders.load(Ordering::Acquire) > 0
    }

    pub fn is_pending(&self) -> bool {
        matches!(*self.state.lock(), State::Pending(_))
    }

    /// Puts the outcome in place and lets go of the inputs.
    pub fn finish(&self, state: State) {
        let old = mem::replace(&mut *self.state.lock(), state);
        drop_inputs(old);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop_inputs(mem::replace(self.state.get_mut(), State::Failed(Error::argument("node", "dropped"))));
    }
}

/// Drops what a state holds without recursion: chains of a million nodes are fine.
fn drop_inputs(state: State) {
    let State::Pending(inputs) = state else { return };
    let mut stack: SmallVec<[Input; 8]> = inputs.into_iter().collect();
    while let Some(input) = stack.pop() {
        drop(input.held);
        if let Some(mut node) = Arc::into_inner(input.node)
            && let State::Pending(inputs) = mem::replace(node.state.get_mut(), State::Failed(Error::argument("node", "dropped")))
        {
            stack.extend(inputs);
        }
    }
}

/// A counted claim on a node's value.
#[derive(Debug)]
pub(crate) struct Held(Arc<Node>);

impl Held {
    pub fn new(node: Arc<Node>) -> Held {
        node.holders.fetch_add(1, Ordering::AcqRel);
        Held(node)
    }

    pub fn arc(&self) -> &Arc<Node> {
        &self.0
    }
}

impl Clone for Held {
    fn clone(&self) -> Held {
        Held::new(self.0.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.holders.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Deref for Held {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.0
    }
}
