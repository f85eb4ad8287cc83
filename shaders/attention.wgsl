// Attention: softmax(query key^T * scale + mask) value, and the logarithm of each row's sum, without the
// matrix of scores.
//
// One thread makes four rows of the result. It walks through the keys four at a time: 4x4 scores in registers, then
// the running maximum and sum of each row (online softmax), then the rows of the result, which lie in private
// memory and are scaled down whenever the maximum grows. No workgroup memory and no barriers, so it runs well on adapters
// without real ones; each loaded vector is used four times.
//
// Rows past the end repeat the last one and are not stored. A score of LOWEST or less counts as nothing, so a row
// that sees no key gives zeros.
//
// Prelude: E4 (4-vectors a row of the result has room for), CAUSAL, MASK (0, 1), V4 (1: the result is stored four
// at a time).

@group(1) @binding(0) var<uniform> p: AttentionParams;

fn largest(v: vec4<f32>, m: f32) -> f32 {
    return max(max(max(v.x, v.y), max(v.z, v.w)), m);
}

fn put(at: u32, c: u32, v: vec4<f32>) {
    if V4 == 1u {
        let i = at + c * 4u;
        store(i, v.x);
        store(i + 1u, v.y);
        store(i + 2u, v.z);
        store(i + 3u, v.w);
        return;
    }
    let i = c * 4u;
    store(at + i, v.x);
    if i + 1u < p.e { store(at + i + 1u, v.y); }
    if i + 2u < p.e { store(at + i + 2u, v.z); }
    if i + 3u < p.e { store(at + i + 3u, v.w); }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = (group.y * groups.x + group.x) * 64u + lane;
    if tile >= p.tiles {
        return;
    }
    let head = tile / p.tiles_l;
    let row = (tile - head * p.tiles_l) * 4u;
    let b = head / p.heads;
    let h = head - b * p.heads;
    let g = h / p.group;
    let last = p.l - 1u;
    let r1 = min(row + 1u, last);
    let r2 = min(row + 2u, last);
    let r3 = min(row + 3u, last);
    let q_base = p.q_at + b * p.q_b + h * p.q_h;
    let q0 = q_base + row * p.q_row;
    let q1 = q_base + r1 * p.q_row;
    let q2 = q_base + r2 * p.q_row;
    let q3 = q_base + r3 * p.q_row;
    let k_base = p.k_at + b * p.k_b + g * p.k_h;
    let v_base = p.v_at + b * p.v_b + g * p.v_h;
    let m_base = p.m_at + b * p.m_b + h * p.m_h;
    let d4 = (p.d + 3u) >> 2u;
    let e4 = (p.e + 3u) >> 2u;

    // Rows of the result: vector c of row r at 4c + r.
    var y: array<vec4<f32>, E4 * 4u>;
    for (var c = 0u; c < e4 * 4u; c += 1u) {
        y[c] = ZERO;
    }
    var most = vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST);
    var sums = ZERO;

    var end = p.s;
    if CAUSAL == 1u {
        end = min(end, r3 + 1u);
    }
    let last_key = p.s - 1u;
    for (var col = 0u; col < end; col += 4u) {
        let k0 = k_base + col * p.k_row;
        let k1 = k_base + min(col + 1u, last_key) * p.k_row;
        let k2 = k_base + min(col + 2u, last_key) * p.k_row;
        let k3 = k_base + min(col + 3u, last_key) * p.k_row;
        var s0 = ZERO;
        var s1 = ZERO;
        var s2 = ZERO;
        var s3 = ZERO;
        for (var c = 0u; c < d4; c += 1u) {
            let t0 = k_vec(k0, c);
            let t1 = k_vec(k1, c);
            let t2 = k_vec(k2, c);
            let t3 = k_vec(k3, c);
            var q = q_vec(q0, c);
            s0 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
            q = q_vec(q1, c);
            s1 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
            q = q_vec(q2, c);
            s2 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
            q = q_vec(q3, c);
            s3 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
        }
        s0 = masked_scores(s0, m_base, row, col);
        s1 = masked_scores(s1, m_base, r1, col);
        s2 = masked_scores(s2, m_base, r2, col);
        s3 = masked_scores(s3, m_base, r3, col);
        let next = vec4<f32>(largest(s0, most.x), largest(s1, most.y), largest(s2, most.z), largest(s3, most.w));
        let down = exp(most - next);
        most = next;
        s0 = score_weights(s0, most.x);
        s1 = score_weights(s1, most.y);
        s2 = score_weights(s2, most.z);
        s3 = score_weights(s3, most.w);
        sums = sums * down + vec4<f32>(sum_of_four(s0), sum_of_four(s1), sum_of_four(s2), sum_of_four(s3));

        let v0 = v_base + col * p.v_row;
        let v1 = v_base + min(col + 1u, last_key) * p.v_row;
        let v2 = v_base + min(col + 2u, last_key) * p.v_row;
        let v3 = v_base + min(col + 3u, last_key) * p.v_row;
        for (var c = 0u; c < e4; c += 1u) {
            let t0 = v_vec(v0, c);
            let t1 = v_vec(v1, c);
            let t2 = v_vec(v2, c);
            let t3 = v_vec(v3, c);
            let i = c * 4u;
            y[i] = y[i] * down.x + s0.x * t0 + s0.y * t1 + s0.z * t2 + s0.w * t3;
            y[i + 1u] = y[i + 1u] * down.y + s1.x * t0 + s1.y * t1 + s1.z * t2 + s1.w * t3;
            y[i + 2u] = y[i + 2u] * down.z + s2.x * t0 + s2.y * t1 + s2.z * t2 + s2.w * t3;
            y[i + 3u] = y[i + 3u] * down.w + s3.x * t0 + s3.y * t1 + s3.z * t2 + s3.w * t3;
        }
    }

    let none = sums == ZERO;
    let up = select(1.0 / sums, ZERO, none);
    let logs = select(most + log(sums), ZERO, none);
    let at = head * p.l + row;
    for (var c = 0u; c < e4; c += 1u) {
        put(at * p.e, c, y[c * 4u] * up.x);
        if row + 1u < p.l { put((at + 1u) * p.e, c, y[c * 4u + 1u] * up.y); }
        if row + 2u < p.l { put((at + 2u) * p.e, c, y[c * 4u + 2u] * up.z); }
        if row + 3u < p.l { put((at + 3u) * p.e, c, y[c * 4u + 3u] * up.w); }
    }
    store(p.sums + at, logs.x);
    if row + 1u < p.l { store(p.sums + at + 1u, logs.y); }
    if row + 2u < p.l { store(p.sums + at + 2u, logs.z); }
    if row + 3u < p.l { store(p.sums + at + 3u, logs.w); }
}
