//! Classifiers over so many classes that their scores are not computed all at once.

use crate::Module;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::loss::{self, CrossEntropy, Reduction};
use crate::tensor::{Tensor, TensorOptions};

use super::{Buffer, Linear, Param, init};

/// A linear layer and the cross-entropy of its result, a few rows at a time; see [`linear_cross_entropy`](loss::linear_cross_entropy).
#[derive(Module, Debug)]
pub struct LinearCrossEntropyLoss {
    /// `[C]`: weighs the classes.
    pub weight: Option<Buffer>,
    pub linear: Projection,
    ignore_index: Option<i64>,
    label_smoothing: f64,
    reduction: Reduction,
}

/// The parameters of a [`LinearCrossEntropyLoss`]: weight `[C, outputs.., in]`, bias `[C, outputs..]`.
#[derive(Module, Debug)]
pub struct Projection {
    pub weight: Param,
    pub bias: Option<Param>,
}

impl LinearCrossEntropyLoss {
    /// From rows of `in_features` to `classes`, at each of the places `outputs` (usually none), without a bias.
    ///
    /// # Errors
    /// The device lacks the type or the memory.
    pub fn new(in_features: usize, classes: usize, outputs: &[usize], options: impl Into<TensorOptions>) -> Result<Self> {
        let shape: Vec<usize> = [classes].iter().chain(outputs).chain(&[in_features]).copied().collect();
        let bound = 1.0 / (in_features.max(1) as f64).sqrt();
        let linear = Projection { weight: Param::new(&init::uniform(&shape, -bound, bound, options)?)?, bias: None };
        Ok(LinearCrossEntropyLoss { weight: None, linear, ignore_index: None, label_smoothing: 0.0, reduction: Reduction::Mean })
    }

    /// The same with a bias.
    ///
    /// # Errors
    /// The device lacks the memory.
    pub fn bias(mut self) -> Result<Self> {
        let w = &self.linear.weight;
        let (shape, bound) = (&w.shape()[..w.rank() - 1], 1.0 / (w.shape()[w.rank() - 1].max(1) as f64).sqrt());
        self.linear.bias = Some(Param::new(&init::uniform(shape, -bound, bound, (w.dtype(), w.device()))?)?);
        Ok(self)
    }

    /// Weighs the classes by a tensor `[C]`.
    ///
    /// # Errors
    /// Another shape.
    pub fn weight(mut self, weight: &Tensor) -> Result<Self> {
        let classes = &self.linear.weight.shape()[..1];
        if weight.shape() != classes {
            let why = format!("a weight of {:?} does not fit {} classes", weight.shape(), classes[0]);
            return Err(Error::argument("LinearCrossEntropyLoss", why));
        }
        self.weight = Some(Buffer::new(weight.clone()));
        Ok(self)
    }

    /// Targets of this class do not count.
    pub fn ignore_index(mut self, class: i64) -> Self {
        self.ignore_index = Some(class);
        self
    }

    /// Spreads this share of the target evenly over all classes.
    ///
    /// # Errors
    /// A share outside 0 to 1.
    pub fn label_smoothing(mut self, share: f64) -> Result<Self> {
        if !(0.0..=1.0).contains(&share) {
            let why = format!("label smoothing must lie between 0 and 1, but is {share}");
            return Err(Error::argument("LinearCrossEntropyLoss", why));
        }
        self.label_smoothing = share;
        Ok(self)
    }

    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.reduction = reduction;
        self
    }

    /// # Errors
    /// Shapes that do not fit; a class out of range.
    #[track_caller]
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        let CrossEntropy { ignore_index, .. } = CrossEntropy::default();
        let options = CrossEntropy {
            ignore_index: self.ignore_index.unwrap_or(ignore_index),
            label_smoothing: self.label_smoothing,
            reduction: self.reduction,
        };
        let Projection { weight, bias } = &self.linear;
        loss::linear_cross_entropy(input, weight, target, bias.as_deref(), self.weight.as_deref(), options)
    }
}

/// Frequent classes scored by a small head, rare ones by clusters that only their own rows pass (Grave et al., "Efficient softmax
/// approximation for GPUs").
///
/// Classes are ordered by how frequent they are: those below the first cutoff are the head's, each following range is a cluster, which
/// sees the input through a projection `div_value` times narrower than the last. The target's values decide which rows a cluster gets, so
/// [`forward`](Self::forward) reads them back.
#[derive(Module, Debug)]
pub struct AdaptiveLogSoftmaxWithLoss {
    pub head: Linear,
    pub tail: Vec<Cluster>,
    /// The ends of the ranges; the last one is the number of classes.
    #[module(skip)]
    cutoffs: Vec<usize>,
}

/// A range of rare classes: `[hidden, in]`, then `[classes, hidden]`.
#[derive(Module, Debug)]
pub struct Cluster(pub Linear, pub Linear);

impl Cluster {
    fn log_probabilities(&self, x: &Tensor) -> Result<Tensor> {
        self.1.forward(&self.0.forward(x)?)?.log_softmax(-1)
    }
}

impl AdaptiveLogSoftmaxWithLoss {
    /// `classes` from rows of `in_features`, in the ranges between `cutoffs`; PyTorch's `div_value` is 4 and its head has no bias.
    ///
    /// # Errors
    /// Cutoffs that do not grow from 1 to below `classes`; the device lacks the type or the memory.
    pub fn new(
        in_features: usize,
        classes: usize,
        cutoffs: &[usize],
        div_value: f64,
        head_bias: bool,
        options: impl Into<TensorOptions>,
    ) -> Result<Self> {
        let rising = cutoffs.windows(2).all(|w| w[0] < w[1]);
        let (Some(&first), Some(&last)) = (cutoffs.first(), cutoffs.last()) else {
            return Err(Error::argument("AdaptiveLogSoftmaxWithLoss", "needs at least one cutoff"));
        };
        if !rising || first == 0 || last >= classes {
            let why = format!("cutoffs should grow from 1 to {}, they are {cutoffs:?}", classes.saturating_sub(1));
            return Err(Error::argument("AdaptiveLogSoftmaxWithLoss", why));
        }
        let options = options.into();
        let outputs = first + cutoffs.len();
        let linear = |i, o, bias| if bias { Linear::new(i, o, options.clone()) } else { Linear::no_bias(i, o, options.clone()) };
        let ends: Vec<usize> = cutoffs.iter().copied().chain([classes]).collect();
        let cluster = |(i, w): (usize, &[usize])| {
            let hidden = (in_features as f64 / div_value.powi(i as i32 + 1)).floor() as usize;
            Ok(Cluster(linear(in_features, hidden, false)?, linear(hidden, w[1] - w[0], false)?))
        };
        let tail = ends.windows(2).enumerate().map(cluster).collect::<Result<Vec<_>>>()?;
        Ok(AdaptiveLogSoftmaxWithLoss { head: linear(in_features, outputs, head_bias)?, tail, cutoffs: ends })
    }

    /// Each row's log-probability of its class, and the mean loss: input `[N, in]` and classes `[N]`, or `[in]` and `[]`.
    ///
    /// # Errors
    /// Shapes that do not fit; a class out of range.
    #[track_caller]
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        let op = "AdaptiveLogSoftmaxWithLoss";
        if !(1..=2).contains(&input.rank()) || target.shape() != &input.shape()[..input.rank() - 1] || !target.dtype().is_int() {
            let why = format!("expects [N, in] and classes [N], not {:?} and {:?} {}", input.shape(), target.shape(), target.dtype());
            return Err(Error::argument(op, why));
        }
        if input.rank() == 1 {
            let (rows, loss) = self.forward(&input.unsqueeze(0)?, &target.unsqueeze(0)?)?;
            return Ok((rows.squeeze(0)?, loss));
        }
        let head = self.head.forward(input)?.log_softmax(-1)?;
        let (first, classes) = (self.cutoffs[0], self.cutoffs[self.tail.len()]);
        let targets = target.to_dtype(DType::I64)?.to_vec::<i64>()?;
        // For each cluster the rows whose class it has.
        let mut rows: Vec<Vec<i64>> = vec![Vec::new(); self.tail.len()];
        let mut column = Vec::with_capacity(targets.len());
        for (row, &t) in targets.iter().enumerate() {
            let class = usize::try_from(t).ok().filter(|&t| t < classes);
            let class = class.ok_or_else(|| Error::index(op, format!("target {t} at position {row} is outside the {classes} classes")))?;
            let range = self.cutoffs.iter().take_while(|&&end| end <= class).count();
            match range.checked_sub(1) {
                Some(cluster) => {
                    rows[cluster].push(row as i64);
                    column.push((first + cluster) as i64);
                }
                None => column.push(t),
            }
        }
        let indices = |v: Vec<i64>| {
            let n = v.len();
            Tensor::from_vec(v, [n], input.device())
        };
        let mut output = head.gather(1, &indices(column)?.unsqueeze(1)?)?.squeeze(1)?;
        for (i, rows) in rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
            let relative: Vec<i64> = rows.iter().map(|&r| targets[r as usize] - self.cutoffs[i] as i64).collect();
            let rows = indices(rows)?;
            let own = self.tail[i].log_probabilities(&input.index_select(0, &rows)?)?;
            let own = own.gather(1, &indices(relative)?.unsqueeze(1)?)?.squeeze(1)?;
            output = output.index_add(0, &rows, &own)?;
        }
        let loss = output.mean_all()?.neg()?;
        Ok((output, loss))
    }

    /// `[N, classes]`: the log-probabilities of all classes.
    ///
    /// # Errors
    /// An input of another width.
    #[track_caller]
    pub fn log_prob(&self, input: &Tensor) -> Result<Tensor> {
        let head = self.head.forward(input)?.log_softmax(-1)?;
        let mut parts = vec![head.narrow(-1, 0, self.cutoffs[0])?];
        for (i, cluster) in self.tail.iter().enumerate() {
            parts.push(cluster.log_probabilities(input)?.add(&head.narrow(-1, self.cutoffs[0] + i, 1)?)?);
        }
        Tensor::cat(&parts, -1)
    }

    /// `[N]`: the likeliest class of each row.
    ///
    /// # Errors
    /// An input of another width.
    #[track_caller]
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        self.log_prob(input)?.argmax(Some(-1), false)
    }
}
