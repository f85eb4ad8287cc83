// Scatter with many indices, after they are sorted (sort_tile.wgsl): where the run of each place begins.
//
// The indices of a list are sorted stably, so those that name the same place lie together, in their order. The scratch
// buffer s gets for each place one more than the rank of the first of them; scatter_clear.wgsl has written 0 for places that none
// names. One invocation a rank; each word has one writer.
// Prelude: index(i), runs(i), store_s(i, v), fault(value, position, size).

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
    // Lists lie one after the other in `runs`; list = (o, c). For whole slices there is one, and inner is 1.
    let list = i / p.n;
    let rank = i - list * p.n;
    let o = list / p.inner;
    let c = list - o * p.inner;
    let first = o * p.n * p.inner + c;
    let at = first + u32(runs(i)) * p.inner;
    let own = i32(index(at));
    if own < 0 || own >= i32(p.size) {
        fault(own, at, p.size);
        return;
    }
    var starts = rank == 0u;
    if !starts {
        starts = i32(index(first + u32(runs(i - 1u)) * p.inner)) != own;
    }
    if starts {
        store_s((o * p.size + u32(own)) * p.inner + c, f32(rank + 1u));
    }
}
