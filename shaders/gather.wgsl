// Gather: y[o, j, c] = x[o, index, c], where the shapes are seen as (outer, along the dimension, inner).
//
// The index is index[o, j, c], or index[j] for whole slices (SLICES). One element an invocation, neighbours
// along c: reads of slices are coalesced. Purely bound by memory, so the two divisions that find o and c hide.
// Indices come from data: they are clamped, so that no read leaves x, and reported.
// Prelude: const SLICES; x(i), index(i), store(i, v), fault(value, position, size).

struct Params {
    count: u32, // elements of y
    n: u32,     // size of y along the dimension
    inner: u32,
    size: u32,  // size of x along the dimension
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
    let row = i / p.inner;
    let c = i - row * p.inner;
    let o = row / p.n;
    let at = select(i, row - o * p.n, SLICES == 1u);
    let picked = i32(index(at));
    if picked < 0 || picked >= i32(p.size) {
        fault(picked, at, p.size);
    }
    let j = u32(clamp(picked, 0, i32(p.size) - 1));
    store(i, x((o * p.size + j) * p.inner + c));
}
