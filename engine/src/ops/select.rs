//! A choice for each element.

use smallvec::SmallVec;

use super::elementwise::{Lane, computed_in, map3};
use super::op::{Grads, Kind, Map, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::runtime::cpu::tile::Reg;
use crate::tensor::{Operand, Tensor};

/// `cond ? a : b`. The inputs are `cond` (bool), then those of `a` and `b` that are tensors.
#[derive(Debug, Clone)]
pub(crate) struct Where {
    pub dtype: DType,
    pub a: Option<Scalar>,
    pub b: Option<Scalar>,
}

impl Op for Where {
    fn name(&self) -> &'static str {
        "where"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let cond = inputs.first().ok_or_else(|| Error::argument("where", "needs a condition"))?;
        if cond.dtype != DType::Bool {
            return Err(Error::dtype("where", format!("the condition must be bool, not {}", cond.dtype)));
        }
        if let Some(s) = inputs[1..].iter().find(|s| s.shape != cond.shape || s.dtype != self.dtype) {
            let message = format!("a choice of {:?} {} does not fit the condition {:?} and {}", s.shape, s.dtype, cond.shape, self.dtype);
            return Err(Error::argument("where", message));
        }
        Ok(Spec { dtype: self.dtype, shape: cond.shape.clone() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.a.is_some() as u64 | (self.b.is_some() as u64) << 1);
    }

    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        [self.a, self.b].into_iter().flatten().map(|s| (s, computed_in(self.dtype))).collect()
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 1, output: false }
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let cond = ctx.input(0)?;
        let (g, zero) = (Operand::from(dy), Operand::from(0.0f64));
        let mut grads = Grads::from_iter([None]);
        for (number, taken) in [(self.a, true), (self.b, false)] {
            if number.is_some() {
                continue;
            }
            let wanted = ctx.needs(grads.len());
            let (a, b) = if taken { (&g, &zero) } else { (&zero, &g) };
            grads.push(if wanted { Some(Tensor::choose(cond, a, b)?) } else { None });
        }
        Ok(grads)
    }
}

impl Where {
    /// Arguments as condition, then, else: a number comes after the tensors.
    fn in_order<'a, T: ?Sized>(&self, args: &[&'a T]) -> Option<[&'a T; 3]> {
        let swap = self.a.is_some() && self.b.is_none();
        let [c, x, y, ..] = args else { return None };
        Some(if swap { [*c, *y, *x] } else { [*c, *x, *y] })
    }
}

impl Map for Where {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        fn choose<T: Lane>(args: &[&Reg], n: usize, out: &mut Reg) {
            map3(args, n, out, |c: bool, a: T, b: T| if c { a } else { b });
        }
        let Some(args) = self.in_order(args) else { return };
        match out {
            Reg::F32(_) => choose::<f32>(&args, n, out),
            Reg::F64(_) => choose::<f64>(&args, n, out),
            Reg::Int(_) => choose::<i64>(&args, n, out),
            Reg::UInt(_) => choose::<u64>(&args, n, out),
            Reg::Bool(_) => choose::<bool>(&args, n, out),
        }
    }

    fn wgsl(&self, args: &[String], _inputs: &[DType], _out: DType) -> String {
        let args: SmallVec<[&str; 3]> = args.iter().map(String::as_str).collect();
        self.in_order(&args).map(|[c, a, b]| format!("select({b}, {a}, {c})")).unwrap_or_default()
    }
}
