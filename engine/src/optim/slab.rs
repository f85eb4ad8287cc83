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
//!
//! Gradients that already lie side by side in one tensor, as clipping leaves them, are taken where they are.
//! Algorithms that look at whole parameters ([`Rule::EACH`]) have a slab for each.

use super::rule::{Rule, Run, State};
use super::segments::Segments;
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
    segments: Segments,
    /// One parameter, in its own shape: see [`Rule::EACH`].
    each: bool,
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
    /// The rule's numbers.
    scalars: Vec<f64>,
}

/// A parameter with its states.
pub(super) struct Entry<'a> {
    slab: &'a Slab,
    member: &'a Member,
}

impl Slab {
    /// Moves parameters into slabs, one per device and element type, and more where a slab would pass the device's
    /// binding limit.
    pub fn gather<R: Rule>(params: &[Tensor], rule: &R) -> Result<Vec<Slab>> {
        let mut open: Vec<(Vec<Member>, usize)> = Vec::new();
        let scalars: Vec<f64> = rule.scalars().iter().map(|s| s.1).collect();
        for (position, param) in params.iter().enumerate() {
            let (dtype, device) = (param.dtype(), param.device());
            let size = if R::EACH { param.numel() } else { aligned(dtype, param.numel()) };
            let limit = device.adapter().limits.binding_bytes as usize / dtype.size();
            let fits = |(members, total): &&mut (Vec<Member>, usize)| {
                let first = &members[0].param;
                !R::EACH && first.dtype() == dtype && first.device() == device && total.saturating_add(size) <= limit
            };
            let slab = match open.iter_mut().rfind(fits) {
                Some(slab) => slab,
                None => {
                    open.push((Vec::new(), 0));
                    open.last_mut().ok_or_else(|| Error::argument("optimizer", "no slab"))?
                }
            };
            slab.0.push(Member { param: param.clone(), position, offset: slab.1, steps: 0, scalars: scalars.clone() });
            slab.1 += size;
        }
        open.into_iter().map(|(members, total)| Slab::new(members, total, rule)).collect()
    }

    fn new<R: Rule>(members: Vec<Member>, total: usize, rule: &R) -> Result<Slab> {
        let value = pack_members(&members, total)?;
        let places = members.iter().map(|m| (m.offset, m.param.numel())).collect();
        let segments = Segments::new(value.dtype(), value.device().clone(), places, total);
        let mut slab = Slab { members, total, value, states: Vec::new(), segments, each: R::EACH };
        slab.states = slab.declared(rule).iter().map(|s| slab.fresh(s)).collect::<Result<_>>()?;
        slab.point()?;
        Ok(slab)
    }

    fn declared<R: Rule>(&self, rule: &R) -> Vec<State> {
        rule.states(self.members[0].param.shape())
    }

    /// A state nobody has updated yet.
    fn fresh(&self, state: &State) -> Result<Tensor> {
        let like = (self.value.dtype(), self.value.device());
        match &state.shape {
            Some(shape) => Tensor::full(shape, state.start, like),
            None if self.each => Tensor::full(self.members[0].param.shape(), state.start, like),
            None => Tensor::full([self.total], state.start, like),
        }
    }

    /// Goes over from one rule's states to another's; those of the same name stay.
    pub fn adapt<R: Rule>(&mut self, old: &R, new: &R) -> Result<()> {
        let (before, after) = (self.declared(old), self.declared(new));
        let keep = |s: &State| match before.iter().position(|b| b.name == s.name) {
            Some(i) => Ok(self.states[i].clone()),
            None => self.fresh(s),
        };
        self.states = after.iter().map(keep).collect::<Result<_>>()?;
        Ok(())
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
        let mut scalars = Vec::new();
        for members in &runs {
            let (first, last) = (members.start, members.end - 1);
            let start = self.members[first].offset;
            let len = self.end(last) - start;
            let present: Vec<&Tensor> = grads[members.clone()].iter().flatten().collect();
            let mut numbers = self.members[first].scalars.clone();
            let mut run =
                Run { step: self.members[first].steps + 1, scalars: &mut numbers, segments: &self.segments, members: members.clone() };
            if self.each {
                let shape: Vec<isize> = self.members[first].param.shape().iter().map(|&d| d as isize).collect();
                let new = updated(rule, &mut run, &self.value.reshape(&shape)?, present[0], &mut states)?;
                value = new.reshape([-1])?.contiguous()?;
            } else {
                let offsets: Vec<usize> = self.members[members.clone()].iter().map(|m| m.offset - start).collect();
                let grad = gather_gradients(&present, &offsets, len)?;
                let part = |t: &Tensor| if len == self.total { Ok(t.clone()) } else { t.narrow(0, start, len) };
                let mut new_states = self.states.iter().map(part).collect::<Result<Vec<_>>>()?;
                let new_value = updated(rule, &mut run, &part(&self.value)?, &grad, &mut new_states)?;
                let region = Layout::contiguous(&[self.total]).slice(0, start, len, 1);
                let put = |whole: &Tensor, part: Tensor| if len == self.total { Ok(part) } else { whole.assign_region(&region, &part) };
                value = put(&value, new_value)?;
                states = states.iter().zip(new_states).map(|(whole, part)| put(whole, part)).collect::<Result<_>>()?;
            }
            scalars.push(numbers);
        }
        // Operators carry errors: none may end up in a parameter.
        value.value()?;
        states.iter().try_for_each(|s| s.value().map(drop))?;
        (self.value, self.states) = (value, states);
        self.point()?;
        for (members, numbers) in runs.into_iter().zip(scalars) {
            for m in &mut self.members[members] {
                m.steps += 1;
                m.scalars.clone_from(&numbers);
            }
        }
        Ok(())
    }

    /// Neighbouring members with a gradient and the same number of steps.
    fn runs(&self, grads: &[Option<Tensor>]) -> Vec<std::ops::Range<usize>> {
        let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
        let alike = |a: &Member, b: &Member| a.steps == b.steps && a.scalars == b.scalars;
        for i in (0..self.members.len()).filter(|&i| grads[i].is_some()) {
            match runs.last_mut() {
                Some(run) if run.end == i && alike(&self.members[run.start], &self.members[i]) => run.end = i + 1,
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

    /// All parameters of the slab as one tensor, gaps included, for work that treats every element alike.
    pub fn whole(&mut self) -> Result<Tensor> {
        self.reclaim()?;
        Ok(self.value.clone())
    }

    /// The gradients in the layout of [`whole`](Self::whole), zero where there is none and in the gaps.
    pub fn gradient(&self) -> Result<Tensor> {
        let grads = self.members.iter().map(|m| m.param.grad().map_or_else(|| m.param.zeros_like(), Ok)).collect::<Result<Vec<_>>>()?;
        if self.each {
            return grads[0].reshape([-1]);
        }
        let offsets: Vec<usize> = self.members.iter().map(|m| m.offset).collect();
        self.segments.clean(&gather_gradients(&grads.iter().collect::<Vec<_>>(), &offsets, self.total)?)
    }

    /// Tensors by position in the group, in the layout of [`whole`](Self::whole); a parameter stands for what is missing.
    pub fn laid_out<'a>(&self, of: &dyn Fn(usize) -> Option<&'a Tensor>) -> Result<Tensor> {
        let (dtype, device) = (self.value.dtype(), self.value.device());
        let mut parts = Vec::new();
        for m in &self.members {
            let part = of(m.position).unwrap_or(&m.param);
            if part.shape() != m.param.shape() {
                return Err(Error::argument("load_state_dict", format!("{:?} for a parameter of {:?}", part.shape(), m.param.shape())));
            }
            parts.push(part.detach()?.to(device)?.to_dtype(dtype)?.add(0.0)?);
        }
        let offsets: Vec<usize> = self.members.iter().map(|m| m.offset).collect();
        pack(&parts.iter().collect::<Vec<_>>(), &offsets, self.total)
    }

    /// Gives all parameters new values, in the layout of [`whole`](Self::whole).
    pub fn set_whole(&mut self, value: Tensor) -> Result<()> {
        value.value()?;
        self.value = value;
        self.point()
    }

    /// Puts saved states in place; `states` finds them by position in the group.
    pub fn load<'a, R: Rule>(&mut self, rule: &R, states: &dyn Fn(usize) -> Option<&'a ParamState>) -> Result<()> {
        // With the parameters where they will be, the next step is the plan of all steps.
        self.reclaim()?;
        self.point()?;
        let (dtype, device) = (self.value.dtype(), self.value.device().clone());
        let offsets: Vec<usize> = self.members.iter().map(|m| m.offset).collect();
        let mut loaded = Vec::new();
        for state in self.declared(rule) {
            let parts = self.members.iter().map(|m| match states(m.position).and_then(|s| s.get(state.name)) {
                Some(t) => t.to(&device)?.to_dtype(dtype)?.contiguous(),
                None => Tensor::full(state.shape.as_deref().unwrap_or(m.param.shape()), state.start, (dtype, &device)),
            });
            let parts = parts.collect::<Result<Vec<Tensor>>>()?;
            loaded.push(match parts.first() {
                Some(part) if self.each => part.clone(),
                _ => pack(&parts.iter().collect::<Vec<_>>(), &offsets, self.total)?,
            });
        }
        let mut numbers = Vec::new();
        for m in &self.members {
            let saved = states(m.position);
            let steps = match saved {
                None => 0,
                Some(s) => s.get("step").map_or(Ok(1.0), |t| t.item::<f64>())? as u64,
            };
            let scalar = |(name, start): (&str, f64)| saved.and_then(|s| s.get(name)).map_or(Ok(start), |t| t.item::<f64>());
            numbers.push((steps, rule.scalars().into_iter().map(scalar).collect::<Result<Vec<f64>>>()?));
        }
        self.states = loaded;
        self.members.iter_mut().zip(numbers).for_each(|(m, (steps, scalars))| (m.steps, m.scalars) = (steps, scalars));
        Ok(())
    }
}

impl Entry<'_> {
    pub fn position(&self) -> usize {
        self.member.position
    }

    /// This parameter's part of a tensor laid out as the slab is.
    pub fn part(&self, whole: &Tensor) -> Result<Tensor> {
        let shape: Vec<isize> = self.member.param.shape().iter().map(|&d| d as isize).collect();
        whole.narrow(0, self.member.offset, self.member.param.numel())?.reshape(&shape)?.contiguous()
    }

    /// The states by name; none before the first update.
    pub fn state<R: Rule>(&self, rule: &R) -> Result<Option<ParamState>> {
        let Member { param, offset, steps, scalars, .. } = self.member;
        let declared = self.slab.declared(rule);
        if *steps == 0 || (declared.is_empty() && !rule.counts_steps()) {
            return Ok(None);
        }
        let mut state = ParamState::new();
        let cpu = crate::Device::cpu();
        if rule.counts_steps() {
            state.insert("step".into(), Tensor::full([], *steps as f64, &cpu)?);
        }
        for ((name, _), value) in rule.scalars().into_iter().zip(scalars) {
            // In f64, so that who continues from here continues exactly.
            state.insert(name.into(), Tensor::full([], *value, (DType::F64, &cpu))?);
        }
        for (declared, slab) in declared.into_iter().zip(&self.slab.states) {
            let shape: Vec<isize> = param.shape().iter().map(|&d| d as isize).collect();
            let own = if self.slab.each { slab.clone() } else { slab.narrow(0, *offset, param.numel())?.reshape(&shape)? };
            state.insert(declared.name.into(), Tensor::from_value(own.value()?, Edge::None));
        }
        Ok(Some(state))
    }
}

/// One update, of 16-bit parameters in f32 and rounded once: an `eps` of 1e-8 is 0 in f16, and so is the square of a small gradient.
fn updated<R: Rule>(rule: &R, run: &mut Run<'_>, param: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor> {
    let low = |t: &Tensor| matches!(t.dtype(), DType::F16 | DType::BF16);
    if !low(param) {
        return rule.update(run, param, grad, states);
    }
    let wide = |t: &Tensor| if low(t) { t.to_dtype(DType::F32) } else { Ok(t.clone()) };
    let types: Vec<DType> = states.iter().map(Tensor::dtype).collect();
    states.iter_mut().try_for_each(|s| wide(s).map(|w| *s = w))?;
    let new = rule.update(run, &wide(param)?, &wide(grad)?, states)?.to_dtype(param.dtype())?;
    states.iter_mut().zip(types).try_for_each(|(s, dtype)| s.to_dtype(dtype).map(|n| *s = n))?;
    Ok(new)
}

/// The gradients as one slab: where they are when they lie as the slab wants them, else packed, and from then on
/// views of it.
fn gather_gradients(grads: &[&Tensor], offsets: &[usize], len: usize) -> Result<Tensor> {
    if let Some(slab) = side_by_side(grads, offsets, len)? {
        return Ok(slab);
    }
    let slab = pack(grads, offsets, len)?;
    view_as(grads, offsets, &slab)?;
    Ok(slab)
}

/// The tensor of which `tensors` are views at these offsets, with whatever lies between them.
fn side_by_side(tensors: &[&Tensor], offsets: &[usize], len: usize) -> Result<Option<Tensor>> {
    let Some(first) = tensors.first() else { return Ok(None) };
    let Value { node, layout } = first.value()?;
    let Some(start) = layout.offset.checked_sub(offsets[0]) else { return Ok(None) };
    if tensors.len() < 2 || crate::shape::numel(&node.spec.shape) < start + len {
        return Ok(None);
    }
    for (t, offset) in tensors.iter().zip(offsets) {
        let v = t.value()?;
        if v.node.id != node.id || v.layout.offset != start + offset || !v.layout.is_contiguous() {
            return Ok(None);
        }
    }
    let layout = Layout { offset: start, ..Layout::contiguous(&[len]) };
    Ok(Some(Tensor::from_value(Value { node, layout }, Edge::None)))
}

/// Tensors of one device and element type as one slab: where they are when an optimizer laid them out, else a copy.
pub(super) fn side_by_side_or_packed(tensors: &[&Tensor]) -> Result<(Tensor, Vec<usize>)> {
    let (offsets, total) = layout(tensors);
    if let Some(slab) = side_by_side(tensors, &offsets, total)? {
        return Ok((slab, offsets));
    }
    let parts = tensors.iter().map(|t| Tensor::from_value(t.value()?, Edge::None).contiguous()).collect::<Result<Vec<_>>>()?;
    Ok((pack(&parts.iter().collect::<Vec<_>>(), &offsets, total)?, offsets))
}

/// Gradients of one device and element type as one slab, laid out as an optimizer lays out their parameters.
pub(super) struct Laid {
    pub slab: Tensor,
    offsets: Vec<usize>,
    segments: Segments,
}

impl Laid {
    pub fn out(tensors: &[&Tensor]) -> Result<Laid> {
        let (offsets, total) = layout(tensors);
        let slab = gather_gradients(tensors, &offsets, total)?;
        let places = offsets.iter().zip(tensors).map(|(&o, t)| (o, t.numel())).collect();
        let segments = Segments::new(slab.dtype(), slab.device().clone(), places, total);
        Ok(Laid { slab, offsets, segments })
    }

    /// The slab with zeros between the tensors.
    pub fn clean(&self) -> Result<Tensor> {
        self.segments.clean(&self.slab)
    }

    /// Gives the tensors new values, in the layout of the slab.
    pub fn set(&self, tensors: &[&Tensor], new: &Tensor) -> Result<()> {
        view_as(tensors, &self.offsets, new)
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

/// Where tensors of one element type lie in a slab of their own, and its length.
fn layout(tensors: &[&Tensor]) -> (Vec<usize>, usize) {
    let (mut offsets, mut total) = (Vec::new(), 0);
    for t in tensors {
        offsets.push(total);
        total += aligned(t.dtype(), t.numel());
    }
    (offsets, total)
}

/// Elements an entry takes: up to the next multiple of 256 bytes, and at least that.
fn aligned(dtype: DType, numel: usize) -> usize {
    let step = 256 / dtype.size();
    numel.div_ceil(step).max(1).saturating_mul(step)
}
