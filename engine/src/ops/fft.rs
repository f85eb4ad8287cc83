//! The discrete Fourier transform of rows, by the `rustfft` crate.
//!
//! A complex number is a pair of floats in the last dimension. Transforms run on the host, also for tensors on a GPU (a plan then
//! has a host segment, with a download before and an upload behind it), and in `f64` whatever the tensors' type. Rows are
//! spread over the cores.

use rustfft::num_complex::Complex;
use rustfft::{FftDirection, FftPlanner};
use smallvec::smallvec;

use super::op::{Grads, Kind, Op, Saves, Spec};
use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launches};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::tensor::{Tensor, reserve};

/// Which of the numbers before and after a transform are there. Those of real numbers are each other's mirror images, so
/// half of them says everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sides {
    /// `[.., n, 2]` to `[.., n, 2]`.
    Both,
    /// Real numbers to the first half of their transform: `[.., n]` to `[.., n / 2 + 1, 2]`.
    ToHalf,
    /// And back: `[.., n / 2 + 1, 2]` to `[.., n]`.
    FromHalf { n: usize },
}

/// What a transform of `n` numbers is multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    One,
    /// `1 / sqrt(n)`
    Root,
    /// `1 / n`
    Whole,
}

/// Along the rows: `y[k] = sum of w x[j] exp(-+ 2 pi i j k / n)`, for halves the real part of it on the real side.
#[derive(Debug, Clone)]
pub(crate) struct Fft {
    pub inverse: bool,
    pub sides: Sides,
    /// Of a half, `w` is 2 for numbers that have a mirror image, and stand for it, and 1 for others. Otherwise it is 1.
    pub mirrored: bool,
    pub factor: Factor,
}

impl Fft {
    /// The number of points, for an input of this shape.
    fn points(&self, shape: &[usize]) -> usize {
        match (self.sides, shape) {
            (Sides::FromHalf { n }, _) => n,
            (Sides::Both, [.., n, _]) | (Sides::ToHalf, [.., n]) => *n,
            _ => 0,
        }
    }
}

impl Op for Fft {
    fn name(&self) -> &'static str {
        "fft"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let x = &inputs[0];
        if !matches!(x.dtype, DType::F32 | DType::F64) {
            return Err(Error::dtype("fft", format!("transforms f32 and f64, not {}", x.dtype)));
        }
        let n = self.points(&x.shape);
        let shape = match (self.sides, &x.shape[..]) {
            (Sides::Both, [.., _, 2]) => Some(x.shape.clone()),
            (Sides::ToHalf, [lead @ .., _]) => Some(lead.iter().copied().chain([n / 2 + 1, 2]).collect()),
            (Sides::FromHalf { .. }, [lead @ .., half, 2]) if *half == n / 2 + 1 => Some(lead.iter().copied().chain([n]).collect()),
            _ => None,
        };
        match shape {
            Some(shape) if n > 0 => Ok(Spec { dtype: x.dtype, shape }),
            _ => Err(Error::argument("fft", format!("{n} points from a tensor of shape {:?}", &x.shape[..]))),
        }
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        let sides = match self.sides {
            Sides::Both => 0,
            Sides::ToHalf => 1,
            Sides::FromHalf { n } => 2 + n as u64,
        };
        key.extend([sides, self.inverse as u64 | (self.mirrored as u64) << 1 | (self.factor as u64) << 2]);
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }

    /// The adjoint has the other sign, and goes from the side this one goes to.
    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let sides = match self.sides {
            Sides::Both => Sides::Both,
            Sides::ToHalf => Sides::FromHalf { n: self.points(&ctx.spec(0).shape) },
            Sides::FromHalf { .. } => Sides::ToHalf,
        };
        Ok(smallvec![Some(Tensor::apply(Fft { inverse: !self.inverse, sides, ..self.clone() }, &[dy])?)])
    }
}

impl Compute for Fft {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let n = self.points(inputs[0].shape());
        match out.dtype {
            DType::F64 => self.rows(n, inputs[0].data::<f64>(), out.data::<f64>(), |v| v, |v| v),
            _ => self.rows(n, inputs[0].data::<f32>(), out.data::<f32>(), f64::from, |v| v as f32),
        }
    }

    /// None: see the module's documentation.
    fn gpu(&self, _: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        None
    }
}

impl Fft {
    fn rows<T: Copy + Send + Sync>(
        &self,
        n: usize,
        x: &[T],
        y: &mut [T],
        wide: impl Fn(T) -> f64 + Sync,
        narrow: impl Fn(f64) -> T + Sync,
    ) -> Result<()> {
        // What the plan, a row and its scratch take: the crate does not ask whether there is room.
        drop(reserve::<[Complex<f64>; 8]>("fft", n)?);
        let direction = if self.inverse { FftDirection::Inverse } else { FftDirection::Forward };
        let transform = FftPlanner::<f64>::new().plan_fft(n, direction);
        let (from, to) = match self.sides {
            Sides::Both => (2 * n, 2 * n),
            Sides::ToHalf => (n, 2 * (n / 2 + 1)),
            Sides::FromHalf { .. } => (2 * (n / 2 + 1), n),
        };
        let start = || (vec![Complex::default(); n], vec![Complex::default(); transform.get_inplace_scratch_len()]);
        let one = |(z, scratch): &mut (Vec<Complex<f64>>, Vec<Complex<f64>>), (x, y): (&[T], &mut [T])| {
            self.read(x, z, &wide);
            transform.process_with_scratch(z, scratch);
            self.write(z, y, &narrow);
        };
        #[cfg(not(target_arch = "wasm32"))]
        if y.len() > 4096 {
            use rayon::prelude::*;
            x.par_chunks_exact(from).zip(y.par_chunks_exact_mut(to)).for_each_init(start, one);
            return Ok(());
        }
        let mut buffers = start();
        x.chunks_exact(from).zip(y.chunks_exact_mut(to)).for_each(|row| one(&mut buffers, row));
        Ok(())
    }

    /// One row, as complex numbers that still have to be transformed.
    fn read<T: Copy>(&self, x: &[T], z: &mut [Complex<f64>], wide: impl Fn(T) -> f64) {
        let n = z.len();
        let pairs = x.chunks_exact(2).map(|p| Complex::new(wide(p[0]), wide(p[1])));
        match self.sides {
            Sides::Both => z.iter_mut().zip(pairs).for_each(|(z, p)| *z = p),
            Sides::ToHalf => z.iter_mut().zip(x).for_each(|(z, &v)| *z = Complex::new(wide(v), 0.0)),
            Sides::FromHalf { .. } => {
                z.fill(Complex::default());
                for (k, p) in pairs.enumerate() {
                    z[k] = p;
                    if self.mirrored && has_image(k, n) {
                        z[n - k] = p.conj();
                    }
                }
            }
        }
    }

    fn write<T>(&self, z: &[Complex<f64>], y: &mut [T], narrow: impl Fn(f64) -> T) {
        let n = z.len();
        let factor = match self.factor {
            Factor::One => 1.0,
            Factor::Root => 1.0 / (n as f64).sqrt(),
            Factor::Whole => 1.0 / n as f64,
        };
        if let Sides::FromHalf { .. } = self.sides {
            y.iter_mut().zip(z).for_each(|(y, z)| *y = narrow(z.re * factor));
            return;
        }
        for (k, (pair, z)) in y.chunks_exact_mut(2).zip(z).enumerate() {
            let twice = self.sides == Sides::ToHalf && self.mirrored && has_image(k, n);
            let by = if twice { 2.0 * factor } else { factor };
            pair[0] = narrow(z.re * by);
            pair[1] = narrow(z.im * by);
        }
    }
}

/// Whether number `k` of the first half of `n` has another one as its mirror image.
fn has_image(k: usize, n: usize) -> bool {
    k > 0 && 2 * k < n
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::assert_gradients;

    fn numbers(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * i + 3) as f64 * 0.7).sin()).collect()
    }

    /// The sum, term by term.
    fn slow(z: &[Complex<f64>], inverse: bool) -> Vec<Complex<f64>> {
        let turn = if inverse { 1.0 } else { -1.0 } * std::f64::consts::TAU / z.len() as f64;
        let term = |j: usize, k: usize| z[j] * Complex::from_polar(1.0, turn * (j * k % z.len()) as f64);
        (0..z.len()).map(|k| (0..z.len()).map(|j| term(j, k)).sum()).collect()
    }

    #[test]
    fn every_length_agrees_with_the_sum() -> Result<()> {
        for n in [1, 2, 3, 4, 5, 8, 15, 16, 37, 74, 97, 128, 210] {
            let x = numbers(2 * n);
            let z: Vec<_> = x.chunks_exact(2).map(|p| Complex::new(p[0], p[1])).collect();
            for inverse in [false, true] {
                let op = Fft { inverse, sides: Sides::Both, mirrored: false, factor: Factor::Root };
                let y = Tensor::apply(op, &[&Tensor::from_vec(x.clone(), [n, 2], &Device::cpu())?])?.to_vec::<f64>()?;
                for (got, sum) in y.chunks_exact(2).zip(slow(&z, inverse)) {
                    let off = (Complex::new(got[0], got[1]) * (n as f64).sqrt() - sum).norm();
                    assert!(off < 1e-12 * n as f64, "{n} points: off by {off}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn halves_of_real_numbers_come_back() -> Result<()> {
        for n in [1, 2, 3, 6, 7, 12] {
            let x = numbers(3 * n);
            let there = Fft { inverse: false, sides: Sides::ToHalf, mirrored: false, factor: Factor::One };
            let back = Fft { inverse: true, sides: Sides::FromHalf { n }, mirrored: true, factor: Factor::Whole };
            let half = Tensor::apply(there, &[&Tensor::from_vec(x.clone(), [3, n], &Device::cpu())?])?;
            assert_eq!(half.shape(), [3, n / 2 + 1, 2]);
            let again = Tensor::apply(back, &[&half])?.to_vec::<f64>()?;
            assert!(again.iter().zip(&x).all(|(a, x)| (a - x).abs() < 1e-12), "{n} points: {again:?}, not {x:?}");
        }
        Ok(())
    }

    #[test]
    fn gradients_agree_with_differences() {
        for n in [1, 4, 5] {
            for (sides, shape) in
                [(Sides::Both, vec![2, n, 2]), (Sides::ToHalf, vec![2, n]), (Sides::FromHalf { n }, vec![2, n / 2 + 1, 2])]
            {
                for mirrored in [false, true] {
                    let op = Fft { inverse: mirrored, sides, mirrored, factor: Factor::Root };
                    let x = numbers(shape.iter().product());
                    assert_gradients(&[(&x, &shape)], |x| Tensor::apply(op.clone(), &[&x[0].square()?]));
                }
            }
        }
    }
}
