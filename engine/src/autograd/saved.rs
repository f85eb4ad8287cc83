//! What becomes of values that are kept for the backward pass.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use super::{Edge, no_grad};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::graph::node::{Held, State, next_id};
use crate::shape::Layout;
use crate::tensor::{Tensor, Value};

type Change = Arc<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;

thread_local! {
    static HOOKS: RefCell<Option<(Change, Change)>> = const { RefCell::new(None) };
}

/// Runs `f` with a say in how values are kept for the backward pass: `pack` turns each into what is kept, `unpack` turns that back
/// when it is needed. As `torch.autograd.graph.saved_tensors_hooks`: to move values elsewhere, to compress them, to count them.
///
/// What a recurrent layer keeps of its steps stays as it is, and so do small things: statistics of rows, indices, masks.
///
/// # Errors
/// What `f` or `pack` reports; what `unpack` reports is reported by the backward pass.
pub fn saved_tensors_hooks<T>(
    pack: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    unpack: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
    f: impl FnOnce() -> Result<T>,
) -> Result<T> {
    struct Back(Option<(Change, Change)>);
    impl Drop for Back {
        fn drop(&mut self) {
            HOOKS.replace(self.0.take());
        }
    }
    let _back = Back(HOOKS.replace(Some((Arc::new(pack), Arc::new(unpack)))));
    f()
}

/// Runs `f` with the values for the backward pass kept in the host's memory, as `torch.autograd.graph.save_on_cpu`.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let x = Tensor::new([0.5, -1.0], &Device::best())?;
/// x.requires_grad_(true)?;
/// let y = taper::autograd::save_on_cpu(|| x.exp()?.square()?.sum_all())?;
/// y.backward()?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// What `f` reports.
pub fn save_on_cpu<T>(f: impl FnOnce() -> Result<T>) -> Result<T> {
    // The device each value came from is not kept with it: it is that of the gradient it meets.
    let home: Arc<parking_lot::Mutex<Vec<(u64, Device)>>> = Arc::default();
    let known = home.clone();
    let pack = move |t: &Tensor| {
        let there = t.to(&Device::cpu())?;
        if !t.device().is_cpu() {
            home.lock().push((there.0.id, t.device().clone()));
        }
        Ok(there)
    };
    let unpack = move |t: &Tensor| {
        let device = known.lock().iter().find(|(id, _)| *id == t.0.id).map(|(_, d)| d.clone());
        device.map_or_else(|| Ok(t.clone()), |d| t.to(&d))
    };
    saved_tensors_hooks(pack, unpack, f)
}

/// A tensor that a gradient written by hand keeps: through the hooks in force, if any, and with its edge.
pub(crate) struct Kept {
    saved: Saved,
    edge: Edge,
}

impl Kept {
    pub fn new(t: &Tensor) -> Result<Kept> {
        Ok(Kept { saved: Saved::new(t.value()?)?, edge: t.edge() })
    }

    pub fn get(&self) -> Result<Tensor> {
        self.saved.tensor(self.edge.clone())
    }
}

/// A value kept for a gradient.
pub(super) enum Saved {
    Plain(Value),
    /// Another type's copy of a value that is there anyway, as of a parameter in mixed precision: it is made again, not kept.
    Cast {
        of: Value,
        to: DType,
        layout: Layout,
    },
    Packed(Tensor, Change),
}

/// Runs `f` and counts the bytes of the values made in it that gradients keep.
pub(super) fn counted<T>(f: impl FnOnce() -> T) -> (T, usize) {
    struct Back(Option<Count>);
    impl Drop for Back {
        fn drop(&mut self) {
            COUNT.replace(self.0.take());
        }
    }
    let back = Back(COUNT.replace(Some(Count { start: next_id(), seen: HashMap::new() })));
    let out = f();
    let bytes = COUNT.with_borrow(|c| c.as_ref().map_or(0, |c| c.seen.values().sum()));
    drop(back);
    (out, bytes)
}

/// Bytes by node.
struct Count {
    /// Older nodes were there before.
    start: u64,
    seen: HashMap<u64, usize>,
}

thread_local! {
    static COUNT: RefCell<Option<Count>> = const { RefCell::new(None) };
}

impl Saved {
    pub fn new(value: Value) -> Result<Saved> {
        let value = match Saved::cast(&value) {
            Some(cast) => return Ok(cast),
            None => value,
        };
        COUNT.with_borrow_mut(|count| {
            if let Some(count) = count
                && value.node.id > count.start
            {
                let spec = &value.node.spec;
                count.seen.insert(value.node.id, spec.dtype.size() * crate::shape::numel(&spec.shape));
            }
        });
        let Some((pack, unpack)) = HOOKS.with_borrow(Clone::clone) else { return Ok(Saved::Plain(value)) };
        let packed = no_grad(|| {
            // What the hook computes is not to be packed again.
            let hooks = HOOKS.replace(None);
            let packed = pack(&Tensor::from_value(value, Edge::None));
            HOOKS.replace(hooks);
            packed
        })?;
        Ok(Saved::Packed(packed, unpack))
    }

    /// Whether a value is a cast of one that lies in memory and that somebody else wants too.
    fn cast(value: &Value) -> Option<Saved> {
        if value.node.op.as_ref()?.name() != "to" {
            return None;
        }
        let input = match &*value.node.state.lock() {
            State::Pending(inputs) => inputs.first()?.clone(),
            _ => return None,
        };
        let there = input.node.is_held() && matches!(*input.node.state.lock(), State::Ready(_));
        let of = Value { node: Held::new(input.node), layout: input.layout };
        there.then(|| Saved::Cast { of, to: value.node.spec.dtype, layout: value.layout.clone() })
    }

    pub fn tensor(&self, edge: Edge) -> Result<Tensor> {
        let value = match self {
            Saved::Plain(value) => value.clone(),
            Saved::Cast { of, to, layout } => {
                let again = no_grad(|| Tensor::from_value(of.clone(), Edge::None).to_dtype(*to))?;
                Value { node: again.value()?.node, layout: layout.clone() }
            }
            Saved::Packed(packed, unpack) => no_grad(|| unpack(packed))?.value()?,
        };
        Ok(Tensor::from_value(value, edge))
    }
}
