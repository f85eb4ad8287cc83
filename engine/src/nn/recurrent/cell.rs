//! Single steps of recurrent networks.

use crate::error::{Error, Result};
use crate::nn::copy::Copies;
use crate::nn::module::{Member, MemberMut, Module};
use crate::tensor::{Tensor, TensorOptions};

use super::steps::{Kind, State};
use super::{Direction, Nonlinearity};

/// The parameters of a step, and what kind it is.
#[derive(Debug)]
struct Cell {
    op: &'static str,
    kind: Kind,
    direction: Direction,
}

impl Cell {
    fn new(op: &'static str, kind: Kind, inputs: usize, hidden: usize, bias: bool, options: impl Into<TensorOptions>) -> Result<Cell> {
        if inputs == 0 || hidden == 0 {
            return Err(Error::argument(op, format!("input and hidden size should be at least 1, they are {inputs} and {hidden}")));
        }
        Ok(Cell { op, kind, direction: Direction::new(kind.gates(), inputs, hidden, hidden, bias, &options.into())? })
    }

    #[track_caller]
    fn forward(&self, x: &Tensor, h: Option<&Tensor>, c: Option<&Tensor>) -> Result<State> {
        let op = self.op;
        if !(1..=2).contains(&x.rank()) {
            return Err(Error::argument(op, format!("expects [N, inputs] or [inputs], not {:?}", x.shape())));
        }
        let single = x.rank() == 1;
        let x = if single { x.unsqueeze(0)? } else { x.clone() };
        let (w, hidden) = (&self.direction.ih, self.direction.hh.shape()[1]);
        if x.shape()[1] != w.shape()[1] || x.dtype() != w.dtype() {
            let (got, wanted) = (x.shape()[1], w.shape()[1]);
            return Err(Error::argument(op, format!("takes {wanted} features in {}, the input has {got} in {}", w.dtype(), x.dtype())));
        }
        let wanted = [x.shape()[0], hidden];
        let state = |given: Option<&Tensor>, what: &str| match given {
            None => Tensor::zeros(wanted, (x.dtype(), x.device())),
            Some(t) if single && t.shape() == &wanted[1..] => t.unsqueeze(0),
            Some(t) if !single && t.shape() == wanted => Ok(t.clone()),
            Some(t) => {
                Err(Error::argument(op, format!("the {what} state should be {:?}, not {:?}", &wanted[single as usize..], t.shape())))
            }
        };
        let before = State { h: state(h, "hidden")?, c: if self.kind == Kind::Lstm { Some(state(c, "cell")?) } else { None } };
        let after = self.direction.weights(self.kind).step(&x, &before)?;
        if !single {
            return Ok(after);
        }
        Ok(State { h: after.h.squeeze(0)?, c: after.c.map(|c| c.squeeze(0)).transpose()? })
    }
}

macro_rules! cells {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Shapes: input `[N, inputs]` and state `[N, hidden]`, or both without `N`.
        #[derive(Debug)]
        pub struct $name(Cell);

        impl Module for $name {
            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
                self.0.direction.members("", visit);
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
                self.0.direction.members_mut("", visit);
            }

            fn copied(&self, copies: &mut Copies) -> Result<$name> {
                let Cell { op, kind, .. } = self.0;
                Ok($name(Cell { op, kind, direction: self.0.direction.copied(copies)? }))
            }
        }
    )*};
}

cells! {
    /// One step of an Elman network: `h = tanh(W x + b + U h + c)`.
    RNNCell;
    /// One step of long short-term memory.
    LSTMCell;
    /// One step of gated recurrent units.
    GRUCell;
}

impl RNNCell {
    /// # Errors
    /// Sizes of 0; the device lacks the type or the memory.
    pub fn new(inputs: usize, hidden: usize, bias: bool, nonlinearity: Nonlinearity, options: impl Into<TensorOptions>) -> Result<RNNCell> {
        Cell::new("RNNCell", nonlinearity.into(), inputs, hidden, bias, options).map(RNNCell)
    }

    /// The next state. The first is 0.
    ///
    /// # Errors
    /// Shapes or types that do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.forward(x, h, None)?.h)
    }
}

impl GRUCell {
    /// # Errors
    /// Sizes of 0; the device lacks the type or the memory.
    pub fn new(inputs: usize, hidden: usize, bias: bool, options: impl Into<TensorOptions>) -> Result<GRUCell> {
        Cell::new("GRUCell", Kind::Gru, inputs, hidden, bias, options).map(GRUCell)
    }

    /// The next state. The first is 0.
    ///
    /// # Errors
    /// Shapes or types that do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<Tensor> {
        Ok(self.0.forward(x, h, None)?.h)
    }
}

impl LSTMCell {
    /// # Errors
    /// Sizes of 0; the device lacks the type or the memory.
    pub fn new(inputs: usize, hidden: usize, bias: bool, options: impl Into<TensorOptions>) -> Result<LSTMCell> {
        Cell::new("LSTMCell", Kind::Lstm, inputs, hidden, bias, options).map(LSTMCell)
    }

    /// The next state and cells. The first are 0.
    ///
    /// # Errors
    /// Shapes or types that do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, Tensor)> {
        let State { h, c } = self.0.forward(x, state.map(|s| s.0), state.map(|s| s.1))?;
        let c = c.ok_or_else(|| Error::argument("LSTMCell", "no cells"))?;
        Ok((h, c))
    }
}
