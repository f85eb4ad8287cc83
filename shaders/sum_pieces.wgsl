// Adds up the pieces a product along k was cut into, in order: out[i] = sum_s part[s * len + i].

struct Params { len: u32, pieces: u32 }
@group(1) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if i >= p.len {
        return;
    }
    var sum = 0.0;
    let end = at_run_time(p.pieces, groups);
    for (var s = 0u; s < end; s += 1u) {
        sum += part(s * p.len + i);
    }
    store(i, sum);
}
