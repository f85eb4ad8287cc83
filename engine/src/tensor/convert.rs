//! Reading values, moving and converting tensors.

use super::{Tensor, Value};
use crate::autograd::{self, Edge};
use crate::device::Device;
use crate::dtype::{DType, Element};
use crate::error::{Error, Result};
use crate::graph::flush_gather as gather;
use crate::graph::node::State;
use crate::ops;
use crate::shape::Layout;

impl Tensor {
    fn check_element<T: Element>(&self, op: &'static str) -> Result<()> {
        if T::DTYPE == self.dtype() {
            return Ok(());
        }
        let message = format!("the tensor is {}, not {}; convert it with to_dtype()", self.dtype(), T::DTYPE);
        Err(Error::dtype(op, message))
    }

    /// The elements in row-major order, computing everything pending on the device first. `T` is the tensor's dtype.
    ///
    /// # Errors
    /// Another type than the tensor's; whatever the computation reports; in a browser on a GPU, where nothing may wait
    /// (use [`to_vec_async`](Self::to_vec_async)).
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu())?;
    /// assert_eq!(x.t()?.to_vec::<f32>()?, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok(()) }
    /// ```
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        let value = self.value()?;
        self.check_element::<T>("to_vec")?;
        Ok(T::read_bytes(&value.node.device.graph().download(value.node.arc(), &value.layout)?))
    }

    /// As [`to_vec`](Self::to_vec), without blocking: the only form a browser has on a GPU.
    ///
    /// # Errors
    /// As [`to_vec`](Self::to_vec).
    pub async fn to_vec_async<T: Element>(&self) -> Result<Vec<T>> {
        let value = self.value()?;
        self.check_element::<T>("to_vec_async")?;
        let span = value.node.device.graph().start_download(value.node.arc(), &value.layout)?.await?;
        Ok(T::read_bytes(&gather(&span, &value.layout, T::DTYPE.size())))
    }

    /// The bytes of the elements in row-major order, native byte order: what [`from_bytes`](Self::from_bytes) takes.
    ///
    /// # Errors
    /// As [`to_vec`](Self::to_vec).
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
    /// assert_eq!(x.to_bytes()?.len(), 8);
    /// # Ok(()) }
    /// ```
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let value = self.value()?;
        value.node.device.graph().download(value.node.arc(), &value.layout)
    }

    fn check_single(&self, op: &'static str) -> Result<()> {
        if self.numel() == 1 {
            return Ok(());
        }
        Err(Error::argument(op, format!("needs a tensor of one element, this one has shape {:?}", self.shape())))
    }

    /// The value of a tensor of one element, converted to `T`.
    ///
    /// # Errors
    /// More or fewer elements than one; whatever the computation reports.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// assert_eq!(Tensor::new([2.5], &Device::cpu())?.item::<f64>()?, 2.5);
    /// # Ok(()) }
    /// ```
    pub fn item<T: Element>(&self) -> Result<T> {
        self.value()?;
        self.check_single("item")?;
        Ok(T::from_scalar(scalar_of(&self.to_bytes()?, self.dtype())))
    }

    /// As [`item`](Self::item), without blocking.
    ///
    /// # Errors
    /// As [`item`](Self::item).
    pub async fn item_async<T: Element>(&self) -> Result<T> {
        let value = self.value()?;
        self.check_single("item_async")?;
        let bytes = value.node.device.graph().start_download(value.node.arc(), &value.layout)?.await?;
        Ok(T::from_scalar(scalar_of(&bytes, self.dtype())))
    }

    /// Computes this tensor (and everything else pending on its device) now.
    ///
    /// # Errors
    /// Whatever the computation reports.
    pub fn realize(&self) -> Result<&Self> {
        let value = self.value()?;
        self.device().graph().compute(value.node.arc())?;
        match &*value.node.state.lock() {
            State::Failed(e) => Err(e.clone()),
            _ => Ok(self),
        }
    }

    /// The tensor on another device; on its own device it is the same tensor. The gradient moves back.
    ///
    /// # Errors
    /// A dtype the device does not have; values that do not fit its representation (when they are computed).
    #[track_caller]
    pub fn to(&self, device: &Device) -> Result<Tensor> {
        self.value()?;
        if self.device() == device {
            return Ok(self.clone());
        }
        let op = std::sync::Arc::new(ops::Transfer { from: self.device().clone() });
        let out = Tensor::compute(op.clone(), &[self], device)?;
        autograd::record(&out, op, &[self])?;
        Ok(out)
    }

    /// The tensor on the CPU.
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn cpu(&self) -> Result<Tensor> {
        self.to(&Device::cpu())
    }

    /// The tensor's values in another type: floats round to nearest, floats to integers truncate toward zero, anything but
    /// zero is `true`. The same tensor when the type is the same.
    ///
    /// # Errors
    /// A dtype the device does not have.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([-1.7, 0.0, 2.9], &Device::cpu())?;
    /// assert_eq!(x.to_dtype(DType::I32)?.to_vec::<i32>()?, [-1, 0, 2]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        self.value()?;
        if self.dtype() == dtype {
            return Ok(self.clone());
        }
        Tensor::apply(ops::Cast { to: dtype }, &[self])
    }

    /// The same values without a gradient. Shares storage: what is written to one in place is seen by the other.
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn detach(&self) -> Result<Tensor> {
        let value = self.value()?;
        let (base, rel) = match &self.0.view {
            Some((base, rel)) => (base.clone(), rel.clone()),
            None => (self.clone(), Layout::contiguous(self.shape())),
        };
        let out = Tensor::from_parts(Ok(value), self.spec().clone(), self.device().clone(), Edge::None, Some((base, rel)));
        Ok(out.without_gradient())
    }

    /// A copy with storage of its own; the gradient passes. `torch.Tensor.clone()` (Rust's `clone` shares the tensor).
    ///
    /// # Errors
    /// This tensor carries an error.
    #[track_caller]
    pub fn clone_data(&self) -> Result<Tensor> {
        Tensor::apply(ops::Contiguous, &[self])
    }

    /// Replaces this tensor's values by `source`'s, converted and broadcast, as `torch.Tensor.copy_`.
    ///
    /// # Errors
    /// A shape that does not broadcast; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn copy_(&self, source: &Tensor) -> Result<&Self> {
        const OP: &str = "copy_";
        self.value()?;
        self.check_inplace(OP)?;
        let source = source.to(self.device())?.to_dtype(self.dtype())?;
        let shape = crate::shape::broadcast(OP, self.shape(), source.shape())?;
        if shape[..] != *self.shape() {
            return Err(Error::argument(OP, format!("a source of {:?} does not fit a tensor of {:?}", source.shape(), self.shape())));
        }
        let source = if source.shape() == self.shape() { source.clone_data()? } else { source.expand(self.shape())?.clone_data()? };
        self.replace(&source)?;
        Ok(self)
    }

    /// Both tensors read the same storage (as `a.data_ptr() == b.data_ptr()` of their storages).
    ///
    /// # Errors
    /// One of them carries an error.
    pub fn shares_storage(&self, other: &Tensor) -> Result<bool> {
        let (a, b): (Value, Value) = (self.value()?, other.value()?);
        Ok(std::sync::Arc::ptr_eq(a.node.arc(), b.node.arc()))
    }

    /// Both tensors read the same elements of the same storage in the same way: tied weights, say.
    ///
    /// # Errors
    /// One of them carries an error.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu())?;
    /// assert!(x.same_view(&x.detach()?)?);
    /// assert!(!x.same_view(&x.t()?)?);
    /// # Ok(()) }
    /// ```
    pub fn same_view(&self, other: &Tensor) -> Result<bool> {
        Ok(self.shares_storage(other)? && self.value()?.layout == other.value()?.layout)
    }
}

fn scalar_of(bytes: &[u8], dtype: DType) -> crate::dtype::Scalar {
    fn first<T: Element>(bytes: &[u8]) -> crate::dtype::Scalar {
        T::read_bytes(bytes).first().copied().unwrap_or_default().to_scalar()
    }
    match dtype {
        DType::Bool => first::<bool>(bytes),
        DType::U8 => first::<u8>(bytes),
        DType::I8 => first::<i8>(bytes),
        DType::U16 => first::<u16>(bytes),
        DType::I16 => first::<i16>(bytes),
        DType::U32 => first::<u32>(bytes),
        DType::I32 => first::<i32>(bytes),
        DType::U64 => first::<u64>(bytes),
        DType::I64 => first::<i64>(bytes),
        DType::F16 => first::<half::f16>(bytes),
        DType::BF16 => first::<half::bf16>(bytes),
        DType::F32 => first::<f32>(bytes),
        DType::F64 => first::<f64>(bytes),
    }
}

#[cfg(test)]
mod tests;
