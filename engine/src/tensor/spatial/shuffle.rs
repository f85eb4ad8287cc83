//! Channels become space and the other way round; channels change places; normalization across channels.

use super::super::Tensor;
use crate::error::{Error, Result};
use crate::shape::checked_numel;

impl Tensor {
    /// `[.., C * r^2, H, W]` as `[.., C, H * r, W * r]`. As `torch.nn.functional.pixel_shuffle`.
    ///
    /// # Errors
    /// Fewer than three dimensions; channels that `r^2` does not divide; a factor of 0.
    #[track_caller]
    pub fn pixel_shuffle(&self, factor: usize) -> Result<Tensor> {
        let (op, r) = ("pixel_shuffle", factor);
        let &[ref lead @ .., c, h, w] = self.shape() else {
            return Err(Error::argument(op, format!("{:?} should have at least 3 dimensions", self.shape())));
        };
        let square = r.checked_mul(r).filter(|s| *s > 0 && c % s == 0);
        let Some(square) = square else {
            return Err(Error::argument(op, format!("the square of {r} does not divide the {c} channels of {:?}", self.shape())));
        };
        let n: usize = lead.iter().product();
        let y = self.reshape([n, c / square, r, r, h, w])?.permute([0, 1, 4, 2, 5, 3])?;
        y.reshape([lead, &[c / square, h.saturating_mul(r), w.saturating_mul(r)]].concat())
    }

    /// `[.., C, H * r, W * r]` as `[.., C * r^2, H, W]`. As `torch.nn.functional.pixel_unshuffle`.
    ///
    /// # Errors
    /// Fewer than three dimensions; height or width that `r` does not divide; a factor of 0.
    #[track_caller]
    pub fn pixel_unshuffle(&self, factor: usize) -> Result<Tensor> {
        let (op, r) = ("pixel_unshuffle", factor);
        let &[ref lead @ .., c, h, w] = self.shape() else {
            return Err(Error::argument(op, format!("{:?} should have at least 3 dimensions", self.shape())));
        };
        if r == 0 || h % r != 0 || w % r != 0 {
            return Err(Error::argument(op, format!("{r} does not divide height and width of {:?}", self.shape())));
        }
        checked_numel(op, &[c, r, r])?;
        let n: usize = lead.iter().product();
        let y = self.reshape([n, c, h / r, r, w / r, r])?.permute([0, 1, 3, 5, 2, 4])?;
        y.reshape([lead, &[c * r * r, h / r, w / r]].concat())
    }

    /// Channels of `groups` groups dealt out in turn: `[N, g * k, ..]` seen as `[N, g, k, ..]` and transposed. As
    /// `torch.nn.functional.channel_shuffle`.
    ///
    /// # Errors
    /// Fewer than three dimensions; channels that the groups do not divide.
    #[track_caller]
    pub fn channel_shuffle(&self, groups: usize) -> Result<Tensor> {
        let op = "channel_shuffle";
        let &[n, c, ref rest @ ..] = self.shape() else {
            return Err(Error::argument(op, format!("{:?} should have at least 3 dimensions", self.shape())));
        };
        if rest.is_empty() || groups == 0 || c % groups != 0 {
            return Err(Error::argument(op, format!("{groups} groups do not divide the channels of {:?}", self.shape())));
        }
        let inner: usize = rest.iter().product();
        self.reshape([n, groups, c / groups, inner])?.transpose(1, 2)?.reshape(self.shape())
    }

    /// Divides by `(k + alpha * mean of squares over size neighbouring channels)^beta`. As
    /// `torch.nn.functional.local_response_norm`.
    ///
    /// # Errors
    /// Fewer than three dimensions; a size of 0; no floats.
    #[track_caller]
    pub fn local_response_norm(&self, size: usize, alpha: f64, beta: f64, k: f64) -> Result<Tensor> {
        let op = "local_response_norm";
        if self.rank() < 3 {
            return Err(Error::argument(op, format!("{:?} should have at least 3 dimensions", self.shape())));
        }
        if size == 0 {
            return Err(Error::argument(op, "a size of 0 channels"));
        }
        if self.numel() == 0 {
            return Ok(self.clone());
        }
        let (n, c) = (self.shape()[0], self.shape()[1]);
        let inner = self.numel() / (n * c);
        let squares = self.square()?.reshape([n, 1, c, inner])?.pad([0, 0, size / 2, (size - 1) / 2], "constant", 0)?;
        let means = squares.avg_pool2d([size, 1], 1, 0, false, true, None)?.reshape(self.shape())?;
        self.div(&means.mul(alpha)?.add(k)?.pow(beta)?)
    }
}
