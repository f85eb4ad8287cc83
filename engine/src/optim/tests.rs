//! Optimizers against a reference in f64 that updates one number at a time.

use super::*;
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Result, Tensor};

/// One step on one number: parameter, gradient, states, step count from 1.
type Reference = fn(f64, f64, &mut [f64; 3], u64) -> f64;

fn sgd(p: f64, g: f64, s: &mut [f64; 3], t: u64) -> f64 {
    let g = g + 0.1 * p;
    s[0] = if t == 1 { g } else { 0.9 * s[0] + 0.7 * g };
    p - 0.05 * s[0]
}

fn nesterov(p: f64, g: f64, s: &mut [f64; 3], _: u64) -> f64 {
    s[0] = 0.9 * s[0] - g;
    p - 0.05 * (-g + 0.9 * s[0])
}

fn adam(p: f64, g: f64, s: &mut [f64; 3], t: u64) -> f64 {
    let g = g + 0.1 * p;
    s[0] = 0.8 * s[0] + 0.2 * g;
    s[1] = 0.9 * s[1] + 0.1 * g * g;
    s[2] = s[2].max(s[1]);
    p - 0.05 * (s[0] / (1.0 - 0.8f64.powi(t as i32))) / ((s[2] / (1.0 - 0.9f64.powi(t as i32))).sqrt() + 1e-8)
}

fn adamw(p: f64, g: f64, s: &mut [f64; 3], t: u64) -> f64 {
    let p = p * (1.0 - 0.05 * 0.01);
    s[0] = 0.9 * s[0] + 0.1 * g;
    s[1] = 0.999 * s[1] + 0.001 * g * g;
    p - 0.05 * (s[0] / (1.0 - 0.9f64.powi(t as i32))) / ((s[1] / (1.0 - 0.999f64.powi(t as i32))).sqrt() + 1e-8)
}

const SHAPES: [&[usize]; 4] = [&[3, 5], &[], &[70], &[2, 2, 2]];

fn value(i: usize, salt: usize) -> f32 {
    (((i * 37 + salt * 101) % 97) as f32 - 48.0) / 24.0
}

fn leaf(shape: &[usize], salt: usize, device: &Device) -> Result<Tensor> {
    let n = shape.iter().product();
    let t = Tensor::from_vec((0..n).map(|i| value(i, salt)).collect::<Vec<f32>>(), shape, device)?;
    t.requires_grad_(true)?;
    Ok(t)
}

/// Ten steps with given gradients; parameter `p` has none in the steps where `absent(step, p)`.
fn agrees<R: Rule>(rule: &R, reference: Reference, absent: fn(usize, usize) -> bool, device: &Device) -> Result<()> {
    let params = SHAPES.iter().enumerate().map(|(i, s)| leaf(s, i, device)).collect::<Result<Vec<_>>>()?;
    let mut expected: Vec<Vec<f64>> =
        params.iter().map(|p| Ok(p.to_vec::<f32>()?.into_iter().map(f64::from).collect())).collect::<Result<_>>()?;
    let mut states: Vec<Vec<[f64; 3]>> = expected.iter().map(|p| vec![[0.0; 3]; p.len()]).collect();
    let mut counts = [0u64; SHAPES.len()];
    let mut optimizer = Optim::with_groups([(params.clone(), rule.clone())])?;
    for step in 0..10 {
        optimizer.zero_grad(true)?;
        for (i, p) in params.iter().enumerate().filter(|&(i, _)| !absent(step, i)) {
            let grads: Vec<f32> = (0..p.numel()).map(|k| value(k, 7 * step + i + 10)).collect();
            counts[i] += 1;
            for (k, g) in grads.iter().enumerate() {
                expected[i][k] = reference(expected[i][k], f64::from(*g), &mut states[i][k], counts[i]);
            }
            p.set_grad(Some(&Tensor::from_vec(grads, p.shape(), device)?))?;
        }
        optimizer.step()?;
        for (p, e) in params.iter().zip(&expected) {
            assert_close(p, e, 2e-5, 1e-5);
        }
    }
    Ok(())
}

fn everywhere<R: Rule>(rule: R, reference: Reference) {
    for_each_device(|device| {
        agrees(&rule, reference, |_, _| false, device)?;
        // Never, in odd steps, not at first.
        agrees(&rule, reference, |step, p| p == 1 || (p == 2 && step % 2 == 1) || (p == 3 && step < 3), device)
    });
}

#[test]
fn sgd_with_momentum_dampening_and_weight_decay() {
    everywhere(Sgd::builder(0.05).momentum(0.9).dampening(0.3).weight_decay(0.1), sgd);
}

#[test]
fn sgd_with_nesterov_climbing() {
    everywhere(Sgd::builder(0.05).momentum(0.9).nesterov(true).maximize(true), nesterov);
}

#[test]
fn plain_sgd() {
    everywhere(Sgd::builder(0.1), |p, g, _, _| p - 0.1 * g);
}

#[test]
fn adam_with_the_largest_average_and_weight_decay() {
    everywhere(Adam::builder(0.05).betas(0.8, 0.9).weight_decay(0.1).amsgrad(true), adam);
}

#[test]
fn adamw_with_its_defaults() {
    everywhere(AdamW::builder(0.05), adamw);
}

#[test]
fn double_precision_has_a_slab_of_its_own() {
    let device = Device::cpu();
    let a = leaf(&[3], 0, &device).unwrap();
    let b = leaf(&[3], 1, &device).unwrap().detach().unwrap().to_dtype(DType::F64).unwrap();
    b.requires_grad_(true).unwrap();
    let before = b.to_vec::<f64>().unwrap();
    let mut optimizer = Sgd::new([a.clone(), b.clone()], 0.5).unwrap();
    a.sum_all().unwrap().backward().unwrap();
    b.sum_all().unwrap().backward().unwrap();
    optimizer.step().unwrap();
    assert_eq!(b.to_vec::<f64>().unwrap(), before.iter().map(|v| v - 0.5).collect::<Vec<_>>());
}

#[test]
fn who_holds_an_old_value_keeps_it_and_a_new_value_is_trained_on() {
    for_each_device(|device| {
        let p = leaf(&[4], 3, device)?;
        let first = p.to_vec::<f32>()?;
        let old = p.detach()?.add(0.0)?;
        let mut optimizer = Sgd::builder(1.0).momentum(0.5).build([p.clone()])?;
        let step = |optimizer: &mut Sgd| {
            optimizer.zero_grad(true)?;
            p.sum_all()?.backward()?;
            optimizer.step()
        };
        step(&mut optimizer)?;
        assert_eq!(old.to_vec::<f32>()?, first);
        assert_eq!(p.to_vec::<f32>()?, first.iter().map(|v| v - 1.0).collect::<Vec<_>>());
        crate::no_grad(|| p.copy_(&Tensor::full([4], 10.0, device)?).map(|_| ()))?;
        step(&mut optimizer)?;
        assert_eq!(p.to_vec::<f32>()?, [8.5; 4]);
        step(&mut optimizer)?;
        assert_eq!(p.to_vec::<f32>()?, [6.75; 4]);
        Ok(())
    });
}

#[test]
fn a_saved_state_continues_where_it_was() {
    for_each_device(|device| {
        let run = |split: bool| -> Result<Vec<f32>> {
            let params = [leaf(&[5], 0, device)?, leaf(&[2, 3], 1, device)?];
            let mut optimizer = Adam::new(params.clone(), 0.1)?;
            for step in 0..6 {
                if split && step == 3 {
                    let state = optimizer.state_dict()?;
                    assert_eq!(state.state[&1]["exp_avg"].shape(), [2, 3]);
                    assert_eq!(state.state[&0]["step"].item::<f32>()?, 3.0);
                    optimizer = Adam::new(params.clone(), 0.7)?;
                    optimizer.load_state_dict(&state)?;
                    assert_eq!(optimizer.lr(), 0.1);
                }
                optimizer.zero_grad(true)?;
                params[0].square()?.sum_all()?.add(params[1].square()?.sum_all()?)?.backward()?;
                optimizer.step()?;
            }
            let [a, b] = params;
            Ok([a.to_vec::<f32>()?, b.to_vec::<f32>()?].concat())
        };
        assert_eq!(run(false)?, run(true)?);
        Ok(())
    });
}

#[test]
fn parameters_that_cannot_be_trained_are_refused() {
    let device = Device::cpu();
    let p = leaf(&[2], 0, &device).unwrap();
    let text = |r: Result<Sgd>| r.unwrap_err().to_string();
    assert!(text(Sgd::new([p.clone(), p.clone()], 0.1)).contains("parameter 1 of group 0 is listed twice"));
    assert!(text(Sgd::new([p.mul(2.0).unwrap()], 0.1)).contains("not a leaf"));
    assert!(text(Sgd::new([Tensor::ones([2], &device).unwrap()], 0.1)).contains("does not require a gradient"));
    assert!(text(Sgd::new(Vec::<Tensor>::new(), 0.1)).contains("no parameters"));
    assert!(text(Sgd::new([p.clone()], -1.0)).contains("lr = -1"));
    assert!(text(Sgd::builder(0.1).nesterov(true).build([p.clone()])).contains("Nesterov"));
    for rule in
        [Adam::builder(f64::NAN), Adam::builder(0.1).betas(1.0, 0.9), Adam::builder(0.1).betas(0.9, -0.1), Adam::builder(0.1).eps(-1.0)]
    {
        assert!(rule.build([p.clone()]).is_err());
    }
    assert!(AdamW::builder(0.1).weight_decay(-1.0).build([p]).is_err());
}

#[test]
fn groups_have_their_own_rates() {
    let device = Device::cpu();
    let (a, b) = (leaf(&[2], 0, &device).unwrap(), leaf(&[2], 0, &device).unwrap());
    let start = a.to_vec::<f32>().unwrap();
    let mut optimizer = Optim::with_groups([([a.clone()], Sgd::builder(1.0)), ([b.clone()], Sgd::builder(2.0))]).unwrap();
    optimizer.set_group_lr(1, 3.0).unwrap();
    assert!(optimizer.set_group_lr(2, 3.0).is_err());
    assert_eq!(optimizer.lrs(), [1.0, 3.0]);
    a.add(&b).unwrap().sum_all().unwrap().backward().unwrap();
    optimizer.step().unwrap();
    assert_eq!(a.to_vec::<f32>().unwrap(), [start[0] - 1.0, start[1] - 1.0]);
    assert_eq!(b.to_vec::<f32>().unwrap(), [start[0] - 3.0, start[1] - 3.0]);
    optimizer.zero_grad(false).unwrap();
    assert_eq!(a.grad().unwrap().to_vec::<f32>().unwrap(), [0.0, 0.0]);
    optimizer.zero_grad(true).unwrap();
    assert!(a.grad().is_none());
}
