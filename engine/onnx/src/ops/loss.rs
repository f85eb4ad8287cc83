//! Losses of classification, as `ai.onnx` has them.

use taper::{DType, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, one};
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("NegativeLogLikelihoodLoss", 12, |c| one(likelihood(c, &c.tensor(0)?)?)),
    op("SoftmaxCrossEntropyLoss", 12, |c| {
        let log = c.tensor(0)?.log_softmax(1)?;
        Ok(vec![Value::from(likelihood(c, &log)?), log.into()])
    }),
];

/// `[n, classes, ..]` log-probabilities at the classes of `[n, ..]`, weighted and reduced.
fn likelihood(c: &Call<'_>, log: &Tensor) -> Result<Tensor> {
    let target = c.tensor(1)?.to_dtype(DType::I64)?;
    let ignored = c.maybe_int("ignore_index")?.map(|i| target.eq(i)).transpose()?;
    let safe = match &ignored {
        Some(ignored) => target.masked_fill(ignored, 0)?,
        None => target.clone(),
    };
    let loss = log.gather(1, &safe.unsqueeze(1)?)?.squeeze(1)?.neg()?;
    let mut weight = match c.maybe(2)? {
        Some(w) => Some(w.index_select(0, &safe.reshape([safe.numel()])?)?.reshape(safe.shape())?),
        None => None,
    };
    if let Some(ignored) = &ignored {
        let counted = match weight {
            Some(w) => w,
            None => loss.ones_like()?,
        };
        weight = Some(counted.masked_fill(ignored, 0)?);
    }
    let weighted = match &weight {
        Some(w) => loss.mul(w)?,
        None => loss,
    };
    match (c.text("reduction", "mean")?, &weight) {
        ("none", _) => Ok(weighted),
        ("sum", _) => weighted.sum_all(),
        ("mean", None) => weighted.mean_all(),
        ("mean", Some(w)) => weighted.sum_all()?.div(w.sum_all()?),
        (other, _) => Err(c.error(format!("no reduction '{other}'"))),
    }
}
