//! A model: read from bytes, checked, run.

use prost::Message;
use taper::{Device, Error, Result, Tensor};

use crate::decode::{self, External, wrong};
use crate::graph::{self, Graph, Port, Size};
use crate::limits;
use crate::run;
use crate::value::Value;

/// A model whose operators are all known and whose graph can run.
#[derive(Debug)]
pub struct Model {
    graph: Graph,
}

/// A value as it is stored outside a model: `TensorProto`, `SequenceProto`, `OptionalProto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Stored {
    Tensor,
    Sequence,
    Optional,
}

fn message<M: Message + Default>(bytes: &[u8], what: &str) -> Result<M> {
    M::decode(bytes).map_err(|e| wrong(format!("no {what}: {e}")))
}

impl Value {
    /// Reads a value stored on its own, as the test data of ONNX are.
    ///
    /// # Errors
    /// Bytes that are no such message; an element type that is not supported.
    ///
    /// ```
    /// # use taper_onnx::{Stored, Value}; fn main() -> taper::Result<()> {
    /// // dims 1, data_type 1 (f32), raw_data 0x3F800000
    /// let bytes = [0x08, 1, 0x10, 1, 0x4A, 4, 0, 0, 0x80, 0x3F];
    /// let value = Value::from_bytes(&bytes, Stored::Tensor)?;
    /// assert_eq!(value.tensor(&taper::Device::cpu())?.to_vec::<f32>()?, [1.0]);
    /// assert!(Value::from_bytes(&bytes[..6], Stored::Tensor).is_err());
    /// # Ok(()) }
    /// ```
    pub fn from_bytes(bytes: &[u8], stored: Stored) -> Result<Value> {
        let inside = |path: &str, _, _| Err(wrong(format!("a value with data in another file ('{path}')")));
        match stored {
            Stored::Tensor => decode::tensor(message(bytes, "tensor")?, &inside).map(Value::Tensor),
            Stored::Sequence => decode::sequence(message(bytes, "sequence")?, &inside),
            Stored::Optional => decode::optional(message(bytes, "optional")?, &inside),
        }
    }
}

impl Model {
    /// Reads a model. `external` yields the bytes of weights that lie in other files.
    ///
    /// # Errors
    /// Bytes that are no model; a graph that cannot run; operators that are not supported, all of them named.
    ///
    /// ```
    /// # use taper_onnx::Model;
    /// let error = Model::from_bytes(b"no model", &|_, _, _| Ok(vec![])).unwrap_err();
    /// assert!(error.to_string().starts_with("onnx: "));
    /// ```
    pub fn from_bytes(bytes: &[u8], external: &External<'_>) -> Result<Model> {
        limits::check(bytes)?;
        let graph = graph::check(message(bytes, "model")?, external)?;
        Ok(Model { graph })
    }

    /// The inputs a run needs: those of the graph that no initialiser gives.
    ///
    /// ```no_run
    /// # let model: taper_onnx::Model = unimplemented!();
    /// for port in model.inputs() {
    ///     println!("{}: {:?}", port.name, port.shape);
    /// }
    /// ```
    pub fn inputs(&self) -> impl Iterator<Item = &Port> {
        self.graph.inputs.iter().filter(|p| !self.graph.constants.contains_key(&p.name))
    }

    /// The outputs of a run, in order.
    ///
    /// ```no_run
    /// # let model: taper_onnx::Model = unimplemented!();
    /// let names: Vec<&str> = model.outputs().map(|port| port.name.as_str()).collect();
    /// ```
    pub fn outputs(&self) -> impl Iterator<Item = &Port> {
        self.graph.outputs.iter()
    }

    /// Whether a run draws random numbers: the same inputs give other outputs.
    ///
    /// ```no_run
    /// # let model: taper_onnx::Model = unimplemented!();
    /// assert!(!model.is_random());
    /// ```
    pub fn is_random(&self) -> bool {
        self.graph.is_random()
    }

    /// The initialisers on a device, by name: to look at, or to train. Those that are given to [`run`](Model::run) under their
    /// names take the place of the stored ones, and get gradients.
    ///
    /// # Errors
    /// The device cannot hold them.
    ///
    /// ```no_run
    /// # use taper::Device; fn main() -> taper::Result<()> {
    /// # let model: taper_onnx::Model = unimplemented!();
    /// for (name, tensor) in model.initializers(&Device::cpu())? {
    ///     if tensor.dtype().is_float() {
    ///         tensor.requires_grad_(true)?;
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub fn initializers(&self, device: &Device) -> Result<Vec<(String, Tensor)>> {
        let mut names: Vec<_> = self.graph.constants.iter().collect();
        names.sort_by_key(|(name, _)| name.as_str());
        names.into_iter().map(|(name, array)| Ok((name.clone(), array.tensor(device)?))).collect()
    }

    /// Runs the model: nothing is computed before an output is read, except what a condition depends on.
    ///
    /// # Errors
    /// An input that is missing, unknown or of another type or shape than declared; what an operator says, with the node's name.
    ///
    /// ```no_run
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// # let model: taper_onnx::Model = unimplemented!();
    /// let device = Device::cpu();
    /// let x = Tensor::ones([1, 4], &device)?;
    /// let y = model.run(&[("x", (&x).into())], &device)?;
    /// # Ok(()) }
    /// ```
    pub fn run(&self, inputs: &[(&str, Value)], device: &Device) -> Result<Vec<(String, Value)>> {
        let graph = &self.graph;
        let find = |name: &str| inputs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.clone());
        for (name, _) in inputs {
            if !graph.inputs.iter().any(|p| p.name == *name) && !graph.constants.contains_key(*name) {
                let known: Vec<&str> = self.inputs().map(|p| p.name.as_str()).collect();
                return Err(Error::argument("onnx", format!("there is no input '{name}' (there are: {})", known.join(", "))));
            }
        }
        let mut values = Vec::with_capacity(graph.inputs.len());
        for port in &graph.inputs {
            let value = find(&port.name);
            match &value {
                Some(value) => check(port, value)?,
                None if graph.constants.contains_key(&port.name) => {}
                None => return Err(Error::argument("onnx", format!("input '{}' is missing", port.name))),
            }
            values.push(value);
        }
        let trained: Vec<(&str, Value)> = graph
            .constants
            .keys()
            .filter(|name| !graph.inputs.iter().any(|p| p.name == **name))
            .filter_map(|n| Some((n.as_str(), find(n)?)))
            .collect();
        let outputs = run::graph(graph, values, trained, None, None, device)?;
        Ok(graph.outputs.iter().map(|p| p.name.clone()).zip(outputs).collect())
    }
}

/// Whether a value is what an input is declared to be.
fn check(port: &Port, value: &Value) -> Result<()> {
    let (Value::Tensor(array), Some(elem)) = (value, port.elem) else { return Ok(()) };
    let wrong = |what: String| Err(Error::argument("onnx", format!("input '{}' {what}", port.name)));
    if array.dtype() != elem.storage() {
        return wrong(format!("is {}, declared {elem}", array.elem()));
    }
    let Some(shape) = &port.shape else { return Ok(()) };
    let fits = |(&n, s): (&usize, &Size)| !matches!(s, Size::Fixed(f) if *f != n);
    if array.shape().len() != shape.len() || !array.shape().iter().zip(shape).all(fits) {
        return wrong(format!("has shape {:?}, declared {shape:?}", array.shape()));
    }
    Ok(())
}

/// The operators that are supported: domain, name and the opset since which a row holds.
///
/// ```
/// assert!(taper_onnx::operators().any(|(domain, name, _)| domain.is_empty() && name == "Conv"));
/// ```
pub fn operators() -> impl Iterator<Item = (&'static str, &'static str, i64)> {
    crate::ops::all().map(|op| (op.domain, op.name, op.since))
}
