//! Tensors in files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use taper::nn::StateDict;
use taper::{Device, Error, Result, io::safetensors};

/// Writes tensors in the safetensors format. The file appears whole or not at all: it is written beside its place
/// and then renamed.
///
/// # Errors
/// The operating system refuses; a tensor whose computation failed.
pub fn save_safetensors(path: impl AsRef<Path>, tensors: &StateDict) -> Result<()> {
    let path = path.as_ref();
    let bytes = safetensors::serialize(tensors, &BTreeMap::new())?;
    write_atomically(path, &bytes).map_err(|e| refused(path, &e))
}

/// Reads the tensors of a safetensors file onto a device.
///
/// # Errors
/// The file cannot be read, is not of this format, or does not fit the device.
pub fn load_safetensors(path: impl AsRef<Path>, device: &Device) -> Result<StateDict> {
    let path = path.as_ref();
    let bytes = fs::read(path).map_err(|e| refused(path, &e))?;
    safetensors::deserialize(&bytes, device)
}

fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    // Whatever went wrong first is what is reported.
    written.and_then(|()| fs::rename(&partial, path)).inspect_err(|_| drop(fs::remove_file(&partial)))
}

fn refused(path: &Path, e: &std::io::Error) -> Error {
    Error::Io { path: PathBuf::from(path).display().to_string(), message: e.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taper::Tensor;

    fn folder(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("taper-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn a_saved_file_replaces_the_old_one_and_leaves_nothing_else() {
        let (dir, device) = (folder("save"), Device::cpu());
        let path = dir.join("x.safetensors");
        for value in [1.0, 2.0] {
            let state = StateDict::from([("x".to_string(), Tensor::full([3], value, &device).unwrap())]);
            save_safetensors(&path, &state).unwrap();
            let back = load_safetensors(&path, &device).unwrap();
            assert_eq!(back["x"].to_vec::<f32>().unwrap(), [value as f32; 3]);
        }
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn what_the_system_refuses_names_the_path() {
        let missing = folder("missing").join("no/such.safetensors");
        let error = load_safetensors(&missing, &Device::cpu()).unwrap_err().to_string();
        assert!(error.contains("such.safetensors"), "{error}");
        assert!(save_safetensors(&missing, &StateDict::new()).is_err());
    }
}
