//! Windows of an image as columns of a matrix, and back.

use super::super::Tensor;
use super::super::linalg::{batched, spatial_sizes};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::nn::Sizes;
use crate::shape::checked_numel;

/// How the windows lie; `[y, x]` each.
struct Windows {
    kernel: [usize; 2],
    dilation: [usize; 2],
    padding: [usize; 2],
    stride: [usize; 2],
    /// How many fit.
    count: [usize; 2],
}

impl Windows {
    fn fit(op: &'static str, size: [usize; 2], [kernel, mut dilation, padding, mut stride]: [[usize; 2]; 4]) -> Result<Windows> {
        let wrong = |why: String| Error::argument(op, why);
        if [kernel, dilation, stride].as_flattened().contains(&0) {
            return Err(wrong(format!("kernel, dilation and stride must be at least 1, they are {kernel:?}, {dilation:?}, {stride:?}")));
        }
        let mut count = [0; 2];
        for d in 0..2 {
            let reach = dilation[d].checked_mul(kernel[d] - 1).and_then(|n| n.checked_add(1));
            let padded = padding[d].checked_mul(2).and_then(|n| n.checked_add(size[d]));
            let room = reach.zip(padded).and_then(|(reach, padded)| padded.checked_sub(reach));
            let unfit = || wrong(format!("windows of {kernel:?} with dilation {dilation:?} do not fit {size:?} with padding {padding:?}"));
            let room = room.ok_or_else(unfit)?;
            count[d] = room / stride[d] + 1;
            // A step that is never taken may be as long as one likes: here it is short enough to be counted with.
            dilation[d] = if kernel[d] == 1 { 1 } else { dilation[d] };
            stride[d] = stride[d].min(room.saturating_add(1));
        }
        Ok(Windows { kernel, dilation, padding, stride, count })
    }

    fn padded(&self, size: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|d| size[d] + 2 * self.padding[d])
    }
}

impl Tensor {
    /// The windows of an image as columns: `[N, C, H, W]` becomes `[N, C * KH * KW, windows]`, and the same without `N`. As
    /// `torch.nn.functional.unfold`; [`unfold`](Self::unfold) is the method `torch.Tensor.unfold`.
    ///
    /// # Errors
    /// Another number of dimensions; windows that do not fit.
    #[track_caller]
    pub fn im2col(&self, kernel: impl Sizes<2>, dilation: impl Sizes<2>, padding: impl Sizes<2>, stride: impl Sizes<2>) -> Result<Tensor> {
        let op = "unfold";
        let size = spatial_sizes(op, self, 2)?;
        let (size, lead) = ([size[0], size[1]], self.rank() - 2);
        if self.shape()[lead - 1] == 0 || size.contains(&0) {
            return Err(Error::argument(op, format!("the images of {:?} are empty", self.shape())));
        }
        let w = Windows::fit(op, size, [kernel.sizes(), dilation.sizes(), padding.sizes(), stride.sizes()])?;
        batched(op, self, 2, |x| {
            let (n, c) = (x.shape()[0], x.shape()[1]);
            let [py, px] = w.padding;
            let mut x = if w.padding == [0, 0] { x.clone() } else { x.pad([px, px, py, py], "constant", 0)? };
            for d in 0..2 {
                let reach = w.dilation[d] * (w.kernel[d] - 1) + 1;
                x = x.unfold(2 + d as isize, reach, w.stride[d])?;
                x = x.slice(-1, 0, isize::MAX, w.dilation[d] as isize)?;
            }
            // [N, C, windows y, windows x, KH, KW], window elements first.
            let columns = [n, c * w.kernel[0] * w.kernel[1], w.count[0] * w.count[1]];
            checked_numel(op, &columns)?;
            x.permute([0, 1, 4, 5, 2, 3])?.reshape(columns)
        })
    }

    /// Adds the columns `[N, C * KH * KW, windows]` (or without `N`) back into images `[N, C, ..output]` where
    /// [`im2col`](Self::im2col) takes them from. As `torch.nn.functional.fold`.
    ///
    /// # Errors
    /// Shapes that do not fit; windows that do not fit.
    #[track_caller]
    pub fn fold(
        &self,
        output: impl Sizes<2>,
        kernel: impl Sizes<2>,
        dilation: impl Sizes<2>,
        padding: impl Sizes<2>,
        stride: impl Sizes<2>,
    ) -> Result<Tensor> {
        let op = "fold";
        let output = output.sizes();
        let w = Windows::fit(op, output, [kernel.sizes(), dilation.sizes(), padding.sizes(), stride.sizes()])?;
        let (taps, windows) = (w.kernel[0].saturating_mul(w.kernel[1]), w.count[0].saturating_mul(w.count[1]));
        let &[.., rows, columns] = self.shape() else {
            return Err(Error::argument(op, format!("the input {:?} should have 2 or 3 dimensions", self.shape())));
        };
        if rows % taps != 0 || columns != windows || rows == 0 {
            let why = format!("the input {:?} should have a multiple of {taps} rows and {windows} columns", self.shape());
            return Err(Error::argument(op, why));
        }
        batched(op, self, 1, |x| {
            let (n, c) = (x.shape()[0], rows / taps);
            let [h, width] = w.padded(output);
            checked_numel(op, &[n, c, h, width])?;
            // Where each element of a window of each kind lies: position = sum of step * number over both axes.
            let steps = |n: usize, step: usize| Tensor::arange(0, n, 1, (DType::I64, x.device()))?.mul(step as i64);
            let along = |d: usize, unit: usize| -> Result<Tensor> {
                steps(w.kernel[d], w.dilation[d] * unit)?.unsqueeze(1)?.add(&steps(w.count[d], w.stride[d] * unit)?)
            };
            let (y, x_) = (along(0, width)?, along(1, 1)?);
            // [KH, 1, OY, 1] + [1, KW, 1, OX]
            let at = y.unsqueeze(1)?.unsqueeze(3)?.add(&x_.unsqueeze(1)?.unsqueeze(0)?)?.flatten(0, -1)?;
            let zeros = Tensor::zeros([n, c, h * width], (x.dtype(), x.device()))?;
            let sums = zeros.index_add(2, &at, &x.reshape([n, c, taps * windows])?)?.reshape([n, c, h, width])?;
            sums.narrow(2, w.padding[0], output[0])?.narrow(3, w.padding[1], output[1])
        })
    }
}
