//! What `#[derive(Module)]` expands to.
//!
//! The macro sees tokens, not types, so it asks the compiler which fields are members: a method call on
//! `&Probe(&field)` finds [`Shown::show`] first if the field is a [`Field`], and otherwise, one reference
//! further, [`Ignored::show`], which does nothing.

use super::{Copies, Field, Member, MemberMut};
use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Probe<T>(pub T);
#[derive(Debug)]
pub struct ProbeMut<T>(pub T);

pub trait Shown<'a> {
    fn show(&self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>));
}

impl<'a, T: Field> Shown<'a> for Probe<&'a T> {
    fn show(&self, name: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.0.show(name, visit);
    }
}

pub trait Ignored<'a> {
    fn show(&self, _name: &str, _visit: &mut dyn FnMut(&str, Member<'a>)) {}
}

impl<'a, T> Ignored<'a> for &Probe<&'a T> {}

pub trait ShownMut {
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>));
}

impl<T: Field> ShownMut for ProbeMut<&mut T> {
    fn show_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.0.show_mut(name, visit);
    }
}

pub trait IgnoredMut {
    fn show_mut(&mut self, _name: &str, _visit: &mut dyn FnMut(&str, MemberMut<'_>)) {}
}

impl<T> IgnoredMut for &mut ProbeMut<&mut T> {}

/// `(&&Probe(&field)).copy_of(..)` finds this first if the field is a member, then [`Cloned`] if it is `Clone`, then [`Stuck`].
pub trait Copied {
    type Out;
    fn copy_of(&self, field: &str, copies: &mut Copies) -> Result<Self::Out>;
}

impl<T: Field> Copied for &Probe<&T> {
    type Out = T;
    fn copy_of(&self, _: &str, copies: &mut Copies) -> Result<T> {
        self.0.copy_field(copies)
    }
}

pub trait Cloned {
    type Out;
    fn copy_of(&self, field: &str, copies: &mut Copies) -> Result<Self::Out>;
}

impl<T: Clone> Cloned for &&Probe<&T> {
    type Out = T;
    fn copy_of(&self, _: &str, _: &mut Copies) -> Result<T> {
        Ok(self.0.clone())
    }
}

pub trait Stuck {
    type Out;
    fn copy_of(&self, field: &str, copies: &mut Copies) -> Result<Self::Out>;
}

impl<T> Stuck for Probe<&T> {
    type Out = T;
    fn copy_of(&self, field: &str, _: &mut Copies) -> Result<T> {
        let what = std::any::type_name::<T>();
        Err(Error::unsupported("deep_copy", format!("the field {field} ({what}) is neither a member nor Clone")))
    }
}
