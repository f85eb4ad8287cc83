//! Registers of the CPU's fused programs: one cache-sized tile of values of one class.

use crate::dtype::Scalar;
use crate::ops::Class;

/// Elements of a tile: 1,024 `f32` are 4 KiB, so that a dozen registers stay in the first-level cache.
pub const TILE: usize = 1024;

/// A tile of values. Low-precision floats are held as `f32`, all integers as 64 bits.
#[derive(Debug, Clone)]
pub enum Reg {
    F32(Vec<f32>),
    F64(Vec<f64>),
    Int(Vec<i64>),
    UInt(Vec<u64>),
    Bool(Vec<bool>),
}

/// The same for every class: `each!(reg, v => expression)`, `v` being the vector.
macro_rules! each {
    ($reg:expr, $v:ident => $e:expr) => {
        match $reg {
            Reg::F32($v) => $e,
            Reg::F64($v) => $e,
            Reg::Int($v) => $e,
            Reg::UInt($v) => $e,
            Reg::Bool($v) => $e,
        }
    };
}

impl Reg {
    pub fn new(class: Class, n: usize) -> Reg {
        match class {
            Class::F32 => Reg::F32(vec![0.0; n]),
            Class::F64 => Reg::F64(vec![0.0; n]),
            Class::Int => Reg::Int(vec![0; n]),
            Class::UInt => Reg::UInt(vec![0; n]),
            Class::Bool => Reg::Bool(vec![false; n]),
        }
    }

    pub fn class(&self) -> Class {
        match self {
            Reg::F32(_) => Class::F32,
            Reg::F64(_) => Class::F64,
            Reg::Int(_) => Class::Int,
            Reg::UInt(_) => Class::UInt,
            Reg::Bool(_) => Class::Bool,
        }
    }

    pub fn len(&self) -> usize {
        each!(self, v => v.len())
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes it `n` elements long; contents are arbitrary.
    pub(super) fn resize(&mut self, n: usize) {
        each!(self, v => v.resize(n, Default::default()))
    }

    /// The value everywhere.
    pub(super) fn fill(&mut self, s: Scalar) {
        match self {
            Reg::F32(v) => v.fill(s.as_f64() as f32),
            Reg::F64(v) => v.fill(s.as_f64()),
            Reg::Int(v) => v.fill(s.as_i64()),
            Reg::UInt(v) => v.fill(s.as_i64() as u64),
            Reg::Bool(v) => v.fill(s.as_bool()),
        }
    }

    /// Each element of `from` `times` times in a row: a value of each row beside each of its columns.
    pub(super) fn stretch(&mut self, from: &Reg, times: usize) {
        fn stretch<T: Copy>(to: &mut [T], from: &[T], times: usize) {
            to.chunks_exact_mut(times.max(1)).zip(from).for_each(|(t, &v)| t.fill(v));
        }
        match (self, from) {
            (Reg::F32(t), Reg::F32(f)) => stretch(t, f, times),
            (Reg::F64(t), Reg::F64(f)) => stretch(t, f, times),
            (Reg::Int(t), Reg::Int(f)) => stretch(t, f, times),
            (Reg::UInt(t), Reg::UInt(f)) => stretch(t, f, times),
            (Reg::Bool(t), Reg::Bool(f)) => stretch(t, f, times),
            _ => unreachable!("registers of two classes"),
        }
    }

    /// The first `lanes` elements of `from` again and again: the transposed form of [`stretch`](Self::stretch).
    pub(super) fn repeat(&mut self, from: &Reg, lanes: usize) {
        fn repeat<T: Copy>(to: &mut [T], from: &[T]) {
            match from {
                [v] => to.fill(*v),
                _ => to.chunks_mut(from.len().max(1)).for_each(|t| t.copy_from_slice(&from[..t.len()])),
            }
        }
        match (self, from) {
            (Reg::F32(t), Reg::F32(f)) => repeat(t, &f[..lanes]),
            (Reg::F64(t), Reg::F64(f)) => repeat(t, &f[..lanes]),
            (Reg::Int(t), Reg::Int(f)) => repeat(t, &f[..lanes]),
            (Reg::UInt(t), Reg::UInt(f)) => repeat(t, &f[..lanes]),
            (Reg::Bool(t), Reg::Bool(f)) => repeat(t, &f[..lanes]),
            _ => unreachable!("registers of two classes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_values_spread_over_columns_in_both_orders() {
        let rows = Reg::Int(vec![1, 2, 3]);
        let mut to = Reg::new(Class::Int, 6);
        to.stretch(&rows, 2);
        assert!(matches!(&to, Reg::Int(v) if v == &[1, 1, 2, 2, 3, 3]));
        to.repeat(&rows, 3);
        assert!(matches!(&to, Reg::Int(v) if v == &[1, 2, 3, 1, 2, 3]));
        to.repeat(&rows, 1);
        assert!(matches!(&to, Reg::Int(v) if v == &[1; 6]));
    }
}
