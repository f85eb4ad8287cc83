//! What plans cost, as counts: dispatches, submits, pipelines, plans, bytes. Never seconds.

use std::sync::{Arc, Mutex, MutexGuard};

use taper::amp::autocast;
use taper::autograd::checkpoint;
use taper::nn::{Linear, Masks, Module, TransformerConfig};
use taper::optim::{Adam, AdamW, Optimizer, Sgd, clip_grad_norm_};
use taper::{DType, Device, Error, Result, Stats, Tensor, loss, no_grad, with_eager};
use taper_tests::{Rng, assert_close, for_each_device, gpus, read};

/// Counters belong to a device: one test at a time uses it.
fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(|e| e.into_inner())
}

/// What a device did between two moments.
fn since(device: &Device, before: Stats) -> Stats {
    let now = device.stats();
    let mut d = Stats::default();
    d.dispatches = now.dispatches - before.dispatches;
    d.submits = now.submits - before.submits;
    d.pipelines_created = now.pipelines_created - before.pipelines_created;
    d.plans_run = now.plans_run - before.plans_run;
    d.plans_scheduled = now.plans_scheduled - before.plans_scheduled;
    d.plans_bound = now.plans_bound - before.plans_bound;
    d
}

fn measure<T>(device: &Device, f: impl FnOnce() -> Result<T>) -> Result<(T, Stats)> {
    device.synchronize()?;
    let before = device.stats();
    let out = with_eager(false, f)?;
    device.flush()?;
    Ok((out, since(device, before)))
}

fn data(device: &Device, shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut rng = Rng(seed);
    let n = shape.iter().product();
    Tensor::from_vec((0..n).map(|_| rng.uniform(-1.0, 1.0) as f32).collect::<Vec<f32>>(), shape, device)
}

// ---- training steps ---------------------------------------------------------------------------

struct Mlp(Linear, Linear, Linear);

impl Mlp {
    fn new(sizes: [usize; 4], device: &Device) -> Result<Mlp> {
        let [a, b, c, d] = sizes;
        Ok(Mlp(Linear::new(a, b, device)?, Linear::new(b, c, device)?, Linear::new(c, d, device)?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.2.forward(&self.1.forward(&self.0.forward(x)?.relu()?)?.relu()?)
    }

    fn parameters(&self) -> Vec<taper::nn::Param> {
        [&self.0, &self.1, &self.2].iter().flat_map(|l| l.parameters()).collect()
    }
}

fn batch(device: &Device, n: usize, features: usize, classes: usize, seed: u64) -> Result<(Tensor, Tensor)> {
    let mut rng = Rng(seed);
    let labels = (0..n).map(|_| rng.below(classes) as i64).collect::<Vec<i64>>();
    Ok((data(device, &[n, features], seed)?, Tensor::from_vec(labels, [n], device)?))
}

fn train_step(model: &Mlp, optimizer: &mut impl Optimizer, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let loss = loss::cross_entropy(&model.forward(x)?, y)?;
    optimizer.zero_grad(true)?;
    loss.backward()?;
    optimizer.step()?;
    loss.detach()
}

#[test]
fn an_mlp_training_step_is_one_submit_of_at_most_16_dispatches_on_gpu() -> Result<()> {
    let _alone = alone();
    for device in gpus() {
        let model = Mlp::new([784, 512, 512, 10], &device)?;
        let mut adam = Adam::new(model.parameters(), 1e-3)?;
        let mut steps = Vec::new();
        for step in 0..3 {
            let (x, y) = batch(&device, 128, 784, 10, step)?;
            let (loss, cost) = measure(&device, || train_step(&model, &mut adam, &x, &y))?;
            assert!(loss.item::<f32>()?.is_finite());
            steps.push(cost);
        }
        for cost in &steps {
            assert!(cost.dispatches <= 16, "{device}: {steps:?}");
            assert_eq!(cost.submits, 1, "{device}: {steps:?}");
        }
        for later in &steps[1..] {
            assert_eq!((later.pipelines_created, later.plans_scheduled, later.plans_bound), (0, 0, 0), "{device}: {steps:?}");
        }
    }
    Ok(())
}

#[test]
fn the_second_step_schedules_nothing() {
    let _alone = alone();
    for_each_device(|device| {
        let model = Mlp::new([20, 16, 12, 5], device)?;
        let mut sgd = Sgd::builder(0.1).momentum(0.9).build(model.parameters())?;
        let mut costs = Vec::new();
        for step in 0..4 {
            let (x, y) = batch(device, 8, 20, 5, step)?;
            costs.push(measure(device, || train_step(&model, &mut sgd, &x, &y))?.1);
        }
        assert!(costs[1..].iter().all(|c| (c.pipelines_created, c.plans_scheduled, c.plans_bound) == (0, 0, 0)), "{costs:?}");
        assert!(costs.iter().all(|c| c.plans_run == 1), "{costs:?}");
        Ok(())
    });
}

#[test]
fn any_batch_after_one_of_each_divisibility_class_compiles_nothing_on_gpu() -> Result<()> {
    let _alone = alone();
    for device in gpus() {
        let model = Mlp::new([36, 32, 20, 10], &device)?;
        let mut adam = Adam::new(model.parameters(), 1e-3)?;
        let mut run = |n: usize| -> Result<Stats> {
            let (x, y) = batch(&device, n, 36, 10, n as u64)?;
            Ok(measure(&device, || train_step(&model, &mut adam, &x, &y))?.1)
        };
        // Multiples of 4 and not.
        run(64)?;
        run(63)?;
        let sizes = [2, 3, 4, 5, 7, 8, 10, 16, 20, 31, 36, 48, 65, 100, 128, 130, 256];
        let costs = sizes.iter().map(|&n| Ok((n, run(n)?))).collect::<Result<Vec<_>>>()?;
        let compiled: Vec<_> = costs.iter().filter(|(_, c)| c.pipelines_created > 0).collect();
        assert!(compiled.is_empty(), "{device}: {compiled:?}");
        // And the same sizes again do not even bind.
        let again = sizes.iter().map(|&n| Ok((n, run(n)?))).collect::<Result<Vec<_>>>()?;
        assert!(again.iter().all(|(_, c)| c.plans_bound == 0), "{device}: {again:?}");
    }
    Ok(())
}

#[test]
fn an_optimizer_step_of_a_group_is_one_kernel() {
    let _alone = alone();
    for_each_device(|device| {
        let params: Vec<Tensor> = (0..5).map(|i| data(device, &[7 + i, 3], i as u64)).collect::<Result<_>>()?;
        for p in &params {
            p.requires_grad_(true)?;
        }
        let mut adam = Adam::new(params.clone(), 1e-2)?;
        device.flush()?;
        for p in &params {
            p.set_grad(Some(&data(device, p.shape(), 9)?))?;
        }
        let ((), cost) = measure(device, || adam.step())?;
        // Five gradients that exist already are copied to their places; the update itself is one.
        assert!(cost.dispatches <= 6, "{cost:?}");
        assert_eq!(cost.plans_run, 1);
        Ok(())
    });
}

/// What a step adds to its backward pass does not grow with the number of parameters: gradients that exist already are copied side
/// by side, which is no kernel, and the update is one.
#[test]
fn a_step_of_148_parameters_is_at_most_8_dispatches() {
    let _alone = alone();
    for_each_device(|device| {
        let params: Vec<Tensor> = (0..148).map(|i| data(device, &[1 + i % 7, 5 + i % 3], i as u64)).collect::<Result<_>>()?;
        for p in &params {
            p.requires_grad_(true)?;
        }
        let mut adam = AdamW::new(params.clone(), 1e-2)?;
        device.flush()?;
        for step in 0..3 {
            let expected: Vec<f64> = read(&params[147])?;
            for p in &params {
                p.set_grad(Some(&data(device, p.shape(), 9)?))?;
            }
            let (norm, clip) = measure(device, || clip_grad_norm_(&params, 1e9, 2.0, false))?;
            assert!(norm.item::<f32>()? > 0.0);
            assert!(clip.dispatches <= 8, "{device}, clipping in step {step}: {clip:?}");
            let ((), cost) = measure(device, || adam.step())?;
            assert!(cost.dispatches <= 8, "{device}, step {step}: {cost:?}");
            assert_eq!((cost.plans_run, cost.submits), (1, 1), "{device}");
            let found = read(&params[147])?;
            assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() > 1e-4), "{device}: nothing moved");
        }
        // And without clipping.
        for p in &params {
            p.set_grad(Some(&data(device, p.shape(), 10)?))?;
        }
        let ((), cost) = measure(device, || adam.step())?;
        assert!(cost.dispatches <= 8, "{device}: {cost:?}");
        Ok(())
    });
}

/// Bytes of a training step at their peak, less what lasts: parameters, gradients, and an optimizer's state.
fn activations(device: &Device, checkpointed: bool, low: bool) -> Result<usize> {
    const LAYERS: usize = 8;
    let config = TransformerConfig::new(64, 4).dim_feedforward(256).dropout(0.0).batch_first(true).norm_first(true);
    let blocks = (0..LAYERS).map(|_| config.encoder_layer(device).map(Arc::new)).collect::<Result<Vec<_>>>()?;
    let mut adam = AdamW::new(blocks.iter().flat_map(|b| b.parameters()), 1e-4)?;
    let x = data(device, &[8, 64, 64], 3)?;
    x.realize()?;
    let mut most = 0;
    for _ in 0..2 {
        device.synchronize()?;
        device.reset_peak_memory();
        // Before the second step there are gradients too.
        let before = device.memory().allocated;
        let forward = || {
            blocks.iter().try_fold(x.clone(), |x, block| match checkpointed {
                true => {
                    let block = block.clone();
                    checkpoint(move |x| block.forward(&x[0], Masks::default()), &[&x])
                }
                false => block.forward(&x, Masks::default()),
            })
        };
        let y = if low { autocast(DType::F16, forward)? } else { forward()? };
        let loss = y.to_dtype(DType::F32)?.square()?.mean_all()?;
        adam.zero_grad(true)?;
        loss.backward()?;
        adam.step()?;
        device.synchronize()?;
        most = device.memory().peak - before;
    }
    Ok(most)
}

/// What is computed again is not kept until then, half as wide values take half of the room (residual sums and norms stay as wide as
/// they were), and gradients do not wait for the step to be put in their places.
#[test]
fn checkpoints_and_low_precision_cut_what_a_step_holds() {
    let _alone = alone();
    for_each_device(|device| {
        let plain = activations(device, false, false)?;
        let checkpointed = activations(device, true, false)?;
        assert!(checkpointed * 10 <= plain * 4, "{device}: {checkpointed} bytes of {plain}");
        let low = activations(device, false, true)?;
        assert!(low * 100 <= plain * 63, "{device}: {low} bytes of {plain}");
        Ok(())
    });
}

// ---- fusion -----------------------------------------------------------------------------------

#[track_caller]
fn dispatches(name: &str, device: &Device, expected: u64, f: impl Fn() -> Result<Tensor>) -> Result<()> {
    let (fused, cost) = measure(device, &f)?;
    assert_eq!(cost.dispatches, expected, "{device}: {name}");
    if !device.is_cpu() {
        assert_eq!(cost.submits, 1, "{device}: {name}");
    }
    let eager = with_eager(true, &f)?;
    assert_close(&fused, &read(&eager)?, 1e-4, 1e-5);
    Ok(())
}

#[test]
fn chains_and_rows_are_one_kernel() {
    let _alone = alone();
    for_each_device(|d| {
        let x = data(d, &[32, 48], 1)?;
        let m = data(d, &[32, 48], 2)?;
        let row = data(d, &[48], 3)?;
        dispatches("ten elementwise operations", d, 1, || {
            x.mul(2.0)?.add(&m)?.relu()?.sub(0.5)?.mul(&m)?.tanh()?.add(1.0)?.exp()?.neg()?.div(3.0)
        })?;
        dispatches("a chain with broadcasts and views", d, 1, || x.t()?.add(&m.t()?)?.mul(&row.unsqueeze(1)?)?.flip([0])?.sigmoid())?;
        dispatches("softmax(x * s + m)", d, 1, || x.mul(0.125)?.add(&m)?.softmax(-1))?;
        dispatches("log_softmax", d, 1, || x.log_softmax(1))?;
        dispatches("layer_norm", d, 1, || x.layer_norm(&[48], Some(&row), Some(&row), 1e-5))?;
        dispatches("residual and layer_norm", d, 1, || x.add(&m)?.gelu("tanh")?.layer_norm(&[48], Some(&row), Some(&row), 1e-5))?;
        dispatches("sum of squares of a row", d, 1, || x.sub(&m)?.square()?.sum(1)?.sqrt())?;
        dispatches("rms norm", d, 1, || x.mul(&x.square()?.mean_keepdim(-1)?.add(1e-6)?.rsqrt()?)?.mul(&row))?;
        dispatches("variance", d, 1, || x.var(1, 1.0))?;
        Ok(())
    });
}

#[test]
fn a_matrix_product_takes_its_epilogue_along() {
    let _alone = alone();
    for_each_device(|d| {
        let (a, b, c) = (data(d, &[24, 16], 1)?, data(d, &[16, 20], 2)?, data(d, &[20, 12], 3)?);
        let (bias, residual) = (data(d, &[20], 4)?, data(d, &[24, 20], 5)?);
        dispatches("one product", d, 1, || a.matmul(&b))?;
        dispatches("a chain of products", d, 2, || a.matmul(&b)?.matmul(&c))?;
        dispatches("bias and relu", d, 1, || a.matmul(&b)?.add(&bias)?.relu())?;
        dispatches("bias, gelu, residual", d, 1, || a.matmul(&b)?.add(&bias)?.gelu("tanh")?.add(&residual))?;
        dispatches("two layers", d, 2, || a.matmul(&b)?.add(&bias)?.relu()?.matmul(&c)?.sigmoid())?;
        dispatches("transposed operands", d, 1, || b.t()?.matmul(&a.t()?))?;
        Ok(())
    });
}

#[test]
fn an_eager_operation_is_a_plan_of_its_own() {
    let _alone = alone();
    for_each_device(|d| {
        let x = data(d, &[8], 1)?;
        d.flush()?;
        let before = d.stats();
        with_eager(true, || x.mul(2.0)?.add(1.0)?.relu())?;
        assert_eq!(since(d, before).plans_run, 3);
        Ok(())
    });
}

#[test]
fn numbers_are_parameters_of_a_plan() {
    let _alone = alone();
    for_each_device(|d| {
        let x = data(d, &[16], 1)?;
        let run = |k: f64| measure(d, || x.mul(k)?.add(k + 1.0)?.clamp(Some(-k), Some(k)));
        run(2.0)?;
        for k in [3.0, 0.5, 7.25] {
            let (y, cost) = run(k)?;
            assert_eq!((cost.plans_scheduled, cost.plans_bound, cost.pipelines_created), (0, 0, 0), "factor {k}");
            let expected: Vec<f64> = read(&x)?.iter().map(|x| (x * k + k + 1.0).clamp(-k, k)).collect();
            assert_close(&y, &expected, 1e-6, 1e-6);
        }
        Ok(())
    });
}

#[test]
fn what_is_pending_is_computed_by_itself_in_the_end() {
    let _alone = alone();
    for_each_device(|d| {
        let before = d.stats();
        let mut x = data(d, &[4], 1)?;
        let first = read(&x)?;
        for _ in 0..40_000 {
            x = with_eager(false, || x.add(1.0))?;
        }
        assert!(since(d, before).plans_run >= 2);
        assert_close(&x, &first.iter().map(|v| v + 40_000.0).collect::<Vec<_>>(), 1e-3, 0.0);
        Ok(())
    });
}

// ---- memory -----------------------------------------------------------------------------------

const BIG: usize = 256 * 256;
const BYTES: usize = BIG * 4;

#[test]
fn a_long_chain_lives_in_a_few_buffers() {
    let _alone = alone();
    for_each_device(|d| {
        let w = data(d, &[256, 256], 1)?.mul(0.05)?;
        d.flush()?;
        let before = d.memory().allocated;
        d.reset_peak_memory();
        // Products do not fuse with each other: forty values, of which two are alive at a time.
        let mut x = w.clone();
        for _ in 0..40 {
            x = with_eager(false, || x.matmul(&w)?.tanh())?;
        }
        x.realize()?;
        let peak = d.memory().peak - before;
        assert!(peak <= 4 * BYTES, "{d}: {peak} bytes at the peak for values of {BYTES}");
        let left = d.memory().allocated - before;
        assert!(left <= BYTES + BYTES / 8, "{d}: {left} bytes left for one value of {BYTES}");
        Ok(())
    });
}

#[test]
fn attention_keeps_no_scores() {
    let _alone = alone();
    for_each_device(|d| {
        // One head of the eight for which 64 MiB are allowed; its scores alone would be 64 MiB.
        let shape = [1, 1, 4096, 64];
        let (q, k, v) = (data(d, &shape, 1)?, data(d, &shape, 2)?, data(d, &shape, 3)?);
        for x in [&q, &k, &v] {
            x.requires_grad_(true)?;
        }
        d.synchronize()?;
        d.reset_peak_memory();
        let before = d.memory();
        let y = q.scaled_dot_product_attention(&k, &v, None, 0.0, true, None)?;
        y.realize()?;
        y.sum_all()?.backward()?;
        let grads = [&q, &k, &v].map(Tensor::grad);
        for g in grads.iter().flatten() {
            g.realize()?;
        }
        assert!(grads.iter().all(Option::is_some));
        let after = d.memory();
        // The result, its gradient, and three gradients.
        let values = 5 * 4096 * 64 * 4;
        let own = after.peak.saturating_sub(before.allocated + values) + after.scratch;
        assert!(own <= 8 << 20, "{d}: {own} bytes of working memory for one head");
        Ok(())
    });
}

#[test]
fn values_nobody_holds_are_given_back() {
    let _alone = alone();
    for_each_device(|d| {
        d.flush()?;
        let before = d.memory();
        {
            let x = data(d, &[BIG], 1)?;
            let y = x.exp()?;
            y.realize()?;
            assert!(d.memory().allocated >= before.allocated + 2 * BYTES);
        }
        d.synchronize()?;
        assert_eq!(d.memory().allocated, before.allocated, "{d}");
        d.empty_cache();
        let after = d.memory();
        assert!(after.reserved <= before.reserved, "{d}: {after:?} after {before:?}");
        Ok(())
    });
}

#[test]
fn in_place_updates_reuse_the_buffer() {
    let _alone = alone();
    for_each_device(|d| {
        let x = data(d, &[BIG], 1)?;
        let first = read(&x)?;
        d.flush()?;
        d.reset_peak_memory();
        let before = d.memory().allocated;
        for _ in 0..10 {
            no_grad(|| x.add_(1.0).map(drop))?;
            d.flush()?;
        }
        let m = d.memory();
        assert!(m.allocated <= before, "{d}: {m:?}, {before} before");
        assert!(m.peak <= before + BYTES / 8, "{d}: {m:?}, {before} before");
        assert_close(&x, &first.iter().map(|v| v + 10.0).collect::<Vec<_>>(), 1e-5, 1e-5);
        Ok(())
    });
}

#[test]
fn a_budget_refuses_and_loses_nothing() {
    let _alone = alone();
    for_each_device(|d| {
        let x = data(d, &[BIG], 1)?;
        let first = read(&x)?;
        d.synchronize()?;
        d.empty_cache();
        let used = d.memory().reserved;
        d.set_memory_budget(Some(used + BYTES / 2));
        let y = with_eager(false, || x.mul(2.0)?.add(1.0))?;
        let e = read(&y).unwrap_err();
        assert!(matches!(e.root(), Error::OutOfMemory { .. }), "{e}");
        assert!(e.to_string().contains("budget"), "{e}");
        // Asking again says the same, more work can be queued, and the input is untouched.
        assert!(y.realize().is_err());
        let z = with_eager(false, || y.square())?;
        assert!(matches!(d.flush().unwrap_err().root(), Error::OutOfMemory { .. }));
        assert!(Tensor::zeros([BIG], d).and_then(|t| read(&t)).is_err());
        assert_eq!(read(&x)?, first);
        // A request of any size is an error, not an abort.
        assert!(Tensor::zeros([1 << 45], d).and_then(|t| read(&t)).is_err());
        d.set_memory_budget(None);
        assert_close(&y, &first.iter().map(|v| v * 2.0 + 1.0).collect::<Vec<_>>(), 1e-6, 1e-6);
        assert_close(&z, &first.iter().map(|v| (v * 2.0 + 1.0).powi(2)).collect::<Vec<_>>(), 1e-6, 1e-6);
        Ok(())
    });
}

#[test]
fn statistics_count_what_happens() {
    let _alone = alone();
    for_each_device(|d| {
        let x = data(d, &[64], 1)?;
        d.synchronize()?;
        let before = d.stats();
        let y = with_eager(false, || x.add(1.0)?.sum_all())?;
        assert_eq!(since(d, before).plans_run, 0, "nothing runs before somebody asks");
        y.item::<f32>()?;
        let cost = since(d, before);
        assert!(cost.plans_run == 1 && cost.dispatches >= 1, "{cost:?}");
        assert!(d.stats().host_us >= before.host_us);
        let m = d.memory();
        assert!(m.allocated <= m.peak && m.allocated <= m.reserved, "{m:?}");
        Ok(())
    });
}
