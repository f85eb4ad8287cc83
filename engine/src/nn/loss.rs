//! Loss functions as structs with their options; the functions themselves are in [`crate::loss`].

use crate::Module;
use crate::error::{Error, Result};
use crate::loss::{self, CrossEntropy, Reduction};
use crate::tensor::Tensor;

use super::Buffer;

/// Cross-entropy between logits `[N, C, ..]` and classes `[N, ..]` or probabilities of the logits' shape.
#[derive(Module, Debug, Clone, Default)]
pub struct CrossEntropyLoss {
    weight: Option<Buffer>,
    options: CrossEntropy,
    /// What logits are divided by, unless it is 1.
    temperature: Option<f64>,
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

    /// Divides logits by a temperature first: above 1 the prediction counts as less sure of itself. PyTorch has no such option.
    pub fn temperature(mut self, temperature: f64) -> CrossEntropyLoss {
        self.temperature = Some(temperature);
        self
    }

    /// # Errors
    /// Shapes that do not fit; a class out of range; a temperature that is not positive.
    pub fn forward(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        let logits = match self.temperature {
            None => logits.clone(),
            Some(t) if t > 0.0 => logits.div(t)?,
            Some(t) => return Err(Error::argument("CrossEntropyLoss", format!("the temperature should be positive, but is {t}"))),
        };
        loss::cross_entropy_with(&logits, target, self.weight.as_deref(), self.options)
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
