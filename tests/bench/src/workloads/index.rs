//! Work that follows indices.

use std::rc::Rc;

use taper::autograd::grad;
use taper::{Device, Result, Tensor};

use crate::case::{Case, Workload, indices, input};

const TABLE: usize = 50_000;
const WIDTH: usize = 256;
const ROWS: usize = 8192;
const BINS: usize = 100_000;
const ITEMS: usize = 1 << 20;

pub fn all() -> Vec<Workload> {
    let rows = (ROWS * WIDTH * 4) as f64;
    vec![
        Workload { name: "embedding_8192of50k_x256", flop: 0.0, bytes: 2.0 * rows, make: embedding },
        Workload { name: "embedding_grad_8192of50k_x256", flop: 0.0, bytes: rows + (TABLE * WIDTH * 4) as f64, make: embedding_grad },
        Workload { name: "scatter_add_1M_into_100k", flop: 0.0, bytes: (ITEMS * 12 + BINS * 8) as f64, make: scatter_add },
    ]
}

fn places(n: usize, below: usize, device: &Device) -> Result<(Tensor, Rc<Vec<i64>>)> {
    let values = indices(n, below, 9);
    let tensor = Tensor::from_slice(&values, [n], device)?;
    tensor.realize()?;
    Ok((tensor, Rc::new(values)))
}

fn embedding(device: &Device) -> Result<Case> {
    let (table, values) = input(&[TABLE, WIDTH], 1, device)?;
    let (index, at) = places(ROWS, TABLE, device)?;
    let want = move |i: usize| f64::from(values[at[i / WIDTH] as usize * WIDTH + i % WIDTH]);
    Ok(Case::sampled(move || table.embedding(&index, None), 0.0, want))
}

fn embedding_grad(device: &Device) -> Result<Case> {
    let (table, _) = input(&[TABLE, WIDTH], 1, device)?;
    let (g, gv) = input(&[ROWS, WIDTH], 2, device)?;
    let (index, at) = places(ROWS, TABLE, device)?;
    table.requires_grad_(true)?;
    let run = move || {
        let y = table.embedding(&index, None)?;
        let grads = grad(&[&y], &[&table], &[Some(&g)], false, false)?;
        grads.into_iter().flatten().next().ok_or_else(|| taper::Error::argument("bench", "no gradient"))
    };
    let want = move |i: usize| {
        let rows = at.iter().enumerate().filter(|(_, row)| **row as usize == i / WIDTH);
        rows.map(|(r, _)| f64::from(gv[r * WIDTH + i % WIDTH])).sum()
    };
    Ok(Case::sampled(run, 1e-6, want))
}

fn scatter_add(device: &Device) -> Result<Case> {
    let ((x, xv), (src, sv)) = (input(&[BINS], 1, device)?, input(&[ITEMS], 2, device)?);
    let (index, at) = places(ITEMS, BINS, device)?;
    let want = move |i: usize| {
        let items = at.iter().zip(sv.iter()).filter(|(bin, _)| **bin as usize == i);
        f64::from(xv[i]) + items.map(|(_, &v)| f64::from(v)).sum::<f64>()
    };
    Ok(Case::sampled(move || x.scatter_add(0, &index, &src), 1e-5, want))
}
