//! Every row of every table: its values in `f32` on each device against `f64`, and its derivatives against
//! differences.

use super::*;
use crate::device::Device;
use crate::ops::{BINARY, COMPARE, NUMERIC, SPECIAL, UNARY};
use crate::testing::for_each_device;

fn float_rows() -> impl Iterator<Item = &'static Function> {
    let all = UNARY.iter().chain(BINARY).chain(COMPARE).chain(NUMERIC).copied();
    all.filter(|f| f.values.iter().any(|v| v.class == Classes::float))
}

/// The operands of a row: for each tensor these values, rotated further and further; numbers 0.5 and 2.
fn operands(f: &Function, values: &[f64], dtype: DType, device: &Device) -> Result<Vec<Operand>> {
    let tensor = |turn: usize| -> Result<Operand> {
        let mut values = values.to_vec();
        let by = turn * 5 % values.len();
        values.rotate_left(by);
        let n = values.len();
        // Through f32, so that both types see the same numbers.
        let t = Tensor::from_vec(values, [n], &Device::cpu())?.to_dtype(DType::F32)?;
        Ok(t.to_dtype(dtype)?.to(device)?.into())
    };
    let operand = |(i, name): (usize, &&str)| match *name {
        "p" => Ok(0.5f64.into()),
        "q" => Ok(2.0f64.into()),
        _ => tensor(i),
    };
    f.params.iter().enumerate().map(operand).collect()
}

fn run(f: &'static Function, values: &[f64], dtype: DType, device: &Device) -> Result<Vec<f64>> {
    let operands = operands(f, values, dtype, device)?;
    let out = Tensor::map(f, &operands.iter().collect::<Vec<_>>())?;
    let out = if out.dtype() == DType::Bool { out.to_dtype(DType::F32)? } else { out };
    match out.dtype() {
        DType::F64 => out.to_vec::<f64>(),
        _ => Ok(out.to_vec::<f32>()?.into_iter().map(f64::from).collect()),
    }
}

fn compare(f: &'static Function, values: &[f64], device: &Device, rtol: f64, atol: f64) -> Result<()> {
    let reference = run(f, values, DType::F64, &Device::cpu())?;
    let got = run(f, values, DType::F32, device)?;
    for (i, (&a, &e)) in got.iter().zip(&reference).enumerate() {
        let e = e as f32 as f64;
        let same = a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= atol + rtol * e.abs();
        assert!(same, "{} on {device}: element {i} ({}) is {a}, expected {e}", f.name, values[i]);
    }
    Ok(())
}

const USUAL: [f64; 21] =
    [-5.3, -3.1, -2.4, -1.7, -0.93, -0.61, -0.28, -0.07, -1e-3, -1e-6, 1e-6, 1e-3, 0.07, 0.31, 0.58, 0.89, 1.3, 2.7, 3.6, 7.9, 12.4];

#[test]
fn values_agree_with_f64() {
    for_each_device(|dev| {
        // A quotient that is a whole number but for its rounding falls on either side of it.
        for f in float_rows().filter(|f| !["trunc_divide", "floor_divide", "fmod", "remainder"].contains(&f.name)) {
            // Derivatives cancel near their zeros: what is left carries the rounding of what was subtracted.
            compare(f, &USUAL, dev, 3e-6, if f.name.ends_with("_backward") { 1e-6 } else { 3e-7 })?;
        }
        Ok(())
    });
}

/// Special functions where they are defined; of the degree of a polynomial and the order of a derivative small ones.
#[test]
fn special_values_agree_with_f64() {
    let second = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 2.5, 0.7, 7.0, 3.3, 1.9, 0.1, 8.0, 2.0, 5.0, 9.0, 12.0, 4.4, 0.3, 1.1];
    for_each_device(|dev| {
        for f in SPECIAL.iter().copied() {
            let run = |dtype: DType, device: &Device| -> Result<Vec<f64>> {
                let tensor = |values: &[f64]| {
                    Tensor::from_vec(values.to_vec(), [21], &Device::cpu())?.to_dtype(DType::F32)?.to_dtype(dtype)?.to(device)
                };
                let (x, n) = (Operand::from(tensor(&USUAL)?), Operand::from(tensor(&second)?));
                let right = Operand::from(tensor(&USUAL.map(f64::abs))?);
                let out = match f.params {
                    [_] => Tensor::map(f, &[&x])?,
                    [_, "p"] => Tensor::map(f, &[&n, &Operand::from(2.0f64)])?,
                    // Both of what belongs to the gamma function are positive.
                    _ if ["zeta", "igamma", "igammac", "igamma_slope"].contains(&f.name) => Tensor::map(f, &[&n, &right])?,
                    _ => Tensor::map(f, &[&x, &n])?,
                };
                out.cpu()?.to_dtype(DType::F64)?.to_vec::<f64>()
            };
            let (got, reference) = (run(DType::F32, dev)?, run(DType::F64, &Device::cpu())?);
            for (i, (&a, &e)) in got.iter().zip(&reference).enumerate() {
                let e = e as f32 as f64;
                let same = a == e || (a.is_nan() && e.is_nan()) || (a - e).abs() <= 2e-6 + 2e-5 * e.abs();
                assert!(same, "{} on {dev}: element {i} ({}, {}) is {a}, expected {e}", f.name, USUAL[i], second[i]);
            }
        }
        Ok(())
    });
}

/// What PyTorch does at the ends; `1e30` is left out where a GPU cannot reduce an angle of that size.
#[test]
fn infinities_zeros_and_nan_are_right() {
    let special = [-3.5, f64::NEG_INFINITY, 0.0, 1.0, -2.5, f64::INFINITY, 0.5, f64::NAN, -0.0, -1.0, 2.5, 3.5, 1e30, -1e30];
    for_each_device(|dev| {
        for f in float_rows() {
            let angle = ["sin", "cos", "tan"].contains(&f.name) && !dev.is_cpu();
            // The square of 1e30 is infinite in f32 alone, and no result that a derivative sees is that large.
            let huge = f.name.ends_with("_backward");
            let values = if angle || huge { &special[..12] } else { &special[..] };
            // WGSL lets a driver assume that no operand is NaN or infinite; where the functions keep them all the same is for the
            // conformance suite to count. Finite operands have to be right.
            let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            compare(f, if dev.is_cpu() { values } else { &finite }, dev, 3e-6, 3e-7)?;
        }
        Ok(())
    });
}

#[test]
fn derivatives_agree_with_differences() -> Result<()> {
    let cpu = Device::cpu();
    // Steps as short as the difference's own are no slopes: remainders by 1e-6.
    // A derivative's order is no 0.5, and what belongs to the gamma function is too steep at its poles.
    let not = ["fmod", "remainder", "floor_divide", "trunc_divide", "polygamma", "zeta", "igamma", "igammac"];
    for f in float_rows().chain(SPECIAL.iter().copied()).filter(|f| !not.contains(&f.name)) {
        for d in f.derivatives {
            let operands = operands(f, &USUAL, DType::F64, &cpu)?;
            let Operand::Tensor(x) = &operands[d.operand] else { panic!("{}: a derivative by a number", f.name) };
            x.requires_grad_(true)?;
            let value = |operands: &[Operand]| Tensor::map(f, &operands.iter().collect::<Vec<_>>());
            value(&operands)?.sum_all()?.backward()?;
            let grad = x.grad().map_or_else(|| Ok(vec![0.0; USUAL.len()]), |g| g.to_vec::<f64>())?;
            let step = 1e-6;
            let moved = |by: f64| -> Result<Vec<f64>> {
                let mut operands = operands.clone();
                operands[d.operand] = x.detach()?.add(by)?.into();
                value(&operands)?.to_vec()
            };
            let (low, high) = (moved(-step)?, moved(step)?);
            let (lower, higher) = (moved(-3.0 * step)?, moved(3.0 * step)?);
            let at = x.to_vec::<f64>()?;
            for (i, g) in grad.iter().enumerate() {
                let slope = (high[i] - low[i]) / (2.0 * step);
                // Over a jump the difference falls with the step; over a slope it stays.
                let wider = (higher[i] - lower[i]) / (6.0 * step);
                if slope.is_finite() && (slope - wider).abs() <= 1e-2 * slope.abs().max(1.0) {
                    assert!(
                        (g - slope).abs() <= 1e-5 * slope.abs().max(1.0),
                        "{} by operand {} at {}: {g}, difference {slope}",
                        f.name,
                        d.operand,
                        at[i]
                    );
                }
            }
        }
    }
    Ok(())
}

/// A number may take the place of any operand but one, and its derivative is the same.
#[test]
fn numbers_take_the_place_of_tensors() -> Result<()> {
    let cpu = Device::cpu();
    for f in BINARY.iter().copied().filter(|f| f.values.iter().any(|v| v.class == Classes::float)) {
        for number in [0, 1] {
            let full = Tensor::full([USUAL.len()], 1.7, (DType::F64, &cpu))?;
            let grads = |with: Operand| -> Result<(Vec<f64>, Option<Vec<f64>>)> {
                let x = Tensor::from_vec(USUAL.to_vec(), [USUAL.len()], &cpu)?;
                x.requires_grad_(true)?;
                let pair = if number == 0 { [with, (&x).into()] } else { [(&x).into(), with] };
                let y = Tensor::map(f, &[&pair[0], &pair[1]])?;
                y.sum_all()?.backward()?;
                Ok((y.to_vec()?, x.grad().map(|g| g.to_vec()).transpose()?))
            };
            let ((a, da), (b, db)) = (grads(1.7f64.into())?, grads(full.into())?);
            let near = |a: &[f64], b: &[f64]| {
                a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * b.abs())
            };
            assert!(near(&a, &b), "{}: {a:?} for {b:?}", f.name);
            assert!(near(&da.unwrap_or_default(), &db.unwrap_or_default()), "{}: another gradient with a number", f.name);
        }
    }
    Ok(())
}

#[test]
fn what_is_saved_is_what_is_needed() -> Result<()> {
    let op = |f, numbers: [Option<Scalar>; 2]| Elementwise { f, dtype: DType::F32, numbers: SmallVec::from_slice(&numbers) };
    let two = Some(Scalar::Float(2.0));
    assert_eq!(op(&super::super::MUL, [None, two]).saves(), Saves::NOTHING);
    assert_eq!(op(&super::super::MUL, [None, None]).saves(), Saves { inputs: 3, output: false });
    assert_eq!(op(&super::super::ADD, [None, None]).saves(), Saves::NOTHING);
    assert_eq!(op(&super::super::DIV, [two, None]).saves(), Saves { inputs: 1, output: false });
    let exp = Elementwise { f: &super::super::EXP, dtype: DType::F32, numbers: smallvec![None] };
    assert_eq!(exp.saves(), Saves::OUTPUT);
    Ok(())
}

#[test]
fn words_are_replaced_and_nothing_else() {
    assert_eq!(substitute("max(x, V(0.0)) + p*x", &["x", "p"], &["r1", "s0"]), "max(r1, V(0.0)) + s0*r1");
    assert_eq!(substitute("exp(-x)", &["x"], &["v_7"]), "exp(-v_7)");
}
