//! The arguments of one layer in a configuration.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// The arguments a layer was configured with. Each that is asked for counts as known; one that nobody asked for is an error once the
/// layer is made.
#[derive(Debug, Clone)]
pub struct Settings<'a> {
    layer: &'a str,
    given: &'a Map<String, Value>,
    known: BTreeSet<String>,
}

impl<'a> Settings<'a> {
    pub(super) fn new(layer: &'a str, given: &'a Map<String, Value>) -> Settings<'a> {
        Settings { layer, given, known: BTreeSet::new() }
    }

    /// An argument as it was written; `None` if it was not, or is null.
    pub fn get(&mut self, key: &str) -> Option<&'a Value> {
        self.known.insert(key.to_string());
        self.given.get(key).filter(|v| !v.is_null())
    }

    fn wrong(&self, key: &str, expected: &str, found: Option<&Value>) -> Error {
        let found = found.map_or("is missing".to_string(), |v| format!("cannot be {v}"));
        Error::argument("config", format!("{}: {key} {found}; {expected} is expected", self.layer))
    }

    fn read<T>(&mut self, key: &str, expected: &str, default: Option<T>, read: impl Fn(&Value) -> Option<T>) -> Result<T> {
        match (self.get(key), default) {
            (None, Some(default)) => Ok(default),
            (found, _) => found.and_then(read).ok_or_else(|| self.wrong(key, expected, found)),
        }
    }

    /// # Errors
    /// It is missing or no count.
    pub fn size(&mut self, key: &str) -> Result<usize> {
        self.read(key, "a count", None, count)
    }

    /// # Errors
    /// It is no count.
    pub fn size_or(&mut self, key: &str, default: usize) -> Result<usize> {
        self.read(key, "a count", Some(default), count)
    }

    /// One count for all of `N` dimensions or one for each.
    ///
    /// # Errors
    /// It is neither, or missing without a default.
    pub fn sizes<const N: usize>(&mut self, key: &str, default: Option<[usize; N]>) -> Result<[usize; N]> {
        self.read(key, &format!("a count or {N} of them"), default, |v| match v {
            Value::Array(list) => list.iter().map(count).collect::<Option<Vec<_>>>()?.try_into().ok(),
            one => count(one).map(|n| [n; N]),
        })
    }

    /// One count or several.
    ///
    /// # Errors
    /// It is missing or neither.
    pub fn shape(&mut self, key: &str) -> Result<Vec<usize>> {
        self.read(key, "a count or several", None, |v| match v {
            Value::Array(list) => list.iter().map(count).collect(),
            one => count(one).map(|n| vec![n]),
        })
    }

    /// # Errors
    /// It is no integer.
    pub fn int(&mut self, key: &str, default: i64) -> Result<i64> {
        self.read(key, "an integer", Some(default), Value::as_i64)
    }

    /// # Errors
    /// It is no number.
    pub fn float(&mut self, key: &str, default: f64) -> Result<f64> {
        self.read(key, "a number", Some(default), Value::as_f64)
    }

    /// # Errors
    /// It is no truth value.
    pub fn flag(&mut self, key: &str, default: bool) -> Result<bool> {
        self.read(key, "true or false", Some(default), Value::as_bool)
    }

    /// # Errors
    /// It is no text.
    pub fn text(&mut self, key: &str, default: &str) -> Result<String> {
        self.read(key, "text", Some(default.to_string()), |v| v.as_str().map(str::to_string))
    }

    /// # Errors
    /// It is missing or no list.
    pub fn list(&mut self, key: &str) -> Result<&'a [Value]> {
        let found = self.get(key);
        found.and_then(Value::as_array).map(Vec::as_slice).ok_or_else(|| self.wrong(key, "a list", found))
    }

    /// An error if there is an argument that nobody asked for.
    pub(super) fn finish(self) -> Result<()> {
        let unknown: Vec<&str> = self.given.keys().map(String::as_str).filter(|k| !self.known.contains(*k)).collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let known: Vec<&str> = self.known.iter().map(String::as_str).filter(|k| !matches!(*k, "residual" | "repeat")).collect();
        let why = format!("{} has no argument {}, only {}", self.layer, unknown.join(", "), known.join(", "));
        Err(Error::argument("config", why))
    }
}

fn count(v: &Value) -> Option<usize> {
    v.as_u64().and_then(|n| n.try_into().ok())
}
