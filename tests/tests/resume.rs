//! What has to draw the same random numbers again: runs that continue from a checkpoint, and activations that are computed twice.
//! In a program of their own, as the generator belongs to the process.

use std::sync::{Arc, Mutex, MutexGuard};

use taper::amp::GradScaler;
use taper::autograd::checkpoint;
use taper::io::checkpoint::Checkpoint;
use taper::nn::{BatchNorm1d, Dropout, Linear, Module, ReLU, Sequential};
use taper::optim::lr_scheduler::{CosineAnnealingLR, Scheduler};
use taper::optim::{Adam, Optimizer};
use taper::{Device, Result, Tensor, manual_seed};
use taper_tests::for_each_device;

/// One test at a time draws.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(|e| e.into_inner())
}

struct Run {
    model: Sequential,
    optimizer: Adam,
    scheduler: Scheduler,
    scaler: GradScaler,
    step: u64,
}

impl Run {
    fn new(device: &Device) -> Result<Run> {
        let model = Sequential::new()
            .add(Linear::new(6, 12, device)?)
            .add(BatchNorm1d::builder(12).build(device)?)
            .add(ReLU)
            .add(Dropout::new(0.4)?)
            .add(Linear::new(12, 3, device)?);
        let mut optimizer = Adam::builder(0.01).amsgrad(true).weight_decay(0.1).build(model.parameters())?;
        let scheduler = Scheduler::new(&mut optimizer, CosineAnnealingLR::new(20.0))?;
        Ok(Run { model, optimizer, scheduler, scaler: GradScaler::new().growth_interval(3), step: 0 })
    }

    fn train(&mut self, steps: u64, device: &Device) -> Result<()> {
        for _ in 0..steps {
            let x = Tensor::randn([16, 6], device)?;
            self.optimizer.zero_grad(true)?;
            let loss = self.model.forward(&x)?.square()?.mean_all()?;
            self.scaler.scale(&loss)?.backward()?;
            self.scaler.step(&mut self.optimizer)?;
            self.scaler.update()?;
            self.scheduler.step(&mut self.optimizer)?;
            self.step += 1;
        }
        Ok(())
    }

    fn save(&self) -> Result<Vec<u8>> {
        let c = Checkpoint::new(self.model.state_dict()).optimizer(&self.optimizer)?.step(self.step).extra("note", "half way");
        c.scheduler(self.scheduler.state_dict()).scaler(self.scaler.state_dict()).to_bytes()
    }
}

/// Weights, running statistics, both averages and their maximum, the rate, the scale, dropout and the data's noise.
#[test]
fn a_run_continues_bit_for_bit() {
    let _alone = alone();
    for_each_device(|device| {
        manual_seed(5);
        let mut whole = Run::new(device)?;
        whole.train(4, device)?;
        let saved = whole.save()?;
        whole.train(4, device)?;
        let end = whole.save()?;

        manual_seed(99);
        let mut second = Run::new(device)?;
        let c = Checkpoint::from_bytes(&saved, device)?;
        second.model.load_state_dict(&c.model, true)?;
        second.optimizer.load_state_dict(c.optimizer_state()?)?;
        second.scheduler.load_state_dict(c.scheduler.as_ref().unwrap())?;
        second.scaler.load_state_dict(c.scaler.as_ref().unwrap())?;
        c.restore_rng();
        second.step = c.step;
        assert_eq!((c.step, c.extra["note"].as_str()), (4, Some("half way")));
        second.train(4, device)?;
        assert!(second.save()? == end, "the continued run differs on {device}");
        Ok(())
    });
}

/// The same dropout, the same gradients, for inputs and for what the function captures; inside a larger graph, too.
#[test]
fn checkpointing_changes_nothing() {
    let _alone = alone();
    for_each_device(|device| {
        let layer = Arc::new(Linear::new(6, 6, device)?);
        let drop = Arc::new(Dropout::new(0.5)?);
        let x = Tensor::from_vec((0..24).map(|i| (i as f32 * 0.3).cos()).collect::<Vec<_>>(), [4, 6], device)?;
        x.requires_grad_(true)?;
        let run = |saving: bool| -> Result<Vec<Vec<f32>>> {
            manual_seed(3);
            x.zero_grad();
            layer.zero_grad();
            let h = x.mul(1.5)?;
            let outside = layer.weight.mul(2.0)?;
            let (l, d, w) = (layer.clone(), drop.clone(), outside.clone());
            let block = move |x: &[Tensor]| d.forward(&l.forward(&x[0])?.tanh()?)?.matmul(&w);
            let y = if saving { checkpoint(block, &[&h])? } else { block(std::slice::from_ref(&h))? };
            // Drawn between forward and backward: the replay must not disturb it.
            let noise = Tensor::rand([4, 6], device)?;
            y.mul(&noise)?.sum_all()?.backward()?;
            let after = Tensor::rand([2], device)?;
            let grads = [x.grad(), layer.weight.grad(), layer.bias.as_ref().and_then(|b| b.grad())];
            let mut out: Vec<Vec<f32>> = grads.into_iter().map(|g| g.unwrap().to_vec()).collect::<Result<_>>()?;
            out.push(y.to_vec()?);
            out.push(after.to_vec()?);
            Ok(out)
        };
        let (plain, saved) = (run(false)?, run(true)?);
        for (a, b) in plain.iter().zip(&saved) {
            assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5), "on {device}: {a:?} {b:?}");
        }
        Ok(())
    });
}
