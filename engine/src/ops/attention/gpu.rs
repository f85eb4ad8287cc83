//! Attention on a GPU: see `shaders/attention.wgsl` and `shaders/attention_grad.wgsl`.

use super::{Scores, Sizes};
use crate::graph::kernel::{GpuOperand, Launch, Launches, Read, Write};
use crate::ops::spread;
use crate::shape::Layout;

/// Where an operand `[B, H, L, D]` begins, and its strides, as `Params` want them.
fn strides(layout: &Layout) -> [u32; 5] {
    let s = &layout.strides;
    [layout.offset as u32, s[0] as u32, s[1] as u32, s[2] as u32, s[3] as u32]
}

/// Rows can be read in aligned 4-vectors.
fn vectors(layout: &Layout) -> bool {
    let s = &layout.strides;
    layout.shape[3] % 4 == 0 && s[3] == 1 && layout.offset % 4 == 0 && s[..3].iter().all(|s| s % 4 == 0)
}

/// Room for a row in private memory, in 4-vectors: three classes, or `None` for what does not fit.
fn room(features: usize) -> Option<u32> {
    [16, 32, 64].into_iter().find(|&r| features <= 4 * r as usize)
}

pub(super) fn forward(scores: &Scores, x: &[GpuOperand<'_>]) -> Option<Launches> {
    let [q, k, v] = [x[0].layout, x[1].layout, x[2].layout];
    let z = Sizes::new(&q.shape, &k.shape, &v.shape)?;
    let mask = x.get(3);
    let (qk4, v4) = (vectors(q) && vectors(k), vectors(v));
    let tiles_l = z.l.div_ceil(4);
    let tiles = z.b * z.h * tiles_l;
    let mut params: Vec<u32> = [tiles, tiles_l, z.h, z.h / z.g, z.l, z.s, z.d, z.e].map(|n| n as u32).into();
    for operand in [q, k, v] {
        params.extend(strides(operand));
    }
    params.extend(mask.map_or([0; 5], |m| strides(m.layout)));
    params.extend([(scores.scale as f32).to_bits(), (z.b * z.h * z.l * z.e) as u32]);
    let [gx, gy] = spread(tiles.div_ceil(64));
    let launch = Launch {
        shader: "attention",
        consts: vec![
            ("E4", room(z.e)?),
            ("CAUSAL", scores.causal as u32),
            ("MASK", mask.is_some() as u32),
            ("QK4", qk4 as u32),
            ("V4", v4 as u32),
        ],
        reads: vec![
            Read { vec4: qk4, ..Read::input("query", 0) },
            Read { vec4: qk4, ..Read::input("key", 1) },
            Read { vec4: v4, ..Read::input("value", 2) },
            // Without a mask the name stands for anything: it is never read.
            if mask.is_some() { Read::input("mask", 3) } else { Read { vec4: qk4, ..Read::input("mask", 0) } },
        ],
        write: Write::Output,
        params,
        patches: vec![],
        groups: [gx as u32, gy as u32, 1],
    };
    Some(Launches { launches: vec![launch], scratch: vec![] })
}

pub(super) fn query_grad(scores: &Scores, x: &[GpuOperand<'_>]) -> Option<Launches> {
    backward(scores, x, false)
}

pub(super) fn key_grad(scores: &Scores, x: &[GpuOperand<'_>]) -> Option<Launches> {
    backward(scores, x, true)
}

fn backward(scores: &Scores, x: &[GpuOperand<'_>], keys: bool) -> Option<Launches> {
    let z = Sizes::new(&x[0].layout.shape, &x[1].layout.shape, &x[2].layout.shape)?;
    let mask = x.get(6);
    // (query, dy) and (key, value): the own side and the other one.
    let (own, other) = if keys { ([1, 2], [0, 3]) } else { ([0, 3], [1, 2]) };
    let group = z.h / z.g;
    let (heads, n, others) = if keys { (z.g, z.s, z.l) } else { (z.h, z.l, z.s) };
    let (times, divide, repeat) = if keys { (group, 1, group) } else { (1, group, 1) };
    let tiles_n = n.div_ceil(4);
    let tiles = z.b * heads * tiles_n;
    let vec4 = (0..4).all(|i| vectors(x[i].layout));
    let mut params: Vec<u32> = [tiles, tiles_n, heads, times, divide, repeat, n, others, z.h, z.l, z.d, z.e].map(|n| n as u32).into();
    for i in own.into_iter().chain(other) {
        params.extend(strides(x[i].layout));
    }
    params.extend(mask.map_or([0; 5], |m| strides(m.layout)));
    params.extend([(scores.scale as f32).to_bits(), (z.b * z.g * z.s * z.d) as u32]);
    let read = |name: &'static str, i: usize| Read { vec4, ..Read::input(name, i) };
    let [gx, gy] = spread(tiles.div_ceil(64));
    let (d4, e4) = (room(z.d)?, room(z.e)?);
    let launch = |first: bool, second: bool| Launch {
        shader: "attention_grad",
        consts: vec![
            ("KEYS", keys as u32),
            ("FIRST", first as u32),
            ("SECOND", second as u32),
            ("D4", d4),
            ("E4", e4),
            ("CAUSAL", scores.causal as u32),
            ("MASK", mask.is_some() as u32),
            ("VEC4", vec4 as u32),
        ],
        reads: vec![
            read("own", own[0]),
            read("own_second", own[1]),
            read("other", other[0]),
            read("other_second", other[1]),
            Read::input("logs", 4),
            Read::input("delta", 5),
            if mask.is_some() { Read::input("mask", 6) } else { read("mask", own[0]) },
        ],
        write: Write::Output,
        params: params.clone(),
        patches: vec![],
        groups: [gx as u32, gy as u32, 1],
    };
    let launches = match keys {
        false => vec![launch(true, false)],
        true if d4 + e4 <= 64 => vec![launch(true, true)],
        true => vec![launch(true, false), launch(false, true)],
    };
    Some(Launches { launches, scratch: vec![] })
}
