//! Gradients written by users, as `torch.autograd.Function`.

use parking_lot::Mutex;

use super::{no_grad, record_with};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// An operation with a gradient of its own.
///
/// ```
/// use taper::autograd::{Function, FunctionCtx};
/// use taper::prelude::*;
///
/// #[derive(Clone)]
/// struct Double;
/// impl Function for Double {
///     fn forward(&self, ctx: &FunctionCtx, x: &[Tensor]) -> taper::Result<Tensor> {
///         ctx.save_for_backward(&[&x[0]]);
///         x[0].mul(2.0)
///     }
///     fn backward(&self, _ctx: &FunctionCtx, dy: &Tensor) -> taper::Result<Vec<Option<Tensor>>> {
///         Ok(vec![Some(dy.mul(2.0)?)])
///     }
/// }
///
/// # fn main() -> taper::Result<()> {
/// let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// Double.apply(&[&x])?.sum_all()?.backward()?;
/// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 2.0]);
/// # Ok(()) }
/// ```
pub trait Function: Clone + Send + Sync + 'static {
    /// Computes the result; runs without recording.
    fn forward(&self, ctx: &FunctionCtx, inputs: &[Tensor]) -> Result<Tensor>;

    /// One gradient per input; `None` where there is none.
    fn backward(&self, ctx: &FunctionCtx, dy: &Tensor) -> Result<Vec<Option<Tensor>>>;

    /// Runs [`forward`](Self::forward) and records [`backward`](Self::backward).
    #[track_caller]
    fn apply(&self, inputs: &[&Tensor]) -> Result<Tensor> {
        let ctx = FunctionCtx::default();
        let owned: Vec<Tensor> = inputs.iter().map(|t| (*t).clone()).collect();
        let out = no_grad(|| self.forward(&ctx, &owned))?.detach()?;
        let (function, count) = (self.clone(), inputs.len());
        record_with(&out, "Function", inputs, move |dy, _| {
            let grads = function.backward(&ctx, dy)?;
            if grads.len() != count {
                return Err(Error::autograd("Function", format!("backward returned {} gradients for {count} inputs", grads.len())));
            }
            Ok(grads.into_iter().collect())
        });
        Ok(out)
    }
}

/// What the forward pass leaves for the backward pass.
#[derive(Debug, Default)]
pub struct FunctionCtx {
    saved: Mutex<Vec<Tensor>>,
}

impl FunctionCtx {
    pub fn save_for_backward(&self, tensors: &[&Tensor]) {
        *self.saved.lock() = tensors.iter().map(|t| (*t).clone()).collect();
    }

    pub fn saved_tensors(&self) -> Vec<Tensor> {
        self.saved.lock().clone()
    }
}
