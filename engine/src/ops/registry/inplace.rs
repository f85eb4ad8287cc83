//! Methods that change their tensor; they return it.

use super::convert::{FromValue, Other};
use super::operators;
use crate::tensor::Tensor;

operators! {
    "clone"(input: Tensor) input.add(0);
    "add_"(input: Tensor, other: Other) input.add_(other).cloned();
}
