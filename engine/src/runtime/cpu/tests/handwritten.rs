//! Hand-written operators, alone and with what follows them; copies; misuse.

use super::*;

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
