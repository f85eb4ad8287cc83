//! The normal distribution and the scaled error function, in `f64`.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::tables::*;

/// `exp(x²) erfc(x)`: what is left of erfc when its exponential is taken out.
pub(super) fn erfcx(x: f64) -> f64 {
    if x < 0.0 {
        return if x < -26.7 { f64::INFINITY } else { 2.0 * (x * x).exp() - erfcx(-x) };
    }
    if x.is_infinite() {
        return 0.0;
    }
    series(&ERFCX, (x - 2.0) / (x + 2.0)) / (1.0 + 2.0 * x)
}

/// The area under the bell curve left of `x`.
pub(super) fn ndtr(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

pub(super) fn log_ndtr(x: f64) -> f64 {
    let t = x * FRAC_1_SQRT_2;
    if x < -1.0 { (0.5 * erfcx(-t)).ln() - t * t } else { (-0.5 * libm::erfc(t)).ln_1p() }
}

/// The derivative of [`log_ndtr`]: the density over the area.
pub(super) fn log_ndtr_slope(x: f64) -> f64 {
    if x == f64::NEG_INFINITY {
        return f64::INFINITY;
    }
    // Far to the right erfcx overflows, and the area is 1.
    if x > 30.0 { (-0.5 * x * x).exp() / (2.0 * PI).sqrt() } else { (2.0 / PI).sqrt() / erfcx(-x * FRAC_1_SQRT_2) }
}

/// The inverse of [`ndtr`].
pub(super) fn ndtri(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * series(&NDTRI_CENTRAL, q * q * (2.0 / 0.180_625) - 1.0);
    }
    let tail = p.min(1.0 - p);
    if tail == 0.0 {
        return f64::INFINITY.copysign(q);
    }
    let r = (-tail.ln()).sqrt();
    let y = if r <= 5.0 { series(&NDTRI_TAIL, (r - 1.6) / 1.7 - 1.0) } else { series(&NDTRI_FAR, (r - 5.0) / 11.25 - 1.0) };
    y.copysign(q)
}

/// `-x ln x`; 0 at 0, minus infinity below.
pub(super) fn entr(x: f64) -> f64 {
    match x {
        _ if x > 0.0 => -x * x.ln(),
        _ if x == 0.0 => 0.0,
        _ if x.is_nan() => x,
        _ => f64::NEG_INFINITY,
    }
}

/// `a log(1 + b)`, 0 where `a` is 0 and `b` is a number.
pub(super) fn xlog1py(a: f64, b: f64) -> f64 {
    if a == 0.0 && !b.is_nan() { 0.0 } else { a * b.ln_1p() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_tables_are_met() {
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-14 * b.abs().max(1e-300), "{a} for {b}");
        near(erfcx(0.5), 0.615_690_344_192_925_9);
        near(erfcx(30.0), 0.018_795_888_861_416_75);
        near(erfcx(-2.0), 108.940_904_389_977_97);
        near(ndtri(0.975), 1.959_963_984_540_054);
        near(ndtri(1e-10), -6.361_340_902_404_056);
        near(ndtri(1e-200), -30.205_594_179_579_64);
        near(log_ndtr(-20.0), -203.917_155_371_097_2);
        near(log_ndtr(0.3), -0.481_410_161_588_481_2);
        assert_eq!([ndtri(0.0), ndtri(1.0), ndtri(0.5)], [f64::NEG_INFINITY, f64::INFINITY, 0.0]);
        assert!((ndtr(2f64.sqrt()) - 0.921_350_396_474_857_3).abs() < 1e-15);
    }
}
