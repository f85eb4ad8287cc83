//! Making a small suite out of a large one: the smallest cases of every name the engine has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Value as Json, json};

use super::ops::{exists, registry_name};
use super::suite::{Entry, File, Suite, safetensors_dtype};

/// Writes to `to` at most `per_name` cases of each operator, module, .. of `from`.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(from: &Suite, to: &Path, per_name: usize) -> Result<(), String> {
    let mut entries = Vec::new();
    for entry in from.entries() {
        let Some(path) = entry.file.as_ref().filter(|_| entry.samples > 0 && wanted(entry)) else { continue };
        let file = from.file(path)?;
        let list = if file.json.get("cases").is_some() { "cases" } else { "samples" };
        let head = |k: &str| file.json.get(k).and_then(Json::as_str).unwrap_or_default();
        if entry.kind == "op" && !exists(&registry_name(head("op"), head("call"))) {
            continue;
        }
        let cases = choose(&file, file.json[list].as_array().map(Vec::as_slice).unwrap_or_default(), per_name);
        if cases.is_empty() {
            continue;
        }
        let mut json = file.json.clone();
        json[list] = cases.iter().cloned().cloned().collect();
        save(to, path, &json, &file)?;
        entries.push(json!({ "kind": entry.kind, "name": entry.name, "tier": entry.tier, "file": path, "samples": cases.len() }));
    }
    put(&to.join("manifest.json"), pretty(&json!({ "format": 1, "set": "excerpt", "entries": entries })).as_bytes())
}

fn wanted(entry: &Entry) -> bool {
    let tier = entry.tier.as_deref().is_none_or(|t| t == "A" || t == "X");
    let exact = [
        "nn.Linear",
        "nn.Conv1d",
        "nn.Conv2d",
        "nn.ConvTranspose2d",
        "nn.BatchNorm1d",
        "nn.BatchNorm2d",
        "nn.LayerNorm",
        "nn.GroupNorm",
        "nn.Embedding",
    ];
    match entry.kind.as_str() {
        "op" => tier,
        "module" => exact.contains(&entry.name.as_str()) || entry.name == "nn.CrossEntropyLoss",
        "optimizer" => ["SGD", "Adam", "AdamW"].contains(&entry.name.as_str()),
        _ => false,
    }
}

/// The smallest cases that differ in what they show: element types, and whether there is a gradient.
fn choose<'a>(file: &File, cases: &'a [Json], count: usize) -> Vec<&'a Json> {
    let mut by_size: Vec<(usize, &Json)> = cases.iter().map(|c| (bytes(file, c), c)).filter(|(n, _)| *n > 0).collect();
    by_size.sort_by_key(|(n, _)| *n);
    let mut chosen: BTreeMap<(bool, String), &Json> = BTreeMap::new();
    for (_, case) in by_size {
        let shows = (case.get("grad").is_none(), case["dtypes"].to_string());
        if !chosen.contains_key(&shows) && chosen.len() < count {
            chosen.insert(shows, case);
        }
    }
    chosen.into_values().collect()
}

fn keys(v: &Json, file: &File, out: &mut BTreeSet<String>) {
    match v {
        Json::String(s) if file.tensor(s).is_some() => drop(out.insert(s.clone())),
        Json::Array(list) => list.iter().for_each(|v| keys(v, file, out)),
        Json::Object(map) => map.values().for_each(|v| keys(v, file, out)),
        _ => {}
    }
}

fn bytes(file: &File, case: &Json) -> usize {
    let mut used = BTreeSet::new();
    keys(case, file, &mut used);
    used.iter().filter_map(|k| file.tensor(k)).map(|t| t.bytes.len()).sum()
}

fn save(to: &Path, path: &str, json: &Json, file: &File) -> Result<(), String> {
    put(&to.join(format!("{path}.json")), pretty(json).as_bytes())?;
    let mut used = BTreeSet::new();
    keys(json, file, &mut used);
    let views = used.iter().filter_map(|k| {
        let stored = file.tensor(k)?;
        Some((k.clone(), TensorView::new(safetensors_dtype(stored.dtype?)?, stored.shape.clone(), &stored.bytes).ok()?))
    });
    let data = safetensors::serialize(views, None).map_err(|e| e.to_string())?;
    put(&to.join(format!("{path}.safetensors")), &data)
}

fn pretty(json: &Json) -> String {
    format!("{json}\n")
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}
