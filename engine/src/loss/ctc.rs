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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, for_each_device};
    use crate::{Device, loss};

    /// Losses and the gradient of their sum.
    fn losses(x: &Tensor, goals: &[i64], inputs: &[usize], lengths: &[usize], options: Ctc) -> Result<(Tensor, Tensor)> {
        let x = x.detach()?;
        x.requires_grad_(true)?;
        let goals = Tensor::from_vec(goals.to_vec(), [lengths.len(), goals.len() / lengths.len()], x.device())?;
        let y = loss::ctc_loss(&x.log_softmax(-1)?, &goals, inputs, lengths, Ctc { reduction: Reduction::None, ..options })?;
        y.sum_all()?.backward()?;
        let dx = x.grad().expect("it went backwards");
        Ok((y, dx))
    }

    fn noise(shape: [usize; 3]) -> Result<Tensor> {
        let n = shape.iter().product::<usize>();
        let values = (0..n).map(|i| ((i * 7919) % 1000) as f64 / 250.0 - 2.0).collect();
        Tensor::from_vec::<f64>(values, shape, &Device::cpu())
    }

    #[test]
    fn every_device_follows_64_bits() {
        // Twins next to each other, an empty target, one that does not fit its input, an input without steps.
        let small = vec![1, 1, 3, 0, 4, 3, 0, 4, 5, 5, 5, 5, 1, 0, 3, 4, 5, 5, 0, 0];
        let large: Vec<i64> = (0..80).map(|i| 1 + (i * i) % 89).collect();
        for (shape, goals, inputs, lengths, blank) in
            [([12, 5, 6], small, vec![12, 9, 4, 7, 0], vec![3, 4, 4, 0, 1], 2), ([130, 2, 90], large, vec![130, 101], vec![40, 36], 0)]
        {
            let x = noise(shape).unwrap();
            for zero_infinity in [false, true] {
                let options = Ctc { blank, zero_infinity, ..Ctc::default() };
                let (want, slope) = losses(&x, &goals, &inputs, &lengths, options).unwrap();
                let (want, slope) = (want.to_vec::<f64>().unwrap(), slope.to_vec::<f64>().unwrap());
                for_each_device(|dev| {
                    let (y, dx) = losses(&x.to_dtype(DType::F32)?.to(dev)?, &goals, &inputs, &lengths, options)?;
                    assert_close(&y, &want, 1e-5, 1e-5);
                    assert_close(&dx, &slope, 1e-4, 2e-5);
                    Ok(())
                });
            }
        }
    }

    #[test]
    fn a_target_outside_the_classes_is_refused_on_every_device() {
        for_each_device(|dev| {
            for wrong in [6, -1] {
                let x = noise([12, 1, 6])?.to_dtype(DType::F32)?.to(dev)?;
                let told = losses(&x, &[1, wrong], &[12], &[2], Ctc::default()).and_then(|(y, _)| y.to_vec::<f32>());
                let told = told.expect_err("refused").to_string();
                assert!(told.contains("ctc_loss") && told.contains(&wrong.to_string()), "on {dev}: {told}");
            }
            Ok(())
        });
    }
}
