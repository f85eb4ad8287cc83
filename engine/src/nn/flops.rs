//! How much arithmetic a forward pass is.

use std::cell::Cell;

use crate::error::Result;
use crate::tensor::Tensor;

thread_local! {
    static COUNT: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Runs `f` and counts its floating point operations: a product of `[m, k]` and `[k, n]` is `2 m k n`, every other operator one for
/// each element of its result. As PyTorch's `FlopCounterMode`, which counts products alone.
///
/// ```
/// use taper::nn::{Linear, flops};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let layer = Linear::no_bias(4, 8, &device)?;
/// let (_, count) = flops(|| layer.forward(&Tensor::ones([3, 4], &device)?))?;
/// assert_eq!(count, 2 * 3 * 4 * 8);
/// # Ok(()) }
/// ```
///
/// # Errors
/// What `f` reports.
pub fn flops<T>(f: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    struct Back(Option<u64>);
    impl Drop for Back {
        fn drop(&mut self) {
            COUNT.set(self.0);
        }
    }
    let mut back = Back(COUNT.replace(Some(0)));
    let out = f()?;
    let count = COUNT.get().unwrap_or(0);
    // A count around this one has it too.
    back.0 = back.0.map(|outer| outer + count);
    Ok((out, count))
}

/// Takes note of an operator that was applied.
pub(crate) fn note(op: &'static str, inputs: &[&Tensor], out: &Tensor) {
    let Some(before) = COUNT.get() else { return };
    if !out.dtype().is_float() || matches!(op, "to" | "transfer" | "contiguous" | "assign" | "uninit") {
        return;
    }
    let numel = out.numel() as u64;
    let last = |t: &Tensor| t.shape().last().map_or(1, |&n| n as u64);
    let cost = match (op, inputs) {
        ("matmul", [a, _]) => 2 * numel * last(a),
        ("conv" | "conv1d" | "conv2d" | "conv3d", [_, w, ..]) => {
            2 * numel * (w.numel() / w.shape().first().copied().unwrap_or(1).max(1)) as u64
        }
        ("attention", [q, k, ..]) => {
            let keys = k.rank().checked_sub(2).map_or(1, |d| k.shape()[d]) as u64;
            2 * keys * (q.numel() as u64 + numel)
        }
        ("sum" | "prod", [x, ..]) => x.numel() as u64,
        _ => numel,
    };
    COUNT.set(Some(before.saturating_add(cost)));
}
