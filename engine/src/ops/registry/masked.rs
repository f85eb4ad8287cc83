//! `torch.masked`: reductions and normalisations of what a mask names.

use super::convert::{Order, Over};
use super::rows;
use crate::dtype::DType;
use crate::error::Result;
use crate::masked;
use crate::tensor::Tensor;

/// The input in the type that was asked for.
fn cast(input: Tensor, dtype: Option<DType>) -> Result<Tensor> {
    dtype.map_or(Ok(input.clone()), |d| input.to_dtype(d))
}

/// A number for `correction`, from either of PyTorch's two ways of giving it.
fn correction(unbiased: Option<bool>, correction: Option<f64>) -> f64 {
    unbiased.map_or(correction.unwrap_or(1.0), |u| u as u8 as f64)
}

/// PyTorch gives these positions in the type of the elements.
fn positions(at: Tensor, dtype: DType) -> Result<Tensor> {
    at.to_dtype(dtype)
}

rows! {
    "masked.sum"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::sum(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.prod"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::prod(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.amax"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::amax(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.amin"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::amin(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.argmax"(input: Tensor, dim: Option<isize>, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        positions(masked::argmax(&cast(input.clone(), dtype)?, dim, keepdim, mask.as_ref())?, dtype.unwrap_or(input.dtype()));
    "masked.argmin"(input: Tensor, dim: Option<isize>, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        positions(masked::argmin(&cast(input.clone(), dtype)?, dim, keepdim, mask.as_ref())?, dtype.unwrap_or(input.dtype()));
    "masked.mean"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::mean(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.median"(input: Tensor, dim: isize = -1, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::median(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.logsumexp"(input: Tensor, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::logsumexp(&cast(input, dtype)?, dim, keepdim, mask.as_ref());
    "masked.norm"(input: Tensor, ord: Option<Order>, dim: Over, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::norm(&cast(input, dtype)?, ord.map_or(2.0, |o| o.0), dim, keepdim, mask.as_ref());
    "masked.var"(input: Tensor, dim: Over, unbiased: Option<bool>, correction: Option<f64>, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::var(&cast(input, dtype)?, dim, self::correction(unbiased, correction), keepdim, mask.as_ref());
    "masked.std"(input: Tensor, dim: Over, unbiased: Option<bool>, correction: Option<f64>, keepdim: bool = false, dtype: Option<DType>, mask: Option<Tensor>)
        masked::std(&cast(input, dtype)?, dim, self::correction(unbiased, correction), keepdim, mask.as_ref());
    "masked.normalize"(input: Tensor, ord: f64, dim: isize, eps: f64 = 1e-12, dtype: Option<DType>, mask: Option<Tensor>)
        masked::normalize(&cast(input, dtype)?, ord, dim, eps, mask.as_ref());
    "masked.softmax"(input: Tensor, dim: isize, dtype: Option<DType>, mask: Option<Tensor>) masked::softmax(&cast(input, dtype)?, dim, mask.as_ref());
    "masked.log_softmax"(input: Tensor, dim: isize, dtype: Option<DType>, mask: Option<Tensor>)
        masked::log_softmax(&cast(input, dtype)?, dim, mask.as_ref());
    "masked.softmin"(input: Tensor, dim: isize, dtype: Option<DType>, mask: Option<Tensor>) masked::softmin(&cast(input, dtype)?, dim, mask.as_ref());
    "masked.cumsum"(input: Tensor, dim: isize, dtype: Option<DType>, mask: Option<Tensor>) masked::cumsum(&cast(input, dtype)?, dim, mask.as_ref());
    "masked.cumprod"(input: Tensor, dim: isize, dtype: Option<DType>, mask: Option<Tensor>) masked::cumprod(&cast(input, dtype)?, dim, mask.as_ref());
    "masked.logaddexp"(input: Tensor, other: Tensor, dtype: Option<DType>, input_mask: Option<Tensor>, other_mask: Option<Tensor>)
        masked::logaddexp(&cast(input, dtype)?, &cast(other, dtype)?, input_mask.as_ref(), other_mask.as_ref());
}
