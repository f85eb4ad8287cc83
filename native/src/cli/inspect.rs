//! `taper inspect`: the tensors of a file as a tree.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use taper_files::Entry;
use taper_native::Weights;

use super::{Failure, bytes, plain, print};

/// Names have more levels than this only to annoy.
const LEVELS: usize = 16;
/// Longer metadata is cut.
const SHOWN: usize = 200;

pub fn run(file: &Path) -> Result<ExitCode, Failure> {
    let weights = Weights::open(file)?;
    let mut entries: Vec<&Entry> = weights.entries().collect();
    entries.sort_by(|a, b| natural(&a.name).cmp(&natural(&b.name)));
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(&text);
        out.push('\n');
    };
    let (files, format) = (weights.files().count(), weights.format().map(|f| f.to_string()).unwrap_or_default());
    let parts = if files > 1 { format!(" in {files} files") } else { String::new() };
    line(format!("{}: {format}{parts}", plain(&file.display().to_string())));
    if !weights.metadata().is_empty() {
        line("\nmetadata".into());
    }
    for (key, value) in weights.metadata() {
        let cut: String = value.chars().take(SHOWN).collect();
        let more = if cut.len() < value.len() { format!(".. ({} characters)", value.chars().count()) } else { String::new() };
        line(format!("  {} = {}{more}", plain(key), plain(&cut)));
    }
    line("\ntensors".into());
    tree(&entries).into_iter().for_each(&mut line);
    line(String::new());
    let mut kinds: BTreeMap<&str, (usize, u64, u64)> = BTreeMap::new();
    for e in &entries {
        let kind = kinds.entry(&e.stored).or_default();
        *kind = (kind.0 + 1, kind.1.saturating_add(e.numel()), kind.2.saturating_add(e.bytes));
    }
    for (kind, (count, numel, size)) in &kinds {
        line(format!("{:>12}  {count} tensors, {numel} elements, {}", plain(kind), bytes(*size)));
    }
    let total = |f: fn(&Entry) -> u64| entries.iter().fold(0u64, |n, e| n.saturating_add(f(e)));
    line(format!("{:>12}  {} tensors, {} elements, {}", "all", entries.len(), total(Entry::numel), bytes(total(|e| e.bytes))));
    Ok(print(&out))
}

/// Digits compare as the numbers they are: layer 2 comes before layer 10.
fn natural(name: &str) -> Vec<(u128, &str)> {
    name.split('.').map(|part| (part.parse().unwrap_or(u128::MAX), part)).collect()
}

/// A line for each tensor, below the parts of its name that are new.
fn tree(entries: &[&Entry]) -> Vec<String> {
    let mut rows: Vec<(String, Option<&Entry>)> = Vec::new();
    let mut open: Vec<&str> = Vec::new();
    for entry in entries {
        let mut path: Vec<&str> = entry.name.splitn(LEVELS, '.').collect();
        // There is a last part, empty or not.
        let leaf = path.pop().unwrap_or_default();
        let common = open.iter().zip(&path).take_while(|(a, b)| a == b).count();
        open.truncate(common);
        for part in &path[common..] {
            rows.push((format!("{}{}", "  ".repeat(open.len() + 1), plain(part)), None));
            open.push(part);
        }
        rows.push((format!("{}{}", "  ".repeat(open.len() + 1), plain(leaf)), Some(entry)));
    }
    let width = rows.iter().filter(|r| r.1.is_some()).map(|r| r.0.chars().count()).max().unwrap_or(0).min(60);
    let show = |(name, entry): (String, Option<&Entry>)| match entry {
        None => name,
        Some(e) => format!("{name:width$}  {:<14} {:<20} {:>9}", plain(&e.stored), format!("{:?}", e.shape), bytes(e.bytes)),
    };
    rows.into_iter().map(show).collect()
}
