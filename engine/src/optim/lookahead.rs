//! Wrappers that move parameters around another optimizer's steps.

use super::optimizer::{Optim, Optimizer};
use super::require;
use super::rule::Rule;
use super::settings::Options;
use super::state::OptimizerState;
use crate::autograd::{enable_grad, no_grad};
use crate::error::Result;
use crate::tensor::Tensor;

/// Methods of [`Optimizer`] that only concern the optimizer inside.
macro_rules! pass_on {
    () => {
        fn zero_grad(&self, set_to_none: bool) -> Result<()> {
            self.inner.zero_grad(set_to_none)
        }
        fn set_lr(&mut self, lr: f64) {
            self.inner.set_lr(lr);
        }
        fn lrs(&self) -> Vec<f64> {
            self.inner.lrs()
        }
        fn set_group_lr(&mut self, group: usize, lr: f64) -> Result<()> {
            self.inner.set_group_lr(group, lr)
        }
        fn options(&self, group: usize) -> Result<Options> {
            self.inner.options(group)
        }
        fn set_options(&mut self, group: usize, options: &Options) -> Result<()> {
            self.inner.set_options(group, options)
        }
        fn params(&self) -> Vec<Tensor> {
            self.inner.params()
        }
    };
}

/// Lookahead: after every `k` steps of another optimizer the parameters go back to a share `alpha` of the way they made
/// ([Zhang et al.](https://arxiv.org/abs/1907.08610)).
#[derive(Debug)]
pub struct Lookahead<R: Rule> {
    inner: Optim<R>,
    k: u64,
    alpha: f64,
    steps: u64,
    /// The slow parameters, a slab each.
    slow: Vec<Tensor>,
}

impl<R: Rule> Lookahead<R> {
    /// The paper's `k` is 5, its `alpha` 0.5.
    ///
    /// # Errors
    /// `k` of 0; `alpha` outside 0 to 1.
    pub fn new(mut inner: Optim<R>, k: u64, alpha: f64) -> Result<Lookahead<R>> {
        require("Lookahead", "k", k as f64, k > 0)?;
        require("Lookahead", "alpha", alpha, (0.0..=1.0).contains(&alpha))?;
        let slow = inner.slabs().map(|slab| slab.whole()?.add(0.0)).collect::<Result<_>>()?;
        inner.flush()?;
        Ok(Lookahead { inner, k, alpha, steps: 0, slow })
    }
}

impl<R: Rule> Optimizer for Lookahead<R> {
    fn step(&mut self) -> Result<()> {
        self.inner.step()?;
        self.steps += 1;
        if self.steps % self.k != 0 {
            return Ok(());
        }
        no_grad(|| {
            for (slab, slow) in self.inner.slabs().zip(&mut self.slow) {
                let fast = slab.whole()?;
                *slow = slow.lerp(&fast, self.alpha)?;
                slab.set_whole(slow.add(0.0)?)?;
            }
            Ok(())
        })?;
        self.inner.flush()
    }

    pass_on!();

    /// The inner optimizer's state, the slow parameters (`slow_param`) and the steps since they last moved.
    fn state_dict(&self) -> Result<OptimizerState> {
        let mut dict = self.inner.state_dict()?;
        for (index, slow) in self.inner.split(&self.slow)? {
            dict.state.entry(index).or_default().insert("slow_param".into(), slow);
        }
        for group in &mut dict.param_groups {
            group.options.insert("lookahead_step".into(), (self.steps % self.k).into());
        }
        Ok(dict)
    }

    fn load_state_dict(&mut self, state: &OptimizerState) -> Result<()> {
        let slow = self.inner.join(state, "slow_param")?;
        // What was never updated has no state of the inner optimizer.
        let mut inner = state.clone();
        inner.state.values_mut().for_each(|s| drop(s.remove("slow_param")));
        inner.state.retain(|_, s| !s.is_empty());
        self.inner.load_state_dict(&inner)?;
        self.steps = state.param_groups.first().and_then(|g| g.options.get("lookahead_step")?.as_u64()).unwrap_or(0);
        self.slow = slow;
        Ok(())
    }
}

/// Sharpness-aware minimisation: the gradient is taken where the loss is worst within `rho` of the parameters
/// ([Foret et al.](https://arxiv.org/abs/2010.01412)), so that flat minima are found.
///
/// Each step evaluates the loss twice: use [`step_with`](Optimizer::step_with).
#[derive(Debug)]
pub struct Sam<R: Rule> {
    inner: Optim<R>,
    rho: f64,
    adaptive: bool,
}

impl<R: Rule> Sam<R> {
    /// The paper's `rho` is 0.05; with `adaptive` the distance is in proportion to each parameter
    /// ([ASAM](https://arxiv.org/abs/2102.11600)), and `rho` about ten times as large.
    ///
    /// # Errors
    /// A negative `rho`.
    pub fn new(inner: Optim<R>, rho: f64, adaptive: bool) -> Result<Sam<R>> {
        require("Sam", "rho", rho, rho >= 0.0)?;
        Ok(Sam { inner, rho, adaptive })
    }

    /// Moves the parameters to where the loss is worst; returns where they were.
    fn climb(&mut self) -> Result<Vec<Tensor>> {
        let adaptive = self.adaptive;
        let slabs = self.inner.slabs().map(|slab| Ok((slab.whole()?, slab.gradient()?))).collect::<Result<Vec<_>>>()?;
        // Between the parameters of a slab lies anything; there the gradient is zero.
        let scaled = |p: &Tensor, g: &Tensor| if adaptive { p.abs()?.where_(&g.ne(0.0)?, 0.0)?.mul(g) } else { Ok(g.clone()) };
        let mut sums = Vec::new();
        for (p, g) in &slabs {
            sums.push(scaled(p, g)?.square()?.sum_all()?.to(slabs[0].0.device())?);
        }
        let norm = Tensor::stack(&sums, 0)?.sum_all()?.sqrt()?;
        let scale = self.rho / (norm + 1e-12);
        for (slab, (p, g)) in self.inner.slabs().zip(&slabs) {
            let step = if adaptive { p.square()?.where_(&g.ne(0.0)?, 0.0)?.mul(g)? } else { g.clone() };
            slab.set_whole(p.add(step.mul(scale.to(p.device())?.to_dtype(p.dtype())?)?)?)?;
        }
        Ok(slabs.into_iter().map(|(p, _)| p).collect())
    }
}

impl<R: Rule> Optimizer for Sam<R> {
    /// # Errors
    /// Always: the algorithm needs the loss, see [`step_with`](Optimizer::step_with).
    fn step(&mut self) -> Result<()> {
        Err(crate::Error::argument("Sam", "evaluates the loss itself: call step_with and give it a closure"))
    }

    fn step_with(&mut self, closure: &mut dyn FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let loss = enable_grad(&mut *closure)?;
        let before = no_grad(|| self.climb())?;
        let second = enable_grad(closure);
        for (slab, value) in self.inner.slabs().zip(before) {
            slab.set_whole(value)?;
        }
        second?;
        self.inner.step()?;
        Ok(loss)
    }

    pass_on!();

    fn state_dict(&self) -> Result<OptimizerState> {
        self.inner.state_dict()
    }

    fn load_state_dict(&mut self, state: &OptimizerState) -> Result<()> {
        self.inner.load_state_dict(state)
    }
}
