// The gradient of pool_avg.wgsl: each element of the image collects from the windows it lies in, in order. One result
// a thread; `count` counts elements of the image.
//
// Prelude: ADAPTIVE, INCLUDE_PAD, as there.

struct Params {
    count: u32, depth: u32, height: u32, width: u32, out_z: u32, out_y: u32, out_x: u32,
    kernel_z: u32, kernel_y: u32, kernel_x: u32, stride_z: u32, stride_y: u32, stride_x: u32,
    pad_z: u32, pad_y: u32, pad_x: u32,
    divisor: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

// The windows element i lies in: the first, and one past the last.
fn windows(i: u32, out: u32, size: u32, kernel: u32, stride: u32, pad: u32) -> vec2<u32> {
    if ADAPTIVE == 1u {
        return vec2<u32>(i * out / size, ((i + 1u) * out + size - 1u) / size);
    }
    let at = i + pad;
    var first = 0u;
    if at >= kernel {
        first = (at - kernel) / stride + 1u;
    }
    return vec2<u32>(first, min(at / stride + 1u, out));
}

// How many elements of window o count.
fn counted(o: u32, out: u32, size: u32, kernel: u32, stride: u32, pad: u32) -> u32 {
    if ADAPTIVE == 1u {
        return ((o + 1u) * size + out - 1u) / out - o * size / out;
    }
    let s = o * stride;
    let e = min(s + kernel, size + 2u * pad);
    return select(min(e, size + pad) - max(s, pad), e - s, INCLUDE_PAD == 1u);
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
    let wz = windows(iz, p.out_z, p.depth, p.kernel_z, p.stride_z, p.pad_z);
    let wy = windows(iy, p.out_y, p.height, p.kernel_y, p.stride_y, p.pad_y);
    let wx = windows(ix, p.out_x, p.width, p.kernel_x, p.stride_x, p.pad_x);
    var sum = 0.0;
    for (var oz = wz.x; oz < wz.y; oz += 1u) {
        let nz = counted(oz, p.out_z, p.depth, p.kernel_z, p.stride_z, p.pad_z);
        for (var oy = wy.x; oy < wy.y; oy += 1u) {
            let n = nz * counted(oy, p.out_y, p.height, p.kernel_y, p.stride_y, p.pad_y);
            let row = ((plane * p.out_z + oz) * p.out_y + oy) * p.out_x;
            for (var ox = wx.x; ox < wx.y; ox += 1u) {
                let nx = counted(ox, p.out_x, p.width, p.kernel_x, p.stride_x, p.pad_x);
                sum += dy(row + ox) / f32(select(p.divisor, n * nx, p.divisor == 0u));
            }
        }
    }
    store(i, sum);
}
