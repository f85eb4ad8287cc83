// The gradient of the values that pool_max.wgsl chose: each element of the image collects from the windows it lies in
// those that chose it, in order. One result a thread; `count` counts elements of the image.
//
// Prelude: ADAPTIVE, as there; dy(i), index(i), store(i, v).

struct Params {
    count: u32, depth: u32, height: u32, width: u32, out_z: u32, out_y: u32, out_x: u32,
    kernel_z: u32, kernel_y: u32, kernel_x: u32, stride_z: u32, stride_y: u32, stride_x: u32,
    pad_z: u32, pad_y: u32, pad_x: u32,
    dilation_z: u32, dilation_y: u32, dilation_x: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

// The windows that reach over element i: the first, and one past the last.
fn windows(i: u32, out: u32, size: u32, kernel: u32, stride: u32, pad: u32, dilation: u32) -> vec2<u32> {
    if ADAPTIVE == 1u {
        return vec2<u32>(i * out / size, ((i + 1u) * out + size - 1u) / size);
    }
    let at = i + pad;
    let reach = (kernel - 1u) * dilation + 1u;
    var first = 0u;
    if at >= reach {
        first = (at - reach) / stride + 1u;
    }
    return vec2<u32>(first, min(at / stride + 1u, out));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * groups.x + group.x) * 64u + lane;
    if i >= p.count {
        return;
    }
    let q = i / p.width;
    let ix = i - q * p.width;
    let r = q / p.height;
    let iy = q - r * p.height;
    let plane = r / p.depth;
    let iz = r - plane * p.depth;
    let wz = windows(iz, p.out_z, p.depth, p.kernel_z, p.stride_z, p.pad_z, p.dilation_z);
    let wy = windows(iy, p.out_y, p.height, p.kernel_y, p.stride_y, p.pad_y, p.dilation_y);
    let wx = windows(ix, p.out_x, p.width, p.kernel_x, p.stride_x, p.pad_x, p.dilation_x);
    let own = i32((iz * p.height + iy) * p.width + ix);
    var sum = 0.0;
    for (var oz = wz.x; oz < wz.y; oz += 1u) {
        for (var oy = wy.x; oy < wy.y; oy += 1u) {
            let row = ((plane * p.out_z + oz) * p.out_y + oy) * p.out_x;
            for (var ox = wx.x; ox < wx.y; ox += 1u) {
                if i32(index(row + ox)) == own {
                    sum += dy(row + ox);
                }
            }
        }
    }
    store(i, sum);
}
