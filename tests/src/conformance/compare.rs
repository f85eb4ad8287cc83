//! Deciding whether a result is the recorded one.

use serde_json::Value as Json;
use taper::Tensor;
use taper::ops::registry::Value;

use super::make::{Maker, download, floats, ints};
use super::outcome::{Outcome, Step};
use super::suite::Stored;

/// How far a float may be from the recorded one: `atol + rtol * |expected|`.
#[derive(Debug, Clone, Copy)]
pub struct Tolerance {
    pub rtol: f64,
    pub atol: f64,
}

impl Tolerance {
    /// The tolerance beside a value.
    pub fn of(json: &Json) -> Tolerance {
        let number = |k: &str, default: f64| json.get(k).and_then(Json::as_f64).unwrap_or(default);
        Tolerance { rtol: number("rtol", 2e-5), atol: number("atol", 1e-5) }
    }

    /// By how many tolerances `got` is off: up to 1 passes.
    fn excess(&self, got: f64, expected: f64) -> f64 {
        if got == expected || got.is_nan() && expected.is_nan() {
            return 0.0;
        }
        let allowed = self.atol + self.rtol * expected.abs();
        let off = (got - expected).abs() / allowed;
        if off.is_nan() || !expected.is_finite() { f64::INFINITY } else { off }
    }
}

/// What about a result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    Values,
    /// Random or uninitialised: only shape and type.
    Shape,
}

/// Compares a result with a recorded value, leaf by leaf.
pub fn value(got: &Value, expected: &Json, maker: &Maker<'_>, tolerance: Tolerance, check: Check, at: &str) -> Step<()> {
    let wrong = |what: String| Err(Outcome::failed(format!("{at}: {what}")));
    let list = expected.as_array().or_else(|| expected.get("tuple").and_then(Json::as_array));
    if let Some(list) = list {
        let Value::List(items) = got else { return wrong(format!("expected {} results, got {got:?}", list.len())) };
        if items.len() != list.len() {
            return wrong(format!("expected {} results, got {}", list.len(), items.len()));
        }
        return items.iter().zip(list).enumerate().try_for_each(|(i, (g, e))| value(g, e, maker, tolerance, check, &format!("{at}[{i}]")));
    }
    if let Some(key) = expected.get("tensor").and_then(Json::as_str) {
        let complex = expected.get("complex").is_some();
        let t = match got {
            Value::Tensor(t) if !complex => t,
            Value::Complex(z) if complex => z.view_as_real(),
            _ => return wrong(format!("expected a {} tensor, got {got:?}", if complex { "complex" } else { "real" })),
        };
        return tensor(t, maker.stored(key)?, tolerance, check, at);
    }
    let number = |v: &Value| match v {
        Value::Bool(b) => Some(*b as u8 as f64),
        Value::Int(i) => Some(*i as f64),
        Value::Float(f) => Some(*f),
        _ => None,
    };
    let same_kind = matches!(
        (got, expected),
        (Value::Bool(_), Json::Bool(_)) | (Value::Int(_) | Value::Float(_), Json::Number(_) | Json::Object(_)) | (Value::None, Json::Null)
    );
    let expected_number = match expected {
        Json::Bool(b) => Some(*b as u8 as f64),
        Json::Object(o) => o.get("float").and_then(Json::as_str).map(|s| s.parse().unwrap_or(f64::NAN)),
        other => other.as_f64(),
    };
    match (number(got), expected_number) {
        (Some(g), Some(e)) if same_kind => within(tolerance.excess(g, e), || format!("{at}: expected {e}, got {g}")),
        (None, None) if same_kind => Ok(()),
        _ => wrong(format!("expected {expected}, got {got:?}")),
    }
}

/// Compares a tensor with a stored one.
pub fn tensor(got: &Tensor, expected: &Stored, tolerance: Tolerance, check: Check, at: &str) -> Step<()> {
    let got = download(got)?;
    if got.shape != expected.shape {
        return Err(Outcome::failed(format!("{at}: shape {:?}, expected {:?}", got.shape, expected.shape)));
    }
    if got.dtype != expected.dtype {
        let name = |s: &Stored| s.dtype.map_or("complex", |d| d.name());
        return Err(Outcome::failed(format!("{at}: dtype {}, expected {}", name(&got), name(expected))));
    }
    if check == Check::Shape {
        return Ok(());
    }
    stored(&got, expected, tolerance, at)
}

/// Compares elements; shapes and types are the same.
pub fn stored(got: &Stored, expected: &Stored, tolerance: Tolerance, at: &str) -> Step<()> {
    if expected.dtype.is_some_and(|d| d.is_float()) {
        let (g, e) = (floats(got), floats(expected));
        let worst = g.iter().zip(&e).enumerate().map(|(i, (&g, &e))| (tolerance.excess(g, e), i)).max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((excess, i)) = worst else { return Ok(()) };
        return within(excess, || format!("{at}{:?}: {} instead of {}", position(i, &expected.shape), g[i], e[i]));
    }
    let (g, e) = (ints(got), ints(expected));
    match g.iter().zip(&e).position(|(g, e)| g != e) {
        None => Ok(()),
        Some(i) => Err(Outcome::failed(format!("{at}{:?}: {} instead of {}", position(i, &expected.shape), g[i], e[i]))),
    }
}

fn within(excess: f64, what: impl FnOnce() -> String) -> Step<()> {
    if excess <= 1.0 { Ok(()) } else { Err(Outcome::Failed { what: what(), excess }) }
}

/// The index of a row-major position.
fn position(mut i: usize, shape: &[usize]) -> Vec<usize> {
    let mut out: Vec<usize> = shape.iter().rev().map(|&n| (i % n.max(1), i /= n.max(1)).0).collect();
    out.reverse();
    out
}

/// Where equal elements make indices ambiguous: replaces recorded indices by those that were found, wherever they
/// point at an equal element of `input` along `dim` (`None`: of the flattened input).
pub fn accept_ties(got: &Stored, expected: &Stored, input: &Stored, dim: Option<i64>) -> Stored {
    let (found, recorded, values) = (ints(got), ints(expected), floats(input));
    if found.len() != recorded.len() {
        return expected.clone();
    }
    let rank = input.shape.len();
    let dim = dim.map(|d| if d < 0 { d + rank as i64 } else { d } as usize).filter(|&d| d < rank);
    let element = |i: usize, index: i64| -> Option<f64> {
        let index = usize::try_from(index).ok()?;
        let Some(dim) = dim else { return values.get(index).copied() };
        let inner: usize = input.shape[dim + 1..].iter().product();
        let length = input.shape[dim];
        // The result has the input's dimensions, with some other length (or one, or none) along `dim`.
        let own = expected.shape.iter().product::<usize>() / (input.shape.iter().product::<usize>() / length.max(1)).max(1);
        let outer = i / (inner * own).max(1);
        values.get((outer * length + index) * inner + i % inner).copied().filter(|_| index < length)
    };
    let same = |a: Option<f64>, b: Option<f64>| a.zip(b).is_some_and(|(a, b)| a == b || a.is_nan() && b.is_nan());
    let accepted = found.iter().zip(&recorded).enumerate().map(|(i, (&f, &r))| if same(element(i, f), element(i, r)) { f } else { r });
    Stored { bytes: accepted.flat_map(i64::to_ne_bytes).collect(), ..expected.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Tolerance = Tolerance { rtol: 2e-5, atol: 1e-5 };

    #[test]
    fn infinities_and_nans_equal_only_themselves() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_eq!(STRICT.excess(inf, inf), 0.0);
        assert_eq!(STRICT.excess(nan, nan), 0.0);
        assert_eq!(STRICT.excess(-0.0, 0.0), 0.0);
        for (got, expected) in [(inf, -inf), (1.0, nan), (nan, 1.0), (1e30, inf), (inf, 1.0)] {
            assert_eq!(STRICT.excess(got, expected), inf, "{got} for {expected}");
        }
    }

    #[test]
    fn an_index_that_ties_is_accepted_and_another_is_not() {
        let of = |dtype, shape: &[usize], bytes| Stored { dtype: Some(dtype), shape: shape.to_vec(), bytes };
        let ints64 = |v: &[i64]| of(taper::DType::I64, &[v.len()], v.iter().flat_map(|i| i.to_ne_bytes()).collect());
        let input = of(taper::DType::F32, &[2, 3], [1f32, 5.0, 5.0, 7.0, 7.0, 0.0].iter().flat_map(|f| f.to_ne_bytes()).collect());
        let recorded = ints64(&[1, 0]);
        assert_eq!(ints(&accept_ties(&ints64(&[2, 1]), &recorded, &input, Some(1))), [2, 1]);
        assert_eq!(ints(&accept_ties(&ints64(&[0, 2]), &recorded, &input, Some(-1))), [1, 0]);
    }
}
