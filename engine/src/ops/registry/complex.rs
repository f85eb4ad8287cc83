//! Complex numbers and Fourier transforms.

use super::convert::{FromValue, Ints, Over};
use super::{Value, rows};
use crate::device::Device;
use crate::dtype::Scalar;
use crate::error::Error;
use crate::tensor::{ComplexTensor, FftNorm, FrameWindow, Stft, Tensor};

/// Complex numbers, or real ones that become complex.
struct Promoted(ComplexTensor);

impl FromValue for Promoted {
    const WHAT: &'static str = "a tensor";
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        match v {
            Value::Complex(z) => Some(Promoted(z)),
            Value::Tensor(t) => ComplexTensor::from_real(&t).ok().map(Promoted),
            _ => None,
        }
    }
}

impl FromValue for ComplexTensor {
    const WHAT: &'static str = "a complex tensor";
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        if let Value::Complex(z) = v { Some(z) } else { None }
    }
}

impl FromValue for FftNorm {
    const WHAT: &'static str = "'backward', 'ortho' or 'forward'";
    const OPTIONAL: bool = true;
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        match v {
            Value::None => Some(FftNorm::Backward),
            Value::Str(name) => name.parse().ok(),
            _ => None,
        }
    }
}

impl FromValue for FrameWindow {
    const WHAT: &'static str = "a tensor";
    fn from_value(v: Value, _: &Device) -> Option<Self> {
        match v {
            Value::Complex(z) => Some(FrameWindow::from(&z)),
            Value::Tensor(t) => Some(FrameWindow::from(&t)),
            _ => None,
        }
    }
}

/// Several dimensions or sizes, perhaps.
type List = Option<Ints>;

fn list(l: &List) -> Option<&[isize]> {
    l.as_ref().map(|l| &l.0[..])
}

/// The last two dimensions, unless others are given.
fn plane(dim: List) -> List {
    Some(dim.unwrap_or(Ints(vec![-2, -1])))
}

/// The arguments that `stft` and `istft` share.
fn frames(n_fft: usize, hop: Option<usize>, win: Option<usize>, window: Option<FrameWindow>, onesided: Option<bool>) -> Stft {
    let mut frames = Stft::new(n_fft);
    if let Some(hop) = hop {
        frames = frames.hop_length(hop);
    }
    if let Some(win) = win {
        frames = frames.win_length(win);
    }
    if let Some(window) = window {
        frames = frames.window(window);
    }
    if let Some(onesided) = onesided {
        frames = frames.onesided(onesided);
    }
    frames
}

/// A result that is complex, as pairs if the caller wants them.
fn answer(y: ComplexTensor, complex: bool) -> Value {
    if complex { Value::Complex(y) } else { Value::Tensor(y.view_as_real().clone()) }
}

rows! {
    "complex"(real: Tensor, imag: Tensor) ComplexTensor::new(&real, &imag);
    "polar"(abs: Tensor, angle: Tensor) ComplexTensor::polar(&abs, &angle);
    "view_as_complex"(input: Tensor) input.view_as_complex();
    "view_as_real"(input: ComplexTensor) Ok(input.view_as_real().clone());
    "real"(input: Tensor) Ok(input);
    "real"(input: ComplexTensor) input.real();
    "imag"(input: ComplexTensor) input.imag();
    "angle"(input: Tensor) input.angle();
    "angle"(input: ComplexTensor) input.angle();
    "conj"(input: Tensor) Ok(input);
    "conj"(input: ComplexTensor) input.conj();
    "conj_physical"(input: Tensor) Ok(input);
    "conj_physical"(input: ComplexTensor) input.conj();
    "abs"(input: ComplexTensor) input.abs();
    "neg"(input: ComplexTensor) input.neg();
    "exp"(input: ComplexTensor) input.exp();
    "sum"(input: ComplexTensor, dim: Over) input.sum(dim);
    "add"(input: Promoted, other: Promoted, alpha: Scalar = Scalar::Int(1)) input.0.add(&other.0.scale(alpha)?);
    "sub"(input: Promoted, other: Promoted, alpha: Scalar = Scalar::Int(1)) input.0.sub(&other.0.scale(alpha)?);
    "mul"(input: Promoted, other: Promoted) input.0.mul(&other.0);
    "div"(input: Promoted, other: Promoted) input.0.div(&other.0);
    "matmul"(input: Promoted, other: Promoted) input.0.matmul(&other.0);
    "mH"(input: ComplexTensor) input.mh();
    "adjoint"(input: ComplexTensor) input.mh();
    "unsqueeze"(input: ComplexTensor, dim: isize) input.unsqueeze(dim);
    "nn.functional.silu"(input: ComplexTensor) input.silu();

    "fft.fft"(input: Promoted, n: Option<usize>, dim: isize = -1, norm: FftNorm) input.0.fft(n, dim, norm);
    "fft.ifft"(input: Promoted, n: Option<usize>, dim: isize = -1, norm: FftNorm) input.0.ifft(n, dim, norm);
    "fft.rfft"(input: Tensor, n: Option<usize>, dim: isize = -1, norm: FftNorm) input.rfft(n, dim, norm);
    "fft.irfft"(input: Promoted, n: Option<usize>, dim: isize = -1, norm: FftNorm) input.0.irfft(n, dim, norm);
    "fft.hfft"(input: Promoted, n: Option<usize>, dim: isize = -1, norm: FftNorm) input.0.hfft(n, dim, norm);
    "fft.ihfft"(input: Tensor, n: Option<usize>, dim: isize = -1, norm: FftNorm) input.ihfft(n, dim, norm);
    "fft.fft2"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.fftn(list(&s), list(&plane(dim)), norm);
    "fft.ifft2"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.ifftn(list(&s), list(&plane(dim)), norm);
    "fft.rfft2"(input: Tensor, s: List, dim: List, norm: FftNorm) input.rfftn(list(&s), list(&plane(dim)), norm);
    "fft.irfft2"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.irfftn(list(&s), list(&plane(dim)), norm);
    "fft.hfft2"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.hfftn(list(&s), list(&plane(dim)), norm);
    "fft.ihfft2"(input: Tensor, s: List, dim: List, norm: FftNorm) input.ihfftn(list(&s), list(&plane(dim)), norm);
    "fft.fftn"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.fftn(list(&s), list(&dim), norm);
    "fft.ifftn"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.ifftn(list(&s), list(&dim), norm);
    "fft.rfftn"(input: Tensor, s: List, dim: List, norm: FftNorm) input.rfftn(list(&s), list(&dim), norm);
    "fft.irfftn"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.irfftn(list(&s), list(&dim), norm);
    "fft.hfftn"(input: Promoted, s: List, dim: List, norm: FftNorm) input.0.hfftn(list(&s), list(&dim), norm);
    "fft.ihfftn"(input: Tensor, s: List, dim: List, norm: FftNorm) input.ihfftn(list(&s), list(&dim), norm);
    "fft.fftshift"(input: ComplexTensor, dim: Over) input.fftshift(dim);
    "fft.ifftshift"(input: ComplexTensor, dim: Over) input.ifftshift(dim);

    "stft"(input: Value, n_fft: usize, hop_length: Option<usize>, win_length: Option<usize>, window: Option<FrameWindow>, center: bool = true,
        pad_mode: String = "reflect".into(), normalized: bool = false, onesided: Option<bool>, return_complex: Option<bool>)
    {
        let complex = matches!(input, Value::Complex(_)) || matches!(window, Some(FrameWindow::Complex(_)));
        if return_complex.is_none() && !complex {
            return Err(Error::argument("stft", "of real numbers needs to be told whether the result is complex: return_complex"));
        }
        let frames = frames(n_fft, hop_length, win_length, window, onesided).center(center).normalized(normalized).pad_mode(&pad_mode);
        let spectra = match input {
            Value::Tensor(x) => x.stft(&frames)?,
            Value::Complex(x) => x.stft(&frames)?,
            other => return Err(Error::argument("stft", format!("argument 'input' must be a tensor, got {}", other.kind()))),
        };
        Ok(answer(spectra, return_complex != Some(false)))
    };
    "istft"(input: ComplexTensor, n_fft: usize, hop_length: Option<usize>, win_length: Option<usize>, window: Option<FrameWindow>, center: bool = true,
        normalized: bool = false, onesided: Option<bool>, length: Option<usize>, return_complex: bool = false)
    {
        let frames = frames(n_fft, hop_length, win_length, window, onesided).center(center).normalized(normalized);
        Ok(if return_complex { Value::Complex(input.istft_complex(&frames, length)?) } else { Value::Tensor(input.istft(&frames, length)?) })
    };
}
