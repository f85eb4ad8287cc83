//! What belongs to the gamma function, in `f64`: Hurwitz' zeta, polygamma, the incomplete gamma functions.

use std::f64::consts::PI;

use super::super::fastmath::digamma;

/// `B(2k) / (2k)!`: the coefficients of Euler and Maclaurin.
const BERNOULLI: [f64; 12] = [
    0.08333333333333333,
    -0.001388888888888889,
    3.306878306878307e-05,
    -8.267195767195768e-07,
    2.08767569878681e-08,
    -5.284190138687493e-10,
    1.3382536530684679e-11,
    -3.3896802963225827e-13,
    8.586062056277845e-15,
    -2.174868698558062e-16,
    5.5090028283602295e-18,
    -1.395446468581252e-19,
];

/// The sum of `(q + k)^-s` over all `k` from 0; infinite at the poles, NaN where it is not defined (`s < 1`; a power of a
/// negative number).
pub(super) fn zeta(s: f64, q: f64) -> f64 {
    if s == 1.0 {
        return f64::INFINITY;
    }
    if !(s > 1.0) || q.is_nan() {
        return f64::NAN;
    }
    if q > 0.0 {
        return zeta_right(s, q);
    }
    if q == q.floor() {
        return f64::INFINITY;
    }
    if s != s.floor() {
        return f64::NAN;
    }
    // The terms left of 0, by their distance from it, are a piece of another such sum.
    let right = q - q.floor();
    let left = zeta_right(s, 1.0 - right) - zeta_right(s, 1.0 - q);
    zeta_right(s, right) + if s % 2.0 == 0.0 { left } else { -left }
}

/// For `q > 0`: terms until the rest is smooth, then Euler and Maclaurin's formula for the rest.
fn zeta_right(s: f64, q: f64) -> f64 {
    let (mut a, mut sum) = (q, 0.0);
    while a < s.max(10.0) {
        let term = a.powf(-s);
        sum += term;
        if term <= 1e-17 * sum {
            return sum;
        }
        a += 1.0;
    }
    let power = a.powf(-s);
    if power == 0.0 {
        return sum;
    }
    sum += power * (a / (s - 1.0) + 0.5);
    let mut factor = s * power / a;
    for (k, b) in BERNOULLI.iter().enumerate() {
        sum += b * factor;
        let n = s + 2.0 * k as f64;
        factor *= (n + 1.0) * (n + 2.0) / (a * a);
    }
    sum
}

/// The `n`-th derivative of digamma.
pub(super) fn polygamma(n: f64, x: f64) -> f64 {
    if n == 0.0 {
        return digamma(x);
    }
    let value = libm::tgamma(n + 1.0) * zeta(n + 1.0, x);
    if n % 2.0 == 0.0 { -value } else { value }
}

/// `x^a exp(-x) / Gamma(a)`, without the cancellation of its parts for large `a`.
fn front(a: f64, x: f64) -> f64 {
    if a < 10.0 {
        return (a * x.ln() - x - libm::lgamma(a)).exp();
    }
    let m = (x - a) / a;
    // log(1 + m) - m
    let bend = if m.abs() < 0.3 {
        let r = m / (2.0 + m);
        let q = r * r;
        let tail = (0..14).rev().fold(0.0, |t, k| t * q + 1.0 / (2 * k + 3) as f64);
        r * (2.0 * q * tail - m)
    } else {
        m.ln_1p() - m
    };
    let i = 1.0 / (a * a);
    let stirling =
        (1.0 / 12.0 - i * (1.0 / 360.0 - i * (1.0 / 1260.0 - i * (1.0 / 1680.0 - i * (1.0 / 1188.0 - i * 691.0 / 360_360.0))))) / a;
    (a / (2.0 * PI)).sqrt() * (a * bend - stirling).exp()
}

/// So many steps reach full precision for `a` up to about 1e8.
const STEPS: usize = 100_000;

/// The lower function by its power series.
fn lower(a: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..STEPS {
        term *= x / (a + k as f64);
        sum += term;
        if term <= 1e-17 * sum {
            break;
        }
    }
    sum * front(a, x) / a
}

/// The upper function by its continued fraction (Lentz); for `x > a`.
fn upper(a: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / away(b));
    let mut h = d;
    for k in 1..STEPS {
        let n = -(k as f64) * (k as f64 - a);
        b += 2.0;
        d = 1.0 / away(n * d + b);
        c = away(b + n / c);
        h *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    h * front(a, x)
}

/// The values at the ends of the lower function, if `(a, x)` is one.
fn end(a: f64, x: f64) -> Option<f64> {
    Some(match (a, x) {
        _ if !(a >= 0.0 && x >= 0.0) => f64::NAN,
        _ if a == 0.0 => {
            if x > 0.0 {
                1.0
            } else {
                f64::NAN
            }
        }
        _ if x == 0.0 => 0.0,
        _ if a.is_infinite() => {
            if x.is_infinite() {
                f64::NAN
            } else {
                0.0
            }
        }
        _ if x.is_infinite() => 1.0,
        _ => return None,
    })
}

/// The share of the gamma integral of `a` that lies below `x`.
pub(super) fn igamma(a: f64, x: f64) -> f64 {
    end(a, x).unwrap_or_else(|| if x > 1.0 && x > a { 1.0 - upper(a, x) } else { lower(a, x) })
}

/// The share that lies above `x`.
pub(super) fn igammac(a: f64, x: f64) -> f64 {
    end(a, x).map_or_else(|| if x > 1.0 && x > a { upper(a, x) } else { 1.0 - lower(a, x) }, |v| 1.0 - v)
}

/// The derivative of [`igamma`] by `x`.
pub(super) fn igamma_slope(a: f64, x: f64) -> f64 {
    if x == 0.0 { ((a - 1.0) * x.ln() - libm::lgamma(a)).exp() } else { front(a, x) / x }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_tables_are_met() {
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 2e-14 * b.abs(), "{a} for {b}");
        near(zeta(2.0, 1.0), 1.6449340668482264);
        near(zeta(1.5, 0.3), 8.237761671459724);
        near(zeta(3.0, 12.5), 0.0034662182928941205);
        near(zeta(40.0, 9.5), 7.927283367319226e-40);
        near(zeta(1.01, 100.0), 95.50404160284684);
        near(zeta(2.0, 0.001), 1000001.6425331958);
        near(polygamma(1.0, 0.5), 4.934802200544679);
        near(polygamma(2.0, -1.3), 68.54941347116214);
        near(polygamma(3.0, -20.7), 769.0207046617147);
        near(polygamma(4.0, 7.0), -0.00329677158902638);
        near(polygamma(1.0, -0.4), 9.886209670902357);
        near(polygamma(0.0, 3.5), 1.103156640645243);
        near(igamma(0.3, 0.1), 0.5459128495917965);
        near(igammac(0.3, 0.1), 0.4540871504082035);
        near(igamma(2.5, 1.2), 0.20852587940567532);
        near(igammac(2.5, 1.2), 0.7914741205943246);
        near(igamma(5.0, 20.0), 0.9999830552560699);
        near(igammac(5.0, 20.0), 1.6944743930067385e-05);
        near(igamma(120.0, 118.0), 0.4391514638470326);
        near(igammac(120.0, 118.0), 0.5608485361529674);
        near(igamma(120.0, 135.0), 0.9108829110989993);
        near(igammac(120.0, 135.0), 0.08911708890100073);
        near(igamma(3000.5, 2950.0), 0.17851153044205664);
        near(igammac(3000.5, 2950.0), 0.8214884695579434);
        near(igamma(15.0, 3.0), 6.703859112405606e-07);
        near(igammac(15.0, 3.0), 0.9999993296140888);
        assert_eq!([zeta(1.0, 2.0), zeta(2.0, 0.0), zeta(2.0, -3.0)], [f64::INFINITY; 3]);
        assert!(zeta(0.5, 1.0).is_nan() && zeta(2.5, -0.5).is_nan());
        assert_eq!([igamma(2.0, 0.0), igamma(0.0, 1.0), igammac(3.0, f64::INFINITY)], [0.0, 1.0, 0.0]);
    }
}
