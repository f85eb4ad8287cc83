// Convolution and its input gradient where each group makes one channel, as depthwise convolutions do: the product of
// conv_registers.wgsl with a single row. A tile of several rows would load and multiply for channels that do not exist.
//
// One thread makes four neighbouring pixels of one channel of one image (grid z) and walks through the taps: one weight and
// four pixels loaded for four sums. The loads of neighbouring taps overlap and come from the cache; no workgroup memory, no barriers.
//
// Prelude: DEEP, STRIDED, OUT4, as in conv_registers.wgsl.

@group(1) @binding(0) var<uniform> p: ConvParams;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = (group.y * groups.x + group.x) * 64u + lane;
    if tile >= p.tiles {
        return;
    }
    let col = tile * 4u;
    let z = p.z0 + group.z;
    let outer = z / p.inner;
    let inner = z - outer * p.inner;

    // Columns past the edge repeat the last one.
    let cols = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u));
    let q = cols / p.c_low;
    let r = q / p.c_high;
    var top = r;
    if DEEP == 1u {
        top = r / p.c_deep;
    }
    let at_z = (r - top * p.c_deep) * p.start_z + p.origin_z;
    let at_y = (q - r * p.c_high) * p.start_y + p.origin_y;
    let at_x = (cols - q * p.c_low) * p.start_x + p.origin_x;

    var image = top * p.b_col + p.b_at + inner * p.b_inner + outer * p.b_outer;
    var weight = p.a_at + inner * p.a_inner + outer * p.a_outer;
    var low = 0u;
    var high = 0u;
    var deep = 0u;
    var step_z = 0u;
    var step_y = 0u;
    var step_x = 0u;
    var sum = ZERO;
    let end = at_run_time(p.k, groups);
    for (var k = 0u; k < end; k += 1u) {
        sum += a(weight) * image_at(image, at_z + step_z, at_y + step_y, at_x + step_x);
        weight += 1u;
        low += 1u;
        step_x += p.step_x;
        if low == p.k_low {
            low = 0u;
            step_x = 0u;
            high += 1u;
            step_y += p.step_y;
            if high == p.k_high {
                high = 0u;
                step_y = 0u;
                deep += 1u;
                step_z += p.step_z;
                if DEEP == 0u || deep == p.k_deep {
                    deep = 0u;
                    step_z = 0u;
                    weight += p.a_carry;
                    image += p.b_k;
                }
            }
        }
    }
    put_columns(z * p.n, 0u, col, sum);
}
