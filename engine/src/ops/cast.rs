//! From one element type to another, and from one device to another.

use super::elementwise::{Lane, map1};
use super::op::{Class, Grads, Kind, Map, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::runtime::cpu::tile::Reg;
use crate::tensor::Tensor;

/// The same values as another type.
///
/// A float becomes an integer by dropping its fraction; what does not fit 32 bits (64 bits, for an `i64` or
/// `u64` on the CPU) saturates, NaN is 0, and narrower types then take the low bits. To `bool`: not zero.
#[derive(Debug, Clone)]
pub(crate) struct Cast {
    pub to: DType,
}

impl Op for Cast {
    fn name(&self) -> &'static str {
        "to"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let shape = &inputs.first().ok_or_else(|| Error::argument("to", "needs a tensor"))?.shape;
        Ok(Spec { dtype: self.to, shape: shape.clone() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.to as u64);
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(dy.to_dtype(ctx.spec(0).dtype)?)]))
    }
}

impl Map for Cast {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        match args[0] {
            Reg::F32(_) => self.from_float(args, n, out, |x: f32| x as f64, |x| x),
            Reg::F64(_) => self.from_float(args, n, out, |x: f64| x, |x| x as f32),
            Reg::Int(_) => match out {
                Reg::F32(_) => map1(args, n, out, |x: i64| x as f32),
                Reg::F64(_) => map1(args, n, out, |x: i64| x as f64),
                Reg::Int(_) => map1(args, n, out, |x: i64| x),
                Reg::UInt(_) => map1(args, n, out, |x: i64| x as u64),
                Reg::Bool(_) => map1(args, n, out, |x: i64| x != 0),
            },
            Reg::UInt(_) => match out {
                Reg::F32(_) => map1(args, n, out, |x: u64| x as f32),
                Reg::F64(_) => map1(args, n, out, |x: u64| x as f64),
                Reg::Int(_) => map1(args, n, out, |x: u64| x as i64),
                Reg::UInt(_) => map1(args, n, out, |x: u64| x),
                Reg::Bool(_) => map1(args, n, out, |x: u64| x != 0),
            },
            Reg::Bool(_) => match out {
                Reg::F32(_) => map1(args, n, out, |x: bool| x as u8 as f32),
                Reg::F64(_) => map1(args, n, out, |x: bool| x as u8 as f64),
                Reg::Int(_) => map1(args, n, out, |x: bool| x as i64),
                Reg::UInt(_) => map1(args, n, out, |x: bool| x as u64),
                Reg::Bool(_) => map1(args, n, out, |x: bool| x),
            },
        }
    }

    fn wgsl(&self, args: &[String], inputs: &[DType], out: DType) -> String {
        let x = &args[0];
        match (inputs.first().map_or(Class::F32, |d| d.class()), out.class()) {
            (Class::F32 | Class::F64, Class::Int) => format!("to_int({x})"),
            (Class::F32 | Class::F64, Class::UInt) => format!("to_uint({x})"),
            // By the bits: NaN and infinities are not zero.
            (Class::F32 | Class::F64, Class::Bool) => format!("(bitcast<VU>({x}) & VU(0x7fffffffu)) != VU(0u)"),
            (Class::Int, Class::Bool) => format!("{x} != VI(0)"),
            (Class::UInt, Class::Bool) => format!("{x} != VU(0u)"),
            (from, to) if from == to => x.clone(),
            (_, Class::F32 | Class::F64) => format!("V({x})"),
            (_, Class::Int) => format!("VI({x})"),
            (_, Class::UInt) => format!("VU({x})"),
            (Class::Bool, Class::Bool) => x.clone(),
        }
    }
}

impl Cast {
    fn from_float<F: Lane>(&self, args: &[&Reg], n: usize, out: &mut Reg, wide: impl Fn(F) -> f64, narrow: impl Fn(F) -> f32) {
        match out {
            Reg::F32(_) => map1(args, n, out, narrow),
            Reg::F64(_) => map1(args, n, out, wide),
            Reg::Int(_) if self.to.size() == 8 => map1(args, n, out, |x| wide(x) as i64),
            Reg::Int(_) => map1(args, n, out, |x| wide(x) as i32 as i64),
            // Negative values wrap, as they do from a signed integer.
            Reg::UInt(_) if self.to.size() == 8 => {
                map1(args, n, out, |x| if wide(x) < 0.0 { wide(x) as i64 as u64 } else { wide(x) as u64 })
            }
            Reg::UInt(_) => map1(args, n, out, |x| if wide(x) < 0.0 { wide(x) as i32 as u32 as u64 } else { wide(x) as u32 as u64 }),
            Reg::Bool(_) => map1(args, n, out, |x| wide(x) != 0.0),
        }
    }
}

/// The same values on another device.
#[derive(Debug, Clone)]
pub(crate) struct Transfer {
    pub from: Device,
}

impl Op for Transfer {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        inputs.first().cloned().ok_or_else(|| Error::argument("to", "needs a tensor"))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Transfer
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }

    fn backward(&self, _ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        Ok(Grads::from_iter([Some(dy.to(&self.from)?)]))
    }
}
