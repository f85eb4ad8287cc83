//! A table of vectors, looked up by index.

use crate::Module;
use crate::autograd::no_grad;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Param, init};

/// Row `weight[i]` for each index `i` of the input.
///
/// Shapes: input `[..]` of integers, output `[.., dim]`; `weight` `[count, dim]`, standard normal at first.
#[derive(Module, Debug)]
pub struct Embedding {
    pub weight: Param,
    padding_idx: Option<usize>,
}

impl Embedding {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(count: usize, dim: usize, options: impl Into<TensorOptions>) -> Result<Embedding> {
        Ok(Embedding { weight: Param::new(&init::normal(&[count, dim], 0.0, 1.0, options)?)?, padding_idx: None })
    }

    /// An embedding whose row `padding_idx` starts at zero and gets no gradient.
    ///
    /// # Errors
    /// `padding_idx` is out of range.
    pub fn with_padding(count: usize, dim: usize, padding_idx: usize, options: impl Into<TensorOptions>) -> Result<Embedding> {
        if padding_idx >= count {
            return Err(Error::argument("Embedding", format!("padding_idx {padding_idx} is outside the {count} rows")));
        }
        let embedding = Embedding::new(count, dim, options)?;
        let weight = &embedding.weight;
        let masked = no_grad(|| {
            let rows = Tensor::arange(0, count as i64, 1, weight.device())?.reshape([count as isize, 1])?;
            weight.masked_fill(&rows.eq(padding_idx as i64)?, 0.0)
        })?;
        weight.set(&masked)?;
        Ok(Embedding { padding_idx: Some(padding_idx), ..embedding })
    }

    /// # Errors
    /// The input is not of integers; an index is out of range.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.weight.embedding(x, self.padding_idx.map(|i| i as isize))
    }
}

layers!(Embedding);
