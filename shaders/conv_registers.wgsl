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

struct Params {
    m: u32, n: u32, k: u32,
    tiles_n: u32, tiles: u32, z0: u32,
    inner: u32, piece: u32,
    a_at: u32, a_row: u32, a_carry: u32, a_inner: u32, a_outer: u32,
    b_at: u32, b_inner: u32, b_outer: u32,
    // The image b: sizes; the distance of the slowest digit of k and of col.
    depth: u32, height: u32, width: u32, b_k: u32, b_col: u32,
    // Sizes of the faster digits of k, and how far each moves in the image.
    k_deep: u32, k_high: u32, k_low: u32, step_z: u32, step_y: u32, step_x: u32,
    // The same for col, and where the image begins.
    c_deep: u32, c_high: u32, c_low: u32, start_z: u32, start_y: u32, start_x: u32,
    origin_z: u32, origin_y: u32, origin_x: u32,
    stride_z: u32, stride_y: u32, stride_x: u32, inverse_z: f32, inverse_y: f32, inverse_x: f32,
    // Digits of 16, for the kernel that takes 16 steps at a time.
    jump_k: u32, jump_deep: u32, jump_high: u32, jump_low: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

const ZERO = vec4<f32>(0.0, 0.0, 0.0, 0.0);

// Four elements of the image, at planes z, rows y and columns x (before the division by the stride).
fn image(base: vec4<u32>, z0: vec4<u32>, y0: vec4<u32>, x0: vec4<u32>) -> vec4<f32> {
    var z = z0;
    var y = y0;
    var x = x0;
    var ok = vec4<bool>(true, true, true, true);
    if STRIDED == 1u {
        // Exact for what lies in the image: half a step away from every rounding edge.
        y = vec4<u32>((vec4<f32>(y0) + 0.5) * p.inverse_y);
        x = vec4<u32>((vec4<f32>(x0) + 0.5) * p.inverse_x);
        ok = (y * p.stride_y == y0) & (x * p.stride_x == x0);
    }
    // A negative coordinate is a large unsigned one.
    ok = ok & (y < vec4<u32>(p.height, p.height, p.height, p.height)) & (x < vec4<u32>(p.width, p.width, p.width, p.width));
    var row = y;
    if DEEP == 1u {
        if STRIDED == 1u {
            z = vec4<u32>((vec4<f32>(z0) + 0.5) * p.inverse_z);
            ok = ok & (z * p.stride_z == z0);
        }
        ok = ok & (z < vec4<u32>(p.depth, p.depth, p.depth, p.depth));
        row = z * p.height + y;
    }
    let i = select(vec4<u32>(0u, 0u, 0u, 0u), base + row * p.width + x, ok);
    return select(ZERO, vec4<f32>(b(i.x), b(i.y), b(i.z), b(i.w)), ok);
}

fn put(base: u32, row: u32, col: u32, v: vec4<f32>) {
    if row >= p.m || col >= p.n {
        return;
    }
    let i = base + row * p.n + col;
    if OUT4 == 1u {
        store4(i >> 2u, v);
        return;
    }
    store(i, v.x);
    if col + 1u < p.n { store(i + 1u, v.y); }
    if col + 2u < p.n { store(i + 2u, v.z); }
    if col + 3u < p.n { store(i + 3u, v.w); }
}

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
        let l = image(bl, zl + step_z, yl + step_y, xl + step_x);
        let r = image(br, zr + step_z, yr + step_y, xr + step_x);
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
        put(base, r, col, c0l);
        put(base, r, col + 4u, c0r);
        c0l = c1l; c0r = c1r;
        c1l = c2l; c1r = c2r;
        c2l = c3l; c2r = c3r;
        c3l = c4l; c3r = c4r;
        c4l = c5l; c4r = c5r;
        c5l = c6l; c5r = c6r;
        c6l = c7l; c6r = c7r;
    }
}
