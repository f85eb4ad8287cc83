//! Scaled dot-product attention.

use super::super::Tensor;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::Shape;

/// Attention.
impl Tensor {
    /// `softmax(self key^T * scale + mask) value`, where `self` are the queries: `[.., L, D]`, `key` `[.., S, D]`, `value`
    /// `[.., S, E]`.
    ///
    /// `mask` broadcasts to `[.., L, S]`: of `bool`, `true` lets attend; of floats, it is added. `causal` hides keys
    /// after the query's position, both counted from the start. `scale` is `1 / sqrt(D)` unless given. Fewer heads (third
    /// dimension from the right) in `key` and `value` than in the queries are each shared by a group of query heads.
    /// A query that may attend to nothing gives zeros. `dropout` is the share of weights left out.
    ///
    /// # Errors
    /// Shapes that do not fit, different or integer types, a mask together with `causal`.
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
        let op = "scaled_dot_product_attention";
        let (q, k, v) = (self.shape(), key.shape(), value.shape());
        let fits = q.len() >= 2 && k.len() >= 2 && v.len() >= 2 && q[q.len() - 1] == k[k.len() - 1] && k[k.len() - 2] == v[v.len() - 2];
        if !fits {
            return Err(Error::argument(op, format!("queries {q:?}, keys {k:?} and values {v:?} do not fit each other")));
        }
        if self.dtype() != key.dtype() || self.dtype() != value.dtype() || !self.dtype().is_float() {
            return Err(Error::dtype(op, format!("needs floats of one type, not {}, {} and {}", self.dtype(), key.dtype(), value.dtype())));
        }
        if causal && mask.is_some() {
            return Err(Error::argument(op, "a mask and causal exclude each other"));
        }
        if let Some(m) = mask
            && m.dtype() != DType::Bool
            && m.dtype() != self.dtype()
        {
            return Err(Error::dtype(op, format!("the mask should be bool or {}, not {}", self.dtype(), m.dtype())));
        }
        if !(0.0..=1.0).contains(&dropout) {
            return Err(Error::argument(op, format!("dropout must lie between 0 and 1, but is {dropout}")));
        }
        let (key, value) = (shared_heads(op, key, q)?, shared_heads(op, value, q)?);
        let scale = scale.unwrap_or_else(|| 1.0 / (q[q.len() - 1] as f64).sqrt());
        composed(self, &key, &value, mask, dropout, causal, scale)
    }
}

/// Each head of `t` repeated for its group of query heads, as a view.
#[track_caller]
fn shared_heads(op: &'static str, t: &Tensor, q: &[usize]) -> Result<Tensor> {
    let s = t.shape();
    let (Some(hd), Some(hq)) = (s.len().checked_sub(3), q.len().checked_sub(3)) else { return Ok(t.clone()) };
    let (own, heads) = (s[hd], q[hq]);
    if own == heads || own == 1 || heads == 1 {
        return Ok(t.clone());
    }
    if heads % own != 0 {
        return Err(Error::argument(op, format!("{heads} query heads cannot share {own} heads of keys and values")));
    }
    t.repeat_interleave(heads / own, hd as isize)
}

/// Attention out of its parts, with the matrix of scores: for dropout, and for the gradient of the gradient.
#[track_caller]
fn composed(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>, dropout: f64, causal: bool, scale: f64) -> Result<Tensor> {
    let dtype = q.dtype();
    // Both sides get the root of the scale, which keeps f16 in range.
    let root = scale.abs().sqrt();
    let scores = q.mul(root)?.matmul(&k.mul(root * scale.signum())?.transpose(-2, -1)?)?;
    let hidden = match mask {
        Some(m) if m.dtype() == DType::Bool => Some(m.logical_not()?),
        None if causal => {
            let s = scores.shape();
            let (l, n) = (s[s.len() - 2], s[s.len() - 1]);
            let at = |n: usize| Tensor::arange(0, n, 1, (DType::I64, q.device()));
            Some(at(n)?.gt(&at(l)?.unsqueeze(1)?)?)
        }
        _ => None,
    };
    let scores = match (&hidden, mask) {
        (Some(hidden), _) => scores.masked_fill(hidden, f64::NEG_INFINITY)?,
        (None, Some(m)) => scores.add(m)?,
        (None, None) => scores,
    };
    let mut weights = scores.softmax(-1)?;
    if mask.is_some() {
        // A row of nothing but minus infinity has no softmax: it attends to nothing.
        let empty = scores.amax_keepdim(-1)?.eq(f64::NEG_INFINITY)?;
        weights = weights.masked_fill(&empty, 0.0)?;
    }
    if dropout > 0.0 {
        let keep = Shape::from(weights.shape());
        let kept = Tensor::rand(&keep[..], (DType::F32, q.device()))?.ge(dropout)?.to_dtype(dtype)?;
        let up = if dropout < 1.0 { 1.0 / (1.0 - dropout) } else { 0.0 };
        weights = weights.mul(&kept)?.mul(up)?;
    }
    weights.matmul(v)
}
