use super::*;
use crate::testing::{assert_close, for_each_device};

#[test]
fn nested_data_gives_its_shape_and_pytorchs_types() -> Result<()> {
    let cpu = Device::cpu();
    let t = Tensor::new([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], &cpu)?;
    assert_eq!((t.shape(), t.dtype()), (&[2, 2, 2][..], DType::I64));
    assert_eq!(t.to_vec::<i64>()?, [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(Tensor::new(2.5, &cpu)?.shape(), [0usize; 0]);
    assert_eq!(Tensor::new(vec![vec![1.5f64; 3]; 2], &cpu)?.dtype(), DType::F32);
    assert_eq!(Tensor::new(&[true, false][..], &cpu)?.dtype(), DType::Bool);
    assert_eq!(Tensor::new(Vec::<f32>::new(), &cpu)?.shape(), [0]);
    assert_eq!(Tensor::new([0.1], (DType::F64, &cpu))?.to_vec::<f64>()?, [0.1]);
    assert_eq!(Tensor::new([300, -1], (DType::U8, &cpu))?.to_vec::<u8>()?, [44, 255]);
    Ok(())
}

#[test]
fn ragged_rows_and_wrong_counts_are_errors() {
    let cpu = Device::cpu();
    assert!(Tensor::new(vec![vec![1.0], vec![1.0, 2.0]], &cpu).is_err());
    assert!(Tensor::from_vec(vec![1.0f32; 5], [2, 3], &cpu).is_err());
    assert!(Tensor::zeros([usize::MAX, 2], &cpu).is_err());
    // Empty, but with strides that cannot be counted.
    assert!(Tensor::zeros([0, 1 << 40, 1 << 40], &cpu).is_err());
    assert!(Tensor::zeros([1 << 40, 1 << 40, 0], &cpu).is_err());
    assert!(Tensor::from_bytes(&[2], DType::Bool, [1], &cpu).is_err());
    assert!(Tensor::arange(0, 10, 0, &cpu).is_err());
    assert!(Tensor::arange(0, 10, -1, &cpu).is_err());
    assert!(Tensor::arange(0.0, f64::INFINITY, 1.0, &cpu).is_err());
}

#[test]
fn sequences_are_exact() {
    for_each_device(|dev| {
        assert_eq!(Tensor::arange(5, -5, -3, dev)?.to_vec::<i64>()?, [5, 2, -1, -4]);
        assert_eq!(Tensor::arange(0, 0, 1, dev)?.shape(), [0]);
        assert_close(&Tensor::arange(0.0, 1.0, 0.25, dev)?, &[0.0, 0.25, 0.5, 0.75], 0.0, 0.0);
        assert_close(&Tensor::linspace(-1.0, 1.0, 5, dev)?, &[-1.0, -0.5, 0.0, 0.5, 1.0], 0.0, 0.0);
        assert_close(&Tensor::linspace(3.0, 9.0, 1, dev)?, &[3.0], 0.0, 0.0);
        assert_close(&Tensor::logspace(0.0, 3.0, 4, 10.0, dev)?, &[1.0, 10.0, 100.0, 1000.0], 1e-5, 0.0);
        assert_close(&Tensor::eye_rect(2, 3, dev)?, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0], 0.0, 0.0);
        assert_close(&Tensor::full([3], 2.5, dev)?, &[2.5; 3], 0.0, 0.0);
        assert_eq!(Tensor::full([2], true, dev)?.to_vec::<bool>()?, [true; 2]);
        assert_eq!(Tensor::ones([2], (DType::U8, dev))?.to_vec::<u8>()?, [1, 1]);
        Ok(())
    });
}
