//! How items become a batch.

use super::dataset::collect;
use crate::device::Device;
use crate::dtype::Element;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// The batch of items of type `T`.
pub type Batch<T> = <T as Collate>::Batch;

/// An item that can be put into a batch with others: tensors are stacked, numbers become a tensor, tuples and
/// arrays are put together member by member.
pub trait Collate: Sized + Send {
    type Batch: Send;

    /// # Errors
    /// No items, or items that do not fit together.
    fn collate(items: Vec<Self>) -> Result<Self::Batch>;
}

impl Collate for Tensor {
    type Batch = Tensor;

    /// Stacks in host memory: a loader's thread leaves the device's pending work alone.
    fn collate(items: Vec<Tensor>) -> Result<Tensor> {
        let first = items.first().ok_or_else(nothing)?;
        let mut bytes = Vec::new();
        for (i, t) in items.iter().enumerate() {
            if t.shape() != first.shape() || t.dtype() != first.dtype() {
                let (a, b) = ((first.dtype(), first.shape()), (t.dtype(), t.shape()));
                return Err(Error::argument("collate", format!("item 0 is {} {:?}, item {i} is {} {:?}", a.0, a.1, b.0, b.1)));
            }
            bytes.extend(t.to_bytes()?);
        }
        let shape = [&[items.len()], first.shape()].concat();
        Tensor::from_bytes(&bytes, first.dtype(), &shape, first.device())
    }
}

macro_rules! numbers {
    ($($t:ty)*) => {$(
        impl Collate for $t {
            type Batch = Tensor;
            fn collate(items: Vec<$t>) -> Result<Tensor> {
                Tensor::from_bytes(&<$t>::write_bytes(&items), <$t>::DTYPE, &[items.len()], &Device::cpu())
            }
        }
    )*};
}
numbers!(f32 f64 i64 i32 u8 bool);

impl Collate for String {
    type Batch = Vec<String>;
    fn collate(items: Vec<String>) -> Result<Vec<String>> {
        Ok(items)
    }
}

impl<A: Collate, B: Collate> Collate for (A, B) {
    type Batch = (A::Batch, B::Batch);
    fn collate(items: Vec<(A, B)>) -> Result<Self::Batch> {
        let (a, b) = items.into_iter().unzip();
        Ok((A::collate(a)?, B::collate(b)?))
    }
}

impl<A: Collate, B: Collate, C: Collate> Collate for (A, B, C) {
    type Batch = (A::Batch, B::Batch, C::Batch);
    fn collate(items: Vec<(A, B, C)>) -> Result<Self::Batch> {
        let (mut a, mut b, mut c) = (Vec::new(), Vec::new(), Vec::new());
        for (x, y, z) in items {
            a.push(x);
            b.push(y);
            c.push(z);
        }
        Ok((A::collate(a)?, B::collate(b)?, C::collate(c)?))
    }
}

impl<T: Collate, const N: usize> Collate for [T; N] {
    type Batch = [T::Batch; N];
    fn collate(items: Vec<[T; N]>) -> Result<Self::Batch> {
        let mut columns: [Vec<T>; N] = std::array::from_fn(|_| Vec::with_capacity(items.len()));
        for item in items {
            columns.iter_mut().zip(item).for_each(|(column, value)| column.push(value));
        }
        collect(columns.map(T::collate))
    }
}

fn nothing() -> Error {
    Error::argument("collate", "a batch needs at least one item")
}
