//! What networks are made of.

use super::rows;
use crate::error::{Error, Result};
use crate::loss::{self, CrossEntropy, Reduction};
use crate::tensor::Tensor;

fn reduction(name: &str, op: &'static str) -> Result<Reduction> {
    match name {
        "mean" => Ok(Reduction::Mean),
        "sum" => Ok(Reduction::Sum),
        "none" => Ok(Reduction::None),
        "batchmean" if op == "kl_div" => Ok(Reduction::BatchMean),
        other => Err(Error::argument(op, format!("reduction '{other}' is none of mean, sum, none"))),
    }
}

rows! {
    "nn.functional.relu"(input: Tensor) input.relu();
    "nn.functional.gelu"(input: Tensor, approximate: String = "none".into()) input.gelu(&approximate);
    "nn.functional.silu"(input: Tensor) input.silu();
    "nn.functional.softplus"(input: Tensor, beta: f64 = 1.0, threshold: f64 = 20.0) input.softplus(beta, threshold);
    "nn.functional.elu"(input: Tensor, alpha: f64 = 1.0) input.elu(alpha);
    "nn.functional.leaky_relu"(input: Tensor, negative_slope: f64 = 0.01) input.leaky_relu(negative_slope);
    "nn.functional.hardtanh"(input: Tensor, min_val: f64 = -1.0, max_val: f64 = 1.0) input.hardtanh(min_val, max_val);
    "nn.functional.relu6"(input: Tensor) input.relu6();
    "nn.functional.selu"(input: Tensor) input.selu();
    "nn.functional.celu"(input: Tensor, alpha: f64 = 1.0) input.celu(alpha);
    "nn.functional.prelu"(input: Tensor, weight: Tensor) input.prelu(&weight);
    "nn.functional.mish"(input: Tensor) input.mish();
    "nn.functional.softsign"(input: Tensor) input.softsign();
    "nn.functional.tanhshrink"(input: Tensor) input.tanhshrink();
    "nn.functional.logsigmoid"(input: Tensor) input.log_sigmoid();
    "nn.functional.hardswish"(input: Tensor) input.hardswish();
    "nn.functional.hardshrink"(input: Tensor, lambd: f64 = 0.5) input.hardshrink(lambd);
    "nn.functional.softshrink"(input: Tensor, lambd: f64 = 0.5) input.softshrink(lambd);
    "nn.functional.threshold"(input: Tensor, threshold: f64, value: f64) input.threshold(threshold, value);
    "nn.functional.hardsigmoid"(input: Tensor) input.hardsigmoid();

    "nn.functional.layer_norm"(input: Tensor, normalized_shape: Vec<usize>, weight: Option<Tensor>, bias: Option<Tensor>, eps: f64 = 1e-5)
        input.layer_norm(&normalized_shape, weight.as_ref(), bias.as_ref(), eps);
    "nn.functional.group_norm"(input: Tensor, num_groups: usize, weight: Option<Tensor>, bias: Option<Tensor>, eps: f64 = 1e-5)
        input.group_norm(num_groups, weight.as_ref(), bias.as_ref(), eps);
    "nn.functional.batch_norm"(input: Tensor, running_mean: Option<Tensor>, running_var: Option<Tensor>, weight: Option<Tensor>, bias: Option<Tensor>,
        training: bool = false, momentum: f64 = 0.1, eps: f64 = 1e-5)
        input.batch_norm(running_mean.as_ref().zip(running_var.as_ref()), weight.as_ref(), bias.as_ref(), training, momentum, eps);

    "nn.functional.scaled_dot_product_attention"(query: Tensor, key: Tensor, value: Tensor, attn_mask: Option<Tensor>, dropout_p: f64 = 0.0,
        is_causal: bool = false, scale: Option<f64>, enable_gqa: bool = false) {
        let heads = |t: &Tensor| t.rank().checked_sub(3).map_or(1, |d| t.shape()[d]);
        if !enable_gqa && [&key, &value].iter().any(|t| heads(t) != heads(&query) && heads(t) != 1 && heads(&query) != 1) {
            let why = format!("{} query heads and {} of keys; only enable_gqa lets several share one", heads(&query), heads(&key));
            return Err(Error::argument("scaled_dot_product_attention", why));
        }
        query.scaled_dot_product_attention(&key, &value, attn_mask.as_ref(), dropout_p, is_causal, scale)
    };
    "nn.functional.cross_entropy"(input: Tensor, target: Tensor, weight: Option<Tensor>, size_average: Option<bool>, ignore_index: i64 = -100,
        reduce: Option<bool>, reduction: String = "mean".into(), label_smoothing: f64 = 0.0) {
        let _ = (size_average, reduce);
        let options = CrossEntropy { ignore_index, label_smoothing, reduction: self::reduction(&reduction, "cross_entropy")? };
        loss::cross_entropy_with(&input, &target, weight.as_ref(), options)
    };
    "nn.functional.nll_loss"(input: Tensor, target: Tensor, weight: Option<Tensor>, size_average: Option<bool>, ignore_index: i64 = -100,
        reduce: Option<bool>, reduction: String = "mean".into()) {
        let _ = (size_average, reduce);
        loss::nll_loss(&input, &target, weight.as_ref(), ignore_index, self::reduction(&reduction, "nll_loss")?)
    };
    "nn.functional.mse_loss"(input: Tensor, target: Tensor, size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into()) {
        let _ = (size_average, reduce);
        loss::mse_loss(&input, &target, self::reduction(&reduction, "mse_loss")?)
    };
    "nn.functional.l1_loss"(input: Tensor, target: Tensor, size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into()) {
        let _ = (size_average, reduce);
        loss::l1_loss(&input, &target, self::reduction(&reduction, "l1_loss")?)
    };
    "nn.functional.smooth_l1_loss"(input: Tensor, target: Tensor, size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into(), beta: f64 = 1.0) {
        let _ = (size_average, reduce);
        loss::smooth_l1_loss(&input, &target, beta, self::reduction(&reduction, "smooth_l1_loss")?)
    };
    "nn.functional.huber_loss"(input: Tensor, target: Tensor, reduction: String = "mean".into(), delta: f64 = 1.0)
        loss::huber_loss(&input, &target, delta, self::reduction(&reduction, "huber_loss")?);
    "nn.functional.binary_cross_entropy"(input: Tensor, target: Tensor, weight: Option<Tensor>, size_average: Option<bool>, reduce: Option<bool>,
        reduction: String = "mean".into()) {
        let _ = (size_average, reduce);
        loss::binary_cross_entropy(&input, &target, weight.as_ref(), self::reduction(&reduction, "binary_cross_entropy")?)
    };
    "nn.functional.binary_cross_entropy_with_logits"(input: Tensor, target: Tensor, weight: Option<Tensor>, size_average: Option<bool>,
        reduce: Option<bool>, reduction: String = "mean".into(), pos_weight: Option<Tensor>) {
        let _ = (size_average, reduce);
        let reduction = self::reduction(&reduction, "binary_cross_entropy_with_logits")?;
        loss::binary_cross_entropy_with_logits(&input, &target, weight.as_ref(), pos_weight.as_ref(), reduction)
    };
    "nn.functional.kl_div"(input: Tensor, target: Tensor, size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into(),
        log_target: bool = false) {
        let _ = (size_average, reduce);
        loss::kl_div(&input, &target, self::reduction(&reduction, "kl_div")?, log_target)
    };
}
