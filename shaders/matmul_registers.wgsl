// Matrix product for adapters that run on the CPU: out[z, r, c] = sum_k a[z, r, k] * b[z, k, c].
//
// One thread makes an 8x8 tile in named registers, four steps of k at a time, without workgroup memory:
// on a software adapter a barrier costs as much as 35 multiplications and a load as much as 13, so each
// loaded number is used 8 times and nothing is shared. Threads are numbered along the columns first.
// Rows and columns past the edge repeat the last one and are not stored.
//
// Prelude: A_CLASS (0: any strides, 1: 4-vectors along rows, 2: 4-vectors along k), B_CLASS (0: any, 1: along
// columns, 2: along k), K_TAIL (1: k is no multiple of 4), OUT4 (1: columns are stored four at a time),
// BATCH (how many of the batch dimensions exist, 0 to 4).

@group(1) @binding(0) var<uniform> p: ProductParams;

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
    let starts = batch_starts(z);
    let at = starts.x;
    let bt = starts.y;

    let end_row = p.m - 1u;
    let at0 = at + row * p.a_row;
    let at1 = at + min(row + 1u, end_row) * p.a_row;
    let at2 = at + min(row + 2u, end_row) * p.a_row;
    let at3 = at + min(row + 3u, end_row) * p.a_row;
    var at4 = at + min(row + 4u, end_row) * p.a_row;
    let at5 = at + min(row + 5u, end_row) * p.a_row;
    let at6 = at + min(row + 6u, end_row) * p.a_row;
    let at7 = at + min(row + 7u, end_row) * p.a_row;
    if A_CLASS == 1u {
        at4 = at + min(row + 4u, p.m - 4u) * p.a_row;
    }
    let end_col = vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u);
    let cols = vec4<u32>(col, col + 1u, col + 2u, col + 3u);
    let btl = vec4<u32>(bt, bt, bt, bt) + min(cols, end_col) * p.b_col;
    var btr = vec4<u32>(bt, bt, bt, bt) + min(cols + 4u, end_col) * p.b_col;
    if B_CLASS == 1u {
        btr.x = bt + min(col + 4u, p.n - 4u) * p.b_col;
    }

    var c0l = ZERO; var c1l = ZERO; var c2l = ZERO; var c3l = ZERO;
    var c4l = ZERO; var c5l = ZERO; var c6l = ZERO; var c7l = ZERO;
    var c0r = ZERO; var c1r = ZERO; var c2r = ZERO; var c3r = ZERO;
    var c4r = ZERO; var c5r = ZERO; var c6r = ZERO; var c7r = ZERO;

    let end = at_run_time(p.k, groups);
    for (var k = 0u; k < end; k += 4u) {
        var r0: vec4<f32>; var r1: vec4<f32>; var r2: vec4<f32>; var r3: vec4<f32>;
        var r4: vec4<f32>; var r5: vec4<f32>; var r6: vec4<f32>; var r7: vec4<f32>;
        if A_CLASS == 1u {
            let t0 = a_rows_at(at0, k);
            let t1 = a_rows_at(at0, k + 1u);
            let t2 = a_rows_at(at0, k + 2u);
            let t3 = a_rows_at(at0, k + 3u);
            let u0 = a_rows_at(at4, k);
            let u1 = a_rows_at(at4, k + 1u);
            let u2 = a_rows_at(at4, k + 2u);
            let u3 = a_rows_at(at4, k + 3u);
            r0 = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
            r1 = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
            r2 = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
            r3 = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
            r4 = vec4<f32>(u0.x, u1.x, u2.x, u3.x);
            r5 = vec4<f32>(u0.y, u1.y, u2.y, u3.y);
            r6 = vec4<f32>(u0.z, u1.z, u2.z, u3.z);
            r7 = vec4<f32>(u0.w, u1.w, u2.w, u3.w);
        } else {
            r0 = a_row_at(at0, k);
            r1 = a_row_at(at1, k);
            r2 = a_row_at(at2, k);
            r3 = a_row_at(at3, k);
            r4 = a_row_at(at4, k);
            r5 = a_row_at(at5, k);
            r6 = a_row_at(at6, k);
            r7 = a_row_at(at7, k);
        }

        var b0l: vec4<f32>; var b1l: vec4<f32>; var b2l: vec4<f32>; var b3l: vec4<f32>;
        var b0r: vec4<f32>; var b1r: vec4<f32>; var b2r: vec4<f32>; var b3r: vec4<f32>;
        if B_CLASS == 2u {
            let t0 = b4((btl.x + k) >> 2u);
            let t1 = b4((btl.y + k) >> 2u);
            let t2 = b4((btl.z + k) >> 2u);
            let t3 = b4((btl.w + k) >> 2u);
            let u0 = b4((btr.x + k) >> 2u);
            let u1 = b4((btr.y + k) >> 2u);
            let u2 = b4((btr.z + k) >> 2u);
            let u3 = b4((btr.w + k) >> 2u);
            b0l = vec4<f32>(t0.x, t1.x, t2.x, t3.x);
            b1l = vec4<f32>(t0.y, t1.y, t2.y, t3.y);
            b2l = vec4<f32>(t0.z, t1.z, t2.z, t3.z);
            b3l = vec4<f32>(t0.w, t1.w, t2.w, t3.w);
            b0r = vec4<f32>(u0.x, u1.x, u2.x, u3.x);
            b1r = vec4<f32>(u0.y, u1.y, u2.y, u3.y);
            b2r = vec4<f32>(u0.z, u1.z, u2.z, u3.z);
            b3r = vec4<f32>(u0.w, u1.w, u2.w, u3.w);
        } else {
            b0l = b_cols_at(btl, k);
            b1l = b_cols_at(btl, k + 1u);
            b2l = b_cols_at(btl, k + 2u);
            b3l = b_cols_at(btl, k + 3u);
            b0r = b_cols_at(btr, k);
            b1r = b_cols_at(btr, k + 1u);
            b2r = b_cols_at(btr, k + 2u);
            b3r = b_cols_at(btr, k + 3u);
        }

        c0l += r0.x * b0l + r0.y * b1l + r0.z * b2l + r0.w * b3l;
        c0r += r0.x * b0r + r0.y * b1r + r0.z * b2r + r0.w * b3r;
        c1l += r1.x * b0l + r1.y * b1l + r1.z * b2l + r1.w * b3l;
        c1r += r1.x * b0r + r1.y * b1r + r1.z * b2r + r1.w * b3r;
        c2l += r2.x * b0l + r2.y * b1l + r2.z * b2l + r2.w * b3l;
        c2r += r2.x * b0r + r2.y * b1r + r2.z * b2r + r2.w * b3r;
        c3l += r3.x * b0l + r3.y * b1l + r3.z * b2l + r3.w * b3l;
        c3r += r3.x * b0r + r3.y * b1r + r3.z * b2r + r3.w * b3r;
        c4l += r4.x * b0l + r4.y * b1l + r4.z * b2l + r4.w * b3l;
        c4r += r4.x * b0r + r4.y * b1r + r4.z * b2r + r4.w * b3r;
        c5l += r5.x * b0l + r5.y * b1l + r5.z * b2l + r5.w * b3l;
        c5r += r5.x * b0r + r5.y * b1r + r5.z * b2r + r5.w * b3r;
        c6l += r6.x * b0l + r6.y * b1l + r6.z * b2l + r6.w * b3l;
        c6r += r6.x * b0r + r6.y * b1r + r6.z * b2r + r6.w * b3r;
        c7l += r7.x * b0l + r7.y * b1l + r7.z * b2l + r7.w * b3l;
        c7r += r7.x * b0r + r7.y * b1r + r7.z * b2r + r7.w * b3r;
    }

    // One copy of what happens to a row, its epilogue above all: eight take most of the time to compile, and an
    // array that is indexed more than that.
    let base = z * p.m * p.n;
    let last = at_run_time(row + 8u, groups);
    for (var r = row; r < last; r += 1u) {
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
