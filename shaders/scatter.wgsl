// Scatter: y = base, then y[o, index, c] = src[o, j, c] (or what HOW says, see written) for j = 0, 1, .. in order, where the
// shapes are seen as (outer, along the dimension, inner).
//
// The index is index[o, j, c], or index[j] for whole slices (SLICES). One invocation owns one element of y and
// looks for it in all n indices: no atomics, so the same bits every time, at the cost of count * n index reads
// (which all lanes of a group read together, from cache). Right for few indices; scatter_heads.wgsl is for many.
// Indices out of range meet no element.
// Prelude: const SLICES, HOW, ORDER; base(i), index(i), src(i), store(i, v), fault(value, position, size).

@group(1) @binding(0) var<uniform> p: ScatterParams;

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
    let o = row / p.size;
    let own = i32(row - o * p.size);
    var value = base(i);
    let end = at_run_time(p.n, grid);
    for (var j = 0u; j < end; j++) {
        let source = (o * p.n + j) * p.inner + c;
        let at = select(source, j, SLICES == 1u);
        let to = i32(index(at));
        // One of the elements that look at an index reports it.
        if own == 0 && (to < 0 || to >= i32(p.size)) {
            fault(to, at, p.size);
        }
        if to == own {
            value = written(value, src(source), HOW, ORDER);
        }
    }
    store(i, value);
}
