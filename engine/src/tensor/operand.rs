//! What stands on either side of an operation: a tensor or a number. Promotion and broadcasting happen here.

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
    pub(super) fn or_carried(operands: &[&Operand], e: Error) -> Error {
        operands.iter().filter_map(|o| o.tensor()).find_map(|t| t.value().err()).unwrap_or(e)
    }

    /// The type the operands compute in.
    pub(super) fn common_dtype(op: &'static str, operands: &[&Operand]) -> Result<DType> {
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
    pub(super) fn gather(op: &'static str, operands: &[&Operand]) -> Result<(SmallVec<[Operand; 3]>, Shape)> {
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
    pub(super) fn divide(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        if Operand::common_dtype(f.name, &[a, b])?.is_float() {
            return Operand::apply(f, &[a, b], false);
        }
        match b {
            Operand::Scalar(s) if s.as_f64() == 0.0 => Err(Error::argument(f.name, "an integer cannot be divided by 0")),
            // Plus 0, or an error at the next read.
            Operand::Tensor(t) => {
                let checked = t.add(&Tensor::apply(ops::Expect::Divisors(f.name), &[t])?)?;
                Operand::apply(f, &[a, &checked.into()], false)
            }
            _ => Operand::apply(f, &[a, b], false),
        }
    }

    /// For functions that integers and bools alone do not have.
    #[track_caller]
    pub(super) fn of_floats(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
        let dtype = Operand::common_dtype(f.name, &[a, b])?;
        if !dtype.is_float() {
            return Err(Error::dtype(f.name, format!("not defined for {dtype}; convert to floats")));
        }
        Operand::apply(f, &[a, b], false)
    }

    /// Logical operators take anything: what is not 0 is true.
    #[track_caller]
    pub(super) fn logical(f: &'static Function, a: &Operand, b: &Operand) -> Result<Tensor> {
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

impl Operand {
    /// `torch.where` with promotion and broadcasting.
    #[track_caller]
    pub(crate) fn select(cond: &Tensor, a: &Operand, b: &Operand) -> Result<Tensor> {
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
