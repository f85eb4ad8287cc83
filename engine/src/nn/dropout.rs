//! Dropout: a random part of the values is zeroed while training.

use smallvec::smallvec;

use crate::Module;
use crate::autograd::{no_grad, record_with};
use crate::error::{Error, Result};
use crate::tensor::{Tensor, recorded, replayed};

use super::Training;
use super::module::Layer;
use super::sequential::layers;

/// A layer of one of the functions below.
macro_rules! dropouts {
    ($($(#[$doc:meta])* $name:ident $function:ident;)*) => {
        $(
            $(#[$doc])*
            ///
            /// The mask is the same on every device for the same seed.
            #[derive(Module, Debug, Clone)]
            pub struct $name {
                p: f64,
                training: Training,
            }

            impl $name {
                /// # Errors
                /// `p` is not a probability.
                pub fn new(p: f64) -> Result<$name> {
                    check(p)?;
                    Ok($name { p, training: Training::default() })
                }

                /// # Errors
                /// The input is not floating point, or has another number of dimensions.
                pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
                    $function(x, self.p, self.training.get())
                }
            }
        )*
        layers!($($name),*);
    };
}

dropouts! {
    /// Zeroes each value with probability `p` while training and scales the others by `1 / (1 - p)`; the identity in
    /// evaluation.
    Dropout dropout;
    /// [`Dropout`] of whole channels of `[N, C, L]` or `[C, L]`.
    Dropout1d dropout1d;
    /// [`Dropout`] of whole channels of `[N, C, H, W]`, or of `[N, C, L]` as PyTorch understands three dimensions.
    Dropout2d dropout2d;
    /// [`Dropout`] of whole channels of `[N, C, D, H, W]` or `[C, D, H, W]`.
    Dropout3d dropout3d;
    /// Dropout that keeps mean and variance of what `SELU` gives: values go to its lower limit.
    AlphaDropout alpha_dropout;
    /// [`AlphaDropout`] of whole channels of `[N, C, ..]`.
    FeatureAlphaDropout feature_alpha_dropout;
}

fn check(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) { Ok(()) } else { Err(Error::argument("dropout", format!("p = {p} is not a probability"))) }
}

/// [`Dropout`] as a function. As `torch.nn.functional.dropout`.
///
/// # Errors
/// `p` is not a probability; the input is not floating point.
pub fn dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    zeroed(x, p, training, || Ok(x.shape().to_vec()))
}

/// [`Dropout1d`] as a function. As `torch.nn.functional.dropout1d`.
///
/// # Errors
/// As [`dropout`]; the input has neither two nor three dimensions.
pub fn dropout1d(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    match x.rank() {
        2 => zeroed(x, p, training, || Ok(vec![x.shape()[0], 1])),
        3 => zeroed(x, p, training, || channels(x)),
        _ => Err(Error::argument("dropout1d", format!("{:?} should have 2 or 3 dimensions", x.shape()))),
    }
}

/// [`Dropout2d`] as a function. As `torch.nn.functional.dropout2d`.
///
/// # Errors
/// As [`dropout`]; the input has fewer than two dimensions.
pub fn dropout2d(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    zeroed(x, p, training, || channels(x))
}

/// [`Dropout3d`] as a function. As `torch.nn.functional.dropout3d`.
///
/// # Errors
/// As [`dropout`]; the input has fewer than two dimensions.
pub fn dropout3d(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    if x.rank() == 4 {
        // Without a batch.
        return zeroed(x, p, training, || Ok(vec![x.shape()[0], 1, 1, 1]));
    }
    zeroed(x, p, training, || channels(x))
}

/// [`AlphaDropout`] as a function. As `torch.nn.functional.alpha_dropout`.
///
/// # Errors
/// As [`dropout`].
pub fn alpha_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    saturated(x, p, training, || Ok(x.shape().to_vec()))
}

/// [`FeatureAlphaDropout`] as a function. As `torch.nn.functional.feature_alpha_dropout`.
///
/// # Errors
/// As [`dropout`]; the input has fewer than two dimensions.
pub fn feature_alpha_dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    saturated(x, p, training, || channels(x))
}

/// One element for each channel.
fn channels(x: &Tensor) -> Result<Vec<usize>> {
    if x.rank() < 2 {
        return Err(Error::argument("dropout", format!("{:?} has no channels: at least two dimensions are needed", x.shape())));
    }
    Ok(x.shape().iter().enumerate().map(|(d, &n)| if d < 2 { n } else { 1 }).collect())
}

/// Zeros where a mask of `shape`, broadcast, says so.
fn zeroed(x: &Tensor, p: f64, training: bool, shape: impl FnOnce() -> Result<Vec<usize>>) -> Result<Tensor> {
    check(p)?;
    if !training || p == 0.0 {
        return Ok(x.clone());
    }
    float(x)?;
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    // 1 / (1 - p) where a value stays, 0 where it goes: y = x * kept, dx = dy * kept. The gradient draws the same numbers again:
    // that costs less than keeping them.
    let (shape, dtype, device) = (shape()?, x.dtype(), x.device().clone());
    let kept = move || no_grad(|| Tensor::rand(&shape, &device)?.ge(p)?.to_dtype(dtype)?.mul(scale));
    let (mask, drawn) = recorded(&kept);
    let y = no_grad(|| x.mul(&mask?))?;
    record_with(&y, "dropout", &[x], move |dy, _| Ok(smallvec![Some(dy.mul(&replayed(&drawn, &kept)?)?)]));
    Ok(y)
}

/// `y = a * x` where a value stays and SELU's lower limit where it goes, moved so that mean and variance stay.
fn saturated(x: &Tensor, p: f64, training: bool, shape: impl FnOnce() -> Result<Vec<usize>>) -> Result<Tensor> {
    /// `scale * alpha` of SELU.
    const LIMIT: f64 = 1.758_099_340_847_376_6;
    check(p)?;
    if !training || p == 0.0 {
        return Ok(x.clone());
    }
    float(x)?;
    if p == 1.0 {
        return x.mul(0.0);
    }
    let a = 1.0 / ((LIMIT * LIMIT * p + 1.0) * (1.0 - p)).sqrt();
    let shape = shape()?;
    let (kept, moved) = no_grad(|| -> Result<(Tensor, Tensor)> {
        let stays = Tensor::rand(&shape, x.device())?.ge(p)?.to_dtype(x.dtype())?;
        Ok((stays.mul(a)?, stays.sub(1.0)?.mul(LIMIT * a)?.add(LIMIT * a * p)?))
    })?;
    x.mul(&kept)?.add(&moved)
}

fn float(x: &Tensor) -> Result<()> {
    if x.dtype().is_float() { Ok(()) } else { Err(Error::dtype("dropout", format!("needs floats, not {}", x.dtype()))) }
}
