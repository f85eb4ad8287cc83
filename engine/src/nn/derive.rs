//! What `#[derive(Module)]` expands to.
//!
//! The macro sees tokens, not types, so it asks the compiler which fields are members: a method call on
//! `&Probe(&field)` finds [`Shown::show`] first if the field is a [`Field`], and otherwise, one reference
//! further, [`Ignored::show`], which does nothing.

use super::{Field, Member, MemberMut};

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
