//! Making a fused program ready: how it is cut into tiles, and which register slot holds what when.
//!
//! Four ways of running a program:
//! - *flat*: no reduction; the space is one long row-major sequence, cut into tiles;
//! - *blocks*: the same, but something is read across its grain (a transpose): tiles are squares of two dimensions,
//!   so that each cache line that is touched is used up;
//! - *rows*: whole rows fit a tile; a tile holds as many as fit, so every instruction runs once;
//! - *strips*: the columns are cut into tiles, and there is one pass over them for each level of reductions,
//!   recomputing what it needs. A strip is one row, or, where neighbouring rows lie next to each other in memory
//!   (a reduction over the first dimension), up to [`LANES`] rows side by side.

use smallvec::SmallVec;

use crate::graph::kernel::{Access, Fused, Instr, RegId, ValueId};
use crate::ops::{Class, Combine};

/// Index of a register of a thread's scratch.
pub(super) type Slot = usize;

/// Rows of a strip: some pages of each matrix row, since neither prefetching nor address translation reaches far beyond one.
pub(super) const LANES: usize = 4096;
/// Longer rows are cut into tiles.
pub(super) const LONGEST_ROW: usize = 4096;

/// How often a register changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Level {
    /// The same value everywhere: filled once a thread.
    Const,
    Row,
    Col,
}

/// One thing to do with registers. `id` is the instruction; stores are numbered after all instructions.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Load {
        id: usize,
        level: Level,
        to: Slot,
    },
    Position {
        id: usize,
        level: Level,
        to: Slot,
    },
    Scalar {
        id: usize,
        to: Slot,
    },
    Apply {
        id: RegId,
        args: SmallVec<[Slot; 4]>,
        level: Level,
        to: Slot,
    },
    /// Brings a value of each row beside each of its columns.
    Spread {
        from: Slot,
        to: Slot,
    },
    /// Combines the columns of each row: only where a tile holds whole rows.
    Reduce {
        id: RegId,
        combine: Combine,
        from: Slot,
        to: Slot,
    },
    Store {
        id: usize,
        level: Level,
        from: Slot,
    },
}

impl Step {
    fn output(&mut self) -> Option<&mut Slot> {
        match self {
            Step::Load { to, .. } | Step::Position { to, .. } | Step::Scalar { to, .. } => Some(to),
            Step::Apply { to, .. } | Step::Spread { to, .. } | Step::Reduce { to, .. } => Some(to),
            Step::Store { .. } => None,
        }
    }

    fn inputs(&mut self) -> &mut [Slot] {
        match self {
            Step::Apply { args, .. } => args,
            Step::Spread { from, .. } | Step::Reduce { from, .. } | Step::Store { from, .. } => std::slice::from_mut(from),
            _ => &mut [],
        }
    }
}

/// One pass over the columns of a strip.
#[derive(Debug, Default)]
pub(super) struct Pass {
    /// Once, before the tiles.
    pub spreads: Vec<Step>,
    /// For each tile.
    pub tile: Vec<Step>,
    /// What accumulates over the tiles.
    pub reduces: Vec<Reduce>,
    /// For the strip's rows, once the results are there.
    pub rows: Vec<Step>,
}

#[derive(Debug)]
pub(super) struct Reduce {
    pub id: RegId,
    pub combine: Combine,
    pub class: Class,
    /// In the scratch of tiles.
    pub from: Slot,
    /// In the scratch of rows.
    pub to: Slot,
}

#[derive(Debug)]
pub(super) enum Body {
    Flat {
        steps: Vec<Step>,
    },
    /// Squares of dimension `across`, along which some input is contiguous, and the last.
    Blocks {
        across: usize,
        steps: Vec<Step>,
    },
    Rows {
        steps: Vec<Step>,
    },
    Strips {
        lanes: usize,
        start: Vec<Step>,
        passes: Vec<Pass>,
        stores: Vec<Step>,
    },
}

/// A fused program made ready.
#[derive(Debug)]
pub(super) struct Plan {
    pub fused: Fused,
    /// Of the instructions and then of the stores.
    pub levels: Vec<Level>,
    pub consts: Vec<Step>,
    pub slots: Vec<(Class, Level)>,
    pub body: Body,
}

impl Plan {
    /// `alias` as in `Runtime::compile`.
    pub fn new(fused: &Fused, alias: &dyn Fn(ValueId) -> ValueId) -> Plan {
        Builder::new(fused, alias).build()
    }

    /// How each load, position and store (by id: stores are numbered after the instructions) reaches memory.
    pub fn access(&self, id: usize) -> Option<&Access> {
        match self.fused.instrs.get(id) {
            Some(Instr::Load(i)) => self.fused.inputs.get(*i),
            Some(Instr::Position(i)) => self.fused.positions.get(*i),
            Some(_) => None,
            None => self.fused.stores.get(id - self.fused.instrs.len()).map(|s| &s.to),
        }
    }

    /// For traces: the space, the way it runs, the instructions.
    pub fn describe(&self) -> String {
        let way = match &self.body {
            Body::Flat { .. } => "flat".to_string(),
            Body::Blocks { across, .. } => format!("blocks across {across}"),
            Body::Rows { .. } => "rows".to_string(),
            Body::Strips { lanes, passes, .. } => format!("strips of {lanes}, {} passes", passes.len()),
        };
        let names = self.fused.instrs.iter().filter_map(|i| match i {
            Instr::Apply { op, .. } => Some(op.name().to_string()),
            Instr::Reduce { combine, .. } => Some(format!("{combine:?}").to_lowercase()),
            _ => None,
        });
        let (outer, inner) = self.fused.dims.split_at(self.fused.dims.len() - self.fused.inner);
        format!("fused {outer:?} x {inner:?} ({way}): {}", names.collect::<Vec<_>>().join(" "))
    }
}

/// Virtual registers: `i` is the result of instruction `i`, `instrs + i` that result spread over columns.
struct Builder<'a> {
    fused: &'a Fused,
    flat: bool,
    level: Vec<Level>,
    /// How many reductions lie one after the other on the way to a register.
    depth: Vec<usize>,
    /// Value id of the buffer each value lies in.
    root: Box<dyn Fn(ValueId) -> ValueId + 'a>,
    slots: Vec<(Class, Level)>,
    /// Slots that are never reused, by virtual register.
    fixed: Vec<Option<Slot>>,
}

impl<'a> Builder<'a> {
    fn new(fused: &'a Fused, alias: &'a dyn Fn(ValueId) -> ValueId) -> Builder<'a> {
        let root = Box::new(move |value: ValueId| {
            let mut v = value;
            // Chains are short; the bound only guards against a cycle.
            for _ in 0..64 {
                let next = alias(v);
                if next == v {
                    break;
                }
                v = next;
            }
            v
        });
        let flat = !fused.has_reduce() && fused.inner == 0;
        let n = fused.instrs.len();
        let (mut level, mut depth) = (Vec::with_capacity(n), vec![0; n]);
        for (i, instr) in fused.instrs.iter().enumerate() {
            let constant = |access: &Access| access.strides.iter().zip(&fused.dims).all(|(&s, &d)| s == 0 || d == 1);
            let is_const = match instr {
                Instr::Load(k) => constant(&fused.inputs[*k]),
                Instr::Position(k) => constant(&fused.positions[*k]),
                Instr::Scalar(_) => true,
                Instr::Apply { args, .. } => args.iter().all(|&a| level[a] == Level::Const),
                Instr::Reduce { .. } | Instr::Acc => false,
            };
            depth[i] = match instr {
                Instr::Apply { args, .. } => args.iter().map(|&a| depth[a]).max().unwrap_or(0),
                Instr::Reduce { arg, .. } => depth[*arg] + 1,
                _ => 0,
            };
            level.push(match (is_const, fused.per_row[i]) {
                (true, _) => Level::Const,
                (false, true) if !flat => Level::Row,
                _ => Level::Col,
            });
        }
        Builder { fused, flat, level, depth, root, slots: Vec::new(), fixed: vec![None; 2 * n] }
    }

    fn build(mut self) -> Plan {
        let n = self.fused.instrs.len();
        let mut consts = Vec::new();
        for i in (0..n).filter(|&i| self.level[i] == Level::Const).collect::<Vec<_>>() {
            self.fix(i);
            consts.push(self.step(i, &mut Vec::new(), &mut SmallVec::new()));
        }
        self.assign(&mut consts);
        let body = match self.lanes() {
            Some(lanes) => self.strips(lanes),
            None if !self.flat && self.fused.cols() > LONGEST_ROW => self.strips(1),
            None if self.flat => match self.across() {
                Some(across) => Body::Blocks { across, steps: self.whole() },
                None => Body::Flat { steps: self.whole() },
            },
            None => Body::Rows { steps: self.whole() },
        };
        let stores = (0..self.fused.stores.len()).map(|s| self.store_level(s));
        let levels = self.level.iter().copied().chain(stores).collect();
        Plan { fused: self.fused.clone(), levels, consts, slots: self.slots, body }
    }

    /// How many rows a strip takes, when rows lie side by side in memory rather than one after the other.
    fn lanes(&self) -> Option<usize> {
        let f = self.fused;
        let outer = f.dims.len() - f.inner;
        if !f.has_reduce() || outer == 0 || f.inner == 0 || f.cols() == 0 || f.dims[outer - 1] < 2 {
            return None;
        }
        let unit = |access: &Access, dims: std::ops::Range<usize>| {
            dims.rev().find(|&d| f.dims[d] != 1).is_some_and(|d| access.strides[d].abs() == 1)
        };
        let loads = f.instrs.iter().zip(&self.level).filter_map(|(instr, &level)| match instr {
            Instr::Load(i) if level == Level::Col => Some(&f.inputs[*i]),
            _ => None,
        });
        let stores = f.stores.iter().filter(|s| !self.fused.per_row[s.reg]).map(|s| &s.to);
        let (mut beside, mut along) = (0, 0);
        for access in loads.chain(stores) {
            if unit(access, outer..f.dims.len()) {
                along += 1;
            } else if unit(access, outer - 1..outer) {
                beside += 1;
            }
        }
        (beside > along).then(|| f.dims[outer - 1].min(LANES))
    }

    /// A dimension along which some input is contiguous that strides along the last one.
    fn across(&self) -> Option<usize> {
        let dims = &self.fused.dims;
        let last = dims.len().checked_sub(1).filter(|&d| dims[d] >= 8)?;
        let loads =
            self.fused.instrs.iter().filter_map(|instr| if let Instr::Load(i) = instr { Some(&self.fused.inputs[*i]) } else { None });
        let turned = |a: &Access| (0..last).find(|&d| a.strides[last].abs() > 1 && a.strides[d].abs() == 1 && dims[d] >= 8);
        loads.filter_map(turned).next()
    }

    // ---- steps over virtual registers ---------------------------------------------------------

    /// The register an instruction at `level` reads `arg` from; spread first, once, if that is a value of each row.
    fn source(&self, arg: RegId, level: Level, before: &mut Vec<Step>, spread: &mut SmallVec<[RegId; 8]>) -> usize {
        if level != Level::Col || self.level[arg] != Level::Row {
            return arg;
        }
        let to = self.fused.instrs.len() + arg;
        if !spread.contains(&arg) {
            spread.push(arg);
            before.push(Step::Spread { from: arg, to });
        }
        to
    }

    fn step(&self, id: RegId, before: &mut Vec<Step>, spread: &mut SmallVec<[RegId; 8]>) -> Step {
        let level = self.level[id];
        match &self.fused.instrs[id] {
            Instr::Load(_) => Step::Load { id, level, to: id },
            Instr::Position(_) => Step::Position { id, level, to: id },
            Instr::Scalar(_) => Step::Scalar { id, to: id },
            Instr::Apply { args, .. } => {
                let args = args.iter().map(|&a| self.source(a, level, before, spread)).collect();
                Step::Apply { id, args, level, to: id }
            }
            Instr::Reduce { combine, arg } => {
                let from = self.source(*arg, Level::Col, before, spread);
                Step::Reduce { id, combine: *combine, from, to: id }
            }
            Instr::Acc => unreachable!("the executor of hand-written kernels turns these into loads"),
        }
    }

    /// A store of a value of each row is done once a row, unless it goes to every column.
    fn store_level(&self, store: usize) -> Level {
        let f = self.fused;
        let (to, outer) = (&f.stores[store].to, f.dims.len() - f.inner);
        let once = (outer..f.dims.len()).all(|d| to.strides[d] == 0 || f.dims[d] == 1);
        if !self.flat && f.per_row[f.stores[store].reg] && once { Level::Row } else { Level::Col }
    }

    fn store(&self, store: usize, before: &mut Vec<Step>, spread: &mut SmallVec<[RegId; 8]>) -> Step {
        let level = self.store_level(store);
        let from = self.source(self.fused.stores[store].reg, level, before, spread);
        Step::Store { id: self.fused.instrs.len() + store, level, from }
    }

    /// Whether instruction `i` reads the buffer that `store` writes.
    fn reads_target(&self, i: RegId, store: usize) -> bool {
        let target = (self.root)(self.fused.stores[store].to.value);
        matches!(self.fused.instrs[i], Instr::Load(k) if (self.root)(self.fused.inputs[k].value) == target)
    }

    /// After which instruction a store happens: right after its value's, but in place only after everything is read.
    fn store_after(&self, store: usize) -> RegId {
        let reg = self.fused.stores[store].reg;
        (reg + 1..self.fused.instrs.len()).rfind(|&i| self.reads_target(i, store)).unwrap_or(reg)
    }

    // ---- whole rows ---------------------------------------------------------------------------

    fn whole(&mut self) -> Vec<Step> {
        let (mut steps, mut spread) = (Vec::new(), SmallVec::new());
        for i in 0..self.fused.instrs.len() {
            if self.level[i] != Level::Const {
                let step = self.step(i, &mut steps, &mut spread);
                steps.push(step);
            }
            for s in (0..self.fused.stores.len()).filter(|&s| self.store_after(s) == i) {
                let step = self.store(s, &mut steps, &mut spread);
                steps.push(step);
            }
        }
        self.assign(&mut steps);
        steps
    }

    // ---- strips -------------------------------------------------------------------------------

    fn strips(&mut self, lanes: usize) -> Body {
        let f = self.fused;
        let n = f.instrs.len();
        (0..n).filter(|&i| self.level[i] == Level::Row).collect::<Vec<_>>().into_iter().for_each(|i| self.fix(i));
        let col_stores: Vec<usize> = (0..f.stores.len()).filter(|&s| self.store_level(s) == Level::Col).collect();
        let reduces: Vec<RegId> = (0..n).filter(|&i| matches!(f.instrs[i], Instr::Reduce { .. })).collect();
        let deepest = reduces.iter().map(|&r| self.depth[r] - 1).chain(col_stores.iter().map(|&s| self.depth[f.stores[s].reg]));
        let count = deepest.max().map_or(0, |d| d + 1);
        // In place: later passes read the input again, so it is overwritten in the last one.
        let pass_of = |b: &Self, s: usize| {
            let again = (0..n).any(|i| b.level[i] == Level::Col && b.reads_target(i, s));
            if again { count - 1 } else { b.depth[f.stores[s].reg] }
        };
        let mut passes = Vec::new();
        for p in 0..count {
            let reduces: Vec<RegId> = reduces.iter().copied().filter(|&r| self.depth[r] == p + 1).collect();
            let stores: Vec<usize> = col_stores.iter().copied().filter(|&s| pass_of(self, s) == p).collect();
            passes.push(self.pass(p, &reduces, &stores));
        }
        let start = self.row_steps(0);
        let stores: SmallVec<[usize; 8]> = (0..f.stores.len()).filter(|&s| self.store_level(s) == Level::Row).collect();
        let mut stores: Vec<Step> = stores.iter().map(|&s| self.store(s, &mut Vec::new(), &mut SmallVec::new())).collect();
        self.assign(&mut stores);
        Body::Strips { lanes, start, passes, stores }
    }

    fn pass(&mut self, p: usize, reduces: &[RegId], stores: &[usize]) -> Pass {
        let f = self.fused;
        let n = f.instrs.len();
        let mut needed = vec![false; n];
        let args = reduces.iter().filter_map(|&r| match f.instrs[r] {
            Instr::Reduce { arg, .. } => Some(arg),
            _ => None,
        });
        args.chain(stores.iter().map(|&s| f.stores[s].reg)).for_each(|r| needed[r] = true);
        for i in (0..n).rev() {
            needed[i] &= self.level[i] == Level::Col;
            if needed[i]
                && let Instr::Apply { args, .. } = &f.instrs[i]
            {
                args.iter().for_each(|&a| needed[a] = true);
            }
        }
        let (mut pass, mut spread) = (Pass::default(), SmallVec::new());
        for (i, needed) in needed.into_iter().enumerate() {
            if needed {
                let step = self.step(i, &mut pass.spreads, &mut spread);
                pass.tile.push(step);
            }
            for s in stores.iter().copied().filter(|&s| self.store_after(s) == i) {
                let step = self.store(s, &mut pass.spreads, &mut spread);
                pass.tile.push(step);
            }
        }
        // Reductions take part in the register assignment, as the last readers of a tile.
        let tail = pass.tile.len();
        for &r in reduces {
            let step = self.step(r, &mut pass.spreads, &mut spread);
            pass.tile.push(step);
        }
        for r in spread {
            self.fix(n + r);
        }
        self.assign(&mut pass.spreads);
        self.assign(&mut pass.tile);
        for step in pass.tile.drain(tail..) {
            let Step::Reduce { id, combine, from, to } = step else { continue };
            let Instr::Reduce { arg, .. } = f.instrs[id] else { continue };
            pass.reduces.push(Reduce { id, combine, class: f.dtypes[arg].class(), from, to });
        }
        pass.rows = self.row_steps(p + 1);
        pass
    }

    /// What is computed once a row from the reductions of depth `depth`.
    fn row_steps(&mut self, depth: usize) -> Vec<Step> {
        let rows = (0..self.fused.instrs.len())
            .filter(|&i| self.level[i] == Level::Row && self.depth[i] == depth && !matches!(self.fused.instrs[i], Instr::Reduce { .. }));
        let mut steps: Vec<Step> = rows.map(|i| self.step(i, &mut Vec::new(), &mut SmallVec::new())).collect();
        self.assign(&mut steps);
        steps
    }

    // ---- slots --------------------------------------------------------------------------------

    fn kind(&self, v: usize) -> (Class, Level) {
        let n = self.fused.instrs.len();
        (self.fused.dtypes[v % n].class(), if v >= n { Level::Col } else { self.level[v] })
    }

    /// Gives a virtual register a slot of its own.
    fn fix(&mut self, v: usize) {
        if self.fixed[v].is_none() {
            self.fixed[v] = Some(self.slots.len());
            self.slots.push(self.kind(v));
        }
    }

    /// Replaces virtual registers by slots: a slot is free again after the last step that reads it.
    fn assign(&mut self, steps: &mut [Step]) {
        let count = self.fixed.len();
        let (mut last, mut slot) = (vec![0; count], self.fixed.clone());
        for (k, step) in steps.iter_mut().enumerate() {
            step.inputs().iter().for_each(|&v| last[v] = k);
        }
        // All slots without an owner may be used: they belong to other lists of steps.
        let mut free: Vec<Slot> = (0..self.slots.len()).filter(|s| !self.fixed.contains(&Some(*s))).collect();
        for (k, step) in steps.iter_mut().enumerate() {
            let mut done: SmallVec<[usize; 8]> =
                step.inputs().iter().copied().filter(|&v| last[v] == k && self.fixed[v].is_none()).collect();
            done.sort_unstable();
            done.dedup();
            step.inputs().iter_mut().for_each(|v| *v = slot[*v].expect("computed before it is read"));
            if let Some(to) = step.output() {
                let v = *to;
                let s = slot[v].unwrap_or_else(|| {
                    let found = free.iter().rposition(|&s| self.slots[s] == self.kind(v));
                    found.map(|i| free.remove(i)).unwrap_or_else(|| {
                        self.slots.push(self.kind(v));
                        self.slots.len() - 1
                    })
                });
                slot[v] = Some(s);
                *to = s;
                // Never read: free at once.
                if self.fixed[v].is_none() && last[v] <= k {
                    free.push(s);
                }
            }
            done.iter().for_each(|&v| free.extend(slot[v]));
        }
    }
}
