//! Networks out of configuration: layers by PyTorch's names and arguments, from JSON or TOML.

mod settings;
mod table;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::copy::Copies;
use super::module::{Layer, Member, MemberMut, Module};
use super::sequential::Sequential;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

pub use settings::Settings;

const OP: &str = "config";
/// Blocks inside blocks: far beyond what anybody writes, and far from the end of the stack.
const DEEPEST: usize = 64;
/// Layers of one network: a `repeat` too many, or lists of blocks of lists, would go on until memory ends.
const MOST: usize = 1 << 20;

type Maker = dyn Fn(&mut Settings<'_>, &TensorOptions) -> Result<Box<dyn Layer>> + Send + Sync;

/// Layers by name. [`Registry::new`] has those of [`nn`](super); a program adds its own.
///
/// A configuration is the name of a layer, or an object with its `type`, its arguments under PyTorch's names, and if wanted
/// `residual` (the input is added to the result), `repeat` (so many of them, one after the other, each with weights of its own) and,
/// inside a `Sequential`, a `name`. A `Sequential` has a list of `layers`. `blocks` at the top are
/// configurations with a name of their own: where one is used as a `type`, arguments given there replace those of the block. Nothing
/// is ever changed by building from it.
///
/// ```
/// use taper::nn::{Layer, Module, ReLU, Registry};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let mut registry = Registry::new();
/// registry.register("MyActivation", |_, _| Ok(Box::new(ReLU)));
/// let model = registry.build_toml(
///     r#"
///     type = "Sequential"
///     layers = [
///         { type = "Linear", in_features = 4, out_features = 8 },
///         { type = "Block", repeat = 2 },
///         { type = "Block", dropout = 0.5, residual = false },
///         { type = "Linear", in_features = 8, out_features = 2, name = "head" },
///     ]
///
///     [blocks.Block]
///     type = "Sequential"
///     residual = true
///     layers = [{ type = "Linear", in_features = 8, out_features = 8 }, "MyActivation"]
///     "#,
///     &device,
/// );
/// // A Sequential drops nothing.
/// assert!(model.is_err_and(|e| e.to_string().contains("no argument dropout")));
/// let config = r#"{"type": "Sequential", "layers": [{"type": "Linear", "in_features": 4, "out_features": 2}, "ReLU"]}"#;
/// let model = registry.build_json(config, &device)?;
/// assert_eq!(model.num_parameters(), 10);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Registry {
    makers: BTreeMap<String, Arc<Maker>>,
}

impl Registry {
    /// With the layers of this library.
    pub fn new() -> Registry {
        let mut registry = Registry::default();
        table::fill(&mut registry);
        registry
    }

    /// Adds a layer, or replaces the one of this name.
    pub fn register(
        &mut self,
        name: impl Into<String>,
        make: impl Fn(&mut Settings<'_>, &TensorOptions) -> Result<Box<dyn Layer>> + Send + Sync + 'static,
    ) {
        self.makers.insert(name.into(), Arc::new(make));
    }

    /// The names of all layers, sorted.
    pub fn names(&self) -> Vec<&str> {
        self.makers.keys().map(String::as_str).collect()
    }

    /// Builds what a configuration describes.
    ///
    /// # Errors
    /// A name that nobody registered; an argument that is missing, is none of the layer's, or has a value it cannot have; blocks that
    /// contain themselves; more than a million layers; what a layer's own construction reports.
    pub fn build(&self, config: &Value, options: impl Into<TensorOptions>) -> Result<Box<dyn Layer>> {
        let none = Map::new();
        let mut config = config.clone();
        let blocks = config.as_object_mut().and_then(|o| o.remove("blocks"));
        let blocks = match &blocks {
            None => &none,
            Some(Value::Object(blocks)) => blocks,
            Some(other) => return Err(Error::argument(OP, format!("blocks should be an object, not {other}"))),
        };
        Builder { registry: self, blocks, options: options.into(), made: Cell::new(0) }.layer(&config, 0)
    }

    /// [`build`](Self::build) from JSON.
    ///
    /// # Errors
    /// Text that is no JSON; as [`build`](Self::build).
    pub fn build_json(&self, text: &str, options: impl Into<TensorOptions>) -> Result<Box<dyn Layer>> {
        let config = serde_json::from_str(text).map_err(|e| Error::argument(OP, e.to_string()))?;
        self.build(&config, options)
    }

    /// [`build`](Self::build) from TOML.
    ///
    /// # Errors
    /// Text that is no TOML; as [`build`](Self::build).
    pub fn build_toml(&self, text: &str, options: impl Into<TensorOptions>) -> Result<Box<dyn Layer>> {
        let config: Value = toml::from_str(text).map_err(|e| Error::argument(OP, e.to_string()))?;
        self.build(&config, options)
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.makers.keys()).finish()
    }
}

struct Builder<'a> {
    registry: &'a Registry,
    blocks: &'a Map<String, Value>,
    options: TensorOptions,
    made: Cell<usize>,
}

impl Builder<'_> {
    fn layer(&self, config: &Value, depth: usize) -> Result<Box<dyn Layer>> {
        let (name, mut given) = self.resolved(config, depth)?;
        given.remove("name");
        let mut settings = Settings::new(&name, &given);
        let residual = settings.flag("residual", false)?;
        let repeat = settings.size_or("repeat", 1)?;
        let one = || -> Result<Box<dyn Layer>> {
            let layer = self.plain(&name, settings.clone(), depth)?;
            Ok(if residual { Box::new(Residual { layer }) } else { layer })
        };
        if repeat == 1 {
            return one();
        }
        let mut all = Sequential::new();
        for _ in 0..repeat {
            all = all.add(one()?);
        }
        Ok(Box::new(all))
    }

    /// A layer without what every layer can have.
    fn plain(&self, name: &str, mut settings: Settings<'_>, depth: usize) -> Result<Box<dyn Layer>> {
        self.made.set(self.made.get() + 1);
        if self.made.get() > MOST {
            return Err(Error::argument(OP, format!("more than {MOST} layers")));
        }
        let layer: Box<dyn Layer> = if name == "Sequential" {
            let mut all = Sequential::new();
            for (i, part) in settings.list("layers")?.iter().enumerate() {
                let own = part.get("name").and_then(Value::as_str).map_or_else(|| i.to_string(), str::to_string);
                all = all.add_named(own, self.layer(part, depth + 1)?);
            }
            Box::new(all)
        } else {
            let make = self.registry.makers.get(name).ok_or_else(|| Error::argument(OP, format!("there is no layer '{name}'")))?;
            make(&mut settings, &self.options)?
        };
        settings.finish()?;
        Ok(layer)
    }

    /// The layer a configuration names, blocks replaced by what they stand for, and its arguments.
    fn resolved(&self, config: &Value, depth: usize) -> Result<(String, Map<String, Value>)> {
        let (mut name, mut given) = split(config)?;
        let mut steps = depth;
        while let Some(block) = self.blocks.get(&name) {
            steps += 1;
            if steps > DEEPEST {
                return Err(Error::argument(OP, format!("block '{name}' contains itself, or blocks are nested more than {DEEPEST} deep")));
            }
            let (inner, mut base) = split(block)?;
            base.extend(given);
            (name, given) = (inner, base);
        }
        if depth > DEEPEST {
            return Err(Error::argument(OP, format!("layers are nested more than {DEEPEST} deep")));
        }
        Ok((name, given))
    }
}

/// The `type` of a configuration, and everything else.
fn split(config: &Value) -> Result<(String, Map<String, Value>)> {
    match config {
        Value::String(name) => Ok((name.clone(), Map::new())),
        Value::Object(given) => {
            let mut given = given.clone();
            match given.remove("type") {
                Some(Value::String(name)) => Ok((name, given)),
                _ => Err(Error::argument(OP, format!("a layer needs a type: {config}"))),
            }
        }
        other => Err(Error::argument(OP, format!("a layer should be a name or an object, not {other}"))),
    }
}

/// The input is added to what the layer makes of it; names are the layer's own.
struct Residual {
    layer: Box<dyn Layer>,
}

impl Module for Residual {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.layer.members(visit);
    }
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.layer.members_mut(visit);
    }
    fn copied(&self, copies: &mut Copies) -> Result<Residual> {
        Ok(Residual { layer: self.layer.copied(copies)? })
    }
}

impl Layer for Residual {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.layer.forward(x)?;
        if y.shape() != x.shape() {
            let why = format!("a residual layer keeps the shape of its input, this one makes {:?} of {:?}", y.shape(), x.shape());
            return Err(Error::argument(OP, why));
        }
        y.add(x)
    }
}
