//! Views, pieces, and elements picked by index.

use taper::{DType, Result, Tensor};

use super::{MAX_RANK, Run, Var};
use crate::Rng;
use crate::program::meta::{Meta, eps};

impl Run<'_> {
    pub(super) fn view(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |_| true) else { return };
        let (t, n, shape, rank) = (&v.t, &v.name, v.t.shape().to_vec(), v.t.rank());
        let dim = self.dim(rng, rank);
        let size = shape.get((if dim < 0 { dim + rank as isize } else { dim }) as usize).copied().unwrap_or(1);
        let (call, result) = match rng.below(16) {
            0 | 1 => {
                let to = reshaped(rng, &shape);
                (format!("{n}.reshape({to:?})"), t.reshape(&to))
            }
            2 | 3 => {
                let mut dims: Vec<isize> = (0..rank as isize).collect();
                for i in (1..dims.len()).rev() {
                    dims.swap(i, rng.below(i + 1));
                }
                (format!("{n}.permute({dims:?})"), t.permute(&dims))
            }
            4 => {
                let mut to: Vec<isize> = shape.iter().map(|&d| if d == 1 { 1 + rng.below(4) as isize } else { d as isize }).collect();
                if rng.one_in(2) && rank < MAX_RANK {
                    to.insert(0, 1 + rng.below(3) as isize);
                }
                if to.iter().product::<isize>() > self.limit as isize {
                    return;
                }
                (format!("{n}.expand({to:?})"), t.expand(&to))
            }
            5 | 6 => {
                let (start, end) = (rng.below(size + 1) as isize, rng.below(size + 2) as isize);
                let (start, end) = if start > end { (end, start) } else { (start, end) };
                let end = if rng.one_in(4) { -1 } else { end };
                let step = 1 + rng.below(3) as isize;
                (format!("{n}.slice({dim}, {start}, {end}, {step})"), t.slice(dim, start, end, step))
            }
            7 if size > 0 => {
                let start = rng.below(size);
                let len = 1 + rng.below(size - start);
                (format!("{n}.narrow({dim}, {start}, {len})"), t.narrow(dim, start, len))
            }
            8 if size > 0 => {
                let i = rng.below(size) as isize;
                (format!("{n}.select({dim}, {i})"), t.select(dim, i))
            }
            9 | 10 => {
                let dims = self.dims(rng, rank);
                (format!("{n}.flip({dims:?})"), t.flip(&dims))
            }
            11 => (format!("{n}.squeeze(..)"), t.squeeze(..)),
            12 if rank < MAX_RANK => (format!("{n}.unsqueeze({dim})"), t.unsqueeze(dim)),
            13 if rank >= 2 => {
                let other = self.dim(rng, rank);
                (format!("{n}.transpose({dim}, {other})"), t.transpose(dim, other))
            }
            14 if rank >= 2 && rng.one_in(2) => (format!("{n}.diagonal(0, 0, 1)"), t.diagonal(0, 0, 1)),
            14 if size >= 2 && rank < MAX_RANK => {
                let window = 1 + rng.below(size.min(3));
                (format!("{n}.unfold({dim}, {window}, 1)"), t.unfold(dim, window, 1))
            }
            15 => match rng.below(3) {
                0 => (format!("{n}.contiguous()"), t.contiguous()),
                1 => (format!("{n}.detach()"), t.detach()),
                _ => (n.clone(), Ok(t.clone())),
            },
            _ => (format!("{n}.flatten(0, -1)"), t.flatten(0, -1)),
        };
        self.put_shared(call, result, v.meta.clone());
    }

    pub(super) fn join(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.t.rank() > 0) else { return };
        let (shape, rank) = (v.t.shape().to_vec(), v.t.rank());
        let dim = self.dim(rng, rank);
        let d = (if dim < 0 { dim + rank as isize } else { dim }) as usize;
        match rng.below(6) {
            0..3 => {
                let same =
                    |o: &Var| o.t.dtype() == v.t.dtype() && o.t.rank() == rank && (0..rank).all(|i| i == d || o.t.shape()[i] == shape[i]);
                let mut parts = vec![v.clone()];
                for _ in 0..1 + rng.below(3) {
                    parts.extend(self.any(rng, same));
                }
                if rng.one_in(2) {
                    let (call, result, meta) = self.fresh(rng, &shape, v.t.dtype());
                    parts.extend(self.put(call, result, meta));
                }
                if parts.iter().map(|p| p.t.numel()).sum::<usize>() > self.limit {
                    return;
                }
                let meta = parts.iter().map(Var::meta).fold(v.meta(), Meta::join);
                let names: Vec<&str> = parts.iter().map(|p| p.name.as_str()).collect();
                let tensors: Vec<&Tensor> = parts.iter().map(|p| &p.t).collect();
                self.put(format!("cat({names:?}, {dim})"), Tensor::cat(&tensors, dim), meta);
            }
            3 => {
                let same = |o: &Var| o.t.dtype() == v.t.dtype() && o.t.shape() == shape;
                let Some(o) = self.any(rng, same) else { return };
                if rank >= MAX_RANK || 2 * v.t.numel() > self.limit {
                    return;
                }
                self.put(format!("stack([{}, {}], {dim})", v.name, o.name), Tensor::stack(&[&v.t, &o.t], dim), v.meta().join(o.meta()));
            }
            4 => self.pieces(format!("{}.chunk(3, {dim})", v.name), &v, v.t.chunk(3, dim)),
            _ => self.pieces(format!("{}.split(2, {dim})", v.name), &v, v.t.split(2, dim)),
        }
    }

    pub(super) fn pieces(&mut self, call: String, of: &Var, result: Result<Vec<Tensor>>) {
        match result {
            Ok(list) => {
                for (i, t) in list.into_iter().enumerate().take(3) {
                    self.put_shared(format!("{call}[{i}]"), Ok(t), of.meta.clone());
                }
            }
            Err(e) => self.done(call, Err(e)),
        }
    }

    pub(super) fn pick_elements(&mut self, rng: &mut Rng) {
        let Some(v) = self.any(rng, |v| v.t.rank() > 0 && v.t.numel() > 0) else { return };
        let (t, n, shape, rank, m) = (&v.t, &v.name, v.t.shape().to_vec(), v.t.rank(), v.meta());
        let d = rng.below(rank);
        let dim = d as isize;
        let count = 1 + rng.below(4);
        match rng.below(5) {
            0 | 1 => {
                let (call, index) = self.index(rng, &[count], shape[d]);
                if t.numel() / shape[d] * count > self.limit {
                    return;
                }
                self.put(format!("{n}.index_select({dim}, {call})"), index.and_then(|i| t.index_select(dim, &i)), m);
            }
            2 => {
                let mut to = shape.clone();
                to[d] = count;
                if to.iter().product::<usize>() > self.limit {
                    return;
                }
                let (call, index) = self.index(rng, &to, shape[d]);
                self.put(format!("{n}.gather({dim}, {call})"), index.and_then(|i| t.gather(dim, &i)), m);
            }
            3 if v.t.dtype() != DType::Bool => {
                let mut from = shape.clone();
                from[d] = count;
                let (call, index) = self.index(rng, &from, shape[d]);
                let (source_call, source, s) = self.fresh(rng, &from, t.dtype());
                let result = index.and_then(|i| source.and_then(|s| t.scatter_add(dim, &i, &s)));
                let meta = Meta { mag: m.mag + s.mag * count as f64, err: m.err + eps(t.dtype()) * (m.mag + 8.0), ..m.join(s) };
                self.put(format!("{n}.scatter_add({dim}, {call}, {source_call})"), result, meta);
            }
            _ => {
                if !m.is_exact() || !self.leaves.is_empty() && t.requires_grad() {
                    return;
                }
                self.put(format!("{n}.nonzero()"), t.nonzero(), Meta::exact(40.0, 0));
            }
        }
    }
}

/// Another shape for as many elements: dimensions merged and split.
fn reshaped(rng: &mut Rng, shape: &[usize]) -> Vec<isize> {
    let total: usize = shape.iter().product();
    if total == 0 {
        return shape.iter().rev().map(|&d| d as isize).collect();
    }
    let mut rest = total;
    let mut to: Vec<isize> = Vec::new();
    while rest > 1 && to.len() < 3 {
        let divisors: Vec<usize> = (1..=rest).filter(|d| rest % d == 0).collect();
        let d = *rng.pick(&divisors);
        to.push(d as isize);
        rest /= d;
    }
    if rest > 1 || rng.one_in(3) {
        to.push(rest as isize);
    }
    if !to.is_empty() && rng.one_in(3) {
        let i = rng.below(to.len());
        to[i] = -1;
    }
    to
}
