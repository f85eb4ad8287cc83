//! Multi-head attention.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::{Linear, Param, Training, init};

/// Several scaled-dot-product attentions in parallel, each over its share of the features.
///
/// Names and layouts are PyTorch's: `in_proj_weight` holds query, key and value projections one above the other.
/// Sequences come as `[L, N, E]`, or `[N, L, E]` with [`batch_first`](MultiheadAttentionBuilder::batch_first), or without
/// a batch as `[L, E]`.
#[derive(Module, Debug)]
pub struct MultiheadAttention {
    pub in_proj_weight: Param,
    pub in_proj_bias: Option<Param>,
    pub out_proj: Linear,
    training: Training,
    embed: usize,
    heads: usize,
    dropout: f64,
    batch_first: bool,
}

/// Builds a [`MultiheadAttention`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct MultiheadAttentionBuilder {
    embed: usize,
    heads: usize,
    dropout: f64,
    bias: bool,
    batch_first: bool,
}

impl MultiheadAttentionBuilder {
    /// The probability with which attention weights are dropped while training.
    pub fn dropout(mut self, p: f64) -> Self {
        self.dropout = p;
        self
    }

    pub fn bias(mut self, bias: bool) -> Self {
        self.bias = bias;
        self
    }

    /// Sequences are `[N, L, E]` instead of `[L, N, E]`.
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }

    /// # Errors
    /// The heads do not divide the features; the device lacks the type or the memory.
    pub fn build(self, options: impl Into<TensorOptions>) -> Result<MultiheadAttention> {
        let MultiheadAttentionBuilder { embed, heads, dropout, bias, batch_first } = self;
        if heads == 0 || embed % heads != 0 {
            return Err(Error::argument("MultiheadAttention", format!("{heads} heads do not divide {embed} features")));
        }
        let options = options.into();
        let in_proj_weight = Param::new(&init::xavier_uniform(&[3 * embed, embed], 1.0, options.clone())?)?;
        let mut out_proj = Linear::no_bias(embed, embed, options.clone())?;
        let mut in_proj_bias = None;
        if bias {
            in_proj_bias = Some(init::constant(&[3 * embed], 0.0, &options)?);
            out_proj.bias = Some(init::constant(&[embed], 0.0, &options)?);
        }
        Ok(MultiheadAttention { in_proj_weight, in_proj_bias, out_proj, training: Training::default(), embed, heads, dropout, batch_first })
    }
}

impl MultiheadAttention {
    pub fn builder(embed: usize, heads: usize) -> MultiheadAttentionBuilder {
        MultiheadAttentionBuilder { embed, heads, dropout: 0.0, bias: true, batch_first: false }
    }

    /// Attends from `query` to `key` and `value`.
    ///
    /// `mask` broadcasts to `[N, heads, L, S]`: of `bool`, `true` lets attend (as in `scaled_dot_product_attention`); of
    /// floats, it is added to the scores. `causal` hides what comes later.
    ///
    /// # Errors
    /// Shapes that do not fit each other or the features.
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>, causal: bool) -> Result<Tensor> {
        let e = self.embed;
        let [q, k, v] = if query.ptr_eq(key) && key.ptr_eq(value) {
            let qkv = query.linear(&self.in_proj_weight, self.in_proj_bias.as_deref())?;
            let part = |i: usize| qkv.narrow(-1, i * e, e);
            [part(0)?, part(1)?, part(2)?]
        } else {
            let project = |x: &Tensor, i: usize| {
                let b = self.in_proj_bias.as_ref().map(|b| b.narrow(0, i * e, e)).transpose()?;
                x.linear(&self.in_proj_weight.narrow(0, i * e, e)?, b.as_ref())
            };
            [project(query, 0)?, project(key, 1)?, project(value, 2)?]
        };
        let p = if self.training.get() { self.dropout } else { 0.0 };
        let [q, k, v] = [self.split(&q)?, self.split(&k)?, self.split(&v)?];
        let y = q.scaled_dot_product_attention(&k, &v, mask, p, causal, None)?;
        self.out_proj.forward(&self.join(&y, query)?)
    }

    /// A sequence attends to itself.
    ///
    /// # Errors
    /// Shapes that do not fit the features.
    pub fn self_attention(&self, x: &Tensor, causal: bool) -> Result<Tensor> {
        self.forward(x, x, x, None, causal)
    }

    /// `[N, L, E]` or `[L, N, E]` as `[N, heads, L, E / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (h, d) = (self.heads as isize, (self.embed / self.heads) as isize);
        let shape: Vec<isize> = x.shape().iter().map(|&s| s as isize).collect();
        match (&shape[..], self.batch_first) {
            (&[l, _], _) => x.reshape([1, l, h, d])?.permute([0, 2, 1, 3]),
            (&[n, l, _], true) => x.reshape([n, l, h, d])?.permute([0, 2, 1, 3]),
            (&[l, n, _], false) => x.reshape([l, n, h, d])?.permute([1, 2, 0, 3]),
            _ => Err(Error::argument("MultiheadAttention", format!("a sequence has 2 or 3 dimensions, the input is {:?}", x.shape()))),
        }
    }

    /// The reverse of [`split`](Self::split), in the shape of `query`.
    fn join(&self, y: &Tensor, query: &Tensor) -> Result<Tensor> {
        let shape: Vec<isize> = query.shape().iter().map(|&s| s as isize).collect();
        let sequence_first = query.rank() == 3 && !self.batch_first;
        y.permute(if sequence_first { [2, 0, 1, 3] } else { [0, 2, 1, 3] })?.reshape(&shape)
    }
}
