//! Elementwise arithmetic, comparison and logic; functions and activations of one tensor.

use taper::{DType, Operand, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};

pub(super) static TABLE: &[Operator] = &[
    op("Abs", 1, |c| one(c.tensor(0)?.abs()?)),
    op("Acos", 7, |c| one(c.tensor(0)?.acos()?)),
    op("Acosh", 9, |c| one(c.tensor(0)?.acosh()?)),
    op("Add", 1, |c| binary(c, |a, b| a.add(b))),
    op("And", 1, |c| binary(c, |a, b| a.logical_and(b))),
    op("Asin", 7, |c| one(c.tensor(0)?.asin()?)),
    op("Asinh", 9, |c| one(c.tensor(0)?.asinh()?)),
    op("Atan", 7, |c| one(c.tensor(0)?.atan()?)),
    op("Atanh", 9, |c| one(c.tensor(0)?.atanh()?)),
    op("BitShift", 11, bit_shift),
    op("BitwiseAnd", 18, |c| binary(c, |a, b| a.bitwise_and(b))),
    op("BitwiseNot", 18, |c| one(c.tensor(0)?.bitwise_not()?)),
    op("BitwiseOr", 18, |c| binary(c, |a, b| a.bitwise_or(b))),
    op("BitwiseXor", 18, |c| binary(c, |a, b| a.bitwise_xor(b))),
    op("Ceil", 1, |c| one(c.tensor(0)?.ceil()?)),
    op("Celu", 12, |c| one(c.tensor(0)?.celu(c.float("alpha", 1.0)?)?)),
    op("Clip", 1, clip),
    op("Cos", 7, |c| one(c.tensor(0)?.cos()?)),
    op("Cosh", 9, |c| one(c.tensor(0)?.cosh()?)),
    op("Div", 1, |c| binary(c, divide)),
    op("Elu", 1, |c| one(c.tensor(0)?.elu(c.float("alpha", 1.0)?)?)),
    op("Equal", 1, |c| binary(c, |a, b| a.eq(b))),
    op("Erf", 9, |c| one(c.tensor(0)?.erf()?)),
    op("Exp", 1, |c| one(c.tensor(0)?.exp()?)),
    op("Floor", 1, |c| one(c.tensor(0)?.floor()?)),
    op("Gelu", 20, |c| one(c.tensor(0)?.gelu(c.text("approximate", "none")?)?)),
    op("Greater", 1, |c| binary(c, |a, b| a.gt(b))),
    op("GreaterOrEqual", 12, |c| binary(c, |a, b| a.ge(b))),
    op("HardSigmoid", 1, |c| one(hard_sigmoid(&c.tensor(0)?, c.float("alpha", 0.2)?, c.float("beta", 0.5)?)?)),
    op("HardSwish", 14, |c| one(c.tensor(0)?.hardswish()?)),
    op("IsInf", 10, is_inf),
    op("IsNaN", 9, |c| one(c.tensor(0)?.isnan()?)),
    op("LeakyRelu", 1, |c| one(c.tensor(0)?.leaky_relu(c.float("alpha", 0.01)?)?)),
    op("Less", 1, |c| binary(c, |a, b| a.lt(b))),
    op("LessOrEqual", 12, |c| binary(c, |a, b| a.le(b))),
    op("Log", 1, |c| one(c.tensor(0)?.log()?)),
    op("Max", 1, |c| many(c, |a, b| a.maximum(b))),
    op("Mean", 1, |c| one(mean(c)?)),
    op("Min", 1, |c| many(c, |a, b| a.minimum(b))),
    op("Mish", 18, |c| one(c.tensor(0)?.mish()?)),
    op("Mod", 10, |c| if c.flag("fmod", false)? { binary(c, |a, b| a.fmod(b)) } else { binary(c, modulo) }),
    op("Mul", 1, |c| binary(c, |a, b| a.mul(b))),
    op("Neg", 1, |c| one(c.tensor(0)?.neg()?)),
    op("Not", 1, |c| one(c.tensor(0)?.logical_not()?)),
    op("Or", 1, |c| binary(c, |a, b| a.logical_or(b))),
    op("PRelu", 1, prelu),
    op("Pow", 1, pow),
    op("Reciprocal", 1, |c| one(c.tensor(0)?.reciprocal()?)),
    op("Relu", 1, |c| one(c.tensor(0)?.relu()?)),
    op("Round", 11, |c| one(c.tensor(0)?.round()?)),
    op("Selu", 1, selu),
    op("Shrink", 9, shrink),
    op("Sigmoid", 1, |c| one(c.tensor(0)?.sigmoid()?)),
    op("Sign", 9, |c| one(c.tensor(0)?.sign()?)),
    op("Sin", 7, |c| one(c.tensor(0)?.sin()?)),
    op("Sinh", 9, |c| one(c.tensor(0)?.sinh()?)),
    op("Softplus", 1, |c| one(c.tensor(0)?.softplus(1.0, 20.0)?)),
    op("Softsign", 1, |c| one(c.tensor(0)?.softsign()?)),
    op("Sqrt", 1, |c| one(c.tensor(0)?.sqrt()?)),
    op("Sub", 1, |c| binary(c, |a, b| a.sub(b))),
    op("Sum", 1, |c| many(c, |a, b| a.add(b))),
    op("SwiGLU", 1, |c| one(swish(&c.tensor(0)?, c.float("alpha", 1.0)?)?.mul(c.tensor(1)?)?)),
    op("Swish", 1, |c| one(swish(&c.tensor(0)?, c.float("alpha", 1.0)?)?)),
    op("Tan", 7, |c| one(c.tensor(0)?.tan()?)),
    op("Tanh", 1, |c| one(c.tensor(0)?.tanh()?)),
    op("ThresholdedRelu", 1, |c| one(c.tensor(0)?.threshold(c.float("alpha", 1.0)?, 0.0)?)),
    op("Where", 9, |c| one(c.tensor(1)?.where_(&c.tensor(0)?, c.tensor(2)?)?)),
    op("Xor", 1, |c| binary(c, |a, b| a.logical_xor(b))),
];

/// Both operands, broadcast as the version says.
fn binary(c: &Call<'_>, f: impl Fn(&Tensor, Operand) -> Result<Tensor>) -> Out {
    let a = c.tensor(0)?;
    // Before version 7 the second operand's dimensions start at `axis` of the first one's.
    if c.opset() < 7
        && let Some(axis) = c.maybe_int("axis")?
    {
        let b = c.tensor(1)?;
        let at = c.dim(axis, a.rank())?;
        let behind = a.rank().saturating_sub(at + b.rank());
        let shape: Vec<usize> = b.shape().iter().copied().chain(std::iter::repeat_n(1, behind)).collect();
        return one(f(&a, b.reshape(shape)?.into())?);
    }
    one(f(&a, c.operand(1)?)?)
}

/// Any number of operands, at least one.
fn many(c: &Call<'_>, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Out {
    let all = c.tensors()?;
    let (first, rest) = all.split_first().ok_or_else(|| c.error("needs at least one input"))?;
    one(rest.iter().try_fold(first.clone(), |a, b| f(&a, b))?)
}

fn mean(c: &Call<'_>) -> Result<Tensor> {
    let all = c.tensors()?;
    let (first, rest) = all.split_first().ok_or_else(|| c.error("needs at least one input"))?;
    rest.iter().try_fold(first.clone(), |a, b| a.add(b))?.div(all.len())
}

/// Integers are cut off towards zero.
fn divide(a: &Tensor, b: Operand) -> Result<Tensor> {
    if a.dtype().is_float() { a.div(b) } else { a.trunc_divide(b) }
}

/// What is left over, with the divisor's sign, which a zero has too.
fn modulo(a: &Tensor, b: Operand) -> Result<Tensor> {
    let left = a.remainder(&b)?;
    if !a.dtype().is_float() {
        return Ok(left);
    }
    let zero = left.zeros_like()?.copysign(&b)?;
    zero.where_(&left.eq(0)?, &left)
}

/// In the base's type, whatever the exponent's is.
fn pow(c: &Call<'_>) -> Out {
    if c.opset() < 7 {
        return binary(c, |base, e| base.pow(e));
    }
    let (base, exponent) = (c.tensor(0)?, c.tensor(1)?);
    let own = base.dtype();
    one(match (own.is_float(), c.array(1)?.scalar()) {
        (true, Some(number)) => base.pow(number.as_f64())?,
        (true, None) => base.pow(exponent.to_dtype(own)?)?,
        (false, _) if exponent.dtype().is_float() => {
            // Of integers exactly: a double holds more of them than a float.
            let wide = if c.device.is_cpu() { DType::F64 } else { DType::F32 };
            base.to_dtype(wide)?.pow(exponent.to_dtype(wide)?)?.to_dtype(own)?
        }
        (false, _) => base.pow(exponent.to_dtype(own)?)?,
    })
}

/// Shifts by more than there are bits leave nothing but the sign.
fn bit_shift(c: &Call<'_>) -> Out {
    let (a, by) = (c.tensor(0)?, c.tensor(1)?);
    let bits = a.dtype().size() as i64 * 8;
    let valid = if by.dtype().is_signed() { by.ge(0)?.logical_and(by.lt(bits)?)? } else { by.lt(bits)? };
    let safe = by.masked_fill(&valid.logical_not()?, 0)?;
    let (shifted, left_over) = match c.text("direction", "")? {
        "LEFT" => (a.bitwise_left_shift(&safe)?, a.zeros_like()?),
        "RIGHT" if a.dtype().is_signed() => (a.bitwise_right_shift(&safe)?, a.zeros_like()?.masked_fill(&a.lt(0)?, -1)?),
        "RIGHT" => (a.bitwise_right_shift(&safe)?, a.zeros_like()?),
        other => return Err(c.error(format!("attribute 'direction' is '{other}', neither LEFT nor RIGHT"))),
    };
    one(shifted.where_(&valid, &left_over)?)
}

/// The upper limit counts where it is below the lower one.
fn clip(c: &Call<'_>) -> Out {
    let mut x = c.tensor(0)?;
    if c.opset() < 11 {
        let (low, high) = (c.maybe_float("min")?, c.maybe_float("max")?);
        if low.is_some() || high.is_some() {
            x = x.clamp(low, high)?;
        }
        return one(x);
    }
    if c.has(1) {
        x = x.maximum(c.operand(1)?)?;
    }
    if c.has(2) {
        x = x.minimum(c.operand(2)?)?;
    }
    one(x)
}

pub(super) fn hard_sigmoid(x: &Tensor, alpha: f64, beta: f64) -> Result<Tensor> {
    x.mul(alpha)?.add(beta)?.clamp(0.0, 1.0)
}

fn is_inf(c: &Call<'_>) -> Out {
    let x = c.tensor(0)?;
    one(match (c.flag("detect_negative", true)?, c.flag("detect_positive", true)?) {
        (true, true) => x.isinf()?,
        (true, false) => x.isneginf()?,
        (false, true) => x.isposinf()?,
        (false, false) => x.isinf()?.zeros_like()?,
    })
}

/// The slope broadcasts to the input, from the last dimension; before version 7 one slope was one for each channel.
fn prelu(c: &Call<'_>) -> Out {
    let (x, mut slope) = (c.tensor(0)?, c.tensor(1)?);
    if c.opset() < 7 && slope.rank() == 1 && x.rank() > 1 && slope.numel() > 1 {
        slope = slope.reshape([&[slope.numel()][..], &vec![1; x.rank() - 2]].concat())?;
    }
    one(x.mul(slope)?.where_(&x.lt(0)?, &x)?)
}

fn selu(c: &Call<'_>) -> Out {
    let (alpha, gamma) = (c.float("alpha", 1.67326319217681884765625)?, c.float("gamma", 1.05070102214813232421875)?);
    one(c.tensor(0)?.elu(alpha)?.mul(gamma)?)
}

fn shrink(c: &Call<'_>) -> Out {
    let (x, bias, lambd) = (c.tensor(0)?, c.float("bias", 0.0)?, c.float("lambd", 0.5)?);
    let own = x.dtype();
    let wide = x.to_dtype(Call::wide(own))?;
    let zero = wide.zeros_like()?;
    let below = wide.add(bias)?.where_(&wide.lt(-lambd)?, &zero)?;
    one(wide.sub(bias)?.where_(&wide.gt(lambd)?, &below)?.to_dtype(own)?)
}

pub(super) fn swish(x: &Tensor, alpha: f64) -> Result<Tensor> {
    x.mul(x.mul(alpha)?.sigmoid()?)
}
