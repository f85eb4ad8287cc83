//! An optimizer's state as data.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The state of one parameter: `exp_avg`, `step`, ..
pub(super) type ParamState = BTreeMap<String, Tensor>;

/// What an optimizer needs to continue: PyTorch's `optimizer.state_dict()`.
#[derive(Debug, Clone, Default)]
pub struct OptimizerState {
    /// By parameter index; parameters that were never updated have none.
    pub state: BTreeMap<usize, BTreeMap<String, Tensor>>,
    pub param_groups: Vec<GroupState>,
}

/// One group of parameters in an [`OptimizerState`].
#[derive(Debug, Clone, Default)]
pub struct GroupState {
    /// Indices of the group's parameters.
    pub params: Vec<usize>,
    /// Hyperparameters by name.
    pub options: BTreeMap<String, Value>,
}

/// A number among the options.
pub(super) fn number(options: &BTreeMap<String, Value>, name: &str) -> Result<f64> {
    options.get(name).and_then(Value::as_f64).ok_or_else(|| missing(name, "number"))
}

/// A flag among the options; a missing one is `false`.
pub(super) fn flag(options: &BTreeMap<String, Value>, name: &str) -> Result<bool> {
    options.get(name).map_or(Ok(false), |v| v.as_bool().ok_or_else(|| missing(name, "bool")))
}

pub(super) fn missing(name: &str, kind: &str) -> Error {
    Error::argument("load_state_dict", format!("the options have no {kind} '{name}'"))
}
