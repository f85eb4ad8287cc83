//! ONNX's own test cases, run through the importer.
//!
//! A suite is a folder with an `index.json` that says of each case what it is, and a folder `KIND/NAME` for each: a model, and
//! data sets of stored inputs and outputs.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde::Deserialize;
use taper::{Device, Error};
use taper_onnx::{Array, Model, Port, Value};

use crate::conformance::compare::{self, Check, Tolerance};
use crate::conformance::make::download;
use crate::conformance::outcome::{Outcome, Step, guarded};
use crate::conformance::report::Report;
use crate::conformance::suite::find_with;

#[derive(Debug, Deserialize)]
struct Index {
    tests: Vec<Case>,
}

/// What the index says of a case.
#[derive(Debug, Deserialize)]
struct Case {
    name: String,
    kind: String,
    op_types: Vec<String>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    rtol: f64,
    atol: f64,
    flags: Vec<String>,
}

impl Case {
    /// The key of its total: the first that applies.
    fn total(&self) -> &'static str {
        if self.name.contains("_expanded") {
            "expanded"
        } else if !self.flags.is_empty() {
            "flagged"
        } else if self.kind != "node" {
            "model"
        } else {
            "plain"
        }
    }

    /// The operator it is about: the only one, or that of the case whose function bodies this one has in its place.
    fn operator(&self, all: &[Case]) -> String {
        let plain = self.name.split("_expanded").next().unwrap_or_default();
        let about = if plain == self.name { Some(self) } else { all.iter().find(|c| c.name == plain) };
        match about.map(|c| &c.op_types[..]) {
            Some([one]) => one.clone(),
            _ => plain.to_string(),
        }
    }
}

/// Runs the cases of a suite whose names match.
///
/// # Errors
/// The suite cannot be read. What goes wrong inside one case is that case's failure.
pub fn run(suite: &Path, device: &Device, only: Option<&Regex>) -> Result<Report, String> {
    let root = find_with(suite, "index.json", "onnx-")?;
    let file = root.join("index.json");
    let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    let index: Index = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    let mut report = Report::default();
    for case in index.tests.iter().filter(|c| only.is_none_or(|r| r.is_match(&c.name))) {
        let folder = root.join(&case.kind).join(&case.name);
        let outcome = match guarded(|| self::case(case, &folder, device)) {
            // Inside the model, where the index does not show it.
            Outcome::Failed { what, .. } if what.contains("f64 does not exist on a GPU") => Outcome::Skipped(what),
            other => other,
        };
        report.add(case.total(), &case.kind, None, &case.operator(&index.tests), &case.name, &[], outcome);
    }
    Ok(report)
}

fn case(case: &Case, folder: &Path, device: &Device) -> Step<()> {
    if !device.is_cpu() && case.inputs.iter().chain(&case.outputs).any(|t| t == "tensor:double") {
        return Err(Outcome::Skipped("a GPU has no f64".into()));
    }
    let model =
        match Model::from_bytes(&read(&folder.join("model.onnx"))?, &|path, offset, length| part(&folder.join(path), offset, length)) {
            Err(Error::Unsupported { message, .. }) => return Err(Outcome::Missing(message)),
            other => other?,
        };
    let check = if model.is_random() { Check::Shape } else { Check::Values };
    let tolerance = Tolerance { rtol: case.rtol, atol: case.atol };
    let mut sets = 0;
    while let Some(set) = Some(folder.join(format!("test_data_set_{sets}"))).filter(|s| s.is_dir()) {
        sets += 1;
        let given = stored(&set, "input", model.inputs())?;
        let inputs = model.inputs().zip(given).map(|(p, v)| Ok((p.name.as_str(), on(v, device)?))).collect::<taper::Result<Vec<_>>>()?;
        let outputs = model.run(&inputs, device)?;
        let expected = stored(&set, "output", model.outputs())?;
        if expected.len() > outputs.len() {
            return Err(Outcome::failed(format!("{} outputs, expected {}", outputs.len(), expected.len())));
        }
        for ((name, got), expected) in outputs.iter().zip(&expected) {
            compare(got, expected, device, tolerance, check, name)?;
        }
    }
    if sets == 0 { Err(Outcome::failed("no data")) } else { Ok(()) }
}

fn read(path: &Path) -> Step<Vec<u8>> {
    fs::read(path).map_err(|e| Outcome::failed(format!("{}: {e}", path.display())))
}

/// A part of a file of external data.
fn part(path: &Path, offset: u64, length: Option<u64>) -> taper::Result<Vec<u8>> {
    let told = |e: std::io::Error| Error::Io { path: path.display().to_string(), message: e.to_string() };
    let mut file = fs::File::open(path).map_err(told)?;
    file.seek(SeekFrom::Start(offset)).map_err(told)?;
    let mut bytes = Vec::new();
    file.take(length.unwrap_or(u64::MAX)).read_to_end(&mut bytes).map_err(told)?;
    Ok(bytes)
}

/// The values of a data set, as far as there are files.
fn stored<'a>(set: &Path, role: &str, ports: impl Iterator<Item = &'a Port>) -> Step<Vec<Value>> {
    let files = ports.enumerate().map(|(i, p)| (set.join(format!("{role}_{i}.pb")), p));
    let present: Vec<(PathBuf, &Port)> = files.take_while(|(path, _)| path.is_file()).collect();
    present.iter().map(|(path, port)| Ok(Value::from_bytes(&read(path)?, port.stored)?)).collect()
}

/// A value whose tensors are on the device, as a program would give them.
fn on(value: Value, device: &Device) -> taper::Result<Value> {
    Ok(match value {
        Value::Tensor(array) => Array::new(array.elem(), array.tensor(device)?)?.into(),
        Value::Sequence(values) => Value::Sequence(values.into_iter().map(|v| on(v, device)).collect::<taper::Result<_>>()?),
        Value::None => Value::None,
    })
}

fn compare(got: &Value, expected: &Value, device: &Device, tolerance: Tolerance, check: Check, at: &str) -> Step<()> {
    match (got, expected) {
        (Value::Tensor(got), Value::Tensor(expected)) => {
            if got.elem() != expected.elem() {
                return Err(Outcome::failed(format!("{at}: {}, expected {}", got.elem(), expected.elem())));
            }
            compare::tensor(&got.tensor(device)?, &download(&expected.tensor(&Device::cpu())?)?, tolerance, check, at)
        }
        (Value::Sequence(got), Value::Sequence(expected)) if got.len() == expected.len() => {
            let mut pairs = got.iter().zip(expected).enumerate();
            pairs.try_for_each(|(i, (g, e))| compare(g, e, device, tolerance, check, &format!("{at}[{i}]")))
        }
        (Value::Sequence(got), Value::Sequence(expected)) => {
            Err(Outcome::failed(format!("{at}: a sequence of {}, expected {}", got.len(), expected.len())))
        }
        (Value::None, Value::None) => Ok(()),
        _ => Err(Outcome::failed(format!("{at}: {got:?}, expected {expected:?}"))),
    }
}

/// Runs a changed model of a case on the case's inputs, and reads what it yields.
///
/// # Errors
/// What the model, or the run, says.
pub fn run_changed(model: &[u8], folder: &Path) -> taper::Result<()> {
    let cpu = Device::cpu();
    let refused = |e: Outcome| Error::argument("case", format!("{e:?}"));
    let model = Model::from_bytes(model, &|path, _, _| Err(Error::argument("case", format!("no file '{path}'"))))?;
    let given = stored(&folder.join("test_data_set_0"), "input", model.inputs()).map_err(refused)?;
    let inputs: Vec<(&str, Value)> = model.inputs().map(|p| p.name.as_str()).zip(given).collect();
    for (_, value) in model.run(&inputs, &cpu)? {
        if let Value::Tensor(array) = value {
            download(&array.tensor(&cpu)?)?;
        }
    }
    Ok(())
}
