//! Steps of optimizers (`ai.onnx.preview.training`), and the numeric operators of `ai.onnx.ml`.

use taper::{DType, Result, Tensor};

use super::{Operator, of};
use crate::call::{Call, Out, one};
use crate::value::Value;

const TRAINING: &str = "ai.onnx.preview.training";
const ML: &str = "ai.onnx.ml";

pub(super) static TABLE: &[Operator] = &[
    of(TRAINING, "Adagrad", |c| optimize(c, 1, adagrad)),
    of(TRAINING, "Adam", |c| optimize(c, 2, adam)),
    of(TRAINING, "Momentum", |c| optimize(c, 1, momentum)),
    of(ML, "ArrayFeatureExtractor", |c| {
        let (x, at) = (c.tensor(0)?, c.tensor(1)?);
        let picked = x.index_select(-1, &at.to_dtype(DType::I64)?.reshape([at.numel()])?)?;
        one(if x.rank() == 1 { picked.unsqueeze(0)? } else { picked })
    }),
    of(ML, "Binarizer", |c| {
        let x = c.tensor(0)?;
        one(x.gt(c.float("threshold", 0.0)?)?.to_dtype(x.dtype())?)
    }),
];

/// A step for one parameter: learning rate, step number, the parameter, its gradient, its states; the new ones in that order.
type Step = fn(&Call<'_>, f64, f64, &Tensor, &Tensor, &[Tensor]) -> Result<Vec<Tensor>>;

/// Inputs are the rate, the step number, then all parameters, all gradients, and all of each state.
fn optimize(c: &Call<'_>, states: usize, step: Step) -> Out {
    let (rate, number) = (c.number(0)?, c.number(1)?);
    let count = (c.inputs.len() - 2.min(c.inputs.len())) / (2 + states);
    let mut outputs = vec![Vec::with_capacity(count); 1 + states];
    for i in 0..count {
        let at = |kind: usize| c.tensor(2 + kind * count + i);
        let kept = (0..states).map(|s| at(2 + s)).collect::<Result<Vec<_>>>()?;
        let new = step(c, rate, number, &at(0)?, &at(1)?, &kept)?;
        outputs.iter_mut().zip(new).for_each(|(list, t)| list.push(Value::from(t)));
    }
    Ok(outputs.concat())
}

/// The gradient with that of the parameter's own size.
fn regularized(c: &Call<'_>, x: &Tensor, g: &Tensor) -> Result<Tensor> {
    g.add(x.mul(c.float("norm_coefficient", 0.0)?)?)
}

fn adagrad(c: &Call<'_>, rate: f64, number: f64, x: &Tensor, g: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>> {
    let rate = rate / (1.0 + number * c.float("decay_factor", 0.0)?);
    let g = regularized(c, x, g)?;
    let h = states[0].add(g.square()?)?;
    Ok(vec![x.sub(g.mul(rate)?.div(h.sqrt()?.add(c.float("epsilon", 1e-6)?)?)?)?, h])
}

fn adam(c: &Call<'_>, rate: f64, number: f64, x: &Tensor, g: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>> {
    let (alpha, beta) = (c.float("alpha", 0.9)?, c.float("beta", 0.999)?);
    let g = regularized(c, x, g)?;
    let v = states[0].mul(alpha)?.add(g.mul(1.0 - alpha)?)?;
    let h = states[1].mul(beta)?.add(g.square()?.mul(1.0 - beta)?)?;
    let rate = if number > 0.0 { rate * (1.0 - beta.powf(number)).sqrt() / (1.0 - alpha.powf(number)) } else { rate };
    let x = x.sub(v.mul(rate)?.div(h.sqrt()?.add(c.float("epsilon", 1e-6)?)?)?)?;
    Ok(vec![x.mul(1.0 - c.float("norm_coefficient_post", 0.0)?)?, v, h])
}

fn momentum(c: &Call<'_>, rate: f64, number: f64, x: &Tensor, g: &Tensor, states: &[Tensor]) -> Result<Vec<Tensor>> {
    let (alpha, beta) = (c.float("alpha", 0.9)?, c.float("beta", 1.0)?);
    let g = regularized(c, x, g)?;
    let v = states[0].mul(alpha)?.add(g.mul(if number > 0.0 { beta } else { 1.0 })?)?;
    let way = match c.text("mode", "standard")? {
        "standard" => v.clone(),
        "nesterov" => g.add(v.mul(alpha)?)?,
        other => return Err(c.error(format!("no mode '{other}'"))),
    };
    Ok(vec![x.sub(way.mul(rate)?)?, v])
}
