//! Programs with reductions: a team of lanes per row sweeps over the row's columns, once for each reduction
//! that depends on another one, and once more where columns are stored after it.
//!
//! Softmax, say, is three sweeps: the maximum, the sum of exponentials, the quotients. What a sweep needs of
//! earlier columns' work it computes again: registers do not hold a row, and arithmetic is cheaper than memory.

use std::fmt::Write as _;

use super::access::{Lanes, Pattern, Use, coordinates, lane_index, pattern};
use super::bind::{Bindings, Block, Slot};
use super::emit::{alias, define, loaded, needed, reg, rounded, stored, value};
use super::fused::named;
use super::shader::{Shader, aliases, check_limits, compose, file, grid};
use super::split::{LONGEST, Split, split};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Access, Fused, Instr, RegId, ValueId};
use crate::ops::{Class, Combine};
use crate::runtime::Adapter;

/// How rows are shared out. Chosen by classes, never by sizes, so that new sizes need no new kernel.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Four neighbouring columns of a row, or the same column of four neighbouring rows, or one element.
    lanes: Lanes,
    /// Lanes that share a row, and rows (or fours of rows) of a workgroup.
    team: usize,
    rows: usize,
}

fn outer(f: &Fused) -> usize {
    f.dims.len() - f.inner
}

/// After how many sweeps each register is known.
fn depths(f: &Fused) -> Vec<usize> {
    let mut depth = vec![0; f.instrs.len()];
    for (r, i) in f.instrs.iter().enumerate() {
        depth[r] = match i {
            Instr::Apply { args, .. } => args.iter().map(|&a| depth[a]).max().unwrap_or(0),
            Instr::Reduce { arg, .. } => depth[*arg] + 1,
            _ => 0,
        };
    }
    depth
}

/// How often a program goes over its columns, at most.
fn sweeps(depths: &[usize]) -> usize {
    1 + depths.iter().max().copied().unwrap_or(0)
}

/// Accesses that depend on the column.
fn column_accesses(f: &Fused) -> impl Iterator<Item = &Access> {
    let by_column = move |a: &&Access| (outer(f)..f.dims.len()).any(|d| a.strides[d] != 0 && f.dims[d] != 1);
    f.inputs.iter().chain(f.stores.iter().map(|s| &s.to)).filter(by_column)
}

fn shape(f: &Fused, chunks: Option<usize>, adapter: &Adapter) -> Shape {
    let (outer, rank) = (outer(f), f.dims.len());
    let vectors = |lanes: Lanes| column_accesses(f).filter(|a| matches!(pattern(a, &f.dims, lanes), Pattern::Vec | Pattern::Whole)).count();
    let along = |d: usize| (f.dims[d] % 4 == 0).then(|| (vectors(Lanes::Along(d)), Lanes::Along(d)));
    let column = (f.inner > 0).then(|| along(rank - 1)).flatten();
    let row = (outer > 0).then(|| along(outer - 1)).flatten();
    let lanes = match (column, row) {
        (Some((c, lanes)), r) if c > 0 && c >= r.map_or(0, |r| r.0) => lanes,
        (_, Some((r, lanes))) if r > 0 => lanes,
        _ => Lanes::One,
    };
    let inner_contiguous = match lanes {
        Lanes::Along(d) => d >= outer,
        _ => outer == 0 || column_accesses(f).any(|a| a.strides[rank - 1] == 1),
    };
    // A lane must not go round its loops too often; sharing a row is the slower way out.
    let cols = f.cols() / chunks.unwrap_or(1);
    let long = cols > LONGEST || cols * sweeps(&depths(f)) > 3 * LONGEST;
    let (team, rows) = match (adapter.software, f.rows() == 1 || long, inner_contiguous) {
        // On a CPU a barrier costs more than it brings, unless there is only one row to share.
        (true, false, _) => (1, 8),
        (_, true, _) | (false, _, true) => (64, 1),
        // Neighbouring lanes take neighbouring rows, which is where memory is contiguous.
        (false, false, false) => (16, 16),
    };
    Shape { lanes, team, rows }
}

/// Part of the program's accesses and the sweeps.
struct Rows<'a> {
    f: &'a Fused,
    s: Shape,
    /// The first coordinate of a row says which chunk of its columns to reduce.
    chunked: bool,
    need: Vec<bool>,
    loads: Vec<Option<Use>>,
    positions: Vec<Use>,
    stores: Vec<Use>,
    /// After how many sweeps a register is known.
    depth: Vec<usize>,
}

/// The kernels of a program: one, or two for few long rows. None when there is nothing to do.
pub(super) fn rows(f: &Fused, slot: &dyn Fn(ValueId) -> Slot, adapter: &Adapter) -> Result<Vec<Shader>> {
    if f.rows() == 0 {
        return Ok(Vec::new());
    }
    let Some(Split { first, chunks, second, words }) = split(f, adapter) else { return Ok(vec![one(f, None, slot, adapter)?]) };
    let (mut a, mut b) = (one(&first, Some(chunks), slot, adapter)?, one(&second, None, slot, adapter)?);
    (a.line, b.line) = (f.to_string(), format!("the same, of {chunks} chunks"));
    a.scratch = vec![(0, words)];
    Ok(vec![a, b])
}

/// One kernel. With `chunks` the first dimension is the chunk of columns a row program reduces.
fn one(f: &Fused, chunks: Option<usize>, slot: &dyn Fn(ValueId) -> Slot, adapter: &Adapter) -> Result<Shader> {
    let s = shape(f, chunks, adapter);
    let (mut bindings, mut block) = (Bindings::default(), Block::default());
    let program = Rows::new(f, s, chunks.is_some(), &mut bindings, slot)?;
    let lane = |d: std::ops::Range<usize>| matches!(s.lanes, Lanes::Along(l) if d.contains(&l));
    let count = f.rows() / if lane(0..outer(f)) { 4 } else { 1 };
    let cols = f.cols() / if lane(outer(f)..f.dims.len()) { 4 } else { 1 };
    let groups = grid(count.div_ceil(s.rows), adapter)?;
    // Each sweep goes over the columns, and once more for every block of 32 that it adds up.
    let rounds = cols.div_ceil(chunks.unwrap_or(1)).div_ceil(s.team);
    if f.inner > 0 && !adapter.allows_rounds(rounds.div_ceil(32) * 33 * sweeps(&program.depth)) {
        let why = format!(
            "a row of {} elements takes more than the 65,535 rounds after which {} ends loops; use the CPU",
            f.cols(),
            adapter.name
        );
        return Err(Error::unsupported("reduction", why));
    }
    block.int("rows", count as isize);
    block.int("cols", cols as isize);
    block.int("width", groups[0] as isize);
    if let Some(chunks) = chunks {
        block.int("chunk", cols.div_ceil(chunks) as isize);
    }
    let text = program.text(&bindings, &mut block)?;

    let vector = s.lanes != Lanes::One;
    let mut head = format!("const TEAM: u32 = {}u;\nconst ROWS: u32 = {}u;\nconst WG: u32 = {}u;\n", s.team, s.rows, s.team * s.rows);
    head.push_str(&aliases(vector));
    // What a team combines: fours of a row become one value first, fours of rows stay apart.
    let team_vector = vector && !program.along_columns();
    for (a, t) in [("WF", "f32"), ("WI", "i32"), ("WU", "u32"), ("WB", "bool")] {
        head.push_str(&if team_vector { format!("alias {a} = vec4<{t}>;\n") } else { format!("alias {a} = {t};\n") });
    }
    let body = format!("fn row_program(row: u32, lane: u32, live: bool) {{\n{text}}}\n{}{}", file("rows")?, program.trees(&text)?);
    let line = f.to_string();
    check_limits(&line, &bindings.0, adapter)?;
    let wgsl = compose(&line, &head, &body, &bindings, &block);
    Ok(Shader { line, wgsl, bindings: bindings.0, p: Block::default(), f: block, groups, scratch: Vec::new() })
}

impl<'a> Rows<'a> {
    fn new(f: &'a Fused, s: Shape, chunked: bool, bindings: &mut Bindings, slot: &dyn Fn(ValueId) -> Slot) -> Result<Rows<'a>> {
        let need = needed(f, f.stores.iter().map(|s| s.reg));
        let mut this = Rows { f, s, chunked, need, loads: Vec::new(), positions: Vec::new(), stores: Vec::new(), depth: depths(f) };
        for (i, a) in f.inputs.iter().enumerate() {
            let used = f.instrs.iter().zip(&this.need).any(|(x, n)| *n && matches!(x, Instr::Load(k) if *k == i));
            let u = used.then(|| Use::new(bindings, format!("x{i}"), a, slot, &f.dims, s.lanes, false)).transpose()?;
            this.loads.push(u);
        }
        this.positions = f.positions.iter().enumerate().map(|(i, a)| Use::position(format!("p{i}"), a, &f.dims, s.lanes)).collect();
        // Rows have no linear index of their own: a run is a step of one.
        this.positions.iter_mut().filter(|u| u.pattern == Pattern::Run).for_each(|u| u.pattern = Pattern::Step);
        for (i, store) in f.stores.iter().enumerate() {
            // A value per row is one element where the lanes are columns.
            let lanes = if f.once_a_row(store) && this.along_columns() { Lanes::One } else { s.lanes };
            this.stores.push(Use::new(bindings, format!("y{i}"), &store.to, slot, &f.dims, lanes, true)?);
        }
        Ok(this)
    }

    fn along_columns(&self) -> bool {
        matches!(self.s.lanes, Lanes::Along(d) if d >= outer(self.f))
    }

    fn text(&self, bindings: &Bindings, block: &mut Block) -> Result<String> {
        let f = self.f;
        let mut out = String::new();
        coordinates(&mut out, block, "c", "row", &f.dims, self.s.lanes, 0..outer(f));
        for u in self.loads.iter().flatten().chain(&self.positions).chain(&self.stores) {
            let terms = u.terms(block, &f.dims, self.lanes_of(u), 0..outer(f), &|d| format!("c{d}"));
            writeln!(out, "    let {}_row = {}{terms};", u.name, u.offset(block)).unwrap();
        }
        out.push_str(if self.chunked {
            "    let begin = c0 * f.chunk + lane / ROWS;\n    let end = min(c0 * f.chunk + f.chunk, f.cols);\n"
        } else {
            "    let begin = lane / ROWS;\n    let end = f.cols;\n"
        });
        let last = (0..f.instrs.len()).filter(|&r| self.need[r]).map(|r| self.depth[r]).max().unwrap_or(0);
        for sweep in 0..=last {
            self.row_values(&mut out, sweep, bindings, block)?;
            self.sweep(&mut out, sweep, last, bindings, block)?;
        }
        for (s, u) in f.stores.iter().zip(&self.stores).filter(|(s, _)| f.once_a_row(s)) {
            out.push_str("    if (live && lane / ROWS == 0u) {\n");
            self.store(&mut out, "        ", u, &reg(s.reg), bindings, block);
            out.push_str("    }\n");
        }
        Ok(out)
    }

    /// A per-row store of a vector of equal values is indexed as a single element.
    fn lanes_of(&self, u: &Use) -> Lanes {
        if u.pattern == Pattern::One { Lanes::One } else { self.s.lanes }
    }

    /// Registers that depend on the row only and are known after `sweep` sweeps (reductions define themselves).
    fn row_values(&self, out: &mut String, sweep: usize, bindings: &Bindings, block: &mut Block) -> Result<()> {
        let f = self.f;
        for (r, i) in f.instrs.iter().enumerate() {
            let uniform = f.per_row[r] || matches!(i, Instr::Scalar(_));
            if self.need[r] && uniform && self.depth[r] == sweep && !matches!(i, Instr::Reduce { .. }) {
                let v = self.value(out, r, false, bindings, block)?;
                define(out, "    ", f, r, v)?;
            }
        }
        Ok(())
    }

    /// When a column is stored: as soon as it is known, but what takes the place of an input not before the last sweep,
    /// since the others read the input again.
    fn stored_in(&self, store: usize, last: usize) -> Option<usize> {
        let s = &self.f.stores[store];
        let in_place = self.loads.iter().flatten().any(|u| u.binding == self.stores[store].binding);
        (!self.f.once_a_row(s)).then_some(if in_place { last } else { self.depth[s.reg] })
    }

    /// One pass over the columns: the reductions of this depth, and the stores of columns that are known now.
    fn sweep(&self, out: &mut String, sweep: usize, last: usize, bindings: &Bindings, block: &mut Block) -> Result<()> {
        let f = self.f;
        let reduces: Vec<(RegId, Combine, RegId)> = f
            .instrs
            .iter()
            .enumerate()
            .filter_map(|(r, i)| match i {
                Instr::Reduce { combine, arg } if self.need[r] && self.depth[*arg] == sweep => Some((r, *combine, *arg)),
                _ => None,
            })
            .collect();
        let stores: Vec<usize> = (0..f.stores.len()).filter(|&s| self.stored_in(s, last) == Some(sweep)).collect();
        if reduces.is_empty() && stores.is_empty() {
            return Ok(());
        }
        let needed = self.columns_needed(reduces.iter().map(|r| r.2).chain(stores.iter().map(|&s| f.stores[s].reg)));

        for &(r, combine, arg) in &reduces {
            self.start(out, r, combine, arg, block)?;
        }
        // Sums are kept of blocks of columns, then of blocks: the error grows with the root of the count only.
        let sums: Vec<RegId> = reduces.iter().filter(|(_, c, a)| *c == Combine::Sum && f.dtypes[*a].is_float()).map(|r| r.0).collect();
        let blocked = !sums.is_empty();
        let indent = if blocked { "            " } else { "        " };
        if blocked {
            out.push_str("    for (var first = begin; first < end; first += TEAM * BLOCK) {\n");
            for r in &sums {
                writeln!(out, "        var part{r} = V(0.0);").unwrap();
            }
            out.push_str("        for (var j = first; j < min(first + TEAM * BLOCK, end); j += TEAM) {\n");
        } else {
            out.push_str("    for (var j = begin; j < end; j += TEAM) {\n");
        }

        let mut body = String::new();
        self.columns(&mut body, block);
        for r in (0..f.instrs.len()).filter(|&r| needed[r]) {
            let v = self.value(&mut body, r, true, bindings, block)?;
            define(&mut body, "    ", f, r, v)?;
        }
        for &(r, combine, arg) in &reduces {
            self.accumulate(&mut body, r, combine, arg, sums.contains(&r))?;
        }
        if !stores.is_empty() {
            body.push_str("    if (live) {\n");
            for s in stores {
                self.store(&mut body, "        ", &self.stores[s], &reg(f.stores[s].reg), bindings, block);
            }
            body.push_str("    }\n");
        }
        for line in body.lines() {
            writeln!(out, "{}{line}", &indent[4..]).unwrap();
        }
        if blocked {
            out.push_str("        }\n");
            for r in &sums {
                writeln!(out, "        acc{r} += part{r};").unwrap();
            }
        }
        out.push_str("    }\n");
        for &(r, combine, arg) in &reduces {
            self.finish(out, r, combine, arg)?;
        }
        Ok(())
    }

    /// Registers of the column that `roots` need; what is known of the row is not computed again.
    fn columns_needed(&self, roots: impl Iterator<Item = RegId>) -> Vec<bool> {
        let f = self.f;
        let column = |r: RegId| !f.per_row[r] && !matches!(f.instrs[r], Instr::Scalar(_) | Instr::Reduce { .. });
        let mut need = vec![false; f.instrs.len()];
        roots.filter(|&r| column(r)).for_each(|r| need[r] = true);
        for r in (0..f.instrs.len()).rev() {
            if need[r]
                && let Instr::Apply { args, .. } = &f.instrs[r]
            {
                args.iter().filter(|&&a| column(a)).for_each(|&a| need[a] = true);
            }
        }
        need
    }

    /// Coordinates of column `j`.
    fn columns(&self, out: &mut String, block: &mut Block) {
        let f = self.f;
        if f.inner > 0 {
            coordinates(out, block, "c", "j", &f.dims, self.s.lanes, outer(f)..f.dims.len());
        }
    }

    /// The value of a register that is not a reduction; `column`: the column's coordinates are in scope.
    fn value(&self, out: &mut String, r: RegId, column: bool, bindings: &Bindings, block: &mut Block) -> Result<String> {
        let f = self.f;
        match &f.instrs[r] {
            Instr::Load(i) => {
                let u = self.loads[*i].as_ref().expect("announced");
                let (index, step) = self.index(u, column, block);
                let index = named(out, "    ", u, index);
                Ok(loaded(u.dtype, u.load(bindings, &index, &step, &|_| unreachable!("rows have no lanes of their own"))))
            }
            Instr::Position(i) => {
                let u = &self.positions[*i];
                let (index, step) = self.index(u, column, block);
                let index =
                    if u.pattern == Pattern::Step { format!("VU({index}) + VU(0u, 1u, 2u, 3u) * {step}") } else { format!("VU({index})") };
                Ok(match alias(f.dtypes[r])? {
                    "VU" => index,
                    a => format!("{a}({index})"),
                })
            }
            Instr::Reduce { .. } => unreachable!("defined by its sweep"),
            _ => value(f, r, block),
        }
    }

    fn index(&self, u: &Use, column: bool, block: &mut Block) -> (String, String) {
        let (f, lanes) = (self.f, self.lanes_of(u));
        let terms = if column { u.terms(block, &f.dims, lanes, outer(f)..f.dims.len(), &|d| format!("c{d}")) } else { String::new() };
        let step = if u.pattern == Pattern::Step { u.step(block, lanes) } else { String::new() };
        (format!("{}_row{terms}", u.name), step)
    }

    fn store(&self, out: &mut String, indent: &str, u: &Use, value: &str, b: &Bindings, block: &mut Block) {
        let column = indent.len() > 4 && !self.is_row_store(u);
        let (index, step) = self.index(u, column, block);
        let index = named(out, indent, u, index);
        let (name, vector) = (format!("v_{}", u.name), self.s.lanes != Lanes::One);
        writeln!(out, "{indent}let {name} = {};", stored(u.dtype, value)).unwrap();
        match u.pattern {
            Pattern::One => {
                let v = if vector { format!("{name}.x") } else { name };
                writeln!(out, "{indent}{}", b.set(u.binding, u.repr, &index, &v)).unwrap();
            }
            Pattern::Vec | Pattern::Whole => writeln!(out, "{indent}{}", b.set4(u.binding, u.repr, &index, &name)).unwrap(),
            _ => {
                for (k, lane) in ["x", "y", "z", "w"].into_iter().enumerate() {
                    let set = b.set(u.binding, u.repr, &lane_index(&index, &step, k as u32), &format!("{name}.{lane}"));
                    writeln!(out, "{indent}{set}").unwrap();
                }
            }
        }
    }

    fn is_row_store(&self, u: &Use) -> bool {
        let at: usize = u.name[1..].parse().expect("named by number");
        self.f.once_a_row(&self.f.stores[at])
    }

    // ---- reductions ---------------------------------------------------------------------------

    /// The accumulator, at the combination's identity.
    fn start(&self, out: &mut String, r: RegId, combine: Combine, arg: RegId, block: &mut Block) -> Result<()> {
        let class = self.f.dtypes[arg].class();
        let v = accumulator(self.f.dtypes[arg])?;
        let mut infinity = |sign: f32| format!("V({})", block.float(if sign < 0.0 { "lowest" } else { "highest" }, sign * f32::INFINITY));
        let identity = match (combine, class) {
            (Combine::Sum, Class::F32) => "V(0.0)".into(),
            (Combine::Prod, Class::F32) => "V(1.0)".into(),
            (Combine::Max | Combine::ArgMax, Class::F32) => infinity(-1.0),
            (Combine::Min | Combine::ArgMin, Class::F32) => infinity(1.0),
            (Combine::Sum, _) => format!("{v}(0)"),
            (Combine::Prod, _) => format!("{v}(1)"),
            (Combine::Max | Combine::ArgMax, Class::Int) => "VI(-2147483647 - 1)".into(),
            (Combine::Min | Combine::ArgMin, Class::Int) => "VI(2147483647)".into(),
            (Combine::Max | Combine::ArgMax, _) => "VU(0u)".into(),
            (Combine::Min | Combine::ArgMin, _) => "VU(0xffffffffu)".into(),
        };
        writeln!(out, "    var acc{r} = {identity};").unwrap();
        if is_arg(combine) {
            writeln!(out, "    var at{r} = VU(0xffffffffu);").unwrap();
        }
        Ok(())
    }

    fn accumulate(&self, out: &mut String, r: RegId, combine: Combine, arg: RegId, part: bool) -> Result<()> {
        let float = self.f.dtypes[arg].class() == Class::F32;
        let x = as_accumulated(self.f.dtypes[arg], &reg(arg));
        let line = match combine {
            Combine::Sum if part => format!("part{r} += {x};"),
            Combine::Sum => format!("acc{r} += {x};"),
            Combine::Prod => format!("acc{r} *= {x};"),
            Combine::Max if float => format!("acc{r} = max_nan(acc{r}, {x});"),
            Combine::Min if float => format!("acc{r} = min_nan(acc{r}, {x});"),
            Combine::Max => format!("acc{r} = max(acc{r}, {x});"),
            Combine::Min => format!("acc{r} = min(acc{r}, {x});"),
            Combine::ArgMax | Combine::ArgMin => {
                let op = if combine == Combine::ArgMax { ">" } else { "<" };
                let mut better = format!("(at{r} == VU(0xffffffffu)) | ({x} {op} acc{r})");
                if float {
                    better = format!("({better} | is_nan({x})) & !is_nan(acc{r})");
                }
                let j = if self.along_columns() { "VU(4u * j) + VU(0u, 1u, 2u, 3u)" } else { "VU(j)" };
                format!(
                    "let better{r} = {better};\n    acc{r} = select(acc{r}, {x}, better{r});\n    at{r} = select(at{r}, {j}, better{r});"
                )
            }
        };
        writeln!(out, "    {line}").unwrap();
        Ok(())
    }

    /// Combines the lanes of a team; every lane of it then knows the result.
    fn finish(&self, out: &mut String, r: RegId, combine: Combine, arg: RegId) -> Result<()> {
        let (f, from, to) = (self.f, self.f.dtypes[arg], self.f.dtypes[r]);
        let w = team_type(from, combine)?;
        let name = combine_name(combine);
        let mut v = format!("acc{r}");
        let lanes = ["x", "y", "z", "w"];
        if is_arg(combine) {
            v = format!("{w}(acc{r}, at{r})");
            if self.along_columns() {
                let [x, y, z, last] = lanes.map(|k| format!("{w}(acc{r}.{k}, at{r}.{k})"));
                v = format!("{name}_{w}({name}_{w}({x}, {y}), {name}_{w}({z}, {last}))");
            }
        } else if self.along_columns() {
            v = format!("{name}_{w}({name}_{w}(acc{r}.x, acc{r}.y), {name}_{w}(acc{r}.z, acc{r}.w))");
        }
        if self.s.team > 1 {
            v = format!("team_{name}_{w}({v}, lane)");
        }
        // Equal values in all lanes again, then another class where the result has one (an index, a sum of bool).
        let (v, class) =
            if is_arg(combine) { (format!("VU({v}.at)"), "VU") } else { (format!("{}({v})", accumulator(from)?), accumulator(from)?) };
        let v = match alias(to)? {
            "VB" => format!("{v} != {class}(0)"),
            same if same == class => v,
            other => format!("{other}({v})"),
        };
        let v = if is_arg(combine) { v } else { rounded(to, v) };
        define(out, "    ", f, r, v)
    }

    /// The tree functions that `text` calls, each an instance of the template.
    fn trees(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        for w in ["WF", "WI", "WU", "BestWF", "BestWI", "BestWU"] {
            for name in ["sum", "prod", "max", "min", "first_max", "first_min"] {
                if text.contains(&format!("team_{name}_{w}(")) {
                    let pool = format!("var<workgroup> pool_{w}: array<{w}, WG>;\n");
                    if !out.contains(&pool) {
                        out.push_str(&pool);
                    }
                    out.push_str(&file("team")?.replace("COMBINE", name).replace("TYPE", w));
                }
            }
        }
        Ok(out)
    }
}

fn is_arg(combine: Combine) -> bool {
    matches!(combine, Combine::ArgMax | Combine::ArgMin)
}

fn combine_name(combine: Combine) -> &'static str {
    match combine {
        Combine::Sum => "sum",
        Combine::Prod => "prod",
        Combine::Max => "max",
        Combine::Min => "min",
        Combine::ArgMax => "first_max",
        Combine::ArgMin => "first_min",
    }
}

/// The alias an argument is accumulated in: `bool` as a word.
fn accumulator(dtype: DType) -> Result<&'static str> {
    Ok(match alias(dtype)? {
        "VB" => "VU",
        a => a,
    })
}

fn as_accumulated(dtype: DType, value: &str) -> String {
    if dtype == DType::Bool { format!("select(VU(0u), VU(1u), {value})") } else { value.to_string() }
}

/// What a team combines: the alias, or a value with its index.
fn team_type(dtype: DType, combine: Combine) -> Result<&'static str> {
    Ok(match (accumulator(dtype)?, is_arg(combine)) {
        ("V", false) => "WF",
        ("VI", false) => "WI",
        ("VU", false) => "WU",
        ("V", true) => "BestWF",
        ("VI", true) => "BestWI",
        ("VU", true) => "BestWU",
        (other, _) => return Err(Error::unsupported("gpu", format!("a reduction of {other}"))),
    })
}
