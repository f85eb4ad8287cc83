//! Kind "dtype": what types operators give.

use serde_json::Value as Json;
use taper::ops::registry::{self, Value};
use taper::{DType, Device, Tensor};

use super::make::allowed;
use super::outcome::{Outcome, Step, guarded};
use super::report::Report;
use super::suite::{File, dtype};

/// Runs every cell of the tables whose operator is `wanted`.
pub fn run(file: &File, device: &Device, wanted: &dyn Fn(&str) -> bool, report: &mut Report) -> Result<(), String> {
    let mut cell = |name: &str, id: String, expected: &Json, found: &dyn Fn() -> Step<DType>| {
        if wanted(name) {
            let outcome = guarded(|| compare(expected, found()));
            report.add("dtype", "dtype", None, name, &id, &[], outcome);
        }
    };
    let table = |k: &str| file.json.get(k).and_then(Json::as_object).into_iter().flatten();
    let columns =
        |v: &'_ Json| -> Vec<(String, Json)> { v.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect() };
    for (a, row) in table("promote_types") {
        for (b, r) in columns(row) {
            cell("promote_types", format!("{a} {b}"), &r, &|| {
                let (x, y) = (known(a, device)?, known(&b, device)?);
                x.promote(y).ok_or_else(|| Outcome::failed("no common type"))
            });
        }
    }
    for (op, rows) in table("binary") {
        for (a, row) in columns(rows) {
            for (form, r) in columns(&row) {
                let scalar = match form.as_str() {
                    "ts_bool" => Some(Value::Bool(true)),
                    "ts_int" => Some(Value::Int(1)),
                    "ts_float" => Some(Value::Float(1.0)),
                    _ => None,
                };
                if let Some(scalar) = scalar {
                    cell(op, format!("{a} {form}"), &r, &|| result(op, &[ones(&a, &[2], device)?, scalar.clone()], device));
                    continue;
                }
                let shape: &[usize] = if form == "t0" { &[] } else { &[2] };
                for (b, r) in columns(&r) {
                    cell(op, format!("{a} {form} {b}"), &r, &|| result(op, &[ones(&a, &[2], device)?, ones(&b, shape, device)?], device));
                }
            }
        }
    }
    for kind in ["unary", "reduction"] {
        for (op, row) in table(kind) {
            for (a, r) in columns(row) {
                cell(op, a.clone(), &r, &|| result(op, &[ones(&a, &[2], device)?], device));
            }
        }
    }
    Ok(())
}

fn compare(expected: &Json, found: Step<DType>) -> Step<()> {
    let expected = expected.as_str().unwrap_or_default();
    match found {
        Err(Outcome::Failed { what, excess }) => match expected.strip_prefix("error:") {
            Some(_) => Ok(()),
            None => Err(Outcome::Failed { what: format!("{what}, expected {expected}"), excess }),
        },
        Err(other) => Err(other),
        Ok(found) if Some(found) == dtype(expected) => Ok(()),
        Ok(found) => Err(Outcome::failed(format!("{found}, expected {expected}"))),
    }
}

fn known(name: &str, device: &Device) -> Step<DType> {
    allowed(dtype(name).ok_or_else(|| Outcome::failed(format!("there is no type {name}")))?, device)
}

fn ones(name: &str, shape: &[usize], device: &Device) -> Step<Value> {
    Ok(Tensor::ones(shape, (known(name, device)?, device))?.into())
}

fn result(op: &str, args: &[Value], device: &Device) -> Step<DType> {
    if registry::overloads(op).is_empty() {
        return Err(Outcome::Missing(op.into()));
    }
    let [x, rest @ ..] = args else { return Err(Outcome::failed("no arguments")) };
    let args = match (op, rest) {
        ("where", [y]) => vec![Tensor::ones([2], (DType::Bool, device))?.into(), x.clone(), y.clone()],
        // Tensors without dimensions do not concatenate: what was recorded is their type beside another's.
        ("cat", [Value::Tensor(y)]) if y.rank() == 0 => vec![Value::List(vec![x.clone(), y.reshape([1isize])?.into()])],
        ("cat", _) => vec![Value::List(args.to_vec())],
        ("cumsum" | "cumprod" | "logsumexp", _) => vec![x.clone(), Value::Int(0)],
        ("clamp", [y]) => vec![x.clone(), y.clone()],
        _ => args.to_vec(),
    };
    let result = registry::call(op, &args, &[], device)?;
    let result = match &result {
        Value::List(list) => list.first().unwrap_or(&Value::None),
        one => one,
    };
    let tensor = result.tensor()?;
    tensor.realize()?;
    Ok(tensor.dtype())
}
