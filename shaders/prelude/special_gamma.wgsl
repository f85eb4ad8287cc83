// What belongs to the gamma function, to f32: Hurwitz' zeta, polygamma, the incomplete gamma functions.

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
