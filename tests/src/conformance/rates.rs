//! How much of an open set (PyTorch's, ONNX's) passes, as it was last recorded: a run may pass more, never less.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::Selection;
use super::report::{Counts, Report};

/// For each device (`cpu`, `gpu`) and each total of a report: cases that passed, and cases that count.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rates(BTreeMap<String, BTreeMap<String, (usize, usize)>>);

/// Where those of a harness (`conformance`, `onnx`) are kept.
pub fn file(harness: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(harness).join("rates.toml")
}

fn fraction(c: &Counts) -> (usize, usize) {
    (c.passed, c.passed + c.failed)
}

impl Rates {
    /// The recorded rates of a harness.
    ///
    /// # Errors
    /// The file is missing, or a line of it cannot be read.
    pub fn read(harness: &str) -> Result<Rates, String> {
        let path = file(harness);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        Rates::parse(&text).map_err(|line| format!("{}: cannot read '{line}'", path.display()))
    }

    /// Sections `[device]` of lines `"total" = [passed, counted]`: the part of TOML that is needed here.
    fn parse(text: &str) -> Result<Rates, &str> {
        let mut rates = Rates::default();
        let mut section = None;
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = Some(rates.0.entry(name.to_string()).or_default());
                continue;
            }
            let read = || {
                let (key, value) = line.split_once(" = ")?;
                let key = key.strip_prefix('"')?.strip_suffix('"')?;
                let (passed, counted) = value.strip_prefix('[')?.strip_suffix(']')?.split_once(", ")?;
                Some((key.to_string(), (passed.parse().ok()?, counted.parse().ok()?)))
            };
            let (key, value) = read().ok_or(line)?;
            section.as_mut().ok_or(line)?.insert(key, value);
        }
        Ok(rates)
    }

    /// What reports, one for each device, come to.
    pub fn of<'a>(reports: impl IntoIterator<Item = (&'a str, &'a BTreeMap<String, Counts>)>) -> Rates {
        let totals = |t: &BTreeMap<String, Counts>| t.iter().map(|(key, c)| (key.clone(), fraction(c))).collect();
        Rates(reports.into_iter().map(|(device, t)| (device.to_string(), totals(t))).collect())
    }

    /// The file of a harness.
    pub fn to_text(&self, harness: &str) -> String {
        let mut text = format!(
            "# Cases of the open set that pass, and cases that count (those a device cannot have by policy do not).\n\
             # Written by `cargo xtask {harness} --record`; `cargo xtask test` lets no rate fall.\n"
        );
        for (device, totals) in &self.0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\n[{device}]");
            for (key, (passed, counted)) in totals {
                let _ = writeln!(text, "\"{key}\" = [{passed}, {counted}]");
            }
        }
        text
    }

    /// Whether anything was recorded of the device.
    pub fn knows(&self, device: &str) -> bool {
        self.0.contains_key(device)
    }

    /// Every recorded total of which a run of `selection` passes a smaller share, or counts fewer cases, in words.
    pub fn fallen(&self, device: &str, report: &Report, selection: &Selection) -> Vec<String> {
        let worse = |(key, &(before, of)): (&String, &(usize, usize))| {
            let (passed, counted) = report.totals.get(key).map_or((0, 0), fraction);
            (passed * of < before * counted || counted < of)
                .then(|| format!("{key} on the {device}: {passed} of {counted} pass, recorded are {before} of {of}"))
        };
        self.0.get(device).into_iter().flatten().filter(|(key, _)| selection.counts_for(key)).filter_map(worse).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(passed: usize, failed: usize) -> Report {
        let mut report = Report::default();
        report.totals.insert("op/A".into(), Counts { passed, failed, ..Counts::default() });
        report
    }

    #[test]
    fn what_is_written_is_read() {
        let (cpu, gpu) = (report(7, 1), report(5, 0));
        let rates = Rates::of([("cpu", &cpu.totals), ("gpu", &gpu.totals)]);
        assert_eq!(Rates::parse(&rates.to_text("conformance")), Ok(rates));
        assert_eq!(Rates::parse("[cpu]\n\"op/A\" = 7"), Err("\"op/A\" = 7"));
    }

    #[test]
    fn a_rate_may_rise_and_not_fall() {
        let rates = Rates::of([("cpu", &report(7, 1).totals)]);
        let fallen = |device, report| rates.fallen(device, &report, &Selection::default()).len();
        assert_eq!(fallen("cpu", report(8, 1)), 0);
        assert_eq!(fallen("cpu", report(7, 2)), 1);
        assert_eq!(fallen("gpu", report(0, 2)), 0);
    }

    #[test]
    fn cases_that_ran_no_more_have_fallen_unless_they_were_not_wanted() {
        let rates = Rates::of([("cpu", &report(7, 1).totals)]);
        // As many pass of those that count, but some that counted are skipped now.
        assert_eq!(rates.fallen("cpu", &report(7, 0), &Selection::default()).len(), 1);
        assert_eq!(rates.fallen("cpu", &Report::default(), &Selection::default()).len(), 1);
        let others = Selection { tiers: vec!["B".into()], ..Selection::default() };
        assert!(rates.fallen("cpu", &Report::default(), &others).is_empty());
    }
}
