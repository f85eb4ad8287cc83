// The gradients of attention_broadcast.wgsl, without the matrix of scores: of the queries (KEYS = 0), or of keys and
// values together (KEYS = 1). What is computed, and from what, says attention_grad.wgsl; how, attention_broadcast.wgsl:
//
// a subgroup makes 32 rows of its own side (queries, or keys), lane l those from 4l on, one in each component of its vectors, and walks
// through the other side 32 rows at a time. First the products of both pairs, each with one vector for a row of the other
// side; they wait in private memory. Then row by row of the other side their probability, the gradient of their
// score, and what these add to the columns of both gradients: f0 to f63 of the first, g0 to g63 of the second.
//
// Prelude: KEYS, FIRST, SECOND (1: makes the first, the second gradient), WIDE (1, 2: columns of each that a subgroup makes, in 32s; more
// lie along the grid's z), CAUSAL, MASK (0, 1), VEC4 (1: all four are read in 4-vectors).

struct Params {
    tiles: u32, tiles_n: u32, heads: u32,
    // Heads of the other side: the first is own * times / group, then repeat of them.
    times: u32, group: u32, repeat: u32,
    // Rows of the own and of the other side; query heads and rows.
    n: u32, others: u32, q_heads: u32, q_rows: u32,
    d: u32, e: u32,
    a_at: u32, a_b: u32, a_h: u32, a_row: u32, a_col: u32,
    a2_at: u32, a2_b: u32, a2_h: u32, a2_row: u32, a2_col: u32,
    b_at: u32, b_b: u32, b_h: u32, b_row: u32, b_col: u32,
    b2_at: u32, b2_b: u32, b2_h: u32, b2_row: u32, b2_col: u32,
    // The mask's rows are queries.
    m_at: u32, m_b: u32, m_h: u32, m_row: u32, m_col: u32,
    scale: f32,
    // Where the second gradient begins in the result.
    second: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

const ZERO = vec4<f32>(0.0, 0.0, 0.0, 0.0);
const LOWEST = -3.0e38;

// Elements 4c .. 4c+3 of a row of `size` elements, zeros past its end.
fn own_vec(at: u32, c: u32) -> vec4<f32> {
    if VEC4 == 1u {
        return own4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = own(at + i * p.a_col);
    if i + 1u < p.d { v.y = own(at + (i + 1u) * p.a_col); }
    if i + 2u < p.d { v.z = own(at + (i + 2u) * p.a_col); }
    if i + 3u < p.d { v.w = own(at + (i + 3u) * p.a_col); }
    return v;
}

fn own_second_vec(at: u32, c: u32) -> vec4<f32> {
    if VEC4 == 1u {
        return own_second4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = own_second(at + i * p.a2_col);
    if i + 1u < p.e { v.y = own_second(at + (i + 1u) * p.a2_col); }
    if i + 2u < p.e { v.z = own_second(at + (i + 2u) * p.a2_col); }
    if i + 3u < p.e { v.w = own_second(at + (i + 3u) * p.a2_col); }
    return v;
}

fn other_vec(at: u32, c: u32) -> vec4<f32> {
    if VEC4 == 1u {
        return other4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = other(at + i * p.b_col);
    if i + 1u < p.d { v.y = other(at + (i + 1u) * p.b_col); }
    if i + 2u < p.d { v.z = other(at + (i + 2u) * p.b_col); }
    if i + 3u < p.d { v.w = other(at + (i + 3u) * p.b_col); }
    return v;
}

fn other_second_vec(at: u32, c: u32) -> vec4<f32> {
    if VEC4 == 1u {
        return other_second4((at >> 2u) + c);
    }
    var v = ZERO;
    let i = c * 4u;
    v.x = other_second(at + i * p.b2_col);
    if i + 1u < p.e { v.y = other_second(at + (i + 1u) * p.b2_col); }
    if i + 2u < p.e { v.z = other_second(at + (i + 2u) * p.b2_col); }
    if i + 3u < p.e { v.w = other_second(at + (i + 3u) * p.b2_col); }
    return v;
}

// Probabilities of the lane's rows with row o of the other side, from their products; 0 where hidden.
fn probability(dots: vec4<f32>, rows: vec4<u32>, o: u32, mask_base: u32, l: vec4<f32>) -> vec4<f32> {
    var s = dots * p.scale;
    let other_row = vec4<u32>(o, o, o, o);
    let q = select(rows, other_row, KEYS == 1u);
    let k = select(other_row, rows, KEYS == 1u);
    if MASK == 1u {
        let i = mask_base + q * p.m_row + k * p.m_col;
        s += vec4<f32>(mask(i.x), mask(i.y), mask(i.z), mask(i.w));
    }
    var hidden = s <= vec4<f32>(LOWEST, LOWEST, LOWEST, LOWEST);
    if CAUSAL == 1u {
        hidden = hidden | (k > q);
    }
    return select(exp(s - l), ZERO, hidden);
}

// One column of the lane's rows; `at` is its place in the first of them.
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

    var f0 = ZERO; var f1 = ZERO; var f2 = ZERO; var f3 = ZERO; var f4 = ZERO; var f5 = ZERO; var f6 = ZERO; var f7 = ZERO;
    var f8 = ZERO; var f9 = ZERO; var f10 = ZERO; var f11 = ZERO; var f12 = ZERO; var f13 = ZERO; var f14 = ZERO; var f15 = ZERO;
    var f16 = ZERO; var f17 = ZERO; var f18 = ZERO; var f19 = ZERO; var f20 = ZERO; var f21 = ZERO; var f22 = ZERO; var f23 = ZERO;
    var f24 = ZERO; var f25 = ZERO; var f26 = ZERO; var f27 = ZERO; var f28 = ZERO; var f29 = ZERO; var f30 = ZERO; var f31 = ZERO;
    var f32 = ZERO; var f33 = ZERO; var f34 = ZERO; var f35 = ZERO; var f36 = ZERO; var f37 = ZERO; var f38 = ZERO; var f39 = ZERO;
    var f40 = ZERO; var f41 = ZERO; var f42 = ZERO; var f43 = ZERO; var f44 = ZERO; var f45 = ZERO; var f46 = ZERO; var f47 = ZERO;
    var f48 = ZERO; var f49 = ZERO; var f50 = ZERO; var f51 = ZERO; var f52 = ZERO; var f53 = ZERO; var f54 = ZERO; var f55 = ZERO;
    var f56 = ZERO; var f57 = ZERO; var f58 = ZERO; var f59 = ZERO; var f60 = ZERO; var f61 = ZERO; var f62 = ZERO; var f63 = ZERO;
    var g0 = ZERO; var g1 = ZERO; var g2 = ZERO; var g3 = ZERO; var g4 = ZERO; var g5 = ZERO; var g6 = ZERO; var g7 = ZERO;
    var g8 = ZERO; var g9 = ZERO; var g10 = ZERO; var g11 = ZERO; var g12 = ZERO; var g13 = ZERO; var g14 = ZERO; var g15 = ZERO;
    var g16 = ZERO; var g17 = ZERO; var g18 = ZERO; var g19 = ZERO; var g20 = ZERO; var g21 = ZERO; var g22 = ZERO; var g23 = ZERO;
    var g24 = ZERO; var g25 = ZERO; var g26 = ZERO; var g27 = ZERO; var g28 = ZERO; var g29 = ZERO; var g30 = ZERO; var g31 = ZERO;
    var g32 = ZERO; var g33 = ZERO; var g34 = ZERO; var g35 = ZERO; var g36 = ZERO; var g37 = ZERO; var g38 = ZERO; var g39 = ZERO;
    var g40 = ZERO; var g41 = ZERO; var g42 = ZERO; var g43 = ZERO; var g44 = ZERO; var g45 = ZERO; var g46 = ZERO; var g47 = ZERO;
    var g48 = ZERO; var g49 = ZERO; var g50 = ZERO; var g51 = ZERO; var g52 = ZERO; var g53 = ZERO; var g54 = ZERO; var g55 = ZERO;
    var g56 = ZERO; var g57 = ZERO; var g58 = ZERO; var g59 = ZERO; var g60 = ZERO; var g61 = ZERO; var g62 = ZERO; var g63 = ZERO;
    // The products of the first pair, then of the second.
    var products: array<vec4<f32>, 64>;

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
        var l = ZERO;
        var del = ZERO;
        if KEYS == 0u {
            l = vec4<f32>(logs(stats + rows.x), logs(stats + rows.y), logs(stats + rows.z), logs(stats + rows.w));
            del = vec4<f32>(delta(stats + rows.x), delta(stats + rows.y), delta(stats + rows.z), delta(stats + rows.w));
        }
        for (var start = begin; start < end; start += 32u) {
            let own_row = start + lane * 4u;
            let others = min(vec4<u32>(own_row, own_row + 1u, own_row + 2u, own_row + 3u), vec4<u32>(last, last, last, last));
            let b_rows = b_base + others * p.b_row;
            let b2_rows = b2_base + others * p.b2_row;
            var s: vec4<f32>;
            // One copy of the product serves both pairs.
            for (var pair = 0u; pair < 64u; pair += 32u) {
                var c0 = ZERO; var c1 = ZERO; var c2 = ZERO; var c3 = ZERO; var c4 = ZERO; var c5 = ZERO; var c6 = ZERO; var c7 = ZERO;
                var c8 = ZERO; var c9 = ZERO; var c10 = ZERO; var c11 = ZERO; var c12 = ZERO; var c13 = ZERO; var c14 = ZERO; var c15 = ZERO;
                var c16 = ZERO; var c17 = ZERO; var c18 = ZERO; var c19 = ZERO; var c20 = ZERO; var c21 = ZERO; var c22 = ZERO; var c23 = ZERO;
                var c24 = ZERO; var c25 = ZERO; var c26 = ZERO; var c27 = ZERO; var c28 = ZERO; var c29 = ZERO; var c30 = ZERO; var c31 = ZERO;
                let size = select((p.e + 3u) >> 2u, (p.d + 3u) >> 2u, pair == 0u);
                let steps = at_run_time(size, groups);
                for (var i = 0u; i < steps; i += 1u) {
                    var r0: vec4<f32>; var r1: vec4<f32>; var r2: vec4<f32>; var r3: vec4<f32>;
                    var t0: vec4<f32>; var t1: vec4<f32>; var t2: vec4<f32>; var t3: vec4<f32>;
                    if pair == 0u {
                        r0 = other_vec(b_rows.x, i);
                        r1 = other_vec(b_rows.y, i);
                        r2 = other_vec(b_rows.z, i);
                        r3 = other_vec(b_rows.w, i);
                        t0 = own_vec(a_rows.x, i);
                        t1 = own_vec(a_rows.y, i);
                        t2 = own_vec(a_rows.z, i);
                        t3 = own_vec(a_rows.w, i);
                    } else {
                        r0 = other_second_vec(b2_rows.x, i);
                        r1 = other_second_vec(b2_rows.y, i);
                        r2 = other_second_vec(b2_rows.z, i);
                        r3 = other_second_vec(b2_rows.w, i);
                        t0 = own_second_vec(a2_rows.x, i);
                        t1 = own_second_vec(a2_rows.y, i);
                        t2 = own_second_vec(a2_rows.z, i);
                        t3 = own_second_vec(a2_rows.w, i);
                    }
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
                products[pair + 0u] = c0; products[pair + 1u] = c1; products[pair + 2u] = c2; products[pair + 3u] = c3;
                products[pair + 4u] = c4; products[pair + 5u] = c5; products[pair + 6u] = c6; products[pair + 7u] = c7;
                products[pair + 8u] = c8; products[pair + 9u] = c9; products[pair + 10u] = c10; products[pair + 11u] = c11;
                products[pair + 12u] = c12; products[pair + 13u] = c13; products[pair + 14u] = c14; products[pair + 15u] = c15;
                products[pair + 16u] = c16; products[pair + 17u] = c17; products[pair + 18u] = c18; products[pair + 19u] = c19;
                products[pair + 20u] = c20; products[pair + 21u] = c21; products[pair + 22u] = c22; products[pair + 23u] = c23;
                products[pair + 24u] = c24; products[pair + 25u] = c25; products[pair + 26u] = c26; products[pair + 27u] = c27;
                products[pair + 28u] = c28; products[pair + 29u] = c29; products[pair + 30u] = c30; products[pair + 31u] = c31;
            }

            let count = min(end - start, 32u);
            for (var j = 0u; j < count; j += 1u) {
                let o = min(start + j, last);
                if KEYS == 1u {
                    let stat = logs(stats + o);
                    l = vec4<f32>(stat, stat, stat, stat);
                    let sum = delta(stats + o);
                    del = vec4<f32>(sum, sum, sum, sum);
                }
                let pr = probability(products[j], rows, o, mask_base, l);
                if FIRST == 1u {
                    let ds = pr * (products[j + 32u] - del) * p.scale;
                    let at = b_base + o * p.b_row;
                    var v = other_vec(at, min(col, last_d));
                    s = subgroupBroadcast(v, 0u); f0 += s.x * ds; f1 += s.y * ds; f2 += s.z * ds; f3 += s.w * ds;
                    s = subgroupBroadcast(v, 1u); f4 += s.x * ds; f5 += s.y * ds; f6 += s.z * ds; f7 += s.w * ds;
                    s = subgroupBroadcast(v, 2u); f8 += s.x * ds; f9 += s.y * ds; f10 += s.z * ds; f11 += s.w * ds;
                    s = subgroupBroadcast(v, 3u); f12 += s.x * ds; f13 += s.y * ds; f14 += s.z * ds; f15 += s.w * ds;
                    s = subgroupBroadcast(v, 4u); f16 += s.x * ds; f17 += s.y * ds; f18 += s.z * ds; f19 += s.w * ds;
                    s = subgroupBroadcast(v, 5u); f20 += s.x * ds; f21 += s.y * ds; f22 += s.z * ds; f23 += s.w * ds;
                    s = subgroupBroadcast(v, 6u); f24 += s.x * ds; f25 += s.y * ds; f26 += s.z * ds; f27 += s.w * ds;
                    s = subgroupBroadcast(v, 7u); f28 += s.x * ds; f29 += s.y * ds; f30 += s.z * ds; f31 += s.w * ds;
                    if WIDE == 2u {
                        v = other_vec(at, min(col + 8u, last_d));
                        s = subgroupBroadcast(v, 0u); f32 += s.x * ds; f33 += s.y * ds; f34 += s.z * ds; f35 += s.w * ds;
                        s = subgroupBroadcast(v, 1u); f36 += s.x * ds; f37 += s.y * ds; f38 += s.z * ds; f39 += s.w * ds;
                        s = subgroupBroadcast(v, 2u); f40 += s.x * ds; f41 += s.y * ds; f42 += s.z * ds; f43 += s.w * ds;
                        s = subgroupBroadcast(v, 3u); f44 += s.x * ds; f45 += s.y * ds; f46 += s.z * ds; f47 += s.w * ds;
                        s = subgroupBroadcast(v, 4u); f48 += s.x * ds; f49 += s.y * ds; f50 += s.z * ds; f51 += s.w * ds;
                        s = subgroupBroadcast(v, 5u); f52 += s.x * ds; f53 += s.y * ds; f54 += s.z * ds; f55 += s.w * ds;
                        s = subgroupBroadcast(v, 6u); f56 += s.x * ds; f57 += s.y * ds; f58 += s.z * ds; f59 += s.w * ds;
                        s = subgroupBroadcast(v, 7u); f60 += s.x * ds; f61 += s.y * ds; f62 += s.z * ds; f63 += s.w * ds;
                    }
                }
                if SECOND == 1u {
                    let at = b2_base + o * p.b2_row;
                    var v = other_second_vec(at, min(col, last_e));
                    s = subgroupBroadcast(v, 0u); g0 += s.x * pr; g1 += s.y * pr; g2 += s.z * pr; g3 += s.w * pr;
                    s = subgroupBroadcast(v, 1u); g4 += s.x * pr; g5 += s.y * pr; g6 += s.z * pr; g7 += s.w * pr;
                    s = subgroupBroadcast(v, 2u); g8 += s.x * pr; g9 += s.y * pr; g10 += s.z * pr; g11 += s.w * pr;
                    s = subgroupBroadcast(v, 3u); g12 += s.x * pr; g13 += s.y * pr; g14 += s.z * pr; g15 += s.w * pr;
                    s = subgroupBroadcast(v, 4u); g16 += s.x * pr; g17 += s.y * pr; g18 += s.z * pr; g19 += s.w * pr;
                    s = subgroupBroadcast(v, 5u); g20 += s.x * pr; g21 += s.y * pr; g22 += s.z * pr; g23 += s.w * pr;
                    s = subgroupBroadcast(v, 6u); g24 += s.x * pr; g25 += s.y * pr; g26 += s.z * pr; g27 += s.w * pr;
                    s = subgroupBroadcast(v, 7u); g28 += s.x * pr; g29 += s.y * pr; g30 += s.z * pr; g31 += s.w * pr;
                    if WIDE == 2u {
                        v = other_second_vec(at, min(col + 8u, last_e));
                        s = subgroupBroadcast(v, 0u); g32 += s.x * pr; g33 += s.y * pr; g34 += s.z * pr; g35 += s.w * pr;
                        s = subgroupBroadcast(v, 1u); g36 += s.x * pr; g37 += s.y * pr; g38 += s.z * pr; g39 += s.w * pr;
                        s = subgroupBroadcast(v, 2u); g40 += s.x * pr; g41 += s.y * pr; g42 += s.z * pr; g43 += s.w * pr;
                        s = subgroupBroadcast(v, 3u); g44 += s.x * pr; g45 += s.y * pr; g46 += s.z * pr; g47 += s.w * pr;
                        s = subgroupBroadcast(v, 4u); g48 += s.x * pr; g49 += s.y * pr; g50 += s.z * pr; g51 += s.w * pr;
                        s = subgroupBroadcast(v, 5u); g52 += s.x * pr; g53 += s.y * pr; g54 += s.z * pr; g55 += s.w * pr;
                        s = subgroupBroadcast(v, 6u); g56 += s.x * pr; g57 += s.y * pr; g58 += s.z * pr; g59 += s.w * pr;
                        s = subgroupBroadcast(v, 7u); g60 += s.x * pr; g61 += s.y * pr; g62 += s.z * pr; g63 += s.w * pr;
                    }
                }
            }
        }
    }

    let at = head * p.n + row;
    let left = group.z * WIDE * 32u;
    let count = max(p.n, row) - row;
    if FIRST == 1u {
        let i = at * p.d;
        put(i, p.d, left + 0u, count, f0); put(i, p.d, left + 1u, count, f1);
        put(i, p.d, left + 2u, count, f2); put(i, p.d, left + 3u, count, f3);
        put(i, p.d, left + 4u, count, f4); put(i, p.d, left + 5u, count, f5);
        put(i, p.d, left + 6u, count, f6); put(i, p.d, left + 7u, count, f7);
        put(i, p.d, left + 8u, count, f8); put(i, p.d, left + 9u, count, f9);
        put(i, p.d, left + 10u, count, f10); put(i, p.d, left + 11u, count, f11);
        put(i, p.d, left + 12u, count, f12); put(i, p.d, left + 13u, count, f13);
        put(i, p.d, left + 14u, count, f14); put(i, p.d, left + 15u, count, f15);
        put(i, p.d, left + 16u, count, f16); put(i, p.d, left + 17u, count, f17);
        put(i, p.d, left + 18u, count, f18); put(i, p.d, left + 19u, count, f19);
        put(i, p.d, left + 20u, count, f20); put(i, p.d, left + 21u, count, f21);
        put(i, p.d, left + 22u, count, f22); put(i, p.d, left + 23u, count, f23);
        put(i, p.d, left + 24u, count, f24); put(i, p.d, left + 25u, count, f25);
        put(i, p.d, left + 26u, count, f26); put(i, p.d, left + 27u, count, f27);
        put(i, p.d, left + 28u, count, f28); put(i, p.d, left + 29u, count, f29);
        put(i, p.d, left + 30u, count, f30); put(i, p.d, left + 31u, count, f31);
        if WIDE == 2u {
            put(i, p.d, left + 32u, count, f32); put(i, p.d, left + 33u, count, f33);
            put(i, p.d, left + 34u, count, f34); put(i, p.d, left + 35u, count, f35);
            put(i, p.d, left + 36u, count, f36); put(i, p.d, left + 37u, count, f37);
            put(i, p.d, left + 38u, count, f38); put(i, p.d, left + 39u, count, f39);
            put(i, p.d, left + 40u, count, f40); put(i, p.d, left + 41u, count, f41);
            put(i, p.d, left + 42u, count, f42); put(i, p.d, left + 43u, count, f43);
            put(i, p.d, left + 44u, count, f44); put(i, p.d, left + 45u, count, f45);
            put(i, p.d, left + 46u, count, f46); put(i, p.d, left + 47u, count, f47);
            put(i, p.d, left + 48u, count, f48); put(i, p.d, left + 49u, count, f49);
            put(i, p.d, left + 50u, count, f50); put(i, p.d, left + 51u, count, f51);
            put(i, p.d, left + 52u, count, f52); put(i, p.d, left + 53u, count, f53);
            put(i, p.d, left + 54u, count, f54); put(i, p.d, left + 55u, count, f55);
            put(i, p.d, left + 56u, count, f56); put(i, p.d, left + 57u, count, f57);
            put(i, p.d, left + 58u, count, f58); put(i, p.d, left + 59u, count, f59);
            put(i, p.d, left + 60u, count, f60); put(i, p.d, left + 61u, count, f61);
            put(i, p.d, left + 62u, count, f62); put(i, p.d, left + 63u, count, f63);
        }
    }
    if SECOND == 1u {
        let i = p.second + at * p.e;
        put(i, p.e, left + 0u, count, g0); put(i, p.e, left + 1u, count, g1);
        put(i, p.e, left + 2u, count, g2); put(i, p.e, left + 3u, count, g3);
        put(i, p.e, left + 4u, count, g4); put(i, p.e, left + 5u, count, g5);
        put(i, p.e, left + 6u, count, g6); put(i, p.e, left + 7u, count, g7);
        put(i, p.e, left + 8u, count, g8); put(i, p.e, left + 9u, count, g9);
        put(i, p.e, left + 10u, count, g10); put(i, p.e, left + 11u, count, g11);
        put(i, p.e, left + 12u, count, g12); put(i, p.e, left + 13u, count, g13);
        put(i, p.e, left + 14u, count, g14); put(i, p.e, left + 15u, count, g15);
        put(i, p.e, left + 16u, count, g16); put(i, p.e, left + 17u, count, g17);
        put(i, p.e, left + 18u, count, g18); put(i, p.e, left + 19u, count, g19);
        put(i, p.e, left + 20u, count, g20); put(i, p.e, left + 21u, count, g21);
        put(i, p.e, left + 22u, count, g22); put(i, p.e, left + 23u, count, g23);
        put(i, p.e, left + 24u, count, g24); put(i, p.e, left + 25u, count, g25);
        put(i, p.e, left + 26u, count, g26); put(i, p.e, left + 27u, count, g27);
        put(i, p.e, left + 28u, count, g28); put(i, p.e, left + 29u, count, g29);
        put(i, p.e, left + 30u, count, g30); put(i, p.e, left + 31u, count, g31);
        if WIDE == 2u {
            put(i, p.e, left + 32u, count, g32); put(i, p.e, left + 33u, count, g33);
            put(i, p.e, left + 34u, count, g34); put(i, p.e, left + 35u, count, g35);
            put(i, p.e, left + 36u, count, g36); put(i, p.e, left + 37u, count, g37);
            put(i, p.e, left + 38u, count, g38); put(i, p.e, left + 39u, count, g39);
            put(i, p.e, left + 40u, count, g40); put(i, p.e, left + 41u, count, g41);
            put(i, p.e, left + 42u, count, g42); put(i, p.e, left + 43u, count, g43);
            put(i, p.e, left + 44u, count, g44); put(i, p.e, left + 45u, count, g45);
            put(i, p.e, left + 46u, count, g46); put(i, p.e, left + 47u, count, g47);
            put(i, p.e, left + 48u, count, g48); put(i, p.e, left + 49u, count, g49);
            put(i, p.e, left + 50u, count, g50); put(i, p.e, left + 51u, count, g51);
            put(i, p.e, left + 52u, count, g52); put(i, p.e, left + 53u, count, g53);
            put(i, p.e, left + 54u, count, g54); put(i, p.e, left + 55u, count, g55);
            put(i, p.e, left + 56u, count, g56); put(i, p.e, left + 57u, count, g57);
            put(i, p.e, left + 58u, count, g58); put(i, p.e, left + 59u, count, g59);
            put(i, p.e, left + 60u, count, g60); put(i, p.e, left + 61u, count, g61);
            put(i, p.e, left + 62u, count, g62); put(i, p.e, left + 63u, count, g63);
        }
    }
}
