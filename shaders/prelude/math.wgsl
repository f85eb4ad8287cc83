// Elementwise functions over the aliases V (f32), VI (i32), VU (u32) and VB (bool), which the kernel makes
// scalars or 4-vectors. No branches, so that both work; NaN is found by its bits, since compilers may
// assume that comparisons never see one.

fn is_nan(x: V) -> VB { return (bitcast<VU>(x) & VU(0x7fffffffu)) > VU(0x7f800000u); }

fn is_inf(x: V) -> VB { return (bitcast<VU>(x) & VU(0x7fffffffu)) == VU(0x7f800000u); }

fn is_finite(x: V) -> VB { return (bitcast<VU>(x) & VU(0x7fffffffu)) < VU(0x7f800000u); }

// |x| with the sign of s.
fn copysign(x: V, s: V) -> V {
    return bitcast<V>((bitcast<VU>(x) & VU(0x7fffffffu)) | (bitcast<VU>(s) & VU(0x80000000u)));
}

// NaN if either is, unlike the built-in max and min.
fn max_nan(a: V, b: V) -> V { return select(select(max(a, b), b, is_nan(b)), a, is_nan(a)); }

fn min_nan(a: V, b: V) -> V { return select(select(min(a, b), b, is_nan(b)), a, is_nan(a)); }

// sign(0) = 0, sign(NaN) = NaN.
fn sign_nan(x: V) -> V { return select(sign(x), x, is_nan(x)); }

// exp(x) - 1: a series where the subtraction would cancel.
fn expm1(x: V) -> V {
    let s = x * (V(1.0) + x * V(0.5) * (V(1.0) + x * V(0.33333333) * (V(1.0) + x * V(0.25) * (V(1.0) + x * V(0.2)
        * (V(1.0) + x * V(0.16666667) * (V(1.0) + x * V(0.14285714) * (V(1.0) + x * V(0.125))))))));
    return select(exp(x) - V(1.0), s, abs(x) < V(0.5));
}

// log(1 + x): near 0 as 2 atanh(x / (2 + x)).
fn log1p(x: V) -> V {
    let s = x / (V(2.0) + x);
    let q = s * s;
    let near = V(2.0) * s * (V(1.0) + q * (V(0.33333333) + q * (V(0.2) + q * (V(0.14285714) + q * V(0.11111111)))));
    return select(log(V(1.0) + x), near, abs(x) < V(0.5));
}

// tanh through expm1: no overflow for large x, no cancellation for small.
fn tanh_safe(x: V) -> V {
    let t = expm1(V(2.0) * min(abs(x), V(20.0)));
    return select(copysign(t / (t + V(2.0)), x), x, is_nan(x));
}

fn sigmoid(x: V) -> V {
    let e = exp(-abs(x));
    return select(e, V(1.0), x >= V(0.0)) / (V(1.0) + e);
}

// log(1 + exp(x)) for any x.
fn softplus_safe(x: V) -> V { return max_nan(x, V(0.0)) + log1p(exp(-abs(x))); }

fn sinh_safe(x: V) -> V {
    let e = expm1(abs(x));
    return copysign(V(0.5) * (e + e / (e + V(1.0))), x);
}

fn cosh_safe(x: V) -> V {
    let e = exp(abs(x));
    return V(0.5) * e + V(0.5) / e;
}

fn asinh_safe(x: V) -> V {
    let a = abs(x);
    let near = log1p(a + a * a / (V(1.0) + sqrt(a * a + V(1.0))));
    return copysign(select(near, log(a) + V(0.69314718), a > V(1.0e9)), x);
}

fn acosh_safe(x: V) -> V {
    let t = x - V(1.0);
    return select(log1p(t + sqrt(V(2.0) * t + t * t)), log(x) + V(0.69314718), x > V(1.0e9));
}

fn atanh_safe(x: V) -> V { return V(0.5) * log1p(V(2.0) * x / (V(1.0) - x)); }

// The built-ins of drivers are good to 5e-4 only: a minimax polynomial on [0, 1] and the usual reflections.
fn atan_safe(x: V) -> V {
    let a = abs(x);
    let swap = a > V(1.0);
    let z = select(a, V(1.0) / a, swap);
    // Halve the range once more: atan(z) = pi/4 + atan((z - 1) / (z + 1)).
    let fold = z > V(0.41421356);
    let t = select(z, (z - V(1.0)) / (z + V(1.0)), fold);
    let q = t * t;
    let p = t + t * q * (V(-0.333329491539) + q * (V(0.199777106478) + q * (V(-0.138776856032) + q * V(0.0805374449538))));
    let folded = select(p, p + V(0.78539816), fold);
    return copysign(select(folded, V(1.57079633) - folded, swap), x);
}

fn atan2_safe(y: V, x: V) -> V {
    let ax = abs(x);
    let ay = abs(y);
    let low = min(ax, ay);
    let high = max(ax, ay);
    // 0/0 is 0, inf/inf is 1.
    let both_inf = is_inf(x) & is_inf(y);
    let ratio = select(select(low / high, V(0.0), high == V(0.0)), V(1.0), both_inf);
    let t = atan_safe(ratio);
    let first = select(t, V(1.57079633) - t, ay > ax);
    let negative = (bitcast<VU>(x) & VU(0x80000000u)) != VU(0u);
    let r = copysign(select(first, V(3.14159265) - first, negative), y);
    return select(r, x + y, is_nan(x) | is_nan(y));
}

// asin and acos through atan2, which is accurate at both ends.
fn asin_safe(x: V) -> V { return atan2_safe(x, sqrt((V(1.0) - x) * (V(1.0) + x))); }

fn acos_safe(x: V) -> V { return atan2_safe(sqrt((V(1.0) - x) * (V(1.0) + x)), x); }

// Error function to about 1 ulp (N. Juffa's polynomials).
fn erf(x: V) -> V {
    let t = min(abs(x), V(10.0));
    let s = t * t;
    var far = V(-1.72853470e-5) * t + V(3.83197126e-4);
    far = far * s + (V(-3.88396438e-3) * t + V(2.42546219e-2));
    far = far * t + V(-1.06777877e-1);
    far = far * t + V(-6.34846687e-1);
    far = far * t + V(-1.28717512e-1);
    far = V(1.0) - exp(far * t - t);
    var near = V(-5.96761703e-4);
    near = near * s + V(4.99119423e-3);
    near = near * s + V(-2.67681349e-2);
    near = near * s + V(1.12819925e-1);
    near = near * s + V(-3.76125336e-1);
    near = near * s + V(1.28379166e-1);
    near = near * t + t;
    return select(copysign(select(near, far, t > V(0.927734375)), x), x, is_nan(x));
}

// 1 - erf(x) with a small relative error in the tail too.
fn erfc(x: V) -> V {
    let a = min(abs(x), V(10.0546875));
    let q = (a - V(4.0)) / (a + V(4.0));
    var p = V(-4.01139259e-4);
    p = p * q + V(-1.23075210e-3);
    p = p * q + V(1.31355342e-3);
    p = p * q + V(8.63227434e-3);
    p = p * q + V(-8.05991981e-3);
    p = p * q + V(-5.42046614e-2);
    p = p * q + V(1.64055392e-1);
    p = p * q + V(-1.66031361e-1);
    p = p * q + V(-9.27639827e-2);
    p = p * q + V(2.76978403e-1);
    let r = (V(1.0) + p) / (V(1.0) + V(2.0) * a) * exp(-a * a);
    return select(select(r, V(2.0) - r, x < V(0.0)), x, is_nan(x));
}

// PyTorch's pow: a negative base with an integer exponent has the sign of its parity, else NaN.
fn pow_safe(x: V, y: V) -> V {
    let a = abs(x);
    let whole = floor(y) == y;
    let odd = whole & ((y - V(2.0) * floor(y * V(0.5))) != V(0.0));
    let zero = select(a, V(1.0) / a, y < V(0.0));
    var r = select(exp2(y * log2(a)), zero, a == V(0.0));
    r = select(r, -r, odd & ((bitcast<VU>(x) & VU(0x80000000u)) != VU(0u)));
    let undefined = (x < V(0.0)) & !whole & is_finite(x);
    r = select(r, sqrt(V(-1.0) - a), undefined);
    r = select(r, x + y, is_nan(x) | is_nan(y));
    return select(r, V(1.0), (y == V(0.0)) | (x == V(1.0)));
}

// The remainder with the sign of the divisor (Python's %), and of the dividend (C's fmod).
fn mod_floor(x: V, y: V) -> V {
    let r = x - trunc(x / y) * y;
    return select(r, r + y, (r != V(0.0)) & ((r < V(0.0)) != (y < V(0.0))));
}

fn mod_trunc(x: V, y: V) -> V { return x - trunc(x / y) * y; }

// Integer division rounds to minus infinity; dividing by 0 gives 0 (WGSL leaves it open).
fn idiv_floor(x: VI, y: VI) -> VI {
    let d = select(y, VI(1), y == VI(0));
    let q = x / d;
    let r = select(q, q - VI(1), (x % d != VI(0)) & ((x < VI(0)) != (d < VI(0))));
    return select(r, VI(0), y == VI(0));
}

fn idiv_trunc(x: VI, y: VI) -> VI { return select(x / select(y, VI(1), y == VI(0)), VI(0), y == VI(0)); }

fn imod_floor(x: VI, y: VI) -> VI {
    let d = select(y, VI(1), y == VI(0));
    let r = x % d;
    return select(r, r + d, (r != VI(0)) & ((r < VI(0)) != (d < VI(0))));
}

fn imod_trunc(x: VI, y: VI) -> VI { return x % select(y, VI(1), y == VI(0)); }

fn udiv(x: VU, y: VU) -> VU { return select(x / select(y, VU(1u), y == VU(0u)), VU(0u), y == VU(0u)); }

fn umod(x: VU, y: VU) -> VU { return x % select(y, VU(1u), y == VU(0u)); }

// x to a power of at least 0, by squaring; wraps. A negative power gives 1 or -1 for a base of 1 or -1, else 0.
fn ipow(x: VI, y: VI) -> VI {
    var r = VI(1);
    var b = x;
    var e = bitcast<VU>(max(y, VI(0)));
    for (var k = 0u; k < 31u; k++) {
        r = select(r, r * b, (e & VU(1u)) != VU(0u));
        b = b * b;
        e = e >> VU(1u);
    }
    let odd = (y & VI(1)) != VI(0);
    let low = select(select(VI(0), select(VI(1), VI(-1), odd), x == VI(-1)), VI(1), x == VI(1));
    return select(r, low, y < VI(0));
}
