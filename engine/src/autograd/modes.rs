//! Whether operations are recorded: scopes of one thread, or of one future.

use std::cell::Cell;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static ENABLED: Cell<bool> = const { Cell::new(true) };
}

/// Whether operations of this thread record gradients now.
pub fn is_enabled() -> bool {
    ENABLED.get()
}

/// A scope in which recording is on or off; the earlier mode returns when it is dropped. Not `Send`, so that it cannot
/// leak across an `await` into another task.
#[derive(Debug)]
#[must_use = "the mode lasts as long as the guard"]
pub struct GradMode {
    before: bool,
    not_send: PhantomData<*const ()>,
}

impl GradMode {
    pub fn set(enabled: bool) -> GradMode {
        GradMode { before: ENABLED.replace(enabled), not_send: PhantomData }
    }
}

impl Drop for GradMode {
    fn drop(&mut self) {
        ENABLED.set(self.before);
    }
}

/// Runs `f` without recording gradients, as `torch.no_grad()`. Nests, and ends also when `f` panics.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
/// x.requires_grad_(true)?;
/// let y = no_grad(|| x.exp())?;
/// assert!(!y.requires_grad());
/// # Ok(()) }
/// ```
pub fn no_grad<T>(f: impl FnOnce() -> T) -> T {
    let _mode = GradMode::set(false);
    f()
}

/// Runs `f` with recording on, also inside [`no_grad`], as `torch.enable_grad()`.
pub fn enable_grad<T>(f: impl FnOnce() -> T) -> T {
    let _mode = GradMode::set(true);
    f()
}

/// Runs a future in a mode that is entered at each poll, so that other tasks of the thread never see it.
pub fn scoped<F: Future>(enabled: bool, future: F) -> impl Future<Output = F::Output> {
    struct Scoped<F> {
        enabled: bool,
        future: Pin<Box<F>>,
    }
    impl<F: Future> Future for Scoped<F> {
        type Output = F::Output;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
            let _mode = GradMode::set(self.enabled);
            self.future.as_mut().poll(cx)
        }
    }
    Scoped { enabled, future: Box::pin(future) }
}
