// The normal distribution and its kin to f32, over the aliases V, VU and VB of math.wgsl.
//
// The polynomials are the Chebyshev series of engine/src/ops/special/tables.rs, cut where their terms fall below f32's
// precision and written in powers of their argument, which goes from -1 to 1.

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

// ---- the series ----

// (1 + 2 x) exp(x²) erfc(x) over (x - 2) / (x + 2), x from 0.
fn erfcx_series(u: V) -> V {
    var p = V(6.33694584e-05);
    p = four_terms(p, u, 0.000160803582, -0.000357920448, -0.00139570695, 0.00121741059);
    p = four_terms(p, u, 0.00868915966, -0.00801896308, -0.0542119585, 0.164049454);
    p = p * u + V(-0.166031096);
    p = p * u + V(-0.0927637628);
    p = p * u + V(1.27697839);
    return p;
}

// ndtri(1/2 + q) / q over 2 q² / 0.425² - 1.
fn ndtri_central(u: V) -> V {
    var p = V(0.00017945394);
    p = four_terms(p, u, 0.000317941528, 2.99491809e-05, 0.000152409975, 0.00106441535);
    p = four_terms(p, u, 0.00206221779, 0.00382185335, 0.00824940864, 0.0185621513);
    p = four_terms(p, u, 0.0440801663, 0.116486486, 0.385390128, 2.80673626);
    return p;
}

// -ndtri(exp(-r²)) over (r - 1.6) / 1.7 - 1, r from 1.6 to 5.
fn ndtri_tail(u: V) -> V {
    var p = V(9.45102539e-05);
    p = four_terms(p, u, -0.000189723588, 0.000124705385, -0.000314013274, 0.00103042324);
    p = four_terms(p, u, -0.00228057617, 0.00503151377, -0.0117074173, 0.0278677927);
    p = p * u + V(-0.0685124358);
    p = p * u + V(2.58308481);
    p = p * u + V(4.12367507);
    return p;
}

// -ndtri(exp(-r²)) over (r - 5) / 11.25 - 1, r from 5 to 27.5.
fn ndtri_far(u: V) -> V {
    var p = V(-0.00233896383);
    p = four_terms(p, u, 0.00308173898, 0.00411685381, -0.00462803163, -0.00620130678);
    p = four_terms(p, u, 0.00723469924, -0.000926585184, 0.00300191156, -0.00890162778);
    p = four_terms(p, u, 0.0134127637, -0.0203573309, 0.0328336541, -0.0540932296);
    p = p * u + V(16.0026096);
    p = p * u + V(22.8041534);
    return p;
}
