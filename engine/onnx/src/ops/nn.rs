//! Products, normalisation and dropout.

use taper::{DType, Error, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("BatchNormalization", 1, batch_norm),
    op("Det", 11, |c| one(c.tensor(0)?.det()?)),
    op("Dropout", 1, dropout),
    op("Einsum", 12, einsum),
    op("Gemm", 1, gemm),
    op("GroupNormalization", 18, group_norm),
    op("InstanceNormalization", 1, |c| one(instance_norm(c)?)),
    op("LRN", 1, lrn),
    op("LayerNormalization", 17, layer_norm),
    op("LpNormalization", 1, lp_norm),
    op("MatMul", 1, |c| one(c.tensor(0)?.matmul(&c.tensor(1)?)?)),
    op("MeanVarianceNormalization", 9, mean_variance_norm),
    op("RMSNormalization", 23, rms_norm),
];

fn gemm(c: &Call<'_>) -> Out {
    let turned = |i: usize, name: &str| -> Result<Tensor> {
        let x = c.tensor(i)?;
        if c.flag(name, false)? { x.t() } else { Ok(x) }
    };
    let scaled = |x: Tensor, name: &str| -> Result<Tensor> {
        let by = c.float(name, 1.0)?;
        match x.dtype().is_float() {
            _ if by == 1.0 => Ok(x),
            true => x.mul(by),
            false => x.to_dtype(DType::F32)?.mul(by)?.to_dtype(x.dtype()),
        }
    };
    let y = scaled(turned(0, "transA")?.matmul(&turned(1, "transB")?)?, "alpha")?;
    one(match c.maybe(2)? {
        Some(bias) => y.add(scaled(bias, "beta")?)?,
        None => y,
    })
}

fn einsum(c: &Call<'_>) -> Out {
    let all = c.tensors()?;
    one(Tensor::einsum(c.text("equation", "")?, &all.iter().collect::<Vec<_>>())?)
}

/// `[n]` as a shape that broadcasts along the channels of `x`.
fn per_channel(t: &Tensor, x: &Tensor) -> Result<Tensor> {
    t.reshape([&[t.numel()][..], &vec![1; x.rank().saturating_sub(2)]].concat())
}

fn batch_norm(c: &Call<'_>) -> Out {
    let (x, eps) = (c.tensor(0)?, c.float("epsilon", 1e-5)?);
    let own = x.dtype();
    let [scale, bias, mean, var] = [c.tensor(1)?, c.tensor(2)?, c.tensor(3)?, c.tensor(4)?];
    let wide = Call::wide(mean.dtype());
    let norm = |x: &Tensor, mean: &Tensor, var: &Tensor| -> Result<Tensor> {
        let factor = scale.to_dtype(wide)?.div(var.to_dtype(wide)?.add(eps)?.sqrt()?)?;
        let x = x.to_dtype(wide)?;
        x.sub(per_channel(&mean.to_dtype(wide)?, &x)?)?
            .mul(per_channel(&factor, &x)?)?
            .add(per_channel(&bias.to_dtype(wide)?, &x)?)?
            .to_dtype(own)
    };
    let training = if c.opset() >= 14 { c.flag("training_mode", false)? } else { c.wants(1) && !c.flag("is_test", false)? };
    if !training {
        return one(norm(&x, &mean, &var)?);
    }
    let dims: Vec<usize> = (0..x.rank()).filter(|&d| d != 1).collect();
    let batch = x.to_dtype(wide)?;
    let (batch_var, batch_mean) = (batch.var(&dims, 0.0)?, batch.mean(&dims)?);
    let momentum = c.float("momentum", 0.9)?;
    let moved = |old: &Tensor, new: &Tensor| -> Result<Value> {
        Ok(old.to_dtype(wide)?.mul(momentum)?.add(new.mul(1.0 - momentum)?)?.to_dtype(old.dtype())?.into())
    };
    Ok(vec![norm(&x, &batch_mean, &batch_var)?.into(), moved(&mean, &batch_mean)?, moved(&var, &batch_var)?])
}

/// Zero mean and a variance of one over these dimensions.
fn standardized(x: &Tensor, dims: &[usize], eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let mean = x.mean_keepdim(dims)?;
    let centred = x.sub(&mean)?;
    let inverse = centred.square()?.mean_keepdim(dims)?.add(eps)?.sqrt()?.reciprocal()?;
    Ok((centred.mul(&inverse)?, mean, inverse))
}

fn instance_norm(c: &Call<'_>) -> Result<Tensor> {
    let (x, scale, bias) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
    let dims: Vec<usize> = (2..x.rank()).collect();
    let wide = x.to_dtype(Call::wide(x.dtype()))?;
    let (y, ..) = standardized(&wide, &dims, c.float("epsilon", 1e-5)?)?;
    y.mul(per_channel(&scale.to_dtype(wide.dtype())?, &x)?)?.add(per_channel(&bias.to_dtype(wide.dtype())?, &x)?)?.to_dtype(x.dtype())
}

fn group_norm(c: &Call<'_>) -> Out {
    let (x, mut scale, mut bias) = (c.tensor(0)?, c.tensor(1)?, c.tensor(2)?);
    let groups = c.sizes(&[c.int("num_groups", 1)?])?[0];
    let &[n, channels, ..] = x.shape() else { return Err(c.error(format!("{:?} has no channels", x.shape()))) };
    if groups == 0 || channels % groups != 0 {
        return Err(c.error(format!("{channels} channels in {groups} groups")));
    }
    // Until version 21 there was one factor for each group.
    if c.opset() < 21 {
        scale = scale.repeat_interleave(channels / groups, 0)?;
        bias = bias.repeat_interleave(channels / groups, 0)?;
    }
    let wide = Call::wide(x.dtype());
    let rows = x.to_dtype(wide)?.reshape([n, groups, x.numel() / (n * groups).max(1)])?;
    let (y, ..) = standardized(&rows, &[2], c.float("epsilon", 1e-5)?)?;
    let y = y.reshape(x.shape())?.mul(per_channel(&scale.to_dtype(wide)?, &x)?)?.add(per_channel(&bias.to_dtype(wide)?, &x)?)?;
    one(y.to_dtype(x.dtype())?)
}

fn layer_norm(c: &Call<'_>) -> Out {
    let (x, scale, bias) = (c.tensor(0)?, c.tensor(1)?, c.maybe(2)?);
    let dim = c.dim(c.int("axis", -1)?, x.rank())?;
    let eps = c.float("epsilon", 1e-5)?;
    let normalized = &x.shape()[dim..];
    let fits = |t: &Tensor| t.shape() == normalized && t.dtype() == x.dtype();
    if !c.wants(1) && !c.wants(2) && fits(&scale) && bias.as_ref().is_none_or(fits) {
        return one(x.layer_norm(normalized, Some(&scale), bias.as_ref(), eps)?);
    }
    let wide = Call::wide(x.dtype());
    let (y, mean, inverse) = standardized(&x.to_dtype(wide)?, &(dim..x.rank()).collect::<Vec<_>>(), eps)?;
    let mut y = y.to_dtype(x.dtype())?.mul(&scale)?;
    if let Some(bias) = bias {
        y = y.add(bias)?;
    }
    Ok(vec![Value::from(y), mean.into(), inverse.into()])
}

fn rms_norm(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", -1)?, x.rank())?;
    let wide = x.to_dtype(Call::wide(x.dtype()))?;
    let dims: Vec<usize> = (dim..x.rank()).collect();
    let y = wide.div(wide.square()?.mean_keepdim(&dims)?.add(c.float("epsilon", 1e-5)?)?.sqrt()?)?;
    one(y.to_dtype(x.dtype())?.mul(c.tensor(1)?)?)
}

fn mean_variance_norm(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dims = c.dims(c.list("axes")?.unwrap_or(&[0, 2, 3]), x.rank())?;
    let centred = x.sub(x.mean_keepdim(&dims)?)?;
    one(centred.div(centred.square()?.mean_keepdim(&dims)?.sqrt()?.add(1e-9)?)?)
}

/// Each element divided by a power of the sum of squares of its neighbours in other channels.
fn lrn(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let size = c.sizes(&[c.int("size", 1)?])?[0].max(1);
    let (before, after) = ((size - 1) / 2, size / 2);
    let mut amounts = vec![0usize; 2 * x.rank().saturating_sub(1)];
    let Some([left, right]) = amounts.last_chunk_mut::<2>() else { return Err(c.error(format!("{:?} has no channels", x.shape()))) };
    (*left, *right) = (before, after);
    let sums = x.square()?.pad(amounts, "constant", 0.0)?.unfold(1, size, 1)?.sum(-1)?;
    let (alpha, beta, bias) = (c.float("alpha", 1e-4)?, c.float("beta", 0.75)?, c.float("bias", 1.0)?);
    one(x.div(sums.mul(alpha / size as f64)?.add(bias)?.pow(beta)?)?)
}

fn lp_norm(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let dim = c.dim(c.int("axis", -1)?, x.rank())?;
    let norm = match c.int("p", 2)? {
        1 => x.abs()?.sum_keepdim(dim)?,
        2 => x.square()?.sum_keepdim(dim)?.sqrt()?,
        p => return Err(Error::argument("onnx", format!("attribute 'p' is {p}, neither 1 nor 2"))),
    };
    one(x.div(norm.masked_fill(&norm.eq(0)?, 1)?)?)
}

/// Nothing in inference; in training (an input since version 12) elements are dropped and the others scaled.
fn dropout(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    let training = c.opset() >= 12 && c.has(2) && c.host(2)?.to_ints()?.first().is_some_and(|&v| v != 0);
    let ratio = match (c.opset() >= 12, c.has(1)) {
        (true, true) => c.number(1)?,
        (true, false) => 0.5,
        (false, _) => c.float("ratio", 0.5)?,
    };
    if !training || ratio == 0.0 {
        let all = Tensor::ones(x.shape(), (DType::Bool, c.device))?;
        return Ok(vec![Value::from(x), all.into()]);
    }
    if !(0.0..1.0).contains(&ratio) {
        return Err(c.error(format!("a ratio of {ratio}")));
    }
    let keep = Tensor::rand(x.shape(), (DType::F32, c.device))?.ge(ratio)?;
    let y = x.div(1.0 - ratio)?.masked_fill(&keep.logical_not()?, 0)?;
    Ok(vec![Value::from(y), keep.into()])
}
