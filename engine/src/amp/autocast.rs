//! Scopes in which operators choose their precision.

use std::cell::Cell;
use std::marker::PhantomData;

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

thread_local! {
    static TARGET: Cell<Option<DType>> = const { Cell::new(None) };
}

/// A scope of [`autocast`]; the earlier one returns when it is dropped. Not `Send`, so that it cannot leak across an
/// `await` into another task.
#[derive(Debug)]
#[must_use = "the scope lasts as long as the guard"]
pub struct Autocast {
    before: Option<DType>,
    not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Operators compute in `dtype` where that is safe; `None` switches the choice off.
    ///
    /// # Errors
    /// A type that is not f16 or bf16.
    pub fn new(dtype: Option<DType>) -> Result<Autocast> {
        match dtype {
            None | Some(DType::F16 | DType::BF16) => Ok(enter(dtype)),
            Some(other) => Err(Error::dtype("autocast", format!("the lower precision is f16 or bf16, not {other}"))),
        }
    }
}

fn enter(dtype: Option<DType>) -> Autocast {
    Autocast { before: TARGET.replace(dtype), not_send: PhantomData }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        TARGET.set(self.before);
    }
}

/// Runs `f` with operators in mixed precision, as `torch.autocast`. Nests; what is differentiated afterwards is
/// differentiated in the precision it was computed in.
///
/// Matrix products, convolutions and attention compute in `dtype` (`f16` or `bf16`). Exponentials, logarithms, powers, sums and
/// what is made of them (softmax, norms, losses) compute in f32. Everything else follows its inputs, the widest winning.
/// f64 is left alone.
///
/// # Errors
/// Another type; what `f` reports.
pub fn autocast<T>(dtype: DType, f: impl FnOnce() -> Result<T>) -> Result<T> {
    let _scope = Autocast::new(Some(dtype))?;
    f()
}

/// The lower precision of the scope this thread is in.
pub fn autocast_dtype() -> Option<DType> {
    TARGET.get()
}

/// No choices until the guard is dropped: while gradients are computed.
pub(crate) fn suspend() -> Autocast {
    enter(None)
}

/// The operands of a product in the lower precision; `None` outside a scope, or when they are in it already.
#[track_caller]
pub(crate) fn lowered(x: &Tensor, w: &Tensor, more: Option<&Tensor>) -> Result<Option<(Tensor, Tensor, Option<Tensor>)>> {
    let Some(low) = TARGET.get() else { return Ok(None) };
    let all = || [Some(x), Some(w), more].into_iter().flatten();
    if !all().all(|t| changes(t, low) || t.dtype() == low) || !all().any(|t| changes(t, low)) {
        return Ok(None);
    }
    Ok(Some((x.to_dtype(low)?, w.to_dtype(low)?, more.map(|t| t.to_dtype(low)).transpose()?)))
}

/// `t` in f32 inside a scope: for what is made of many operators and wants digits throughout.
#[track_caller]
pub(crate) fn full(t: &Tensor) -> Result<Tensor> {
    if TARGET.get().is_some() && changes(t, DType::F32) { t.to_dtype(DType::F32) } else { Ok(t.clone()) }
}

/// Whether a tensor is cast to `wanted`: f64 and integers are left alone.
fn changes(t: &Tensor, wanted: DType) -> bool {
    matches!(t.dtype(), DType::F16 | DType::BF16 | DType::F32) && t.dtype() != wanted
}

/// Operators that lose range or digits in low precision.
const FULL: &[&str] = &[
    "exp",
    "exp2",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "pow",
    "reciprocal",
    "rsqrt",
    "acos",
    "asin",
    "cosh",
    "sinh",
    "tan",
    "erfinv",
    "softplus",
    "logaddexp",
    "sum",
    "prod",
    "cumsum",
    "cumprod",
    "logcumsumexp",
    "softmax",
    "log_softmax",
    "layer_norm",
    "norm",
    "fft",
];

/// The inputs of an operator in f32 where the scope wants them so; `None` where they are right already.
#[track_caller]
pub(crate) fn cast_inputs(op: &'static str, inputs: &[&Tensor]) -> Result<Option<SmallVec<[Tensor; 3]>>> {
    if TARGET.get().is_none() || !FULL.contains(&op) || !inputs.iter().any(|t| changes(t, DType::F32)) {
        return Ok(None);
    }
    // In f64 company the widest has won already.
    if inputs.iter().any(|t| t.dtype() == DType::F64) {
        return Ok(None);
    }
    let cast = |t: &&Tensor| if changes(t, DType::F32) { t.to_dtype(DType::F32) } else { Ok((*t).clone()) };
    inputs.iter().map(cast).collect::<Result<_>>().map(Some)
}
