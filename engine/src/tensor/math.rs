//! Arithmetic, comparison and choice: tensors with tensors, tensors with numbers.
//!
//! Operands promote and broadcast as in PyTorch. A number, and a tensor without dimensions beside one that has
//! some, raises the type only to another category (bool, integer, float): `u8 + 1` stays `u8`, `i64 + 0.5` is `f32`.

use super::{Operand, Tensor};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops;

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: |$a:ident, $b:ident| $body:expr;)*) => {
        impl Tensor {$(
            $(#[$doc])*
            #[track_caller]
            pub fn $name(&self, other: impl Into<Operand>) -> Result<Tensor> {
                let ($a, $b) = (&Operand::from(self), &other.into());
                $body
            }
        )*}
    };
}

// All of these: operands of types that promote and shapes that broadcast, or an `Err` that says why not.
methods! {
    /// `self + other`. Booleans: or.
    ///
    /// # Errors
    /// Shapes that do not broadcast, types without a common one, different devices.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu())?;
    /// let row = Tensor::new([10.0, 20.0], &Device::cpu())?;
    /// assert_eq!(x.add(&row)?.to_vec::<f32>()?, [11.0, 22.0, 13.0, 24.0]);
    /// assert_eq!((&x + 1.0).to_vec::<f32>()?, [2.0, 3.0, 4.0, 5.0]);
    /// # Ok(()) }
    /// ```
    add: |a, b| Operand::add(a, b);
    /// `self - other`; not for two booleans.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    sub: |a, b| Operand::sub(a, b);
    /// `self * other`. Booleans: and.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    mul: |a, b| Operand::mul(a, b);
    /// `self / other` as floats: integers are converted to `f32` first. Like `torch.true_divide`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    div: |a, b| Operand::div(a, b);
    /// `self / other` rounded down (Python's `//`).
    ///
    /// # Errors
    /// As for [`add`](Self::add); integers by the number 0. The next read reports integers divided by a 0 in a tensor.
    floor_divide: |a, b| Operand::divide(&ops::FLOOR_DIVIDE, a, b);
    /// `self / other` rounded toward zero; like `torch.div(.., rounding_mode="trunc")`.
    ///
    /// # Errors
    /// As for [`floor_divide`](Self::floor_divide).
    trunc_divide: |a, b| Operand::divide(&ops::TRUNC_DIVIDE, a, b);
    /// What [`floor_divide`](Self::floor_divide) leaves: it has the sign of the divisor (Python's `%`).
    ///
    /// # Errors
    /// As for [`floor_divide`](Self::floor_divide).
    remainder: |a, b| Operand::divide(&ops::REMAINDER, a, b);
    /// What [`trunc_divide`](Self::trunc_divide) leaves: it has the sign of `self` (C's `fmod`).
    ///
    /// # Errors
    /// As for [`floor_divide`](Self::floor_divide).
    fmod: |a, b| Operand::divide(&ops::FMOD, a, b);
    /// `self` to the power of `other`. Integers wrap; a negative integer exponent in a tensor gives 0 (1 or -1 for
    /// a base of 1 or -1).
    ///
    /// # Errors
    /// As for [`add`](Self::add); integers to a negative number.
    pow: |a, b| Operand::pow(a, b);
    /// The larger one; NaN if either is. Where both are equal, each gets half the gradient.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    maximum: |a, b| Operand::apply(&ops::MAXIMUM, &[a, b], false);
    /// The smaller one; NaN if either is. Where both are equal, each gets half the gradient.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    minimum: |a, b| Operand::apply(&ops::MINIMUM, &[a, b], false);
    /// The larger one, or the one that is not NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    fmax: |a, b| Operand::apply(&ops::FMAX, &[a, b], false);
    /// The smaller one, or the one that is not NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    fmin: |a, b| Operand::apply(&ops::FMIN, &[a, b], false);
    /// The angle of the point (`other`, `self`), between -pi and pi.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    atan2: |a, b| Operand::apply(&ops::ATAN2, &[a, b], true);
    /// `sqrt(self² + other²)` without overflow on the way.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    hypot: |a, b| Operand::of_floats(&ops::HYPOT, a, b);
    /// `|self|` with the sign of `other`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    copysign: |a, b| Operand::apply(&ops::COPYSIGN, &[a, b], true);
    /// `log(exp(self) + exp(other))`, stably.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    logaddexp: |a, b| Operand::apply(&ops::LOGADDEXP, &[a, b], true);

    /// `self == other`, element by element; `false` with NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    eq: |a, b| Operand::compare(&ops::EQ, a, b);
    /// `self != other`, element by element; `true` with NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ne: |a, b| Operand::compare(&ops::NE, a, b);
    /// `self < other`, element by element; `false` with NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    lt: |a, b| Operand::compare(&ops::LT, a, b);
    /// `self <= other`, element by element; `false` with NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    le: |a, b| Operand::compare(&ops::LE, a, b);
    /// `self > other`, element by element; `false` with NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    gt: |a, b| Operand::compare(&ops::GT, a, b);
    /// `self >= other`, element by element; `false` with NaN.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    ge: |a, b| Operand::compare(&ops::GE, a, b);

    /// Both are not 0; `bool`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    logical_and: |a, b| Operand::logical(&ops::BITWISE_AND, a, b);
    /// At least one is not 0; `bool`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    logical_or: |a, b| Operand::logical(&ops::BITWISE_OR, a, b);
    /// Exactly one is not 0; `bool`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    logical_xor: |a, b| Operand::logical(&ops::BITWISE_XOR, a, b);
    /// Bitwise and of integers or booleans.
    ///
    /// # Errors
    /// As for [`add`](Self::add); floats.
    bitwise_and: |a, b| Operand::apply(&ops::BITWISE_AND, &[a, b], false);
    /// Bitwise or of integers or booleans.
    ///
    /// # Errors
    /// As for [`add`](Self::add); floats.
    bitwise_or: |a, b| Operand::apply(&ops::BITWISE_OR, &[a, b], false);
    /// Bitwise exclusive or of integers or booleans.
    ///
    /// # Errors
    /// As for [`add`](Self::add); floats.
    bitwise_xor: |a, b| Operand::apply(&ops::BITWISE_XOR, &[a, b], false);
    /// The bits of integers moved up by `other` places; 0 if that is as many as there are, or negative.
    ///
    /// # Errors
    /// As for [`add`](Self::add); floats and booleans.
    bitwise_left_shift: |a, b| Operand::apply(&ops::SHIFT_LEFT, &[a, b], false);
    /// The bits of integers moved down by `other` places, keeping the sign.
    ///
    /// # Errors
    /// As for [`add`](Self::add); floats and booleans.
    bitwise_right_shift: |a, b| Operand::apply(&ops::SHIFT_RIGHT, &[a, b], false);
}

/// Choices, and combinations of three.
impl Tensor {
    /// `self` where `cond` is true, `other` where it is not; like `torch.where(cond, self, other)`.
    ///
    /// # Errors
    /// A condition that is not `bool`; shapes that do not broadcast; types without a common one.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([-1.0, 2.0], &Device::cpu())?;
    /// assert_eq!(x.where_(&x.gt(0.0)?, 0.5)?.to_vec::<f32>()?, [0.5, 2.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn where_(&self, cond: &Tensor, other: impl Into<Operand>) -> Result<Tensor> {
        Operand::select(cond, &self.into(), &other.into())
    }

    /// `value` where `mask` is true.
    ///
    /// # Errors
    /// A mask that is not `bool` or does not broadcast to this tensor; a value that its type cannot hold.
    #[track_caller]
    pub fn masked_fill(&self, mask: &Tensor, value: impl Into<Operand>) -> Result<Tensor> {
        const OP: &str = "masked_fill";
        let value = match value.into() {
            // In this tensor's type, as in PyTorch: the mask does not change it.
            Operand::Tensor(t) if t.rank() == 0 => Operand::Tensor(t.to_dtype(self.dtype())?),
            Operand::Tensor(t) => {
                return Err(Error::argument(OP, format!("the value must be a number or have no dimensions, not shape {:?}", t.shape())));
            }
            Operand::Scalar(Scalar::Float(v)) if !self.dtype().is_float() => {
                return Err(Error::dtype(OP, format!("{} cannot hold {v}", self.dtype())));
            }
            Operand::Scalar(s) if self.dtype() == DType::Bool => Operand::Scalar(Scalar::Bool(s.as_bool())),
            s => s,
        };
        Operand::select(mask, &value, &self.into())
    }

    /// `self + weight * (end - self)`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn lerp(&self, end: &Tensor, weight: impl Into<Operand>) -> Result<Tensor> {
        let weight = weight.into();
        let way = end.sub(self)?;
        match &weight {
            // From the nearer end: exact at both.
            Operand::Scalar(s) if s.as_f64() >= 0.5 => end.sub(way.mul(1.0 - s.as_f64())?),
            _ => self.add(way.mul(&weight)?),
        }
    }

    /// `self + value * a * b`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn addcmul(&self, a: &Tensor, b: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        self.add(a.mul(b)?.mul(value.into())?)
    }

    /// `self + value * a / b`.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn addcdiv(&self, a: &Tensor, b: &Tensor, value: impl Into<Scalar>) -> Result<Tensor> {
        self.add(a.mul(value.into())?.div(b)?)
    }

    /// `|self - other| <= atol + rtol |other|`, element by element; infinities of one sign are close, NaN is close to
    /// nothing (or, with `equal_nan`, to NaN).
    ///
    /// # Errors
    /// As for [`add`](Self::add); different types.
    #[track_caller]
    pub fn isclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
        if !(rtol >= 0.0 && atol >= 0.0) {
            return Err(Error::argument("isclose", format!("the tolerances must not be negative, but rtol is {rtol} and atol {atol}")));
        }
        if self.dtype() != other.dtype() {
            return Err(Error::dtype("isclose", format!("compares one type, not {} with {}", self.dtype(), other.dtype())));
        }
        let mut close = self.eq(other)?;
        if equal_nan && self.dtype().is_float() {
            close = close.logical_or(self.isnan()?.logical_and(other.isnan()?)?)?;
        }
        if self.dtype() == DType::Bool {
            return Ok(close);
        }
        let float = |t: &Tensor| if t.dtype().is_float() { Ok(t.clone()) } else { t.to_dtype(DType::F32) };
        let (a, b) = (float(self)?, float(other)?);
        let distance = a.sub(&b)?.abs()?;
        close.logical_or(distance.isfinite()?.logical_and(distance.le(b.abs()?.mul(rtol)?.add(atol)?)?)?)
    }

    /// `true` if all elements are close; see [`isclose`](Self::isclose). Reads the result.
    ///
    /// # Errors
    /// As for [`isclose`](Self::isclose).
    #[track_caller]
    pub fn allclose(&self, other: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<bool> {
        self.isclose(other, rtol, atol, equal_nan)?.all(..)?.item()
    }

    /// Same shape and same values. Reads the result.
    ///
    /// # Errors
    /// Different devices; the error one of them carries.
    #[track_caller]
    pub fn equal(&self, other: &Tensor) -> Result<bool> {
        Ok(self.shape() == other.shape() && self.eq(other)?.all(..)?.item()?)
    }

    /// `self * log(other)`, 0 where `self` is 0.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn xlogy(&self, other: impl Into<Operand>) -> Result<Tensor> {
        let other = match other.into() {
            Operand::Tensor(t) => t,
            Operand::Scalar(s) => Tensor::full([], s.as_f64(), self.device())?,
        };
        // Where self is 0, so is the product, unless other is NaN; its gradient there is that of 0 * log(1).
        let zero = self.eq(0)?.logical_and(&other.isnan()?.logical_not()?)?;
        self.mul(other.where_(&zero.logical_not()?, 1.0)?.log()?)
    }

    /// `value` where this is 0, else 0 below (and for NaN) and 1 above.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn heaviside(&self, value: &Tensor) -> Result<Tensor> {
        let step = self.gt(0)?.to_dtype(self.dtype())?;
        value.where_(&self.eq(0)?, &step)
    }
}

#[cfg(test)]
mod tests;
