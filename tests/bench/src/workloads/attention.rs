//! Attention, forwards and backwards.

use std::rc::Rc;

use taper::autograd::grad;
use taper::{Device, Result, Tensor};

use crate::case::{Case, Workload, input};

const HEADS: usize = 8;
const D: usize = 64;

pub fn all() -> Vec<Workload> {
    let one = |name, l: f64, products: f64, share: f64, make: fn(&Device) -> Result<Case>| Workload {
        name,
        flop: products * 2.0 * HEADS as f64 * l * l * D as f64 * share,
        bytes: 4.0 * HEADS as f64 * l * D as f64 * 4.0,
        make,
    };
    vec![
        one("sdpa_1x8x1024x64", 1024.0, 2.0, 1.0, |d| forward(1024, false, d)),
        one("sdpa_causal_1x8x4096x64", 4096.0, 2.0, 0.5, |d| forward(4096, true, d)),
        // Two products forwards, five backwards.
        one("sdpa_train_1x8x1024x64", 1024.0, 7.0, 1.0, |d| backward(1024, false, d)),
        one("sdpa_train_causal_1x8x4096x64", 4096.0, 7.0, 0.5, |d| backward(4096, true, d)),
    ]
}

/// The operands' values, head by head.
#[derive(Clone)]
struct Values {
    l: usize,
    causal: bool,
    q: Rc<Vec<f32>>,
    k: Rc<Vec<f32>>,
    v: Rc<Vec<f32>>,
}

fn row(values: &[f32], i: usize) -> &[f32] {
    &values[i * D..][..D]
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

impl Values {
    /// The weights of query `i` (counted over all heads), and the row of its head's first key.
    fn weights(&self, i: usize) -> (Vec<f64>, usize) {
        let head = i / self.l * self.l;
        let seen = if self.causal { i % self.l + 1 } else { self.l };
        let exp: Vec<f64> = (0..seen).map(|j| (dot(row(&self.q, i), row(&self.k, head + j)) / 8.0).exp()).collect();
        let sum: f64 = exp.iter().sum();
        (exp.iter().map(|e| e / sum).collect(), head)
    }

    fn output(&self, i: usize) -> f64 {
        let (weights, head) = self.weights(i / D);
        weights.iter().enumerate().map(|(j, w)| w * f64::from(self.v[(head + j) * D + i % D])).sum()
    }

    /// The gradient of the queries for the gradient `g` of the result.
    fn query_grad(&self, g: &[f32], i: usize) -> f64 {
        let (weights, head) = self.weights(i / D);
        let dp: Vec<f64> = (0..weights.len()).map(|j| dot(row(g, i / D), row(&self.v, head + j))).collect();
        let delta: f64 = weights.iter().zip(&dp).map(|(w, d)| w * d).sum();
        let term = |(j, (w, d)): (usize, (&f64, &f64))| w * (d - delta) / 8.0 * f64::from(self.k[(head + j) * D + i % D]);
        weights.iter().zip(&dp).enumerate().map(term).sum()
    }
}

fn operands(l: usize, causal: bool, device: &Device) -> Result<([Tensor; 3], Values)> {
    let make = |seed| input(&[1, HEADS, l, D], seed, device);
    let ((q, qv), (k, kv), (v, vv)) = (make(1)?, make(2)?, make(3)?);
    Ok(([q, k, v], Values { l, causal, q: qv, k: kv, v: vv }))
}

fn forward(l: usize, causal: bool, device: &Device) -> Result<Case> {
    let ([q, k, v], values) = operands(l, causal, device)?;
    let run = move || q.scaled_dot_product_attention(&k, &v, None, 0.0, causal, None);
    Ok(Case::sampled(run, 1e-5, move |i| values.output(i)))
}

fn backward(l: usize, causal: bool, device: &Device) -> Result<Case> {
    let ([q, k, v], values) = operands(l, causal, device)?;
    let (g, gv) = input(&[1, HEADS, l, D], 4, device)?;
    for t in [&q, &k, &v] {
        t.requires_grad_(true)?;
    }
    let run = move || {
        let y = q.scaled_dot_product_attention(&k, &v, None, 0.0, causal, None)?;
        let grads = grad(&[&y], &[&q, &k, &v], &[Some(&g)], false, false)?;
        let device = q.device();
        // All three at once; the first is what is compared.
        device.flush()?;
        grads.into_iter().flatten().next().ok_or_else(|| taper::Error::argument("bench", "no gradient"))
    };
    Ok(Case::sampled(run, 1e-5, move |i| values.query_grad(&gv, i)))
}
