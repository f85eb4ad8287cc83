//! Methods that write into the tensor itself. Their names end in `_`, as in PyTorch.
//!
//! Each computes the new value, checks that it fits (shape, and a type of the same or a lower category), and
//! puts it into the tensor; whoever saved the old value keeps it. All handles and views of the tensor see the
//! new one. Gradients flow through. An error for a leaf that requires a gradient, outside `no_grad`.

use super::unary::Limit;
use super::{Operand, Tensor};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};

impl Tensor {
    /// Takes over `new`, the result of the operation `op`.
    pub(crate) fn overwrite(&self, op: &'static str, new: Result<Tensor>) -> Result<&Self> {
        let new = new?;
        self.check_inplace(op)?;
        if new.shape() != self.shape() {
            return Err(Error::argument(
                op,
                format!("the result has shape {:?}, which {:?} in place cannot take", new.shape(), self.shape()),
            ));
        }
        let category = |d: DType| d.is_float() as u8 * 2 + d.is_int() as u8;
        if category(new.dtype()) > category(self.dtype()) {
            return Err(Error::dtype(op, format!("the result is {}, which {} in place cannot hold", new.dtype(), self.dtype())));
        }
        self.replace(&new.to_dtype(self.dtype())?)?;
        Ok(self)
    }
}

macro_rules! with_operand {
    ($($name:ident $name_:ident;)*) => {
        impl Tensor {$(
            #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), ") in place.")]
            ///
            /// # Errors
            /// As for the method it is named after; a result that does not fit; a leaf that requires a gradient,
            /// outside `no_grad`.
            #[track_caller]
            pub fn $name_(&self, other: impl Into<Operand>) -> Result<&Self> {
                self.overwrite(stringify!($name_), self.$name(other))
            }
        )*}
    };
}
with_operand! {
    add add_; sub sub_; mul mul_; div div_; floor_divide floor_divide_; remainder remainder_; fmod fmod_; pow pow_;
    atan2 atan2_; hypot hypot_; copysign copysign_;
    eq eq_; ne ne_; lt lt_; le le_; gt gt_; ge ge_;
    logical_and logical_and_; logical_or logical_or_; logical_xor logical_xor_;
    bitwise_and bitwise_and_; bitwise_or bitwise_or_; bitwise_xor bitwise_xor_;
    bitwise_left_shift bitwise_left_shift_; bitwise_right_shift bitwise_right_shift_;
}

macro_rules! alone {
    ($($name:ident $name_:ident;)*) => {
        impl Tensor {$(
            #[doc = concat!("[`", stringify!($name), "`](Self::", stringify!($name), ") in place.")]
            ///
            /// # Errors
            /// As for the method it is named after; a result that does not fit; a leaf that requires a gradient,
            /// outside `no_grad`.
            #[track_caller]
            pub fn $name_(&self) -> Result<&Self> {
                self.overwrite(stringify!($name_), self.$name())
            }
        )*}
    };
}
alone! {
    neg neg_; abs abs_; sign sign_; square square_; reciprocal reciprocal_; sqrt sqrt_; rsqrt rsqrt_;
    exp exp_; exp2 exp2_; expm1 expm1_; log log_; log2 log2_; log10 log10_; log1p log1p_;
    sin sin_; cos cos_; tan tan_; asin asin_; acos acos_; atan atan_;
    sinh sinh_; cosh cosh_; tanh tanh_; asinh asinh_; acosh acosh_; atanh atanh_;
    erf erf_; erfc erfc_; erfinv erfinv_; lgamma lgamma_; digamma digamma_;
    floor floor_; ceil ceil_; round round_; trunc trunc_; frac frac_;
    sigmoid sigmoid_; relu relu_; silu silu_; logical_not logical_not_; bitwise_not bitwise_not_;
}

/// Those with arguments of their own.
impl Tensor {
    /// [`clamp`](Self::clamp) in place.
    ///
    /// # Errors
    /// As for [`clamp`](Self::clamp); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn clamp_(&self, min: impl Limit, max: impl Limit) -> Result<&Self> {
        self.overwrite("clamp_", self.clamp(min, max))
    }

    /// [`masked_fill`](Self::masked_fill) in place.
    ///
    /// # Errors
    /// As for [`masked_fill`](Self::masked_fill); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn masked_fill_(&self, mask: &Tensor, value: impl Into<Operand>) -> Result<&Self> {
        self.overwrite("masked_fill_", self.masked_fill(mask, value))
    }

    /// [`lerp`](Self::lerp) in place.
    ///
    /// # Errors
    /// As for [`lerp`](Self::lerp); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn lerp_(&self, end: &Tensor, weight: impl Into<Operand>) -> Result<&Self> {
        self.overwrite("lerp_", self.lerp(end, weight))
    }

    /// [`addcmul`](Self::addcmul) in place.
    ///
    /// # Errors
    /// As for [`addcmul`](Self::addcmul); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn addcmul_(&self, a: &Tensor, b: &Tensor, value: impl Into<Scalar>) -> Result<&Self> {
        self.overwrite("addcmul_", self.addcmul(a, b, value))
    }

    /// [`addcdiv`](Self::addcdiv) in place.
    ///
    /// # Errors
    /// As for [`addcdiv`](Self::addcdiv); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn addcdiv_(&self, a: &Tensor, b: &Tensor, value: impl Into<Scalar>) -> Result<&Self> {
        self.overwrite("addcdiv_", self.addcdiv(a, b, value))
    }
}

/// Filling.
impl Tensor {
    /// `value` everywhere.
    ///
    /// # Errors
    /// A leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn fill_(&self, value: impl Into<Operand>) -> Result<&Self> {
        match value.into() {
            Operand::Scalar(s) => self.overwrite("fill_", self.full_like(s)),
            Operand::Tensor(t) if t.rank() == 0 => self.copy_(&t),
            Operand::Tensor(t) => {
                Err(Error::argument("fill_", format!("the value must be a number or have no dimensions, not shape {:?}", t.shape())))
            }
        }
    }

    /// Zero everywhere.
    ///
    /// # Errors
    /// A leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn zero_(&self) -> Result<&Self> {
        self.overwrite("zero_", self.zeros_like())
    }
}
