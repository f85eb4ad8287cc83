//! PyTorch's recorded cases, run against the engine.
//!
//! [`suite`] reads the recorded files, the modules named after the kinds run them, [`compare`] decides, [`report`]
//! counts. Operators are found by name in [`taper::ops::registry`].

pub(crate) mod compare;
mod dtypes;
mod errors;
pub mod excerpt;
pub(crate) mod make;
mod modules;
mod ops;
mod optimizers;
pub(crate) mod outcome;
pub mod rates;
pub mod report;
mod schedulers;
pub mod suite;
pub mod table;
mod train;

use std::path::Path;

use regex::Regex;
use serde_json::Value as Json;
use taper::Device;

use outcome::{Outcome, guarded};
use report::Report;
use suite::{Entry, File, Suite};

/// The kinds of cases, as on the command line.
pub const KINDS: [&str; 7] = ["op", "module", "optimizer", "lr_scheduler", "dtype", "train", "errors"];
/// The tiers of operators.
pub const TIERS: [&str; 4] = ["A", "B", "C", "X"];

/// What of a suite to run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Kinds as on the command line (`op`, `module`, ..); empty: all.
    pub kinds: Vec<String>,
    /// Tiers of operators; empty: all.
    pub tiers: Vec<String>,
    /// Only names that match.
    pub only: Option<Regex>,
}

fn chosen(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|v| v == value)
}

impl Selection {
    /// Whether cases that count for a total (`op/A`, `module`, `errors/ops`, ..) are among it.
    pub fn counts_for(&self, total: &str) -> bool {
        let (kind, part) = total.split_once('/').unwrap_or((total, ""));
        chosen(&self.kinds, kind) && (kind != "op" || chosen(&self.tiers, part))
    }
}

/// Runs the selected part of a suite on one device.
///
/// # Errors
/// The suite cannot be read. What goes wrong inside one case is that case's failure.
pub fn run(suite: &Path, device: &Device, selection: &Selection) -> Result<Report, String> {
    let suite = Suite::open(suite)?;
    let mut report = Report::default();
    for entry in suite.entries() {
        let kind = Kind::of(&entry.kind).ok_or_else(|| format!("{}: unknown kind '{}'", entry.name, entry.kind))?;
        let tier = entry.tier.as_deref();
        if !chosen(&selection.kinds, kind.option()) || tier.is_some_and(|t| !chosen(&selection.tiers, t)) {
            continue;
        }
        kind.run(&suite, entry, device, selection.only.as_ref(), &mut report)?;
    }
    Ok(report)
}

/// What a file of the suite is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Op,
    Module,
    Optimizer,
    LrScheduler,
    DType,
    Train,
    OpErrors,
    ModuleErrors,
    OptimErrors,
}

impl Kind {
    fn of(manifest: &str) -> Option<Kind> {
        Some(match manifest {
            "op" => Kind::Op,
            "module" => Kind::Module,
            "optimizer" => Kind::Optimizer,
            "lr_scheduler" => Kind::LrScheduler,
            "dtype" => Kind::DType,
            "train" => Kind::Train,
            "op_errors" => Kind::OpErrors,
            "module_errors" => Kind::ModuleErrors,
            "optimizer_errors" => Kind::OptimErrors,
            _ => return None,
        })
    }

    /// The word for it on the command line.
    fn option(self) -> &'static str {
        match self {
            Kind::Op => "op",
            Kind::Module => "module",
            Kind::Optimizer => "optimizer",
            Kind::LrScheduler => "lr_scheduler",
            Kind::DType => "dtype",
            Kind::Train => "train",
            Kind::OpErrors | Kind::ModuleErrors | Kind::OptimErrors => "errors",
        }
    }

    /// The key of its totals.
    fn total(self, tier: Option<&str>) -> String {
        match self {
            Kind::Op => format!("op/{}", tier.unwrap_or("?")),
            Kind::OpErrors => "errors/ops".into(),
            Kind::ModuleErrors => "errors/modules".into(),
            Kind::OptimErrors => "errors/optim".into(),
            other => other.option().into(),
        }
    }

    fn run(self, suite: &Suite, entry: &Entry, device: &Device, only: Option<&Regex>, report: &mut Report) -> Result<(), String> {
        let Some(file) = &entry.file else { return Ok(()) };
        // Files of one name are skipped unread; files of many names choose among their cases.
        let of_many = self.of_many();
        let wanted = |name: &str| only.is_none_or(|r| r.is_match(name));
        if entry.samples == 0 || !of_many && !wanted(&entry.name) {
            return Ok(());
        }
        let file = suite.file(file)?;
        if self == Kind::DType {
            return dtypes::run(&file, device, &wanted, report);
        }
        let cases = ["samples", "cases"].into_iter().find_map(|k| file.json.get(k)?.as_array()).map(Vec::as_slice).unwrap_or_default();
        if cases.len() != entry.samples {
            return Err(format!("{}: {} cases, where the manifest says {}", entry.name, cases.len(), entry.samples));
        }
        for case in cases {
            let id = case.get("id").and_then(Json::as_str).unwrap_or("?");
            let name = self.case_name(entry, case);
            if of_many && !wanted(&name) {
                continue;
            }
            let outcome = self.outcome(&file, case, device);
            let tags = case.get("tags").and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
            let passed = matches!(outcome, Outcome::Passed);
            let compared = passed || matches!(outcome, Outcome::Failed { .. });
            report.add(&self.total(entry.tier.as_deref()), self.option(), entry.tier.as_deref(), &name, id, tags, outcome);
            if self == Kind::Op {
                let text = |k: &str| file.json.get(k).and_then(Json::as_str).unwrap_or_default();
                let gradient = (compared && case.get("grad").is_some()).then_some(passed);
                report.note(self.option(), entry.tier.as_deref(), &name, ops::registry_name(text("op"), text("call")), gradient);
            }
        }
        Ok(())
    }

    /// Whether a file of this kind holds cases of many names.
    fn of_many(self) -> bool {
        matches!(self, Kind::OpErrors | Kind::ModuleErrors | Kind::OptimErrors | Kind::DType | Kind::Train | Kind::LrScheduler)
    }

    /// What a case is about.
    fn case_name(self, entry: &Entry, case: &Json) -> String {
        let text = |k: &str| case.get(k).and_then(Json::as_str);
        let id = text("id").unwrap_or("?");
        match self {
            Kind::Train => id.into(),
            _ if self.of_many() => ["op", "module", "scheduler", "optimizer"].into_iter().find_map(text).unwrap_or(id).into(),
            _ => entry.name.clone(),
        }
    }

    /// Runs one case.
    fn outcome(self, file: &File, case: &Json, device: &Device) -> Outcome {
        guarded(|| -> Outcome {
            match self {
                Kind::Op => ops::sample(file, case, device).into(),
                Kind::Module => modules::sample(file, case, device).into(),
                Kind::Optimizer => optimizers::sample(file, case, device).into(),
                Kind::Train => train::sample(file, case, device).into(),
                Kind::OpErrors => errors::op(file, case, device),
                Kind::ModuleErrors => errors::module(file, case, device),
                Kind::OptimErrors => errors::optimizer(case, device),
                Kind::LrScheduler => schedulers::sample(case, device).into(),
                Kind::DType => Outcome::Missing("no cases".into()),
            }
        })
    }
}
