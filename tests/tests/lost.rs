//! A GPU that is lost. Alone in its program, as no other test can use the device afterwards.

use taper::{Device, Result, Tensor, with_eager};
use taper_tests::refusals::Refusals;
use taper_tests::{gpus, read};

fn data(d: &Device) -> Result<Tensor> {
    Tensor::from_vec((0..8).map(|i| i as f32 / 8.0).collect::<Vec<f32>>(), [8], d)
}

#[test]
fn a_lost_gpu_is_an_error_and_the_others_go_on() -> Result<()> {
    let all = gpus();
    let Some(lost) = all.first() else { return Ok(()) };
    let x = data(lost)?;
    let pending = with_eager(false, || x.exp())?;
    let ready = x.mul(2.0)?;
    ready.realize()?;
    let held_on_cpu = data(&Device::cpu())?;
    let moving = with_eager(false, || pending.to(&Device::cpu()))?;
    lost.simulate_loss();
    let mut r = Refusals::new(lost);
    r.tensor("what was pending", &["lost"], || Ok(pending.clone()));
    r.tensor("what was computed", &["lost"], || Ok(ready.clone()));
    r.tensor("what was moving", &["lost"], || Ok(moving.clone()));
    r.tensor("new work", &["lost"], || x.add(1.0));
    r.tensor("new data", &["lost"], || data(lost));
    r.refused("flush", &["lost"], || {
        let _y = x.add(1.0)?;
        lost.flush()
    });
    r.refused("synchronize", &["lost"], || lost.synchronize());
    r.tensor("to a lost device", &["lost"], || held_on_cpu.to(lost));
    r.survived("dropping", || {
        drop((pending, ready, moving, x));
        lost.empty_cache();
        let _ = (lost.stats(), lost.memory(), lost.report());
        Ok(())
    });
    r.end();
    for other in all[1..].iter().chain([&Device::cpu()]) {
        let y = data(other)?;
        assert_eq!(read(&y.add(1.0)?)?.len(), 8);
    }
    Ok(())
}
