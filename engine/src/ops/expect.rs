//! Values that an operator requires of data: looked at while the plan runs, and an error for the next read.

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::ops::{Kind, Op, Spec};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// The scalar 0; fails if an element of the input is no probability.
#[derive(Debug)]
pub(crate) struct ExpectProbabilities;

impl Op for ExpectProbabilities {
    fn name(&self) -> &'static str {
        "expect_probabilities"
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

impl Compute for ExpectProbabilities {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let outside = |v: f64| !(0.0..=1.0).contains(&v);
        let found = match inputs[0].dtype {
            DType::F64 => inputs[0].data::<f64>().iter().copied().find(|&v| outside(v)),
            _ => inputs[0].data::<f32>().iter().map(|&v| f64::from(v)).find(|&v| outside(v)),
        };
        if let Some(v) = found {
            return Err(Error::argument("binary_cross_entropy", format!("the input should hold probabilities, but there is {v}")));
        }
        out.data::<f32>().fill(0.0);
        Ok(())
    }

    fn gpu(&self, _: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        None
    }
}
