//! Running a graph: node by node, each by tensor code, which computes nothing yet.

use std::collections::HashMap;

use taper::{Device, Error, Result};

use crate::call::Call;
use crate::fold;
use crate::graph::{Action, Attribute, Graph, Node};
use crate::host::Host;
use crate::ops::Operator;
use crate::value::{Array, Value};

/// The values of one graph while it runs.
pub(crate) struct Frame<'a> {
    values: HashMap<&'a str, Value>,
    graph: &'a Graph,
    outside: Option<&'a Frame<'a>>,
    /// Of the function this runs in.
    attributes: Option<&'a HashMap<String, Attribute>>,
}

impl<'a> Frame<'a> {
    pub fn value(&self, name: &str) -> Option<Value> {
        let here = self.values.get(name).cloned().or_else(|| self.graph.constants.get(name).cloned().map(Value::Tensor));
        here.or_else(|| self.outside.and_then(|f| f.value(name)))
    }

    pub fn attributes(&self) -> Option<&'a HashMap<String, Attribute>> {
        self.attributes
    }

    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        self.attributes?.get(name)
    }
}

/// Runs a graph on inputs in its order; those not given are taken from its constants, except the `named` ones. `outside` are
/// the values it sees.
pub(crate) fn graph<'a>(
    graph: &'a Graph,
    inputs: Vec<Option<Value>>,
    named: Vec<(&'a str, Value)>,
    outside: Option<&'a Frame<'a>>,
    attributes: Option<&'a HashMap<String, Attribute>>,
    device: &Device,
) -> Result<Vec<Value>> {
    let mut frame = Frame { values: named.into_iter().collect(), graph, outside, attributes };
    for (port, value) in graph.inputs.iter().zip(inputs) {
        if let Some(value) = value {
            frame.values.insert(&port.name, value);
        }
    }
    for n in &graph.nodes {
        let outputs = node(n, &frame, device).map_err(|e| at(n, e))?;
        for (name, value) in n.outputs.iter().zip(outputs).filter(|(name, _)| !name.is_empty()) {
            frame.values.insert(name, value);
        }
        for name in &n.last {
            frame.values.remove(name.as_str());
        }
    }
    let missing = |name: &str| Error::argument("onnx", format!("no value for '{name}'"));
    graph.outputs.iter().map(|o| frame.value(&o.name).ok_or_else(|| missing(&o.name))).collect()
}

fn node(n: &Node, frame: &Frame<'_>, device: &Device) -> Result<Vec<Value>> {
    let missing = |name: &str| Error::argument("onnx", format!("no value for '{name}'"));
    let value = |name: &String| match name.as_str() {
        "" => Ok(None),
        // An input of a function that its caller left out is no error: it is left out here too.
        name if frame.graph.inputs.iter().any(|p| p.name == name) => Ok(frame.value(name)),
        name => frame.value(name).map(Some).ok_or_else(|| missing(name)),
    };
    let inputs = n.inputs.iter().map(value).collect::<Result<Vec<_>>>()?;
    let call = Call { node: n, inputs: &inputs, frame, device };
    match &n.action {
        Action::Operator(op) => {
            if let Some(known) = fold::fold(&call, op)? {
                return Ok(vec![known.into()]);
            }
            let mut outputs = match beside(&call, op)? {
                Some(outputs) => outputs,
                None => (op.run)(&call)?,
            };
            if op.moves {
                keep_type(&inputs, &mut outputs);
            }
            Ok(outputs)
        }
        Action::Function(f) => {
            let mut attributes = f.defaults.clone();
            for name in n.attributes.keys() {
                if let Some(value) = call.attribute(name) {
                    attributes.insert(name.clone(), value.clone());
                }
            }
            graph(&f.graph, inputs.clone(), Vec::new(), None, Some(&attributes), device)
        }
    }
}

/// What of known integers no fold computes is computed on the CPU beside a GPU, so that reading it does not wait for the GPU.
fn beside(call: &Call<'_>, op: &Operator) -> Result<Option<Vec<Value>>> {
    let whole = |v: &Value| known(v).is_some_and(|h| !h.dtype.is_float());
    let inside = call.node.attributes.values().any(|a| matches!(a, Attribute::Graph(_)));
    if call.device.is_cpu() || inside || !call.inputs.iter().flatten().all(whole) || call.inputs.iter().all(Option::is_none) {
        return Ok(None);
    }
    let outputs = (op.run)(&Call { device: &Device::cpu(), ..*call })?;
    let small = |value: Value| match value {
        Value::Tensor(a) if a.known().is_none() && Host::is_small(a.dtype(), a.shape().iter().product()) => {
            Ok(Value::Tensor(Array::from(a.host()?).marked(a.elem())))
        }
        other => Ok(other),
    };
    outputs.into_iter().map(small).collect::<Result<_>>().map(Some)
}

/// What only moves values keeps their type, narrow ones too.
fn keep_type(inputs: &[Option<Value>], outputs: &mut [Value]) {
    let Some(Some(Value::Tensor(first))) = inputs.first() else { return };
    for output in outputs {
        if let Value::Tensor(array) = output
            && array.dtype() == first.dtype()
        {
            *array = array.clone().marked(first.elem());
        }
    }
}

/// An error with the node it happened at.
fn at(n: &Node, e: Error) -> Error {
    let place = format!("node '{}' ({})", n.name, n.op);
    match e {
        // Of a node in a graph inside, which knows its own name.
        Error::Argument { op: "onnx", message } if message.starts_with("node '") => Error::argument("onnx", message),
        Error::Argument { op: "onnx", message } => Error::argument("onnx", format!("{place}: {message}")),
        Error::Unsupported { op, message } => Error::unsupported("onnx", format!("{place}: {op}: {message}")),
        lost @ (Error::OutOfMemory { .. } | Error::DeviceLost { .. }) => lost,
        other => Error::argument("onnx", format!("{place}: {other}")),
    }
}

/// A list of sizes as a value.
pub(crate) fn sizes(shape: &[usize]) -> Host {
    Host::ints(shape.iter().map(|&d| d as i64).collect())
}

/// Whether a value can be had without a device.
pub(crate) fn known(value: &Value) -> Option<&Host> {
    match value {
        Value::Tensor(array) => Array::known(array),
        _ => None,
    }
}
