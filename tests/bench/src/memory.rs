//! What training keeps in memory besides parameters, gradients and the optimizer's state, by the pool's own statistics: a stack of
//! transformer blocks as it is, checkpointed block by block, and in mixed precision. And what padding costs a recurrent network.

use std::sync::Arc;
use std::time::Instant;

use taper::amp::autocast;
use taper::autograd::checkpoint;
use taper::nn::{Activation, LSTM, Masks, Module, PackedSequence, Param, TransformerConfig, TransformerEncoderLayer, pack_padded_sequence};
use taper::optim::{AdamW, Optimizer};
use taper::{DType, Device, Result, Tensor};

use crate::case::noise;
use crate::timer::Samples;

const LAYERS: usize = 24;
const DIM: usize = 256;
const SEQUENCE: usize = 256;
const BATCH: usize = 4;
/// Training steps of each kind, in turns.
const ROUNDS: usize = 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Plain,
    Checkpointed,
    MixedPrecision,
}

const KINDS: [How; 3] = [How::Plain, How::Checkpointed, How::MixedPrecision];

struct Stack {
    blocks: Vec<Arc<TransformerEncoderLayer>>,
    optimizer: AdamW,
    x: Tensor,
}

impl Stack {
    fn new(device: &Device) -> Result<Stack> {
        taper::manual_seed(11);
        let config = TransformerConfig::new(DIM, 8).dim_feedforward(4 * DIM).dropout(0.0).activation(Activation::Gelu);
        let config = config.batch_first(true).norm_first(true);
        let blocks = (0..LAYERS).map(|_| config.encoder_layer(device).map(Arc::new)).collect::<Result<Vec<_>>>()?;
        let params: Vec<Param> = blocks.iter().flat_map(|b| b.parameters()).collect();
        let x = Tensor::from_vec(noise(BATCH * SEQUENCE * DIM, 3), [BATCH, SEQUENCE, DIM], device)?;
        x.realize()?;
        Ok(Stack { blocks, optimizer: AdamW::new(params, 1e-4)?, x })
    }

    fn loss(&self, how: How) -> Result<Tensor> {
        let forward = || {
            self.blocks.iter().try_fold(self.x.clone(), |x, block| match how {
                How::Checkpointed => {
                    let block = block.clone();
                    checkpoint(move |x| block.forward(&x[0], Masks::default()), &[&x])
                }
                _ => block.forward(&x, Masks::default()),
            })
        };
        let y = if how == How::MixedPrecision { autocast(DType::F16, forward)? } else { forward()? };
        y.to_dtype(DType::F32)?.square()?.mean_all()
    }

    fn step(&mut self, how: How) -> Result<Tensor> {
        let loss = self.loss(how)?;
        self.optimizer.zero_grad(true)?;
        loss.backward()?;
        self.optimizer.step()?;
        Ok(loss)
    }

    /// Bytes of parameters, gradients, and the optimizer's two averages.
    fn lasting(&self) -> usize {
        16 * self.blocks.iter().map(|b| b.num_parameters()).sum::<usize>()
    }
}

fn mib(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Activations and times of the three kinds, as sentences.
pub fn activations(device: &Device) -> Result<Vec<String>> {
    let mut stack = Stack::new(device)?;
    let lasting = stack.lasting();
    let (mut times, mut kept, mut losses) = (vec![Samples::default(); KINDS.len()], [0; KINDS.len()], [0.0; KINDS.len()]);
    // The first round compiles, allocates and is not counted.
    for round in 0..=ROUNDS {
        for (i, how) in KINDS.into_iter().enumerate() {
            device.synchronize()?;
            device.reset_peak_memory();
            let start = Instant::now();
            losses[i] = stack.step(how)?.item::<f64>()?;
            device.synchronize()?;
            if round > 0 {
                times[i].0.push(start.elapsed().as_secs_f64());
                kept[i] = kept[i].max(device.memory().peak.saturating_sub(lasting));
            }
        }
    }
    let head = format!(
        "Activations of {LAYERS} transformer blocks (d {DIM}, sequence {SEQUENCE}, batch {BATCH}): peak less the {:.0} MiB of parameters, \
         gradients and optimizer state.",
        mib(lasting)
    );
    let line = |i: usize| {
        let (bytes, seconds) = (kept[i], times[i].median());
        let less = 100.0 * (1.0 - bytes as f64 / kept[0] as f64);
        let more = 100.0 * (seconds / times[0].median() - 1.0);
        format!("{:?}: {:.1} MiB ({less:.0} % less), {seconds:.3} s a step ({more:+.0} %), loss {:.4}.", KINDS[i], mib(bytes), losses[i])
    };
    Ok(std::iter::once(head).chain((0..KINDS.len()).map(line)).collect())
}

/// Time of a training step with half of the tokens missing, against that with all of them, for each real token.
pub fn padding(device: &Device) -> Result<Vec<String>> {
    const STEPS: usize = 64;
    const SEQUENCES: usize = 128;
    const FEATURES: usize = 256;
    taper::manual_seed(12);
    let lstm = LSTM::builder(FEATURES, FEATURES).batch_first(true).build(device)?;
    let mut optimizer = AdamW::new(lstm.parameters(), 1e-3)?;
    let x = Tensor::from_vec(noise(SEQUENCES * STEPS * FEATURES, 4), [SEQUENCES, STEPS, FEATURES], device)?;
    let full = pack_padded_sequence(&x, &[STEPS; SEQUENCES], true, true)?;
    // From the whole length down to almost nothing: half of all tokens.
    let lengths: Vec<usize> = (0..SEQUENCES).map(|n| (STEPS * (SEQUENCES - n)).div_ceil(SEQUENCES)).collect();
    let half = pack_padded_sequence(&x, &lengths, true, true)?;
    for packed in [&full, &half] {
        packed.data.realize()?;
    }
    let mut step = |x: &PackedSequence| -> Result<f64> {
        let start = Instant::now();
        let (y, _) = lstm.forward_packed(x, None)?;
        let loss = y.data.square()?.mean_all()?;
        optimizer.zero_grad(true)?;
        loss.backward()?;
        optimizer.step()?;
        device.synchronize()?;
        Ok(start.elapsed().as_secs_f64())
    };
    let mut times = [Samples::default(), Samples::default()];
    for round in 0..3 * ROUNDS {
        for (x, times) in [&full, &half].into_iter().zip(&mut times) {
            let seconds = step(x)?;
            if round > 0 {
                times.0.push(seconds);
            }
        }
    }
    let (all, real) = (STEPS * SEQUENCES, lengths.iter().sum::<usize>());
    let (whole, packed) = (times[0].median(), times[1].median());
    let ratio = (packed / real as f64) / (whole / all as f64);
    Ok(vec![format!(
        "A training step of an LSTM (d {FEATURES}) on {SEQUENCES} sequences of up to {STEPS} tokens: {:.1} ms for all {all} tokens, {:.1} ms \
         packed for {real} ({:.0} % padding); time per real token {ratio:.2} of that without padding.",
        whole * 1e3,
        packed * 1e3,
        100.0 * (1.0 - real as f64 / all as f64)
    )])
}
