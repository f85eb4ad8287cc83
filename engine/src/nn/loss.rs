//! Loss functions as structs with their options; the functions are in [`crate::loss`].

use crate::Module;
use crate::error::Result;
use crate::loss::{self, Reduction};
use crate::tensor::Tensor;

/// Cross-entropy between logits `[N, C, ..]` and classes `[N, ..]`, or probabilities of the logits' shape.
#[derive(Module, Debug, Clone, Default)]
pub struct CrossEntropyLoss {
    weight: Option<super::Buffer>,
    #[module(skip)]
    options: loss::CrossEntropy,
}
