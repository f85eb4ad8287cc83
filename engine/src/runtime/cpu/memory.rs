//! Host memory as operators see it: bytes with a type and a layout.

use bytemuck::Pod;

use crate::dtype::DType;
use crate::shape::Layout;

/// An input of a hand-written operator.
#[derive(Debug, Clone, Copy)]
pub struct CpuIn<'a> {
    /// The whole storage; aligned for any element type.
    pub bytes: &'a [u8],
    pub dtype: DType,
    /// Contiguous with offset 0 unless the operator declared that it takes strides.
    pub layout: &'a Layout,
}

/// The result of a hand-written operator: contiguous.
#[derive(Debug)]
pub struct CpuOut<'a> {
    pub bytes: &'a mut [u8],
    pub dtype: DType,
    pub shape: &'a [usize],
}

impl<'a> CpuIn<'a> {
    /// The storage as elements of `T` (`bool` is `u8`). `T` has the size of the dtype.
    pub fn data<T: Pod>(&self) -> &'a [T] {
        debug_assert_eq!(size_of::<T>(), self.dtype.size());
        bytemuck::cast_slice(self.bytes)
    }

    pub fn shape(&self) -> &'a [usize] {
        &self.layout.shape
    }
}

impl CpuOut<'_> {
    pub fn data<T: Pod>(&mut self) -> &mut [T] {
        debug_assert_eq!(size_of::<T>(), self.dtype.size());
        bytemuck::cast_slice_mut(self.bytes)
    }
}
