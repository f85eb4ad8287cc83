//! Many tensors side by side in one: what an optimizer's slab of gradients is made of.

use std::sync::Arc;

use super::{Assign, Spec, Uninit};
use crate::error::{Error, Result};
use crate::shape::Layout;
use crate::tensor::Tensor;

/// A flat tensor of `total` elements with the elements of `tensors[i]` at `offsets[i]`; between them lies anything.
///
/// A chain of assignments to a buffer nobody has written: the kernel that computes a tensor writes it straight to its
/// place, when nobody else wants it.
pub(crate) fn pack(tensors: &[&Tensor], offsets: &[usize], total: usize) -> Result<Tensor> {
    let first = tensors.first().ok_or_else(|| Error::argument("pack", "needs at least one tensor"))?;
    let (dtype, device) = (first.dtype(), first.device().clone());
    // In the order in which they were made, so that each can be written when it is computed.
    let mut order = (0..tensors.len()).map(|i| Ok((tensors[i].value()?.node.id, i))).collect::<Result<Vec<_>>>()?;
    order.sort_unstable();
    let mut out = Tensor::compute(Arc::new(Uninit { spec: Spec::new(dtype, &[total]) }), &[], &device)?;
    for (_, i) in order {
        let flat = tensors[i].reshape([-1])?;
        let region = Layout { offset: offsets[i], ..Layout::contiguous(&[flat.numel()]) };
        out = Tensor::compute(Arc::new(Assign { region }), &[&out, &flat], &device)?;
    }
    Ok(out)
}
