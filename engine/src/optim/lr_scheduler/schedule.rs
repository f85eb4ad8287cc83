//! What a schedule is, and schedules by name.

use std::fmt::Debug;

use serde_json::Value;

use super::{
    ConstantLR, CosineAnnealingLR, CosineAnnealingWarmRestarts, CyclicLR, ExponentialLR, LinearLR, MultiStepLR, OneCycleLR, PolynomialLR,
    SWALR, StepLR, WarmupCosine,
};
use crate::error::{Error, Result};
use crate::optim::{Options, Setting};

/// A moment of one parameter group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct At {
    pub group: usize,
    /// Steps of the schedule so far; may lie between two for schedules that allow it.
    pub epoch: f64,
    /// The rate now, before this step.
    pub lr: f64,
    /// The rate the optimizer was made with.
    pub base: f64,
}

/// How a learning rate develops.
pub trait Schedule: Debug + Send {
    /// PyTorch's name.
    fn name(&self) -> &'static str;

    /// Refuses arguments out of range, and lists that do not fit the number of parameter groups.
    ///
    /// # Errors
    /// The first that is wrong.
    fn check(&self, groups: usize) -> Result<()>;

    /// The rate after one step more, which often only knows how it follows from the rate before: so that schedules
    /// multiply when they are chained.
    ///
    /// # Errors
    /// The schedule has ended.
    fn lr(&self, at: At) -> Result<f64>;

    /// The rate when the schedule begins at `at.epoch`.
    ///
    /// # Errors
    /// As [`lr`](Self::lr).
    fn closed(&self, at: At) -> Result<f64> {
        self.lr(at)
    }

    /// The momentum (or first beta), for schedules that move it as well.
    fn momentum(&self, _group: usize, _epoch: f64) -> Option<f64> {
        None
    }
}

/// One number for all parameter groups, or one for each.
#[derive(Debug, Clone, PartialEq)]
pub struct PerGroup(Vec<f64>);

impl PerGroup {
    pub fn get(&self, group: usize) -> f64 {
        self.0.get(group).or(self.0.first()).copied().unwrap_or(f64::NAN)
    }

    pub(super) fn check(&self, op: &'static str, name: &str, groups: usize) -> Result<()> {
        if self.0.len() == 1 || self.0.len() == groups {
            return Ok(());
        }
        Err(Error::argument(op, format!("{name} has {} numbers for {groups} parameter groups", self.0.len())))
    }
}

/// What can be given for an argument of type `T`. Literals need no type.
pub trait Argument<T> {
    fn argument(self) -> T;
}

impl<T> Argument<T> for T {
    fn argument(self) -> T {
        self
    }
}

impl Argument<PerGroup> for f64 {
    fn argument(self) -> PerGroup {
        PerGroup(vec![self])
    }
}

impl Argument<PerGroup> for Vec<f64> {
    fn argument(self) -> PerGroup {
        PerGroup(self)
    }
}

impl Argument<Option<f64>> for f64 {
    fn argument(self) -> Option<f64> {
        Some(self)
    }
}

impl Argument<Option<usize>> for usize {
    fn argument(self) -> Option<usize> {
        Some(self)
    }
}

impl Argument<String> for &str {
    fn argument(self) -> String {
        self.to_string()
    }
}

impl<const N: usize> Argument<Vec<usize>> for [usize; N] {
    fn argument(self) -> Vec<usize> {
        self.to_vec()
    }
}

impl Setting for PerGroup {
    const KIND: &'static str = "number or list of numbers";
    fn to_json(&self) -> Value {
        if let [one] = self.0[..] { one.to_json() } else { self.0.iter().map(f64::to_json).collect() }
    }
    fn from_json(v: &Value) -> Option<PerGroup> {
        match v {
            Value::Array(list) => list.iter().map(f64::from_json).collect::<Option<Vec<f64>>>().map(PerGroup),
            one => f64::from_json(one).map(|v| PerGroup(vec![v])),
        }
    }
}

/// A schedule by PyTorch's name and arguments, for configuration files. Schedules made of functions have no such form.
///
/// # Errors
/// No such schedule; an argument that is missing, of another type or unknown.
pub fn build(name: &str, options: &Options) -> Result<Box<dyn Schedule>> {
    // PyTorch writes T_max and T_0.
    let options = &options.iter().map(|(k, v)| (k.to_lowercase(), v.clone())).collect();
    Ok(match name {
        "StepLR" => Box::new(StepLR::from_options(options)?),
        "MultiStepLR" => Box::new(MultiStepLR::from_options(options)?),
        "ConstantLR" => Box::new(ConstantLR::from_options(options)?),
        "LinearLR" => Box::new(LinearLR::from_options(options)?),
        "ExponentialLR" => Box::new(ExponentialLR::from_options(options)?),
        "PolynomialLR" => Box::new(PolynomialLR::from_options(options)?),
        "CosineAnnealingLR" => Box::new(CosineAnnealingLR::from_options(options)?),
        "CosineAnnealingWarmRestarts" => Box::new(CosineAnnealingWarmRestarts::from_options(options)?),
        "SWALR" => Box::new(SWALR::from_options(options)?),
        "CyclicLR" => Box::new(CyclicLR::from_options(options)?),
        "OneCycleLR" => Box::new(OneCycleLR::from_options(options)?),
        "WarmupCosine" => Box::new(WarmupCosine::from_options(options)?),
        other => return Err(Error::argument("lr_scheduler", format!("there is no '{other}'"))),
    })
}

/// A schedule's arguments: the struct, a constructor of the required ones, a method for each of the others, and all of
/// them by PyTorch's names.
macro_rules! schedule {
    ($(#[$doc:meta])* $name:ident($($need:ident: $need_type:ty = $need_name:literal),*) {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr;)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($need: $need_type,)*
            $($field: $type,)*
        }

        #[allow(clippy::new_without_default)]
        impl $name {
            pub fn new($($need: impl $crate::optim::lr_scheduler::Argument<$need_type>),*) -> $name {
                $name { $($need: $need.argument(),)* $($field: $default,)* }
            }

            $($(#[$field_doc])* pub fn $field(mut self, $field: impl $crate::optim::lr_scheduler::Argument<$type>) -> $name {
                self.$field = $field.argument();
                self
            })*

            /// From arguments by PyTorch's names.
            pub(super) fn from_options(o: &$crate::optim::Options) -> Result<$name> {
                #[allow(unused_imports)]
                use $crate::optim::settings::{read, required};
                let known: &[&str] = &[$($need_name,)* $(stringify!($field),)*];
                if let Some(name) = o.keys().find(|k| !known.contains(&k.as_str())) {
                    return Err(Error::argument(stringify!($name), format!("there is no argument '{name}'")));
                }
                Ok($name {
                    $($need: required(o, $need_name)?,)*
                    $($field: read(o, stringify!($field), $default)?,)*
                })
            }
        }
    };
}
pub(super) use schedule;

/// Refuses an argument that is out of its range.
pub(super) fn need(op: &'static str, name: &str, value: f64, fits: bool) -> Result<()> {
    if fits { Ok(()) } else { Err(Error::argument(op, format!("{name} = {value} is out of range"))) }
}
