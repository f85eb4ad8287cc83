//! Batches in order or shuffled.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::collate::Batch;
use super::dataset::Dataset;
use crate::error::{Error, Result};

/// Cuts a data set into batches, once per [`epoch`](Self::epoch).
///
/// Batches are made when they are asked for, on the thread that asks; `taper_native::Loader` makes them ahead of
/// time on a thread of its own.
#[derive(Debug)]
pub struct DataLoader<D> {
    data: Arc<D>,
    batch_size: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
    epochs: AtomicU64,
}

/// Builds a [`DataLoader`]: batches of 1 in order, unless told otherwise.
#[derive(Debug)]
pub struct DataLoaderBuilder<D> {
    data: D,
    batch_size: usize,
    shuffle: bool,
    seed: u64,
    drop_last: bool,
}

impl<D: Dataset> DataLoader<D> {
    pub fn builder(data: D) -> DataLoaderBuilder<D> {
        DataLoaderBuilder { data, batch_size: 1, shuffle: false, seed: 0, drop_last: false }
    }

    /// Batches an epoch has.
    pub fn len(&self) -> usize {
        let n = self.data.len();
        if self.drop_last { n / self.batch_size } else { n.div_ceil(self.batch_size) }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn dataset(&self) -> &D {
        &self.data
    }

    /// The next epoch: every item once. With `shuffle` the order depends on the seed and on how many epochs came
    /// before, and on nothing else.
    pub fn epoch(&self) -> Epoch<D> {
        let epoch = self.epochs.fetch_add(1, Ordering::Relaxed);
        let mut order: Vec<usize> = (0..self.data.len()).collect();
        if self.shuffle {
            shuffle(&mut order, self.seed, epoch);
        }
        order.truncate(self.len().saturating_mul(self.batch_size));
        Epoch { data: self.data.clone(), order, batch_size: self.batch_size, next: 0 }
    }
}

impl<D: Dataset> DataLoaderBuilder<D> {
    pub fn batch_size(mut self, batch_size: usize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// A new order every epoch.
    pub fn shuffle(mut self, on: bool) -> Self {
        self.shuffle = on;
        self
    }

    /// The orders' seed.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Leaves out a last batch that is not full.
    pub fn drop_last(mut self, on: bool) -> Self {
        self.drop_last = on;
        self
    }

    /// # Errors
    /// A batch size of 0.
    pub fn build(self) -> Result<DataLoader<D>> {
        let DataLoaderBuilder { data, batch_size, shuffle, seed, drop_last } = self;
        if batch_size == 0 {
            return Err(Error::argument("DataLoader", "batch_size = 0: a batch has at least one item"));
        }
        Ok(DataLoader { data: Arc::new(data), batch_size, shuffle, seed, drop_last, epochs: AtomicU64::new(0) })
    }
}

/// The batches of one epoch.
#[derive(Debug)]
pub struct Epoch<D> {
    data: Arc<D>,
    order: Vec<usize>,
    batch_size: usize,
    next: usize,
}

impl<D: Dataset> Iterator for Epoch<D> {
    type Item = Result<Batch<D::Item>>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.next;
        if from >= self.order.len() {
            return None;
        }
        self.next = self.order.len().min(from + self.batch_size);
        Some(self.data.batch(&self.order[from..self.next]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.order.len() - self.next).div_ceil(self.batch_size);
        (left, Some(left))
    }
}

impl<D: Dataset> ExactSizeIterator for Epoch<D> {}

impl<D: Dataset> IntoIterator for &DataLoader<D> {
    type Item = Result<Batch<D::Item>>;
    type IntoIter = Epoch<D>;
    fn into_iter(self) -> Epoch<D> {
        self.epoch()
    }
}

/// Fisher and Yates, with numbers that depend on seed and epoch only.
fn shuffle(order: &mut [usize], seed: u64, epoch: u64) {
    let mut state = splitmix(seed) ^ epoch.wrapping_mul(0xD1B5_4A32_D192_ED03);
    for i in (1..order.len()).rev() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        // The high half of a product: unbiased enough (one in 2^64 / n), and no division.
        let j = ((splitmix(state) as u128 * (i as u128 + 1)) >> 64) as usize;
        order.swap(i, j);
    }
}

/// The finaliser of SplitMix64.
fn splitmix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Items are their own numbers.
    struct Numbers(usize);

    impl Dataset for Numbers {
        type Item = String;
        fn len(&self) -> usize {
            self.0
        }
        fn get(&self, index: usize) -> Result<String> {
            Ok(index.to_string())
        }
    }

    fn epoch(loader: &DataLoader<Numbers>) -> Vec<Vec<String>> {
        loader.epoch().collect::<Result<_>>().unwrap()
    }

    #[test]
    fn batches_keep_the_order_and_the_last_one_is_short() {
        let loader = DataLoader::builder(Numbers(7)).batch_size(3).build().unwrap();
        assert_eq!(loader.len(), 3);
        assert_eq!(epoch(&loader), [vec!["0", "1", "2"], vec!["3", "4", "5"], vec!["6"]]);
        let loader = DataLoader::builder(Numbers(7)).batch_size(3).drop_last(true).build().unwrap();
        assert_eq!((loader.len(), epoch(&loader).len()), (2, 2));
        assert!(epoch(&DataLoader::builder(Numbers(0)).build().unwrap()).is_empty());
    }

    #[test]
    fn a_seed_gives_one_sequence_of_orders_that_differ_between_epochs() {
        let loader = |seed| DataLoader::builder(Numbers(100)).batch_size(100).shuffle(true).seed(seed).build().unwrap();
        let (a, b, c) = (loader(1), loader(1), loader(2));
        let (a1, a2) = (epoch(&a), epoch(&a));
        assert_ne!(a1, a2);
        assert_eq!((&a1, &a2), (&epoch(&b), &epoch(&b)));
        assert_ne!(a1, epoch(&c));
        let mut all: Vec<usize> = a2[0].iter().map(|s| s.parse().unwrap()).collect();
        all.sort_unstable();
        assert!(all.into_iter().eq(0..100));
    }

    #[test]
    fn a_batch_size_of_zero_is_refused() {
        assert!(DataLoader::builder(Numbers(1)).batch_size(0).build().is_err());
    }
}
