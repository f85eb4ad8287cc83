//! Matrices made of others: powers, chains of products, Vandermonde's.

use super::super::Tensor;
use super::square;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// Powers and chains.
impl Tensor {
    /// `self` times itself, `n` factors; the inverse's for negative `n`, the identity for 0. Like `torch.linalg.matrix_power`.
    ///
    /// # Errors
    /// Matrices that are not square; for negative `n` as [`inv`](Self::inv).
    #[track_caller]
    pub fn matrix_power(&self, n: i64) -> Result<Tensor> {
        let (_, side) = square("linalg.matrix_power", self)?;
        if n == 0 {
            return Tensor::eye(side, (self.dtype(), self.device()))?.expand(self.shape())?.contiguous();
        }
        let mut square = if n < 0 { self.inv()? } else { self.clone() };
        let (mut left, mut out) = (n.unsigned_abs(), None::<Tensor>);
        loop {
            if left & 1 == 1 {
                out = Some(match out {
                    Some(out) => out.matmul(&square)?,
                    None => square.clone(),
                });
            }
            left >>= 1;
            match (left, out) {
                (0, Some(out)) => return out.alias_or_copy(self),
                (_, rest) => out = rest,
            }
            square = square.matmul(&square)?;
        }
    }

    /// A tensor of its own where nothing was computed.
    fn alias_or_copy(self, from: &Tensor) -> Result<Tensor> {
        if self.ptr_eq(from) { self.copied() } else { Ok(self) }
    }

    /// The product of matrices in the order of fewest multiplications; the first may be a vector (a row) and the last one too (a
    /// column). Like `torch.linalg.multi_dot`.
    ///
    /// # Errors
    /// Fewer than two tensors; tensors that are no matrices, or do not fit.
    #[track_caller]
    pub fn multi_dot(tensors: &[&Tensor]) -> Result<Tensor> {
        const OP: &str = "linalg.multi_dot";
        let [first, inner @ .., last] = tensors else {
            return Err(Error::argument(OP, format!("takes at least two tensors, got {}", tensors.len())));
        };
        if let Some(t) = inner.iter().find(|t| t.rank() != 2) {
            return Err(Error::argument(OP, format!("{:?} is not a matrix", t.shape())));
        }
        if let Some(t) = [first, last].into_iter().find(|t| !(1..=2).contains(&t.rank())) {
            return Err(Error::argument(OP, format!("{:?} is neither a matrix nor a vector", t.shape())));
        }
        let mut all: Vec<Tensor> = tensors.iter().map(|t| (*t).clone()).collect();
        let end = all.len() - 1;
        if first.rank() == 1 {
            all[0] = first.unsqueeze(0)?;
        }
        if last.rank() == 1 {
            all[end] = last.unsqueeze(1)?;
        }
        if let Some(pair) = all.windows(2).find(|p| p[0].shape()[1] != p[1].shape()[0]) {
            return Err(Error::argument(OP, format!("{:?} x {:?}: inner sizes differ", pair[0].shape(), pair[1].shape())));
        }
        let sides: Vec<f64> = all.iter().map(|t| t.shape()[0] as f64).chain([all[end].shape()[1] as f64]).collect();
        let mut out = chain(&all, &cuts(&sides), 0, end)?;
        if last.rank() == 1 {
            out = out.squeeze(-1)?;
        }
        if first.rank() == 1 { out.squeeze(0) } else { Ok(out) }
    }

    /// The powers of `[.., m]` from 0 to `columns - 1` in a last dimension of their own; like `torch.linalg.vander`. `columns` is `m`
    /// unless given.
    ///
    /// # Errors
    /// Fewer than two columns.
    #[track_caller]
    pub fn vander(&self, columns: Option<usize>) -> Result<Tensor> {
        const OP: &str = "linalg.vander";
        let x = if self.rank() == 0 { self.unsqueeze(0)? } else { self.clone() };
        let m = x.size(-1)?;
        if columns.is_some_and(|n| n < 2) {
            return Err(Error::argument(OP, "takes more than one column"));
        }
        let x = if x.dtype().is_float() { x } else { x.to_dtype(DType::I64)? };
        let mut powers = vec![x.ones_like()?];
        while powers.len() < columns.unwrap_or(m) {
            powers.push(powers[powers.len() - 1].mul(&x)?);
        }
        powers.truncate(columns.unwrap_or(m));
        if powers.is_empty() {
            return Tensor::zeros([x.shape(), &[0]].concat(), (x.dtype(), x.device()));
        }
        Tensor::stack(&powers, -1)
    }
}

/// Where each run of factors is best cut in two: `cuts[i][j]` for the factors `i..=j`.
fn cuts(sides: &[f64]) -> Vec<Vec<usize>> {
    let n = sides.len() - 1;
    let (mut cost, mut cut) = (vec![vec![0.0; n]; n], vec![vec![0; n]; n]);
    for length in 1..n {
        for i in 0..n - length {
            let j = i + length;
            let price = |k: usize| cost[i][k] + cost[k + 1][j] + sides[i] * sides[k + 1] * sides[j + 1];
            let best = (i..j).fold(i, |best, k| if price(k) < price(best) { k } else { best });
            cost[i][j] = price(best);
            cut[i][j] = best;
        }
    }
    cut
}

fn chain(all: &[Tensor], cuts: &[Vec<usize>], i: usize, j: usize) -> Result<Tensor> {
    if i == j {
        return Ok(all[i].clone());
    }
    let k = cuts[i][j];
    chain(all, cuts, i, k)?.matmul(&chain(all, cuts, k + 1, j)?)
}
