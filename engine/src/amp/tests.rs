//! Precision by operator, and the life of a scale.

use super::*;
use crate::autograd::gradcheck;
use crate::optim::{Optimizer, Sgd, clip_grad_norm_};
use crate::testing::for_each_device;
use crate::{DType, Device, Result, Tensor, no_grad};

#[test]
fn operators_choose_their_precision() {
    for_each_device(|device| {
        let (x, w) = (Tensor::ones([4, 8], device)?, Tensor::ones([8, 8], device)?);
        for low in [DType::F16, DType::BF16] {
            autocast(low, || {
                let y = x.matmul(&w)?;
                assert_eq!(y.dtype(), low);
                assert_eq!(y.relu()?.dtype(), low);
                assert_eq!(y.add(&x)?.dtype(), DType::F32, "the widest wins");
                for full in [y.exp()?, y.softmax(-1)?, y.log_softmax(-1)?, y.sum_all()?, y.pow(2.0)?, y.rsqrt()?] {
                    assert_eq!(full.dtype(), DType::F32);
                }
                assert_eq!(y.layer_norm(&[8], None, None, 1e-5)?.dtype(), DType::F32);
                assert_eq!(y.to_dtype(DType::F32)?.to_vec::<f32>()?, vec![8.0; 32]);
                // A scope without choices inside.
                let _plain = Autocast::new(None)?;
                assert_eq!(x.matmul(&w)?.dtype(), DType::F32);
                Ok(())
            })?;
            assert_eq!(autocast_dtype(), None);
        }
        assert!(autocast(DType::F32, || Ok(())).is_err());
        Ok(())
    });
}

#[test]
fn a_scope_ends_with_an_error_and_leaves_f64_alone() -> Result<()> {
    let device = Device::cpu();
    assert!(autocast(DType::F16, || Tensor::ones([2, 3], &device)?.matmul(&Tensor::ones([2, 3], &device)?)).is_err());
    assert_eq!(autocast_dtype(), None);
    let x = Tensor::new([[0.3, -0.7], [1.1, 0.2]], (DType::F64, &device))?;
    x.requires_grad_(true)?;
    autocast(DType::BF16, || gradcheck(|x| x[0].matmul(&x[0])?.exp(), &[&x]))
}

/// Gradients arrive in the parameter's own type, whatever the product was computed in.
#[test]
fn master_weights_stay_in_f32() {
    for_each_device(|device| {
        let w = Tensor::ones([3, 3], device)?;
        w.requires_grad_(true)?;
        let mut optimizer = Sgd::new([w.clone()], 1e-4)?;
        let y = autocast(DType::F16, || Tensor::ones([2, 3], device)?.matmul(&w)?.sum_all())?;
        y.backward()?;
        assert_eq!(w.grad().unwrap().dtype(), DType::F32);
        optimizer.step()?;
        // In f16 the step would be lost: 1 - 2e-4 is 1 there.
        let expected = 1.0f32 - 2e-4;
        assert!(w.to_vec::<f32>()?.iter().all(|v| (v - expected).abs() < 1e-7));
        Ok(())
    });
}

/// A gradient of 1e-8 is zero in f16; scaled, it survives.
#[test]
fn scaling_saves_small_gradients() {
    for_each_device(|device| {
        let gradient = |scaler: &GradScaler| -> Result<f32> {
            let w = Tensor::ones([1], device)?;
            w.requires_grad_(true)?;
            let low = w.to_dtype(DType::F16)?.mul(1.0)?;
            let loss = low.to_dtype(DType::F32)?.mul(1e-8)?.sum_all()?;
            scaler.scale(&loss)?.backward()?;
            Ok(w.grad().unwrap().to_vec::<f32>()?[0] / scaler.get_scale() as f32)
        };
        assert_eq!(gradient(&GradScaler::new().enabled(false))?, 0.0);
        assert!((gradient(&GradScaler::new())? - 1e-8).abs() < 1e-11);
        Ok(())
    });
}

#[test]
fn factors_that_cannot_work_are_refused() -> Result<()> {
    let loss = Tensor::ones([], &Device::cpu())?;
    for wrong in [
        GradScaler::new().init_scale(0.0),
        GradScaler::new().init_scale(f64::INFINITY),
        GradScaler::new().growth_factor(1.0),
        GradScaler::new().backoff_factor(1.0),
        GradScaler::new().backoff_factor(f64::NAN),
        GradScaler::new().growth_interval(0),
    ] {
        assert!(wrong.scale(&loss).is_err_and(|e| e.to_string().contains("out of range")), "{wrong:?}");
        assert!(wrong.enabled(false).scale(&loss).is_ok());
    }
    Ok(())
}

#[test]
fn an_overflow_skips_the_step_and_halves_the_scale() {
    for_each_device(|device| {
        let w = Tensor::ones([3], device)?;
        w.requires_grad_(true)?;
        let mut optimizer = Sgd::builder(1.0).momentum(0.9).build([w.clone()])?;
        let mut scaler = GradScaler::new().init_scale(8.0).growth_interval(2);
        let mut round = |scaler: &mut GradScaler, factor: f64, clip: bool| -> Result<bool> {
            optimizer.zero_grad(true)?;
            scaler.scale(&w.mul(factor)?.sum_all()?)?.backward()?;
            if clip {
                scaler.unscale_(&optimizer)?;
                assert!(scaler.unscale_(&optimizer).is_err());
                assert!((clip_grad_norm_([&w], 1.0, 2.0, false)?.item::<f64>()? - factor * 3f64.sqrt()).abs() < 1e-5);
            }
            let stepped = scaler.step(&mut optimizer)?;
            assert!(scaler.step(&mut optimizer).is_err());
            scaler.update()?;
            Ok(stepped)
        };
        assert!(!round(&mut scaler, f64::INFINITY, false)?);
        assert_eq!((scaler.get_scale(), w.to_vec::<f32>()?), (4.0, vec![1.0; 3]));
        assert!(!round(&mut scaler, f64::NAN, false)?);
        assert_eq!(scaler.get_scale(), 2.0);
        assert!(round(&mut scaler, 0.5, false)?);
        assert_eq!((scaler.get_scale(), w.to_vec::<f32>()?), (2.0, vec![0.5; 3]));
        let saved = scaler.state_dict();
        assert!(round(&mut scaler, 2.0, true)?);
        assert_eq!(scaler.get_scale(), 4.0);
        let mut other = GradScaler::new();
        other.load_state_dict(&saved)?;
        assert_eq!(other.state_dict(), saved);
        assert!(other.update().is_err());
        assert!(other.load_state_dict(&serde_json::json!({})).is_err());
        Ok(())
    });
}

/// Gradients of several small batches, each divided by their number, are those of the large one.
#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    for_each_device(|device| {
        let w = Tensor::from_vec(vec![0.5f32, -1.0, 2.0], [3, 1], device)?;
        w.requires_grad_(true)?;
        let x = Tensor::from_vec((0..24).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>(), [8, 3], device)?;
        let loss = |x: &Tensor| x.matmul(&w)?.square()?.mean_all();
        loss(&x)?.backward()?;
        let whole = w.grad().unwrap().to_vec::<f32>()?;
        w.zero_grad();
        for part in x.split(2, 0)? {
            loss(&part)?.div(4.0)?.backward()?;
        }
        let parts = no_grad(|| w.grad().unwrap().to_vec::<f32>())?;
        assert!(whole.iter().zip(&parts).all(|(a, b)| (a - b).abs() < 1e-5), "{whole:?} {parts:?}");
        Ok(())
    });
}

/// PyTorch's list of what computes in f32 has the losses: their results are f32, not the type of a prediction in f16.
#[test]
fn losses_stay_in_f32() {
    use crate::loss::{self, Mining, Poisson, Reduction, Triplet};
    for_each_device(|device| {
        let low = |seed: usize| {
            let values = (0..12).map(|i| ((i * 7 + seed * 5) % 11) as f32 / 11.0 + 0.05).collect::<Vec<_>>();
            Tensor::from_vec(values, [4, 3], device)?.to_dtype(DType::F16)
        };
        let (x, t, z, m) = (low(0)?, low(1)?, low(2)?, Reduction::Mean);
        let classes = Tensor::new([0, 1, 2, 1], device)?;
        let signs = Tensor::new([1.0, -1.0, 1.0, -1.0], device)?;
        autocast(DType::F16, || {
            let wide = |name: &str, loss: Result<Tensor>| {
                let loss = loss?;
                assert_eq!(loss.dtype(), DType::F32, "{name}");
                assert!(loss.item::<f32>()?.is_finite(), "{name}");
                Ok::<_, crate::Error>(())
            };
            wide("cross_entropy", loss::cross_entropy(&x, &classes))?;
            wide("mse", loss::mse_loss(&x, &t, m))?;
            wide("smooth_l1", loss::smooth_l1_loss(&x, &t, 1.0, m))?;
            wide("kl_div", loss::kl_div(&x.log()?, &t, m, false))?;
            wide("bce", loss::binary_cross_entropy_with_logits(&x, &t, None, None, m))?;
            wide("poisson", loss::poisson_nll_loss(&x, &t, Poisson::default()))?;
            wide("gaussian", loss::gaussian_nll_loss(&x, &t, &z, false, 1e-6, m))?;
            wide("soft_margin", loss::soft_margin_loss(&x, &t, m))?;
            wide("multi_margin", loss::multi_margin_loss(&x, &classes, 1, 1.0, None, m))?;
            wide("margin_ranking", loss::margin_ranking_loss(&x, &t, &z, 0.1, m))?;
            wide("hinge", loss::hinge_embedding_loss(&x, &z, 1.0, m))?;
            wide("cosine", loss::cosine_embedding_loss(&x, &t, &signs, 0.1, m))?;
            wide("triplet", loss::triplet_margin_loss(&x, &t, &z, Triplet::default()))?;
            wide("focal", loss::focal_loss(&x, &classes, None, 2.0, m))?;
            wide("dice", loss::dice_loss(&x, &t, 1.0, m))?;
            wide("log_cosh", loss::log_cosh_loss(&x, &t, m))?;
            wide("distillation", loss::distillation_loss(&x, &t, Some(&classes), 2.0, 0.5))?;
            wide("info_nce", loss::info_nce_loss(&x, &t, 0.07, true))?;
            wide("supervised", loss::supervised_contrastive_loss(&x, &classes, 0.07))?;
            wide("mined", loss::mined_triplet_loss(&x, &classes, 0.5, Mining::Hard))
        })?;
        // Outside the scope a loss has the type of its operands.
        assert_eq!(loss::triplet_margin_loss(&x, &t, &z, Triplet::default())?.dtype(), DType::F16);
        Ok(())
    });
}

/// Norms of f16 keep their statistics in f32: 2048 + 1 is 2048 in f16, and 300 squared is infinite there.
#[test]
fn norms_of_f16_keep_their_statistics_in_f32() {
    for_each_device(|device| {
        let values: Vec<f32> = (0..64).map(|i| 300.0 + (i % 4) as f32).collect();
        let x = Tensor::from_vec(values, [8, 8], device)?.to_dtype(DType::F16)?;
        let unit = |y: Tensor| -> Result<()> {
            let y = y.to_dtype(DType::F32)?;
            let (mean, var) = (y.mean_all()?.item::<f32>()?, y.square()?.mean_all()?.item::<f32>()?);
            assert!(mean.abs() < 5e-3 && (var - 1.0).abs() < 5e-3, "{mean} {var}");
            Ok(())
        };
        let running = (Tensor::zeros([8], device)?, Tensor::ones([8], device)?);
        autocast(DType::F16, || {
            unit(x.layer_norm(&[8], None, None, 1e-5)?)?;
            unit(x.reshape([1, 8, 8])?.group_norm(2, None, None, 1e-5)?)?;
            assert_eq!(x.layer_norm(&[8], None, None, 1e-5)?.dtype(), DType::F32);
            // These two are on none of PyTorch's lists: the result has the input's type.
            let y = x.reshape([2, 4, 8])?.batch_norm(None, None, None, true, 0.1, 1e-5)?;
            assert_eq!(y.dtype(), DType::F16);
            unit(y)?;
            let y = x.reshape([1, 8, 8])?.instance_norm(None, None, None, true, 0.1, 1e-5)?;
            assert_eq!(y.dtype(), DType::F16);
            unit(y)?;
            x.batch_norm(Some((&running.0, &running.1)), None, None, true, 1.0, 1e-5).map(drop)
        })?;
        let means = running.0.to_vec::<f32>()?;
        assert!(means.iter().enumerate().all(|(i, m)| (m - 300.0 - (i % 4) as f32).abs() < 1e-3), "{means:?}");
        Ok(())
    });
}

/// The large negative number that stands for a hidden key is minus infinity in f16, and a row of it has no softmax.
#[test]
fn masks_of_large_numbers_survive_f16() {
    for_each_device(|device| {
        let q = Tensor::ones([1, 1, 2, 4], (DType::F16, device))?;
        let mask = Tensor::new([[0.0, -1e9], [-1e9, -1e9]], device)?;
        let y = autocast(DType::F16, || q.scaled_dot_product_attention(&q, &q, Some(&mask.to_dtype(DType::F16)?), 0.0, false, None))?;
        let y = y.to_dtype(DType::F32)?.to_vec::<f32>()?;
        assert!(y[..4].iter().all(|&v| v == 1.0) && y[4..].iter().all(|v| v.is_finite()), "{y:?}");
        Ok(())
    });
}

/// `eps` of 1e-8 is 0 in f16, and the root of a square of a small gradient too: nothing is divided by nothing.
#[test]
fn steps_of_f16_parameters_stay_finite() {
    use crate::optim::{Adam, RMSprop};
    for_each_device(|device| {
        let w = || -> Result<Tensor> {
            let w = Tensor::ones([3], (DType::F16, device))?;
            w.requires_grad_(true)?;
            Ok(w)
        };
        let (a, b) = (w()?, w()?);
        let (mut adam, mut rms) = (Adam::new([a.clone()], 1e-2)?, RMSprop::new([b.clone()], 1e-2)?);
        for gradient in [0.0, 1e-6] {
            for w in [&a, &b] {
                w.set_grad(Some(&Tensor::full([3], gradient, (DType::F16, device))?))?;
            }
            adam.step()?;
            rms.step()?;
            for w in [&a, &b] {
                assert!(w.to_dtype(DType::F32)?.to_vec::<f32>()?.iter().all(|v| v.is_finite()), "{w:?}");
            }
        }
        Ok(())
    });
}

/// Parameters in f16 have lost what scaling was to save: an error, and nothing is changed.
#[test]
fn gradients_of_half_parameters_are_not_unscaled() {
    for_each_device(|device| {
        let w = Tensor::ones([3], (DType::F16, device))?;
        w.requires_grad_(true)?;
        let mut optimizer = Sgd::new([w.clone()], 0.5)?;
        let mut scaler = GradScaler::new().init_scale(8.0);
        scaler.scale(&w.to_dtype(DType::F32)?.sum_all()?)?.backward()?;
        assert!(scaler.unscale_(&optimizer).is_err_and(|e| e.to_string().contains("f16")));
        assert!(scaler.step(&mut optimizer).is_err_and(|e| e.to_string().contains("f16")));
        let read = |t: &Tensor| t.to_dtype(DType::F32)?.to_vec::<f32>();
        assert_eq!((read(&w)?, read(&w.grad().unwrap())?), (vec![1.0; 3], vec![8.0; 3]));
        Ok(())
    });
}

/// What is smallest in f16 is not so in f32: it arrives. GPUs may drop what is below the smallest normal f32; the CPU does not,
/// on any of its threads.
#[test]
fn the_smallest_numbers_are_kept() -> Result<()> {
    for_each_device(|device| {
        let x = Tensor::new([5.960_464_5e-8, 6.0e-5, -3.0e-7], device)?;
        let (there, back) = (x.to_dtype(DType::F16)?, x.to_dtype(DType::F16)?.to_dtype(DType::F32)?.to_vec::<f32>()?);
        assert_eq!((there.dtype(), back[0]), (DType::F16, 5.960_464_5e-8));
        assert!(x.to_vec::<f32>()?.iter().zip(&back).all(|(a, b)| (a - b).abs() <= 3e-8), "{back:?}");
        Ok(())
    });
    let n = 1 << 18;
    let x = Tensor::full([n], f64::from(f32::from_bits(1)), &Device::cpu())?;
    let tiny = x.mul(4.0)?.add(&x)?.to_vec::<f32>()?;
    assert!(tiny.iter().all(|v| v.to_bits() == 5));
    Ok(())
}
