//! Arithmetic, comparisons and choices.

use super::rows;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::{Operand, Tensor};

const ONE: Scalar = Scalar::Int(1);

rows! {
    "add"(input: Tensor, other: Operand, alpha: Scalar = ONE) input.add(times(other, alpha, "add", &input)?);
    "sub"(input: Tensor, other: Operand, alpha: Scalar = ONE) input.sub(times(other, alpha, "sub", &input)?);
    "rsub"(input: Tensor, other: Operand, alpha: Scalar = ONE) reverse_sub(input, other, alpha);
    "mul"(input: Tensor, other: Operand) input.mul(other);
    "div"(input: Tensor, other: Operand, rounding_mode: Option<String> = None) divide(&input, other, rounding_mode.as_deref());
    "true_divide"(input: Tensor, other: Operand) input.div(other);
    "floor_divide"(input: Tensor, other: Operand) input.floor_divide(other);
    "remainder"(input: Tensor, other: Operand) input.remainder(other);
    "fmod"(input: Tensor, other: Operand) input.fmod(other);
    "pow"(input: Tensor, exponent: Operand) input.pow(exponent);
    "maximum"(input: Tensor, other: Tensor) input.maximum(other);
    "minimum"(input: Tensor, other: Tensor) input.minimum(other);
    "max"(input: Tensor, other: Tensor) input.maximum(other);
    "min"(input: Tensor, other: Tensor) input.minimum(other);
    "fmax"(input: Tensor, other: Tensor) input.fmax(other);
    "fmin"(input: Tensor, other: Tensor) input.fmin(other);
    "hypot"(input: Tensor, other: Tensor) input.hypot(other);
    "copysign"(input: Tensor, other: Operand) input.copysign(other);
    "logaddexp"(input: Tensor, other: Tensor) input.logaddexp(other);
    "xlogy"(input: Tensor, other: Operand) input.xlogy(other);
    "heaviside"(input: Tensor, values: Tensor) input.heaviside(&values);
    "atan2"(input: Tensor, other: Tensor) input.atan2(other);

    "__radd__"(input: Tensor, other: Operand) input.add(other);
    "__rmul__"(input: Tensor, other: Operand) input.mul(other);
    "__rsub__"(input: Tensor, other: Operand) reverse_sub(input, other, ONE);
    "__rdiv__"(input: Tensor, other: Operand) tensor(other, &input)?.div(&input);
    "__rpow__"(input: Tensor, other: Operand) tensor(other, &input)?.pow(&input);
    "__rmod__"(input: Tensor, other: Operand) tensor(other, &input)?.remainder(&input);
    "__rand__"(input: Tensor, other: Operand) input.bitwise_and(other);
    "__ror__"(input: Tensor, other: Operand) input.bitwise_or(other);
    "__rxor__"(input: Tensor, other: Operand) input.bitwise_xor(other);

    "eq"(input: Tensor, other: Operand) input.eq(other);
    "ne"(input: Tensor, other: Operand) input.ne(other);
    "lt"(input: Tensor, other: Operand) input.lt(other);
    "le"(input: Tensor, other: Operand) input.le(other);
    "gt"(input: Tensor, other: Operand) input.gt(other);
    "ge"(input: Tensor, other: Operand) input.ge(other);
    "logical_and"(input: Tensor, other: Tensor) input.logical_and(other);
    "logical_or"(input: Tensor, other: Tensor) input.logical_or(other);
    "logical_xor"(input: Tensor, other: Tensor) input.logical_xor(other);
    "bitwise_and"(input: Tensor, other: Operand) input.bitwise_and(other);
    "bitwise_or"(input: Tensor, other: Operand) input.bitwise_or(other);
    "bitwise_xor"(input: Tensor, other: Operand) input.bitwise_xor(other);
    "bitwise_left_shift"(input: Tensor, other: Operand) input.bitwise_left_shift(other);
    "bitwise_right_shift"(input: Tensor, other: Operand) input.bitwise_right_shift(other);

    "isclose"(input: Tensor, other: Tensor, rtol: f64 = 1e-5, atol: f64 = 1e-8, equal_nan: bool = false) input.isclose(&other, rtol, atol, equal_nan);
    "allclose"(input: Tensor, other: Tensor, rtol: f64 = 1e-5, atol: f64 = 1e-8, equal_nan: bool = false) input.allclose(&other, rtol, atol, equal_nan);
    "equal"(input: Tensor, other: Tensor) input.equal(&other);
    "where"(condition: Tensor, input: Tensor, other: Operand) input.where_(&condition, other);
    "where"(condition: Tensor, input: Scalar, other: Operand) Operand::select(&condition, &input.into(), &other);
    "where"(condition: Tensor) condition.nonzero()?.unbind(1);
    "masked_fill"(input: Tensor, mask: Tensor, value: Operand) input.masked_fill(&mask, value);
    "clamp"(input: Tensor, min: Option<Operand> = None, max: Option<Operand> = None) clamp(&input, min, max);
    "clamp_min"(input: Tensor, min: Operand) clamp(&input, Some(min), None);
    "clamp_max"(input: Tensor, max: Operand) clamp(&input, None, Some(max));
    "lerp"(input: Tensor, end: Tensor, weight: Operand) input.lerp(&end, weight);
    "addcmul"(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar = ONE) input.addcmul(&tensor1, &tensor2, value);
    "addcdiv"(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar = ONE) input.addcdiv(&tensor1, &tensor2, value);
    "round"(input: Tensor, decimals: i64 = 0) input.round_decimals(decimals.clamp(-400, 400) as i32);
    "positive"(input: Tensor) if input.dtype() == DType::Bool { Err(Error::dtype("positive", "not defined for bool")) } else { Ok(input) };
    "sgn"(input: Tensor) input.sign();
    "logit"(input: Tensor, eps: Option<f64>) input.logit(eps);
    "nan_to_num"(input: Tensor, nan: f64 = 0.0, posinf: Option<f64>, neginf: Option<f64>) input.nan_to_num(nan, posinf, neginf);
}

/// `alpha * other`, where `alpha` may only be of the kind the result is: PyTorch's rule.
pub(super) fn times(other: Operand, alpha: Scalar, op: &'static str, input: &Tensor) -> Result<Operand> {
    if alpha == ONE {
        return Ok(other);
    }
    let (dtype, number) = match &other {
        Operand::Tensor(t) => (t.dtype(), None),
        Operand::Scalar(s) => (s.default_dtype(), Some(*s)),
    };
    match alpha {
        Scalar::Float(_) if !input.dtype().is_float() && !dtype.is_float() => {
            return Err(Error::argument(op, "alpha must be an integer where no operand is a float"));
        }
        Scalar::Bool(_) if input.dtype() != DType::Bool || dtype != DType::Bool => {
            return Err(Error::argument(op, "alpha may only be a bool where both operands are"));
        }
        _ => {}
    }
    match (&other, number) {
        (Operand::Tensor(t), _) => t.mul(alpha).map(Operand::Tensor),
        (_, Some(Scalar::Float(f))) => Ok((f * alpha.as_f64()).into()),
        (_, Some(n)) => {
            Ok(if let Scalar::Float(a) = alpha { (n.as_f64() * a).into() } else { n.as_i64().wrapping_mul(alpha.as_i64()).into() })
        }
        (_, None) => Ok(other),
    }
}

/// The operand as a tensor: a number has no dimensions.
fn tensor(other: Operand, beside: &Tensor) -> Result<Tensor> {
    match other {
        Operand::Tensor(t) => Ok(t),
        Operand::Scalar(s) => Tensor::full([], s, beside.device()),
    }
}

fn reverse_sub(input: Tensor, other: Operand, alpha: Scalar) -> Result<Tensor> {
    let subtrahend = times(input.clone().into(), alpha, "rsub", &input)?;
    tensor(other, &input)?.sub(subtrahend)
}

pub(super) fn divide(input: &Tensor, other: Operand, rounding: Option<&str>) -> Result<Tensor> {
    match rounding {
        None => input.div(other),
        Some("floor") => input.floor_divide(other),
        Some("trunc") => input.trunc_divide(other),
        Some(mode) => Err(Error::argument("div", format!("rounding mode '{mode}' is none of None, trunc, floor"))),
    }
}

fn clamp(input: &Tensor, min: Option<Operand>, max: Option<Operand>) -> Result<Tensor> {
    match (min, max) {
        (Some(Operand::Tensor(low)), Some(Operand::Tensor(high))) => input.clamp_between(Some(&low), Some(&high)),
        (Some(Operand::Tensor(low)), None) => input.clamp_between(Some(&low), None),
        (None, Some(Operand::Tensor(high))) => input.clamp_between(None, Some(&high)),
        (min, max) => {
            let number = |limit: Option<Operand>| match limit {
                Some(Operand::Scalar(s)) => Ok(Some(s)),
                None => Ok(None),
                Some(Operand::Tensor(_)) => Err(Error::argument("clamp", "the limits must be two tensors or two numbers")),
            };
            input.clamp_numbers(number(min)?, number(max)?)
        }
    }
}
