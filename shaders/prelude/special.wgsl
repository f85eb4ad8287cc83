// Special functions to f32, over the aliases V, VI and VB of math.wgsl. The polynomials near the end are the Chebyshev
// series of engine/src/ops/special/tables.rs, cut where their terms fall below f32's precision and written in powers of
// their argument, which goes from -1 to 1.

// ---- Bessel functions ----

fn bessel_i0e(x: V) -> V {
    let a = abs(x);
    return select(i0e_near(min(a, V(8.0)) * V(0.25) - V(1.0)), i0e_far(V(16.0) / max(a, V(8.0)) - V(1.0)) * inverseSqrt(max(a, V(8.0))), a > V(8.0));
}

fn bessel_i1e(x: V) -> V {
    let a = abs(x);
    let near = a * i1e_near(min(a, V(8.0)) * V(0.25) - V(1.0));
    return copysign(select(near, i1e_far(V(16.0) / max(a, V(8.0)) - V(1.0)) * inverseSqrt(max(a, V(8.0))), a > V(8.0)), x);
}

// The exponential in two halves: it overflows before the product does.
fn bessel_i0(x: V) -> V {
    let h = exp(V(0.5) * abs(x));
    return select(select(bessel_i0e(x) * h * h, abs(x), is_inf(x)), x, is_nan(x));
}

fn bessel_i1(x: V) -> V {
    let h = exp(V(0.5) * abs(x));
    return select(bessel_i1e(x) * h * h, x, is_inf(x) | is_nan(x));
}

// Infinite at 0, NaN below.
fn right_only(x: V, y: V, at_zero: V) -> V {
    return select(select(select(y, nan_like(x), x < V(0.0)), at_zero, x == V(0.0)), x, is_nan(x));
}

fn k0_small(x: V) -> V { return k0_near(V(0.5) * x * x - V(1.0)) - log_safe(V(0.5) * x) * bessel_i0(x); }

fn k1_small(x: V) -> V { return k1_near(V(0.5) * x * x - V(1.0)) / x + log_safe(V(0.5) * x) * bessel_i1(x); }

fn k0_large(x: V) -> V { return k0e_far(V(4.0) / max(x, V(2.0)) - V(1.0)) * inverseSqrt(max(x, V(2.0))); }

fn k1_large(x: V) -> V { return k1e_far(V(4.0) / max(x, V(2.0)) - V(1.0)) * inverseSqrt(max(x, V(2.0))); }

fn bessel_k0e(x: V) -> V {
    let a = clamp(x, V(1.17549435e-38), V(2.0));
    return right_only(x, select(exp(a) * k0_small(a), k0_large(x), x > V(2.0)), inf_like(x));
}

fn bessel_k1e(x: V) -> V {
    let a = clamp(x, V(1.17549435e-38), V(2.0));
    return right_only(x, select(exp(a) * k1_small(a), k1_large(x), x > V(2.0)), inf_like(x));
}

fn bessel_k0(x: V) -> V {
    let a = clamp(x, V(1.17549435e-38), V(2.0));
    return right_only(x, select(k0_small(a), exp(-x) * k0_large(x), x > V(2.0)), inf_like(x));
}

fn bessel_k1(x: V) -> V {
    let a = clamp(x, V(1.17549435e-38), V(2.0));
    return right_only(x, select(k1_small(a), exp(-x) * k1_large(x), x > V(2.0)), inf_like(x));
}

// Beyond 8 an amplitude and a phase: p (sin + cos) - q (sin - cos) over sqrt(pi x), and its kin.
struct BesselWave { p: V, q: V, plus: V, minus: V }

fn bessel_wave(p: V, q: V, x: V) -> BesselWave {
    let s = sin_safe(x);
    let c = cos_safe(x);
    let scale = V(0.56418958) * inverseSqrt(x);
    return BesselWave(p * scale, q / x * scale, s + c, s - c);
}

fn bessel_angle(x: V) -> V { return V(128.0) / (x * x) - V(1.0); }

fn wave_0(x: V) -> BesselWave { return bessel_wave(hankel_p0(bessel_angle(x)), hankel_q0(bessel_angle(x)), x); }

fn wave_1(x: V) -> BesselWave { return bessel_wave(hankel_p1(bessel_angle(x)), hankel_q1(bessel_angle(x)), x); }

fn j0_small(x: V) -> V { return j0_near(x * x * V(0.03125) - V(1.0)); }

fn j1_small(x: V) -> V { return x * j1_near(x * x * V(0.03125) - V(1.0)); }

fn bessel_j0(x: V) -> V {
    let a = abs(x);
    let w = wave_0(max(a, V(8.0)));
    let y = select(j0_small(min(a, V(8.0))), w.p * w.plus - w.q * w.minus, a > V(8.0));
    return select(select(y, V(0.0), is_inf(x)), x, is_nan(x));
}

fn bessel_j1(x: V) -> V {
    let a = abs(x);
    let w = wave_1(max(a, V(8.0)));
    let y = select(j1_small(min(a, V(8.0))), w.p * w.minus + w.q * w.plus, a > V(8.0));
    return select(select(select(y, -y, x < V(0.0)), V(0.0), is_inf(x)), x, is_nan(x));
}

fn bessel_y0(x: V) -> V {
    let a = clamp(x, V(1.17549435e-38), V(8.0));
    let w = wave_0(max(x, V(8.0)));
    let near = y0_near(a * a * V(0.03125) - V(1.0)) + V(0.63661977) * log_safe(a) * j0_small(a);
    let y = select(near, w.p * w.minus + w.q * w.plus, x > V(8.0));
    return select(right_only(x, y, -inf_like(x)), V(0.0), is_inf(x) & (x > V(0.0)));
}

fn bessel_y1(x: V) -> V {
    let a = clamp(x, V(1.17549435e-38), V(8.0));
    let w = wave_1(max(x, V(8.0)));
    let near = a * y1_near(a * a * V(0.03125) - V(1.0)) + V(0.63661977) * (log_safe(a) * j1_small(a) - V(1.0) / a);
    let y = select(near, w.q * w.minus - w.p * w.plus, x > V(8.0));
    return select(right_only(x, y, -inf_like(x)), V(0.0), is_inf(x) & (x > V(0.0)));
}

fn spherical_j0(x: V) -> V {
    let tiny = abs(x) < V(1.0e-2);
    let y = select(sin_safe(x) / select(x, V(1.0), tiny), V(1.0) - x * x * V(0.16666667), tiny);
    return select(y, V(0.0), is_inf(x));
}

fn spherical_j0_slope(x: V) -> V {
    let t = x * x;
    let near = -x * (V(0.33333333) - t * (V(0.033333333) - t * (V(1.1904762e-3) - t * V(2.2045855e-5))));
    let small = abs(x) < V(0.5);
    let d = select(x, V(1.0), small);
    return select((cos_safe(x) - sin_safe(x) / d) / d, near, small);
}

fn airy_ai(x: V) -> V {
    let a = max(abs(x), V(2.0));
    let root = sqrt(a);
    let z = V(0.66666667) * a * root;
    let scale = V(0.56418958) * inverseSqrt(root);
    let right = V(0.5) * scale * exp(-z) * airy_pos(V(3.7712362) / z - V(1.0));
    let ratio = V(5.3333333) / max(z, V(5.3333333));
    let u = V(2.0) * ratio * ratio - V(1.0);
    let s = sin_safe(z);
    let c = cos_safe(z);
    // Of z less an eighth of a turn.
    let left = scale * V(0.70710678) * (airy_p(u) * (c + s) + airy_q(u) / z * (s - c));
    let far = select(left, right, x > V(0.0));
    let y = select(far, airy_mid((clamp(x, V(-4.0), V(2.0)) + V(1.0)) * V(0.33333333)), (x >= V(-4.0)) & (x <= V(2.0)));
    return select(select(y, V(0.0), is_inf(x)), x, is_nan(x));
}

// ---- the normal distribution ----

fn erfcx_right(a: V) -> V {
    return select(erfcx_series((a - V(2.0)) / (a + V(2.0))) / (V(1.0) + V(2.0) * a), V(0.0), is_inf(a));
}

// exp(x^2) with the square in two parts, so that its rounding is not the exponent's.
fn exp_square(x: V) -> V {
    let high = bitcast<V>(bitcast<VU>(x) & VU(0xfffff000u));
    return exp(high * high) * exp((x - high) * (x + high));
}

fn erfcx(x: V) -> V {
    let right = erfcx_right(abs(x));
    let left = V(2.0) * exp_square(min(abs(x), V(10.0))) - right;
    return select(select(right, select(left, inf_like(x), x < V(-9.4)), x < V(0.0)), x, is_nan(x));
}

fn log_ndtr(x: V) -> V {
    let t = x * V(0.70710678);
    let left = log_safe(V(0.5) * erfcx_right(abs(t))) - t * t;
    return select(select(log1p(V(-0.5) * erfc(t)), left, x < V(-1.0)), x, is_nan(x));
}

// The density over the area.
fn log_ndtr_slope(x: V) -> V {
    let t = abs(x) * V(0.70710678);
    let left = V(0.79788456) / erfcx_right(t);
    let density = V(0.39894228) * exp(V(-0.5) * x * x);
    return select(select(density / (V(1.0) - V(0.5) * erfc(t)), left, x < V(0.0)), x, is_nan(x));
}

fn ndtri(p: V) -> V {
    let q = p - V(0.5);
    let central = q * ndtri_central(q * q * V(11.0726644) - V(1.0));
    let tail = min(p, V(1.0) - p);
    let r = sqrt(-log_safe(max(tail, V(1.17549435e-38))));
    let far = select(ndtri_tail((min(r, V(5.0)) - V(1.6)) * V(0.58823529) - V(1.0)), ndtri_far((max(r, V(5.0)) - V(5.0)) * V(0.088888889) - V(1.0)), r > V(5.0));
    let outer = copysign(select(far, inf_like(p), tail == V(0.0)), q);
    let y = select(outer, central, abs(q) <= V(0.425));
    return select(select(y, nan_like(p), (p < V(0.0)) | (p > V(1.0))), p, is_nan(p));
}

fn entr(x: V) -> V {
    let y = select(-x * log_safe(max(x, V(0.0))), V(0.0), x == V(0.0));
    return select(select(y, -inf_like(x), x < V(0.0)), x, is_nan(x));
}

fn xlog1py(a: V, b: V) -> V { return select(a * log1p(b), V(0.0), (a == V(0.0)) & !is_nan(b)); }

// ---- what belongs to the gamma function ----

fn power_down(a: V, s: V) -> V { return exp2(-s * log2_safe(a)); }

// The sum of (q + k)^-s for q > 0: terms until the rest is smooth, then Euler and Maclaurin's formula for the rest.
fn zeta_right(s: V, q: V) -> V {
    var a = q;
    var sum = V(0.0);
    for (var k = 0; k < 200; k++) {
        let term = power_down(a, s);
        let more = (a < max(s, V(10.0))) & (term > V(1.0e-9) * sum);
        if !any(more) {
            break;
        }
        sum = select(sum, sum + term, more);
        a = select(a, a + V(1.0), more);
    }
    let power = power_down(a, s);
    let i = V(1.0) / a;
    let f = s * i;
    let g = (s + V(1.0)) * (s + V(2.0)) * (i * i);
    let h = (s + V(3.0)) * (s + V(4.0)) * (i * i);
    let rest = a / (s - V(1.0)) + V(0.5) + f * (V(0.083333333) - g * (V(1.3888889e-3) - h * (V(3.3068783e-5)
        - (s + V(5.0)) * (s + V(6.0)) * (i * i) * V(8.2671958e-7))));
    return select(sum, sum + power * rest, power > V(0.0));
}

// Poles are infinite; NaN for s < 1 and for a power of a negative number.
fn zeta(s: V, q: V) -> V {
    let whole = q == floor(q);
    let left = (q < V(0.0)) & !whole;
    let fraction = q - floor(q);
    var y = zeta_right(s, select(max(q, V(1.17549435e-38)), fraction, left));
    if any(left) {
        // The terms left of 0, by their distance from it, are a piece of another such sum.
        let piece = zeta_right(s, V(1.0) - select(V(0.5), fraction, left)) - zeta_right(s, V(1.0) - select(V(0.5), q, left));
        let even = (s * V(0.5)) == floor(s * V(0.5));
        let both = y + select(-piece, piece, even);
        y = select(y, select(both, nan_like(s), s != floor(s)), left);
    }
    y = select(y, inf_like(s), (whole & (q <= V(0.0))) | (s == V(1.0)));
    return select(y, nan_like(s), (s < V(1.0)) | is_nan(s) | is_nan(q));
}

fn polygamma(n: V, x: V) -> V {
    var factorial = V(1.0);
    for (var k = 2; k < 36; k++) {
        factorial = select(factorial, factorial * V(f32(k)), V(f32(k)) <= n);
    }
    let y = factorial * zeta(n + V(1.0), x);
    let even = (n * V(0.5)) == floor(n * V(0.5));
    if any(n == V(0.0)) {
        return select(select(y, -y, even), digamma(x), n == V(0.0));
    }
    return select(y, -y, even);
}

// x^a exp(-x) / Gamma(a), without the cancellation of its parts for large a.
fn gamma_front(a: V, x: V) -> V {
    let small = exp(a * log_safe(x) - x - lgamma(a));
    let b = max(a, V(8.0));
    let m = (x - b) / b;
    let r = m / (V(2.0) + m);
    let q = r * r;
    let series = r * (V(2.0) * q * (V(0.33333333) + q * (V(0.2) + q * (V(0.14285714) + q * (V(0.11111111) + q * V(0.090909091))))) - m);
    let bend = select(log1p(m) - m, series, abs(m) < V(0.3));
    let i = V(1.0) / b;
    let stirling = i * (V(0.083333333) - i * i * (V(2.7777778e-3) - i * i * V(7.9365079e-4)));
    return select(small, sqrt(b * V(0.15915494)) * exp(b * bend - stirling), a >= V(8.0));
}

// The lower function by its power series, over the front.
fn gamma_series(a: V, x: V) -> V {
    var term = V(1.0) / a;
    var sum = term;
    for (var k = 1; k < 2000; k++) {
        term = term * (x / (a + V(f32(k))));
        sum = sum + term;
        if !any(term > V(2.0e-8) * sum) {
            break;
        }
    }
    return sum;
}

fn away_from_zero(x: V) -> V { return select(x, V(1.0e-30), abs(x) < V(1.0e-30)); }

// The upper function by its continued fraction (Lentz), over the front.
fn gamma_fraction(a: V, x: V) -> V {
    var b = x + V(1.0) - a;
    var c = V(1.0e30);
    var d = V(1.0) / away_from_zero(b);
    var h = d;
    for (var k = 1; k < 2000; k++) {
        let n = -V(f32(k)) * (V(f32(k)) - a);
        b = b + V(2.0);
        d = V(1.0) / away_from_zero(n * d + b);
        c = away_from_zero(b + n / c);
        h = h * (d * c);
        if !any(abs(d * c - V(1.0)) > V(6.0e-8)) {
            break;
        }
    }
    return h;
}

// The shares below and above x; each lane takes the one that is accurate, the other is the rest.
struct GammaShares { low: V, high: V }

fn gamma_shares(a: V, x: V) -> GammaShares {
    let fine = (a > V(0.0)) & (x > V(0.0)) & is_finite(a) & is_finite(x);
    let sa = select(V(1.0), a, fine);
    let sx = select(V(1.0), x, fine);
    let above = (sx > V(1.0)) & (sx > sa);
    let front = gamma_front(sa, sx);
    // Lanes of the other kind get arguments for which the loop is short.
    let low = front * gamma_series(select(sa, V(1.0), above), select(sx, V(0.5), above));
    let high = front * gamma_fraction(select(V(1.0), sa, above), select(V(8.0), sx, above));
    let l = select(low, V(1.0) - high, above);
    let h = select(V(1.0) - low, high, above);
    // At the ends.
    let bad = (a < V(0.0)) | (x < V(0.0)) | is_nan(a) | is_nan(x) | ((a == V(0.0)) & (x == V(0.0))) | (is_inf(a) & is_inf(x));
    let all_low = (a == V(0.0)) | (is_inf(x) & !is_inf(a));
    let end = select(select(V(0.0), V(1.0), all_low), nan_like(a), bad);
    return GammaShares(select(end, l, fine), select(V(1.0) - end, h, fine));
}

fn igamma(a: V, x: V) -> V { return gamma_shares(a, x).low; }

fn igammac(a: V, x: V) -> V { return gamma_shares(a, x).high; }

fn igamma_slope(a: V, x: V) -> V { return gamma_front(a, x) / x; }

// ---- orthogonal polynomials: the degree is truncated, below 0 they are 0, beyond 4096 NaN ----

fn degree_ends(n: V, y: V) -> V {
    let m = trunc(n);
    return select(select(select(y, nan_like(n), m > V(4096.0)), V(1.0), m == V(0.0)), V(0.0), (m < V(0.0)) | is_nan(n));
}

// 2 x q - p from 1 and `first`, for degrees up to 8.
fn chebyshev_steps(x: V, m: V, first: V) -> V {
    var p = V(1.0);
    var q = first;
    for (var k = 1; k < 8; k++) {
        let go = V(f32(k)) < m;
        let r = (x + x) * q - p;
        p = select(p, q, go);
        q = select(q, r, go);
    }
    return q;
}

// (-1)^m
fn alternating(m: V) -> V { return select(V(-1.0), V(1.0), (m * V(0.5)) == floor(m * V(0.5))); }

fn chebyshev_t(x: V, n: V) -> V {
    let m = trunc(n);
    let inside = cos_safe(m * acos_safe(clamp(x, V(-1.0), V(1.0))));
    let outside = cosh_safe(m * acosh_safe(max(abs(x), V(1.0)))) * select(V(1.0), alternating(m), x < V(0.0));
    let far = select(outside, inside, abs(x) <= V(1.0));
    return degree_ends(n, select(far, chebyshev_steps(x, m, x), m <= V(8.0)));
}

fn chebyshev_u(x: V, n: V) -> V {
    let m = trunc(n);
    let t = acos_safe(clamp(x, V(-1.0), V(1.0)));
    let h = acosh_safe(max(abs(x), V(1.0)));
    let sign = select(V(1.0), alternating(m), x < V(0.0));
    let inside = sin_safe((m + V(1.0)) * t) / sin_safe(t);
    let outside = sinh_safe((m + V(1.0)) * h) / sinh_safe(h) * sign;
    let far = select(select(outside, inside, abs(x) < V(1.0)), (m + V(1.0)) * sign, abs(x) == V(1.0));
    return degree_ends(n, select(far, chebyshev_steps(x, m, x + x), m <= V(8.0)));
}

// The third kind; the fourth is its mirror image.
fn chebyshev_v(x: V, n: V) -> V {
    let m = trunc(n);
    let t = acos_safe(clamp(x, V(-1.0), V(1.0)));
    let h = acosh_safe(max(abs(x), V(1.0)));
    let k = m + V(0.5);
    let inside = cos_safe(k * t) / cos_safe(V(0.5) * t);
    let right = cosh_safe(k * h) / cosh_safe(V(0.5) * h);
    let left = alternating(m) * sinh_safe(k * h) / sinh_safe(V(0.5) * h);
    let ends = select(alternating(m) * (m + m + V(1.0)), V(1.0), x > V(0.0));
    let far = select(select(select(left, right, x > V(1.0)), inside, abs(x) < V(1.0)), ends, abs(x) == V(1.0));
    return degree_ends(n, select(far, chebyshev_steps(x, m, x + x - V(1.0)), m <= V(8.0)));
}

fn chebyshev_w(x: V, n: V) -> V { return alternating(trunc(n)) * chebyshev_v(-x, n); }

fn hermite_h(x: V, n: V) -> V {
    let m = trunc(n);
    var p = V(1.0);
    var q = x + x;
    for (var k = 1; k < 4096; k++) {
        let go = (V(f32(k)) < m) & is_finite(q);
        if !any(go) {
            break;
        }
        let r = (x + x) * q - V(f32(2 * k)) * p;
        p = select(p, q, go);
        q = select(q, r, go);
    }
    return degree_ends(n, q);
}

fn hermite_he(x: V, n: V) -> V {
    let m = trunc(n);
    var p = V(1.0);
    var q = x;
    for (var k = 1; k < 4096; k++) {
        let go = (V(f32(k)) < m) & is_finite(q);
        if !any(go) {
            break;
        }
        let r = x * q - V(f32(k)) * p;
        p = select(p, q, go);
        q = select(q, r, go);
    }
    return degree_ends(n, q);
}

fn laguerre(x: V, n: V) -> V {
    let m = trunc(n);
    var p = V(1.0);
    var q = V(1.0) - x;
    for (var k = 1; k < 4096; k++) {
        let go = (V(f32(k)) < m) & is_finite(q);
        if !any(go) {
            break;
        }
        let r = ((V(f32(2 * k + 1)) - x) * q - V(f32(k)) * p) / V(f32(k + 1));
        p = select(p, q, go);
        q = select(q, r, go);
    }
    return degree_ends(n, q);
}

fn legendre(x: V, n: V) -> V {
    let m = trunc(n);
    var p = V(1.0);
    var q = x;
    for (var k = 1; k < 4096; k++) {
        let go = (V(f32(k)) < m) & is_finite(q);
        if !any(go) {
            break;
        }
        let r = (V(f32(2 * k + 1)) * x * q - V(f32(k)) * p) / V(f32(k + 1));
        p = select(p, q, go);
        q = select(q, r, go);
    }
    return degree_ends(n, q);
}

// ---- integers ----

fn ugcd(a: VU, b: VU) -> VU {
    var x = a;
    var y = b;
    // At most 46 steps for numbers of 32 bits.
    for (var k = 0; k < 48; k++) {
        let go = y != VU(0u);
        if !any(go) {
            break;
        }
        let r = umod(x, y);
        x = select(x, y, go);
        y = select(y, r, go);
    }
    return x;
}

fn igcd(a: VI, b: VI) -> VI { return bitcast<VI>(ugcd(bitcast<VU>(abs(a)), bitcast<VU>(abs(b)))); }

fn ulcm(a: VU, b: VU) -> VU { return udiv(a, ugcd(a, b)) * b; }

fn ilcm(a: VI, b: VI) -> VI { return abs(idiv_trunc(a, igcd(a, b)) * b); }

// ---- floats by their bits ----

fn nextafter(x: V, y: V) -> V {
    let bits = bitcast<VI>(x);
    let outward = (y > x) == (x > V(0.0));
    let near_zero = select(bitcast<V>(VI(1) | (bitcast<VI>(y) & bitcast<VI>(VU(0x80000000u)))), y, y == V(0.0));
    let moved = select(bitcast<V>(bits + select(VI(-1), VI(1), outward)), near_zero, x == V(0.0));
    let r = select(moved, y, x == y);
    return select(r, x + y, is_nan(x) | is_nan(y));
}

// x = mantissa * 2^exponent with |mantissa| in [1/2, 1).
struct Frexp { mantissa: V, exponent: V }

fn frexp_parts(x: V) -> Frexp {
    let tiny = abs(x) < V(1.17549435e-38);
    let scaled = select(x, x * V(16777216.0), tiny);
    let bits = bitcast<VU>(scaled);
    let e = V(bitcast<VI>((bits >> VU(23u)) & VU(255u))) - V(126.0) - select(V(0.0), V(24.0), tiny);
    let m = bitcast<V>((bits & VU(0x807fffffu)) | VU(0x3f000000u));
    let whole = (x == V(0.0)) | !is_finite(x);
    return Frexp(select(m, x, whole), select(e, V(0.0), whole));
}

fn logaddexp2(a: V, b: V) -> V {
    let y = max_nan(a, b) + V(1.44269504) * log1p(exp2(-abs(a - b)));
    return select(y, a, (a == b) & is_inf(a));
}

// ---- the series ----

// exp(-x) I0(x) over x / 4 - 1, x from 0 to 8.
fn i0e_near(u: V) -> V {
    var p = V(-0.000851984391);
    p = p * u + V(0.00198147933);
    p = p * u + V(-0.000754894991);
    p = p * u + V(0.00122772141);
    p = p * u + V(-0.00801823678);
    p = p * u + V(0.0145283018);
    p = p * u + V(-0.0188573548);
    p = p * u + V(0.0286079623);
    p = p * u + V(-0.043317893);
    p = p * u + V(0.0573339835);
    p = p * u + V(-0.0694632888);
    p = p * u + V(0.0791650043);
    p = p * u + V(-0.084973244);
    p = p * u + V(0.0873542956);
    p = p * u + V(-0.0890428754);
    p = p * u + V(0.0945152163);
    p = p * u + V(-0.113004336);
    p = p * u + V(0.207001924);
    return p;
}

// sqrt(x) exp(-x) I0(x) over 16 / x - 1, x from 8.
fn i0e_far(u: V) -> V {
    var p = V(3.62667039e-07);
    p = p * u + V(1.63913487e-06);
    p = p * u + V(1.11121483e-05);
    p = p * u + V(0.000136156032);
    p = p * u + V(0.0033605557);
    p = p * u + V(0.402176513);
    return p;
}

// exp(-x) I1(x) / x over x / 4 - 1, x from 0 to 8.
fn i1e_near(u: V) -> V {
    var p = V(-0.0001236828);
    p = p * u + V(0.000307414217);
    p = p * u + V(-0.000202626589);
    p = p * u + V(0.000411442194);
    p = p * u + V(-0.00169859431);
    p = p * u + V(0.00336142037);
    p = p * u + V(-0.00542742132);
    p = p * u + V(0.00936740036);
    p = p * u + V(-0.015614301);
    p = p * u + V(0.023762642);
    p = p * u + V(-0.0336612829);
    p = p * u + V(0.0446594371);
    p = p * u + V(-0.0552813128);
    p = p * u + V(0.0637688955);
    p = p * u + V(-0.0684825332);
    p = p * u + V(0.0680575434);
    p = p * u + V(-0.0611243393);
    p = p * u + V(0.0446877102);
    return p;
}

// sqrt(x) exp(-x) I1(x) over 16 / x - 1, x from 8.
fn i1e_far(u: V) -> V {
    var p = V(-4.21035015e-07);
    p = p * u + V(-2.00978899e-06);
    p = p * u + V(-1.50039655e-05);
    p = p * u + V(-0.000219168088);
    p = p * u + V(-0.00974958137);
    p = p * u + V(0.389398455);
    return p;
}

// K0(x) + log(x / 2) I0(x) over x² / 2 - 1, x from 0 to 2.
fn k0_near(u: V) -> V {
    var p = V(4.05566573e-06);
    p = p * u + V(0.000182896968);
    p = p * u + V(0.00505339206);
    p = p * u + V(0.0717769761);
    p = p * u + V(0.340497321);
    p = p * u + V(-0.303620771);
    return p;
}

// sqrt(x) exp(x) K0(x) over 4 / x - 1, x from 2.
fn k0e_far(u: V) -> V {
    var p = V(-2.98271353e-06);
    p = p * u + V(8.85380365e-06);
    p = p * u + V(-2.40883397e-05);
    p = p * u + V(9.83178043e-05);
    p = p * u + V(-0.000479956747);
    p = p * u + V(0.00303314953);
    p = p * u + V(-0.0310714474);
    p = p * u + V(1.21859533);
    return p;
}

// x (K1(x) - log(x / 2) I1(x)) over x² / 2 - 1, x from 0 to 2.
fn k1_near(u: V) -> V {
    var p = V(-7.08284042e-07);
    p = p * u + V(-3.89344983e-05);
    p = p * u + V(-0.00138316874);
    p = p * u + V(-0.0278542273);
    p = p * u + V(-0.243838529);
    p = p * u + V(-0.332240956);
    p = p * u + V(0.885088288);
    return p;
}

// sqrt(x) exp(x) K1(x) over 4 / x - 1, x from 2.
fn k1e_far(u: V) -> V {
    var p = V(3.67429384e-06);
    p = p * u + V(-1.12062739e-05);
    p = p * u + V(3.20737449e-05);
    p = p * u + V(-0.000138086427);
    p = p * u + V(0.000735947382);
    p = p * u + V(-0.00556704141);
    p = p * u + V(0.103349721);
    p = p * u + V(1.3631519);
    return p;
}

// J0(x) over x² / 32 - 1, x from 0 to 8.
fn j0_near(u: V) -> V {
    var p = V(-2.74355561e-06);
    p = p * u + V(3.89537976e-05);
    p = p * u + V(-0.00044351363);
    p = p * u + V(0.00405753759);
    p = p * u + V(-0.028472738);
    p = p * u + V(0.14598913);
    p = p * u + V(-0.50746804);
    p = p * u + V(1.03837939);
    p = p * u + V(-0.808088808);
    p = p * u + V(-0.648469277);
    p = p * u + V(0.930301247);
    p = p * u + V(0.0458296648);
    return p;
}

// J1(x) / x over x² / 32 - 1, x from 0 to 8.
fn j1_near(u: V) -> V {
    var p = V(1.88781249e-06);
    p = p * u + V(-2.4376281e-05);
    p = p * u + V(0.000249472777);
    p = p * u + V(-0.00202870848);
    p = p * u + V(0.0124568257);
    p = p * u + V(-0.0547459631);
    p = p * u + V(0.158583762);
    p = p * u + V(-0.259594839);
    p = p * u + V(0.151516652);
    p = p * u + V(0.0810586591);
    p = p * u + V(-0.058143828);
    return p;
}

// Y0(x) - 2/pi log(x) J0(x) over x² / 32 - 1, x from 0 to 8.
fn y0_near(u: V) -> V {
    var p = V(5.37476586e-06);
    p = p * u + V(-7.37650344e-05);
    p = p * u + V(0.000806091724);
    p = p * u + V(-0.00702464871);
    p = p * u + V(0.0463670878);
    p = p * u + V(-0.218958038);
    p = p * u + V(0.672177067);
    p = p * u + V(-1.0775476);
    p = p * u + V(0.144126325);
    p = p * u + V(1.64709647);
    p = p * u + V(-0.82843589);
    p = p * u + V(-0.382250654);
    return p;
}

// (Y1(x) - 2/pi (log(x) J1(x) - 1 / x)) / x over x² / 32 - 1, x from 0 to 8.
fn y1_near(u: V) -> V {
    var p = V(2.40060202e-07);
    p = p * u + V(-3.64060163e-06);
    p = p * u + V(4.46718141e-05);
    p = p * u + V(-0.000443772738);
    p = p * u + V(0.00342249225);
    p = p * u + V(-0.01962878);
    p = p * u + V(0.0785478688);
    p = p * u + V(-0.196398393);
    p = p * u + V(0.235072092);
    p = p * u + V(0.0233675713);
    p = p * u + V(-0.243377431);
    p = p * u + V(0.0707598588);
    return p;
}

// Hankel's P of order 0 over 128 / x² - 1, x from 8.
fn hankel_p0(u: V) -> V {
    var p = V(-2.06823782e-07);
    p = p * u + V(6.15036957e-06);
    p = p * u + V(-0.000536366929);
    p = p * u + V(0.999457274);
    return p;
}

// x times Hankel's Q of order 0, likewise.
fn hankel_q0(u: V) -> V {
    var p = V(-4.6540262e-08);
    p = p * u + V(5.75118632e-07);
    p = p * u + V(-1.18166572e-05);
    p = p * u + V(0.000546650256);
    p = p * u + V(-0.124440911);
    return p;
}

// Hankel's P of order 1, likewise.
fn hankel_p1(u: V) -> V {
    var p = V(2.47105358e-07);
    p = p * u + V(-7.9745686e-06);
    p = p * u + V(0.000898804504);
    p = p * u + V(1.00090703);
    return p;
}

// x times Hankel's Q of order 1, likewise.
fn hankel_q1(u: V) -> V {
    var p = V(5.26668373e-08);
    p = p * u + V(-6.70713004e-07);
    p = p * u + V(1.45691176e-05);
    p = p * u + V(-0.000769714849);
    p = p * u + V(0.374214992);
    return p;
}

// (1 + 2 x) exp(x²) erfc(x) over (x - 2) / (x + 2), x from 0.
fn erfcx_series(u: V) -> V {
    var p = V(6.33694584e-05);
    p = p * u + V(0.000160803582);
    p = p * u + V(-0.000357920448);
    p = p * u + V(-0.00139570695);
    p = p * u + V(0.00121741059);
    p = p * u + V(0.00868915966);
    p = p * u + V(-0.00801896308);
    p = p * u + V(-0.0542119585);
    p = p * u + V(0.164049454);
    p = p * u + V(-0.166031096);
    p = p * u + V(-0.0927637628);
    p = p * u + V(1.27697839);
    return p;
}

// ndtri(1/2 + q) / q over 2 q² / 0.425² - 1.
fn ndtri_central(u: V) -> V {
    var p = V(0.00017945394);
    p = p * u + V(0.000317941528);
    p = p * u + V(2.99491809e-05);
    p = p * u + V(0.000152409975);
    p = p * u + V(0.00106441535);
    p = p * u + V(0.00206221779);
    p = p * u + V(0.00382185335);
    p = p * u + V(0.00824940864);
    p = p * u + V(0.0185621513);
    p = p * u + V(0.0440801663);
    p = p * u + V(0.116486486);
    p = p * u + V(0.385390128);
    p = p * u + V(2.80673626);
    return p;
}

// -ndtri(exp(-r²)) over (r - 1.6) / 1.7 - 1, r from 1.6 to 5.
fn ndtri_tail(u: V) -> V {
    var p = V(9.45102539e-05);
    p = p * u + V(-0.000189723588);
    p = p * u + V(0.000124705385);
    p = p * u + V(-0.000314013274);
    p = p * u + V(0.00103042324);
    p = p * u + V(-0.00228057617);
    p = p * u + V(0.00503151377);
    p = p * u + V(-0.0117074173);
    p = p * u + V(0.0278677927);
    p = p * u + V(-0.0685124358);
    p = p * u + V(2.58308481);
    p = p * u + V(4.12367507);
    return p;
}

// -ndtri(exp(-r²)) over (r - 5) / 11.25 - 1, r from 5 to 27.5.
fn ndtri_far(u: V) -> V {
    var p = V(-0.00233896383);
    p = p * u + V(0.00308173898);
    p = p * u + V(0.00411685381);
    p = p * u + V(-0.00462803163);
    p = p * u + V(-0.00620130678);
    p = p * u + V(0.00723469924);
    p = p * u + V(-0.000926585184);
    p = p * u + V(0.00300191156);
    p = p * u + V(-0.00890162778);
    p = p * u + V(0.0134127637);
    p = p * u + V(-0.0203573309);
    p = p * u + V(0.0328336541);
    p = p * u + V(-0.0540932296);
    p = p * u + V(16.0026096);
    p = p * u + V(22.8041534);
    return p;
}

// 2 sqrt(pi) x^(1/4) exp(z) Ai(x), z = 2/3 x^(3/2), over 2 z(2) / z - 1, x from 2.
fn airy_pos(u: V) -> V {
    var p = V(-1.59316443e-06);
    p = p * u + V(4.59592109e-06);
    p = p * u + V(-1.19915298e-05);
    p = p * u + V(4.77842542e-05);
    p = p * u + V(-0.000227957729);
    p = p * u + V(0.00141334256);
    p = p * u + V(-0.0146134506);
    p = p * u + V(0.983679278);
    return p;
}

// Ai(x) over (x + 1) / 3, x from -4 to 2.
fn airy_mid(u: V) -> V {
    var p = V(0.00122173595);
    p = p * u + V(-0.00255537877);
    p = p * u + V(-0.0067618471);
    p = p * u + V(0.0258802538);
    p = p * u + V(-0.00821912373);
    p = p * u + V(-0.0934988186);
    p = p * u + V(0.185175013);
    p = p * u + V(0.0197948164);
    p = p * u + V(-0.614316809);
    p = p * u + V(0.852521983);
    p = p * u + V(0.377027995);
    p = p * u + V(-2.37276687);
    p = p * u + V(2.05181553);
    p = p * u + V(1.68848157);
    p = p * u + V(-4.35861221);
    p = p * u + V(1.73893485);
    p = p * u + V(2.45574624);
    p = p * u + V(-2.41002399);
    p = p * u + V(-0.0304816975);
    p = p * u + V(0.535560883);
    return p;
}

// The cosine part of Ai(-x) over 2 (z(4) / z)² - 1, x from 4.
fn airy_p(u: V) -> V {
    var p = V(1.05730271e-07);
    p = p * u + V(-9.26507925e-07);
    p = p * u + V(1.42566573e-05);
    p = p * u + V(-0.000620988777);
    p = p * u + V(0.999363721);
    return p;
}

// z times the sine part, likewise.
fn airy_q(u: V) -> V {
    var p = V(-6.79637077e-08);
    p = p * u + V(3.46202987e-07);
    p = p * u + V(-2.32067413e-06);
    p = p * u + V(2.6002099e-05);
    p = p * u + V(-0.000607132201);
    p = p * u + V(0.0688085747);
    return p;
}
