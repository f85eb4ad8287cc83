//! Tensors in files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use taper::io::checkpoint::Checkpoint;
use taper::io::safetensors;
use taper::nn::StateDict;
use taper::{Device, Error, Result};

use crate::weights::map;

/// Writes tensors in the safetensors format. The file appears whole or not at all: it is written beside its place
/// and then renamed.
///
/// ```
/// # use taper::prelude::*; fn main() -> Result<()> {
/// # let path = std::env::temp_dir().join(format!("taper-doc-{}.safetensors", std::process::id()));
/// let device = Device::cpu();
/// let model = taper::nn::Linear::new(4, 2, &device)?;
/// taper_native::save_safetensors(&path, &model.state_dict())?;
/// model.load_state_dict(&taper_native::load_safetensors(&path, &device)?, true)?;
/// # std::fs::remove_file(path).ok(); Ok(()) }
/// ```
///
/// # Errors
/// The operating system refuses; a tensor whose computation failed.
pub fn save_safetensors(path: impl AsRef<Path>, tensors: &StateDict) -> Result<()> {
    save(path, &safetensors::serialize(tensors, &BTreeMap::new())?)
}

/// Reads the tensors of a safetensors file onto a device.
///
/// # Errors
/// The file cannot be read, is not of this format, or does not fit the device.
pub fn load_safetensors(path: impl AsRef<Path>, device: &Device) -> Result<StateDict> {
    safetensors::deserialize(&map(path.as_ref())?, device)
}

/// Writes a checkpoint, whole or not at all as [`save_safetensors`] does: a run that is stopped while it writes keeps
/// the one before.
///
/// ```
/// # use taper::io::checkpoint::Checkpoint; use taper::prelude::*; fn main() -> Result<()> {
/// # let path = std::env::temp_dir().join(format!("taper-doc-{}.checkpoint", std::process::id()));
/// let device = Device::cpu();
/// let model = taper::nn::Linear::new(4, 2, &device)?;
/// taper_native::save_checkpoint(&path, &Checkpoint::new(model.state_dict()).step(7))?;
/// assert_eq!(taper_native::load_checkpoint(&path, &device)?.step, 7);
/// # std::fs::remove_file(path).ok(); Ok(()) }
/// ```
///
/// # Errors
/// The operating system refuses; a tensor whose computation failed.
pub fn save_checkpoint(path: impl AsRef<Path>, checkpoint: &Checkpoint) -> Result<()> {
    save(path, &checkpoint.to_bytes()?)
}

/// Reads a checkpoint; its tensors are put on `device`.
///
/// # Errors
/// The file cannot be read, or is not as it was written.
pub fn load_checkpoint(path: impl AsRef<Path>, device: &Device) -> Result<Checkpoint> {
    Checkpoint::from_bytes(&map(path.as_ref())?, device)
}

/// Writes a file, whole or not at all: it is written beside its place and then renamed.
///
/// ```
/// # fn main() -> taper::Result<()> {
/// # let path = std::env::temp_dir().join(format!("taper-doc-{}.npy", std::process::id()));
/// let x = taper::Tensor::ones([2, 3], &taper::Device::cpu())?;
/// taper_native::save(&path, &taper_files::npy::write(&x)?)?;
/// # std::fs::remove_file(path).ok(); Ok(()) }
/// ```
///
/// # Errors
/// The operating system refuses.
pub fn save(path: impl AsRef<Path>, bytes: &[u8]) -> Result<()> {
    let path = path.as_ref();
    write_atomically(path, bytes).map_err(|e| refused(path, &e))
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

pub(crate) fn refused(path: &Path, e: &std::io::Error) -> Error {
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
    fn a_checkpoint_comes_back_and_half_of_one_does_not() {
        let (dir, device) = (folder("checkpoint"), Device::cpu());
        let path = dir.join("run.checkpoint");
        let state = StateDict::from([("x".to_string(), Tensor::ones([3], &device).unwrap())]);
        save_checkpoint(&path, &Checkpoint::new(state).step(7)).unwrap();
        let back = load_checkpoint(&path, &device).unwrap();
        assert_eq!((back.step, back.model["x"].to_vec::<f32>().unwrap()), (7, vec![1.0; 3]));
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 4]).unwrap();
        assert!(load_checkpoint(&path, &device).is_err());
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
