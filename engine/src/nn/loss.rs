//! Loss functions as structs with their options; the functions themselves are in [`crate::loss`].

use crate::error::Result;
use crate::loss;
use crate::tensor::Tensor;

/// Cross-entropy between logits `[N, C, ..]` and classes `[N, ..]`, averaged.
#[derive(Debug, Clone, Copy, Default)]
pub struct CrossEntropyLoss;

impl CrossEntropyLoss {
    /// # Errors
    /// Shapes that do not fit; a class out of range.
    pub fn forward(&self, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
        loss::cross_entropy(logits, target)
    }
}

/// The mean of squared differences.
#[derive(Debug, Clone, Copy, Default)]
pub struct MSELoss;

impl MSELoss {
    /// # Errors
    /// Shapes that do not broadcast.
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        loss::mse_loss(input, target)
    }
}
