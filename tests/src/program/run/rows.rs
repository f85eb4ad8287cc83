//! Reductions, rows, products and layers.

use taper::{DType, loss};

use super::Run;
use crate::Rng;
use crate::program::meta::{Meta, eps};

impl Run<'_> {
    pub(super) fn reduce(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let (t, m, d, rank) = (&v.t, v.meta(), v.t.dtype(), v.t.rank());
        let dims = self.dims(rng, rank);
        let keep = rng.one_in(2);
        let size = |d: isize| t.shape()[(if d < 0 { d + rank as isize } else { d }) as usize];
        let count = if rank == 0 { 1 } else { dims.iter().map(|&d| size(d)).product::<usize>() };
        let n = count.max(1) as f64;
        let all = rng.one_in(4);
        let total = t.numel().max(1) as f64;
        let by = |op: &str| {
            if all { format!("{}.{op}_all()", v.name) } else { format!("{}.{op}{}({dims:?})", v.name, if keep { "_keepdim" } else { "" }) }
        };
        let n = if all { total } else { n };
        let sum = Meta { mag: m.mag * n, err: m.err * n + eps(d) * m.mag * n, ..m };
        let mean = Meta { mag: m.mag, err: m.err + eps(d) * m.mag, quantum: None };
        let pow2 = n.log2();
        let mean = if pow2.fract() == 0.0 { Meta { quantum: m.quantum.map(|q| q + pow2 as i32), ..mean } } else { mean };
        match rng.below(13) {
            0..=2 if all => self.put(by("sum"), t.sum_all(), sum),
            0..=2 if keep => self.put(by("sum"), t.sum_keepdim(&dims), sum),
            0..=2 => self.put(by("sum"), t.sum(&dims), sum),
            3 if all => self.put(by("mean"), t.mean_all(), mean),
            3 if keep => self.put(by("mean"), t.mean_keepdim(&dims), mean),
            3 => self.put(by("mean"), t.mean(&dims), mean),
            4 if keep => self.put(format!("{}.amax_keepdim({dims:?})", v.name), t.amax_keepdim(&dims), m),
            4 => self.put(format!("{}.amax({dims:?})", v.name), t.amax(&dims), m),
            5 if keep => self.put(format!("{}.amin_keepdim({dims:?})", v.name), t.amin_keepdim(&dims), m),
            5 => self.put(format!("{}.amin({dims:?})", v.name), t.amin(&dims), m),
            6 if m.is_exact() => self.put(format!("{}.any({dims:?})", v.name), t.any(&dims), Meta::exact(1.0, 0)),
            7 if m.is_exact() => self.put(format!("{}.all({dims:?})", v.name), t.all(&dims), Meta::exact(1.0, 0)),
            8 if m.is_exact() && d != DType::Bool => {
                let dim = self.dim(rng, rank);
                let dim = if all { None } else { Some(dim) };
                let name = if keep { "argmax" } else { "argmin" };
                let result = if keep { t.argmax(dim, !all && rng.one_in(2)) } else { t.argmin(dim, !all && rng.one_in(2)) };
                self.put(format!("{}.{name}({dim:?})", v.name), result, Meta::exact(total, 0))
            }
            9 if m.is_exact() => {
                let dim = self.dim(rng, rank);
                let result = t.max(dim);
                let (values, indices) = match result {
                    Ok((a, b)) => (Ok(a), Ok(b)),
                    Err(e) => (Err(e.clone()), Err(e)),
                };
                self.put(format!("{}.max({dim}).0", v.name), values, m);
                self.put(format!("{}.max({dim}).1", v.name), indices, Meta::exact(total, 0))
            }
            10 if d.is_float() => {
                let meta = Meta { mag: m.mag * m.mag * 2.0, err: 8.0 * m.mag * m.err + 8.0 * eps(d) * m.mag * m.mag, quantum: None };
                if n < 2.0 {
                    return;
                }
                self.put(format!("{}.var({dims:?})", v.name), if all { t.var(.., 1.0) } else { t.var(&dims, 1.0) }, meta)
            }
            11 if d.is_float() => {
                let meta = Meta { mag: m.mag + n.ln(), err: m.err + 8.0 * eps(d) * (m.mag + 1.0), quantum: None };
                self.put(format!("{}.logsumexp({dims:?})", v.name), t.logsumexp(&dims), meta)
            }
            12 if d.is_float() && m.mag <= 2.0 && n <= 8.0 => {
                let mag = m.mag.powf(n).max(m.mag);
                let quantum = m.quantum.map(|q| q * n as i32);
                self.put(format!("{}.prod({dims:?})", v.name), t.prod(&dims), Meta { mag, err: n * mag * (m.err + eps(d)), quantum })
            }
            _ => self.put(
                format!("{}.sum({dims:?})", v.name),
                t.sum(&dims),
                Meta { mag: m.mag * n, err: m.err * n + eps(d) * m.mag * n, ..m },
            ),
        };
    }

    pub(super) fn rows(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.float() && v.t.rank() > 0) else { return };
        let (t, m, d, rank) = (&v.t, v.meta(), v.t.dtype(), v.t.rank());
        let dim = self.dim(rng, rank);
        match rng.below(5) {
            0 | 1 => self.put(format!("{}.softmax({dim})", v.name), t.softmax(dim), m.smooth(2.0, 1.0, d)),
            2 => self.put(format!("{}.log_softmax({dim})", v.name), t.log_softmax(dim), m.smooth(2.0, 2.0 * m.mag + 8.0, d)),
            _ => {
                let last = t.shape()[rank - 1];
                let mag = (last as f64).sqrt() + 1.0;
                if rng.one_in(2) {
                    return drop(self.put(
                        format!("{}.layer_norm([{last}], eps=0.1)", v.name),
                        t.layer_norm(&[last], None, None, 0.1),
                        m.smooth(20.0, mag, d),
                    ));
                }
                let (call, w, _) = self.fresh(rng, &[last], d);
                let (_, b, _) = self.fresh(rng, &[last], d);
                let result = w.and_then(|w| b.and_then(|b| t.layer_norm(&[last], Some(&w), Some(&b), 0.1)));
                self.put(format!("{}.layer_norm([{last}], {call}, {call}, eps=0.1)", v.name), result, m.smooth(40.0, 2.0 * mag + 2.0, d))
            }
        };
    }

    pub(super) fn matmul(&mut self, rng: &mut Rng) {
        let Some(a) = self.any(rng, |v| v.float() && v.t.rank() > 0) else { return };
        let (shape, d) = (a.t.shape().to_vec(), a.t.dtype());
        let k = shape[shape.len() - 1];
        let (x, e) = (a.meta(), eps(d));
        let product = |y: Meta| {
            let n = k.max(1) as f64;
            let quantum = x.quantum.zip(y.quantum).map(|(a, b)| a + b);
            Meta { mag: x.mag * y.mag * n, err: n * (x.err * y.mag + y.err * x.mag + e * x.mag * y.mag), quantum }
        };
        let b = match rng.below(3) {
            0 if shape.len() >= 2
                && shape[shape.len() - 2] * a.t.numel() <= 4_000_000
                && shape[shape.len() - 2] * a.t.numel() / k.max(1) <= self.limit =>
            {
                let Some(b) = self.put_shared(format!("{}.transpose(-1, -2)", a.name), a.t.transpose(-1, -2), a.meta.clone()) else {
                    return;
                };
                b
            }
            _ => {
                let n = *rng.pick(self.sizes);
                let mut other = vec![k, n];
                if rng.one_in(3) {
                    other = vec![k];
                } else if shape.len() > 2 && rng.one_in(2) {
                    other = [&shape[..shape.len() - 2], &other[..]].concat();
                }
                let rows: usize = shape[..shape.len() - 1].iter().product();
                if rows * n > self.limit || rows * n * k > 4_000_000 {
                    return;
                }
                let (call, result, meta) = self.fresh(rng, &other, d);
                let Some(b) = self.put(call, result, meta) else { return };
                b
            }
        };
        self.put(format!("{}.matmul({})", a.name, b.name), a.t.matmul(&b.t), product(b.meta()));
    }

    /// Hand-written kernels beside the matrix product, on data of a shape that fits them.
    pub(super) fn layer(&mut self, rng: &mut Rng) {
        let d = self.traits.types[0];
        let (n, c, h, w) = (1 + rng.below(2), 1 + rng.below(3), 3 + rng.below(4), 3 + rng.below(5));
        let shape = [n, c, h, w];
        let volume: usize = shape.iter().product();
        // Something that is there, cut to size, or fresh data.
        let found = self.any(rng, |v| v.t.dtype() == d && v.t.numel() >= volume && v.meta().mag <= 64.0);
        let x = match found {
            Some(v) if rng.below(3) < 2 => {
                let view = v.t.flatten(0, -1).and_then(|t| t.narrow(0, 0, volume)).and_then(|t| t.reshape(shape));
                self.put_shared(format!("{}.flatten(0, -1).narrow(0, 0, {volume}).reshape({shape:?})", v.name), view, v.meta.clone())
            }
            _ => {
                let (call, result, meta) = self.fresh(rng, &shape, d);
                self.put(call, result, meta)
            }
        };
        let Some(x) = x else { return };
        let (t, name, m) = (&x.t, &x.name, x.meta());
        let spread =
            |k: usize, by: f64| Meta { mag: m.mag * by * k as f64, err: k as f64 * (m.err * by + eps(d) * m.mag * by), quantum: None };
        match rng.below(8) {
            0 | 1 => {
                let (o, k) = (1 + rng.below(3), 1 + rng.below(3));
                let (stride, padding) = (1 + rng.below(2), rng.below(2));
                let (call, weight, wm) = self.fresh(rng, &[o, c, k, k], d);
                let leaf = rng.one_in(2);
                let weight = weight.and_then(|w| w.requires_grad_(leaf).cloned());
                let Some(weight) = self.put(call + if leaf { ".requires_grad_()" } else { "" }, weight, wm) else { return };
                if leaf {
                    self.leaves.push(weight.clone());
                }
                let (_, bias, _) = self.fresh(rng, &[o], d);
                let result = bias.and_then(|b| t.conv2d(&weight.t, Some(&b), stride, padding, 1, 1));
                let mut meta = spread(c * k * k + 1, 2.0);
                meta.mag += 2.0;
                self.put(format!("{name}.conv2d({}, data, stride {stride}, padding {padding})", weight.name), result, meta);
            }
            2 if m.is_exact() => drop(self.put(format!("{name}.max_pool2d(2, 2, 0)"), t.max_pool2d(2, 2, 0, 1, false), m)),
            2 | 3 => {
                drop(self.put(format!("{name}.avg_pool2d(3, 2, 1)"), t.avg_pool2d(3, 2, 1, false, true, None), m.smooth(1.0, m.mag, d)))
            }
            4 => {
                let causal = rng.one_in(2);
                let result = t.scaled_dot_product_attention(t, t, None, 0.0, causal, None);
                let meta = Meta { mag: m.mag, err: (m.err + eps(d)) * 16.0 * (m.mag + 1.0).powi(2) * w as f64, quantum: None };
                self.put(format!("attention({name}, {name}, {name}, causal {causal})"), result, meta);
            }
            5 => {
                let meta = m.smooth(20.0, 30.0, d);
                self.put(format!("{name}.batch_norm(training, eps=0.1)"), t.batch_norm(None, None, None, true, 0.1, 0.1), meta);
            }
            6 => {
                let (call, target) = self.index(rng, &[n, h, w], c);
                let result = target.and_then(|y| loss::cross_entropy(t, &y));
                self.put(format!("cross_entropy({name}, {call})"), result, m.smooth(2.0, 2.0 * m.mag + 4.0, d));
            }
            _ => {
                let result = t.pad([1, 0, 2, 1], "constant", 0.5).and_then(|t| t.roll([1], [-1]));
                self.put(format!("{name}.pad([1, 0, 2, 1], 0.5).roll([1], [-1])"), result, Meta { mag: m.mag.max(1.0), ..m });
            }
        }
    }
}
