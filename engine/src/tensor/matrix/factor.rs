//! Factorizations: Cholesky, LU, QR, LDL.

use super::super::Tensor;
use super::{split, square};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Cholesky, Geqrf, LdlFactor, Lu, Permutation, Qr, part};

/// Factorizations.
impl Tensor {
    /// `L` of `A = L Lᵀ`, or `U` of `A = Uᵀ U` if `upper`, of symmetric positive definite matrices `[.., n, n]`; like
    /// `torch.linalg.cholesky`. Only the triangle of that name is read. Runs on the host.
    ///
    /// # Errors
    /// Matrices that are not square or not positive definite, other types than `f32` and `f64`. That is checked at once: everything
    /// pending is computed; [`cholesky_ex`](Self::cholesky_ex) need not.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[4.0, 2.0], [2.0, 5.0]], &Device::cpu())?;
    /// assert_eq!(a.cholesky(false)?.to_vec::<f32>()?, [2.0, 0.0, 1.0, 2.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn cholesky(&self, upper: bool) -> Result<Tensor> {
        Ok(self.cholesky_ex(upper, true)?.0)
    }

    /// [`cholesky`](Self::cholesky) and, as `i32`, 0 or the order of the first leading minor that is not positive
    /// definite: an error only if `check`. What of the factor was not reached is 0.
    ///
    /// # Errors
    /// As [`cholesky`](Self::cholesky).
    #[track_caller]
    pub fn cholesky_ex(&self, upper: bool, check: bool) -> Result<(Tensor, Tensor)> {
        let (_, n) = square("linalg.cholesky", self)?;
        let rows = Tensor::rows(Cholesky, &[&if upper { self.mt()? } else { self.clone() }])?;
        let l = part(&rows, 0, &[n, n])?;
        let mut info = rows.int_part(n * n, &[])?;
        if check {
            info = info.expect_zero_info("linalg.cholesky", "not positive-definite, as its leading minor of order")?;
        }
        Ok((if upper { l.mt()? } else { l }, info))
    }

    /// `(P, L, U)` of `A = P L U` with row exchanges, for matrices `[.., m, n]`: `[.., m, m]`, `[.., m, k]`, `[.., k, n]` with
    /// `k = min(m, n)`; like `torch.linalg.lu`. Runs on the host.
    ///
    /// # Errors
    /// Other types than `f32` and `f64`; no matrices.
    #[track_caller]
    pub fn lu(&self) -> Result<(Tensor, Tensor, Tensor)> {
        let (lu, pivots) = self.lu_factor()?;
        lu.lu_unpack(&pivots)
    }

    /// `L` and `U` in one matrix (the ones of `L` are left out), and as `i32` the row each step exchanged its own with,
    /// counted from 1; like `torch.linalg.lu_factor`.
    ///
    /// # Errors
    /// As [`lu`](Self::lu).
    #[track_caller]
    pub fn lu_factor(&self) -> Result<(Tensor, Tensor)> {
        let (lu, pivots, _) = self.lu_factor_ex()?;
        Ok((lu, pivots))
    }

    /// [`lu_factor`](Self::lu_factor) and, as `i32`, 0 or the number of the first pivot that is 0.
    ///
    /// # Errors
    /// As [`lu`](Self::lu).
    #[track_caller]
    pub fn lu_factor_ex(&self) -> Result<(Tensor, Tensor, Tensor)> {
        let (_, m, n) = split("linalg.lu_factor", self)?;
        let (rows, k) = (Tensor::rows(Lu, &[self])?, m.min(n));
        Ok((part(&rows, 0, &[m, n])?, rows.int_part(m * n, &[k])?, rows.int_part(m * n + k, &[])?))
    }

    /// `(P, L, U)` from what [`lu_factor`](Self::lu_factor) gave; like `torch.lu_unpack`.
    ///
    /// # Errors
    /// Pivots that do not fit; as [`lu`](Self::lu).
    #[track_caller]
    pub fn lu_unpack(&self, pivots: &Tensor) -> Result<(Tensor, Tensor, Tensor)> {
        let (_, m, n) = split("lu_unpack", self)?;
        let k = m.min(n);
        let wanted: Vec<usize> = self.shape()[..self.rank() - 2].iter().copied().chain([k]).collect();
        if pivots.shape() != wanted {
            return Err(Error::argument("lu_unpack", format!("pivots {:?} do not fit factors {:?}", pivots.shape(), self.shape())));
        }
        let p = pivots.to_dtype(self.dtype())?.permutation(m)?;
        let eye = Tensor::eye_rect(m, k, (self.dtype(), self.device()))?;
        let l = self.narrow(-1, 0, k)?.tril(-1)?.add(&eye)?;
        Ok((p, l, self.narrow(-2, 0, k)?.triu(0)?))
    }

    /// The matrices of row exchanges `[.., rows, rows]` for pivots `[.., k]` of a float type.
    pub(crate) fn permutation(&self, rows: usize) -> Result<Tensor> {
        if self.dtype().is_float() && !matches!(self.dtype(), DType::F32 | DType::F64) {
            return Err(Error::dtype("lu_unpack", format!("takes f32 or f64, not {}", self.dtype())));
        }
        part(&Tensor::rows(Permutation { rows }, &[&self.detach()?.unsqueeze(-1)?])?, 0, &[rows, rows])?.detach()
    }

    /// `(Q, R)` of `A = Q R`: `Q` has orthonormal columns, `R` is upper triangular. `mode` is `"reduced"` (`[.., m, k]` and `[.., k, n]`
    /// with `k = min(m, n)`), `"complete"` (`k = m`), or `"r"` (no `Q`: an empty tensor); like `torch.linalg.qr`. Runs on the host.
    ///
    /// # Errors
    /// Another mode, no matrices, other types than `f32` and `f64`; in the gradient: mode `"r"`, and tall matrices in mode `"complete"`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[3.0, 1.0], [4.0, 2.0]], &Device::cpu())?;
    /// let (q, r) = a.qr("reduced")?;
    /// assert!(q.matmul(&r)?.allclose(&a, 1e-5, 1e-6, false)?);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn qr(&self, mode: &str) -> Result<(Tensor, Tensor)> {
        let (_, m, n) = split("linalg.qr", self)?;
        let complete = match mode {
            "complete" => true,
            "reduced" | "r" => false,
            _ => return Err(Error::argument("linalg.qr", format!("mode '{mode}' is none of reduced, complete, r"))),
        };
        let k = if complete { m } else { m.min(n) };
        let rows = Tensor::rows(Qr { complete }, &[self])?;
        let r = part(&rows, m * k, &[k, n])?;
        if mode == "r" {
            return Ok((Tensor::empty([0], (self.dtype(), self.device()))?, r));
        }
        Ok((part(&rows, 0, &[m, k])?, r))
    }

    /// What LAPACK's `geqrf` leaves of `[.., m, n]`: `R` with the vectors of the reflections below its diagonal, and their
    /// factors `[.., min(m, n)]`; like `torch.geqrf`. Without a gradient. Runs on the host.
    ///
    /// # Errors
    /// No matrices, other types than `f32` and `f64`.
    #[track_caller]
    pub fn geqrf(&self) -> Result<(Tensor, Tensor)> {
        let (_, m, n) = split("geqrf", self)?;
        let rows = Tensor::rows(Geqrf, &[self])?;
        Ok((part(&rows, 0, &[m, n])?, part(&rows, m * n, &[m.min(n)])?))
    }

    /// `A = P L D Lᵀ Pᵀ` of symmetric matrices `[.., n, n]`, of which the lower triangle is read: `L` and `D` in one triangle, and
    /// LAPACK's pivots `[.., n]` as `i32`; like `torch.linalg.ldl_factor`. Without a gradient. Runs on the host.
    ///
    /// # Errors
    /// Matrices that are not square or singular, other types than `f32` and `f64`. That is checked at once: everything pending is
    /// computed; [`ldl_factor_ex`](Self::ldl_factor_ex) need not.
    #[track_caller]
    pub fn ldl_factor(&self) -> Result<(Tensor, Tensor)> {
        let (ld, pivots, _) = self.ldl_factor_ex(true)?;
        Ok((ld, pivots))
    }

    /// [`ldl_factor`](Self::ldl_factor) and, as `i32`, 0 or the number of the first element of `D` that is 0: an error only if
    /// `check`.
    ///
    /// # Errors
    /// As [`ldl_factor`](Self::ldl_factor).
    #[track_caller]
    pub fn ldl_factor_ex(&self, check: bool) -> Result<(Tensor, Tensor, Tensor)> {
        let (_, n) = square("linalg.ldl_factor", self)?;
        let rows = Tensor::rows(LdlFactor, &[self])?;
        let mut info = rows.int_part(n * n + n, &[])?;
        if check {
            info = info.expect_zero_info("linalg.ldl_factor", "singular at element")?;
        }
        Ok((part(&rows, 0, &[n, n])?, rows.int_part(n * n, &[n])?, info))
    }
}
