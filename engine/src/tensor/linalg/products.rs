//! Products beside the matrix product: outer sums, tensor and Kronecker products, cross products, bilinear maps.

use super::{Tensor, product, product_wide, ranks};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::shape::{Shape, broadcast, checked_numel, dim_index, numel};

impl Tensor {
    /// `beta * self + alpha * sum over b of a[b] x c[b]`, for batches `[b, n, m]` and `[b, m, p]`; like `torch.addbmm`.
    /// `self` broadcasts to `[n, p]`. The batch is one more inner dimension: one product, one sum.
    ///
    /// # Errors
    /// As for [`baddbmm`](Self::baddbmm).
    #[track_caller]
    pub fn addbmm(&self, a: &Tensor, b: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        const OP: &str = "addbmm";
        ranks(OP, [a, b], [3, 3])?;
        let (sa, sb) = (a.shape(), b.shape());
        if sa[0] != sb[0] || sa[2] != sb[1] {
            return Err(Error::argument(OP, format!("{sa:?} x {sb:?}: batch or inner sizes differ")));
        }
        let inner = checked_numel(OP, &[sa[0], sa[2]])?;
        let rows = a.permute([1, 0, 2])?.reshape([sa[1], inner])?;
        self.plus_product(OP, &rows, &b.reshape([inner, sb[2]])?, beta.into(), alpha.into())
    }

    /// `beta * self + alpha * outer(a, b)` for vectors `[n]` and `[m]`; `self` broadcasts to `[n, m]`. Like `torch.addr`;
    /// booleans are or and and. With `beta` 0, `self` is not looked at.
    ///
    /// # Errors
    /// Operands that are not vectors; a fractional factor for integers; `self` does not broadcast.
    #[track_caller]
    pub fn addr(&self, a: &Tensor, b: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        const OP: &str = "addr";
        let (beta, alpha) = (beta.into(), alpha.into());
        let outer = a.outer(b).map_err(|e| Error::argument(OP, e.to_string()))?;
        let own = self.expand(outer.shape())?;
        if outer.dtype() == DType::Bool && own.dtype() == DType::Bool {
            let scaled = |t: Tensor, by: Scalar| if by.as_bool() { Ok(t) } else { t.zeros_like() };
            return scaled(own, beta)?.logical_or(&scaled(outer, alpha)?);
        }
        for by in [beta, alpha] {
            if matches!(by, Scalar::Float(_)) && !own.dtype().is_float() && !outer.dtype().is_float() {
                return Err(Error::argument(OP, format!("integers take an integer factor, not {by}")));
            }
        }
        let scaled = |t: Tensor, by: Scalar| if by.as_f64() == 1.0 { Ok(t) } else { t.mul(by) };
        let product = scaled(outer, alpha)?;
        if beta.as_f64() == 0.0 {
            let dtype = own.dtype().promote_for(product.dtype(), OP)?;
            return product.to_dtype(dtype);
        }
        scaled(own, beta)?.add(&product)
    }

    /// Sums of products over the last dimension of both: `[.., k]` and `[**, k]` to `[.., **]`; like `torch.inner`. A
    /// tensor without dimensions multiplies the other.
    ///
    /// # Errors
    /// Last dimensions that differ; two element types.
    #[track_caller]
    pub fn inner(&self, other: &Tensor) -> Result<Tensor> {
        let (a, b) = (self.shape(), other.shape());
        if a.is_empty() || b.is_empty() {
            return self.mul(other);
        }
        if a.last() != b.last() {
            return Err(Error::argument("inner", format!("{a:?} and {b:?}: the last sizes differ")));
        }
        self.tensordot(other, &[-1], &[-1])
    }

    /// Sums of products over pairs of dimensions, `dims[i]` of this with `other_dims[i]` of `other`; what is left of this
    /// comes first in the result. Like `torch.tensordot`; a size of 1 goes with any.
    ///
    /// # Errors
    /// Lists of different lengths, a dimension twice or out of range, sizes that differ; as [`matmul`](Self::matmul).
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::ones([2, 3, 4], &Device::cpu())?;
    /// let b = Tensor::ones([4, 5, 3], &Device::cpu())?;
    /// assert_eq!(a.tensordot(&b, &[1, 2], &[2, 0])?.to_vec::<f32>()?, [12.0; 10]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn tensordot(&self, other: &Tensor, dims: &[isize], other_dims: &[isize]) -> Result<Tensor> {
        const OP: &str = "tensordot";
        if dims.len() != other_dims.len() {
            return Err(Error::argument(OP, format!("{} dimensions of one and {} of the other", dims.len(), other_dims.len())));
        }
        let (mut a, mut b) = (self.clone(), other.clone());
        let (mut da, mut db) = (Vec::new(), Vec::new());
        for (&i, &j) in dims.iter().zip(other_dims) {
            let (i, j) = (dim_index(OP, i, a.rank())?, dim_index(OP, j, b.rank())?);
            if da.contains(&i) || db.contains(&j) {
                return Err(Error::argument(OP, "a dimension occurs twice"));
            }
            match (a.shape()[i], b.shape()[j]) {
                (x, y) if x == y => {}
                (1, _) => b = b.sum_keepdim(j)?.to_dtype(other.dtype())?,
                (_, 1) => a = a.sum_keepdim(i)?.to_dtype(self.dtype())?,
                (x, y) => return Err(Error::argument(OP, format!("sizes {x} and {y} of dimensions {i} and {j} differ"))),
            }
            da.push(i);
            db.push(j);
        }
        let left = |t: &Tensor, gone: &[usize]| (0..t.rank()).filter(|d| !gone.contains(d)).collect::<Vec<usize>>();
        let sizes = |t: &Tensor, dims: &[usize]| dims.iter().map(|&d| t.shape()[d]).collect::<Shape>();
        let (ra, rb) = (left(&a, &da), left(&b, &db));
        let (sa, sb, inner) = (sizes(&a, &ra), sizes(&b, &rb), numel(&sizes(&a, &da)));
        let order = |first: &[usize], last: &[usize]| first.iter().chain(last).map(|&d| d as isize).collect::<Vec<_>>();
        let rows = a.permute(&order(&ra, &da)[..])?.reshape([numel(&sa), inner])?;
        let columns = b.permute(&order(&db, &rb)[..])?.reshape([inner, numel(&sb)])?;
        let shape: Shape = sa.iter().chain(&sb).copied().collect();
        product(OP, &rows, &columns)?.reshape(&shape[..])
    }

    /// The Kronecker product: every element of this times all of `other`, blocks side by side; like `torch.kron`.
    ///
    /// # Errors
    /// Types without a common one; different devices.
    #[track_caller]
    pub fn kron(&self, other: &Tensor) -> Result<Tensor> {
        let rank = self.rank().max(other.rank());
        let padded = |t: &Tensor| -> Shape { std::iter::repeat_n(1, rank - t.rank()).chain(t.shape().iter().copied()).collect() };
        let (a, b) = (padded(self), padded(other));
        let interleaved: [Vec<usize>; 2] = [a.iter().flat_map(|&n| [n, 1]).collect(), b.iter().flat_map(|&n| [1, n]).collect()];
        let shape: Vec<usize> = a.iter().zip(&b).map(|(x, y)| x.saturating_mul(*y)).collect();
        checked_numel("kron", &shape)?;
        self.reshape(&interleaved[0][..])?.mul(other.reshape(&interleaved[1][..])?)?.reshape(&shape[..])
    }

    /// The cross product of vectors of three along `dim`; `None` is the first dimension of size 3. Like `torch.cross` and
    /// `torch.linalg.cross` (whose `dim` is -1 by default). Other dimensions broadcast.
    ///
    /// # Errors
    /// Different ranks; a dimension that is not of size 3 in both.
    #[track_caller]
    pub fn cross(&self, other: &Tensor, dim: Option<isize>) -> Result<Tensor> {
        const OP: &str = "cross";
        let (a, b) = (self.shape(), other.shape());
        if a.len() != b.len() {
            return Err(Error::argument(OP, format!("{a:?} and {b:?} have different numbers of dimensions")));
        }
        let d = match dim {
            Some(d) => dim_index(OP, d, a.len())?,
            None => {
                let shape = broadcast(OP, a, b)?;
                let first = shape.iter().position(|&n| n == 3);
                first.ok_or_else(|| Error::argument(OP, format!("no dimension of {shape:?} is of size 3")))?
            }
        };
        if a.get(d) != Some(&3) || b.get(d) != Some(&3) {
            return Err(Error::argument(OP, format!("dimension {d} of {a:?} and {b:?} must be of size 3 in both")));
        }
        // Turned round by one and by two: element i is a[i+1] b[i+2] - a[i+2] b[i+1].
        let turned = |t: &Tensor, by: isize| t.roll(-by, d as isize);
        let forward = turned(self, 1)?.mul(turned(other, 2)?)?;
        forward.sub(turned(self, 2)?.mul(turned(other, 1)?)?)
    }

    /// The sum of products along `dim`, other dimensions broadcast; like `torch.linalg.vecdot`.
    ///
    /// # Errors
    /// Integers; shapes that do not broadcast; `dim` out of range.
    #[track_caller]
    pub fn vecdot(&self, other: &Tensor, dim: isize) -> Result<Tensor> {
        const OP: &str = "linalg.vecdot";
        if !self.dtype().is_float() || !other.dtype().is_float() {
            return Err(Error::dtype(OP, format!("expected floating point numbers, got {} and {}", self.dtype(), other.dtype())));
        }
        let dtype = self.dtype().promote_for(other.dtype(), OP)?;
        // Products and sum in f32 for 16-bit floats, rounded once.
        let wide = if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype };
        self.to_dtype(wide)?.mul(other.to_dtype(wide)?)?.sum(dim)?.to_dtype(dtype)
    }

    /// `y[.., o] = sum over i and j of self[.., i] weight[o, i, j] other[.., j] + bias[o]`; like
    /// `torch.nn.functional.bilinear`. `weight` is `[o, i, j]`, `bias` `[o]`.
    ///
    /// # Errors
    /// Leading sizes that differ; a weight or bias that does not fit; several element types.
    #[track_caller]
    pub fn bilinear(&self, other: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        const OP: &str = "bilinear";
        let (a, b, w) = (self.shape(), other.shape(), weight.shape());
        let fits = w.len() == 3 && a.len() == b.len() && a.last() == w.get(1) && b.last() == w.get(2);
        if !fits || a[..a.len() - 1] != b[..b.len() - 1] {
            return Err(Error::argument(OP, format!("inputs {a:?} and {b:?} do not fit a weight of {w:?}")));
        }
        let dtype = self.dtype();
        if let Some(t) = [Some(other), Some(weight), bias].into_iter().flatten().find(|t| t.dtype() != dtype) {
            return Err(Error::dtype(OP, format!("operands are {dtype} and {}", t.dtype())));
        }
        let (out, i, j) = (w[0], w[1], w[2]);
        checked_numel(OP, w)?;
        let n = numel(&a[..a.len() - 1]);
        let half = matches!(dtype, DType::F16 | DType::BF16);
        let widen = |t: &Tensor| if half { t.to_dtype(DType::F32) } else { Ok(t.clone()) };
        // [n, i] x [i, o j] gives for each row the matrix that meets the other input.
        let first = product_wide(OP, &widen(self)?.reshape([n, i])?, &widen(weight)?.permute([1, 0, 2])?.reshape([i, out * j])?)?;
        let y = product_wide(OP, &first.reshape([n, out, j])?, &widen(other)?.reshape([n, j, 1])?)?;
        let shape: Shape = a[..a.len() - 1].iter().copied().chain([out]).collect();
        super::biased(OP, y.reshape(&shape[..])?, bias, |b| Ok(b.clone()), self)
    }
}
