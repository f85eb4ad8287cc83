//! PyTorch's `.pt` and `.pth`: what `torch.save` writes, as zip files and as it was before 1.6.
//!
//! Such a file is a pickle, a program that builds Python objects. Here nothing of it is executed: numbers, text, lists, tuples,
//! dictionaries, tensors, parameters, sizes, dtypes and devices are read, and whatever else is asked for is refused by its
//! name. Tensors that share a storage share one here; the attributes of dictionaries and parameters are left out.

mod build;
mod file;
mod globals;
mod pickle;
mod write;

use taper::nn::StateDict;
use taper::{DType, Device, Error, Result, Tensor};

use crate::entry::Entry;
use file::File;
pub use write::{write, write_state_dict};

const FORMAT: &str = "pt";

/// What a file holds: Python's values, with tensors of type `T`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Value<T = Tensor> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    List(Vec<Value<T>>),
    Tuple(Vec<Value<T>>),
    /// `dict`, in the order of its making.
    Dict(Vec<(Value<T>, Value<T>)>),
    /// `collections.OrderedDict`, as a state dict is.
    OrderedDict(Vec<(Value<T>, Value<T>)>),
    Tensor(T),
    /// `torch.nn.Parameter`.
    Parameter(T),
    /// `torch.Size`.
    Size(Vec<usize>),
    /// `torch.dtype`.
    DType(DType),
    /// `torch.device`: `cpu`, `cuda:0`.
    Device(String),
}

impl<T> Value<T> {
    /// The value of a dictionary under a text key; of several under one key, the last.
    ///
    /// ```
    /// use taper_files::pt::Value;
    /// let epoch: Value = Value::Dict(vec![(Value::Str("epoch".into()), Value::Int(3))]);
    /// assert_eq!(epoch.get("epoch").and_then(Value::as_int), Some(3));
    /// ```
    pub fn get(&self, key: &str) -> Option<&Value<T>> {
        self.entries()?.iter().rfind(|(k, _)| matches!(k, Value::Str(k) if k == key)).map(|(_, v)| v)
    }

    /// The entries of a dictionary of either kind.
    pub fn entries(&self) -> Option<&[(Value<T>, Value<T>)]> {
        match self {
            Value::Dict(entries) | Value::OrderedDict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The elements of a list or tuple.
    pub fn elements(&self) -> Option<&[Value<T>]> {
        match self {
            Value::List(elements) | Value::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// A tensor or parameter.
    pub fn as_tensor(&self) -> Option<&T> {
        match self {
            Value::Tensor(t) | Value::Parameter(t) => Some(t),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(i) => Some(*i),
            _ => None,
        }
    }

    /// A float, or an integer as one.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Float(f) => Some(*f),
            Value::Int(i) => Some(*i as f64),
            _ => None,
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// Every tensor with its way from here: keys and positions, joined by points.
    pub fn tensors(&self) -> Vec<(String, &T)> {
        let mut out = Vec::new();
        self.collect("", &mut out);
        out
    }

    fn collect<'a>(&'a self, path: &str, out: &mut Vec<(String, &'a T)>) {
        let under = |key: &dyn std::fmt::Display| if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
        match self {
            Value::Tensor(t) | Value::Parameter(t) => out.push((path.to_string(), t)),
            Value::List(elements) | Value::Tuple(elements) => {
                for (i, element) in elements.iter().enumerate() {
                    element.collect(&under(&i), out);
                }
            }
            Value::Dict(entries) | Value::OrderedDict(entries) => {
                for (key, value) in entries {
                    match key {
                        Value::Str(key) => value.collect(&under(key), out),
                        Value::Int(key) => value.collect(&under(key), out),
                        Value::Bool(key) => value.collect(&under(key), out),
                        Value::Float(key) => value.collect(&under(key), out),
                        other => value.collect(&under(&other.kind()), out),
                    }
                }
            }
            _ => {}
        }
    }

    /// What Python calls the type.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::None => "None",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Bytes(_) => "bytes",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::OrderedDict(_) => "OrderedDict",
            Value::Tensor(_) => "Tensor",
            Value::Parameter(_) => "Parameter",
            Value::Size(_) => "Size",
            Value::DType(_) => "dtype",
            Value::Device(_) => "device",
        }
    }
}

/// Reads everything a file holds; the tensors are put on `device`, wherever they were.
///
/// # Errors
/// Bytes that are not of this format, or damaged; a pickle that asks for anything else than [`Value`] has; an element type
/// Taper or the device does not have; contents of more than four times the file and 48 MiB; out of memory.
///
/// ```
/// # use taper::prelude::*; use taper_files::pt::{self, Value}; fn main() -> taper::Result<()> {
/// let device = Device::cpu();
/// let run = Value::Dict(vec![
///     (Value::Str("epoch".into()), Value::Int(3)),
///     (Value::Str("w".into()), Value::Tensor(Tensor::ones([2, 2], &device)?)),
/// ]);
/// let file = pt::write(&run)?; // torch.load(..) reads it
/// let back = pt::read(&file, &device)?;
/// assert_eq!(back.get("epoch").and_then(Value::as_int), Some(3));
/// assert_eq!(back.get("w").and_then(Value::as_tensor).unwrap().shape(), [2, 2]);
/// # Ok(()) }
/// ```
pub fn read(bytes: &[u8], device: &Device) -> Result<Value> {
    File::open(bytes)?.tensors(device)
}

/// What the tensors are, without reading them.
///
/// # Errors
/// As [`read`], but for the tensors' contents.
pub fn inspect(bytes: &[u8]) -> Result<Vec<Entry>> {
    let mut file = File::open(bytes)?;
    let tree = file.outline()?;
    Ok(tree.tensors().into_iter().map(|(name, recipe)| recipe.entry(&name)).collect())
}

/// Reads one tensor, under the name [`Value::tensors`] gives it; of several, the last.
///
/// # Errors
/// As [`read`]; there is none of this name.
pub fn tensor(bytes: &[u8], name: &str, device: &Device) -> Result<Tensor> {
    File::open(bytes)?.tensor(name, device)?.ok_or_else(|| Error::format(FORMAT, format!("{name} is not in the file")))
}

/// Under which a checkpoint usually keeps its state dict.
const USUAL: [&str; 4] = ["state_dict", "model_state_dict", "model", "module"];

/// Reads a state dict: the file's own dictionary, or the one a checkpoint has as `state_dict`, `model_state_dict`, `model`
/// or `module`. [`read`] gives whatever else there is.
///
/// # Errors
/// As [`read`]; there is no dictionary of tensors, or there are several.
///
/// ```
/// # use taper::prelude::*; use taper_files::pt; fn main() -> taper::Result<()> {
/// # let device = Device::cpu();
/// # let model = taper::nn::Linear::new(4, 2, &device)?;
/// let file = pt::write_state_dict(&model.state_dict())?;
/// model.load_state_dict(&pt::state_dict(&file, &device)?, true)?;
/// # Ok(()) }
/// ```
pub fn state_dict(bytes: &[u8], device: &Device) -> Result<StateDict> {
    let mut file = File::open(bytes)?;
    let tree = file.outline()?;
    let whole = is_state_dict(&tree);
    let under: Vec<&str> = USUAL.into_iter().filter(|key| tree.get(key).is_some_and(is_state_dict)).collect();
    let key = match (whole, &under[..]) {
        (true, _) => None,
        (false, [key]) => Some(*key),
        (false, _) => {
            let keys: Vec<String> = tree.entries().into_iter().flatten().take(20).map(|(k, v)| format!("{k:?}: {}", v.kind())).collect();
            return Err(Error::format(FORMAT, format!("no single dictionary of tensors, but {} {{{}}}", tree.kind(), keys.join(", "))));
        }
    };
    let tree = file.tensors(device)?;
    let dict = key.map_or(Some(&tree), |key| tree.get(key));
    let entries = dict.and_then(Value::entries).into_iter().flatten();
    Ok(entries.filter_map(|(k, v)| Some((k.as_str()?.to_string(), v.as_tensor()?.clone()))).collect())
}

fn is_state_dict<T>(value: &Value<T>) -> bool {
    let is_tensor = |(key, value): &(Value<T>, Value<T>)| key.as_str().is_some() && value.as_tensor().is_some();
    value.entries().is_some_and(|entries| entries.iter().all(is_tensor))
}

#[cfg(test)]
mod tests;
