//! Arithmetic, comparisons and choices.

use super::convert::{FromValue, Other};
use super::operators;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const ONE: Scalar = Scalar::Int(1);

operators! {
    "add"(input: Tensor, other: Other, alpha: Scalar = ONE) input.add(other.times(alpha, "add", &input)?);
    "sub"(input: Tensor, other: Other, alpha: Scalar = ONE) input.sub(other.times(alpha, "sub", &input)?);
    "rsub"(input: Tensor, other: Other, alpha: Scalar = ONE) reverse_sub(input, other, alpha);
    "mul"(input: Tensor, other: Other) input.mul(other);
    "div"(input: Tensor, other: Other, rounding_mode: Option<String> = None) divide(&input, other, rounding_mode.as_deref());
    "true_divide"(input: Tensor, other: Other) input.div(other);
    "floor_divide"(input: Tensor, other: Other) input.floor_divide(other);
    "remainder"(input: Tensor, other: Other) input.remainder(other);
    "fmod"(input: Tensor, other: Other) input.fmod(other);
    "pow"(input: Tensor, exponent: Other) input.pow(exponent);
    "maximum"(input: Tensor, other: Tensor) input.maximum(other);
    "minimum"(input: Tensor, other: Tensor) input.minimum(other);
    "max"(input: Tensor, other: Tensor) input.maximum(other);
    "min"(input: Tensor, other: Tensor) input.minimum(other);
    "atan2"(input: Tensor, other: Tensor) input.atan2(other);

    "__radd__"(input: Tensor, other: Other) input.add(other);
    "__rmul__"(input: Tensor, other: Other) input.mul(other);
    "__rsub__"(input: Tensor, other: Other) reverse_sub(input, other, ONE);
    "__rdiv__"(input: Tensor, other: Other) other.tensor(input.device())?.div(&input);
    "__rpow__"(input: Tensor, other: Other) other.tensor(input.device())?.pow(&input);
    "__rmod__"(input: Tensor, other: Other) other.tensor(input.device())?.remainder(&input);
    "__rand__"(input: Tensor, other: Other) input.bitwise_and(other);
    "__ror__"(input: Tensor, other: Other) input.bitwise_or(other);
    "__rxor__"(input: Tensor, other: Other) input.bitwise_xor(other);

    "eq"(input: Tensor, other: Other) input.eq(other);
    "ne"(input: Tensor, other: Other) input.ne(other);
    "lt"(input: Tensor, other: Other) input.lt(other);
    "le"(input: Tensor, other: Other) input.le(other);
    "gt"(input: Tensor, other: Other) input.gt(other);
    "ge"(input: Tensor, other: Other) input.ge(other);
    "logical_and"(input: Tensor, other: Tensor) input.logical_and(other);
    "logical_or"(input: Tensor, other: Tensor) input.logical_or(other);
    "logical_xor"(input: Tensor, other: Tensor) input.logical_xor(other);
    "bitwise_and"(input: Tensor, other: Other) input.bitwise_and(other);
    "bitwise_or"(input: Tensor, other: Other) input.bitwise_or(other);
    "bitwise_xor"(input: Tensor, other: Other) input.bitwise_xor(other);
    "bitwise_left_shift"(input: Tensor, other: Other) input.bitwise_left_shift(other);
    "bitwise_right_shift"(input: Tensor, other: Other) input.bitwise_right_shift(other);

    "where"(condition: Tensor, input: Tensor, other: Other) input.where_(&condition, other);
    "masked_fill"(input: Tensor, mask: Tensor, value: Other) input.masked_fill(&mask, value);
    "clamp"(input: Tensor, min: Option<Other> = None, max: Option<Other> = None) clamp(&input, min, max);
    "clamp_min"(input: Tensor, min: Other) clamp(&input, Some(min), None);
    "clamp_max"(input: Tensor, max: Other) clamp(&input, None, Some(max));
    "lerp"(input: Tensor, end: Tensor, weight: Other) input.lerp(&end, weight);
    "addcmul"(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar = ONE) input.addcmul(&tensor1, &tensor2, value);
    "addcdiv"(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar = ONE) input.addcdiv(&tensor1, &tensor2, value);
    "round"(input: Tensor) input.round();
}
