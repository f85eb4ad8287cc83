// Scatter with many indices, the last step: each element of y takes the contributions of its run, in order.
// See scatter_heads.wgsl for the runs, scatter.wgsl for what is computed.
// Prelude: const SLICES, HOW, ORDER; base(i), index(i), src(i), runs(i), head(i), store(i, v).

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
    let place = row - o * p.size;
    var value = base(i);
    // For single elements the heads lie as y does.
    var rank = u32(head(select(i, place, SLICES == 1u)));
    let list = select((o * p.inner + c) * p.n, 0u, SLICES == 1u);
    while rank > 0u {
        let j = u32(runs(list + rank - 1u));
        value = written(value, src((o * p.n + j) * p.inner + c), HOW, ORDER);
        var next = 0u;
        if rank < p.n {
            let then = u32(runs(list + rank));
            if u32(index(select((o * p.n + then) * p.inner + c, then, SLICES == 1u))) == place {
                next = rank + 1u;
            }
        }
        rank = next;
    }
    store(i, value);
}
