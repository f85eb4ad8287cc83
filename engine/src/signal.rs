//! Window functions; like `torch.signal.windows`.

use std::f64::consts::PI;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions, reserve};

/// A window: the weights that `n` samples get.
#[derive(Debug, Clone, PartialEq)]
pub enum Window {
    /// A triangle that is 0 at both ends.
    Bartlett,
    Blackman,
    /// Half a wave of a sine.
    Cosine,
    /// `exp(-|i - center| / tau)`. `center` is the middle, if it is not given.
    Exponential {
        center: Option<f64>,
        tau: f64,
    },
    Gaussian {
        std: f64,
    },
    /// The sum of `(-1)^k a[k] cos(2 pi k i / (n - 1))`.
    GeneralCosine {
        a: Vec<f64>,
    },
    /// `alpha - (1 - alpha) cos(2 pi i / (n - 1))`.
    GeneralHamming {
        alpha: f64,
    },
    Hamming,
    Hann,
    Kaiser {
        beta: f64,
    },
    Nuttall,
}

impl Window {
    fn name(&self) -> &'static str {
        match self {
            Window::Bartlett => "bartlett",
            Window::Blackman => "blackman",
            Window::Cosine => "cosine",
            Window::Exponential { .. } => "exponential",
            Window::Gaussian { .. } => "gaussian",
            Window::GeneralCosine { .. } => "general_cosine",
            Window::GeneralHamming { .. } => "general_hamming",
            Window::Hamming => "hamming",
            Window::Hann => "hann",
            Window::Kaiser { .. } => "kaiser",
            Window::Nuttall => "nuttall",
        }
    }

    /// The window's `n` weights, computed in `f64` on the host. With `symmetric` false they are the first of a period of `n`,
    /// for spectra; else they are the same from both ends, for filters.
    ///
    /// # Errors
    /// A type other than `f32` and `f64`; a width that is not positive, a negative `beta`, no coefficients; a center for
    /// a symmetric window.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::signal::Window; fn main() -> taper::Result<()> {
    /// let w = Window::Hann.tensor(5, true, &Device::cpu())?.to_vec::<f32>()?;
    /// assert!((w[1] - 0.5).abs() < 1e-6 && w[2] == 1.0);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn tensor(&self, n: usize, symmetric: bool, options: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = options.into();
        let op = self.name();
        let dtype = options.dtype.unwrap_or(DType::F32);
        if !matches!(dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype(op, format!("windows are f32 or f64, not {dtype}")));
        }
        self.check(symmetric)?;
        crate::shape::checked_numel(op, &[n])?;
        let mut weights = reserve::<f64>(op, n)?;
        weights.extend((0..n).map(|i| if n == 1 { 1.0 } else { self.weight(i as f64, n as f64, symmetric) }));
        let whole = Tensor::from_vec(weights, [n], &crate::Device::cpu())?;
        whole.to_dtype(dtype)?.to(&options.device)
    }

    fn check(&self, symmetric: bool) -> Result<()> {
        let wrong = match self {
            Window::Exponential { tau, .. } if !(*tau > 0.0) => format!("tau must be positive, but is {tau}"),
            Window::Exponential { center: Some(_), .. } if symmetric => "a symmetric window has its center in the middle".to_string(),
            Window::Gaussian { std } if !(*std > 0.0) => format!("the standard deviation must be positive, but is {std}"),
            Window::Kaiser { beta } if !(*beta >= 0.0) => format!("beta must not be negative, but is {beta}"),
            Window::GeneralCosine { a } if a.is_empty() => "needs at least one coefficient".to_string(),
            _ => return Ok(()),
        };
        Err(Error::argument(self.name(), wrong))
    }

    /// Weight `i` of `n`, which is at least 2.
    fn weight(&self, i: f64, n: f64, symmetric: bool) -> f64 {
        let last = if symmetric { n - 1.0 } else { n };
        let cosines = |a: &[f64]| -> f64 {
            let term = |(k, a): (usize, &f64)| a * (2.0 * PI * k as f64 * i / last).cos() * if k % 2 == 0 { 1.0 } else { -1.0 };
            a.iter().enumerate().map(term).sum()
        };
        match self {
            Window::Bartlett => 1.0 - (2.0 * i / last - 1.0).abs(),
            Window::Blackman => cosines(&[0.42, 0.5, 0.08]),
            Window::Cosine => (PI * (i + 0.5) / (last + 1.0)).sin(),
            Window::Exponential { center, tau } => (-(i - center.unwrap_or(last / 2.0)).abs() / tau).exp(),
            Window::Gaussian { std } => (-0.5 * ((i - last / 2.0) / std).powi(2)).exp(),
            Window::GeneralCosine { a } => cosines(a),
            Window::GeneralHamming { alpha } => cosines(&[*alpha, 1.0 - alpha]),
            Window::Hamming => cosines(&[0.54, 0.46]),
            Window::Hann => cosines(&[0.5, 0.5]),
            Window::Kaiser { beta } => {
                let at = 2.0 * i / last - 1.0;
                crate::ops::bessel_i0(beta * (1.0 - at * at).max(0.0).sqrt()) / crate::ops::bessel_i0(*beta)
            }
            Window::Nuttall => cosines(&[0.3635819, 0.4891775, 0.1365995, 0.0106411]),
        }
    }
}
