//! Work that puts elements in order or adds them up as it goes.

use taper::{Device, Result};

use crate::case::{Case, Workload, input};

const ITEMS: usize = 1 << 20;
const SCORES: usize = 50_000;
const K: usize = 50;

pub fn all() -> Vec<Workload> {
    vec![
        // Values and positions of eight bytes, beside the values that are read.
        Workload { name: "sort_1M", flop: 0.0, bytes: (ITEMS * 16) as f64, make: sort },
        Workload { name: "topk_50_of_50k", flop: 0.0, bytes: (SCORES * 4) as f64, make: topk },
        Workload { name: "cumsum_1M", flop: ITEMS as f64, bytes: (ITEMS * 8) as f64, make: cumsum },
    ]
}

fn sort(device: &Device) -> Result<Case> {
    let (x, values) = input(&[ITEMS], 1, device)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    Ok(Case::sampled(move || Ok(x.sort(-1, false)?.0), 0.0, move |i| f64::from(sorted[i])))
}

fn topk(device: &Device) -> Result<Case> {
    let (x, values) = input(&[SCORES], 1, device)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    Ok(Case::sampled(move || Ok(x.topk(K, -1, true)?.0), 0.0, move |i| f64::from(sorted[i])))
}

fn cumsum(device: &Device) -> Result<Case> {
    let (x, values) = input(&[ITEMS], 1, device)?;
    let mut sum = 0.0;
    let sums: Vec<f64> = values.iter().map(|&v| (sum += f64::from(v), sum).1).collect();
    Ok(Case::sampled(move || x.cumsum(-1), 1e-5, move |i| sums[i]))
}
