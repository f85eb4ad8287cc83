use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Result, Tensor};

fn wave(shape: &[usize], device: &Device) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| (i as f32 * 1.7).sin() * 3.0).collect(), shape, device)
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let e: Vec<f64> = row.iter().map(|v| (v - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.iter().map(|v| v / sum).collect()
}

#[test]
fn softmax_of_rows_columns_and_large_values() {
    for_each_device(|dev| {
        let x = wave(&[3, 5], dev)?;
        let data: Vec<f64> = x.to_vec::<f32>()?.iter().map(|&v| v as f64).collect();
        let rows: Vec<f64> = data.chunks(5).flat_map(softmax).collect();
        assert_close(&x.softmax(-1)?, &rows, 1e-5, 1e-7);
        assert_close(&x.log_softmax(1)?, &rows.iter().map(|p| p.ln()).collect::<Vec<_>>(), 1e-5, 1e-6);
        assert_close(&x.t()?.softmax(0)?.t()?, &rows, 1e-5, 1e-7);
        let far = Tensor::new([1000.0, 1001.0, -1000.0], dev)?;
        assert_close(&far.softmax(0)?, &softmax(&[0.0, 1.0, -2000.0]), 1e-6, 0.0);
        assert_close(&far.logsumexp(0)?, &[1001.0 + (1.0 + (-1.0f64).exp()).ln()], 1e-6, 0.0);
        assert_close(&Tensor::full([2, 3], f32::NEG_INFINITY, (DType::F32, dev))?.logsumexp(1)?, &[f64::NEG_INFINITY; 2], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn the_gradient_of_a_masked_row_is_exact() {
    for_each_device(|dev| {
        let x = Tensor::new([[f32::NEG_INFINITY, 2.0, f32::NEG_INFINITY], [1.0, 2.0, 3.0]], dev)?;
        x.requires_grad_(true)?;
        let w = Tensor::new([[1.0, 2.0, 3.0], [1.0, 0.0, 0.0]], dev)?;
        x.softmax(1)?.mul(&w)?.sum_all()?.backward()?;
        let p = softmax(&[1.0, 2.0, 3.0]);
        let expected = [0.0, 0.0, 0.0, p[0] * (1.0 - p[0]), -p[1] * p[0], -p[2] * p[0]];
        assert_close(&x.grad().unwrap(), &expected, 1e-5, 1e-7);
        Ok(())
    });
}

#[test]
fn layer_norm_and_its_parameters() {
    for_each_device(|dev| {
        let x = wave(&[2, 3, 4], dev)?;
        let y = x.layer_norm(&[3, 4], None, None, 1e-5)?;
        assert_close(&y.mean([1, 2])?, &[0.0, 0.0], 0.0, 1e-6);
        assert_close(&y.var([1, 2], 0.0)?, &[1.0, 1.0], 1e-4, 0.0);
        let (w, b) = (Tensor::full([3, 4], 2.0, (DType::F32, dev))?, Tensor::full([3, 4], 1.0, (DType::F32, dev))?);
        let z = x.layer_norm(&[3, 4], Some(&w), Some(&b), 1e-5)?;
        let expected: Vec<f64> = y.to_vec::<f32>()?.iter().map(|&v| v as f64 * 2.0 + 1.0).collect();
        assert_close(&z, &expected, 1e-5, 1e-6);
        assert!(x.layer_norm(&[4, 3], None, None, 1e-5).is_err());
        Ok(())
    });
}

#[test]
fn batch_norm_moves_the_running_statistics() {
    for_each_device(|dev| {
        let x = wave(&[4, 2, 3], dev)?;
        let (mean, var) = (Tensor::zeros([2], (DType::F32, dev))?, Tensor::ones([2], (DType::F32, dev))?);
        let y = x.batch_norm(Some((&mean, &var)), None, None, true, 0.1, 1e-5)?;
        assert_close(&y.mean([0, 2])?, &[0.0; 2], 0.0, 1e-6);
        let m: Vec<f64> = x.mean([0, 2])?.to_vec::<f32>()?.iter().map(|&v| v as f64 * 0.1).collect();
        assert_close(&mean, &m, 1e-5, 1e-7);
        let v: Vec<f64> = x.var([0, 2], 1.0)?.to_vec::<f32>()?.iter().map(|&v| v as f64 * 0.1 + 0.9).collect();
        assert_close(&var, &v, 1e-5, 1e-7);
        let z = x.batch_norm(Some((&mean, &var)), None, None, false, 0.1, 1e-5)?;
        assert_eq!(z.shape(), [4, 2, 3]);
        assert!(wave(&[1, 2], dev)?.batch_norm(None, None, None, true, 0.1, 1e-5).is_err());
        Ok(())
    });
}

#[test]
fn gradients_to_second_order() {
    let x: Vec<f64> = (0..12).map(|i| (i as f64 * 1.37).sin() + 0.1).collect();
    let w: Vec<f64> = (0..4).map(|i| 0.5 + i as f64 * 0.3).collect();
    let check = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_gradients(&[(&x, &[3, 4])], |t| f(&t[0]));
    check(&|t| t.softmax(1));
    check(&|t| t.softmax(0)?.square());
    check(&|t| t.log_softmax(-1));
    check(&|t| t.logsumexp([0, 1]));
    check(&|t| t.logsumexp(1)?.square());
    assert_gradients(&[(&x, &[3, 4]), (&w, &[4]), (&w, &[4])], |t| t[0].layer_norm(&[4], Some(&t[1]), Some(&t[2]), 1e-3)?.square());
    assert_gradients(&[(&x, &[3, 4]), (&w, &[4])], |t| t[0].batch_norm(None, Some(&t[1]), None, true, 0.1, 1e-3)?.square());
    assert_gradients(&[(&x, &[1, 4, 3]), (&w, &[4])], |t| t[0].group_norm(2, Some(&t[1]), None, 1e-3)?.square());
}
