//! What every optimizer must do, and what clipping and the wrappers do.

use super::*;
use crate::testing::{assert_close, for_each_device};
use crate::{Device, Result, Tensor};

fn leaf(values: Vec<f32>, shape: &[usize], device: &Device) -> Result<Tensor> {
    let t = Tensor::from_vec(values, shape, device)?;
    t.requires_grad_(true)?;
    Ok(t)
}

fn matrices(device: &Device) -> Result<Vec<Tensor>> {
    let values = |n: usize, k: f32| (0..n).map(|i| ((i as f32 * 0.7 + k).sin()) * 1.5).collect::<Vec<f32>>();
    Ok(vec![leaf(values(12, 0.0), &[3, 4], device)?, leaf(values(10, 1.0), &[5, 2], device)?])
}

fn quadratic(params: &[Tensor]) -> Result<Tensor> {
    let mut loss = Tensor::zeros([], params[0].device())?;
    for p in params {
        loss = loss.add(p.sub(0.3)?.square()?.sum_all()?)?;
    }
    Ok(loss)
}

fn train(optimizer: &mut dyn Optimizer, params: &[Tensor], steps: usize) -> Result<Tensor> {
    let mut loss = quadratic(params)?;
    for _ in 0..steps {
        loss = optimizer.step_with(&mut || {
            params.iter().for_each(Tensor::zero_grad);
            let loss = quadratic(params)?;
            loss.backward()?;
            Ok(loss)
        })?;
    }
    Ok(loss)
}

fn values(params: &[Tensor]) -> Result<Vec<u32>> {
    Ok(params.iter().map(|p| p.to_vec::<f32>()).collect::<Result<Vec<_>>>()?.concat().into_iter().map(f32::to_bits).collect())
}

/// Three steps, saved, and three more from the saved state are the same bits as six.
#[test]
fn every_optimizer_continues_from_its_state_bit_for_bit() {
    for_each_device(|device| {
        for name in OPTIMIZERS {
            let (whole, halves) = (matrices(device)?, matrices(device)?);
            train(build(name, [(whole.clone(), Options::new())])?.as_mut(), &whole, 6)?;
            let mut first = build(name, [(halves.clone(), Options::new())])?;
            train(first.as_mut(), &halves, 3)?;
            let state = first.state_dict()?;
            drop(first);
            let mut second = build(name, [(halves.clone(), Options::new())])?;
            second.load_state_dict(&state)?;
            train(second.as_mut(), &halves, 3)?;
            assert_eq!(values(&whole)?, values(&halves)?, "{name} on {device}");
        }
        Ok(())
    });
}

#[test]
fn every_optimizer_descends() -> Result<()> {
    let device = Device::cpu();
    for name in OPTIMIZERS {
        let params = matrices(&device)?;
        let before = quadratic(&params)?.item::<f32>()?;
        let mut optimizer = build(name, [(params.clone(), Options::new())])?;
        train(optimizer.as_mut(), &params, 20)?;
        assert!(quadratic(&params)?.item::<f32>()? < before, "{name}");
        // Options it does not have, and values out of range, are refused and change nothing.
        let options = optimizer.options(0)?;
        assert!(optimizer.set_option(0, "no_such_option", 1.0.into()).is_err(), "{name}");
        assert!(optimizer.set_option(0, "lr", (-1.0).into()).is_err(), "{name}");
        assert!(optimizer.set_option(0, "lr", "fast".into()).is_err(), "{name}");
        assert_eq!(optimizer.options(0)?, options, "{name}");
        optimizer.set_option(0, "lr", 0.25.into())?;
        assert_eq!(optimizer.lr(), 0.25, "{name}");
    }
    assert!(build("Sgd2", []).is_err());
    Ok(())
}

/// One kernel for a slab must mean a norm for each parameter, whatever lies between them.
#[test]
fn lamb_and_lars_scale_each_parameter_by_its_own_norm() {
    for_each_device(|device| {
        let sizes = [3usize, 70, 1, 130];
        let value = |i: usize, k: usize, s: f64| ((i * 7 + k * 3) as f64 * 0.37).sin() * s;
        let make = || -> Result<Vec<Tensor>> {
            let of = |(k, &n): (usize, &usize)| leaf((0..n).map(|i| value(i, k, 2.0) as f32).collect(), &[n], device);
            sizes.iter().enumerate().map(of).collect()
        };
        let norm = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
        let (lamb, lars) = (make()?, make()?);
        let mut a = Lamb::builder(0.1).weight_decay(0.01).build(lamb.clone())?;
        let mut b = Lars::builder(0.5).weight_decay(0.01).trust_coefficient(0.02).build(lars.clone())?;
        for (k, &n) in sizes.iter().enumerate() {
            let grad: Vec<f64> = (0..n).map(|i| f64::from(value(i, k + 1, 0.5) as f32)).collect();
            let g = Tensor::from_vec(grad.iter().map(|&v| v as f32).collect::<Vec<f32>>(), [n], device)?;
            lamb[k].set_grad(Some(&g))?;
            lars[k].set_grad(Some(&g.add(0.0)?))?;
        }
        a.step()?;
        b.step()?;
        for (k, &n) in sizes.iter().enumerate() {
            let p: Vec<f64> = (0..n).map(|i| f64::from(value(i, k, 2.0) as f32)).collect();
            let g: Vec<f64> = (0..n).map(|i| f64::from(value(i, k + 1, 0.5) as f32)).collect();
            // The first step of Adam is the sign of the gradient.
            let r: Vec<f64> = p.iter().zip(&g).map(|(p, g)| g / (g.abs() + 1e-6) + 0.01 * p).collect();
            let (np, nr, ng) = (norm(&p), norm(&r), norm(&g));
            let trust = if np > 0.0 && nr > 0.0 { np / nr } else { 1.0 };
            let expected: Vec<f64> = p.iter().zip(&r).map(|(p, r)| p - 0.1 * trust * r).collect();
            assert_close(&lamb[k], &expected, 1e-4, 1e-5);
            let rate = if np > 0.0 && ng > 0.0 { 0.02 * np / (ng + 0.01 * np + 1e-8) } else { 1.0 };
            let expected: Vec<f64> = p.iter().zip(&g).map(|(p, g)| p - 0.5 * rate * (g + 0.01 * p)).collect();
            assert_close(&lars[k], &expected, 1e-4, 1e-5);
        }
        Ok(())
    });
}

#[test]
fn lookahead_goes_back_half_of_the_way() {
    for_each_device(|device| {
        let p = leaf(vec![1.0, -2.0, 4.0], &[3], device)?;
        let mut optimizer = Lookahead::new(Sgd::new([p.clone()], 0.5)?, 2, 0.5)?;
        let constant = |optimizer: &mut Lookahead<SgdRule>| {
            p.set_grad(Some(&Tensor::ones([3], device)?))?;
            optimizer.step()
        };
        constant(&mut optimizer)?;
        assert_close(&p, &[0.5, -2.5, 3.5], 0.0, 1e-6);
        constant(&mut optimizer)?;
        assert_close(&p, &[0.5, -2.5, 3.5], 0.0, 1e-6);
        let state = optimizer.state_dict()?;
        assert_close(&state.state[&0]["slow_param"], &[0.5, -2.5, 3.5], 0.0, 1e-6);
        constant(&mut optimizer)?;
        let mut other = Lookahead::new(Sgd::new([p.clone()], 0.5)?, 2, 0.5)?;
        other.load_state_dict(&state)?;
        constant(&mut other)?;
        assert_close(&p, &[-0.5, -3.5, 2.5], 0.0, 1e-6);
        constant(&mut other)?;
        assert_close(&p, &[-0.25, -3.25, 2.75], 0.0, 1e-6);
        Ok(())
    });
}

/// On a parabola the gradient at the worst point nearby is known: `2 (p + rho g / |g|)`.
#[test]
fn sam_takes_the_gradient_uphill() {
    for_each_device(|device| {
        let (a, b) = (leaf(vec![3.0], &[1], device)?, leaf(vec![4.0, 0.0], &[2], device)?);
        let mut optimizer = Sam::new(Sgd::new([a.clone(), b.clone()], 0.1)?, 0.5, false)?;
        let loss = optimizer.step_with(&mut || {
            optimizer_zero(&[&a, &b]);
            let loss = a.square()?.sum_all()?.add(b.square()?.sum_all()?)?;
            loss.backward()?;
            Ok(loss)
        })?;
        assert_eq!(loss.item::<f32>()?, 25.0);
        assert_close(&a, &[3.0 - 0.2 * (3.0 + 0.5 * 0.6)], 1e-6, 0.0);
        assert_close(&b, &[4.0 - 0.2 * (4.0 + 0.5 * 0.8), 0.0], 1e-6, 0.0);
        assert!(optimizer.step().is_err());
        Ok(())
    });
}

fn optimizer_zero(params: &[&Tensor]) {
    params.iter().for_each(|p| p.zero_grad());
}

#[test]
fn norms_of_all_kinds_clip() {
    for_each_device(|device| {
        let grads = || -> Result<Vec<Tensor>> {
            let params = vec![leaf(vec![0.0; 3], &[3], device)?, leaf(vec![0.0], &[], device)?, leaf(vec![0.0; 2], &[2, 1], device)?];
            for (p, g) in params.iter().zip([vec![3.0f32, 0.0, -4.0], vec![12.0], vec![0.0, 1.0]]) {
                p.set_grad(Some(&Tensor::from_vec(g, p.shape(), device)?))?;
            }
            Ok(params)
        };
        let all = [3.0f64, 0.0, -4.0, 12.0, 0.0, 1.0];
        for (p, norm) in [
            (2.0, 170f64.sqrt()),
            (1.0, 20.0),
            (f64::INFINITY, 12.0),
            (f64::NEG_INFINITY, 0.0),
            (0.0, 4.0),
            (3.0, (27.0 + 64.0 + 1728.0 + 1.0f64).cbrt()),
        ] {
            let params = grads()?;
            let found = clip_grad_norm_(&params, 2.0, p, true)?;
            assert_close(&found, &[norm], 1e-5, 1e-6);
            let scale = (2.0 / (norm + 1e-6)).min(1.0);
            let got = params.iter().map(|p| p.grad().unwrap().to_vec::<f32>()).collect::<Result<Vec<_>>>()?.concat();
            for (g, a) in got.iter().zip(all) {
                assert!((f64::from(*g) - a * scale).abs() < 1e-5, "norm {p} on {device}: {got:?}");
            }
        }
        // An infinite limit measures.
        let params = grads()?;
        clip_grad_norm_(&params, f64::INFINITY, 2.0, false)?;
        assert_eq!(params[0].grad().unwrap().to_vec::<f32>()?, [3.0, 0.0, -4.0]);
        clip_grad_value_(&params, 2.5)?;
        assert_eq!(params[0].grad().unwrap().to_vec::<f32>()?, [2.5, 0.0, -2.5]);
        assert!(clip_grad_value_(&params, -1.0).is_err());
        // What cannot be clipped stays, when that is an error.
        params[1].set_grad(Some(&Tensor::full([], f64::INFINITY, device)?))?;
        assert!(clip_grad_norm_(&params, 1.0, 2.0, true).is_err());
        assert_eq!(params[0].grad().unwrap().to_vec::<f32>()?, [2.5, 0.0, -2.5]);
        assert_eq!(clip_grad_norm_(Vec::<Tensor>::new(), 1.0, 2.0, true)?.item::<f32>()?, 0.0);
        Ok(())
    });
}

/// Clipped, then a step: the gradients are where the optimizer wants them.
#[test]
fn clipping_before_a_step_is_the_step_of_clipped_gradients() {
    for_each_device(|device| {
        let params = matrices(device)?;
        let before: Vec<Vec<f32>> = params.iter().map(|p| p.to_vec::<f32>()).collect::<Result<_>>()?;
        let mut optimizer = Sgd::new(params.clone(), 1.0)?;
        quadratic(&params)?.backward()?;
        let grads: Vec<Vec<f32>> = params.iter().map(|p| p.grad().unwrap().to_vec::<f32>()).collect::<Result<_>>()?;
        let norm = clip_grad_norm_(&params, 0.5, 2.0, false)?.item::<f64>()?;
        optimizer.step()?;
        for ((p, b), g) in params.iter().zip(before).zip(grads) {
            let expected: Vec<f64> = b.iter().zip(g).map(|(b, g)| f64::from(*b) - f64::from(g) * 0.5 / (norm + 1e-6)).collect();
            assert_close(p, &expected, 1e-5, 1e-6);
        }
        Ok(())
    });
}

#[test]
fn adaptive_clipping_learns_what_is_usual() -> Result<()> {
    let p = leaf(vec![0.0], &[1], &Device::cpu())?;
    let mut clip = AdaptiveClip::new(10.0)?;
    for i in 0..10 {
        p.set_grad(Some(&Tensor::full([1], f64::from(i), p.device())?))?;
        assert_eq!(clip.clip([&p])?.1, None);
    }
    p.set_grad(Some(&Tensor::full([1], 1000.0, p.device())?))?;
    let (norm, limit) = clip.clip([&p])?;
    assert_eq!((norm, limit), (1000.0, Some(9.0)));
    assert!((p.grad().unwrap().item::<f32>()? - 9.0).abs() < 1e-4);
    // A step that overflows is not what is usual.
    p.set_grad(Some(&Tensor::full([1], f64::NAN, p.device())?))?;
    assert_eq!(clip.clip([&p])?.1, Some(9.0));
    Ok(())
}

/// Momentum outside the learning rate: after the rate changes, the velocity is not scaled.
#[test]
fn momentum_does_not_contain_the_rate() -> Result<()> {
    let p = leaf(vec![0.0], &[1], &Device::cpu())?;
    let mut optimizer = Sgd::builder(1.0).momentum(0.5).build([p.clone()])?;
    let mut step = |lr: f64| {
        optimizer.set_lr(lr);
        p.set_grad(Some(&Tensor::ones([1], p.device())?))?;
        optimizer.step()?;
        p.item::<f32>()
    };
    assert_eq!(step(1.0)?, -1.0);
    assert_eq!(step(0.1)?, -1.15);
    Ok(())
}

/// Options that change which states there are: the states that stay keep their values.
#[test]
fn a_changed_option_keeps_the_states_there_are() -> Result<()> {
    let p = leaf(vec![0.0, 0.0], &[2], &Device::cpu())?;
    let mut optimizer = RMSprop::new([p.clone()], 0.1)?;
    let step = |optimizer: &mut RMSprop| {
        p.set_grad(Some(&Tensor::ones([2], p.device())?))?;
        optimizer.step()
    };
    step(&mut optimizer)?;
    let before = optimizer.state_dict()?.state[&0]["square_avg"].to_vec::<f32>()?;
    optimizer.set_option(0, "momentum", 0.9.into())?;
    assert_eq!(optimizer.state_dict()?.state[&0]["square_avg"].to_vec::<f32>()?, before);
    step(&mut optimizer)?;
    assert!(optimizer.state_dict()?.state[&0].contains_key("momentum_buffer"));
    optimizer.add_group([leaf(vec![1.0], &[1], &Device::cpu())?], RMSprop::builder(0.5))?;
    assert_eq!(optimizer.lrs(), [0.1, 0.5]);
    assert!(optimizer.add_group([p.clone()], RMSprop::builder(0.5)).is_err());
    Ok(())
}
