//! How threads read and write values: which four elements belong to a thread, and how they lie.
//!
//! A thread handles one element or four. Four neighbours along a dimension whose size divides by four
//! share their other coordinates, so that one index, and often one 16-byte access, serves all of them.
//! Which pattern an access has is part of the kernel's text; strides, offsets and sizes are not: they
//! come from the uniform block.

use std::fmt::Write as _;
use std::ops::Range;

use super::bind::{Bindings, Block, Slot};
use super::repr::Repr;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::kernel::{Access, ValueId};

/// Which elements of the iteration space a thread handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lanes {
    /// One.
    One,
    /// Four that follow each other in row-major order, whatever the sizes.
    Linear,
    /// Four along this dimension; its size divides by four, its coordinate counts fours.
    Along(usize),
}

/// How a thread's elements of one value lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    One,
    /// All the same element.
    Splat,
    /// One aligned vector whose index is that of the thread: no coordinates needed.
    Whole,
    /// The same, not aligned: four elements in a row.
    Run,
    /// One aligned vector at an index made of coordinates.
    Vec,
    /// Four elements at a constant distance.
    Step,
    /// Four elements with coordinates of their own.
    Each,
}

impl Pattern {
    /// Whether an index is made of coordinates.
    pub fn by_coordinates(self) -> bool {
        matches!(self, Pattern::One | Pattern::Vec | Pattern::Step | Pattern::Each)
    }
}

/// An access of a kernel with its binding, its pattern, and the prefix of its words in the block.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub binding: usize,
    pub repr: Repr,
    pub dtype: DType,
    pub pattern: Pattern,
    pub name: String,
    access: Access,
}

fn is_linear(a: &Access, dims: &[usize]) -> bool {
    let mut next = 1;
    for (&d, &s) in dims.iter().zip(&a.strides).rev() {
        if d != 1 && s != next {
            return false;
        }
        next *= d as isize;
    }
    true
}

/// Whether dimension `d` moves the access at all.
fn moves(a: &Access, dims: &[usize], d: usize) -> bool {
    dims[d] != 1 && a.strides[d] != 0
}

pub(super) fn pattern(a: &Access, dims: &[usize], lanes: Lanes) -> Pattern {
    let splat = (0..dims.len()).all(|d| !moves(a, dims, d));
    match lanes {
        Lanes::One => Pattern::One,
        _ if splat => Pattern::Splat,
        Lanes::Linear if is_linear(a, dims) => {
            if a.offset % 4 == 0 {
                Pattern::Whole
            } else {
                Pattern::Run
            }
        }
        Lanes::Linear => Pattern::Each,
        Lanes::Along(lane) if !moves(a, dims, lane) => Pattern::Splat,
        Lanes::Along(lane) => {
            let aligned = a.offset % 4 == 0 && (0..dims.len()).all(|d| d == lane || !moves(a, dims, d) || a.strides[d] % 4 == 0);
            match (a.strides[lane] == 1 && aligned, lane + 1 == dims.len() && is_linear(a, dims)) {
                (true, true) => Pattern::Whole,
                (true, false) => Pattern::Vec,
                _ => Pattern::Step,
            }
        }
    }
}

/// The last element an access touches.
fn last(a: &Access, dims: &[usize]) -> usize {
    let reach: isize = dims.iter().zip(&a.strides).map(|(&d, &s)| (d as isize - 1).max(0) * s.max(0)).sum();
    (a.offset + reach).max(0) as usize
}

impl Use {
    /// Announces a read or write of `a` and says how it will be done.
    pub fn new(
        bindings: &mut Bindings,
        name: String,
        a: &Access,
        slot: &dyn Fn(ValueId) -> Slot,
        dims: &[usize],
        lanes: Lanes,
        write: bool,
    ) -> Result<Use> {
        let mut pattern = pattern(a, dims, lanes);
        if write && pattern == Pattern::Splat {
            // One element in all: a vector of which one lane is written.
            pattern = if a.offset % 4 == 0 { Pattern::Whole } else { Pattern::Run };
        }
        let wide = matches!(pattern, Pattern::Whole | Pattern::Vec);
        let binding = bindings.add(slot(a.value), a.dtype, last(a, dims), wide)?;
        if write {
            bindings.add_write(binding, !wide);
        }
        Ok(Use { binding, repr: Repr::of(a.dtype), dtype: a.dtype, pattern, name, access: a.clone() })
    }

    /// Whether the index is made of coordinates. All four elements of a splat are one, but another one for other coordinates.
    pub fn by_coordinates(&self, dims: &[usize]) -> bool {
        self.pattern.by_coordinates() || (self.pattern == Pattern::Splat && (0..dims.len()).any(|d| moves(&self.access, dims, d)))
    }

    /// A position: an access of which only the index matters.
    pub fn position(name: String, a: &Access, dims: &[usize], lanes: Lanes) -> Use {
        let pattern = match pattern(a, dims, lanes) {
            Pattern::Vec => Pattern::Step,
            Pattern::Whole => Pattern::Run,
            p => p,
        };
        Use { binding: usize::MAX, repr: Repr::U32, dtype: a.dtype, pattern, name, access: a.clone() }
    }

    /// What one step of an index means: elements, or vectors of four.
    fn unit(&self) -> isize {
        if matches!(self.pattern, Pattern::Vec | Pattern::Whole) { 4 } else { 1 }
    }

    pub fn offset(&self, block: &mut Block) -> String {
        block.int(&self.name, self.access.offset / self.unit())
    }

    /// The distance of the four elements of a step.
    pub fn step(&self, block: &mut Block, lanes: Lanes) -> String {
        let Lanes::Along(lane) = lanes else { return "0u".into() };
        block.int(format!("{}_step", self.name), self.access.strides[lane])
    }

    /// ` + c * stride` for each of `range` that moves the access. `coord` names coordinates.
    pub fn terms(&self, block: &mut Block, dims: &[usize], lanes: Lanes, range: Range<usize>, coord: &dyn Fn(usize) -> String) -> String {
        let mut out = String::new();
        for d in range.filter(|&d| moves(&self.access, dims, d)) {
            // The lane dimension's coordinate counts fours.
            let (stride, c) = match lanes {
                Lanes::Along(lane) if lane == d && self.pattern == Pattern::Splat => continue,
                Lanes::Along(lane) if lane == d => (self.access.strides[d] * 4 / self.unit(), coord(d)),
                _ => (self.access.strides[d] / self.unit(), coord(d)),
            };
            if stride == 1 {
                write!(out, " + {c}").unwrap();
            } else {
                let s = block.int(format!("{}_{d}", self.name), stride);
                write!(out, " + {c} * {s}").unwrap();
            }
        }
        out
    }

    /// The alias of four (or one) elements of this type.
    pub fn alias(&self) -> &'static str {
        match self.repr {
            Repr::I32 => "VI",
            Repr::U32 => "VU",
            Repr::F32 | Repr::F16 | Repr::BF16 => "V",
        }
    }

    /// Reads at `index` (the thread's own, or per element for `Each` and `Run`).
    pub fn load(&self, b: &Bindings, index: &str, step: &str, each: &dyn Fn(u32) -> String) -> String {
        let at = |i: &str| b.at(self.binding, self.repr, i);
        let alias = self.alias();
        match self.pattern {
            Pattern::One => at(index),
            Pattern::Splat => format!("{alias}({})", at(index)),
            Pattern::Whole | Pattern::Vec => b.vec(self.binding, self.repr, index),
            Pattern::Step => {
                let [x, y, z, w] = [0, 1, 2, 3].map(|k| at(&lane_index(index, step, k)));
                format!("{alias}({x}, {y}, {z}, {w})")
            }
            Pattern::Run | Pattern::Each => {
                let [x, y, z, w] = [0, 1, 2, 3].map(|k| at(&each(k)));
                format!("{alias}({x}, {y}, {z}, {w})")
            }
        }
    }
}

/// Element `k` of a step.
pub(super) fn lane_index(index: &str, step: &str, k: u32) -> String {
    match k {
        0 => index.to_string(),
        1 => format!("{index} + {step}"),
        _ => format!("{index} + {k}u * {step}"),
    }
}

/// Coordinates of a linear index by repeated division, last dimension first: `let c1 = ..; let c0 = ..;`.
pub(super) fn coordinates(
    out: &mut String,
    block: &mut Block,
    prefix: &str,
    index: &str,
    dims: &[usize],
    lanes: Lanes,
    range: Range<usize>,
) {
    let mut rest = index.to_string();
    for d in range.clone().rev() {
        if d == range.start {
            writeln!(out, "    let {prefix}{d} = {rest};").unwrap();
            break;
        }
        let size = if lanes == Lanes::Along(d) { dims[d] / 4 } else { dims[d] };
        let n = block.int(format!("n{d}"), size as isize);
        writeln!(out, "    let {prefix}{d} = {rest} % {n};\n    let {prefix}{d}_rest = {rest} / {n};").unwrap();
        rest = format!("{prefix}{d}_rest");
    }
}
