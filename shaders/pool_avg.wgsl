// The mean of each window of an image of three dimensions (fewer have size 1), one result a thread.
//
// Prelude: ADAPTIVE (1: windows share the image evenly, 0: kernel, stride, padding), INCLUDE_PAD (1: padding counts
// as zeros).

struct Params {
    count: u32, depth: u32, height: u32, width: u32, out_z: u32, out_y: u32, out_x: u32,
    kernel_z: u32, kernel_y: u32, kernel_x: u32, stride_z: u32, stride_y: u32, stride_x: u32,
    pad_z: u32, pad_y: u32, pad_x: u32,
    // What to divide by; 0: the number of elements.
    divisor: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

// First element, one past the last, and how many count.
fn window(o: u32, out: u32, size: u32, kernel: u32, stride: u32, pad: u32) -> vec3<u32> {
    if ADAPTIVE == 1u {
        let s = o * size / out;
        let e = ((o + 1u) * size + out - 1u) / out;
        return vec3<u32>(s, e, e - s);
    }
    // In padded coordinates.
    let s = o * stride;
    let e = min(s + kernel, size + 2u * pad);
    let first = max(s, pad) - pad;
    let end = min(e, size + pad) - pad;
    return vec3<u32>(first, end, select(end - first, e - s, INCLUDE_PAD == 1u));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if i >= p.count {
        return;
    }
    let q = i / p.out_x;
    let ox = i - q * p.out_x;
    let r = q / p.out_y;
    let oy = q - r * p.out_y;
    let plane = r / p.out_z;
    let oz = r - plane * p.out_z;
    let wz = window(oz, p.out_z, p.depth, p.kernel_z, p.stride_z, p.pad_z);
    let wy = window(oy, p.out_y, p.height, p.kernel_y, p.stride_y, p.pad_y);
    let wx = window(ox, p.out_x, p.width, p.kernel_x, p.stride_x, p.pad_x);
    var sum = 0.0;
    for (var iz = wz.x; iz < wz.y; iz += 1u) {
        for (var iy = wy.x; iy < wy.y; iy += 1u) {
            let row = ((plane * p.depth + iz) * p.height + iy) * p.width;
            for (var ix = wx.x; ix < wx.y; ix += 1u) {
                sum += x(row + ix);
            }
        }
    }
    store(i, sum / f32(select(p.divisor, wz.z * wy.z * wx.z, p.divisor == 0u)));
}
