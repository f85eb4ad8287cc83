//! Methods that change their tensor; they return it. Where a tensor has no method of its own, the operator's result is
//! put into it.

use super::math::{divide, times};
use super::{Operator, Value, row};
use crate::dtype::Scalar;
use crate::tensor::{Operand, Tensor};

macro_rules! table {
    (with_operand: $($other:ident)*; alone: $($alone:ident)*; $($name:literal $params:tt $body:expr;)*) => {
        pub(super) static ROWS: &[Operator] = &[
            $(row!(stringify!($other), (input: Tensor, other: Operand), input.$other(other).cloned()),)*
            $(row!(stringify!($alone), (input: Tensor), input.$alone().cloned()),)*
            $(row!($name, $params, $body),)*
        ];
    };
}

table! {
    with_operand:
        mul_ floor_divide_ remainder_ fmod_ pow_ atan2_ hypot_ copysign_ eq_ ne_ lt_ le_ gt_ ge_
        logical_and_ logical_or_ logical_xor_ bitwise_and_ bitwise_or_ bitwise_xor_ bitwise_left_shift_ bitwise_right_shift_
        fill_;
    alone:
        neg_ abs_ sign_ square_ reciprocal_ sqrt_ rsqrt_ exp_ exp2_ expm1_ log_ log2_ log10_ log1p_
        sin_ cos_ tan_ asin_ acos_ atan_ sinh_ cosh_ tanh_ asinh_ acosh_ atanh_ erf_ erfc_ erfinv_ lgamma_ digamma_
        floor_ ceil_ round_ trunc_ frac_ sigmoid_ relu_ silu_ logical_not_ bitwise_not_ zero_;
    "add_"(input: Tensor, other: Operand, alpha: Scalar = Scalar::Int(1)) input.add_(times(other, alpha, "add_", &input)?).cloned();
    "sub_"(input: Tensor, other: Operand, alpha: Scalar = Scalar::Int(1)) input.sub_(times(other, alpha, "sub_", &input)?).cloned();
    "div_"(input: Tensor, other: Operand) input.div_(other).cloned();
    "div_"(input: Tensor, other: Operand, rounding_mode: Option<String>) {
        let quotient = divide(&input, other, rounding_mode.as_deref());
        input.overwrite("div_", quotient).cloned()
    };
    "copy_"(input: Tensor, src: Tensor, non_blocking: bool = false) {
        let _ = non_blocking;
        input.copy_(&src).cloned()
    };
    "masked_fill_"(input: Tensor, mask: Tensor, value: Operand) input.masked_fill_(&mask, value).cloned();
    "lerp_"(input: Tensor, end: Tensor, weight: Operand) input.lerp_(&end, weight).cloned();
    "addcmul_"(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar = Scalar::Int(1)) input.addcmul_(&tensor1, &tensor2, value).cloned();
    "addcdiv_"(input: Tensor, tensor1: Tensor, tensor2: Tensor, value: Scalar = Scalar::Int(1)) input.addcdiv_(&tensor1, &tensor2, value).cloned();
    "uniform_"(input: Tensor, from: f64 = 0.0, to: f64 = 1.0) input.uniform_(from, to).cloned();
    "normal_"(input: Tensor, mean: f64 = 0.0, std: f64 = 1.0) input.normal_(mean, std).cloned();
    "exponential_"(input: Tensor, lambd: f64 = 1.0) input.exponential_(lambd).cloned();
}

/// Functions of `nn.functional` whose result takes the input's place with `inplace=True`.
const FUNCTIONS: &[&str] = &[
    "relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "leaky_relu",
    "rrelu",
    "hardtanh",
    "hardswish",
    "hardsigmoid",
    "silu",
    "mish",
    "threshold",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "alpha_dropout",
    "feature_alpha_dropout",
];

/// Arguments by name.
pub(super) type Named<'k> = Vec<(&'k str, Value)>;

/// The arguments of one of these functions without `inplace`, and whether it was true.
pub(super) fn flag<'k>(name: &str, kwargs: &[(&'k str, Value)]) -> Option<(Named<'k>, bool)> {
    let at = kwargs.iter().position(|(k, v)| *k == "inplace" && matches!(v, Value::Bool(_)))?;
    name.strip_prefix("nn.functional.").filter(|f| FUNCTIONS.contains(f))?;
    let mut rest = kwargs.to_vec();
    let (_, on) = rest.remove(at);
    Some((rest, matches!(on, Value::Bool(true))))
}

/// The operator `name` is the in-place form of, without a row of its own.
pub(super) fn of(name: &str) -> Option<&'static str> {
    let base = name.strip_suffix('_').filter(|base| !base.ends_with('_'))?;
    super::overloads(base).first().map(|op| op.name)
}
