//! What a workload is: something to repeat, what it should give, and what the hardware makes of it at best.

use std::rc::Rc;

use taper::{Device, Result, Tensor};

/// One line of the table.
pub struct Workload {
    pub name: &'static str,
    /// Multiplications and additions of one repetition.
    pub flop: f64,
    /// Bytes that one repetition must read and write.
    pub bytes: f64,
    pub make: fn(&Device) -> Result<Case>,
}

/// A workload on a device.
pub struct Case {
    /// One repetition, not waited for.
    pub run: Box<dyn Fn() -> Result<Tensor>>,
    /// Compares with a reference: the largest error found.
    pub check: Box<dyn FnOnce() -> Result<Checked>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Checked {
    /// Difference over one plus the reference's size.
    pub error: f64,
    pub tolerance: f64,
}

/// How many elements of a result are compared.
const SAMPLES: usize = 101;

impl Case {
    /// An operator whose element `i` should be `want(i)`, computed in f64 by other means.
    pub fn sampled(run: impl Fn() -> Result<Tensor> + 'static, tolerance: f64, want: impl Fn(usize) -> f64 + 'static) -> Case {
        let run = Rc::new(run);
        let again = run.clone();
        let check = move || {
            let got = again()?.contiguous()?.to_vec::<f32>()?;
            let count = SAMPLES.min(got.len());
            // Both ends, and places between that share no factor with the usual sizes.
            let places = (0..count).map(|i| if count == 1 { 0 } else { i * (got.len() - 1) / (count - 1) });
            Ok(Checked { error: largest(places.map(|i| (f64::from(got[i]), want(i)))), tolerance })
        };
        Case { run: Box::new(move || run()), check: Box::new(check) }
    }
}

/// The largest of the differences of pairs, each over one plus its reference; a NaN is the largest of all.
pub fn largest(pairs: impl Iterator<Item = (f64, f64)>) -> f64 {
    pairs.map(|(got, want)| (got - want).abs() / (1.0 + want.abs())).fold(0.0, |m, e| if e > m || e.is_nan() { e } else { m })
}

/// Numbers in [-1, 1) that look random and are the same everywhere.
pub fn noise(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u64).map(|i| (mix(i ^ (seed << 40)) >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
}

/// Whole numbers below `below` that look random and are the same everywhere.
pub fn indices(n: usize, below: usize, seed: u64) -> Vec<i64> {
    (0..n as u64).map(|i| (mix(i ^ (seed << 40)) % below as u64) as i64).collect()
}

/// SplitMix64.
fn mix(i: u64) -> u64 {
    let z = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// An input: on the device, and its values for the reference.
pub fn input(shape: &[usize], seed: u64, device: &Device) -> Result<(Tensor, Rc<Vec<f32>>)> {
    let values = noise(shape.iter().product(), seed);
    let tensor = Tensor::from_slice(&values, shape, device)?;
    tensor.realize()?;
    Ok((tensor, Rc::new(values)))
}
