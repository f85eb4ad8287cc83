//! NumPy's `.npz`: a zip file of named arrays.

use taper::nn::StateDict;
use taper::{Device, Error, Result, Tensor};

use crate::archive::{Archive, ArchiveWriter};
use crate::budget::Budget;
use crate::entry::Entry;
use crate::npy;

const FORMAT: &str = "npz";
const SUFFIX: &str = ".npy";

/// How [`write`] lays the arrays down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As `numpy.savez`.
    #[default]
    Stored,
    /// As `numpy.savez_compressed`.
    Deflated,
}

/// Reads all arrays. Members that are no arrays (no `.npy` in their name) are left out.
///
/// # Errors
/// Bytes that are not of this format, or damaged; an element type Taper or the device does not have; contents of more than
/// four times the file and 48 MiB; out of memory.
///
/// ```
/// # use taper::prelude::*; use taper_files::npz::{self, Compression}; fn main() -> taper::Result<()> {
/// let device = Device::cpu();
/// let arrays = taper::nn::StateDict::from([("w".to_string(), Tensor::ones([2, 3], &device)?)]);
/// let file = npz::write(&arrays, Compression::Deflated)?;
/// assert_eq!(npz::read(&file, &device)?["w"].shape(), [2, 3]);
/// # Ok(()) }
/// ```
pub fn read(bytes: &[u8], device: &Device) -> Result<StateDict> {
    let archive = Archive::open(FORMAT, bytes)?;
    let mut budget = Budget::new(FORMAT, bytes.len());
    let mut out = StateDict::new();
    for (member, name) in arrays(&archive) {
        let data = archive.read(member, &mut budget)?;
        out.insert(name.to_string(), npy::named(name, &data, device, &mut budget)?);
        if matches!(data, std::borrow::Cow::Owned(_)) {
            budget.give(data.len() as u64);
        }
    }
    Ok(out)
}

/// Reads one array.
///
/// # Errors
/// As [`read`]; there is none of this name.
pub fn tensor(bytes: &[u8], name: &str, device: &Device) -> Result<Tensor> {
    let mut budget = Budget::new(FORMAT, bytes.len());
    let data = Archive::open(FORMAT, bytes)?.read(&format!("{name}{SUFFIX}"), &mut budget)?;
    npy::named(name, &data, device, &mut budget)
}

/// What the arrays are, without reading them.
///
/// # Errors
/// Bytes that are not of this format.
pub fn inspect(bytes: &[u8]) -> Result<Vec<Entry>> {
    let archive = Archive::open(FORMAT, bytes)?;
    let mut out = Vec::new();
    for (member, name) in arrays(&archive) {
        let mut budget = Budget::new(FORMAT, bytes.len());
        let head = archive.head(member, 70_000, &mut budget)?;
        out.push(npy::inspect(name, &head)?);
    }
    Ok(out)
}

/// Writes named arrays.
///
/// # Errors
/// A tensor whose computation failed; a name longer than 65,531 bytes.
pub fn write(arrays: &StateDict, compression: Compression) -> Result<Vec<u8>> {
    let mut archive = ArchiveWriter::new(FORMAT);
    for (name, tensor) in arrays {
        let member = format!("{name}{SUFFIX}");
        if name.is_empty() || name.starts_with('/') || name.ends_with('/') {
            return Err(Error::argument(FORMAT, format!("'{name}' cannot name a member of a zip file")));
        }
        let data = npy::write(tensor)?;
        match compression {
            Compression::Stored => archive.store(&member, &data, 64)?,
            Compression::Deflated => archive.deflate(&member, &data)?,
        }
    }
    archive.finish()
}

fn arrays<'a>(archive: &'a Archive<'_>) -> impl Iterator<Item = (&'a str, &'a str)> {
    archive.names().filter_map(|member| Some((member, member.strip_suffix(SUFFIX)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use taper::DType;

    fn arrays() -> StateDict {
        let device = Device::cpu();
        let of = |dtype: DType| {
            let x = Tensor::from_vec(vec![0.0f32, 1.0, 1.0, 0.0, 1.0, 1.0], [2, 3], &device).unwrap();
            (format!("layer.{dtype}"), x.to_dtype(dtype).unwrap())
        };
        let mut all: StateDict = DType::ALL.into_iter().map(of).collect();
        all.insert("größe".into(), Tensor::full([], 3i64, &device).unwrap());
        all.insert("nested/empty".into(), Tensor::zeros([0, 4], &device).unwrap());
        all
    }

    #[test]
    fn arrays_come_back_as_they_went() {
        for compression in [Compression::Stored, Compression::Deflated] {
            let all = arrays();
            let bytes = write(&all, compression).unwrap();
            let back = read(&bytes, &Device::cpu()).unwrap();
            assert!(all.keys().eq(back.keys()));
            for (name, x) in &all {
                assert_eq!((x.dtype(), x.shape()), (back[name].dtype(), back[name].shape()), "{name}");
                assert_eq!(x.to_bytes().unwrap(), back[name].to_bytes().unwrap(), "{name}");
            }
            let entries = inspect(&bytes).unwrap();
            assert!(entries.iter().map(|e| &e.name).eq(all.keys()));
        }
    }

    #[test]
    fn damage_is_found_by_the_checksum() {
        let one = StateDict::from([("x".to_string(), Tensor::full([64], 0.125, &Device::cpu()).unwrap())]);
        for compression in [Compression::Stored, Compression::Deflated] {
            let mut bytes = write(&one, compression).unwrap();
            // Within the array's data, deflated or not.
            let at = bytes.windows(4).rposition(|w| w == b"PK\x07\x08").unwrap() - 3;
            bytes[at] ^= 0x40;
            let why = read(&bytes, &Device::cpu()).unwrap_err().to_string();
            assert!(why.contains("x.npy: damaged"), "{why}");
        }
    }

    #[test]
    fn what_unpacks_to_too_much_is_refused() {
        let zeros = StateDict::from([("x".to_string(), Tensor::zeros([40 << 20], (DType::U8, &Device::cpu())).unwrap())]);
        let bytes = write(&zeros, Compression::Deflated).unwrap();
        assert!(bytes.len() < 100_000);
        let why = read(&bytes, &Device::cpu()).unwrap_err().to_string();
        assert!(why.contains("too much for a file of this size"), "{why}");
    }
}
