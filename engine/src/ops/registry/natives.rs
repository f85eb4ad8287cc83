//! What PyTorch's public operators call inside, with the statistics they keep for their gradients: exported graphs name these.
#![allow(non_snake_case)]

use super::rows;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::numel;
use crate::tensor::Tensor;

rows! {
    "native_layer_norm"(input: Tensor, normalized_shape: Vec<usize>, weight: Option<Tensor>, bias: Option<Tensor>, eps: f64) {
        layer_norm(&input, &normalized_shape, weight.as_ref(), bias.as_ref(), eps)
    };
    "native_group_norm"(input: Tensor, weight: Option<Tensor>, bias: Option<Tensor>, N: usize, C: usize, HxW: usize, group: usize, eps: f64) {
        group_norm(&input, weight.as_ref(), bias.as_ref(), [N, C, HxW], group, eps)
    };
    "native_batch_norm"(input: Tensor, weight: Option<Tensor>, bias: Option<Tensor>, running_mean: Option<Tensor>, running_var: Option<Tensor>, training: bool,
        momentum: f64, eps: f64) batch_norm(&input, [weight, bias, running_mean, running_var], training, momentum, eps);
    "_native_batch_norm_legit"(input: Tensor, weight: Option<Tensor>, bias: Option<Tensor>, running_mean: Tensor, running_var: Tensor, training: bool,
        momentum: f64, eps: f64) batch_norm(&input, [weight, bias, Some(running_mean), Some(running_var)], training, momentum, eps);
    "_native_batch_norm_legit"(input: Tensor, weight: Option<Tensor>, bias: Option<Tensor>, training: bool, momentum: f64, eps: f64)
        batch_norm(&input, [weight, bias, None, None], training, momentum, eps);
    "_batch_norm_with_update"(input: Tensor, weight: Option<Tensor>, bias: Option<Tensor>, running_mean: Tensor, running_var: Tensor, momentum: f64, eps: f64) {
        let mut all = batch_norm(&input, [weight, bias, Some(running_mean), Some(running_var)], true, momentum, eps)?;
        // Room that cuDNN asks for, and nobody else.
        all.push(Tensor::empty([0], (DType::U8, input.device()))?);
        Ok(all)
    };
    "_softmax_backward_data"(grad_output: Tensor, output: Tensor, dim: isize, input_dtype: DType) {
        let weighted = grad_output.mul(&output)?;
        weighted.sub(&output.mul(&weighted.sum_keepdim(dim)?)?)?.to_dtype(input_dtype)
    };
    "_safe_softmax"(input: Tensor, dim: isize, dtype: Option<DType>) safe_softmax(&dtype.map_or(Ok(input.clone()), |d| input.to_dtype(d))?, dim);
    "_scaled_dot_product_flash_attention_for_cpu"(query: Tensor, key: Tensor, value: Tensor, dropout_p: f64 = 0.0, is_causal: bool = false,
        attn_mask: Option<Tensor>, scale: Option<f64>) flash_attention(&query, &key, &value, dropout_p, is_causal, attn_mask.as_ref(), scale);
    "resolve_conj"(input: Tensor) input.view(input.shape());
    "resolve_neg"(input: Tensor) input.view(input.shape());
}

/// Mean and reciprocal deviation over `dims`, which stay with size 1.
fn statistics(x: &Tensor, dims: &[usize], eps: f64) -> Result<(Tensor, Tensor)> {
    let x = if matches!(x.dtype(), DType::F16 | DType::BF16) { x.to_dtype(DType::F32)? } else { x.clone() };
    Ok((x.mean_keepdim(dims)?, x.var_keepdim(dims, 0.0)?.add(eps)?.rsqrt()?))
}

fn layer_norm(x: &Tensor, normalized: &[usize], w: Option<&Tensor>, b: Option<&Tensor>, eps: f64) -> Result<Vec<Tensor>> {
    let y = x.layer_norm(normalized, w, b, eps)?;
    let dims: Vec<usize> = (x.rank() - normalized.len()..x.rank()).collect();
    let (mean, rstd) = statistics(&x.detach()?, &dims, eps)?;
    Ok(vec![y, mean, rstd])
}

fn group_norm(
    x: &Tensor,
    w: Option<&Tensor>,
    b: Option<&Tensor>,
    [n, c, inner]: [usize; 3],
    groups: usize,
    eps: f64,
) -> Result<Vec<Tensor>> {
    const OP: &str = "native_group_norm";
    let elements = n.checked_mul(c).and_then(|nc| nc.checked_mul(inner));
    if groups == 0 || c % groups != 0 || elements != Some(x.numel()) {
        return Err(Error::argument(OP, format!("{:?} is not {n} times {c} times {inner} in {groups} groups", x.shape())));
    }
    if let Some(t) = [w, b].into_iter().flatten().find(|t| t.shape() != [c]) {
        return Err(Error::argument(OP, format!("weight and bias have one element for each of {c} channels, not {:?}", t.shape())));
    }
    let rows = x.reshape([n, groups, c / groups * inner])?;
    let (mean, rstd) = statistics(&rows, &[2], eps)?;
    let y = rows.sub(&mean)?.mul(&rstd)?.to_dtype(x.dtype())?.reshape([n, c, inner])?;
    let channels = |t: &Tensor| t.unsqueeze(-1);
    let y = w.map(channels).transpose()?.map_or(Ok(y.clone()), |w| y.mul(&w))?;
    let y = b.map(channels).transpose()?.map_or(Ok(y.clone()), |b| y.add(&b))?;
    Ok(vec![y.reshape(x.shape())?, mean.squeeze(-1)?, rstd.squeeze(-1)?])
}

/// The statistics are empty where the running ones took their place.
fn batch_norm(x: &Tensor, [w, b, mean, var]: [Option<Tensor>; 4], training: bool, momentum: f64, eps: f64) -> Result<Vec<Tensor>> {
    let y = x.batch_norm(mean.as_ref().zip(var.as_ref()), w.as_ref(), b.as_ref(), training, momentum, eps)?;
    if !training {
        let none = Tensor::empty([0], (x.dtype(), x.device()))?;
        return Ok(vec![y, none.clone(), none]);
    }
    let dims: Vec<usize> = (0..x.rank()).filter(|&d| d != 1).collect();
    let (mean, rstd) = statistics(&x.detach()?, &dims, eps)?;
    let flat = |t: Tensor| t.reshape([numel(t.shape())]);
    Ok(vec![y, flat(mean)?, flat(rstd)?])
}

/// Rows of nothing but -inf give zeros, and have no gradient.
fn safe_softmax(x: &Tensor, dim: isize) -> Result<Tensor> {
    if x.numel() == 0 {
        return x.softmax(dim);
    }
    let none = x.detach()?.amax_keepdim(dim)?.eq(f64::NEG_INFINITY)?;
    x.masked_fill(&none, 0.0)?.softmax(dim)?.masked_fill(&none, 0.0)
}

/// Attention, and the logarithm of each query's sum of exponentials.
fn flash_attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    dropout: f64,
    causal: bool,
    mask: Option<&Tensor>,
    scale: Option<f64>,
) -> Result<Vec<Tensor>> {
    if q.rank() != 4 || k.rank() != 4 || v.rank() != 4 {
        let told = format!("takes four dimensions, not {:?}, {:?} and {:?}", q.shape(), k.shape(), v.shape());
        return Err(Error::argument("_scaled_dot_product_flash_attention_for_cpu", told));
    }
    let out = q.scaled_dot_product_attention(k, v, mask, dropout, causal, scale)?;
    let scale = scale.unwrap_or(1.0 / (q.size(-1)? as f64).sqrt());
    let mut scores = q.detach()?.matmul(&k.detach()?.mt()?)?.mul(scale)?;
    if causal {
        let later = Tensor::ones([q.size(-2)?, k.size(-2)?], (DType::Bool, q.device()))?.triu(1)?;
        scores = scores.masked_fill(&later, f64::NEG_INFINITY)?;
    }
    if let Some(mask) = mask {
        scores = match mask.dtype() {
            DType::Bool => scores.masked_fill(&mask.logical_not()?, f64::NEG_INFINITY)?,
            _ => scores.add(&mask.detach()?)?,
        };
    }
    Ok(vec![out, scores.logsumexp(-1)?])
}
