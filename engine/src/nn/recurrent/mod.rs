//! Recurrent networks: Elman networks, LSTM and GRU, whole sequences or step by step.
//!
//! Names, layouts and the order of gates are PyTorch's: `weight_ih_l0`, `weight_hh_l0_reverse`, `bias_ih_l1`.

mod cell;
mod packed;
mod steps;

pub use cell::{GRUCell, LSTMCell, RNNCell};
pub use packed::{PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence};

use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::copy::Copies;
use super::module::{Member, MemberMut, Module};
use super::{Param, Training, dropout, init};
use steps::{Kind, State, Weights, run};

/// The nonlinearity of an [`RNN`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nonlinearity {
    #[default]
    Tanh,
    Relu,
}

impl From<Nonlinearity> for Kind {
    fn from(n: Nonlinearity) -> Kind {
        match n {
            Nonlinearity::Tanh => Kind::Tanh,
            Nonlinearity::Relu => Kind::Relu,
        }
    }
}

/// The parameters of one direction of one layer (or of a cell).
#[derive(Debug)]
struct Direction {
    ih: Param,
    hh: Param,
    biases: Option<(Param, Param)>,
    hr: Option<Param>,
}

impl Direction {
    /// Uniform within `1 / sqrt(hidden)`.
    fn new(gates: usize, inputs: usize, hidden: usize, shown: usize, bias: bool, options: &TensorOptions) -> Result<Direction> {
        let bound = 1.0 / (hidden as f64).sqrt();
        let param = |shape: &[usize]| Param::new(&init::uniform(shape, -bound, bound, options.clone())?);
        let rows = gates * hidden;
        Ok(Direction {
            ih: param(&[rows, inputs])?,
            hh: param(&[rows, shown])?,
            biases: if bias { Some((param(&[rows])?, param(&[rows])?)) } else { None },
            hr: if shown != hidden { Some(param(&[shown, hidden])?) } else { None },
        })
    }

    fn copied(&self, copies: &mut Copies) -> Result<Direction> {
        let biases = match &self.biases {
            Some((a, b)) => Some((copies.param(a)?, copies.param(b)?)),
            None => None,
        };
        let hr = self.hr.as_ref().map(|p| copies.param(p)).transpose()?;
        Ok(Direction { ih: copies.param(&self.ih)?, hh: copies.param(&self.hh)?, biases, hr })
    }

    fn weights(&self, kind: Kind) -> Weights {
        let biases = self.biases.as_ref().map(|(a, b)| ((**a).clone(), (**b).clone()));
        Weights { kind, ih: (*self.ih).clone(), hh: (*self.hh).clone(), biases, hr: self.hr.as_deref().cloned() }
    }

    fn members<'a>(&'a self, suffix: &str, visit: &mut dyn FnMut(&str, Member<'a>)) {
        let mut show = |name: &str, p: &'a Param| visit(&format!("{name}{suffix}"), Member::Param(p));
        show("weight_ih", &self.ih);
        show("weight_hh", &self.hh);
        if let Some((ih, hh)) = &self.biases {
            show("bias_ih", ih);
            show("bias_hh", hh);
        }
        if let Some(hr) = &self.hr {
            show("weight_hr", hr);
        }
    }

    fn members_mut(&mut self, suffix: &str, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        let mut show = |name: &str, p: &mut Param| visit(&format!("{name}{suffix}"), MemberMut::Param(p));
        show("weight_ih", &mut self.ih);
        show("weight_hh", &mut self.hh);
        if let Some((ih, hh)) = &mut self.biases {
            show("bias_ih", ih);
            show("bias_hh", hh);
        }
        if let Some(hr) = &mut self.hr {
            show("weight_hr", hr);
        }
    }
}

/// What recurrent networks are built with; the defaults are PyTorch's.
#[derive(Debug, Clone, Copy)]
struct Config {
    inputs: usize,
    hidden: usize,
    layers: usize,
    bias: bool,
    batch_first: bool,
    dropout: f64,
    bidirectional: bool,
    /// 0: an LSTM shows its hidden state as it is.
    projection: usize,
}

impl Config {
    fn new(inputs: usize, hidden: usize) -> Config {
        Config { inputs, hidden, layers: 1, bias: true, batch_first: false, dropout: 0.0, bidirectional: false, projection: 0 }
    }

    fn build(self, op: &'static str, kind: Kind, options: impl Into<TensorOptions>) -> Result<Stack> {
        let Config { inputs, hidden, layers, dropout, projection, .. } = self;
        if inputs == 0 || hidden == 0 || layers == 0 {
            let why = format!("input size, hidden size and layers should be at least 1, they are {inputs}, {hidden} and {layers}");
            return Err(Error::argument(op, why));
        }
        if !(0.0..=1.0).contains(&dropout) {
            return Err(Error::argument(op, format!("dropout should be a probability, not {dropout}")));
        }
        if projection >= hidden {
            return Err(Error::argument(op, format!("a projection to {projection} is not smaller than the hidden size {hidden}")));
        }
        let options = options.into();
        let shown = if projection > 0 { projection } else { hidden };
        let ways = 1 + self.bidirectional as usize;
        let count = layers
            .checked_mul(ways)
            .filter(|&n| n <= 1 << 16)
            .ok_or_else(|| Error::argument(op, format!("{layers} layers are too many")))?;
        let direction =
            |i: usize| Direction::new(kind.gates(), if i < ways { inputs } else { shown * ways }, hidden, shown, self.bias, &options);
        let directions = (0..count).map(direction).collect::<Result<Vec<_>>>()?;
        Ok(Stack { op, kind, directions, training: Training::default(), shown, ways, config: self })
    }
}

/// Layers of one or two directions.
#[derive(Debug)]
struct Stack {
    op: &'static str,
    kind: Kind,
    /// Layer by layer, forward before reverse.
    directions: Vec<Direction>,
    training: Training,
    shown: usize,
    ways: usize,
    config: Config,
}

impl Module for Stack {
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
        for (i, d) in self.directions.iter().enumerate() {
            d.members(&suffix(i, self.ways), visit);
        }
        visit("training", Member::Training(&self.training));
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
        let ways = self.ways;
        self.directions.iter_mut().enumerate().for_each(|(i, d)| d.members_mut(&suffix(i, ways), visit));
    }

    fn copied(&self, copies: &mut Copies) -> Result<Stack> {
        let directions = self.directions.iter().map(|d| d.copied(copies)).collect::<Result<_>>()?;
        let Stack { op, kind, shown, ways, config, .. } = *self;
        Ok(Stack { op, kind, directions, training: self.training.clone(), shown, ways, config })
    }
}

fn suffix(i: usize, ways: usize) -> String {
    format!("_l{}{}", i / ways, if i % ways == 1 { "_reverse" } else { "" })
}

impl Stack {
    /// `(output, last states, last cells)` of a tensor: `[T, N, ..]`, `[N, T, ..]` or `[T, ..]`; states `[layers ways, N, ..]`.
    #[track_caller]
    fn forward(&self, x: &Tensor, h: Option<&Tensor>, c: Option<&Tensor>) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let op = self.op;
        if x.rank() == 2 {
            let state = |t: Option<&Tensor>| -> Result<Option<Tensor>> {
                let Some(t) = t else { return Ok(None) };
                if t.rank() != 2 {
                    return Err(Error::argument(op, format!("without a batch, the state has 2 dimensions, not {:?}", t.shape())));
                }
                t.unsqueeze(1).map(Some)
            };
            let batch = if self.config.batch_first { 0 } else { 1 };
            let (y, h, c) = self.forward(&x.unsqueeze(batch)?, state(h)?.as_ref(), state(c)?.as_ref())?;
            return Ok((y.squeeze(batch)?, h.squeeze(1)?, c.map(|c| c.squeeze(1)).transpose()?));
        }
        if x.rank() != 3 {
            return Err(Error::argument(op, format!("a sequence has 2 or 3 dimensions, the input is {:?}", x.shape())));
        }
        let x = if self.config.batch_first { x.transpose(0, 1)? } else { x.clone() };
        let &[steps, n, features] = x.shape() else { return Err(Error::argument(op, "expects three dimensions")) };
        if steps == 0 {
            return Err(Error::argument(op, "the sequences have no tokens"));
        }
        let rows = x.reshape([steps * n, features])?;
        let (y, h, c) = self.rows(&rows, &vec![n; steps], h, c)?;
        let y = y.reshape([steps, n, self.shown * self.ways])?;
        Ok((if self.config.batch_first { y.transpose(0, 1)? } else { y }, h, c))
    }

    /// The same of packed sequences; states are in the order of the batch.
    #[track_caller]
    fn forward_packed(
        &self,
        x: &PackedSequence,
        h: Option<&Tensor>,
        c: Option<&Tensor>,
    ) -> Result<(PackedSequence, Tensor, Option<Tensor>)> {
        let sorted = |t: Option<&Tensor>| t.map(|t| x.sorted(t, 1, false)).transpose();
        let (y, h, c) = self.rows(&x.data, &x.batch_sizes, sorted(h)?.as_ref(), sorted(c)?.as_ref())?;
        Ok((x.with(y), x.sorted(&h, 1, true)?, c.map(|c| x.sorted(&c, 1, true)).transpose()?))
    }

    #[track_caller]
    fn rows(&self, x: &Tensor, sizes: &[usize], h: Option<&Tensor>, c: Option<&Tensor>) -> Result<(Tensor, Tensor, Option<Tensor>)> {
        let op = self.op;
        let inputs = self.config.inputs;
        let falling = sizes.windows(2).all(|w| w[0] >= w[1]);
        let (Some(&n), true) = (sizes.first(), falling && x.rank() == 2 && x.shape()[0] == sizes.iter().sum::<usize>()) else {
            return Err(Error::argument(op, format!("tokens of {:?} do not fit the batch sizes {sizes:?}", x.shape())));
        };
        if x.shape()[1] != inputs {
            return Err(Error::argument(op, format!("takes {inputs} features, the input has {}", x.shape()[1])));
        }
        let weight = &self.directions[0].ih;
        if x.dtype() != weight.dtype() {
            return Err(Error::dtype(op, format!("the input is {}, the weights are {}", x.dtype(), weight.dtype())));
        }
        let state = |given: Option<&Tensor>, what: &str, size: usize| {
            let wanted = [self.directions.len(), n, size];
            match given {
                None => Tensor::zeros(wanted, (x.dtype(), x.device())),
                Some(t) if t.shape() == wanted => Ok(t.clone()),
                Some(t) => Err(Error::argument(op, format!("the {what} should be {wanted:?}, not {:?}", t.shape()))),
            }
        };
        let h = state(h, "hidden state", self.shown)?;
        let c = if self.kind == Kind::Lstm { Some(state(c, "cell state", self.config.hidden)?) } else { None };
        let layers = self.directions.chunks(self.ways);
        let last_layer = layers.len() - 1;
        let (mut x, mut last_h, mut last_c) = (x.clone(), Vec::new(), Vec::new());
        for (layer, directions) in layers.enumerate() {
            let mut parts = Vec::new();
            for (way, direction) in directions.iter().enumerate() {
                let at = (layer * self.ways + way) as isize;
                let start = State { h: h.select(0, at)?, c: c.as_ref().map(|c| c.select(0, at)).transpose()? };
                let (y, cells) = run(direction.weights(self.kind), &x, start, sizes, way == 1)?;
                last_h.push(ends(&y, sizes, way == 1)?);
                last_c.extend(cells);
                parts.push(y);
            }
            x = if parts.len() == 1 { parts.remove(0) } else { Tensor::cat(&parts, 1)? };
            if layer < last_layer && self.config.dropout > 0.0 {
                x = dropout(&x, self.config.dropout, self.training.get())?;
            }
        }
        let last_c = if last_c.is_empty() { None } else { Some(Tensor::stack(&last_c, 0)?) };
        Ok((x, Tensor::stack(&last_h, 0)?, last_c))
    }
}

/// `[N, ..]`: each sequence's row of the step that was taken last.
fn ends(y: &Tensor, sizes: &[usize], reverse: bool) -> Result<Tensor> {
    let n = sizes[0];
    if reverse {
        return y.narrow(0, 0, n);
    }
    let mut parts = Vec::new();
    let mut start = y.shape()[0];
    // From the last step to the first: sequences that have this step but not the next.
    let mut longer = 0;
    for &size in sizes.iter().rev() {
        start -= size;
        if size > longer {
            parts.push(y.narrow(0, start + longer, size - longer)?);
            longer = size;
        }
    }
    if parts.len() == 1 { Ok(parts.remove(0)) } else { Tensor::cat(&parts, 0) }
}

macro_rules! builder {
    ($(#[$doc:meta])* $builder:ident) => {
        $(#[$doc])*
        impl $builder {
            /// Layers above each other; 1 unless said otherwise.
            pub fn num_layers(mut self, layers: usize) -> Self {
                self.config.layers = layers;
                self
            }

            pub fn bias(mut self, bias: bool) -> Self {
                self.config.bias = bias;
                self
            }

            /// Sequences are `[N, T, ..]` instead of `[T, N, ..]`; states stay `[.., N, ..]`.
            pub fn batch_first(mut self, on: bool) -> Self {
                self.config.batch_first = on;
                self
            }

            /// The probability with which values between layers are dropped while training.
            pub fn dropout(mut self, p: f64) -> Self {
                self.config.dropout = p;
                self
            }

            /// Each layer reads the sequence from both ends.
            pub fn bidirectional(mut self, on: bool) -> Self {
                self.config.bidirectional = on;
                self
            }
        }
    };
}

macro_rules! networks {
    ($($(#[$doc:meta])* $name:ident, $builder:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// Sequences are `[T, N, inputs]`, or `[N, T, inputs]` with `batch_first`, or `[T, inputs]`; states
        /// `[layers * directions, N, hidden]`, or without `N`.
        #[derive(Debug)]
        pub struct $name(Stack);

        /// Builds a network; the defaults are PyTorch's.
        #[derive(Debug, Clone)]
        pub struct $builder {
            config: Config,
            kind: Kind,
        }

        builder!($builder);

        impl Module for $name {
            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Member<'a>)) {
                self.0.members(visit);
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, MemberMut<'_>)) {
                self.0.members_mut(visit);
            }

            fn copied(&self, copies: &mut Copies) -> Result<$name> {
                self.0.copied(copies).map($name)
            }
        }

        impl $name {
            /// One layer, forward, with biases.
            ///
            /// # Errors
            /// Sizes of 0; the device lacks the type or the memory.
            pub fn new(inputs: usize, hidden: usize, options: impl Into<TensorOptions>) -> Result<$name> {
                $name::builder(inputs, hidden).build(options)
            }
        }

        impl $builder {
            /// # Errors
            /// Sizes of 0, a dropout that is no probability, a projection that is not smaller; the device lacks the type or the memory.
            pub fn build(self, options: impl Into<TensorOptions>) -> Result<$name> {
                self.config.build(stringify!($name), self.kind, options).map($name)
            }
        }
    )*};
}

networks! {
    /// Elman networks: `h = tanh(W x + b + U h + c)`.
    RNN, RNNBuilder;
    /// Long short-term memory.
    LSTM, LSTMBuilder;
    /// Gated recurrent units, as PyTorch has them: `h = (1 - z) n + z h` with `n = tanh(W x + b + r (U h + c))`. In the paper `z` is what
    /// goes, and `r` multiplies `h` before the product.
    GRU, GRUBuilder;
}

macro_rules! one_state {
    ($($name:ident)*) => {$(
        impl $name {
            /// The last layer's result at every step, and every layer's last state. The state starts at 0 unless given.
            ///
            /// # Errors
            /// Shapes or types that do not fit.
            #[track_caller]
            pub fn forward(&self, x: &Tensor, h: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
                let (y, h, _) = self.0.forward(x, h, None)?;
                Ok((y, h))
            }

            /// The same for sequences of different lengths.
            ///
            /// # Errors
            /// Shapes or types that do not fit.
            #[track_caller]
            pub fn forward_packed(&self, x: &PackedSequence, h: Option<&Tensor>) -> Result<(PackedSequence, Tensor)> {
                let (y, h, _) = self.0.forward_packed(x, h, None)?;
                Ok((y, h))
            }
        }
    )*};
}
one_state!(RNN GRU);

impl RNN {
    pub fn builder(inputs: usize, hidden: usize) -> RNNBuilder {
        RNNBuilder { config: Config::new(inputs, hidden), kind: Kind::Tanh }
    }
}

impl RNNBuilder {
    pub fn nonlinearity(mut self, nonlinearity: Nonlinearity) -> Self {
        self.kind = nonlinearity.into();
        self
    }
}

impl GRU {
    pub fn builder(inputs: usize, hidden: usize) -> GRUBuilder {
        GRUBuilder { config: Config::new(inputs, hidden), kind: Kind::Gru }
    }
}

impl LSTM {
    pub fn builder(inputs: usize, hidden: usize) -> LSTMBuilder {
        LSTMBuilder { config: Config::new(inputs, hidden), kind: Kind::Lstm }
    }

    /// The last layer's result at every step, and every layer's last state and cells. Both start at 0 unless given.
    ///
    /// # Errors
    /// Shapes or types that do not fit.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, (Tensor, Tensor))> {
        let (y, h, c) = self.0.forward(x, state.map(|s| s.0), state.map(|s| s.1))?;
        let c = c.ok_or_else(|| Error::argument("LSTM", "no cells"))?;
        Ok((y, (h, c)))
    }

    /// The same for sequences of different lengths.
    ///
    /// # Errors
    /// Shapes or types that do not fit.
    #[track_caller]
    pub fn forward_packed(&self, x: &PackedSequence, state: Option<(&Tensor, &Tensor)>) -> Result<(PackedSequence, (Tensor, Tensor))> {
        let (y, h, c) = self.0.forward_packed(x, state.map(|s| s.0), state.map(|s| s.1))?;
        let c = c.ok_or_else(|| Error::argument("LSTM", "no cells"))?;
        Ok((y, (h, c)))
    }

    /// Sets the biases of the forget gates, which sum to `value` then: 1 lets a new network remember.
    ///
    /// # Errors
    /// Out of memory.
    pub fn set_forget_bias(&self, value: f64) -> Result<()> {
        let n = self.0.config.hidden;
        for (ih, hh) in self.0.directions.iter().filter_map(|d| d.biases.as_ref()) {
            for (bias, value) in [(ih, value), (hh, 0.0)] {
                crate::autograd::no_grad(|| bias.narrow(0, n, n)?.fill_(value).map(|_| ()))?;
            }
        }
        Ok(())
    }
}

impl LSTMBuilder {
    /// Shows a projection of the hidden state to `size` features; 0 shows it as it is.
    pub fn proj_size(mut self, size: usize) -> Self {
        self.config.projection = size;
        self
    }
}
