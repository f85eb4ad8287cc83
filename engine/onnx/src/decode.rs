//! Stored tensors: from the messages of a file, or from the files beside it.

use taper::{DType, Device, Error, Result, Tensor};

use crate::element::{Elem, Narrow};
use crate::host::{Host, with_element};
use crate::proto;
use crate::value::{Array, Value};

/// How many elements a sparse tensor may have: it is made dense.
const DENSE: usize = 1 << 24;

/// Where the bytes of external data are: the location as the model names it, an offset, and how many (`None`: to the end).
pub type External<'a> = dyn Fn(&str, u64, Option<u64>) -> Result<Vec<u8>> + 'a;

pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::format("onnx", message)
}

/// The shape of a message, and how many elements that is.
fn shape(dims: &[i64]) -> Result<(Vec<usize>, usize)> {
    let shape: Option<Vec<usize>> = dims.iter().map(|&d| usize::try_from(d).ok()).collect();
    let counted = shape.and_then(|s| s.iter().try_fold(1usize, |n, &d| n.checked_mul(d)).filter(|&n| n < crate::LARGE).map(|n| (s, n)));
    counted.ok_or_else(|| wrong(format!("{dims:?} is no shape")))
}

/// A stored tensor: on the host if it is small, else on the CPU.
pub(crate) fn tensor(t: proto::Tensor, external: &External<'_>) -> Result<Array> {
    let name = t.name.clone();
    let named = |e: Error| match e {
        Error::Format { message, .. } => wrong(format!("tensor '{name}': {message}")),
        Error::Unsupported { message, .. } => Error::unsupported("onnx", format!("tensor '{name}': {message}")),
        other => other,
    };
    decode(t, external).map_err(named)
}

fn decode(mut t: proto::Tensor, external: &External<'_>) -> Result<Array> {
    let elem = Elem::of(t.data_type.into())?;
    let (shape, n) = shape(&t.dims)?;
    let bytes = if t.data_location == 1 { Some(beside(&t, elem, n, external)?) } else { t.raw_data.take() };
    let needed = (n * elem.bits()).div_ceil(8);
    let bytes = match bytes {
        Some(raw) if raw.len() == needed => from_raw(elem, n, raw),
        Some(raw) => return Err(wrong(format!("{} bytes for {n} elements of {elem}, which need {needed}", raw.len()))),
        None => from_fields(&t, elem, n)?,
    };
    let dtype = elem.storage();
    if dtype == DType::Bool && bytes.iter().any(|&b| b > 1) {
        return Err(wrong("a bool that is neither 0 nor 1"));
    }
    if Host::is_small(dtype, n) {
        let scalars: Vec<_> =
            with_element!(dtype, T => <T as taper::Element>::read_bytes(&bytes).into_iter().map(taper::Element::to_scalar).collect());
        return Ok(Array::from(Host::from_scalars(dtype, shape, &scalars)).marked(elem));
    }
    Array::stored(elem, Tensor::from_bytes(&bytes, dtype, &shape, &Device::cpu())?)
}

/// The bytes of a tensor stored outside the model.
fn beside(t: &proto::Tensor, elem: Elem, n: usize, external: &External<'_>) -> Result<Vec<u8>> {
    let entry = |key: &str| t.external_data.iter().find(|e| e.key == key).map(|e| e.value.as_str());
    let number = |key: &str| match entry(key) {
        None => Ok(None),
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| wrong(format!("external data: {key} '{text}' is no number"))),
    };
    let location = entry("location").ok_or_else(|| wrong("external data without a location"))?;
    let escapes = location.starts_with(['/', '\\']) || location.contains(':') || location.split(['/', '\\']).any(|part| part == "..");
    if escapes {
        return Err(wrong(format!("external data at '{location}' does not lie beside the model")));
    }
    let needed = (n * elem.bits()).div_ceil(8) as u64;
    let length = number("length")?;
    if length.is_some_and(|l| l != needed) {
        return Err(wrong(format!("external data of {} bytes for {n} elements of {elem}, which need {needed}", length.unwrap_or(0))));
    }
    external(location, number("offset")?.unwrap_or(0), Some(needed))
}

/// Little-endian bytes of a file as those of the storage type.
fn from_raw(elem: Elem, n: usize, raw: Vec<u8>) -> Vec<u8> {
    let Elem::Narrow(narrow) = elem else {
        return if cfg!(target_endian = "little") {
            raw
        } else {
            raw.chunks(elem.storage().size()).flat_map(|c| c.iter().rev().copied().collect::<Vec<u8>>()).collect()
        };
    };
    let bits = elem.bits();
    let per = 8 / bits;
    // bits < 8 where several share a byte; the first lies lowest.
    let code = |i: usize| raw.get(i / per).map_or(0, |b| (u16::from(*b) >> (i % per * bits) & ((1 << bits) - 1)) as u8);
    narrow_bytes(narrow, (0..n).map(code))
}

fn narrow_bytes(narrow: Narrow, codes: impl Iterator<Item = u8>) -> Vec<u8> {
    let values = codes.map(|c| narrow.decode(c));
    match Elem::Narrow(narrow).storage() {
        DType::F32 => values.flat_map(|v| (v as f32).to_ne_bytes()).collect(),
        DType::I8 => values.map(|v| v as i8 as u8).collect(),
        _ => values.map(|v| v as u8).collect(),
    }
}

/// The bytes of a tensor whose elements are fields of the message.
fn from_fields(t: &proto::Tensor, elem: Elem, n: usize) -> Result<Vec<u8>> {
    use taper::DType::*;
    let count = |len: usize, needed: usize| match len == needed {
        true => Ok(()),
        false => Err(wrong(format!("{len} values for {n} elements of {elem}"))),
    };
    let ints = &t.int32_data;
    if let Elem::Narrow(narrow) = elem {
        let per = 8 / elem.bits();
        count(ints.len(), n.div_ceil(per))?;
        return Ok(from_raw(Elem::Narrow(narrow), n, ints.iter().map(|&v| v as u8).collect()));
    }
    let dtype = elem.storage();
    let held = match dtype {
        F32 => t.float_data.len(),
        F64 => t.double_data.len(),
        I64 => t.int64_data.len(),
        U32 | U64 => t.uint64_data.len(),
        _ => ints.len(),
    };
    count(held, n)?;
    Ok(match dtype {
        F32 => t.float_data.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        F64 => t.double_data.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        I64 => t.int64_data.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        U64 => t.uint64_data.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        U32 => t.uint64_data.iter().flat_map(|&v| (v as u32).to_ne_bytes()).collect(),
        I32 => ints.iter().flat_map(|v| v.to_ne_bytes()).collect(),
        // As bits, for floats.
        I16 | U16 | F16 | BF16 => ints.iter().flat_map(|&v| (v as u16).to_ne_bytes()).collect(),
        I8 | U8 | Bool => ints.iter().map(|&v| v as u8).collect(),
    })
}

/// A sparse tensor, made dense.
pub(crate) fn sparse(s: proto::SparseTensor, external: &External<'_>) -> Result<Array> {
    let (Some(values), Some(indices)) = (s.values, s.indices) else { return Err(wrong("a sparse tensor without values or indices")) };
    let (shape, n) = shape(&s.dims)?;
    if n > DENSE {
        return Err(Error::unsupported("onnx", format!("a sparse tensor of {n} elements")));
    }
    let (values, indices) = (tensor(values, external)?, tensor(indices, external)?);
    let (count, at) = (values.shape().iter().product::<usize>(), indices.host()?);
    let places = at.to_ints()?;
    let places: Vec<i64> = match at.shape.len() {
        1 => places,
        _ if shape.is_empty() => return Err(wrong("a sparse tensor without dimensions")),
        _ => places
            .chunks(shape.len())
            .map(|c| c.iter().zip(&shape).fold(0, |flat: i64, (&i, &d)| flat.saturating_mul(d as i64).saturating_add(i)))
            .collect(),
    };
    if places.len() != count || places.iter().any(|&p| p < 0 || p as usize >= n) {
        return Err(wrong("a sparse tensor whose indices do not fit"));
    }
    let cpu = Device::cpu();
    let flat = values.tensor(&cpu)?.reshape([count])?;
    let zeros = Tensor::zeros([n], (flat.dtype(), &cpu))?;
    let dense = zeros.scatter(0, &Tensor::from_slice(&places, [count], &cpu)?, &flat)?.reshape(&shape)?;
    Array::stored(values.elem(), dense)
}

/// A stored sequence.
pub(crate) fn sequence(s: proto::Sequence, external: &External<'_>) -> Result<Value> {
    let tensors = s.tensors.into_iter().map(|t| tensor(t, external).map(Value::Tensor));
    let sequences = s.sequences.into_iter().map(|s| sequence(s, external));
    let optionals = s.optionals.into_iter().map(|o| optional(o, external));
    Ok(Value::Sequence(tensors.chain(sequences).chain(optionals).collect::<Result<_>>()?))
}

/// A stored optional.
pub(crate) fn optional(o: proto::Optional, external: &External<'_>) -> Result<Value> {
    match (o.elem_type, o.tensor, o.sequence) {
        (1, Some(t), _) => tensor(t, external).map(Value::Tensor),
        (3, _, Some(s)) => sequence(s, external),
        _ => Ok(Value::None),
    }
}
