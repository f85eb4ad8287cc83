//! Arithmetic, comparison and choice: tensors with tensors, tensors with numbers.
//!
//! Operands promote and broadcast as in PyTorch. A number, and a tensor without dimensions beside one that has
//! some, raises the type only to another category (bool, integer, float): `u8 + 1` stays `u8`, `i64 + 0.5` is `f32`.

use smallvec::SmallVec;

use super::create::check_wide;
use super::{Tensor, Value};
use crate::autograd::{self, Edge};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::ops::{self, Function};
use crate::shape::{Shape, broadcast};

/// A tensor or a number: the other side of an operation. Everything of either kind converts into it.
#[derive(Debug, Clone)]
pub enum Operand {
    Tensor(Tensor),
    Scalar(Scalar),
}

impl From<Tensor> for Operand {
    fn from(t: Tensor) -> Operand {
        Operand::Tensor(t)
    }
}

impl From<&Tensor> for Operand {
    fn from(t: &Tensor) -> Operand {
        Operand::Tensor(t.clone())
    }
}

impl From<&&Tensor> for Operand {
    fn from(t: &&Tensor) -> Operand {
        Operand::Tensor((*t).clone())
    }
}

impl From<&Operand> for Operand {
    fn from(o: &Operand) -> Operand {
        o.clone()
    }
}

impl From<Scalar> for Operand {
    fn from(s: Scalar) -> Operand {
        Operand::Scalar(s)
    }
}

macro_rules! numbers {
    ($($t:ty)*) => {$(
        impl From<$t> for Operand {
            fn from(v: $t) -> Operand {
                Operand::Scalar(v.into())
            }
        }
    )*};
}
numbers!(bool u8 i8 u16 i16 u32 i32 u64 i64 usize half::f16 half::bf16 f32 f64);

impl Operand {
    fn tensor(&self) -> Option<&Tensor> {
        match self {
            Operand::Tensor(t) => Some(t),
            Operand::Scalar(_) => None,
        }
    }

    fn shape(&self) -> &[usize] {
        self.tensor().map_or(&[], Tensor::shape)
    }

    /// A number as it is, a tensor as `dtype` of `shape` on the device of the others.
    #[track_caller]
    fn fitted(&self, dtype: DType, shape: &[usize]) -> Result<Operand> {
        match self {
            Operand::Scalar(_) => Ok(self.clone()),
            Operand::Tensor(t) => Ok(Operand::Tensor(t.to_dtype(dtype)?.broadcast_to(shape)?)),
        }
    }

    /// An error that one of the operands carries comes before any other.
    fn or_carried(operands: &[&Operand], e: Error) -> Error {
        operands.iter().filter_map(|o| o.tensor()).find_map(|t| t.value().err()).unwrap_or(e)
    }

    /// The type the operands compute in.
    fn common_dtype(op: &'static str, operands: &[&Operand]) -> Result<DType> {
        // Tensors with dimensions, tensors without, numbers: a later group only raises the category.
        let (mut many, mut one, mut number) = (None, None, None);
        for o in operands {
            let (group, dtype) = match o {
                Operand::Tensor(t) if t.rank() > 0 => (&mut many, t.dtype()),
                Operand::Tensor(t) => (&mut one, t.dtype()),
                Operand::Scalar(Scalar::UInt(_)) => (&mut number, DType::I64),
                Operand::Scalar(s) => (&mut number, s.default_dtype()),
            };
            *group = Some(group.map_or(Ok(dtype), |d: DType| d.promote_for(dtype, op))?);
        }
        let raise = |high: Option<DType>, low: Option<DType>| match (high, low) {
            (Some(h), Some(l)) if h == DType::Bool || (l.is_float() && !h.is_float()) => h.promote_for(l, op).map(Some),
            (Some(h), _) => Ok(Some(h)),
            (None, low) => Ok(low),
        };
        Ok(raise(many, raise(one, number)?)?.unwrap_or(DType::F32))
    }

    /// Applies a row of the tables after promotion (at least to `f32`, if `float`) and broadcasting.
    #[track_caller]
    pub(super) fn apply(f: &'static Function, operands: &[&Operand], float: bool) -> Result<Tensor> {
        Operand::fit_and_apply(f, operands, float).map_err(|e| Operand::or_carried(operands, e))
    }

    #[track_caller]
    fn fit_and_apply(f: &'static Function, operands: &[&Operand], float: bool) -> Result<Tensor> {
        let mut dtype = Operand::common_dtype(f.name, operands)?;
        if float && !dtype.is_float() {
            dtype = DType::F32;
        }
        let (moved, shape) = Operand::gather(f.name, operands)?;
        let Some(device) = moved.iter().find_map(|o| o.tensor()).map(|t| t.device().clone()) else {
            return Err(Error::argument(f.name, "needs at least one tensor"));
        };
        for o in &moved {
            if let Operand::Scalar(s) = o {
                check_wide(f.name, dtype, &[*s], &device)?;
            }
        }
        let mut fitted: SmallVec<[Operand; 3]> = SmallVec::new();
        for o in &moved {
            fitted.push(o.fitted(dtype, &shape)?);
        }
        let refs: SmallVec<[&Operand; 3]> = fitted.iter().collect();
        Tensor::map(f, &refs)
    }

    /// The operands on one device (a number in a tensor on the CPU goes where the others are), and their common shape.
    #[track_caller]
    fn gather(op: &'static str, operands: &[&Operand]) -> Result<(SmallVec<[Operand; 3]>, Shape)> {
        let mut shape = Shape::new();
        let mut device = None;
        for o in operands {
            shape = broadcast(op, &shape, o.shape())?;
            if let Operand::Tensor(t) = o
                && (device.is_none() || t.rank() > 0 || !t.device().is_cpu())
            {
                device = Some(t.device());
            }
        }
        let mut moved: SmallVec<[Operand; 3]> = SmallVec::new();
        for o in operands {
            moved.push(match (o, device) {
                (Operand::Tensor(t), Some(d)) if t.rank() == 0 && t.device().is_cpu() && !d.is_cpu() => t.to(d)?.into(),
                _ => (*o).clone(),
            });
        }
        Ok((moved, shape))
    }

    /// A comparison; a number that the tensor's type cannot hold compares as what it is.
    #[track_caller]
    pub(crate) fn compare(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        if let Some(result) = Operand::compare_beyond(f, a, b)? {
            return Ok(result);
        }
        Operand::apply(f, &[a, b], false)
    }

    /// The constant result where a number lies outside an integer type's range.
    #[track_caller]
    fn compare_beyond(f: &'static Function, a: &Operand, b: &Operand) -> Result<Option<Tensor>> {
        let (t, s, swapped) = match (a, b) {
            (Operand::Tensor(t), Operand::Scalar(s)) => (t, s, false),
            (Operand::Scalar(s), Operand::Tensor(t)) => (t, s, true),
            _ => return Ok(None),
        };
        let stored = super::create::stored(t.dtype(), t.device());
        let (Some((low, high)), false) = (stored.int_range(), matches!(s, Scalar::Float(_) | Scalar::Bool(_)) || t.dtype() == DType::Bool)
        else {
            return Ok(None);
        };
        let (above, below) = (s.as_i128() > high, s.as_i128() < low);
        if !above && !below {
            return Ok(None);
        }
        // Whether the tensor's elements are less than the number.
        let less = above != swapped;
        let truth = match f.name {
            "ne" => true,
            "eq" => false,
            "lt" | "le" => less,
            _ => !less,
        };
        t.value()?;
        Tensor::full(t.shape(), truth, t.device()).map(Some)
    }

    #[track_caller]
    pub(crate) fn add(a: &Operand, b: &Operand) -> Result<Tensor> {
        match (a, b) {
            (Operand::Tensor(t), Operand::Scalar(s)) | (Operand::Scalar(s), Operand::Tensor(t)) if neutral(t, *s, 0.0) => t.alias(),
            _ => Operand::apply(&ops::ADD, &[a, b], false),
        }
    }

    #[track_caller]
    pub(crate) fn sub(a: &Operand, b: &Operand) -> Result<Tensor> {
        let boolean = |o: &Operand| match o {
            Operand::Tensor(t) => t.dtype() == DType::Bool,
            Operand::Scalar(s) => matches!(s, Scalar::Bool(_)),
        };
        if boolean(a) || boolean(b) {
            return Err(Error::dtype("sub", "bools do not subtract; use logical_xor, or convert one operand"));
        }
        match (a, b) {
            (Operand::Tensor(t), Operand::Scalar(s)) if neutral(t, *s, 0.0) => t.alias(),
            _ => Operand::apply(&ops::SUB, &[a, b], false),
        }
    }

    #[track_caller]
    pub(crate) fn mul(a: &Operand, b: &Operand) -> Result<Tensor> {
        match (a, b) {
            (Operand::Tensor(t), Operand::Scalar(s)) | (Operand::Scalar(s), Operand::Tensor(t)) if neutral(t, *s, 1.0) => t.alias(),
            _ => Operand::apply(&ops::MUL, &[a, b], false),
        }
    }

    #[track_caller]
    pub(crate) fn div(a: &Operand, b: &Operand) -> Result<Tensor> {
        match (a, b) {
            (Operand::Tensor(t), Operand::Scalar(s)) if t.dtype().is_float() && neutral(t, *s, 1.0) => t.alias(),
            _ => Operand::apply(&ops::DIV, &[a, b], true),
        }
    }

    #[track_caller]
    pub(crate) fn pow(a: &Operand, b: &Operand) -> Result<Tensor> {
        if let Operand::Tensor(t) = a
            && let wide = crate::amp::full(t)?
            && wide.dtype() != t.dtype()
        {
            return Operand::pow(&wide.into(), b);
        }
        if let (Operand::Tensor(t), Operand::Scalar(s)) = (a, b) {
            let dtype = Operand::common_dtype("pow", &[a, b])?;
            if dtype.is_int() && s.as_i128() < 0 {
                return Err(Error::argument("pow", format!("integers to the power of {s} are no integers; convert the base to floats")));
            }
            let t = t.to_dtype(dtype)?;
            // Exact and cheap instead of through a logarithm.
            match s.as_f64() {
                1.0 => return t.alias(),
                2.0 => return t.square(),
                3.0 => return Operand::mul(&t.square()?.into(), &(&t).into()),
                0.5 if dtype.is_float() => return t.sqrt(),
                -0.5 if dtype.is_float() => return t.rsqrt(),
                -1.0 if dtype.is_float() => return t.reciprocal(),
                -2.0 if dtype.is_float() => return t.square()?.reciprocal(),
                _ => {}
            }
        }
        Operand::apply(&ops::POW, &[a, b], false)
    }

    /// A division or remainder that has no value for an integer divisor 0.
    #[track_caller]
    fn divide(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        if let Operand::Scalar(s) = b
            && s.as_f64() == 0.0
            && !Operand::common_dtype(f.name, &[a, b])?.is_float()
        {
            return Err(Error::argument(f.name, "integers cannot be divided by 0"));
        }
        Operand::apply(f, &[a, b], false)
    }

    /// For functions that integers and bools alone do not have.
    #[track_caller]
    fn of_floats(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        let dtype = Operand::common_dtype(f.name, &[a, b])?;
        if !dtype.is_float() {
            return Err(Error::dtype(f.name, format!("not defined for {dtype}; convert to floats")));
        }
        Operand::apply(f, &[a, b], false)
    }

    /// Logical operators take anything: what is not 0 is true.
    #[track_caller]
    fn logical(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        let truth = |o: &Operand| match o {
            Operand::Scalar(s) => Ok(Operand::Scalar(Scalar::Bool(s.as_bool()))),
            Operand::Tensor(t) => t.to_dtype(DType::Bool).map(Operand::Tensor),
        };
        Operand::apply(f, &[&truth(a)?, &truth(b)?], false)
    }
}

/// The operation with `s` leaves the values and the type of `t` as they are.
fn neutral(t: &Tensor, s: Scalar, value: f64) -> bool {
    s.as_f64() == value && s.promote_with(t.dtype()) == t.dtype() && t.dtype() != DType::Bool
}

impl Tensor {
    /// Another tensor with the same value and gradient: what an operation that changes nothing returns.
    pub(crate) fn alias(&self) -> Result<Tensor> {
        let value: Value = self.value()?;
        let edge = if autograd::is_enabled() { self.edge() } else { Edge::None };
        Ok(Tensor::from_value(value, edge))
    }

    /// `cond ? a : b` for operands of one type and shape.
    #[track_caller]
    pub(crate) fn choose(cond: &Tensor, a: &Operand, b: &Operand) -> Result<Tensor> {
        let number = |o: &Operand| if let Operand::Scalar(s) = o { Some(*s) } else { None };
        let tensors: SmallVec<[&Tensor; 3]> = std::iter::once(cond).chain(a.tensor()).chain(b.tensor()).collect();
        let dtype = tensors.get(1).map_or_else(|| Operand::common_dtype("where", &[a, b]), |t| Ok(t.dtype()))?;
        Tensor::apply(ops::Where { dtype, a: number(a), b: number(b) }, &tensors)
    }
}

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
    /// `self / other` rounded down (Python's `//`). An integer divided by 0 is 0.
    ///
    /// # Errors
    /// As for [`add`](Self::add); integers by the number 0.
    floor_divide: |a, b| Operand::divide(&ops::FLOOR_DIVIDE, a, b);
    /// `self / other` rounded toward zero; like `torch.div(.., rounding_mode="trunc")`. An integer divided by 0 is 0.
    ///
    /// # Errors
    /// As for [`add`](Self::add); integers by the number 0.
    trunc_divide: |a, b| Operand::divide(&ops::TRUNC_DIVIDE, a, b);
    /// What [`floor_divide`](Self::floor_divide) leaves: it has the sign of the divisor (Python's `%`).
    ///
    /// # Errors
    /// As for [`add`](Self::add); integers by the number 0.
    remainder: |a, b| Operand::divide(&ops::REMAINDER, a, b);
    /// What [`trunc_divide`](Self::trunc_divide) leaves: it has the sign of `self` (C's `fmod`).
    ///
    /// # Errors
    /// As for [`add`](Self::add); integers by the number 0.
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

    /// `value` where this is 0, else 0 below and 1 above; NaN stays.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn heaviside(&self, value: &Tensor) -> Result<Tensor> {
        let step = self.gt(0)?.to_dtype(self.dtype())?;
        value.where_(&self.eq(0)?, &step)
    }
}

impl Operand {
    /// `torch.where` with promotion and broadcasting.
    #[track_caller]
    fn select(cond: &Tensor, a: &Operand, b: &Operand) -> Result<Tensor> {
        const OP: &str = "where";
        let fit = || -> Result<Tensor> {
            let dtype = Operand::common_dtype(OP, &[a, b])?;
            let (moved, shape) = Operand::gather(OP, &[&cond.into(), a, b])?;
            let [cond, a, b] = &moved[..] else { return Err(Error::argument(OP, "needs three operands")) };
            let Operand::Tensor(cond) = cond else { return Err(Error::argument(OP, "needs a condition")) };
            for o in [a, b] {
                if let Operand::Scalar(s) = o {
                    check_wide(OP, dtype, &[*s], cond.device())?;
                }
            }
            Tensor::choose(&cond.broadcast_to(&shape)?, &a.fitted(dtype, &shape)?, &b.fitted(dtype, &shape)?)
        };
        fit().map_err(|e| Operand::or_carried(&[&cond.into(), a, b], e))
    }
}

#[cfg(test)]
mod tests;
