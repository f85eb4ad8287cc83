//! What can be asked for its items by number.

use super::collate::{Batch, Collate};
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// A finite collection of items.
pub trait Dataset: Send + Sync {
    type Item: Collate;

    fn len(&self) -> usize;

    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// # Errors
    /// `index` is out of range, or the item cannot be read.
    fn get(&self, index: usize) -> Result<Self::Item>;

    /// Several items as one batch; worth writing where that is cheaper than one after the other.
    ///
    /// # Errors
    /// As [`get`](Self::get); items that do not fit together.
    fn batch(&self, indices: &[usize]) -> Result<Batch<Self::Item>> {
        Collate::collate(indices.iter().map(|&i| self.get(i)).collect::<Result<Vec<_>>>()?)
    }
}

impl<D: Dataset + ?Sized> Dataset for std::sync::Arc<D> {
    type Item = D::Item;
    fn len(&self) -> usize {
        (**self).len()
    }
    fn get(&self, index: usize) -> Result<Self::Item> {
        (**self).get(index)
    }
    fn batch(&self, indices: &[usize]) -> Result<Batch<Self::Item>> {
        (**self).batch(indices)
    }
}

/// Tensors whose first dimension counts the items: item `i` is row `i` of each.
///
/// The rows are kept in host memory, and batches are uploaded to the device the tensors were on (or to another:
/// [`on`](Self::on)), so that making a batch launches nothing.
#[derive(Debug, Clone)]
pub struct TensorDataset<const N: usize> {
    columns: [Column; N],
    rows: usize,
}

#[derive(Debug, Clone)]
struct Column {
    dtype: DType,
    row: Vec<usize>,
    bytes: Vec<u8>,
    device: Device,
}

impl<const N: usize> TensorDataset<N> {
    /// # Errors
    /// Tensors without dimensions, or whose first sizes differ; a value whose computation failed.
    pub fn new(tensors: [Tensor; N]) -> Result<Self> {
        let rows = tensors.first().map_or(0, |t| t.shape().first().copied().unwrap_or(0));
        if let Some(t) = tensors.iter().find(|t| t.shape().first() != Some(&rows)) {
            return Err(Error::argument(
                "TensorDataset",
                format!("every tensor needs {rows} rows as the first has, one is {:?}", t.shape()),
            ));
        }
        let column =
            |t: &Tensor| Ok(Column { dtype: t.dtype(), row: t.shape()[1..].to_vec(), bytes: t.to_bytes()?, device: t.device().clone() });
        let columns: Vec<Column> = tensors.iter().map(column).collect::<Result<_>>()?;
        let columns = columns.try_into().map_err(|_| Error::argument("TensorDataset", "columns"))?;
        Ok(TensorDataset { columns, rows })
    }

    /// The same rows with batches on another device.
    pub fn on(mut self, device: &Device) -> Self {
        self.columns.iter_mut().for_each(|c| c.device = device.clone());
        self
    }
}

impl Column {
    /// The rows `indices`, one after the other.
    fn rows(&self, indices: &[usize]) -> Vec<u8> {
        let size = self.row.iter().product::<usize>() * self.dtype.size();
        let mut bytes = Vec::with_capacity(indices.len() * size);
        indices.iter().for_each(|&i| bytes.extend_from_slice(&self.bytes[i * size..][..size]));
        bytes
    }
}

impl<const N: usize> Dataset for TensorDataset<N> {
    type Item = [Tensor; N];

    fn len(&self) -> usize {
        self.rows
    }

    fn get(&self, index: usize) -> Result<[Tensor; N]> {
        self.check(index)?;
        collect(self.columns.each_ref().map(|c| Tensor::from_bytes(&c.rows(&[index]), c.dtype, &c.row, &c.device)))
    }

    fn batch(&self, indices: &[usize]) -> Result<[Tensor; N]> {
        indices.iter().try_for_each(|&i| self.check(i))?;
        collect(self.columns.each_ref().map(|c| {
            let shape = [&[indices.len()], &c.row[..]].concat();
            Tensor::from_bytes(&c.rows(indices), c.dtype, &shape, &c.device)
        }))
    }
}

impl<const N: usize> TensorDataset<N> {
    fn check(&self, index: usize) -> Result<()> {
        if index < self.rows { Ok(()) } else { Err(Error::index("TensorDataset", format!("item {index} of {}", self.rows))) }
    }
}

/// All results, or the first error.
pub(super) fn collect<T, const N: usize>(results: [Result<T>; N]) -> Result<[T; N]> {
    let all = results.into_iter().collect::<Result<Vec<T>>>()?;
    all.try_into().map_err(|_| Error::argument("data", "a result is missing"))
}
