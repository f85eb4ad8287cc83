// Orthogonal polynomials to f32. The degree is truncated; below 0 they are 0, beyond 4096 NaN.

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
