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

/// The end of what outlives the plan.
const FOREVER: usize = usize::MAX;

/// Assigns homes and removes copies that became unnecessary.
pub(crate) fn plan(snapshot: &Snapshot, kernels: &mut Kernels, runtime: &dyn Runtime) -> MemoryPlan {
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
    let mut stays: Vec<Stay> = Vec::new();
    let mut keep = vec![true; kernels.kernels.len()];
    // What no kernel writes but somebody reads or wants: values of arbitrary contents, and empty ones.
    let written: HashSet<ValueId> = kernels.kernels.iter().flat_map(writes).collect();
    let read: HashSet<ValueId> = kernels.kernels.iter().flat_map(reads).collect();
    for (v, info) in kernels.values.iter().enumerate() {
        let wanted = read.contains(&v) || matches!(info.source, Some(Source::Node(i)) if snapshot.nodes[i].held);
        if homes[v] == Home::None && !written.contains(&v) && wanted {
            homes[v] = Home::Slot(stays.len());
            stays.push(Stay { bytes: runtime.stored_bytes(info.dtype, info.numel), from: 0, until: FOREVER });
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
                    stays.push(Stay { bytes, from: k, until: k });
                    Home::Slot(stays.len() - 1)
                }
            };
            if let Home::Slot(s) = homes[w] {
                stays[s].until = stays[s].until.max(last_use[w]);
            }
        }
    }
    let (slot_of, slots) = share(&stays);
    for home in &mut homes {
        if let Home::Slot(s) = home {
            *s = slot_of[*s];
        }
    }
    let mut index = 0;
    kernels.kernels.retain(|_| {
        index += 1;
        keep[index - 1]
    });
    MemoryPlan { homes, slots, alias }
}

/// How long a buffer is needed, from the kernel that first writes it to the last one that touches it.
#[derive(Debug)]
struct Stay {
    bytes: usize,
    from: usize,
    until: usize,
}

/// The slot of each stay, and the slots' sizes. The largest choose first, and each takes the smallest slot that is free all the
/// while: what comes later is smaller and fits in between (Pisarchyk and Lee 2020, "Efficient memory management for deep
/// neural net inference", greedy by size). What outlives the plan gets no more than it needs.
fn share(stays: &[Stay]) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..stays.len()).collect();
    order.sort_by_key(|&i| (std::cmp::Reverse(stays[i].bytes), stays[i].from));
    let mut slot_of = vec![0; stays.len()];
    let mut slots: Vec<usize> = Vec::new();
    // When each slot is taken, in order; and the slots that nothing has taken for good.
    let mut taken: Vec<Vec<(usize, usize)>> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    for i in order {
        let stay = &stays[i];
        let place = |s: usize| {
            let times = &taken[s];
            let at = times.partition_point(|&(from, _)| from <= stay.until);
            (at == 0 || times[at - 1].1 < stay.from).then_some((s, at))
        };
        let lasts = stay.until == FOREVER;
        let found = if lasts {
            open.iter().rev().take_while(|s| slots[**s] == stay.bytes).find_map(|&s| place(s))
        } else {
            (0..slots.len()).rev().find_map(place)
        };
        let (slot, at) = found.unwrap_or_else(|| {
            slots.push(stay.bytes);
            taken.push(Vec::new());
            open.push(slots.len() - 1);
            (slots.len() - 1, 0)
        });
        if lasts {
            open.retain(|&s| s != slot);
        }
        taken[slot].insert(at, (stay.from, stay.until));
        slot_of[i] = slot;
    }
    (slot_of, slots)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn stays(list: &[(usize, usize, usize)]) -> Vec<Stay> {
        list.iter().map(|&(bytes, from, until)| Stay { bytes, from, until }).collect()
    }

    #[test]
    fn what_lives_at_once_lies_apart_and_fits() {
        // SplitMix64.
        let mut state = 7u64;
        let mut below = |n: usize| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            ((z ^ (z >> 27)) % n as u64) as usize
        };
        for _ in 0..200 {
            let list: Vec<_> = (0..60)
                .map(|_| {
                    let from = below(50);
                    (64 << below(6), from, if below(10) == 0 { FOREVER } else { from + below(20) })
                })
                .collect();
            let (slot_of, slots) = share(&stays(&list));
            for (i, a) in list.iter().enumerate() {
                assert!(slots[slot_of[i]] >= a.0 && (a.2 != FOREVER || slots[slot_of[i]] == a.0));
                let meets = |b: &(usize, usize, usize)| a.1 <= b.2 && b.1 <= a.2;
                assert!((0..i).all(|j| slot_of[i] != slot_of[j] || !meets(&list[j])), "{list:?}");
            }
        }
    }

    #[test]
    fn small_values_lie_where_large_ones_come_later() {
        // Forwards three small results are kept, backwards they go as large ones come.
        let (_, slots) = share(&stays(&[(50, 0, 5), (50, 1, 4), (50, 2, 3), (100, 4, 5), (100, 6, 7), (100, 8, FOREVER)]));
        assert_eq!(slots.iter().sum::<usize>(), 200, "{slots:?}");
    }
}
