//! Quantised numbers: to and from them, and products of them, exact in integers.

use taper::{DType, Result, Tensor};

use super::convert::convert;
use super::convolution::convolve;
use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::element::Elem;
use crate::value::{Array, Value};

pub(super) static TABLE: &[Operator] = &[
    op("ConvInteger", 10, |c| {
        let x = shifted(c, 0, 2, 1)?;
        let w = shifted(c, 1, 3, 0)?;
        one(integer_convolution(c, &x, &w)?.to_dtype(DType::I32)?)
    }),
    op("DequantizeLinear", 10, dequantize),
    op("DynamicQuantizeLinear", 11, dynamic),
    op("MatMulInteger", 10, |c| {
        // Zero points of the rows of the one and the columns of the other.
        one(shifted(c, 0, 2, -2)?.matmul(&shifted(c, 1, 3, -1)?)?)
    }),
    op("QLinearConv", 10, linear_convolution),
    op("QLinearMatMul", 10, linear_product),
    op("QuantizeLinear", 10, quantize),
];

/// A factor or a zero point in a shape that broadcasts to `x`: one for all, one for each place of `axis`, or one for a block.
fn spread(c: &Call<'_>, t: &Tensor, x: &[usize], axis: i64, block: usize) -> Result<Tensor> {
    if t.numel() == 1 {
        return t.reshape([0usize; 0]);
    }
    let dim = c.dim(axis, x.len())?;
    if block == 0 {
        let shape: Vec<usize> = (0..x.len()).map(|d| if d == dim { t.numel() } else { 1 }).collect();
        return t.reshape(shape);
    }
    t.repeat_interleave(block, dim as isize)?.narrow(dim as isize, 0, x[dim])
}

/// Floats to integers or narrow floats: `round(x / scale) + zero`, within the type's range.
fn to_range(x: &Tensor, zero: Option<&Tensor>, to: Elem, saturate: bool) -> Result<Array> {
    let Some((low, high)) = to.range() else {
        let x = match zero {
            Some(zero) => x.add(zero.to_dtype(x.dtype())?)?,
            None => x.clone(),
        };
        return convert(&x, to, saturate, "up");
    };
    let mut y = x.round()?.to_dtype(Call::wide(x.dtype()))?;
    if let Some(zero) = zero {
        y = y.add(zero.to_dtype(y.dtype())?)?;
    }
    Array::new(to, y.clamp(low as f64, high as f64)?.to_dtype(to.storage())?)
}

fn quantize(c: &Call<'_>) -> Out {
    let (x, scale, zero) = (c.tensor(0)?, c.tensor(1)?, c.maybe(2)?);
    let (axis, block) = (c.int("axis", 1)?, c.sizes(&[c.int("block_size", 0)?])?[0]);
    let to = match (&zero, c.int("output_dtype", 0)?) {
        (Some(_), _) => c.array(2)?.elem(),
        (None, 0) => DType::U8.into(),
        (None, code) => Elem::of(code)?,
    };
    let scale = spread(c, &scale, x.shape(), axis, block)?;
    let zero = zero.map(|z| spread(c, &z, x.shape(), axis, block)).transpose()?;
    let precision = match c.int("precision", 0)? {
        0 if x.dtype().is_float() => x.dtype().promote(scale.dtype()).unwrap_or(DType::F32),
        0 => scale.dtype(),
        code => Elem::of(code)?.storage(),
    };
    let ratio = x.to_dtype(precision)?.div(scale.to_dtype(precision)?)?;
    one(to_range(&ratio, zero.as_ref(), to, c.flag("saturate", true)?)?)
}

fn dequantize(c: &Call<'_>) -> Out {
    let (x, scale, zero) = (c.tensor(0)?, c.tensor(1)?, c.maybe(2)?);
    let (axis, block) = (c.int("axis", 1)?, c.sizes(&[c.int("block_size", 0)?])?[0]);
    let to = match c.int("output_dtype", 0)? {
        0 => scale.dtype(),
        code => Elem::of(code)?.storage(),
    };
    let factor = spread(c, &scale, x.shape(), axis, block)?.to_dtype(Call::wide(scale.dtype()))?;
    // Differences of 32-bit integers are taken before they become floats, which hold only 24 bits.
    let centred = match (zero, x.dtype().is_float()) {
        (Some(zero), false) => x.to_dtype(DType::I32)?.sub(spread(c, &zero, x.shape(), axis, block)?.to_dtype(DType::I32)?)?,
        _ => x.clone(),
    };
    one(centred.to_dtype(factor.dtype())?.mul(factor)?.to_dtype(to)?)
}

fn dynamic(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let (low, high) = (x.min_all()?.minimum(0.0)?, x.max_all()?.maximum(0.0)?);
    let scale = high.sub(&low)?.div(255.0)?;
    let zero = low.neg()?.div(&scale)?.clamp(0.0, 255.0)?.round()?;
    let y = to_range(&x.div(&scale)?, Some(&zero), DType::U8.into(), true)?;
    Ok(vec![Value::from(y), scale.into(), zero.to_dtype(DType::U8)?.into()])
}

/// Input `i` less its zero point, in `i32`. A list of zero points lies along `axis`.
fn shifted(c: &Call<'_>, i: usize, zero: usize, axis: i64) -> Result<Tensor> {
    let x = c.tensor(i)?.to_dtype(DType::I32)?;
    let Some(zero) = c.maybe(zero)? else { return Ok(x) };
    let zero = if zero.rank() == 1 && x.rank() > 1 { spread(c, &zero, x.shape(), axis, 0)? } else { zero };
    x.sub(zero.to_dtype(DType::I32)?)
}

/// Integers convolved in floats that hold their sums: all of them in `f64`, which GPUs do not have; on those up to 2^24.
fn integer_convolution(c: &Call<'_>, x: &Tensor, w: &Tensor) -> Result<Tensor> {
    let wide = if c.device.is_cpu() { DType::F64 } else { DType::F32 };
    convolve(c, &x.to_dtype(wide)?, &w.to_dtype(wide)?, None)
}

fn linear_product(c: &Call<'_>) -> Out {
    let sums = shifted(c, 0, 2, -2)?.matmul(&shifted(c, 3, 5, -1)?)?;
    let list = |i: usize, axis: i64| -> Result<Tensor> {
        let t = c.tensor(i)?.to_dtype(DType::F32)?;
        if t.rank() == 1 { spread(c, &t, sums.shape(), axis, 0) } else { Ok(t) }
    };
    let factor = list(1, -2)?.mul(list(4, -1)?)?.div(list(6, -1)?)?;
    requantized(c, &sums, &factor, 7, 0)
}

fn linear_convolution(c: &Call<'_>) -> Out {
    let (x, w) = (shifted(c, 0, 2, 1)?, shifted(c, 3, 5, 0)?);
    let mut sums = integer_convolution(c, &x, &w)?;
    let along = |t: &Tensor| if t.numel() == 1 { t.reshape([0usize; 0]) } else { spread(c, t, sums.shape(), 1, 0) };
    let scale = |i: usize| -> Result<Tensor> { along(&c.tensor(i)?.to_dtype(DType::F32)?) };
    let factor = scale(1)?.mul(scale(4)?)?.div(scale(6)?)?;
    if let Some(bias) = c.maybe(8)? {
        let bias = along(&bias)?.to_dtype(sums.dtype())?;
        sums = sums.add(bias)?;
    }
    requantized(c, &sums, &factor, 7, 0)
}

/// Sums in the output's scale, around its zero point, which also says its type.
fn requantized(c: &Call<'_>, sums: &Tensor, factor: &Tensor, zero: usize, like: usize) -> Out {
    let to = c.array(if c.has(zero) { zero } else { like })?.elem();
    let (low, high) = to.range().ok_or_else(|| c.error(format!("{to} is no integer")))?;
    let mut y = sums.to_dtype(DType::F32)?.mul(factor)?;
    if let Some(zero) = c.maybe(zero)? {
        y = y.add(zero.to_dtype(DType::F32)?)?;
    }
    one(Array::new(to, y.round()?.clamp(low as f64, high as f64)?.to_dtype(to.storage())?)?)
}
