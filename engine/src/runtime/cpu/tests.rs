//! Fused programs and hand-written operators against a naive interpreter in float64.

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

// ---- reductions -----------------------------------------------------------------------------------

const ALL: [Combine; 6] = [Combine::Sum, Combine::Prod, Combine::Max, Combine::Min, Combine::ArgMax, Combine::ArgMin];

/// Reductions of `x + row value` with an elementwise tail, and the column stored too.
fn reduce_program(dims: &[usize], inner: usize, strides: &[isize], combine: Combine, store_columns: bool) -> Fused {
    let mut f = program(dims, inner);
    let x = f.load(0, DType::F32, strides, 0);
    let x = if combine == Combine::Prod {
        let mut zero = f.load(1, DType::F32, &vec![0; dims.len()], 0);
        zero = f.apply(Test::Mul, &[zero, x]);
        zero
    } else {
        x
    };
    let r = f.reduce(combine, x);
    let tail = f.apply(Test::Neg, &[r]);
    f.store_rows(r, 2);
    f.store_rows(tail, 3);
    if store_columns && !matches!(combine, Combine::ArgMax | Combine::ArgMin) {
        let y = f.apply(Test::Add, &[x, tail]);
        f.store(y, 4, strides, 0);
    }
    f
}

#[test]
fn every_reduction_over_every_layout() {
    // (dims, inner, strides): rows of a tile, tiny rows, long rows, chunked rows, columns, columns of few and of odd
    // width, the middle of three dimensions, the outer two.
    let cases: Vec<(Vec<usize>, usize, Vec<isize>)> = vec![
        (vec![5, 100], 1, vec![100, 1]),
        (vec![3000, 3], 1, vec![3, 1]),
        (vec![40, 1500], 1, vec![1500, 1]),
        (vec![3, 9000], 1, vec![9000, 1]),
        (vec![150_000], 1, vec![1]),
        (vec![2, 70_001], 1, vec![70_001, -1]),
        (vec![300, 200], 1, vec![1, 300]),
        (vec![3, 50_000], 1, vec![1, 3]),
        (vec![700, 90], 1, vec![1, 700]),
        (vec![6, 37, 50], 1, vec![50 * 37, 1, 37]),
        (vec![5, 4, 100], 2, vec![100, 500, 1]),
        (vec![64, 1], 1, vec![1, 0]),
    ];
    for (dims, inner, strides) in cases {
        let (n, rows) = (numel(&dims), numel(&dims[..dims.len() - inner]));
        for combine in ALL {
            let offset = if strides.contains(&-1) { n as isize / 2 - 1 } else { 0 };
            for store_columns in [false, true] {
                let mut f = reduce_program(&dims, inner, &strides, combine, store_columns);
                f.inputs.iter_mut().filter(|a| a.value == 0).for_each(|a| a.offset = offset);
                f.stores.iter_mut().filter(|s| s.to.value == 4).for_each(|s| s.to.offset = offset);
                let class = if matches!(combine, Combine::ArgMax | Combine::ArgMin) { DType::I64 } else { DType::F32 };
                let out = Value { dtype: class, data: vec![0.0; rows] };
                let values = [ramp(n), f32s([0.125]), out.clone(), out, zeros(n)];
                agree(&f, &values, &[], &[], 1e-4);
            }
        }
    }
}

/// Softmax-like: two levels of reductions, everything recomputed for long rows, the result in place of the input.
#[test]
fn nested_reductions_in_place() {
    for (rows, cols) in [(1, 1), (7, 5), (3, 4096), (3, 4097), (2, 100_000), (1, 70_000)] {
        let mut f = program(&[rows, cols], 1);
        let whole = [cols as isize, 1];
        let x = f.load(0, DType::F32, &whole, 0);
        let max = f.reduce(Combine::Max, x);
        let max = f.apply(Test::Neg, &[max]);
        let shifted = f.apply(Test::Add, &[x, max]);
        let bias = f.load(1, DType::F32, &[1, 0], 0);
        let scaled = f.apply(Test::Mul, &[shifted, bias]);
        let sum = f.reduce(Combine::Sum, scaled);
        let y = f.apply(Test::Add, &[scaled, sum]);
        f.store(shifted, 2, &whole, 0);
        f.store(y, 3, &whole, 0);
        f.store_rows(sum, 4);
        let n = rows * cols;
        let values = [ramp(n), ramp(rows), zeros(n), zeros(n), zeros(rows)];
        agree(&f, &values, &[(2, 0)], &[], 1e-4);
        agree(&f, &values, &[(3, 0), (4, 1)], &[], 1e-4);
    }
}

#[test]
fn arg_reductions_find_nan_and_the_first_of_ties() {
    for (dims, strides) in [([2, 10_000], [10_000, 1]), ([2, 50], [50, 1]), ([2, 50], [1, 2])] {
        let mut x = vec![1.0; dims[0] * dims[1]];
        let at = |r: usize, c: usize| r * strides[0] as usize + c * strides[1] as usize;
        x[at(0, 30)] = f64::NAN;
        x[at(0, 40)] = f64::NAN;
        x[at(1, 20)] = 5.0;
        x[at(1, 45)] = 5.0;
        for (combine, want) in [(Combine::ArgMax, [30.0, 20.0]), (Combine::ArgMin, [30.0, 0.0])] {
            let mut f = program(&dims, 1);
            let r = f.load(0, DType::F32, &strides, 0);
            let r = f.reduce(combine, r);
            f.store_rows(r, 1);
            let out = Value { dtype: DType::I64, data: vec![0.0; 2] };
            assert_eq!(run(&[Kernel::Fused(f)], &[f32s(x.clone()), out], &[], &[])[1], want);
        }
    }
}

#[test]
fn a_value_of_each_row_or_none_can_be_reduced_and_stored_everywhere() {
    for cols in [10, 5000] {
        let mut f = program(&[4, cols], 1);
        let row = f.load(0, DType::F32, &[1, 0], 0);
        let all = f.load(0, DType::F32, &[0, 0], 2);
        let (a, b) = (f.reduce(Combine::Sum, row), f.reduce(Combine::Sum, all));
        let both = f.apply(Test::Add, &[a, b]);
        f.store_rows(both, 1);
        f.store(both, 2, &[cols as isize, 1], 0);
        f.store(all, 3, &[cols as isize, 1], 0);
        agree(&f, &[ramp(4), zeros(4), zeros(4 * cols), zeros(4 * cols)], &[], &[], 1e-5);
    }
}

#[test]
fn nothing_sums_to_zero_and_empty_spaces_do_nothing() {
    for (dims, strides) in [([3, 0], [0, 1]), ([3, 0], [1, 3])] {
        let mut f = program(&dims, 1);
        let x = f.load(0, DType::F32, &strides, 0);
        let (sum, prod) = (f.reduce(Combine::Sum, x), f.reduce(Combine::Prod, x));
        f.store_rows(sum, 1);
        f.store_rows(prod, 2);
        let got = run(&[Kernel::Fused(f)], &[zeros(0), f32s([9.0; 3]), f32s([9.0; 3])], &[], &[]);
        assert_eq!((&got[1][..], &got[2][..]), (&[0.0; 3][..], &[1.0; 3][..]));
    }
    for (dims, inner) in [(vec![0], 0), (vec![0, 5], 1), (vec![4, 0, 3], 0)] {
        let mut f = program(&dims, inner);
        let whole = f.whole();
        let x = f.load(0, DType::F32, &whole, 0);
        f.store(x, 1, &whole, 0);
        run(&[Kernel::Fused(f)], &[zeros(0), zeros(0)], &[], &[]);
    }
}

#[test]
fn sums_are_precise_and_do_not_depend_on_threads() {
    let n = 3 << 20;
    let value = f32s((0..n).map(|i| (i % 1000) as f64 * 0.001));
    let mut f = program(&[n], 1);
    let x = f.load(0, DType::F32, &[1], 0);
    let sum = f.reduce(Combine::Sum, x);
    f.store_rows(sum, 1);
    let exact: f64 = value.data.iter().map(|&v| v as f32 as f64).sum();
    let values = [value, zeros(1)];
    let one = |threads| {
        super::par::TEST_THREADS.set(Some(threads));
        let sum = run(&[Kernel::Fused(f.clone())], &values, &[], &[])[1][0];
        super::par::TEST_THREADS.set(None);
        sum
    };
    let sums = [1, 2, 5].map(one);
    assert!(sums.iter().all(|s| *s == sums[0]));
    assert!((sums[0] - exact).abs() / exact < 1e-7, "{} for {exact}", sums[0]);
}

/// As if tensors were used inside a program's own `rayon` loops: plans run under a lock, which a thread that takes up
/// another iteration while it waits would need twice.
#[test]
fn plans_run_inside_the_work_of_another_pool() {
    use rayon::prelude::*;
    let lock = parking_lot::Mutex::new(());
    let mut f = program(&[100_000], 1);
    let x = f.load(0, DType::F32, &[1], 0);
    let sum = f.reduce(Combine::Sum, x);
    f.store_rows(sum, 1);
    let sums: Vec<f64> = (0..64)
        .into_par_iter()
        .map(|_| {
            let _held = lock.lock();
            run(&[Kernel::Fused(f.clone())], &[f32s(vec![1.0; 100_000]), zeros(1)], &[], &[])[1][0]
        })
        .collect();
    assert_eq!(sums, vec![100_000.0; 64]);
}

// ---- hand-written operators -------------------------------------------------------------------------

fn reverse(dtype: DType, n: usize, offset: usize, store_output: bool, epilogue: Option<Fused>) -> Kernel {
    let layout = Layout::contiguous(&[n]);
    Kernel::Compute(ComputeKernel {
        op: Arc::new(Test::Reverse),
        scalars: vec![ScalarRef { node: 0, index: 0, dtype: DType::F32 }],
        inputs: vec![Operand { value: 0, dtype, layout: Layout { offset, ..layout.clone() } }],
        output: Operand { value: 1, dtype, layout },
        store_output,
        epilogue,
    })
}

#[test]
fn a_kernel_with_an_epilogue_stores_either_or_both() {
    let n = 50_000;
    for store_output in [false, true] {
        let mut f = program(&[n], 0);
        let acc = f.push(Instr::Acc, DType::F32, false);
        let bias = f.load(2, DType::F32, &[0], 0);
        let y = f.apply(Test::Mul, &[acc, bias]);
        f.store(y, 3, &[1], 0);
        let got = run(&[reverse(DType::F32, n, 64, store_output, Some(f))], &[ramp(n + 64), zeros(n), f32s([3.0]), zeros(n)], &[], &[0.5]);
        let want: Vec<f64> = ramp(n + 64).data[64..].iter().rev().map(|v| v + 0.5).collect();
        assert_eq!(got[1], if store_output { want.clone() } else { vec![0.0; n] });
        assert_eq!(got[3], want.iter().map(|v| v * 3.0).collect::<Vec<_>>());
    }
}

#[test]
fn a_kernel_computes_low_precision_in_f32_and_may_write_its_own_input() {
    for (dtype, alias) in [(DType::F16, None), (DType::BF16, None), (DType::F32, Some((1, 0)))] {
        let n = 40_000;
        let x = Value { dtype, data: (0..n).map(|i| (i % 100) as f64).collect() };
        let out = Value { dtype, data: vec![0.0; n] };
        let got = run(&[reverse(dtype, n, 0, true, None)], &[x.clone(), out], alias.as_slice(), &[2.0]);
        assert_eq!(got[1], x.data.iter().rev().map(|v| v + 2.0).collect::<Vec<_>>());
    }
}

#[test]
fn kernels_run_in_order_and_copies_copy() {
    let kernels = [reverse(DType::F32, 5, 0, true, None), Kernel::Copy { from: 1, to: 2, at: 0, numel: 5, dtype: DType::F32 }];
    assert_eq!(run(&kernels, &[f32s([1.0, 2.0, 3.0, 4.0, 5.0]), zeros(5), zeros(5)], &[], &[0.0])[2], [5.0, 4.0, 3.0, 2.0, 1.0]);
}

#[test]
fn misuse_is_an_error() {
    let cpu = Cpu::new();
    assert!(matches!(cpu.alloc(usize::MAX - 7), Err(Error::OutOfMemory { .. })));
    let id = cpu.alloc(64).unwrap();
    assert!(cpu.upload(Place { buffer: id, offset: 0 }, DType::U8, &[0; 65]).is_err());
    assert!(cpu.wait(cpu.download(Place { buffer: id, offset: 0 }, DType::F64, 4, 5)).is_err());
    cpu.free(id);
    assert!(cpu.upload(Place { buffer: id, offset: 0 }, DType::U8, &[0; 4]).is_err());
    let program = cpu.compile(&[reverse(DType::F32, 5, 0, true, None)], &|v| v).unwrap();
    assert!(cpu.execute(&*program, &[], &|_, _| Scalar::Int(0)).is_err());
}
