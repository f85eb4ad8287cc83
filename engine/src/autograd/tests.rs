//! Derivatives of functions, checkpointing, anomalies: each against what it must equal.

use super::*;
use crate::nn::{Linear, Module, functional_call};
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Result, Tensor};

fn leaf(values: &[f64], shape: &[usize]) -> Result<Tensor> {
    let t = Tensor::from_vec(values.to_vec(), shape, &Device::cpu())?;
    t.requires_grad_(true)?;
    Ok(t)
}

/// x0² x1 + sin(x1): value, first and second derivatives by hand.
fn f(x: &[Tensor]) -> Result<Tensor> {
    let (a, b) = (x[0].narrow(0, 0, 1)?, x[0].narrow(0, 1, 1)?);
    a.square()?.mul(&b)?.add(b.sin()?)?.sum_all()
}

#[test]
fn first_and_second_derivatives_of_a_function() -> Result<()> {
    let x = leaf(&[3.0, 0.5], &[2])?;
    let cos = 0.5f64.cos();
    let sin = 0.5f64.sin();
    assert_close(&jacobian(f, &[&x])?[0], &[3.0, 9.0 + cos], 1e-12, 0.0);
    assert_close(&hessian(f, &[&x])?[0][0], &[1.0, 6.0, 6.0, -sin], 1e-12, 1e-12);
    let v = leaf(&[2.0, -1.0], &[2])?;
    let (y, product) = hvp(f, &[&x], &[&v])?;
    assert_close(&y, &[4.5 + sin], 1e-12, 0.0);
    assert_close(&product[0], &[2.0 - 6.0, 12.0 + sin], 1e-12, 0.0);
    let (_, along) = jvp(f, &[&x], &[&v])?;
    assert_close(&along, &[6.0 - 9.0 - cos], 1e-12, 0.0);
    let (_, back) = vjp(|x| x[0].exp(), &[&x], &v)?;
    assert_close(&back[0], &[2.0 * 3.0f64.exp(), -(0.5f64.exp())], 1e-12, 0.0);
    // Nothing is left behind, what does not depend is zero, and shapes are checked.
    assert!(x.grad().is_none());
    assert_close(&jacobian(|_| Tensor::ones([2], (DType::F64, &Device::cpu())), &[&x])?[0], &[0.0; 4], 0.0, 0.0);
    assert!(jvp(f, &[&x], &[&leaf(&[1.0], &[1])?]).is_err());
    assert!(hessian(|x| x[0].exp(), &[&x]).is_err());
    Ok(())
}

#[test]
fn gradients_of_samples_add_up_to_that_of_the_batch() -> Result<()> {
    let device = Device::cpu();
    let layer = Linear::new(3, 2, &device)?;
    let x = Tensor::randn([4, 3], &device)?;
    let params = layer.parameters();
    let wanted: Vec<&Tensor> = params.iter().map(|p| &**p).collect();
    let one = |i: usize| layer.forward(&x.narrow(0, i, 1)?)?.square()?.sum_all();
    let each = per_sample_grads(&wanted, 4, one)?;
    assert_eq!(each[0].shape(), [4, 2, 3]);
    layer.forward(&x)?.square()?.sum_all()?.backward()?;
    for (e, p) in each.iter().zip(&params) {
        let whole: Vec<f64> = p.grad().unwrap().to_vec::<f32>()?.into_iter().map(f64::from).collect();
        assert_close(&e.sum(0)?, &whole, 1e-4, 1e-5);
    }
    Ok(())
}

#[test]
fn checkpointed_functions_pass_gradcheck_twice() -> Result<()> {
    let x = leaf(&[0.3, -0.7, 1.1], &[3])?;
    let g = |x: &[Tensor]| checkpoint(|x| x[0].sin()?.mul(&x[0])?.exp(), &[&x[0]]);
    gradcheck(g, &[&x])?;
    gradgradcheck(g, &[&x])
}

#[test]
fn anomalies_name_the_forward_call() -> Result<()> {
    let x = leaf(&[0.0, 1.0], &[2])?;
    let bad = || x.sqrt()?.mul(0.0)?.sum_all()?.backward();
    bad()?;
    let error = detect_anomaly(bad).unwrap_err().to_string();
    assert!(error.contains("sqrt") && error.contains("tests.rs"), "{error}");
    x.zero_grad();
    detect_anomaly(|| x.square()?.sum_all()?.backward())?;
    bad()
}

/// One step of MAML: the gradient through a gradient step.
#[test]
fn a_step_can_be_differentiated() -> Result<()> {
    let device = Device::cpu();
    let model = Linear::no_bias(1, 1, (DType::F64, &device))?;
    model.weight.set(&Tensor::full([1, 1], 3.0, (DType::F64, &device))?)?;
    let one = Tensor::ones([1, 1], (DType::F64, &device))?;
    let loss =
        |w: &Tensor| functional_call(&model, &[("weight".to_string(), w.clone())].into(), || model.forward(&one)?.square()?.sum_all());
    let weight: Tensor = (&model.weight).into();
    let inner = model.forward(&one)?.square()?.sum_all()?;
    let step = grad(&[&inner], &[&weight], &[None], true, true)?[0].clone().unwrap();
    // w' = w - 0.1 * 2 w = 0.8 w; d (w')² / dw = 2 * 0.8² w.
    let outer = loss(&weight.sub(step.mul(0.1)?)?)?;
    assert_close(&outer, &[(0.8f64 * 3.0).powi(2)], 1e-12, 0.0);
    outer.backward()?;
    assert_close(&model.weight.grad().unwrap(), &[2.0 * 0.64 * 3.0], 1e-12, 0.0);
    // The model has its own parameters again.
    assert_close(&model.forward(&one)?, &[3.0], 0.0, 0.0);
    assert!(loss(&Tensor::ones([2, 1], (DType::F64, &device))?).is_err());
    assert_close(&model.forward(&one)?, &[3.0], 0.0, 0.0);
    Ok(())
}

#[test]
fn saved_values_can_be_kept_elsewhere() {
    for_each_device(|device| {
        let x = Tensor::from_vec(vec![0.5f32, -1.0], [2], device)?;
        x.requires_grad_(true)?;
        let f = || x.exp()?.square()?.sum_all();
        f()?.backward()?;
        let plain = x.grad().unwrap().to_vec::<f32>()?;
        x.zero_grad();
        save_on_cpu(f)?.backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, plain);
        x.zero_grad();
        // Doubled on the way out: the gradient shows that it is this value that is used.
        saved_tensors_hooks(|t| Ok(t.clone()), |t| t.mul(2.0), || x.square()?.sum_all())?.backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, -4.0]);
        x.zero_grad();
        assert!(saved_tensors_hooks(|t| t.reshape([7]), |t| Ok(t.clone()), f).is_err());
        f()?.backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, plain);
        Ok(())
    });
}

/// A transformer's layer keeps its values by gradients written by hand for the most part: those go through the hooks too.
#[test]
fn values_of_composites_can_be_kept_elsewhere() {
    for_each_device(|device| {
        crate::manual_seed(3);
        let layer = crate::nn::TransformerConfig::new(8, 2).dim_feedforward(16).batch_first(true).encoder_layer(device)?;
        let x = Tensor::randn([2, 5, 8], device)?;
        let target = Tensor::from_vec((0..10i64).map(|i| i % 8).collect(), [10], device)?;
        let loss = || {
            let y = layer.forward(&x, crate::nn::Masks::causal())?;
            crate::loss::cross_entropy(&y.reshape([10, 8])?, &target)
        };
        let gradients = |loss: Tensor| -> Result<Vec<Vec<f32>>> {
            layer.zero_grad();
            loss.backward()?;
            layer.parameters().iter().map(|p| p.grad().unwrap().to_vec()).collect()
        };
        let state = crate::rng_state();
        let plain = gradients(loss()?)?;
        crate::set_rng_state(state);
        assert_eq!(gradients(save_on_cpu(loss)?)?, plain);
        // What is kept is what was packed, and all of it is: attention's operands, norms' inputs, products'.
        let packed = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = packed.clone();
        let pack = move |t: &Tensor| {
            count.fetch_add(t.numel(), std::sync::atomic::Ordering::Relaxed);
            Ok(t.clone())
        };
        crate::set_rng_state(state);
        assert_eq!(gradients(saved_tensors_hooks(pack, |t| Ok(t.clone()), loss)?)?, plain);
        assert!(packed.load(std::sync::atomic::Ordering::Relaxed) > 10 * x.numel());
        Ok(())
    });
}

/// What a checkpoint computes again draws the same random numbers, in the same precision.
#[test]
fn checkpoints_replay_dropout_and_precision() {
    for_each_device(|device| {
        let layer = std::sync::Arc::new(Linear::new(6, 6, device)?);
        let x = Tensor::randn([4, 6], device)?;
        x.requires_grad_(true)?;
        let run = |checkpointed: bool| -> Result<(Vec<f32>, Vec<f32>)> {
            crate::manual_seed(9);
            x.zero_grad();
            layer.zero_grad();
            let own = layer.clone();
            let f = move |x: &[Tensor]| crate::nn::dropout(&own.forward(&x[0])?.gelu("none")?, 0.5, true)?.to_dtype(DType::F32);
            let y = crate::amp::autocast(DType::BF16, || if checkpointed { checkpoint(f, &[&x]) } else { f(std::slice::from_ref(&x)) })?;
            y.square()?.sum_all()?.backward()?;
            Ok((x.grad().unwrap().to_vec()?, layer.weight.grad().unwrap().to_vec()?))
        };
        assert_eq!(run(true)?, run(false)?);
        Ok(())
    });
}

/// Running statistics inside a checkpoint move when its values are computed, and when they are computed again.
#[test]
fn a_checkpoint_moves_running_statistics_twice() -> Result<()> {
    let device = Device::cpu();
    let norm = std::sync::Arc::new(crate::nn::BatchNorm1d::builder(1).momentum(0.5).build(&device)?);
    let x = Tensor::new([[1.0], [3.0]], &device)?;
    x.requires_grad_(true)?;
    let own = norm.clone();
    let y = checkpoint(move |x| own.forward(&x[0]), &[&x])?;
    let mean = || norm.running_mean.as_ref().unwrap().to_vec::<f32>();
    assert_eq!(mean()?, [1.0]);
    y.sum_all()?.backward()?;
    assert_eq!(mean()?, [1.5]);
    Ok(())
}

#[test]
fn unused_inputs_are_reported_unless_allowed() -> Result<()> {
    let (x, unused) = (leaf(&[2.0], &[1])?, leaf(&[1.0, 1.0], &[2])?);
    let y = x.square()?.sum_all()?;
    let with = |options: GradOptions<'_>| grad_with(&[&y], &[&x, &unused], &GradOptions { retain_graph: true, ..options });
    let error = with(GradOptions::default()).unwrap_err().to_string();
    assert!(error.contains("input 1") && error.contains("allow_unused"), "{error}");
    assert!(with(GradOptions { allow_unused: true, ..GradOptions::default() })?[1].is_none());
    let zeros = with(GradOptions { materialize_grads: true, ..GradOptions::default() })?;
    assert_close(zeros[1].as_ref().unwrap(), &[0.0, 0.0], 0.0, 0.0);
    assert_close(zeros[0].as_ref().unwrap(), &[4.0], 1e-12, 0.0);
    let twice = Tensor::full([], 2.0, (DType::F64, &Device::cpu()))?;
    let scaled = with(GradOptions { allow_unused: true, grad_outputs: vec![Some(&twice)], ..GradOptions::default() })?;
    assert_close(scaled[0].as_ref().unwrap(), &[8.0], 1e-12, 0.0);
    Ok(())
}

/// Whatever the budget, the gradients are the same; what is computed again is what did not fit, from the first stage on.
#[test]
fn a_budget_decides_what_is_computed_again() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    for_each_device(|device| {
        let x = Tensor::from_vec((0..8).map(|i| i as f32 / 8.0).collect::<Vec<_>>(), [2, 4], device)?;
        x.requires_grad_(true)?;
        let run = |budget: Option<usize>| -> Result<(Vec<f32>, Vec<usize>)> {
            x.zero_grad();
            let calls: Vec<Arc<AtomicUsize>> = (0..3).map(|_| Arc::default()).collect();
            let stage = |calls: Arc<AtomicUsize>| {
                move |x: &Tensor| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    // The gradient keeps the result of the exponential: 32 bytes.
                    x.sin()?.exp()?.sin()
                }
            };
            let stages: Vec<_> = calls.iter().map(|c| stage(c.clone())).collect();
            let y = match budget {
                None => stages.iter().try_fold(x.clone(), |x, stage| stage(&x))?,
                Some(budget) => checkpoint_within(budget, stages, &x)?,
            };
            y.sum_all()?.backward()?;
            Ok((x.grad().unwrap().to_vec()?, calls.iter().map(|c| c.load(Ordering::Relaxed)).collect()))
        };
        let (plain, once) = run(None)?;
        assert_eq!(once, [1, 1, 1]);
        for (budget, calls) in [(usize::MAX, [1, 1, 1]), (0, [2, 2, 2])] {
            assert_eq!(run(Some(budget))?, (plain.clone(), calls.to_vec()), "{budget}");
        }
        // Room for two of the three.
        let counts: Vec<Vec<usize>> = (0..40).map(|i| Ok(run(Some(i * 16))?.1)).collect::<Result<_>>()?;
        assert!(counts.contains(&vec![2, 1, 1]) && counts.contains(&vec![2, 2, 1]), "{counts:?}");
        assert!(!counts.iter().any(|c| c[0] < c[1] || c[1] < c[2]), "{counts:?}");
        // And a second pass through a retained graph computes again what the first one let go.
        let y = checkpoint_within(usize::MAX, [|x: &Tensor| x.exp()], &x)?.sum_all()?;
        x.zero_grad();
        y.backward_with(None, true, false)?;
        y.backward()?;
        let twice: Vec<f64> = x.detach()?.exp()?.mul(2.0)?.to_vec::<f32>()?.into_iter().map(f64::from).collect();
        assert_close(&x.grad().unwrap(), &twice, 1e-5, 0.0);
        Ok(())
    });
}

/// Scores of a graph that are masked where they lie: what is hidden has no slope, and a row without anything left is even.
#[test]
fn scores_may_be_masked_in_place() {
    for_each_device(|device| {
        let q = Tensor::from_vec(vec![0.3f32, -0.7, 1.1, 0.4, 0.2, 0.9], [3, 2], device)?;
        q.requires_grad_(true)?;
        let hidden = Tensor::new([[false, true, false], [false, false, true], [true, true, true]], device)?;
        let run = |in_place: bool| -> Result<(Vec<f32>, Vec<f32>)> {
            q.zero_grad();
            let scores = q.matmul(&q.detach()?.t()?)?.div(2f64.sqrt())?;
            let scores = if in_place { scores.masked_fill_(&hidden, -1e9)?.clone() } else { scores.masked_fill(&hidden, -1e9)? };
            let p = scores.softmax(-1)?;
            p.mul(&Tensor::new([1.0, -2.0, 3.0], device)?)?.sum_all()?.backward()?;
            Ok((p.to_vec()?, q.grad().unwrap().to_vec()?))
        };
        let ((p, g), (own, expected)) = (run(true)?, run(false)?);
        assert!(p.iter().zip(&own).chain(g.iter().zip(&expected)).all(|(a, b)| (a - b).abs() < 1e-6), "{g:?} {expected:?}");
        assert!(p[1] == 0.0 && p[5] == 0.0 && p[6..].iter().all(|p| (p - 1.0 / 3.0).abs() < 1e-6), "{p:?}");
        assert!(g[..4].iter().any(|&g| g != 0.0) && g[4..].iter().all(|&g| g == 0.0), "{g:?}");
        Ok(())
    });
}

/// An input that a function does not use keeps its place, and the vectors of those behind it stay theirs.
#[test]
fn curvatures_of_unused_inputs_keep_their_places() -> Result<()> {
    let (a, unused, b) = (leaf(&[3.0], &[1])?, leaf(&[7.0, 8.0], &[2])?, leaf(&[0.5], &[1])?);
    let (va, vu, vb) = (leaf(&[2.0], &[1])?, leaf(&[9.0, 9.0], &[2])?, leaf(&[-1.0], &[1])?);
    let (_, product) = hvp(|x| x[0].square()?.mul(&x[2])?.sum_all(), &[&a, &unused, &b], &[&va, &vu, &vb])?;
    // Of a^2 b: 2 b va + 2 a vb, and 2 a va.
    assert_close(&product[0], &[2.0 - 6.0], 1e-12, 0.0);
    assert_close(&product[1], &[0.0, 0.0], 0.0, 0.0);
    assert_close(&product[2], &[12.0], 1e-12, 0.0);
    Ok(())
}
