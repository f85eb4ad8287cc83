//! Kind "optimizer": ten steps with given gradients.

use serde_json::Value as Json;
use taper::optim::{Adam, AdamW, Optim, Optimizer, Rule, Sgd};
use taper::{Device, Tensor, no_grad};

use super::compare::{self, Check, Tolerance};
use super::make::Maker;
use super::outcome::{Outcome, Step};
use super::suite::File;

pub fn sample(file: &File, sample: &Json, device: &Device) -> Step<()> {
    if sample["unstable"] == Json::Bool(true) {
        return Err(Outcome::Skipped("unstable in PyTorch".into()));
    }
    let name = file.json["optimizer"].as_str().unwrap_or_default();
    let maker = Maker::new(file, device);
    let keys = |v: &Json| v.as_array().cloned().unwrap_or_default();
    let params = keys(&sample["params"]).iter().map(|k| maker.tensor(k.as_str().unwrap_or_default())).collect::<Step<Vec<Tensor>>>()?;
    params.iter().try_for_each(|p| p.requires_grad_(true).map(drop))?;
    let groups = keys(&sample["param_groups"]);
    let groups: Vec<(Vec<Tensor>, &Json)> =
        groups.iter().map(|g| (keys(&g["params"]).iter().filter_map(|i| params.get(i.as_u64()? as usize).cloned()).collect(), g)).collect();
    let mut optimizer = build(name, &groups)?;
    let tolerance = Tolerance::of(sample);
    for (i, step) in keys(&sample["steps"]).iter().enumerate() {
        for (p, key) in params.iter().zip(keys(&step["grads"])) {
            p.set_grad(maker.optional(&key)?.as_ref())?;
        }
        optimizer.step()?;
        for (j, (p, key)) in params.iter().zip(keys(&step["params"])).enumerate() {
            let expected = maker.stored(key.as_str().unwrap_or_default())?;
            no_grad(|| compare::tensor(p, expected, tolerance, Check::Values, &format!("parameter {j} after step {i}")))?;
        }
    }
    Ok(())
}

/// Builds an optimizer from groups of parameters and PyTorch's settings.
pub fn build(name: &str, groups: &[(Vec<Tensor>, &Json)]) -> Step<Box<dyn Optimizer>> {
    match name {
        "SGD" => with(groups, |s| {
            let rule = Sgd::builder(s.number("lr", 1e-3)?).momentum(s.number("momentum", 0.0)?).dampening(s.number("dampening", 0.0)?);
            Ok(rule.weight_decay(s.number("weight_decay", 0.0)?).nesterov(s.flag("nesterov")?).maximize(s.flag("maximize")?))
        }),
        "Adam" => with(groups, |s| {
            let (b1, b2) = s.betas()?;
            let rule = Adam::builder(s.number("lr", 1e-3)?).betas(b1, b2).eps(s.number("eps", 1e-8)?);
            Ok(rule.weight_decay(s.number("weight_decay", 0.0)?).amsgrad(s.flag("amsgrad")?).maximize(s.flag("maximize")?))
        }),
        "AdamW" => with(groups, |s| {
            let (b1, b2) = s.betas()?;
            let rule = AdamW::builder(s.number("lr", 1e-3)?).betas(b1, b2).eps(s.number("eps", 1e-8)?);
            Ok(rule.weight_decay(s.number("weight_decay", 1e-2)?).amsgrad(s.flag("amsgrad")?).maximize(s.flag("maximize")?))
        }),
        other => Err(Outcome::Missing(other.into())),
    }
}

fn with<R: Rule + 'static>(groups: &[(Vec<Tensor>, &Json)], rule: impl Fn(Settings<'_>) -> Step<R>) -> Step<Box<dyn Optimizer>> {
    let groups = groups.iter().map(|(params, json)| Ok((params.clone(), rule(Settings(json))?))).collect::<Step<Vec<_>>>()?;
    Ok(Box::new(Optim::with_groups(groups)?))
}

struct Settings<'a>(&'a Json);

impl Settings<'_> {
    fn number(&self, name: &str, default: f64) -> Step<f64> {
        match self.0.get(name) {
            None => Ok(default),
            Some(v) => v.as_f64().ok_or_else(|| Outcome::failed(format!("{name}: {v} is not a number"))),
        }
    }

    fn flag(&self, name: &str) -> Step<bool> {
        Ok(self.0.get(name).and_then(Json::as_bool).unwrap_or(false))
    }

    fn betas(&self) -> Step<(f64, f64)> {
        let Some(v) = self.0.get("betas") else { return Ok((0.9, 0.999)) };
        let beta = |i: usize| v["tuple"][i].as_f64().ok_or_else(|| Outcome::failed(format!("betas: {v} is not a pair of numbers")));
        Ok((beta(0)?, beta(1)?))
    }
}
