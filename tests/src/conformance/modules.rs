//! Kind "module": a layer or a loss with recorded parameters, its results, gradients and new buffers.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use taper::loss::Reduction;
use taper::nn::{self, Layer, Module, StateDict};
use taper::ops::registry::Value;
use taper::{DType, Device, Tensor, TensorOptions};

use super::compare::{self, Check, Tolerance};
use super::make::Maker;
use super::ops::compare_gradients;
use super::outcome::{Outcome, Step};
use super::suite::File;

pub fn sample(file: &File, sample: &Json, device: &Device) -> Step<()> {
    let mut maker = Maker::new(file, device);
    let built = build(file.json["module"].as_str().unwrap_or_default(), &sample["constructor"], &mut maker)?;
    if let Built::Layer(layer) = &built {
        load(layer, &sample["state_dict"], &maker)?;
        layer.train(sample["training"].as_bool().unwrap_or(true));
    }
    let mut inputs = maker.list(&sample["args"])?;
    if let Some(input) = sample["kwargs"].get("input") {
        inputs.push(maker.value(input)?);
    }
    let result = built.forward(&inputs)?;
    let check = if sample["check"] == "shape" { Check::Shape } else { Check::Values };
    let tolerance = Tolerance::of(sample);
    compare::value(&result, &sample["output"], &maker, tolerance, check, "result")?;
    let none = Map::new();
    if let (Built::Layer(layer), Some(after)) = (&built, sample["state_dict_after"].as_object()) {
        let state = layer.state_dict();
        for (name, key) in after {
            let found = state.get(name).ok_or_else(|| Outcome::failed(format!("there is no {name}")))?;
            compare::tensor(found, maker.stored(key.as_str().unwrap_or_default())?, tolerance, Check::Values, name)?;
        }
    }
    let Some(grad) = sample.get("grad") else { return Ok(()) };
    let text = |v: &Json| v.as_str().map(str::to_string);
    let (mut names, mut wanted) = (Vec::new(), Vec::new());
    if let Built::Layer(layer) = &built {
        let params: HashMap<String, nn::Param> = layer.named_parameters().into_iter().collect();
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
    let outputs = match result {
        Value::List(list) => list.iter().filter_map(|v| v.tensor().ok().cloned()).collect(),
        one => vec![one.tensor()?.clone()],
    };
    compare_gradients(&outputs, &cotangents, &wanted, &maker, Tolerance::of(grad), |i| format!("gradient of {}", names[i]))
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
    Layer(Box<dyn Layer>),
    Loss(Box<dyn Fn(&Tensor, &Tensor) -> taper::Result<Tensor>>),
}

impl Built {
    pub fn forward(&self, inputs: &[Value]) -> Step<Value> {
        Ok(match (self, inputs) {
            (Built::Layer(layer), [x]) => layer.forward(x.tensor()?)?.into(),
            (Built::Loss(loss), [x, target]) => loss(x.tensor()?, target.tensor()?)?.into(),
            (_, inputs) => return Err(Outcome::failed(format!("cannot be applied to {} arguments", inputs.len()))),
        })
    }
}

/// Constructs a module by PyTorch's name and arguments.
pub fn build(name: &str, constructor: &Json, maker: &mut Maker<'_>) -> Step<Built> {
    let Some(class) = name.strip_prefix("nn.").and_then(|name| CLASSES.iter().find(|c| c.name == name)) else {
        return Err(Outcome::Missing(name.into()));
    };
    let mut given = HashMap::new();
    let args = maker.list(&constructor["args"])?;
    if args.len() > class.params.len() {
        return Err(Outcome::failed(format!("{name} takes {} arguments, got {}", class.params.len(), args.len())));
    }
    given.extend(class.params.iter().map(|p| p.to_string()).zip(args));
    for (key, value) in constructor["kwargs"].as_object().into_iter().flatten() {
        given.insert(key.clone(), maker.value(value)?);
    }
    (class.build)(&Arguments { given, device: maker.device })
}

struct Class {
    name: &'static str,
    /// Of the constructor, in Python's order, as far as a recorded call is positional.
    params: &'static [&'static str],
    build: fn(&Arguments<'_>) -> Step<Built>,
}

macro_rules! classes {
    ($($name:ident ( $($param:ident),* ) |$a:ident| $body:expr;)*) => {
        const CLASSES: &[Class] = &[$(
            Class { name: stringify!($name), params: &[$(stringify!($param)),*], build: |$a| Ok(Built::from($body)) }
        ),*];
    };
}

impl<L: Layer + 'static> From<L> for Built {
    fn from(layer: L) -> Built {
        Built::Layer(Box::new(layer))
    }
}

classes! {
    Identity() |_a| nn::Identity;
    ReLU(inplace) |_a| nn::ReLU;
    SiLU(inplace) |_a| nn::SiLU;
    Tanh() |_a| nn::Tanh;
    Sigmoid() |_a| nn::Sigmoid;
    GELU(approximate) |a| match a.text("approximate", "none")?.as_str() {
        "none" => nn::GELU::new(),
        "tanh" => nn::GELU::tanh(),
        other => return Err(Outcome::failed(format!("approximate: '{other}'"))),
    };
    LeakyReLU(negative_slope, inplace) |a| nn::LeakyReLU::new(a.float("negative_slope", 0.01)?);
    ELU(alpha, inplace) |a| nn::ELU::new(a.float("alpha", 1.0)?);
    Softmax(dim) |a| nn::Softmax::new(a.int("dim", -1)? as isize);
    LogSoftmax(dim) |a| nn::LogSoftmax::new(a.int("dim", -1)? as isize);
    Flatten(start_dim, end_dim) |a| nn::Flatten::dims(a.int("start_dim", 1)? as isize, a.int("end_dim", -1)? as isize);
    Dropout(p, inplace) |a| nn::Dropout::new(a.float("p", 0.5)?)?;
    Linear(in_features, out_features, bias, device, dtype) |a| {
        let (i, o) = (a.size("in_features")?, a.size("out_features")?);
        if a.flag("bias", true)? { nn::Linear::new(i, o, a.options()?)? } else { nn::Linear::no_bias(i, o, a.options()?)? }
    };
    Embedding(num_embeddings, embedding_dim, padding_idx) |a| {
        let (n, d) = (a.size("num_embeddings")?, a.size("embedding_dim")?);
        match a.given("padding_idx") {
            None => nn::Embedding::new(n, d, a.options()?)?,
            Some(_) => nn::Embedding::with_padding(n, d, a.size("padding_idx")?, a.options()?)?,
        }
    };
    Conv1d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode) |a| {
        let b = nn::Conv1d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<1>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).dilation(a.sizes("dilation", Some(1))?);
        let b = match a.given("padding") {
            Some(Value::Str(same)) if same == "same" => b.padding_same(),
            Some(Value::Str(valid)) if valid == "valid" => b,
            _ => b.padding(a.sizes("padding", Some(0))?),
        };
        a.zeros_mode()?;
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode) |a| {
        let b = nn::Conv2d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<2>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).dilation(a.sizes("dilation", Some(1))?);
        let b = match a.given("padding") {
            Some(Value::Str(same)) if same == "same" => b.padding_same(),
            Some(Value::Str(valid)) if valid == "valid" => b,
            _ => b.padding(a.sizes("padding", Some(0))?),
        };
        a.zeros_mode()?;
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    ConvTranspose1d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation) |a| {
        let b = nn::ConvTranspose1d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<1>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).padding(a.sizes("padding", Some(0))?).dilation(a.sizes("dilation", Some(1))?);
        let b = b.output_padding(a.sizes("output_padding", Some(0))?);
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    ConvTranspose2d(in_channels, out_channels, kernel_size, stride, padding, output_padding, groups, bias, dilation) |a| {
        let b = nn::ConvTranspose2d::builder(a.size("in_channels")?, a.size("out_channels")?, a.sizes::<2>("kernel_size", None)?);
        let b = b.stride(a.sizes("stride", Some(1))?).padding(a.sizes("padding", Some(0))?).dilation(a.sizes("dilation", Some(1))?);
        let b = b.output_padding(a.sizes("output_padding", Some(0))?);
        b.groups(a.int("groups", 1)? as usize).bias(a.flag("bias", true)?).build(a.options()?)?
    };
    BatchNorm1d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::BatchNorm1d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.momentum()?);
        b.affine(a.flag("affine", true)?).track_running_stats(a.flag("track_running_stats", true)?).build(a.options()?)?
    };
    BatchNorm2d(num_features, eps, momentum, affine, track_running_stats) |a| {
        let b = nn::BatchNorm2d::builder(a.size("num_features")?).eps(a.float("eps", 1e-5)?).momentum(a.momentum()?);
        b.affine(a.flag("affine", true)?).track_running_stats(a.flag("track_running_stats", true)?).build(a.options()?)?
    };
    LayerNorm(normalized_shape, eps, elementwise_affine, bias) |a| {
        let norm = nn::LayerNorm::new(a.shape("normalized_shape")?, a.options()?)?.eps(a.float("eps", 1e-5)?);
        match (a.flag("elementwise_affine", true)?, a.flag("bias", true)?) {
            (false, _) => norm.plain(),
            (true, false) => norm.no_bias(),
            (true, true) => norm,
        }
    };
    RMSNorm(normalized_shape, eps, elementwise_affine) |a| {
        let norm = nn::RMSNorm::new(a.shape("normalized_shape")?, a.options()?)?;
        let norm = if a.given("eps").is_some() { norm.eps(a.float("eps", 0.0)?) } else { norm };
        if a.flag("elementwise_affine", true)? { norm } else { norm.plain() }
    };
    GroupNorm(num_groups, num_channels, eps, affine) |a| {
        let norm = nn::GroupNorm::new(a.size("num_groups")?, a.size("num_channels")?, a.options()?)?.eps(a.float("eps", 1e-5)?);
        if a.flag("affine", true)? { norm } else { norm.plain() }
    };
    MaxPool2d(kernel_size, stride, padding, dilation, return_indices, ceil_mode) |a| {
        let kernel = a.sizes::<2>("kernel_size", None)?;
        if a.flag("return_indices", false)? {
            return Err(Outcome::Missing("MaxPool2d with indices".into()));
        }
        let pool = nn::MaxPool2d::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<2>("padding", Some(0))?);
        pool.dilation(a.sizes::<2>("dilation", Some(1))?).ceil_mode(a.flag("ceil_mode", false)?)
    };
    AvgPool2d(kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override) |a| {
        let kernel = a.sizes::<2>("kernel_size", None)?;
        let pool = nn::AvgPool2d::new(kernel).stride(a.strides(kernel)?).padding(a.sizes::<2>("padding", Some(0))?);
        let pool = pool.ceil_mode(a.flag("ceil_mode", false)?).count_include_pad(a.flag("count_include_pad", true)?);
        if a.given("divisor_override").is_some() { pool.divisor_override(a.size("divisor_override")?) } else { pool }
    };
    AdaptiveAvgPool2d(output_size) |a| match a.given("output_size") {
        Some(Value::List(list)) if list.len() == 2 => nn::AdaptiveAvgPool2d::keeping([usize_of(&list[0]), usize_of(&list[1])]),
        _ => nn::AdaptiveAvgPool2d::new(a.sizes::<2>("output_size", None)?),
    };
    CrossEntropyLoss(weight, size_average, ignore_index, reduce, reduction, label_smoothing) |a| {
        let loss = nn::CrossEntropyLoss::new().ignore_index(a.int("ignore_index", -100)?).reduction(a.reduction()?);
        let loss = loss.label_smoothing(a.float("label_smoothing", 0.0)?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        return Ok(Built::Loss(Box::new(move |x, target| loss.forward(x, target))));
        #[allow(unreachable_code)]
        nn::Identity
    };
    MSELoss(size_average, reduce, reduction) |a| {
        let loss = nn::MSELoss::new().reduction(a.reduction()?);
        return Ok(Built::Loss(Box::new(move |x, target| loss.forward(x, target))));
        #[allow(unreachable_code)]
        nn::Identity
    };
}

/// The arguments of a constructor by name.
struct Arguments<'a> {
    given: HashMap<String, Value>,
    device: &'a Device,
}

impl Arguments<'_> {
    /// An argument that was given and is not `None`.
    fn given(&self, name: &str) -> Option<&Value> {
        self.given.get(name).filter(|v| !matches!(v, Value::None))
    }

    fn one<T>(&self, name: &str, default: Option<T>, read: impl Fn(&Value) -> Option<T>) -> Step<T> {
        match (self.given(name), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(Outcome::failed(format!("argument {name} is missing"))),
            (Some(v), _) => read(v).ok_or_else(|| Outcome::failed(format!("argument {name} cannot be {v:?}"))),
        }
    }

    fn flag(&self, name: &str, default: bool) -> Step<bool> {
        self.one(name, Some(default), |v| match v {
            Value::Bool(b) => Some(*b),
            _ => None,
        })
    }

    fn int(&self, name: &str, default: i64) -> Step<i64> {
        self.one(name, Some(default), |v| match v {
            Value::Int(i) => Some(*i),
            _ => None,
        })
    }

    fn size(&self, name: &str) -> Step<usize> {
        self.one(name, None, usize_of)
    }

    fn float(&self, name: &str, default: f64) -> Step<f64> {
        self.one(name, Some(default), |v| match v {
            Value::Int(i) => Some(*i as f64),
            Value::Float(f) => Some(*f),
            _ => None,
        })
    }

    fn text(&self, name: &str, default: &str) -> Step<String> {
        self.one(name, Some(default.to_string()), |v| match v {
            Value::Str(s) => Some(s.clone()),
            _ => None,
        })
    }

    /// One size for all dimensions or one for each.
    fn sizes<const N: usize>(&self, name: &str, default: Option<usize>) -> Step<[usize; N]> {
        self.one(name, default.map(|d| [d; N]), |v| match v {
            Value::List(list) if list.len() == 1 => Some([usize_of(&list[0])?; N]),
            Value::List(list) => list.iter().map(usize_of).collect::<Option<Vec<_>>>()?.try_into().ok(),
            v => Some([usize_of(v)?; N]),
        })
    }

    /// The stride of a pool: its kernel unless given.
    fn strides<const N: usize>(&self, kernel: [usize; N]) -> Step<[usize; N]> {
        if self.given("stride").is_some() { self.sizes("stride", None) } else { Ok(kernel) }
    }

    fn shape(&self, name: &str) -> Step<Vec<usize>> {
        self.one(name, None, |v| match v {
            Value::List(list) => list.iter().map(usize_of).collect(),
            v => usize_of(v).map(|n| vec![n]),
        })
    }

    fn momentum(&self) -> Step<Option<f64>> {
        match self.given.get("momentum") {
            Some(Value::None) => Ok(None),
            _ => self.float("momentum", 0.1).map(Some),
        }
    }

    fn reduction(&self) -> Step<Reduction> {
        Ok(match self.text("reduction", "mean")?.as_str() {
            "mean" => Reduction::Mean,
            "sum" => Reduction::Sum,
            "none" => Reduction::None,
            other => return Err(Outcome::failed(format!("reduction: '{other}'"))),
        })
    }

    fn zeros_mode(&self) -> Step<()> {
        match self.text("padding_mode", "zeros")?.as_str() {
            "zeros" => Ok(()),
            other => Err(Outcome::Missing(format!("padding_mode '{other}'"))),
        }
    }

    fn options(&self) -> Step<TensorOptions> {
        let dtype = self.one("dtype", Some(DType::F32), |v| match v {
            Value::DType(d) => Some(*d),
            _ => None,
        })?;
        Ok((dtype, self.device).into())
    }
}

fn usize_of(v: &Value) -> Option<usize> {
    match v {
        Value::Int(i) => usize::try_from(*i).ok(),
        _ => None,
    }
}
