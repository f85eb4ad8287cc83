//! Fourier transforms, windows and mel weights.

use std::f64::consts::PI;

use taper::{ComplexTensor, DType, FftNorm, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::element::Elem;
use crate::host::{Data, Host};

pub(super) static TABLE: &[Operator] = &[
    op("BlackmanWindow", 17, |c| window(c, |x| 0.42 - 0.5 * (2.0 * PI * x).cos() + 0.08 * (4.0 * PI * x).cos())),
    op("DFT", 17, |c| {
        let x = c.tensor(0)?;
        let axis = if c.opset() < 20 {
            c.int("axis", 1)?
        } else if c.has(2) {
            c.integer(2)?
        } else {
            -2
        };
        one(transform(c, &x, c.dim(axis, x.rank())?)?)
    }),
    op("HammingWindow", 17, |c| window(c, |x| 25.0 / 46.0 - 21.0 / 46.0 * (2.0 * PI * x).cos())),
    op("HannWindow", 17, |c| window(c, |x| (PI * x).sin().powi(2))),
    op("MelWeightMatrix", 17, mel_weights),
    op("STFT", 17, stft),
];

/// Numbers of the host in the type that `output_datatype` names.
fn typed(c: &Call<'_>, shape: Vec<usize>, values: Vec<f64>) -> Out {
    let dtype = c.elem("output_datatype")?.map_or(DType::F32, Elem::storage);
    one(Host::of(dtype, shape, Data::Floats(values)).tensor(c.device)?)
}

/// A function of the place in a period, from 0 to 1.
fn window(c: &Call<'_>, f: impl Fn(f64) -> f64) -> Out {
    let n = c.sizes(&[c.integer(0)?])?[0];
    if n > 1 << 28 {
        return Err(c.error(format!("a window of {n}")));
    }
    let period = if c.flag("periodic", true)? { n } else { n.saturating_sub(1) } as f64;
    typed(c, vec![n], (0..n).map(|i| f(if period == 0.0 { 0.0 } else { i as f64 / period })).collect())
}

/// The length of the transform, if it is given.
fn length(c: &Call<'_>) -> Result<Option<usize>> {
    if c.has(1) { Ok(Some(c.sizes(&[c.integer(1)?])?[0])) } else { Ok(None) }
}

/// Pairs of floats, or single ones, along `dim`.
fn transform(c: &Call<'_>, x: &Tensor, dim: usize) -> Result<Tensor> {
    let (n, dim, norm) = (length(c)?, dim as isize, FftNorm::Backward);
    let (inverse, onesided) = (c.flag("inverse", false)?, c.flag("onesided", false)?);
    let real = match x.shape().last() {
        Some(1) => true,
        Some(2) => false,
        _ => return Err(c.error(format!("{:?} should end with 1 or 2", x.shape()))),
    };
    let complex =
        || -> Result<ComplexTensor> { if real { ComplexTensor::from_real(&x.squeeze(-1)?) } else { x.contiguous()?.view_as_complex() } };
    Ok(match (inverse, onesided) {
        (true, true) => complex()?.irfft(n, dim, norm)?.unsqueeze(-1)?,
        (true, false) => complex()?.ifft(n, dim, norm)?.view_as_real().clone(),
        (false, true) if real => x.squeeze(-1)?.rfft(n, dim, norm)?.view_as_real().clone(),
        (false, one_side) => {
            let y = complex()?.fft(n, dim, norm)?.view_as_real().clone();
            let half = y.shape()[dim as usize] / 2 + 1;
            if one_side { y.narrow(dim, 0, half)? } else { y }
        }
    })
}

/// Transforms of windowed frames.
fn stft(c: &Call<'_>) -> Out {
    let (x, step) = (c.tensor(0)?, c.sizes(&[c.integer(1)?])?[0]);
    let window = c.maybe(2)?;
    let &[n, samples, parts] = x.shape() else { return Err(c.error(format!("a signal of {:?}", x.shape()))) };
    let size = match (c.has(3), &window) {
        (true, _) => c.sizes(&[c.integer(3)?])?[0],
        (false, Some(w)) => w.numel(),
        (false, None) => samples,
    };
    let reach = window.as_ref().map_or(size, Tensor::numel);
    if step == 0 || size > samples || reach > size || reach == 0 {
        return Err(c.error(format!("frames of {size} in steps of {step} of {samples} samples, a window of {reach}")));
    }
    let frames = (samples - size) / step + 1;
    // [n, frames, parts, reach]
    let mut cut = x.unfold(1, reach, step)?.narrow(1, 0, frames)?;
    if let Some(w) = window {
        cut = cut.mul(w)?;
    }
    let (length, norm) = (Some(size), FftNorm::Backward);
    let one_side = c.flag("onesided", true)?;
    let y = if parts == 1 && one_side {
        cut.squeeze(2)?.rfft(length, -1, norm)?
    } else if parts == 1 {
        ComplexTensor::from_real(&cut.squeeze(2)?)?.fft(length, -1, norm)?
    } else {
        cut.transpose(2, 3)?.contiguous()?.view_as_complex()?.fft(length, 2, norm)?
    };
    let y = y.view_as_real().clone();
    let bins = if one_side { size / 2 + 1 } else { size };
    one(y.narrow(2, 0, bins)?.reshape([n, frames, bins, 2])?)
}

/// Triangles over the bins of a spectrum, evenly spaced in mel.
fn mel_weights(c: &Call<'_>) -> Out {
    let (bins, length) = (c.sizes(&[c.integer(0)?])?[0], c.sizes(&[c.integer(1)?])?[0]);
    let (rate, low, high) = (c.number(2)?, c.number(3)?, c.number(4)?);
    let rows = length / 2 + 1;
    if bins.saturating_mul(rows) > 1 << 28 {
        return Err(c.error(format!("{bins} bins of {length} points")));
    }
    let mel = |hertz: f64| 2595.0 * (hertz / 700.0).ln_1p() / 10f64.ln();
    let (start, step) = (mel(low), (mel(high) - mel(low)) / (bins + 2) as f64);
    let edge = |i: usize| {
        let hertz = 700.0 * ((start + i as f64 * step) / 2595.0 * 10f64.ln()).exp_m1();
        ((length + 1) as f64 * hertz / rate).floor().max(0.0) as usize
    };
    let mut weights = vec![0.0; rows * bins];
    for i in 0..bins {
        let (left, centre, right) = (edge(i), edge(i + 1), edge(i + 2));
        let mut put = |row: usize, value: f64| {
            if let Some(w) = weights.get_mut(row * bins + i) {
                *w = value;
            }
        };
        if left == centre {
            put(centre, 1.0);
        }
        for j in left..=centre.min(rows) {
            if centre > left {
                put(j, (j - left) as f64 / (centre - left) as f64);
            }
        }
        for j in centre..right.min(rows) {
            put(j, (right - j) as f64 / (right - centre) as f64);
        }
    }
    typed(c, vec![rows, bins], weights)
}
