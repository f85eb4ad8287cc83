use super::*;
use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device};

const MEAN: Reduction = Reduction::Mean;
const NONE: Reduction = Reduction::None;

fn noise(n: usize, seed: u64) -> Vec<f64> {
    (0..n).map(|i| (((i as u64 * 7919 + seed * 104_729) % 1000) as f64 / 250.0 - 2.0) as f32 as f64).collect()
}

fn tensor(values: &[f64], shape: &[usize], device: &Device) -> Result<Tensor> {
    Tensor::from_vec(values.iter().map(|&v| v as f32).collect::<Vec<_>>(), shape, device)
}

/// `(loss, gradient)` of `[n, c]` logits, row by row.
fn reference(x: &[f64], target: &[i64], weight: Option<&[f64]>, options: CrossEntropy) -> (Vec<f64>, Vec<f64>) {
    let (n, c) = (target.len(), x.len() / target.len());
    let w = |k: usize| weight.map_or(1.0, |w| w[k]);
    let s = options.label_smoothing;
    let total: f64 = target.iter().filter(|t| **t != options.ignore_index).map(|&t| w(t as usize)).sum();
    let (mut losses, mut dx) = (vec![0.0; n], vec![0.0; n * c]);
    for (r, &t) in target.iter().enumerate() {
        if t == options.ignore_index {
            continue;
        }
        let row = &x[r * c..][..c];
        let most = row.iter().copied().fold(f64::MIN, f64::max);
        let sum: f64 = row.iter().map(|v| (v - most).exp()).sum();
        let log_p: Vec<f64> = row.iter().map(|v| v - most - sum.ln()).collect();
        // The target as a distribution with weights.
        let q: Vec<f64> = (0..c).map(|k| (if k == t as usize { (1.0 - s) * w(k) } else { 0.0 }) + s / c as f64 * w(k)).collect();
        losses[r] = -(0..c).map(|k| q[k] * log_p[k]).sum::<f64>();
        let mass: f64 = q.iter().sum();
        (0..c).for_each(|k| dx[r * c + k] = mass * log_p[k].exp() - q[k]);
    }
    if options.reduction == MEAN {
        dx.iter_mut().for_each(|d| *d /= total);
        losses = vec![losses.iter().sum::<f64>() / total];
    }
    (losses, dx)
}

#[test]
fn cross_entropy_over_classes_and_its_gradient() {
    let (n, c) = (6, 5);
    let x = noise(n * c, 1);
    let target = [0i64, 4, 2, -100, 1, 4];
    let weight = [0.5, 2.0, 1.0, 0.0, 3.0];
    for_each_device(|dev| {
        for reduction in [MEAN, NONE] {
            for (label_smoothing, weighted, target) in
                [(0.0, false, &target[..]), (0.0, true, &target), (0.3, true, &target), (0.1, false, &target[..3])]
            {
                let n = target.len();
                let options = CrossEntropy { label_smoothing, reduction, ..CrossEntropy::default() };
                let (want, dx) = reference(&x[..n * c], target, weighted.then_some(&weight[..]), options);
                let logits = tensor(&x[..n * c], &[n, c], dev)?;
                logits.requires_grad_(true)?;
                let w = tensor(&weight, &[c], dev)?;
                let t = Tensor::from_vec(target.to_vec(), [n], dev)?;
                let loss = cross_entropy_with(&logits, &t, weighted.then_some(&w), options)?;
                assert_close(&loss, &want, 1e-5, 1e-6);
                loss.sum_all()?.backward()?;
                assert_close(&logits.grad().unwrap(), &dx, 1e-5, 1e-6);
                // The same out of its parts.
                if label_smoothing == 0.0 {
                    let parts = nll_loss(&logits.log_softmax(1)?, &t, weighted.then_some(&w), -100, reduction)?;
                    assert_close(&parts, &want, 1e-5, 1e-6);
                }
            }
        }
        Ok(())
    });
}

#[test]
fn classes_may_be_in_the_middle_and_rows_alone() {
    for_each_device(|dev| {
        let x = noise(2 * 3 * 4, 2);
        let target = [0i64, 2, 1, 0, 2, 2, 1, 0];
        let rows: Vec<f64> = (0..8).flat_map(|r| (0..3).map(move |k| (r, k))).map(|(r, k)| x[(r / 4 * 3 + k) * 4 + r % 4]).collect();
        let (want, _) = reference(&rows, &target, None, CrossEntropy { reduction: NONE, ..Default::default() });
        let options = CrossEntropy { reduction: NONE, ..Default::default() };
        let t = Tensor::from_vec(target.to_vec(), [2, 4], dev)?;
        let y = cross_entropy_with(&tensor(&x, &[2, 3, 4], dev)?, &t, None, options)?;
        assert_eq!(y.shape(), [2, 4]);
        assert_close(&y, &want, 1e-5, 1e-6);
        let one = cross_entropy(&tensor(&rows[..3], &[3], dev)?, &Tensor::from_vec(vec![0i64], [], dev)?)?;
        assert_close(&one, &want[..1], 1e-5, 1e-6);
        Ok(())
    });
}

#[test]
fn probabilities_as_targets() {
    for_each_device(|dev| {
        let (x, t) = (noise(6, 3), [0.5, 0.25, 0.25, 0.0, 0.0, 1.0]);
        let log_p = |r: usize, k: usize| x[r * 3 + k] - x[r * 3..][..3].iter().map(|v| v.exp()).sum::<f64>().ln();
        let want: f64 = (0..6).map(|i| -t[i] * log_p(i / 3, i % 3)).sum::<f64>() / 2.0;
        assert_close(&cross_entropy(&tensor(&x, &[2, 3], dev)?, &tensor(&t, &[2, 3], dev)?)?, &[want], 1e-5, 1e-6);
        Ok(())
    });
}

#[test]
fn large_logits_and_masked_classes_stay_finite() {
    for_each_device(|dev| {
        let x = tensor(&[1e4, 0.0, f64::NEG_INFINITY, 50.0, f64::NEG_INFINITY, f64::NEG_INFINITY], &[2, 3], dev)?;
        x.requires_grad_(true)?;
        let loss = cross_entropy(&x, &Tensor::from_vec(vec![1i64, 0], [2], dev)?)?;
        assert_close(&loss, &[5e3], 1e-6, 0.0);
        loss.backward()?;
        assert_close(&x.grad().unwrap(), &[0.5, -0.5, 0.0, 0.0, 0.0, 0.0], 1e-6, 1e-7);
        Ok(())
    });
}

#[test]
fn a_target_outside_the_classes_is_an_error_before_anything_runs() {
    for_each_device(|dev| {
        let x = Tensor::zeros([4, 10], dev)?;
        let of = |t: [i64; 4]| cross_entropy(&x, &Tensor::from_vec(t.to_vec(), [4], dev)?);
        assert_eq!(of([0, 9, 3, 12]).unwrap_err().to_string(), "cross_entropy: target 12 at position 3 is outside the 10 classes");
        assert_eq!(of([0, -1, 3, 2]).unwrap_err().to_string(), "cross_entropy: target -1 at position 1 is outside the 10 classes");
        assert!(of([0, -100, 3, 2]).is_ok());
        // The sound part of an upload.
        let all = Tensor::from_vec(vec![1i64, 2, 3, 4, 99], [5], dev)?;
        assert!(cross_entropy(&x, &all.narrow(0, 0, 4)?).is_ok());
        Ok(())
    });
    let x = Tensor::zeros([4, 10], &Device::cpu()).unwrap();
    assert!(cross_entropy(&x, &x.narrow(1, 0, 4).unwrap()).is_err());
    assert!(cross_entropy(&x, &Tensor::zeros([3], (DType::I64, &Device::cpu())).unwrap()).is_err());
    assert!(cross_entropy(&x, &Tensor::zeros([4], (DType::Bool, &Device::cpu())).unwrap()).is_err());
}

#[test]
fn class_losses_differentiate_twice() {
    let x = noise(12, 4);
    let dev = Device::cpu();
    let t = Tensor::from_vec(vec![2i64, 0, -100], [3], &dev).unwrap();
    let w = Tensor::from_vec(vec![1.0f64, 0.5, 2.0, 1.5], [4], &dev).unwrap();
    for (label_smoothing, weight) in [(0.0, None), (0.2, Some(&w))] {
        let options = CrossEntropy { label_smoothing, ..Default::default() };
        assert_gradients(&[(&x, &[3, 4])], |x| cross_entropy_with(&x[0], &t, weight, options));
    }
    assert_gradients(&[(&x, &[3, 4])], |x| nll_loss(&x[0].square()?, &t, Some(&w), -100, MEAN));
    let p: Vec<f64> = noise(12, 5).iter().map(|v| v.abs() + 0.1).collect();
    assert_gradients(&[(&x, &[3, 4]), (&p, &[3, 4])], |x| cross_entropy(&x[0], &x[1]));
}

#[test]
fn one_training_step_is_few_kernels() {
    for_each_device(|dev| {
        let step = || -> Result<u64> {
            let x = tensor(&noise(32 * 10, 1), &[32, 10], dev)?;
            x.requires_grad_(true)?;
            let t = Tensor::from_vec((0..32).map(|i| i % 10).collect::<Vec<i64>>(), [32], dev)?;
            let before = dev.stats().dispatches;
            let loss = cross_entropy(&x, &t)?;
            loss.backward()?;
            dev.flush()?;
            Ok(dev.stats().dispatches - before)
        };
        step()?;
        let kernels = step()?;
        assert!(kernels <= 4, "{kernels} kernels for a loss and its gradient");
        Ok(())
    });
}

#[test]
fn elementwise_losses_follow_their_formulas() {
    let (x, t) = (noise(8, 6), noise(8, 7));
    let p: Vec<f64> = x.iter().map(|v| 1.0 / (1.0 + (-v).exp())).map(|v| v as f32 as f64).collect();
    let q: Vec<f64> = t.iter().map(|v| (v.abs() / 2.0) as f32 as f64).collect();
    let pair = |f: &dyn Fn(f64, f64) -> f64, a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| f(*a, *b)).collect::<Vec<f64>>();
    for_each_device(|dev| {
        let [xt, tt, pt, qt] = [&x, &t, &p, &q].map(|v| tensor(v, &[2, 4], dev).unwrap());
        assert_close(&mse_loss(&xt, &tt, NONE)?, &pair(&|a, b| (a - b).powi(2), &x, &t), 1e-5, 1e-6);
        assert_close(&l1_loss(&xt, &tt, NONE)?, &pair(&|a, b| (a - b).abs(), &x, &t), 1e-5, 1e-6);
        let smooth =
            |beta: f64| move |a: f64, b: f64| if (a - b).abs() < beta { (a - b).powi(2) / 2.0 / beta } else { (a - b).abs() - beta / 2.0 };
        assert_close(&smooth_l1_loss(&xt, &tt, 0.7, NONE)?, &pair(&smooth(0.7), &x, &t), 1e-5, 1e-6);
        assert_close(&huber_loss(&xt, &tt, 0.7, NONE)?, &pair(&|a, b| smooth(0.7)(a, b) * 0.7, &x, &t), 1e-5, 1e-6);
        let bce = |a: f64, b: f64| -(b * a.ln() + (1.0 - b) * (1.0 - a).ln());
        assert_close(&binary_cross_entropy(&pt, &qt, None, NONE)?, &pair(&bce, &p, &q), 1e-5, 1e-5);
        let logits = |a: f64, b: f64| (1.0 - b) * a + (1.0 + 2.0 * b) * (1.0 + (-a).exp()).ln();
        let three = tensor(&[3.0], &[1], dev)?;
        assert_close(&binary_cross_entropy_with_logits(&xt, &qt, None, Some(&three), NONE)?, &pair(&logits, &x, &q), 1e-5, 1e-5);
        let kl = |a: f64, b: f64| if b == 0.0 { 0.0 } else { b * (b.ln() - a) };
        assert_close(&kl_div(&xt, &qt, NONE, false)?, &pair(&kl, &x, &q), 1e-5, 1e-5);
        assert_close(&kl_div(&xt, &tt, NONE, true)?, &pair(&|a, b| b.exp() * (b - a), &x, &t), 1e-5, 1e-5);
        let total: f64 = pair(&kl, &x, &q).iter().sum();
        assert_close(&kl_div(&xt, &qt, Reduction::BatchMean, false)?, &[total / 2.0], 1e-5, 1e-5);
        assert_close(&mse_loss(&xt, &tt, Reduction::Sum)?, &[pair(&|a, b| (a - b).powi(2), &x, &t).iter().sum()], 1e-5, 1e-5);
        Ok(())
    });
}

#[test]
fn saturated_probabilities_cost_100_at_most() {
    for_each_device(|dev| {
        let x = tensor(&[0.0, 1.0], &[2], dev)?;
        let t = tensor(&[1.0, 0.0], &[2], dev)?;
        assert_close(&binary_cross_entropy(&x, &t, None, NONE)?, &[100.0, 100.0], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn elementwise_losses_differentiate_twice() {
    let (x, t) = (noise(6, 8), noise(6, 9));
    let p: Vec<f64> = x.iter().map(|v| 1.0 / (1.0 + (-v).exp())).collect();
    let q: Vec<f64> = t.iter().map(|v| 0.1 + v.abs() / 3.0).collect();
    let s: &[usize] = &[2, 3];
    assert_gradients(&[(&x, s), (&t, s)], |a| mse_loss(&a[0], &a[1], MEAN));
    assert_gradients(&[(&x, s), (&t, s)], |a| huber_loss(&a[0], &a[1], 0.6, MEAN));
    assert_gradients(&[(&x, s), (&t, s)], |a| smooth_l1_loss(&a[0], &a[1], 0.6, NONE));
    assert_gradients(&[(&p, s), (&q, s)], |a| binary_cross_entropy(&a[0], &a[1], None, MEAN));
    assert_gradients(&[(&x, s), (&q, s), (&q[..3], &[3])], |a| binary_cross_entropy_with_logits(&a[0], &a[1], None, Some(&a[2]), NONE));
    assert_gradients(&[(&x, s), (&q, s)], |a| kl_div(&a[0], &a[1], MEAN, false));
    assert_gradients(&[(&x, s), (&t, s)], |a| kl_div(&a[0], &a[1], Reduction::BatchMean, true));
}

#[test]
fn a_score_of_zero_has_a_slope() {
    let x = Tensor::zeros([1], &Device::cpu()).unwrap();
    x.requires_grad_(true).unwrap();
    let t = Tensor::zeros([1], &Device::cpu()).unwrap();
    binary_cross_entropy_with_logits(&x, &t, None, None, MEAN).unwrap().backward().unwrap();
    assert_eq!(x.grad().unwrap().item::<f32>().unwrap(), 0.5);
}

#[test]
fn shapes_must_be_equal() {
    let dev = Device::cpu();
    let (x, t) = (Tensor::ones([2, 1], &dev).unwrap(), Tensor::ones([2], &dev).unwrap());
    for e in [
        mse_loss(&x, &t, MEAN),
        l1_loss(&x, &t, MEAN),
        smooth_l1_loss(&x, &t, 1.0, MEAN),
        huber_loss(&x, &t, 1.0, MEAN),
        binary_cross_entropy(&x, &t, None, MEAN),
        binary_cross_entropy_with_logits(&x, &t, None, None, MEAN),
        kl_div(&x, &t, MEAN, false),
        mse_loss(&x, &x, Reduction::BatchMean),
        huber_loss(&x, &x, 0.0, MEAN),
        smooth_l1_loss(&x, &x, -1.0, MEAN),
    ] {
        assert!(e.is_err());
    }
    assert!("mode".parse::<Reduction>().is_err());
    assert_eq!("batchmean".parse::<Reduction>().unwrap(), Reduction::BatchMean);
}
