// Attention for adapters that run on the CPU and have subgroups of eight: softmax(query key^T * scale + mask) value, and the
// logarithm of each row's sum, without the matrix of scores.
//
// A subgroup makes 32 rows of the result, 32 * WIDE columns of them, and walks through the keys 32 at a time. Lane l has
// rows 4l .. 4l + 3, one in each component of its vectors. The scores of a key with the lane's rows are one vector, c0 to c31 for the
// 32 keys; each lane loads four of the keys and the others take them by broadcasts (see matmul_broadcast.wgsl). So the maximum and
// the sum of a row (online softmax) are the lane's own business. Then the scores wait in private memory for their
// key's values, of which each lane loads four columns: y0 to y63 are columns of the result. No workgroup memory, no barriers.
//
// What lies past an edge repeats the last row or key and is not stored, or hidden. A score of LOWEST or less counts as
// nothing, so a row that sees no key gives zeros.
//
// Prelude: WIDE (1, 2: columns a subgroup makes, in 32s; more lie along the grid's z), CAUSAL, MASK (0, 1), QK4 (1: queries and keys
// are read in 4-vectors), V4 (1: values are).

struct Params {
    tiles: u32, tiles_l: u32, heads: u32, group: u32,
    l: u32, s: u32, d: u32, e: u32,
    q_at: u32, q_b: u32, q_h: u32, q_row: u32, q_col: u32,
    k_at: u32, k_b: u32, k_h: u32, k_row: u32, k_col: u32,
    v_at: u32, v_b: u32, v_h: u32, v_row: u32, v_col: u32,
    m_at: u32, m_b: u32, m_h: u32, m_row: u32, m_col: u32,
    scale: f32,
    // Where the sums begin in the result.
    sums: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

const ZERO = vec4<f32>(0.0, 0.0, 0.0, 0.0);
const LOWEST = -3.0e38;

// Elements 4c .. 4c+3 of the query row that starts at `at`; zeros past its end.
fn q_vec(at: u32, c: u32) -> vec4<f32> {
    if QK4 == 1u {
        return query4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = query(at + i * p.q_col);
    if i + 1u < p.d { v.y = query(at + (i + 1u) * p.q_col); }
    if i + 2u < p.d { v.z = query(at + (i + 2u) * p.q_col); }
    if i + 3u < p.d { v.w = query(at + (i + 3u) * p.q_col); }
    return v;
}

fn k_vec(at: u32, c: u32) -> vec4<f32> {
    if QK4 == 1u {
        return key4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = key(at + i * p.k_col);
    if i + 1u < p.d { v.y = key(at + (i + 1u) * p.k_col); }
    if i + 2u < p.d { v.z = key(at + (i + 2u) * p.k_col); }
    if i + 3u < p.d { v.w = key(at + (i + 3u) * p.k_col); }
    return v;
}

fn v_vec(at: u32, c: u32) -> vec4<f32> {
    if V4 == 1u {
        return value4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = value(at + i * p.v_col);
    if i + 1u < p.e { v.y = value(at + (i + 1u) * p.v_col); }
    if i + 2u < p.e { v.z = value(at + (i + 2u) * p.v_col); }
    if i + 3u < p.e { v.w = value(at + (i + 3u) * p.v_col); }
    return v;
}

// Scores of the lane's rows with one key from their products; what is hidden is below LOWEST.
fn masked(dots: vec4<f32>, rows: vec4<u32>, mask_rows: vec4<u32>, key: u32) -> vec4<f32> {
    var s = dots * p.scale;
    if MASK == 1u {
        let i = mask_rows + min(key, p.s - 1u) * p.m_col;
        s += vec4<f32>(mask(i.x), mask(i.y), mask(i.z), mask(i.w));
    }
    var end = vec4<u32>(p.s, p.s, p.s, p.s);
    if CAUSAL == 1u {
        end = min(end, rows + 1u);
    }
    return select(vec4<f32>(-3.4e38, -3.4e38, -3.4e38, -3.4e38), s, vec4<u32>(key, key, key, key) < end);
}

// One column of the lane's rows; `at` is its place in the first of them.
fn put(at: u32, col: u32, count: u32, v: vec4<f32>) {
    if col >= p.e {
        return;
    }
    let i = at + col;
    if count > 0u { store(i, v.x); }
    if count > 1u { store(i + p.e, v.y); }
    if count > 2u { store(i + 2u * p.e, v.z); }
    if count > 3u { store(i + 3u * p.e, v.w); }
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
    let head = tile / p.tiles_l;
    let top = (tile - head * p.tiles_l) * 32u;
    let row = top + lane * 4u;
    let b = head / p.heads;
    let h = head - b * p.heads;
    let g = h / p.group;
    let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(p.l - 1u, p.l - 1u, p.l - 1u, p.l - 1u));
    let q_rows = p.q_at + b * p.q_b + h * p.q_h + rows * p.q_row;
    let mask_rows = p.m_at + b * p.m_b + h * p.m_h + rows * p.m_row;
    let k_base = p.k_at + b * p.k_b + g * p.k_h;
    let v_base = p.v_at + b * p.v_b + g * p.v_h;
    let d4 = at_run_time((p.d + 3u) >> 2u, groups);
    // The lane's columns of the values, in 4-vectors.
    let last_col = (p.e - 1u) >> 2u;
    let col = group.z * WIDE * 8u + lane;

    var y0 = ZERO; var y1 = ZERO; var y2 = ZERO; var y3 = ZERO; var y4 = ZERO; var y5 = ZERO; var y6 = ZERO; var y7 = ZERO;
    var y8 = ZERO; var y9 = ZERO; var y10 = ZERO; var y11 = ZERO; var y12 = ZERO; var y13 = ZERO; var y14 = ZERO; var y15 = ZERO;
    var y16 = ZERO; var y17 = ZERO; var y18 = ZERO; var y19 = ZERO; var y20 = ZERO; var y21 = ZERO; var y22 = ZERO; var y23 = ZERO;
    var y24 = ZERO; var y25 = ZERO; var y26 = ZERO; var y27 = ZERO; var y28 = ZERO; var y29 = ZERO; var y30 = ZERO; var y31 = ZERO;
    var y32 = ZERO; var y33 = ZERO; var y34 = ZERO; var y35 = ZERO; var y36 = ZERO; var y37 = ZERO; var y38 = ZERO; var y39 = ZERO;
    var y40 = ZERO; var y41 = ZERO; var y42 = ZERO; var y43 = ZERO; var y44 = ZERO; var y45 = ZERO; var y46 = ZERO; var y47 = ZERO;
    var y48 = ZERO; var y49 = ZERO; var y50 = ZERO; var y51 = ZERO; var y52 = ZERO; var y53 = ZERO; var y54 = ZERO; var y55 = ZERO;
    var y56 = ZERO; var y57 = ZERO; var y58 = ZERO; var y59 = ZERO; var y60 = ZERO; var y61 = ZERO; var y62 = ZERO; var y63 = ZERO;
    var most = vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST);
    var sums = ZERO;
    var scores: array<vec4<f32>, 32>;

    var end = p.s;
    if CAUSAL == 1u {
        end = min(end, top + 32u);
    }
    end = at_run_time(end, groups);
    let last_key = p.s - 1u;
    for (var first = 0u; first < end; first += 32u) {
        let own = first + lane * 4u;
        let k0 = k_base + min(own, last_key) * p.k_row;
        let k1 = k_base + min(own + 1u, last_key) * p.k_row;
        let k2 = k_base + min(own + 2u, last_key) * p.k_row;
        let k3 = k_base + min(own + 3u, last_key) * p.k_row;
        var c0 = ZERO; var c1 = ZERO; var c2 = ZERO; var c3 = ZERO; var c4 = ZERO; var c5 = ZERO; var c6 = ZERO; var c7 = ZERO;
        var c8 = ZERO; var c9 = ZERO; var c10 = ZERO; var c11 = ZERO; var c12 = ZERO; var c13 = ZERO; var c14 = ZERO; var c15 = ZERO;
        var c16 = ZERO; var c17 = ZERO; var c18 = ZERO; var c19 = ZERO; var c20 = ZERO; var c21 = ZERO; var c22 = ZERO; var c23 = ZERO;
        var c24 = ZERO; var c25 = ZERO; var c26 = ZERO; var c27 = ZERO; var c28 = ZERO; var c29 = ZERO; var c30 = ZERO; var c31 = ZERO;
        var s: vec4<f32>;
        for (var i = 0u; i < d4; i += 1u) {
            let r0 = k_vec(k0, i);
            let r1 = k_vec(k1, i);
            let r2 = k_vec(k2, i);
            let r3 = k_vec(k3, i);
            let t0 = q_vec(q_rows.x, i);
            let t1 = q_vec(q_rows.y, i);
            let t2 = q_vec(q_rows.z, i);
            let t3 = q_vec(q_rows.w, i);
            let b0 = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
            let b1 = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
            let b2 = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
            let b3 = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
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

        var next = most;
        c0 = masked(c0, rows, mask_rows, first + 0u); next = max(next, c0); scores[0] = c0;
        c1 = masked(c1, rows, mask_rows, first + 1u); next = max(next, c1); scores[1] = c1;
        c2 = masked(c2, rows, mask_rows, first + 2u); next = max(next, c2); scores[2] = c2;
        c3 = masked(c3, rows, mask_rows, first + 3u); next = max(next, c3); scores[3] = c3;
        c4 = masked(c4, rows, mask_rows, first + 4u); next = max(next, c4); scores[4] = c4;
        c5 = masked(c5, rows, mask_rows, first + 5u); next = max(next, c5); scores[5] = c5;
        c6 = masked(c6, rows, mask_rows, first + 6u); next = max(next, c6); scores[6] = c6;
        c7 = masked(c7, rows, mask_rows, first + 7u); next = max(next, c7); scores[7] = c7;
        c8 = masked(c8, rows, mask_rows, first + 8u); next = max(next, c8); scores[8] = c8;
        c9 = masked(c9, rows, mask_rows, first + 9u); next = max(next, c9); scores[9] = c9;
        c10 = masked(c10, rows, mask_rows, first + 10u); next = max(next, c10); scores[10] = c10;
        c11 = masked(c11, rows, mask_rows, first + 11u); next = max(next, c11); scores[11] = c11;
        c12 = masked(c12, rows, mask_rows, first + 12u); next = max(next, c12); scores[12] = c12;
        c13 = masked(c13, rows, mask_rows, first + 13u); next = max(next, c13); scores[13] = c13;
        c14 = masked(c14, rows, mask_rows, first + 14u); next = max(next, c14); scores[14] = c14;
        c15 = masked(c15, rows, mask_rows, first + 15u); next = max(next, c15); scores[15] = c15;
        c16 = masked(c16, rows, mask_rows, first + 16u); next = max(next, c16); scores[16] = c16;
        c17 = masked(c17, rows, mask_rows, first + 17u); next = max(next, c17); scores[17] = c17;
        c18 = masked(c18, rows, mask_rows, first + 18u); next = max(next, c18); scores[18] = c18;
        c19 = masked(c19, rows, mask_rows, first + 19u); next = max(next, c19); scores[19] = c19;
        c20 = masked(c20, rows, mask_rows, first + 20u); next = max(next, c20); scores[20] = c20;
        c21 = masked(c21, rows, mask_rows, first + 21u); next = max(next, c21); scores[21] = c21;
        c22 = masked(c22, rows, mask_rows, first + 22u); next = max(next, c22); scores[22] = c22;
        c23 = masked(c23, rows, mask_rows, first + 23u); next = max(next, c23); scores[23] = c23;
        c24 = masked(c24, rows, mask_rows, first + 24u); next = max(next, c24); scores[24] = c24;
        c25 = masked(c25, rows, mask_rows, first + 25u); next = max(next, c25); scores[25] = c25;
        c26 = masked(c26, rows, mask_rows, first + 26u); next = max(next, c26); scores[26] = c26;
        c27 = masked(c27, rows, mask_rows, first + 27u); next = max(next, c27); scores[27] = c27;
        c28 = masked(c28, rows, mask_rows, first + 28u); next = max(next, c28); scores[28] = c28;
        c29 = masked(c29, rows, mask_rows, first + 29u); next = max(next, c29); scores[29] = c29;
        c30 = masked(c30, rows, mask_rows, first + 30u); next = max(next, c30); scores[30] = c30;
        c31 = masked(c31, rows, mask_rows, first + 31u); next = max(next, c31); scores[31] = c31;
        let down = exp(most - next);
        most = next;
        sums *= down;
        y0 *= down; y1 *= down; y2 *= down; y3 *= down; y4 *= down; y5 *= down; y6 *= down; y7 *= down;
        y8 *= down; y9 *= down; y10 *= down; y11 *= down; y12 *= down; y13 *= down; y14 *= down; y15 *= down;
        y16 *= down; y17 *= down; y18 *= down; y19 *= down; y20 *= down; y21 *= down; y22 *= down; y23 *= down;
        y24 *= down; y25 *= down; y26 *= down; y27 *= down; y28 *= down; y29 *= down; y30 *= down; y31 *= down;
        if WIDE == 2u {
            y32 *= down; y33 *= down; y34 *= down; y35 *= down; y36 *= down; y37 *= down; y38 *= down; y39 *= down;
            y40 *= down; y41 *= down; y42 *= down; y43 *= down; y44 *= down; y45 *= down; y46 *= down; y47 *= down;
            y48 *= down; y49 *= down; y50 *= down; y51 *= down; y52 *= down; y53 *= down; y54 *= down; y55 *= down;
            y56 *= down; y57 *= down; y58 *= down; y59 *= down; y60 *= down; y61 *= down; y62 *= down; y63 *= down;
        }

        let count = min(end - first, 32u);
        for (var j = 0u; j < count; j += 1u) {
            let score = scores[j];
            let w = select(exp(score - most), ZERO, score <= vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST));
            sums += w;
            let at = v_base + min(first + j, last_key) * p.v_row;
            var v = v_vec(at, min(col, last_col));
            s = subgroupBroadcast(v, 0u); y0 += s.x * w; y1 += s.y * w; y2 += s.z * w; y3 += s.w * w;
            s = subgroupBroadcast(v, 1u); y4 += s.x * w; y5 += s.y * w; y6 += s.z * w; y7 += s.w * w;
            s = subgroupBroadcast(v, 2u); y8 += s.x * w; y9 += s.y * w; y10 += s.z * w; y11 += s.w * w;
            s = subgroupBroadcast(v, 3u); y12 += s.x * w; y13 += s.y * w; y14 += s.z * w; y15 += s.w * w;
            s = subgroupBroadcast(v, 4u); y16 += s.x * w; y17 += s.y * w; y18 += s.z * w; y19 += s.w * w;
            s = subgroupBroadcast(v, 5u); y20 += s.x * w; y21 += s.y * w; y22 += s.z * w; y23 += s.w * w;
            s = subgroupBroadcast(v, 6u); y24 += s.x * w; y25 += s.y * w; y26 += s.z * w; y27 += s.w * w;
            s = subgroupBroadcast(v, 7u); y28 += s.x * w; y29 += s.y * w; y30 += s.z * w; y31 += s.w * w;
            if WIDE == 2u {
                v = v_vec(at, min(col + 8u, last_col));
                s = subgroupBroadcast(v, 0u); y32 += s.x * w; y33 += s.y * w; y34 += s.z * w; y35 += s.w * w;
                s = subgroupBroadcast(v, 1u); y36 += s.x * w; y37 += s.y * w; y38 += s.z * w; y39 += s.w * w;
                s = subgroupBroadcast(v, 2u); y40 += s.x * w; y41 += s.y * w; y42 += s.z * w; y43 += s.w * w;
                s = subgroupBroadcast(v, 3u); y44 += s.x * w; y45 += s.y * w; y46 += s.z * w; y47 += s.w * w;
                s = subgroupBroadcast(v, 4u); y48 += s.x * w; y49 += s.y * w; y50 += s.z * w; y51 += s.w * w;
                s = subgroupBroadcast(v, 5u); y52 += s.x * w; y53 += s.y * w; y54 += s.z * w; y55 += s.w * w;
                s = subgroupBroadcast(v, 6u); y56 += s.x * w; y57 += s.y * w; y58 += s.z * w; y59 += s.w * w;
                s = subgroupBroadcast(v, 7u); y60 += s.x * w; y61 += s.y * w; y62 += s.z * w; y63 += s.w * w;
            }
        }
    }

    let none = sums == ZERO;
    let up = select(1.0 / sums, ZERO, none);
    let at = (head * p.l + row) * p.e;
    let left = group.z * WIDE * 32u;
    let count = max(p.l, row) - row;
    put(at, left + 0u, count, y0 * up); put(at, left + 1u, count, y1 * up);
    put(at, left + 2u, count, y2 * up); put(at, left + 3u, count, y3 * up);
    put(at, left + 4u, count, y4 * up); put(at, left + 5u, count, y5 * up);
    put(at, left + 6u, count, y6 * up); put(at, left + 7u, count, y7 * up);
    put(at, left + 8u, count, y8 * up); put(at, left + 9u, count, y9 * up);
    put(at, left + 10u, count, y10 * up); put(at, left + 11u, count, y11 * up);
    put(at, left + 12u, count, y12 * up); put(at, left + 13u, count, y13 * up);
    put(at, left + 14u, count, y14 * up); put(at, left + 15u, count, y15 * up);
    put(at, left + 16u, count, y16 * up); put(at, left + 17u, count, y17 * up);
    put(at, left + 18u, count, y18 * up); put(at, left + 19u, count, y19 * up);
    put(at, left + 20u, count, y20 * up); put(at, left + 21u, count, y21 * up);
    put(at, left + 22u, count, y22 * up); put(at, left + 23u, count, y23 * up);
    put(at, left + 24u, count, y24 * up); put(at, left + 25u, count, y25 * up);
    put(at, left + 26u, count, y26 * up); put(at, left + 27u, count, y27 * up);
    put(at, left + 28u, count, y28 * up); put(at, left + 29u, count, y29 * up);
    put(at, left + 30u, count, y30 * up); put(at, left + 31u, count, y31 * up);
    if WIDE == 2u {
        put(at, left + 32u, count, y32 * up); put(at, left + 33u, count, y33 * up);
        put(at, left + 34u, count, y34 * up); put(at, left + 35u, count, y35 * up);
        put(at, left + 36u, count, y36 * up); put(at, left + 37u, count, y37 * up);
        put(at, left + 38u, count, y38 * up); put(at, left + 39u, count, y39 * up);
        put(at, left + 40u, count, y40 * up); put(at, left + 41u, count, y41 * up);
        put(at, left + 42u, count, y42 * up); put(at, left + 43u, count, y43 * up);
        put(at, left + 44u, count, y44 * up); put(at, left + 45u, count, y45 * up);
        put(at, left + 46u, count, y46 * up); put(at, left + 47u, count, y47 * up);
        put(at, left + 48u, count, y48 * up); put(at, left + 49u, count, y49 * up);
        put(at, left + 50u, count, y50 * up); put(at, left + 51u, count, y51 * up);
        put(at, left + 52u, count, y52 * up); put(at, left + 53u, count, y53 * up);
        put(at, left + 54u, count, y54 * up); put(at, left + 55u, count, y55 * up);
        put(at, left + 56u, count, y56 * up); put(at, left + 57u, count, y57 * up);
        put(at, left + 58u, count, y58 * up); put(at, left + 59u, count, y59 * up);
        put(at, left + 60u, count, y60 * up); put(at, left + 61u, count, y61 * up);
        put(at, left + 62u, count, y62 * up); put(at, left + 63u, count, y63 * up);
    }
    if group.z > 0u {
        return;
    }
    let logs = select(most + log(sums), ZERO, none);
    let i = p.sums + head * p.l + row;
    if count > 0u { store(i, logs.x); }
    if count > 1u { store(i + 1u, logs.y); }
    if count > 2u { store(i + 2u, logs.z); }
    if count > 3u { store(i + 3u, logs.w); }
}
