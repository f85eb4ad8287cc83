//! Programs that reduce rows.

use super::*;

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
        crate::runtime::cpu::par::TEST_THREADS.set(Some(threads));
        let sum = run(&[Kernel::Fused(f.clone())], &values, &[], &[])[1][0];
        crate::runtime::cpu::par::TEST_THREADS.set(None);
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
