//! Special functions; like `torch.special`. Integers and booleans become `f32`; on the CPU all are computed in `f64`.

use super::{Operand, Tensor};
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::ops;

macro_rules! of_one {
    ($($(#[$doc:meta])* $name:ident $row:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// Same shape; integers and booleans become `f32`.
            ///
            /// # Errors
            /// The error this tensor carries.
            #[track_caller]
            pub fn $name(&self) -> Result<Tensor> {
                self.float_row(&ops::$row, &[])
            }
        )*}
    };
}
of_one! {
    /// The modified Bessel function of the first kind and order 0.
    i0 I0;
    /// `exp(-|x|) i0(x)`, which does not overflow.
    i0e I0E;
    /// The modified Bessel function of the first kind and order 1.
    i1 I1;
    /// `exp(-|x|) i1(x)`, which does not overflow.
    i1e I1E;
    /// The modified Bessel function of the second kind and order 0; infinite at 0, NaN below.
    modified_bessel_k0 K0;
    /// The modified Bessel function of the second kind and order 1; infinite at 0, NaN below.
    modified_bessel_k1 K1;
    /// `exp(x) modified_bessel_k0(x)`, which does not underflow.
    scaled_modified_bessel_k0 K0E;
    /// `exp(x) modified_bessel_k1(x)`, which does not underflow.
    scaled_modified_bessel_k1 K1E;
    /// The Bessel function of the first kind and order 0.
    bessel_j0 J0;
    /// The Bessel function of the first kind and order 1.
    bessel_j1 J1;
    /// The Bessel function of the second kind and order 0; minus infinity at 0, NaN below.
    bessel_y0 Y0;
    /// The Bessel function of the second kind and order 1; minus infinity at 0, NaN below.
    bessel_y1 Y1;
    /// `sin(x) / x`, 1 at 0.
    spherical_bessel_j0 SPHERICAL_J0;
    /// Airy's function Ai. It has no gradient.
    airy_ai AIRY_AI;
    /// `exp(x²) erfc(x)`: the error function's tail without its decay.
    erfcx ERFCX;
    /// The probability that a standard normal number is below `x`.
    ndtr NDTR;
    /// The inverse of [`ndtr`](Self::ndtr); NaN outside 0 to 1.
    ndtri NDTRI;
    /// The logarithm of [`ndtr`](Self::ndtr), accurate far to the left.
    log_ndtr LOG_NDTR;
    /// `-x log(x)`; 0 at 0, minus infinity below.
    entr ENTR;
}

macro_rules! of_two {
    ($($(#[$doc:meta])* $name:ident($other:ident) $row:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            ///
            /// Operands promote, at least to `f32`, and broadcast.
            ///
            /// # Errors
            /// Shapes that do not broadcast, types without a common one, different devices.
            #[track_caller]
            pub fn $name(&self, $other: impl Into<Operand>) -> Result<Tensor> {
                Operand::apply(&ops::$row, &[&self.into(), &$other.into()], true)
            }
        )*}
    };
}
of_two! {
    /// `self * log(1 + other)`, 0 where `self` is 0 (unless `other` is NaN).
    xlog1py(other) XLOG1PY;
    /// Hurwitz' zeta function: the sum of `(other + k)^-self` over all `k` from 0. Infinite at its poles, NaN for `self` below 1.
    /// The gradient passes to `other` alone.
    zeta(other) ZETA;
    /// The regularised lower incomplete gamma function: the share below `other` of the gamma integral of `self`. The gradient
    /// passes to `other` alone.
    igamma(other) IGAMMA;
    /// `1 - igamma`, accurate where it is small.
    igammac(other) IGAMMAC;
    /// Chebyshev's polynomial of the first kind of degree `n`, truncated to an integer, at `self`; 0 below degree 0. No gradient.
    chebyshev_polynomial_t(n) CHEBYSHEV_T;
    /// Chebyshev's polynomial of the second kind; see [`chebyshev_polynomial_t`](Self::chebyshev_polynomial_t).
    chebyshev_polynomial_u(n) CHEBYSHEV_U;
    /// Chebyshev's polynomial of the third kind; see [`chebyshev_polynomial_t`](Self::chebyshev_polynomial_t).
    chebyshev_polynomial_v(n) CHEBYSHEV_V;
    /// Chebyshev's polynomial of the fourth kind; see [`chebyshev_polynomial_t`](Self::chebyshev_polynomial_t).
    chebyshev_polynomial_w(n) CHEBYSHEV_W;
    /// [`chebyshev_polynomial_t`](Self::chebyshev_polynomial_t) at `2 self - 1`.
    shifted_chebyshev_polynomial_t(n) SHIFTED_CHEBYSHEV_T;
    /// [`chebyshev_polynomial_u`](Self::chebyshev_polynomial_u) at `2 self - 1`.
    shifted_chebyshev_polynomial_u(n) SHIFTED_CHEBYSHEV_U;
    /// [`chebyshev_polynomial_v`](Self::chebyshev_polynomial_v) at `2 self - 1`.
    shifted_chebyshev_polynomial_v(n) SHIFTED_CHEBYSHEV_V;
    /// [`chebyshev_polynomial_w`](Self::chebyshev_polynomial_w) at `2 self - 1`.
    shifted_chebyshev_polynomial_w(n) SHIFTED_CHEBYSHEV_W;
    /// The physicists' Hermite polynomial of degree `n`, truncated to an integer, at `self`; 0 below degree 0. No gradient.
    hermite_polynomial_h(n) HERMITE_H;
    /// The probabilists' Hermite polynomial; see [`hermite_polynomial_h`](Self::hermite_polynomial_h).
    hermite_polynomial_he(n) HERMITE_HE;
    /// Laguerre's polynomial of degree `n`, truncated to an integer, at `self`; 0 below degree 0. No gradient.
    laguerre_polynomial_l(n) LAGUERRE;
    /// Legendre's polynomial of degree `n`, truncated to an integer, at `self`; 0 below degree 0. No gradient.
    legendre_polynomial_p(n) LEGENDRE;
}

impl Tensor {
    /// A function of two operands of which the first is a number: `scalar.zeta(other)` and its kin.
    #[track_caller]
    pub(crate) fn special_of(f: &'static ops::Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        Operand::apply(f, &[a, b], true)
    }

    /// The `n`-th derivative of [`digamma`](Self::digamma); like `torch.polygamma(n, self)`.
    ///
    /// # Errors
    /// The error this tensor carries.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([1.0], &Device::cpu())?.polygamma(1)?;
    /// assert!((x.item::<f32>()? - 1.644_934).abs() < 1e-6); // pi^2 / 6
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn polygamma(&self, n: usize) -> Result<Tensor> {
        if n == 0 { self.digamma() } else { self.float_row(&ops::POLYGAMMA, &[n as f64]) }
    }

    /// The logarithm of the gamma function of `p` variables; like `torch.mvlgamma`. NaN or infinite at most `(p - 1) / 2`.
    ///
    /// # Errors
    /// `p` is 0.
    #[track_caller]
    pub fn mvlgamma(&self, p: usize) -> Result<Tensor> {
        if p == 0 {
            return Err(Error::argument("mvlgamma", "p must be at least 1"));
        }
        let x = self.as_float()?;
        let mut sum = x.lgamma()?;
        for j in 1..p {
            sum = sum.add(x.sub(j as f64 / 2.0)?.lgamma()?)?;
        }
        let p = p as f64;
        sum.add(Scalar::Float(p * (p - 1.0) / 4.0 * std::f64::consts::PI.ln()))
    }
}
