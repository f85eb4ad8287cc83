//! The frequencies of discrete spectra, and their order.

use super::{Dims, Signed, Tensor, TensorOptions, reserve};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::dim_index;

impl Tensor {
    /// Frequency 0 moved to the middle of each of `dims` (`..` is all); like `torch.fft.fftshift`.
    ///
    /// # Errors
    /// A dimension out of range.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let f = Tensor::fftfreq(5, 0.2, &Device::cpu())?;
    /// assert_eq!(f.fftshift(..)?.to_vec::<f32>()?, [-2.0, -1.0, 0.0, 1.0, 2.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn fftshift(&self, dims: impl Dims) -> Result<Tensor> {
        self.shifted("fftshift", &dims, |n| n / 2)
    }

    /// Undoes [`fftshift`](Self::fftshift); like `torch.fft.ifftshift`.
    ///
    /// # Errors
    /// A dimension out of range.
    #[track_caller]
    pub fn ifftshift(&self, dims: impl Dims) -> Result<Tensor> {
        self.shifted("ifftshift", &dims, |n| n.div_ceil(2))
    }

    #[track_caller]
    fn shifted(&self, op: &'static str, dims: &impl Dims, by: impl Fn(usize) -> usize) -> Result<Tensor> {
        let dims = dims.written().unwrap_or_else(|| (0..self.rank() as isize).collect());
        let mut shifts = Signed::new();
        for &d in &dims {
            let d = dim_index(op, d, self.rank())?;
            shifts.push(by(self.shape().get(d).copied().unwrap_or(1)) as isize);
        }
        if dims.is_empty() { self.clone_data() } else { self.roll(&shifts[..], &dims[..]) }
    }

    /// The frequencies of a transform of `n` samples that are `d` apart, positive ones first; like `torch.fft.fftfreq`.
    ///
    /// # Errors
    /// No samples; a type that is no float.
    #[track_caller]
    pub fn fftfreq(n: usize, d: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let number = move |i: usize| if i < n.div_ceil(2) { i as f64 } else { i as f64 - n as f64 };
        frequencies("fftfreq", n, n, number, n as f64 * d, options.into())
    }

    /// The frequencies of a transform of `n` real samples that are `d` apart, none of them negative; like `torch.fft.rfftfreq`.
    ///
    /// # Errors
    /// No samples; a type that is no float.
    #[track_caller]
    pub fn rfftfreq(n: usize, d: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
        frequencies("rfftfreq", n, n / 2 + 1, |i| i as f64, n as f64 * d, options.into())
    }
}

#[track_caller]
fn frequencies(op: &'static str, n: usize, count: usize, number: impl Fn(usize) -> f64, by: f64, options: TensorOptions) -> Result<Tensor> {
    let dtype = options.dtype.unwrap_or(DType::F32);
    if n == 0 {
        return Err(Error::argument(op, "needs at least one sample"));
    }
    if !dtype.is_float() {
        return Err(Error::dtype(op, format!("frequencies are floats, not {dtype}")));
    }
    crate::shape::checked_numel(op, &[count])?;
    let mut values = reserve::<f64>(op, count)?;
    values.extend((0..count).map(|i| number(i) / by));
    Tensor::from_vec(values, [count], &Device::cpu())?.to_dtype(dtype)?.to(&options.device)
}
