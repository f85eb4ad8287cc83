//! Clipping gradients, as `torch.nn.utils.clip_grad_norm_` and its kin.
//!
//! The gradients are laid side by side first, as the optimizer wants them: the norm is two kernels and the scaling one,
//! whatever the number of parameters, and the optimizer finds the result where it needs it.

use std::collections::VecDeque;

use super::slab::Laid;
use crate::autograd::no_grad;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const OP: &str = "clip_grad_norm_";

/// Scales gradients down together so that their norm is at most `max_norm`; returns the norm before, in f32 and not read
/// back. `norm_type` is the `p` of the norm: 2, 1, infinity, 0, ..
///
/// Parameters without a gradient count nothing. With `max_norm` infinite this only measures. Follows
/// `torch.nn.utils.clip_grad_norm_`.
///
/// ```
/// use taper::optim::clip_grad_norm_;
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let x = Tensor::new([3.0, 4.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// x.square()?.sum_all()?.backward()?;
/// let norm = clip_grad_norm_([&x], 1.0, 2.0, false)?;
/// assert_eq!(norm.item::<f32>()?, 10.0);
/// assert!((x.grad().unwrap().to_vec::<f32>()?[1] - 0.8).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// With `error_if_nonfinite`, a norm that is infinite or not a number (this reads it back; the gradients stay as they
/// are).
pub fn clip_grad_norm_<P: Into<Tensor>>(
    params: impl IntoIterator<Item = P>,
    max_norm: f64,
    norm_type: f64,
    error_if_nonfinite: bool,
) -> Result<Tensor> {
    no_grad(|| {
        let groups = gradients(params)?;
        let total = total_norm(&groups, norm_type)?;
        if error_if_nonfinite {
            check_finite(&total)?;
        }
        let coefficient = (max_norm / (&total + 1e-6)).clamp(None, Some(1.0))?;
        for (laid, grads) in &groups {
            let coefficient = coefficient.to(laid.slab.device())?.to_dtype(laid.slab.dtype())?;
            laid.set(&grads.iter().collect::<Vec<_>>(), &laid.slab.mul(&coefficient)?)?;
        }
        Ok(total)
    })
}

/// The norm of all gradients of `params` together, as `torch.nn.utils.get_total_norm`, in f32 and not read back.
///
/// # Errors
/// With `error_if_nonfinite`, a norm that is infinite or not a number.
pub fn grad_norm<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, norm_type: f64, error_if_nonfinite: bool) -> Result<Tensor> {
    no_grad(|| {
        let total = total_norm(&gradients(params)?, norm_type)?;
        if error_if_nonfinite {
            check_finite(&total)?;
        }
        Ok(total)
    })
}

/// Limits every element of the gradients to `-clip_value ..= clip_value`. NaN stays.
///
/// # Errors
/// A negative limit.
pub fn clip_grad_value_<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, clip_value: f64) -> Result<()> {
    if clip_value.is_nan() || clip_value < 0.0 {
        return Err(Error::argument("clip_grad_value_", format!("clip_value = {clip_value} is out of range")));
    }
    no_grad(|| {
        for (laid, grads) in gradients(params)? {
            laid.set(&grads.iter().collect::<Vec<_>>(), &laid.slab.clamp(Some(-clip_value), Some(clip_value))?)?;
        }
        Ok(())
    })
}

/// Gradients by device and element type, side by side.
fn gradients<P: Into<Tensor>>(params: impl IntoIterator<Item = P>) -> Result<Vec<(Laid, Vec<Tensor>)>> {
    let mut groups: Vec<Vec<Tensor>> = Vec::new();
    for param in params {
        let Some(grad) = param.into().grad() else { continue };
        let alike = |g: &&mut Vec<Tensor>| g[0].device() == grad.device() && g[0].dtype() == grad.dtype();
        match groups.iter_mut().find(alike) {
            // A parameter listed twice has one gradient.
            Some(group) if group.iter().any(|g| g.ptr_eq(&grad)) => {}
            Some(group) => group.push(grad),
            None => groups.push(vec![grad]),
        }
    }
    groups.into_iter().map(|g| Ok((Laid::out(&g.iter().collect::<Vec<_>>())?, g))).collect()
}

fn total_norm(groups: &[(Laid, Vec<Tensor>)], p: f64) -> Result<Tensor> {
    let Some((first, _)) = groups.first() else { return Tensor::zeros([], &crate::Device::cpu()) };
    if p.is_nan() {
        return Err(Error::argument(OP, "the norm_type is not a number"));
    }
    let mut parts = Vec::new();
    for (laid, grads) in groups {
        let wide = |t: Tensor| if t.dtype() == DType::F64 { Ok(t) } else { t.to_dtype(DType::F32) };
        let part = if p == f64::NEG_INFINITY {
            // Zeros between the gradients would be the smallest.
            let each = grads.iter().filter(|g| g.numel() > 0).map(|g| wide(g.abs()?)?.min_all()).collect::<Result<Vec<_>>>()?;
            if each.is_empty() { Tensor::full([], f64::INFINITY, laid.slab.device())? } else { Tensor::stack(&each, 0)?.min_all()? }
        } else {
            let x = wide(laid.clean()?)?;
            match p {
                f64::INFINITY => x.abs()?.max_all()?,
                0.0 => x.ne(0.0)?.to_dtype(x.dtype())?.sum_all()?,
                1.0 => x.abs()?.sum_all()?,
                2.0 => x.square()?.sum_all()?,
                p => {
                    x.abs()?.where_(&x.ne(0.0)?, 1.0)?.pow(p)?.where_(&x.ne(0.0)?, if p > 0.0 { 0.0 } else { f64::INFINITY })?.sum_all()?
                }
            }
        };
        parts.push(part.to(first.slab.device())?);
    }
    let parts = Tensor::stack(&parts, 0)?;
    match p {
        f64::INFINITY => parts.max_all(),
        f64::NEG_INFINITY => parts.min_all(),
        0.0 | 1.0 => parts.sum_all(),
        2.0 => parts.sum_all()?.sqrt(),
        p => parts.sum_all()?.pow(1.0 / p),
    }
}

fn check_finite(total: &Tensor) -> Result<()> {
    let norm = total.item::<f64>()?;
    if norm.is_finite() { Ok(()) } else { Err(Error::argument(OP, format!("the norm of the gradients is {norm}"))) }
}

/// Multiplies gradients; whether one of them is infinite or not a number (this is read back).
pub(crate) fn unscale_gradients(params: &[Tensor], factor: f64) -> Result<bool> {
    let groups = gradients(params.iter().cloned())?;
    let mut finite = Vec::new();
    for (laid, grads) in &groups {
        finite.push(laid.clean()?.isfinite()?.logical_not()?.to_dtype(DType::F32)?.amax(0)?);
        laid.set(&grads.iter().collect::<Vec<_>>(), &laid.slab.mul(factor)?)?;
    }
    finite.iter().try_fold(false, |any, f| Ok(any || f.item::<f32>()? != 0.0))
}

/// Clips to what was usual lately: the norm that all but the largest few of the last steps stayed below.
///
/// Needs the norm on the host, and so waits for the device in every step.
#[derive(Debug, Clone)]
pub struct AdaptiveClip {
    percentile: f64,
    keep: usize,
    history: VecDeque<f64>,
}

impl AdaptiveClip {
    /// Clips the largest `percentile` percent of the last 1000 steps, once there are more than ten.
    ///
    /// # Errors
    /// A percentile outside 0 to 100.
    pub fn new(percentile: f64) -> Result<AdaptiveClip> {
        if !(0.0..=100.0).contains(&percentile) {
            return Err(Error::argument("AdaptiveClip", format!("percentile = {percentile} is out of range")));
        }
        Ok(AdaptiveClip { percentile, keep: 1000, history: VecDeque::new() })
    }

    /// Clips the gradients of `params`, and returns their norm before and the limit there was.
    ///
    /// A norm that is infinite or not a number is not remembered: one bad step must not open the limit.
    ///
    /// # Errors
    /// Whatever computing the gradients reports.
    pub fn clip<P: Into<Tensor>>(&mut self, params: impl IntoIterator<Item = P>) -> Result<(f64, Option<f64>)> {
        let params: Vec<Tensor> = params.into_iter().map(Into::into).collect();
        let norm = grad_norm(params.clone(), 2.0, false)?.item::<f64>()?;
        if norm.is_finite() {
            self.history.push_back(norm);
        }
        if self.history.len() > self.keep {
            self.history.pop_front();
        }
        if self.history.len() <= 10 {
            return Ok((norm, None));
        }
        let limit = quantile(self.history.iter().copied().collect(), (100.0 - self.percentile) / 100.0);
        clip_grad_norm_(params, limit, 2.0, false)?;
        Ok((norm, Some(limit)))
    }
}

/// Linear between neighbours, as NumPy's percentile.
fn quantile(mut values: Vec<f64>, q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let at = q * (values.len() - 1) as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    low + (high - low) * (at - at.floor())
}
