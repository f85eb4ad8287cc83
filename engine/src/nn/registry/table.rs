//! The layers of this library by PyTorch's names and arguments.

use super::{Registry, Settings};
use crate::error::{Error, Result};
use crate::nn::{self, Layer};
use crate::tensor::{Interpolation, InterpolationMode, TensorOptions};

type Made = Result<Box<dyn Layer>>;

/// `"Name" |settings, options| layer;`
macro_rules! layers {
    ($registry:ident: $($name:literal |$s:ident, $o:ident| $layer:expr;)*) => {
        $($registry.register($name, |$s: &mut Settings<'_>, $o: &TensorOptions| -> Made { Ok(Box::new($layer)) });)*
    };
}

pub(super) fn fill(registry: &mut Registry) {
    activations(registry);
    dense(registry);
    spatial::<1>(registry);
    spatial::<2>(registry);
    spatial::<3>(registry);
    images(registry);
}

fn activations(registry: &mut Registry) {
    layers! { registry:
        "Identity" |_s, _o| nn::Identity;
        "ReLU" |_s, _o| nn::ReLU;
        "ReLU6" |_s, _o| nn::ReLU6;
        "SiLU" |_s, _o| nn::SiLU;
        "Tanh" |_s, _o| nn::Tanh;
        "Sigmoid" |_s, _o| nn::Sigmoid;
        "SELU" |_s, _o| nn::SELU;
        "Mish" |_s, _o| nn::Mish;
        "Hardsigmoid" |_s, _o| nn::Hardsigmoid;
        "Hardswish" |_s, _o| nn::Hardswish;
        "LogSigmoid" |_s, _o| nn::LogSigmoid;
        "Softsign" |_s, _o| nn::Softsign;
        "Tanhshrink" |_s, _o| nn::Tanhshrink;
        "Softmax2d" |_s, _o| nn::Softmax2d;
        "GELU" |s, _o| match s.text("approximate", "none")?.as_str() {
            "none" => nn::GELU::new(),
            "tanh" => nn::GELU::tanh(),
            other => return Err(Error::argument("config", format!("GELU: approximate cannot be '{other}'; none or tanh is expected"))),
        };
        "LeakyReLU" |s, _o| nn::LeakyReLU::new(s.float("negative_slope", 0.01)?);
        "ELU" |s, _o| nn::ELU::new(s.float("alpha", 1.0)?);
        "CELU" |s, _o| nn::CELU::new(s.float("alpha", 1.0)?);
        "GLU" |s, _o| nn::GLU::new(s.int("dim", -1)? as isize);
        "Hardshrink" |s, _o| nn::Hardshrink::new(s.float("lambd", 0.5)?);
        "Softshrink" |s, _o| nn::Softshrink::new(s.float("lambd", 0.5)?);
        "Hardtanh" |s, _o| nn::Hardtanh::new(s.float("min_val", -1.0)?, s.float("max_val", 1.0)?);
        "Softplus" |s, _o| nn::Softplus::new(s.float("beta", 1.0)?, s.float("threshold", 20.0)?);
        "Threshold" |s, _o| nn::Threshold::new(s.float("threshold", 0.0)?, s.float("value", 0.0)?);
        "Softmax" |s, _o| nn::Softmax::new(s.int("dim", -1)? as isize);
        "LogSoftmax" |s, _o| nn::LogSoftmax::new(s.int("dim", -1)? as isize);
        "Softmin" |s, _o| nn::Softmin::new(s.int("dim", -1)? as isize);
        "PReLU" |s, o| nn::PReLU::with(s.size_or("num_parameters", 1)?, s.float("init", 0.25)?, o.clone())?;
        "RReLU" |s, _o| nn::RReLU::new(s.float("lower", 1.0 / 8.0)?, s.float("upper", 1.0 / 3.0)?)?;
    }
}

fn dense(registry: &mut Registry) {
    layers! { registry:
        "Flatten" |s, _o| nn::Flatten::dims(s.int("start_dim", 1)? as isize, s.int("end_dim", -1)? as isize);
        "Unflatten" |s, _o| {
            let sizes: Vec<isize> = s.shape("unflattened_size")?.into_iter().map(|n| n as isize).collect();
            nn::Unflatten::new(s.int("dim", 1)? as isize, &sizes)
        };
        "Linear" |s, o| {
            let (i, n) = (s.size("in_features")?, s.size("out_features")?);
            if s.flag("bias", true)? { nn::Linear::new(i, n, o.clone())? } else { nn::Linear::no_bias(i, n, o.clone())? }
        };
        "Embedding" |s, o| {
            let (n, d) = (s.size("num_embeddings")?, s.size("embedding_dim")?);
            let table = match s.get("padding_idx") {
                Some(_) => nn::Embedding::with_padding(n, d, s.size("padding_idx")?, o.clone())?,
                None => nn::Embedding::new(n, d, o.clone())?,
            };
            let table = table.scale_grad_by_freq(s.flag("scale_grad_by_freq", false)?);
            let p = s.float("norm_type", 2.0)?;
            if s.get("max_norm").is_some() { table.max_norm(s.float("max_norm", 0.0)?, p) } else { table }
        };
        "Dropout" |s, _o| nn::Dropout::new(s.float("p", 0.5)?)?;
        "Dropout1d" |s, _o| nn::Dropout1d::new(s.float("p", 0.5)?)?;
        "Dropout2d" |s, _o| nn::Dropout2d::new(s.float("p", 0.5)?)?;
        "Dropout3d" |s, _o| nn::Dropout3d::new(s.float("p", 0.5)?)?;
        "AlphaDropout" |s, _o| nn::AlphaDropout::new(s.float("p", 0.5)?)?;
        "FeatureAlphaDropout" |s, _o| nn::FeatureAlphaDropout::new(s.float("p", 0.5)?)?;
        "LayerNorm" |s, o| {
            let norm = nn::LayerNorm::new(s.shape("normalized_shape")?, o.clone())?.eps(s.float("eps", 1e-5)?);
            match (s.flag("elementwise_affine", true)?, s.flag("bias", true)?) {
                (false, _) => norm.plain(),
                (true, false) => norm.no_bias(),
                (true, true) => norm,
            }
        };
        "RMSNorm" |s, o| {
            let norm = nn::RMSNorm::new(s.shape("normalized_shape")?, o.clone())?;
            let norm = if s.get("eps").is_some() { norm.eps(s.float("eps", 0.0)?) } else { norm };
            if s.flag("elementwise_affine", true)? { norm } else { norm.plain() }
        };
        "GroupNorm" |s, o| {
            let norm = nn::GroupNorm::new(s.size("num_groups")?, s.size("num_channels")?, o.clone())?.eps(s.float("eps", 1e-5)?);
            if s.flag("affine", true)? { norm } else { norm.plain() }
        };
        "TransformerEncoderLayer" |s, o| transformer(s)?.encoder_layer(o.clone())?;
        "TransformerEncoder" |s, o| transformer(s)?.encoder(s.size("num_layers")?, o.clone())?;
    }
}

fn transformer(s: &mut Settings<'_>) -> Result<nn::TransformerConfig> {
    let activation = match s.text("activation", "relu")?.as_str() {
        "relu" => nn::Activation::Relu,
        "gelu" => nn::Activation::Gelu,
        other => return Err(Error::argument("config", format!("activation cannot be '{other}'; relu or gelu is expected"))),
    };
    let config = nn::TransformerConfig::new(s.size("d_model")?, s.size("nhead")?).dim_feedforward(s.size_or("dim_feedforward", 2048)?);
    let config = config.dropout(s.float("dropout", 0.1)?).activation(activation).layer_norm_eps(s.float("layer_norm_eps", 1e-5)?);
    let config = config.batch_first(s.flag("batch_first", false)?).norm_first(s.flag("norm_first", false)?);
    Ok(config.bias(s.flag("bias", true)?))
}

/// The layers there are for one, two and three spatial dimensions.
fn spatial<const D: usize>(registry: &mut Registry) {
    let mut add = |name: &str, make: fn(&mut Settings<'_>, &TensorOptions) -> Made| registry.register(format!("{name}{D}d"), make);
    add("Conv", |s, o| {
        let b = nn::Conv::<D>::builder(s.size("in_channels")?, s.size("out_channels")?, s.sizes::<D>("kernel_size", None)?);
        let b = b.stride(s.sizes("stride", Some([1; D]))?).dilation(s.sizes("dilation", Some([1; D]))?);
        let b = match s.get("padding").and_then(|v| v.as_str()) {
            Some("same") => b.padding_same(),
            Some("valid") => b,
            _ => b.padding(s.sizes("padding", Some([0; D]))?),
        };
        let b = b.groups(s.size_or("groups", 1)?).bias(s.flag("bias", true)?).padding_mode(s.text("padding_mode", "zeros")?.parse()?);
        Ok(Box::new(b.build(o.clone())?))
    });
    add("ConvTranspose", |s, o| {
        let b = nn::ConvTranspose::<D>::builder(s.size("in_channels")?, s.size("out_channels")?, s.sizes::<D>("kernel_size", None)?);
        let b = b.stride(s.sizes("stride", Some([1; D]))?).padding(s.sizes("padding", Some([0; D]))?);
        let b = b.output_padding(s.sizes("output_padding", Some([0; D]))?).dilation(s.sizes("dilation", Some([1; D]))?);
        Ok(Box::new(b.groups(s.size_or("groups", 1)?).bias(s.flag("bias", true)?).build(o.clone())?))
    });
    add("BatchNorm", |s, o| {
        let b = nn::BatchNorm::<D>::builder(s.size("num_features")?).eps(s.float("eps", 1e-5)?).momentum(s.float("momentum", 0.1)?);
        Ok(Box::new(b.affine(s.flag("affine", true)?).track_running_stats(s.flag("track_running_stats", true)?).build(o.clone())?))
    });
    add("InstanceNorm", |s, o| {
        let b = nn::InstanceNorm::<D>::builder(s.size("num_features")?).eps(s.float("eps", 1e-5)?).momentum(s.float("momentum", 0.1)?);
        Ok(Box::new(b.affine(s.flag("affine", false)?).track_running_stats(s.flag("track_running_stats", false)?).build(o.clone())?))
    });
    add("MaxPool", |s, _| {
        let kernel = s.sizes::<D>("kernel_size", None)?;
        let pool = nn::MaxPool::<D>::new(kernel).stride(s.sizes("stride", Some(kernel))?).padding(s.sizes("padding", Some([0; D]))?);
        Ok(Box::new(pool.dilation(s.sizes("dilation", Some([1; D]))?).ceil_mode(s.flag("ceil_mode", false)?)))
    });
    add("AvgPool", |s, _| {
        let kernel = s.sizes::<D>("kernel_size", None)?;
        let pool = nn::AvgPool::<D>::new(kernel).stride(s.sizes("stride", Some(kernel))?).padding(s.sizes("padding", Some([0; D]))?);
        Ok(Box::new(pool.ceil_mode(s.flag("ceil_mode", false)?).count_include_pad(s.flag("count_include_pad", true)?)))
    });
    add("LPPool", |s, _| {
        let kernel = s.sizes::<D>("kernel_size", None)?;
        let pool = nn::LPPool::<D>::new(s.float("norm_type", 2.0)?, kernel).stride(s.sizes("stride", Some(kernel))?);
        Ok(Box::new(pool.ceil_mode(s.flag("ceil_mode", false)?)))
    });
    add("AdaptiveAvgPool", |s, _| Ok(Box::new(nn::AdaptiveAvgPool::<D>::keeping(s.sizes::<D>("output_size", None)?.map(Some)))));
    add("AdaptiveMaxPool", |s, _| Ok(Box::new(nn::AdaptiveMaxPool::<D>::keeping(s.sizes::<D>("output_size", None)?.map(Some)))));
}

fn images(registry: &mut Registry) {
    layers! { registry:
        "PixelShuffle" |s, _o| nn::PixelShuffle::new(s.size("upscale_factor")?);
        "PixelUnshuffle" |s, _o| nn::PixelUnshuffle::new(s.size("downscale_factor")?);
        "ChannelShuffle" |s, _o| nn::ChannelShuffle::new(s.size("groups")?);
        "LocalResponseNorm" |s, _o| {
            nn::LocalResponseNorm::new(s.size("size")?).alpha(s.float("alpha", 1e-4)?).beta(s.float("beta", 0.75)?).k(s.float("k", 1.0)?)
        };
        "Upsample" |s, _o| {
            let mode: InterpolationMode = s.text("mode", "nearest")?.parse()?;
            let how = match s.get("size") {
                Some(_) => Interpolation::to_size(mode, &s.shape("size")?),
                None => Interpolation::by_scale(mode, &[s.float("scale_factor", f64::NAN)?]),
            };
            let corners = s.get("align_corners").is_some().then(|| s.flag("align_corners", false)).transpose()?;
            nn::Upsample::new(how.align_corners(corners))
        };
    }
}
