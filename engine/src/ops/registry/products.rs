//! Products of vectors and tensors, distances and similarities.

use super::convert::Ints;
use super::{Value, rows};
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

const ONE: Scalar = Scalar::Int(1);

rows! {
    "addbmm"(input: Tensor, batch1: Tensor, batch2: Tensor, beta: Scalar = ONE, alpha: Scalar = ONE) input.addbmm(&batch1, &batch2, beta, alpha);
    "addr"(input: Tensor, vec1: Tensor, vec2: Tensor, beta: Scalar = ONE, alpha: Scalar = ONE) input.addr(&vec1, &vec2, beta, alpha);
    "inner"(input: Tensor, other: Tensor) input.inner(&other);
    "vdot"(input: Tensor, other: Tensor) input.dot(&other);
    "ger"(input: Tensor, vec2: Tensor) input.outer(&vec2);
    "kron"(input: Tensor, other: Tensor) input.kron(&other);
    "tensordot"(a: Tensor, b: Tensor, dims: Value = Value::Int(2)) {
        let (first, second) = paired_dims(dims, &a)?;
        a.tensordot(&b, &first, &second)
    };
    "cross"(input: Tensor, other: Tensor, dim: Option<isize>) input.cross(&other, dim);
    "linalg.cross"(input: Tensor, other: Tensor, dim: isize = -1) input.cross(&other, Some(dim));
    "linalg.vecdot"(x: Tensor, y: Tensor, dim: isize = -1) x.vecdot(&y, dim);
    "nn.functional.bilinear"(input1: Tensor, input2: Tensor, weight: Tensor, bias: Option<Tensor>) input1.bilinear(&input2, &weight, bias.as_ref());

    "dist"(input: Tensor, other: Tensor, p: Scalar = Scalar::Int(2)) input.dist(&other, p.as_f64());
    "cdist"(x1: Tensor, x2: Tensor, p: f64 = 2.0, compute_mode: Option<String>) {
        const MODES: [&str; 3] = ["use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist"];
        match compute_mode {
            Some(mode) if !MODES.contains(&mode.as_str()) => Err(Error::argument("cdist", format!("there is no mode '{mode}'"))),
            _ => x1.cdist(&x2, p),
        }
    };
    "nn.functional.pdist"(input: Tensor, p: f64 = 2.0) input.pdist(p);
    "nn.functional.pairwise_distance"(x1: Tensor, x2: Tensor, p: f64 = 2.0, eps: f64 = 1e-6, keepdim: bool = false) x1.pairwise_distance(&x2, p, eps, keepdim);
    "nn.functional.cosine_similarity"(x1: Tensor, x2: Tensor, dim: isize = 1, eps: f64 = 1e-8) x1.cosine_similarity(&x2, dim, eps);
    "nn.functional.normalize"(input: Tensor, p: f64 = 2.0, dim: Ints = Ints(vec![1]), eps: f64 = 1e-12) input.normalize(p, &dim.0[..], eps);
    "renorm"(input: Tensor, p: f64, dim: isize, maxnorm: f64) input.renorm(p, dim, maxnorm);

    "cov"(input: Tensor, correction: f64 = 1.0, fweights: Option<Tensor>, aweights: Option<Tensor>) input.cov(correction, fweights.as_ref(), aweights.as_ref());
    "corrcoef"(input: Tensor) input.corrcoef();
}

/// `tensordot`'s dimensions: a number of last ones and first ones, or a list for each side.
fn paired_dims(dims: Value, a: &Tensor) -> Result<(Vec<isize>, Vec<isize>)> {
    let wrong = || Error::argument("tensordot", "dims must be a number of dimensions, or two lists of them");
    let list = |v: &Value| -> Result<Vec<isize>> {
        let items = match v {
            Value::List(items) => items.clone(),
            one => vec![one.clone()],
        };
        let number = |v: &Value| if let Value::Int(i) = v { isize::try_from(*i).ok() } else { None };
        items.iter().map(number).collect::<Option<_>>().ok_or_else(wrong)
    };
    match &dims {
        Value::Int(n) => {
            let n = usize::try_from(*n).ok().filter(|&n| n <= a.rank()).ok_or_else(wrong)?;
            Ok((((a.rank() - n) as isize..a.rank() as isize).collect(), (0..n as isize).collect()))
        }
        Value::List(pair) if pair.len() == 2 => Ok((list(&pair[0])?, list(&pair[1])?)),
        Value::Tensor(t) if t.rank() == 2 && t.shape()[0] == 2 => {
            let all: Vec<isize> = t.to_vec::<i64>()?.into_iter().map(|d| d as isize).collect();
            let (first, second) = all.split_at(all.len() / 2);
            Ok((first.to_vec(), second.to_vec()))
        }
        _ => Err(wrong()),
    }
}
