//! Derivatives of functions, checkpointing, anomalies: each against what it must equal.

use super::*;
use crate::nn::{Linear, Module, functional_call};
use crate::testing::{assert_close, for_each_device};
use crate::{DType, Device, Result, Tensor};

fn leaf(values: &[f64], shape: &[usize]) -> Result<Tensor> {
    let t = Tensor::from_vec(values.to_vec(), shape, &Device::cpu())?;
    t.requires_grad_(true)?;
    Ok(t)
}

/// x0² x1 + sin(x1): value, first and second derivatives by hand.
fn f(x: &[Tensor]) -> Result<Tensor> {
    let (a, b) = (x[0].narrow(0, 0, 1)?, x[0].narrow(0, 1, 1)?);
    a.square()?.mul(&b)?.add(b.sin()?)?.sum_all()
}

#[test]
fn first_and_second_derivatives_of_a_function() -> Result<()> {
    let x = leaf(&[3.0, 0.5], &[2])?;
    let cos = 0.5f64.cos();
    let sin = 0.5f64.sin();
    assert_close(&jacobian(f, &[&x])?[0], &[3.0, 9.0 + cos], 1e-12, 0.0);
    assert_close(&hessian(f, &[&x])?[0][0], &[1.0, 6.0, 6.0, -sin], 1e-12, 1e-12);
    let v = leaf(&[2.0, -1.0], &[2])?;
    let (y, product) = hvp(f, &[&x], &[&v])?;
    assert_close(&y, &[4.5 + sin], 1e-12, 0.0);
    assert_close(&product[0], &[2.0 - 6.0, 12.0 + sin], 1e-12, 0.0);
    let (_, along) = jvp(f, &[&x], &[&v])?;
    assert_close(&along, &[6.0 - 9.0 - cos], 1e-12, 0.0);
    let (_, back) = vjp(|x| x[0].exp(), &[&x], &v)?;
    assert_close(&back[0], &[2.0 * 3.0f64.exp(), -(0.5f64.exp())], 1e-12, 0.0);
    // Nothing is left behind, what does not depend is zero, and shapes are checked.
    assert!(x.grad().is_none());
    assert_close(&jacobian(|_| Tensor::ones([2], (DType::F64, &Device::cpu())), &[&x])?[0], &[0.0; 4], 0.0, 0.0);
    assert!(jvp(f, &[&x], &[&leaf(&[1.0], &[1])?]).is_err());
    assert!(hessian(|x| x[0].exp(), &[&x]).is_err());
    Ok(())
}

#[test]
fn gradients_of_samples_add_up_to_that_of_the_batch() -> Result<()> {
    let device = Device::cpu();
    let layer = Linear::new(3, 2, &device)?;
    let x = Tensor::randn([4, 3], &device)?;
    let params = layer.parameters();
    let wanted: Vec<&Tensor> = params.iter().map(|p| &**p).collect();
    let one = |i: usize| layer.forward(&x.narrow(0, i, 1)?)?.square()?.sum_all();
    let each = per_sample_grads(&wanted, 4, one)?;
    assert_eq!(each[0].shape(), [4, 2, 3]);
    layer.forward(&x)?.square()?.sum_all()?.backward()?;
    for (e, p) in each.iter().zip(&params) {
        let whole: Vec<f64> = p.grad().unwrap().to_vec::<f32>()?.into_iter().map(f64::from).collect();
        assert_close(&e.sum(0)?, &whole, 1e-4, 1e-5);
    }
    Ok(())
}

#[test]
fn checkpointed_functions_pass_gradcheck_twice() -> Result<()> {
    let x = leaf(&[0.3, -0.7, 1.1], &[3])?;
    let g = |x: &[Tensor]| checkpoint(|x| x[0].sin()?.mul(&x[0])?.exp(), &[&x[0]]);
    gradcheck(g, &[&x])?;
    gradgradcheck(g, &[&x])
}

#[test]
fn anomalies_name_the_forward_call() -> Result<()> {
    let x = leaf(&[0.0, 1.0], &[2])?;
    let bad = || x.sqrt()?.mul(0.0)?.sum_all()?.backward();
    bad()?;
    let error = detect_anomaly(bad).unwrap_err().to_string();
    assert!(error.contains("sqrt") && error.contains("tests.rs"), "{error}");
    x.zero_grad();
    detect_anomaly(|| x.square()?.sum_all()?.backward())?;
    bad()
}

/// One step of MAML: the gradient through a gradient step.
#[test]
fn a_step_can_be_differentiated() -> Result<()> {
    let device = Device::cpu();
    let model = Linear::no_bias(1, 1, (DType::F64, &device))?;
    model.weight.set(&Tensor::full([1, 1], 3.0, (DType::F64, &device))?)?;
    let one = Tensor::ones([1, 1], (DType::F64, &device))?;
    let loss =
        |w: &Tensor| functional_call(&model, &[("weight".to_string(), w.clone())].into(), || model.forward(&one)?.square()?.sum_all());
    let weight: Tensor = (&model.weight).into();
    let inner = model.forward(&one)?.square()?.sum_all()?;
    let step = grad(&[&inner], &[&weight], &[None], true, true)?[0].clone().unwrap();
    // w' = w - 0.1 * 2 w = 0.8 w; d (w')² / dw = 2 * 0.8² w.
    let outer = loss(&weight.sub(step.mul(0.1)?)?)?;
    assert_close(&outer, &[(0.8f64 * 3.0).powi(2)], 1e-12, 0.0);
    outer.backward()?;
    assert_close(&model.weight.grad().unwrap(), &[2.0 * 0.64 * 3.0], 1e-12, 0.0);
    // The model has its own parameters again.
    assert_close(&model.forward(&one)?, &[3.0], 0.0, 0.0);
    assert!(loss(&Tensor::ones([2, 1], (DType::F64, &device))?).is_err());
    assert_close(&model.forward(&one)?, &[3.0], 0.0, 0.0);
    Ok(())
}

#[test]
fn saved_values_can_be_kept_elsewhere() {
    for_each_device(|device| {
        let x = Tensor::from_vec(vec![0.5f32, -1.0], [2], device)?;
        x.requires_grad_(true)?;
        let f = || x.exp()?.square()?.sum_all();
        f()?.backward()?;
        let plain = x.grad().unwrap().to_vec::<f32>()?;
        x.zero_grad();
        save_on_cpu(f)?.backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, plain);
        x.zero_grad();
        // Doubled on the way out: the gradient shows that it is this value that is used.
        saved_tensors_hooks(|t| Ok(t.clone()), |t| t.mul(2.0), || x.square()?.sum_all())?.backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, -4.0]);
        x.zero_grad();
        assert!(saved_tensors_hooks(|t| t.reshape([7]), |t| Ok(t.clone()), f).is_err());
        f()?.backward()?;
        assert_eq!(x.grad().unwrap().to_vec::<f32>()?, plain);
        Ok(())
    });
}
