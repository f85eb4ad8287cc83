// Matrix product of 32-bit integers, wrapping: out[z, r, c] = sum_k a[z, r, k] * b[z, k, c]. One result a thread.
//
// Prelude: BATCH (how many batch dimensions exist, 0 to 4).

struct Params {
    m: u32, n: u32, k: u32,
    tiles_n: u32, tiles: u32, z0: u32,
    a_at: u32, a_row: u32, a_k: u32,
    b_at: u32, b_k: u32, b_col: u32,
    d1: u32, d2: u32, d3: u32,
    a_z0: u32, a_z1: u32, a_z2: u32, a_z3: u32,
    b_z0: u32, b_z1: u32, b_z2: u32, b_z3: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if i >= p.m * p.n {
        return;
    }
    let row = i / p.n;
    let col = i - row * p.n;
    let z = p.z0 + group.z;
    var at = p.a_at + row * p.a_row;
    var bt = p.b_at + col * p.b_col;
    if BATCH > 0u {
        var rest = z / p.d3;
        let z3 = z - rest * p.d3;
        let z2 = rest % p.d2;
        rest /= p.d2;
        let z1 = rest % p.d1;
        rest /= p.d1;
        at += z3 * p.a_z3 + z2 * p.a_z2 + z1 * p.a_z1 + rest * p.a_z0;
        bt += z3 * p.b_z3 + z2 * p.b_z2 + z1 * p.b_z1 + rest * p.b_z0;
    }
    var sum = 0i;
    let end = at_run_time(p.k, groups);
    for (var k = 0u; k < end; k += 1u) {
        sum += a(at) * b(bt);
        at += p.a_k;
        bt += p.b_k;
    }
    store(z * p.m * p.n + i, sum);
}
