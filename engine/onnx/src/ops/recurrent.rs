//! `RNN`, `GRU` and `LSTM`: gates, and a walk over time in one or both directions.

use taper::{DType, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out};
use crate::value::Value;

pub(super) static TABLE: &[Operator] = &[
    op("GRU", 1, |c| recurrent(c, &["Sigmoid", "Tanh"], gru)),
    op("LSTM", 1, |c| recurrent(c, &["Sigmoid", "Tanh", "Tanh"], lstm)),
    op("RNN", 1, |c| recurrent(c, &["Tanh"], rnn)),
];

/// What one direction works with.
struct Direction<'a> {
    c: &'a Call<'a>,
    /// `[hidden, gates]`, the recurrent weights.
    r: Tensor,
    /// The recurrent biases, `[gates]`.
    rb: Option<Tensor>,
    /// Peepholes of an LSTM, `[3 * hidden]`.
    p: Option<Tensor>,
    hidden: usize,
    activations: Vec<Activation>,
}

struct Activation {
    name: String,
    alpha: Option<f64>,
    beta: Option<f64>,
}

impl Activation {
    fn of(&self, x: &Tensor) -> Result<Tensor> {
        let (a, b) = (|d: f64| self.alpha.unwrap_or(d), |d: f64| self.beta.unwrap_or(d));
        match self.name.to_lowercase().as_str() {
            "relu" => x.relu(),
            "tanh" => x.tanh(),
            "sigmoid" => x.sigmoid(),
            "affine" => x.mul(a(1.0))?.add(b(0.0)),
            "leakyrelu" => x.leaky_relu(a(0.01)),
            "thresholdedrelu" => x.threshold(a(1.0), 0.0),
            "scaledtanh" => x.mul(b(1.0))?.tanh()?.mul(a(1.0)),
            "hardsigmoid" => super::maths::hard_sigmoid(x, a(0.2), b(0.5)),
            "elu" => x.elu(a(1.0)),
            "softsign" => x.softsign(),
            "softplus" => x.softplus(1.0, 20.0),
            other => Err(taper::Error::unsupported("onnx", format!("activation '{other}'"))),
        }
    }
}

impl Direction<'_> {
    /// The activation, after `clip`.
    fn activate(&self, i: usize, x: &Tensor) -> Result<Tensor> {
        let activation = self.activations.get(i).ok_or_else(|| self.c.error(format!("activation {i} is missing")))?;
        match self.c.maybe_float("clip")? {
            Some(limit) => activation.of(&x.clamp(-limit, limit)?),
            None => activation.of(x),
        }
    }

    /// Gate `i` of a row of gates.
    fn gate(&self, x: &Tensor, i: usize) -> Result<Tensor> {
        x.narrow(-1, i * self.hidden, self.hidden)
    }

    fn recurrent(&self, h: &Tensor) -> Result<Tensor> {
        let y = h.matmul(&self.r)?;
        match &self.rb {
            Some(b) => y.add(b),
            None => Ok(y),
        }
    }
}

/// A step: the input's share of the gates, the hidden state and the cell; the new ones.
type Step = fn(&Direction<'_>, &Tensor, &Tensor, &Tensor) -> Result<(Tensor, Tensor)>;

fn rnn(d: &Direction<'_>, x: &Tensor, h: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
    Ok((d.activate(0, &x.add(d.recurrent(h)?)?)?, cell.clone()))
}

/// Gates z, r, h.
fn gru(d: &Direction<'_>, x: &Tensor, h: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
    let own = d.recurrent(h)?;
    let z = d.activate(0, &d.gate(x, 0)?.add(d.gate(&own, 0)?)?)?;
    let r = d.activate(0, &d.gate(x, 1)?.add(d.gate(&own, 1)?)?)?;
    let candidate = if d.c.flag("linear_before_reset", false)? {
        d.gate(x, 2)?.add(r.mul(d.gate(&own, 2)?)?)?
    } else {
        let own = d.recurrent(&r.mul(h)?)?;
        d.gate(x, 2)?.add(d.gate(&own, 2)?)?
    };
    let candidate = d.activate(1, &candidate)?;
    // (1 - z) * candidate + z * h
    Ok((candidate.add(z.mul(h.sub(&candidate)?)?)?, cell.clone()))
}

/// Gates i, o, f, c.
fn lstm(d: &Direction<'_>, x: &Tensor, h: &Tensor, cell: &Tensor) -> Result<(Tensor, Tensor)> {
    let gates = x.add(d.recurrent(h)?)?;
    let peep = |x: Tensor, i: usize, cell: &Tensor| match &d.p {
        Some(p) => x.add(d.gate(p, i)?.mul(cell)?),
        None => Ok(x),
    };
    let i = d.activate(0, &peep(d.gate(&gates, 0)?, 0, cell)?)?;
    let f = match d.c.flag("input_forget", false)? {
        true => i.neg()?.add(1)?,
        false => d.activate(0, &peep(d.gate(&gates, 2)?, 2, cell)?)?,
    };
    let cell = f.mul(cell)?.add(i.mul(d.activate(1, &d.gate(&gates, 3)?)?)?)?;
    let o = d.activate(0, &peep(d.gate(&gates, 1)?, 1, &cell)?)?;
    Ok((o.mul(d.activate(2, &cell)?)?, cell))
}

/// Steps of time in reverse order; with lengths only as many as each batch has.
fn reversed(x: &Tensor, lengths: Option<&Tensor>) -> Result<Tensor> {
    let Some(lengths) = lengths else { return x.flip(0) };
    let t = Tensor::arange(0, x.shape()[0], 1, (DType::I64, x.device()))?.unsqueeze(1)?;
    let turned = lengths.sub(1)?.sub(&t)?;
    let at = turned.where_(&t.lt(lengths)?, &t)?;
    x.gather(0, &at.unsqueeze(-1)?.broadcast_to(x.shape())?)
}

fn recurrent(c: &Call<'_>, defaults: &[&str], step: Step) -> Out {
    let is_lstm = defaults.len() == 3;
    let batch_first = c.flag("layout", false)?;
    let turn = |t: Tensor| if batch_first { t.transpose(0, 1) } else { Ok(t) };
    let (x, w, r) = (turn(c.tensor(0)?)?, c.tensor(1)?, c.tensor(2)?);
    let (&[steps, batch, _], &[directions, gates, hidden]) = (x.shape(), r.shape()) else {
        return Err(c.error(format!("the input {:?} and the weights {:?} should have 3 dimensions", x.shape(), r.shape())));
    };
    let way = c.text("direction", "forward")?;
    let backwards = |d: usize| way == "reverse" || d == 1;
    if directions != if way == "bidirectional" { 2 } else { 1 } {
        return Err(c.error(format!("weights for {directions} directions, direction '{way}'")));
    }
    let b = c.maybe(3)?;
    let lengths = c.maybe(4)?.map(|l| l.to_dtype(DType::I64)).transpose()?;
    let state = |i: usize| -> Result<Tensor> {
        match c.maybe(i)? {
            Some(t) => turn(t),
            None => Tensor::zeros([directions, batch, hidden], (x.dtype(), c.device)),
        }
    };
    let (h0, c0) = (state(5)?, if is_lstm { state(6)? } else { state(usize::MAX)? });
    let peepholes = if is_lstm { c.maybe(7)? } else { None };
    let names = c.texts("activations")?.unwrap_or_default();
    let (alphas, betas) = (c.float_list("activation_alpha")?.unwrap_or_default(), c.float_list("activation_beta")?.unwrap_or_default());
    let (mut ys, mut hs, mut cs) = (vec![], vec![], vec![]);
    for d in 0..directions {
        let at = d as isize;
        // Activations in order; alphas and betas only for those given.
        let activation = |i: usize| {
            let place = d * defaults.len() + i;
            let name = names.get(place).cloned().unwrap_or_else(|| defaults[i].to_string());
            Activation { name, alpha: alphas.get(place).copied(), beta: betas.get(place).copied() }
        };
        let halves = b.as_ref().map(|b| b.select(0, at)).transpose()?;
        let half = |i: usize| halves.as_ref().map(|b| b.narrow(0, i * gates, gates)).transpose();
        let direction = Direction {
            c,
            r: r.select(0, at)?.t()?,
            rb: half(1)?,
            p: peepholes.as_ref().map(|p| p.select(0, at)).transpose()?,
            hidden,
            activations: (0..defaults.len()).map(activation).collect(),
        };
        let seen = if backwards(d) { reversed(&x, lengths.as_ref())? } else { x.clone() };
        // The input's share of all steps at once.
        let mut given = seen.matmul(&w.select(0, at)?.t()?)?;
        if let Some(wb) = half(0)? {
            given = given.add(wb)?;
        }
        let (mut h, mut cell) = (h0.select(0, at)?, c0.select(0, at)?);
        let mut all = Vec::with_capacity(steps);
        for t in 0..steps {
            let (next, next_cell) = step(&direction, &given.select(0, t as isize)?, &h, &cell)?;
            match &lengths {
                None => {
                    all.push(next.clone());
                    (h, cell) = (next, next_cell);
                }
                // Past its end a sequence keeps its state and yields zeros.
                Some(lengths) => {
                    let alive = lengths.gt(t as i64)?.unsqueeze(1)?;
                    all.push(next.masked_fill(&alive.logical_not()?, 0)?);
                    (h, cell) = (next.where_(&alive, &h)?, next_cell.where_(&alive, &cell)?);
                }
            }
        }
        let y = Tensor::stack(&all, 0)?;
        ys.push(if backwards(d) { reversed(&y, lengths.as_ref())? } else { y });
        hs.push(h);
        cs.push(cell);
    }
    // [steps, directions, batch, hidden]
    let y = Tensor::stack(&ys, 1)?;
    let y = if batch_first { y.permute([2, 0, 1, 3])? } else { y };
    let last = |states: &[Tensor]| -> Result<Value> { Ok(turn(Tensor::stack(states, 0)?)?.into()) };
    let mut out = vec![Value::from(y), last(&hs)?];
    if is_lstm {
        out.push(last(&cs)?);
    }
    Ok(out)
}
