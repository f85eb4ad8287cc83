//! Deep copies: models with values of their own, in which what was shared is shared.

use std::collections::HashMap;

use super::module::{Layer, Module, id};
use super::param::{Buffer, Param};
use crate::autograd::Edge;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What a deep copy has copied so far: what is met again, under another name, is not copied again.
#[derive(Debug, Default)]
pub struct Copies {
    params: HashMap<u64, Param>,
    buffers: HashMap<u64, Tensor>,
}

impl Copies {
    /// A parameter of its own with the same value, frozen if this one is, and without a gradient.
    ///
    /// # Errors
    /// A parameter that carries an error.
    pub fn param(&mut self, p: &Param) -> Result<Param> {
        if let Some(copy) = self.params.get(&id(p)) {
            return Ok(copy.clone());
        }
        let copy = Param::new(p)?;
        copy.requires_grad_(p.requires_grad())?;
        self.params.insert(id(p), copy.clone());
        Ok(copy)
    }

    /// A buffer of its own with the same value.
    ///
    /// # Errors
    /// A buffer that carries an error.
    pub fn buffer(&mut self, b: &Buffer) -> Result<Buffer> {
        let copy = match self.buffers.get(&id(b)) {
            Some(copy) => copy.clone(),
            // Values never change: a slot of its own is a copy.
            None => Tensor::from_value(b.value()?, Edge::None),
        };
        self.buffers.insert(id(b), copy.clone());
        let mut out = b.clone();
        out.replace_tensor(copy);
        Ok(out)
    }
}

/// What can be copied behind a box. Every module can; a trait object of one's own needs a method that copies whatever is
/// behind it.
pub trait Pointee: Module {
    /// # Errors
    /// What copying reports.
    fn boxed_copy(&self, copies: &mut Copies) -> Result<Box<Self>>;
}

impl<M: Module> Pointee for M {
    fn boxed_copy(&self, copies: &mut Copies) -> Result<Box<M>> {
        self.copied(copies).map(Box::new)
    }
}

impl Pointee for dyn Layer {
    fn boxed_copy(&self, copies: &mut Copies) -> Result<Box<dyn Layer>> {
        self.copy_layer(copies)
    }
}

impl Pointee for dyn Module {
    fn boxed_copy(&self, _: &mut Copies) -> Result<Box<dyn Module>> {
        Err(Error::unsupported("deep_copy", format!("{} is known as a module alone, and so not by its type", self.type_name())))
    }
}

/// How a layer is copied whose type is not known. Every layer has it.
pub trait CopyLayer {
    /// # Errors
    /// What copying reports.
    fn copy_layer(&self, copies: &mut Copies) -> Result<Box<dyn Layer>>;
}

impl<L: Layer + 'static> CopyLayer for L {
    fn copy_layer(&self, copies: &mut Copies) -> Result<Box<dyn Layer>> {
        Ok(Box::new(self.copied(copies)?))
    }
}
