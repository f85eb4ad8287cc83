//! What the processor can do at best, measured: the floor that figures are compared with.

use std::hint::black_box;
use std::time::Instant;

/// Additions and multiplications, and bytes, per second; of the whole processor.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub flops: f64,
    pub bandwidth: f64,
}

impl Limits {
    pub fn measure() -> Limits {
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
        Limits { flops: best(3, threads, flops), bandwidth: best(3, threads, bandwidth) }
    }

    /// Seconds that the arithmetic and the traffic take at least.
    pub fn floor(self, flop: f64, bytes: f64) -> f64 {
        (flop / self.flops).max(bytes / self.bandwidth)
    }
}

/// The best of some tries of what `f` does on all threads together, per second.
fn best(tries: usize, threads: usize, f: fn() -> f64) -> f64 {
    let attempt = || {
        let start = Instant::now();
        let done: f64 = std::thread::scope(|s| {
            let running: Vec<_> = (0..threads).map(|_| s.spawn(f)).collect();
            running.into_iter().map(|t| t.join().unwrap_or(0.0)).sum()
        });
        done / start.elapsed().as_secs_f64()
    };
    (0..tries).map(|_| attempt()).fold(0.0, f64::max)
}

/// Reads two arrays and writes a third, often; bytes moved as programs count them.
fn bandwidth() -> f64 {
    const N: usize = 4 << 20;
    const TIMES: usize = 12;
    let (a, b, mut c) = (vec![1f32; N], vec![2f32; N], vec![0f32; N]);
    for _ in 0..TIMES {
        c.iter_mut().zip(a.iter().zip(&b)).for_each(|(c, (a, b))| *c = a + 3.0 * b);
        black_box(&mut c);
    }
    (TIMES * N * 12) as f64
}

const LENGTH: usize = 8 << 20;

/// Independent chains of multiply-adds in registers; operations done.
fn flops() -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the machine has AVX-512.
            return unsafe { wide512() };
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma") {
            // SAFETY: the machine has AVX2 and FMA.
            return unsafe { wide256() };
        }
    }
    let mut sums = [1f32; 32];
    let x = black_box(0.999f32);
    for _ in 0..LENGTH {
        sums.iter_mut().for_each(|s| *s = *s * x + x);
    }
    black_box(sums);
    (LENGTH * 32 * 2) as f64
}

/// `LENGTH` rounds of one multiply-add in each of twelve registers, which the compiler must not keep in an array.
#[cfg(target_arch = "x86_64")]
macro_rules! rounds {
    ($x:ident, $step:path) => {{
        let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h, mut i, mut j, mut k, mut l] = [$x; 12];
        for _ in 0..LENGTH {
            (a, b, c, d) = ($step(a, $x, $x), $step(b, $x, $x), $step(c, $x, $x), $step(d, $x, $x));
            (e, f, g, h) = ($step(e, $x, $x), $step(f, $x, $x), $step(g, $x, $x), $step(h, $x, $x));
            (i, j, k, l) = ($step(i, $x, $x), $step(j, $x, $x), $step(k, $x, $x), $step(l, $x, $x));
        }
        black_box([a, b, c, d, e, f, g, h, i, j, k, l]);
    }};
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn wide512() -> f64 {
    use std::arch::x86_64::{_mm512_fmadd_ps, _mm512_set1_ps};
    let x = _mm512_set1_ps(black_box(0.999));
    rounds!(x, _mm512_fmadd_ps);
    (LENGTH * 12 * 16 * 2) as f64
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide256() -> f64 {
    use std::arch::x86_64::{_mm256_fmadd_ps, _mm256_set1_ps};
    let x = _mm256_set1_ps(black_box(0.999));
    rounds!(x, _mm256_fmadd_ps);
    (LENGTH * 12 * 8 * 2) as f64
}
