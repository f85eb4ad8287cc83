//! Running a model with other parameters than its own.

use super::module::{Module, StateDict};
use crate::error::{Error, Result};
use crate::tensor::{Borrowed, Tensor};

/// Runs `f` while parameters and buffers of `module` are those of `state`, and gives them back, whatever `f` does. As
/// `torch.func.functional_call`: gradients flow into the tensors of `state`, so that a step can be differentiated (MAML) and a
/// model can be a function of its parameters.
///
/// What `state` does not mention stays. Shared parameters are replaced together. While `f` runs, other threads that use the module
/// see the replaced values too.
///
/// ```
/// use taper::nn::{Linear, Module, functional_call};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let model = Linear::new(2, 1, &device)?;
/// let mut fast = model.state_dict();
/// let weight = Tensor::new([[1.0, 2.0]], &device)?;
/// weight.requires_grad_(true)?;
/// fast.insert("weight".into(), weight.mul(2.0)?);
/// let y = functional_call(&model, &fast, || model.forward(&Tensor::new([3.0, 4.0], &device)?))?;
/// y.sum_all()?.backward()?;
/// assert_eq!(weight.grad().unwrap().to_vec::<f32>()?, [6.0, 8.0]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// A name the module does not have; another shape, type or device; what `f` reports.
pub fn functional_call<T>(module: &(impl Module + ?Sized), state: &StateDict, f: impl FnOnce() -> Result<T>) -> Result<T> {
    const OP: &str = "functional_call";
    let slots = super::module::tensors(module);
    let mut wrong: Vec<String> = Vec::new();
    for (name, value) in state {
        let what = |t: &Tensor| format!("{:?} {} on {}", t.shape(), t.dtype(), t.device());
        match slots.iter().find(|(n, _)| n == name) {
            None => wrong.push(format!("there is no {name}")),
            Some((_, own)) if what(own) != what(value) => wrong.push(format!("{name} is {}, the value {}", what(own), what(value))),
            Some(_) => {}
        }
    }
    if !wrong.is_empty() {
        return Err(Error::argument(OP, wrong.join("; ")));
    }
    let mut borrowed: Vec<Borrowed> = Vec::new();
    for (name, own) in &slots {
        if let Some(value) = state.get(name)
            && !value.ptr_eq(own)
            && !borrowed.iter().any(|b| b.is_of(own))
        {
            borrowed.push(own.lend(value)?);
        }
    }
    f()
}
