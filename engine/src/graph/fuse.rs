//! From groups to kernels: each group's straight-line program, its accesses, and its collapsed space.

use std::collections::HashMap;

use smallvec::SmallVec;

use super::flush::{Snapshot, Source};
use super::kernel::{Access, ComputeKernel, Fused, Instr, Kernel, Operand, RegId, ScalarRef, Store, ValueId};
use super::schedule::{Anchor, Group, Schedule, stored};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Kind, OpRef};
use crate::runtime::Runtime;
use crate::shape::{Layout, Strides, contiguous_strides, numel};

/// What a plan runs, and the values it runs on.
#[derive(Debug)]
pub(crate) struct Kernels {
    pub kernels: Vec<Kernel>,
    pub values: Vec<ValueInfo>,
}

#[derive(Debug, Clone)]
pub(crate) struct ValueInfo {
    pub dtype: DType,
    pub numel: usize,
    /// Where it comes from; `None` for a copy the planner made.
    pub source: Option<Source>,
}

pub(crate) fn build(snapshot: &Snapshot, schedule: &Schedule, runtime: &dyn Runtime) -> Result<Kernels> {
    let spec = |n: &super::node::Node| (n.spec.dtype, numel(&n.spec.shape));
    let externals = snapshot.externals.iter().enumerate().map(|(i, e)| (Source::External(i), spec(&e.node)));
    let nodes = snapshot.nodes.iter().enumerate().map(|(i, n)| (Source::Node(i), spec(&n.node)));
    let values = externals.chain(nodes).map(|(source, (dtype, numel))| ValueInfo { dtype, numel, source: Some(source) }).collect();
    let out = Kernels { kernels: Vec::new(), values };
    let mut builder = Builder { snapshot, runtime, out, copies: HashMap::new() };
    for group in &schedule.groups {
        builder.group(group)?;
    }
    Ok(builder.out)
}

struct Builder<'a> {
    snapshot: &'a Snapshot,
    runtime: &'a dyn Runtime,
    out: Kernels,
    /// Contiguous copies made for kernels that cannot read strides.
    copies: HashMap<(ValueId, Layout), ValueId>,
}

impl Builder<'_> {
    fn value(&self, source: Source) -> ValueId {
        match source {
            Source::External(i) => i,
            Source::Node(i) => self.snapshot.externals.len() + i,
        }
    }

    fn group(&mut self, group: &Group) -> Result<()> {
        if let Kind::Assign(region) = self.snapshot.nodes[group.root].op.kind() {
            self.begin_assign(group.root);
            if numel(&region.shape) == 0 {
                return Ok(());
            }
            if let Some(copy) = self.plain_copy(group, region) {
                self.out.kernels.push(copy);
                return Ok(());
            }
        }
        match group.anchor {
            Anchor::Compute(c) => self.compute(group, c),
            Anchor::Fused if self.is_uninit(group.root) => Ok(()),
            Anchor::Fused | Anchor::Assign(_) => {
                if let Some(program) = self.program(group, None)? {
                    self.out.kernels.push(Kernel::Fused(program));
                }
                Ok(())
            }
        }
    }

    /// The output of an assignment begins as its base. The memory planner drops the copy where the output takes over the
    /// base's buffer; a base of arbitrary contents needs none.
    fn begin_assign(&mut self, root: usize) {
        let (source, layout) = &self.snapshot.nodes[root].inputs[0];
        if matches!(source, Source::Node(i) if self.is_uninit(*i)) {
            return;
        }
        let value = self.value(*source);
        let ValueInfo { dtype, numel, .. } = self.out.values[value];
        let from = if layout.is_whole(numel) { value } else { self.contiguous(value, layout) };
        let to = self.value(Source::Node(root));
        let numel = self.out.values[to].numel;
        self.out.kernels.push(Kernel::Copy { from, to, at: 0, numel, dtype });
    }

    /// The copy that an assignment is when it moves a whole value as it lies, by whole words: no kernel, however many there are.
    fn plain_copy(&self, group: &Group, region: &Layout) -> Option<Kernel> {
        let node = &self.snapshot.nodes[group.root];
        let (source, layout) = &node.inputs[1];
        let from = self.value(*source);
        let ValueInfo { dtype, numel, .. } = self.out.values[from];
        let bits = self.runtime.element_bits(dtype);
        // Places in buffers are multiples of 256 bytes; entries of a slab are.
        let placed = (region.offset * bits).is_multiple_of(2048) && (numel * bits).is_multiple_of(32);
        let plain = placed && group.members.len() == 1 && layout.is_whole(numel) && region.is_contiguous();
        plain.then(|| Kernel::Copy { from, to: self.value(Source::Node(group.root)), at: region.offset, numel, dtype })
    }

    /// A value whose contents do not matter: nothing computes it.
    fn is_uninit(&self, node: usize) -> bool {
        self.snapshot.nodes[node].op.name() == "uninit"
    }

    /// The value id of a contiguous copy of what `layout` reads of `value`.
    fn contiguous(&mut self, value: ValueId, layout: &Layout) -> ValueId {
        if let Some(&copy) = self.copies.get(&(value, layout.clone())) {
            return copy;
        }
        let dtype = self.out.values[value].dtype;
        let copy = self.out.values.len();
        self.out.values.push(ValueInfo { dtype, numel: layout.numel(), source: None });
        let input = Access { value, dtype, strides: layout.strides.clone(), offset: layout.offset as isize };
        let to = Access { value: copy, dtype, strides: contiguous_strides(&layout.shape), offset: 0 };
        let mut program = Fused {
            dims: layout.shape.clone(),
            inner: 0,
            inputs: vec![input],
            positions: Vec::new(),
            scalars: Vec::new(),
            instrs: vec![Instr::Load(0)],
            dtypes: vec![dtype],
            per_row: vec![false],
            stores: vec![Store { reg: 0, to }],
        };
        collapse(&mut program);
        self.out.kernels.push(Kernel::Fused(program));
        self.copies.insert((value, layout.clone()), copy);
        copy
    }

    fn compute(&mut self, group: &Group, c: usize) -> Result<()> {
        let node = &self.snapshot.nodes[c];
        let Kind::Compute(compute) = node.op.kind() else {
            return Err(Error::argument(node.op.name(), "a transfer was scheduled as a kernel"));
        };
        let strided = compute.strided();
        let mut inputs = Vec::new();
        for (slot, (source, layout)) in node.inputs.iter().enumerate() {
            let value = self.value(*source);
            let dtype = self.out.values[value].dtype;
            // A binding starts at a multiple of 256 bytes; entries of a slab do.
            let aligned = layout.is_contiguous() && self.runtime.element_bits(dtype) * layout.offset % 2048 == 0;
            let (value, layout) = if strided >> slot & 1 == 1 {
                (value, layout.clone())
            } else if aligned {
                (value, Layout { offset: layout.offset, ..Layout::contiguous(&layout.shape) })
            } else {
                (self.contiguous(value, layout), Layout::contiguous(&layout.shape))
            };
            inputs.push(Operand { value, dtype, layout });
        }
        let spec = &node.node.spec;
        let output = Operand { value: self.value(Source::Node(c)), dtype: spec.dtype, layout: Layout::contiguous(&spec.shape) };
        let scalars = scalar_refs(&node.op, c);
        let epilogue = if group.members.len() > 1 || group.root != c { self.program(group, Some(c))? } else { None };
        let store_output = stored(group, c, self.snapshot);
        self.out.kernels.push(Kernel::Compute(ComputeKernel { op: node.op.clone(), scalars, inputs, output, store_output, epilogue }));
        Ok(())
    }

    /// A group's program; `None` when there is nothing to compute.
    fn program(&self, group: &Group, acc: Option<usize>) -> Result<Option<Fused>> {
        let mut program = Program {
            builder: self,
            group,
            acc,
            registers: HashMap::new(),
            loads: HashMap::new(),
            out: Fused {
                dims: group.space.clone(),
                inner: 0,
                inputs: Vec::new(),
                positions: Vec::new(),
                scalars: Vec::new(),
                instrs: Vec::new(),
                dtypes: Vec::new(),
                per_row: Vec::new(),
                stores: Vec::new(),
            },
        };
        for (&m, rels) in &group.members {
            if Some(m) == acc || !stored(group, m, self.snapshot) {
                continue;
            }
            let node = &self.snapshot.nodes[m];
            let (reg, to) = match node.op.kind() {
                Kind::Assign(region) => {
                    let (source, layout) = &node.inputs[1];
                    let reg = program.input(*source, through(&rels[0], layout)?)?;
                    (reg, through(&rels[0], region)?)
                }
                _ => {
                    let reg = program.member(m, &rels[0])?;
                    (reg, rels[0].clone())
                }
            };
            let to =
                Access { value: self.value(Source::Node(m)), dtype: node.node.spec.dtype, strides: to.strides, offset: to.offset as isize };
            program.out.stores.push(Store { reg, to });
        }
        let mut fused = program.out;
        if fused.stores.is_empty() {
            return Ok(None);
        }
        reorder(&mut fused, &group.inner);
        mark_rows(&mut fused);
        collapse(&mut fused);
        Ok(Some(fused))
    }
}

fn scalar_refs(op: &OpRef, node: usize) -> Vec<ScalarRef> {
    op.scalars().iter().enumerate().map(|(index, (_, dtype))| ScalarRef { node, index, dtype: *dtype }).collect()
}

struct Program<'a> {
    builder: &'a Builder<'a>,
    group: &'a Group,
    acc: Option<usize>,
    registers: HashMap<(usize, Layout), RegId>,
    loads: HashMap<(ValueId, Layout), RegId>,
    out: Fused,
}

impl Program<'_> {
    fn push(&mut self, instr: Instr, dtype: DType) -> RegId {
        self.out.instrs.push(instr);
        self.out.dtypes.push(dtype);
        self.out.instrs.len() - 1
    }

    /// The register of what `rel` reads of a source.
    fn input(&mut self, source: Source, rel: Layout) -> Result<RegId> {
        if let Source::Node(p) = source
            && self.group.members.contains_key(&p)
        {
            return self.member(p, &rel);
        }
        let value = self.builder.value(source);
        if let Some(&reg) = self.loads.get(&(value, rel.clone())) {
            return Ok(reg);
        }
        let dtype = self.builder.out.values[value].dtype;
        self.out.inputs.push(Access { value, dtype, strides: rel.strides.clone(), offset: rel.offset as isize });
        let reg = self.push(Instr::Load(self.out.inputs.len() - 1), dtype);
        self.loads.insert((value, rel), reg);
        Ok(reg)
    }

    /// The register of member `m` as `rel` reads it. Recursion is bounded by the size of a group.
    fn member(&mut self, m: usize, rel: &Layout) -> Result<RegId> {
        if let Some(&reg) = self.registers.get(&(m, rel.clone())) {
            return Ok(reg);
        }
        let node = &self.builder.snapshot.nodes[m];
        let dtype = node.node.spec.dtype;
        let reg = if self.acc == Some(m) {
            self.push(Instr::Acc, dtype)
        } else {
            match node.op.kind() {
                Kind::Map(map) => {
                    let mut args: SmallVec<[RegId; 4]> = SmallVec::new();
                    if map.positional() {
                        self.out.positions.push(Access {
                            value: 0,
                            dtype: DType::U32,
                            strides: rel.strides.clone(),
                            offset: rel.offset as isize,
                        });
                        args.push(self.push(Instr::Position(self.out.positions.len() - 1), DType::U32));
                    }
                    for (source, layout) in &node.inputs {
                        args.push(self.input(*source, through(rel, layout)?)?);
                    }
                    for scalar in scalar_refs(&node.op, m) {
                        self.out.scalars.push(scalar);
                        args.push(self.push(Instr::Scalar(self.out.scalars.len() - 1), scalar.dtype));
                    }
                    self.push(Instr::Apply { op: node.op.clone(), args }, dtype)
                }
                Kind::Reduce(r) => {
                    let (source, layout) = &node.inputs[0];
                    let arg = self.input(*source, layout.clone())?;
                    self.push(Instr::Reduce { combine: r.combine, arg }, dtype)
                }
                // Assignments are only roots, and hand-written kernels are `acc`.
                Kind::Assign(_) | Kind::Compute(_) | Kind::Transfer => self.input_of_root(m, rel),
            }
        };
        self.registers.insert((m, rel.clone()), reg);
        Ok(reg)
    }

    fn input_of_root(&mut self, m: usize, rel: &Layout) -> RegId {
        let value = self.builder.value(Source::Node(m));
        let dtype = self.builder.out.values[value].dtype;
        self.out.inputs.push(Access { value, dtype, strides: rel.strides.clone(), offset: rel.offset as isize });
        self.push(Instr::Load(self.out.inputs.len() - 1), dtype)
    }
}

/// What `rel` reads of a tensor that itself reads storage through `layout`. The scheduler admits only what composes.
fn through(rel: &Layout, layout: &Layout) -> Result<Layout> {
    rel.compose(layout).ok_or_else(|| Error::argument("plan", format!("{rel:?} does not compose with {layout:?}")))
}

fn accesses(f: &mut Fused) -> impl Iterator<Item = &mut Access> {
    f.inputs.iter_mut().chain(&mut f.positions).chain(f.stores.iter_mut().map(|s| &mut s.to))
}

/// Puts the reduced dimensions last.
fn reorder(f: &mut Fused, inner: &[bool]) {
    let order: SmallVec<[usize; 6]> = (0..inner.len()).filter(|&d| !inner[d]).chain((0..inner.len()).filter(|&d| inner[d])).collect();
    f.inner = inner.iter().filter(|&&i| i).count();
    let dims = order.iter().map(|&d| f.dims[d]).collect();
    for a in accesses(f) {
        a.strides = order.iter().map(|&d| a.strides[d]).collect();
    }
    f.dims = dims;
}

/// Which registers depend on the row alone. A store of a row's value is written once.
fn mark_rows(f: &mut Fused) {
    let outer = f.dims.len() - f.inner;
    let constant = |a: &Access, dims: &[usize]| f.inner > 0 && (outer..dims.len()).all(|d| a.strides[d] == 0 || dims[d] == 1);
    let mut per_row: Vec<bool> = Vec::with_capacity(f.instrs.len());
    for instr in &f.instrs {
        per_row.push(match instr {
            Instr::Load(i) => constant(&f.inputs[*i], &f.dims),
            Instr::Position(i) => constant(&f.positions[*i], &f.dims),
            Instr::Acc => false,
            Instr::Scalar(_) => f.inner > 0,
            Instr::Apply { args, .. } => f.inner > 0 && args.iter().all(|&a| per_row[a]),
            Instr::Reduce { .. } => true,
        });
    }
    f.per_row = per_row;
    let dims = f.dims.clone();
    for store in &mut f.stores {
        if f.per_row[store.reg] {
            // A size-1 inner dimension may carry any stride.
            for d in outer..dims.len() {
                if dims[d] == 1 {
                    store.to.strides[d] = 0;
                }
            }
        }
    }
}

/// Merges neighbouring dimensions that every access walks as one, and drops those of size 1.
pub(crate) fn collapse(f: &mut Fused) {
    let rank = f.dims.len();
    let outer = rank - f.inner;
    let mut keep: Vec<(usize, usize)> = Vec::new(); // (size, dimension whose strides hold)
    let mut kept_inner = 0;
    for (range, inner) in [(0..outer, false), (outer..rank, true)] {
        let begin = keep.len();
        for d in range {
            if f.dims[d] == 1 {
                continue;
            }
            let size = f.dims[d];
            let joins = keep.len() > begin && {
                let (_, before) = keep[keep.len() - 1];
                accesses(f).all(|a| a.strides[before] == a.strides[d] * size as isize)
            };
            if joins {
                let last = keep.len() - 1;
                keep[last] = (keep[last].0 * size, d);
            } else {
                keep.push((size, d));
            }
        }
        if inner {
            kept_inner = keep.len() - begin;
        }
    }
    let has_inner = f.inner > 0;
    let mut dims: SmallVec<[usize; 6]> = keep.iter().map(|k| k.0).collect();
    // A reduction over dimensions of size 1 still needs one to run over.
    let unit = has_inner && kept_inner == 0;
    if unit {
        dims.push(1);
    }
    for a in accesses(f) {
        let mut strides: Strides = keep.iter().map(|k| a.strides[k.1]).collect();
        if unit {
            strides.push(0);
        }
        a.strides = strides;
    }
    f.dims = dims;
    f.inner = if unit { 1 } else { kept_inner };
}
