// Matrix product for adapters that run on the CPU and have subgroups of eight: out[z, r, c] = sum_k a[z, r, k] * b[z, k, c].
//
// A subgroup makes a 32x32 tile: lane l loads rows 4l .. 4l + 3 of `a` and columns 4l .. 4l + 3 of `b`, four steps of k at a
// time, keeps all 32 rows of its own four columns in named registers, and takes the rows of the other lanes by
// broadcasts. On such an adapter a subgroup is one vector register: a broadcast costs a fraction of a multiplication, a
// load as much as 13 of them, so each loaded number is used 32 times. No workgroup memory, no barriers.
// Rows and columns past the edge repeat the last one and are not stored.
//
// Prelude: as in matmul_registers.wgsl.

@group(1) @binding(0) var<uniform> p: ProductParams;

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
    let starts = batch_starts(z);
    let at = starts.x;
    let bt = starts.y;

    let end_row = p.m - 1u;
    let own = row + lane * 4u;
    var at0 = at + min(own, end_row) * p.a_row;
    let at1 = at + min(own + 1u, end_row) * p.a_row;
    let at2 = at + min(own + 2u, end_row) * p.a_row;
    let at3 = at + min(own + 3u, end_row) * p.a_row;
    if A_CLASS == 1u {
        at0 = at + min(own, p.m - 4u) * p.a_row;
    }
    let end_col = vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u);
    let cols = vec4<u32>(col, col + 1u, col + 2u, col + 3u);
    var bt4 = vec4<u32>(bt, bt, bt, bt) + min(cols, end_col) * p.b_col;
    if B_CLASS == 1u {
        bt4.x = bt + min(col, p.n - 4u) * p.b_col;
    }

    var c0 = ZERO;    var c1 = ZERO;    var c2 = ZERO;    var c3 = ZERO;
    var c4 = ZERO;    var c5 = ZERO;    var c6 = ZERO;    var c7 = ZERO;
    var c8 = ZERO;    var c9 = ZERO;    var c10 = ZERO;    var c11 = ZERO;
    var c12 = ZERO;    var c13 = ZERO;    var c14 = ZERO;    var c15 = ZERO;
    var c16 = ZERO;    var c17 = ZERO;    var c18 = ZERO;    var c19 = ZERO;
    var c20 = ZERO;    var c21 = ZERO;    var c22 = ZERO;    var c23 = ZERO;
    var c24 = ZERO;    var c25 = ZERO;    var c26 = ZERO;    var c27 = ZERO;
    var c28 = ZERO;    var c29 = ZERO;    var c30 = ZERO;    var c31 = ZERO;

    let end = at_run_time(p.k, groups);
    for (var k = 0u; k < end; k += 4u) {
        var r0: vec4<f32>; var r1: vec4<f32>; var r2: vec4<f32>; var r3: vec4<f32>;
        if A_CLASS == 1u {
            let t0 = a_rows_at(at0, k);
            let t1 = a_rows_at(at0, k + 1u);
            let t2 = a_rows_at(at0, k + 2u);
            let t3 = a_rows_at(at0, k + 3u);
            r0 = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
            r1 = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
            r2 = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
            r3 = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
        } else {
            r0 = a_row_at(at0, k);
            r1 = a_row_at(at1, k);
            r2 = a_row_at(at2, k);
            r3 = a_row_at(at3, k);
        }

        var b0: vec4<f32>; var b1: vec4<f32>; var b2: vec4<f32>; var b3: vec4<f32>;
        if B_CLASS == 2u {
            let t0 = b4((bt4.x + k) >> 2u);
            let t1 = b4((bt4.y + k) >> 2u);
            let t2 = b4((bt4.z + k) >> 2u);
            let t3 = b4((bt4.w + k) >> 2u);
            b0 = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
            b1 = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
            b2 = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
            b3 = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
        } else {
            b0 = b_cols_at(bt4, k);
            b1 = b_cols_at(bt4, k + 1u);
            b2 = b_cols_at(bt4, k + 2u);
            b3 = b_cols_at(bt4, k + 3u);
        }

        var s: vec4<f32>;
        s = subgroupBroadcast(r0, 0u); c0 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 0u); c1 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 0u); c2 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 0u); c3 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 1u); c4 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 1u); c5 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 1u); c6 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 1u); c7 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 2u); c8 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 2u); c9 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 2u); c10 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 2u); c11 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 3u); c12 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 3u); c13 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 3u); c14 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 3u); c15 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 4u); c16 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 4u); c17 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 4u); c18 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 4u); c19 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 5u); c20 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 5u); c21 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 5u); c22 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 5u); c23 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 6u); c24 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 6u); c25 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 6u); c26 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 6u); c27 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r0, 7u); c28 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r1, 7u); c29 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r2, 7u); c30 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
        s = subgroupBroadcast(r3, 7u); c31 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
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
