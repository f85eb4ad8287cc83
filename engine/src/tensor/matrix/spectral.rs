//! Eigenvalues and singular values.

use super::super::{ComplexTensor, Tensor};
use super::{split, square};
use crate::error::{Error, Result};
use crate::ops::{Eig, Eigh, MatrixExp, Polar, Svd, part};

/// Eigenvalues and singular values.
impl Tensor {
    /// Eigenvalues `[.., n]`, ascending, and eigenvectors (the columns of `[.., n, n]`) of symmetric matrices; like
    /// `torch.linalg.eigh`. Only the upper or the lower triangle is read. Runs on the host.
    ///
    /// A vector's sign is arbitrary, and its gradient only means something for functions that do not depend on it; equal
    /// eigenvalues pass nothing to each other's vectors.
    ///
    /// # Errors
    /// Matrices that are not square, other types than `f32` and `f64`. Infinities and NaN give NaN.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[2.0, 1.0], [1.0, 2.0]], &Device::cpu())?;
    /// let (values, _) = a.eigh(false)?;
    /// assert!(values.allclose(&Tensor::new([1.0, 3.0], &Device::cpu())?, 1e-5, 1e-6, false)?);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn eigh(&self, upper: bool) -> Result<(Tensor, Tensor)> {
        let (_, n) = square("linalg.eigh", self)?;
        let rows = Tensor::rows(Eigh { upper, vectors: true }, &[self])?;
        Ok((part(&rows, 0, &[n])?, part(&rows, n, &[n, n])?))
    }

    /// The eigenvalues of [`eigh`](Self::eigh) alone; their gradient is exact also where some are equal.
    ///
    /// # Errors
    /// As [`eigh`](Self::eigh).
    #[track_caller]
    pub fn eigvalsh(&self, upper: bool) -> Result<Tensor> {
        let (_, n) = square("linalg.eigh", self)?;
        part(&Tensor::rows(Eigh { upper, vectors: false }, &[self])?, 0, &[n])
    }

    /// Eigenvalues `[.., n]` and eigenvectors (the columns of `[.., n, n]`) of general matrices, complex numbers both; like
    /// `torch.linalg.eig`. Pairs of eigenvalues stand together, otherwise they are in no order. Runs on the host.
    ///
    /// Vectors have length 1, and the largest element of a complex one is real; their signs are arbitrary. Their gradient only
    /// means something for functions that do not depend on their sign and angle.
    ///
    /// # Errors
    /// Matrices that are not square, other types than `f32` and `f64`. Infinities and NaN give NaN.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let turn = Tensor::new([[0.0, -1.0], [1.0, 0.0]], &Device::cpu())?;
    /// let (values, vectors) = turn.eig()?;
    /// assert_eq!(values.view_as_real().to_vec::<f32>()?, [0.0, 1.0, 0.0, -1.0]);
    /// assert_eq!(vectors.shape(), [2, 2]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn eig(&self) -> Result<(ComplexTensor, ComplexTensor)> {
        let (_, n) = square("linalg.eig", self)?;
        let rows = Tensor::rows(Eig { vectors: true }, &[self])?;
        let (values, vectors) = (part(&rows, 0, &[n, 2])?, part(&rows, 2 * n, &[n, n, 2])?);
        Ok((values.view_as_complex()?, vectors.view_as_complex()?))
    }

    /// The eigenvalues of [`eig`](Self::eig) alone; like `torch.linalg.eigvals`.
    ///
    /// # Errors
    /// As [`eig`](Self::eig).
    #[track_caller]
    pub fn eigvals(&self) -> Result<ComplexTensor> {
        let (_, n) = square("linalg.eigvals", self)?;
        part(&Tensor::rows(Eig { vectors: false }, &[self])?, 0, &[n, 2])?.view_as_complex()
    }

    /// `(U, S, Vᵀ)` of `A = U diag(S) Vᵀ` for matrices `[.., m, n]`: `[.., m, k]`, `[.., k]` (descending), `[.., k, n]` with
    /// `k = min(m, n)`; `U` and `Vᵀ` are square if `full`. Like `torch.linalg.svd`. Runs on the host.
    ///
    /// The vectors' signs are arbitrary, and their gradients only mean something for functions that do not depend on them; equal
    /// singular values pass nothing to each other's vectors. With `full` the additional columns have no gradient.
    ///
    /// # Errors
    /// No matrices, other types than `f32` and `f64`. Infinities and NaN give NaN.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]], &Device::cpu())?;
    /// let (u, s, vh) = a.svd(false)?;
    /// assert_eq!(s.to_vec::<f32>()?, [2.0, 1.0]);
    /// assert!(u.mul(&s)?.matmul(&vh)?.allclose(&a, 1e-5, 1e-6, false)?);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn svd(&self, full: bool) -> Result<(Tensor, Tensor, Tensor)> {
        let (_, m, n) = split("linalg.svd", self)?;
        let k = m.min(n);
        let (uc, vr) = if full { (m, n) } else { (k, k) };
        let rows = Tensor::rows(Svd { full, vectors: true }, &[self])?;
        Ok((part(&rows, 0, &[m, uc])?, part(&rows, m * uc, &[k])?, part(&rows, m * uc + k, &[vr, n])?))
    }

    /// The singular values of [`svd`](Self::svd) alone; their gradient is exact also where some are equal.
    ///
    /// # Errors
    /// As [`svd`](Self::svd).
    #[track_caller]
    pub fn svdvals(&self) -> Result<Tensor> {
        let (_, m, n) = split("linalg.svdvals", self)?;
        let k = m.min(n);
        part(&Tensor::rows(Svd { full: false, vectors: false }, &[self])?, m * k, &[k])
    }

    /// `(U, H)` of the polar decomposition `A = U H` of matrices `[.., m, n]` with `m >= n`: `U` has orthonormal columns, `H` is
    /// symmetric and has no negative eigenvalues; like `torch.linalg.polar`. Runs on the host.
    ///
    /// # Errors
    /// Matrices that are wider than tall, other types than `f32` and `f64`. Infinities and NaN give NaN.
    #[track_caller]
    pub fn polar(&self) -> Result<(Tensor, Tensor)> {
        let (_, m, n) = split("linalg.polar", self)?;
        if m < n {
            return Err(Error::argument("linalg.polar", format!("takes matrices that are not wider than tall, not {m} by {n}")));
        }
        let rows = Tensor::rows(Polar, &[self])?;
        Ok((part(&rows, 0, &[m, n])?, part(&rows, m * n, &[n, n])?))
    }

    /// The square root of symmetric matrices without negative eigenvalues (those that are, are taken for 0); like
    /// `torch.linalg.matrix_sqrth`. Runs on the host.
    ///
    /// # Errors
    /// Matrices that are not square, other types than `f32` and `f64`. Infinities and NaN give NaN.
    #[track_caller]
    pub fn matrix_sqrth(&self, upper: bool) -> Result<Tensor> {
        let (_, n) = square("linalg.matrix_sqrth", self)?;
        part(&Tensor::rows(crate::ops::SquareRoot { upper }, &[self])?, 0, &[n, n])
    }

    /// The exponential of square matrices; like `torch.linalg.matrix_exp`. Runs on the host.
    ///
    /// # Errors
    /// Matrices that are not square, other types than `f32` and `f64`.
    #[track_caller]
    pub fn matrix_exp(&self) -> Result<Tensor> {
        let (_, n) = square("linalg.matrix_exp", self)?;
        part(&Tensor::rows(MatrixExp, &[self])?, 0, &[n, n])
    }
}
