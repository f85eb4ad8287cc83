//! Norms and condition numbers of matrices.

use super::super::Tensor;
use super::square;
use crate::error::{Error, Result};
use crate::shape::dim_index;

/// Which norm of a matrix.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MatrixNorm {
    /// The root of the sum of squares.
    Frobenius,
    /// The sum of the singular values.
    Nuclear,
    /// 1: the largest sum of a column's magnitudes; infinity: of a row's; 2: the largest singular value. Negative: the smallest ones.
    Order(f64),
}

impl From<f64> for MatrixNorm {
    fn from(order: f64) -> MatrixNorm {
        MatrixNorm::Order(order)
    }
}

impl std::str::FromStr for MatrixNorm {
    type Err = Error;

    /// `fro`, `nuc`, or a number.
    fn from_str(s: &str) -> Result<MatrixNorm> {
        match s {
            "fro" => Ok(MatrixNorm::Frobenius),
            "nuc" => Ok(MatrixNorm::Nuclear),
            _ => s.parse().map(MatrixNorm::Order).map_err(|_| Error::argument("linalg.matrix_norm", format!("there is no norm '{s}'"))),
        }
    }
}

/// Norms of matrices.
impl Tensor {
    /// The norm of the matrices in dimensions `dims`; like `torch.linalg.matrix_norm`. Orders are ±1, ±2, ±infinity, Frobenius' and
    /// the nuclear one. Those made of singular values run on the host, in `f32` and `f64`.
    ///
    /// # Errors
    /// Another order, dimensions out of range or equal, integers.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::MatrixNorm; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[1.0, -2.0], [3.0, 0.0]], &Device::cpu())?;
    /// assert_eq!(a.matrix_norm(MatrixNorm::Order(1.0), [-2, -1], false)?.item::<f32>()?, 4.0);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn matrix_norm(&self, norm: impl Into<MatrixNorm>, dims: [isize; 2], keepdim: bool) -> Result<Tensor> {
        const OP: &str = "linalg.matrix_norm";
        if self.rank() < 2 {
            return Err(Error::argument(OP, format!("takes matrices, not a tensor of shape {:?}", self.shape())));
        }
        self.expect_float(OP)?;
        let (row, column) = (dim_index(OP, dims[0], self.rank())?, dim_index(OP, dims[1], self.rank())?);
        if row == column {
            return Err(Error::argument(OP, format!("{dims:?}: the dimensions have to differ")));
        }
        let values = |f: &dyn Fn(Tensor) -> Result<Tensor>| -> Result<Tensor> {
            let s = self.movedim(&[row, column][..], [-2, -1])?.svdvals()?;
            let out = f(s)?;
            // Dimensions that were reduced come back in order.
            if keepdim { out.unsqueeze(row.min(column) as isize)?.unsqueeze(row.max(column) as isize) } else { Ok(out) }
        };
        let sums = |along: usize, largest: bool| -> Result<Tensor> {
            let other = if along == row { column } else { row };
            let sums = self.abs()?.sum_keepdim(along as isize)?;
            let out = if largest { sums.amax_keepdim(other as isize)? } else { sums.amin_keepdim(other as isize)? };
            if keepdim { Ok(out) } else { out.squeeze(&[row, column][..]) }
        };
        match norm.into() {
            MatrixNorm::Frobenius => self.norm(2.0, &[row, column][..], keepdim),
            MatrixNorm::Nuclear => values(&|s| s.sum(-1)),
            MatrixNorm::Order(2.0) => values(&|s| s.amax(-1)),
            MatrixNorm::Order(-2.0) => values(&|s| s.amin(-1)),
            MatrixNorm::Order(p) if p.abs() == 1.0 => sums(row, p > 0.0),
            MatrixNorm::Order(p) if p.is_infinite() => sums(column, p > 0.0),
            MatrixNorm::Order(p) => Err(Error::argument(OP, format!("there is no matrix norm of order {p}"))),
        }
    }

    /// The condition number of matrices: the largest singular value over the smallest, the other way round for order -2, or for
    /// any other norm (of square matrices) that of `A` times that of its inverse, infinite where there is none. Like
    /// `torch.linalg.cond`. Runs on the host.
    ///
    /// # Errors
    /// No (or not square) matrices, another order, other types than `f32` and `f64`.
    #[track_caller]
    pub fn cond(&self, norm: Option<MatrixNorm>) -> Result<Tensor> {
        let norm = norm.unwrap_or(MatrixNorm::Order(2.0));
        if let MatrixNorm::Order(p) = norm
            && p.abs() == 2.0
        {
            let s = self.svdvals()?;
            if s.size(-1)? == 0 {
                return s.sum(-1);
            }
            let (largest, smallest) = (s.select(-1, 0)?, s.select(-1, -1)?);
            return if p > 0.0 { largest.div(&smallest) } else { smallest.div(&largest) };
        }
        let (batch, n) = square("linalg.cond", self)?;
        if n == 0 {
            return Tensor::zeros(batch, (self.dtype(), self.device()));
        }
        let (inverse, info) = self.inv_ex(false)?;
        let product = self.matrix_norm(norm, [-2, -1], false)?.mul(&inverse.matrix_norm(norm, [-2, -1], false)?)?;
        product.masked_fill(&info.gt(0)?, f64::INFINITY)
    }
}
