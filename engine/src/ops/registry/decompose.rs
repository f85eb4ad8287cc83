//! Decompositions of matrices and what is solved with them.
//! Names are PyTorch's, capitals included: they are what calls name.
#![allow(non_snake_case)]

use super::convert::{FromValue, Over, Value};
use super::rows;
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{ComplexTensor, MatrixNorm, Operand, Tensor};

impl FromValue for MatrixNorm {
    const WHAT: &'static str = "a number, 'fro' or 'nuc'";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        match v {
            Value::Str(s) => s.parse().ok(),
            v => f64::from_value(v, device).map(MatrixNorm::Order),
        }
    }
}

/// The two dimensions of matrices.
struct Pair([isize; 2]);

impl FromValue for Pair {
    const WHAT: &'static str = "two dimensions";
    fn from_value(v: Value, device: &Device) -> Option<Self> {
        Vec::from_value(v, device)?.try_into().ok().map(Pair)
    }
}

fn list(tensors: impl IntoIterator<Item = Tensor>) -> Result<Vec<Tensor>> {
    Ok(tensors.into_iter().collect())
}

/// Factorizations with exchanges only: without them PyTorch has none on the CPU either.
fn pivoted(pivot: bool) -> Result<()> {
    pivot.then_some(()).ok_or_else(|| Error::unsupported("linalg.lu", "factors without row exchanges (pivot=False)"))
}

fn upper(uplo: &str) -> Result<bool> {
    match uplo {
        "L" | "l" => Ok(false),
        "U" | "u" => Ok(true),
        _ => Err(Error::argument("linalg.eigh", format!("UPLO is 'L' or 'U', not '{uplo}'"))),
    }
}

fn cast(input: Tensor, dtype: Option<DType>) -> Result<Tensor> {
    dtype.map_or(Ok(input.clone()), |d| input.to_dtype(d))
}

fn qr_old(input: &Tensor, some: bool) -> Result<(Tensor, Tensor)> {
    input.qr(if some { "reduced" } else { "complete" })
}

fn svd_old(input: &Tensor, some: bool, compute_uv: bool) -> Result<Vec<Tensor>> {
    let (u, s, vh) = input.svd(!some)?;
    if compute_uv {
        return list([u, s, vh.mt()?]);
    }
    list([u.zeros_like()?, input.svdvals()?, vh.mt()?.zeros_like()?])
}

/// A norm of vectors or of matrices, by how many dimensions it is over.
fn norm(input: &Tensor, ord: Option<MatrixNorm>, dim: Over, keepdim: bool) -> Result<Tensor> {
    let Some(ord) = ord else { return input.norm(2.0, dim, keepdim) };
    let dims = dim.0.unwrap_or_else(|| (0..input.rank() as isize).collect());
    match (dims[..].try_into(), ord) {
        (Ok(pair), _) => input.matrix_norm(ord, pair, keepdim),
        (Err(_), MatrixNorm::Order(p)) if dims.len() == 1 => input.norm(p, &dims[..], keepdim),
        _ => Err(Error::argument("linalg.norm", format!("there is no such norm over {} dimensions", dims.len()))),
    }
}

rows! {
    "linalg.cholesky"(input: Tensor, upper: bool = false) input.cholesky(upper);
    "cholesky"(input: Tensor, upper: bool = false) input.cholesky(upper);
    "linalg.cholesky_ex"(input: Tensor, upper: bool = false, check_errors: bool = false) input.cholesky_ex(upper, check_errors);
    "cholesky_inverse"(input: Tensor, upper: bool = false) input.cholesky_inverse(upper);
    "cholesky_solve"(input: Tensor, input2: Tensor, upper: bool = false) input.cholesky_solve(&input2, upper);
    "linalg.det"(A: Tensor) A.det();
    "det"(input: Tensor) input.det();
    "linalg.slogdet"(A: Tensor) A.slogdet();
    "slogdet"(input: Tensor) input.slogdet();
    "logdet"(input: Tensor) input.logdet();
    "linalg.inv"(A: Tensor) A.inv();
    "inverse"(input: Tensor) input.inv();
    "linalg.inv_ex"(A: Tensor, check_errors: bool = false) A.inv_ex(check_errors);
    "linalg.pinv"(input: Tensor, atol: Option<Operand> = None, rtol: Option<Operand> = None, hermitian: bool = false) input.pinv_with(atol, rtol, hermitian);
    "linalg.pinv"(input: Tensor, rcond: Operand, hermitian: bool = false) input.pinv_with(None, Some(rcond), hermitian);
    "pinverse"(input: Tensor, rcond: f64 = 1e-15) input.pinv_with(None, Some(rcond.into()), false);
    "linalg.solve"(A: Tensor, B: Tensor, left: bool = true) A.solve(&B, left);
    "linalg.solve"(A: ComplexTensor, B: ComplexTensor) A.solve(&B);
    "linalg.solve_ex"(A: Tensor, B: Tensor, left: bool = true, check_errors: bool = false) A.solve_ex(&B, left, check_errors);
    "linalg.solve_triangular"(input: Tensor, B: Tensor, upper: bool, left: bool = true, unitriangular: bool = false)
        input.solve_triangular(&B, upper, left, unitriangular);
    "triangular_solve"(input: Tensor, A: Tensor, upper: bool = true, transpose: bool = false, unitriangular: bool = false)
        input.triangular_solve(&A, upper, transpose, unitriangular);
    "linalg.lstsq"(input: Tensor, b: Tensor, rcond: Option<f64> = None, driver: Option<String> = None) {
        let all = input.lstsq(&b, rcond, driver.as_deref())?;
        list([all.solution, all.residuals, all.rank, all.singular_values])
    };
    "linalg.qr"(A: Tensor, mode: String = "reduced".into()) A.qr(&mode);
    "qr"(input: Tensor, some: bool = true) qr_old(&input, some);
    "geqrf"(input: Tensor) input.geqrf();
    "linalg.householder_product"(input: Tensor, tau: Tensor) input.householder_product(&tau);
    "orgqr"(input: Tensor, input2: Tensor) input.householder_product(&input2);
    "ormqr"(input: Tensor, input2: Tensor, input3: Tensor, left: bool = true, transpose: bool = false) input.ormqr(&input2, &input3, left, transpose);
    "linalg.svd"(A: Tensor, full_matrices: bool = true, driver: Option<String> = None) {
        if let Some(driver) = driver {
            return Err(Error::unsupported("linalg.svd", format!("driver '{driver}': drivers belong to CUDA")));
        }
        let (u, s, vh) = A.svd(full_matrices)?;
        list([u, s, vh])
    };
    "linalg.svdvals"(A: Tensor, driver: Option<String> = None) {
        if let Some(driver) = driver {
            return Err(Error::unsupported("linalg.svdvals", format!("driver '{driver}': drivers belong to CUDA")));
        }
        A.svdvals()
    };
    "svd"(input: Tensor, some: bool = true, compute_uv: bool = true) svd_old(&input, some, compute_uv);
    "linalg.eigh"(input: Tensor, UPLO: String = "L".into()) input.eigh(upper(&UPLO)?);
    "linalg.eigvalsh"(input: Tensor, UPLO: String = "L".into()) input.eigvalsh(upper(&UPLO)?);
    "linalg.eig"(A: Tensor) A.eig();
    "linalg.eigvals"(A: Tensor) A.eigvals();
    "linalg.lu"(A: Tensor, pivot: bool = true) {
        pivoted(pivot)?;
        let (p, l, u) = A.lu()?;
        list([p, l, u])
    };
    "linalg.lu_factor"(A: Tensor, pivot: bool = true) {
        pivoted(pivot)?;
        A.lu_factor()
    };
    "linalg.lu_factor_ex"(A: Tensor, pivot: bool = true, check_errors: bool = false) {
        pivoted(pivot)?;
        let (lu, pivots, info) = A.lu_factor_ex()?;
        if check_errors && info.ne(0)?.any(..)?.item::<bool>()? {
            return Err(Error::argument("linalg.lu_factor_ex", "a matrix is singular"));
        }
        list([lu, pivots, info])
    };
    "lu"(A: Tensor, pivot: bool = true, get_infos: bool = false) {
        pivoted(pivot)?;
        let (lu, pivots, info) = A.lu_factor_ex()?;
        list([lu, pivots].into_iter().chain(get_infos.then_some(info)))
    };
    "linalg.lu_solve"(LU: Tensor, pivots: Tensor, B: Tensor, left: bool = true, adjoint: bool = false) LU.lu_solve(&pivots, &B, left, adjoint);
    "lu_solve"(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) LU_data.lu_solve(&LU_pivots, &input, true, false);
    "lu_unpack"(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = true, unpack_pivots: bool = true) {
        let (p, l, u) = LU_data.lu_unpack(&LU_pivots)?;
        let none = || Tensor::empty([0], (LU_data.dtype(), LU_data.device()));
        list([
            if unpack_pivots { p } else { none()? },
            if unpack_data { l } else { none()? },
            if unpack_data { u } else { none()? },
        ])
    };
    "linalg.ldl_factor"(input: Tensor, hermitian: bool = false) {
        let _ = hermitian;
        input.ldl_factor()
    };
    "linalg.ldl_factor_ex"(input: Tensor, hermitian: bool = false, check_errors: bool = false) {
        let _ = hermitian;
        let (ld, pivots, info) = input.ldl_factor_ex(check_errors)?;
        list([ld, pivots, info])
    };
    "linalg.ldl_solve"(LD: Tensor, pivots: Tensor, B: Tensor, hermitian: bool = false) {
        let _ = hermitian;
        LD.ldl_solve(&pivots, &B)
    };
    "linalg.matrix_exp"(input: Tensor) input.matrix_exp();
    "matrix_exp"(input: Tensor) input.matrix_exp();
    "linalg.matrix_power"(input: Tensor, n: i64) input.matrix_power(n);
    "matrix_power"(input: Tensor, n: i64) input.matrix_power(n);
    "linalg.matrix_sqrth"(input: Tensor, UPLO: String = "L".into()) input.matrix_sqrth(upper(&UPLO)?);
    "linalg.polar"(A: Tensor) A.polar();
    "linalg.norm"(input: Tensor, ord: Option<MatrixNorm> = None, dim: Over, keepdim: bool = false, dtype: Option<DType>)
        norm(&cast(input, dtype)?, ord, dim, keepdim);
    "linalg.matrix_norm"(input: Tensor, ord: MatrixNorm = MatrixNorm::Frobenius, dim: Pair = Pair([-2, -1]), keepdim: bool = false, dtype: Option<DType>)
        cast(input, dtype)?.matrix_norm(ord, dim.0, keepdim);
    "norm"(input: Tensor, p: MatrixNorm, dim: Pair = Pair([-2, -1]), keepdim: bool = false, dtype: Option<DType>) cast(input, dtype)?.matrix_norm(p, dim.0, keepdim);
    "linalg.matrix_rank"(input: Tensor, atol: Option<Operand> = None, rtol: Option<Operand> = None, hermitian: bool = false) input.matrix_rank(atol, rtol, hermitian);
    "linalg.matrix_rank"(input: Tensor, tol: Operand, hermitian: bool = false) input.matrix_rank(Some(tol), Some(0.0.into()), hermitian);
    "linalg.cond"(input: Tensor, p: Option<MatrixNorm> = None) input.cond(p);
    "linalg.multi_dot"(tensors: Vec<Tensor>) Tensor::multi_dot(&tensors.iter().collect::<Vec<_>>());
    "chain_matmul"(tensors: super::convert::Variadic<Tensor>) Tensor::multi_dot(&tensors.0.iter().collect::<Vec<_>>());
    "linalg.vander"(x: Tensor, N: Option<usize> = None) x.vander(N);
    "linalg.diagonal"(A: Tensor, offset: isize = 0, dim1: isize = -2, dim2: isize = -1) A.diagonal(offset, dim1, dim2);
    "linalg.tensorinv"(input: Tensor, ind: usize = 2) input.tensorinv(ind);
    "linalg.tensorsolve"(input: Tensor, other: Tensor, dims: Option<Vec<isize>> = None) input.tensorsolve(&other, dims.as_deref());
    "mH"(input: Tensor) input.mt();
    "adjoint"(input: Tensor) input.mt();
    "H"(input: Tensor) {
        if ![0, 2].contains(&input.rank()) {
            return Err(Error::argument("H", format!("takes matrices and scalars, not {:?}", input.shape())));
        }
        input.t()
    };
}
