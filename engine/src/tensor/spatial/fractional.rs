//! Maximum pooling over windows whose places are drawn at random.

use super::super::Tensor;
use super::super::linalg::{batched, spatial_sizes};
use crate::autograd::no_grad;
use crate::dtype::DType;
use crate::error::{Error, Result};

impl Tensor {
    /// The maxima of `output` windows of `kernel` elements, placed at random but in order, over the last `D` dimensions (2 or
    /// 3) of `[N, C, ..]` or `[C, ..]`; and where each lies in its plane. As `torch.nn.functional.fractional_max_pool2d` and
    /// `fractional_max_pool3d`.
    ///
    /// `samples` `[N, C, D]` from 0 to 1 place the windows, the last dimension of images first; drawn if not given.
    ///
    /// # Errors
    /// Windows that do not fit; samples of another shape or type; an empty image; no floats.
    #[track_caller]
    pub fn fractional_max_pool<const D: usize>(
        &self,
        kernel: [usize; D],
        output: [usize; D],
        samples: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let op = if D == 3 { "fractional_max_pool3d" } else { "fractional_max_pool2d" };
        let wrong = |why: String| Err(Error::argument(op, why));
        let sizes = spatial_sizes(op, self, D)?.to_vec();
        if !self.dtype().is_float() {
            return Err(Error::dtype(op, format!("needs floats, not {}", self.dtype())));
        }
        if self.shape()[self.rank() - D - 1] == 0 || sizes.contains(&0) {
            return wrong(format!("the planes of {:?} are empty", self.shape()));
        }
        for d in 0..D {
            let fits = kernel[d] > 0 && output[d] > 0 && kernel[d].saturating_add(output[d]) <= sizes[d].saturating_add(1);
            if !fits {
                return wrong(format!("{output:?} windows of {kernel:?} do not fit {sizes:?}"));
            }
        }
        let (n, c) = (if self.rank() == D + 2 { self.shape()[0] } else { 1 }, self.shape()[self.rank() - D - 1]);
        let samples = match samples {
            Some(s) if s.dtype() != self.dtype() => {
                return Err(Error::dtype(op, format!("samples are {}, the input {}", s.dtype(), self.dtype())));
            }
            // More than the batch needs are fine.
            Some(s) if s.rank() != 3 || s.shape()[0] < n || s.shape()[1..] != [c, D] => {
                return wrong(format!("samples of {:?}: expected {:?}", s.shape(), [n, c, D]));
            }
            Some(s) => s.narrow(0, 0, n)?,
            None => no_grad(|| Tensor::rand([n, c, D], self.device())?.to_dtype(self.dtype()))?,
        };
        let mut winners = None;
        let values = batched(op, self, D, |x| {
            let planes = n * c;
            let flat = x.reshape([planes, sizes.iter().product()])?;
            let at = no_grad(|| -> Result<Tensor> {
                let samples = samples.reshape([planes, D])?;
                let samples = if samples.dtype().size() < 4 { samples.to_dtype(DType::F32)? } else { samples };
                let mut at: Option<Tensor> = None;
                for d in 0..D {
                    // Volumes take their samples in order of the dimensions, images in the other.
                    let sample = samples.narrow(1, if D == 2 { 1 - d } else { d }, 1)?;
                    let here = elements(&sample, sizes[d], kernel[d], output[d])?;
                    at = Some(match at {
                        // [planes, windows, elements] of the slower dimensions, then of this one.
                        Some(slow) => {
                            let (ws, es) = (slow.shape()[1] * output[d], slow.shape()[2] * kernel[d]);
                            let slow = slow.mul(sizes[d] as i64)?.unsqueeze(2)?.unsqueeze(4)?;
                            slow.add(&here.unsqueeze(1)?.unsqueeze(3)?)?.reshape([planes, ws, es])?
                        }
                        None => here,
                    });
                }
                let at = at.ok_or_else(|| Error::argument(op, "no dimensions"))?;
                let (windows, elements) = (at.shape()[1], at.shape()[2]);
                let seen = flat.detach()?.gather(1, &at.reshape([planes, windows * elements])?)?.reshape([planes, windows, elements])?;
                at.gather(2, &seen.argmax(Some(2), true)?)?.squeeze(2)
            })?;
            let shape = [&[n, c], &output[..]].concat();
            winners = Some(at.reshape(&shape)?);
            flat.gather(1, &at)?.reshape(shape)
        })?;
        let winners = winners.ok_or_else(|| Error::argument(op, "no result"))?;
        let winners = if self.rank() == D + 1 { winners.squeeze(0)? } else { winners };
        Ok((values, winners))
    }
}

/// The elements along one dimension of each window: `[planes, output, kernel]`, from samples `[planes, 1]`.
fn elements(sample: &Tensor, size: usize, kernel: usize, output: usize) -> Result<Tensor> {
    let whole = |n: usize| Tensor::arange(0, n, 1, (DType::I64, sample.device()));
    let room = (size - kernel) as f64;
    let starts = if output > 1 {
        let step = room / (output - 1) as f64;
        // Rounded as the products are: the last bit decides where a window begins.
        let step = if sample.dtype() == DType::F64 { step } else { step as f32 as f64 };
        let first = sample.mul(step)?.trunc()?;
        let moved = whole(output)?.to_dtype(sample.dtype())?.add(sample)?.mul(step)?.trunc()?.sub(&first)?.to_dtype(DType::I64)?;
        // The last window ends with the image.
        let last = Tensor::full([sample.shape()[0], 1], (size - kernel) as i64, (DType::I64, sample.device()))?;
        Tensor::cat(&[moved.narrow(1, 0, output - 1)?, last], 1)?.clamp(0, (size - kernel) as i64)?
    } else {
        Tensor::full([sample.shape()[0], 1], (size - kernel) as i64, (DType::I64, sample.device()))?
    };
    starts.unsqueeze(2)?.add(&whole(kernel)?)
}
