use super::*;
use crate::device::Device;
use crate::testing::{assert_close, for_each_device};

fn ints(values: &[i64], dev: &Device) -> Result<Tensor> {
    Tensor::from_slice(values, [values.len()], dev)
}

#[test]
fn types_promote_as_in_pytorch() -> Result<()> {
    let cpu = Device::cpu();
    let t = |dtype, shape: &[usize]| Tensor::ones(shape, (dtype, &cpu));
    use DType::*;
    let cases = [(U8, I8, I16), (U8, I64, I64), (Bool, I32, I32), (I64, F16, F16), (F16, BF16, F32), (F32, F64, F64), (Bool, Bool, Bool)];
    for (a, b, expected) in cases {
        assert_eq!(t(a, &[2])?.add(&t(b, &[2])?)?.dtype(), expected, "{a} + {b}");
    }
    // Without dimensions, only the category counts.
    assert_eq!(t(F32, &[2])?.add(&t(F64, &[])?)?.dtype(), F32);
    assert_eq!(t(I32, &[2])?.add(&t(F64, &[])?)?.dtype(), F64);
    assert_eq!(t(I8, &[2])?.add(&t(I64, &[])?)?.dtype(), I8);
    assert_eq!(t(F16, &[2])?.mul(2.5)?.dtype(), F16);
    assert_eq!(t(U8, &[2])?.mul(2)?.dtype(), U8);
    assert_eq!(t(I64, &[2])?.mul(2.5)?.dtype(), F32);
    assert_eq!(t(Bool, &[2])?.add(1)?.dtype(), I64);
    assert_eq!(t(I32, &[2])?.div(2)?.dtype(), F32);
    assert_eq!(t(F64, &[2])?.div(&t(I32, &[2])?)?.dtype(), F64);
    assert!(t(U16, &[2])?.add(&t(I32, &[2])?).is_err());
    Ok(())
}

#[test]
fn integers_divide_as_in_python_and_as_in_c() {
    for_each_device(|dev| {
        let (a, b) = (ints(&[7, -7, 7, -7, i32::MIN as i64], dev)?, ints(&[2, 2, -2, -2, -1], dev)?);
        let (a, b) = (a.to_dtype(DType::I32)?, b.to_dtype(DType::I32)?);
        assert_eq!(a.floor_divide(&b)?.to_vec::<i32>()?[..4], [3, -4, -4, 3]);
        assert_eq!(a.trunc_divide(&b)?.to_vec::<i32>()?[..4], [3, -3, -3, 3]);
        assert_eq!(a.remainder(&b)?.to_vec::<i32>()?, [1, 1, -1, -1, 0]);
        assert_eq!(a.fmod(&b)?.to_vec::<i32>()?, [1, -1, 1, -1, 0]);
        assert!(a.floor_divide(0).is_err() && a.remainder(0).is_err() && a.pow(-1).is_err());
        assert!(a.div(0)?.to_vec::<f32>()?.iter().all(|v| v.is_infinite()));
        assert_eq!(ints(&[2, -3, 1, -1, 2], dev)?.pow(&ints(&[10, 3, -5, -3, -1], dev)?)?.to_vec::<i64>()?, [1024, -27, 1, -1, 0]);
        let u = Tensor::from_vec(vec![200u8, 3], [2], dev)?;
        assert_eq!(u.add(100)?.to_vec::<u8>()?, [44, 103]);
        assert_eq!(u.neg()?.to_vec::<u8>()?, [56, 253]);
        Ok(())
    });
}

/// By the next read, where it is known which elements are 0.
#[test]
fn integers_divided_by_zero_are_reported() {
    type Division = fn(&Tensor, &Tensor) -> Result<Tensor>;
    let all: [(&str, Division); 4] = [
        ("floor_divide", |a, b| a.floor_divide(b)),
        ("trunc_divide", |a, b| a.trunc_divide(b)),
        ("remainder", |a, b| a.remainder(b)),
        ("fmod", |a, b| a.fmod(b)),
    ];
    for_each_device(|dev| {
        let (a, b) = (ints(&[7, 5], dev)?, ints(&[2, 0], dev)?);
        for dtype in [DType::I64, DType::I32, DType::I16, DType::U8] {
            for (name, divide) in all {
                let read = divide(&a.to_dtype(dtype)?, &b.to_dtype(dtype)?)?.to_dtype(DType::I64)?.to_vec::<i64>();
                assert!(read.is_err_and(|e| e.to_string().starts_with(name)), "{name} {dtype}");
            }
        }
        assert_eq!(a.to_dtype(DType::F32)?.fmod(&b)?.to_vec::<f32>()?[0], 1.0);
        Ok(())
    });
}

#[test]
fn bits_and_shifts() {
    for_each_device(|dev| {
        let a = ints(&[6, -1, 1, -8], dev)?;
        assert_eq!(a.bitwise_and(3)?.to_vec::<i64>()?, [2, 3, 1, 0]);
        assert_eq!(a.bitwise_xor(&ints(&[3, 1, 1, 0], dev)?)?.to_vec::<i64>()?, [5, -2, 0, -8]);
        assert_eq!(a.bitwise_not()?.to_vec::<i64>()?, [-7, 0, -2, 7]);
        assert_eq!(a.bitwise_left_shift(2)?.to_vec::<i64>()?, [24, -4, 4, -32]);
        assert_eq!(a.to_dtype(DType::I32)?.bitwise_left_shift(40)?.to_vec::<i32>()?, [0; 4]);
        assert_eq!(a.bitwise_right_shift(1)?.to_vec::<i64>()?, [3, -1, 0, -4]);
        assert_eq!(a.bitwise_right_shift(100)?.to_vec::<i64>()?, [0, -1, 0, -1]);
        let b = Tensor::new([true, false], dev)?;
        assert_eq!(b.logical_not()?.to_vec::<bool>()?, [false, true]);
        assert_eq!(b.logical_xor(&Tensor::new([2.0, 0.0], dev)?)?.to_vec::<bool>()?, [false, false]);
        assert_eq!(b.add(true)?.to_vec::<bool>()?, [true, true]);
        assert!(b.sub(&b).is_err() && Tensor::new([1.0], dev)?.bitwise_and(1).is_err());
        Ok(())
    });
}

#[test]
fn comparisons_know_nan_and_numbers_out_of_range() {
    for_each_device(|dev| {
        let x = Tensor::new([1.0, f64::NAN, -0.0], dev)?;
        assert_eq!(x.eq(&x)?.to_vec::<bool>()?, [true, false, true]);
        assert_eq!(x.ne(&x)?.to_vec::<bool>()?, [false, true, false]);
        assert_eq!(x.lt(2.0)?.to_vec::<bool>()?, [true, false, true]);
        assert_eq!(x.ge(0.0)?.to_vec::<bool>()?, [true, false, true]);
        let u = Tensor::from_vec(vec![0u8, 255], [2], dev)?;
        assert_eq!(u.lt(300)?.to_vec::<bool>()?, [true, true]);
        assert_eq!(u.ge(-1)?.to_vec::<bool>()?, [true, true]);
        assert_eq!(u.eq(256)?.to_vec::<bool>()?, [false, false]);
        assert_eq!(u.gt(0.5)?.to_vec::<bool>()?, [false, true]);
        assert_eq!(ints(&[-1, 5], dev)?.lt(1i64 << 40)?.to_vec::<bool>()?, [true, true]);
        Ok(())
    });
}

#[test]
fn operands_broadcast_and_gradients_sum_back() {
    for_each_device(|dev| {
        let (x, w) = (Tensor::new([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dev)?, Tensor::new([10.0, 20.0, 30.0], dev)?);
        w.requires_grad_(true)?;
        let y = 2.0 * &x * &w - 1.0 / &w + (&x - 3).neg()?;
        assert_close(&y, &[21.9, 80.95, 179.9666667, 78.9, 197.95, 356.9666667], 1e-6, 0.0);
        y.sum_all()?.backward()?;
        let grad = w.grad().expect("w has a gradient");
        assert_eq!(grad.shape(), [3]);
        assert_close(&grad, &[10.02, 14.005, 18.0022222], 1e-6, 0.0);
        assert!(x.add(&Tensor::zeros([2], dev)?).is_err());
        Ok(())
    });
}

#[test]
fn operators_carry_their_errors() -> Result<()> {
    let cpu = Device::cpu();
    let bad = Tensor::zeros([2], &cpu)? + Tensor::zeros([3], &cpu)?;
    let error = (bad * 2.0 + 1.0).exp().and_then(|t| t.to_vec::<f32>()).unwrap_err();
    assert!(error.to_string().contains("do not broadcast") && error.to_string().contains("math"), "{error}");
    Ok(())
}

#[test]
fn operations_that_change_nothing_cost_nothing_but_are_tensors_of_their_own() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::new([1.0, 2.0], &cpu)?;
    x.requires_grad_(true)?;
    let y = (&x * 1.0).add(0.0)?.pow(1)?;
    assert!(!y.ptr_eq(&x));
    y.mul(3.0)?.sum_all()?.backward()?;
    assert_eq!(x.grad().map(|g| g.to_vec::<f32>()).transpose()?, Some(vec![3.0, 3.0]));
    y.add_(5.0)?;
    assert_eq!((x.to_vec::<f32>()?, y.to_vec::<f32>()?), (vec![1.0, 2.0], vec![6.0, 7.0]));
    assert_eq!(ints(&[1], &cpu)?.mul(1.0)?.dtype(), DType::F32);
    Ok(())
}

#[test]
fn maximum_shares_the_gradient_of_equals() -> Result<()> {
    let cpu = Device::cpu();
    let (a, b) = (Tensor::new([1.0, 2.0, 3.0], &cpu)?, Tensor::new([2.0, 2.0, 2.0], &cpu)?);
    a.requires_grad_(true)?;
    b.requires_grad_(true)?;
    a.maximum(&b)?.sum_all()?.backward()?;
    assert_close(&a.grad().expect("a"), &[0.0, 0.5, 1.0], 0.0, 0.0);
    assert_close(&b.grad().expect("b"), &[1.0, 0.5, 0.0], 0.0, 0.0);
    Ok(())
}

#[test]
fn powers_and_their_gradients_at_zero() -> Result<()> {
    let cpu = Device::cpu();
    let x = Tensor::new([0.0, 2.0], (DType::F64, &cpu))?;
    x.requires_grad_(true)?;
    let p = Tensor::new([0.0, 3.0], (DType::F64, &cpu))?;
    p.requires_grad_(true)?;
    x.pow(&p)?.sum_all()?.backward()?;
    assert_close(&x.grad().expect("x"), &[0.0, 12.0], 1e-12, 0.0);
    assert_close(&p.grad().expect("p"), &[0.0, 8.0 * 2f64.ln()], 1e-12, 0.0);
    assert_close(&Tensor::new([-2.0, 4.0, 9.0], &cpu)?.pow(3)?, &[-8.0, 64.0, 729.0], 0.0, 0.0);
    assert_close(&Tensor::full([], 2.0, &cpu)?.pow(ints(&[3, -1], &cpu)?)?, &[8.0, 0.5], 0.0, 0.0);
    Ok(())
}

#[test]
fn choices_take_tensors_and_numbers() {
    for_each_device(|dev| {
        let x = Tensor::new([[1.0, -2.0], [-3.0, 4.0]], dev)?;
        x.requires_grad_(true)?;
        let y = x.where_(&x.gt(0.0)?, 0.0)?;
        assert_close(&y, &[1.0, 0.0, 0.0, 4.0], 0.0, 0.0);
        y.sum_all()?.backward()?;
        assert_close(&x.grad().expect("x"), &[1.0, 0.0, 0.0, 1.0], 0.0, 0.0);
        let mask = Tensor::new([true, false], dev)?;
        assert_close(&x.masked_fill(&mask, f64::NEG_INFINITY)?, &[f64::NEG_INFINITY, -2.0, f64::NEG_INFINITY, 4.0], 0.0, 0.0);
        assert_eq!(ints(&[1, 2], dev)?.masked_fill(&mask, 9)?.to_vec::<i64>()?, [9, 2]);
        assert!(ints(&[1, 2], dev)?.masked_fill(&mask, 0.5).is_err());
        assert!(x.where_(&x, 0.0).is_err());
        Ok(())
    });
}

#[test]
fn methods_in_place_keep_type_and_shape() -> Result<()> {
    let cpu = Device::cpu();
    let x = ints(&[1, 2], &cpu)?;
    x.add_(3)?.mul_(2)?;
    assert_eq!(x.to_vec::<i64>()?, [8, 10]);
    assert!(x.div_(2.0).is_err() && x.add_(0.5).is_err() && x.add_(&Tensor::zeros([3, 2], &cpu)?).is_err());
    let m = Tensor::zeros([2, 2], &cpu)?;
    m.select(0, 1)?.add_(1.0)?;
    m.t()?.select(0, 0)?.mul_(&Tensor::new([5.0, 7.0], &cpu)?)?;
    assert_eq!(m.to_vec::<f32>()?, [0.0, 0.0, 7.0, 1.0]);
    let leaf = Tensor::ones([1], &cpu)?;
    leaf.requires_grad_(true)?;
    assert!(leaf.add_(1.0).is_err());
    crate::no_grad(|| leaf.add_(1.0).map(|_| ()))?;
    assert_eq!(leaf.item::<f32>()?, 2.0);
    Ok(())
}

#[test]
fn clamps_and_activations() {
    for_each_device(|dev| {
        let x = Tensor::new([-2.0, -0.5, 0.0, 0.5, 2.0, f64::NAN], dev)?;
        assert_close(&x.clamp(-1.0, 1.0)?, &[-1.0, -0.5, 0.0, 0.5, 1.0, f64::NAN], 0.0, 0.0);
        assert_close(&x.clamp(None, 0.0)?, &[-2.0, -0.5, 0.0, 0.0, 0.0, f64::NAN], 0.0, 0.0);
        assert_close(&x.relu()?, &[0.0, 0.0, 0.0, 0.5, 2.0, f64::NAN], 0.0, 0.0);
        assert_eq!(ints(&[-5, 5, 300], dev)?.clamp(0, 100)?.to_vec::<i64>()?, [0, 5, 100]);
        assert_eq!(Tensor::from_vec(vec![5u8, 200], [2], dev)?.clamp(-7, 1000)?.to_vec::<u8>()?, [5, 200]);
        assert_close(&x.nan_to_num(7.0, None, None)?, &[-2.0, -0.5, 0.0, 0.5, 2.0, 7.0], 0.0, 0.0);
        let y = Tensor::new([-1.0, 0.0, 1.0], dev)?;
        assert_close(&y.gelu("none")?, &[-0.158655254, 0.0, 0.841344746], 1e-6, 1e-7);
        assert_close(&y.gelu("tanh")?, &[-0.158808009, 0.0, 0.841191991], 1e-6, 1e-7);
        assert_close(&y.mish()?, &[-0.303401373, 0.0, 0.865098388], 2e-6, 1e-7);
        assert_close(&y.softplus(1.0, 20.0)?, &[0.313261688, 0.693147181, 1.313261688], 1e-6, 0.0);
        assert_close(&y.selu()?, &[-1.111330741, 0.0, 1.050700987], 1e-6, 0.0);
        assert_close(&y.sinc()?, &[0.0, 1.0, 0.0], 0.0, 1e-7);
        assert!(y.gelu("fast").is_err() && y.clamp(None, None).is_err());
        Ok(())
    });
}

#[test]
fn low_precision_rounds_results() {
    for_each_device(|dev| {
        let x = Tensor::new([1.0, 2.0], (DType::BF16, dev))?;
        assert_close(&x.add(0.001)?.to_dtype(DType::F32)?, &[1.0, 2.0], 0.0, 0.0);
        assert_close(&x.div(3.0)?.to_dtype(DType::F32)?, &[0.333984375, 0.66796875], 0.0, 0.0);
        Ok(())
    });
}
