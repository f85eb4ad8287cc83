//! A table of vectors, combined bag by bag.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::{self, BagMode, Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Embedding, Param};

/// Sum, mean or maximum of the rows `weight[i]` for the indices of each bag.
///
/// Shapes: indices `[bags, size]`, or `[indices]` with offsets `[bags]`; output `[bags, dim]`; `weight` `[count, dim]`.
#[derive(Module, Debug)]
pub struct EmbeddingBag {
    pub weight: Param,
    mode: BagMode,
    padding_idx: Option<usize>,
    include_last_offset: bool,
    scale_grad_by_freq: bool,
    /// The largest norm of a row, and which norm.
    max_norm: Option<(f64, f64)>,
}

impl EmbeddingBag {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(count: usize, dim: usize, mode: BagMode, options: impl Into<TensorOptions>) -> Result<EmbeddingBag> {
        let weight = Embedding::new(count, dim, options)?.weight;
        Ok(EmbeddingBag { weight, mode, padding_idx: None, include_last_offset: false, scale_grad_by_freq: false, max_norm: None })
    }

    /// The row `padding_idx` starts at zero, counts as missing and gets no gradient.
    ///
    /// # Errors
    /// `padding_idx` is out of range; `weight` cannot be written.
    pub fn padding_idx(mut self, padding_idx: usize) -> Result<EmbeddingBag> {
        let (rows, dim) = (self.weight.shape()[0], self.weight.shape()[1]);
        if padding_idx >= rows {
            return Err(Error::argument("EmbeddingBag", format!("padding_idx {padding_idx} is outside the {rows} rows")));
        }
        self.weight = Embedding::with_padding(rows, dim, padding_idx, self.weight.options())?.weight;
        self.padding_idx = Some(padding_idx);
        Ok(self)
    }

    /// The last offset says where the last bag ends.
    pub fn include_last_offset(mut self, on: bool) -> EmbeddingBag {
        self.include_last_offset = on;
        self
    }

    /// Gradients of a row are divided by how often it occurs.
    pub fn scale_grad_by_freq(mut self, on: bool) -> EmbeddingBag {
        self.scale_grad_by_freq = on;
        self
    }

    /// Scales the rows that are looked up down to a `p`-norm of at most `max_norm`, in place.
    pub fn max_norm(mut self, max_norm: f64, p: f64) -> EmbeddingBag {
        self.max_norm = Some((max_norm, p));
        self
    }

    /// Bags are the rows of the input.
    ///
    /// # Errors
    /// As [`forward_with`](Self::forward_with).
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(x, None, None)
    }

    /// # Errors
    /// Indices, offsets or weights of samples of another type or shape; an index out of range.
    pub fn forward_with(&self, x: &Tensor, offsets: Option<&Tensor>, per_sample_weights: Option<&Tensor>) -> Result<Tensor> {
        if let Some((max_norm, p)) = self.max_norm {
            self.weight.embedding_renorm_(x, max_norm, p)?;
        }
        let how = tensor::EmbeddingBag {
            mode: self.mode,
            offsets,
            include_last_offset: self.include_last_offset,
            per_sample_weights,
            padding_idx: self.padding_idx.map(|i| i as isize),
            scale_grad_by_freq: self.scale_grad_by_freq,
        };
        self.weight.embedding_bag(x, &how)
    }
}

layers!(EmbeddingBag);
