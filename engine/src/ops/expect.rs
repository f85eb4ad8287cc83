//! Values that an operator requires of data: looked at while the plan runs, and an error for the next read.
//!
//! On the CPU, where looking is one more pass over values that are read anyway; on a GPU they are not looked at.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::ops::{Kind, Op, Spec};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// The scalar 0 of the input's type; fails if an element of the input lies outside what an operator takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// 0 to 1: of `binary_cross_entropy`.
    Probabilities,
    /// 0 or more: of `gaussian_nll_loss`. Not a number is let through, as PyTorch lets it.
    Variances,
    /// Integers other than 0: of the division of that name.
    Divisors(&'static str),
}

impl Op for Expect {
    fn name(&self) -> &'static str {
        match self {
            Expect::Probabilities => "expect_probabilities",
            Expect::Variances => "expect_variances",
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
        // The name is in the error: another division is another plan.
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
        match *self {
            Expect::Probabilities => {
                if let Some(v) = find(x, |v| !(0.0..=1.0).contains(&v)) {
                    return Err(Error::argument("binary_cross_entropy", format!("the input should hold probabilities, but there is {v}")));
                }
            }
            Expect::Variances => {
                if let Some(v) = find(x, |v| v < 0.0) {
                    return Err(Error::argument("gaussian_nll_loss", format!("a variance cannot be negative, but there is {v}")));
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

/// The first of these floats that lies outside.
fn find(x: &CpuIn<'_>, outside: impl Fn(f64) -> bool) -> Option<f64> {
    match x.dtype {
        DType::F64 => x.data::<f64>().iter().copied().find(|&v| outside(v)),
        _ => x.data::<f32>().iter().map(|&v| f64::from(v)).find(|&v| outside(v)),
    }
}
