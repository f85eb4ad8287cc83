//! What large language models are made of beyond PyTorch's own layers: gates, gated feed-forward networks, shared heads.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::module::Layer;
use super::sequential::layers;
use super::{Buffer, Linear, Param, RotaryEmbedding};

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

/// `x sigmoid(W x + b)`: a gate over the features as they are. `GLU` instead halves them, and gates one half by the other.
#[derive(Module, Debug)]
pub struct GatedLinearUnit {
    pub linear: Linear,
}

impl GatedLinearUnit {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(features: usize, options: impl Into<TensorOptions>) -> Result<GatedLinearUnit> {
        Ok(GatedLinearUnit { linear: Linear::new(features, features, options)? })
    }

    /// # Errors
    /// Another number of features.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.mul(&self.linear.forward(x)?.sigmoid()?)
    }
}

/// `x sigmoid(beta x)`, whose `beta` is learned or stays what it is; either way the state dict has it.
#[derive(Module, Debug)]
pub struct Swish {
    #[module(rename = "beta")]
    learned: Option<Param>,
    #[module(rename = "beta")]
    fixed: Option<Buffer>,
}

impl Swish {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(beta: f64, learnable: bool, options: impl Into<TensorOptions>) -> Result<Swish> {
        let beta = Tensor::full([1], beta, options)?;
        Ok(match learnable {
            true => Swish { learned: Some(Param::new(&beta)?), fixed: None },
            false => Swish { learned: None, fixed: Some(Buffer::new(beta)) },
        })
    }

    /// # Errors
    /// The element type does not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match (&self.learned, &self.fixed) {
            (Some(beta), _) => x.mul(&x.mul(&**beta)?.sigmoid()?),
            (None, Some(beta)) => x.mul(&x.mul(&**beta)?.sigmoid()?),
            (None, None) => x.silu(),
        }
    }
}

layers!(SwiGLU, GatedLinearUnit, Swish);

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
