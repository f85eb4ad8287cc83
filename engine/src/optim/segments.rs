//! Where each parameter lies in a slab, for algorithms that need a norm of each.

use std::ops::Range;
use std::sync::OnceLock;

use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::tensor::Tensor;

/// Entries of a slab in *rows* of 256 bytes, the unit they are aligned to. Made on the device when first asked for.
#[derive(Debug)]
pub(super) struct Segments {
    dtype: DType,
    device: Device,
    /// Offset and length of each member, in elements.
    members: Vec<(usize, usize)>,
    total: usize,
    tables: OnceLock<Tables>,
}

#[derive(Debug)]
struct Tables {
    /// The member of each row.
    member: Tensor,
    /// How many elements of each row belong to it: `[rows, 1]`.
    valid: Tensor,
    /// `[0, 1, ..]` along a row.
    column: Tensor,
}

impl Segments {
    pub fn new(dtype: DType, device: Device, members: Vec<(usize, usize)>, total: usize) -> Segments {
        Segments { dtype, device, members, total, tables: OnceLock::new() }
    }

    fn row(&self) -> usize {
        256 / self.dtype.size()
    }

    fn tables(&self) -> Result<&Tables> {
        if let Some(tables) = self.tables.get() {
            return Ok(tables);
        }
        let row = self.row();
        let rows = self.total / row;
        let (mut member, mut valid) = (vec![0i64; rows], vec![0i32; rows]);
        for (m, &(offset, len)) in self.members.iter().enumerate() {
            for r in 0..len.div_ceil(row).max(1) {
                member[offset / row + r] = m as i64;
                valid[offset / row + r] = len.saturating_sub(r * row).min(row) as i32;
            }
        }
        let made = Tables {
            member: Tensor::from_vec(member, [rows], &self.device)?,
            valid: Tensor::from_vec(valid, [rows, 1], &self.device)?,
            column: Tensor::from_vec((0..row as i32).collect::<Vec<i32>>(), [row], &self.device)?,
        };
        Ok(self.tables.get_or_init(|| made))
    }

    pub fn rows(&self, x: &Tensor) -> Result<Tensor> {
        if !x.numel().is_multiple_of(self.row()) {
            return Err(Error::argument("rows", format!("{} elements are no slab", x.numel())));
        }
        x.reshape([-1, self.row() as isize])
    }

    /// `x`, which covers `members`, in rows and with zeros in the gaps between them.
    fn masked(&self, x: &Tensor, members: &Range<usize>) -> Result<Tensor> {
        let (tables, x) = (self.tables()?, self.rows(x)?);
        let (first, count) = (self.first(members), x.size(0)?);
        let inside = tables.column.lt(tables.valid.narrow(0, first, count)?)?;
        x.where_(&inside, 0.0)
    }

    fn first(&self, members: &Range<usize>) -> usize {
        self.members.get(members.start).map_or(0, |m| m.0) / self.row()
    }

    /// A whole slab with zeros in its gaps.
    pub fn clean(&self, x: &Tensor) -> Result<Tensor> {
        self.masked(x, &(0..self.members.len()))?.reshape([-1])
    }

    /// `x` covers `members`; the gaps between them count nothing.
    pub fn norms(&self, x: &Tensor, members: Range<usize>) -> Result<Tensor> {
        let x = self.masked(x, &members)?;
        let (tables, first, count) = (self.tables()?, self.first(&members), x.size(0)?);
        let member = tables.member.narrow(0, first, count)?;
        let x = x.to_dtype(if self.dtype == DType::F64 { DType::F64 } else { DType::F32 })?;
        let sums = x.square()?.sum(1)?;
        let zero = Tensor::zeros([self.members.len()], (sums.dtype(), &self.device))?;
        let norms = zero.index_add(0, &member, &sums)?.sqrt()?;
        norms.index_select(0, &member)?.unsqueeze(1)?.to_dtype(self.dtype)
    }
}
