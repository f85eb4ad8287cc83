//! Convolution on a GPU: one product kernel, told by numbers which of the three it computes. See
//! `shaders/conv_registers.wgsl`; `conv_row.wgsl` is for a single row.

use super::Geometry;
use crate::graph::kernel::{Launch, Launches, Read, Write};
use crate::ops::{Product, SPATIAL, Side, spread, sum_pieces, volume};
use crate::runtime::Adapter;

/// The largest dispatch in one direction.
const MAX_GROUPS: usize = 65535;

/// What the kernel's `Params` say, in the words of the table at its head.
struct Job {
    m: usize,
    n: usize,
    k: usize,
    /// Grid z: `outer * inner + group`.
    outer: usize,
    inner: usize,
    /// Steps of k each `outer` takes; 0: all.
    piece: usize,
    a: usize,
    a_row: usize,
    a_carry: isize,
    a_inner: usize,
    a_outer: usize,
    b: usize,
    b_inner: usize,
    b_outer: usize,
    size: [usize; SPATIAL],
    b_k: usize,
    b_col: usize,
    k_digits: [usize; SPATIAL],
    k_step: [isize; SPATIAL],
    col_digits: [usize; SPATIAL],
    col_step: [usize; SPATIAL],
    origin: [isize; SPATIAL],
    stride: [usize; SPATIAL],
    along_k: bool,
}

impl Job {
    fn launches(&self, adapter: &Adapter, write: impl Fn(bool) -> Write) -> Vec<Launch> {
        let strided = self.stride != [1; SPATIAL];
        // What moves along z, or is larger than one plane.
        let deep = [self.size, self.k_digits, self.col_digits].iter().any(|d| d[0] != 1) || self.origin[0] != 0;
        let row = self.m == 1 && self.piece == 0;
        let broadcast = adapter.software && adapter.subgroups == Some((8, 8)) && self.m >= 24 && self.n >= 24;
        let out4 = self.n % 4 == 0 && matches!(write(true), Write::Output4);
        let mut consts = vec![("DEEP", deep as u32), ("STRIDED", strided as u32), ("OUT4", out4 as u32)];
        if !adapter.software && !row {
            consts.push(("ALONG_K", self.along_k as u32));
        }
        let k_digits @ [k_deep, k_high, k_low] = self.k_digits.map(|d| d.max(1));
        let jump = [16 / k_low / k_high / k_deep, 16 / k_low / k_high % k_deep, 16 / k_low % k_high, 16 % k_low];
        let launch = |first: [usize; 2], z0: usize, groups: [usize; 3]| {
            let mut params: Vec<u32> = [self.m, self.n, self.k, first[0], first[1], z0, self.inner, self.piece].map(|v| v as u32).into();
            params.extend([0, self.a_row as u32, self.a_carry as u32, self.a_inner as u32, self.a_outer as u32]);
            params.extend([0, self.b_inner as u32, self.b_outer as u32]);
            params.extend(self.size.map(|v| v as u32));
            params.extend([self.b_k as u32, self.b_col as u32]);
            params.extend(k_digits.map(|v| v as u32));
            params.extend(self.k_step.map(|v| v as u32));
            params.extend(self.col_digits.map(|v| v.max(1) as u32));
            params.extend(self.col_step.map(|v| v as u32));
            params.extend(self.origin.map(|v| v as u32));
            params.extend(self.stride.map(|v| v as u32));
            params.extend(self.stride.map(|v| (1.0 / v as f32).to_bits()));
            params.extend(jump.map(|v| v as u32));
            Launch {
                shader: match (adapter.software, broadcast) {
                    _ if row => "conv_row",
                    (true, true) => "conv_broadcast",
                    (true, false) => "conv_registers",
                    _ => "conv_shared",
                },
                consts: consts.clone(),
                reads: vec![Read::input("a", self.a), Read::input("b", self.b)],
                write: write(out4),
                params,
                patches: vec![],
                groups: groups.map(|g| g as u32),
            }
        };
        let batch = self.outer * self.inner;
        let mut launches = Vec::new();
        for z0 in (0..batch).step_by(MAX_GROUPS) {
            let nz = (batch - z0).min(MAX_GROUPS);
            if adapter.software || row {
                // A tile is a thread's, or a subgroup's.
                let (side, each) = match (row, broadcast) {
                    (true, _) => (4, 64),
                    (_, true) => (32, 8),
                    _ => (8, 64),
                };
                let tiles_n = self.n.div_ceil(side);
                let tiles = tiles_n * self.m.div_ceil(side);
                let [gx, gy] = spread(tiles.div_ceil(each));
                launches.push(launch([tiles_n, tiles], z0, [gx, gy, nz]));
                continue;
            }
            for row in (0..self.m).step_by(MAX_GROUPS * 64) {
                for col in (0..self.n).step_by(MAX_GROUPS * 64) {
                    let tiles = |first: usize, size: usize| (size - first).min(MAX_GROUPS * 64).div_ceil(64);
                    launches.push(launch([col, row], z0, [tiles(col, self.n), tiles(row, self.m), nz]));
                }
            }
        }
        launches
    }
}

fn output(four: bool) -> Write {
    if four { Write::Output4 } else { Write::Output }
}

/// Elements of one channel.
fn product(shape: &[usize]) -> usize {
    shape[2..].iter().product()
}

/// A kernel of one pixel that moves by one: the convolution is a product.
fn pointwise(g: &Geometry, w: &[usize]) -> bool {
    w[2..].iter().all(|&k| k == 1) && g.stride == [1; SPATIAL] && g.padding == [0; SPATIAL]
}

pub(super) fn forward(g: &Geometry, x: &[usize], w: &[usize], y: &[usize], adapter: &Adapter) -> Option<Launches> {
    let (c, o, taps) = (w[1], w[0] / g.groups, product(w));
    let (plane, pixels) = (product(x), product(y));
    if pointwise(g, w) {
        let product = Product {
            m: o,
            n: pixels,
            k: c,
            batch: [x[0], g.groups].into_iter().collect(),
            a: Side { input: 1, at: 0, row: c as isize, col: 1, batch: [0, (o * c) as isize].into_iter().collect() },
            b: Side {
                input: 0,
                at: 0,
                row: plane as isize,
                col: 1,
                batch: [(x[1] * plane) as isize, (c * plane) as isize].into_iter().collect(),
            },
        };
        return product.launches(adapter, false);
    }
    let job = Job {
        m: o,
        n: pixels,
        k: c * taps,
        outer: x[0],
        inner: g.groups,
        piece: 0,
        a: 1,
        a_row: c * taps,
        a_carry: 0,
        a_inner: o * c * taps,
        a_outer: 0,
        b: 0,
        b_inner: c * plane,
        b_outer: x[1] * plane,
        size: volume(x),
        b_k: plane,
        b_col: 0,
        k_digits: volume(w),
        k_step: g.dilation.map(|d| d as isize),
        // The slowest digit of a pixel does not exist.
        col_digits: volume(y),
        col_step: g.stride,
        origin: g.padding.map(|p| -(p as isize)),
        stride: [1; SPATIAL],
        along_k: false,
    };
    adapter.allows_rounds(job.k + 8).then(|| Launches { launches: job.launches(adapter, output), scratch: vec![] })
}

pub(super) fn input_grad(g: &Geometry, dy: &[usize], w: &[usize], dx: &[usize], adapter: &Adapter) -> Option<Launches> {
    let (c, o, taps) = (w[1], w[0] / g.groups, product(w));
    let (plane, pixels) = (product(dx), product(dy));
    if pointwise(g, w) && plane == pixels {
        let product = Product {
            m: c,
            n: pixels,
            k: o,
            batch: [dy[0], g.groups].into_iter().collect(),
            a: Side { input: 1, at: 0, row: 1, col: c as isize, batch: [0, (o * c) as isize].into_iter().collect() },
            b: Side {
                input: 0,
                at: 0,
                row: pixels as isize,
                col: 1,
                batch: [(dy[1] * pixels) as isize, (o * pixels) as isize].into_iter().collect(),
            },
        };
        return product.launches(adapter, false);
    }
    let job = Job {
        m: c,
        n: plane,
        k: o * taps,
        outer: dy[0],
        inner: g.groups,
        piece: 0,
        a: 1,
        a_row: taps,
        // From the last tap of one output channel to the first of the next.
        a_carry: (c * taps) as isize - taps as isize,
        a_inner: o * c * taps,
        a_outer: 0,
        b: 0,
        b_inner: o * pixels,
        b_outer: dy[1] * pixels,
        size: volume(dy),
        b_k: pixels,
        b_col: 0,
        k_digits: volume(w),
        k_step: g.dilation.map(|d| -(d as isize)),
        col_digits: volume(dx),
        col_step: [1; SPATIAL],
        origin: g.padding.map(|p| p as isize),
        stride: g.stride,
        along_k: false,
    };
    adapter.allows_rounds(job.k + 8).then(|| Launches { launches: job.launches(adapter, output), scratch: vec![] })
}

/// The sum over all pixels of all images is long and the result small: it is cut into pieces that are computed side by
/// side into scratch memory and added up in order by a second kernel.
pub(super) fn weight_grad(g: &Geometry, x: &[usize], dy: &[usize], dw: &[usize], adapter: &Adapter) -> Option<Launches> {
    let (c, o, taps) = (dw[1], dw[0] / g.groups, product(dw));
    let (plane, pixels) = (product(x), product(dy));
    let (m, n, k) = (o, c * taps, x[0] * pixels);
    let len = g.groups * m * n;
    // Enough tiles to fill the machine, but steps enough to pay for the second kernel, and not too much memory.
    let (tile, wanted) = if adapter.software { (8, 256) } else { (64, 512) };
    let tiles = m.div_ceil(tile) * n.div_ceil(tile) * g.groups;
    let memory = (16 << 20) / (4 * len.max(1));
    let pieces = (wanted / tiles.max(1)).min(k / 256).min(memory).clamp(1, 256);
    // A piece has to be short enough for one invocation: see `Adapter::allows_rounds`.
    let pieces = if adapter.software { pieces.max(k.div_ceil(1 << 15)) } else { pieces };
    let piece = k.div_ceil(pieces).next_multiple_of(16).max(16);
    let pieces = k.div_ceil(piece).max(1);
    let job = Job {
        m,
        n,
        k,
        outer: pieces,
        inner: g.groups,
        piece,
        a: 1,
        a_row: pixels,
        a_carry: (dy[1] * pixels) as isize - pixels as isize,
        a_inner: o * pixels,
        a_outer: 0,
        b: 0,
        b_inner: c * plane,
        b_outer: 0,
        size: volume(x),
        b_k: x[1] * plane,
        b_col: plane,
        k_digits: volume(dy),
        k_step: g.stride.map(|s| s as isize),
        col_digits: volume(dw),
        col_step: g.dilation,
        origin: g.padding.map(|p| -(p as isize)),
        stride: [1; SPATIAL],
        along_k: true,
    };
    let mut launches = job.launches(adapter, |_| Write::Scratch(0));
    launches.push(sum_pieces(len, pieces));
    Some(Launches { launches, scratch: vec![pieces * len] })
}
