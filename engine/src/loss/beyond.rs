//! Losses that PyTorch leaves to other libraries: for rare classes, overlaps, quantiles, teachers and several tasks.

use super::{Reduction, cross_entropy_with, expect_reduction, finished, kl_div, same_shape, settled, wide};
use crate::Module;
use crate::autograd;
use crate::error::{Error, Result};
use crate::loss::{CrossEntropy, binary_cross_entropy_with_logits};
use crate::nn::Param;
use crate::tensor::{Tensor, TensorOptions};

/// Binary cross-entropy of `sigmoid(input)` in which easy examples count less: times `(1 - p)^gamma`, where `p` is the probability of
/// the right answer; `alpha` weighs positives and `1 - alpha` negatives (Lin et al., "Focal loss"). Usual are `gamma` 2, `alpha` 0.25.
///
/// # Errors
/// Shapes that differ; a negative `gamma`; integers.
#[track_caller]
pub fn sigmoid_focal_loss(input: &Tensor, target: &Tensor, alpha: Option<f64>, gamma: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "sigmoid_focal_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, input)?;
    if gamma < 0.0 || gamma.is_nan() {
        return Err(Error::argument(op, format!("gamma must not be negative, but is {gamma}")));
    }
    let (x, t) = (wide(input)?, wide(target)?);
    let entropy = binary_cross_entropy_with_logits(&x, &t, None, None, Reduction::None)?;
    // log(1 - p) of the right answer, which does not cancel where p is almost 1.
    let wrong = t.mul(-2.0)?.add(1.0)?.mul(&x)?.log_sigmoid()?;
    let mut losses = entropy.mul(&wrong.mul(gamma)?.exp()?)?;
    if let Some(alpha) = alpha {
        losses = losses.mul(&t.mul(2.0 * alpha - 1.0)?.add(1.0 - alpha)?)?;
    }
    finished(op, losses, reduction, &[input])
}

/// Cross-entropy over classes in which easy examples count less: `-(1 - p)^gamma log p` of the right class's probability; logits
/// `[N, C, ..]`, classes `[N, ..]`; `weight` `[C]` weighs the classes.
///
/// # Errors
/// As [`cross_entropy`](super::cross_entropy); a negative `gamma`.
#[track_caller]
pub fn focal_loss(logits: &Tensor, target: &Tensor, weight: Option<&Tensor>, gamma: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "focal_loss";
    expect_reduction(op, reduction)?;
    if gamma < 0.0 || gamma.is_nan() || target.dtype().is_float() {
        return Err(Error::argument(
            op,
            format!("needs a gamma that is not negative and integer classes, not {gamma} and {}", target.dtype()),
        ));
    }
    let options = CrossEntropy { reduction: Reduction::None, ..CrossEntropy::default() };
    let x = wide(logits)?;
    let plain = cross_entropy_with(&x, target, None, options)?;
    // 1 - p, from log p.
    let wrong = plain.neg()?.expm1()?.neg()?;
    let easy = if gamma == 0.0 { wrong.ones_like()? } else { wrong.clamp(f32::MIN_POSITIVE as f64, None)?.pow(gamma)? };
    let entropy = match weight {
        Some(w) => cross_entropy_with(&x, target, Some(&wide(w)?), options)?,
        None => plain,
    };
    finished(op, entropy.mul(&easy)?, reduction, &[logits])
}

/// `1 - (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)` over everything behind the first two dimensions of probabilities and masks
/// `[N, C, ..]`: one minus the overlap. `smooth` keeps an empty mask defined.
///
/// # Errors
/// Shapes that differ; fewer than two dimensions.
#[track_caller]
pub fn dice_loss(probabilities: &Tensor, target: &Tensor, smooth: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "dice_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, probabilities)?;
    if probabilities.rank() < 2 {
        return Err(Error::argument(op, format!("expects [N, C, ..], not {:?}", probabilities.shape())));
    }
    let (p, t) = (wide(probabilities)?, wide(target)?);
    let inside = |x: Tensor| if x.rank() > 2 { x.flatten(2, -1)?.sum(2) } else { Ok(x) };
    let overlap = inside(p.mul(&t)?)?.mul(2.0)?.add(smooth)?;
    let losses = overlap.div(&inside(p)?.add(&inside(t)?)?.add(smooth)?)?.neg()?.add(1.0)?;
    finished(op, losses, reduction, &[probabilities])
}

/// `max(q d, (q - 1) d)` of differences `d = target - input`: what a prediction of quantile `q` minimises.
///
/// # Errors
/// Shapes that differ; a `q` outside 0 to 1.
#[track_caller]
pub fn quantile_loss(input: &Tensor, target: &Tensor, q: f64, reduction: Reduction) -> Result<Tensor> {
    let op = "quantile_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, input)?;
    if !(0.0..=1.0).contains(&q) {
        return Err(Error::argument(op, format!("a quantile lies between 0 and 1, not at {q}")));
    }
    let d = wide(target)?.sub(&wide(input)?)?;
    finished(op, d.mul(q)?.maximum(&d.mul(q - 1.0)?)?, reduction, &[input, target])
}

/// `log(cosh(d))` of differences `d`, as `|d| + log(1 + exp(-2 |d|)) - log 2`: finite for any finite difference.
///
/// # Errors
/// Shapes that differ.
#[track_caller]
pub fn log_cosh_loss(input: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    let op = "log_cosh_loss";
    expect_reduction(op, reduction)?;
    same_shape(op, "target", target, input)?;
    let d = wide(input)?.sub(&wide(target)?)?;
    let losses = autograd::no_grad(|| {
        let size = d.abs()?;
        size.add(&size.mul(-2.0)?.exp()?.log1p()?)?.sub(2f64.ln())
    })?;
    // The slope is tanh(d), which |d| would not have at 0.
    let d_ = d.snapshot()?;
    autograd::record_with(&losses, op, &[&d], move |dy, _| Ok(smallvec::smallvec![Some(dy.mul(&d_.tanh()?)?)]));
    finished(op, losses, reduction, &[input, target])
}

/// What a student learns from a teacher: `temperature^2 KL(softmax(teacher / temperature) | softmax(student / temperature))`, its mean over
/// the rows `[N, C]`, times `alpha`, plus cross-entropy with the classes times `1 - alpha` (Hinton et al.). No gradient reaches
/// the teacher.
///
/// # Errors
/// Shapes that differ; a temperature that is not positive.
#[track_caller]
pub fn distillation_loss(student: &Tensor, teacher: &Tensor, target: Option<&Tensor>, temperature: f64, alpha: f64) -> Result<Tensor> {
    let op = "distillation_loss";
    same_shape(op, "teacher", teacher, student)?;
    if temperature <= 0.0 || temperature.is_nan() || student.rank() != 2 {
        return Err(Error::argument(
            op,
            format!("needs rows [N, C] and a positive temperature, not {:?} and {temperature}", student.shape()),
        ));
    }
    let soft = |t: &Tensor| t.div(temperature)?.log_softmax(1);
    let (s, t) = (wide(student)?, wide(&teacher.detach()?)?);
    let imitation = kl_div(&soft(&s)?, &soft(&t)?, Reduction::BatchMean, true)?.mul(temperature * temperature)?;
    let loss = match target {
        Some(classes) => {
            let own = cross_entropy_with(&s, classes, None, CrossEntropy::default())?;
            imitation.mul(alpha)?.add(&own.mul(1.0 - alpha)?)?
        }
        None => imitation,
    };
    settled(&loss, student.dtype())
}

/// Weighs the losses of several tasks by learned uncertainties: `sum exp(-s_i) loss_i + s_i` with one `s_i = log sigma_i^2` a task
/// (Kendall et al.). All start at 0.
#[derive(Module, Debug)]
pub struct UncertaintyWeighting {
    /// `[tasks]`
    pub log_variance: Param,
}

impl UncertaintyWeighting {
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(tasks: usize, options: impl Into<TensorOptions>) -> Result<UncertaintyWeighting> {
        Ok(UncertaintyWeighting { log_variance: Param::new(&Tensor::zeros([tasks], options)?)? })
    }

    /// # Errors
    /// Another number of losses than tasks; losses that are no scalars.
    #[track_caller]
    pub fn forward(&self, losses: &[Tensor]) -> Result<Tensor> {
        let tasks = self.log_variance.numel();
        if losses.len() != tasks || losses.iter().any(|l| l.rank() != 0) {
            return Err(Error::argument(
                "UncertaintyWeighting",
                format!("{tasks} tasks need as many scalar losses, there are {}", losses.len()),
            ));
        }
        let losses = Tensor::stack(losses, 0)?;
        self.log_variance.neg()?.exp()?.mul(&losses)?.add(&*self.log_variance)?.sum_all()
    }
}

/// `mean((|gradient of critic at x| - 1)^2)` at random points between `real` and `fake` `[N, ..]`: what keeps a critic's slope near 1
/// (Gulrajani et al., WGAN-GP). Its own gradient goes through the critic's gradient.
///
/// # Errors
/// Shapes that differ; whatever the critic reports.
#[track_caller]
pub fn gradient_penalty(critic: impl Fn(&Tensor) -> Result<Tensor>, real: &Tensor, fake: &Tensor) -> Result<Tensor> {
    let op = "gradient_penalty";
    same_shape(op, "fake", fake, real)?;
    if real.rank() == 0 {
        return Err(Error::argument(op, "expects a batch [N, ..]"));
    }
    let between = autograd::no_grad(|| -> Result<Tensor> {
        let mut shape = vec![1; real.rank()];
        shape[0] = real.shape()[0];
        let share = Tensor::rand(&shape, real.device())?.to_dtype(real.dtype())?;
        fake.add(&real.sub(fake)?.mul(&share)?)
    })?
    .detach()?;
    between.requires_grad_(true)?;
    let scores = autograd::enable_grad(|| critic(&between)?.sum_all())?;
    let slope = autograd::grad(&[&scores], &[&between], &[None], true, true)?.pop().flatten();
    let slope = slope.ok_or_else(|| Error::autograd(op, "the critic does not depend on its input"))?;
    let slope = if slope.rank() > 1 { slope.flatten(1, -1)?.norm(2.0, 1, false)? } else { slope.abs()? };
    slope.sub(1.0)?.square()?.mean_all()
}
