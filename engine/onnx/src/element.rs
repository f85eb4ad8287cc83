//! ONNX element types, and how those that Taper has no tensors of are held.
//!
//! Integers of 2 and 4 bits lie in `i8` and `u8`, floats of 4 and 8 bits in `f32`, which holds each of their values: a tensor
//! has the narrow type's values in a wider storage, and [`Elem`] says which type is meant. Rounding happens where a value is
//! made (`Cast`, `QuantizeLinear`), so that nothing is lost and nothing is kept that the type could not hold.

use taper::{DType, Error, Result, Tensor};

/// The type of a tensor's elements in a model.
///
/// ```
/// use taper::DType;
/// use taper_onnx::{Elem, Narrow};
/// assert_eq!(Elem::Narrow(Narrow::I4).storage(), DType::I8);
/// assert_eq!(Elem::from(DType::F16).to_string(), "f16");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Elem {
    /// A type that Taper has.
    Plain(DType),
    /// A narrower one, held in a wider one.
    Narrow(Narrow),
}

/// A type narrower than a byte, or a float of a byte.
///
/// ```
/// use taper_onnx::{Elem, Narrow};
/// assert!(Elem::Narrow(Narrow::F8E5M2).is_float());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Narrow {
    U4,
    I4,
    U2,
    I2,
    F8E4M3FN,
    F8E4M3FNUZ,
    F8E5M2,
    F8E5M2FNUZ,
    F8E8M0,
    F4E2M1,
}

use Narrow::*;

impl From<DType> for Elem {
    fn from(dtype: DType) -> Elem {
        Elem::Plain(dtype)
    }
}

impl std::fmt::Display for Elem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Elem::Plain(dtype) => dtype.fmt(f),
            Elem::Narrow(n) => f.write_str(&format!("{n:?}").to_lowercase()),
        }
    }
}

impl Elem {
    /// The type of a number in `TensorProto.DataType`.
    pub(crate) fn of(code: i64) -> Result<Elem> {
        Ok(match code {
            1 => DType::F32.into(),
            2 => DType::U8.into(),
            3 => DType::I8.into(),
            4 => DType::U16.into(),
            5 => DType::I16.into(),
            6 => DType::I32.into(),
            7 => DType::I64.into(),
            9 => DType::Bool.into(),
            10 => DType::F16.into(),
            11 => DType::F64.into(),
            12 => DType::U32.into(),
            13 => DType::U64.into(),
            16 => DType::BF16.into(),
            17 => Elem::Narrow(F8E4M3FN),
            18 => Elem::Narrow(F8E4M3FNUZ),
            19 => Elem::Narrow(F8E5M2),
            20 => Elem::Narrow(F8E5M2FNUZ),
            21 => Elem::Narrow(U4),
            22 => Elem::Narrow(I4),
            23 => Elem::Narrow(F4E2M1),
            24 => Elem::Narrow(F8E8M0),
            25 => Elem::Narrow(U2),
            26 => Elem::Narrow(I2),
            other => {
                let name = match other {
                    8 => "strings",
                    14 | 15 => "complex numbers",
                    27 | 28 => "floats of 6 bits",
                    _ => return Err(Error::format("onnx", format!("{other} is no element type"))),
                };
                return Err(Error::unsupported("onnx", format!("tensors of {name} are not supported")));
            }
        })
    }

    /// The type its tensors have in Taper.
    ///
    /// ```
    /// # use taper::DType; use taper_onnx::{Elem, Narrow};
    /// assert_eq!(Elem::Narrow(Narrow::U4).storage(), DType::U8);
    /// ```
    pub fn storage(self) -> DType {
        match self {
            Elem::Plain(dtype) => dtype,
            Elem::Narrow(U4 | U2) => DType::U8,
            Elem::Narrow(I4 | I2) => DType::I8,
            Elem::Narrow(_) => DType::F32,
        }
    }

    /// Whether its values are floats.
    ///
    /// ```
    /// # use taper_onnx::{Elem, Narrow};
    /// assert!(Elem::Narrow(Narrow::F4E2M1).is_float() && !Elem::Narrow(Narrow::I2).is_float());
    /// ```
    pub fn is_float(self) -> bool {
        self.storage().is_float()
    }

    /// Bits of one element in a file.
    pub(crate) fn bits(self) -> usize {
        match self {
            Elem::Plain(dtype) => dtype.size() * 8,
            Elem::Narrow(U2 | I2) => 2,
            Elem::Narrow(U4 | I4 | F4E2M1) => 4,
            Elem::Narrow(_) => 8,
        }
    }

    /// The smallest and the largest value, of integers.
    pub(crate) fn range(self) -> Option<(i64, i64)> {
        match self {
            Elem::Plain(dtype) => {
                let (low, high) = dtype.int_range()?;
                Some((low.max(i64::MIN.into()) as i64, high.min(i64::MAX.into()) as i64))
            }
            Elem::Narrow(U4) => Some((0, 15)),
            Elem::Narrow(I4) => Some((-8, 7)),
            Elem::Narrow(U2) => Some((0, 3)),
            Elem::Narrow(I2) => Some((-2, 1)),
            Elem::Narrow(_) => None,
        }
    }
}

/// What there is to know of a narrow float with a sign.
#[derive(Debug, Clone, Copy)]
struct Format {
    /// Bits behind the point.
    mantissa: i32,
    bias: i32,
    largest: f64,
    infinity: bool,
    nan: bool,
}

impl Narrow {
    fn format(self) -> Option<Format> {
        let format = |mantissa, bias, largest, infinity, nan| Some(Format { mantissa, bias, largest, infinity, nan });
        match self {
            F8E4M3FN => format(3, 7, 448.0, false, true),
            F8E4M3FNUZ => format(3, 8, 240.0, false, true),
            F8E5M2 => format(2, 15, 57344.0, true, true),
            F8E5M2FNUZ => format(2, 16, 57344.0, false, true),
            F4E2M1 => format(1, 1, 6.0, false, false),
            _ => None,
        }
    }

    /// The value of a code in a file.
    pub(crate) fn decode(self, code: u8) -> f64 {
        let Some(Format { mantissa, bias, .. }) = self.format() else {
            return match self {
                F8E8M0 if code == 0xFF => f64::NAN,
                F8E8M0 => 2f64.powi(i32::from(code) - 127),
                I4 => f64::from((code << 4) as i8 >> 4),
                I2 => f64::from((code << 6) as i8 >> 6),
                _ => f64::from(code),
            };
        };
        let sign_bit = if self == F4E2M1 { 3 } else { 7 };
        let (magnitude, negative) = (i32::from(code & !(1 << sign_bit)), code >> sign_bit & 1 == 1);
        let (exponent, fraction) = (magnitude >> mantissa, magnitude & ((1 << mantissa) - 1));
        let special = match self {
            F8E4M3FN if magnitude == 0x7F => Some(f64::NAN),
            F8E4M3FNUZ | F8E5M2FNUZ if code == 0x80 => Some(f64::NAN),
            F8E5M2 if exponent == 31 => Some(if fraction == 0 { f64::INFINITY } else { f64::NAN }),
            _ => None,
        };
        let unit = 2f64.powi(exponent.max(1) - bias - mantissa);
        let whole = if exponent == 0 { fraction } else { fraction + (1 << mantissa) };
        let value = special.unwrap_or(f64::from(whole) * unit);
        if negative { -value } else { value }
    }

    /// A float tensor rounded to this type's values, half to even. What lies beyond them becomes the largest, or, unless
    /// `saturate`, infinity or NaN.
    pub(crate) fn round(self, x: &Tensor, saturate: bool, mode: &str) -> Result<Tensor> {
        let x = x.to_dtype(DType::F32)?;
        let Some(Format { mantissa, bias, largest, infinity, nan }) = self.format() else {
            return match self {
                F8E8M0 => round_to_power(&x, saturate, mode),
                _ => Err(Error::dtype("onnx", format!("{self:?} is no float"))),
            };
        };
        // x = m * 2^e with m in [1/2, 1): the unit of the last place is 2^(e - 1 - mantissa), and below the normal range constant.
        let (_, e) = x.frexp()?;
        let least = 1 - bias - mantissa;
        let e = e.to_dtype(DType::F32)?.sub(1 + mantissa)?.clamp(f64::from(least), 127.0)?;
        let one = e.ones_like()?;
        let rounded = x.div(&one.ldexp(&e)?)?.round()?.mul(&one.ldexp(&e)?)?;
        let magnitude = rounded.abs()?;
        let beyond = magnitude.gt(largest)?;
        let limit = if saturate || !(infinity || nan) {
            largest
        } else if infinity {
            f64::INFINITY
        } else {
            f64::NAN
        };
        let clipped = x.sign()?.mul(limit)?.where_(&beyond, &rounded)?;
        // Infinities: e is meaningless for them.
        let clipped = x.sign()?.mul(limit)?.where_(&x.isinf()?, &clipped)?;
        // Where there is no such thing it becomes zero.
        let not_a_number = if nan { f64::NAN } else { 0.0 };
        clipped.masked_fill(&x.isnan()?, not_a_number)
    }
}

/// The magnitude as a power of two: the next one (`up`), the one before (`down`) or the nearer one (`nearest`, halfway up).
fn round_to_power(x: &Tensor, saturate: bool, mode: &str) -> Result<Tensor> {
    let (m, e) = x.frexp()?;
    let floor = e.to_dtype(DType::F32)?.sub(1)?;
    let exact = m.abs()?.eq(0.5)?;
    let up = match mode {
        "down" => exact.zeros_like()?,
        "nearest" => m.abs()?.ge(0.75)?,
        _ => exact.logical_not()?,
    };
    let e = floor.add(up.to_dtype(DType::F32)?)?;
    let beyond = x.isfinite()?.logical_not()?;
    let beyond = if saturate { beyond } else { beyond.logical_or(e.gt(127.0)?)? };
    let e = e.clamp(-127.0, 127.0)?;
    let smallest = 2f64.powi(-127);
    let y = e.ones_like()?.ldexp(&e)?.masked_fill(&x.abs()?.le(smallest)?, smallest)?;
    y.masked_fill(&beyond, f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use taper::Device;

    /// Each code's value is its own rounding, and what lies between two neighbours goes to the nearer one.
    #[test]
    fn rounding_reaches_the_values_and_nothing_else() {
        for n in [F8E4M3FN, F8E4M3FNUZ, F8E5M2, F8E5M2FNUZ, F4E2M1] {
            let codes = (0..if n == F4E2M1 { 16 } else { 256u16 }).map(|c| n.decode(c as u8));
            let mut values: Vec<f64> = codes.filter(|v| v.is_finite()).collect();
            values.sort_by(f64::total_cmp);
            values.dedup();
            let between: Vec<f64> = values.windows(2).map(|w| w[0] + (w[1] - w[0]) * 0.4).collect();
            for (given, expected) in [(&values, &values[..]), (&between, &values[..between.len()])] {
                let given: Vec<f32> = given.iter().map(|&v| v as f32).collect();
                let x = Tensor::from_slice(&given, [given.len()], &Device::cpu()).unwrap();
                let y = n.round(&x, true, "up").unwrap().to_vec::<f32>().unwrap();
                for ((g, y), e) in given.iter().zip(&y).zip(expected) {
                    assert_eq!(f64::from(*y), *e, "{n:?}: {g}");
                }
            }
        }
    }
}
