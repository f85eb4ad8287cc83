//! Symmetric matrices: reflections make them tridiagonal, implicit QL or QR steps diagonal.

use super::mat::{Mat, axpy, dot, reflector, rotation};

/// A symmetric matrix as `Q T Qᵀ`: the diagonals of `T`, and the reflections of `Q` (where each starts, its tail, its factor)
/// in the order in which they were made.
pub(super) struct Tridiagonal {
    pub diagonal: Vec<f64>,
    pub beside: Vec<f64>,
    reflections: Vec<(usize, Vec<f64>, f64)>,
    upper: bool,
}

/// `a` is symmetric. `upper`: starts at the last column, as LAPACK does where the upper triangle is given.
pub(super) fn reduce(mut a: Mat, upper: bool) -> Tridiagonal {
    let n = a.rows;
    let mut t = Tridiagonal { diagonal: vec![0.0; n], beside: vec![0.0; n.saturating_sub(1)], reflections: Vec::new(), upper };
    for step in 0..n.saturating_sub(1) {
        // The part that stays is `from..to`; `v` lies in it, and its 1 at `one`.
        let (column, from, to, one) = if upper { (n - 1 - step, 0, n - 1 - step, n - 2 - step) } else { (step, step + 1, n, step + 1) };
        let mut tail: Vec<f64> = (from..to).filter(|&i| i != one).map(|i| a[(i, column)]).collect();
        let (beta, tau) = reflector(a[(one, column)], &mut tail);
        t.beside[if upper { one } else { step }] = beta;
        if tau != 0.0 {
            let mut v = tail.clone();
            v.insert(if upper { v.len() } else { 0 }, 1.0);
            // w = tau A v - (tau/2 (tau A v . v)) v; A -= v wᵀ + w vᵀ
            let mut w = vec![0.0; v.len()];
            for (k, &x) in v.iter().enumerate() {
                axpy(&mut w, tau * x, &a.col(from + k)[from..to]);
            }
            let by = -0.5 * tau * dot(&w, &v);
            axpy(&mut w, by, &v);
            for k in 0..v.len() {
                let (x, y) = (v[k], w[k]);
                let column = &mut a.col_mut(from + k)[from..to];
                axpy(column, -y, &v);
                axpy(column, -x, &w);
            }
        }
        t.reflections.push((from, tail, tau));
    }
    (0..n).for_each(|i| t.diagonal[i] = a[(i, i)]);
    t
}

impl Tridiagonal {
    /// `Q z`, in place.
    pub fn apply(&self, z: &mut Mat) {
        if !self.upper {
            for (from, tail, tau) in self.reflections.iter().rev() {
                z.reflect_left(*from, 0, tail, *tau);
            }
            return;
        }
        // The 1 of each vector is its last element.
        for (_, tail, tau) in self.reflections.iter().rev() {
            for j in 0..z.cols {
                let x = &mut z.col_mut(j)[..tail.len() + 1];
                let w = tau * (x[tail.len()] + dot(tail, x));
                x[tail.len()] -= w;
                axpy(&mut x[..tail.len()], -w, tail);
            }
        }
    }
}

/// Whether an element beside the diagonal, between two of it, counts as 0.
type Small<'a> = &'a dyn Fn(f64, f64, f64) -> bool;

/// Eigenvalues of the tridiagonal matrix in place of `d`, ascending; `z`'s columns are turned along. `false`: no convergence.
pub(super) fn diagonalize(d: &mut [f64], e: &mut [f64], z: &mut Mat) -> bool {
    let n = d.len();
    let (eps, tiny) = (f64::EPSILON / 2.0, f64::MIN_POSITIVE);
    let mut left = 30 * n;
    let mut next = 0;
    while next < n {
        // A block without zeros beside its diagonal.
        let first = next;
        let mut last = first;
        while last + 1 < n && e[last].abs() > d[last].abs().sqrt() * d[last + 1].abs().sqrt() * eps {
            last += 1;
        }
        if last + 1 < n {
            e[last] = 0.0;
        }
        next = last + 1;
        if first == last {
            continue;
        }
        let small = |e: f64, a: f64, b: f64| e * e <= (eps * eps * a.abs()) * b.abs() + tiny;
        let steps: fn(&mut [f64], &mut [f64], &mut Mat, (usize, usize), &mut usize, Small<'_>) -> bool =
            if d[last].abs() < d[first].abs() { upwards } else { downwards };
        if !steps(d, e, z, (first, last), &mut left, &small) {
            return false;
        }
    }
    for i in 0..n.saturating_sub(1) {
        let mut k = i;
        for j in i + 1..n {
            if d[j] < d[k] {
                k = j;
            }
        }
        d.swap(i, k);
        z.swap_cols(i, k);
    }
    d.iter().all(|v| v.is_finite())
}

/// QL steps: the eigenvalue at the top converges first.
fn downwards(d: &mut [f64], e: &mut [f64], z: &mut Mat, (first, last): (usize, usize), left: &mut usize, small: Small<'_>) -> bool {
    let mut l = first;
    while l <= last {
        let m = (l..last).find(|&m| small(e[m], d[m], d[m + 1])).unwrap_or(last);
        if m < last {
            e[m] = 0.0;
        }
        let mut p = d[l];
        if m == l {
            l += 1;
            continue;
        }
        if m == l + 1 {
            let (r1, r2, c, s) = two_by_two(d[l], e[l], d[l + 1]);
            z.rotate_cols(l, c, s);
            (d[l], d[l + 1], e[l]) = (r1, r2, 0.0);
            l += 2;
            continue;
        }
        if *left == 0 {
            return false;
        }
        *left -= 1;
        let g = (d[l + 1] - p) / (2.0 * e[l]);
        let mut g = d[m] - p + e[l] / (g + g.hypot(1.0).copysign(g));
        let (mut s, mut c) = (1.0, 1.0);
        p = 0.0;
        for i in (l..m).rev() {
            let (f, b) = (s * e[i], c * e[i]);
            let r;
            (c, s, r) = rotation(g, f);
            if i + 1 != m {
                e[i + 1] = r;
            }
            g = d[i + 1] - p;
            let r = (d[i] - g) * s + 2.0 * c * b;
            p = s * r;
            d[i + 1] = g + p;
            g = c * r - b;
            z.rotate_cols(i, c, -s);
        }
        d[l] -= p;
        e[l] = g;
    }
    true
}

/// QR steps: the eigenvalue at the bottom converges first.
fn upwards(d: &mut [f64], e: &mut [f64], z: &mut Mat, (first, last): (usize, usize), left: &mut usize, small: Small<'_>) -> bool {
    // One past the element that is looked for.
    let mut end = last + 1;
    while end > first {
        let l = end - 1;
        let m = (first + 1..=l).rev().find(|&m| small(e[m - 1], d[m], d[m - 1])).unwrap_or(first);
        if m > first {
            e[m - 1] = 0.0;
        }
        let mut p = d[l];
        if m == l {
            end -= 1;
            continue;
        }
        if m + 1 == l {
            let (r1, r2, c, s) = two_by_two(d[l - 1], e[l - 1], d[l]);
            z.rotate_cols(l - 1, c, s);
            (d[l - 1], d[l], e[l - 1]) = (r1, r2, 0.0);
            end -= 2;
            continue;
        }
        if *left == 0 {
            return false;
        }
        *left -= 1;
        let g = (d[l - 1] - p) / (2.0 * e[l - 1]);
        let mut g = d[m] - p + e[l - 1] / (g + g.hypot(1.0).copysign(g));
        let (mut s, mut c) = (1.0, 1.0);
        p = 0.0;
        for i in m..l {
            let (f, b) = (s * e[i], c * e[i]);
            let r;
            (c, s, r) = rotation(g, f);
            if i != m {
                e[i - 1] = r;
            }
            g = d[i] - p;
            let r = (d[i + 1] - g) * s + 2.0 * c * b;
            p = s * r;
            d[i] = g + p;
            g = c * r - b;
            z.rotate_cols(i, c, s);
        }
        d[l] -= p;
        e[l - 1] = g;
    }
    true
}

/// Eigenvalues of `[a b; b c]`, the one of larger magnitude first, and its unit eigenvector.
fn two_by_two(a: f64, b: f64, c: f64) -> (f64, f64, f64, f64) {
    let (sum, difference, twice) = (a + c, a - c, b + b);
    let (large, small) = if a.abs() > c.abs() { (a, c) } else { (c, a) };
    let root = difference.hypot(twice);
    let other = |first: f64| (large / first) * small - (b / first) * b;
    let (r1, r2, sign1) = if sum < 0.0 {
        let r1 = 0.5 * (sum - root);
        (r1, other(r1), -1)
    } else if sum > 0.0 {
        let r1 = 0.5 * (sum + root);
        (r1, other(r1), 1)
    } else {
        (0.5 * root, -0.5 * root, 1)
    };
    let (cs, sign2) = if difference >= 0.0 { (difference + root, 1) } else { (difference - root, -1) };
    let (c1, s1) = if cs.abs() > twice.abs() {
        let ct = -twice / cs;
        let s = 1.0 / (1.0 + ct * ct).sqrt();
        (ct * s, s)
    } else if twice == 0.0 {
        (1.0, 0.0)
    } else {
        let tn = -cs / twice;
        let c = 1.0 / (1.0 + tn * tn).sqrt();
        (c, tn * c)
    };
    if sign1 == sign2 { (r1, r2, -s1, c1) } else { (r1, r2, c1, s1) }
}
