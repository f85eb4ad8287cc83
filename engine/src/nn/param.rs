//! What modules own: parameters, buffers, and the flag that tells training from evaluation.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::autograd::{Edge, no_grad};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A tensor that is learned: a leaf that requires a gradient. `clone()` shares it (tied weights).
#[derive(Clone)]
pub struct Param(Tensor);

impl Param {
    /// Makes a parameter of a tensor's value.
    ///
    /// # Errors
    /// The tensor is not floating point, or carries an error.
    pub fn new(value: &Tensor) -> Result<Param> {
        if !value.dtype().is_float() {
            return Err(Error::dtype("Param", format!("only floating point tensors have gradients, this one is {}", value.dtype())));
        }
        let leaf = Tensor::from_value(value.value()?, Edge::None);
        leaf.requires_grad_(true)?;
        Ok(Param(leaf))
    }

    /// A tensor in a parameter's place: gradients go through it to wherever it came from.
    pub(crate) fn borrowed(tensor: Tensor) -> Param {
        Param(tensor)
    }

    /// Gives the parameter another value (same shape; converted to its type and device). Outside the autograd
    /// graph, as `param.data.copy_(value)`.
    ///
    /// # Errors
    /// Another shape.
    pub fn set(&self, value: &Tensor) -> Result<()> {
        overwrite(&self.0, value)
    }
}

/// A tensor that belongs to a module's state but is not learned: running statistics, a mask.
#[derive(Clone)]
pub struct Buffer {
    tensor: Tensor,
    persistent: bool,
}

impl Buffer {
    pub fn new(tensor: Tensor) -> Buffer {
        Buffer { tensor, persistent: true }
    }

    /// A buffer that moves with the module but is not part of its state dict.
    pub fn transient(tensor: Tensor) -> Buffer {
        Buffer { tensor, persistent: false }
    }

    /// Whether the state dict has it.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Gives the buffer another value (same shape; converted to its type and device).
    ///
    /// # Errors
    /// Another shape.
    pub fn set(&self, value: &Tensor) -> Result<()> {
        overwrite(&self.tensor, value)
    }

    pub(super) fn replace_tensor(&mut self, tensor: Tensor) {
        self.tensor = tensor;
    }
}

/// Puts `value` into `slot`, whatever autograd thinks of it.
fn overwrite(slot: &Tensor, value: &Tensor) -> Result<()> {
    if value.shape() != slot.shape() {
        return Err(Error::argument("set", format!("a value of shape {:?} does not fit {:?}", value.shape(), slot.shape())));
    }
    no_grad(|| slot.replace(&value.to(slot.device())?.to_dtype(slot.dtype())?))
}

/// Whether a module is training (the default) or being evaluated: a field of modules that behave differently.
#[derive(Debug)]
pub struct Training(AtomicBool);

impl Training {
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, training: bool) {
        self.0.store(training, Ordering::Relaxed);
    }
}

impl Default for Training {
    fn default() -> Training {
        Training(AtomicBool::new(true))
    }
}

impl Clone for Training {
    fn clone(&self) -> Training {
        Training(AtomicBool::new(self.get()))
    }
}

impl Deref for Param {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl Deref for Buffer {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

impl From<Param> for Tensor {
    fn from(p: Param) -> Tensor {
        p.0
    }
}

impl From<&Param> for Tensor {
    fn from(p: &Param) -> Tensor {
        p.0.clone()
    }
}

impl std::fmt::Debug for Param {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Param({:?}, {})", self.shape(), self.dtype())
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({:?}, {})", self.shape(), self.dtype())
    }
}
