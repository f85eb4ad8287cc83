// Sorting long rows, the last step: the sorted positions of each row as the result lies, (outer, along the dimension,
// inner). See sort_tile.wgsl.
// Prelude: runs(i), store(i, v).

struct Params {
    count: u32, // elements
    n: u32,     // of a row
    inner: u32,
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
    let j = row - o * p.n;
    store(i, T(runs((o * p.inner + c) * p.n + j)));
}
