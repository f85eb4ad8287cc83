// Scatter with many indices, step 2 of 3: indices that name the same place become a chain, in their order.
//
// The scratch buffer s holds for each place the first index that names it (head), and behind the heads, for each
// index the next one that names the same place: as position + 1, 0 for none, in f32, which counts exactly to 2^24.
// One invocation an index searches its list back for an earlier equal (found: it is no head) and on for
// the next. At most n comparisons each, fewer where indices repeat; every word has one writer, so the chains are
// the same every time. scatter_walk.wgsl then adds along them: n^2 / 2 comparisons here replace count * n there.
// Prelude: index(i), store_s(i, v), fault(value, position, size).

struct Params {
    count: u32, // invocations
    n: u32,     // indices of a list: the size of src along the dimension
    inner: u32,
    size: u32,  // size of y along the dimension
    heads: u32, // where the links of the indices begin
}
@group(1) @binding(0) var<uniform> p: Params;

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
    // i = (o, j, c), as the indices lie; for whole slices there is one list and inner is 1.
    let row = i / p.inner;
    let c = i - row * p.inner;
    let o = row / p.n;
    let j = row - o * p.n;
    let first = o * p.n * p.inner + c;
    let own = i32(index(i));
    var next = 0u;
    if own < 0 || own >= i32(p.size) {
        fault(own, i, p.size);
    } else {
        var seen = false;
        for (var k = j; k > 0u && !seen; k--) {
            seen = i32(index(first + (k - 1u) * p.inner)) == own;
        }
        if !seen {
            store_s((o * p.size + u32(own)) * p.inner + c, f32(j + 1u));
        }
        for (var k = j + 1u; k < p.n && next == 0u; k++) {
            next = select(0u, k + 1u, i32(index(first + k * p.inner)) == own);
        }
    }
    store_s(p.heads + i, f32(next));
}
