//! Two runs of one model, layer by layer: where they part, and by how much.

use taper::nn::StateDict;
use taper::{DType, Result, Tensor};

/// How two tensors of one name compare.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// The largest differences: of two values, and of two values beside the expected one.
    Compared {
        max_abs: f64,
        max_rel: f64,
        within: bool,
    },
    /// The shapes differ: expected, got.
    Shapes(Vec<usize>, Vec<usize>),
    /// Only one of the runs has it.
    Missing,
    Unexpected,
}

/// A row of a [`Report`].
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub name: String,
    pub shape: Vec<usize>,
    pub outcome: Outcome,
}

impl Row {
    /// Equal within the tolerances.
    pub fn is_within(&self) -> bool {
        matches!(self.outcome, Outcome::Compared { within: true, .. })
    }
}

/// What [`compare`] found. It is shown as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub rows: Vec<Row>,
}

/// Compares the outputs of layers (or weights) by name: what another library made of an input, and what Taper made of the
/// same. Values are equal if they differ by at most `atol + rtol * |expected|`; NaN equals NaN.
///
/// # Errors
/// A tensor whose computation failed.
///
/// ```
/// # use taper::prelude::*; use taper_files::parity; fn main() -> taper::Result<()> {
/// # let device = Device::cpu();
/// let theirs = [("layer1".to_string(), Tensor::new([1.0, 2.0], &device)?)].into(); // from an .npz file, say
/// let ours = [("layer1".to_string(), Tensor::new([1.0, 2.5], &device)?)].into();
/// let report = parity::compare(&theirs, &ours, 1e-5, 1e-6)?;
/// assert!(!report.is_within());
/// println!("{report}");
/// # Ok(()) }
/// ```
pub fn compare(expected: &StateDict, got: &StateDict, rtol: f64, atol: f64) -> Result<Report> {
    let mut rows = Vec::new();
    for (name, want) in expected {
        let outcome = match got.get(name) {
            None => Outcome::Missing,
            Some(got) if got.shape() != want.shape() => Outcome::Shapes(want.shape().to_vec(), got.shape().to_vec()),
            Some(got) => compared(&values(want)?, &values(got)?, rtol, atol),
        };
        rows.push(Row { name: name.clone(), shape: want.shape().to_vec(), outcome });
    }
    let extra = got.iter().filter(|(name, _)| !expected.contains_key(*name));
    rows.extend(extra.map(|(name, t)| Row { name: name.clone(), shape: t.shape().to_vec(), outcome: Outcome::Unexpected }));
    Ok(Report { rows })
}

fn values(t: &Tensor) -> Result<Vec<f64>> {
    t.cpu()?.to_dtype(DType::F64)?.to_vec()
}

fn compared(want: &[f64], got: &[f64], rtol: f64, atol: f64) -> Outcome {
    let (mut max_abs, mut max_rel, mut within) = (0f64, 0f64, true);
    for (w, g) in want.iter().zip(got) {
        if w == g || w.is_nan() && g.is_nan() {
            continue;
        }
        let abs = (w - g).abs();
        // One of them is no number, or infinite.
        let abs = if abs.is_nan() { f64::INFINITY } else { abs };
        max_abs = max_abs.max(abs);
        max_rel = max_rel.max(if *w == 0.0 { f64::INFINITY } else { (abs / w.abs()).max(0.0) });
        within &= abs.is_finite() && abs <= atol + rtol * w.abs();
    }
    Outcome::Compared { max_abs, max_rel, within }
}

impl Report {
    /// Every layer is there and equal within the tolerances.
    pub fn is_within(&self) -> bool {
        self.rows.iter().all(Row::is_within)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cells = |row: &Row| -> [String; 5] {
            let shape = format!("{:?}", row.shape);
            let (abs, rel, note) = match &row.outcome {
                Outcome::Compared { max_abs, max_rel, within } => {
                    (format!("{max_abs:.2e}"), format!("{max_rel:.2e}"), if *within { "" } else { "differs" }.to_string())
                }
                Outcome::Shapes(_, got) => (String::new(), String::new(), format!("got {got:?}")),
                Outcome::Missing => (String::new(), String::new(), "missing".into()),
                Outcome::Unexpected => (String::new(), String::new(), "not expected".into()),
            };
            [row.name.escape_debug().to_string(), shape, abs, rel, note]
        };
        let head = ["layer", "shape", "max abs", "max rel", ""].map(str::to_string);
        let table: Vec<[String; 5]> = std::iter::once(head).chain(self.rows.iter().map(cells)).collect();
        let width = |c: usize| table.iter().map(|row| row[c].chars().count()).max().unwrap_or(0);
        let (name, shape) = (width(0), width(1));
        for [a, b, c, d, e] in &table {
            let line = format!("{a:name$}  {b:shape$}  {c:>8}  {d:>8}  {e}");
            writeln!(f, "{}", line.trim_end())?;
        }
        let bad = self.rows.iter().filter(|r| !r.is_within()).count();
        match self.rows.iter().find(|r| !r.is_within()) {
            None => write!(f, "all {} agree", self.rows.len()),
            Some(first) => write!(f, "{bad} of {} differ, first {}", self.rows.len(), first.name.escape_debug()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use taper::Device;

    fn one(name: &str, values: Vec<f32>) -> (String, Tensor) {
        let n = values.len();
        (name.to_string(), Tensor::from_vec(values, [n], &Device::cpu()).unwrap())
    }

    #[test]
    fn the_table_says_what_differs() {
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let want: StateDict =
            [one("a", vec![1.0, 2.0]), one("b", vec![4.0, nan, inf]), one("c", vec![1.0]), one("d", vec![0.0]), one("e", vec![1.0])].into();
        let got: StateDict =
            [one("a", vec![1.0, 2.5]), one("b", vec![4.0, nan, inf]), one("c", vec![1.0; 2]), one("e", vec![nan]), one("x", vec![1.0])]
                .into();
        let report = compare(&want, &got, 1e-3, 0.0).unwrap();
        let text = report.to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "layer  shape   max abs   max rel");
        assert_eq!(lines[1], "a      [2]     5.00e-1   2.50e-1  differs");
        assert_eq!(lines[2], "b      [3]      0.00e0    0.00e0");
        assert!(lines[3].ends_with("got [2]") && lines[4].ends_with("missing") && lines[6].ends_with("not expected"), "{text}");
        assert!(lines[5].contains("inf") && lines[5].ends_with("differs"), "{text}");
        assert_eq!(lines[7], "5 of 6 differ, first a");
        assert!(!report.is_within());
        assert!(compare(&want, &want, 0.0, 0.0).unwrap().is_within());
        assert!(compare(&want, &StateDict::from([one("a", vec![1.0, 2.5])]), 0.25, 0.0).unwrap().rows[0].is_within());
    }
}
