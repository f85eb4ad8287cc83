//! Printing, as PyTorch prints: four digits, scientific where magnitudes differ by more than a thousand, and the
//! first and last three of long dimensions.

use std::fmt;

use super::Tensor;
use crate::autograd::Edge;
use crate::dtype::{DType, Element, Scalar};
use crate::error::Result;
use crate::shape::contiguous_strides;

const PRECISION: usize = 4;
/// Elements from which on a tensor is summarised, and how many of each end remain.
const THRESHOLD: usize = 1000;
const EDGE: usize = 3;
const LINE: usize = 80;

impl fmt::Display for Tensor {
    /// Reads the values: everything pending is computed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.render() {
            Ok(text) => f.write_str(&text),
            Err(e) => write!(f, "tensor(failed: {e})"),
        }
    }
}

impl fmt::Debug for Tensor {
    /// What the tensor is, without computing it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value() {
            Ok(_) => write!(f, "Tensor({:?}, {}, {})", self.shape(), self.dtype(), self.device()),
            Err(e) => write!(f, "Tensor(failed: {e})"),
        }
    }
}

impl Tensor {
    fn render(&self) -> Result<String> {
        let values = scalars(&self.to_bytes()?, self.dtype());
        let summarize = self.numel() > THRESHOLD;
        let mut shown = Vec::new();
        visible(self.shape(), 0, 0, &contiguous_strides(self.shape()), summarize, &mut shown);
        let format = Format::of(&shown.iter().map(|&i| values[i]).collect::<Vec<_>>(), self.dtype());
        let body = if self.numel() == 0 { "[]".to_string() } else { nested(&values, self.shape(), 0, 7, summarize, &format) };
        let mut out = format!("tensor({body}");
        let mut suffix = Vec::new();
        if self.numel() == 0 && self.rank() != 1 {
            suffix.push(format!("size={:?}", self.shape()));
        }
        if !self.device().is_cpu() {
            suffix.push(format!("device='{}'", self.device()));
        }
        let default = [DType::F32, DType::I64, DType::Bool].contains(&self.dtype()) && (self.numel() > 0 || self.dtype() == DType::F32);
        if !default {
            suffix.push(format!("dtype={}", self.dtype()));
        }
        match self.edge() {
            Edge::Node(node) => suffix.push(format!("grad_fn=<{}>", node.name)),
            Edge::Leaf(_) => suffix.push("requires_grad=True".to_string()),
            Edge::None => {}
        }
        for s in suffix {
            let line = out.len() - out.rfind('\n').map_or(0, |i| i + 1);
            out.push_str(if line + s.len() + 3 > LINE { ",\n       " } else { ", " });
            out.push_str(&s);
        }
        out.push(')');
        Ok(out)
    }
}

fn scalars(bytes: &[u8], dtype: DType) -> Vec<Scalar> {
    fn all<T: Element>(bytes: &[u8]) -> Vec<Scalar> {
        T::read_bytes(bytes).into_iter().map(T::to_scalar).collect()
    }
    match dtype {
        DType::Bool => all::<bool>(bytes),
        DType::U8 => all::<u8>(bytes),
        DType::I8 => all::<i8>(bytes),
        DType::U16 => all::<u16>(bytes),
        DType::I16 => all::<i16>(bytes),
        DType::U32 => all::<u32>(bytes),
        DType::I32 => all::<i32>(bytes),
        DType::U64 => all::<u64>(bytes),
        DType::I64 => all::<i64>(bytes),
        DType::F16 => all::<half::f16>(bytes),
        DType::BF16 => all::<half::bf16>(bytes),
        DType::F32 => all::<f32>(bytes),
        DType::F64 => all::<f64>(bytes),
    }
}

/// Positions along a dimension that are printed; the gap, if there is one, comes after the first `EDGE`.
fn edges(size: usize, summarize: bool) -> (Vec<usize>, bool) {
    if summarize && size > 2 * EDGE { ((0..EDGE).chain(size - EDGE..size).collect(), true) } else { ((0..size).collect(), false) }
}

fn visible(shape: &[usize], dim: usize, at: usize, strides: &[isize], summarize: bool, out: &mut Vec<usize>) {
    if dim == shape.len() {
        out.push(at);
        return;
    }
    for i in edges(shape[dim], summarize).0 {
        visible(shape, dim + 1, at + i * strides[dim] as usize, strides, summarize, out);
    }
}

fn nested(values: &[Scalar], shape: &[usize], at: usize, indent: usize, summarize: bool, format: &Format) -> String {
    let Some((&size, inner)) = shape.split_first() else { return format.element(values[at]) };
    let step: usize = inner.iter().product();
    let (positions, gap) = edges(size, summarize);
    let mut parts: Vec<String> = positions.iter().map(|&i| nested(values, inner, at + i * step, indent + 1, summarize, format)).collect();
    if gap {
        parts.insert(EDGE, if inner.is_empty() { " ...".to_string() } else { "...".to_string() });
    }
    let pad = " ".repeat(indent + 1);
    if !inner.is_empty() {
        let separator = format!(",{}{pad}", "\n".repeat(inner.len()));
        return format!("[{}]", parts.join(&separator));
    }
    let per_line = ((LINE - indent.min(LINE - 1)) / (format.width + 2)).max(1);
    let lines: Vec<String> = parts.chunks(per_line).map(|line| line.join(", ")).collect();
    format!("[{}]", lines.join(&format!(",\n{pad}")))
}

/// One notation and one width for all elements.
struct Format {
    notation: Notation,
    width: usize,
}

#[derive(Clone, Copy, PartialEq)]
enum Notation {
    /// Integers and `bool`.
    Plain,
    /// Floats that are all whole: `1.`
    Whole,
    Fixed,
    Scientific,
}

impl Format {
    fn of(shown: &[Scalar], dtype: DType) -> Format {
        if !dtype.is_float() {
            let width = shown.iter().map(|&v| write(v, Notation::Plain).len()).max().unwrap_or(1);
            return Format { notation: Notation::Plain, width };
        }
        let finite: Vec<f64> = shown.iter().map(|v| v.as_f64()).filter(|v| v.is_finite() && *v != 0.0).collect();
        let (low, high) = finite.iter().fold((f64::INFINITY, 0.0f64), |(lo, hi), v| (lo.min(v.abs()), hi.max(v.abs())));
        let whole = finite.iter().all(|v| *v == v.ceil());
        let wide = !finite.is_empty() && (high / low > 1000.0 || high > 1e8);
        let notation = match (whole, wide, !finite.is_empty() && low < 1e-4) {
            (true, false, _) => Notation::Whole,
            (false, false, false) => Notation::Fixed,
            _ => Notation::Scientific,
        };
        let width = finite.iter().map(|&v| write(Scalar::Float(v), notation).len()).max().unwrap_or(1);
        Format { notation, width }
    }

    fn element(&self, v: Scalar) -> String {
        format!("{:>1$}", write(v, self.notation), self.width)
    }
}

fn write(v: Scalar, notation: Notation) -> String {
    let f = match v {
        Scalar::Bool(b) => return if b { "True".into() } else { "False".into() },
        Scalar::Int(i) => return i.to_string(),
        Scalar::UInt(u) => return u.to_string(),
        Scalar::Float(f) if f.is_nan() => return "nan".into(),
        Scalar::Float(f) if f.is_infinite() => return if f > 0.0 { "inf".into() } else { "-inf".into() },
        Scalar::Float(f) => f,
    };
    match notation {
        Notation::Plain | Notation::Whole => format!("{f:.0}."),
        Notation::Fixed => format!("{f:.PRECISION$}"),
        Notation::Scientific => {
            let text = format!("{f:.PRECISION$e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
            format!("{digits}e{sign}{exponent:0>2}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Device;
    use crate::graph::flush_gather as gather;
    use crate::shape::Layout;

    fn shown<T: Element>(values: Vec<T>, shape: &[usize]) -> String {
        Tensor::from_vec(values, shape, &Device::cpu()).map_or_else(|e| e.to_string(), |t| t.to_string())
    }

    #[test]
    fn prints_what_pytorch_prints() {
        assert_eq!(shown(vec![1.0f32, 2.0, 3.0], &[3]), "tensor([1., 2., 3.])");
        assert_eq!(
            shown(vec![1.5f32, -2.25, f32::NAN, f32::INFINITY], &[2, 2]),
            "tensor([[ 1.5000, -2.2500],\n        [    nan,     inf]])"
        );
        assert_eq!(shown(vec![1e-5f32, 1.0], &[2]), "tensor([1.0000e-05, 1.0000e+00])");
        assert_eq!(shown(vec![1i64, -20], &[2]), "tensor([  1, -20])");
        assert_eq!(shown(vec![true, false], &[2]), "tensor([ True, False])");
        assert_eq!(shown(vec![2.5f64], &[]), "tensor(2.5000, dtype=f64)");
        assert_eq!(shown(Vec::<f32>::new(), &[0, 3]), "tensor([], size=[0, 3])");
        let long = shown((0..2000).map(|i| i as f32).collect(), &[2000]);
        assert_eq!(long, "tensor([0.0000e+00, 1.0000e+00, 2.0000e+00,  ..., 1.9970e+03, 1.9980e+03,\n        1.9990e+03])");
        assert_eq!(shown((0..8i64).collect(), &[2, 2, 2]), "tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]])");
    }

    #[test]
    fn gathers_strided_elements() {
        let bytes: Vec<u8> = (0..6).collect();
        let t = Layout { shape: [3, 2].as_slice().into(), strides: [1isize, 3].as_slice().into(), offset: 0 };
        assert_eq!(gather(&bytes, &t, 1), [0, 3, 1, 4, 2, 5]);
    }
}
