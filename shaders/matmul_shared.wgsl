// Matrix product for GPUs: out[z, r, c] = sum_k a[z, r, k] * b[z, k, c].
//
// A workgroup of 256 threads makes a 64x64 tile, 16 steps of k at a time through workgroup memory
// (8.5 KiB); a thread makes 4x4 of it. Tiles lie in memory by k, four rows (columns) to a vector, so that one
// step of k is two vector loads for 16 multiplications; a row of 17 vectors keeps the writes of the operand that
// is contiguous along k apart in the banks. Who loads what follows the operand's contiguous direction.
// Everything past an edge is loaded as zero and not stored.
//
// Prelude: A_CLASS (0: contiguous along k or any strides, 1: 4-vectors along rows, 3: contiguous along rows),
// B_CLASS (0: along k or any, 1: 4-vectors along columns, 3: contiguous along columns), OUT4 (1: columns are stored
// four at a time), BATCH (how many batch dimensions exist, 0 to 4).

@group(1) @binding(0) var<uniform> p: ProductParams;

const PITCH = 17u;

var<workgroup> tile_a: array<vec4<f32>, 272>;
var<workgroup> tile_b: array<vec4<f32>, 272>;

fn a_if(ok: bool, i: u32) -> f32 {
    if ok { return a(i); }
    return 0.0;
}

fn b_if(ok: bool, i: u32) -> f32 {
    if ok { return b(i); }
    return 0.0;
}

// Rows row..row+3 of `a` at step k.
fn load_a(at: u32, row: u32, k: u32) -> vec4<f32> {
    if k >= p.k || row >= p.m {
        return ZERO;
    }
    let i = at + row * p.a_row + k * p.a_k;
    if A_CLASS == 1u {
        return a4(i >> 2u);
    }
    return vec4<f32>(a(i), a_if(row + 1u < p.m, i + p.a_row), a_if(row + 2u < p.m, i + 2u * p.a_row), a_if(row + 3u < p.m, i + 3u * p.a_row));
}

// Columns col..col+3 of `b` at step k.
fn load_b(at: u32, k: u32, col: u32) -> vec4<f32> {
    if k >= p.k || col >= p.n {
        return ZERO;
    }
    let i = at + k * p.b_k + col * p.b_col;
    if B_CLASS == 1u {
        return b4(i >> 2u);
    }
    return vec4<f32>(b(i), b_if(col + 1u < p.n, i + p.b_col), b_if(col + 2u < p.n, i + 2u * p.b_col), b_if(col + 3u < p.n, i + 3u * p.b_col));
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let z = p.z0 + group.z;
    let starts = batch_starts(z);
    let at = starts.x;
    let bt = starts.y;
    // tiles_n and tiles are the first row and column here.
    let row = p.tiles_n + group.y * 64u;
    let col = p.tiles + group.x * 64u;

    // (step of k, vector of the tile) this thread loads: neighbours follow the contiguous direction.
    var ka = lane >> 4u;
    var va = lane & 15u;
    if A_CLASS == 0u {
        ka = lane & 15u;
        va = lane >> 4u;
    }
    var kb = lane >> 4u;
    var vb = lane & 15u;
    if B_CLASS == 0u {
        kb = lane & 15u;
        vb = lane >> 4u;
    }
    let y = lane >> 4u;
    let x = lane & 15u;

    var c0 = ZERO;
    var c1 = ZERO;
    var c2 = ZERO;
    var c3 = ZERO;
    for (var k = 0u; k < p.k; k += 16u) {
        tile_a[ka * PITCH + va] = load_a(at, row + va * 4u, k + ka);
        tile_b[kb * PITCH + vb] = load_b(bt, k + kb, col + vb * 4u);
        workgroupBarrier();
        for (var s = 0u; s < 16u; s += 1u) {
            let u = tile_a[s * PITCH + y];
            let v = tile_b[s * PITCH + x];
            c0 += u.x * v;
            c1 += u.y * v;
            c2 += u.z * v;
            c3 += u.w * v;
        }
        workgroupBarrier();
    }

    let base = z * p.m * p.n;
    let r = row + y * 4u;
    let c = col + x * 4u;
    put_columns(base, r, c, c0);
    put_columns(base, r + 1u, c, c1);
    put_columns(base, r + 2u, c, c2);
    put_columns(base, r + 3u, c, c3);
}
