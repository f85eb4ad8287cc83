//! Attention on a GPU: see `shaders/attention.wgsl` and `shaders/attention_grad.wgsl`, and their twins: `*_broadcast.wgsl` for
//! software adapters with subgroups of eight, `*_shared.wgsl` for hardware.

use super::{Scores, Sizes};
use crate::graph::kernel::{GpuOperand, Launch, Launches, Read, Write};
use crate::ops::spread;
use crate::runtime::Adapter;
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

/// Room for a row in private memory: three classes, in 4-vectors or blocks of 64; `None` for what does not fit.
fn room(features: usize, unit: usize) -> Option<u32> {
    [64, 128, 256].into_iter().find(|&r| features <= r).map(|r| (r / unit) as u32)
}

/// Which of the three kernels runs, named by what makes a tile of the result.
#[derive(Clone, Copy, PartialEq)]
enum Tile {
    Thread,
    Subgroup,
    Workgroup,
}

impl Tile {
    fn new(adapter: &Adapter, rows: usize, z: &Sizes) -> Tile {
        match (adapter.software, adapter.subgroups) {
            (false, _) => Tile::Workgroup,
            // A single row would leave a subgroup's tile empty, and rows without features have no column to load.
            (true, Some((8, 8))) if rows > 1 && z.d > 0 && z.e > 0 => Tile::Subgroup,
            (true, _) => Tile::Thread,
        }
    }

    fn shader(self, [thread, subgroup, workgroup]: [&'static str; 3]) -> &'static str {
        match self {
            Tile::Thread => thread,
            Tile::Subgroup => subgroup,
            Tile::Workgroup => workgroup,
        }
    }

    /// How the result's rows are cut: tiles of a head, all tiles, and the grid. `wide` columns that no one tile makes
    /// lie along z.
    fn grid(self, heads: usize, rows: usize, wide: usize) -> (usize, usize, [u32; 3]) {
        let (per_tile, per_group) = match self {
            Tile::Thread => (4, 64),
            Tile::Subgroup => (32, 8),
            Tile::Workgroup => (64, 1),
        };
        let tiles = rows.div_ceil(per_tile);
        let all = heads * tiles;
        let [x, y] = spread(all.div_ceil(per_group));
        let z = if self == Tile::Subgroup { wide.div_ceil(64) } else { 1 };
        (tiles, all, [x as u32, y as u32, z as u32])
    }
}

/// Blocks of 32 columns that a subgroup makes.
fn blocks(features: usize) -> u32 {
    if features <= 32 { 1 } else { 2 }
}

pub(super) fn forward(scores: &Scores, x: &[GpuOperand<'_>], adapter: &Adapter) -> Option<Launches> {
    let [q, k, v] = [x[0].layout, x[1].layout, x[2].layout];
    let z = Sizes::new(&q.shape, &k.shape, &v.shape)?;
    let mask = x.get(3);
    let (qk4, v4) = (vectors(q) && vectors(k), vectors(v));
    let (d4, e4) = (z.d.div_ceil(4), z.e.div_ceil(4));
    if !adapter.allows_rounds(z.s.div_ceil(4) * (1 + d4 + e4) + 5 * e4) {
        return None;
    }
    let tile = Tile::new(adapter, z.l, &z);
    let (tiles_l, tiles, groups) = tile.grid(z.b * z.h, z.l, z.e);
    let mut params: Vec<u32> = [tiles, tiles_l, z.h, z.h / z.g, z.l, z.s, z.d, z.e].map(|n| n as u32).into();
    for operand in [q, k, v] {
        params.extend(strides(operand));
    }
    params.extend(mask.map_or([0; 5], |m| strides(m.layout)));
    params.extend([(scores.scale as f32).to_bits(), (z.b * z.h * z.l * z.e) as u32]);
    let mut consts = vec![("CAUSAL", scores.causal as u32), ("MASK", mask.is_some() as u32)];
    match tile {
        Tile::Thread => consts.extend([("E4", room(z.e, 4)?), ("V4", v4 as u32)]),
        Tile::Subgroup => consts.push(("WIDE", blocks(z.e))),
        Tile::Workgroup => consts.extend([("WIDE", room(z.e, 64)?), ("V4", v4 as u32)]),
    }
    let launch = Launch {
        shader: tile.shader(["attention", "attention_broadcast", "attention_shared"]),
        consts,
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
        groups,
    };
    Some(Launches { launches: vec![launch], scratch: vec![] })
}

pub(super) fn query_grad(scores: &Scores, x: &[GpuOperand<'_>], adapter: &Adapter) -> Option<Launches> {
    backward(scores, x, adapter, false)
}

pub(super) fn key_grad(scores: &Scores, x: &[GpuOperand<'_>], adapter: &Adapter) -> Option<Launches> {
    backward(scores, x, adapter, true)
}

fn backward(scores: &Scores, x: &[GpuOperand<'_>], adapter: &Adapter, keys: bool) -> Option<Launches> {
    let z = Sizes::new(&x[0].layout.shape, &x[1].layout.shape, &x[2].layout.shape)?;
    let mask = x.get(6);
    // (query, dy) and (key, value): the own side and the other one.
    let (own, other) = if keys { ([1, 2], [0, 3]) } else { ([0, 3], [1, 2]) };
    let group = z.h / z.g;
    let (heads, n, others) = if keys { (z.g, z.s, z.l) } else { (z.h, z.l, z.s) };
    let (times, divide, repeat) = if keys { (group, 1, group) } else { (1, group, 1) };
    let all = z.d.div_ceil(4) + z.e.div_ceil(4);
    if !adapter.allows_rounds(repeat * others.div_ceil(4) * (1 + 2 * all) + 9 * all) {
        return None;
    }
    let tile = Tile::new(adapter, n, &z);
    let wide = if keys { z.d.max(z.e) } else { z.d };
    let (tiles_n, tiles, groups) = tile.grid(z.b * heads, n, wide);
    let vec4 = (0..4).all(|i| vectors(x[i].layout));
    let mut params: Vec<u32> = [tiles, tiles_n, heads, times, divide, repeat, n, others, z.h, z.l, z.d, z.e].map(|n| n as u32).into();
    for i in own.into_iter().chain(other) {
        params.extend(strides(x[i].layout));
    }
    params.extend(mask.map_or([0; 5], |m| strides(m.layout)));
    params.extend([(scores.scale as f32).to_bits(), (z.b * z.g * z.s * z.d) as u32]);
    let read = |name: &'static str, i: usize| Read { vec4, ..Read::input(name, i) };
    let (rooms, together) = match tile {
        Tile::Subgroup => (vec![("WIDE", blocks(wide))], true),
        // Rows of both gradients lie in private memory, of which there is room for 256 columns.
        _ => {
            let (unit, [d, e]) = if tile == Tile::Thread { (4, ["D4", "E4"]) } else { (64, ["D64", "E64"]) };
            let (room_d, room_e) = (room(z.d, unit)?, room(z.e, unit)?);
            let mut rooms = vec![(d, room_d), (e, room_e)];
            if tile == Tile::Workgroup {
                rooms.push(("VEC4", vec4 as u32));
            }
            (rooms, room_d as usize + room_e as usize <= 256 / unit)
        }
    };
    let launch = |first: bool, second: bool| Launch {
        shader: tile.shader(["attention_grad", "attention_grad_broadcast", "attention_grad_shared"]),
        consts: [("KEYS", keys as u32), ("FIRST", first as u32), ("SECOND", second as u32)]
            .into_iter()
            .chain(rooms.iter().copied())
            .chain([("CAUSAL", scores.causal as u32), ("MASK", mask.is_some() as u32)])
            .collect(),
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
        groups,
    };
    let launches = match keys {
        false => vec![launch(true, false)],
        true if together => vec![launch(true, true)],
        true => vec![launch(true, false), launch(false, true)],
    };
    Some(Launches { launches, scratch: vec![] })
}
