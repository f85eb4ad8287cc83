//! Products of matrices, and what is made of them.

mod attention;
mod conv;
mod einsum;
mod pool;
mod products;
#[cfg(test)]
mod tests;

use smallvec::SmallVec;

pub(super) use conv::batched;
pub(super) use pool::spatial_sizes;

use super::Tensor;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::ops::MatMul;
use crate::shape::{Shape, broadcast, numel};

/// Matrix products.
impl Tensor {
    /// Matrix product with PyTorch's rules: one-dimensional operands are a row on the left and a column on the
    /// right and lose that dimension in the result; dimensions before the last two are a batch and broadcast.
    ///
    /// Sums of `f16` and `bf16` are kept in `f32`; integers wrap.
    ///
    /// # Errors
    /// A scalar operand, inner sizes that differ, batches that do not broadcast, two element types, `bool`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let cpu = Device::cpu();
    /// let a = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &cpu)?;
    /// let x = Tensor::new([1.0, -1.0], &cpu)?;
    /// assert_eq!(a.matmul(&x)?.to_vec::<f32>()?, [-1.0, -1.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        product("matmul", self, other)
    }

    /// Product of two matrices, `[n, m] x [m, p]`.
    ///
    /// # Errors
    /// Operands that are not matrices; as [`matmul`](Self::matmul).
    #[track_caller]
    pub fn mm(&self, other: &Tensor) -> Result<Tensor> {
        ranks("mm", [self, other], [2, 2])?;
        product("mm", self, other)
    }

    /// A batch of products, `[b, n, m] x [b, m, p]`; the batch does not broadcast.
    ///
    /// # Errors
    /// Operands without three dimensions, different batch sizes; as [`matmul`](Self::matmul).
    #[track_caller]
    pub fn bmm(&self, other: &Tensor) -> Result<Tensor> {
        ranks("bmm", [self, other], [3, 3])?;
        if self.shape()[0] != other.shape()[0] {
            return Err(Error::argument("bmm", format!("{:?} x {:?}: the batch sizes differ", self.shape(), other.shape())));
        }
        product("bmm", self, other)
    }

    /// Matrix times vector, `[n, m] x [m]`.
    ///
    /// # Errors
    /// Other ranks; as [`matmul`](Self::matmul).
    #[track_caller]
    pub fn mv(&self, vector: &Tensor) -> Result<Tensor> {
        ranks("mv", [self, vector], [2, 1])?;
        product("mv", self, vector)
    }

    /// The sum of the products of two vectors' elements.
    ///
    /// # Errors
    /// Other ranks; as [`matmul`](Self::matmul).
    #[track_caller]
    pub fn dot(&self, other: &Tensor) -> Result<Tensor> {
        ranks("dot", [self, other], [1, 1])?;
        product("dot", self, other)
    }

    /// All products of two vectors' elements, `[n] x [m]` to `[n, m]`.
    ///
    /// # Errors
    /// Operands that are not vectors.
    #[track_caller]
    pub fn outer(&self, other: &Tensor) -> Result<Tensor> {
        ranks("outer", [self, other], [1, 1])?;
        self.unsqueeze(1)?.mul(other.unsqueeze(0)?)
    }

    /// `x W^T + b` over the last dimension: `weight` is `[out, in]`, or `[in]` for a single output without its own
    /// dimension; `bias` is `[out]`.
    ///
    /// # Errors
    /// As [`matmul`](Self::matmul); a bias that does not fit.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let cpu = Device::cpu();
    /// let w = Tensor::new([[1.0, 1.0], [0.0, 2.0]], &cpu)?;
    /// let b = Tensor::new([0.5, 0.0], &cpu)?;
    /// let y = Tensor::new([[1.0, 2.0]], &cpu)?.linear(&w, Some(&b))?;
    /// assert_eq!(y.to_vec::<f32>()?, [3.5, 4.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn linear(&self, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        if !(1..=2).contains(&weight.rank()) {
            return Err(Error::argument("linear", format!("the weight should be [out, in], not {:?}", weight.shape())));
        }
        let (x, w) = (self.shape(), weight.shape());
        if x.last() != w.last() {
            return Err(Error::argument(
                "linear",
                format!("weight {w:?} takes {} features, but the input {x:?} has {}", w[w.len() - 1], x.last().unwrap_or(&0)),
            ));
        }
        if let Some((x, weight, bias)) = crate::amp::lowered(self, weight, bias)? {
            return x.linear(&weight, bias.as_ref());
        }
        let weight = if weight.rank() == 2 { weight.t()? } else { weight.clone() };
        let y = product_wide("linear", self, &weight)?;
        biased("linear", y, bias, |b| Ok(b.clone()), self)
    }

    /// `beta * self + alpha * (a x b)` for matrices `a` and `b`; `self` broadcasts. With `beta` 0, `self` is not
    /// looked at.
    ///
    /// # Errors
    /// As [`mm`](Self::mm); `self` does not broadcast to the product.
    #[track_caller]
    pub fn addmm(&self, a: &Tensor, b: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        ranks("addmm", [a, b], [2, 2])?;
        self.plus_product("addmm", a, b, beta.into(), alpha.into())
    }

    /// `beta * self + alpha * (a x b)` for a matrix `a` and a vector `b`; see [`addmm`](Self::addmm).
    ///
    /// # Errors
    /// As [`mv`](Self::mv); `self` does not broadcast to the product.
    #[track_caller]
    pub fn addmv(&self, a: &Tensor, b: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        ranks("addmv", [a, b], [2, 1])?;
        self.plus_product("addmv", a, b, beta.into(), alpha.into())
    }

    /// `beta * self + alpha * (a x b)` for batches of matrices; see [`addmm`](Self::addmm).
    ///
    /// # Errors
    /// As [`bmm`](Self::bmm); `self` does not broadcast to the product.
    #[track_caller]
    pub fn baddbmm(&self, a: &Tensor, b: &Tensor, beta: impl Into<Scalar>, alpha: impl Into<Scalar>) -> Result<Tensor> {
        ranks("baddbmm", [a, b], [3, 3])?;
        if a.shape()[0] != b.shape()[0] {
            return Err(Error::argument("baddbmm", format!("{:?} x {:?}: the batch sizes differ", a.shape(), b.shape())));
        }
        self.plus_product("baddbmm", a, b, beta.into(), alpha.into())
    }

    #[track_caller]
    fn plus_product(&self, op: &'static str, a: &Tensor, b: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
        let ab = product(op, a, b)?;
        // In the type of the matrices: 0.5 times integers is nothing.
        let whole = |by: Scalar| if ab.dtype().is_float() { by } else { Scalar::Int(by.as_i64()) };
        let (beta, alpha) = (whole(beta), whole(alpha));
        let scaled = |t: Tensor, by: Scalar| if by.as_f64() == 1.0 { Ok(t) } else { t.mul(by)?.to_dtype(ab.dtype()) };
        let product = scaled(ab.clone(), alpha)?;
        if self.dtype() != ab.dtype() {
            return Err(Error::dtype(op, format!("adds {} to a product of {}", self.dtype(), ab.dtype())));
        }
        // An error here even where beta is 0, as in PyTorch.
        let own = self.expand(ab.shape())?;
        if beta.as_f64() == 0.0 { Ok(product) } else { product.add(scaled(own, beta)?) }
    }
}

fn ranks(op: &'static str, tensors: [&Tensor; 2], wanted: [usize; 2]) -> Result<()> {
    if tensors.map(Tensor::rank) == wanted {
        return Ok(());
    }
    let [a, b] = tensors.map(Tensor::shape);
    Err(Error::argument(op, format!("{a:?} x {b:?}: takes tensors of {} and {} dimensions", wanted[0], wanted[1])))
}

/// Adds a bias, shaped by `fit`, to a sum that is still in its accumulator type, then rounds to `like`'s type once.
#[track_caller]
fn biased(op: &'static str, y: Tensor, bias: Option<&Tensor>, fit: impl Fn(&Tensor) -> Result<Tensor>, like: &Tensor) -> Result<Tensor> {
    let Some(bias) = bias else { return y.to_dtype(like.dtype()) };
    if bias.dtype() != like.dtype() {
        return Err(Error::dtype(op, format!("the bias is {}, the input {}", bias.dtype(), like.dtype())));
    }
    let unfit = |_| Error::argument(op, format!("a bias of {:?} does not fit a result of {:?}", bias.shape(), y.shape()));
    let bias = fit(bias)?.to_dtype(y.dtype())?.expand(y.shape()).map_err(unfit)?;
    y.add(&bias)?.to_dtype(like.dtype())
}

#[track_caller]
fn product(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    if op != "dot"
        && let Some((a, b, _)) = crate::amp::lowered(a, b, None)?
    {
        return product(op, &a, &b);
    }
    product_wide(op, a, b)?.to_dtype(a.dtype())
}

/// The product in the type it is accumulated in: `f32` for `f16` and `bf16`.
#[track_caller]
fn product_wide(op: &'static str, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (sa, sb) = (Shape::from(a.shape()), Shape::from(b.shape()));
    let (Some(&inner), false) = (sa.last(), sb.is_empty()) else {
        return Err(Error::argument(op, format!("{sa:?} x {sb:?}: both operands need at least one dimension")));
    };
    if a.dtype() != b.dtype() {
        return Err(Error::dtype(op, format!("{} x {}: the operands' types differ; convert one of them", a.dtype(), b.dtype())));
    }
    let other = sb[sb.len().saturating_sub(2)];
    if inner != other {
        return Err(Error::argument(op, format!("{sa:?} x {sb:?}: inner sizes {inner} and {other} differ")));
    }
    // Vectors become a row and a column.
    if sa.len() == 1 {
        let y = product_wide(op, &a.unsqueeze(0)?, b)?;
        return y.squeeze(if sb.len() == 1 { -1 } else { -2 });
    }
    if sb.len() == 1 {
        return product_wide(op, a, &b.unsqueeze(1)?)?.squeeze(-1);
    }
    let (ra, rb) = (sa.len(), sb.len());
    if ra > 2 && rb == 2 && a.value()?.layout.reshape(&[numel(&sa[..ra - 1]), inner]).is_some() {
        // One weight for a whole batch: one large product.
        let y = Tensor::apply(MatMul, &[&a.reshape([numel(&sa[..ra - 1]), inner])?, b])?;
        let mut shape = sa;
        shape[ra - 1] = sb[1];
        return y.reshape(&shape[..]);
    }
    let batch = broadcast(op, &sa[..ra - 2], &sb[..rb - 2])?;
    let with = |s: &[usize]| -> Shape { batch.iter().chain(&s[s.len() - 2..]).copied().collect() };
    let (wa, wb) = (with(&sa), with(&sb));
    let (a, b) = (a.expand(&wa[..])?, b.expand(&wb[..])?);
    if batch.len() <= 4 {
        return Tensor::apply(MatMul, &[&a, &b]);
    }
    // Kernels walk through at most four batch dimensions.
    let flat = |t: &Tensor, w: &[usize]| t.reshape([numel(&batch), w[w.len() - 2], w[w.len() - 1]]);
    let y = Tensor::apply(MatMul, &[&flat(&a, &wa)?, &flat(&b, &wb)?])?;
    let shape: SmallVec<[usize; 6]> = batch.iter().copied().chain([wa[wa.len() - 2], wb[wb.len() - 1]]).collect();
    y.reshape(&shape[..])
}
