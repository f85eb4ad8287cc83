//! Bessel and Airy functions in `f64`: Chebyshev series near 0 and, beyond, of what is left when the growth or the
//! oscillation is taken out.

use std::f64::consts::{FRAC_2_PI, PI};

use super::tables::*;

/// `exp(-|x|) I0(x)`.
pub(super) fn i0e(x: f64) -> f64 {
    let x = x.abs();
    if x <= 8.0 { series(&I0E_NEAR, x / 4.0 - 1.0) } else { series(&I0E_FAR, 16.0 / x - 1.0) / x.sqrt() }
}

pub(super) fn i0(x: f64) -> f64 {
    grown(i0e(x), x)
}

/// `exp(-|x|) I1(x)`.
pub(super) fn i1e(x: f64) -> f64 {
    let a = x.abs();
    if a <= 8.0 { x * series(&I1E_NEAR, a / 4.0 - 1.0) } else { (series(&I1E_FAR, 16.0 / a - 1.0) / a.sqrt()).copysign(x) }
}

pub(super) fn i1(x: f64) -> f64 {
    grown(i1e(x), x)
}

/// `scaled exp(|x|)`, in two steps where the exponential alone overflows.
fn grown(scaled: f64, x: f64) -> f64 {
    if x.is_infinite() {
        return f64::INFINITY.copysign(scaled);
    }
    let half = (0.5 * x.abs()).exp();
    scaled * half * half
}

/// `exp(x) K0(x)`; infinite at 0, NaN below.
pub(super) fn k0e(x: f64) -> f64 {
    match x {
        _ if x == 0.0 => f64::INFINITY,
        _ if x < 0.0 => f64::NAN,
        _ if x <= 2.0 => x.exp() * (series(&K0_NEAR, 0.5 * x * x - 1.0) - (0.5 * x).ln() * i0(x)),
        _ => series(&K0E_FAR, 4.0 / x - 1.0) / x.sqrt(),
    }
}

pub(super) fn k0(x: f64) -> f64 {
    k0e(x) * (-x).exp()
}

/// `exp(x) K1(x)`; infinite at 0, NaN below.
pub(super) fn k1e(x: f64) -> f64 {
    match x {
        _ if x == 0.0 => f64::INFINITY,
        _ if x < 0.0 => f64::NAN,
        _ if x <= 2.0 => x.exp() * (series(&K1_NEAR, 0.5 * x * x - 1.0) / x + (0.5 * x).ln() * i1(x)),
        _ => series(&K1E_FAR, 4.0 / x - 1.0) / x.sqrt(),
    }
}

pub(super) fn k1(x: f64) -> f64 {
    k1e(x) * (-x).exp()
}

/// Where the oscillating functions change from their series to amplitude and phase.
const FAR: f64 = 8.0;

/// `(p, q / x, sin + cos, sin - cos)`, all over `sqrt(pi x)`, for the table pair of an order.
fn wave(p: &[f64], q: &[f64], x: f64) -> [f64; 4] {
    let u = 2.0 * (FAR / x) * (FAR / x) - 1.0;
    let (s, c) = x.sin_cos();
    let scale = 1.0 / (PI * x).sqrt();
    [series(p, u) * scale, series(q, u) / x * scale, s + c, s - c]
}

pub(super) fn j0(x: f64) -> f64 {
    let x = x.abs();
    if x.is_infinite() {
        return 0.0;
    }
    if x <= FAR {
        return series(&J0_NEAR, x * x / 32.0 - 1.0);
    }
    let [p, q, sum, difference] = wave(&P0, &Q0, x);
    p * sum - q * difference
}

pub(super) fn j1(x: f64) -> f64 {
    let a = x.abs();
    if a.is_infinite() {
        return 0.0;
    }
    if a <= FAR {
        return x * series(&J1_NEAR, x * x / 32.0 - 1.0);
    }
    let [p, q, sum, difference] = wave(&P1, &Q1, a);
    let y = p * difference + q * sum;
    if x < 0.0 { -y } else { y }
}

pub(super) fn y0(x: f64) -> f64 {
    match x {
        _ if x == 0.0 => return f64::NEG_INFINITY,
        _ if x < 0.0 => return f64::NAN,
        f64::INFINITY => return 0.0,
        _ if x <= FAR => return series(&Y0_NEAR, x * x / 32.0 - 1.0) + FRAC_2_PI * x.ln() * j0(x),
        _ => {}
    }
    let [p, q, sum, difference] = wave(&P0, &Q0, x);
    p * difference + q * sum
}

pub(super) fn y1(x: f64) -> f64 {
    match x {
        _ if x == 0.0 => return f64::NEG_INFINITY,
        _ if x < 0.0 => return f64::NAN,
        f64::INFINITY => return 0.0,
        _ if x <= FAR => return x * series(&Y1_NEAR, x * x / 32.0 - 1.0) + FRAC_2_PI * (x.ln() * j1(x) - 1.0 / x),
        _ => {}
    }
    let [p, q, sum, difference] = wave(&P1, &Q1, x);
    q * difference - p * sum
}

/// `sin(x) / x`, 1 at 0.
pub(super) fn spherical_j0(x: f64) -> f64 {
    match x {
        _ if x.is_infinite() => 0.0,
        _ if x.abs() < 1e-4 => 1.0 - x * x / 6.0,
        _ => x.sin() / x,
    }
}

/// The derivative of [`spherical_j0`]: a series where the difference would cancel.
pub(super) fn spherical_j0_slope(x: f64) -> f64 {
    if x.abs() < 0.5 {
        let t = x * x;
        return -x
            * (1.0 / 3.0 - t * (1.0 / 30.0 - t * (1.0 / 840.0 - t * (1.0 / 45_360.0 - t * (1.0 / 3_991_680.0 - t / 518_918_400.0)))));
    }
    (x.cos() - x.sin() / x) / x
}

/// Airy's Ai: decays to the right, oscillates to the left.
pub(super) fn airy_ai(x: f64) -> f64 {
    if x.is_infinite() {
        return 0.0;
    }
    if (-4.0..=2.0).contains(&x) {
        return series(&AIRY_MID, (x + 1.0) / 3.0);
    }
    let a = x.abs();
    let zeta = 2.0 / 3.0 * a * a.sqrt();
    let start = |at: f64| 2.0 / 3.0 * at * at.sqrt();
    let scale = 1.0 / (PI * a.sqrt()).sqrt();
    if x > 0.0 {
        return 0.5 * scale * (-zeta).exp() * series(&AIRY_POS, 2.0 * start(2.0) / zeta - 1.0);
    }
    let ratio = start(4.0) / zeta;
    let u = 2.0 * ratio * ratio - 1.0;
    let (s, c) = (zeta - 0.25 * PI).sin_cos();
    scale * (series(&AIRY_P, u) * c + series(&AIRY_Q, u) / zeta * s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_tables_are_met() {
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 2e-14 * b.abs().max(0.1), "{a} for {b}");
        near(i0(0.5), 1.0634833707413236);
        near(i0(7.5), 268.16131151518937);
        near(i0(30.0), 781672297823.9775);
        near(i1(-0.5), -0.2578943053908963);
        near(i1(12.0), 18141.348781638833);
        near(i0e(3.0), 0.2430003541618254);
        near(i0e(100.0), 0.03994437929909668);
        near(i1e(3.0), 0.19682671329730086);
        near(i1e(100.0), 0.03974415302513025);
        near(k0(0.1), 2.4270690247020164);
        near(k0(1.9), 0.1288459792760475);
        near(k0(5.0), 0.0036910983340425942);
        near(k1(0.1), 9.853844780870606);
        near(k1(1.9), 0.15966015303266762);
        near(k1(5.0), 0.004044613445452165);
        near(k0e(30.0), 0.22788666561625373);
        near(k1e(30.0), 0.2316541293777118);
        near(j0(1.0), 0.7651976865579666);
        near(j0(7.9), 0.19436184484127825);
        near(j0(25.0), 0.09626678327595811);
        near(j1(-1.0), -0.4400505857449335);
        near(j1(7.9), 0.2191793999217512);
        near(j1(25.0), -0.1253502495802899);
        near(y0(1.0), 0.08825696421567696);
        near(y0(7.9), 0.20652094814437577);
        near(y0(25.0), -0.12724943226800614);
        near(y1(1.0), -0.7812128213002887);
        near(y1(7.9), -0.18172107728057313);
        near(y1(25.0), -0.09882996478323741);
        near(airy_ai(-12.0), -0.06655517505437313);
        near(airy_ai(-3.0), -0.37881429367765806);
        near(airy_ai(1.0), 0.13529241631288141);
        near(airy_ai(5.0), 0.00010834442813607442);
    }

    #[test]
    fn ends_are_right() {
        let inf = f64::INFINITY;
        assert_eq!([i0(inf), i1(-inf), i0e(inf), k0(0.0), k1(0.0), y0(0.0), y1(0.0)], [inf, -inf, 0.0, inf, inf, -inf, -inf]);
        assert_eq!([j0(inf), j1(-inf), y0(inf), airy_ai(inf), airy_ai(-inf), spherical_j0(0.0)], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        for f in [i0, i1, i0e, i1e, k0, k1, k0e, k1e, j0, j1, y0, y1, spherical_j0, airy_ai] {
            assert!(f(f64::NAN).is_nan());
        }
        assert!(y0(-1.0).is_nan() && k1(-1.0).is_nan());
    }
}
