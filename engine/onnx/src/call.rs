//! One call of an operator: its inputs and attributes, with errors that name them.

use std::sync::Arc;

use taper::{DType, Device, Error, Operand, Result, Tensor};

use crate::element::Elem;
use crate::graph::{Attribute, Graph, Node};
use crate::host::Host;
use crate::run::{self, Frame};
use crate::value::{Array, Value};

/// What an operator yields: its outputs in order.
pub(crate) type Out = Result<Vec<Value>>;

/// One output.
pub(crate) fn one(value: impl Into<Value>) -> Out {
    Ok(vec![value.into()])
}

pub(crate) struct Call<'a> {
    pub node: &'a Node,
    pub inputs: &'a [Option<Value>],
    pub frame: &'a Frame<'a>,
    pub device: &'a Device,
}

impl<'a> Call<'a> {
    /// An error of this node's arguments.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::argument("onnx", message.to_string())
    }

    pub fn opset(&self) -> i64 {
        self.node.opset
    }

    /// How many outputs are wanted.
    pub fn wants(&self, output: usize) -> bool {
        self.node.outputs.get(output).is_some_and(|o| !o.is_empty())
    }

    // ---- inputs ---------------------------------------------------------------------------------

    pub fn has(&self, i: usize) -> bool {
        self.inputs.get(i).is_some_and(Option::is_some)
    }

    pub fn value(&self, i: usize) -> Result<&'a Value> {
        self.inputs.get(i).and_then(Option::as_ref).ok_or_else(|| self.error(format!("input {i} is missing")))
    }

    pub fn array(&self, i: usize) -> Result<&'a Array> {
        self.value(i)?.array()
    }

    pub fn tensor(&self, i: usize) -> Result<Tensor> {
        self.array(i)?.tensor(self.device)
    }

    /// An optional input.
    pub fn maybe(&self, i: usize) -> Result<Option<Tensor>> {
        if self.has(i) { self.tensor(i).map(Some) } else { Ok(None) }
    }

    /// All inputs that are given.
    pub fn tensors(&self) -> Result<Vec<Tensor>> {
        (0..self.inputs.len()).filter(|&i| self.has(i)).map(|i| self.tensor(i)).collect()
    }

    /// A number where the host knows it to be one, which costs nothing on a device; else the tensor.
    pub fn operand(&self, i: usize) -> Result<Operand> {
        let array = self.array(i)?;
        match array.scalar() {
            Some(s) => Ok(Operand::Scalar(s)),
            None => Ok(Operand::Tensor(array.tensor(self.device)?)),
        }
    }

    /// Input `i` as a list of integers.
    pub fn ints(&self, i: usize) -> Result<Vec<i64>> {
        self.host(i)?.to_ints().map_err(|e| self.error(format!("input {i}: {e}")))
    }

    pub fn maybe_ints(&self, i: usize) -> Result<Option<Vec<i64>>> {
        if self.has(i) { self.ints(i).map(Some) } else { Ok(None) }
    }

    pub fn floats(&self, i: usize) -> Result<Vec<f64>> {
        Ok(self.host(i)?.to_floats())
    }

    /// The one number of an input.
    pub fn number(&self, i: usize) -> Result<f64> {
        match self.floats(i)?[..] {
            [v] => Ok(v),
            ref many => Err(self.error(format!("input {i} has {} elements instead of one", many.len()))),
        }
    }

    /// The one integer of an input.
    pub fn integer(&self, i: usize) -> Result<i64> {
        match self.ints(i)?[..] {
            [v] => Ok(v),
            ref many => Err(self.error(format!("input {i} has {} elements instead of one", many.len()))),
        }
    }

    pub fn host(&self, i: usize) -> Result<Host> {
        self.array(i)?.host()
    }

    // ---- attributes -----------------------------------------------------------------------------

    /// The attribute, by way of the function's attributes if it refers to one.
    pub fn attribute(&self, name: &str) -> Option<&'a Attribute> {
        match self.node.attributes.get(name)? {
            Attribute::Of(outer) => self.frame.attribute(outer),
            own => Some(own),
        }
    }

    fn kind(&self, name: &str, expected: &str) -> Error {
        self.error(format!("attribute '{name}' should be {expected}"))
    }

    pub fn maybe_int(&self, name: &str) -> Result<Option<i64>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Int(v)) => Ok(Some(*v)),
            Some(_) => Err(self.kind(name, "an integer")),
        }
    }

    pub fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.maybe_int(name)?.unwrap_or(default))
    }

    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        Ok(self.int(name, default.into())? != 0)
    }

    pub fn maybe_float(&self, name: &str) -> Result<Option<f64>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Float(v)) => Ok(Some(*v)),
            Some(_) => Err(self.kind(name, "a float")),
        }
    }

    pub fn float(&self, name: &str, default: f64) -> Result<f64> {
        Ok(self.maybe_float(name)?.unwrap_or(default))
    }

    pub fn text(&self, name: &str, default: &'a str) -> Result<&'a str> {
        match self.attribute(name) {
            None => Ok(default),
            Some(Attribute::Text(v)) => std::str::from_utf8(v).map_err(|_| self.kind(name, "text in UTF-8")),
            Some(_) => Err(self.kind(name, "a string")),
        }
    }

    pub fn texts(&self, name: &str) -> Result<Option<Vec<String>>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Texts(v)) => Ok(Some(v.iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect())),
            Some(_) => Err(self.kind(name, "a list of strings")),
        }
    }

    pub fn list(&self, name: &str) -> Result<Option<&'a [i64]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Ints(v)) => Ok(Some(v)),
            Some(_) => Err(self.kind(name, "a list of integers")),
        }
    }

    pub fn float_list(&self, name: &str) -> Result<Option<&'a [f64]>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Floats(v)) => Ok(Some(v)),
            Some(_) => Err(self.kind(name, "a list of floats")),
        }
    }

    pub fn maybe_graph(&self, name: &str) -> Result<Option<&'a Arc<Graph>>> {
        match self.attribute(name) {
            None => Ok(None),
            Some(Attribute::Graph(g)) => Ok(Some(g)),
            Some(_) => Err(self.kind(name, "a graph")),
        }
    }

    pub fn graph(&self, name: &str) -> Result<&'a Arc<Graph>> {
        self.maybe_graph(name)?.ok_or_else(|| self.kind(name, "a graph"))
    }

    /// An element type, as a number.
    pub fn elem(&self, name: &str) -> Result<Option<Elem>> {
        self.maybe_int(name)?.map(Elem::of).transpose()
    }

    /// The axes of a reduction, a squeeze, ..: an input since some version, before that an attribute.
    pub fn axes(&self, input: usize) -> Result<Option<Vec<i64>>> {
        match self.maybe_ints(input)? {
            None => Ok(self.list("axes")?.map(<[i64]>::to_vec)),
            some => Ok(some),
        }
    }

    /// A dimension of `rank`, from the front.
    pub fn dim(&self, axis: i64, rank: usize) -> Result<usize> {
        let at = if axis < 0 { axis + rank as i64 } else { axis };
        usize::try_from(at)
            .ok()
            .filter(|&d| d < rank)
            .ok_or_else(|| self.error(format!("axis {axis} is out of range for {rank} dimensions")))
    }

    pub fn dims(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        axes.iter().map(|&a| self.dim(a, rank)).collect()
    }

    /// Sizes: not negative, and not so large that sums of them would not fit.
    pub fn sizes(&self, values: &[i64]) -> Result<Vec<usize>> {
        self.up_to(values, crate::LARGE)
    }

    /// Strides, windows, paddings: small enough to be multiplied.
    pub fn steps(&self, values: &[i64]) -> Result<Vec<usize>> {
        self.up_to(values, 1 << 30)
    }

    fn up_to(&self, values: &[i64], most: usize) -> Result<Vec<usize>> {
        let fit = |&v: &i64| usize::try_from(v).ok().filter(|&v| v <= most);
        values.iter().map(fit).collect::<Option<_>>().ok_or_else(|| self.error(format!("{values:?} should lie between 0 and {most}")))
    }

    // ---- graphs inside ----------------------------------------------------------------------------

    /// Runs a graph of an attribute, which sees this frame's names.
    pub fn run(&self, graph: &Graph, inputs: Vec<Option<Value>>) -> Result<Vec<Value>> {
        run::graph(graph, inputs, Vec::new(), Some(self.frame), self.frame.attributes(), self.device)
    }

    /// A float type to compute in: half precision is widened.
    pub fn wide(dtype: DType) -> DType {
        if dtype == DType::F64 { DType::F64 } else { DType::F32 }
    }
}
