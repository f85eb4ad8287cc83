//! GGUF, the format of llama.cpp: tensors, quantised or not, and what a program needs to run them (tokenizer included).
//!
//! Versions 2 and 3, both byte orders. Quantised tensors are read as f32, to the bit what the reference makes of them; so the
//! tensors of a file are as large as their shapes say, up to 12 times the file.

mod blocks;
mod meta;
mod quantize;
mod write;

use std::collections::BTreeMap;
use std::ops::Range;

use taper::nn::StateDict;
use taper::{DType, Device, Error, Result, Tensor};

use crate::budget::Budget;
use crate::element::{self, Order};
use crate::entry::{Entry, sizes};
use meta::Reader;
pub use meta::{Array, Meta};
pub use write::write;

const FORMAT: &str = "gguf";
const MAGIC: &[u8; 4] = b"GGUF";
/// Where nothing else is said, tensors lie at multiples of this.
const ALIGNMENT: usize = 32;

/// How a tensor's elements are stored.
#[allow(non_camel_case_types)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Type {
    F32,
    F16,
    BF16,
    F64,
    I8,
    I16,
    I32,
    I64,
    /// 32 numbers of 4 bits and a scale; `_1` has an offset too.
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    /// 256 numbers with scales of scales.
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
}

/// Type, number in the file, name, elements of a block, its bytes.
const TYPES: [(Type, u32, &str, usize, usize); 18] = [
    (Type::F32, 0, "F32", 1, 4),
    (Type::F16, 1, "F16", 1, 2),
    (Type::Q4_0, 2, "Q4_0", 32, 18),
    (Type::Q4_1, 3, "Q4_1", 32, 20),
    (Type::Q5_0, 6, "Q5_0", 32, 22),
    (Type::Q5_1, 7, "Q5_1", 32, 24),
    (Type::Q8_0, 8, "Q8_0", 32, 34),
    (Type::Q2_K, 10, "Q2_K", 256, 84),
    (Type::Q3_K, 11, "Q3_K", 256, 110),
    (Type::Q4_K, 12, "Q4_K", 256, 144),
    (Type::Q5_K, 13, "Q5_K", 256, 176),
    (Type::Q6_K, 14, "Q6_K", 256, 210),
    (Type::I8, 24, "I8", 1, 1),
    (Type::I16, 25, "I16", 1, 2),
    (Type::I32, 26, "I32", 1, 4),
    (Type::I64, 27, "I64", 1, 8),
    (Type::F64, 28, "F64", 1, 8),
    (Type::BF16, 30, "BF16", 1, 2),
];

/// Types whose size is known and nothing else: number, name, elements of a block, its bytes.
const UNREAD: [(u32, &str, usize, usize); 14] = [
    (9, "Q8_1", 32, 36),
    (15, "Q8_K", 256, 292),
    (16, "IQ2_XXS", 256, 66),
    (17, "IQ2_XS", 256, 74),
    (18, "IQ3_XXS", 256, 98),
    (19, "IQ1_S", 256, 50),
    (20, "IQ4_NL", 32, 18),
    (21, "IQ3_S", 256, 110),
    (22, "IQ2_S", 256, 82),
    (23, "IQ4_XS", 256, 136),
    (29, "IQ1_M", 256, 56),
    (34, "TQ1_0", 256, 54),
    (35, "TQ2_0", 256, 66),
    (39, "MXFP4", 32, 17),
];

impl Type {
    fn row(self) -> (Type, u32, &'static str, usize, usize) {
        // Every type is in the table.
        TYPES.into_iter().find(|row| row.0 == self).unwrap_or(TYPES[0])
    }

    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// How many elements are stored together: rows are whole blocks.
    pub fn block(self) -> usize {
        self.row().3
    }

    /// The type of the tensor it is read as.
    pub fn dtype(self) -> DType {
        match self {
            Type::F16 => DType::F16,
            Type::BF16 => DType::BF16,
            Type::F64 => DType::F64,
            Type::I8 => DType::I8,
            Type::I16 => DType::I16,
            Type::I32 => DType::I32,
            Type::I64 => DType::I64,
            _ => DType::F32,
        }
    }
}

impl std::str::FromStr for Type {
    type Err = Error;

    fn from_str(s: &str) -> Result<Type> {
        let found = TYPES.iter().find(|row| row.2.eq_ignore_ascii_case(s)).map(|row| row.0);
        found.ok_or_else(|| Error::argument(FORMAT, format!("'{s}' is none of {}", TYPES.map(|row| row.2).join(", "))))
    }
}

/// What a file says of itself: with it, tensors are read one at a time.
///
/// ```
/// use taper_files::gguf::{self, Header, Meta};
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let device = Device::cpu();
/// let state = taper::nn::Linear::new(4, 2, &device)?.state_dict();
/// let metadata = [("general.name".to_string(), Meta::Str("tiny".into()))].into();
/// let bytes = gguf::write(&state, &metadata, |_, _| None)?;
///
/// let header = Header::parse(&bytes)?;
/// assert_eq!(header.metadata["general.name"].as_str(), Some("tiny"));
/// assert_eq!(header.tensor(&bytes, "weight", &device)?.shape(), [2, 4]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Header {
    pub version: u32,
    pub metadata: BTreeMap<String, Meta>,
    pub tensors: BTreeMap<String, Info>,
    order: Order,
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Info {
    /// How it is stored; `None` for types that cannot be read.
    pub kind: Option<Type>,
    /// The name of that.
    pub stored: &'static str,
    /// In PyTorch's order: the last dimension lies together.
    pub shape: Vec<usize>,
    /// Where it is in the file.
    pub bytes: Range<usize>,
}

impl Header {
    /// Reads everything before the tensors of a whole file.
    ///
    /// # Errors
    /// Bytes that are not of this format or version; tensors that overlap or leave the file.
    pub fn parse(bytes: &[u8]) -> Result<Header> {
        let mut budget = Budget::new(FORMAT, bytes.len());
        let mut r = Reader::new(bytes, &mut budget);
        if r.take(4)? != MAGIC {
            return Err(wrong("this is no GGUF file"));
        }
        let mut version = r.u32()?;
        if version & 0xffff == 0 && version > 0 {
            version = version.swap_bytes();
            r.order = Order::Big;
        }
        if !(2..=3).contains(&version) {
            return Err(wrong(format!("version {version} is neither 2 nor 3")));
        }
        let (count, pairs) = (r.u64()?, r.u64()?);
        let mut metadata = BTreeMap::new();
        for _ in 0..pairs {
            let key = r.string()?;
            r.charge(128)?;
            let value = r.meta()?;
            if metadata.contains_key(&key) {
                return Err(wrong(format!("'{key}' is there twice")));
            }
            metadata.insert(key, value);
        }
        let alignment = match metadata.get("general.alignment") {
            None => ALIGNMENT,
            Some(Meta::U32(n)) if n.is_power_of_two() => *n as usize,
            Some(other) => return Err(wrong(format!("an alignment of {other}"))),
        };
        let mut tensors = BTreeMap::new();
        for _ in 0..count {
            let (name, info) = r.info()?;
            if tensors.contains_key(&name) {
                return Err(wrong(format!("there are two tensors '{name}'")));
            }
            tensors.insert(name, info);
        }
        let (at, order) = (r.at(), r.order);
        let start = at.checked_next_multiple_of(alignment).ok_or_else(|| wrong("an alignment beyond the file"))?;
        let mut ends: Vec<(usize, usize, &str)> = Vec::new();
        for (name, info) in &mut tensors {
            let outside = || wrong(format!("{name} lies outside the file"));
            if info.bytes.start % alignment != 0 {
                return Err(wrong(format!("{name} is not at a multiple of {alignment}")));
            }
            let place = |n: usize| start.checked_add(n).ok_or_else(outside);
            info.bytes = place(info.bytes.start)?..place(info.bytes.end)?;
            if info.bytes.end > bytes.len() {
                return Err(outside());
            }
            ends.push((info.bytes.start, info.bytes.end, name));
        }
        ends.retain(|(from, to, _)| to > from);
        ends.sort_unstable();
        if let Some(w) = ends.windows(2).find(|w| w[0].1 > w[1].0) {
            return Err(wrong(format!("{} and {} overlap", w[0].2, w[1].2)));
        }
        Ok(Header { version, metadata, tensors, order })
    }

    /// Reads one tensor of the file this header is of; a quantised one as f32.
    ///
    /// # Errors
    /// There is none of this name; a type that cannot be read; out of memory; another file.
    pub fn tensor(&self, bytes: &[u8], name: &str, device: &Device) -> Result<Tensor> {
        let info = self.tensors.get(name).ok_or_else(|| wrong(format!("{name} is not in the file")))?;
        let kind = info.kind.ok_or_else(|| wrong(format!("{name} is stored as {}, which is not read", info.stored)))?;
        let data = bytes.get(info.bytes.clone()).ok_or_else(|| wrong(format!("{name} lies outside the file")))?;
        if kind.block() == 1 {
            return element::tensor(FORMAT, name, data, self.order, kind.dtype(), &info.shape, device);
        }
        let values = blocks::dequantize(kind, data, self.order);
        Tensor::from_vec(values, &info.shape[..], device)
    }

    /// What the file says about each tensor.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |(name, info): (&String, &Info)| {
            Entry::new(name, info.stored, info.kind.map(Type::dtype), &info.shape, info.bytes.len() as u64)
        };
        self.tensors.iter().map(entry).collect()
    }
}

/// Reads all tensors; quantised ones as f32.
///
/// # Errors
/// As [`Header::parse`] and [`Header::tensor`].
pub fn read(bytes: &[u8], device: &Device) -> Result<StateDict> {
    let header = Header::parse(bytes)?;
    header.tensors.keys().map(|name| Ok((name.clone(), header.tensor(bytes, name, device)?))).collect()
}

fn wrong(why: impl Into<String>) -> Error {
    Error::format(FORMAT, why)
}

impl Reader<'_, '_> {
    /// A tensor's name and how it is stored; its place is still counted from the first tensor.
    fn info(&mut self) -> Result<(String, Info)> {
        let name = self.string()?;
        self.charge(256)?;
        let rank = self.u32()?;
        // The reference has at most 4.
        if rank > 8 {
            return Err(wrong(format!("{name} has {rank} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            let size = self.u64()?;
            shape.push(usize::try_from(size).map_err(|_| wrong(format!("{name} has a size of {size}")))?);
        }
        shape.reverse();
        let number = self.u32()?;
        let (kind, stored, block, size) = match TYPES.iter().find(|row| row.1 == number) {
            Some(&(kind, _, name, block, size)) => (Some(kind), name, block, size),
            None => match UNREAD.iter().find(|row| row.0 == number) {
                Some(&(_, name, block, size)) => (None, name, block, size),
                None => return Err(wrong(format!("{name} has the unknown type {number}"))),
            },
        };
        let start = self.u64()?;
        let (numel, _) = sizes(FORMAT, &name, &shape, DType::F64)?;
        if shape.last().copied().unwrap_or(1) % block != 0 {
            return Err(wrong(format!("{name}: rows of {:?} are no whole blocks of {block}", shape.last())));
        }
        let length = numel / block * size;
        let start = usize::try_from(start).ok().filter(|s| s.checked_add(length).is_some());
        let start = start.ok_or_else(|| wrong(format!("{name} lies outside the file")))?;
        Ok((name, Info { kind, stored, shape, bytes: start..start + length }))
    }
}

#[cfg(test)]
mod tests;
