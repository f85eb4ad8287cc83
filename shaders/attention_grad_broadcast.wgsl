// The gradients of attention_broadcast.wgsl, without the matrix of scores: of the queries (KEYS = 0), or of keys and
// values together (KEYS = 1). What is computed, and from what, says attention_grad.wgsl; how, attention_broadcast.wgsl:
//
// a subgroup makes 32 rows of its own side (queries, or keys), lane l those from 4l on, one in each component of its vectors, and
// walks through the other side 16 rows at a time. First the products of both pairs, each with one vector for a row of
// the other side: d0 to d15 of the first pair, c0 to c15 of the second. Then four rows of the other side at a time their
// probabilities, the gradients of their scores, and what these add to the columns of both gradients: x0 to x63 of the first, y0
// to y63 of the second.
//
// Prelude: KEYS, FIRST, SECOND (1: makes the first, the second gradient), WIDE (1, 2: columns of each that a subgroup makes, in 32s; more
// lie along the grid's z), CAUSAL, MASK (0, 1).

@group(1) @binding(0) var<uniform> p: AttentionGradParams;

// Probabilities of the lane's rows with row o of the other side, from their products; 0 where hidden, or past the end.
fn probability(dots: vec4<f32>, rows: vec4<u32>, o: u32, mask_base: u32, l: vec4<f32>) -> vec4<f32> {
    var s = dots * p.scale;
    let other_row = each_u32(o);
    let q = select(rows, other_row, KEYS == 1u);
    let k = select(other_row, rows, KEYS == 1u);
    if MASK == 1u {
        let i = mask_base + min(q, each_u32(p.q_rows - 1u)) * p.m_row + min(k, each_u32(select(p.others, p.n, KEYS == 1u) - 1u)) * p.m_col;
        s += vec4<f32>(mask(i.x), mask(i.y), mask(i.z), mask(i.w));
    }
    var hidden = (s <= vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST)) | (other_row >= each_u32(p.others));
    if CAUSAL == 1u {
        hidden = hidden | (k > q);
    }
    return select(exp(s - l), ZERO, hidden);
}

fn each_u32(v: u32) -> vec4<u32> {
    return vec4<u32>(v, v, v, v);
}

fn each(v: f32) -> vec4<f32> {
    return vec4<f32>(v, v, v, v);
}

// One column of the lane's rows, as many as there are; `at` is where the first of them begins.
fn put(at: u32, size: u32, col: u32, count: u32, v: vec4<f32>) {
    if col >= size {
        return;
    }
    let i = at + col;
    if count > 0u { store(i, v.x); }
    if count > 1u { store(i + size, v.y); }
    if count > 2u { store(i + 2u * size, v.z); }
    if count > 3u { store(i + 3u * size, v.w); }
}

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
    let head = tile / p.tiles_n;
    let top = (tile - head * p.tiles_n) * 32u;
    let row = top + lane * 4u;
    let b = head / p.heads;
    let h = head - b * p.heads;
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u));
    let a_rows = p.a_at + b * p.a_b + h * p.a_h + rows * p.a_row;
    let a2_rows = p.a2_at + b * p.a2_b + h * p.a2_h + rows * p.a2_row;
    // The lane's columns of both pairs, in 4-vectors.
    let col = group.z * WIDE * 8u + lane;
    let last_d = (p.d - 1u) >> 2u;
    let last_e = (p.e - 1u) >> 2u;
    let last = p.others - 1u;

    var x0 = ZERO; var x1 = ZERO; var x2 = ZERO; var x3 = ZERO; var x4 = ZERO; var x5 = ZERO; var x6 = ZERO; var x7 = ZERO;
    var x8 = ZERO; var x9 = ZERO; var x10 = ZERO; var x11 = ZERO; var x12 = ZERO; var x13 = ZERO; var x14 = ZERO; var x15 = ZERO;
    var x16 = ZERO; var x17 = ZERO; var x18 = ZERO; var x19 = ZERO; var x20 = ZERO; var x21 = ZERO; var x22 = ZERO; var x23 = ZERO;
    var x24 = ZERO; var x25 = ZERO; var x26 = ZERO; var x27 = ZERO; var x28 = ZERO; var x29 = ZERO; var x30 = ZERO; var x31 = ZERO;
    var x32 = ZERO; var x33 = ZERO; var x34 = ZERO; var x35 = ZERO; var x36 = ZERO; var x37 = ZERO; var x38 = ZERO; var x39 = ZERO;
    var x40 = ZERO; var x41 = ZERO; var x42 = ZERO; var x43 = ZERO; var x44 = ZERO; var x45 = ZERO; var x46 = ZERO; var x47 = ZERO;
    var x48 = ZERO; var x49 = ZERO; var x50 = ZERO; var x51 = ZERO; var x52 = ZERO; var x53 = ZERO; var x54 = ZERO; var x55 = ZERO;
    var x56 = ZERO; var x57 = ZERO; var x58 = ZERO; var x59 = ZERO; var x60 = ZERO; var x61 = ZERO; var x62 = ZERO; var x63 = ZERO;
    var y0 = ZERO; var y1 = ZERO; var y2 = ZERO; var y3 = ZERO; var y4 = ZERO; var y5 = ZERO; var y6 = ZERO; var y7 = ZERO;
    var y8 = ZERO; var y9 = ZERO; var y10 = ZERO; var y11 = ZERO; var y12 = ZERO; var y13 = ZERO; var y14 = ZERO; var y15 = ZERO;
    var y16 = ZERO; var y17 = ZERO; var y18 = ZERO; var y19 = ZERO; var y20 = ZERO; var y21 = ZERO; var y22 = ZERO; var y23 = ZERO;
    var y24 = ZERO; var y25 = ZERO; var y26 = ZERO; var y27 = ZERO; var y28 = ZERO; var y29 = ZERO; var y30 = ZERO; var y31 = ZERO;
    var y32 = ZERO; var y33 = ZERO; var y34 = ZERO; var y35 = ZERO; var y36 = ZERO; var y37 = ZERO; var y38 = ZERO; var y39 = ZERO;
    var y40 = ZERO; var y41 = ZERO; var y42 = ZERO; var y43 = ZERO; var y44 = ZERO; var y45 = ZERO; var y46 = ZERO; var y47 = ZERO;
    var y48 = ZERO; var y49 = ZERO; var y50 = ZERO; var y51 = ZERO; var y52 = ZERO; var y53 = ZERO; var y54 = ZERO; var y55 = ZERO;
    var y56 = ZERO; var y57 = ZERO; var y58 = ZERO; var y59 = ZERO; var y60 = ZERO; var y61 = ZERO; var y62 = ZERO; var y63 = ZERO;

    var begin = 0u;
    var end = p.others;
    if CAUSAL == 1u {
        if KEYS == 1u {
            begin = top;
        } else {
            end = min(end, top + 32u);
        }
    }
    end = at_run_time(end, groups);
    let repeat = at_run_time(p.repeat, groups);
    for (var turn = 0u; turn < repeat; turn += 1u) {
        let oh = h * p.times / p.group + turn;
        let qh = select(h, oh, KEYS == 1u);
        let b_base = p.b_at + b * p.b_b + oh * p.b_h;
        let b2_base = p.b2_at + b * p.b2_b + oh * p.b2_h;
        let mask_base = p.m_at + b * p.m_b + qh * p.m_h;
        let stats = (b * p.q_heads + qh) * p.q_rows;
        var own_logs = ZERO;
        var own_delta = ZERO;
        if KEYS == 0u {
            own_logs = vec4<f32>(logs(stats + rows.x), logs(stats + rows.y), logs(stats + rows.z), logs(stats + rows.w));
            own_delta = vec4<f32>(delta(stats + rows.x), delta(stats + rows.y), delta(stats + rows.z), delta(stats + rows.w));
        }
        for (var start = begin; start < end; start += 16u) {
            let own_row = start + lane * 2u;
            let others = min(vec2<u32>(own_row, own_row + 1u), vec2<u32>(last, last));
            let b_rows = b_base + others * p.b_row;
            let b2_rows = b2_base + others * p.b2_row;
            var s: vec4<f32>;
            var c0 = ZERO; var c1 = ZERO; var c2 = ZERO; var c3 = ZERO; var c4 = ZERO; var c5 = ZERO; var c6 = ZERO; var c7 = ZERO;
            var c8 = ZERO; var c9 = ZERO; var c10 = ZERO; var c11 = ZERO; var c12 = ZERO; var c13 = ZERO; var c14 = ZERO; var c15 = ZERO;
            var d0 = ZERO; var d1 = ZERO; var d2 = ZERO; var d3 = ZERO; var d4 = ZERO; var d5 = ZERO; var d6 = ZERO; var d7 = ZERO;
            var d8 = ZERO; var d9 = ZERO; var d10 = ZERO; var d11 = ZERO; var d12 = ZERO; var d13 = ZERO; var d14 = ZERO; var d15 = ZERO;
            // One copy of the product serves both pairs.
            let pairs = at_run_time(2u, groups);
            for (var pair = 0u; pair < pairs; pair += 1u) {
                d0 = c0; d1 = c1; d2 = c2; d3 = c3; d4 = c4; d5 = c5; d6 = c6; d7 = c7;
                d8 = c8; d9 = c9; d10 = c10; d11 = c11; d12 = c12; d13 = c13; d14 = c14; d15 = c15;
                c0 = ZERO; c1 = ZERO; c2 = ZERO; c3 = ZERO; c4 = ZERO; c5 = ZERO; c6 = ZERO; c7 = ZERO;
                c8 = ZERO; c9 = ZERO; c10 = ZERO; c11 = ZERO; c12 = ZERO; c13 = ZERO; c14 = ZERO; c15 = ZERO;
                let steps = at_run_time((select(p.e, p.d, pair == 0u) + 3u) >> 2u, groups);
                for (var i = 0u; i < steps; i += 1u) {
                    var r0: vec4<f32>; var r1: vec4<f32>;
                    var t0: vec4<f32>; var t1: vec4<f32>; var t2: vec4<f32>; var t3: vec4<f32>;
                    if pair == 0u {
                        r0 = b_vec(b_rows.x, i);
                        r1 = b_vec(b_rows.y, i);
                        t0 = a_vec(a_rows.x, i);
                        t1 = a_vec(a_rows.y, i);
                        t2 = a_vec(a_rows.z, i);
                        t3 = a_vec(a_rows.w, i);
                    } else {
                        r0 = b2_vec(b2_rows.x, i);
                        r1 = b2_vec(b2_rows.y, i);
                        t0 = a2_vec(a2_rows.x, i);
                        t1 = a2_vec(a2_rows.y, i);
                        t2 = a2_vec(a2_rows.z, i);
                        t3 = a2_vec(a2_rows.w, i);
                    }
                    let b0 = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
                    let b1 = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
                    let b2 = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
                    let b3 = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
                    s = subgroupBroadcast(r0, 0u); c0 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 0u); c1 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 1u); c2 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 1u); c3 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 2u); c4 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 2u); c5 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 3u); c6 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 3u); c7 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 4u); c8 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 4u); c9 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 5u); c10 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 5u); c11 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 6u); c12 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 6u); c13 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r0, 7u); c14 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                    s = subgroupBroadcast(r1, 7u); c15 += s.x * b0 + s.y * b1 + s.z * b2 + s.w * b3;
                }
            }

            let tile_end = at_run_time(start + 16u, groups);
            for (var o = start; o < tile_end; o += 4u) {
                let o0 = min(o, last);
                let o1 = min(o + 1u, last);
                let o2 = min(o + 2u, last);
                let o3 = min(o + 3u, last);
                var l0 = own_logs;
                var l1 = own_logs;
                var l2 = own_logs;
                var l3 = own_logs;
                var delta0 = own_delta;
                var delta1 = own_delta;
                var delta2 = own_delta;
                var delta3 = own_delta;
                if KEYS == 1u {
                    l0 = each(logs(stats + o0));
                    l1 = each(logs(stats + o1));
                    l2 = each(logs(stats + o2));
                    l3 = each(logs(stats + o3));
                    delta0 = each(delta(stats + o0));
                    delta1 = each(delta(stats + o1));
                    delta2 = each(delta(stats + o2));
                    delta3 = each(delta(stats + o3));
                }
                let p0 = probability(d0, rows, o, mask_base, l0);
                let p1 = probability(d1, rows, o + 1u, mask_base, l1);
                let p2 = probability(d2, rows, o + 2u, mask_base, l2);
                let p3 = probability(d3, rows, o + 3u, mask_base, l3);
                var v0: vec4<f32>; var v1: vec4<f32>; var v2: vec4<f32>; var v3: vec4<f32>;
                var r0: vec4<f32>; var r1: vec4<f32>; var r2: vec4<f32>; var r3: vec4<f32>;
                if FIRST == 1u {
                    let g0 = p0 * (c0 - delta0) * p.scale;
                    let g1 = p1 * (c1 - delta1) * p.scale;
                    let g2 = p2 * (c2 - delta2) * p.scale;
                    let g3 = p3 * (c3 - delta3) * p.scale;
                    v0 = b_vec(b_base + o0 * p.b_row, min(col, last_d));
                    v1 = b_vec(b_base + o1 * p.b_row, min(col, last_d));
                    v2 = b_vec(b_base + o2 * p.b_row, min(col, last_d));
                    v3 = b_vec(b_base + o3 * p.b_row, min(col, last_d));
                    r0 = subgroupBroadcast(v0, 0u); r1 = subgroupBroadcast(v1, 0u); r2 = subgroupBroadcast(v2, 0u); r3 = subgroupBroadcast(v3, 0u);
                    x0 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x1 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x2 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x3 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 1u); r1 = subgroupBroadcast(v1, 1u); r2 = subgroupBroadcast(v2, 1u); r3 = subgroupBroadcast(v3, 1u);
                    x4 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x5 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x6 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x7 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 2u); r1 = subgroupBroadcast(v1, 2u); r2 = subgroupBroadcast(v2, 2u); r3 = subgroupBroadcast(v3, 2u);
                    x8 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x9 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x10 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x11 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 3u); r1 = subgroupBroadcast(v1, 3u); r2 = subgroupBroadcast(v2, 3u); r3 = subgroupBroadcast(v3, 3u);
                    x12 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x13 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x14 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x15 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 4u); r1 = subgroupBroadcast(v1, 4u); r2 = subgroupBroadcast(v2, 4u); r3 = subgroupBroadcast(v3, 4u);
                    x16 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x17 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x18 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x19 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 5u); r1 = subgroupBroadcast(v1, 5u); r2 = subgroupBroadcast(v2, 5u); r3 = subgroupBroadcast(v3, 5u);
                    x20 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x21 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x22 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x23 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 6u); r1 = subgroupBroadcast(v1, 6u); r2 = subgroupBroadcast(v2, 6u); r3 = subgroupBroadcast(v3, 6u);
                    x24 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x25 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x26 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x27 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    r0 = subgroupBroadcast(v0, 7u); r1 = subgroupBroadcast(v1, 7u); r2 = subgroupBroadcast(v2, 7u); r3 = subgroupBroadcast(v3, 7u);
                    x28 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                    x29 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                    x30 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                    x31 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    if WIDE == 2u {
                        v0 = b_vec(b_base + o0 * p.b_row, min(col + 8u, last_d));
                        v1 = b_vec(b_base + o1 * p.b_row, min(col + 8u, last_d));
                        v2 = b_vec(b_base + o2 * p.b_row, min(col + 8u, last_d));
                        v3 = b_vec(b_base + o3 * p.b_row, min(col + 8u, last_d));
                        r0 = subgroupBroadcast(v0, 0u); r1 = subgroupBroadcast(v1, 0u); r2 = subgroupBroadcast(v2, 0u); r3 = subgroupBroadcast(v3, 0u);
                        x32 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x33 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x34 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x35 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 1u); r1 = subgroupBroadcast(v1, 1u); r2 = subgroupBroadcast(v2, 1u); r3 = subgroupBroadcast(v3, 1u);
                        x36 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x37 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x38 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x39 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 2u); r1 = subgroupBroadcast(v1, 2u); r2 = subgroupBroadcast(v2, 2u); r3 = subgroupBroadcast(v3, 2u);
                        x40 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x41 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x42 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x43 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 3u); r1 = subgroupBroadcast(v1, 3u); r2 = subgroupBroadcast(v2, 3u); r3 = subgroupBroadcast(v3, 3u);
                        x44 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x45 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x46 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x47 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 4u); r1 = subgroupBroadcast(v1, 4u); r2 = subgroupBroadcast(v2, 4u); r3 = subgroupBroadcast(v3, 4u);
                        x48 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x49 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x50 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x51 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 5u); r1 = subgroupBroadcast(v1, 5u); r2 = subgroupBroadcast(v2, 5u); r3 = subgroupBroadcast(v3, 5u);
                        x52 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x53 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x54 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x55 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 6u); r1 = subgroupBroadcast(v1, 6u); r2 = subgroupBroadcast(v2, 6u); r3 = subgroupBroadcast(v3, 6u);
                        x56 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x57 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x58 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x59 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                        r0 = subgroupBroadcast(v0, 7u); r1 = subgroupBroadcast(v1, 7u); r2 = subgroupBroadcast(v2, 7u); r3 = subgroupBroadcast(v3, 7u);
                        x60 += r0.x * g0 + r1.x * g1 + r2.x * g2 + r3.x * g3;
                        x61 += r0.y * g0 + r1.y * g1 + r2.y * g2 + r3.y * g3;
                        x62 += r0.z * g0 + r1.z * g1 + r2.z * g2 + r3.z * g3;
                        x63 += r0.w * g0 + r1.w * g1 + r2.w * g2 + r3.w * g3;
                    }
                }
                if SECOND == 1u {
                    v0 = b2_vec(b2_base + o0 * p.b2_row, min(col, last_e));
                    v1 = b2_vec(b2_base + o1 * p.b2_row, min(col, last_e));
                    v2 = b2_vec(b2_base + o2 * p.b2_row, min(col, last_e));
                    v3 = b2_vec(b2_base + o3 * p.b2_row, min(col, last_e));
                    r0 = subgroupBroadcast(v0, 0u); r1 = subgroupBroadcast(v1, 0u); r2 = subgroupBroadcast(v2, 0u); r3 = subgroupBroadcast(v3, 0u);
                    y0 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y1 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y2 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y3 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 1u); r1 = subgroupBroadcast(v1, 1u); r2 = subgroupBroadcast(v2, 1u); r3 = subgroupBroadcast(v3, 1u);
                    y4 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y5 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y6 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y7 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 2u); r1 = subgroupBroadcast(v1, 2u); r2 = subgroupBroadcast(v2, 2u); r3 = subgroupBroadcast(v3, 2u);
                    y8 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y9 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y10 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y11 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 3u); r1 = subgroupBroadcast(v1, 3u); r2 = subgroupBroadcast(v2, 3u); r3 = subgroupBroadcast(v3, 3u);
                    y12 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y13 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y14 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y15 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 4u); r1 = subgroupBroadcast(v1, 4u); r2 = subgroupBroadcast(v2, 4u); r3 = subgroupBroadcast(v3, 4u);
                    y16 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y17 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y18 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y19 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 5u); r1 = subgroupBroadcast(v1, 5u); r2 = subgroupBroadcast(v2, 5u); r3 = subgroupBroadcast(v3, 5u);
                    y20 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y21 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y22 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y23 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 6u); r1 = subgroupBroadcast(v1, 6u); r2 = subgroupBroadcast(v2, 6u); r3 = subgroupBroadcast(v3, 6u);
                    y24 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y25 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y26 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y27 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    r0 = subgroupBroadcast(v0, 7u); r1 = subgroupBroadcast(v1, 7u); r2 = subgroupBroadcast(v2, 7u); r3 = subgroupBroadcast(v3, 7u);
                    y28 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                    y29 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                    y30 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                    y31 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    if WIDE == 2u {
                        v0 = b2_vec(b2_base + o0 * p.b2_row, min(col + 8u, last_e));
                        v1 = b2_vec(b2_base + o1 * p.b2_row, min(col + 8u, last_e));
                        v2 = b2_vec(b2_base + o2 * p.b2_row, min(col + 8u, last_e));
                        v3 = b2_vec(b2_base + o3 * p.b2_row, min(col + 8u, last_e));
                        r0 = subgroupBroadcast(v0, 0u); r1 = subgroupBroadcast(v1, 0u); r2 = subgroupBroadcast(v2, 0u); r3 = subgroupBroadcast(v3, 0u);
                        y32 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y33 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y34 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y35 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 1u); r1 = subgroupBroadcast(v1, 1u); r2 = subgroupBroadcast(v2, 1u); r3 = subgroupBroadcast(v3, 1u);
                        y36 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y37 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y38 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y39 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 2u); r1 = subgroupBroadcast(v1, 2u); r2 = subgroupBroadcast(v2, 2u); r3 = subgroupBroadcast(v3, 2u);
                        y40 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y41 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y42 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y43 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 3u); r1 = subgroupBroadcast(v1, 3u); r2 = subgroupBroadcast(v2, 3u); r3 = subgroupBroadcast(v3, 3u);
                        y44 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y45 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y46 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y47 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 4u); r1 = subgroupBroadcast(v1, 4u); r2 = subgroupBroadcast(v2, 4u); r3 = subgroupBroadcast(v3, 4u);
                        y48 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y49 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y50 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y51 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 5u); r1 = subgroupBroadcast(v1, 5u); r2 = subgroupBroadcast(v2, 5u); r3 = subgroupBroadcast(v3, 5u);
                        y52 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y53 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y54 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y55 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 6u); r1 = subgroupBroadcast(v1, 6u); r2 = subgroupBroadcast(v2, 6u); r3 = subgroupBroadcast(v3, 6u);
                        y56 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y57 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y58 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y59 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                        r0 = subgroupBroadcast(v0, 7u); r1 = subgroupBroadcast(v1, 7u); r2 = subgroupBroadcast(v2, 7u); r3 = subgroupBroadcast(v3, 7u);
                        y60 += r0.x * p0 + r1.x * p1 + r2.x * p2 + r3.x * p3;
                        y61 += r0.y * p0 + r1.y * p1 + r2.y * p2 + r3.y * p3;
                        y62 += r0.z * p0 + r1.z * p1 + r2.z * p2 + r3.z * p3;
                        y63 += r0.w * p0 + r1.w * p1 + r2.w * p2 + r3.w * p3;
                    }
                }
                d0 = d4; d1 = d5; d2 = d6; d3 = d7; d4 = d8; d5 = d9;
                d6 = d10; d7 = d11; d8 = d12; d9 = d13; d10 = d14; d11 = d15;
                c0 = c4; c1 = c5; c2 = c6; c3 = c7; c4 = c8; c5 = c9;
                c6 = c10; c7 = c11; c8 = c12; c9 = c13; c10 = c14; c11 = c15;
            }
        }
    }

    let at = head * p.n + row;
    let left = group.z * WIDE * 32u;
    let count = max(p.n, row) - row;
    let right = at_run_time(left + WIDE * 32u, groups);
    for (var c = left; c < right; c += 4u) {
        if FIRST == 1u {
            put(at * p.d, p.d, c, count, x0);
            put(at * p.d, p.d, c + 1u, count, x1);
            put(at * p.d, p.d, c + 2u, count, x2);
            put(at * p.d, p.d, c + 3u, count, x3);
            x0 = x4; x1 = x5; x2 = x6; x3 = x7; x4 = x8; x5 = x9;
            x6 = x10; x7 = x11; x8 = x12; x9 = x13; x10 = x14; x11 = x15;
            x12 = x16; x13 = x17; x14 = x18; x15 = x19; x16 = x20; x17 = x21;
            x18 = x22; x19 = x23; x20 = x24; x21 = x25; x22 = x26; x23 = x27;
            x24 = x28; x25 = x29; x26 = x30; x27 = x31; x28 = x32; x29 = x33;
            x30 = x34; x31 = x35; x32 = x36; x33 = x37; x34 = x38; x35 = x39;
            x36 = x40; x37 = x41; x38 = x42; x39 = x43; x40 = x44; x41 = x45;
            x42 = x46; x43 = x47; x44 = x48; x45 = x49; x46 = x50; x47 = x51;
            x48 = x52; x49 = x53; x50 = x54; x51 = x55; x52 = x56; x53 = x57;
            x54 = x58; x55 = x59; x56 = x60; x57 = x61; x58 = x62; x59 = x63;
        }
        if SECOND == 1u {
            put(p.second + at * p.e, p.e, c, count, y0);
            put(p.second + at * p.e, p.e, c + 1u, count, y1);
            put(p.second + at * p.e, p.e, c + 2u, count, y2);
            put(p.second + at * p.e, p.e, c + 3u, count, y3);
            y0 = y4; y1 = y5; y2 = y6; y3 = y7; y4 = y8; y5 = y9;
            y6 = y10; y7 = y11; y8 = y12; y9 = y13; y10 = y14; y11 = y15;
            y12 = y16; y13 = y17; y14 = y18; y15 = y19; y16 = y20; y17 = y21;
            y18 = y22; y19 = y23; y20 = y24; y21 = y25; y22 = y26; y23 = y27;
            y24 = y28; y25 = y29; y26 = y30; y27 = y31; y28 = y32; y29 = y33;
            y30 = y34; y31 = y35; y32 = y36; y33 = y37; y34 = y38; y35 = y39;
            y36 = y40; y37 = y41; y38 = y42; y39 = y43; y40 = y44; y41 = y45;
            y42 = y46; y43 = y47; y44 = y48; y45 = y49; y46 = y50; y47 = y51;
            y48 = y52; y49 = y53; y50 = y54; y51 = y55; y52 = y56; y53 = y57;
            y54 = y58; y55 = y59; y56 = y60; y57 = y61; y58 = y62; y59 = y63;
        }
    }
}
