//! Arguments that are strange but allowed: numbers that are none, tensors without elements, errors inside expressions.

use std::panic::{AssertUnwindSafe, catch_unwind};

use taper::{DType, Device, Result, Tensor};
use taper_tests::refusals::{Refusals, used};
use taper_tests::{for_each_device, read};

use super::{data, ints};

#[test]
fn strange_numbers_go_through() {
    for_each_device(|d| {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, f64::MAX, f64::MIN_POSITIVE, 1e-40];
        let x = Tensor::from_vec(odd.map(|v| v as f32).to_vec(), [7], d)?;
        let mut r = Refusals::new(d);
        for v in odd {
            r.survived("scalar operands", || {
                for t in [
                    x.add(v),
                    x.mul(v),
                    x.div(v),
                    x.pow(v),
                    x.fmod(v),
                    x.remainder(v),
                    x.clamp(Some(v), None),
                    x.clamp(None, Some(v)),
                    x.maximum(v),
                    x.eq(v),
                    x.lerp(&x, v),
                ] {
                    let _ = t.map(used);
                }
                let _ = x.to_dtype(DType::I64)?.add(v).map(used);
                let _ = Tensor::full([2], v, (DType::I32, d)).map(used);
                let _ = Tensor::full([2], v, (DType::U8, d)).map(used);
                let _ = x.layer_norm(&[7], None, None, v).map(used);
                let _ = x.var(0, v).map(used);
                let _ = x.norm(v, .., false).map(used);
                let _ = x.elu(v).map(used);
                let _ = Tensor::linspace(v, 1.0, 5, d).map(used);
                let _ = Tensor::linspace(0.0, v, 5, d).map(used);
                let _ = taper::nn::dropout(&x, 0.5, true).map(used);
                Ok(())
            });
        }
        for dtype in DType::ALL {
            r.survived("casts", || {
                if let Ok(t) = x.to_dtype(dtype) {
                    used(t)?;
                }
                Ok(())
            });
        }
        r.survived("integer edges", || {
            let edge = Tensor::from_vec(vec![i32::MIN, -1, 0, 1, i32::MAX], [5], d)?;
            for t in [
                edge.neg(),
                edge.abs(),
                edge.add(1),
                edge.mul(&edge),
                edge.floor_divide(&edge),
                edge.remainder(&edge),
                edge.fmod(&edge),
                edge.floor_divide(-1),
                edge.remainder(-1),
                edge.fmod(0),
                edge.remainder(0),
                edge.floor_divide(0),
                edge.square(),
                edge.sum_all(),
                edge.prod_all(),
                edge.pow(3),
                edge.pow(-1),
                edge.add(i64::MAX),
            ] {
                let _ = t.map(used);
            }
            Ok(())
        });
        r.survived("shifts", || {
            let one = Tensor::from_vec(vec![1i32, -1], [2], d)?;
            for by in [-1, 0, 31, 32, 33, 1000] {
                let _ = one.bitwise_left_shift(by).map(used);
                let _ = one.bitwise_right_shift(by).map(used);
            }
            Ok(())
        });
        // Text of anything.
        r.survived("display", || {
            for t in [
                x.clone(),
                Tensor::zeros([0, 3], d)?,
                Tensor::zeros([], d)?,
                Tensor::zeros([3, 0], (DType::Bool, d))?,
                data(d, &[2, 2, 3])?,
                x.gt(0)?,
            ] {
                let _ = format!("{t} {t:?} {t:10.3} {:?}", t.graph_dot());
            }
            let _ = format!("{} {:?}", &x + &data(d, &[2])?, &x + &data(d, &[2])?);
            Ok(())
        });
        r.end();
        Ok(())
    });
}

#[test]
fn an_operator_carries_its_error_to_the_first_method() {
    for_each_device(|d| {
        let (a, b) = (data(d, &[2])?, data(d, &[3])?);
        let e = ((&a + &b) * 2.0 - &a).sum_all().unwrap_err();
        let text = e.to_string();
        assert!(text.contains("[2]") && text.contains("[3]") && text.contains("odd.rs"), "{text}");
        assert!(read(&(&a + &b)).is_err());
        assert!((&a + &b).backward().is_err());
        assert!((&a + &b).requires_grad_(true).is_err());
        d.flush()
    });
}

#[test]
fn empty_tensors_are_tensors() {
    for_each_device(|d| {
        let e = data(d, &[0, 3])?;
        let mut r = Refusals::new(d);
        let mut same =
            |name: &str, expected: &[f64], shape: &[usize], f: &dyn Fn() -> Result<Tensor>| match catch_unwind(AssertUnwindSafe(|| {
                f().and_then(|t| Ok((t.shape().to_vec(), read(&t)?)))
            })) {
                Ok(Ok((s, v))) if s == shape && v == expected => {}
                Ok(other) => r.wrong(format!("{name}: {other:?}, expected {shape:?} {expected:?}")),
                Err(_) => r.wrong(format!("{name}: panicked")),
            };
        same("add", &[], &[0, 3], &|| e.add(1.0));
        same("sum", &[0.0; 3], &[3], &|| e.sum(0));
        same("sum other", &[], &[0], &|| e.sum(1));
        same("sum all", &[0.0], &[], &|| e.sum_all());
        same("prod", &[1.0; 3], &[3], &|| e.prod(0));
        same("any", &[0.0], &[], &|| e.gt(0)?.any(..));
        same("all", &[1.0], &[], &|| e.gt(0)?.all(..));
        same("amax", &[], &[0], &|| e.amax(1));
        same("softmax", &[], &[0, 3], &|| e.softmax(1));
        same("softmax 0", &[], &[0, 3], &|| e.softmax(0));
        same("layer_norm", &[], &[0, 3], &|| e.layer_norm(&[3], None, None, 1e-5));
        same("matmul", &[0.0; 6], &[3, 2], &|| e.t()?.matmul(&data(d, &[0, 2])?));
        same("matmul nothing", &[], &[0, 2], &|| e.matmul(&data(d, &[3, 2])?));
        same("cat", &[-1.0, -0.875, -0.75], &[1, 3], &|| Tensor::cat(&[&e, &data(d, &[1, 3])?, &e], 0));
        same("cat of nothing", &[], &[0, 3], &|| Tensor::cat(&[&e, &e], 0));
        same("stack", &[], &[2, 0, 3], &|| Tensor::stack(&[&e, &e], 0));
        same("empty", &[], &[0], &|| Tensor::empty([0], d));
        same("zeros", &[], &[2, 0], &|| Tensor::zeros([2, 0], d));
        same("arange", &[], &[0], &|| Tensor::arange(0.0, 0.0, 1.0, d));
        same("permute reshape", &[], &[3, 0, 1], &|| e.t()?.contiguous()?.reshape([3, 0, 1]));
        same("slice", &[], &[0], &|| data(d, &[4])?.slice(0, 4, 4, 1)?.exp());
        same("index_select", &[], &[0], &|| data(d, &[4])?.index_select(0, &ints(d, &[])?));
        same("gather", &[], &[0, 3], &|| e.gather(0, &Tensor::zeros([0, 3], (DType::I64, d))?));
        same("scatter_add", &[], &[0, 3], &|| e.scatter_add(0, &Tensor::zeros([0, 3], (DType::I64, d))?, &e));
        same("nonzero", &[], &[0, 2], &|| e.nonzero());
        same("pad", &[2.0, 2.0], &[2], &|| data(d, &[0])?.pad([1, 1], "constant", 2.0));
        same("expand", &[], &[2, 0, 3], &|| e.expand([2, 0, 3])?.contiguous());
        same("to", &[], &[0, 3], &|| e.to(&Device::cpu()));
        same("slice_assign", &[-1.0, -0.875], &[2], &|| data(d, &[2])?.slice_assign(0..0, &data(d, &[0])?));
        same("in place", &[], &[0, 3], &|| e.clone_data()?.add_(1.0).cloned());
        assert!(read(&e.mean_all()?)?[0].is_nan());
        let leaf = data(d, &[0, 3])?;
        leaf.requires_grad_(true)?;
        leaf.softmax(1)?.sum_all()?.backward()?;
        assert_eq!(leaf.grad().unwrap().shape(), [0, 3]);
        r.end();
        Ok(())
    });
}
