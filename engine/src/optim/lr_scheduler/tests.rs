//! What the recorded traces do not show: states, ends, moments between steps.

use super::*;
use crate::optim::{Adam, Optimizer, Sgd};
use crate::{Device, Result, Tensor};

fn sgd(lr: f64) -> Sgd {
    let p = Tensor::ones([2], &Device::cpu()).unwrap();
    p.requires_grad_(true).unwrap();
    Sgd::builder(lr).momentum(0.9).build([p]).unwrap()
}

#[test]
fn a_saved_schedule_continues_where_it_was() -> Result<()> {
    let make = |optimizer: &mut Sgd| {
        let parts: Vec<Box<dyn Schedule>> = vec![Box::new(LinearLR::new()), Box::new(CosineAnnealingLR::new(7.0))];
        Scheduler::sequential(optimizer, parts, vec![4])
    };
    let (mut a, mut b) = (sgd(0.1), sgd(0.1));
    let mut whole = make(&mut a)?;
    let mut first = make(&mut b)?;
    for _ in 0..6 {
        whole.step(&mut a)?;
        first.step(&mut b)?;
    }
    let (rates, state) = (b.state_dict()?, first.state_dict());
    let mut c = sgd(0.7);
    let mut second = make(&mut c)?;
    c.load_state_dict(&rates)?;
    second.load_state_dict(&state)?;
    for _ in 0..9 {
        whole.step(&mut a)?;
        second.step(&mut c)?;
        assert_eq!(a.lr(), c.lr());
    }
    assert!(Scheduler::new(&mut sgd(0.1), StepLR::new(3))?.load_state_dict(&state).is_err());
    Ok(())
}

/// The formula of the warm-up counts the first step as one; at the end it stays.
#[test]
fn a_warm_up_reaches_the_rate_and_a_cosine_ends() -> Result<()> {
    let mut optimizer = sgd(1.0);
    let mut scheduler = Scheduler::new(&mut optimizer, WarmupCosine::new(4, 10).eta_min(0.1))?;
    let mut rates = vec![optimizer.lr()];
    for _ in 0..13 {
        scheduler.step(&mut optimizer)?;
        rates.push(optimizer.lr());
    }
    assert_eq!(rates[..5], [0.25, 0.5, 0.75, 1.0, 1.0]);
    assert!((rates[7] - 0.55).abs() < 1e-12, "half way: {}", rates[7]);
    assert!(rates[10..].iter().all(|lr| (lr - 0.1).abs() < 1e-12), "{rates:?}");
    Ok(())
}

#[test]
fn restarts_take_moments_between_steps() -> Result<()> {
    let mut optimizer = sgd(1.0);
    let mut scheduler = Scheduler::new(&mut optimizer, CosineAnnealingWarmRestarts::new(2).t_mult(2))?;
    scheduler.step_to(1.0, &mut optimizer)?;
    assert!((optimizer.lr() - 0.5).abs() < 1e-12);
    scheduler.step_to(4.0, &mut optimizer)?;
    assert!((optimizer.lr() - 0.5).abs() < 1e-12, "the second period has four steps");
    assert!(scheduler.step_to(-1.0, &mut optimizer).is_err());
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() {
    let err = |r: Result<Scheduler>| r.unwrap_err().to_string();
    assert!(err(Scheduler::new(&mut sgd(0.1), StepLR::new(0))).contains("step_size = 0"));
    assert!(err(Scheduler::new(&mut sgd(0.1), OneCycleLR::new(0.1))).contains("total_steps"));
    assert!(err(Scheduler::new(&mut sgd(0.1), OneCycleLR::new(vec![0.1, 0.2]).total_steps(5))).contains("2 numbers for 1"));
    assert!(err(Scheduler::sequential(&mut sgd(0.1), vec![Box::new(StepLR::new(3))], vec![1])).contains("one milestone fewer"));
    assert!(err(Scheduler::new(&mut sgd(0.1), CyclicLR::new(0.1, 1.0).mode("square"))).contains("square"));
    assert!(ReduceLROnPlateau::new(&sgd(0.1), |p| p.factor(1.0)).is_err());
    let p = Tensor::ones([2], &Device::cpu()).unwrap();
    p.requires_grad_(true).unwrap();
    let mut adagrad = crate::optim::Adagrad::new([p.clone()], 0.1).unwrap();
    assert!(err(Scheduler::new(&mut adagrad, CyclicLR::new(0.1, 1.0))).contains("momentum"));
    let mut adam = Adam::new([p], 0.1).unwrap();
    Scheduler::new(&mut adam, CyclicLR::new(0.1, 1.0)).unwrap();
    assert_eq!(adam.options(0).unwrap()["betas"], serde_json::json!([0.9, 0.999]));
}

/// The end of `OneCycleLR` is an error each time, and the rate stays.
#[test]
fn one_cycle_ends() -> Result<()> {
    let mut optimizer = sgd(0.1);
    let mut scheduler = Scheduler::new(&mut optimizer, OneCycleLR::new(0.1).total_steps(3))?;
    for _ in 0..3 {
        scheduler.step(&mut optimizer)?;
    }
    let lr = optimizer.lr();
    assert!(scheduler.step(&mut optimizer).is_err());
    assert!(scheduler.step(&mut optimizer).is_err());
    assert_eq!(optimizer.lr(), lr);
    Ok(())
}
