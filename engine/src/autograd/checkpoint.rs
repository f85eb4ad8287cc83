//! Activation checkpointing: values are computed again instead of being kept.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Edge, Kept, enable_grad, grad, is_enabled, record_with};
use crate::error::{Error, Result};
use crate::graph::node::next_id;
use crate::tensor::{Tensor, recorded, replayed};

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
    let (out, inside) = block(f, inputs)?;
    inside.forget();
    Ok(out)
}

/// Runs `stages` one after the other and keeps of what is computed inside, for the backward pass, what fits in `budget` bytes: of the
/// last stages, which the backward pass comes to first. The others are checkpointed, so that with a budget of 0 all of them are.
///
/// What counts is the values that gradients keep; those between the stages are kept in any case.
///
/// ```
/// # use taper::prelude::*; use std::sync::Arc; use taper::nn::Linear; fn main() -> taper::Result<()> {
/// let device = Device::cpu();
/// let layers = (0..4).map(|_| Linear::new(8, 8, &device).map(Arc::new)).collect::<taper::Result<Vec<_>>>()?;
/// let stages = layers.iter().cloned().map(|layer| move |x: &Tensor| layer.forward(x)?.tanh());
/// let x = Tensor::ones([2, 8], &device)?;
/// // Room for what two of the layers keep.
/// taper::autograd::checkpoint_within(2 * 64, stages, &x)?.sum_all()?.backward()?;
/// assert!(layers[0].weight.grad().is_some());
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`checkpoint`].
#[track_caller]
pub fn checkpoint_within<F>(budget: usize, stages: impl IntoIterator<Item = F>, x: &Tensor) -> Result<Tensor>
where
    F: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    let (mut x, mut kept, mut total) = (x.clone(), VecDeque::new(), 0);
    for stage in stages {
        if !is_enabled() {
            x = stage(&x)?;
            continue;
        }
        let (made, bytes) = super::saved::counted(|| block(move |x| stage(&x[0]), &[&x]));
        let (out, inside) = made?;
        x = out;
        kept.push_back((inside, bytes));
        total += bytes;
        while total > budget
            && let Some((inside, bytes)) = kept.pop_front()
        {
            inside.forget();
            total -= bytes;
        }
    }
    Ok(x)
}

/// The graph inside a block, from leaves of its own to its result: as long as it is there, nothing is computed again.
#[derive(Clone)]
struct Inside(Arc<Mutex<Option<(Vec<Tensor>, Tensor)>>>);

impl Inside {
    fn forget(&self) {
        let graph = self.0.lock().take();
        drop(graph);
    }
}

/// The result of `f(inputs)`, whose gradient leads through the graph inside, or where that was forgotten through one like it.
#[track_caller]
fn block(f: impl Fn(&[Tensor]) -> Result<Tensor> + Send + Sync + 'static, inputs: &[&Tensor]) -> Result<(Tensor, Inside)> {
    let (start, own) = (next_id(), separate(inputs)?);
    let (y, drawn) = recorded(|| f(&own));
    let y = y?;
    // Whatever else the result depends on: parameters, also those behind what was computed before.
    let (captured, reaches_out) = leaves(&y, start, &own);
    // A tensor of its own: a view would keep the graph alive.
    let out = Tensor::from_value(y.value()?, Edge::None);
    let inside = Inside(Arc::new(Mutex::new(Some((own, y)))));
    let graph = inside.clone();
    let mut all: Vec<&Tensor> = inputs.to_vec();
    all.extend(&captured);
    let kept: Vec<Kept> = inputs.iter().map(|t| Kept::new(t)).collect::<Result<_>>()?;
    let (others, precision) = (captured.clone(), crate::amp::autocast_dtype());
    record_with(&out, "checkpoint", &all, move |dy, needs| {
        let create = is_enabled();
        if create && reaches_out {
            let why = "cannot be derived twice where its function captures a tensor that was computed outside: pass it as an input";
            return Err(Error::unsupported("checkpoint", why));
        }
        // A graph that leads to leaves of its own cannot be derived twice.
        let there = if create { None } else { graph.0.lock().take() };
        let again = || -> Result<(Vec<Tensor>, Tensor)> {
            enable_grad(|| {
                let _precision = crate::amp::Autocast::new(precision)?;
                let kept = kept.iter().map(Kept::get).collect::<Result<Vec<_>>>()?;
                let own = if create { kept } else { separate(&kept.iter().collect::<Vec<_>>())? };
                let y = replayed(&drawn, || f(&own))?;
                Ok((own, y))
            })
        };
        let (own, y) = there.map_or_else(again, Ok)?;
        let candidates: Vec<&Tensor> = own.iter().chain(&others).collect();
        let wanted: Vec<usize> = (0..candidates.len()).filter(|&i| needs.get(i) == Some(&true) && candidates[i].requires_grad()).collect();
        let targets: Vec<&Tensor> = wanted.iter().map(|&i| candidates[i]).collect();
        let found = grad(&[&y], &targets, &[Some(dy)], true, create)?;
        let mut grads = smallvec::SmallVec::from_elem(None, candidates.len());
        wanted.into_iter().zip(found).for_each(|(i, g)| grads[i] = g);
        Ok(grads)
    });
    Ok((out, inside))
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
