//! Functions of one tensor, element by element.

use super::row;
use crate::tensor::Tensor;

macro_rules! unary {
    ($($name:ident)*) => {
        pub(super) static ROWS: &[super::Operator] = &[$(row!(stringify!($name), (input: Tensor), input.$name())),*];
    };
}

unary! {
    abs neg sign
    exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal square
    sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
    sigmoid erf erfc erfinv lgamma digamma relu
    floor ceil trunc frac
    sinc deg2rad rad2deg
    isnan isinf isfinite isposinf isneginf signbit logical_not bitwise_not
}
