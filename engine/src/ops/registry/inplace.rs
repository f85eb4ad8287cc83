//! Methods that change their tensor; they return it.

use super::convert::FromValue;
use super::operators;
use crate::tensor::{Operand, Tensor};

operators! {
    "add_"(input: Tensor, other: Operand) input.add_(other).cloned();
}
