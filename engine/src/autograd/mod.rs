//! Reverse-mode differentiation.
//!
//! The gradient graph is separate from the graph of pending work: a [`GradNode`] remembers an operator
//! and what its gradient needs, and edges lead from a tensor to the node that made it, or to the leaf
//! itself. Gradients are tensor code, so they are planned, fused and differentiated like anything else.

mod anomaly;
mod backward;
mod checkpoint;
mod function;
mod functional;
mod gradcheck;
mod hooks;
mod modes;
mod saved;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::panic::Location;
use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

pub use anomaly::detect_anomaly;
pub use backward::{GradOptions, backward, grad, grad_with};
pub use checkpoint::{checkpoint, checkpoint_within};
pub use function::{Function, FunctionCtx};
pub use functional::{hessian, hvp, jacobian, jvp, per_sample_grads, vjp};
pub use gradcheck::{GradCheck, gradcheck, gradgradcheck};
pub use hooks::{HookHandle, Hooks};
pub use modes::{GradMode, enable_grad, is_enabled, no_grad, scoped};
pub(crate) use saved::Kept;
use saved::Saved;
pub use saved::{save_on_cpu, saved_tensors_hooks};

use crate::error::{Error, Result};
use crate::graph::node::next_id;
use crate::ops::{Grads, OpRef, Spec};
use crate::tensor::Tensor;

/// Where a gradient flows on.
#[derive(Clone, Debug, Default)]
pub(crate) enum Edge {
    /// Nowhere: the tensor does not require a gradient.
    #[default]
    None,
    /// Into `.grad` of a leaf.
    Leaf(Tensor),
    /// Through the operator that made the tensor.
    Node(Arc<GradNode>),
}

impl Edge {
    pub fn is_some(&self) -> bool {
        !matches!(self, Edge::None)
    }
}

/// One differentiable step that was taken.
pub(crate) struct GradNode {
    /// Grows in order of creation: a consumer's id is larger than its inputs'.
    pub id: u64,
    pub name: &'static str,
    pub inputs: SmallVec<[Edge; 3]>,
    /// Taken by the backward pass unless the graph is retained.
    pub rule: Mutex<Option<Arc<dyn Rule>>>,
    pub hooks: Hooks,
    pub at: &'static Location<'static>,
}

/// How a gradient passes one step.
pub(crate) trait Rule: Send + Sync {
    /// `needs[i]`: input `i` wants its gradient.
    fn backward(&self, node: &Arc<GradNode>, dy: &Tensor, needs: &[bool]) -> Result<Grads>;
}

/// What an operator's `backward` sees: what it saved, and which gradients are wanted.
pub struct Ctx<'a> {
    inputs: SmallVec<[Option<Tensor>; 3]>,
    output: Option<Tensor>,
    specs: &'a [Spec],
    needs: &'a [bool],
    name: &'static str,
}

impl Ctx<'_> {
    /// Input `i`, which the operator declared that it saves.
    pub fn input(&self, i: usize) -> Result<&Tensor> {
        let saved = self.inputs.get(i).and_then(Option::as_ref);
        saved.ok_or_else(|| Error::autograd(self.name, format!("input {i} was not saved for the gradient")))
    }

    /// The result, which the operator declared that it saves.
    pub fn output(&self) -> Result<&Tensor> {
        self.output.as_ref().ok_or_else(|| Error::autograd(self.name, "the result was not saved for the gradient"))
    }

    /// Shape and type of input `i`, saved or not.
    pub fn spec(&self, i: usize) -> &Spec {
        &self.specs[i]
    }

    /// Whether anybody wants the gradient of input `i`.
    pub fn needs(&self, i: usize) -> bool {
        self.needs.get(i).copied().unwrap_or(false)
    }
}

/// The rule of a primitive operator.
struct OpRule {
    op: OpRef,
    inputs: SmallVec<[Option<(Saved, Edge)>; 3]>,
    /// Without its edge, which would be a cycle; it is rebuilt from the node when the gradient is taken.
    output: Option<Saved>,
    specs: SmallVec<[Spec; 3]>,
}

impl Rule for OpRule {
    fn backward(&self, node: &Arc<GradNode>, dy: &Tensor, needs: &[bool]) -> Result<Grads> {
        let inputs = self.inputs.iter().map(|s| s.as_ref().map(|(v, e)| v.tensor(e.clone())).transpose()).collect::<Result<_>>()?;
        let output = self.output.as_ref().map(|v| v.tensor(Edge::Node(node.clone()))).transpose()?;
        let ctx = Ctx { inputs, output, specs: &self.specs, needs, name: self.op.name() };
        self.op.backward(&ctx, dy)
    }
}

/// Gives `out` its gradient edge when an input requires one.
#[track_caller]
pub(crate) fn record(out: &Tensor, op: OpRef, inputs: &[&Tensor]) -> Result<()> {
    let Some(edges) = wanted_edges(out, inputs) else { return Ok(()) };
    let saves = op.saves();
    let saved = inputs
        .iter()
        .zip(&edges)
        .enumerate()
        .map(|(i, (t, e))| if saves.inputs >> i & 1 == 1 { Ok(Some((Saved::new(t.value()?)?, e.clone()))) } else { Ok(None) })
        .collect::<Result<_>>()?;
    let output = if saves.output { Some(Saved::new(out.value()?)?) } else { None };
    let specs = inputs.iter().map(|t| t.spec().clone()).collect();
    let name = op.name();
    attach(out, name, edges, Arc::new(OpRule { op, inputs: saved, output, specs }));
    Ok(())
}

/// Gives `out` a gradient written by hand: `rule(dy, needs)` returns the gradients of `inputs`. For composites whose
/// derivative is simpler than their parts', and for views. What the closure captures is what is saved; it must not
/// capture `out` itself, whose edge would make a cycle.
#[track_caller]
pub(crate) fn record_with<F>(out: &Tensor, name: &'static str, inputs: &[&Tensor], rule: F)
where
    F: Fn(&Tensor, &[bool]) -> Result<Grads> + Send + Sync + 'static,
{
    struct Closure<F>(F);
    impl<F: Fn(&Tensor, &[bool]) -> Result<Grads> + Send + Sync> Rule for Closure<F> {
        fn backward(&self, _: &Arc<GradNode>, dy: &Tensor, needs: &[bool]) -> Result<Grads> {
            (self.0)(dy, needs)
        }
    }
    if let Some(edges) = wanted_edges(out, inputs) {
        attach(out, name, edges, Arc::new(Closure(rule)));
    }
}

/// [`record_with`] for a gradient that follows from the result: `rule(y, dy, needs)`, where `y` can be differentiated in turn.
#[track_caller]
pub(crate) fn record_with_output<F>(out: &Tensor, name: &'static str, inputs: &[&Tensor], rule: F) -> Result<()>
where
    F: Fn(&Tensor, &Tensor, &[bool]) -> Result<Grads> + Send + Sync + 'static,
{
    struct OfOutput<F>(F, Saved);
    impl<F: Fn(&Tensor, &Tensor, &[bool]) -> Result<Grads> + Send + Sync> Rule for OfOutput<F> {
        fn backward(&self, node: &Arc<GradNode>, dy: &Tensor, needs: &[bool]) -> Result<Grads> {
            (self.0)(&self.1.tensor(Edge::Node(node.clone()))?, dy, needs)
        }
    }
    if let Some(edges) = wanted_edges(out, inputs) {
        attach(out, name, edges, Arc::new(OfOutput(rule, Saved::new(out.value()?)?)));
    }
    Ok(())
}

/// The gradients of `f(inputs)` as differentiable tensors: what a rule with saved values returns where its gradient is differentiated
/// in turn. `f` gets tensors that only it has seen, so that nothing the inputs have to do with each other counts twice.
pub(crate) fn derive_again(inputs: &[&Tensor], dy: &Tensor, f: impl FnOnce(&[Tensor]) -> Result<Tensor>) -> Result<Grads> {
    let fresh = |t: &&Tensor| -> Result<Tensor> {
        let own = Tensor::from_value(t.value()?, Edge::None);
        record_with(&own, "again", &[t], |dy, _| Ok(smallvec::smallvec![Some(dy.clone())]));
        Ok(own)
    };
    let fresh = inputs.iter().map(fresh).collect::<Result<Vec<_>>>()?;
    let out = f(&fresh)?;
    let wanted: Vec<&Tensor> = fresh.iter().filter(|t| t.edge().is_some()).collect();
    let mut found = grad(&[&out], &wanted, &[Some(dy)], true, true)?.into_iter();
    Ok(fresh.iter().map(|t| if t.edge().is_some() { found.next().flatten() } else { None }).collect())
}

fn wanted_edges(out: &Tensor, inputs: &[&Tensor]) -> Option<SmallVec<[Edge; 3]>> {
    if !is_enabled() || !out.dtype().is_float() {
        return None;
    }
    let edges: SmallVec<[Edge; 3]> = inputs.iter().map(|t| t.edge()).collect();
    edges.iter().any(Edge::is_some).then_some(edges)
}

#[track_caller]
fn attach(out: &Tensor, name: &'static str, inputs: SmallVec<[Edge; 3]>, rule: Arc<dyn Rule>) {
    let node = GradNode { id: next_id(), name, inputs, rule: Mutex::new(Some(rule)), hooks: Hooks::default(), at: Location::caller() };
    out.set_edge(Edge::Node(Arc::new(node)));
}

type Remains = (SmallVec<[Edge; 3]>, Option<Arc<dyn Rule>>);

thread_local! {
    /// What dropped gradient nodes leave behind, while one of them is being dropped on this thread.
    static REMAINS: RefCell<Option<Vec<Remains>>> = const { RefCell::new(None) };
}

impl Drop for GradNode {
    /// Edges and saved tensors lead to further nodes: they are dropped from a list, not by recursion, so that
    /// a chain of a million steps is fine.
    fn drop(&mut self) {
        let remains = (std::mem::take(&mut self.inputs), self.rule.get_mut().take());
        let first = REMAINS.try_with(|list| match &mut *list.borrow_mut() {
            Some(list) => {
                list.push(remains);
                false
            }
            none => {
                *none = Some(vec![remains]);
                true
            }
        });
        if first != Ok(true) {
            return;
        }
        while let Some(next) = REMAINS.with(|list| list.borrow_mut().as_mut().and_then(Vec::pop)) {
            drop(next);
        }
        REMAINS.with(|list| *list.borrow_mut() = None);
    }
}

impl std::fmt::Debug for GradNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.name, self.id)
    }
}

impl std::fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ctx({})", self.name)
    }
}

/// Refuses an in-place operation that would change a value a gradient was promised for.
pub(crate) fn check_inplace(t: &Tensor, op: &'static str) -> Result<()> {
    t.check_inplace(op)
}
