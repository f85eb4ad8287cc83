//! Normalisation of single examples: of each channel, and by the root of the mean square.

use smallvec::SmallVec;

use super::Tensor;
use crate::dtype::DType;
use crate::error::{Error, Result};

impl Tensor {
    /// Instance normalisation: each channel (dimension 1) of each example is normalised over what is behind it.
    ///
    /// With `use_input_stats` by its own mean and variance, whose averages over the batch also move the running ones by `momentum`
    /// (the variance with `n - 1`); otherwise by the running ones. Like `torch.nn.functional.instance_norm`.
    ///
    /// # Errors
    /// No channels; statistics or parameters of another size; one value a channel, if that is what is normalised by; no statistics at
    /// all; integers.
    #[track_caller]
    pub fn instance_norm(
        &self,
        running: Option<(&Tensor, &Tensor)>,
        w: Option<&Tensor>,
        b: Option<&Tensor>,
        use_input_stats: bool,
        momentum: f64,
        eps: f64,
    ) -> Result<Tensor> {
        let op = "instance_norm";
        self.expect_float(op)?;
        let _own = crate::amp::suspend();
        if !use_input_stats {
            let Some((mean, var)) = running else {
                return Err(Error::argument(op, "needs running statistics where the input's are not used"));
            };
            return self.batch_norm(Some((mean, var)), w, b, false, momentum, eps);
        }
        let line = self.channel_shape(op, w, b)?;
        let channels = self.shape()[1];
        let n: usize = self.shape()[2..].iter().product();
        if n == 1 {
            return Err(Error::argument(op, format!("needs more than one value a channel, {:?} has one", self.shape())));
        }
        if let Some((mean, var)) = running
            && (mean.shape() != [channels] || var.shape() != [channels])
        {
            let (m, v) = (mean.shape(), var.shape());
            return Err(Error::argument(op, format!("running statistics of {m:?} and {v:?} for {channels} channels")));
        }
        if self.numel() == 0 {
            return self.copied();
        }
        let (w, b) = (w.map(|w| w.reshape(&line)).transpose()?, b.map(|b| b.reshape(&line)).transpose()?);
        let dims: SmallVec<[usize; 6]> = (2..self.rank()).collect();
        let track = |one_mean: &Tensor, one_var: &Tensor| {
            let Some((mean, var)) = running else { return Ok(()) };
            for (old, new, share) in [(mean, one_mean, momentum), (var, one_var, momentum * n as f64 / (n as f64 - 1.0))] {
                let new = new.mean(0)?.reshape([channels])?;
                old.replace(&old.mul(1.0 - momentum)?.add(&new.mul(share)?)?.to_dtype(old.dtype())?)?;
            }
            Ok(())
        };
        self.standardize(op, &dims, w.as_ref(), b.as_ref(), eps, track)
    }

    /// Divides by the root of the mean square over the last dimensions, whose sizes are `normalized`: `x / sqrt(mean(x^2) + eps) * w`.
    /// `eps` is the type's machine epsilon unless given. Like `torch.nn.functional.rms_norm`.
    ///
    /// # Errors
    /// Last dimensions of other sizes than `normalized`, `w` of another shape; integers.
    #[track_caller]
    pub fn rms_norm(&self, normalized: &[usize], w: Option<&Tensor>, eps: Option<f64>) -> Result<Tensor> {
        let op = "rms_norm";
        self.expect_float(op)?;
        if normalized.is_empty() || !self.shape().ends_with(normalized) {
            return Err(Error::argument(op, format!("{:?} does not end with the normalized shape {normalized:?}", self.shape())));
        }
        if let Some(w) = w.filter(|w| w.shape() != normalized) {
            return Err(Error::argument(op, format!("weight is {:?}, the normalized shape {normalized:?}", w.shape())));
        }
        if self.numel() == 0 {
            return self.copied();
        }
        let dims: SmallVec<[isize; 6]> = (1..=normalized.len() as isize).map(|d| -d).collect();
        let eps = eps.unwrap_or(match self.dtype() {
            DType::F64 => f64::EPSILON,
            DType::F16 => 9.765625e-4,
            DType::BF16 => 7.8125e-3,
            _ => f32::EPSILON as f64,
        });
        self.widened(|x| {
            let y = x.mul(&x.square()?.mean_keepdim(&dims[..])?.add(eps)?.rsqrt()?)?;
            w.map_or(Ok(y.clone()), |w| y.mul(&w.to_dtype(y.dtype())?))
        })
    }
}
