//! Singular values of bidiagonal matrices, by implicit QR steps.

use super::mat::{Mat, rotation};

/// The upper bidiagonal matrix with diagonal `d` and `e` beside it as `U diag(d) Vᵀ`, `d` descending: the columns of `u` and `v` are
/// turned along. `false`: no convergence.
pub(super) fn diagonalize(d: &mut [f64], e: &mut [f64], u: &mut Mat, v: &mut Mat) -> bool {
    let n = d.len();
    if n == 1 {
        if d[0].is_sign_negative() {
            u.col_mut(0).iter_mut().for_each(|x| *x = -*x);
            d[0] = -d[0];
        }
        return d[0].is_finite();
    }
    let eps = f64::EPSILON / 2.0;
    let tol = eps.powf(-0.125).clamp(10.0, 100.0) * eps;
    // A bound for the smallest singular value says what counts as 0.
    let mut least = d[0].abs();
    let mut mu = least;
    for i in 1..n {
        if least == 0.0 {
            break;
        }
        mu = d[i].abs() * (mu / (mu + e[i - 1].abs()));
        least = least.min(mu);
    }
    let zero = (tol * least / (n as f64).sqrt()).max(6.0 * (n * n) as f64 * f64::MIN_POSITIVE);
    let mut left = 6 * n * n;
    let (mut before, mut downwards) = (None, true);
    // The block that is worked on is `l..=m`.
    let mut end = n;
    while end > 1 {
        let m = end - 1;
        let (mut l, mut largest) = (0, d[m].abs());
        let mut split = false;
        for k in (0..m).rev() {
            let (a, b) = (d[k].abs(), e[k].abs());
            if b <= zero {
                (e[k], l, split) = (0.0, k + 1, true);
                break;
            }
            largest = largest.max(a).max(b);
        }
        if split && l == m {
            end -= 1;
            continue;
        }
        if l + 1 == m {
            let (small, large, sr, cr, sl, cl) = two_by_two(d[l], e[l], d[m]);
            (d[l], e[l], d[m]) = (large, 0.0, small);
            v.rotate_cols(l, cr, sr);
            u.rotate_cols(l, cl, sl);
            end -= 2;
            continue;
        }
        // Another block than before: towards its smaller end.
        if before.is_none_or(|(ol, om)| l > om || m < ol) {
            downwards = d[l].abs() >= d[m].abs();
        }
        let Some(smallest) = negligible(d, e, (l, m), downwards, tol) else { continue };
        before = Some((l, m));
        if left == 0 {
            return false;
        }
        let mut shift = 0.0;
        if n as f64 * tol * (smallest / largest) > eps.max(0.01 * tol) {
            let (at, first) = if downwards { (m - 1, d[l].abs()) } else { (l, d[m].abs()) };
            shift = smaller(d[at], e[at], d[at + 1]);
            if first > 0.0 && (shift / first).powi(2) < eps {
                shift = 0.0;
            }
        }
        left = left.saturating_sub(m - l);
        sweep(d, e, u, v, (l, m), downwards, shift);
        let last = if downwards { m - 1 } else { l };
        if e[last].abs() <= zero {
            e[last] = 0.0;
        }
    }
    for i in 0..n {
        if d[i] < 0.0 {
            d[i] = -d[i];
            v.col_mut(i).iter_mut().for_each(|x| *x = -*x);
        }
    }
    // The smallest of the first goes to their end.
    for end in (1..n).rev() {
        let mut k = 0;
        for j in 1..=end {
            if d[j] <= d[k] {
                k = j;
            }
        }
        d.swap(k, end);
        u.swap_cols(k, end);
        v.swap_cols(k, end);
    }
    d.iter().all(|x| x.is_finite())
}

/// Sets an element beside the diagonal to 0 if the singular values do not feel it (then `None`), or a bound for the smallest one.
fn negligible(d: &[f64], e: &mut [f64], (l, m): (usize, usize), downwards: bool, tol: f64) -> Option<f64> {
    let last = if downwards { m - 1 } else { l };
    if e[last].abs() <= tol * d[if downwards { m } else { l }].abs() {
        e[last] = 0.0;
        return None;
    }
    let mut mu = d[if downwards { l } else { m }].abs();
    let mut least = mu;
    for k in 0..m - l {
        let (k, next) = if downwards { (l + k, l + k + 1) } else { (m - 1 - k, m - 1 - k) };
        if e[k].abs() <= tol * mu {
            e[k] = 0.0;
            return None;
        }
        mu = d[next].abs() * (mu / (mu + e[k].abs()));
        least = least.min(mu);
    }
    Some(least)
}

/// One implicit QR step over `l..=m`, from the top or from the bottom. Without a shift small singular values keep all their digits.
fn sweep(d: &mut [f64], e: &mut [f64], u: &mut Mat, v: &mut Mat, (l, m): (usize, usize), downwards: bool, shift: f64) {
    let steps = m - l;
    if shift == 0.0 {
        let (mut c, mut oc, mut os) = (1.0, 1.0, 0.0);
        for k in 0..steps {
            let (s, r);
            if downwards {
                let i = l + k;
                (c, s, r) = rotation(d[i] * c, e[i]);
                if k > 0 {
                    e[i - 1] = os * r;
                }
                (oc, os, d[i]) = rotation(oc * r, d[i + 1] * s);
                v.rotate_cols(i, c, s);
                u.rotate_cols(i, oc, os);
            } else {
                let i = m - k;
                (c, s, r) = rotation(d[i] * c, e[i - 1]);
                if k > 0 {
                    e[i] = os * r;
                }
                (oc, os, d[i]) = rotation(oc * r, d[i - 1] * s);
                v.rotate_cols(i - 1, oc, -os);
                u.rotate_cols(i - 1, c, -s);
            }
        }
        let (end, beside) = if downwards { (m, m - 1) } else { (l, l) };
        let h = d[end] * c;
        d[end] = h * oc;
        e[beside] = h * os;
        return;
    }
    let start = if downwards { l } else { m };
    let mut f = (d[start].abs() - shift) * (1f64.copysign(d[start]) + shift / d[start]);
    let mut g = if downwards { e[l] } else { e[m - 1] };
    for k in 0..steps {
        // `i` is left behind, `j` is ahead, `b` lies between them, `a` behind and `o` ahead of both.
        let (i, j, b) = if downwards { (l + k, l + k + 1, l + k) } else { (m - k, m - k - 1, m - k - 1) };
        let (cr, sr, r) = rotation(f, g);
        if k > 0 {
            e[if downwards { i - 1 } else { i }] = r;
        }
        f = cr * d[i] + sr * e[b];
        e[b] = cr * e[b] - sr * d[i];
        g = sr * d[j];
        d[j] *= cr;
        let (cl, sl, r) = rotation(f, g);
        d[i] = r;
        f = cl * e[b] + sl * d[j];
        d[j] = cl * d[j] - sl * e[b];
        if k + 1 < steps {
            let o = if downwards { b + 1 } else { b - 1 };
            g = sl * e[o];
            e[o] *= cl;
        }
        if downwards {
            v.rotate_cols(i, cr, sr);
            u.rotate_cols(i, cl, sl);
        } else {
            v.rotate_cols(j, cl, -sl);
            u.rotate_cols(j, cr, -sr);
        }
    }
    e[if downwards { m - 1 } else { l }] = f;
}

/// The smaller singular value of `[f g; 0 h]`.
fn smaller(f: f64, g: f64, h: f64) -> f64 {
    let (fa, ga, ha) = (f.abs(), g.abs(), h.abs());
    let (low, high) = (fa.min(ha), fa.max(ha));
    if low == 0.0 {
        return 0.0;
    }
    let (a, t) = (1.0 + low / high, (high - low) / high);
    if ga < high {
        let u = (ga / high).powi(2);
        return low * (2.0 / ((a * a + u).sqrt() + (t * t + u).sqrt()));
    }
    let u = high / ga;
    if u == 0.0 {
        return low * high / ga;
    }
    let c = 1.0 / ((1.0 + (a * u).powi(2)).sqrt() + (1.0 + (t * u).powi(2)).sqrt());
    low * c * u * 2.0
}

/// `[f g; 0 h]`: its smaller and larger singular value, with signs, and the sines and cosines of the right and the left rotation.
fn two_by_two(f: f64, g: f64, h: f64) -> (f64, f64, f64, f64, f64, f64) {
    let swapped = h.abs() > f.abs();
    let (ft, ht) = if swapped { (h, f) } else { (f, h) };
    let (fa, ga, ha) = (ft.abs(), g.abs(), ht.abs());
    // Which of the three is largest decides the signs.
    let mut largest = if swapped { 3 } else { 1 };
    let (mut small, mut large) = (ha, fa);
    let (mut cl, mut cr, mut sl, mut sr) = (1.0, 1.0, 0.0, 0.0);
    if ga != 0.0 {
        if ga > fa {
            largest = 2;
        }
        if ga > fa && fa / ga < f64::EPSILON / 2.0 {
            large = ga;
            small = if ha > 1.0 { fa / (ga / ha) } else { fa / ga * ha };
            (cl, sl, sr, cr) = (1.0, ht / g, 1.0, ft / g);
        } else {
            let d = fa - ha;
            let l = if d == fa { 1.0 } else { d / fa };
            let m = g / ft;
            let t = 2.0 - l;
            let mm = m * m;
            let s = (t * t + mm).sqrt();
            let r = if l == 0.0 { m.abs() } else { (l * l + mm).sqrt() };
            let a = 0.5 * (s + r);
            (small, large) = (ha / a, fa * a);
            let t = if mm == 0.0 {
                if l == 0.0 { 2f64.copysign(ft) * 1f64.copysign(g) } else { g / d.copysign(ft) + m / t }
            } else {
                (m / (s + t) + m / (r + l)) * (1.0 + a)
            };
            let l = (t * t + 4.0).sqrt();
            (cr, sr) = (2.0 / l, t / l);
            cl = (cr + sr * m) / a;
            sl = ht / ft * sr / a;
        }
    }
    let (cl, sl, cr, sr) = if swapped { (sr, cr, sl, cl) } else { (cl, sl, cr, sr) };
    let sign = |v: f64| 1f64.copysign(v);
    let turn = match largest {
        1 => sign(cr) * sign(cl) * sign(f),
        2 => sign(sr) * sign(cl) * sign(g),
        _ => sign(sr) * sign(sl) * sign(h),
    };
    (small.copysign(turn * sign(f) * sign(h)), large.copysign(turn), sr, cr, sl, cl)
}
