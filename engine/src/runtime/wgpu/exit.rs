//! The end of the process: drivers are left with nothing under way.
//!
//! Software drivers compile and compute on threads of their own. A process that ends meanwhile runs the destructors of
//! their libraries under those threads, which then crash. So the last thing a process does before is to wait. What is
//! registered last runs first, and a compiler registers destructors of its own when it first runs: so a kernel's first
//! run is waited for (see [`Gpu::submit`](super::Gpu)), and then the wait at the end is registered anew.

use std::ffi::c_int;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ::wgpu;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};

use super::device::Core;

static OPEN: Mutex<Vec<Weak<Core>>> = Mutex::new(Vec::new());
/// Whoever submits reads it; it is taken for writing once, at the end.
static RUNNING: RwLock<()> = RwLock::new(());

// SAFETY: the signature is C's. It takes any function, which runs once, on the thread that ends the process.
unsafe extern "C" {
    safe fn atexit(last: extern "C" fn()) -> c_int;
}

/// Waits for `core` when the process ends.
pub(super) fn wait_for(core: Weak<Core>) {
    let mut open = OPEN.lock();
    open.retain(|c| c.strong_count() > 0);
    open.push(core);
    drop(open);
    register();
}

/// To be called whenever a driver may have registered something of its own.
pub(super) fn register() {
    // Where it is refused (the table of handlers is full) the process ends as it would have without.
    let _refused = atexit(finish);
}

/// Held while work is handed to a driver. Blocks for good in a process that is ending.
pub(super) fn running() -> RwLockReadGuard<'static, ()> {
    RUNNING.read_recursive()
}

extern "C" fn finish() {
    // It is registered more than once; only the first run finds something to do.
    static DONE: AtomicBool = AtomicBool::new(false);
    if DONE.swap(true, Ordering::AcqRel) {
        return;
    }
    // The thread that ends the process may itself be inside a submission, or another one be stuck in it.
    if let Some(nobody) = RUNNING.try_write_for(Duration::from_secs(2)) {
        std::mem::forget(nobody);
    }
    let Some(open) = OPEN.try_lock() else { return };
    let open: Vec<_> = open.iter().filter_map(Weak::upgrade).collect();
    // On a thread of its own: this one's thread-local values, which wgpu uses, may be gone by now.
    let wait = move || {
        for core in open {
            // A device that is lost has nothing to wait for.
            let _ = core.device.poll(wgpu::PollType::Wait { submission_index: None, timeout: Some(Duration::from_secs(10)) });
            // Its own destructor would run after the driver's.
            std::mem::forget(core);
        }
    };
    // A process that may not start a thread any more ends without waiting.
    if let Ok(thread) = std::thread::Builder::new().spawn(wait) {
        let _ = thread.join();
    }
}
