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

/// Two letters, two meanings: `alpha` balances the kinds, `gamma` is for the easy ones.
#[test]
fn alpha_balances_and_gamma_is_for_easy_examples() {
    for_each_device(|device| {
        let (alpha, gamma) = (0.25, 3.0);
        let p = |x: f64| 1.0 / (1.0 + (-x).exp());
        let term = |right: f64, weight: f64| -weight * (1.0 - right).powf(gamma) * right.ln();
        let (x, t) = (Tensor::new([2.0, -1.0], device)?, Tensor::new([1.0, 0.0], device)?);
        let y = sigmoid_focal_loss(&x, &t, Some(alpha), gamma, Reduction::None)?;
        assert_close(&y, &[term(p(2.0), alpha), term(p(1.0), 1.0 - alpha)], 1e-5, 0.0);
        let (x, weight) = (Tensor::new([[2.0, 0.0], [-1.0, 0.0]], device)?, Tensor::new([0.25, 0.75], device)?);
        let y = focal_loss(&x, &Tensor::new([0, 1], device)?, Some(&weight), gamma, Reduction::None)?;
        assert_close(&y, &[term(p(2.0), alpha), term(p(1.0), 1.0 - alpha)], 1e-5, 0.0);
        Ok(())
    });
}

/// The mean is over the rows that have partners; lonely rows are still rivals. The exponential of a cosine over a small temperature
/// would be infinite.
#[test]
fn contrast_is_a_mean_over_rows_with_partners() {
    let (angles, labels) = ([0.1f64, 0.5, 2.0, 3.5], [0i64, 0, 1, 2]);
    let reference = |temperature: f64| -> f64 {
        let row = |i: usize, j: usize| {
            let score = |k: usize| (angles[i] - angles[k]).cos() / temperature;
            let others = || (0..4).filter(move |&k| k != i);
            let most = others().map(score).fold(f64::MIN, f64::max);
            most + others().map(|k| (score(k) - most).exp()).sum::<f64>().ln() - score(j)
        };
        (row(0, 1) + row(1, 0)) / 2.0
    };
    for_each_device(|device| {
        let x = Tensor::from_vec(angles.iter().flat_map(|a| [a.cos() as f32, a.sin() as f32]).collect::<Vec<_>>(), [4, 2], device)?;
        x.requires_grad_(true)?;
        let t = Tensor::new(labels, device)?;
        assert_close(&supervised_contrastive_loss(&x, &t, 0.5)?, &[reference(0.5)], 1e-4, 0.0);
        // Rows of other labels are nearer: the loss is a difference of cosines over the temperature.
        let t = Tensor::new([0, 1, 0, 2], device)?;
        for loss in [supervised_contrastive_loss(&x, &t, 1e-3)?, info_nce_loss(&x, &x.flip(0)?, 1e-3, true)?] {
            x.zero_grad();
            assert!(loss.item::<f32>()? > 100.0 && loss.item::<f32>()?.is_finite(), "{loss}");
            loss.backward()?;
            assert!(x.grad().unwrap().isfinite()?.all(..)?.item::<bool>()?);
        }
        Ok(())
    });
}

/// Through convolution, norm and activation too: the penalty's own gradient is what differences say. Real and made-up pictures are the
/// same here, so that the points between them are no random ones.
#[test]
fn a_critics_slope_learns_through_its_layers() -> Result<()> {
    let f64s = |n: usize, k: f64| (0..n).map(|i| (i as f64 * k).sin()).collect::<Vec<f64>>();
    let cpu = Device::cpu();
    let (x, out) = (Tensor::from_vec(f64s(32, 1.3), [2, 1, 4, 4], &cpu)?, Tensor::from_vec(f64s(32, 0.7), [2, 4, 4], &cpu)?);
    let w = Tensor::from_vec(f64s(18, 2.1), [2, 1, 3, 3], &cpu)?;
    w.requires_grad_(true)?;
    let penalty = |w: &[Tensor]| {
        let critic = |x: &Tensor| {
            let y = x.conv2d(&w[0], None, 1, 1, 1, 1)?.instance_norm(None, None, None, true, 0.1, 1e-5)?;
            y.leaky_relu(0.2)?.mul(&out)?.sum([1, 2, 3])
        };
        gradient_penalty(critic, &x, &x)
    };
    let value = penalty(std::slice::from_ref(&w))?;
    // Where nothing is recorded it can be measured all the same.
    assert_close(&no_grad(|| penalty(std::slice::from_ref(&w)))?, &value.to_vec::<f64>()?, 1e-12, 0.0);
    crate::autograd::gradcheck(penalty, &[&w])
}

/// The teacher's answers are given; a high temperature, which makes slopes small by its square, is made up for.
#[test]
fn a_teacher_does_not_learn() {
    for_each_device(|device| {
        let (student, teacher) = (Tensor::new([[1.0, 0.0, -1.0]], device)?, Tensor::new([[0.0, 2.0, 0.0]], device)?);
        student.requires_grad_(true)?;
        teacher.requires_grad_(true)?;
        distillation_loss(&student, &teacher, None, 4.0, 0.7)?.backward()?;
        assert!(teacher.grad().is_none());
        let soft = |x: [f64; 3]| {
            let e = x.map(|v| (v / 4.0).exp());
            e.map(|v| v / e.iter().sum::<f64>())
        };
        let (s, t) = (soft([1.0, 0.0, -1.0]), soft([0.0, 2.0, 0.0]));
        let expected: Vec<f64> = (0..3).map(|i| 4.0 * (s[i] - t[i])).collect();
        assert_close(&student.grad().unwrap(), &expected, 1e-4, 1e-6);
        Ok(())
    });
}
