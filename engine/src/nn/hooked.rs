//! Hooks around a layer's forward and backward pass.

use std::sync::Arc;

use parking_lot::Mutex;

use super::module::{Layer, Member, MemberMut, Module};
use crate::autograd::HookHandle;
use crate::error::Result;
use crate::tensor::Tensor;

type Before = dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync;
type After = dyn Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync;

/// A layer with hooks: what sees, and may replace, its input, its output and the gradients of both. As
/// `register_forward_hook` and its kin; the names of parameters are those of the layer alone.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::Arc;
/// use taper::nn::{Hooked, Layer, Linear};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let layer = Hooked::new(Linear::new(2, 3, &device)?);
/// let calls = Arc::new(AtomicUsize::new(0));
/// let counter = calls.clone();
/// let handle = layer.register_forward_hook(move |_input, _output| {
///     counter.fetch_add(1, Ordering::Relaxed);
///     Ok(None)
/// });
/// layer.forward(&Tensor::ones([1, 2], &device)?)?;
/// handle.remove();
/// layer.forward(&Tensor::ones([1, 2], &device)?)?;
/// assert_eq!(calls.load(Ordering::Relaxed), 1);
/// # Ok(()) }
/// ```
pub struct Hooked<L> {
    layer: L,
    before: List<Before>,
    after: List<After>,
    backward: List<Before>,
}

impl<L: Layer> Hooked<L> {
    pub fn new(layer: L) -> Hooked<L> {
        Hooked { layer, before: List::new(), after: List::new(), backward: List::new() }
    }

    /// The layer inside.
    pub fn inner(&self) -> &L {
        &self.layer
    }

    /// Called with the input before the layer runs; what it returns takes the input's place.
    pub fn register_forward_pre_hook(&self, hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static) -> LayerHook {
        self.before.add(Arc::new(hook))
    }

    /// Called with input and output after the layer ran; what it returns takes the output's place.
    pub fn register_forward_hook(&self, hook: impl Fn(&Tensor, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static) -> LayerHook {
        self.after.add(Arc::new(hook))
    }

    /// Called with the gradient of the output before it passes through the layer; what it returns takes its place.
    pub fn register_backward_hook(&self, hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static) -> LayerHook {
        self.backward.add(Arc::new(hook))
    }
}

impl<L: Layer> Layer for Hooked<L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for hook in self.before.all() {
            x = hook(&x)?.unwrap_or(x);
        }
        let mut y = self.layer.forward(&x)?;
        for hook in self.after.all() {
            y = hook(&x, &y)?.unwrap_or(y);
        }
        if y.requires_grad() && !self.backward.all().is_empty() {
            let hooks = List(self.backward.0.clone());
            y.register_hook(move |g| {
                let mut replaced = None;
                for hook in hooks.all() {
                    replaced = hook(replaced.as_ref().unwrap_or(g))?.or(replaced);
                }
                Ok(replaced)
            })?;
        }
        Ok(y)
    }
}

impl<L: Layer> Module for Hooked<L> {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.layer.members(visit);
    }
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.layer.members_mut(visit);
    }
    fn type_name(&self) -> &'static str {
        self.layer.type_name()
    }
}

impl<L> std::fmt::Debug for Hooked<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = (self.before.all().len(), self.after.all().len(), self.backward.all().len());
        write!(f, "Hooked(hooks before, after and backward: {counts:?})")
    }
}

/// Removes a hook of [`Hooked`]. Dropping the handle leaves the hook in place.
pub struct LayerHook(Box<dyn Fn() + Send + Sync>);

impl LayerHook {
    pub fn remove(&self) {
        (self.0)();
    }
}

impl std::fmt::Debug for LayerHook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LayerHook")
    }
}

/// Hooks in order of registration.
struct List<F: ?Sized>(Arc<Mutex<Vec<(u64, Arc<F>)>>>);

impl<F: ?Sized + Send + Sync + 'static> List<F> {
    fn new() -> List<F> {
        List(Arc::new(Mutex::new(Vec::new())))
    }

    fn add(&self, hook: Arc<F>) -> LayerHook {
        let id = HookHandle::next();
        self.0.lock().push((id, hook));
        let list = Arc::downgrade(&self.0);
        LayerHook(Box::new(move || {
            if let Some(list) = list.upgrade() {
                list.lock().retain(|(i, _)| *i != id);
            }
        }))
    }

    /// Copied out: a hook may register or remove hooks.
    fn all(&self) -> Vec<Arc<F>> {
        self.0.lock().iter().map(|(_, h)| h.clone()).collect()
    }
}
