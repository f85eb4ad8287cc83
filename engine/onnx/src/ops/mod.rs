//! The operators: one table, a family a file.
//!
//! A row names an operator and the first version of its domain's operator set that it holds for; of several rows the latest
//! that is not too new counts. Where versions differ in details, the function asks for [`Call::opset`].

pub(crate) mod attention;
pub(crate) mod contrib;
pub(crate) mod control;
pub(crate) mod convert;
pub(crate) mod convolution;
pub(crate) mod image;
pub(crate) mod index;
pub(crate) mod learned;
pub(crate) mod loss;
pub(crate) mod maths;
pub(crate) mod nn;
pub(crate) mod quantised;
pub(crate) mod recurrent;
pub(crate) mod reduce;
pub(crate) mod resize;
pub(crate) mod sequence;
pub(crate) mod shape;
pub(crate) mod signal;
pub(crate) mod source;
pub(crate) mod text;

use taper::Error;

use crate::call::{Call, Out};

/// One row.
#[derive(Debug)]
pub(crate) struct Operator {
    pub domain: &'static str,
    pub name: &'static str,
    /// The first operator set.
    pub since: i64,
    pub run: fn(&Call<'_>) -> Out,
    /// It moves the first input's values and makes no new ones, so that they keep their type.
    pub moves: bool,
}

/// A row of `ai.onnx`.
const fn op(name: &'static str, since: i64, run: fn(&Call<'_>) -> Out) -> Operator {
    Operator { domain: "", name, since, run, moves: false }
}

/// A row of `ai.onnx` that only moves values.
const fn moves(name: &'static str, since: i64, run: fn(&Call<'_>) -> Out) -> Operator {
    Operator { domain: "", name, since, run, moves: true }
}

/// A row of another domain.
const fn of(domain: &'static str, name: &'static str, run: fn(&Call<'_>) -> Out) -> Operator {
    Operator { domain, name, since: 1, run, moves: false }
}

static FAMILIES: [&[Operator]; 20] = [
    attention::TABLE,
    contrib::TABLE,
    control::TABLE,
    convert::TABLE,
    convolution::TABLE,
    image::TABLE,
    index::TABLE,
    learned::TABLE,
    loss::TABLE,
    maths::TABLE,
    nn::TABLE,
    quantised::TABLE,
    recurrent::TABLE,
    reduce::TABLE,
    resize::TABLE,
    sequence::TABLE,
    shape::TABLE,
    signal::TABLE,
    source::TABLE,
    text::TABLE,
];

/// All rows.
pub(crate) fn all() -> impl Iterator<Item = &'static Operator> {
    FAMILIES.iter().flat_map(|rows| rows.iter())
}

/// The row of an operator in a version of its domain.
pub(crate) fn find(domain: &str, name: &str, opset: i64) -> Option<&'static Operator> {
    all().filter(|op| op.domain == domain && op.name == name && op.since <= opset.max(1)).max_by_key(|op| op.since)
}

static NONE: Operator = of("", "", |_| Err(Error::unsupported("onnx", "no such operator")));

/// A row that stands for an operator that does not exist.
pub(crate) fn none() -> &'static Operator {
    &NONE
}
