//! Writing at indices: replacing, adding, multiplying, the larger or the smaller, element by element or whole slices.
//!
//! The same bits every time: each element of the result takes its contributions in the order of the indices,
//! on the CPU and on a GPU, without atomics. A GPU sorts the indices first, where there are many.

use bytemuck::Pod;
use smallvec::smallvec;

use super::gather::{GROUP, Pick, around, checked_indices, computed, expect_beside, expect_indices, groups};
use super::op::{Grads, Kind, Op, Saves, Spec};
use super::sort::{order_of, sorted};
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::tensor::Tensor;

/// What is left of an old element and one that is written there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// The new one: where an index occurs twice, the last one stays.
    Put,
    Add,
    Multiply,
    /// The larger; a NaN wins.
    Max,
    /// The smaller; a NaN wins.
    Min,
}

/// `y = base`, then along `dim` for every `j` in order: `y[.., index[.., j, ..], ..]` becomes what `how` makes of it and
/// `src[.., j, ..]`. Inputs: base, index, src. [`How::Put`] and [`How::Add`] have a gradient.
#[derive(Debug, Clone)]
pub(crate) struct Scatter {
    pub dim: usize,
    pub pick: Pick,
    pub how: How,
}

impl Op for Scatter {
    fn name(&self) -> &'static str {
        match (self.pick, self.how) {
            (Pick::Element, How::Put) => "scatter",
            (Pick::Element, How::Add) => "scatter_add",
            (Pick::Element, _) => "scatter_reduce",
            (Pick::Slice, How::Put) => "index_copy",
            (Pick::Slice, How::Add) => "index_add",
            (Pick::Slice, _) => "index_reduce",
        }
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let (base, index, src) = (&inputs[0], &inputs[1], &inputs[2]);
        expect_indices(self.name(), index)?;
        if base.dtype != src.dtype {
            return Err(Error::dtype(self.name(), format!("the source is {}, the tensor {}", src.dtype, base.dtype)));
        }
        if self.how != How::Put && base.dtype == DType::Bool {
            return Err(Error::dtype(self.name(), "bools do not combine; convert them to integers first"));
        }
        expect_beside(self.name(), self.dim, &base.shape, "the source", &src.shape)?;
        let fits = match self.pick {
            Pick::Element => index.shape == src.shape,
            Pick::Slice => index.shape[..] == [src.shape[self.dim]],
        };
        if !fits {
            return Err(Error::argument(
                self.name(),
                format!("index {:?} does not fit a source of {:?}", &index.shape[..], &src.shape[..]),
            ));
        }
        Ok(Spec { dtype: computed(base.dtype), shape: base.shape.clone() })
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.extend([self.dim as u64, self.how as u64]);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 0b10, output: false }
    }

    /// d base = dy, zeroed where it was replaced; d src = dy read at the indices.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        if !matches!(self.how, How::Put | How::Add) {
            return Err(Error::autograd(self.name(), "this reduction has its gradient in the method that calls it"));
        }
        let (index, dim) = (ctx.input(1)?, self.dim as isize);
        let base = match self.pick {
            _ if !ctx.needs(0) => None,
            _ if self.how == How::Add => Some(dy.to_dtype(ctx.spec(0).dtype)?),
            Pick::Element => Some(dy.scatter_value(dim, index, 0)?.to_dtype(ctx.spec(0).dtype)?),
            Pick::Slice => Some(dy.index_fill(dim, index, 0)?.to_dtype(ctx.spec(0).dtype)?),
        };
        let src = match self.pick {
            _ if !ctx.needs(2) => None,
            Pick::Element => Some(dy.gather(dim, index)?.to_dtype(ctx.spec(2).dtype)?),
            Pick::Slice => Some(dy.index_select(dim, index)?.to_dtype(ctx.spec(2).dtype)?),
        };
        Ok(smallvec![base, None, src])
    }
}

impl Compute for Scatter {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let index = checked_indices(self.name(), &inputs[1], self.dim, out.shape[self.dim])?;
        macro_rules! put {
            ($t:ty, $put:expr) => {
                self.write::<$t>(&inputs[0], &index, &inputs[2], out, $put)
            };
        }
        match (self.how, out.dtype) {
            (How::Put, d) => match d.size() {
                1 => put!(u8, |y, x| *y = x),
                2 => put!(u16, |y, x| *y = x),
                4 => put!(u32, |y, x| *y = x),
                _ => put!(u64, |y, x| *y = x),
            },
            (how, DType::F32) => put!(f32, float(how)),
            (how, DType::F64) => put!(f64, float(how)),
            // Wrapping sums and products are the same for signed and unsigned integers.
            (How::Add, d) => match d.size() {
                1 => put!(u8, |y, x| *y = y.wrapping_add(x)),
                2 => put!(u16, |y, x| *y = y.wrapping_add(x)),
                4 => put!(u32, |y, x| *y = y.wrapping_add(x)),
                _ => put!(u64, |y, x| *y = y.wrapping_add(x)),
            },
            (How::Multiply, d) => match d.size() {
                1 => put!(u8, |y, x| *y = y.wrapping_mul(x)),
                2 => put!(u16, |y, x| *y = y.wrapping_mul(x)),
                4 => put!(u32, |y, x| *y = y.wrapping_mul(x)),
                _ => put!(u64, |y, x| *y = y.wrapping_mul(x)),
            },
            (how, DType::U8) => put!(u8, extreme(how)),
            (how, DType::I8) => put!(i8, extreme(how)),
            (how, DType::U16) => put!(u16, extreme(how)),
            (how, DType::I16) => put!(i16, extreme(how)),
            (how, DType::U32) => put!(u32, extreme(how)),
            (how, DType::I32) => put!(i32, extreme(how)),
            (how, DType::U64) => put!(u64, extreme(how)),
            (how, _) => put!(i64, extreme(how)),
        }
        Ok(())
    }

    /// A few indices: each element of the result looks at all of its slice (scatter.wgsl). Many: the indices are sorted,
    /// and each element walks along those that name it (scatter_heads.wgsl). Lists of 2^24 and more are the host's.
    fn gpu(&self, inputs: &[GpuOperand<'_>], output: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let (outer, size, inner) = around(&output.layout.shape, self.dim);
        let n = inputs[2].layout.shape[self.dim];
        if !adapter.allows_rounds(n) {
            return None;
        }
        let count = output.layout.numel();
        let slices = self.pick == Pick::Slice;
        // Lists of n indices each, (outer, inner) of them.
        let (lists, apart) = if slices { ((1, 1), 1) } else { ((outer, inner), inner) };
        let (indices, heads) = (lists.0 * lists.1 * n, lists.0 * lists.1 * size);
        let launch = |shader, reads, write, threads: usize, inner: usize| Launch {
            shader,
            consts: vec![("SLICES", slices as u32), ("HOW", self.how as u32), ("ORDER", order_of(output.dtype))],
            reads,
            write,
            params: [threads, n, inner, size].map(|v| v as u32).to_vec(),
            patches: vec![],
            groups: groups(threads, GROUP),
        };
        let (base, index, src) = (|| Read::input("base", 0), || Read::input("index", 1), || Read::input("src", 2));
        let deep = n.max(2).ilog2() as usize;
        let sorting = n > 64 && indices.saturating_mul(deep * deep) + heads + count < count.saturating_mul(n);
        if !sorting {
            let scan = launch("scatter", vec![base(), index(), src()], Write::Output, count, inner);
            return Some(Launches { launches: vec![scan], scratch: vec![] });
        }
        let (mut launches, from, mut scratch) = sorted(Read::input("x", 1), order_of(DType::I32), false, (lists.0, n, lists.1))?;
        let table = scratch.len();
        scratch.push(heads);
        let runs = || Read::scratch("runs", from);
        launches.push(launch("scatter_clear", vec![], Write::Scratch(table), heads, apart));
        launches.push(launch("scatter_heads", vec![index(), runs()], Write::Scratch(table), indices, apart));
        let walk = vec![base(), index(), src(), runs(), Read::scratch("head", table)];
        launches.push(launch("scatter_walk", walk, Write::Output, count, inner));
        Some(Launches { launches, scratch })
    }

    fn epilogue(&self) -> bool {
        true
    }

    /// The sorted positions, and where each place's run begins.
    fn own_buffers(&self) -> usize {
        2
    }
}

/// How two floats combine.
fn float<T: super::Float>(how: How) -> impl Fn(&mut T, T) + Sync {
    #[allow(clippy::eq_op)]
    let nan = |v: T| v != v;
    move |y, x| match how {
        How::Add => *y += x,
        How::Multiply => *y = *y * x,
        How::Max if nan(x) || x > *y => *y = x,
        How::Min if nan(x) || x < *y => *y = x,
        _ => {}
    }
}

/// The larger or the smaller of two integers.
fn extreme<T: Ord + Copy>(how: How) -> impl Fn(&mut T, T) + Sync {
    move |y, x| *y = if how == How::Max { x.max(*y) } else { x.min(*y) }
}

impl Scatter {
    /// Each task owns some rows of the result and looks for them in all indices of their slice.
    fn write<T: Pod + Send + Sync>(
        &self,
        base: &CpuIn<'_>,
        index: &[i64],
        src: &CpuIn<'_>,
        out: &mut CpuOut<'_>,
        put: impl Fn(&mut T, T) + Sync,
    ) {
        let (_, size, inner) = around(out.shape, self.dim);
        let n = src.shape()[self.dim];
        let (base, src) = (base.data::<T>(), src.data::<T>());
        let y = out.data::<T>();
        y.copy_from_slice(base);
        if inner == 0 || size == 0 {
            return;
        }
        // Rows of one task: a whole slice, or a part of it where there are too few slices to share out.
        let slices = y.len() / (size * inner);
        let tasks = threads();
        let parts = if slices >= tasks || y.len() < 1 << 15 { 1 } else { tasks.div_ceil(slices).min(size) };
        let rows = size.div_ceil(parts);
        let blocks = y
            .chunks_mut(size * inner)
            .enumerate()
            .flat_map(|(s, slice)| slice.chunks_mut(rows * inner).enumerate().map(move |(b, y)| (s, b * rows, y)));
        for_each(blocks.collect(), |(slice, first, y): (usize, usize, &mut [T])| {
            let own = first as i64..(first + y.len() / inner) as i64;
            match self.pick {
                Pick::Slice => {
                    for (j, at) in index.iter().enumerate().filter(|(_, at)| own.contains(at)) {
                        let to = (*at as usize - first) * inner;
                        let from = (slice * n + j) * inner;
                        y[to..to + inner].iter_mut().zip(&src[from..from + inner]).for_each(|(y, &x)| put(y, x));
                    }
                }
                Pick::Element => {
                    for j in slice * n..(slice + 1) * n {
                        for (c, at) in index[j * inner..(j + 1) * inner].iter().enumerate().filter(|(_, at)| own.contains(at)) {
                            put(&mut y[(*at as usize - first) * inner + c], src[j * inner + c]);
                        }
                    }
                }
            }
        });
    }
}

/// One task a thread, since each reads all indices of its slice. What an element gets, and in which order, does not depend
/// on how the rows are shared out.
fn threads() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    return rayon::current_num_threads().min(32);
    #[cfg(target_arch = "wasm32")]
    1
}

fn for_each<T: Send>(tasks: Vec<T>, f: impl Fn(T) + Sync + Send) {
    #[cfg(not(target_arch = "wasm32"))]
    if tasks.len() > 1 {
        use rayon::prelude::*;
        tasks.into_par_iter().for_each(f);
        return;
    }
    tasks.into_iter().for_each(f);
}
