//! What changes gradients between the backward pass and the step.

use super::rows;
use crate::optim::{clip_grad_norm_, clip_grad_value_};
use crate::tensor::Tensor;

/// Parameters with these gradients.
fn with_gradients(grads: &[Tensor]) -> crate::Result<Vec<Tensor>> {
    let param = |g: &Tensor| {
        let p = g.zeros_like()?;
        p.set_grad(Some(&g.detach()?.add(0.0)?))?;
        Ok(p)
    };
    grads.iter().map(param).collect()
}

fn gradients(params: &[Tensor]) -> Vec<super::Value> {
    params.iter().filter_map(Tensor::grad).map(super::Value::from).collect()
}

rows! {
    "clip_grad_norm_"(grads: Vec<Tensor>, max_norm: f64, norm_type: f64 = 2.0, error_if_nonfinite: bool = false) {
        let params = with_gradients(&grads)?;
        let norm = clip_grad_norm_(&params, max_norm, norm_type, error_if_nonfinite)?;
        Ok(super::Value::List(vec![norm.into(), super::Value::List(gradients(&params))]))
    };
    "clip_grad_value_"(grads: Vec<Tensor>, clip_value: f64) {
        let params = with_gradients(&grads)?;
        clip_grad_value_(&params, clip_value)?;
        Ok(super::Value::List(gradients(&params)))
    };
}
