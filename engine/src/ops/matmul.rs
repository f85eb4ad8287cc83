//! Matrix product: `[.., m, k] x [.., k, n] -> [.., m, n]`, with equal batch dimensions.

use std::ops::{Add, AddAssign, Div, Mul, Sub};

use smallvec::SmallVec;

use crate::autograd::Ctx;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::ops::fastmath::Real;
use crate::ops::{Grads, Kind, Op, Spec};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::shape::Layout;
use crate::tensor::Tensor;

/// `out[.., r, c] = sum_k a[.., r, k] * b[.., k, c]`. Both inputs are read through their strides; a batch
/// dimension is broadcast by stride 0. Low-precision floats give `f32`; integers wrap.
#[derive(Debug)]
pub(crate) struct MatMul;

impl Op for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn infer(&self, x: &[Spec]) -> Result<Spec> {
        let [a, b] = x else { return Err(Error::argument("matmul", "takes two tensors")) };
        let rank = a.shape.len();
        if rank < 2 || rank != b.shape.len() || a.shape[..rank - 2] != b.shape[..rank - 2] || a.shape[rank - 1] != b.shape[rank - 2] {
            return Err(Error::argument("matmul", format!("{:?} x {:?} do not fit", a.shape, b.shape)));
        }
        if a.dtype != b.dtype || a.dtype == DType::Bool {
            return Err(Error::dtype("matmul", format!("no product of {} and {}", a.dtype, b.dtype)));
        }
        let mut shape = a.shape.clone();
        shape[rank - 1] = b.shape[rank - 1];
        crate::shape::checked_numel("matmul", &shape)?;
        Ok(Spec { dtype: accumulated(a.dtype), shape })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    /// `da = dy b^T`, `db = a^T dy`.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let (a, b) = (ctx.input(0)?, ctx.input(1)?);
        let dy = dy.to_dtype(a.dtype())?;
        let grad = |i: usize, product: &dyn Fn() -> Result<Tensor>| -> Result<Option<Tensor>> {
            if ctx.needs(i) { Ok(Some(product()?.to_dtype(ctx.spec(i).dtype)?)) } else { Ok(None) }
        };
        Ok(smallvec::smallvec![
            grad(0, &|| product_like(a, &dy, &b.transpose(-2, -1)?))?,
            grad(1, &|| product_like(b, &a.transpose(-2, -1)?, &dy))?,
        ])
    }
}

/// `a b`, computed in the order of elements that `x` has: the gradient of a transposed weight is born as the weight lies.
fn product_like(x: &Tensor, a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let layout = x.value()?.layout;
    if let [.., 1, last] = layout.strides[..]
        && last > 1
    {
        return Tensor::apply(MatMul, &[&b.transpose(-2, -1)?, &a.transpose(-2, -1)?])?.transpose(-2, -1);
    }
    Tensor::apply(MatMul, &[a, b])
}

/// What products of low-precision floats are summed in, and given as: the tensor method rounds back.
pub(crate) fn accumulated(dtype: DType) -> DType {
    if matches!(dtype, DType::F16 | DType::BF16) { DType::F32 } else { dtype }
}

impl Compute for MatMul {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let (a, b) = (&inputs[0], &inputs[1]);
        match out.dtype {
            DType::F32 => product_cpu::<f32>(a, b, out),
            DType::F64 => product_cpu::<f64>(a, b, out),
            DType::I8 => int_cpu::<i8>(a, b, out),
            DType::U8 => int_cpu::<u8>(a, b, out),
            DType::I16 => int_cpu::<i16>(a, b, out),
            DType::U16 => int_cpu::<u16>(a, b, out),
            DType::I32 => int_cpu::<i32>(a, b, out),
            DType::U32 => int_cpu::<u32>(a, b, out),
            DType::I64 => int_cpu::<i64>(a, b, out),
            DType::U64 => int_cpu::<u64>(a, b, out),
            other => return Err(Error::dtype("matmul", format!("no product of {other}"))),
        }
        Ok(())
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let dtype = inputs[0].dtype;
        let int = matches!(dtype, DType::I32 | DType::I64);
        if !int && !dtype.is_float() {
            return None;
        }
        let shape = &output.layout.shape;
        let rank = shape.len();
        let product = Product {
            m: shape[rank - 2],
            n: shape[rank - 1],
            k: inputs[0].layout.shape[rank - 1],
            a: Side::of(0, inputs[0].layout),
            b: Side::of(1, inputs[1].layout),
            batch: shape[..rank - 2].iter().copied().collect(),
        };
        product.launches(adapter, int)
    }

    fn epilogue(&self) -> bool {
        true
    }

    fn strided(&self) -> u32 {
        0b11
    }
}

// ---- CPU --------------------------------------------------------------------------------------

/// A float the `gemm` crate multiplies.
pub(crate) trait Float:
    Real
    + bytemuck::Pod
    + Send
    + Sync
    + Into<f64>
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + AddAssign
{
    const ZERO: Self;
    const ONE: Self;
    const NEG_INFINITY: Self;
}
impl Float for f32 {
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;
    const NEG_INFINITY: f32 = f32::NEG_INFINITY;
}
impl Float for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;
    const NEG_INFINITY: f64 = f64::NEG_INFINITY;
}

/// A matrix in memory: element `(r, c)` at `data[at + r * row + c * col]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    pub data: &'a [T],
    pub at: usize,
    pub row: isize,
    pub col: isize,
}

impl<'a, T> Matrix<'a, T> {
    /// Rows of `width` elements, one after the other.
    pub fn rows(data: &'a [T], width: usize) -> Self {
        Matrix { data, at: 0, row: width as isize, col: 1 }
    }

    pub fn t(self) -> Self {
        Matrix { row: self.col, col: self.row, ..self }
    }

    /// Whether all of `rows x cols` lies inside `data`.
    fn holds(&self, rows: usize, cols: usize) -> bool {
        if rows == 0 || cols == 0 {
            return true;
        }
        let reach = |n: usize, s: isize| (n as isize - 1) * s;
        let (r, c) = (reach(rows, self.row), reach(cols, self.col));
        let at = self.at as isize;
        at + r.min(0) + c.min(0) >= 0 && at + r.max(0) + c.max(0) < self.data.len() as isize
    }
}

/// `out = scale * out + a b`, where `out` has rows of `pitch` elements and `scale` is 0 or 1 (`keep`).
/// `threads`: the product may use all cores.
pub(crate) fn gemm<T: Float>(
    m: usize,
    n: usize,
    k: usize,
    a: Matrix<'_, T>,
    b: Matrix<'_, T>,
    out: &mut [T],
    pitch: usize,
    keep: bool,
    threads: bool,
) {
    if m == 0 || n == 0 {
        return;
    }
    assert!(a.holds(m, k) && b.holds(k, n) && pitch >= n && (m - 1) * pitch + n <= out.len(), "gemm: an operand is shorter than its shape");
    if k == 0 {
        if !keep {
            out.chunks_mut(pitch).take(m).for_each(|row| row[..n].fill(T::ZERO));
        }
        return;
    }
    #[cfg(not(target_arch = "wasm32"))]
    let parallelism = if threads { gemm::Parallelism::Rayon(0) } else { gemm::Parallelism::None };
    #[cfg(target_arch = "wasm32")]
    let parallelism = {
        let _ = threads;
        gemm::Parallelism::None
    };
    // SAFETY: the assertion above says that every element the strides reach lies in its slice, `out` is
    // borrowed mutably and so overlaps neither operand.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            pitch as isize,
            keep,
            a.data.as_ptr().add(a.at),
            a.col,
            a.row,
            b.data.as_ptr().add(b.at),
            b.col,
            b.row,
            T::ONE,
            T::ONE,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// Calls `f(i, chunk i)` for the chunks of `size` elements of `out`, on all cores if `parallel`.
pub(crate) fn for_chunks<T: Send>(
    out: &mut [T],
    size: usize,
    parallel: bool,
    f: impl Fn(usize, &mut [T]) -> Result<()> + Sync + Send,
) -> Result<()> {
    if out.is_empty() || size == 0 {
        return Ok(());
    }
    #[cfg(not(target_arch = "wasm32"))]
    if parallel && out.len() > size {
        use rayon::prelude::*;
        return out.par_chunks_mut(size).enumerate().try_for_each(|(i, chunk)| f(i, chunk));
    }
    let _ = parallel;
    out.chunks_mut(size).enumerate().try_for_each(|(i, chunk)| f(i, chunk))
}

/// Memory for a kernel's own use.
pub(crate) fn scratch<T: Clone>(op: &'static str, n: usize, value: T) -> Result<Vec<T>> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Error::OutOfMemory {
        device: "cpu".into(),
        message: format!("{op} could not get {} bytes of working memory", n.saturating_mul(size_of::<T>())),
    })?;
    v.resize(n, value);
    Ok(v)
}

/// Products smaller than this (in multiplications) are not worth a second thread.
const SMALL: usize = 1 << 17;

/// The first element of matrix `i` of a batch.
fn batch_at(layout: &Layout, i: usize) -> usize {
    let dims = layout.shape.len() - 2;
    let (mut rest, mut at) = (i, layout.offset as isize);
    for d in (0..dims).rev() {
        at += (rest % layout.shape[d]) as isize * layout.strides[d];
        rest /= layout.shape[d];
    }
    at as usize
}

fn matrix<'a, T: bytemuck::Pod>(x: &CpuIn<'a>, i: usize) -> Matrix<'a, T> {
    let rank = x.layout.shape.len();
    Matrix { data: x.data(), at: batch_at(x.layout, i), row: x.layout.strides[rank - 2], col: x.layout.strides[rank - 1] }
}

fn product_cpu<T: Float>(a: &CpuIn<'_>, b: &CpuIn<'_>, out: &mut CpuOut<'_>) {
    let rank = out.shape.len();
    let (m, n, k) = (out.shape[rank - 2], out.shape[rank - 1], a.shape()[rank - 1]);
    let batch: usize = out.shape[..rank - 2].iter().product();
    let (each, all) = (m * n * k, m * n * k * batch);
    // Many small products: one a core. Few big ones: all cores in each.
    let over_batch = batch > 1 && each < 1 << 22 && all > SMALL;
    let done = for_chunks(out.data::<T>(), m * n, over_batch, |i, chunk| {
        gemm(m, n, k, matrix(a, i), matrix(b, i), chunk, n, false, !over_batch && each > SMALL);
        Ok(())
    });
    debug_assert!(done.is_ok());
}

fn int_cpu<T: Element + bytemuck::Pod>(a: &CpuIn<'_>, b: &CpuIn<'_>, out: &mut CpuOut<'_>) {
    let rank = out.shape.len();
    let (n, k) = (out.shape[rank - 1], a.shape()[rank - 1]);
    let m = out.shape[rank - 2];
    let done = for_chunks(out.data::<T>(), m * n, false, |i, chunk| {
        let (a, b) = (matrix::<T>(a, i), matrix::<T>(b, i));
        let get = |x: &Matrix<'_, T>, r: usize, c: usize| {
            x.data[(x.at as isize + r as isize * x.row + c as isize * x.col) as usize].to_scalar().as_i64()
        };
        let mut sums = vec![0i64; n];
        for (r, row) in chunk.chunks_mut(n).enumerate() {
            sums.fill(0);
            for s in 0..k {
                let x = get(&a, r, s);
                for (c, sum) in sums.iter_mut().enumerate() {
                    *sum = sum.wrapping_add(x.wrapping_mul(get(&b, s, c)));
                }
            }
            for (y, &s) in row.iter_mut().zip(&sums) {
                *y = T::from_scalar(crate::dtype::Scalar::Int(s));
            }
        }
        Ok(())
    });
    debug_assert!(done.is_ok());
}

// ---- GPU --------------------------------------------------------------------------------------

/// One operand of a product on a GPU: `rows x cols` through strides, and one stride a batch dimension.
pub(crate) struct Side {
    pub input: usize,
    pub at: usize,
    pub row: isize,
    pub col: isize,
    pub batch: SmallVec<[isize; 4]>,
}

impl Side {
    pub fn of(input: usize, layout: &Layout) -> Side {
        let rank = layout.shape.len();
        Side {
            input,
            at: layout.offset,
            row: layout.strides[rank - 2],
            col: layout.strides[rank - 1],
            batch: layout.strides[..rank - 2].iter().copied().collect(),
        }
    }

    /// Whether 4-vectors along a direction with stride `along` are aligned, when `step` leads from one run of `len`
    /// elements to the next.
    fn vectors(&self, along: isize, step: isize, len: usize) -> bool {
        along == 1 && len % 4 == 0 && step % 4 == 0 && self.at % 4 == 0 && self.batch.iter().all(|s| s % 4 == 0)
    }
}

/// A batch of products on a GPU; the result is contiguous.
pub(crate) struct Product {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub batch: SmallVec<[usize; 4]>,
    pub a: Side,
    pub b: Side,
}

/// The largest dispatch in one direction.
const MAX_GROUPS: usize = 65535;

impl Product {
    /// Merges batch dimensions that both operands walk through evenly; `None` if more than four remain.
    fn collapse(&mut self) -> Option<()> {
        let mut dims: Vec<(usize, isize, isize)> = Vec::new();
        for (i, &d) in self.batch.iter().enumerate() {
            if d == 1 {
                continue;
            }
            let (sa, sb) = (self.a.batch[i], self.b.batch[i]);
            match dims.last_mut() {
                Some(last) if last.1 == sa * d as isize && last.2 == sb * d as isize => *last = (last.0 * d, sa, sb),
                _ => dims.push((d, sa, sb)),
            }
        }
        self.batch = dims.iter().map(|d| d.0).collect();
        self.a.batch = dims.iter().map(|d| d.1).collect();
        self.b.batch = dims.iter().map(|d| d.2).collect();
        (dims.len() <= 4).then_some(())
    }

    /// Cuts a long sum with a small result into pieces, which become the first batch dimension: more tiles to work on
    /// at a time. Gives their number; 1: not cut. It follows from the sizes alone, so bits do not depend on the machine's state.
    fn cut(&mut self, adapter: &Adapter) -> usize {
        let (tile, wanted) = if adapter.software { (8, 512) } else { (64, 128) };
        let batch: usize = self.batch.iter().product();
        let tiles = self.m.div_ceil(tile) * self.n.div_ceil(tile) * batch;
        let worth = |p: usize| self.k % (4 * p) == 0 && self.k / p >= 256 && tiles * p <= 2 * wanted;
        let pieces = [32, 16, 8, 4, 2].into_iter().find(|&p| worth(p)).unwrap_or(1);
        if pieces == 1 || tiles >= wanted || self.batch.len() == 4 {
            return 1;
        }
        self.k /= pieces;
        self.batch.insert(0, pieces);
        self.a.batch.insert(0, self.a.col * self.k as isize);
        self.b.batch.insert(0, self.b.row * self.k as isize);
        pieces
    }

    pub fn launches(mut self, adapter: &Adapter, int: bool) -> Option<Launches> {
        self.collapse()?;
        let whole = self.m * self.n * self.batch.iter().product::<usize>();
        let pieces = if int || whole == 0 { 1 } else { self.cut(adapter) };
        let (m, n, k) = (self.m, self.n, self.k);
        let (a, b) = (&self.a, &self.b);
        let registers = adapter.software;
        // Rows are what a batch is: their number chooses no kernel, so that a new batch compiles nothing.
        let broadcast = registers && adapter.subgroups == Some((8, 8)) && m >= 2 && n >= 32;
        let side = if broadcast { 32 } else { 8 };
        let rounds = if int { k } else { k.div_ceil(4) + side };
        if !adapter.allows_rounds(rounds) {
            return None;
        }
        // Which 4-vectors each operand can be read in; the tile in workgroup memory has no use for vectors along k.
        let a_class = match () {
            _ if a.vectors(a.row, a.col, m) => 1,
            _ if registers && k % 4 == 0 && a.vectors(a.col, a.row, k) => 2,
            _ if !registers && a.row == 1 && a.col != 1 => 3,
            _ => 0,
        };
        let b_class = match () {
            _ if b.vectors(b.col, b.row, n) => 1,
            _ if registers && k % 4 == 0 && b.vectors(b.row, b.col, k) => 2,
            _ if !registers && b.col == 1 && b.row != 1 => 3,
            _ => 0,
        };
        let out4 = n % 4 == 0;
        let vec4 = |class: u32| class == 1 || class == 2;
        let reads =
            vec![Read { vec4: vec4(a_class), ..Read::input("a", a.input) }, Read { vec4: vec4(b_class), ..Read::input("b", b.input) }];
        let (shader, mut consts) = match (int, registers) {
            (true, _) => ("matmul_int", vec![]),
            (_, true) => (
                if broadcast { "matmul_broadcast" } else { "matmul_registers" },
                vec![("A_CLASS", a_class), ("B_CLASS", b_class), ("K_TAIL", (k % 4 != 0) as u32), ("OUT4", out4 as u32)],
            ),
            _ => ("matmul_shared", vec![("A_CLASS", a_class), ("B_CLASS", b_class), ("OUT4", out4 as u32)]),
        };
        consts.push(("BATCH", self.batch.len() as u32));
        let launch = |first: [usize; 3], groups: [usize; 3]| {
            let size = |i: usize| self.batch.len().checked_sub(4 - i).map_or(1, |j| self.batch[j]) as u32;
            let step = |s: &Side, i: usize| s.batch.len().checked_sub(4 - i).map_or(0, |j| s.batch[j]) as u32;
            let mut params = vec![m as u32, n as u32, k as u32, first[0] as u32, first[1] as u32, first[2] as u32];
            params.extend([a.at as u32, a.row as u32, a.col as u32, b.at as u32, b.row as u32, b.col as u32]);
            params.extend([size(1), size(2), size(3)]);
            params.extend((0..4).map(|i| step(a, i)));
            params.extend((0..4).map(|i| step(b, i)));
            Launch {
                shader,
                consts: consts.clone(),
                reads: if int { vec![Read::input("a", a.input), Read::input("b", b.input)] } else { reads.clone() },
                write: match (pieces, out4 && !int) {
                    (2.., _) => Write::Scratch(0),
                    (_, true) => Write::Output4,
                    (_, false) => Write::Output,
                },
                params,
                patches: vec![],
                groups: groups.map(|g| g as u32),
            }
        };
        let batch: usize = self.batch.iter().product();
        let mut launches = Vec::new();
        for z0 in (0..batch).step_by(MAX_GROUPS) {
            let nz = (batch - z0).min(MAX_GROUPS);
            if registers || int {
                // Tiles are numbered through: first word columns of tiles, second all tiles.
                let tiles_n = n.div_ceil(side);
                let tiles = if int { m * n } else { tiles_n * m.div_ceil(side) };
                // A tile is a thread's, or a subgroup's.
                let [gx, gy] = spread(tiles.div_ceil(if broadcast && !int { 8 } else { 64 }));
                launches.push(launch([tiles_n, tiles, z0], [gx, gy, nz]));
                continue;
            }
            for row0 in (0..m).step_by(MAX_GROUPS * 64) {
                for col0 in (0..n).step_by(MAX_GROUPS * 64) {
                    let tiles = |first: usize, size: usize| (size - first).min(MAX_GROUPS * 64).div_ceil(64);
                    launches.push(launch([row0, col0, z0], [tiles(col0, n), tiles(row0, m), nz]));
                }
            }
        }
        if pieces == 1 {
            return Some(Launches { launches, scratch: vec![] });
        }
        launches.push(sum_pieces(whole, pieces));
        Some(Launches { launches, scratch: vec![pieces * whole] })
    }
}

/// Adds up `pieces` results of `len` elements that lie in scratch 0.
pub(crate) fn sum_pieces(len: usize, pieces: usize) -> Launch {
    let [x, y] = spread(len.div_ceil(64));
    Launch {
        shader: "sum_pieces",
        consts: vec![],
        reads: vec![Read::scratch("part", 0)],
        write: Write::Output,
        params: vec![len as u32, pieces as u32],
        patches: vec![],
        groups: [x as u32, y as u32, 1],
    }
}

/// `groups` as an x by y grid, each within the limit; the kernel skips what is too much.
pub(crate) fn spread(groups: usize) -> [usize; 2] {
    let y = groups.div_ceil(MAX_GROUPS).max(1);
    [groups.div_ceil(y), y]
}
