//! Systems of equations, inverses, determinants.

use smallvec::smallvec;

use super::super::Tensor;
use super::{square, together};
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Determinant, LdlSolve, Solve, SolveTriangular, part};
use crate::shape::{broadcast, numel};

const SINGULAR: &str = "singular: 0 is pivot";

/// Equations.
impl Tensor {
    /// `X` of `A X = B` (or of `X A = B` unless `left`), where `self` are square matrices `A` `[.., n, n]`, and `b` matrices
    /// `[.., n, k]` or a batch of vectors: `[n]`, or the shape of `A` without its last dimension. Leading dimensions broadcast. Like
    /// `torch.linalg.solve`. Runs on the host.
    ///
    /// # Errors
    /// Shapes that do not fit, other types than `f32` and `f64`, a singular matrix. That is checked at once: everything pending is
    /// computed; [`solve_ex`](Self::solve_ex) need not.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let cpu = Device::cpu();
    /// let a = Tensor::new([[2.0, 0.0], [1.0, 4.0]], &cpu)?;
    /// let x = a.solve(&Tensor::new([2.0, 9.0], &cpu)?, true)?;
    /// assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn solve(&self, b: &Tensor, left: bool) -> Result<Tensor> {
        Ok(self.solve_ex(b, left, true)?.0)
    }

    /// [`solve`](Self::solve) and, as `i32`, 0 or the number of the first pivot that is 0: an error only if `check`.
    ///
    /// # Errors
    /// As [`solve`](Self::solve).
    #[track_caller]
    pub fn solve_ex(&self, b: &Tensor, left: bool, check: bool) -> Result<(Tensor, Tensor)> {
        const OP: &str = "linalg.solve";
        square(OP, self)?;
        let lead = &self.shape()[..self.rank() - 1];
        let vector = b.rank() == 1 || b.rank() + 1 == self.rank() && b.shape() == lead;
        if !left && vector {
            return Err(Error::argument(OP, "X A = B takes matrices B; vectors need left"));
        }
        let (a, b) = if left { (self.clone(), b.clone()) } else { (self.mt()?, b.mt()?) };
        let (x, mut info) = a.solve_matrices(&if vector { b.unsqueeze(-1)? } else { b })?;
        if check {
            info = info.expect_zero_info(OP, SINGULAR)?;
        }
        Ok((
            if vector {
                x.squeeze(-1)?
            } else if left {
                x
            } else {
                x.mt()?
            },
            info,
        ))
    }

    /// `A X = B` for matrices `B`.
    #[track_caller]
    pub(crate) fn solve_matrices(&self, b: &Tensor) -> Result<(Tensor, Tensor)> {
        let (a, b) = together("linalg.solve", self, b)?;
        let (n, k) = (b.size(-2)?, b.size(-1)?);
        let rows = Tensor::rows(Solve { op: "linalg.solve" }, &[&a, &b])?;
        Ok((part(&rows, 0, &[n, k])?, rows.int_part(n * k, &[])?))
    }

    /// `X` of `A X = B` (or of `X A = B` unless `left`) for triangular `A`, of which only that triangle is read, and with
    /// `unit` not the diagonal either: it is taken for ones. Like `torch.linalg.solve_triangular`. Runs on the host.
    ///
    /// # Errors
    /// Shapes that do not fit, other types than `f32` and `f64`.
    #[track_caller]
    pub fn solve_triangular(&self, b: &Tensor, upper: bool, left: bool, unit: bool) -> Result<Tensor> {
        square("linalg.solve_triangular", self)?;
        if !left {
            return self.mt()?.solve_triangular(&b.mt()?, !upper, true, unit)?.mt();
        }
        let (a, b) = together("linalg.solve_triangular", self, b)?;
        let rows = Tensor::rows(SolveTriangular { upper, unit }, &[&a, &b])?;
        part(&rows, 0, &[b.size(-2)?, b.size(-1)?])
    }

    /// The inverse of square matrices; like `torch.linalg.inv`. Runs on the host.
    ///
    /// # Errors
    /// Matrices that are not square or singular, other types than `f32` and `f64`. That is checked at once: everything pending is
    /// computed; [`inv_ex`](Self::inv_ex) need not.
    #[track_caller]
    pub fn inv(&self) -> Result<Tensor> {
        Ok(self.inv_ex(true)?.0)
    }

    /// [`inv`](Self::inv) and, as `i32`, 0 or the number of the first pivot that is 0: an error only if `check`.
    ///
    /// # Errors
    /// As [`inv`](Self::inv).
    #[track_caller]
    pub fn inv_ex(&self, check: bool) -> Result<(Tensor, Tensor)> {
        let (_, n) = square("linalg.inv", self)?;
        let eye = Tensor::eye(n, (self.dtype(), self.device()))?.expand(self.shape())?;
        let rows = Tensor::rows(Solve { op: "linalg.inv" }, &[self, &eye])?;
        let mut info = rows.int_part(n * n, &[])?;
        if check {
            info = info.expect_zero_info("linalg.inv", SINGULAR)?;
        }
        Ok((part(&rows, 0, &[n, n])?, info))
    }

    /// Determinants of square matrices `[.., n, n]`; like `torch.linalg.det`. The gradient is exact also where they are 0. Runs
    /// on the host.
    ///
    /// # Errors
    /// Matrices that are not square, other types than `f32` and `f64`.
    #[track_caller]
    pub fn det(&self) -> Result<Tensor> {
        Tensor::rows(Determinant, &[self])?.scalar_part(0)
    }

    /// The determinant's sign and the logarithm of its magnitude; like `torch.linalg.slogdet`.
    ///
    /// # Errors
    /// As [`det`](Self::det).
    #[track_caller]
    pub fn slogdet(&self) -> Result<(Tensor, Tensor)> {
        let rows = Tensor::rows(Determinant, &[self])?;
        Ok((rows.scalar_part(1)?, rows.scalar_part(2)?))
    }

    /// The logarithm of the determinant, NaN where it is negative; like `torch.logdet`.
    ///
    /// # Errors
    /// As [`det`](Self::det).
    #[track_caller]
    pub fn logdet(&self) -> Result<Tensor> {
        let (sign, log) = self.slogdet()?;
        log.masked_fill(&sign.lt(0)?, f64::NAN)
    }

    /// `X` of `A X = B` from what [`lu_factor`](Self::lu_factor) gave of `A`; of `X A = B` unless `left`; for `Aᵀ` if
    /// `adjoint`. Like `torch.linalg.lu_solve`.
    ///
    /// # Errors
    /// Shapes that do not fit, other types than `f32` and `f64`.
    #[track_caller]
    pub fn lu_solve(&self, pivots: &Tensor, b: &Tensor, left: bool, adjoint: bool) -> Result<Tensor> {
        if !left {
            return self.lu_solve(pivots, &b.mt()?, true, !adjoint)?.mt();
        }
        let (_, n) = square("linalg.lu_solve", self)?;
        if pivots.rank() + 1 != self.rank() || pivots.size(-1)? != n {
            return Err(Error::argument("linalg.lu_solve", format!("pivots {:?} do not fit factors {:?}", pivots.shape(), self.shape())));
        }
        let p = pivots.to_dtype(self.dtype())?.permutation(n)?;
        if adjoint {
            let x = self.mt()?.solve_triangular(b, false, true, false)?;
            return p.matmul(&self.mt()?.solve_triangular(&x, true, true, true)?);
        }
        let x = self.solve_triangular(&p.mt()?.matmul(b)?, false, true, true)?;
        self.solve_triangular(&x, true, true, false)
    }

    /// `X` of `A X = self` from the Cholesky factor of `A`: `factor` is `L`, or `U` if `upper`; like `torch.cholesky_solve`.
    ///
    /// # Errors
    /// Shapes that do not fit, other types than `f32` and `f64`.
    #[track_caller]
    pub fn cholesky_solve(&self, factor: &Tensor, upper: bool) -> Result<Tensor> {
        square("cholesky_solve", factor)?;
        let solve = move |b: &Tensor, l: &Tensor| {
            let (first, second) = if upper { (l.mt()?, l.clone()) } else { (l.clone(), l.mt()?) };
            second.solve_triangular(&first.solve_triangular(b, false, true, false)?, true, true, false)
        };
        let (l, b) = together("cholesky_solve", factor, self)?;
        let out = autograd::no_grad(|| solve(&b, &l))?;
        let (saved, value, given) = (l.snapshot()?, out.detach()?, b.snapshot()?);
        // dB = A⁻¹ dX, dA = -dB Xᵀ, and of L as if all of it counted: dL = -(dB Xᵀ + X dBᵀ) L.
        autograd::record_with(&out, "cholesky_solve", &[&b, &l], move |dx, _| {
            let x = if autograd::is_enabled() { given.cholesky_solve(&saved, upper)? } else { value.clone() };
            let db = dx.cholesky_solve(&saved, upper)?;
            let half = db.matmul(&x.mt()?)?;
            let both = half.add(&half.mt()?)?;
            let dl = if upper { saved.matmul(&both)? } else { both.matmul(&saved)? };
            Ok(smallvec![Some(db), Some(dl.neg()?)])
        });
        Ok(out)
    }

    /// `A⁻¹` from the Cholesky factor of `A`: `self` is `L`, or `U` if `upper`; like `torch.cholesky_inverse`.
    ///
    /// # Errors
    /// Matrices that are not square, other types than `f32` and `f64`.
    #[track_caller]
    pub fn cholesky_inverse(&self, upper: bool) -> Result<Tensor> {
        let (_, n) = square("cholesky_inverse", self)?;
        let inverse = |l: &Tensor| {
            let eye = Tensor::eye(n, (l.dtype(), l.device()))?;
            let half = l.solve_triangular(&eye, upper, true, false)?;
            if upper { half.matmul(&half.mt()?) } else { half.mt()?.matmul(&half) }
        };
        let out = autograd::no_grad(|| inverse(self))?;
        let (saved, value) = (self.snapshot()?, out.detach()?);
        // dA = -A⁻¹ dY A⁻¹, and of L as if all of it counted: dL = (dA + dAᵀ) L.
        autograd::record_with(&out, "cholesky_inverse", &[self], move |dy, _| {
            let y = if autograd::is_enabled() { saved.cholesky_inverse(upper)? } else { value.clone() };
            let both = y.matmul(&dy.add(&dy.mt()?)?)?.matmul(&y)?;
            let dl = if upper { saved.matmul(&both)? } else { both.matmul(&saved)? };
            Ok(smallvec![Some(dl.neg()?)])
        });
        Ok(out)
    }

    /// `X` of `A X = B` from what [`ldl_factor`](Self::ldl_factor) gave of `A`; like `torch.linalg.ldl_solve`. Without a gradient. Runs on
    /// the host.
    ///
    /// # Errors
    /// Shapes that do not fit, other types than `f32` and `f64`.
    #[track_caller]
    pub fn ldl_solve(&self, pivots: &Tensor, b: &Tensor) -> Result<Tensor> {
        const OP: &str = "linalg.ldl_solve";
        let (_, n) = square(OP, self)?;
        if pivots.rank() + 1 != self.rank() || pivots.size(-1)? != n {
            return Err(Error::argument(OP, format!("pivots {:?} do not fit factors {:?}", pivots.shape(), self.shape())));
        }
        let (ld, b) = together(OP, self, b)?;
        let (ld, pivots) = together(OP, &ld, &pivots.to_dtype(self.dtype())?.unsqueeze(-1)?)?;
        let rows = Tensor::rows(LdlSolve, &[&ld, &pivots, &b])?;
        part(&rows, 0, &[n, b.size(-1)?])
    }

    /// The inverse of the map that `self`, seen as a matrix between its first `ind` and its other dimensions, is; like
    /// `torch.linalg.tensorinv`.
    ///
    /// # Errors
    /// `ind` is 0, or the two groups of dimensions differ in their number of elements; as [`inv`](Self::inv).
    #[track_caller]
    pub fn tensorinv(&self, ind: usize) -> Result<Tensor> {
        const OP: &str = "linalg.tensorinv";
        if ind == 0 || ind > self.rank() {
            return Err(Error::argument(OP, format!("ind {ind} does not divide {} dimensions", self.rank())));
        }
        let (from, to) = self.shape().split_at(ind);
        if numel(from) != numel(to) {
            return Err(Error::argument(OP, format!("{from:?} and {to:?} hold different numbers of elements")));
        }
        let shape: Vec<usize> = to.iter().chain(from).copied().collect();
        self.reshape([numel(from), numel(to)])?.inv()?.reshape(&shape[..])
    }

    /// `X` with `tensordot(self, X) = b`, over the last dimensions of `self`, to which `dims` are moved first; like
    /// `torch.linalg.tensorsolve`.
    ///
    /// # Errors
    /// Shapes that do not make a square system; as [`solve`](Self::solve).
    #[track_caller]
    pub fn tensorsolve(&self, b: &Tensor, dims: Option<&[isize]>) -> Result<Tensor> {
        const OP: &str = "linalg.tensorsolve";
        let mut a = self.clone();
        if let Some(dims) = dims {
            let to: Vec<isize> = (0..dims.len() as isize).map(|i| i - dims.len() as isize).collect();
            a = a.movedim(dims, &to[..])?;
        }
        let shape = a
            .shape()
            .get(b.rank()..)
            .ok_or_else(|| Error::argument(OP, format!("{:?} has fewer dimensions than the right side {:?}", self.shape(), b.shape())))?;
        let shape = shape.to_vec();
        if numel(&shape) != b.numel() || a.numel() != b.numel() * b.numel() {
            return Err(Error::argument(OP, format!("{:?} and {:?} make no square system", self.shape(), b.shape())));
        }
        a.reshape([b.numel(), b.numel()])?.solve(&b.reshape([b.numel()])?, true)?.reshape(&shape[..])
    }

    /// PyTorch's former `triangular_solve`: `X` of `A X = self`, where `a` is upper triangular or not, or `Aᵀ` is meant; and `A` once more.
    ///
    /// # Errors
    /// As [`solve_triangular`](Self::solve_triangular).
    #[track_caller]
    pub fn triangular_solve(&self, a: &Tensor, upper: bool, transpose: bool, unit: bool) -> Result<(Tensor, Tensor)> {
        let (own, _) = together("triangular_solve", a, self)?;
        let t = if transpose { a.mt()? } else { a.clone() };
        Ok((t.solve_triangular(self, upper != transpose, true, unit)?, own.contiguous()?.add(0)?))
    }
}

/// What `torch.linalg.lstsq` returns.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    /// `[.., n, k]`
    pub solution: Tensor,
    /// The squared distances `[.., k]`; empty where the system is not overdetermined, or some matrix not of full rank.
    pub residuals: Tensor,
    /// The matrices' ranks; empty for driver `gels`.
    pub rank: Tensor,
    /// Empty for drivers `gels` and `gelsy`.
    pub singular_values: Tensor,
}

impl Tensor {
    /// The shortest `X` for which `A X` is closest to `B`; like `torch.linalg.lstsq`. `b` is `[.., m, k]`, or `[.., m]` for a batch of
    /// vectors. Singular values up to `rcond` times the largest count as 0; `driver` is one of `gels`, `gelsy` (the default),
    /// `gelsd`, `gelss`, which differ in what else is returned. Runs on the host; where the system is overdetermined the ranks are
    /// read, and everything pending is computed.
    ///
    /// # Errors
    /// Shapes that do not fit, another driver, other types than `f32` and `f64`.
    #[track_caller]
    pub fn lstsq(&self, b: &Tensor, rcond: Option<f64>, driver: Option<&str>) -> Result<LeastSquares> {
        const OP: &str = "linalg.lstsq";
        if self.rank() < 2 || b.rank() == 0 {
            return Err(Error::argument(OP, format!("takes matrices, not {:?} and {:?}", self.shape(), b.shape())));
        }
        let driver = driver.unwrap_or("gelsy");
        if !["gels", "gelsy", "gelsd", "gelss"].contains(&driver) {
            return Err(Error::argument(OP, format!("driver '{driver}' is none of gels, gelsy, gelsd, gelss")));
        }
        if self.dtype() != b.dtype() {
            return Err(Error::dtype(OP, format!("{} and {}", self.dtype(), b.dtype())));
        }
        let vector = b.rank() + 1 == self.rank();
        let b = if vector { b.unsqueeze(-1)? } else { b.clone() };
        let (m, n) = (self.size(-2)?, self.size(-1)?);
        if b.rank() != self.rank() || b.size(-2)? != m {
            return Err(Error::argument(OP, format!("{:?} and {:?} do not fit", self.shape(), b.shape())));
        }
        broadcast(OP, &self.shape()[..self.rank() - 2], &b.shape()[..b.rank() - 2])?;
        let rcond = rcond.unwrap_or(super::epsilon(self.dtype()) * m.max(n) as f64);
        let options = (self.dtype(), self.device());
        let (mut rank, mut values) = (Tensor::empty([0], (DType::I64, self.device()))?, Tensor::empty([0], options)?);
        if driver != "gels" {
            let s = autograd::no_grad(|| self.svdvals())?;
            rank = s.rank_of(None, Some(rcond.into()), m.max(n))?;
            if driver != "gelsy" {
                values = s;
            }
        }
        let solution = self.pinv_with(None, Some(rcond.into()), false)?.matmul(&b)?;
        let mut residuals = Tensor::empty([0], options)?;
        if m > n && (driver == "gels" || rank.eq(n as i64)?.all(..)?.item::<bool>()?) {
            residuals = self.matmul(&solution)?.sub(&b)?.square()?.sum(-2)?;
        }
        Ok(LeastSquares { solution: if vector { solution.squeeze(-1)? } else { solution }, residuals, rank, singular_values: values })
    }
}
