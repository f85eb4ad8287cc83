//! Losses.

use taper::nn;

use taper::ops::registry::Value;
use taper::{DType, Tensor};

use super::super::outcome::{Outcome, Step};
use super::arguments::usize_of;
use super::{Built, Inputs, classes};

classes! {
    CrossEntropyLoss(weight, size_average, ignore_index, reduce, reduction, label_smoothing) |a| {
        let loss = nn::CrossEntropyLoss::new().ignore_index(a.int("ignore_index", -100)?).reduction(a.reduction()?);
        let loss = loss.label_smoothing(a.float("label_smoothing", 0.0)?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    MSELoss(size_average, reduce, reduction) |a| {
        let loss = nn::MSELoss::new().reduction(a.reduction()?);
        Built::loss(move |x, target| loss.forward(x, target))
    };
    L1Loss(size_average, reduce, reduction) |a| {
        let loss = nn::L1Loss::new().reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    SmoothL1Loss(size_average, reduce, reduction, beta) |a| {
        let loss = nn::SmoothL1Loss::new().beta(a.float("beta", 1.0)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    HuberLoss(reduction, delta) |a| {
        let loss = nn::HuberLoss::new().delta(a.float("delta", 1.0)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    KLDivLoss(size_average, reduce, reduction, log_target) |a| {
        let loss = nn::KLDivLoss::new().log_target(a.flag("log_target", false)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    PoissonNLLLoss(log_input, full, size_average, eps, reduce, reduction) |a| {
        let loss = nn::PoissonNLLLoss::new().log_input(a.flag("log_input", true)?).full(a.flag("full", false)?).eps(a.float("eps", 1e-8)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    MultiLabelMarginLoss(size_average, reduce, reduction) |a| {
        let loss = nn::MultiLabelMarginLoss::new().reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    SoftMarginLoss(size_average, reduce, reduction) |a| {
        let loss = nn::SoftMarginLoss::new().reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    HingeEmbeddingLoss(margin, size_average, reduce, reduction) |a| {
        let loss = nn::HingeEmbeddingLoss::new().margin(a.float("margin", 1.0)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    NLLLoss(weight, size_average, ignore_index, reduce, reduction) |a| {
        let loss = nn::NLLLoss::new().ignore_index(a.int("ignore_index", -100)?).reduction(a.reduction()?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    BCELoss(weight, size_average, reduce, reduction) |a| {
        let loss = nn::BCELoss::new().reduction(a.reduction()?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    BCEWithLogitsLoss(weight, size_average, reduce, reduction, pos_weight) |a| {
        let loss = nn::BCEWithLogitsLoss::new().reduction(a.reduction()?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        let loss = match a.given("pos_weight") {
            Some(w) => loss.pos_weight(w.tensor()?),
            None => loss,
        };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    MultiMarginLoss(p, margin, weight, size_average, reduce, reduction) |a| {
        let loss = nn::MultiMarginLoss::new().p(a.int("p", 1)?).margin(a.float("margin", 1.0)?).reduction(a.reduction()?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    MultiLabelSoftMarginLoss(weight, size_average, reduce, reduction) |a| {
        let loss = nn::MultiLabelSoftMarginLoss::new().reduction(a.reduction()?);
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?),
            None => loss,
        };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    MarginRankingLoss(margin, size_average, reduce, reduction) |a| {
        let loss = nn::MarginRankingLoss::new().margin(a.float("margin", 0.0)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| Ok(l.forward(i.needed(0, "input1")?, i.needed(1, "input2")?, i.needed(2, "target")?)?.into()))
    };
    CosineEmbeddingLoss(margin, size_average, reduce, reduction) |a| {
        let loss = nn::CosineEmbeddingLoss::new().margin(a.float("margin", 0.0)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| Ok(l.forward(i.needed(0, "input1")?, i.needed(1, "input2")?, i.needed(2, "target")?)?.into()))
    };
    GaussianNLLLoss() |a| {
        let loss = nn::GaussianNLLLoss::new().full(a.flag("full", false)?).eps(a.float("eps", 1e-6)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| Ok(l.forward(i.needed(0, "input")?, i.needed(1, "target")?, i.needed(2, "var")?)?.into()))
    };
    TripletMarginLoss(margin, p, eps, swap, size_average, reduce, reduction) |a| {
        let loss = nn::TripletMarginLoss::new().margin(a.float("margin", 1.0)?).p(a.float("p", 2.0)?).eps(a.float("eps", 1e-6)?).swap(a.flag("swap", false)?).reduction(a.reduction()?);
        Built::with(loss, |l, i| Ok(l.forward(i.needed(0, "anchor")?, i.needed(1, "positive")?, i.needed(2, "negative")?)?.into()))
    };
    CTCLoss(blank, reduction, zero_infinity) |a| {
        let options = taper::loss::Ctc { blank: a.int("blank", 0)? as usize, reduction: a.reduction()?, zero_infinity: a.flag("zero_infinity", false)? };
        Built::with(nn::CTCLoss::new(options), |l, i| {
            let lengths = |position, name| i.get(position, name).ok_or_else(|| Outcome::by_type(format!("argument {name} is missing"))).and_then(lengths);
            let (inputs, targets) = (lengths(2, "input_lengths")?, lengths(3, "target_lengths")?);
            Ok(l.forward(i.needed(0, "log_probs")?, i.needed(1, "targets")?, &inputs, &targets)?.into())
        })
    };
    LinearCrossEntropyLoss(in_features, num_classes) |a| {
        let outputs = a.one("out_features", Some(vec![]), |v| match v {
            Value::List(list) => list.iter().map(usize_of).collect(),
            v => usize_of(v).map(|n| vec![n]),
        })?;
        let loss = nn::LinearCrossEntropyLoss::new(a.size("in_features")?, a.size("num_classes")?, &outputs, a.options()?)?.reduction(a.reduction()?);
        let loss = loss.label_smoothing(a.float("label_smoothing", 0.0)?)?;
        let loss = if a.flag("bias", false)? { loss.bias()? } else { loss };
        let loss = match a.given("weight") {
            Some(w) => loss.weight(w.tensor()?)?,
            None => loss,
        };
        let loss = if a.given("ignore_index").is_some() { loss.ignore_index(a.int("ignore_index", 0)?) } else { loss };
        Built::with(loss, |l, i| two(i, |x, t| l.forward(x, t)))
    };
    AdaptiveLogSoftmaxWithLoss(in_features, n_classes, cutoffs, div_value, head_bias) |a| {
        let (i, n, div) = (a.size("in_features")?, a.size("n_classes")?, a.float("div_value", 4.0)?);
        let loss = nn::AdaptiveLogSoftmaxWithLoss::new(i, n, &a.shape("cutoffs")?, div, a.flag("head_bias", false)?, a.options()?)?;
        Built::with(loss, |l, i| {
            let (rows, loss) = l.forward(i.needed(0, "input")?, i.needed(1, "target")?)?;
            Ok(Value::List(vec![rows.into(), loss.into()]))
        })
    };
}

/// A loss of an input and a target.
fn two(inputs: &Inputs, loss: impl Fn(&Tensor, &Tensor) -> taper::Result<Tensor>) -> Step<Value> {
    Ok(loss(inputs.needed(0, "input")?, inputs.needed(1, "target")?)?.into())
}

/// Lengths as a list or a tensor.
fn lengths(v: &Value) -> Step<Vec<usize>> {
    let list = match v {
        Value::Tensor(t) => {
            return Ok(t.to_dtype(DType::I64)?.to_vec::<i64>()?.into_iter().filter_map(|l| usize::try_from(l).ok()).collect());
        }
        Value::List(list) => list.iter().map(usize_of).collect(),
        one => usize_of(one).map(|n| vec![n]),
    };
    list.ok_or_else(|| Outcome::by_type(format!("lengths cannot be {v:?}")))
}
