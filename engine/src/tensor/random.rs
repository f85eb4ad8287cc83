//! Random tensors. One global generator: a seed, and a count of the blocks of four words that were drawn.

use std::cell::RefCell;
use std::collections::VecDeque;

use parking_lot::Mutex;

use super::{Operand, Tensor, TensorOptions};
use crate::autograd;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::ops::{Distribution, Random, Spec, Words};
use crate::shape::checked_numel;

/// Seed and the next unused block.
static GENERATOR: Mutex<(u64, u64)> = Mutex::new((0x7A9E_2025, 0));

/// Seeds the generator: the same program draws the same numbers again, on every device. Like `torch.manual_seed`.
pub fn manual_seed(seed: u64) {
    *GENERATOR.lock() = (seed, 0);
}

/// The generator's state, for checkpoints: seed and position. Like `torch.get_rng_state`.
pub fn rng_state() -> (u64, u64) {
    *GENERATOR.lock()
}

/// Goes back to a state that [`rng_state`] gave.
pub fn set_rng_state(state: (u64, u64)) {
    *GENERATOR.lock() = state;
}

/// What was drawn in a piece of work, in order: so that it can be done again with the same numbers.
pub(crate) type Drawn = Vec<(u64, u64)>;

thread_local! {
    /// The pieces of work of this thread whose draws are written down, and those that draw what was.
    static RECORDING: RefCell<Vec<Drawn>> = const { RefCell::new(Vec::new()) };
    static REPLAYING: RefCell<Vec<VecDeque<(u64, u64)>>> = const { RefCell::new(Vec::new()) };
}

/// Takes blocks from the generator: its seed, and the first of them.
pub(crate) fn draw(blocks: u64) -> (u64, u64) {
    let again = REPLAYING.with_borrow_mut(|all| all.last_mut().and_then(VecDeque::pop_front));
    let drawn = again.unwrap_or_else(|| {
        let mut state = GENERATOR.lock();
        let drawn = *state;
        state.1 = state.1.wrapping_add(blocks);
        drawn
    });
    RECORDING.with_borrow_mut(|all| all.iter_mut().for_each(|r| r.push(drawn)));
    drawn
}

/// Runs `f` and returns what it drew. Other threads may draw meanwhile.
pub(crate) fn recorded<T>(f: impl FnOnce() -> T) -> (T, Drawn) {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            RECORDING.with_borrow_mut(Vec::pop);
        }
    }
    RECORDING.with_borrow_mut(|all| all.push(Drawn::new()));
    let end = End;
    let out = f();
    let drawn = RECORDING.with_borrow_mut(|all| all.last_mut().map(std::mem::take)).unwrap_or_default();
    drop(end);
    (out, drawn)
}

/// Runs `f` with what was drawn before; the generator stays where it is.
pub(crate) fn replayed<T>(drawn: &Drawn, f: impl FnOnce() -> T) -> T {
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            REPLAYING.with_borrow_mut(Vec::pop);
        }
    }
    REPLAYING.with_borrow_mut(|all| all.push(drawn.iter().copied().collect()));
    let _end = End;
    f()
}

#[track_caller]
fn random(op: &'static str, distribution: Distribution, shape: &[usize], dtype: DType, options: &TensorOptions) -> Result<Tensor> {
    let n = checked_numel(op, shape)?;
    let (seed, offset) = draw(Random::blocks(distribution, dtype, n));
    Tensor::source(Random { spec: Spec::new(dtype, shape), distribution, seed, offset }, &options.device)
}

fn float(op: &'static str, dtype: Option<DType>) -> Result<DType> {
    match dtype.unwrap_or(DType::F32) {
        d if d.is_float() => Ok(d),
        d => Err(Error::dtype(op, format!("random numbers of this kind are floats, not {d}"))),
    }
}

/// New random tensors.
impl Tensor {
    /// Uniform in `[0, 1)`; like `torch.rand`. The same bits on every device.
    ///
    /// # Errors
    /// A shape too large; a type that is no float.
    ///
    /// ```
    /// # use taper::prelude::*; fn main() -> taper::Result<()> {
    /// taper::manual_seed(1);
    /// let a = Tensor::rand([2, 3], &Device::cpu())?.to_vec::<f32>()?;
    /// taper::manual_seed(1);
    /// assert_eq!(Tensor::rand([2, 3], &Device::cpu())?.to_vec::<f32>()?, a);
    /// # Ok(()) }
    /// ```
    #[track_caller]
    pub fn rand(shape: impl AsRef<[usize]>, opts: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = opts.into();
        random("rand", Distribution::Uniform, shape.as_ref(), float("rand", options.dtype)?, &options)
    }

    /// Normal with mean 0 and variance 1; like `torch.randn`. Devices agree to a few units in the last place.
    ///
    /// # Errors
    /// A shape too large; a type that is no float.
    #[track_caller]
    pub fn randn(shape: impl AsRef<[usize]>, opts: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = opts.into();
        random("randn", Distribution::Normal, shape.as_ref(), float("randn", options.dtype)?, &options)
    }

    /// Integers in `[low, high)`, `i64` unless `opts` says otherwise; like `torch.randint`. The same on every device.
    ///
    /// # Errors
    /// No integer between the bounds, or more than 2^32; bounds the type cannot hold.
    #[track_caller]
    pub fn randint(low: i64, high: i64, shape: impl AsRef<[usize]>, opts: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = opts.into();
        let dtype = options.dtype.unwrap_or(DType::I64);
        let range = high as i128 - low as i128;
        if !(1..=1 << 32).contains(&range) {
            return Err(Error::argument("randint", format!("between {low} and {high} there must be 1 to 2^32 integers")));
        }
        let (least, most) = dtype.int_range().unwrap_or((i128::MIN, i128::MAX));
        if (low as i128) < least || high as i128 - 1 > most {
            return Err(Error::argument("randint", format!("{low} to {} does not fit {dtype}", high - 1)));
        }
        super::create::check_wide(
            "randint",
            if dtype.is_int() { dtype } else { DType::I64 },
            &[low.into(), (high - 1).into()],
            &options.device,
        )?;
        let drawn = if dtype.is_int() { dtype } else { DType::I64 };
        let numbers = Distribution::Integers { low, range: range as u64 };
        random("randint", numbers, shape.as_ref(), drawn, &options)?.to_dtype(dtype)
    }

    /// The integers from 0 to `n - 1` in random order; like `torch.randperm`. Drawn on the host.
    ///
    /// # Errors
    /// A size too large.
    #[track_caller]
    pub fn randperm(n: usize, opts: impl Into<TensorOptions>) -> Result<Tensor> {
        let options = opts.into();
        checked_numel("randperm", &[n])?;
        let mut order: Vec<i64> = Vec::new();
        let no_memory = |_| Error::OutOfMemory { device: "host".into(), message: format!("no room for {n} integers") };
        order.try_reserve_exact(n).map_err(no_memory)?;
        order.extend(0..n as i64);
        let (seed, offset) = draw((n as u64).div_ceil(2));
        let mut words = Words::new(seed, offset);
        // From the end, each place takes one of those before it or itself.
        for i in (1..n).rev() {
            let wide = (words.word(2 * i as u64) as u64) << 32 | words.word(2 * i as u64 + 1) as u64;
            order.swap(i, ((wide as u128 * (i as u128 + 1)) >> 64) as usize);
        }
        let order = Tensor::from_vec(order, [n], &options.device)?;
        order.to_dtype(options.dtype.unwrap_or(DType::I64))
    }

    /// Normal with this mean and standard deviation; like `torch.normal`.
    ///
    /// # Errors
    /// A shape too large; a type that is no float; a negative deviation.
    #[track_caller]
    pub fn normal(mean: f64, std: f64, shape: impl AsRef<[usize]>, opts: impl Into<TensorOptions>) -> Result<Tensor> {
        if !(std >= 0.0) {
            return Err(Error::argument("normal", format!("the standard deviation must not be negative, but is {std}")));
        }
        Tensor::randn(shape, opts)?.mul(std)?.add(mean)
    }

    /// Normal with a mean and standard deviation for each element; like `torch.normal`. They promote and broadcast. Looks at
    /// the deviations, to refuse negative ones. The result has no gradient.
    ///
    /// # Errors
    /// No tensor among them; shapes that do not broadcast; integers; a negative deviation.
    #[track_caller]
    pub fn normal_of(mean: impl Into<Operand>, std: impl Into<Operand>) -> Result<Tensor> {
        const OP: &str = "normal";
        let (mean, std) = (mean.into(), std.into());
        let negative = match &std {
            Operand::Scalar(s) => !(s.as_f64() >= 0.0),
            Operand::Tensor(t) => t.numel() > 0 && t.detach()?.lt(0)?.any(..)?.item::<bool>()?,
        };
        if negative {
            return Err(Error::argument(OP, "the standard deviation must not be negative"));
        }
        autograd::no_grad(|| {
            // Their sum has the type and the shape of the result.
            let spec = Operand::add(&mean, &std)?;
            if !spec.dtype().is_float() {
                return Err(Error::dtype(OP, format!("expected floating point numbers, got {}", spec.dtype())));
            }
            Operand::add(&spec.randn_like()?.mul(&std)?.into(), &mean)
        })
    }

    /// Uniform in `[0, 1)` in this tensor's shape, type and device.
    ///
    /// # Errors
    /// A type that is no float.
    #[track_caller]
    pub fn rand_like(&self) -> Result<Tensor> {
        Tensor::rand(self.shape(), self.options())
    }

    /// Standard normal in this tensor's shape, type and device.
    ///
    /// # Errors
    /// A type that is no float.
    #[track_caller]
    pub fn randn_like(&self) -> Result<Tensor> {
        Tensor::randn(self.shape(), self.options())
    }

    /// Integers in `[low, high)` in this tensor's shape, type and device.
    ///
    /// # Errors
    /// As for [`randint`](Self::randint).
    #[track_caller]
    pub fn randint_like(&self, low: i64, high: i64) -> Result<Tensor> {
        Tensor::randint(low, high, self.shape(), self.options())
    }

    /// 1 with the probability each element gives, else 0; like `torch.bernoulli`.
    ///
    /// # Errors
    /// A type that is no float. An element outside 0 to 1 is reported when the result is read: as an index out of range.
    #[track_caller]
    pub fn bernoulli(&self) -> Result<Tensor> {
        float("bernoulli", Some(self.dtype()))?;
        let p = self.detach()?;
        let wrong = p.ge(0)?.logical_and(&p.le(1)?)?.logical_not()?;
        let drawn = Tensor::rand(self.shape(), self.device())?.lt(&p)?.to_dtype(DType::I64)?.masked_fill(&wrong, 2)?;
        let outcomes = Tensor::arange(0, 2, 1, (self.dtype(), self.device()))?;
        outcomes.index_select(0, &drawn.flatten(0, -1)?)?.reshape(self.shape())
    }
}

/// Filling a tensor with random numbers in place.
impl Tensor {
    /// Uniform in `[low, high)`.
    ///
    /// # Errors
    /// A type that is no float; bounds in the wrong order; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn uniform_(&self, low: f64, high: f64) -> Result<&Self> {
        if !(low <= high) {
            return Err(Error::argument("uniform_", format!("the interval from {low} to {high} is empty")));
        }
        self.refill("uniform_", |t| t.rand_like()?.mul(high - low)?.add(low))
    }

    /// Normal with this mean and standard deviation.
    ///
    /// # Errors
    /// A type that is no float; a negative deviation; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn normal_(&self, mean: f64, std: f64) -> Result<&Self> {
        self.refill("normal_", |t| Tensor::normal(mean, std, t.shape(), t.options()))
    }

    /// 1 with probability `p`, else 0.
    ///
    /// # Errors
    /// A probability outside 0 to 1; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn bernoulli_(&self, p: f64) -> Result<&Self> {
        if !(0.0..=1.0).contains(&p) {
            return Err(Error::argument("bernoulli_", format!("{p} is no probability")));
        }
        self.refill("bernoulli_", |t| Tensor::rand(t.shape(), t.device())?.lt(p)?.to_dtype(t.dtype()))
    }

    /// Exponential with rate `rate`.
    ///
    /// # Errors
    /// A type that is no float; a rate that is not positive; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn exponential_(&self, rate: f64) -> Result<&Self> {
        if !(rate > 0.0) {
            return Err(Error::argument("exponential_", format!("the rate must be positive, but is {rate}")));
        }
        // 1 - u is never 0.
        self.refill("exponential_", |t| Operand::sub(&1.0f64.into(), &t.rand_like()?.into())?.log()?.mul(-1.0 / rate))
    }

    /// Cauchy's distribution around `median`, half of it within `sigma`.
    ///
    /// # Errors
    /// A type that is no float; a `sigma` that is not positive; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn cauchy_(&self, median: f64, sigma: f64) -> Result<&Self> {
        if !(sigma > 0.0) {
            return Err(Error::argument("cauchy_", format!("sigma must be positive, but is {sigma}")));
        }
        self.refill("cauchy_", |t| t.rand_like()?.sub(0.5)?.mul(std::f64::consts::PI)?.tan()?.mul(sigma)?.add(median))
    }

    /// The logarithm is normal with this mean and standard deviation.
    ///
    /// # Errors
    /// A type that is no float; a deviation that is not positive; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn log_normal_(&self, mean: f64, std: f64) -> Result<&Self> {
        if !(std > 0.0) {
            return Err(Error::argument("log_normal_", format!("the standard deviation must be positive, but is {std}")));
        }
        self.refill("log_normal_", |t| Tensor::normal(mean, std, t.shape(), t.options())?.exp())
    }

    /// The number of trials up to the first success, which has probability `p`.
    ///
    /// # Errors
    /// A probability outside 0 to 1, or at an end; a `bool` tensor; a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn geometric_(&self, p: f64) -> Result<&Self> {
        if !(p > 0.0 && p < 1.0) {
            return Err(Error::argument("geometric_", format!("the probability must lie between 0 and 1, but is {p}")));
        }
        self.refill("geometric_", |t| {
            // 1 - u is never 0.
            let u = Tensor::rand(t.shape(), t.device())?.neg()?.add(1.0)?;
            u.log()?.div((-p).ln_1p())?.ceil()?.clamp(1.0, None::<f64>)?.to_dtype(t.dtype())
        })
    }

    /// Integers in `[low, high)`.
    ///
    /// # Errors
    /// As for [`randint`](Self::randint); a leaf that requires a gradient, outside `no_grad`.
    #[track_caller]
    pub fn random_(&self, low: i64, high: i64) -> Result<&Self> {
        self.refill("random_", |t| t.randint_like(low, high))
    }

    #[track_caller]
    fn refill(&self, op: &'static str, new: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<&Self> {
        self.check_inplace(op)?;
        self.replace(&new(self)?)?;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::testing::for_each_device;

    /// Tests that seed the one generator take turns.
    static TURN: Mutex<()> = Mutex::new(());

    fn seeded<T>(seed: u64, f: impl FnOnce() -> T) -> T {
        let _turn = TURN.lock();
        manual_seed(seed);
        f()
    }

    #[test]
    fn uniforms_and_integers_are_the_same_bits_everywhere() {
        let draw = |dev: &Device| -> Result<(Vec<f32>, Vec<i64>, Vec<i32>)> {
            // Drawn with explicit offsets: other tests may use the generator at the same time.
            let make = |distribution, dtype| {
                let op = Random { spec: Spec::new(dtype, &[1001]), distribution, seed: 0x1234_5678_9abc_def0, offset: u32::MAX as u64 - 3 };
                Tensor::source(op, dev)
            };
            let wide = Distribution::Integers { low: i32::MIN as i64, range: 1 << 32 };
            Ok((
                make(Distribution::Uniform, DType::F32)?.to_vec()?,
                make(Distribution::Integers { low: -5, range: 10 }, DType::I64)?.to_vec()?,
                make(wide, DType::I32)?.to_vec()?,
            ))
        };
        let expected = draw(&Device::cpu()).unwrap();
        assert!(expected.1.iter().all(|i| (-5..5).contains(i)) && expected.0.iter().all(|u| (0.0..1.0).contains(u)));
        assert_eq!(expected.0[5], (crate::ops::philox(0x1234_5678_9abc_def0, u32::MAX as u64 - 2)[1] >> 8) as f32 / 16_777_216.0);
        for_each_device(|dev| {
            assert_eq!(draw(dev)?, expected);
            Ok(())
        });
    }

    #[test]
    fn normals_agree_across_devices() {
        let draw = |dev: &Device| -> Result<Vec<f32>> {
            Tensor::source(Random { spec: Spec::new(DType::F32, &[4096]), distribution: Distribution::Normal, seed: 3, offset: 9 }, dev)?
                .to_vec()
        };
        let expected = draw(&Device::cpu()).unwrap();
        let mean = expected.iter().sum::<f32>() / 4096.0;
        let variance = expected.iter().map(|x| x * x).sum::<f32>() / 4096.0;
        assert!(mean.abs() < 0.06 && (variance - 1.0).abs() < 0.1, "mean {mean}, variance {variance}");
        for_each_device(|dev| {
            for (a, b) in draw(dev)?.iter().zip(&expected) {
                assert!((a - b).abs() <= 4e-7 * b.abs().max(0.25), "{a} for {b} on {dev}");
            }
            Ok(())
        });
    }

    #[test]
    fn a_seed_repeats_and_consecutive_draws_differ() -> Result<()> {
        let cpu = Device::cpu();
        let draw = || -> Result<(Vec<f32>, Vec<f32>, Vec<i64>)> {
            Ok((Tensor::rand([7], &cpu)?.to_vec()?, Tensor::rand([7], &cpu)?.to_vec()?, Tensor::randperm(50, &cpu)?.to_vec()?))
        };
        let a = seeded(5, draw)?;
        assert_ne!(a.0, a.1);
        let mut sorted = a.2.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<i64>>());
        assert_ne!(sorted, a.2);
        Ok(())
    }

    #[test]
    fn probabilities_and_bounds_are_respected() -> Result<()> {
        let cpu = Device::cpu();
        let p = Tensor::full([4000], 0.25, &cpu)?;
        let share = p.bernoulli()?.mean_all()?.item::<f32>()?;
        assert!((share - 0.25).abs() < 0.04, "{share}");
        let u = Tensor::zeros([1000], (DType::F64, &cpu))?;
        u.uniform_(2.0, 3.0)?;
        assert!(u.to_vec::<f64>()?.iter().all(|x| (2.0..3.0).contains(x)));
        assert!(Tensor::randint(3, 3, [1], &cpu).is_err());
        assert!(Tensor::randint(0, 300, [1], (DType::U8, &cpu)).is_err());
        assert!(Tensor::rand([1], (DType::I64, &cpu)).is_err());
        assert!(Tensor::rand([1000], (DType::F16, &cpu))?.to_dtype(DType::F32)?.to_vec::<f32>()?.iter().all(|x| *x < 1.0));
        Ok(())
    }
}
