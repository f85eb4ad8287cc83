use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Result, Tensor};

const X: [[f32; 4]; 3] = [[1.0, -2.0, 3.0, 0.5], [4.0, 4.0, -1.0, 2.0], [0.0, -3.0, -3.0, 7.0]];

fn x(device: &Device) -> Result<Tensor> {
    Tensor::new(X, device)
}

#[test]
fn sums_and_products_along_any_dimensions() {
    for_each_device(|dev| {
        let x = x(dev)?;
        assert_close(&x.sum(0)?, &[5.0, -1.0, -1.0, 9.5], 1e-6, 0.0);
        assert_close(&x.sum(-1)?, &[2.5, 9.0, 1.0], 1e-6, 0.0);
        assert_close(&x.sum(..)?, &[12.5], 1e-6, 0.0);
        assert_eq!(x.sum_keepdim([0, 1])?.shape(), [1, 1]);
        assert_close(&x.prod(1)?, &[-3.0, -32.0, 0.0], 1e-6, 0.0);
        assert_close(&x.t()?.sum(0)?, &[2.5, 9.0, 1.0], 1e-6, 0.0);
        let cube = Tensor::from_vec((0..24).map(|i| i as f32).collect::<Vec<f32>>(), [2, 3, 4], dev)?;
        assert_close(&cube.sum([0, 2])?, &[60., 92., 124.], 1e-6, 0.0);
        assert_close(&cube.sum(1)?, &[12., 15., 18., 21., 48., 51., 54., 57.], 1e-6, 0.0);
        assert_close(&cube.permute([1, 2, 0])?.amax([0, 2])?, &[20., 21., 22., 23.], 0.0, 0.0);
        assert_close(&Tensor::zeros([2, 0], (DType::F32, dev))?.sum(1)?, &[0., 0.], 0.0, 0.0);
        assert_close(&Tensor::zeros([0, 2], (DType::F32, dev))?.prod(0)?, &[1., 1.], 0.0, 0.0);
        assert_close(&Tensor::full([], 3.0, (DType::F32, dev))?.sum(0)?, &[3.0], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn integers_and_bools_add_up_as_i64() {
    for_each_device(|dev| {
        let t = Tensor::from_vec(vec![200u8, 100, 50], [3], dev)?;
        assert_eq!(t.sum(..)?.dtype(), DType::I64);
        assert_eq!(t.sum(..)?.to_vec::<i64>()?, [350]);
        let b = Tensor::from_vec(vec![true, false, true], [3], dev)?;
        assert_eq!(b.sum(..)?.to_vec::<i64>()?, [2]);
        assert_eq!(b.amax(..)?.to_vec::<bool>()?, [true]);
        assert!(t.mean(..).is_err());
        Ok(())
    });
}

#[test]
fn extrema_and_their_positions() {
    for_each_device(|dev| {
        let x = x(dev)?;
        let (v, at) = x.max(1)?;
        assert_close(&v, &[3.0, 4.0, 7.0], 0.0, 0.0);
        assert_eq!(at.to_vec::<i64>()?, [2, 0, 3]);
        let (v, at) = x.min(0)?;
        assert_close(&v, &[0.0, -3.0, -3.0, 0.5], 0.0, 0.0);
        assert_eq!(at.to_vec::<i64>()?, [2, 2, 2, 0]);
        assert_eq!(x.argmax(None, false)?.to_vec::<i64>()?, [11]);
        assert_eq!(x.argmin(None, true)?.shape(), [1, 1]);
        assert_eq!(x.argmin(Some(1), false)?.to_vec::<i64>()?, [1, 2, 1]);
        assert_eq!(x.t()?.argmax(None, false)?.to_vec::<i64>()?, [11]);
        let nan = Tensor::new([1.0, f32::NAN, 5.0, f32::NAN], dev)?;
        assert_eq!(nan.argmax(None, false)?.to_vec::<i64>()?, [1]);
        assert_close(&nan.amin(..)?, &[f64::NAN], 0.0, 0.0);
        assert!(Tensor::zeros([2, 0], (DType::F32, dev))?.amax(1).is_err());
        assert_eq!(Tensor::zeros([0, 2], (DType::F32, dev))?.amax(1)?.shape(), [0]);
        Ok(())
    });
}

#[test]
fn any_all_and_counts() {
    for_each_device(|dev| {
        let x = Tensor::new([[0.0, 0.0, 0.0], [0.0, 2.0, f32::NAN], [1.0, 1.0, 1.0]], dev)?;
        assert_eq!(x.any(1)?.to_vec::<bool>()?, [false, true, true]);
        assert_eq!(x.all(1)?.to_vec::<bool>()?, [false, false, true]);
        assert_eq!(x.any(..)?.to_vec::<bool>()?, [true]);
        assert_eq!(x.count_nonzero(0)?.to_vec::<i64>()?, [1, 2, 2]);
        Ok(())
    });
}

#[test]
fn variance_is_exact_far_from_zero() {
    for_each_device(|dev| {
        let t = Tensor::new([10000.0, 10001.0, 10002.0], dev)?;
        assert_close(&t.var(0, 1.0)?, &[1.0], 1e-6, 0.0);
        assert_close(&t.std(0, 0.0)?, &[(2.0f64 / 3.0).sqrt()], 1e-6, 0.0);
        assert_close(&Tensor::new([5.0], dev)?.var(0, 1.0)?, &[f64::NAN], 0.0, 0.0);
        let (v, m) = x(dev)?.var_mean(1, 0.0)?;
        assert_close(&m, &[0.625, 2.25, 0.25], 1e-6, 0.0);
        assert_close(&v, &[3.171875, 4.1875, 16.6875], 1e-6, 0.0);
        assert_close(&x(dev)?.mean([0, 1])?, &[12.5 / 12.0], 1e-6, 0.0);
        Ok(())
    });
}

#[test]
fn half_precision_sums_in_single() {
    for_each_device(|dev| {
        let t = Tensor::full([4096], 1.0, (DType::F16, dev))?;
        assert_close(&t.sum(..)?, &[4096.0], 0.0, 0.0);
        assert_close(&t.mul(40.0)?.mean(..)?, &[40.0], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn norms() {
    for_each_device(|dev| {
        let t = Tensor::new([[3.0, -4.0], [0.0, 0.0]], dev)?;
        assert_close(&t.norm(2.0, 1, false)?, &[5.0, 0.0], 1e-6, 0.0);
        assert_close(&t.norm(1.0, 1, false)?, &[7.0, 0.0], 1e-6, 0.0);
        assert_close(&t.norm(f64::INFINITY, .., true)?, &[4.0], 1e-6, 0.0);
        assert_close(&t.norm(0.0, .., false)?, &[2.0], 1e-6, 0.0);
        assert_close(&t.norm(3.0, 1, false)?, &[91f64.cbrt(), 0.0], 1e-5, 0.0);
        t.requires_grad_(true)?;
        t.norm(2.0, 1, false)?.sum_all()?.backward()?;
        assert_close(&t.grad().unwrap(), &[0.6, -0.8, 0.0, 0.0], 1e-6, 0.0);
        Ok(())
    });
}

#[test]
fn ties_share_the_gradient_of_amax_but_not_of_max() {
    for_each_device(|dev| {
        let t = Tensor::new([[1.0, 5.0, 5.0], [2.0, 0.0, 1.0]], dev)?;
        t.requires_grad_(true)?;
        t.amax(1)?.sum_all()?.backward()?;
        assert_close(&t.grad().unwrap(), &[0., 0.5, 0.5, 1., 0., 0.], 0.0, 0.0);
        let u = Tensor::new([[1.0, 5.0, 5.0], [2.0, 0.0, 1.0]], dev)?;
        u.requires_grad_(true)?;
        u.max(1)?.0.sum_all()?.backward()?;
        assert_close(&u.grad().unwrap(), &[0., 1., 0., 1., 0., 0.], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn the_gradient_of_a_product_is_exact_around_zeros() {
    for_each_device(|dev| {
        let t = Tensor::new([[2.0, 3.0, 4.0], [2.0, 0.0, 4.0], [0.0, 0.0, 4.0]], dev)?;
        t.requires_grad_(true)?;
        t.prod(1)?.sum_all()?.backward()?;
        assert_close(&t.grad().unwrap(), &[12., 8., 6., 0., 8., 0., 0., 0., 0.], 1e-6, 0.0);
        Ok(())
    });
    assert_gradients(&[(&[2.0, 3.0, 0.0, 4.0, 0.0, 1.5, -1.0, 0.5], &[2, 4])], |t| t[0].prod(1));
    assert_gradients(&[(&[2.0, 3.0, 0.0, 4.0, 0.0, 1.5, -1.0, 0.5], &[2, 2, 2])], |t| t[0].prod([0, 2])?.add(&t[0].prod(1)?.sum(0)?));
}

/// llvmpipe ends loops after 65,535 rounds.
#[test]
fn long_rows_are_read_to_their_end() {
    for_each_device(|dev| {
        for rows in [1, 20] {
            let x = Tensor::ones([rows, 301_000], dev)?;
            assert_close(&x.sum(1)?, &vec![301_000.0; rows], 1e-6, 0.0);
            let y = x.add(&Tensor::arange(0, 301_000, 1, (DType::F32, dev))?)?;
            assert_close(&y.amax(1)?, &vec![301_000.0; rows], 0.0, 0.0);
            assert_close(&y.softmax(1)?.sum(1)?, &vec![1.0; rows], 1e-5, 0.0);
        }
        Ok(())
    });
}

#[test]
fn gradients_of_reductions() {
    let x: Vec<f64> = (0..12).map(|i| (i as f64 * 1.37).sin() + 0.1).collect();
    let check = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_gradients(&[(&x, &[3, 4])], |t| f(&t[0])?.square());
    check(&|t| t.sum(0));
    check(&|t| t.mean([0, 1]));
    check(&|t| t.amax(1));
    check(&|t| Ok(t.min(0)?.0));
    check(&|t| t.var(1, 1.0));
    check(&|t| t.std(0, 0.0));
    check(&|t| t.norm(2.0, 1, true));
    check(&|t| t.norm(3.0, 0, false));
    check(&|t| t.norm(0.5, 0, false));
    check(&|t| t.norm(f64::INFINITY, 1, false));
}

#[test]
fn errors_name_what_came() {
    let x = x(&Device::cpu()).unwrap();
    assert_eq!(x.sum(2).unwrap_err().to_string(), "sum: dimension 2 is out of range for 2 dimensions (expected -2 to 1)");
    assert!(x.sum([0, -2]).unwrap_err().to_string().contains("named twice"));
    assert!(x.max(isize::MIN).is_err());
}
