//! General square matrices as `Q T Qᵀ`: reflections leave one diagonal below the main one (Hessenberg's form), and double-shift
//! QR steps blocks of one or two on the diagonal (Schur's form), which have the eigenvalues.

use super::mat::{Mat, reflector};

/// A block of two has equal elements on its diagonal and beside it others of different signs: a pair of complex eigenvalues.
pub(super) struct Schur {
    pub t: Mat,
    pub q: Mat,
}

/// `None`: no convergence.
pub(super) fn schur(mut a: Mat) -> Option<Schur> {
    let mut q = hessenberg(&mut a);
    reduce(&mut a, &mut q).then_some(Schur { t: a, q })
}

/// Leaves of `a` only what lies on, above and just below the diagonal.
fn hessenberg(a: &mut Mat) -> Mat {
    let n = a.rows;
    let mut reflections = Vec::with_capacity(n);
    for k in 0..n.saturating_sub(2) {
        let mut tail = a.col(k)[k + 2..].to_vec();
        let (beta, tau) = reflector(a[(k + 1, k)], &mut tail);
        a.reflect_right(0, k + 1, &tail, tau);
        a.reflect_left(k + 1, k + 1, &tail, tau);
        a[(k + 1, k)] = beta;
        a.col_mut(k)[k + 2..].fill(0.0);
        reflections.push((tail, tau));
    }
    let mut q = Mat::eye(n, n);
    for (k, (tail, tau)) in reflections.iter().enumerate().rev() {
        q.reflect_left(k + 1, k + 1, tail, *tau);
    }
    q
}

/// Every so many steps without success a shift out of the ordinary is tried.
const PATIENCE: usize = 10;

/// Blocks split off at the lower end, one after the other. `false`: no convergence.
fn reduce(h: &mut Mat, q: &mut Mat) -> bool {
    let n = h.rows;
    // One past the last row of what is left.
    let mut end = n;
    while end > 0 {
        let last = end - 1;
        let mut first = 0;
        let mut done = false;
        for step in 1..=30 * n.max(10) {
            first = (1..=last).rev().find(|&k| negligible(h, k)).unwrap_or(0);
            if first > 0 {
                h[(first, first - 1)] = 0.0;
            }
            if first + 1 >= last {
                done = true;
                break;
            }
            let shifts = shifts(h, first, last, step);
            double_step(h, q, first, last, shifts);
        }
        if !done {
            return false;
        }
        if first + 1 == last {
            split_pair(h, q, first);
        }
        end = first;
    }
    true
}

/// Whether the element left of the diagonal in row `k` counts as 0, after Ahues and Tisseur.
fn negligible(h: &Mat, k: usize) -> bool {
    let (below, tiny) = (h[(k, k - 1)].abs(), f64::MIN_POSITIVE * (h.rows as f64 / f64::EPSILON));
    if below <= tiny {
        return true;
    }
    let mut beside = h[(k - 1, k - 1)].abs() + h[(k, k)].abs();
    if beside == 0.0 {
        let left = if k >= 2 { h[(k - 1, k - 2)].abs() } else { 0.0 };
        beside = left + if k + 1 < h.rows { h[(k + 1, k)].abs() } else { 0.0 };
    }
    if below > f64::EPSILON * beside {
        return false;
    }
    let (above, gap) = (h[(k - 1, k)].abs(), (h[(k - 1, k - 1)] - h[(k, k)]).abs());
    let (large, small) = (below.max(above), below.min(above));
    let (aa, bb) = (h[(k, k)].abs().max(gap), h[(k, k)].abs().min(gap));
    let s = aa + large;
    small * (large / s) <= tiny.max(f64::EPSILON * (bb * (aa / s)))
}

/// Two numbers near eigenvalues of the part from `first` to `last`, as `(real, imaginary)`: a pair, or one real number twice.
fn shifts(h: &Mat, first: usize, last: usize, step: usize) -> [(f64, f64); 2] {
    let exceptional = |s: f64, at: usize| [0.75 * s + h[(at, at)], -0.4375 * s, s, 0.75 * s + h[(at, at)]];
    let [a, b, c, d] = if step % (2 * PATIENCE) == 0 {
        exceptional(h[(last, last - 1)].abs() + h[(last - 1, last - 2)].abs(), last)
    } else if step % PATIENCE == 0 {
        exceptional(h[(first + 1, first)].abs() + h[(first + 2, first + 1)].abs(), first)
    } else {
        [h[(last - 1, last - 1)], h[(last - 1, last)], h[(last, last - 1)], h[(last, last)]]
    };
    let s = a.abs() + b.abs() + c.abs() + d.abs();
    if s == 0.0 {
        return [(0.0, 0.0); 2];
    }
    let [a, b, c, d] = [a / s, b / s, c / s, d / s];
    let mean = (a + d) / 2.0;
    let det = (a - mean) * (d - mean) - b * c;
    let root = det.abs().sqrt();
    if det >= 0.0 {
        return [(mean * s, root * s), (mean * s, -root * s)];
    }
    let (x, y) = (mean + root, mean - root);
    let nearer = if (x - d).abs() <= (y - d).abs() { x } else { y };
    [(nearer * s, 0.0); 2]
}

/// One QR step with both shifts: a bulge of two rows is chased down from where two elements below the diagonal are small.
fn double_step(h: &mut Mat, q: &mut Mat, first: usize, last: usize, [(r1, i1), (r2, i2)]: [(f64, f64); 2]) {
    let mut start = last - 2;
    let mut v;
    loop {
        let m = start;
        let below = h[(m + 1, m)];
        let s = (h[(m, m)] - r2).abs() + i2.abs() + below.abs();
        let scaled = below / s;
        v = [
            scaled * h[(m, m + 1)] + (h[(m, m)] - r1) * ((h[(m, m)] - r2) / s) - i1 * (i2 / s),
            scaled * (h[(m, m)] + h[(m + 1, m + 1)] - r1 - r2),
            scaled * h[(m + 2, m + 1)],
        ];
        let size = v.iter().map(|x| x.abs()).sum::<f64>();
        if size > 0.0 {
            v = v.map(|x| x / size);
        }
        if m == first {
            break;
        }
        let around = h[(m - 1, m - 1)].abs() + h[(m, m)].abs() + h[(m + 1, m + 1)].abs();
        if h[(m, m - 1)].abs() * (v[1].abs() + v[2].abs()) <= f64::EPSILON * v[0].abs() * around {
            break;
        }
        start -= 1;
    }
    for k in start..last {
        let rows = 3.min(last - k + 1);
        if k > start {
            (0..rows).for_each(|i| v[i] = h[(k + i, k - 1)]);
        }
        let (head, tail) = v.split_at_mut(1);
        let tail = &mut tail[..rows - 1];
        let (beta, tau) = reflector(head[0], tail);
        if k > start {
            h[(k, k - 1)] = beta;
            (1..rows).for_each(|i| h[(k + i, k - 1)] = 0.0);
        } else if start > first {
            h[(k, k - 1)] *= 1.0 - tau;
        }
        h.reflect_left(k, k, tail, tau);
        h.reflect_right(0, k, tail, tau);
        q.reflect_right(0, k, tail, tau);
    }
}

/// Brings the block of rows `i` and `i + 1` to the form [`Schur`] promises, or to a triangle if its eigenvalues are real.
fn split_pair(h: &mut Mat, q: &mut Mat, i: usize) {
    let j = i + 1;
    let [a, b, c, d] = [h[(i, i)], h[(i, j)], h[(j, i)], h[(j, j)]];
    let turn = |h: &mut Mat, q: &mut Mat, cs: f64, sn: f64| {
        for k in 0..h.cols {
            let (x, y) = (h[(i, k)], h[(j, k)]);
            (h[(i, k)], h[(j, k)]) = (cs * x + sn * y, cs * y - sn * x);
        }
        h.rotate_cols(i, cs, sn);
        q.rotate_cols(i, cs, sn);
    };
    if c == 0.0 {
        return;
    }
    if b == 0.0 {
        turn(h, q, 0.0, 1.0);
        h[(j, i)] = 0.0;
        return;
    }
    if a == d && (b > 0.0) != (c > 0.0) {
        return;
    }
    let p = 0.5 * (a - d);
    let (large, small) = (b.abs().max(c.abs()), b.abs().min(c.abs()) * b.signum() * c.signum());
    let scale = p.abs().max(large);
    let z = p / scale * p + large / scale * small;
    if z >= 4.0 * f64::EPSILON {
        let z = p + (scale.sqrt() * z.sqrt()).copysign(p);
        let tau = c.hypot(z);
        turn(h, q, z / tau, c / tau);
        (h[(i, i)], h[(j, j)], h[(j, i)]) = (d + z, d - large / z * small, 0.0);
        return;
    }
    // Complex or nearly equal: the diagonal's elements become equal.
    let sigma = b + c;
    let tau = sigma.hypot(a - d);
    let cs = (0.5 * (1.0 + sigma.abs() / tau)).sqrt();
    let sn = -(p / (tau * cs)) * 1f64.copysign(sigma);
    turn(h, q, cs, sn);
    let mean = 0.5 * (h[(i, i)] + h[(j, j)]);
    (h[(i, i)], h[(j, j)]) = (mean, mean);
    let (b, c) = (h[(i, j)], h[(j, i)]);
    if c == 0.0 || b != 0.0 && (b > 0.0) != (c > 0.0) {
        return;
    }
    if b == 0.0 {
        turn(h, q, 0.0, 1.0);
        h[(j, i)] = 0.0;
        return;
    }
    // Real after all.
    let (sab, sac) = (b.abs().sqrt(), c.abs().sqrt());
    let p = (sab * sac).copysign(c);
    let size = 1.0 / (b + c).abs().sqrt();
    turn(h, q, sab * size, sac * size);
    (h[(i, i)], h[(j, j)], h[(j, i)]) = (mean + p, mean - p, 0.0);
}
