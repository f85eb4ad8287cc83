//! Multi-head attention.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::{Linear, Param, Training, dropout, init};

const OP: &str = "MultiheadAttention";

/// Several scaled-dot-product attentions in parallel, each over its share of the features.
///
/// Names and layouts are PyTorch's: `in_proj_weight` holds query, key and value projections one above the other, or there are three
/// weights where keys or values have features of their own. Sequences come as `[L, N, E]`, or `[N, L, E]` with
/// [`batch_first`](MultiheadAttentionBuilder::batch_first), or without a batch as `[L, E]`.
#[derive(Module, Debug)]
pub struct MultiheadAttention {
    pub in_proj_weight: Option<Param>,
    pub q_proj_weight: Option<Param>,
    pub k_proj_weight: Option<Param>,
    pub v_proj_weight: Option<Param>,
    pub in_proj_bias: Option<Param>,
    /// `[1, 1, E]`: a key that every sequence has in addition.
    pub bias_k: Option<Param>,
    pub bias_v: Option<Param>,
    pub out_proj: Linear,
    training: Training,
    embed: usize,
    heads: usize,
    dropout: f64,
    zero_attn: bool,
    batch_first: bool,
}

/// Builds a [`MultiheadAttention`]; the defaults are PyTorch's.
#[derive(Debug, Clone)]
pub struct MultiheadAttentionBuilder {
    embed: usize,
    heads: usize,
    dropout: f64,
    bias: bool,
    bias_kv: bool,
    zero_attn: bool,
    kdim: usize,
    vdim: usize,
    batch_first: bool,
}

/// What a query may not attend to. Masks follow `torch.nn.MultiheadAttention`: of `bool`, `true` HIDES a key (the opposite of
/// `scaled_dot_product_attention`); of floats, they are added to the scores.
#[derive(Debug, Clone, Copy, Default)]
pub struct Masks<'a> {
    /// `[L, S]`, or `[N heads, L, S]`.
    pub attn: Option<&'a Tensor>,
    /// `[N, S]`, or `[S]` without a batch: keys that are padding.
    pub key_padding: Option<&'a Tensor>,
    /// Hides what comes after the query, if there is no mask `attn`.
    pub causal: bool,
}

/// How the weights of the attention come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Weights {
    /// Not at all; they are never stored then.
    #[default]
    None,
    /// `[N, L, S]`, their mean over the heads.
    Averaged,
    /// `[N, heads, L, S]`
    PerHead,
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

    /// A learned key and value that every sequence has in addition.
    pub fn add_bias_kv(mut self, on: bool) -> Self {
        self.bias_kv = on;
        self
    }

    /// A key and a value of zeros in addition.
    pub fn add_zero_attn(mut self, on: bool) -> Self {
        self.zero_attn = on;
        self
    }

    /// The features of keys, if not those of queries.
    pub fn kdim(mut self, features: usize) -> Self {
        self.kdim = features;
        self
    }

    /// The features of values, if not those of queries.
    pub fn vdim(mut self, features: usize) -> Self {
        self.vdim = features;
        self
    }

    /// Sequences are `[N, L, E]` instead of `[L, N, E]`.
    pub fn batch_first(mut self, on: bool) -> Self {
        self.batch_first = on;
        self
    }

    /// # Errors
    /// The heads do not divide the features; a dropout that is no probability; the device lacks the type or the memory.
    pub fn build(self, options: impl Into<TensorOptions>) -> Result<MultiheadAttention> {
        let MultiheadAttentionBuilder { embed, heads, dropout, bias, bias_kv, zero_attn, kdim, vdim, batch_first } = self;
        if heads == 0 || embed == 0 || embed % heads != 0 {
            return Err(Error::argument(OP, format!("{heads} heads do not divide {embed} features")));
        }
        if !(0.0..=1.0).contains(&dropout) {
            return Err(Error::argument(OP, format!("dropout should be a probability, not {dropout}")));
        }
        let options = options.into();
        let xavier = |rows: usize, columns: usize| Param::new(&init::xavier_uniform(&[rows, columns], 1.0, options.clone())?);
        let own = kdim != embed || vdim != embed;
        let separate = |columns: usize| if own { xavier(embed, columns).map(Some) } else { Ok(None) };
        let extra = || -> Result<Option<Param>> {
            if bias_kv { Ok(Some(Param::new(&init::xavier_normal(&[1, 1, embed], 1.0, options.clone())?)?)) } else { Ok(None) }
        };
        let mut out_proj = Linear::no_bias(embed, embed, options.clone())?;
        let mut in_proj_bias = None;
        if bias {
            in_proj_bias = Some(init::constant(&[3 * embed], 0.0, &options)?);
            out_proj.bias = Some(init::constant(&[embed], 0.0, &options)?);
        }
        Ok(MultiheadAttention {
            in_proj_weight: if own { None } else { Some(xavier(3 * embed, embed)?) },
            q_proj_weight: separate(embed)?,
            k_proj_weight: separate(kdim)?,
            v_proj_weight: separate(vdim)?,
            in_proj_bias,
            bias_k: extra()?,
            bias_v: extra()?,
            out_proj,
            training: Training::default(),
            embed,
            heads,
            dropout,
            zero_attn,
            batch_first,
        })
    }
}

impl MultiheadAttention {
    pub fn builder(embed: usize, heads: usize) -> MultiheadAttentionBuilder {
        MultiheadAttentionBuilder {
            embed,
            heads,
            dropout: 0.0,
            bias: true,
            bias_kv: false,
            zero_attn: false,
            kdim: embed,
            vdim: embed,
            batch_first: false,
        }
    }

    /// Attends from `query` to `key` and `value`.
    ///
    /// `mask` broadcasts to `[N, heads, L, S]`: of `bool`, `true` lets attend (as in `scaled_dot_product_attention`); of
    /// floats, it is added to the scores. `causal` hides what comes later. [`attend`](Self::attend) takes PyTorch's masks.
    ///
    /// # Errors
    /// Shapes that do not fit each other or the features.
    #[track_caller]
    pub fn forward(&self, query: &Tensor, key: &Tensor, value: &Tensor, mask: Option<&Tensor>, causal: bool) -> Result<Tensor> {
        let mask = match mask {
            Some(m) if m.dtype() == DType::Bool => Some(additive(&m.logical_not()?, query.dtype())?),
            other => other.cloned(),
        };
        Ok(self.inner(query, key, value, mask, causal, Weights::None)?.0)
    }

    /// Attends from `query` to `key` and `value` with PyTorch's masks; the weights come back if asked for.
    ///
    /// # Errors
    /// Shapes that do not fit each other or the features.
    #[track_caller]
    pub fn attend(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        masks: Masks<'_>,
        weights: Weights,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let (n, l) = self.sizes(query)?;
        let (_, s) = self.sizes(key)?;
        let mask = masks.combined(n, self.heads, l, s, query.dtype())?;
        let causal = masks.causal && masks.attn.is_none();
        self.inner(query, key, value, mask, causal, weights)
    }

    /// A sequence attends to itself.
    ///
    /// # Errors
    /// Shapes that do not fit the features.
    #[track_caller]
    pub fn self_attention(&self, x: &Tensor, causal: bool) -> Result<Tensor> {
        self.forward(x, x, x, None, causal)
    }

    fn inner(
        &self,
        query: &Tensor,
        key: &Tensor,
        value: &Tensor,
        mask: Option<Tensor>,
        causal: bool,
        weights: Weights,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let [q, k, v] = self.projected(query, key, value)?;
        let [q, mut k, mut v] = [self.split(&q)?, self.split(&k)?, self.split(&v)?];
        let (l, s, d) = (q.shape()[2], k.shape()[2], self.embed / self.heads);
        let mut causal = causal;
        let mut mask = mask;
        if causal && (mask.is_some() || weights != Weights::None || self.bias_k.is_some() || self.zero_attn) {
            let later = later(l, s, q.dtype(), &q)?;
            mask = Some(mask.map_or(Ok(later.clone()), |m| m.add(&later))?);
            causal = false;
        }
        let n = k.shape()[0];
        let mut add = |key: Tensor, value: Tensor| -> Result<()> {
            k = Tensor::cat(&[&k, &key], 2)?;
            v = Tensor::cat(&[&v, &value], 2)?;
            // What is added is never hidden.
            mask = mask.take().map(|m| m.pad([0isize, 1], "constant", 0.0)).transpose()?;
            Ok(())
        };
        if let (Some(bk), Some(bv)) = (&self.bias_k, &self.bias_v) {
            let own = |b: &Param| b.reshape([1, self.heads, 1, d])?.expand([n, self.heads, 1, d]);
            add(own(bk)?, own(bv)?)?;
        }
        if self.zero_attn {
            let zeros = Tensor::zeros([n, self.heads, 1, d], (q.dtype(), q.device()))?;
            add(zeros.clone(), zeros)?;
        }
        let p = if self.training.get() { self.dropout } else { 0.0 };
        if weights == Weights::None {
            let y = q.scaled_dot_product_attention(&k, &v, mask.as_ref(), p, causal, None)?;
            return Ok((self.out_proj.forward(&self.join(&y, query)?)?, None));
        }
        let scores = q.mul(1.0 / (d as f64).sqrt())?.matmul(&k.transpose(-2, -1)?)?;
        let scores = mask.map_or(Ok(scores.clone()), |m| scores.add(&m))?;
        let share = dropout(&scores.softmax(-1)?, p, true)?;
        let y = self.out_proj.forward(&self.join(&share.matmul(&v)?, query)?)?;
        let share = if weights == Weights::Averaged { share.mean(1)? } else { share };
        Ok((y, Some(if query.rank() == 2 { share.squeeze(0)? } else { share })))
    }

    /// Queries, keys and values in the attention's features.
    fn projected(&self, query: &Tensor, key: &Tensor, value: &Tensor) -> Result<[Tensor; 3]> {
        let e = self.embed;
        let bias = |i: usize| self.in_proj_bias.as_ref().map(|b| b.narrow(0, i * e, e)).transpose();
        if let Some(w) = &self.in_proj_weight {
            if query.ptr_eq(key) && key.ptr_eq(value) {
                let qkv = query.linear(w, self.in_proj_bias.as_deref())?;
                let part = |i: usize| qkv.narrow(-1, i * e, e);
                return Ok([part(0)?, part(1)?, part(2)?]);
            }
            let project = |x: &Tensor, i: usize| x.linear(&w.narrow(0, i * e, e)?, bias(i)?.as_ref());
            return Ok([project(query, 0)?, project(key, 1)?, project(value, 2)?]);
        }
        let project = |x: &Tensor, w: &Option<Param>, i: usize| {
            let w = w.as_ref().ok_or_else(|| Error::argument(OP, "a projection is missing"))?;
            x.linear(w, bias(i)?.as_ref())
        };
        Ok([project(query, &self.q_proj_weight, 0)?, project(key, &self.k_proj_weight, 1)?, project(value, &self.v_proj_weight, 2)?])
    }

    /// Batch and length of a sequence.
    fn sizes(&self, x: &Tensor) -> Result<(usize, usize)> {
        match (x.shape(), self.batch_first) {
            (&[l, _], _) => Ok((1, l)),
            (&[n, l, _], true) | (&[l, n, _], false) => Ok((n, l)),
            _ => Err(Error::argument(OP, format!("a sequence has 2 or 3 dimensions, the input is {:?}", x.shape()))),
        }
    }

    /// `[N, L, E]` or `[L, N, E]` as `[N, heads, L, E / heads]`.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (h, d) = (self.heads, self.embed / self.heads);
        let (n, l) = self.sizes(x)?;
        match (x.rank(), self.batch_first) {
            (2, _) | (_, true) => x.reshape([n, l, h, d])?.permute([0, 2, 1, 3]),
            _ => x.reshape([l, n, h, d])?.permute([1, 2, 0, 3]),
        }
    }

    /// The reverse of [`split`](Self::split), in the shape of `query`.
    fn join(&self, y: &Tensor, query: &Tensor) -> Result<Tensor> {
        let sequence_first = query.rank() == 3 && !self.batch_first;
        y.permute(if sequence_first { [2, 0, 1, 3] } else { [0, 2, 1, 3] })?.reshape(query.shape())
    }

    /// An attention of tensors that belong to somebody else: what `multi_head_attention_forward` is.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn of(
        embed: usize,
        heads: usize,
        projections: [Option<Tensor>; 4],
        in_proj_bias: Option<Tensor>,
        bias_kv: [Option<Tensor>; 2],
        out: (Tensor, Option<Tensor>),
        zero_attn: bool,
        dropout: f64,
        training: bool,
    ) -> Result<MultiheadAttention> {
        if heads == 0 || embed == 0 || embed % heads != 0 {
            return Err(Error::argument(OP, format!("{heads} heads do not divide {embed} features")));
        }
        let [all, q, k, v] = projections.map(|t| t.map(Param::borrowed));
        let [bias_k, bias_v] = bias_kv.map(|t| t.map(Param::borrowed));
        let flag = Training::default();
        flag.set(training);
        Ok(MultiheadAttention {
            in_proj_weight: all,
            q_proj_weight: q,
            k_proj_weight: k,
            v_proj_weight: v,
            in_proj_bias: in_proj_bias.map(Param::borrowed),
            bias_k,
            bias_v,
            out_proj: Linear { weight: Param::borrowed(out.0), bias: out.1.map(Param::borrowed) },
            training: flag,
            embed,
            heads,
            dropout,
            zero_attn,
            batch_first: false,
        })
    }
}

impl Masks<'_> {
    /// Only a causal one.
    pub fn causal() -> Masks<'static> {
        Masks { causal: true, ..Masks::default() }
    }

    /// Both masks as one to add, which broadcasts to `[N, heads, L, S]`.
    fn combined(&self, n: usize, heads: usize, l: usize, s: usize, dtype: DType) -> Result<Option<Tensor>> {
        let attn = match self.attn {
            None => None,
            Some(m) if m.shape() == [l, s] => Some(additive(m, dtype)?),
            Some(m) if m.shape() == [n * heads, l, s] => Some(additive(m, dtype)?.reshape([n, heads, l, s])?),
            Some(m) => {
                let why = format!("a mask should be [{l}, {s}] or [{}, {l}, {s}], not {:?}", n * heads, m.shape());
                return Err(Error::argument(OP, why));
            }
        };
        let padding = match self.key_padding {
            None => None,
            Some(m) if m.shape() == [n, s] || (n == 1 && m.shape() == [s]) => Some(additive(m, dtype)?.reshape([n, 1, 1, s])?),
            Some(m) => return Err(Error::argument(OP, format!("a padding mask should be [{n}, {s}], not {:?}", m.shape()))),
        };
        match (attn, padding) {
            (Some(a), Some(p)) => a.add(&p).map(Some),
            (a, p) => Ok(a.or(p)),
        }
    }
}

/// A mask to add: minus infinity where `true` hides.
fn additive(mask: &Tensor, dtype: DType) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        return mask.to_dtype(dtype);
    }
    Tensor::zeros(mask.shape(), (dtype, mask.device()))?.masked_fill(mask, f64::NEG_INFINITY)
}

/// `[L, S]`: minus infinity where the key comes after the query.
fn later(l: usize, s: usize, dtype: DType, like: &Tensor) -> Result<Tensor> {
    let at = |n: usize| Tensor::arange(0, n, 1, (DType::I64, like.device()));
    additive(&at(s)?.gt(&at(l)?.unsqueeze(1)?)?, dtype)
}
