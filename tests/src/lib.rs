//! What the whole-system tests share: the devices of this machine, a small deterministic generator, and
//! reading and comparing tensors of any type.

pub mod conformance;
pub mod onnx;
pub mod program;
pub mod refusals;

use taper::{DType, Device, Error, Result, Tensor};

/// The CPU and every GPU present. GL adapters are left out unless `TAPER_GL=1`. With `TAPER_REQUIRE_GPU=1` a machine
/// without a GPU fails, and one whose GPU cannot be opened.
pub fn devices() -> Vec<Device> {
    std::iter::once(Device::cpu()).chain(gpus()).collect()
}

/// Every GPU present, as [`devices`].
pub fn gpus() -> Vec<Device> {
    let gl = flag("TAPER_GL");
    let mut found = Vec::new();
    for (i, adapter) in Device::gpus().iter().enumerate() {
        if adapter.backend.eq_ignore_ascii_case("gl") && !gl {
            continue;
        }
        match Device::gpu(i) {
            Ok(device) => found.push(device),
            Err(e) => {
                let which = format!("{} ({}): {e}", adapter.name, adapter.backend);
                assert!(!flag("TAPER_REQUIRE_GPU"), "TAPER_REQUIRE_GPU=1, but a GPU cannot be opened: {which}");
                eprintln!("skipped: {which}");
            }
        }
    }
    assert!(!(found.is_empty() && flag("TAPER_REQUIRE_GPU")), "TAPER_REQUIRE_GPU=1, but no GPU adapter can be opened");
    if found.is_empty() {
        eprintln!("skipped: no GPU adapter on this machine");
    }
    found
}

/// Whether an environment variable is `1`.
pub fn flag(name: &str) -> bool {
    std::env::var(name).is_ok_and(|v| v == "1")
}

/// How many times something random is tried: `TAPER_FULL=1` asks for twenty times as much.
pub fn amount(usual: usize) -> usize {
    if flag("TAPER_FULL") { usual * 20 } else { usual }
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `0..n`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }

    /// A uniform number in `low..high`.
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A tensor's elements, whatever its type, as `f64` (exact up to 2^53).
pub fn read(t: &Tensor) -> Result<Vec<f64>> {
    fn all<T: taper::Element>(t: &Tensor) -> Result<Vec<f64>> {
        Ok(t.to_vec::<T>()?.into_iter().map(|v| v.to_scalar().as_f64()).collect())
    }
    match t.dtype() {
        DType::Bool => all::<bool>(t),
        DType::U8 => all::<u8>(t),
        DType::I8 => all::<i8>(t),
        DType::U16 => all::<u16>(t),
        DType::I16 => all::<i16>(t),
        DType::U32 => all::<u32>(t),
        DType::I32 => all::<i32>(t),
        DType::U64 => all::<u64>(t),
        DType::I64 => all::<i64>(t),
        DType::F16 => all::<half::f16>(t),
        DType::BF16 => all::<half::bf16>(t),
        DType::F32 => all::<f32>(t),
        DType::F64 => all::<f64>(t),
    }
}

/// The first element where `a` and `b` differ by more than `atol + rtol * |b|`; NaN equals NaN.
pub fn difference(a: &[f64], b: &[f64], rtol: f64, atol: f64) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} elements against {}", a.len(), b.len()));
    }
    let differs = |a: f64, b: f64| !(a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= atol + rtol * b.abs());
    let bad: Vec<usize> = (0..a.len()).filter(|&i| differs(a[i], b[i])).collect();
    let &i = bad.first()?;
    let off = (a[i] - b[i]).abs();
    Some(format!("element {i} is {} against {} (off by {off:e}); {} of {} elements differ", a[i], b[i], bad.len(), a.len()))
}

/// Panics when a tensor's elements are not close to `expected`.
#[track_caller]
pub fn assert_close(actual: &Tensor, expected: &[f64], rtol: f64, atol: f64) {
    let values = read(actual).unwrap_or_else(|e| panic!("on {}: {e}", actual.device()));
    if let Some(why) = difference(&values, expected, rtol, atol) {
        panic!("on {}, shape {:?}: {why}", actual.device(), actual.shape());
    }
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

/// The kind of an error without its text: what two ways of running one program have to agree on.
pub fn kind(e: &Error) -> &'static str {
    match e.root() {
        Error::Argument { .. } => "argument",
        Error::Index { .. } => "index",
        Error::DType { .. } => "dtype",
        Error::Device { .. } => "device",
        Error::OutOfMemory { .. } => "out of memory",
        Error::DeviceLost { .. } => "device lost",
        Error::Autograd { .. } => "autograd",
        Error::Format { .. } => "format",
        Error::Io { .. } => "io",
        Error::Unsupported { .. } => "unsupported",
        _ => "other",
    }
}
