//! New tensors.

use super::convert::{On, Variadic};
use super::rows;
use crate::dtype::{DType, Scalar};
use crate::tensor::{Tensor, TensorOptions};

/// Element type and device, as far as they were given.
fn options(dtype: Option<DType>, device: On) -> TensorOptions {
    TensorOptions { dtype, device: device.0 }
}

/// As `like`, unless something else was given.
fn options_of(like: &Tensor, dtype: Option<DType>, device: Option<On>) -> TensorOptions {
    TensorOptions { dtype: Some(dtype.unwrap_or(like.dtype())), device: device.map_or(like.device().clone(), |d| d.0) }
}

rows! {
    "zeros"(size: Variadic<usize>, dtype: Option<DType>, device: On) Tensor::zeros(size.0, options(dtype, device));
    "ones"(size: Variadic<usize>, dtype: Option<DType>, device: On) Tensor::ones(size.0, options(dtype, device));
    "empty"(size: Variadic<usize>, dtype: Option<DType>, device: On) Tensor::empty(size.0, options(dtype, device));
    "full"(size: Vec<usize>, fill_value: Scalar, dtype: Option<DType>, device: On) Tensor::full(size, fill_value, options(dtype, device));
    "scalar_tensor"(s: Scalar, dtype: Option<DType>, device: On) Tensor::full([], s, options(Some(dtype.unwrap_or(DType::F32)), device));
    "eye"(n: usize, m: Option<usize>, dtype: Option<DType>, device: On) {
        Tensor::eye_rect(n, m.unwrap_or(n), options(dtype, device))
    };
    "arange"(end: Scalar, dtype: Option<DType>, device: On) Tensor::arange(0, end, 1, options(dtype, device));
    "arange"(start: Scalar, end: Scalar, step: Scalar = Scalar::Int(1), dtype: Option<DType>, device: On)
        Tensor::arange(start, end, step, options(dtype, device));
    "linspace"(start: Scalar, end: Scalar, steps: usize, dtype: Option<DType>, device: On) Tensor::linspace(start, end, steps, options(dtype, device));

    "zeros_like"(input: Tensor, dtype: Option<DType>, device: Option<On>) Tensor::zeros(input.shape(), options_of(&input, dtype, device));
    "ones_like"(input: Tensor, dtype: Option<DType>, device: Option<On>) Tensor::ones(input.shape(), options_of(&input, dtype, device));
    "empty_like"(input: Tensor, dtype: Option<DType>, device: Option<On>) Tensor::empty(input.shape(), options_of(&input, dtype, device));
    "full_like"(input: Tensor, fill_value: Scalar, dtype: Option<DType>, device: Option<On>)
        Tensor::full(input.shape(), fill_value, options_of(&input, dtype, device));
    "new_zeros"(input: Tensor, size: Variadic<usize>, dtype: Option<DType>, device: Option<On>) Tensor::zeros(size.0, options_of(&input, dtype, device));
    "new_ones"(input: Tensor, size: Variadic<usize>, dtype: Option<DType>, device: Option<On>) Tensor::ones(size.0, options_of(&input, dtype, device));
    "new_empty"(input: Tensor, size: Variadic<usize>, dtype: Option<DType>, device: Option<On>) Tensor::empty(size.0, options_of(&input, dtype, device));
    "new_full"(input: Tensor, size: Vec<usize>, fill_value: Scalar, dtype: Option<DType>, device: Option<On>)
        Tensor::full(size, fill_value, options_of(&input, dtype, device));

    "rand"(size: Variadic<usize>, dtype: Option<DType>, device: On) Tensor::rand(size.0, options(dtype, device));
    "randn"(size: Variadic<usize>, dtype: Option<DType>, device: On) Tensor::randn(size.0, options(dtype, device));
    "randint"(high: i64, size: Vec<usize>, dtype: Option<DType>, device: On) Tensor::randint(0, high, size, options(dtype, device));
    "randint"(low: i64, high: i64, size: Vec<usize>, dtype: Option<DType>, device: On) Tensor::randint(low, high, size, options(dtype, device));
    "randperm"(n: usize, dtype: Option<DType>, device: On) Tensor::randperm(n, options(dtype, device));
    "rand_like"(input: Tensor, dtype: Option<DType>, device: Option<On>) Tensor::rand(input.shape(), options_of(&input, dtype, device));
    "randn_like"(input: Tensor, dtype: Option<DType>, device: Option<On>) Tensor::randn(input.shape(), options_of(&input, dtype, device));
    "randint_like"(input: Tensor, high: i64, dtype: Option<DType>, device: Option<On>)
        Tensor::randint(0, high, input.shape(), options_of(&input, dtype, device));
    "randint_like"(input: Tensor, low: i64, high: i64, dtype: Option<DType>, device: Option<On>)
        Tensor::randint(low, high, input.shape(), options_of(&input, dtype, device));
    "bernoulli"(input: Tensor) input.bernoulli();
    "bernoulli"(input: Tensor, p: f64) input.full_like(p)?.bernoulli();

    "clone"(input: Tensor) input.clone_data();
    "item"(input: Tensor) match input.dtype() {
        DType::Bool => input.item::<bool>().map(Scalar::Bool),
        d if d.is_float() => input.item::<f64>().map(Scalar::Float),
        DType::U64 => input.item::<u64>().map(Scalar::UInt),
        _ => input.item::<i64>().map(Scalar::Int),
    };
    "to"(input: Tensor, dtype: DType, non_blocking: bool = false, copy: bool = false) {
        let _ = (non_blocking, copy);
        input.to_dtype(dtype)
    };
    "to"(input: Tensor, device: On, dtype: Option<DType>, non_blocking: bool = false, copy: bool = false) {
        let _ = (non_blocking, copy);
        let moved = input.to(&device.0)?;
        dtype.map_or(Ok(moved.clone()), |d| moved.to_dtype(d))
    };
    "to"(input: Tensor, other: Tensor, non_blocking: bool = false, copy: bool = false) {
        let _ = (non_blocking, copy);
        input.to(other.device())?.to_dtype(other.dtype())
    };
    "bool"(input: Tensor) input.to_dtype(DType::Bool);
    "byte"(input: Tensor) input.to_dtype(DType::U8);
    "char"(input: Tensor) input.to_dtype(DType::I8);
    "short"(input: Tensor) input.to_dtype(DType::I16);
    "int"(input: Tensor) input.to_dtype(DType::I32);
    "long"(input: Tensor) input.to_dtype(DType::I64);
    "half"(input: Tensor) input.to_dtype(DType::F16);
    "bfloat16"(input: Tensor) input.to_dtype(DType::BF16);
    "float"(input: Tensor) input.to_dtype(DType::F32);
    "double"(input: Tensor) input.to_dtype(DType::F64);
}
