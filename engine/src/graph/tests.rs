//! What the planner promises: how many kernels, which buffers, what a replay costs.

use crate::device::{Device, Stats};
use crate::error::{Error, Result};
use crate::runtime::cpu::Cpu;
use crate::tensor::Tensor;

/// A device of its own, so that counters see this test alone.
fn fresh() -> Device {
    Device::from_runtime(std::sync::Arc::new(Cpu::new()))
}

/// What `f` adds to the counters, its pending work computed.
fn counted(device: &Device, f: impl FnOnce() -> Result<Vec<Tensor>>) -> Result<Stats> {
    device.flush()?;
    let before = device.stats();
    let kept = f()?;
    device.flush()?;
    drop(kept);
    let after = device.stats();
    Ok(Stats {
        dispatches: after.dispatches - before.dispatches,
        submits: after.submits - before.submits,
        plans_run: after.plans_run - before.plans_run,
        plans_scheduled: after.plans_scheduled - before.plans_scheduled,
        plans_bound: after.plans_bound - before.plans_bound,
        ..Stats::default()
    })
}

fn ramp(shape: &[usize], device: &Device) -> Result<Tensor> {
    let n: usize = shape.iter().product();
    Tensor::from_vec((0..n).map(|i| (i % 17) as f32 * 0.1 - 0.8).collect(), shape, device)
}

#[test]
fn an_elementwise_chain_is_one_kernel() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let x = ramp(&[33, 7], &d)?;
        let run = || {
            let mut y = x.clone();
            for i in 0..5 {
                y = y.add(i as f32)?.tanh()?;
            }
            Ok(vec![y])
        };
        assert_eq!(counted(&d, run)?.dispatches, 1);
        Ok(())
    })
}

#[test]
fn softmax_of_a_scaled_sum_is_one_kernel() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let (x, m) = (ramp(&[8, 40], &d)?, ramp(&[40], &d)?);
        assert_eq!(counted(&d, || Ok(vec![x.mul(0.5)?.add(&m)?.softmax(-1)?]))?.dispatches, 1);
        let norm = counted(&d, || Ok(vec![x.layer_norm(&[40], Some(&m), Some(&m), 1e-5)?]))?;
        assert_eq!(norm.dispatches, 1);
        Ok(())
    })
}

#[test]
fn bias_and_activation_join_the_product() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let (x, w, b) = (ramp(&[6, 5], &d)?, ramp(&[4, 5], &d)?, ramp(&[4], &d)?);
        let stats = counted(&d, || Ok(vec![x.linear(&w, Some(&b))?.relu()?]))?;
        assert_eq!(stats.dispatches, 1);
        Ok(())
    })
}

#[test]
fn a_replay_schedules_nothing_and_other_sizes_only_bind() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let run = |n: usize, s: f32| -> Result<Stats> {
            let x = ramp(&[n, 12], &d)?;
            counted(&d, || Ok(vec![x.mul(s)?.sum_keepdim(0)?.exp()?]))
        };
        assert_eq!(run(8, 0.5)?.plans_scheduled, 1);
        let again = run(8, 0.25)?;
        assert_eq!((again.plans_scheduled, again.plans_bound), (0, 0), "a scalar is no part of the key");
        let larger = run(20, 0.25)?;
        assert_eq!((larger.plans_scheduled, larger.plans_bound), (0, 1), "a size of the same class only binds");
        Ok(())
    })
}

#[test]
fn a_chain_of_plans_reuses_buffers() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let mut x = ramp(&[64, 64], &d)?;
        let one = 64 * 64 * 4;
        for _ in 0..50 {
            x = x.matmul(&x)?.mul(0.01)?;
        }
        d.flush()?;
        assert!(d.memory().peak <= 5 * one, "{:?}", d.memory());
        Ok(())
    })
}

#[test]
fn out_of_memory_leaves_everything_pending() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let x = ramp(&[1000], &d)?;
        d.flush()?;
        d.set_memory_budget(Some(d.memory().reserved + 100));
        let y = x.add(1.0)?;
        assert!(matches!(y.to_vec::<f32>().map_err(|e| e.root().clone()), Err(Error::OutOfMemory { .. })));
        d.set_memory_budget(None);
        assert_eq!(y.to_vec::<f32>()?[0], -0.8f32 + 1.0);
        Ok(())
    })
}

#[test]
fn a_temporary_is_overwritten_in_place_and_a_held_value_is_not() -> Result<()> {
    crate::graph::with_eager(false, || {
        let d = fresh();
        let mut x = ramp(&[4096], &d)?;
        d.flush()?;
        let before = d.memory().allocated;
        x = x.add(1.0)?;
        d.flush()?;
        assert_eq!(d.memory().allocated, before, "the old value's buffer was taken over");
        let kept = x.clone().detach()?.add(0.0)?;
        let y = x.add(1.0)?;
        assert_eq!(kept.to_vec::<f32>()?[0] + 1.0, y.to_vec::<f32>()?[0]);
        Ok(())
    })
}
