//! The table, as text, Markdown and JSON.

use std::ops::Range;
use std::path::Path;

use serde_json::{Value, json};

use crate::limits::Limits;
use crate::timer::Samples;

pub struct Row {
    pub name: String,
    pub taper: Samples,
    /// Processor seconds of one repetition, all threads together: what a busy machine does not change.
    pub processor: Option<f64>,
    /// Seconds it takes at least; 0 where there is no floor.
    pub floor: f64,
    pub error: Option<f64>,
    pub peers: Vec<(String, Samples)>,
}

pub struct Report {
    pub device: String,
    pub adapter: String,
    pub limits: Limits,
    pub rows: Vec<Row>,
    pub notes: Vec<String>,
}

fn time(seconds: f64) -> String {
    match seconds {
        s if s.is_nan() => "-".into(),
        s if s < 1e-3 => format!("{:.2} us", s * 1e6),
        s if s < 1.0 => format!("{:.3} ms", s * 1e3),
        s => format!("{s:.3} s"),
    }
}

impl Row {
    fn fraction(&self) -> String {
        if self.floor > 0.0 { format!("{:.0} %", 100.0 * self.floor / self.taper.median()) } else { "-".into() }
    }

    fn cells(&self, peers: &[String]) -> Vec<String> {
        let t = &self.taper;
        let spread = format!("{} .. {}", time(t.quantile(0.1)), time(t.quantile(0.9)));
        let floor = if self.floor > 0.0 { time(self.floor) } else { "-".into() };
        let mut cells = vec![self.name.clone(), time(t.median()), spread, floor, self.fraction()];
        for name in peers {
            let median = self.peers.iter().find(|(n, _)| n == name).map_or(f64::NAN, |(_, s)| s.median());
            cells.push(time(median));
            cells.push(if median.is_nan() { "-".into() } else { format!("{:.2}", t.median() / median) });
        }
        cells
    }
}

impl Report {
    fn peers(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for (name, samples) in self.rows.iter().flat_map(|r| &r.peers) {
            if !samples.0.is_empty() && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// The geometric mean of Taper's time over a peer's, over the workloads that both have.
    fn mean(&self, peer: &str) -> Option<(f64, usize)> {
        let ratio = |r: &Row| r.peers.iter().find(|(n, s)| n == peer && !s.0.is_empty()).map(|(_, s)| (r.taper.median() / s.median()).ln());
        let logs: Vec<f64> = self.rows.iter().filter_map(ratio).collect();
        (!logs.is_empty()).then(|| ((logs.iter().sum::<f64>() / logs.len() as f64).exp(), logs.len()))
    }

    pub fn markdown(&self) -> String {
        let peers = self.peers();
        let mut head: Vec<String> = ["workload", "Taper", "p10 .. p90", "floor", "of floor"].map(str::to_owned).into();
        for name in &peers {
            head.extend([name.clone(), format!("Taper / {name}")]);
        }
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let mut out = format!(
            "`{}`: {}. Measured limits of this processor: {:.0} GFLOP/s in f32, {:.1} GB/s.\n\n",
            self.device,
            self.adapter,
            self.limits.flops / 1e9,
            self.limits.bandwidth / 1e9
        );
        out += &line(&head);
        out += &line(&head.iter().enumerate().map(|(i, _)| if i == 0 { "---".into() } else { "---:".into() }).collect::<Vec<String>>());
        self.rows.iter().for_each(|row| out += &line(&row.cells(&peers)));
        for name in &peers {
            if let Some((mean, count)) = self.mean(name) {
                out += &format!("\nGeometric mean of Taper / {name} over {count} workloads: **{mean:.2}**.\n");
            }
        }
        self.notes.iter().for_each(|note| out += &format!("\n{note}\n"));
        out
    }

    pub fn json(&self) -> Value {
        let row = |r: &Row| {
            let stats = |s: &Samples| json!({ "median": s.median(), "p10": s.quantile(0.1), "p90": s.quantile(0.9), "samples": s.0.len() });
            let peers: serde_json::Map<String, Value> = r.peers.iter().map(|(n, s)| (n.clone(), stats(s))).collect();
            json!({ "name": r.name, "taper": stats(&r.taper), "floor": r.floor, "processor": r.processor, "error": r.error, "peers": peers })
        };
        json!({
            "device": self.device, "adapter": self.adapter, "notes": self.notes,
            "flops": self.limits.flops, "bandwidth": self.limits.bandwidth,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }

    /// Replaces this device's table in a Markdown file: what stands between its two marks.
    pub fn write_into(&self, file: &Path) -> Result<(), String> {
        let failed = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let mut text = std::fs::read_to_string(file).map_err(|e| failed(&e))?;
        let place = place(&text, &self.device).map_err(|e| failed(&e))?;
        text.replace_range(place, &format!("\n{}\n", self.markdown()));
        std::fs::write(file, text).map_err(|e| failed(&e))
    }
}

/// Where a device's table stands in a Markdown text.
///
/// # Errors
/// Its two marks are not there.
pub fn place(text: &str, device: &str) -> Result<Range<usize>, String> {
    let (begin, end) = (format!("<!-- {device} -->\n"), format!("<!-- end of {device} -->"));
    let found = text.find(&begin).map(|at| at + begin.len()).and_then(|from| Some(from..from + text[from..].find(&end)?));
    found.ok_or_else(|| format!("the marks `{}` and `{end}` are not there", begin.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_stands_between_the_marks_of_its_device() {
        let text = "# T\n<!-- cpu -->\nold\n<!-- end of cpu -->\n<!-- gpu -->\n<!-- end of gpu -->\n";
        assert_eq!(&text[place(text, "cpu").unwrap()], "old\n");
        assert_eq!(&text[place(text, "gpu").unwrap()], "");
        assert!(place(text, "gpu:swiftshader").unwrap_err().contains("gpu:swiftshader"));
    }
}
