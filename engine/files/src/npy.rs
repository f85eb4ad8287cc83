//! NumPy's `.npy`: one array.
//!
//! Versions 1 to 3, both byte orders, C and Fortran order. NumPy itself has no bf16: what `ml_dtypes` (and so JAX) writes as
//! the type `V2` is read as bf16, and bf16 is written so; NumPy gets it back by `.view(ml_dtypes.bfloat16)`.

mod header;

use taper::{DType, Device, Error, Result, Tensor};

use crate::budget::Budget;
use crate::element::{self, Order};
use crate::entry::{Entry, sizes};
use header::Header;

const FORMAT: &str = "npy";

/// Reads an array.
///
/// # Errors
/// Bytes that are not of this format; an element type Taper or the device does not have; out of memory.
///
/// ```
/// # use taper::prelude::*; use taper_files::npy; fn main() -> taper::Result<()> {
/// let x = Tensor::new([1i64, 2, 3], &Device::cpu())?;
/// let back = npy::read(&npy::write(&x)?, &Device::cpu())?;
/// assert_eq!((back.dtype(), back.to_vec::<i64>()?), (DType::I64, vec![1, 2, 3]));
/// # Ok(()) }
/// ```
pub fn read(bytes: &[u8], device: &Device) -> Result<Tensor> {
    named("the array", bytes, device, &mut Budget::new(FORMAT, bytes.len()))
}

/// As [`read`], for an array that has a name and a budget to keep to.
pub(crate) fn named(name: &str, bytes: &[u8], device: &Device, budget: &mut Budget) -> Result<Tensor> {
    let header = Header::parse(name, bytes)?;
    let (dtype, order) = header.dtype(name)?;
    let (_, size) = sizes(FORMAT, name, &header.shape, dtype)?;
    // What `parse` found to be there.
    let data = &bytes[header.data..];
    if data.len() != size {
        let shape = &header.shape;
        return Err(Error::format(FORMAT, format!("{name}: {shape:?} of {dtype} is {size} bytes, the file has {}", data.len())));
    }
    budget.take(size as u64)?;
    if !header.fortran {
        return element::tensor(FORMAT, name, data, order, dtype, &header.shape, device);
    }
    let reversed: Vec<usize> = header.shape.iter().rev().copied().collect();
    let axes: Vec<isize> = (0..reversed.len() as isize).rev().collect();
    element::tensor(FORMAT, name, data, order, dtype, &reversed, device)?.permute(&axes[..])
}

/// What the first bytes of an array say about it: 64 KiB are enough.
///
/// # Errors
/// Bytes that are not of this format.
pub fn inspect(name: &str, bytes: &[u8]) -> Result<Entry> {
    let header = Header::parse(name, bytes)?;
    let dtype = header.dtype(name).ok().map(|(d, _)| d);
    let bytes = dtype.map_or(Ok(0), |d| sizes(FORMAT, name, &header.shape, d).map(|(_, b)| b as u64))?;
    Ok(Entry::new(name, &header.descr, dtype, &header.shape, bytes))
}

/// Writes an array: version 1.0 in little-endian C order, the data at a multiple of 64 bytes.
///
/// # Errors
/// A tensor whose computation failed.
pub fn write(tensor: &Tensor) -> Result<Vec<u8>> {
    let mut out = Header::of(tensor.dtype(), tensor.shape())?;
    out.extend(element::little(tensor)?);
    Ok(out)
}

/// What NumPy calls the types, without the byte order.
const TYPES: [(DType, &str); 13] = [
    (DType::Bool, "b1"),
    (DType::U8, "u1"),
    (DType::I8, "i1"),
    (DType::U16, "u2"),
    (DType::I16, "i2"),
    (DType::U32, "u4"),
    (DType::I32, "i4"),
    (DType::U64, "u8"),
    (DType::I64, "i8"),
    (DType::F16, "f2"),
    (DType::BF16, "V2"),
    (DType::F32, "f4"),
    (DType::F64, "f8"),
];

impl Header {
    fn dtype(&self, name: &str) -> Result<(DType, Order)> {
        let unknown = || Error::format(FORMAT, format!("{name}: elements of type '{}', which Taper does not have", self.descr));
        let (order, kind) = self.descr.split_at_checked(1).ok_or_else(unknown)?;
        let dtype = TYPES.iter().find(|(_, k)| *k == kind).map(|(d, _)| *d).ok_or_else(unknown)?;
        let order = match order {
            "<" => Order::Little,
            ">" => Order::Big,
            // The type's bytes have no order, or the reader's own.
            "|" | "=" => Order::NATIVE,
            _ => return Err(unknown()),
        };
        Ok((dtype, order))
    }
}

#[cfg(test)]
mod tests;
