//! Reductions, and what is normalised by them.

use super::convert::{Order, Over};
use super::rows;
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;

/// A number for `correction`, from either of PyTorch's two ways of giving it.
fn correction(unbiased: Option<bool>, correction: Option<f64>) -> f64 {
    unbiased.map_or(correction.unwrap_or(1.0), |u| u as u8 as f64)
}

/// The input in the type that was asked for.
fn cast(input: Tensor, dtype: Option<DType>) -> Result<Tensor> {
    dtype.map_or(Ok(input.clone()), |d| input.to_dtype(d))
}

fn squeezed(pair: (Tensor, Tensor), dim: isize, keepdim: bool, was_scalar: bool) -> Result<(Tensor, Tensor)> {
    if keepdim && !was_scalar { Ok((pair.0.unsqueeze(dim)?, pair.1.unsqueeze(dim)?)) } else { Ok(pair) }
}

rows! {
    "sum"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>) {
        let input = cast(input, dtype)?;
        if keepdim { input.sum_keepdim(dim) } else { input.sum(dim) }
    };
    "mean"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>) {
        let input = cast(input, dtype)?;
        if keepdim { input.mean_keepdim(dim) } else { input.mean(dim) }
    };
    "prod"(input: Tensor, dtype: Option<DType>) cast(input, dtype)?.prod_all();
    "prod"(input: Tensor, dim: isize, keepdim: bool = false, dtype: Option<DType>) {
        let input = cast(input, dtype)?;
        if keepdim { input.prod_keepdim(dim) } else { input.prod(dim) }
    };
    "amax"(input: Tensor, dim: Over, keepdim: bool = false) if keepdim { input.amax_keepdim(dim) } else { input.amax(dim) };
    "amin"(input: Tensor, dim: Over, keepdim: bool = false) if keepdim { input.amin_keepdim(dim) } else { input.amin(dim) };
    "any"(input: Tensor, dim: Over, keepdim: bool = false) if keepdim { input.any_keepdim(dim) } else { input.any(dim) };
    "all"(input: Tensor, dim: Over, keepdim: bool = false) if keepdim { input.all_keepdim(dim) } else { input.all(dim) };
    "count_nonzero"(input: Tensor, dim: Over) input.count_nonzero(dim);
    "max"(input: Tensor) input.max_all();
    "max"(input: Tensor, dim: isize, keepdim: bool = false) squeezed(input.max(dim)?, dim, keepdim, input.rank() == 0);
    "min"(input: Tensor) input.min_all();
    "min"(input: Tensor, dim: isize, keepdim: bool = false) squeezed(input.min(dim)?, dim, keepdim, input.rank() == 0);
    "argmax"(input: Tensor, dim: Option<isize>, keepdim: bool = false) input.argmax(dim, keepdim);
    "argmin"(input: Tensor, dim: Option<isize>, keepdim: bool = false) input.argmin(dim, keepdim);
    "var"(input: Tensor, unbiased: bool) input.var(.., correction(Some(unbiased), None));
    "var"(input: Tensor, dim: Over, unbiased: Option<bool>, keepdim: bool = false, correction: Option<f64>) {
        let c = self::correction(unbiased, correction);
        if keepdim { input.var_keepdim(dim, c) } else { input.var(dim, c) }
    };
    "std"(input: Tensor, unbiased: bool) input.std(.., correction(Some(unbiased), None));
    "std"(input: Tensor, dim: Over, unbiased: Option<bool>, keepdim: bool = false, correction: Option<f64>) {
        let c = self::correction(unbiased, correction);
        if keepdim { input.std_keepdim(dim, c) } else { input.std(dim, c) }
    };
    "var_mean"(input: Tensor, unbiased: bool) input.var_mean(.., correction(Some(unbiased), None));
    "var_mean"(input: Tensor, dim: Over, unbiased: Option<bool>, keepdim: bool = false, correction: Option<f64>) {
        let c = self::correction(unbiased, correction);
        if keepdim { Ok((input.var_keepdim(dim.clone(), c)?, input.mean_keepdim(dim)?)) } else { input.var_mean(dim, c) }
    };
    "std_mean"(input: Tensor, unbiased: bool) input.std_mean(.., correction(Some(unbiased), None));
    "std_mean"(input: Tensor, dim: Over, unbiased: Option<bool>, keepdim: bool = false, correction: Option<f64>) {
        let c = self::correction(unbiased, correction);
        if keepdim { Ok((input.std_keepdim(dim.clone(), c)?, input.mean_keepdim(dim)?)) } else { input.std_mean(dim, c) }
    };
    "norm"(input: Tensor, p: Option<Order>, dim: Over, keepdim: bool = false, dtype: Option<DType>) cast(input, dtype)?.norm(p.map_or(2.0, |p| p.0), dim, keepdim);
    "linalg.vector_norm"(x: Tensor, ord: f64 = 2.0, dim: Over, keepdim: bool = false, dtype: Option<DType>) cast(x, dtype)?.norm(ord, dim, keepdim);
    "logsumexp"(input: Tensor, dim: Over, keepdim: bool = false) if keepdim { input.logsumexp_keepdim(dim) } else { input.logsumexp(dim) };
    "softmax"(input: Tensor, dim: isize, dtype: Option<DType>) cast(input, dtype)?.softmax(dim);
    "log_softmax"(input: Tensor, dim: isize, dtype: Option<DType>) cast(input, dtype)?.log_softmax(dim);
}
