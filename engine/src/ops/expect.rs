//! Values that an operator requires of data: looked at while the plan runs, and an error for the next read.
//!
//! On the CPU, where looking is one more pass over values that are read anyway; on a GPU they are not looked at.

use half::{bf16, f16};

use super::op::{Kind, Op, Spec};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// The scalar 0 of the input's type; fails if an element is not what it should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// Floats from 0 to 1: of `binary_cross_entropy`.
    Probabilities,
    /// Floats of 0 or more: of `gaussian_nll_loss`. Not a number is let through, as PyTorch lets it.
    Variances,
    /// Floats other than 0, for all practical purposes: of `istft`.
    Weights,
    /// Integers other than 0, for the division of that name.
    Divisors(&'static str),
}

impl Op for Expect {
    fn name(&self) -> &'static str {
        match self {
            Expect::Probabilities => "expect_probabilities",
            Expect::Variances => "expect_variances",
            Expect::Weights => "expect_weights",
            Expect::Divisors(_) => "expect_divisors",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        Ok(Spec::new(inputs[0].dtype, &[]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        // The name is in the error, so plans of another division are other plans.
        if let Expect::Divisors(op) = self {
            key.extend(op.bytes().map(u64::from));
        }
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Compute for Expect {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let x = &inputs[0];
        let find = |outside: fn(f64) -> bool| match x.dtype {
            DType::F64 => x.data::<f64>().iter().copied().find(|&v| outside(v)),
            DType::F32 => x.data::<f32>().iter().map(|&v| f64::from(v)).find(|&v| outside(v)),
            DType::F16 => x.data::<f16>().iter().map(|&v| f64::from(v)).find(|&v| outside(v)),
            _ => x.data::<bf16>().iter().map(|&v| f64::from(v)).find(|&v| outside(v)),
        };
        match *self {
            Expect::Probabilities => {
                if let Some(v) = find(|v| !(0.0..=1.0).contains(&v)) {
                    return Err(Error::argument("binary_cross_entropy", format!("the input should hold probabilities, but there is {v}")));
                }
            }
            Expect::Variances => {
                if let Some(v) = find(|v| v < 0.0) {
                    return Err(Error::argument("gaussian_nll_loss", format!("a variance cannot be negative, but there is {v}")));
                }
            }
            Expect::Weights => {
                // NaN is refused too.
                if find(|v| !(v.abs() > 1e-11)).is_some() {
                    return Err(Error::argument("istft", "the windows leave a point of the signal without weight"));
                }
            }
            Expect::Divisors(op) => {
                let zero = match x.dtype.size() {
                    1 => x.data::<u8>().contains(&0),
                    2 => x.data::<u16>().contains(&0),
                    4 => x.data::<u32>().contains(&0),
                    _ => x.data::<u64>().contains(&0),
                };
                if zero {
                    return Err(Error::argument(op, "an integer cannot be divided by 0, but there is one among the divisors"));
                }
            }
        }
        out.bytes.fill(0);
        Ok(())
    }

    fn gpu(&self, _: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        None
    }
}
