//! Slabs: all parameters of a group in one tensor.
//!
//! ```text
//! value   | weight 0 ..... | bias 0 | weight 1 ........... | bias 1 |     parameters are views of it
//! grad    | same layout, packed from the gradients of one backward pass |
//! states  | same layout, one slab each: momentum, squared average, ..   |
//! ```
//!
//! Entries start at multiples of 256 bytes; what lies in the gaps means nothing. A step computes a new slab from the old one,
//! as values never change; the plan does it in place when nobody else holds the old one.
//!
//! A step works on *runs*: neighbouring entries that have a gradient and equally many steps behind them.
//! Usually that is everything, in one run; parameters without a gradient in a step split it.

use super::optimizer::Rule;
use super::state::ParamState;
use crate::autograd::Edge;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::pack;
use crate::shape::Layout;
use crate::tensor::{Tensor, Value};

#[derive(Debug)]
pub(super) struct Slab {
    members: Vec<Member>,
    total: usize,
    value: Tensor,
    states: Vec<Tensor>,
}

#[derive(Debug)]
struct Member {
    param: Tensor,
    /// In its group.
    position: usize,
    /// In elements.
    offset: usize,
    /// Updates so far.
    steps: u64,
}

/// A parameter with its states.
pub(super) struct Entry<'a> {
    slab: &'a Slab,
    member: &'a Member,
}

impl Slab {
    /// Moves parameters into slabs, one per device and element type, and more where a slab would pass the device's
    /// binding limit.
    pub fn gather(params: &[Tensor], states: usize) -> Result<Vec<Slab>> {
        let mut open: Vec<(Vec<Member>, usize)> = Vec::new();
        for (position, param) in params.iter().enumerate() {
            let (dtype, device) = (param.dtype(), param.device());
            let size = aligned(dtype, param.numel());
            let limit = device.adapter().limits.binding_bytes as usize / dtype.size();
            let fits = |(members, total): &&mut (Vec<Member>, usize)| {
                let first = &members[0].param;
                first.dtype() == dtype && first.device() == device && total.saturating_add(size) <= limit
            };
            let slab = match open.iter_mut().rfind(fits) {
                Some(slab) => slab,
                None => {
                    open.push((Vec::new(), 0));
                    open.last_mut().ok_or_else(|| Error::argument("optimizer", "no slab"))?
                }
            };
            slab.0.push(Member { param: param.clone(), position, offset: slab.1, steps: 0 });
            slab.1 += size;
        }
        open.into_iter().map(|(members, total)| Slab::new(members, total, states)).collect()
    }

    fn new(members: Vec<Member>, total: usize, states: usize) -> Result<Slab> {
        let value = pack_members(&members, total)?;
        let states = (0..states).map(|_| value.zeros_like()).collect::<Result<_>>()?;
        let slab = Slab { members, total, value, states };
        slab.point()?;
        Ok(slab)
    }

    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.members.iter().map(|member| Entry { slab: self, member })
    }

    /// One step of a rule on all members that have a gradient.
    pub fn step<R: Rule>(&mut self, rule: &R) -> Result<()> {
        let grads: Vec<Option<Tensor>> = self.members.iter().map(|m| m.param.grad()).collect();
        let runs = self.runs(&grads);
        if runs.is_empty() {
            return Ok(());
        }
        self.reclaim()?;
        let (mut value, mut states) = (self.value.clone(), self.states.clone());
        for run in &runs {
            let (first, last) = (run.start, run.end - 1);
            let start = self.members[first].offset;
            let len = self.end(last) - start;
            let offsets: Vec<usize> = self.members[run.clone()].iter().map(|m| m.offset - start).collect();
            let present: Vec<&Tensor> = grads[run.clone()].iter().flatten().collect();
            let grad = pack(&present, &offsets, len)?;
            view_as(&present, &offsets, &grad)?;
            let part = |t: &Tensor| if len == self.total { Ok(t.clone()) } else { t.narrow(0, start, len) };
            let mut new_states = self.states.iter().map(part).collect::<Result<Vec<_>>>()?;
            let new_value = rule.update(self.members[first].steps + 1, &part(&self.value)?, &grad, &mut new_states)?;
            let region = Layout::contiguous(&[self.total]).slice(0, start, len, 1);
            let put = |whole: &Tensor, part: Tensor| if len == self.total { Ok(part) } else { whole.assign_region(&region, &part) };
            value = put(&value, new_value)?;
            states = states.iter().zip(new_states).map(|(whole, part)| put(whole, part)).collect::<Result<_>>()?;
        }
        (self.value, self.states) = (value, states);
        self.point()?;
        runs.into_iter().flatten().for_each(|i| self.members[i].steps += 1);
        Ok(())
    }

    /// Neighbouring members with a gradient and the same number of steps.
    fn runs(&self, grads: &[Option<Tensor>]) -> Vec<std::ops::Range<usize>> {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        for i in (0..self.members.len()).filter(|&i| grads[i].is_some()) {
            match runs.last_mut() {
                Some(run) if run.end == i && self.members[run.start].steps == self.members[i].steps => run.end = i + 1,
                _ => runs.push(i..i + 1),
            }
        }
        runs
    }

    /// Where member `i` ends, its gap included.
    fn end(&self, i: usize) -> usize {
        self.members.get(i + 1).map_or(self.total, |next| next.offset)
    }

    /// Makes the parameters views of the slab.
    fn point(&self) -> Result<()> {
        let offsets: Vec<usize> = self.members.iter().map(|m| m.offset).collect();
        view_as(&self.members.iter().map(|m| &m.param).collect::<Vec<_>>(), &offsets, &self.value)
    }

    /// Takes parameters that were given another value (by loading, say) into the slab again.
    fn reclaim(&mut self) -> Result<()> {
        let slab = self.value.value()?;
        let mut foreign = false;
        for m in &self.members {
            let v = m.param.value()?;
            foreign |= v.node.id != slab.node.id || v.layout.offset != slab.layout.offset + m.offset || !v.layout.is_contiguous();
        }
        if foreign {
            self.value = pack_members(&self.members, self.total)?;
        }
        Ok(())
    }

    /// Puts saved states in place; `states` finds them by position in the group.
    pub fn load<'a, R: Rule>(&mut self, rule: &R, states: &dyn Fn(usize) -> Option<&'a ParamState>) -> Result<()> {
        let (dtype, device) = (self.value.dtype(), self.value.device().clone());
        let offsets: Vec<usize> = self.members.iter().map(|m| m.offset).collect();
        let mut loaded = Vec::new();
        for name in rule.states() {
            let parts = self.members.iter().map(|m| match states(m.position).and_then(|s| s.get(name)) {
                Some(t) => t.to(&device)?.to_dtype(dtype)?.contiguous(),
                None => Tensor::zeros(m.param.shape(), (dtype, &device)),
            });
            let parts = parts.collect::<Result<Vec<Tensor>>>()?;
            loaded.push(pack(&parts.iter().collect::<Vec<_>>(), &offsets, self.total)?);
        }
        let mut steps = Vec::new();
        for m in &self.members {
            steps.push(match states(m.position) {
                None => 0,
                Some(s) => s.get("step").map_or(Ok(1.0), |t| t.item::<f64>())? as u64,
            });
        }
        self.states = loaded;
        self.members.iter_mut().zip(steps).for_each(|(m, n)| m.steps = n);
        Ok(())
    }
}

impl Entry<'_> {
    pub fn position(&self) -> usize {
        self.member.position
    }

    /// The states by name; none before the first update.
    pub fn state<R: Rule>(&self, rule: &R) -> Result<Option<ParamState>> {
        let Member { param, offset, steps, .. } = self.member;
        let names = rule.states();
        if *steps == 0 || (names.is_empty() && !rule.counts_steps()) {
            return Ok(None);
        }
        let mut state = ParamState::new();
        if rule.counts_steps() {
            state.insert("step".into(), Tensor::full([], *steps as f64, &crate::Device::cpu())?);
        }
        for (name, slab) in names.into_iter().zip(&self.slab.states) {
            let shape: Vec<isize> = param.shape().iter().map(|&d| d as isize).collect();
            state.insert(name.into(), slab.narrow(0, *offset, param.numel())?.reshape(&shape)?);
        }
        Ok(Some(state))
    }
}

/// Makes tensors views of a slab that has their values: nobody wants the values elsewhere any more, so that gradients
/// are written straight into their slab.
fn view_as(tensors: &[&Tensor], offsets: &[usize], slab: &Tensor) -> Result<()> {
    let Value { node, layout } = slab.value()?;
    for (t, offset) in tensors.iter().zip(offsets) {
        let view = Layout { offset: layout.offset + offset, ..Layout::contiguous(t.shape()) };
        t.set_value(Value { node: node.clone(), layout: view });
    }
    Ok(())
}

/// One tensor of all members' values, each at its offset.
fn pack_members(members: &[Member], total: usize) -> Result<Tensor> {
    let offsets: Vec<usize> = members.iter().map(|m| m.offset).collect();
    let parts = members.iter().map(|m| Tensor::from_value(m.param.value()?, Edge::None).contiguous()).collect::<Result<Vec<_>>>()?;
    pack(&parts.iter().collect::<Vec<_>>(), &offsets, total)
}

/// Elements an entry takes: up to the next multiple of 256 bytes, and at least that.
fn aligned(dtype: DType, numel: usize) -> usize {
    let step = 256 / dtype.size();
    numel.div_ceil(step).max(1).saturating_mul(step)
}
