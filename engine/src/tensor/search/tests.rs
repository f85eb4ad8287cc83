use crate::testing::{assert_close, for_each_device};
use crate::{DType, Tensor, manual_seed};

#[test]
fn places_in_sorted_rows() {
    for_each_device(|dev| {
        let rows = Tensor::new([[1.0, 3.0, 5.0], [2.0, 2.0, 2.0]], dev)?;
        let values = Tensor::new([[3.0, 0.0], [2.0, f32::NAN]], dev)?;
        assert_eq!(rows.searchsorted(&values, false, None)?.to_vec::<i64>()?, [1, 0, 0, 3]);
        assert_eq!(rows.searchsorted(&values, true, None)?.to_vec::<i64>()?, [2, 0, 3, 3]);
        let one = Tensor::new([5.0, 1.0, 3.0], dev)?;
        let order = one.argsort(0, false)?;
        assert_eq!(one.searchsorted(&values, false, Some(&order))?.to_vec::<i64>()?, [1, 0, 1, 3]);
        assert_eq!(Tensor::new([0i64, 4, 9], dev)?.bucketize(&Tensor::new([1i64, 4], dev)?, false)?.to_vec::<i64>()?, [0, 1, 2]);
        assert!(rows.searchsorted(&Tensor::new([1.0], dev)?, false, None).is_err());
        Ok(())
    });
}

#[test]
fn membership() {
    for_each_device(|dev| {
        let x = Tensor::new([[1i64, 2], [3, 4]], dev)?;
        let others = Tensor::new([4i64, 1, 9], dev)?;
        assert_eq!(x.isin(&others, false)?.to_vec::<bool>()?, [true, false, false, true]);
        assert_eq!(x.isin(&others, true)?.to_vec::<bool>()?, [false, true, true, false]);
        assert_eq!(x.isin(&Tensor::zeros([0], (DType::I64, dev))?, false)?.to_vec::<bool>()?, [false; 4]);
        Ok(())
    });
}

#[test]
fn bins_hold_what_falls_into_them() {
    for_each_device(|dev| {
        let x = Tensor::new([0.0, 0.5, 1.0, 1.5, 2.0, 7.0, f32::NAN], dev)?;
        assert_close(&x.histc(2, 0.0, 2.0)?, &[2.0, 3.0], 0.0, 0.0);
        let edges = Tensor::new([0.0, 1.0, 2.0], dev)?;
        assert_close(&x.histogram(&edges, None, false)?, &[2.0, 3.0], 0.0, 0.0);
        assert_close(&x.histogram(&edges, None, true)?, &[0.4, 0.6], 1e-6, 0.0);
        let n = Tensor::new([0i64, 3, 3], dev)?;
        assert_eq!(n.bincount(None, 6)?.to_vec::<i64>()?, [1, 0, 0, 2, 0, 0]);
        assert_close(&n.bincount(Some(&Tensor::new([0.5, 1.0, 2.0], dev)?), 0)?, &[0.5, 0.0, 0.0, 3.0], 1e-6, 0.0);
        assert!(Tensor::new([-1i64], dev)?.bincount(None, 0).is_err());
        Ok(())
    });
}

#[test]
fn draws_follow_the_weights() {
    for_each_device(|dev| {
        manual_seed(5);
        let p = Tensor::new([[1.0, 0.0, 3.0], [0.0, 2.0, 2.0]], dev)?;
        let drawn = p.multinomial(4000, true)?.to_vec::<i64>()?;
        let share = |row: usize, i: i64| drawn[row * 4000..(row + 1) * 4000].iter().filter(|&&d| d == i).count() as f64 / 4000.0;
        for (row, expected) in [[0.25, 0.0, 0.75], [0.0, 0.5, 0.5]].into_iter().enumerate() {
            for (i, e) in expected.into_iter().enumerate() {
                let got = share(row, i as i64);
                assert!((got - e).abs() < 0.04 && (e > 0.0 || got == 0.0), "on {dev}: {got} of {i} in row {row}, expected {e}");
            }
        }
        let mut pair = p.multinomial(2, false)?.narrow(0, 1, 1)?.contiguous()?.to_vec::<i64>()?;
        pair.sort_unstable();
        assert_eq!(pair, [1, 2]);
        // A GPU reports to whoever reads next, which may be another test.
        assert!(!dev.is_cpu() || Tensor::new([1.0, -1.0], dev)?.multinomial(1, true)?.to_vec::<i64>().is_err());
        assert!(p.multinomial(4, false).is_err());
        Ok(())
    });
}

#[test]
fn absurd_numbers_of_bins_are_refused() -> crate::Result<()> {
    let cpu = crate::Device::cpu();
    let x = Tensor::new([0.0, 1.0], &cpu)?;
    assert!(Tensor::new([i64::MAX], &cpu)?.bincount(None, 0).is_err());
    assert!(x.histc(usize::MAX, 0.0, 1.0).is_err());
    assert!(x.bin_edges(usize::MAX, None).is_err());
    Ok(())
}
