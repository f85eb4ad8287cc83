//! Trains a small convolutional network on 1,438 handwritten digits and tests it on 359 others.
//!
//!     cargo run --release --example digits

use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use taper::data::{DataLoader, TensorDataset};
use taper::loss::cross_entropy;
use taper::nn::{BatchNorm2d, Conv2d, Dropout, Linear, Module};
use taper::optim::{Adam, Optimizer};
use taper::prelude::*;
use taper_examples::common::{CommonArgs, Curve, OutputArgs, StepLog, bar, fail, learning_curve, parse, positive, run, show};
use taper_examples::digits::{CLASSES, Digits, SIDE};
use taper_native::{Loader, load_safetensors, save_safetensors};

/// Train a small convolutional network on handwritten digits.
#[derive(Parser, Debug)]
#[command(name = "digits")]
struct Options {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// How often every image is seen
    #[arg(long, default_value_t = 20, value_parser = positive)]
    epochs: usize,
    /// Images per step
    #[arg(long, default_value_t = 64, value_parser = positive)]
    batch: usize,
}

const LEARNING_RATE: f64 = 2e-3;

/// Two convolutions, a pooling, two linear layers: 72,000 parameters.
#[derive(Module)]
struct Net {
    conv1: Conv2d,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    fc1: Linear,
    dropout: Dropout,
    fc2: Linear,
}

impl Net {
    fn new(device: &Device) -> Result<Net> {
        let pooled = SIDE / 2 * SIDE / 2;
        Ok(Net {
            conv1: Conv2d::builder(1, 16, 3).padding(1).build(device)?,
            bn1: BatchNorm2d::new(16, device)?,
            conv2: Conv2d::builder(16, 32, 3).padding(1).build(device)?,
            bn2: BatchNorm2d::new(32, device)?,
            fc1: Linear::new(32 * pooled, 128, device)?,
            dropout: Dropout::new(0.25)?,
            fc2: Linear::new(128, CLASSES, device)?,
        })
    }

    /// Images `[N, 1, 8, 8]` to logits `[N, 10]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.bn1.forward(&self.conv1.forward(x)?)?.relu()?;
        let x = self.bn2.forward(&self.conv2.forward(&x)?)?.relu()?;
        let x = x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?.flatten(1, -1)?;
        let x = self.dropout.forward(&self.fc1.forward(&x)?.relu()?)?;
        self.fc2.forward(&x)
    }
}

/// Images and labels of some rows, on the device.
fn part(digits: &Digits, rows: &[usize], device: &Device) -> Result<[Tensor; 2]> {
    let pixels: Vec<f32> = rows.iter().flat_map(|&i| &digits.images[i * SIDE * SIDE..][..SIDE * SIDE]).copied().collect();
    let labels: Vec<i64> = rows.iter().map(|&i| digits.labels[i]).collect();
    let images = Tensor::from_vec(pixels, [rows.len(), 1, SIDE, SIDE], device)?;
    Ok([images, Tensor::from_vec(labels, [rows.len()], device)?])
}

/// What a model makes of labelled images: the mean loss, the accuracy, and how often it takes which digit for which.
struct Test {
    loss: f64,
    accuracy: f64,
    confusion: [[usize; CLASSES]; CLASSES],
}

fn test(net: &Net, [x, y]: &[Tensor; 2]) -> Result<Test> {
    net.eval();
    let (loss, guesses) = no_grad(|| {
        let logits = net.forward(x)?;
        Ok::<_, Error>((cross_entropy(&logits, y)?, logits.argmax(Some(-1), false)?))
    })?;
    net.train(true);
    let mut confusion = [[0; CLASSES]; CLASSES];
    let (guesses, labels) = (guesses.to_vec::<i64>()?, y.to_vec::<i64>()?);
    labels.iter().zip(&guesses).for_each(|(&label, &guess)| confusion[label as usize][guess as usize] += 1);
    let right: usize = (0..CLASSES).map(|i| confusion[i][i]).sum();
    Ok(Test { loss: loss.item::<f64>()?, accuracy: right as f64 / labels.len() as f64, confusion })
}

fn train(options: &Options) -> Result<()> {
    let start = Instant::now();
    let CommonArgs { device, seed, log_steps } = &options.common;
    let out = options.output.folder()?;
    taper::manual_seed(*seed);

    let digits = Digits::load().map_err(fail("digits.csv.gz"))?;
    let data = TensorDataset::new(part(&digits, digits.train(), device)?)?;
    let test_data = part(&digits, digits.test(), device)?;
    let loader = Loader::new(DataLoader::builder(data).batch_size(options.batch).shuffle(true).seed(*seed).build()?);

    let net = Net::new(device)?;
    let mut optimizer = Adam::builder(LEARNING_RATE).weight_decay(1e-4).build(net.parameters())?;
    let (steps, samples) = (options.epochs * loader.len(), options.epochs * digits.train().len());
    println!("{} parameters, {steps} steps on {device} ({})", net.num_parameters(), device.adapter().name);
    println!("epoch  train loss  train acc  test loss  test acc  seconds");

    let (bar, mut log) = (bar(samples, "samples"), StepLog::new(device, log_steps.as_deref())?);
    let (mut train_losses, mut test_losses, mut accuracies) = (Vec::new(), Vec::new(), Vec::new());
    let mut step = 0;
    for epoch in 1..=options.epochs {
        let (mut seen, mut right, mut total) = (0, 0.0, 0.0);
        for batch in loader.epoch() {
            let [x, y] = batch?;
            // From the full learning rate down to none, along half a cosine.
            optimizer.set_lr(LEARNING_RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos()));
            let (loss, hits) = log.step(|| {
                let logits = net.forward(&x)?;
                let loss = cross_entropy(&logits, &y)?;
                let hits = logits.detach()?.argmax(Some(-1), false)?.eq(&y)?.sum_all()?;
                optimizer.zero_grad(true)?;
                loss.backward()?;
                optimizer.step()?;
                Ok((loss, hits))
            })?;
            let n = x.shape()[0];
            (seen, right, total, step) = (seen + n, right + hits.item::<f64>()?, total + loss * n as f64, step + 1);
            bar.inc(n as u64);
            bar.set_message(format!("loss {:.4} accuracy {:.4}", total / seen as f64, right / seen as f64));
        }
        let tested = test(&net, &test_data)?;
        let (loss, accuracy) = (total / seen as f64, right / seen as f64);
        let seconds = start.elapsed().as_secs_f64();
        show(&bar, &format!("{epoch:5}  {loss:10.4}  {accuracy:9.4}  {:9.4}  {:8.4}  {seconds:7.1}", tested.loss, tested.accuracy));
        train_losses.push(loss);
        test_losses.push(tested.loss);
        accuracies.push(tested.accuracy);
    }
    bar.finish_and_clear();
    log.finish()?;

    let tested = test(&net, &test_data)?;
    println!("\nconfusion (rows: the digit, columns: what the network sees)");
    println!("    {}", (0..CLASSES).map(|d| format!("{d:4}")).collect::<String>());
    for (digit, row) in tested.confusion.iter().enumerate() {
        println!("{digit:4}{}", row.map(|n| if n == 0 { "   .".into() } else { format!("{n:4}") }).concat());
    }

    let curve = out.join("digits.svg");
    let losses = [Curve::new("training loss", &train_losses), Curve::new("test loss", &test_losses)];
    learning_curve(&curve, "Handwritten digits", "epoch", &losses, Some(&Curve::new("test accuracy", &accuracies)))?;
    let weights = out.join("digits.safetensors");
    save_safetensors(&weights, &net.state_dict())?;

    // What was written is what was trained: a fresh model that reads the file sees the same.
    let fresh = Net::new(device)?;
    fresh.load_state_dict(&load_safetensors(&weights, device)?, true)?;
    let again = test(&fresh, &test_data)?;
    println!("\nwrote {} and {}; read back: accuracy {:.4}", weights.display(), curve.display(), again.accuracy);
    if again.confusion != tested.confusion {
        return Err(Error::argument("digits", format!("the file gives accuracy {}, the model {}", again.accuracy, tested.accuracy)));
    }
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "device={} seconds={seconds:.2} epochs={} accuracy={:.4} loss={:.4}",
        device.name(),
        options.epochs,
        tested.accuracy,
        tested.loss
    );
    Ok(())
}

fn main() -> ExitCode {
    let options: Options = parse();
    run(|| train(&options))
}
