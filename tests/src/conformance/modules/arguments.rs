//! What a constructor was called with.

use std::collections::HashMap;

use taper::loss::Reduction;
use taper::ops::registry::Value;
use taper::{DType, Device, TensorOptions};

use super::super::outcome::{Outcome, Step};

/// The arguments of a constructor by name.
pub struct Arguments<'a> {
    pub given: HashMap<String, Value>,
    pub device: &'a Device,
}

impl Arguments<'_> {
    /// An argument that was given and is not `None`.
    pub fn given(&self, name: &str) -> Option<&Value> {
        self.given.get(name).filter(|v| !matches!(v, Value::None))
    }

    pub fn one<T>(&self, name: &str, default: Option<T>, read: impl Fn(&Value) -> Option<T>) -> Step<T> {
        match (self.given(name), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Outcome::by_type(format!("argument {name} is missing"))),
            (Some(v), _) => read(v).ok_or_else(|| Outcome::by_type(format!("argument {name} cannot be {v:?}"))),
        }
    }

    pub fn flag(&self, name: &str, default: bool) -> Step<bool> {
        self.one(name, Some(default), |v| match v {
            Value::Bool(b) => Some(*b),
            _ => None,
        })
    }

    pub fn int(&self, name: &str, default: i64) -> Step<i64> {
        self.one(name, Some(default), |v| match v {
            Value::Int(i) => Some(*i),
            _ => None,
        })
    }

    pub fn size(&self, name: &str) -> Step<usize> {
        self.one(name, None, usize_of)
    }

    /// A row of `rows`, of which negative ones count from the end; `None` if it was not given.
    pub fn row(&self, name: &str, rows: usize) -> Step<Option<usize>> {
        if self.given(name).is_none() {
            return Ok(None);
        }
        let at = self.int(name, 0)?;
        let at = usize::try_from(if at < 0 { at + rows as i64 } else { at });
        at.map(Some).map_err(|_| Outcome::failed(format!("argument {name} is outside the {rows} rows")))
    }

    pub fn float(&self, name: &str, default: f64) -> Step<f64> {
        self.one(name, Some(default), |v| match v {
            Value::Int(i) => Some(*i as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        })
    }

    pub fn text(&self, name: &str, default: &str) -> Step<String> {
        self.one(name, Some(default.to_string()), |v| match v {
            Value::Str(s) => Some(s.clone()),
            _ => None,
        })
    }

    /// One size for all dimensions or one for each.
    pub fn sizes<const N: usize>(&self, name: &str, default: Option<usize>) -> Step<[usize; N]> {
        self.one(name, default.map(|d| [d; N]), |v| match v {
            Value::List(list) if list.len() == 1 => Some([usize_of(&list[0])?; N]),
            Value::List(list) => list.iter().map(usize_of).collect::<Option<Vec<_>>>()?.try_into().ok(),
            v => Some([usize_of(v)?; N]),
        })
    }

    /// The stride of a pool: its kernel unless given.
    pub fn strides<const N: usize>(&self, kernel: [usize; N]) -> Step<[usize; N]> {
        if self.given("stride").is_some() { self.sizes("stride", None) } else { Ok(kernel) }
    }

    pub fn shape(&self, name: &str) -> Step<Vec<usize>> {
        self.one(name, None, |v| match v {
            Value::List(list) => list.iter().map(usize_of).collect(),
            v => usize_of(v).map(|n| vec![n]),
        })
    }

    pub fn momentum(&self) -> Step<Option<f64>> {
        match self.given.get("momentum") {
            Some(Value::None) => Ok(None),
            _ => self.float("momentum", 0.1).map(Some),
        }
    }

    pub fn reduction(&self) -> Step<Reduction> {
        Ok(match self.text("reduction", "mean")?.as_str() {
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            "none" => Reduction::None,
            "batchmean" => Reduction::BatchMean,
            other => return Err(Outcome::by_type(format!("reduction: '{other}'"))),
        })
    }

    pub fn options(&self) -> Step<TensorOptions> {
        let dtype = self.one("dtype", Some(DType::F32), |v| match v {
            Value::DType(d) => Some(*d),
            _ => None,
        })?;
        Ok((dtype, self.device).into())
    }
}

pub fn usize_of(v: &Value) -> Option<usize> {
    match v {
        Value::Int(i) => usize::try_from(*i).ok(),
        _ => None,
    }
}
