//! Loops longer than llvmpipe goes round: it ends them all after 65,535 rounds, without a word.

use super::tensor;
use crate::testing::{assert_close, devices};
use crate::{DType, Device, Result, Tensor};

/// The CPU, and software GPUs with the kernels that are meant for them.
fn for_each_software_device(test: impl Fn(&Device) -> Result<()>) {
    for device in devices().iter().filter(|d| d.is_cpu() || d.adapter().software) {
        test(device).unwrap_or_else(|e| panic!("on {device}: {e}"));
    }
}

#[test]
fn products_sum_to_their_end() {
    for_each_software_device(|dev| {
        // A length that no number of pieces divides.
        let k = 270_001;
        let (a, b) = (Tensor::ones([2, k], dev)?, Tensor::ones([k, 3], dev)?);
        assert_close(&a.matmul(&b)?, &[k as f64; 6], 1e-6, 0.0);
        let ints = Tensor::ones([70_000], (DType::I64, dev))?;
        assert_eq!(ints.dot(&ints)?.item::<i64>()?, 70_000);
        Ok(())
    });
}

#[test]
fn convolutions_with_long_kernels_sum_to_their_end() {
    for_each_software_device(|dev| {
        let (x, w) = (Tensor::ones([1, 1, 70_002], dev)?, Tensor::ones([1, 1, 70_000], dev)?);
        x.requires_grad_(true)?;
        let y = x.conv1d(&w, None, 1, 0, 1, 1)?;
        assert_close(&y, &[70_000.0; 3], 1e-6, 0.0);
        y.sum_all()?.backward()?;
        let dx = x.grad().unwrap();
        assert_close(&dx.narrow(2, 0, 3)?, &[1.0, 2.0, 3.0], 0.0, 0.0);
        assert_close(&dx.narrow(2, 69_999, 3)?, &[3.0, 2.0, 1.0], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn attention_sees_the_last_key() {
    for_each_software_device(|dev| {
        // All scores are equal: the result is the mean of the values, and each value's gradient its share.
        let (s, d) = (17_000, 64);
        let q = Tensor::zeros([1, 1, 2, d], dev)?;
        let k = Tensor::ones([1, 1, s, d], dev)?;
        let values: Vec<f64> = (0..s * d).map(|i| if i >= (s - 1) * d { s as f64 } else { 0.0 }).collect();
        let v = tensor(&values, &[1, 1, s, d], dev)?;
        [&q, &k, &v].iter().try_for_each(|t| t.requires_grad_(true).map(|_| ()))?;
        let y = q.scaled_dot_product_attention(&k, &v, None, 0.0, false, None)?;
        assert_close(&y, &vec![1.0; 2 * d], 1e-4, 0.0);
        y.sum_all()?.backward()?;
        assert_close(&v.grad().unwrap(), &vec![2.0 / s as f64; s * d], 1e-4, 0.0);
        // d score = (value of the last key - mean) / s for it: the keys are ones, so all of dq is the sum over keys, which is 0.
        assert_close(&q.grad().unwrap(), &vec![0.0; 2 * d], 0.0, 1e-2);
        Ok(())
    });
}

#[test]
fn windows_are_read_to_their_end() {
    for_each_software_device(|dev| {
        let n = 70_000;
        let x = Tensor::arange(0, n, 1, (DType::F32, dev))?.reshape([1, 1, n])?;
        assert_close(&x.adaptive_max_pool1d(1)?, &[n as f64 - 1.0], 0.0, 0.0);
        assert_close(&x.avg_pool1d(n, 1, 0, false, false)?, &[(n as f64 - 1.0) / 2.0], 1e-4, 0.0);
        // Every element lies in as many windows.
        let y = Tensor::ones([1, 1, 2 * n], dev)?;
        y.requires_grad_(true)?;
        y.avg_pool1d(n, 1, 0, false, false)?.sum_all()?.backward()?;
        assert_close(&y.grad().unwrap().narrow(2, n, 1)?, &[1.0], 1e-3, 0.0);
        Ok(())
    });
}

#[test]
fn running_sums_and_scattered_ones_count_to_their_end() {
    for_each_software_device(|dev| {
        let n = 1_300_000;
        let sums = Tensor::ones([n], dev)?.cumsum(0)?;
        assert_close(&sums.narrow(0, n - 1, 1)?, &[n as f64], 0.0, 0.0);
        let n = 70_000;
        let to = Tensor::zeros([n], (DType::I64, dev))?;
        let counts = Tensor::zeros([2], dev)?.index_add(0, &to, &Tensor::ones([n], dev)?)?;
        assert_close(&counts, &[n as f64, 0.0], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn rows_are_reduced_to_their_end_or_refused() {
    for_each_software_device(|dev| {
        // Several sweeps over what a single one could take.
        let row = |n: usize| Tensor::arange(0, n, 1, (DType::F32, dev))?.ge(n as f64 - 1.0)?.to_dtype(DType::F32);
        for n in [16_383, 50_001, 400_001] {
            let x = row(n)?.expand([9, n])?.contiguous()?;
            let y = x.sub(&x.mean_keepdim([-1])?)?.softmax(-1)?;
            let rest = 1.0 / (n as f64 - 1.0 + 1f64.exp());
            assert_close(&y.narrow(1, n - 2, 2)?.narrow(0, 8, 1)?, &[rest, rest * 1f64.exp()], 1e-4, 0.0);
            assert_eq!(x.argmax(Some(1), false)?.to_vec::<i64>()?, [n as i64 - 1; 9]);
        }
        let long = row(4_300_001)?.softmax(-1).and_then(|y| y.sum_all()?.item::<f32>());
        match long {
            Ok(sum) => assert!((sum - 1.0).abs() < 1e-3, "on {dev}: {sum}"),
            Err(e) => assert!(!dev.is_cpu() && e.to_string().contains("rounds"), "on {dev}: {e}"),
        }
        Ok(())
    });
}
