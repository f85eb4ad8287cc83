//! Hyperparameters: a struct, its builder, and its form in a state dict, from one table.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};

/// Hyperparameters by PyTorch's names.
pub type Options = BTreeMap<String, Value>;

/// What a hyperparameter can be.
pub trait Setting: Sized {
    /// For errors.
    const KIND: &'static str;
    fn to_json(&self) -> Value;
    fn from_json(v: &Value) -> Option<Self>;
}

impl Setting for f64 {
    const KIND: &'static str = "number";
    /// JSON has no infinity: it is a word there.
    fn to_json(&self) -> Value {
        if self.is_finite() { Value::from(*self) } else { Value::from(self.to_string()) }
    }
    fn from_json(v: &Value) -> Option<f64> {
        v.as_f64().or_else(|| v.as_str()?.parse().ok())
    }
}

impl Setting for bool {
    const KIND: &'static str = "bool";
    fn to_json(&self) -> Value {
        Value::from(*self)
    }
    fn from_json(v: &Value) -> Option<bool> {
        v.as_bool()
    }
}

impl Setting for usize {
    const KIND: &'static str = "count";
    fn to_json(&self) -> Value {
        Value::from(*self)
    }
    fn from_json(v: &Value) -> Option<usize> {
        v.as_u64().and_then(|n| n.try_into().ok())
    }
}

impl Setting for String {
    const KIND: &'static str = "text";
    fn to_json(&self) -> Value {
        Value::from(self.as_str())
    }
    fn from_json(v: &Value) -> Option<String> {
        v.as_str().map(Into::into)
    }
}

impl<T: Setting> Setting for Option<T> {
    const KIND: &'static str = T::KIND;
    fn to_json(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_json)
    }
    fn from_json(v: &Value) -> Option<Option<T>> {
        if v.is_null() { Some(None) } else { T::from_json(v).map(Some) }
    }
}

impl<A: Setting, B: Setting> Setting for (A, B) {
    const KIND: &'static str = "pair";
    fn to_json(&self) -> Value {
        Value::Array(vec![self.0.to_json(), self.1.to_json()])
    }
    fn from_json(v: &Value) -> Option<(A, B)> {
        let [a, b] = v.as_array()?.as_slice() else { return None };
        Some((A::from_json(a)?, B::from_json(b)?))
    }
}

impl Setting for Vec<usize> {
    const KIND: &'static str = "list of counts";
    fn to_json(&self) -> Value {
        self.iter().map(usize::to_json).collect()
    }
    fn from_json(v: &Value) -> Option<Vec<usize>> {
        v.as_array()?.iter().map(usize::from_json).collect()
    }
}

impl Setting for [f64; 3] {
    const KIND: &'static str = "triple of numbers";
    fn to_json(&self) -> Value {
        Value::Array(self.iter().map(f64::to_json).collect())
    }
    fn from_json(v: &Value) -> Option<[f64; 3]> {
        v.as_array()?.iter().map(f64::from_json).collect::<Option<Vec<f64>>>()?.try_into().ok()
    }
}

/// The option `name`, or `default` where there is none (a state dict of an earlier version).
pub(super) fn read<T: Setting>(options: &Options, name: &str, default: T) -> Result<T> {
    let Some(v) = options.get(name) else { return Ok(default) };
    T::from_json(v).ok_or_else(|| Error::argument("optimizer", format!("option '{name}' must be a {}, not {v}", T::KIND)))
}

/// An argument that has no default.
pub(super) fn required<T: Setting>(options: &Options, name: &str) -> Result<T> {
    let v = options.get(name).ok_or_else(|| Error::argument("lr_scheduler", format!("argument '{name}' is missing")))?;
    T::from_json(v).ok_or_else(|| Error::argument("lr_scheduler", format!("argument '{name}' must be a {}, not {v}", T::KIND)))
}

/// Hyperparameters of an optimizer: the struct, its builder methods, and its options by name.
///
/// Each line is a field with its default; a field in brackets has a builder method of two arguments.
macro_rules! settings {
    ($(#[$doc:meta])* $name:ident for $alias:ident {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr;)*
        $([$(#[$pair_doc:meta])* $pair:ident: $a:ident $b:ident: $pair_type:ty = $pair_default:expr];)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            lr: f64,
            $($field: $type,)*
            $($pair: ($pair_type, $pair_type),)*
        }

        impl Optim<$name> {
            /// PyTorch's defaults but for the learning rate.
            ///
            /// # Errors
            /// As [`Optim::with_groups`].
            pub fn new<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, lr: f64) -> Result<$alias> {
                $alias::builder(lr).build(params)
            }

            pub fn builder(lr: f64) -> $name {
                $name { lr, $($field: $default,)* $($pair: $pair_default,)* }
            }
        }

        impl $name {
            $($(#[$field_doc])* pub fn $field(mut self, $field: $type) -> $name {
                self.$field = $field;
                self
            })*
            $($(#[$pair_doc])* pub fn $pair(mut self, $a: $pair_type, $b: $pair_type) -> $name {
                self.$pair = ($a, $b);
                self
            })*

            /// # Errors
            /// As [`Optim::with_groups`].
            pub fn build<P: Into<Tensor>>(self, params: impl IntoIterator<Item = P>) -> Result<$alias> {
                Optim::with_groups([(params, self)])
            }
        }

        impl $crate::optim::settings::Settings for $name {
            fn lr(&self) -> f64 {
                self.lr
            }
            fn set_lr(&mut self, lr: f64) {
                self.lr = lr;
            }
            fn options(&self) -> $crate::optim::Options {
                use $crate::optim::settings::Setting;
                [
                    ("lr", self.lr.to_json()),
                    $((stringify!($field), self.$field.to_json()),)*
                    $((stringify!($pair), self.$pair.to_json()),)*
                ]
                .into_iter()
                .map(|(k, v)| (k.to_string(), v))
                .collect()
            }
            fn with_options(&self, o: &$crate::optim::Options) -> Result<$name> {
                use $crate::optim::settings::read;
                Ok($name {
                    lr: read(o, "lr", self.lr)?,
                    $($field: read(o, stringify!($field), self.$field.clone())?,)*
                    $($pair: read(o, stringify!($pair), self.$pair)?,)*
                })
            }
        }
    };
}
pub(super) use settings;

/// Hyperparameters by name, as PyTorch's parameter groups have them.
pub trait Settings: Clone + Send + Sync + std::fmt::Debug {
    fn lr(&self) -> f64;
    fn set_lr(&mut self, lr: f64);

    /// The hyperparameters under PyTorch's names.
    fn options(&self) -> Options;

    /// The same with those of `options` that it has; what is not mentioned stays.
    ///
    /// # Errors
    /// One has another type.
    fn with_options(&self, options: &Options) -> Result<Self>;
}
