//! A model's graph, checked: every operator is known, every name is made before it is used.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use taper::{Error, Result};

use crate::decode::{self, External, wrong};
use crate::element::Elem;
use crate::model::Stored;
use crate::ops::{self, Operator};
use crate::proto;
use crate::value::Array;

/// How deep functions may call each other and graphs lie in graphs, together.
const DEEPEST: usize = 64;
/// The latest operator set whose rows are in the table.
const NEWEST: i64 = 28;

/// Nodes in an order they can run in.
#[derive(Debug)]
pub(crate) struct Graph {
    pub inputs: Vec<Port>,
    pub outputs: Vec<Port>,
    pub constants: HashMap<String, Array>,
    pub nodes: Vec<Node>,
}

/// An input or an output: its name, and what is declared of it.
#[derive(Debug, Clone)]
pub struct Port {
    /// Its name in the graph.
    pub name: String,
    /// The element type, of a tensor.
    pub elem: Option<Elem>,
    /// The sizes of a tensor's dimensions, where they are declared.
    pub shape: Option<Vec<Size>>,
    /// How its values are stored outside a model.
    pub stored: Stored,
}

/// The size of a dimension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Size {
    /// Always the same.
    Fixed(usize),
    /// Whatever the input has, by the name the model has for it.
    Dynamic(String),
}

#[derive(Debug)]
pub(crate) struct Node {
    pub name: String,
    pub op: String,
    pub opset: i64,
    /// An empty name is an input that is not given.
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: HashMap<String, Attribute>,
    pub action: Action,
    /// Names nobody needs after it.
    pub last: Vec<String>,
}

#[derive(Debug)]
pub(crate) enum Action {
    Operator(&'static Operator),
    Function(Arc<Function>),
}

/// A function of the model.
#[derive(Debug)]
pub(crate) struct Function {
    pub graph: Graph,
    pub defaults: HashMap<String, Attribute>,
}

#[derive(Debug, Clone)]
pub(crate) enum Attribute {
    Float(f64),
    Int(i64),
    Text(Vec<u8>),
    Tensor(Array),
    Graph(Arc<Graph>),
    Floats(Vec<f64>),
    Ints(Vec<i64>),
    Texts(Vec<Vec<u8>>),
    /// What no operator here reads: a type, a list of tensors.
    Unread,
    /// The value of an attribute of the function this is in.
    Of(String),
}

type Key = (String, String, String);

/// What the graphs of one model share while they are checked.
pub(crate) struct Checker<'a> {
    external: &'a External<'a>,
    protos: HashMap<Key, proto::Function>,
    functions: HashMap<Key, Arc<Function>>,
    open: Vec<Key>,
    depth: usize,
    unsupported: Vec<String>,
}

/// `ai.onnx` is the domain without a name.
fn domain(name: &str) -> &str {
    if name == "ai.onnx" { "" } else { name }
}

/// Versions by domain.
type Opsets = HashMap<String, i64>;

fn opsets(imports: &[proto::OperatorSet]) -> Result<Opsets> {
    let all: Opsets = imports.iter().map(|o| (domain(&o.domain).to_string(), o.version)).collect();
    match all.get("") {
        // What a later version changes is not known; a result would only look right.
        Some(&newer) if newer > NEWEST => Err(Error::unsupported("onnx", format!("opset {newer} is newer than {NEWEST}"))),
        _ => Ok(all),
    }
}

/// Checks a model.
pub(crate) fn check(model: proto::Model, external: &External<'_>) -> Result<Graph> {
    let graph = model.graph.ok_or_else(|| wrong("the model has no graph"))?;
    let key = |f: &proto::Function| (domain(&f.domain).to_string(), f.name.clone(), f.overload.clone());
    let protos = model.functions.into_iter().map(|f| (key(&f), f)).collect();
    let mut checker = Checker { external, protos, functions: HashMap::new(), open: Vec::new(), depth: 0, unsupported: Vec::new() };
    let versions = opsets(&model.opset_import)?;
    let graph = checker.graph(graph, &versions, &[])?;
    if !checker.unsupported.is_empty() {
        checker.unsupported.sort();
        checker.unsupported.dedup();
        return Err(Error::unsupported("onnx", format!("operators that are not supported: {}", checker.unsupported.join(", "))));
    }
    Ok(graph)
}

impl Graph {
    /// Whether a run draws random numbers: the same inputs give other outputs.
    pub fn is_random(&self) -> bool {
        let inside = |n: &Node| n.attributes.values().any(|a| matches!(a, Attribute::Graph(g) if g.is_random()));
        self.nodes.iter().any(|n| match &n.action {
            Action::Function(f) => f.graph.is_random(),
            Action::Operator(op) => {
                // In training, which a flag says that may be an input.
                let off = |name: &String| self.constants.get(name).and_then(Array::known).is_some_and(|h| h.to_floats() == [0.0]);
                let drops = op.name == "Dropout" && n.opset >= 12 && n.inputs.get(2).is_some_and(|i| !i.is_empty() && !off(i));
                drops || matches!(op.name, "Bernoulli" | "Multinomial") || op.name.starts_with("Random") || inside(n)
            }
        })
    }
}

impl Checker<'_> {
    /// One graph or function further in: each is a call on the stack, here and when it runs.
    fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth > DEEPEST { Err(wrong(format!("graphs and functions more than {DEEPEST} deep"))) } else { Ok(()) }
    }

    fn graph(&mut self, g: proto::Graph, versions: &Opsets, outside: &[&HashSet<String>]) -> Result<Graph> {
        let mut constants = HashMap::new();
        for t in g.initializer {
            let name = t.name.clone();
            constants.insert(name, decode::tensor(t, self.external)?);
        }
        for s in g.sparse_initializer {
            let name = s.values.as_ref().map(|v| v.name.clone()).unwrap_or_default();
            constants.insert(name, decode::sparse(s, self.external)?);
        }
        let inputs = g.input.iter().map(port).collect::<Result<Vec<_>>>()?;
        let outputs = g.output.iter().map(port).collect::<Result<Vec<_>>>()?;
        let known = inputs.iter().map(|p| p.name.clone()).chain(constants.keys().cloned()).collect();
        self.descend()?;
        let nodes = self.nodes(g.node, known, &outputs, versions, outside)?;
        self.depth -= 1;
        Ok(Graph { inputs, outputs, constants, nodes })
    }

    fn nodes(
        &mut self,
        protos: Vec<proto::Node>,
        mut known: HashSet<String>,
        outputs: &[Port],
        versions: &Opsets,
        outside: &[&HashSet<String>],
    ) -> Result<Vec<Node>> {
        let mut nodes = Vec::with_capacity(protos.len());
        // Names that graphs inside each node use of this one.
        let mut captured: Vec<HashSet<String>> = Vec::with_capacity(protos.len());
        for n in protos {
            let label = if n.name.is_empty() { n.output.first().cloned().unwrap_or_default() } else { n.name.clone() };
            for input in n.input.iter().filter(|i| !i.is_empty()) {
                if !known.contains(input) && !outside.iter().any(|o| o.contains(input)) {
                    return Err(wrong(format!("node '{label}' ({}) uses '{input}', which nothing before it makes", n.op_type)));
                }
            }
            let mut uses = HashSet::new();
            n.attribute.iter().filter_map(|a| a.g.as_deref()).for_each(|g| names_used(g, &mut uses));
            captured.push(uses);
            let node = self.node(n, label, &known, versions, outside)?;
            for output in node.outputs.iter().filter(|o| !o.is_empty()) {
                if !known.insert(output.clone()) {
                    return Err(wrong(format!("node '{}' ({}) makes '{output}' a second time", node.name, node.op)));
                }
            }
            nodes.push(node);
        }
        for output in outputs {
            if !known.contains(&output.name) && !outside.iter().any(|o| o.contains(&output.name)) {
                return Err(wrong(format!("nothing makes the output '{}'", output.name)));
            }
        }
        // Last uses, from the end.
        let mut needed: HashSet<String> = outputs.iter().map(|o| o.name.clone()).collect();
        for (node, captured) in nodes.iter_mut().zip(captured).rev() {
            let used: HashSet<&String> = node.inputs.iter().chain(&node.outputs).chain(&captured).filter(|i| !i.is_empty()).collect();
            let last: Vec<String> = used.into_iter().filter(|name| needed.insert((*name).clone())).cloned().collect();
            node.last = last;
        }
        Ok(nodes)
    }

    fn node(
        &mut self,
        n: proto::Node,
        name: String,
        known: &HashSet<String>,
        versions: &Opsets,
        outside: &[&HashSet<String>],
    ) -> Result<Node> {
        let within = domain(&n.domain);
        let opset = versions.get(within).copied().unwrap_or(1);
        let action = self.action(within, &n, opset);
        let scopes: Vec<&HashSet<String>> = outside.iter().copied().chain([known]).collect();
        let mut attributes = HashMap::new();
        for a in n.attribute {
            let (key, value) = self.attribute(a, versions, &scopes)?;
            attributes.insert(key, value);
        }
        // Ports of subgraphs and functions may be without types; those of operators are checked when they run.
        let action = action?;
        Ok(Node { name, op: n.op_type, opset, inputs: n.input, outputs: n.output, attributes, action, last: Vec::new() })
    }

    /// A function of the model, or an operator.
    fn action(&mut self, within: &str, n: &proto::Node, opset: i64) -> Result<Action> {
        let key = (within.to_string(), n.op_type.clone(), n.overload.clone());
        if let Some(f) = self.function(&key)? {
            return Ok(Action::Function(f));
        }
        if let Some(op) = ops::find(within, &n.op_type, opset) {
            return Ok(Action::Operator(op));
        }
        let domain = if within.is_empty() { "ai.onnx" } else { within };
        self.unsupported.push(format!("{domain}.{} (opset {opset})", n.op_type));
        // A stand-in: the whole model is refused when all such operators are known.
        Ok(Action::Operator(ops::none()))
    }

    fn function(&mut self, key: &Key) -> Result<Option<Arc<Function>>> {
        if let Some(f) = self.functions.get(key) {
            return Ok(Some(f.clone()));
        }
        if self.open.contains(key) {
            return Err(wrong(format!("function '{}' calls itself", key.1)));
        }
        let Some(f) = self.protos.remove(key) else { return Ok(None) };
        self.descend()?;
        self.open.push(key.clone());
        let versions = opsets(&f.opset_import)?;
        let ports = |names: Vec<String>| {
            names.into_iter().map(|name| Port { name, elem: None, shape: None, stored: Stored::Tensor }).collect::<Vec<_>>()
        };
        let (inputs, outputs) = (ports(f.input), ports(f.output));
        let known = inputs.iter().map(|p| p.name.clone()).collect();
        let nodes = self.nodes(f.node, known, &outputs, &versions, &[])?;
        let mut defaults = HashMap::new();
        for a in f.attribute_proto {
            let (key, value) = self.attribute(a, &versions, &[])?;
            defaults.insert(key, value);
        }
        let made = Arc::new(Function { graph: Graph { inputs, outputs, constants: HashMap::new(), nodes }, defaults });
        self.open.pop();
        self.depth -= 1;
        self.functions.insert(key.clone(), made.clone());
        Ok(Some(made))
    }

    fn attribute(&mut self, a: proto::Attribute, versions: &Opsets, scopes: &[&HashSet<String>]) -> Result<(String, Attribute)> {
        let missing = |what: &str| wrong(format!("attribute '{}' is to be {what}, but has none", a.name));
        if !a.ref_attr_name.is_empty() {
            return Ok((a.name, Attribute::Of(a.ref_attr_name)));
        }
        // Files of the first version say nothing of the kind.
        let kind = match a.kind {
            0 if a.g.is_some() => 5,
            0 if a.t.is_some() => 4,
            0 if a.s.is_some() => 3,
            0 if a.i.is_some() => 2,
            0 if a.f.is_some() => 1,
            0 if !a.ints.is_empty() => 7,
            0 if !a.floats.is_empty() => 6,
            0 if !a.strings.is_empty() => 8,
            kind => kind,
        };
        let value = match kind {
            1 => Attribute::Float(f64::from(a.f.unwrap_or(0.0))),
            2 => Attribute::Int(a.i.unwrap_or(0)),
            3 => Attribute::Text(a.s.unwrap_or_default()),
            4 => Attribute::Tensor(decode::tensor(a.t.ok_or_else(|| missing("a tensor"))?, self.external)?),
            5 => Attribute::Graph(Arc::new(self.graph(*a.g.ok_or_else(|| missing("a graph"))?, versions, scopes)?)),
            6 => Attribute::Floats(a.floats.into_iter().map(f64::from).collect()),
            7 => Attribute::Ints(a.ints),
            8 => Attribute::Texts(a.strings),
            9 | 13 => Attribute::Unread,
            11 => Attribute::Tensor(decode::sparse(a.sparse_tensor.ok_or_else(|| missing("a sparse tensor"))?, self.external)?),
            other => return Err(Error::unsupported("onnx", format!("attribute '{}' of kind {other}", a.name))),
        };
        Ok((a.name, value))
    }
}

/// The names a graph and the graphs inside it use, their own ones too.
fn names_used(g: &proto::Graph, into: &mut HashSet<String>) {
    into.extend(g.output.iter().map(|o| o.name.clone()));
    for n in &g.node {
        into.extend(n.input.iter().cloned());
        n.attribute.iter().filter_map(|a| a.g.as_deref()).for_each(|g| names_used(g, into));
    }
}

fn port(v: &proto::ValueInfo) -> Result<Port> {
    let tensor = v.r#type.as_ref().and_then(|t| t.tensor.as_ref());
    // A type that is not supported is an error where such a value is made or given.
    let elem = tensor.and_then(|t| Elem::of(t.elem_type.into()).ok());
    let size = |d: &proto::Dimension| match d.value {
        Some(n) if n >= 0 => Size::Fixed(n as usize),
        _ => Size::Dynamic(d.param.clone().unwrap_or_default()),
    };
    let shape = tensor.and_then(|t| t.shape.as_ref()).map(|s| s.dim.iter().map(size).collect());
    let stored = match &v.r#type {
        Some(proto::Type { sequence: Some(_), .. }) => Stored::Sequence,
        Some(proto::Type { optional: Some(_), .. }) => Stored::Optional,
        _ => Stored::Tensor,
    };
    Ok(Port { name: v.name.clone(), elem, shape, stored })
}
