//! Arranging tensors: stacks, pieces, grids, what is made from shapes alone, and views in place.

use super::convert::{Ints, On, Over, Variadic};
use super::{Value, rows};
use crate::dtype::{DType, Scalar};
use crate::error::{Error, Result};
use crate::shape::{Shape, broadcast};
use crate::tensor::{Indexing, Tensor, TensorOptions};

fn options(dtype: Option<DType>, device: On) -> TensorOptions {
    TensorOptions { dtype, device: device.0 }
}

fn each(tensors: Vec<Tensor>, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
    tensors.iter().map(f).collect()
}

/// Pieces: so many of them, or between indices.
fn pieces(op: &'static str, input: &Tensor, at: Value, dim: isize, equal: bool) -> Result<Vec<Tensor>> {
    match at {
        Value::Int(n) => {
            let sections = usize::try_from(n).ok().filter(|&n| n > 0);
            let size = input.size(dim)?;
            match sections {
                Some(n) if !equal || size % n == 0 => input.tensor_split(n, dim),
                _ => Err(Error::argument(op, format!("dimension {dim} of {:?} does not split into {n} equal sections", input.shape()))),
            }
        }
        Value::List(list) => {
            let ints = list.into_iter().map(|v| match v {
                Value::Int(i) => Ok(isize::try_from(i).unwrap_or(isize::MAX)),
                other => Err(Error::argument(op, format!("an index cannot be {}", other.kind()))),
            });
            input.tensor_split_at(&ints.collect::<Result<Vec<_>>>()?, dim)
        }
        Value::Tensor(t) if t.dtype() == DType::I64 && t.rank() == 0 => pieces(op, input, Value::Int(t.item::<i64>()?), dim, equal),
        Value::Tensor(t) if t.dtype() == DType::I64 && t.rank() == 1 => {
            pieces(op, input, Value::List(t.to_vec::<i64>()?.into_iter().map(Value::Int).collect()), dim, equal)
        }
        other => Err(Error::argument(op, format!("expected a number of sections or indices, got {}", other.kind()))),
    }
}

fn expect_rank(op: &'static str, input: &Tensor, least: usize) -> Result<()> {
    if input.rank() < least {
        return Err(Error::argument(op, format!("{:?} has fewer than {least} dimensions", input.shape())));
    }
    Ok(())
}

/// A number, or a tensor without dimensions, which is read.
fn number(op: &'static str, v: Value) -> Result<Scalar> {
    match v {
        Value::Int(i) => Ok(Scalar::Int(i)),
        Value::Float(f) => Ok(Scalar::Float(f)),
        Value::Bool(b) => Ok(Scalar::Bool(b)),
        Value::Tensor(t) if t.rank() == 0 => match t.dtype() {
            d if d.is_float() => t.item::<f64>().map(Scalar::Float),
            _ => t.to_dtype(DType::I64)?.item::<i64>().map(Scalar::Int),
        },
        other => Err(Error::argument(op, format!("expected a number or a tensor without dimensions, got {}", other.kind()))),
    }
}

fn indexing(name: Option<String>) -> Result<Indexing> {
    match name.as_deref() {
        None | Some("ij") => Ok(Indexing::Ij),
        Some("xy") => Ok(Indexing::Xy),
        Some(other) => Err(Error::argument("meshgrid", format!("indexing '{other}' is neither ij nor xy"))),
    }
}

/// Other sizes over the same memory: what there is, and behind it whatever.
fn resized(input: &Tensor, size: &[usize]) -> Result<Tensor> {
    let (own, wanted) = (input.numel(), crate::shape::checked_numel("resize_", size)?);
    let flat = input.reshape([-1isize])?;
    let flat = if wanted <= own { flat.narrow(0, 0, wanted)? } else { flat.pad([0, (wanted - own) as isize], "constant", 0)? };
    flat.reshape(size)
}

/// Chunks of each tensor along `dim`, padded to equal size and flattened behind it, side by side.
fn chunk_cat(tensors: &[Tensor], dim: isize, chunks: usize) -> Result<Tensor> {
    const OP: &str = "_chunk_cat";
    let first = tensors.first().ok_or_else(|| Error::argument(OP, "needs at least one tensor"))?;
    let same_rank = tensors.iter().all(|t| t.rank() == first.rank());
    let d = if dim < 0 && same_rank { dim + first.rank() as isize } else { dim };
    let d = usize::try_from(d).map_err(|_| Error::argument(OP, format!("dimension {dim} of tensors of different rank")))?;
    if chunks == 0 {
        return Err(Error::argument(OP, "0 chunks"));
    }
    let flattened = |t: &Tensor| {
        if d >= t.rank() || t.shape()[..d] != first.shape()[..d.min(first.rank())] || t.numel() == 0 {
            return Err(Error::argument(OP, format!("{:?} does not go along dimension {dim} with {:?}", t.shape(), first.shape())));
        }
        let mut amounts = vec![0isize; 2 * (t.rank() - d)];
        let last = amounts.len() - 1;
        amounts[last] = (t.shape()[d].next_multiple_of(chunks) - t.shape()[d]) as isize;
        let mut shape: Vec<isize> = t.shape()[..d].iter().map(|&n| n as isize).collect();
        shape.extend([chunks as isize, -1]);
        t.pad(amounts, "constant", 0)?.reshape(shape)
    };
    Tensor::cat(&tensors.iter().map(flattened).collect::<Result<Vec<_>>>()?, d as isize + 1)
}

/// A tensor's memory in any order of strides: values are undefined, and strides are not the caller's business here.
fn empty_permuted(size: Vec<usize>, layout: Vec<isize>, options: TensorOptions) -> Result<Tensor> {
    let mut seen = vec![false; size.len()];
    let fits = layout.len() == size.len()
        && layout.iter().all(|&d| usize::try_from(d).ok().and_then(|d| seen.get_mut(d)).is_some_and(|s| !std::mem::replace(s, true)));
    if !fits {
        return Err(Error::argument("empty_permuted", format!("{layout:?} is no order of {} dimensions", size.len())));
    }
    Tensor::empty(size, options)
}

fn empty_strided(size: Vec<usize>, stride: Vec<usize>, options: TensorOptions) -> Result<Tensor> {
    if size.len() != stride.len() {
        return Err(Error::argument("empty_strided", format!("{} sizes and {} strides", size.len(), stride.len())));
    }
    Tensor::empty(size, options)
}

rows! {
    "atleast_1d"(input: Tensor) input.atleast_1d();
    "atleast_1d"(tensors: Variadic<Tensor>) each(tensors.0, Tensor::atleast_1d);
    "atleast_2d"(input: Tensor) input.atleast_2d();
    "atleast_2d"(tensors: Variadic<Tensor>) each(tensors.0, Tensor::atleast_2d);
    "atleast_3d"(input: Tensor) input.atleast_3d();
    "atleast_3d"(tensors: Variadic<Tensor>) each(tensors.0, Tensor::atleast_3d);
    "sum_to_size"(input: Tensor, size: Variadic<isize>) input.sum_to_size(size.0);
    "broadcast_tensors"(tensors: Variadic<Tensor>) Tensor::broadcast_tensors(&tensors.0);
    "broadcast_shapes"(shapes: Variadic<Ints>) {
        let mut out = Shape::new();
        for Ints(shape) in shapes.0 {
            let negative = |_| Error::argument("broadcast_shapes", format!("{shape:?} has a negative size"));
            let shape: Shape = shape.iter().map(|&n| usize::try_from(n)).collect::<std::result::Result<_, _>>().map_err(negative)?;
            out = broadcast("broadcast_shapes", &out, &shape)?;
        }
        Ok(out.to_vec())
    };
    "hstack"(tensors: Vec<Tensor>) Tensor::hstack(&tensors);
    "vstack"(tensors: Vec<Tensor>) Tensor::vstack(&tensors);
    "dstack"(tensors: Vec<Tensor>) Tensor::dstack(&tensors);
    "column_stack"(tensors: Vec<Tensor>) Tensor::column_stack(&tensors);
    "block_diag"(tensors: Variadic<Tensor>) Tensor::block_diag(&tensors.0);
    "tensor_split"(input: Tensor, indices_or_sections: Value, dim: isize = 0) pieces("tensor_split", &input, indices_or_sections, dim, false);
    "tensor_split"(input: Tensor, sections: isize, dim: isize = 0) pieces("tensor_split", &input, Value::Int(sections as i64), dim, false);
    "tensor_split"(input: Tensor, indices: Vec<Value>, dim: isize = 0) pieces("tensor_split", &input, Value::List(indices), dim, false);
    "hsplit"(input: Tensor, indices_or_sections: Value) {
        expect_rank("hsplit", &input, 1)?;
        pieces("hsplit", &input, indices_or_sections, (input.rank() > 1) as isize, true)
    };
    "vsplit"(input: Tensor, indices_or_sections: Value) {
        expect_rank("vsplit", &input, 2)?;
        pieces("vsplit", &input, indices_or_sections, 0, true)
    };
    "dsplit"(input: Tensor, indices_or_sections: Value) {
        expect_rank("dsplit", &input, 3)?;
        pieces("dsplit", &input, indices_or_sections, 2, true)
    };
    "unsafe_chunk"(input: Tensor, chunks: usize, dim: isize = 0) input.chunk(chunks, dim);
    "unsafe_split"(input: Tensor, split_size: usize, dim: isize = 0) input.split(split_size, dim);
    "unsafe_split_with_sizes"(input: Tensor, split_sizes: Vec<usize>, dim: isize = 0) input.split_sizes(&split_sizes, dim);
    "_chunk_cat"(tensors: Vec<Tensor>, dim: isize, num_chunks: usize) chunk_cat(&tensors, dim, num_chunks);
    "rot90"(input: Tensor, k: isize = 1, dims: Vec<isize> = vec![0, 1]) {
        let [a, b] = dims[..] else { return Err(Error::argument("rot90", format!("rotates two dimensions, not {}", dims.len()))) };
        input.rot90(k, a, b)
    };
    "meshgrid"(tensors: Variadic<Tensor>, indexing: Option<String>) Tensor::meshgrid(&tensors.0, self::indexing(indexing)?);
    "cartesian_prod"(tensors: Variadic<Tensor>) Tensor::cartesian_prod(&tensors.0);
    "combinations"(input: Tensor, r: usize = 2, with_replacement: bool = false) input.combinations(r, with_replacement);
    "diag"(input: Tensor, diagonal: isize = 0) input.diag(diagonal);
    "diagflat"(input: Tensor, offset: isize = 0) input.diagflat(offset);
    "trace"(input: Tensor) input.trace();
    "unravel_index"(indices: Tensor, shape: Vec<usize>) indices.unravel_index(&shape);

    "tril_indices"(row: usize, col: usize, offset: isize = 0, dtype: Option<DType>, device: On) Tensor::tril_indices(row, col, offset, options(dtype, device));
    "triu_indices"(row: usize, col: usize, offset: isize = 0, dtype: Option<DType>, device: On) Tensor::triu_indices(row, col, offset, options(dtype, device));
    "linspace"(start: Value, end: Value, steps: usize, dtype: Option<DType>, device: On)
        Tensor::linspace(number("linspace", start)?, number("linspace", end)?, steps, options(dtype, device));
    "logspace"(start: Value, end: Value, steps: usize, base: f64 = 10.0, dtype: Option<DType>, device: On)
        Tensor::logspace(number("logspace", start)?, number("logspace", end)?, steps, base, options(dtype, device));
    "empty_strided"(size: Vec<usize>, stride: Vec<usize>, dtype: Option<DType>, device: On) empty_strided(size, stride, options(dtype, device));
    "new_empty_strided"(input: Tensor, size: Vec<usize>, stride: Vec<usize>, dtype: Option<DType>, device: Option<On>) {
        let device = device.map_or(input.device().clone(), |d| d.0);
        empty_strided(size, stride, TensorOptions { dtype: Some(dtype.unwrap_or(input.dtype())), device })
    };
    "empty_permuted"(size: Vec<usize>, physical_layout: Vec<isize>, dtype: Option<DType>, device: On)
        empty_permuted(size, physical_layout, options(dtype, device));

    "alias"(input: Tensor) Ok(input);
    // A handle's shape never changes: these give the view, and writing to it writes to the input.
    "squeeze_"(input: Tensor, dim: Over) input.squeeze(dim);
    "unsqueeze_"(input: Tensor, dim: isize) input.unsqueeze(dim);
    "transpose_"(input: Tensor, dim0: isize, dim1: isize) input.transpose(dim0, dim1);
    "swapaxes_"(input: Tensor, axis0: isize, axis1: isize) input.transpose(axis0, axis1);
    "swapdims_"(input: Tensor, dim0: isize, dim1: isize) input.transpose(dim0, dim1);
    "t_"(input: Tensor) input.t();
    "as_strided_"(input: Tensor, size: Vec<usize>, stride: Vec<isize>, storage_offset: usize = 0) input.as_strided(&size, &stride, storage_offset);
    "resize_"(input: Tensor, size: Variadic<usize>) resized(&input, &size.0);
    "resize_as_"(input: Tensor, the_template: Tensor) resized(&input, the_template.shape());

    "backward"(input: Tensor, gradient: Option<Tensor>, retain_graph: bool = false, create_graph: bool = false) {
        input.backward_with(gradient.as_ref(), retain_graph, create_graph)?;
        Ok(Value::None)
    };
    "requires_grad_"(input: Tensor, requires_grad: bool = true) input.requires_grad_(requires_grad).cloned();
}

/// The view whose copy the operator `name` gives.
pub(super) fn copied(name: &str) -> Option<&'static str> {
    super::overloads(name.strip_suffix("_copy")?).first().map(|op| op.name)
}

/// Tensors of their own.
pub(super) fn copies(v: Value) -> Result<Value> {
    match v {
        Value::Tensor(t) => t.clone_data().map(Value::Tensor),
        Value::List(list) => list.into_iter().map(copies).collect::<Result<_>>().map(Value::List),
        other => Ok(other),
    }
}
