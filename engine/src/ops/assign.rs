//! Replacing a region of a tensor, and what that starts from: storage nobody has written, and copies.

use smallvec::smallvec;

use super::op::{Class, Grads, Kind, Map, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::runtime::cpu::tile::Reg;
use crate::shape::Layout;
use crate::tensor::Tensor;

/// `inputs[0]` with the elements at `region` (a layout over its contiguous shape) replaced by `inputs[1]`.
///
/// In place when nobody else wants the base, otherwise the base is copied first.
#[derive(Debug, Clone)]
pub(crate) struct Assign {
    pub region: Layout,
}

impl Op for Assign {
    fn name(&self) -> &'static str {
        "assign"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let (base, value) = (&inputs[0], &inputs[1]);
        if base.dtype != value.dtype {
            return Err(Error::dtype(self.name(), format!("a value of {} does not fit a tensor of {}", value.dtype, base.dtype)));
        }
        if value.shape != self.region.shape {
            return Err(Error::argument(
                self.name(),
                format!("a value of {:?} does not fit a region of {:?}", &value.shape[..], &self.region.shape[..]),
            ));
        }
        if self.region.span().is_some_and(|(_, last)| last >= crate::shape::numel(&base.shape)) {
            return Err(Error::argument(self.name(), format!("the region reaches past the end of {:?}", &base.shape[..])));
        }
        if self.region.overlaps() {
            return Err(Error::argument(self.name(), "the region meets an element more than once; assign to what it is a view of"));
        }
        Ok(base.clone())
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Assign(&self.region)
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }

    /// d base = dy with the region zeroed, d value = dy there.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let zero = || dy.assign_region(&self.region, &Tensor::zeros([], (dy.dtype(), dy.device()))?);
        let base = ctx.needs(0).then(zero).transpose()?;
        let value = ctx.needs(1).then(|| dy.view_through("assign", self.region.clone())).transpose()?;
        Ok(smallvec![base, value])
    }
}

/// Storage whose contents do not matter, because all that is read will have been assigned. The scheduler knows
/// the name and spends nothing on it; should it be computed after all, it is zeros.
#[derive(Debug, Clone)]
pub(crate) struct Uninit {
    pub spec: Spec,
}

impl Op for Uninit {
    fn name(&self) -> &'static str {
        "uninit"
    }
    fn infer(&self, _: &[Spec]) -> Result<Spec> {
        Ok(self.spec.clone())
    }
    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }
    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.spec.dtype as u64);
    }
    fn differentiable(&self) -> bool {
        false
    }
}

impl Map for Uninit {
    fn tile(&self, _: &[&Reg], n: usize, out: &mut Reg) {
        match out {
            Reg::F32(v) => v[..n].fill(0.0),
            Reg::F64(v) => v[..n].fill(0.0),
            Reg::Int(v) => v[..n].fill(0),
            Reg::UInt(v) => v[..n].fill(0),
            Reg::Bool(v) => v[..n].fill(false),
        }
    }

    fn wgsl(&self, _: &[String], _: &[DType], out: DType) -> String {
        match out.class() {
            Class::F32 | Class::F64 => "V(0.0)",
            Class::Int => "VI(0)",
            Class::UInt => "VU(0u)",
            Class::Bool => "VB(false)",
        }
        .into()
    }
}

/// The same elements in storage of their own, in row-major order.
#[derive(Debug, Clone)]
pub(crate) struct Contiguous;

impl Op for Contiguous {
    fn name(&self) -> &'static str {
        "contiguous"
    }
    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        Ok(inputs[0].clone())
    }
    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }
    fn saves(&self) -> Saves {
        Saves::NOTHING
    }
    fn backward(&self, _: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        Ok(smallvec![Some(dy.clone())])
    }
}

impl Map for Contiguous {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        match (args[0], out) {
            (Reg::F32(x), Reg::F32(y)) => y[..n].copy_from_slice(&x[..n]),
            (Reg::F64(x), Reg::F64(y)) => y[..n].copy_from_slice(&x[..n]),
            (Reg::Int(x), Reg::Int(y)) => y[..n].copy_from_slice(&x[..n]),
            (Reg::UInt(x), Reg::UInt(y)) => y[..n].copy_from_slice(&x[..n]),
            (Reg::Bool(x), Reg::Bool(y)) => y[..n].copy_from_slice(&x[..n]),
            (x, y) => debug_assert!(false, "a copy from {:?} to {:?}", x.class(), y.class()),
        }
    }

    fn wgsl(&self, args: &[String], _: &[DType], _: DType) -> String {
        args[0].clone()
    }
}
