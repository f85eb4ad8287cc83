use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Result, Tensor, no_grad};

fn count(shape: &[usize], device: &Device) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| i as f32).collect(), shape, device)
}

fn values(t: &Tensor) -> Result<Vec<f32>> {
    t.to_vec::<f32>()
}

#[test]
fn views_read_the_elements_they_name() {
    for_each_device(|dev| {
        let x = count(&[2, 3, 4], dev)?;
        assert_close(&x.permute([2, 0, 1])?.reshape([-1])?.narrow(0, 0, 6)?, &[0., 4., 8., 12., 16., 20.], 0.0, 0.0);
        assert_close(&x.transpose(0, -1)?.select(0, 1)?, &[1., 13., 5., 17., 9., 21.], 0.0, 0.0);
        assert_close(&x.slice(1, -2, isize::MAX, 1)?.slice(2, 1, 100, 2)?, &[5., 7., 9., 11., 17., 19., 21., 23.], 0.0, 0.0);
        assert_close(&x.flip([0, 2])?.select(1, 0)?, &[15., 14., 13., 12., 3., 2., 1., 0.], 0.0, 0.0);
        assert_close(&count(&[5], dev)?.unfold(0, 3, 1)?, &[0., 1., 2., 1., 2., 3., 2., 3., 4.], 0.0, 0.0);
        assert_close(&x.diagonal(1, 1, 2)?, &[1., 6., 11., 13., 18., 23.], 0.0, 0.0);
        assert_close(&x.as_strided(&[2, 2], &[-1, 5], 3)?, &[3., 8., 2., 7.], 0.0, 0.0);
        assert_eq!(x.movedim(0, -1)?.shape(), [3, 4, 2]);
        assert_eq!(x.movedim([0, 1], [2, 0])?.shape(), [3, 4, 2]);
        assert_eq!(x.unflatten(-1, [2, -1])?.shape(), [2, 3, 2, 2]);
        assert_eq!(x.unsqueeze(-1)?.squeeze(..)?.shape(), [2, 3, 4]);
        assert_eq!(x.flatten(1, -1)?.shape(), [2, 12]);
        assert_eq!(count(&[1, 3], dev)?.expand([2, -1, 3])?.shape(), [2, 1, 3]);
        let parts = x.split(3, 2)?;
        assert_eq!(parts.iter().map(|p| p.shape()[2]).collect::<Vec<_>>(), [3, 1]);
        assert_eq!(x.chunk(3, -1)?.len(), 2);
        assert_eq!(x.unbind(1)?[2].shape(), [2, 4]);
        Ok(())
    });
}

#[test]
fn reshape_after_permute_copies_and_view_refuses() {
    for_each_device(|dev| {
        let x = count(&[2, 3], dev)?;
        let y = x.t()?.reshape([6])?;
        assert_close(&y, &[0., 3., 1., 4., 2., 5.], 0.0, 0.0);
        assert!(x.t()?.view([6]).is_err());
        // A slice of rows splits and merges without a copy.
        let z = count(&[4, 6], dev)?.slice(0, 1, 3, 1)?.view([2, 2, 3])?.view([4, 3])?;
        assert_close(&z.select(0, 3)?, &[15., 16., 17.], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn writing_to_a_view_writes_to_its_base_and_to_other_views() {
    for_each_device(|dev| {
        let x = count(&[2, 3], dev)?;
        let row = x.select(0, 1)?;
        let reversed = x.flip(1)?;
        let element = row.narrow(0, 2, 1)?;
        element.replace(&Tensor::full([1], 50.0, (DType::F32, dev))?)?;
        assert_eq!(values(&x)?, [0., 1., 2., 3., 4., 50.]);
        assert_eq!(values(&row)?, [3., 4., 50.]);
        assert_eq!(values(&reversed)?, [2., 1., 0., 50., 4., 3.]);
        reversed.select(0, 0)?.replace(&Tensor::full([3], 7.0, (DType::F32, dev))?)?;
        assert_eq!(values(&x)?, [7., 7., 7., 3., 4., 50.]);
        // What was read before stays as it was.
        let before = x.add(1.0)?;
        x.t()?.replace(&Tensor::zeros([3, 2], (DType::F32, dev))?)?;
        assert_eq!(values(&before)?, [8., 8., 8., 4., 5., 51.]);
        assert_eq!(values(&row)?, [0.; 3]);
        Ok(())
    });
}

#[test]
fn an_expanded_tensor_refuses_writes() {
    let x = count(&[1, 2], &Device::cpu()).unwrap();
    let wide = x.expand([3, 2]).unwrap();
    assert!(wide.replace(&Tensor::zeros([3, 2], (DType::F32, x.device())).unwrap()).is_err());
}

#[test]
fn gradients_flow_through_writes_to_views() {
    for_each_device(|dev| {
        let w = Tensor::from_vec(vec![2.0f32, 3.0], [2], dev)?;
        w.requires_grad_(true)?;
        let x = count(&[2, 2], dev)?;
        let row = x.select(0, 0)?;
        row.replace(&w.mul(10.0)?)?;
        x.mul(&x)?.sum_all()?.backward()?;
        assert_close(&w.grad().unwrap(), &[400., 600.], 1e-6, 0.0);
        Ok(())
    });
}

#[test]
fn gradients_of_views() {
    let x: Vec<f64> = (0..24).map(|i| (i as f64 * 0.37).sin()).collect();
    let check = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_gradients(&[(&x, &[2, 3, 4])], |t| f(&t[0])?.square());
    check(&|t| t.permute([2, 0, 1]));
    check(&|t| t.reshape([4, 6]));
    check(&|t| t.transpose(0, 2)?.reshape([8, 3]));
    check(&|t| t.slice(2, 1, 4, 2));
    check(&|t| t.flip([0, 2]));
    check(&|t| t.unsqueeze(1)?.expand([2, 5, 3, 4]));
    check(&|t| t.select(1, -1));
    check(&|t| t.unfold(2, 3, 1));
    check(&|t| t.unfold(1, 2, 1)?.unfold(2, 2, 2));
    check(&|t| t.as_strided(&[3, 4], &[2, 3], 1));
    check(&|t| t.diagonal(-1, 2, 0));
    check(&|t| t.squeeze(..)?.contiguous());
    check(&|t| t.narrow(0, 1, 0)?.sum(1)?.add(&t.sum(1)?.narrow(0, 0, 1)?));
}

#[test]
fn errors_name_what_came() {
    let x = count(&[2, 3], &Device::cpu()).unwrap();
    let text = |r: Result<Tensor>| r.unwrap_err().to_string();
    assert_eq!(text(x.reshape([4, 2])), "reshape: [2, 3] does not fit [4, 2]: 6 elements, not 8");
    assert_eq!(text(x.reshape([-1, -1])), "reshape: [2, 3] does not fit [-1, -1]: only one size can be -1");
    assert_eq!(text(x.select(1, 3)), "select: index 3 is out of range for dimension 1 of size 3");
    assert_eq!(text(x.narrow(0, 1, usize::MAX)), format!("narrow: {} elements from 1 on reach past dimension 0 of size 2", usize::MAX));
    assert_eq!(text(x.expand([5, 3])), "expand: [2, 3] does not broadcast to [5, 3]");
    assert!(text(x.permute([0, 0])).contains("named twice"));
    assert!(text(x.permute([0])).starts_with("permute: 1 dimensions"));
    assert!(x.reshape([isize::MAX, isize::MAX]).is_err());
    assert!(x.expand([isize::MAX, isize::MAX, 2, 3]).is_err());
    assert!(x.as_strided(&[usize::MAX, 2], &[isize::MAX, 1], usize::MAX).is_err());
    assert!(x.slice(0, 0, 2, 0).is_err());
    assert!(x.slice(0, isize::MIN, isize::MAX, isize::MAX).is_ok());
    assert!(x.unfold(1, 4, 1).is_err());
    assert!(x.diagonal(0, 1, 1).is_err());
    assert!(x.repeat([usize::MAX, 2]).is_err());
    assert!(x.split(0, 0).is_err());
    assert!(x.select(0, isize::MIN).is_err());
    assert!(Tensor::zeros([], (DType::F32, &Device::cpu())).unwrap().select(0, 0).is_err());
}

#[test]
fn a_view_taken_without_gradients_follows_a_base_that_gets_one() {
    let w = Tensor::from_vec(vec![1.0f32, 2.0], [2], &Device::cpu()).unwrap();
    w.requires_grad_(true).unwrap();
    let view = w.reshape([1, 2]).unwrap();
    no_grad(|| w.replace(&Tensor::from_vec(vec![5.0f32, 6.0], [2], &Device::cpu())?)).unwrap();
    let y = view.square().unwrap().sum_all().unwrap();
    y.backward().unwrap();
    assert_eq!(values(&w.grad().unwrap()).unwrap(), [10., 12.]);
}
