//! Complex numbers: tensors of pairs of floats, real part first.

use super::{Dims, Operand, Tensor};
use crate::autograd;
use crate::device::Device;
use crate::dtype::DType;
use crate::error::{Error, Result};

/// A tensor of complex numbers: a tensor of floats whose last dimension holds real and imaginary part, which
/// [`view_as_real`](Self::view_as_real) shows. What has no method here is done with the parts or the pairs.
///
/// All operators are composed of those of real tensors, so they run on every device and differentiate. A gradient is a tensor of
/// pairs too, and its value PyTorch's: the derivative by the real part plus `i` times the one by the imaginary part.
#[derive(Debug, Clone)]
pub struct ComplexTensor(Tensor);

/// Reading and writing pairs.
impl Tensor {
    /// The complex numbers whose parts the last dimension holds, which share this tensor's values; like `torch.view_as_complex`.
    ///
    /// # Errors
    /// A last dimension that is not of size 2; other types than `f16`, `f32` and `f64`.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// let pairs = Tensor::new([[3.0, 4.0], [0.0, -2.0]], &Device::cpu())?;
    /// assert_eq!(pairs.view_as_complex()?.abs()?.to_vec::<f32>()?, [5.0, 2.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn view_as_complex(&self) -> Result<ComplexTensor> {
        const OP: &str = "view_as_complex";
        self.value()?;
        if !has_complex(self.dtype()) {
            return Err(Error::dtype(OP, format!("takes f16, f32 or f64, not {}", self.dtype())));
        }
        match self.shape().last() {
            Some(2) => Ok(ComplexTensor(self.clone())),
            _ => Err(Error::argument(OP, format!("the last dimension should be of size 2, but the shape is {:?}", self.shape()))),
        }
    }

    /// 0 for numbers that are not negative, pi for those that are, NaN for NaN; like `torch.angle`. The gradient is 0.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn angle(&self) -> Result<Tensor> {
        let x = self.as_float()?;
        // The sum with 0 x keeps NaN, and a gradient.
        let turned = x.detach()?.lt(0)?;
        let nothing = x.mul(0)?;
        let nothing = nothing.masked_fill(&x.detach()?.isinf()?, 0)?;
        nothing.masked_fill(&turned, std::f64::consts::PI)
    }
}

fn has_complex(dtype: DType) -> bool {
    matches!(dtype, DType::F16 | DType::F32 | DType::F64)
}

impl ComplexTensor {
    /// From real and imaginary parts, which broadcast; like `torch.complex`.
    ///
    /// # Errors
    /// Parts that are not floats of one type; shapes that do not broadcast; different devices.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::ComplexTensor; fn main() -> taper::Result<()> {
    /// let cpu = Device::cpu();
    /// let z = ComplexTensor::new(&Tensor::new([3.0], &cpu)?, &Tensor::new([4.0], &cpu)?)?;
    /// assert_eq!(z.mul(&z)?.view_as_real().to_vec::<f32>()?, [-7.0, 24.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn new(real: &Tensor, imag: &Tensor) -> Result<ComplexTensor> {
        ComplexTensor::of_parts("complex", real, imag)
    }

    #[track_caller]
    fn of_parts(op: &'static str, real: &Tensor, imag: &Tensor) -> Result<ComplexTensor> {
        let (dtype, other) = (real.dtype(), imag.dtype());
        if !has_complex(dtype) || other != dtype {
            real.value()?;
            imag.value()?;
            return Err(Error::dtype(op, format!("takes two tensors of f16, of f32 or of f64, not {dtype} and {other}")));
        }
        let shape = crate::shape::broadcast(op, real.shape(), imag.shape())?;
        Tensor::stack(&[real.expand(&shape[..])?, imag.expand(&shape[..])?], -1).map(ComplexTensor)
    }

    /// From absolute values and angles, which broadcast; like `torch.polar`.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    ///
    /// ```
    /// # use taper::prelude::*; use taper::ComplexTensor; fn main() -> taper::Result<()> {
    /// let cpu = Device::cpu();
    /// let i = ComplexTensor::polar(&Tensor::new([1.0], &cpu)?, &Tensor::new([std::f64::consts::FRAC_PI_2], &cpu)?)?;
    /// assert!((i.imag()?.item::<f32>()? - 1.0).abs() < 1e-6);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn polar(abs: &Tensor, angle: &Tensor) -> Result<ComplexTensor> {
        let (dtype, other) = (abs.dtype(), angle.dtype());
        if !has_complex(dtype) || other != dtype {
            return Err(Error::dtype("polar", format!("takes two tensors of f16, of f32 or of f64, not {dtype} and {other}")));
        }
        ComplexTensor::of_parts("polar", &abs.mul(angle.cos()?)?, &abs.mul(angle.sin()?)?)
    }

    /// Real numbers, with imaginary parts of 0. Integers become `f32`.
    ///
    /// # Errors
    /// The error the tensor carries; `bf16`.
    #[track_caller]
    pub fn from_real(real: &Tensor) -> Result<ComplexTensor> {
        let real = real.as_float()?;
        ComplexTensor::new(&real, &real.detach()?.zeros_like()?)
    }

    /// The pairs, real part first; like `torch.view_as_real`.
    pub fn view_as_real(&self) -> &Tensor {
        &self.0
    }

    /// The sizes of the dimensions, the pairs' not among them.
    pub fn shape(&self) -> &[usize] {
        let shape = self.0.shape();
        &shape[..shape.len() - 1]
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.rank() - 1
    }

    /// The type of each part.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    pub fn device(&self) -> &Device {
        self.0.device()
    }

    /// The real part, a view.
    ///
    /// # Errors
    /// The error this tensor carries.
    pub fn real(&self) -> Result<Tensor> {
        self.0.select(-1, 0)
    }

    /// The imaginary part, a view.
    ///
    /// # Errors
    /// The error this tensor carries.
    pub fn imag(&self) -> Result<Tensor> {
        self.0.select(-1, 1)
    }

    fn parts(&self) -> Result<(Tensor, Tensor)> {
        Ok((self.real()?, self.imag()?))
    }

    /// The imaginary part turned round.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn conj(&self) -> Result<ComplexTensor> {
        let (re, im) = self.parts()?;
        ComplexTensor::new(&re, &im.neg()?)
    }

    /// The distance from 0; its gradient at 0 is 0.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn abs(&self) -> Result<Tensor> {
        let (re, im) = self.parts()?;
        let zero = self.is_zero()?;
        // At 0 another number takes part in the derivative, and its share is cut off.
        re.masked_fill(&zero, 1)?.hypot(&im)?.masked_fill(&zero, 0)
    }

    /// The angle from the positive numbers, between -pi and pi; its gradient at 0 is 0.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn angle(&self) -> Result<Tensor> {
        let (re, im) = self.parts()?;
        let value = autograd::no_grad(|| im.atan2(&re))?;
        let zero = self.is_zero()?;
        im.atan2(re.masked_fill(&zero, 1)?)?.where_(&zero.logical_not()?, &value)
    }

    fn is_zero(&self) -> Result<Tensor> {
        let (re, im) = self.parts()?;
        autograd::no_grad(|| re.eq(0)?.logical_and(&im.eq(0)?))
    }

    /// `-z`.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn neg(&self) -> Result<ComplexTensor> {
        self.0.neg().map(ComplexTensor)
    }

    /// `z + w`; shapes broadcast.
    ///
    /// # Errors
    /// Shapes that do not broadcast; different devices.
    #[track_caller]
    pub fn add(&self, other: &ComplexTensor) -> Result<ComplexTensor> {
        let ((a, b), (c, d)) = (self.parts()?, other.parts()?);
        ComplexTensor::new(&a.add(&c)?, &b.add(&d)?)
    }

    /// `z - w`; shapes broadcast.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn sub(&self, other: &ComplexTensor) -> Result<ComplexTensor> {
        self.add(&other.neg()?)
    }

    /// `z w`; shapes broadcast.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn mul(&self, other: &ComplexTensor) -> Result<ComplexTensor> {
        self.product(other, |a, b| a.mul(b))
    }

    /// The product of matrices, with the rules of [`Tensor::matmul`].
    ///
    /// # Errors
    /// As for [`Tensor::matmul`].
    #[track_caller]
    pub fn matmul(&self, other: &ComplexTensor) -> Result<ComplexTensor> {
        self.product(other, |a, b| a.matmul(b))
    }

    /// `X` with `A X = B` for square matrices `A` (this, `[.., n, n]`) and `B` `[.., n, k]` with the same leading dimensions. Runs on the host.
    ///
    /// # Errors
    /// Sizes that do not fit; other types than `f32` and `f64`.
    #[track_caller]
    pub fn solve(&self, b: &ComplexTensor) -> Result<ComplexTensor> {
        let ((re, im), (c, d)) = (self.parts()?, b.parts()?);
        // As real numbers: [re -im; im re] [x; y] = [c; d].
        let rows = [Tensor::cat(&[re.clone(), im.neg()?], -1)?, Tensor::cat(&[im, re], -1)?];
        let x = Tensor::cat(&rows, -2)?.solve_matrices(&Tensor::cat(&[c, d], -2)?)?.0;
        let n = b.shape().len().checked_sub(2).map_or(0, |at| b.shape()[at]);
        ComplexTensor::new(&x.narrow(-2, 0, n)?, &x.narrow(-2, n, n)?)
    }

    /// The conjugates of matrices, transposed; like `torch.Tensor.mH`.
    ///
    /// # Errors
    /// No matrices.
    #[track_caller]
    pub fn mh(&self) -> Result<ComplexTensor> {
        if self.rank() < 2 {
            return Err(Error::argument("mH", format!("takes matrices, not a tensor of shape {:?}", self.shape())));
        }
        self.conj()?.through(|pairs| pairs.transpose(-3, -2))
    }

    /// A new dimension of size 1 before `dim`.
    ///
    /// # Errors
    /// `dim` out of range.
    #[track_caller]
    pub fn unsqueeze(&self, dim: isize) -> Result<ComplexTensor> {
        let dim = crate::shape::dim_index("unsqueeze", dim, self.rank() + 1)?;
        self.through(|pairs| pairs.unsqueeze(dim as isize))
    }

    /// `(a + b i)(c + d i)` for a product of reals.
    #[track_caller]
    fn product(&self, other: &ComplexTensor, f: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<ComplexTensor> {
        let ((a, b), (c, d)) = (self.parts()?, other.parts()?);
        ComplexTensor::new(&f(&a, &c)?.sub(f(&b, &d)?)?, &f(&a, &d)?.add(f(&b, &c)?)?)
    }

    /// Both parts times a real number or tensor; shapes broadcast.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn scale(&self, by: impl Into<Operand>) -> Result<ComplexTensor> {
        let by = by.into();
        let (re, im) = self.parts()?;
        ComplexTensor::new(&re.mul(by.clone())?, &im.mul(by)?)
    }

    /// `z / w`; shapes broadcast.
    ///
    /// # Errors
    /// As for [`add`](Self::add).
    #[track_caller]
    pub fn div(&self, other: &ComplexTensor) -> Result<ComplexTensor> {
        let ((a, b), (c, d)) = (self.parts()?, other.parts()?);
        // Of the divisor's size, so that its square neither overflows nor vanishes. It cancels: there is no gradient in it.
        let scale = autograd::no_grad(|| c.abs()?.add(d.abs()?)?.reciprocal())?;
        let (cs, ds) = (c.mul(&scale)?, d.mul(&scale)?);
        let size = c.mul(&cs)?.add(d.mul(&ds)?)?;
        let re = a.mul(&cs)?.add(b.mul(&ds)?)?.div(&size)?;
        let im = b.mul(&cs)?.sub(a.mul(&ds)?)?.div(&size)?;
        ComplexTensor::new(&re, &im)
    }

    /// `e^z`.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn exp(&self) -> Result<ComplexTensor> {
        let (re, im) = self.parts()?;
        ComplexTensor::polar(&re.exp()?, &im)
    }

    /// `z / (1 + e^-z)`; like `torch.nn.functional.silu`.
    ///
    /// # Errors
    /// The error this tensor carries.
    #[track_caller]
    pub fn silu(&self) -> Result<ComplexTensor> {
        let (re, im) = self.neg()?.exp()?.parts()?;
        self.div(&ComplexTensor::new(&re.add(1)?, &im)?)
    }

    /// The sum over `dims`, which disappear.
    ///
    /// # Errors
    /// A dimension out of range or named twice.
    #[track_caller]
    pub fn sum(&self, dims: impl Dims) -> Result<ComplexTensor> {
        let (re, im) = self.parts()?;
        let dims = super::dims::resolve("sum", &dims, self.rank())?;
        if dims.is_empty() { Ok(self.clone()) } else { ComplexTensor::new(&re.sum(&dims[..])?, &im.sum(&dims[..])?) }
    }

    /// Does something to dimensions other than the pairs'.
    #[track_caller]
    pub(super) fn through(&self, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<ComplexTensor> {
        f(&self.0).map(ComplexTensor)
    }
}

#[cfg(test)]
mod tests;
