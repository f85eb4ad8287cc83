//! Scaled dot-product attention: shapes, masks, and which of two ways computes it.

use smallvec::smallvec;

use super::super::Tensor;
use crate::autograd::{self, Kept};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Attention, AttentionKeyGrad, AttentionQueryGrad, Grads, Scores, accumulated};
use crate::shape::{Shape, broadcast, numel};

const OP: &str = "scaled_dot_product_attention";

/// Attention.
impl Tensor {
    /// `softmax(self key^T * scale + mask) value`, where `self` are the queries: `[.., L, D]`, `key` `[.., S, D]`, `value`
    /// `[.., S, E]`.
    ///
    /// `mask` broadcasts to `[.., L, S]`: of `bool`, `true` lets attend; of floats, it is added. `causal` hides keys
    /// after the query's position, both counted from the start. `scale` is `1 / sqrt(D)` unless given. Fewer heads (third
    /// dimension from the right) in `key` and `value` than in the queries are each shared by a group of query heads.
    /// A query that may attend to nothing gives zeros.
    ///
    /// The scores are never stored: memory grows with `L + S`, forwards and backwards. Three cases do store them:
    /// `dropout` (the share of weights left out), a mask that requires a gradient, and the gradient of a gradient.
    ///
    /// # Errors
    /// Shapes that do not fit, different or integer types, a mask together with `causal`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let q = Tensor::ones([1, 2, 3, 4], &Device::cpu())?;
    /// let y = q.scaled_dot_product_attention(&q, &q, None, 0.0, true, None)?;
    /// assert_eq!(y.shape(), [1, 2, 3, 4]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn scaled_dot_product_attention(
        &self,
        key: &Tensor,
        value: &Tensor,
        mask: Option<&Tensor>,
        dropout: f64,
        causal: bool,
        scale: Option<f64>,
    ) -> Result<Tensor> {
        let (q, k, v) = (self.shape(), key.shape(), value.shape());
        let fits = q.len() >= 2 && k.len() >= 2 && v.len() >= 2 && q[q.len() - 1] == k[k.len() - 1] && k[k.len() - 2] == v[v.len() - 2];
        if !fits {
            return Err(Error::argument(OP, format!("queries {q:?}, keys {k:?} and values {v:?} do not fit each other")));
        }
        if let Some((q, k, v)) = crate::amp::lowered(self, key, Some(value))? {
            let low = |m: &Tensor| if m.dtype().is_float() { m.to_dtype(q.dtype()) } else { Ok(m.clone()) };
            let (mask, v) = (mask.map(low).transpose()?, v.unwrap_or_else(|| value.clone()));
            return q.scaled_dot_product_attention(&k, &v, mask.as_ref(), dropout, causal, scale);
        }
        if self.dtype() != key.dtype() || self.dtype() != value.dtype() || !self.dtype().is_float() {
            return Err(Error::dtype(OP, format!("needs floats of one type, not {}, {} and {}", self.dtype(), key.dtype(), value.dtype())));
        }
        if causal && mask.is_some() {
            return Err(Error::argument(OP, "a mask and causal exclude each other"));
        }
        if let Some(m) = mask
            && m.dtype() != DType::Bool
            && m.dtype() != self.dtype()
        {
            return Err(Error::dtype(OP, format!("the mask should be bool or {}, not {}", self.dtype(), m.dtype())));
        }
        if !(0.0..=1.0).contains(&dropout) {
            return Err(Error::argument(OP, format!("dropout must lie between 0 and 1, but is {dropout}")));
        }
        let scale = scale.unwrap_or_else(|| 1.0 / (q[q.len() - 1] as f64).sqrt());
        let operands = Operands::new(self, key, value, mask, Scores { causal, scale })?;
        let learned_mask = autograd::is_enabled() && operands.mask.as_ref().is_some_and(|m| m.edge().is_some());
        // The kernels on GPUs keep rows of up to 256 features in private memory.
        let wide = !self.device().is_cpu() && q[q.len() - 1].max(v[v.len() - 1]) > 256;
        let y = match (learned_mask, dropout > 0.0) {
            (true, _) => operands.composed(dropout)?,
            (false, true) => operands.composed_again(dropout)?,
            (false, false) if wide => operands.composed(0.0)?,
            (false, false) => operands.fused()?,
        };
        let heads = if operands.rank > 2 { 3 } else { 2 };
        let shape: Shape = operands.lead.iter().chain(&y.shape()[4 - heads..]).copied().collect();
        y.reshape(&shape[..])?.to_dtype(self.dtype())
    }
}

/// Queries `[B, H, L, D]`, keys and values `[B, G, S, ..]` with `G` dividing `H`, a mask to add `[B, H, L, S]`.
struct Operands {
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Option<Tensor>,
    scores: Scores,
    /// Of the operands as they came, and their dimensions before the heads.
    rank: usize,
    lead: Shape,
}

impl Operands {
    #[track_caller]
    fn new(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, scores: Scores) -> Result<Operands> {
        let rank = q.rank().max(k.rank()).max(v.rank());
        // At least heads, rows, features.
        let heads = |t: &Tensor| t.shape().len().checked_sub(3).map_or(1, |d| t.shape()[d]);
        let before = |t: &Tensor| Shape::from(&t.shape()[..t.rank().saturating_sub(3)]);
        let lead = broadcast(OP, &broadcast(OP, &before(q), &before(k))?, &before(v))?;
        let (hq, hk, hv) = (heads(q), heads(k), heads(v));
        let own = if hk == hv || hv == 1 { hk } else { hv };
        if (own != hk && hk != 1) || (hq != 1 && (own == 0 || hq % own != 0)) {
            return Err(Error::argument(OP, format!("{hq} query heads cannot share {hk} heads of keys and {hv} of values")));
        }
        let h = if hq == 1 { own } else { hq };
        let four = |t: &Tensor, heads: usize, last: &[usize]| -> Result<Tensor> {
            let shape: Shape = lead.iter().copied().chain([heads]).chain(last.iter().copied()).collect();
            t.expand(&shape[..])?.reshape([numel(&lead), heads, last[0], last[1]])
        };
        let last = |t: &Tensor| Shape::from(&t.shape()[t.rank() - 2..]);
        let (l, s) = (last(q)[0], last(k)[0]);
        let mask = mask.map(|m| -> Result<Tensor> {
            let wide = accumulated(q.dtype());
            let m = if m.dtype() == DType::Bool {
                Tensor::zeros(m.shape(), (wide, m.device()))?.masked_fill(&m.logical_not()?, f64::NEG_INFINITY)?
            } else {
                m.to_dtype(wide)?
            };
            four(&m, h, &[l, s])
        });
        let mask = mask.transpose()?;
        Ok(Operands { q: four(q, h, &last(q))?, k: four(k, own, &last(k))?, v: four(v, own, &last(v))?, mask, scores, rank, lead })
    }

    /// The operands as they are now, to be had again by the gradient.
    fn keep(&self) -> Result<impl Fn() -> Result<Operands> + Send + Sync + use<>> {
        let (q, k, v) = (Kept::new(&self.q)?, Kept::new(&self.k)?, Kept::new(&self.v)?);
        let mask = self.mask.as_ref().map(Tensor::snapshot).transpose()?;
        let (scores, rank, lead) = (self.scores, self.rank, self.lead.clone());
        Ok(move || Ok(Operands { q: q.get()?, k: k.get()?, v: v.get()?, mask: mask.clone(), scores, rank, lead: lead.clone() }))
    }

    /// One kernel forwards, two backwards; what the gradient keeps is the operands, the result and one number a row.
    #[track_caller]
    fn fused(&self) -> Result<Tensor> {
        let mut inputs = vec![&self.q, &self.k, &self.v];
        inputs.extend(&self.mask);
        let packed = Tensor::apply(Attention(self.scores), &inputs)?;
        let &[b, h, l, _] = self.q.shape() else { return Err(Error::argument(OP, "needs four dimensions")) };
        let e = self.v.shape()[3];
        let (dtype, wide) = (self.q.dtype(), packed.dtype());
        let (y, sums) = autograd::no_grad(|| -> Result<(Tensor, Tensor)> {
            let y = packed.narrow(0, 0, b * h * l * e)?.reshape([b, h, l, e])?.to_dtype(dtype)?;
            let sums = packed.narrow(0, b * h * l * e, b * h * l)?.reshape([b, h, l])?;
            // Of 16-bit floats the rounded result is kept, not what it was rounded from.
            Ok((y, if dtype == wide { sums } else { sums.copied()? }))
        })?;
        let (saved, result) = (self.keep()?, Kept::new(&y)?);
        autograd::record_with(&y, "attention", &[&self.q, &self.k, &self.v], move |dy, needs| {
            let (saved, dy) = (saved()?, &dy.to_dtype(wide)?);
            if autograd::is_enabled() {
                return saved.composed_backward(dy);
            }
            let delta = dy.mul(&result.get()?.to_dtype(wide)?)?.sum(-1)?;
            let mut inputs = vec![&saved.q, &saved.k, &saved.v, dy, &sums, &delta];
            inputs.extend(&saved.mask);
            let mut grads: Grads = smallvec![None, None, None];
            if needs[0] {
                grads[0] = Some(Tensor::apply(AttentionQueryGrad(saved.scores), &inputs)?.to_dtype(dtype)?);
            }
            if needs[1] || needs[2] {
                let both = Tensor::apply(AttentionKeyGrad(saved.scores), &inputs)?;
                let n = saved.k.numel();
                grads[1] = Some(both.narrow(0, 0, n)?.reshape(saved.k.shape())?.to_dtype(dtype)?);
                grads[2] = Some(both.narrow(0, n, saved.v.numel())?.reshape(saved.v.shape())?.to_dtype(dtype)?);
            }
            Ok(grads)
        });
        Ok(y)
    }

    /// Keys or values with a head for each query head, in the type sums are kept in.
    #[track_caller]
    fn wide(&self, t: &Tensor) -> Result<Tensor> {
        let t = t.to_dtype(accumulated(t.dtype()))?;
        let (&[b, h, ..], &[_, g, s, d]) = (self.q.shape(), t.shape()) else { return Ok(t) };
        if g == h {
            return Ok(t);
        }
        t.unsqueeze(2)?.expand([b, g, h / g, s, d])?.reshape([b, h, s, d])
    }

    /// The softmax of the scores, as a matrix.
    #[track_caller]
    fn weights(&self) -> Result<Tensor> {
        let scores = self.wide(&self.q)?.matmul(&self.wide(&self.k)?.transpose(-2, -1)?)?.mul(self.scores.scale)?;
        let Some(mask) = &self.mask else {
            let hidden = self.scores.causal.then(|| self.later()).transpose()?;
            return hidden.map_or_else(|| Ok(scores.clone()), |h| scores.masked_fill(&h, f64::NEG_INFINITY))?.softmax(-1);
        };
        let scores = scores.add(mask)?;
        // A row of nothing but minus infinity has no softmax: it attends to nothing.
        let empty = scores.amax_keepdim(-1)?.eq(f64::NEG_INFINITY)?;
        scores.masked_fill(&empty, 0.0)?.softmax(-1)?.masked_fill(&empty, 0.0)
    }

    /// `[L, S]`: the key comes after the query.
    fn later(&self) -> Result<Tensor> {
        let at = |n: usize| Tensor::arange(0, n, 1, (DType::I64, self.q.device()));
        at(self.k.shape()[2])?.gt(&at(self.q.shape()[2])?.unsqueeze(1)?)
    }

    /// Attention out of its parts, with the matrix of scores.
    #[track_caller]
    fn composed(&self, dropout: f64) -> Result<Tensor> {
        let mut weights = self.weights()?;
        if dropout > 0.0 {
            let kept = Tensor::rand(weights.shape(), (DType::F32, self.q.device()))?.ge(dropout)?.to_dtype(weights.dtype())?;
            let up = if dropout < 1.0 { 1.0 / (1.0 - dropout) } else { 0.0 };
            weights = weights.mul(&kept)?.mul(up)?;
        }
        weights.matmul(&self.wide(&self.v)?)
    }

    /// [`composed`](Self::composed) without keeping a matrix of scores for the gradient, which computes them again, and draws
    /// the same random numbers.
    #[track_caller]
    fn composed_again(&self, dropout: f64) -> Result<Tensor> {
        let (mask, scores, rank, lead) = (self.mask.clone(), self.scores, self.rank, self.lead.clone());
        let attend = move |t: &[Tensor]| {
            let [q, k, v] = [t[0].clone(), t[1].clone(), t[2].clone()];
            Operands { q, k, v, mask: mask.clone(), scores, rank, lead: lead.clone() }.composed(dropout)
        };
        autograd::checkpoint(attend, &[&self.q, &self.k, &self.v])
    }

    /// The gradients as differentiable tensor code.
    fn composed_backward(&self, dy: &Tensor) -> Result<Grads> {
        let (q, k, v) = (self.wide(&self.q)?, self.wide(&self.k)?, self.wide(&self.v)?);
        let p = self.weights()?;
        let dp = dy.matmul(&v.transpose(-2, -1)?)?;
        let ds = p.mul(&dp.sub(&dp.mul(&p)?.sum_keepdim(-1)?)?)?.mul(self.scores.scale)?;
        // What a group of query heads shared collects from all of them.
        let shared = |t: Tensor, like: &Tensor| -> Result<Tensor> {
            let &[b, g, s, d] = like.shape() else { return Ok(t) };
            let heads = t.shape()[1];
            let t = if heads == g { t } else { t.reshape([b, g, heads / g, s, d])?.sum(2)? };
            t.to_dtype(like.dtype())
        };
        Ok(smallvec![
            Some(ds.matmul(&k)?.to_dtype(self.q.dtype())?),
            Some(shared(ds.transpose(-2, -1)?.matmul(&q)?, &self.k)?),
            Some(shared(p.transpose(-2, -1)?.matmul(dy)?, &self.v)?),
        ])
    }
}
