//! Each kind of transform against the whole complex one, which `ops/fft.rs` tests against its definition.

use super::FftNorm;
use crate::autograd::gradcheck;
use crate::testing::{assert_close, for_each_device};
use crate::{ComplexTensor, DType, Device, Result, Tensor};

const NORMS: [FftNorm; 3] = [FftNorm::Backward, FftNorm::Ortho, FftNorm::Forward];

fn numbers(shape: &[usize]) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| ((i * i + 2) as f64 * 0.7).sin()).collect::<Vec<f64>>(), shape, &Device::cpu())
}

fn complex(shape: &[usize]) -> Result<ComplexTensor> {
    numbers(&[shape, &[2]].concat())?.view_as_complex()
}

#[track_caller]
fn same(got: &ComplexTensor, expected: &ComplexTensor) {
    assert_eq!(got.shape(), expected.shape());
    same_real(got.view_as_real(), expected.view_as_real());
}

#[track_caller]
fn same_real(got: &Tensor, expected: &Tensor) {
    assert_eq!(got.shape(), expected.shape());
    assert_close(got, &expected.to_vec::<f64>().expect("values"), 1e-11, 1e-11);
}

#[test]
fn inverses_undo_whatever_the_norm_and_the_dimension() -> Result<()> {
    for norm in NORMS {
        let (z, x) = (complex(&[3, 5, 2])?, numbers(&[3, 5, 2])?);
        for dim in [-3, 1, 2] {
            same(&z.fft(None, dim, norm)?.ifft(None, dim, norm)?, &z);
            same_real(&x.rfft(None, dim, norm)?.irfft(Some(x.size(dim)?), dim, norm)?, &x);
            same_real(&x.ihfft(None, dim, norm)?.hfft(Some(x.size(dim)?), dim, norm)?, &x);
        }
        same(&z.fftn(None, None, norm)?.ifftn(None, None, norm)?, &z);
        let (dims, sizes) = ([2, 0, 1], [2, 3, 5]);
        same_real(&x.rfftn(None, Some(&dims), norm)?.irfftn(Some(&sizes), Some(&dims), norm)?, &x);
        same_real(&x.ihfft2(None, norm)?.hfft2(Some([5, 2]), norm)?, &x);
    }
    Ok(())
}

#[test]
fn halves_are_halves_of_the_whole() -> Result<()> {
    for n in [1, 2, 5, 6] {
        for norm in NORMS {
            let x = numbers(&[2, n])?;
            let whole = ComplexTensor::from_real(&x)?.fft(None, -1, norm)?;
            let half = |z: &ComplexTensor| z.view_as_real().narrow(1, 0, n / 2 + 1)?.view_as_complex();
            same(&x.rfft(None, -1, norm)?, &half(&whole)?);
            // The inverse of real numbers is the conjugate, with the other factor.
            let other = [FftNorm::Forward, FftNorm::Ortho, FftNorm::Backward][NORMS.iter().position(|&m| m == norm).unwrap_or(0)];
            same(&x.ihfft(None, -1, other)?, &half(&whole)?.conj()?);
            // Imaginary parts that no real signal has are not looked at.
            let z = complex(&[2, n / 2 + 1])?;
            let real = z.irfft(Some(n), -1, norm)?;
            same_real(&real.rfft(None, -1, norm)?.irfft(Some(n), -1, norm)?, &real);
            same_real(&z.conj()?.irfft(Some(n), -1, norm)?, &z.hfft(Some(n), -1, other)?);
        }
    }
    Ok(())
}

#[test]
fn signals_are_cropped_or_filled_with_zeros() -> Result<()> {
    let z = complex(&[2, 4])?;
    let none = FftNorm::Backward;
    let cropped = z.view_as_real().narrow(1, 0, 3)?.view_as_complex()?;
    let filled = z.view_as_real().pad([0, 0, 0, 3], "constant", 0.0)?.view_as_complex()?;
    same(&z.fft(Some(3), -1, none)?, &cropped.fft(None, -1, none)?);
    same(&z.ifft(Some(7), 1, none)?, &filled.ifft(None, 1, none)?);
    same(&z.fft2(Some([-1, 3]), none)?, &cropped.fftn(None, None, none)?);
    same(&z.ifftn(Some(&[7]), None, none)?, &filled.ifft(None, 1, none)?);
    assert_eq!(z.irfft(None, -1, none)?.shape(), [2, 6]);
    assert_eq!(z.irfft2(Some([3, -1]), none)?.shape(), [3, 6]);
    assert_eq!(z.hfftn(Some(&[5]), Some(&[0]), none)?.shape(), [5, 4]);
    same(&z.fftn(None, Some(&[]), none)?, &z);
    Ok(())
}

#[test]
fn gradients_reach_what_was_transformed() -> Result<()> {
    let x = numbers(&[3, 4])?;
    x.requires_grad_(true)?;
    let z = |x: &Tensor| ComplexTensor::new(x, &x.square()?);
    let norm = FftNorm::Ortho;
    gradcheck(|x| Ok(z(&x[0])?.fft2(Some([2, 6]), norm)?.view_as_real().clone()), &[&x])?;
    gradcheck(|x| Ok(x[0].rfftn(None, None, norm)?.view_as_real().clone()), &[&x])?;
    gradcheck(|x| z(&x[0])?.irfftn(None, Some(&[1, 0]), norm), &[&x])?;
    gradcheck(|x| z(&x[0])?.hfft(Some(5), 0, norm), &[&x])?;
    Ok(())
}

#[test]
fn tensors_of_any_device_are_transformed() {
    for_each_device(|device| {
        let x = Tensor::new([1, 2, 3, 4], &Device::cpu())?.to(device)?;
        let y = x.rfft(None, 0, FftNorm::Backward)?;
        assert_eq!((y.dtype(), y.device()), (DType::F32, device));
        assert_eq!(y.view_as_real().to_vec::<f32>()?, [10.0, 0.0, -2.0, 2.0, -2.0, 0.0]);
        let shifted = ComplexTensor::from_real(&x)?.fftshift(..)?;
        assert_eq!(shifted.real()?.to_vec::<f32>()?, [3.0, 4.0, 1.0, 2.0]);
        assert_eq!(shifted.ifftshift(-1)?.real()?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
        Ok(())
    });
}

#[test]
fn what_cannot_be_transformed_is_named() -> Result<()> {
    let none = FftNorm::Backward;
    let told = |e: Result<ComplexTensor>| e.expect_err("refused").to_string();
    let cpu = Device::cpu();
    let z = complex(&[2, 4])?;
    assert!(told(Tensor::ones([], &cpu)?.rfft(None, -1, none)).contains("rfft: there is no dimension -1"));
    assert!(told(z.fft(Some(0), -1, none)).contains("fft: a transform of 0 points"));
    assert!(told(z.ifft(None, 2, none)).contains("ifft"));
    assert!(told(z.fftn(Some(&[2]), Some(&[0, 1]), none)).contains("1 sizes for 2 dimensions"));
    assert!(told(z.fftn(None, Some(&[1, -1]), none)).contains("named twice"));
    assert!(told(z.fftn(Some(&[2, 2, 2]), None, none)).contains("3 sizes for 2 dimensions"));
    assert!(told(Tensor::ones([4], (DType::F16, &cpu))?.rfft(None, 0, none)).contains("f16"));
    assert!(complex(&[2, 1])?.irfft(None, -1, none).is_err_and(|e| e.to_string().contains("0 points")));
    Ok(())
}
