//! The handle people hold.

mod activation;
mod arrange;
mod combine;
mod complex;
mod convert;
mod create;
mod dims;
mod display;
mod distance;
mod fourier;
mod frequency;
mod index;
mod inplace;
mod instance;
mod join;
mod linalg;
mod math;
mod matrix;
mod normalize;
mod numeric;
mod operand;
mod operators;
mod part;
mod pick;
mod random;
mod reduce;
mod scan;
mod search;
mod sort;
mod spatial;
mod special;
mod statistics;
mod stft;
mod unary;
mod unique;
mod view;

use std::panic::Location;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::autograd::{self, Edge, Hooks};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::node::{Held, Input, Node, State, next_id};
use crate::ops::{Kind, Op, OpRef, Spec};
use crate::shape::{Layout, Shape, numel};

pub use arrange::Indexing;
pub use combine::ScatterReduce;
pub use complex::ComplexTensor;
pub use create::IntoTensorData;
pub use create::TensorOptions;
pub(crate) use create::reserve;
pub use dims::{Dims, Signed, Sizes};
pub use fourier::FftNorm;
pub use index::{IndexArg, IntoIndex, Slice};
pub use matrix::{LeastSquares, MatrixNorm};
pub use operand::Operand;
pub use random::{manual_seed, rng_state, set_rng_state};
pub(crate) use random::{recorded, replayed};
pub use sort::QuantileMode;
pub use spatial::{BagMode, EmbeddingBag, GridMode, GridPadding, Interpolation, InterpolationMode};
pub use statistics::Spacing;
pub use stft::{FrameWindow, Stft};
pub use unique::Unique;

/// An n-dimensional array on a device, possibly not computed yet, possibly part of an autograd graph.
///
/// A cheap handle: `clone()` shares the tensor, as an assignment does in Python. Operations return at
/// once; values are computed when somebody reads one (see the crate's documentation).
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<Slot>);

/// What a handle points to. In-place methods replace the value in it.
pub(crate) struct Slot {
    pub id: u64,
    /// Fixed at creation: shape, dtype and device of a slot never change.
    spec: Spec,
    device: Device,
    content: RwLock<Content>,
    grad: Mutex<Option<Tensor>>,
    pub hooks: Hooks,
    /// A view: its base, and its layout over the base's shape as if that were contiguous.
    view: Option<(Tensor, Layout)>,
    /// A view that passes no gradient to its base.
    detached: bool,
}

struct Content {
    value: Result<Value>,
    edge: Edge,
    requires_grad: bool,
    /// Changes whenever the value is replaced.
    version: u64,
    /// The base's version this view's value was taken from.
    base_version: u64,
}

/// A tensor's value: a node, read through a layout.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub node: Held,
    pub layout: Layout,
}

impl Value {
    pub fn whole(node: Held) -> Value {
        let layout = Layout::contiguous(&node.spec.shape);
        Value { node, layout }
    }
}

impl Tensor {
    // ---- construction -------------------------------------------------------------------------

    pub(crate) fn from_parts(value: Result<Value>, spec: Spec, device: Device, edge: Edge, view: Option<(Tensor, Layout)>) -> Tensor {
        let base_version = view.as_ref().map_or(0, |(b, _)| b.version());
        let content = Content { value, edge, requires_grad: false, version: 0, base_version };
        Tensor(Arc::new(Slot {
            id: next_id(),
            spec,
            device,
            content: RwLock::new(content),
            grad: Mutex::new(None),
            hooks: Hooks::default(),
            view,
            detached: false,
        }))
    }

    /// A tensor over a whole node, without a gradient.
    pub(crate) fn from_node(node: Held) -> Tensor {
        let (spec, device) = (node.spec.clone(), node.device.clone());
        Tensor::from_parts(Ok(Value::whole(node)), spec, device, Edge::None, None)
    }

    /// A tensor over a value and a gradient edge: how saved tensors come back.
    pub(crate) fn from_value(value: Value, edge: Edge) -> Tensor {
        let spec = Spec { dtype: value.node.spec.dtype, shape: value.layout.shape.clone() };
        let device = value.node.device.clone();
        Tensor::from_parts(Ok(value), spec, device, edge, None)
    }

    /// What operators (`+`, `*`, ..) return when they cannot compute: the error waits for the first method that returns `Result`.
    #[track_caller]
    pub(crate) fn failed(error: Error, device: &Device) -> Tensor {
        let at = Location::caller();
        let spec = Spec { dtype: DType::F32, shape: Shape::new() };
        Tensor::from_parts(Err(error.carried(at)), spec, device.clone(), Edge::None, None)
    }

    // ---- what it is ---------------------------------------------------------------------------

    /// The sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.0.spec.shape
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.spec.shape.len()
    }

    pub fn dtype(&self) -> DType {
        self.0.spec.dtype
    }

    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        numel(&self.0.spec.shape)
    }

    /// The size of dimension `dim`; negative counts from the end.
    ///
    /// # Errors
    /// `dim` out of range.
    pub fn size(&self, dim: isize) -> Result<usize> {
        let d = crate::shape::dim_index("size", dim, self.rank())?;
        Ok(self.shape().get(d).copied().unwrap_or(1))
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// Both handles share one tensor: what is done in place to one is seen through the other.
    pub fn ptr_eq(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    // ---- values and versions ------------------------------------------------------------------

    fn version(&self) -> u64 {
        self.refresh();
        self.0.content.read().version
    }

    /// A view whose base was written to since reads the base's new value.
    fn refresh(&self) {
        let Some((base, layout)) = &self.0.view else { return };
        let base_version = base.version();
        if self.0.content.read().base_version == base_version {
            return;
        }
        let (value, edge) = base.view_parts(layout);
        let edge = if self.0.detached { Edge::None } else { edge };
        let mut content = self.0.content.write();
        content.value = value;
        content.edge = edge;
        content.base_version = base_version;
        content.version += 1;
    }

    /// A view that was just made, cut off from its base's gradient.
    fn without_gradient(mut self) -> Tensor {
        if let Some(slot) = Arc::get_mut(&mut self.0) {
            slot.detached = true;
        }
        self
    }

    /// The current value, or the error this tensor carries.
    pub(crate) fn value(&self) -> Result<Value> {
        self.refresh();
        self.0.content.read().value.clone()
    }

    /// The gradient edge a consumer of this tensor records.
    pub(crate) fn edge(&self) -> Edge {
        self.refresh();
        let content = self.0.content.read();
        match &content.edge {
            Edge::None if content.requires_grad => Edge::Leaf(self.clone()),
            edge => edge.clone(),
        }
    }

    /// Puts another value of the same shape and dtype into the slot; a view writes through to its base.
    pub(crate) fn replace(&self, new: &Tensor) -> Result<()> {
        if let Some((base, layout)) = &self.0.view {
            let assigned = base.assign_region(layout, new)?;
            base.replace(&assigned)?;
            self.refresh();
            return Ok(());
        }
        let (value, edge) = (new.value()?, if autograd::is_enabled() { new.edge() } else { Edge::None });
        let mut content = self.0.content.write();
        content.value = Ok(value);
        if !content.requires_grad {
            content.edge = edge;
        }
        content.version += 1;
        Ok(())
    }

    /// Sets value without touching the edge: a parameter moving into a slab, a value that was read.
    pub(crate) fn set_value(&self, value: Value) {
        let mut content = self.0.content.write();
        content.value = Ok(value);
        content.version += 1;
    }

    /// Makes this slot stand for `other`, gradients included, until the guard is dropped.
    pub(crate) fn lend(&self, other: &Tensor) -> Result<Borrowed> {
        let (value, edge) = (other.value()?, other.edge());
        let mut content = self.0.content.write();
        let before = (content.value.clone(), content.edge.clone(), content.requires_grad);
        (content.value, content.edge, content.requires_grad) = (Ok(value), edge, false);
        content.version += 1;
        Ok(Borrowed { slot: self.clone(), before })
    }

    pub(crate) fn set_edge(&self, edge: Edge) {
        self.0.content.write().edge = edge;
    }

    pub(crate) fn is_leaf_requiring_grad(&self) -> bool {
        let content = self.0.content.read();
        content.requires_grad && matches!(content.edge, Edge::None)
    }

    /// Whether operations on this tensor are recorded.
    pub fn requires_grad(&self) -> bool {
        self.edge().is_some()
    }

    /// Not made by a recorded operation: gradients end here.
    pub fn is_leaf(&self) -> bool {
        self.refresh();
        matches!(self.0.content.read().edge, Edge::None)
    }

    /// Starts or stops recording operations on this leaf.
    ///
    /// # Errors
    /// An integer or `bool` tensor; switching off a tensor that was made by a recorded operation (use
    /// [`detach`](Self::detach)).
    pub fn requires_grad_(&self, on: bool) -> Result<&Self> {
        const OP: &str = "requires_grad_";
        self.value()?;
        if on && !self.dtype().is_float() {
            return Err(Error::autograd(OP, format!("only floating-point tensors have gradients, this one is {}", self.dtype())));
        }
        if !self.is_leaf() {
            if on {
                return Ok(self);
            }
            return Err(Error::autograd(
                OP,
                "the tensor was made by a recorded operation; detach() gives one that does not require a gradient",
            ));
        }
        self.0.content.write().requires_grad = on;
        Ok(self)
    }

    /// The gradient accumulated by [`backward`](Self::backward).
    pub fn grad(&self) -> Option<Tensor> {
        self.0.grad.lock().clone()
    }

    /// Replaces the accumulated gradient.
    ///
    /// # Errors
    /// Another shape, dtype or device than this tensor's.
    pub fn set_grad(&self, grad: Option<&Tensor>) -> Result<()> {
        if let Some(g) = grad
            && (g.shape() != self.shape() || g.dtype() != self.dtype() || g.device() != self.device())
        {
            let what = |t: &Tensor| format!("{:?} {} on {}", t.shape(), t.dtype(), t.device());
            return Err(Error::autograd("set_grad", format!("the gradient is {}, the tensor {}", what(g), what(self))));
        }
        *self.0.grad.lock() = grad.cloned();
        Ok(())
    }

    /// Drops the accumulated gradient.
    pub fn zero_grad(&self) {
        *self.0.grad.lock() = None;
    }

    /// Refuses to overwrite what a gradient was promised for.
    pub(crate) fn check_inplace(&self, op: &'static str) -> Result<()> {
        if !autograd::is_enabled() {
            return Ok(());
        }
        if self.0.detached {
            return Ok(());
        }
        let base = self.0.view.as_ref().map_or(self, |(base, _)| base);
        if base.is_leaf_requiring_grad() {
            return Err(Error::autograd(op, "a leaf that requires a gradient cannot be changed in place outside no_grad()"));
        }
        Ok(())
    }

    pub(crate) fn grad_slot(&self) -> &Mutex<Option<Tensor>> {
        &self.0.grad
    }

    // ---- applying operators -------------------------------------------------------------------

    /// Applies an operator: checks, then a new pending node and, where an input needs it, a gradient edge.
    #[track_caller]
    pub(crate) fn apply<O: Op>(op: O, inputs: &[&Tensor]) -> Result<Tensor> {
        Tensor::apply_ref(Arc::new(op), inputs)
    }

    #[track_caller]
    pub(crate) fn apply_ref(op: OpRef, inputs: &[&Tensor]) -> Result<Tensor> {
        let cast = crate::amp::cast_inputs(op.name(), inputs)?;
        let cast: Option<SmallVec<[&Tensor; 3]>> = cast.as_ref().map(|c| c.iter().collect());
        let inputs = cast.as_deref().unwrap_or(inputs);
        let device = inputs.first().map(|t| t.device().clone());
        let device = device.ok_or_else(|| Error::argument(op.name(), "needs at least one tensor"))?;
        let out = Tensor::compute(op.clone(), inputs, &device)?;
        crate::nn::note(op.name(), inputs, &out);
        if op.differentiable() {
            autograd::record(&out, op, inputs)?;
        }
        Ok(out)
    }

    /// The node of an operator alone, without a gradient edge.
    #[track_caller]
    pub(crate) fn compute(op: OpRef, inputs: &[&Tensor], device: &Device) -> Result<Tensor> {
        let at = Location::caller();
        let mut specs: SmallVec<[Spec; 4]> = SmallVec::new();
        let mut nodes: SmallVec<[Input; 3]> = SmallVec::new();
        // Until the node is queued nobody may take its inputs for temporaries.
        let mut alive: SmallVec<[Held; 3]> = SmallVec::new();
        let transfer = matches!(op.kind(), Kind::Transfer);
        for t in inputs {
            let value = t.value()?;
            if t.device() != device && !transfer {
                return Err(Error::device(op.name(), format!("operands are on {device} and on {}; move one with to()", t.device())));
            }
            specs.push(t.spec().clone());
            let held = transfer.then(|| value.node.clone());
            nodes.push(Input { node: value.node.arc().clone(), layout: value.layout, held });
            alive.push(value.node);
        }
        let spec = op.infer(&specs)?;
        crate::shape::checked_numel(op.name(), &spec.shape)?;
        device.runtime().check_dtype(op.name(), spec.dtype)?;
        let node = Node::new(spec, device.clone(), Some(op), State::Pending(nodes), None, at);
        device.enqueue(&node)?;
        Ok(Tensor::from_node(node))
    }
}

/// Another handle on the same tensor.
impl From<&Tensor> for Tensor {
    fn from(t: &Tensor) -> Tensor {
        t.clone()
    }
}

/// A slot that stands for another tensor; what it was comes back when this is dropped.
pub(crate) struct Borrowed {
    slot: Tensor,
    before: (Result<Value>, Edge, bool),
}

impl Borrowed {
    pub fn is_of(&self, slot: &Tensor) -> bool {
        self.slot.ptr_eq(slot)
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let mut content = self.slot.0.content.write();
        let (value, edge, requires_grad) = (self.before.0.clone(), std::mem::take(&mut self.before.1), self.before.2);
        (content.value, content.edge, content.requires_grad) = (value, edge, requires_grad);
        content.version += 1;
    }
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slot").field("id", &self.id).field("spec", &self.spec).finish_non_exhaustive()
    }
}
