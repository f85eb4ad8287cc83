//! Activations that are more than a function of one number.

use super::Tensor;
use crate::autograd;
use crate::error::{Error, Result};

impl Tensor {
    /// `a * sigmoid(b)` for the halves `a` and `b` of dimension `dim`. Like `torch.nn.functional.glu`.
    ///
    /// # Errors
    /// `dim` out of range or of an odd size; integers.
    #[track_caller]
    pub fn glu(&self, dim: isize) -> Result<Tensor> {
        self.expect_float("glu")?;
        if self.rank() == 0 {
            return Err(Error::argument("glu", "a scalar has no halves"));
        }
        let size = self.size(dim)?;
        if size % 2 != 0 {
            return Err(Error::argument("glu", format!("dimension {dim} of {:?} has no halves: its size {size} is odd", self.shape())));
        }
        self.widened(|x| x.narrow(dim, 0, size / 2)?.mul(&x.narrow(dim, size / 2, size / 2)?.sigmoid()?))
    }

    /// [`softmax`](Self::softmax) of `-x`.
    ///
    /// # Errors
    /// `dim` out of range; integers.
    #[track_caller]
    pub fn softmin(&self, dim: isize) -> Result<Tensor> {
        self.expect_float("softmin")?;
        self.neg()?.softmax(dim)
    }

    /// `x` above 0; below, `x` times a number drawn between `lower` and `upper` for each element while `training`, and times their mean
    /// otherwise. Like `torch.nn.functional.rrelu`.
    ///
    /// # Errors
    /// `lower` above `upper`; integers.
    #[track_caller]
    pub fn rrelu(&self, lower: f64, upper: f64, training: bool) -> Result<Tensor> {
        self.expect_float("rrelu")?;
        if lower > upper || lower.is_nan() || upper.is_nan() {
            return Err(Error::argument("rrelu", format!("the slopes lie between {lower} and {upper}, which is less")));
        }
        if !training {
            return self.leaky_relu((lower + upper) / 2.0);
        }
        let slopes = autograd::no_grad(|| self.rand_like()?.mul(upper - lower)?.add(lower))?;
        self.where_(&self.gt(0)?, self.mul(&slopes)?)
    }
}
