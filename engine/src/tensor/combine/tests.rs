use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, ScatterReduce, Tensor};

const ALL: [ScatterReduce; 5] = [ScatterReduce::Sum, ScatterReduce::Product, ScatterReduce::Mean, ScatterReduce::Max, ScatterReduce::Min];

#[test]
fn elements_that_meet_combine() {
    for_each_device(|dev| {
        let base = Tensor::new([2.0, 3.0, 5.0], dev)?;
        let index = Tensor::new([0i64, 0, 2, 2], dev)?;
        let src = Tensor::new([4.0, -1.0, 6.0, 0.5], dev)?;
        let with = [[5.0, 3.0, 11.5], [-8.0, 3.0, 15.0], [5.0 / 3.0, 3.0, 11.5 / 3.0], [4.0, 3.0, 6.0], [-1.0, 3.0, 0.5]];
        let without = [[3.0, 3.0, 6.5], [-4.0, 3.0, 3.0], [1.5, 3.0, 3.25], [4.0, 3.0, 6.0], [-1.0, 3.0, 0.5]];
        for (reduce, (with, without)) in ALL.into_iter().zip(with.into_iter().zip(without)) {
            assert_close(&base.scatter_reduce(0, &index, &src, reduce, true)?, &with, 1e-6, 0.0);
            assert_close(&base.scatter_reduce(0, &index, &src, reduce, false)?, &without, 1e-6, 0.0);
            assert_close(&base.index_reduce(0, &index, &src, reduce, true)?, &with, 1e-6, 0.0);
        }
        let ints = Tensor::new([7i64, -3], dev)?;
        let mean = ints.scatter_reduce(0, &Tensor::new([1i64, 1], dev)?, &Tensor::new([-2i64, -2], dev)?, ScatterReduce::Mean, true)?;
        assert_eq!(mean.to_vec::<i64>()?, [7, -3]);
        let bytes = Tensor::from_vec(vec![3u8, 250], [2], dev)?;
        let most =
            bytes.scatter_reduce(0, &Tensor::new([0i64], dev)?, &Tensor::from_vec(vec![9u8], [1], dev)?, ScatterReduce::Max, true)?;
        assert_eq!(most.to_vec::<u8>()?, [9, 250]);
        Ok(())
    });
}

/// Enough indices for the kernel that links equal ones first.
#[test]
fn many_indices_combine_as_few_do() {
    for_each_device(|dev| {
        let n = 500usize;
        let at: Vec<i64> = (0..n as i64).map(|i| i * i % 700).collect();
        let src: Vec<f32> = (0..n).map(|i| 1.0 + ((i * 37) % 100) as f32 / 1000.0).collect();
        for reduce in ALL {
            let mut expected = vec![1.0f64; 700];
            let mut count = vec![1.0; 700];
            for (&i, &v) in at.iter().zip(&src) {
                let (e, v) = (&mut expected[i as usize], v as f64);
                count[i as usize] += 1.0;
                *e = match reduce {
                    ScatterReduce::Sum | ScatterReduce::Mean => *e + v,
                    ScatterReduce::Product => *e * v,
                    ScatterReduce::Max => e.max(v),
                    ScatterReduce::Min => e.min(v),
                };
            }
            if reduce == ScatterReduce::Mean {
                expected.iter_mut().zip(&count).for_each(|(e, c)| *e /= c);
            }
            let (index, src) = (Tensor::from_vec(at.clone(), [n], dev)?, Tensor::from_vec(src.clone(), [n], dev)?);
            assert_close(&Tensor::ones([700], dev)?.scatter_reduce(0, &index, &src, reduce, true)?, &expected, 1e-5, 0.0);
        }
        Ok(())
    });
}

#[test]
fn gradients_of_reductions_by_index() {
    let base = [0.5, -1.25, 0.0, 0.75];
    let src = [1.5, 2.5, 0.7, -0.5, 0.25];
    for reduce in ALL {
        // Nothing is 0 where factors meet, and extrema have no ties.
        for include in [true, false] {
            assert_gradients(&[(&base, &[4]), (&src, &[5])], |t| {
                let index = Tensor::new([0i64, 0, 1, 3, 1], t[0].device())?;
                t[0].scatter_reduce(0, &index, &t[1], reduce, include)
            });
        }
        assert_gradients(&[(&base, &[2, 2]), (&src[1..], &[2, 2])], |t| {
            let index = Tensor::new([1i64, 1], t[0].device())?;
            t[0].index_reduce(1, &index, &t[1], reduce, true)
        });
    }
}

#[test]
fn parts_are_replaced() {
    for_each_device(|dev| {
        let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev)?;
        let mask = Tensor::new([[true, false, true], [false, false, true]], dev)?;
        assert_close(&x.masked_scatter(&mask, &Tensor::new([7.0, 8.0, 9.0, 0.0], dev)?)?, &[7., 2., 8., 4., 5., 9.], 0.0, 0.0);
        // A GPU reports to whoever reads next, which may be another test.
        if dev.is_cpu() {
            assert!(x.masked_scatter(&mask, &Tensor::new([7.0], dev)?)?.to_vec::<f32>().is_err());
            assert!(x.masked_scatter(&mask, &Tensor::zeros([0], dev)?)?.to_vec::<f32>().is_err());
        }
        assert_close(&x.masked_scatter(&x.gt(9)?, &Tensor::zeros([0], dev)?)?, &[1., 2., 3., 4., 5., 6.], 0.0, 0.0);
        let at = Tensor::new([-1i64, 0, 0], dev)?;
        assert_close(&x.put(&at, &Tensor::new([9.0, 1.0, 1.0], dev)?, true)?, &[3., 2., 3., 4., 5., 15.], 0.0, 0.0);
        assert_close(&x.select_scatter(&Tensor::new([0.0, 9.0], dev)?, 1, -1)?, &[1., 2., 0., 4., 5., 9.], 0.0, 0.0);
        assert_close(&x.slice_scatter(&Tensor::zeros([2, 2], dev)?, 1, 0, 9, 2)?, &[0., 2., 0., 0., 5., 0.], 0.0, 0.0);
        assert_close(&x.diagonal_scatter(&Tensor::new([8.0, 9.0], dev)?, 1, 0, 1)?, &[1., 8., 3., 4., 5., 9.], 0.0, 0.0);
        assert!(x.select_scatter(&Tensor::zeros([3], dev)?, 1, 0).is_err());
        assert!(x.as_strided_scatter(&Tensor::zeros([2, 2], dev)?, &[2, 2], &[1, 1], 0).is_err());
        assert_eq!(
            x.to_dtype(DType::I32)?.put(&at, &Tensor::new([9, 1, 1], (DType::I32, dev))?, false)?.to_vec::<i32>()?,
            [1, 2, 3, 4, 5, 9]
        );
        Ok(())
    });
}
