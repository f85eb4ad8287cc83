//! Convolution, pooling, padding, resampling, folding, bags of embeddings, dropout.

use taper::nn;
use taper::ops::registry::Value;
use taper::{BagMode, Interpolation, InterpolationMode, Tensor};

use super::super::outcome::{Outcome, Step};
use super::arguments::{Arguments, usize_of};
use super::{Built, Inputs, classes};

classes! {
    Dropout(p, inplace) |a| nn::Dropout::new(a.float("p", 0.5)?)?;
    Dropout1d(p, inplace) |a| nn::Dropout1d::new(a.float("p", 0.5)?)?;
    Dropout2d(p, inplace) |a| nn::Dropout2d::new(a.float("p", 0.5)?)?;
    Dropout3d(p, inplace) |a| nn::Dropout3d::new(a.float("p", 0.5)?)?;
    AlphaDropout(p, inplace) |a| nn::AlphaDropout::new(a.float("p", 0.5)?)?;
    FeatureAlphaDropout(p, inplace) |a| nn::FeatureAlphaDropout::new(a.float("p", 0.5)?)?;

    Conv1d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype) |a| conv::<1>(a)?.build(a.options()?)?;
    Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype) |a| conv::<2>(a)?.build(a.options()?)?;
    Conv3d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype) |a| conv::<3>(a)?.build(a.options()?)?;
    LazyConv1d(out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype) |a| conv::<1>(a)?.build_lazy(a.options()?);
    LazyConv2d(out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype) |a| conv::<2>(a)?.build_lazy(a.options()?);
    LazyConv3d(out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode, device, dtype) |a| conv::<3>(a)?.build_lazy(a.options()?);
    ConvTranspose1d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype) |a| transposed::<1>(a)?;
    ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype) |a| transposed::<2>(a)?;
    ConvTranspose3d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype) |a| transposed::<3>(a)?;
    LazyConvTranspose1d(out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype)
        |a| conv_transpose::<1>(a)?.build_lazy(a.options()?);
    LazyConvTranspose2d(out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype)
        |a| conv_transpose::<2>(a)?.build_lazy(a.options()?);
    LazyConvTranspose3d(out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation, padding_mode, device, dtype)
        |a| conv_transpose::<3>(a)?.build_lazy(a.options()?);
    LazyLinear(out_features, bias, device, dtype) |a| {
        let out = a.size("out_features")?;
        if a.flag("bias", true)? { nn::Linear::lazy(out, a.options()?) } else { nn::Linear::lazy_no_bias(out, a.options()?) }
    };

    MaxPool1d(kernel_size, stride, padding, dilation, return_indices, ceil_mode) |a| max_pool::<1>(a)?;
    MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode) |a| max_pool::<2>(a)?;
    MaxPool3d(kernel_size, stride, padding, dilation, return_indices, ceil_mode) |a| max_pool::<3>(a)?;
    MaxUnpool1d(kernel_size, stride, padding) |a| unpool::<1>(a)?;
    MaxUnpool2d(kernel_size, stride, padding) |a| unpool::<2>(a)?;
    MaxUnpool3d(kernel_size, stride, padding) |a| unpool::<3>(a)?;
    AvgPool1d(kernel_size, stride, padding, ceil_mode, count_include_pad) |a| avg_pool::<1>(a)?;
    AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) |a| avg_pool::<2>(a)?;
    AvgPool3d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) |a| avg_pool::<3>(a)?;
    LPPool1d(norm_type, kernel_size, stride, ceil_mode) |a| lp_pool::<1>(a)?;
    LPPool2d(norm_type, kernel_size, stride, ceil_mode) |a| lp_pool::<2>(a)?;
    LPPool3d(norm_type, kernel_size, stride, ceil_mode) |a| lp_pool::<3>(a)?;
    AdaptiveAvgPool1d(output_size) |a| nn::AdaptiveAvgPool1d::keeping(kept(a)?);
    AdaptiveAvgPool2d(output_size) |a| nn::AdaptiveAvgPool2d::keeping(kept(a)?);
    AdaptiveAvgPool3d(output_size) |a| nn::AdaptiveAvgPool3d::keeping(kept(a)?);
    AdaptiveMaxPool1d(output_size, return_indices) |a| adaptive_max::<1>(a)?;
    AdaptiveMaxPool2d(output_size, return_indices) |a| adaptive_max::<2>(a)?;
    AdaptiveMaxPool3d(output_size, return_indices) |a| adaptive_max::<3>(a)?;
    FractionalMaxPool2d(kernel_size, output_size, output_ratio, return_indices, _random_samples) |a| fractional::<2>(a)?;
    FractionalMaxPool3d(kernel_size, output_size, output_ratio, return_indices, _random_samples) |a| fractional::<3>(a)?;

    ZeroPad1d(padding) |a| nn::ZeroPad1d::new(amounts(a, 1)?);
    ZeroPad2d(padding) |a| nn::ZeroPad2d::new(amounts(a, 2)?);
    ZeroPad3d(padding) |a| nn::ZeroPad3d::new(amounts(a, 3)?);
    ConstantPad1d(padding, value) |a| nn::ConstantPad1d::new(amounts(a, 1)?, a.float("value", 0.0)?);
    ConstantPad2d(padding, value) |a| nn::ConstantPad2d::new(amounts(a, 2)?, a.float("value", 0.0)?);
    ConstantPad3d(padding, value) |a| nn::ConstantPad3d::new(amounts(a, 3)?, a.float("value", 0.0)?);
    ReflectionPad1d(padding) |a| nn::ReflectionPad1d::new(amounts(a, 1)?);
    ReflectionPad2d(padding) |a| nn::ReflectionPad2d::new(amounts(a, 2)?);
    ReflectionPad3d(padding) |a| nn::ReflectionPad3d::new(amounts(a, 3)?);
    ReplicationPad1d(padding) |a| nn::ReplicationPad1d::new(amounts(a, 1)?);
    ReplicationPad2d(padding) |a| nn::ReplicationPad2d::new(amounts(a, 2)?);
    ReplicationPad3d(padding) |a| nn::ReplicationPad3d::new(amounts(a, 3)?);
    CircularPad1d(padding) |a| nn::CircularPad1d::new(amounts(a, 1)?);
    CircularPad2d(padding) |a| nn::CircularPad2d::new(amounts(a, 2)?);
    CircularPad3d(padding) |a| nn::CircularPad3d::new(amounts(a, 3)?);

    Upsample(size, scale_factor, mode, align_corners, recompute_scale_factor) |a| nn::Upsample::new(interpolation(a, &a.text("mode", "nearest")?, None)?);
    UpsamplingNearest2d(size, scale_factor) |a| nn::Upsample::new(interpolation(a, "nearest", None)?);
    UpsamplingBilinear2d(size, scale_factor) |a| nn::Upsample::new(interpolation(a, "bilinear", Some(true))?);
    PixelShuffle(upscale_factor) |a| nn::PixelShuffle::new(a.size("upscale_factor")?);
    PixelUnshuffle(downscale_factor) |a| nn::PixelUnshuffle::new(a.size("downscale_factor")?);
    ChannelShuffle(groups) |a| nn::ChannelShuffle::new(a.size("groups")?);
    Unfold(kernel_size, dilation, padding, stride) |a| windows(a)?;
    Fold(output_size, kernel_size, dilation, padding, stride) |a| nn::Fold::new(a.sizes::<2>("output_size", None)?, windows(a)?);
    Unflatten(dim, unflattened_size) |a| {
        let sizes: Vec<isize> = numbers(a.given("unflattened_size")).into_iter().map(|n| n as isize).collect();
        nn::Unflatten::new(a.int("dim", 0)? as isize, &sizes)
    };
    LocalResponseNorm(size, alpha, beta, k) |a| {
        nn::LocalResponseNorm::new(a.size("size")?).alpha(a.float("alpha", 1e-4)?).beta(a.float("beta", 0.75)?).k(a.float("k", 1.0)?)
    };
    EmbeddingBag(num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, mode, sparse, _weight, include_last_offset, padding_idx, device, dtype) |a| {
        let mode: BagMode = a.text("mode", "mean")?.parse()?;
        let bag = nn::EmbeddingBag::new(a.size("num_embeddings")?, a.size("embedding_dim")?, mode, a.options()?)?;
        let bag = bag.include_last_offset(a.flag("include_last_offset", false)?).scale_grad_by_freq(a.flag("scale_grad_by_freq", false)?);
        let bag = if a.given("max_norm").is_some() { bag.max_norm(a.float("max_norm", 0.0)?, a.float("norm_type", 2.0)?) } else { bag };
        let bag = match a.row("padding_idx", a.size("num_embeddings")?)? {
            Some(row) => bag.padding_idx(row)?,
            None => bag,
        };
        Built::with(bag, |bag, inputs| {
            let (offsets, weights) = (inputs.tensor(1, "offsets")?, inputs.tensor(2, "per_sample_weights")?);
            Ok(bag.forward_with(inputs.needed(0, "input")?, offsets, weights)?.into())
        })
    };
}

fn conv<const D: usize>(a: &Arguments<'_>) -> Step<nn::ConvBuilder<D>> {
    // A lazy one has no input channels yet.
    let inputs = if a.given("in_channels").is_some() { a.size("in_channels")? } else { 0 };
    let b = nn::Conv::<D>::builder(inputs, a.size("out_channels")?, a.sizes::<D>("kernel_size", None)?);
    let b = b.stride(a.sizes::<D>("stride", Some(1))?).dilation(a.sizes::<D>("dilation", Some(1))?);
    let b = match a.given("padding") {
        Some(Value::Str(same)) if same == "same" => b.padding_same(),
        Some(Value::Str(valid)) if valid == "valid" => b,
        _ => b.padding(a.sizes::<D>("padding", Some(0))?),
    };
    let b = b.padding_mode(a.text("padding_mode", "zeros")?.parse()?);
    Ok(b.groups(a.one("groups", Some(1), usize_of)?).bias(a.flag("bias", true)?))
}

fn conv_transpose<const D: usize>(a: &Arguments<'_>) -> Step<nn::ConvTransposeBuilder<D>> {
    if a.text("padding_mode", "zeros")? != "zeros" {
        return Err(Outcome::by_type("a transposed convolution pads with zeros only"));
    }
    let inputs = if a.given("in_channels").is_some() { a.size("in_channels")? } else { 0 };
    let b = nn::ConvTranspose::<D>::builder(inputs, a.size("out_channels")?, a.sizes::<D>("kernel_size", None)?);
    let b = b.stride(a.sizes::<D>("stride", Some(1))?).padding(a.sizes::<D>("padding", Some(0))?);
    let b = b.dilation(a.sizes::<D>("dilation", Some(1))?).output_padding(a.sizes::<D>("output_padding", Some(0))?);
    Ok(b.groups(a.one("groups", Some(1), usize_of)?).bias(a.flag("bias", true)?))
}

/// A plain layer; only [`Built::with`] takes an output size.
fn transposed<const D: usize>(a: &Arguments<'_>) -> Step<Built> {
    let layer = conv_transpose::<D>(a)?.build(a.options()?)?;
    Ok(Built::layer_with(layer, |layer, inputs| {
        let x = inputs.needed(0, "input")?;
        let output = numbers(inputs.get(1, "output_size"));
        if output.is_empty() {
            return Ok(layer.forward(x)?.into());
        }
        let last = output.len().saturating_sub(D);
        let output: Option<Vec<usize>> = output[last..].iter().map(|&n| usize::try_from(n).ok()).collect();
        let output: Option<[usize; D]> = output.and_then(|o| o.try_into().ok());
        Ok(layer.forward_to(x, output.ok_or_else(|| Outcome::by_type("output_size"))?)?.into())
    }))
}

/// Values, and indices if they are wanted.
fn with_indices<M: nn::Layer + 'static>(
    a: &Arguments<'_>,
    pool: M,
    both: fn(&M, &Tensor) -> taper::Result<(Tensor, Tensor)>,
) -> Step<Built> {
    if !a.flag("return_indices", false)? {
        return Ok(pool.into());
    }
    Ok(Built::with(pool, move |pool, inputs: &Inputs| {
        let (values, at) = both(pool, inputs.needed(0, "input")?)?;
        Ok(Value::List(vec![values.into(), at.into()]))
    }))
}

fn max_pool<const D: usize>(a: &Arguments<'_>) -> Step<Built> {
    let kernel = a.sizes::<D>("kernel_size", None)?;
    let pool = nn::MaxPool::<D>::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<D>("padding", Some(0))?);
    let pool = pool.dilation(a.sizes::<D>("dilation", Some(1))?).ceil_mode(a.flag("ceil_mode", false)?);
    with_indices(a, pool, nn::MaxPool::forward_with_indices)
}

fn adaptive_max<const D: usize>(a: &Arguments<'_>) -> Step<Built> {
    with_indices(a, nn::AdaptiveMaxPool::<D>::keeping(kept(a)?), nn::AdaptiveMaxPool::forward_with_indices)
}

fn unpool<const D: usize>(a: &Arguments<'_>) -> Step<Built> {
    let kernel = a.sizes::<D>("kernel_size", None)?;
    let pool = nn::MaxUnpool::<D>::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<D>("padding", Some(0))?);
    Ok(Built::with(pool, |pool, inputs| {
        let output: Vec<usize> = numbers(inputs.get(2, "output_size")).into_iter().map(|n| n as usize).collect();
        let output = (!output.is_empty()).then_some(&output[..]);
        Ok(pool.forward(inputs.needed(0, "input")?, inputs.needed(1, "indices")?, output)?.into())
    }))
}

fn avg_pool<const D: usize>(a: &Arguments<'_>) -> Step<nn::AvgPool<D>> {
    let kernel = a.sizes::<D>("kernel_size", None)?;
    let pool = nn::AvgPool::<D>::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<D>("padding", Some(0))?);
    let pool = pool.ceil_mode(a.flag("ceil_mode", false)?).count_include_pad(a.flag("count_include_pad", true)?);
    Ok(if a.given("divisor_override").is_some() { pool.divisor_override(a.size("divisor_override")?) } else { pool })
}

fn lp_pool<const D: usize>(a: &Arguments<'_>) -> Step<nn::LPPool<D>> {
    let kernel = a.sizes::<D>("kernel_size", None)?;
    Ok(nn::LPPool::<D>::new(a.float("norm_type", 2.0)?, kernel).stride(a.strides(kernel)?).ceil_mode(a.flag("ceil_mode", false)?))
}

fn fractional<const D: usize>(a: &Arguments<'_>) -> Step<Built> {
    let kernel = a.sizes::<D>("kernel_size", None)?;
    let pool = match (a.given("output_size"), a.given("output_ratio")) {
        (Some(_), None) => nn::FractionalMaxPool::<D>::new(kernel, a.sizes::<D>("output_size", None)?),
        (None, Some(_)) => {
            let ratio = factors(a.given("output_ratio"));
            let each = std::array::from_fn(|d| ratio.get(d).or(ratio.first()).copied().unwrap_or(f64::NAN));
            nn::FractionalMaxPool::<D>::with_ratio(kernel, each)?
        }
        _ => return Err(Outcome::by_type("needs either output_size or output_ratio")),
    };
    let pool = match a.given("_random_samples") {
        Some(samples) => pool.samples(samples.tensor()?),
        None => pool,
    };
    with_indices(a, pool, nn::FractionalMaxPool::forward_with_indices)
}

/// Output sizes, of which `None` keeps the input's.
fn kept<const D: usize>(a: &Arguments<'_>) -> Step<[Option<usize>; D]> {
    let wrong = || Outcome::by_type("output_size");
    let size = |v: &Value| match v {
        Value::None => Ok(None),
        v => usize_of(v).map(Some).ok_or_else(wrong),
    };
    match a.given("output_size") {
        None => Ok([None; D]),
        Some(Value::List(list)) if list.len() == 1 => Ok([size(&list[0])?; D]),
        Some(Value::List(list)) => list.iter().map(size).collect::<Step<Vec<_>>>()?.try_into().map_err(|_| wrong()),
        Some(one) => Ok([size(one)?; D]),
    }
}

/// Amounts of padding for all sides.
fn amounts(a: &Arguments<'_>, spatial: usize) -> Step<Vec<isize>> {
    let given: Vec<isize> = numbers(a.given("padding")).into_iter().map(|n| n as isize).collect();
    match (a.given("padding"), given.len()) {
        (Some(Value::Int(_)), _) => Ok(vec![given[0]; 2 * spatial]),
        (Some(_), n) if n == 2 * spatial => Ok(given),
        _ => Err(Outcome::by_type("argument padding")),
    }
}

fn interpolation(a: &Arguments<'_>, mode: &str, align: Option<bool>) -> Step<Interpolation> {
    let mode: InterpolationMode = mode.parse()?;
    let how = match (a.given("size"), a.given("scale_factor")) {
        (Some(size), None) => {
            let size: Vec<usize> = numbers(Some(size)).into_iter().map(|n| n as usize).collect();
            Interpolation::to_size(mode, &size)
        }
        (None, Some(scale)) => Interpolation::by_scale(mode, &factors(Some(scale))),
        _ => return Err(Outcome::by_type("needs either size or scale_factor")),
    };
    let given = match a.given("align_corners") {
        Some(Value::Bool(on)) => Some(*on),
        _ => None,
    };
    Ok(how.align_corners(align.or(given)).recompute_scale_factor(a.flag("recompute_scale_factor", false)?))
}

fn windows(a: &Arguments<'_>) -> Step<nn::Unfold> {
    let w = nn::Unfold::new(a.sizes::<2>("kernel_size", None)?).dilation(a.sizes::<2>("dilation", Some(1))?);
    Ok(w.padding(a.sizes::<2>("padding", Some(0))?).stride(a.sizes::<2>("stride", Some(1))?))
}

/// One integer or several; none where there are none.
fn numbers(v: Option<&Value>) -> Vec<i64> {
    match v {
        Some(Value::Int(n)) => vec![*n],
        Some(Value::List(list)) => list.iter().flat_map(|v| numbers(Some(v))).collect(),
        _ => Vec::new(),
    }
}

/// One number or several; none where there are none.
fn factors(v: Option<&Value>) -> Vec<f64> {
    match v {
        Some(Value::Int(n)) => vec![*n as f64],
        Some(Value::Float(f)) => vec![*f],
        Some(Value::List(list)) => list.iter().flat_map(|v| factors(Some(v))).collect(),
        _ => Vec::new(),
    }
}
