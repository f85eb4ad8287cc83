//! Putting maxima back where they were.

use smallvec::smallvec;

use super::super::Tensor;
use super::super::linalg::{batched, spatial_sizes};
use crate::autograd::{no_grad, record_with};
use crate::dtype::DType;
use crate::error::{Error, Result};

impl Tensor {
    /// Zeros with the elements of this tensor at `indices`, which a maximum pooling over the last `D` dimensions gave. As
    /// `torch.nn.functional.max_unpool1d` to `max_unpool3d`.
    ///
    /// `output`: the last sizes of the result, where those that follow from the windows are not meant; at most a stride
    /// from them.
    ///
    /// # Errors
    /// Shapes that differ; indices that are not `i64` or lie outside the result; an output size windows could not have.
    #[track_caller]
    pub fn max_unpool<const D: usize>(
        &self,
        indices: &Tensor,
        kernel: [usize; D],
        stride: [usize; D],
        padding: [usize; D],
        output: Option<&[usize]>,
    ) -> Result<Tensor> {
        let op = match D {
            1 => "max_unpool1d",
            2 => "max_unpool2d",
            3 => "max_unpool3d",
            _ => return Err(Error::argument("max_unpool", format!("{D} spatial dimensions: expected 1 to 3"))),
        };
        let wrong = |why: String| Err(Error::argument(op, why));
        if indices.dtype() != DType::I64 {
            return Err(Error::dtype(op, format!("indices are i64, not {}", indices.dtype())));
        }
        if indices.shape() != self.shape() {
            return wrong(format!("indices of {:?} for an input of {:?}", indices.shape(), self.shape()));
        }
        let sizes = spatial_sizes(op, self, D)?;
        if stride.contains(&0) || self.shape()[1..].contains(&0) {
            return wrong(format!("an input of {:?} with a stride of {stride:?}", self.shape()));
        }
        let given = match output {
            Some(o) if o.len() == D || o.len() == D + 2 => Some(&o[o.len() - D..]),
            Some(o) => return wrong(format!("an output size of {o:?} for {D} dimensions")),
            None => None,
        };
        let mut size = [0; D];
        for d in 0..D {
            let plain = (sizes[d] as i128 - 1) * stride[d] as i128 + kernel[d] as i128 - 2 * padding[d] as i128;
            let wanted = given.map_or(plain, |g| g[d] as i128);
            if wanted <= 0 || (wanted - plain).abs() >= stride[d] as i128 && given.is_some() {
                return wrong(format!("an output size of {wanted} where the windows make {plain}, give or take a stride of {}", stride[d]));
            }
            size[d] = usize::try_from(wanted).map_err(|_| Error::argument(op, format!("an output size of {wanted}")))?;
        }
        let at = if self.rank() == D + 1 { indices.unsqueeze(0)? } else { indices.clone() };
        batched(op, self, D, |x| {
            let (n, c) = (x.shape()[0], x.shape()[1]);
            let shape = [&[n, c], &size[..]].concat();
            crate::shape::checked_numel(op, &shape)?;
            let at = at.flatten(2, -1)?;
            let y = no_grad(|| {
                let zeros = Tensor::zeros([n, c, size.iter().product()], (x.dtype(), x.device()))?;
                zeros.scatter(2, &at, &x.flatten(2, -1)?)
            })?;
            let inner = x.shape().to_vec();
            // Also where another element went to the same place: it might have been this one.
            record_with(&y, op, &[x], move |dy, _| Ok(smallvec![Some(dy.gather(2, &at)?.reshape(&inner)?)]));
            y.reshape(shape)
        })
    }
}
