//! Connectionist temporal classification: the likelihood of a label sequence under all its alignments.
//!
//! The CPU computes in 64 bits whatever the type, one sequence a task; a GPU in 32, see `shaders/ctc.wgsl`. The gradient
//! computes the forward variables anew instead of keeping them.

use crate::autograd::Ctx;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Compute, GpuOperand, Launch, Launches, Read, Write};
use crate::ops::{Float, Grads, Kind, Op, Saves, Spec, for_chunks, scratch};
use crate::runtime::Adapter;
use crate::runtime::cpu::memory::{CpuIn, CpuOut};
use crate::tensor::Tensor;

/// `[N]`: minus the log-likelihood of each target. Inputs: log-probabilities `[T, N, C]`, targets `[N, S]`, and lengths `[2, N]` (of
/// the inputs, of the targets).
#[derive(Debug)]
pub(crate) struct CtcLoss {
    pub blank: usize,
}

/// `[N, T, C]`: what a change of each log-probability does to the loss, if the log-probabilities stay normalised.
#[derive(Debug)]
pub(crate) struct CtcGrad {
    pub blank: usize,
}

impl Op for CtcLoss {
    fn name(&self) -> &'static str {
        "ctc_loss"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let [_, n, _] = sizes(inputs)?;
        Ok(Spec::new(inputs[0].dtype, &[n]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.blank as u64);
    }

    fn saves(&self) -> Saves {
        Saves { inputs: 0b111, output: true }
    }

    fn backward(&self, ctx: &Ctx<'_>, dy: &Tensor) -> Result<Grads> {
        let inputs = [ctx.input(0)?, ctx.input(1)?, ctx.input(2)?];
        let each = Tensor::apply(CtcGrad { blank: self.blank }, &inputs)?.transpose(0, 1)?;
        // Where the loss itself does not count, neither does an undefined slope.
        let dy = dy.reshape([1, -1, 1])?;
        let dx = each.mul(&dy)?.masked_fill(&dy.eq(0.0)?, 0.0)?;
        Ok(smallvec::smallvec![Some(dx), None, None])
    }
}

impl Op for CtcGrad {
    fn name(&self) -> &'static str {
        "ctc_loss_grad"
    }

    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        let [t, n, c] = sizes(inputs)?;
        Ok(Spec::new(inputs[0].dtype, &[n, t, c]))
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Compute(self)
    }

    fn attrs(&self, key: &mut Vec<u64>) {
        key.push(self.blank as u64);
    }

    fn saves(&self) -> Saves {
        Saves::NOTHING
    }
}

impl Compute for CtcLoss {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => losses::<f64>(self.blank, inputs, out),
            _ => losses::<f32>(self.blank, inputs, out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], _: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let lattice = Lattice::new(inputs, self.blank)?;
        let reads = vec![Read::input("x", 0), Read::scratch("lattice", 0), Read::input("goal", 1), Read::input("length", 2)];
        let groups = [lattice.batch.div_ceil(64) as u32, 1, 1];
        lattice.then(1, lattice.launch("ctc_loss", reads, Write::Output, groups), adapter)
    }

    fn epilogue(&self) -> bool {
        true
    }
}

impl Compute for CtcGrad {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        match out.dtype {
            DType::F64 => gradients::<f64>(self.blank, inputs, out),
            _ => gradients::<f32>(self.blank, inputs, out),
        }
    }

    fn gpu(&self, inputs: &[GpuOperand<'_>], _: &GpuOperand<'_>, adapter: &Adapter) -> Option<Launches> {
        let lattice = Lattice::new(inputs, self.blank)?;
        let reads = vec![Read::input("x", 0), Read::scratch("lattice", 0), Read::input("goal", 1), Read::input("length", 2)];
        let groups = [lattice.steps as u32, lattice.batch as u32, 1];
        let states = 2 * lattice.room + 1;
        if !adapter.allows_rounds(lattice.classes.div_ceil(64) + states.div_ceil(64) * 2 * states) {
            return None;
        }
        lattice.then(2, lattice.launch("ctc_grad", reads, Write::Output, groups), adapter)
    }
}

/// What the kernels on a GPU have in common.
struct Lattice {
    blank: usize,
    steps: usize,
    batch: usize,
    classes: usize,
    /// Of a target.
    room: usize,
}

impl Lattice {
    fn new(inputs: &[GpuOperand<'_>], blank: usize) -> Option<Lattice> {
        let (&[steps, batch, classes], &[_, room]) = (&inputs[0].layout.shape[..], &inputs[1].layout.shape[..]) else { return None };
        Some(Lattice { blank, steps, batch, classes, room })
    }

    fn launch(&self, shader: &'static str, reads: Vec<Read>, write: Write, groups: [u32; 3]) -> Launch {
        let mut params = [self.steps, self.batch, self.classes, self.room].map(|n| n as u32).to_vec();
        params.extend([f32::INFINITY, f32::NAN].map(f32::to_bits));
        Launch { shader, consts: vec![("BLANK", self.blank as u32)], reads, write, params, patches: vec![], groups }
    }

    /// `last`, after the lattices it reads: from the beginning, and with two of them from the end. `None` for what has nothing to
    /// compute or too much for one dispatch.
    fn then(&self, lattices: usize, last: Launch, adapter: &Adapter) -> Option<Launches> {
        let states = self.room.checked_mul(2)?.checked_add(1)?;
        let words = [lattices, self.batch, self.steps].into_iter().try_fold(states, usize::checked_mul)?;
        let fits = u64::try_from(words).is_ok_and(|n| n.saturating_mul(4) <= adapter.limits.binding_bytes);
        let many = self.steps.max(self.batch) > adapter.limits.groups_per_dimension as usize;
        // A goal without room has no buffer to bind.
        if words == 0 || self.room == 0 || !fits || many || !adapter.allows_rounds(self.steps.checked_mul(1 + states.div_ceil(64))?) {
            return None;
        }
        let reads = vec![Read::input("x", 0), Read::input("goal", 1), Read::input("length", 2)];
        let first = self.launch("ctc", reads, Write::Scratch(0), [self.batch as u32, lattices as u32, 1]);
        Some(Launches { launches: vec![first, last], scratch: vec![words] })
    }
}

fn sizes(inputs: &[Spec]) -> Result<[usize; 3]> {
    let [x, targets, lengths] = inputs else { return Err(Error::argument("ctc_loss", "takes three tensors")) };
    let (&[t, n, c], &[rows, _], &[2, columns]) = (&x.shape[..], &targets.shape[..], &lengths.shape[..]) else {
        return Err(Error::argument("ctc_loss", format!("{:?}, {:?} and {:?} do not fit", x.shape, targets.shape, lengths.shape)));
    };
    if rows != n || columns != n {
        return Err(Error::argument("ctc_loss", format!("{rows} targets and {columns} lengths for {n} sequences")));
    }
    Ok([t, n, c])
}

/// One sequence of a batch, and the target it should spell.
struct Sequence<'a, T> {
    x: &'a [T],
    /// Where step 0 starts in `x`, and how far apart steps are.
    first: usize,
    step: usize,
    steps: usize,
    target: &'a [i64],
    blank: usize,
}

impl<'a, T: Float> Sequence<'a, T> {
    fn of(inputs: &[CpuIn<'a>], n: usize, blank: usize) -> Result<Sequence<'a, T>> {
        let (&[steps, batch, classes], &[_, room]) = (inputs[0].shape(), inputs[1].shape()) else {
            return Err(Error::argument("ctc_loss", "unexpected shapes"));
        };
        let lengths = inputs[2].data::<i64>();
        let length = |i: usize, most: usize| usize::try_from(lengths[i]).unwrap_or(0).min(most);
        let target = &inputs[1].data::<i64>()[n * room..][..length(batch + n, room)];
        if let Some(&t) = target.iter().find(|&&t| usize::try_from(t).is_ok_and(|t| t >= classes) || t < 0) {
            return Err(Error::index("ctc_loss", format!("target {t} of sequence {n} is outside the {classes} classes")));
        }
        Ok(Sequence { x: inputs[0].data::<T>(), first: n * classes, step: batch * classes, steps: length(n, steps), target, blank })
    }

    fn log_p(&self, t: usize, class: usize) -> f64 {
        self.x[self.first + t * self.step + class].into()
    }

    /// The class of state `s`: targets with blanks around them.
    fn class(&self, s: usize) -> usize {
        if s % 2 == 0 { self.blank } else { self.target[s / 2] as usize }
    }

    fn states(&self) -> usize {
        2 * self.target.len() + 1
    }

    /// State `s` can be reached from `s - 2`: a blank between different targets may be left out.
    fn skips(&self, s: usize) -> bool {
        s >= 2 && s % 2 == 1 && self.target[s / 2] != self.target[s / 2 - 1]
    }

    /// `[steps, states]`: the logarithm of the probability of all ways to each state at each step.
    fn forward(&self) -> Result<Vec<f64>> {
        let states = self.states();
        let mut alpha = scratch("ctc_loss", self.steps * states, f64::NEG_INFINITY)?;
        for t in 0..self.steps {
            let (before, now) = alpha.split_at_mut(t * states);
            for (s, now) in now.iter_mut().enumerate().take(states) {
                let ways = match before.get(t.wrapping_sub(1).wrapping_mul(states)..) {
                    Some(last) if t > 0 => {
                        let at = |back: usize| s.checked_sub(back).map_or(f64::NEG_INFINITY, |s| last[s]);
                        log_sum([at(0), at(1), if self.skips(s) { at(2) } else { f64::NEG_INFINITY }])
                    }
                    _ if s < 2 => 0.0,
                    _ => f64::NEG_INFINITY,
                };
                *now = ways + self.log_p(t, self.class(s));
            }
        }
        Ok(alpha)
    }

    fn loss(&self, alpha: &[f64]) -> f64 {
        let states = self.states();
        if self.steps == 0 {
            return if self.target.is_empty() { 0.0 } else { f64::INFINITY };
        }
        let last = &alpha[(self.steps - 1) * states..];
        -log_sum([last[states - 1], if states > 1 { last[states - 2] } else { f64::NEG_INFINITY }, f64::NEG_INFINITY])
    }
}

/// The logarithm of the sum of exponentials.
fn log_sum(x: [f64; 3]) -> f64 {
    let most = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        // NaN stays.
        return x.iter().copied().fold(f64::NEG_INFINITY, |a, b| if b.is_nan() { b } else { a });
    }
    most + x.iter().map(|v| (v - most).exp()).sum::<f64>().ln()
}

fn losses<T: Float>(blank: usize, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
    for_chunks(out.data::<T>(), 1, true, |n, y| {
        let sequence = Sequence::<T>::of(inputs, n, blank)?;
        y[0] = T::constant(sequence.loss(&sequence.forward()?));
        Ok(())
    })
}

fn gradients<T: Float>(blank: usize, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
    let &[_, steps, classes] = out.shape else { return Err(Error::argument("ctc_loss", "unexpected shapes")) };
    for_chunks(out.data::<T>(), steps * classes, true, |n, dx| {
        let q = Sequence::<T>::of(inputs, n, blank)?;
        let (alpha, states) = (q.forward()?, q.states());
        let loss = q.loss(&alpha);
        dx.fill(T::ZERO);
        let mut beta = scratch("ctc_loss", states, f64::NEG_INFINITY)?;
        let mut next = beta.clone();
        let mut sums = scratch("ctc_loss", classes, f64::NEG_INFINITY)?;
        for t in (0..q.steps).rev() {
            std::mem::swap(&mut beta, &mut next);
            sums.fill(f64::NEG_INFINITY);
            for (s, beta) in beta.iter_mut().enumerate() {
                let ways = if t + 1 == q.steps {
                    if s + 2 >= states { 0.0 } else { f64::NEG_INFINITY }
                } else {
                    let at = |s: usize| next.get(s).copied().unwrap_or(f64::NEG_INFINITY);
                    let skip = s + 2 < states && q.skips(s + 2);
                    log_sum([at(s), at(s + 1), if skip { at(s + 2) } else { f64::NEG_INFINITY }])
                };
                let class = q.class(s);
                *beta = ways + q.log_p(t, class);
                // Both count this step's probability.
                sums[class] = log_sum([sums[class], alpha[t * states + s] + *beta, f64::NEG_INFINITY]);
            }
            for (c, (d, sum)) in dx[t * classes..][..classes].iter_mut().zip(&sums).enumerate() {
                let log_p = q.log_p(t, c);
                *d = T::constant(log_p.exp() - (sum + loss - log_p).exp());
            }
        }
        Ok(())
    })
}
