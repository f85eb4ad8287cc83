// Positions that sort short rows: y[o, r, c] is the position of the element with rank r in x[o, .., c], where the shape
// is seen as (outer, along the dimension, inner).
//
// One invocation an element counts the elements before it: those that are smaller, and equal ones that come earlier. n
// comparisons each, no barriers, no workgroup memory; right for rows that a cache holds (up to 64).
// Prelude: const ORDER, DOWN; x(i), store(i, v).

struct Params {
    count: u32, // elements
    n: u32,     // of a row
    inner: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

fn key(at: u32) -> u32 {
    let up = ordered(bitcast<u32>(x(at)), ORDER);
    return select(up, ~up, DOWN == 1u);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) grid: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = (group.y * grid.x + group.x) * 64u + lane;
    if i >= p.count {
        return;
    }
    let row = i / p.inner;
    let c = i - row * p.inner;
    let o = row / p.n;
    let j = row - o * p.n;
    let first = o * p.n * p.inner + c;
    let own = key(i);
    var rank = 0u;
    for (var k = 0u; k < p.n; k++) {
        let other = key(first + k * p.inner);
        rank += select(0u, 1u, other < own || (other == own && k < j));
    }
    store(first + rank * p.inner, T(j));
}
