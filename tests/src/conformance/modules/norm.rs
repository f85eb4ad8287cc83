//! Normalizations.

use taper::nn;

use super::classes;

classes! {
    BatchNorm1d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::BatchNorm1d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.momentum()?).bias(a.flag("bias", true)?);
        b.affine(a.flag("affine", true)?).track_running_stats(a.flag("track_running_stats", true)?).build(a.options()?)?
    };
    BatchNorm2d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::BatchNorm2d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.momentum()?).bias(a.flag("bias", true)?);
        b.affine(a.flag("affine", true)?).track_running_stats(a.flag("track_running_stats", true)?).build(a.options()?)?
    };
    BatchNorm3d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::BatchNorm3d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.momentum()?).bias(a.flag("bias", true)?);
        b.affine(a.flag("affine", true)?).track_running_stats(a.flag("track_running_stats", true)?).build(a.options()?)?
    };
    InstanceNorm1d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::InstanceNorm1d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.float("momentum", 0.1)?);
        let b = b.affine(a.flag("affine", false)?).bias(a.flag("bias", true)?);
        b.track_running_stats(a.flag("track_running_stats", false)?).build(a.options()?)?
    };
    InstanceNorm2d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::InstanceNorm2d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.float("momentum", 0.1)?);
        let b = b.affine(a.flag("affine", false)?).bias(a.flag("bias", true)?);
        b.track_running_stats(a.flag("track_running_stats", false)?).build(a.options()?)?
    };
    InstanceNorm3d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::InstanceNorm3d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.float("momentum", 0.1)?);
        let b = b.affine(a.flag("affine", false)?).bias(a.flag("bias", true)?);
        b.track_running_stats(a.flag("track_running_stats", false)?).build(a.options()?)?
    };
    LayerNorm(normalized_shape, eps, elementwise_affine, bias) |a| {
        let norm = nn::LayerNorm::new(a.shape("normalized_shape")?, a.options()?)?.eps(a.float("eps", 1e-5)?);
        match (a.flag("elementwise_affine", true)?, a.flag("bias", true)?) {
            (false, _) => norm.plain(),
            (true, false) => norm.no_bias(),
            (true, true) => norm,
        }
    };
    RMSNorm(normalized_shape, eps, elementwise_affine) |a| {
        let norm = nn::RMSNorm::new(a.shape("normalized_shape")?, a.options()?)?;
        let norm = if a.given("eps").is_some() { norm.eps(a.float("eps", 0.0)?) } else { norm };
        if a.flag("elementwise_affine", true)? { norm } else { norm.plain() }
    };
    GroupNorm(num_groups, num_channels, eps, affine) |a| {
        let norm = nn::GroupNorm::new(a.size("num_groups")?, a.size("num_channels")?, a.options()?)?.eps(a.float("eps", 1e-5)?);
        match (a.flag("affine", true)?, a.flag("bias", true)?) {
            (false, _) => norm.plain(),
            (true, false) => norm.no_bias(),
            (true, true) => norm,
        }
    };
}
