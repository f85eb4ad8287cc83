//! Loss functions as structs with their options; the functions themselves are in [`crate::loss`].

use crate::Module;
use crate::error::Result;
use crate::loss::{self, CrossEntropy, Reduction};
use crate::tensor::Tensor;

use super::Buffer;

/// Cross-entropy between logits `[N, C, ..]` and classes `[N, ..]` or probabilities of the logits' shape.
#[derive(Module, Debug, Clone, Default)]
pub struct CrossEntropyLoss {
    weight: Option<Buffer>,
    options: CrossEntropy,
}

impl CrossEntropyLoss {
    pub fn new() -> CrossEntropyLoss {
        CrossEntropyLoss::default()
    }

    /// Weighs the classes by a tensor `[C]`.
    pub fn weight(mut self, weight: &Tensor) -> CrossEntropyLoss {
        self.weight = Some(Buffer::new(weight.clone()));
        self
    }

    /// Targets of this class do not count.
    pub fn ignore_index(mut self, class: i64) -> CrossEntropyLoss {
        self.options.ignore_index = class;
        self
    }

    /// Spreads this share of the target evenly over all classes.
    pub fn label_smoothing(mut self, share: f64) -> CrossEntropyLoss {
        self.options.label_smoothing = share;
        self
    }

    pub fn reduction(mut self, reduction: Reduction) -> CrossEntropyLoss {
        self.options.reduction = reduction;
        self
    }

    /// # Errors
    /// Shapes that do not fit; a class out of range.
    pub fn forward(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        loss::cross_entropy_with(logits, target, self.weight.as_deref(), self.options)
    }
}

/// Squared differences.
#[derive(Module, Debug, Clone, Copy, Default)]
pub struct MSELoss {
    reduction: Reduction,
}

impl MSELoss {
    pub fn new() -> MSELoss {
        MSELoss::default()
    }

    pub fn reduction(mut self, reduction: Reduction) -> MSELoss {
        self.reduction = reduction;
        self
    }

    /// # Errors
    /// Shapes that differ.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        loss::mse_loss(input, target, self.reduction)
    }
}
