//! Weights that are functions of other parameters: weight and spectral normalisation.
//!
//! PyTorch hooks these into a layer; here the layer asks for [`weight`](WeightNorm::weight) where it would use its own.

use crate::Module;
use crate::autograd::no_grad;
use crate::error::{Error, Result};
use crate::shape::Shape;
use crate::tensor::Tensor;

use super::{Buffer, Param, Training};

/// A weight as length times direction: `g v / |v|`, with a length for each index of dimension 0 (`torch.nn.utils.parametrizations.weight_norm`).
///
/// ```
/// # use taper::prelude::*; use taper::nn::{Linear, WeightNorm}; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let layer = Linear::new(3, 2, &cpu)?;
/// let norm = WeightNorm::new(&layer.weight)?;
/// let y = Tensor::ones([1, 3], &cpu)?.linear(&norm.weight()?, layer.bias.as_deref())?;
/// assert_eq!(y.shape(), [1, 2]);
/// # Ok(()) }
/// ```
#[derive(Module, Debug)]
pub struct WeightNorm {
    /// The lengths `[n, 1..]`.
    pub original0: Param,
    /// The directions, of the weight's shape.
    pub original1: Param,
}

impl WeightNorm {
    /// Starts with the value of `weight`.
    ///
    /// # Errors
    /// A scalar.
    pub fn new(weight: &Tensor) -> Result<WeightNorm> {
        let (g, v) = no_grad(|| -> Result<_> { Ok((lengths(weight)?, weight.clone_data()?)) })?;
        Ok(WeightNorm { original0: Param::new(&g)?, original1: Param::new(&v)? })
    }

    /// The weight.
    ///
    /// # Errors
    /// Out of memory.
    #[track_caller]
    pub fn weight(&self) -> Result<Tensor> {
        let v: &Tensor = &self.original1;
        v.mul(&self.original0.div(&lengths(v)?)?)
    }
}

/// The 2-norm over all dimensions but the first, which stay with size 1.
fn lengths(v: &Tensor) -> Result<Tensor> {
    if v.rank() == 0 {
        return Err(Error::argument("WeightNorm", "a scalar has no direction"));
    }
    let dims: Vec<isize> = (1..v.rank() as isize).collect();
    if dims.is_empty() { v.abs() } else { v.norm(2.0, &dims, true) }
}

/// A weight divided by its largest singular value, which a step of power iteration in each training call follows
/// (`torch.nn.utils.parametrizations.spectral_norm`). The weight counts as a matrix: dimension 0 against all others.
#[derive(Module, Debug)]
pub struct SpectralNorm {
    pub original: Param,
    #[module(rename = "_u")]
    pub u: Buffer,
    #[module(rename = "_v")]
    pub v: Buffer,
    training: Training,
    steps: usize,
    eps: f64,
}

impl SpectralNorm {
    /// Starts with the value of `weight`, after 15 steps of power iteration; later ones take `steps` (PyTorch: 1).
    ///
    /// # Errors
    /// Fewer than two dimensions.
    pub fn new(weight: &Tensor, steps: usize) -> Result<SpectralNorm> {
        let &[rows, ref rest @ ..] = weight.shape() else { return Err(Error::argument("SpectralNorm", "needs a matrix")) };
        if rest.is_empty() {
            return Err(Error::argument("SpectralNorm", format!("needs at least two dimensions, not {:?}", weight.shape())));
        }
        let columns: usize = rest.iter().product();
        let draw = |n: usize| Tensor::randn([n], (weight.dtype(), weight.device()));
        let eps = 1e-12;
        let norm = SpectralNorm {
            original: Param::new(&no_grad(|| weight.clone_data())?)?,
            u: Buffer::new(unit(&draw(rows)?, eps)?),
            v: Buffer::new(unit(&draw(columns)?, eps)?),
            training: Training::default(),
            steps,
            eps,
        };
        norm.iterate(15)?;
        Ok(norm)
    }

    /// The weight.
    ///
    /// # Errors
    /// Out of memory.
    #[track_caller]
    pub fn weight(&self) -> Result<Tensor> {
        if self.training.get() {
            self.iterate(self.steps)?;
        }
        // What the buffers hold now: the gradient must not see later steps.
        let (u, v) = (self.u.snapshot()?, self.v.snapshot()?);
        let sigma = u.dot(&matrix(&self.original)?.mv(&v)?)?;
        self.original.div(&sigma)
    }

    fn iterate(&self, steps: usize) -> Result<()> {
        no_grad(|| {
            let w = matrix(&self.original)?;
            for _ in 0..steps {
                self.u.set(&unit(&w.mv(&self.v)?, self.eps)?)?;
                self.v.set(&unit(&w.t()?.mv(&self.u)?, self.eps)?)?;
            }
            Ok(())
        })
    }
}

fn matrix(w: &Tensor) -> Result<Tensor> {
    if w.rank() == 2 { Ok(w.clone()) } else { w.flatten(1, -1) }
}

fn unit(x: &Tensor, eps: f64) -> Result<Tensor> {
    let all: Shape = (0..x.rank()).collect();
    x.div(&x.norm(2.0, &all, true)?.clamp(eps, None)?)
}
