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

#[cfg(target_arch = "wasm32")]
pub(crate) fn on_pool<T>(f: impl FnOnce() -> T) -> T {
    f()
}

/// Runs `f` on the engine's own threads, where `rayon` calls inside it stay.
///
/// Not rayon's global pool, because a plan runs under its device's lock: a thread of a pool that waits for its pieces
/// takes up any other work of that pool meanwhile, and if that is the program's own and uses tensors, it
/// waits for the lock that its own thread holds, for ever.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn on_pool<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    use std::sync::LazyLock;
    static POOL: LazyLock<Option<rayon::ThreadPool>> = LazyLock::new(|| threads(0));
    #[cfg(test)]
    if let Some(n) = TEST_THREADS.get() {
        return threads(n).expect("threads").install(f);
    }
    match &*POOL {
        // No threads to be had: rayon's own fallback is the thread itself.
        None => f(),
        Some(pool) if pool.current_thread_index().is_some() => f(),
        // A thread of another pool would take up that pool's work while it waits here; a fresh one just waits.
        Some(pool) if rayon::current_thread_index().is_some() => {
            std::thread::scope(|s| s.spawn(|| pool.install(f)).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        }
        Some(pool) => pool.install(f),
    }
}

/// `n` threads; 0: as many as there are cores, or as `RAYON_NUM_THREADS` says.
#[cfg(not(target_arch = "wasm32"))]
fn threads(n: usize) -> Option<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new().num_threads(n).thread_name(|i| format!("taper-cpu-{i}")).build().ok()
}

#[cfg(test)]
thread_local! {
    /// Makes this thread's plans run on that many threads.
    pub(super) static TEST_THREADS: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}
