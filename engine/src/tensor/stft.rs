//! Short-time Fourier transforms: spectra of overlapping frames of a signal, and back.

use super::{ComplexTensor, FftNorm, Tensor};
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::Expect;

/// How a signal is cut into frames: the arguments of `torch.stft` and `torch.istft`, with PyTorch's defaults.
///
/// ```
/// # use taper::prelude::*; use taper::{Stft, signal::Window}; fn main() -> taper::Result<()> {
/// let cpu = Device::cpu();
/// let signal = Tensor::arange(0, 64, 1, (DType::F32, &cpu))?.mul(0.3)?.sin()?;
/// let frames = Stft::new(16).window(&Window::Hann.tensor(16, false, &cpu)?);
/// let spectra = signal.stft(&frames)?;
/// assert_eq!(spectra.shape(), [9, 17]);
/// assert!(spectra.istft(&frames, Some(64))?.allclose(&signal, 1e-4, 1e-5, false)?);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Stft {
    n_fft: usize,
    hop_length: Option<usize>,
    win_length: Option<usize>,
    window: Option<FrameWindow>,
    center: bool,
    pad_mode: String,
    normalized: bool,
    onesided: Option<bool>,
}

/// Weights of the points of a frame.
#[derive(Debug, Clone)]
pub enum FrameWindow {
    Real(Tensor),
    Complex(ComplexTensor),
}

impl From<&Tensor> for FrameWindow {
    fn from(t: &Tensor) -> FrameWindow {
        FrameWindow::Real(t.clone())
    }
}

impl From<&ComplexTensor> for FrameWindow {
    fn from(z: &ComplexTensor) -> FrameWindow {
        FrameWindow::Complex(z.clone())
    }
}

impl Stft {
    /// Frames whose transform has `n_fft` points.
    pub fn new(n_fft: usize) -> Stft {
        Stft {
            n_fft,
            hop_length: None,
            win_length: None,
            window: None,
            center: true,
            pad_mode: "reflect".to_string(),
            normalized: false,
            onesided: None,
        }
    }

    /// From one frame to the next; a quarter of `n_fft` by default.
    pub fn hop_length(mut self, points: usize) -> Stft {
        self.hop_length = Some(points);
        self
    }

    /// The window's length, `n_fft` by default: a shorter one stands in the middle of its frame.
    pub fn win_length(mut self, points: usize) -> Stft {
        self.win_length = Some(points);
        self
    }

    /// Weights of a frame's points, all 1 by default.
    pub fn window(mut self, window: impl Into<FrameWindow>) -> Stft {
        self.window = Some(window.into());
        self
    }

    /// Frames stand around their position (the default): half a frame is added at both ends of the signal.
    pub fn center(mut self, on: bool) -> Stft {
        self.center = on;
        self
    }

    /// What is added there: a mode of [`Tensor::pad`], `"reflect"` by default.
    pub fn pad_mode(mut self, mode: &str) -> Stft {
        self.pad_mode = mode.to_string();
        self
    }

    /// Spectra are divided by `sqrt(n_fft)`.
    pub fn normalized(mut self, on: bool) -> Stft {
        self.normalized = on;
        self
    }

    /// Only frequencies that are not negative: the default for real signals, and for spectra with as many rows.
    pub fn onesided(mut self, on: bool) -> Stft {
        self.onesided = Some(on);
        self
    }

    fn norm(&self) -> FftNorm {
        if self.normalized { FftNorm::Ortho } else { FftNorm::Backward }
    }

    /// The step between frames, and the window with zeros around it.
    #[track_caller]
    fn resolve(&self, op: &'static str) -> Result<(usize, Option<FrameWindow>)> {
        let wrong = |why: String| Err(Error::argument(op, why));
        let (hop, length) = (self.hop_length.unwrap_or(self.n_fft / 4), self.win_length.unwrap_or(self.n_fft));
        if self.n_fft == 0 || hop == 0 {
            return wrong(format!("frames of {} points every {hop}: both have to be positive", self.n_fft));
        }
        if length == 0 || length > self.n_fft {
            return wrong(format!("a window of {length} points in a frame of {}", self.n_fft));
        }
        let Some(window) = &self.window else { return Ok((hop, None)) };
        let shape = match window {
            FrameWindow::Real(w) => w.shape(),
            FrameWindow::Complex(w) => w.shape(),
        };
        if shape != [length] {
            return wrong(format!("a window of shape {shape:?} should be one of {length} points"));
        }
        let left = (self.n_fft - length) / 2;
        let right = self.n_fft - length - left;
        Ok((
            hop,
            Some(match window {
                FrameWindow::Real(w) => FrameWindow::Real(w.pad([left, right], "constant", 0.0)?),
                FrameWindow::Complex(w) => FrameWindow::Complex(w.through(|pairs| pairs.pad([0, 0, left, right], "constant", 0.0))?),
            }),
        ))
    }

    /// The frames `[batch, frame, point]` of signals `[time]` or `[batch, time]`: a view, unless they are padded.
    #[track_caller]
    fn cut(&self, signal: &Tensor, hop: usize) -> Result<Tensor> {
        let wrong = |why: String| Err(Error::argument("stft", why));
        let x = match signal.rank() {
            1 => signal.unsqueeze(0)?,
            2 => signal.clone(),
            _ => return wrong(format!("takes signals [time] or [batch, time], not {:?}", signal.shape())),
        };
        let half = self.n_fft / 2;
        let x = if self.center { x.pad([half, half], &self.pad_mode, 0.0)? } else { x };
        if x.shape()[1] < self.n_fft {
            return wrong(format!("a signal of {} points is shorter than a frame of {}", x.shape()[1], self.n_fft));
        }
        x.unfold(1, self.n_fft, hop)
    }
}

/// Spectra `[batch, frame, frequency]` as `[.., frequency, frame]`, without a batch if the signal had none.
fn turned(spectra: &ComplexTensor, rank: usize) -> Result<ComplexTensor> {
    spectra.through(|pairs| {
        let y = pairs.transpose(1, 2)?;
        if rank == 1 { y.squeeze(0) } else { Ok(y) }
    })
}

impl Tensor {
    /// Spectra of the frames of real signals `[time]` or `[batch, time]`: `[.., frequency, frame]`; like `torch.stft` with
    /// `return_complex=True`. The transforms run on the host.
    ///
    /// # Errors
    /// Other ranks; a signal shorter than a frame; a window that does not fit; other types than `f32` and `f64`; one side of the
    /// spectrum with a complex window.
    #[track_caller]
    pub fn stft(&self, frames: &Stft) -> Result<ComplexTensor> {
        if !self.dtype().is_float() {
            return Err(Error::dtype("stft", format!("takes signals of floats, not of {}", self.dtype())));
        }
        if let Some(FrameWindow::Complex(_)) = frames.window {
            return ComplexTensor::from_real(self)?.stft(frames);
        }
        let (hop, window) = frames.resolve("stft")?;
        let mut x = frames.cut(self, hop)?;
        if let Some(FrameWindow::Real(w)) = window {
            x = x.mul(&w)?;
        }
        let y = if frames.onesided.unwrap_or(true) {
            x.rfft(None, -1, frames.norm())?
        } else {
            ComplexTensor::from_real(&x)?.fft(None, -1, frames.norm())?
        };
        turned(&y, self.rank())
    }
}

impl ComplexTensor {
    /// [`Tensor::stft`] of complex signals, whose spectra have two sides.
    ///
    /// # Errors
    /// As for [`Tensor::stft`].
    #[track_caller]
    pub fn stft(&self, frames: &Stft) -> Result<ComplexTensor> {
        if frames.onesided == Some(true) {
            return Err(Error::argument("stft", "the spectrum of complex numbers has two sides: onesided(true) keeps one"));
        }
        let (hop, window) = frames.resolve("stft")?;
        let mut x = ComplexTensor::new(&frames.cut(&self.real()?, hop)?, &frames.cut(&self.imag()?, hop)?)?;
        x = match window {
            Some(FrameWindow::Real(w)) => x.scale(&w)?,
            Some(FrameWindow::Complex(w)) => x.mul(&w)?,
            None => x,
        };
        turned(&x.fft(None, -1, frames.norm())?, self.rank())
    }

    /// The real signals `[time]` or `[batch, time]` of which these are the spectra `[.., frequency, frame]`, of `length` points if
    /// that is given; like `torch.istft`. Frames are weighed by the window and added; the sum is divided by that of the squared
    /// windows. Of spectra with two sides only one is looked at. The transforms run on the host.
    ///
    /// # Errors
    /// Other ranks; sizes that do not fit; a complex window. Where windows leave a point without weight, reading the
    /// result is an error.
    #[track_caller]
    pub fn istft(&self, frames: &Stft, length: Option<usize>) -> Result<Tensor> {
        if let Some(FrameWindow::Complex(_)) = frames.window {
            return Err(Error::argument("istft", "a complex window gives complex signals: istft_complex"));
        }
        let (hop, window, spectra, _) = frames.spectra(self)?;
        let half = spectra.through(|pairs| pairs.narrow(2, 0, frames.n_fft / 2 + 1))?;
        let x = half.irfft(Some(frames.n_fft), -1, frames.norm())?;
        let y = match window {
            Some(FrameWindow::Real(w)) => {
                let part = frames.overlapping(&x.mul(&w)?, hop, length)?;
                let weight = frames.overlapping(&w.square()?.expand(&x.shape()[1..])?.unsqueeze(0)?, hop, length)?;
                part.over(&weight)?
            }
            _ => {
                let one = [&[1], &x.shape()[1..]].concat();
                let ones = Tensor::ones(&one[..], (x.dtype(), x.device()))?;
                frames.overlapping(&x, hop, length)?.over(&frames.overlapping(&ones, hop, length)?)?
            }
        };
        let y = y.value()?;
        if self.rank() == 2 { y.squeeze(0) } else { Ok(y) }
    }

    /// [`istft`](Self::istft) of spectra with two sides, for complex signals; like `torch.istft` with `return_complex=True`.
    ///
    /// # Errors
    /// As for [`istft`](Self::istft); spectra with one side.
    #[track_caller]
    pub fn istft_complex(&self, frames: &Stft, length: Option<usize>) -> Result<ComplexTensor> {
        let (hop, window, spectra, onesided) = frames.spectra(self)?;
        if onesided {
            return Err(Error::argument("istft", "a spectrum with one side belongs to real numbers: istft"));
        }
        let x = spectra.ifft(None, -1, frames.norm())?;
        let window = match window {
            Some(FrameWindow::Complex(w)) => w,
            Some(FrameWindow::Real(w)) => ComplexTensor::from_real(&w)?,
            None => ComplexTensor::from_real(&Tensor::ones([frames.n_fft], (self.dtype(), self.device()))?)?,
        };
        let one: Vec<usize> = x.shape()[1..].iter().copied().chain([2]).collect();
        let squares = window.mul(&window)?.through(|pairs| pairs.expand(&one[..])?.unsqueeze(0))?;
        let sum = frames.overlapping(x.mul(&window)?.view_as_real(), hop, length)?;
        let weight = frames.overlapping(squares.view_as_real(), hop, length)?;
        let weight = weight.checked(|w| w.norm(2.0, -1, false))?;
        let y = sum.kept.view_as_complex()?.div(&weight.view_as_complex()?)?;
        y.through(|pairs| {
            let y = pairs.pad([0, 0, 0, sum.missing], "constant", 0.0)?;
            if self.rank() == 2 { y.squeeze(0) } else { Ok(y) }
        })
    }
}

/// Frames added where they stand: the part of the sum `[batch, time, ..]` that is wanted, and how many points are wanted behind it.
struct Overlapping {
    kept: Tensor,
    missing: usize,
}

impl Stft {
    /// The step, the window, spectra as `[batch, frame, frequency]`, and whether they have one side.
    #[track_caller]
    fn spectra(&self, given: &ComplexTensor) -> Result<(usize, Option<FrameWindow>, ComplexTensor, bool)> {
        let wrong = |why: String| Err(Error::argument("istft", why));
        let (hop, window) = self.resolve("istft")?;
        let longest = self.win_length.unwrap_or(self.n_fft);
        if hop > longest {
            return wrong(format!("a step of {hop} is longer than the window of {longest}"));
        }
        let spectra = match given.rank() {
            2 => given.through(|pairs| pairs.unsqueeze(0))?,
            3 => given.clone(),
            _ => return wrong(format!("takes [frequency, frame] or [batch, frequency, frame], not {:?}", given.shape())),
        };
        let onesided = self.onesided.unwrap_or(spectra.shape()[1] != self.n_fft);
        let points = if onesided { self.n_fft / 2 + 1 } else { self.n_fft };
        if spectra.shape()[1] != points || spectra.shape().contains(&0) {
            return wrong(format!("spectra {:?} should have {points} frequencies and at least one frame", given.shape()));
        }
        Ok((hop, window, spectra.through(|pairs| pairs.transpose(1, 2))?, onesided))
    }

    /// `x` is `[batch, frame, point, ..]`.
    #[track_caller]
    fn overlapping(&self, x: &Tensor, hop: usize, length: Option<usize>) -> Result<Overlapping> {
        let [batch, count, n, rest @ ..] = x.shape() else { return Err(Error::argument("istft", "takes frames")) };
        let total = n + hop * (count - 1);
        let row = |size: usize, step: usize| Tensor::arange(0, size * step, step, (DType::I64, x.device()));
        let places = row(*count, hop)?.unsqueeze(1)?.add(&row(*n, 1)?)?.reshape([-1])?;
        let shape = |points: usize| -> Vec<usize> { [*batch, points].iter().chain(rest).copied().collect() };
        let zeros = Tensor::zeros(&shape(total)[..], (x.dtype(), x.device()))?;
        let sum = zeros.index_add(1, &places, &x.reshape(&shape(count * n)[..])?)?;
        let start = if self.center { n / 2 } else { 0 };
        let end = length.map_or(total.saturating_sub(start), |length| start.saturating_add(length));
        let kept = end.min(total).saturating_sub(start);
        Ok(Overlapping { kept: sum.narrow(1, start.min(total), kept)?, missing: end.saturating_sub(total.max(start)) })
    }
}

impl Overlapping {
    /// Divided by the weight of each point.
    #[track_caller]
    fn over(self, weight: &Overlapping) -> Result<Overlapping> {
        let weight = weight.checked(|w| Ok(w.clone()))?;
        Ok(Overlapping { kept: self.kept.div(&weight)?, ..self })
    }

    /// Weights, of which `size` is the size; reading what depends on points without any is an error.
    #[track_caller]
    fn checked(&self, size: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
        if self.kept.numel() == 0 {
            return Ok(self.kept.clone());
        }
        let zero = autograd::no_grad(|| Tensor::apply(Expect::Weights, &[&size(&self.kept)?]))?;
        self.kept.add(&zero)
    }

    /// With zeros where nothing is known.
    #[track_caller]
    fn value(self) -> Result<Tensor> {
        if self.missing == 0 { Ok(self.kept) } else { self.kept.pad([0, self.missing], "constant", 0.0) }
    }
}

#[cfg(test)]
mod tests;
