//! Sequences and optionals.

use taper::{DType, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::host::{Data, Host};
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("ConcatFromSequence", 11, concat),
    op("Optional", 15, |c| one(if c.has(0) { c.value(0)?.clone() } else { Value::None })),
    op("OptionalGetElement", 15, |c| match c.value(0)? {
        Value::None => Err(c.error("the optional is empty")),
        value => one(value.clone()),
    }),
    op("OptionalHasElement", 15, |c| {
        let has = c.has(0) && !matches!(c.value(0)?, Value::None);
        one(Host::of(DType::Bool, Vec::new(), Data::Ints(vec![has.into()])))
    }),
    op("SequenceAt", 11, |c| {
        let s = c.value(0)?.sequence()?;
        one(s[place(c, s.len(), c.integer(1)?)?].clone())
    }),
    op("SequenceConstruct", 11, |c| one(Value::Sequence((0..c.inputs.len()).map(|i| c.value(i).cloned()).collect::<Result<_>>()?))),
    op("SequenceEmpty", 11, |_| one(Value::Sequence(Vec::new()))),
    op("SequenceErase", 11, |c| {
        let mut s = c.value(0)?.sequence()?.to_vec();
        let at = if c.has(1) { c.integer(1)? } else { -1 };
        s.remove(place(c, s.len(), at)?);
        one(Value::Sequence(s))
    }),
    op("SequenceInsert", 11, |c| {
        let mut s = c.value(0)?.sequence()?.to_vec();
        // Behind the last one, too.
        let at = if c.has(2) { c.integer(2)? } else { s.len() as i64 };
        let at = if at == s.len() as i64 { s.len() } else { place(c, s.len(), at)? };
        s.insert(at, c.value(1)?.clone());
        one(Value::Sequence(s))
    }),
    op("SequenceLength", 11, |c| one(Host::int(c.value(0)?.sequence()?.len() as i64))),
    op("SplitToSequence", 11, split),
];

/// A position in a sequence, from the front.
fn place(c: &Call<'_>, n: usize, at: i64) -> Result<usize> {
    let place = if at < 0 { at + n as i64 } else { at };
    usize::try_from(place).ok().filter(|&p| p < n).ok_or_else(|| c.error(format!("position {at} of a sequence of {n}")))
}

fn concat(c: &Call<'_>) -> Out {
    let all = c.value(0)?.sequence()?.iter().map(|v| v.tensor(c.device)).collect::<Result<Vec<_>>>()?;
    let rank = all.first().map_or(0, Tensor::rank);
    if c.flag("new_axis", false)? {
        let dim = c.dim(c.int("axis", 0)?, rank + 1)?;
        return one(Tensor::stack(&all, dim as isize)?);
    }
    one(Tensor::cat(&all, c.dim(c.int("axis", 0)?, rank)? as isize)?)
}

fn split(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", 0)?, x.rank())? as isize;
    let n = x.shape()[dim as usize];
    let parts = match c.has(1) {
        // Slices of one, without their dimension unless it is kept.
        false => {
            let parts = x.split(1, dim)?;
            if c.flag("keepdims", true)? { parts } else { parts.iter().map(|p| p.squeeze(dim)).collect::<Result<_>>()? }
        }
        true if c.array(1)?.shape().is_empty() => {
            let size = c.sizes(&[c.integer(1)?])?[0].max(1);
            x.split_sizes(&(0..n.div_ceil(size)).map(|i| size.min(n - i * size)).collect::<Vec<_>>(), dim)?
        }
        true => x.split_sizes(&c.sizes(&c.ints(1)?)?, dim)?,
    };
    one(Value::Sequence(parts.into_iter().map(Value::from).collect()))
}
