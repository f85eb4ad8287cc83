//! Derivatives of functions: `torch.autograd.functional` and `torch.func`.
//!
//! All are made of backward passes. A Jacobian costs one pass for each element of the result; products with vectors cost one
//! or two, whatever the sizes.

use super::{enable_grad, grad};
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Leaves with the values of `inputs`, so that a derivative is one of `f` alone.
fn leaves(inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    inputs
        .iter()
        .map(|t| {
            let leaf = Tensor::from_value(t.value()?, super::Edge::None);
            leaf.requires_grad_(true)?;
            Ok(leaf)
        })
        .collect()
}

fn or_zeros(grads: Vec<Option<Tensor>>, like: &[Tensor]) -> Result<Vec<Tensor>> {
    grads.into_iter().zip(like).map(|(g, x)| g.map_or_else(|| x.zeros_like(), Ok)).collect()
}

fn same(op: &'static str, what: &str, v: &[&Tensor], like: &[Tensor]) -> Result<()> {
    let got: Vec<&[usize]> = v.iter().map(|t| t.shape()).collect();
    let expected: Vec<&[usize]> = like.iter().map(Tensor::shape).collect();
    if got == expected { Ok(()) } else { Err(Error::argument(op, format!("{what} of shapes {got:?}, expected {expected:?}"))) }
}

/// The value of `f` and the product `vᵀ J` for each input: one backward pass.
///
/// # Errors
/// A `v` of another shape than the result; what `f` or its gradient reports.
pub fn vjp(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor], v: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
    enable_grad(|| {
        let x = leaves(inputs)?;
        let y = f(&x)?;
        same("vjp", "a vector", &[v], std::slice::from_ref(&y))?;
        if !y.requires_grad() {
            return Ok((y, or_zeros(vec![None; x.len()], &x)?));
        }
        let found = grad(&[&y], &x.iter().collect::<Vec<_>>(), &[Some(v)], false, false)?;
        Ok((y.detach()?, or_zeros(found, &x)?))
    })
}

/// The value of `f` and the product `J v`: how `f` changes along `v`. Two backward passes, the second through the first.
///
/// # Errors
/// Vectors of other shapes than the inputs; what `f` or its gradients report.
pub fn jvp(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor], v: &[&Tensor]) -> Result<(Tensor, Tensor)> {
    enable_grad(|| {
        let x = leaves(inputs)?;
        same("jvp", "vectors", v, &x)?;
        let y = f(&x)?;
        if !y.requires_grad() {
            return Ok((y.clone(), y.zeros_like()?));
        }
        // g(u) = uᵀ J is linear in u; its derivative along v is J v.
        let u = y.detach()?.zeros_like()?;
        u.requires_grad_(true)?;
        let rows = or_zeros(grad(&[&y], &x.iter().collect::<Vec<_>>(), &[Some(&u)], true, true)?, &x)?;
        let mut along = Tensor::zeros([], (y.dtype(), y.device()))?;
        for (row, v) in rows.iter().zip(v) {
            along = along.add(row.mul(*v)?.sum_all()?)?;
        }
        let product = if along.requires_grad() { grad(&[&along], &[&u], &[None], false, false)?[0].clone() } else { None };
        Ok((y.detach()?, product.map_or_else(|| y.detach()?.zeros_like(), Ok)?))
    })
}

/// The derivative of every element of the result by every element of each input: `[result.., input..]`. One backward pass for
/// each element of the result.
///
/// ```
/// # use taper::prelude::*; fn main() -> taper::Result<()> {
/// let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
/// let j = taper::autograd::jacobian(|x| x[0].square(), &[&x])?;
/// assert_eq!(j[0].to_vec::<f32>()?, [2.0, 0.0, 0.0, 4.0]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// What `f` or its gradient reports.
pub fn jacobian(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
    enable_grad(|| {
        let x = leaves(inputs)?;
        rows_of(&f(&x)?, &x, false)
    })
}

/// The gradient of each element of `y`, stacked.
fn rows_of(y: &Tensor, x: &[Tensor], create_graph: bool) -> Result<Vec<Tensor>> {
    let mut rows: Vec<Vec<Tensor>> = vec![Vec::new(); x.len()];
    let wanted: Vec<&Tensor> = x.iter().collect();
    for i in 0..y.numel() {
        let found = if y.requires_grad() {
            let mut one = vec![0.0f32; y.numel()];
            one[i] = 1.0;
            let one = Tensor::from_vec(one, y.shape(), y.device())?.to_dtype(y.dtype())?;
            grad(&[y], &wanted, &[Some(&one)], true, create_graph)?
        } else {
            vec![None; x.len()]
        };
        rows.iter_mut().zip(or_zeros(found, x)?).for_each(|(rows, g)| rows.push(g));
    }
    let stack = |(rows, x): (Vec<Tensor>, &Tensor)| {
        let shape: Vec<usize> = y.shape().iter().chain(x.shape()).copied().collect();
        if rows.is_empty() {
            return Tensor::zeros(&shape, (x.dtype(), x.device()));
        }
        Tensor::stack(&rows, 0)?.reshape(&shape.iter().map(|&d| d as isize).collect::<Vec<_>>())
    };
    rows.into_iter().zip(x).map(stack).collect()
}

/// The second derivatives of `f`, whose result is one number: block `[i][j]` is `[input i.., input j..]`.
///
/// # Errors
/// A result of more than one element; what `f` or its gradients report.
pub fn hessian(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor]) -> Result<Vec<Vec<Tensor>>> {
    enable_grad(|| {
        let x = leaves(inputs)?;
        let first = gradient("hessian", &f(&x)?, &x)?;
        first.iter().map(|g| rows_of(g, &x, false)).collect()
    })
}

/// The gradient of one number, to be differentiated again.
fn gradient(op: &'static str, y: &Tensor, x: &[Tensor]) -> Result<Vec<Tensor>> {
    if y.numel() != 1 {
        return Err(Error::argument(op, format!("needs a function of one number, not of {:?}", y.shape())));
    }
    if !y.requires_grad() {
        return or_zeros(vec![None; x.len()], x);
    }
    or_zeros(grad(&[y], &x.iter().collect::<Vec<_>>(), &[None], true, true)?, x)
}

/// The product of the second derivatives of `f`, whose result is one number, with a vector: without ever forming them. Returns the
/// value of `f` and the product.
///
/// # Errors
/// As [`hessian`]; vectors of other shapes than the inputs.
pub fn hvp(f: impl Fn(&[Tensor]) -> Result<Tensor>, inputs: &[&Tensor], v: &[&Tensor]) -> Result<(Tensor, Vec<Tensor>)> {
    enable_grad(|| {
        let x = leaves(inputs)?;
        same("hvp", "vectors", v, &x)?;
        let y = f(&x)?;
        let mut along = Tensor::zeros([], (y.dtype(), y.device()))?;
        for (g, v) in gradient("hvp", &y, &x)?.iter().zip(v) {
            along = along.add(g.mul(*v)?.sum_all()?)?;
        }
        let found = if along.requires_grad() {
            grad(&[&along], &x.iter().collect::<Vec<_>>(), &[None], false, false)?
        } else {
            vec![None; x.len()]
        };
        Ok((y.detach()?, or_zeros(found, &x)?))
    })
}

/// The gradient of the loss of each sample by itself: `loss(i)` is the loss of sample `i` of `count`. The results have one
/// dimension more than the parameters, of length `count`; one forward and backward pass for each sample.
///
/// # Errors
/// No samples; what `loss` or its gradient reports.
pub fn per_sample_grads(params: &[&Tensor], count: usize, loss: impl Fn(usize) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    if count == 0 {
        return Err(Error::argument("per_sample_grads", "there are no samples"));
    }
    let mut all: Vec<Vec<Tensor>> = vec![Vec::new(); params.len()];
    for i in 0..count {
        let found = enable_grad(|| grad(&[&loss(i)?], params, &[None], false, false))?;
        for ((all, found), p) in all.iter_mut().zip(found).zip(params) {
            all.push(found.map_or_else(|| p.detach()?.zeros_like(), Ok)?);
        }
    }
    all.iter().map(|grads| Tensor::stack(grads, 0)).collect()
}
