//! What a member of a module can be: parameters, buffers, modules, and options and lists of them.

use super::copy::Copies;
use super::module::{Member, MemberMut, Module};
use super::param::{Buffer, Param, Training};
use crate::error::Result;

/// What a field of a derived module can be.
pub trait Field {
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>));
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>));

    /// # Errors
    /// As [`Module::deep_copy`].
    fn copy_field(&self, copies: &mut Copies) -> Result<Self>
    where
        Self: Sized;
}

impl Field for Param {
    fn copy_field(&self, copies: &mut Copies) -> Result<Param> {
        copies.param(self)
    }
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        visit(name, Member::Param(self));
    }
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        visit(name, MemberMut::Param(self));
    }
}

impl Field for Buffer {
    fn copy_field(&self, copies: &mut Copies) -> Result<Buffer> {
        copies.buffer(self)
    }
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        visit(name, Member::Buffer(self));
    }
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        visit(name, MemberMut::Buffer(self));
    }
}

impl Field for Training {
    fn copy_field(&self, _: &mut Copies) -> Result<Training> {
        Ok(self.clone())
    }
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        visit(name, Member::Training(self));
    }
    fn show_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, MemberMut<'_>)) {}
}

impl<M: Module> Field for M {
    fn copy_field(&self, copies: &mut Copies) -> Result<M> {
        self.copied(copies)
    }
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        visit(name, Member::Module(self));
    }
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        visit(name, MemberMut::Module(self));
    }
}

impl<F: Field> Field for Option<F> {
    fn copy_field(&self, copies: &mut Copies) -> Result<Option<F>> {
        self.as_ref().map(|f| f.copy_field(copies)).transpose()
    }
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.iter().for_each(|f| f.show(name, visit));
    }
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.iter_mut().for_each(|f| f.show_mut(name, visit));
    }
}

/// PyTorch's `ModuleList`: names are `field.0`, `field.1`, ..
impl<F: Field> Field for Vec<F> {
    fn copy_field(&self, copies: &mut Copies) -> Result<Vec<F>> {
        self.iter().map(|f| f.copy_field(copies)).collect()
    }
    fn show<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.iter().enumerate().for_each(|(i, f)| f.show(&format!("{name}.{i}"), visit));
    }
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.iter_mut().enumerate().for_each(|(i, f)| f.show_mut(&format!("{name}.{i}"), visit));
    }
}
