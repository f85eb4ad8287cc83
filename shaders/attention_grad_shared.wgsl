// The gradients of attention for GPUs: of the queries (KEYS = 0), or of keys and values together (KEYS = 1). What is
// summed is said in attention_grad.wgsl.
//
// A workgroup of 128 threads makes 64 rows of its own side and walks through the other side 32 rows at a time. Each
// thread has 4x4 of the tile's products of the first and of the second pair in registers, added up over the features 16
// at a time through workgroup memory; probabilities and gradients of scores go through workgroup memory to the threads that
// add up 4x8 of every 64 columns of the gradients. 15 KiB of workgroup memory.
//
// Prelude: KEYS, FIRST, SECOND (1: makes the first, the second gradient), D64, E64 (blocks of 64 columns the first, the
// second gradient has room for), CAUSAL, MASK (0, 1), VEC4 (1: all four are read in 4-vectors).

@group(1) @binding(0) var<uniform> p: AttentionGradParams;

const PITCH = 17u;
const OTHER_PITCH = 9u;

// By feature: 4 own rows to a vector. Then by row of the other side: 4 of its columns.
var<workgroup> tile_a: array<vec4<f32>, 272>;
// By feature: 4 rows of the other side to a vector.
var<workgroup> tile_b: array<vec4<f32>, 144>;
// By row of the other side: 4 own rows' probabilities, or gradients of scores.
var<workgroup> tile_p: array<vec4<f32>, 544>;

fn own_if(ok: bool, i: u32) -> f32 {
    if ok { return own(i); }
    return 0.0;
}

fn own_second_if(ok: bool, i: u32) -> f32 {
    if ok { return own_second(i); }
    return 0.0;
}

fn other_if(ok: bool, i: u32) -> f32 {
    if ok { return other(i); }
    return 0.0;
}

fn other_second_if(ok: bool, i: u32) -> f32 {
    if ok { return other_second(i); }
    return 0.0;
}

// One feature of four rows of each operand.
fn load_own(base: u32, row: u32, c: u32) -> vec4<f32> {
    let i = base + row * p.a_row + c * p.a_col;
    let ok = c < p.d;
    return vec4<f32>(
        own_if(ok && row < p.n, i),
        own_if(ok && row + 1u < p.n, i + p.a_row),
        own_if(ok && row + 2u < p.n, i + 2u * p.a_row),
        own_if(ok && row + 3u < p.n, i + 3u * p.a_row));
}

fn load_own_second(base: u32, row: u32, c: u32) -> vec4<f32> {
    let i = base + row * p.a2_row + c * p.a2_col;
    let ok = c < p.e;
    return vec4<f32>(
        own_second_if(ok && row < p.n, i),
        own_second_if(ok && row + 1u < p.n, i + p.a2_row),
        own_second_if(ok && row + 2u < p.n, i + 2u * p.a2_row),
        own_second_if(ok && row + 3u < p.n, i + 3u * p.a2_row));
}

fn load_other(base: u32, row: u32, c: u32) -> vec4<f32> {
    let i = base + row * p.b_row + c * p.b_col;
    let ok = c < p.d;
    return vec4<f32>(
        other_if(ok && row < p.others, i),
        other_if(ok && row + 1u < p.others, i + p.b_row),
        other_if(ok && row + 2u < p.others, i + 2u * p.b_row),
        other_if(ok && row + 3u < p.others, i + 3u * p.b_row));
}

fn load_other_second(base: u32, row: u32, c: u32) -> vec4<f32> {
    let i = base + row * p.b2_row + c * p.b2_col;
    let ok = c < p.e;
    return vec4<f32>(
        other_second_if(ok && row < p.others, i),
        other_second_if(ok && row + 1u < p.others, i + p.b2_row),
        other_second_if(ok && row + 2u < p.others, i + 2u * p.b2_row),
        other_second_if(ok && row + 3u < p.others, i + 3u * p.b2_row));
}

// Four columns of one row of the other side.
fn other_row(base: u32, row: u32, col: u32) -> vec4<f32> {
    if row >= p.others || col >= p.d {
        return ZERO;
    }
    let i = base + row * p.b_row + col * p.b_col;
    if VEC4 == 1u {
        return other4(i >> 2u);
    }
    return vec4<f32>(
        other(i),
        other_if(col + 1u < p.d, i + p.b_col),
        other_if(col + 2u < p.d, i + 2u * p.b_col),
        other_if(col + 3u < p.d, i + 3u * p.b_col));
}

fn other_second_row(base: u32, row: u32, col: u32) -> vec4<f32> {
    if row >= p.others || col >= p.e {
        return ZERO;
    }
    let i = base + row * p.b2_row + col * p.b2_col;
    if VEC4 == 1u {
        return other_second4(i >> 2u);
    }
    return vec4<f32>(
        other_second(i),
        other_second_if(col + 1u < p.e, i + p.b2_col),
        other_second_if(col + 2u < p.e, i + 2u * p.b2_col),
        other_second_if(col + 3u < p.e, i + 3u * p.b2_col));
}

fn put(at: u32, size: u32, row: u32, col: u32, v: vec4<f32>) {
    if row >= p.n || col >= size {
        return;
    }
    let i = at + row * size + col;
    store(i, v.x);
    if col + 1u < size { store(i + 1u, v.y); }
    if col + 2u < size { store(i + 2u, v.z); }
    if col + 3u < size { store(i + 3u, v.w); }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.y * groups.x + group.x;
    if tile >= p.tiles {
        return;
    }
    let head = tile / p.tiles_n;
    let row = (tile - head * p.tiles_n) * 64u;
    let b = head / p.heads;
    let h = head - b * p.heads;
    let a_base = p.a_at + b * p.a_b + h * p.a_h;
    let a2_base = p.a2_at + b * p.a2_b + h * p.a2_h;
    let y = lane >> 3u;
    let x = lane & 7u;
    let mine = row + y * 4u;
    let last = p.n - 1u;
    // (feature, vector of rows) this thread loads, and (row, vector of columns).
    let lc = lane & 15u;
    let lv = lane >> 4u;

    // For each block of 64 columns: 4 rows of vector x, then 4 rows of vector x + 8.
    var first: array<vec4<f32>, D64 * 8u * FIRST + 1u - FIRST>;
    var second: array<vec4<f32>, E64 * 8u * SECOND + 1u - SECOND>;
    for (var i = 0u; i < D64 * 8u * FIRST; i += 1u) {
        first[i] = ZERO;
    }
    for (var i = 0u; i < E64 * 8u * SECOND; i += 1u) {
        second[i] = ZERO;
    }

    var begin = 0u;
    var end = p.others;
    if CAUSAL == 1u {
        if KEYS == 1u {
            begin = row;
        } else {
            end = min(end, row + 64u);
        }
    }
    for (var turn = 0u; turn < p.repeat; turn += 1u) {
        let oh = h * p.times / p.group + turn;
        let qh = select(h, oh, KEYS == 1u);
        let b_base = p.b_at + b * p.b_b + oh * p.b_h;
        let b2_base = p.b2_at + b * p.b2_b + oh * p.b2_h;
        let m_base = p.m_at + b * p.m_b + qh * p.m_h;
        let stats = (b * p.q_heads + qh) * p.q_rows;
        for (var o = begin; o < end; o += 32u) {
            var s0 = ZERO;
            var s1 = ZERO;
            var s2 = ZERO;
            var s3 = ZERO;
            for (var d = 0u; d < p.d; d += 16u) {
                tile_a[lc * PITCH + lv] = load_own(a_base, row + lv * 4u, d + lc);
                tile_a[lc * PITCH + lv + 8u] = load_own(a_base, row + lv * 4u + 32u, d + lc);
                tile_b[lc * OTHER_PITCH + lv] = load_other(b_base, o + lv * 4u, d + lc);
                workgroupBarrier();
                for (var i = 0u; i < 16u; i += 1u) {
                    let u = tile_a[i * PITCH + y];
                    let w = tile_b[i * OTHER_PITCH + x];
                    s0 += u.x * w;
                    s1 += u.y * w;
                    s2 += u.z * w;
                    s3 += u.w * w;
                }
                workgroupBarrier();
            }
            let at_o = o + x * 4u;
            s0 = probabilities(s0, min(mine, last), at_o, m_base, stats);
            s1 = probabilities(s1, min(mine + 1u, last), at_o, m_base, stats);
            s2 = probabilities(s2, min(mine + 2u, last), at_o, m_base, stats);
            s3 = probabilities(s3, min(mine + 3u, last), at_o, m_base, stats);
            let at = x * 4u * PITCH + y;
            if SECOND == 1u {
                tile_p[at] = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
                tile_p[at + PITCH] = vec4<f32>(s0.y, s1.y, s2.y, s3.y);
                tile_p[at + 2u * PITCH] = vec4<f32>(s0.z, s1.z, s2.z, s3.z);
                tile_p[at + 3u * PITCH] = vec4<f32>(s0.w, s1.w, s2.w, s3.w);
                workgroupBarrier();
                for (var block = 0u; block < E64; block += 1u) {
                    var t0 = second[block * 8u];
                    var t1 = second[block * 8u + 1u];
                    var t2 = second[block * 8u + 2u];
                    var t3 = second[block * 8u + 3u];
                    var t4 = second[block * 8u + 4u];
                    var t5 = second[block * 8u + 5u];
                    var t6 = second[block * 8u + 6u];
                    var t7 = second[block * 8u + 7u];
                    for (var half = 0u; half < 32u; half += 16u) {
                        tile_a[lv * PITCH + lc] = other_second_row(b2_base, o + half + lv, block * 64u + lc * 4u);
                        tile_a[(lv + 8u) * PITCH + lc] = other_second_row(b2_base, o + half + lv + 8u, block * 64u + lc * 4u);
                        workgroupBarrier();
                        for (var i = 0u; i < 16u; i += 1u) {
                            let u = tile_p[(half + i) * PITCH + y];
                            let w0 = tile_a[i * PITCH + x];
                            let w1 = tile_a[i * PITCH + x + 8u];
                            t0 += u.x * w0;
                            t1 += u.y * w0;
                            t2 += u.z * w0;
                            t3 += u.w * w0;
                            t4 += u.x * w1;
                            t5 += u.y * w1;
                            t6 += u.z * w1;
                            t7 += u.w * w1;
                        }
                        workgroupBarrier();
                    }
                    second[block * 8u] = t0;
                    second[block * 8u + 1u] = t1;
                    second[block * 8u + 2u] = t2;
                    second[block * 8u + 3u] = t3;
                    second[block * 8u + 4u] = t4;
                    second[block * 8u + 5u] = t5;
                    second[block * 8u + 6u] = t6;
                    second[block * 8u + 7u] = t7;
                }
            }
            if FIRST == 1u {
                var g0 = ZERO;
                var g1 = ZERO;
                var g2 = ZERO;
                var g3 = ZERO;
                for (var e = 0u; e < p.e; e += 16u) {
                    tile_a[lc * PITCH + lv] = load_own_second(a2_base, row + lv * 4u, e + lc);
                    tile_a[lc * PITCH + lv + 8u] = load_own_second(a2_base, row + lv * 4u + 32u, e + lc);
                    tile_b[lc * OTHER_PITCH + lv] = load_other_second(b2_base, o + lv * 4u, e + lc);
                    workgroupBarrier();
                    for (var i = 0u; i < 16u; i += 1u) {
                        let u = tile_a[i * PITCH + y];
                        let w = tile_b[i * OTHER_PITCH + x];
                        g0 += u.x * w;
                        g1 += u.y * w;
                        g2 += u.z * w;
                        g3 += u.w * w;
                    }
                    workgroupBarrier();
                }
                g0 = score_grads(s0, g0, min(mine, last), at_o, stats);
                g1 = score_grads(s1, g1, min(mine + 1u, last), at_o, stats);
                g2 = score_grads(s2, g2, min(mine + 2u, last), at_o, stats);
                g3 = score_grads(s3, g3, min(mine + 3u, last), at_o, stats);
                tile_p[at] = vec4<f32>(g0.x, g1.x, g2.x, g3.x);
                tile_p[at + PITCH] = vec4<f32>(g0.y, g1.y, g2.y, g3.y);
                tile_p[at + 2u * PITCH] = vec4<f32>(g0.z, g1.z, g2.z, g3.z);
                tile_p[at + 3u * PITCH] = vec4<f32>(g0.w, g1.w, g2.w, g3.w);
                workgroupBarrier();
                for (var block = 0u; block < D64; block += 1u) {
                    var t0 = first[block * 8u];
                    var t1 = first[block * 8u + 1u];
                    var t2 = first[block * 8u + 2u];
                    var t3 = first[block * 8u + 3u];
                    var t4 = first[block * 8u + 4u];
                    var t5 = first[block * 8u + 5u];
                    var t6 = first[block * 8u + 6u];
                    var t7 = first[block * 8u + 7u];
                    for (var half = 0u; half < 32u; half += 16u) {
                        tile_a[lv * PITCH + lc] = other_row(b_base, o + half + lv, block * 64u + lc * 4u);
                        tile_a[(lv + 8u) * PITCH + lc] = other_row(b_base, o + half + lv + 8u, block * 64u + lc * 4u);
                        workgroupBarrier();
                        for (var i = 0u; i < 16u; i += 1u) {
                            let u = tile_p[(half + i) * PITCH + y];
                            let w0 = tile_a[i * PITCH + x];
                            let w1 = tile_a[i * PITCH + x + 8u];
                            t0 += u.x * w0;
                            t1 += u.y * w0;
                            t2 += u.z * w0;
                            t3 += u.w * w0;
                            t4 += u.x * w1;
                            t5 += u.y * w1;
                            t6 += u.z * w1;
                            t7 += u.w * w1;
                        }
                        workgroupBarrier();
                    }
                    first[block * 8u] = t0;
                    first[block * 8u + 1u] = t1;
                    first[block * 8u + 2u] = t2;
                    first[block * 8u + 3u] = t3;
                    first[block * 8u + 4u] = t4;
                    first[block * 8u + 5u] = t5;
                    first[block * 8u + 6u] = t6;
                    first[block * 8u + 7u] = t7;
                }
            }
        }
    }

    if FIRST == 1u {
        for (var block = 0u; block < D64; block += 1u) {
            for (var r = 0u; r < 4u; r += 1u) {
                put(head * p.n * p.d, p.d, mine + r, block * 64u + x * 4u, first[block * 8u + r]);
                put(head * p.n * p.d, p.d, mine + r, block * 64u + 32u + x * 4u, first[block * 8u + 4u + r]);
            }
        }
    }
    if SECOND == 1u {
        for (var block = 0u; block < E64; block += 1u) {
            for (var r = 0u; r < 4u; r += 1u) {
                put(p.second + head * p.n * p.e, p.e, mine + r, block * 64u + x * 4u, second[block * 8u + r]);
                put(p.second + head * p.n * p.e, p.e, mine + r, block * 64u + 32u + x * 4u, second[block * 8u + 4u + r]);
            }
        }
    }
}
