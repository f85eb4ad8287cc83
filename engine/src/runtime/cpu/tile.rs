//! Registers of the CPU's fused programs: one cache-sized tile of values of one class.

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
}
