//! Attention without the matrix of scores: tiles of it are computed, used, and forgotten; the backward pass
//! computes them again from the logarithms of the rows' sums.

mod cpu;
mod gpu;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::ops::{Kind, Op, Spec, accumulated};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// What all attention kernels need to know beside the shapes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scores {
    /// Keys after the query's position are hidden.
    pub causal: bool,
    pub scale: f64,
}

/// `softmax(q k^T * scale + mask) v` for `q` `[B, H, L, D]`, `k` `[B, G, S, D]`, `v` `[B, G, S, E]`, where `G` divides `H`,
/// and a mask `[B, H, L, S]` as an optional fourth input.
///
/// The result is flat: `[B, H, L, E]`, then the logarithm of each row's sum `[B, H, L]` (0 where there is nothing to sum).
#[derive(Debug)]
pub(crate) struct Attention(pub Scores);

/// The gradient of the queries, from `q, k, v, dy, logsum, delta` and perhaps the mask, where `delta` `[B, H, L]` is the
/// row sum of `dy * y`.
#[derive(Debug)]
pub(crate) struct AttentionQueryGrad(pub Scores);

/// The gradients of keys and values, from the same inputs. Flat: `[B, G, S, D]`, then `[B, G, S, E]`.
#[derive(Debug)]
pub(crate) struct AttentionKeyGrad(pub Scores);

/// All inputs of the gradients but `logsum` and `delta`.
const STRIDED: u32 = !0b11_0000;

impl Scores {
    fn key(&self, key: &mut Vec<u64>) {
        key.extend([self.causal as u64, self.scale.to_bits()]);
    }
}

/// Sizes: batch, query heads, key heads, queries, keys, features of keys, of values.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    b: usize,
    h: usize,
    g: usize,
    l: usize,
    s: usize,
    d: usize,
    e: usize,
}

impl Sizes {
    fn new(q: &[usize], k: &[usize], v: &[usize]) -> Option<Sizes> {
        let (&[b, h, l, d], &[kb, g, s, kd], &[vb, vg, vs, e]) = (q, k, v) else { return None };
        let fits = kb == b && vb == b && vg == g && vs == s && kd == d && g > 0 && h % g == 0;
        fits.then_some(Sizes { b, h, g, l, s, d, e })
    }
}

fn sizes(op: &'static str, x: &[Spec], inputs: usize) -> Result<(Sizes, DType)> {
    let sizes = match x {
        [q, k, v, ..] if x.len() == inputs || x.len() == inputs + 1 => {
            Sizes::new(&q.shape, &k.shape, &v.shape).map(|s| (s, accumulated(q.dtype)))
        }
        _ => None,
    };
    sizes.ok_or_else(|| Error::argument(op, "the operands' shapes do not fit"))
}

impl Op for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn infer(&self, x: &[Spec]) -> Result<Spec> {
        let (z, dtype) = sizes(self.name(), x, 3)?;
        Ok(Spec::new(dtype, &[z.b * z.h * z.l * (z.e + 1)]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.0.key(key);
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Op for AttentionQueryGrad {
    fn name(&self) -> &'static str {
        "attention_query_grad"
    }

    fn infer(&self, x: &[Spec]) -> Result<Spec> {
        let (z, dtype) = sizes(self.name(), x, 6)?;
        Ok(Spec::new(dtype, &[z.b, z.h, z.l, z.d]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.0.key(key);
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Op for AttentionKeyGrad {
    fn name(&self) -> &'static str {
        "attention_key_grad"
    }

    fn infer(&self, x: &[Spec]) -> Result<Spec> {
        let (z, dtype) = sizes(self.name(), x, 6)?;
        Ok(Spec::new(dtype, &[z.b * z.g * z.s * (z.d + z.e)]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        self.0.key(key);
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Compute for Attention {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => cpu::forward::<f64>(&self.0, inputs, out),
            _ => cpu::forward::<f32>(&self.0, inputs, out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], _: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        gpu::forward(&self.0, inputs, adapter)
    }

    fn strided(&self) -> u32 {
        u32::MAX
    }
}

impl Compute for AttentionQueryGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => cpu::query_grad::<f64>(&self.0, inputs, out),
            _ => cpu::query_grad::<f32>(&self.0, inputs, out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], _: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        gpu::query_grad(&self.0, inputs, adapter)
    }

    fn strided(&self) -> u32 {
        STRIDED
    }
}

impl Compute for AttentionKeyGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => cpu::key_grad::<f64>(&self.0, inputs, out),
            _ => cpu::key_grad::<f32>(&self.0, inputs, out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], _: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        gpu::key_grad(&self.0, inputs, adapter)
    }

    fn strided(&self) -> u32 {
        STRIDED
    }
}
