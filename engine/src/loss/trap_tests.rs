//! Losses where formulas as they are written down go wrong.

use super::*;
use crate::nn::{CrossEntropyLoss, Module};
use crate::testing::{assert_close, for_each_device};
use crate::{Device, Tensor, no_grad};

/// The slope of a critic of images is that of a whole image: one norm for each, not one for each pixel.
#[test]
fn a_critics_slope_is_of_the_whole_image() -> Result<()> {
    let cpu = Device::cpu();
    let (a, b) = (Tensor::randn([3, 2, 2, 2], &cpu)?, Tensor::randn([3, 2, 2, 2], &cpu)?);
    let w = Tensor::full([2, 2, 2], 0.5, &cpu)?;
    // The norm of eight halves is the root of 2.
    let penalty = gradient_penalty(|x| x.mul(&w)?.sum([1, 2, 3]), &a, &b)?;
    assert_close(&penalty, &[(2f64.sqrt() - 1.0).powi(2)], 1e-5, 0.0);
    Ok(())
}

/// As PyTorch refuses them, if by the next read.
#[test]
fn values_a_loss_cannot_take_are_refused() {
    for_each_device(|device| {
        let new = |v: [f32; 3]| Tensor::new(v, device);
        let told = |r: Result<Tensor>| r.and_then(|y| y.to_vec::<f32>()).expect_err("refused").to_string();
        let good = new([0.0, 1.0, 0.5])?;
        for bad in [1.5, -0.5, f32::NAN] {
            let why = told(binary_cross_entropy(&new([0.0, bad, 0.5])?, &good, None, Reduction::None));
            assert!(why.contains("probabilities, but element 1"), "on {device}: {why}");
        }
        let gaussian = |v: [f32; 3]| gaussian_nll_loss(&good, &good, &new(v)?, false, 1e-6, Reduction::Mean);
        let why = told(gaussian([0.5, 1.0, -0.5]));
        assert!(why.contains("gaussian_nll_loss") && why.contains("element 2 is -0.5"), "on {device}: {why}");
        // What was refused is forgotten once it was told; not a number is let through.
        assert!(gaussian([0.0, 1.0, 1.0])?.item::<f32>()?.is_finite());
        assert!(gaussian([f32::NAN, 1.0, 1.0])?.item::<f32>()?.is_nan());
        Ok(())
    });
}

#[test]
fn a_temperature_divides_the_logits() {
    for_each_device(|device| {
        let (x, t) = (Tensor::new([[2.0, -1.0, 0.5]], device)?, Tensor::new([2], device)?);
        let want = cross_entropy(&x.div(2.0)?, &t)?.item::<f64>()?;
        assert_close(&CrossEntropyLoss::new().temperature(2.0).forward(&x, &t)?, &[want], 1e-6, 0.0);
        assert!(CrossEntropyLoss::new().temperature(0.0).forward(&x, &t).is_err());
        Ok(())
    });
}

/// Weights of tasks that learn cannot fall without bound: the price of ignoring a task is its logarithm.
#[test]
fn learned_task_weights_find_their_level() -> Result<()> {
    let cpu = Device::cpu();
    let tasks = UncertaintyWeighting::new(2, &cpu)?;
    let losses = [Tensor::new(4.0, &cpu)?, Tensor::new(0.25, &cpu)?];
    for _ in 0..400 {
        tasks.zero_grad();
        tasks.forward(&losses)?.backward()?;
        let p = &tasks.log_variance;
        let g = p.grad().ok_or_else(|| crate::Error::autograd("test", "no gradient"))?;
        no_grad(|| p.set(&p.sub(&g.mul(0.1)?)?))?;
    }
    // exp(-s) l + s is smallest at s = log l.
    assert_close(&tasks.log_variance, &[4f64.ln(), 0.25f64.ln()], 1e-4, 1e-4);
    Ok(())
}

/// A prediction a hair above 1: 1 - p is not negative where it is raised to a power.
#[test]
fn easy_examples_have_no_negative_base() {
    for_each_device(|device| {
        let x = Tensor::new([[80.0, 0.0], [0.0, 0.0]], device)?;
        x.requires_grad_(true)?;
        for gamma in [0.5, 1.0, 2.5] {
            x.zero_grad();
            focal_loss(&x, &Tensor::new([0, 1], device)?, None, gamma, Reduction::Sum)?.backward()?;
            let g = x.grad().map_or(Ok(vec![]), |g| g.to_vec::<f32>())?;
            assert!(g.iter().all(|v| v.is_finite()), "{gamma}: {g:?}");
        }
        Ok(())
    });
}
