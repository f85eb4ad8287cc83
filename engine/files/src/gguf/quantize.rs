//! Numbers as quantised blocks of 32, as the reference rounds them.

use half::f16;

use super::Type;

/// The bytes of whole blocks; `None` for kinds that are not written.
pub(super) fn quantize(kind: Type, values: &[f32]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match kind {
        Type::Q8_0 => values.chunks_exact(32).for_each(|x| {
            let d = x.iter().fold(0f32, |a, v| a.max(v.abs())) / 127.0;
            half(d, &mut out);
            out.extend(x.iter().map(|v| (v * inverse(d)).round() as i8 as u8));
        }),
        Type::Q4_0 => values.chunks_exact(32).for_each(|x| {
            let d = extreme(x) / -8.0;
            half(d, &mut out);
            nibbles(x, &mut out, |v| (v * inverse(d) + 8.5) as u8, 15);
        }),
        Type::Q5_0 => values.chunks_exact(32).for_each(|x| {
            let d = extreme(x) / -16.0;
            half(d, &mut out);
            fives(x, &mut out, |v| (v * inverse(d) + 16.5) as u8);
        }),
        Type::Q4_1 => values.chunks_exact(32).for_each(|x| {
            let (low, high) = ends(x);
            let d = (high - low) / 15.0;
            half(d, &mut out);
            half(low, &mut out);
            nibbles(x, &mut out, |v| ((v - low) * inverse(d) + 0.5) as u8, 15);
        }),
        Type::Q5_1 => values.chunks_exact(32).for_each(|x| {
            let (low, high) = ends(x);
            let d = (high - low) / 31.0;
            half(d, &mut out);
            half(low, &mut out);
            fives(x, &mut out, |v| ((v - low) * inverse(d) + 0.5) as u8);
        }),
        _ => return None,
    }
    Some(out)
}

fn half(v: f32, out: &mut Vec<u8>) {
    out.extend(f16::from_f32(v).to_le_bytes());
}

fn inverse(d: f32) -> f32 {
    if d == 0.0 { 0.0 } else { 1.0 / d }
}

/// The first number of the largest magnitude.
fn extreme(x: &[f32]) -> f32 {
    x.iter().fold(0.0, |a: f32, &v| if v.abs() > a.abs() { v } else { a })
}

fn ends(x: &[f32]) -> (f32, f32) {
    x.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)))
}

/// 16 bytes: the first 16 numbers in the low halves, the others in the high ones.
fn nibbles(x: &[f32], out: &mut Vec<u8>, code: impl Fn(f32) -> u8, most: u8) {
    let (low, high) = x.split_at(16);
    out.extend(low.iter().zip(high).map(|(&a, &b)| code(a).min(most) & 15 | code(b).min(most) << 4));
}

/// As `nibbles`, the fifth bits in 4 bytes before.
fn fives(x: &[f32], out: &mut Vec<u8>, code: impl Fn(f32) -> u8) {
    let codes: Vec<u8> = x.iter().map(|&v| code(v).min(31)).collect();
    out.extend(codes.chunks_exact(8).map(|c| c.iter().enumerate().fold(0, |bits, (i, q)| bits | q >> 4 << i)));
    let (low, high) = codes.split_at(16);
    out.extend(low.iter().zip(high).map(|(a, b)| a & 15 | (b & 15) << 4));
}
