//! Pooling, over one dimension and two.

use super::super::Tensor;
use super::conv::{batched, floats_for};
use crate::error::{Error, Result};
use crate::nn::Sizes;
use crate::ops::{Average, AvgPool2d, MaxPoolIndices, Windows};

#[track_caller]
fn rank(op: &'static str, x: &Tensor, spatial: usize) -> Result<[usize; 2]> {
    let s = x.shape();
    match s.len().checked_sub(spatial) {
        Some(1 | 2) => Ok([if spatial == 2 { s[s.len() - 2] } else { 1 }, s[s.len() - 1]]),
        _ => Err(Error::argument(op, format!("the input {s:?} should have {} or {} dimensions", spatial + 1, spatial + 2))),
    }
}

/// Pooling.
impl Tensor {
    /// The maximum of each window of the last two dimensions, of `[N, C, H, W]` or `[C, H, W]`. Padding counts as minus
    /// infinity; with `ceil_mode` the last window may reach past the border. A NaN in a window is its maximum.
    ///
    /// # Errors
    /// Padding of more than half a window; a window larger than the padded image; integers.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[[1.0, 3.0], [2.0, 0.0]]], &Device::cpu())?;
    /// assert_eq!(x.max_pool2d(2, 2, 0, 1, false)?.to_vec::<f32>()?, [3.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn max_pool2d(
        &self,
        kernel: impl Sizes<2>,
        stride: impl Sizes<2>,
        padding: impl Sizes<2>,
        dilation: impl Sizes<2>,
        ceil_mode: bool,
    ) -> Result<Tensor> {
        Ok(self.max_pool2d_with_indices(kernel, stride, padding, dilation, ceil_mode)?.0)
    }

    /// [`max_pool2d`](Self::max_pool2d) with where each maximum lies: an `i64` index into its `H * W` plane.
    ///
    /// # Errors
    /// As [`max_pool2d`](Self::max_pool2d).
    #[track_caller]
    pub fn max_pool2d_with_indices(
        &self,
        kernel: impl Sizes<2>,
        stride: impl Sizes<2>,
        padding: impl Sizes<2>,
        dilation: impl Sizes<2>,
        ceil_mode: bool,
    ) -> Result<(Tensor, Tensor)> {
        let size = rank("max_pool2d", self, 2)?;
        let windows = Windows::fit("max_pool2d", size, kernel.sizes(), stride.sizes(), padding.sizes(), dilation.sizes(), ceil_mode)?;
        self.maxima(windows)
    }

    /// [`max_pool2d`](Self::max_pool2d) over the last dimension, of `[N, C, L]` or `[C, L]`.
    ///
    /// # Errors
    /// As [`max_pool2d`](Self::max_pool2d).
    #[track_caller]
    pub fn max_pool1d(&self, kernel: usize, stride: usize, padding: usize, dilation: usize, ceil_mode: bool) -> Result<Tensor> {
        Ok(self.max_pool1d_with_indices(kernel, stride, padding, dilation, ceil_mode)?.0)
    }

    /// [`max_pool1d`](Self::max_pool1d) with where each maximum lies in its row.
    ///
    /// # Errors
    /// As [`max_pool2d`](Self::max_pool2d).
    #[track_caller]
    pub fn max_pool1d_with_indices(
        &self,
        kernel: usize,
        stride: usize,
        padding: usize,
        dilation: usize,
        ceil_mode: bool,
    ) -> Result<(Tensor, Tensor)> {
        let size = rank("max_pool1d", self, 1)?;
        let windows = Windows::fit("max_pool1d", size, [1, kernel], [1, stride], [0, padding], [1, dilation], ceil_mode)?;
        let (values, indices) = self.unsqueeze(-2)?.maxima(windows)?;
        Ok((values.squeeze(-2)?, indices.squeeze(-2)?))
    }

    /// The maxima of `output` windows that share the image evenly.
    ///
    /// # Errors
    /// An empty image; integers.
    #[track_caller]
    pub fn adaptive_max_pool2d(&self, output: impl Sizes<2>) -> Result<Tensor> {
        Ok(self.adaptive_max_pool2d_with_indices(output)?.0)
    }

    /// [`adaptive_max_pool2d`](Self::adaptive_max_pool2d) with where each maximum lies in its plane.
    ///
    /// # Errors
    /// As [`adaptive_max_pool2d`](Self::adaptive_max_pool2d).
    #[track_caller]
    pub fn adaptive_max_pool2d_with_indices(&self, output: impl Sizes<2>) -> Result<(Tensor, Tensor)> {
        rank("adaptive_max_pool2d", self, 2)?;
        self.maxima(Windows::adaptive(output.sizes()))
    }

    /// [`adaptive_max_pool2d`](Self::adaptive_max_pool2d) over the last dimension.
    ///
    /// # Errors
    /// As [`adaptive_max_pool2d`](Self::adaptive_max_pool2d).
    #[track_caller]
    pub fn adaptive_max_pool1d(&self, output: usize) -> Result<Tensor> {
        Ok(self.adaptive_max_pool1d_with_indices(output)?.0)
    }

    /// [`adaptive_max_pool1d`](Self::adaptive_max_pool1d) and the positions of the maxima.
    ///
    /// # Errors
    /// As [`adaptive_max_pool1d`](Self::adaptive_max_pool1d).
    #[track_caller]
    pub fn adaptive_max_pool1d_with_indices(&self, output: usize) -> Result<(Tensor, Tensor)> {
        rank("adaptive_max_pool1d", self, 1)?;
        let (values, indices) = self.unsqueeze(-2)?.maxima(Windows::adaptive([1, output]))?;
        Ok((values.squeeze(-2)?, indices.squeeze(-2)?))
    }

    /// Values are gathered by index, so that their gradient is a scatter and differentiates again.
    #[track_caller]
    fn maxima(&self, windows: Windows) -> Result<(Tensor, Tensor)> {
        if self.rank() >= 3 && self.shape()[self.rank() - 3] == 0 {
            return Err(Error::argument("max_pool", format!("{:?} has no channels", self.shape())));
        }
        let mut indices = None;
        let values = batched("max_pool2d", self, 2, |x| {
            let comparable = floats_for(x).map_or(Ok(x.clone()), |float| x.to_dtype(float))?;
            let at = Tensor::apply(MaxPoolIndices(windows), &[&comparable])?;
            let (s, o) = (x.shape(), at.shape());
            let flat = x.reshape([s[0], s[1], s[2] * s[3]])?;
            let y = flat.gather(2, &at.reshape([o[0], o[1], o[2] * o[3]])?)?.reshape([o[0], o[1], o[2], o[3]]);
            indices = Some(at);
            y
        })?;
        let indices = indices.ok_or_else(|| Error::argument("max_pool2d", "no result"))?;
        let indices = if self.rank() == 3 { indices.squeeze(0)? } else { indices };
        Ok((values, indices))
    }

    /// The mean of each window of the last two dimensions, of `[N, C, H, W]` or `[C, H, W]`. With `count_include_pad`
    /// padding counts as zeros; `divisor` replaces the number of elements.
    ///
    /// # Errors
    /// Padding of more than half a window; a window larger than the padded image; a divisor of 0; integers.
    #[track_caller]
    pub fn avg_pool2d(
        &self,
        kernel: impl Sizes<2>,
        stride: impl Sizes<2>,
        padding: impl Sizes<2>,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor: Option<usize>,
    ) -> Result<Tensor> {
        if divisor == Some(0) {
            return Err(Error::argument("avg_pool2d", "the divisor must not be 0"));
        }
        let size = rank("avg_pool2d", self, 2)?;
        let windows = Windows::fit("avg_pool2d", size, kernel.sizes(), stride.sizes(), padding.sizes(), [1; 2], ceil_mode)?;
        self.means(Average { windows, include_pad: count_include_pad, divisor })
    }

    /// [`avg_pool2d`](Self::avg_pool2d) over the last dimension, of `[N, C, L]` or `[C, L]`.
    ///
    /// # Errors
    /// As [`avg_pool2d`](Self::avg_pool2d).
    #[track_caller]
    pub fn avg_pool1d(&self, kernel: usize, stride: usize, padding: usize, ceil_mode: bool, count_include_pad: bool) -> Result<Tensor> {
        let size = rank("avg_pool1d", self, 1)?;
        let windows = Windows::fit("avg_pool1d", size, [1, kernel], [1, stride], [0, padding], [1; 2], ceil_mode)?;
        self.unsqueeze(-2)?.means(Average { windows, include_pad: count_include_pad, divisor: None })?.squeeze(-2)
    }

    /// The means of `output` windows that share the image evenly.
    ///
    /// # Errors
    /// The input has neither three nor four dimensions; integers.
    #[track_caller]
    pub fn adaptive_avg_pool2d(&self, output: impl Sizes<2>) -> Result<Tensor> {
        rank("adaptive_avg_pool2d", self, 2)?;
        self.means(Average { windows: Windows::adaptive(output.sizes()), include_pad: false, divisor: None })
    }

    /// [`adaptive_avg_pool2d`](Self::adaptive_avg_pool2d) over the last dimension.
    ///
    /// # Errors
    /// As [`adaptive_avg_pool2d`](Self::adaptive_avg_pool2d).
    #[track_caller]
    pub fn adaptive_avg_pool1d(&self, output: usize) -> Result<Tensor> {
        rank("adaptive_avg_pool1d", self, 1)?;
        self.unsqueeze(-2)?.means(Average { windows: Windows::adaptive([1, output]), include_pad: false, divisor: None })?.squeeze(-2)
    }

    #[track_caller]
    fn means(&self, average: Average) -> Result<Tensor> {
        let x = floats_for(self).map_or(Ok(self.clone()), |float| self.to_dtype(float))?;
        batched("avg_pool2d", &x, 2, |x| Tensor::apply(AvgPool2d(average), &[x])?.to_dtype(self.dtype()))
    }
}
