//! Values that an operator requires of data: looked at while the plan runs, and an error for the next read.

use half::{bf16, f16};

use super::gather::groups;
use super::op::{Kind, Op, Spec};
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::kernel::{Compute, Fault, GpuOperand, Launch, Launches, Read, Write};
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
            DType::F64 => first(x.data::<f64>(), outside),
            DType::F32 => first(x.data::<f32>(), outside),
            DType::F16 => first(x.data::<f16>(), outside),
            _ => first(x.data::<bf16>(), outside),
        };
        let zero = |at: Option<usize>| at.map(|at| (at, 0.0));
        let wrong = match self {
            Expect::Probabilities => find(|v| !(0.0..=1.0).contains(&v)),
            Expect::Variances => find(|v| v < 0.0),
            // NaN is refused too.
            Expect::Weights => find(|v| !(v.abs() > 1e-11)),
            Expect::Divisors(_) => match x.dtype.size() {
                1 => zero(x.data::<u8>().iter().position(|&v| v == 0)),
                2 => zero(x.data::<u16>().iter().position(|&v| v == 0)),
                4 => zero(x.data::<u32>().iter().position(|&v| v == 0)),
                _ => zero(x.data::<u64>().iter().position(|&v| v == 0)),
            },
        };
        if let Some((at, v)) = wrong {
            return Err(self.fault().error((v as f32).to_bits(), at, x.layout.numel()));
        }
        out.bytes.fill(0);
        Ok(())
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        let what = match self {
            Expect::Probabilities => 0,
            Expect::Variances => 1,
            Expect::Weights => 2,
            Expect::Divisors(_) => 3,
        };
        let count = inputs[0].layout.numel();
        if count == 0 {
            return None;
        }
        let launch = Launch {
            shader: "expect",
            consts: vec![("WHAT", what)],
            reads: vec![Read::input("x", 0)],
            write: Write::Output,
            params: vec![count as u32],
            patches: vec![],
            groups: groups(count, 64),
        };
        Some(Launches { launches: vec![launch], scratch: vec![] })
    }

    fn fault(&self) -> Fault {
        match *self {
            Expect::Probabilities => Fault::Value("binary_cross_entropy", "the input should hold probabilities"),
            Expect::Variances => Fault::Value("gaussian_nll_loss", "a variance cannot be negative"),
            Expect::Weights => Fault::Value("istft", "the windows must give each point of the signal a weight"),
            Expect::Divisors(op) => Fault::Value(op, "an integer cannot be divided by 0"),
        }
    }
}

/// The first element that is outside, and where it lies.
fn first<T: Copy + Into<f64>>(x: &[T], outside: fn(f64) -> bool) -> Option<(usize, f64)> {
    x.iter().map(|&v| v.into()).enumerate().find(|&(_, v)| outside(v))
}
