//! Plans and their cache.
//!
//! Two levels. The *structure* of a graph (operators and attributes, ranks, which sizes are equal, which are
//! 0 or 1 or multiples of 4, how views stride, what is held or donated) determines the grouping. The *sizes*
//! bind it: accesses, dispatch counts, the memory plan. Both are compared as a whole, not only by hash. Run-time
//! scalars are in neither.

use std::any::Any;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::sync::{Arc, LazyLock};

use super::flush::{Snapshot, Source};
use super::node::{State, Storage};
use super::schedule::{Decision, schedule};
use super::{fuse, memory};
use crate::device::Device;
use crate::error::{Error, Result};
use crate::ops::Op;
use crate::runtime::{Place, Program};
use crate::shape::Layout;

use memory::Home;

/// `TAPER_TRACE=1`: every new plan is written to the standard error stream.
static TRACE: LazyLock<bool> = LazyLock::new(|| std::env::var("TAPER_TRACE").is_ok_and(|v| v == "1"));

/// Structures (and sizes of one structure) kept; a program that makes more of them starts over.
const MAX_ENTRIES: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct PlanCache {
    structures: HashMap<Vec<u64>, Structure>,
    bound: usize,
}

#[derive(Debug)]
struct Structure {
    decisions: Vec<Decision>,
    sizes: HashMap<Vec<u64>, Arc<Plan>>,
}

/// A plan bound to sizes: ready to run with other values and other scalars.
#[derive(Debug)]
pub(crate) struct Plan {
    program: Box<dyn Program>,
    homes: Vec<Home>,
    slots: Vec<usize>,
    /// Externals whose buffer a result took over.
    consumed: Vec<usize>,
}

/// What had to be done to find a plan.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fresh {
    pub scheduled: bool,
    pub bound: bool,
}

impl PlanCache {
    pub fn find(&mut self, device: &Device, snapshot: &Snapshot) -> Result<(Arc<Plan>, Fresh)> {
        let (structure, sizes) = keys(snapshot);
        let known = self.structures.get(&structure);
        if let Some(plan) = known.and_then(|s| s.sizes.get(&sizes)) {
            return Ok((plan.clone(), Fresh::default()));
        }
        let fresh = Fresh { scheduled: known.is_none(), bound: true };
        let (plan, decisions) = Plan::new(device, snapshot, known.map(|s| s.decisions.as_slice()))?;
        let plan = Arc::new(plan);
        if self.structures.len() >= MAX_ENTRIES || self.bound >= MAX_ENTRIES {
            *self = PlanCache::default();
        }
        self.bound += 1;
        let entry = self.structures.entry(structure).or_insert_with(|| Structure { decisions, sizes: HashMap::new() });
        entry.sizes.insert(sizes, plan.clone());
        Ok((plan, fresh))
    }
}

/// Numbers larger than 1 appear in the structure as symbols, by first appearance.
struct Symbols {
    structure: Vec<u64>,
    sizes: Vec<u64>,
    seen: HashMap<u64, u64>,
}

impl Symbols {
    fn size(&mut self, n: isize) {
        let magnitude = n.unsigned_abs() as u64;
        if magnitude <= 1 {
            self.structure.push((n + 1) as u64);
            return;
        }
        let next = self.seen.len() as u64;
        let symbol = *self.seen.entry(magnitude).or_insert(next);
        if symbol == next {
            self.sizes.push(magnitude);
        }
        self.structure
            .push(8 + (symbol << 3) + ((n < 0) as u64) + (((magnitude % 4 == 0) as u64) << 1) + (((magnitude % 64 == 0) as u64) << 2));
    }

    fn layout(&mut self, l: &Layout) {
        self.structure.push(l.shape.len() as u64);
        l.shape.iter().for_each(|&d| self.size(d as isize));
        l.strides.iter().for_each(|&s| self.size(s));
        self.size(l.offset as isize);
    }
}

fn keys(snapshot: &Snapshot) -> (Vec<u64>, Vec<u64>) {
    let mut s = Symbols { structure: Vec::with_capacity(snapshot.nodes.len() * 16), sizes: Vec::new(), seen: HashMap::new() };
    for e in &snapshot.externals {
        s.structure.push(e.node.spec.dtype as u64 | (e.donated as u64) << 8 | (e.node.spec.shape.len() as u64) << 16);
        e.node.spec.shape.iter().for_each(|&d| s.size(d as isize));
    }
    for n in &snapshot.nodes {
        s.structure.push(identity(&*n.op));
        s.structure
            .push(n.node.spec.dtype as u64 | (n.held as u64) << 8 | (n.node.spec.shape.len() as u64) << 16 | (n.inputs.len() as u64) << 32);
        let at = s.structure.len();
        s.structure.push(0);
        n.op.attrs(&mut s.structure);
        s.structure[at] = (s.structure.len() - at) as u64;
        n.node.spec.shape.iter().for_each(|&d| s.size(d as isize));
        if let crate::ops::Kind::Assign(region) = n.op.kind() {
            s.layout(region);
        }
        for (source, layout) in &n.inputs {
            s.structure.push(match source {
                Source::Node(i) => (*i as u64) << 1,
                Source::External(i) => (*i as u64) << 1 | 1,
            });
            s.layout(layout);
        }
    }
    (s.structure, s.sizes)
}

/// The operator's type and name as one number.
fn identity(op: &dyn Op) -> u64 {
    let mut h = DefaultHasher::new();
    let any: &dyn Any = op;
    (any.type_id(), op.name()).hash(&mut h);
    h.finish()
}

impl Plan {
    fn new(device: &Device, snapshot: &Snapshot, known: Option<&[Decision]>) -> Result<(Plan, Vec<Decision>)> {
        let runtime = device.runtime();
        let (schedule, decisions) = schedule(snapshot, known);
        let mut kernels = fuse::build(snapshot, &schedule, runtime)?;
        let memory = memory::plan(snapshot, &mut kernels, runtime);
        let program = runtime.compile(&kernels.kernels, &|v| memory.alias[v])?;
        let first_node = snapshot.externals.len();
        let mut consumed: Vec<usize> =
            memory.homes[first_node..].iter().filter_map(|h| if let Home::External(i) = h { Some(*i) } else { None }).collect();
        consumed.sort_unstable();
        consumed.dedup();
        let plan = Plan { program, homes: memory.homes, slots: memory.slots, consumed };
        if *TRACE {
            plan.trace(device, snapshot);
        }
        Ok((plan, decisions))
    }

    /// Runs the plan for a snapshot it was made for. On `OutOfMemory` nothing has happened and everything is still pending.
    pub fn execute(&self, device: &Device, snapshot: &Snapshot) -> Result<()> {
        let slots = self.slots.iter().map(|&bytes| device.pool().take(device, bytes)).collect::<Result<Vec<_>>>()?;
        let storage = |home: Home| match home {
            Home::External(i) => Some(snapshot.externals[i].storage.clone()),
            Home::Slot(i) => Some(Storage { buffer: slots[i].clone(), offset: 0 }),
            Home::None => None,
        };
        let places: Vec<Place> = self
            .homes
            .iter()
            .map(|&h| match h {
                Home::External(i) => {
                    Place { buffer: snapshot.externals[i].storage.buffer.id, offset: snapshot.externals[i].storage.offset }
                }
                Home::Slot(i) => Place { buffer: slots[i].id, offset: 0 },
                Home::None => Place { buffer: 0, offset: 0 },
            })
            .collect();
        let outcome = device.runtime().execute(&*self.program, &places, &|node, index| snapshot.nodes[node].op.scalars()[index].0);
        if let Err(e @ Error::OutOfMemory { .. }) = outcome {
            return Err(e);
        }
        let first_node = snapshot.externals.len();
        // A consumed input has no holder, so nobody can ask for it; the state says so all the same.
        for &i in &self.consumed {
            snapshot.externals[i].node.finish(State::Failed(Error::argument("plan", "the value was overwritten in place")));
        }
        for (i, node) in snapshot.nodes.iter().enumerate() {
            let wanted = node.held || node.node.is_held();
            match (&outcome, storage(self.homes[first_node + i])) {
                (Ok(()), Some(storage)) if wanted => node.node.finish(State::Ready(storage)),
                (Err(e), _) if wanted => node.node.finish(State::Failed(e.clone().carried(node.node.at))),
                // A temporary: its consumers have let go of it, or are about to.
                _ => {}
            }
        }
        device.graph().sweep();
        outcome
    }

    fn trace(&self, device: &Device, snapshot: &Snapshot) {
        let bytes: usize = self.slots.iter().sum();
        let mut text = format!(
            "plan on {device}: {} operations in {} dispatches, {} KiB of buffers, {} KiB of scratch\n",
            snapshot.nodes.len(),
            self.program.dispatches(),
            bytes >> 10,
            self.program.scratch_bytes() >> 10
        );
        for line in self.program.describe() {
            text.push_str("  ");
            text.push_str(&line);
            text.push('\n');
        }
        // A trace that cannot be written is not worth failing for.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
