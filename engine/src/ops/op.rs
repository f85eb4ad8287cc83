//! What an operator is: data plus a few functions.
//!
//! An operator says what shape it gives, what it saves for its gradient, and in one of four ways what
//! it computes ([`Kind`]). Nothing about an operator lives outside its file in `ops/` and, for a
//! hand-written kernel, the `.wgsl` file of the same name.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::autograd::Ctx;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::graph::kernel::Compute;
use crate::runtime::cpu::tile::Reg;
use crate::shape::Shape;
use crate::tensor::Tensor;

/// Shape and element type: what an operator knows of a tensor before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub dtype: DType,
    pub shape: Shape,
}

impl Spec {
    pub fn new(dtype: DType, shape: &[usize]) -> Spec {
        Spec { dtype, shape: shape.into() }
    }
}

/// What the gradient needs of the forward pass. Only that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Saves {
    /// One bit an input.
    pub inputs: u32,
    pub output: bool,
}

impl Saves {
    pub const NOTHING: Saves = Saves { inputs: 0, output: false };
    pub const INPUTS: Saves = Saves { inputs: u32::MAX, output: false };
    pub const OUTPUT: Saves = Saves { inputs: 0, output: true };
}

/// One gradient per input; `None` where there is none.
pub type Grads = SmallVec<[Option<Tensor>; 3]>;

/// A primitive operator.
///
/// Attributes that change the generated code go into [`attrs`](Op::attrs); numbers that only change the
/// result are [`scalars`](Op::scalars), run-time parameters that never make a new plan.
pub trait Op: Any + Debug + Send + Sync {
    /// Stable name: the registry, traces and errors use it.
    fn name(&self) -> &'static str;

    /// The result's shape and type, or why the inputs do not fit.
    fn infer(&self, inputs: &[Spec]) -> Result<Spec>;

    /// How it is computed.
    fn kind(&self) -> Kind<'_>;

    /// Appends the attributes that make another kernel: dimensions, modes, flags.
    fn attrs(&self, _key: &mut Vec<u64>) {}

    /// Run-time operands, each with the type it is computed in. In a [`Map`] they follow the inputs.
    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        SmallVec::new()
    }

    fn saves(&self) -> Saves {
        Saves::INPUTS
    }

    /// Gradients of the inputs in terms of tensors, so that they fuse and differentiate again.
    fn backward(&self, _ctx: &Ctx<'_>, _dy: &Tensor) -> Result<Grads> {
        Err(Error::autograd(self.name(), "this operator has no gradient"))
    }

    /// `false`: the result never carries a gradient (comparisons, indices).
    fn differentiable(&self) -> bool {
        true
    }
}

pub(crate) type OpRef = Arc<dyn Op>;

/// The four ways of computing something.
pub enum Kind<'a> {
    /// Elementwise: any number of inputs of one shape. Fuses with everything.
    Map(&'a dyn Map),
    /// A reduction over some dimensions, which stay with size 1.
    Reduce(Reduction<'a>),
    /// `inputs[0]` with the region `layout` (over its contiguous storage) replaced by `inputs[1]`.
    Assign(&'a crate::shape::Layout),
    /// A hand-written kernel.
    Compute(&'a dyn Compute),
    /// The bytes of `inputs[0]`, which lives on another device.
    Transfer,
}

impl Debug for Kind<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Map(op) => write!(f, "Map({})", op.name()),
            Kind::Reduce(r) => r.fmt(f),
            Kind::Assign(region) => write!(f, "Assign({region:?})"),
            Kind::Compute(op) => write!(f, "Compute({})", op.name()),
            Kind::Transfer => f.write_str("Transfer"),
        }
    }
}

/// Which dimensions are reduced, and how two elements combine.
#[derive(Debug, Clone, Copy)]
pub struct Reduction<'a> {
    pub dims: &'a [usize],
    pub combine: Combine,
}

/// How a reduction combines. `ArgMax` and `ArgMin` give the row-major index within the reduced
/// dimensions (first occurrence; a NaN wins, as in PyTorch).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Combine {
    Sum,
    Prod,
    Max,
    Min,
    ArgMax,
    ArgMin,
}

/// An elementwise operator: one result element from one element of each input.
pub trait Map: Op {
    /// Computes a tile on the CPU. `args` are the inputs, then the scalars, each a register of at least
    /// `n` elements; `out` has `n` of the result type's register class. Low-precision floats are `f32` here
    /// and all integers `i64`: the caller rounds and wraps to the real type afterwards.
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg);

    /// The WGSL expression, over values of the aliases `V` (f32), `VI` (i32), `VU` (u32), `VB` (bool), which are
    /// scalars or 4-vectors as the kernel likes: literals are written `V(1.0)`, choices `select(no, yes, cond)`.
    /// `args` are names of values; functions come from `shaders/prelude/math.wgsl`.
    fn wgsl(&self, args: &[String], inputs: &[DType], out: DType) -> String;

    /// Roughly how many additions one element costs; decides whether computing it twice beats storing it.
    fn cost(&self) -> u32 {
        1
    }

    /// Takes the element's row-major position in its own shape (a `u32`/`i64` register) as its only input: `arange`, random numbers.
    fn positional(&self) -> bool {
        false
    }
}

/// What a value is computed in: its register on the CPU, its WGSL type on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    F32,
    F64,
    Int,
    UInt,
    Bool,
}

impl DType {
    pub fn class(self) -> Class {
        match self {
            DType::F16 | DType::BF16 | DType::F32 => Class::F32,
            DType::F64 => Class::F64,
            DType::I8 | DType::I16 | DType::I32 | DType::I64 => Class::Int,
            DType::U8 | DType::U16 | DType::U32 | DType::U64 => Class::UInt,
            DType::Bool => Class::Bool,
        }
    }
}
