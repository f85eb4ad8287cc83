//! Few long rows: each is cut into chunks that are reduced side by side into scratch memory, and a second
//! kernel reduces those. The sum of a whole tensor, a bias gradient over a large batch.
//!
//! Both halves are ordinary row programs: the first has one more outer dimension, the chunk, and writes what its
//! reductions give; the second has the chunks for columns, and goes on as the original did.

use smallvec::SmallVec;

use crate::dtype::DType;
use crate::graph::kernel::{Access, Fused, Instr, RegId, Store, ValueId};
use crate::ops::{Class, Combine};
use crate::runtime::Adapter;
use crate::shape::{Strides, contiguous_strides};

/// A value that is scratch buffer 0.
pub(super) const SCRATCH: ValueId = ValueId::MAX;

/// Columns that one lane may take on a software adapter: llvmpipe ends every loop of an invocation, without a word, after
/// 65,535 rounds altogether.
pub(super) const LONGEST: usize = 1 << 14;

#[derive(Debug)]
pub(super) struct Split {
    pub first: Fused,
    pub chunks: usize,
    pub second: Fused,
    /// Words of scratch.
    pub words: usize,
}

/// The halves of a program, if it has few enough rows, long enough ones, and one sweep that only reduces.
pub(super) fn split(f: &Fused, adapter: &Adapter) -> Option<Split> {
    let (rows, cols) = (f.rows(), f.cols());
    let (wanted, shortest) = if adapter.software { (64, 4096) } else { (512, 4096) };
    let long = adapter.software && cols > LONGEST;
    if (rows * 4 > wanted && !long) || cols < shortest {
        return None;
    }
    let reduces: Vec<(RegId, Combine, RegId)> = f
        .instrs
        .iter()
        .enumerate()
        .filter_map(|(r, i)| if let Instr::Reduce { combine, arg } = i { Some((r, *combine, *arg)) } else { None })
        .collect();
    let splits = |(_, combine, arg): &(RegId, Combine, RegId)| {
        !matches!(combine, Combine::ArgMax | Combine::ArgMin) && f.dtypes[*arg].class() != Class::Bool && !reads_reduction(f, *arg)
    };
    if !reduces.iter().all(splits) || f.stores.iter().any(|s| !f.once_a_row(s)) {
        return None;
    }
    // A power of two, so that the second kernel reads in vectors.
    let chunks = (wanted / rows).min(cols / 512).max(4).next_power_of_two().min(256);
    let chunks = if long { chunks.max(cols.div_ceil(LONGEST).next_power_of_two()) } else { chunks };
    let outer = f.dims.len() - f.inner;
    let part = |k: usize, dtype: DType, strides: Strides| Access { value: SCRATCH, dtype, strides, offset: (k * chunks * rows) as isize };
    let row_strides = contiguous_strides(&f.dims[..outer]);

    let mut first = f.clone();
    first.dims.insert(0, chunks);
    for a in first.inputs.iter_mut().chain(&mut first.positions) {
        a.strides.insert(0, 0);
    }
    first.stores.clear();
    for (k, &(r, _, arg)) in reduces.iter().enumerate() {
        first.dtypes[r] = unrounded(f.dtypes[arg]);
        let mut strides: Strides = SmallVec::from_elem(rows as isize, 1);
        strides.extend_from_slice(&row_strides);
        strides.extend((0..f.inner).map(|_| 0));
        first.stores.push(Store { reg: r, to: part(k, first.dtypes[r], strides) });
    }

    let mut second = Fused {
        dims: f.dims[..outer].iter().copied().chain([chunks]).collect(),
        inner: 1,
        inputs: f.inputs.iter().map(|a| by_row(a, outer)).collect(),
        positions: f.positions.iter().map(|a| by_row(a, outer)).collect(),
        scalars: f.scalars.clone(),
        instrs: Vec::new(),
        dtypes: Vec::new(),
        per_row: Vec::new(),
        stores: Vec::new(),
    };
    // Registers of columns are gone, a reduction is a load and itself: registers move.
    let mut moved: Vec<Option<RegId>> = vec![None; f.instrs.len()];
    for (r, instr) in f.instrs.iter().enumerate() {
        let mut push = |instr: Instr, dtype: DType, per_row: bool| {
            second.instrs.push(instr);
            second.dtypes.push(dtype);
            second.per_row.push(per_row);
            second.instrs.len() - 1
        };
        moved[r] = match instr {
            Instr::Reduce { combine, arg } => {
                let k = reduces.iter().position(|x| x.0 == r)?;
                let dtype = unrounded(f.dtypes[*arg]);
                let mut strides = row_strides.clone();
                strides.push(rows as isize);
                let load = push(Instr::Load(f.inputs.len() + k), dtype, false);
                second.inputs.push(part(k, dtype, strides));
                Some(push_into(&mut second, Instr::Reduce { combine: *combine, arg: load }, f.dtypes[r]))
            }
            Instr::Apply { op, args } if f.per_row[r] => {
                let args = args.iter().map(|&a| moved[a]).collect::<Option<_>>()?;
                Some(push(Instr::Apply { op: op.clone(), args }, f.dtypes[r], true))
            }
            other if f.per_row[r] => Some(push(other.clone(), f.dtypes[r], true)),
            _ => None,
        };
    }
    for s in &f.stores {
        second.stores.push(Store { reg: moved[s.reg]?, to: by_row(&s.to, outer) });
    }
    Some(Split { first, chunks, second, words: reduces.len() * chunks * rows })
}

fn push_into(f: &mut Fused, instr: Instr, dtype: DType) -> RegId {
    f.instrs.push(instr);
    f.dtypes.push(dtype);
    f.per_row.push(true);
    f.instrs.len() - 1
}

/// The access of a row, with a column dimension that does not move it.
fn by_row(a: &Access, outer: usize) -> Access {
    let mut strides: Strides = a.strides[..outer].iter().copied().collect();
    strides.push(0);
    Access { strides, ..a.clone() }
}

/// Partial results keep the precision they are accumulated in.
fn unrounded(dtype: DType) -> DType {
    if dtype.class() == Class::F32 { DType::F32 } else { dtype }
}

fn reads_reduction(f: &Fused, r: RegId) -> bool {
    match &f.instrs[r] {
        Instr::Reduce { .. } => true,
        Instr::Apply { args, .. } => args.iter().any(|&a| reads_reduction(f, a)),
        _ => false,
    }
}
