//! What models meet of `com.microsoft`: the fused operators that onnxruntime's tools write.

use taper::{DType, Error, Result, Tensor};

use super::attention::{by_heads, joined, rotate, shared};
use super::{Operator, of, op};
use crate::call::{Call, Out, one};
use crate::value::Value;

const MS: &str = "com.microsoft";

pub(super) static TABLE: &[Operator] = &[
    of(MS, "BiasGelu", |c| one(c.tensor(0)?.add(c.tensor(1)?)?.gelu("none")?)),
    of(MS, "FastGelu", |c| {
        let x = c.tensor(0)?;
        one(if c.has(1) { x.add(c.tensor(1)?)? } else { x }.gelu("tanh")?)
    }),
    of(MS, "FusedMatMul", fused_matmul),
    of(MS, "Gelu", |c| one(c.tensor(0)?.gelu("none")?)),
    of(MS, "GroupQueryAttention", group_query_attention),
    of(MS, "MatMulNBits", matmul_n_bits),
    of(MS, "MultiHeadAttention", multi_head_attention),
    of(MS, "QuickGelu", |c| one(super::maths::swish(&c.tensor(0)?, c.float("alpha", 1.702)?)?)),
    of(MS, "RotaryEmbedding", rotary),
    of(MS, "SimplifiedLayerNormalization", |c| one(simplified(c, &c.tensor(0)?, &c.tensor(1)?)?)),
    of(MS, "SkipLayerNormalization", skip_layer_norm),
    of(MS, "SkipSimplifiedLayerNormalization", skip_simplified),
    // Written without a domain, though no version of the specification has it.
    op("SimplifiedLayerNormalization", 1, |c| one(simplified(c, &c.tensor(0)?, &c.tensor(1)?)?)),
];

fn fused_matmul(c: &Call<'_>) -> Out {
    let turned = |i: usize, last: &str, batch: &str| -> Result<Tensor> {
        let mut x = c.tensor(i)?;
        if c.flag(batch, false)? {
            // The first dimension becomes the last but one.
            x = x.movedim(0isize, x.rank() as isize - 2)?;
        }
        if c.flag(last, false)? && x.rank() > 1 { x.transpose(-2, -1) } else { Ok(x) }
    };
    let y = turned(0, "transA", "transBatchA")?.matmul(&turned(1, "transB", "transBatchB")?)?;
    let alpha = c.float("alpha", 1.0)?;
    one(if alpha == 1.0 { y } else { y.mul(alpha)? })
}

fn skip_layer_norm(c: &Call<'_>) -> Out {
    let mut sum = c.tensor(0)?.add(c.tensor(1)?)?;
    if let Some(bias) = c.maybe(4)? {
        sum = sum.add(bias)?;
    }
    let size = sum.shape().last().copied().unwrap_or(0);
    let y = sum.layer_norm(&[size], Some(&c.tensor(2)?), c.maybe(3)?.as_ref(), c.float("epsilon", 1e-12)?)?;
    // Mean and deviation are outputs of training only; nothing reads them here.
    let none = Value::None;
    Ok(vec![Value::from(y), none.clone(), none, sum.into()])
}

fn simplified(c: &Call<'_>, x: &Tensor, scale: &Tensor) -> Result<Tensor> {
    let dim = c.dim(c.int("axis", -1)?, x.rank())?;
    x.rms_norm(&x.shape()[dim..], Some(scale), Some(c.float("epsilon", 1e-5)?))
}

fn skip_simplified(c: &Call<'_>) -> Out {
    let mut sum = c.tensor(0)?.add(c.tensor(1)?)?;
    if let Some(bias) = c.maybe(3)? {
        sum = sum.add(bias)?;
    }
    let y = simplified(c, &sum, &c.tensor(2)?)?;
    Ok(vec![Value::from(y), Value::None, Value::None, sum.into()])
}

/// Positions are given for each token, or as the first one's.
fn rotary(c: &Call<'_>) -> Out {
    let (x, positions) = (c.tensor(0)?, c.tensor(1)?);
    let heads = match (c.sizes(&[c.int("num_heads", 0)?])?[0], x.shape()) {
        (0, &[_, _, hidden]) => hidden / (2 * c.array(2)?.shape().last().copied().unwrap_or(1)).max(1),
        (heads, _) => heads,
    };
    let (n, time) = match *x.shape() {
        [n, _, time, _] | [n, time, _] => (n, time),
        ref other => return Err(c.error(format!("an input of {other:?}"))),
    };
    let positions = if positions.numel() == 1 && n * time != 1 {
        let line = Tensor::arange(0, time, 1, (DType::I64, c.device))?.add(positions.to_dtype(DType::I64)?.reshape([1])?)?;
        line.unsqueeze(0)?.broadcast_to([n, time])?
    } else {
        positions
    };
    one(rotate(c, &x, heads, [2, 3], Some(positions))?)
}

/// A product with a matrix of integers of `bits` bits, a factor and a zero point for each block of a row.
fn matmul_n_bits(c: &Call<'_>) -> Out {
    let a = c.tensor(0)?;
    let [k, n, bits, block] = [("K", 0), ("N", 0), ("bits", 4), ("block_size", 32)].map(|(name, default)| c.int(name, default));
    let sizes = c.sizes(&[k?, n?, bits?, block?])?;
    let &[k, n, bits, block] = &sizes[..] else { return Err(c.error("sizes")) };
    if !matches!(bits, 2 | 4 | 8) || block == 0 {
        return Err(Error::unsupported("onnx", format!("integers of {bits} bits in blocks of {block}")));
    }
    let (per, blocks) = (8 / bits, k.div_ceil(block));
    // Numbers packed in bytes, the first one lowest: [.., bytes] to [.., numbers].
    let unpack = |t: &Tensor, rows: usize| -> Result<Tensor> {
        let bytes = t.reshape([rows, t.numel() / rows.max(1)])?.to_dtype(DType::I32)?;
        let parts = (0..per).map(|i| bytes.bitwise_right_shift((i * bits) as i64)?.bitwise_and((1i64 << bits) - 1));
        let all = Tensor::stack(&parts.collect::<Result<Vec<_>>>()?, -1)?;
        all.reshape([rows, all.numel() / rows.max(1)])
    };
    let (codes, scales) = (unpack(&c.tensor(1)?, n)?, c.tensor(2)?);
    let wide = Call::wide(a.dtype());
    let zero = match c.maybe(3)? {
        Some(z) if z.dtype().is_float() => z.reshape([n, blocks, 1])?.to_dtype(wide)?,
        Some(z) => unpack(&z, n)?.narrow(1, 0, blocks)?.unsqueeze(2)?.to_dtype(wide)?,
        None => Tensor::full([1, 1, 1], (1u64 << (bits - 1)) as f64, (wide, c.device))?,
    };
    if c.has(4) && c.array(4)?.shape() != [0] {
        return Err(Error::unsupported("onnx", "a permutation of rows ('g_idx')"));
    }
    let codes = codes.reshape([n, blocks, block])?.to_dtype(wide)?;
    let weight = codes.sub(zero)?.mul(scales.reshape([n, blocks, 1])?.to_dtype(wide)?)?;
    let weight = weight.reshape([n, blocks * block])?.narrow(1, 0, k)?.to_dtype(a.dtype())?;
    one(a.linear(&weight, c.maybe(5)?.as_ref())?)
}

/// Weights of values, from `[n, heads, time, size]`, whose heads several queries may share, with a mask that is added and hides no
/// row as a whole.
fn attend(c: &Call<'_>, q: &Tensor, k: &Tensor, v: &Tensor, bias: Option<&Tensor>, scale: f64, softcap: f64) -> Result<Tensor> {
    if softcap == 0.0 {
        let mask = bias.map(|b| b.to_dtype(q.dtype())).transpose()?;
        return q.scaled_dot_product_attention(k, v, mask.as_ref(), 0.0, false, Some(scale));
    }
    let (k, v, wide) = (shared(c, k, q.shape()[1])?, shared(c, v, q.shape()[1])?, Call::wide(q.dtype()));
    let mut scores = q.to_dtype(wide)?.matmul(&k.to_dtype(wide)?.transpose(-2, -1)?)?.mul(scale)?;
    scores = scores.div(softcap)?.tanh()?.mul(softcap)?;
    if let Some(bias) = bias {
        scores = scores.add(bias)?;
    }
    scores.softmax(-1)?.to_dtype(v.dtype())?.matmul(&v)
}

fn multi_head_attention(c: &Call<'_>) -> Out {
    let heads = c.sizes(&[c.int("num_heads", 0)?])?[0];
    let biases = c.maybe(3)?;
    let query = c.tensor(0)?;
    // Queries, keys and values may come in one tensor, or keys and values in one: [n, time, heads, 3 or 2, size].
    let packed = |t: &Tensor, i: isize| t.select(3, i)?.transpose(1, 2);
    let own = |t: &Tensor, first: usize, bias: bool| -> Result<Tensor> {
        let width = t.shape().last().copied().unwrap_or(0);
        let t = match &biases {
            Some(b) if bias => t.add(b.narrow(0, first, width)?)?,
            _ => t.clone(),
        };
        by_heads(c, &t, heads)
    };
    let (q, k, v) = if query.rank() == 5 {
        (packed(&query, 0)?, packed(&query, 1)?, packed(&query, 2)?)
    } else {
        let key = c.tensor(1)?;
        let q = own(&query, 0, true)?;
        let hidden = query.shape().last().copied().unwrap_or(0);
        match key.rank() {
            5 => (q, packed(&key, 0)?, packed(&key, 1)?),
            4 => (q, key, c.tensor(2)?),
            _ => (q, own(&key, hidden, true)?, own(&c.tensor(2)?, 2 * hidden, true)?),
        }
    };
    let (k, v) = match (c.maybe(6)?, c.maybe(7)?) {
        (Some(past_k), Some(past_v)) => (Tensor::cat(&[past_k, k], 2)?, Tensor::cat(&[past_v, v], 2)?),
        _ => (k, v),
    };
    let (n, queries, keys) = (q.shape()[0], q.shape()[2], k.shape()[2]);
    let wide = Call::wide(q.dtype());
    let line = |n: usize| Tensor::arange(0, n, 1, (DType::I64, c.device));
    let hide = |open: Tensor, by: f64| Tensor::zeros(open.shape(), (wide, c.device))?.masked_fill(&open.logical_not()?, by);
    let mut bias = c.maybe(5)?.map(|b| b.to_dtype(wide)).transpose()?;
    let mut add = |part: Tensor| -> Result<()> {
        bias = Some(match bias.take() {
            Some(b) => b.add(part)?,
            None => part,
        });
        Ok(())
    };
    if let Some(mask) = c.maybe(4)? {
        let open = match *mask.shape() {
            [m] if m == n => line(keys)?.lt(mask.to_dtype(DType::I64)?.reshape([n, 1, 1, 1])?)?,
            [_, _] => mask.ne(0)?.reshape([n, 1, 1, keys])?,
            [_, _, _] => mask.ne(0)?.unsqueeze(1)?,
            ref other => return Err(Error::unsupported("onnx", format!("a padding mask of {other:?}"))),
        };
        add(hide(open, c.float("mask_filter_value", -10000.0)?)?)?;
    }
    if c.flag("unidirectional", false)? {
        let open = line(queries)?.add((keys - queries.min(keys)) as i64)?.unsqueeze(1)?.ge(line(keys)?)?;
        add(hide(open, f64::NEG_INFINITY)?)?;
    }
    let scale = match c.float("scale", 0.0)? {
        0.0 => 1.0 / (q.shape()[3] as f64).sqrt(),
        given => given,
    };
    let y = attend(c, &q, &k, &v, bias.as_ref(), scale, 0.0)?;
    Ok(vec![Value::from(joined(&y)?), k.into(), v.into()])
}

/// Causal attention whose keys and values several heads share, kept in a cache that may be longer than what it holds.
fn group_query_attention(c: &Call<'_>) -> Out {
    let heads = c.sizes(&[c.int("num_heads", 0)?, c.int("kv_num_heads", 0)?])?;
    let query = c.tensor(0)?;
    let (mut q, mut k, v) = if c.has(1) {
        (by_heads(c, &query, heads[0])?, by_heads(c, &c.tensor(1)?, heads[1])?, by_heads(c, &c.tensor(2)?, heads[1])?)
    } else {
        let all = by_heads(c, &query, heads[0] + 2 * heads[1])?;
        (all.narrow(1, 0, heads[0])?, all.narrow(1, heads[0], heads[1])?, all.narrow(1, heads[0] + heads[1], heads[1])?)
    };
    let (n, time, size) = (q.shape()[0], q.shape()[2], q.shape()[3]);
    // Of each batch, the tokens before these, [n, 1].
    let before = c.tensor(5)?.to_dtype(DType::I64)?.reshape([n, 1])?.add(1 - time as i64)?.clamp(0, i64::MAX)?;
    let places = before.add(Tensor::arange(0, time, 1, (DType::I64, c.device))?)?;
    if c.flag("do_rotary", false)? {
        let turn = |x: &Tensor| rotated(c, x, &places);
        (q, k) = (turn(&q)?, turn(&k)?);
    }
    let total = c.sizes(&[c.integer(6)?])?[0];
    let (present_k, present_v) = match (c.maybe(3)?, c.maybe(4)?) {
        (Some(pk), Some(pv)) if pk.shape().get(2).is_some_and(|&held| held >= total) => {
            let at = places.reshape([n, 1, time, 1])?.broadcast_to(k.shape())?;
            (pk.scatter(2, &at, &k)?, pv.scatter(2, &at, &v)?)
        }
        (Some(pk), Some(pv)) => (Tensor::cat(&[pk, k], 2)?, Tensor::cat(&[pv, v], 2)?),
        _ => (k, v),
    };
    let keys = Tensor::arange(0, present_k.shape()[2], 1, (DType::I64, c.device))?;
    let distance = places.reshape([n, 1, time, 1])?.sub(keys)?;
    let mut open = distance.ge(0)?;
    let window = c.int("local_window_size", -1)?;
    if window >= 0 {
        open = open.logical_and(distance.lt(window)?)?;
    }
    let wide = Call::wide(q.dtype());
    let mut bias = Tensor::zeros(open.shape(), (wide, c.device))?.masked_fill(&open.logical_not()?, f64::NEG_INFINITY)?;
    if let Some(given) = c.maybe(10)? {
        bias = bias.add(given)?;
    }
    let scale = match c.float("scale", 0.0)? {
        0.0 => 1.0 / (size as f64).sqrt(),
        given => given,
    };
    let y = attend(c, &q, &present_k, &present_v, Some(&bias), scale, c.float("softcap", 0.0)?)?;
    Ok(vec![Value::from(joined(&y)?), present_k.into(), present_v.into()])
}

/// Features `[n, heads, time, size]` turned by the angles of their places, as `do_rotary` asks for.
fn rotated(c: &Call<'_>, x: &Tensor, places: &Tensor) -> Result<Tensor> {
    let (cos, sin) = (c.tensor(7)?, c.tensor(8)?);
    let half = cos.shape().last().copied().unwrap_or(0);
    let size = x.shape()[3];
    let at = |cache: &Tensor| {
        cache.index_select(0, &places.reshape([places.numel()])?)?.reshape([places.shape()[0], 1, places.shape()[1], half])
    };
    let (cos, sin) = (at(&cos)?, at(&sin)?);
    let part = x.narrow(3, 0, 2 * half)?;
    let interleaved = c.flag("rotary_interleaved", false)?;
    let (a, b) = if interleaved {
        (part.slice(3, 0, isize::MAX, 2)?, part.slice(3, 1, isize::MAX, 2)?)
    } else {
        (part.narrow(3, 0, half)?, part.narrow(3, half, half)?)
    };
    let (real, imag) = (a.mul(&cos)?.sub(b.mul(&sin)?)?, a.mul(&sin)?.add(b.mul(&cos)?)?);
    let part = if interleaved { Tensor::stack(&[real, imag], -1)?.reshape(part.shape())? } else { Tensor::cat(&[real, imag], 3)? };
    Tensor::cat(&[part, x.narrow(3, 2 * half, size - 2 * half)?], 3)
}
