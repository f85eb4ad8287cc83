use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Error, IndexArg, Result, Slice, Tensor};

fn count(shape: &[usize], device: &Device) -> Result<Tensor> {
    let n = shape.iter().product::<usize>();
    Tensor::from_vec((0..n).map(|i| i as f32).collect(), shape, device)
}

fn ints(values: &[i64], shape: &[usize], device: &Device) -> Result<Tensor> {
    Tensor::from_vec(values.to_vec(), shape, device)
}

#[test]
fn basic_indices_are_views() {
    for_each_device(|dev| {
        let x = count(&[2, 3, 4], dev)?;
        assert_close(&x.i((1, 0, 2))?, &[14.], 0.0, 0.0);
        assert_close(&x.i((-1, .., 3))?, &[15., 19., 23.], 0.0, 0.0);
        assert_close(&x.i((0, 1.., ..2))?, &[4., 5., 8., 9.], 0.0, 0.0);
        assert_close(&x.i((0, 0, -2..))?, &[2., 3.], 0.0, 0.0);
        assert_close(&x.i((0, 0, 1..=2))?, &[1., 2.], 0.0, 0.0);
        assert_close(&x.i((IndexArg::Ellipsis, 0))?, &[0., 4., 8., 12., 16., 20.], 0.0, 0.0);
        assert_eq!(x.i((IndexArg::NewAxis, 0, IndexArg::Ellipsis, IndexArg::NewAxis))?.shape(), [1, 3, 4, 1]);
        let every_other = Slice { start: Some(1), end: None, step: 2 };
        assert_close(&x.i((1, 1, every_other))?, &[17., 19.], 0.0, 0.0);
        x.i((0, 0))?.replace(&Tensor::zeros([4], (DType::F32, dev))?)?;
        assert_close(&x.i((0, ..2))?, &[0., 0., 0., 0., 4., 5., 6., 7.], 0.0, 0.0);
        assert!(x.i(2).is_err());
        assert!(x.i((0, 0, 0, 0)).is_err());
        Ok(())
    });
}

#[test]
fn tensors_pick_as_in_pytorch() {
    for_each_device(|dev| {
        let x = count(&[2, 3, 4], dev)?;
        let idx = ints(&[2, -1, 0], &[3], dev)?;
        assert_close(&x.i((0, .., &idx))?, &[2., 3., 0., 6., 7., 4., 10., 11., 8.], 0.0, 0.0);
        let (a, b) = (ints(&[0, 1], &[2, 1], dev)?, ints(&[0, 2], &[2], dev)?);
        // Neighbours stay in place, and broadcast.
        assert_close(&x.i((&a, &b, 1))?, &[1., 9., 13., 21.], 0.0, 0.0);
        assert_eq!(x.i((.., &b, &b))?.shape(), [2, 2]);
        // Apart, they come first.
        let far = x.i((&b.i(..1)?, .., &b))?;
        assert_eq!(far.shape(), [2, 3]);
        assert_close(&far, &[0., 4., 8., 2., 6., 10.], 0.0, 0.0);
        let mask = count(&[2, 3], dev)?.gt(3.0)?;
        assert_close(&x.i(&mask)?, &[16., 17., 18., 19., 20., 21., 22., 23.], 0.0, 0.0);
        assert_close(&count(&[4], dev)?.i(&count(&[4], dev)?.gt(1.0)?)?, &[2., 3.], 0.0, 0.0);
        assert!(x.i((0, &ints(&[3], &[1], dev)?)).is_err());
        Ok(())
    });
}

#[test]
fn writing_at_indices() {
    for_each_device(|dev| {
        let x = count(&[2, 3], dev)?;
        let v = Tensor::full([], 9.0, (DType::F32, dev))?;
        assert_close(&x.slice_assign((.., 1), &v)?, &[0., 9., 2., 3., 9., 5.], 0.0, 0.0);
        let idx = ints(&[2, 0, 2], &[3], dev)?;
        let ten = Tensor::new([10.0, 20.0, 30.0], dev)?;
        assert_close(&x.index_put((1, &idx), &ten, false)?, &[0., 1., 2., 20., 4., 30.], 0.0, 0.0);
        assert_close(&x.index_put((1, &idx), &ten, true)?, &[0., 1., 2., 23., 4., 45.], 0.0, 0.0);
        x.set((&x.gt(2.0)?,), &v)?;
        assert_close(&x, &[0., 1., 2., 9., 9., 9.], 0.0, 0.0);
        x.i((1, 1..))?.set(0, &Tensor::full([], -1.0, (DType::F32, dev))?)?;
        assert_close(&x, &[0., 1., 2., 9., -1., 9.], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn gather_and_scatter_along_a_dimension() {
    for_each_device(|dev| {
        let x = count(&[3, 3], dev)?;
        let idx = ints(&[2, 0, 1, 1], &[2, 2], dev)?;
        assert_close(&x.gather(0, &idx)?, &[6., 1., 3., 4.], 0.0, 0.0);
        assert_close(&x.gather(1, &idx)?, &[2., 0., 4., 4.], 0.0, 0.0);
        let src = Tensor::new([[10.0, 20.0], [30.0, 40.0]], dev)?;
        assert_close(&x.scatter(1, &idx, &src)?, &[20., 1., 10., 3., 40., 5., 6., 7., 8.], 0.0, 0.0);
        assert_close(&x.scatter_add(1, &idx, &src)?, &[20., 1., 12., 3., 74., 5., 6., 7., 8.], 0.0, 0.0);
        assert_close(&x.scatter_add(0, &idx, &src)?, &[0., 21., 2., 33., 44., 5., 16., 7., 8.], 0.0, 0.0);
        assert_close(&x.scatter_value(1, &idx, 5)?, &[5., 1., 5., 3., 5., 5., 6., 7., 8.], 0.0, 0.0);
        let i32s = idx.to_dtype(DType::I32)?;
        assert_close(&x.gather(0, &i32s)?, &[6., 1., 3., 4.], 0.0, 0.0);
        assert_eq!(x.to_dtype(DType::I64)?.gather(0, &idx)?.to_vec::<i64>()?, [6, 1, 3, 4]);
        assert_eq!(x.gt(3.0)?.gather(0, &idx)?.to_vec::<bool>()?, [true, false, false, true]);
        assert_close(&x.to_dtype(DType::BF16)?.gather(0, &idx)?, &[6., 1., 3., 4.], 0.0, 0.0);
        let bytes = Tensor::from_vec(vec![250u8, 1], [2], dev)?;
        assert_eq!(bytes.index_add(0, &ints(&[0, 0], &[2], dev)?, &Tensor::from_vec(vec![4u8, 3], [2], dev)?)?.to_vec::<u8>()?, [1, 1]);
        Ok(())
    });
}

#[test]
fn slices_by_index() {
    for_each_device(|dev| {
        let x = count(&[3, 2], dev)?;
        let idx = ints(&[2, 0, 2], &[3], dev)?;
        assert_close(&x.index_select(0, &idx)?, &[4., 5., 0., 1., 4., 5.], 0.0, 0.0);
        assert_close(&x.index_select(1, &ints(&[1], &[1], dev)?)?, &[1., 3., 5.], 0.0, 0.0);
        assert_close(&x.index_add(0, &idx, &x)?, &[2., 4., 2., 3., 8., 11.], 0.0, 0.0);
        assert_close(&x.index_copy(0, &idx, &x)?, &[2., 3., 2., 3., 4., 5.], 0.0, 0.0);
        assert_close(&x.index_fill(1, &ints(&[0], &[1], dev)?, 7)?, &[7., 1., 7., 3., 7., 5.], 0.0, 0.0);
        assert_close(&x.take(&ints(&[5, 0, 3, 3], &[2, 2], dev)?)?, &[5., 0., 3., 3.], 0.0, 0.0);
        assert_eq!(ints(&[1, 0, 2], &[3], dev)?.one_hot(3)?.to_vec::<i64>()?, [0, 1, 0, 1, 0, 0, 0, 0, 1]);
        assert_eq!(x.index_select(0, &ints(&[], &[0], dev)?)?.shape(), [0, 2]);
        Ok(())
    });
}

#[test]
fn large_tables_agree_with_a_loop() {
    for_each_device(|dev| {
        let (rows, cols, n) = (700, 72, 1500);
        let table: Vec<f32> = (0..rows * cols).map(|i| (i % 977) as f32 * 0.25).collect();
        let index: Vec<i64> = (0..n as i64).map(|i| i * i * 31 % 211 * 3).collect();
        let t = Tensor::from_vec(table.clone(), [rows, cols], dev)?;
        let idx = ints(&index, &[n], dev)?;
        let picked: Vec<f64> = index.iter().flat_map(|&r| table[r as usize * cols..][..cols].iter().map(|&v| v as f64)).collect();
        let got = t.index_select(0, &idx)?;
        assert_close(&got, &picked, 0.0, 0.0);
        let mut sums = vec![0.0f32; rows * cols];
        for (j, &r) in index.iter().enumerate() {
            for c in 0..cols {
                sums[r as usize * cols + c] += picked[j * cols + c] as f32;
            }
        }
        let zeros = Tensor::zeros([rows, cols], (DType::F32, dev))?;
        let sums: Vec<f64> = sums.iter().map(|&v| v as f64).collect();
        assert_close(&zeros.index_add(0, &idx, &got)?, &sums, 0.0, 0.0);
        let wide = idx.unsqueeze(1)?.expand([n, cols])?;
        assert_close(&zeros.scatter_add(0, &wide, &got)?, &sums, 0.0, 0.0);
        assert_close(&zeros.t()?.scatter_add(1, &wide.t()?, &got.t()?)?.t()?, &sums, 0.0, 0.0);
        // Elementwise work behind it reads more buffers than one kernel binds.
        let more: Vec<Tensor> = (0..6).map(|i| Tensor::full([rows, cols], i as f32, dev)).collect::<Result<_>>()?;
        let all = more.iter().try_fold(zeros.index_add(0, &idx, &got)?, |y, m| y.add(m))?;
        assert_close(&all.sub(15.0)?, &sums, 0.0, 0.0);
        let bad = idx.add(700)?;
        assert!(matches!(zeros.index_add(0, &bad, &got)?.to_vec::<f32>().unwrap_err().root(), Error::Index { .. }));
        Ok(())
    });
}

#[test]
fn masks_and_positions() {
    for_each_device(|dev| {
        let x = Tensor::new([[0.0, 2.0], [3.0, 0.0]], dev)?;
        assert_eq!(x.nonzero()?.to_vec::<i64>()?, [0, 1, 1, 0]);
        assert_close(&x.masked_select(&x.gt(1.0)?)?, &[2., 3.], 0.0, 0.0);
        assert_close(&x.masked_select(&Tensor::from_vec(vec![true, false], [2], dev)?)?, &[0., 3.], 0.0, 0.0);
        assert_eq!(x.gt(9.0)?.nonzero()?.shape(), [0, 2]);
        Ok(())
    });
}

#[test]
fn an_embedding_row_for_padding_gets_no_gradient() {
    for_each_device(|dev| {
        let w = count(&[4, 2], dev)?;
        w.requires_grad_(true)?;
        let idx = ints(&[1, 3, 0, 1], &[2, 2], dev)?;
        let y = w.embedding(&idx, Some(-1))?;
        assert_eq!(y.shape(), [2, 2, 2]);
        assert_close(&y, &[2., 3., 6., 7., 0., 1., 2., 3.], 0.0, 0.0);
        y.sum_all()?.backward()?;
        assert_close(&w.grad().unwrap(), &[1., 1., 2., 2., 0., 0., 0., 0.], 0.0, 0.0);
        Ok(())
    });
}

#[test]
fn indices_out_of_range_are_errors_before_anything_runs() {
    for_each_device(|dev| {
        let x = count(&[3, 2], dev)?;
        let wrong = ints(&[0, 5], &[2], dev)?;
        let error = x.index_select(0, &wrong).unwrap_err();
        assert_eq!(error.to_string(), "index_select: index 5 is out of range for dimension 0 of size 3");
        assert!(matches!(error, Error::Index { .. }));
        assert!(x.index_select(0, &ints(&[-1], &[1], dev)?).is_err());
        assert!(x.gather(0, &count(&[1, 2], dev)?).is_err());
        assert!(x.i((&ints(&[-4], &[1], dev)?,)).is_err());
        Ok(())
    });
    // Computed indices are checked by the CPU's kernel.
    let cpu = Device::cpu();
    let x = count(&[3, 2], &cpu).unwrap();
    let computed = ints(&[0, 2], &[2], &cpu).unwrap().mul(2).unwrap();
    let error = x.index_select(0, &computed).unwrap().to_vec::<f32>().unwrap_err();
    assert!(error.to_string().contains("index 4 at position 1 is out of range for dimension 0 of size 3"), "{error}");
}

#[test]
fn gradients_of_indexing() {
    let x: Vec<f64> = (0..12).map(|i| (i as f64 * 1.37).sin() + 0.1).collect();
    let cpu = Device::cpu();
    let idx = ints(&[2, 0, 2, 1], &[4], &cpu).unwrap();
    let per = ints(&[2, 0, 1, 1, 0, 0, 2, 1], &[2, 4], &cpu).unwrap();
    let check = |f: &dyn Fn(&Tensor) -> Result<Tensor>| assert_gradients(&[(&x, &[3, 4])], |t| f(&t[0])?.square());
    check(&|t| t.index_select(0, &idx));
    check(&|t| t.gather(0, &per));
    check(&|t| t.i((&idx, 1..)));
    check(&|t| t.i((&idx, &idx)));
    // A padding row has no gradient by definition: tested beside the module.
    check(&|t| t.embedding(&idx, None));
    check(&|t| t.take(&per));
    let both = |f: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>| {
        assert_gradients(&[(&x, &[3, 4]), (&x[..8], &[2, 4])], |t| f(&t[0], &t[1])?.square())
    };
    let rows = ints(&[2, 0], &[2], &cpu).unwrap();
    let apart = ints(&[2, 0, 1, 1, 0, 1, 2, 0], &[2, 4], &cpu).unwrap();
    both(&|t, s| t.scatter_add(0, &per, s));
    both(&|t, s| t.scatter(0, &apart, s));
    both(&|t, s| t.index_add(0, &rows, s));
    both(&|t, s| t.index_copy(0, &rows, s));
    both(&|t, s| t.slice_assign((1..,), s));
    both(&|t, s| t.index_put((&rows,), s, true));
}
