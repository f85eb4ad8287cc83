//! Functions whose result is `bool`: comparisons, and what kind of float a value is.
//!
//! A comparison with NaN is false, except `ne`. On a GPU that is decided by the bits: its compilers may
//! assume that there is no NaN.

use super::elementwise::*;
use crate::runtime::cpu::tile::Reg;

functions! { COMPARE bool;
    EQ "eq"(a, b) 1 [float a == b => "cmp_eq(a, b)", ints a == b => "a == b", bool a == b => "a == b"] [];
    NE "ne"(a, b) 1 [float a != b => "!cmp_eq(a, b)", ints a != b => "a != b", bool a != b => "a != b"] [];
    LT "lt"(a, b) 1 [float a < b => "cmp_lt(a, b)", ints a < b => "a < b", bool !a & b => "!a & b"] [];
    LE "le"(a, b) 1 [float a <= b => "cmp_le(a, b)", ints a <= b => "a <= b", bool !a | b => "!a | b"] [];
    GT "gt"(a, b) 1 [float a > b => "cmp_lt(b, a)", ints a > b => "a > b", bool a & !b => "a & !b"] [];
    GE "ge"(a, b) 1 [float a >= b => "cmp_le(b, a)", ints a >= b => "a >= b", bool a | !b => "a | !b"] [];
    ISNAN "isnan"(x) 1 [float x.is_nan() => "is_nan(x)"] [];
    ISINF "isinf"(x) 1 [float x.is_infinite() => "is_inf(x)"] [];
    ISFINITE "isfinite"(x) 1 [float x.is_finite() => "is_finite(x)"] [];
    SIGNBIT "signbit"(x) 1 [float x.is_sign_negative() => "(bitcast<VU>(x) >> VU(31u)) != VU(0u)"] [];
}
