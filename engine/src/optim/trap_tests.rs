//! Steps, rates and clipping where recipes as they are written down go wrong.

use super::lr_scheduler::{Scheduler, WarmupCosine};
use super::*;
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Result, Tensor};

fn weight(values: &[f32], device: &Device) -> Result<Tensor> {
    let w = Tensor::from_slice(values, [values.len()], device)?;
    w.requires_grad_(true)?;
    Ok(w)
}

/// What is left of an epoch when it does not divide by the steps is a step too, and weighs as much as it has.
#[test]
fn the_last_batches_of_an_epoch_are_a_step() -> Result<()> {
    let cpu = Device::cpu();
    let x = [1.0, 2.0, 3.0, 4.0, 5.0];
    let train = |every: usize| -> Result<Vec<f32>> {
        let w = weight(&[1.0], &cpu)?;
        let mut sgd = Sgd::new([w.clone()], 0.1)?;
        let mut groups = GradientAccumulation::new(every, x.len())?;
        for v in x {
            groups.scale(&w.mul(v)?.sum_all()?)?.backward()?;
            if groups.advance() {
                sgd.step()?;
                sgd.zero_grad(true)?;
            }
        }
        w.to_vec()
    };
    // Means of (1, 2), (3, 4) and (5).
    assert!((train(2)?[0] - (1.0 - 0.1 * (1.5 + 3.5 + 5.0))).abs() < 1e-6);
    assert!((train(9)?[0] - (1.0 - 0.1 * 3.0)).abs() < 1e-6);
    assert!(GradientAccumulation::new(0, 1).is_err());
    Ok(())
}

/// A limit of infinity is how norms are measured: nothing may change.
#[test]
fn measuring_a_norm_changes_no_gradient() {
    for_each_device(|device| {
        let w = weight(&[1.0, 2.0], device)?;
        w.set_grad(Some(&Tensor::new([3.0, 4.0], device)?))?;
        assert_close(&clip_grad_norm_([&w], f64::INFINITY, 2.0, false)?, &[5.0], 1e-6, 0.0);
        assert_eq!(w.grad().unwrap().to_vec::<f32>()?, [3.0, 4.0]);
        Ok(())
    });
}

/// Decay as a part of the gradient is scaled by Adam like the gradient; decoupled, it is not.
#[test]
fn decay_is_part_of_adams_gradient_and_not_of_adamws() {
    for_each_device(|device| {
        let small = |decay: f64| -> Result<[f32; 2]> {
            let (a, b) = (weight(&[2.0], device)?, weight(&[2.0], device)?);
            for w in [&a, &b] {
                w.set_grad(Some(&Tensor::zeros([1], device)?))?;
            }
            Adam::builder(0.1).weight_decay(decay).build([a.clone()])?.step()?;
            AdamW::builder(0.1).weight_decay(decay).build([b.clone()])?.step()?;
            Ok([a.to_vec::<f32>()?[0], b.to_vec::<f32>()?[0]])
        };
        // Whatever the decay, Adam's first step is the rate; AdamW's is rate * decay * w.
        let [coupled, decoupled] = small(0.01)?;
        assert!((coupled - 1.9).abs() < 1e-4 && (decoupled - 1.998).abs() < 1e-6, "{coupled} {decoupled}");
        Ok(())
    });
}

/// The first step has a rate, the cosine does not rise again after its end, and a schedule that is all warm-up is one.
#[test]
fn warm_up_and_cosine_have_ends() -> Result<()> {
    let rates = |warmup: usize, total: usize, steps: usize| -> Result<Vec<f64>> {
        let mut sgd = Sgd::new([weight(&[1.0], &Device::cpu())?], 1.0)?;
        let mut scheduler = Scheduler::new(&mut sgd, WarmupCosine::new(warmup, total))?;
        let mut out = vec![sgd.lr()];
        for _ in 0..steps {
            scheduler.step(&mut sgd)?;
            out.push(sgd.lr());
        }
        Ok(out)
    };
    let all = rates(2, 6, 12)?;
    assert_eq!((all[0], all[1]), (0.5, 1.0));
    assert!(all[6..].iter().all(|r| r.abs() < 1e-12), "{all:?}");
    assert!(rates(3, 3, 5)?.iter().all(|r| r.is_finite()));
    assert!(rates(0, 4, 5)?.iter().all(|r| r.is_finite()));
    Ok(())
}

/// The penalty of all absolute values has a gradient of signs, 0 at 0: what `weight_decay`, which is of squares, is not.
#[test]
fn penalties_by_hand_have_their_own_gradients() {
    for_each_device(|device| {
        let w = weight(&[-2.0, 0.0, 3.0], device)?;
        w.norm(1.0, .., false)?.mul(0.1)?.backward()?;
        assert_close(&w.grad().unwrap(), &[-0.1, 0.0, 0.1], 1e-6, 1e-7);
        w.zero_grad();
        w.square()?.sum_all()?.mul(0.1)?.backward()?;
        assert_close(&w.grad().unwrap(), &[-0.4, 0.0, 0.6], 1e-6, 1e-7);
        Ok(())
    });
}

/// A limit is applied where the gradients lie: nothing runs before the step does, let alone is read.
#[test]
fn clipping_waits_for_nothing() {
    for_each_device(|device| {
        let w = weight(&[1.0, 2.0], device)?;
        w.square()?.sum_all()?.backward()?;
        device.flush()?;
        let before = device.stats().plans_run;
        let norm = crate::with_eager(false, || clip_grad_norm_([&w], 1.0, 2.0, false))?;
        assert_eq!(device.stats().plans_run, before, "{device}");
        assert_close(&norm, &[20f64.sqrt()], 1e-5, 0.0);
        Ok(())
    });
}

/// One step asks for the loss again and again, returns the first one, and does not ask twice where there is nothing to gain.
#[test]
fn a_step_of_lbfgs_evaluates_many_times() -> Result<()> {
    let w = Tensor::new([3.0, -2.0], (DType::F64, &Device::cpu()))?;
    w.requires_grad_(true)?;
    let mut optimizer = Lbfgs::builder().build([w.clone()])?;
    let mut run = || -> Result<(f64, usize)> {
        let mut calls = 0;
        let loss = optimizer.step_with(&mut || {
            calls += 1;
            w.zero_grad();
            let loss = w.sub(1.0)?.square()?.sum_all()?;
            loss.backward()?;
            Ok(loss)
        })?;
        Ok((loss.item::<f64>()?, calls))
    };
    let (loss, calls) = run()?;
    assert!(loss == 13.0 && (2..=25).contains(&calls), "{loss} {calls}");
    let (loss, calls) = run()?;
    assert!(loss < 1e-12 && calls == 1, "{loss} {calls}");
    assert_close(&w, &[1.0, 1.0], 1e-6, 0.0);
    Ok(())
}

/// A model that goes over to double precision takes its averages along, in its own type, and the number of steps.
#[test]
fn averages_follow_a_change_of_precision() -> Result<()> {
    let w = weight(&[1.0, -2.0], &Device::cpu())?;
    let mut adam = Adam::new([w.clone()], 0.1)?;
    let step = |adam: &mut Adam, w: &Tensor| {
        w.zero_grad();
        w.square()?.sum_all()?.backward()?;
        adam.step()
    };
    step(&mut adam, &w)?;
    let wide = w.detach()?.to_dtype(DType::F64)?;
    wide.requires_grad_(true)?;
    let mut other = Adam::new([wide.clone()], 0.1)?;
    other.load_state_dict(&adam.state_dict()?)?;
    assert_eq!(other.state_dict()?.state[&0]["exp_avg"].dtype(), DType::F64);
    step(&mut adam, &w)?;
    step(&mut other, &wide)?;
    assert_close(&w, &wide.to_vec::<f64>()?, 1e-5, 0.0);
    Ok(())
}
