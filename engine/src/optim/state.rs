//! An optimizer's state as data.

use std::collections::BTreeMap;

use super::settings::Options;
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
    pub options: Options,
}
