//! What becomes of values that are kept for the backward pass.

use std::cell::RefCell;
use std::sync::Arc;

use super::{Edge, no_grad};
use crate::device::Device;
use crate::error::Result;
use crate::tensor::{Tensor, Value};

type Change = Arc<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>;

thread_local! {
    static HOOKS: RefCell<Option<(Change, Change)>> = const { RefCell::new(None) };
}

/// Runs `f` with a say in how values are kept for the backward pass: `pack` turns each into what is kept, `unpack` turns that back
/// when it is needed. As `torch.autograd.graph.saved_tensors_hooks`: to move values elsewhere, to compress them, to count them.
///
/// Operators with a gradient written by hand for a whole composite (softmax, norms, losses) keep theirs as they are.
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

/// A value kept for a gradient.
pub(super) enum Saved {
    Plain(Value),
    Packed(Tensor, Change),
}

impl Saved {
    pub fn new(value: Value) -> Result<Saved> {
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

    pub fn tensor(&self, edge: Edge) -> Result<Tensor> {
        let value = match self {
            Saved::Plain(value) => value.clone(),
            Saved::Packed(packed, unpack) => no_grad(|| unpack(packed))?.value()?,
        };
        Ok(Tensor::from_value(value, edge))
    }
}
