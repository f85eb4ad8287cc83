//! Distances and similarities of vectors, and what bounds their length.

use super::Tensor;
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::{Shape, broadcast, dim_index};

/// Added to a norm that divides, in [`Tensor::renorm`].
const RENORM_EPS: f64 = 1e-7;

impl Tensor {
    /// The `p`-norm of `self - other`, one number; like `torch.dist`.
    ///
    /// # Errors
    /// Shapes that do not broadcast; integers.
    #[track_caller]
    pub fn dist(&self, other: &Tensor, p: f64) -> Result<Tensor> {
        self.sub(other)?.norm(p, .., false)
    }

    /// Distances of all pairs of rows, `[.., n, m]` and `[.., k, m]` to `[.., n, k]`, in the `p`-norm; like `torch.cdist`
    /// without its detour over a matrix product, which loses digits: the differences are formed inside the kernel that sums them.
    /// Leading dimensions broadcast.
    ///
    /// # Errors
    /// Fewer than two dimensions, rows of different lengths, a negative `p`, integers.
    #[track_caller]
    pub fn cdist(&self, other: &Tensor, p: f64) -> Result<Tensor> {
        const OP: &str = "cdist";
        let (a, b) = (self.shape(), other.shape());
        if a.len() < 2 || b.len() < 2 || a.last() != b.last() {
            return Err(Error::argument(OP, format!("{a:?} and {b:?}: takes rows of one length, [.., n, m] and [.., k, m]")));
        }
        if !(p >= 0.0) {
            return Err(Error::argument(OP, format!("p must not be negative, but is {p}")));
        }
        if !self.dtype().is_float() || self.dtype() != other.dtype() {
            return Err(Error::dtype(OP, format!("takes floats of one type, not {} and {}", self.dtype(), other.dtype())));
        }
        if a.last() == Some(&0) {
            return empty_distances(self, other, a, b);
        }
        self.unsqueeze(-2)?.sub(other.unsqueeze(-3)?)?.norm(p, -1, false)
    }

    /// Distances of all pairs of different rows of `[n, m]`, those of the first row first: `n (n - 1) / 2` of them. Like
    /// `torch.nn.functional.pdist`.
    ///
    /// # Errors
    /// A tensor that is no matrix, a negative `p`, integers.
    #[track_caller]
    pub fn pdist(&self, p: f64) -> Result<Tensor> {
        const OP: &str = "pdist";
        let &[n, m] = self.shape() else {
            return Err(Error::argument(OP, format!("takes a matrix, not {:?}", self.shape())));
        };
        self.expect_float(OP)?;
        if !(p >= 0.0) {
            return Err(Error::argument(OP, format!("p must not be negative, but is {p}")));
        }
        let pairs = crate::shape::checked_numel(OP, &[n, n.saturating_sub(1)])? / 2;
        let (mut first, mut second) = (super::create::reserve::<i64>(OP, pairs)?, super::create::reserve::<i64>(OP, pairs)?);
        for i in 0..n {
            first.extend(std::iter::repeat_n(i as i64, n - i - 1));
            second.extend((i + 1..n).map(|j| j as i64));
        }
        let rows = |index: Vec<i64>| self.index_select(0, &Tensor::from_vec(index, [pairs], self.device())?);
        let difference = rows(first)?.sub(rows(second)?)?;
        if m == 0 { difference.sum(-1) } else { difference.norm(p, -1, false) }
    }

    /// The `p`-norm of `self - other + eps` over the last dimension; like `torch.nn.functional.pairwise_distance`.
    ///
    /// # Errors
    /// Shapes that do not broadcast; tensors without dimensions.
    #[track_caller]
    pub fn pairwise_distance(&self, other: &Tensor, p: f64, eps: f64, keepdim: bool) -> Result<Tensor> {
        self.sub(other)?.add(eps)?.norm(p, -1, keepdim)
    }

    /// The cosine of the angle between vectors along `dim`; like `torch.nn.functional.cosine_similarity`. Lengths below `eps`
    /// count as `eps`. Other dimensions broadcast.
    ///
    /// # Errors
    /// Shapes that do not broadcast; `dim` out of range; integers.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[3.0, 4.0], [1.0, 0.0]], &Device::cpu())?;
    /// let b = Tensor::new([[4.0, 3.0], [0.0, 2.0]], &Device::cpu())?;
    /// let c = a.cosine_similarity(&b, 1, 1e-8)?.to_vec::<f32>()?;
    /// assert!((c[0] - 0.96).abs() < 1e-6 && c[1] == 0.0);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn cosine_similarity(&self, other: &Tensor, dim: isize, eps: f64) -> Result<Tensor> {
        const OP: &str = "cosine_similarity";
        let dtype = self.dtype().promote_for(other.dtype(), OP)?;
        if !dtype.is_float() {
            return Err(Error::dtype(OP, format!("expected floating point numbers, got {dtype}")));
        }
        let shape = broadcast(OP, self.shape(), other.shape())?;
        let d = dim_index(OP, dim, shape.len())?;
        // In f32 for 16-bit floats, rounded once.
        let wide = if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype };
        let unit = |t: &Tensor| -> Result<Tensor> {
            let t = t.to_dtype(wide)?.broadcast_to(&shape[..])?;
            let length = t.norm(2.0, d, true)?;
            // The limit replaces the value alone: the gradient is that of the length, as in PyTorch.
            let raise = autograd::no_grad(|| length.clamp(eps, None::<f64>)?.sub(&length))?;
            t.div(length.add(raise)?)
        };
        unit(self)?.mul(unit(other)?)?.sum(d)?.to_dtype(dtype)
    }

    /// Vectors along `dims` divided by their `p`-norm, or by `eps` if that is larger; like `torch.nn.functional.normalize`.
    ///
    /// # Errors
    /// A dimension out of range; integers.
    #[track_caller]
    pub fn normalize(&self, p: f64, dims: impl super::Dims, eps: f64) -> Result<Tensor> {
        self.div(self.norm(p, dims, true)?.clamp(eps, None::<f64>)?)
    }

    /// The parts along `dim` whose `p`-norm is above `maxnorm`, scaled down to it; like `torch.renorm`.
    ///
    /// # Errors
    /// Fewer than two dimensions, `dim` out of range, `p` not positive, `maxnorm` negative, integers.
    #[track_caller]
    pub fn renorm(&self, p: f64, dim: isize, maxnorm: f64) -> Result<Tensor> {
        const OP: &str = "renorm";
        if self.rank() < 2 {
            return Err(Error::argument(OP, format!("needs at least two dimensions, but the shape is {:?}", self.shape())));
        }
        if !(p > 0.0 && maxnorm >= 0.0) {
            return Err(Error::argument(OP, format!("p must be positive and maxnorm not negative, but they are {p} and {maxnorm}")));
        }
        self.expect_float(OP)?;
        let d = dim_index(OP, dim, self.rank())?;
        let others: Vec<isize> = (0..self.rank()).filter(|&i| i != d).map(|i| i as isize).collect();
        let length = self.norm(p, &others[..], true)?;
        let scale = length.add(RENORM_EPS)?.reciprocal()?.mul(maxnorm)?;
        self.mul(scale.where_(&length.gt(maxnorm)?, 1.0)?)
    }
}

/// Distances of rows without elements are 0.
#[track_caller]
fn empty_distances(x: &Tensor, y: &Tensor, a: &[usize], b: &[usize]) -> Result<Tensor> {
    let batch = broadcast("cdist", &a[..a.len() - 2], &b[..b.len() - 2])?;
    let shape: Shape = batch.iter().copied().chain([a[a.len() - 2], b[b.len() - 2]]).collect();
    let zeros = Tensor::zeros(&shape[..], (x.dtype(), x.device()))?;
    zeros.add(&x.sum_all()?)?.add(&y.sum_all()?)
}
