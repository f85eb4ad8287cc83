//! Making a small suite out of a large one: a small case of everything that passes, on the CPU and on every GPU present.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use safetensors::tensor::TensorView;
use serde_json::{Value as Json, json};
use taper::Device;

use super::Kind;
use super::outcome::Outcome;
use super::report::Report;
use super::suite::{Entry, File, Suite, safetensors_dtype};

/// What a case may weigh; of larger ones the smallest is taken only where there is nothing else.
const HEAVY: usize = 40 << 10;

/// Writes to `to` a case of each name that passes, and says what it left out.
///
/// # Errors
/// A file cannot be read or written; a GPU that is present cannot be opened.
pub fn write(from: &Suite, to: &Path) -> Result<String, String> {
    let gpus = (0..Device::gpus().len()).map(Device::gpu).collect::<taper::Result<Vec<_>>>().map_err(|e| e.to_string())?;
    let devices: Vec<Device> = std::iter::once(Device::cpu()).chain(gpus).collect();
    let (mut entries, mut left_out) = (Vec::new(), Vec::new());
    for (number, entry) in from.entries().iter().enumerate() {
        let Some(path) = entry.file.as_ref().filter(|_| entry.samples > 0) else { continue };
        let kind = Kind::of(&entry.kind).ok_or_else(|| format!("{}: unknown kind '{}'", entry.name, entry.kind))?;
        let file = from.file(path)?;
        let mut json = file.json.clone();
        let mut kept = 1;
        if let Some(list) = ["samples", "cases"].into_iter().find(|k| file.json.get(*k).is_some()) {
            let cases = chosen(kind, entry, &file, file.json[list].as_array().map(Vec::as_slice).unwrap_or_default(), number, &devices);
            if cases.is_empty() {
                left_out.push(entry.name.clone());
                continue;
            }
            kept = cases.len();
            json[list] = cases.into();
        } else if !passes_whole(kind, from, entry, &devices)? {
            left_out.push(entry.name.clone());
            continue;
        }
        save(to, path, &json, &file)?;
        entries.push(json!({ "kind": entry.kind, "name": entry.name, "tier": entry.tier, "file": path, "samples": kept }));
    }
    let said = format!("{} names; left out, because no case passes everywhere: {}", entries.len(), left_out.join(", "));
    put(&to.join("manifest.json"), format!("{:#}\n", json!({ "format": 1, "set": "excerpt", "entries": entries })).as_bytes())?;
    Ok(said)
}

/// Whether a file that is no list of cases passes as a whole.
fn passes_whole(kind: Kind, from: &Suite, entry: &Entry, devices: &[Device]) -> Result<bool, String> {
    let mut report = Report::default();
    devices.iter().try_for_each(|device| kind.run(from, entry, device, None, &mut report))?;
    Ok(report.all().failed == 0)
}

/// For each name in a file the first of its cases, by preference, that passes everywhere; if none does, without its gradient.
fn chosen(kind: Kind, entry: &Entry, file: &File, cases: &[Json], number: usize, devices: &[Device]) -> Vec<Json> {
    let mut names: BTreeMap<String, Vec<((bool, bool, usize), &Json)>> = BTreeMap::new();
    for case in cases {
        // Operators take turns in what they show, so that all of it occurs often: gradients, or other types than `float32`.
        let plain = kind == Kind::Op && number % 3 == 2;
        let shows = if plain { !case["dtypes"].to_string().contains("float32") } else { case.get("grad").is_some() };
        let size = bytes(file, case);
        // Where PyTorch's own answer is an artefact of its vector code there is nothing to learn.
        let finite = case["tags"].as_array().is_none_or(|tags| tags.iter().all(|t| t != "nonfinite"));
        if finite {
            // Without elements only if there is nothing else.
            names.entry(kind.case_name(entry, case)).or_default().push(((size > HEAVY, !shows || size == 0, size), case));
        }
    }
    // The CPU has every type, so what is skipped there was not run.
    let fine = |d: &Device, outcome| match outcome {
        Outcome::Passed | Outcome::PassedByType => true,
        Outcome::Skipped(_) => !d.is_cpu(),
        _ => false,
    };
    let passes = |case: &Json| devices.iter().all(|d| fine(d, kind.outcome(file, case, d)));
    let mut out = Vec::new();
    for ranked in names.values_mut() {
        ranked.sort_by_key(|(rank, _)| *rank);
        let best = || ranked.iter().take(8).map(|&(_, case)| case);
        let values = || best().map(without_gradient).find(|case| passes(case));
        out.extend(best().find(|case| passes(case)).cloned().or_else(values));
    }
    out
}

fn without_gradient(case: &Json) -> Json {
    let mut case = case.clone();
    if let Some(map) = case.as_object_mut() {
        map.remove("grad");
    }
    case
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
