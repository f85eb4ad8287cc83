//! Dropout: a random part of the values is zeroed while training.

use smallvec::smallvec;

use crate::Module;
use crate::autograd::{no_grad, record_with};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

use super::Training;
use super::module::Layer;
use super::sequential::layers;

/// Zeroes each value with probability `p` while training and scales the others by `1 / (1 - p)`; the identity in
/// evaluation.
///
/// The mask is the same on every device for the same seed.
#[derive(Module, Debug, Clone)]
pub struct Dropout {
    p: f64,
    training: Training,
}

impl Dropout {
    /// # Errors
    /// `p` is not a probability.
    pub fn new(p: f64) -> Result<Dropout> {
        check(p)?;
        Ok(Dropout { p, training: Training::default() })
    }

    /// # Errors
    /// The input is not floating point.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        dropout(x, self.p, self.training.get())
    }
}

layers!(Dropout);

fn check(p: f64) -> Result<()> {
    if (0.0..=1.0).contains(&p) { Ok(()) } else { Err(Error::argument("dropout", format!("p = {p} is not a probability"))) }
}

/// [`Dropout`] as a function.
///
/// # Errors
/// `p` is not a probability; the input is not floating point.
pub fn dropout(x: &Tensor, p: f64, training: bool) -> Result<Tensor> {
    check(p)?;
    if !training || p == 0.0 {
        return Ok(x.clone());
    }
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    // 1 / (1 - p) where a value stays, 0 where it goes: y = x * kept, dx = dy * kept.
    let kept = no_grad(|| Tensor::rand(x.shape(), x.device())?.ge(p)?.to_dtype(x.dtype())?.mul(scale))?;
    let y = no_grad(|| x.mul(&kept))?;
    record_with(&y, "dropout", &[x], move |dy, _| Ok(smallvec![Some(dy.mul(&kept)?)]));
    Ok(y)
}
