//! Kind "module": a layer or a loss with recorded parameters, its results, gradients and new buffers.

mod activation;
mod arguments;
mod basic;
mod loss;
mod norm;
mod sequence;
mod spatial;
mod transformer;

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use taper::nn::{self, Layer, Module, StateDict};
use taper::ops::registry::Value;
use taper::{Device, Tensor};

use arguments::Arguments;

use super::compare::{self, Check, Tolerance};
use super::make::Maker;
use super::ops::compare_gradients;
use super::outcome::{Outcome, Step};
use super::suite::File;

pub fn sample(file: &File, sample: &Json, device: &Device) -> Step<()> {
    let mut maker = Maker::new(file, device);
    let built = build(file.json["module"].as_str().unwrap_or_default(), &sample["constructor"], &mut maker)?;
    if let Some(module) = built.module() {
        load(module, &sample["state_dict"], &maker)?;
        module.train(sample["training"].as_bool().unwrap_or(true));
    }
    let inputs = Inputs::recorded(sample, &mut maker)?;
    let result = built.forward(&inputs)?;
    let check = if sample["check"] == "shape" { Check::Shape } else { Check::Values };
    let tolerance = Tolerance::of(sample);
    compare::value(&result, &sample["output"], &maker, tolerance, check, "result")?;
    let none = Map::new();
    if let (Some(module), Some(after)) = (built.module(), sample["state_dict_after"].as_object()) {
        let state = module.state_dict();
        for (name, key) in after {
            let found = state.get(name).ok_or_else(|| Outcome::failed(format!("there is no {name}")))?;
            compare::tensor(found, maker.stored(key.as_str().unwrap_or_default())?, tolerance, Check::Values, name)?;
        }
    }
    let Some(grad) = sample.get("grad") else { return Ok(()) };
    let text = |v: &Json| v.as_str().map(str::to_string);
    let (mut names, mut wanted) = (Vec::new(), Vec::new());
    if let Some(module) = built.module() {
        let params: HashMap<String, nn::Param> = module.named_parameters().into_iter().collect();
        for (name, key) in grad["params"].as_object().unwrap_or(&none) {
            let param = params.get(name).ok_or_else(|| Outcome::failed(format!("there is no parameter {name}")))?;
            wanted.push(((**param).clone(), text(key)));
            names.push(name.clone());
        }
    }
    for i in grad["inputs"].as_array().into_iter().flatten() {
        let key = text(&i["input"]).unwrap_or_default();
        let input = maker.made(&key).ok_or_else(|| Outcome::failed(format!("there is no input {key}")))?;
        wanted.push((input.clone(), text(&i["grad"])));
        names.push(key);
    }
    let cotangents = grad["outputs"].as_array().into_iter().flatten().filter_map(|o| o["cotangent"].as_str());
    let cotangents = cotangents.map(|key| maker.tensor(key)).collect::<Step<Vec<Tensor>>>()?;
    let outputs = tensors(&result);
    compare_gradients(&outputs, &cotangents, &wanted, &maker, Tolerance::of(grad), |i| format!("gradient of {}", names[i]))
}

/// The tensors of a result, in order, however they are nested.
fn tensors(v: &Value) -> Vec<Tensor> {
    match v {
        Value::Tensor(t) => vec![t.clone()],
        Value::List(list) => list.iter().flat_map(tensors).collect(),
        _ => Vec::new(),
    }
}

/// Gives a module its recorded parameters and buffers.
pub fn load(module: &(impl Module + ?Sized), state: &Json, maker: &Maker<'_>) -> Step<()> {
    let mut tensors = StateDict::new();
    for (name, key) in state.as_object().into_iter().flatten() {
        tensors.insert(name.clone(), maker.tensor(key.as_str().unwrap_or_default())?);
    }
    module.load_state_dict(&tensors, true)?;
    Ok(())
}

/// A module by name.
pub enum Built {
    /// From one tensor to one tensor.
    Layer(Box<dyn Layer>),
    Loss(Box<dyn Fn(&Tensor, &Tensor) -> taper::Result<Tensor>>),
    /// Anything else: several inputs or results, keyword arguments.
    Other(Box<dyn Callable>),
}

/// A module that takes its inputs by position and name.
pub trait Callable: Module {
    fn call(&self, inputs: &Inputs) -> Step<Value>;

    /// The layer this is too, when its first input is enough.
    fn into_layer(self: Box<Self>) -> Option<Box<dyn Layer>> {
        None
    }
}

/// What a module is applied to.
#[derive(Default)]
pub struct Inputs {
    pub args: Vec<Value>,
    pub kwargs: HashMap<String, Value>,
}

impl Inputs {
    pub fn of(args: Vec<Value>) -> Inputs {
        Inputs { args, kwargs: HashMap::new() }
    }

    pub fn recorded(sample: &Json, maker: &mut Maker<'_>) -> Step<Inputs> {
        let kwargs = maker.kwargs(&sample["kwargs"])?.into_iter().map(|(k, v)| (k.to_string(), v)).collect();
        Ok(Inputs { args: maker.list(&sample["args"])?, kwargs })
    }

    /// An input that was given and is not `None`.
    pub fn get(&self, position: usize, name: &str) -> Option<&Value> {
        self.args.get(position).or_else(|| self.kwargs.get(name)).filter(|v| !matches!(v, Value::None))
    }

    /// A tensor that may be missing.
    pub fn tensor(&self, position: usize, name: &str) -> Step<Option<&Tensor>> {
        self.get(position, name).map(Value::tensor).transpose().map_err(|e| Outcome::by_type(e.to_string()))
    }

    /// A tensor that must be there.
    pub fn needed(&self, position: usize, name: &str) -> Step<&Tensor> {
        self.tensor(position, name)?.ok_or_else(|| Outcome::by_type(format!("argument {name} is missing")))
    }
}

/// A module and how it is called.
struct With<M, F>(M, F);

impl<M: Module, F: Send + Sync> Module for With<M, F> {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, nn::Member<'a>)) {
        self.0.members(visit);
    }
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, nn::MemberMut<'_>)) {
        self.0.members_mut(visit);
    }
}

impl<M: Module, F: Fn(&M, &Inputs) -> Step<Value> + Send + Sync> Callable for With<M, F> {
    fn call(&self, inputs: &Inputs) -> Step<Value> {
        (self.1)(&self.0, inputs)
    }
}

/// A layer that takes more inputs if they are given.
struct LayerWith<M, F>(With<M, F>);

impl<M: Module, F: Send + Sync> Module for LayerWith<M, F> {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, nn::Member<'a>)) {
        self.0.members(visit);
    }
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, nn::MemberMut<'_>)) {
        self.0.members_mut(visit);
    }
}

impl<M: Layer + 'static, F: Fn(&M, &Inputs) -> Step<Value> + Send + Sync> Callable for LayerWith<M, F> {
    fn call(&self, inputs: &Inputs) -> Step<Value> {
        self.0.call(inputs)
    }
    fn into_layer(self: Box<Self>) -> Option<Box<dyn Layer>> {
        let LayerWith(With(layer, _)) = *self;
        Some(Box::new(layer))
    }
}

impl Built {
    pub fn loss(f: impl Fn(&Tensor, &Tensor) -> taper::Result<Tensor> + 'static) -> Built {
        Built::Loss(Box::new(f))
    }

    /// A module with a call of its own: `Built::with(module, |m, inputs| ..)`.
    pub fn with<M: Module + 'static>(module: M, call: impl Fn(&M, &Inputs) -> Step<Value> + Send + Sync + 'static) -> Built {
        Built::Other(Box::new(With(module, call)))
    }

    /// A layer with a call of its own for more inputs.
    pub fn layer_with<M: Layer + 'static>(layer: M, call: impl Fn(&M, &Inputs) -> Step<Value> + Send + Sync + 'static) -> Built {
        Built::Other(Box::new(LayerWith(With(layer, call))))
    }

    pub fn into_layer(self) -> Option<Box<dyn Layer>> {
        match self {
            Built::Layer(layer) => Some(layer),
            Built::Other(other) => other.into_layer(),
            Built::Loss(_) => None,
        }
    }

    /// What has parameters and buffers.
    pub fn module(&self) -> Option<&dyn Module> {
        match self {
            Built::Layer(layer) => Some(&**layer),
            Built::Other(other) => Some(&**other),
            Built::Loss(_) => None,
        }
    }

    pub fn forward(&self, inputs: &Inputs) -> Step<Value> {
        let count = inputs.args.len() + inputs.kwargs.len();
        Ok(match self {
            Built::Layer(layer) if count == 1 => layer.forward(inputs.needed(0, "input")?)?.into(),
            Built::Loss(loss) if count == 2 => loss(inputs.needed(0, "input")?, inputs.needed(1, "target")?)?.into(),
            Built::Other(other) => other.call(inputs)?,
            _ => return Err(Outcome::by_type(format!("cannot be applied to {count} arguments"))),
        })
    }
}

/// Constructs a module by PyTorch's name and arguments.
pub fn build(name: &str, constructor: &Json, maker: &mut Maker<'_>) -> Step<Built> {
    let classes =
        [basic::CLASSES, activation::CLASSES, norm::CLASSES, loss::CLASSES, sequence::CLASSES, transformer::CLASSES, spatial::CLASSES];
    let Some(class) = name.strip_prefix("nn.").and_then(|name| classes.into_iter().flatten().find(|c| c.name == name)) else {
        return Err(Outcome::Missing(name.into()));
    };
    let mut given = HashMap::new();
    let args = maker.list(&constructor["args"])?;
    if args.len() > class.params.len() {
        return Err(Outcome::by_type(format!("{name} takes {} arguments, got {}", class.params.len(), args.len())));
    }
    given.extend(class.params.iter().map(|p| p.to_string()).zip(args));
    for (key, value) in constructor["kwargs"].as_object().into_iter().flatten() {
        given.insert(key.clone(), maker.value(value)?);
    }
    (class.build)(&Arguments { given, device: maker.device })
}

/// One row of a family's table.
struct Class {
    name: &'static str,
    /// Of the constructor, in Python's order, as far as a recorded call is positional.
    params: &'static [&'static str],
    build: fn(&Arguments<'_>) -> Step<Built>,
}

impl<L: Layer + 'static> From<L> for Built {
    fn from(layer: L) -> Built {
        Built::Layer(Box::new(layer))
    }
}

/// A table of classes: `Name(parameters in order) |arguments| module or Built;`.
macro_rules! classes {
    ($($name:ident ( $($param:ident),* ) |$a:ident| $body:expr;)*) => {
        pub(super) const CLASSES: &[super::Class] = &[$(
            super::Class { name: stringify!($name), params: &[$(stringify!($param)),*], build: |$a| Ok(super::Built::from($body)) }
        ),*];
    };
}
use classes;
