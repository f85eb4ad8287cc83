//! Covariances, correlations and derivatives along a grid.

use super::{Dims, Tensor};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::shape::dim_index;

/// How far apart the points of a grid are, for [`Tensor::gradient`].
#[derive(Debug, Clone)]
pub enum Spacing {
    /// One distance for every dimension.
    Even(f64),
    /// A distance for each dimension.
    Each(Vec<f64>),
    /// The coordinates along each dimension, vectors.
    Coordinates(Vec<Tensor>),
}

impl Tensor {
    /// The covariance matrix of the rows of `[variables, observations]`, or the variance of a vector; like `torch.cov`.
    /// `fweights` are how often each observation was made (integers), `aweights` how important it is.
    ///
    /// Non-negativity of the weights is checked, which reads them.
    ///
    /// # Errors
    /// More than two dimensions; `bool`; weights of another length or type, or negative.
    #[track_caller]
    pub fn cov(&self, correction: f64, fweights: Option<&Tensor>, aweights: Option<&Tensor>) -> Result<Tensor> {
        const OP: &str = "cov";
        if self.rank() > 2 {
            return Err(Error::argument(OP, format!("takes at most two dimensions, not {:?}", self.shape())));
        }
        self.expect_no_bool(OP)?;
        let x = if self.rank() < 2 { self.reshape([1, self.numel()])? } else { self.clone() };
        let n = x.shape()[1];
        for (what, w, float) in [("fweights", fweights, false), ("aweights", aweights, true)] {
            let Some(w) = w else { continue };
            if w.rank() > 1 || w.numel() != n {
                return Err(Error::argument(OP, format!("{what} must be a vector of {n}, one for each observation, not {:?}", w.shape())));
            }
            if w.dtype().is_float() != float || w.dtype() == DType::Bool {
                return Err(Error::dtype(OP, format!("{what} must be {}, not {}", if float { "floats" } else { "integers" }, w.dtype())));
            }
            if n > 0 && w.detach()?.lt(0)?.any(..)?.item::<bool>()? {
                return Err(Error::argument(OP, format!("{what} must not be negative")));
            }
        }
        let weights = match (fweights, aweights) {
            (Some(f), Some(a)) => Some(f.mul(a)?),
            (f, a) => f.or(a).cloned(),
        };
        let weights = weights.map(|w| w.reshape([n])).transpose()?;
        let weighted = |x: &Tensor| weights.as_ref().map_or_else(|| Ok(x.clone()), |w| x.mul(w));
        let total = weights.as_ref().map_or_else(|| Tensor::full([], n as f64, self.device()), |w| w.sum_all())?;
        let mean = weighted(&x)?.sum_keepdim(1)?.div(&total)?;
        let by = match (&weights, aweights) {
            (Some(w), Some(a)) if correction != 0.0 => total.sub(w.mul(a.reshape([n])?)?.sum_all()?.div(&total)?.mul(correction)?)?,
            _ => total.sub(correction)?,
        };
        let by = by.clamp(0.0, None::<f64>)?;
        let centred = x.sub(mean)?;
        let right = weighted(&centred)?;
        let dtype = centred.dtype().promote_for(right.dtype(), OP)?;
        let c = centred.to_dtype(dtype)?.mm(&right.to_dtype(dtype)?.t()?)?.div(by)?;
        if c.numel() == 1 { c.reshape([0usize; 0]) } else { Ok(c) }
    }

    /// The correlation coefficients of the rows of `[variables, observations]`; like `torch.corrcoef`.
    ///
    /// # Errors
    /// As for [`cov`](Self::cov).
    #[track_caller]
    pub fn corrcoef(&self) -> Result<Tensor> {
        let c = self.cov(1.0, None, None).map_err(|e| Error::argument("corrcoef", e.to_string()))?;
        if c.rank() == 0 {
            return c.div(&c);
        }
        let deviation = c.diagonal(0, 0, 1)?.sqrt()?;
        c.div(deviation.unsqueeze(1)?)?.div(deviation.unsqueeze(0)?)?.clamp(-1.0, 1.0)
    }

    /// The derivative along each of `dims` of a function given at the points of a grid, by central differences; like
    /// `torch.gradient`. At the two ends by one-sided differences of order `edge_order`, 1 or 2.
    ///
    /// # Errors
    /// A dimension out of range, twice, or with fewer than `edge_order + 1` points; another order; spacings that do not fit; `u8`.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::Spacing; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([0.0, 1.0, 4.0, 9.0], &Device::cpu())?;
    /// let slope = x.gradient(&Spacing::Even(1.0), .., 1)?;
    /// assert_eq!(slope[0].to_vec::<f32>()?, [1.0, 2.0, 4.0, 5.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn gradient(&self, spacing: &Spacing, dims: impl Dims, edge_order: usize) -> Result<Vec<Tensor>> {
        const OP: &str = "gradient";
        let wrong = |why: String| Err(Error::argument(OP, why));
        if !(1..=2).contains(&edge_order) {
            return wrong(format!("the order at the edges must be 1 or 2, not {edge_order}"));
        }
        if matches!(self.dtype(), DType::U8 | DType::Bool) {
            return Err(Error::dtype(OP, format!("not defined for {}", self.dtype())));
        }
        let mut all = Vec::new();
        match dims.written() {
            Some(dims) => {
                for d in dims {
                    all.push(dim_index(OP, d, self.rank())?);
                }
            }
            None => all.extend(0..self.rank()),
        }
        for (i, &d) in all.iter().enumerate() {
            if all[..i].contains(&d) {
                return wrong(format!("dimension {d} occurs twice"));
            }
            if self.shape().get(d).is_none_or(|&n| n < edge_order + 1) {
                return wrong(format!("{:?} has fewer than {} points along dimension {d}", self.shape(), edge_order + 1));
            }
        }
        let given = match spacing {
            Spacing::Even(_) => all.len(),
            Spacing::Each(h) => h.len(),
            Spacing::Coordinates(x) => x.len(),
        };
        if given != all.len() {
            return wrong(format!("{given} spacings for {} dimensions", all.len()));
        }
        let x = self.as_float()?;
        all.iter()
            .enumerate()
            .map(|(i, &d)| match spacing {
                Spacing::Even(h) => even(&x, d, *h, edge_order),
                Spacing::Each(h) => even(&x, d, h[i], edge_order),
                Spacing::Coordinates(at) => uneven(&x, d, &at[i], edge_order),
            })
            .collect()
    }
}

/// `n` points along `d` from `start`.
fn part(x: &Tensor, d: usize, start: usize, n: usize) -> Result<Tensor> {
    x.narrow(d as isize, start, n)
}

#[track_caller]
fn even(x: &Tensor, d: usize, h: f64, edge_order: usize) -> Result<Tensor> {
    let n = x.shape()[d];
    let at = |i: usize| part(x, d, i, 1);
    let inner = part(x, d, 2.min(n), n.saturating_sub(2))?.sub(part(x, d, 0, n.saturating_sub(2))?)?.div(2.0 * h)?;
    let (first, last) = if edge_order == 1 {
        (at(1)?.sub(at(0)?)?.div(h)?, at(n - 1)?.sub(at(n - 2)?)?.div(h)?)
    } else {
        let end = |a: Tensor, b: Tensor, c: Tensor| a.mul(-1.5)?.add(b.mul(2.0)?)?.sub(c.mul(0.5)?);
        (end(at(0)?, at(1)?, at(2)?)?.div(h)?, end(at(n - 1)?, at(n - 2)?, at(n - 3)?)?.div(-h)?)
    };
    Tensor::cat(&[first, inner, last], d as isize)
}

#[track_caller]
fn uneven(x: &Tensor, d: usize, coordinates: &Tensor, edge_order: usize) -> Result<Tensor> {
    let n = x.shape()[d];
    if coordinates.shape() != [n] {
        return Err(Error::argument("gradient", format!("coordinates of {:?} for {n} points along dimension {d}", coordinates.shape())));
    }
    let step = coordinates.narrow(0, 1, n - 1)?.sub(coordinates.narrow(0, 0, n - 1)?)?.as_float()?;
    // Along d, so that it broadcasts.
    let mut shape = vec![1isize; x.rank()];
    shape[d] = -1;
    let step = step.reshape(&shape[..])?;
    let at = |i: usize| part(x, d, i, 1);
    let h = |i: usize| part(&step, d, i, 1);
    let (before, after) = (part(&step, d, 0, n - 2)?, part(&step, d, 1.min(n - 1), n - 2)?);
    let both = before.add(&after)?;
    let weighed = |x: &Tensor, by: Tensor| x.mul(by);
    let inner = weighed(&part(x, d, 0, n - 2)?, after.div(&before.mul(&both)?)?.neg()?)?
        .add(weighed(&part(x, d, 1, n - 2)?, after.sub(&before)?.div(&before.mul(&after)?)?)?)?
        .add(weighed(&part(x, d, 2.min(n), n - 2)?, before.div(&after.mul(&both)?)?)?)?;
    let (first, last) = if edge_order == 1 {
        (at(1)?.sub(at(0)?)?.div(h(0)?)?, at(n - 1)?.sub(at(n - 2)?)?.div(h(n - 2)?)?)
    } else {
        // From an end inwards over two steps: the weights of its own point, the next and the one after.
        let end = |points: [Tensor; 3], near: Tensor, far: Tensor| -> Result<Tensor> {
            let both = near.add(&far)?;
            let [a, b, c] = points;
            let own = weighed(&a, near.mul(2.0)?.add(&far)?.div(&near.mul(&both)?)?.neg()?)?;
            let next = weighed(&b, both.div(&near.mul(&far)?)?)?;
            own.add(next)?.sub(weighed(&c, near.div(&far.mul(&both)?)?)?)
        };
        let first = end([at(0)?, at(1)?, at(2)?], h(0)?, h(1)?)?;
        (first, end([at(n - 1)?, at(n - 2)?, at(n - 3)?], h(n - 2)?, h(n - 3)?)?.neg()?)
    };
    Tensor::cat(&[first, inner, last], d as isize)
}
