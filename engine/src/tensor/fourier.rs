//! Fourier transforms; like `torch.fft`.
//!
//! All of them are the primitive `Fft` along one dimension after the other. It runs on the host.

use std::str::FromStr;

use super::dims::resolve;
use super::{ComplexTensor, Dims, Tensor};
use crate::error::{Error, Result};
use crate::ops::{Factor, Fft, Sides};
use crate::shape::dim_index;

/// Which of the two directions carries the factor `1 / n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FftNorm {
    /// The inverse.
    #[default]
    Backward,
    /// Each half of it, `1 / sqrt(n)`.
    Ortho,
    /// The forward transform.
    Forward,
}

impl FromStr for FftNorm {
    type Err = Error;

    fn from_str(name: &str) -> Result<FftNorm> {
        Ok(match name {
            "backward" => FftNorm::Backward,
            "ortho" => FftNorm::Ortho,
            "forward" => FftNorm::Forward,
            other => return Err(Error::argument("fft", format!("norm '{other}' is none of backward, ortho, forward"))),
        })
    }
}

/// A kind of transform: whom errors name, the sign of its exponent, and the factor.
#[derive(Clone, Copy)]
struct Kind {
    op: &'static str,
    inverse: bool,
    norm: FftNorm,
}

impl Kind {
    fn forward(op: &'static str, norm: FftNorm) -> Kind {
        Kind { op, inverse: false, norm }
    }

    fn inverse(op: &'static str, norm: FftNorm) -> Kind {
        Kind { op, inverse: true, norm }
    }

    fn operator(self, sides: Sides) -> Fft {
        let factor = match (self.norm, self.inverse) {
            (FftNorm::Ortho, _) => Factor::Root,
            (FftNorm::Backward, true) | (FftNorm::Forward, false) => Factor::Whole,
            _ => Factor::One,
        };
        Fft { inverse: self.inverse, sides, mirrored: matches!(sides, Sides::FromHalf { .. }), factor }
    }

    /// `n` complex numbers along `d`.
    #[track_caller]
    fn both(self, x: &ComplexTensor, d: usize, n: usize) -> Result<ComplexTensor> {
        let (d, last) = (d as isize, x.rank() as isize - 1);
        x.through(|pairs| {
            let rows = resized(self.op, pairs, d, n)?.movedim(d, last)?;
            Tensor::apply(self.operator(Sides::Both), &[&rows])?.movedim(last, d)
        })
    }

    /// `n` real numbers along `d` to half of their transform.
    #[track_caller]
    fn to_half(self, x: &Tensor, d: usize, n: usize) -> Result<ComplexTensor> {
        let (d, last) = (d as isize, x.rank() as isize - 1);
        let rows = resized(self.op, &x.as_float()?, d, n)?.movedim(d, last)?;
        Tensor::apply(self.operator(Sides::ToHalf), &[&rows])?.movedim(last, d)?.view_as_complex()
    }

    /// Half of a transform along `d` to its `n` real numbers.
    #[track_caller]
    fn from_half(self, x: &ComplexTensor, d: usize, n: usize) -> Result<Tensor> {
        let (d, last) = (d as isize, x.rank() as isize - 1);
        at_least_one(self.op, n)?;
        let rows = resized(self.op, x.view_as_real(), d, n / 2 + 1)?.movedim(d, last)?;
        Tensor::apply(self.operator(Sides::FromHalf { n }), &[&rows])?.movedim(last, d)
    }
}

fn at_least_one(op: &'static str, n: usize) -> Result<()> {
    if n == 0 { Err(Error::argument(op, "a transform of 0 points: it needs at least one")) } else { Ok(()) }
}

/// The first `n` elements along `d`, or all of them and zeros behind.
#[track_caller]
fn resized(op: &'static str, x: &Tensor, d: isize, n: usize) -> Result<Tensor> {
    at_least_one(op, n)?;
    let size = x.size(d)?;
    if n <= size {
        return x.narrow(d, 0, n);
    }
    let mut amounts = vec![0usize; 2 * (x.rank() - d as usize)];
    if let Some(last) = amounts.last_mut() {
        *last = n - size;
    }
    x.pad(&amounts[..], "constant", 0.0)
}

/// A dimension of a tensor that has some.
fn axis(op: &'static str, dim: isize, rank: usize) -> Result<usize> {
    if rank == 0 {
        return Err(Error::index(op, format!("there is no dimension {dim}: the tensor has no dimensions")));
    }
    dim_index(op, dim, rank)
}

/// The size of a signal whose half transform has `half` points, unless it is given.
fn whole(given: Option<usize>, half: usize) -> usize {
    given.unwrap_or(2 * half.saturating_sub(1))
}

/// The dimensions of a transform over several, each with the size that was asked for.
type Axes = Vec<(usize, Option<usize>)>;

/// PyTorch's rules: `dims` as given, else as many last ones as there are sizes, else all. A size of -1 is the tensor's.
fn axes(op: &'static str, rank: usize, sizes: Option<&[isize]>, dims: Option<&[isize]>) -> Result<Axes> {
    let wrong = |why: String| Err(Error::argument(op, why));
    let dims: Vec<usize> = match (dims, sizes) {
        (Some(dims), _) => dims.iter().map(|&d| axis(op, d, rank)).collect::<Result<_>>()?,
        (None, Some(s)) if s.len() > rank => return wrong(format!("{} sizes for {rank} dimensions", s.len())),
        (None, Some(s)) => (rank - s.len()..rank).collect(),
        (None, None) => (0..rank).collect(),
    };
    if let Some(s) = sizes.filter(|s| s.len() != dims.len()) {
        return wrong(format!("{} sizes for {} dimensions", s.len(), dims.len()));
    }
    if let Some(d) = dims.iter().enumerate().find_map(|(i, d)| dims[..i].contains(d).then_some(d)) {
        return wrong(format!("dimension {d} is named twice"));
    }
    let given = |i: usize| match sizes.map(|s| s[i]) {
        None | Some(-1) => Ok(None),
        Some(n) => usize::try_from(n).map(Some).map_err(|_| Error::argument(op, format!("a transform of {n} points"))),
    };
    dims.iter().enumerate().map(|(i, &d)| Ok((d, given(i)?))).collect()
}

/// The last of several dimensions, along which numbers are real, and the others.
fn real_axis<'a>(op: &'static str, axes: &'a Axes) -> Result<((usize, Option<usize>), &'a [(usize, Option<usize>)])> {
    let found = axes.split_last().map(|(&last, others)| (last, others));
    found.ok_or_else(|| Error::argument(op, "needs at least one dimension"))
}

/// Transforms of complex numbers.
impl ComplexTensor {
    /// The transform along `dim`, of the first `n` points or of as many with zeros behind; like `torch.fft.fft`. Runs on the
    /// host, as all transforms.
    ///
    /// # Errors
    /// `dim` out of range; no points; other types than `f32` and `f64`.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::{ComplexTensor, FftNorm}; fn main() -> taper::Result<()> {
    /// let x = ComplexTensor::from_real(&Tensor::new([1.0, 2.0, 3.0, 4.0], &Device::cpu())?)?;
    /// let y = x.fft(None, -1, FftNorm::Backward)?;
    /// assert_eq!(y.real()?.to_vec::<f32>()?, [10.0, -2.0, -2.0, -2.0]);
    /// assert_eq!(y.imag()?.to_vec::<f32>()?, [0.0, 2.0, 0.0, -2.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn fft(&self, n: Option<usize>, dim: isize, norm: FftNorm) -> Result<ComplexTensor> {
        let d = axis("fft", dim, self.rank())?;
        Kind::forward("fft", norm).both(self, d, n.unwrap_or(self.shape()[d]))
    }

    /// Undoes [`fft`](Self::fft); like `torch.fft.ifft`.
    ///
    /// # Errors
    /// As for [`fft`](Self::fft).
    #[track_caller]
    pub fn ifft(&self, n: Option<usize>, dim: isize, norm: FftNorm) -> Result<ComplexTensor> {
        let d = axis("ifft", dim, self.rank())?;
        Kind::inverse("ifft", norm).both(self, d, n.unwrap_or(self.shape()[d]))
    }

    /// The `n` real points (by default `2 (m - 1)`) whose transform starts with these `m`; undoes [`Tensor::rfft`]. Like
    /// `torch.fft.irfft`.
    ///
    /// # Errors
    /// As for [`fft`](Self::fft).
    #[track_caller]
    pub fn irfft(&self, n: Option<usize>, dim: isize, norm: FftNorm) -> Result<Tensor> {
        let d = axis("irfft", dim, self.rank())?;
        Kind::inverse("irfft", norm).from_half(self, d, whole(n, self.shape()[d]))
    }

    /// The real spectrum, `n` points (by default `2 (m - 1)`), of a signal that is its own mirror image's conjugate and of which
    /// this is the first half; like `torch.fft.hfft`.
    ///
    /// # Errors
    /// As for [`fft`](Self::fft).
    #[track_caller]
    pub fn hfft(&self, n: Option<usize>, dim: isize, norm: FftNorm) -> Result<Tensor> {
        let d = axis("hfft", dim, self.rank())?;
        Kind::forward("hfft", norm).from_half(self, d, whole(n, self.shape()[d]))
    }

    /// [`fft`](Self::fft) along several dimensions (without `dims` as many last ones as there are sizes, or all); like
    /// `torch.fft.fftn`. A size of -1 is the tensor's own.
    ///
    /// # Errors
    /// As for [`fft`](Self::fft); a dimension twice; another number of sizes than of dimensions.
    ///
    /// ```
    /// # use taper::prelude::*; use taper::{ComplexTensor, FftNorm}; fn main() -> taper::Result<()> {
    /// let x = ComplexTensor::from_real(&Tensor::ones([2, 4], &Device::cpu())?)?;
    /// let y = x.fftn(None, None, FftNorm::Backward)?;
    /// assert_eq!(y.real()?.to_vec::<f32>()?, [8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn fftn(&self, sizes: Option<&[isize]>, dims: Option<&[isize]>, norm: FftNorm) -> Result<ComplexTensor> {
        self.many(Kind::forward("fftn", norm), &axes("fftn", self.rank(), sizes, dims)?)
    }

    /// Undoes [`fftn`](Self::fftn); like `torch.fft.ifftn`.
    ///
    /// # Errors
    /// As for [`fftn`](Self::fftn).
    #[track_caller]
    pub fn ifftn(&self, sizes: Option<&[isize]>, dims: Option<&[isize]>, norm: FftNorm) -> Result<ComplexTensor> {
        self.many(Kind::inverse("ifftn", norm), &axes("ifftn", self.rank(), sizes, dims)?)
    }

    /// [`irfft`](Self::irfft) along the last of several dimensions, [`ifft`](Self::ifft) along the others; like `torch.fft.irfftn`.
    ///
    /// # Errors
    /// As for [`fftn`](Self::fftn).
    #[track_caller]
    pub fn irfftn(&self, sizes: Option<&[isize]>, dims: Option<&[isize]>, norm: FftNorm) -> Result<Tensor> {
        self.many_to_real(Kind::inverse("irfftn", norm), &axes("irfftn", self.rank(), sizes, dims)?)
    }

    /// [`hfft`](Self::hfft) along the last of several dimensions, [`fft`](Self::fft) along the others; like `torch.fft.hfftn`.
    ///
    /// # Errors
    /// As for [`fftn`](Self::fftn).
    #[track_caller]
    pub fn hfftn(&self, sizes: Option<&[isize]>, dims: Option<&[isize]>, norm: FftNorm) -> Result<Tensor> {
        self.many_to_real(Kind::forward("hfftn", norm), &axes("hfftn", self.rank(), sizes, dims)?)
    }

    #[track_caller]
    fn many(&self, kind: Kind, axes: &[(usize, Option<usize>)]) -> Result<ComplexTensor> {
        axes.iter().try_fold(self.clone(), |x, &(d, n)| kind.both(&x, d, n.unwrap_or(x.shape()[d])))
    }

    #[track_caller]
    fn many_to_real(&self, kind: Kind, axes: &Axes) -> Result<Tensor> {
        let ((last, n), others) = real_axis(kind.op, axes)?;
        kind.from_half(&self.many(kind, others)?, last, whole(n, self.shape()[last]))
    }

    /// Frequency 0 moved to the middle of each of `dims` (`..` is all); like `torch.fft.fftshift`.
    ///
    /// # Errors
    /// A dimension out of range.
    #[track_caller]
    pub fn fftshift(&self, dims: impl Dims) -> Result<ComplexTensor> {
        let dims = resolve("fftshift", &dims, self.rank())?;
        self.through(|pairs| pairs.fftshift(&dims[..]))
    }

    /// Undoes [`fftshift`](Self::fftshift); like `torch.fft.ifftshift`.
    ///
    /// # Errors
    /// A dimension out of range.
    #[track_caller]
    pub fn ifftshift(&self, dims: impl Dims) -> Result<ComplexTensor> {
        let dims = resolve("ifftshift", &dims, self.rank())?;
        self.through(|pairs| pairs.ifftshift(&dims[..]))
    }
}

/// Transforms of real numbers.
impl Tensor {
    /// The first `n / 2 + 1` points of the transform of `n` real ones: the others are their mirror images; like `torch.fft.rfft`.
    ///
    /// # Errors
    /// As for [`ComplexTensor::fft`].
    ///
    /// ```
    /// # use taper::prelude::*; use taper::FftNorm; fn main() -> taper::Result<()> {
    /// let x = Tensor::new([1.0, 2.0, 3.0, 4.0], &Device::cpu())?;
    /// let y = x.rfft(None, -1, FftNorm::Backward)?;
    /// assert_eq!(y.view_as_real().to_vec::<f32>()?, [10.0, 0.0, -2.0, 2.0, -2.0, 0.0]);
    /// assert_eq!(y.irfft(Some(4), -1, FftNorm::Backward)?.to_vec::<f32>()?, [1.0, 2.0, 3.0, 4.0]);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn rfft(&self, n: Option<usize>, dim: isize, norm: FftNorm) -> Result<ComplexTensor> {
        let d = axis("rfft", dim, self.rank())?;
        Kind::forward("rfft", norm).to_half(self, d, n.unwrap_or(self.shape()[d]))
    }

    /// The first half of the signal whose real spectrum this is; like `torch.fft.ihfft`.
    ///
    /// # Errors
    /// As for [`ComplexTensor::fft`].
    #[track_caller]
    pub fn ihfft(&self, n: Option<usize>, dim: isize, norm: FftNorm) -> Result<ComplexTensor> {
        let d = axis("ihfft", dim, self.rank())?;
        Kind::inverse("ihfft", norm).to_half(self, d, n.unwrap_or(self.shape()[d]))
    }

    /// [`rfft`](Self::rfft) along the last of several dimensions, [`ComplexTensor::fft`] along the others; like `torch.fft.rfftn`.
    ///
    /// # Errors
    /// As for [`ComplexTensor::fftn`].
    #[track_caller]
    pub fn rfftn(&self, sizes: Option<&[isize]>, dims: Option<&[isize]>, norm: FftNorm) -> Result<ComplexTensor> {
        self.many_halves(Kind::forward("rfftn", norm), &axes("rfftn", self.rank(), sizes, dims)?)
    }

    /// [`ihfft`](Self::ihfft) along the last of several dimensions, [`ComplexTensor::ifft`] along the others; like `torch.fft.ihfftn`.
    ///
    /// # Errors
    /// As for [`ComplexTensor::fftn`].
    #[track_caller]
    pub fn ihfftn(&self, sizes: Option<&[isize]>, dims: Option<&[isize]>, norm: FftNorm) -> Result<ComplexTensor> {
        self.many_halves(Kind::inverse("ihfftn", norm), &axes("ihfftn", self.rank(), sizes, dims)?)
    }

    #[track_caller]
    fn many_halves(&self, kind: Kind, axes: &Axes) -> Result<ComplexTensor> {
        let ((last, n), others) = real_axis(kind.op, axes)?;
        kind.to_half(self, last, n.unwrap_or(self.shape()[last]))?.many(kind, others)
    }
}

/// Transforms of images: those over several dimensions, here the last two.
macro_rules! planes {
    ($of:ty: $($name:ident $many:ident $result:ty;)*) => {
        impl $of {$(
            #[doc = concat!("[`", stringify!($many), "`](Self::", stringify!($many), ") along the last two dimensions; like `torch.fft.", stringify!($name), "`.")]
            ///
            /// # Errors
            /// As for [`ComplexTensor::fftn`].
            #[track_caller]
            pub fn $name(&self, sizes: Option<[isize; 2]>, norm: FftNorm) -> Result<$result> {
                self.$many(sizes.as_ref().map(|s| &s[..]), Some(&[-2, -1]), norm)
            }
        )*}
    };
}

planes! { ComplexTensor: fft2 fftn ComplexTensor; ifft2 ifftn ComplexTensor; irfft2 irfftn Tensor; hfft2 hfftn Tensor; }
planes! { Tensor: rfft2 rfftn ComplexTensor; ihfft2 ihfftn ComplexTensor; }

#[cfg(test)]
mod tests;
