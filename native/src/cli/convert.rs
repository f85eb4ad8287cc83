//! `taper convert`: a model in another format.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use taper::io::safetensors;
use taper::nn::StateDict;
use taper::{DType, Tensor};
use taper_files::gguf::{self, Meta};
use taper_files::{Format, npy, npz, pt};
use taper_native::Weights;

use super::{Failure, bytes, load, plain, print};

/// What floating-point tensors become.
#[derive(Debug, Clone, Copy)]
pub enum Stored {
    As(DType),
    Blocks(gguf::Type),
}

impl FromStr for Stored {
    type Err = String;

    fn from_str(s: &str) -> Result<Stored, String> {
        if let Some(dtype) = s.parse::<DType>().ok().filter(|d| d.is_float()) {
            return Ok(Stored::As(dtype));
        }
        use gguf::Type::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};
        let kind = s.parse::<gguf::Type>().ok().filter(|k| matches!(k, Q4_0 | Q4_1 | Q5_0 | Q5_1 | Q8_0));
        kind.map(Stored::Blocks).ok_or_else(|| "none of f16, bf16, f32, f64, q4_0, q4_1, q5_0, q5_1, q8_0".to_string())
    }
}

pub fn run(from: &Path, to: &Path, stored: Option<Stored>) -> Result<ExitCode, Failure> {
    let shown = to.display();
    let format = to.file_name().and_then(|n| Format::of_name(&n.to_string_lossy()));
    let format = format.ok_or_else(|| Failure::Usage(format!("{shown}: ends in none of .safetensors, .pt, .npz, .npy, .gguf")))?;
    if matches!(stored, Some(Stored::Blocks(_))) && format != Format::Gguf {
        return Err(Failure::Usage(format!("{shown}: only GGUF has quantised tensors")));
    }
    let weights = Weights::open(from)?;
    let mut tensors = load(&weights)?;
    if let Some(Stored::As(dtype)) = stored {
        for tensor in tensors.values_mut().filter(|t| t.dtype().is_float()) {
            *tensor = tensor.to_dtype(dtype)?;
        }
    }
    let out = encode(&weights, &tensors, format, stored, &shown.to_string())?;
    taper_native::save(to, &out)?;
    Ok(print(&format!("{}: {} tensors, {}\n", plain(&shown.to_string()), tensors.len(), bytes(out.len() as u64))))
}

fn encode(weights: &Weights, tensors: &StateDict, format: Format, stored: Option<Stored>, to: &str) -> Result<Vec<u8>, Failure> {
    Ok(match format {
        Format::Safetensors => safetensors::serialize(tensors, weights.metadata())?,
        Format::Pt => pt::write_state_dict(tensors)?,
        Format::Npz => npz::write(tensors, npz::Compression::Stored)?,
        Format::Npy => {
            let mut all = tensors.values();
            match (all.next(), all.next()) {
                (Some(only), None) => npy::write(only)?,
                _ => return Err(Failure::Usage(format!("{to}: .npy holds one tensor, not {}; .npz holds many", tensors.len()))),
            }
        }
        Format::Gguf => {
            let text = || weights.metadata().iter().map(|(k, v)| (k.clone(), Meta::Str(v.clone()))).collect();
            let metadata: BTreeMap<String, Meta> = weights.gguf_metadata().cloned().unwrap_or_else(text);
            let blocks = |_: &str, t: &Tensor| match stored {
                Some(Stored::Blocks(kind)) if t.dtype().is_float() => {
                    let whole = t.rank() >= 2 && t.shape().last().is_some_and(|n| n % kind.block() == 0);
                    Some(if whole { kind } else { gguf::Type::F32 })
                }
                _ => None,
            };
            gguf::write(tensors, &metadata, blocks)?
        }
        other => return Err(Failure::Usage(format!("{to}: {other} is not written"))),
    })
}
