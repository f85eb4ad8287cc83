//! Any of the formats, told apart by their bytes.

use std::collections::BTreeMap;

use taper::io::safetensors;
use taper::nn::StateDict;
use taper::{Device, Error, Result, Tensor};

use crate::archive::Archive;
use crate::{Entry, gguf, npy, npz, pt};

/// A format this crate reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    Safetensors,
    Pt,
    Npz,
    Npy,
    Gguf,
}

impl Format {
    /// What bytes begin as; zip files are looked into.
    ///
    /// ```
    /// use taper_files::Format;
    /// assert_eq!(Format::of(b"\x93NUMPY\x01\0"), Some(Format::Npy));
    /// assert_eq!(Format::of(b"hello"), None);
    /// ```
    pub fn of(bytes: &[u8]) -> Option<Format> {
        if bytes.starts_with(b"\x93NUMPY") {
            return Some(Format::Npy);
        }
        if bytes.starts_with(b"GGUF") {
            return Some(Format::Gguf);
        }
        if bytes.starts_with(b"PK") {
            let archive = Archive::open("zip", bytes).ok()?;
            let pickled = archive.names().any(|n| n.rsplit('/').next() == Some("data.pkl"));
            return Some(if pickled { Format::Pt } else { Format::Npz });
        }
        // A pickle's protocol, then the magic number's ten bytes; or a tar file, which is refused by name.
        if bytes.starts_with(&[0x80, 2, 0x8a, 10]) || bytes.get(257..262) == Some(b"ustar") {
            return Some(Format::Pt);
        }
        (bytes.get(8) == Some(&b'{')).then_some(Format::Safetensors)
    }

    /// The format a file name's end stands for.
    pub fn of_name(name: &str) -> Option<Format> {
        let end = name.rsplit_once('.')?.1.to_ascii_lowercase();
        Some(match &end[..] {
            "safetensors" => Format::Safetensors,
            "pt" | "pth" | "bin" | "ckpt" => Format::Pt,
            "npz" => Format::Npz,
            "npy" => Format::Npy,
            "gguf" => Format::Gguf,
            _ => return None,
        })
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::Pt => "PyTorch",
            Format::Npz => "NumPy archive",
            Format::Npy => "NumPy array",
            Format::Gguf => "GGUF",
        })
    }
}

/// A file of tensors of any format. Opening it reads what it says about them; their elements are read when they are asked for.
///
/// `B` holds the bytes: a vector, a slice, a memory map.
///
/// ```
/// # use taper::prelude::*; use taper_files::{ModelFile, npz}; fn main() -> taper::Result<()> {
/// # let device = Device::cpu();
/// let arrays = taper::nn::StateDict::from([("w".to_string(), Tensor::ones([2, 3], &device)?)]);
/// let file = ModelFile::open(npz::write(&arrays, Default::default())?)?;
/// assert_eq!(file.entries()[0].shape, [2, 3]);
/// assert_eq!(file.tensor("w", &device)?.numel(), 6);
/// # Ok(()) }
/// ```
pub struct ModelFile<B> {
    bytes: B,
    kind: Kind,
    entries: Vec<Entry>,
}

enum Kind {
    Safetensors(safetensors::Header),
    Pt,
    Npz,
    Npy,
    Gguf(gguf::Header),
}

/// What the only array of an `.npy` file is called.
const ARRAY: &str = "array";

impl<B: AsRef<[u8]>> ModelFile<B> {
    /// # Errors
    /// Bytes of none of the formats, or not well-formed.
    pub fn open(bytes: B) -> Result<ModelFile<B>> {
        let data = bytes.as_ref();
        let format = Format::of(data).ok_or_else(|| Error::format("file", "none of the known formats"))?;
        let (kind, entries) = match format {
            Format::Safetensors => {
                let header = safetensors::Header::parse(data)?;
                let entry = |(name, info): (&String, &safetensors::Info)| {
                    Entry::new(name, &info.stored, info.dtype, &info.shape, info.bytes.len() as u64)
                };
                let entries = header.tensors.iter().map(entry).collect();
                (Kind::Safetensors(header), entries)
            }
            Format::Pt => (Kind::Pt, pt::inspect(data)?),
            Format::Npz => (Kind::Npz, npz::inspect(data)?),
            Format::Npy => (Kind::Npy, vec![npy::inspect(ARRAY, data)?]),
            Format::Gguf => {
                let header = gguf::Header::parse(data)?;
                let entries = header.entries();
                (Kind::Gguf(header), entries)
            }
        };
        Ok(ModelFile { bytes, kind, entries })
    }

    pub fn format(&self) -> Format {
        match &self.kind {
            Kind::Safetensors(_) => Format::Safetensors,
            Kind::Pt => Format::Pt,
            Kind::Npz => Format::Npz,
            Kind::Npy => Format::Npy,
            Kind::Gguf(_) => Format::Gguf,
        }
    }

    /// The tensors, in the file's order where it has one.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What else the file says, as text.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        match &self.kind {
            Kind::Safetensors(header) => header.metadata.clone(),
            Kind::Gguf(header) => header.metadata.iter().map(|(k, v)| (k.clone(), v.to_string())).collect(),
            Kind::Pt | Kind::Npz | Kind::Npy => BTreeMap::new(),
        }
    }

    /// A GGUF file's metadata with its types.
    pub fn gguf_metadata(&self) -> Option<&BTreeMap<String, gguf::Meta>> {
        match &self.kind {
            Kind::Gguf(header) => Some(&header.metadata),
            _ => None,
        }
    }

    /// Whether [`tensor`](Self::tensor) finds one without going through the others.
    pub fn is_indexed(&self) -> bool {
        matches!(self.kind, Kind::Safetensors(_) | Kind::Gguf(_))
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// There is none of this name; it is damaged; an element type Taper or the device does not have; out of memory.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let bytes = self.bytes.as_ref();
        match &self.kind {
            Kind::Safetensors(header) => header.tensor(bytes, name, device),
            Kind::Gguf(header) => header.tensor(bytes, name, device),
            Kind::Pt => pt::tensor(bytes, name, device),
            Kind::Npz => npz::tensor(bytes, name, device),
            Kind::Npy if name == ARRAY => npy::read(bytes, device),
            Kind::Npy => Err(Error::format("npy", format!("{name} is not in the file: its only array is called '{ARRAY}'"))),
        }
    }

    /// Reads all tensors. Of `.pt` files, whatever nests: names are joined by points.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn tensors(&self, device: &Device) -> Result<StateDict> {
        let bytes = self.bytes.as_ref();
        match &self.kind {
            Kind::Pt => Ok(pt::read(bytes, device)?.tensors().into_iter().map(|(n, t)| (n, t.clone())).collect()),
            Kind::Npz => npz::read(bytes, device),
            Kind::Safetensors(_) | Kind::Gguf(_) | Kind::Npy => {
                self.entries.iter().map(|e| Ok((e.name.clone(), self.tensor(&e.name, device)?))).collect()
            }
        }
    }
}

impl<B> std::fmt::Debug for ModelFile<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelFile").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}
