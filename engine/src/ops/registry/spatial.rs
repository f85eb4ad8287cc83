//! Convolution, pooling, padding, resampling, folding, bags of embeddings, dropout.

use super::convert::{FromValue, Kept, Value};
use super::rows;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::nn;
use crate::tensor::{BagMode, EmbeddingBag, GridMode, GridPadding, Interpolation, InterpolationMode, Tensor};

type One = [usize; 1];
type Pair = [usize; 2];
type Triple = [usize; 3];

/// A pair of values, or the first alone where the indices were not asked for.
fn with_indices((values, indices): (Tensor, Tensor), wanted: bool) -> Result<Value> {
    Ok(if wanted { Value::List(vec![values.into(), indices.into()]) } else { values.into() })
}

rows! {
    "nn.functional.conv1d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: One = [1], padding: Padding<1> = Padding::default(),
        dilation: One = [1], groups: usize = 1)
        padding.convolve("conv1d", input, &weight, bias.as_ref(), stride, dilation, groups);
    "nn.functional.conv2d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Pair = [1; 2], padding: Padding<2> = Padding::default(),
        dilation: Pair = [1; 2], groups: usize = 1)
        padding.convolve("conv2d", input, &weight, bias.as_ref(), stride, dilation, groups);
    "nn.functional.conv3d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Triple = [1; 3], padding: Padding<3> = Padding::default(),
        dilation: Triple = [1; 3], groups: usize = 1)
        padding.convolve("conv3d", input, &weight, bias.as_ref(), stride, dilation, groups);
    "nn.functional.conv_transpose1d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: One = [1], padding: One = [0], output_padding: One = [0],
        groups: usize = 1, dilation: One = [1])
        input.convolve_transposed("conv_transpose1d", &weight, bias.as_ref(), [stride, padding, output_padding, dilation], groups);
    "nn.functional.conv_transpose2d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Pair = [1; 2], padding: Pair = [0; 2],
        output_padding: Pair = [0; 2], groups: usize = 1, dilation: Pair = [1; 2])
        input.convolve_transposed("conv_transpose2d", &weight, bias.as_ref(), [stride, padding, output_padding, dilation], groups);
    "nn.functional.conv_transpose3d"(input: Tensor, weight: Tensor, bias: Option<Tensor>, stride: Triple = [1; 3], padding: Triple = [0; 3],
        output_padding: Triple = [0; 3], groups: usize = 1, dilation: Triple = [1; 3])
        input.convolve_transposed("conv_transpose3d", &weight, bias.as_ref(), [stride, padding, output_padding, dilation], groups);

    "nn.functional.max_pool1d"(input: Tensor, kernel_size: One, stride: Option<One>, padding: One = [0], dilation: One = [1], ceil_mode: bool = false,
        return_indices: bool = false)
        with_indices(input.max_pool([kernel_size, stride.unwrap_or(kernel_size), padding, dilation], ceil_mode)?, return_indices);
    "nn.functional.max_pool2d"(input: Tensor, kernel_size: Pair, stride: Option<Pair>, padding: Pair = [0; 2], dilation: Pair = [1; 2],
        ceil_mode: bool = false, return_indices: bool = false)
        with_indices(input.max_pool([kernel_size, stride.unwrap_or(kernel_size), padding, dilation], ceil_mode)?, return_indices);
    "nn.functional.max_pool3d"(input: Tensor, kernel_size: Triple, stride: Option<Triple>, padding: Triple = [0; 3], dilation: Triple = [1; 3],
        ceil_mode: bool = false, return_indices: bool = false)
        with_indices(input.max_pool([kernel_size, stride.unwrap_or(kernel_size), padding, dilation], ceil_mode)?, return_indices);
    "nn.functional.max_unpool1d"(input: Tensor, indices: Tensor, kernel_size: One, stride: Option<One>, padding: One = [0], output_size: Option<Vec<usize>>)
        input.max_unpool(&indices, kernel_size, stride.unwrap_or(kernel_size), padding, output_size.as_deref());
    "nn.functional.max_unpool2d"(input: Tensor, indices: Tensor, kernel_size: Pair, stride: Option<Pair>, padding: Pair = [0; 2], output_size: Option<Vec<usize>>)
        input.max_unpool(&indices, kernel_size, stride.unwrap_or(kernel_size), padding, output_size.as_deref());
    "nn.functional.max_unpool3d"(input: Tensor, indices: Tensor, kernel_size: Triple, stride: Option<Triple>, padding: Triple = [0; 3], output_size: Option<Vec<usize>>)
        input.max_unpool(&indices, kernel_size, stride.unwrap_or(kernel_size), padding, output_size.as_deref());
    "nn.functional.fractional_max_pool2d"(input: Tensor, kernel_size: Pair, output_size: Option<Pair>, output_ratio: Option<Ratio<2>>,
        return_indices: bool = false, _random_samples: Option<Tensor>)
        fractional(&input, kernel_size, output_size, output_ratio, return_indices, _random_samples.as_ref());
    "nn.functional.fractional_max_pool3d"(input: Tensor, kernel_size: Triple, output_size: Option<Triple>, output_ratio: Option<Ratio<3>>,
        return_indices: bool = false, _random_samples: Option<Tensor>)
        fractional(&input, kernel_size, output_size, output_ratio, return_indices, _random_samples.as_ref());
    "nn.functional.avg_pool1d"(input: Tensor, kernel_size: One, stride: Option<One>, padding: One = [0], ceil_mode: bool = false, count_include_pad: bool = true)
        input.avg_pool([kernel_size, stride.unwrap_or(kernel_size), padding], ceil_mode, count_include_pad, None);
    "nn.functional.avg_pool2d"(input: Tensor, kernel_size: Pair, stride: Option<Pair>, padding: Pair = [0; 2], ceil_mode: bool = false,
        count_include_pad: bool = true, divisor_override: Option<isize>)
        means(&input, [kernel_size, stride.unwrap_or(kernel_size), padding], ceil_mode, count_include_pad, divisor_override);
    "nn.functional.avg_pool3d"(input: Tensor, kernel_size: Triple, stride: Option<Triple>, padding: Triple = [0; 3], ceil_mode: bool = false,
        count_include_pad: bool = true, divisor_override: Option<isize>)
        means(&input, [kernel_size, stride.unwrap_or(kernel_size), padding], ceil_mode, count_include_pad, divisor_override);
    "nn.functional.lp_pool1d"(input: Tensor, norm_type: f64, kernel_size: One, stride: Option<One>, ceil_mode: bool = false)
        input.lp_pool(norm_type, kernel_size, stride.unwrap_or(kernel_size), ceil_mode);
    "nn.functional.lp_pool2d"(input: Tensor, norm_type: f64, kernel_size: Pair, stride: Option<Pair>, ceil_mode: bool = false)
        input.lp_pool(norm_type, kernel_size, stride.unwrap_or(kernel_size), ceil_mode);
    "nn.functional.lp_pool3d"(input: Tensor, norm_type: f64, kernel_size: Triple, stride: Option<Triple>, ceil_mode: bool = false)
        input.lp_pool(norm_type, kernel_size, stride.unwrap_or(kernel_size), ceil_mode);
    "nn.functional.adaptive_avg_pool1d"(input: Tensor, output_size: Kept<1>) input.adaptive_avg_pool(output_size.sizes(&input));
    "nn.functional.adaptive_avg_pool2d"(input: Tensor, output_size: Kept<2>) input.adaptive_avg_pool(output_size.sizes(&input));
    "nn.functional.adaptive_avg_pool3d"(input: Tensor, output_size: Kept<3>) input.adaptive_avg_pool(output_size.sizes(&input));
    "nn.functional.adaptive_max_pool1d"(input: Tensor, output_size: Kept<1>, return_indices: bool = false)
        with_indices(input.adaptive_max_pool(output_size.sizes(&input))?, return_indices);
    "nn.functional.adaptive_max_pool2d"(input: Tensor, output_size: Kept<2>, return_indices: bool = false)
        with_indices(input.adaptive_max_pool(output_size.sizes(&input))?, return_indices);
    "nn.functional.adaptive_max_pool3d"(input: Tensor, output_size: Kept<3>, return_indices: bool = false)
        with_indices(input.adaptive_max_pool(output_size.sizes(&input))?, return_indices);

    "nn.functional.interpolate"(input: Tensor, size: Option<Sizes>, scale_factor: Option<Factors>, mode: String = "nearest".into(),
        align_corners: Option<bool>, recompute_scale_factor: Option<bool>, antialias: bool = false)
        interpolate(&input, size, scale_factor, &mode, align_corners, recompute_scale_factor, antialias);
    "nn.functional.upsample"(input: Tensor, size: Option<Sizes>, scale_factor: Option<Factors>, mode: String = "nearest".into(), align_corners: Option<bool>)
        interpolate(&input, size, scale_factor, &mode, align_corners, None, false);
    "nn.functional.upsample_nearest"(input: Tensor, size: Option<Sizes>, scale_factor: Option<Factors>)
        interpolate(&input, size, scale_factor, "nearest", None, None, false);
    "nn.functional.upsample_bilinear"(input: Tensor, size: Option<Sizes>, scale_factor: Option<Factors>)
        interpolate(&input, size, scale_factor, "bilinear", Some(true), None, false);
    "_upsample_bilinear2d_aa"(input: Tensor, output_size: Option<Sizes>, align_corners: bool = false, scale_factors: Option<Factors>) {
        // With both, the factors say where elements lie.
        let scales = scale_factors.filter(|_| output_size.is_none());
        interpolate(&input, output_size, scales, "bilinear", Some(align_corners), None, true)
    };
    "grid_sampler"(input: Tensor, grid: Tensor, interpolation_mode: usize, padding_mode: usize, align_corners: bool)
        sampled(&input, &grid, interpolation_mode, padding_mode, align_corners);
    "grid_sampler_2d"(input: Tensor, grid: Tensor, interpolation_mode: usize, padding_mode: usize, align_corners: bool)
        sampled(&input, &grid, interpolation_mode, padding_mode, align_corners);
    "grid_sampler_3d"(input: Tensor, grid: Tensor, interpolation_mode: usize, padding_mode: usize, align_corners: bool)
        sampled(&input, &grid, interpolation_mode, padding_mode, align_corners);
    "nn.functional.grid_sample"(input: Tensor, grid: Tensor, mode: String = "bilinear".into(), padding_mode: String = "zeros".into(), align_corners: Option<bool>)
        input.grid_sample(&grid, mode.parse()?, padding_mode.parse()?, align_corners.unwrap_or(false));
    "nn.functional.affine_grid"(theta: Tensor, size: Vec<usize>, align_corners: Option<bool>) theta.affine_grid(&size, align_corners.unwrap_or(false));

    "nn.functional.unfold"(input: Tensor, kernel_size: Pair, dilation: Pair = [1; 2], padding: Pair = [0; 2], stride: Pair = [1; 2])
        input.im2col(kernel_size, dilation, padding, stride);
    "nn.functional.fold"(input: Tensor, output_size: Pair, kernel_size: Pair, dilation: Pair = [1; 2], padding: Pair = [0; 2], stride: Pair = [1; 2])
        input.fold(output_size, kernel_size, dilation, padding, stride);
    "nn.functional.pixel_shuffle"(input: Tensor, upscale_factor: usize) input.pixel_shuffle(upscale_factor);
    "nn.functional.pixel_unshuffle"(input: Tensor, downscale_factor: usize) input.pixel_unshuffle(downscale_factor);
    "nn.functional.channel_shuffle"(input: Tensor, groups: usize) input.channel_shuffle(groups);
    "pixel_shuffle"(input: Tensor, upscale_factor: usize) input.pixel_shuffle(upscale_factor);
    "pixel_unshuffle"(input: Tensor, downscale_factor: usize) input.pixel_unshuffle(downscale_factor);
    "channel_shuffle"(input: Tensor, groups: usize) input.channel_shuffle(groups);
    "nn.functional.local_response_norm"(input: Tensor, size: usize, alpha: f64 = 1e-4, beta: f64 = 0.75, k: f64 = 1.0)
        input.local_response_norm(size, alpha, beta, k);

    "nn.functional.embedding_bag"(input: Tensor, weight: Tensor, offsets: Option<Tensor>, max_norm: Option<f64>, norm_type: f64 = 2.0,
        scale_grad_by_freq: bool = false, mode: String = "mean".into(), sparse: bool = false, per_sample_weights: Option<Tensor>,
        include_last_offset: bool = false, padding_idx: Option<isize>) {
        // Gradients are dense.
        let _ = sparse;
        if let Some(max_norm) = max_norm {
            weight.embedding_renorm_(&input, max_norm, norm_type)?;
        }
        let mode: BagMode = mode.parse()?;
        let (offsets, per_sample_weights) = (offsets.as_ref(), per_sample_weights.as_ref());
        weight.embedding_bag(&input, &EmbeddingBag { mode, offsets, include_last_offset, per_sample_weights, padding_idx, scale_grad_by_freq })
    };

    "nn.functional.dropout"(input: Tensor, p: f64 = 0.5, training: bool = true) nn::dropout(&input, p, training);
    "nn.functional.dropout1d"(input: Tensor, p: f64 = 0.5, training: bool = true) nn::dropout1d(&input, p, training);
    "nn.functional.dropout2d"(input: Tensor, p: f64 = 0.5, training: bool = true) nn::dropout2d(&input, p, training);
    "nn.functional.dropout3d"(input: Tensor, p: f64 = 0.5, training: bool = true) nn::dropout3d(&input, p, training);
    "nn.functional.alpha_dropout"(input: Tensor, p: f64 = 0.5, training: bool = false) nn::alpha_dropout(&input, p, training);
    "nn.functional.feature_alpha_dropout"(input: Tensor, p: f64 = 0.5, training: bool = false) nn::feature_alpha_dropout(&input, p, training);
    "native_dropout_backward"(grad_output: Tensor, mask: Tensor, scale: f64) grad_output.mul(&mask.to_dtype(grad_output.dtype())?)?.mul(scale);
}

fn means<const D: usize>(input: &Tensor, sizes: [[usize; D]; 3], ceil: bool, include_pad: bool, divisor: Option<isize>) -> Result<Tensor> {
    let means = input.avg_pool(sizes, ceil, include_pad, divisor.map(isize::unsigned_abs))?;
    if divisor.is_some_and(|d| d < 0) { means.neg() } else { Ok(means) }
}

fn fractional<const D: usize>(
    input: &Tensor,
    kernel: [usize; D],
    size: Option<[usize; D]>,
    ratio: Option<Ratio<D>>,
    indices: bool,
    samples: Option<&Tensor>,
) -> Result<Value> {
    let op = "fractional_max_pool";
    let output = match (size, ratio) {
        (Some(size), None) => size,
        (None, Some(Ratio(ratio))) => {
            if !ratio.iter().all(|r| *r > 0.0 && *r < 1.0) {
                return Err(Error::argument(op, format!("output_ratio must be between 0 and 1, not {ratio:?}")));
            }
            let lead = input.rank().saturating_sub(D);
            std::array::from_fn(|d| (input.shape().get(lead + d).copied().unwrap_or(1) as f64 * ratio[d]) as usize)
        }
        _ => return Err(Error::argument(op, "needs either output_size or output_ratio")),
    };
    with_indices(input.fractional_max_pool(kernel, output, samples)?, indices)
}

fn interpolate(
    input: &Tensor,
    size: Option<Sizes>,
    scale: Option<Factors>,
    mode: &str,
    align_corners: Option<bool>,
    recompute: Option<bool>,
    antialias: bool,
) -> Result<Tensor> {
    let mode: InterpolationMode = mode.parse()?;
    let how = match (size, scale) {
        (Some(Sizes(size)), None) => Interpolation::to_size(mode, &size),
        (None, Some(Factors(scale))) => Interpolation::by_scale(mode, &scale),
        (Some(_), Some(_)) => return Err(Error::argument("interpolate", "takes only one of size and scale_factor")),
        (None, None) => return Err(Error::argument("interpolate", "needs a size or a scale_factor")),
    };
    let how = how.align_corners(align_corners).recompute_scale_factor(recompute.unwrap_or(false)).antialias(antialias);
    input.interpolate(&how)
}

/// `grid_sample` with PyTorch's numbers for the modes.
fn sampled(input: &Tensor, grid: &Tensor, mode: usize, padding: usize, align_corners: bool) -> Result<Tensor> {
    let modes = [GridMode::Bilinear, GridMode::Nearest, GridMode::Bicubic];
    let paddings = [GridPadding::Zeros, GridPadding::Border, GridPadding::Reflection];
    let unknown = || Error::argument("grid_sampler", format!("there is no mode {mode} with padding {padding}"));
    let (mode, padding) = modes.get(mode).copied().zip(paddings.get(padding).copied()).ok_or_else(unknown)?;
    input.grid_sample(grid, mode, padding, align_corners)
}

/// One size or several.
struct Sizes(Vec<usize>);

impl FromValue for Sizes {
    const WHAT: &'static str = "a non-negative integer or several";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::Int(_) => Some(Sizes(vec![usize::from_value(v, device)?])),
            v => Vec::from_value(v, device).map(Sizes),
        }
    }
}

/// One number or several.
struct Factors(Vec<f64>);

impl FromValue for Factors {
    const WHAT: &'static str = "a number or several";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::List(_) => Vec::from_value(v, device).map(Factors),
            v => Some(Factors(vec![f64::from_value(v, device)?])),
        }
    }
}

/// One number for all of `N` dimensions, or one for each.
struct Ratio<const N: usize>([f64; N]);

impl<const N: usize> FromValue for Ratio<N> {
    const WHAT: &'static str = "a number, or one for each dimension";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        let Factors(list) = Factors::from_value(v, device)?;
        match list[..] {
            [one] => Some(Ratio([one; N])),
            _ => list.try_into().ok().map(Ratio),
        }
    }
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
    fn convolve(
        self,
        op: &'static str,
        input: Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        stride: [usize; N],
        dilation: [usize; N],
        groups: usize,
    ) -> Result<Tensor> {
        let (input, padding) = self.resolve(op, input, weight, stride, dilation)?;
        input.convolve(op, weight, bias, stride, padding, dilation, groups)
    }

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
