//! What backward promises: accumulation, graphs that are let go, modes, hooks, functions of the user, threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use taper::autograd::{self, Function, FunctionCtx, enable_grad, no_grad};
use taper::{Device, Result, Tensor};
use taper_tests::{assert_close, for_each_device, read};

fn leaf(device: &Device, v: &[f32]) -> Result<Tensor> {
    let t = Tensor::from_vec(v.to_vec(), [v.len()], device)?;
    t.requires_grad_(true)?;
    Ok(t)
}

fn grad_of(t: &Tensor) -> Vec<f64> {
    t.grad().map(|g| read(&g).unwrap_or_default()).unwrap_or_default()
}

#[test]
fn gradients_accumulate_until_they_are_dropped() {
    for_each_device(|d| {
        let x = leaf(d, &[1.0, 2.0])?;
        for k in 1..=3 {
            x.square()?.sum_all()?.backward()?;
            assert_eq!(grad_of(&x), [2.0 * k as f64, 4.0 * k as f64]);
        }
        let handle = x.grad().unwrap();
        x.sum_all()?.backward()?;
        // As in PyTorch, a handle to the gradient sees what is added to it.
        assert_eq!(read(&handle)?, [7.0, 13.0]);
        x.zero_grad();
        assert!(x.grad().is_none());
        Ok(())
    });
}

#[test]
fn a_graph_is_let_go_unless_it_is_retained() {
    for_each_device(|d| {
        let x = leaf(d, &[3.0])?;
        let y = x.mul(&x)?.sum_all()?;
        y.backward_with(None, true, false)?;
        y.backward()?;
        assert_eq!(grad_of(&x), [12.0]);
        let e = y.backward().unwrap_err().to_string();
        assert!(e.contains("retain_graph"), "{e}");
        Ok(())
    });
}

#[test]
fn gradients_of_gradients() {
    for_each_device(|d| {
        let x = leaf(d, &[2.0])?;
        let y = x.pow(4.0)?.sum_all()?;
        let mut dy = y;
        for expected in [32.0, 48.0, 48.0, 24.0] {
            dy = autograd::grad(&[&dy], &[&x], &[None], true, true)?[0].clone().unwrap().sum_all()?;
            assert_close(&dy, &[expected], 1e-4, 0.0);
        }
        assert!(x.grad().is_none(), "autograd::grad leaves .grad alone");
        // A penalty on the gradient's length, as in WGAN-GP.
        let w = leaf(d, &[0.5, -1.0])?;
        let out = w.tanh()?.sum_all()?;
        let g = autograd::grad(&[&out], &[&w], &[None], true, true)?[0].clone().unwrap();
        g.square()?.sum_all()?.backward()?;
        let expected: Vec<f64> = [0.5f64, -1.0].iter().map(|w| -4.0 * w.tanh() * (1.0 - w.tanh().powi(2)).powi(2)).collect();
        assert_close(&w.grad().unwrap(), &expected, 1e-4, 1e-5);
        Ok(())
    });
}

#[test]
fn inputs_that_are_not_reached_have_no_gradient() -> Result<()> {
    let d = Device::cpu();
    let (x, z) = (leaf(&d, &[1.0])?, leaf(&d, &[2.0])?);
    let found = autograd::grad(&[&x.exp()?.sum_all()?], &[&x, &z], &[None], false, false)?;
    assert!(found[0].is_some() && found[1].is_none());
    // The gradient by an intermediate value.
    let y = x.mul(3.0)?;
    let loss = y.square()?.sum_all()?;
    let by = autograd::grad(&[&loss], &[&y, &x], &[None], false, false)?;
    assert_eq!((read(by[0].as_ref().unwrap())?, read(by[1].as_ref().unwrap())?), (vec![6.0], vec![18.0]));
    Ok(())
}

#[test]
fn modes_nest_and_end() -> Result<()> {
    let x = leaf(&Device::cpu(), &[1.0])?;
    no_grad(|| -> Result<()> {
        assert!(!autograd::is_enabled());
        assert!(!x.exp()?.requires_grad());
        enable_grad(|| -> Result<()> {
            assert!(x.exp()?.requires_grad());
            no_grad(|| assert!(!autograd::is_enabled()));
            assert!(autograd::is_enabled());
            Ok(())
        })?;
        assert!(!autograd::is_enabled());
        Ok(())
    })?;
    assert!(autograd::is_enabled());
    let _ = std::panic::catch_unwind(|| no_grad(|| panic!("inside")));
    assert!(autograd::is_enabled(), "a panic ends the scope");
    // Another thread's mode is its own.
    no_grad(|| std::thread::scope(|s| s.spawn(|| assert!(autograd::is_enabled())).join())).unwrap();
    Ok(())
}

#[test]
fn hooks_see_and_replace_the_whole_gradient() -> Result<()> {
    let x = leaf(&Device::cpu(), &[2.0])?;
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (count, list) = (calls.clone(), seen.clone());
    let handle = x.register_hook(move |g| {
        count.fetch_add(1, Ordering::Relaxed);
        list.lock().unwrap().push(g.item::<f32>()?);
        Ok(Some(g.mul(10.0)?))
    })?;
    // Three ways lead to x; the hook sees their sum, once.
    x.mul(&x)?.add(&x)?.sum_all()?.backward()?;
    assert_eq!((calls.load(Ordering::Relaxed), seen.lock().unwrap().clone()), (1, vec![5.0]));
    assert_eq!(grad_of(&x), [50.0]);
    handle.remove();
    x.zero_grad();
    x.sum_all()?.backward()?;
    assert_eq!(grad_of(&x), [1.0]);
    // On an intermediate value.
    let y = x.mul(3.0)?;
    y.register_hook(|g| Ok(Some(g.neg()?)))?;
    y.retain_grad()?;
    x.zero_grad();
    y.add(&y)?.sum_all()?.backward()?;
    assert_eq!((grad_of(&x), grad_of(&y)), (vec![-6.0], vec![-2.0]));
    assert!(x.detach()?.register_hook(|_| Ok(None)).is_err());
    // An error in a hook is backward's error.
    x.register_hook(|g| g.reshape([7]).map(Some))?;
    assert!(x.exp()?.sum_all()?.backward().is_err());
    Ok(())
}

#[test]
fn functions_of_the_user() {
    #[derive(Clone)]
    struct Scale(f64);
    impl Function for Scale {
        fn forward(&self, ctx: &FunctionCtx, x: &[Tensor]) -> Result<Tensor> {
            ctx.save_for_backward(&[&x[0], &x[1]]);
            x[0].mul(&x[1])?.mul(self.0)
        }
        fn backward(&self, ctx: &FunctionCtx, dy: &Tensor) -> Result<Vec<Option<Tensor>>> {
            let x = ctx.saved_tensors();
            Ok(vec![Some(dy.mul(&x[1])?.mul(self.0)?), Some(dy.mul(&x[0])?.mul(self.0)?)])
        }
    }
    for_each_device(|d| {
        let (x, y) = (leaf(d, &[1.0, 2.0])?, leaf(d, &[3.0, 4.0])?);
        let z = Scale(2.0).apply(&[&x, &y])?;
        assert!(z.requires_grad());
        z.sum_all()?.backward()?;
        assert_eq!((grad_of(&x), grad_of(&y)), (vec![6.0, 8.0], vec![2.0, 4.0]));
        Ok(())
    });
}

#[test]
fn an_in_place_change_keeps_what_was_saved() {
    for_each_device(|d| {
        let x = leaf(d, &[1.0, 2.0])?;
        let y = x.exp()?;
        let z = y.mul(&x)?;
        no_grad(|| y.zero_().map(drop))?;
        z.sum_all()?.backward()?;
        let expected: Vec<f64> = [1.0f64, 2.0].iter().map(|x| x.exp() * (1.0 + x)).collect();
        assert_close(&x.grad().unwrap(), &expected, 1e-4, 0.0);
        // The parameter itself may change under no_grad between forward and backward.
        let w = leaf(d, &[3.0])?;
        let loss = w.square()?.sum_all()?;
        no_grad(|| w.add_(1.0).map(drop))?;
        loss.backward()?;
        assert_eq!(grad_of(&w), [6.0]);
        assert!(w.add_(1.0).is_err(), "a leaf changes only under no_grad");
        assert_eq!(read(&w)?, [4.0]);
        Ok(())
    });
}

#[test]
fn threads_run_backward_at_once() {
    for_each_device(|d| {
        let w = leaf(d, &[0.5, -0.25, 2.0])?;
        let threads = 4;
        let rounds = 8;
        std::thread::scope(|s| {
            let handles: Vec<_> = (0..threads)
                .map(|_| {
                    s.spawn(|| -> Result<()> {
                        for _ in 0..rounds {
                            let own = leaf(&w.device().clone(), &[1.0, 2.0, 3.0])?;
                            w.mul(&own)?.sum_all()?.backward()?;
                            assert_eq!(grad_of(&own), [0.5, -0.25, 2.0]);
                        }
                        Ok(())
                    })
                })
                .collect();
            handles.into_iter().try_for_each(|h| h.join().unwrap())
        })?;
        let n = (threads * rounds) as f64;
        assert_eq!(grad_of(&w), [n, 2.0 * n, 3.0 * n]);
        Ok(())
    });
}

#[test]
fn one_graph_serves_several_threads() -> Result<()> {
    let x = leaf(&Device::cpu(), &[1.0, 2.0])?;
    let y = x.square()?.sum_all()?;
    std::thread::scope(|s| {
        let handles: Vec<_> = (0..4).map(|_| s.spawn(|| y.backward_with(None, true, false))).collect();
        handles.into_iter().try_for_each(|h| h.join().unwrap())
    })?;
    assert_eq!(grad_of(&x), [8.0, 16.0]);
    Ok(())
}
