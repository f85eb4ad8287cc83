//! Products of reflections.

use super::super::Tensor;
use super::split;
use crate::error::{Error, Result};
use crate::shape::broadcast;

/// Reflections.
impl Tensor {
    /// The first columns of `H₁ H₂ ..` for reflections `Hᵢ = I - τᵢ vᵢ vᵢᵀ` whose vectors are the columns of `self` (`[.., m, n]`: zeros
    /// above the diagonal and a one on it, whatever is stored there) and factors `tau` `[.., k]`, `k <= n <= m`; like
    /// `torch.linalg.householder_product`. One step for each reflection.
    ///
    /// # Errors
    /// Shapes that do not fit, integers.
    #[track_caller]
    pub fn householder_product(&self, tau: &Tensor) -> Result<Tensor> {
        const OP: &str = "linalg.householder_product";
        let (batch, m, n) = split(OP, self)?;
        let k = tau.shape().last().copied().unwrap_or(0);
        if m < n || tau.rank() + 1 != self.rank() || k > n || tau.shape()[..tau.rank() - 1] != *batch {
            return Err(Error::argument(OP, format!("factors {:?} do not fit reflections {:?}", tau.shape(), self.shape())));
        }
        let shape: Vec<usize> = self.shape().to_vec();
        let start = Tensor::eye_rect(m, n, (self.dtype(), self.device()))?.expand(&shape[..])?;
        self.reflected(OP, tau, start, true)
    }

    /// `Q other` for the `m` by `m` matrix `Q` that the reflections of [`geqrf`](Self::geqrf) make, `other Q` unless `left`, and with
    /// `Qᵀ` if `transpose`; like `torch.ormqr`. `self` is `[.., m, k]`, `tau` `[.., min(m, k)]`. One step for each reflection.
    ///
    /// # Errors
    /// Shapes that do not fit, integers.
    #[track_caller]
    pub fn ormqr(&self, tau: &Tensor, other: &Tensor, left: bool, transpose: bool) -> Result<Tensor> {
        const OP: &str = "ormqr";
        let (batch, m, n) = split(OP, self)?;
        let (_, rows, cols) = split(OP, other)?;
        let side = if left { rows } else { cols };
        let k = tau.shape().last().copied().unwrap_or(0);
        if m != side || tau.rank() + 1 != self.rank() || k != n.min(m) {
            let told = format!("reflections {:?} with factors {:?} do not fit {:?}", self.shape(), tau.shape(), other.shape());
            return Err(Error::argument(OP, told));
        }
        let all = broadcast(OP, batch, &other.shape()[..other.rank() - 2])?;
        let shape: Vec<usize> = all.iter().copied().chain([rows, cols]).collect();
        let other = other.expand(&shape[..])?;
        if left { self.reflected(OP, tau, other, !transpose) } else { self.reflected(OP, tau, other.mt()?, transpose)?.mt() }
    }

    /// `H₁ H₂ .. x`, or the other way round unless `backwards`.
    fn reflected(&self, op: &'static str, tau: &Tensor, mut x: Tensor, backwards: bool) -> Result<Tensor> {
        self.expect_float(op)?;
        if tau.dtype() != self.dtype() || x.dtype() != self.dtype() {
            return Err(Error::dtype(op, format!("takes operands of one type, not {}, {} and {}", self.dtype(), tau.dtype(), x.dtype())));
        }
        let (m, k) = (self.size(-2)?, tau.size(-1)?);
        let eye = Tensor::eye_rect(m, k, (self.dtype(), self.device()))?;
        let v = self.narrow(-1, 0, k)?.tril(-1)?.add(&eye)?;
        for step in 0..k {
            let i = if backwards { k - 1 - step } else { step };
            let (v, tau) = (v.narrow(-1, i, 1)?, tau.narrow(-1, i, 1)?.unsqueeze(-1)?);
            x = x.sub(&v.matmul(&v.mt()?.matmul(&x)?)?.mul(&tau)?)?;
        }
        Ok(x)
    }
}
