// What the kernels of products and convolutions have in common. `p` are their parameters; see matmul_registers.wgsl and
// conv_registers.wgsl for what is computed.

// Columns col .. col+3 of a row of result `z`, which begins at `base`, as far as they exist.
fn put_columns(base: u32, row: u32, col: u32, v: vec4<f32>) {
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

// ---- matrix products ----

struct ProductParams {
    m: u32, n: u32, k: u32,
    // Columns of tiles, and all tiles; with tiles in workgroup memory the first row and column instead.
    tiles_n: u32, tiles: u32, z0: u32,
    a_at: u32, a_row: u32, a_k: u32,
    b_at: u32, b_k: u32, b_col: u32,
    d1: u32, d2: u32, d3: u32,
    a_z0: u32, a_z1: u32, a_z2: u32, a_z3: u32,
    b_z0: u32, b_z1: u32, b_z2: u32, b_z3: u32,
}

// Where matrix z of each operand begins.
fn batch_starts(z: u32) -> vec2<u32> {
    if BATCH == 0u {
        return vec2<u32>(p.a_at, p.b_at);
    }
    if BATCH == 1u {
        return vec2<u32>(p.a_at + z * p.a_z3, p.b_at + z * p.b_z3);
    }
    var rest = z / p.d3;
    let z3 = z - rest * p.d3;
    let z2 = rest % p.d2;
    rest /= p.d2;
    let z1 = rest % p.d1;
    rest /= p.d1;
    return vec2<u32>(
        p.a_at + z3 * p.a_z3 + z2 * p.a_z2 + z1 * p.a_z1 + rest * p.a_z0,
        p.b_at + z3 * p.b_z3 + z2 * p.b_z2 + z1 * p.b_z1 + rest * p.b_z0);
}

// Which of k, k+1, k+2, k+3 exist.
fn steps_inside(k: u32) -> vec4<bool> {
    return vec4<u32>(k, k + 1u, k + 2u, k + 3u) < vec4<u32>(p.k, p.k, p.k, p.k);
}

// Four steps of k of the row of `a` that starts at `at`.
fn a_row_at(at: u32, k: u32) -> vec4<f32> {
    if A_CLASS == 2u {
        return a4((at + k) >> 2u);
    }
    if K_TAIL == 1u {
        let last = p.k - 1u;
        let v = vec4<f32>(a(at + k * p.a_k), a(at + min(k + 1u, last) * p.a_k), a(at + min(k + 2u, last) * p.a_k), a(at + min(k + 3u, last) * p.a_k));
        return select(ZERO, v, steps_inside(k));
    }
    let i = at + k * p.a_k;
    return vec4<f32>(a(i), a(i + p.a_k), a(i + 2u * p.a_k), a(i + 3u * p.a_k));
}

// Four rows at step k of `a`, from the first row's start; zero past the end of k.
fn a_rows_at(at: u32, k: u32) -> vec4<f32> {
    if K_TAIL == 1u {
        return select(ZERO, a4((at + min(k, p.k - 1u) * p.a_k) >> 2u), k < p.k);
    }
    return a4((at + k * p.a_k) >> 2u);
}

// Four columns at step k of `b`; `at` are the columns' starts.
fn b_cols_at(at: vec4<u32>, k: u32) -> vec4<f32> {
    var row = k * p.b_k;
    if K_TAIL == 1u {
        row = min(k, p.k - 1u) * p.b_k;
    }
    var v: vec4<f32>;
    if B_CLASS == 1u {
        v = b4((at.x + row) >> 2u);
    } else {
        v = vec4<f32>(b(at.x + row), b(at.y + row), b(at.z + row), b(at.w + row));
    }
    if K_TAIL == 1u {
        return select(ZERO, v, k < p.k);
    }
    return v;
}

// ---- convolutions ----

struct ConvParams {
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

// Four elements of the image, at planes z, rows y and columns x (before the division by the stride).
fn image_at(base: vec4<u32>, z0: vec4<u32>, y0: vec4<u32>, x0: vec4<u32>) -> vec4<f32> {
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
