// Convolution, its input gradient and its weight gradient for adapters that run on the CPU, as one product
//     out[z, row, col] = sum_k a[row, k] * b[col (+) k],
// where the second operand is never laid out: element (k, col) of it is the image element at (z, y, x) = start(col) +
// step(k), or zero outside the image. Both indices have up to four digits (z is left out below):
//
//                      row      col                      k                        a         b
//     forward          channel  (-, output y, output x)  (channel, kernel y, x)   weight    input
//     input gradient   channel  (-, input y, input x)    (channel, kernel y, x)   weight    output gradient
//     weight gradient  channel  (channel, kernel y, x)   (image, output y, x)     output    input
//                                                                                 gradient
//
// and all differences between the three are numbers in Params. Stepping through k advances the digits with
// carries, without divisions. With STRIDED = 1 (input gradient of a strided convolution) the sum of start and step
// must be a multiple of the stride.
//
// One thread makes an 8x8 tile in named registers, without workgroup memory, as in matmul_registers.wgsl. Grid
// z: z = outer * inner + group, where outer counts images, or pieces of k.
//
// Prelude: DEEP (1: three spatial dimensions, 0: the slowest has size 1), STRIDED, OUT4 (1: columns are stored four at a time).

@group(1) @binding(0) var<uniform> p: ConvParams;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = (group.y * groups.x + group.x) * 64u + lane;
    if tile >= p.tiles {
        return;
    }
    let tile_row = tile / p.tiles_n;
    let row = tile_row * 8u;
    let col = (tile - tile_row * p.tiles_n) * 8u;
    let z = p.z0 + group.z;
    let outer = z / p.inner;
    let inner = z - outer * p.inner;

    // Columns past the edge repeat the last one.
    let last = vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u);
    let cols = vec4<u32>(col, col + 1u, col + 2u, col + 3u);
    let cl = min(cols, last);
    let cr = min(cols + 4u, last);
    let ql = cl / p.c_low;
    let qr = cr / p.c_low;
    let rl = ql / p.c_high;
    let rr = qr / p.c_high;
    var hl = rl;
    var hr = rr;
    if DEEP == 1u {
        hl = rl / p.c_deep;
        hr = rr / p.c_deep;
    }
    let zl = (rl - hl * p.c_deep) * p.start_z + p.origin_z;
    let zr = (rr - hr * p.c_deep) * p.start_z + p.origin_z;
    let xl = (cl - ql * p.c_low) * p.start_x + p.origin_x;
    let xr = (cr - qr * p.c_low) * p.start_x + p.origin_x;
    let yl = (ql - rl * p.c_high) * p.start_y + p.origin_y;
    let yr = (qr - rr * p.c_high) * p.start_y + p.origin_y;
    let b_base = p.b_at + inner * p.b_inner + outer * p.b_outer;

    // The digits of the first step.
    let begin = outer * p.piece;
    let end = min(begin + select(p.k, p.piece, p.piece > 0u), p.k);
    let q = begin / p.k_low;
    var low = begin - q * p.k_low;
    let rest = q / p.k_high;
    var k_top = rest;
    if DEEP == 1u { k_top = rest / p.k_deep; }
    var deep = rest - k_top * p.k_deep;
    var high = q - rest * p.k_high;
    var step_z = deep * p.step_z;
    var step_y = high * p.step_y;
    var step_x = low * p.step_x;
    var bl = hl * p.b_col + b_base + k_top * p.b_k;
    var br = hr * p.b_col + b_base + k_top * p.b_k;

    let a_base = p.a_at + inner * p.a_inner + outer * p.a_outer + begin + k_top * p.a_carry;
    let end_row = p.m - 1u;
    var i0 = a_base + row * p.a_row;
    var i1 = a_base + min(row + 1u, end_row) * p.a_row;
    var i2 = a_base + min(row + 2u, end_row) * p.a_row;
    var i3 = a_base + min(row + 3u, end_row) * p.a_row;
    var i4 = a_base + min(row + 4u, end_row) * p.a_row;
    var i5 = a_base + min(row + 5u, end_row) * p.a_row;
    var i6 = a_base + min(row + 6u, end_row) * p.a_row;
    var i7 = a_base + min(row + 7u, end_row) * p.a_row;
    var ka = 0u;

    var c0l = ZERO; var c1l = ZERO; var c2l = ZERO; var c3l = ZERO;
    var c4l = ZERO; var c5l = ZERO; var c6l = ZERO; var c7l = ZERO;
    var c0r = ZERO; var c1r = ZERO; var c2r = ZERO; var c3r = ZERO;
    var c4r = ZERO; var c5r = ZERO; var c6r = ZERO; var c7r = ZERO;

    for (var k = begin; k < end; k += 1u) {
        let l = image_at(bl, zl + step_z, yl + step_y, xl + step_x);
        let r = image_at(br, zr + step_z, yr + step_y, xr + step_x);
        var s = a(i0 + ka);
        c0l += s * l; c0r += s * r;
        s = a(i1 + ka);
        c1l += s * l; c1r += s * r;
        s = a(i2 + ka);
        c2l += s * l; c2r += s * r;
        s = a(i3 + ka);
        c3l += s * l; c3r += s * r;
        s = a(i4 + ka);
        c4l += s * l; c4r += s * r;
        s = a(i5 + ka);
        c5l += s * l; c5r += s * r;
        s = a(i6 + ka);
        c6l += s * l; c6r += s * r;
        s = a(i7 + ka);
        c7l += s * l; c7r += s * r;

        ka += 1u;
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
                    ka += p.a_carry;
                    bl += p.b_k;
                    br += p.b_k;
                }
            }
        }
    }

    // One copy of what happens to a row: see matmul_registers.wgsl.
    let base = z * p.m * p.n;
    let last_row = at_run_time(row + 8u, groups);
    for (var r = row; r < last_row; r += 1u) {
        put_columns(base, r, col, c0l);
        put_columns(base, r, col + 4u, c0r);
        c0l = c1l; c0r = c1r;
        c1l = c2l; c1r = c2r;
        c2l = c3l; c2r = c3r;
        c3l = c4l; c3r = c4r;
        c4l = c5l; c4r = c5r;
        c5l = c6l; c5r = c6r;
        c6l = c7l; c6r = c7r;
    }
}
