//! Kernels in one line, for traces: `map relu(add(%0, %1)) [128, 512] 2 reads 1 write 0.8 MB`.

use std::fmt;

use super::kernel::{Access, ComputeKernel, Fused, Instr, Kernel, RegId};
use crate::ops::Combine;

/// Longer expressions are cut: a trace is read by people.
const WIDTH: usize = 160;

fn expression(f: &Fused, r: RegId, out: &mut String) {
    if out.len() > WIDTH {
        return;
    }
    let call = |name: &str, args: &[RegId], out: &mut String| {
        out.push_str(name);
        out.push('(');
        for (i, &a) in args.iter().enumerate() {
            if i > 0 {
                out.push_str(", ");
            }
            expression(f, a, out);
        }
        out.push(')');
    };
    match &f.instrs[r] {
        Instr::Load(i) => out.push_str(&format!("%{}", f.inputs[*i].value)),
        Instr::Position(_) => out.push('i'),
        Instr::Acc => out.push_str("acc"),
        Instr::Scalar(i) => out.push_str(&format!("s{i}")),
        Instr::Apply { op, args } => call(op.name(), args, out),
        Instr::Reduce { combine, arg } => call(combine_name(*combine), &[*arg], out),
    }
}

fn combine_name(combine: Combine) -> &'static str {
    match combine {
        Combine::Sum => "sum",
        Combine::Prod => "prod",
        Combine::Max => "max",
        Combine::Min => "min",
        Combine::ArgMax => "argmax",
        Combine::ArgMin => "argmin",
    }
}

/// Elements of an access that differ, in bytes on the host: a repeated read is counted once.
fn bytes(a: &Access, dims: &[usize]) -> usize {
    let distinct: usize = dims.iter().zip(&a.strides).filter(|(_, s)| **s != 0).map(|(d, _)| d).product();
    distinct * a.dtype.size()
}

fn plural(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

impl fmt::Display for Fused {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", if self.has_reduce() { "rows" } else { "map" })?;
        for store in &self.stores {
            let mut text = String::new();
            expression(self, store.reg, &mut text);
            if text.len() > WIDTH {
                let cut = (0..=WIDTH).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
                text.truncate(cut);
                text.push_str("..");
            }
            write!(out, " {text}")?;
        }
        let rows = self.dims.len() - self.inner;
        write!(out, " {:?}", &self.dims[..rows])?;
        if self.inner > 0 {
            write!(out, " x {:?}", &self.dims[rows..])?;
        }
        let moved: usize = self.inputs.iter().chain(self.stores.iter().map(|s| &s.to)).map(|a| bytes(a, &self.dims)).sum();
        write!(out, " {} {} {:.1} MB", plural(self.inputs.len(), "read"), plural(self.stores.len(), "write"), moved as f64 / 1e6)
    }
}

impl fmt::Display for ComputeKernel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.op.name())?;
        for (i, input) in self.inputs.iter().enumerate() {
            write!(out, "{} %{} {:?}", if i == 0 { "" } else { "," }, input.value, &input.layout.shape[..])?;
        }
        write!(out, " -> {:?}", &self.output.layout.shape[..])?;
        match &self.epilogue {
            Some(e) => write!(out, ", then {e}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kernel::Fused(f) => f.fmt(out),
            Kernel::Compute(c) => c.fmt(out),
            Kernel::Copy { from, to, at, numel, dtype } => write!(out, "copy %{from} to %{to} at {at}, {numel} {dtype}"),
        }
    }
}
