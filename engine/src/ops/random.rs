//! Random numbers: Philox4x32-10, a function of a seed and a counter.
//!
//! Word `i` of a stream is lane `i % 4` of block `i / 4`. A draw of `n` numbers takes the blocks from its
//! `offset` on, so what a tensor holds depends on nothing but the seed, the offset and the position:
//! integers and uniforms are the same bits on every device. Normals come from pairs of words through
//! polynomials that every device evaluates alike (they agree to a few ulp).

use smallvec::{SmallVec, smallvec};

use super::elementwise::Lane;
use super::fastmath::{cos_sin_of_turn, log};
use super::op::{Kind, Map, Op, Spec};
use crate::dtype::{DType, Scalar};
use crate::error::Result;
use crate::runtime::cpu::tile::Reg;

/// Which numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distribution {
    /// In `[0, 1)`, multiples of `2^-bits`: 24 bits for `f32`, 11 and 8 for `f16` and `bf16`, 53 for `f64`.
    Uniform,
    /// Mean 0, variance 1. Two positions share two words (Box and Muller).
    Normal,
    /// `low + (word * range >> 32)`: integers in `[low, low + range)`, `range <= 2^32`.
    Integers { low: i64, range: u64 },
}

/// A tensor of random numbers.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    pub spec: Spec,
    pub distribution: Distribution,
    pub seed: u64,
    pub offset: u64,
}

impl Random {
    /// How many blocks of four words `numel` numbers take.
    pub fn blocks(distribution: Distribution, dtype: DType, numel: usize) -> u64 {
        let n = numel as u64;
        match (distribution, dtype) {
            (Distribution::Uniform, DType::F64) => n.div_ceil(2),
            (Distribution::Normal, DType::F64) => n,
            _ => n.div_ceil(4),
        }
    }

    fn bits(&self) -> u32 {
        match self.spec.dtype {
            DType::F16 => 11,
            DType::BF16 => 8,
            DType::F64 => 53,
            _ => 24,
        }
    }
}

impl Op for Random {
    fn name(&self) -> &'static str {
        match self.distribution {
            Distribution::Uniform => "rand",
            Distribution::Normal => "randn",
            Distribution::Integers { .. } => "randint",
        }
    }

    fn infer(&self, _inputs: &[Spec]) -> Result<Spec> {
        Ok(self.spec.clone())
    }

    fn kind(&self) -> Kind<'_> {
        Kind::Map(self)
    }

    /// Seed and offset in halves; for integers the lowest and how many more there are.
    fn scalars(&self) -> SmallVec<[(Scalar, DType); 2]> {
        let word = |w: u64| (Scalar::Int((w & 0xffff_ffff) as i64), DType::U32);
        let mut all = smallvec![word(self.seed), word(self.seed >> 32), word(self.offset), word(self.offset >> 32)];
        if let Distribution::Integers { low, range } = self.distribution {
            all.push((low.into(), self.spec.dtype));
            all.push(word(range.wrapping_sub(1)));
        }
        all
    }

    fn differentiable(&self) -> bool {
        false
    }
}

/// The ten rounds.
pub(crate) fn philox(seed: u64, counter: u64) -> [u32; 4] {
    let (mut k0, mut k1) = (seed as u32, (seed >> 32) as u32);
    let (mut a, mut b, mut c, mut d) = (counter as u32, (counter >> 32) as u32, 0u32, 0u32);
    for _ in 0..10 {
        let (p, q) = (0xD251_1F53u64 * a as u64, 0xCD9E_8D57u64 * c as u64);
        (a, b, c, d) = ((q >> 32) as u32 ^ b ^ k0, q as u32, (p >> 32) as u32 ^ d ^ k1, p as u32);
        k0 = k0.wrapping_add(0x9E37_79B9);
        k1 = k1.wrapping_add(0xBB67_AE85);
    }
    [a, b, c, d]
}

/// The words of a stream, remembering the last block.
pub(crate) struct Words {
    seed: u64,
    offset: u64,
    last: Option<(u64, [u32; 4])>,
}

impl Words {
    pub fn new(seed: u64, offset: u64) -> Words {
        Words { seed, offset, last: None }
    }

    pub fn block(&mut self, index: u64) -> [u32; 4] {
        match self.last {
            Some((i, words)) if i == index => words,
            _ => {
                let words = philox(self.seed, self.offset.wrapping_add(index));
                self.last = Some((index, words));
                words
            }
        }
    }

    pub fn word(&mut self, i: u64) -> u32 {
        self.block(i / 4)[(i % 4) as usize]
    }
}

/// Both numbers of a pair of words.
fn box_muller(first: u32, second: u32) -> (f32, f32) {
    const STEP: f32 = 1.0 / 16_777_216.0;
    let radius = (-2.0 * log(((first >> 8) as f32 + 1.0) * STEP)).sqrt();
    let (cos, sin) = cos_sin_of_turn((second >> 8) as f32 * STEP);
    (radius * cos, radius * sin)
}

impl Map for Random {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        let Some(position) = args.first() else { return };
        let at = |i: usize| match position {
            Reg::Int(p) => p[i] as u64,
            other => u64::of(other)[i],
        };
        let half = |i: usize| u64::of(args[i]).first().copied().unwrap_or(0) & 0xffff_ffff;
        let mut words = Words::new(half(1) | half(2) << 32, half(3) | half(4) << 32);
        match (self.distribution, out) {
            (Distribution::Uniform, Reg::F32(out)) => {
                let (shift, step) = (32 - self.bits(), 2f32.powi(-(self.bits() as i32)));
                for (i, o) in out.iter_mut().take(n).enumerate() {
                    *o = (words.word(at(i)) >> shift) as f32 * step;
                }
            }
            (Distribution::Uniform, Reg::F64(out)) => {
                for (i, o) in out.iter_mut().take(n).enumerate() {
                    let (high, low) = (words.word(2 * at(i)), words.word(2 * at(i) + 1));
                    *o = unit(high, low);
                }
            }
            (Distribution::Normal, Reg::F32(out)) => {
                for (i, o) in out.iter_mut().take(n).enumerate() {
                    let p = at(i);
                    let block = words.block(p / 4);
                    let pair = (p & 2) as usize;
                    let (even, odd) = box_muller(block[pair], block[pair + 1]);
                    *o = if p & 1 == 0 { even } else { odd };
                }
            }
            (Distribution::Normal, Reg::F64(out)) => {
                for (i, o) in out.iter_mut().take(n).enumerate() {
                    let [a, b, c, d] = words.block(at(i));
                    let radius = (-2.0 * (1.0 - unit(a, b)).ln()).sqrt();
                    *o = radius * (std::f64::consts::TAU * unit(c, d)).cos();
                }
            }
            (Distribution::Integers { .. }, out) => {
                let more = half(6);
                let mut number = |i: usize| ((words.word(at(i)) as u64 * (more + 1)) >> 32) as i64;
                match out {
                    Reg::Int(out) => {
                        let low = i64::of(args[5]);
                        out.iter_mut().take(n).enumerate().for_each(|(i, o)| *o = low[i].wrapping_add(number(i)));
                    }
                    Reg::UInt(out) => {
                        let low = u64::of(args[5]);
                        out.iter_mut().take(n).enumerate().for_each(|(i, o)| *o = low[i].wrapping_add(number(i) as u64));
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn wgsl(&self, args: &[String], _inputs: &[DType], out: DType) -> String {
        let stream = args[..5].join(", ");
        match self.distribution {
            Distribution::Uniform => {
                let bits = self.bits();
                format!("V(philox({stream}) >> VU({}u)) * V({:e})", 32 - bits, 2f64.powi(-(bits as i32)))
            }
            Distribution::Normal => format!("philox_normal({stream})"),
            Distribution::Integers { .. } => {
                let (low, more) = (&args[5], &args[6]);
                let number = format!("philox_below(philox({stream}), {more})");
                if out.is_signed() { format!("{low} + bitcast<VI>({number})") } else { format!("{low} + {number}") }
            }
        }
    }

    fn cost(&self) -> u32 {
        200
    }

    fn positional(&self) -> bool {
        true
    }
}

/// 53 bits of two words as a number in `[0, 1)`.
fn unit(high: u32, low: u32) -> f64 {
    ((high as u64) << 21 | (low as u64) >> 11) as f64 * 2f64.powi(-53)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of the Random123 distribution, for counters that have two words.
    #[test]
    fn philox_gives_the_published_words() {
        assert_eq!(philox(0, 0), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    }

    #[test]
    fn normals_have_the_moments_they_should() {
        let mut words = Words::new(7, 0);
        let n = 40_000;
        let all: Vec<f64> = (0..n / 2)
            .flat_map(|i| {
                let (a, b) = box_muller(words.word(2 * i), words.word(2 * i + 1));
                [a as f64, b as f64]
            })
            .collect();
        let moment = |k: i32| all.iter().map(|x| x.powi(k)).sum::<f64>() / n as f64;
        assert!(moment(1).abs() < 0.02 && (moment(2) - 1.0).abs() < 0.03 && moment(3).abs() < 0.06 && (moment(4) - 3.0).abs() < 0.2);
    }
}
