//! Host memory: the buffers of the CPU runtime, and how kernels and operators reach into them.
//!
//! All raw pointers of the runtime live here. A fused program may write the buffer it reads (in place),
//! so it never sees slices of it: [`Raw::read`] and [`Raw::write`] copy runs of elements between memory and
//! registers, bounds checked once a run.

use std::alloc;
use std::collections::HashMap;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Pod;
use parking_lot::{Mutex, RwLock};
use smallvec::SmallVec;

use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::runtime::{BufferId, Place};
use crate::shape::Layout;

/// An input of a hand-written operator.
#[derive(Debug, Clone, Copy)]
pub struct CpuIn<'a> {
    /// The storage as far as the layout reads it; aligned for any element type.
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
    /// The operator's run-time scalars, in the order of `Op::scalars`. The operator a plan was made from
    /// may be another one than the one that runs, so a kernel takes their values from here.
    pub scalars: &'a [Scalar],
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

/// Buffers start at, and are padded to, a cache line: also enough for any vector register.
pub(super) const ALIGN: usize = 64;

/// Zero-initialised host memory.
///
/// Zeroed because reading uninitialised bytes would be undefined; large allocations get their zeros
/// lazily from the system, which is why this asks for a small alignment (`calloc`) and aligns by itself.
#[derive(Debug)]
pub(super) struct Allocation {
    base: NonNull<u8>,
    layout: alloc::Layout,
    start: usize,
    bytes: usize,
}

// SAFETY: an allocation is plain memory that nobody else owns; access goes through `Raw`, whose contract forbids races.
unsafe impl Send for Allocation {}
// SAFETY: as above.
unsafe impl Sync for Allocation {}

impl Allocation {
    pub fn new(bytes: usize) -> Result<Allocation> {
        let fail = || Error::OutOfMemory { device: "cpu".into(), message: format!("{bytes} bytes could not be allocated") };
        let padded = bytes.checked_next_multiple_of(ALIGN).and_then(|b| b.checked_add(ALIGN)).ok_or_else(fail)?;
        let layout = alloc::Layout::from_size_align(padded, 16).map_err(|_| fail())?;
        // SAFETY: the layout's size is at least ALIGN, never zero.
        let base = NonNull::new(unsafe { alloc::alloc_zeroed(layout) }).ok_or_else(fail)?;
        let start = base.addr().get().next_multiple_of(ALIGN) - base.addr().get();
        Ok(Allocation { base, layout, start, bytes: padded - ALIGN })
    }

    /// The memory from byte `offset` on.
    pub fn raw(&self, offset: usize) -> Result<Raw<'_>> {
        if offset > self.bytes || !offset.is_multiple_of(size_of::<u64>()) {
            return Err(Error::device("cpu", format!("byte {offset} is no place in a buffer of {} bytes", self.bytes)));
        }
        // SAFETY: start + offset <= start + bytes, which lies within the allocation.
        let ptr = unsafe { self.base.add(self.start + offset) };
        Ok(Raw { ptr, bytes: self.bytes - offset, life: PhantomData })
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // SAFETY: `base` came from `alloc_zeroed` with this layout.
        unsafe { alloc::dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// Memory from some place to the end of its buffer, aligned for any element.
///
/// Contract of everybody who holds one: while some thread writes an element, no other thread reads or
/// writes it. Kernels keep it because each element of a store belongs to one point of the iteration space,
/// and the graph runs one plan of a device at a time over live values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Raw<'a> {
    ptr: NonNull<u8>,
    bytes: usize,
    life: PhantomData<&'a Allocation>,
}

// SAFETY: see the contract above; the memory outlives 'a and may be used from any thread.
unsafe impl Send for Raw<'_> {}
// SAFETY: as above.
unsafe impl Sync for Raw<'_> {}

/// What an operator reads, and what it writes.
pub(super) type Operands<'a> = (SmallVec<[&'a [u8]; 4]>, &'a mut [u8]);

impl<'a> Raw<'a> {
    /// Element `at`, `at + stride`, .. through `f` into `to`.
    #[inline(always)]
    pub fn read<S: Pod, R: Copy>(self, at: isize, stride: isize, to: &mut [R], f: impl Fn(S) -> R) {
        let Some(p) = self.run::<S>(at, stride, to.len()) else { return };
        // SAFETY: `run` checked first and last element; the others lie between them.
        unsafe {
            match stride {
                1 => to.iter_mut().enumerate().for_each(|(i, t)| *t = f(p.add(i).read())),
                0 => to.fill(f(p.read())),
                _ => to.iter_mut().enumerate().for_each(|(i, t)| *t = f(p.offset(i as isize * stride).read())),
            }
        }
    }

    /// Element (r, c) at `at + r * strides[0] + c * strides[1]`, through `f`, into `to[r * sizes[1] + c]`; column by column,
    /// for memory that is contiguous that way.
    #[inline(always)]
    pub fn read_turned<S: Pod, R: Copy>(self, at: isize, sizes: [usize; 2], strides: [isize; 2], to: &mut [R], f: impl Fn(S) -> R) {
        let [rows, cols] = sizes;
        for c in 0..cols {
            let Some(p) = self.run::<S>(at + c as isize * strides[1], strides[0], rows) else { return };
            for (r, row) in to.chunks_exact_mut(cols).enumerate() {
                // SAFETY: `run` checked `rows` elements, and `to` has no more rows than that.
                row[c] = f(unsafe { p.offset(r as isize * strides[0]).read() });
            }
        }
    }

    /// `from`, through `f`, into element `at`, `at + stride`, ...
    #[inline(always)]
    pub fn write<S: Pod, R: Copy>(self, at: isize, stride: isize, from: &[R], f: impl Fn(R) -> S) {
        let Some(p) = self.run::<S>(at, stride, from.len()) else { return };
        // SAFETY: as in `read`; nobody else touches these elements meanwhile (the contract of `Raw`).
        unsafe {
            match stride {
                1 => from.iter().enumerate().for_each(|(i, &v)| p.add(i).write(f(v))),
                _ => from.iter().enumerate().for_each(|(i, &v)| p.offset(i as isize * stride).write(f(v))),
            }
        }
    }

    /// As [`read`](Self::read), as they are.
    #[inline(always)]
    pub fn read_same<S: Pod>(self, at: isize, stride: isize, to: &mut [S]) {
        if stride != 1 {
            return self.read(at, stride, to, |x: S| x);
        }
        let Some(p) = self.run::<S>(at, 1, to.len()) else { return };
        // SAFETY: `run` checked all elements; registers never lie in a runtime's buffers.
        unsafe { std::ptr::copy_nonoverlapping(p, to.as_mut_ptr(), to.len()) }
    }

    /// As [`write`](Self::write), as they are.
    #[inline(always)]
    pub fn write_same<S: Pod>(self, at: isize, stride: isize, from: &[S]) {
        if stride != 1 {
            return self.write(at, stride, from, |x: S| x);
        }
        let Some(p) = self.run::<S>(at, 1, from.len()) else { return };
        // SAFETY: as in `read_same`; nobody else touches these elements meanwhile (the contract of `Raw`).
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), p, from.len()) }
    }

    /// A pointer to the first of `n` elements, all of them in range; `None` for no elements.
    #[inline(always)]
    fn run<S: Pod>(self, at: isize, stride: isize, n: usize) -> Option<*mut S> {
        const { assert!(align_of::<S>() <= size_of::<u64>()) };
        if n == 0 {
            return None;
        }
        let last = at + (n as isize - 1) * stride;
        let fits = at.min(last) >= 0 && (at.max(last) as usize) < self.bytes / size_of::<S>();
        assert!(fits, "a kernel leaves its buffer");
        // SAFETY: `at` is within the buffer.
        Some(unsafe { self.ptr.as_ptr().cast::<S>().offset(at) })
    }

    /// The memory from byte `offset` on, which is a multiple of an element's size.
    pub fn skip(self, offset: usize) -> Result<Raw<'a>> {
        self.check(offset)?;
        // SAFETY: in bounds.
        Ok(Raw { ptr: unsafe { self.ptr.add(offset) }, bytes: self.bytes - offset, life: PhantomData })
    }

    fn check(self, bytes: usize) -> Result<()> {
        if bytes <= self.bytes {
            Ok(())
        } else {
            Err(Error::device("cpu", format!("{bytes} bytes do not fit the {} left in a buffer", self.bytes)))
        }
    }

    /// Copies `bytes` bytes here, also from an overlapping place.
    pub fn copy_from(self, from: Raw<'_>, bytes: usize) -> Result<()> {
        self.check(bytes)?;
        from.check(bytes)?;
        // SAFETY: both ranges are in bounds; `copy` allows overlap; no thread touches them (contract of `Raw`).
        unsafe { std::ptr::copy(from.ptr.as_ptr(), self.ptr.as_ptr(), bytes) };
        Ok(())
    }

    pub fn upload(self, bytes: &[u8]) -> Result<()> {
        self.check(bytes.len())?;
        // SAFETY: in bounds; host slices never overlap a runtime's buffers.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.ptr.as_ptr(), bytes.len()) };
        Ok(())
    }

    pub fn download(self, first: usize, bytes: usize) -> Result<Vec<u8>> {
        self.check(first.saturating_add(bytes))?;
        let mut out = Vec::new();
        out.try_reserve_exact(bytes).map_err(|e| Error::OutOfMemory { device: "cpu".into(), message: e.to_string() })?;
        // SAFETY: these initialised bytes are in bounds, and nobody writes them meanwhile (contract of `Raw`).
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(self.ptr.as_ptr().add(first), bytes) });
        Ok(out)
    }

    /// Whether the first `bytes` bytes here and the first `others` bytes of `other` share any.
    pub fn overlaps(self, bytes: usize, other: Raw<'_>, others: usize) -> bool {
        let (a, b) = (self.ptr.addr().get(), other.ptr.addr().get());
        a < b + others && b < a + bytes
    }

    /// Slices for a hand-written operator: what it reads, and what it writes, which may not overlap that.
    pub fn operands(reads: &[(Raw<'a>, usize)], write: (Raw<'a>, usize)) -> Result<Operands<'a>> {
        write.0.check(write.1)?;
        let mut slices = SmallVec::new();
        for &(raw, bytes) in reads {
            raw.check(bytes)?;
            if raw.overlaps(bytes, write.0, write.1) {
                return Err(Error::device("cpu", "an operator's result lies in one of its inputs"));
            }
            // SAFETY: in bounds, initialised (allocations are zeroed), not written meanwhile: the result lies elsewhere.
            slices.push(unsafe { std::slice::from_raw_parts(raw.ptr.as_ptr(), bytes) });
        }
        // SAFETY: in bounds, apart from all reads, and nobody else uses it meanwhile (contract of `Raw`).
        let out = unsafe { std::slice::from_raw_parts_mut(write.0.ptr.as_ptr(), write.1) };
        Ok((slices, out))
    }
}

/// The buffers of the runtime by id. Executing plans share ownership, so freeing never pulls memory from under them.
#[derive(Debug, Default)]
pub(super) struct Memory {
    buffers: RwLock<HashMap<BufferId, Arc<Allocation>>>,
    next: AtomicU64,
    spare: Mutex<Vec<Allocation>>,
}

/// How many temporaries are kept for the next kernel that needs one.
const SPARES: usize = 4;

impl Memory {
    pub fn alloc(&self, bytes: usize) -> Result<BufferId> {
        let buffer = Arc::new(Allocation::new(bytes)?);
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.buffers.write().insert(id, buffer);
        Ok(id)
    }

    pub fn free(&self, id: BufferId) {
        // The memory itself goes after the lock is released.
        let freed = self.buffers.write().remove(&id);
        drop(freed);
    }

    pub fn get(&self, place: Place) -> Result<Arc<Allocation>> {
        let found = self.buffers.read().get(&place.buffer).cloned();
        found.ok_or_else(|| Error::device("cpu", format!("buffer {} does not exist", place.buffer)))
    }

    /// A temporary of at least `bytes` bytes with arbitrary contents; the smallest spare that fits.
    pub fn take(&self, bytes: usize) -> Result<Allocation> {
        let mut spare = self.spare.lock();
        let fits = (0..spare.len()).filter(|&i| spare[i].bytes >= bytes && spare[i].bytes / 4 <= bytes.max(ALIGN));
        match fits.min_by_key(|&i| spare[i].bytes) {
            Some(i) => Ok(spare.swap_remove(i)),
            None => {
                drop(spare);
                Allocation::new(bytes)
            }
        }
    }

    pub fn give_back(&self, temporary: Allocation) {
        let mut spare = self.spare.lock();
        spare.push(temporary);
        if spare.len() > SPARES {
            spare.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zeroed_and_bounded() {
        let a = Allocation::new(100).unwrap();
        let raw = a.raw(0).unwrap();
        assert!(raw.ptr.addr().get().is_multiple_of(ALIGN));
        assert_eq!(raw.download(0, 128).unwrap(), vec![0; 128]);
        assert!(raw.download(1, 128).is_err() && a.raw(136).is_err() && a.raw(4).is_err());
        raw.upload(&[1, 2, 3]).unwrap();
        assert_eq!(raw.download(0, 4).unwrap(), [1, 2, 3, 0]);
    }

    #[test]
    fn absurd_sizes_are_errors() {
        for bytes in [usize::MAX, isize::MAX as usize, usize::MAX / 4] {
            assert!(matches!(Allocation::new(bytes), Err(Error::OutOfMemory { .. })));
        }
    }

    #[test]
    fn operands_may_not_overlap() {
        let a = Allocation::new(256).unwrap();
        let (x, y) = (a.raw(0).unwrap(), a.raw(128).unwrap());
        assert!(Raw::operands(&[(x, 128)], (y, 128)).is_ok());
        assert!(Raw::operands(&[(x, 129)], (y, 128)).is_err());
    }

    #[test]
    #[should_panic(expected = "leaves its buffer")]
    fn runs_are_bounds_checked() {
        let a = Allocation::new(64).unwrap();
        a.raw(0).unwrap().read(15, 1, &mut [0f32; 2], |x: f32| x);
    }
}
