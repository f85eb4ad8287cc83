//! What changes or looks at tensors that exist: writes in place, travel, gradients, optimizers, dropped handles.

use taper::optim::{Adam, Optimizer, Sgd};
use taper::{DType, Device, Result, Tensor, autograd};

use super::{Run, Var, broadcast};
use crate::Rng;
use crate::program::meta::{Meta, eps};

impl Run<'_> {
    pub(super) fn in_place(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let (t, n, m, d) = (&v.t, &v.name, v.meta(), v.t.dtype());
        let no_grad = rng.one_in(3);
        let fits = |o: &Var| o.t.dtype() == d && broadcast(o.t.shape(), t.shape()).is_some_and(|s| s == t.shape());
        let other = self.any(rng, fits);
        let (call, meta, run): (String, Meta, Box<dyn Fn() -> Result<()> + '_>) = match (rng.below(9), &other) {
            (0 | 1, Some(o)) => {
                let y = o.meta();
                let meta = Meta { mag: m.mag + y.mag, err: m.err + y.err + eps(d) * (m.mag + y.mag), ..m.join(y) };
                (format!("{n}.add_({})", o.name), meta, Box::new(|| t.add_(&o.t).map(drop)))
            }
            (2, Some(o)) => {
                let y = o.meta();
                let quantum = m.quantum.zip(y.quantum).map(|(a, b)| a + b);
                let mag = m.mag * y.mag;
                (
                    format!("{n}.mul_({})", o.name),
                    Meta { mag, err: m.err * y.mag + y.err * m.mag + eps(d) * mag, quantum },
                    Box::new(|| t.mul_(&o.t).map(drop)),
                )
            }
            (3 | 4, Some(o)) => (format!("{n}.copy_({})", o.name), o.meta(), Box::new(|| t.copy_(&o.t).map(drop))),
            (5, _) if d != DType::Bool => {
                let meta = if d.is_float() { Meta { quantum: m.quantum.map(|q| q + 1), err: m.err + eps(d) * m.mag, ..m } } else { m };
                if !d.is_float() {
                    (format!("{n}.mul_(1)"), meta, Box::new(|| t.mul_(1).map(drop)))
                } else {
                    (format!("{n}.mul_(0.5)"), meta, Box::new(|| t.mul_(0.5).map(drop)))
                }
            }
            (6, _) => (format!("{n}.fill_(1)"), Meta::exact(1.0, 0), Box::new(|| t.fill_(1).map(drop))),
            (7, _) if d.is_float() => (format!("{n}.tanh_()"), m.smooth(1.0, 1.0, d), Box::new(|| t.tanh_().map(drop))),
            _ => (format!("{n}.zero_()"), Meta::exact(0.0, 0), Box::new(|| t.zero_().map(drop))),
        };
        let result = if no_grad { autograd::no_grad(&run) } else { run() };
        let ok = result.is_ok();
        let call = if no_grad { format!("no_grad {{ {call} }}") } else { call };
        drop(run);
        self.done(call, result);
        if ok {
            let joined = m.join(meta).fits(d);
            *v.meta.borrow_mut() = joined;
        }
    }

    /// To the CPU and back.
    pub(super) fn travel(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let result = v.t.to(&Device::cpu()).and_then(|t| t.clone_data()).and_then(|t| t.to(&self.mode.device));
        self.put(format!("{}.to(cpu).clone_data().to(device)", v.name), result, v.meta());
    }

    /// A step of an optimizer over some of the leaves.
    pub(super) fn optimize(&mut self, rng: &mut Rng) {
        if self.optimizers.is_empty() || rng.one_in(4) {
            let params: Vec<Var> = self.leaves.iter().filter(|v| v.t.dtype() == self.traits.types[0] && !rng.one_in(3)).cloned().collect();
            let taken = |v: &Var| self.optimizers.iter().any(|(_, p)| p.iter().any(|p| p.t.ptr_eq(&v.t)));
            let params: Vec<Var> = params.into_iter().filter(|v| !taken(v)).collect();
            if params.is_empty() {
                return;
            }
            let tensors: Vec<Tensor> = params.iter().map(|p| p.t.clone()).collect();
            let adam = rng.one_in(2);
            let made: Result<Box<dyn Optimizer>> = if adam {
                // A large eps: a gradient of nothing but rounding errors must not become a step of full length.
                Adam::builder(0.01).eps(0.1).build(tensors).map(|o| Box::new(o) as Box<dyn Optimizer>)
            } else {
                Sgd::builder(0.01).momentum(0.5).build(tensors).map(|o| Box::new(o) as Box<dyn Optimizer>)
            };
            let names: Vec<&str> = params.iter().map(|p| p.name.as_str()).collect();
            let call = format!("{}({names:?})", if adam { "Adam" } else { "Sgd" });
            match made {
                Ok(o) => {
                    self.line(format!("optimizer {} = {call}", self.optimizers.len()));
                    self.optimizers.push((o, params));
                }
                Err(e) => self.done(call, Err(e)),
            }
        }
        let i = rng.below(self.optimizers.len());
        let result = self.optimizers[i].0.step();
        for p in &self.optimizers[i].1 {
            if p.t.grad().is_some() {
                *p.meta.borrow_mut() = Meta { mag: p.meta().mag + 10.0, err: f64::INFINITY, quantum: None };
            }
        }
        self.done(format!("optimizer {i}.step()"), result);
        if rng.one_in(2) {
            let result = self.optimizers[i].0.zero_grad(rng.one_in(2));
            self.done(format!("optimizer {i}.zero_grad()"), result);
        }
    }

    pub(super) fn forget(&mut self, rng: &mut Rng) {
        for _ in 0..1 + rng.below(3) {
            if self.vars.len() > 1 {
                let gone = self.vars.remove(rng.below(self.vars.len()));
                self.gone(gone);
            }
        }
    }

    pub(super) fn compute(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        match rng.below(3) {
            0 => {
                let r = self.mode.device.flush();
                self.done("flush()".into(), r);
            }
            1 => {
                let r = v.t.realize().map(drop);
                self.done(format!("{}.realize()", v.name), r);
            }
            _ => self.see(v.name.clone(), &v.t, v.meta()),
        }
    }

    pub(super) fn look(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        self.see(v.name.clone(), &v.t, v.meta());
    }

    pub(super) fn backward(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.float() && v.t.requires_grad()) else { return };
        let leaf = self.leaves.get(rng.below(self.leaves.len())).cloned();
        match (rng.below(8), leaf) {
            (0, Some(leaf)) => {
                self.line(format!("{}.zero_grad()", leaf.name));
                leaf.t.zero_grad();
            }
            (1, Some(leaf)) => {
                // A step of gradient descent.
                let Some(g) = leaf.t.grad() else { return };
                let r = autograd::no_grad(|| leaf.t.sub_(&g.mul(0.01)?).map(drop));
                if r.is_ok() {
                    *leaf.meta.borrow_mut() = Meta { mag: leaf.meta().mag + 10.0, err: f64::INFINITY, quantum: None };
                }
                self.done(format!("no_grad {{ {0}.sub_({0}.grad * 0.01) }}", leaf.name), r);
            }
            (2, Some(leaf)) => {
                if let Some(g) = leaf.t.grad() {
                    self.put(format!("{}.grad", leaf.name), Ok(g), Meta::unknown());
                }
            }
            (3, Some(leaf)) => {
                let loss = v.t.mul(0.125).and_then(|t| t.sum_all());
                let result = loss.and_then(|l| autograd::grad(&[&l], &[&leaf.t], &[None], true, rng.one_in(2)));
                let call = format!("grad(({} * 0.125).sum(), {})", v.name, leaf.name);
                match result {
                    Ok(mut list) => {
                        if let Some(Some(g)) = list.pop() {
                            self.put(call, Ok(g), Meta::unknown());
                        }
                    }
                    Err(e) => self.done(call, Err(e)),
                }
            }
            (k, _) => {
                let retain = k < 6;
                let loss = v.t.mul(0.125).and_then(|t| t.sum_all());
                let result = loss.and_then(|l| l.backward_with(None, retain, false));
                self.done(format!("({} * 0.125).sum().backward(retain={retain})", v.name), result);
            }
        }
    }
}
