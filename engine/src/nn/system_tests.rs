//! The module system: sharing, freezing, reports, hooks, trees.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::optim::{Optimizer, Sgd};
use crate::{Device, Result, Tensor};

#[derive(Module, Clone)]
struct Tied {
    first: Param,
    second: Param,
}

fn tied() -> Result<Tied> {
    let first = Param::new(&Tensor::ones([2, 2], &Device::cpu())?)?;
    Ok(Tied { second: first.clone(), first })
}

/// Through the gradient, the optimizer, the state dict, `to_dtype` and a deep copy.
#[test]
fn shared_parameters_stay_shared() -> Result<()> {
    let mut model = tied()?;
    assert_eq!(model.parameters().len(), 1);
    let mut optimizer = Sgd::new(model.parameters(), 0.5)?;
    model.first.mul(&*model.second)?.sum_all()?.backward()?;
    optimizer.step()?;
    assert_eq!(model.first.to_vec::<f32>()?, [0.0; 4]);
    assert_eq!(model.second.to_vec::<f32>()?, [0.0; 4]);
    assert_eq!(model.state_dict().keys().collect::<Vec<_>>(), ["first", "second"]);
    let copy = model.deep_copy()?;
    assert!(copy.first.ptr_eq(&copy.second) && !copy.first.ptr_eq(&model.first));
    model.first.set(&Tensor::full([2, 2], 7.0, &Device::cpu())?)?;
    assert_eq!(copy.second.to_vec::<f32>()?, [0.0; 4]);
    model.to_dtype(crate::DType::F64)?;
    assert!(model.first.ptr_eq(&model.second));
    assert_eq!(summary(&model).parameters, 4);
    Ok(())
}

#[test]
fn every_problem_of_a_state_is_reported_at_once() -> Result<()> {
    let device = Device::cpu();
    let model = Sequential::new().add(Linear::new(2, 3, &device)?).add(Linear::new(3, 1, &device)?);
    let before = model.state_dict()["0.weight"].to_vec::<f32>()?;
    let mut state = model.state_dict();
    state.remove("1.bias");
    state.insert("2.bias".into(), Tensor::ones([1], &device)?);
    state.insert("0.weight".into(), Tensor::ones([3, 3], &device)?);
    state.insert("1.weight".into(), Tensor::ones([2, 3], &device)?);
    let text = model.load_state_dict(&state, true).unwrap_err().to_string();
    for part in ["1.bias is missing", "2.bias is unexpected", "0.weight is [3, 2]", "1.weight is [1, 3]"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(model.state_dict()["0.weight"].to_vec::<f32>()?, before);
    Ok(())
}

#[test]
fn frozen_parameters_keep_their_values() -> Result<()> {
    let device = Device::cpu();
    let model = Sequential::new().add(Linear::new(2, 2, &device)?).add(Linear::new(2, 1, &device)?);
    model.get(0).unwrap().requires_grad_(false)?;
    let learn = model.parameters().into_iter().filter(|p| p.requires_grad());
    let mut optimizer = Sgd::new(learn, 0.5)?;
    let before = model.state_dict();
    model.forward(&Tensor::ones([1, 2], &device)?)?.sum_all()?.backward()?;
    optimizer.step()?;
    let after = model.state_dict();
    assert_eq!(before["0.weight"].to_vec::<f32>()?, after["0.weight"].to_vec::<f32>()?);
    assert_ne!(before["1.bias"].to_vec::<f32>()?, after["1.bias"].to_vec::<f32>()?);
    assert!(model.get_parameter("0.weight")?.grad().is_none());
    assert!(model.get_parameter("0.wait").is_err());
    assert_eq!((summary(&model).parameters, summary(&model).trainable), (9, 3));
    Ok(())
}

#[test]
fn parts_are_found_by_name_and_kind() -> Result<()> {
    let device = Device::cpu();
    let inner = Sequential::new().add(Linear::new(2, 2, &device)?).add(ReLU);
    let model = Sequential::new().add_named("body", inner).add_named("head", Linear::new(2, 1, &device)?);
    let names: Vec<String> = model.named_modules().into_iter().map(|(n, m)| format!("{n}: {}", m.type_name())).collect();
    assert_eq!(names, ["body: Sequential", "body.0: Linear", "body.1: ReLU", "head: Linear"]);
    assert_eq!(model.named_children().len(), 2);
    let mut linear = 0;
    model.apply(&mut |_, m| {
        linear += usize::from(m.type_name() == "Linear");
        Ok(())
    })?;
    assert_eq!(linear, 2);
    let text = summary(&model).to_string();
    assert!(
        text.contains("Sequential  9 parameters\n  (body): Sequential  6 parameters\n    (0): Linear  weight [2, 2], bias [2]"),
        "{text}"
    );
    Ok(())
}

#[test]
fn hooks_see_replace_and_go() -> Result<()> {
    let device = Device::cpu();
    let layer = Hooked::new(Linear::new(2, 2, &device)?);
    assert_eq!(layer.named_parameters()[0].0, "weight");
    let x = Tensor::ones([1, 2], &device)?;
    let plain = layer.forward(&x)?.to_vec::<f32>()?;
    let before = layer.register_forward_pre_hook(|x| x.mul(0.0).map(Some));
    let after = layer.register_forward_hook(|_, y| y.add(1.0).map(Some));
    let bias = layer.inner().bias.as_ref().unwrap().to_vec::<f32>()?;
    assert_eq!(layer.forward(&x)?.to_vec::<f32>()?, [bias[0] + 1.0, bias[1] + 1.0]);
    before.remove();
    after.remove();
    after.remove();
    assert_eq!(layer.forward(&x)?.to_vec::<f32>()?, plain);
    let calls = Arc::new(AtomicUsize::new(0));
    let counter = calls.clone();
    let backward = layer.register_backward_hook(move |g| {
        counter.fetch_add(1, Ordering::Relaxed);
        g.mul(3.0).map(Some)
    });
    layer.forward(&x)?.sum_all()?.backward()?;
    assert_eq!(layer.inner().bias.as_ref().unwrap().grad().unwrap().to_vec::<f32>()?, [3.0, 3.0]);
    backward.remove();
    layer.forward(&x)?.sum_all()?.backward()?;
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    Ok(())
}
