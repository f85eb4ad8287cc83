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
    return select(select(exp(x) - V(1.0), s, abs(x) < V(0.5)), x, is_nan(x));
}

// log(1 + x): near 0 as 2 atanh(x / (2 + x)).
fn log1p(x: V) -> V {
    let s = x / (V(2.0) + x);
    let q = s * s;
    let near = V(2.0) * s * (V(1.0) + q * (V(0.33333333) + q * (V(0.2) + q * (V(0.14285714) + q * (V(0.11111111)
        + q * (V(0.09090909) + q * V(0.07692308)))))));
    return select(log_safe(V(1.0) + x), near, abs(x) < V(0.5));
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
    // The second term is e's share of e + 1: all of it where e is too large to tell.
    return copysign(V(0.5) * (e + select(e / (e + V(1.0)), V(1.0), e > V(1.0e9))), x);
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
    // Two roots, so that none is of a square that overflowed: NaN below 1.
    return select(log1p(t + sqrt(t) * sqrt(t + V(2.0))), log(x) + V(0.69314718), x > V(1.0e9));
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
    let q = (a - V(2.0)) / (a + V(2.0));
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
    let odd = whole & is_finite(y) & ((y - V(2.0) * floor(y * V(0.5))) != V(0.0));
    let zero = select(a, V(1.0) / a, y < V(0.0));
    var r = select(select(exp2(y * log2(a)), V(1.0), a == V(1.0)), zero, a == V(0.0));
    r = select(r, -r, odd & ((bitcast<VU>(x) & VU(0x80000000u)) != VU(0u)));
    let undefined = (x < V(0.0)) & !whole & is_finite(x);
    r = select(r, sqrt(V(-1.0) - a), undefined);
    r = select(r, x + y, is_nan(x) | is_nan(y));
    return select(r, V(1.0), (y == V(0.0)) | (x == V(1.0)));
}

// The remainder with the sign of the divisor (Python's %), and of the dividend (C's fmod).
fn mod_floor(x: V, y: V) -> V {
    let r = mod_trunc(x, y);
    return select(r, r + y, (r != V(0.0)) & ((r < V(0.0)) != (y < V(0.0))));
}

fn mod_trunc(x: V, y: V) -> V { return select(x - trunc(x / y) * y, x, is_inf(y) & is_finite(x)); }

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

// ---- comparisons: false with a NaN on either side ----

fn cmp_eq(a: V, b: V) -> VB { return (a == b) & !is_nan(a) & !is_nan(b); }

fn cmp_lt(a: V, b: V) -> VB { return (a < b) & !is_nan(a) & !is_nan(b); }

fn cmp_le(a: V, b: V) -> VB { return (a <= b) & !is_nan(a) & !is_nan(b); }

// ---- conversions: toward zero, saturating, NaN to 0; negative values wrap when there is no sign ----

fn to_int(x: V) -> VI {
    let y = VI(clamp(x, V(-2147483648.0), V(2147483520.0)));
    let high = select(y, VI(2147483647), x >= V(2147483648.0));
    return select(high, VI(0), is_nan(x));
}

fn to_uint(x: V) -> VU {
    let y = VU(clamp(x, V(0.0), V(4294967040.0)));
    let high = select(y, VU(4294967295u), x >= V(4294967296.0));
    return select(select(high, VU(to_int(x)), x < V(0.0)), VU(0u), is_nan(x));
}

// ---- activations ----

// max(x, 0) by the bits: from -0 to -infinity becomes 0, NaN stays.
fn relu(x: V) -> V {
    return select(x, V(0.0), (bitcast<VU>(x) - VU(0x80000000u)) <= VU(0x7f800000u));
}

// NaN at both infinities.
fn gelu(x: V) -> V { return select(x * V(0.5) * (V(1.0) + erf(x * V(0.70710678))), nan_like(x), is_inf(x)); }

fn gelu_slope(x: V) -> V {
    return V(0.5) * (V(1.0) + erf(x * V(0.70710678))) + x * V(0.39894228) * exp(x * x * V(-0.5));
}

// x / 2 (1 + tanh(u / 2)) = x sigmoid(u)
fn gelu_tanh(x: V) -> V { return x * sigmoid(V(1.59576912) * (x + V(0.044715) * x * x * x)); }

// s + x s (1 - s) u', without computing 1 - s.
fn gelu_tanh_slope(x: V) -> V {
    let u = V(1.59576912) * (x + V(0.044715) * x * x * x);
    let e = exp(-abs(u));
    let p = V(1.0) / (V(1.0) + e);
    let s = select(e * p, p, u > V(0.0));
    return s + x * (e * p * p) * V(1.59576912) * (V(1.0) + V(0.134145) * x * x);
}

// ---- values that no constant may hold ----

fn nan_like(x: V) -> V { return bitcast<V>((bitcast<VU>(x) & VU(0u)) | VU(0x7fc00000u)); }

fn inf_like(x: V) -> V { return bitcast<V>((bitcast<VU>(x) & VU(0u)) | VU(0x7f800000u)); }

// ---- logarithms to about 1 ulp: the same polynomials as on the CPU ----

// x = (1 + f) 2^e with 1 + f between sqrt(1/2) and sqrt(2), and tail = log(1 + f) - f.
struct LogParts { f: V, tail: V, e: V }

fn log_parts(x: V) -> LogParts {
    let tiny = x < V(1.17549435e-38);
    let bits = bitcast<VU>(select(x, x * V(8388608.0), tiny)) - VU(0x3f3504f3u);
    let e = V(bitcast<VI>(bits) >> VU(23u)) - select(V(0.0), V(23.0), tiny);
    let f = bitcast<V>((bits & VU(0x007fffffu)) + VU(0x3f3504f3u)) - V(1.0);
    var p = V(7.0376836292e-2) * f - V(1.1514610310e-1);
    p = p * f + V(1.1676998740e-1);
    p = p * f - V(1.2420140846e-1);
    p = p * f + V(1.4249322787e-1);
    p = p * f - V(1.6668057665e-1);
    p = p * f + V(2.0000714765e-1);
    p = p * f - V(2.4999993993e-1);
    p = p * f + V(3.3333331174e-1);
    return LogParts(f, p * f * (f * f) - V(0.5) * (f * f), e);
}

fn log_ends(x: V, y: V) -> V {
    let positive = select(nan_like(x), y, x > V(0.0));
    return select(select(positive, -inf_like(x), x == V(0.0)), x, is_nan(x) | (bitcast<VU>(x) == VU(0x7f800000u)));
}

fn log_safe(x: V) -> V {
    let l = log_parts(x);
    return log_ends(x, (l.f + (l.tail + l.e * V(-2.12194440e-4))) + l.e * V(0.693359375));
}

fn log2_safe(x: V) -> V {
    let l = log_parts(x);
    return log_ends(x, (((l.tail * V(0.44269504) + l.f * V(0.44269504)) + l.tail) + l.f) + l.e);
}

// ---- circular functions: WGSL promises 5e-4 only ----

// The sine of r plus so many quarter turns, |r| <= pi/4.
fn turn(r: V, quarter: VI) -> V {
    let z = r * r;
    let s = ((V(-1.9515295891e-4) * z + V(8.3321608736e-3)) * z - V(1.6666654611e-1)) * z * r + r;
    let c = ((V(2.443315711809948e-5) * z - V(1.388731625493765e-3)) * z + V(4.166664568298827e-2)) * (z * z) - V(0.5) * z + V(1.0);
    let v = select(s, c, (quarter & VI(1)) != VI(0));
    return select(v, -v, (quarter & VI(2)) != VI(0));
}

// x without its whole quarter turns, in three steps; good up to |x| = 5e4, where `turn_far` takes over.
fn turn_rest(x: V, n: V) -> V { return ((x - n * V(1.5703125)) - n * V(4.837512969970703e-4)) - n * V(7.549789948768648e-8); }

// Word i of 0, then the binary digits of 2/pi.
fn two_over_pi(i: VU) -> VU {
    let a = select(select(VU(0u), VU(0xa2f9836eu), i == VU(1u)), VU(0x4e441529u), i == VU(2u));
    let b = select(select(a, VU(0xfc2757d1u), i == VU(3u)), VU(0xf534ddc0u), i == VU(4u));
    let c = select(select(b, VU(0xdb629599u), i == VU(5u)), VU(0x3c439041u), i == VU(6u));
    return select(c, VU(0xfe5163abu), i == VU(7u));
}

// turn(|x|, 0) or turn(|x|, 1) for |x| > 5e4 (Payne and Hanek). x is m * 2^(e - 23) with a whole m of 24 bits; of
// 2/pi only the 96 digits from the one count that make x * 2/pi modulo 4, the number of quarter turns. The product
// of m, in two parts of 12 bits, with these is taken in digits of 16 bits; what leaves at the top is whole turns.
fn turn_far(x: V, ahead: VI) -> V {
    let bits = bitcast<VU>(x);
    let m = (bits & VU(0x7fffffu)) | VU(0x800000u);
    let first = clamp((bits >> VU(23u)) & VU(0xffu), VU(127u), VU(254u)) - VU(120u);
    let shift = first & VU(31u);
    let word = first >> VU(5u);
    var limbs = array<VU, 6>();
    var carry = VU(0u);
    for (var k = 2u; k < 3u; k--) {
        let digits = (two_over_pi(word + VU(k)) << shift) | ((two_over_pi(word + VU(k + 1u)) >> VU(1u)) >> (VU(31u) - shift));
        for (var side = 1u; side < 2u; side--) {
            let digit = (digits >> VU(16u * (1u - side))) & VU(0xffffu);
            let low = (m & VU(0xfffu)) * digit;
            let high = (m >> VU(12u)) * digit;
            let sum = low + ((high & VU(0xfu)) << VU(12u)) + carry;
            limbs[2u * k + side] = sum & VU(0xffffu);
            carry = (sum >> VU(16u)) + (high >> VU(4u));
        }
    }
    let turns = (limbs[0] << VU(16u)) | limbs[1];
    let part = (turns << VU(2u)) | (limbs[2] >> VU(14u));
    // To the nearest quarter: the rest is a signed fraction of one.
    let quarter = (turns >> VU(30u)) + (part >> VU(31u));
    let rest = V(bitcast<VI>(part)) * V(3.65729530e-10);
    return turn(rest, bitcast<VI>(quarter) + ahead);
}

fn sin_safe(x: V) -> V {
    let n = round(clamp(x, V(-5.0e4), V(5.0e4)) * V(0.63661977));
    let near = turn(turn_rest(x, n), VI(n));
    let far = !(abs(x) <= V(5.0e4));
    if any(far) {
        return select(select(near, copysign(V(1.0), x) * turn_far(x, VI(0)), far), nan_like(x), !is_finite(x));
    }
    return near;
}

fn cos_safe(x: V) -> V {
    let n = round(clamp(x, V(-5.0e4), V(5.0e4)) * V(0.63661977));
    let near = turn(turn_rest(x, n), VI(n) + VI(1));
    let far = !(abs(x) <= V(5.0e4));
    if any(far) {
        return select(select(near, turn_far(x, VI(1)), far), nan_like(x), !is_finite(x));
    }
    return near;
}

// ---- special functions ----

// Inverse error function (M. Giles).
fn erfinv(x: V) -> V {
    let w = -log_safe((V(1.0) - x) * (V(1.0) + x));
    let n = w - V(2.5);
    var near = V(2.81022636e-8) * n + V(3.43273939e-7);
    near = near * n + V(-3.5233877e-6);
    near = near * n + V(-4.39150654e-6);
    near = near * n + V(0.00021858087);
    near = near * n + V(-0.00125372503);
    near = near * n + V(-0.00417768164);
    near = near * n + V(0.246640727);
    near = near * n + V(1.50140941);
    let f = sqrt(w) - V(3.0);
    var far = V(-0.000200214257) * f + V(0.000100950558);
    far = far * f + V(0.00134934322);
    far = far * f + V(-0.00367342844);
    far = far * f + V(0.00573950773);
    far = far * f + V(-0.0076224613);
    far = far * f + V(0.00943887047);
    far = far * f + V(1.00167406);
    far = far * f + V(2.83297682);
    let y = x * select(far, near, w < V(5.0));
    return select(y, x * inf_like(x), abs(x) == V(1.0));
}

// The fraction of a half turn first: far from 0, pi * x has no correct digits of it.
fn sin_pi(x: V) -> V {
    let n = round(x * V(2.0));
    return turn((x - n * V(0.5)) * V(3.14159265), VI(n));
}

// log |Gamma(x)| (Lanczos' series; reflected below 1/2).
fn lgamma(x: V) -> V {
    let low = x < V(0.5);
    let z = select(x, V(1.0) - x, low);
    var s = V(1.000000000190015) + V(76.18009172947146) / (z + V(1.0)) - V(86.50532032941677) / (z + V(2.0)) + V(24.01409824083091) / (z + V(3.0));
    s = s - V(1.231739572450155) / (z + V(4.0)) + V(0.001208650973866179) / (z + V(5.0)) - V(0.000005395239384953) / (z + V(6.0));
    let t = z + V(5.5);
    let y = (z + V(0.5)) * log_safe(t) - t + log_safe(V(2.5066282746310005) * s / z);
    let r = select(y, V(1.1447298858) - log_safe(abs(sin_pi(x))) - y, low);
    let pole = low & (x == floor(x)) & (x <= V(0.0));
    return select(select(r, inf_like(x), pole | is_inf(x)), x, is_nan(x));
}

// The derivative of lgamma: its asymptotic series, reached by the recurrence; reflected below 0.
fn digamma(x: V) -> V {
    let low = x < V(0.0);
    var z = select(x, V(1.0) - x, low);
    var sum = V(0.0);
    for (var k = 0; k < 8; k++) {
        let small = z < V(8.0);
        sum = sum - select(V(0.0), V(1.0) / z, small);
        z = select(z, z + V(1.0), small);
    }
    let q = V(1.0) / (z * z);
    let y = sum + log_safe(z) - V(0.5) / z - q * (V(0.083333333) - q * (V(0.0083333333) - q * V(0.003968254)));
    let n = round(x * V(2.0));
    let r = (x - n * V(0.5)) * V(3.14159265);
    let cotangent = turn(r, VI(n) + VI(1)) / turn(r, VI(n));
    let reflected = select(y - V(3.14159265) * cotangent, nan_like(x), x == floor(x));
    return select(select(y, reflected, low), copysign(inf_like(x), -x), x == V(0.0));
}

// ---- two operands ----

fn hypot(a: V, b: V) -> V {
    let high = max(abs(a), abs(b));
    let ratio = select(min(abs(a), abs(b)) / high, V(0.0), high == V(0.0));
    let r = select(high * sqrt(V(1.0) + ratio * ratio), a + b, is_nan(a) | is_nan(b));
    return select(r, inf_like(a), is_inf(a) | is_inf(b));
}

fn logaddexp(a: V, b: V) -> V {
    let y = max_nan(a, b) + log1p(exp(-abs(a - b)));
    return select(y, a, (a == b) & is_inf(a));
}

// Python's //: floor(a / b), exact where the quotient would round up into the next whole number.
fn div_floor(a: V, b: V) -> V {
    let rest = mod_trunc(a, b);
    let q = round((a - rest) / b);
    return select(select(q, q - V(1.0), (rest != V(0.0)) & ((rest < V(0.0)) != (b < V(0.0)))), a / b, b == V(0.0));
}

fn upow(x: VU, y: VU) -> VU {
    var r = VU(1u);
    var b = x;
    var e = y;
    for (var k = 0u; k < 32u; k++) {
        r = select(r, r * b, (e & VU(1u)) != VU(0u));
        b = b * b;
        e = e >> VU(1u);
    }
    return r;
}
