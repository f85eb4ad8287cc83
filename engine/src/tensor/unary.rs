//! Functions of one tensor. Integers and booleans become `f32` where the result is no integer.

use super::{Operand, Tensor};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops::{self, Function};

/// One side of a clamp: a number, or `None` for no limit.
pub trait Limit {
    fn limit(self) -> Option<Scalar>;
}

impl Limit for Option<f64> {
    fn limit(self) -> Option<Scalar> {
        self.map(Scalar::Float)
    }
}

macro_rules! limits {
    ($($t:ty)*) => {$(
        impl Limit for $t {
            fn limit(self) -> Option<Scalar> {
                Some(self.into())
            }
        }
    )*};
}
limits!(i32 i64 usize f32 f64);

impl Tensor {
    /// At least `f32`: what functions to the real numbers compute in.
    #[track_caller]
    pub(super) fn as_float(&self) -> Result<Tensor> {
        if self.dtype().is_float() { Ok(self.clone()) } else { self.to_dtype(DType::F32) }
    }

    /// A row of the tables; errors that this tensor carries come first.
    #[track_caller]
    pub(super) fn row(&self, f: &'static Function, numbers: &[Scalar]) -> Result<Tensor> {
        self.value()?;
        self.map_with(f, numbers)
    }

    #[track_caller]
    pub(super) fn float_row(&self, f: &'static Function, numbers: &[f64]) -> Result<Tensor> {
        let numbers: smallvec::SmallVec<[Scalar; 2]> = numbers.iter().copied().map(Scalar::Float).collect();
        self.as_float()?.row(f, &numbers)
    }

    /// The type must have an order and a zero: everything but `bool`.
    fn expect_number(&self, op: &'static str) -> Result<()> {
        if self.dtype() == DType::Bool { Err(Error::dtype(op, "not defined for bool")) } else { Ok(()) }
    }

    /// A float function that is the identity on integers.
    #[track_caller]
    fn rounding(&self, f: &'static Function) -> Result<Tensor> {
        self.expect_number(f.name)?;
        if self.dtype().is_int() { self.alias() } else { self.row(f, &[]) }
    }

    /// A test that is constant for what is no float.
    #[track_caller]
    fn test(&self, f: &'static Function, otherwise: bool) -> Result<Tensor> {
        self.value()?;
        if self.dtype().is_float() { self.row(f, &[]) } else { Tensor::full(self.shape(), otherwise, self.device()) }
    }
}

macro_rules! float_functions {
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
float_functions! {
    /// `1 / x`.
    reciprocal RECIPROCAL;
    /// The square root; NaN below 0.
    sqrt SQRT;
    /// `1 / sqrt(x)`.
    rsqrt RSQRT;
    /// `e^x`.
    exp EXP;
    /// `2^x`.
    exp2 EXP2;
    /// `e^x - 1`, accurate near 0.
    expm1 EXPM1;
    /// The natural logarithm; -inf at 0, NaN below.
    log LOG;
    /// The logarithm to base 2.
    log2 LOG2;
    /// The logarithm to base 10.
    log10 LOG10;
    /// `log(1 + x)`, accurate near 0.
    log1p LOG1P;
    /// The sine of an angle in radians.
    sin SIN;
    /// The cosine of an angle in radians.
    cos COS;
    /// The tangent of an angle in radians.
    tan TAN;
    /// The angle whose sine is `x`; NaN outside -1 to 1.
    asin ASIN;
    /// The angle whose cosine is `x`; NaN outside -1 to 1.
    acos ACOS;
    /// The angle whose tangent is `x`.
    atan ATAN;
    /// The hyperbolic sine.
    sinh SINH;
    /// The hyperbolic cosine.
    cosh COSH;
    /// The hyperbolic tangent.
    tanh TANH;
    /// The inverse hyperbolic sine.
    asinh ASINH;
    /// The inverse hyperbolic cosine; NaN below 1.
    acosh ACOSH;
    /// The inverse hyperbolic tangent; NaN outside -1 to 1.
    atanh ATANH;
    /// The error function.
    erf ERF;
    /// `1 - erf(x)`, accurate for large `x`.
    erfc ERFC;
    /// The inverse of [`erf`](Self::erf).
    erfinv ERFINV;
    /// `log |Gamma(x)|`.
    lgamma LGAMMA;
    /// The derivative of [`lgamma`](Self::lgamma).
    digamma DIGAMMA;
    /// `1 / (1 + e^-x)`.
    sigmoid SIGMOID;
    /// `log(sigmoid(x))`, stably.
    log_sigmoid LOG_SIGMOID;
    /// `x * sigmoid(x)`, also called swish.
    silu SILU;
    /// `x * relu6(x + 3) / 6`.
    hardswish HARDSWISH;
    /// `relu6(x + 3) / 6`.
    hardsigmoid HARDSIGMOID;
}

macro_rules! rounding_functions {
    ($($(#[$doc:meta])* $name:ident $row:ident;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            /// Integers stay as they are. The gradient is 0.
            ///
            /// # Errors
            /// A `bool` tensor.
            #[track_caller]
            pub fn $name(&self) -> Result<Tensor> {
                self.rounding(&ops::$row)
            }
        )*}
    };
}
rounding_functions! {
    /// The largest whole number that is not larger.
    floor FLOOR;
    /// The smallest whole number that is not smaller.
    ceil CEIL;
    /// The nearest whole number, the even one of two.
    round ROUND;
    /// The whole number next to it toward zero.
    trunc TRUNC;
}

/// For integers as well as floats.
impl Tensor {
    /// `-x`.
    ///
    /// # Errors
    /// A `bool` tensor: see [`logical_not`](Self::logical_not).
    #[track_caller]
    pub fn neg(&self) -> Result<Tensor> {
        self.row(&ops::NEG, &[])
    }

    /// The absolute value; the smallest integer of a signed type wraps to itself.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn abs(&self) -> Result<Tensor> {
        self.row(&ops::ABS, &[])
    }

    /// -1, 0 or 1; 0 for NaN. Booleans stay.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn sign(&self) -> Result<Tensor> {
        if self.dtype() == DType::Bool { self.alias() } else { self.row(&ops::SIGN, &[]) }
    }

    /// `x * x`.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn square(&self) -> Result<Tensor> {
        if self.dtype() == DType::Bool { self.to_dtype(DType::I64)?.square() } else { self.row(&ops::SQUARE, &[]) }
    }

    /// What [`trunc`](Self::trunc) takes away.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn frac(&self) -> Result<Tensor> {
        self.row(&ops::FRAC, &[])
    }

    /// Rounded to so many digits after the point (before it, if negative), halves to even.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn round_decimals(&self, decimals: i32) -> Result<Tensor> {
        if decimals == 0 || !self.dtype().is_float() {
            return self.round();
        }
        let scale = 10f64.powi(decimals.abs());
        if decimals > 0 { self.mul(scale)?.round()?.div(scale) } else { self.div(scale)?.round()?.mul(scale) }
    }

    /// Whether `x` is 0; `bool`.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn logical_not(&self) -> Result<Tensor> {
        if self.dtype() == DType::Bool { self.row(&ops::BITWISE_NOT, &[]) } else { self.eq(0) }
    }

    /// All bits turned round; for booleans, `!x`.
    ///
    /// # Errors
    /// A tensor of floats.
    #[track_caller]
    pub fn bitwise_not(&self) -> Result<Tensor> {
        self.row(&ops::BITWISE_NOT, &[])
    }

    /// Whether `x` is NaN.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn isnan(&self) -> Result<Tensor> {
        self.test(&ops::ISNAN, false)
    }

    /// Whether `x` is infinite.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn isinf(&self) -> Result<Tensor> {
        self.test(&ops::ISINF, false)
    }

    /// Whether `x` is neither infinite nor NaN.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn isfinite(&self) -> Result<Tensor> {
        self.test(&ops::ISFINITE, true)
    }

    /// Whether `x` is infinity.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn isposinf(&self) -> Result<Tensor> {
        self.isinf()?.logical_and(self.gt(0)?)
    }

    /// Whether `x` is minus infinity.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn isneginf(&self) -> Result<Tensor> {
        self.isinf()?.logical_and(self.lt(0)?)
    }

    /// Whether `x` has a minus sign, -0 included.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn signbit(&self) -> Result<Tensor> {
        if self.dtype().is_float() || self.dtype() == DType::Bool { self.test(&ops::SIGNBIT, false) } else { self.lt(0) }
    }

    /// At least `min` and at most `max`; either may be `None`. NaN stays. The gradient passes between the limits and
    /// at them. Like `torch.clamp`: where `min > max`, everything is `max`.
    ///
    /// # Errors
    /// No limit at all; a `bool` tensor.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([-2.0, 0.5, 3.0], &Device::cpu())?;
    /// assert_eq!(x.clamp(-1.0, 1.0)?.to_vec::<f32>()?, [-1.0, 0.5, 1.0]);
    /// assert_eq!(x.clamp(0.0, None)?.to_vec::<f32>()?, [0.0, 0.5, 3.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn clamp(&self, min: impl Limit, max: impl Limit) -> Result<Tensor> {
        self.clamp_numbers(min.limit(), max.limit())
    }

    #[track_caller]
    pub(crate) fn clamp_numbers(&self, min: Option<Scalar>, max: Option<Scalar>) -> Result<Tensor> {
        const OP: &str = "clamp";
        self.value()?;
        if self.dtype() == DType::Bool
            && let Some(s) = [min, max].into_iter().flatten().find(|s| !matches!(s, Scalar::Bool(_)))
        {
            return self.to_dtype(s.default_dtype())?.clamp_numbers(min, max);
        }
        self.expect_number(OP)?;
        let float = [min, max].iter().flatten().any(|s| matches!(s, Scalar::Float(_)));
        let x = if float { self.as_float()? } else { self.clone() };
        // A limit outside an integer type's range is none, or all: its nearest value.
        let range = super::create::stored(x.dtype(), x.device()).int_range();
        let fit = |s: Scalar| range.map_or(s, |(low, high)| Scalar::from_i128(s.as_i128().clamp(low, high)));
        match (min.map(fit), max.map(fit)) {
            (Some(low), Some(high)) => x.row(&ops::CLAMP, &[low, high]),
            (Some(low), None) => x.row(&ops::CLAMP_MIN, &[low]),
            (None, Some(high)) => x.row(&ops::CLAMP_MAX, &[high]),
            (None, None) => Err(Error::argument(OP, "needs at least one limit")),
        }
    }

    /// [`clamp`](Self::clamp) with tensors as limits, which broadcast.
    ///
    /// # Errors
    /// No limit at all; shapes that do not broadcast.
    #[track_caller]
    pub fn clamp_between(&self, min: Option<&Tensor>, max: Option<&Tensor>) -> Result<Tensor> {
        match (min, max) {
            (Some(low), Some(high)) => self.maximum(low)?.minimum(high),
            (Some(low), None) => self.maximum(low),
            (None, Some(high)) => self.minimum(high),
            (None, None) => Err(Error::argument("clamp", "needs at least one limit")),
        }
    }

    /// Replaces NaN by `nan`, infinity by `posinf` (the type's largest value, if `None`) and minus infinity by
    /// `neginf` (its smallest).
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn nan_to_num(&self, nan: f64, posinf: Option<f64>, neginf: Option<f64>) -> Result<Tensor> {
        let largest = match self.dtype() {
            DType::F16 => 65504.0,
            DType::BF16 => half::bf16::MAX.to_f64(),
            DType::F32 => f32::MAX as f64,
            DType::F64 => f64::MAX,
            _ => return self.alias(),
        };
        let (high, low) = (posinf.unwrap_or(largest), neginf.unwrap_or(-largest));
        self.masked_fill(&self.isnan()?, nan)?.masked_fill(&self.isposinf()?, high)?.masked_fill(&self.isneginf()?, low)
    }
}

/// Logits, and angles.
impl Tensor {
    /// `log(x / (1 - x))`; with `eps`, `x` is clamped to `eps` and `1 - eps` first.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn logit(&self, eps: Option<f64>) -> Result<Tensor> {
        let x = match eps {
            // Not clamp: beyond 1/2 the lower limit is above the upper one, and it is the lower one that counts.
            Some(e) => {
                let x = self.as_float()?;
                let low = x.lt(e)?;
                x.masked_fill(&x.gt(1.0 - e)?, 1.0 - e)?.masked_fill(&low, e)?
            }
            None => self.as_float()?,
        };
        x.div(Operand::sub(&1.0f64.into(), &(&x).into())?)?.log()
    }

    /// `sin(pi x) / (pi x)`, 1 at 0.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn sinc(&self) -> Result<Tensor> {
        let zero = self.eq(0)?;
        // A number away from 0 where it is 0: the gradient there is that of the constant.
        let x = self.masked_fill(&zero, 1)?.mul(std::f64::consts::PI)?;
        x.sin()?.div(&x)?.masked_fill(&zero, 1.0)
    }

    /// Degrees to radians.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn deg2rad(&self) -> Result<Tensor> {
        self.as_float()?.mul(std::f64::consts::PI / 180.0)
    }

    /// Radians to degrees.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn rad2deg(&self) -> Result<Tensor> {
        self.as_float()?.mul(180.0 / std::f64::consts::PI)
    }
}
