//! Training steps (forward, backward, Adam), and a language model at work.

use std::cell::RefCell;
use std::rc::Rc;

use taper::loss::cross_entropy;
use taper::nn::Module;
use taper::optim::{Adam, Optimizer};
use taper::{DType, Device, Result, Tensor, no_grad, with_eager};

use super::models::{Gpt, LeNet, Lstm, Mlp, ResNet18, VOCABULARY};
use crate::case::{Case, Checked, Workload, indices, largest, noise};

pub fn all() -> Vec<Workload> {
    vec![
        // Three times the products of the forward pass; Adam reads and writes 28 bytes a parameter.
        Workload { name: "train_mlp_b128", flop: 6.0 * 128.0 * 669e3, bytes: 28.0 * 669e3, make: |d| training(Kind::Mlp, d) },
        Workload { name: "train_lenet_b128", flop: 6.0 * 128.0 * 417e3, bytes: 28.0 * 62e3, make: |d| training(Kind::LeNet, d) },
        Workload { name: "train_resnet18_8x64x64", flop: 6.0 * 8.0 * 149e6, bytes: 28.0 * 11.2e6, make: |d| training(Kind::ResNet, d) },
        Workload { name: "train_gpt_d256_l4_s128_b8", flop: 20.8e9, bytes: 28.0 * 3.3e6, make: |d| training(Kind::Gpt, d) },
        // Two layers of 8 products of 256x256 for each of 32x64 places.
        Workload { name: "train_lstm_2x256_s64_b32", flop: 6.0 * 2048.0 * 1051e3, bytes: 28.0 * 1055e3, make: |d| training(Kind::Lstm, d) },
        Workload { name: "fwd_gpt_d256_l4_s128_b8", flop: 6.9e9, bytes: 4.0 * 3.3e6, make: forward },
        // Each token reads all weights.
        Workload { name: "decode_gpt_64_tokens", flop: 64.0 * 6.4e6, bytes: 64.0 * 4.0 * 3.2e6, make: decode },
    ]
}

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Mlp,
    LeNet,
    ResNet,
    Gpt,
    Lstm,
}

/// A network, its data and its optimizer.
pub struct Trainer {
    net: Network,
    x: Tensor,
    y: Tensor,
    optimizer: RefCell<Adam>,
}

enum Network {
    Mlp(Mlp),
    LeNet(LeNet),
    ResNet(ResNet18),
    Gpt(Gpt),
    Lstm(Lstm),
}

impl Network {
    fn new(kind: Kind) -> Result<Network> {
        let cpu = &Device::cpu();
        taper::manual_seed(7);
        Ok(match kind {
            Kind::Mlp => Network::Mlp(Mlp::new(cpu)?),
            Kind::LeNet => Network::LeNet(LeNet::new(cpu)?),
            Kind::ResNet => Network::ResNet(ResNet18::new(cpu)?),
            Kind::Gpt => Network::Gpt(Gpt::new(cpu)?),
            Kind::Lstm => Network::Lstm(Lstm::new(cpu)?),
        })
    }

    fn change(&mut self, device: &Device, dtype: DType) -> Result<Vec<taper::nn::Param>> {
        fn change(m: &mut impl Module, device: &Device, dtype: DType) -> Result<Vec<taper::nn::Param>> {
            m.to(device)?;
            m.to_dtype(dtype)?;
            Ok(m.parameters())
        }
        match self {
            Network::Mlp(m) => change(m, device, dtype),
            Network::LeNet(m) => change(m, device, dtype),
            Network::ResNet(m) => change(m, device, dtype),
            Network::Gpt(m) => change(m, device, dtype),
            Network::Lstm(m) => change(m, device, dtype),
        }
    }

    fn loss(&self, x: &Tensor, y: &Tensor) -> Result<Tensor> {
        let logits = match self {
            Network::Mlp(m) => m.forward(x)?,
            Network::LeNet(m) => m.forward(x)?,
            Network::ResNet(m) => m.forward(x)?,
            Network::Gpt(m) => m.forward(x)?.flatten(0, 1)?,
            Network::Lstm(m) => m.forward(x)?,
        };
        cross_entropy(&logits, y)
    }
}

impl Trainer {
    /// The same weights and data for every device and type.
    pub fn new(kind: Kind, device: &Device, dtype: DType) -> Result<Trainer> {
        let mut net = Network::new(kind)?;
        let optimizer = RefCell::new(Adam::new(net.change(device, dtype)?, 1e-3)?);
        let images = |shape: &[usize]| Tensor::from_vec(noise(shape.iter().product(), 5), shape, device)?.to_dtype(dtype);
        let x = match kind {
            Kind::Mlp => images(&[128, 784])?,
            Kind::LeNet => images(&[128, 1, 28, 28])?,
            Kind::ResNet => images(&[8, 3, 64, 64])?,
            Kind::Gpt => Tensor::from_vec(indices(1024, VOCABULARY, 5), [8, 128], device)?,
            Kind::Lstm => images(&[32, 64, 256])?,
        };
        let (rows, classes) = match kind {
            Kind::Mlp | Kind::LeNet => (128, 10),
            Kind::ResNet => (8, 10),
            Kind::Lstm => (32, 10),
            Kind::Gpt => (1024, VOCABULARY),
        };
        let y = Tensor::from_vec(indices(rows, classes, 6), [rows], device)?;
        x.realize()?;
        y.realize()?;
        Ok(Trainer { net, x, y, optimizer })
    }

    pub fn lenet(device: &Device) -> Result<Trainer> {
        Trainer::new(Kind::LeNet, device, DType::F32)
    }

    /// One step; the loss before it.
    pub fn step(&self) -> Result<Tensor> {
        let loss = self.net.loss(&self.x, &self.y)?;
        let mut optimizer = self.optimizer.borrow_mut();
        optimizer.zero_grad(true)?;
        loss.backward()?;
        optimizer.step()?;
        Ok(loss)
    }

    fn losses(&self, steps: usize) -> Result<Vec<f64>> {
        (0..steps).map(|_| self.step()?.item::<f64>()).collect()
    }
}

/// Compared: the losses of three steps, with those of the same network in f64, each operator run by itself on the CPU.
fn training(kind: Kind, device: &Device) -> Result<Case> {
    let trainer = Trainer::new(kind, device, DType::F32)?;
    let device = device.clone();
    let check = move || {
        let got = Trainer::new(kind, &device, DType::F32)?.losses(3)?;
        let want = with_eager(true, || Trainer::new(kind, &Device::cpu(), DType::F64)?.losses(3))?;
        // Adam's first steps are signs of gradients: those near zero differ in f32.
        Ok(Checked { error: largest(got.into_iter().zip(want)), tolerance: 3e-3 })
    };
    Ok(Case { run: Box::new(move || trainer.step()), check: Box::new(check) })
}

fn gpt(device: &Device, dtype: DType) -> Result<Gpt> {
    let Network::Gpt(mut gpt) = Network::new(Kind::Gpt)? else { unreachable!("asked for a GPT") };
    gpt.to(device)?;
    gpt.to_dtype(dtype)?;
    gpt.eval();
    Ok(gpt)
}

/// Compares two sets of logits, element by element.
fn compare(got: &Tensor, want: &Tensor) -> Result<Checked> {
    let (got, want) = (got.contiguous()?.to_vec::<f32>()?, want.contiguous()?.to_vec::<f64>()?);
    let pairs = got.iter().zip(&want).map(|(&g, &w)| (f64::from(g), w));
    Ok(Checked { error: if got.len() == want.len() { largest(pairs) } else { f64::NAN }, tolerance: 1e-4 })
}

fn forward(device: &Device) -> Result<Case> {
    let model = Rc::new(gpt(device, DType::F32)?);
    let text = |device: &Device| Tensor::from_vec(indices(1024, VOCABULARY, 5), [8, 128], device);
    let x = text(device)?;
    x.realize()?;
    let run = Rc::new(move || no_grad(|| model.forward(&x)));
    let again = run.clone();
    let check = move || {
        let cpu = Device::cpu();
        let want = with_eager(true, || no_grad(|| gpt(&cpu, DType::F64)?.forward(&text(&cpu)?)))?;
        compare(&again()?, &want)
    };
    Ok(Case { run: Box::new(move || run()), check: Box::new(check) })
}

/// 64 tokens one by one, each the likeliest after the last, read back as a program that writes text would.
/// Compared: the last logits, with those of the whole text at once in f64.
fn decode(device: &Device) -> Result<Case> {
    const TOKENS: usize = 64;
    let model = Rc::new(gpt(device, DType::F32)?);
    let place = device.clone();
    let written = Rc::new(move || -> Result<(Vec<i64>, Tensor)> {
        no_grad(|| {
            let mut cache = vec![None; model.layers()];
            let (mut text, mut logits) = (vec![1i64], None);
            for at in 0..TOKENS {
                let x = Tensor::from_vec(vec![text[at]], [1, 1], &place)?;
                let y = model.decode(&x, at, &mut cache)?;
                text.push(y.flatten(0, -1)?.argmax(Some(0), false)?.item::<i64>()?);
                logits = Some(y);
            }
            text.truncate(TOKENS);
            Ok((text, logits.ok_or_else(|| taper::Error::argument("bench", "no token"))?))
        })
    });
    let again = written.clone();
    let check = move || {
        let (text, got) = again()?;
        let cpu = Device::cpu();
        let x = Tensor::from_vec(text, [1, TOKENS], &cpu)?;
        let want = with_eager(true, || no_grad(|| gpt(&cpu, DType::F64)?.forward(&x)))?.narrow(1, TOKENS - 1, 1)?;
        compare(&got, &want)
    };
    Ok(Case { run: Box::new(move || Ok(written()?.1)), check: Box::new(check) })
}
