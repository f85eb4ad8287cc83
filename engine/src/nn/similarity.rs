//! Layers of two inputs: products and distances.

use crate::Module;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::{Param, init};

/// `y_o = x1 A_o x2 + b_o` over the last dimensions. `weight` `[out, in1, in2]`, `bias` `[out]`, uniform within `1 / sqrt(in1)` at first.
#[derive(Module, Debug)]
pub struct Bilinear {
    pub weight: Param,
    pub bias: Option<Param>,
}

impl Bilinear {
    /// # Errors
    /// No features; the device lacks the type or the memory.
    pub fn new(in1: usize, in2: usize, out: usize, bias: bool, options: impl Into<TensorOptions>) -> Result<Bilinear> {
        if in1 == 0 {
            return Err(Error::argument("Bilinear", "the first input needs features"));
        }
        let (options, bound) = (options.into(), 1.0 / (in1 as f64).sqrt());
        let weight = Param::new(&init::uniform(&[out, in1, in2], -bound, bound, options.clone())?)?;
        let bias = if bias { Some(Param::new(&init::uniform(&[out], -bound, bound, options)?)?) } else { None };
        Ok(Bilinear { weight, bias })
    }

    /// Shapes: `[.., in1]` and `[.., in2]` to `[.., out]`.
    ///
    /// # Errors
    /// Features or leading dimensions that do not fit.
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        let &[_, in1, in2] = self.weight.shape() else { return Err(Error::argument("Bilinear", "the weight should be [out, in1, in2]")) };
        let (Some((&last1, lead1)), Some((&last2, lead2))) = (x1.shape().split_last(), x2.shape().split_last()) else {
            return Err(Error::argument("Bilinear", "the inputs need features"));
        };
        if last1 != in1 || last2 != in2 || lead1 != lead2 {
            let why = format!("weight {:?} does not take {:?} and {:?}", self.weight.shape(), x1.shape(), x2.shape());
            return Err(Error::argument("Bilinear", why));
        }
        x1.bilinear(x2, &self.weight, self.bias.as_deref())
    }
}

/// The cosine of the angle between vectors along `dim`; lengths count as `eps` at least. The inputs broadcast.
#[derive(Module, Debug, Clone, Copy)]
pub struct CosineSimilarity {
    dim: isize,
    eps: f64,
}

impl CosineSimilarity {
    pub fn new(dim: isize, eps: f64) -> CosineSimilarity {
        CosineSimilarity { dim, eps }
    }

    /// # Errors
    /// Shapes that do not broadcast; `dim` out of range.
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        x1.cosine_similarity(x2, self.dim, self.eps)
    }
}

impl Default for CosineSimilarity {
    fn default() -> CosineSimilarity {
        CosineSimilarity::new(1, 1e-8)
    }
}

/// The `p`-norm of `x1 - x2 + eps` along the last dimension. The inputs broadcast.
#[derive(Module, Debug, Clone, Copy)]
pub struct PairwiseDistance {
    p: f64,
    eps: f64,
    keepdim: bool,
}

impl PairwiseDistance {
    pub fn new(p: f64, eps: f64, keepdim: bool) -> PairwiseDistance {
        PairwiseDistance { p, eps, keepdim }
    }

    /// # Errors
    /// Shapes that do not broadcast.
    #[track_caller]
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        x1.pairwise_distance(x2, self.p, self.eps, self.keepdim)
    }
}

impl Default for PairwiseDistance {
    fn default() -> PairwiseDistance {
        PairwiseDistance::new(2.0, 1e-6, false)
    }
}
