//! Rows about numbers as they are stored: common divisors of integers, neighbours and parts of floats.

use super::elementwise::*;
use super::fastmath::{Float, Real};
use crate::error::Result;
use crate::runtime::cpu::tile::Reg;
use crate::tensor::Tensor;

const LN_2: f64 = std::f64::consts::LN_2;

functions! { NUMERIC same;
    GCD "gcd"(a, b) 100 [int gcd(a.unsigned_abs(), b.unsigned_abs()) as i64 => "igcd(a, b)", uint gcd(a, b) => "ugcd(a, b)"] [];
    LCM "lcm"(a, b) 100 [int lcm(a, b) => "ilcm(a, b)", uint (a / gcd(a, b).max(1)).wrapping_mul(b) => "ulcm(a, b)"] [];
    /// The float beside `a` on the way to `b`, of 32 or 64 bits.
    NEXTAFTER "nextafter"(a, b) 4 [float a.next_after(b) => "nextafter(a, b)"] [a |g| g.clone(); b |g| g.zeros_like()?];
    MANTISSA "frexp_mantissa"(x) 4 [float x.parts().0 => "frexp_parts(x).mantissa"] [x |g, x| g * (-exponent(x)?).exp2()?];
    EXPONENT "frexp_exponent"(x) 4 [float x.parts().1 => "frexp_parts(x).exponent"] [];
    LOGADDEXP2 "logaddexp2"(a, b) 24 [float logaddexp2(a, b) => "logaddexp2(a, b)"]
        [a |g, a, b| g * ((a - b) * LN_2).sigmoid()?; b |g, a, b| g * ((b - a) * LN_2).sigmoid()?];
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

fn lcm(a: i64, b: i64) -> i64 {
    let common = gcd(a.unsigned_abs(), b.unsigned_abs()).max(1);
    (a.unsigned_abs() / common).wrapping_mul(b.unsigned_abs()) as i64
}

fn exponent(x: &Tensor) -> Result<Tensor> {
    x.map_with(&EXPONENT, &[])
}

#[inline(always)]
fn logaddexp2<F: Float>(a: F, b: F) -> F {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    // Equal infinities have no difference.
    if a == b && a.abs() == F::constant(f64::INFINITY) {
        return a;
    }
    high + (low - high).exp2().log1p() * F::constant(std::f64::consts::LOG2_E)
}

/// What a float says about its own bits.
trait Bits: Real {
    fn next_after(self, to: Self) -> Self;
    /// Mantissa, at least 1/2 and below 1, and exponent; zero, infinities and NaN are their own mantissa.
    fn parts(self) -> (Self, Self);
}

macro_rules! bits {
    ($t:ty, $frexp:path) => {
        impl Bits for $t {
            fn next_after(self, to: $t) -> $t {
                match to {
                    _ if self.is_nan() || to.is_nan() => <$t>::NAN,
                    _ if to > self => self.next_up(),
                    _ if to < self => self.next_down(),
                    _ => to,
                }
            }

            fn parts(self) -> ($t, $t) {
                if self == 0.0 || !self.is_finite() {
                    return (self, 0.0);
                }
                let (mantissa, exponent) = $frexp(self);
                (mantissa, exponent as $t)
            }
        }
    };
}
bits!(f32, libm::frexpf);
bits!(f64, libm::frexp);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divisors_and_multiples_are_not_negative() {
        assert_eq!([gcd(12, 18), gcd(0, 5), gcd(0, 0)], [6, 5, 0]);
        assert_eq!([lcm(-4, 6), lcm(0, 3), lcm(i64::MIN, 1)], [12, 0, i64::MIN]);
    }

    #[test]
    fn neighbours_and_parts_are_exact() {
        assert_eq!(1.0f32.next_after(2.0), 1.0 + f32::EPSILON);
        assert_eq!(0.0f64.next_after(-1.0), -5e-324);
        assert_eq!((-6.0f32).parts(), (-0.75, 3.0));
        assert_eq!(f64::INFINITY.parts(), (f64::INFINITY, 0.0));
    }
}
