//! One layer of a recurrent network in one direction, over rows: the tokens of all sequences, step by step.
//!
//! What the inputs contribute to all gates of all steps is one matrix product. A step is one product with the state before it and
//! elementwise work that fuses. The gradient walks back over the steps for the gates' gradients alone; the gradients of weights and
//! inputs are again one product each. Where a gradient of the gradient is wanted, the steps are differentiated one by one.
//!
//! Sequences may end at different steps, the longest come first: step `t` has `sizes[t]` rows, never more than the step before.

use smallvec::smallvec;

use crate::autograd::{self, Edge};
use crate::error::Result;
use crate::ops::Grads;
use crate::tensor::Tensor;

/// What happens in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Tanh,
    Relu,
    Lstm,
    Gru,
}

impl Kind {
    pub fn gates(self) -> usize {
        match self {
            Kind::Tanh | Kind::Relu => 1,
            Kind::Lstm => 4,
            Kind::Gru => 3,
        }
    }
}

/// The tensors of one direction of one layer. Weights are `[gates hidden, ..]`, biases `[gates hidden]`; gates are in PyTorch's order:
/// input, forget, cell, output; or reset, update, new.
#[derive(Debug, Clone)]
pub(super) struct Weights {
    pub kind: Kind,
    pub ih: Tensor,
    pub hh: Tensor,
    /// Of the inputs and of the state.
    pub biases: Option<(Tensor, Tensor)>,
    /// `[projected, hidden]`: what an LSTM shows of itself.
    pub hr: Option<Tensor>,
}

/// The state between two steps.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub h: Tensor,
    /// An LSTM's cells.
    pub c: Option<Tensor>,
}

impl State {
    fn rows(&self, start: usize, len: usize) -> Result<State> {
        let c = self.c.as_ref().map(|c| c.narrow(0, start, len)).transpose()?;
        Ok(State { h: self.h.narrow(0, start, len)?, c })
    }

    /// The same rows and more.
    fn joined(&self, more: &State) -> Result<State> {
        let c = match (&self.c, &more.c) {
            (Some(a), Some(b)) => Some(Tensor::cat(&[a, b], 0)?),
            _ => None,
        };
        Ok(State { h: Tensor::cat(&[&self.h, &more.h], 0)?, c })
    }

    pub fn len(&self) -> usize {
        self.h.shape()[0]
    }
}

/// What a step leaves for its gradient.
struct Trace {
    /// Of this step.
    t: usize,
    before: State,
    after: State,
    /// What the gates are functions of: all of it, or for a GRU the parts of input and state.
    gates: Tensor,
    state_gates: Option<Tensor>,
}

impl Weights {
    fn hidden(&self) -> usize {
        self.hh.shape()[0] / self.kind.gates()
    }

    /// The inputs' part of the gates of all rows.
    fn inputs(&self, x: &Tensor) -> Result<Tensor> {
        let bias = match (&self.biases, self.kind) {
            (Some((b, _)), Kind::Gru) => Some(b.clone()),
            (Some((b, c)), _) => Some(b.add(c)?),
            (None, _) => None,
        };
        x.linear(&self.ih, bias.as_ref())
    }

    /// A single step, as a cell takes it.
    pub fn step(&self, x: &Tensor, before: &State) -> Result<State> {
        Ok(self.advance(&self.inputs(x)?, before)?.0)
    }

    /// The next state, and what its gradient needs to know of the gates.
    fn advance(&self, inputs: &Tensor, before: &State) -> Result<(State, Tensor, Option<Tensor>)> {
        let n = self.hidden();
        let part = |t: &Tensor, i: usize| t.narrow(1, i * n, n);
        if self.kind == Kind::Gru {
            let own = before.h.linear(&self.hh, self.biases.as_ref().map(|b| &b.1))?;
            let [_, z, fresh] = self.gru(inputs, &own)?;
            let h = before.h.sub(&fresh)?.mul(&z)?.add(&fresh)?;
            return Ok((State { h, c: None }, inputs.clone(), Some(own)));
        }
        let gates = before.h.linear(&self.hh, None)?.add(inputs)?;
        let after = match (self.kind, &before.c) {
            (Kind::Lstm, Some(c)) => {
                let (i, f, o) = (part(&gates, 0)?.sigmoid()?, part(&gates, 1)?.sigmoid()?, part(&gates, 3)?.sigmoid()?);
                let c = f.mul(c)?.add(&i.mul(&part(&gates, 2)?.tanh()?)?)?;
                let h = o.mul(&c.tanh()?)?;
                let h = self.hr.as_ref().map_or(Ok(h.clone()), |w| h.linear(w, None))?;
                State { h, c: Some(c) }
            }
            (Kind::Relu, _) => State { h: gates.relu()?, c: None },
            _ => State { h: gates.tanh()?, c: None },
        };
        Ok((after, gates, None))
    }

    /// Reset, update and new of a GRU.
    fn gru(&self, inputs: &Tensor, own: &Tensor) -> Result<[Tensor; 3]> {
        let n = self.hidden();
        let part = |t: &Tensor, i: usize| t.narrow(1, i * n, n);
        let r = part(inputs, 0)?.add(&part(own, 0)?)?.sigmoid()?;
        let z = part(inputs, 1)?.add(&part(own, 1)?)?.sigmoid()?;
        let fresh = part(inputs, 2)?.add(&r.mul(&part(own, 2)?)?)?.tanh()?;
        Ok([r, z, fresh])
    }

    fn snapshot(&self) -> Result<Weights> {
        let biases = match &self.biases {
            Some((a, b)) => Some((a.snapshot()?, b.snapshot()?)),
            None => None,
        };
        let hr = self.hr.as_ref().map(Tensor::snapshot).transpose()?;
        Ok(Weights { kind: self.kind, ih: self.ih.snapshot()?, hh: self.hh.snapshot()?, biases, hr })
    }
}

/// One direction over all rows.
#[derive(Debug, Clone)]
struct Run {
    weights: Weights,
    x: Tensor,
    start: State,
    sizes: Vec<usize>,
    reverse: bool,
}

/// `[rows, shown]`: every step's result, and an LSTM's last cells `[batch, hidden]`.
pub(super) fn run(weights: Weights, x: &Tensor, start: State, sizes: &[usize], reverse: bool) -> Result<(Tensor, Option<Tensor>)> {
    let run = Run { weights, x: x.clone(), start, sizes: sizes.to_vec(), reverse };
    let (packed, traces) = autograd::no_grad(|| run.forward())?;
    // A tensor of its own: what the traces keep must not lead back to the gradient that keeps them.
    let packed = Tensor::from_value(packed.value()?, Edge::None);
    let saved = run.snapshot()?;
    autograd::record_with(&packed, "recurrent", &run.tensors(), move |dy, _| {
        if !autograd::is_enabled() {
            return saved.backward(&traces, dy);
        }
        autograd::derive_again(&saved.tensors(), dy, |tensors| Ok(saved.of(tensors).forward()?.0))
    });
    run.unpacked(&packed)
}

impl Run {
    fn tensors(&self) -> Vec<&Tensor> {
        let w = &self.weights;
        let mut all = vec![&self.x, &self.start.h];
        all.extend(&self.start.c);
        all.extend([&w.ih, &w.hh]);
        all.extend(w.biases.iter().flat_map(|(a, b)| [a, b]));
        all.extend(&w.hr);
        all
    }

    /// The same with other tensors, in the order of [`tensors`](Self::tensors).
    fn of(&self, tensors: &[Tensor]) -> Run {
        let mut new = tensors.iter().cloned();
        let mut put = |old: &mut Tensor| {
            if let Some(t) = new.next() {
                *old = t;
            }
        };
        let mut run = self.clone();
        put(&mut run.x);
        put(&mut run.start.h);
        run.start.c.iter_mut().for_each(&mut put);
        put(&mut run.weights.ih);
        put(&mut run.weights.hh);
        if let Some((a, b)) = &mut run.weights.biases {
            put(a);
            put(b);
        }
        run.weights.hr.iter_mut().for_each(&mut put);
        run
    }

    fn snapshot(&self) -> Result<Run> {
        let start = State { h: self.start.h.snapshot()?, c: self.start.c.as_ref().map(Tensor::snapshot).transpose()? };
        Ok(Run { weights: self.weights.snapshot()?, x: self.x.snapshot()?, start, sizes: self.sizes.clone(), reverse: self.reverse })
    }

    fn rows(&self) -> usize {
        self.sizes.iter().sum()
    }

    /// Where each step's rows start.
    fn starts(&self) -> Vec<usize> {
        self.sizes.iter().scan(0, |at, &n| Some(std::mem::replace(at, *at + n))).collect()
    }

    /// The steps in the order they are taken.
    fn order(&self) -> Vec<usize> {
        let n = self.sizes.len();
        if self.reverse { (0..n).rev().collect() } else { (0..n).collect() }
    }

    /// Results and last cells in one tensor, because a gradient belongs to one tensor; the results alone where there are no cells.
    fn forward(&self) -> Result<(Tensor, Vec<Trace>)> {
        let (inputs, starts) = (self.weights.inputs(&self.x)?, self.starts());
        let mut state = self.start.rows(0, self.sizes[self.order()[0]])?;
        // Cells of sequences that ended, the shortest first.
        let mut ended = Vec::new();
        let mut traces = Vec::with_capacity(self.sizes.len());
        for t in self.order() {
            let (had, n) = (state.len(), self.sizes[t]);
            if n < had {
                ended.extend(state.c.as_ref().map(|c| c.narrow(0, n, had - n)).transpose()?);
                state = state.rows(0, n)?;
            } else if n > had {
                state = state.joined(&self.start.rows(had, n - had)?)?;
            }
            let (after, gates, state_gates) = self.weights.advance(&inputs.narrow(0, starts[t], n)?, &state)?;
            traces.push(Trace { t, before: state, after: after.clone(), gates, state_gates });
            state = after;
        }
        let mut y: Vec<&Tensor> = traces.iter().map(|t| &t.after.h).collect();
        if self.reverse {
            y.reverse();
        }
        let y = Tensor::cat(&y, 0)?;
        let Some(c) = state.c else { return Ok((y, traces)) };
        ended.push(c);
        ended.reverse();
        let c = Tensor::cat(&ended, 0)?;
        let flat = |t: &Tensor| t.reshape([t.numel()]);
        Ok((Tensor::cat(&[flat(&y)?, flat(&c)?], 0)?, traces))
    }

    fn unpacked(&self, packed: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let Some(c) = &self.start.c else { return Ok((packed.clone(), None)) };
        let shown = self.start.h.shape()[1];
        let n = self.rows() * shown;
        let y = packed.narrow(0, 0, n)?.reshape([self.rows(), shown])?;
        Ok((y, Some(packed.narrow(0, n, c.numel())?.reshape(c.shape())?)))
    }

    fn backward(&self, traces: &[Trace], dy: &Tensor) -> Result<Grads> {
        let (w, starts) = (&self.weights, self.starts());
        let (dy, dc_last) = self.unpacked(dy)?;
        let steps = self.sizes.len();
        let (mut dgates, mut dstate_gates) = (vec![None; steps], vec![None; steps]);
        let mut shown = vec![None; steps];
        // What later steps say of the state, and what became of it where sequences begin.
        let mut carry: Option<State> = None;
        let mut begun: Vec<State> = Vec::new();
        for trace in traces.iter().rev() {
            let (t, n) = (trace.t, self.sizes[trace.t]);
            let dy = dy.narrow(0, starts[t], n)?;
            if let Some(c) = carry.take_if(|c| c.len() > n) {
                begun.push(c.rows(n, c.len() - n)?);
                carry = Some(c.rows(0, n)?);
            }
            // Sequences that end here start with the gradient of their last cells.
            let had = carry.as_ref().map_or(0, State::len);
            let ending = |dc: &Tensor| dc.narrow(0, had, n - had);
            let (dh, dc) = match &carry {
                None => (dy, dc_last.as_ref().map(ending).transpose()?),
                Some(later) if had == n => (dy.add(&later.h)?, later.c.clone()),
                Some(later) => {
                    let dh = Tensor::cat(&[dy.narrow(0, 0, had)?.add(&later.h)?, dy.narrow(0, had, n - had)?], 0)?;
                    let dc = match (&later.c, &dc_last) {
                        (Some(c), Some(last)) => Some(Tensor::cat(&[c.clone(), ending(last)?], 0)?),
                        _ => None,
                    };
                    (dh, dc)
                }
            };
            let back = w.back(trace, &dh, dc.as_ref())?;
            if w.hr.is_some() {
                shown[t] = Some(dh);
            }
            carry = Some(back.before);
            dstate_gates[t] = back.dstate_gates;
            dgates[t] = Some(back.dgates);
        }
        let joined = |parts: Vec<Option<Tensor>>| -> Result<Tensor> { Tensor::cat(&parts.into_iter().flatten().collect::<Vec<_>>(), 0) };
        let dgates = joined(dgates)?;
        let dstate_gates = if w.kind == Kind::Gru { joined(dstate_gates)? } else { dgates.clone() };
        let by_step = |of: &dyn Fn(&Trace) -> Result<Tensor>| -> Result<Tensor> {
            let mut parts = traces.iter().map(of).collect::<Result<Vec<_>>>()?;
            if self.reverse {
                parts.reverse();
            }
            Tensor::cat(&parts, 0)
        };
        let mut first = carry.unwrap_or_else(|| self.start.clone());
        for more in begun.iter().rev() {
            first = first.joined(more)?;
        }
        let mut grads: Grads = smallvec![Some(dgates.matmul(&w.ih)?), Some(first.h)];
        if self.start.c.is_some() {
            grads.push(first.c);
        }
        grads.push(Some(dgates.t()?.matmul(&self.x)?));
        grads.push(Some(dstate_gates.t()?.matmul(&by_step(&|t| Ok(t.before.h.clone()))?)?));
        if w.biases.is_some() {
            grads.push(Some(dgates.sum(0)?));
            grads.push(Some(dstate_gates.sum(0)?));
        }
        if w.hr.is_some() {
            let n = w.hidden();
            let hidden = by_step(&|t| match &t.after.c {
                Some(c) => t.gates.narrow(1, 3 * n, n)?.sigmoid()?.mul(&c.tanh()?),
                None => Ok(t.after.h.clone()),
            })?;
            grads.push(Some(joined(shown)?.t()?.matmul(&hidden)?));
        }
        Ok(grads)
    }
}

/// The gradients one step hands on.
struct Back {
    dgates: Tensor,
    /// Where they differ from those of the inputs' part.
    dstate_gates: Option<Tensor>,
    before: State,
}

impl Weights {
    /// From the gradients of a step's results to those of its gates and of the state before it.
    fn back(&self, trace: &Trace, dh: &Tensor, dc: Option<&Tensor>) -> Result<Back> {
        let n = self.hidden();
        let part = |i: usize| trace.gates.narrow(1, i * n, n);
        let flat = |y: &Tensor| y.neg()?.add(1.0)?.mul(y);
        let bend = |y: &Tensor| y.square()?.neg()?.add(1.0);
        match self.kind {
            Kind::Tanh | Kind::Relu => {
                let y = &trace.after.h;
                let dgates = if self.kind == Kind::Tanh { dh.mul(&bend(y)?)? } else { dh.masked_fill(&y.le(0)?, 0)? };
                Ok(Back { before: State { h: dgates.matmul(&self.hh)?, c: None }, dgates, dstate_gates: None })
            }
            Kind::Gru => {
                let own = trace.state_gates.as_ref().unwrap_or(&trace.gates);
                let [r, z, fresh] = self.gru(&trace.gates, own)?;
                let dfresh = dh.mul(&z.neg()?.add(1.0)?)?.mul(&bend(&fresh)?)?;
                let dz = dh.mul(&trace.before.h.sub(&fresh)?)?.mul(&flat(&z)?)?;
                let dr = dfresh.mul(&own.narrow(1, 2 * n, n)?)?.mul(&flat(&r)?)?;
                let dgates = Tensor::cat(&[&dr, &dz, &dfresh], 1)?;
                let dstate_gates = Tensor::cat(&[&dr, &dz, &dfresh.mul(&r)?], 1)?;
                let h = dstate_gates.matmul(&self.hh)?.add(&dh.mul(&z)?)?;
                Ok(Back { dgates, dstate_gates: Some(dstate_gates), before: State { h, c: None } })
            }
            Kind::Lstm => {
                let (Some(before), Some(after)) = (&trace.before.c, &trace.after.c) else {
                    return Err(crate::error::Error::autograd("lstm", "a step without cells"));
                };
                let (i, f, g, o) = (part(0)?.sigmoid()?, part(1)?.sigmoid()?, part(2)?.tanh()?, part(3)?.sigmoid()?);
                let y = after.tanh()?;
                let dhidden = self.hr.as_ref().map_or(Ok(dh.clone()), |w| dh.matmul(w))?;
                let own = dhidden.mul(&o)?.mul(&bend(&y)?)?;
                let dc = dc.map_or(Ok(own.clone()), |dc| own.add(dc))?;
                let di = dc.mul(&g)?.mul(&flat(&i)?)?;
                let df = dc.mul(before)?.mul(&flat(&f)?)?;
                let dg = dc.mul(&i)?.mul(&bend(&g)?)?;
                let d_o = dhidden.mul(&y)?.mul(&flat(&o)?)?;
                let dgates = Tensor::cat(&[di, df, dg, d_o], 1)?;
                let before = State { h: dgates.matmul(&self.hh)?, c: Some(dc.mul(&f)?) };
                Ok(Back { dgates, dstate_gates: None, before })
            }
        }
    }
}
