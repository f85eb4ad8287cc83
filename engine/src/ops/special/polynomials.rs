//! Orthogonal polynomials by their recurrences, in `f64`. The degree is truncated to an integer; below 0 they are 0.

/// Degrees beyond this give NaN: the recurrences take a step for each.
const HIGHEST: f64 = 1_048_576.0;

/// The four kinds of Chebyshev's polynomials, and the trigonometric forms that hold between -1 and 1.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    T,
    U,
    V,
    W,
}

/// `q[k + 1] = step(k, q[k], q[k - 1])` from 1 and `first`, up to degree `n`; stops where nothing finite can follow.
fn recurrence(n: f64, first: f64, step: impl Fn(f64, f64, f64) -> f64) -> f64 {
    let n = n.trunc();
    match n {
        _ if n < 0.0 || n.is_nan() => return 0.0,
        _ if n == 0.0 => return 1.0,
        _ if n > HIGHEST => return f64::NAN,
        _ => {}
    }
    let (mut before, mut last, mut k) = (1.0, first, 1.0);
    while k < n && last.is_finite() {
        (before, last) = (last, step(k, last, before));
        k += 1.0;
    }
    last
}

fn chebyshev(kind: Kind, x: f64, n: f64) -> f64 {
    let n = n.trunc();
    if n > 8.0 && x.abs() < 1.0 {
        let t = x.acos();
        let h = n + 0.5;
        return match kind {
            Kind::T => (n * t).cos(),
            Kind::U => ((n + 1.0) * t).sin() / t.sin(),
            Kind::V => (h * t).cos() / (0.5 * t).cos(),
            Kind::W => (h * t).sin() / (0.5 * t).sin(),
        };
    }
    let first = match kind {
        Kind::T => x,
        Kind::U => x + x,
        Kind::V => x + x - 1.0,
        Kind::W => x + x + 1.0,
    };
    recurrence(n, first, |_, q, p| (x + x) * q - p)
}

macro_rules! chebyshev {
    ($($name:ident $shifted:ident $kind:ident;)*) => {$(
        pub(super) fn $name(x: f64, n: f64) -> f64 {
            chebyshev(Kind::$kind, x, n)
        }
        /// For arguments from 0 to 1.
        pub(super) fn $shifted(x: f64, n: f64) -> f64 {
            chebyshev(Kind::$kind, x + x - 1.0, n)
        }
    )*};
}
chebyshev! {
    chebyshev_t shifted_chebyshev_t T;
    chebyshev_u shifted_chebyshev_u U;
    chebyshev_v shifted_chebyshev_v V;
    chebyshev_w shifted_chebyshev_w W;
}

/// The physicists' Hermite polynomial.
pub(super) fn hermite_h(x: f64, n: f64) -> f64 {
    recurrence(n, x + x, |k, q, p| (x + x) * q - (k + k) * p)
}

/// The probabilists' Hermite polynomial.
pub(super) fn hermite_he(x: f64, n: f64) -> f64 {
    recurrence(n, x, |k, q, p| x * q - k * p)
}

pub(super) fn laguerre(x: f64, n: f64) -> f64 {
    recurrence(n, 1.0 - x, |k, q, p| ((k + k + 1.0 - x) * q - k * p) / (k + 1.0))
}

pub(super) fn legendre(x: f64, n: f64) -> f64 {
    recurrence(n, x, |k, q, p| ((k + k + 1.0) * x * q - k * p) / (k + 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_polynomials() {
        let near = |a: f64, b: f64| assert!((a - b).abs() <= 1e-12 * b.abs().max(1.0), "{a} for {b}");
        let x = 0.3f64;
        near(chebyshev_t(x, 3.0), 4.0 * x.powi(3) - 3.0 * x);
        near(chebyshev_u(x, 3.9), 8.0 * x.powi(3) - 4.0 * x);
        near(chebyshev_v(x, 2.0), 4.0 * x * x - 2.0 * x - 1.0);
        near(chebyshev_w(x, 2.0), 4.0 * x * x + 2.0 * x - 1.0);
        near(hermite_h(x, 3.0), 8.0 * x.powi(3) - 12.0 * x);
        near(hermite_he(x, 3.0), x.powi(3) - 3.0 * x);
        near(laguerre(x, 2.0), 0.5 * (x * x - 4.0 * x + 2.0));
        near(legendre(x, 3.0), 0.5 * (5.0 * x.powi(3) - 3.0 * x));
        for kind in [chebyshev_t, chebyshev_u, chebyshev_v, chebyshev_w] {
            // On either side of the change of forms the recurrence holds.
            near(kind(x, 10.0), 2.0 * x * kind(x, 9.0) - kind(x, 8.0));
            assert_eq!([kind(x, -1.0), kind(x, 0.0)], [0.0, 1.0]);
        }
        assert_eq!([chebyshev_u(-1.0, 3.0), chebyshev_v(-1.0, 20.0), chebyshev_w(1.0, 20.0)], [-4.0, 41.0, 41.0]);
        near(shifted_chebyshev_t(0.0, 11.0), -1.0);
        assert!(hermite_h(3.0, 1e6).is_infinite());
    }
}
