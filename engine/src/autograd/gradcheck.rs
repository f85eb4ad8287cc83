//! Checks gradients against central differences, as `torch.autograd.gradcheck`.

use super::{grad, is_enabled, no_grad};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const OP: &str = "gradcheck";

/// How [`gradcheck`] compares: `|analytic - numeric| <= atol + rtol * |numeric|`.
///
/// The defaults are PyTorch's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GradCheck {
    /// How far an element is moved up and down.
    pub eps: f64,
    pub atol: f64,
    pub rtol: f64,
}

impl Default for GradCheck {
    fn default() -> GradCheck {
        GradCheck { eps: 1e-6, atol: 1e-5, rtol: 1e-3 }
    }
}

/// Compares the gradients of `f` at `inputs` with central differences, every output element against every input
/// element.
///
/// Inputs that require a gradient are checked; they must be `f64` (differences of single-precision values say little), and
/// so must the result. `f` is called many times, with copies of the inputs, and must compute the same each time.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// use taper::autograd::gradcheck;
/// let x = Tensor::new([0.3, -0.7], (DType::F64, &Device::cpu()))?;
/// x.requires_grad_(true)?;
/// gradcheck(|x| x[0].sin()?.mul(&x[0]), &[&x])?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// The first element whose gradient is off, with both values; inputs that cannot be checked; a function that gives other
/// values when it runs again; whatever `f` or its gradient reports.
pub fn gradcheck(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<()> {
    GradCheck::default().check(f, inputs)
}

/// Checks second derivatives: [`gradcheck`] of the gradient of `f`, in the inputs and in the incoming gradient.
///
/// # Errors
/// As [`gradcheck`].
pub fn gradgradcheck(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<()> {
    GradCheck::default().check_twice(f, inputs)
}

impl GradCheck {
    /// [`gradcheck`] with these tolerances.
    ///
    /// # Errors
    /// As [`gradcheck`].
    pub fn check(&self, f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<()> {
        self.compare(&|x| Ok(vec![f(x)?]), inputs)
    }

    /// [`gradgradcheck`] with these tolerances.
    ///
    /// # Errors
    /// As [`gradcheck`].
    pub fn check_twice(&self, f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<()> {
        let count = inputs.len();
        let checked: Vec<usize> = (0..count).filter(|&i| inputs[i].requires_grad()).collect();
        let copies = copies(inputs)?;
        let y = f(&copies)?;
        // Any gradient will do that is not the same everywhere.
        let values = (0..y.numel()).map(|i| 0.5 + (i as f64 * 0.7).sin()).collect::<Vec<f64>>();
        let dy = Tensor::from_vec(values, y.shape(), y.device())?;
        dy.requires_grad_(true)?;
        let all: Vec<&Tensor> = inputs.iter().copied().chain([&dy]).collect();
        let gradients = |x: &[Tensor]| {
            let (dy, x) = x.split_last().ok_or_else(|| Error::autograd(OP, "no inputs"))?;
            // Differences are taken without recording, but the gradient itself needs a graph.
            let recording = is_enabled();
            super::enable_grad(|| {
                let x = x.iter().enumerate().map(|(i, t)| tracked(t, checked.contains(&i))).collect::<Result<Vec<_>>>()?;
                let wanted: Vec<&Tensor> = checked.iter().map(|&i| &x[i]).collect();
                let found = grad(&[&f(&x)?], &wanted, &[Some(dy)], true, recording)?;
                found.into_iter().zip(&wanted).map(|(g, x)| g.map_or_else(|| x.zeros_like(), Ok)).collect()
            })
        };
        self.compare(&gradients, &all)
    }

    fn compare(&self, f: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>, inputs: &[&Tensor]) -> Result<()> {
        let checked: Vec<usize> = (0..inputs.len()).filter(|&i| inputs[i].requires_grad()).collect();
        if checked.is_empty() {
            return Err(Error::autograd(OP, format!("none of the {} inputs requires a gradient", inputs.len())));
        }
        let x = copies(inputs)?;
        let outputs = super::enable_grad(|| f(&x))?;
        let again = values(&super::enable_grad(|| f(&x))?)?;
        for (o, output) in outputs.iter().enumerate() {
            if output.dtype() != DType::F64 {
                return Err(Error::dtype(OP, format!("output {o} is {}, expected f64", output.dtype())));
            }
            let (first, second) = (output.to_vec::<f64>()?, &again[o]);
            // Another plan may round the last bits otherwise.
            if first.iter().zip(second).any(|(a, b)| (a - b).abs() > 1e-12 * (1.0 + a.abs())) {
                return Err(Error::autograd(OP, format!("output {o} has other values when it is computed again")));
            }
        }
        let analytic = self.analytic(&outputs, &x, &checked)?;
        for (c, &i) in checked.iter().enumerate() {
            for e in 0..x[i].numel() {
                let numeric = self.numeric(f, &x, i, e)?;
                for (o, column) in numeric.iter().enumerate() {
                    for (j, &n) in column.iter().enumerate() {
                        let a = analytic[c][o][j][e];
                        let close = (a - n).abs() <= self.atol + self.rtol * n.abs();
                        if !close && a != n {
                            let message = format!(
                                "the derivative of element {j} of output {o} {:?} by element {e} of input {i} {:?} is {a}, differences give {n}",
                                outputs[o].shape(),
                                x[i].shape()
                            );
                            return Err(Error::autograd(OP, message));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// `[input][output][output element][input element]`, from one backward pass an output element.
    fn analytic(&self, outputs: &[Tensor], x: &[Tensor], checked: &[usize]) -> Result<Vec<Vec<Vec<Vec<f64>>>>> {
        let wanted: Vec<&Tensor> = checked.iter().map(|&i| &x[i]).collect();
        let mut all = vec![Vec::new(); checked.len()];
        for y in outputs {
            let mut rows = vec![Vec::new(); checked.len()];
            for j in 0..y.numel() {
                let mut one = vec![0.0f64; y.numel()];
                one[j] = 1.0;
                let dy = Tensor::from_vec(one, y.shape(), y.device())?;
                let found = if y.requires_grad() { grad(&[y], &wanted, &[Some(&dy)], true, false)? } else { vec![None; wanted.len()] };
                for (c, g) in found.into_iter().enumerate() {
                    rows[c].push(match g {
                        None => vec![0.0; wanted[c].numel()],
                        Some(g) if g.shape() == wanted[c].shape() => g.to_vec::<f64>()?,
                        Some(g) => {
                            let message = format!(
                                "the gradient of input {} has shape {:?}, the input {:?}",
                                checked[c],
                                g.shape(),
                                wanted[c].shape()
                            );
                            return Err(Error::autograd(OP, message));
                        }
                    });
                }
            }
            all.iter_mut().zip(rows).for_each(|(all, rows)| all.push(rows));
        }
        Ok(all)
    }

    /// `[output][output element]`: how the outputs change with element `e` of input `i`.
    fn numeric(&self, f: &dyn Fn(&[Tensor]) -> Result<Vec<Tensor>>, x: &[Tensor], i: usize, e: usize) -> Result<Vec<Vec<f64>>> {
        let at = |step: f64| {
            let mut moved = x[i].to_vec::<f64>()?;
            moved[e] += step;
            let mut all = x.to_vec();
            all[i] = Tensor::from_vec(moved, x[i].shape(), x[i].device())?;
            no_grad(|| values(&f(&all)?))
        };
        let (low, high) = (at(-self.eps)?, at(self.eps)?);
        let slope = |(l, h): (Vec<f64>, Vec<f64>)| l.iter().zip(&h).map(|(l, h)| (h - l) / (2.0 * self.eps)).collect();
        Ok(low.into_iter().zip(high).map(slope).collect())
    }
}

fn values(outputs: &[Tensor]) -> Result<Vec<Vec<f64>>> {
    outputs.iter().map(|y| y.to_vec::<f64>()).collect()
}

/// Leaves with the values of `inputs`.
fn copies(inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    inputs
        .iter()
        .enumerate()
        .map(|(i, t)| {
            if t.requires_grad() && t.dtype() != DType::F64 {
                return Err(Error::dtype(OP, format!("input {i} is {}, expected f64", t.dtype())));
            }
            if !t.requires_grad() {
                return Ok((*t).clone());
            }
            let copy = Tensor::from_vec(t.to_vec::<f64>()?, t.shape(), t.device())?;
            copy.requires_grad_(true)?;
            Ok(copy)
        })
        .collect()
}

/// `t` itself when it is recorded already, a leaf of its value when it has to be.
fn tracked(t: &Tensor, wanted: bool) -> Result<Tensor> {
    if !wanted || t.requires_grad() {
        return Ok(t.clone());
    }
    let leaf = t.detach()?;
    leaf.requires_grad_(true)?;
    Ok(leaf)
}
