// Where the maximum of each window of an image of three dimensions (fewer have size 1) lies, as an index into the
// volume: the first one; a NaN wins. One result a thread. Windows never lie wholly in the padding.
//
// Prelude: ADAPTIVE (1: windows share the image evenly, 0: kernel, stride, padding, dilation).

struct Params {
    count: u32, depth: u32, height: u32, width: u32, out_z: u32, out_y: u32, out_x: u32,
    kernel_z: u32, kernel_y: u32, kernel_x: u32, stride_z: u32, stride_y: u32, stride_x: u32,
    pad_z: u32, pad_y: u32, pad_x: u32,
    dilation_z: u32, dilation_y: u32, dilation_x: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

// The first element of window o that lies in the image; a negative start moves up by whole steps.
fn first(o: u32, out: u32, size: u32, stride: u32, pad: u32, dilation: u32) -> u32 {
    if ADAPTIVE == 1u {
        return o * size / out;
    }
    let at = o * stride;
    if at >= pad {
        return at - pad;
    }
    return min((dilation - (pad - at) % dilation) % dilation, size - 1u);
}

// One past the last element.
fn end(o: u32, out: u32, size: u32, kernel: u32, stride: u32, pad: u32, dilation: u32) -> u32 {
    if ADAPTIVE == 1u {
        return ((o + 1u) * size + out - 1u) / out;
    }
    return min(o * stride + (kernel - 1u) * dilation + 1u, size + pad) - pad;
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
    let z0 = first(oz, p.out_z, p.depth, p.stride_z, p.pad_z, p.dilation_z);
    let y0 = first(oy, p.out_y, p.height, p.stride_y, p.pad_y, p.dilation_y);
    let x0 = first(ox, p.out_x, p.width, p.stride_x, p.pad_x, p.dilation_x);
    let z1 = end(oz, p.out_z, p.depth, p.kernel_z, p.stride_z, p.pad_z, p.dilation_z);
    let y1 = end(oy, p.out_y, p.height, p.kernel_y, p.stride_y, p.pad_y, p.dilation_y);
    let x1 = end(ox, p.out_x, p.width, p.kernel_x, p.stride_x, p.pad_x, p.dilation_x);
    let base = plane * p.depth * p.height * p.width;
    var best = (z0 * p.height + y0) * p.width + x0;
    var most = x(base + best);
    for (var iz = z0; iz < z1; iz += p.dilation_z) {
        for (var iy = y0; iy < y1; iy += p.dilation_y) {
            for (var ix = x0; ix < x1; ix += p.dilation_x) {
                let at = (iz * p.height + iy) * p.width + ix;
                let v = x(base + at);
                // Not a number: all exponent bits and more.
                if v > most || (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u {
                    most = v;
                    best = at;
                }
            }
        }
    }
    store(i, i32(best));
}
