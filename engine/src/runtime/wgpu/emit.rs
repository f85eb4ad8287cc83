//! Registers of a fused program as WGSL: one `let` each.

use std::fmt::Write as _;

use super::bind::Block;
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{Fused, Instr, RegId};
use crate::ops::{Class, Kind};

/// The alias a register's class is declared with.
pub(super) fn alias(dtype: DType) -> Result<&'static str> {
    Ok(match dtype.class() {
        Class::F32 => "V",
        Class::Int => "VI",
        Class::UInt => "VU",
        Class::Bool => "VB",
        Class::F64 => return Err(Error::dtype("gpu", "f64 does not exist on a GPU")),
    })
}

/// `value` rounded or wrapped to `dtype`, after an operation.
pub(super) fn rounded(dtype: DType, value: String) -> String {
    let f = match dtype {
        DType::F16 => "round_f16",
        DType::BF16 => "round_bf16",
        DType::I8 => "wrap_i8",
        DType::I16 => "wrap_i16",
        DType::U8 => "wrap_u8",
        DType::U16 => "wrap_u16",
        _ => return value,
    };
    format!("{f}({value})")
}

/// A stored value as a register: `bool` is a word in memory.
pub(super) fn loaded(dtype: DType, value: String) -> String {
    if dtype == DType::Bool { format!("({value} != VU(0u))") } else { value }
}

/// A register as it is stored: `bool` as 0 or 1, packed types as their 16 bits.
pub(super) fn stored(dtype: DType, value: &str) -> String {
    match dtype {
        DType::Bool => format!("select(VU(0u), VU(1u), {value})"),
        DType::F16 => format!("f16_bits({value})"),
        DType::BF16 => format!("bf16_bits({value})"),
        _ => value.to_string(),
    }
}

pub(super) fn reg(r: RegId) -> String {
    format!("r{r}")
}

/// Writes `let rN: alias = ..;`.
pub(super) fn define(out: &mut String, indent: &str, f: &Fused, r: RegId, value: String) -> Result<()> {
    writeln!(out, "{indent}let r{r}: {} = {value};", alias(f.dtypes[r])?).unwrap();
    Ok(())
}

/// The value of register `r` for instructions that touch no memory.
pub(super) fn value(f: &Fused, r: RegId, block: &mut Block) -> Result<String> {
    Ok(match &f.instrs[r] {
        Instr::Scalar(i) => {
            let word = block.scalar(format!("s{i}"), f.scalars[*i]);
            match alias(f.scalars[*i].dtype)? {
                "VB" => format!("VB({word} != 0u)"),
                a => format!("{a}({word})"),
            }
        }
        Instr::Apply { op, args } => {
            let Kind::Map(map) = op.kind() else {
                return Err(Error::unsupported(op.name(), "is not elementwise, but stands in a fused program"));
            };
            let names: Vec<String> = args.iter().map(|&a| reg(a)).collect();
            let types: Vec<DType> = args.iter().map(|&a| f.dtypes[a]).collect();
            rounded(f.dtypes[r], map.wgsl(&names, &types, f.dtypes[r]))
        }
        Instr::Acc => rounded(f.dtypes[r], loaded(f.dtypes[r], "acc".into())),
        other => unreachable!("{other:?} reads memory"),
    })
}

/// Registers that `roots` need, themselves included. Arguments come before their users.
pub(super) fn needed(f: &Fused, roots: impl IntoIterator<Item = RegId>) -> Vec<bool> {
    let mut need = vec![false; f.instrs.len()];
    for r in roots {
        need[r] = true;
    }
    for r in (0..f.instrs.len()).rev() {
        if need[r] {
            match &f.instrs[r] {
                Instr::Apply { args, .. } => args.iter().for_each(|&a| need[a] = true),
                Instr::Reduce { arg, .. } => need[*arg] = true,
                _ => {}
            }
        }
    }
    need
}
