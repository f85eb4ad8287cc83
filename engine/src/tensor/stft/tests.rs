//! Frames against transforms of slices, and signals that come back.

use super::Stft;
use crate::autograd::gradcheck;
use crate::signal::Window;
use crate::testing::{assert_close, for_each_device};
use crate::{ComplexTensor, DType, Device, FftNorm, Result, Tensor};

fn numbers(shape: &[usize]) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| ((i * i + 2) as f64 * 0.7).sin()).collect::<Vec<f64>>(), shape, &Device::cpu())
}

fn hann(n: usize) -> Result<Tensor> {
    Window::Hann.tensor(n, false, (DType::F64, &Device::cpu()))
}

#[test]
fn a_column_is_the_spectrum_of_a_weighed_slice() -> Result<()> {
    let x = numbers(&[2, 30])?;
    let frames = Stft::new(8).hop_length(3).win_length(5).window(&hann(5)?).center(false).normalized(true);
    let y = x.stft(&frames)?;
    assert_eq!(y.shape(), [2, 5, 8]);
    for t in 0..8 {
        // The window stands in the middle, one zero before it and two behind.
        let weighed = x.narrow(1, 3 * t, 8)?.mul(&hann(5)?.pad([1, 2], "constant", 0.0)?)?;
        let expected = weighed.rfft(None, -1, FftNorm::Ortho)?.view_as_real().to_vec::<f64>()?;
        assert_close(&y.view_as_real().select(2, t as isize)?.contiguous()?, &expected, 1e-12, 1e-12);
    }
    let two_sided = x.stft(&frames.clone().onesided(false))?;
    assert_eq!(two_sided.shape(), [2, 8, 8]);
    let lower = two_sided.view_as_real().narrow(1, 0, 5)?.contiguous()?;
    assert_close(&lower, &y.view_as_real().contiguous()?.to_vec::<f64>()?, 1e-12, 1e-12);
    Ok(())
}

#[test]
fn signals_come_back() {
    for_each_device(|device| {
        let x = numbers(&[2, 41])?.to_dtype(DType::F32)?.to(device)?;
        let window = hann(12)?.to_dtype(DType::F32)?.to(device)?;
        let expected: Vec<f64> = numbers(&[2, 41])?.to_vec::<f64>()?;
        for frames in [
            Stft::new(12).window(&window),
            Stft::new(12).hop_length(4).normalized(true).pad_mode("constant"),
            Stft::new(16).win_length(12).window(&window).onesided(false),
        ] {
            let back = x.stft(&frames)?.istft(&frames, Some(41))?;
            assert_close(&back, &expected, 1e-4, 1e-5);
        }
        Ok(())
    });
    let again = || -> Result<()> {
        let z = numbers(&[40, 2])?.view_as_complex()?;
        let weights = ComplexTensor::polar(&hann(10)?.add(0.1)?, &numbers(&[10])?)?;
        // A complex window is squared, not turned to a size: real weights come back through a real window.
        let frames = Stft::new(10).window(&hann(10)?);
        let back = z.stft(&frames)?.istft_complex(&frames, Some(40))?;
        assert_close(back.view_as_real(), &z.view_as_real().to_vec::<f64>()?, 1e-10, 1e-10);
        let turned = Stft::new(10).window(&weights);
        let back = z.stft(&turned)?.istft_complex(&turned, Some(40))?;
        assert_close(back.view_as_real(), &z.view_as_real().to_vec::<f64>()?, 1e-10, 1e-10);
        Ok(())
    };
    again().expect("complex signals");
}

#[test]
fn what_was_not_recorded_is_zero() -> Result<()> {
    let x = numbers(&[20])?;
    let frames = Stft::new(8);
    let back = x.stft(&frames)?.istft(&frames, Some(30))?.to_vec::<f64>()?;
    assert!(back[24..].iter().all(|&v| v == 0.0) && back.len() == 30);
    assert!(back[..20].iter().zip(x.to_vec::<f64>()?).all(|(a, b)| (a - b).abs() < 1e-12));
    assert_eq!(x.stft(&frames)?.istft(&frames, None)?.shape(), [20]);
    Ok(())
}

#[test]
fn gradients_agree_with_differences() -> Result<()> {
    let (x, window) = (numbers(&[14])?, hann(6)?.add(0.2)?.detach()?);
    let spectra = numbers(&[4, 5, 2])?;
    for t in [&x, &window, &spectra] {
        t.requires_grad_(true)?;
    }
    let frames = |w: &Tensor| Stft::new(6).hop_length(2).window(w);
    gradcheck(|x| Ok(x[0].stft(&frames(&x[1]))?.view_as_real().clone()), &[&x, &window])?;
    gradcheck(|x| x[0].view_as_complex()?.istft(&frames(&x[1]), None), &[&spectra, &window])?;
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> Result<()> {
    let x = numbers(&[20])?;
    let told = |r: Result<ComplexTensor>| r.expect_err("refused").to_string();
    assert!(told(x.stft(&Stft::new(0))).contains("stft: frames of 0 points"));
    assert!(told(x.stft(&Stft::new(8).win_length(9))).contains("a window of 9 points in a frame of 8"));
    assert!(told(x.stft(&Stft::new(8).window(&hann(7)?))).contains("[7]"));
    assert!(told(x.stft(&Stft::new(32).center(false))).contains("shorter than a frame of 32"));
    assert!(told(numbers(&[1, 2, 20])?.stft(&Stft::new(8))).contains("[1, 2, 20]"));
    assert!(told(x.to_dtype(DType::I64)?.stft(&Stft::new(8))).contains("i64"));
    let spectra = x.stft(&Stft::new(8))?;
    let refused = |r: Result<Tensor>| r.expect_err("refused").to_string();
    assert!(refused(spectra.istft(&Stft::new(10), None)).contains("should have 6 frequencies"));
    assert!(refused(spectra.istft(&Stft::new(8).hop_length(9), None)).contains("longer than the window"));
    let gaps = Stft::new(8).hop_length(4).window(&Tensor::zeros([8], (DType::F64, &Device::cpu()))?);
    let read = |y: Tensor| y.to_vec::<f64>().map(|_| y);
    assert!(refused(spectra.istft(&gaps, None).and_then(read)).contains("a weight"));
    Ok(())
}
