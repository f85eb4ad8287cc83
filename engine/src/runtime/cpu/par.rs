//! Spreading independent pieces of work over threads. What the pieces are depends on sizes alone, so
//! results are the same bits whatever the number of threads.

/// Fewer elements than this are not worth waking threads for.
pub(super) const WORTH: usize = 32 << 10;

/// Runs `f(0), f(1), .. f(n - 1)`, in any order and on any thread.
pub(super) fn each(n: usize, parallel: bool, f: impl Fn(usize) + Sync + Send) {
    #[cfg(not(target_arch = "wasm32"))]
    if parallel && n > 1 {
        use rayon::prelude::*;
        return (0..n).into_par_iter().for_each(f);
    }
    let _ = parallel;
    (0..n).for_each(f);
}

/// The same with results, in order.
pub(super) fn map<T: Send>(n: usize, parallel: bool, f: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
    #[cfg(not(target_arch = "wasm32"))]
    if parallel && n > 1 {
        use rayon::prelude::*;
        return (0..n).into_par_iter().map(f).collect();
    }
    let _ = parallel;
    (0..n).map(f).collect()
}
