//! Kind "op": one call of an operator, its results and its gradients.

use serde_json::Value as Json;
use taper::autograd;
use taper::ops::registry::{self, Value};
use taper::{Device, Tensor};

use super::compare::{self, Check, Tolerance};
use super::make::{Maker, allowed, download};
use super::outcome::{Outcome, Step};
use super::suite::{File, dtype};

/// Runs one sample.
pub fn sample(file: &File, sample: &Json, device: &Device) -> Step<()> {
    let head = |k: &str| file.json.get(k).and_then(Json::as_str).unwrap_or_default();
    let name = registry_name(head("op"), head("call"));
    if !exists(&name) {
        return Err(Outcome::Missing(name));
    }
    // What the result is made of has to exist on the device too.
    for dtype in sample["dtypes"].as_array().into_iter().flatten().filter_map(|d| dtype(d.as_str()?)) {
        allowed(dtype, device)?;
    }
    let mut maker = Maker::new(file, device);
    let (mut args, kwargs) = (maker.list(&sample["args"])?, maker.kwargs(&sample["kwargs"])?);
    if name.ends_with("item__")
        && let (Some(Json::Array(_)), Some(index)) = (sample["args"].get(1), args.get_mut(1))
    {
        // A list is one index of integers; a tuple is several indices.
        *index = Value::List(vec![index.clone()]);
    }
    if is_inplace(&name)
        && let Some(Value::Tensor(x)) = args.first()
    {
        args[0] = registry::call("clone", &[x.into()], &[], device)?;
    }
    let result = call(&name, &args, &kwargs, device)?;
    let check = if sample["check"] == "shape" { Check::Shape } else { Check::Values };
    let tolerance = Tolerance::of(sample);
    if has_tag(sample, "ties") {
        ties(&result, sample, &maker, tolerance)?;
    } else {
        compare::value(&result, &sample["output"], &maker, tolerance, check, "result")?;
    }
    match sample.get("grad") {
        Some(grad) => gradients(&result, &sample["output"], grad, &maker),
        None => Ok(()),
    }
}

/// The name an operator is registered under.
pub fn registry_name(op: &str, call: &str) -> String {
    if let Some(method) = op.strip_prefix("inplace.") {
        return method.to_string();
    }
    let path = call.strip_prefix("torch.ops.aten.").map(|p| p.trim_end_matches(".Tensor").trim_end_matches(".default"));
    let path = path.or_else(|| call.strip_prefix("torch.Tensor.")).or_else(|| call.strip_prefix("torch."));
    match path {
        Some(path) if !path.contains(' ') => path.to_string(),
        // Tier X describes compositions in words.
        _ => op.to_string(),
    }
}

fn is_inplace(name: &str) -> bool {
    name == "__setitem__" || name.ends_with('_') && !name.ends_with("__")
}

/// Operators, and the compositions of tier X.
pub fn exists(name: &str) -> bool {
    let name = name.strip_prefix("gradgrad.").map_or(name, |inner| Composed::of(inner).name);
    registry::exists(name)
}

fn call(name: &str, args: &[Value], kwargs: &[(&str, Value)], device: &Device) -> Step<Value> {
    match name.strip_prefix("gradgrad.") {
        None => Ok(registry::call(name, args, kwargs, device)?),
        Some(inner) => gradients_of_squares(&Composed::of(inner), args, device),
    }
}

/// `g = grad((f(args)^2).sum(), args, create_graph=True)`, of which the gradient is then taken once more.
fn gradients_of_squares(f: &Composed, args: &[Value], device: &Device) -> Step<Value> {
    let out = registry::call(f.name, &(f.args)(args, device)?, &f.kwargs, device)?;
    let out = out.tensor()?;
    let loss = out.mul(out)?.sum_all()?;
    let inputs: Vec<&Tensor> = args.iter().filter_map(|a| a.tensor().ok()).collect();
    let grads = autograd::grad(&[&loss], &inputs, &[None], true, true)?;
    let grads: Vec<Value> = grads.into_iter().map(|g| g.map_or(Value::None, Value::Tensor)).collect();
    // PyTorch's function returned a tuple, and the recording a single tensor when it was alone.
    Ok(match <[Value; 1]>::try_from(grads) {
        Ok([one]) => Value::List(vec![one]),
        Err(many) => Value::List(many),
    })
}

/// The function of a `gradgrad` sample, as the suite writes it in words.
struct Composed {
    name: &'static str,
    args: Box<dyn Fn(&[Value], &Device) -> Step<Vec<Value>>>,
    kwargs: Vec<(&'static str, Value)>,
}

impl Composed {
    fn of(words: &str) -> Composed {
        let with = |name: &'static str, more: Vec<Value>, kwargs: Vec<(&'static str, Value)>| {
            let args = move |given: &[Value], _: &Device| Ok(given.iter().chain(&more).cloned().collect());
            Composed { name, args: Box::new(args), kwargs }
        };
        let int = Value::Int;
        match words {
            "matmul" => with("matmul", vec![], vec![]),
            "mul" => with("mul", vec![], vec![]),
            "tanh" => with("tanh", vec![], vec![]),
            "sigmoid" => with("sigmoid", vec![], vec![]),
            "exp" => with("exp", vec![], vec![]),
            "softmax(dim=-1)" => with("softmax", vec![int(-1)], vec![]),
            "log_softmax(dim=-1)" => with("log_softmax", vec![int(-1)], vec![]),
            "conv2d(padding=1)" => with("nn.functional.conv2d", vec![], vec![("padding", int(1))]),
            "layer_norm(last dim)" => Composed {
                name: "nn.functional.layer_norm",
                args: Box::new(|given, _| {
                    let [x, rest @ ..] = given else { return Err(Outcome::failed("layer_norm without an input")) };
                    let last = x.tensor()?.shape().last().copied().unwrap_or(1);
                    Ok([x.clone(), Value::List(vec![last.into()])].into_iter().chain(rest.iter().cloned()).collect())
                }),
                kwargs: vec![],
            },
            "linear" => with("nn.functional.linear", vec![], vec![]),
            "gelu" => with("nn.functional.gelu", vec![], vec![]),
            "silu" => with("nn.functional.silu", vec![], vec![]),
            "softplus" => with("nn.functional.softplus", vec![], vec![]),
            "sum(dim=1)" => with("sum", vec![int(1)], vec![]),
            "mean" => with("mean", vec![], vec![]),
            "pow(3)" => with("pow", vec![int(3)], vec![]),
            "div" => with("div", vec![], vec![]),
            "sqrt" => with("sqrt", vec![], vec![]),
            "log" => with("log", vec![], vec![]),
            "index_select(0,[0,2,2])" => Composed {
                name: "index_select",
                args: Box::new(|given, device| {
                    let index = Tensor::from_vec(vec![0i64, 2, 2], [3], device)?;
                    Ok(given.iter().cloned().chain([Value::Int(0), index.into()]).collect())
                }),
                kwargs: vec![],
            },
            "var(dim=1)" => with("var", vec![int(1)], vec![]),
            "logsumexp(1)" => with("logsumexp", vec![int(1)], vec![]),
            "bmm" => with("bmm", vec![], vec![]),
            "norm" => with("norm", vec![], vec![]),
            "cumsum(1)" => with("cumsum", vec![int(1)], vec![]),
            "avg_pool2d(2)" => with("nn.functional.avg_pool2d", vec![int(2)], vec![]),
            "max_pool2d(2)" => with("nn.functional.max_pool2d", vec![int(2)], vec![]),
            "batch_norm(train)" => Composed {
                name: "nn.functional.batch_norm",
                args: Box::new(|given, _| {
                    let [x, rest @ ..] = given else { return Err(Outcome::failed("batch_norm without an input")) };
                    Ok([x.clone(), Value::None, Value::None].into_iter().chain(rest.iter().cloned()).collect())
                }),
                kwargs: vec![("training", Value::Bool(true))],
            },
            "sdpa" => with("nn.functional.scaled_dot_product_attention", vec![], vec![]),
            _ => with("(no such composition)", vec![], vec![]),
        }
    }
}

pub fn has_tag(sample: &Json, tag: &str) -> bool {
    sample.get("tags").and_then(Json::as_array).is_some_and(|tags| tags.iter().any(|t| t == tag))
}

/// Compares results whose indices are not unique: the values as usual, an index by the element it points at.
fn ties(result: &Value, sample: &Json, maker: &Maker<'_>, tolerance: Tolerance) -> Step<()> {
    let expected = &sample["output"];
    let leaves = |v: &Value| match v {
        Value::List(list) => list.clone(),
        one => vec![one.clone()],
    };
    let keys = tensor_keys(expected);
    let got = leaves(result);
    if got.len() != keys.len() {
        return compare::value(result, expected, maker, tolerance, Check::Values, "result");
    }
    let input = sample["args"][0]["tensor"].as_str().ok_or_else(|| Outcome::failed("ties without an input"))?;
    let position = sample["arg_names"].as_array().and_then(|names| names.iter().position(|n| n == "dim"));
    // Operators over one dimension take the last one by default, those over all elements have one result.
    let dim = position.and_then(|i| sample["args"][i].as_i64()).or_else(|| sample["kwargs"]["dim"].as_i64());
    let dim = dim.or_else(|| (keys.len() > 1).then_some(-1));
    for (i, (got, key)) in got.iter().zip(&keys).enumerate() {
        let (at, mut stored) = (format!("result[{i}]"), maker.stored(key)?.clone());
        if stored.dtype == Some(taper::DType::I64) && (i == 1 || keys.len() == 1) {
            stored = compare::accept_ties(&download(got.tensor()?)?, &stored, maker.stored(input)?, dim);
        }
        compare::tensor(got.tensor()?, &stored, tolerance, Check::Values, &at)?;
    }
    Ok(())
}

/// The keys of the tensors in a recorded value, in order.
fn tensor_keys(v: &Json) -> Vec<String> {
    let mut keys = Vec::new();
    pair_up(&mut keys, v, None);
    keys.into_iter().map(|(key, _)| key).collect()
}

/// The tensors of a recorded value, in order, with the results at the same places.
fn pair_up<'v>(out: &mut Vec<(String, Option<&'v Value>)>, expected: &Json, got: Option<&'v Value>) {
    if let Some(key) = expected.get("tensor").and_then(Json::as_str) {
        out.push((key.to_string(), got));
    }
    let list = expected.as_array().or_else(|| expected.get("tuple").and_then(Json::as_array));
    for (i, e) in list.into_iter().flatten().enumerate() {
        let inner = match got {
            Some(Value::List(items)) => items.get(i),
            _ => None,
        };
        pair_up(out, e, inner);
    }
}

/// Runs backward from the listed outputs with the recorded cotangents, and compares the gradients of the inputs.
fn gradients(result: &Value, output: &Json, grad: &Json, maker: &Maker<'_>) -> Step<()> {
    let mut results = Vec::new();
    pair_up(&mut results, output, Some(result));
    let text = |v: &Json, k: &str| v.get(k).and_then(Json::as_str).map(str::to_string);
    let listed = |k: &str| grad.get(k).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let (mut outputs, mut cotangents) = (Vec::new(), Vec::new());
    for o in listed("outputs") {
        let (Some(key), Some(cotangent)) = (text(o, "output"), text(o, "cotangent")) else { continue };
        let found = results.iter().find(|(k, _)| *k == key).and_then(|(_, v)| v.and_then(|v| v.tensor().ok()));
        outputs.push(found.ok_or_else(|| Outcome::failed(format!("there is no result {key}")))?.clone());
        cotangents.push(maker.tensor(&cotangent)?);
    }
    let mut inputs = Vec::new();
    for i in listed("inputs") {
        let key = text(i, "input").unwrap_or_default();
        let input = maker.made(&key).ok_or_else(|| Outcome::failed(format!("there is no input {key}")))?;
        inputs.push((input.clone(), text(i, "grad")));
    }
    compare_gradients(&outputs, &cotangents, &inputs, maker, Tolerance::of(grad), |i| format!("gradient {i}"))
}

/// Compares the gradients of `inputs` with the recorded ones. Where nothing was recorded, zero is right too; where the
/// engine has none (an output that does not depend on the inputs does not require a gradient here), it is zero.
pub fn compare_gradients(
    outputs: &[Tensor],
    cotangents: &[Tensor],
    inputs: &[(Tensor, Option<String>)],
    maker: &Maker<'_>,
    tolerance: Tolerance,
    name: impl Fn(usize) -> String,
) -> Step<()> {
    let differentiable = outputs.iter().zip(cotangents).filter(|(o, _)| o.requires_grad());
    let (outputs, given): (Vec<&Tensor>, Vec<Option<&Tensor>>) = differentiable.map(|(o, c)| (o, Some(c))).unzip();
    let wanted: Vec<&Tensor> = inputs.iter().map(|(t, _)| t).collect();
    let found = if wanted.is_empty() || outputs.is_empty() {
        vec![None; wanted.len()]
    } else {
        autograd::grad(&outputs, &wanted, &given, false, false)?
    };
    for (i, (found, (input, key))) in found.iter().zip(inputs).enumerate() {
        let zeros = || Tensor::zeros(input.shape(), (input.dtype(), input.device()));
        let found = match found {
            Some(g) => g.clone(),
            None => zeros()?,
        };
        let expected = match key {
            Some(key) => maker.stored(key)?.clone(),
            None => download(&zeros()?)?,
        };
        compare::tensor(&found, &expected, tolerance, Check::Values, &name(i))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_public_path() {
        assert_eq!(registry_name("max/binary", "torch.max"), "max");
        assert_eq!(registry_name("expand", "torch.Tensor.expand"), "expand");
        assert_eq!(registry_name("nn.functional.elu", "torch.nn.functional.elu"), "nn.functional.elu");
        assert_eq!(registry_name("slice", "torch.ops.aten.slice.Tensor"), "slice");
        assert_eq!(registry_name("inplace.add_", "y = x.clone(); y.add_(...); return y"), "add_");
        assert_eq!(registry_name("__setitem__", "y = x.clone(); y[index] = value; return y"), "__setitem__");
    }
}
