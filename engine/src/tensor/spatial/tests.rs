use super::super::Tensor;
use super::{BagMode, EmbeddingBag, GridMode, GridPadding, Interpolation, InterpolationMode};
use crate::device::Device;
use crate::error::Result;
use crate::testing::for_each_device;

#[test]
fn what_unpool_puts_back_is_what_pool_took() -> Result<()> {
    let x = Tensor::arange(0, 16, 1, &Device::cpu())?.reshape([1, 1, 4, 4])?.to_dtype(crate::DType::F32)?;
    let (values, at) = x.max_pool2d_with_indices(2, 2, 0, 1, false)?;
    let back = values.max_unpool(&at, [2, 2], [2, 2], [0, 0], None)?;
    assert_eq!(back.sum_all()?.item::<f32>()?, 5.0 + 7.0 + 13.0 + 15.0);
    assert_eq!(back.shape(), x.shape());
    assert!(values.max_unpool(&at, [2, 2], [2, 2], [0, 0], Some(&[9, 9])).is_err());
    Ok(())
}

#[test]
fn folding_adds_up_what_unfolding_took_apart() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::ones([1, 2, 4, 5], &cpu)?;
    let counts = x.im2col([2, 3], 1, [0, 1], 1)?.fold([4, 5], [2, 3], 1, [0, 1], 1)?;
    assert_eq!(counts.i((0, 0, 1))?.to_vec::<f32>()?, [4.0, 6.0, 6.0, 6.0, 4.0]);
    Ok(())
}

/// Steps that are never taken may be of any length, and sizes that nobody could store are errors.
#[test]
fn absurd_steps_and_sizes() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::ones([1, 2, 3, 3], &cpu)?;
    let far = [usize::MAX; 2];
    let columns = x.im2col([1, 1], far, 0, far)?;
    assert_eq!(columns.shape(), [1, 2, 1]);
    assert_eq!(columns.fold([3, 3], [1, 1], far, 0, far)?.sum_all()?.item::<f32>()?, 2.0);
    assert!(Tensor::zeros([1, 1, 0, 0], &cpu)?.pixel_unshuffle(usize::MAX).is_err());
    let line = Tensor::ones([1, 1, 4], &cpu)?;
    assert!(line.interpolate(&Interpolation::to_size(InterpolationMode::Nearest, &[1 << 45])).is_err());
    assert!(line.interpolate(&Interpolation::to_size(InterpolationMode::Linear, &[1 << 45])).is_err());
    Ok(())
}

/// The gradient is the transposed map: each element gets back the weights with which it was taken.
#[test]
fn interpolation_differentiates() {
    let x: Vec<f64> = (0..12).map(|i| (i as f64 * 1.3).sin()).collect();
    for (mode, anti) in [(InterpolationMode::Bilinear, false), (InterpolationMode::Bilinear, true), (InterpolationMode::Bicubic, false)] {
        for size in [[2, 5], [7, 3]] {
            let how = Interpolation::to_size(mode, &size).antialias(anti);
            crate::testing::assert_gradients(&[(&x, &[1, 1, 3, 4])], |t| t[0].square()?.interpolate(&how));
        }
    }
}

#[test]
fn an_identity_map_samples_the_image_itself() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::randn([2, 3, 4, 5], &cpu)?;
    let theta = Tensor::new([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], &cpu)?.repeat([2, 1, 1])?;
    for align in [false, true] {
        let grid = theta.affine_grid(&[2, 3, 4, 5], align)?;
        for mode in [GridMode::Bilinear, GridMode::Nearest, GridMode::Bicubic] {
            let y = x.grid_sample(&grid, mode, GridPadding::Border, align)?;
            assert!(y.allclose(&x, 1e-5, 1e-5, false)?, "{mode:?} {align}");
        }
    }
    Ok(())
}

#[test]
fn an_antialiased_half_is_a_weighted_mean() -> Result<()> {
    let x = Tensor::ones([1, 1, 8, 8], &Device::cpu())?;
    let how = Interpolation::by_scale(InterpolationMode::Bicubic, &[0.5]).antialias(true);
    let y = x.interpolate(&how)?;
    assert_eq!(y.shape(), [1, 1, 4, 4]);
    assert!(y.allclose(&y.ones_like()?, 1e-6, 1e-6, false)?);
    Ok(())
}

#[test]
fn bags_may_be_empty() -> Result<()> {
    let cpu = Device::cpu();
    let table = Tensor::new([[1.0, 8.0], [3.0, 4.0], [5.0, 6.0]], &cpu)?;
    let (index, offsets) = (Tensor::new([0, 1, 2], &cpu)?, Tensor::new([0, 0, 2], &cpu)?);
    for (mode, expected) in [
        (BagMode::Sum, [0.0, 0.0, 4.0, 12.0, 5.0, 6.0]),
        (BagMode::Mean, [0.0, 0.0, 2.0, 6.0, 5.0, 6.0]),
        (BagMode::Max, [0.0, 0.0, 3.0, 8.0, 5.0, 6.0]),
    ] {
        let y = table.embedding_bag(&index, &EmbeddingBag { offsets: Some(&offsets), ..EmbeddingBag::new(mode) })?;
        assert_eq!(y.to_vec::<f32>()?, expected, "{mode:?}");
    }
    Ok(())
}

/// The tables of an interpolation are uploaded once for a device, and a few dozen of them are kept.
#[test]
fn constants_are_made_once() {
    for_each_device(|device| {
        let made = std::sync::atomic::AtomicUsize::new(0);
        let get = |i: usize| {
            device.constant(format!("constants_are_made_once {i}"), || {
                made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(i)
            })
        };
        assert_eq!((*get(0)?, *get(0)?, *get(1)?, *get(0)?), (0, 0, 1, 0));
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 2);
        for i in 2..100 {
            get(i)?;
        }
        get(0)?;
        assert_eq!(made.load(std::sync::atomic::Ordering::Relaxed), 101);
        Ok(())
    });
}
