//! Programs built by hand, on every adapter present, against the CPU runtime.

use half::{bf16, f16};
use smallvec::{SmallVec, smallvec};

use super::execute::{Piece, piece};
use super::{Gpu, adapters};
use crate::dtype::{DType, Element, Scalar};
use crate::error::Error;
use crate::graph::kernel::{Access, Fused, Instr, Kernel, RegId, ScalarRef, Store, ValueId};
use crate::ops::{self, Combine, OpRef};
use crate::runtime::{Adapter, Limits, Place, Runtime, cpu::Cpu};
use crate::shape::contiguous_strides;
use crate::tensor::Tensor;

/// A program in the making.
struct Build(Fused);

impl Build {
    fn new(dims: &[usize], inner: usize) -> Build {
        Build(Fused {
            dims: dims.into(),
            inner,
            inputs: vec![],
            positions: vec![],
            scalars: vec![],
            instrs: vec![],
            dtypes: vec![],
            per_row: vec![],
            stores: vec![],
        })
    }

    fn push(&mut self, instr: Instr, dtype: DType, per_row: bool) -> RegId {
        self.0.instrs.push(instr);
        self.0.dtypes.push(dtype);
        self.0.per_row.push(per_row);
        self.0.instrs.len() - 1
    }

    fn access(&self, value: ValueId, dtype: DType, strides: &[isize], offset: isize) -> Access {
        Access { value, dtype, strides: strides.into(), offset }
    }

    fn row_only(&self, strides: &[isize]) -> bool {
        self.0.inner > 0 && strides[self.0.dims.len() - self.0.inner..].iter().all(|s| *s == 0)
    }

    fn load(&mut self, value: ValueId, dtype: DType, strides: &[isize], offset: isize) -> RegId {
        let a = self.access(value, dtype, strides, offset);
        self.0.inputs.push(a);
        self.push(Instr::Load(self.0.inputs.len() - 1), dtype, self.row_only(strides))
    }

    fn whole(&mut self, value: ValueId, dtype: DType) -> RegId {
        let strides = contiguous_strides(&self.0.dims);
        self.load(value, dtype, &strides, 0)
    }

    fn position(&mut self, strides: &[isize], offset: isize) -> RegId {
        let a = self.access(0, DType::U32, strides, offset);
        self.0.positions.push(a);
        self.push(Instr::Position(self.0.positions.len() - 1), DType::U32, self.row_only(strides))
    }

    fn scalar(&mut self, dtype: DType) -> RegId {
        let index = self.0.scalars.len();
        self.0.scalars.push(ScalarRef { node: 0, index, dtype });
        self.push(Instr::Scalar(index), dtype, self.0.inner > 0)
    }

    fn apply(&mut self, op: OpRef, args: &[RegId], dtype: DType) -> RegId {
        let per_row = self.0.inner > 0 && args.iter().all(|&a| self.0.per_row[a]);
        self.push(Instr::Apply { op, args: args.into() }, dtype, per_row)
    }

    /// A row of the operator tables on registers of one type.
    fn call(&mut self, f: &'static ops::Function, args: &[RegId]) -> RegId {
        let dtype = self.0.dtypes[args[0]];
        let numbers = smallvec![None; args.len()];
        let to = if f.predicate { DType::Bool } else { dtype };
        self.apply(std::sync::Arc::new(ops::Elementwise { f, dtype, numbers }), args, to)
    }

    fn cast(&mut self, arg: RegId, to: DType) -> RegId {
        self.apply(std::sync::Arc::new(ops::Cast { to }), &[arg], to)
    }

    fn reduce(&mut self, combine: Combine, arg: RegId) -> RegId {
        let dtype = match combine {
            Combine::ArgMax | Combine::ArgMin => DType::I64,
            _ => self.0.dtypes[arg],
        };
        self.push(Instr::Reduce { combine, arg }, dtype, true)
    }

    fn store(&mut self, reg: RegId, value: ValueId, strides: &[isize], offset: isize) {
        let to = self.access(value, self.0.dtypes[reg], strides, offset);
        self.0.stores.push(Store { reg, to });
    }

    fn store_whole(&mut self, reg: RegId, value: ValueId) {
        let strides = contiguous_strides(&self.0.dims);
        self.store(reg, value, &strides, 0);
    }

    /// One value a row, rows contiguous.
    fn store_rows(&mut self, reg: RegId, value: ValueId) {
        let outer = self.0.dims.len() - self.0.inner;
        let mut strides: SmallVec<[isize; 6]> = contiguous_strides(&self.0.dims[..outer]);
        strides.resize(self.0.dims.len(), 0);
        self.store(reg, value, &strides, 0);
    }

    fn kernel(self) -> Kernel {
        Kernel::Fused(self.0)
    }
}

/// Host elements with some structure: signs, zeros, fractions.
fn data(dtype: DType, numel: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % 4096) as f64 / 512.0 - 4.0
    };
    let values: Vec<f64> = (0..numel).map(|_| next()).collect();
    fn bytes<T: Element>(v: &[f64]) -> Vec<u8> {
        T::write_bytes(&v.iter().map(|&x| T::from_scalar(Scalar::Float(x))).collect::<Vec<_>>())
    }
    match dtype {
        DType::Bool => bytes::<bool>(&values.iter().map(|v| v.floor().rem_euclid(2.0)).collect::<Vec<_>>()),
        DType::U8 => bytes::<u8>(&values.iter().map(|v| v.abs() * 20.0).collect::<Vec<_>>()),
        DType::I8 => bytes::<i8>(&values.iter().map(|v| v * 20.0).collect::<Vec<_>>()),
        DType::I64 => bytes::<i64>(&values.iter().map(|v| v * 100.0).collect::<Vec<_>>()),
        DType::U32 => bytes::<u32>(&values.iter().map(|v| v.abs() * 100.0).collect::<Vec<_>>()),
        DType::F16 => bytes::<f16>(&values),
        DType::BF16 => bytes::<bf16>(&values),
        DType::F32 => bytes::<f32>(&values),
        other => panic!("no test data of {other}"),
    }
}

fn numbers(dtype: DType, bytes: &[u8]) -> Vec<f64> {
    fn of<T: Element>(b: &[u8]) -> Vec<f64> {
        T::read_bytes(b).into_iter().map(|v| v.to_scalar().as_f64()).collect()
    }
    match dtype {
        DType::Bool => of::<bool>(bytes),
        DType::U8 => of::<u8>(bytes),
        DType::I8 => of::<i8>(bytes),
        DType::I64 => of::<i64>(bytes),
        DType::U32 => of::<u32>(bytes),
        DType::F16 => of::<f16>(bytes),
        DType::BF16 => of::<bf16>(bytes),
        DType::F32 => of::<f32>(bytes),
        other => panic!("no numbers of {other}"),
    }
}

/// Runs kernels over values (all of them filled with data first) and reads every value back.
fn run(
    runtime: &dyn Runtime,
    kernels: &[Kernel],
    values: &[(DType, usize)],
    alias: &[(ValueId, ValueId)],
    scalars: &[Scalar],
) -> Vec<Vec<f64>> {
    let root = |v: ValueId| alias.iter().find(|(from, _)| *from == v).map_or(v, |(_, to)| *to);
    let places: Vec<Place> = values
        .iter()
        .enumerate()
        .map(|(i, (dtype, numel))| {
            let buffer = runtime.alloc(runtime.stored_bytes(*dtype, *numel)).unwrap();
            let place = Place { buffer, offset: 0 };
            runtime.upload(place, *dtype, &data(*dtype, *numel, i as u64 + 1)).unwrap();
            place
        })
        .collect();
    let places: Vec<Place> = (0..values.len()).map(|v| places[root(v)]).collect();
    let program = runtime.compile(kernels, &root).unwrap();
    runtime.execute(&*program, &places, &|_, i| scalars[i]).unwrap();
    let read = |v: usize| {
        let (dtype, numel) = values[v];
        numbers(dtype, &runtime.wait(runtime.download(places[v], dtype, 0, numel)).unwrap())
    };
    (0..values.len()).map(read).collect()
}

fn adapters_of_both_classes() -> Vec<Adapter> {
    let class = |software| Adapter {
        name: if software { "software" } else { "hardware" }.into(),
        backend: "none".into(),
        driver: String::new(),
        software,
        shader_f16: false,
        subgroups: None,
        features: vec![],
        limits: Limits::default(),
    };
    vec![class(true), class(false)]
}

/// The adapters of this machine; OpenGL's are slow to open and add nothing.
fn gpus() -> Vec<Gpu> {
    (0..adapters().len()).filter(|&i| adapters()[i].backend != "gl").map(|i| Gpu::open(i).unwrap()).collect()
}

/// The same on the CPU and on every GPU, also with the kernels that hardware would get; and portable for both classes.
#[track_caller]
fn compare(name: &str, kernels: Vec<Kernel>, values: &[(DType, usize)], alias: &[(ValueId, ValueId)], scalars: &[Scalar]) {
    for adapter in adapters_of_both_classes() {
        for k in &kernels {
            piece(k, &|v| v, &adapter).unwrap();
        }
    }
    let expected = run(&Cpu::new(), &kernels, values, alias, scalars);
    for mut gpu in gpus() {
        for software in [true, false] {
            gpu.adapter.software = software;
            let got = run(&gpu, &kernels, values, alias, scalars);
            for (v, (e, g)) in expected.iter().zip(&got).enumerate() {
                let (rel, abs) = match values[v].0 {
                    DType::F16 => (1e-3, 1e-5),
                    DType::BF16 => (8e-3, 1e-5),
                    DType::F32 => (2e-6, 2e-6),
                    _ => (0.0, 0.0),
                };
                for (i, (a, b)) in e.iter().zip(g).enumerate() {
                    let same = (a.is_nan() && b.is_nan()) || a == b || (a - b).abs() <= abs + rel * a.abs();
                    assert!(same, "{name} on {} (software {software}): value {v} at {i} is {b}, not {a}", gpu.adapter.name);
                }
            }
        }
    }
}

const F32: DType = DType::F32;

#[test]
fn maps_over_every_kind_of_access() {
    for (rows, cols) in [(6, 8), (5, 7), (3, 1), (64, 100), (33, 3)] {
        let n = rows * cols;
        let (r, c) = (rows as isize, cols as isize);
        let mut b = Build::new(&[rows, cols], 0);
        let x = b.whole(0, F32);
        let row = b.load(1, F32, &[0, 1], 0);
        let col = b.load(2, F32, &[1, 0], 0);
        let t = b.load(3, F32, &[1, r], 0);
        let one = b.load(4, F32, &[0, 0], 1);
        let odd = b.load(5, F32, &[c, 1], 3);
        let back = b.load(6, F32, &[c, -1], c - 1);
        let mut sum = x;
        for other in [row, col, t, one, odd, back] {
            sum = b.call(&ops::ADD, &[sum, other]);
        }
        b.store_whole(sum, 7);
        let values = [(F32, n), (F32, cols), (F32, rows), (F32, n), (F32, 2), (F32, n + 3), (F32, n), (F32, n)];
        compare(&format!("map {rows}x{cols}"), vec![b.kernel()], &values, &[], &[]);
    }
}

#[test]
fn maps_in_three_dimensions_with_steps() {
    for dims in [[2, 3, 4], [3, 4, 5], [4, 1, 9], [2, 2, 2]] {
        let n: usize = dims.iter().product();
        let [a, c, d] = dims.map(|v| v as isize);
        let mut b = Build::new(&dims, 0);
        let x = b.load(0, F32, &[1, a, a * c], 0);
        let y = b.load(1, F32, &[2 * c * d, 2 * d, 2], 1);
        let z = b.call(&ops::MUL, &[x, y]);
        let p = b.position(&[c * d, d, 1], 5);
        let p = b.cast(p, F32);
        let z = b.call(&ops::ADD, &[z, p]);
        b.store_whole(z, 2);
        compare(&format!("map {dims:?}"), vec![b.kernel()], &[(F32, n), (F32, 2 * n + 2), (F32, n)], &[], &[]);
    }
}

#[test]
fn every_type_is_loaded_rounded_and_stored() {
    for dtype in [DType::F16, DType::BF16, DType::I8, DType::U8, DType::I64, DType::U32, F32] {
        for n in [1, 2, 3, 5, 64, 1027] {
            let mut b = Build::new(&[n], 0);
            let x = b.whole(0, dtype);
            let y = b.load(1, dtype, &[-1], n as isize - 1);
            let s = b.scalar(dtype);
            let z = b.call(&ops::MUL, &[x, s]);
            let z = b.call(&ops::ADD, &[z, y]);
            b.store_whole(z, 2);
            let p = b.call(&ops::LT, &[x, y]);
            b.store_whole(p, 3);
            let f = b.cast(z, F32);
            b.store_whole(f, 4);
            let values = [(dtype, n), (dtype, n), (dtype, n), (DType::Bool, n), (F32, n)];
            compare(&format!("{dtype} {n}"), vec![b.kernel()], &values, &[], &[Scalar::Float(3.0)]);
        }
    }
}

/// Every f16 and bf16 there is, and every rounding between two of them, subnormal and infinite ones too.
#[test]
fn packed_floats_to_the_bit() {
    for dtype in [DType::F16, DType::BF16] {
        let n = 1 << 16;
        let value = |bits: u16| if dtype == DType::F16 { f16::from_bits(bits).to_f32() } else { bf16::from_bits(bits).to_f32() };
        let rounded = |v: f32| if dtype == DType::F16 { f16::from_f32(v).to_bits() } else { bf16::from_f32(v).to_bits() };
        let all: Vec<u16> = (0..=u16::MAX).collect();
        // Around and halfway between neighbours.
        let near: Vec<f32> = all
            .iter()
            .map(|&b| f32::from_bits(value(b).to_bits().wrapping_add([0, 0xfff, 0x1000, 0x1001, 0x7fff, 0x8000, 0x8001][b as usize % 7])))
            .collect();
        for gpu in gpus() {
            let mut b = Build::new(&[n], 0);
            let x = b.whole(0, dtype);
            let y = b.cast(x, F32);
            b.store_whole(y, 1);
            let w = b.whole(2, F32);
            let r = b.cast(w, dtype);
            b.store_whole(r, 3);
            let sizes = [(dtype, n), (F32, n), (F32, n), (dtype, n)];
            let places = sizes.map(|(d, n)| Place { buffer: gpu.alloc(gpu.stored_bytes(d, n)).unwrap(), offset: 0 });
            gpu.upload(places[0], dtype, bytemuck::cast_slice(&all)).unwrap();
            gpu.upload(places[2], F32, bytemuck::cast_slice(&near)).unwrap();
            let program = gpu.compile(&[b.kernel()], &|v| v).unwrap();
            gpu.execute(&*program, &places, &|_, _| Scalar::Int(0)).unwrap();
            let read = |v: usize| gpu.wait(gpu.download(places[v], sizes[v].0, 0, n)).unwrap();
            for (i, got) in f32::read_bytes(&read(1)).into_iter().enumerate() {
                let want = value(i as u16);
                // Some drivers flush subnormal f32, which bf16 has.
                let flushed = want.is_subnormal() && got == 0.0;
                assert!(
                    got == want || (got.is_nan() && want.is_nan()) || flushed,
                    "{}: {dtype} {i:#x} is {got}, not {want}",
                    gpu.adapter.name
                );
            }
            for (i, got) in bytemuck::pod_collect_to_vec::<u8, u16>(&read(3)).into_iter().enumerate() {
                let want = rounded(near[i]);
                let flushed = near[i].is_subnormal() && got & 0x7fff == 0;
                assert!(
                    got == want || (near[i].is_nan() && value(got).is_nan()) || flushed,
                    "{}: {} rounds to {got:#x}, not {want:#x}",
                    gpu.adapter.name,
                    near[i]
                );
            }
        }
    }
}

/// Regions that begin and end inside words and vectors: what lies around them stays.
#[test]
fn a_region_is_written_and_nothing_else() {
    for dtype in [F32, DType::F16, DType::BF16, DType::Bool] {
        for (offset, n) in [(0, 5), (1, 6), (4, 4), (3, 1), (2, 9)] {
            let mut b = Build::new(&[n], 0);
            let x = b.whole(0, dtype);
            b.store(x, 1, &[1], offset);
            compare(&format!("{dtype} region"), vec![b.kernel()], &[(dtype, n), (dtype, 16)], &[], &[]);
        }
        let mut b = Build::new(&[3, 4], 0);
        let x = b.whole(0, dtype);
        b.store(x, 1, &[7, 1], 1);
        let mut c = Build::new(&[3, 4], 0);
        let y = c.whole(0, dtype);
        c.store(y, 1, &[8, 2], 33);
        compare(&format!("{dtype} block"), vec![b.kernel(), c.kernel()], &[(dtype, 12), (dtype, 64)], &[], &[]);
    }
}

#[test]
fn in_place() {
    for (dtype, n) in [(F32, 1001), (DType::F16, 7), (F32, 4)] {
        let mut b = Build::new(&[n], 0);
        let x = b.whole(0, dtype);
        let y = b.whole(1, dtype);
        let z = b.call(&ops::SUB, &[y, x]);
        b.store_whole(z, 2);
        compare("in place", vec![b.kernel()], &[(dtype, n), (dtype, n), (dtype, n)], &[(2, 0)], &[]);
    }
}

/// Softmax along the last or the first of two dimensions: three sweeps, row values in between.
fn softmax(rows: usize, cols: usize, dtype: DType, strides: &[isize]) -> Kernel {
    let mut b = Build::new(&[rows, cols], 1);
    let x = b.load(0, dtype, strides, 0);
    let max = b.reduce(Combine::Max, x);
    let d = b.call(&ops::SUB, &[x, max]);
    let e = b.call(&ops::EXP, &[d]);
    let sum = b.reduce(Combine::Sum, e);
    let y = b.call(&ops::DIV, &[e, sum]);
    b.store(y, 1, strides, 0);
    b.store_rows(sum, 2);
    b.kernel()
}

#[test]
fn softmax_by_rows_and_by_columns() {
    for dtype in [F32, DType::F16] {
        for (rows, cols) in [(1, 1), (1, 300), (5, 8), (9, 10), (130, 64), (3, 1023), (64, 12)] {
            let values = [(dtype, rows * cols), (dtype, rows * cols), (dtype, rows)];
            let (r, c) = (rows as isize, cols as isize);
            compare(&format!("softmax {dtype} {rows}x{cols}"), vec![softmax(rows, cols, dtype, &[c, 1])], &values, &[], &[]);
            compare(&format!("softmax {dtype} {rows}x{cols} of columns"), vec![softmax(rows, cols, dtype, &[1, r])], &values, &[], &[]);
        }
    }
}

#[test]
fn every_reduction() {
    for dtype in [F32, DType::BF16, DType::I64, DType::U32] {
        for (rows, cols) in [(1, 7), (1, 2048), (4, 4), (12, 9), (8, 132), (300, 5)] {
            for by_columns in [false, true] {
                let strides = if by_columns { [1, rows as isize] } else { [cols as isize, 1] };
                let mut b = Build::new(&[rows, cols], 1);
                let x = b.load(0, dtype, &strides, 0);
                let kinds = [Combine::Sum, Combine::Max, Combine::Min, Combine::ArgMax, Combine::ArgMin];
                let mut values = vec![(dtype, rows * cols)];
                for (i, k) in kinds.into_iter().enumerate() {
                    let r = b.reduce(k, x);
                    b.store_rows(r, i + 1);
                    values.push((b.0.dtypes[r], rows));
                }
                compare(&format!("reduce {dtype} {rows}x{cols} {by_columns}"), vec![b.kernel()], &values, &[], &[]);
            }
        }
    }
}

/// A row program that takes the place of its input, and one that stores what it also reduces.
#[test]
fn rows_in_place() {
    for (rows, cols) in [(5, 8), (3, 70)] {
        let values = [(F32, rows * cols), (F32, rows * cols), (F32, rows)];
        compare("softmax in place", vec![softmax(rows, cols, F32, &[cols as isize, 1])], &values, &[(1, 0)], &[]);
        for alias in [&[][..], &[(1, 0)]] {
            let mut b = Build::new(&[rows, cols], 1);
            let x = b.whole(0, F32);
            let y = b.call(&ops::EXP, &[x]);
            let sum = b.reduce(Combine::Sum, y);
            b.store_whole(y, 1);
            b.store_rows(sum, 2);
            compare("stored and reduced", vec![b.kernel()], &values, alias, &[]);
        }
    }
}

/// Few long rows are reduced in chunks first.
#[test]
fn long_rows_are_cut() {
    for dtype in [F32, DType::F16, DType::I64] {
        for (rows, cols) in [(1, 100_000), (1, 5001), (3, 20_000), (8, 4096), (7, 4099)] {
            for by_columns in [false, true] {
                let strides = if by_columns { [1, rows as isize] } else { [cols as isize, 1] };
                let mut b = Build::new(&[rows, cols], 1);
                let x = b.load(0, dtype, &strides, 0);
                let w = b.load(1, dtype, &[1, 0], 0);
                let s = b.scalar(dtype);
                let y = b.call(&ops::SUB, &[x, s]);
                let max = b.reduce(Combine::Max, y);
                let small = b.call(&ops::MUL, &[x, s]);
                let sum = b.reduce(Combine::Sum, small);
                let z = b.call(&ops::ADD, &[sum, w]);
                let z = b.call(&ops::SUB, &[z, max]);
                b.store_rows(z, 2);
                b.store_rows(max, 3);
                let values = [(dtype, rows * cols), (dtype, rows), (dtype, rows), (dtype, rows)];
                let scale = if dtype.is_float() { Scalar::Float(0.0009765625) } else { Scalar::Int(3) };
                compare(&format!("long {dtype} {rows}x{cols} {by_columns}"), vec![b.kernel()], &values, &[], &[scale]);
            }
        }
    }
}

/// The shape of a batch norm: reduced over the first and the last of three dimensions.
#[test]
fn a_reduction_over_two_dimensions() {
    for (n, c, hw) in [(2, 3, 8), (4, 8, 5), (3, 5, 1), (2, 16, 100)] {
        let (ci, hwi) = (c as isize, hw as isize);
        let mut b = Build::new(&[c, n, hw], 2);
        let x = b.load(0, F32, &[hwi, ci * hwi, 1], 0);
        let w = b.load(1, F32, &[1, 0, 0], 0);
        let sum = b.reduce(Combine::Sum, x);
        let s = b.call(&ops::MUL, &[sum, w]);
        let d = b.call(&ops::SUB, &[x, s]);
        let q = b.call(&ops::MUL, &[d, d]);
        let var = b.reduce(Combine::Sum, q);
        let y = b.call(&ops::MUL, &[d, w]);
        b.store(y, 2, &[hwi, ci * hwi, 1], 0);
        b.store(var, 3, &[1, 0, 0], 0);
        compare(&format!("norm {n} {c} {hw}"), vec![b.kernel()], &[(F32, n * c * hw), (F32, c), (F32, n * c * hw), (F32, c)], &[], &[]);
    }
}

/// New sizes of the same classes need no new pipeline, and a scalar no new plan.
#[test]
fn new_sizes_compile_nothing() {
    for gpu in gpus() {
        let values = |r: usize, c: usize| [(F32, r * c), (F32, r * c), (F32, r)];
        run(&gpu, &[softmax(8, 12, F32, &[12, 1])], &values(8, 12), &[], &[]);
        let before = gpu.counters();
        run(&gpu, &[softmax(100, 64, F32, &[64, 1])], &values(100, 64), &[], &[]);
        assert_eq!(gpu.counters().pipelines_created, before.pipelines_created);
        assert_eq!(gpu.counters().submits - before.submits, 4, "one for the plan, three to read");
    }
}

#[test]
fn nothing_to_do_dispatches_nothing() {
    for gpu in gpus() {
        let mut b = Build::new(&[0, 4], 0);
        let x = b.whole(0, F32);
        b.store_whole(x, 1);
        run(&gpu, &[b.kernel()], &[(F32, 0), (F32, 0)], &[], &[]);
        assert_eq!(gpu.counters().dispatches, 0);
    }
}

#[test]
fn a_lost_device_says_so() {
    for gpu in gpus() {
        let id = gpu.alloc(1024).unwrap();
        gpu.lose("a test");
        let place = Place { buffer: id, offset: 0 };
        assert!(matches!(gpu.alloc(1), Err(Error::DeviceLost { .. })));
        assert!(matches!(gpu.upload(place, F32, &[0; 4]), Err(Error::DeviceLost { .. })));
        let read = gpu.wait(gpu.download(place, F32, 0, 1));
        assert!(matches!(read, Err(Error::DeviceLost { .. })), "{read:?}");
        assert!(gpu.synchronize().is_err());
    }
}

#[test]
fn too_much_memory_is_an_error() {
    for gpu in gpus() {
        let e = gpu.alloc(1 << 50).unwrap_err();
        assert!(matches!(e, Error::OutOfMemory { .. }), "{e}");
        gpu.alloc(1024).unwrap();
    }
}

/// The index is computed on the device, so that nobody could check it before; what was read stays readable.
#[test]
fn a_bad_index_fails_the_next_read() {
    crate::testing::for_each_device(|device| {
        let x = Tensor::new([1.0, 2.0, 3.0], device)?;
        let at = Tensor::new([0i64, 1], device)?.mul(7)?;
        let e = x.index_select(0, &at)?.to_vec::<f32>().unwrap_err();
        assert!(matches!(e.root(), Error::Index { .. }) && e.to_string().contains("index 7 at position 1"), "on {device}: {e}");
        assert_eq!(x.to_vec::<f32>()?, [1.0, 2.0, 3.0]);
        let e = x.index_add(0, &at, &Tensor::new([1.0, 1.0], device)?)?.to_vec::<f32>().unwrap_err();
        assert!(matches!(e.root(), Error::Index { .. }), "on {device}: {e}");
        Ok(())
    });
}

/// A kernel's line for people.
#[test]
fn kernels_describe_themselves() {
    let text = softmax(4, 8, F32, &[8, 1]).to_string();
    assert!(text.starts_with("rows div(exp(sub(%0, max(%0))), sum("), "{text}");
    assert!(text.contains("[4] x [8] 1 read 2 writes"), "{text}");
    let Piece::Shaders(s) = piece(&softmax(4, 8, F32, &[8, 1]), &|v| v, &adapters_of_both_classes()[0]).unwrap() else { panic!() };
    assert_eq!(s.len(), 1);
}
