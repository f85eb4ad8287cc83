use super::*;
use crate::testing::for_each_device;

#[test]
fn values_come_back_through_any_view() {
    for_each_device(|dev| {
        let x = Tensor::from_vec((0..24).collect::<Vec<i32>>(), [2, 3, 4], dev)?;
        let v = x.slice(0, 1, 2, 1)?.permute([2, 0, 1])?.flip(0)?;
        assert_eq!(v.to_vec::<i32>()?, [15, 19, 23, 14, 18, 22, 13, 17, 21, 12, 16, 20]);
        assert_eq!(x.select(0, 1)?.select(0, 2)?.select(0, 3)?.item::<f64>()?, 23.0);
        assert_eq!(x.narrow(0, 0, 0)?.to_vec::<i32>()?, [0i32; 0]);
        assert_eq!(pollster::block_on(v.to_vec_async::<i32>())?.len(), 12);
        assert_eq!(pollster::block_on(x.sum_all()?.item_async::<i64>())?, 276);
        assert!(x.to_vec::<f32>().is_err() && x.item::<i32>().is_err());
        Ok(())
    });
}

#[test]
fn conversions_follow_one_rule() {
    for_each_device(|dev| {
        let x = Tensor::new([-1.7, 0.0, 2.9, 300.0, f64::NAN, 1e20, -1e20], dev)?;
        assert_eq!(x.to_dtype(DType::I32)?.to_vec::<i32>()?, [-1, 0, 2, 300, 0, i32::MAX, i32::MIN]);
        assert_eq!(x.to_dtype(DType::Bool)?.to_vec::<bool>()?, [true, false, true, true, true, true, true]);
        assert_eq!(x.to_dtype(DType::U8)?.to_vec::<u8>()?[..5], [255, 0, 2, 44, 0]);
        assert_eq!(x.to_dtype(DType::I8)?.to_vec::<i8>()?[..5], [-1, 0, 2, 44, 0]);
        let i = Tensor::new([-1, 0, 7], dev)?;
        assert_eq!(i.to_dtype(DType::F32)?.to_vec::<f32>()?, [-1.0, 0.0, 7.0]);
        assert_eq!(i.to_dtype(DType::U8)?.to_vec::<u8>()?, [255, 0, 7]);
        assert_eq!(i.to_dtype(DType::F16)?.to_dtype(DType::I64)?.to_vec::<i64>()?, [-1, 0, 7]);
        assert_eq!(i.to_dtype(DType::Bool)?.to_dtype(DType::F32)?.to_vec::<f32>()?, [1.0, 0.0, 1.0]);
        Ok(())
    });
}

#[test]
fn tensors_move_between_devices_and_gradients_come_back() {
    for_each_device(|dev| {
        let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
        x.requires_grad_(true)?;
        x.to(dev)?.mul(3.0)?.to(&Device::cpu())?.sum_all()?.backward()?;
        assert_eq!(x.grad().map(|g| g.to_vec::<f32>()).transpose()?, Some(vec![3.0, 3.0]));
        Ok(())
    });
}

#[test]
fn a_detached_tensor_shares_storage_but_no_gradient() -> Result<()> {
    let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
    let d = x.detach()?;
    d.fill_(5.0)?;
    assert_eq!(x.to_vec::<f32>()?, [5.0, 5.0]);
    x.add_(1.0)?;
    assert_eq!(d.to_vec::<f32>()?, [6.0, 6.0]);
    let p = Tensor::new([1.0], &Device::cpu())?;
    p.requires_grad_(true)?;
    let d = p.detach()?;
    crate::no_grad(|| p.add_(1.0).map(|_| ()))?;
    assert_eq!(d.item::<f32>()?, 2.0);
    assert!(!d.requires_grad() && !d.unsqueeze(0)?.requires_grad());
    d.mul_(2.0)?;
    assert_eq!((p.item::<f32>()?, p.requires_grad()), (4.0, true));
    Ok(())
}

#[test]
fn a_copy_is_independent() -> Result<()> {
    let x = Tensor::new([1.0, 2.0], &Device::cpu())?;
    let (copy, same) = (x.clone_data()?, x.clone());
    x.add_(1.0)?;
    assert_eq!((copy.to_vec::<f32>()?, same.to_vec::<f32>()?), (vec![1.0, 2.0], vec![2.0, 3.0]));
    let y = Tensor::zeros([2, 2], &Device::cpu())?;
    y.copy_(&Tensor::new([1, 2], &Device::cpu())?)?;
    assert_eq!(y.to_vec::<f32>()?, [1.0, 2.0, 1.0, 2.0]);
    assert!(y.copy_(&Tensor::zeros([3], &Device::cpu())?).is_err());
    Ok(())
}
