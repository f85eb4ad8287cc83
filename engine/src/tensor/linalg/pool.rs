//! Pooling, over one to three dimensions.

use super::super::Tensor;
use super::conv::{batched, floats_for};
use crate::error::{Error, Result};
use crate::nn::Sizes;
use crate::ops::{Average, AvgPool, MaxPoolIndices, MaxPoolValues, Windows, volume};

/// The last `spatial` sizes of an input with or without its batch dimension.
#[track_caller]
pub(in crate::tensor) fn spatial_sizes<'a>(op: &'static str, x: &'a Tensor, spatial: usize) -> Result<&'a [usize]> {
    let s = x.shape();
    match s.len().checked_sub(spatial) {
        Some(lead @ (1 | 2)) => Ok(&s[lead..]),
        _ => Err(Error::argument(op, format!("the input {s:?} should have {} or {} dimensions", spatial + 1, spatial + 2))),
    }
}

/// The five arguments of a maximum pooling, for each number of dimensions.
macro_rules! max_pools {
    ($($(#[$doc:meta])* $name:ident, $indices:ident, $n:literal, $also:literal;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(
                &self,
                kernel: impl Sizes<$n>,
                stride: impl Sizes<$n>,
                padding: impl Sizes<$n>,
                dilation: impl Sizes<$n>,
                ceil_mode: bool,
            ) -> Result<Tensor> {
                Ok(self.$indices(kernel, stride, padding, dilation, ceil_mode)?.0)
            }

            #[doc = $also]
            ///
            /// # Errors
            /// As [`max_pool2d`](Self::max_pool2d).
            #[track_caller]
            pub fn $indices(
                &self,
                kernel: impl Sizes<$n>,
                stride: impl Sizes<$n>,
                padding: impl Sizes<$n>,
                dilation: impl Sizes<$n>,
                ceil_mode: bool,
            ) -> Result<(Tensor, Tensor)> {
                self.max_pool::<$n>([kernel.sizes(), stride.sizes(), padding.sizes(), dilation.sizes()], ceil_mode)
            }
        )*}
    };
}

max_pools! {
    /// The maximum of each window of the last two dimensions, of `[N, C, H, W]` or `[C, H, W]`. Padding counts as minus
    /// infinity; with `ceil_mode` the last window may reach past the border. A NaN in a window is its maximum. As
    /// `torch.nn.functional.max_pool2d`.
    ///
    /// # Errors
    /// Padding of more than half a window; a window larger than the padded image; bools.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[[1.0, 3.0], [2.0, 0.0]]], &Device::cpu())?;
    /// assert_eq!(x.max_pool2d(2, 2, 0, 1, false)?.to_vec::<f32>()?, [3.0]);
    /// # Ok(()) }
    /// ```
    max_pool2d, max_pool2d_with_indices, 2,
        "[`max_pool2d`](Self::max_pool2d) with where each maximum lies: an `i64` index into its `H * W` plane.";
    /// [`max_pool2d`](Self::max_pool2d) over the last dimension, of `[N, C, L]` or `[C, L]`.
    ///
    /// # Errors
    /// As [`max_pool2d`](Self::max_pool2d).
    max_pool1d, max_pool1d_with_indices, 1,
        "[`max_pool1d`](Self::max_pool1d) with where each maximum lies in its row.";
    /// [`max_pool2d`](Self::max_pool2d) over the last three dimensions, of `[N, C, D, H, W]` or `[C, D, H, W]`.
    ///
    /// # Errors
    /// As [`max_pool2d`](Self::max_pool2d).
    max_pool3d, max_pool3d_with_indices, 3,
        "[`max_pool3d`](Self::max_pool3d) with where each maximum lies: an `i64` index into its `D * H * W` volume.";
}

macro_rules! adaptive_pools {
    ($($n:literal: $avg:ident, $max:ident, $indices:ident;)*) => {
        impl Tensor {$(
            /// The means of `output` windows that share the image evenly.
            ///
            /// # Errors
            /// The input has too few or too many dimensions, or is empty; integers.
            #[track_caller]
            pub fn $avg(&self, output: impl Sizes<$n>) -> Result<Tensor> {
                self.adaptive_avg_pool::<$n>(output.sizes())
            }

            /// The maxima of `output` windows that share the image evenly.
            ///
            /// # Errors
            /// An empty image; integers.
            #[track_caller]
            pub fn $max(&self, output: impl Sizes<$n>) -> Result<Tensor> {
                Ok(self.$indices(output)?.0)
            }

            /// The maxima of `output` windows that share the image evenly, and where each lies in its plane.
            ///
            /// # Errors
            /// An empty image; integers.
            #[track_caller]
            pub fn $indices(&self, output: impl Sizes<$n>) -> Result<(Tensor, Tensor)> {
                self.adaptive_max_pool::<$n>(output.sizes())
            }
        )*}
    };
}

adaptive_pools! {
    1: adaptive_avg_pool1d, adaptive_max_pool1d, adaptive_max_pool1d_with_indices;
    2: adaptive_avg_pool2d, adaptive_max_pool2d, adaptive_max_pool2d_with_indices;
    3: adaptive_avg_pool3d, adaptive_max_pool3d, adaptive_max_pool3d_with_indices;
}

/// The name of an operator over one to three dimensions.
const fn named<const D: usize>(names: [&'static str; 3]) -> &'static str {
    const { assert!(D >= 1 && D <= 3, "one to three spatial dimensions") };
    names[D - 1]
}

/// Over any number of dimensions.
impl Tensor {
    /// `sizes`: kernel, stride, padding, dilation.
    #[track_caller]
    pub(crate) fn max_pool<const D: usize>(&self, sizes: [[usize; D]; 4], ceil: bool) -> Result<(Tensor, Tensor)> {
        let op = named::<D>(["max_pool1d", "max_pool2d", "max_pool3d"]);
        let [kernel, stride, padding, dilation] = sizes;
        self.maxima(op, Windows::fit(op, spatial_sizes(op, self, D)?, &kernel, &stride, &padding, &dilation, ceil)?)
    }

    #[track_caller]
    pub(crate) fn adaptive_max_pool<const D: usize>(&self, output: [usize; D]) -> Result<(Tensor, Tensor)> {
        let op = named::<D>(["adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d"]);
        spatial_sizes(op, self, D)?;
        self.maxima(op, Windows::adaptive(&output))
    }

    #[track_caller]
    pub(crate) fn adaptive_avg_pool<const D: usize>(&self, output: [usize; D]) -> Result<Tensor> {
        let op = named::<D>(["adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d"]);
        if spatial_sizes(op, self, D)?.contains(&0) {
            return Err(Error::argument(op, format!("the planes of {:?} are empty", self.shape())));
        }
        self.means(op, Average { windows: Windows::adaptive(&output), include_pad: false, divisor: None })
    }

    /// `sizes`: kernel, stride, padding.
    #[track_caller]
    pub(crate) fn avg_pool<const D: usize>(
        &self,
        sizes: [[usize; D]; 3],
        ceil: bool,
        include_pad: bool,
        divisor: Option<usize>,
    ) -> Result<Tensor> {
        let op = named::<D>(["avg_pool1d", "avg_pool2d", "avg_pool3d"]);
        if divisor == Some(0) {
            return Err(Error::argument(op, "the divisor must not be 0"));
        }
        let [kernel, stride, padding] = sizes;
        let windows = Windows::fit(op, spatial_sizes(op, self, D)?, &kernel, &stride, &padding, &[1; D], ceil)?;
        self.means(op, Average { windows, include_pad, divisor })
    }
}

/// Means.
impl Tensor {
    /// The mean of each window of the last two dimensions, of `[N, C, H, W]` or `[C, H, W]`. With `count_include_pad`
    /// padding counts as zeros; `divisor` replaces the number of elements. As `torch.nn.functional.avg_pool2d`.
    ///
    /// # Errors
    /// Padding of more than half a window; a window larger than the padded image; a divisor of 0.
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
        self.avg_pool([kernel.sizes(), stride.sizes(), padding.sizes()], ceil_mode, count_include_pad, divisor)
    }

    /// [`avg_pool2d`](Self::avg_pool2d) over the last dimension, of `[N, C, L]` or `[C, L]`.
    ///
    /// # Errors
    /// As [`avg_pool2d`](Self::avg_pool2d).
    #[track_caller]
    pub fn avg_pool1d(&self, kernel: usize, stride: usize, padding: usize, ceil_mode: bool, count_include_pad: bool) -> Result<Tensor> {
        self.avg_pool([[kernel], [stride], [padding]], ceil_mode, count_include_pad, None)
    }

    /// [`avg_pool2d`](Self::avg_pool2d) over the last three dimensions, of `[N, C, D, H, W]` or `[C, D, H, W]`.
    ///
    /// # Errors
    /// As [`avg_pool2d`](Self::avg_pool2d).
    #[track_caller]
    pub fn avg_pool3d(
        &self,
        kernel: impl Sizes<3>,
        stride: impl Sizes<3>,
        padding: impl Sizes<3>,
        ceil_mode: bool,
        count_include_pad: bool,
        divisor: Option<usize>,
    ) -> Result<Tensor> {
        self.avg_pool([kernel.sizes(), stride.sizes(), padding.sizes()], ceil_mode, count_include_pad, divisor)
    }

    /// The `p`-norm of each window of the last `D` dimensions, `sum(x^p)^(1/p)`. As `torch.nn.functional.lp_pool1d` to
    /// `lp_pool3d`.
    ///
    /// # Errors
    /// As [`avg_pool2d`](Self::avg_pool2d).
    #[track_caller]
    pub fn lp_pool<const D: usize>(&self, p: f64, kernel: [usize; D], stride: [usize; D], ceil_mode: bool) -> Result<Tensor> {
        let means = self.pow(p)?.avg_pool([kernel, stride, [0; D]], ceil_mode, true, None)?;
        // As PyTorch computes it: a sum of odd powers that is negative has no real root and gives NaN.
        means.sign()?.mul(&means.abs()?.relu()?)?.mul(kernel.iter().map(|&k| k as f64).product::<f64>())?.pow(1.0 / p)
    }

    #[track_caller]
    fn means(&self, op: &'static str, average: Average) -> Result<Tensor> {
        let x = floats_for(self).map_or(Ok(self.clone()), |float| self.to_dtype(float))?;
        batched(op, &x, average.windows.rank, |x| Tensor::apply(AvgPool(average), &[x])?.to_dtype(self.dtype()))
    }

    /// Values are gathered by index; their gradient collects by it, and differentiates again.
    #[track_caller]
    fn maxima(&self, op: &'static str, windows: Windows) -> Result<(Tensor, Tensor)> {
        let rank = windows.rank;
        if self.rank() > rank && self.shape()[self.rank() - rank - 1] == 0 {
            return Err(Error::argument(op, format!("{:?} has no channels", self.shape())));
        }
        let mut indices = None;
        let values = batched(op, self, rank, |x| {
            let comparable = floats_for(x).map_or(Ok(x.clone()), |float| x.to_dtype(float))?;
            let at = Tensor::apply(MaxPoolIndices(windows), &[&comparable])?;
            let pick = MaxPoolValues { windows, size: volume(x.shape()) };
            let y = Tensor::apply(pick, &[&x.flatten(2, -1)?, &at.flatten(2, -1)?])?.to_dtype(x.dtype())?.reshape(at.shape());
            indices = Some(at);
            y
        })?;
        let indices = indices.ok_or_else(|| Error::argument(op, "no result"))?;
        let indices = if self.rank() == rank + 1 { indices.squeeze(0)? } else { indices };
        Ok((values, indices))
    }
}
