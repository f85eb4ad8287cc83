//! Activations and normalisations of networks that are more than a function of one number.

use super::convert::Value;
use super::rows;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::nn::{Masks, MultiheadAttention, Weights};
use crate::tensor::Tensor;

/// The dimension PyTorch takes where none is given.
fn implied(input: &Tensor) -> isize {
    if matches!(input.rank(), 0 | 1 | 3) { 0 } else { 1 }
}

fn converted(input: Tensor, dtype: Option<DType>) -> Result<Tensor> {
    dtype.map_or(Ok(input.clone()), |d| input.to_dtype(d))
}

rows! {
    "nn.functional.glu"(input: Tensor, dim: isize = -1) input.glu(dim);
    "nn.functional.softmin"(input: Tensor, dim: Option<isize>, _stacklevel: i64 = 3, dtype: Option<DType>) {
        let _ = _stacklevel;
        let dim = dim.unwrap_or_else(|| implied(&input));
        converted(input, dtype)?.softmin(dim)
    };
    "nn.functional.softmax"(input: Tensor, dim: Option<isize>, _stacklevel: i64 = 3, dtype: Option<DType>) {
        let _ = _stacklevel;
        let dim = dim.unwrap_or_else(|| implied(&input));
        converted(input, dtype)?.softmax(dim)
    };
    "nn.functional.log_softmax"(input: Tensor, dim: Option<isize>, _stacklevel: i64 = 3, dtype: Option<DType>) {
        let _ = _stacklevel;
        let dim = dim.unwrap_or_else(|| implied(&input));
        converted(input, dtype)?.log_softmax(dim)
    };
    "nn.functional.rrelu"(input: Tensor, lower: f64 = 1.0 / 8.0, upper: f64 = 1.0 / 3.0, training: bool = false) input.rrelu(lower, upper, training);
    "nn.functional.rms_norm"(input: Tensor, normalized_shape: Vec<usize>, weight: Option<Tensor>, eps: Option<f64>)
        input.rms_norm(&normalized_shape, weight.as_ref(), eps);
    "rms_norm"(input: Tensor, normalized_shape: Vec<usize>, weight: Option<Tensor>, eps: Option<f64>)
        input.rms_norm(&normalized_shape, weight.as_ref(), eps);
    "nn.functional.instance_norm"(input: Tensor, running_mean: Option<Tensor>, running_var: Option<Tensor>, weight: Option<Tensor>, bias: Option<Tensor>,
        use_input_stats: bool = true, momentum: f64 = 0.1, eps: f64 = 1e-5) {
        let running = running_mean.as_ref().zip(running_var.as_ref());
        input.instance_norm(running, weight.as_ref(), bias.as_ref(), use_input_stats, momentum, eps)
    };
    "nn.functional.multi_head_attention_forward"(query: Tensor, key: Tensor, value: Tensor, embed_dim_to_check: usize, num_heads: usize,
        in_proj_weight: Option<Tensor>, in_proj_bias: Option<Tensor>, bias_k: Option<Tensor>, bias_v: Option<Tensor>, add_zero_attn: bool = false, dropout_p: f64 = 0.0,
        out_proj_weight: Option<Tensor>, out_proj_bias: Option<Tensor>, training: bool = true, key_padding_mask: Option<Tensor>, need_weights: bool = true,
        attn_mask: Option<Tensor>, use_separate_proj_weight: bool = false, q_proj_weight: Option<Tensor>, k_proj_weight: Option<Tensor>,
        v_proj_weight: Option<Tensor>, static_k: Option<Tensor>, static_v: Option<Tensor>, average_attn_weights: bool = true, is_causal: bool = false) {
        if static_k.is_some() || static_v.is_some() {
            return Err(Error::unsupported("multi_head_attention_forward", "static keys and values"));
        }
        let out_proj_weight = out_proj_weight.ok_or_else(|| Error::argument("multi_head_attention_forward", "out_proj_weight is missing"))?;
        let own = use_separate_proj_weight;
        let projections = [in_proj_weight.filter(|_| !own), q_proj_weight.filter(|_| own), k_proj_weight.filter(|_| own), v_proj_weight.filter(|_| own)];
        let module = MultiheadAttention::of(embed_dim_to_check, num_heads, projections, in_proj_bias, [bias_k, bias_v], (out_proj_weight, out_proj_bias),
            add_zero_attn, dropout_p, training)?;
        let masks = Masks { attn: attn_mask.as_ref(), key_padding: key_padding_mask.as_ref(), causal: is_causal };
        let weights = match (need_weights, average_attn_weights) {
            (false, _) => Weights::None,
            (true, true) => Weights::Averaged,
            (true, false) => Weights::PerHead,
        };
        let (y, weights) = module.attend(&query, &key, &value, masks, weights)?;
        Ok(Value::List(vec![y.into(), weights.map_or(Value::None, Value::Tensor)]))
    };
}
