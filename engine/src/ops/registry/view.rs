//! Views, and putting tensors together.

use super::convert::{Ints, Over, Variadic};
use super::rows;
use crate::dtype::Scalar;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

rows! {
    "reshape"(input: Tensor, shape: Variadic<isize>) input.reshape(shape.0);
    "view"(input: Tensor, size: Variadic<isize>) input.view(size.0);
    "reshape_as"(input: Tensor, other: Tensor) input.reshape(other.shape());
    "view_as"(input: Tensor, other: Tensor) input.view(other.shape());
    "ravel"(input: Tensor) input.reshape([-1]);
    "flatten"(input: Tensor, start_dim: isize = 0, end_dim: isize = -1) input.flatten(start_dim, end_dim);
    "unflatten"(input: Tensor, dim: isize, sizes: Vec<isize>) input.unflatten(dim, sizes);
    "permute"(input: Tensor, dims: Variadic<isize>) input.permute(dims.0);
    "transpose"(input: Tensor, dim0: isize, dim1: isize) input.transpose(dim0, dim1);
    "t"(input: Tensor) if input.rank() < 2 { Ok(input) } else { input.t() };
    "T"(input: Tensor) {
        let dims: Vec<isize> = (0..input.rank() as isize).rev().collect();
        input.permute(dims)
    };
    "mT"(input: Tensor) input.mt();
    "movedim"(input: Tensor, source: Ints, destination: Ints) input.movedim(source.0, destination.0);
    "expand"(input: Tensor, size: Variadic<isize>) input.expand(size.0);
    "expand_as"(input: Tensor, other: Tensor) input.expand(other.shape());
    "broadcast_to"(input: Tensor, size: Vec<isize>) input.broadcast_to(size);
    "squeeze"(input: Tensor, dim: Over) squeeze(&input, dim);
    "unsqueeze"(input: Tensor, dim: isize) input.unsqueeze(dim);
    "contiguous"(input: Tensor) input.contiguous();
    "slice"(input: Tensor, dim: isize = 0, start: Option<isize>, end: Option<isize>, step: isize = 1)
        input.slice(dim, start.unwrap_or(0), end.unwrap_or(isize::MAX), step);
    "narrow"(input: Tensor, dim: isize, start: isize, length: usize) narrow(&input, dim, start, length);
    "narrow"(input: Tensor, dim: isize, start: Tensor, length: usize) {
        if start.rank() > 0 || !start.dtype().is_int() {
            return Err(Error::argument("narrow", "a start that is a tensor must be one integer without dimensions"));
        }
        narrow(&input, dim, start.item::<i64>()? as isize, length)
    };
    "select"(input: Tensor, dim: isize, index: isize) input.select(dim, index);
    "flip"(input: Tensor, dims: Variadic<isize>) input.flip(dims.0);
    "fliplr"(input: Tensor) input.flip(1);
    "flipud"(input: Tensor) {
        if input.rank() == 0 {
            return Err(Error::argument("flipud", "needs at least one dimension"));
        }
        input.flip(0)
    };
    "unfold"(input: Tensor, dimension: isize, size: usize, step: usize) input.unfold(dimension, size, step);
    "as_strided"(input: Tensor, size: Vec<usize>, stride: Vec<isize>, storage_offset: usize = 0) input.as_strided(&size, &stride, storage_offset);
    "diagonal"(input: Tensor, offset: isize = 0, dim1: isize = 0, dim2: isize = 1) input.diagonal(offset, dim1, dim2);
    "split"(input: Tensor, split_size: usize, dim: isize = 0) input.split(split_size, dim);
    "split"(input: Tensor, split_size: Vec<usize>, dim: isize = 0) input.split_sizes(&split_size, dim);
    "split_with_sizes"(input: Tensor, split_sizes: Vec<usize>, dim: isize = 0) input.split_sizes(&split_sizes, dim);
    "chunk"(input: Tensor, chunks: usize, dim: isize = 0) input.chunk(chunks, dim);
    "unbind"(input: Tensor, dim: isize = 0) input.unbind(dim);

    "cat"(tensors: Vec<Tensor>, dim: isize = 0) Tensor::cat(&tensors, dim);
    "stack"(tensors: Vec<Tensor>, dim: isize = 0) Tensor::stack(&tensors, dim);
    "diag_embed"(input: Tensor, offset: isize = 0, dim1: isize = -2, dim2: isize = -1) input.diag_embed(offset, dim1, dim2);
    "nn.functional.pad"(input: Tensor, pad: Vec<isize>, mode: String = "constant".into(), value: Option<Scalar>)
        input.pad(pad, &mode, value.unwrap_or(Scalar::Int(0)));
    "constant_pad_nd"(input: Tensor, pad: Vec<isize>, value: Scalar = Scalar::Int(0)) input.pad(pad, "constant", value);
    "roll"(input: Tensor, shifts: Ints, dims: Option<Ints>) input.roll(shifts.0, dims.map_or_else(Vec::new, |d| d.0));
    "repeat"(input: Tensor, repeats: Variadic<isize>) input.repeat(repeats.0);
    "tile"(input: Tensor, dims: Variadic<isize>) {
        let missing = input.rank().saturating_sub(dims.0.len());
        let dims: Vec<isize> = std::iter::repeat_n(1, missing).chain(dims.0).collect();
        input.repeat(dims)
    };
    "tril"(input: Tensor, diagonal: isize = 0) input.tril(diagonal);
    "triu"(input: Tensor, diagonal: isize = 0) input.triu(diagonal);
}

fn narrow(input: &Tensor, dim: isize, start: isize, length: usize) -> Result<Tensor> {
    let size = input.size(dim)? as isize;
    let from = if start < 0 { start.saturating_add(size) } else { start };
    let from = usize::try_from(from).map_err(|_| Error::index("narrow", format!("start {start} is out of range for size {size}")))?;
    input.narrow(dim, from, length)
}

fn squeeze(input: &Tensor, dim: Over) -> Result<Tensor> {
    input.squeeze(dim)
}
