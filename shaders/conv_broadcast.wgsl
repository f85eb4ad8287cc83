// Convolution, its input gradient and its weight gradient for adapters that run on the CPU and have subgroups of eight: the
// product that conv_registers.wgsl describes, in tiles of 32x32.
//
// A subgroup makes a tile, as in matmul_broadcast.wgsl: lane l reads rows 4l .. 4l + 3 of `a`, its own four columns of the
// image, and takes the other rows by broadcasts. For 32 rows each element of the image is looked up once, which is the
// dear part: its place follows from both digits of k and col.
//
// Prelude: as in conv_registers.wgsl.

@group(1) @binding(0) var<uniform> p: ConvParams;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let tile = (group.y * groups.x + group.x) * 8u + subgroup;
    if tile >= p.tiles {
        return;
    }
    let tile_row = tile / p.tiles_n;
    let row = tile_row * 32u;
    let col = (tile - tile_row * p.tiles_n) * 32u + lane * 4u;
    let z = p.z0 + group.z;
    let outer = z / p.inner;
    let inner = z - outer * p.inner;

    // Columns past the edge repeat the last one.
    let cols = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u));
    let col_q = cols / p.c_low;
    let col_r = col_q / p.c_high;
    var col_top = col_r;
    if DEEP == 1u {
        col_top = col_r / p.c_deep;
    }
    let x = (cols - col_q * p.c_low) * p.start_x + p.origin_x;
    let y = (col_q - col_r * p.c_high) * p.start_y + p.origin_y;
    let deep_z = (col_r - col_top * p.c_deep) * p.start_z + p.origin_z;

    // The digits of the first step.
    let begin = outer * p.piece;
    let end = min(begin + select(p.k, p.piece, p.piece > 0u), p.k);
    let q = begin / p.k_low;
    var low = begin - q * p.k_low;
    let rest = q / p.k_high;
    var k_top = rest;
    if DEEP == 1u {
        k_top = rest / p.k_deep;
    }
    var deep = rest - k_top * p.k_deep;
    var high = q - rest * p.k_high;
    var step_z = deep * p.step_z;
    var step_y = high * p.step_y;
    var step_x = low * p.step_x;
    var bt = col_top * p.b_col + p.b_at + inner * p.b_inner + outer * p.b_outer + k_top * p.b_k;

    let a_base = p.a_at + inner * p.a_inner + outer * p.a_outer + begin + k_top * p.a_carry;
    let own_row = row + lane * 4u;
    let end_row = p.m - 1u;
    let i0 = a_base + min(own_row, end_row) * p.a_row;
    let i1 = a_base + min(own_row + 1u, end_row) * p.a_row;
    let i2 = a_base + min(own_row + 2u, end_row) * p.a_row;
    let i3 = a_base + min(own_row + 3u, end_row) * p.a_row;
    var ka = 0u;

    var c0 = ZERO;    var c1 = ZERO;    var c2 = ZERO;    var c3 = ZERO;
    var c4 = ZERO;    var c5 = ZERO;    var c6 = ZERO;    var c7 = ZERO;
    var c8 = ZERO;    var c9 = ZERO;    var c10 = ZERO;    var c11 = ZERO;
    var c12 = ZERO;    var c13 = ZERO;    var c14 = ZERO;    var c15 = ZERO;
    var c16 = ZERO;    var c17 = ZERO;    var c18 = ZERO;    var c19 = ZERO;
    var c20 = ZERO;    var c21 = ZERO;    var c22 = ZERO;    var c23 = ZERO;
    var c24 = ZERO;    var c25 = ZERO;    var c26 = ZERO;    var c27 = ZERO;
    var c28 = ZERO;    var c29 = ZERO;    var c30 = ZERO;    var c31 = ZERO;

    for (var k = begin; k < end; k += 1u) {
        let v = image_at(bt, deep_z + step_z, y + step_y, x + step_x);
        let own = vec4<f32>(a(i0 + ka), a(i1 + ka), a(i2 + ka), a(i3 + ka));
        var s: vec4<f32>;
        s = subgroupBroadcast(own, 0u); c0 += s.x * v; c1 += s.y * v; c2 += s.z * v; c3 += s.w * v;
        s = subgroupBroadcast(own, 1u); c4 += s.x * v; c5 += s.y * v; c6 += s.z * v; c7 += s.w * v;
        s = subgroupBroadcast(own, 2u); c8 += s.x * v; c9 += s.y * v; c10 += s.z * v; c11 += s.w * v;
        s = subgroupBroadcast(own, 3u); c12 += s.x * v; c13 += s.y * v; c14 += s.z * v; c15 += s.w * v;
        s = subgroupBroadcast(own, 4u); c16 += s.x * v; c17 += s.y * v; c18 += s.z * v; c19 += s.w * v;
        s = subgroupBroadcast(own, 5u); c20 += s.x * v; c21 += s.y * v; c22 += s.z * v; c23 += s.w * v;
        s = subgroupBroadcast(own, 6u); c24 += s.x * v; c25 += s.y * v; c26 += s.z * v; c27 += s.w * v;
        s = subgroupBroadcast(own, 7u); c28 += s.x * v; c29 += s.y * v; c30 += s.z * v; c31 += s.w * v;

        ka += 1u;
        low += 1u;
        step_x += p.step_x;
        if low == p.k_low {
            low = 0u;
            step_x = 0u;
            high += 1u;
            step_y += p.step_y;
            if high == p.k_high {
                high = 0u;
                step_y = 0u;
                deep += 1u;
                step_z += p.step_z;
                if DEEP == 0u || deep == p.k_deep {
                    deep = 0u;
                    step_z = 0u;
                    ka += p.a_carry;
                    bt += p.b_k;
                }
            }
        }
    }

    // Two copies of what happens to a row, in a loop: a driver takes longer to compile 32 of them than the product to run.
    let base = z * p.m * p.n;
    let last_row = at_run_time(row + 32u, groups);
    for (var r = row; r < last_row; r += 2u) {
        put_columns(base, r, col, c0);
        put_columns(base, r + 1u, col, c1);
        c0 = c2; c1 = c3; c2 = c4; c3 = c5; c4 = c6; c5 = c7; c6 = c8; c7 = c9; c8 = c10; c9 = c11;
        c10 = c12; c11 = c13; c12 = c14; c13 = c15; c14 = c16; c15 = c17; c16 = c18; c17 = c19; c18 = c20; c19 = c21;
        c20 = c22; c21 = c23; c22 = c24; c23 = c25; c24 = c26; c25 = c27; c26 = c28; c27 = c29; c28 = c30; c29 = c31;
    }
}
