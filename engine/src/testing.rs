//! What the unit tests share: every device, and comparison with a reference.

use crate::device::Device;
use crate::dtype::DType;
use crate::error::Result;
use crate::tensor::Tensor;

/// The CPU and every GPU present. With `TAPER_REQUIRE_GPU=1` a machine without one fails.
pub fn devices() -> Vec<Device> {
    let gpus: Vec<Device> = (0..Device::gpus().len()).filter_map(|i| Device::gpu(i).ok()).filter(|d| d.adapter().backend != "gl").collect();
    let required = std::env::var("TAPER_REQUIRE_GPU").is_ok_and(|v| v == "1");
    assert!(!(required && gpus.is_empty()), "TAPER_REQUIRE_GPU=1, but no GPU adapter can be opened");
    std::iter::once(Device::cpu()).chain(gpus).collect()
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
        .and_then(|t| if actual.dtype() == DType::F64 { actual.to_vec::<f64>() } else { Ok(t.to_vec::<f32>()?.into_iter().map(f64::from).collect()) })
        .unwrap_or_else(|e| panic!("on {}: {e}", actual.device()));
    assert_eq!(values.len(), expected.len(), "on {}: shape {:?}", actual.device(), actual.shape());
    for (i, (&a, &e)) in values.iter().zip(expected).enumerate() {
        let same = (a.is_nan() && e.is_nan()) || a == e || (a - e).abs() <= atol + rtol * e.abs();
        assert!(same, "on {}: element {i} is {a}, expected {e} (difference {:e})", actual.device(), (a - e).abs());
    }
}
