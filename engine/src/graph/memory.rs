//! Which buffer holds which value: by liveness, in place where nobody else looks.

use std::collections::HashSet;

use super::flush::{Snapshot, Source};
use super::fuse::Kernels;
use super::kernel::{Access, Fused, Kernel, ValueId};
use crate::runtime::Runtime;

/// Where a value lives during a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In an external's buffer: it is that external, or took its place.
    External(usize),
    /// In buffer `i` that the plan takes from the pool.
    Slot(usize),
    /// Nowhere: no kernel stores it.
    None,
}

#[derive(Debug)]
pub(crate) struct MemoryPlan {
    pub homes: Vec<Home>,
    /// Bytes of each buffer the plan takes.
    pub slots: Vec<usize>,
    /// A value and the one whose buffer it took over.
    pub alias: Vec<ValueId>,
}

/// Assigns homes and removes copies that became unnecessary.
pub(crate) fn plan(snapshot: &Snapshot, kernels: &mut Kernels, runtime: &dyn Runtime) -> MemoryPlan {
    const FOREVER: usize = usize::MAX;
    let count = kernels.values.len();
    let mut last_use = vec![0usize; count];
    for (k, kernel) in kernels.kernels.iter().enumerate() {
        for v in reads(kernel).into_iter().chain(writes(kernel)) {
            last_use[v] = k;
        }
    }
    let mut homes = vec![Home::None; count];
    for (v, info) in kernels.values.iter().enumerate() {
        match info.source {
            Some(Source::External(i)) => {
                homes[v] = Home::External(i);
                if !snapshot.externals[i].donated {
                    last_use[v] = FOREVER;
                }
            }
            Some(Source::Node(i)) if snapshot.nodes[i].held => last_use[v] = FOREVER,
            _ => {}
        }
    }
    let mut alias: Vec<ValueId> = (0..count).collect();
    let mut slots: Vec<usize> = Vec::new();
    let mut free: Vec<usize> = Vec::new();
    let mut busy_until: Vec<usize> = Vec::new();
    let mut keep = vec![true; kernels.kernels.len()];
    // What no kernel writes but somebody reads or wants: values of arbitrary contents, and empty ones.
    let written: HashSet<ValueId> = kernels.kernels.iter().flat_map(writes).collect();
    let read: HashSet<ValueId> = kernels.kernels.iter().flat_map(reads).collect();
    for (v, info) in kernels.values.iter().enumerate() {
        let wanted = read.contains(&v) || matches!(info.source, Some(Source::Node(i)) if snapshot.nodes[i].held);
        if homes[v] == Home::None && !written.contains(&v) && wanted {
            homes[v] = Home::Slot(slots.len());
            slots.push(runtime.stored_bytes(info.dtype, info.numel));
            busy_until.push(FOREVER);
        }
    }
    for (k, kernel) in kernels.kernels.iter().enumerate() {
        let mut taken: Vec<ValueId> = Vec::new();
        for w in writes(kernel) {
            // The second write of an assignment's output goes where the first went.
            if homes[w] != Home::None {
                continue;
            }
            let bytes = runtime.stored_bytes(kernels.values[w].dtype, kernels.values[w].numel);
            let dies = |v: ValueId| last_use[v] == k && homes[v] != Home::None && !taken.contains(&v);
            let in_place = match kernel {
                Kernel::Copy { from, to, at: 0, numel, .. }
                    if is_assignment(snapshot, kernels, *to) && *numel == kernels.values[*to].numel =>
                {
                    Some(*from).filter(|&v| dies(v))
                }
                Kernel::Fused(f) => takes_over(f, w, kernels).into_iter().find(|&v| dies(v)),
                _ => None,
            };
            homes[w] = match in_place {
                Some(v) => {
                    taken.push(v);
                    alias[w] = alias[v];
                    keep[k] = !matches!(kernel, Kernel::Copy { .. });
                    homes[v]
                }
                None => {
                    let best = free
                        .iter()
                        .enumerate()
                        .filter(|(_, s)| slots[**s] >= bytes && slots[**s] / 2 <= bytes.max(4096))
                        .min_by_key(|(_, s)| slots[**s]);
                    let slot = match best.map(|(i, _)| i) {
                        Some(i) => free.swap_remove(i),
                        None => {
                            slots.push(bytes);
                            busy_until.push(0);
                            slots.len() - 1
                        }
                    };
                    Home::Slot(slot)
                }
            };
            if let Home::Slot(s) = homes[w] {
                busy_until[s] = last_use[w];
            }
        }
        for s in 0..slots.len() {
            if busy_until[s] <= k && !free.contains(&s) {
                free.push(s);
            }
        }
    }
    let mut index = 0;
    kernels.kernels.retain(|_| {
        index += 1;
        keep[index - 1]
    });
    MemoryPlan { homes, slots, alias }
}

fn is_assignment(snapshot: &Snapshot, kernels: &Kernels, value: ValueId) -> bool {
    matches!(kernels.values[value].source, Some(Source::Node(i)) if matches!(snapshot.nodes[i].op.kind(), crate::ops::Kind::Assign(_)))
}

pub(crate) fn reads(kernel: &Kernel) -> Vec<ValueId> {
    let fused = |f: &Fused| f.inputs.iter().map(|a| a.value).collect::<Vec<_>>();
    match kernel {
        Kernel::Fused(f) => fused(f),
        Kernel::Compute(c) => c.inputs.iter().map(|o| o.value).chain(c.epilogue.iter().flat_map(fused)).collect(),
        Kernel::Copy { from, .. } => vec![*from],
    }
}

pub(crate) fn writes(kernel: &Kernel) -> Vec<ValueId> {
    let fused = |f: &Fused| f.stores.iter().map(|s| s.to.value).collect::<Vec<_>>();
    match kernel {
        Kernel::Fused(f) => fused(f),
        Kernel::Compute(c) => c.store_output.then_some(c.output.value).into_iter().chain(c.epilogue.iter().flat_map(fused)).collect(),
        Kernel::Copy { to, .. } => vec![*to],
    }
}

/// The inputs whose buffer the output `w` could take: elementwise programs that read an element only to write the
/// same place, of the same size.
fn takes_over(f: &Fused, w: ValueId, kernels: &Kernels) -> Vec<ValueId> {
    if f.has_reduce() {
        return Vec::new();
    }
    let Some(store) = f.stores.iter().find(|s| s.to.value == w) else { return Vec::new() };
    let same = |a: &Access| a.strides == store.to.strides && a.offset == store.to.offset && a.dtype == store.to.dtype;
    let whole =
        |v: ValueId| kernels.values[v].numel == kernels.values[w].numel && kernels.values[v].numel == f.dims.iter().product::<usize>();
    let mut candidates: Vec<ValueId> = f
        .inputs
        .iter()
        .filter(|a| same(a) && whole(a.value))
        .map(|a| a.value)
        .filter(|&v| f.inputs.iter().all(|a| a.value != v || same(a)))
        .collect();
    candidates.dedup();
    candidates
}
