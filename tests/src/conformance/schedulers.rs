//! Kind "lr_scheduler": learning rates after each step.

use serde_json::Value as Json;
use taper::optim::lr_scheduler::{self, LambdaLR, MultiplicativeLR, ReduceLROnPlateau, Schedule, Scheduler};
use taper::optim::{BoxedOptimizer, Options};
use taper::{Device, Tensor};

use super::compare::Tolerance;
use super::optimizers::{build as optimizer, plain};
use super::outcome::{Outcome, Step};

/// A scheduler by name.
pub enum Any {
    Scheduler(Scheduler),
    Plateau(ReduceLROnPlateau),
}

impl Any {
    /// `case`: its `scheduler` (or `name`), `kwargs`, and what kinds of them need.
    pub fn new(name: &str, case: &Json, optimizer: &mut BoxedOptimizer) -> Step<Any> {
        let optimizer = optimizer.as_mut();
        let kwargs = &case["kwargs"];
        Ok(match name {
            "ReduceLROnPlateau" => Any::Plateau(ReduceLROnPlateau::from_options(optimizer, &options(kwargs))?),
            "SequentialLR" | "ChainedScheduler" => {
                let children = case["schedulers"].as_array().into_iter().flatten();
                let children =
                    children.map(|c| schedule(c["scheduler"].as_str().unwrap_or_default(), c)).collect::<Step<Vec<Box<dyn Schedule>>>>()?;
                let milestones = kwargs["milestones"].as_array().into_iter().flatten();
                let milestones = milestones.filter_map(|m| m.as_u64().map(|m| m as usize)).collect();
                Any::Scheduler(match name {
                    "SequentialLR" => Scheduler::sequential(optimizer, children, milestones)?,
                    _ => Scheduler::chained(optimizer, children)?,
                })
            }
            other => Any::Scheduler(Scheduler::chained(optimizer, vec![schedule(other, case)?])?),
        })
    }

    pub fn step(&mut self, metric: Option<f64>, optimizer: &mut BoxedOptimizer) -> taper::Result<()> {
        match self {
            Any::Scheduler(s) => s.step(optimizer.as_mut()),
            Any::Plateau(s) => s.step(metric.unwrap_or(f64::NAN), optimizer.as_mut()),
        }
    }
}

pub fn sample(case: &Json, device: &Device) -> Step<()> {
    let tolerance = Tolerance::of(case);
    let groups: Vec<(Vec<Tensor>, Json)> = case["base_lrs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|lr| {
            let p = Tensor::ones([2], device)?;
            p.requires_grad_(true)?;
            let mut options = serde_json::json!({ "lr": lr });
            if let Some(momentum) = case.get("momentum") {
                options["momentum"] = momentum.clone();
            }
            Ok((vec![p], options))
        })
        .collect::<Step<_>>()?;
    let mut optimizer = optimizer(case["optimizer"].as_str().unwrap_or_default(), groups.iter().map(|(p, o)| (p.clone(), o)))?;
    let mut scheduler = Any::new(case["scheduler"].as_str().unwrap_or_default(), case, &mut optimizer)?;
    for (i, expected) in case["trace"].as_array().into_iter().flatten().enumerate() {
        if i > 0 {
            let stepped = scheduler.step(case["metrics"][i - 1].as_f64(), &mut optimizer);
            match (stepped, expected.get("error").is_some()) {
                (Err(_), true) => continue,
                (Ok(()), true) => return Err(Outcome::failed(format!("step {i} was accepted"))),
                (stepped, false) => stepped?,
            }
        }
        for (key, option) in [("lr", "lr"), ("momentum", "momentum"), ("beta1", "betas")] {
            for (group, e) in expected[key].as_array().into_iter().flatten().enumerate() {
                let found = optimizer.options(group)?.remove(option).unwrap_or(Json::Null);
                let found = found.as_f64().or_else(|| found[0].as_f64()).unwrap_or(f64::NAN);
                let e = e.as_f64().unwrap_or(f64::NAN);
                let excess = (found - e).abs() / (tolerance.atol + tolerance.rtol * e.abs());
                if excess > 1.0 || excess.is_nan() {
                    let what = format!("{key} of group {group} after {i} steps is {found}, expected {e}");
                    return Err(Outcome::Failed { what, excess });
                }
            }
        }
    }
    Ok(())
}

fn schedule(name: &str, case: &Json) -> Step<Box<dyn Schedule>> {
    let lambda = || {
        let text = case["lr_lambda"].as_str().unwrap_or_default().to_string();
        formula(&text).ok_or_else(|| Outcome::failed(format!("cannot read the formula '{text}'")))
    };
    Ok(match name {
        "LambdaLR" => Box::new(LambdaLR::new(lambda()?)),
        "MultiplicativeLR" => Box::new(MultiplicativeLR::new(lambda()?)),
        other => lr_scheduler::build(other, &options(&case["kwargs"]))?,
    })
}

fn options(kwargs: &Json) -> Options {
    kwargs.as_object().into_iter().flatten().map(|(k, v)| (k.clone(), plain(v))).collect()
}

/// A formula in `t`: numbers, `t`, `+ - * / **` and brackets.
fn formula(text: &str) -> Option<impl Fn(f64) -> f64 + Send + Sync + use<>> {
    let tokens = tokens(text)?;
    let mut rest = tokens.as_slice();
    sum(&mut rest, 0.0)?;
    rest.is_empty().then_some(move |t: f64| sum(&mut tokens.as_slice(), t).unwrap_or(f64::NAN))
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Number(f64),
    T,
    Sign(&'static str),
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let (mut out, mut rest) = (Vec::new(), text.trim_start());
    while !rest.is_empty() {
        let sign = ["**", "*", "/", "+", "-", "(", ")"].into_iter().find(|s| rest.starts_with(s));
        let (token, len) = match sign {
            Some(s) => (Token::Sign(s), s.len()),
            None if rest.starts_with('t') => (Token::T, 1),
            None => {
                let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
                (Token::Number(rest[..len].parse().ok()?), len)
            }
        };
        out.push(token);
        rest = rest[len..].trim_start();
    }
    Some(out)
}

fn sum(rest: &mut &[Token], t: f64) -> Option<f64> {
    let mut value = product(rest, t)?;
    while let Some((Token::Sign(s @ ("+" | "-")), tail)) = rest.split_first() {
        *rest = tail;
        let next = product(rest, t)?;
        value = if *s == "+" { value + next } else { value - next };
    }
    Some(value)
}

fn product(rest: &mut &[Token], t: f64) -> Option<f64> {
    let mut value = power(rest, t)?;
    while let Some((Token::Sign(s @ ("*" | "/")), tail)) = rest.split_first() {
        *rest = tail;
        let next = power(rest, t)?;
        value = if *s == "*" { value * next } else { value / next };
    }
    Some(value)
}

fn power(rest: &mut &[Token], t: f64) -> Option<f64> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    let base = match first {
        Token::Number(n) => *n,
        Token::T => t,
        Token::Sign("-") => return power(rest, t).map(|v| -v),
        Token::Sign("(") => {
            let value = sum(rest, t)?;
            let (Token::Sign(")"), tail) = rest.split_first()? else { return None };
            *rest = tail;
            value
        }
        Token::Sign(_) => return None,
    };
    match rest.split_first() {
        Some((Token::Sign("**"), tail)) => {
            *rest = tail;
            Some(base.powf(power(rest, t)?))
        }
        _ => Some(base),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_follow_pythons_precedence() {
        let at = |text: &str, t: f64| formula(text).unwrap()(t);
        assert_eq!(at("0.5 ** t", 2.0), 0.25);
        assert_eq!(at("1 / (1 + 0.5 * t)", 2.0), 0.5);
        assert_eq!(at("-2 ** 2 + t", 1.0), -3.0);
        assert!(formula("t +").is_none() && formula("sin(t)").is_none());
    }
}
