//! What is known of values without looking at them.

use taper::DType;

/// What is known of a tensor's values without looking at them.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// No larger than this.
    pub mag: f64,
    /// Rounding errors no larger than about this.
    pub err: f64,
    /// Multiples of `2^-quantum`, exactly.
    pub quantum: Option<i32>,
}

impl Meta {
    pub fn exact(mag: f64, quantum: i32) -> Meta {
        Meta { mag, err: 0.0, quantum: Some(quantum) }
    }
    pub fn unknown() -> Meta {
        Meta { mag: 1000.0, err: f64::INFINITY, quantum: None }
    }
    /// Whether values of this type hold such numbers exactly, sums and products included.
    pub fn fits(self, dtype: DType) -> Meta {
        let bits = match dtype {
            DType::F64 => 48.0,
            DType::F32 | DType::I64 | DType::I32 => 21.0,
            DType::F16 => 10.0,
            DType::BF16 => 7.0,
            // Small integers wrap, which is exact.
            _ => return Meta::exact(256.0, 0),
        };
        match self.quantum {
            Some(q) if self.mag.max(1e-9).log2() + q as f64 <= bits => self,
            Some(q) => Meta { quantum: None, err: self.err.max(eps(dtype) * self.mag), ..self }.keep_int(dtype, q),
            None => self,
        }
    }
    pub fn keep_int(self, dtype: DType, q: i32) -> Meta {
        if dtype.is_int() { Meta { quantum: Some(q), err: 0.0, ..self } } else { self }
    }
    pub fn is_exact(&self) -> bool {
        self.quantum.is_some()
    }
    pub fn join(self, o: Meta) -> Meta {
        let quantum = match (self.quantum, o.quantum) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
        Meta { mag: self.mag.max(o.mag), err: self.err.max(o.err), quantum }
    }
    /// The image under a function with slope `slope` and values up to `mag`.
    pub fn smooth(self, slope: f64, mag: f64, dtype: DType) -> Meta {
        Meta { mag, err: self.err * slope + eps(dtype) * mag.max(1.0) * 4.0, quantum: None }
    }
}

/// A few units in the last place.
pub fn eps(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => 1e-13,
        DType::F16 => 1e-3,
        DType::BF16 => 8e-3,
        _ => 1e-6,
    }
}
