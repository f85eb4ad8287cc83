//! Counting, and saying what failed.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::outcome::Outcome;

/// How a run went, to be printed or written as JSON.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub totals: BTreeMap<String, Counts>,
    #[serde(serialize_with = "values")]
    pub names: BTreeMap<(String, Option<String>, String), Name>,
}

/// A rate is `passed / (passed + failed)`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Of the failed, those within ten times the tolerance.
    pub close: usize,
    /// Of the failed, those whose inputs are not finite: WGSL may assume finite numbers.
    pub nonfinite: usize,
    /// Of the passed, error cases that were refused by their arguments' types, as Rust's types would.
    pub by_type: usize,
}

/// One operator, module, optimizer, ..
#[derive(Debug, Serialize, Deserialize)]
pub struct Name {
    pub kind: String,
    pub tier: Option<String>,
    pub name: String,
    #[serde(flatten)]
    pub counts: Counts,
    /// There is no such thing: everything about it failed.
    pub missing: bool,
    /// An operator's name in the engine's registry.
    #[serde(default)]
    pub call: Option<String>,
    /// Of the cases with a gradient, those that passed and all that were compared.
    #[serde(default)]
    pub gradients: (usize, usize),
    pub worst: Option<Worst>,
    /// Every case that failed.
    #[serde(skip)]
    pub failures: Vec<(String, String)>,
}

/// The case that failed by most tolerances; `null` where it is not a matter of a tolerance.
#[derive(Debug, Serialize, Deserialize)]
pub struct Worst {
    pub sample: String,
    pub error: Option<f64>,
    pub what: String,
}

fn values<S: serde::Serializer>(names: &BTreeMap<(String, Option<String>, String), Name>, s: S) -> Result<S::Ok, S::Error> {
    s.collect_seq(names.values())
}

impl Report {
    pub fn add(&mut self, total: &str, kind: &str, tier: Option<&str>, name: &str, sample: &str, tags: &[Json], outcome: Outcome) {
        let total = self.totals.entry(total.to_string()).or_default();
        let key = (kind.to_string(), tier.map(str::to_string), name.to_string());
        let entry = self.names.entry(key).or_insert_with(|| Name {
            kind: kind.to_string(),
            tier: tier.map(str::to_string),
            name: name.to_string(),
            counts: Counts::default(),
            missing: false,
            call: None,
            gradients: (0, 0),
            worst: None,
            failures: Vec::new(),
        });
        let (excess, what) = match outcome {
            Outcome::Passed | Outcome::PassedByType | Outcome::Skipped(_) => {
                for counts in [total, &mut entry.counts] {
                    counts.passed += !matches!(outcome, Outcome::Skipped(_)) as usize;
                    counts.skipped += matches!(outcome, Outcome::Skipped(_)) as usize;
                    counts.by_type += (outcome == Outcome::PassedByType) as usize;
                }
                return;
            }
            Outcome::Failed { what, excess } => (excess, what),
            Outcome::Refused { what, .. } => (f64::INFINITY, what),
            Outcome::Missing(what) => {
                entry.missing = true;
                (f64::INFINITY, format!("missing: {what}"))
            }
        };
        for counts in [total, &mut entry.counts] {
            counts.failed += 1;
            counts.close += (excess <= 10.0) as usize;
            counts.nonfinite += tags.iter().any(|t| t == "nonfinite") as usize;
        }
        entry.failures.push((sample.to_string(), what.clone()));
        let error = excess.is_finite().then_some(excess);
        if entry.worst.as_ref().is_none_or(|w| w.error.is_some_and(|e| excess > e)) {
            entry.worst = Some(Worst { sample: sample.to_string(), error, what });
        }
    }

    /// What else is known of a case that was added: the operator's name in the registry, and whether its gradient passed if it has one.
    pub fn note(&mut self, kind: &str, tier: Option<&str>, name: &str, call: String, gradient: Option<bool>) {
        if let Some(entry) = self.names.get_mut(&(kind.to_string(), tier.map(str::to_string), name.to_string())) {
            entry.call = Some(call);
            entry.gradients.0 += (gradient == Some(true)) as usize;
            entry.gradients.1 += gradient.is_some() as usize;
        }
    }

    /// Prints every case that failed, a line each.
    pub fn print_failures(&self) {
        for name in self.names.values() {
            for (sample, what) in &name.failures {
                println!("{} {sample}: {what}", name.name);
            }
        }
    }

    /// Writes the counts as JSON.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), String> {
        let written = serde_json::to_string_pretty(self).map_err(std::io::Error::from).and_then(|text| std::fs::write(path, text));
        written.map_err(|e| format!("{}: {e}", path.display()))
    }

    /// The totals, and the closing line.
    pub fn summary(&self) -> String {
        // Writing to a string cannot fail.
        let mut f = String::new();
        for (key, c) in &self.totals {
            let rate = 100.0 * c.passed as f64 / (c.passed + c.failed).max(1) as f64;
            let _ = write!(f, "{key:<16} {:>5} passed, {:>5} failed, {:>4} skipped  {rate:6.2} %", c.passed, c.failed, c.skipped);
            let notes =
                [(c.close, "failed within x10"), (c.nonfinite, "failed on inputs that are not finite"), (c.by_type, "refused by type")];
            let notes: Vec<String> = notes.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
            let _ = writeln!(f, "{}{}", if notes.is_empty() { "" } else { "  " }, notes.join(", "));
        }
        let Counts { passed, failed, skipped, .. } = self.all();
        let _ = write!(f, "{passed} passed, {failed} failed, {skipped} skipped");
        f
    }

    /// All cases together.
    pub fn all(&self) -> Counts {
        self.totals.values().fold(Counts::default(), |a, b| Counts {
            passed: a.passed + b.passed,
            failed: a.failed + b.failed,
            skipped: a.skipped + b.skipped,
            close: a.close + b.close,
            nonfinite: a.nonfinite + b.nonfinite,
            by_type: a.by_type + b.by_type,
        })
    }
}

/// A row per name with a failure, the totals, and the closing line.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failing: Vec<&Name> = self.names.values().filter(|n| n.counts.failed > 0).collect();
        if !failing.is_empty() {
            writeln!(f, "{:<6} {:<52} {:>6} {:>6} {:>6}  worst", "kind", "name", "passed", "failed", "x10")?;
        }
        for n in failing {
            let kind = n.tier.as_ref().map_or(n.kind.clone(), |t| format!("{}/{t}", n.kind));
            let Counts { passed, failed, close, .. } = n.counts;
            write!(f, "{kind:<6} {:<52} {passed:>6} {failed:>6} {close:>6}  ", n.name)?;
            let first_line = |what: &str| what.lines().next().unwrap_or_default().chars().take(200).collect::<String>();
            match &n.worst {
                _ if n.missing => writeln!(f, "missing")?,
                Some(Worst { sample, error: Some(e), what }) => writeln!(f, "{sample}: {} ({e:.3} tolerances)", first_line(what))?,
                Some(Worst { sample, what, .. }) => writeln!(f, "{sample}: {}", first_line(what))?,
                None => writeln!(f)?,
            }
        }
        write!(f, "\n{}", self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::default();
        let mut add = |total: &str, kind: &str, tier, outcome| report.add(total, kind, tier, "exp", "float32_1", &[], outcome);
        add("op/A", "op", Some("A"), Outcome::Passed);
        add("op/A", "op", Some("A"), Outcome::Failed { what: "2 instead of 1".into(), excess: 3.5 });
        add("op/A", "op", Some("A"), Outcome::Skipped("no f64 on a GPU".into()));
        add("errors/ops", "errors", None, Outcome::PassedByType);
        add("errors/ops", "errors", None, Outcome::Missing("exp".into()));
        report
    }

    /// Other programs read it, by these keys.
    #[test]
    fn the_json_has_its_keys() {
        let json = serde_json::to_value(report()).unwrap();
        for (total, counts) in [("op/A", [1, 1, 1]), ("errors/ops", [1, 1, 0])] {
            let found = ["passed", "failed", "skipped"].map(|k| json["totals"][total][k].as_u64());
            assert_eq!(found, counts.map(Some), "{total}");
        }
        let names = json["names"].as_array().unwrap();
        let (error, op) = (&names[0], &names[1]);
        for (key, value) in [("kind", "op"), ("tier", "A"), ("name", "exp")] {
            assert_eq!(op[key], value);
        }
        assert!(["passed", "failed", "skipped"].iter().all(|k| op[k] == 1) && op["missing"] == false);
        assert_eq!(op["worst"], serde_json::json!({ "sample": "float32_1", "error": 3.5, "what": "2 instead of 1" }));
        assert!(error["tier"].is_null() && error["missing"] == true && error["worst"]["error"].is_null());
    }

    #[test]
    fn what_is_missing_has_failed_and_what_types_forbid_is_told_apart() {
        let text = report().to_string();
        assert!(text.contains("exp") && text.contains("missing"), "{text}");
        assert!(text.contains("1 refused by type"), "{text}");
        assert!(text.ends_with("2 passed, 2 failed, 1 skipped"), "{text}");
    }
}
