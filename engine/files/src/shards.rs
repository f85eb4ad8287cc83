//! Safetensors in several files: the index (`model.safetensors.index.json`) that says which tensor is where.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use taper::io::safetensors;
use taper::nn::StateDict;
use taper::{Error, Result};

const FORMAT: &str = "safetensors index";

/// Which file each tensor is in.
///
/// ```
/// use taper_files::shards::Index;
/// # fn main() -> taper::Result<()> {
/// let index = Index::parse(br#"{"metadata": {"total_size": 8}, "weight_map": {"w": "model-00001-of-00001.safetensors"}}"#)?;
/// assert_eq!(index.files().collect::<Vec<_>>(), ["model-00001-of-00001.safetensors"]);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Index {
    /// Anything else that is said: `total_size` usually.
    pub metadata: Map<String, Value>,
    /// The file of each tensor, beside the index.
    pub weight_map: BTreeMap<String, String>,
}

impl Index {
    /// # Errors
    /// Text that is no index; files that do not lie beside it.
    pub fn parse(bytes: &[u8]) -> Result<Index> {
        let wrong = |why: String| Error::format(FORMAT, why);
        // A pair takes up to 256 bytes when it is parsed, however short its text.
        let pairs = bytes.iter().filter(|b| matches!(b, b':' | b',' | b'[' | b'{')).count() as u64;
        if pairs * 256 > 4 * bytes.len() as u64 + (48 << 20) {
            return Err(wrong(format!("{pairs} values in {} bytes", bytes.len())));
        }
        let mut parsed: Value = serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))?;
        let mut part = |key: &str| match parsed.get_mut(key).map(Value::take) {
            Some(Value::Object(map)) => Ok(Some(map)),
            None => Ok(None),
            Some(_) => Err(wrong(format!("'{key}' is no object"))),
        };
        let metadata = part("metadata")?.unwrap_or_default();
        let map = part("weight_map")?.ok_or_else(|| wrong("there is no 'weight_map'".into()))?;
        let mut weight_map = BTreeMap::new();
        for (name, file) in map {
            let Value::String(file) = file else { return Err(wrong(format!("the file of {name} is no text"))) };
            if !beside(&file) {
                return Err(wrong(format!("{name} is in '{file}', which is not beside the index")));
            }
            weight_map.insert(name, file);
        }
        Ok(Index { metadata, weight_map })
    }

    /// The files, each once.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.weight_map.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter()
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!("{:#}", json!({ "metadata": self.metadata, "weight_map": self.weight_map }));
        text.push('\n');
        text.into_bytes()
    }
}

/// A plain file name: no path leads out of the folder.
fn beside(file: &str) -> bool {
    !file.is_empty() && !file.contains(['/', '\\', ':', '\0']) && file != "." && file != ".."
}

/// The files of a model in parts: each has at most `limit` bytes of tensors, or one tensor. They are named
/// `model-00001-of-00003.safetensors` and so on, as Hugging Face's libraries do; the last is the index,
/// `model.safetensors.index.json`.
///
/// # Errors
/// A tensor whose computation failed.
///
/// ```
/// # use taper::prelude::*; use taper_files::shards; fn main() -> taper::Result<()> {
/// # let device = Device::cpu();
/// let state = taper::nn::Linear::new(4, 2, &device)?.state_dict(); // 32 and 8 bytes
/// let files = shards::split(&state, 32, &Default::default())?;
/// assert_eq!(files.iter().map(|(name, _)| &name[..]).collect::<Vec<_>>(), [
///     "model-00001-of-00002.safetensors",
///     "model-00002-of-00002.safetensors",
///     "model.safetensors.index.json",
/// ]);
/// # Ok(()) }
/// ```
pub fn split(tensors: &StateDict, limit: u64, metadata: &BTreeMap<String, String>) -> Result<Vec<(String, Vec<u8>)>> {
    let mut parts: Vec<(u64, StateDict)> = Vec::new();
    let mut total = 0;
    for (name, tensor) in tensors {
        let bytes = (tensor.numel() * tensor.dtype().size()) as u64;
        total += bytes;
        match parts.last_mut() {
            Some((size, part)) if *size + bytes <= limit => {
                *size += bytes;
                part.insert(name.clone(), tensor.clone());
            }
            _ => parts.push((bytes, StateDict::from([(name.clone(), tensor.clone())]))),
        }
    }
    let mut index = Index { metadata: Map::from_iter([("total_size".to_string(), json!(total))]), ..Index::default() };
    let (mut files, count) = (Vec::new(), parts.len());
    for (i, (_, part)) in parts.iter().enumerate() {
        let file = format!("model-{:05}-of-{count:05}.safetensors", i + 1);
        index.weight_map.extend(part.keys().map(|name| (name.clone(), file.clone())));
        files.push((file, safetensors::serialize(part, metadata)?));
    }
    files.push(("model.safetensors.index.json".into(), index.to_bytes()));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taper::{Device, Tensor};

    #[test]
    fn parts_and_their_index_hold_every_tensor_once() {
        let device = Device::cpu();
        let state: StateDict = (0..7).map(|i| (format!("layer.{i}"), Tensor::full([i], i as f32, &device).unwrap())).collect();
        let files: BTreeMap<String, Vec<u8>> = split(&state, 40, &BTreeMap::new()).unwrap().into_iter().collect();
        let index = Index::parse(&files["model.safetensors.index.json"]).unwrap();
        assert_eq!(index.metadata["total_size"], 84);
        assert_eq!(index.files().count(), files.len() - 1);
        let mut back = StateDict::new();
        for file in index.files() {
            let part = safetensors::deserialize(&files[file], &device).unwrap();
            assert!(part.values().map(|t| t.numel() * 4).sum::<usize>() <= 40);
            assert!(part.keys().all(|name| index.weight_map[name] == file));
            back.extend(part);
        }
        assert!(back.iter().map(|(k, t)| (k, t.to_bytes().unwrap())).eq(state.iter().map(|(k, t)| (k, t.to_bytes().unwrap()))));
    }

    #[test]
    fn what_is_no_index_says_so() {
        for (text, what) in [
            ("[]", "no 'weight_map'"),
            ("{", "EOF"),
            (r#"{"weight_map": {"a": 1}}"#, "the file of a is no text"),
            (r#"{"weight_map": {"a": "../../secret"}}"#, "not beside the index"),
            (r#"{"weight_map": {"a": ".."}}"#, "not beside the index"),
            (r#"{"weight_map": []}"#, "no object"),
        ] {
            let why = Index::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(why.contains(what), "{what}: {why}");
        }
        let many = format!("[{}0]", "0,".repeat(400_000));
        assert!(Index::parse(many.as_bytes()).unwrap_err().to_string().contains("400001 values"));
    }
}
