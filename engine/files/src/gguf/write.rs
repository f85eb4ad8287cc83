//! Writing: version 3, little-endian.

use std::collections::BTreeMap;

use taper::nn::StateDict;
use taper::{DType, Error, Result, Tensor};

use super::meta::encode_str;
use super::quantize::quantize;
use super::{ALIGNMENT, FORMAT, MAGIC, Meta, Type};
use crate::element;

/// Writes tensors and what else is to be said. `stored` chooses how a tensor is stored: as F32, F16, BF16, Q8_0, Q4_0, Q4_1,
/// Q5_0 or Q5_1; `None` keeps its own type.
///
/// llama.cpp needs more than tensors: `general.architecture` and that architecture's keys have to be in `metadata`.
///
/// # Errors
/// An element type GGUF does not have (bool, unsigned integers); rows that are no whole blocks; a tensor whose computation
/// failed; an alignment in the metadata that is no power of two.
///
/// ```
/// # use taper::prelude::*; use taper_files::gguf::{self, Type}; fn main() -> taper::Result<()> {
/// let state = taper::nn::Linear::new(64, 8, &Device::cpu())?.state_dict();
/// let matrices = |_: &str, t: &Tensor| (t.rank() == 2).then_some(Type::Q8_0);
/// let bytes = gguf::write(&state, &Default::default(), matrices)?;
/// assert_eq!(gguf::Header::parse(&bytes)?.tensors["weight"].stored, "Q8_0");
/// # Ok(()) }
/// ```
pub fn write(tensors: &StateDict, metadata: &BTreeMap<String, Meta>, stored: impl Fn(&str, &Tensor) -> Option<Type>) -> Result<Vec<u8>> {
    let alignment = match metadata.get("general.alignment") {
        None => ALIGNMENT,
        Some(Meta::U32(n)) if n.is_power_of_two() => *n as usize,
        Some(other) => return Err(Error::argument(FORMAT, format!("an alignment of {other}"))),
    };
    let mut out = MAGIC.to_vec();
    out.extend(3u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        encode_str(key, &mut out);
        value.encode(&mut out);
    }
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let kind = match stored(name, tensor) {
            Some(kind) => kind,
            None => own(name, tensor.dtype())?,
        };
        encode_str(name, &mut out);
        out.extend((tensor.rank() as u32).to_le_bytes());
        for &size in tensor.shape().iter().rev() {
            out.extend((size as u64).to_le_bytes());
        }
        out.extend(kind.row().1.to_le_bytes());
        out.extend((data.len() as u64).to_le_bytes());
        data.extend(encoded(name, tensor, kind)?);
        data.resize(data.len().next_multiple_of(alignment), 0);
    }
    out.resize(out.len().next_multiple_of(alignment), 0);
    out.extend(data);
    Ok(out)
}

fn own(name: &str, dtype: DType) -> Result<Type> {
    Ok(match dtype {
        DType::F32 => Type::F32,
        DType::F16 => Type::F16,
        DType::BF16 => Type::BF16,
        DType::F64 => Type::F64,
        DType::I8 => Type::I8,
        DType::I16 => Type::I16,
        DType::I32 => Type::I32,
        DType::I64 => Type::I64,
        DType::Bool | DType::U8 | DType::U16 | DType::U32 | DType::U64 => {
            return Err(Error::dtype(FORMAT, format!("{name} is {dtype}, which GGUF does not have")));
        }
    })
}

fn encoded(name: &str, tensor: &Tensor, kind: Type) -> Result<Vec<u8>> {
    let row = tensor.shape().last().copied().unwrap_or(1);
    if row % kind.block() != 0 {
        let why = format!("{name}: rows of {row} are no whole blocks of {}, which {} has", kind.block(), kind.name());
        return Err(Error::argument(FORMAT, why));
    }
    if kind.block() == 1 {
        return element::little(&tensor.to_dtype(kind.dtype())?);
    }
    let values = tensor.to_dtype(DType::F32)?.to_vec::<f32>()?;
    quantize(kind, &values).ok_or_else(|| Error::unsupported(FORMAT, format!("{name}: {} is read, but not written", kind.name())))
}
