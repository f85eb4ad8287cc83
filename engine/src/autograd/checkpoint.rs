//! Activation checkpointing: values are computed again instead of being kept.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Edge, enable_grad, grad, is_enabled, record_with};
use crate::error::{Error, Result};
use crate::graph::node::next_id;
use crate::tensor::{Tensor, rng_state, set_rng_state};

/// Computes `f(inputs)` and keeps none of the values inside for the backward pass, which computes them again: memory for time, as
/// `torch.utils.checkpoint`.
///
/// Random numbers (dropout) are the same when it runs again. Parameters and other tensors that `f` captures get their gradients as
/// well. `f` must compute the same each time; what it changes besides (running statistics) is changed twice.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let x = Tensor::new([0.5, -1.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// let y = taper::autograd::checkpoint(|x| x[0].sin()?.exp()?.sin(), &[&x])?;
/// y.sum_all()?.backward()?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// What `f` reports; in the backward pass, what it reports then.
#[track_caller]
pub fn checkpoint(f: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static, inputs: &[&Tensor]) -> Result<Tensor> {
    if !is_enabled() {
        return f(&inputs.iter().map(|t| (*t).clone()).collect::<Vec<_>>());
    }
    let random = rng_state();
    let (start, own) = (next_id(), separate(inputs)?);
    let y = f(&own)?;
    // Whatever else the result depends on: parameters, also those behind what was computed before.
    let (captured, reaches_out) = leaves(&y, start, &own);
    // A tensor of its own: a view would keep the graph alive.
    let out = Tensor::from_value(y.value()?, Edge::None);
    drop(y);
    let mut all: Vec<&Tensor> = inputs.to_vec();
    all.extend(&captured);
    let kept: Vec<Tensor> = inputs.iter().map(|t| t.snapshot()).collect::<Result<_>>()?;
    let (others, precision) = (captured.clone(), crate::amp::autocast_dtype());
    record_with(&out, "checkpoint", &all, move |dy, needs| {
        let create = is_enabled();
        if create && reaches_out {
            let why = "cannot be derived twice where its function captures a tensor that was computed outside: pass it as an input";
            return Err(Error::unsupported("checkpoint", why));
        }
        let now = rng_state();
        set_rng_state(random);
        let again: Result<(Vec<Tensor>, Tensor)> = enable_grad(|| {
            let _precision = crate::amp::Autocast::new(precision)?;
            let own = if create { kept.clone() } else { separate(&kept.iter().collect::<Vec<_>>())? };
            let y = f(&own)?;
            Ok((own, y))
        });
        set_rng_state(now);
        let (own, y) = again?;
        let candidates: Vec<&Tensor> = own.iter().chain(&others).collect();
        let wanted: Vec<usize> = (0..candidates.len()).filter(|&i| needs.get(i) == Some(&true) && candidates[i].requires_grad()).collect();
        let targets: Vec<&Tensor> = wanted.iter().map(|&i| candidates[i]).collect();
        let found = grad(&[&y], &targets, &[Some(dy)], true, create)?;
        let mut grads = smallvec::SmallVec::from_elem(None, candidates.len());
        wanted.into_iter().zip(found).for_each(|(i, g)| grads[i] = g);
        Ok(grads)
    });
    Ok(out)
}

/// Leaves with the same values, so that the graph inside is one of its own.
fn separate(inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    let leaf = |t: &&Tensor| {
        let leaf = Tensor::from_value(t.value()?, Edge::None);
        if t.requires_grad() {
            leaf.requires_grad_(true)?;
        }
        Ok(leaf)
    };
    inputs.iter().map(leaf).collect()
}

/// The leaves other than `own` that `y` depends on, and whether some of them only through what was recorded before `start`.
fn leaves(y: &Tensor, start: u64, own: &[Tensor]) -> (Vec<Tensor>, bool) {
    let (mut seen, mut out): (HashSet<usize>, Vec<Tensor>) = Default::default();
    let mut reaches_out = false;
    let mut stack = vec![y.edge()];
    while let Some(edge) = stack.pop() {
        match &edge {
            Edge::None => {}
            Edge::Leaf(leaf) => {
                if seen.insert(Arc::as_ptr(&leaf.0) as *const () as usize) && !own.iter().any(|o| o.ptr_eq(leaf)) {
                    out.push(leaf.clone());
                }
            }
            Edge::Node(node) if seen.insert(Arc::as_ptr(node) as usize) => {
                reaches_out |= node.id <= start;
                stack.extend(node.inputs.iter().cloned());
            }
            Edge::Node(_) => {}
        }
    }
    (out, reaches_out)
}
