use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Result, Tensor};

fn count(shape: &[usize], device: &Device) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| i as f32).collect(), shape, device)
}

#[test]
fn cat_and_stack_join_in_order() {
    for_each_device(|dev| {
        let (a, b) = (count(&[2, 2], dev)?, count(&[2, 1], dev)?);
        assert_close(&Tensor::cat(&[&a, &b, &a.t()?], 1)?, &[0., 1., 0., 0., 2., 2., 3., 1., 1., 3.], 0.0, 0.0);
        assert_close(&Tensor::stack(&[&a, &a.mul(10.0)?], -1)?, &[0., 0., 1., 10., 2., 20., 3., 30.], 0.0, 0.0);
        let ints = a.to_dtype(DType::I64)?;
        assert_eq!(Tensor::cat(&[&ints, &a], 0)?.dtype(), DType::F32);
        assert_eq!(Tensor::cat(&[&ints, &ints], 0)?.to_vec::<i64>()?, [0, 1, 2, 3, 0, 1, 2, 3]);
        assert_eq!(Tensor::cat(&[&count(&[0], dev)?, &a], 1)?.shape(), [2, 2]);
        assert!(Tensor::cat(&[&a, &b], 0).is_err());
        assert!(Tensor::cat::<Tensor>(&[], 0).is_err());
        Ok(())
    });
}

#[test]
fn half_precision_joins_at_odd_places() {
    for_each_device(|dev| {
        let a = count(&[3], dev)?.to_dtype(DType::F16)?;
        let b = count(&[5], dev)?.to_dtype(DType::F16)?;
        assert_close(&Tensor::cat(&[&a, &b, &a], 0)?, &[0., 1., 2., 0., 1., 2., 3., 4., 0., 1., 2.], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn pad_in_all_modes() {
    for_each_device(|dev| {
        let x = count(&[1, 4], dev)?;
        assert_close(&x.pad([1, 2], "constant", 9.0)?, &[9., 0., 1., 2., 3., 9., 9.], 0.0, 0.0);
        assert_close(&x.pad([-1, 1], "constant", 9.0)?, &[1., 2., 3., 9.], 0.0, 0.0);
        assert_close(&x.pad([1, 0, 0, 1], "constant", 9.0)?, &[9., 0., 1., 2., 3., 9., 9., 9., 9., 9.], 0.0, 0.0);
        assert_close(&x.pad([2, 3], "reflect", 0)?, &[2., 1., 0., 1., 2., 3., 2., 1., 0.], 0.0, 0.0);
        assert_close(&x.pad([2, 1], "replicate", 0)?, &[0., 0., 0., 1., 2., 3., 3.], 0.0, 0.0);
        assert_close(&x.pad([1, 2], "circular", 0)?, &[3., 0., 1., 2., 3., 0., 1.], 0.0, 0.0);
        assert!(x.pad([4, 0], "reflect", 0).is_err());
        assert!(x.pad([1], "constant", 0).is_err());
        assert!(x.pad([1, 1], "mirror", 0).is_err());
        assert!(x.pad([isize::MAX, isize::MAX], "constant", 0).is_err());
        Ok(())
    });
}

#[test]
fn repeating_rolling_and_triangles() {
    for_each_device(|dev| {
        let x = count(&[2, 2], dev)?;
        assert_close(&x.repeat([1, 2])?, &[0., 1., 0., 1., 2., 3., 2., 3.], 0.0, 0.0);
        assert_eq!(x.repeat([2, 1, 3])?.shape(), [2, 2, 6]);
        assert_close(&x.repeat_interleave(2, 1)?, &[0., 0., 1., 1., 2., 2., 3., 3.], 0.0, 0.0);
        assert_close(&count(&[5], dev)?.roll(2, 0)?, &[3., 4., 0., 1., 2.], 0.0, 0.0);
        assert_close(&count(&[2, 3], dev)?.roll([1, -1], [0, 1])?, &[4., 5., 3., 1., 2., 0.], 0.0, 0.0);
        let m = count(&[3, 3], dev)?.add(1.0)?;
        assert_close(&m.tril(0)?, &[1., 0., 0., 4., 5., 0., 7., 8., 9.], 0.0, 0.0);
        assert_close(&m.triu(1)?, &[0., 2., 3., 0., 0., 6., 0., 0., 0.], 0.0, 0.0);
        assert_close(&count(&[2], dev)?.add(1.0)?.diag_embed(1, 0, 1)?, &[0., 1., 0., 0., 0., 2., 0., 0., 0.], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn gradients_of_joins() {
    let x: Vec<f64> = (0..6).map(|i| (i as f64 * 0.37).sin()).collect();
    assert_gradients(&[(&x, &[2, 3]), (&x, &[2, 3])], |t| Tensor::cat(&[&t[0], &t[1].square()?], 1)?.square());
    assert_gradients(&[(&x, &[2, 3]), (&x, &[2, 3])], |t| Tensor::stack(&[&t[0], &t[1]], 1)?.square());
    for mode in ["constant", "reflect", "replicate", "circular"] {
        assert_gradients(&[(&x, &[2, 3])], |t| t[0].pad([2, 1, 1, 0], mode, 0.5)?.square());
    }
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].pad([-1, 1], "constant", 0.5)?.square());
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].roll([1, 1], [0, 1])?.repeat([2, 2])?.square());
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].tril(0)?.square()?.add(&t[0].repeat_interleave(2, 0)?.narrow(0, 1, 2)?));
    assert_gradients(&[(&x, &[2, 3])], |t| t[0].diag_embed(-1, 0, 2)?.square());
}
