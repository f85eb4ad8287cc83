//! Rows made comparable: softmax, and normalisation to mean 0 and variance 1.
//!
//! Each is ordinary tensor code over reductions, which the planner fuses into one kernel a row, with its
//! closed-form gradient. Where a gradient of the gradient is wanted, statistics that the closed form uses are
//! computed anew from the inputs, so that they are differentiable too.

use smallvec::{SmallVec, smallvec};

use super::Tensor;
use super::dims::{Dims, resolve_reduced};
use crate::autograd::{self, Edge, Kept};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Shape, dim_index};

/// Softmax and its kin.
impl Tensor {
    /// `exp(x) / sum(exp(x))` along `dim`, with the largest element subtracted first.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let p = Tensor::new([1.0, 2.0, 3.0], &Device::cpu())?.softmax(-1)?;
    /// assert!((p.sum_all()?.item::<f32>()? - 1.0).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// `dim` out of range; integers.
    #[track_caller]
    pub fn softmax(&self, dim: isize) -> Result<Tensor> {
        self.expect_float("softmax")?;
        dim_index("softmax", dim, self.rank())?;
        if self.numel() == 0 {
            return self.copied();
        }
        self.widened(|x| {
            let out = autograd::no_grad(|| {
                let e = x.sub(&x.amax_keepdim(dim)?)?.exp()?;
                e.div(&e.sum_keepdim(dim)?)
            })?;
            // dx = y (dy - sum(dy y))
            autograd::record_with_output(&out, "softmax", &[x], move |y, dy, _| {
                Ok(smallvec![Some(y.mul(&dy.sub(&dy.mul(y)?.sum_keepdim(dim)?)?)?)])
            })?;
            Ok(out)
        })
    }

    /// `x - log(sum(exp(x)))` along `dim`: the logarithm of [`softmax`](Self::softmax), without its rounding.
    ///
    /// # Errors
    /// `dim` out of range; integers.
    #[track_caller]
    pub fn log_softmax(&self, dim: isize) -> Result<Tensor> {
        self.expect_float("log_softmax")?;
        dim_index("log_softmax", dim, self.rank())?;
        if self.numel() == 0 {
            return self.copied();
        }
        self.widened(|x| {
            let out = autograd::no_grad(|| {
                let above = x.sub(&x.amax_keepdim(dim)?)?;
                above.sub(&above.exp()?.sum_keepdim(dim)?.log()?)
            })?;
            // dx = dy - softmax(x) sum(dy)
            autograd::record_with_output(&out, "log_softmax", &[x], move |y, dy, _| {
                Ok(smallvec![Some(dy.sub(&y.exp()?.mul(&dy.sum_keepdim(dim)?)?)?)])
            })?;
            Ok(out)
        })
    }

    /// `log(sum(exp(x)))` along `dims`, without overflow; integers convert to `f32`.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn logsumexp(&self, dims: impl Dims) -> Result<Tensor> {
        let reduced = resolve_reduced("logsumexp", &dims, self.rank())?;
        self.logsumexp_keepdim(dims)?.squeeze(&reduced)
    }

    /// [`logsumexp`](Self::logsumexp) with the reduced dimensions kept.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn logsumexp_keepdim(&self, dims: impl Dims) -> Result<Tensor> {
        if !self.dtype().is_float() {
            return self.to_dtype(DType::F32)?.logsumexp_keepdim(dims);
        }
        let dims = resolve_reduced("logsumexp", &dims, self.rank())?;
        if self.numel() == 0 {
            return self.exp()?.sum_keepdim(&dims)?.log();
        }
        self.widened(|x| {
            let out = autograd::no_grad(|| {
                // A row of nothing but -inf, or with +inf, has no finite reference point and needs none.
                let top = x.amax_keepdim(&dims)?;
                let top = top.masked_fill(&top.isinf()?, 0)?;
                x.sub(&top)?.exp()?.sum_keepdim(&dims)?.log()?.add(&top)
            })?;
            let x_ = Kept::new(x)?;
            // dx = dy exp(x - y)
            autograd::record_with_output(&out, "logsumexp", &[x], move |y, dy, _| {
                let share = x_.get()?.sub(y)?.exp()?.masked_fill(&y.eq(f64::NEG_INFINITY)?, 0)?;
                Ok(smallvec![Some(share.mul(dy)?)])
            })?;
            Ok(out)
        })
    }

    /// The value as it is now, without a gradient.
    pub(super) fn detached(&self) -> Result<Tensor> {
        Ok(Tensor::from_value(self.value()?, Edge::None))
    }
}

/// Normalisation.
impl Tensor {
    /// Layer normalisation over the last dimensions, whose sizes are `normalized`: `(x - mean) / sqrt(var + eps) * w + b`.
    ///
    /// # Errors
    /// Last dimensions of other sizes than `normalized`, `w` or `b` of another shape; integers.
    #[track_caller]
    pub fn layer_norm(&self, normalized: &[usize], w: Option<&Tensor>, b: Option<&Tensor>, eps: f64) -> Result<Tensor> {
        if normalized.is_empty() || !self.shape().ends_with(normalized) {
            return Err(Error::argument("layer_norm", format!("{:?} does not end with the normalized shape {normalized:?}", self.shape())));
        }
        for (name, t) in [("weight", w), ("bias", b)] {
            if let Some(t) = t.filter(|t| t.shape() != normalized) {
                return Err(Error::argument("layer_norm", format!("{name} is {:?}, the normalized shape {normalized:?}", t.shape())));
            }
        }
        let dims: SmallVec<[usize; 6]> = (self.rank() - normalized.len()..self.rank()).collect();
        self.standardize("layer_norm", &dims, w, b, eps, |_, _| Ok(()))
    }

    /// Group normalisation: the channels (dimension 1) in `groups` groups, each normalised with everything behind it.
    ///
    /// # Errors
    /// Channels that do not divide by `groups`, `w` or `b` of another size than the channels; integers.
    #[track_caller]
    pub fn group_norm(&self, groups: usize, w: Option<&Tensor>, b: Option<&Tensor>, eps: f64) -> Result<Tensor> {
        let &[n, channels, ..] = self.shape() else {
            return Err(Error::argument("group_norm", format!("{:?} has no channels", self.shape())));
        };
        if groups == 0 || channels == 0 || channels % groups != 0 {
            return Err(Error::argument("group_norm", format!("{channels} channels do not divide into {groups} groups")));
        }
        if self.shape()[2..].contains(&0) {
            return Err(Error::argument("group_norm", format!("{:?} has no values behind the channels", self.shape())));
        }
        let inside = self.numel().checked_div(n * groups).unwrap_or(0);
        if inside == 1 && n == 1 {
            return Err(Error::argument(
                "group_norm",
                format!("needs more than one value to normalise, {:?} in {groups} groups has one", self.shape()),
            ));
        }
        let line = self.channel_shape("group_norm", w, b)?;
        let mut out =
            self.reshape([n, groups, inside])?.standardize("group_norm", &[2], None, None, eps, |_, _| Ok(()))?.reshape(self.shape())?;
        if let Some(w) = w {
            out = out.mul(&w.reshape(&line)?)?;
        }
        if let Some(b) = b {
            out = out.add(&b.reshape(&line)?)?;
        }
        Ok(out)
    }

    /// Batch normalisation of each channel (dimension 1).
    ///
    /// In training with the batch's own mean and variance, which also move the running ones by `momentum` (the variance
    /// with `n - 1`); otherwise, or without running ones only the former, with the running ones.
    ///
    /// # Errors
    /// No channels, statistics or parameters of another size; in training one value a channel, or an `eps` that is not
    /// positive; integers.
    #[track_caller]
    pub fn batch_norm(
        &self,
        running: Option<(&Tensor, &Tensor)>,
        w: Option<&Tensor>,
        b: Option<&Tensor>,
        training: bool,
        momentum: f64,
        eps: f64,
    ) -> Result<Tensor> {
        self.expect_float("batch_norm")?;
        // In mixed precision too the result has the input's type: only inside is it wider.
        let _own = crate::amp::suspend();
        if self.numel() == 0 && self.rank() > 0 {
            return self.copied();
        }
        let line = self.channel_shape("batch_norm", w, b)?;
        let (w, b) = (w.map(|w| w.reshape(&line)).transpose()?, b.map(|b| b.reshape(&line)).transpose()?);
        let dims: SmallVec<[usize; 6]> = (0..self.rank()).filter(|&d| d != 1).collect();
        if let Some((mean, var)) = running.filter(|_| !training) {
            let (mean, var) = (mean.reshape(&line)?, var.reshape(&line)?);
            return self.widened(|x| {
                let scale = var.add(eps)?.rsqrt()?;
                let scale = w.as_ref().map_or(Ok(scale.clone()), |w| scale.mul(w))?;
                let y = x.sub(&mean)?.mul(&scale)?;
                b.as_ref().map_or(Ok(y.clone()), |b| y.add(b))
            });
        }
        let channels = self.shape()[1];
        let n = self.numel().checked_div(channels).unwrap_or(0);
        if n == 1 || eps <= 0.0 {
            let why = if n == 1 {
                format!("more than one value a channel, {:?} has one", self.shape())
            } else {
                format!("a positive eps, not {eps}")
            };
            return Err(Error::argument("batch_norm", format!("training needs {why}")));
        }
        let track = |batch_mean: &Tensor, batch_var: &Tensor| {
            let Some((mean, var)) = running.filter(|_| n > 0) else { return Ok(()) };
            // The running variance is the unbiased one.
            for (old, new, share) in [(mean, batch_mean, momentum), (var, batch_var, momentum * n as f64 / (n as f64 - 1.0))] {
                let moved = old.mul(1.0 - momentum)?.add(&new.reshape([channels])?.mul(share)?)?.to_dtype(old.dtype())?;
                old.replace(&moved)?;
            }
            Ok(())
        };
        self.standardize("batch_norm", &dims, w.as_ref(), b.as_ref(), eps, track)
    }

    /// The shape a parameter of one number a channel broadcasts with.
    pub(super) fn channel_shape(&self, op: &'static str, w: Option<&Tensor>, b: Option<&Tensor>) -> Result<Shape> {
        if self.rank() < 2 {
            return Err(Error::argument(op, format!("{:?} has no channels", self.shape())));
        }
        let channels = self.shape()[1];
        for (name, t) in [("weight", w), ("bias", b)] {
            if let Some(t) = t.filter(|t| t.shape() != [channels]) {
                return Err(Error::argument(op, format!("{name} is {:?} for {channels} channels", t.shape())));
            }
        }
        let mut line = Shape::from_elem(1, self.rank());
        line[1] = channels;
        Ok(line)
    }

    /// `(x - mean) / sqrt(var + eps) * w + b` with mean and (population) variance along `dims`; `w` and `b` broadcast.
    /// `seen` is shown mean and variance.
    #[track_caller]
    pub(crate) fn standardize(
        &self,
        op: &'static str,
        dims: &[usize],
        w: Option<&Tensor>,
        b: Option<&Tensor>,
        eps: f64,
        seen: impl FnOnce(&Tensor, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        self.expect_float(op)?;
        let wide = |t: &Tensor| t.to_dtype(if self.dtype().size() == 2 { DType::F32 } else { self.dtype() });
        let (w, b) = (w.map(wide).transpose()?, b.map(wide).transpose()?);
        let dims: SmallVec<[usize; 6]> = dims.into();
        self.widened(|x| {
            let (out, mean, scale) = autograd::no_grad(|| {
                let (mean, var) = moments(x, &dims)?;
                let scale = var.add(eps)?.rsqrt()?;
                seen(&mean, &var)?;
                let mut out = x.sub(&mean)?.mul(&scale)?;
                if let Some(w) = &w {
                    out = out.mul(w)?;
                }
                if let Some(b) = &b {
                    out = out.add(b)?;
                }
                Ok::<_, Error>((out, mean.detached()?, scale.detached()?))
            })?;
            let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![x];
            inputs.extend(w.as_ref());
            inputs.extend(b.as_ref());
            let x_ = Kept::new(x)?;
            let w_ = w.as_ref().map(Tensor::snapshot).transpose()?;
            let (w_shape, b_shape) = (w.as_ref().map(|w| Shape::from(w.shape())), b.as_ref().map(|b| Shape::from(b.shape())));
            // `w` is one number a row: both sums of the gradient are needed anyway, and serve twice.
            let per_row = w.as_ref().is_some_and(|w| w.rank() == x.rank() && dims.iter().all(|&d| w.shape()[d] == 1)) && b.is_some();
            let n: usize = dims.iter().map(|&d| x.shape()[d]).product();
            autograd::record_with(&out, op, &inputs, move |dy, needs| {
                let x_ = x_.get()?;
                let (mean, scale) = if autograd::is_enabled() {
                    let (mean, var) = moments(&x_, &dims)?;
                    (mean, var.add(eps)?.rsqrt()?)
                } else {
                    (mean.clone(), scale.clone())
                };
                let unit = x_.sub(&mean)?.mul(&scale)?;
                let mut grads = smallvec![None; needs.len()];
                if let (Some(w), true) = (&w_, per_row) {
                    // db = sum(dy), dw = sum(dy unit), dx = scale w (dy - db / n - unit dw / n)
                    let (db, dw) = (dy.sum_keepdim(&dims)?, dy.mul(&unit)?.sum_keepdim(&dims)?);
                    if needs[0] {
                        let along = unit.mul(&dw.mul(1.0 / n as f64)?)?;
                        grads[0] = Some(dy.sub(&db.mul(1.0 / n as f64)?)?.sub(&along)?.mul(&scale.mul(w)?)?);
                    }
                    // A row may be less than what shares a parameter: a channel of one example.
                    let shared = |sum: &Tensor, shape: &Option<Shape>| shape.as_ref().map(|s| sum.sum_to(s)).transpose();
                    grads[1] = if needs[1] { shared(&dw, &w_shape)? } else { None };
                    grads[2] = if needs[2] { shared(&db, &b_shape)? } else { None };
                    return Ok(grads);
                }
                // dx = scale (g - mean(g) - unit mean(g unit)), where g = dy w
                if needs[0] {
                    let g = w_.as_ref().map_or(Ok(dy.clone()), |w| dy.mul(w))?;
                    let along = unit.mul(&g.mul(&unit)?.mean_keepdim(&dims)?)?;
                    grads[0] = Some(g.sub(&g.mean_keepdim(&dims)?)?.sub(&along)?.mul(&scale)?);
                }
                let mut next = 1;
                if let Some(shape) = &w_shape {
                    grads[next] = needs[next].then(|| dy.mul(&unit)?.sum_to(shape)).transpose()?;
                    next += 1;
                }
                if let Some(shape) = &b_shape {
                    grads[next] = needs[next].then(|| dy.sum_to(shape)).transpose()?;
                }
                Ok(grads)
            });
            Ok(out)
        })
    }

    /// Summed over what it was broadcast along from `shape`.
    #[track_caller]
    pub(crate) fn sum_to(&self, shape: &[usize]) -> Result<Tensor> {
        let lead = self.rank() - shape.len();
        let dims: SmallVec<[usize; 6]> = (0..self.rank()).filter(|&d| d < lead || (shape[d - lead] == 1 && self.shape()[d] != 1)).collect();
        if dims.is_empty() { Ok(self.clone()) } else { self.sum_keepdim(&dims)?.reshape(shape) }
    }
}

/// Mean and (population) variance along `dims`.
fn moments(x: &Tensor, dims: &SmallVec<[usize; 6]>) -> Result<(Tensor, Tensor)> {
    let mean = x.mean_keepdim(dims)?;
    let var = x.sub(&mean)?.square()?.mean_keepdim(dims)?;
    Ok((mean, var))
}

#[cfg(test)]
mod tests;
