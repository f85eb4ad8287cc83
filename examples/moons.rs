//! Learns to tell two interleaved half circles apart, and draws where it sees the border between them.
//!
//!     cargo run --release --example moons

use std::f32::consts::PI;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use plotters::prelude::*;
use taper::loss::cross_entropy;
use taper::nn::{Linear, Module, Sequential, Tanh};
use taper::optim::{Adam, Optimizer};
use taper::prelude::*;
use taper_examples::common::{CommonArgs, OutputArgs, StepLog, amount, bar, parse, positive, run};

/// Learn to tell two half moons apart.
#[derive(Parser, Debug)]
#[command(name = "moons")]
struct Options {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    output: OutputArgs,
    /// Training steps, each over all points
    #[arg(long, default_value_t = 500, value_parser = positive)]
    steps: usize,
    /// Points
    #[arg(long, default_value_t = 400, value_parser = positive)]
    points: usize,
    /// How far points stray from their half circle
    #[arg(long, default_value_t = 0.15, value_parser = amount::<f32>)]
    noise: f32,
}

/// Points `[n, 2]` and the moon each belongs to, alternating.
fn moons(n: usize, noise: f32) -> Result<(Vec<f32>, Vec<i64>)> {
    let angles = Tensor::rand([n], &Device::cpu())?.to_vec::<f32>()?;
    let strays = Tensor::randn([n, 2], &Device::cpu())?.to_vec::<f32>()?;
    let point = |i: usize| {
        let (y, x) = (angles[i] * PI).sin_cos();
        let [x, y] = if i % 2 == 0 { [x, y] } else { [1.0 - x, 0.5 - y] };
        [x + noise * strays[2 * i], y + noise * strays[2 * i + 1]]
    };
    Ok(((0..n).flat_map(point).collect(), (0..n).map(|i| (i % 2) as i64).collect()))
}

const X: std::ops::Range<f32> = -1.8..2.8;
const Y: std::ops::Range<f32> = -1.4..1.9;
/// Cells of the picture along each axis.
const GRID: usize = 96;

fn train(options: &Options) -> Result<()> {
    let start = Instant::now();
    let CommonArgs { device, seed, log_steps } = &options.common;
    let out = options.output.folder()?;
    taper::manual_seed(*seed);

    let n = options.points;
    let (points, labels) = moons(n, options.noise)?;
    let x = Tensor::from_slice(&points, [n, 2], device)?;
    let y = Tensor::from_slice(&labels, [n], device)?;
    let model = Sequential::new()
        .add(Linear::new(2, 32, device)?)
        .add(Tanh)
        .add(Linear::new(32, 32, device)?)
        .add(Tanh)
        .add(Linear::new(32, 2, device)?);
    let mut optimizer = Adam::new(model.parameters(), 1e-2)?;

    let (bar, mut log) = (bar(options.steps, "steps"), StepLog::new(device, log_steps.as_deref())?);
    for _ in 0..options.steps {
        let (loss, ()) = log.step(|| {
            let loss = cross_entropy(&model.forward(&x)?, &y)?;
            optimizer.zero_grad(true)?;
            loss.backward()?;
            optimizer.step()?;
            Ok((loss, ()))
        })?;
        bar.inc(1);
        bar.set_message(format!("loss {loss:.4}"));
    }
    bar.finish_and_clear();
    log.finish()?;

    let (loss, hits, belief) = no_grad(|| {
        let logits = model.forward(&x)?;
        let cells: Vec<f32> = (0..GRID * GRID).flat_map(|i| centre(i % GRID, i / GRID)).collect();
        let belief = model.forward(&Tensor::from_vec(cells, [GRID * GRID, 2], device)?)?.softmax(-1)?.select(1, 1)?;
        Ok::<_, Error>((cross_entropy(&logits, &y)?, logits.argmax(Some(-1), false)?.eq(&y)?.sum_all()?, belief))
    })?;
    let picture = out.join("moons.svg");
    draw(&picture, &belief.contiguous()?.to_vec::<f32>()?, &points, &labels)
        .map_err(|e| Error::Io { path: picture.display().to_string(), message: e.to_string() })?;
    println!("wrote {}", picture.display());
    let (accuracy, loss) = (hits.item::<f64>()? / n as f64, loss.item::<f64>()?);
    let seconds = start.elapsed().as_secs_f64();
    println!("device={} seconds={seconds:.2} epochs={} accuracy={accuracy:.4} loss={loss:.4}", device.name(), options.steps);
    Ok(())
}

/// Where the middle of a cell lies.
fn centre(column: usize, row: usize) -> [f32; 2] {
    let at = |range: &std::ops::Range<f32>, i: usize| range.start + (range.end - range.start) * (i as f32 + 0.5) / GRID as f32;
    [at(&X, column), at(&Y, row)]
}

/// The belief in moon 1 as a map from blue to red, the points on top of it.
fn draw(path: &Path, belief: &[f32], points: &[f32], labels: &[i64]) -> std::result::Result<(), Box<dyn std::error::Error>> {
    let (blue, red) = (RGBColor(33, 102, 172), RGBColor(178, 24, 43));
    let area = SVGBackend::new(path, (760, 560)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area).margin(8).x_label_area_size(30).y_label_area_size(40).build_cartesian_2d(X, Y)?;
    let (half_x, half_y) = ((X.end - X.start) / GRID as f32 / 2.0, (Y.end - Y.start) / GRID as f32 / 2.0);
    chart.draw_series(belief.iter().enumerate().map(|(i, &p)| {
        let [x, y] = centre(i % GRID, i / GRID);
        // White where the model does not know, which is the border.
        let tint = |c: u8, strength: f32| (255.0 + (f32::from(c) - 255.0) * strength) as u8;
        let (color, strength) = if p < 0.5 { (blue, 1.0 - 2.0 * p) } else { (red, 2.0 * p - 1.0) };
        let color = RGBColor(tint(color.0, 0.7 * strength), tint(color.1, 0.7 * strength), tint(color.2, 0.7 * strength));
        Rectangle::new([(x - half_x, y - half_y), (x + half_x, y + half_y)], color.filled())
    }))?;
    chart.configure_mesh().disable_mesh().draw()?;
    chart.draw_series(labels.iter().enumerate().map(|(i, &label)| {
        let color = if label == 0 { blue } else { red };
        Circle::new((points[2 * i], points[2 * i + 1]), 3, color.filled())
    }))?;
    area.present()?;
    Ok(())
}

fn main() -> ExitCode {
    let options: Options = parse();
    run(|| train(&options))
}
