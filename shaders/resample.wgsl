// A sparse linear map along one dimension: y[o, j, c] = sum over k in first[j] .. first[j + 1] of
// weight[k] * x[o, col[k], c]. Interpolation is made of these, one for each axis; its gradient is the transposed map.
//
// One result a thread. Neighbouring threads share a row of the table and read neighbouring elements of x where the
// dimension is not the last one; along the last one they read nearby elements.

struct Params {
    count: u32,
    // Rows of the map, elements of x along the dimension, elements behind it.
    rows: u32, size: u32, inner: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if i >= p.count {
        return;
    }
    let q = i / p.inner;
    let c = i - q * p.inner;
    let outer = q / p.rows;
    let row = q - outer * p.rows;
    let base = outer * p.size * p.inner + c;
    let end = u32(first(row + 1u));
    var sum = 0.0;
    for (var k = u32(first(row)); k < end; k += 1u) {
        sum += weight(k) * x(base + u32(col(k)) * p.inner);
    }
    store(i, sum);
}
