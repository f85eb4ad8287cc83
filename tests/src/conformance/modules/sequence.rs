//! Recurrent networks.

use taper::Tensor;
use taper::nn;
use taper::ops::registry::Value;

use super::super::outcome::{Outcome, Step};
use super::arguments::Arguments;
use super::{Built, Inputs, classes};

classes! {
    RNN(input_size, hidden_size, num_layers, nonlinearity, bias, batch_first, dropout, bidirectional) |a| {
        let b = nn::RNN::builder(a.size("input_size")?, a.size("hidden_size")?).num_layers(layers(a)?).bias(a.flag("bias", true)?);
        let b = b.batch_first(a.flag("batch_first", false)?).dropout(a.float("dropout", 0.0)?).bidirectional(a.flag("bidirectional", false)?);
        Built::with(b.nonlinearity(nonlinearity(a)?).build(a.options()?)?, |m, i| pair(m.forward(i.needed(0, "input")?, i.tensor(1, "hx")?)?))
    };
    GRU(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional) |a| {
        let b = nn::GRU::builder(a.size("input_size")?, a.size("hidden_size")?).num_layers(layers(a)?).bias(a.flag("bias", true)?);
        let b = b.batch_first(a.flag("batch_first", false)?).dropout(a.float("dropout", 0.0)?).bidirectional(a.flag("bidirectional", false)?);
        Built::with(b.build(a.options()?)?, |m, i| pair(m.forward(i.needed(0, "input")?, i.tensor(1, "hx")?)?))
    };
    LSTM(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size) |a| {
        let b = nn::LSTM::builder(a.size("input_size")?, a.size("hidden_size")?).num_layers(layers(a)?).bias(a.flag("bias", true)?);
        let b = b.batch_first(a.flag("batch_first", false)?).dropout(a.float("dropout", 0.0)?).bidirectional(a.flag("bidirectional", false)?);
        let b = b.proj_size(a.int("proj_size", 0)? as usize);
        Built::with(b.build(a.options()?)?, |m, i| {
            let (y, (h, c)) = m.forward(i.needed(0, "input")?, state(i)?)?;
            Ok(Value::List(vec![y.into(), Value::List(vec![h.into(), c.into()])]))
        })
    };
    RNNCell(input_size, hidden_size, bias, nonlinearity) |a| {
        // PyTorch's own error samples pass the nonlinearity in the place of the bias, where anything true will do.
        let bias = if matches!(a.given("bias"), Some(Value::Str(_))) { true } else { a.flag("bias", true)? };
        let cell = nn::RNNCell::new(a.size("input_size")?, a.size("hidden_size")?, bias, nonlinearity(a)?, a.options()?)?;
        Built::with(cell, |m, i| Ok(m.forward(i.needed(0, "input")?, i.tensor(1, "hx")?)?.into()))
    };
    GRUCell(input_size, hidden_size, bias) |a| {
        let bias = if matches!(a.given("bias"), Some(Value::Str(_))) { true } else { a.flag("bias", true)? };
        let cell = nn::GRUCell::new(a.size("input_size")?, a.size("hidden_size")?, bias, a.options()?)?;
        Built::with(cell, |m, i| Ok(m.forward(i.needed(0, "input")?, i.tensor(1, "hx")?)?.into()))
    };
    LSTMCell(input_size, hidden_size, bias) |a| {
        let cell = nn::LSTMCell::new(a.size("input_size")?, a.size("hidden_size")?, a.flag("bias", true)?, a.options()?)?;
        Built::with(cell, |m, i| pair(m.forward(i.needed(0, "input")?, state(i)?)?))
    };
}

fn layers(a: &Arguments<'_>) -> Step<usize> {
    if a.given("num_layers").is_some() { a.size("num_layers") } else { Ok(1) }
}

fn nonlinearity(a: &Arguments<'_>) -> Step<nn::Nonlinearity> {
    match a.text("nonlinearity", "tanh")?.as_str() {
        "tanh" => Ok(nn::Nonlinearity::Tanh),
        "relu" => Ok(nn::Nonlinearity::Relu),
        other => Err(Outcome::by_type(format!("nonlinearity: '{other}'"))),
    }
}

fn pair((a, b): (Tensor, Tensor)) -> Step<Value> {
    Ok(Value::List(vec![a.into(), b.into()]))
}

/// A state and cells, if given.
fn state(inputs: &Inputs) -> Step<Option<(&Tensor, &Tensor)>> {
    match inputs.get(1, "hx") {
        None => Ok(None),
        Some(Value::List(list)) if list.len() == 2 => Ok(Some((list[0].tensor()?, list[1].tensor()?))),
        Some(other) => Err(Outcome::by_type(format!("the state cannot be {other:?}"))),
    }
}
