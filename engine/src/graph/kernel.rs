//! Kernels: what a plan is made of, the same for every runtime.
//!
//! The scheduler turns groups of nodes into kernels; a runtime executes them. A [`Fused`] kernel is a
//! small straight-line program over an iteration space, with reductions over its inner dimensions; a
//! [`ComputeKernel`] is one hand-written operator followed by an optional elementwise program on its result.

use std::fmt::Debug;

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Combine, Op, OpRef};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::shape::{Layout, Strides};

/// A value of a plan: an external input or the result of a kernel. Which buffer holds it is the memory
/// planner's business.
pub(crate) type ValueId = usize;
/// A register: the index of the instruction that computes it.
pub(crate) type RegId = usize;

/// How a kernel reads or writes a value: element `c` of the iteration space at `offset + c . strides`.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    pub value: ValueId,
    pub dtype: DType,
    pub strides: Strides,
    pub offset: isize,
}

#[derive(Debug, Clone)]
pub(crate) enum Instr {
    /// Reads `inputs[i]`.
    Load(usize),
    /// The address that `positions[i]` has, as an integer, instead of what lies there.
    Position(usize),
    /// The result of the hand-written kernel this program follows.
    Acc,
    /// Run-time scalar `i` of the kernel.
    Scalar(usize),
    /// An elementwise operator; `args` hold its inputs, then its scalars.
    Apply { op: OpRef, args: SmallVec<[RegId; 4]> },
    /// Combines a register over all inner dimensions; the result is one value a row.
    Reduce { combine: Combine, arg: RegId },
}

/// Where a run-time scalar comes from: scalar `index` of node `node` of the graph.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScalarRef {
    pub node: usize,
    pub index: usize,
    pub dtype: DType,
}

/// A fused program: for each row (the outer dimensions) and each column (the `inner` last dimensions).
#[derive(Debug, Clone)]
pub(crate) struct Fused {
    /// The iteration space, collapsed as far as all accesses allow; outer dimensions first.
    pub dims: SmallVec<[usize; 6]>,
    /// How many trailing dimensions a `Reduce` runs over. 0: purely elementwise.
    pub inner: usize,
    pub inputs: Vec<Access>,
    /// Affine positions, for `Instr::Position` (the value id is unused).
    pub positions: Vec<Access>,
    pub scalars: Vec<ScalarRef>,
    pub instrs: Vec<Instr>,
    /// The element type of each register; what is stored in it is rounded to that type.
    pub dtypes: Vec<DType>,
    /// Depends on the column, or only on the row (reductions and what is computed from them).
    pub per_row: Vec<bool>,
    pub stores: Vec<Store>,
}

/// A register written to a value: once a row or to every column, see [`Fused::once_a_row`].
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub reg: RegId,
    pub to: Access,
}

impl Fused {
    pub fn rows(&self) -> usize {
        self.dims[..self.dims.len() - self.inner].iter().product()
    }
    pub fn cols(&self) -> usize {
        self.dims[self.dims.len() - self.inner..].iter().product()
    }
    /// Whether a store writes one value a row: a register of the row, not repeated along the row's columns.
    pub fn once_a_row(&self, store: &Store) -> bool {
        let columns = self.dims.len() - self.inner..self.dims.len();
        self.per_row[store.reg] && columns.into_iter().all(|d| store.to.strides[d] == 0 || self.dims[d] == 1)
    }
    pub fn has_reduce(&self) -> bool {
        self.instrs.iter().any(|i| matches!(i, Instr::Reduce { .. }))
    }
}

/// A hand-written operator in a plan.
#[derive(Debug, Clone)]
pub(crate) struct ComputeKernel {
    pub op: OpRef,
    /// The operator's own run-time scalars.
    pub scalars: Vec<ScalarRef>,
    pub inputs: Vec<Operand>,
    /// What the operator computes; stored only if `output.value` is given.
    pub output: Operand,
    /// The output is stored as it is; `false` when the epilogue alone is.
    pub store_output: bool,
    /// An elementwise program over the output's shape (`Instr::Acc` is the operator's result).
    pub epilogue: Option<Fused>,
}

#[derive(Debug, Clone)]
pub(crate) struct Operand {
    pub value: ValueId,
    pub dtype: DType,
    pub layout: Layout,
}

#[derive(Debug, Clone)]
pub(crate) enum Kernel {
    Fused(Fused),
    Compute(ComputeKernel),
    /// Copies the first `numel` elements of a value, byte by byte, to where element `at` of another begins.
    Copy {
        from: ValueId,
        to: ValueId,
        at: usize,
        numel: usize,
        dtype: DType,
    },
}

/// What a hand-written operator gives each runtime.
pub trait Compute: Op {
    /// Computes the result on the CPU. Floats arrive as `f32` or `f64` (f16 and bf16 widened by the caller), and the
    /// output is zero-filled or holds garbage: every element must be written.
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()>;

    /// The launches that compute it on a GPU, or `None`: then it runs on the CPU, as a host segment of the plan.
    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches>;

    /// The kernel writes its result only through `store`/`store4`, so that an elementwise program can follow in place.
    fn epilogue(&self) -> bool {
        false
    }

    /// What it reports of data it cannot work with.
    fn fault(&self) -> Fault {
        Fault::Index(self.name())
    }

    /// Buffers that its last launch binds beside inputs and result: scratch buffers, the fault word.
    fn own_buffers(&self) -> usize {
        1
    }

    /// Which inputs may be any strided layout; the others are made contiguous first. One bit an input.
    fn strided(&self) -> u32 {
        0
    }

    /// Wants f16/bf16 inputs as they are on the CPU (moves elements instead of computing with them).
    fn raw(&self) -> bool {
        false
    }
}

/// What is wrong with data, and who says so: found where the data is, an error for the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// An index is out of range.
    Index(&'static str),
    /// A value is not what an operator requires, and what that is.
    Value(&'static str, &'static str),
}

impl Fault {
    /// The error about one element: its value (an `i32` index, or an `f32`), its position, and the size that was looked at.
    pub fn error(self, value: u32, position: usize, size: usize) -> Error {
        match self {
            Fault::Index(op) => Error::index(op, format!("index {} at position {position} is out of range for size {size}", value as i32)),
            Fault::Value(op, text) => Error::argument(op, format!("{text}, but element {position} is {}", f32::from_bits(value))),
        }
    }
}

/// An operand as a GPU kernel sees it.
#[derive(Debug, Clone, Copy)]
pub struct GpuOperand<'a> {
    pub dtype: DType,
    pub layout: &'a Layout,
}

/// What a hand-written operator runs on a GPU: some launches, in order, sharing scratch buffers.
#[derive(Debug, Clone, Default)]
pub struct Launches {
    pub launches: Vec<Launch>,
    /// Sizes of scratch buffers in 32-bit words.
    pub scratch: Vec<usize>,
}

/// One dispatch of a kernel file.
///
/// For each read `("a", ..)` the composer declares the binding and a function `a(i: u32) -> f32` (or
/// `a4(i: u32) -> vec4<f32>` for [`Read::vec4`]: `i` counts vectors), which converts from the storage type (`i32`, `u32`
/// for integers). Results go through `store(i: u32, v: f32)` or `store4(i: u32, v: vec4<f32>)` (`i` counts vectors),
/// where a fused epilogue runs; into scratch `s0` through `s0_store(i, v)`.
/// The file declares `struct Params` with `u32`/`i32`/`f32` fields only and
/// `@group(1) @binding(0) var<uniform> p: Params;`.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The file's stem in `shaders/`.
    pub shader: &'static str,
    /// Lines of the prelude: `const NAME: u32 = value;`.
    pub consts: Vec<(&'static str, u32)>,
    pub reads: Vec<Read>,
    pub write: Write,
    /// Words of `Params`.
    pub params: Vec<u32>,
    /// (word, scalar): run-time scalars of the operator that are put into the params as `f32`/`i32`/`u32`.
    pub patches: Vec<(usize, usize)>,
    pub groups: [u32; 3],
}

#[derive(Debug, Clone)]
pub struct Read {
    pub name: &'static str,
    pub from: Source,
    /// The binding is an array of 4-vectors.
    pub vec4: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Input(usize),
    Scratch(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// The operator's result, element by element: `store`.
    Output,
    /// The operator's result, four at a time: `store4`.
    Output4,
    /// A scratch buffer, read_write: `fn load_s(i) -> f32` and `fn store_s(i, v: f32)`.
    Scratch(usize),
}

impl Read {
    pub fn input(name: &'static str, i: usize) -> Read {
        Read { name, from: Source::Input(i), vec4: false }
    }
    pub fn input4(name: &'static str, i: usize) -> Read {
        Read { name, from: Source::Input(i), vec4: true }
    }
    pub fn scratch(name: &'static str, i: usize) -> Read {
        Read { name, from: Source::Scratch(i), vec4: false }
    }
}
