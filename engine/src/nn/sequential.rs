//! Layers one after the other.

use crate::error::Result;
use crate::tensor::Tensor;

use super::copy::Copies;
use super::module::{Layer, Member, MemberMut, Module};

/// Implements [`Layer`] by the method `forward` a layer has anyway.
macro_rules! layers {
    ($($layer:ident $(<const $n:ident>)?),* $(,)?) => {$(
        impl $(<const $n: usize>)? Layer for $layer $(<$n>)? {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                $layer::forward(self, x)
            }
        }
    )*};
}
pub(crate) use layers;

/// Applies layers in order. Names are the positions: `0.weight`, `2.bias`.
///
/// ```
/// use taper::nn::{Linear, ReLU, Sequential};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// # let device = Device::cpu();
/// let model = Sequential::new().add(Linear::new(4, 8, &device)?).add(ReLU).add(Linear::new(8, 2, &device)?);
/// let y = model.forward(&Tensor::zeros([3, 4], &device)?)?;
/// assert_eq!(y.shape(), [3, 2]);
/// # Ok(()) }
/// ```
#[derive(Default)]
pub struct Sequential {
    layers: Vec<(String, Box<dyn Layer>)>,
}

impl Sequential {
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// The same with one layer more, named by its position.
    #[allow(clippy::should_implement_trait)]
    pub fn add(self, layer: impl Layer + 'static) -> Sequential {
        let name = self.layers.len().to_string();
        self.add_named(name, layer)
    }

    /// The same with one layer more, under a name: as a `Sequential` of an `OrderedDict`.
    pub fn add_named(mut self, name: impl Into<String>, layer: impl Layer + 'static) -> Sequential {
        self.layers.push((name.into(), Box::new(layer)));
        self
    }

    pub fn len(&self) -> usize {
        self.layers.len()
    }

    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// Layer `index`.
    pub fn get(&self, index: usize) -> Option<&dyn Layer> {
        self.layers.get(index).map(|(_, layer)| &**layer)
    }

    /// # Errors
    /// Whatever a layer reports.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.layers.iter().try_fold(x.clone(), |x, (_, layer)| layer.forward(&x))
    }
}

impl Module for Sequential {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        self.layers.iter().for_each(|(name, layer)| visit(name, Member::Module(layer)));
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        self.layers.iter_mut().for_each(|(name, layer)| visit(name, MemberMut::Module(layer)));
    }

    fn copied(&self, copies: &mut Copies) -> Result<Sequential> {
        let layers = self.layers.iter().map(|(name, layer)| Ok((name.clone(), layer.copied(copies)?)));
        Ok(Sequential { layers: layers.collect::<Result<_>>()? })
    }
}

layers!(Sequential);

impl std::fmt::Debug for Sequential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.layers.iter().map(|(name, _)| name)).finish()
    }
}
