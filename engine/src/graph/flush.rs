//! A flush: everything pending on a device becomes one plan.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;

use smallvec::SmallVec;

use super::Graph;
use super::node::{Input, Node, State, Storage};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::ops::{Kind, OpRef};
use crate::runtime::Place;
use crate::shape::{Layout, numel};

/// A snapshot of pending work in topological order, and of the computed values it reads.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub nodes: Vec<PendingNode>,
    pub externals: Vec<External>,
}

#[derive(Debug)]
pub(crate) struct PendingNode {
    pub node: Arc<Node>,
    pub op: OpRef,
    pub inputs: SmallVec<[(Source, Layout); 3]>,
    /// Somebody wants the value after the plan.
    pub held: bool,
}

#[derive(Debug)]
pub(crate) struct External {
    pub node: Arc<Node>,
    pub storage: Storage,
    /// Nobody wants the value after the plan: its buffer may be overwritten.
    pub donated: bool,
}

/// Where an input comes from: an earlier node of the snapshot, or a computed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    Node(usize),
    External(usize),
}

impl Graph {
    /// Computes everything pending on `device`.
    pub fn flush(&self, device: &Device) -> Result<()> {
        self.run(device, None)
    }

    /// Computes one node and what it needs, nothing else.
    pub fn realize(&self, device: &Device, node: &Arc<Node>) -> Result<()> {
        self.run(device, Some(node))
    }

    /// Computes everything pending on the node's device, or where that fails (there is not enough memory for all of it, say)
    /// the node and what it needs.
    pub fn compute(&self, node: &Arc<Node>) -> Result<()> {
        if node.is_pending() {
            // What fails may be somebody else's work; what concerns this node comes back below.
            let _ = self.flush(&node.device);
        }
        if node.is_pending() { self.realize(&node.device, node) } else { Ok(()) }
    }

    fn run(&self, device: &Device, only: Option<&Arc<Node>>) -> Result<()> {
        #[cfg(not(target_arch = "wasm32"))]
        let start = Instant::now();
        let (mut plans, snapshot) = loop {
            // Transfers first, without this device's lock: they may flush other devices.
            while let Some(transfer) = self.next_transfer(only) {
                run_transfer(device, &transfer)?;
            }
            let plans = self.plans.lock();
            // Nobody may add work while it is decided what nobody wants: another thread could queue a reader of a value and
            // let go of the value, which would look like a temporary although its reader is missing here.
            let mut pending = self.pending.lock();
            let nodes = reachable(&mut pending, only);
            if nodes.is_empty() {
                return Ok(());
            }
            if !nodes.iter().any(|n| is_transfer(n)) {
                break (plans, Snapshot::take(nodes, only.is_none())?);
            }
        };
        if snapshot.nodes.is_empty() {
            return Ok(());
        }
        let (bound, fresh) = plans.find(device, &snapshot)?;
        let outcome = bound.execute(device, &snapshot);
        drop(plans);
        let mut stats = self.stats.lock();
        stats.plans_run += 1;
        stats.plans_scheduled += fresh.scheduled as u64;
        stats.plans_bound += fresh.bound as u64;
        #[cfg(not(target_arch = "wasm32"))]
        {
            stats.host_us += start.elapsed().as_micros() as u64;
        }
        outcome
    }

    fn next_transfer(&self, only: Option<&Arc<Node>>) -> Option<Arc<Node>> {
        reachable(&mut self.pending.lock(), only).into_iter().find(|n| is_transfer(n))
    }

    /// Forgets nodes that are computed by now.
    pub(super) fn sweep(&self) {
        self.pending.lock().retain(|w| w.upgrade().is_some_and(|n| n.is_pending()));
    }
}

/// Pending nodes that are wanted (by a holder, or `only`) and everything pending they are computed from, oldest first.
fn reachable(pending: &mut Vec<Weak<Node>>, only: Option<&Arc<Node>>) -> Vec<Arc<Node>> {
    let mut stack: Vec<Arc<Node>> = match only {
        Some(node) => vec![node.clone()],
        None => {
            // Unwanted nodes are either temporaries of wanted ones, or dead.
            pending.retain(|w| w.strong_count() > 0);
            pending.iter().filter_map(|w| w.upgrade()).filter(|n| n.is_pending() && n.is_held()).collect()
        }
    };
    let mut seen: HashMap<u64, Arc<Node>> = HashMap::new();
    while let Some(node) = stack.pop() {
        if seen.contains_key(&node.id) {
            continue;
        }
        if let State::Pending(inputs) = &*node.state.lock() {
            // Another device's nodes are that device's business.
            stack.extend(inputs.iter().map(|i| &i.node).filter(|n| n.device == node.device).cloned());
        } else {
            continue;
        }
        seen.insert(node.id, node);
    }
    let mut nodes: Vec<Arc<Node>> = seen.into_values().collect();
    nodes.sort_unstable_by_key(|n| n.id);
    nodes
}

fn is_transfer(node: &Node) -> bool {
    node.op.as_ref().is_some_and(|op| matches!(op.kind(), Kind::Transfer))
}

/// Moves a value from another device: through host memory.
fn run_transfer(device: &Device, node: &Arc<Node>) -> Result<()> {
    let input = match &*node.state.lock() {
        State::Pending(inputs) => inputs[0].clone(),
        _ => return Ok(()),
    };
    let outcome = move_value(device, node, &input);
    match outcome {
        // Two threads may have moved the same value; the second result is dropped.
        Ok(storage) if node.is_pending() => node.finish(State::Ready(storage)),
        Ok(_) => {}
        // A value that cannot be represented here stays wrong however often it is tried; memory may free up.
        Err(e @ Error::OutOfMemory { .. }) => return Err(e),
        Err(e) => node.finish(State::Failed(e)),
    }
    Ok(())
}

fn move_value(device: &Device, node: &Node, input: &Input) -> Result<Storage> {
    // Only what the value needs: a flush of everything there could come back to this very transfer.
    let source = &input.node;
    if source.is_pending() {
        source.device.graph().realize(&source.device, source)?;
    }
    let bytes = input.node.device.graph().download(&input.node, &input.layout)?;
    let size = device.runtime().stored_bytes(node.spec.dtype, numel(&node.spec.shape));
    let buffer = device.pool().take(device, size)?;
    device.runtime().upload(Place { buffer: buffer.id, offset: 0 }, node.spec.dtype, &bytes)?;
    Ok(Storage { buffer, offset: 0 })
}

impl Graph {
    /// The elements a layout reads of a node, as host bytes; computes the node first.
    pub fn download(&self, node: &Arc<Node>, layout: &Layout) -> Result<Vec<u8>> {
        let read = self.start_download(node, layout)?;
        let bytes = node.device.runtime().wait(read)?;
        Ok(gather(&bytes, layout, node.spec.dtype.size()))
    }

    /// Computes a node and starts reading the span of its storage that `layout` touches.
    pub fn start_download(&self, node: &Arc<Node>, layout: &Layout) -> Result<crate::runtime::ReadFuture> {
        let device = &node.device;
        self.compute(node)?;
        let storage = match &*node.state.lock() {
            State::Ready(storage) => storage.clone(),
            State::Failed(e) => return Err(e.clone()),
            State::Pending(_) => return Err(Error::argument("read", "the value is still pending after a flush")),
        };
        let Some((first, last)) = layout.span() else { return Ok(Box::pin(std::future::ready(Ok(Vec::new())))) };
        let place = Place { buffer: storage.buffer.id, offset: storage.offset };
        let read = device.runtime().download(place, node.spec.dtype, first, last - first + 1);
        // The buffer must not return to the pool before it was read.
        Ok(Box::pin(async move {
            let bytes = read.await;
            drop(storage);
            bytes
        }))
    }
}

/// Picks the elements of `layout` out of the bytes of its span, in row-major order.
pub(crate) fn gather(span: &[u8], layout: &Layout, size: usize) -> Vec<u8> {
    let Some((first, _)) = layout.span() else { return Vec::new() };
    if layout.is_contiguous() {
        return span.to_vec();
    }
    let mut out = Vec::with_capacity(layout.numel() * size);
    let rank = layout.shape.len();
    let mut index: SmallVec<[usize; 6]> = SmallVec::from_elem(0, rank);
    let mut at = layout.offset as isize - first as isize;
    loop {
        let start = at as usize * size;
        out.extend_from_slice(&span[start..start + size]);
        let mut d = rank;
        loop {
            if d == 0 {
                return out;
            }
            d -= 1;
            index[d] += 1;
            at += layout.strides[d];
            if index[d] < layout.shape[d] {
                break;
            }
            at -= layout.strides[d] * layout.shape[d] as isize;
            index[d] = 0;
        }
    }
}

impl Snapshot {
    /// `full`: every wanted pending node is among `nodes`, so that a value without holders has no reader elsewhere.
    fn take(nodes: Vec<Arc<Node>>, full: bool) -> Result<Snapshot> {
        let mut snapshot = Snapshot::default();
        let mut index: HashMap<u64, Source> = HashMap::with_capacity(nodes.len());
        for node in nodes {
            let inputs = match &*node.state.lock() {
                State::Pending(inputs) => inputs.clone(),
                _ => continue,
            };
            let mut sources = SmallVec::new();
            let mut failed = None;
            for input in inputs {
                let id = input.node.id;
                let source = match index.get(&id) {
                    Some(s) => *s,
                    None => {
                        let storage = match &*input.node.state.lock() {
                            State::Ready(s) => s.clone(),
                            State::Failed(e) => {
                                failed = Some(e.clone());
                                break;
                            }
                            State::Pending(_) => return Err(Error::argument("flush", "an input is pending on another device")),
                        };
                        let donated = full && !input.node.is_held();
                        snapshot.externals.push(External { node: input.node, storage, donated });
                        let source = Source::External(snapshot.externals.len() - 1);
                        index.insert(id, source);
                        source
                    }
                };
                sources.push((source, input.layout));
            }
            if let Some(error) = failed {
                node.finish(State::Failed(error));
                continue;
            }
            let Some(op) = node.op.clone() else { continue };
            index.insert(node.id, Source::Node(snapshot.nodes.len()));
            let held = node.is_held();
            snapshot.nodes.push(PendingNode { node, op, inputs: sources, held });
        }
        Ok(snapshot)
    }
}
