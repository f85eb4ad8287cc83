//! The positions that sort each row of a tensor, and binary search in sorted rows.
//!
//! Elements compare as words of 32 or 64 bits that have their order: a NaN lies above everything, -0 is 0.

use super::gather::{around, groups};
use super::matmul::for_chunks;
use super::op::{Class, Kind, Op, Saves, Spec};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// The positions along `dim` in ascending order of their elements, or descending; equal ones keep their order. `i64`.
/// Numbers of 32 bits and more: callers widen.
#[derive(Debug, Clone)]
pub(crate) struct Sort {
    pub dim: usize,
    pub descending: bool,
}

/// For each value how many elements of its sorted row lie below it; with `right`, or are equal to it. Inputs: the rows,
/// and as many values for each (or, for one row, any values). `i64`.
#[derive(Debug, Clone)]
pub(crate) struct Search {
    pub right: bool,
}

/// What `order.wgsl` calls the kind of a type.
pub(super) fn order_of(dtype: DType) -> u32 {
    match dtype.class() {
        Class::UInt | Class::Bool => 0,
        Class::Int => 1,
        Class::F32 | Class::F64 => 2,
    }
}

fn expect_wide(op: &'static str, dtype: DType) -> Result<()> {
    let ok = dtype.size() >= 4 || dtype.is_float();
    ok.then_some(()).ok_or_else(|| Error::dtype(op, format!("{dtype} does not compare here; convert it first")))
}

impl Op for Sort {
    fn name(&self) -> &'static str {
        "sort"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        expect_wide("sort", inputs[0].dtype)?;
        Ok(Spec { dtype: DType::I64, shape: inputs[0].shape.clone() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.extend([self.dim as u64, self.descending as u64]);
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Compute for Sort {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let x = &inputs[0];
        match x.dtype {
            DType::F32 => self.narrow(out, x.data::<f32>(), f32_key),
            DType::I32 => self.narrow(out, x.data::<i32>(), |v| v as u32 ^ 1 << 31),
            DType::U32 => self.narrow(out, x.data::<u32>(), |v| v),
            DType::F64 => self.wide(out, x.data::<f64>(), f64_key),
            DType::U64 => self.wide(out, x.data::<u64>(), |v| v),
            _ => self.wide(out, x.data::<i64>(), |v| v as u64 ^ 1 << 63),
        }
    }

    /// Short rows by counting (sort_rank.wgsl), long ones by tiles that are merged (sort_tile.wgsl, sort_merge.wgsl).
    /// Rows of 2^24 elements and more are sorted on the host.
    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        let (outer, n, inner) = around(&output.layout.shape, self.dim);
        let count = output.layout.numel();
        let order = order_of(inputs[0].dtype);
        let x = Read::input("x", 0);
        if n <= 64 {
            let rank = step("sort_rank", order, self.descending, vec![x], Write::Output, &[count, n, inner], groups(count, 64));
            return Some(Launches { launches: vec![rank], scratch: vec![] });
        }
        let (mut launches, from, scratch) = sorted(x, order, self.descending, (outer, n, inner))?;
        let runs = vec![Read::scratch("runs", from)];
        launches.push(step("sort_finish", order, self.descending, runs, Write::Output, &[count, n, inner], groups(count, 64)));
        Some(Launches { launches, scratch })
    }

    fn epilogue(&self) -> bool {
        true
    }
}

/// Elements that a workgroup of sort_tile.wgsl sorts.
const TILE: usize = 1024;

/// One dispatch of a sort.
fn step(shader: &'static str, order: u32, down: bool, reads: Vec<Read>, write: Write, params: &[usize], groups: [u32; 3]) -> Launch {
    Launch {
        shader,
        consts: vec![("ORDER", order), ("DOWN", down as u32)],
        reads,
        write,
        params: params.iter().map(|&v| v as u32).collect(),
        patches: vec![],
        groups,
    }
}

/// The dispatches that sort rows of n elements of `x`, which lie as (outer, n, inner): tiles (sort_tile.wgsl), then merges
/// of neighbours (sort_merge.wgsl). Also which of the scratch buffers then holds each row's positions, row after row, and the
/// buffers' sizes. `None` for 2^24 elements and more, past which f32 does not count.
pub(super) fn sorted(
    x: Read,
    order: u32,
    down: bool,
    (outer, n, inner): (usize, usize, usize),
) -> Option<(Vec<Launch>, usize, Vec<usize>)> {
    if n >= 1 << 24 {
        return None;
    }
    let (rows, tiles) = (outer * inner, n.div_ceil(TILE));
    let first = &[rows, n, inner, tiles];
    let mut launches = vec![step("sort_tile", order, down, vec![x.clone()], Write::Scratch(0), first, groups(rows * tiles, 1))];
    let (mut run, mut from) = (TILE, 0);
    while run < n {
        let reads = vec![x.clone(), Read::scratch("runs", from)];
        let to = Write::Scratch(1 - from);
        launches.push(step("sort_merge", order, down, reads, to, &[rows, n, inner, run], groups(rows * n, 64)));
        (run, from) = (2 * run, 1 - from);
    }
    Some((launches, from, vec![rows * n; if tiles > 1 { 2 } else { 1 }]))
}

fn f32_key(v: f32) -> u32 {
    let bits = if v == 0.0 { 0 } else { v.to_bits() };
    if v.is_nan() {
        u32::MAX
    } else if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    }
}

fn f64_key(v: f64) -> u64 {
    let bits = if v == 0.0 { 0 } else { v.to_bits() };
    if v.is_nan() {
        u64::MAX
    } else if bits >> 63 == 1 {
        !bits
    } else {
        bits | 1 << 63
    }
}

impl Sort {
    /// Keys of 32 bits: key and position sort as one word, where positions fit.
    fn narrow<T: Copy + Sync>(&self, out: &mut CpuOut<'_>, x: &[T], key: impl Fn(T) -> u32 + Sync + Send) -> Result<()> {
        if out.shape[self.dim] > u32::MAX as usize {
            return self.wide(out, x, |v| key(v) as u64);
        }
        let down = if self.descending { u32::MAX } else { 0 };
        self.rows(out, |i, j| ((key(x[i]) ^ down) as u64) << 32 | j as u64, |word| (word & u32::MAX as u64) as i64)
    }

    fn wide<T: Copy + Sync>(&self, out: &mut CpuOut<'_>, x: &[T], key: impl Fn(T) -> u64 + Sync + Send) -> Result<()> {
        let down = if self.descending { u64::MAX } else { 0 };
        self.rows(out, |i, j| (key(x[i]) ^ down, j as u64), |(_, j)| j as i64)
    }

    /// Sorts each row of what `word` makes of its elements; `place` finds their positions again.
    fn rows<W: Ord + Copy + Send>(
        &self,
        out: &mut CpuOut<'_>,
        word: impl Fn(usize, usize) -> W + Sync + Send,
        place: impl Fn(W) -> i64 + Sync + Send,
    ) -> Result<()> {
        let (_, n, inner) = around(out.shape, self.dim);
        let y = out.data::<i64>();
        let parallel = y.len() > 1 << 12;
        for_chunks(y, n * inner, parallel, |o, y| {
            let mut row: Vec<W> = crate::tensor::reserve("sort", n)?;
            for c in 0..inner {
                row.clear();
                row.extend((0..n).map(|j| word((o * n + j) * inner + c, j)));
                sort_words(&mut row);
                row.iter().enumerate().for_each(|(r, &w)| y[r * inner + c] = place(w));
            }
            Ok(())
        })
    }
}

/// Words differ, so that an unstable sort will do.
fn sort_words<W: Ord + Send>(row: &mut [W]) {
    #[cfg(not(target_arch = "wasm32"))]
    if row.len() > 1 << 15 {
        use rayon::prelude::*;
        row.par_sort_unstable();
        return;
    }
    row.sort_unstable();
}

impl Op for Search {
    fn name(&self) -> &'static str {
        "searchsorted"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let (rows, values) = (&inputs[0], &inputs[1]);
        expect_wide("searchsorted", rows.dtype)?;
        let beside = |s: &Spec| s.shape[..s.shape.len().saturating_sub(1)].to_vec();
        let fits = rows.shape.len() == 1 || !rows.shape.is_empty() && !values.shape.is_empty() && beside(rows) == beside(values);
        if rows.dtype != values.dtype || !fits {
            let what = |s: &Spec| format!("{:?} {}", &s.shape[..], s.dtype);
            let message = format!("values {} do not fit sorted rows {}", what(values), what(rows));
            return Err(Error::argument("searchsorted", message));
        }
        Ok(Spec { dtype: DType::I64, shape: values.shape.clone() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.right as u64);
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }

    fn differentiable(&self) -> bool {
        false
    }
}

impl Search {
    /// Values of a row, elements of a row, and how far rows are apart.
    fn sizes(rows: &[usize], values: &[usize]) -> (usize, usize, usize) {
        let n = rows.last().copied().unwrap_or(1);
        let m = values.last().copied().unwrap_or(1).max(1);
        if rows.len() == 1 { (m, n, 0) } else { (m, n, n) }
    }

    fn find<T: Copy + Sync + bytemuck::Pod + PartialOrd>(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let (m, n, apart) = Search::sizes(inputs[0].shape(), inputs[1].shape());
        let (rows, values) = (inputs[0].data::<T>(), inputs[1].data::<T>());
        let y = out.data::<i64>();
        let parallel = y.len() > 1 << 12;
        for_chunks(y, m, parallel, |i, y| {
            let row = &rows[i * apart..][..n];
            for (y, &v) in y.iter_mut().zip(&values[i * m..]) {
                // Written so that a NaN on either side steps on, as PyTorch's search does.
                *y = row.partition_point(|&e| if self.right { !(e > v) } else { !(e >= v) }) as i64;
            }
            Ok(())
        })
    }
}

impl Compute for Search {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match inputs[0].dtype {
            DType::F32 => self.find::<f32>(inputs, out),
            DType::F64 => self.find::<f64>(inputs, out),
            DType::I32 => self.find::<i32>(inputs, out),
            DType::U32 => self.find::<u32>(inputs, out),
            DType::U64 => self.find::<u64>(inputs, out),
            _ => self.find::<i64>(inputs, out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        let (m, n, apart) = Search::sizes(&inputs[0].layout.shape, &inputs[1].layout.shape);
        let count = output.layout.numel();
        let launch = Launch {
            shader: "search",
            consts: vec![("RIGHT", self.right as u32), ("ORDER", order_of(inputs[0].dtype))],
            reads: vec![Read::input("row", 0), Read::input("value", 1)],
            write: Write::Output,
            params: [count, m, n, apart].map(|v| v as u32).to_vec(),
            patches: vec![],
            groups: groups(count, 64),
        };
        Some(Launches { launches: vec![launch], scratch: vec![] })
    }

    fn epilogue(&self) -> bool {
        true
    }
}
