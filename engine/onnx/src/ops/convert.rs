//! Conversions between element types.

use taper::{DType, Error, Result, Tensor};

use super::{Operator, op};
use crate::call::{Call, Out, one};
use crate::element::Elem;
use crate::host::with_element;
use crate::value::Array;

pub(super) static TABLE: &[Operator] = &[
    op("BitCast", 1, bit_cast),
    op("Cast", 1, |c| {
        let to = c.elem("to")?.ok_or_else(|| c.error("attribute 'to' is missing"))?;
        one(cast(c, to)?)
    }),
    op("CastLike", 15, |c| one(cast(c, c.array(1)?.elem())?)),
];

fn cast(c: &Call<'_>, to: Elem) -> Result<Array> {
    convert(&c.tensor(0)?, to, c.flag("saturate", true)?, c.text("round_mode", "up")?)
}

/// Values of another type.
pub(super) fn convert(x: &Tensor, to: Elem, saturate: bool, mode: &str) -> Result<Array> {
    let held = match to {
        Elem::Plain(dtype) => x.to_dtype(dtype)?,
        Elem::Narrow(n) if to.is_float() => n.round(x, saturate, mode)?,
        // The low bits of the whole part, as they wrap in every integer type.
        Elem::Narrow(_) => {
            let bits = to.bits() as u32;
            let low = x.to_dtype(DType::I32)?.bitwise_and((1i64 << bits) - 1)?;
            let signed = to.range().is_some_and(|(low, _)| low < 0);
            let value = if signed { low.sub(low.ge(1i64 << (bits - 1))?.to_dtype(DType::I32)?.mul(1i64 << bits)?)? } else { low };
            value.to_dtype(to.storage())?
        }
    };
    Array::new(to, held)
}

/// The same bits as another type of as many: through the host, as devices hold integers each in its own way.
fn bit_cast(c: &Call<'_>) -> Out {
    let (x, to) = (c.array(0)?, c.elem("to")?.ok_or_else(|| c.error("attribute 'to' is missing"))?);
    let (Elem::Plain(from), Elem::Plain(dtype)) = (x.elem(), to) else {
        return Err(Error::unsupported("onnx", format!("the bits of {} as {to}", x.elem())));
    };
    if from.size() != dtype.size() {
        return Err(c.error(format!("{from} and {dtype} have not the same number of bits")));
    }
    let t = x.tensor(c.device)?;
    let bytes = with_element!(from, T => <T as taper::Element>::write_bytes(&t.to_vec::<T>()?));
    one(Tensor::from_bytes(&bytes, dtype, t.shape(), c.device)?)
}
