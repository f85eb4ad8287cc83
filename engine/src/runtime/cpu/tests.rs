//! Fused programs and hand-written operators against a naive interpreter in float64.

mod handwritten;
mod reductions;

use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use super::memory::{CpuIn, CpuOut};
use super::tile::Reg;
use super::*;
use crate::graph::kernel::{Access, Compute, ComputeKernel, Fused, GpuOperand, Instr, Launches, Operand, Store};
use crate::ops::{Combine, Kind, Map, Op, Spec};
use crate::shape::{Layout, contiguous_strides, numel};

// ---- operators ------------------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq)]
enum Test {
    Add,
    Mul,
    Neg,
    /// A hand-written operator: reverses its input, adding its scalar.
    Reverse,
}

impl Op for Test {
    fn name(&self) -> &'static str {
        "test"
    }
    fn infer(&self, inputs: &[Spec]) -> Result<Spec> {
        Ok(inputs[0].clone())
    }
    fn kind(&self) -> Kind<'_> {
        if *self == Test::Reverse { Kind::Compute(self) } else { Kind::Map(self) }
    }
}

impl Map for Test {
    fn tile(&self, args: &[&Reg], n: usize, out: &mut Reg) {
        let f = |a: f64, b: f64| match self {
            Test::Add => a + b,
            Test::Mul => a * b,
            _ => -a,
        };
        let second = args.get(1).unwrap_or(&args[0]);
        match (args[0], second, out) {
            (Reg::F32(a), Reg::F32(b), Reg::F32(o)) => (0..n).for_each(|i| o[i] = f(a[i] as f64, b[i] as f64) as f32),
            (Reg::F64(a), Reg::F64(b), Reg::F64(o)) => (0..n).for_each(|i| o[i] = f(a[i], b[i])),
            (Reg::Int(a), Reg::Int(b), Reg::Int(o)) => (0..n).for_each(|i| o[i] = f(a[i] as f64, b[i] as f64) as i64),
            _ => unreachable!(),
        }
    }
    fn wgsl(&self, _: &[String], _: &[DType], _: DType) -> String {
        String::new()
    }
}

impl Compute for Test {
    fn cpu(&self, inputs: &[CpuIn<'_>], out: &mut CpuOut<'_>) -> Result<()> {
        let (x, add) = (inputs[0].data::<f32>(), out.scalars[0].as_f64() as f32);
        out.data::<f32>().iter_mut().zip(x.iter().rev()).for_each(|(o, x)| *o = x + add);
        Ok(())
    }
    fn gpu(&self, _: &[GpuOperand<'_>], _: &GpuOperand<'_>, _: &Adapter) -> Option<Launches> {
        None
    }
}

// ---- building and running programs -----------------------------------------------------------------

/// Contents of a value, as far as a test looks: any type, in float64.
#[derive(Debug, Clone)]
struct Value {
    dtype: DType,
    data: Vec<f64>,
}

fn f32s(data: impl IntoIterator<Item = f64>) -> Value {
    Value { dtype: DType::F32, data: data.into_iter().collect() }
}

impl Value {
    fn bytes(&self) -> Vec<u8> {
        let one = |v: f64| match self.dtype {
            DType::F32 => (v as f32).to_ne_bytes().to_vec(),
            DType::F64 => v.to_ne_bytes().to_vec(),
            DType::F16 => half::f16::from_f64(v).to_ne_bytes().to_vec(),
            DType::BF16 => half::bf16::from_f64(v).to_ne_bytes().to_vec(),
            DType::I64 => (v as i64).to_ne_bytes().to_vec(),
            DType::I8 => (v as i8).to_ne_bytes().to_vec(),
            _ => vec![v as u8],
        };
        self.data.iter().flat_map(|&v| one(v)).collect()
    }

    fn from_bytes(dtype: DType, bytes: &[u8]) -> Vec<f64> {
        let one = |b: &[u8]| match dtype {
            DType::F32 => f32::from_ne_bytes(b.try_into().unwrap()) as f64,
            DType::F64 => f64::from_ne_bytes(b.try_into().unwrap()),
            DType::F16 => half::f16::from_ne_bytes(b.try_into().unwrap()).to_f64(),
            DType::BF16 => half::bf16::from_ne_bytes(b.try_into().unwrap()).to_f64(),
            DType::I64 => i64::from_ne_bytes(b.try_into().unwrap()) as f64,
            DType::I8 => b[0] as i8 as f64,
            _ => b[0] as f64,
        };
        bytes.chunks(dtype.size()).map(one).collect()
    }
}

fn program(dims: &[usize], inner: usize) -> Fused {
    Fused {
        dims: dims.into(),
        inner,
        inputs: Vec::new(),
        positions: Vec::new(),
        scalars: Vec::new(),
        instrs: Vec::new(),
        dtypes: Vec::new(),
        per_row: Vec::new(),
        stores: Vec::new(),
    }
}

impl Fused {
    fn push(&mut self, instr: Instr, dtype: DType, per_row: bool) -> usize {
        self.instrs.push(instr);
        self.dtypes.push(dtype);
        self.per_row.push(per_row);
        self.instrs.len() - 1
    }
    fn load(&mut self, value: ValueId, dtype: DType, strides: &[isize], offset: isize) -> usize {
        let inner = self.dims.len() - self.inner..self.dims.len();
        let per_row = self.inner > 0 && inner.into_iter().all(|d| strides[d] == 0);
        self.inputs.push(Access { value, dtype, strides: strides.into(), offset });
        self.push(Instr::Load(self.inputs.len() - 1), dtype, per_row)
    }
    /// A load or store over the whole space, contiguous.
    fn whole(&self) -> SmallVec<[isize; 6]> {
        contiguous_strides(&self.dims)
    }
    fn apply(&mut self, op: Test, args: &[usize]) -> usize {
        let per_row = args.iter().all(|&a| self.per_row[a]);
        self.push(Instr::Apply { op: Arc::new(op), args: args.into() }, self.dtypes[args[0]], per_row)
    }
    fn reduce(&mut self, combine: Combine, arg: usize) -> usize {
        let dtype = if matches!(combine, Combine::ArgMax | Combine::ArgMin) { DType::I64 } else { self.dtypes[arg] };
        self.push(Instr::Reduce { combine, arg }, dtype, true)
    }
    fn store(&mut self, reg: usize, value: ValueId, strides: &[isize], offset: isize) {
        let to = Access { value, dtype: self.dtypes[reg], strides: strides.into(), offset };
        self.stores.push(Store { reg, to });
    }
    /// One element a row, contiguous over rows.
    fn store_rows(&mut self, reg: usize, value: ValueId) {
        let mut strides = contiguous_strides(&self.dims[..self.dims.len() - self.inner]);
        strides.extend(std::iter::repeat_n(0, self.inner));
        self.store(reg, value, &strides, 0);
    }
}

/// Runs kernels over values, of which some pairs share a buffer; the values afterwards.
fn run(kernels: &[Kernel], values: &[Value], alias: &[(ValueId, ValueId)], scalars: &[f64]) -> Vec<Vec<f64>> {
    let cpu = Cpu::new();
    let root = |v: ValueId| alias.iter().find(|a| a.0 == v).map_or(v, |a| a.1);
    // Each in a buffer of its own, not at its beginning.
    let mut places: Vec<Place> = Vec::new();
    for (v, value) in values.iter().enumerate() {
        let place = if root(v) == v {
            let place = Place { buffer: cpu.alloc(256 + cpu.stored_bytes(value.dtype, value.data.len())).unwrap(), offset: 256 };
            cpu.upload(place, value.dtype, &value.bytes()).unwrap();
            place
        } else {
            places[root(v)]
        };
        places.push(place);
    }
    let program = cpu.compile(kernels, &root).unwrap();
    assert_eq!(program.describe().len(), kernels.len());
    cpu.execute(&*program, &places, &|_, i| Scalar::Float(scalars[i])).unwrap();
    // Copies are no dispatches.
    let dispatches = kernels.iter().filter(|k| !matches!(k, Kernel::Copy { .. })).count() as u64;
    assert_eq!(cpu.counters(), Counters { dispatches, submits: 1, pipelines_created: 0, scratch_bytes: 0 });
    let read = |v: usize| {
        Value::from_bytes(values[v].dtype, &cpu.wait(cpu.download(places[v], values[v].dtype, 0, values[v].data.len())).unwrap())
    };
    (0..values.len()).map(read).collect()
}

fn by_the_book(combine: Combine, row: &[f64]) -> f64 {
    let wins = |better: bool, x: f64, m: f64| better || (x.is_nan() && !m.is_nan());
    let max = (0..row.len()).fold(0, |b, i| if wins(row[i] > row[b], row[i], row[b]) { i } else { b });
    let min = (0..row.len()).fold(0, |b, i| if wins(row[i] < row[b], row[i], row[b]) { i } else { b });
    match combine {
        Combine::Sum => row.iter().sum(),
        Combine::Prod => row.iter().product(),
        Combine::Max => row[max],
        Combine::Min => row[min],
        Combine::ArgMax => max as f64,
        Combine::ArgMin => min as f64,
    }
}

/// A whole program by the book: every instruction over the whole space, one after the other, in float64.
fn interpret(f: &Fused, values: &[Value], scalars: &[f64]) -> Vec<Vec<f64>> {
    let (rows, cols) = (f.rows(), f.cols());
    let at = |a: &Access, pos: usize| {
        let mut rest = pos;
        let index: Vec<usize> = f.dims.iter().rev().map(|&d| (rest % d, rest /= d).0).collect();
        (a.offset + index.iter().rev().zip(&a.strides).map(|(&i, &s)| i as isize * s).sum::<isize>()) as usize
    };
    let mut regs: Vec<Vec<f64>> = Vec::new();
    for instr in &f.instrs {
        let reduced: Vec<f64> = match instr {
            Instr::Reduce { combine, arg } if cols > 0 => regs[*arg].chunks(cols).map(|row| by_the_book(*combine, row)).collect(),
            _ => Vec::new(),
        };
        let reg = (0..rows * cols).map(|pos| match instr {
            Instr::Load(i) => values[f.inputs[*i].value].data[at(&f.inputs[*i], pos)],
            Instr::Position(i) => at(&f.positions[*i], pos) as f64,
            Instr::Scalar(i) => scalars[*i],
            Instr::Apply { op, args } => {
                let a = |i: usize| regs[args[i]][pos];
                let op: &dyn Op = &**op;
                match format!("{op:?}").as_str() {
                    "Add" => a(0) + a(1),
                    "Mul" => a(0) * a(1),
                    _ => -a(0),
                }
            }
            Instr::Reduce { .. } => reduced[pos / cols],
            Instr::Acc => unreachable!(),
        });
        let reg = reg.collect();
        regs.push(reg);
    }
    let mut out: Vec<Vec<f64>> = values.iter().map(|v| v.data.clone()).collect();
    for s in &f.stores {
        for pos in 0..rows * cols {
            out[s.to.value][at(&s.to, pos)] = regs[s.reg][pos];
        }
    }
    out
}

#[track_caller]
fn agree(f: &Fused, values: &[Value], alias: &[(ValueId, ValueId)], scalars: &[f64], tolerance: f64) {
    let got = run(&[Kernel::Fused(f.clone())], values, alias, scalars);
    let want = interpret(f, values, scalars);
    for v in (0..values.len()).filter(|&v| f.stores.iter().any(|s| s.to.value == v)) {
        for (i, (g, w)) in got[v].iter().zip(&want[v]).enumerate() {
            let close = (g - w).abs() <= tolerance * w.abs().max(1.0) || g == w || (g.is_nan() && w.is_nan());
            assert!(close, "value {v}, element {i}: {g} for {w}\n{f:?}");
        }
    }
}

fn ramp(n: usize) -> Value {
    f32s((0..n).map(|i| ((i * 7919) % 1009) as f64 / 64.0 - 7.0))
}

fn zeros(n: usize) -> Value {
    f32s(vec![0.0; n])
}

// ---- elementwise ----------------------------------------------------------------------------------

#[test]
fn elementwise_over_every_kind_of_access() {
    for dims in [vec![], vec![5], vec![3, 4], vec![70, 3], vec![3, 2000], vec![40, 3, 1000], vec![7, 2, 3, 5]] {
        let n = numel(&dims);
        let mut f = program(&dims, 0);
        let whole = f.whole();
        let x = f.load(0, DType::F32, &whole, 0);
        // The last dimension backwards, a row broadcast, every second element, the transpose.
        let flip: Vec<isize> = whole.iter().enumerate().map(|(d, &s)| if d + 1 == dims.len() { -s } else { s }).collect();
        let back = if dims.is_empty() { 0 } else { dims[dims.len() - 1] as isize - 1 };
        let flipped = f.load(0, DType::F32, &flip, back);
        let row: Vec<isize> = (0..dims.len()).map(|d| (d + 1 == dims.len()) as isize).collect();
        let row = f.load(0, DType::F32, &row, 0);
        let twice: Vec<isize> = whole.iter().map(|s| s * 2).collect();
        let second = f.load(1, DType::F32, &twice, 1);
        let turned: SmallVec<[usize; 6]> = dims.iter().rev().copied().collect();
        let turned: Vec<isize> = contiguous_strides(&turned).iter().rev().copied().collect();
        let turned = f.load(0, DType::F32, &turned, 0);
        let splat = f.load(1, DType::F32, &vec![0; dims.len()], 1);
        f.scalars.push(ScalarRef { node: 0, index: 0, dtype: DType::F32 });
        let scalar = f.push(Instr::Scalar(0), DType::F32, false);
        let mut sum = f.apply(Test::Mul, &[splat, scalar]);
        for r in [x, flipped, row, second, turned] {
            sum = f.apply(Test::Add, &[sum, r]);
        }
        let neg = f.apply(Test::Neg, &[sum]);
        f.store(sum, 2, &whole, 0);
        f.store(neg, 3, &twice, 0);
        agree(&f, &[ramp(n), ramp(2 * n + 1), zeros(n), zeros(2 * n)], &[], &[0.25], 1e-5);
    }
}

#[test]
fn transposes_go_block_by_block() {
    // (dims, strides): plain, with batches, three dimensions with the contiguous one first, backwards.
    let cases: [(&[usize], &[isize], isize); 4] = [
        (&[100, 45], &[1, 100], 0),
        (&[3, 33, 70], &[33 * 70, 1, 33], 0),
        (&[40, 5, 64], &[1, 40 * 64, 40], 0),
        (&[64, 32], &[-1, 64], 63),
    ];
    for (dims, strides, offset) in cases {
        let n = numel(dims);
        for dtype in [DType::F32, DType::F16, DType::I8] {
            let mut f = program(dims, 0);
            let x = f.load(0, dtype, strides, offset);
            let whole = f.whole();
            f.positions.push(Access { value: 0, dtype: DType::I64, strides: whole.clone(), offset: 0 });
            let at = f.push(Instr::Position(0), DType::I64, false);
            f.store(x, 1, &whole, 0);
            f.store(at, 2, &whole, 0);
            let value = |data| Value { dtype, data };
            let out = Value { dtype: DType::I64, data: vec![0.0; n] };
            agree(&f, &[value((0..n).map(|i| (i % 127) as f64).collect()), value(vec![0.0; n]), out], &[], &[], 0.0);
        }
    }
}

#[test]
fn positions_are_addresses() {
    let mut f = program(&[30, 3, 17], 0);
    f.positions.push(Access { value: 0, dtype: DType::I64, strides: smallvec![-2, 100, 3], offset: 60 });
    let p = f.push(Instr::Position(0), DType::I64, false);
    let whole = f.whole();
    f.store(p, 0, &whole, 0);
    agree(&f, &[Value { dtype: DType::I64, data: vec![0.0; 1530] }], &[], &[], 0.0);
}

#[test]
fn in_place_reads_everything_before_it_writes() {
    // y = x + x * b, y in x's memory, and a second load of x after y is known.
    let mut f = program(&[50_000], 0);
    let x = f.load(0, DType::F32, &[1], 0);
    let b = f.load(1, DType::F32, &[1], 0);
    let y = f.apply(Test::Mul, &[x, b]);
    let again = f.load(0, DType::F32, &[1], 0);
    let z = f.apply(Test::Add, &[y, again]);
    f.store(y, 2, &[1], 0);
    f.store(z, 3, &[1], 0);
    agree(&f, &[ramp(50_000), ramp(50_000), zeros(50_000), zeros(50_000)], &[(2, 0), (3, 1)], &[], 1e-5);
}

#[test]
fn a_region_is_written_and_nothing_beside_it() {
    let mut f = program(&[20, 30], 0);
    let x = f.load(0, DType::F32, &[30, 1], 0);
    f.store(x, 1, &[200, -3], 105);
    agree(&f, &[ramp(600), f32s(vec![9.0; 4100])], &[], &[], 0.0);
}

#[test]
fn low_precision_is_rounded_after_every_operator() {
    for dtype in [DType::F16, DType::BF16] {
        let mut f = program(&[3000], 0);
        let x = f.load(0, dtype, &[1], 0);
        let y = f.load(1, dtype, &[1], 0);
        let sum = f.apply(Test::Add, &[x, y]);
        let back = f.apply(Test::Neg, &[y]);
        let lost = f.apply(Test::Add, &[sum, back]);
        f.store(lost, 2, &[1], 0);
        // 4096 + 1 rounds to 4096 in either type, so that nothing is left of the 1.
        let value = |v: f64| Value { dtype, data: vec![v; 3000] };
        let got = run(&[Kernel::Fused(f)], &[value(1.0), value(4096.0), value(7.0)], &[], &[]);
        assert!(got[2].iter().all(|&v| v == 0.0));
    }
}

#[test]
fn narrow_integers_wrap() {
    let mut f = program(&[3], 0);
    let x = f.load(0, DType::I8, &[1], 0);
    let y = f.apply(Test::Add, &[x, x]);
    f.store(y, 1, &[1], 0);
    let value = |data: [f64; 3]| Value { dtype: DType::I8, data: data.to_vec() };
    assert_eq!(run(&[Kernel::Fused(f)], &[value([100.0, -100.0, 5.0]), value([0.0; 3])], &[], &[])[1], [-56.0, 56.0, 10.0]);
}
