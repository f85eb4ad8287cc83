// Matrix product of 32-bit integers, wrapping: out[z, r, c] = sum_k a[z, r, k] * b[z, k, c]. One result a thread.
//
// Prelude: BATCH (how many batch dimensions exist, 0 to 4).

@group(1) @binding(0) var<uniform> p: ProductParams;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if i >= p.m * p.n {
        return;
    }
    let row = i / p.n;
    let col = i - row * p.n;
    let starts = batch_starts(p.z0 + group.z);
    var at = starts.x + row * p.a_row;
    var bt = starts.y + col * p.b_col;
    var sum = 0i;
    let end = at_run_time(p.k, groups);
    for (var k = 0u; k < end; k += 1u) {
        sum += a(at) * b(bt);
        at += p.a_k;
        bt += p.b_k;
    }
    store((p.z0 + group.z) * p.m * p.n + i, sum);
}
