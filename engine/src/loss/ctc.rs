//! Connectionist temporal classification.

use super::{Reduction, expect_reduction, reduced, settled, wide};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::CtcLoss;
use crate::tensor::Tensor;

/// Options of [`ctc_loss`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ctc {
    /// The class that stands for nothing.
    pub blank: usize,
    /// The mean divides each loss by its target's length first.
    pub reduction: Reduction,
    /// A target that does not fit its input counts 0 instead of infinity.
    pub zero_infinity: bool,
}

/// Minus the log-likelihood of target sequences under all their alignments with the inputs.
///
/// `log_probs` are log-probabilities `[T, N, C]` (or `[T, C]`). `targets` are classes: `[N, S]`, or all of them one after the other
/// (`[sum of the lengths]`), or `[S]` without a batch. Input `n` is its first `input_lengths[n]` steps, target `n` its first
/// `target_lengths[n]` classes. Like `torch.nn.functional.ctc_loss`, the gradient assumes that the
/// log-probabilities come from a log-softmax.
///
/// Runs on the host, also for tensors on a GPU.
///
/// # Errors
/// Shapes and lengths that do not fit; a blank or a target outside the classes.
///
/// ```
/// # use taper::prelude::*; use taper::loss::{self, Ctc}; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let log_p = Tensor::new([[0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 2.0]], &cpu)?.log_softmax(-1)?;
/// let loss = loss::ctc_loss(&log_p, &Tensor::new([1, 2], &cpu)?, &[3], &[2], Ctc::default())?;
/// assert!(loss.item::<f32>()? > 0.0);
/// # Ok(()) }
/// ```
#[track_caller]
pub fn ctc_loss(log_probs: &Tensor, targets: &Tensor, input_lengths: &[usize], target_lengths: &[usize], options: Ctc) -> Result<Tensor> {
    let op = "ctc_loss";
    expect_reduction(op, options.reduction)?;
    if !log_probs.dtype().is_float() || !targets.dtype().is_int() {
        let why = format!("needs log-probabilities in floats and targets in integers, not {} and {}", log_probs.dtype(), targets.dtype());
        return Err(Error::dtype(op, why));
    }
    let single = log_probs.rank() == 2;
    let x = if single { log_probs.unsqueeze(1)? } else { log_probs.clone() };
    let &[steps, n, classes] = x.shape() else {
        return Err(Error::argument(op, format!("expects log-probabilities [T, N, C] or [T, C], not {:?}", log_probs.shape())));
    };
    if options.blank >= classes {
        return Err(Error::argument(op, format!("blank {} is outside the {classes} classes", options.blank)));
    }
    if input_lengths.len() != n || target_lengths.len() != n {
        let (i, t) = (input_lengths.len(), target_lengths.len());
        return Err(Error::argument(op, format!("{i} lengths of inputs and {t} of targets for {n} sequences")));
    }
    if let Some(l) = input_lengths.iter().find(|&&l| l > steps) {
        return Err(Error::argument(op, format!("an input length of {l}, but there are {steps} steps")));
    }
    let targets = padded(op, targets, target_lengths)?;
    let device = x.device();
    let integer = |v: &usize| i64::try_from(*v).unwrap_or(i64::MAX);
    let lengths: Vec<i64> = input_lengths.iter().chain(target_lengths).map(integer).collect();
    let lengths = Tensor::from_vec(lengths, [2, n], device)?;
    let mut losses = Tensor::apply(CtcLoss { blank: options.blank }, &[&wide(&x)?, &targets.to(device)?, &lengths])?;
    if options.zero_infinity {
        losses = losses.masked_fill(&losses.eq(f64::INFINITY)?, 0.0)?;
    }
    if options.reduction == Reduction::Mean {
        let per_class: Vec<f32> = target_lengths.iter().map(|&l| l.max(1) as f32).collect();
        losses = losses.div(&Tensor::from_vec(per_class, [n], device)?)?;
    }
    let losses = if single { losses.squeeze(0)? } else { losses };
    settled(&reduced(op, losses, options.reduction)?, log_probs.dtype())
}

/// Targets as `[N, longest]`.
fn padded(op: &'static str, targets: &Tensor, lengths: &[usize]) -> Result<Tensor> {
    let n = lengths.len();
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let targets = targets.to_dtype(DType::I64)?;
    let total = lengths.iter().try_fold(0usize, |sum, &l| sum.checked_add(l));
    match *targets.shape() {
        [rows, room] if rows == n && room >= longest => targets.narrow(1, 0, longest),
        [count] if Some(count) == total || (n == 1 && count >= longest) => {
            let starts = lengths.iter().scan(0, |at, &l| Some(std::mem::replace(at, *at + l)));
            let at = starts.zip(lengths).flat_map(|(start, &l)| (0..longest).map(move |i| if i < l { start + i } else { 0 } as i64));
            let at = Tensor::from_vec(at.collect::<Vec<i64>>(), [n * longest], targets.device())?;
            if count == 0 {
                Tensor::zeros([n, longest], (DType::I64, targets.device()))
            } else {
                targets.index_select(0, &at)?.reshape([n, longest])
            }
        }
        ref shape => Err(Error::argument(op, format!("targets of {shape:?} do not fit the lengths {lengths:?}"))),
    }
}
