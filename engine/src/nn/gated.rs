//! What large language models are made of beyond PyTorch's own layers: gated feed-forward networks, shared heads, experts.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Linear, RotaryEmbedding};

/// `W2 (silu(W1 x) * W3 x)`: the feed-forward network of Llama and its kin (Shazeer, "GLU variants improve transformer").
#[derive(Module, Debug)]
pub struct SwiGLU {
    pub w1: Linear,
    pub w2: Linear,
    pub w3: Linear,
}

impl SwiGLU {
    /// From `features` through `hidden` and back, without biases.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(features: usize, hidden: usize, options: impl Into<TensorOptions>) -> Result<SwiGLU> {
        let options = options.into();
        let linear = |i, o| Linear::no_bias(i, o, options.clone());
        Ok(SwiGLU { w1: linear(features, hidden)?, w2: linear(hidden, features)?, w3: linear(features, hidden)? })
    }

    /// # Errors
    /// Another number of features.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.w2.forward(&self.w1.forward(x)?.silu()?.mul(&self.w3.forward(x)?)?)
    }
}

layers!(SwiGLU);

/// Self-attention in which several query heads share a head of keys and values (Ainslie et al.); with rotary positions on demand.
#[derive(Module, Debug)]
pub struct GroupedQueryAttention {
    pub q_proj: Linear,
    pub k_proj: Linear,
    pub v_proj: Linear,
    pub o_proj: Linear,
    pub rotary: Option<RotaryEmbedding>,
    heads: usize,
    kv_heads: usize,
}

impl GroupedQueryAttention {
    /// `heads` of queries over `kv_heads` of keys and values, without biases.
    ///
    /// # Errors
    /// Heads that do not divide the features or each other; the device lacks the type or the memory.
    pub fn new(features: usize, heads: usize, kv_heads: usize, options: impl Into<TensorOptions>) -> Result<GroupedQueryAttention> {
        if heads == 0 || kv_heads == 0 || features % heads != 0 || heads % kv_heads != 0 {
            let why = format!("{heads} heads should divide {features} features, and {kv_heads} heads of keys should divide them");
            return Err(Error::argument("GroupedQueryAttention", why));
        }
        let (options, d) = (options.into(), features / heads);
        let linear = |i, o| Linear::no_bias(i, o, options.clone());
        Ok(GroupedQueryAttention {
            q_proj: linear(features, features)?,
            k_proj: linear(features, kv_heads * d)?,
            v_proj: linear(features, kv_heads * d)?,
            o_proj: linear(features, features)?,
            rotary: None,
            heads,
            kv_heads,
        })
    }

    /// The same with rotary positions of this base.
    ///
    /// # Errors
    /// An odd number of features a head.
    pub fn rotary(mut self, base: f64) -> Result<GroupedQueryAttention> {
        let d = self.q_proj.weight.shape()[0] / self.heads;
        self.rotary = Some(RotaryEmbedding::new(d, base)?);
        Ok(self)
    }

    /// `x` `[N, L, features]`; `mask` and `causal` as in `scaled_dot_product_attention`.
    ///
    /// # Errors
    /// Shapes that do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, mask: Option<&Tensor>, causal: bool) -> Result<Tensor> {
        let &[n, l, features] = x.shape() else {
            return Err(Error::argument("GroupedQueryAttention", format!("expects [N, L, features], not {:?}", x.shape())));
        };
        let d = self.q_proj.weight.shape()[0] / self.heads;
        let split = |t: Tensor, heads: usize| t.reshape([n, l, heads, d])?.transpose(1, 2);
        let mut q = split(self.q_proj.forward(x)?, self.heads)?;
        let mut k = split(self.k_proj.forward(x)?, self.kv_heads)?;
        let v = split(self.v_proj.forward(x)?, self.kv_heads)?;
        if let Some(rotary) = &self.rotary {
            (q, k) = (rotary.forward(&q, 0)?, rotary.forward(&k, 0)?);
        }
        let y = q.scaled_dot_product_attention(&k, &v, mask, 0.0, causal, None)?;
        self.o_proj.forward(&y.transpose(1, 2)?.reshape([n, l, features])?)
    }
}

/// Each token passes the `k` experts that a router scores highest, and sees their results weighted by the softmax of those scores.
///
/// Only chosen experts compute: which tokens an expert gets is read back from the device.
#[derive(Module, Debug)]
pub struct MixtureOfExperts<E: Layer> {
    pub gate: Linear,
    pub experts: Vec<E>,
    k: usize,
}

impl<E: Layer> MixtureOfExperts<E> {
    /// Over these experts from `features` to `features`.
    ///
    /// # Errors
    /// No experts, or not as many as `k`; the device lacks the type or the memory.
    pub fn new(features: usize, experts: Vec<E>, k: usize, options: impl Into<TensorOptions>) -> Result<MixtureOfExperts<E>> {
        if k == 0 || experts.len() < k {
            return Err(Error::argument("MixtureOfExperts", format!("cannot choose {k} of {} experts", experts.len())));
        }
        Ok(MixtureOfExperts { gate: Linear::no_bias(features, experts.len(), options)?, experts, k })
    }

    /// The result for `x` `[.., features]`, and the loss that keeps experts evenly busy: `experts * sum(share of tokens * mean score)`
    /// (Fedus et al., "Switch transformers"), 1 at its best.
    ///
    /// # Errors
    /// Another number of features; whatever an expert reports.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor)> {
        let Some((&features, lead)) = x.shape().split_last() else {
            return Err(Error::argument("MixtureOfExperts", "the input needs features"));
        };
        let (tokens, count): (usize, usize) = (lead.iter().product(), self.experts.len());
        let rows = x.reshape([tokens, features])?;
        let scores = self.gate.forward(&rows)?;
        // The best, then the best of the others, and so on: k is small.
        let (mut left, mut chosen) = (scores.detach()?, Vec::new());
        let numbers = Tensor::arange(0, count, 1, (DType::I64, x.device()))?;
        for _ in 0..self.k {
            let best = left.argmax(Some(1), true)?;
            left = left.masked_fill(&best.eq(&numbers)?, f64::NEG_INFINITY)?;
            chosen.push(best);
        }
        let chosen = Tensor::cat(&chosen, 1)?;
        let share = scores.gather(1, &chosen)?.softmax(1)?;
        let routes: Vec<i64> = chosen.to_vec()?;
        let mut y = rows.zeros_like()?;
        let flat = share.reshape([tokens * self.k])?;
        for (e, expert) in self.experts.iter().enumerate() {
            let places: Vec<i64> = (0..routes.len() as i64).filter(|&i| routes[i as usize] == e as i64).collect();
            if places.is_empty() {
                continue;
            }
            let n = places.len();
            let own: Vec<i64> = places.iter().map(|p| p / self.k as i64).collect();
            let (places, own) = (Tensor::from_vec(places, [n], x.device())?, Tensor::from_vec(own, [n], x.device())?);
            let weight = flat.index_select(0, &places)?.unsqueeze(1)?;
            let part = expert.forward(&rows.index_select(0, &own)?)?.mul(&weight)?;
            y = y.index_add(0, &own, &part)?;
        }
        let busy: Vec<f32> =
            (0..count as i64).map(|e| routes.iter().filter(|&&r| r == e).count() as f32 / routes.len().max(1) as f32).collect();
        let busy = Tensor::from_vec(busy, [count], x.device())?;
        let balance = scores.softmax(1)?.mean(0)?.mul(&busy.to_dtype(x.dtype())?)?.sum_all()?.mul(count as f64)?;
        Ok((y.reshape(x.shape())?, balance))
    }
}
