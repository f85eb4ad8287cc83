//! Batches made ahead of time.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, JoinHandle};

use taper::data::{Batch, DataLoader, Dataset};
use taper::{Error, Result};

/// A [`DataLoader`] whose batches a thread makes while the previous ones are trained on. Same batches, same order.
#[derive(Debug)]
pub struct Loader<D> {
    inner: DataLoader<D>,
    ahead: usize,
}

impl<D: Dataset + 'static> Loader<D> {
    /// Keeps two batches ready.
    pub fn new(inner: DataLoader<D>) -> Loader<D> {
        Loader { inner, ahead: 2 }
    }

    /// Keeps `batches` ready (at least one).
    pub fn ahead(mut self, batches: usize) -> Loader<D> {
        self.ahead = batches.max(1);
        self
    }

    /// Batches an epoch has.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// The next epoch, as [`DataLoader::epoch`]. Dropping it early ends its thread.
    pub fn epoch(&self) -> Prefetched<D> {
        let epoch = self.inner.epoch();
        let left = epoch.len();
        let (send, batches) = sync_channel(self.ahead);
        let work = move || {
            for batch in epoch {
                let failed = batch.is_err();
                // Nobody listens any more, or nothing good can follow.
                if send.send(batch).is_err() || failed {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("taper-loader".into()).spawn(work);
        let (thread, failure) = match thread {
            Ok(thread) => (Some(thread), None),
            Err(e) => (None, Some(Error::Io { path: "taper-loader".into(), message: e.to_string() })),
        };
        Prefetched { batches: Some(batches), thread, left, failure }
    }
}

impl<D: Dataset + 'static> IntoIterator for &Loader<D> {
    type Item = Result<Batch<D::Item>>;
    type IntoIter = Prefetched<D>;
    fn into_iter(self) -> Prefetched<D> {
        self.epoch()
    }
}

/// The batches of one epoch of a [`Loader`].
pub struct Prefetched<D: Dataset> {
    batches: Option<Receiver<Result<Batch<D::Item>>>>,
    thread: Option<JoinHandle<()>>,
    left: usize,
    failure: Option<Error>,
}

impl<D: Dataset> Iterator for Prefetched<D> {
    type Item = Result<Batch<D::Item>>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(e) = self.failure.take() {
            self.left = 0;
            return Some(Err(e));
        }
        if self.left == 0 {
            return None;
        }
        let batch = self.batches.as_ref().and_then(|b| b.recv().ok());
        // The thread ended before its work did: it panicked in the data set's code.
        let batch = batch.unwrap_or_else(|| Err(Error::Io { path: "taper-loader".into(), message: "the data set's code panicked".into() }));
        self.left = if batch.is_ok() { self.left - 1 } else { 0 };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<D: Dataset> ExactSizeIterator for Prefetched<D> {}

impl<D: Dataset> Drop for Prefetched<D> {
    fn drop(&mut self) {
        // First the channel, so that a thread waiting to send gives up.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl<D: Dataset> std::fmt::Debug for Prefetched<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prefetched").field("left", &self.left).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Numbers {
        len: usize,
        bad: Option<usize>,
    }

    impl Dataset for Numbers {
        type Item = String;
        fn len(&self) -> usize {
            self.len
        }
        fn get(&self, index: usize) -> Result<String> {
            if self.bad == Some(index) { Err(Error::index("Numbers", "bad")) } else { Ok(index.to_string()) }
        }
    }

    fn loader(len: usize, bad: Option<usize>) -> Loader<Numbers> {
        Loader::new(DataLoader::builder(Numbers { len, bad }).batch_size(2).build().unwrap())
    }

    #[test]
    fn batches_come_in_order_and_epochs_repeat() {
        let loader = loader(5, None);
        for _ in 0..3 {
            let all: Vec<Vec<String>> = loader.epoch().collect::<Result<_>>().unwrap();
            assert_eq!(all, [vec!["0", "1"], vec!["2", "3"], vec!["4"]]);
        }
    }

    #[test]
    fn stopping_early_ends_the_thread() {
        let loader = loader(1000, None);
        for _ in 0..20 {
            let mut epoch = loader.epoch();
            assert!(epoch.next().unwrap().is_ok());
        }
    }

    #[test]
    fn an_error_arrives_and_ends_the_epoch() {
        let all: Vec<Result<Vec<String>>> = loader(9, Some(3)).epoch().collect();
        assert_eq!(all.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false]);
    }
}
