//! Reading recorded cases: a manifest, and pairs of JSON and safetensors files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::SafeTensors;
use serde::Deserialize;
use serde_json::Value as Json;
use taper::DType;

/// A folder of recorded cases.
#[derive(Debug)]
pub struct Suite {
    root: PathBuf,
    entries: Vec<Entry>,
}

/// One file pair of a suite.
#[derive(Debug, Deserialize)]
pub struct Entry {
    pub kind: String,
    pub name: String,
    pub tier: Option<String>,
    pub file: Option<String>,
    #[serde(default)]
    pub samples: usize,
}

/// A JSON file and the tensors beside it.
#[derive(Debug)]
pub struct File {
    pub json: Json,
    tensors: HashMap<String, Stored>,
}

/// A tensor as it was stored.
#[derive(Debug, Clone)]
pub struct Stored {
    /// `None`: a type the engine has no tensors of (complex numbers are stored as real ones, so never here).
    pub dtype: Option<DType>,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Suite {
    /// Opens a folder with a `manifest.json`, a folder that holds one such folder or archive, or an archive, which is
    /// unpacked under `target/conformance`.
    ///
    /// # Errors
    /// There is no suite, or it cannot be read.
    pub fn open(path: &Path) -> Result<Suite, String> {
        let root = find(path)?;
        let file = root.join("manifest.json");
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        #[derive(Deserialize)]
        struct Manifest {
            format: Json,
            entries: Vec<Entry>,
        }
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        if manifest.format != 1 {
            return Err(format!("{}: format {} is not format 1", file.display(), manifest.format));
        }
        Ok(Suite { root, entries: manifest.entries })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads one pair of files.
    ///
    /// # Errors
    /// A file is missing or malformed.
    pub fn file(&self, file: &str) -> Result<File, String> {
        let json = self.root.join(format!("{file}.json"));
        let text = fs::read_to_string(&json).map_err(|e| format!("{}: {e}", json.display()))?;
        let json = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", json.display()))?;
        let path = self.root.join(format!("{file}.safetensors"));
        let tensors = if path.exists() {
            let bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            read_tensors(&bytes).map_err(|e| format!("{}: {e}", path.display()))?
        } else {
            HashMap::new()
        };
        Ok(File { json, tensors })
    }
}

impl File {
    pub fn tensor(&self, key: &str) -> Option<&Stored> {
        self.tensors.get(key)
    }
}

fn read_tensors(bytes: &[u8]) -> Result<HashMap<String, Stored>, String> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
    Ok(file
        .iter()
        .map(|(name, view)| {
            let stored = Stored { dtype: stored_dtype(view.dtype()), shape: view.shape().to_vec(), bytes: view.data().to_vec() };
            (name.to_string(), stored)
        })
        .collect())
}

/// The format's element types and the engine's.
const STORED: [(safetensors::Dtype, DType); 13] = {
    use safetensors::Dtype;
    [
        (Dtype::BOOL, DType::Bool),
        (Dtype::U8, DType::U8),
        (Dtype::I8, DType::I8),
        (Dtype::U16, DType::U16),
        (Dtype::I16, DType::I16),
        (Dtype::U32, DType::U32),
        (Dtype::I32, DType::I32),
        (Dtype::U64, DType::U64),
        (Dtype::I64, DType::I64),
        (Dtype::F16, DType::F16),
        (Dtype::BF16, DType::BF16),
        (Dtype::F32, DType::F32),
        (Dtype::F64, DType::F64),
    ]
};

fn stored_dtype(dtype: safetensors::Dtype) -> Option<DType> {
    STORED.iter().find(|(stored, _)| *stored == dtype).map(|(_, d)| *d)
}

pub fn safetensors_dtype(dtype: DType) -> Option<safetensors::Dtype> {
    STORED.iter().find(|(_, d)| *d == dtype).map(|(stored, _)| *stored)
}

/// PyTorch's name of a type.
pub fn dtype(name: &str) -> Option<DType> {
    Some(match name {
        "bool" => DType::Bool,
        "uint8" => DType::U8,
        "int8" => DType::I8,
        "uint16" => DType::U16,
        "int16" => DType::I16,
        "uint32" => DType::U32,
        "int32" => DType::I32,
        "uint64" => DType::U64,
        "int64" => DType::I64,
        "float16" => DType::F16,
        "bfloat16" => DType::BF16,
        "float32" => DType::F32,
        "float64" => DType::F64,
        _ => return None,
    })
}

/// The folder with the manifest of PyTorch's cases.
fn find(path: &Path) -> Result<PathBuf, String> {
    find_with(path, "manifest.json", "pytorch-")
}

/// The folder that holds the file `index`: `path` itself, a folder in it, or what an archive is unpacked to, `path` or one in it
/// whose name begins with `prefix`.
///
/// # Errors
/// There is none, or it cannot be unpacked.
pub fn find_with(path: &Path, index: &str, prefix: &str) -> Result<PathBuf, String> {
    let has_manifest = |dir: &Path| dir.join(index).is_file();
    if path.is_file() {
        return find_with(&unpack(path)?, index, prefix);
    }
    if has_manifest(path) {
        return Ok(path.to_path_buf());
    }
    let listed = fs::read_dir(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut inside: Vec<PathBuf> = listed.filter_map(|e| e.ok().map(|e| e.path())).collect();
    inside.sort();
    if let Some(dir) = inside.iter().find(|p| has_manifest(p)) {
        return Ok(dir.clone());
    }
    let name =
        |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix) && n.to_string_lossy().ends_with(".tar.xz"));
    let archive = inside.iter().find(|p| name(p)).ok_or_else(|| format!("{}: no {index}, and no {prefix}*.tar.xz", path.display()))?;
    find_with(&unpack(archive)?, index, prefix)
}

/// Unpacks an archive under `target/conformance`, once: the folder it lies in.
fn unpack(archive: &Path) -> Result<PathBuf, String> {
    let stem = archive.file_name().map(|n| n.to_string_lossy().split('.').next().unwrap_or("suite").to_string()).unwrap_or_default();
    let told = |path: &Path, e: std::io::Error| format!("{}: {e}", path.display());
    // Another archive of the same name has another size.
    let bytes = fs::metadata(archive).map_err(|e| told(archive, e))?.len();
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/conformance");
    let target = all.join(format!("{stem}-{bytes}"));
    if !target.is_dir() {
        // Tests are processes of their own: each unpacks for itself, and the first one stays.
        let fresh = all.join(format!("{stem}-{bytes}.{}", std::process::id()));
        fs::create_dir_all(&fresh).map_err(|e| told(&fresh, e))?;
        let status = Command::new("tar").arg("xf").arg(archive).arg("-C").arg(&fresh).status().map_err(|e| format!("tar: {e}"))?;
        if !status.success() {
            return Err(format!("tar xf {}: {status} (it needs xz)", archive.display()));
        }
        if let Err(e) = fs::rename(&fresh, &target)
            && !target.is_dir()
        {
            return Err(told(&target, e));
        }
        // What is left of a race is in nobody's way.
        let _ = fs::remove_dir_all(&fresh);
    }
    Ok(target)
}
