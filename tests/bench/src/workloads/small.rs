//! Chains of operations too small to be worth anything: what is timed is the library itself.

use taper::{Device, Result};

use crate::case::{Case, Workload, input};

const CHAIN: usize = 1000;

pub fn all() -> Vec<Workload> {
    vec![
        Workload { name: "tiny_add_chain_1000", flop: 16e3, bytes: 0.0, make: adds },
        Workload { name: "tiny_matmul_chain_1000", flop: 8.2e6, bytes: 0.0, make: products },
        Workload { name: "tiny_add_readback", flop: 16.0, bytes: 0.0, make: readback },
    ]
}

fn adds(device: &Device) -> Result<Case> {
    let ((x, xv), (y, yv)) = (input(&[16], 1, device)?, input(&[16], 2, device)?);
    let run = move || (0..CHAIN).try_fold(x.clone(), |x, _| x.add(&y));
    Ok(Case::sampled(run, 1e-4, move |i| f64::from(xv[i]) + CHAIN as f64 * f64::from(yv[i])))
}

/// The second matrix only permutes columns, so that nothing grows: after a multiple of 16 products all is as it was.
fn products(device: &Device) -> Result<Case> {
    let (x, xv) = input(&[16, 16], 1, device)?;
    let turn: Vec<f32> = (0..256).map(|i| if i % 16 == (i / 16 + 1) % 16 { 1.0 } else { 0.0 }).collect();
    let turn = taper::Tensor::from_slice(&turn, [16, 16], device)?;
    turn.realize()?;
    let run = move || (0..CHAIN).try_fold(x.clone(), |x, _| x.matmul(&turn));
    Ok(Case::sampled(run, 1e-6, move |i| f64::from(xv[i / 16 * 16 + (i % 16 + 16 - CHAIN % 16) % 16])))
}

fn readback(device: &Device) -> Result<Case> {
    let ((x, xv), (y, yv)) = (input(&[16], 1, device)?, input(&[16], 2, device)?);
    let run = move || {
        let z = x.add(&y)?;
        z.to_vec::<f32>()?;
        Ok(z)
    };
    Ok(Case::sampled(run, 1e-6, move |i| f64::from(xv[i]) + f64::from(yv[i])))
}
