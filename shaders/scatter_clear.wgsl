// Scatter with many indices, before scatter_heads.wgsl: no place has a run yet.
// Prelude: store_s(i, v).

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
    store_s(i, 0.0);
}
