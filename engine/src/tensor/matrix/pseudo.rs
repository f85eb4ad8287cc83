//! Pseudo-inverses and ranks: what small singular values count as zero.

use smallvec::smallvec;

use super::super::{Operand, Tensor};
use super::{epsilon, split, square};
use crate::autograd;
use crate::dtype::DType;
use crate::error::Result;

/// Pseudo-inverses and ranks.
impl Tensor {
    /// Moore and Penrose's inverse of matrices `[.., m, n]`; like `torch.linalg.pinv`. Singular values up to
    /// `max(atol, rtol * the largest)` count as 0, by default those up to `max(m, n)` times the type's precision; the tolerances may
    /// be tensors `[..]`. `hermitian`: the matrices are symmetric, and the lower triangle is read. Runs on the host.
    ///
    /// # Errors
    /// No (or not square) matrices, other types than `f32` and `f64`. Infinities and NaN give NaN.
    #[track_caller]
    pub fn pinv_with(&self, atol: Option<Operand>, rtol: Option<Operand>, hermitian: bool) -> Result<Tensor> {
        const OP: &str = "linalg.pinv";
        let (_, m, n) = split(OP, self)?;
        let options = (atol.clone(), rtol.clone());
        let out = autograd::no_grad(|| -> Result<Tensor> {
            if hermitian {
                square(OP, self)?;
                let (l, v) = self.eigh(false)?;
                let keep = l.abs()?.gt(&l.abs()?.cutoff(atol, rtol, n)?)?;
                let inverse = l.reciprocal()?.where_(&keep, 0.0)?;
                return v.mul(&inverse.unsqueeze(-2)?)?.matmul(&v.mt()?);
            }
            let (u, s, vh) = self.svd(false)?;
            let keep = s.gt(&s.cutoff(atol, rtol, m.max(n))?)?;
            let inverse = s.reciprocal()?.where_(&keep, 0.0)?;
            vh.mt()?.mul(&inverse.unsqueeze(-2)?)?.matmul(&u.mt()?)
        })?;
        let (saved, value) = (self.snapshot()?, out.detach()?);
        // Golub and Pereyra (1973). P = A⁺, G = dPᵀ.
        autograd::record_with(&out, OP, &[self], move |dp, _| {
            let a = &saved;
            let p = if autograd::is_enabled() { a.pinv_with(options.0.clone(), options.1.clone(), hermitian)? } else { value.clone() };
            let (pt, g) = (p.mt()?, dp.mt()?);
            let da = if m <= n {
                let k = g.matmul(&p)?;
                let kp = k.matmul(&pt)?;
                let own = kp.sub(&a.matmul(&p)?.matmul(&kp)?)?.sub(&p.matmul(&k)?.mt()?)?;
                own.add(&pt.matmul(&p)?.matmul(&g.sub(&k.matmul(a)?)?)?)?
            } else {
                let k = p.matmul(&g)?;
                let pk = pt.matmul(&k)?;
                let own = pk.sub(&pk.matmul(&p)?.matmul(a)?)?.sub(&k.matmul(&p)?.mt()?)?;
                own.add(&g.sub(&a.matmul(&k)?)?.matmul(&p)?.matmul(&pt)?)?
            };
            Ok(smallvec![Some(da)])
        });
        Ok(out)
    }

    /// [`pinv_with`](Self::pinv_with) the default tolerances.
    ///
    /// # Errors
    /// As [`pinv_with`](Self::pinv_with).
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[2.0, 0.0], [0.0, 0.0]], &Device::cpu())?;
    /// assert_eq!(a.pinv()?.to_vec::<f32>()?, [0.5, 0.0, 0.0, 0.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn pinv(&self) -> Result<Tensor> {
        self.pinv_with(None, None, false)
    }

    /// How many singular values of each matrix are larger than `max(atol, rtol * the largest)`, as `i64`; like
    /// `torch.linalg.matrix_rank`. Tolerances as in [`pinv_with`](Self::pinv_with). Without a gradient. Runs on the host.
    ///
    /// # Errors
    /// As [`pinv_with`](Self::pinv_with).
    #[track_caller]
    pub fn matrix_rank(&self, atol: Option<Operand>, rtol: Option<Operand>, hermitian: bool) -> Result<Tensor> {
        let (_, m, n) = split("linalg.matrix_rank", self)?;
        autograd::no_grad(|| {
            let s = if hermitian { self.eigvalsh(false)?.abs()? } else { self.svdvals()? };
            s.rank_of(atol, rtol, m.max(n))
        })
    }

    /// The rank of matrices with these singular values, whose longer side is `longer`.
    pub(super) fn rank_of(&self, atol: Option<Operand>, rtol: Option<Operand>, longer: usize) -> Result<Tensor> {
        self.gt(&self.cutoff(atol, rtol, longer)?)?.to_dtype(DType::I64)?.sum(-1)
    }

    /// Which of these singular values `[.., k]` count as 0: those up to the result `[.., 1]`.
    fn cutoff(&self, atol: Option<Operand>, rtol: Option<Operand>, longer: usize) -> Result<Tensor> {
        let own = |o: Operand| match o {
            Operand::Tensor(t) => t.to_dtype(self.dtype())?.unsqueeze(-1),
            Operand::Scalar(v) => Tensor::full([1], v.as_f64(), (self.dtype(), self.device())),
        };
        let largest = if self.size(-1)? == 0 { self.sum_keepdim(-1)? } else { self.amax_keepdim(-1)? };
        let usual = epsilon(self.dtype()) * longer as f64;
        let atol = atol.map(own).transpose()?;
        let rtol = match (rtol, &atol) {
            (Some(rtol), _) => own(rtol)?,
            (None, None) => own(usual.into())?,
            // An absolute tolerance takes the place of the usual one.
            (None, Some(atol)) => own(usual.into())?.masked_fill_beyond(atol)?,
        };
        let relative = largest.mul(&rtol)?;
        match atol {
            Some(atol) => relative.maximum(&atol),
            None => Ok(relative),
        }
    }

    /// 0 where `other` is positive.
    fn masked_fill_beyond(&self, other: &Tensor) -> Result<Tensor> {
        self.expand(other.shape())?.masked_fill(&other.gt(0.0)?, 0.0)
    }
}
