//! Elementwise programs: kernels of their own, or epilogues of a hand-written kernel.

use std::fmt::Write as _;

use super::access::{Lanes, Pattern, Use, coordinates, lane_index};
use super::bind::{Bindings, Block, Slot};
use super::emit::{define, loaded, needed, reg, stored, value};
use super::shader::{Shader, WG, aliases, check_limits, compose, file, grid};
use crate::error::Result;
use crate::graph::kernel::{Fused, Instr, ValueId};
use crate::runtime::Adapter;

/// The elementwise part of a kernel: its accesses, announced to the bindings.
pub(super) struct Program<'a> {
    f: &'a Fused,
    lanes: Lanes,
    need: Vec<bool>,
    loads: Vec<Option<Use>>,
    positions: Vec<Use>,
    stores: Vec<Use>,
}

/// Four elements along the last dimension when its size allows, else four in row-major order.
pub(super) fn lanes_of(dims: &[usize]) -> Lanes {
    match dims.last() {
        Some(d) if d % 4 == 0 => Lanes::Along(dims.len() - 1),
        _ => Lanes::Linear,
    }
}

impl<'a> Program<'a> {
    pub fn new(f: &'a Fused, lanes: Lanes, bindings: &mut Bindings, slot: &dyn Fn(ValueId) -> Slot) -> Result<Program<'a>> {
        let need = needed(f, f.stores.iter().map(|s| s.reg));
        let used = |i: usize| f.instrs.iter().zip(&need).any(|(x, n)| *n && matches!(x, Instr::Load(k) if *k == i));
        let mut loads = Vec::new();
        for (i, a) in f.inputs.iter().enumerate() {
            let u = used(i).then(|| Use::new(bindings, format!("x{i}"), a, slot, &f.dims, lanes, false));
            loads.push(u.transpose()?);
        }
        let positions = f.positions.iter().enumerate().map(|(i, a)| Use::position(format!("p{i}"), a, &f.dims, lanes)).collect();
        let mut stores = Vec::new();
        for (i, s) in f.stores.iter().enumerate() {
            stores.push(Use::new(bindings, format!("y{i}"), &s.to, slot, &f.dims, lanes, true)?);
        }
        Ok(Program { f, lanes, need, loads, positions, stores })
    }

    /// The statements: `i` (and `acc`, the result of the kernel before) are in scope.
    pub fn text(&self, bindings: &Bindings, block: &mut Block) -> Result<String> {
        let (f, dims) = (self.f, &self.f.dims[..]);
        let mut out = String::new();
        let patterns: Vec<Pattern> = self.loads.iter().flatten().chain(&self.positions).chain(&self.stores).map(|u| u.pattern).collect();
        if self.loads.iter().flatten().chain(&self.positions).chain(&self.stores).any(|u| u.by_coordinates(dims)) {
            let first = if self.lanes == Lanes::Linear { "(4u * i)" } else { "i" };
            coordinates(&mut out, block, "c", first, dims, self.lanes, 0..dims.len());
        }
        if patterns.contains(&Pattern::Each) {
            advance(&mut out, block, dims);
        }
        for (r, instr) in f.instrs.iter().enumerate().filter(|(r, _)| self.need[*r]) {
            let v = match instr {
                Instr::Load(i) => {
                    let u = self.loads[*i].as_ref().expect("announced");
                    let index = named(&mut out, "    ", u, self.index(u, block));
                    let step = u.step_if(block, self.lanes);
                    let each: [String; 4] = [0, 1, 2, 3].map(|k| self.each(u, block, k));
                    loaded(u.dtype, u.load(bindings, &index, &step, &|k| each[k as usize].clone()))
                }
                Instr::Position(i) => self.position(&self.positions[*i], block, super::emit::alias(f.dtypes[r])?),
                _ => value(f, r, block)?,
            };
            define(&mut out, "    ", f, r, v)?;
        }
        for (s, u) in f.stores.iter().zip(&self.stores) {
            self.store(&mut out, u, &reg(s.reg), bindings, block);
        }
        Ok(out)
    }

    /// The index of the thread's vector or first element.
    fn index(&self, u: &Use, block: &mut Block) -> String {
        match u.pattern {
            Pattern::Whole => format!("i + {}", u.offset(block)),
            Pattern::Run | Pattern::Each => String::new(),
            _ => {
                let terms = u.terms(block, &self.f.dims, self.lanes, 0..self.f.dims.len(), &|d| format!("c{d}"));
                format!("{}{terms}", u.offset(block))
            }
        }
    }

    /// The index of element `k` for elements with coordinates of their own; past the end that of the last one.
    fn each(&self, u: &Use, block: &mut Block, k: u32) -> String {
        match u.pattern {
            Pattern::Run if self.lanes == Lanes::Linear => {
                let n = block.int("n", self.count());
                format!("{} + min(4u * i + {k}u, {n} - 1u)", u.offset(block))
            }
            Pattern::Run => format!("{} + 4u * i + {k}u", u.offset(block)),
            Pattern::Each => {
                let name = |d: usize| if k == 0 { format!("c{d}") } else { format!("c{d}_{k}") };
                let terms = u.terms(block, &self.f.dims, self.lanes, 0..self.f.dims.len(), &name);
                format!("{}{terms}", u.offset(block))
            }
            _ => String::new(),
        }
    }

    fn position(&self, u: &Use, block: &mut Block, alias: &str) -> String {
        let index = match u.pattern {
            Pattern::Run => format!("VU({} + 4u * i) + VU(0u, 1u, 2u, 3u)", u.offset(block)),
            Pattern::Each => {
                let [x, y, z, w] = [0, 1, 2, 3].map(|k| self.each(u, block, k));
                format!("VU({x}, {y}, {z}, {w})")
            }
            Pattern::Step => {
                let index = self.index(u, block);
                format!("VU({index}) + VU(0u, 1u, 2u, 3u) * {}", u.step_if(block, self.lanes))
            }
            _ => format!("VU({})", self.index(u, block)),
        };
        if alias == "VU" { index } else { format!("{alias}({index})") }
    }

    fn store(&self, out: &mut String, u: &Use, value: &str, b: &Bindings, block: &mut Block) {
        let name = format!("v_{}", u.name);
        writeln!(out, "    let {name} = {};", stored(u.dtype, value)).unwrap();
        let lane = |k: usize| format!("{name}.{}", ["x", "y", "z", "w"][k]);
        let index = named(out, "    ", u, self.index(u, block));
        let step = u.step_if(block, self.lanes);
        match u.pattern {
            Pattern::One => writeln!(out, "    {}", b.set(u.binding, u.repr, &index, &name)).unwrap(),
            Pattern::Vec => writeln!(out, "    {}", b.set4(u.binding, u.repr, &index, &name)).unwrap(),
            Pattern::Whole if self.lanes != Lanes::Linear => writeln!(out, "    {}", b.set4(u.binding, u.repr, &index, &name)).unwrap(),
            Pattern::Whole => {
                // What lies behind the last element may be somebody else's.
                let n = block.int("n", self.count());
                writeln!(out, "    if (4u * i + 3u < {n}) {{ {} }} else {{", b.set4(u.binding, u.repr, &index, &name)).unwrap();
                for k in 0..3 {
                    let set = b.set(u.binding, u.repr, &format!("4u * ({index}) + {k}u"), &lane(k));
                    writeln!(out, "        if (4u * i + {k}u < {n}) {{ {set} }}").unwrap();
                }
                out.push_str("    }\n");
            }
            Pattern::Step => {
                for k in 0..4 {
                    writeln!(out, "    {}", b.set(u.binding, u.repr, &lane_index(&index, &step, k as u32), &lane(k))).unwrap();
                }
            }
            Pattern::Run | Pattern::Each | Pattern::Splat => {
                let n = block.int("n", self.count());
                for k in 0..4 {
                    let set = b.set(u.binding, u.repr, &self.each(u, block, k as u32), &lane(k));
                    writeln!(out, "    if (4u * i + {k}u < {n}) {{ {set} }}").unwrap();
                }
            }
        }
    }

    fn count(&self) -> isize {
        self.f.dims.iter().product::<usize>() as isize
    }
}

/// An index that is used four times gets a name.
pub(super) fn named(out: &mut String, indent: &str, u: &Use, index: String) -> String {
    if u.pattern != Pattern::Step {
        return index;
    }
    writeln!(out, "{indent}let {}_at = {index};", u.name).unwrap();
    format!("{}_at", u.name)
}

impl Use {
    /// The word with the step's distance, where the pattern has one.
    fn step_if(&self, block: &mut Block, lanes: Lanes) -> String {
        if self.pattern == Pattern::Step { self.step(block, lanes) } else { String::new() }
    }
}

/// Coordinates of the second to fourth element from those of the first: add one and carry.
fn advance(out: &mut String, block: &mut Block, dims: &[usize]) {
    for k in 1..4 {
        let before = |d: usize| if k == 1 { format!("c{d}") } else { format!("c{d}_{}", k - 1) };
        let mut carry = "1u".to_string();
        for d in (0..dims.len()).rev() {
            let n = block.int(format!("n{d}"), dims[d] as isize);
            if d == 0 {
                writeln!(out, "    let c0_{k} = min({} + {carry}, {n} - 1u);", before(0)).unwrap();
            } else {
                writeln!(out, "    let c{d}_{k}_up = {} + {carry};", before(d)).unwrap();
                writeln!(out, "    let c{d}_{k} = select(c{d}_{k}_up, 0u, c{d}_{k}_up == {n});").unwrap();
                carry = format!("u32(c{d}_{k}_up == {n})");
            }
        }
    }
}

/// A kernel of its own: a thread handles four elements. `None` when there is nothing to do.
pub(super) fn map(f: &Fused, slot: &dyn Fn(ValueId) -> Slot, adapter: &Adapter) -> Result<Option<Shader>> {
    let count = f.dims.iter().product::<usize>().div_ceil(4);
    if count == 0 {
        return Ok(None);
    }
    let (mut bindings, mut block) = (Bindings::default(), Block::default());
    let groups = grid(count.div_ceil(WG), adapter)?;
    block.int("count", count as isize);
    block.int("width", groups[0] as isize * WG as isize);
    let lanes = lanes_of(&f.dims);
    let program = Program::new(f, lanes, &mut bindings, slot)?;
    let text = program.text(&bindings, &mut block)?;
    let body = format!("fn map_at(i: u32) {{\n{text}}}\n{}", file("map")?);
    let line = f.to_string();
    check_limits(&line, &bindings.0, adapter)?;
    let wgsl = compose(&line, &format!("const WG: u32 = {WG}u;\n{}", aliases(true)), &body, &bindings, &block);
    Ok(Some(Shader { line, wgsl, bindings: bindings.0, p: Block::default(), f: block, groups, scratch: Vec::new() }))
}
