//! Convolution on the CPU: the image is unrolled a block of output rows at a time (im2col), so that the
//! convolution becomes a matrix product whose second operand stays in the cache.

use std::ops::Range;

use super::Geometry;
use crate::error::Result;
use crate::ops::{Float, Matrix, for_chunks, gemm, lift, scratch};
use crate::runtime::cpu::memory::{CpuIn, CpuOut};

/// Elements of an unrolled block.
const BLOCK: usize = 1 << 16;
/// Multiplications below which one thread is enough.
const SMALL: usize = 1 << 16;
/// Pixels of an image, and elements of a weight: fewer of those and more of these make images go together.
const FEW: usize = 128;
const LARGE: usize = 1 << 15;
/// A weight gradient is summed in this many pieces at most, whatever the number of threads: the same bits everywhere.
const PIECES: usize = 8;

/// Sizes of one convolution, whichever of the three is computed.
struct Sizes {
    images: usize,
    groups: usize,
    /// Channels of a group: in, out.
    c: usize,
    o: usize,
    /// Depth, height and width of the image.
    d: usize,
    h: usize,
    w: usize,
    /// The same of the kernel.
    kd: usize,
    kh: usize,
    kw: usize,
    /// The same of the output.
    od: usize,
    oh: usize,
    ow: usize,
}

impl Sizes {
    fn new(g: &Geometry, x: &[usize], w: &[usize], y: &[usize]) -> Sizes {
        let ([images, _, d, h, w_], [o, c, kd, kh, kw], [_, _, od, oh, ow]) = (lift(x), lift(w), lift(y));
        Sizes { images, groups: g.groups, c, o: o / g.groups, d, h, w: w_, kd, kh, kw, od, oh, ow }
    }
    /// Elements of one channel of the image.
    fn plane(&self) -> usize {
        self.d * self.h * self.w
    }
    fn pixels(&self) -> usize {
        self.od * self.oh * self.ow
    }
    /// Rows of one channel of the output.
    fn rows(&self) -> usize {
        self.od * self.oh
    }
    /// Elements of one channel's kernel.
    fn window(&self) -> usize {
        self.kd * self.kh * self.kw
    }
    /// Elements of one output channel's kernel.
    fn taps(&self) -> usize {
        self.c * self.window()
    }
    fn work(&self) -> usize {
        self.images * self.groups * self.o * self.taps() * self.pixels()
    }
    /// Output rows of a block of `taps` unrolled rows.
    fn block_rows(&self, taps: usize) -> usize {
        (BLOCK / (taps * self.ow).max(1)).clamp(1, self.rows().max(1))
    }
    /// Images that go into one product: several where an image has few pixels and the weight is large, since each product
    /// reads all of the weight.
    fn together(&self) -> usize {
        let few = self.groups == 1 && self.pixels() < FEW && self.o * self.taps() >= LARGE;
        if few { (2 * FEW / self.pixels().max(1)).clamp(1, self.images.max(1)) } else { 1 }
    }
    /// The unrolled image is the image itself.
    fn pointwise(&self, g: &Geometry) -> bool {
        self.window() == 1 && g.stride == [1; 3] && g.padding == [0; 3]
    }
    /// What one row of the unrolled image shows, number `i` of them: its channel and where its kernel element lies.
    fn tap(&self, g: &Geometry, i: usize) -> Tap {
        let (q, kx) = (i / self.kw, i % self.kw);
        let (q, ky) = (q / self.kh, q % self.kh);
        let (channel, kz) = (q / self.kd, q % self.kd);
        let [z, y, x] = [(0, kz, self.od, self.d), (1, ky, self.oh, self.h), (2, kx, self.ow, self.w)].map(|(d, k, out, size)| {
            let range = valid(out, k, g.stride[d], g.dilation[d], g.padding[d], size);
            Axis { range, k: k * g.dilation[d], stride: g.stride[d], padding: g.padding[d] }
        });
        Tap { channel, z, y, x }
    }
    /// The row of the image that output row `row` reads through a kernel element, if it is inside.
    fn image_row(&self, tap: &Tap, row: usize) -> Option<usize> {
        let (oz, oy) = (row / self.oh, row % self.oh);
        let inside = tap.z.range.contains(&oz) && tap.y.range.contains(&oy) && !tap.x.range.is_empty();
        inside.then(|| ((tap.channel * self.d + tap.z.at(oz)) * self.h + tap.y.at(oy)) * self.w)
    }
}

/// One kernel element along one dimension: which outputs see the image through it.
struct Axis {
    range: Range<usize>,
    k: usize,
    stride: usize,
    padding: usize,
}

impl Axis {
    /// The position in the image that output `o` of `range` reads.
    fn at(&self, o: usize) -> usize {
        o * self.stride + self.k - self.padding
    }
}

/// One element of the kernel.
struct Tap {
    channel: usize,
    z: Axis,
    y: Axis,
    x: Axis,
}

/// The outputs `x` along one dimension whose input `x * stride + k * dilation - padding` lies within `size`.
fn valid(out: usize, k: usize, stride: usize, dilation: usize, padding: usize, size: usize) -> Range<usize> {
    let start = (k * dilation) as isize - padding as isize;
    let low = if start < 0 { (start.unsigned_abs()).div_ceil(stride) } else { 0 };
    let room = size as isize - start;
    let high = if room <= 0 { 0 } else { (room as usize).div_ceil(stride) };
    let high = high.min(out);
    low.min(high)..high
}

/// Rows `rows` of the output, unrolled: `col[(c, kz, ky, kx), (row, ox)]`, `pitch` elements from line to line. `x` is
/// `channels` volumes.
fn im2col<T: Float>(g: &Geometry, s: &Sizes, x: &[T], rows: Range<usize>, col: &mut [T], pitch: usize) {
    let wide = rows.len() * s.ow;
    for (i, line) in col.chunks_mut(pitch).enumerate() {
        let line = &mut line[..wide];
        let tap = s.tap(g, i);
        let xs = tap.x.range.clone();
        for (row, out) in rows.clone().zip(line.chunks_mut(s.ow)) {
            let Some(at) = s.image_row(&tap, row) else {
                out.fill(T::ZERO);
                continue;
            };
            let from = &x[at..][..s.w][tap.x.at(xs.start)..];
            out[..xs.start].fill(T::ZERO);
            out[xs.end..].fill(T::ZERO);
            let out = &mut out[xs.clone()];
            if tap.x.stride == 1 {
                out.copy_from_slice(&from[..xs.len()]);
            } else {
                for (o, v) in out.iter_mut().zip(from.iter().step_by(tap.x.stride)) {
                    *o = *v;
                }
            }
        }
    }
}

/// Adds an unrolled block back onto the image it came from.
fn col2im<T: Float>(g: &Geometry, s: &Sizes, col: &[T], rows: Range<usize>, x: &mut [T], pitch: usize) {
    let wide = rows.len() * s.ow;
    for (i, line) in col.chunks(pitch).enumerate() {
        let line = &line[..wide];
        let tap = s.tap(g, i);
        let xs = tap.x.range.clone();
        for (row, from) in rows.clone().zip(line.chunks(s.ow)) {
            let Some(at) = s.image_row(&tap, row) else { continue };
            let to = &mut x[at..][..s.w][tap.x.at(xs.start)..];
            let from = &from[xs.clone()];
            if tap.x.stride == 1 {
                to.iter_mut().zip(from).for_each(|(t, v)| *t += *v);
            } else {
                to.iter_mut().step_by(tap.x.stride).zip(from).for_each(|(t, v)| *t += *v);
            }
        }
    }
}

pub(super) fn forward<T: Float>(g: &Geometry, x: &CpuIn<'_>, w: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let s = Sizes::new(g, x.shape(), w.shape(), out.shape);
    let (x, w) = (x.data::<T>(), w.data::<T>());
    let (taps, pixels, plane) = (s.taps(), s.pixels(), s.plane());
    let big = s.work() > SMALL;
    if s.together() > 1 {
        return forward_together(g, &s, x, w, out.data::<T>());
    }
    let threads = big && s.images * s.groups < 8;
    for_chunks(out.data::<T>(), s.o * pixels, big, |i, y| {
        let group = i % s.groups;
        let x = &x[i * s.c * plane..][..s.c * plane];
        let w = &w[group * s.o * taps..][..s.o * taps];
        if s.pointwise(g) || taps == 0 {
            gemm(s.o, pixels, taps, Matrix::rows(w, taps), Matrix::rows(x, pixels), y, pixels, false, threads);
            return Ok(());
        }
        if s.c == 1 && s.o == 1 {
            depthwise(g, &s, x, w, y);
            return Ok(());
        }
        let step = s.block_rows(taps);
        let mut col = scratch("conv", taps * step * s.ow, T::ZERO)?;
        for r in (0..s.rows()).step_by(step) {
            let rows = r..(r + step).min(s.rows());
            let wide = rows.len() * s.ow;
            let col = &mut col[..taps * wide];
            im2col(g, &s, x, rows, col, wide);
            gemm(s.o, wide, taps, Matrix::rows(w, taps), Matrix::rows(col, wide), &mut y[r * s.ow..], pixels, false, threads);
        }
        Ok(())
    })
}

/// One channel with its own kernel: rows of the image times one weight, added up.
fn depthwise<T: Float>(g: &Geometry, s: &Sizes, x: &[T], w: &[T], y: &mut [T]) {
    y.fill(T::ZERO);
    for (i, &weight) in w.iter().enumerate().take(s.window()) {
        let tap = s.tap(g, i);
        let xs = tap.x.range.clone();
        for (row, to) in y.chunks_mut(s.ow).enumerate() {
            let Some(at) = s.image_row(&tap, row) else { continue };
            let from = &x[at..][..s.w][tap.x.at(xs.start)..];
            let to = &mut to[xs.clone()];
            if tap.x.stride == 1 {
                to.iter_mut().zip(from).for_each(|(t, v)| *t += weight * *v);
            } else {
                to.iter_mut().zip(from.iter().step_by(tap.x.stride)).for_each(|(t, v)| *t += weight * *v);
            }
        }
    }
}

pub(super) fn input_grad<T: Float>(g: &Geometry, dy: &CpuIn<'_>, w: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let s = Sizes::new(g, out.shape, w.shape(), dy.shape());
    let (dy, w) = (dy.data::<T>(), w.data::<T>());
    let (taps, pixels, plane) = (s.taps(), s.pixels(), s.plane());
    let big = s.work() > SMALL;
    if s.together() > 1 && s.o * pixels * s.window() > 0 {
        return input_grad_together(g, &s, dy, w, out.data::<T>());
    }
    // Channels of the result are independent: with few images they are shared out in equal blocks.
    let jobs = s.images * s.groups;
    let blocks = if jobs >= 8 { 1 } else { (1..=8 / jobs.max(1)).rev().find(|b| s.c % b == 0).unwrap_or(1) };
    let c = s.c / blocks;
    let block_taps = c * s.window();
    for_chunks(out.data::<T>(), c * plane, big, |i, dx| {
        let (job, block) = (i / blocks, i % blocks);
        let group = job % s.groups;
        let dy = &dy[job * s.o * pixels..][..s.o * pixels];
        let w = &w[group * s.o * taps..][..s.o * taps];
        // Rows of the transposed weight that belong to this block of channels.
        let wt = Matrix { data: w, at: block * block_taps, row: 1, col: taps as isize };
        if s.o == 0 || pixels == 0 || s.window() == 0 {
            dx.fill(T::ZERO);
            return Ok(());
        }
        if s.pointwise(g) && plane == pixels {
            gemm(c, pixels, s.o, wt, Matrix::rows(dy, pixels), dx, pixels, false, false);
            return Ok(());
        }
        dx.fill(T::ZERO);
        let step = s.block_rows(block_taps);
        let mut col = scratch("conv", block_taps * step * s.ow, T::ZERO)?;
        for r in (0..s.rows()).step_by(step) {
            let rows = r..(r + step).min(s.rows());
            let wide = rows.len() * s.ow;
            let col = &mut col[..block_taps * wide];
            let from = Matrix { data: dy, at: r * s.ow, row: pixels as isize, col: 1 };
            gemm(block_taps, wide, s.o, wt, from, col, wide, false, false);
            col2im(g, &s, col, rows, dx, wide);
        }
        Ok(())
    })
}

pub(super) fn weight_grad<T: Float>(g: &Geometry, x: &CpuIn<'_>, dy: &CpuIn<'_>, out: &mut CpuOut<'_>) -> Result<()> {
    let s = Sizes::new(g, x.shape(), out.shape, dy.shape());
    let (x, dy) = (x.data::<T>(), dy.data::<T>());
    let dw = out.data::<T>();
    let (taps, pixels, plane) = (s.taps(), s.pixels(), s.plane());
    dw.fill(T::ZERO);
    if dw.is_empty() || s.images == 0 || pixels == 0 {
        return Ok(());
    }
    if s.together() > 1 {
        return weight_grad_together(g, &s, x, dy, dw);
    }
    // Pieces of the batch are summed apart, then together in order; big weights in one piece, which saves memory.
    let most = ((64 << 20) / size_of_val(dw)).max(1);
    let pieces = s.images.min(PIECES).min(most);
    let per_piece = s.images.div_ceil(pieces);
    let big = s.work() > SMALL;
    let sum = |piece: usize, dw: &mut [T], threads: bool| -> Result<()> {
        let step = s.block_rows(taps);
        let mut col = scratch("conv", taps * step * s.ow, T::ZERO)?;
        for image in piece * per_piece..((piece + 1) * per_piece).min(s.images) {
            for group in 0..s.groups {
                let i = image * s.groups + group;
                let x = &x[i * s.c * plane..][..s.c * plane];
                let dw = &mut dw[group * s.o * taps..][..s.o * taps];
                for r in (0..s.rows()).step_by(step) {
                    let rows = r..(r + step).min(s.rows());
                    let wide = rows.len() * s.ow;
                    let from = Matrix { data: dy, at: i * s.o * pixels + r * s.ow, row: pixels as isize, col: 1 };
                    let unrolled = &mut col[..taps * wide];
                    im2col(g, &s, x, rows, unrolled, wide);
                    gemm(s.o, taps, wide, from, Matrix::rows(unrolled, wide).t(), dw, taps, true, threads);
                }
            }
        }
        Ok(())
    };
    if pieces == 1 {
        return sum(0, dw, big);
    }
    let n = dw.len();
    let mut parts = scratch("conv", pieces * n, T::ZERO)?;
    for_chunks(&mut parts, n, big, |piece, part| sum(piece, part, false))?;
    for part in parts.chunks(n) {
        dw.iter_mut().zip(part).for_each(|(t, v)| *t += *v);
    }
    Ok(())
}

// ---- several images in one product --------------------------------------------------------------

/// Blocks of images are independent; few of them leave threads to each product.
fn product_threads(s: &Sizes) -> bool {
    s.images.div_ceil(s.together()) < 8
}

/// `[n, o, pixels]` as `[o, n * pixels]`.
fn channels_first<T: Float>(x: &[T], o: usize, pixels: usize, to: &mut [T]) {
    let wide = x.len() / o;
    for (image, x) in x.chunks(o * pixels).enumerate() {
        for (c, x) in x.chunks(pixels).enumerate() {
            to[c * wide + image * pixels..][..pixels].copy_from_slice(x);
        }
    }
}

fn forward_together<T: Float>(g: &Geometry, s: &Sizes, x: &[T], w: &[T], out: &mut [T]) -> Result<()> {
    let (taps, pixels, image) = (s.taps(), s.pixels(), s.c * s.plane());
    for_chunks(out, s.together() * s.o * pixels, true, |block, y| {
        let n = y.len() / (s.o * pixels);
        let wide = n * pixels;
        let x = &x[block * s.together() * image..][..n * image];
        let mut col = scratch("conv", taps * wide, T::ZERO)?;
        for (i, x) in x.chunks(image).enumerate() {
            im2col(g, s, x, 0..s.rows(), &mut col[i * pixels..], wide);
        }
        let mut all = scratch("conv", s.o * wide, T::ZERO)?;
        gemm(s.o, wide, taps, Matrix::rows(w, taps), Matrix::rows(&col, wide), &mut all, wide, false, product_threads(s));
        for (i, y) in y.chunks_mut(s.o * pixels).enumerate() {
            for (c, y) in y.chunks_mut(pixels).enumerate() {
                y.copy_from_slice(&all[c * wide + i * pixels..][..pixels]);
            }
        }
        Ok(())
    })
}

fn input_grad_together<T: Float>(g: &Geometry, s: &Sizes, dy: &[T], w: &[T], out: &mut [T]) -> Result<()> {
    let (taps, pixels, image) = (s.taps(), s.pixels(), s.c * s.plane());
    for_chunks(out, s.together() * image, true, |block, dx| {
        let n = dx.len() / image;
        let wide = n * pixels;
        let mut from = scratch("conv", s.o * wide, T::ZERO)?;
        channels_first(&dy[block * s.together() * s.o * pixels..][..n * s.o * pixels], s.o, pixels, &mut from);
        let mut col = scratch("conv", taps * wide, T::ZERO)?;
        gemm(taps, wide, s.o, Matrix::rows(w, taps).t(), Matrix::rows(&from, wide), &mut col, wide, false, product_threads(s));
        dx.fill(T::ZERO);
        for (i, dx) in dx.chunks_mut(image).enumerate() {
            col2im(g, s, &col[i * pixels..], 0..s.rows(), dx, wide);
        }
        Ok(())
    })
}

/// Blocks one after the other, all threads in each product: parts of a large weight of their own would be as much memory each.
fn weight_grad_together<T: Float>(g: &Geometry, s: &Sizes, x: &[T], dy: &[T], dw: &mut [T]) -> Result<()> {
    let (taps, pixels, image) = (s.taps(), s.pixels(), s.c * s.plane());
    let most = s.together() * pixels;
    let mut col = scratch("conv", taps * most, T::ZERO)?;
    let mut from = scratch("conv", s.o * most, T::ZERO)?;
    for (block, x) in x.chunks(s.together() * image).enumerate() {
        let n = x.len() / image;
        let wide = n * pixels;
        let (col, from) = (&mut col[..taps * wide], &mut from[..s.o * wide]);
        channels_first(&dy[block * s.together() * s.o * pixels..][..n * s.o * pixels], s.o, pixels, from);
        for_chunks(col, s.window() * wide, true, |c, col| {
            for i in 0..n {
                let plane = &x[i * image + c * s.plane()..][..s.plane()];
                im2col(g, s, plane, 0..s.rows(), &mut col[i * pixels..], wide);
            }
            Ok(())
        })?;
        gemm(s.o, taps, wide, Matrix::rows(from, wide), Matrix::rows(col, wide).t(), dw, taps, block > 0, true);
    }
    Ok(())
}
