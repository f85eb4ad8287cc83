//! Weights of TensorFlow/Keras and JAX/Flax models in PyTorch's names and layouts, which are Taper's.
//!
//! | there | here |
//! |---|---|
//! | dense `kernel [in, out]` | `weight [out, in]` |
//! | convolution `kernel [.., in, out]` (1, 2 or 3 dimensions) | `weight [out, in, ..]` |
//! | depthwise `depthwise_kernel [h, w, in, times]` | `weight [in * times, 1, h, w]`, `groups = in` |
//! | separable `depthwise_kernel`, `pointwise_kernel`, `bias` | `depthwise.weight`, `pointwise.weight`, `pointwise.bias` |
//! | attention `query/kernel [in, heads, size]`, `out/kernel [heads, size, out]` | `weight [heads * size, in]`, `[out, heads * size]` |
//! | `gamma`, `scale`; `beta` | `weight`; `bias` |
//! | `moving_mean`, `mean`; `moving_variance`, `var` | `running_mean`; `running_var` |
//! | `embeddings`, `embedding` | `weight` |
//! | Keras LSTM (gates i f c o), GRU (z r h, `reset_after`), simple RNN | `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0` |
//! | Flax LSTM (`ii if ig io hi hf hg ho`), GRU (`ir iz in hr hz hn`) | the same |
//!
//! Names are joined by points; `:0`, `params`, `batch_stats` and a recurrent layer's cell fall away, the halves of a
//! bidirectional layer become one with `_reverse`. Whatever else there is keeps its name and layout. Transposed convolutions
//! of Flax run the other way and are not recognised; Keras' are as convolutions.

use std::collections::BTreeMap;

use taper::nn::StateDict;
use taper::{Error, Result, Tensor};

/// Converts the weights of a Keras or Flax model, named by paths (`dense/kernel:0`, `params/Dense_0/kernel`).
///
/// # Errors
/// Weights that do not fit what their names say; a GRU that resets before its product (`reset_after=False`), which PyTorch
/// does not have; two weights that would have one name.
///
/// ```
/// # use taper::prelude::*; use taper_files::layout; fn main() -> taper::Result<()> {
/// let theirs = taper::nn::StateDict::from([
///     ("dense/kernel:0".to_string(), Tensor::ones([3, 2], &Device::cpu())?),
///     ("dense/bias:0".to_string(), Tensor::ones([2], &Device::cpu())?),
/// ]);
/// let ours = layout::to_pytorch(&theirs)?;
/// assert_eq!(ours["dense.weight"].shape(), [2, 3]);
/// # Ok(()) }
/// ```
pub fn to_pytorch(tensors: &StateDict) -> Result<StateDict> {
    let mut layers: BTreeMap<String, BTreeMap<String, Tensor>> = BTreeMap::new();
    for (name, tensor) in tensors {
        let (layer, leaf) = place(name);
        if layers.entry(layer.clone()).or_default().insert(leaf.clone(), tensor.clone()).is_some() {
            return Err(wrong(&layer, &format!("there are two '{leaf}'")));
        }
    }
    let mut out = StateDict::new();
    for (layer, weights) in layers {
        for (leaf, tensor) in converted(&layer, weights)? {
            let name = if layer.is_empty() { leaf } else { format!("{layer}.{leaf}") };
            // The other half of a bidirectional layer.
            let name = match name.split_once(REVERSE) {
                Some((before, after)) => format!("{before}{after}_reverse"),
                None => name,
            };
            if out.insert(name.clone(), tensor).is_some() {
                return Err(wrong(&layer, &format!("two weights would be {name}")));
            }
        }
    }
    Ok(out)
}

/// Marks the layer that runs backward: no name has this.
const REVERSE: &str = "\0";

/// The parts of a Flax cell: input or hidden, and the gate.
const GATES: [&str; 11] = ["ii", "if", "ig", "io", "hi", "hf", "hg", "ho", "ir", "iz", "in"];
const MORE_GATES: [&str; 3] = ["hr", "hz", "hn"];

fn wrong(layer: &str, why: &str) -> Error {
    Error::argument("to_pytorch", format!("{layer}: {why}"))
}

/// The layer of a weight and its name in it; a Flax cell's gates are part of that.
fn place(name: &str) -> (String, String) {
    let name = name.rsplit_once(':').filter(|(_, n)| n.bytes().all(|b| b.is_ascii_digit())).map_or(name, |(n, _)| n);
    let mut path: Vec<&str> = name.split(['/', '.']).filter(|p| !p.is_empty()).collect();
    if path.len() > 1 && matches!(path[0], "params" | "batch_stats") {
        path.remove(0);
    }
    let mut leaf = path.pop().unwrap_or(name).to_string();
    let mut layer: Vec<String> = path.into_iter().map(str::to_string).collect();
    if let Some(gate) = layer.last().filter(|l| GATES.contains(&l.as_str()) || MORE_GATES.contains(&l.as_str())) {
        leaf = format!("{gate}.{leaf}");
        layer.pop();
    }
    let is_cell = |l: &String| l == "cell" || ["lstm_cell", "gru_cell", "simple_rnn_cell"].iter().any(|c| l.starts_with(c));
    if layer.len() > 1 && layer.last().is_some_and(is_cell) {
        layer.pop();
    }
    let recurrent = |l: &str| ["lstm", "gru", "simple_rnn", "rnn"].iter().any(|c| l.starts_with(c));
    if layer.len() > 1
        && let Some(last) = layer.last().cloned()
    {
        if last.strip_prefix("forward_").is_some_and(recurrent) {
            layer.pop();
        } else if last.strip_prefix("backward_").is_some_and(recurrent) {
            layer.pop();
            return (layer.join(".") + REVERSE, leaf);
        }
    }
    (layer.join("."), leaf)
}

type Weights = BTreeMap<String, Tensor>;

fn converted(layer: &str, mut weights: Weights) -> Result<Vec<(String, Tensor)>> {
    if weights.contains_key("recurrent_kernel") {
        return keras_cell(layer, weights);
    }
    if weights.contains_key("hi.kernel") || weights.contains_key("hr.kernel") {
        return flax_cell(layer, weights);
    }
    let separable = weights.contains_key("pointwise_kernel");
    let part = layer.rsplit('.').next().unwrap_or_default();
    let (heads_out, heads_in) = (matches!(part, "query" | "key" | "value"), matches!(part, "out" | "attention_output"));
    let mut out = Vec::new();
    while let Some((leaf, t)) = weights.pop_first() {
        let converted = match (&leaf[..], t.rank()) {
            ("kernel", 3) if heads_out => ("weight", t.flatten(1, 2)?.t()?),
            ("bias", 2) if heads_out => ("bias", t.flatten(0, 1)?),
            ("kernel", 3) if heads_in => ("weight", t.flatten(0, 1)?.t()?),
            ("kernel", 2..=5) => ("weight", outer_first(&t)?),
            ("pointwise_kernel", 3..=4) => ("pointwise.weight", outer_first(&t)?),
            ("depthwise_kernel", 4) => {
                let (channels, times) = (t.shape()[2], t.shape()[3]);
                let (h, w) = (t.shape()[0], t.shape()[1]);
                let weight = t.permute([2, 3, 0, 1])?.reshape([channels * times, 1, h, w])?;
                (if separable { "depthwise.weight" } else { "weight" }, weight)
            }
            ("bias", _) if separable => ("pointwise.bias", t),
            ("gamma" | "scale", _) => ("weight", t),
            ("beta", _) => ("bias", t),
            ("moving_mean" | "mean", _) => ("running_mean", t),
            ("moving_variance" | "var", _) => ("running_var", t),
            ("embeddings" | "embedding", 2) => ("weight", t),
            _ => (&leaf[..], t),
        };
        out.push((converted.0.to_string(), converted.1));
    }
    Ok(out)
}

/// `[.., in, out]` as `[out, in, ..]`.
fn outer_first(t: &Tensor) -> Result<Tensor> {
    let n = t.rank() as isize;
    let order: Vec<isize> = [n - 1, n - 2].into_iter().chain(0..n - 2).collect();
    t.permute(&order[..])?.contiguous()
}

fn cell(ih: Tensor, hh: Tensor, biases: Option<(Tensor, Tensor)>) -> Vec<(String, Tensor)> {
    let mut out = vec![("weight_ih_l0".to_string(), ih), ("weight_hh_l0".to_string(), hh)];
    if let Some((ih, hh)) = biases {
        out.extend([("bias_ih_l0".to_string(), ih), ("bias_hh_l0".to_string(), hh)]);
    }
    out
}

/// `kernel [in, gates * size]`, `recurrent_kernel [size, gates * size]`, and the biases.
fn keras_cell(layer: &str, mut weights: Weights) -> Result<Vec<(String, Tensor)>> {
    let (Some(kernel), Some(recurrent)) = (weights.remove("kernel"), weights.remove("recurrent_kernel")) else {
        return Err(wrong(layer, "a recurrent kernel without a kernel"));
    };
    let (&[_, wide], &[size, wide_too]) = (kernel.shape(), recurrent.shape()) else {
        return Err(wrong(layer, "kernels that are no matrices"));
    };
    let gates = wide.checked_div(size).unwrap_or(0);
    if wide != wide_too || gates * size != wide || !matches!(gates, 1 | 3 | 4) {
        return Err(wrong(layer, &format!("kernels of {:?} and {:?} are no cell's", kernel.shape(), recurrent.shape())));
    }
    // A GRU's update gate comes first there, its reset gate here.
    let ordered = |rows: &Tensor| -> Result<Tensor> {
        if gates != 3 {
            return rows.contiguous();
        }
        let gate = |i: usize| rows.narrow(0, i * size, size);
        Tensor::cat(&[gate(1)?, gate(0)?, gate(2)?], 0)
    };
    let biases = match weights.remove("bias") {
        None => None,
        Some(bias) => Some(match (gates, bias.shape()) {
            (3, &[2, n]) if n == wide => (ordered(&bias.select(0, 0)?)?, ordered(&bias.select(0, 1)?)?),
            (3, _) => return Err(wrong(layer, "a GRU that resets before its product (reset_after=False) is no PyTorch GRU")),
            (_, &[n]) if n == wide => (bias.clone(), bias.zeros_like()?),
            (_, shape) => return Err(wrong(layer, &format!("a bias of {shape:?}"))),
        }),
    };
    if let Some(name) = weights.keys().next() {
        return Err(wrong(layer, &format!("a cell has no '{name}'")));
    }
    Ok(cell(ordered(&kernel.t()?)?, ordered(&recurrent.t()?)?, biases))
}

/// A kernel for each gate of input and hidden state; the biases are the hidden state's in an LSTM, the input's in a GRU, where
/// only the new gate has another.
fn flax_cell(layer: &str, mut weights: Weights) -> Result<Vec<(String, Tensor)>> {
    let lstm = weights.contains_key("hi.kernel");
    let gates: &[&str] = if lstm { &["i", "f", "g", "o"] } else { &["r", "z", "n"] };
    let mut stack = |side: &str| -> Result<(Tensor, Vec<Option<Tensor>>)> {
        let (mut kernels, mut biases) = (Vec::new(), Vec::new());
        for gate in gates {
            let kernel = weights.remove(&format!("{side}{gate}.kernel"));
            let kernel = kernel.filter(|k| k.rank() == 2).ok_or_else(|| wrong(layer, &format!("there is no '{side}{gate}/kernel'")))?;
            kernels.push(kernel.t()?);
            biases.push(weights.remove(&format!("{side}{gate}.bias")));
        }
        Ok((Tensor::cat(&kernels, 0)?, biases))
    };
    let ((ih, ih_biases), (hh, hh_biases)) = (stack("i")?, stack("h")?);
    if let Some(name) = weights.keys().next() {
        return Err(wrong(layer, &format!("a cell has no '{name}'")));
    }
    if ih_biases.iter().chain(&hh_biases).all(Option::is_none) {
        return Ok(cell(ih, hh, None));
    }
    let size = hh.shape()[1];
    let filled = |biases: Vec<Option<Tensor>>| -> Result<Tensor> {
        let zeros = || hh.new_zeros([size]);
        let all = biases.into_iter().map(|b| b.map_or_else(zeros, Ok)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&all, 0)
    };
    Ok(cell(ih, hh.clone(), Some((filled(ih_biases)?, filled(hh_biases)?))))
}

#[cfg(test)]
mod tests;
