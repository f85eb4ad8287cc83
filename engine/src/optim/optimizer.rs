//! The optimizer every algorithm shares: parameter groups, steps, state dicts.

use std::collections::HashSet;

use serde_json::Value;

use super::rule::Rule;
use super::settings::Options;
use super::slab::Slab;
use super::state::{GroupState, OptimizerState};
use crate::autograd::{enable_grad, no_grad};
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

    /// The hyperparameters of one group, under PyTorch's names: `optimizer.param_groups[group]`.
    ///
    /// # Errors
    /// There is no such group.
    fn options(&self, group: usize) -> Result<Options>;

    /// Changes hyperparameters of one group; those that are not mentioned stay. They are run-time parameters of the
    /// plan, as far as they are numbers.
    ///
    /// # Errors
    /// No such group; a name the algorithm does not have; a value of another type or out of range. Nothing is changed
    /// then.
    fn set_options(&mut self, group: usize, options: &Options) -> Result<()>;

    /// Changes one hyperparameter of one group.
    ///
    /// # Errors
    /// As [`set_options`](Self::set_options).
    fn set_option(&mut self, group: usize, name: &str, value: Value) -> Result<()> {
        self.set_options(group, &Options::from([(name.to_string(), value)]))
    }

    /// The parameters of all groups, in order.
    fn params(&self) -> Vec<Tensor>;

    /// Computes the loss and its gradients by `closure`, then steps; returns the loss. Algorithms that evaluate the loss
    /// more than once a step ([`Lbfgs`](super::Lbfgs), [`Sam`](super::Sam)) need this form.
    ///
    /// The closure removes the gradients, computes the loss, calls `backward` and returns the loss.
    ///
    /// # Errors
    /// What the closure reports, or [`step`](Self::step).
    fn step_with(&mut self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let loss = enable_grad(closure)?;
        self.step()?;
        Ok(loss)
    }

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
        let mut optimizer = Optim { groups: Vec::new(), devices: Vec::new() };
        for (params, rule) in groups {
            optimizer.add(params.into_iter().map(Into::into).collect(), rule)?;
        }
        if optimizer.groups.iter().all(|g| g.params.is_empty()) {
            return Err(Error::argument(R::NAME, "there are no parameters to optimize"));
        }
        optimizer.devices.iter().try_for_each(Device::flush)?;
        Ok(optimizer)
    }

    /// One more group: PyTorch's `add_param_group`.
    ///
    /// # Errors
    /// As [`with_groups`](Self::with_groups); nothing is changed then.
    pub fn add_group<P: Into<Tensor>>(&mut self, params: impl IntoIterator<Item = P>, rule: R) -> Result<()> {
        self.add(params.into_iter().map(Into::into).collect(), rule)?;
        self.devices.iter().try_for_each(Device::flush)
    }

    fn add(&mut self, params: Vec<Tensor>, rule: R) -> Result<()> {
        rule.check()?;
        let mut seen: HashSet<u64> = self.groups.iter().flat_map(|g| &g.params).map(|p| p.0.id).collect();
        for (i, p) in params.iter().enumerate() {
            let wrong = |why: &str| Err(Error::argument(R::NAME, format!("parameter {i} of group {} {why}", self.groups.len())));
            if !seen.insert(p.0.id) {
                return wrong("is listed twice");
            }
            if !p.requires_grad() {
                return wrong("does not require a gradient");
            }
            if !p.is_leaf_requiring_grad() {
                return wrong("is not a leaf: it was computed from other tensors");
            }
            rule.accepts(p)?;
        }
        let slabs = no_grad(|| Slab::gather(&params, &rule))?;
        for p in &params {
            if !self.devices.contains(p.device()) {
                self.devices.push(p.device().clone());
            }
        }
        self.groups.push(Group { rule, params, slabs });
        Ok(())
    }

    /// The rule of a group, with its hyperparameters.
    pub fn rule(&self, group: usize) -> Option<&R> {
        self.groups.get(group).map(|g| &g.rule)
    }

    /// The slabs of all groups.
    pub(super) fn slabs(&mut self) -> impl Iterator<Item = &mut Slab> {
        self.groups.iter_mut().flat_map(|g| &mut g.slabs)
    }

    pub(super) fn flush(&self) -> Result<()> {
        self.devices.iter().try_for_each(Device::flush)
    }

    /// Tensors laid out as the slabs are, as one for each parameter, by its index among all.
    pub(super) fn split(&self, slabs: &[Tensor]) -> Result<Vec<(usize, Tensor)>> {
        let (mut out, mut first, mut whole) = (Vec::new(), 0, slabs.iter());
        for group in &self.groups {
            for (slab, value) in group.slabs.iter().zip(&mut whole) {
                for entry in slab.entries() {
                    out.push((first + entry.position(), entry.part(value)?));
                }
            }
            first += group.params.len();
        }
        Ok(out)
    }

    /// The other way round: what a state dict has under `name`, laid out as the slabs are; a parameter without it counts
    /// as it is.
    pub(super) fn join(&self, dict: &OptimizerState, name: &str) -> Result<Vec<Tensor>> {
        let (mut out, mut first) = (Vec::new(), 0);
        for group in &self.groups {
            let of = |position: usize| dict.state.get(&(first + position)).and_then(|s| s.get(name));
            for slab in &group.slabs {
                out.push(slab.laid_out(&of)?);
            }
            first += group.params.len();
        }
        Ok(out)
    }

    fn group(&self, group: usize) -> Result<&Group<R>> {
        let count = self.groups.len();
        self.groups.get(group).ok_or_else(|| Error::index(R::NAME, format!("group {group} of {count}")))
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
        self.groups.iter().try_for_each(|g| zero_grad(&g.params, set_to_none))
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

    fn options(&self, group: usize) -> Result<Options> {
        Ok(self.group(group)?.rule.options())
    }

    fn set_options(&mut self, group: usize, options: &Options) -> Result<()> {
        let rule = &self.group(group)?.rule;
        let known = rule.options();
        if let Some(name) = options.keys().find(|name| !known.contains_key(*name)) {
            return Err(Error::argument(R::NAME, format!("there is no option '{name}', only {:?}", known.keys().collect::<Vec<_>>())));
        }
        let new = rule.with_options(options)?;
        new.check()?;
        let Group { rule, slabs, .. } = &mut self.groups[group];
        no_grad(|| slabs.iter_mut().try_for_each(|slab| slab.adapt(rule, &new)))?;
        *rule = new;
        Ok(())
    }

    fn params(&self) -> Vec<Tensor> {
        self.groups.iter().flat_map(|g| g.params.clone()).collect()
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
            let rule = group.rule.with_options(&saved.options)?;
            rule.check()?;
            for (&index, param) in saved.params.iter().zip(&group.params) {
                let Some(state) = dict.state.get(&index) else { continue };
                for declared in rule.states(param.shape()) {
                    let expected = declared.shape.as_deref().unwrap_or(param.shape());
                    if let Some(value) = state.get(declared.name).filter(|v| v.shape() != expected) {
                        let name = declared.name;
                        return wrong(format!("{name} of parameter {index} is {:?}, here it is {expected:?}", value.shape()));
                    }
                }
            }
            rules.push(rule);
        }
        for ((group, saved), rule) in self.groups.iter_mut().zip(&dict.param_groups).zip(rules) {
            let states = |position: usize| saved.params.get(position).and_then(|i| dict.state.get(i));
            no_grad(|| group.slabs.iter_mut().try_for_each(|slab| slab.load(&rule, &states)))?;
            group.rule = rule;
        }
        self.devices.iter().try_for_each(Device::flush)
    }
}

/// Removes gradients, or sets those that exist to zero.
pub(super) fn zero_grad(params: &[Tensor], set_to_none: bool) -> Result<()> {
    for p in params {
        match p.grad() {
            Some(grad) if !set_to_none => p.set_grad(Some(&no_grad(|| grad.zeros_like())?))?,
            _ => p.zero_grad(),
        }
    }
    Ok(())
}
