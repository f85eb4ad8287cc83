//! Making a small suite out of a large one: a small case of every operator the engine has.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Value as Json, json};

use super::ops::{exists, registry_name};
use super::suite::{Entry, File, Suite, safetensors_dtype};

/// Writes to `to` a case of each operator, and a few of each basic module and optimizer.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(from: &Suite, to: &Path) -> Result<(), String> {
    let mut entries = Vec::new();
    for (number, entry) in from.entries().iter().enumerate() {
        let Some(path) = entry.file.as_ref().filter(|_| entry.samples > 0 && wanted(entry)) else { continue };
        let file = from.file(path)?;
        let head = |k: &str| file.json.get(k).and_then(Json::as_str).unwrap_or_default();
        if entry.kind == "op" && !exists(&registry_name(head("op"), head("call"))) {
            continue;
        }
        // Operators take turns in what they show, so that all of it occurs often.
        let plain = entry.kind == "op" && number % 3 == 2;
        let count = if entry.kind == "op" { 1 } else { 2 };
        let cases = choose(&file, file.json["samples"].as_array().map(Vec::as_slice).unwrap_or_default(), plain, count);
        if cases.is_empty() {
            continue;
        }
        let mut json = file.json.clone();
        json["samples"] = cases.iter().cloned().cloned().collect();
        save(to, path, &json, &file)?;
        entries.push(json!({ "kind": entry.kind, "name": entry.name, "tier": entry.tier, "file": path, "samples": cases.len() }));
    }
    put(&to.join("manifest.json"), format!("{:#}\n", json!({ "format": 1, "set": "excerpt", "entries": entries })).as_bytes())
}

fn wanted(entry: &Entry) -> bool {
    const MODULES: [&str; 10] = [
        "nn.Linear",
        "nn.Conv1d",
        "nn.Conv2d",
        "nn.ConvTranspose2d",
        "nn.BatchNorm1d",
        "nn.BatchNorm2d",
        "nn.LayerNorm",
        "nn.GroupNorm",
        "nn.Embedding",
        "nn.CrossEntropyLoss",
    ];
    match entry.kind.as_str() {
        "op" => matches!(entry.tier.as_deref(), Some("A" | "X")),
        "module" => MODULES.contains(&entry.name.as_str()),
        "optimizer" => ["SGD", "Adam", "AdamW"].contains(&entry.name.as_str()),
        _ => false,
    }
}

/// The smallest cases that have elements: with a gradient, or (`plain`) of another type than `float32` if there is one.
fn choose<'a>(file: &File, cases: &'a [Json], plain: bool, count: usize) -> Vec<&'a Json> {
    let mut ranked: Vec<((bool, usize), &Json)> = Vec::new();
    for case in cases {
        let size = bytes(file, case);
        let shows = if plain { !case["dtypes"].to_string().contains("float32") } else { case.get("grad").is_some() };
        // Where PyTorch's own answer is an artefact of its vector code there is nothing to learn.
        if size > 0 && case["tags"].as_array().is_none_or(|tags| tags.iter().all(|t| t != "nonfinite")) {
            ranked.push(((!shows, size), case));
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(count).map(|(_, case)| case).collect()
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
    put(&to.join(format!("{path}.json")), format!("{json}\n").as_bytes())?;
    let mut used = BTreeSet::new();
    keys(json, file, &mut used);
    let views = used.iter().filter_map(|k| {
        let stored = file.tensor(k)?;
        Some((k.clone(), TensorView::new(safetensors_dtype(stored.dtype?)?, stored.shape.clone(), &stored.bytes).ok()?))
    });
    let data = safetensors::serialize(views, None).map_err(|e| e.to_string())?;
    put(&to.join(format!("{path}.safetensors")), &data)
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    }
    fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
}
