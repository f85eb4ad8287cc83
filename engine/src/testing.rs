//! What the unit tests share: every device, and comparison with a reference.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;

/// The first software GPU once more, with the kernels that hardware gets: machines that test have no other.
static HARDWARE: std::sync::LazyLock<Option<Device>> = std::sync::LazyLock::new(|| {
    let index = Device::gpus().iter().position(|a| a.software && a.backend != "gl")?;
    Some(Device::from_runtime(std::sync::Arc::new(crate::runtime::wgpu::Gpu::open_as_hardware(index).ok()?)))
});

/// The CPU and every GPU present. With `TAPER_REQUIRE_GPU=1` a machine without one fails.
pub fn devices() -> Vec<Device> {
    let required = std::env::var("TAPER_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let open = |i: usize| Device::gpu(i).inspect_err(|e| assert!(!required, "TAPER_REQUIRE_GPU=1, but a GPU cannot be opened: {e}")).ok();
    let adapters = Device::gpus();
    let gpus: Vec<Device> = (0..adapters.len()).filter(|&i| adapters[i].backend != "gl").filter_map(open).collect();
    assert!(!(required && gpus.is_empty()), "TAPER_REQUIRE_GPU=1, but there is no GPU adapter");
    std::iter::once(Device::cpu()).chain(gpus).chain(HARDWARE.clone()).collect()
}

/// Runs a test on every device, naming the one that fails.
#[track_caller]
pub fn for_each_device(test: impl Fn(&Device) -> Result<()>) {
    for device in devices() {
        if let Err(e) = test(&device) {
            panic!("on {device}: {e}");
        }
    }
}

/// Compares with float64 references, element by element: `|a - e| <= atol + rtol * |e|`, NaN equal to NaN.
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &[f64], rtol: f64, atol: f64) {
    let values = actual
        .to_dtype(DType::F32)
        .and_then(|t| {
            if actual.dtype() == DType::F64 { actual.to_vec::<f64>() } else { Ok(t.to_vec::<f32>()?.into_iter().map(f64::from).collect()) }
        })
        .unwrap_or_else(|e| panic!("on {}: {e}", actual.device()));
    assert_eq!(values.len(), expected.len(), "on {}: shape {:?}", actual.device(), actual.shape());
    for (i, (&a, &e)) in values.iter().zip(expected).enumerate() {
        let same = (a.is_nan() && e.is_nan()) || a == e || (a - e).abs() <= atol + rtol * e.abs();
        assert!(same, "on {}: element {i} is {a}, expected {e} (difference {:e})", actual.device(), (a - e).abs());
    }
}

/// Compares first and second derivatives of `f` with central differences, in `f64` on the CPU. The outputs are
/// weighted unevenly, so that no two mistakes cancel.
#[track_caller]
pub fn assert_gradients(inputs: &[(&[f64], &[usize])], f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let weigh = |t: &Tensor| -> Result<Tensor> {
        let weights: Vec<f64> = (0..t.numel()).map(|i| ((i * 7 + 3) % 11) as f64 / 5.0 - 0.9).collect();
        t.mul(&Tensor::from_vec(weights, t.shape(), t.device())?)?.sum_all()
    };
    let leaves = |data: &[Vec<f64>]| -> Result<Vec<Tensor>> {
        let leaf = |(d, (_, shape)): (&Vec<f64>, &(&[f64], &[usize]))| {
            let t = Tensor::from_vec(d.clone(), shape, &Device::cpu())?;
            t.requires_grad_(true)?;
            Ok(t)
        };
        data.iter().zip(inputs).map(leaf).collect()
    };
    // The function, or the weighted sum of its gradients.
    let scalar = |data: &[Vec<f64>], second: bool| -> Result<(Vec<Tensor>, Tensor)> {
        let xs = leaves(data)?;
        let y = weigh(&f(&xs)?)?;
        if !second {
            return Ok((xs, y));
        }
        let refs: Vec<&Tensor> = xs.iter().collect();
        let grads = crate::autograd::grad(&[&y], &refs, &[None], true, true)?;
        let mut sum = Tensor::zeros([], (DType::F64, &Device::cpu()))?;
        for g in grads.iter().flatten() {
            sum = sum.add(&weigh(g)?)?;
        }
        Ok((xs, sum))
    };
    let check = |second: bool| -> Result<()> {
        let data: Vec<Vec<f64>> = inputs.iter().map(|(d, _)| d.to_vec()).collect();
        let (xs, y) = scalar(&data, second)?;
        let refs: Vec<&Tensor> = xs.iter().collect();
        // A function that is linear has no second derivative to ask for.
        let grads = if y.requires_grad() { crate::autograd::grad(&[&y], &refs, &[None], false, false)? } else { vec![None; refs.len()] };
        for (k, grad) in grads.iter().enumerate() {
            let got = match grad {
                Some(g) => g.contiguous()?.to_vec::<f64>()?,
                None => vec![0.0; data[k].len()],
            };
            for i in 0..data[k].len() {
                let h = 1e-5;
                let at = |d: f64| {
                    let mut moved = data.clone();
                    moved[k][i] += d;
                    scalar(&moved, second)?.1.item::<f64>()
                };
                let slope = (at(h)? - at(-h)?) / (2.0 * h);
                let order = if second { "second" } else { "first" };
                assert!(
                    (got[i] - slope).abs() <= 2e-5 * (1.0 + slope.abs()),
                    "{order} derivative by element {i} of input {k} is {}, differences give {slope}",
                    got[i]
                );
            }
        }
        Ok(())
    };
    for second in [false, true] {
        if let Err(e) = check(second) {
            panic!("{e}");
        }
    }
}
