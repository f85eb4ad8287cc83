//! Special functions: rows like those of `unary.rs` and `binary.rs`. On the CPU all are computed in `f64`, whatever the
//! type; on a GPU by `shaders/prelude/special_*.wgsl`, good to `f32`.

mod bessel;
mod gamma;
mod normal;
mod polynomials;
mod tables;

use bessel::*;
use gamma::*;
use normal::*;
use polynomials::*;

use super::elementwise::*;
use super::fastmath::Real;
use crate::error::Result;
use crate::runtime::cpu::tile::Reg;
use crate::tensor::Tensor;

/// sqrt(2 pi), sqrt(2), 2 / sqrt(pi)
const SQRT_TAU: f64 = 2.506_628_274_631_000_7;
const ERF_SLOPE: f64 = std::f64::consts::FRAC_2_SQRT_PI;

/// A float that is computed with in `f64`.
trait Wide: Real {
    fn wide(self) -> f64;
}

impl Wide for f32 {
    fn wide(self) -> f64 {
        self as f64
    }
}

impl Wide for f64 {
    fn wide(self) -> f64 {
        self
    }
}

fn via<R: Wide>(f: fn(f64) -> f64, x: R) -> R {
    R::constant(f(x.wide()))
}

fn via2<R: Wide>(f: fn(f64, f64) -> f64, a: R, b: R) -> R {
    R::constant(f(a.wide(), b.wide()))
}

functions! { SPECIAL same;
    I0 "i0"(x) 60 [float via(i0, x) => "bessel_i0(x)"] [x |g, x| g * x.i1()?];
    I0E "i0e"(x) 50 [float via(i0e, x) => "bessel_i0e(x)"] [x |g, x, y| g * (x.i1e()? - x.sign()? * y)];
    I1 "i1"(x) 60 [float via(i1, x) => "bessel_i1(x)"] [x |g, x, y| g * (x.i0()? - over(y, x)?)];
    I1E "i1e"(x) 50 [float via(i1e, x) => "bessel_i1e(x)"]
        [x |g, x, y| g * (x.i0e()? - x.sign()? * y - over(y, x)?)];
    K0 "modified_bessel_k0"(x) 100 [float via(k0, x) => "bessel_k0(x)"] [x |g, x| -g * x.modified_bessel_k1()?];
    K1 "modified_bessel_k1"(x) 100 [float via(k1, x) => "bessel_k1(x)"] [x |g, x, y| -g * (x.modified_bessel_k0()? + y / x)];
    K0E "scaled_modified_bessel_k0"(x) 100 [float via(k0e, x) => "bessel_k0e(x)"]
        [x |g, x, y| g * (y - x.scaled_modified_bessel_k1()?)];
    K1E "scaled_modified_bessel_k1"(x) 100 [float via(k1e, x) => "bessel_k1e(x)"]
        [x |g, x, y| g * (y - x.scaled_modified_bessel_k0()? - y / x)];
    J0 "bessel_j0"(x) 60 [float via(j0, x) => "bessel_j0(x)"] [x |g, x| -g * x.bessel_j1()?];
    J1 "bessel_j1"(x) 60 [float via(j1, x) => "bessel_j1(x)"] [x |g, x, y| g * (x.bessel_j0()? - over(y, x)?)];
    Y0 "bessel_y0"(x) 120 [float via(y0, x) => "bessel_y0(x)"] [x |g, x| -g * x.bessel_y1()?];
    Y1 "bessel_y1"(x) 120 [float via(y1, x) => "bessel_y1(x)"] [x |g, x, y| g * (x.bessel_y0()? - y / x)];
    SPHERICAL_J0 "spherical_bessel_j0"(x) 20 [float via(spherical_j0, x) => "spherical_j0(x)"]
        [x |g, x| Tensor::map(&SPHERICAL_J0_BACKWARD, &[&g.into(), &x.into()])?];
    SPHERICAL_J0_BACKWARD "spherical_bessel_j0_backward"(a, x) 40
        [float a * via(spherical_j0_slope, x) => "a * spherical_j0_slope(x)"] [];
    AIRY_AI "airy_ai"(x) 150 [float via(airy_ai, x) => "airy_ai(x)"] [];

    ERFCX "erfcx"(x) 40 [float via(erfcx, x) => "erfcx(x)"] [x |g, x, y| g * (x * y * 2.0 - ERF_SLOPE)];
    NDTR "ndtr"(x) 30 [float via(ndtr, x) => "V(0.5) * erfc(x * V(-0.70710678))"] [x |g, x| g * (1.0 / SQRT_TAU) * (x * x * -0.5).exp()?];
    NDTRI "ndtri"(x) 60 [float via(ndtri, x) => "ndtri(x)"] [x |g, y| g * SQRT_TAU * (y * y * 0.5).exp()?];
    LOG_NDTR "log_ndtr"(x) 60 [float via(log_ndtr, x) => "log_ndtr(x)"]
        [x |g, x| Tensor::map(&LOG_NDTR_BACKWARD, &[&g.into(), &x.into()])?];
    LOG_NDTR_BACKWARD "log_ndtr_backward"(a, x) 60 [float a * via(log_ndtr_slope, x) => "a * log_ndtr_slope(x)"] [
        a |g, x| Tensor::map(&LOG_NDTR_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| { let s = Tensor::map(&LOG_NDTR_BACKWARD, &[&x.ones_like()?.into(), &x.into()])?; -g * a * &s * (x + &s) }
    ];
    ENTR "entr"(x) 12 [float via(entr, x) => "entr(x)"] [x |g, x| g * (-x.log()? - 1.0)];
    XLOG1PY "xlog1py"(a, b) 14 [float via2(xlog1py, a, b) => "xlog1py(a, b)"] [
        a |g, a, b| {
            let compare = crate::tensor::Operand::compare;
            let undefined = compare(&super::EQ, a, &0.0f64.into())?.logical_and(&compare(&super::LE, b, &(-1.0f64).into())?)?;
            Tensor::map(&XLOG1PY, &[&g.into(), b])?.masked_fill(&undefined, 0.0)?
        };
        b |g, a, b| g * (a / (b + 1.0))
    ];

    /// The number is the order.
    POLYGAMMA "polygamma"(x, p) 200 [float via2(polygamma, p, x) => "polygamma(p, x)"]
        [x |g, x, p| g * x.map_with(&POLYGAMMA, &[(p + 1.0).into()])?];
    ZETA "zeta"(a, b) 200 [float via2(zeta, a, b) => "zeta(a, b)"] [
        b |g, a, b| -g * (a * Tensor::map(&ZETA, &[&(a + 1.0).into(), b])?)
    ];
    IGAMMA "igamma"(a, b) 400 [float via2(igamma, a, b) => "igamma(a, b)"] [
        b |g, a, b| g * Tensor::map(&IGAMMA_SLOPE, &[a, b])?
    ];
    IGAMMAC "igammac"(a, b) 400 [float via2(igammac, a, b) => "igammac(a, b)"] [
        b |g, a, b| -g * Tensor::map(&IGAMMA_SLOPE, &[a, b])?
    ];
    IGAMMA_SLOPE "igamma_slope"(a, b) 100 [float via2(igamma_slope, a, b) => "igamma_slope(a, b)"] [];

    CHEBYSHEV_T "chebyshev_polynomial_t"(a, b) 200 [float via2(chebyshev_t, a, b) => "chebyshev_t(a, b)"] [];
    CHEBYSHEV_U "chebyshev_polynomial_u"(a, b) 200 [float via2(chebyshev_u, a, b) => "chebyshev_u(a, b)"] [];
    CHEBYSHEV_V "chebyshev_polynomial_v"(a, b) 200 [float via2(chebyshev_v, a, b) => "chebyshev_v(a, b)"] [];
    CHEBYSHEV_W "chebyshev_polynomial_w"(a, b) 200 [float via2(chebyshev_w, a, b) => "chebyshev_w(a, b)"] [];
    SHIFTED_CHEBYSHEV_T "shifted_chebyshev_polynomial_t"(a, b) 200
        [float via2(shifted_chebyshev_t, a, b) => "chebyshev_t(a + a - V(1.0), b)"] [];
    SHIFTED_CHEBYSHEV_U "shifted_chebyshev_polynomial_u"(a, b) 200
        [float via2(shifted_chebyshev_u, a, b) => "chebyshev_u(a + a - V(1.0), b)"] [];
    SHIFTED_CHEBYSHEV_V "shifted_chebyshev_polynomial_v"(a, b) 200
        [float via2(shifted_chebyshev_v, a, b) => "chebyshev_v(a + a - V(1.0), b)"] [];
    SHIFTED_CHEBYSHEV_W "shifted_chebyshev_polynomial_w"(a, b) 200
        [float via2(shifted_chebyshev_w, a, b) => "chebyshev_w(a + a - V(1.0), b)"] [];
    HERMITE_H "hermite_polynomial_h"(a, b) 200 [float via2(hermite_h, a, b) => "hermite_h(a, b)"] [];
    HERMITE_HE "hermite_polynomial_he"(a, b) 200 [float via2(hermite_he, a, b) => "hermite_he(a, b)"] [];
    LAGUERRE "laguerre_polynomial_l"(a, b) 200 [float via2(laguerre, a, b) => "laguerre(a, b)"] [];
    LEGENDRE "legendre_polynomial_p"(a, b) 200 [float via2(legendre, a, b) => "legendre(a, b)"] [];
}

/// `y / x` of an odd function of slope 1/2 at 0. What is left out there is no division by 0, so that the gradient of the result,
/// the second derivative, is a number.
fn over(y: &Tensor, x: &Tensor) -> Result<Tensor> {
    let zero = x.eq(0.0)?;
    y.div(&x.masked_fill(&zero, 1.0)?)?.masked_fill(&zero, 0.5)
}

/// `i0` of one number, for what is computed on the host.
pub(crate) fn bessel_i0(x: f64) -> f64 {
    i0(x)
}

#[cfg(test)]
mod tests {
    use crate::device::Device;
    use crate::error::Result;
    use crate::tensor::Tensor;
    use crate::testing::assert_close;

    /// Their first derivatives divide by `x`, which 0 takes the place of a limit in.
    #[test]
    fn odd_functions_have_a_second_derivative_at_zero() -> Result<()> {
        for f in [Tensor::i1, Tensor::i1e, Tensor::bessel_j1] {
            let x = Tensor::from_vec(vec![0.0f64], [1], &Device::cpu())?;
            x.requires_grad_(true)?;
            let first = crate::autograd::grad(&[&f(&x)?], &[&x], &[None], true, true)?.remove(0).expect("depends on x");
            assert_close(&first, &[0.5], 1e-14, 0.0);
            first.backward()?;
            assert_close(&x.grad().expect("depends on x"), &[0.0], 0.0, 1e-14);
        }
        Ok(())
    }
}
