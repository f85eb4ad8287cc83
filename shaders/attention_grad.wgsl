// The gradients of attention.wgsl, without the matrix of scores: of the queries (KEYS = 0), or of keys and values
// together (KEYS = 1).
//
// One thread makes four rows of its own side (queries, or keys) and walks through the other side four rows at a
// time. From the products of the first pair (query, key) come the scores and with the rows' sums the probabilities p, from
// those of the second pair (dy, value) the gradient of the scores ds = p (dy value^T - delta) scale. Then
//     first gradient  += ds  * other's first          (dq += ds key;  dk += ds^T query)
//     second gradient += p^T * other's second         (               dv += p^T dy)
// in private memory, as in attention.wgsl. Rows of keys that several query heads share collect from all of them, in order.
//
// Long rows of keys make the two gradients in two launches, to keep to the private memory that WebGPU guarantees.
//
// Prelude: KEYS, FIRST, SECOND (1: makes the first, the second gradient), D4, E4 (4-vectors a row of the first, second pair
// has room for), CAUSAL, MASK (0, 1).

@group(1) @binding(0) var<uniform> p: AttentionGradParams;

fn put(at: u32, size: u32, c: u32, v: vec4<f32>) {
    let i = c * 4u;
    store(at + i, v.x);
    if i + 1u < size { store(at + i + 1u, v.y); }
    if i + 2u < size { store(at + i + 2u, v.z); }
    if i + 3u < size { store(at + i + 3u, v.w); }
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = (group.y * groups.x + group.x) * 64u + lane;
    if tile >= p.tiles {
        return;
    }
    let head = tile / p.tiles_n;
    let row = (tile - head * p.tiles_n) * 4u;
    let b = head / p.heads;
    let h = head - b * p.heads;
    let last = p.n - 1u;
    let r1 = min(row + 1u, last);
    let r2 = min(row + 2u, last);
    let r3 = min(row + 3u, last);
    let a_base = p.a_at + b * p.a_b + h * p.a_h;
    let a0 = a_base + row * p.a_row;
    let a1 = a_base + r1 * p.a_row;
    let a2 = a_base + r2 * p.a_row;
    let a3 = a_base + r3 * p.a_row;
    let second_base = p.a2_at + b * p.a2_b + h * p.a2_h;
    let c0 = second_base + row * p.a2_row;
    let c1 = second_base + r1 * p.a2_row;
    let c2 = second_base + r2 * p.a2_row;
    let c3 = second_base + r3 * p.a2_row;
    let d4 = (p.d + 3u) >> 2u;
    let e4 = (p.e + 3u) >> 2u;

    // Vector c of row r at 4c + r.
    var first: array<vec4<f32>, D4 * 4u * FIRST + 1u - FIRST>;
    var second: array<vec4<f32>, E4 * 4u * SECOND + 1u - SECOND>;
    if FIRST == 1u {
        for (var c = 0u; c < d4 * 4u; c += 1u) {
            first[c] = ZERO;
        }
    }
    if SECOND == 1u {
        for (var c = 0u; c < e4 * 4u; c += 1u) {
            second[c] = ZERO;
        }
    }

    var begin = 0u;
    var end = p.others;
    if CAUSAL == 1u {
        if KEYS == 1u {
            begin = row;
        } else {
            end = min(end, r3 + 1u);
        }
    }
    for (var turn = 0u; turn < p.repeat; turn += 1u) {
        let oh = h * p.times / p.group + turn;
        let qh = select(h, oh, KEYS == 1u);
        let b_base = p.b_at + b * p.b_b + oh * p.b_h;
        let b2_base = p.b2_at + b * p.b2_b + oh * p.b2_h;
        let m_base = p.m_at + b * p.m_b + qh * p.m_h;
        let stats = (b * p.q_heads + qh) * p.q_rows;
        for (var o = begin; o < end; o += 4u) {
            let o1 = min(o + 1u, p.others - 1u);
            let o2 = min(o + 2u, p.others - 1u);
            let o3 = min(o + 3u, p.others - 1u);
            let i0 = b_base + o * p.b_row;
            let i1 = b_base + o1 * p.b_row;
            let i2 = b_base + o2 * p.b_row;
            let i3 = b_base + o3 * p.b_row;
            var s0 = ZERO;
            var s1 = ZERO;
            var s2 = ZERO;
            var s3 = ZERO;
            for (var c = 0u; c < d4; c += 1u) {
                let t0 = b_vec(i0, c);
                let t1 = b_vec(i1, c);
                let t2 = b_vec(i2, c);
                let t3 = b_vec(i3, c);
                var q = a_vec(a0, c);
                s0 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
                q = a_vec(a1, c);
                s1 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
                q = a_vec(a2, c);
                s2 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
                q = a_vec(a3, c);
                s3 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
            }
            let j0 = b2_base + o * p.b2_row;
            let j1 = b2_base + o1 * p.b2_row;
            let j2 = b2_base + o2 * p.b2_row;
            let j3 = b2_base + o3 * p.b2_row;
            var g0 = ZERO;
            var g1 = ZERO;
            var g2 = ZERO;
            var g3 = ZERO;
            for (var c = 0u; c < e4; c += 1u) {
                let t0 = b2_vec(j0, c);
                let t1 = b2_vec(j1, c);
                let t2 = b2_vec(j2, c);
                let t3 = b2_vec(j3, c);
                var q = a2_vec(c0, c);
                g0 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
                q = a2_vec(c1, c);
                g1 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
                q = a2_vec(c2, c);
                g2 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
                q = a2_vec(c3, c);
                g3 += vec4<f32>(dot(q, t0), dot(q, t1), dot(q, t2), dot(q, t3));
            }
            s0 = probabilities(s0, row, o, m_base, stats);
            s1 = probabilities(s1, r1, o, m_base, stats);
            s2 = probabilities(s2, r2, o, m_base, stats);
            s3 = probabilities(s3, r3, o, m_base, stats);
            g0 = score_grads(s0, g0, row, o, stats);
            g1 = score_grads(s1, g1, r1, o, stats);
            g2 = score_grads(s2, g2, r2, o, stats);
            g3 = score_grads(s3, g3, r3, o, stats);
            if FIRST == 1u {
                for (var c = 0u; c < d4; c += 1u) {
                    let t0 = b_vec(i0, c);
                    let t1 = b_vec(i1, c);
                    let t2 = b_vec(i2, c);
                    let t3 = b_vec(i3, c);
                    let i = c * 4u;
                    first[i] += g0.x * t0 + g0.y * t1 + g0.z * t2 + g0.w * t3;
                    first[i + 1u] += g1.x * t0 + g1.y * t1 + g1.z * t2 + g1.w * t3;
                    first[i + 2u] += g2.x * t0 + g2.y * t1 + g2.z * t2 + g2.w * t3;
                    first[i + 3u] += g3.x * t0 + g3.y * t1 + g3.z * t2 + g3.w * t3;
                }
            }
            if SECOND == 1u {
                for (var c = 0u; c < e4; c += 1u) {
                    let t0 = b2_vec(j0, c);
                    let t1 = b2_vec(j1, c);
                    let t2 = b2_vec(j2, c);
                    let t3 = b2_vec(j3, c);
                    let i = c * 4u;
                    second[i] += s0.x * t0 + s0.y * t1 + s0.z * t2 + s0.w * t3;
                    second[i + 1u] += s1.x * t0 + s1.y * t1 + s1.z * t2 + s1.w * t3;
                    second[i + 2u] += s2.x * t0 + s2.y * t1 + s2.z * t2 + s2.w * t3;
                    second[i + 3u] += s3.x * t0 + s3.y * t1 + s3.z * t2 + s3.w * t3;
                }
            }
        }
    }

    let at = head * p.n + row;
    let count = min(p.n - row, 4u);
    if FIRST == 1u {
        for (var c = 0u; c < d4; c += 1u) {
            for (var r = 0u; r < count; r += 1u) {
                put((at + r) * p.d, p.d, c, first[c * 4u + r]);
            }
        }
    }
    if SECOND == 1u {
        for (var c = 0u; c < e4; c += 1u) {
            for (var r = 0u; r < count; r += 1u) {
                put(p.second + (at + r) * p.e, p.e, c, second[c * 4u + r]);
            }
        }
    }
}
