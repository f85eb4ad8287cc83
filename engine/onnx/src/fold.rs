//! Computing with what the host knows: the operators that exporters make shapes of.

use taper::{DType, Result};

use crate::call::Call;
use crate::element::Elem;
use crate::host::{Data, Host, INTS, broadcast};
use crate::ops::Operator;

/// The result of an operator all of whose inputs the host knows; `None` where it is left to the device.
pub(crate) fn fold(call: &Call<'_>, op: &Operator) -> Result<Option<Host>> {
    if !op.domain.is_empty() || call.inputs.is_empty() || call.node.outputs.len() != 1 {
        return Ok(None);
    }
    let mut inputs = Vec::with_capacity(call.inputs.len());
    for input in call.inputs {
        match input {
            None => inputs.push(None),
            Some(value) => {
                let host = crate::run::known(value).filter(|h| h.dtype != DType::U64);
                let plain = value.array().is_ok_and(|a| matches!(a.elem(), Elem::Plain(_)));
                let Some(host) = host.filter(|_| plain) else { return Ok(None) };
                inputs.push(Some(host));
            }
        }
    }
    let folded = Folding { call, inputs: &inputs }.apply(op.name)?;
    Ok(folded.filter(|h| Host::is_small(h.dtype, h.len())))
}

struct Folding<'a> {
    call: &'a Call<'a>,
    inputs: &'a [Option<&'a Host>],
}

impl Folding<'_> {
    fn input(&self, i: usize) -> Option<&Host> {
        self.inputs.get(i).copied().flatten()
    }

    /// Integers of an input that says how.
    fn list(&self, i: usize) -> Option<Vec<i64>> {
        self.input(i)?.to_ints().ok()
    }

    fn apply(&self, name: &str) -> Result<Option<Host>> {
        let Some(x) = self.input(0) else { return Ok(None) };
        let rank = x.shape.len();
        let axes = || -> Result<Option<Vec<usize>>> {
            let axes = if self.inputs.len() > 1 { self.list(1) } else { self.call.list("axes")?.map(<[i64]>::to_vec) };
            axes.map(|a| self.call.dims(&a, rank)).transpose()
        };
        Ok(match name {
            "Identity" => Some(x.clone()),
            "Add" => self.binary(|a, b| Some(a.wrapping_add(b)), |a, b| a + b),
            "Sub" => self.binary(|a, b| Some(a.wrapping_sub(b)), |a, b| a - b),
            "Mul" => self.binary(|a, b| Some(a.wrapping_mul(b)), |a, b| a * b),
            "Div" => self.binary(i64::checked_div, |a, b| a / b),
            "Min" if self.inputs.len() == 2 => self.binary(|a, b| Some(a.min(b)), f64::min),
            "Max" if self.inputs.len() == 2 => self.binary(|a, b| Some(a.max(b)), f64::max),
            "Mod" if self.call.int("fmod", 0)? == 0 && !x.dtype.is_float() => {
                self.binary(|a, b| a.checked_rem(b).map(|r| if r != 0 && (r < 0) != (b < 0) { r + b } else { r }), f64::rem_euclid)
            }
            "Equal" => self.compare(|a, b| a == b, |a, b| a == b),
            "Less" => self.compare(|a, b| a < b, |a, b| a < b),
            "LessOrEqual" => self.compare(|a, b| a <= b, |a, b| a <= b),
            "Greater" => self.compare(|a, b| a > b, |a, b| a > b),
            "GreaterOrEqual" => self.compare(|a, b| a >= b, |a, b| a >= b),
            "And" => self.compare(|a, b| a & b != 0, |_, _| false),
            "Or" => self.compare(|a, b| a | b != 0, |_, _| false),
            "Xor" => self.compare(|a, b| a != b, |_, _| false),
            "Not" => self.unary(|a| (a == 0) as i64, |a| a),
            "Neg" => self.unary(i64::wrapping_neg, |a| -a),
            "Abs" => self.unary(i64::wrapping_abs, f64::abs),
            "Floor" => self.unary(|a| a, f64::floor),
            "Ceil" => self.unary(|a| a, f64::ceil),
            "Sqrt" if x.dtype.is_float() => self.unary(|a| a, f64::sqrt),
            "Reciprocal" if x.dtype.is_float() => self.unary(|a| a, |a| 1.0 / a),
            "Where" => self.choose(),
            "Cast" => match self.call.elem("to")? {
                Some(Elem::Plain(to)) if to != DType::U64 => Some(Host::of(to, x.shape.clone(), x.data.clone())),
                _ => None,
            },
            "CastLike" => self.input(1).map(|like| Host::of(like.dtype, x.shape.clone(), x.data.clone())),
            "Size" => Some(Host::int(x.len() as i64)),
            "Shape" if self.call.node.attributes.is_empty() => Some(crate::run::sizes(&x.shape)),
            "Unsqueeze" => self.unsqueeze()?,
            "Squeeze" => match axes()? {
                Some(axes) if axes.iter().all(|&d| x.shape[d] == 1) => {
                    x.reshaped(x.shape.iter().enumerate().filter(|(d, _)| !axes.contains(d)).map(|(_, &n)| n).collect())
                }
                Some(_) => None,
                None => x.reshaped(x.shape.iter().copied().filter(|&n| n != 1).collect()),
            },
            "Reshape" => match self.list(1) {
                Some(to) => x.reshaped(crate::ops::shape::reshaped(self.call, &x.shape, &to)?),
                None => None,
            },
            "Expand" => self.list(1).and_then(|to| {
                let to: Vec<usize> = to.iter().map(|&d| usize::try_from(d).ok()).collect::<Option<_>>()?;
                x.broadcast(&broadcast(&x.shape, &to)?)
            }),
            "Concat" => self.concat()?,
            "Gather" => self.gather()?,
            "Slice" if rank == 1 => self.slice()?,
            "Range" => self.range(),
            "ReduceProd" | "ReduceSum" | "ReduceMax" | "ReduceMin" if rank == 1 && self.inputs.len() == 1 => self.reduce(name)?,
            _ => None,
        })
    }

    fn unary(&self, ints: impl Fn(i64) -> i64, floats: impl Fn(f64) -> f64) -> Option<Host> {
        let x = self.input(0)?;
        let data = match &x.data {
            Data::Ints(v) => Data::Ints(v.iter().map(|&v| ints(v)).collect()),
            Data::Floats(v) => Data::Floats(v.iter().map(|&v| floats(v)).collect()),
        };
        Some(Host::of(x.dtype, x.shape.clone(), data))
    }

    /// Both operands in their common shape.
    fn pair(&self) -> Option<(Host, Host)> {
        let (a, b) = (self.input(0)?, self.input(1)?);
        if a.dtype != b.dtype || self.call.opset() < 7 {
            return None;
        }
        let shape = broadcast(&a.shape, &b.shape)?;
        Some((a.broadcast(&shape)?, b.broadcast(&shape)?))
    }

    fn binary(&self, ints: impl Fn(i64, i64) -> Option<i64>, floats: impl Fn(f64, f64) -> f64) -> Option<Host> {
        let (a, b) = self.pair()?;
        let data = match (&a.data, &b.data) {
            (Data::Ints(x), Data::Ints(y)) => Data::Ints(x.iter().zip(y).map(|(&x, &y)| ints(x, y)).collect::<Option<_>>()?),
            (Data::Floats(x), Data::Floats(y)) => Data::Floats(x.iter().zip(y).map(|(&x, &y)| floats(x, y)).collect()),
            _ => return None,
        };
        Some(Host::of(a.dtype, a.shape, data))
    }

    fn compare(&self, ints: impl Fn(i64, i64) -> bool, floats: impl Fn(f64, f64) -> bool) -> Option<Host> {
        let (a, b) = self.pair()?;
        let data = match (&a.data, &b.data) {
            (Data::Ints(x), Data::Ints(y)) => x.iter().zip(y).map(|(&x, &y)| ints(x, y) as i64).collect(),
            (Data::Floats(x), Data::Floats(y)) => x.iter().zip(y).map(|(&x, &y)| floats(x, y) as i64).collect(),
            _ => return None,
        };
        Some(Host::of(DType::Bool, a.shape, Data::Ints(data)))
    }

    fn choose(&self) -> Option<Host> {
        let (c, x, y) = (self.input(0)?, self.input(1)?, self.input(2)?);
        let shape = broadcast(&c.shape, &broadcast(&x.shape, &y.shape)?)?;
        let (c, x, y) = (c.broadcast(&shape)?, x.broadcast(&shape)?, y.broadcast(&shape)?);
        let c = c.to_ints().ok()?;
        let data = match (&x.data, &y.data) {
            (Data::Ints(x), Data::Ints(y)) => Data::Ints((0..c.len()).map(|i| if c[i] != 0 { x[i] } else { y[i] }).collect()),
            (Data::Floats(x), Data::Floats(y)) => Data::Floats((0..c.len()).map(|i| if c[i] != 0 { x[i] } else { y[i] }).collect()),
            _ => return None,
        };
        Some(Host { dtype: x.dtype, shape, data })
    }

    fn unsqueeze(&self) -> Result<Option<Host>> {
        let Some(x) = self.input(0) else { return Ok(None) };
        let axes = if self.inputs.len() > 1 { self.list(1) } else { self.call.list("axes")?.map(<[i64]>::to_vec) };
        let Some(axes) = axes else { return Ok(None) };
        Ok(x.reshaped(crate::ops::shape::unsqueezed(self.call, &x.shape, &axes)?))
    }

    fn concat(&self) -> Result<Option<Host>> {
        let parts: Option<Vec<&Host>> = self.inputs.iter().copied().collect();
        let Some(parts) = parts.filter(|p| p.iter().all(|h| h.shape.len() == 1 && h.dtype == p[0].dtype)) else { return Ok(None) };
        self.call.dim(self.call.int("axis", 0)?, 1)?;
        let n = parts.iter().map(|p| p.len()).sum();
        let data = if parts[0].dtype.is_float() {
            Data::Floats(parts.iter().flat_map(|p| p.to_floats()).collect())
        } else {
            let mut ints = Vec::with_capacity(n);
            for p in &parts {
                ints.extend(p.to_ints()?);
            }
            Data::Ints(ints)
        };
        Ok(Some(Host { dtype: parts[0].dtype, shape: vec![n], data }))
    }

    fn gather(&self) -> Result<Option<Host>> {
        let (Some(x), Some(at)) = (self.input(0), self.input(1)) else { return Ok(None) };
        if x.shape.len() != 1 {
            return Ok(None);
        }
        let n = x.len() as i64;
        let places = at.to_ints()?.into_iter().map(|i| usize::try_from(if i < 0 { i + n } else { i }).unwrap_or(usize::MAX));
        match x.pick(at.shape.clone(), places) {
            Some(picked) => Ok(Some(picked)),
            None => Err(self.call.error(format!("an index of {:?} is out of range for {n} elements", at.to_ints()?))),
        }
    }

    fn slice(&self) -> Result<Option<Host>> {
        let Some(x) = self.input(0) else { return Ok(None) };
        let slices = crate::ops::shape::slices(self.call, &x.shape)?;
        let [(_, start, end, step)] = slices[..] else { return Ok(None) };
        let mut places = Vec::new();
        let mut i = start;
        while (step > 0 && i < end) || (step < 0 && i > end) {
            places.push(i as usize);
            i += step;
        }
        Ok(x.pick(vec![places.len()], places.into_iter()))
    }

    fn range(&self) -> Option<Host> {
        let ints = |i: usize| self.list(i).filter(|v| v.len() == 1).map(|v| v[0]);
        let (start, limit, delta) = (ints(0)?, ints(1)?, ints(2)?);
        if delta == 0 {
            return None;
        }
        let n = ((i128::from(limit) - i128::from(start)) as f64 / delta as f64).ceil().max(0.0);
        if n > INTS as f64 {
            return None;
        }
        let data: Vec<i64> = (0..n as i64).map(|i| start.wrapping_add(i.wrapping_mul(delta))).collect();
        Some(Host { dtype: self.input(0)?.dtype, shape: vec![data.len()], data: Data::Ints(data) })
    }

    fn reduce(&self, name: &str) -> Result<Option<Host>> {
        let Some(x) = self.input(0) else { return Ok(None) };
        let Data::Ints(v) = &x.data else { return Ok(None) };
        if v.is_empty() && name != "ReduceProd" || self.call.flag("noop_with_empty_axes", false)? {
            return Ok(None);
        }
        let value = match name {
            "ReduceProd" => v.iter().fold(1i64, |a, &b| a.wrapping_mul(b)),
            "ReduceSum" => v.iter().fold(0i64, |a, &b| a.wrapping_add(b)),
            "ReduceMax" => v.iter().copied().max().unwrap_or(0),
            _ => v.iter().copied().min().unwrap_or(0),
        };
        let shape = if self.call.flag("keepdims", true)? { vec![1] } else { Vec::new() };
        Ok(Some(Host::of(x.dtype, shape, Data::Ints(vec![value]))))
    }
}
