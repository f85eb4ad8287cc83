//! What a file says about a tensor.

use taper::{DType, Error, Result};

/// One tensor of a file, before anything of it is read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    pub name: String,
    /// The element type as the format calls it: `F32`, `<f4`, `FloatStorage`, `Q4_K`.
    pub stored: String,
    /// What it is read as; `None` where Taper has no such type.
    pub dtype: Option<DType>,
    pub shape: Vec<usize>,
    /// Bytes it takes in the file, after decompression.
    pub bytes: u64,
}

impl Entry {
    pub(crate) fn new(name: &str, stored: &str, dtype: Option<DType>, shape: &[usize], bytes: u64) -> Entry {
        Entry { name: name.into(), stored: stored.into(), dtype, shape: shape.to_vec(), bytes }
    }

    /// How many elements it has.
    pub fn numel(&self) -> u64 {
        self.shape.iter().fold(1, |n, &d| n.saturating_mul(d as u64))
    }
}

/// More dimensions than any file has for a reason.
const MAX_RANK: usize = 64;

/// The elements of a shape and the bytes they take.
///
/// # Errors
/// More dimensions or elements than there can be.
pub(crate) fn sizes(format: &'static str, name: &str, shape: &[usize], dtype: DType) -> Result<(usize, usize)> {
    let wrong = |why: &str| Error::format(format, format!("{name}: {why}"));
    if shape.len() > MAX_RANK {
        return Err(wrong(&format!("{} dimensions are more than {MAX_RANK}", shape.len())));
    }
    // Without the zeros too: strides are products of what is beside them.
    let product = |skip: bool| shape.iter().filter(|&&d| !(skip && d == 0)).try_fold(1usize, |n, &d| n.checked_mul(d));
    let sized = |n: usize| n.checked_mul(dtype.size()).filter(|&b| b <= isize::MAX as usize);
    let (Some(numel), Some(_)) = (product(false), product(true).and_then(sized)) else {
        return Err(wrong(&format!("a shape of {shape:?} has more elements than there can be")));
    };
    Ok((numel, numel * dtype.size()))
}
