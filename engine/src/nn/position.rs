//! Where a token stands: what attention is told about positions.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::{Param, init};

/// `[length, features]`: sines in the even columns and cosines in the odd ones, with wavelengths from `2 pi` to `10000 2 pi` ("Attention is
/// all you need"). Angles are computed in 64 bits on the host: far positions stay exact.
///
/// # Errors
/// The device lacks the type or the memory.
pub fn sinusoidal_positions(length: usize, features: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let options = options.into();
    let angle = |p: usize, i: usize| p as f64 * 10000f64.powf(-((i / 2 * 2) as f64) / features.max(1) as f64);
    let value = |p: usize, i: usize| if i % 2 == 0 { angle(p, i).sin() } else { angle(p, i).cos() } as f32;
    let values: Vec<f32> = (0..length).flat_map(|p| (0..features).map(move |i| value(p, i))).collect();
    let t = Tensor::from_vec(values, [length, features], &options.device)?;
    t.to_dtype(options.dtype.unwrap_or(DType::F32))
}

/// Rotary position embedding: pairs of features turn by an angle that grows with the position, so that products of queries and
/// keys depend on distances alone (Su et al., "RoFormer"). Pairs are `(i, i + dim / 2)`, as in Llama.
#[derive(Module, Debug, Clone)]
pub struct RotaryEmbedding {
    dim: usize,
    base: f64,
}

impl RotaryEmbedding {
    /// For heads of `dim` features; the usual `base` is 10000.
    ///
    /// # Errors
    /// An odd `dim`, a base that is not positive.
    pub fn new(dim: usize, base: f64) -> Result<RotaryEmbedding> {
        if dim == 0 || dim % 2 != 0 || base <= 0.0 || base.is_nan() {
            return Err(Error::argument(
                "RotaryEmbedding",
                format!("needs an even number of features and a positive base, not {dim} and {base}"),
            ));
        }
        Ok(RotaryEmbedding { dim, base })
    }

    /// Turns queries or keys `[.., L, dim]` whose first token is at position `offset`.
    ///
    /// # Errors
    /// Another number of features.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, offset: usize) -> Result<Tensor> {
        let &[.., length, dim] = x.shape() else {
            return Err(Error::argument("RotaryEmbedding", format!("expects [.., L, {}], not {:?}", self.dim, x.shape())));
        };
        if dim != self.dim {
            return Err(Error::argument("RotaryEmbedding", format!("expects {} features, the input is {:?}", self.dim, x.shape())));
        }
        let half = dim / 2;
        let angle = |p: usize, i: usize| (offset + p) as f64 * self.base.powf(-2.0 * i as f64 / dim as f64);
        let table = |f: fn(f64) -> f64| -> Result<Tensor> {
            let values: Vec<f32> = (0..length).flat_map(|p| (0..half).map(move |i| f(angle(p, i)) as f32)).collect();
            let wide = if x.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
            Tensor::from_vec(values, [length, half], x.device())?.to_dtype(wide)
        };
        let (cos, sin) = (table(f64::cos)?, table(f64::sin)?);
        let (a, b) = (x.narrow(-1, 0, half)?, x.narrow(-1, half, half)?);
        Tensor::cat(&[a.mul(&cos)?.sub(&b.mul(&sin)?)?, b.mul(&cos)?.add(&a.mul(&sin)?)?], -1)?.to_dtype(x.dtype())
    }
}

/// `[heads, L, S]`: what ALiBi adds to scores, `-slope |i - j|` with a slope for each head (Press et al., "Train short, test long").
/// Queries are the last `L` of `S` positions.
///
/// # Errors
/// The device lacks the type or the memory.
pub fn alibi_bias(heads: usize, queries: usize, keys: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let options = options.into();
    let slopes = Tensor::from_vec(alibi_slopes(heads), [heads, 1, 1], &options.device)?;
    let distance = distances(queries, keys, &options)?.abs()?.neg()?.to_dtype(DType::F32)?;
    distance.mul(&slopes)?.to_dtype(options.dtype.unwrap_or(DType::F32))
}

/// Powers of two for a power of two of heads; other heads take every second slope of the next one.
fn alibi_slopes(heads: usize) -> Vec<f32> {
    let powers = |n: usize| (1..=n).map(move |i| 2f64.powf(-8.0 * i as f64 / n as f64) as f32);
    let floor = if heads.is_power_of_two() { heads } else { heads.next_power_of_two() / 2 };
    powers(floor).chain(powers(2 * floor).step_by(2)).take(heads).collect()
}

/// `[L, S]`: key position minus query position, where queries are the last `L` of `S` positions.
fn distances(queries: usize, keys: usize, options: &TensorOptions) -> Result<Tensor> {
    let at = |from: i64, n: usize| Tensor::arange(from, from + n as i64, 1, (DType::I64, &options.device));
    at(0, keys)?.sub(&at(keys as i64 - queries as i64, queries)?.unsqueeze(1)?)
}

/// `[L, S]` of `bool`, `true` where a query may attend, as `scaled_dot_product_attention` takes it: to itself and the `window - 1` tokens
/// before it. Queries are the last `L` of `S` positions.
///
/// # Errors
/// The device lacks the memory.
pub fn sliding_window_mask(queries: usize, keys: usize, window: usize, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let d = distances(queries, keys, &options.into())?;
    d.le(0)?.logical_and(d.gt(-i64::try_from(window).unwrap_or(i64::MAX))?)
}

/// A learned bias for each head and each bucket of distances: near ones apart, far ones together on a logarithmic scale (T5).
#[derive(Module, Debug)]
pub struct RelativePositionBias {
    /// `[buckets, heads]`
    pub weight: Param,
    bidirectional: bool,
    max_distance: usize,
}

impl RelativePositionBias {
    /// T5 has 32 buckets up to distance 128.
    ///
    /// # Errors
    /// Fewer than 4 buckets; the device lacks the type or the memory.
    pub fn new(
        heads: usize,
        buckets: usize,
        max_distance: usize,
        bidirectional: bool,
        options: impl Into<TensorOptions>,
    ) -> Result<RelativePositionBias> {
        if buckets < 4 || max_distance < buckets {
            let why = format!("needs at least 4 buckets and as large a distance, not {buckets} and {max_distance}");
            return Err(Error::argument("RelativePositionBias", why));
        }
        let weight = Param::new(&init::normal(&[buckets, heads], 0.0, 1.0, options)?)?;
        Ok(RelativePositionBias { weight, bidirectional, max_distance })
    }

    /// `[heads, L, S]`: what to add to the scores. Queries are the last `L` of `S` positions.
    ///
    /// # Errors
    /// Out of memory.
    #[track_caller]
    pub fn forward(&self, queries: usize, keys: usize) -> Result<Tensor> {
        let heads = self.weight.shape()[1];
        let first = keys as i64 - queries as i64;
        let bucket = |q: usize, k: usize| self.bucket(k as i64 - (q as i64 + first)) as i64;
        let index: Vec<i64> = (0..queries).flat_map(|q| (0..keys).map(move |k| bucket(q, k))).collect();
        let index = Tensor::from_vec(index, [queries * keys], self.weight.device())?;
        self.weight.index_select(0, &index)?.reshape([queries, keys, heads])?.permute([2, 0, 1])
    }

    fn bucket(&self, distance: i64) -> usize {
        let mut buckets = self.weight.shape()[0];
        let mut base = 0;
        let d = if self.bidirectional {
            buckets /= 2;
            if distance > 0 {
                base = buckets;
            }
            distance.unsigned_abs() as usize
        } else {
            (-distance).max(0) as usize
        };
        let exact = buckets / 2;
        if d < exact {
            return base + d;
        }
        let scale = (d as f64 / exact as f64).ln() / (self.max_distance as f64 / exact as f64).ln();
        base + (exact + (scale * (buckets - exact) as f64) as usize).min(buckets - 1)
    }
}
