//! Loss functions beyond cross-entropy and plain differences.

use super::convert::Value;
use super::rows;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::loss::{self, CrossEntropy, Ctc, Poisson, Reduction, Triplet};
use crate::tensor::Tensor;

/// The reduction, which two flags of old override.
fn reduction(size_average: Option<bool>, reduce: Option<bool>, name: &str) -> Result<Reduction> {
    match (size_average, reduce) {
        (None, None) => name.parse(),
        (_, Some(false)) => Ok(Reduction::None),
        (Some(false), _) => Ok(Reduction::Sum),
        _ => Ok(Reduction::Mean),
    }
}

/// Lengths, which PyTorch takes as a tuple or a tensor; those of one sequence as a number, too.
fn lengths(op: &'static str, v: &Value) -> Result<Vec<usize>> {
    let size = |i: i64| usize::try_from(i).map_err(|_| Error::argument(op, format!("a length of {i}")));
    match v {
        Value::Int(i) => Ok(vec![size(*i)?]),
        Value::Tensor(t) if !t.dtype().is_float() => t.to_dtype(DType::I64)?.to_vec::<i64>()?.into_iter().map(size).collect(),
        Value::List(list) => list.iter().map(|v| lengths(op, v)).collect::<Result<Vec<_>>>().map(|l| l.concat()),
        other => Err(Error::argument(op, format!("lengths should be integers, got {}", other.kind()))),
    }
}

rows! {
    "nn.functional.multi_margin_loss"(input: Tensor, target: Tensor, p: i64 = 1, margin: f64 = 1.0, weight: Option<Tensor>,
        size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into())
        loss::multi_margin_loss(&input, &target, p, margin, weight.as_ref(), self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.multilabel_margin_loss"(input: Tensor, target: Tensor, size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into())
        loss::multilabel_margin_loss(&input, &target, self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.multilabel_soft_margin_loss"(input: Tensor, target: Tensor, weight: Option<Tensor>, size_average: Option<bool>, reduce: Option<bool>,
        reduction: String = "mean".into())
        loss::multilabel_soft_margin_loss(&input, &target, weight.as_ref(), self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.soft_margin_loss"(input: Tensor, target: Tensor, size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into())
        loss::soft_margin_loss(&input, &target, self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.margin_ranking_loss"(input1: Tensor, input2: Tensor, target: Tensor, margin: f64 = 0.0, size_average: Option<bool>, reduce: Option<bool>,
        reduction: String = "mean".into())
        loss::margin_ranking_loss(&input1, &input2, &target, margin, self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.hinge_embedding_loss"(input: Tensor, target: Tensor, margin: f64 = 1.0, size_average: Option<bool>, reduce: Option<bool>,
        reduction: String = "mean".into())
        loss::hinge_embedding_loss(&input, &target, margin, self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.cosine_embedding_loss"(input1: Tensor, input2: Tensor, target: Tensor, margin: f64 = 0.0, size_average: Option<bool>, reduce: Option<bool>,
        reduction: String = "mean".into())
        loss::cosine_embedding_loss(&input1, &input2, &target, margin, self::reduction(size_average, reduce, &reduction)?);
    "nn.functional.triplet_margin_loss"(anchor: Tensor, positive: Tensor, negative: Tensor, margin: f64 = 1.0, p: f64 = 2.0, eps: f64 = 1e-6, swap: bool = false,
        size_average: Option<bool>, reduce: Option<bool>, reduction: String = "mean".into()) {
        let reduction = self::reduction(size_average, reduce, &reduction)?;
        loss::triplet_margin_loss(&anchor, &positive, &negative, Triplet { margin, p, eps, swap, reduction })
    };
    // A distance by name: that of the module `nn.PairwiseDistance` with its defaults.
    "nn.functional.triplet_margin_with_distance_loss"(anchor: Tensor, positive: Tensor, negative: Tensor, distance_function: Option<String>,
        margin: f64 = 1.0, swap: bool = false, reduction: String = "mean".into()) {
        let op = "triplet_margin_with_distance_loss";
        if let Some(other) = distance_function.filter(|f| f != "nn.PairwiseDistance") {
            return Err(Error::unsupported(op, format!("'{other}' is no distance this operator knows by name")));
        }
        let options = Triplet { margin, swap, reduction: reduction.parse()?, ..Triplet::default() };
        loss::triplet_margin_with_distance_loss(&anchor, &positive, &negative, |a, b| a.pairwise_distance(b, 2.0, 1e-6, false), options)
    };
    "nn.functional.gaussian_nll_loss"(input: Tensor, target: Tensor, var: Tensor, full: bool = false, eps: f64 = 1e-6, reduction: String = "mean".into())
        loss::gaussian_nll_loss(&input, &target, &var, full, eps, reduction.parse()?);
    "nn.functional.gaussian_nll_loss"(input: Tensor, target: Tensor, var: f64, full: bool = false, eps: f64 = 1e-6, reduction: String = "mean".into()) {
        if var < 0.0 {
            return Err(Error::argument("gaussian_nll_loss", format!("the variance {var} is negative")));
        }
        loss::gaussian_nll_loss(&input, &target, &input.full_like(var)?, full, eps, reduction.parse()?)
    };
    "nn.functional.poisson_nll_loss"(input: Tensor, target: Tensor, log_input: bool = true, full: bool = false, size_average: Option<bool>, eps: f64 = 1e-8,
        reduce: Option<bool>, reduction: String = "mean".into()) {
        let reduction = self::reduction(size_average, reduce, &reduction)?;
        loss::poisson_nll_loss(&input, &target, Poisson { log_input, full, eps, reduction })
    };
    "nn.functional.ctc_loss"(log_probs: Tensor, targets: Tensor, input_lengths: Value, target_lengths: Value, blank: usize = 0,
        reduction: String = "mean".into(), zero_infinity: bool = false) {
        let (inputs, goals) = (lengths("ctc_loss", &input_lengths)?, lengths("ctc_loss", &target_lengths)?);
        loss::ctc_loss(&log_probs, &targets, &inputs, &goals, Ctc { blank, reduction: reduction.parse()?, zero_infinity })
    };
    "nn.functional.linear_cross_entropy"(input: Tensor, linear_weight: Tensor, target: Tensor, linear_bias: Option<Tensor>, weight: Option<Tensor>,
        ignore_index: Option<i64>, reduction: String = "mean".into(), label_smoothing: f64 = 0.0, options: Option<Value>) {
        let _ = options;
        if ignore_index.is_some() && target.dtype().is_float() {
            return Err(Error::argument("linear_cross_entropy", "ignore_index is for classes, the target holds probabilities"));
        }
        let options = CrossEntropy { ignore_index: ignore_index.unwrap_or(-100), label_smoothing, reduction: reduction.parse()? };
        loss::linear_cross_entropy(&input, &linear_weight, &target, linear_bias.as_ref(), weight.as_ref(), options)
    };
}
