//! Products, rows, reductions, elementwise work and convolutions.

use taper::{Device, Result, Tensor};

use crate::case::{Case, Workload, input};

/// Bytes of a number.
const F32: f64 = 4.0;

pub fn all() -> Vec<Workload> {
    let square = |n: usize| (2.0 * (n as f64).powi(3), 3.0 * (n * n) as f64 * F32);
    let row = |name, make: fn(&Device) -> Result<Case>, passes: f64| {
        let n = (4096 * 1024) as f64;
        Workload { name, flop: 8.0 * n, bytes: passes * n * F32, make }
    };
    let sum = |name, make: fn(&Device) -> Result<Case>| Workload { name, flop: 16.8e6, bytes: 67.1e6, make };
    let conv = |name, make: fn(&Device) -> Result<Case>, s: Conv| Workload { name, flop: s.flop(), bytes: s.bytes(), make };
    let product = |name, make: fn(&Device) -> Result<Case>, n| Workload { name, flop: square(n).0, bytes: square(n).1, make };
    vec![
        product("matmul_256", |d| matmul(256, d), 256),
        product("matmul_512", |d| matmul(512, d), 512),
        product("matmul_1024", |d| matmul(1024, d), 1024),
        product("matmul_2048", |d| matmul(2048, d), 2048),
        Workload {
            name: "bmm_8x12x128x64x128",
            flop: 2.0 * 96.0 * 128.0 * 64.0 * 128.0,
            bytes: 96.0 * (2.0 * 8192.0 + 16384.0) * F32,
            make: bmm,
        },
        Workload { name: "gemv_2048", flop: 2.0 * 2048.0 * 2048.0, bytes: 2048.0 * 2050.0 * F32, make: gemv },
        row("softmax_4096x1024", softmax, 2.0),
        row("layernorm_4096x1024", layer_norm, 2.0),
        sum("sum_lastdim_4096x4096", |d| sums(1, d)),
        sum("sum_dim0_4096x4096", |d| sums(0, d)),
        sum("sum_all_4096x4096", |d| sums(2, d)),
        Workload { name: "fma_16M", flop: 2.0 * 16.8e6, bytes: 4.0 * 16.8e6 * F32, make: fma },
        conv("conv3x3_8x64x56x56", |d| convolution(CONV3, d), CONV3),
        conv("conv7x7s2_1x3x224x224", |d| convolution(CONV7, d), CONV7),
        conv("depthwise3x3_8x128x56x56", |d| convolution(DEPTHWISE, d), DEPTHWISE),
    ]
}

fn matmul(n: usize, device: &Device) -> Result<Case> {
    let ((a, av), (b, bv)) = (input(&[n, n], 1, device)?, input(&[n, n], 2, device)?);
    let want = move |i: usize| (0..n).map(|k| f64::from(av[i / n * n + k]) * f64::from(bv[k * n + i % n])).sum();
    Ok(Case::sampled(move || a.matmul(&b), 1e-5, want))
}

fn bmm(device: &Device) -> Result<Case> {
    let ((a, av), (b, bv)) = (input(&[8, 12, 128, 64], 1, device)?, input(&[8, 12, 64, 128], 2, device)?);
    let want = move |i: usize| {
        let (z, r, c) = (i / (128 * 128), i / 128 % 128, i % 128);
        (0..64).map(|k| f64::from(av[(z * 128 + r) * 64 + k]) * f64::from(bv[(z * 64 + k) * 128 + c])).sum()
    };
    Ok(Case::sampled(move || a.matmul(&b), 1e-5, want))
}

fn gemv(device: &Device) -> Result<Case> {
    let ((a, av), (x, xv)) = (input(&[2048, 2048], 1, device)?, input(&[2048], 2, device)?);
    let want = move |i: usize| (0..2048).map(|k| f64::from(av[i * 2048 + k]) * f64::from(xv[k])).sum();
    Ok(Case::sampled(move || a.mv(&x), 1e-5, want))
}

fn softmax(device: &Device) -> Result<Case> {
    let (x, v) = input(&[4096, 1024], 1, device)?;
    let want = move |i: usize| {
        let row = &v[i / 1024 * 1024..][..1024];
        let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
        f64::from(v[i]).exp() / sum
    };
    Ok(Case::sampled(move || x.softmax(-1), 1e-6, want))
}

fn layer_norm(device: &Device) -> Result<Case> {
    let (x, v) = input(&[4096, 1024], 1, device)?;
    let ((w, wv), (b, bv)) = (input(&[1024], 2, device)?, input(&[1024], 3, device)?);
    let want = move |i: usize| {
        let row = &v[i / 1024 * 1024..][..1024];
        let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / 1024.0;
        let variance = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum::<f64>() / 1024.0;
        (f64::from(v[i]) - mean) / (variance + 1e-5).sqrt() * f64::from(wv[i % 1024]) + f64::from(bv[i % 1024])
    };
    Ok(Case::sampled(move || x.layer_norm(&[1024], Some(&w), Some(&b), 1e-5), 1e-5, want))
}

/// Over the first dimension, the last, or (`dim` 2) both.
fn sums(dim: usize, device: &Device) -> Result<Case> {
    const N: usize = 4096;
    let (x, v) = input(&[N, N], 1, device)?;
    let want = move |i: usize| match dim {
        0 => (0..N).map(|r| f64::from(v[r * N + i])).sum(),
        1 => v[i * N..][..N].iter().map(|&x| f64::from(x)).sum(),
        _ => v.iter().map(|&x| f64::from(x)).sum::<f64>(),
    };
    let run = move || match dim {
        0 => x.sum(0),
        1 => x.sum(1),
        _ => x.sum_all(),
    };
    Ok(Case::sampled(run, 1e-5, want))
}

fn fma(device: &Device) -> Result<Case> {
    const N: usize = 16 << 20;
    let ((a, av), (b, bv), (c, cv)) = (input(&[N], 1, device)?, input(&[N], 2, device)?, input(&[N], 3, device)?);
    let want = move |i: usize| f64::from(av[i]) * f64::from(bv[i]) + f64::from(cv[i]);
    Ok(Case::sampled(move || a.mul(&b)?.add(&c), 1e-6, want))
}

#[derive(Clone, Copy)]
struct Conv {
    images: usize,
    channels: usize,
    side: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

const CONV3: Conv = Conv { images: 8, channels: 64, side: 56, outputs: 64, kernel: 3, stride: 1, groups: 1 };
const CONV7: Conv = Conv { images: 1, channels: 3, side: 224, outputs: 64, kernel: 7, stride: 2, groups: 1 };
const DEPTHWISE: Conv = Conv { images: 8, channels: 128, side: 56, outputs: 128, kernel: 3, stride: 1, groups: 128 };

impl Conv {
    fn out(self) -> usize {
        self.side.div_ceil(self.stride)
    }
    fn taps(self) -> usize {
        self.channels / self.groups * self.kernel * self.kernel
    }
    fn flop(self) -> f64 {
        2.0 * (self.images * self.outputs * self.out() * self.out() * self.taps()) as f64
    }
    fn bytes(self) -> f64 {
        let (x, y) = (self.channels * self.side * self.side, self.outputs * self.out() * self.out());
        (self.images * (x + y) + self.outputs * self.taps()) as f64 * F32
    }
}

/// With a bias, and padding that keeps the size.
fn convolution(s: Conv, device: &Device) -> Result<Case> {
    let (x, xv) = input(&[s.images, s.channels, s.side, s.side], 1, device)?;
    let each = s.channels / s.groups;
    let (w, wv) = input(&[s.outputs, each, s.kernel, s.kernel], 2, device)?;
    let (b, bv) = input(&[s.outputs], 3, device)?;
    let (side, out, k) = (s.side as isize, s.out(), s.kernel as isize);
    let want = move |i: usize| {
        let (n, o, oy, ox) = (i / (s.outputs * out * out), i / (out * out) % s.outputs, i / out % out, i % out);
        let mut sum = f64::from(bv[o]);
        for c in 0..each {
            let plane = (n * s.channels + o / (s.outputs / s.groups) * each + c) as isize;
            for ky in 0..k {
                for kx in 0..k {
                    let (y, x) = ((oy * s.stride) as isize + ky - k / 2, (ox * s.stride) as isize + kx - k / 2);
                    if (0..side).contains(&y) && (0..side).contains(&x) {
                        let weight = wv[((o * each + c) as isize * k * k + ky * k + kx) as usize];
                        sum += f64::from(xv[((plane * side + y) * side + x) as usize]) * f64::from(weight);
                    }
                }
            }
        }
        sum
    };
    let run = move || -> Result<Tensor> { x.conv2d(&w, Some(&b), s.stride, s.kernel / 2, 1, s.groups) };
    Ok(Case::sampled(run, 1e-5, want))
}
