//! Arithmetic against the formulas of `num_complex`, on every device; gradients against differences.

use rustfft::num_complex::Complex;

use super::ComplexTensor;
use crate::testing::{assert_close, assert_gradients, for_each_device};
use crate::{DType, Device, Result, Tensor};

const A: [f64; 6] = [0.5, -1.25, -2.0, 0.75, 3.0, 1.5];
const B: [f64; 6] = [-0.25, 2.0, 1.0, 1.0, -1.5, 0.5];

fn complex(values: &[f64], shape: &[usize], device: &Device) -> Result<ComplexTensor> {
    Tensor::from_vec(values.to_vec(), shape, &Device::cpu())?.to_dtype(DType::F32)?.to(device)?.view_as_complex()
}

fn numbers(values: &[f64]) -> Vec<Complex<f64>> {
    values.chunks_exact(2).map(|p| Complex::new(p[0], p[1])).collect()
}

type Binary = (fn(&ComplexTensor, &ComplexTensor) -> Result<ComplexTensor>, fn(Complex<f64>, Complex<f64>) -> Complex<f64>);

#[test]
fn arithmetic_is_that_of_complex_numbers() {
    for_each_device(|device| {
        let (a, b) = (complex(&A, &[3, 2], device)?, complex(&B, &[3, 2], device)?);
        let pairs: Vec<_> = numbers(&A).into_iter().zip(numbers(&B)).collect();
        let both: [Binary; 4] = [
            (ComplexTensor::add, |a, b| a + b),
            (ComplexTensor::sub, |a, b| a - b),
            (ComplexTensor::mul, |a, b| a * b),
            (ComplexTensor::div, |a, b| a / b),
        ];
        for (got, expected) in both {
            let expected: Vec<f64> = pairs.iter().map(|&(a, b)| expected(a, b)).flat_map(|z| [z.re, z.im]).collect();
            assert_close(got(&a, &b)?.view_as_real(), &expected, 1e-5, 1e-6);
        }
        let flat = |z: Vec<Complex<f64>>| -> Vec<f64> { z.into_iter().flat_map(|z| [z.re, z.im]).collect() };
        let each = |f: fn(Complex<f64>) -> Complex<f64>| flat(numbers(&A).into_iter().map(f).collect());
        assert_close(a.conj()?.view_as_real(), &each(|z| z.conj()), 0.0, 0.0);
        assert_close(a.exp()?.view_as_real(), &each(|z| z.exp()), 1e-5, 1e-6);
        assert_close(a.silu()?.view_as_real(), &each(|z| z / (1.0 + (-z).exp())), 1e-5, 1e-6);
        assert_close(&a.abs()?, &numbers(&A).iter().map(|z| z.norm()).collect::<Vec<_>>(), 1e-5, 0.0);
        assert_close(&a.angle()?, &numbers(&A).iter().map(|z| z.arg()).collect::<Vec<_>>(), 1e-5, 0.0);
        assert_close(a.sum(..)?.view_as_real(), &flat(vec![numbers(&A).iter().sum()]), 1e-5, 0.0);
        Ok(())
    });
}

#[test]
fn shapes_broadcast_and_matrices_multiply() -> Result<()> {
    let cpu = Device::cpu();
    let (column, row) = (complex(&A, &[3, 1, 2], &cpu)?, complex(&B, &[1, 3, 2], &cpu)?);
    let (outer, product) = (column.mul(&row)?, column.matmul(&row)?);
    assert_eq!((outer.shape(), outer.rank()), (&[3, 3][..], 2));
    assert_eq!(outer.view_as_real().to_vec::<f32>()?, product.view_as_real().to_vec::<f32>()?);
    let polar = ComplexTensor::polar(&column.abs()?, &column.angle()?)?;
    assert_close(polar.view_as_real(), &A, 1e-6, 1e-6);
    Ok(())
}

#[test]
fn a_quotient_of_huge_numbers_is_finite() -> Result<()> {
    let z = complex(&[1e30, 1e30, 1e-30, -1e-30], &[2, 2], &Device::cpu())?;
    assert_close(z.div(&z)?.view_as_real(), &[1.0, 0.0, 1.0, 0.0], 1e-6, 1e-6);
    assert_close(&z.abs()?, &[2f64.sqrt() * 1e30, 2f64.sqrt() * 1e-30], 1e-6, 0.0);
    Ok(())
}

#[test]
fn gradients_agree_with_differences() {
    let unary: [fn(&ComplexTensor) -> Result<Tensor>; 5] = [
        |z| z.abs(),
        |z| z.angle(),
        |z| Ok(z.exp()?.view_as_real().clone()),
        |z| Ok(z.silu()?.view_as_real().clone()),
        |z| Ok(z.conj()?.mul(z)?.view_as_real().clone()),
    ];
    for f in unary {
        assert_gradients(&[(&A, &[3, 2])], |x| f(&x[0].view_as_complex()?));
    }
    let inputs: [(&[f64], &[usize]); 2] = [(&A, &[3, 1, 2]), (&B, &[3, 2])];
    assert_gradients(&inputs, |x| Ok(x[0].view_as_complex()?.div(&x[1].view_as_complex()?)?.view_as_real().clone()));
    let parts: [(&[f64], &[usize]); 2] = [(&A, &[2, 3]), (&B[..3], &[3])];
    assert_gradients(&parts, |x| Ok(ComplexTensor::polar(&x[0], &x[1])?.mul(&ComplexTensor::new(&x[1], &x[0])?)?.view_as_real().clone()));
}

#[test]
fn size_and_angle_of_nothing_have_no_gradient() -> Result<()> {
    let pairs = Tensor::new([[0.0, 0.0], [3.0, 4.0]], &Device::cpu())?;
    pairs.requires_grad_(true)?;
    let z = pairs.view_as_complex()?;
    z.abs()?.add(z.angle()?)?.sum_all()?.backward()?;
    assert_close(&pairs.grad().expect("a gradient"), &[0.0, 0.0, 0.6 - 0.16, 0.8 + 0.12], 1e-6, 1e-7);
    let real = Tensor::new([-2.0, 0.0, 3.0, f64::NAN, f64::NEG_INFINITY], &Device::cpu())?;
    assert_close(&real.angle()?, &[std::f64::consts::PI, 0.0, 0.0, f64::NAN, std::f64::consts::PI], 1e-6, 0.0);
    Ok(())
}

#[test]
fn what_is_not_complex_is_refused() -> Result<()> {
    let cpu = Device::cpu();
    let told = |e: Result<ComplexTensor>| e.expect_err("refused").to_string();
    let (f32s, f64s) = (Tensor::ones([2, 3], &cpu)?, Tensor::ones([2, 3], (DType::F64, &cpu))?);
    assert!(told(ComplexTensor::new(&f32s, &f64s)).contains("f64"));
    assert!(told(ComplexTensor::polar(&f32s.to_dtype(DType::I32)?, &f32s)).contains("polar"));
    assert!(told(f32s.view_as_complex()).contains("[2, 3]"));
    assert!(told(ComplexTensor::new(&f32s, &Tensor::ones([4], &cpu)?)).contains("complex"));
    Ok(())
}
