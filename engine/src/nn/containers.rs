//! Lists and dictionaries of modules and parameters.
//!
//! In a derived module a `Vec` of modules or parameters does what [`ModuleList`] and [`ParameterList`] do; these are for where a
//! container is a module of its own.

use std::ops::{Deref, DerefMut};

use super::copy::Copies;
use super::field::Field;
use super::module::{Member, MemberMut, Module};
use super::param::Param;
use crate::error::Result;

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident<$item:ident: $bound:path>;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub struct $name<$item>(pub Vec<$item>);

        impl<$item> $name<$item> {
            pub fn new() -> Self {
                $name(Vec::new())
            }
        }

        impl<$item> Default for $name<$item> {
            fn default() -> Self {
                $name::new()
            }
        }

        impl<$item> FromIterator<$item> for $name<$item> {
            fn from_iter<I: IntoIterator<Item = $item>>(items: I) -> Self {
                $name(items.into_iter().collect())
            }
        }

        impl<$item> Deref for $name<$item> {
            type Target = Vec<$item>;
            fn deref(&self) -> &Vec<$item> {
                &self.0
            }
        }

        impl<$item> DerefMut for $name<$item> {
            fn deref_mut(&mut self) -> &mut Vec<$item> {
                &mut self.0
            }
        }

        impl<$item: $bound> Module for $name<$item> {
            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
                self.0.iter().enumerate().for_each(|(i, item)| item.show(&i.to_string(), visit));
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
                self.0.iter_mut().enumerate().for_each(|(i, item)| item.show_mut(&i.to_string(), visit));
            }

            fn copied(&self, copies: &mut Copies) -> Result<Self> {
                self.0.copy_field(copies).map($name)
            }
        }
    )*};
}

lists! {
    /// Modules in order, named by their positions: `0.weight`.
    ModuleList<M: Module>;
}

/// Parameters in order, named by their positions.
#[derive(Debug, Clone, Default)]
pub struct ParameterList(pub Vec<Param>);

impl Module for ParameterList {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.0.iter().enumerate().for_each(|(i, p)| visit(&i.to_string(), Member::Param(p)));
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.0.iter_mut().enumerate().for_each(|(i, p)| visit(&i.to_string(), MemberMut::Param(p)));
    }

    fn copied(&self, copies: &mut Copies) -> Result<ParameterList> {
        self.0.copy_field(copies).map(ParameterList)
    }
}

impl Deref for ParameterList {
    type Target = Vec<Param>;
    fn deref(&self) -> &Vec<Param> {
        &self.0
    }
}

impl DerefMut for ParameterList {
    fn deref_mut(&mut self) -> &mut Vec<Param> {
        &mut self.0
    }
}

/// Items by name, in the order they were inserted; an item of the same name takes the place of the old one.
#[derive(Debug, Clone)]
pub struct Named<T>(Vec<(String, T)>);

/// Modules by name: `name.weight`.
pub type ModuleDict<M> = Named<M>;
/// Parameters by name.
pub type ParameterDict = Named<Param>;

impl<T> Named<T> {
    pub fn new() -> Self {
        Named(Vec::new())
    }

    /// Adds an item, or replaces the one of that name, which is returned.
    pub fn insert(&mut self, name: impl Into<String>, item: T) -> Option<T> {
        let name = name.into();
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => Some(std::mem::replace(old, item)),
            None => {
                self.0.push((name, item));
                None
            }
        }
    }

    pub fn remove(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, item)| item)
    }

    pub fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.0.iter_mut().find(|(n, _)| n == name).map(|(_, item)| item)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and items in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(name, item)| (name.as_str(), item))
    }
}

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named::new()
    }
}

impl<S: Into<String>, T> FromIterator<(S, T)> for Named<T> {
    fn from_iter<I: IntoIterator<Item = (S, T)>>(items: I) -> Self {
        let mut all = Named::new();
        for (name, item) in items {
            all.insert(name, item);
        }
        all
    }
}

impl<T: Field + Send + Sync> Module for Named<T> {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.0.iter().for_each(|(name, item)| item.show(name, visit));
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.0.iter_mut().for_each(|(name, item)| item.show_mut(name, visit));
    }

    fn copied(&self, copies: &mut Copies) -> Result<Named<T>> {
        self.0.iter().map(|(name, item)| Ok((name.clone(), item.copy_field(copies)?))).collect::<Result<_>>().map(Named)
    }
}
