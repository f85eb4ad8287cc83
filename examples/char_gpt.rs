//! A small decoder-only transformer that learns to write, letter by letter, in the style of the King James version.
//!
//!     cargo run --release --example char_gpt

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use taper::loss::cross_entropy;
use taper::nn::{Dropout, Embedding, LayerNorm, Linear, Module, MultiheadAttention};
use taper::optim::{AdamW, Optimizer};
use taper::prelude::*;
use taper_examples::common::{CommonArgs, Curve, OutputArgs, StepLog, amount, bar, learning_curve, parse, positive, run, show};
use taper_native::save_safetensors;

/// Train a character-level language model, and let it write.
#[derive(Parser, Debug)]
#[command(name = "char_gpt")]
struct Options {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Training steps
    #[arg(long, default_value_t = 600, value_parser = positive)]
    steps: usize,
    /// Sequences per step
    #[arg(long, default_value_t = 32, value_parser = positive)]
    batch: usize,
    /// Characters the model sees at once
    #[arg(long, default_value_t = 64, value_parser = positive)]
    context: usize,
    /// Features of a character
    #[arg(long, default_value_t = 96, value_parser = positive)]
    dim: usize,
    /// Attention heads
    #[arg(long, default_value_t = 4, value_parser = positive)]
    heads: usize,
    /// Transformer blocks
    #[arg(long, default_value_t = 3, value_parser = positive)]
    layers: usize,
    /// How the written text begins
    #[arg(long, default_value = "In the beginning ")]
    prompt: String,
    /// Characters to write
    #[arg(long, default_value_t = 400)]
    length: usize,
    /// Boldness: 0 always takes the likeliest character
    #[arg(long, default_value_t = 0.8, value_parser = amount::<f64>)]
    temperature: f64,
}

const TEXT: &str = include_str!("data/kjv-excerpt.txt");
const LEARNING_RATE: f64 = 2e-3;
/// Steps between two looks at text the model was not trained on.
const EVERY: usize = 100;

/// Attention, then a small network on each character, each with a norm before and a shortcut around it.
#[derive(Module)]
struct Block {
    norm1: LayerNorm,
    attention: MultiheadAttention,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    dropout: Dropout,
}

impl Block {
    fn new(dim: usize, heads: usize, device: &Device) -> Result<Block> {
        Ok(Block {
            norm1: LayerNorm::new([dim], device)?,
            attention: MultiheadAttention::builder(dim, heads).batch_first(true).build(device)?,
            norm2: LayerNorm::new([dim], device)?,
            up: Linear::new(dim, 4 * dim, device)?,
            down: Linear::new(4 * dim, dim, device)?,
            dropout: Dropout::new(0.1)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = x.add(&self.dropout.forward(&self.attention.self_attention(&self.norm1.forward(x)?, true)?)?)?;
        let y = self.down.forward(&self.up.forward(&self.norm2.forward(&x)?)?.gelu("tanh")?)?;
        x.add(&self.dropout.forward(&y)?)
    }
}

/// Characters `[N, L]` to logits of the next one `[N, L, alphabet]`.
#[derive(Module)]
struct Gpt {
    characters: Embedding,
    positions: Embedding,
    blocks: Vec<Block>,
    norm: LayerNorm,
    head: Linear,
}

impl Gpt {
    fn new(options: &Options, alphabet: usize, device: &Device) -> Result<Gpt> {
        let dim = options.dim;
        let gpt = Gpt {
            characters: Embedding::new(alphabet, dim, device)?,
            positions: Embedding::new(options.context, dim, device)?,
            blocks: (0..options.layers).map(|_| Block::new(dim, options.heads, device)).collect::<Result<_>>()?,
            norm: LayerNorm::new([dim], device)?,
            head: Linear::new(dim, alphabet, device)?,
        };
        // Small embeddings, as GPT-2 has them: the blocks start near the identity.
        for table in [&gpt.characters.weight, &gpt.positions.weight] {
            table.set(&table.detach()?.mul(0.02)?)?;
        }
        Ok(gpt)
    }

    fn forward(&self, characters: &Tensor) -> Result<Tensor> {
        let places = Tensor::arange(0, characters.shape()[1], 1, (DType::I64, characters.device()))?;
        let x = self.characters.forward(characters)?.add(&self.positions.forward(&places)?)?;
        let x = self.blocks.iter().try_fold(x, |x, block| block.forward(&x))?;
        self.head.forward(&self.norm.forward(&x)?)
    }

    /// The mean loss in nats per character.
    fn loss(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        cross_entropy(&self.forward(x)?.flatten(0, 1)?, &y.flatten(0, 1)?)
    }
}

/// The text as numbers.
struct Corpus {
    alphabet: Vec<char>,
    train: Vec<i64>,
    test: Vec<i64>,
}

impl Corpus {
    fn new(text: &str) -> Corpus {
        let mut alphabet: Vec<char> = text.chars().collect();
        alphabet.sort_unstable();
        alphabet.dedup();
        let mut train = encode(&alphabet, text);
        let test = train.split_off(train.len() * 9 / 10);
        Corpus { alphabet, train, test }
    }
}

/// Characters that are not in the alphabet are left out.
fn encode(alphabet: &[char], text: &str) -> Vec<i64> {
    text.chars().filter_map(|c| alphabet.binary_search(&c).ok()).map(|i| i as i64).collect()
}

/// Random numbers of the host: which passages to train on, which character to write.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Passages from random places, and the same one character further.
fn passages(text: &[i64], options: &Options, random: &mut Random) -> Result<[Tensor; 2]> {
    let (n, l) = (options.batch, options.context);
    let room = text.len().checked_sub(l).filter(|&room| room > 0);
    let room = room.ok_or_else(|| Error::argument("char_gpt", format!("a context of {l} does not fit {} characters", text.len())))?;
    let starts: Vec<usize> = (0..n).map(|_| (random.next() * room as f64) as usize).collect();
    let from = |shift: usize| {
        let characters: Vec<i64> = starts.iter().flat_map(|&s| &text[s + shift..][..l]).copied().collect();
        Tensor::from_vec(characters, [n, l], &options.common.device)
    };
    Ok([from(0)?, from(1)?])
}

/// Lets the model continue a text.
fn write(gpt: &Gpt, corpus: &Corpus, options: &Options, random: &mut Random) -> Result<String> {
    gpt.eval();
    let mut text = encode(&corpus.alphabet, &options.prompt);
    if text.is_empty() {
        text.push(0);
    }
    for _ in 0..options.length {
        // Always a full window, so that every character runs the same plan: what stands behind the text is not seen.
        let seen = &text[text.len().saturating_sub(options.context)..];
        let mut window = seen.to_vec();
        window.resize(options.context, 0);
        let logits = no_grad(|| {
            let x = Tensor::from_vec(window, [1, options.context], &options.common.device)?;
            gpt.forward(&x)?.select(0, 0)?.select(0, seen.len() as isize - 1)?.contiguous()?.to_vec::<f32>()
        })?;
        text.push(choose(&logits, options.temperature, random) as i64);
    }
    gpt.train(true);
    Ok(text.iter().map(|&i| corpus.alphabet[i as usize]).collect())
}

/// A draw from the softmax of `logits / temperature`.
fn choose(logits: &[f32], temperature: f64, random: &mut Random) -> usize {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(i, _)| i);
    if temperature <= 0.0 {
        return best;
    }
    let weight = |l: f32| (f64::from(l - logits[best]) / temperature).exp();
    let mut left = random.next() * logits.iter().map(|&l| weight(l)).sum::<f64>();
    let chosen = logits.iter().position(|&l| {
        left -= weight(l);
        left < 0.0
    });
    chosen.unwrap_or(best)
}

fn train(options: &Options) -> Result<()> {
    let start = Instant::now();
    let CommonArgs { device, seed, log_steps } = &options.common;
    let out = options.output.folder()?;
    taper::manual_seed(*seed);
    let mut random = Random(*seed);

    let corpus = Corpus::new(TEXT);
    let gpt = Gpt::new(options, corpus.alphabet.len(), device)?;
    let mut optimizer = AdamW::builder(LEARNING_RATE).betas(0.9, 0.99).build(gpt.parameters())?;
    println!("{} parameters, {} characters, {} steps on {device}", gpt.num_parameters(), corpus.train.len(), options.steps);

    let mut check = Random(!*seed);
    let unseen = (0..4).map(|_| passages(&corpus.test, options, &mut check)).collect::<Result<Vec<_>>>()?;
    let evaluate = || {
        gpt.eval();
        let losses = unseen.iter().map(|[x, y]| no_grad(|| gpt.loss(x, y))?.item::<f64>());
        let mean = losses.sum::<Result<f64>>()? / unseen.len() as f64;
        gpt.train(true);
        Ok::<_, Error>(mean)
    };

    let tokens = options.batch * options.context;
    let (bar, mut log) = (bar(options.steps * tokens, "characters"), StepLog::new(device, log_steps.as_deref())?);
    let mut losses = Vec::new();
    let mut test_losses = Curve::new("test loss", &[]);
    for step in 0..options.steps {
        // Up over the first tenth, then down along half a cosine.
        let (done, warm) = (step as f64 / options.steps as f64, 0.1);
        let factor = if done < warm {
            (done + 0.01) / (warm + 0.01)
        } else {
            0.5 * (1.0 + (std::f64::consts::PI * (done - warm) / (1.0 - warm)).cos())
        };
        optimizer.set_lr(LEARNING_RATE * factor);
        let [x, y] = passages(&corpus.train, options, &mut random)?;
        let (loss, ()) = log.step(|| {
            let loss = gpt.loss(&x, &y)?;
            optimizer.zero_grad(true)?;
            loss.backward()?;
            optimizer.step()?;
            Ok((loss, ()))
        })?;
        losses.push(loss);
        bar.inc(tokens as u64);
        bar.set_message(format!("loss {loss:.3}"));
        if (step + 1) % EVERY == 0 || step + 1 == options.steps {
            let test = evaluate()?;
            test_losses.points.push((step as f64 + 1.0, test));
            show(&bar, &format!("step {:5}  loss {loss:.4}  test {test:.4}  {:6.1} s", step + 1, start.elapsed().as_secs_f64()));
        }
    }
    bar.finish_and_clear();
    log.finish()?;

    println!("\n{}\n", write(&gpt, &corpus, options, &mut random)?);
    let (curve, weights) = (out.join("char_gpt.svg"), out.join("char_gpt.safetensors"));
    let test = test_losses.points.last().map_or(f64::NAN, |p| p.1);
    learning_curve(&curve, "Character model", "step", &[Curve::new("training loss", &losses), test_losses], None)?;
    save_safetensors(&weights, &gpt.state_dict())?;
    println!("wrote {} and {}", weights.display(), curve.display());
    println!("device={} seconds={:.2} steps={} loss={test:.4}", device.name(), start.elapsed().as_secs_f64(), options.steps);
    Ok(())
}

fn main() -> ExitCode {
    let options: Options = parse();
    run(|| train(&options))
}
