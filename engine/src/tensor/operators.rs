//! `+ - * /`, unary `-` and their assigning forms, between tensors and numbers.
//!
//! They return a tensor that carries its error, if there is one, to the first method that returns a `Result`.

use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Rem, Sub, SubAssign};

use super::{Operand, Tensor};
use crate::device::Device;
use crate::error::Result;

/// The result, or a tensor that carries the error.
#[track_caller]
fn carry(result: Result<Tensor>, a: &Operand, b: &Operand) -> Tensor {
    match result {
        Ok(t) => t,
        // Not in a closure: the caller's place is part of the error.
        Err(e) => {
            let device = [a, b].into_iter().find_map(|o| if let Operand::Tensor(t) = o { Some(t.device().clone()) } else { None });
            Tensor::failed(e, &device.unwrap_or_else(Device::cpu))
        }
    }
}

#[track_caller]
fn remainder(a: &Operand, b: &Operand) -> Result<Tensor> {
    match a {
        Operand::Tensor(t) => t.remainder(b),
        Operand::Scalar(s) => Tensor::full([], *s, &Device::cpu())?.remainder(b),
    }
}

macro_rules! operators {
    ($($Trait:ident $method:ident $compute:expr;)*) => {$(
        impl<T: Into<Operand>> $Trait<T> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                let (a, b) = (Operand::from(self), other.into());
                carry($compute(&a, &b), &a, &b)
            }
        }
        impl<T: Into<Operand>> $Trait<T> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                let (a, b) = (Operand::from(self), other.into());
                carry($compute(&a, &b), &a, &b)
            }
        }
        impl<T: Into<Operand>> $Trait<T> for &Operand {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: T) -> Tensor {
                let b = other.into();
                carry($compute(self, &b), self, &b)
            }
        }
        // Numbers on the left: one float and one integer type, so that literals know which they are.
        operators!(@left $Trait $method $compute; f64 i64);
    )*};
    (@left $Trait:ident $method:ident $compute:expr; $($number:ty)*) => {$(
        impl $Trait<Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                let (a, b) = (Operand::from(self), Operand::from(other));
                carry($compute(&a, &b), &a, &b)
            }
        }
        impl $Trait<&Tensor> for $number {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                let (a, b) = (Operand::from(self), Operand::from(other));
                carry($compute(&a, &b), &a, &b)
            }
        }
    )*};
}
operators! {
    Add add Operand::add;
    Sub sub Operand::sub;
    Mul mul Operand::mul;
    Div div Operand::div;
    Rem rem remainder;
}

impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        Tensor::neg(self).unwrap_or_else(|e| Tensor::failed(e, self.device()))
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        -&self
    }
}

// `x += y` binds the name to the sum, as `x = &x + y` would: other handles keep the old value, and an error is
// carried. `add_` writes into the tensor itself.
macro_rules! assigning {
    ($($Trait:ident $method:ident $op:tt;)*) => {$(
        impl<T: Into<Operand>> $Trait<T> for Tensor {
            #[track_caller]
            fn $method(&mut self, other: T) {
                *self = &*self $op other;
            }
        }
    )*};
}
assigning! {
    AddAssign add_assign +;
    SubAssign sub_assign -;
    MulAssign mul_assign *;
    DivAssign div_assign /;
}
