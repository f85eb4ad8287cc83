//! Kind "errors": calls that must be refused.

use serde_json::Value as Json;
use taper::Device;
use taper::ops::registry::{self, Value};

use super::make::{Maker, allowed, download};
use super::modules::{Built, Inputs};
use super::ops::{exists, registry_name};
use super::outcome::{Outcome, Step};
use super::suite::{File, dtype};
use super::{modules, optimizers};

/// An operator call must return an error, at once or when its result is read.
pub fn op(file: &File, case: &Json, device: &Device) -> Outcome {
    refused(|| {
        let text = |k: &str| case.get(k).and_then(Json::as_str).unwrap_or_default();
        let name = registry_name(text("op"), text("call"));
        if !exists(&name) {
            return Err(Outcome::Missing(name));
        }
        for name in case["dtypes"].as_array().into_iter().flatten().filter_map(Json::as_str) {
            let dtype = dtype(name).ok_or_else(|| Outcome::Skipped(format!("the engine has no {name}")))?;
            allowed(dtype, device)?;
        }
        let mut maker = Maker::new(file, device);
        let (args, kwargs) = (maker.list(&case["args"])?, maker.kwargs(&case["kwargs"])?);
        let Ok(ready) = registry::prepare(&name, &args, &kwargs, device) else { return Err(Outcome::PassedByType) };
        let Ok(result) = ready() else { return Ok(()) };
        read(&result)
    })
}

/// Constructing or applying a module must return an error.
pub fn module(file: &File, case: &Json, device: &Device) -> Outcome {
    refused(|| {
        let name = case["module"].as_str().unwrap_or_default();
        let mut maker = Maker::new(file, device);
        let built = modules::build(name, &case["constructor"], &mut maker);
        let built = match (built, case["error_on"] == "construction") {
            (Err(why @ Outcome::Missing(_)), _) => return Err(why),
            (Err(why @ Outcome::Refused { .. }), true) => return Err(why),
            // What must be refused comes later: here nothing was wrong yet.
            (Err(Outcome::Refused { what, .. }), false) => return Err(Outcome::failed(what)),
            (Err(_), true) => return Ok(()),
            (Ok(_), true) => return Err(Outcome::failed("was constructed")),
            (built, false) => built?,
        };
        let inputs = Inputs::recorded(case, &mut maker)?;
        match Built::forward(&built, &inputs) {
            Ok(result) => read(&result),
            Err(why @ Outcome::Refused { .. }) => Err(why),
            Err(_) => Ok(()),
        }
    })
}

/// Constructing an optimizer must return an error.
pub fn optimizer(case: &Json, device: &Device) -> Outcome {
    refused(|| {
        let param = taper::Tensor::ones([2, 2], device)?;
        param.requires_grad_(true)?;
        let name = case["optimizer"].as_str().unwrap_or_default();
        // Recorded without its learning rate, a tensor of two elements: here a rate is a number.
        if case["error"]["message"].as_str().is_some_and(|m| m.starts_with("Tensor lr")) && case["kwargs"].get("lr").is_none() {
            return if taper::optim::OPTIMIZERS.contains(&name) { Err(Outcome::PassedByType) } else { Err(Outcome::Missing(name.into())) };
        }
        match optimizers::build(name, [(vec![param], &case["kwargs"])]) {
            Err(Outcome::Missing(what)) => Err(Outcome::Missing(what)),
            Err(_) => Ok(()),
            Ok(_) => Err(Outcome::failed("was constructed")),
        }
    })
}

/// `Ok` when the call was refused; `Err` when it was not, or never came about.
fn refused(case: impl FnOnce() -> Step<()>) -> Outcome {
    match case().into() {
        Outcome::Refused { by_type: true, .. } => Outcome::PassedByType,
        Outcome::Refused { by_type: false, .. } => Outcome::Passed,
        other => other,
    }
}

/// `Ok` when an error comes out at last.
fn read(result: &Value) -> Step<()> {
    match result {
        Value::Tensor(t) if download(t).is_err() => Ok(()),
        Value::List(list) if list.iter().any(|v| read(v).is_ok()) => Ok(()),
        _ => Err(Outcome::failed("was accepted")),
    }
}
