//! The optimizer every algorithm shares: parameter groups, steps, state dicts.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Debug;

use serde_json::Value;

use super::slab::Slab;
use super::state::{GroupState, OptimizerState};
use crate::autograd::no_grad;
use crate::device::Device;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// What every optimizer does.
pub trait Optimizer {
    /// Updates the parameters that have a gradient, and submits all the step's work as one plan per device.
    ///
    /// # Errors
    /// Out of memory: nothing was computed, everything is still pending, and [`Device::flush`] tries again.
    fn step(&mut self) -> Result<()>;

    /// Removes the gradients, or with `set_to_none` false sets those that exist to zero.
    ///
    /// # Errors
    /// Out of memory.
    fn zero_grad(&self, set_to_none: bool) -> Result<()>;

    /// The learning rate of the first group.
    fn lr(&self) -> f64 {
        self.lrs()[0]
    }

    /// Sets the learning rate of every group. It is a run-time parameter of the plan: changing it costs nothing.
    fn set_lr(&mut self, lr: f64);

    /// The learning rates of the groups.
    fn lrs(&self) -> Vec<f64>;

    /// Sets the learning rate of one group.
    ///
    /// # Errors
    /// There is no such group.
    fn set_group_lr(&mut self, group: usize, lr: f64) -> Result<()>;

    /// States by parameter index, and hyperparameters by group, as PyTorch lays them out.
    ///
    /// # Errors
    /// A state whose computation failed.
    fn state_dict(&self) -> Result<OptimizerState>;

    /// Continues from a state.
    ///
    /// # Errors
    /// Groups, parameters or shapes that differ; nothing is changed then.
    fn load_state_dict(&mut self, state: &OptimizerState) -> Result<()>;
}

/// An optimization algorithm: hyperparameters, and the update as tensor code over whole slabs.
pub trait Rule: Clone + Send + Sync + Debug {
    /// For errors: `Adam`.
    const NAME: &'static str;

    /// Refuses hyperparameters out of range.
    ///
    /// # Errors
    /// The first one that is, with its value.
    fn check(&self) -> Result<()>;

    fn lr(&self) -> f64;
    fn set_lr(&mut self, lr: f64);

    /// PyTorch's names of the states; they start at zero.
    fn states(&self) -> Vec<&'static str>;

    /// Whether the state dict counts steps: PyTorch's `step`.
    fn counts_steps(&self) -> bool {
        true
    }

    /// The new parameters; replaces the states. `step` counts from 1. Every element must depend on the same
    /// element of the operands only, and parameters may lie in any order.
    ///
    /// # Errors
    /// Whatever the tensor code reports.
    fn update(&self, step: u64, param: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor>;

    /// The hyperparameters under PyTorch's names.
    fn options(&self) -> BTreeMap<String, Value>;

    /// The rule with the hyperparameters of [`options`](Self::options).
    ///
    /// # Errors
    /// One is missing or has another type.
    fn with_options(&self, options: &BTreeMap<String, Value>) -> Result<Self>;
}

/// An optimizer that applies a [`Rule`].
#[derive(Debug)]
pub struct Optim<R: Rule> {
    groups: Vec<Group<R>>,
    /// The devices of the parameters.
    devices: Vec<Device>,
}

#[derive(Debug)]
struct Group<R> {
    rule: R,
    params: Vec<Tensor>,
    /// One per device, element type and binding limit.
    slabs: Vec<Slab>,
}

impl<R: Rule> Optim<R> {
    /// An optimizer of several groups of parameters with their own hyperparameters. Computes the parameters' initial
    /// values and allocates the states, so that the first step is like all others.
    ///
    /// # Errors
    /// No parameters; one that is listed twice, does not require a gradient or is not a leaf; hyperparameters out of
    /// range; out of memory.
    pub fn with_groups<P: Into<Tensor>>(groups: impl IntoIterator<Item = (impl IntoIterator<Item = P>, R)>) -> Result<Self> {
        let (mut seen, mut devices, mut out) = (HashSet::new(), Vec::new(), Vec::new());
        for (params, rule) in groups {
            rule.check()?;
            let params: Vec<Tensor> = params.into_iter().map(Into::into).collect();
            for (i, p) in params.iter().enumerate() {
                let wrong = |why: &str| Err(Error::argument(R::NAME, format!("parameter {i} of group {} {why}", out.len())));
                if !seen.insert(p.0.id) {
                    return wrong("is listed twice");
                }
                if !p.requires_grad() {
                    return wrong("does not require a gradient");
                }
                if !p.is_leaf_requiring_grad() {
                    return wrong("is not a leaf: it was computed from other tensors");
                }
                if !devices.contains(p.device()) {
                    devices.push(p.device().clone());
                }
            }
            let slabs = no_grad(|| Slab::gather(&params, rule.states().len()))?;
            out.push(Group { rule, params, slabs });
        }
        if out.iter().all(|g| g.params.is_empty()) {
            return Err(Error::argument(R::NAME, "there are no parameters to optimize"));
        }
        devices.iter().try_for_each(Device::flush)?;
        Ok(Optim { groups: out, devices })
    }

    /// The rule of a group, with its hyperparameters.
    pub fn rule(&self, group: usize) -> Option<&R> {
        self.groups.get(group).map(|g| &g.rule)
    }
}

impl<R: Rule> Optimizer for Optim<R> {
    fn step(&mut self) -> Result<()> {
        no_grad(|| {
            let slabs = self.groups.iter_mut().flat_map(|g| g.slabs.iter_mut().map(|s| (&g.rule, s)));
            slabs.into_iter().try_for_each(|(rule, slab)| slab.step(rule))
        })?;
        self.devices.iter().try_for_each(Device::flush)
    }

    fn zero_grad(&self, set_to_none: bool) -> Result<()> {
        for p in self.groups.iter().flat_map(|g| &g.params) {
            match p.grad() {
                Some(grad) if !set_to_none => p.set_grad(Some(&no_grad(|| grad.zeros_like())?))?,
                _ => p.zero_grad(),
            }
        }
        Ok(())
    }

    fn set_lr(&mut self, lr: f64) {
        self.groups.iter_mut().for_each(|g| g.rule.set_lr(lr));
    }

    fn lrs(&self) -> Vec<f64> {
        self.groups.iter().map(|g| g.rule.lr()).collect()
    }

    fn set_group_lr(&mut self, group: usize, lr: f64) -> Result<()> {
        let count = self.groups.len();
        let group = self.groups.get_mut(group).ok_or_else(|| Error::index(R::NAME, format!("group {group} of {count}")))?;
        group.rule.set_lr(lr);
        Ok(())
    }

    fn state_dict(&self) -> Result<OptimizerState> {
        let mut dict = OptimizerState::default();
        for group in &self.groups {
            let first = dict.param_groups.iter().map(|g| g.params.len()).sum::<usize>();
            for entry in group.slabs.iter().flat_map(|s| s.entries()) {
                if let Some(state) = entry.state(&group.rule)? {
                    dict.state.insert(first + entry.position(), state);
                }
            }
            let params = (first..first + group.params.len()).collect();
            dict.param_groups.push(GroupState { params, options: group.rule.options() });
        }
        Ok(dict)
    }

    fn load_state_dict(&mut self, dict: &OptimizerState) -> Result<()> {
        let wrong = |why: String| Err(Error::argument("load_state_dict", why));
        if dict.param_groups.len() != self.groups.len() {
            return wrong(format!("the state has {} parameter groups, the optimizer {}", dict.param_groups.len(), self.groups.len()));
        }
        let mut rules = Vec::new();
        for (i, (group, saved)) in self.groups.iter().zip(&dict.param_groups).enumerate() {
            if saved.params.len() != group.params.len() {
                return wrong(format!(
                    "group {i} has {} parameters in the state, {} in the optimizer",
                    saved.params.len(),
                    group.params.len()
                ));
            }
            for (&index, param) in saved.params.iter().zip(&group.params) {
                for (name, value) in dict.state.get(&index).into_iter().flatten() {
                    if name != "step" && value.shape() != param.shape() {
                        return wrong(format!("{name} of parameter {index} is {:?}, the parameter {:?}", value.shape(), param.shape()));
                    }
                }
            }
            rules.push(group.rule.with_options(&saved.options)?);
            rules[i].check()?;
        }
        for ((group, saved), rule) in self.groups.iter_mut().zip(&dict.param_groups).zip(rules) {
            let states = |position: usize| saved.params.get(position).and_then(|i| dict.state.get(i));
            no_grad(|| group.slabs.iter_mut().try_for_each(|slab| slab.load(&rule, &states)))?;
            group.rule = rule;
        }
        self.devices.iter().try_for_each(Device::flush)
    }
}
