//! The primitives: one file each (or one table of kin).

mod op;
pub mod registry;

mod assign;
mod attention;
mod binary;
mod cast;
mod compare;
mod conv;
mod ctc;
mod decompose;
mod elementwise;
mod expect;
mod fastmath;
mod fft;
mod gather;
mod lift;
mod matmul;
mod numeric;
mod pack;
mod pool;
mod random;
mod reduce;
mod resample;
mod scan;
mod scatter;
mod select;
mod sort;
mod source;
mod special;
mod unary;

pub(crate) use op::OpRef;
pub use op::{Class, Combine, Grads, Kind, Map, Op, Reduction, Saves, Spec};

pub(crate) use assign::*;
pub(crate) use attention::*;
pub(crate) use binary::*;
pub(crate) use cast::*;
pub(crate) use compare::*;
pub(crate) use conv::*;
pub(crate) use ctc::*;
pub(crate) use decompose::*;
#[cfg(test)]
pub(crate) use elementwise::Elementwise;
pub(crate) use elementwise::Function;
pub(crate) use expect::*;
pub(crate) use fft::*;
pub(crate) use gather::*;
pub(crate) use lift::*;
pub(crate) use matmul::*;
pub(crate) use numeric::*;
pub(crate) use pack::pack;
pub(crate) use pool::*;
pub(crate) use random::*;
pub(crate) use reduce::*;
pub(crate) use resample::*;
pub(crate) use scan::*;
pub(crate) use scatter::*;
pub(crate) use select::*;
pub(crate) use sort::*;
pub(crate) use source::*;
pub(crate) use special::*;
pub(crate) use unary::*;
