//! Powers in `f64`, exponents and mantissas, neighbours, common divisors.

use super::{Operand, Tensor};
use crate::autograd;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops;

impl Tensor {
    /// `self` to the power of `exponent`, both as `f64`; like `torch.float_power`.
    ///
    /// # Errors
    /// Shapes that do not broadcast; a GPU, which has no `f64`.
    #[track_caller]
    pub fn float_power(&self, exponent: impl Into<Operand>) -> Result<Tensor> {
        let exponent = match exponent.into() {
            Operand::Tensor(t) => Operand::Tensor(t.to_dtype(DType::F64)?),
            Operand::Scalar(s) => Operand::Scalar(Scalar::Float(s.as_f64())),
        };
        self.to_dtype(DType::F64)?.pow(exponent)
    }

    /// `self * 2^other`; like `torch.ldexp`. Integers become `f32`.
    ///
    /// # Errors
    /// Shapes that do not broadcast, types without a common one, different devices.
    #[track_caller]
    pub fn ldexp(&self, other: &Tensor) -> Result<Tensor> {
        self.mul(other.exp2()?)
    }

    /// The mantissa, at least 1/2 and below 1 in size, and the exponent of 2, `i32`; like `torch.frexp`. Zero, infinities
    /// and NaN are their own mantissa.
    ///
    /// # Errors
    /// Integers.
    #[track_caller]
    pub fn frexp(&self) -> Result<(Tensor, Tensor)> {
        self.expect_float("frexp")?;
        Ok((self.row(&ops::MANTISSA, &[])?, self.row(&ops::EXPONENT, &[])?.to_dtype(DType::I32)?))
    }

    /// `log2(2^self + 2^other)`, stably; like `torch.logaddexp2`.
    ///
    /// # Errors
    /// Shapes that do not broadcast, types without a common one; integers.
    #[track_caller]
    pub fn logaddexp2(&self, other: &Tensor) -> Result<Tensor> {
        for t in [self, other] {
            t.expect_float("logaddexp2")?;
        }
        Operand::apply(&ops::LOGADDEXP2, &[&self.into(), &other.into()], true)
    }

    /// The greatest common divisor of integers; 0 for two zeros. Like `torch.gcd`.
    ///
    /// # Errors
    /// Floats or booleans; shapes that do not broadcast.
    #[track_caller]
    pub fn gcd(&self, other: &Tensor) -> Result<Tensor> {
        Operand::apply(&ops::GCD, &[&self.into(), &other.into()], false)
    }

    /// The least common multiple of integers; wraps. Like `torch.lcm`.
    ///
    /// # Errors
    /// Floats or booleans; shapes that do not broadcast.
    #[track_caller]
    pub fn lcm(&self, other: &Tensor) -> Result<Tensor> {
        Operand::apply(&ops::LCM, &[&self.into(), &other.into()], false)
    }

    /// The next number after `self` on the way to `other` that the type has; like `torch.nextafter`. `self`'s gradient passes.
    ///
    /// # Errors
    /// Integers; shapes that do not broadcast.
    #[track_caller]
    pub fn nextafter(&self, other: &Tensor) -> Result<Tensor> {
        const OP: &str = "nextafter";
        for t in [self, other] {
            t.expect_float(OP)?;
        }
        let dtype = self.dtype().promote_for(other.dtype(), OP)?;
        match dtype {
            DType::F16 => neighbour(self, other, 11, -24.0, 65504.0)?.to_dtype(dtype),
            DType::BF16 => neighbour(self, other, 8, -133.0, 3.389_531_389_251_535_5e38)?.to_dtype(dtype),
            _ => Operand::apply(&ops::NEXTAFTER, &[&self.into(), &other.into()], true),
        }
    }

    /// `true` everywhere: elements without an imaginary part. Like `torch.isreal`.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn isreal(&self) -> Result<Tensor> {
        self.value()?;
        Tensor::full(self.shape(), true, self.device())
    }
}

/// The neighbour of a number of `digits` binary digits whose smallest step is `2^least`, in `f32`.
#[track_caller]
fn neighbour(x: &Tensor, to: &Tensor, digits: i32, least: f64, largest: f64) -> Result<Tensor> {
    let (x, to) = (x.to_dtype(DType::F32)?, to.to_dtype(DType::F32)?.detach()?);
    let moved = autograd::no_grad(|| neighbour_value(&x, &to, digits, least, largest))?;
    // The gradient passes to what is moved.
    let way = autograd::no_grad(|| moved.sub(&x)?.masked_fill(&moved.eq(&x)?.logical_or(&moved.isfinite()?.logical_not()?)?, 0))?;
    x.add(way)?.where_(&moved.isfinite()?, &moved)
}

#[track_caller]
fn neighbour_value(x: &Tensor, to: &Tensor, digits: i32, least: f64, largest: f64) -> Result<Tensor> {
    let (mantissa, exponent) = x.frexp()?;
    let inward = to.gt(x)?.eq(x.lt(0)?)?;
    // Below a power of two the steps are half as long.
    let shorter = inward.logical_and(&mantissa.abs()?.eq(0.5)?)?.to_dtype(DType::F32)?;
    let step = exponent.to_dtype(DType::F32)?.sub(f64::from(digits))?.sub(shorter)?.clamp(least, None::<f64>)?.exp2()?;
    let moved = x.add(to.sub(x)?.sign()?.mul(step.masked_fill(&x.eq(0)?, 2f64.powf(least))?)?)?;
    let moved = moved.masked_fill(&x.isinf()?, largest)?.copysign(x.where_(&x.isinf()?, &moved)?)?;
    // What is equal stays; NaN passes through the sum.
    to.where_(&x.eq(to)?, &moved)?.where_(&x.isnan()?.logical_or(&to.isnan()?)?.logical_not()?, x.add(to)?)
}

impl Tensor {
    /// Functions that only some types have say so by name.
    pub(super) fn expect_no_bool(&self, op: &'static str) -> Result<()> {
        if self.dtype() == DType::Bool { Err(Error::dtype(op, "not defined for bool")) } else { Ok(()) }
    }
}
