//! Trains a fully connected network 784-512-512-10 on digits enlarged to 28x28: a plain, well-known load to
//! measure steps with.
//!
//!     cargo run --release --example mlp -- --steps 100 --log-steps steps.jsonl

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use taper::data::{DataLoader, TensorDataset};
use taper::loss::cross_entropy;
use taper::nn::{Linear, Module};
use taper::optim::{Adam, Optimizer};
use taper::prelude::*;
use taper_examples::common::{CommonArgs, StepLog, bar, fail, parse, positive, run};
use taper_examples::digits::{CLASSES, Digits};

/// Train a fully connected network on handwritten digits of 28x28 pixels.
#[derive(Parser, Debug)]
#[command(name = "mlp")]
struct Options {
    #[command(flatten)]
    common: CommonArgs,
    /// How often every image is seen
    #[arg(long, default_value_t = 10, value_parser = positive)]
    epochs: usize,
    /// Stop after this many steps, whatever --epochs says
    #[arg(long, value_parser = positive)]
    steps: Option<usize>,
    /// Images per step
    #[arg(long, default_value_t = 128, value_parser = positive)]
    batch: usize,
}

const SIDE: usize = 28;

#[derive(Module)]
struct Mlp {
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Result<Mlp> {
        Ok(Mlp {
            fc1: Linear::new(SIDE * SIDE, 512, device)?,
            fc2: Linear::new(512, 512, device)?,
            fc3: Linear::new(512, CLASSES, device)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.fc1.forward(x)?.relu()?;
        let x = self.fc2.forward(&x)?.relu()?;
        self.fc3.forward(&x)
    }
}

/// Images and labels of some rows, on the device.
fn part(images: &[f32], labels: &[i64], rows: &[usize], device: &Device) -> Result<[Tensor; 2]> {
    let pixels: Vec<f32> = rows.iter().flat_map(|&i| &images[i * SIDE * SIDE..][..SIDE * SIDE]).copied().collect();
    let labels: Vec<i64> = rows.iter().map(|&i| labels[i]).collect();
    Ok([Tensor::from_vec(pixels, [rows.len(), SIDE * SIDE], device)?, Tensor::from_vec(labels, [rows.len()], device)?])
}

fn train(options: &Options) -> Result<()> {
    let start = Instant::now();
    let CommonArgs { device, seed, log_steps } = &options.common;
    taper::manual_seed(*seed);

    let digits = Digits::load().map_err(fail("digits.csv.gz"))?;
    let images = digits.enlarged(SIDE);
    let data = TensorDataset::new(part(&images, &digits.labels, digits.train(), device)?)?;
    let loader = DataLoader::builder(data).batch_size(options.batch).shuffle(true).seed(*seed).build()?;

    let model = Mlp::new(device)?;
    let mut optimizer = Adam::new(model.parameters(), 1e-3)?;
    let steps = options.steps.unwrap_or(options.epochs * loader.len());
    println!("{} parameters, {steps} steps on {device} ({})", model.num_parameters(), device.adapter().name);

    let (bar, mut log) = (bar(steps, "steps"), StepLog::new(device, log_steps.as_deref())?);
    let mut epochs = 0;
    let mut step = 0;
    while step < steps {
        let mut total = 0.0;
        let before = step;
        for batch in loader.epoch().take(steps - step) {
            let [x, y] = batch?;
            let (loss, ()) = log.step(|| {
                let loss = cross_entropy(&model.forward(&x)?, &y)?;
                optimizer.zero_grad(true)?;
                loss.backward()?;
                optimizer.step()?;
                Ok((loss, ()))
            })?;
            if step == 0 {
                println!("first step trained after {:.3} s", start.elapsed().as_secs_f64());
            }
            total += loss;
            step += 1;
            bar.inc(1);
            bar.set_message(format!("loss {loss:.4}"));
        }
        epochs += 1;
        bar.suspend(|| println!("epoch {epochs:3}  loss {:.4}", total / (step - before) as f64));
    }
    bar.finish_and_clear();
    log.finish()?;

    let [x, y] = part(&images, &digits.labels, digits.test(), device)?;
    let (loss, hits) = no_grad(|| {
        let logits = model.forward(&x)?;
        Ok::<_, Error>((cross_entropy(&logits, &y)?, logits.argmax(Some(-1), false)?.eq(&y)?.sum_all()?))
    })?;
    let accuracy = hits.item::<f64>()? / digits.test().len() as f64;
    let (loss, seconds) = (loss.item::<f64>()?, start.elapsed().as_secs_f64());
    println!("device={} seconds={seconds:.2} epochs={epochs} accuracy={accuracy:.4} loss={loss:.4}", device.name());
    Ok(())
}

fn main() -> ExitCode {
    let options: Options = parse();
    run(|| train(&options))
}
