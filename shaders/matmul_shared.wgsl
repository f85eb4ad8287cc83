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

struct Params {
    m: u32, n: u32, k: u32,
    row0: u32, col0: u32, z0: u32,
    a_at: u32, a_row: u32, a_k: u32,
    b_at: u32, b_k: u32, b_col: u32,
    d1: u32, d2: u32, d3: u32,
    a_z0: u32, a_z1: u32, a_z2: u32, a_z3: u32,
    b_z0: u32, b_z1: u32, b_z2: u32, b_z3: u32,
}
@group(1) @binding(0) var<uniform> p: Params;

const ZERO = vec4<f32>(0.0, 0.0, 0.0, 0.0);
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

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let z = p.z0 + group.z;
    var at = p.a_at;
    var bt = p.b_at;
    if BATCH == 1u {
        at += z * p.a_z3;
        bt += z * p.b_z3;
    }
    if BATCH > 1u {
        var rest = z / p.d3;
        let z3 = z - rest * p.d3;
        let z2 = rest % p.d2;
        rest /= p.d2;
        let z1 = rest % p.d1;
        rest /= p.d1;
        at += z3 * p.a_z3 + z2 * p.a_z2 + z1 * p.a_z1 + rest * p.a_z0;
        bt += z3 * p.b_z3 + z2 * p.b_z2 + z1 * p.b_z1 + rest * p.b_z0;
    }
    let row = p.row0 + group.y * 64u;
    let col = p.col0 + group.x * 64u;

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
    put(base, r, c, c0);
    put(base, r + 1u, c, c1);
    put(base, r + 2u, c, c2);
    put(base, r + 3u, c, c3);
}
