//! Finding where a gradient stopped being a number.

use std::cell::Cell;

use super::GradNode;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Runs `f` with every gradient checked as it is computed: the first that is not a number is an error that names the operator
/// and the line of the forward pass that called it. As `torch.autograd.detect_anomaly`. Reads back at every step, so it is slow.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let x = Tensor::new([0.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// let error = taper::autograd::detect_anomaly(|| x.sqrt()?.mul(0.0)?.sum_all()?.backward()).unwrap_err();
/// assert!(error.to_string().contains("sqrt"));
/// # Ok(()) }
/// ```
///
/// # Errors
/// What `f` reports.
pub fn detect_anomaly<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _back = Back(ON.replace(true));
    f()
}

/// Checks the gradients that passed `node`.
pub(super) fn check<'a>(node: &GradNode, grads: impl Iterator<Item = Option<&'a Tensor>>) -> Result<()> {
    if !ON.get() {
        return Ok(());
    }
    for (i, grad) in grads.enumerate() {
        let Some(grad) = grad else { continue };
        if grad.isnan()?.reshape([-1])?.any(0)?.item::<bool>()? {
            let why = format!("the gradient of input {i} of {} is not a number", node.name);
            return Err(Error::autograd("detect_anomaly", why).carried(node.at));
        }
    }
    Ok(())
}
