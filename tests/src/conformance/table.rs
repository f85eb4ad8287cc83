//! `docs/operators.md`: one row for each operator of PyTorch's suite, made from reports.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use taper::ops::registry;

use super::report::{Counts, Name, Report};

/// Where it is kept.
pub fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operators.md")
}

/// A report as it was written as JSON.
#[derive(Debug, Deserialize)]
pub struct Recorded {
    pub totals: BTreeMap<String, Counts>,
    pub names: Vec<Name>,
}

impl Recorded {
    /// Reads the JSON of a run.
    ///
    /// # Errors
    /// The file is missing or holds something else.
    pub fn read(path: &Path) -> Result<Recorded, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    fn operators(&self) -> impl Iterator<Item = &Name> {
        self.names.iter().filter(|n| n.kind == "op")
    }
}

const TIERS: [(&str, &str); 4] = [
    ("A", "What a deep-learning framework needs"),
    ("B", "Other operators on real numbers"),
    ("C", "Complex numbers, transforms, decompositions, copies, private operators"),
    ("X", "In place, and compositions"),
];

/// The whole file.
pub fn write(cpu: &Recorded, gpu: Option<&Recorded>) -> String {
    let on_gpu: BTreeMap<_, _> = gpu.into_iter().flat_map(Recorded::operators).map(|n| ((n.tier.as_deref(), n.name.as_str()), n)).collect();
    let mut text = "# Operators\n\n\
        What of PyTorch's operators Taper has. A cell `passed/counted` says how many recorded calls of PyTorch's open set give the same \
        result, gradients included, on that device; a call that the device cannot have by policy (`f64` on a GPU) does not count. \
        The GPU is Mesa's lavapipe. *Gradient*: recorded gradients that agree on the CPU; empty where PyTorch has none.\n\n\
        Made by `cargo xtask conformance --record`; `cargo xtask test` says when a row is out of date.\n"
        .to_string();
    for (tier, title) in TIERS {
        let rows: Vec<&Name> = cpu.operators().filter(|n| n.tier.as_deref() == Some(tier)).collect();
        let whole = rows.iter().filter(|n| n.counts.failed == 0).count();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n## {title}\n\n{whole} of {} pass all their calls on the CPU.\n", rows.len());
        text.push_str("| PyTorch | Taper | CPU | GPU | gradient |\n|---|---|---|---|---|\n");
        for row in rows {
            let gpu = on_gpu.get(&(row.tier.as_deref(), row.name.as_str()));
            let gradient = gradient(row);
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {gradient} |",
                row.name,
                taper_name(row),
                cell(row),
                gpu.map_or_else(String::new, |n| cell(n))
            );
        }
    }
    text
}

fn cell(n: &Name) -> String {
    match n.counts {
        _ if n.missing => "none".into(),
        Counts { passed: 0, failed: 0, .. } => "by policy".into(),
        Counts { passed, failed, .. } => format!("{passed}/{}", passed + failed),
    }
}

fn gradient(n: &Name) -> String {
    if n.gradients.1 > 0 { format!("{}/{}", n.gradients.0, n.gradients.1) } else { String::new() }
}

/// The method an operator's row in the registry calls, or its name there.
fn taper_name(n: &Name) -> String {
    if n.missing {
        return String::new();
    }
    let Some(call) = n.call.as_deref() else { return String::new() };
    let own = call.rsplit('.').next().unwrap_or(call);
    // As rustfmt would write it: macros put blanks between what they paste.
    let bodies = registry::overloads(call).iter().map(|op| op.body.replace(". ", ".").replace(" .", ".").replace(" (", "("));
    let named = |name: &str, body: &str| {
        let starts = |at: usize| !body[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        body.match_indices(&format!("{name}(")).any(|(at, _)| starts(at))
    };
    // In the registry an operator is one expression over methods: mostly one of the same name.
    let mut method = None;
    for body in bodies {
        if named(own, &body) {
            method = Some(own.to_string());
            break;
        }
        method = method.or_else(|| first_method(&body));
    }
    method.map_or_else(|| format!("`registry: {call}`"), |m| format!("`{m}`"))
}

/// Methods in those expressions that say nothing about the operator: those of Rust, and a tensor's way of being looked at.
const OTHERS: [&str; 26] = [
    "as_deref",
    "as_ref",
    "clone",
    "collect",
    "contains",
    "copied",
    "device",
    "dtype",
    "enumerate",
    "filter",
    "into_iter",
    "is_float",
    "is_some",
    "iter",
    "map",
    "map_err",
    "map_or",
    "ok_or_else",
    "push",
    "rank",
    "rev",
    "saturating_sub",
    "shape",
    "to_dtype",
    "unwrap_or",
    "zip",
];

/// `matmul` of `other.matmul(&input)`.
fn first_method(body: &str) -> Option<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    body.match_indices('(').find_map(|(at, _)| {
        let before = &body[..at];
        let name = &before[before.rfind(|c| !is_name(c)).map_or(0, |i| i + 1)..];
        let called = before[..before.len() - name.len()].ends_with('.');
        (called && !name.is_empty() && !OTHERS.contains(&name)).then(|| name.to_string())
    })
}

/// Whose cells of a row a run fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// What Taper calls it, how much passes, and of the gradients.
    Cpu,
    Gpu,
}

impl Column {
    /// The cells of a row, by their places in it.
    fn cells(self, n: &Name) -> Vec<(usize, String)> {
        match self {
            Column::Cpu => vec![(1, taper_name(n)), (2, cell(n)), (4, gradient(n))],
            Column::Gpu => vec![(3, cell(n))],
        }
    }
}

/// Rows of the committed file that say something else than a run did, in words.
///
/// # Errors
/// The file is missing.
pub fn outdated(report: &Report, column: Column) -> Result<Vec<String>, String> {
    let path = file();
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(differing(&text, report, column))
}

fn differing(text: &str, report: &Report, column: Column) -> Vec<String> {
    let mut tier = None;
    let mut rows: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        tier = TIERS.iter().find(|(_, title)| line.strip_prefix("## ") == Some(title)).map(|t| t.0).or(tier);
        if let Some(row) = line.strip_prefix('|') {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            rows.insert((tier, cells[0].trim_matches('`').to_string()), cells);
        }
    }
    let operators = report.names.values().filter(|n| n.kind == "op");
    let differs = |n: &Name| {
        let row = rows.get(&(n.tier.as_deref(), n.name.clone()));
        let mut cells = column.cells(n).into_iter();
        let (now, then) = cells.find_map(|(at, now)| {
            let then = row.and_then(|r| r.get(at)).copied();
            (then != Some(now.as_str())).then_some((now, then))
        })?;
        Some(format!("{}: '{now}', where it says {}", n.name, then.map_or("nothing".into(), |t| format!("'{t}'"))))
    };
    operators.filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Outcome;
    use super::*;

    #[test]
    fn methods_are_found_in_expressions() {
        assert_eq!(first_method("other.matmul(&input)"), Some("matmul".into()));
        assert_eq!(first_method("{ let x = input.clone(); x.sum_keepdim(dim) }"), Some("sum_keepdim".into()));
        assert_eq!(first_method("{ let dims: Vec<isize> = (0..n).rev().collect(); input.permute(dims) }"), Some("permute".into()));
        assert_eq!(first_method("reverse_sub(input, other, ONE)"), None);
    }

    #[test]
    fn a_cell_that_says_something_else_is_found() {
        let mut report = Report::default();
        report.add("op/A", "op", Some("A"), "exp", "1", &[], Outcome::Passed);
        report.note("op", Some("A"), "exp", "exp".into(), Some(true));
        let table = |row: &str| format!("## {}\n\n| PyTorch | Taper | CPU | GPU | gradient |\n|---|---|---|---|---|\n{row}\n", TIERS[0].1);
        let found = |row: &str, column| differing(&table(row), &report, column).len();
        assert_eq!(found("| `exp` | `exp` | 1/1 |  | 1/1 |", Column::Cpu), 0);
        assert_eq!(found("| `exp` | `exp` | 1/1 | 1/1 | 1/1 |", Column::Gpu), 0);
        for wrong in ["| `exp` | `log` | 1/1 |  | 1/1 |", "| `exp` | `exp` | 2/2 |  | 1/1 |", "| `exp` | `exp` | 1/1 |  |  |", ""] {
            assert_eq!(found(wrong, Column::Cpu), 1, "{wrong}");
        }
        assert_eq!(found("| `exp` | `exp` | 1/1 |  | 1/1 |", Column::Gpu), 1);
    }
}
