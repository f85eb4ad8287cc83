//! Hand-written kernels: the operator's launches, composed with accessors for what they read and a `store` that ends
//! in the fused epilogue.

use std::fmt::Write as _;

use super::access::Lanes;
use super::bind::{Bindings, Block, Slot};
use super::fault;
use super::fused::{Program, lanes_of};
use super::repr::{Repr, word_bytes};
use super::shader::{Shader, aliases, check_limits, compose, kernel_type};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::graph::kernel::{
    Access, Compute, ComputeKernel, Fused, GpuOperand, Instr, Launch, Launches, Operand, Source, Store, ValueId, Write,
};
use crate::ops::Kind;
use crate::runtime::Adapter;
use crate::shape::contiguous_strides;

/// A kernel's operator as what it is.
pub(super) fn operator(kernel: &ComputeKernel) -> Result<&dyn Compute> {
    match kernel.op.kind() {
        Kind::Compute(c) => Ok(c),
        _ => Err(Error::unsupported(kernel.op.name(), "is not a kernel of its own")),
    }
}

/// The dispatches of a kernel, or `None` where its operator runs on the host.
pub(super) fn shaders(kernel: &ComputeKernel, slot: &dyn Fn(ValueId) -> Slot, adapter: &Adapter) -> Result<Option<Vec<Shader>>> {
    let op = operator(kernel)?;
    let inputs: Vec<GpuOperand> = kernel.inputs.iter().map(|o| GpuOperand { dtype: o.dtype, layout: &o.layout }).collect();
    let output = GpuOperand { dtype: kernel.output.dtype, layout: &kernel.output.layout };
    let Some(launches) = op.gpu(&inputs, &output, adapter) else { return Ok(None) };
    let stores = stores(kernel);
    let mut out = Vec::new();
    for (i, launch) in launches.launches.iter().enumerate() {
        if launch.groups.contains(&0) {
            continue;
        }
        let line = if i == 0 { kernel.to_string() } else { format!("{}, launch {}", kernel.op.name(), i + 1) };
        out.push(one(kernel, op, launch, &launches, &stores, line, slot, adapter)?);
    }
    Ok(Some(out))
}

/// What happens with the operator's result, as a program: it is stored, or the epilogue goes on with it, or both.
fn stores(kernel: &ComputeKernel) -> Fused {
    let out = &kernel.output;
    let mut f = kernel.epilogue.clone().unwrap_or_else(|| Fused {
        dims: [out.layout.numel()].into_iter().collect(),
        inner: 0,
        inputs: Vec::new(),
        positions: Vec::new(),
        scalars: Vec::new(),
        instrs: Vec::new(),
        dtypes: Vec::new(),
        per_row: Vec::new(),
        stores: Vec::new(),
    });
    if kernel.store_output || kernel.epilogue.is_none() {
        let reg = f.instrs.iter().position(|i| matches!(i, Instr::Acc)).unwrap_or_else(|| {
            f.instrs.push(Instr::Acc);
            f.dtypes.push(out.dtype);
            f.per_row.push(false);
            f.instrs.len() - 1
        });
        let to = Access { value: out.value, dtype: out.dtype, strides: contiguous_strides(&f.dims), offset: 0 };
        f.stores.push(Store { reg, to });
    }
    f
}

/// Where an operand begins, in bytes, and its last element from there on. An operator that takes strides takes the
/// offset too; for the others the binding begins at the operand.
fn window(operand: &Operand, strided: bool) -> (usize, usize) {
    if strided {
        (0, operand.layout.span().map_or(0, |s| s.1))
    } else {
        (word_bytes(operand.dtype, operand.layout.offset), operand.layout.numel().saturating_sub(1))
    }
}

/// `NAME_vec(at, c, step, size)`: elements 4c .. 4c + 3 of a row of `size` elements that starts at `at` and lies `step` apart; zeros past
/// its end. Of an operand that is read in 4-vectors, rows are made of whole ones.
fn row_reader(name: &str, ty: &str, vec4: bool) -> String {
    let body = if vec4 {
        format!("    return {name}4((at >> 2u) + c);\n")
    } else {
        let element = |k: usize, part: char| format!("    if i + {k}u < size {{ v.{part} = {name}(at + (i + {k}u) * step); }}\n");
        let elements: String = "xyzw".chars().enumerate().map(|(k, part)| element(k, part)).collect();
        format!("    var v = vec4<{ty}>();\n    let i = c * 4u;\n{elements}    return v;\n")
    };
    format!("fn {name}_vec(at: u32, c: u32, step: u32, size: u32) -> vec4<{ty}> {{\n{body}}}\n")
}

fn one(
    kernel: &ComputeKernel,
    op: &dyn Compute,
    launch: &Launch,
    launches: &Launches,
    stores: &Fused,
    line: String,
    slot: &dyn Fn(ValueId) -> Slot,
    adapter: &Adapter,
) -> Result<Shader> {
    let source = taper_shaders::complete(launch.shader)
        .ok_or_else(|| Error::unsupported(kernel.op.name(), format!("there is no kernel file {}.wgsl", launch.shader)))?;
    let scratch_last = |k: usize| launches.scratch[k].saturating_sub(1);
    let mut bindings = Bindings::default();
    let mut reads = Vec::new();
    for read in &launch.reads {
        let (binding, dtype) = match read.from {
            Source::Input(i) => {
                let operand = &kernel.inputs[i];
                let (offset, last) = window(operand, op.strided() >> i & 1 == 1);
                (bindings.add_at(slot(operand.value), offset, operand.dtype, last, read.vec4)?, operand.dtype)
            }
            Source::Scratch(k) => (bindings.add(Slot::Scratch(k), DType::F32, scratch_last(k), read.vec4)?, DType::F32),
        };
        reads.push((read.name, binding, dtype, read.vec4));
    }
    let mut block = Block::default();
    let vector = launch.write == Write::Output4;
    let mut text = String::new();
    let ty = kernel_type(kernel.output.dtype);
    match launch.write {
        Write::Scratch(k) => {
            // Single elements: a file may store single ones after all, and writing a component of a vector races.
            let b = bindings.add(Slot::Scratch(k), DType::F32, scratch_last(k), false)?;
            bindings.add_write(b, false);
            let (get, set, set4) =
                (bindings.at(b, Repr::F32, "i"), bindings.set(b, Repr::F32, "i", "v"), bindings.set4(b, Repr::F32, "i", "v"));
            writeln!(text, "fn load_s(i: u32) -> f32 {{ return {get}; }}").unwrap();
            for name in ["store", "store_s"] {
                writeln!(text, "fn {name}(i: u32, v: f32) {{ {set} }}").unwrap();
            }
            writeln!(text, "fn store4(i: u32, v: vec4<f32>) {{ {set4} }}").unwrap();
        }
        // A file may name both functions and choose by a constant; the other one is never called.
        Write::Output => {
            let body = Program::new(stores, Lanes::One, &mut bindings, slot)?.text(&bindings, &mut block)?;
            write!(text, "fn store(i: u32, acc: {ty}) {{\n{body}}}\nfn store4(i: u32, acc: vec4<{ty}>) {{}}\n").unwrap();
        }
        Write::Output4 => {
            let program = Program::new(stores, lanes_of(&stores.dims), &mut bindings, slot)?;
            let body = program.text(&bindings, &mut block)?;
            write!(text, "fn store4(i: u32, acc: vec4<{ty}>) {{\n{body}}}\nfn store(i: u32, acc: {ty}) {{}}\n").unwrap();
        }
    }
    // Accessors come last: only now is it known how each buffer is declared.
    for (name, b, dtype, vec4) in reads {
        let (repr, ty) = (Repr::of(dtype), kernel_type(dtype));
        let row = taper_shaders::mentions(source, &format!("{name}_vec"));
        if row {
            write!(text, "{}", row_reader(name, ty, vec4)).unwrap();
        }
        if taper_shaders::mentions(source, name) || (row && !vec4) {
            writeln!(text, "fn {name}(i: u32) -> {ty} {{ return {}; }}", bindings.at(b, repr, "i")).unwrap();
        }
        if taper_shaders::mentions(source, &format!("{name}4")) || (row && vec4) {
            writeln!(text, "fn {name}4(i: u32) -> vec4<{ty}> {{ return {}; }}", bindings.vec(b, repr, "i")).unwrap();
        }
    }
    if taper_shaders::mentions(source, "fault") {
        let b = bindings.add_fault()?;
        block.int("fault_code", fault::code(op.fault()) as isize);
        text.push_str(&fault::FUNCTION.replace("{}", &b.to_string()));
    }
    let mut head: String = launch.consts.iter().map(|(n, v)| format!("const {n}: u32 = {v}u;\n")).collect();
    writeln!(head, "alias T = {};", kernel_type(kernel.output.dtype)).unwrap();
    head.push_str(&aliases(vector));
    check_limits(&line, &bindings.0, adapter)?;
    if launch.groups.iter().any(|&g| g > adapter.limits.groups_per_dimension) {
        return Err(Error::unsupported(kernel.op.name(), format!("{:?} workgroups in one dispatch", launch.groups)));
    }
    let wgsl = compose(&line, &head, &format!("{source}\n{text}"), &bindings, &block);
    let patches = launch
        .patches
        .iter()
        .map(|&(word, index)| kernel.scalars.get(index).map(|s| (word, *s)))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| Error::unsupported(kernel.op.name(), "its launch asks for a scalar that it does not have"))?;
    let p = Block::of_words(launch.params.clone(), patches);
    let scratch = launches.scratch.iter().copied().enumerate().collect();
    Ok(Shader { line, wgsl, bindings: bindings.0, p, f: block, groups: launch.groups, scratch })
}

/// The epilogue of an operator that ran on the host, as a program that reads the result from scratch `from`.
pub(super) fn host_epilogue(kernel: &ComputeKernel, from: ValueId) -> Option<Fused> {
    let mut f = kernel.epilogue.clone()?;
    let access = Access { value: from, dtype: kernel.output.dtype, strides: contiguous_strides(&f.dims), offset: 0 };
    f.inputs.push(access);
    let last = f.inputs.len() - 1;
    f.instrs.iter_mut().filter(|i| matches!(i, Instr::Acc)).for_each(|i| *i = Instr::Load(last));
    Some(f)
}
