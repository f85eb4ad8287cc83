//! The backward pass: gradient nodes in descending order of creation, which is a topological order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::{Edge, GradMode, GradNode, HookHandle};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Accumulates the gradients of `outputs` into the `.grad` of every leaf they depend on.
///
/// `grads[i]` is the gradient of `outputs[i]`; `None` means one, for outputs of one element. The graph is let go unless
/// `retain_graph`; with `create_graph` the gradients can be differentiated again (and the graph is retained).
///
/// # Errors
/// An output that does not require a gradient, or has more than one element and no gradient given; a graph that was
/// let go already; whatever an operator's gradient reports.
pub fn backward(outputs: &[&Tensor], grads: &[Option<&Tensor>], retain_graph: bool, create_graph: bool) -> Result<()> {
    run(outputs, grads, None, retain_graph, create_graph).map(drop)
}

/// The gradients of `outputs` with respect to `inputs`, as `torch.autograd.grad`; `.grad` stays as it is.
/// `None` for an input the outputs do not depend on.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let x = Tensor::new([3.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// let y = x.mul(&x)?.mul(&x)?;
/// let dy = taper::autograd::grad(&[&y], &[&x], &[None], true, true)?[0].clone().unwrap();
/// let ddy = taper::autograd::grad(&[&dy], &[&x], &[None], false, false)?[0].clone().unwrap();
/// assert_eq!((dy.item::<f32>()?, ddy.item::<f32>()?), (27.0, 18.0));
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`backward`]; an input that does not require a gradient.
pub fn grad(
    outputs: &[&Tensor],
    inputs: &[&Tensor],
    grads: &[Option<&Tensor>],
    retain_graph: bool,
    create_graph: bool,
) -> Result<Vec<Option<Tensor>>> {
    run(outputs, grads, Some(inputs), retain_graph, create_graph)
}

/// The arguments of `torch.autograd.grad`, for [`grad_with`].
#[derive(Debug, Clone, Default)]
pub struct GradOptions<'a> {
    /// The gradient of each output; none, or `None` for one of them, means one.
    pub grad_outputs: Vec<Option<&'a Tensor>>,
    pub retain_graph: bool,
    /// The gradients can be differentiated again, and the graph is retained.
    pub create_graph: bool,
    /// An input that the outputs do not depend on has no gradient, which is an error otherwise.
    pub allow_unused: bool,
    /// An input that the outputs do not depend on has a gradient of zeros. Implies `allow_unused`.
    pub materialize_grads: bool,
}

/// [`grad`] with PyTorch's choice of what becomes of unused inputs, which it reports unless told otherwise.
///
/// ```
/// # use taper::prelude::*; use taper::autograd::{GradOptions, grad_with}; fn main() -> taper::Result<()> {
/// let (x, unused) = (Tensor::ones([2], &Device::cpu())?, Tensor::ones([3], &Device::cpu())?);
/// x.requires_grad_(true)?;
/// unused.requires_grad_(true)?;
/// let y = x.square()?.sum_all()?;
/// let options = GradOptions { retain_graph: true, ..GradOptions::default() };
/// assert!(grad_with(&[&y], &[&x, &unused], &options).is_err());
/// let grads = grad_with(&[&y], &[&x, &unused], &GradOptions { allow_unused: true, ..options })?;
/// assert!(grads[0].is_some() && grads[1].is_none());
/// # Ok(()) }
/// ```
///
/// # Errors
/// As [`grad`]; an unused input, unless it is allowed or materialized.
pub fn grad_with(outputs: &[&Tensor], inputs: &[&Tensor], options: &GradOptions<'_>) -> Result<Vec<Option<Tensor>>> {
    let mut found = run(outputs, &options.grad_outputs, Some(inputs), options.retain_graph, options.create_graph)?;
    for (i, (grad, input)) in found.iter_mut().zip(inputs).enumerate().filter(|(_, (grad, _))| grad.is_none()) {
        if options.materialize_grads {
            *grad = Some(input.detach()?.zeros_like()?);
        } else if !options.allow_unused {
            let why = format!("the outputs do not depend on input {i} of shape {:?}; set allow_unused if that is right", input.shape());
            return Err(Error::autograd("grad", why));
        }
    }
    Ok(found)
}

const OP: &str = "backward";

fn run(
    outputs: &[&Tensor],
    grads: &[Option<&Tensor>],
    wanted: Option<&[&Tensor]>,
    retain: bool,
    create: bool,
) -> Result<Vec<Option<Tensor>>> {
    let _mode = GradMode::set(create);
    // Gradients are computed in the precision of what they are gradients of.
    let _precision = crate::amp::suspend();
    let mut pass = Pass { wanted: wanted.map(Targets::new).transpose()?, ..Pass::default() };
    if !grads.is_empty() && grads.len() != outputs.len() {
        return Err(Error::autograd(OP, format!("{} gradients for {} outputs", grads.len(), outputs.len())));
    }
    let edges: Vec<Edge> = outputs.iter().map(|t| t.edge()).collect();
    if let Some(targets) = &mut pass.wanted {
        targets.mark_paths(&edges);
    }
    for (i, (output, edge)) in outputs.iter().zip(edges).enumerate() {
        output.value()?;
        if !edge.is_some() {
            return Err(Error::autograd(
                OP,
                format!("the output of shape {:?} does not require a gradient and was not made from anything that does", output.shape()),
            ));
        }
        let seed = match grads.get(i).copied().flatten() {
            Some(g) if g.shape() != output.shape() => {
                return Err(Error::autograd(
                    OP,
                    format!("a gradient of shape {:?} for an output of shape {:?}", g.shape(), output.shape()),
                ));
            }
            Some(g) => g.to_dtype(output.dtype())?,
            None if output.numel() == 1 => output.ones_like()?,
            None => {
                let why =
                    format!("only outputs of one element have an implicit gradient, this one has shape {:?}; give one", output.shape());
                return Err(Error::autograd(OP, why));
            }
        };
        pass.deliver(&edge, seed)?;
    }
    while let Some((_, (end, dy))) = pass.queue.pop_last() {
        let node = match end {
            End::Node(node) => node,
            End::Leaf(leaf) => {
                pass.arrive(&leaf, dy)?;
                continue;
            }
        };
        let dy = node.hooks.run(dy)?;
        if let Some(targets) = &mut pass.wanted {
            targets.capture(key_of(&node), &dy)?;
        }
        let needs: Vec<bool> = node.inputs.iter().map(|e| pass.leads_somewhere(e)).collect();
        if !needs.contains(&true) {
            continue;
        }
        let taken = if retain || create { node.rule.lock().clone() } else { node.rule.lock().take() };
        let rule = taken.ok_or_else(|| {
            let why =
                format!("{} was differentiated before and its saved values were let go; the first pass needs retain_graph", node.name);
            Error::autograd(OP, why).carried(node.at)
        })?;
        let grads = rule.backward(&node, &dy, &needs)?;
        super::anomaly::check(&node, grads.iter().map(Option::as_ref))?;
        for ((edge, grad), needed) in node.inputs.iter().zip(grads).zip(&needs) {
            if let (Some(grad), true) = (grad, needed) {
                pass.deliver(edge, grad)?;
            }
        }
    }
    Ok(pass.wanted.map(|t| t.found).unwrap_or_default())
}

#[derive(Default)]
struct Pass {
    /// Nodes and leaves whose gradient has arrived, by id: the last one has no consumer left that could add to it.
    queue: BTreeMap<u64, (End, Tensor)>,
    wanted: Option<Targets>,
}

/// Where a gradient waits for further parts of it.
enum End {
    Node(Arc<GradNode>),
    Leaf(Tensor),
}

/// What identifies an edge's end: a leaf's slot or a gradient node.
type Key = usize;

fn key_of(node: &Arc<GradNode>) -> Key {
    Arc::as_ptr(node) as usize
}

fn key(edge: &Edge) -> Option<Key> {
    match edge {
        Edge::None => None,
        Edge::Leaf(t) => Some(Arc::as_ptr(&t.0) as *const () as usize),
        Edge::Node(n) => Some(key_of(n)),
    }
}

impl Pass {
    fn leads_somewhere(&self, edge: &Edge) -> bool {
        match &self.wanted {
            None => edge.is_some(),
            Some(t) => key(edge).is_some_and(|k| t.on_path.contains(&k)),
        }
    }

    fn deliver(&mut self, edge: &Edge, grad: Tensor) -> Result<()> {
        let (id, end) = match edge {
            Edge::None => return Ok(()),
            Edge::Leaf(leaf) => (leaf.0.id, End::Leaf(leaf.clone())),
            Edge::Node(node) => (node.id, End::Node(node.clone())),
        };
        let sum = match self.queue.remove(&id) {
            Some((_, before)) => before.add(&grad)?,
            None => grad,
        };
        self.queue.insert(id, (end, sum));
        Ok(())
    }

    /// The whole gradient of a leaf.
    fn arrive(&mut self, leaf: &Tensor, grad: Tensor) -> Result<()> {
        let grad = leaf.0.hooks.run(grad)?;
        match &mut self.wanted {
            Some(targets) => targets.capture(Arc::as_ptr(&leaf.0) as *const () as usize, &grad),
            None => leaf.accumulate_grad(&grad),
        }
    }
}

/// The inputs of [`grad`], and the gradient nodes that lie between them and the outputs.
struct Targets {
    slots: HashMap<Key, Vec<usize>>,
    on_path: HashSet<Key>,
    found: Vec<Option<Tensor>>,
}

impl Targets {
    fn new(inputs: &[&Tensor]) -> Result<Targets> {
        let mut slots: HashMap<Key, Vec<usize>> = HashMap::new();
        for (i, t) in inputs.iter().enumerate() {
            let edge = t.edge();
            let key = key(&edge)
                .ok_or_else(|| Error::autograd("grad", format!("input {i} of shape {:?} does not require a gradient", t.shape())))?;
            slots.entry(key).or_default().push(i);
        }
        Ok(Targets { on_path: slots.keys().copied().collect(), found: vec![None; inputs.len()], slots })
    }

    fn mark_paths(&mut self, outputs: &[Edge]) {
        let mut nodes: BTreeMap<u64, Arc<GradNode>> = BTreeMap::new();
        let mut stack: Vec<&Edge> = outputs.iter().collect();
        let mut arena: Vec<Arc<GradNode>> = Vec::new();
        // Two phases, because edges borrow from their nodes: gather nodes, then walk them in ascending order.
        loop {
            while let Some(edge) = stack.pop() {
                if let Edge::Node(n) = edge
                    && nodes.insert(n.id, n.clone()).is_none()
                {
                    arena.push(n.clone());
                }
            }
            let Some(next) = arena.pop() else { break };
            for edge in &next.inputs {
                if let Edge::Node(n) = edge
                    && nodes.insert(n.id, n.clone()).is_none()
                {
                    arena.push(n.clone());
                }
            }
        }
        for node in nodes.values() {
            if node.inputs.iter().filter_map(key).any(|k| self.on_path.contains(&k)) {
                self.on_path.insert(key_of(node));
            }
        }
    }

    fn capture(&mut self, key: Key, grad: &Tensor) -> Result<()> {
        for &i in self.slots.get(&key).into_iter().flatten() {
            self.found[i] = Some(match self.found[i].take() {
                Some(before) => before.add(grad)?,
                None => grad.clone(),
            });
        }
        Ok(())
    }
}

impl Tensor {
    /// Differentiates this tensor of one element with respect to every leaf it depends on, as `torch.Tensor.backward()`.
    /// Gradients accumulate in [`grad`](Tensor::grad); the graph is let go.
    ///
    /// # Errors
    /// See [`backward`].
    pub fn backward(&self) -> Result<()> {
        backward(&[self], &[None], false, false)
    }

    /// [`backward`](Self::backward) with the gradient of this tensor given, and the choice to keep the graph.
    ///
    /// # Errors
    /// See [`backward`].
    pub fn backward_with(&self, grad: Option<&Tensor>, retain_graph: bool, create_graph: bool) -> Result<()> {
        backward(&[self], &[grad], retain_graph, create_graph)
    }

    /// Adds to `.grad`, in place as PyTorch does: handles to the old gradient see the sum.
    fn accumulate_grad(&self, grad: &Tensor) -> Result<()> {
        let mut slot = self.grad_slot().lock();
        match &*slot {
            Some(before) => before.replace(&before.add(grad)?),
            None => {
                // A slot of its own: two leaves may receive the same tensor.
                let edge = if super::is_enabled() { grad.edge() } else { Edge::None };
                *slot = Some(Tensor::from_value(grad.value()?, edge));
                Ok(())
            }
        }
    }

    /// Calls `hook` with this tensor's gradient whenever one is computed; it may return another in its place.
    ///
    /// # Errors
    /// The tensor does not require a gradient.
    pub fn register_hook(&self, hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static) -> Result<HookHandle> {
        match self.edge() {
            Edge::None => Err(Error::autograd("register_hook", "the tensor does not require a gradient")),
            Edge::Leaf(leaf) => Ok(leaf.0.hooks.add(Arc::new(hook))),
            Edge::Node(node) => Ok(node.hooks.add(Arc::new(hook))),
        }
    }

    /// Keeps the gradient of this tensor in its `.grad` although it is not a leaf.
    ///
    /// # Errors
    /// The tensor does not require a gradient.
    pub fn retain_grad(&self) -> Result<()> {
        if self.is_leaf_requiring_grad() {
            return Ok(());
        }
        let slot = Arc::downgrade(&self.0);
        self.register_hook(move |g| {
            if let Some(slot) = slot.upgrade() {
                Tensor(slot).accumulate_grad(g)?;
            }
            Ok(None)
        })?;
        Ok(())
    }
}
