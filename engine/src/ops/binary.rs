//! Functions of two operands of one shape and type; either may be a number.
//!
//! Integers wrap. Dividing an integer by 0 gives 0 here, with any of the divisions and remainders. The methods of `Tensor` refuse
//! a divisor that is the number 0, and have tensors looked at that may hold one.

use super::elementwise::*;
use super::fastmath::Float;
use crate::error::Result;
use crate::runtime::cpu::tile::Reg;
use crate::tensor::{Operand, Tensor};

functions! { BINARY same;
    ADD "add"(a, b) 1 [float a + b => "a + b", ints a.wrapping_add(b) => "a + b", bool a | b => "a | b"] [a |g| g.clone(); b |g| g.clone()];
    SUB "sub"(a, b) 1 [float a - b => "a - b", ints a.wrapping_sub(b) => "a - b"] [a |g| g.clone(); b |g| -g];
    MUL "mul"(a, b) 1 [float a * b => "a * b", ints a.wrapping_mul(b) => "a * b", bool a & b => "a & b"] [a |g, b| g * b; b |g, a| g * a];
    DIV "div"(a, b) 2 [float a / b => "a / b"] [a |g, b| g / b; b |g, a, b| -(g / b) * (a / b)];
    POW "pow"(a, b) 30 [
        float a.powf(b) => "pow_safe(a, b)",
        int int_pow(a, b) => "ipow(a, b)",
        uint a.wrapping_pow(b.min(u32::MAX as u64) as u32) => "upow(a, b)"
    ] [a |g, a, b| pow_base(g, a, b)?; b |g, a, b, y| pow_exponent(g, a, b, y)?];

    /// NaN if either is.
    MAXIMUM "maximum"(a, b) 1 [
        float if a > b || a.is_nan() { a } else { b } => "max_nan(a, b)", ints a.max(b) => "max(a, b)", bool a | b => "a | b"
    ] [a |g, a, b| larger(g, a, b)?; b |g, a, b| larger(g, b, a)?];
    MINIMUM "minimum"(a, b) 1 [
        float if a < b || a.is_nan() { a } else { b } => "min_nan(a, b)", ints a.min(b) => "min(a, b)", bool a & b => "a & b"
    ] [a |g, a, b| larger(g, b, a)?; b |g, a, b| larger(g, a, b)?];
    /// The other one if one is NaN.
    FMAX "fmax"(a, b) 2 [float if a >= b || b.is_nan() { a } else { b } => "select(b, a, cmp_le(b, a) | is_nan(b))", ints a.max(b) => "max(a, b)", bool a | b => "a | b"]
        [a |g, a, b| chosen(g, a, b, true)?; b |g, a, b| chosen(g, a, b, false)?];
    FMIN "fmin"(a, b) 2 [float if a <= b || b.is_nan() { a } else { b } => "select(b, a, cmp_le(a, b) | is_nan(b))", ints a.min(b) => "min(a, b)", bool a & b => "a & b"]
        [a |g, a, b| chosen(g, b, a, true)?; b |g, a, b| chosen(g, b, a, false)?];

    /// The sign of the dividend.
    FMOD "fmod"(a, b) 8 [float a % b => "mod_trunc(a, b)", int a.checked_rem(b).unwrap_or(0) => "imod_trunc(a, b)", uint a.checked_rem(b).unwrap_or(0) => "umod(a, b)"]
        [a |g| g.clone(); b |g, a, b| -g * (a / b).trunc()?];
    /// The sign of the divisor.
    REMAINDER "remainder"(a, b) 8 [float floor_mod(a, b) => "mod_floor(a, b)", int int_floor_mod(a, b) => "imod_floor(a, b)", uint a.checked_rem(b).unwrap_or(0) => "umod(a, b)"]
        [a |g| g.clone(); b |g, a, b| -g * (a / b).floor()?];
    FLOOR_DIVIDE "floor_divide"(a, b) 8 [float floor_div(a, b) => "div_floor(a, b)", int int_floor_div(a, b) => "idiv_floor(a, b)", uint a.checked_div(b).unwrap_or(0) => "udiv(a, b)"]
        [a |g| g.zeros_like()?; b |g| g.zeros_like()?];
    TRUNC_DIVIDE "trunc_divide"(a, b) 3 [float (a / b).trunc() => "trunc(a / b)", int int_trunc_div(a, b) => "idiv_trunc(a, b)", uint a.checked_div(b).unwrap_or(0) => "udiv(a, b)"]
        [a |g| g.zeros_like()?; b |g| g.zeros_like()?];

    ATAN2 "atan2"(a, b) 30 [float a.atan2(b) => "atan2_safe(a, b)"]
        [a |g, a, b| g * (b / distance_squared(a, b)); b |g, a, b| -g * (a / distance_squared(a, b))];
    HYPOT "hypot"(a, b) 10 [float a.hypot(b) => "hypot(a, b)"] [a |g, a, y| g * (a / y); b |g, b, y| g * (b / y)];
    COPYSIGN "copysign"(a, b) 2 [float a.copysign(b) => "copysign(a, b)"] [a |g, a, y| copied(g, a, y)?; b |g| g.zeros_like()?];
    LOGADDEXP "logaddexp"(a, b) 24 [float logaddexp(a, b) => "logaddexp(a, b)"]
        [a |g, a, b| g * (a - b).sigmoid()?; b |g, a, b| g * (b - a).sigmoid()?];

    BITWISE_AND "bitwise_and"(a, b) 1 [ints a & b => "a & b", bool a & b => "a & b"] [];
    BITWISE_OR "bitwise_or"(a, b) 1 [ints a | b => "a | b", bool a | b => "a | b"] [];
    BITWISE_XOR "bitwise_xor"(a, b) 1 [ints a ^ b => "a ^ b", bool a ^ b => "a != b"] [];
    /// Bits that leave the type are lost; a shift by its width or more, or by less than 0, gives 0.
    SHIFT_LEFT "bitwise_left_shift"(a, b) 2 [
        int if (0..64).contains(&b) { a << b } else { 0 } => "select(a << bitcast<VU>(b & VI(31)), VI(0), (b < VI(0)) | (b > VI(31)))",
        uint if b < 64 { a << b } else { 0 } => "select(a << (b & VU(31u)), VU(0u), b > VU(31u))"
    ] [];
    /// Keeps the sign; a shift by too much, or by less than 0, leaves the sign alone.
    SHIFT_RIGHT "bitwise_right_shift"(a, b) 2 [
        int a >> if (0..64).contains(&b) { b } else { 63 } => "a >> bitcast<VU>(select(b, VI(31), (b < VI(0)) | (b > VI(31))))",
        uint if b < 64 { a >> b } else { 0 } => "select(a >> (b & VU(31u)), VU(0u), b > VU(31u))"
    ] [];
}

// ---- values -----------------------------------------------------------------------------------

/// Wraps; a negative exponent gives what is left of the fraction: 1 or -1 for a base of 1 or -1, else 0.
fn int_pow(a: i64, b: i64) -> i64 {
    match (a, b) {
        (_, 0..) => {
            let (mut result, mut base, mut rest) = (1i64, a, b);
            while rest > 0 {
                if rest & 1 == 1 {
                    result = result.wrapping_mul(base);
                }
                base = base.wrapping_mul(base);
                rest >>= 1;
            }
            result
        }
        (1, _) => 1,
        (-1, _) => 1 - 2 * (b & 1),
        _ => 0,
    }
}

fn int_floor_div(a: i64, b: i64) -> i64 {
    let q = int_trunc_div(a, b);
    if b != 0 && a.wrapping_sub(q.wrapping_mul(b)) != 0 && (a < 0) != (b < 0) { q - 1 } else { q }
}

fn int_trunc_div(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}

fn int_floor_mod(a: i64, b: i64) -> i64 {
    if b == 0 {
        return 0;
    }
    let r = a.wrapping_rem(b);
    if r != 0 && (r < 0) != (b < 0) { r + b } else { r }
}

#[inline(always)]
fn floor_mod<F: Float>(a: F, b: F) -> F {
    let (r, zero) = (a % b, F::constant(0.0));
    if r != zero && (r < zero) != (b < zero) { r + b } else { r }
}

/// Python's `//`: exact where `floor(a / b)` would round up into the next whole number.
#[inline(always)]
fn floor_div<F: Float>(a: F, b: F) -> F {
    let zero = F::constant(0.0);
    if b == zero {
        return a / b;
    }
    let r = a % b;
    let q = (a - r) / b;
    let q = if r != zero && (b < zero) != (r < zero) { q - F::constant(1.0) } else { q };
    if q == zero {
        return zero.copysign(a / b);
    }
    let whole = q.floor();
    if q - whole > F::constant(0.5) { whole + F::constant(1.0) } else { whole }
}

#[inline(always)]
fn logaddexp<F: Float>(a: F, b: F) -> F {
    let (high, low) = if a > b { (a, b) } else { (b, a) };
    // Equal infinities have no difference.
    if a == b && a.abs() == F::constant(f64::INFINITY) {
        return a;
    }
    high + (low - high).exp().log1p()
}

// ---- derivatives ------------------------------------------------------------------------------

/// `g b a^(b-1)`, and 0 where `b` is 0.
fn pow_base(g: &Tensor, a: &Operand, b: &Operand) -> Result<Tensor> {
    match b {
        Operand::Scalar(s) if s.as_f64() == 0.0 => g.zeros_like(),
        Operand::Scalar(s) => Ok(g * (Operand::pow(a, &(s.as_f64() - 1.0).into())? * s.as_f64())),
        Operand::Tensor(t) => Ok(g * (Operand::pow(a, &(t - 1.0).into())? * t).masked_fill(&t.eq(0.0)?, 0.0)?),
    }
}

/// `g y ln(a)`, and 0 where `a` is 0 and `b`, a tensor, is not negative.
fn pow_exponent(g: &Tensor, a: &Operand, b: &Operand, y: &Tensor) -> Result<Tensor> {
    let not_negative = Operand::compare(&super::GE, b, &0.0f64.into())?;
    let (log, zero) = match a {
        Operand::Scalar(s) if s.as_f64() != 0.0 => return Ok(g * (y * s.as_f64().ln())),
        Operand::Scalar(_) => (y * f64::NEG_INFINITY, not_negative),
        Operand::Tensor(t) => (y * t.log()?, t.eq(0.0)?.logical_and(&not_negative)?),
    };
    Ok(g * log.masked_fill(&zero, 0.0)?)
}

/// `a² + b²` where one of them may be a number.
fn distance_squared(a: &Operand, b: &Operand) -> Tensor {
    match (a, b) {
        (Operand::Scalar(s), Operand::Tensor(t)) | (Operand::Tensor(t), Operand::Scalar(s)) => t * t + s.as_f64() * s.as_f64(),
        _ => a * a + b * b,
    }
}

/// The part of `g` for `a` of a maximum: all where it is the larger, half where both are equal.
fn larger(g: &Tensor, a: &Operand, b: &Operand) -> Result<Tensor> {
    let shared = (g * 0.5).where_(&Operand::compare(&super::EQ, a, b)?, g)?;
    shared.masked_fill(&Operand::compare(&super::LT, a, b)?, 0.0)
}

/// The part of `g` for `a` (or for `b`) where `a > b` (or `b` is NaN) chooses `a`; half where both are equal.
fn chosen(g: &Tensor, a: &Operand, b: &Operand, first: bool) -> Result<Tensor> {
    let less = Operand::compare(&super::LT, a, b)?;
    let a_is_nan = Operand::compare(&super::NE, a, a);
    // b is taken where a < b or a is NaN.
    let takes_b = match a_is_nan {
        Ok(nan) => less.logical_or(&nan)?,
        Err(_) => less,
    };
    let taken = if first { g.masked_fill(&takes_b, 0.0)? } else { g.masked_fill(&takes_b.logical_not()?, 0.0)? };
    (g * 0.5).where_(&Operand::compare(&super::EQ, a, b)?, &taken)
}

/// The gradient of `|a|` with another sign: turned round where the sign was.
fn copied(g: &Tensor, a: &Operand, y: &Tensor) -> Result<Tensor> {
    let ratio = Operand::div(&y.into(), a)?;
    Ok(g * ratio.masked_fill(&y.eq(0.0)?, 0.0)?)
}
