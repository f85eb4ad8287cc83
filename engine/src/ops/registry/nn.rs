//! What networks are made of.

use super::convert::{FromValue, Kept, Value};
use super::rows;
use crate::device::Device;
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

    "nn.functional.conv1d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: One = [1], padding: Padding<1> = Padding::default(), dilation: One = [1], groups: usize = 1) {
        let (input, padding) = padding.resolve("conv1d", input, &weight, stride, dilation)?;
        input.conv1d(&weight, bias.as_ref(), stride[0], padding[0], dilation[0], groups)
    };
    "nn.functional.conv2d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Pair = [1; 2], padding: Padding<2> = Padding::default(), dilation: Pair = [1; 2],
        groups: usize = 1) {
        let (input, padding) = padding.resolve("conv2d", input, &weight, stride, dilation)?;
        input.conv2d(&weight, bias.as_ref(), stride, padding, dilation, groups)
    };
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
        count_include_pad: bool = true, divisor_override: Option<isize>) {
        let divisor = divisor_override.map(isize::unsigned_abs);
        let means = input.avg_pool2d(kernel_size, stride.unwrap_or(kernel_size), padding, ceil_mode, count_include_pad, divisor)?;
        if divisor_override.is_some_and(|d| d < 0) { means.neg() } else { Ok(means) }
    };
    "nn.functional.adaptive_avg_pool1d"(input: Tensor, output_size: Kept<1>) input.adaptive_avg_pool1d(output_size.sizes(&input)[0]);
    "nn.functional.adaptive_avg_pool2d"(input: Tensor, output_size: Kept<2>) input.adaptive_avg_pool2d(output_size.sizes(&input));
    "nn.functional.adaptive_max_pool1d"(input: Tensor, output_size: Kept<1>, return_indices: bool = false)
        with_indices(input.adaptive_max_pool1d_with_indices(output_size.sizes(&input)[0])?, return_indices);
    "nn.functional.adaptive_max_pool2d"(input: Tensor, output_size: Kept<2>, return_indices: bool = false)
        with_indices(input.adaptive_max_pool2d_with_indices(output_size.sizes(&input))?, return_indices);

    "nn.functional.scaled_dot_product_attention"(query: Tensor, key: Tensor, value: Tensor, attn_mask: Option<Tensor>, dropout_p: f64 = 0.0,
        is_causal: bool = false, scale: Option<f64>, enable_gqa: bool = false) {
        let heads = |t: &Tensor| t.rank().checked_sub(3).map_or(1, |d| t.shape()[d]);
        if !enable_gqa && [&key, &value].iter().any(|t| heads(t) != heads(&query) && heads(t) != 1 && heads(&query) != 1) {
            let why = format!("{} query heads and {} of keys; only enable_gqa lets several share one", heads(&query), heads(&key));
            return Err(Error::argument("scaled_dot_product_attention", why));
        }
        query.scaled_dot_product_attention(&key, &value, attn_mask.as_ref(), dropout_p, is_causal, scale)
    };
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

/// The padding of a convolution: sizes, `'valid'` (none) or `'same'` (the result has the input's size).
#[derive(Default)]
enum Padding<const N: usize> {
    Sizes([usize; N]),
    #[default]
    Valid,
    Same,
}

impl<const N: usize> FromValue for Padding<N> {
    const WHAT: &'static str = "a size, one for each dimension, 'same' or 'valid'";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match &v {
            Value::Str(s) if s == "valid" => Some(Padding::Valid),
            Value::Str(s) if s == "same" => Some(Padding::Same),
            _ => <[usize; N]>::from_value(v, device).map(Padding::Sizes),
        }
    }
}

impl<const N: usize> Padding<N> {
    /// Sizes to pad with on both sides; where one side needs more, the input comes back padded there.
    fn resolve(
        self,
        op: &'static str,
        input: Tensor,
        weight: &Tensor,
        stride: [usize; N],
        dilation: [usize; N],
    ) -> Result<(Tensor, [usize; N])> {
        let mut both = [0; N];
        match self {
            Padding::Sizes(sizes) => return Ok((input, sizes)),
            Padding::Valid => return Ok((input, both)),
            Padding::Same if stride.iter().any(|&s| s != 1) => {
                return Err(Error::argument(op, format!("padding 'same' needs a stride of 1, not {stride:?}")));
            }
            Padding::Same => {}
        }
        let mut more = vec![0; 2 * N];
        for d in 0..N {
            let kernel = weight.shape().get(weight.rank().saturating_sub(N) + d).copied().unwrap_or(1);
            let total = dilation[d].saturating_mul(kernel.saturating_sub(1));
            both[d] = total / 2;
            // The last dimension comes first in what `pad` takes; the second side gets the odd one.
            more[2 * (N - 1 - d) + 1] = (total % 2) as isize;
        }
        let input = if more.iter().all(|&n| n == 0) { input } else { input.pad(more, "constant", 0)? };
        Ok((input, both))
    }
}
