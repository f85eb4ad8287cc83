//! Attention, its linear and flexible kin, and rotary positions.

use taper::{DType, Result, Tensor};

use super::{Operator, of, op};
use crate::call::{Call, Out, one};
use crate::element::Elem;
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("Attention", 23, attention),
    op("LinearAttention", 1, linear_attention),
    op("RotaryEmbedding", 23, |c| {
        let heads = c.sizes(&[c.int("num_heads", 0)?])?[0];
        one(rotate(c, &c.tensor(0)?, heads, [1, 2], c.maybe(3)?)?)
    }),
    of("ai.onnx.preview", "FlexAttention", flex_attention),
];

/// `[batch, time, heads * size]` as `[batch, heads, time, size]`.
pub(super) fn by_heads(c: &Call<'_>, x: &Tensor, heads: usize) -> Result<Tensor> {
    match *x.shape() {
        [n, t, hidden] if heads > 0 && hidden % heads == 0 => x.reshape([n, t, heads, hidden / heads])?.transpose(1, 2),
        _ => Err(c.error(format!("{:?} in {heads} heads", x.shape()))),
    }
}

/// The other way round.
pub(super) fn joined(x: &Tensor) -> Result<Tensor> {
    let s = x.shape();
    let shape = [s[0], s[2], s[1] * s[3]];
    x.transpose(1, 2)?.reshape(shape)
}

/// Each head of keys or values as often as queries share it.
pub(super) fn shared(c: &Call<'_>, x: &Tensor, heads: usize) -> Result<Tensor> {
    let own = x.shape()[1];
    match heads.checked_div(own) {
        Some(1) if heads == own => Ok(x.clone()),
        Some(times) if times * own == heads => x.repeat_interleave(times, 1),
        _ => Err(c.error(format!("{heads} heads of queries share {own} of keys"))),
    }
}

/// What one query may see: 0 where it may, minus infinity where not.
struct Bias<'a> {
    c: &'a Call<'a>,
    dtype: DType,
    queries: usize,
    keys: usize,
    /// The position of the first query: a number, or one for each batch, `[n, 1, 1, 1]`.
    first: (usize, Option<Tensor>),
}

impl Bias<'_> {
    fn line(&self, n: usize) -> Result<Tensor> {
        Tensor::arange(0, n, 1, (DType::I64, self.c.device))
    }

    /// The distance of each key before each query, `[.., queries, keys]`.
    fn distance(&self) -> Result<Tensor> {
        let d = self.line(self.queries)?.add(self.first.0)?.unsqueeze(1)?.sub(self.line(self.keys)?)?;
        match &self.first.1 {
            Some(first) => d.add(first),
            None => Ok(d),
        }
    }

    /// 0 where it is true.
    fn open(&self, allowed: &Tensor) -> Result<Tensor> {
        Tensor::zeros(allowed.shape(), (self.dtype, self.c.device))?.masked_fill(&allowed.logical_not()?, f64::NEG_INFINITY)
    }

    fn all(&self, mask: Option<Tensor>, lengths: Option<&Tensor>) -> Result<Option<Tensor>> {
        let c = self.c;
        let mut parts = Vec::new();
        if let Some(mask) = mask {
            let short = self.keys.saturating_sub(mask.shape().last().copied().unwrap_or(self.keys));
            let is_bool = mask.dtype() == DType::Bool;
            let mask = match (short, is_bool) {
                (0, _) => mask,
                (_, true) => mask.pad([0, short], "constant", false)?,
                (_, false) => mask.pad([0, short], "constant", f64::NEG_INFINITY)?,
            };
            parts.push(if is_bool { self.open(&mask)? } else { mask });
        }
        if c.flag("is_causal", false)? {
            parts.push(self.open(&self.distance()?.ge(0)?)?);
        }
        let (left, right) = (c.int("left_window_size", -1)?, c.int("right_window_size", -1)?);
        if left >= 0 {
            parts.push(self.open(&self.distance()?.le(left)?)?);
        }
        if right >= 0 {
            parts.push(self.open(&self.distance()?.ge(-right)?)?);
        }
        if let Some(lengths) = lengths {
            parts.push(self.open(&self.line(self.keys)?.lt(lengths.reshape([lengths.numel(), 1, 1, 1])?)?)?);
        }
        let Some((first, rest)) = parts.split_first() else { return Ok(None) };
        rest.iter().try_fold(first.clone(), |a, b| a.add(b)).map(Some)
    }
}

fn attention(c: &Call<'_>) -> Out {
    let (mut q, mut k, mut v) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
    let flat = q.rank() == 3;
    if flat {
        let heads = |name: &str| c.sizes(&[c.int(name, 0)?]).map(|h| h[0]);
        let (own, shared) = (heads("q_num_heads")?, heads("kv_num_heads")?);
        (q, k, v) = (by_heads(c, &q, own)?, by_heads(c, &k, shared)?, by_heads(c, &v, shared)?);
    }
    let (&[n, heads, queries, size], 4, 4) = (q.shape(), k.rank(), v.rank()) else {
        return Err(c.error(format!("queries {:?}, keys {:?}, values {:?}", q.shape(), k.shape(), v.shape())));
    };
    let past = c.maybe(4)?;
    let before = past.as_ref().map_or(0, |p| p.shape().get(2).copied().unwrap_or(0));
    if let (Some(keys), Some(values)) = (past, c.maybe(5)?) {
        (k, v) = (Tensor::cat(&[keys, k], 2)?, Tensor::cat(&[values, v], 2)?);
    }
    let present = (k.clone(), v.clone());
    let lengths = c.maybe(6)?.map(|l| l.to_dtype(DType::I64)).transpose()?;
    let own = q.dtype();
    let first = match &lengths {
        Some(l) => Some(l.sub(queries as i64)?.reshape([n, 1, 1, 1])?),
        None => None,
    };
    let bias = Bias { c, dtype: own, queries, keys: k.shape()[2], first: (before, first) }.all(c.maybe(3)?, lengths.as_ref())?;
    if k.shape()[1] == 0 || v.shape()[1] != k.shape()[1] || heads % k.shape()[1] != 0 {
        return Err(c.error(format!("{heads} heads of queries share keys {:?} and values {:?}", k.shape(), v.shape())));
    }
    let scale = c.float("scale", 1.0 / (size as f64).sqrt())?;
    let softcap = c.float("softcap", 0.0)?;
    let precision = c.elem("softmax_precision")?.map(Elem::storage);
    // A query that may see nothing: it yields zeros, and its scores stay finite, for the sake of gradients too.
    let hidden = bias.as_ref().map(|b| b.amax_keepdim(-1)?.eq(f64::NEG_INFINITY)).transpose()?;
    let seen = match (&bias, &hidden) {
        (Some(bias), Some(hidden)) => Some(bias.masked_fill(hidden, 0)?),
        _ => None,
    };
    // The fused kernel, where nothing is asked for that it does not do. Half precision is rounded step by step instead, as the
    // specification writes it.
    let plain = !c.wants(3) && softcap == 0.0 && own == DType::F32 && precision.is_none_or(|p| p == own);
    let (y, scores) = if plain {
        let y = q.scaled_dot_product_attention(&k, &v, seen.as_ref(), 0.0, false, Some(scale))?;
        (hidden.map_or(Ok(y.clone()), |h| y.masked_fill(&h, 0))?, None)
    } else {
        let (k, v) = (shared(c, &k, heads)?, shared(c, &v, heads)?);
        let root = scale.sqrt();
        let mut scores = q.mul(root)?.matmul(&k.mul(root)?.transpose(-2, -1)?)?;
        let mut shown = scores.clone();
        let mode = c.int("qk_matmul_output_mode", 0)?;
        if softcap > 0.0 {
            scores = scores.div(softcap)?.tanh()?.mul(softcap)?;
        }
        if mode == 1 {
            shown = scores.clone();
        }
        if mode == 2 {
            shown = bias.as_ref().map_or(Ok(scores.clone()), |b| scores.add(b))?;
        }
        if let Some(seen) = &seen {
            scores = scores.add(seen)?;
        }
        let mut weights = scores.to_dtype(precision.unwrap_or(own))?.softmax(-1)?;
        if let Some(hidden) = hidden {
            weights = weights.masked_fill(&hidden, 0)?;
        }
        if mode == 3 {
            shown = weights.to_dtype(own)?;
        }
        (weights.to_dtype(own)?.matmul(&v)?, Some(shown))
    };
    let y = if flat { joined(&y)? } else { y };
    let mut outputs = vec![Value::from(y), present.0.into(), present.1.into()];
    outputs.extend(scores.map(Value::from));
    Ok(outputs)
}

/// Attention whose scores and weights two graphs may change.
fn flex_attention(c: &Call<'_>) -> Out {
    let (q, k, v) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
    let &[_, heads, _, size] = q.shape() else { return Err(c.error(format!("queries of {:?}", q.shape()))) };
    let (k, v) = (shared(c, &k, heads)?, shared(c, &v, heads)?);
    let root = (c.float("scale", 1.0 / (size as f64).sqrt())? as f32).sqrt();
    let precision = c.elem("softmax_precision")?.map_or(Call::wide(q.dtype()), Elem::storage);
    let mut scores = q.mul(root)?.matmul(&k.mul(root)?.transpose(-2, -1)?)?.to_dtype(precision)?;
    let change = |name: &str, x: Tensor| -> Result<Tensor> {
        let Some(graph) = c.maybe_graph(name)? else { return Ok(x) };
        match &c.run(graph, vec![Some(x.into())])?[..] {
            [y] => y.tensor(c.device)?.to_dtype(precision),
            many => Err(c.error(format!("'{name}' yields {} values instead of one", many.len()))),
        }
    };
    scores = change("score_mod", scores)?;
    let weights = change("prob_mod", scores.softmax(-1)?)?;
    one(weights.matmul(&v.to_dtype(precision)?)?.to_dtype(v.dtype())?)
}

/// A state that each step decays, corrects, and reads: linear attention in its recurrent form.
fn linear_attention(c: &Call<'_>) -> Out {
    let rule = c.text("update_rule", "gated_delta")?;
    let (gated, delta) = match rule {
        "linear" => (false, false),
        "gated" => (true, false),
        "delta" => (false, true),
        "gated_delta" => (true, true),
        other => return Err(c.error(format!("no update rule '{other}'"))),
    };
    let (query, own) = (c.tensor(0)?, c.array(0)?.dtype());
    let heads = c.sizes(&[c.int("q_num_heads", 0)?, c.int("kv_num_heads", 0)?])?;
    let wide = |x: &Tensor, h: usize| by_heads(c, &x.to_dtype(DType::F32)?, h);
    let (q, k, v) = (wide(&query, heads[0])?, wide(&c.tensor(1)?, heads[1])?, wide(&c.tensor(2)?, heads[1])?);
    let (n, steps, size, out) = (q.shape()[0], q.shape()[2], k.shape()[3], v.shape()[3]);
    let kept = c.maybe(3)?;
    let state_type = kept.as_ref().map_or(own, Tensor::dtype);
    let mut state = match kept {
        Some(past) => past.to_dtype(DType::F32)?,
        None => Tensor::zeros([n, heads[1], size, out], (DType::F32, c.device))?,
    };
    // [n, heads, steps, size or 1]
    let gate = |i: usize, wanted: bool, name: &str| -> Result<Option<Tensor>> {
        match (c.maybe(i)?, wanted) {
            (Some(t), true) => {
                let last = t.shape().last().copied().unwrap_or(1);
                let h = if last == 1 { 1 } else { heads[1] };
                wide(&t, h).map(Some)
            }
            (None, false) => Ok(None),
            (Some(_), false) => Err(c.error(format!("rule '{rule}' takes no {name}"))),
            (None, true) => Err(c.error(format!("rule '{rule}' needs {name}"))),
        }
    };
    let (decay, beta) = (gate(4, gated, "decay")?, gate(5, delta, "beta")?);
    let scale = match c.float("scale", 0.0)? {
        0.0 => 1.0 / (size as f64).sqrt(),
        given => given,
    };
    let mut outputs = Vec::with_capacity(steps);
    for t in 0..steps as isize {
        let (k, mut v) = (k.select(2, t)?, v.select(2, t)?);
        if let Some(decay) = &decay {
            state = state.mul(decay.select(2, t)?.exp()?.unsqueeze(-1)?)?;
        }
        if let Some(beta) = &beta {
            let held = state.mul(k.unsqueeze(-1)?)?.sum(-2)?;
            v = v.sub(held)?.mul(beta.select(2, t)?)?;
        }
        state = state.add(k.unsqueeze(-1)?.mul(v.unsqueeze(-2)?)?)?;
        let read = shared(c, &state, heads[0])?;
        outputs.push(q.select(2, t)?.unsqueeze(-2)?.matmul(&read)?.mul(scale)?);
    }
    let y = joined(&Tensor::cat(&outputs, 2)?)?.to_dtype(own)?;
    Ok(vec![Value::from(y), state.to_dtype(state_type)?.into()])
}

/// Pairs of features turned by angles that grow with the position; `caches` are the inputs of their cosines and sines.
pub(super) fn rotate(c: &Call<'_>, x: &Tensor, heads: usize, caches: [usize; 2], positions: Option<Tensor>) -> Result<Tensor> {
    // [n, time, heads, size]
    let turned = match *x.shape() {
        [_, _, _, _] => x.transpose(1, 2)?,
        [n, t, hidden] if heads > 0 => x.reshape([n, t, heads, hidden / heads])?,
        _ => return Err(c.error(format!("{:?} in {heads} heads", x.shape()))),
    };
    let size = turned.shape()[3];
    let rotated = match c.sizes(&[c.int("rotary_embedding_dim", 0)?])?[0] {
        0 => size,
        n if n <= size && n % 2 == 0 => n,
        n => return Err(c.error(format!("{n} of {size} features"))),
    };
    let half = rotated / 2;
    let cache = |i: usize| -> Result<Tensor> {
        let cache = c.tensor(i)?;
        let at = match &positions {
            Some(p) => {
                let width = cache.shape().last().copied().unwrap_or(0);
                let rows = cache.index_select(0, &p.to_dtype(DType::I64)?.reshape([p.numel()])?)?;
                {
                    let batch = p.shape().first().copied().unwrap_or(1);
                    rows.reshape([batch, p.numel() / batch.max(1), width])?
                }
            }
            None => cache,
        };
        at.unsqueeze(2)
    };
    let (cos, sin) = (cache(caches[0])?, cache(caches[1])?);
    let part = turned.narrow(3, 0, rotated)?;
    let interleaved = c.flag("interleaved", false)?;
    let (a, b) = if interleaved {
        (part.slice(3, 0, isize::MAX, 2)?, part.slice(3, 1, isize::MAX, 2)?)
    } else {
        (part.narrow(3, 0, half)?, part.narrow(3, half, half)?)
    };
    let real = cos.mul(&a)?.sub(sin.mul(&b)?)?;
    let imag = sin.mul(&a)?.add(cos.mul(&b)?)?;
    let part = if interleaved { Tensor::stack(&[real, imag], -1)?.reshape(part.shape())? } else { Tensor::cat(&[real, imag], 3)? };
    let y = Tensor::cat(&[part, turned.narrow(3, rotated, size - rotated)?], 3)?;
    if x.rank() == 4 { y.transpose(1, 2) } else { y.reshape(x.shape()) }
}
