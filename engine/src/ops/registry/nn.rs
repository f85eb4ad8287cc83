//! What networks are made of.

use super::convert::Value;
use super::rows;
use crate::error::{Error, Result};
use crate::loss::{self, CrossEntropy, Reduction};
use crate::tensor::Tensor;

type Pair = [usize; 2];
type One = [usize; 1];

fn reduction(name: &str, op: &'static str) -> Result<Reduction> {
    match name {
        "mean" => Ok(Reduction::Mean),
        "sum" => Ok(Reduction::Sum),
        "none" => Ok(Reduction::None),
        "batchmean" if op == "kl_div" => Ok(Reduction::BatchMean),
        other => Err(Error::argument(op, format!("reduction '{other}' is none of mean, sum, none"))),
    }
}

/// A pair of values, or the first alone where the indices were not asked for.
fn with_indices((values, indices): (Tensor, Tensor), wanted: bool) -> Result<Value> {
    Ok(if wanted { Value::List(vec![values.into(), indices.into()]) } else { values.into() })
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

    "nn.functional.conv1d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: One = [1], padding: One = [0], dilation: One = [1], groups: usize = 1)
        input.conv1d(&weight, bias.as_ref(), stride[0], padding[0], dilation[0], groups);
    "nn.functional.conv2d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Pair = [1; 2], padding: Pair = [0; 2], dilation: Pair = [1; 2], groups: usize = 1)
        input.conv2d(&weight, bias.as_ref(), stride, padding, dilation, groups);
    "nn.functional.conv_transpose1d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: One = [1], padding: One = [0], output_padding: One = [0],
        groups: usize = 1, dilation: One = [1])
        input.conv_transpose1d(&weight, bias.as_ref(), stride[0], padding[0], output_padding[0], groups, dilation[0]);
    "nn.functional.conv_transpose2d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Pair = [1; 2], padding: Pair = [0; 2],
        output_padding: Pair = [0; 2], groups: usize = 1, dilation: Pair = [1; 2])
        input.conv_transpose2d(&weight, bias.as_ref(), stride, padding, output_padding, groups, dilation);

    "nn.functional.max_pool1d"(input: Tensor, kernel_size: One, stride: Option<One>, padding: One = [0], dilation: One = [1], ceil_mode: bool = false,
        return_indices: bool = false)
        with_indices(input.max_pool1d_with_indices(kernel_size[0], stride.unwrap_or(kernel_size)[0], padding[0], dilation[0], ceil_mode)?, return_indices);
    "nn.functional.max_pool2d"(input: Tensor, kernel_size: Pair, stride: Option<Pair>, padding: Pair = [0; 2], dilation: Pair = [1; 2],
        ceil_mode: bool = false, return_indices: bool = false)
        with_indices(input.max_pool2d_with_indices(kernel_size, stride.unwrap_or(kernel_size), padding, dilation, ceil_mode)?, return_indices);
    "nn.functional.avg_pool1d"(input: Tensor, kernel_size: One, stride: Option<One>, padding: One = [0], ceil_mode: bool = false, count_include_pad: bool = true)
        input.avg_pool1d(kernel_size[0], stride.unwrap_or(kernel_size)[0], padding[0], ceil_mode, count_include_pad);
    "nn.functional.avg_pool2d"(input: Tensor, kernel_size: Pair, stride: Option<Pair>, padding: Pair = [0; 2], ceil_mode: bool = false,
        count_include_pad: bool = true, divisor_override: Option<usize>)
        input.avg_pool2d(kernel_size, stride.unwrap_or(kernel_size), padding, ceil_mode, count_include_pad, divisor_override);
    "nn.functional.adaptive_avg_pool1d"(input: Tensor, output_size: One) input.adaptive_avg_pool1d(output_size[0]);
    "nn.functional.adaptive_avg_pool2d"(input: Tensor, output_size: Pair) input.adaptive_avg_pool2d(output_size);
    "nn.functional.adaptive_max_pool2d"(input: Tensor, output_size: Pair, return_indices: bool = false)
        with_indices(input.adaptive_max_pool2d_with_indices(output_size)?, return_indices);

    "nn.functional.scaled_dot_product_attention"(query: Tensor, key: Tensor, value: Tensor, attn_mask: Option<Tensor>, dropout_p: f64 = 0.0,
        is_causal: bool = false, scale: Option<f64>)
        query.scaled_dot_product_attention(&key, &value, attn_mask.as_ref(), dropout_p, is_causal, scale);
    "nn.functional.dropout"(input: Tensor, p: f64 = 0.5, training: bool = true) crate::nn::dropout(&input, p, training);

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
