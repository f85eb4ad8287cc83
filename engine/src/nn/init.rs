//! Initial values: PyTorch's `torch.nn.init`.
//!
//! Numbers are drawn on the CPU and then moved, so that a seed gives the same weights on every device.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::{Tensor, TensorOptions};

use super::param::Param;

mod inplace;
pub use inplace::*;

/// Which fan keeps its variance in [`kaiming_uniform`] and [`kaiming_normal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fan {
    /// Of the forward pass.
    #[default]
    In,
    /// Of the backward pass.
    Out,
}

/// The nonlinearity behind the weights, for [`gain`](Nonlinearity::gain).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Nonlinearity {
    Linear,
    Sigmoid,
    Tanh,
    Relu,
    LeakyRelu { negative_slope: f64 },
    Selu,
}

impl Nonlinearity {
    /// By how much weights must grow to make up for the nonlinearity; `torch.nn.init.calculate_gain`.
    pub fn gain(self) -> f64 {
        match self {
            Nonlinearity::Linear | Nonlinearity::Sigmoid => 1.0,
            Nonlinearity::Tanh => 5.0 / 3.0,
            Nonlinearity::Relu => 2f64.sqrt(),
            Nonlinearity::LeakyRelu { negative_slope: a } => (2.0 / (1.0 + a * a)).sqrt(),
            Nonlinearity::Selu => 0.75,
        }
    }
}

/// How many inputs and outputs each unit of a weight `[out, in, ..kernel]` has.
///
/// # Errors
/// Fewer than two dimensions.
pub fn fans(shape: &[usize]) -> Result<(usize, usize)> {
    let &[outputs, inputs, ref kernel @ ..] = shape else {
        return Err(Error::argument("init", format!("fan in and fan out need at least 2 dimensions, the shape is {shape:?}")));
    };
    // Only sizes that are refused anyway saturate.
    let field = kernel.iter().fold(1usize, |n, &d| n.saturating_mul(d));
    Ok((inputs.saturating_mul(field), outputs.saturating_mul(field)))
}

/// Values of `shape` between `low` and `high`.
///
/// # Errors
/// The device lacks the type or the memory.
pub fn uniform(shape: &[usize], low: f64, high: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let u = Tensor::rand(shape, &Device::cpu())?;
    place(&u.mul(high - low)?.add(low)?, options)
}

/// Normally distributed values.
///
/// # Errors
/// The device lacks the type or the memory.
pub fn normal(shape: &[usize], mean: f64, std: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let z = Tensor::randn(shape, &Device::cpu())?;
    place(&z.mul(std)?.add(mean)?, options)
}

/// Normally distributed values, those outside `low..=high` drawn again (by inverting the distribution function, in
/// 64 bits on the host).
///
/// # Errors
/// `low >= high`, `std` not positive; the device lacks the type or the memory.
pub fn trunc_normal(shape: &[usize], mean: f64, std: f64, low: f64, high: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
    if !(low < high && std > 0.0) {
        return Err(Error::argument("trunc_normal", format!("needs low < high and std > 0, not {low}, {high}, {std}")));
    }
    let cdf = |x: f64| 0.5 * libm::erfc(-(x - mean) / (std * std::f64::consts::SQRT_2));
    let (from, to) = (cdf(low), cdf(high));
    let u: Vec<f32> = Tensor::rand(shape, &Device::cpu())?.to_vec()?;
    let value = |u: f32| (mean + std * normal_quantile(from + (to - from) * u as f64)).clamp(low, high) as f32;
    place(&Tensor::from_vec(u.into_iter().map(value).collect::<Vec<f32>>(), shape, &Device::cpu())?, options)
}

/// He initialisation, uniform: bound `gain * sqrt(3 / fan)`.
///
/// # Errors
/// A shape of fewer than two dimensions.
pub fn kaiming_uniform(shape: &[usize], fan: Fan, f: Nonlinearity, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let bound = 3f64.sqrt() * f.gain() / fan_of(shape, fan)?.sqrt();
    uniform(shape, -bound, bound, options)
}

/// He initialisation, normal: standard deviation `gain / sqrt(fan)`.
///
/// # Errors
/// A shape of fewer than two dimensions.
pub fn kaiming_normal(shape: &[usize], fan: Fan, f: Nonlinearity, options: impl Into<TensorOptions>) -> Result<Tensor> {
    normal(shape, 0.0, f.gain() / fan_of(shape, fan)?.sqrt(), options)
}

/// Glorot initialisation, uniform: bound `gain * sqrt(6 / (fan_in + fan_out))`.
///
/// # Errors
/// A shape of fewer than two dimensions.
pub fn xavier_uniform(shape: &[usize], gain: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let (fan_in, fan_out) = fans(shape)?;
    let bound = gain * (6.0 / (fan_in + fan_out) as f64).sqrt();
    uniform(shape, -bound, bound, options)
}

/// Glorot initialisation, normal: standard deviation `gain * sqrt(2 / (fan_in + fan_out))`.
///
/// # Errors
/// A shape of fewer than two dimensions.
pub fn xavier_normal(shape: &[usize], gain: f64, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let (fan_in, fan_out) = fans(shape)?;
    normal(shape, 0.0, gain * (2.0 / (fan_in + fan_out) as f64).sqrt(), options)
}

/// The weight of linear and convolution layers: `kaiming_uniform(a = sqrt(5))`, which is `1 / sqrt(fan_in)`.
pub(super) fn weight(shape: &[usize], options: &TensorOptions) -> Result<Param> {
    let a = Nonlinearity::LeakyRelu { negative_slope: 5f64.sqrt() };
    Param::new(&kaiming_uniform(shape, Fan::In, a, options.clone())?)
}

/// Their bias: uniform within `1 / sqrt(fan_in)` of the weight's shape.
pub(super) fn bias(n: usize, weight: &[usize], options: &TensorOptions) -> Result<Param> {
    let (fan_in, _) = fans(weight)?;
    let bound = if fan_in > 0 { 1.0 / (fan_in as f64).sqrt() } else { 0.0 };
    Param::new(&uniform(&[n], -bound, bound, options.clone())?)
}

pub(super) fn constant(shape: &[usize], value: f64, options: &TensorOptions) -> Result<Param> {
    Param::new(&Tensor::full(shape, value, options.clone())?)
}

fn fan_of(shape: &[usize], fan: Fan) -> Result<f64> {
    let (fan_in, fan_out) = fans(shape)?;
    // A layer without inputs has no weights to draw; any bound will do.
    Ok(match fan {
        Fan::In => fan_in,
        Fan::Out => fan_out,
    }
    .max(1) as f64)
}

fn place(values: &Tensor, options: impl Into<TensorOptions>) -> Result<Tensor> {
    let options = options.into();
    values.to_dtype(options.dtype.unwrap_or(DType::F32))?.to(&options.device)
}

/// The inverse of the standard normal distribution function: Acklam's rational approximation with one step of
/// Halley's method on `erfc`, exact to a few ulp.
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] =
        [-3.969683028665376e1, 2.209460984245205e2, -2.759285104469687e2, 1.38357751867269e2, -3.066479806614716e1, 2.506628277459239];
    const B: [f64; 5] = [-5.447609879822406e1, 1.615858368580409e2, -1.556989798598866e2, 6.680131188771972e1, -1.328068155288572e1];
    const C: [f64; 6] =
        [-7.784894002430293e-3, -3.223964580411365e-1, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
    const D: [f64; 4] = [7.784695709041462e-3, 3.224671290700398e-1, 2.445134137142996, 3.754408661907416];
    let poly = |c: &[f64], x: f64| c.iter().fold(0.0, |y, &c| y * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        poly(&C, q) / (poly(&D, q) * q + 1.0)
    };
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let x = if p < 0.02425 {
        tail(p)
    } else if p > 1.0 - 0.02425 {
        -tail(1.0 - p)
    } else {
        let (q, r) = (p - 0.5, (p - 0.5) * (p - 0.5));
        poly(&A, r) * q / (poly(&B, r) * r + 1.0)
    };
    let e = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2) - p;
    let u = e * (2.0 * std::f64::consts::PI).sqrt() * (x * x / 2.0).exp();
    x - u / (1.0 + x * u / 2.0)
}
