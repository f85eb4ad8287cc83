//! Models in files, mapped into memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use taper::nn::StateDict;
use taper::{Device, Error, Result, Tensor};
use taper_files::gguf::Meta;
use taper_files::shards::Index;
use taper_files::{Entry, Format, ModelFile};

use crate::file::refused;

/// A file as memory: the operating system reads what is looked at, and may forget it again.
///
/// # Errors
/// The operating system refuses.
pub(crate) fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(|e| refused(path, &e))?;
    if file.metadata().map_err(|e| refused(path, &e))?.is_dir() {
        return Err(refused(path, &std::io::ErrorKind::IsADirectory.into()));
    }
    // SAFETY: the map is read-only, and nobody is to change a file while it is open, as `Weights` says; Taper's own writers
    // replace files by renaming, which leaves the old one's contents to whoever has it open.
    unsafe { Mmap::map(&file) }.map_err(|e| refused(path, &e))
}

/// A model's tensors in a file of any format, or in several: nothing is read before it is asked for.
///
/// The file is mapped, not read: it must not be changed while this exists (replacing it by another is fine).
///
/// ```
/// # use taper::prelude::*; use taper_native::Weights; fn main() -> Result<()> {
/// # let path = std::env::temp_dir().join(format!("taper-weights-{}.safetensors", std::process::id()));
/// # let device = Device::cpu();
/// # let model = taper::nn::Linear::new(4, 2, &device)?;
/// # taper_native::save_safetensors(&path, &model.state_dict())?;
/// let weights = Weights::open(&path)?;
/// for entry in weights.entries() {
///     println!("{} {:?}", entry.name, entry.shape);
/// }
/// let bias = weights.tensor("bias", &device)?;
/// # assert_eq!(bias.shape(), [2]);
/// # std::fs::remove_file(path).ok(); Ok(()) }
/// ```
#[derive(Debug)]
pub struct Weights {
    parts: Vec<(PathBuf, ModelFile<Mmap>)>,
    /// Which part a tensor is in, where there are several.
    index: BTreeMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Weights {
    /// Opens a file of any format; an index (`model.safetensors.index.json`) with the files it names; or a folder that has
    /// `model.safetensors` or such an index.
    ///
    /// # Errors
    /// The file cannot be read, or is of none of the formats; an index that does not fit its files.
    pub fn open(path: impl AsRef<Path>) -> Result<Weights> {
        let path = path.as_ref();
        if path.is_dir() {
            let usual = ["model.safetensors", "model.safetensors.index.json"].map(|n| path.join(n));
            let found = usual.iter().find(|p| p.exists());
            return match found {
                Some(path) => Weights::open(path),
                None => {
                    Err(Error::Io { path: path.display().to_string(), message: "a folder without model.safetensors or its index".into() })
                }
            };
        }
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("json")) {
            return Weights::sharded(path);
        }
        let file = named(path, ModelFile::open(map(path)?))?;
        Ok(Weights { metadata: file.metadata(), index: BTreeMap::new(), parts: vec![(path.to_path_buf(), file)] })
    }

    fn sharded(path: &Path) -> Result<Weights> {
        let index = named(path, Index::parse(&map(path)?))?;
        let (mut parts, mut at) = (Vec::new(), BTreeMap::new());
        for file in index.files() {
            let path = path.with_file_name(file);
            at.insert(file.to_string(), parts.len());
            parts.push((path.clone(), named(&path, ModelFile::open(map(&path)?))?));
        }
        let wrong = |why: String| Error::Io { path: path.display().to_string(), message: why };
        let mut found = BTreeMap::new();
        for (part, (_, file)) in parts.iter().enumerate() {
            for entry in file.entries() {
                if found.insert(entry.name.clone(), part).is_some() {
                    return Err(wrong(format!("{} is in two of the files", entry.name)));
                }
            }
        }
        // Every tensor is where the index has it, and there are no others.
        for (name, file) in &index.weight_map {
            if found.get(name) != at.get(file) {
                return Err(wrong(format!("{name} is not in {file}")));
            }
        }
        if let Some(name) = found.keys().find(|name| !index.weight_map.contains_key(*name)) {
            return Err(wrong(format!("{name} is in one of the files, but not in the index")));
        }
        let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
        let metadata = index.metadata.iter().map(|(k, v)| (k.clone(), text(v))).collect();
        Ok(Weights { parts, index: found, metadata })
    }

    /// The format; of the parts, where there are several.
    pub fn format(&self) -> Option<Format> {
        self.parts.first().map(|(_, file)| file.format())
    }

    /// The files, one or the parts.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.parts.iter().map(|(path, _)| path.as_path())
    }

    /// What is said about each tensor, file by file.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.parts.iter().flat_map(|(_, file)| file.entries())
    }

    /// What else is said, as text.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// A GGUF file's metadata with its types.
    pub fn gguf_metadata(&self) -> Option<&BTreeMap<String, Meta>> {
        self.parts.first().and_then(|(_, file)| file.gguf_metadata())
    }

    /// Whether [`tensor`](Self::tensor) finds one without going through the others.
    pub fn is_indexed(&self) -> bool {
        self.parts.iter().all(|(_, file)| file.is_indexed())
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// There is none of this name; it is damaged; an element type Taper or the device does not have; out of memory.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let part = self.index.get(name).copied().unwrap_or(0);
        match self.parts.get(part) {
            Some((path, file)) => named(path, file.tensor(name, device)),
            None => Err(Error::format("safetensors", format!("{name} is not in the file"))),
        }
    }

    /// Reads all tensors.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn tensors(&self, device: &Device) -> Result<StateDict> {
        self.tensors_with(device, &mut |_| {})
    }

    /// As [`tensors`](Self::tensors), telling how many bytes of the files have been read.
    ///
    /// # Errors
    /// As [`tensor`](Self::tensor).
    pub fn tensors_with(&self, device: &Device, progress: &mut dyn FnMut(u64)) -> Result<StateDict> {
        let (mut out, mut done) = (StateDict::new(), 0);
        for (path, file) in &self.parts {
            if !file.is_indexed() {
                out.extend(named(path, file.tensors(device))?);
                done += file.entries().iter().map(|e| e.bytes).sum::<u64>();
                progress(done);
                continue;
            }
            for entry in file.entries() {
                out.insert(entry.name.clone(), named(path, file.tensor(&entry.name, device))?);
                done += entry.bytes;
                progress(done);
            }
        }
        Ok(out)
    }
}

/// With the file's name in what is wrong with its contents.
fn named<T>(path: &Path, result: Result<T>) -> Result<T> {
    result.map_err(|e| match e {
        Error::Format { .. } => Error::Io { path: path.display().to_string(), message: e.to_string() },
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use taper_files::{npz, pt, shards};

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let dir = std::env::temp_dir().join(format!("taper-{name}-{}", std::process::id()));
            fs::create_dir_all(&dir).unwrap();
            Folder(dir)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    fn state() -> StateDict {
        (0..5).map(|i| (format!("layer.{i}"), Tensor::full([i, 2], i as f32, &Device::cpu()).unwrap())).collect()
    }

    fn bytes(state: &StateDict) -> Vec<(String, Vec<u8>)> {
        state.iter().map(|(k, t)| (k.clone(), t.to_bytes().unwrap())).collect()
    }

    #[test]
    fn every_format_opens_by_its_contents() {
        let (folder, device) = (Folder::new("formats"), Device::cpu());
        for (format, contents) in [
            (Format::Safetensors, taper::io::safetensors::serialize(&state(), &BTreeMap::new()).unwrap()),
            (Format::Pt, pt::write_state_dict(&state()).unwrap()),
            (Format::Npz, npz::write(&state(), npz::Compression::Deflated).unwrap()),
        ] {
            let path = folder.0.join("model");
            fs::write(&path, contents).unwrap();
            let weights = Weights::open(&path).unwrap();
            assert_eq!(weights.format(), Some(format));
            assert_eq!(weights.entries().map(|e| (e.name.clone(), e.shape.clone())).collect::<BTreeMap<_, _>>()["layer.3"], [3, 2]);
            assert_eq!(weights.tensor("layer.4", &device).unwrap().to_vec::<f32>().unwrap(), [4.0; 8]);
            assert_eq!(bytes(&weights.tensors(&device).unwrap()), bytes(&state()));
            let why = weights.tensor("nothing", &device).unwrap_err().to_string();
            assert!(why.contains("nothing"), "{why}");
        }
    }

    #[test]
    fn parts_are_one_model_and_have_to_fit_their_index() {
        let (folder, device) = (Folder::new("parts"), Device::cpu());
        for (name, contents) in shards::split(&state(), 24, &BTreeMap::new()).unwrap() {
            fs::write(folder.0.join(name), contents).unwrap();
        }
        let weights = Weights::open(&folder.0).unwrap();
        assert!(weights.files().count() > 2);
        assert_eq!(weights.metadata()["total_size"], "80");
        assert_eq!(weights.tensor("layer.4", &device).unwrap().to_vec::<f32>().unwrap(), [4.0; 8]);
        assert_eq!(bytes(&weights.tensors(&device).unwrap()), bytes(&state()));

        let path = folder.0.join("model.safetensors.index.json");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replacen("layer.4", "layer.x", 1)).unwrap();
        let why = Weights::open(&path).unwrap_err().to_string();
        assert!(why.contains("layer.x is not in"), "{why}");
        fs::remove_file(folder.0.join("model-00001-of-00003.safetensors")).unwrap();
        assert!(Weights::open(&path).unwrap_err().to_string().contains("model-00001-of-00003"));
    }

    #[test]
    fn what_is_no_model_says_so_with_its_name() {
        let folder = Folder::new("none");
        for contents in [&b""[..], b"hello, world"] {
            let path = folder.0.join("notes.txt");
            fs::write(&path, contents).unwrap();
            let why = Weights::open(&path).unwrap_err().to_string();
            assert!(why.contains("notes.txt") && why.contains("none of the known formats"), "{why}");
        }
        assert!(Weights::open(folder.0.join("missing.pt")).is_err());
        assert!(Weights::open(&folder.0).unwrap_err().to_string().contains("without model.safetensors"));
    }
}
