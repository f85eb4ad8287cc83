//! What the quantised blocks stand for: the reference's arithmetic, in f32 and in its order.

use half::f16;

use super::Type;
use crate::element::Order;

/// The numbers of whole blocks.
pub(super) fn dequantize(kind: Type, data: &[u8], order: Order) -> Vec<f32> {
    let (_, _, _, block, size) = kind.row();
    let mut out = vec![0.0; data.len() / size * block];
    for (bytes, y) in data.chunks_exact(size).zip(out.chunks_exact_mut(block)) {
        let b = Block { bytes, order };
        // A block is as long as the table says: the offsets below add up to it.
        match kind {
            Type::Q4_0 => b.q4(2, y, |d, _, q| d * (q - 8) as f32),
            Type::Q4_1 => b.q4(4, y, |d, m, q| d * q as f32 + m),
            Type::Q5_0 => b.q5(2, y, |d, _, q| d * (q - 16) as f32),
            Type::Q5_1 => b.q5(4, y, |d, m, q| d * q as f32 + m),
            Type::Q8_0 => {
                let d = b.half(0);
                for (y, &q) in y.iter_mut().zip(&bytes[2..]) {
                    *y = f32::from(q as i8) * d;
                }
            }
            Type::Q2_K => b.q2_k(y),
            Type::Q3_K => b.q3_k(y),
            Type::Q4_K => b.q4_k(y),
            Type::Q5_K => b.q5_k(y),
            Type::Q6_K => b.q6_k(y),
            // Plain types have no blocks: whoever reads them does not come here.
            Type::F32 | Type::F16 | Type::BF16 | Type::F64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 => {}
        }
    }
    out
}

struct Block<'a> {
    bytes: &'a [u8],
    order: Order,
}

impl Block<'_> {
    fn half(&self, at: usize) -> f32 {
        let bytes = [self.bytes[at], self.bytes[at + 1]];
        match self.order {
            Order::Little => f16::from_le_bytes(bytes),
            Order::Big => f16::from_be_bytes(bytes),
        }
        .to_f32()
    }

    /// The offset of kinds that have one: it follows the scale.
    fn offset(&self, head: usize) -> f32 {
        if head == 4 { self.half(2) } else { 0.0 }
    }

    /// 32 numbers: the low halves of 16 bytes, then the high ones.
    fn q4(&self, head: usize, y: &mut [f32], value: impl Fn(f32, f32, i32) -> f32) {
        let (d, m) = (self.half(0), self.offset(head));
        for j in 0..16 {
            let q = i32::from(self.bytes[head + j]);
            y[j] = value(d, m, q & 15);
            y[j + 16] = value(d, m, q >> 4);
        }
    }

    /// As `q4`, with a fifth bit each in 4 bytes before.
    fn q5(&self, head: usize, y: &mut [f32], value: impl Fn(f32, f32, i32) -> f32) {
        let (d, m) = (self.half(0), self.offset(head));
        let high = |i: usize| i32::from(self.bytes[head + i / 8] >> (i % 8) & 1) << 4;
        for j in 0..16 {
            let q = i32::from(self.bytes[head + 4 + j]);
            y[j] = value(d, m, q & 15 | high(j));
            y[j + 16] = value(d, m, q >> 4 | high(j + 16));
        }
    }

    /// Number `i` of 256 of 2 bits: 4 from each of 32 bytes, twice.
    fn two_bits(&self, at: usize, i: usize) -> i32 {
        i32::from(self.bytes[at + i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3)
    }

    /// Number `i` of 256 of 4 bits: the low halves of 32 bytes, then their high ones, four times.
    fn four_bits(&self, at: usize, i: usize) -> i32 {
        i32::from(self.bytes[at + i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4) & 15)
    }

    /// Scales (16), 2 bits each (64), scale of scales, scale of offsets.
    fn q2_k(&self, y: &mut [f32]) {
        let (d, dmin) = (self.half(80), self.half(82));
        for (i, y) in y.iter_mut().enumerate() {
            let s = self.bytes[i / 16];
            let (dl, ml) = (d * f32::from(s & 15), dmin * f32::from(s >> 4));
            *y = dl * self.two_bits(16, i) as f32 - ml;
        }
    }

    /// High bits (32), 2 low bits each (64), scales of 6 bits (12), their scale.
    fn q3_k(&self, y: &mut [f32]) {
        let (d, s) = (self.half(108), &self.bytes[96..108]);
        for (i, y) in y.iter_mut().enumerate() {
            let j = i / 16;
            let (low, high) = (s[j % 8] >> (j / 8 * 4) & 15, s[8 + j % 4] >> (j / 4 * 2) & 3);
            let dl = d * f32::from((low | high << 4) as i8 - 32);
            // The bit says that 4 is not taken away.
            let set = i32::from(self.bytes[i % 32] >> (i / 32) & 1);
            *y = dl * (self.two_bits(32, i) - 4 * (1 - set)) as f32;
        }
    }

    /// Scale and offset `j` of 8, of 6 bits each in 12 bytes.
    fn scale_min(&self, j: usize) -> (f32, f32) {
        let s = &self.bytes[4..16];
        let (scale, min) = match j {
            0..4 => (s[j] & 63, s[j + 4] & 63),
            _ => (s[j + 4] & 15 | s[j - 4] >> 2 & 48, s[j + 4] >> 4 | s[j] >> 2 & 48),
        };
        (f32::from(scale), f32::from(min))
    }

    /// Scale of scales, scale of offsets, both of them (12), 4 bits each (128).
    fn q4_k(&self, y: &mut [f32]) {
        let (d, dmin) = (self.half(0), self.half(2));
        for (j, y) in y.chunks_exact_mut(32).enumerate() {
            let (scale, min) = self.scale_min(j);
            let (dl, ml) = (d * scale, dmin * min);
            for (l, y) in y.iter_mut().enumerate() {
                *y = dl * self.four_bits(16, j * 32 + l) as f32 - ml;
            }
        }
    }

    /// As `q4_k`, with the fifth bits (32) before the others.
    fn q5_k(&self, y: &mut [f32]) {
        let (d, dmin) = (self.half(0), self.half(2));
        for (j, y) in y.chunks_exact_mut(32).enumerate() {
            let (scale, min) = self.scale_min(j);
            let (dl, ml) = (d * scale, dmin * min);
            for (l, y) in y.iter_mut().enumerate() {
                let high = i32::from(self.bytes[16 + l] >> j & 1) << 4;
                *y = dl * (self.four_bits(48, j * 32 + l) | high) as f32 - ml;
            }
        }
    }

    /// 4 low bits each (128: of 64 bytes the low halves, then the high ones, twice), 2 high bits (64), scales (16), their scale.
    fn q6_k(&self, y: &mut [f32]) {
        let d = self.half(208);
        for (i, y) in y.iter_mut().enumerate() {
            let low = i32::from(self.bytes[i / 128 * 64 + i % 64] >> (i % 128 / 64 * 4) & 15);
            let q = (low | self.two_bits(128, i) << 4) - 32;
            let scale = f32::from(self.bytes[192 + i / 16] as i8);
            *y = d * scale * q as f32;
        }
    }
}
