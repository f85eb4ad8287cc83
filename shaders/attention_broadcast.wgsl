// Attention for adapters that run on the CPU and have subgroups of eight: softmax(query key^T * scale + mask) value, and the
// logarithm of each row's sum, without the matrix of scores.
//
// A subgroup makes 32 rows of the result, 32 * WIDE columns of them, and walks through the keys 16 at a time. Lane l has
// rows 4l .. 4l + 3, one in each component of its vectors. The scores of a key with the lane's rows are one vector, c0 to c15 for
// the 16 keys; each lane loads two of the keys and the others take them by broadcasts (see matmul_broadcast.wgsl). So the maximum
// and the sum of a row (online softmax) are the lane's own business. Then four keys at a time add to the result, columns y0
// to y63, from values of which each lane loads four columns. Registers move down instead of being indexed: on such an
// adapter an array costs a gather for each access, and seconds of compiling. No workgroup memory, no barriers.
//
// What lies past an edge repeats the last row or key and is not stored, or hidden. A score of LOWEST or less counts as
// nothing, so a row that sees no key gives zeros.
//
// Prelude: WIDE (1, 2: columns a subgroup makes, in 32s; more lie along the grid's z), CAUSAL, MASK (0, 1).

@group(1) @binding(0) var<uniform> p: AttentionParams;

// Scores of the lane's rows with one key; what is hidden is below LOWEST.
fn masked(score: vec4<f32>, rows: vec4<u32>, mask_rows: vec4<u32>, key: u32) -> vec4<f32> {
    var s = score;
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

// exp(s - m), and 0 for what is hidden.
fn weights(s: vec4<f32>, m: vec4<f32>) -> vec4<f32> {
    return select(exp(s - m), ZERO, s <= vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST));
}

// One column of the lane's rows, as many as there are; `at` is where the first of them begins.
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

    var end = p.s;
    if CAUSAL == 1u {
        end = min(end, top + 32u);
    }
    end = at_run_time(end, groups);
    let last_key = p.s - 1u;
    for (var first = 0u; first < end; first += 16u) {
        let own = first + lane * 2u;
        let k0 = k_base + min(own, last_key) * p.k_row;
        let k1 = k_base + min(own + 1u, last_key) * p.k_row;
        var c0 = ZERO; var c1 = ZERO; var c2 = ZERO; var c3 = ZERO; var c4 = ZERO; var c5 = ZERO; var c6 = ZERO; var c7 = ZERO;
        var c8 = ZERO; var c9 = ZERO; var c10 = ZERO; var c11 = ZERO; var c12 = ZERO; var c13 = ZERO; var c14 = ZERO; var c15 = ZERO;
        var s: vec4<f32>;
        for (var i = 0u; i < d4; i += 1u) {
            let r0 = k_vec(k0, i);
            let r1 = k_vec(k1, i);
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
        c0 *= p.scale; c1 *= p.scale; c2 *= p.scale; c3 *= p.scale; c4 *= p.scale; c5 *= p.scale; c6 *= p.scale; c7 *= p.scale;
        c8 *= p.scale; c9 *= p.scale; c10 *= p.scale; c11 *= p.scale; c12 *= p.scale; c13 *= p.scale; c14 *= p.scale; c15 *= p.scale;
        if MASK == 1u || first + 16u > p.s || (CAUSAL == 1u && first + 15u > top) {
            c0 = masked(c0, rows, mask_rows, first + 0u); c1 = masked(c1, rows, mask_rows, first + 1u);
            c2 = masked(c2, rows, mask_rows, first + 2u); c3 = masked(c3, rows, mask_rows, first + 3u);
            c4 = masked(c4, rows, mask_rows, first + 4u); c5 = masked(c5, rows, mask_rows, first + 5u);
            c6 = masked(c6, rows, mask_rows, first + 6u); c7 = masked(c7, rows, mask_rows, first + 7u);
            c8 = masked(c8, rows, mask_rows, first + 8u); c9 = masked(c9, rows, mask_rows, first + 9u);
            c10 = masked(c10, rows, mask_rows, first + 10u); c11 = masked(c11, rows, mask_rows, first + 11u);
            c12 = masked(c12, rows, mask_rows, first + 12u); c13 = masked(c13, rows, mask_rows, first + 13u);
            c14 = masked(c14, rows, mask_rows, first + 14u); c15 = masked(c15, rows, mask_rows, first + 15u);
        }
        var next = most;
        next = max(next, c0); next = max(next, c1); next = max(next, c2); next = max(next, c3);
        next = max(next, c4); next = max(next, c5); next = max(next, c6); next = max(next, c7);
        next = max(next, c8); next = max(next, c9); next = max(next, c10); next = max(next, c11);
        next = max(next, c12); next = max(next, c13); next = max(next, c14); next = max(next, c15);
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

        let tile_end = at_run_time(first + 16u, groups);
        for (var j = first; j < tile_end; j += 4u) {
            let w0 = weights(c0, most);
            let w1 = weights(c1, most);
            let w2 = weights(c2, most);
            let w3 = weights(c3, most);
            sums += (w0 + w1) + (w2 + w3);
            let at0 = v_base + min(j, last_key) * p.v_row;
            let at1 = v_base + min(j + 1u, last_key) * p.v_row;
            let at2 = v_base + min(j + 2u, last_key) * p.v_row;
            let at3 = v_base + min(j + 3u, last_key) * p.v_row;
            var v0 = v_vec(at0, min(col, last_col));
            var v1 = v_vec(at1, min(col, last_col));
            var v2 = v_vec(at2, min(col, last_col));
            var v3 = v_vec(at3, min(col, last_col));
            var r0: vec4<f32>; var r1: vec4<f32>; var r2: vec4<f32>; var r3: vec4<f32>;
            r0 = subgroupBroadcast(v0, 0u); r1 = subgroupBroadcast(v1, 0u); r2 = subgroupBroadcast(v2, 0u); r3 = subgroupBroadcast(v3, 0u);
            y0 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y1 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y2 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y3 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 1u); r1 = subgroupBroadcast(v1, 1u); r2 = subgroupBroadcast(v2, 1u); r3 = subgroupBroadcast(v3, 1u);
            y4 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y5 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y6 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y7 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 2u); r1 = subgroupBroadcast(v1, 2u); r2 = subgroupBroadcast(v2, 2u); r3 = subgroupBroadcast(v3, 2u);
            y8 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y9 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y10 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y11 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 3u); r1 = subgroupBroadcast(v1, 3u); r2 = subgroupBroadcast(v2, 3u); r3 = subgroupBroadcast(v3, 3u);
            y12 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y13 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y14 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y15 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 4u); r1 = subgroupBroadcast(v1, 4u); r2 = subgroupBroadcast(v2, 4u); r3 = subgroupBroadcast(v3, 4u);
            y16 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y17 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y18 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y19 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 5u); r1 = subgroupBroadcast(v1, 5u); r2 = subgroupBroadcast(v2, 5u); r3 = subgroupBroadcast(v3, 5u);
            y20 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y21 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y22 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y23 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 6u); r1 = subgroupBroadcast(v1, 6u); r2 = subgroupBroadcast(v2, 6u); r3 = subgroupBroadcast(v3, 6u);
            y24 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y25 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y26 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y27 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            r0 = subgroupBroadcast(v0, 7u); r1 = subgroupBroadcast(v1, 7u); r2 = subgroupBroadcast(v2, 7u); r3 = subgroupBroadcast(v3, 7u);
            y28 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
            y29 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
            y30 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
            y31 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            if WIDE == 2u {
                v0 = v_vec(at0, min(col + 8u, last_col));
                v1 = v_vec(at1, min(col + 8u, last_col));
                v2 = v_vec(at2, min(col + 8u, last_col));
                v3 = v_vec(at3, min(col + 8u, last_col));
                r0 = subgroupBroadcast(v0, 0u); r1 = subgroupBroadcast(v1, 0u); r2 = subgroupBroadcast(v2, 0u); r3 = subgroupBroadcast(v3, 0u);
                y32 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y33 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y34 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y35 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 1u); r1 = subgroupBroadcast(v1, 1u); r2 = subgroupBroadcast(v2, 1u); r3 = subgroupBroadcast(v3, 1u);
                y36 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y37 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y38 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y39 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 2u); r1 = subgroupBroadcast(v1, 2u); r2 = subgroupBroadcast(v2, 2u); r3 = subgroupBroadcast(v3, 2u);
                y40 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y41 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y42 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y43 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 3u); r1 = subgroupBroadcast(v1, 3u); r2 = subgroupBroadcast(v2, 3u); r3 = subgroupBroadcast(v3, 3u);
                y44 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y45 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y46 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y47 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 4u); r1 = subgroupBroadcast(v1, 4u); r2 = subgroupBroadcast(v2, 4u); r3 = subgroupBroadcast(v3, 4u);
                y48 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y49 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y50 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y51 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 5u); r1 = subgroupBroadcast(v1, 5u); r2 = subgroupBroadcast(v2, 5u); r3 = subgroupBroadcast(v3, 5u);
                y52 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y53 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y54 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y55 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 6u); r1 = subgroupBroadcast(v1, 6u); r2 = subgroupBroadcast(v2, 6u); r3 = subgroupBroadcast(v3, 6u);
                y56 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y57 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y58 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y59 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
                r0 = subgroupBroadcast(v0, 7u); r1 = subgroupBroadcast(v1, 7u); r2 = subgroupBroadcast(v2, 7u); r3 = subgroupBroadcast(v3, 7u);
                y60 += r0.x * w0 + r1.x * w1 + r2.x * w2 + r3.x * w3;
                y61 += r0.y * w0 + r1.y * w1 + r2.y * w2 + r3.y * w3;
                y62 += r0.z * w0 + r1.z * w1 + r2.z * w2 + r3.z * w3;
                y63 += r0.w * w0 + r1.w * w1 + r2.w * w2 + r3.w * w3;
            }
            c0 = c4; c1 = c5; c2 = c6; c3 = c7; c4 = c8; c5 = c9;
            c6 = c10; c7 = c11; c8 = c12; c9 = c13; c10 = c14; c11 = c15;
        }
    }

    let none = sums == ZERO;
    let up = select(1.0 / sums, ZERO, none);
    let at = (head * p.l + row) * p.e;
    let left = group.z * WIDE * 32u;
    let count = max(p.l, row) - row;
    let right = at_run_time(min(left + WIDE * 32u, p.e), groups);
    for (var c = left; c < right; c += 4u) {
        put(at, c, count, y0 * up);
        put(at, c + 1u, count, y1 * up);
        put(at, c + 2u, count, y2 * up);
        put(at, c + 3u, count, y3 * up);
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
