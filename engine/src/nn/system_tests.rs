//! The module system: sharing, freezing, reports, hooks, trees.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::optim::{Optimizer, Sgd};
use crate::{Device, Result, Tensor};

#[derive(Module)]
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

/// Two forward passes in a row, of which the first is in evaluation: each part comes back to its own mode, also after an error.
#[test]
fn evaluation_ends_with_its_scope() -> Result<()> {
    let device = Device::cpu();
    let frozen = BatchNorm1d::new(2, &device)?;
    frozen.eval();
    let model = Sequential::new().add(Dropout::new(0.9)?).add(frozen);
    let modes = || model.named_modules().into_iter().map(|(_, m)| m.is_training()).collect::<Vec<_>>();
    let before = modes();
    assert_eq!(before, [true, false]);
    let x = Tensor::ones([3, 2], &device)?;
    let y = eval_scope(&model, || {
        assert_eq!(modes(), [false, false]);
        model.forward(&x)
    })?;
    assert!(y.allclose(&x, 1e-4, 1e-4, false)?);
    assert_eq!(modes(), before);
    assert!(eval_scope(&model, || model.forward(&Tensor::ones([3], &device)?)).is_err());
    assert_eq!(modes(), before);
    Ok(())
}

/// Neither the layer nor what it is made of is `Clone`.
#[derive(Module)]
struct Own {
    inner: Linear,
    scale: f64,
    #[module(skip)]
    hidden: Param,
}

impl Layer for Own {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.inner.forward(x)?.mul(self.scale)?.add(&*self.hidden)
    }
}

#[derive(Module)]
struct Uncopied {
    counter: AtomicUsize,
}

impl Layer for Uncopied {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.counter.fetch_add(1, Ordering::Relaxed);
        Ok(x.clone())
    }
}

#[test]
fn models_of_boxed_layers_are_copied_deeply() -> Result<()> {
    let device = Device::cpu();
    let own = Own { inner: Linear::new(2, 2, &device)?, scale: 2.0, hidden: Param::new(&Tensor::ones([2], &device)?)? };
    own.inner.bias.as_ref().unwrap().requires_grad_(false)?;
    let lazy = Linear::lazy(3, &device);
    let model = Sequential::new().add(own).add(BatchNorm1d::new(2, &device)?).add(lazy).add(ReLU);
    let x = Tensor::from_vec(vec![0.3f32, -0.7, 1.1, 0.4], [2, 2], &device)?;
    let y = model.forward(&x)?;
    y.sum_all()?.backward()?;
    let copy = model.deep_copy()?;
    copy.eval();
    assert!(model.is_training() && !copy.is_training());
    assert_eq!(model.state_dict().keys().collect::<Vec<_>>(), copy.state_dict().keys().collect::<Vec<_>>());
    assert!(copy.parameters().iter().all(|p| p.grad().is_none()));
    assert!(!copy.get_parameter("0.inner.bias")?.requires_grad());
    copy.train(true);
    assert_eq!(copy.forward(&x)?.to_vec::<f32>()?, y.to_vec::<f32>()?);
    for p in model.parameters() {
        p.set(&p.detach()?.zeros_like()?)?;
    }
    assert_eq!(copy.forward(&x)?.to_vec::<f32>()?, y.to_vec::<f32>()?);
    let lstm = LSTM::builder(2, 3).bidirectional(true).build(&device)?;
    let other = lstm.deep_copy()?;
    assert_eq!(lstm.forward(&x, None)?.0.to_vec::<f32>()?, other.forward(&x, None)?.0.to_vec::<f32>()?);
    assert!(!lstm.parameters()[0].ptr_eq(&other.parameters()[0]));
    let refused = Sequential::new().add(Uncopied { counter: AtomicUsize::new(0) }).deep_copy();
    assert!(refused.is_err_and(|e| e.to_string().contains("counter")));
    Ok(())
}

#[test]
fn full_backward_hooks_see_both_ends_and_may_replace_one() -> Result<()> {
    let device = Device::cpu();
    let first = Hooked::new(Linear::no_bias(2, 2, &device)?);
    let second = Hooked::new(Linear::no_bias(2, 1, &device)?);
    first.inner().weight.set(&Tensor::eye(2, &device)?)?;
    second.inner().weight.set(&Tensor::new([[3.0, 5.0]], &device)?)?;
    let seen: Arc<parking_lot::Mutex<Vec<(Option<Vec<f32>>, Vec<f32>)>>> = Arc::default();
    let watch = |layer: &Hooked<Linear>, factor: f64| {
        let seen = seen.clone();
        layer.register_full_backward_hook(move |dx, dy| {
            seen.lock().push((dx.map(|g| g.to_vec()).transpose()?, dy.to_vec()?));
            dx.map(|g| g.mul(factor)).transpose()
        })
    };
    let (a, b) = (watch(&first, 1.0), watch(&second, 10.0));
    let x = Tensor::ones([1, 2], &device)?;
    second.forward(&first.forward(&x)?)?.sum_all()?.backward()?;
    // The second layer's input gradient as it was; the first one's output gradient as it was replaced.
    assert_eq!(*seen.lock(), [(Some(vec![3.0, 5.0]), vec![1.0]), (None, vec![30.0, 50.0])]);
    assert_eq!(first.inner().weight.grad().unwrap().to_vec::<f32>()?, [30.0, 30.0, 50.0, 50.0]);
    // Removed, hooks let go of what they hold.
    assert_eq!(Arc::strong_count(&seen), 3);
    a.remove();
    b.remove();
    assert_eq!(Arc::strong_count(&seen), 1);
    second.forward(&first.forward(&x)?)?.sum_all()?.backward()?;
    assert_eq!(seen.lock().len(), 2);
    Ok(())
}

/// Names that both have are not enough: a pretrained head of another size is an error also where names may be missing.
#[test]
fn a_part_of_another_models_state_fits_by_shape_too() -> Result<()> {
    let device = Device::cpu();
    let pretrained = Sequential::new().add(Linear::new(2, 3, &device)?).add(Linear::new(3, 10, &device)?);
    let model = Sequential::new().add(Linear::new(2, 3, &device)?).add(Linear::new(3, 4, &device)?).add(Linear::new(4, 4, &device)?);
    let mut state = pretrained.state_dict();
    assert!(model.load_state_dict(&state, false).is_err());
    state.retain(|name, value| model.state_dict().get(name).is_some_and(|own| own.shape() == value.shape()));
    let report = model.load_state_dict(&state, false)?;
    assert_eq!(report.missing, ["1.weight", "1.bias", "2.weight", "2.bias"]);
    assert_eq!(model.state_dict()["0.weight"].to_vec::<f32>()?, pretrained.state_dict()["0.weight"].to_vec::<f32>()?);
    Ok(())
}

/// A memory that a forward pass rewrites is a value: the next pass does not lead back through the last one.
#[test]
fn a_buffer_set_in_a_forward_pass_carries_no_graph() -> Result<()> {
    let device = Device::cpu();
    let (layer, memory) = (Linear::new(2, 2, &device)?, Buffer::new(Tensor::zeros([1, 2], &device)?));
    let mut last = None;
    for _ in 0..3 {
        let y = layer.forward(&memory.add(1.0)?)?;
        memory.set(&y)?;
        assert!(!memory.requires_grad());
        last = Some(y);
    }
    last.unwrap().sum_all()?.backward()?;
    // Of the last pass alone: the gradient of the bias is one for each result.
    assert_eq!(layer.bias.as_ref().unwrap().grad().unwrap().to_vec::<f32>()?, [1.0, 1.0]);
    Ok(())
}
