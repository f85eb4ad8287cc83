//! Runs fused programs: tile after tile through registers that stay in the first-level cache.

use half::f16;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::convert::{self, Span};
use super::memory::Raw;
use super::par;
use super::plan::{Body, Level, Pass, Plan, Reduce, Step};
use super::reduce::{self, Acc};
use super::tile::{Reg, TILE};
use super::walk::Walk;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::graph::kernel::{Access, Instr, ValueId};
use crate::ops::{Kind, Map};

/// Elements of a task of a flat program, and of a chunk of a long row: fixed, so that sums do not depend on threads.
const TASK: usize = 32 << 10;
const CHUNK: usize = 64 << 10;
/// Side of a block: two cache lines of `f32`, and a tile in all.
const SIDE: usize = 32;

/// A thread's registers.
struct Scratch {
    regs: Vec<Reg>,
    halves: Vec<f16>,
}

/// Where an access starts and how it goes on, for the part of the space a task works on.
#[derive(Debug, Clone, Default)]
struct View {
    base: isize,
    walk: Walk,
}

/// The part of the walks a tile covers: position and count by level.
#[derive(Debug, Clone, Copy, Default)]
struct Tile {
    row: (usize, usize),
    col: (usize, usize),
}

/// One execution of a plan.
struct Run<'a> {
    plan: &'a Plan,
    /// By id of load, position and store.
    raws: Vec<Option<Raw<'a>>>,
    maps: Vec<Option<&'a dyn Map>>,
    scalars: &'a [Scalar],
    parallel: bool,
    /// Scratch that is free just now: of tiles, and of the rows of strips.
    tiles: Mutex<Vec<Scratch>>,
    rows: Mutex<Vec<Scratch>>,
}

/// Executes `plan`. `raw` finds the memory of values, `scalars` are those of the program.
pub(super) fn run<'r>(plan: &Plan, raw: &dyn Fn(ValueId) -> Result<Raw<'r>>, scalars: &[Scalar]) -> Result<()> {
    let fused = &plan.fused;
    let total = fused.rows() * fused.cols();
    if total == 0 && (fused.rows() == 0 || !fused.has_reduce()) {
        return Ok(());
    }
    let ids = fused.instrs.len() + fused.stores.len();
    let raws = (0..ids).map(|id| match (fused.instrs.get(id), plan.access(id)) {
        (None | Some(Instr::Load(_)), Some(access)) => raw(access.value).map(Some),
        _ => Ok(None),
    });
    let maps = fused.instrs.iter().map(|instr| match instr {
        Instr::Apply { op, .. } => match op.kind() {
            Kind::Map(map) => Ok(Some(map)),
            _ => Err(Error::unsupported(op.name(), "only elementwise operators can be part of a fused program")),
        },
        _ => Ok(None),
    });
    let run = Run {
        plan,
        raws: raws.collect::<Result<_>>()?,
        maps: maps.collect::<Result<_>>()?,
        scalars,
        parallel: total >= par::WORTH,
        tiles: Mutex::default(),
        rows: Mutex::default(),
    };
    match &plan.body {
        Body::Flat { steps } => run.flat(steps, total),
        Body::Blocks { across, steps } => run.blocks(*across, steps),
        Body::Rows { steps } => run.whole_rows(steps),
        Body::Strips { lanes, start, passes, stores } => run.strips(*lanes, start, passes, stores),
    }
    Ok(())
}

impl Run<'_> {
    // ---- the four ways -----------------------------------------------------------------------

    fn flat(&self, steps: &[Step], total: usize) {
        let views = self.views(|_, access| View { base: access.offset, walk: self.walk(access, 0..self.plan.fused.dims.len()) });
        let size = TILE.min(total);
        par::each(total.div_ceil(TASK), self.parallel, |task| {
            let end = total.min((task + 1) * TASK);
            self.with(&self.tiles, (0, size, size), |scratch| {
                for pos in (task * TASK..end).step_by(TILE) {
                    let tile = Tile { col: (pos, TILE.min(end - pos)), ..Tile::default() };
                    steps.iter().for_each(|s| self.step(s, scratch, &views, tile));
                }
            });
        });
    }

    fn blocks(&self, across: usize, steps: &[Step]) {
        let dims = &self.plan.fused.dims;
        let last = dims.len() - 1;
        // The space in blocks: row-major like the elements, the two dimensions of a block counted in blocks.
        let size = |d: usize| if d == across || d == last { SIDE } else { 1 };
        let counts: SmallVec<[usize; 6]> = (0..=last).map(|d| dims[d].div_ceil(size(d))).collect();
        let (count, per_task) = (counts.iter().product::<usize>(), TASK / (SIDE * SIDE));
        par::each(count.div_ceil(per_task), self.parallel, |task| {
            self.with(&self.tiles, (0, SIDE * SIDE, SIDE * SIDE), |scratch| {
                for block in task * per_task..count.min((task + 1) * per_task) {
                    let (mut start, mut rest) = (SmallVec::<[usize; 6]>::from_elem(0, last + 1), block);
                    for d in (0..=last).rev() {
                        start[d] = rest % counts[d] * size(d);
                        rest /= counts[d];
                    }
                    let height = SIDE.min(dims[across] - start[across]);
                    let width = SIDE.min(dims[last] - start[last]);
                    let views = self.views(|_, access| {
                        let base = start.iter().zip(&access.strides).map(|(&i, &s)| i as isize * s).sum::<isize>();
                        let walk = Walk::new([(height, access.strides[across]), (width, access.strides[last])].into_iter());
                        View { base: access.offset + base, walk }
                    });
                    let tile = Tile { col: (0, height * width), ..Tile::default() };
                    steps.iter().for_each(|s| self.step(s, scratch, &views, tile));
                }
            });
        });
    }

    fn whole_rows(&self, steps: &[Step]) {
        let fused = &self.plan.fused;
        let (rows, cols) = (fused.rows(), fused.cols());
        let outer = fused.dims.len() - fused.inner;
        let views = self.views(|level, access| {
            let dims = if level == Level::Row { 0..outer } else { 0..fused.dims.len() };
            View { base: access.offset, walk: self.walk(access, dims) }
        });
        let height = (TILE / cols.max(1)).clamp(1, rows);
        // Whole tiles, as many as make a task worth starting.
        let task_rows = height * (TASK / (height * cols).max(1)).max(1);
        par::each(rows.div_ceil(task_rows), self.parallel, |task| {
            let end = rows.min((task + 1) * task_rows);
            self.with(&self.tiles, (height, height * cols, height.max(height * cols)), |scratch| {
                for row in (task * task_rows..end).step_by(height) {
                    let n = height.min(end - row);
                    let tile = Tile { row: (row, n), col: (row * cols, n * cols) };
                    steps.iter().for_each(|s| self.step(s, scratch, &views, tile));
                }
            });
        });
    }

    fn strips(&self, lanes: usize, start: &[Step], passes: &[Pass], stores: &[Step]) {
        let fused = &self.plan.fused;
        let outer = fused.dims.len() - fused.inner;
        // Strips of one row go through all outer dimensions; wider ones cut the last of them.
        let along = if lanes > 1 { fused.dims[outer - 1] } else { 1 };
        let groups = if lanes > 1 { &fused.dims[..outer - 1] } else { &fused.dims[..outer] };
        let cuts = along.div_ceil(lanes);
        let (count, cols) = (groups.iter().product::<usize>() * cuts, fused.cols());
        par::each(count, self.parallel, |strip| {
            let first = strip % cuts * lanes;
            let width = lanes.min(along - first);
            // Coordinates of the strip's first row.
            let mut at: SmallVec<[usize; 6]> = groups.into();
            let mut rest = strip / cuts;
            for (i, &d) in at.iter_mut().zip(groups).rev() {
                (*i, rest) = (rest % d, rest / d);
            }
            let views = self.views(|level, access| {
                let beside = if lanes > 1 { access.strides[outer - 1] } else { 0 };
                let base = at.iter().zip(&access.strides).map(|(&i, &s)| i as isize * s).sum::<isize>();
                let columns = if level == Level::Row { 0..0 } else { outer..fused.dims.len() };
                let dims = columns.map(|d| (fused.dims[d], access.strides[d])).chain([(width, beside)]);
                View { base: access.offset + base + first as isize * beside, walk: Walk::new(dims) }
            });
            self.with(&self.rows, (lanes, 0, lanes), |rows| {
                let tile = Tile { row: (0, width), ..Tile::default() };
                start.iter().for_each(|s| self.step(s, rows, &views, tile));
                for pass in passes {
                    self.pass(pass, rows, &views, width, cols);
                    pass.rows.iter().for_each(|s| self.step(s, rows, &views, tile));
                }
                stores.iter().for_each(|s| self.step(s, rows, &views, tile));
            });
        });
    }

    /// Goes over all columns of a strip of `width` rows; the reductions' results go to `rows`.
    fn pass(&self, pass: &Pass, rows: &mut Scratch, views: &[View], width: usize, cols: usize) {
        let deep = (TILE / width).max(1);
        // Wide strips take some columns at least: merging accumulators costs a column each.
        let chunk = (CHUNK / width).max(64).next_multiple_of(deep);
        let per_row = &*rows;
        let chunks = par::map(cols.div_ceil(chunk), self.parallel, |c| {
            let end = cols.min((c + 1) * chunk);
            let size = width * deep.min(cols);
            let acc = |r: &Reduce| Acc::new(r.combine, r.class, width, c * chunk);
            let mut accs: SmallVec<[Acc; 2]> = pass.reduces.iter().map(acc).collect();
            self.with(&self.tiles, (0, size, TILE.max(width)), |scratch| {
                for step in &pass.spreads {
                    let Step::Spread { from, to } = *step else { continue };
                    scratch.regs[to].resize(size);
                    scratch.regs[to].repeat(&per_row.regs[from], width);
                }
                for col in (c * chunk..end).step_by(deep) {
                    let n = width * deep.min(end - col);
                    let tile = Tile { col: (col * width, n), ..Tile::default() };
                    pass.tile.iter().for_each(|s| self.step(s, scratch, views, tile));
                    for (acc, r) in accs.iter_mut().zip(&pass.reduces) {
                        acc.add(&scratch.regs[r.from], n, col);
                    }
                }
            });
            accs
        });
        let mut chunks = chunks.into_iter();
        let Some(mut total) = chunks.next() else { return };
        for later in chunks {
            total.iter_mut().zip(later).for_each(|(t, l)| t.merge(l));
        }
        for (acc, r) in total.into_iter().zip(&pass.reduces) {
            acc.finish(&mut rows.regs[r.to]);
            convert::round(&mut rows.regs[r.to], self.plan.fused.dtypes[r.id], &mut rows.halves);
        }
    }

    // ---- steps --------------------------------------------------------------------------------

    /// `tile.col` counts whole rows where there is a `Reduce` or a `Spread`.
    #[inline]
    fn step(&self, step: &Step, scratch: &mut Scratch, views: &[View], tile: Tile) {
        let Scratch { regs, halves } = scratch;
        let dtypes = &self.plan.fused.dtypes;
        let span = |id: usize, level: Level| {
            let (pos, n) = tile.at(level);
            Span { base: views[id].base, walk: &views[id].walk, pos, n }
        };
        match step {
            Step::Load { id, level, to } => {
                if let Some(raw) = self.raws[*id] {
                    convert::load(raw, dtypes[*id], span(*id, *level), &mut regs[*to], halves);
                }
            }
            Step::Position { id, level, to } => convert::positions(span(*id, *level), &mut regs[*to]),
            Step::Scalar { id, to } => {
                let Instr::Scalar(i) = self.plan.fused.instrs[*id] else { return };
                regs[*to].fill(self.scalars[i]);
                convert::round(&mut regs[*to], dtypes[*id], halves);
            }
            Step::Apply { id, args, level, to } => {
                let Some(map) = self.maps[*id] else { return };
                let n = tile.at(*level).1;
                let mut out = take(&mut regs[*to]);
                out.resize(n);
                let args: SmallVec<[&Reg; 4]> = args.iter().map(|&a| &regs[a]).collect();
                map.tile(&args, n, &mut out);
                drop(args);
                convert::round(&mut out, dtypes[*id], halves);
                regs[*to] = out;
            }
            Step::Spread { from, to } => {
                let mut out = take(&mut regs[*to]);
                out.resize(tile.col.1);
                out.stretch(&regs[*from], tile.col.1 / tile.row.1);
                regs[*to] = out;
            }
            Step::Reduce { id, combine, from, to } => {
                let mut out = take(&mut regs[*to]);
                out.resize(tile.row.1);
                reduce::rows(*combine, &regs[*from], tile.col.1 / tile.row.1, &mut out);
                convert::round(&mut out, dtypes[*id], halves);
                regs[*to] = out;
            }
            Step::Store { id, level, from } => {
                if let (Some(raw), Some(access)) = (self.raws[*id], self.plan.access(*id)) {
                    convert::store(&regs[*from], raw, access.dtype, span(*id, *level), halves);
                }
            }
        }
    }

    /// Lends scratch with registers of `sizes` (of rows, of columns, of constants), constants filled in.
    fn with(&self, pool: &Mutex<Vec<Scratch>>, sizes: (usize, usize, usize), f: impl FnOnce(&mut Scratch)) {
        let free = pool.lock().pop();
        let mut scratch = free.unwrap_or_else(|| {
            let size = |level| match level {
                Level::Row => sizes.0,
                Level::Col => sizes.1,
                Level::Const => sizes.2,
            };
            let regs = self.plan.slots.iter().map(|&(class, level)| Reg::new(class, size(level))).collect();
            let mut scratch = Scratch { regs, halves: Vec::new() };
            let views = if self.plan.consts.is_empty() {
                Vec::new()
            } else {
                self.views(|_, access| View { base: access.offset, walk: Walk::default() })
            };
            let tile = Tile { row: (0, sizes.2), col: (0, sizes.2) };
            self.plan.consts.iter().for_each(|s| self.step(s, &mut scratch, &views, tile));
            scratch
        });
        f(&mut scratch);
        pool.lock().push(scratch);
    }

    // ---- accesses -----------------------------------------------------------------------------

    fn walk(&self, access: &Access, dims: std::ops::Range<usize>) -> Walk {
        Walk::new(dims.map(|d| (self.plan.fused.dims[d], access.strides[d])))
    }

    /// The view of each load, position and store, by id.
    fn views(&self, view: impl Fn(Level, &Access) -> View) -> Vec<View> {
        (0..self.raws.len()).map(|id| self.plan.access(id).map(|a| view(self.plan.levels[id], a)).unwrap_or_default()).collect()
    }
}

impl Tile {
    fn at(&self, level: Level) -> (usize, usize) {
        if level == Level::Row { self.row } else { self.col }
    }
}

/// Takes a register out, so that others can be read while it is written.
fn take(reg: &mut Reg) -> Reg {
    std::mem::replace(reg, Reg::Bool(Vec::new()))
}
