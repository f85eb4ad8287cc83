//! Activations.

use super::Tensor;
use crate::autograd;
use crate::error::{Error, Result};
use crate::ops;

/// Functions of each number.
impl Tensor {
    /// `max(x, 0)`; NaN stays.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn relu(&self) -> Result<Tensor> {
        self.row(&ops::RELU, &[])
    }

    /// `min(max(x, 0), 6)`; the gradient is 0 at both ends.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn relu6(&self) -> Result<Tensor> {
        self.hardtanh(0.0, 6.0)
    }

    /// `x * P(X <= x)` of the normal distribution, exactly (`approximate` "none") or through a tanh ("tanh").
    ///
    /// # Errors
    /// Another `approximate`; a tensor of integers or booleans.
    #[track_caller]
    pub fn gelu(&self, approximate: &str) -> Result<Tensor> {
        match approximate {
            "none" => self.row(&ops::GELU, &[]),
            "tanh" => self.row(&ops::GELU_TANH, &[]),
            other => Err(Error::argument("gelu", format!("approximate is 'none' or 'tanh', not '{other}'"))),
        }
    }

    /// `log(1 + e^(beta x)) / beta`, and `x` itself where `beta x > threshold`. PyTorch's defaults are 1 and 20.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn softplus(&self, beta: f64, threshold: f64) -> Result<Tensor> {
        self.row(&ops::SOFTPLUS, &[beta.into(), threshold.into()])
    }

    /// `x` above 0, `alpha (e^x - 1)` below.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn elu(&self, alpha: f64) -> Result<Tensor> {
        self.row(&ops::ELU, &[alpha.into()])
    }

    /// [`elu`](Self::elu) with the scale and alpha that keep mean 0 and variance 1.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn selu(&self) -> Result<Tensor> {
        self.elu(1.673_263_242_354_377_2)?.mul(1.050_700_987_355_480_5)
    }

    /// `x` above 0, `alpha (e^(x / alpha) - 1)` below: continuously differentiable.
    ///
    /// # Errors
    /// A tensor of integers or booleans; an `alpha` of 0.
    #[track_caller]
    pub fn celu(&self, alpha: f64) -> Result<Tensor> {
        if alpha == 0.0 {
            return Err(Error::argument("celu", "alpha must not be 0"));
        }
        self.div(alpha)?.elu(1.0)?.mul(alpha)
    }

    /// `x` above 0, `slope x` below.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn leaky_relu(&self, slope: f64) -> Result<Tensor> {
        self.row(&ops::LEAKY_RELU, &[slope.into()])
    }

    /// `x` above 0, `weight x` below; `weight` has one element, or one per channel (dimension 1).
    ///
    /// # Errors
    /// A weight of another size.
    #[track_caller]
    pub fn prelu(&self, weight: &Tensor) -> Result<Tensor> {
        let channels = if self.rank() < 2 { 1 } else { self.shape()[1] };
        if weight.rank() > 1 || (weight.numel() != 1 && weight.numel() != channels) {
            return Err(Error::argument(
                "prelu",
                format!("a weight of {:?} does not fit the {channels} channels of {:?}", weight.shape(), self.shape()),
            ));
        }
        let mut shape = crate::shape::Shape::from_elem(1, self.rank());
        if weight.numel() > 1 {
            shape[1] = channels;
        }
        self.where_(&self.gt(0)?, self.mul(weight.reshape(&shape)?)?)
    }

    /// Between `min` and `max`; unlike with [`clamp`](Self::clamp), the gradient is 0 at both ends.
    ///
    /// # Errors
    /// `min` above `max`; a `bool` tensor.
    #[track_caller]
    pub fn hardtanh(&self, min: f64, max: f64) -> Result<Tensor> {
        if !(min <= max) {
            return Err(Error::argument("hardtanh", format!("min {min} is above max {max}")));
        }
        self.row(&ops::HARDTANH, &[min.into(), max.into()])
    }

    /// `x tanh(softplus(x))`.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn mish(&self) -> Result<Tensor> {
        self.expect_float("mish")?;
        // tanh(log(1 + e)) is n / (n + 2) where n = e (e + 2): one exponential, and nothing cancels.
        self.widened(|x| {
            let e = x.clamp(None, Some(20.0))?.exp()?;
            let n = e.mul(e.add(2.0)?)?;
            x.mul(n.div(n.add(2.0)?)?)
        })
    }

    /// `x / (1 + |x|)`.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn softsign(&self) -> Result<Tensor> {
        self.div(self.abs()?.add(1)?)
    }

    /// `x - tanh(x)`.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn tanhshrink(&self) -> Result<Tensor> {
        self.sub(self.tanh()?)
    }

    /// 0 where `|x| <= lambda`, else `x`.
    ///
    /// # Errors
    /// A tensor of integers or booleans.
    #[track_caller]
    pub fn hardshrink(&self, lambda: f64) -> Result<Tensor> {
        self.row(&ops::HARDSHRINK, &[lambda.into()])
    }

    /// `x` moved toward 0 by `lambda`, and 0 where that would cross it.
    ///
    /// # Errors
    /// A negative `lambda`; a tensor of integers or booleans.
    #[track_caller]
    pub fn softshrink(&self, lambda: f64) -> Result<Tensor> {
        if !(lambda >= 0.0) {
            return Err(Error::argument("softshrink", format!("lambda must not be negative, but is {lambda}")));
        }
        self.row(&ops::SOFTSHRINK, &[lambda.into()])
    }

    /// `x` where it is larger than `threshold`, else `value`.
    ///
    /// # Errors
    /// A `bool` tensor.
    #[track_caller]
    pub fn threshold(&self, threshold: f64, value: f64) -> Result<Tensor> {
        self.row(&ops::THRESHOLD, &[threshold.into(), value.into()])
    }
}

/// Functions of more than that.
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
