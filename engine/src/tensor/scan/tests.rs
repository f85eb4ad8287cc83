use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Result, Tensor};

/// Numbers without a pattern, in `[-1, 1)`.
fn noise(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

/// `f` along each line of `[outer, n, inner]`.
fn lines(x: &[f32], n: usize, inner: usize, f: impl Fn(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut out = vec![0.0; x.len()];
    for o in 0..x.len() / (n * inner) {
        for c in 0..inner {
            let at = |j: usize| (o * n + j) * inner + c;
            let line: Vec<f64> = (0..n).map(|j| x[at(j)] as f64).collect();
            f(&line).into_iter().enumerate().for_each(|(j, v)| out[at(j)] = v);
        }
    }
    out
}

fn running(line: &[f64], f: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    line.iter()
        .scan(None, |s, &v| {
            *s = Some(s.map_or(v, |s| f(s, v)));
            *s
        })
        .collect()
}

/// Short and long rows, few and many, along every dimension: each kernel and each branch of it.
#[test]
fn scans_agree_with_loops_whatever_the_shape() {
    for_each_device(|dev| {
        for (shape, dim) in [([3, 1000, 1], 1), ([2, 257, 3], 1), ([70, 5, 40], 1), ([1, 1, 600], 2), ([64, 2, 2], 0), ([2, 3, 4], -1)] {
            let x = noise(shape.iter().product());
            let t = Tensor::from_vec(x.clone(), shape, dev)?;
            let d = if dim < 0 { 2 } else { dim as usize };
            let (n, inner) = (shape[d], shape[d + 1..].iter().product());
            let expect = |f: fn(f64, f64) -> f64| lines(&x, n, inner, |l| running(l, f));
            assert_close(&t.cumsum(dim)?, &expect(|a, b| a + b), 1e-5, 2e-5);
            assert_close(&t.cummax(dim)?.0, &expect(f64::max), 0.0, 0.0);
            assert_close(&t.cummin(dim)?.0, &expect(f64::min), 0.0, 0.0);
            assert_close(&t.logcumsumexp(dim)?, &expect(|a, b| (a.exp() + b.exp()).ln()), 1e-5, 2e-5);
            assert_close(
                &t.mul(0.125)?.add(1)?.cumprod(dim)?.log()?,
                &lines(&x, n, inner, |l| running(&l.iter().map(|v| (v * 0.125 + 1.0).ln()).collect::<Vec<_>>(), |a, b| a + b)),
                1e-4,
                1e-3,
            );
        }
        Ok(())
    });
}

#[test]
fn integers_and_bools_add_up_as_i64() {
    for_each_device(|dev| {
        let t = Tensor::from_vec(vec![200u8, 100, 50], [3], dev)?;
        assert_eq!(t.cumsum(0)?.to_vec::<i64>()?, [200, 300, 350]);
        let b = Tensor::from_vec(vec![true, false, true], [3], dev)?;
        assert_eq!(b.cumsum(0)?.to_vec::<i64>()?, [1, 1, 2]);
        assert_eq!(b.cumprod(0)?.to_vec::<i64>()?, [1, 0, 0]);
        assert_eq!(b.cummax(0)?.0.to_vec::<bool>()?, [true, true, true]);
        assert_eq!(Tensor::full([], 3, dev)?.cumsum(0)?.shape(), [0usize; 0]);
        assert_eq!(Tensor::zeros([0, 2], (DType::F32, dev))?.cumsum(0)?.shape(), [0, 2]);
        Ok(())
    });
}

/// Of equal elements the last position counts, and a NaN stays, later ones taking over.
#[test]
fn running_extrema_know_ties_and_nan() {
    for_each_device(|dev| {
        let t = Tensor::new([1.0, 3.0, 3.0, 2.0, f32::NAN, 9.0, f32::NAN], dev)?;
        assert_eq!(t.cummax(0)?.1.to_vec::<i64>()?, [0, 1, 2, 2, 4, 4, 6]);
        assert_eq!(t.cummin(0)?.1.to_vec::<i64>()?, [0, 0, 0, 0, 4, 4, 6]);
        let ends = Tensor::new([f32::NEG_INFINITY, f32::NEG_INFINITY, 1.0, f32::INFINITY, f32::INFINITY], dev)?;
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        assert_close(&ends.logcumsumexp(0)?, &[low, low, 1.0, high, high], 1e-6, 0.0);
        Ok(())
    });
}

#[test]
fn gradients_of_scans_are_exact_to_the_second_order() {
    let x = [0.5, -1.25, 2.0, 0.75, -0.3, 1.5];
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].cumsum(1)?.square());
    assert_gradients(&[(&x, &[3, 2])], |t| t[0].cumprod(0));
    assert_gradients(&[(&[0.5, 0.0, 2.0, 0.0, -0.3], &[5])], |t| t[0].cumprod(0));
    assert_gradients(&[(&x, &[6])], |t| t[0].logcumsumexp(0));
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].cummax(1)?.0.square());
    assert_gradients(&[(&x, &[6]), (&[0.0, 0.1, 0.5, 0.6, 1.0, 1.7], &[6])], |t| t[0].trapezoid(&t[1], 0));
}

#[test]
fn gradients_of_scans_are_the_same_on_every_device() {
    for_each_device(|dev| {
        let grad = |dev: &Device| -> Result<Vec<f64>> {
            let x = Tensor::from_vec(noise(600), [2, 300], dev)?;
            x.requires_grad_(true)?;
            let y = x.logcumsumexp(1)?.add(&x.add(1.1)?.cumprod(1)?.tanh()?)?;
            y.mul(&Tensor::from_vec(noise(600), [2, 300], dev)?)?.sum_all()?.backward()?;
            Ok(x.grad().map_or(Ok(vec![]), |g| g.to_vec::<f32>())?.into_iter().map(f64::from).collect())
        };
        let expected = grad(&Device::cpu())?;
        let got = Tensor::from_vec(grad(dev)?, [600], &Device::cpu())?;
        assert_close(&got, &expected, 2e-4, 1e-4);
        Ok(())
    });
}

#[test]
fn a_scan_says_which_one_it_is() -> Result<()> {
    let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
    for (name, scan) in [("cumsum", x.cumsum(3)), ("cumprod", x.cumprod(3)), ("logcumsumexp", x.logcumsumexp(3))] {
        let e = scan.unwrap_err().to_string();
        assert!(e.starts_with(name), "{name}: {e}");
    }
    Ok(())
}

#[test]
fn differences_join_what_comes_before_and_behind() {
    for_each_device(|dev| {
        let t = Tensor::new([1i64, 4, 9], dev)?;
        let zero = Tensor::new([0i64], dev)?;
        assert_eq!(t.diff(1, 0, Some(&zero), None)?.to_vec::<i64>()?, [1, 3, 5]);
        assert_eq!(t.diff(2, -1, None, None)?.to_vec::<i64>()?, [2]);
        assert_eq!(t.diff(7, 0, None, None)?.shape(), [0]);
        assert!(Tensor::full([], 1, dev)?.diff(1, 0, None, None).is_err());
        assert_close(&Tensor::new([1.0, 3.0, 5.0], dev)?.cumulative_trapezoid(2.0, 0)?, &[4.0, 12.0], 1e-6, 0.0);
        Ok(())
    });
}
