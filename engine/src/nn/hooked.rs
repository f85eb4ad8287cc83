//! Hooks around a layer's forward and backward pass.

use std::sync::Arc;

use parking_lot::Mutex;

use super::copy::Copies;
use super::module::{Layer, Member, MemberMut, Module};
use crate::autograd::{Edge, HookHandle, record_with};
use crate::error::Result;
use crate::tensor::Tensor;

type Before = dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync;
type Full = dyn Fn(Option<&Tensor>, &Tensor) -> Result<Option<Tensor>> + Send + Sync;
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
    full: List<Full>,
}

impl<L: Layer> Hooked<L> {
    pub fn new(layer: L) -> Hooked<L> {
        Hooked { layer, before: List::new(), after: List::new(), backward: List::new(), full: List::new() }
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

    /// Called with the gradients of input and output after both are known: `hook(grad_input, grad_output)`. What it returns takes
    /// the place of the input's gradient, which is `None` where the input has none (the first layer's); then there is nothing to
    /// replace. As `register_full_backward_hook`.
    ///
    /// ```
    /// use taper::nn::{Hooked, Layer, Linear};
    /// # use taper::prelude::*;
    /// # fn main() -> Result<()> {
    /// # let device = Device::cpu();
    /// let layer = Hooked::new(Linear::new(2, 3, &device)?);
    /// layer.register_full_backward_hook(|grad_input, _| grad_input.map(|g| g.mul(0.0)).transpose());
    /// let x = Tensor::ones([1, 2], &device)?;
    /// x.requires_grad_(true)?;
    /// layer.forward(&x)?.sum_all()?.backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok(()) }
    /// ```
    pub fn register_full_backward_hook(
        &self,
        hook: impl Fn(Option<&Tensor>, &Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> LayerHook {
        self.full.add(Arc::new(hook))
    }

    /// The layer between two marks in the graph: the gradient of the output is kept at the one, and meets the hooks with that of the
    /// input at the other.
    fn between_marks(&self, x: &Tensor) -> Result<Tensor> {
        let hooks = List(self.full.0.clone());
        let arrived: Arc<Mutex<Option<Tensor>>> = Arc::default();
        let inside = mark(x)?;
        let learns = x.requires_grad();
        if learns {
            let (hooks, arrived) = (List(hooks.0.clone()), arrived.clone());
            record_with(&inside, "full_backward_hook", &[x], move |dx, _| {
                let mut dx = dx.clone();
                if let Some(dy) = arrived.lock().take() {
                    for hook in hooks.all() {
                        dx = hook(Some(&dx), &dy)?.unwrap_or(dx);
                    }
                }
                Ok(smallvec::smallvec![Some(dx)])
            });
        }
        let y = self.layer.forward(&inside)?;
        if !y.requires_grad() {
            return Ok(y);
        }
        let out = mark(&y)?;
        record_with(&out, "full_backward_hook", &[&y], move |dy, _| {
            if learns {
                *arrived.lock() = Some(dy.clone());
            } else {
                hooks.all().iter().try_for_each(|hook| hook(None, dy).map(drop))?;
            }
            Ok(smallvec::smallvec![Some(dy.clone())])
        });
        Ok(out)
    }
}

/// The same value under an edge of its own.
fn mark(t: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_value(t.value()?, Edge::None))
}

impl<L: Layer + 'static> Layer for Hooked<L> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut x = x.clone();
        for hook in self.before.all() {
            x = hook(&x)?.unwrap_or(x);
        }
        let mut y = if self.full.is_empty() { self.layer.forward(&x)? } else { self.between_marks(&x)? };
        for hook in self.after.all() {
            y = hook(&x, &y)?.unwrap_or(y);
        }
        if y.requires_grad() && !self.backward.is_empty() {
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
    /// The copy has the same hooks; those added later are each one's own.
    fn copied(&self, copies: &mut Copies) -> Result<Hooked<L>> {
        Ok(Hooked {
            layer: self.layer.copied(copies)?,
            before: self.before.copied(),
            after: self.after.copied(),
            backward: self.backward.copied(),
            full: self.full.copied(),
        })
    }
}

impl<L> std::fmt::Debug for Hooked<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = (self.before.all().len(), self.after.all().len(), self.backward.all().len() + self.full.all().len());
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

    fn copied(&self) -> List<F> {
        List(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Copied out: a hook may register or remove hooks.
    fn all(&self) -> Vec<Arc<F>> {
        self.0.lock().iter().map(|(_, h)| h.clone()).collect()
    }
}
