// Convolution, its input gradient and its weight gradient for GPUs, as one product
//     out[z, row, col] = sum_k a[row, k] * b[col (+) k];
// what the indices mean in each of the three is told in conv_registers.wgsl, whose Params these are.
//
// A workgroup of 256 threads makes a 64x64 tile, 16 steps of k at a time through workgroup memory (8.5 KiB);
// a thread makes 4x4 of it, as in matmul_shared.wgsl. A thread always loads the same four columns and every 16th
// step of k, so the columns' digits are taken apart once, and the digits of k move by those of 16 with carries.
//
// Prelude: DEEP (1: three spatial dimensions, 0: the slowest has size 1), STRIDED (1: the sum of start and step must be a multiple of the stride), OUT4 (1: columns are stored
// four at a time), ALONG_K (1: neighbouring threads load neighbouring steps: the weight gradient).

@group(1) @binding(0) var<uniform> p: ConvParams;

const PITCH = 17u;

var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_b: array<vec4<f32>, 272>;

// Where a thread stands in k: the four digits, and the plain number.
struct Step { k: u32, top: u32, deep: u32, high: u32, low: u32 }

fn step_at(k: u32) -> Step {
    let q = k / p.k_low;
    let r = q / p.k_high;
    var top = r;
    if DEEP == 1u { top = r / p.k_deep; }
    return Step(k, top, r - top * p.k_deep, q - r * p.k_high, k - q * p.k_low);
}

// 16 steps further.
fn advance(s: Step) -> Step {
    var low = s.low + p.jump_low;
    var high = s.high + p.jump_high;
    var deep = s.deep + p.jump_deep;
    var top = s.top + p.jump_k;
    if low >= p.k_low {
        low -= p.k_low;
        high += 1u;
    }
    if high >= p.k_high {
        high -= p.k_high;
        if DEEP == 1u { deep += 1u; } else { top += 1u; }
    }
    if DEEP == 1u && deep >= p.k_deep {
        deep -= p.k_deep;
        top += 1u;
    }
    return Step(s.k + 16u, top, deep, high, low);
}

fn a_if(ok: bool, i: u32) -> f32 {
    if ok { return a(i); }
    return 0.0;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let z = p.z0 + group.z;
    let outer = z / p.inner;
    let inner = z - outer * p.inner;
    // tiles_n and tiles are the first column and row here.
    let row = p.tiles + group.y * 64u;
    let col = p.tiles_n + group.x * 64u;

    // (step, vector of the tile) this thread loads of each operand; `a` is always contiguous along k.
    let ka = lane & 15u;
    let va = lane >> 4u;
    var kb = lane >> 4u;
    var vb = lane & 15u;
    if ALONG_K == 1u {
        kb = lane & 15u;
        vb = lane >> 4u;
    }
    let y = lane >> 4u;
    let x = lane & 15u;

    let cols = vec4<u32>(0u, 1u, 2u, 3u) + (col + vb * 4u);
    let c = min(cols, vec4<u32>(p.n - 1u, p.n - 1u, p.n - 1u, p.n - 1u));
    let q = c / p.c_low;
    let r = q / p.c_high;
    var h = r;
    if DEEP == 1u { h = r / p.c_deep; }
    let cx = (c - q * p.c_low) * p.start_x + p.origin_x;
    let cy = (q - r * p.c_high) * p.start_y + p.origin_y;
    let cz = (r - h * p.c_deep) * p.start_z + p.origin_z;
    let b_base = h * p.b_col + (p.b_at + inner * p.b_inner + outer * p.b_outer);

    let begin = outer * p.piece;
    let end = min(begin + select(p.k, p.piece, p.piece > 0u), p.k);
    var sa = step_at(begin + ka);
    var sb = step_at(begin + kb);
    let r0 = row + va * 4u;
    let a_base = p.a_at + inner * p.a_inner + outer * p.a_outer + r0 * p.a_row;

    var c0 = ZERO;
    var c1 = ZERO;
    var c2 = ZERO;
    var c3 = ZERO;
    for (var k = begin; k < end; k += 16u) {
        let i = a_base + sa.k + sa.top * p.a_carry;
        let ok = sa.k < end;
        tile_a[ka * PITCH + va] = vec4<f32>(
            a_if(ok && r0 < p.m, i),
            a_if(ok && r0 + 1u < p.m, i + p.a_row),
            a_if(ok && r0 + 2u < p.m, i + 2u * p.a_row),
            a_if(ok && r0 + 3u < p.m, i + 3u * p.a_row));
        var v = ZERO;
        if sb.k < end {
            v = image_at(b_base + sb.top * p.b_k, cz + sb.deep * p.step_z, cy + sb.high * p.step_y, cx + sb.low * p.step_x);
        }
        tile_b[kb * PITCH + vb] = v;
        sa = advance(sa);
        sb = advance(sb);
        workgroupBarrier();
        for (var s = 0u; s < 16u; s += 1u) {
            let u = tile_a[s * PITCH + y];
            let w = tile_b[s * PITCH + x];
            c0 += u.x * w;
            c1 += u.y * w;
            c2 += u.z * w;
            c3 += u.w * w;
        }
        workgroupBarrier();
    }

    let base = z * p.m * p.n;
    let first = row + y * 4u;
    let t = col + x * 4u;
    put_columns(base, first, t, c0);
    put_columns(base, first + 1u, t, c1);
    put_columns(base, first + 2u, t, c2);
    put_columns(base, first + 3u, t, c3);
}
