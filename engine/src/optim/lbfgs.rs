//! L-BFGS: a quasi-Newton method with a line search.

use super::optimizer::Optimizer;
use super::require;
use super::settings::{Options, Setting, read};
use super::state::{GroupState, OptimizerState, ParamState};
use super::wolfe::{Point, strong_wolfe};
use crate::autograd::{enable_grad, no_grad};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const NAME: &str = "LBFGS";

/// L-BFGS: Newton's method with the curvature estimated from the last steps
/// ([Liu and Nocedal](https://doi.org/10.1007/BF01589116)). For smooth functions and full batches.
///
/// One step iterates until it converges, and calls the closure many times: use
/// [`step_with`](Optimizer::step_with). Lengths and losses are read back in each iteration, as the algorithm decides by them.
///
/// ```
/// use taper::optim::{Lbfgs, Optimizer};
/// # use taper::prelude::*;
/// # fn main() -> Result<()> {
/// let x = Tensor::new([3.0, -2.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// let mut optimizer = Lbfgs::builder().strong_wolfe().build([x.clone()])?;
/// optimizer.step_with(&mut || {
///     x.zero_grad();
///     let loss = x.sub(1.0)?.square()?.sum_all()?;
///     loss.backward()?;
///     Ok(loss)
/// })?;
/// assert!(x.to_vec::<f32>()?.iter().all(|v| (v - 1.0).abs() < 1e-4));
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Lbfgs {
    rule: LbfgsRule,
    params: Vec<Tensor>,
    state: Memory,
}

/// Hyperparameters of [`Lbfgs`], and its builder.
#[derive(Debug, Clone, PartialEq)]
pub struct LbfgsRule {
    lr: f64,
    max_iter: usize,
    max_eval: Option<usize>,
    tolerance_grad: f64,
    tolerance_change: f64,
    history_size: usize,
    line_search_fn: Option<String>,
    maximize: bool,
}

/// What one step leaves for the next.
#[derive(Debug, Clone, Default)]
struct Memory {
    func_evals: u64,
    n_iter: u64,
    direction: Option<Tensor>,
    length: f64,
    /// Differences of gradients, differences of parameters, and one over their products.
    old_dirs: Vec<Tensor>,
    old_steps: Vec<Tensor>,
    ro: Vec<f64>,
    h_diag: f64,
    prev_grad: Option<Tensor>,
    prev_loss: f64,
}

impl LbfgsRule {
    /// The step length without line search, and the first trial with it.
    pub fn lr(mut self, lr: f64) -> LbfgsRule {
        self.lr = lr;
        self
    }

    /// Iterations of one step.
    pub fn max_iter(mut self, n: usize) -> LbfgsRule {
        self.max_iter = n;
        self
    }

    /// Evaluations in one step; by default 5/4 of the iterations.
    pub fn max_eval(mut self, n: usize) -> LbfgsRule {
        self.max_eval = Some(n);
        self
    }

    /// Stops where the largest element of the gradient is no larger.
    pub fn tolerance_grad(mut self, tolerance: f64) -> LbfgsRule {
        self.tolerance_grad = tolerance;
        self
    }

    /// Stops where parameters or loss change by less.
    pub fn tolerance_change(mut self, tolerance: f64) -> LbfgsRule {
        self.tolerance_change = tolerance;
        self
    }

    /// How many steps the curvature is estimated from.
    pub fn history_size(mut self, n: usize) -> LbfgsRule {
        self.history_size = n;
        self
    }

    /// Searches each direction for a point with Wolfe's strong conditions.
    pub fn strong_wolfe(mut self) -> LbfgsRule {
        self.line_search_fn = Some("strong_wolfe".into());
        self
    }

    /// Climbs instead of descending.
    pub fn maximize(mut self, on: bool) -> LbfgsRule {
        self.maximize = on;
        self
    }

    /// # Errors
    /// No parameters, or some of another type or device than the first; one that is not a leaf that requires a gradient;
    /// hyperparameters out of range.
    pub fn build<P: Into<Tensor>>(self, params: impl IntoIterator<Item = P>) -> Result<Lbfgs> {
        self.check()?;
        let params: Vec<Tensor> = params.into_iter().map(Into::into).collect();
        let first = params.first().ok_or_else(|| Error::argument(NAME, "there are no parameters to optimize"))?;
        for (i, p) in params.iter().enumerate() {
            if !p.is_leaf_requiring_grad() {
                return Err(Error::argument(NAME, format!("parameter {i} is not a leaf that requires a gradient")));
            }
            if params[..i].iter().any(|q| q.ptr_eq(p)) {
                return Err(Error::argument(NAME, format!("parameter {i} is listed twice")));
            }
            if p.dtype() != first.dtype() || p.device() != first.device() {
                return Err(Error::argument(NAME, format!("parameter {i} is {} on {}, the first is not", p.dtype(), p.device())));
            }
        }
        Ok(Lbfgs { rule: self, params, state: Memory::default() })
    }

    fn check(&self) -> Result<()> {
        require(NAME, "lr", self.lr, self.lr >= 0.0)?;
        match self.line_search_fn.as_deref() {
            None | Some("strong_wolfe") => Ok(()),
            Some(other) => Err(Error::argument(NAME, format!("line_search_fn is '{other}', expected strong_wolfe"))),
        }
    }

    fn options(&self) -> Options {
        let named = [
            ("lr", self.lr.to_json()),
            ("max_iter", self.max_iter.to_json()),
            ("max_eval", self.max_eval.to_json()),
            ("tolerance_grad", self.tolerance_grad.to_json()),
            ("tolerance_change", self.tolerance_change.to_json()),
            ("history_size", self.history_size.to_json()),
            ("line_search_fn", self.line_search_fn.to_json()),
            ("maximize", self.maximize.to_json()),
        ];
        named.into_iter().map(|(k, v)| (k.to_string(), v)).collect()
    }

    pub(super) fn with_options(&self, o: &Options) -> Result<LbfgsRule> {
        let known = self.options();
        if let Some(name) = o.keys().find(|name| !known.contains_key(*name)) {
            return Err(Error::argument(NAME, format!("there is no option '{name}'")));
        }
        Ok(LbfgsRule {
            lr: read(o, "lr", self.lr)?,
            max_iter: read(o, "max_iter", self.max_iter)?,
            max_eval: read(o, "max_eval", self.max_eval)?,
            tolerance_grad: read(o, "tolerance_grad", self.tolerance_grad)?,
            tolerance_change: read(o, "tolerance_change", self.tolerance_change)?,
            history_size: read(o, "history_size", self.history_size)?,
            line_search_fn: read(o, "line_search_fn", self.line_search_fn.clone())?,
            maximize: read(o, "maximize", self.maximize)?,
        })
    }
}

impl Lbfgs {
    /// # Errors
    /// As [`LbfgsRule::build`].
    pub fn new<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, lr: f64) -> Result<Lbfgs> {
        Lbfgs::builder().lr(lr).build(params)
    }

    /// PyTorch's defaults: a rate of 1, 20 iterations, a history of 100, no line search.
    pub fn builder() -> LbfgsRule {
        LbfgsRule {
            lr: 1.0,
            max_iter: 20,
            max_eval: None,
            tolerance_grad: 1e-7,
            tolerance_change: 1e-9,
            history_size: 100,
            line_search_fn: None,
            maximize: false,
        }
    }

    fn flat(&self, of: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        let parts = self.params.iter().map(|p| of(p)?.reshape([-1])).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 0)
    }

    fn gradient(&self) -> Result<Tensor> {
        let grad = self.flat(|p| p.grad().map_or_else(|| p.zeros_like(), Ok))?;
        if self.rule.maximize { grad.neg() } else { grad.contiguous() }
    }

    fn set(&self, flat: &Tensor) -> Result<()> {
        let mut offset = 0;
        for p in &self.params {
            let shape: Vec<isize> = p.shape().iter().map(|&d| d as isize).collect();
            p.replace(&flat.narrow(0, offset, p.numel())?.reshape(&shape)?.contiguous()?)?;
            offset += p.numel();
        }
        Ok(())
    }

    /// Loss and gradient now; with the closure's own loss.
    fn evaluate(&self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<(Tensor, f64, Tensor)> {
        let value = enable_grad(&mut *closure)?;
        let loss = number(&value)?;
        let grad = no_grad(|| self.gradient())?;
        Ok((value, if self.rule.maximize { -loss } else { loss }, grad))
    }

    /// The direction from the history: the two loops over it stay on the device.
    fn two_loops(&self, memory: &Memory, grad: &Tensor) -> Result<Tensor> {
        let mut q = grad.neg()?;
        let mut alphas = Vec::new();
        for ((y, s), ro) in memory.old_dirs.iter().zip(&memory.old_steps).zip(&memory.ro).rev() {
            let alpha = s.dot(&q)?.mul(*ro)?;
            q = q.sub(y * &alpha)?;
            alphas.push(alpha);
        }
        let mut r = q.mul(memory.h_diag)?;
        for (((y, s), ro), alpha) in memory.old_dirs.iter().zip(&memory.old_steps).zip(&memory.ro).zip(alphas.iter().rev()) {
            let beta = y.dot(&r)?.mul(*ro)?;
            r = r.add(s * (alpha - beta))?;
        }
        Ok(r)
    }

    fn minimise(&self, memory: &mut Memory, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let rule = &self.rule;
        let (value, mut loss, mut grad) = self.evaluate(closure)?;
        let mut evaluations = 1;
        memory.func_evals += 1;
        let largest = |t: &Tensor| number(&t.abs()?.max_all()?);
        if largest(&grad)? <= rule.tolerance_grad {
            return Ok(value);
        }
        let max_eval = rule.max_eval.unwrap_or(rule.max_iter * 5 / 4);
        for iteration in 1..=rule.max_iter {
            memory.n_iter += 1;
            let direction = match (&memory.direction, &memory.prev_grad) {
                (Some(d), Some(before)) if memory.n_iter > 1 => {
                    let (y, s) = (grad.sub(before)?, d.mul(memory.length)?);
                    let ys = number(&y.dot(&s)?)?;
                    if ys > 1e-10 {
                        if memory.old_dirs.len() >= rule.history_size.max(1) {
                            memory.old_dirs.remove(0);
                            memory.old_steps.remove(0);
                            memory.ro.remove(0);
                        }
                        memory.h_diag = ys / number(&y.dot(&y)?)?;
                        memory.old_dirs.push(y);
                        memory.old_steps.push(s);
                        memory.ro.push(1.0 / ys);
                    }
                    self.two_loops(memory, &grad)?
                }
                _ => {
                    (memory.old_dirs, memory.old_steps, memory.ro, memory.h_diag) = (Vec::new(), Vec::new(), Vec::new(), 1.0);
                    grad.neg()?
                }
            };
            memory.prev_grad = Some(grad.clone());
            memory.prev_loss = loss;
            let mut length = rule.lr;
            if memory.n_iter == 1 {
                length *= (1.0 / number(&grad.abs()?.sum_all()?)?).min(1.0);
            }
            let slope = number(&grad.dot(&direction)?)?;
            memory.direction = Some(direction.clone());
            memory.length = length;
            if slope > -rule.tolerance_change {
                break;
            }
            let start = self.flat(|p| p.detach())?;
            let mut done = false;
            let mut used = 0;
            if rule.line_search_fn.is_some() {
                let mut at = |t: f64| -> Result<Point> {
                    no_grad(|| self.set(&start.add(direction.mul(t)?)?))?;
                    let (_, loss, grad) = self.evaluate(&mut *closure)?;
                    let slope = no_grad(|| number(&grad.dot(&direction)?))?;
                    Ok(Point { t, loss, grad, slope })
                };
                let from = Point { t: 0.0, loss, grad: grad.clone(), slope };
                let (found, calls) = strong_wolfe(&mut at, length, from, largest(&direction)?)?;
                (loss, grad, length, used) = (found.loss, found.grad, found.t, calls);
                self.set(&start.add(direction.mul(length)?)?)?;
                done = largest(&grad)? <= rule.tolerance_grad;
            } else {
                self.set(&start.add(direction.mul(length)?)?)?;
                if iteration != rule.max_iter {
                    (_, loss, grad) = self.evaluate(closure)?;
                    done = largest(&grad)? <= rule.tolerance_grad;
                    used = 1;
                }
            }
            memory.length = length;
            evaluations += used;
            memory.func_evals += used as u64;
            let still = largest(&direction)? * length.abs() <= rule.tolerance_change;
            if evaluations >= max_eval || done || still || (loss - memory.prev_loss).abs() < rule.tolerance_change {
                break;
            }
        }
        Ok(value)
    }
}

fn number(t: &Tensor) -> Result<f64> {
    t.item::<f64>()
}

impl Optimizer for Lbfgs {
    /// # Errors
    /// Always: the algorithm needs the loss, see [`step_with`](Optimizer::step_with).
    fn step(&mut self) -> Result<()> {
        Err(Error::argument(NAME, "evaluates the loss itself: call step_with and give it a closure"))
    }

    fn step_with(&mut self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let mut memory = self.state.clone();
        let loss = no_grad(|| self.minimise(&mut memory, closure))?;
        self.state = memory;
        self.params[0].device().flush()?;
        Ok(loss)
    }

    fn zero_grad(&self, set_to_none: bool) -> Result<()> {
        super::optimizer::zero_grad(&self.params, set_to_none)
    }

    fn set_lr(&mut self, lr: f64) {
        self.rule.lr = lr;
    }

    fn lrs(&self) -> Vec<f64> {
        vec![self.rule.lr]
    }

    fn set_group_lr(&mut self, group: usize, lr: f64) -> Result<()> {
        self.only(group)?;
        self.rule.lr = lr;
        Ok(())
    }

    fn options(&self, group: usize) -> Result<Options> {
        self.only(group)?;
        Ok(self.rule.options())
    }

    fn set_options(&mut self, group: usize, options: &Options) -> Result<()> {
        self.only(group)?;
        let rule = self.rule.with_options(options)?;
        rule.check()?;
        self.rule = rule;
        Ok(())
    }

    fn params(&self) -> Vec<Tensor> {
        self.params.clone()
    }

    /// The history is stacked: `old_dirs` and `old_stps` are `[steps, numbers]`.
    fn state_dict(&self) -> Result<OptimizerState> {
        let (m, cpu) = (&self.state, Device::cpu());
        let mut state = ParamState::new();
        if m.func_evals > 0 {
            let numbers = |v: &[f64]| Tensor::from_vec(v.to_vec(), [v.len()], &cpu);
            state.insert("numbers".into(), numbers(&[m.func_evals as f64, m.n_iter as f64, m.length, m.h_diag, m.prev_loss])?);
            if !m.ro.is_empty() {
                state.insert("ro".into(), numbers(&m.ro)?);
                state.insert("old_dirs".into(), Tensor::stack(&m.old_dirs, 0)?);
                state.insert("old_stps".into(), Tensor::stack(&m.old_steps, 0)?);
            }
            for (name, t) in [("d", &m.direction), ("prev_flat_grad", &m.prev_grad)] {
                if let Some(t) = t {
                    state.insert(name.into(), t.clone());
                }
            }
        }
        let group = GroupState { params: (0..self.params.len()).collect(), options: self.rule.options() };
        let state = if state.is_empty() { Default::default() } else { [(0, state)].into() };
        Ok(OptimizerState { state, param_groups: vec![group] })
    }

    fn load_state_dict(&mut self, dict: &OptimizerState) -> Result<()> {
        let wrong = |why: String| Err(Error::argument("load_state_dict", why));
        let [group] = dict.param_groups.as_slice() else {
            return wrong(format!("LBFGS has one parameter group, the state {}", dict.param_groups.len()));
        };
        if group.params.len() != self.params.len() {
            return wrong(format!("{} parameters in the state, {} in the optimizer", group.params.len(), self.params.len()));
        }
        let rule = self.rule.with_options(&group.options)?;
        rule.check()?;
        let mut memory = Memory::default();
        if let Some(state) = dict.state.get(&0) {
            let length: usize = self.params.iter().map(Tensor::numel).sum();
            let (device, dtype) = (self.params[0].device(), self.params[0].dtype());
            let floats = |name: &str| state.get(name).map_or(Ok(Vec::new()), |t| t.to_dtype(DType::F64)?.to_vec::<f64>());
            let flat = |name: &str| -> Result<Option<Tensor>> {
                let Some(t) = state.get(name) else { return Ok(None) };
                if t.shape() != [length] {
                    return wrong(format!("{name} is {:?}, expected [{length}]", t.shape())).map(|()| None);
                }
                t.to(device)?.to_dtype(dtype).map(Some)
            };
            let rows = |name: &str| -> Result<Vec<Tensor>> {
                let Some(t) = state.get(name) else { return Ok(Vec::new()) };
                if t.rank() != 2 || t.shape()[1] != length {
                    return wrong(format!("{name} is {:?}, expected [steps, {length}]", t.shape())).map(|()| Vec::new());
                }
                let t = t.to(device)?.to_dtype(dtype)?;
                (0..t.shape()[0]).map(|i| t.narrow(0, i, 1)?.reshape([-1])?.contiguous()).collect()
            };
            let numbers: [f64; 5] = floats("numbers")?
                .try_into()
                .or_else(|n: Vec<f64>| wrong(format!("{} numbers, expected 5", n.len())).map(|()| [0.0; 5]))?;
            let [evals, iterations, length, h_diag, prev_loss] = numbers;
            memory = Memory {
                func_evals: evals as u64,
                n_iter: iterations as u64,
                direction: flat("d")?,
                length,
                old_dirs: rows("old_dirs")?,
                old_steps: rows("old_stps")?,
                ro: floats("ro")?,
                h_diag,
                prev_grad: flat("prev_flat_grad")?,
                prev_loss,
            };
            if memory.ro.len() != memory.old_dirs.len() || memory.ro.len() != memory.old_steps.len() {
                return wrong("the parts of the history differ in length".into());
            }
        }
        (self.rule, self.state) = (rule, memory);
        Ok(())
    }
}

impl Lbfgs {
    fn only(&self, group: usize) -> Result<()> {
        if group == 0 { Ok(()) } else { Err(Error::index(NAME, format!("group {group} of 1"))) }
    }
}
