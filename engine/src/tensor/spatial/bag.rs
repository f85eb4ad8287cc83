//! Sums, means and maxima over bags of embeddings.

use smallvec::smallvec;

use super::super::Tensor;
use crate::autograd::{no_grad, record_with};
use crate::dtype::DType;
use crate::error::{Error, Result};

/// What becomes of the rows of a bag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BagMode {
    Sum,
    Mean,
    Max,
}

impl std::str::FromStr for BagMode {
    type Err = Error;

    fn from_str(name: &str) -> Result<BagMode> {
        match name {
            "sum" => Ok(BagMode::Sum),
            "mean" => Ok(BagMode::Mean),
            "max" => Ok(BagMode::Max),
            other => Err(Error::argument(OP, format!("mode '{other}' is none of sum, mean, max"))),
        }
    }
}

/// The arguments of [`Tensor::embedding_bag`] beside the indices.
#[derive(Debug, Clone)]
pub struct EmbeddingBag<'a> {
    pub mode: BagMode,
    /// Where each bag begins, for indices of one dimension.
    pub offsets: Option<&'a Tensor>,
    /// The last offset says where the last bag ends.
    pub include_last_offset: bool,
    /// A factor for each index, for sums.
    pub per_sample_weights: Option<&'a Tensor>,
    /// A row that counts as missing.
    pub padding_idx: Option<isize>,
    /// Gradients of a row are divided by how often it occurs.
    pub scale_grad_by_freq: bool,
}

impl EmbeddingBag<'_> {
    pub fn new(mode: BagMode) -> Self {
        EmbeddingBag {
            mode,
            offsets: None,
            include_last_offset: false,
            per_sample_weights: None,
            padding_idx: None,
            scale_grad_by_freq: false,
        }
    }
}

const OP: &str = "embedding_bag";

/// Which bag each index belongs to.
struct Bags {
    count: usize,
    /// `[indices]`, growing.
    of: Tensor,
    /// `[count]`: the first index of each bag, if it has any.
    start: Tensor,
    /// `[indices]`: those that are in a bag and no padding; `None` for all.
    valid: Option<Tensor>,
}

impl Tensor {
    /// Rows of `self` (`[entries, features]`) combined bag by bag: `[bags, features]`. Indices `[bags, size]`, or `[indices]`
    /// with offsets. An empty bag gives zeros. As `torch.nn.functional.embedding_bag`.
    ///
    /// # Errors
    /// `self` is no matrix; indices, offsets or weights of another shape or type; an index out of range; weights or
    /// gradient scaling for a mode without them.
    #[track_caller]
    pub fn embedding_bag(&self, index: &Tensor, how: &EmbeddingBag<'_>) -> Result<Tensor> {
        let wrong = |why: String| Err(Error::argument(OP, why));
        let &[entries, features] = self.shape() else { return wrong(format!("the weight has to be a matrix, not {:?}", self.shape())) };
        if how.per_sample_weights.is_some() && how.mode != BagMode::Sum {
            return wrong(format!("weights of samples are for sums, not for mode {:?}", how.mode));
        }
        if let Some(w) = how.per_sample_weights
            && w.shape() != index.shape()
        {
            return wrong(format!("weights of {:?} for indices of {:?}", w.shape(), index.shape()));
        }
        if how.scale_grad_by_freq && how.mode == BagMode::Max {
            return wrong("maxima have no gradients scaled by frequency".into());
        }
        let padding = match how.padding_idx {
            Some(p) if !(-(entries as isize)..entries as isize).contains(&p) => {
                return wrong(format!("padding index {p} is out of range for {entries} entries"));
            }
            p => p.map(|p| p.rem_euclid(entries as isize) as i64),
        };
        let flat = no_grad(|| index.flatten(0, -1))?;
        if !index.dtype().is_int() {
            return Err(Error::dtype(OP, format!("indices have to be integers, not {}", index.dtype())));
        }
        let bags = no_grad(|| bags(index, &flat, padding, how))?;
        if bags.count == 0 || flat.numel() == 0 {
            let empty = Tensor::zeros([bags.count, features], (self.dtype(), self.device()))?;
            return Ok(empty);
        }
        let mut rows = self.index_select(0, &flat)?;
        if how.scale_grad_by_freq {
            rows = self.by_frequency(&rows, &flat)?;
        }
        if rows.dtype().size() < 4 {
            rows = rows.to_dtype(DType::F32)?;
        }
        if let Some(w) = how.per_sample_weights {
            if w.dtype() != self.dtype() {
                return Err(Error::dtype(OP, format!("weights of samples are {}, the rows {}", w.dtype(), self.dtype())));
            }
            rows = rows.mul(&w.flatten(0, -1)?.to_dtype(rows.dtype())?.unsqueeze(1)?)?;
        }
        if let Some(valid) = &bags.valid {
            rows = rows.masked_fill(&valid.logical_not()?.unsqueeze(1)?, 0.0)?;
        }
        let y = match how.mode {
            BagMode::Sum => bags.sum(&rows)?,
            BagMode::Mean => bags.sum(&rows)?.div(&bags.sizes(&rows)?.clamp(1.0, f64::INFINITY)?)?,
            BagMode::Max => bags.max(&rows)?,
        };
        y.to_dtype(self.dtype())
    }

    /// Scales the rows that `index` names down to a `p`-norm of at most `max_norm`, in place. As
    /// `torch.embedding_renorm_`.
    ///
    /// # Errors
    /// This is no matrix; an index out of range.
    #[track_caller]
    pub fn embedding_renorm_(&self, index: &Tensor, max_norm: f64, p: f64) -> Result<&Self> {
        let &[entries, _] = self.shape() else {
            return Err(Error::argument("embedding_renorm_", format!("the weight has to be a matrix, not {:?}", self.shape())));
        };
        no_grad(|| {
            let used = Tensor::zeros([entries], (DType::Bool, self.device()))?.index_fill(0, &index.flatten(0, -1)?, true)?;
            let norms = self.norm(p, 1, true)?;
            let large = norms.gt(max_norm)?.logical_and(&used.unsqueeze(1)?)?;
            let scaled = self.mul(&norms.add(1e-7)?.reciprocal()?.mul(max_norm)?)?;
            self.copy_(&scaled.where_(&large, self)?)
        })
    }

    /// `rows` of this table (`[..index, features]`) as they are, with gradients divided by how often their index occurs.
    pub(crate) fn by_frequency(&self, rows: &Tensor, index: &Tensor) -> Result<Tensor> {
        let (y, share) = no_grad(|| -> Result<(Tensor, Tensor)> {
            let (like, flat) = ((DType::F32, self.device()), index.flatten(0, -1)?);
            let counts = Tensor::zeros([self.shape()[0]], like)?.index_add(0, &flat, &Tensor::ones([flat.numel()], like)?)?;
            Ok((rows.detach()?, counts.index_select(0, &flat)?.reciprocal()?.reshape(index.shape())?.unsqueeze(-1)?))
        })?;
        record_with(&y, OP, &[rows], move |dy, _| Ok(smallvec![Some(dy.mul(&share.to_dtype(dy.dtype())?)?)]));
        Ok(y)
    }
}

/// Takes the bags apart.
fn bags(index: &Tensor, flat: &Tensor, padding: Option<i64>, how: &EmbeddingBag<'_>) -> Result<Bags> {
    let wrong = |why: String| Err(Error::argument(OP, why));
    let whole = |n: usize| Tensor::arange(0, n, 1, (DType::I64, index.device()));
    let mut valid = padding.map(|p| flat.ne(p)).transpose()?;
    match (index.shape(), how.offsets) {
        (&[count, size], None) => {
            let of = whole(count)?.unsqueeze(1)?.expand([count, size])?.reshape([count * size])?;
            Ok(Bags { count, of, start: whole(count)?.mul(size as i64)?, valid })
        }
        (&[n], Some(offsets)) => {
            if offsets.rank() != 1 || !offsets.dtype().is_int() {
                return wrong(format!("offsets are integers of one dimension, not {} {:?}", offsets.dtype(), offsets.shape()));
            }
            if let Some((low, high)) = offsets.known_range(true)
                && (low != 0 || high > n as i64)
            {
                return wrong(format!("offsets begin with 0 and end within the {n} indices, these go from {low} to {high}"));
            }
            let offsets = offsets.to_dtype(DType::I64)?;
            let Some(count) = offsets.numel().checked_sub(how.include_last_offset as usize) else {
                return wrong("include_last_offset needs at least one offset".into());
            };
            if count == 0 || n == 0 {
                return Ok(Bags { count, of: flat.clone(), start: offsets, valid });
            }
            let (at, start) = (whole(n)?, offsets.narrow(0, 0, count)?);
            if how.include_last_offset {
                let inside = at.lt(&offsets.narrow(0, count, 1)?)?;
                valid = Some(match valid {
                    Some(valid) => valid.logical_and(&inside)?,
                    None => inside,
                });
            }
            // The last bag that begins at or before each index, by bisection.
            let mut of = Tensor::zeros([n], (DType::I64, index.device()))?;
            let mut step = count.next_power_of_two();
            while step > 0 {
                let next = of.add(step as i64)?;
                let begins = start.index_select(0, &next.clamp(0, count as i64 - 1)?)?;
                let further = next.lt(count as i64)?.logical_and(&begins.le(&at)?)?;
                of = next.where_(&further, &of)?;
                step /= 2;
            }
            Ok(Bags { count, of, start: start.clamp(0, n as i64 - 1)?, valid })
        }
        (shape, None) => wrong(format!("indices of {shape:?} need offsets, or two dimensions")),
        (shape, Some(_)) => wrong(format!("offsets are for indices of one dimension, not {shape:?}")),
    }
}

impl Bags {
    fn sum(&self, rows: &Tensor) -> Result<Tensor> {
        Tensor::zeros([self.count, rows.shape()[1]], (rows.dtype(), rows.device()))?.index_add(0, &self.of, rows)
    }

    /// How many indices count: `[bags, 1]`.
    fn sizes(&self, rows: &Tensor) -> Result<Tensor> {
        no_grad(|| {
            let like = (rows.dtype(), rows.device());
            let ones = match &self.valid {
                Some(valid) => valid.to_dtype(rows.dtype())?,
                None => Tensor::ones([rows.shape()[0]], like)?,
            };
            Tensor::zeros([self.count], like)?.index_add(0, &self.of, &ones)?.unsqueeze(1)
        })
    }

    /// The first of the largest elements of each bag. Bags are runs of indices, so the best of each run's rest is found by
    /// doubling how far one looks ahead: `log2(indices)` steps.
    fn max(&self, rows: &Tensor) -> Result<Tensor> {
        let &[n, features] = rows.shape() else { return Err(Error::argument(OP, "rows without features")) };
        let winners = no_grad(|| -> Result<Tensor> {
            let at = Tensor::arange(0, n, 1, (DType::I64, rows.device()))?;
            let mut best = rows.detach()?;
            if let Some(valid) = &self.valid {
                best = best.masked_fill(&valid.logical_not()?.unsqueeze(1)?, f64::NEG_INFINITY)?;
            }
            let mut place = at.unsqueeze(1)?.expand([n, features])?;
            let mut ahead = 1;
            while ahead < n {
                let next = at.add(ahead as i64)?;
                let there = next.clamp(0, n as i64 - 1)?;
                let same = next.lt(n as i64)?.logical_and(&self.of.index_select(0, &there)?.eq(&self.of)?)?.unsqueeze(1)?;
                let (other, other_place) = (best.index_select(0, &there)?, place.index_select(0, &there)?);
                let better = other.gt(&best)?.logical_and(&same)?;
                best = other.where_(&better, &best)?;
                place = other_place.where_(&better, &place)?;
                ahead *= 2;
            }
            place.index_select(0, &self.start)
        })?;
        let empty = no_grad(|| self.sizes(rows)?.eq(0.0))?;
        rows.gather(0, &winners)?.masked_fill(&empty, 0.0)
    }
}
