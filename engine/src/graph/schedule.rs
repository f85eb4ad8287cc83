//! Grouping: which nodes share a kernel, and in which order kernels run.
//!
//! Nodes are visited from the last to the first. A node joins the group of its consumers when all of them are
//! in one group: then no path leaves the group and comes back, so groups never form a cycle. What can join:
//!
//! - an elementwise node, wherever its consumers read it through a layout that composes (prologue);
//! - a reduction whose consumers broadcast it over the dimensions it reduced, or which is read as it is by
//!   a program over its result: the group then works row by row (softmax, norms, losses);
//! - a hand-written kernel that is followed by elementwise work on its result (epilogue).
//!
//! A value that is wanted after the plan is stored by the kernel that makes it. Only structure decides here,
//! never sizes, except that a join which does not work out for the sizes at hand is left out.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use smallvec::SmallVec;

use super::flush::{Snapshot, Source};
use crate::dtype::DType;
use crate::ops::Kind;
use crate::shape::{Layout, Shape, numel};

/// Instructions of one kernel: bounds the compile time of a shader and the registers of a tile.
const MAX_NODES: usize = 96;
/// Ways in which a kernel reads one node. Each is computed for itself, and halving a tensor again and again
/// (`x[0::2] + x[1::2]`) doubles their number each time.
const MAX_READS: usize = 4;
/// Buffers of one kernel: what WebGPU guarantees.
const MAX_BUFFERS: usize = 8;

/// What a group is built around.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Elementwise work and reductions.
    Fused,
    /// A hand-written kernel, with elementwise work on its result.
    Compute(usize),
    /// The last node replaces a region of its base.
    Assign(usize),
}

/// A node's element for each point of the group's iteration space: a layout over the node's contiguous shape.
type Rel = Layout;

#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub anchor: Anchor,
    /// The node everything else leads to.
    pub root: usize,
    /// The iteration space.
    pub space: Shape,
    /// The dimensions of the space that the group's reductions run over.
    pub inner: SmallVec<[bool; 6]>,
    /// Members and how the space reads them. A node read in two ways is computed twice.
    pub members: BTreeMap<usize, SmallVec<[Rel; 1]>>,
}

/// Groups in the order they run.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub groups: Vec<Group>,
}

/// What was decided for a node; the decisions of a structure serve all its sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nobody wants it.
    Dead,
    Join(usize),
    Duplicate,
    New,
}

/// Groups a snapshot's nodes; `known` are the decisions made for the same structure in other sizes.
pub(crate) fn schedule(snapshot: &Snapshot, known: Option<&[Decision]>) -> (Schedule, Vec<Decision>) {
    let n = snapshot.nodes.len();
    let mut consumers: Vec<SmallVec<[usize; 4]>> = vec![SmallVec::new(); n];
    for (i, node) in snapshot.nodes.iter().enumerate() {
        for (source, _) in &node.inputs {
            if let Source::Node(p) = *source
                && !consumers[p].contains(&i)
            {
                consumers[p].push(i);
            }
        }
    }
    let mut s = Scheduler { snapshot, consumers, groups: Vec::new(), group_of: vec![None; n], copies: vec![SmallVec::new(); n] };
    let mut decisions = vec![Decision::Dead; n];
    for i in (0..n).rev() {
        decisions[i] = match known.and_then(|k| s.repeat(i, k[i])) {
            Some(decision) => decision,
            None => s.place(i),
        };
    }
    (s.order(), decisions)
}

struct Scheduler<'a> {
    snapshot: &'a Snapshot,
    consumers: Vec<SmallVec<[usize; 4]>>,
    groups: Vec<Group>,
    group_of: Vec<Option<usize>>,
    /// The groups that a duplicated node was copied into.
    copies: Vec<SmallVec<[usize; 2]>>,
}

impl Scheduler<'_> {
    /// Does what was decided before; `None` when it does not work out for these sizes.
    fn repeat(&mut self, i: usize, decision: Decision) -> Option<Decision> {
        match decision {
            Decision::Dead => {}
            Decision::Join(g) => {
                // When an earlier join did not work out, the consumers may be elsewhere.
                if self.consumer_groups(i).is_none_or(|groups| groups.iter().ne([&g])) {
                    return None;
                }
                let merged = self.join(self.groups.get(g)?, i)?;
                self.groups[g] = merged;
                self.group_of[i] = Some(g);
            }
            Decision::Duplicate => return self.duplicate(i).then_some(decision),
            Decision::New => self.open(i),
        }
        Some(decision)
    }

    fn place(&mut self, i: usize) -> Decision {
        let node = &self.snapshot.nodes[i];
        if !node.held && self.consumers[i].is_empty() {
            return Decision::Dead;
        }
        if !self.consumers[i].is_empty() {
            if let Some(groups) = self.consumer_groups(i)
                && groups.len() == 1
                && let Some(&g) = groups.first()
                && let Some(merged) = self.join(&self.groups[g], i)
            {
                self.groups[g] = merged;
                self.group_of[i] = Some(g);
                return Decision::Join(g);
            }
            if self.duplicate(i) {
                return Decision::Duplicate;
            }
        }
        self.open(i);
        Decision::New
    }

    /// A group of its own for node `i`.
    fn open(&mut self, i: usize) {
        let node = &self.snapshot.nodes[i];
        let spec = &node.node.spec;
        let rel = Layout::contiguous(&spec.shape);
        let (anchor, space, inner): (Anchor, Shape, SmallVec<[bool; 6]>) = match node.op.kind() {
            Kind::Map(_) => (Anchor::Fused, spec.shape.clone(), SmallVec::from_elem(false, spec.shape.len())),
            Kind::Reduce(r) => {
                let space = node.inputs[0].1.shape.clone();
                let inner = (0..space.len()).map(|d| r.dims.contains(&d)).collect();
                (Anchor::Fused, space, inner)
            }
            Kind::Assign(region) => (Anchor::Assign(i), region.shape.clone(), SmallVec::from_elem(false, region.shape.len())),
            Kind::Compute(_) | Kind::Transfer => (Anchor::Compute(i), spec.shape.clone(), SmallVec::from_elem(false, spec.shape.len())),
        };
        let rel = match node.op.kind() {
            // A reduction's result is read by the space with stride 0 along what was reduced.
            Kind::Reduce(_) => rel.expand(&space),
            // Positions in the assigned value; the region says where they go.
            Kind::Assign(region) => Layout::contiguous(&region.shape),
            _ => rel,
        };
        let members = BTreeMap::from([(i, SmallVec::from_elem(rel, 1))]);
        self.group_of[i] = Some(self.groups.len());
        self.groups.push(Group { anchor, root: i, space, inner, members });
    }

    /// The ways in which a group reads node `p`, or `None` when one of them is not a layout.
    fn reads(&self, group: &Group, p: usize) -> Option<SmallVec<[Rel; 1]>> {
        let mut rels: SmallVec<[Rel; 1]> = SmallVec::new();
        for &c in &self.consumers[p] {
            let Some(own) = group.members.get(&c) else { continue };
            let consumer = &self.snapshot.nodes[c];
            for (slot, (source, layout)) in consumer.inputs.iter().enumerate() {
                if *source != Source::Node(p) {
                    continue;
                }
                for rel in own {
                    let read = match consumer.op.kind() {
                        Kind::Map(_) => rel.compose(layout)?,
                        // The space is the reduction's input.
                        Kind::Reduce(_) => {
                            if layout.shape != group.space {
                                return None;
                            }
                            layout.clone()
                        }
                        Kind::Assign(_) if slot == 1 => rel.compose(layout)?,
                        _ => return None,
                    };
                    if !rels.contains(&read) {
                        rels.push(read);
                    }
                }
            }
        }
        Some(rels)
    }

    /// The group with node `p`, all of whose consumers are in it, as a further member.
    fn join(&self, group: &Group, p: usize) -> Option<Group> {
        let node = &self.snapshot.nodes[p];
        if group.members.len() >= MAX_NODES {
            return None;
        }
        let rels = self.reads(group, p)?;
        let mut merged = group.clone();
        match node.op.kind() {
            Kind::Map(map) => {
                // Computing a node twice must be cheap, and so must computing it once for every place it is broadcast to.
                let own = numel(&node.node.spec.shape);
                let spread = rels.iter().any(|r| r.numel() > own) && !self.per_row(group, &rels) && !self.becomes_per_row(group, p, &rels);
                if rels.len() > MAX_READS || ((rels.len() > 1 || spread) && map.cost() > 4) {
                    return None;
                }
                let whole = rels.len() == 1 && rels[0].is_whole(own) && !group.inner.contains(&true);
                merged.members.insert(p, rels);
                // A flat space cannot follow what `p` reads through a transpose; `p`'s own shape can.
                let follows = self.inputs_compose(&merged, p) || (whole && self.reshape(&mut merged, &node.node.spec.shape));
                if !follows {
                    return None;
                }
            }
            Kind::Reduce(r) => {
                // A packed type is written in whole words, which rows do not respect.
                if matches!(group.anchor, Anchor::Compute(_)) || rels.len() != 1 || self.packs(group) {
                    return None;
                }
                self.join_reduce(&mut merged, p, &rels[0], r.dims)?;
            }
            Kind::Compute(c) => {
                let fits = matches!(group.anchor, Anchor::Fused | Anchor::Assign(_))
                    && !group.inner.contains(&true)
                    && c.epilogue()
                    && node.node.spec.dtype == DType::F32
                    && rels.len() == 1
                    && rels[0].is_whole(numel(&node.node.spec.shape))
                    && !self.packs(group);
                if !fits {
                    return None;
                }
                // An assignment stays the root; it is found again by its kind.
                merged.anchor = Anchor::Compute(p);
                merged.members.insert(p, rels);
            }
            Kind::Assign(_) | Kind::Transfer => return None,
        }
        if node.held && !storable(&merged, p, self.snapshot) {
            return None;
        }
        // A packed type is written in whole words: neither rows nor epilogues do.
        if node.held && (merged.inner.contains(&true) || matches!(merged.anchor, Anchor::Compute(_))) && self.packs(&merged) {
            return None;
        }
        (self.buffers(&merged) <= MAX_BUFFERS).then_some(merged)
    }

    /// Whether everything member `m` reads can be read from the space directly.
    fn inputs_compose(&self, group: &Group, m: usize) -> bool {
        let node = &self.snapshot.nodes[m];
        match node.op.kind() {
            Kind::Map(_) => node.inputs.iter().all(|(_, l)| group.members[&m].iter().all(|rel| rel.compose(l).is_some())),
            Kind::Assign(_) => group.members[&m].iter().all(|rel| rel.compose(&node.inputs[1].1).is_some()),
            _ => true,
        }
    }

    /// Gives the group's space another shape of as many elements; `false` when a member cannot follow.
    fn reshape(&self, group: &mut Group, shape: &[usize]) -> bool {
        for rel in group.members.values_mut().flatten() {
            match rel.reshape(shape) {
                Some(r) => *rel = r,
                None => return false,
            }
        }
        group.space = shape.into();
        group.inner = SmallVec::from_elem(false, shape.len());
        group.members.keys().all(|&m| self.inputs_compose(group, m))
    }

    /// Every read is the same along the reduced dimensions: the value is computed once a row.
    fn per_row(&self, group: &Group, rels: &[Rel]) -> bool {
        group.inner.contains(&true)
            && rels.iter().all(|r| (0..r.shape.len()).all(|d| if group.inner[d] { r.strides[d] == 0 || r.shape[d] == 1 } else { true }))
    }

    /// The node is computed from a reduction of the group's space, over the dimensions it is broadcast over: when that joins
    /// too, the node is computed once a row.
    fn becomes_per_row(&self, group: &Group, p: usize, rels: &[Rel]) -> bool {
        if group.inner.contains(&true) || matches!(group.anchor, Anchor::Compute(_)) {
            return false;
        }
        let follows =
            |dims: &[usize]| rels.iter().all(|r| (0..r.shape.len()).all(|d| r.shape[d] == 1 || dims.contains(&d) == (r.strides[d] == 0)));
        let (mut stack, mut steps) = (vec![p], 0);
        while let Some(n) = stack.pop() {
            let node = &self.snapshot.nodes[n];
            match node.op.kind() {
                Kind::Reduce(r) if node.inputs[0].1.shape == group.space && follows(r.dims) => return true,
                Kind::Map(_) if steps < MAX_NODES => {
                    steps += 1;
                    stack.extend(node.inputs.iter().filter_map(|(s, _)| if let Source::Node(q) = s { Some(*q) } else { None }));
                }
                _ => {}
            }
        }
        false
    }

    /// Whether the group writes a packed type, which its kernel may only do in whole words.
    fn packs(&self, group: &Group) -> bool {
        let packed = |i: &usize| matches!(self.snapshot.nodes[*i].node.spec.dtype, DType::F16 | DType::BF16);
        !self.snapshot.nodes[group.root].node.device.is_cpu()
            && group.members.keys().any(|i| packed(i) && (*i == group.root || self.snapshot.nodes[*i].held))
    }

    fn join_reduce(&self, group: &mut Group, p: usize, rel: &Rel, dims: &[usize]) -> Option<()> {
        let node = &self.snapshot.nodes[p];
        let input = node.inputs[0].1.shape.clone();
        let output = &node.node.spec.shape;
        let reduced: SmallVec<[bool; 6]> = (0..input.len()).map(|d| dims.contains(&d)).collect();
        let own = Layout::contiguous(output).expand(&input);
        if group.space == input && same_reads(rel, &own) {
            // Broadcast back over what it reduced. A second reduction must run over the same dimensions.
            if group.inner.contains(&true) && group.inner != reduced {
                return None;
            }
            // All of a large tensor in one row would leave the machine idle: only its result is computed so.
            let rows = (0..input.len()).any(|d| !reduced[d] && input[d] != 1);
            if !rows && !group.inner.contains(&true) {
                return None;
            }
            group.inner = reduced;
        } else if !group.inner.contains(&true) && rel.is_whole(numel(output)) && self.reshape(group, output) {
            // Read as it is: the program so far works on rows; the space grows by the reduced dimensions.
            group.members.values_mut().flatten().for_each(|r| *r = r.expand_from_unit(&input));
            group.space = input;
            group.inner = reduced;
        } else {
            return None;
        }
        group.members.insert(p, SmallVec::from_elem(own, 1));
        Some(())
    }

    /// The groups that compute a node's consumers; `None` when one of them is in no group.
    fn consumer_groups(&self, p: usize) -> Option<BTreeSet<usize>> {
        let mut groups = BTreeSet::new();
        for &c in &self.consumers[p] {
            match (self.group_of[c], &self.copies[c]) {
                (Some(g), _) => _ = groups.insert(g),
                (None, copies) if !copies.is_empty() => groups.extend(copies),
                _ => return None,
            }
        }
        Some(groups)
    }

    /// A trivial node over values that exist anyway: a mask, a cast, a constant.
    fn trivial(&self, p: usize, depth: usize) -> bool {
        let node = &self.snapshot.nodes[p];
        let Kind::Map(map) = node.op.kind() else { return false };
        !node.held
            && map.cost() <= 2
            && node.inputs.len() <= 2
            && node.inputs.iter().all(|(s, _)| match s {
                Source::External(_) => true,
                Source::Node(i) => depth > 0 && self.trivial(*i, depth - 1),
            })
            && node.inputs.iter().filter(|(s, _)| matches!(s, Source::External(_))).count() <= 1
    }

    /// Trivial nodes are computed by each consumer instead of being stored. They depend on nothing pending but each other,
    /// so no cycle can come of it.
    fn duplicate(&mut self, p: usize) -> bool {
        if !self.trivial(p, 2) {
            return false;
        }
        let Some(groups) = self.consumer_groups(p) else { return false };
        let mut joined = Vec::new();
        for g in groups {
            match self.join(&self.groups[g], p) {
                Some(merged) => joined.push((g, merged)),
                None => return false,
            }
        }
        for (g, merged) in joined {
            self.groups[g] = merged;
            self.copies[p].push(g);
        }
        true
    }

    /// Distinct values a group's kernel binds.
    fn buffers(&self, group: &Group) -> usize {
        let mut values: BTreeSet<Source> = BTreeSet::new();
        for &m in group.members.keys() {
            let node = &self.snapshot.nodes[m];
            let assign = matches!(node.op.kind(), Kind::Assign(_));
            for (slot, (source, _)) in node.inputs.iter().enumerate() {
                let inside = matches!(source, Source::Node(p) if group.members.contains_key(p));
                // The base of an assignment is the output's own buffer.
                let own = assign && slot == 0;
                if !inside && !own {
                    values.insert(*source);
                }
            }
            if stored(group, m, self.snapshot) {
                values.insert(Source::Node(m));
            }
        }
        let own = match group.anchor {
            Anchor::Compute(root) => match self.snapshot.nodes[root].op.kind() {
                Kind::Compute(c) => c.own_buffers(),
                _ => 0,
            },
            _ => 0,
        };
        values.len() + own
    }

    /// When a group's work was asked for. An assignment to a place that nobody else reads: when its value was, and the place itself
    /// first of all. Products that go into an optimizer's slab would otherwise all run at the end, and what they read would have
    /// to be kept until then.
    fn asked(&self, group: &Group) -> usize {
        let node = &self.snapshot.nodes[group.root];
        if node.op.name() == "uninit" {
            return 0;
        }
        let (Kind::Assign(_), [(Source::Node(place), _), (value, _)]) = (node.op.kind(), &node.inputs[..]) else { return group.root };
        if self.snapshot.nodes[*place].held || self.consumers[*place].len() > 1 {
            return group.root;
        }
        let work = group.members.keys().copied().filter(|&m| m != group.root).max();
        work.or(if let Source::Node(value) = value { Some(*value) } else { None }).unwrap_or(group.root)
    }

    /// Kernels in topological order, otherwise in the order in which they were asked for.
    fn order(self) -> Schedule {
        let count = self.groups.len();
        let mut waiting = vec![0usize; count];
        let mut next: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); count];
        for (g, group) in self.groups.iter().enumerate() {
            let mut needs = BTreeSet::new();
            for m in group.members.keys() {
                for (source, _) in &self.snapshot.nodes[*m].inputs {
                    if let Source::Node(p) = source
                        && let Some(from) = self.group_of[*p]
                        && from != g
                        && !group.members.contains_key(p)
                    {
                        needs.insert(from);
                    }
                }
            }
            waiting[g] = needs.len();
            for from in needs {
                next[from].insert(g);
            }
        }
        let asked: Vec<usize> = self.groups.iter().map(|g| self.asked(g)).collect();
        let mut ready: BinaryHeap<Reverse<(usize, usize)>> =
            (0..count).filter(|&g| waiting[g] == 0).map(|g| Reverse((asked[g], g))).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(Reverse((_, g))) = ready.pop() {
            order.push(g);
            for &n in &next[g] {
                waiting[n] -= 1;
                if waiting[n] == 0 {
                    ready.push(Reverse((asked[n], n)));
                }
            }
        }
        debug_assert_eq!(order.len(), count, "groups form a cycle");
        let mut groups: Vec<Option<Group>> = self.groups.into_iter().map(Some).collect();
        Schedule { groups: order.into_iter().filter_map(|g| groups[g].take()).collect() }
    }
}

/// Whether the group's kernel writes the value of member `m` to memory.
pub(crate) fn stored(group: &Group, m: usize, snapshot: &Snapshot) -> bool {
    m == group.root || snapshot.nodes[m].held
}

/// Whether the kernel visits every element of member `m` exactly once, so that it can write the value.
fn storable(group: &Group, m: usize, snapshot: &Snapshot) -> bool {
    let rels = &group.members[&m];
    let total = numel(&snapshot.nodes[m].node.spec.shape);
    rels.len() == 1 && visits_once(&rels[0], &group.inner, total)
}

fn visits_once(rel: &Rel, inner: &[bool], total: usize) -> bool {
    if rel.offset != 0 {
        return total == 0;
    }
    // Constant along the reduced dimensions: written once a row.
    let per_row = (0..rel.shape.len()).all(|d| !inner[d] || rel.strides[d] == 0 || rel.shape[d] == 1);
    let mut dims: SmallVec<[(isize, usize); 6]> =
        (0..rel.shape.len()).filter(|&d| rel.shape[d] != 1 && !(per_row && inner[d])).map(|d| (rel.strides[d], rel.shape[d])).collect();
    dims.sort_unstable();
    let mut expected = 1isize;
    for (stride, size) in dims {
        if stride != expected {
            return total == 0;
        }
        expected *= size as isize;
    }
    expected as usize == total.max(1)
}

/// Two layouts that read the same elements: strides of dimensions of size 1 do not matter.
fn same_reads(a: &Layout, b: &Layout) -> bool {
    a.offset == b.offset && a.shape == b.shape && (0..a.shape.len()).all(|d| a.shape[d] == 1 || a.strides[d] == b.strides[d])
}

impl Layout {
    /// From a space with size 1 along some dimensions to one that is larger along them.
    fn expand_from_unit(&self, shape: &[usize]) -> Layout {
        let mut out = self.clone();
        for d in 0..shape.len() {
            if out.shape[d] != shape[d] {
                out.shape[d] = shape[d];
                out.strides[d] = 0;
            }
        }
        out
    }
}
