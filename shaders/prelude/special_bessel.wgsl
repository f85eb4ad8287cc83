// Bessel and Airy functions to f32, over the aliases V, VI and VB of math.wgsl.
//
// The polynomials are the Chebyshev series of engine/src/ops/special/tables.rs, cut where their terms fall below f32's
// precision and written in powers of their argument, which goes from -1 to 1.

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

// ---- the series ----

// exp(-x) I0(x) over x / 4 - 1, x from 0 to 8.
fn i0e_near(u: V) -> V {
    var p = V(-0.000851984391);
    p = four_terms(p, u, 0.00198147933, -0.000754894991, 0.00122772141, -0.00801823678);
    p = four_terms(p, u, 0.0145283018, -0.0188573548, 0.0286079623, -0.043317893);
    p = four_terms(p, u, 0.0573339835, -0.0694632888, 0.0791650043, -0.084973244);
    p = four_terms(p, u, 0.0873542956, -0.0890428754, 0.0945152163, -0.113004336);
    p = p * u + V(0.207001924);
    return p;
}

// sqrt(x) exp(-x) I0(x) over 16 / x - 1, x from 8.
fn i0e_far(u: V) -> V {
    var p = V(3.62667039e-07);
    p = four_terms(p, u, 1.63913487e-06, 1.11121483e-05, 0.000136156032, 0.0033605557);
    p = p * u + V(0.402176513);
    return p;
}

// exp(-x) I1(x) / x over x / 4 - 1, x from 0 to 8.
fn i1e_near(u: V) -> V {
    var p = V(-0.0001236828);
    p = four_terms(p, u, 0.000307414217, -0.000202626589, 0.000411442194, -0.00169859431);
    p = four_terms(p, u, 0.00336142037, -0.00542742132, 0.00936740036, -0.015614301);
    p = four_terms(p, u, 0.023762642, -0.0336612829, 0.0446594371, -0.0552813128);
    p = four_terms(p, u, 0.0637688955, -0.0684825332, 0.0680575434, -0.0611243393);
    p = p * u + V(0.0446877102);
    return p;
}

// sqrt(x) exp(-x) I1(x) over 16 / x - 1, x from 8.
fn i1e_far(u: V) -> V {
    var p = V(-4.21035015e-07);
    p = four_terms(p, u, -2.00978899e-06, -1.50039655e-05, -0.000219168088, -0.00974958137);
    p = p * u + V(0.389398455);
    return p;
}

// K0(x) + log(x / 2) I0(x) over x² / 2 - 1, x from 0 to 2.
fn k0_near(u: V) -> V {
    var p = V(4.05566573e-06);
    p = four_terms(p, u, 0.000182896968, 0.00505339206, 0.0717769761, 0.340497321);
    p = p * u + V(-0.303620771);
    return p;
}

// sqrt(x) exp(x) K0(x) over 4 / x - 1, x from 2.
fn k0e_far(u: V) -> V {
    var p = V(-2.98271353e-06);
    p = four_terms(p, u, 8.85380365e-06, -2.40883397e-05, 9.83178043e-05, -0.000479956747);
    p = p * u + V(0.00303314953);
    p = p * u + V(-0.0310714474);
    p = p * u + V(1.21859533);
    return p;
}

// x (K1(x) - log(x / 2) I1(x)) over x² / 2 - 1, x from 0 to 2.
fn k1_near(u: V) -> V {
    var p = V(-7.08284042e-07);
    p = four_terms(p, u, -3.89344983e-05, -0.00138316874, -0.0278542273, -0.243838529);
    p = p * u + V(-0.332240956);
    p = p * u + V(0.885088288);
    return p;
}

// sqrt(x) exp(x) K1(x) over 4 / x - 1, x from 2.
fn k1e_far(u: V) -> V {
    var p = V(3.67429384e-06);
    p = four_terms(p, u, -1.12062739e-05, 3.20737449e-05, -0.000138086427, 0.000735947382);
    p = p * u + V(-0.00556704141);
    p = p * u + V(0.103349721);
    p = p * u + V(1.3631519);
    return p;
}

// J0(x) over x² / 32 - 1, x from 0 to 8.
fn j0_near(u: V) -> V {
    var p = V(-2.74355561e-06);
    p = four_terms(p, u, 3.89537976e-05, -0.00044351363, 0.00405753759, -0.028472738);
    p = four_terms(p, u, 0.14598913, -0.50746804, 1.03837939, -0.808088808);
    p = p * u + V(-0.648469277);
    p = p * u + V(0.930301247);
    p = p * u + V(0.0458296648);
    return p;
}

// J1(x) / x over x² / 32 - 1, x from 0 to 8.
fn j1_near(u: V) -> V {
    var p = V(1.88781249e-06);
    p = four_terms(p, u, -2.4376281e-05, 0.000249472777, -0.00202870848, 0.0124568257);
    p = four_terms(p, u, -0.0547459631, 0.158583762, -0.259594839, 0.151516652);
    p = p * u + V(0.0810586591);
    p = p * u + V(-0.058143828);
    return p;
}

// Y0(x) - 2/pi log(x) J0(x) over x² / 32 - 1, x from 0 to 8.
fn y0_near(u: V) -> V {
    var p = V(5.37476586e-06);
    p = four_terms(p, u, -7.37650344e-05, 0.000806091724, -0.00702464871, 0.0463670878);
    p = four_terms(p, u, -0.218958038, 0.672177067, -1.0775476, 0.144126325);
    p = p * u + V(1.64709647);
    p = p * u + V(-0.82843589);
    p = p * u + V(-0.382250654);
    return p;
}

// (Y1(x) - 2/pi (log(x) J1(x) - 1 / x)) / x over x² / 32 - 1, x from 0 to 8.
fn y1_near(u: V) -> V {
    var p = V(2.40060202e-07);
    p = four_terms(p, u, -3.64060163e-06, 4.46718141e-05, -0.000443772738, 0.00342249225);
    p = four_terms(p, u, -0.01962878, 0.0785478688, -0.196398393, 0.235072092);
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
    p = four_terms(p, u, 5.75118632e-07, -1.18166572e-05, 0.000546650256, -0.124440911);
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
    p = four_terms(p, u, -6.70713004e-07, 1.45691176e-05, -0.000769714849, 0.374214992);
    return p;
}

// 2 sqrt(pi) x^(1/4) exp(z) Ai(x), z = 2/3 x^(3/2), over 2 z(2) / z - 1, x from 2.
fn airy_pos(u: V) -> V {
    var p = V(-1.59316443e-06);
    p = four_terms(p, u, 4.59592109e-06, -1.19915298e-05, 4.77842542e-05, -0.000227957729);
    p = p * u + V(0.00141334256);
    p = p * u + V(-0.0146134506);
    p = p * u + V(0.983679278);
    return p;
}

// Ai(x) over (x + 1) / 3, x from -4 to 2.
fn airy_mid(u: V) -> V {
    var p = V(0.00122173595);
    p = four_terms(p, u, -0.00255537877, -0.0067618471, 0.0258802538, -0.00821912373);
    p = four_terms(p, u, -0.0934988186, 0.185175013, 0.0197948164, -0.614316809);
    p = four_terms(p, u, 0.852521983, 0.377027995, -2.37276687, 2.05181553);
    p = four_terms(p, u, 1.68848157, -4.35861221, 1.73893485, 2.45574624);
    p = p * u + V(-2.41002399);
    p = p * u + V(-0.0304816975);
    p = p * u + V(0.535560883);
    return p;
}

// The cosine part of Ai(-x) over 2 (z(4) / z)² - 1, x from 4.
fn airy_p(u: V) -> V {
    var p = V(1.05730271e-07);
    p = four_terms(p, u, -9.26507925e-07, 1.42566573e-05, -0.000620988777, 0.999363721);
    return p;
}

// z times the sine part, likewise.
fn airy_q(u: V) -> V {
    var p = V(-6.79637077e-08);
    p = four_terms(p, u, 3.46202987e-07, -2.32067413e-06, 2.6002099e-05, -0.000607132201);
    p = p * u + V(0.0688085747);
    return p;
}
