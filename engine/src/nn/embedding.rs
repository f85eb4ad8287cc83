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
/// Shapes: input `[..]` of integers, output `[.., dim]`; `weight` `[count, dim]`, standard normal at first. Gradients are dense:
/// [`SparseAdam`](crate::optim::SparseAdam) finds the rows that a batch used by itself.
#[derive(Module, Debug)]
pub struct Embedding {
    pub weight: Param,
    padding_idx: Option<usize>,
    /// The largest norm of a row, and which norm.
    max_norm: Option<(f64, f64)>,
    scale_grad_by_freq: bool,
}

impl Embedding {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(count: usize, dim: usize, options: impl Into<TensorOptions>) -> Result<Embedding> {
        Ok(Embedding::of(Param::new(&init::normal(&[count, dim], 0.0, 1.0, options)?)?))
    }

    fn of(weight: Param) -> Embedding {
        Embedding { weight, padding_idx: None, max_norm: None, scale_grad_by_freq: false }
    }

    /// An embedding whose row `padding_idx` starts at zero and gets no gradient.
    ///
    /// # Errors
    /// `padding_idx` is out of range.
    pub fn with_padding(count: usize, dim: usize, padding_idx: usize, options: impl Into<TensorOptions>) -> Result<Embedding> {
        let embedding = Embedding::new(count, dim, options)?.padding_idx(padding_idx)?;
        let weight = &embedding.weight;
        let masked = no_grad(|| {
            let rows = Tensor::arange(0, count as i64, 1, weight.device())?.reshape([count as isize, 1])?;
            weight.masked_fill(&rows.eq(padding_idx as i64)?, 0.0)
        })?;
        weight.set(&masked)?;
        Ok(embedding)
    }

    /// An embedding of these rows `[count, dim]`, which do not learn if `freeze`. As `torch.nn.Embedding.from_pretrained`.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::nn::Embedding; fn main() -> taper::Result<()> {
    /// let table = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu())?;
    /// let embedding = Embedding::from_pretrained(&table, true)?;
    /// assert_eq!(embedding.forward(&Tensor::new([1], &Device::cpu())?)?.to_vec::<f32>()?, [3.0, 4.0]);
    /// assert!(!embedding.weight.requires_grad());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The rows are no matrix of floats.
    pub fn from_pretrained(rows: &Tensor, freeze: bool) -> Result<Embedding> {
        if rows.rank() != 2 {
            return Err(Error::argument("Embedding", format!("rows [count, dim] are needed, not {:?}", rows.shape())));
        }
        let weight = Param::new(rows)?;
        weight.requires_grad_(!freeze)?;
        Ok(Embedding::of(weight))
    }

    /// The row `padding_idx` gets no gradient; its values stay what they are.
    ///
    /// # Errors
    /// `padding_idx` is out of range.
    pub fn padding_idx(mut self, padding_idx: usize) -> Result<Embedding> {
        let count = self.weight.shape()[0];
        if padding_idx >= count {
            return Err(Error::argument("Embedding", format!("padding_idx {padding_idx} is outside the {count} rows")));
        }
        self.padding_idx = Some(padding_idx);
        Ok(self)
    }

    /// Scales the rows that are looked up down to a `p`-norm of at most `max_norm`, in place.
    pub fn max_norm(mut self, max_norm: f64, p: f64) -> Embedding {
        self.max_norm = Some((max_norm, p));
        self
    }

    /// Gradients of a row are divided by how often it occurs.
    pub fn scale_grad_by_freq(mut self, on: bool) -> Embedding {
        self.scale_grad_by_freq = on;
        self
    }

    /// # Errors
    /// The input is not of integers; an index is out of range.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if let Some((max_norm, p)) = self.max_norm {
            self.weight.embedding_renorm_(x, max_norm, p)?;
        }
        let rows = self.weight.embedding(x, self.padding_idx.map(|i| i as isize))?;
        if self.scale_grad_by_freq { self.weight.by_frequency(&rows, x) } else { Ok(rows) }
    }
}

layers!(Embedding);
