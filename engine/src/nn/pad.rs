//! Padding as layers.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

use super::module::Layer;
use super::sequential::layers;

/// How much is added on each side: `n`, or `[left, right]` of the last dimension, then of the one before it, ..
pub trait Amounts<const D: usize> {
    fn amounts(self) -> Vec<isize>;
}

impl<const D: usize> Amounts<D> for isize {
    fn amounts(self) -> Vec<isize> {
        vec![self; 2 * D]
    }
}

impl<const D: usize> Amounts<D> for Vec<isize> {
    fn amounts(self) -> Vec<isize> {
        self
    }
}

macro_rules! pads {
    ($($(#[$doc:meta])* $name:ident $mode:literal ($one:ident, $two:ident, $three:ident);)*) => {$(
        $(#[$doc])*
        ///
        /// Takes `D` spatial dimensions behind channels, with or without a batch; negative amounts crop.
        #[derive(Module, Debug, Clone)]
        pub struct $name<const D: usize> {
            amounts: Vec<isize>,
            value: f64,
        }

        pub type $one = $name<1>;
        pub type $two = $name<2>;
        pub type $three = $name<3>;

        impl<const D: usize> $name<D> {
            /// # Errors
            /// Not as many spatial dimensions; more padding than the mode can give.
            pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
                padded::<D>(stringify!($name), x, &self.amounts, $mode, self.value)
            }
        }
        layers!($name<const D>);
    )*};
}

pads! {
    /// Adds zeros.
    ZeroPad "constant" (ZeroPad1d, ZeroPad2d, ZeroPad3d);
    /// Adds one number.
    ConstantPad "constant" (ConstantPad1d, ConstantPad2d, ConstantPad3d);
    /// Mirrors the input at its border, which itself is not repeated.
    ReflectionPad "reflect" (ReflectionPad1d, ReflectionPad2d, ReflectionPad3d);
    /// Repeats the border.
    ReplicationPad "replicate" (ReplicationPad1d, ReplicationPad2d, ReplicationPad3d);
    /// Continues with the other side.
    CircularPad "circular" (CircularPad1d, CircularPad2d, CircularPad3d);
}

macro_rules! plain {
    ($($name:ident)*) => {$(
        impl<const D: usize> $name<D> {
            pub fn new(amounts: impl Amounts<D>) -> Self {
                $name { amounts: amounts.amounts(), value: 0.0 }
            }
        }
    )*};
}
plain!(ZeroPad ReflectionPad ReplicationPad CircularPad);

impl<const D: usize> ConstantPad<D> {
    pub fn new(amounts: impl Amounts<D>, value: f64) -> Self {
        ConstantPad { amounts: amounts.amounts(), value }
    }
}

fn padded<const D: usize>(op: &'static str, x: &Tensor, amounts: &[isize], mode: &str, value: f64) -> Result<Tensor> {
    if amounts.len() != 2 * D {
        return Err(Error::argument(op, format!("amounts {amounts:?}: expected {} of them", 2 * D)));
    }
    // Constants can go around anything; the others copy what PyTorch calls an image.
    if mode != "constant" && x.rank() != D + 1 && x.rank() != D + 2 {
        return Err(Error::argument(op, format!("the input {:?} should have {} or {} dimensions", x.shape(), D + 1, D + 2)));
    }
    x.pad(amounts, mode, value)
}
