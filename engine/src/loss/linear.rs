//! Cross-entropy of a linear layer's result, without ever holding all of that result.

use smallvec::smallvec;

use super::{CrossEntropy, Reduction, cross_entropy_with, expect_reduction};
use crate::autograd;
use crate::error::{Error, Result};
use crate::shape::{Shape, numel};
use crate::tensor::Tensor;

/// About how many logits exist at a time.
const LOGITS: usize = 1 << 22;

/// [`cross_entropy_with`](super::cross_entropy_with) of `input weight^T + bias`: rows `[N, D]` (or `[D]`), a weight `[C, D]` (or
/// `[C, d.., D]`: classes at each of `d..` places), `bias` of the weight's shape less its last dimension.
///
/// The logits are made some rows at a time, forwards and once more backwards, and dropped: memory does not grow with `N C`. Only the
/// gradient of a gradient holds all of them. Like `torch.nn.functional.linear_cross_entropy`.
///
/// # Errors
/// Shapes that do not fit; as [`cross_entropy`](super::cross_entropy).
#[track_caller]
pub fn linear_cross_entropy(
    input: &Tensor,
    weight: &Tensor,
    target: &Tensor,
    bias: Option<&Tensor>,
    class_weight: Option<&Tensor>,
    options: CrossEntropy,
) -> Result<Tensor> {
    let op = "linear_cross_entropy";
    expect_reduction(op, options.reduction)?;
    let (x, w) = (input.shape(), weight.shape());
    if !(1..=2).contains(&x.len()) || w.len() < 2 {
        return Err(Error::argument(op, format!("expects rows [N, D] or [D] and a weight [C, .., D], not {x:?} and {w:?}")));
    }
    let (outputs, features) = w.split_at(w.len() - 1);
    if x.last() != features.first() {
        return Err(Error::argument(
            op,
            format!("weight {w:?} takes {} features, but the input {x:?} has {}", features[0], x[x.len() - 1]),
        ));
    }
    if x.len() == 1 && w.len() > 2 {
        return Err(Error::argument(op, format!("a weight of {w:?} needs rows [N, {}], not {x:?}", features[0])));
    }
    if let Some(b) = bias.filter(|b| b.shape() != outputs) {
        return Err(Error::argument(op, format!("the bias is {:?}, the weight {w:?}", b.shape())));
    }
    let whole = Head { weight: weight.clone(), bias: bias.cloned(), class_weight: class_weight.cloned(), options };
    let rows = if x.len() == 2 { x[0] } else { 1 };
    let step = (LOGITS / numel(outputs).max(1)).max(1);
    if x.len() == 1 || rows <= step {
        return whole.loss(input, target);
    }
    chunked(input, target, whole, step)
}

struct Head {
    weight: Tensor,
    bias: Option<Tensor>,
    class_weight: Option<Tensor>,
    options: CrossEntropy,
}

impl Head {
    /// The loss from all of its logits.
    #[track_caller]
    fn loss(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let w = self.weight.shape();
        let (outputs, features) = (&w[..w.len() - 1], w[w.len() - 1]);
        let bias = self.bias.as_ref().map(|b| b.reshape([numel(outputs)])).transpose()?;
        let logits = input.linear(&self.weight.reshape([numel(outputs), features])?, bias.as_ref())?;
        let shape: Shape = input.shape()[..input.rank() - 1].iter().chain(outputs).copied().collect();
        cross_entropy_with(&logits.reshape(&shape[..])?, target, self.class_weight.as_ref(), self.options)
    }

    fn summing(&self, reduction: Reduction) -> Result<Head> {
        let bias = self.bias.as_ref().map(Tensor::snapshot).transpose()?;
        let options = CrossEntropy { reduction, ..self.options };
        Ok(Head { weight: self.weight.snapshot()?, bias, class_weight: self.class_weight.clone(), options })
    }
}

/// The loss of `step` rows at a time. A mean is the sum over what the rows weigh together, which the target alone decides.
#[track_caller]
fn chunked(input: &Tensor, target: &Tensor, head: Head, step: usize) -> Result<Tensor> {
    let op = "linear_cross_entropy";
    let n = input.shape()[0];
    if target.shape().first() != Some(&n) {
        return Err(Error::argument(op, format!("targets of {:?} for {n} rows", target.shape())));
    }
    let each = if head.options.reduction == Reduction::None { Reduction::None } else { Reduction::Sum };
    let part = head.summing(each)?;
    let (rows, goals) = (input.snapshot()?, target.snapshot()?);
    let ranges = move || (0..n).step_by(step).map(move |at| (at, step.min(n - at)));
    let forward = |head: &Head, rows: &Tensor, at: usize, len: usize| head.loss(&rows.narrow(0, at, len)?, &goals.narrow(0, at, len)?);
    let loss = autograd::no_grad(|| -> Result<Tensor> {
        let parts = ranges().map(|(at, len)| forward(&part, &rows, at, len)).collect::<Result<Vec<_>>>()?;
        match each {
            Reduction::None => Tensor::cat(&parts, 0),
            _ => Tensor::stack(&parts, 0)?.sum(0),
        }
    })?;
    let mut inputs = vec![input, &head.weight];
    inputs.extend(&head.bias);
    let (goals_, precision) = (goals.clone(), crate::amp::autocast_dtype());
    autograd::record_with(&loss, op, &inputs, move |dy, _| {
        if autograd::is_enabled() {
            let mut of = vec![&rows, &part.weight];
            of.extend(&part.bias);
            return autograd::derive_again(&of, dy, |new| {
                let whole = Head {
                    weight: new[1].clone(),
                    bias: new.get(2).cloned(),
                    class_weight: part.class_weight.clone(),
                    options: part.options,
                };
                whole.loss(&new[0], &goals_)
            });
        }
        let mut dx = Vec::new();
        let mut shared: Vec<Option<Tensor>> = vec![None; 1 + part.bias.is_some() as usize];
        for (at, len) in ranges() {
            let leaf = |t: &Tensor| -> Result<Tensor> {
                let leaf = t.detach()?;
                leaf.requires_grad_(true)?;
                Ok(leaf)
            };
            let x = leaf(&rows.narrow(0, at, len)?)?;
            let own = Head {
                weight: leaf(&part.weight)?,
                bias: part.bias.as_ref().map(leaf).transpose()?,
                class_weight: part.class_weight.clone(),
                options: part.options,
            };
            let loss = autograd::enable_grad(|| {
                let _precision = crate::amp::Autocast::new(precision)?;
                own.loss(&x, &goals_.narrow(0, at, len)?)
            })?;
            let dy = if each == Reduction::None { dy.narrow(0, at, len)? } else { dy.clone() };
            let mut of = vec![&x, &own.weight];
            of.extend(&own.bias);
            let mut grads = autograd::grad(&[&loss], &of, &[Some(&dy)], false, false)?.into_iter();
            dx.extend(grads.next().flatten());
            for (sum, g) in shared.iter_mut().zip(grads.flatten()) {
                *sum = Some(match sum.take() {
                    Some(sum) => sum.add(&g)?,
                    None => g,
                });
            }
        }
        let mut grads = smallvec![Some(Tensor::cat(&dx, 0)?)];
        grads.extend(shared);
        Ok(grads)
    });
    if head.options.reduction != Reduction::Mean {
        return Ok(loss);
    }
    // A mean of ones is what the sum has to be divided by, per one.
    let weigh = total(&goals, head.class_weight.as_ref(), head.options, numel(&head.weight.shape()[..1]))?;
    loss.div(&weigh)
}

/// What a mean divides by: the classes' weights of the targets that count, or the number of rows of probabilities.
fn total(target: &Tensor, class_weight: Option<&Tensor>, options: CrossEntropy, classes: usize) -> Result<Tensor> {
    if target.dtype().is_float() {
        let places = target.numel() / classes.max(1);
        return Tensor::full([], places as f64, target.device());
    }
    let counts = target.ne(options.ignore_index)?;
    match class_weight {
        Some(w) => {
            let flat = target.masked_fill(&counts.logical_not()?, 0)?.reshape([target.numel()])?;
            w.detach()?.index_select(0, &flat)?.masked_fill(&counts.reshape([target.numel()])?.logical_not()?, 0.0)?.sum_all()
        }
        None => counts.to_dtype(crate::dtype::DType::F32)?.sum_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_gradients;

    /// Pieces of three rows give what all rows at once give, gradients of gradients included.
    #[test]
    fn pieces_are_the_whole() {
        let noise = |n: usize, seed: usize| -> Vec<f64> { (0..n).map(|i| ((i * 37 + seed * 11) % 23) as f64 / 12.0 - 0.9).collect() };
        let (x, w, b) = (noise(8 * 4, 1), noise(5 * 4, 2), noise(5, 3));
        let cpu = crate::Device::cpu();
        let target = Tensor::new([0, 4, 2, -100, 1, 3, 3, 0], &cpu).unwrap();
        let weights = Tensor::from_vec(vec![0.5f64, 2.0, 1.0, 0.25, 3.0], [5], &cpu).unwrap();
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            for class_weight in [None, Some(&weights)] {
                let options = CrossEntropy { reduction, label_smoothing: 0.1, ..CrossEntropy::default() };
                let head =
                    |t: &[Tensor]| Head { weight: t[1].clone(), bias: Some(t[2].clone()), class_weight: class_weight.cloned(), options };
                let inputs: [(&[f64], &[usize]); 3] = [(&x, &[8, 4]), (&w, &[5, 4]), (&b, &[5])];
                assert_gradients(&inputs, |t| chunked(&t[0], &target, head(t), 3));
                let t: Vec<Tensor> = inputs.iter().map(|(v, s)| Tensor::from_vec(v.to_vec(), *s, &cpu).unwrap()).collect();
                let (pieces, whole) = (chunked(&t[0], &target, head(&t), 3).unwrap(), head(&t).loss(&t[0], &target).unwrap());
                assert!(pieces.allclose(&whole, 1e-9, 1e-9, false).unwrap());
            }
        }
    }
}
