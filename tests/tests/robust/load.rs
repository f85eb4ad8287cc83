//! Much of everything: long chains, much that is never read, many threads.

use taper::{Device, Result, Tensor, with_eager};
use taper_tests::{Rng, for_each_device, read};

use super::data;

#[test]
fn a_chain_of_a_million_operations() -> Result<()> {
    let n = 1_000_000;
    let d = Device::cpu();
    let x = Tensor::from_vec(vec![1.0f32], [1], &d)?;
    x.requires_grad_(true)?;
    with_eager(false, || -> Result<()> {
        let mut y = x.clone();
        for _ in 0..n {
            y = y.add(1.0)?;
        }
        y.sum_all()?.backward()?;
        assert_eq!(read(&x.grad().unwrap())?, [1.0]);
        assert_eq!(read(&y)?, [n as f64 + 1.0]);
        drop(y);
        // Built and dropped without being computed, and without anything but the last handle.
        let mut y = x.clone();
        for _ in 0..n {
            y = y.mul(1.0001)?;
        }
        drop(y);
        // A chain of views, of in-place writes, and of writes through a view.
        let mut v = x.detach()?;
        for _ in 0..20_000 {
            v = v.unsqueeze(0)?.squeeze(0)?;
        }
        assert_eq!(read(&v)?, [1.0]);
        drop(v);
        let z = Tensor::zeros([4], &d)?;
        let part = z.slice(0, 1, 3, 1)?;
        for _ in 0..20_000 {
            part.add_(1.0)?;
        }
        assert_eq!(read(&z)?, [0.0, 20_000.0, 20_000.0, 0.0]);
        Ok(())
    })
}

#[test]
fn what_is_never_read_does_not_pile_up() {
    for_each_device(|d| {
        d.flush()?;
        let before = d.memory().allocated;
        let mut total = Tensor::zeros([], d)?;
        for i in 0..3000 {
            let x = data(d, &[64])?;
            total = with_eager(false, || total.add(&x.mul(i as f64)?.sum_all()?))?;
            // A handle that is dropped unread.
            with_eager(false, || x.exp()?.softmax(0))?;
        }
        assert!(read(&total)?[0].is_finite());
        drop(total);
        d.synchronize()?;
        assert!(d.memory().allocated <= before + 4096, "{d}: {:?}", d.memory());
        Ok(())
    });
}

#[test]
fn threads_flush_at_once() {
    for_each_device(|d| {
        let shared = data(d, &[32])?;
        let expected: Vec<f64> = read(&shared)?.iter().map(|v| (v * 2.0 + 1.0).tanh()).collect();
        let rounds = if d.is_cpu() { 60 } else { 15 };
        std::thread::scope(|s| {
            let handles: Vec<_> = (0..6)
                .map(|k| {
                    let (shared, expected) = (&shared, &expected);
                    s.spawn(move || -> Result<()> {
                        let mut rng = Rng(k);
                        for _ in 0..rounds {
                            // Temporaries of every age: another thread's flush may fall anywhere between.
                            let a = shared.mul(2.0)?;
                            let b = a.add(1.0)?;
                            drop(a);
                            if rng.one_in(3) {
                                d.flush()?;
                            }
                            let c = b.tanh()?;
                            drop(b);
                            let own = c.clone_data()?;
                            own.add_(&c)?.sub_(&c)?;
                            drop(c);
                            for (got, want) in read(&own)?.iter().zip(expected) {
                                assert!((got - want).abs() < 1e-4, "{got} instead of {want}");
                            }
                        }
                        Ok(())
                    })
                })
                .collect();
            handles.into_iter().try_for_each(|h| h.join().unwrap())
        })
    });
}

#[test]
fn one_tensor_is_read_by_many_threads() {
    for_each_device(|d| {
        let x = data(d, &[40])?;
        let y = with_eager(false, || x.exp()?.softmax(0))?;
        let sums = std::thread::scope(|s| {
            let handles: Vec<_> = (0..8).map(|_| s.spawn(|| read(&y))).collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect::<Result<Vec<_>>>()
        })?;
        assert!(sums.windows(2).all(|w| w[0] == w[1]));
        Ok(())
    });
}
