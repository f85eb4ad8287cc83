use crate::testing::{assert_close, for_each_device};
use crate::{DType, Indexing, Tensor, masked};

#[test]
fn stacks_and_pieces() {
    for_each_device(|dev| {
        let (a, b) = (Tensor::new([1.0, 2.0], dev)?, Tensor::new([3.0, 4.0], dev)?);
        assert_eq!(Tensor::hstack(&[&a, &b])?.shape(), [4]);
        assert_close(&Tensor::vstack(&[&a, &b])?, &[1., 2., 3., 4.], 0.0, 0.0);
        assert_close(&Tensor::column_stack(&[&a, &b])?, &[1., 3., 2., 4.], 0.0, 0.0);
        assert_eq!(Tensor::dstack(&[&a, &b])?.shape(), [1, 2, 2]);
        assert_close(&Tensor::block_diag(&[&a, &b])?, &[1., 2., 0., 0., 0., 0., 3., 4.], 0.0, 0.0);
        let x = Tensor::arange(0, 7, 1, (DType::I64, dev))?;
        let sizes = |parts: Vec<Tensor>| parts.iter().map(Tensor::numel).collect::<Vec<_>>();
        assert_eq!(sizes(x.tensor_split(3, 0)?), [3, 2, 2]);
        assert_eq!(sizes(x.tensor_split_at(&[2, -1, 20], 0)?), [2, 4, 1, 0]);
        let repeats = Tensor::new([2i64, 0], dev)?;
        assert_close(&a.repeat_interleave_each(&repeats, 0)?, &[1., 1.], 0.0, 0.0);
        assert!(a.repeat_interleave_each(&Tensor::new([-1i64], dev)?, 0).is_err());
        assert!(Tensor::hstack::<Tensor>(&[]).is_err());
        Ok(())
    });
}

#[test]
fn turns_grids_and_triangles() {
    for_each_device(|dev| {
        let x = Tensor::new([[1i64, 2], [3, 4]], dev)?;
        assert_eq!(x.rot90(1, 0, 1)?.to_vec::<i64>()?, [2, 4, 1, 3]);
        assert_eq!(x.rot90(-1, 0, 1)?.to_vec::<i64>()?, [3, 1, 4, 2]);
        assert_eq!(x.rot90(2, 0, 1)?.to_vec::<i64>()?, [4, 3, 2, 1]);
        assert!(x.rot90(1, 1, -1).is_err());
        let (a, b) = (Tensor::new([1i64, 2], dev)?, Tensor::new([3i64, 4, 5], dev)?);
        let grid = Tensor::meshgrid(&[&a, &b], Indexing::Xy)?;
        assert_eq!((grid[0].shape(), grid[0].contiguous()?.to_vec::<i64>()?), (&[3usize, 2][..], vec![1, 2, 1, 2, 1, 2]));
        assert_eq!(Tensor::cartesian_prod(&[&a, &a])?.to_vec::<i64>()?, [1, 1, 1, 2, 2, 1, 2, 2]);
        assert_eq!(b.combinations(2, false)?.to_vec::<i64>()?, [3, 4, 3, 5, 4, 5]);
        assert_eq!(a.combinations(2, true)?.to_vec::<i64>()?, [1, 1, 1, 2, 2, 2]);
        assert_eq!(a.combinations(3, false)?.shape(), [0, 3]);
        assert_eq!(Tensor::tril_indices(2, 3, 0, dev)?.to_vec::<i64>()?, [0, 1, 1, 0, 0, 1]);
        assert_eq!(Tensor::triu_indices(2, 3, 1, dev)?.to_vec::<i64>()?, [0, 0, 1, 1, 2, 2]);
        assert_eq!(Tensor::triu_indices(2, 2, isize::MIN, dev)?.shape(), [2, 4]);
        assert_eq!(x.trace()?.item::<i64>()?, 5);
        assert_eq!(x.diag(1)?.to_vec::<i64>()?, [2]);
        let at = Tensor::new([5i64, 1], dev)?.unravel_index(&[2, 3])?;
        assert_eq!((at[0].to_vec::<i64>()?, at[1].to_vec::<i64>()?), (vec![1, 0], vec![2, 1]));
        Ok(())
    });
}

#[test]
fn masked_reductions_leave_out_what_is_not_named() {
    for_each_device(|dev| {
        let x = Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev)?;
        let mask = Tensor::new([[true, false, true], [false, false, false]], dev)?;
        let m = Some(&mask);
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        assert_close(&masked::sum(&x, 1, false, m)?, &[4.0, 0.0], 0.0, 0.0);
        assert_close(&masked::amax(&x, 1, true, m)?, &[3.0, -inf], 0.0, 0.0);
        assert_close(&masked::mean(&x, 1, false, m)?, &[2.0, nan], 0.0, 0.0);
        assert_close(&masked::var(&x, 1, 1.0, false, m)?, &[2.0, nan], 1e-6, 0.0);
        assert_close(&masked::median(&x, 1, false, m)?, &[1.0, nan], 0.0, 0.0);
        assert_close(&masked::sum(&x, .., false, m)?, &[4.0], 0.0, 0.0);
        assert_close(&masked::cumprod(&x, 1, m)?, &[1., 1., 3., 1., 1., 1.], 0.0, 0.0);
        assert!(masked::sum(&x, 1, false, Some(&x)).is_err());
        Ok(())
    });
}

/// Sizes that would take more memory than there is, or more than can be counted, are errors.
#[test]
fn absurd_sizes_are_refused() -> crate::Result<()> {
    let cpu = crate::Device::cpu();
    let x = Tensor::arange(0, 20_000, 1, (DType::I64, &cpu))?;
    assert!(x.combinations(4, false).is_err());
    assert!(x.combinations(usize::MAX, true).is_err());
    let one = Tensor::new([7i64], &cpu)?;
    assert_eq!(one.combinations(1_000, false)?.shape(), [0, 1_000]);
    assert_eq!(one.combinations(1_000, true)?.to_vec::<i64>()?, [7; 1_000]);
    assert!(one.repeat_interleave_each(&Tensor::new([1i64 << 50], &cpu)?, 0).is_err());
    assert!(Tensor::tril_indices(1 << 10, 1 << 45, 1 << 45, &cpu).is_err());
    assert!(one.unravel_index(&[1 << 40, 1 << 40]).is_err());
    assert!(one.nonzero_static(usize::MAX, 0).is_err());
    assert!(Tensor::new(1.0, &cpu)?.nonzero_static(usize::MAX, 0).is_err());
    Ok(())
}
