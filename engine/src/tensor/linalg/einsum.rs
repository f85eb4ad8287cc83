//! Einstein summation: pairwise contractions, left to right, each one batched matrix product.

use smallvec::SmallVec;

use super::super::Tensor;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A dimension's name: a letter, or a dimension of the ellipsis counted from the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Label {
    Ellipsis(std::cmp::Reverse<usize>),
    Letter(char),
}

type Labels = SmallVec<[Label; 8]>;

fn wrong(message: String) -> Error {
    Error::argument("einsum", message)
}

impl Tensor {
    /// Sums of products of any number of tensors, written as indices: `"bij,bjk->bik"` is a batch of matrix products.
    ///
    /// Letters name dimensions; `...` stands for the ones that are not named, which broadcast. A letter twice in one
    /// operand takes the diagonal. What the part behind `->` does not name is summed. Without `->` the result has the
    /// dimensions of `...`, then the letters that occur once, in alphabetical order.
    ///
    /// Operands are contracted from left to right, each step as one batched matrix product.
    ///
    /// # Errors
    /// A spec that cannot be read, that names dimensions an operand does not have, or whose sizes differ.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let a = Tensor::new([[1.0, 2.0], [3.0, 4.0]], &Device::cpu())?;
    /// let trace = Tensor::einsum("ii", &[&a])?;
    /// assert_eq!(trace.item::<f32>()?, 5.0);
    /// let ab = Tensor::einsum("ij,jk->ik", &[&a, &a])?;
    /// assert_eq!(ab.to_vec::<f32>()?, [7.0, 10.0, 15.0, 22.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn einsum(spec: &str, operands: &[&Tensor]) -> Result<Tensor> {
        let clean: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
        let (left, right) = match clean.split_once("->") {
            Some((l, r)) => (l, Some(r)),
            None => (&clean[..], None),
        };
        let inputs: Vec<&str> = left.split(',').collect();
        if operands.is_empty() || inputs.len() != operands.len() {
            return Err(wrong(format!("\"{spec}\" names {} operands, but {} were given", inputs.len(), operands.len())));
        }
        let mut named = Vec::new();
        for (text, t) in inputs.iter().zip(operands) {
            let letters = text.chars().filter(|c| *c != '.').count();
            let hidden = t.rank().checked_sub(letters).filter(|h| *h == 0 || text.contains("..."));
            let hidden = hidden.ok_or_else(|| wrong(format!("\"{text}\" does not fit an operand of shape {:?}", t.shape())))?;
            named.push((labels(text, hidden)?, (*t).clone()));
        }
        let output = match right {
            Some(text) => {
                let hidden = named.iter().flat_map(|(l, _)| l).filter_map(|l| match l {
                    Label::Ellipsis(i) => Some(i.0 + 1),
                    Label::Letter(_) => None,
                });
                let hidden = hidden.max().unwrap_or(0);
                let out = labels(text, if text.contains("...") { hidden } else { 0 })?;
                for (i, l) in out.iter().enumerate() {
                    if out[..i].contains(l) {
                        return Err(wrong(format!("the result \"{text}\" names a dimension twice")));
                    }
                    if !named.iter().any(|(n, _)| n.contains(l)) {
                        return Err(wrong(format!("the result \"{text}\" names a dimension that no operand has")));
                    }
                }
                out
            }
            None => implicit(&named),
        };
        let mut terms = named.into_iter();
        let (labels, t) = terms.next().ok_or_else(|| wrong("no operands".into()))?;
        let mut result = diagonals(labels, t)?;
        let rest: Vec<(Labels, Tensor)> = terms.map(|(l, t)| diagonals(l, t)).collect::<Result<_>>()?;
        for (i, right) in rest.iter().enumerate() {
            let wanted = |l: &Label| output.contains(l) || rest[i + 1..].iter().any(|(n, _)| n.contains(l));
            result = contract(result, right.clone(), wanted)?;
        }
        let (labels, t) = match rest.is_empty() {
            // A sum of its own, in a sum's type.
            true => summed_as(result, |l| output.contains(l), None)?,
            false => summed(result, |l| output.contains(l))?,
        };
        permuted(&labels, &t, &output)
    }
}

/// The labels of one operand (or the result), whose ellipsis has `hidden` dimensions.
fn labels(text: &str, hidden: usize) -> Result<Labels> {
    let mut out = Labels::new();
    let (before, after) = match text.split_once("...") {
        Some((b, a)) => (b, Some(a)),
        None => (text, None),
    };
    let letters = |part: &str, out: &mut Labels| -> Result<()> {
        for c in part.chars() {
            if !c.is_ascii_alphabetic() {
                return Err(wrong(format!("'{c}' in \"{text}\" is not a letter")));
            }
            out.push(Label::Letter(c));
        }
        Ok(())
    };
    letters(before, &mut out)?;
    if let Some(after) = after {
        out.extend((0..hidden).rev().map(|i| Label::Ellipsis(std::cmp::Reverse(i))));
        letters(after, &mut out)?;
    }
    Ok(out)
}

/// The ellipsis, then the letters that occur once.
fn implicit(named: &[(Labels, Tensor)]) -> Labels {
    let mut all: Labels = named.iter().flat_map(|(l, _)| l.iter().copied()).collect();
    all.sort_unstable();
    let once = |l: &Label| matches!(l, Label::Ellipsis(_)) || all.iter().filter(|m| *m == l).count() == 1;
    let mut out: Labels = all.iter().copied().filter(once).collect();
    out.dedup();
    out
}

/// A label that occurs twice takes the diagonal of its dimensions.
#[track_caller]
fn diagonals(mut labels: Labels, mut t: Tensor) -> Result<(Labels, Tensor)> {
    while let Some((i, j)) = (0..labels.len()).find_map(|i| (i + 1..labels.len()).find(|&j| labels[i] == labels[j]).map(|j| (i, j))) {
        let s = t.shape();
        if s[i] != s[j] {
            return Err(wrong(format!("a repeated index has sizes {} and {}", s[i], s[j])));
        }
        t = t.diagonal(0, i as isize, j as isize)?;
        let label = labels.remove(j);
        labels.remove(i);
        labels.push(label);
    }
    Ok((labels, t))
}

/// Sums what is not wanted.
#[track_caller]
fn summed((labels, t): (Labels, Tensor), wanted: impl Fn(&Label) -> bool) -> Result<(Labels, Tensor)> {
    let dtype = t.dtype();
    summed_as((labels, t), wanted, Some(dtype))
}

#[track_caller]
fn summed_as((labels, t): (Labels, Tensor), wanted: impl Fn(&Label) -> bool, dtype: Option<DType>) -> Result<(Labels, Tensor)> {
    let dims: Vec<isize> = (0..labels.len()).filter(|&d| !wanted(&labels[d])).map(|d| d as isize).collect();
    if dims.is_empty() {
        return Ok((labels, t));
    }
    let t = t.sum(&dims)?;
    let t = dtype.map_or(Ok(t.clone()), |d| t.to_dtype(d))?;
    Ok((labels.into_iter().filter(|l| wanted(l)).collect(), t))
}

#[track_caller]
fn permuted(labels: &Labels, t: &Tensor, order: &[Label]) -> Result<Tensor> {
    let dims: Option<Vec<isize>> = order.iter().map(|l| labels.iter().position(|m| m == l).map(|d| d as isize)).collect();
    t.permute(&dims.ok_or_else(|| wrong("a dimension is missing".into()))?)
}

/// One contraction of two operands: what only one of them has and nobody wants is summed first, then shared dimensions
/// are a batch if they are wanted, else the inner size of a matrix product.
#[track_caller]
fn contract(a: (Labels, Tensor), b: (Labels, Tensor), wanted: impl Fn(&Label) -> bool) -> Result<(Labels, Tensor)> {
    let lb = b.0.clone();
    let (la, ta) = summed(a, |l| wanted(l) || lb.contains(l))?;
    let (lb, tb) = summed(b, |l| wanted(l) || la.contains(l))?;
    if ta.dtype() != tb.dtype() {
        return Err(Error::dtype("einsum", format!("operands are {} and {}; convert one of them", ta.dtype(), tb.dtype())));
    }
    let pick = |from: &Labels, f: &dyn Fn(&Label) -> bool| -> Labels { from.iter().copied().filter(f).collect() };
    let batch = pick(&la, &|l| lb.contains(l) && wanted(l));
    let inner = pick(&la, &|l| lb.contains(l) && !wanted(l));
    let (only_a, only_b) = (pick(&la, &|l| !lb.contains(l)), pick(&lb, &|l| !la.contains(l)));
    let size = |labels: &Labels, t: &Tensor, l: &Label| labels.iter().position(|m| m == l).map_or(1, |d| t.shape()[d]);
    // Sizes of shared dimensions, where 1 broadcasts.
    let shared = |l: &Label| match (size(&la, &ta, l), size(&lb, &tb, l)) {
        (x, y) if x == y => Ok(x),
        (1, y) => Ok(y),
        (x, 1) => Ok(x),
        (x, y) => Err(wrong(format!("an index has size {x} in one operand and {y} in another"))),
    };
    let sizes = |labels: &Labels| labels.iter().map(shared).collect::<Result<SmallVec<[usize; 8]>>>();
    let (batch_sizes, inner_sizes) = (sizes(&batch)?, sizes(&inner)?);
    let a_sizes: SmallVec<[usize; 8]> = only_a.iter().map(|l| size(&la, &ta, l)).collect();
    let b_sizes: SmallVec<[usize; 8]> = only_b.iter().map(|l| size(&lb, &tb, l)).collect();
    let out: Labels = batch.iter().chain(&only_a).chain(&only_b).copied().collect();
    let concat = |parts: &[&[usize]]| parts.concat();
    if inner.is_empty() {
        // Nothing to sum: an elementwise product fuses with its neighbours.
        let x = permuted(&la, &ta, &[&batch[..], &only_a].concat())?;
        let y = permuted(&lb, &tb, &[&batch[..], &only_b].concat())?;
        let kept = Tensor::shape(&x).to_vec();
        let x = x.reshape(concat(&[&kept, &vec![1; only_b.len()]]))?;
        let (yb, yo) = y.shape().split_at(batch.len());
        let shape = concat(&[yb, &vec![1; only_a.len()], yo]);
        return Ok((out, x.mul(y.reshape(shape)?)?));
    }
    let n = |s: &[usize]| s.iter().product::<usize>();
    let matrix = |labels: &Labels, t: &Tensor, order: [&[Label]; 3], full: [&[usize]; 3]| {
        let t = permuted(labels, t, &order.concat())?.expand(full.concat())?;
        t.reshape([n(full[0]), n(full[1]), n(full[2])])
    };
    let x = matrix(&la, &ta, [&batch, &only_a, &inner], [&batch_sizes, &a_sizes, &inner_sizes])?;
    let y = matrix(&lb, &tb, [&batch, &inner, &only_b], [&batch_sizes, &inner_sizes, &b_sizes])?;
    let z = x.matmul(&y)?.reshape(concat(&[&batch_sizes, &a_sizes, &b_sizes]))?;
    Ok((out, z))
}
