//! Control flow: graphs that run if, while, and for each.

use taper::{DType, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out};
use crate::graph::Graph;
use crate::host::{Data, Host};
use crate::value::Value;

pub(super) static TABLE: &[Operator] =
    &[op("If", 1, branch), op("Loop", 1, repeat), op("Scan", 8, scan_8), op("Scan", 9, scan), op("SequenceMap", 17, map)];

/// The truth of a value; waits for the device only where the host does not know it.
fn holds(c: &Call<'_>, value: &Value) -> Result<bool> {
    let host = value.array()?.host()?;
    match host.to_floats()[..] {
        [v] => Ok(v != 0.0),
        ref many => Err(c.error(format!("a condition of {} elements", many.len()))),
    }
}

fn branch(c: &Call<'_>) -> Out {
    let name = if holds(c, c.value(0)?)? { "then_branch" } else { "else_branch" };
    c.run(c.graph(name)?, Vec::new())
}

/// The values of each turn, stacked along a new dimension.
struct Collected {
    turns: Vec<Vec<Tensor>>,
}

impl Collected {
    fn new(n: usize) -> Collected {
        Collected { turns: vec![Vec::new(); n] }
    }

    fn push(&mut self, c: &Call<'_>, values: &[Value]) -> Result<()> {
        for (list, value) in self.turns.iter_mut().zip(values) {
            list.push(value.tensor(c.device)?);
        }
        Ok(())
    }

    /// `graph` says the type of what was never made.
    fn stacked(self, c: &Call<'_>, graph: &Graph, first: usize, axis: impl Fn(usize) -> (i64, bool)) -> Out {
        let mut out = Vec::with_capacity(self.turns.len());
        for (i, mut turns) in self.turns.into_iter().enumerate() {
            let (axis, backwards) = axis(i);
            if backwards {
                turns.reverse();
            }
            if turns.is_empty() {
                let port = graph.outputs.get(first + i);
                let dtype = port.and_then(|p| p.elem).map_or(DType::F32, |e| e.storage());
                let sizes = port.and_then(|p| p.shape.as_deref()).unwrap_or_default();
                let fixed = sizes.iter().map(|s| if let crate::graph::Size::Fixed(n) = s { *n } else { 0 });
                let shape: Vec<usize> = std::iter::once(0).chain(fixed).collect();
                out.push(Tensor::zeros(shape, (dtype, c.device))?.into());
            } else {
                let dim = c.dim(axis, turns[0].rank() + 1)?;
                out.push(Tensor::stack(&turns, dim as isize)?.into());
            }
        }
        Ok(out)
    }
}

fn repeat(c: &Call<'_>) -> Out {
    let body = c.graph("body")?;
    let most = if c.has(0) { c.integer(0)? } else { i64::MAX };
    let mut go_on = if c.has(1) { holds(c, c.value(1)?)? } else { true };
    let mut carried: Vec<Option<Value>> = c.inputs.get(2..).unwrap_or_default().to_vec();
    let n = carried.len();
    let scans = body.outputs.len().checked_sub(n + 1).ok_or_else(|| c.error("the body yields too few values"))?;
    let mut collected = Collected::new(scans);
    let mut turn = 0;
    while turn < most && go_on {
        let condition = Host::of(DType::Bool, Vec::new(), Data::Ints(vec![1]));
        let mut inputs = vec![Some(Value::from(Host::int(turn))), Some(condition.into())];
        inputs.append(&mut carried);
        let mut outputs = c.run(body, inputs)?;
        collected.push(c, &outputs.split_off(n + 1))?;
        let condition = outputs.remove(0);
        // Not asked for before the last turn that is allowed: the answer may be far away.
        turn += 1;
        go_on = turn >= most || holds(c, &condition)?;
        carried = outputs.into_iter().map(Some).collect();
    }
    let mut out: Vec<Value> = carried.into_iter().map(|v| v.unwrap_or(Value::None)).collect();
    out.extend(collected.stacked(c, body, n + 1, |_| (0, false))?);
    Ok(out)
}

/// One sweep of `Scan`: `states`, then a slice of each scanned tensor at each turn.
fn sweep(c: &Call<'_>, states: Vec<Value>, scanned: &[(Tensor, usize, bool)], outputs: impl Fn(usize) -> (i64, bool)) -> Out {
    let body = c.graph("body")?;
    let n = states.len();
    let length = scanned.first().map_or(0, |(t, d, _)| t.shape()[*d]);
    if let Some((t, d, _)) = scanned.iter().find(|(t, d, _)| t.shape()[*d] != length) {
        return Err(c.error(format!("dimension {d} of {:?} is not as long as that of the first scanned input, {length}", t.shape())));
    }
    let scans = body.outputs.len().checked_sub(n).ok_or_else(|| c.error("the body yields too few values"))?;
    let mut collected = Collected::new(scans);
    let mut states = states;
    for turn in 0..length {
        let mut inputs: Vec<Option<Value>> = states.into_iter().map(Some).collect();
        for (t, d, backwards) in scanned {
            let at = if *backwards { length - 1 - turn } else { turn };
            inputs.push(Some(t.select(*d as isize, at as isize)?.into()));
        }
        let mut outputs = c.run(body, inputs)?;
        collected.push(c, &outputs.split_off(n))?;
        states = outputs;
    }
    states.extend(collected.stacked(c, body, n, outputs)?);
    Ok(states)
}

fn scan(c: &Call<'_>) -> Out {
    let count = c.sizes(&[c.int("num_scan_inputs", 0)?])?[0];
    let n = c.inputs.len().checked_sub(count).ok_or_else(|| c.error(format!("{count} scanned inputs")))?;
    let list = |name: &str| c.list(name).map(Option::unwrap_or_default);
    let (axes, ways) = (list("scan_input_axes")?, list("scan_input_directions")?);
    let (out_axes, out_ways) = (list("scan_output_axes")?, list("scan_output_directions")?);
    let states = (0..n).map(|i| c.value(i).cloned()).collect::<Result<Vec<_>>>()?;
    let mut scanned = Vec::with_capacity(count);
    for i in 0..count {
        let t = c.tensor(n + i)?;
        let dim = c.dim(axes.get(i).copied().unwrap_or(0), t.rank())?;
        scanned.push((t, dim, ways.get(i) == Some(&1)));
    }
    sweep(c, states, &scanned, |i| (out_axes.get(i).copied().unwrap_or(0), out_ways.get(i) == Some(&1)))
}

/// Before version 9 a scan ran for each batch, over the second dimension.
fn scan_8(c: &Call<'_>) -> Out {
    if c.has(0) {
        return Err(c.error("sequence lengths are not supported"));
    }
    let count = c.sizes(&[c.int("num_scan_inputs", 0)?])?[0];
    let n = c.inputs.len().checked_sub(count + 1).ok_or_else(|| c.error(format!("{count} scanned inputs")))?;
    let ways = c.list("directions")?.unwrap_or_default();
    let all = (1..c.inputs.len()).map(|i| c.tensor(i)).collect::<Result<Vec<_>>>()?;
    let batches = all.first().and_then(|t| t.shape().first().copied()).unwrap_or(0);
    let mut each: Vec<Vec<Tensor>> = Vec::new();
    for b in 0..batches as isize {
        let states = all[..n].iter().map(|t| t.select(0, b).map(Value::from)).collect::<Result<Vec<_>>>()?;
        let mut scanned = Vec::with_capacity(count);
        for (i, t) in all[n..].iter().enumerate() {
            scanned.push((t.select(0, b)?, 0, ways.get(i) == Some(&1)));
        }
        let outputs = sweep(c, states, &scanned, |_| (0, false))?;
        each.push(outputs.iter().map(|v| v.tensor(c.device)).collect::<Result<_>>()?);
    }
    let n = each.first().map_or(0, Vec::len);
    (0..n).map(|i| Ok(Tensor::stack(&each.iter().map(|o| &o[i]).collect::<Vec<_>>(), 0)?.into())).collect()
}

/// A graph for each element of a sequence; other sequences run along, tensors stay the same.
fn map(c: &Call<'_>) -> Out {
    let body = c.graph("body")?;
    let length = c.value(0)?.sequence()?.len();
    let mut out = vec![Vec::with_capacity(length); body.outputs.len()];
    for i in 0..length {
        let mut inputs = Vec::with_capacity(c.inputs.len());
        for j in 0..c.inputs.len() {
            inputs.push(Some(match c.value(j)? {
                Value::Sequence(s) => s.get(i).cloned().ok_or_else(|| c.error("sequences of different lengths"))?,
                same => same.clone(),
            }));
        }
        for (list, value) in out.iter_mut().zip(c.run(body, inputs)?) {
            list.push(value);
        }
    }
    Ok(out.into_iter().map(Value::Sequence).collect())
}
