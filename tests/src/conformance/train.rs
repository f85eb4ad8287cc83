//! Kind "train": a network trained for some steps.

use serde_json::{Map, Value as Json};
use taper::Device;
use taper::nn::Module;
use taper::ops::registry::Value;

use super::compare::{self, Check, Tolerance};
use super::make::{Maker, download, floats};
use super::modules::{self, Inputs, load};
use super::optimizers;
use super::outcome::{Outcome, Step};
use super::schedulers;
use super::suite::{File, Stored};

pub fn sample(file: &File, sample: &Json, device: &Device) -> Step<()> {
    let mut maker = Maker::new(file, device);
    let mut network = taper::nn::Sequential::new();
    for layer in sample["layers"].as_array().into_iter().flatten() {
        let built = modules::build(layer["module"].as_str().unwrap_or_default(), layer, &mut maker)?;
        let Some(layer) = built.into_layer() else {
            return Err(Outcome::failed(format!("{} is not a layer", layer["module"])));
        };
        network = network.add(layer);
    }
    load(&network, &sample["state_dict"], &maker)?;
    let loss = modules::build(sample["loss"]["module"].as_str().unwrap_or_default(), &sample["loss"], &mut maker)?;
    let params = network.parameters().iter().map(|p| (**p).clone()).collect();
    let optimizer = &sample["optimizer"];
    let mut optimizer = optimizers::build(optimizer["name"].as_str().unwrap_or_default(), [(params, &optimizer["kwargs"])])?;
    let scheduler = &sample["scheduler"];
    let mut scheduler = match scheduler["name"].as_str() {
        Some(name) => Some(schedulers::Any::new(name, scheduler, &mut optimizer)?),
        None => None,
    };
    let (input, target) =
        (maker.tensor(sample["input"].as_str().unwrap_or_default())?, maker.tensor(sample["target"].as_str().unwrap_or_default())?);
    let mut losses = Vec::new();
    for _ in 0..sample["steps"].as_u64().unwrap_or(0) {
        optimizer.zero_grad(true)?;
        let value = loss.forward(&Inputs::of(vec![network.forward(&input)?.into(), Value::from(&target)]))?;
        let value = value.tensor()?;
        value.backward()?;
        optimizer.step()?;
        let loss_now = floats(&download(value)?).first().copied().unwrap_or(f64::NAN);
        if let Some(scheduler) = &mut scheduler {
            scheduler.step(Some(loss_now), &mut optimizer)?;
        }
        losses.push(loss_now as f32);
    }
    let tolerance = Tolerance::of(sample);
    let expected = maker.stored(sample["losses"].as_str().unwrap_or_default())?;
    if expected.shape != [losses.len()] {
        return Err(Outcome::failed(format!("{} losses, expected {:?}", losses.len(), expected.shape)));
    }
    let losses = Stored { bytes: losses.iter().flat_map(|l| l.to_ne_bytes()).collect(), ..expected.clone() };
    compare::stored(&losses, expected, tolerance, "loss")?;
    let state = network.state_dict();
    for (name, key) in sample["final_state_dict"].as_object().unwrap_or(&Map::new()) {
        let found = state.get(name).ok_or_else(|| Outcome::failed(format!("there is no {name}")))?;
        compare::tensor(found, maker.stored(key.as_str().unwrap_or_default())?, tolerance, Check::Values, name)?;
    }
    network.eval();
    let output = maker.stored(sample["final_eval_output"].as_str().unwrap_or_default())?;
    compare::tensor(&network.forward(&input)?, output, tolerance, Check::Values, "output")
}
