//! Values that an operator requires of data: looked at while the plan runs, and an error for the next read.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::ops::{Kind, Op, Spec};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// The scalar 0; fails if an element of the input lies outside what a loss takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Expect {
    /// 0 to 1: of `binary_cross_entropy`.
    Probabilities,
    /// 0 or more: of `gaussian_nll_loss`. Not a number is let through, as PyTorch lets it.
    Variances,
}

impl Op for Expect {
    fn name(&self) -> &'static str {
        match self {
            Expect::Probabilities => "expect_probabilities",
            Expect::Variances => "expect_variances",
        }
    }

    fn infer(&self, _: &[Spec]) -> Result<Spec> {
        Ok(Spec::new(DType::F32, &[]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Compute for Expect {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let outside = |v: f64| match self {
            Expect::Probabilities => !(0.0..=1.0).contains(&v),
            Expect::Variances => v < 0.0,
        };
        let found = match inputs[0].dtype {
            DType::F64 => inputs[0].data::<f64>().iter().copied().find(|&v| outside(v)),
            _ => inputs[0].data::<f32>().iter().map(|&v| f64::from(v)).find(|&v| outside(v)),
        };
        if let Some(v) = found {
            return Err(match self {
                Expect::Probabilities => {
                    Error::argument("binary_cross_entropy", format!("the input should hold probabilities, but there is {v}"))
                }
                Expect::Variances => Error::argument("gaussian_nll_loss", format!("a variance cannot be negative, but there is {v}")),
            });
        }
        out.data::<f32>().fill(0.0);
        Ok(())
    }

    fn gpu(&self, _: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        None
    }
}
