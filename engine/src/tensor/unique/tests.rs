use crate::testing::for_each_device;
use crate::{DType, Tensor};

#[test]
fn distinct_elements_and_slices() {
    for_each_device(|dev| {
        let x = Tensor::new([[2i64, 1], [2, 1], [1, 2]], dev)?;
        let all = x.unique(None)?;
        assert_eq!(all.values.to_vec::<i64>()?, [1, 2]);
        assert_eq!((all.inverse.shape(), all.inverse.to_vec::<i64>()?), (&[3usize, 2][..], vec![1, 0, 1, 0, 0, 1]));
        assert_eq!(all.counts.to_vec::<i64>()?, [3, 3]);
        let rows = x.unique(Some(0))?;
        assert_eq!(rows.values.to_vec::<i64>()?, [1, 2, 2, 1]);
        assert_eq!((rows.inverse.to_vec::<i64>()?, rows.counts.to_vec::<i64>()?), (vec![1, 1, 0], vec![1, 2]));
        let runs = Tensor::new([1.0, 1.0, 2.0, 1.0, f32::NAN, f32::NAN], dev)?.unique_consecutive(None)?;
        assert_eq!(runs.counts.to_vec::<i64>()?, [2, 1, 1, 1, 1]);
        assert_eq!(Tensor::zeros([0], (DType::F32, dev))?.unique(None)?.values.shape(), [0]);
        assert!(Tensor::zeros([0, 3], (DType::F32, dev))?.unique(Some(1)).is_err());
        Ok(())
    });
}
