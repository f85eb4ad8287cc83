//! Reductions: sum, product, extrema and their positions.

use smallvec::{SmallVec, smallvec};

use super::op::{Combine, Grads, Kind, Op, Reduction, Saves, Spec};
use crate::autograd::{self, Ctx};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Combines the elements along `dims` (sorted), which stay with size 1.
#[derive(Debug, Clone)]
pub(crate) struct Reduce {
    pub dims: SmallVec<[usize; 6]>,
    pub combine: Combine,
}

impl Op for Reduce {
    fn name(&self) -> &'static str {
        match self.combine {
            Combine::Sum => "sum",
            Combine::Prod => "prod",
            Combine::Max => "amax",
            Combine::Min => "amin",
            Combine::ArgMax => "argmax",
            Combine::ArgMin => "argmin",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let mut out = inputs[0].clone();
        let empty = self.dims.iter().find(|&&d| out.shape[d] == 0);
        if let (Some(d), false) = (empty, matches!(self.combine, Combine::Sum | Combine::Prod)) {
            return Err(Error::argument(self.name(), format!("dimension {d} of {:?} is empty and has no extreme element", &out.shape[..])));
        }
        if out.dtype == DType::Bool {
            return Err(Error::dtype(self.name(), "bool does not reduce; convert it to integers first"));
        }
        for &d in &self.dims {
            out.shape[d] = 1;
        }
        if !self.differentiable() {
            out.dtype = DType::I64;
        }
        Ok(out)
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Reduce(Reduction { dims: &self.dims, combine: self.combine })
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.combine as u64);
        key.extend(self.dims.iter().map(|&d| d as u64));
    }

    fn saves(&self) -> Saves {
        match self.combine {
            Combine::Max | Combine::Min => Saves { inputs: 1, output: true },
            Combine::Prod => Saves::INPUTS,
            _ => Saves::NOTHING,
        }
    }

    /// sum:         dx = dy
    /// amax, amin:  dx = dy / ties where x == y, else 0
    /// prod:        dx = dy * the product of all others
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let shape = &ctx.spec(0).shape;
        let dx = match self.combine {
            Combine::Max | Combine::Min => {
                let tie = ctx.input(0)?.eq(ctx.output()?)?.to_dtype(dy.dtype())?;
                let share = dy.div(&tie.sum_keepdim(&self.dims[..])?)?;
                tie.mul(&share)?
            }
            Combine::Prod if autograd::is_enabled() => dy.mul(&product_of_others(ctx.input(0)?, &self.dims)?)?,
            Combine::Prod => dy.mul(&self.prod_of_others_by_division(ctx.input(0)?)?)?,
            _ => dy.broadcast_to(shape)?,
        };
        Ok(smallvec![Some(dx)])
    }

    fn differentiable(&self) -> bool {
        !matches!(self.combine, Combine::ArgMax | Combine::ArgMin)
    }
}

impl Reduce {
    /// The product of all others in two sweeps. Without a zero in the row it is `prod / x`; a single zero has the
    /// product of the rest, and everything else in its row nothing; with two zeros all are 0.
    fn prod_of_others_by_division(&self, x: &Tensor) -> Result<Tensor> {
        let zero = x.eq(0)?;
        let zeros = zero.sum_keepdim(&self.dims[..])?;
        let rest = x.masked_fill(&zero, 1)?.prod_keepdim(&self.dims[..])?;
        let at_zero = rest.masked_fill(&zeros.ne(1)?, 0)?.broadcast_to(x.shape())?;
        let elsewhere = rest.masked_fill(&zeros.ne(0)?, 0)?.div(x)?;
        at_zero.where_(&zero, &elsewhere)
    }
}

/// The same by products of prefixes and suffixes: a polynomial, so that all higher derivatives are exact too.
fn product_of_others(x: &Tensor, dims: &[usize]) -> Result<Tensor> {
    let kept = (0..x.rank()).filter(|d| !dims.contains(d));
    let order: SmallVec<[usize; 6]> = kept.chain(dims.iter().copied()).collect();
    let rows = x.permute(&order)?;
    let mut flat: SmallVec<[usize; 6]> = rows.shape()[..x.rank() - dims.len()].into();
    flat.push(dims.iter().map(|&d| x.shape()[d]).product());
    let t = rows.reshape(&flat)?;
    let before = products_before(&t)?;
    let after = products_before(&t.flip(-1)?)?.flip(-1)?;
    let mut back: SmallVec<[usize; 6]> = order.clone();
    for (to, &from) in order.iter().enumerate() {
        back[from] = to;
    }
    before.mul(&after)?.reshape(rows.shape())?.permute(&back)
}

/// Along the last dimension: the product of all earlier elements, by doubling.
fn products_before(t: &Tensor) -> Result<Tensor> {
    let n = t.size(-1)?;
    let shifted = |t: &Tensor, by: usize| t.narrow(-1, 0, n - by)?.pad([by, 0], "constant", 1);
    if n == 0 {
        return Ok(t.clone());
    }
    let mut out = shifted(t, 1)?;
    let mut by = 1;
    while by < n {
        out = out.mul(&shifted(&out, by)?)?;
        by *= 2;
    }
    Ok(out)
}
