//! Products, convolutions, pooling and attention against loops in `f64`.

mod attention;
mod conv;
mod matmul;
mod pool;
mod rounds;

use crate::device::Device;
use crate::error::Result;
use crate::tensor::Tensor;

/// Numbers between -1 and 1 that `f32` holds exactly, the same ones for the same seed.
pub fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 40) as f64 / (1u64 << 24) as f64 * 2.0 - 1.0) as f32 as f64
    };
    (0..n).map(step).collect()
}

pub fn tensor(values: &[f64], shape: &[usize], device: &Device) -> Result<Tensor> {
    Tensor::from_vec(values.iter().map(|&v| v as f32).collect::<Vec<_>>(), shape, device)
}

pub fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}
