// Attention for GPUs: softmax(query key^T * scale + mask) value, and the logarithm of each row's sum, without
// the matrix of scores.
//
// A workgroup of 128 threads makes 64 rows of the result and walks through the keys 32 at a time. Of a 64x32 tile of
// scores each thread has 4x4 in registers, summed up over the features 16 at a time through workgroup memory as in
// matmul_shared.wgsl. The threads of a row exchange their maxima through workgroup memory (online softmax), put their
// weights there, and each adds up 4x8 of every 64 columns of the result. Sums of weights stay with the thread that made
// them until the end. 15 KiB of workgroup memory.
//
// Prelude: WIDE (blocks of 64 columns the result has room for), CAUSAL, MASK (0, 1), V4 (1: values are read in 4-vectors).

@group(1) @binding(0) var<uniform> p: AttentionParams;

const PITCH = 17u;
const KEY_PITCH = 9u;

// By feature: 4 rows to a vector. Then by thread of a row: 4 rows' maxima; then by key: 4 columns of the values.
var<workgroup> tile_a: array<vec4<f32>, 272>;
// By feature: 4 keys to a vector.
var<workgroup> tile_b: array<vec4<f32>, 144>;
// By key: the weights of 4 rows to a vector.
var<workgroup> tile_p: array<vec4<f32>, 544>;

fn query_if(ok: bool, i: u32) -> f32 {
    if ok { return query(i); }
    return 0.0;
}

fn key_if(ok: bool, i: u32) -> f32 {
    if ok { return key(i); }
    return 0.0;
}

fn value_if(ok: bool, i: u32) -> f32 {
    if ok { return value(i); }
    return 0.0;
}

// One feature of rows row .. row+3.
fn load_queries(base: u32, row: u32, c: u32) -> vec4<f32> {
    let i = base + row * p.q_row + c * p.q_col;
    let ok = c < p.d;
    return vec4<f32>(
        query_if(ok && row < p.l, i),
        query_if(ok && row + 1u < p.l, i + p.q_row),
        query_if(ok && row + 2u < p.l, i + 2u * p.q_row),
        query_if(ok && row + 3u < p.l, i + 3u * p.q_row));
}

fn load_keys(base: u32, row: u32, c: u32) -> vec4<f32> {
    let i = base + row * p.k_row + c * p.k_col;
    let ok = c < p.d;
    return vec4<f32>(
        key_if(ok && row < p.s, i),
        key_if(ok && row + 1u < p.s, i + p.k_row),
        key_if(ok && row + 2u < p.s, i + 2u * p.k_row),
        key_if(ok && row + 3u < p.s, i + 3u * p.k_row));
}

// Columns col .. col+3 of one row of values.
fn load_values(base: u32, row: u32, col: u32) -> vec4<f32> {
    if row >= p.s || col >= p.e {
        return ZERO;
    }
    let i = base + row * p.v_row + col * p.v_col;
    if V4 == 1u {
        return value4(i >> 2u);
    }
    return vec4<f32>(
        value(i),
        value_if(col + 1u < p.e, i + p.v_col),
        value_if(col + 2u < p.e, i + 2u * p.v_col),
        value_if(col + 3u < p.e, i + 3u * p.v_col));
}

fn largest(v: vec4<f32>) -> f32 {
    return max(max(v.x, v.y), max(v.z, v.w));
}

fn put(row: u32, col: u32, head: u32, v: vec4<f32>) {
    if row >= p.l || col >= p.e {
        return;
    }
    let i = (head * p.l + row) * p.e + col;
    store(i, v.x);
    if col + 1u < p.e { store(i + 1u, v.y); }
    if col + 2u < p.e { store(i + 2u, v.z); }
    if col + 3u < p.e { store(i + 3u, v.w); }
}

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = group.y * groups.x + group.x;
    if tile >= p.tiles {
        return;
    }
    let head = tile / p.tiles_l;
    let row = (tile - head * p.tiles_l) * 64u;
    let b = head / p.heads;
    let h = head - b * p.heads;
    let g = h / p.group;
    let q_base = p.q_at + b * p.q_b + h * p.q_h;
    let k_base = p.k_at + b * p.k_b + g * p.k_h;
    let v_base = p.v_at + b * p.v_b + g * p.v_h;
    let m_base = p.m_at + b * p.m_b + h * p.m_h;
    let y = lane >> 3u;
    let x = lane & 7u;
    let own = row + y * 4u;

    // For each block of 64 columns: 4 rows of vector x, then 4 rows of vector x + 8.
    var acc: array<vec4<f32>, WIDE * 8u>;
    for (var i = 0u; i < WIDE * 8u; i += 1u) {
        acc[i] = ZERO;
    }
    var most = vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST);
    var sums = ZERO;

    var end = p.s;
    if CAUSAL == 1u {
        end = min(end, row + 64u);
    }
    for (var col = 0u; col < end; col += 32u) {
        var s0 = ZERO;
        var s1 = ZERO;
        var s2 = ZERO;
        var s3 = ZERO;
        for (var d = 0u; d < p.d; d += 16u) {
            let c = lane & 15u;
            let v = lane >> 4u;
            tile_a[c * PITCH + v] = load_queries(q_base, row + v * 4u, d + c);
            tile_a[c * PITCH + v + 8u] = load_queries(q_base, row + v * 4u + 32u, d + c);
            tile_b[c * KEY_PITCH + v] = load_keys(k_base, col + v * 4u, d + c);
            workgroupBarrier();
            for (var i = 0u; i < 16u; i += 1u) {
                let u = tile_a[i * PITCH + y];
                let w = tile_b[i * KEY_PITCH + x];
                s0 += u.x * w;
                s1 += u.y * w;
                s2 += u.z * w;
                s3 += u.w * w;
            }
            workgroupBarrier();
        }
        let key_col = col + x * 4u;
        s0 = masked_scores(s0, m_base, own, key_col);
        s1 = masked_scores(s1, m_base, own + 1u, key_col);
        s2 = masked_scores(s2, m_base, own + 2u, key_col);
        s3 = masked_scores(s3, m_base, own + 3u, key_col);

        tile_a[x * PITCH + y] = vec4<f32>(largest(s0), largest(s1), largest(s2), largest(s3));
        workgroupBarrier();
        var next = most;
        for (var i = 0u; i < 8u; i += 1u) {
            next = max(next, tile_a[i * PITCH + y]);
        }
        let down = exp(most - next);
        most = next;
        s0 = score_weights(s0, most.x);
        s1 = score_weights(s1, most.y);
        s2 = score_weights(s2, most.z);
        s3 = score_weights(s3, most.w);
        sums = sums * down + vec4<f32>(sum_of_four(s0), sum_of_four(s1), sum_of_four(s2), sum_of_four(s3));
        let at = x * 4u * PITCH + y;
        tile_p[at] = vec4<f32>(s0.x, s1.x, s2.x, s3.x);
        tile_p[at + PITCH] = vec4<f32>(s0.y, s1.y, s2.y, s3.y);
        tile_p[at + 2u * PITCH] = vec4<f32>(s0.z, s1.z, s2.z, s3.z);
        tile_p[at + 3u * PITCH] = vec4<f32>(s0.w, s1.w, s2.w, s3.w);
        workgroupBarrier();

        for (var block = 0u; block < WIDE; block += 1u) {
            var t0 = acc[block * 8u] * down.x;
            var t1 = acc[block * 8u + 1u] * down.y;
            var t2 = acc[block * 8u + 2u] * down.z;
            var t3 = acc[block * 8u + 3u] * down.w;
            var t4 = acc[block * 8u + 4u] * down.x;
            var t5 = acc[block * 8u + 5u] * down.y;
            var t6 = acc[block * 8u + 6u] * down.z;
            var t7 = acc[block * 8u + 7u] * down.w;
            for (var half = 0u; half < 32u; half += 16u) {
                let v = lane & 15u;
                let r = lane >> 4u;
                tile_a[r * PITCH + v] = load_values(v_base, col + half + r, block * 64u + v * 4u);
                tile_a[(r + 8u) * PITCH + v] = load_values(v_base, col + half + r + 8u, block * 64u + v * 4u);
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
            acc[block * 8u] = t0;
            acc[block * 8u + 1u] = t1;
            acc[block * 8u + 2u] = t2;
            acc[block * 8u + 3u] = t3;
            acc[block * 8u + 4u] = t4;
            acc[block * 8u + 5u] = t5;
            acc[block * 8u + 6u] = t6;
            acc[block * 8u + 7u] = t7;
        }
    }

    // The threads of a row add up what each has summed.
    tile_a[x * PITCH + y] = sums;
    workgroupBarrier();
    var total = ZERO;
    for (var i = 0u; i < 8u; i += 1u) {
        total += tile_a[i * PITCH + y];
    }
    let none = total == ZERO;
    let up = select(1.0 / total, ZERO, none);
    for (var block = 0u; block < WIDE; block += 1u) {
        let c = block * 64u + x * 4u;
        put(own, c, head, acc[block * 8u] * up.x);
        put(own + 1u, c, head, acc[block * 8u + 1u] * up.y);
        put(own + 2u, c, head, acc[block * 8u + 2u] * up.z);
        put(own + 3u, c, head, acc[block * 8u + 3u] * up.w);
        put(own, c + 32u, head, acc[block * 8u + 4u] * up.x);
        put(own + 1u, c + 32u, head, acc[block * 8u + 5u] * up.y);
        put(own + 2u, c + 32u, head, acc[block * 8u + 6u] * up.z);
        put(own + 3u, c + 32u, head, acc[block * 8u + 7u] * up.w);
    }
    if x == 0u {
        let logs = select(most + log(total), ZERO, none);
        let i = p.sums + head * p.l + own;
        if own < p.l { store(i, logs.x); }
        if own + 1u < p.l { store(i + 1u, logs.y); }
        if own + 2u < p.l { store(i + 2u, logs.z); }
        if own + 3u < p.l { store(i + 3u, logs.w); }
    }
}
