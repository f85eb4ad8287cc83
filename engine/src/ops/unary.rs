//! Functions of one tensor (and perhaps some numbers): all of their calculus on a page.
//!
//! Derivatives that training computes all the time are rows of their own (`*_backward`, functions of the
//! incoming gradient and the saved value): one node instead of four, and one rounding in f16 and bf16.

#![allow(clippy::excessive_precision, reason = "one text serves f32 and f64")]

use super::elementwise::*;
use super::fastmath::*;
use crate::error::Result;
use crate::runtime::cpu::tile::Reg;
use crate::tensor::Tensor;

const LN_2: f64 = std::f64::consts::LN_2;
const LN_10: f64 = std::f64::consts::LN_10;
/// 2 / sqrt(pi)
const ERF_SLOPE: f64 = std::f64::consts::FRAC_2_SQRT_PI;
/// sqrt(2 / pi): gelu's tanh form is `x / 2 (1 + tanh(v)) = x sigmoid(2 v)` with `v` of this slope at 0.
const GELU_SLOPE: f64 = 0.797_884_560_802_865_4;

functions! { UNARY same;
    NEG "neg"(x) 1 [float -x => "-x", int x.wrapping_neg() => "-x", uint x.wrapping_neg() => "VU(0u) - x"] [x |g| -g];
    ABS "abs"(x) 1 [float x.abs() => "abs(x)", int x.wrapping_abs() => "abs(x)", uint x => "x"] [x |g, x| g * x.sign()?];
    /// 0 for NaN, as in PyTorch.
    SIGN "sign"(x) 2 [
        float if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { 0.0 } => "V(x > V(0.0)) - V(x < V(0.0))",
        int x.signum() => "sign(x)",
        uint x.min(1) => "min(x, VU(1u))"
    ] [x |g| g.zeros_like()?];
    SQUARE "square"(x) 1 [float x * x => "x * x", ints x.wrapping_mul(x) => "x * x"] [x |g, x| g * x * 2.0];
    RECIPROCAL "reciprocal"(x) 2 [float 1.0 / x => "V(1.0) / x"] [x |g, y| -g * y * y];
    SQRT "sqrt"(x) 2 [float x.sqrt() => "sqrt(x)"] [x |g, y| g * 0.5 / y];
    RSQRT "rsqrt"(x) 3 [float 1.0 / x.sqrt() => "inverseSqrt(x)"] [x |g, y| g * -0.5 * (y * y * y)];

    EXP "exp"(x) 8 [float exp(x) => "exp(x)"] [x |g, y| g * y];
    EXP2 "exp2"(x) 8 [float exp2(x) => "exp2(x)"] [x |g, y| g * y * LN_2];
    EXPM1 "expm1"(x) 10 [float expm1(x) => "expm1(x)"] [x |g, y| g * (y + 1.0)];
    LOG "log"(x) 10 [float log(x) => "log_safe(x)"] [x |g, x| g / x];
    LOG2 "log2"(x) 10 [float log2(x) => "log2_safe(x)"] [x |g, x| g / (x * LN_2)];
    LOG10 "log10"(x) 10 [float log10(x) => "log2_safe(x) * V(0.30102999566)"] [x |g, x| g / (x * LN_10)];
    LOG1P "log1p"(x) 12 [float log1p(x) => "log1p(x)"] [x |g, x| g / (x + 1.0)];

    SIN "sin"(x) 12 [float_tile sin_tile => "sin_safe(x)"] [x |g, x| g * x.cos()?];
    COS "cos"(x) 12 [float_tile cos_tile => "cos_safe(x)"] [x |g, x| -g * x.sin()?];
    TAN "tan"(x) 20 [float x.tan() => "sin_safe(x) / cos_safe(x)"] [x |g, y| g * (y * y + 1.0)];
    ASIN "asin"(x) 20 [float x.asin() => "asin_safe(x)"] [x |g, x| g * (1.0 - x * x).rsqrt()?];
    ACOS "acos"(x) 20 [float x.acos() => "acos_safe(x)"] [x |g, x| -g * (1.0 - x * x).rsqrt()?];
    ATAN "atan"(x) 20 [float x.atan() => "atan_safe(x)"] [x |g, x| g / (x * x + 1.0)];
    SINH "sinh"(x) 20 [float x.sinh() => "sinh_safe(x)"] [x |g, x| g * x.cosh()?];
    COSH "cosh"(x) 20 [float x.cosh() => "cosh_safe(x)"] [x |g, x| g * x.sinh()?];
    TANH "tanh"(x) 12 [float tanh(x) => "tanh_safe(x)"] [x |g, y| Tensor::map(&TANH_BACKWARD, &[&g.into(), &y.into()])?];
    ASINH "asinh"(x) 20 [float x.asinh() => "asinh_safe(x)"] [x |g, x| g * (x * x + 1.0).rsqrt()?];
    ACOSH "acosh"(x) 20 [float x.acosh() => "acosh_safe(x)"] [x |g, x| g * ((x - 1.0).rsqrt()? * (x + 1.0).rsqrt()?)];
    ATANH "atanh"(x) 20 [float x.atanh() => "atanh_safe(x)"] [x |g, x| g / (1.0 - x * x)];

    ERF "erf"(x) 20 [float erf(x) => "erf(x)"] [x |g, x| g * ERF_SLOPE * (-x * x).exp()?];
    ERFC "erfc"(x) 20 [float erfc(x) => "erfc(x)"] [x |g, x| g * -ERF_SLOPE * (-x * x).exp()?];
    ERFINV "erfinv"(x) 30 [float erfinv(x) => "erfinv(x)"] [x |g, y| g * (1.0 / ERF_SLOPE) * (y * y).exp()?];
    LGAMMA "lgamma"(x) 60 [float lgamma(x) => "lgamma(x)"] [x |g, x| g * x.digamma()?];
    DIGAMMA "digamma"(x) 60 [float digamma(x) => "digamma(x)"] [x |g, x| g * x.polygamma(1)?];

    FLOOR "floor"(x) 1 [float x.floor() => "floor(x)"] [x |g| g.zeros_like()?];
    CEIL "ceil"(x) 1 [float x.ceil() => "ceil(x)"] [x |g| g.zeros_like()?];
    /// Half to even.
    ROUND "round"(x) 1 [float x.round_ties_even() => "round(x)"] [x |g| g.zeros_like()?];
    TRUNC "trunc"(x) 1 [float x.trunc() => "trunc(x)"] [x |g| g.zeros_like()?];
    FRAC "frac"(x) 1 [float x - x.trunc() => "x - trunc(x)"] [x |g| g.clone()];
    BITWISE_NOT "bitwise_not"(x) 1 [ints !x => "~x", bool !x => "!x"] [];

    // ---- activations ----
    SIGMOID "sigmoid"(x) 10 [float sigmoid(x) => "sigmoid(x)"] [x |g, y| Tensor::map(&SIGMOID_BACKWARD, &[&g.into(), &y.into()])?];
    LOG_SIGMOID "log_sigmoid"(x) 20 [float (if x > 0.0 { 0.0 } else { x }) - log1p(exp(-x.abs())) => "min_nan(x, V(0.0)) - log1p(exp(-abs(x)))"]
        [x |g, x| g * (-x).sigmoid()?];
    /// NaN stays.
    RELU "relu"(x) 1 [float if x < 0.0 { 0.0 } else { x } => "relu(x)", int x.max(0) => "max(x, VI(0))", uint x => "x"]
        [x |g, y| Tensor::map(&RELU_BACKWARD, &[&g.into(), &y.into()])?];
    /// NaN at both infinities, as PyTorch has it on CPUs.
    GELU "gelu"(x) 24 [float x * 0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * 0.0 => "gelu(x)"]
        [x |g, x| Tensor::map(&GELU_BACKWARD, &[&g.into(), &x.into()])?];
    GELU_TANH "gelu_tanh"(x) 18 [float x * sigmoid(1.5957691216057308 * (x + 0.044715 * x * x * x)) => "gelu_tanh(x)"]
        [x |g, x| Tensor::map(&GELU_TANH_BACKWARD, &[&g.into(), &x.into()])?];
    SILU "silu"(x) 11 [float x * sigmoid(x) => "x * sigmoid(x)"]
        [x |g, x| Tensor::map(&SILU_BACKWARD, &[&g.into(), &x.into()])?];
    /// `log(1 + exp(p x)) / p`; the identity where `p x > q`.
    SOFTPLUS "softplus"(x, p, q) 22 [float if x * p > q { x } else { log1p(exp(x * p)) / p } => "select(softplus_safe(x * p) / p, x, x * p > q)"]
        [x |g, x, p, q| Tensor::map(&SOFTPLUS_BACKWARD, &[&g.into(), &x.into(), &p.into(), &q.into()])?];
    ELU "elu"(x, p) 12 [float if x > 0.0 { x } else { p * expm1(x) } => "select(p * expm1(x), x, x > V(0.0))"]
        [x |g, x, p| Tensor::map(&ELU_BACKWARD, &[&g.into(), &x.into(), &p.into()])?];
    LEAKY_RELU "leaky_relu"(x, p) 2 [float if x > 0.0 { x } else { x * p } => "select(x * p, x, x > V(0.0))"]
        [x |g, x, p| Tensor::map(&LEAKY_RELU_BACKWARD, &[&g.into(), &x.into(), &p.into()])?];
    /// A clamp whose gradient is 0 at the ends too.
    HARDTANH "hardtanh"(x, p, q) 2 [
        float if x < p { p } else if x > q { q } else { x } => "select(select(x, p, x < p), q, x > q)",
        ints x.max(p).min(q) => "min(max(x, p), q)"
    ] [x |g, x, p, q| Tensor::map(&HARDTANH_BACKWARD, &[&g.into(), &x.into(), &p.into(), &q.into()])?];
    HARDSWISH "hardswish"(x) 4 [float x * (if x < -3.0 { 0.0 } else if x > 3.0 { 6.0 } else { x + 3.0 }) / 6.0 => "x * clamp(x + V(3.0), V(0.0), V(6.0)) / V(6.0)"]
        [x |g, x| Tensor::map(&HARDSWISH_BACKWARD, &[&g.into(), &x.into()])?];
    HARDSIGMOID "hardsigmoid"(x) 4 [float (if x < -3.0 { 0.0 } else if x > 3.0 { 6.0 } else { x + 3.0 }) / 6.0 => "select(clamp(x + V(3.0), V(0.0), V(6.0)) / V(6.0), x, is_nan(x))"]
        [x |g, x| Tensor::map(&HARDTANH_BACKWARD, &[&(g / 6.0).into(), &x.into(), &(-3.0f64).into(), &3.0f64.into()])?];
    HARDSHRINK "hardshrink"(x, p) 2 [float if x.abs() <= p { 0.0 } else { x } => "select(x, V(0.0), abs(x) <= p)"]
        [x |g, x, p| Tensor::map(&SHRINK_BACKWARD, &[&g.into(), &x.into(), &p.into()])?];
    SOFTSHRINK "softshrink"(x, p) 2 [float if x > p { x - p } else if x < -p { x + p } else { x * 0.0 } => "select(select(select(V(0.0), x + p, x < -p), x - p, x > p), x, is_nan(x))"]
        [x |g, x, p| Tensor::map(&SHRINK_BACKWARD, &[&g.into(), &x.into(), &p.into()])?];
    /// `q` where `x <= p`.
    THRESHOLD "threshold"(x, p, q) 2 [float if x <= p { q } else { x } => "select(x, q, x <= p)", ints if x <= p { q } else { x } => "select(x, q, x <= p)"]
        [x |g, x, p| Tensor::map(&THRESHOLD_BACKWARD, &[&g.into(), &x.into(), &p.into()])?];

    // ---- limits: NaN stays, and the gradient passes at the limits themselves ----
    CLAMP "clamp"(x, p, q) 2 [
        float { let low = if x < p { p } else { x }; if low > q { q } else { low } } => "select(min(max(x, p), q), x, is_nan(x))",
        ints x.max(p).min(q) => "min(max(x, p), q)"
    ] [x |g, x, p, q| Tensor::map(&CLAMP_BACKWARD, &[&g.into(), &x.into(), &p.into(), &q.into()])?];
    CLAMP_MIN "clamp_min"(x, p) 1 [float if x < p { p } else { x } => "select(max(x, p), x, is_nan(x))", ints x.max(p) => "max(x, p)"]
        [x |g, x, p| Tensor::map(&CLAMP_BACKWARD, &[&g.into(), &x.into(), &p.into(), &f64::INFINITY.into()])?];
    CLAMP_MAX "clamp_max"(x, p) 1 [float if x > p { p } else { x } => "select(min(x, p), x, is_nan(x))", ints x.min(p) => "min(x, p)"]
        [x |g, x, p| Tensor::map(&CLAMP_BACKWARD, &[&g.into(), &x.into(), &f64::NEG_INFINITY.into(), &p.into()])?];

    // ---- derivatives of the above: `a` is the incoming gradient ----
    TANH_BACKWARD "tanh_backward"(a, x) 3 [float a * (1.0 - x * x) => "a * (V(1.0) - x * x)"] [
        a |g, x| Tensor::map(&TANH_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| g * a * x * -2.0
    ];
    SIGMOID_BACKWARD "sigmoid_backward"(a, x) 3 [float a * (x * (1.0 - x)) => "a * (x * (V(1.0) - x))"] [
        a |g, x| Tensor::map(&SIGMOID_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| g * a * (1.0 - x * 2.0)
    ];
    RELU_BACKWARD "relu_backward"(a, x) 1 [float if x <= 0.0 { 0.0 } else { a } => "select(a, V(0.0), x <= V(0.0))"] [
        a |g, x| Tensor::map(&RELU_BACKWARD, &[&g.into(), &x.into()])?
    ];
    GELU_BACKWARD "gelu_backward"(a, x) 36
        [float a * (0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * 0.3989422804014327 * exp(x * x * -0.5)) => "a * gelu_slope(x)"] [
        a |g, x| Tensor::map(&GELU_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| g * a * (x * x * -0.5).exp()? * (2.0 - x * x) * 0.3989422804014327
    ];
    GELU_TANH_BACKWARD "gelu_tanh_backward"(a, x) 26 [float a * gelu_tanh_slope(x) => "a * gelu_tanh_slope(x)"] [
        a |g, x| Tensor::map(&GELU_TANH_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| g * a * gelu_tanh_curvature(x)?
    ];
    SILU_BACKWARD "silu_backward"(a, x) 16 [float { let s = sigmoid(x); a * s * (1.0 + x * (1.0 - s)) } => "a * sigmoid(x) * (V(1.0) + x * (V(1.0) - sigmoid(x)))"] [
        a |g, x| Tensor::map(&SILU_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| { let s = x.sigmoid()?; let slope = &s * (1.0 - &s); g * a * slope * ((1.0 - s * 2.0) * x + 2.0) }
    ];
    SOFTPLUS_BACKWARD "softplus_backward"(a, x, p, q) 12 [float if x * p > q { a } else { a * sigmoid(x * p) } => "select(a * sigmoid(x * p), a, x * p > q)"] [
        a |g, x, p, q| Tensor::map(&SOFTPLUS_BACKWARD, &[&g.into(), &x.into(), &p.into(), &q.into()])?;
        x |g, a, x, p, q| { let z = x * p; let s = z.sigmoid()?; (g * a * p * &s * (1.0 - &s)).masked_fill(&z.gt(q)?, 0.0)? }
    ];
    ELU_BACKWARD "elu_backward"(a, x, p) 10 [float if x > 0.0 { a } else { a * p * exp(x) } => "select(a * p * exp(x), a, x > V(0.0))"] [
        a |g, x, p| Tensor::map(&ELU_BACKWARD, &[&g.into(), &x.into(), &p.into()])?;
        x |g, a, x, p| (g * a * p * x.exp()?).masked_fill(&x.gt(0.0)?, 0.0)?
    ];
    LEAKY_RELU_BACKWARD "leaky_relu_backward"(a, x, p) 2 [float if x > 0.0 { a } else { a * p } => "select(a * p, a, x > V(0.0))"] [
        a |g, x, p| Tensor::map(&LEAKY_RELU_BACKWARD, &[&g.into(), &x.into(), &p.into()])?
    ];
    HARDTANH_BACKWARD "hardtanh_backward"(a, x, p, q) 2 [float if x <= p || x >= q { 0.0 } else { a } => "select(a, V(0.0), (x <= p) | (x >= q))"] [
        a |g, x, p, q| Tensor::map(&HARDTANH_BACKWARD, &[&g.into(), &x.into(), &p.into(), &q.into()])?
    ];
    HARDSWISH_BACKWARD "hardswish_backward"(a, x) 4 [
        float if x <= -3.0 { 0.0 } else if x < 3.0 { a * (x / 3.0 + 0.5) } else { a } => "select(select(a, a * (x / V(3.0) + V(0.5)), x < V(3.0)), V(0.0), x <= V(-3.0))"
    ] [
        a |g, x| Tensor::map(&HARDSWISH_BACKWARD, &[&g.into(), &x.into()])?;
        x |g, a, x| (g * a / 3.0).masked_fill(&x.abs()?.ge(3.0)?, 0.0)?
    ];
    SHRINK_BACKWARD "shrink_backward"(a, x, p) 2 [float if x.abs() <= p { 0.0 } else { a } => "select(a, V(0.0), abs(x) <= p)"] [
        a |g, x, p| Tensor::map(&SHRINK_BACKWARD, &[&g.into(), &x.into(), &p.into()])?
    ];
    THRESHOLD_BACKWARD "threshold_backward"(a, x, p) 1 [float if x <= p { 0.0 } else { a } => "select(a, V(0.0), x <= p)"] [
        a |g, x, p| Tensor::map(&THRESHOLD_BACKWARD, &[&g.into(), &x.into(), &p.into()])?
    ];
    CLAMP_BACKWARD "clamp_backward"(a, x, p, q) 2 [float if x < p || x > q { 0.0 } else { a } => "select(a, V(0.0), (x < p) | (x > q))"] [
        a |g, x, p, q| Tensor::map(&CLAMP_BACKWARD, &[&g.into(), &x.into(), &p.into(), &q.into()])?
    ];
}

/// The derivative of gelu's tanh form, which is `x sigmoid(u)`: `s + x s (1 - s) u'`, without computing `1 - s`.
#[inline(always)]
fn gelu_tanh_slope<R: Float>(x: R) -> R {
    let (one, slope) = (R::constant(1.0), R::constant(2.0 * GELU_SLOPE));
    let u = slope * (x + R::constant(0.044715) * x * x * x);
    let e = exp(-u.abs());
    let p = one / (one + e);
    let s = if u > R::constant(0.0) { p } else { e * p };
    s + x * (e * p * p) * slope * (one + R::constant(3.0 * 0.044715) * x * x)
}

/// The second derivative of gelu's tanh form.
fn gelu_tanh_curvature(x: &Tensor) -> Result<Tensor> {
    let t = ((x + x * x * x * 0.044715) * GELU_SLOPE).tanh()?;
    let slope = (x * x * (3.0 * 0.044715) + 1.0) * GELU_SLOPE;
    let bend = x * (6.0 * 0.044715 * GELU_SLOPE);
    Ok((1.0 - &t * &t) * (&slope + x * 0.5 * (bend - &t * 2.0 * &slope * &slope)))
}

fn sin_tile(args: &[&Reg], n: usize, out: &mut Reg) {
    circular(args, n, out, sin_reduced, f32::sin, f64::sin);
}

fn cos_tile(args: &[&Reg], n: usize, out: &mut Reg) {
    circular(args, n, out, cos_reduced, f32::cos, f64::cos);
}

/// The fast function where the reduction of all arguments is exact enough.
fn circular(args: &[&Reg], n: usize, out: &mut Reg, fast: impl Fn(f32) -> f32, slow: impl Fn(f32) -> f32, double: impl Fn(f64) -> f64) {
    match args[0] {
        Reg::F64(_) => map1(args, n, out, double),
        x if f32::of(x).iter().take(n).all(|v| v.abs() <= REDUCIBLE) => map1(args, n, out, fast),
        _ => map1(args, n, out, slow),
    }
}
