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
