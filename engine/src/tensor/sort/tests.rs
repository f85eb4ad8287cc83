use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, QuantileMode, Tensor};

/// Few different numbers, so that many are equal.
fn crowd(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 25) as f32 - 64.0).collect()
}

/// One tile, several, an odd number of them, and rows that are short; along any dimension.
#[test]
fn sorting_is_stable_whatever_the_length() {
    for_each_device(|dev| {
        for (shape, dim) in [([1usize, 3000, 1], 1usize), ([3, 65, 2], 1), ([2, 1024, 1], 1), ([1, 1, 5000], 2), ([40, 3, 2], 0)] {
            let x = crowd(shape.iter().product());
            for descending in [false, true] {
                let (values, at) = Tensor::from_vec(x.clone(), shape, dev)?.sort(dim as isize, descending)?;
                let (values, at) = (values.to_vec::<f32>()?, at.to_vec::<i64>()?);
                let (n, inner) = (shape[dim], shape[dim + 1..].iter().product::<usize>());
                for row in 0..x.len() / n {
                    let place = |j: usize| (row / inner * n + j) * inner + row % inner;
                    let mut order: Vec<usize> = (0..n).collect();
                    order.sort_by(|&a, &b| {
                        let by = x[place(a)].total_cmp(&x[place(b)]);
                        if descending { by.reverse() } else { by }
                    });
                    for (r, &j) in order.iter().enumerate() {
                        assert_eq!(at[place(r)], j as i64, "on {dev}: {shape:?}, rank {r} of row {row}");
                        assert_eq!(values[place(r)], x[place(j)]);
                    }
                }
            }
        }
        Ok(())
    });
}

#[test]
fn every_type_sorts_and_nan_comes_last() {
    for_each_device(|dev| {
        let t = Tensor::new([2.0, f32::NAN, -0.0, f32::INFINITY, 0.0, f32::NEG_INFINITY], dev)?;
        assert_eq!(t.argsort(0, false)?.to_vec::<i64>()?, [5, 2, 4, 0, 3, 1]);
        assert_eq!(t.argsort(0, true)?.to_vec::<i64>()?, [1, 3, 0, 2, 4, 5]);
        assert_eq!(Tensor::from_vec(vec![3u8, 255, 1], [3], dev)?.sort(0, false)?.0.to_vec::<u8>()?, [1, 3, 255]);
        assert_eq!(Tensor::from_vec(vec![3i64, -5, 1], [3], dev)?.sort(0, true)?.0.to_vec::<i64>()?, [3, 1, -5]);
        assert_eq!(Tensor::from_vec(vec![true, false], [2], dev)?.sort(0, false)?.0.to_vec::<bool>()?, [false, true]);
        let half = Tensor::new([2.0, -1.0, 0.5], dev)?.to_dtype(DType::F16)?;
        assert_eq!(half.sort(0, false)?.1.to_vec::<i64>()?, [1, 2, 0]);
        assert_eq!(Tensor::full([], 1.0, dev)?.sort(0, false)?.1.item::<i64>()?, 0);
        assert_eq!(Tensor::zeros([2, 0], dev)?.sort(1, false)?.0.shape(), [2, 0]);
        Ok(())
    });
}

#[test]
fn picks_by_rank() {
    for_each_device(|dev| {
        let t = Tensor::new([[5.0, 1.0, 4.0, 2.0], [3.0, 3.0, f32::NAN, 0.0]], dev)?;
        let (v, at) = t.topk(2, 1, true)?;
        assert_close(&v, &[5.0, 4.0, f64::NAN, 3.0], 0.0, 0.0);
        assert_eq!(at.to_vec::<i64>()?, [0, 2, 2, 0]);
        assert_close(&t.kthvalue(2, 1)?.0, &[2.0, 3.0], 0.0, 0.0);
        let (v, at) = t.median(1)?;
        assert_close(&v, &[2.0, f64::NAN], 0.0, 0.0);
        assert_eq!(at.to_vec::<i64>()?, [3, 2]);
        assert_close(&t.nanmedian(1)?.0, &[2.0, 3.0], 0.0, 0.0);
        assert_close(&t.nansum(1)?, &[12.0, 6.0], 1e-6, 0.0);
        assert_close(&t.nanmean(1)?, &[3.0, 2.0], 1e-6, 0.0);
        let (v, at) = Tensor::new([2i64, 7, 2, 7, 1], dev)?.mode(0)?;
        assert_eq!((v.item::<i64>()?, at.item::<i64>()?), (2, 2));
        assert!(t.topk(5, 1, true).is_err() && t.kthvalue(0, 1).is_err());
        Ok(())
    });
}

#[test]
fn quantiles_interpolate_as_asked() {
    for_each_device(|dev| {
        let t = Tensor::new([1.0, 2.0, 4.0, 8.0], dev)?;
        let q = Tensor::new([0.0, 0.5, 0.9], dev)?;
        let of = |how| t.quantile(&q, Some(0), false, how);
        assert_close(&of(QuantileMode::Linear)?, &[1.0, 3.0, 6.8], 1e-6, 0.0);
        assert_close(&of(QuantileMode::Lower)?, &[1.0, 2.0, 4.0], 0.0, 0.0);
        assert_close(&of(QuantileMode::Higher)?, &[1.0, 4.0, 8.0], 0.0, 0.0);
        assert_close(&of(QuantileMode::Nearest)?, &[1.0, 4.0, 8.0], 0.0, 0.0);
        assert_close(&of(QuantileMode::Midpoint)?, &[1.0, 3.0, 6.0], 1e-6, 0.0);
        let gap = Tensor::new([1.0, f32::NAN, 3.0], dev)?;
        assert_close(&gap.quantile(&q, None, false, QuantileMode::Linear)?, &[f64::NAN; 3], 0.0, 0.0);
        assert_close(&gap.nanquantile(&q, None, true, QuantileMode::Linear)?, &[1.0, 2.0, 2.8], 1e-6, 0.0);
        // A GPU reports to whoever reads next, which may be another test.
        for wrong in [-0.5, 1.2, f32::NAN] {
            let q = Tensor::new(wrong, dev)?;
            assert!(!dev.is_cpu() || t.quantile(&q, None, false, QuantileMode::Linear)?.item::<f32>().is_err(), "{wrong}");
            assert!(!dev.is_cpu() || gap.nanquantile(&q, None, false, QuantileMode::Linear)?.item::<f32>().is_err(), "{wrong}");
        }
        Ok(())
    });
}

#[test]
fn gradients_go_to_what_was_picked() {
    let x = [0.5, -1.25, 2.0, 0.75, -0.3, 1.5];
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].sort(1, true)?.0.square());
    assert_gradients(&[(&x, &[6])], |t| t[0].topk(3, 0, false)?.0.square());
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].median(1)?.0.square());
    assert_gradients(&[(&x, &[6]), (&[0.3, 0.77], &[2])], |t| t[0].quantile(&t[1], Some(0), false, QuantileMode::Linear)?.square());
}
