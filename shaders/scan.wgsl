// Scan along a dimension: y[o, j, c] combines x[o, 0, c] .. x[o, j, c] (with REVERSE, from the other end), where the
// shape is seen as (outer, along the dimension, inner).
//
// WHAT: 0 sum, 1 product, 2 log of the sum of exponentials, 3 the linear recurrence y_j = a_j * y_(j-1) + x_j,
// 4 position of the maximum so far, 5 of the minimum; of equal elements the last one counts, and a NaN wins.
//
// Many or short rows: one invocation a row walks along it; neighbours read neighbours when inner > 1. Few long rows
// (TEAM): a workgroup of 64 a row. Each lane combines 4 neighbours, the lanes' totals are scanned in workgroup memory
// in 6 steps (Hillis and Steele), and the last total carries over to the next 256 elements. Every step is an
// associative combination of neighbouring stretches in a fixed order: the same bits every time.
// Prelude: const WHAT, REVERSE, TEAM, ORDER; x(i), a(i), store(i, v).

struct Params {
    rows: u32,
    n: u32,
    inner: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

// A stretch of elements. some: it is not empty. sum, product: v. Log of sums: v is the maximum, w the sum of
// exp(x - v). Recurrence: y behind it is w * (y before it) + v. Positions: v is the position, key its element's order.
struct Stretch {
    some: bool,
    v: T,
    w: T,
    key: u32,
}

var<workgroup> totals: array<Stretch, 64>;

fn element(row: u32, j: u32) -> Stretch {
    var s = Stretch(j < p.n, T(0), T(1), 0u);
    if s.some {
        let o = row / p.inner;
        let at = (o * p.n + select(j, p.n - 1u - j, REVERSE == 1u)) * p.inner + row - o * p.inner;
        if WHAT < 4u {
            s.v = T(x(at));
            s.w = select(T(1), T(a(at)), WHAT == 3u);
        } else {
            s.v = T(select(j, p.n - 1u - j, REVERSE == 1u));
            let bits = bitcast<u32>(x(at));
            s.key = select(ordered_down(bits, ORDER), ordered(bits, ORDER), WHAT == 4u);
        }
    }
    return s;
}

// The sum of exponentials of a stretch, measured from another maximum. Infinities equal themselves.
fn measured(v: T, w: T, most: f32) -> f32 {
    return f32(w) * select(exp(f32(v) - most), 1.0, f32(v) == most);
}

// First `l`, then `r`.
fn joined(l: Stretch, r: Stretch) -> Stretch {
    if !l.some {
        return r;
    }
    if !r.some {
        return l;
    }
    var s = l;
    if WHAT == 0u {
        s.v = l.v + r.v;
    } else if WHAT == 1u {
        s.v = l.v * r.v;
    } else if WHAT == 2u {
        let most = max(f32(l.v), f32(r.v));
        s.w = T(measured(l.v, l.w, most) + measured(r.v, r.w, most));
        s.v = T(most);
    } else if WHAT == 3u {
        s.v = r.w * l.v + r.v;
        s.w = l.w * r.w;
    } else if r.key >= l.key {
        s = r;
    }
    return s;
}

fn put(row: u32, j: u32, s: Stretch) {
    let o = row / p.inner;
    let at = (o * p.n + select(j, p.n - 1u - j, REVERSE == 1u)) * p.inner + row - o * p.inner;
    if WHAT == 2u {
        store(at, T(f32(s.v) + log(f32(s.w))));
    } else {
        store(at, s.v);
    }
}

fn team(row: u32, lane: u32) {
    var carry = Stretch(false, T(0), T(1), 0u);
    for (var base = 0u; base < p.n; base += 256u) {
        var own: array<Stretch, 4>;
        var total = Stretch(false, T(0), T(1), 0u);
        for (var k = 0u; k < 4u; k++) {
            total = joined(total, element(row, base + lane * 4u + k));
            own[k] = total;
        }
        totals[lane] = total;
        workgroupBarrier();
        for (var step = 1u; step < 64u; step <<= 1u) {
            var before = Stretch(false, T(0), T(1), 0u);
            if lane >= step {
                before = totals[lane - step];
            }
            total = joined(before, total);
            workgroupBarrier();
            totals[lane] = total;
            workgroupBarrier();
        }
        var before = carry;
        if lane > 0u {
            before = joined(carry, totals[lane - 1u]);
        }
        for (var k = 0u; k < 4u; k++) {
            let j = base + lane * 4u + k;
            if j < p.n {
                put(row, j, joined(before, own[k]));
            }
        }
        carry = joined(carry, totals[63]);
        workgroupBarrier();
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = group.y * grid.x + group.x;
    if TEAM == 1u {
        if first < p.rows {
            team(first, lane);
        }
        return;
    }
    let row = first * 64u + lane;
    if row >= p.rows {
        return;
    }
    var so_far = Stretch(false, T(0), T(1), 0u);
    for (var j = 0u; j < p.n; j++) {
        so_far = joined(so_far, element(row, j));
        put(row, j, so_far);
    }
}
