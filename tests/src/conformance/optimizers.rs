//! Kind "optimizer": ten steps with given gradients, or with a function to minimise.

use serde_json::Value as Json;
use taper::ops::registry::Value;
use taper::optim::{self, BoxedOptimizer, Options};
use taper::{Device, Tensor, no_grad};

use super::compare::{self, Check, Tolerance};
use super::make::{Maker, floats};
use super::outcome::{Outcome, Step};
use super::suite::File;

pub fn sample(file: &File, sample: &Json, device: &Device) -> Step<()> {
    if sample["unstable"] == Json::Bool(true) {
        return Err(Outcome::Skipped("unstable in PyTorch".into()));
    }
    let name = file.json["optimizer"].as_str().unwrap_or_default();
    let maker = Maker::new(file, device);
    let params = keys(&sample["params"]).iter().map(|k| maker.tensor(k.as_str().unwrap_or_default())).collect::<Step<Vec<Tensor>>>()?;
    params.iter().try_for_each(|p| p.requires_grad_(true).map(drop))?;
    let tolerance = Tolerance::of(sample);
    if sample.get("objective").is_some() {
        return minimise(name, sample, &params, &maker, tolerance);
    }
    let groups = keys(&sample["param_groups"]);
    let member = |g: &Json| keys(&g["params"]).iter().filter_map(|i| params.get(i.as_u64()? as usize).cloned()).collect();
    let mut optimizer = build(name, groups.iter().map(|g| (member(g), g)))?;
    for (i, step) in keys(&sample["steps"]).iter().enumerate() {
        for (p, key) in params.iter().zip(keys(&step["grads"])) {
            p.set_grad(maker.optional(&key)?.as_ref())?;
        }
        optimizer.step()?;
        compare_all(&params, step, &maker, tolerance, i)?;
    }
    let state = optimizer.state_dict()?;
    for (i, recorded) in sample["final_state"].as_object().into_iter().flatten() {
        for (key, value) in recorded.as_object().into_iter().flatten() {
            let found = state.state.get(&i.parse().unwrap_or(usize::MAX)).and_then(|s| s.get(key));
            let found = found.ok_or_else(|| Outcome::failed(format!("parameter {i} has no state '{key}'")))?;
            let at = format!("state '{key}' of parameter {i}");
            match value["tensor"].as_str() {
                Some(expected) => {
                    let expected = maker.stored(expected)?;
                    // Numbers of the host are kept in f64.
                    let found = found.to_dtype(expected.dtype.unwrap_or(found.dtype()))?;
                    compare::tensor(&found, expected, tolerance, Check::Values, &at)?;
                }
                None => compare::value(&Value::Float(found.item::<f64>()?), value, &maker, tolerance, Check::Values, &at)?,
            }
        }
    }
    Ok(())
}

/// LBFGS: the function `s * (0.5 x'Ax - b'x + 0.1 sum(x^4))`.
fn minimise(name: &str, sample: &Json, params: &[Tensor], maker: &Maker<'_>, tolerance: Tolerance) -> Step<()> {
    let tensor = |k: &str| maker.tensor(sample["tensors"][k].as_str().unwrap_or_default());
    let (a, b, x) = (tensor("A")?, tensor("b")?, &params[0]);
    let sign = if sample["kwargs"]["maximize"] == Json::Bool(true) { -1.0 } else { 1.0 };
    let mut optimizer = build(name, [(params.to_vec(), &sample["kwargs"])])?;
    for (i, step) in keys(&sample["steps"]).iter().enumerate() {
        let loss = optimizer.step_with(&mut || {
            params.iter().for_each(Tensor::zero_grad);
            let quadratic = x.mul(a.matmul(x)?)?.sum_all()?.mul(0.5)?;
            let loss = quadratic.sub(b.mul(x)?.sum_all()?)?.add(x.pow(4.0)?.sum_all()?.mul(0.1)?)?.mul(sign)?;
            loss.backward()?;
            Ok(loss)
        })?;
        compare_all(params, step, maker, tolerance, i)?;
        let (found, expected) = (loss.item::<f32>()? as f64, step["loss"].as_f64());
        let expected = match (expected, step["loss"].as_str()) {
            (Some(number), _) => number,
            (None, Some(key)) => floats(maker.stored(key)?)[0],
            (None, None) => continue,
        };
        if (found - expected).abs() > tolerance.atol + tolerance.rtol * expected.abs() {
            return Err(Outcome::failed(format!("the loss of step {i} is {found}, expected {expected}")));
        }
    }
    Ok(())
}

fn keys(v: &Json) -> Vec<Json> {
    v.as_array().cloned().unwrap_or_default()
}

fn compare_all(params: &[Tensor], step: &Json, maker: &Maker<'_>, tolerance: Tolerance, i: usize) -> Step<()> {
    for (j, (p, key)) in params.iter().zip(keys(&step["params"])).enumerate() {
        let expected = maker.stored(key.as_str().unwrap_or_default())?;
        no_grad(|| compare::tensor(p, expected, tolerance, Check::Values, &format!("parameter {j} after step {i}")))?;
    }
    Ok(())
}

/// Builds an optimizer from groups of parameters and PyTorch's settings.
pub fn build<'a>(name: &str, groups: impl IntoIterator<Item = (Vec<Tensor>, &'a Json)>) -> Step<BoxedOptimizer> {
    if !optim::OPTIMIZERS.contains(&name) {
        return Err(Outcome::Missing(name.into()));
    }
    let groups: Vec<_> = groups.into_iter().map(|(params, settings)| (params, options(settings))).collect();
    Ok(optim::build(name, groups)?)
}

/// The options of a group, without what says how PyTorch is to compute.
fn options(settings: &Json) -> Options {
    let hints = ["params", "foreach", "fused", "capturable", "differentiable"];
    let named = settings.as_object().into_iter().flatten().filter(|(k, _)| !hints.contains(&k.as_str()));
    named.map(|(k, v)| (k.clone(), plain(v))).collect()
}

/// A value without the suite's marks for tuples and infinities.
pub fn plain(v: &Json) -> Json {
    match v {
        Json::Object(o) if o.contains_key("tuple") => plain(&o["tuple"]),
        Json::Object(o) if o.contains_key("float") => o["float"].clone(),
        Json::Array(list) => list.iter().map(plain).collect(),
        other => other.clone(),
    }
}
