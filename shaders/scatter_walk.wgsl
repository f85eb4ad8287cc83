// Scatter with many indices, step 3 of 3: each element of y takes its contributions along its chain, in order.
// See scatter_link.wgsl for the chains, scatter.wgsl for what is computed.
// Prelude: const SLICES, HOW, ORDER; base(i), src(i), link(i), store(i, v).

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
    let row = i / p.inner;
    let c = i - row * p.inner;
    let o = row / p.size;
    var value = base(i);
    // For single elements the heads lie as y does.
    var j = u32(link(select(i, row - o * p.size, SLICES == 1u)));
    while j > 0u {
        let source = (o * p.n + j - 1u) * p.inner + c;
        value = written(value, src(source), HOW, ORDER);
        j = u32(link(p.heads + select(source, j - 1u, SLICES == 1u)));
    }
    store(i, value);
}
