//! What an optimization algorithm is: hyperparameters, and the update as tensor code.

use super::segments::Segments;
use super::settings::Settings;
use crate::error::Result;
use crate::tensor::Tensor;

/// A state of an algorithm: PyTorch's name of it, and what it is filled with at first.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    pub name: &'static str,
    pub start: f64,
    /// Of the parameter's shape; `None`: the parameter's own.
    pub shape: Option<Vec<usize>>,
}

impl State {
    /// A state of zeros of the parameter's shape.
    pub fn zero(name: &'static str) -> State {
        State::filled(name, 0.0)
    }

    /// A state that starts as `start` everywhere.
    pub fn filled(name: &'static str, start: f64) -> State {
        State { name, start, shape: None }
    }
}

/// The parameters of one update and how far they are: numbers of the host, which are run-time parameters of the plan.
#[derive(Debug)]
pub struct Run<'a> {
    /// Updates so far, this one included.
    pub step: u64,
    /// The rule's [`scalars`](Rule::scalars); what is written here is what the next update finds.
    pub scalars: &'a mut [f64],
    pub(super) segments: &'a Segments,
    /// The members in this update, and where the first begins.
    pub(super) members: std::ops::Range<usize>,
}

impl Run<'_> {
    /// The Euclidean norm of each parameter's part of `x`, repeated so that it broadcasts against
    /// [`rows`](Self::rows). Three kernels, whatever the number of parameters.
    ///
    /// # Errors
    /// Out of memory.
    pub fn norms(&self, x: &Tensor) -> Result<Tensor> {
        self.segments.norms(x, self.members.clone())
    }

    /// A slab in rows that never straddle two parameters.
    ///
    /// # Errors
    /// `x` is not a slab.
    pub fn rows(&self, x: &Tensor) -> Result<Tensor> {
        self.segments.rows(x)
    }
}

/// An optimization algorithm: hyperparameters, and the update as tensor code over whole slabs.
pub trait Rule: Settings {
    /// For errors: `Adam`.
    const NAME: &'static str;

    /// The update looks at one parameter as a whole: it is given each by itself, in its shape, instead of slabs.
    const EACH: bool = false;

    /// Refuses hyperparameters out of range.
    ///
    /// # Errors
    /// The first one that is, with its value.
    fn check(&self) -> Result<()>;

    /// Refuses parameters the algorithm is not for.
    ///
    /// # Errors
    /// Why.
    fn accepts(&self, _param: &Tensor) -> Result<()> {
        Ok(())
    }

    /// The states of a parameter of this shape.
    fn states(&self, _shape: &[usize]) -> Vec<State> {
        Vec::new()
    }

    /// Numbers each parameter carries along beside its states, and what they are at first.
    fn scalars(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Whether the state dict counts steps: PyTorch's `step`.
    fn counts_steps(&self) -> bool {
        true
    }

    /// The new parameters; replaces the states. Unless [`EACH`](Self::EACH), every element must depend on the same
    /// element of the operands (and on [`Run::norms`]) only, and parameters may lie in any order.
    ///
    /// # Errors
    /// Whatever the tensor code reports.
    fn update(&self, run: &mut Run<'_>, param: &Tensor, grad: &Tensor, states: &mut [Tensor]) -> Result<Tensor>;
}

/// The gradient as most algorithms start: turned round to climb, and with `weight_decay * param` added.
pub(super) fn directed(param: &Tensor, grad: &Tensor, maximize: bool, weight_decay: f64) -> Result<Tensor> {
    let g = if maximize { grad.neg()? } else { grad.clone() };
    if weight_decay == 0.0 { Ok(g) } else { g.add(param.mul(weight_decay)?) }
}

/// `average` a step of `1 - beta` closer to `x`.
pub(super) fn blend(average: &Tensor, x: &Tensor, beta: f64) -> Tensor {
    average + (x - average) * (1.0 - beta)
}

/// The states an update expects.
pub(super) fn expect<'a, const N: usize>(op: &'static str, states: &'a mut [Tensor]) -> Result<&'a mut [Tensor; N]> {
    let found = states.len();
    states.try_into().map_err(|_| crate::Error::argument(op, format!("{found} states where {N} are needed")))
}
