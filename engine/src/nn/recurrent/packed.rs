//! Sequences of different lengths without padding.

use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Sequences of different lengths, step by step: first the first tokens of all sequences, then the second tokens of those that have one,
/// and so on, the longest sequence first. What is computed on it costs what the real tokens cost.
#[derive(Debug, Clone)]
pub struct PackedSequence {
    /// `[tokens, features]`
    pub data: Tensor,
    /// How many sequences have a token at each step.
    pub batch_sizes: Vec<usize>,
    /// Where each sequence, the longest first, was in the batch; `None` if that is the order they came in.
    pub sorted_indices: Option<Vec<usize>>,
}

impl PackedSequence {
    /// How many sequences there are.
    pub fn batch(&self) -> usize {
        self.batch_sizes.first().copied().unwrap_or(0)
    }

    /// The length of each sequence, in the order of the batch.
    pub fn lengths(&self) -> Vec<usize> {
        let sorted: Vec<usize> = (0..self.batch()).map(|n| self.batch_sizes.iter().take_while(|&&size| size > n).count()).collect();
        match &self.sorted_indices {
            Some(order) => {
                let mut lengths = vec![0; sorted.len()];
                order.iter().zip(sorted).for_each(|(&to, length)| lengths[to] = length);
                lengths
            }
            None => sorted,
        }
    }

    /// The same sequences with other values, as layers make them.
    pub(super) fn with(&self, data: Tensor) -> PackedSequence {
        PackedSequence { data, batch_sizes: self.batch_sizes.clone(), sorted_indices: self.sorted_indices.clone() }
    }

    /// Rows `[.., batch, ..]` of dimension `dim` in the order of the sequences, the longest first; `back` undoes it.
    pub(super) fn sorted(&self, t: &Tensor, dim: isize, back: bool) -> Result<Tensor> {
        let Some(order) = &self.sorted_indices else { return Ok(t.clone()) };
        let mut index = vec![0i64; order.len()];
        order.iter().enumerate().for_each(|(i, &o)| if back { index[o] = i as i64 } else { index[i] = o as i64 });
        t.index_select(dim, &Tensor::from_vec(index, [order.len()], t.device())?)
    }
}

/// Packs the first `lengths[n]` tokens of each padded sequence: `x` is `[T, N, ..]`, or `[N, T, ..]` with `batch_first`. With
/// `enforce_sorted` the lengths must not grow. Like `torch.nn.utils.rnn.pack_padded_sequence`.
///
/// # Errors
/// Lengths of 0 or above `T`, another number of them; unsorted lengths with `enforce_sorted`.
#[track_caller]
pub fn pack_padded_sequence(x: &Tensor, lengths: &[usize], batch_first: bool, enforce_sorted: bool) -> Result<PackedSequence> {
    let op = "pack_padded_sequence";
    if x.rank() < 2 {
        return Err(Error::argument(op, format!("expects [T, N, ..], not {:?}", x.shape())));
    }
    let (steps, n) = if batch_first { (x.shape()[1], x.shape()[0]) } else { (x.shape()[0], x.shape()[1]) };
    if lengths.len() != n || lengths.iter().any(|&l| l == 0 || l > steps) {
        return Err(Error::argument(op, format!("lengths {lengths:?} do not fit {n} sequences of up to {steps} tokens")));
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let unsorted = order.iter().enumerate().any(|(i, &o)| i != o);
    if unsorted && enforce_sorted {
        return Err(Error::argument(op, format!("lengths {lengths:?} should not grow, or not be enforced to be sorted")));
    }
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let batch_sizes: Vec<usize> = (0..longest).map(|t| lengths.iter().filter(|&&l| l > t).count()).collect();
    let at = |t: usize, n_: usize| if batch_first { n_ * steps + t } else { t * n + n_ };
    let index: Vec<i64> =
        batch_sizes.iter().enumerate().flat_map(|(t, &size)| order[..size].iter().map(move |&o| at(t, o) as i64)).collect();
    let rows = x.flatten(0, 1)?;
    let count = index.len();
    let data = rows.index_select(0, &Tensor::from_vec(index, [count], x.device())?)?;
    Ok(PackedSequence { data, batch_sizes, sorted_indices: if enforce_sorted { None } else { Some(order) } })
}

/// The sequences padded with `value` to the longest one (or `total_length`), and their lengths. Like
/// `torch.nn.utils.rnn.pad_packed_sequence`.
///
/// # Errors
/// A `total_length` below the longest sequence.
#[track_caller]
pub fn pad_packed_sequence(
    packed: &PackedSequence,
    batch_first: bool,
    value: impl Into<Scalar>,
    total_length: Option<usize>,
) -> Result<(Tensor, Vec<usize>)> {
    let (value, n, longest): (Scalar, _, _) = (value.into(), packed.batch(), packed.batch_sizes.len());
    let steps = total_length.unwrap_or(longest);
    if steps < longest {
        return Err(Error::argument("pad_packed_sequence", format!("a total length of {steps}, but a sequence has {longest} tokens")));
    }
    let lengths = packed.lengths();
    let starts: Vec<usize> = packed.batch_sizes.iter().scan(0, |at, &s| Some(std::mem::replace(at, *at + s))).collect();
    let mut place = vec![0; n];
    match &packed.sorted_indices {
        Some(order) => order.iter().enumerate().for_each(|(i, &o)| place[o] = i),
        None => place.iter_mut().enumerate().for_each(|(i, p)| *p = i),
    }
    let each = |f: &dyn Fn(usize, usize) -> i64| -> Vec<i64> {
        if batch_first {
            (0..n).flat_map(|i| (0..steps).map(move |t| (t, i))).map(|(t, i)| f(t, i)).collect()
        } else {
            (0..steps).flat_map(|t| (0..n).map(move |i| (t, i))).map(|(t, i)| f(t, i)).collect()
        }
    };
    let device = packed.data.device();
    let index = Tensor::from_vec(each(&|t, i| if t < lengths[i] { (starts[t] + place[i]) as i64 } else { 0 }), [steps * n], device)?;
    let padding = Tensor::from_vec(each(&|t, i| (t >= lengths[i]) as i64), [steps * n], device)?.to_dtype(DType::Bool)?;
    let features = &packed.data.shape()[1..];
    let column: Vec<usize> = std::iter::once(steps * n).chain(features.iter().map(|_| 1)).collect();
    let rows = packed.data.index_select(0, &index)?.masked_fill(&padding.reshape(&column)?, value)?;
    let lead = if batch_first { [n, steps] } else { [steps, n] };
    let shape: Vec<usize> = lead.iter().chain(features).copied().collect();
    Ok((rows.reshape(&shape)?, lengths))
}

/// Sequences `[length, ..]` side by side, padded with `value`: `[T, N, ..]`, or `[N, T, ..]` with `batch_first`. Like
/// `torch.nn.utils.rnn.pad_sequence`.
///
/// # Errors
/// No sequences; other dimensions that differ.
#[track_caller]
pub fn pad_sequence(sequences: &[Tensor], batch_first: bool, value: impl Into<Scalar>) -> Result<Tensor> {
    let value = value.into();
    let length = |t: &Tensor| t.shape().first().copied().unwrap_or(0);
    let longest = sequences.iter().map(length).max().unwrap_or(0);
    let padded = |t: &Tensor| -> Result<Tensor> {
        if t.rank() == 0 {
            return Err(Error::argument("pad_sequence", "a scalar is no sequence"));
        }
        let mut amounts = vec![0isize; 2 * t.rank()];
        // The last dimension comes first in what `pad` takes.
        amounts[2 * t.rank() - 1] = (longest - length(t)) as isize;
        t.pad(amounts, "constant", value)
    };
    let padded = sequences.iter().map(padded).collect::<Result<Vec<_>>>()?;
    Tensor::stack(&padded, if batch_first { 0 } else { 1 })
}

/// Packs sequences `[length, ..]`. Like `torch.nn.utils.rnn.pack_sequence`.
///
/// # Errors
/// As [`pad_sequence`] and [`pack_padded_sequence`].
#[track_caller]
pub fn pack_sequence(sequences: &[Tensor], enforce_sorted: bool) -> Result<PackedSequence> {
    let lengths: Vec<usize> = sequences.iter().map(|t| t.shape().first().copied().unwrap_or(0)).collect();
    pack_padded_sequence(&pad_sequence(sequences, false, 0)?, &lengths, false, enforce_sorted)
}
