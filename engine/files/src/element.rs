//! Elements of a file as elements of a tensor.

use std::borrow::Cow;

use taper::{DType, Device, Error, Result, Tensor};

/// The order of the bytes within an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

impl Order {
    pub const NATIVE: Order = if cfg!(target_endian = "little") { Order::Little } else { Order::Big };

    /// Bytes of this order in native order, or the other way round.
    pub fn native<'a>(self, bytes: &'a [u8], dtype: DType) -> Cow<'a, [u8]> {
        if self == Order::NATIVE || dtype.size() == 1 {
            return Cow::Borrowed(bytes);
        }
        Cow::Owned(bytes.chunks_exact(dtype.size()).flat_map(|c| c.iter().rev().copied()).collect())
    }
}

/// A tensor of what a file holds, row-major; what is wrong with it names `name`.
pub(crate) fn tensor(
    format: &'static str,
    name: &str,
    bytes: &[u8],
    order: Order,
    dtype: DType,
    shape: &[usize],
    device: &Device,
) -> Result<Tensor> {
    match Tensor::from_bytes(&order.native(bytes, dtype), dtype, shape, device) {
        Err(Error::Argument { message, .. }) => Err(Error::format(format, format!("{name}: {message}"))),
        other => other,
    }
}

/// A tensor's elements row-major, in the little-endian order that files have.
pub(crate) fn little(t: &Tensor) -> Result<Vec<u8>> {
    let bytes = t.to_bytes()?;
    Ok(match Order::Little.native(&bytes, t.dtype()) {
        Cow::Owned(swapped) => swapped,
        Cow::Borrowed(_) => bytes,
    })
}
